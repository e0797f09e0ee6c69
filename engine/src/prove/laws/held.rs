//! A plan is held wherever it is: nothing begins until it is released, and then it ends as if nothing had happened.

use super::script::{Gate, Script};
use super::stage::{Stage, calm, states};
use super::{Done, World};
use crate::gate::GateId;
use crate::journal::{Action, Entry, PlanResult, Row};
use crate::plan::Plan;
use crate::step::Work;
use crate::store::{Store, StoreError};

/// Held while a step is under way, the plan lets that end and begins nothing; released, it ends as in the calm run.
pub async fn hold_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let script = Script::default().gate(Gate::Step(step.clone()));
        let mut stage = Stage::<W>::set(script).await;
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

/// Its workflow is held while a step is under way: the plan lets that end and waits at the gate; released, it ends as in the calm
/// run, with as many attempts.
pub async fn hold_the_workflow_at_each_step<W: World>() -> Done {
    let mut done = Done::default();
    let calm = calm::<W>(&mut done).await;
    for step in &calm.steps {
        let script = Script::default().gate(Gate::Step(step.clone()));
        let mut stage = Stage::<W>::set(script).await;
        if stage.at_the_gate().await {
            let plan = stage.node.plan(stage.id).await;
            let plan = plan.expect("a submitted plan is there");
            let workflow = GateId::Workflow(plan.workflow().to_owned());
            let closed = stage
                .node
                .close_gate(workflow.clone(), "prover".into(), None, nothing())
                .await;
            assert!(closed.is_ok(), "nobody holds it yet: {closed:?}");
            stage.script.open();
            // Its sub-tasks go on and are submitted: they are of another workflow.
            let waits = |plan: &Plan| plan.has_settled() || plan.waits_at_a_gate();
            stage.quiet_once(waits).await;
            let open = stage
                .node
                .open_gate(workflow, "prover".into(), None, nothing())
                .await;
            assert!(open.is_ok(), "it is held: {open:?}");
            done.actions += 2;
        }
        let ended = stage.settled().await;
        assert_eq!(
            ended.result,
            PlanResult::Success,
            "held while step {step} ran: {}",
            states(&ended)
        );
        assert!(
            ended.steps.iter().all(|it| it.tries.len() <= 1),
            "waiting cost an attempt: {}",
            states(&ended)
        );
        assert_eq!(
            stage.world.picture().await,
            calm.picture,
            "the workflow was held while step {step} ran"
        );
        stage.end(&mut done).await;
    }
    done
}

fn nothing<Tx>() -> Work<Tx, (), StoreError> {
    Box::new(|_| Box::pin(async { Ok(()) }))
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
