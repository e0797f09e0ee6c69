//! Schedules: workflows that are submitted again and again, at nominal times told by a cron line in a time zone.
//!
//! When a schedule runs next is computed from itself alone, from the time up to which it has been handled; no task of an
//! earlier run is asked. A nominal time is fired once: the submit of its plan and the new [`Schedule::handled_until`] are one
//! transaction, which changes nothing when somebody else has written the schedule meanwhile.

mod line;
mod next;
mod turn;
mod zone;

pub use line::{CronLine, LineError};
pub use next::Timing;
pub use turn::{MAX_MADE_GOOD, ON_TIME, Turn};
pub use zone::{Zone, ZoneError};

use crate::clock::Timestamp;
use crate::journal::{Json, PlanId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of a schedule.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleId(pub i64);

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What becomes of runs whose time came while no node could submit them.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Missed {
    /// They are passed over.
    Skip,
    /// One run makes all of them good: that of the latest time.
    #[default]
    Once,
    /// Each is made good, the oldest first, but at most the latest 100.
    All,
}

/// A schedule as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its number; 0 until it is kept.
    pub id: ScheduleId,
    /// What people call it; no other has this name.
    pub name: String,
    /// The workflow that it submits.
    pub workflow: String,
    /// The input of each plan.
    pub input: Json,
    /// When it runs: see [`CronLine`].
    pub cron: String,
    /// Where that is meant: a name of the IANA database.
    pub time_zone: String,
    /// What becomes of missed runs.
    pub missed: Missed,
    /// No nominal time after this is fired.
    pub end_at: Option<Timestamp>,
    /// After so many runs it has ended.
    pub max_runs: Option<u32>,
    /// False: it does not run.
    pub enabled: bool,
    /// Made by the program, which makes it again when it is missing.
    pub built_in: bool,
    /// The login of who saved it last: who its plans belong to.
    pub actor: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Every nominal time up to this is fired or passed over; later ones are to come.
    pub handled_until: Timestamp,
    /// How many nominal times were fired.
    pub runs: u32,
    /// The nominal time that was fired last.
    pub last_nominal: Option<Timestamp>,
    /// The plan of that.
    pub last_plan: Option<PlanId>,
    /// Raised by every write; a write with an older one changes nothing.
    pub revision: i64,
}

/// Why a schedule cannot run at any time.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimingError {
    /// Its line does not read.
    #[error("the cron line {0}")]
    Line(#[from] LineError),
    /// Its zone does not.
    #[error("the time zone {0}")]
    Zone(#[from] ZoneError),
}

impl Schedule {
    /// Its line in its zone.
    pub fn timing(&self) -> Result<Timing, TimingError> {
        Ok(Timing {
            line: self.cron.parse()?,
            zone: self.time_zone.parse()?,
        })
    }

    /// When it runs next, wherever nobody changes it; never when that has passed its end, or when its timing does not read.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.next_runs(1).pop()
    }

    /// Its next runs, at most so many. The first may lie in the past: then it is due.
    #[must_use]
    pub fn next_runs(&self, at_most: usize) -> Vec<Timestamp> {
        let left = self
            .max_runs
            .map_or(u32::MAX, |most| most.saturating_sub(self.runs));
        let at_most = at_most.min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(timing) = self.timing() else {
            return Vec::new();
        };
        if !self.enabled {
            return Vec::new();
        }
        let mut at = self.handled_until;
        let mut runs = Vec::new();
        while runs.len() < at_most
            && let Some(next) = timing.next_after(at)
            && self.end_at.is_none_or(|end| next <= end)
        {
            runs.push(next);
            at = next;
        }
        runs
    }

    /// The same schedule after the run of `nominal` was submitted as `plan`; no earlier time is to come any more.
    #[must_use]
    pub fn fired(mut self, nominal: Timestamp, plan: PlanId) -> Self {
        self.runs = self.runs.saturating_add(1);
        self.last_nominal = Some(nominal);
        self.last_plan = Some(plan);
        self.handled_until = nominal;
        self
    }
}

/// What became of a write of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// It is kept so.
    Kept(Box<Schedule>),
    /// Another one has its name. Nothing was written.
    NameTaken,
    /// It was written or removed since it was read. Nothing was written.
    Stale,
}

/// The schedules that have something to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DueSchedules {
    /// Those whose next run has come.
    pub due: Vec<Schedule>,
    /// When the first of the others comes.
    pub next: Option<Timestamp>,
    /// Those whose time has come too, but of which something cannot be read, and what.
    pub unreadable: Vec<(ScheduleId, String)>,
}
