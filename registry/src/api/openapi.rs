//! The document of this API: OpenAPI 3.1, made of the table of routes and of the types of their handlers.

mod describe;
mod links;
mod operation;
mod page;
mod problems;
mod schemas;

#[cfg(test)]
pub(super) mod tests;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

pub(super) use describe::{Answers, Described, Reads};
pub(super) use operation::Operation;
pub(super) use page::page;

use super::{V1, routes, routes_beside};
use problems::Problem;
use schemas::Schemas;

/// The resources in the order in which people read about them.
#[rustfmt::skip]
const RESOURCES: &[(&str, &str)] = &[
    ("tasks",         "Every push is a task: watched, explained, resumed."),
    ("workflows",     "What tasks are made of."),
    ("gates",         "What stands before each backend: closed while that is down, so that no attempt is wasted on it."),
    ("nodes",         "The processes that drive tasks."),
    ("organizations", "Who things belong to. An image's name begins with an organization's label."),
    ("products",      "What an organization sorts its repositories by."),
    ("environments",  "Where versions are published: Library, and the paths that begin there."),
    ("repositories",  "What pushes have made: versions, tags, manifests."),
    ("users",         "People who log in."),
    ("robots",        "Users of an organization that are no people, and log in with a token."),
    ("tokens",        "One's own personal tokens, each a password that can be taken back alone."),
    ("roles",         "Sets of permissions under a name."),
    ("grants",        "Who has which role where."),
    ("audit",         "Who changed what, and who was refused."),
    ("settings",      "What administrators change while the registry runs."),
    ("schedules",     "What runs again and again at its times."),
    ("smart_proxies", "Servers that hold what environments publish, too."),
    ("webhooks",      "Who is told of pushes, deletes and paused tasks."),
    ("drills",        "Trouble on purpose, so that recovery can be practised; only where the server allows them."),
    ("health",        "For whoever restarts this server or sends it requests."),
    ("metrics",       "Figures for Prometheus."),
    ("openapi",       "This very document."),
];

const ABOUT: &str = "Everything about tasks, repositories and access. Log in with Basic (login and password, or a personal \
    token as the password) or with a Bearer token. Errors are `application/problem+json` (RFC 9457). Lists are \
    `{results, total, next}`; `next` is the `cursor` of the page that follows. Times are RFC 3339 in UTC, sizes are bytes. \
    Readable at `/api/docs`.";

/// The document, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(made);
static TEXT: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());

/// The document as JSON.
pub(super) struct Document;

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
    }
}

impl Answers for Document {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<serde_json::Map<String, Value>>(200, "OpenAPI 3.1.");
    }
}

/// `GET /api/openapi.json`.
pub(super) async fn document() -> Document {
    Document
}

fn made() -> Value {
    let mut schemas = Schemas::new();
    let problem = Value::from(schemas.of_answer::<Problem>());
    let v1 = routes();
    let beside = routes_beside();
    let (mut paths, mut kinds) = (json!({}), Vec::new());
    for (prefix, table) in [(V1, &v1), ("", &beside)] {
        for route in table {
            let mut described = Operation::of(route, &mut schemas);
            for lead in &described.leads {
                let links = links::of(lead, &v1);
                if !links.is_empty() {
                    described.said["responses"][lead.status.to_string()]["links"] = links.into();
                }
            }
            let method = route.method.as_str().to_ascii_lowercase();
            paths[format!("{prefix}{}", route.path)][method] = described.said;
            kinds.push(described.problems);
        }
    }
    let tag = |(name, about): &(&str, &str)| json!({ "name": name, "description": about });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Wharfinger",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": RESOURCES.iter().map(tag).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas.named(),
            "responses": problems::named(&kinds, &problem),
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Login and password; or a login and, as the password, a personal token of that user or the token of a robot.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A personal token; or a token that `/v2/token` gives without a scope, which counts as its user without `manage_access` and `admin`.",
                },
            },
        },
    })
}
