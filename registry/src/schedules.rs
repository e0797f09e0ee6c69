//! What of this registry runs by schedules.

use engine::node::BuiltIn;
use engine::workflow::Workflow as _;
use workflows::rehearsal::Rehearsal;

/// The workflows that may be scheduled: those whose input does not come from a client's request. A push is none: it publishes
/// what a client has just sent.
pub(crate) const SCHEDULABLE: &[&str] = &[Rehearsal::NAME];

/// Those of them that only a server runs that allows drills.
pub(crate) const FOR_DRILLS: &[&str] = &[Rehearsal::NAME];

/// The schedules that every registry has.
pub(crate) fn built_in() -> Vec<BuiltIn> {
    Vec::new()
}
