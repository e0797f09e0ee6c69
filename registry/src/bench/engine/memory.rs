//! What plans cost that only wait: each stands in the queue of a lock that one of them holds.

use std::sync::atomic::{AtomicU32, Ordering};

use super::waits::Listens;
use super::{Bench, node};
use crate::bench::BenchError;
use crate::bench::server::memory_mib_of;

/// Clients that submit them.
const AT_ONCE: u32 = 32;

pub(super) async fn measure(bench: &mut Bench<'_>, pending: u32) -> Result<(), BenchError> {
    let database = bench.database().await?;
    let node = node(&database).await?;
    let wants = || Listens {
        lock: Some("berth".to_owned()),
    };
    // What the first plan brings along is no plan's own.
    node.submit(&wants(), None).await?;
    let idle = memory_mib_of("self", "VmRSS")?;
    let left = AtomicU32::new(pending);
    let client = async |_| -> Result<(), BenchError> {
        let take_one = |left: u32| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one)
            .is_ok()
        {
            node.submit(&wants(), None).await?;
        }
        Ok(())
    };
    futures_util::future::try_join_all((0..AT_ONCE).map(client)).await?;
    let full = memory_mib_of("self", "VmRSS")?;
    let about = format!("resident, above {idle:.0} MiB, of {pending} plans that wait for a lock");
    bench
        .report
        .one("pending_plans_memory", full - idle, "MiB", about);
    bench.report.must("<= 20 for 10000");
    node.kill().await;
    database.close().await;
    Ok(())
}
