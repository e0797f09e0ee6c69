//! The engine on SQLite, every step durable before the next one starts, and beside each figure what it must be.
//!
//! A part is a file. Each begins with a database of its own and says what a durable write took in its own minute.

mod chains;
mod fan;
mod finished;
mod lists;
mod memory;
mod restart;
mod retention;
mod waits;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::engine::clock::Clock;
use ::engine::journal::{NodeId, PlanId, PlanResult};
use ::engine::node::{Node, NodeOptions, Workflows};
use ::engine::workflow::Workflow;
use clap::{Args, ValueEnum};
use storage::Database;
use storage::journal::Journal;
use uuid::Uuid;

use super::chain::{Chain, Nothing};
use super::report::Report;
use super::{BenchError, fsync};

/// A plan that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

type BenchNode = Node<Nothing, Journal>;

/// How much there is of what takes long to make.
#[derive(Args, Debug)]
pub(super) struct Sizes {
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Plans that wait at once, for their memory
    #[arg(long, default_value_t = 10_000)]
    pending: u32,
    /// Finished plans that lists come from
    #[arg(long, default_value_t = 1_000_000)]
    finished: u32,
    /// Finished pushes that retention deletes
    #[arg(long, default_value_t = 100_000)]
    old: u32,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Plans that wait for a lock, in memory
    Memory,
    /// Chains of eight steps
    Chains,
    /// A hundred steps side by side
    Fan,
    /// Timers, and messages that are picked up
    Waits,
    /// The start of the only node
    Restart,
    /// Lists of very many finished plans
    Lists,
    /// Pushes while old ones are deleted
    Retention,
}

pub(super) async fn measure(folder: &Path, sizes: &Sizes) -> Result<Report, BenchError> {
    let mut report = Report::default();
    // Memory first: what other parts leave behind in the process would be measured with it.
    for part in Part::value_variants() {
        if !sizes.only.is_empty() && !sizes.only.contains(part) {
            continue;
        }
        let place = tempfile::Builder::new()
            .prefix("part-")
            .tempdir_in(folder)?;
        let mut bench = Bench::new(place.path(), &mut report)?;
        match part {
            Part::Memory => memory::measure(&mut bench, sizes.pending).await?,
            Part::Chains => chains::measure(&mut bench).await?,
            Part::Fan => fan::measure(&mut bench).await?,
            Part::Waits => waits::measure(&mut bench).await?,
            Part::Restart => restart::measure(&mut bench).await?,
            Part::Lists => lists::measure(&mut bench, sizes.finished).await?,
            Part::Retention => retention::measure(&mut bench, sizes.old).await?,
        }
    }
    Ok(report)
}

/// Where a part is measured.
struct Bench<'a> {
    folder: &'a Path,
    report: &'a mut Report,
    /// What a durable write takes in this minute, in milliseconds.
    fsync: f64,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, report: &'a mut Report) -> Result<Self, BenchError> {
        Ok(Self {
            fsync: fsync::measure(folder)?,
            folder,
            report,
        })
    }

    /// The note with the time of a durable write, measured again now: it may have changed.
    fn noted(&mut self, note: &str) -> Result<String, BenchError> {
        let before = std::mem::replace(&mut self.fsync, fsync::measure(self.folder)?);
        Ok(format!("{note}; fsync {before:.2} to {:.2} ms", self.fsync))
    }

    async fn database(&self) -> Result<Database, BenchError> {
        Ok(Database::open(&self.folder.join("bench.db")).await?)
    }
}

/// A node on this database; the same one each time.
async fn node(database: &Database) -> Result<BenchNode, BenchError> {
    let workflows = Workflows::default()
        .register::<Chain>()?
        .register::<fan::Fan>()?
        .register::<waits::Sleeps>()?
        .register::<waits::Listens>()?;
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "bench");
    let (store, services) = (Journal::new(database.clone()), Arc::new(Nothing));
    Ok(Node::start(options, store, services, workflows, Clock::system(), None).await?)
}

/// Ends the part.
async fn close(node: BenchNode, database: Database) {
    node.drain(PATIENCE).await;
    database.close().await;
}

/// Runs one plan to its good end.
async fn run<W: Workflow<Services = Nothing>>(
    node: &BenchNode,
    workflow: &W,
) -> Result<PlanId, BenchError> {
    let id = node.submit(workflow, None).await?;
    ended_well(node, id).await?;
    Ok(id)
}

async fn ended_well(node: &BenchNode, id: PlanId) -> Result<(), BenchError> {
    let plan = node.wait(id, PATIENCE).await?;
    if plan.result == PlanResult::Success {
        Ok(())
    } else {
        Err(BenchError::Plan(plan.result.to_string()))
    }
}

/// Milliseconds since then.
fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
