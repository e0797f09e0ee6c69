//! What other nouns begin as a task.

use std::process::ExitCode;

use crate::cli::answer::Answer;
use clap::Args;

use super::{TaskId, watch};
use crate::cli::client::{Client, ClientError};
use crate::cli::view::{Column, View, id};

/// What can be said with every verb that begins a task.
#[derive(Args, Debug)]
pub(in crate::cli) struct Begun {
    /// Follow the task until it has ended or is paused; then end as `task watch` does
    #[arg(long)]
    wait: bool,
}

const TASK: &[Column] = &[id("TASK", "task_id")];

impl Begun {
    /// Names the task, or waits for its end.
    pub(in crate::cli) async fn after(
        &self,
        client: &Client,
        view: View,
        begun: &Answer,
    ) -> Result<ExitCode, ClientError> {
        let id = begun["task_id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id.filter(|_| self.wait) else {
            view.object(begun, TASK);
            return Ok(ExitCode::SUCCESS);
        };
        watch::run(client, view, &TaskId { id }).await
    }
}
