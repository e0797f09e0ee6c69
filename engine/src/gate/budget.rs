//! How many attempts may fail before a gate closes.

use crate::clock::Timestamp;
use crate::journal::PlanId;

/// A full budget, in thousandths of a failed attempt: the five attempts of one task and some more.
const FULL: u32 = 8_000;
/// What a failed attempt takes out.
const FAILED: u32 = 1_000;
/// What one that succeeded brings back: where more than a fifth of all attempts fail, the budget runs out.
const SUCCEEDED: u32 = 250;
/// What a second brings back.
const PER_SECOND: u32 = 200;
/// Failures of one plan alone take no more than half of it: what is broken then is perhaps the plan.
const OF_ONE_PLAN: u32 = FULL / 2;

/// The retry budget of a backend, shared by all plans of a node: a bucket out of which each failed attempt takes, and into which
/// time and attempts that succeed put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u32,
    at: Timestamp,
    /// The plan of every failure since it was full, while there is only one.
    failing: Failing,
}

/// Whose attempts failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Nobody,
    One(PlanId),
    Several,
}

impl Budget {
    /// Nothing has failed.
    #[must_use]
    pub const fn full(now: Timestamp) -> Self {
        Self {
            left: FULL,
            at: now,
            failing: Failing::Nobody,
        }
    }

    /// An attempt of this plan failed. False: that was more than the budget allows.
    pub fn failed(&mut self, plan: PlanId, now: Timestamp) -> bool {
        self.pass_time(now);
        self.failing = match self.failing {
            Failing::Nobody => Failing::One(plan),
            Failing::One(known) if known == plan => Failing::One(plan),
            Failing::One(_) | Failing::Several => Failing::Several,
        };
        let floor = match self.failing {
            Failing::Nobody | Failing::One(_) => self.left.min(OF_ONE_PLAN),
            Failing::Several => 0,
        };
        let had = self.left >= FAILED;
        self.left = self.left.saturating_sub(FAILED).max(floor);
        had
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self, now: Timestamp) {
        self.pass_time(now);
        self.put_back(SUCCEEDED);
    }

    /// The part of it that is used up, from 0 to 1.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> f64 {
        let mut now_left = self.clone();
        now_left.pass_time(now);
        f64::from(FULL - now_left.left) / f64::from(FULL)
    }

    fn pass_time(&mut self, now: Timestamp) {
        let passed = now.since(self.at).as_millis();
        let back = passed.saturating_mul(PER_SECOND.into()) / 1000;
        if back == 0 {
            return; // parts of a thousandth are not lost
        }
        self.at = now;
        self.put_back(u32::try_from(back).unwrap_or(FULL));
    }

    fn put_back(&mut self, part: u32) {
        self.left = self.left.saturating_add(part).min(FULL);
        if self.left == FULL {
            self.failing = Failing::Nobody;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn plan(n: u128) -> PlanId {
        PlanId(Uuid::from_u128(n))
    }

    #[test]
    fn nine_failures_of_two_plans_within_a_moment_are_more_than_it_allows() {
        let mut budget = Budget::full(NOW);

        let allowed = (0..8).all(|n| budget.failed(plan(n % 2), NOW));

        assert!(allowed);
        assert!((budget.used(NOW) - 1.0).abs() < f64::EPSILON);
        assert!(!budget.failed(plan(0), NOW));
    }

    #[test]
    fn one_plan_alone_takes_no_more_than_half_of_it() {
        let mut budget = Budget::full(NOW);

        assert!((0..1000).all(|_| budget.failed(plan(1), NOW)));

        assert!((budget.used(NOW) - 0.5).abs() < f64::EPSILON);
        assert!((0..4).all(|_| budget.failed(plan(2), NOW)));
        assert!(!budget.failed(plan(2), NOW), "two of them do");
    }

    #[test]
    fn what_fails_seldom_among_much_that_succeeds_is_allowed_for_ever() {
        let mut budget = Budget::full(NOW);

        for n in 0..10_000 {
            assert!(budget.failed(plan(n), NOW));
            (0..5).for_each(|_| budget.succeeded(NOW));
        }
        let mut worse = Budget::full(NOW);
        let ends = (0..10_000).any(|n| {
            worse.succeeded(NOW);
            !worse.failed(plan(n), NOW)
        });
        assert!(ends, "half of them is too much");
    }

    #[test]
    fn time_brings_it_back() {
        let mut budget = Budget::full(NOW);
        (0..9).for_each(|n| drop(budget.failed(plan(n), NOW)));

        let later = NOW + Duration::from_secs(40);

        assert!(budget.used(later).abs() < f64::EPSILON);
        assert!((0..8).all(|n| budget.failed(plan(n), later)));
    }
}
