//! Every journal folds, and what is kept beside it agrees.

use std::collections::{BTreeMap, BTreeSet};

use engine::journal::PlanId;
use engine::lock::{LockMode, LockRequest, LockState};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::store::Head;
use engine::workflow::Workflow;
use storage::Database;
use storage::journal::{self, Record};
use workflows::push::Push;

use super::{DoctorError, Examination, catalog, rehearsals};

/// Plans read at once.
const AT_ONCE: u32 = 200;

const RESTORE: &str =
    "restore the database from a backup, and report this: no version of wharfinger writes it";

pub(super) async fn examine(
    database: &Database,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    let mut after: Option<PlanId> = None;
    let (mut plans, mut rows) = (0, 0);
    loop {
        // A snapshot for each page: what a running server writes meanwhile is not seen by halves.
        let page = journal::records(&mut database.read().await?, after, AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.plan);
        for record in &page {
            plans += 1;
            rows += record.rows.len() as u64;
            for wrong in wrong_with(record) {
                whole.find(format!("task {}: {wrong}", record.plan), RESTORE);
            }
            rehearsals::examine(database, record, whole).await?;
            // Acknowledged, and perhaps in no version yet: all that a paused first push has left behind.
            if let Some(push) = open_push(record) {
                let name = push.to.label_form();
                for digest in push.all_digests() {
                    let mut tx = database.read().await?;
                    catalog::examine_manifest(&mut tx, push.to.id, &name, digest, whole).await?;
                }
            }
        }
    }
    for wrong in doubly_held(journal::contended(&mut database.read().await?).await?) {
        whole.find(wrong, RESTORE);
    }
    for (plan, resource) in journal::lost_locks(&mut database.read().await?).await? {
        whole.find(
            format!("task {plan}: it is not open and stands in the queue of lock {resource}"),
            RESTORE,
        );
    }
    for (plan, rows) in journal::lost_journals(&mut database.read().await?).await? {
        whole.find(
            format!("task {plan}: there is no such task, and {rows} rows of its journal"),
            RESTORE,
        );
    }
    for (plan, parent) in journal::lost_sub_tasks(&mut database.read().await?).await? {
        whole.find(
            format!("task {plan}: its parent, task {parent}, is not there any more"),
            RESTORE,
        );
    }
    whole
        .looked_at
        .extend([(plans, "tasks"), (rows, "journal rows")]);
    Ok(())
}

/// Locks that several plans have at once of which one wants it alone.
fn doubly_held(held: Vec<(PlanId, LockRequest)>) -> Vec<String> {
    let mut holders = BTreeMap::<String, Vec<(PlanId, LockMode)>>::new();
    for (plan, lock) in held {
        let of_this = holders.entry(lock.resource).or_default();
        of_this.push((plan, lock.mode));
    }
    let excludes = |held: &[(PlanId, LockMode)]| {
        held.len() > 1 && held.iter().any(|(_, mode)| *mode == LockMode::Exclusive)
    };
    let wrong = holders.into_iter().filter(|(_, held)| excludes(held));
    wrong
        .map(|(resource, held)| {
            let held: Vec<String> = held
                .iter()
                .map(|(plan, mode)| format!("task {plan} ({mode})"))
                .collect();
            format!("lock {resource}: held at once by {}", held.join(" and "))
        })
        .collect()
}

/// The push that this plan is to bring to its end; none if it is no push, or has stopped.
fn open_push(record: &Record) -> Option<Push> {
    let plan = Plan::fold(record.plan, &record.rows);
    let submitted = plan.submitted.as_deref()?;
    let open = plan.state != PlanState::Stopped && submitted.workflow == Push::NAME;
    open.then(|| submitted.input.decode().ok())?
}

