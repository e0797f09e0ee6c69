//! Where a node's random choices come from: the machine, or a seed, so that a simulation can be played again.

use super::locked;
use crate::clock::Clock;
use crate::journal::PlanId;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::sync::Mutex;
use uuid::{Builder, Uuid};

pub(super) struct Chance(Option<Mutex<StdRng>>);

impl Chance {
    pub(super) fn of(seed: Option<u64>) -> Self {
        Self(seed.map(|seed| Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A part between these.
    pub(super) fn part(&self, from: f64, to: f64) -> f64 {
        match &self.0 {
            None => rand::random_range(from..=to),
            Some(seeded) => locked(seeded).random_range(from..=to),
        }
    }

    /// A number that nobody else has; never near the end of its range.
    pub(super) fn number(&self) -> i64 {
        match &self.0 {
            None => rand::random::<i64>() >> 1,
            Some(seeded) => locked(seeded).random::<i64>() >> 1,
        }
    }

    /// The id of a new plan.
    pub(super) fn plan_id(&self, clock: Clock) -> PlanId {
        let Some(seeded) = &self.0 else {
            return PlanId(Uuid::now_v7());
        };
        let mut bytes = [0; 10];
        locked(seeded).fill_bytes(&mut bytes);
        let millis = u64::try_from(clock.now().0).unwrap_or(0);
        PlanId(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
}
