//! What must hold for every workflow: it fails, repeats and crashes anywhere, and ends as if nothing had happened.

use super::{Faulty, Moment};
use crate::check::check;
use crate::clock::Clock;
use crate::journal::{Action, Message, NodeId, PlanId, PlanResult};
use crate::node::{Drill, Effect, Node, NodeOptions, Workflows};
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use crate::step::{BoxFuture, Services};
use crate::store::Store;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Longer than any plan of a test takes, also on a slow disk.
const PATIENCE: Duration = Duration::from_mins(1);

/// The world that a workflow works on, made afresh for each case.
pub trait World: Sized + Send + Sync {
    /// What steps may use.
    type Services: Services;
    /// Where plans are kept.
    type Store: Store<Tx = <Self::Services as Services>::Tx> + Clone;

    /// A new world in which nothing has happened.
    fn fresh() -> impl Future<Output = Self>;
    /// Its store.
    fn store(&self) -> Self::Store;
    /// Its services.
    fn services(&self) -> Arc<Self::Services>;
    /// The workflows.
    fn workflows() -> Workflows<Self::Services>;
    /// Submits the plan, through whatever node.
    fn submit<St: Store<Tx = <Self::Services as Services>::Tx>>(
        &self,
        node: &Node<Self::Services, St>,
    ) -> impl Future<Output = PlanId> + Send;
    /// The world as people see it: equal pictures mean that nobody can tell the difference. No ids of plans, no times.
    fn picture(&self) -> impl Future<Output = String> + Send;
}

/// How much a law really did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Plans that ran.
    pub plans: usize,
    /// Bodies of steps that ran.
    pub executions: usize,
    /// Failures, repeats or crashes that were caused.
    pub faults: usize,
}

/// Befalls one step, and counts all bodies.
struct Scripted {
    step: String,
    effect: Option<Effect>,
    on: Mutex<bool>,
    executions: AtomicUsize,
    caused: AtomicUsize,
}

impl Scripted {
    fn new(step: &str, effect: Option<Effect>) -> Arc<Self> {
        Arc::new(Self {
            step: step.to_owned(),
            effect,
            on: Mutex::new(true),
            executions: AtomicUsize::new(0),
            caused: AtomicUsize::new(0),
        })
    }

    fn off(&self) {
        *self.on.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl Drill for Scripted {
    fn before<'a>(&'a self, _: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async move {
            self.executions.fetch_add(1, Ordering::SeqCst);
            let on = *self.on.lock().unwrap_or_else(PoisonError::into_inner);
            let effect = self
                .effect
                .filter(|_| on && (self.step == step || self.step == "*"));
            if effect.is_some() {
                self.caused.fetch_add(1, Ordering::SeqCst);
            }
            if effect == Some(Effect::RunTwice) {
                self.executions.fetch_add(1, Ordering::SeqCst);
            }
            effect
        })
    }
}

type NodeOf<W, St> = Node<<W as World>::Services, St>;

async fn start<W: World, St: Store<Tx = <W::Services as Services>::Tx>>(
    world: &W,
    store: St,
    drill: &Arc<Scripted>,
) -> NodeOf<W, St> {
    let mut options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "prover");
    options.poll = Duration::from_millis(100);
    let drill: Arc<dyn Drill> = drill.clone();
    Node::start(
        options,
        store,
        world.services(),
        W::workflows(),
        Clock::system(),
        Some(drill),
    )
    .await
    .expect("a node starts on a sound store")
}

/// What a plan of this workflow looks like when nothing goes wrong.
struct Calm {
    picture: String,
    steps: Vec<String>,
    recorded: usize,
    writes: usize,
}

async fn calm<W: World>(done: &mut Done) -> Calm {
    let world = W::fresh().await;
    let drill = Scripted::new("", None);
    let store = Faulty::sound(world.store());
    let node = start(&world, store.clone(), &drill).await;
    let before = store.writes();
    let id = world.submit(&node).await;
    let plan = node
        .wait(id, PATIENCE)
        .await
        .expect("a submitted plan is there");
    assert_eq!(
        plan.result,
        PlanResult::Success,
        "the calm run of {} must succeed: {plan:?}",
        plan.workflow()
    );
    let writes = store.writes() - before;
    assert_sound(&store, id).await;
    node.drain(PATIENCE).await;
    let executions = drill.executions.load(Ordering::SeqCst);
    done.plans += 1;
    done.executions += executions;
    let steps: Vec<String> = plan.graph().iter().map(|step| step.name.clone()).collect();
    Calm {
        picture: world.picture().await,
        recorded: steps.len() - executions,
        steps,
        writes,
    }
}

