//! A plan is cancelled or aborted wherever it is, and can be reverted after that.

use super::reverted::may_be_reverted;
use super::script::{Gate, Script};
use super::stage::{Stage, calm, states};
use super::{Done, World};
use crate::journal::{Action, PlanResult};
use crate::state::PlanState;

/// Cancelled while a step is under way, the plan lets that end and ends itself; where it can be undone, a revert does so.
pub async fn cancel_at_each_step<W: World>() -> Done {
    stop_at_each_step::<W>(&Action::Cancel, true).await
}

/// Aborted while the body of a step hangs, the plan drops it and ends; where it can be undone, a revert brings the dropped step
/// to a known end and restores the world.
pub async fn abort_at_each_step<W: World>() -> Done {
    stop_at_each_step::<W>(&Action::Abort, false).await
}

async fn stop_at_each_step<W: World>(action: &Action, ends_by_itself: bool) -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let when = format!("after {action:?} while step {step} ran");
        let script = Script::default().gate(Gate::Step(step.clone()));
        let mut stage = Stage::<W>::set(script).await;
        if !stage.at_the_gate().await {
            stage.end(&mut done).await; // the request has recorded it
            continue;
        }
        stage.must(action.clone()).await;
        if ends_by_itself {
            stage.script.open();
        }
        let ended = stage.settled().await;
        stage.script.open();
        assert!(
            ended.state == PlanState::Stopped
                && (ended.result == PlanResult::Cancelled
                    || (ends_by_itself
                        && matches!(ended.result, PlanResult::Success | PlanResult::Warning))),
            "{when}: {}",
            states(&ended)
        );
        if !calm.undoable.is_empty() && may_be_reverted(&ended) {
            stage.must(Action::Revert).await;
            stage.is_reverted(&when).await;
        }
        stage.end(&mut done).await;
    }
    done
}
