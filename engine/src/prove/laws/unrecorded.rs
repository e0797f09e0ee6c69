//! A step does its work, and its success is not recorded: it fails after that, or never returns and is timed out.

use super::script::Script;
use super::stage::{Calm, Stage, calm, states};
use super::{Done, World};
use crate::journal::{Action, PlanResult, Reason};
use crate::node::Effect;
use crate::plan::Plan;
use crate::state::{PlanState, StepState};
use std::time::Duration;

/// All attempts of a step may time out one after the other.
const ALL_ATTEMPTS: Duration = Duration::from_hours(1);

/// A step fails for good after its work is done: once it is mended and the plan resumed, that is done again, all is as if it had
/// happened once, and no step that was recorded has run again.
///
/// Steps that must not run twice are left alone: one of them that says it has failed says that it left nothing. Where the failure
/// reverts the plan, the same is believed of every step.
pub async fn fail_after_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        unrecorded::<W>(&calm, step, Effect::FailAfter, &mut done).await;
    }
    done
}

/// The body of a step does its work and never returns: each of its attempts is timed out. Once it is mended and the plan resumed,
/// all is as if it had happened once. One that must not run twice has one attempt, and a person looks whether it happened.
///
/// In a world whose time does not move by itself the attempt ends as one that was timed out ends ([`World::HANGS`]): that the
/// step's own limit drops its body is shown by worlds whose time does.
pub async fn time_out_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let effect = Effect::HangAfter(W::HANGS);
        unrecorded::<W>(&calm, step, effect, &mut done).await;
    }
    done
}

/// The world when the step has failed without having done anything; none where that reverts the plan, or does not happen.
async fn picture_without<W: World>(step: &str, done: &mut Done) -> Option<String> {
    let script = Script::default().befalling(step, Effect::Fail);
    let mut stage = Stage::<W>::set(script).await;
    let failed = stage.settled().await;
    let stays = stage.script.counts().faults > 0 && failed.result != PlanResult::Reverted;
    let picture = stage.world.picture().await;
    stage.end(done).await;
    stays.then_some(picture)
}

async fn unrecorded<W: World>(calm: &Calm, step: &str, effect: Effect, done: &mut Done) {
    let without = picture_without::<W>(step, done).await;
    let when = if hangs(effect) {
        format!("after step {step} was timed out and mended")
    } else {
        format!("after step {step} failed after its work and was mended")
    };
    let script = Script::default().befalling(step, effect);
    let mut stage = Stage::<W>::set(script).await;
    let failed = stage.settled_within(ALL_ATTEMPTS).await;
    stage.script.mend();
    let counts = stage.script.counts();
    if let Some(without) = without.filter(|_| counts.faults > 0) {
        done.unrecorded += usize::from(stage.world.picture().await != without);
    }
    let known = failed.graph().iter().find(|known| known.name == step);
    let once = known.is_some_and(|known| known.once);
    if counts.faults == 0 || once {
        assert_eq!(
            failed.result,
            PlanResult::Success,
            "step {step} must not run twice, or was recorded by the request: {}",
            states(&failed)
        );
        assert_eq!(stage.world.picture().await, calm.picture, "{when}");
    } else {
        assert_failed_each_time(&failed, step, effect, counts.faults);
    }
    match (failed.state, failed.result) {
        (PlanState::Paused, _) | (PlanState::Stopped, PlanResult::Error) => {
            stage.must(Action::Resume).await;
            if failed.reverting {
                assert_eq!(failed.reason, Some(Reason::CompensationError), "{when}");
                stage.is_reverted(&when).await;
            } else {
                is_as_if_it_had_happened_once(&mut stage, calm, &failed, &when).await;
            }
            let again = stage.script.counts().bodies.get(step).copied();
            assert_eq!(
                again,
                Some(counts.bodies.get(step).copied().unwrap_or_default() + 1),
                "{when}: its body runs once more"
            );
        }
        (_, result) => assert!(
            matches!(
                result,
                PlanResult::Success | PlanResult::Warning | PlanResult::Reverted
            ),
            "{when}: {}",
            states(&failed)
        ),
    }
    let counts = stage.end(done).await;
    assert!(
        !once || counts.bodies.get(step).is_none_or(|bodies| *bodies == 1),
        "{when}: step {step} must not run twice"
    );
}

const fn hangs(effect: Effect) -> bool {
    matches!(effect, Effect::HangAfter(_))
}

/// It was tried as often as it may be, and nothing of it was recorded but that it failed so.
fn assert_failed_each_time(failed: &Plan, step: &str, effect: Effect, faults: usize) {
    let known = failed.graph().iter().find(|known| known.name == step);
    let (attempts, class) = if hangs(effect) {
        (known.map_or(0, |known| known.attempts), "timeout")
    } else {
        (1, "drill")
    };
    let status = failed.step(step);
    let error = status.and_then(|status| status.error.as_ref());
    assert_eq!(
        error.map(|error| error.class.as_str()),
        Some(class),
        "step {step} ends by {effect:?}: {}",
        states(failed)
    );
    assert!(
        status.is_some_and(|status| status.success.is_none()),
        "no success of step {step} is recorded: {}",
        states(failed)
    );
    let may_be_finished = failed.reverting || failed.result == PlanResult::Reverted;
    let attempts = usize::try_from(attempts).unwrap_or_default();
    assert!(
        faults == attempts || (may_be_finished && faults > attempts),
        "step {step} is tried {faults} times of {attempts}"
    );
}

async fn is_as_if_it_had_happened_once<W: World>(
    stage: &mut Stage<W>,
    calm: &Calm,
    failed: &Plan,
    when: &str,
) {
    let ended = stage.settled().await;
    assert_eq!(
        ended.result,
        PlanResult::Success,
        "{when}: {}",
        states(&ended)
    );
    for (before, after) in failed.steps.iter().zip(&ended.steps) {
        if before.state == StepState::Success {
            assert_eq!(before, after, "a recorded step is never touched again");
        }
    }
    assert_eq!(stage.world.picture().await, calm.picture, "{when}");
}
