//! What a node does where nobody knows whether a step happened, and with plans that are held, aborted or being undone.

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Json, Message, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::step::{Context, Declared, Policy, Services, Step, StepError};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// What goes wrong in the body of this name.
#[derive(Clone, Copy)]
enum Wrong {
    Hangs,
    Panics,
    Fails,
}

#[derive(Default)]
struct Bank {
    log: Mutex<Vec<&'static str>>,
    wrong: Mutex<Option<(&'static str, Wrong)>>,
}

impl Services for Bank {
    type Tx = MemoryTx;
}

impl Bank {
    async fn did(&self, what: &'static str) -> Result<(), StepError> {
        self.log.lock().unwrap().push(what);
        let wrong = *self.wrong.lock().unwrap();
        match wrong.filter(|(which, _)| *which == what) {
            None => Ok(()),
            Some((_, Wrong::Hangs)) => std::future::pending().await,
            Some((_, Wrong::Panics)) => panic!("{what} fell over"),
            Some((_, Wrong::Fails)) => Err(StepError::permanent(format!("{what} is broken"))),
        }
    }

    fn make_wrong(&self, what: &'static str, wrong: Wrong) {
        *self.wrong.lock().unwrap() = Some((what, wrong));
    }

    fn mend(&self) {
        *self.wrong.lock().unwrap() = None;
    }

    fn count(&self, what: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|done| **done == what).count()
    }
}

/// Reserves, charges once, and writes a receipt.
#[derive(Serialize, Deserialize)]
struct Payment;

impl Workflow for Payment {
    const NAME: &'static str = "payment";
    const VERSION: u32 = 1;
    type Services = Bank;

    fn steps() -> Steps<Self> {
        Steps::first(Reserve)
            .step(Charge, after::<Reserve>())
            .step(Receipt, after::<Charge>())
    }

    fn action(&self) -> String {
        "Payment".into()
    }

    fn revertible_for() -> Option<Duration> {
        Some(FOR_EVER)
    }
}

struct Reserve;

impl Declared for Reserve {
    const NAME: &'static str = "reserve";
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Payment;
    type Needs = ();
    type Output = ();
}

impl Step for Reserve {
    async fn run(&self, cx: &Context<Payment>, _: &Payment, (): ()) -> Result<(), StepError> {
        cx.services.did("reserve").await
    }

    async fn compensate(
        &self,
        cx: &Context<Payment>,
        _: &Payment,
        (): (),
    ) -> Result<(), StepError> {
        cx.services.did("undo reserve").await
    }
}

struct Charge;

impl Declared for Charge {
    const NAME: &'static str = "charge";
    const POLICY: Policy = Policy::once().timeout(Duration::from_secs(5)).undoable();
    type Workflow = Payment;
    type Needs = ();
    type Output = u32;
}

impl Step for Charge {
    async fn run(&self, cx: &Context<Payment>, _: &Payment, (): ()) -> Result<u32, StepError> {
        cx.services.did("charge").await?;
        Ok(100)
    }

    async fn compensate(
        &self,
        cx: &Context<Payment>,
        _: &Payment,
        _: u32,
    ) -> Result<(), StepError> {
        cx.services.did("undo charge").await
    }
}

struct Receipt;

impl Declared for Receipt {
    const NAME: &'static str = "receipt";
    type Workflow = Payment;
    type Needs = Charge;
    type Output = String;
}

impl Step for Receipt {
    async fn run(&self, cx: &Context<Payment>, _: &Payment, sum: u32) -> Result<String, StepError> {
        cx.services.did("receipt").await?;
        Ok(format!("paid {sum}"))
    }
}

struct House {
    store: Memory,
    bank: Arc<Bank>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            bank: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    async fn node(&self, id: u128) -> Node<Bank, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), format!("node {id}"));
        let workflows = Workflows::default().register::<Payment>().unwrap();
        let (store, bank) = (self.store.clone(), self.bank.clone());
        Node::start(options, store, bank, workflows, self.clock, None)
            .await
            .unwrap()
    }

    async fn is_sound(&self, plan: PlanId) {
        let rows = self.store.load(plan).await.unwrap();
        assert_eq!(check(plan, &rows), Vec::<String>::new());
    }
}