async fn assert_sound<St: Store>(store: &St, plan: PlanId) {
    let rows = store.load(plan).await.expect("the store can be read");
    assert_eq!(
        check(plan, &rows),
        Vec::<String>::new(),
        "the journal of a proven plan is sound"
    );
}

fn resume() -> Message {
    Message {
        action: Action::Resume,
        by: "prover".into(),
        reason: None,
    }
}

/// A step that fails for good pauses its plan or ends it; once it is mended and the plan resumed, all is as if it had not failed,
/// and no step that was done has run again.
pub async fn fail_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let world = W::fresh().await;
        let drill = Scripted::new(step, Some(Effect::Fail));
        let node = start(&world, world.store(), &drill).await;
        let id = world.submit(&node).await;
        let failed = node
            .wait(id, PATIENCE)
            .await
            .expect("a submitted plan is there");
        drill.off();
        if drill.caused.load(Ordering::SeqCst) == 0 {
            assert_eq!(
                failed.result,
                PlanResult::Success,
                "step {step} was recorded by the request and ran nowhere"
            );
        } else if failed.state == PlanState::Paused {
            let resumed = node
                .act(id, resume())
                .await
                .expect("a paused plan can be resumed");
            let ended = node
                .wait(resumed.id, PATIENCE)
                .await
                .expect("a resumed plan is there");
            assert_eq!(
                ended.result,
                PlanResult::Success,
                "after step {step} was mended: {ended:?}"
            );
            for (before, after) in failed.steps.iter().zip(&ended.steps) {
                if before.state == StepState::Success {
                    assert_eq!(before, after, "a recorded step is never touched again");
                }
            }
            assert_eq!(
                world.picture().await,
                calm.picture,
                "after step {step} failed and was mended"
            );
        } else {
            assert_eq!(
                (failed.state, failed.result),
                (PlanState::Stopped, PlanResult::Error),
                "{failed:?}"
            );
        }
        assert_sound(node.store(), id).await;
        node.drain(PATIENCE).await;
        done.plans += 1;
        done.executions += drill.executions.load(Ordering::SeqCst);
        done.faults += drill.caused.load(Ordering::SeqCst);
    }
    done
}

/// Each body may run twice, the first time forgotten: nothing differs.
pub async fn run_each_step_twice<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in calm.steps.iter().map(String::as_str).chain(["*"]) {
        let world = W::fresh().await;
        let drill = Scripted::new(step, Some(Effect::RunTwice));
        let node = start(&world, world.store(), &drill).await;
        let id = world.submit(&node).await;
        let ended = node
            .wait(id, PATIENCE)
            .await
            .expect("a submitted plan is there");
        assert_eq!(
            ended.result,
            PlanResult::Success,
            "with step {step} run twice: {ended:?}"
        );
        assert_eq!(
            world.picture().await,
            calm.picture,
            "with step {step} run twice"
        );
        assert_sound(node.store(), id).await;
        node.drain(PATIENCE).await;
        done.plans += 1;
        done.executions += drill.executions.load(Ordering::SeqCst);
        done.faults += drill.caused.load(Ordering::SeqCst);
    }
    done
}

/// The node dies before and after each durable write of the plan; its heir ends the plan the same way, and no step that was
/// recorded runs again.
pub async fn crash_before_and_after_each_append<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    let bodies = calm.steps.len() - calm.recorded;
    for (write, moment) in
        (1..calm.writes).flat_map(|write| [(write, Moment::Before), (write, Moment::After)])
    {
        let world = W::fresh().await;
        let drill = Scripted::new("", None);
        let dying = Faulty::dying(world.store(), write, moment);
        let node = start(&world, dying.clone(), &drill).await;
        let id = world.submit(&node).await;
        tokio::time::timeout(PATIENCE, dying.death())
            .await
            .expect("a plan makes as many writes as in the calm run");
        node.kill().await;
        done.faults += 1;

        let heir = start(&world, world.store(), &drill).await;
        let ended = heir
            .wait(id, PATIENCE)
            .await
            .expect("what was submitted is there");
        assert_eq!(
            ended.result,
            PlanResult::Success,
            "after a crash {moment:?} write {write}: {ended:?}"
        );
        assert_eq!(
            world.picture().await,
            calm.picture,
            "after a crash {moment:?} write {write}"
        );
        assert_sound(heir.store(), id).await;
        heir.drain(PATIENCE).await;
        let executions = drill.executions.load(Ordering::SeqCst);
        let parallel = 2; // a crash interrupts what was running, side by side at most
        assert!(
            executions <= bodies + parallel,
            "{executions} bodies ran after one crash {moment:?} write {write}; recorded ones ran again"
        );
        done.plans += 1;
        done.executions += executions;
    }
    done
}
