//! Chains of eight steps: many at once, and one alone.

use std::time::{Duration, Instant};

use ::engine::store::Store as _;
use storage::Database;

use super::{Bench, BenchNode, close, node, run, since};
use crate::bench::BenchError;
use crate::bench::chain::{Chain, STEPS};
use crate::bench::report::median;

const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(2);
const IN_FLIGHT: u64 = 64;
const ALONE: u32 = 200;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let database = bench.database().await?;
    let node = node(&database).await?;
    let mut throughput = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        throughput.push(in_flight(&node).await?);
    }
    let about = bench.noted(&format!(
        "chains of {STEPS}, {IN_FLIGHT} plans in flight, SQLite FULL; writes x commits: {}",
        batches(&database)
    ))?;
    let report = &mut *bench.report;
    report.median("steps_per_second", throughput, "steps/s", about);
    report.must(">= 15000");

    let (before, mut alone) = (commits(&database), Vec::with_capacity(RUNS));
    for _ in 0..RUNS {
        alone.push(one_alone(&node).await?);
    }
    let steps = f64::from(ALONE * STEPS) * f64::from(u32::try_from(RUNS).unwrap_or(1));
    let each = (commits(&database) - before) / steps;
    let awaited = STEPS + 1;
    let fsync = bench.fsync;
    let about = bench.noted(&format!(
        "p50 of {ALONE} chains of {STEPS}, one after the other"
    ))?;
    let fsync = f64::midpoint(fsync, bench.fsync);
    let p50 = median(&alone);
    let report = &mut *bench.report;
    report.median("idle_chain", alone, "ms", about);
    report.must("<= 4 where fsync <= 0.2 ms");
    let about = format!(
        "that, by {awaited} x {fsync:.2} ms: its awaited commits, if they were but an fsync"
    );
    report.one(
        "idle_chain_by_fsync",
        p50 / (f64::from(awaited) * fsync),
        "times",
        about,
    );
    report.must("<= 2.0");
    let about = "of these; the node's heart-beats count with them".to_owned();
    report.one("commits_per_step", each, "commits", about);
    report.must("<= 1.2");
    let id = run(&node, &Chain { number: 0 }).await?;
    let rows = node.store().load(id).await;
    let rows = rows.map_err(::engine::node::NodeError::from)?.len();
    let rows = f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) / f64::from(STEPS);
    report.one(
        "rows_per_step",
        rows,
        "rows",
        "of the journal of one of these".into(),
    );
    report.must("<= 1.5");
    close(node, database).await;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of commits is small")]
fn commits(database: &Database) -> f64 {
    let all: u64 = database.batches().iter().map(|(_, commits)| commits).sum();
    all as f64
}

fn batches(database: &Database) -> String {
    let all = database.batches().into_iter();
    let all = all.map(|(writes, commits)| format!("{writes}x{commits}"));
    all.collect::<Vec<_>>().join(" ")
}

/// Steps per second with many plans in flight.
async fn in_flight(node: &BenchNode) -> Result<f64, BenchError> {
    let start = Instant::now();
    let client = async |number: u64| -> Result<u32, BenchError> {
        let mut steps = 0;
        while start.elapsed() < RUN {
            run(node, &Chain { number }).await?;
            steps += STEPS;
        }
        Ok(steps)
    };
    let steps = futures_util::future::try_join_all((0..IN_FLIGHT).map(client)).await?;
    Ok(f64::from(steps.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

/// The median time of a chain when nothing else is under way, in milliseconds.
async fn one_alone(node: &BenchNode) -> Result<f64, BenchError> {
    let mut times = Vec::new();
    for number in 0..u64::from(ALONE) {
        let start = Instant::now();
        run(node, &Chain { number }).await?;
        times.push(since(start));
    }
    Ok(median(&times))
}
