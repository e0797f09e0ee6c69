//! One action for many tasks, as a task of its own that tells what came of each.
//!
//! The tasks were chosen when it was asked for, so that it does the same however often it begins anew. It only writes into
//! their mailboxes: what becomes of a task stands in that task's own journal, and is read there.

mod ask;
mod cancel;
mod judge;
mod resume;

pub use cancel::{BulkCancel, Cancel, Cancelled};
pub use judge::{half_deleted, judge};
pub use resume::{BulkResume, Resume, Resumed};

use engine::journal::{Action, PlanId};
use engine::step::Policy;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::catalog::audit;

/// More tasks than this are refused: what came of each must fit into one output.
pub const MOST_PLANS: u32 = 5_000;

/// So many of them are at work at once: each may take long, and leaves the places to what they let go on.
const AT_ONCE: usize = 4;

/// So many are asked at once: the server has other work, too.
const BATCH: usize = 200;

/// The input: which tasks, for whom, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bulk {
    /// What found the tasks, as it was typed.
    pub found_by: String,
    /// The tasks that it found then.
    pub plans: Vec<PlanId>,
    /// The login of who asked for it.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The label of the organization that all of them belong to, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl Bulk {
    fn action(&self, verb: &str) -> String {
        let tasks = match self.plans.len() {
            1 => "1 task".to_owned(),
            n => format!("{n} tasks"),
        };
        format!("{verb} of {tasks} found by `{}`", self.found_by)
    }
}

/// What can be done to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Let them go on.
    Resume,
    /// End them.
    Cancel,
}

impl Verb {
    /// What is wanted of each.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Resume => Action::Resume,
            Self::Cancel => Action::Cancel,
        }
    }

    /// What the audit calls it.
    #[must_use]
    pub fn audited(self) -> audit::Action {
        match self {
            Self::Resume => audit::Action::Resume,
            Self::Cancel => audit::Action::Cancel,
        }
    }
}

/// A task to which nothing was done, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The task.
    pub id: PlanId,
    /// Why nothing came of it.
    pub why: String,
}

impl Left {
    /// Reasons are cut: an output has an end.
    fn because(id: PlanId, why: impl std::fmt::Display) -> Self {
        const MOST_BYTES: usize = 100;
        let mut why = why.to_string();
        if why.len() > MOST_BYTES {
            why.truncate(why.floor_char_boundary(MOST_BYTES));
            why.push('…');
        }
        Self { id, why }
    }
}

/// It takes as long as so many tasks take to answer; what was asked already is not asked again.
const fn policy() -> Policy {
    Policy::idempotent().timeout(Duration::from_hours(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_the_most_tasks_fits_into_an_output() {
        let why = "\"é".repeat(100);
        let id = PlanId(uuid::Uuid::from_u128(u128::MAX));
        let left = vec![Left::because(id, why); MOST_PLANS as usize];

        let text = serde_json::to_string(&left).unwrap();

        assert!(
            text.len() < engine::journal::MAX_OUTPUT_BYTES,
            "{}",
            text.len()
        );
    }
}
