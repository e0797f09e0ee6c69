//! What the registry's own workflows have recorded since the first release is read by today's steps.
//!
//! The journals lie in the engine's corpus, whose test brings each of them to its end. When a step records something else than
//! before, or another feature is used, this writes a further file, which is looked through and committed:
//!
//! ```text
//! cargo test -p workflows --test it -- --ignored write_down_what_the_workflows_record
//! ```

use crate::house::{FOR_EVER, House, HouseNode};
use engine::journal::{Action, Entry, Json, Message, PlanId, Row};
use engine::node::{Drill, Effect};
use engine::plan::{Plan, StepStatus};
use engine::prove::corpus::{self, Kept};
use engine::search::Search;
use engine::state::{PlanState, StepState};
use engine::step::{BoxFuture, Declared};
use engine::store::{Page, Store};
use engine::workflow::Workflow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use storage::Tx;
use storage::catalog::rehearsals;
use uuid::Uuid;
use workflows::bulk::{self, Bulk, BulkCancel, BulkResume};
use workflows::cleanup::{Cleanup, DeleteTasks};
use workflows::push::{
    Authorize, CopyContent, Distribute, EnsureProduct, EnsureRepository, Forward,
    LocatePushRepository, Push, Reindex,
};
use workflows::rehearsal::{
    self, Begin, EVENT, Fault, Finish, OnlyOnce, Part, Play, Rehearsal, SubTasks, WaitAWhile,
    WaitForEvent, WorkElsewhere,
};

type SyncOfPush = workflows::sync_proxies::SyncProxies<Push>;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/corpus")
}

/// What today's step makes of what was recorded; how many of its outputs that were.
fn reads<S: Declared>(rows: &[Row]) -> usize {
    let plan = Plan::fold(PlanId(Uuid::nil()), rows);
    let submitted = plan.submitted.as_ref().unwrap();
    if submitted.workflow != S::Workflow::NAME {
        return 0;
    }
    let index = submitted.graph.iter().position(|step| step.name == S::NAME);
    let Some(index) = index else { return 0 };
    let outputs = rows.iter().flat_map(|row| &row.entries);
    let outputs = outputs.filter_map(|entry| {
        if let Entry::StepSucceeded {
            step, output, form, ..
        } = entry
            && *step == index
        {
            return Some((output, *form));
        }
        None
    });
    let read = |(output, form): (&Json, u32)| {
        let output = if form < S::FORM {
            S::upcast(form, output.clone()).unwrap()
        } else {
            output.clone()
        };
        output.decode::<S::Output>().unwrap();
    };
    outputs.map(read).count()
}

/// The input of a plan, as today's workflow reads it.
fn reads_input<W: Workflow>(rows: &[Row]) -> usize {
    let plan = Plan::fold(PlanId(Uuid::nil()), &rows[..1]);
    let submitted = plan.submitted.as_ref().unwrap();
    if submitted.workflow != W::NAME {
        return 0;
    }
    submitted.input.decode::<W>().unwrap();
    1
}

#[test]
fn what_released_workflows_recorded_is_read_by_todays_steps() {
    let mut read = BTreeMap::<&str, usize>::new();
    let mut inputs = BTreeMap::<&str, usize>::new();
    for (_, kept) in corpus::read(&folder()).unwrap() {
        let rows = kept.rows();
        macro_rules! steps {
            ($($step:ident)*) => { $(
                *read.entry(stringify!($step)).or_default() += reads::<$step>(&rows);
            )* };
        }
        macro_rules! workflows {
            ($($workflow:ident)*) => { $(
                *inputs.entry($workflow::NAME).or_default() += reads_input::<$workflow>(&rows);
            )* };
        }
        steps! {
            Authorize Forward LocatePushRepository CopyContent EnsureProduct EnsureRepository Reindex Distribute SyncOfPush
            Begin WorkElsewhere WaitForEvent WaitAWhile SubTasks OnlyOnce Finish Play DeleteTasks
        }
        *read.entry("bulk::Resume").or_default() += reads::<bulk::Resume>(&rows);
        *read.entry("bulk::Cancel").or_default() += reads::<bulk::Cancel>(&rows);
        workflows! { Push Rehearsal Part Cleanup BulkResume BulkCancel }
    }

    println!("inputs read: {inputs:?}; outputs read: {read:?}");
    assert_eq!((inputs.len(), read.len()), (6, 20));
    assert!(inputs.values().all(|times| *times >= 1), "{inputs:?}");
    assert!(read.values().all(|times| *times >= 1), "{read:?}");
}

/// The sub-tasks that a rehearsal has open after these rows, each as it was when it began.
fn begun(part: &[Row], parent: PlanId, rows: &[Row]) -> Vec<(PlanId, Row)> {
    let plan = Plan::fold(parent, rows);
    let open = plan.children().filter(|child| child.is_open());
    let began = open.map(|child| {
        let mut row = part[0].clone();
        let Entry::Submitted(submitted) = &mut row.entries[0] else {
            panic!("a journal begins with the submission");
        };
        submitted.input = child.wanted.input.clone();
        let mut until = submitted.parent.unwrap();
        until.plan = parent;
        submitted.parent = Some(until);
        (child.plan.unwrap(), row)
    });
    began.collect()
}

