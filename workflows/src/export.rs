//! A task as a line of JSON, with everything that was recorded of it: for archives, and for whoever keeps what is deleted here.
//!
//! It is what REST shows of the task and its history, no more. A line tells of itself; it is read by people and scripts, and
//! never taken back.

use crate::push::Push;
use engine::clock::Timestamp;
use engine::explain::Task;
use engine::journal::{NodeId, PlanId, Row};
use engine::node::HistoryRow;
use engine::plan::Plan;
use engine::store::Count;
use engine::workflow::Workflow as _;
use serde::Serialize;
use serde_json::Value;
use storage::catalog::answers::Answered;

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    task: &'a Task,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
    answered: Option<Told<'a>>,
    history: Vec<Entry>,
}

/// What a client was told.
#[derive(Serialize)]
struct Told<'a> {
    status: u16,
    at: String,
    warning: Option<&'a str>,
}

/// An entry of the history.
#[derive(Serialize)]
struct Entry {
    n: usize,
    seq: i64,
    at: String,
    node: NodeId,
    actor: Option<String>,
    step: Option<String>,
    event: String,
    detail: Value,
}

/// The task that these rows tell of, as of now, in one line without its end.
pub fn line(
    id: PlanId,
    rows: Vec<Row>,
    children: &[Count],
    answered: Option<&Answered>,
    now: Timestamp,
) -> Result<String, serde_json::Error> {
    let plan = Plan::fold(id, &rows);
    let task = Task::of(&plan, &[], &[], now)
        .with_sentences(&plan, sentences_of(plan.workflow()))
        .with_children(children);
    let history = HistoryRow::all(&plan, rows).into_iter().enumerate();
    let line = Line {
        repository: task.link("repository"),
        tag: task.link("tag"),
        digest: task.link("digest"),
        answered: answered.map(|it| Told {
            status: it.status,
            at: it.at.to_rfc3339(),
            warning: it.warning.as_deref(),
        }),
        history: history
            .map(|(before, row)| entry(before + 1, row))
            .collect(),
        task: &task,
    };
    serde_json::to_string(&line)
}

/// What the workflow says besides of its tasks, as REST tells it.
fn sentences_of(workflow: &str) -> (&'static str, &'static str) {
    if workflow == Push::NAME {
        (Push::SAFE, Push::ELSE)
    } else {
        ("", "")
    }
}

fn entry(n: usize, row: HistoryRow) -> Entry {
    let (event, detail) = row.event_and_detail();
    Entry {
        n,
        seq: row.seq,
        at: row.at.to_rfc3339(),
        node: row.node,
        actor: row.actor,
        step: row.step,
        event,
        detail,
    }
}
