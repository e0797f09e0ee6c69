//! One case of a law: a fresh world, a node on it, a plan, and what is done to it.

use super::script::{Counts, Gate, Script};
use super::{Done, World};
use crate::check::check;
use crate::journal::{Action, GraphStep, Message, NodeId, PlanId, PlanResult, Reason};
use crate::node::{Drill, Effect, Node, NodeError, NodeOptions};
use crate::plan::{Plan, StepStatus};
use crate::prove::{Faulty, Watch};
use crate::state::StepState;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longer than any plan of a test takes, also on a slow disk.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

pub(super) type NodeOf<W> = Node<<W as World>::Services, Faulty<<W as World>::Store>>;

async fn start<W: World>(
    world: &W,
    store: Faulty<W::Store>,
    script: &Arc<Script>,
    clock: crate::clock::Clock,
) -> NodeOf<W> {
    let mut options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "prover");
    options.poll = Duration::from_millis(100);
    options.abort_grace = Duration::from_millis(20);
    let drill: Arc<dyn Drill> = script.clone();
    Node::start(
        options,
        store,
        world.services(),
        W::workflows(),
        clock,
        Some(drill),
    )
    .await
    .expect("a node starts on a sound store")
}

/// What a plan of this workflow looks like when nothing goes wrong.
pub(super) struct Calm {
    pub(super) picture: String,
    pub(super) plan: Arc<Plan>,
    /// Those that are tried.
    pub(super) steps: Vec<String>,
    /// Those that a revert undoes, as far as they are tried.
    pub(super) undoable: Vec<String>,
    pub(super) bodies: usize,
    pub(super) writes: usize,
}

pub(super) async fn calm<W: World>(done: &mut Done) -> Calm {
    calm_by::<W>(Script::default(), done).await
}

pub(super) async fn calm_by<W: World>(script: Script, done: &mut Done) -> Calm {
    let world = W::fresh().await;
    let store = Faulty::sound(world.store());
    let mut stage = Stage::on(world, store.clone(), script).await;
    let plan = stage.settled().await;
    assert_eq!(
        plan.result,
        PlanResult::Success,
        "the calm run of {} must succeed: {plan:?}",
        plan.workflow()
    );
    let writes = store.writes();
    let picture = stage.world.picture().await;
    let bodies = stage.script.counts().all_bodies();
    stage.end(done).await;
    let names = |which: fn(&&GraphStep) -> bool| -> Vec<String> {
        let which = plan.graph().iter().filter(which);
        spread::<W, _>(&which.map(|step| step.name.clone()).collect::<Vec<_>>())
    };
    Calm {
        picture,
        steps: names(|_| true),
        undoable: names(|step| step.undoable),
        plan,
        bodies,
        writes,
    }
}

/// As many of them as the world wants tried, from the first to the last.
pub(super) fn spread<W: World, T: Clone>(all: &[T]) -> Vec<T> {
    let (tried, last) = (W::TRIED.max(2), all.len().saturating_sub(1));
    if all.len() <= tried {
        return all.to_vec();
    }
    (0..tried)
        .map(|place| all[place * last / (tried - 1)].clone())
        .collect()
}

impl Calm {
    /// Holds the body that begins last of all, so that all others have begun by then; or the one that must fail, because what
    /// comes of it stays.
    pub(super) fn held_at_the_end<W: World>(&self, script: Script) -> Script {
        match W::POINT_OF_NO_RETURN {
            None => script.gate(Gate::Body(self.bodies)),
            Some(step) => script
                .befalling(step, Effect::Fail)
                .gate(Gate::Step(step.to_owned())),
        }
    }
}

/// A case: its parts, and what was done in it.
pub(super) struct Stage<W: World> {
    pub(super) world: W,
    pub(super) node: NodeOf<W>,
    pub(super) script: Arc<Script>,
    pub(super) id: PlanId,
    /// What a revert restores, as it was before the plan.
    pub(super) before: String,
    /// What is seen of the locks of all plans.
    watch: Arc<Watch>,
    /// The plan's journal is known to be at least so long.
    seq: i64,
    actions: usize,
}

impl<W: World> Stage<W> {
    pub(super) async fn set(script: Script) -> Self {
        let world = W::fresh().await;
        let store = Faulty::sound(world.store());
        Self::on(world, store, script).await
    }

