//! What REST answers when it does not do what it was asked: RFC 9457, from one table.

use std::fmt;

use axum::response::{IntoResponse, Response};
use engine::search::SearchError;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use storage::DatabaseError;
use storage::catalog::CatalogError;

use super::refusals::Refused;

/// The kinds of problem; each is one line of [`PROBLEMS`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Kind {
    /// What was sent is no JSON, or a cursor of ours was changed.
    Malformed,
    /// The search does not read.
    BadSearch,
    /// Nobody we know.
    NotAuthenticated,
    /// Somebody we know, who may not do this.
    NotAllowed,
    /// Drills are off on this server.
    DrillsOff,
    /// There is no such thing, or none that the caller may see.
    NotFound,
    /// The thing is there, but not for this verb.
    MethodNotAllowed,
    /// Something with this name exists.
    Duplicate,
    /// The task is in a state in which this cannot be done.
    DoesNotFit,
    /// The client stopped sending the body.
    TooSlow,
    /// The body is too large.
    TooLarge,
    /// The body is of another media type than JSON.
    NotJson,
    /// Fields of the body have values they cannot have.
    Invalid,
    /// As many requests are answered as may be; told before a handler is reached.
    TooManyRequests,
    /// Our mistake, or our database's.
    Internal,
    /// Not now: the server is stopping, or its database is busy.
    Unavailable,
    /// The disk is full.
    Full,
}

/// Which status and title each kind has.
#[rustfmt::skip]
pub(super) const PROBLEMS: &[(Kind, StatusCode, &str)] = &[
    (Kind::Malformed,        StatusCode::BAD_REQUEST,           "The request cannot be read"),
    (Kind::BadSearch,        StatusCode::BAD_REQUEST,           "The search cannot be read"),
    (Kind::NotAuthenticated, StatusCode::UNAUTHORIZED,          "Log in first"),
    (Kind::NotAllowed,       StatusCode::FORBIDDEN,             "You may not do this"),
    (Kind::DrillsOff,        StatusCode::FORBIDDEN,             "Drills are off"),
    (Kind::NotFound,         StatusCode::NOT_FOUND,             "There is no such thing"),
    (Kind::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED,    "The thing does not do this"),
    (Kind::Duplicate,        StatusCode::CONFLICT,              "It exists already"),
    (Kind::DoesNotFit,       StatusCode::CONFLICT,              "This cannot be done now"),
    (Kind::TooSlow,          StatusCode::REQUEST_TIMEOUT,       "The body did not come"),
    (Kind::TooLarge,         StatusCode::PAYLOAD_TOO_LARGE,     "The body is too large"),
    (Kind::NotJson,          StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON"),
    (Kind::Invalid,          StatusCode::UNPROCESSABLE_ENTITY,  "Some fields are invalid"),
    (Kind::TooManyRequests,  StatusCode::TOO_MANY_REQUESTS,     "Not now"),
    (Kind::Internal,         StatusCode::INTERNAL_SERVER_ERROR, "The server made a mistake"),
    (Kind::Unavailable,      StatusCode::SERVICE_UNAVAILABLE,   "Not now"),
    (Kind::Full,             StatusCode::INSUFFICIENT_STORAGE,  "The disk is full"),
];

/// One problem, ready to be answered.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    more: Map<String, Value>,
    challenge: Option<HeaderValue>,
}

/// A field of the body or the query, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(super) struct WrongField {
    /// The field's name; dots stand between nested ones.
    pub(super) field: String,
    /// Continues the sentence "the field …".
    pub(super) message: String,
}

impl Problem {
    /// A problem of this kind: what happened, to which thing, what to do.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            more: Map::new(),
            challenge: None,
        }
    }

    /// There is no such thing, or none that the caller may see: both read the same.
    pub(super) fn not_found(what: impl fmt::Display) -> Self {
        Self::new(
            Kind::NotFound,
            format!("there is no {what}, or none that you may see"),
        )
    }

    /// The caller sees the thing, but lacks a permission for what he wants of it.
    pub(super) fn not_allowed(permission: impl fmt::Display, place: impl fmt::Display) -> Self {
        Self::new(
            Kind::NotAllowed,
            format!(
                "you lack the permission `{permission}` {place}; an administrator can grant a role that has it"
            ),
        )
    }

    /// These fields are wrong.
    pub(super) fn invalid(errors: &[WrongField]) -> Self {
        let fields: Vec<&str> = errors.iter().map(|wrong| wrong.field.as_str()).collect();
        Self::new(Kind::Invalid, format!("invalid: {}", fields.join(", ")))
            .with("errors", json!(errors))
    }

    /// This one field is wrong.
    pub(super) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(&[WrongField {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    /// Something that is not the caller's fault. The cause goes to the log, not to the caller.
    pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "a REST request failed: {cause}");
        Self::new(
            Kind::Internal,
            "the server could not do this; its log says why, under this answer's X-Request-Id",
        )
    }

    /// The same problem with one more member.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// The same problem with the challenge that tells how to log in.
    pub(super) fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenge = Some(challenge);
        self
    }

    fn row(&self) -> (StatusCode, &'static str) {
        let row = PROBLEMS.iter().find(|(kind, ..)| *kind == self.kind);
        let (_, status, title) = row.expect("a test says that every kind has its row");
        (*status, title)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title) = self.row();
        let kind: &'static str = self.kind.into();
        let mut body = json!({
            "type": format!("urn:wharfinger:problem:{kind}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
        });
        for (name, value) in self.more {
            body[name] = value;
        }
        let mut response = (status, body.to_string()).into_response();
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.kind == Kind::NotAllowed {
            response.extensions_mut().insert(Refused(self.detail));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        Self::new(Kind::BadSearch, error.to_string())
            .with("position", json!(error.position))
            .with("expected", json!(error.expected))
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        if error.is_full() {
            Self::new(
                Kind::Full,
                "the database's disk is full: nothing was changed; free some space and try again",
            )
        } else if error.is_transient() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a REST request found the database unable: {error}"
            );
            Self::new(
                Kind::Unavailable,
                "the database could not do this now; try again",
            )
        } else {
            Self::internal(&error)
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Database(error) => error.into(),
            CatalogError::Duplicate { .. } | CatalogError::Taken { .. } => {
                Self::new(Kind::Duplicate, error.to_string())
            }
            CatalogError::Followed { .. } => Self::invalid_field("prior", error.to_string()),
            CatalogError::Needed { .. } => Self::new(Kind::DoesNotFit, error.to_string()),
            CatalogError::Missing { .. } => Self::new(Kind::NotFound, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn every_kind_has_exactly_one_row() {
        for kind in Kind::iter() {
            assert_eq!(
                PROBLEMS.iter().filter(|(other, ..)| *other == kind).count(),
                1,
                "{kind:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_problem_reads_as_rfc_9457_says() {
        let problem = Problem::invalid_field("label", "is reserved");

        let response = problem.into_response();

        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "urn:wharfinger:problem:invalid",
                "title": "Some fields are invalid",
                "status": 422,
                "detail": "invalid: label",
                "errors": [{"field": "label", "message": "is reserved"}]
            })
        );
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        assert_eq!(
            Problem::from(DatabaseError::Full).row().0,
            StatusCode::INSUFFICIENT_STORAGE
        );
        assert_eq!(
            Problem::from(DatabaseError::Busy).row().0,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            Problem::from(DatabaseError::Panicked).row().0,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
