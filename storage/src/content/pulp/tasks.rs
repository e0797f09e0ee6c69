//! Tasks of Pulp: what it does after it has answered.

use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::client::Ask;
use super::{Pulp, PulpError};

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// It waits or runs.
    Open,
    /// It has done its work; these things it has made.
    Completed(Vec<String>),
    /// Pulp does not know it any more: what it has done can be seen only at the thing itself.
    Purged,
}

/// The tasks of one name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// How many Pulp knows.
    pub(super) known: u64,
    /// The newest, if it has not failed.
    pub(super) open: Option<String>,
}

impl Pulp {
    /// Where the task is; an error if it has ended otherwise than well.
    pub(super) async fn task(&self, href: &str, doing: &str) -> Result<TaskState, PulpError> {
        let reply = self.client.ask(Ask::get(doing, href, &[])).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(TaskState::Purged);
        }
        state_of(&reply.expect(doing, &[StatusCode::OK])?, doing)
    }

    /// The tasks by this name: of a request whose answer was lost, or that was sent again.
    pub(super) async fn task_named(
        &self,
        correlation: Uuid,
        doing: &str,
    ) -> Result<Named, PulpError> {
        let name = correlation.simple().to_string();
        let query = [
            ("logging_cid", name.as_str()),
            ("ordering", "-pulp_created"),
            ("limit", "1"),
        ];
        let reply = self.client.ask(Ask::get(doing, "tasks/", &query)).await?;
        let found = reply.expect(doing, &[StatusCode::OK])?;
        let newest = found["results"].get(0);
        let open = newest.filter(|task| state_of(task, doing).is_ok());
        Ok(Named {
            known: found["count"].as_u64().unwrap_or_default(),
            open: open
                .map(|task| href(task, "pulp_href", doing))
                .transpose()?,
        })
    }
}

pub(super) fn state_of(task: &Value, doing: &str) -> Result<TaskState, PulpError> {
    let state = task["state"].as_str().unwrap_or_default();
    match state {
        "waiting" | "running" | "canceling" => Ok(TaskState::Open),
        "completed" => Ok(TaskState::Completed(
            task["created_resources"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|made| made.as_str().map(str::to_owned))
                .collect(),
        )),
        _ => {
            let error = &task["error"];
            // That of a task whose worker was killed has no description.
            let why = error["description"].as_str().or(error["reason"].as_str());
            Err(PulpError::Task {
                doing: doing.to_owned(),
                state: state.to_owned(),
                why: why.unwrap_or("it does not say why").to_owned(),
            })
        }
    }
}

/// An href of an answer.
pub(super) fn href(thing: &Value, field: &str, doing: &str) -> Result<String, PulpError> {
    let href = thing[field].as_str().filter(|href| href.starts_with('/'));
    href.map(str::to_owned)
        .ok_or_else(|| PulpError::Unreadable {
            doing: doing.to_owned(),
            why: format!("it has no `{field}`"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_whose_worker_was_killed_says_its_reason() {
        let gone = json!({"state": "failed", "error": {"reason": "Worker has gone missing."}});

        let error = state_of(&gone, "copy").unwrap_err();

        assert_eq!(
            error.to_string(),
            "Pulp's task to copy ended failed: Worker has gone missing."
        );
        assert!(error.is_transient());
    }

    #[test]
    fn a_task_that_is_being_cancelled_has_not_ended() {
        for state in ["waiting", "running", "canceling"] {
            let open = state_of(&json!({"state": state}), "copy").unwrap();
            assert_eq!(open, TaskState::Open);
        }
        let done = json!({"state": "completed", "created_resources": ["/pulp/x/versions/2/"]});
        let made = vec!["/pulp/x/versions/2/".to_owned()];
        assert_eq!(state_of(&done, "copy").unwrap(), TaskState::Completed(made));
    }
}
