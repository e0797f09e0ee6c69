//! It fails, repeats and crashes anywhere, and ends as if nothing had happened.

use super::script::{EACH, Script};
use super::stage::{Calm, Stage, calm, calm_by, spread, states};
use super::{Done, World};
use crate::journal::{Action, GraphStep, PlanResult, comes_after};
use crate::node::Effect;
use crate::prove::{Faulty, Moment};
use crate::state::{PlanState, StepState};

/// A step that fails for good does to its plan what its rescue strategy says; where that needs a person or ends the plan, all is
/// as if it had not failed once it is mended and the plan resumed, and no step that was done has run again.
pub async fn fail_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let script = Script::default().befalling(step, Effect::Fail);
        let mut stage = Stage::<W>::set(script).await;
        let failed = stage.settled().await;
        stage.script.mend();
        let caused = stage.script.counts().faults;
        match (failed.state, failed.result) {
            _ if caused == 0 => assert_eq!(
                failed.result,
                PlanResult::Success,
                "step {step} was recorded by the request and ran nowhere"
            ),
            (PlanState::Paused, _) | (PlanState::Stopped, PlanResult::Error) => {
                stage.must(Action::Resume).await;
                let ended = stage.settled().await;
                assert_eq!(
                    ended.result,
                    PlanResult::Success,
                    "after step {step} was mended: {}",
                    states(&ended)
                );
                for (before, after) in failed.steps.iter().zip(&ended.steps) {
                    if before.state == StepState::Success {
                        assert_eq!(before, after, "a recorded step is never touched again");
                    }
                }
                assert_eq!(
                    stage.world.picture().await,
                    calm.picture,
                    "after step {step} failed and was mended"
                );
            }
            (_, PlanResult::Reverted) => {
                stage.is_reverted(&format!("step {step} failed")).await;
            }
            (_, result) => assert_eq!(
                result,
                PlanResult::Warning,
                "without step {step}: {}",
                states(&failed)
            ),
        }
        stage.end(&mut done).await;
    }
    done
}

/// Each body may run twice, the first time forgotten: nothing differs.
pub async fn run_each_step_twice<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in calm.steps.iter().map(String::as_str).chain([EACH]) {
        let script = Script::default().befalling(step, Effect::RunTwice);
        let mut stage = Stage::<W>::set(script).await;
        let ended = stage.settled().await;
        assert_eq!(
            ended.result,
            PlanResult::Success,
            "with step {step} run twice: {}",
            states(&ended)
        );
        assert_eq!(
            stage.world.picture().await,
            calm.picture,
            "with step {step} run twice"
        );
        stage.end(&mut done).await;
    }
    done
}

/// The places of a crash among these writes that the world wants tried.
pub(super) fn crashes<W: World>(
    writes: std::ops::Range<usize>,
) -> impl Iterator<Item = (usize, Moment)> {
    let places: Vec<usize> = writes.collect();
    spread::<W, _>(&places)
        .into_iter()
        .flat_map(|write| [(write, Moment::Before), (write, Moment::After)])
}

/// The node dies before and after each durable write of the plan; its heir ends the plan the same way, and no step that was
/// recorded runs again.
pub async fn crash_before_and_after_each_append<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for (write, moment) in crashes::<W>(1..calm.writes) {
        crash_at::<W>(&calm, Script::default(), (write, moment), &mut done).await;
    }
    done
}

/// The same where transactional steps that follow each other are recorded by one commit, as they are without drills.
///
/// What was undone by the crash is run again with all that was to be committed with it; bodies after the first of a commit are not
/// counted.
pub async fn crash_before_and_after_each_commit_of_several_steps<W: World>() -> Done {
    let mut done = Done::default();
    let alone = calm::<W>(&mut done).await;
    let calm = calm_by::<W>(Script::together(), &mut done).await;
    assert_eq!(
        calm.picture, alone.picture,
        "steps do the same whether one commit records them or many"
    );
    assert!(
        calm.writes <= alone.writes + side_by_side(calm.plan.graph()),
        "{} writes of steps together, {} of each alone",
        calm.writes,
        alone.writes
    );
    for (write, moment) in crashes::<W>(1..calm.writes) {
        crash_at::<W>(&calm, Script::together(), (write, moment), &mut done).await;
    }
    done
}

/// Steps that may end at the same time as another one: where they do, one write records them also without this.
fn side_by_side(graph: &[GraphStep]) -> usize {
    let beside = |one: usize, other: usize| {
        !comes_after(graph, one, other) && !comes_after(graph, other, one)
    };
    let steps = (0..graph.len()).filter(|one| (0..graph.len()).any(|other| beside(*one, other)));
    steps.count()
}

async fn crash_at<W: World>(
    calm: &Calm,
    script: Script,
    (write, moment): (usize, Moment),
    done: &mut Done,
) {
    let when = format!("after a crash {moment:?} write {write}");
    let world = W::fresh().await;
    let dying = Faulty::dying(world.store(), write, moment);
    let Some(stage) = Stage::on_dying(world, &dying, script).await else {
        return;
    };
    tokio::select! {
        biased;
        () = dying.death() => {}
        () = stage.comes_to_rest() => {
            // Steps that ended side by side went into one row this time: it made fewer writes than the calm run.
            stage.end_on_dying(&dying, done).await;
            return;
        }
    }
    let recorded = stage.dies().await;
    done.faults += 1;

    let clock = stage.world.clock();
    let mut heir = stage.heir(clock).await;
    let ended = heir.settled().await;
    assert_eq!(
        ended.result,
        PlanResult::Success,
        "{when}: {}",
        states(&ended)
    );
    assert_eq!(heir.world.picture().await, calm.picture, "{when}");
    let counts = heir.end(done).await;
    recorded.assert_never_repeated(&counts, &when);
}
