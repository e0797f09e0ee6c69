//! The command line: what is run here, and what is asked of a server over REST.

pub(crate) mod client;
pub(crate) mod exit;
pub(crate) mod repository;
pub(crate) mod show;
pub(crate) mod task;
pub(crate) mod terminal;

use clap::{Parser, Subcommand};

use crate::config::Settings;

/// A container registry where every push is a durable workflow.
#[derive(Debug, Parser)]
#[command(
    name = "wharfinger",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What this process is to be.
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// What a process can be.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run the registry
    Serve(Settings),
    /// Push a small image through a registry of its own, and pull it back
    Demo,
    /// Measure the engine or pushes on this machine and this disk
    Bench(crate::bench::Command),
    /// Print the effective configuration, with the source of each value
    Config(crate::config::Command),
    /// Check everything that is kept: journals, catalog, blobs. Only reads
    Doctor(Settings),
    /// See tasks and act on them
    Task(task::Command),
    /// See repositories, their versions and tags
    Repository(repository::Command),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_declared_without_contradictions() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_connection_may_stand_before_or_after_the_verb() {
        for line in [
            "wharfinger task --user a list",
            "wharfinger task list --user a",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_usage_error_ends_with_2() {
        let error = Cli::try_parse_from(["wharfinger", "task", "sing"]).unwrap_err();

        assert_eq!(error.exit_code(), i32::from(exit::USAGE));
    }
}
