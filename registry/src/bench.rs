//! `wharfinger bench`: what this machine and this disk can do. Every figure stands beside the fsync time of the same minute.

mod chain;
mod engine;
mod fsync;
mod layer;
mod list;
mod lives;
mod proxies;
mod push;
mod report;
mod server;
mod tags;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tempfile::TempDir;

use crate::cli::{exit, terminal};

/// What to measure, and where.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(subcommand)]
    what: What,
    /// In a new folder inside this one, which must be on the disk to be measured; removed afterwards
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// A table for people, or JSON for scripts
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The engine on SQLite, held against what it must do: chains, a fan, timers, pick-up, restart, memory, lists, retention
    Engine(engine::Sizes),
    /// Lists and searches of a server with 100,000 plans, 10,000 repositories and 100,000 tags in one of them
    List,
    /// What happens to images after their push, held against what it must be: deletes and their reverts, promotions, rollbacks, names
    /// by a pattern, and pushes beside a cleanup
    Lives(lives::Sizes),
    /// Fill the folder of a server that does not run as `list` does, for tests of long lists; prints what there is
    #[command(hide = true)]
    Fill {
        /// The server's `--data-dir`; one push to it must have ended well
        #[arg(long)]
        data_dir: PathBuf,
        /// Only with so many tasks; prints how many there are
        #[arg(long)]
        tasks: Option<u64>,
        /// The oldest of these tasks is so many days old, the others are younger by even steps
        #[arg(long, default_value_t = 30, requires = "tasks")]
        days: u32,
    },
    /// Pushes through a server of its own: small images, tags, a large layer there and back, starts and memory
    Push,
    /// A main server and a smart proxy, held against what they must be: how soon a push is at the proxy, and how fast it is pulled there
    Proxies(proxies::Sizes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("no folder can be made in {}", dir.display())]
    Folder {
        dir: PathBuf,
        source: std::io::Error,
    },
    #[error("the folder cannot be written")]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] storage::DatabaseError),
    #[error(transparent)]
    Declaration(#[from] ::engine::workflow::DeclarationError),
    #[error(transparent)]
    Node(#[from] ::engine::node::NodeError),
    #[error(transparent)]
    Oci(#[from] crate::oci_client::OciClientError),
    #[error("a plan of the benchmark ended in {0}")]
    Plan(String),
    #[error("the server of the benchmark {0}")]
    Server(String),
}

/// Measures and prints.
pub(crate) async fn command(command: Command) -> ExitCode {
    match run(&command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}

async fn run(command: &Command) -> Result<(), BenchError> {
    let report = match &command.what {
        What::Engine(sizes) => engine::measure(folder(command)?.path(), sizes).await?,
        What::Fill {
            data_dir,
            tasks,
            days,
        } => {
            terminal::print(list::fill(data_dir, tasks.map(|tasks| (tasks, *days))).await?);
            return Ok(());
        }
        What::List => list::measure(folder(command)?.path()).await?,
        What::Lives(sizes) => lives::measure(folder(command)?.path(), sizes).await?,
        What::Proxies(sizes) => proxies::measure(folder(command)?.path(), sizes).await?,
        What::Push => push::measure(folder(command)?.path()).await?,
    };
    report.print(command.output == Output::Json);
    Ok(())
}

/// Where it is measured, until it is.
fn folder(command: &Command) -> Result<TempDir, BenchError> {
    let made = tempfile::Builder::new()
        .prefix("wharfinger-bench-")
        .tempdir_in(&command.dir);
    made.map_err(|source| BenchError::Folder {
        dir: command.dir.clone(),
        source,
    })
}
