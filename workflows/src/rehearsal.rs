//! A rehearsal: a workflow that has every feature of the engine and touches nothing that matters. Operators practise on it, and
//! tests kill the server in the middle of it.
//!
//! ```text
//! begin -+-> work_elsewhere ------------------+-> only_once -> finish
//!        +-> wait_for_event -> wait_a_while --+
//!        +-> sub_tasks -----------------------+
//! ```
//!
//! Steps that do something leave a mark, and their undo takes it away: [`check`] holds the marks against the journal.

mod begin;
mod check;
mod fault;
mod finish;
mod marks;
mod only_once;
mod part;
mod sub_tasks;
mod wait_a_while;
mod wait_for_event;
mod work_elsewhere;

pub use begin::{Begin, Begun};
pub use check::check;
pub use fault::Fault;
pub use finish::{Finish, Finished};
pub use only_once::{OnlyOnce, Receipt};
pub use part::{Part, PartDone, Play};
pub use sub_tasks::{Parts, SubTasks};
pub use wait_a_while::{WaitAWhile, Waited};
pub use wait_for_event::{EVENT, Told, WaitForEvent};
pub use work_elsewhere::{Elsewhere, WorkElsewhere};

use crate::services::Services;
use engine::lock::{Lock, OnPause};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// More sub-tasks than this rehearse nothing more.
pub const MOST_PARTS: u32 = 100;
/// A rehearsal that waits longer is out of the hands of whoever practises.
pub const MOST_MS: u64 = 3_600_000;
/// More than this is no rehearsal of anything.
pub const MOST_FAULTS: usize = 20;

/// The input: how large it is, how long things take, and what goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// How many sub-tasks it has.
    pub parts: u32,
    /// How long the steps take that work here: each sub-task, and the step that must not run twice.
    pub work_ms: u64,
    /// How long the work elsewhere takes.
    pub elsewhere_ms: u64,
    /// How long it waits for the event.
    pub event_ms: u64,
    /// It fails without the event; otherwise it goes on when the time is over.
    pub event_needed: bool,
    /// How long it waits after that.
    pub pause_ms: u64,
    /// Rehearsals on one stage come one after the other; none: it needs no stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What goes wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self {
            parts: 3,
            work_ms: 100,
            elsewhere_ms: 1000,
            event_ms: 1000,
            event_needed: false,
            pause_ms: 1000,
            stage: None,
            faults: Vec::new(),
        }
    }
}

impl Workflow for Rehearsal {
    const NAME: &'static str = "rehearsal";
    const VERSION: u32 = 1;
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Begin)
            .step(WorkElsewhere, after::<Begin>())
            .step(WaitForEvent, after::<Begin>())
            .step(WaitAWhile, after::<WaitForEvent>())
            .step(SubTasks, after::<Begin>())
            .step(OnlyOnce, after::<(WorkElsewhere, WaitAWhile, SubTasks)>())
            .step(Finish, after::<OnlyOnce>())
    }

    fn action(&self) -> String {
        match &self.stage {
            Some(stage) => format!("Rehearsal on stage {stage}"),
            None => "Rehearsal".to_owned(),
        }
    }

    /// A paused one leaves the stage to the next.
    fn locks(&self) -> Vec<Lock> {
        let lock = |stage| {
            Lock::exclusive(format!("stage {stage}"))
                .until::<OnlyOnce>()
                .on_pause(OnPause::Release)
        };
        self.stage.iter().map(lock).collect()
    }

    fn revertible_for() -> Option<Duration> {
        Some(Duration::from_hours(1))
    }

    fn editable() -> &'static [&'static str] {
        &[
            "work_ms",
            "elsewhere_ms",
            "event_ms",
            "event_needed",
            "pause_ms",
            "faults",
        ]
    }
}
