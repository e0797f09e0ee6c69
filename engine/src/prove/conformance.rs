//! What every store must do. One line tests a store: `engine::store_conformance!(fresh)`, where `fresh` makes an empty one, and with
//! it whatever must be kept meanwhile. A second one tests it on a disk that fills up:
//! `engine::store_conformance_on_a_small_disk!(fresh)`, where `fresh` makes its disk too.

mod families;
mod gates;
mod lists;
mod no_space;
mod retention;
mod schedules;

use crate::clock::Timestamp;
use crate::decide::{Happening, decide, submit};
use crate::journal::{Action, GraphStep, Json, Message, NodeId, PlanId, Submitted};
use crate::lock::{LockMode, LockRequest, OnPause};
use crate::plan::Plan;
use crate::store::{Accepted, Append, Store, StoreError, Submission};
pub use families::{
    a_sub_task_tells_its_parent_in_the_append_in_which_it_moves,
    a_sub_task_whose_parent_is_gone_ends_all_the_same, sub_tasks_are_counted_by_state,
};
pub use gates::{
    a_gate_is_kept_as_it_was_written, a_plan_is_found_while_it_waits_at_a_gate,
    a_plan_that_waits_for_everything_at_once_is_found_by_each,
    nodes_are_listed_with_the_open_plans_that_are_theirs,
    of_two_who_change_a_gate_one_does_and_a_person_has_the_last_word,
};
pub use lists::{
    a_plan_is_found_by_everything_that_it_waits_for,
    a_plan_is_found_by_what_it_waits_for_and_by_its_attempts, a_search_finds_by_every_field,
    every_order_comes_whole_through_its_pages_while_plans_come_and_end,
    lists_are_newest_first_and_paged, nobody_sees_what_he_may_not_see,
};
pub use no_space::{
    SmallDisk, a_disk_that_is_full_in_the_middle_takes_writes_whole_or_not_and_goes_on_with_space,
    of_writes_that_wait_together_those_that_fail_leave_nothing,
};
pub use retention::{
    a_family_is_forgotten_as_a_whole, a_forgotten_plan_leaves_nothing,
    a_plan_says_how_long_it_can_be_reverted, a_plan_that_is_not_as_it_was_seen_is_left,
    what_has_ended_is_found_in_the_order_of_its_end,
};
pub use schedules::{
    a_schedule_is_kept_as_it_was_written, of_two_who_fire_a_schedule_one_does,
    schedules_are_due_when_their_time_has_come,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Makes a test of each requirement for the store that `$fresh` makes: an async closure or function without arguments.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:expr) => {
        $crate::store_conformance!(@ $fresh;
            an_append_is_kept_as_it_was_written
            of_two_appends_at_one_number_exactly_one_is_kept_whole
            eight_writers_at_the_next_number_leave_no_gap_and_know_what_they_wrote
            a_work_that_refuses_leaves_nothing
            of_writes_that_wait_together_those_that_fail_leave_nothing
            an_open_key_is_free_once_its_plan_is_past_its_locks
            a_superseded_plan_gives_its_key_up_at_once
            a_plan_that_goes_on_is_given_its_key_again
            exclusive_locks_are_held_one_after_the_other
            a_plan_gets_all_of_its_locks_or_waits
            shared_locks_are_held_together
            a_paused_plan_gives_its_lock_up_and_queues_again
            mail_is_read_in_order_and_consumed_once
            unclean_starts_in_a_row_are_counted
            plans_of_silent_and_stopped_nodes_are_orphans
            lists_are_newest_first_and_paged
            a_search_finds_by_every_field
            a_plan_is_found_by_what_it_waits_for_and_by_its_attempts
            a_plan_is_found_by_everything_that_it_waits_for
            every_order_comes_whole_through_its_pages_while_plans_come_and_end
            nobody_sees_what_he_may_not_see
            a_sub_task_tells_its_parent_in_the_append_in_which_it_moves
            a_sub_task_whose_parent_is_gone_ends_all_the_same
            sub_tasks_are_counted_by_state
            a_gate_is_kept_as_it_was_written
            of_two_who_change_a_gate_one_does_and_a_person_has_the_last_word
            nodes_are_listed_with_the_open_plans_that_are_theirs
            a_plan_is_found_while_it_waits_at_a_gate
            a_plan_that_waits_for_everything_at_once_is_found_by_each
            a_schedule_is_kept_as_it_was_written
            of_two_who_fire_a_schedule_one_does
            schedules_are_due_when_their_time_has_come
            what_has_ended_is_found_in_the_order_of_its_end
            a_forgotten_plan_leaves_nothing
            a_family_is_forgotten_as_a_whole
            a_plan_that_is_not_as_it_was_seen_is_left
            a_plan_says_how_long_it_can_be_reverted
        );
    };
    (@ $fresh:expr; $($requirement:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $requirement() {
            let (store, _kept) = ($fresh)().await;
            $crate::prove::conformance::$requirement(&store).await;
        }
    )* };
}