    pub(super) async fn on(world: W, store: Faulty<W::Store>, script: Script) -> Self {
        let script = Arc::new(script.leaving_alone(W::BESIDE));
        let watch = Arc::<Watch>::default();
        let store = store.watched(&watch);
        let node = start(&world, store, &script, world.clock()).await;
        let before = world.undone().await;
        let id = world.submit(&node).await;
        Self {
            world,
            node,
            script,
            id,
            before,
            watch,
            seq: 0,
            actions: 0,
        }
    }

    /// The same on a store that dies. None: it died while plans beside the proven one were submitted.
    pub(super) async fn on_dying(
        world: W,
        dying: &Faulty<W::Store>,
        script: Script,
    ) -> Option<Self> {
        let stage = Self::on(world, dying.clone(), script);
        if W::BESIDE.is_empty() {
            return Some(stage.await); // its submit is the first write, at which nothing dies
        }
        tokio::select! {
            biased;
            stage = stage => Some(stage),
            () = dying.death() => None,
        }
    }

    /// Whether a body stands at the gate; otherwise the plan has settled without one.
    pub(super) async fn at_the_gate(&self) -> bool {
        tokio::select! {
            biased;
            () = self.script.reached() => true,
            _ = self.node.wait(self.id, PATIENCE) => false,
        }
    }

    /// Does what an operator wants.
    pub(super) async fn act(&mut self, action: Action) -> Result<Arc<Plan>, NodeError> {
        let plan = self.node.act(self.id, wanted(action)).await?;
        self.seq = self.seq.max(plan.seq);
        self.actions += 1;
        Ok(plan)
    }

    /// Does what an operator wants and what fits.
    pub(super) async fn must(&mut self, action: Action) -> Arc<Plan> {
        let told = format!("{action:?}");
        match self.act(action).await {
            Ok(plan) => plan,
            Err(error) => panic!("{told} must fit: {error}"),
        }
    }

    /// The plan once it is paused or stopped and every interrupted step has an answer.
    pub(super) async fn settled(&mut self) -> Arc<Plan> {
        self.settled_within(PATIENCE).await
    }

    /// The same, for one that may take longer than others.
    pub(super) async fn settled_within(&mut self, at_most: Duration) -> Arc<Plan> {
        loop {
            let plan = self.node.wait(self.id, at_most).await;
            let plan = plan.expect("a submitted plan is there");
            assert!(plan.has_settled(), "it settles in time: {}", states(&plan));
            if plan.seq < self.seq {
                // The row is durable; its actor has not published it yet.
                tokio::task::yield_now().await;
                continue;
            }
            if plan.reason != Some(Reason::Interrupted) {
                return plan;
            }
            for (known, step) in plan.graph().iter().zip(&plan.steps) {
                if step.state == StepState::Interrupted {
                    let output = self.world.looked_up(&known.name).await;
                    let step = known.name.clone();
                    self.must(Action::Resolve { step, output }).await;
                }
            }
        }
    }

    /// The plan once nothing of it is under way.
    pub(super) async fn quiet(&mut self) -> Arc<Plan> {
        self.quiet_once(|_| true).await
    }

    /// The same, once it is so.
    pub(super) async fn quiet_once(&mut self, is_so: impl Fn(&Plan) -> bool) -> Arc<Plan> {
        loop {
            let plan = self.node.plan(self.id).await;
            let plan = plan.expect("a submitted plan is there");
            let under_way = plan
                .steps
                .iter()
                .any(|it| it.state.is_under_way() && !awaits_a_start(it));
            if plan.seq >= self.seq && !under_way && is_so(&plan) {
                return plan;
            }
            let beyond = self.node.beyond(self.id, plan.seq, PATIENCE).await;
            let beyond = beyond.expect("a submitted plan is there");
            assert!(beyond.seq > plan.seq, "it moves: {}", states(&plan));
        }
    }

