//! How long this node may believe that its plans are its own: 0.7 of the lease since it last began a beat that arrived, by the
//! monotonic clock. Past that others may soon take them, so nothing is begun any more and what runs is dropped.

use super::locked;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) struct Lease {
    ttl: Duration,
    kept: Mutex<Kept>,
}

struct Kept {
    until: Instant,
    /// How often it was lost.
    losses: u64,
    lost: CancellationToken,
}

impl Kept {
    fn lose(&mut self) {
        self.losses += 1;
        self.lost.cancel();
        self.lost = CancellationToken::new();
    }
}

impl Lease {
    /// Nobody has beaten yet.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            kept: Mutex::new(Kept {
                until: Instant::now(),
                losses: 0,
                lost: CancellationToken::new(),
            }),
        }
    }

    /// A beat arrived that began then. Where the lease had run out before, it is another one, and what runs under the old one is
    /// dropped: true.
    pub(super) fn renew(&self, begun: Instant) -> bool {
        let mut kept = locked(&self.kept);
        let had_run_out = begun > kept.until;
        if had_run_out {
            kept.lose();
        }
        kept.until = kept.until.max(begun + self.ttl.mul_f64(0.7));
        had_run_out
    }

    pub(super) fn until(&self) -> Instant {
        locked(&self.kept).until
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until()
    }

    /// Which of this node's leases it is: what is known of a plan since an earlier one may be old.
    pub(super) fn which(&self) -> u64 {
        locked(&self.kept).losses
    }

    /// Cancelled when the lease is lost that is held now.
    pub(super) fn lost(&self) -> CancellationToken {
        locked(&self.kept).lost.clone()
    }

    /// What runs is dropped.
    pub(super) fn lose(&self) {
        locked(&self.kept).lose();
    }
}
