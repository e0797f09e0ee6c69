//! What a node does with plans: retries, pauses, locks, operators, take-overs, drains.

use super::push::{Outside, Push, Wrong, workflows};
use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeError, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::prove::{Faulty, Moment};
use engine::state::{PlanState, StepState};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

struct House {
    store: Memory,
    outside: Arc<Outside>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
        Self {
            store: Memory::default(),
            outside: Arc::default(),
            clock,
        }
    }

    async fn node(&self, id: u128) -> Node<Outside, Memory> {
        self.node_on(id, self.store.clone()).await
    }

    /// A node that knows no workflow, as after a change of versions.
    async fn ignorant_node(&self, id: u128) -> Node<Outside, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), format!("node {id}"));
        let knows = Workflows::default();
        let (store, services) = (self.store.clone(), self.outside.clone());
        Node::start(options, store, services, knows, self.clock, None)
            .await
            .unwrap()
    }

    async fn node_on<St: Store<Tx = MemoryTx>>(&self, id: u128, store: St) -> Node<Outside, St> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), format!("node {id}"));
        Node::start(
            options,
            store,
            self.outside.clone(),
            workflows(),
            self.clock,
            None,
        )
        .await
        .unwrap()
    }
}

async fn push<St: Store<Tx = MemoryTx>>(node: &Node<Outside, St>, tag: &str) -> PlanId {
    node.submit(&Push::of("busybox", tag), Some("alice".into()))
        .await
        .unwrap()
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: None,
    }
}

