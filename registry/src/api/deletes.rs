//! What the routes share that delete something with what is in it: each is a task, or says what it would take.

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use workflows::delete_repository::Deleting;
use workflows::delete_together::{DeleteTogetherError, WouldGo};

use super::answer::{Accepted, BegunTask};
use super::fields::Reason;
use super::openapi::{Answers, Operation};
use super::problem::{Kind, Problem};

/// The body, which may be left out.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Delete", example = json!({"dry_run": true}))]
pub(super) struct Wanted {
    /// Only say what would be deleted.
    pub(super) dry_run: bool,
    /// Why, for the audit.
    pub(super) reason: Option<Reason>,
}

/// A repository that would be deleted.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "WouldDeleteRepository")]
pub(super) struct WouldDelete {
    /// The name by which it is pushed.
    repository: String,
    /// How many versions it has.
    versions: u64,
    /// How many tags Library publishes.
    tags: u64,
    /// How many environments publish something of it.
    environments: usize,
}

impl WouldDelete {
    pub(super) fn of(repository: String, what: &Deleting) -> Self {
        Self {
            repository,
            versions: what.versions,
            tags: what.tags,
            environments: what.environments,
        }
    }
}

impl From<WouldGo> for WouldDelete {
    fn from(would: WouldGo) -> Self {
        Self::of(would.repository, &would.what)
    }
}

/// 200 with what would be deleted, or 202 with the task.
pub(super) enum Deleted<T> {
    Preview(T),
    Task(BegunTask),
}

impl<T: Serialize> IntoResponse for Deleted<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => Accepted(task).into_response(),
        }
    }
}

impl<T: JsonSchema> Answers for Deleted<T> {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<T>(200, "For a `dry_run`: what would be deleted.");
        Accepted::<BegunTask>::answer(operation);
    }
}

impl From<DeleteTogetherError> for Problem {
    fn from(error: DeleteTogetherError) -> Self {
        match error {
            DeleteTogetherError::Gone(what) => Self::not_found(what),
            DeleteTogetherError::TooMany { .. }
            | DeleteTogetherError::UnderWay(..)
            | DeleteTogetherError::Busy(_) => Self::new(Kind::DoesNotFit, error.to_string()),
            DeleteTogetherError::Step(_) => Self::internal(&error),
            DeleteTogetherError::Catalog(error) => error.into(),
            DeleteTogetherError::Node(error) => error.into(),
        }
    }
}
