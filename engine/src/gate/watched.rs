//! What a node makes of a gate: it closes, looks again, and opens slowly.

use super::{Budget, Gate, GateState};
use crate::clock::Timestamp;
use crate::journal::PlanId;
use std::time::Duration;

/// The first and the longest wait before a gate that closed by itself looks again; it doubles in between.
pub const PROBE_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// While it opens, 1, 2, 4, 8 and at last so many steps pass at once: when those have succeeded too, it is open.
const LAST_AT_ONCE: u32 = 16;
/// A gate through which nothing wants to pass is open after this time, too.
pub const OPEN_AFTER: Duration = Duration::from_secs(30);
/// No more of a reason is kept.
const REASON_CHARACTERS: usize = 500;

/// A gate with what its node has seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// As it is kept, or will be.
    pub gate: Gate,
    budget: Budget,
    /// Attempts that have succeeded since so many pass at once.
    succeeded: u32,
}

impl Watched {
    /// A gate with a full budget.
    #[must_use]
    pub const fn new(gate: Gate, now: Timestamp) -> Self {
        Self {
            gate,
            budget: Budget::full(now),
            succeeded: 0,
        }
    }

    /// Somebody else has changed it.
    pub fn replace(&mut self, gate: Gate, now: Timestamp) {
        if (gate.state, gate.at_once) != (self.gate.state, self.gate.at_once) {
            self.succeeded = 0;
        }
        if gate.state == GateState::Open && self.gate.state != GateState::Open {
            self.budget = Budget::full(now);
        }
        self.gate = gate;
    }

    /// One more step may pass while `in_use` others are under way that passed while it opened.
    #[must_use]
    pub const fn lets_through(&self, in_use: u32) -> bool {
        match self.gate.state {
            GateState::Open => true,
            GateState::Closed => false,
            GateState::Opening => in_use < self.gate.at_once,
        }
    }

    /// The part of its budget that is used up.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> f64 {
        self.budget.used(now)
    }

    /// An attempt of this plan failed in a way that can pass. True: the gate is closed by it.
    pub fn failed(&mut self, plan: PlanId, why: &str, now: Timestamp) -> bool {
        match self.gate.state {
            GateState::Closed => false,
            GateState::Opening => {
                self.closes(&format!("an attempt failed while it opened: {why}"), now);
                true
            }
            GateState::Open => {
                let closes = !self.budget.failed(plan, now);
                if closes {
                    self.closes(&format!("too many attempts failed, the last: {why}"), now);
                }
                closes
            }
        }
    }

    /// Its backend was asked because a last attempt had failed, and is down. True: the gate is closed by it.
    pub fn is_down(&mut self, why: &str, now: Timestamp) -> bool {
        let closes = self.gate.state != GateState::Closed;
        if closes {
            self.closes(
                &format!("the last attempt of a task failed, and its backend is down: {why}"),
                now,
            );
        }
        closes
    }

    /// An attempt succeeded. True: the gate is changed by it.
    pub fn succeeded(&mut self, now: Timestamp) -> bool {
        match self.gate.state {
            GateState::Closed => false,
            GateState::Open => {
                self.budget.succeeded(now);
                false
            }
            GateState::Opening => {
                self.succeeded += 1;
                if self.succeeded < self.gate.at_once {
                    return false;
                }
                self.succeeded = 0;
                if self.gate.at_once >= LAST_AT_ONCE {
                    self.opens(now);
                } else {
                    self.gate.at_once *= 2;
                }
                true
            }
        }
    }

    /// When it is closed by itself and this has come, it looks again.
    #[must_use]
    pub const fn probe_at(&self) -> Option<Timestamp> {
        match self.gate.state {
            GateState::Closed if self.gate.by.is_none() => self.gate.probe_at,
            GateState::Closed | GateState::Open | GateState::Opening => None,
        }
    }

    /// It has looked again. Where nobody can say how its backend is, `Ok`: then the steps themselves find out.
    pub fn probed(&mut self, found: Result<(), String>, now: Timestamp) {
        if self.probe_at().is_none() {
            return; // somebody closed or opened it meanwhile
        }
        match found {
            Ok(()) => {
                self.succeeded = 0;
                self.gate = Gate {
                    state: GateState::Opening,
                    since: now,
                    at_once: 1,
                    probe_at: None,
                    ..self.gate.clone()
                };
            }
            Err(why) => {
                let since = self.gate.since;
                self.closes(&format!("it is still down: {why}"), now);
                self.gate.since = since;
            }
        }
    }

    /// Nothing wants to pass any more. True: it is open now, because that has lasted.
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        let opens =
            self.gate.state == GateState::Opening && now.since(self.gate.since) >= OPEN_AFTER;
        if opens {
            self.opens(now);
        }
        opens
    }

    fn closes(&mut self, why: &str, now: Timestamp) {
        let doublings = self.gate.failures.min(16);
        let wait = PROBE_AGAIN
            .0
            .saturating_mul(1 << doublings)
            .min(PROBE_AGAIN.1);
        self.succeeded = 0;
        self.gate = Gate {
            state: GateState::Closed,
            by: None,
            reason: Some(why.chars().take(REASON_CHARACTERS).collect()),
            since: now,
            at_once: 0,
            failures: self.gate.failures.saturating_add(1),
            probe_at: Some(now + wait),
            ..self.gate.clone()
        };
    }

    fn opens(&mut self, now: Timestamp) {
        self.succeeded = 0;
        self.budget = Budget::full(now);
        let revision = self.gate.revision;
        self.gate = Gate {
            since: now,
            revision,
            ..Gate::open(self.gate.id.clone())
        };
    }
}
