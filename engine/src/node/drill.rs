//! Trouble on purpose, so that people can practise recovery and proofs can cause every failure.

use crate::journal::Failure;
use crate::plan::Plan;
use crate::step::{BoxFuture, StepError};
use std::time::Duration;

/// What befalls an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails for good.
    Fail,
    /// It fails; another attempt follows.
    FailTransient,
    /// The process aborts before the body runs.
    CrashBefore,
    /// The process aborts once the end of the attempt is recorded.
    CrashAfter,
    /// It hangs so long before its body runs.
    Stall(Duration),
    /// Its body runs to its end, is forgotten, and runs again.
    RunTwice,
    /// Its body does its work, and then the attempt fails for good: nobody records that the work is done.
    FailAfter,
    /// Its body does its work and never returns: it is timed out after so long, or by the step's own timeout when that is sooner.
    HangAfter(Duration),
}

impl Effect {
    /// It befalls a transactional step where it runs, at the store.
    pub(super) const fn is_of_transactions(self) -> bool {
        match self {
            Self::CrashAfter | Self::RunTwice | Self::FailAfter | Self::HangAfter(_) => true,
            Self::Fail | Self::FailTransient | Self::CrashBefore | Self::Stall(_) => false,
        }
    }
}

/// The end of a body as this effect wants it once its work is done. A body that fails by itself has its own end.
pub(super) async fn ends_by<T>(
    effect: Option<Effect>,
    body: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let done = body.await?;
    match effect {
        Some(Effect::FailAfter) => {
            let error = "a drill makes this step fail after its work is done";
            Err(StepError::permanent(error).class("drill"))
        }
        Some(Effect::HangAfter(time)) => {
            tokio::time::sleep(time).await;
            Err(StepError(Failure::timeout(time)))
        }
        _ => Ok(done),
    }
}

/// Decides what befalls an attempt.
pub trait Drill: Send + Sync + 'static {
    /// Asked before each body of a step; not before polls. What it counts is counted durably before it answers.
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>>;

    /// Asked before steps of this plan are recorded together, of which it is not asked one by one: it may want something of them.
    fn may_befall<'a>(&'a self, _: &'a Plan) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }

    /// Asked before each body that undoes a step. A drill of steps leaves it alone.
    fn before_undo<'a>(&'a self, _: &'a Plan, _: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async { None })
    }
}
