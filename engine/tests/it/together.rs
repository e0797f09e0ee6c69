//! Transactional steps that follow each other are recorded by one commit, and steps that end side by side in one row.

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::journal::{Entry, NodeId, PlanResult, Row};
use engine::node::{Node, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::prove::Faulty;
use engine::state::PlanState;
use engine::step::{ContextOf, Declared, Policy, Services, Step, StepError, TransactionalStep};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// The third step fails so often; and how often each of them ran.
#[derive(Default)]
struct Bench {
    fails: AtomicU32,
    runs: [AtomicU32; 4],
}

impl Services for Bench {
    type Tx = MemoryTx;
}

#[derive(Clone, Serialize, Deserialize)]
struct Saw;

impl Workflow for Saw {
    const NAME: &'static str = "saw";
    const VERSION: u32 = 1;
    type Services = Bench;

    fn steps() -> Steps<Self> {
        Steps::first(Cut::<0>)
            .step(Cut::<1>, after::<Cut<0>>())
            .step(Cut::<2>, after::<Cut<1>>())
            .step(Cut::<3>, after::<Cut<2>>())
    }

    fn action(&self) -> String {
        "Saw".into()
    }
}

struct Cut<const N: usize>;

impl<const N: usize> Declared for Cut<N> {
    const NAME: &'static str = ["first", "second", "third", "fourth"][N];
    const POLICY: Policy = Policy::idempotent().attempts(2);
    type Workflow = Saw;
    type Needs = ();
    type Output = ();
}

impl<const N: usize> TransactionalStep for Cut<N> {
    async fn run(
        &self,
        tx: &mut MemoryTx,
        cx: &ContextOf<Self>,
        _: &Saw,
        (): (),
    ) -> Result<(), StepError> {
        cx.services.runs[N].fetch_add(1, Ordering::Relaxed);
        let row = tx.table().entry(Self::NAME.to_owned()).or_default();
        row.push('x');
        let fails = |left: u32| left.checked_sub(1);
        if N == 2
            && cx
                .services
                .fails
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
                .is_ok()
        {
            return Err(StepError::transient("the blade is hot"));
        }
        Ok(())
    }
}

/// A step, three after it side by side, and one after them.
#[derive(Clone, Serialize, Deserialize)]
struct Rake;

impl Workflow for Rake {
    const NAME: &'static str = "rake";
    const VERSION: u32 = 1;
    type Services = Bench;

    fn steps() -> Steps<Self> {
        Steps::first(Tooth::<0>)
            .step(Tooth::<1>, after::<Tooth<0>>())
            .step(Tooth::<2>, after::<Tooth<0>>())
            .step(Tooth::<3>, after::<Tooth<0>>())
            .step(Tooth::<4>, after::<(Tooth<1>, Tooth<2>, Tooth<3>)>())
    }

    fn action(&self) -> String {
        "Rake".into()
    }
}

struct Tooth<const N: usize>;

impl<const N: usize> Declared for Tooth<N> {
    const NAME: &'static str = ["one", "two", "three", "four", "five"][N];
    type Workflow = Rake;
    type Needs = ();
    type Output = ();
}

impl<const N: usize> Step for Tooth<N> {
    async fn run(&self, _: &ContextOf<Self>, _: &Rake, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

struct Ran {
    plan: Arc<Plan>,
    rows: Vec<Row>,
    /// Transactions and appends after the submit, those that were rolled back too.
    writes: usize,
    bench: Arc<Bench>,
    memory: Memory,
}

impl Ran {
    fn runs(&self) -> [u32; 4] {
        std::array::from_fn(|n| self.bench.runs[n].load(Ordering::Relaxed))
    }

    async fn written(&self) -> Vec<(String, String)> {
        let table = self.memory.table().await;
        table.into_iter().collect()
    }
}

async fn run<W: Workflow<Services = Bench>>(work: W, fails: u32, steps_per_commit: usize) -> Ran {
    let (memory, bench) = (Memory::default(), Arc::new(Bench::default()));
    bench.fails.store(fails, Ordering::Relaxed);
    let store = Faulty::sound(memory.clone());
    let mut options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
    options.steps_per_commit = steps_per_commit;
    let workflows = Workflows::default()
        .register::<Saw>()
        .unwrap()
        .register::<Rake>()
        .unwrap();
    let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
    let node = Node::start(
        options,
        store.clone(),
        bench.clone(),
        workflows,
        clock,
        None,
    )
    .await
    .unwrap();
    let id = node.submit(&work, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let rows = memory.load(id).await.unwrap();
    assert_eq!(check(id, &rows), Vec::<String>::new());
    Ran {
        plan,
        rows,
        writes: store.writes() - 1,
        bench,
        memory,
    }
}

fn once_each() -> Vec<(String, String)> {
    let mut all: Vec<_> = ["first", "second", "third", "fourth"]
        .map(|step| (step.to_owned(), "x".to_owned()))
        .into();
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn transactional_steps_that_follow_each_other_are_recorded_by_one_commit_a_row_each() {
    let together = run(Saw, 0, 16).await;
    let alone = run(Saw, 0, 1).await;

    assert_eq!((together.writes, alone.writes), (1, 4));
    assert_eq!((together.rows.len(), alone.rows.len()), (5, 5));
    assert_eq!(together.plan.result, PlanResult::Success);
    assert_eq!(together.written().await, once_each());
    assert_eq!(together.runs(), [1; 4]);
}

#[tokio::test(start_paused = true)]
async fn no_more_steps_go_into_a_commit_than_the_node_allows() {
    let ran = run(Saw, 0, 3).await;

    assert_eq!((ran.writes, ran.rows.len()), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn a_further_step_that_fails_is_rolled_back_and_those_before_it_are_recorded_without_it() {
    let ran = run(Saw, 2, 16).await; // in the common commit, and in one of its own

    assert_eq!(ran.plan.result, PlanResult::Success);
    assert_eq!(ran.written().await, once_each());
    assert_eq!(ran.runs(), [2, 2, 3, 1]);
    let third = ran.plan.step("third").unwrap();
    assert_eq!(third.attempts(), 2, "what was rolled back is no attempt");
    // All together, rolled back; the first two; the third alone, rolled back; its failure; its next attempt; the last two.
    assert_eq!(ran.writes, 6);
}

#[tokio::test(start_paused = true)]
async fn a_further_step_that_fails_for_good_pauses_the_plan_and_what_came_before_it_stays() {
    let ran = run(Saw, u32::MAX, 16).await;

    assert_eq!(ran.plan.state, PlanState::Paused, "{:?}", ran.plan);
    assert_eq!(
        ran.written().await,
        [
            ("first".to_owned(), "x".to_owned()),
            ("second".to_owned(), "x".to_owned())
        ]
    );
    assert_eq!(ran.plan.step("third").unwrap().attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn steps_that_end_side_by_side_are_recorded_in_one_row() {
    let ran = run(Rake, 0, 16).await;

    let ends: Vec<usize> = ran
        .rows
        .iter()
        .map(|row| {
            let ends = row.entries.iter();
            ends.filter(|entry| matches!(entry, Entry::StepSucceeded { .. }))
                .count()
        })
        .collect();
    assert_eq!(ends, [0, 1, 3, 1], "{:?}", ran.rows);
    assert_eq!(ran.plan.result, PlanResult::Success);
}
