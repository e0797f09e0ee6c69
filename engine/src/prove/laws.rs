//! What must hold for every workflow: it fails, repeats, crashes, is stopped and reverted anywhere, and the world is as promised.
//!
//! Each law runs the world's plan once for each place where something can befall it, and counts what it really did.

mod held;
mod repeated;
mod reverted;
mod script;
mod skipped;
mod stage;
mod stopped;
mod undone;
mod unrecorded;

pub use held::{hold_at_each_step, hold_the_workflow_at_each_step};
pub use repeated::{
    crash_before_and_after_each_append, crash_before_and_after_each_commit_of_several_steps,
    fail_at_each_step, run_each_step_twice,
};
pub use reverted::{
    crash_before_and_after_each_append_while_reverting, revert_at_each_step, revert_when_finished,
};
pub use skipped::skip_each_step;
pub use stopped::{abort_at_each_step, cancel_at_each_step};
pub use undone::{
    accept_what_cannot_be_undone, every_undoable_step_undoes_something, fail_to_undo_each_step,
    undo_each_step_twice,
};

pub use unrecorded::{fail_after_each_step, time_out_at_each_step};

use crate::clock::Clock;
use crate::journal::{Json, PlanId};
use crate::node::{Node, Workflows};
use crate::step::Services;
use crate::store::Store;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

/// The world that a workflow works on, made afresh for each case.
pub trait World: Sized + Send + Sync {
    /// What steps may use.
    type Services: Services;
    /// Where plans are kept.
    type Store: Store<Tx = <Self::Services as Services>::Tx> + Clone;

    /// At most so many steps, and so many places of a crash, are tried: evenly spread over all that there are, for those worlds
    /// that have very many. At least 2.
    const TRIED: usize = usize::MAX;
    /// The step whose success no revert takes back, so that what came before it stays, too: the laws that undo everything let it
    /// fail. None: everything can be undone.
    const POINT_OF_NO_RETURN: Option<&str> = None;
    /// A step may fail when another is skipped whose output it does not read: it relies on what that did outside, or an output
    /// of one world means nothing in another.
    const LEANS: bool = false;
    /// So long a body hangs that never returns, unless its step's own timeout is shorter: little, so that nobody waits for it. A
    /// world whose time moves by itself can wait for the step's own.
    const HANGS: Duration = Duration::from_millis(20);
    /// The workflows of plans that are submitted beside the proven one, so that it must wait for their locks or they for its.
    const BESIDE: &'static [&'static str] = &[];

    /// A new world in which nothing has happened.
    fn fresh() -> impl Future<Output = Self>;
    /// Its store.
    fn store(&self) -> Self::Store;
    /// Its services.
    fn services(&self) -> Arc<Self::Services>;
    /// The workflows.
    fn workflows() -> Workflows<Self::Services>;
    /// Its time.
    fn clock(&self) -> Clock {
        Clock::system()
    }
    /// Submits the plan, and those beside it, through whatever node.
    fn submit<St: Store<Tx = <Self::Services as Services>::Tx>>(
        &self,
        node: &Node<Self::Services, St>,
    ) -> impl Future<Output = PlanId> + Send;
    /// The world as people see it: equal pictures mean that nobody can tell the difference. No ids of plans, no times.
    fn picture(&self) -> impl Future<Output = String> + Send;
    /// The part of the picture that a revert restores.
    fn undone(&self) -> impl Future<Output = String> + Send {
        self.picture()
    }
    /// What a person finds who looks whether an interrupted `once` step happened: its output; none: it did not.
    fn looked_up(&self, _step: &str) -> impl Future<Output = Option<Json>> + Send {
        async { None }
    }
}

/// How much a law really did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Plans that ran.
    pub plans: usize,
    /// Bodies of steps that ran.
    pub executions: usize,
    /// Bodies that undid a step.
    pub compensations: usize,
    /// Failures, repeats or crashes that were caused.
    pub faults: usize,
    /// What operators wanted and got.
    pub actions: usize,
    /// Steps of which people saw what they had done although no success was recorded.
    pub unrecorded: usize,
    /// Looks at the locks of all plans, one after each commit.
    pub looks: usize,
    /// Looks that found a plan waiting for a lock that another one held.
    pub contended: usize,
    /// Looks that found a lock shared by several plans.
    pub shared: usize,
}

impl AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        self.plans += more.plans;
        self.executions += more.executions;
        self.compensations += more.compensations;
        self.faults += more.faults;
        self.actions += more.actions;
        self.unrecorded += more.unrecorded;
        self.looks += more.looks;
        self.contended += more.contended;
        self.shared += more.shared;
    }
}
