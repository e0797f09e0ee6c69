//! `wharfinger task …`: see tasks and act on them.

mod act;
mod explain;
mod list;
mod show;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ClientError, Connection};
use super::exit;
use crate::config::Environment;

/// A verb on tasks, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List tasks, the newest first
    List(list::List),
    /// Show a task with its steps
    Show(TaskId),
    /// Follow a task until it has ended or is paused
    Watch(TaskId),
    /// Say in words what happened, what is safe and what to do
    Explain(TaskId),
    /// Let a paused task go on with its failed and not-run steps
    Resume(act::Resume),
    /// End a task; what is done stays done
    Cancel(act::Cancel),
    /// Let a step that waits for its next attempt try at once
    RetryNow(act::RetryNow),
}

#[derive(Args, Debug)]
struct TaskId {
    /// The task's id
    #[arg(value_name = "TASK")]
    id: uuid::Uuid,
}

impl TaskId {
    fn path(&self) -> String {
        format!("/tasks/{}", self.id)
    }
}

/// Runs the verb.
pub(crate) async fn command(command: Command, environment: &Environment) -> ExitCode {
    run(command, environment)
        .await
        .unwrap_or_else(|error| exit::of(&error))
}

async fn run(command: Command, environment: &Environment) -> Result<ExitCode, ClientError> {
    let client = Client::new(&command.connection, environment)?;
    let output = command.connection.output;
    match command.verb {
        Verb::List(list) => list.run(&client, output).await,
        Verb::Show(task) => show::run(&client, output, &task).await,
        Verb::Watch(task) => watch::run(&client, output, &task).await,
        Verb::Explain(task) => explain::run(&client, output, &task).await,
        Verb::Resume(resume) => resume.run(&client, output).await,
        Verb::Cancel(cancel) => cancel.run(&client, output).await,
        Verb::RetryNow(retry) => retry.run(&client, output).await,
    }
}