async fn reaches<St: Store<Tx = MemoryTx>>(
    node: &Node<Outside, St>,
    plan: PlanId,
    is_there: impl Fn(&Plan) -> bool,
) -> Arc<Plan> {
    for _ in 0..100_000 {
        let now = node.plan(plan).await.unwrap();
        if is_there(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!(
        "the plan never got there: {:?}",
        node.plan(plan).await.unwrap()
    );
}

fn is_at(step: &'static str, state: StepState) -> impl Fn(&Plan) -> bool {
    move |plan| plan.step(step).is_some_and(|it| it.state == state)
}

#[tokio::test(start_paused = true)]
async fn a_push_runs_to_its_end_and_its_journal_folds_to_the_same_plan() {
    let house = House::new();
    let node = house.node(1).await;

    let id = push(&node, "latest").await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (plan.state, plan.result),
        (PlanState::Stopped, PlanResult::Success)
    );
    assert_eq!(
        plan.output_of("ensure_repository").unwrap().text(),
        r#""acme/busybox v7""#
    );
    let rows = house.store.load(id).await.unwrap();
    assert_eq!(*plan, Plan::fold(id, &rows));
    assert_eq!(check(id, &rows), Vec::<String>::new());
    assert_eq!(
        rows.len(),
        9,
        "submit, seven ends, one ticket: one row each"
    );
    let task = node.task(id).await.unwrap();
    assert_eq!(task.headline, "Push of busybox:latest is done");
    assert_eq!(
        (task.progress, task.waiting_for.len(), task.locks.len()),
        (1.0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_for_now_is_repeated_with_growing_pauses() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Times(3));
    let node = house.node(1).await;
    let start = Instant::now();

    let id = push(&node, "latest").await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success);
    let forward = plan.step("forward").unwrap();
    assert_eq!(forward.attempts(), 4);
    assert_eq!(
        forward.tries[2].error.as_ref().unwrap().message,
        "forward is busy"
    );
    let longest = [200, 400, 800];
    for (attempt, longest) in forward.tries.iter().zip(longest) {
        let wait = attempt.wake_at.unwrap().since(attempt.ended_at.unwrap());
        assert!(
            wait <= Duration::from_millis(longest)
                && wait >= Duration::from_millis(longest / 10 - 1),
            "{wait:?}"
        );
    }
    assert!(start.elapsed() <= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_plan_pauses_when_attempts_are_spent_and_resumes_from_there_with_fresh_ones() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Times(7));
    let node = house.node(1).await;
    let id = push(&node, "latest").await;

    let paused = node.wait(id, FOR_EVER).await.unwrap();
    let task = node.task(id).await.unwrap();
    let preview = node.resume_preview(id, None).await.unwrap();
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (paused.state, paused.reason),
        (PlanState::Paused, Some(Reason::Error))
    );
    assert!(
        task.headline
            .ends_with("step copy failed 5 times: copy is busy"),
        "{}",
        task.headline
    );
    assert_eq!(
        task.waiting_for
            .iter()
            .map(|it| it.kind)
            .collect::<Vec<_>>(),
        [WaitingKind::Operator]
    );
    assert_eq!(
        preview.would_run,
        ["copy", "ensure_repository", "distribute", "sync_proxies"]
    );
    assert_eq!(preview.asks_for_locks, ["busybox"]);
    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(
        ended.step("copy").unwrap().attempts(),
        8,
        "attempt numbers go on"
    );
    for done in ["authorize", "forward", "ensure_product"] {
        assert_eq!(
            ended.step(done),
            paused.step(done),
            "a recorded step is never touched again"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_pauses_at_once_while_other_branches_end() {
    let house = House::new();
    house.outside.make_wrong("ensure_product", Wrong::ForGood);
    let node = house.node(1).await;

    let id = push(&node, "latest").await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.state, PlanState::Paused);
    assert_eq!(plan.step("ensure_product").unwrap().attempts(), 1);
    assert_eq!(plan.step("copy").unwrap().state, StepState::Success);
    assert_eq!(
        plan.step("ensure_repository").unwrap().state,
        StepState::Pending
    );
    assert!(
        house.store.table().await.is_empty(),
        "a failed transactional step leaves no write"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_authorize_ends_the_plan_with_error_and_a_resume_runs_it_again() {
    let house = House::new();
    house.outside.make_wrong("authorize", Wrong::ForGood);
    let node = house.node(1).await;

    let id = push(&node, "latest").await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let headline = node.task(id).await.unwrap().headline;
    house.outside.mend();
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (plan.state, plan.result),
        (PlanState::Stopped, PlanResult::Error)
    );
    assert_eq!(plan.step("forward").unwrap().state, StepState::Cancelled);
    assert_eq!(
        headline,
        "Push of busybox:latest failed: step authorize failed once: authorize is broken"
    );
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_time_out_are_errors_of_the_attempt() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Panics);
    house.outside.make_wrong("sync_proxies", Wrong::Hangs);
    let node = house.node(1).await;
    let id = push(&node, "latest").await;

    let panicked = node.wait(id, FOR_EVER).await.unwrap();
    house.outside.make_wrong("forward", Wrong::Times(0));
    node.act(id, wants(Action::Resume)).await.unwrap();
    let timed_out = node.wait(id, FOR_EVER).await.unwrap();

    let error = panicked.step("forward").unwrap().error.clone().unwrap();
    assert_eq!(
        (error.class.as_str(), error.message.as_str()),
        ("panic", "the step panicked: forward fell over")
    );
    let error = timed_out
        .step("sync_proxies")
        .unwrap()
        .error
        .clone()
        .unwrap();
    assert_eq!(error.class, "timeout");
    assert_eq!(
        error.message,
        "the attempt did not end within 3 s and was dropped"
    );
    assert_eq!(timed_out.step("sync_proxies").unwrap().attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_warns_makes_the_plan_end_with_warning() {
    let house = House::new();
    let node = house.node(1).await;

    let id = push(&node, "warn").await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Warning);
    assert!(
        node.task(id)
            .await
            .unwrap()
            .headline
            .ends_with("is done, with a warning: proxy `far` is behind")
    );
}

#[tokio::test(start_paused = true)]
async fn a_queued_plan_names_its_holder_and_runs_when_that_is_past_distribute() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Times(1));
    house.outside.make_wrong("sync_proxies", Wrong::Hangs);
    let node = house.node(1).await;
    let first = push(&node, "one").await;
    let second = push(&node, "two").await;

    let waiting = node.task(second).await.unwrap();
    let done = reaches(&node, second, is_at("distribute", StepState::Success)).await;
    let holder = node.plan(first).await.unwrap();

    assert_eq!(waiting.state, PlanState::Pending);
    assert_eq!(
        (waiting.waiting_for[0].kind, waiting.waiting_for[0].task),
        (WaitingKind::Lock, Some(first))
    );
    assert!(
        waiting
            .headline
            .contains("lock busybox: position 1, behind task"),
        "{}",
        waiting.headline
    );
    assert_eq!(
        (waiting.locks[0].state, waiting.locks[0].position),
        ("queued", 1)
    );
    assert_eq!(waiting.steps.unwrap()[0].state, "waiting");
    assert_ne!(done.seq, 0);
    assert_eq!(
        holder.state,
        PlanState::Running,
        "the first one still syncs proxies"
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_plan_steps_aside_and_queues_again_on_resume() {
    let house = House::new();
    let node = house.node(1).await;
    house.outside.make_wrong("forward", Wrong::ForGood);
    let broken = push(&node, "broken").await;
    assert_eq!(
        node.wait(broken, FOR_EVER).await.unwrap().state,
        PlanState::Paused
    );
    house.outside.mend();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let next = push(&node, "next").await;
    reaches(&node, next, is_at("copy", StepState::Running)).await;

    node.act(broken, wants(Action::Resume)).await.unwrap();
    let waiting = node.task(broken).await.unwrap();
    house.outside.mend();
    let ended = node.wait(broken, FOR_EVER).await.unwrap();

    assert_eq!(
        waiting.state,
        PlanState::Running,
        "a resumed plan that waits for its lock is not paused"
    );
    assert_eq!(waiting.waiting_for[0].task, Some(next));
    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(node.plan(next).await.unwrap().result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_taken_while_its_plan_is_open_and_a_second_submit_attaches() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::ForGood);
    let node = house.node(1).await;
    let first = push(&node, "latest").await;
    node.wait(first, FOR_EVER).await.unwrap();

    assert_eq!(push(&node, "latest").await, first);
    house.outside.mend();
    node.act(first, wants(Action::Resume)).await.unwrap();
    node.wait(first, FOR_EVER).await.unwrap();

    assert_ne!(push(&node, "latest").await, first);
}

#[tokio::test(start_paused = true)]
async fn retry_now_does_not_wait_for_the_back_off() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Times(4));
    let node = house.node(1).await;
    let id = push(&node, "latest").await;
    let retrying = reaches(&node, id, |plan| {
        plan.step("forward")
            .is_some_and(|it| it.is_retrying() && it.failures == 4)
    })
    .await;
    let due = retrying.step("forward").unwrap().wake_at.unwrap();
    assert_eq!(
        node.task(id).await.unwrap().waiting_for[0].kind,
        WaitingKind::Retry
    );

    let now = node
        .act(
            id,
            wants(Action::RetryNow {
                step: "forward".into(),
            }),
        )
        .await
        .unwrap();
    let unknown = node
        .act(
            id,
            wants(Action::RetryNow {
                step: "nonsense".into(),
            }),
        )
        .await
        .unwrap_err();

    let begun = now.step("forward").unwrap().tries[4].started_at;
    assert!(begun < due, "begun at {begun}, due at {due}");
    assert!(
        unknown.to_string().contains("it has no such step"),
        "{unknown}"
    );
    assert_eq!(
        node.wait(id, FOR_EVER).await.unwrap().result,
        PlanResult::Success
    );
}

#[tokio::test(start_paused = true)]
async fn cancel_lets_a_body_end_and_drops_it_after_the_grace() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let node = house.node(1).await;
    let id = push(&node, "latest").await;
    reaches(&node, id, is_at("copy", StepState::Running)).await;
    let start = Instant::now();

    node.act(id, wants(Action::Cancel)).await.unwrap();
    let cancelling = node.plan(id).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert!(cancelling.cancelling && cancelling.state == PlanState::Running);
    assert!(
        start.elapsed() >= Duration::from_secs(10),
        "the grace is 10 s"
    );
    assert_eq!(
        (ended.result, ended.reason),
        (PlanResult::Cancelled, Some(Reason::Operator))
    );
    assert_eq!(
        ended.step("forward").unwrap().state,
        StepState::Success,
        "what is done stays done"
    );
    assert_eq!(ended.step("copy").unwrap().state, StepState::Cancelled);
    assert_eq!(
        check(id, &house.store.load(id).await.unwrap()),
        Vec::<String>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_plan_that_is_cancelled_ends_at_once() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::ForGood);
    let node = house.node(1).await;
    let id = push(&node, "latest").await;
    node.wait(id, FOR_EVER).await.unwrap();

    let ended = node.act(id, wants(Action::Cancel)).await.unwrap();

    assert_eq!(
        (ended.state, ended.result),
        (PlanState::Stopped, PlanResult::Cancelled)
    );
    assert_eq!(
        ended.step("copy").unwrap().state,
        StepState::Error,
        "what failed is shown as failed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_superseded_plan_ends_unless_it_is_at_work() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Hangs);
    let node = house.node(1).await;
    let (first, second) = (push(&node, "one").await, push(&node, "two").await);
    let third = PlanId(Uuid::from_u128(3));

    let at_work = node
        .act(first, wants(Action::Supersede { by: third }))
        .await
        .unwrap_err();
    let queued = node
        .act(second, wants(Action::Supersede { by: third }))
        .await
        .unwrap();

    assert!(matches!(at_work, NodeError::Refused(_)), "{at_work}");
    assert_eq!(
        (queued.result, queued.reason),
        (PlanResult::Cancelled, Some(Reason::Superseded))
    );
    assert_eq!(queued.superseded_by, Some(third));
    assert_eq!(
        house.outside.count("forward"),
        1,
        "the superseded one never began"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_recorded_ticket_is_polled_and_nothing_is_started_twice() {
    let house = House::new();
    let dying = Faulty::dying(house.store.clone(), 4, Moment::After); // submit, authorize, forward, product, ticket
    let node = house.node_on(1, dying.clone()).await;
    let id = push(&node, "latest").await;
    dying.death().await;
    node.kill().await;
    let left = Plan::fold(id, &house.store.load(id).await.unwrap());
    assert_eq!(
        left.step("copy").unwrap().state,
        StepState::Suspended,
        "the crash is at the ticket"
    );

    let heir = house.node(1).await;
    let ended = heir.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    assert_eq!(house.outside.count("copy"), 1, "started once");
    assert_eq!(house.outside.count("poll"), 3);
    assert_eq!(ended.epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn plans_of_a_dead_node_are_taken_over_after_its_lease() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let node = house.node(1).await;
    let other = house.node(2).await;
    let id = push(&node, "latest").await;
    reaches(&node, id, is_at("copy", StepState::Running)).await;
    node.kill().await;
    house.outside.mend();
    let start = Instant::now();

    let ended = other.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    let copy = ended.step("copy").unwrap();
    assert_eq!(
        (
            copy.attempts(),
            copy.tries[0].error.as_ref().unwrap().class.as_str()
        ),
        (2, "interrupted")
    );
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(8) && took <= Duration::from_secs(15),
        "{took:?}"
    );
    let by_other = ended.steps.iter().filter(|step| {
        step.tries
            .last()
            .is_some_and(|last| last.node == other.id())
    });
    assert_eq!(by_other.count(), 4, "copy, repository, distribute, proxies");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_thought_dead_is_fenced() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let zombie = house.node(1).await;
    let id = push(&zombie, "latest").await;
    let stale = reaches(&zombie, id, is_at("copy", StepState::Running)).await;
    let heir = house.node(1).await; // the same id: it takes over at once
    house.outside.mend();
    let ended = heir.wait(id, FOR_EVER).await.unwrap();
    let rows = house.store.load(id).await.unwrap();

    let decision = engine::decide::decide(
        &stale,
        engine::decide::Happening::Succeeded {
            step: 2,
            output: engine::journal::Json::of(&1).unwrap(),
            warning: None,
            form: 1,
        },
        house.clock.now(),
        zombie.id(),
    )
    .unwrap();
    let late = engine::store::Append::new(&stale, &decision, zombie.id(), 1).unwrap();
    let refused = house.store.append(late).await;

    assert!(
        matches!(refused, Err(engine::store::StoreError::Fenced { .. })),
        "{refused:?}"
    );
    assert_eq!(ended.output_of("copy").unwrap().text(), "7");
    assert_eq!(house.store.load(id).await.unwrap(), rows);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_kills_its_node_again_and_again_is_paused_as_poison() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let mut node = house.node(1).await;
    let id = push(&node, "latest").await;
    for owners in 0..=engine::decide::MAX_RECOVERIES {
        let runs = |plan: &Plan| plan.epoch == owners && is_at("copy", StepState::Running)(plan);
        reaches(&node, id, runs).await;
        node.kill().await;
        node = house.node(1).await;
    }

    let poisoned = node.wait(id, FOR_EVER).await.unwrap();
    house.outside.mend();
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (poisoned.state, poisoned.reason),
        (PlanState::Paused, Some(Reason::Poison))
    );
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn mail_from_another_node_is_found_by_the_poll() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let owner = house.node(1).await;
    let other = house.node(2).await;
    let id = push(&owner, "latest").await;
    reaches(&owner, id, is_at("copy", StepState::Running)).await;

    let seen = other.act(id, wants(Action::Cancel)).await.unwrap();
    let ended = owner.wait(id, FOR_EVER).await.unwrap();

    assert!(seen.cancelling);
    assert_eq!(ended.result, PlanResult::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_work_end_and_leaves_what_waits_to_the_next_start() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Times(1));
    let node = house.node(1).await;
    let first = push(&node, "one").await;
    let second = push(&node, "two").await;
    reaches(&node, first, |plan| {
        plan.step("copy")
            .is_some_and(engine::plan::StepStatus::is_retrying)
    })
    .await;

    node.drain(Duration::from_secs(30)).await;
    let refused = node.submit(&Push::of("busybox", "late"), None).await;
    let left = Plan::fold(first, &house.store.load(first).await.unwrap());
    let next = house.node(1).await;
    let ended = (
        next.wait(first, FOR_EVER).await.unwrap(),
        next.wait(second, FOR_EVER).await.unwrap(),
    );

    assert!(matches!(refused, Err(NodeError::Draining)));
    assert!(
        left.steps
            .iter()
            .all(|step| step.state != StepState::Running),
        "nothing was interrupted: {left:?}"
    );
    assert_eq!(
        (ended.0.result, ended.1.result),
        (PlanResult::Success, PlanResult::Success)
    );
    assert_eq!(ended.0.recoveries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_plans_on_one_lock_run_one_after_the_other() {
    let house = House::new();
    let node = house.node(1).await;
    let mut plans = Vec::new();
    for tag in 0..100 {
        plans.push(push(&node, &tag.to_string()).await);
    }

    let mut spans = Vec::new();
    for plan in plans {
        let ended = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success);
        let at = |step: &str| ended.step(step).unwrap().tries[0].clone();
        spans.push((
            at("authorize").started_at,
            at("distribute").ended_at.unwrap(),
        ));
    }

    assert!(
        spans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "no two overlap"
    );
}

#[tokio::test(start_paused = true)]
async fn plans_of_a_workflow_that_nobody_knows_wait_untouched_and_can_be_cancelled() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let node = house.node(1).await;
    let mut plans = Vec::new();
    for n in 0..40 {
        let push = Push::of(&format!("repository {n}"), "latest");
        plans.push(node.submit(&push, None).await.unwrap());
    }
    for id in &plans {
        reaches(&node, *id, is_at("copy", StepState::Running)).await;
    }
    node.kill().await;
    let (id, last) = (plans[0], plans[39]);
    let before = house.store.load(id).await.unwrap();

    let ignorant = house.ignorant_node(1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let meanwhile = house.store.load(id).await.unwrap();
    ignorant.act(id, wants(Action::Cancel)).await.unwrap();
    let cancelled = ignorant.wait(id, FOR_EVER).await.unwrap();
    ignorant.kill().await;
    house.outside.mend();
    let knowing = house.node(1).await;
    let ended = knowing.wait(last, FOR_EVER).await.unwrap();

    assert_eq!(meanwhile, before, "nothing can be done with it");
    assert_eq!(cancelled.result, PlanResult::Cancelled);
    assert_eq!(ended.result, PlanResult::Success);
}

#[tokio::test(start_paused = true)]
async fn an_action_on_a_plan_that_cannot_be_read_is_refused_with_the_reason() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let node = house.node(1).await;
    let id = push(&node, "latest").await;
    let running = reaches(&node, id, is_at("copy", StepState::Running)).await;
    node.kill().await;
    let mut damaged = house.store.load(id).await.unwrap()[0].clone();
    damaged.seq = running.seq + 1;
    let damaged = engine::store::Append {
        plan: id,
        entries: serde_json::to_string(&damaged.entries).unwrap(),
        row: damaged,
        head: None,
        let_go: Vec::new(),
        asked_for: Vec::new(),
        notices: vec![],
        mail: None,
        gives_key_up: false,
    };
    house.store.append(damaged).await.unwrap();
    let node = house.node(1).await;

    let refused = node.act(id, wants(Action::Cancel)).await;

    let Err(NodeError::Refused(refused)) = refused else {
        panic!("{refused:?}")
    };
    assert!(refused.to_string().contains("submitted twice"), "{refused}");
    assert_eq!(house.store.mail(id).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_cancelled_ends_although_it_has_killed_its_node_again_and_again() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Hangs);
    let mut node = house.node(1).await;
    let id = push(&node, "latest").await;
    for owners in 0..=engine::decide::MAX_RECOVERIES {
        let runs = |plan: &Plan| plan.epoch == owners && is_at("copy", StepState::Running)(plan);
        reaches(&node, id, runs).await;
        if owners == engine::decide::MAX_RECOVERIES {
            node.act(id, wants(Action::Cancel)).await.unwrap();
        }
        node.kill().await;
        node = house.node(1).await;
    }

    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (ended.state, ended.result, ended.reason),
        (
            PlanState::Stopped,
            PlanResult::Cancelled,
            Some(Reason::Operator)
        )
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_a_plan_sees_it_grow_through_its_pause_to_its_end() {
    let house = House::new();
    house.outside.make_wrong("copy", Wrong::Times(7));
    let node = house.node(1).await;
    let id = push(&node, "latest").await;
    let (mut seen, mut pauses) = (0, 0);

    loop {
        let plan = node.beyond(id, seen, FOR_EVER).await.unwrap();
        assert!(plan.seq > seen);
        seen = plan.seq;
        if plan.state == PlanState::Paused {
            pauses += 1;
            node.act(id, wants(Action::Resume)).await.unwrap();
        } else if plan.state == PlanState::Stopped {
            break;
        }
    }

    assert_eq!(pauses, 1);
    let later = node.beyond(id, seen, Duration::from_secs(5)).await.unwrap();
    assert_eq!(later.seq, seen, "past its time, the plan as it is");
}
