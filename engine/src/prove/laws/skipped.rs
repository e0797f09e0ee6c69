//! A step that fails is left out, with and without something that stands for its output.

use super::reverted::may_be_reverted;
use super::script::Script;
use super::stage::{Calm, Stage, calm, states};
use super::{Done, World};
use crate::journal::{Action, Json, PlanResult};
use crate::node::Effect;
use crate::plan::Plan;
use crate::state::{PlanState, StepState};

/// Each step fails for good and is skipped, once with nothing and once with the output that it has in the calm run: the plan ends
/// with a warning, and exactly those are skipped with it that need what it did not leave.
///
/// Where [`World::LEANS`] says so, a later step may fail of it, and the plan waits for a person again.
pub async fn skip_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        skip::<W>(&calm, step, None, &mut done).await;
        let output = calm.plan.output_of(step).cloned();
        skip::<W>(&calm, step, output, &mut done).await;
    }
    done
}

async fn skip<W: World>(calm: &Calm, step: &str, output: Option<Json>, done: &mut Done) {
    let script = Script::default().befalling(step, Effect::Fail);
    let mut stage = Stage::<W>::set(script).await;
    let failed = stage.settled().await;
    if stage.script.counts().faults > 0 && failed.state == PlanState::Paused {
        let skip = Action::Skip {
            step: step.to_owned(),
            output: output.clone(),
        };
        stage.must(skip).await;
        let ended = stage.settled().await;
        assert_eq!(
            ended.step(step).map(|it| (it.state, &it.output)),
            Some((StepState::Skipped, &output)),
            "{}",
            states(&ended)
        );
        let fell_over = W::LEANS && ended.state == PlanState::Paused;
        assert!(
            fell_over || ended.result == PlanResult::Warning,
            "without step {step}: {}",
            states(&ended)
        );
        if !fell_over {
            assert_skipped_with_it(&ended, step);
        }
        if !calm.undoable.is_empty() && may_be_reverted(&ended) {
            stage.must(Action::Revert).await;
            stage.is_reverted(&format!("without step {step}")).await;
        }
    } else if failed.result == PlanResult::Warning {
        assert_skipped_with_it(&failed, step);
    }
    stage.end(done).await;
}

/// Those that need what was not left are skipped, all others have run.
fn assert_skipped_with_it(plan: &Plan, step: &str) {
    for (index, known) in plan.graph().iter().enumerate() {
        let skipped = known.name == step || plan.lacks(index).is_some();
        let expected = if skipped {
            StepState::Skipped
        } else {
            StepState::Success
        };
        assert_eq!(
            plan.steps[index].state,
            expected,
            "step {} without step {step}: {}",
            known.name,
            states(plan)
        );
    }
}