/// What is wrong with a plan, in words that continue "task …: ".
fn wrong_with(record: &Record) -> Vec<String> {
    let plan = Plan::fold(record.plan, &record.rows);
    // A fold refuses gaps, moves that no table has, and a second success of a step.
    if let Some(why) = &plan.unreadable {
        return vec![format!("its journal does not fold: {why}")];
    }
    let mut wrong = Vec::new();
    let told = plan.node.map(|node| Head::of(&plan, node));
    if let Some(told) = told.filter(|told| *told != record.head) {
        let row = &record.head;
        wrong.push(format!(
            "its journal says {} {} of {:?}, its row in the list of tasks {} {} of {:?}",
            told.state, told.result, told.owner, row.state, row.result, row.owner
        ));
    }
    if plan.state == PlanState::Stopped {
        if record.open_key.is_some() {
            wrong.push("it has stopped and still keeps its key from others".to_owned());
        }
        if record.unread_mail > 0 {
            wrong.push(format!(
                "it has stopped with {} unread messages",
                record.unread_mail
            ));
        }
        return wrong;
    }
    let sits: BTreeSet<&str> = record.seats.iter().map(|it| it.resource.as_str()).collect();
    for lock in &plan.locks {
        let asked_for = matches!(lock.state, LockState::Queued | LockState::Held);
        let resource = lock.request.resource.as_str();
        if asked_for && !sits.contains(resource) {
            wrong.push(format!(
                "it stands nowhere in the queue of its lock {resource}"
            ));
        }
        if !asked_for && sits.contains(resource) {
            wrong.push(format!(
                "it stands in the queue of lock {resource}, which it has given up"
            ));
        }
    }
    // The same push is another one from then on.
    let gave_its_key_up = plan.reverting || plan.is_past_its_locks();
    let key = open_push(record).map(|push| push.open_key().filter(|_| !gave_its_key_up));
    if key.is_some_and(|key| key != record.open_key) {
        wrong.push(if gave_its_key_up {
            "it has published and still keeps its key from others".to_owned()
        } else {
            format!(
                "the same push again would not find it: its key is {:?}",
                record.open_key
            )
        });
    }
    wrong
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use engine::journal::{Entry, GraphStep, Json, NodeId, PlanResult, Row, Submitted};
    use engine::lock::{LockMode, LockRequest, OnPause, Seat};
    use uuid::Uuid;

    use super::*;

    const NODE: NodeId = NodeId(Uuid::nil());

    fn row(seq: i64, entries: Vec<Entry>) -> Row {
        Row {
            seq,
            nonce: seq,
            unreadable: None,
            node: NODE,
            at: Timestamp(seq),
            entries,
        }
    }

    /// A plan without steps that was submitted and has stopped.
    fn stopped() -> Record {
        let submitted = Submitted {
            workflow: "push".to_owned(),
            version: 1,
            action: "Push of acme/busybox:latest".to_owned(),
            graph: [].into(),
            input: Json::of(&()).unwrap(),
            locks: Vec::new(),
            actor: None,
            organization: None,
            links: Vec::new(),
            cause: None,
            parent: None,
            revertible_for: None,
            priority: engine::priority::Priority::default(),
        };
        let begun = vec![
            Entry::Submitted(Box::new(submitted)),
            Entry::LocksGranted,
            Entry::Started,
        ];
        let ended = vec![Entry::Stopped {
            result: PlanResult::Success,
        }];
        let rows = vec![row(1, begun), row(2, ended)];
        let plan = PlanId(Uuid::from_u128(7));
        let head = Head::of(&Plan::fold(plan, &rows), NODE);
        Record {
            plan,
            head,
            open_key: None,
            rows,
            unread_mail: 0,
            seats: Vec::new(),
        }
    }

    #[test]
    fn a_plan_in_order_has_nothing_wrong_with_it() {
        assert_eq!(wrong_with(&stopped()), [""; 0]);
    }

    #[test]
    fn a_gap_in_a_journal_is_found() {
        let mut record = stopped();
        record.rows[1].seq = 3;

        assert_eq!(
            wrong_with(&record),
            ["its journal does not fold: row 3 follows row 1"]
        );
    }

    #[test]
    fn a_row_that_disagrees_with_its_journal_is_found() {
        let mut record = stopped();
        record.head.result = PlanResult::Error;

        let wrong = wrong_with(&record);

        assert_eq!(
            wrong,
            [
                "its journal says stopped success of None, its row in the list of tasks stopped error of None"
            ]
        );
    }

    #[test]
    fn what_a_stopped_plan_still_holds_is_found() {
        let record = Record {
            open_key: Some("push 7 latest".to_owned()),
            unread_mail: 2,
            ..stopped()
        };

        assert_eq!(
            wrong_with(&record),
            [
                "it has stopped and still keeps its key from others",
                "it has stopped with 2 unread messages"
            ]
        );
    }

    /// A push that was submitted and waits for its lock, which it needs until it has published.
    fn waiting() -> Record {
        const RESOURCE: &str = "destination/7";
        let push: Push = serde_json::from_value(serde_json::json!({
            "user": 1, "login": "ana", "tag": "latest", "client": {},
            "to": {
                "id": 7, "organization": 1, "organization_label": "acme", "product_label": "tools", "name": "busybox"
            },
            "manifest": {
                "digest": storage::Digest::of(b"{}"), "media_type": "application/vnd.oci.image.manifest.v1+json", "size": 2
            },
        }))
        .unwrap();
        let lock = LockRequest {
            resource: RESOURCE.to_owned(),
            mode: LockMode::Exclusive,
            until: Some(0),
            on_pause: OnPause::Release,
        };
        let publish = serde_json::json!({
            "name": "distribute", "after": [], "attempts": 1, "rescue": "pause",
        });
        let publish: GraphStep = serde_json::from_value(publish).unwrap();
        let submitted = Submitted {
            workflow: Push::NAME.to_owned(),
            version: 1,
            action: "Push of acme/tools/busybox:latest".to_owned(),
            graph: [publish].into(),
            input: Json::of(&push).unwrap(),
            locks: vec![lock],
            actor: None,
            organization: None,
            links: Vec::new(),
            cause: None,
            parent: None,
            revertible_for: None,
            priority: engine::priority::Priority::default(),
        };
        let rows = vec![row(1, vec![Entry::Submitted(Box::new(submitted))])];
        let plan = PlanId(Uuid::from_u128(8));
        Record {
            plan,
            head: Head::of(&Plan::fold(plan, &rows), NODE),
            open_key: push.open_key(),
            rows,
            unread_mail: 0,
            seats: vec![Seat {
                resource: RESOURCE.to_owned(),
                mode: LockMode::Exclusive,
                since: Timestamp(1),
                position: 1,
                behind: None,
            }],
        }
    }

    fn held(plan: u128, mode: LockMode) -> (PlanId, LockRequest) {
        let lock = LockRequest {
            resource: "destination/7".to_owned(),
            mode,
            until: None,
            on_pause: OnPause::Release,
        };
        (PlanId(Uuid::from_u128(plan)), lock)
    }

    #[test]
    fn a_lock_that_two_have_at_once_of_which_one_wants_it_alone_is_found() {
        let (shared, alone) = (LockMode::Shared, LockMode::Exclusive);

        let in_order = doubly_held(vec![held(1, shared), held(2, shared)]);
        let wrong = doubly_held(vec![held(1, shared), held(2, alone)]);

        assert_eq!(in_order, [""; 0]);
        assert_eq!(
            wrong,
            [
                "lock destination/7: held at once by task 00000000-0000-0000-0000-000000000001 (shared) and task 00000000-0000-0000-0000-000000000002 (exclusive)"
            ]
        );
    }

    #[test]
    fn a_push_that_waits_in_order_has_nothing_wrong_with_it() {
        assert_eq!(wrong_with(&waiting()), [""; 0]);
    }

    #[test]
    fn an_open_push_that_has_lost_its_place_or_its_key_is_found() {
        let record = Record {
            open_key: None,
            seats: Vec::new(),
            ..waiting()
        };

        assert_eq!(
            wrong_with(&record),
            [
                "it stands nowhere in the queue of its lock destination/7",
                "the same push again would not find it: its key is None"
            ]
        );
    }

    #[test]
    fn a_push_that_has_published_and_goes_on_keeps_neither_its_place_nor_its_key() {
        let mut record = waiting();
        let published = Entry::StepSucceeded {
            step: 0,
            output: Json::of(&()).unwrap(),
            warning: None,
            form: 1,
        };
        let began = vec![
            Entry::LocksGranted,
            Entry::Started,
            Entry::StepStarted { step: 0 },
        ];
        record.rows.extend([row(2, began), row(3, vec![published])]);
        record.head = Head::of(&Plan::fold(record.plan, &record.rows), NODE);
        record.seats.clear();

        assert_eq!(
            wrong_with(&record),
            ["it has published and still keeps its key from others"]
        );
        record.open_key = None;
        assert_eq!(wrong_with(&record), [""; 0]);
    }
}
