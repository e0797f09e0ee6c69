//! Attempts of steps as spans, so that a trace shows where the time of a plan went.

use crate::journal::StepIndex;
use crate::plan::Plan;
use crate::step::Job;
use std::sync::Arc;
use tracing::{Instrument, Span, info_span};

/// The same body, inside a span of its own from its first instruction to its last.
pub(super) fn traced<Tx: 'static>(job: Job<Tx>, plan: Arc<Plan>, step: StepIndex) -> Job<Tx> {
    match job {
        Job::Free(body) => Job::Free(Box::pin(async move {
            let span = span_of(&plan, step);
            body.instrument(span).await
        })),
        Job::InTransaction(work) => Job::InTransaction(Box::new(move |tx| {
            let span = span_of(&plan, step);
            Box::pin(work(tx).instrument(span))
        })),
    }
}

fn span_of(plan: &Plan, step: StepIndex) -> Span {
    let name = plan.graph().get(step).map_or("", |known| &known.name);
    let attempt = plan.steps.get(step).map_or(0, |status| status.tries.len());
    info_span!(
        "step",
        otel.name = format!("step.{name}"),
        task.id = %plan.id,
        workflow = plan.workflow(),
        attempt
    )
}