/// The marks that a rehearsal had left by then.
async fn leave_marks(house: &House, plan: &Plan) {
    for step in [
        Begin::NAME,
        WorkElsewhere::NAME,
        OnlyOnce::NAME,
        Finish::NAME,
    ] {
        let status = plan.step(step).unwrap();
        // Work elsewhere has left its mark when it has its ticket.
        let was_left = status.success.is_some() || status.ticket.is_some();
        if was_left && status.state != StepState::Compensated {
            let (id, at) = (plan.id, house.services.clock.now());
            house
                .write(move |tx: &mut Tx| Box::pin(rehearsals::leave(tx, id, step, at)))
                .await;
        }
    }
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "ann".into(),
        reason: None,
    }
}

/// Once nothing of it moves any more without a person who says what he can.
async fn helped_to_its_end(node: &HouseNode, id: PlanId) -> Arc<Plan> {
    let mut last = None;
    for _ in 0..10 {
        let plan = node.wait(id, FOR_EVER).await.unwrap();
        last = Some(plan.clone());
        if plan.state == PlanState::Stopped {
            return plan;
        }
        assert_eq!(plan.state, PlanState::Paused, "{plan:?}");
        let mut steps = plan.steps.iter();
        let interrupted = steps.position(|step| step.state == StepState::Interrupted);
        let action = match interrupted {
            Some(step) => Action::Resolve {
                step: plan.graph()[step].name.clone(),
                output: None,
            },
            // What goes wrong in a rehearsal is in its input.
            None if plan.reverting => Action::Resume,
            None => {
                let mended = serde_json::json!({"faults": []});
                let edited = node.edited(id, &mended).await;
                edited.unwrap_or(Action::Resume)
            }
        };
        node.act(id, wants(action)).await.unwrap();
    }
    panic!("it does not end: {last:?}");
}

/// Where it was released, held or paused: from each row on, a node of today runs it to its end. Sub-tasks that it has open there
/// begin with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_of_any_release_is_run_to_its_end_from_each_of_its_rows() {
    let (mut plans, mut children, mut ended) = (0, 0, BTreeMap::<String, usize>::new());
    let corpus = corpus::read(&folder()).unwrap();
    let of = |name: &'static str| {
        let all = corpus.iter().map(|(place, kept)| (place, kept.rows()));
        all.filter(move |(_, rows)| workflow_of(rows) == name)
    };
    let (_, part) = of(Part::NAME).next().unwrap();
    for (place, rows) in of(Rehearsal::NAME) {
        for end in 1..=rows.len() {
            let house = House::new().await;
            let (store, id) = (house.journal(), PlanId(Uuid::now_v7()));
            corpus::place(&store, id, &rows[..end]).await.unwrap();
            leave_marks(&house, &Plan::fold(id, &rows[..end])).await;
            for (child, row) in begun(&part, id, &rows[..end]) {
                corpus::place(&store, child, &[row]).await.unwrap();
                children += 1;
            }
            let before = store.load(id).await.unwrap();
            let node = house.node(None).await;
            let _what_has_ended_wants_nothing = node.act(id, go()).await;
            let plan = helped_to_its_end(&node, id).await;
            node.drain(FOR_EVER).await;
            let after = store.load(id).await.unwrap();
            assert_eq!(before, after[..before.len()], "{place} row {end}");
            assert_eq!(
                engine::check::check(id, &after),
                [""; 0],
                "{place} row {end}"
            );
            let marks = house.marks(id).await;
            assert_eq!(
                rehearsal::check(&plan, &marks),
                [""; 0],
                "{place} row {end}"
            );
            *ended.entry(plan.result.to_string()).or_default() += 1;
            plans += 1;
        }
    }

    println!(
        "{plans} rehearsals of old with {children} sub-tasks were run to their ends: {ended:?}"
    );
    assert!(plans >= 20 && children >= 2, "{plans} {children}");
    assert!(ended.contains_key("success"), "{ended:?}");
}

fn workflow_of(rows: &[Row]) -> String {
    let plan = Plan::fold(PlanId(Uuid::nil()), rows);
    plan.workflow().to_owned()
}

/// Makes the step fail that is named.
#[derive(Default)]
struct Breaks(Mutex<Option<&'static str>>);

impl Breaks {
    fn at(&self, step: Option<&'static str>) {
        *self.0.lock().unwrap() = step;
    }
}

impl Drill for Breaks {
    fn before<'a>(&'a self, _: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let breaks = *self.0.lock().unwrap() == Some(step);
        Box::pin(async move { breaks.then_some(Effect::Fail) })
    }
}