async fn tell(node: &Node<Bank, Memory>, plan: PlanId, action: Action) -> Arc<Plan> {
    node.act(plan, wants(action)).await.unwrap()
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

fn charge_happened(output: Option<u32>) -> Action {
    Action::Resolve {
        step: "charge".into(),
        output: output.map(|sum| Json::of(&sum).unwrap()),
    }
}

async fn reaches(
    node: &Node<Bank, Memory>,
    plan: PlanId,
    step: &str,
    state: StepState,
) -> Arc<Plan> {
    loop {
        let now = node.plan(plan).await.unwrap();
        if now.step(step).is_some_and(|it| it.state == state) {
            return now;
        }
        let beyond = node.beyond(plan, now.seq, FOR_EVER).await.unwrap();
        assert!(beyond.seq > now.seq, "it never got there: {now:?}");
    }
}

/// A house whose payment was interrupted while it charged, and the node that found it so.
async fn interrupted() -> (House, Node<Bank, Memory>, PlanId) {
    let house = House::new();
    house.bank.make_wrong("charge", Wrong::Hangs);
    let first = house.node(1).await;
    let id = first.submit(&Payment, None).await.unwrap();
    reaches(&first, id, "charge", StepState::Running).await;
    tokio::time::sleep(Duration::from_millis(1)).await; // its body runs
    first.kill().await;
    house.bank.mend();
    let heir = house.node(2).await;
    let paused = heir.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(
        (paused.state, paused.reason),
        (PlanState::Paused, Some(Reason::Interrupted))
    );
    assert_eq!(paused.step("charge").unwrap().state, StepState::Interrupted);
    assert_eq!(house.bank.count("charge"), 1);
    (house, heir, id)
}

#[tokio::test(start_paused = true)]
async fn a_once_step_whose_owner_died_is_not_run_again_when_a_person_knows_that_it_happened() {
    let (house, heir, id) = interrupted().await;

    tell(&heir, id, charge_happened(Some(70))).await;
    let ended = heir.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(ended.output_of("receipt").unwrap().text(), r#""paid 70""#);
    assert_eq!(house.bank.count("charge"), 1);
    house.is_sound(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_once_step_whose_owner_died_runs_again_when_a_person_knows_that_it_did_not_happen() {
    let (house, heir, id) = interrupted().await;

    let resumed = heir.act(id, wants(Action::Resume)).await.unwrap_err();
    tell(&heir, id, charge_happened(None)).await;
    let ended = heir.wait(id, FOR_EVER).await.unwrap();

    assert!(resumed.to_string().contains("resolve or skip"), "{resumed}");
    assert_eq!(ended.output_of("receipt").unwrap().text(), r#""paid 100""#);
    assert_eq!(house.bank.count("charge"), 2);
    house.is_sound(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_once_step_that_takes_too_long_or_panics_is_interrupted_and_not_tried_again() {
    for wrong in [Wrong::Hangs, Wrong::Panics] {
        let house = House::new();
        house.bank.make_wrong("charge", wrong);
        let node = house.node(1).await;
        let id = node.submit(&Payment, None).await.unwrap();

        let paused = node.wait(id, FOR_EVER).await.unwrap();

        assert_eq!(paused.reason, Some(Reason::Interrupted));
        assert_eq!(house.bank.count("charge"), 1);
        house.is_sound(id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_once_step_that_says_that_it_failed_is_a_failure_like_any_other() {
    let house = House::new();
    house.bank.make_wrong("charge", Wrong::Fails);
    let node = house.node(1).await;
    let id = node.submit(&Payment, None).await.unwrap();

    let paused = node.wait(id, FOR_EVER).await.unwrap();
    house.bank.mend();
    tell(&node, id, Action::Resume).await;
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(paused.reason, Some(Reason::Error));
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn an_output_of_another_kind_stands_for_no_step_and_changes_nothing() {
    let house = House::new();
    house.bank.make_wrong("charge", Wrong::Fails);
    let node = house.node(1).await;
    let id = node.submit(&Payment, None).await.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    let skip = |output: Json| {
        wants(Action::Skip {
            step: "charge".into(),
            output: Some(output),
        })
    };

    let refused = node.act(id, skip(Json::of(&"a lot").unwrap())).await;
    let after = house.store.load(id).await.unwrap();
    let mail = house.store.mail(id).await.unwrap();
    node.act(id, skip(Json::of(&7).unwrap())).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("the output given for step `charge` does not fit it: invalid type"),
        "{refused}"
    );
    assert_eq!(
        (i64::try_from(after.len()).unwrap(), mail.len()),
        (paused.seq, 0)
    );
    assert_eq!(ended.result, PlanResult::Warning);
    assert_eq!(ended.output_of("receipt").unwrap().text(), r#""paid 7""#);
}

#[tokio::test(start_paused = true)]
async fn abort_drops_a_stubborn_body_after_its_own_grace() {
    let house = House::new();
    house.bank.make_wrong("reserve", Wrong::Hangs);
    let node = house.node(1).await;
    let id = node.submit(&Payment, None).await.unwrap();
    reaches(&node, id, "reserve", StepState::Running).await;
    let start = Instant::now();

    tell(&node, id, Action::Cancel).await;
    tell(&node, id, Action::Abort).await;
    let ended = node.wait(id, FOR_EVER).await.unwrap();
    let took = start.elapsed();
    house.bank.mend();
    tell(&node, id, Action::Revert).await;
    let reverted = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Cancelled);
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(2),
        "the grace of an abort is 1 s, it took {took:?}"
    );
    assert_eq!(reverted.result, PlanResult::Reverted);
    assert_eq!(
        (
            house.bank.count("reserve"),
            house.bank.count("undo reserve")
        ),
        (2, 1),
        "what was dropped half-way comes to a known end, and that is undone"
    );
    house.is_sound(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_plan_is_still_held_after_a_restart() {
    let house = House::new();
    house.bank.make_wrong("reserve", Wrong::Hangs);
    let before = house.node(1).await;
    let id = before.submit(&Payment, None).await.unwrap();
    reaches(&before, id, "reserve", StepState::Running).await;
    tell(&before, id, Action::Hold).await;
    before.kill().await;
    house.bank.mend();

    let after = house.node(1).await;
    let waiting = after.wait(id, Duration::from_mins(10)).await.unwrap();
    let task = after.task(id).await.unwrap();
    let ran = house.bank.count("reserve");
    tell(&after, id, Action::Release).await;
    let ended = after.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(waiting.state, PlanState::Running);
    assert!(
        task.headline.contains("operator holds it"),
        "{}",
        task.headline
    );
    assert_eq!(ran, 1, "the interrupted step waits for the release, too");
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn another_node_goes_on_undoing_when_the_owner_died_of_it() {
    let house = House::new();
    let (owner, other) = (house.node(1).await, house.node(2).await);
    let id = owner.submit(&Payment, None).await.unwrap();
    owner.wait(id, FOR_EVER).await.unwrap();
    house.bank.make_wrong("undo reserve", Wrong::Hangs);
    tell(&owner, id, Action::Revert).await;
    reaches(&owner, id, "reserve", StepState::Compensating).await;
    tokio::time::sleep(Duration::from_millis(1)).await; // its body runs
    owner.kill().await;
    house.bank.mend();

    let ended = other.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Reverted);
    assert_eq!(ended.node, Some(other.id()));
    assert_eq!(
        (
            house.bank.count("undo charge"),
            house.bank.count("undo reserve")
        ),
        (1, 2),
        "what was recorded as undone is not undone again"
    );
    assert_eq!(ended.step("reserve").unwrap().undo_attempts(), 2);
    house.is_sound(id).await;
}
