//! The engine on SQLite, every step durable before the next one starts.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::engine::clock::Clock;
use ::engine::journal::{NodeId, PlanResult};
use ::engine::node::{Node, NodeOptions, Workflows};
use storage::Database;
use storage::journal::Journal;
use uuid::Uuid;

use super::chain::{Chain, Nothing, STEPS};
use super::report::{Report, median};
use super::{BenchError, fsync};

const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(2);
const IN_FLIGHT: u64 = 64;
const ALONE: usize = 200;
const PATIENCE: Duration = Duration::from_mins(1);

type ChainNode = Node<Nothing, Journal>;

pub(super) async fn measure(folder: &Path) -> Result<Report, BenchError> {
    let mut report = Report::default();
    fsync::report(folder, &mut report, "before")?;
    let database = Database::open(&folder.join("bench.db")).await?;
    let node = start(&database).await?;

    let mut throughput = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        throughput.push(in_flight(&node).await?);
    }
    let what = format!("chains of {STEPS}, {IN_FLIGHT} plans in flight, SQLite FULL");
    report.median("steps_per_second", throughput, "steps/s", what);
    let batches: Vec<String> = database
        .batches()
        .into_iter()
        .filter(|(_, commits)| *commits > 0)
        .map(|(writes, commits)| format!("{writes}x{commits}"))
        .collect();
    let commits: u64 = database.batches().iter().map(|(_, commits)| commits).sum();
    #[expect(clippy::cast_precision_loss, reason = "a count of commits is small")]
    report.one(
        "commits",
        commits as f64,
        "commits",
        format!("writes x commits: {}", batches.join(" ")),
    );

    let mut alone = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        alone.push(one_alone(&node).await?);
    }
    let what = format!(
        "p50 of {ALONE} chains of {STEPS}, one after the other: {} commits each",
        STEPS + 1
    );
    report.median("idle_chain", alone, "ms", what);
    fsync::report(folder, &mut report, "after")?;
    node.drain(PATIENCE).await;
    database.close().await;
    Ok(report)
}

async fn start(database: &Database) -> Result<ChainNode, BenchError> {
    let workflows = Workflows::default().register::<Chain>()?;
    let options = NodeOptions::new(NodeId(Uuid::now_v7()), "bench");
    let (store, services) = (Journal::new(database.clone()), Arc::new(Nothing));
    Ok(Node::start(options, store, services, workflows, Clock::system(), None).await?)
}

/// Runs one chain to its end.
async fn chain(node: &ChainNode, number: u64) -> Result<(), BenchError> {
    let id = node.submit(&Chain { number }, None).await?;
    let plan = node.wait(id, PATIENCE).await?;
    if plan.result == PlanResult::Success {
        Ok(())
    } else {
        Err(BenchError::Plan(plan.result.to_string()))
    }
}

/// Steps per second with many plans in flight.
async fn in_flight(node: &ChainNode) -> Result<f64, BenchError> {
    let start = Instant::now();
    let client = async |number: u64| -> Result<u32, BenchError> {
        let mut steps = 0;
        while start.elapsed() < RUN {
            chain(node, number).await?;
            steps += STEPS;
        }
        Ok(steps)
    };
    let steps = futures_util::future::try_join_all((0..IN_FLIGHT).map(client)).await?;
    Ok(f64::from(steps.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

/// The median time of a chain when nothing else is under way, in milliseconds.
async fn one_alone(node: &ChainNode) -> Result<f64, BenchError> {
    let mut times = Vec::with_capacity(ALONE);
    for number in (0..).take(ALONE) {
        let start = Instant::now();
        chain(node, number).await?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(&times))
}
