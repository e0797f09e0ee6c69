//! A plan is reverted wherever it is, and the world is as before it.

use super::repeated::crashes;
use super::script::{Gate, Script};
use super::stage::{Calm, PATIENCE, Stage, calm, states, wanted};
use super::{Done, World};
use crate::clock::Clock;
use crate::journal::{Action, PlanResult};
use crate::node::{Effect, NodeError};
use crate::plan::Plan;
use crate::prove::{Faulty, Moment};
use std::time::Duration;

/// The revert is asked while a step is under way, and after it failed for good: what is under way comes to its end, everything
/// that left something behind is undone once, and the world is as before the plan.
pub async fn revert_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let script = Script::default().gate(Gate::Step(step.clone()));
        let mut stage = Stage::<W>::set(script).await;
        if stage.at_the_gate().await {
            let asked = stage.act(Action::Revert).await;
            stage.script.open();
            assert_reverts(
                &mut stage,
                &calm,
                asked.map(drop),
                &format!("while step {step} ran"),
            )
            .await;
        }
        stage.end(&mut done).await;

        let script = Script::default().befalling(step, Effect::Fail);
        let mut stage = Stage::<W>::set(script).await;
        let failed = stage.settled().await;
        let when = format!("after step {step} failed");
        if failed.result == PlanResult::Reverted {
            stage.is_reverted(&when).await; // its rescue strategy did it
        } else if may_be_reverted(&failed) {
            let asked = stage.act(Action::Revert).await;
            assert_reverts(&mut stage, &calm, asked.map(drop), &when).await;
        }
        stage.end(&mut done).await;
    }
    done
}

/// It has not succeeded, or its success can be reverted.
pub(super) fn may_be_reverted(plan: &Plan) -> bool {
    !matches!(plan.result, PlanResult::Success | PlanResult::Warning)
        || plan.revertible_until().is_some()
}

/// What was asked comes true; of a plan that leaves nothing behind it is refused.
async fn assert_reverts<W: World>(
    stage: &mut Stage<W>,
    calm: &Calm,
    asked: Result<(), NodeError>,
    when: &str,
) {
    if calm.undoable.is_empty() {
        let refused = asked.expect_err("a plan without an undoable step is not reverted");
        assert!(
            refused
                .to_string()
                .contains("none of its steps can be undone"),
            "{when}: {refused}"
        );
        stage.settled().await;
        return;
    }
    asked.unwrap_or_else(|error| panic!("a revert {when} must fit: {error}"));
    let ended = stage.is_reverted(when).await;
    let counts = stage.script.counts();
    for (known, step) in ended.graph().iter().zip(&ended.steps) {
        let undone = counts.undos.get(&known.name).copied().unwrap_or(0);
        let expected = usize::from(known.undoable && step.success.is_some());
        assert_eq!(
            undone,
            expected,
            "{when}: step {} is undone once if it was done: {}",
            known.name,
            states(&ended)
        );
    }
}

/// A finished plan is reverted as long as its workflow allows it, and not after that.
pub async fn revert_when_finished<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    let time = calm.plan.submitted.as_ref();
    let time = time.and_then(|submitted| submitted.revertible_for);

    let mut stage = Stage::<W>::set(Script::default()).await;
    stage.settled().await;
    let asked = stage.act(Action::Revert).await;
    if time.is_some() {
        assert_reverts(&mut stage, &calm, asked.map(drop), "when it was finished").await;
    } else {
        asked.expect_err("its workflow allows no revert of a success");
        assert_eq!(stage.world.picture().await, calm.picture);
    }
    stage.end(&mut done).await;

    let stage = Stage::<W>::set(Script::default()).await;
    let mut stage = finished_long_ago(stage, time.unwrap_or_default()).await;
    let refused = stage.act(Action::Revert).await;
    let refused = refused.expect_err("the time for a revert is over");
    assert!(
        time.is_none() || refused.to_string().contains("the time for that was over"),
        "{refused}"
    );
    assert_eq!(stage.world.picture().await, calm.picture);
    stage.end(&mut done).await;
    done
}

/// The plan is finished, and so much time has passed since.
async fn finished_long_ago<W: World>(mut stage: Stage<W>, time: Duration) -> Stage<W> {
    stage.settled().await;
    stage.node.drain(PATIENCE).await;
    let later = stage.world.clock().now() + time + Duration::from_secs(1);
    stage.heir(Clock::of_runtime(later)).await
}

/// The node dies before and after each durable write of a revert; its heir goes on, no step that was recorded runs again, and
/// none that was undone is undone again.
pub async fn crash_before_and_after_each_append_while_reverting<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    if calm.undoable.is_empty() {
        return done;
    }
    let script = calm.held_at_the_end::<W>(Script::default());
    let world = W::fresh().await;
    let store = Faulty::sound(world.store());
    let mut stage = Stage::on(world, store.clone(), script).await;
    assert!(stage.at_the_gate().await, "the last body begins");
    stage.must(Action::Revert).await;
    let asked = store.writes();
    stage.script.open();
    stage.is_reverted("while the last step ran").await;
    stage.end(&mut done).await;

    for (write, moment) in crashes::<W>(asked - 1..store.writes()) {
        crash_at::<W>(&calm, write, moment, &mut done).await;
    }
    done
}

async fn crash_at<W: World>(calm: &Calm, write: usize, moment: Moment, done: &mut Done) {
    let when = format!("after a crash {moment:?} write {write} of a revert");
    let world = W::fresh().await;
    let dying = Faulty::dying(world.store(), write, moment);
    let script = calm.held_at_the_end::<W>(Script::default());
    let Some(stage) = Stage::on_dying(world, &dying, script).await else {
        return;
    };
    let reverts = async {
        stage.at_the_gate().await;
        let asked = stage.node.act(stage.id, wanted(Action::Revert)).await;
        stage.script.open();
        asked.expect("a plan under way can be reverted");
        stage.comes_to_rest().await;
    };
    let survived = tokio::select! {
        biased;
        () = dying.death() => false,
        () = reverts => true,
    };
    if survived {
        stage.end_on_dying(&dying, done).await; // with fewer writes than the calm run: what ended side by side went into one row
        return;
    }
    let recorded = stage.dies().await;
    done.faults += 1;
    done.actions += 1;

    let clock = stage.world.clock();
    let mut heir = stage.heir(clock).await;
    if !recorded.plan.reverting {
        // Nobody knows whether the message is durable: it is sent again, and refused if it was.
        drop(heir.act(Action::Revert).await);
    }
    heir.script.open();
    heir.is_reverted(&when).await;
    let counts = heir.end(done).await;
    recorded.assert_never_repeated(&counts, &when);
}
