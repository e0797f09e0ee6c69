//! What undoes a step is undone twice, fails, and is left: the plan says which, and the others are undone all the same.

use super::script::{EACH, Script};
use super::stage::{Calm, Stage, calm, states};
use super::{Done, World};
use crate::journal::{Action, Reason};
use crate::node::Effect;
use crate::plan::Plan;
use crate::state::{PlanState, StepState};

/// Each body that undoes a step may run twice, the first time forgotten: the world is as before the plan.
pub async fn undo_each_step_twice<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    let each = (!calm.undoable.is_empty()).then_some(EACH);
    for step in calm.undoable.iter().map(String::as_str).chain(each) {
        let script = Script::default().befalling_undo(step, Effect::RunTwice);
        let mut stage = reverting::<W>(&calm, script).await;
        stage
            .is_reverted(&format!("with step {step} undone twice"))
            .await;
        stage.end(&mut done).await;
    }
    done
}

/// All that the plan does has begun, its revert is asked, and what is under way may end.
async fn reverting<W: World>(calm: &Calm, script: Script) -> Stage<W> {
    let mut stage = Stage::<W>::set(calm.held_at_the_end::<W>(script)).await;
    assert!(stage.at_the_gate().await, "the last body begins");
    stage.must(Action::Revert).await;
    stage.script.open();
    stage
}

/// Where one step cannot be undone the plan pauses and names it, the others are undone, what it was built upon is not; once it is
/// mended and the plan resumed, the world is as before the plan.
pub async fn fail_to_undo_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.undoable {
        let mut stage = cannot_undo::<W>(&calm, step).await;
        stage.script.mend();
        stage.must(Action::Resume).await;
        stage
            .is_reverted(&format!("once undoing step {step} was mended"))
            .await;
        stage.end(&mut done).await;
    }
    done
}

async fn cannot_undo<W: World>(calm: &Calm, step: &str) -> Stage<W> {
    let script = Script::default().befalling_undo(step, Effect::Fail);
    let mut stage = reverting::<W>(calm, script).await;
    let paused = stage.settled().await;
    assert_eq!(
        (paused.state, paused.reason),
        (PlanState::Paused, Some(Reason::CompensationError)),
        "with step {step} not to be undone: {}",
        states(&paused)
    );
    for (index, known) in paused.graph().iter().enumerate() {
        let expected = if paused.steps[index].success.is_none() {
            continue;
        } else if known.name == step {
            StepState::CompensationError
        } else if known.undoable && !is_before(&paused, index, step) {
            StepState::Compensated
        } else {
            StepState::Success
        };
        assert_eq!(
            paused.steps[index].state, expected,
            "step {} with step {step} not to be undone",
            known.name
        );
    }
    let task = stage.node.task(stage.id).await.expect("it can be shown");
    assert!(
        task.headline.contains(step),
        "the headline names step {step}: {}",
        task.headline
    );
    stage
}

/// Whether the step at `index` is an ancestor of the other one.
fn is_before(plan: &Plan, index: usize, other: &str) -> bool {
    let mut after = vec![false; plan.graph().len()];
    for (place, known) in plan.graph().iter().enumerate() {
        after[place] = known
            .after
            .iter()
            .any(|before| *before == index || after[*before]);
        if after[place] && known.name == other {
            return true;
        }
    }
    false
}

/// What cannot be undone is left as it is when an operator accepts that: the others are undone, and the plan says what is left.
pub async fn accept_what_cannot_be_undone<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.undoable {
        accepted::<W>(&calm, step).await.end(&mut done).await;
    }
    done
}

async fn accepted<W: World>(calm: &Calm, step: &str) -> Stage<W> {
    let mut stage = cannot_undo::<W>(calm, step).await;
    let output = None;
    let skip = Action::Skip {
        step: step.to_owned(),
        output,
    };
    stage.must(skip).await;
    let ended = stage.settled().await;
    assert_eq!(
        ended.state,
        PlanState::Stopped,
        "with step {step} left as it is: {}",
        states(&ended)
    );
    for (known, status) in ended.graph().iter().zip(&ended.steps) {
        let expected = if status.success.is_none() {
            continue;
        } else if known.name == step {
            StepState::CompensationError
        } else if known.undoable {
            StepState::Compensated
        } else {
            StepState::Success
        };
        assert_eq!(
            status.state, expected,
            "step {} with step {step} left as it is",
            known.name
        );
    }
    let task = stage.node.task(stage.id).await.expect("it can be shown");
    assert!(
        task.headline.contains(step),
        "the headline names step {step}: {}",
        task.headline
    );
    stage
}

/// A step that says it can be undone has a compensation without which something is left: one that does nothing is caught.
pub async fn every_undoable_step_undoes_something<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.undoable {
        let stage = accepted::<W>(&calm, step).await;
        assert_ne!(
            stage.world.undone().await,
            stage.before,
            "step {step} is undoable, and nothing is left when it is not undone: its compensation or its policy is wrong"
        );
        stage.end(&mut done).await;
    }
    done
}