static NONCE: AtomicI64 = AtomicI64::new(1);

fn nonce() -> i64 {
    NONCE.fetch_add(1, Ordering::Relaxed)
}

fn node(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

const AT: Timestamp = Timestamp(1_700_000_000_000);

/// A plan of two steps with these locks, the first of which ends with the first step.
fn submitted(locks: &[(&str, LockMode)], organization: &str, links: &[(&str, &str)]) -> Submitted {
    let locks = locks.iter().map(|(resource, mode)| LockRequest {
        resource: (*resource).into(),
        mode: *mode,
        until: Some(0),
        on_pause: OnPause::Release,
    });
    Submitted {
        workflow: "conform".into(),
        version: 1,
        action: "Conform".into(),
        graph: Arc::from([
            GraphStep::new("first", vec![]),
            GraphStep::new("second", vec![0]),
        ]),
        input: Json::of(&"input").expect("a text is JSON"),
        locks: locks.collect(),
        actor: Some(format!("actor of {organization}")),
        organization: Some(organization.into()),
        links: links
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        cause: None,
        parent: None,
        revertible_for: None,
        priority: crate::priority::Priority::default(),
    }
}

fn append(plan: &Plan, happening: Happening) -> (Append, Plan) {
    append_at(plan, happening, AT)
}

fn append_at(plan: &Plan, happening: Happening, at: Timestamp) -> (Append, Plan) {
    let owner = plan.node.unwrap_or_else(|| node(1));
    let decision = decide(plan, happening, at, owner).expect("the happening fits");
    (
        Append::new(plan, &decision, owner, nonce()).expect("it can be written"),
        decision.next,
    )
}

fn succeeded(step: usize) -> Happening {
    Happening::Succeeded {
        step,
        output: Json::of(&step).expect("a number is JSON"),
        warning: None,
        form: 1,
    }
}

/// Submits the plan and answers with it as it is then, or with the open plan that has its key.
async fn place<St: Store>(
    store: &St,
    submitted: Submitted,
    key: Option<&str>,
) -> Result<Plan, PlanId> {
    let (id, owner) = (PlanId(Uuid::now_v7()), node(1));
    let form = |granted| {
        let decision =
            submit(id, submitted.clone(), vec![], granted, AT, owner).expect("it can be submitted");
        let append =
            Append::new(&Plan::empty(id), &decision, owner, nonce()).expect("it can be written");
        (append, decision.next)
    };
    let ((granted, begun), (queued, waiting)) = (form(true), form(false));
    let submission = Submission {
        queued,
        granted,
        open_key: key.map(Into::into),
    };
    let accepted = store
        .transact::<Accepted, StoreError>(Box::new(move |tx| {
            Box::pin(St::submit_in(tx, submission))
        }))
        .await
        .expect("the store works")
        .expect("the submission is taken");
    match accepted {
        Accepted::OpenAlready(open) => Err(open),
        Accepted::Recorded { granted } => Ok(if granted { begun } else { waiting }),
    }
}

async fn placed<St: Store>(store: &St, locks: &[(&str, LockMode)]) -> Plan {
    place(store, submitted(locks, "acme", &[]), None)
        .await
        .expect("it has no key that could be taken")
}

async fn holds<St: Store>(store: &St, plan: &Plan) -> bool {
    !store
        .due(node(1), vec![plan.id])
        .await
        .expect("the store works")
        .granted
        .is_empty()
}

/// Rows come back byte for byte and in order.
pub async fn an_append_is_kept_as_it_was_written<St: Store>(store: &St) {
    let plan = placed(store, &[]).await;
    let (first, plan) = append(&plan, succeeded(0));
    let (second, plan) = append(&plan, succeeded(1));
    store
        .append(first.clone())
        .await
        .expect("its place is free");
    store
        .append(second.clone())
        .await
        .expect("its place is free");

    let rows = store.load(plan.id).await.expect("the store works");

    assert_eq!(rows[1..], [first.row, second.row]);
    assert_eq!(Plan::fold(plan.id, &rows), plan);
}

/// The key of a row is the fence, and a refused append changes nothing besides.
pub async fn of_two_appends_at_one_number_exactly_one_is_kept_whole<St: Store>(store: &St) {
    let plan = placed(store, &[("a", LockMode::Exclusive)]).await;
    let waiting = placed(store, &[("a", LockMode::Exclusive)]).await;
    let failed = Happening::Failed {
        step: 0,
        error: crate::journal::Failure::new("x", "broken", false),
        retry_at: AT,
    };
    let (winner, _) = append(&plan, succeeded(0));
    let (loser, _) = append(&plan, failed);
    store
        .append(winner.clone())
        .await
        .expect("its place is free");
    let before = store.load(plan.id).await.expect("the store works");

    let refused = store.append(loser.clone()).await;
    let again = store.append(winner).await;
    let inside = store
        .transact::<_, StoreError>(Box::new(move |tx| Box::pin(St::append_in(tx, loser))))
        .await
        .expect("the store works");

    let fenced = StoreError::Fenced {
        plan: plan.id,
        seq: 2,
    };
    for answer in [refused, again, inside] {
        assert_eq!(answer, Err(fenced.clone()));
    }
    assert_eq!(store.load(plan.id).await.expect("the store works"), before);
    assert!(
        holds(store, &waiting).await,
        "the winner let the lock go, and the loser did not ask for it again"
    );
}

/// The race program: of eight writers at last number + 1 one commits each time, and each knows which rows are his.
pub async fn eight_writers_at_the_next_number_leave_no_gap_and_know_what_they_wrote<St: Store>(
    store: &St,
) {
    const WRITERS: u128 = 8;
    const ROWS: i64 = 60;
    let mut plans = Vec::new();
    for _ in 0..4 {
        plans.push(placed(store, &[]).await);
    }
    let lost = AtomicUsize::new(0);
    let writer = async |me: u128| {
        let mut mine = Vec::new();
        for plan in plans.iter().cycle() {
            let mut now = Plan::fold(
                plan.id,
                &store.load(plan.id).await.expect("the store works"),
            );
            if now.seq >= ROWS && mine.iter().any(|(done, _, _)| *done == plan.id)
                || now.seq >= 2 * ROWS
            {
                break;
            }
            now.node = Some(node(me));
            let decision =
                decide(&now, Happening::Claimed, AT, node(me)).expect("anybody may claim");
            let append =
                Append::new(&now, &decision, node(me), nonce()).expect("it can be written");
            let (seq, nonce) = (append.row.seq, append.row.nonce);
            match store.append(append).await {
                Ok(_) => mine.push((plan.id, seq, nonce)),
                Err(StoreError::Fenced { .. }) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("the store works: {error}"),
            }
        }
        mine
    };
    let beliefs: Vec<_> = futures_util::future::join_all((1..=WRITERS).map(writer))
        .await
        .concat();

    let mut rows = 0;
    for plan in &plans {
        let kept = store.load(plan.id).await.expect("the store works");
        for (place, row) in kept.iter().enumerate() {
            assert_eq!(
                usize::try_from(row.seq).expect("it is positive"),
                place + 1,
                "no gap"
            );
        }
        for row in kept.iter().skip(1) {
            assert!(
                beliefs.contains(&(plan.id, row.seq, row.nonce)),
                "row {} is claimed by its writer",
                row.seq
            );
        }
        rows += kept.len() - 1;
    }
    assert_eq!(
        rows,
        beliefs.len(),
        "no writer believes in a row that is not there"
    );
    let lost = lost.into_inner();
    println!(
        "race program: {rows} rows by {WRITERS} writers on {} plans, {lost} lost races",
        plans.len()
    );
    assert!(rows >= 200, "only {rows} rows were written");
    assert!(
        lost >= 50,
        "only {lost} races were lost: the writers did not race"
    );
}

/// An error of the work rolls all of it back.
pub async fn a_work_that_refuses_leaves_nothing<St: Store>(store: &St) {
    let plan = placed(store, &[("a", LockMode::Exclusive)]).await;
    let waiting = placed(store, &[("a", LockMode::Exclusive)]).await;
    let (append, _) = append(&plan, succeeded(0));
    let message = Message {
        action: Action::Cancel,
        by: "me".into(),
        reason: None,
    };
    let to = plan.id;

    let refused = store
        .transact::<(), &str>(Box::new(move |tx| {
            Box::pin(async move {
                St::append_in(tx, append).await.expect("its place is free");
                St::deliver_in(tx, to, message, AT)
                    .await
                    .expect("the plan is there");
                Err("changed my mind")
            })
        }))
        .await
        .expect("the store works");

    assert_eq!(refused, Err("changed my mind"));
    assert_eq!(store.load(plan.id).await.expect("the store works").len(), 1);
    assert_eq!(store.mail(plan.id).await.expect("the store works"), []);
    assert!(!holds(store, &waiting).await);
}

/// While a plan has the key, a second one is not submitted but answered with the first.
pub async fn an_open_key_is_free_once_its_plan_is_past_its_locks<St: Store>(store: &St) {
    let form = || submitted(&[("a", LockMode::Exclusive)], "acme", &[]);
    let first = place(store, form(), Some("key"))
        .await
        .expect("the key is free");
    assert_eq!(
        place(store, form(), Some("key")).await.err(),
        Some(first.id)
    );
    let (past_its_lock, _) = append(&first, succeeded(0));

    store
        .append(past_its_lock)
        .await
        .expect("its place is free");

    let second = place(store, form(), Some("key"))
        .await
        .expect("the key is free again");
    assert_ne!(second.id, first.id);
}

/// Whoever is superseded reads it later, but its key is free now.
pub async fn a_superseded_plan_gives_its_key_up_at_once<St: Store>(store: &St) {
    let form = || submitted(&[("a", LockMode::Exclusive)], "acme", &[]);
    let first = place(store, form(), Some("push 1 a"))
        .await
        .expect("the key is free");
    let other = place(store, form(), Some("push 2 a"))
        .await
        .expect("the key is free");
    let open = async || {
        let work = store
            .transact::<_, StoreError>(Box::new(|tx| Box::pin(St::open_in(tx, "push 1 ".into()))));
        work.await
            .expect("the store works")
            .expect("it can be read")
    };
    let before = open().await;
    let id = first.id;

    let taken = store
        .transact::<(), StoreError>(Box::new(move |tx| Box::pin(St::take_key_in(tx, id))))
        .await;

    taken.expect("the store works").expect("the key is taken");
    assert_eq!(before.len(), 1);
    assert_eq!((before[0].id, before[0].at_work), (first.id, true));
    assert!(!holds(store, &other).await);
    assert_eq!(open().await, []);
}

/// Who goes on after its end has its key again, and nobody else gets it.
pub async fn a_plan_that_goes_on_is_given_its_key_again<St: Store>(store: &St) {
    let form = || submitted(&[("a", LockMode::Exclusive)], "acme", &[]);
    let plan = place(store, form(), Some("push 1 a")).await;
    let id = plan.expect("the key is free").id;
    let taken = store
        .transact::<(), StoreError>(Box::new(move |tx| Box::pin(St::take_key_in(tx, id))))
        .await;
    taken.expect("the store works").expect("the key is taken");

    let given = store
        .transact::<(), StoreError>(Box::new(move |tx| {
            Box::pin(St::give_key_in(tx, id, "push 1 a".into()))
        }))
        .await;

    given.expect("the store works").expect("the key is given");
    let second = place(store, form(), Some("push 1 a")).await;
    assert_eq!(second.err(), Some(id));
}

/// First come, first served; the next one is told.
pub async fn exclusive_locks_are_held_one_after_the_other<St: Store>(store: &St) {
    let first = placed(store, &[("a", LockMode::Exclusive)]).await;
    let second = placed(store, &[("a", LockMode::Exclusive)]).await;
    let third = placed(store, &[("a", LockMode::Exclusive)]).await;
    assert!(!first.waits_for_locks() && second.waits_for_locks() && third.waits_for_locks());
    let seats = store.seats(third.id).await.expect("the store works");
    assert_eq!((seats[0].position, seats[0].behind), (2, Some(first.id)));

    let (done, _) = append(&first, succeeded(0));
    let appended = store.append(done).await.expect("its place is free");

    assert_eq!(appended.granted, [second.id]);
    assert!(holds(store, &second).await && !holds(store, &third).await);
    let seats = store.seats(third.id).await.expect("the store works");
    assert_eq!((seats[0].position, seats[0].behind), (1, Some(second.id)));
}

/// Half of what it needs is nothing.
pub async fn a_plan_gets_all_of_its_locks_or_waits<St: Store>(store: &St) {
    let holder_of_a = placed(store, &[("a", LockMode::Exclusive)]).await;
    let holder_of_b = placed(store, &[("b", LockMode::Exclusive)]).await;
    let both = placed(
        store,
        &[("a", LockMode::Exclusive), ("b", LockMode::Exclusive)],
    )
    .await;
    let (a_is_free, _) = append(&holder_of_a, succeeded(0));
    let (b_is_free, _) = append(&holder_of_b, succeeded(0));

    let first = store.append(a_is_free).await.expect("its place is free");
    assert_eq!(first.granted, []);
    assert!(!holds(store, &both).await);
    let second = store.append(b_is_free).await.expect("its place is free");

    assert_eq!(second.granted, [both.id]);
    assert!(holds(store, &both).await);
}

/// Shared ones do not wait for each other, but for an exclusive one between them.
pub async fn shared_locks_are_held_together<St: Store>(store: &St) {
    let one = placed(store, &[("a", LockMode::Shared)]).await;
    let two = placed(store, &[("a", LockMode::Shared)]).await;
    let alone = placed(store, &[("a", LockMode::Exclusive)]).await;
    let three = placed(store, &[("a", LockMode::Shared)]).await;
    let four = placed(store, &[("a", LockMode::Shared)]).await;
    assert!(!one.waits_for_locks() && !two.waits_for_locks());
    assert!(alone.waits_for_locks() && three.waits_for_locks());

    for shared in [&one, &two] {
        assert!(!holds(store, &alone).await);
        store
            .append(append(shared, succeeded(0)).0)
            .await
            .expect("its place is free");
    }
    assert!(holds(store, &alone).await && !holds(store, &three).await);
    let alone = append(&alone, Happening::LocksGranted);
    store.append(alone.0).await.expect("its place is free");
    let appended = store
        .append(append(&alone.1, succeeded(0)).0)
        .await
        .expect("its place is free");

    assert_eq!(appended.granted, [three.id, four.id]);
}

/// A broken plan does not block the next one; resumed, it waits its turn.
pub async fn a_paused_plan_gives_its_lock_up_and_queues_again<St: Store>(store: &St) {
    let broken = placed(store, &[("a", LockMode::Exclusive)]).await;
    let next = placed(store, &[("a", LockMode::Exclusive)]).await;
    let error = crate::journal::Failure::new("x", "broken", false);
    let (pause, paused) = append(
        &broken,
        Happening::Failed {
            step: 0,
            error,
            retry_at: AT,
        },
    );
    assert_eq!(
        store
            .append(pause)
            .await
            .expect("its place is free")
            .granted,
        [next.id]
    );
    assert_eq!(store.seats(broken.id).await.expect("the store works"), []);

    let resume = Message {
        action: Action::Resume,
        by: "me".into(),
        reason: None,
    };
    let (resumed, now) = append(
        &paused,
        Happening::Mail {
            n: 1,
            message: resume,
        },
    );
    store.append(resumed).await.expect("its place is free");

    assert!(now.waits_for_locks() && !holds(store, &now).await);
    let next = append(&next, Happening::LocksGranted);
    store.append(next.0).await.expect("its place is free");
    let appended = store
        .append(append(&next.1, succeeded(0)).0)
        .await
        .expect("its place is free");
    assert_eq!(appended.granted, [broken.id]);
}

/// A message stays until a row consumes it.
pub async fn mail_is_read_in_order_and_consumed_once<St: Store>(store: &St) {
    let plan = placed(store, &[]).await;
    let deliver = async |by: &str| {
        let (to, message) = (
            plan.id,
            Message {
                action: Action::Resume,
                by: by.into(),
                reason: None,
            },
        );
        let work = store.transact(Box::new(move |tx| {
            Box::pin(St::deliver_in(tx, to, message, AT))
        }));
        work.await
            .expect("the store works")
            .expect("the plan is there")
    };
    let (first, second) = (deliver("one").await, deliver("two").await);
    assert!(first < second);
    let mail = store.mail(plan.id).await.expect("the store works");
    assert_eq!(
        mail.iter().map(|mail| mail.n).collect::<Vec<_>>(),
        [first, second]
    );
    assert_eq!(
        store
            .due(node(1), vec![])
            .await
            .expect("the store works")
            .mail,
        [plan.id]
    );
    assert_eq!(
        store
            .due(node(2), vec![])
            .await
            .expect("the store works")
            .mail,
        [],
        "it is another's"
    );

    let (consume, plan) = append(
        &plan,
        Happening::Mail {
            n: first,
            message: mail[0].message.clone(),
        },
    );
    store.append(consume).await.expect("its place is free");

    let mail = store.mail(plan.id).await.expect("the store works");
    assert_eq!(
        mail.iter()
            .map(|mail| (mail.n, mail.message.by.as_str()))
            .collect::<Vec<_>>(),
        [(second, "two")]
    );
}

/// A start counts as unclean when the one before was not followed by a sign-off, and starts in a row are counted.
pub async fn unclean_starts_in_a_row_are_counted<St: Store>(store: &St) {
    let window = Duration::from_secs(100);
    let enter = async |of: u128, after: u64| {
        let at = AT + Duration::from_secs(after);
        let unclean = store.enter(node(of), format!("node {of}"), at, window);
        let entered = unclean.await.expect("the store works");
        (entered.unclean_starts, entered.signed_off)
    };
    let at = |after: u64| AT + Duration::from_secs(after);

    assert_eq!(enter(1, 0).await, (0, None), "its first start");
    store
        .beat(node(1), "node 1".into(), at(0), at(20))
        .await
        .expect("the store works");
    assert_eq!(enter(1, 30).await, (1, None), "it had not signed off");
    assert_eq!(enter(1, 60).await, (2, None), "and again");
    assert_eq!(enter(2, 60).await, (0, None), "each node for itself");
    assert_eq!(
        enter(1, 161).await,
        (1, None),
        "long after the start before"
    );
    assert_eq!(enter(1, 162).await, (2, None), "and again");
    store
        .leave(node(1), at(162), at(170))
        .await
        .expect("the store works");
    let last_life = Some(at(162));
    assert_eq!(enter(1, 171).await, (0, last_life), "it had signed off");
    store
        .leave(node(1), at(168), at(171))
        .await
        .expect("the store works");
    assert_eq!(
        enter(1, 171).await,
        (0, Some(at(168))),
        "the life that could not be entered, and not the one before it"
    );
    assert_eq!(enter(1, 172).await, (1, None), "it had not, this time");
    let orphans = store.orphans(node(2), at(172), Duration::from_secs(10), 10);
    assert_eq!(orphans.await.expect("the store works"), [], "it runs");
}

/// A node that beats keeps its plans. Of those whose owner has signed off it is told, and since when that had lived.
pub async fn plans_of_silent_and_stopped_nodes_are_orphans<St: Store>(store: &St) {
    let ttl = Duration::from_secs(10);
    let plan = placed(store, &[]).await;
    let orphans = async |of: u128, after: u64| {
        let now = AT + Duration::from_secs(after);
        let orphans = store.orphans(node(of), now, ttl, 10);
        let orphans = orphans.await.expect("the store works");
        let told = orphans.iter().map(|it| (it.plan, it.signed_off));
        told.collect::<Vec<_>>()
    };
    store
        .beat(node(1), "one".into(), AT, AT)
        .await
        .expect("the store works");
    assert_eq!(orphans(2, 9).await, [], "it beat a moment ago");
    assert_eq!(orphans(2, 10).await, [(plan.id, None)], "it is silent");
    assert_eq!(orphans(1, 0).await, [(plan.id, None)], "its own");
    store.leave(node(1), AT, AT).await.expect("the store works");
    assert_eq!(orphans(2, 0).await, [(plan.id, Some(AT))], "it has stopped");
    store
        .beat(node(1), "one".into(), AT, AT)
        .await
        .expect("the store works");
    assert_eq!(orphans(2, 0).await, [], "it runs again");

    let mut now = plan;
    for step in [0, 1] {
        let (done, next) = append(&now, succeeded(step));
        store.append(done).await.expect("its place is free");
        now = next;
    }

    assert_eq!(orphans(1, 0).await, [], "a stopped plan is nobody's");
}