    /// It ends reverted, each recorded success that leaves something behind is undone, and the world is as before.
    pub(super) async fn is_reverted(&mut self, when: &str) -> Arc<Plan> {
        let ended = self.settled().await;
        assert_eq!(
            ended.result,
            PlanResult::Reverted,
            "{when}: {}",
            states(&ended)
        );
        for (known, step) in ended.graph().iter().zip(&ended.steps) {
            assert!(
                !known.undoable || step.state != StepState::Success,
                "{when}: step {} is left: {}",
                known.name,
                states(&ended)
            );
        }
        let stays = W::POINT_OF_NO_RETURN.and_then(|step| ended.step(step)?.success);
        if stays.is_none() {
            assert_eq!(
                self.world.undone().await,
                self.before,
                "{when}, and then reverted: {}",
                states(&ended)
            );
        }
        ended
    }

    /// Returns once nothing more happens to the plan by itself.
    pub(super) async fn comes_to_rest(&self) {
        let plan = self.node.wait(self.id, PATIENCE).await;
        let plan = plan.expect("a submitted plan is there");
        assert!(plan.has_settled(), "it settles in time: {}", states(&plan));
    }

    /// Its journal is sound, and at no commit two plans held what excludes each other; what was done is counted.
    pub(super) async fn end(self, done: &mut Done) -> Counts {
        assert_sound(self.node.store(), self.id).await;
        self.script.open();
        self.node.drain(PATIENCE).await;
        let counts = self.script.counts();
        *done += counts.done();
        self.watch.report(done);
        done.plans += 1;
        done.actions += self.actions;
        counts
    }

    /// The same on a store that may die yet, of what others do that the plan has set going.
    pub(super) async fn end_on_dying(self, dying: &Faulty<W::Store>, done: &mut Done) {
        tokio::select! {
            biased;
            () = dying.death() => {}
            _counts = self.end(done) => {}
        }
    }

    /// The node dies; what it had recorded, and what had run by then.
    pub(super) async fn dies(&self) -> Recorded {
        self.node.kill().await;
        let rows = self.world.store().load(self.id).await;
        let rows = rows.expect("the store can be read");
        Recorded {
            plan: Plan::fold(self.id, &rows),
            counts: self.script.counts(),
        }
    }

    /// Another node goes on in the same world.
    pub(super) async fn heir(self, clock: crate::clock::Clock) -> Stage<W> {
        let store = Faulty::sound(self.world.store()).watched(&self.watch);
        let node = start(&self.world, store, &self.script, clock).await;
        Stage {
            world: self.world,
            node,
            script: self.script,
            id: self.id,
            before: self.before,
            watch: self.watch,
            seq: 0,
            actions: self.actions,
        }
    }
}

/// Nothing of it goes on: its sub-tasks have ended or are not submitted yet.
fn awaits_a_start(step: &StepStatus) -> bool {
    let family = step.family.as_ref().filter(|family| !family.is_over());
    step.state == StepState::Suspended && family.is_some() && !step.has_open_children()
}

/// What was recorded when a node died.
pub(super) struct Recorded {
    pub(super) plan: Plan,
    counts: Counts,
}

impl Recorded {
    /// No recorded success, and nothing recorded as undone, has run again.
    pub(super) fn assert_never_repeated(&self, after: &Counts, when: &str) {
        for (known, step) in self.plan.graph().iter().zip(&self.plan.steps) {
            let name = &known.name;
            if step.success.is_some() {
                assert_eq!(
                    self.counts.bodies.get(name),
                    after.bodies.get(name),
                    "{when}: step {name} was recorded and has run again"
                );
            }
            if step.state == StepState::Compensated {
                assert_eq!(
                    self.counts.undos.get(name),
                    after.undos.get(name),
                    "{when}: step {name} was undone and is undone again"
                );
            }
        }
    }
}

pub(super) async fn assert_sound<St: Store>(store: &St, plan: PlanId) {
    let rows = store.load(plan).await.expect("the store can be read");
    assert_eq!(
        check(plan, &rows),
        Vec::<String>::new(),
        "the journal of a proven plan is sound"
    );
}

pub(super) fn wanted(action: Action) -> Message {
    Message {
        action,
        by: "prover".into(),
        reason: None,
    }
}

/// The plan in a line, for the message of a law that does not hold.
pub(super) fn states(plan: &Plan) -> String {
    let steps = plan.graph().iter().zip(&plan.steps);
    let steps: Vec<String> = steps
        .map(|(known, step)| format!("{} {}", known.name, step.state))
        .collect();
    format!(
        "{} {} {:?}: {}",
        plan.state,
        plan.result,
        plan.reason,
        steps.join(", ")
    )
}
