//! `wharfinger task retry-now|skip|resolve`: what is done to a step of a task.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::TaskId;
use super::act::{Why, with_reason};
use crate::cli::client::{Client, ClientError, segment};
use crate::cli::view::View;

/// Which step of which task, and why.
#[derive(Args, Debug)]
struct Step {
    #[command(flatten)]
    task: TaskId,
    /// The step's name
    #[arg(value_name = "STEP")]
    name: String,
    #[command(flatten)]
    why: Why,
}

/// `task retry-now`.
#[derive(Args, Debug)]
pub(super) struct RetryNow {
    #[command(flatten)]
    task: TaskId,
    /// The step that waits for its next attempt
    step: String,
    #[command(flatten)]
    why: Why,
}

/// `task skip`.
#[derive(Args, Debug)]
pub(super) struct Skip {
    #[command(flatten)]
    step: Step,
    /// What later steps read instead of the step's own output; without it, those that need one are skipped too
    #[arg(long, value_name = "JSON", value_parser = json_of)]
    step_output: Option<Value>,
    /// Also when whoever started the task may not do it any more; needs a reason
    #[arg(long = "override", requires = "reason")]
    overrule: bool,
}

/// `task resolve`.
#[derive(Args, Debug)]
pub(super) struct Resolve {
    #[command(flatten)]
    step: Step,
    #[command(flatten)]
    what: What,
    /// What came of the step, if it happened; without it: nothing
    #[arg(long, value_name = "JSON", value_parser = json_of, conflicts_with = "did_not_happen")]
    step_output: Option<Value>,
    /// Also when whoever started the task may not do it any more; needs a reason
    #[arg(long = "override", requires = "reason")]
    overrule: bool,
}

/// What a person knows of the step.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct What {
    /// It happened, and is not done again
    #[arg(long)]
    happened: bool,
    /// It did not happen, and is done again
    #[arg(long)]
    did_not_happen: bool,
}

pub(super) fn json_of(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("this is not JSON: {error}; a text needs quotes of its own: '\"a\"'")
    })
}

impl Step {
    async fn act(
        &self,
        client: &Client,
        view: View,
        verb: &str,
        more: Vec<(&str, Value)>,
    ) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.why.reason.as_deref());
        for (name, value) in more {
            body[name] = value;
        }
        let step = segment(&self.name);
        let path = format!("{}/steps/{step}/{verb}", self.task.path());
        let answer = client.post(&path, &body).await?;
        self.why.after(client, view, &self.task, answer).await
    }
}

impl RetryNow {
    pub(super) async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let step = Step {
            task: self.task,
            name: self.step,
            why: self.why,
        };
        step.act(client, view, "retry_now", Vec::new()).await
    }
}

impl Skip {
    pub(super) async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let output = self.step_output.map(|output| ("output", output));
        let overrule = self.overrule.then_some(("override", json!(true)));
        let more = output.into_iter().chain(overrule).collect();
        self.step.act(client, view, "skip", more).await
    }
}

impl Resolve {
    pub(super) async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        let mut more = vec![("happened", json!(self.what.happened))];
        if self.what.happened {
            more.push(("output", self.step_output.unwrap_or(Value::Null)));
        }
        more.extend(self.overrule.then_some(("override", json!(true))));
        self.step.act(client, view, "resolve", more).await
    }
}
