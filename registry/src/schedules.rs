//! What of this registry runs by schedules.

use engine::node::BuiltIn;

/// The workflows that may be scheduled: those whose input does not come from a client's request. A push is none: it publishes
/// what a client has just sent.
pub(crate) const SCHEDULABLE: &[&str] = &[];

/// The schedules that every registry has.
pub(crate) fn built_in() -> Vec<BuiltIn> {
    Vec::new()
}
