//! Trouble on purpose, so that people can practise recovery and proofs can cause every failure.

use crate::plan::Plan;
use crate::step::BoxFuture;
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
