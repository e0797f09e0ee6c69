//! The command line: what is run here, and what is asked of a server over REST.

pub(crate) mod answer;
pub(crate) mod audit;
pub(crate) mod client;
pub(crate) mod delete;
pub(crate) mod drill;
pub(crate) mod environment;
pub(crate) mod exit;
pub(crate) mod gate;
pub(crate) mod grant;
mod graph;
pub(crate) mod login;
pub(crate) mod manual;
pub(crate) mod node;
pub(crate) mod noun;
pub(crate) mod organization;
pub(crate) mod page;
pub(crate) mod printable;
pub(crate) mod product;
pub(crate) mod repository;
pub(crate) mod robot;
pub(crate) mod role;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod setting;
pub(crate) mod show;
pub(crate) mod smart_proxy;
pub(crate) mod task;
pub(crate) mod terminal;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod view;
pub(crate) mod webhook;
pub(crate) mod workflow;

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
    /// Get a personal token from a server, and keep it for the commands to come
    Login(login::Command),
    /// Revoke the token that is kept for a server, and forget it
    Logout(login::LogOut),
    /// Ask a server
    #[command(flatten)]
    Ask(noun::Noun),
    /// Print the script with which a shell completes commands
    Completions(manual::Completions),
    /// Write a manual page for each command
    #[command(hide = true)]
    GenerateMan(manual::Pages),
    /// Print the reference of all commands, in Markdown
    #[command(hide = true)]
    GenerateReference,
    /// Write the pictures of the documentation
    #[command(hide = true)]
    GeneratePictures(manual::Pages),
}

#[cfg(test)]
mod tests;
