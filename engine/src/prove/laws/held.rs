//! A plan is held wherever it is: nothing begins until it is released, and then it ends as if nothing had happened.

use super::script::{Gate, Script};
use super::stage::{Stage, calm, states};
use super::{Done, World};
use crate::journal::{Action, Entry, PlanResult, Row};
use crate::store::Store;

/// Held while a step is under way, the plan lets that end and begins nothing; released, it ends as in the calm run.
pub async fn hold_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let script = Script::default().gate(Gate::Step(step.clone()));
        let mut stage = Stage::<W, _>::set(script).await;
        if stage.at_the_gate().await {
            stage.must(Action::Hold).await;
            stage.script.open();
            let quiet = stage.quiet().await;
            if !quiet.has_settled() {
                stage.must(Action::Release).await;
            }
        }
        let ended = stage.settled().await;
        assert_eq!(
            ended.result,
            PlanResult::Success,
            "held while step {step} ran: {}",
            states(&ended)
        );
        assert_eq!(
            stage.world.picture().await,
            calm.picture,
            "held while step {step} ran"
        );
        let rows = stage.node.store().load(stage.id).await;
        assert_eq!(
            began_while_held(&rows.expect("the store can be read")),
            0,
            "held while step {step} ran"
        );
        stage.end(&mut done).await;
    }
    done
}

/// How many steps began between a hold and its release.
fn began_while_held(rows: &[Row]) -> usize {
    let (mut held, mut began) = (false, 0);
    for entry in rows.iter().flat_map(|row| &row.entries) {
        if matches!(entry, Entry::Held) {
            held = true;
        } else if matches!(entry, Entry::Released) {
            held = false;
        } else if held
            && matches!(
                entry,
                Entry::StepStarted { .. } | Entry::Compensating { .. }
            )
        {
            began += 1;
        }
    }
    began
}