/// Three pushes: one that succeeds, one that fails and is resumed, one that fails and is reverted.
async fn pushes(house: &House, node: &HouseNode, breaks: &Breaks) {
    let to = house.destination("acme/tools/busybox").await;
    for (text, fails, then) in [
        ("first", None, None),
        ("second", Some("copy"), Some(Action::Resume)),
        ("third", Some("ensure_repository"), Some(Action::Revert)),
        ("fourth", Some("forward"), Some(Action::Cancel)),
    ] {
        let image = house.image(&to, text).await;
        breaks.at(fails);
        let id = house.plan(node, &to, text, &image).await;
        node.wait(id, FOR_EVER).await.unwrap();
        breaks.at(None);
        if let Some(action) = then {
            node.act(id, wants(action)).await.unwrap();
        }
        helped_to_its_end(node, id).await;
    }
}

fn short() -> Rehearsal {
    Rehearsal {
        parts: 2,
        work_ms: 1,
        elsewhere_ms: 1,
        event_ms: 1,
        pause_ms: 1,
        ..Rehearsal::default()
    }
}

fn go() -> Message {
    wants(Action::Event {
        name: EVENT.into(),
        payload: Json::of(&"the tide is in").unwrap(),
    })
}

/// One that is told and then reverted, one whose input is changed, one that is found again after its node died.
async fn rehearsals(house: &House, node: HouseNode) -> HouseNode {
    let told = Rehearsal {
        event_ms: 60_000,
        stage: Some("north".into()),
        ..short()
    };
    let id = node.submit(&told, Some("alice".into())).await.unwrap();
    node.act(id, go()).await.unwrap();
    helped_to_its_end(&node, id).await;
    node.act(id, wants(Action::Revert)).await.unwrap();
    helped_to_its_end(&node, id).await;

    let id = paused(&node).await;
    let mended = serde_json::json!({"faults": []});
    let edited = node.edited(id, &mended).await.unwrap();
    node.act(id, wants(edited)).await.unwrap();
    helped_to_its_end(&node, id).await;

    let id = node.submit(&told, Some("alice".into())).await.unwrap();
    let rests = |plan: &Plan| {
        let suspended = |step: &StepStatus| step.state == StepState::Suspended;
        plan.steps.iter().filter(|step| suspended(step)).count() == 1
            && plan.step("wait_for_event").is_some_and(suspended)
    };
    let mut plan = node.plan(id).await.unwrap();
    while !rests(&plan) {
        plan = node.beyond(id, plan.seq, FOR_EVER).await.unwrap();
    }
    node.kill().await;
    let node = house.node(None).await;
    node.act(id, go()).await.unwrap();
    helped_to_its_end(&node, id).await;
    node
}

/// A rehearsal that waits for a person, because a step of it fails for good.
async fn paused(node: &HouseNode) -> PlanId {
    let fails = Fault {
        step: "finish".into(),
        attempts: 100,
        transient: false,
        undo: false,
    };
    let input = Rehearsal {
        faults: vec![fails],
        ..short()
    };
    let id = node.submit(&input, Some("bob".into())).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(plan.state, PlanState::Paused);
    id
}

/// See the head of this file.
#[tokio::test]
#[ignore = "writes a file of the project"]
async fn write_down_what_the_workflows_record() {
    let (house, breaks) = (House::new().await, Arc::<Breaks>::default());
    let node = house.node(Some(breaks.clone())).await;
    pushes(&house, &node, &breaks).await;
    let node = rehearsals(&house, node).await;
    let bulk = |plans| Bulk {
        found_by: "state = paused".into(),
        plans,
        by: "alice".into(),
        reason: Some("tidying up".into()),
        organization: None,
    };
    let plans = vec![paused(&node).await];
    let resume = BulkResume(bulk(plans.clone()));
    let id = node.submit(&resume, Some("alice".into())).await.unwrap();
    helped_to_its_end(&node, id).await;
    node.wait(plans[0], FOR_EVER).await.unwrap();
    let cancel = BulkCancel(bulk(plans));
    let id = node.submit(&cancel, Some("alice".into())).await.unwrap();
    helped_to_its_end(&node, id).await;
    let cleanup = Cleanup { dry_run: true };
    let id = node.submit(&cleanup, None).await.unwrap();
    helped_to_its_end(&node, id).await;
    node.drain(FOR_EVER).await;

    let everything = Page {
        limit: 1000,
        ..Page::default()
    };
    let store = house.journal();
    let listing = store.list(Search::default(), everything).await.unwrap();
    let all = store.load_all(listing.plans).await.unwrap();
    let journals: Vec<Kept> = all.iter().map(|(_, rows)| Kept::of(rows)).collect();

    let name = |n: u32| match n {
        1 => format!("registry-{}.jsonl", env!("CARGO_PKG_VERSION")),
        n => format!("registry-{}-{n}.jsonl", env!("CARGO_PKG_VERSION")),
    };
    let mut paths = (1..).map(|n| folder().join(name(n)));
    let path = paths.find(|path| !path.exists()).unwrap();
    corpus::write(&path, &journals).unwrap();
}
