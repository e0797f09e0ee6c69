//! How large the writer's batches are: what group commit gives, seen from outside.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most works in one commit: past this a batch only gets slower, not better.
pub(super) const LIMIT: usize = 128;

/// Counts commits by the number of works in them.
pub(super) struct Batches([AtomicU64; LIMIT + 1]);

impl Default for Batches {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; LIMIT + 1])
    }
}

impl Batches {
    pub(super) fn count(&self, works: usize) {
        self.0[works.min(LIMIT)].fetch_add(1, Ordering::Relaxed);
        let works = u32::try_from(works).unwrap_or(u32::MAX);
        metrics::histogram!("wharfinger_commit_writes").record(works);
    }

    pub(super) fn counted(&self) -> Vec<(usize, u64)> {
        self.0
            .iter()
            .map(|commits| commits.load(Ordering::Relaxed))
            .enumerate()
            .filter(|(_, commits)| *commits > 0)
            .collect()
    }
}
