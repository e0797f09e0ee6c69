//! `wharfinger`: a container registry where every push is a durable workflow.

mod answers;
mod api;
mod app;
mod audit;
mod auth;
mod bench;
mod cli;
mod config;
mod data_dir;
mod demo;
mod doctor;
mod first_start;
mod full_disk;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod hiding;
mod http;
mod mirror;
mod oci;
mod oci_client;
mod pulls;
mod sample_image;
mod schedules;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use cli::Role;
use config::Environment;

/// Does what the command line of this process asks for.
#[must_use]
pub fn main() -> ExitCode {
    let environment = Environment::of_this_process();
    let role = cli::Cli::parse().role;
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return cli::exit::failed(&error),
    };
    runtime.block_on(async {
        match role {
            Role::Serve(settings) => serve::command(&settings, &environment).await,
            Role::Demo => demo::command().await,
            Role::Bench(what) => bench::command(what).await,
            Role::Config(command) => config::command(&command, &environment),
            Role::Doctor(settings) => doctor::command(&settings, &environment).await,
            Role::Login(command) => cli::login::log_in(command, &environment).await,
            Role::Logout(command) => cli::login::log_out(command, &environment).await,
            Role::Ask(noun) => noun.command(&environment).await,
            Role::Completions(wanted) => cli::manual::completions(&wanted),
            Role::GenerateMan(wanted) => cli::manual::pages(&wanted),
            Role::GenerateReference => cli::manual::reference(),
            Role::GeneratePictures(wanted) => cli::manual::pictures(&wanted),
        }
    })
}
