//! Who is next when more wants to be at work than may: urgent before usual before background work, organizations in turn, and
//! nobody waits for ever.
//!
//! The order follows from what is recorded of each plan (its priority, its organization, since when it waits), so that it is
//! the same after a restart and on another node. Only whose turn it was last is not recorded: there a restart begins anew.

use crate::clock::Timestamp;
use crate::journal::PlanId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// So long a plan waits until it counts as one priority higher, up to the highest: long enough for whatever somebody waits for,
/// and short enough that cleaning up is not put off for good while pushes never cease.
pub const AGEING: Duration = Duration::from_mins(1);

/// The turns of so many organizations are remembered; of more, those are forgotten whose turn is longest ago.
const TURNS: usize = 1024;

/// How urgent a plan is when not all that want can be at work.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// Somebody may be waiting for it.
    #[default]
    Normal,
    /// Before all others.
    Urgent,
}

impl Priority {
    /// It is the usual one, which is not written down.
    #[must_use]
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference to the field"
    )]
    pub(crate) fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    /// What it counts as after waiting so long.
    #[must_use]
    pub fn aged(self, waited: Duration) -> Self {
        let steps = waited.as_secs() / AGEING.as_secs();
        match (self, steps) {
            (it, 0) => it,
            (Self::Background, 1) => Self::Normal,
            _ => Self::Urgent,
        }
    }
}

/// What those who wait have in common; the one who has waited longest speaks for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// How urgent they are.
    pub priority: Priority,
    /// The organization that they belong to.
    pub organization: Option<String>,
    /// Their workflow.
    pub workflow: String,
}

/// The place of a plan in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// With whom it waits.
    pub line: Line,
    /// Since when.
    pub since: Timestamp,
    /// Which plan.
    pub plan: PlanId,
}

/// Those who wait.
#[derive(Debug)]
pub struct Queue<T> {
    lines: BTreeMap<Line, BTreeMap<(Timestamp, PlanId), T>>,
    /// The number of the last turn of each organization, whether anybody waits or not.
    turns: BTreeMap<Option<String>, u64>,
    turn: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
        }
    }
}

impl<T> Queue<T> {
    /// It waits from now on.
    pub fn push(&mut self, seat: Seat, what: T) {
        let line = self.lines.entry(seat.line).or_default();
        line.insert((seat.since, seat.plan), what);
    }

    /// It waits no more.
    pub fn remove(&mut self, seat: &Seat) -> Option<T> {
        let line = self.lines.get_mut(&seat.line)?;
        let left = line.remove(&(seat.since, seat.plan));
        if line.is_empty() {
            self.lines.remove(&seat.line);
        }
        left
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes out who is next among those that may. Of a line all may or none.
    pub fn next(&mut self, now: Timestamp, may: impl Fn(&T) -> bool) -> Option<(Seat, T)> {
        let seat = self.who_is_next(now, may)?;
        self.had_turn(seat.line.organization.clone());
        let what = self.remove(&seat)?;
        Some((seat, what))
    }

    /// It was the turn of this organization, also where it did not have to wait for it.
    pub fn had_turn(&mut self, organization: Option<String>) {
        self.turn += 1;
        self.turns.insert(organization, self.turn);
        if self.turns.len() > TURNS {
            let longest_ago = self.turns.iter().min_by_key(|(_, turn)| **turn);
            if let Some(organization) = longest_ago.map(|(it, _)| it.clone()) {
                self.turns.remove(&organization);
            }
        }
    }

    /// The highest priority first, as it counts after the time of waiting; then the organization whose last turn is longest ago;
    /// then who has waited longest.
    fn who_is_next(&self, now: Timestamp, may: impl Fn(&T) -> bool) -> Option<Seat> {
        let first_of_each = self.lines.iter().filter_map(|(line, waiting)| {
            let (&(since, plan), what) = waiting.first_key_value()?;
            may(what).then_some((line, since, plan))
        });
        let next = first_of_each.min_by_key(|(line, since, plan)| {
            let counts_as = line.priority.aged(now.since(*since));
            let last_turn = self.turns.get(&line.organization).copied().unwrap_or(0);
            (Reverse(counts_as), last_turn, *since, *plan)
        });
        next.map(|(line, since, plan)| Seat {
            line: line.clone(),
            since,
            plan,
        })
    }
}

#[cfg(test)]
mod tests;
