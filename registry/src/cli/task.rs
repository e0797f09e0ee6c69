//! `wharfinger task …`: see tasks and act on them.

mod act;
mod begun;
mod bulk;
mod cleanup;
mod explain;
mod export;
pub(super) mod groups;
pub(super) mod history;
pub(super) mod list;
mod patience;
mod show;
mod step;
mod watch;

pub(super) use act::print;
pub(in crate::cli) use act::with_reason;
pub(super) use begun::Begun;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, ClientError, Connection};
use super::graph::Drawn;
use super::page::Page;
use super::view::View;
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
    /// Count tasks by state, result and reason
    Summary,
    /// Show a task with its steps
    Show(TaskId),
    /// Follow a task until it has ended or is paused
    Watch(TaskId),
    /// Say in words what happened, what is safe and what to do
    Explain(TaskId),
    /// List everything that was recorded of a task
    History {
        #[command(flatten)]
        task: TaskId,
        #[command(flatten)]
        page: Page,
    },
    /// Draw a task's steps
    Graph {
        #[command(flatten)]
        task: TaskId,
        #[command(flatten)]
        drawn: Drawn,
    },
    /// Let a paused task go on with its failed and not-run steps
    Resume(act::Resume),
    /// End a task; what is done stays done
    Cancel(act::Cancel),
    /// End a task at once: what runs is dropped
    Abort(act::Cancel),
    /// Undo what a task did
    Revert(act::Revert),
    /// Let a task begin nothing new until it is released
    Hold(act::Hold),
    /// Let a held task go on
    Release(act::Release),
    /// Let a step that waits for its next attempt try at once
    RetryNow(step::RetryNow),
    /// Let a paused task go on without a step that failed
    Skip(step::Skip),
    /// Say whether an interrupted step happened
    Resolve(step::Resolve),
    /// Tell a task of an event that a step waits for, or will wait for
    SendEvent(act::SendEvent),
    /// Group paused or failed tasks by what stopped them
    Groups(groups::Groups),
    /// Resume all tasks of a group, as a task of its own
    ResumeGroup(groups::ResumeGroup),
    /// Resume all tasks that a search finds, as a task of its own
    BulkResume(bulk::Bulk),
    /// Cancel all tasks that a search finds, as a task of its own
    BulkCancel(bulk::Bulk),
    /// Write tasks with their whole histories to standard output, a line of JSON each
    Export(export::Export),
    /// Delete what was kept long enough and what nothing needs any more, as a task of its own
    Cleanup(cleanup::Cleanup),
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
    let verb = command.verb;
    let run = async move |client: &Client, view: View| verb.run(client, view).await;
    command.connection.run(environment, run).await
}

impl Verb {
    async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        match self {
            Self::List(list) => list.run(client, view).await,
            Self::Summary => list::summary(client, view).await,
            Self::Show(task) => show::run(client, view, &task).await,
            Self::Watch(task) => watch::run(client, view, &task).await,
            Self::Explain(task) => explain::run(client, view, &task).await,
            Self::History { task, page } => history::run(client, view, &task, &page).await,
            Self::Graph { task, drawn } => drawn.print(client, &task.path()).await,
            Self::Resume(resume) => resume.run(client, view).await,
            Self::Cancel(cancel) => cancel.run(client, view).await,
            Self::Abort(abort) => abort.abort(client, view).await,
            Self::Revert(revert) => revert.run(client, view).await,
            Self::Hold(hold) => hold.run(client, view).await,
            Self::Release(release) => release.run(client, view).await,
            Self::RetryNow(retry) => retry.run(client, view).await,
            Self::Skip(skip) => skip.run(client, view).await,
            Self::Resolve(resolve) => resolve.run(client, view).await,
            Self::SendEvent(event) => event.run(client, view).await,
            Self::Groups(groups) => groups.run(client, view).await,
            Self::ResumeGroup(resume) => resume.run(client, view).await,
            Self::BulkResume(bulk) => bulk.run(client, view, "bulk_resume").await,
            Self::BulkCancel(bulk) => bulk.run(client, view, "bulk_cancel").await,
            Self::Export(export) => export.run(client).await,
            Self::Cleanup(cleanup) => cleanup.run(client, view).await,
        }
    }
}
