//! REST: everything about tasks, repositories and access, for people's scripts and for the command line.
//!
//! A folder or file is a resource, a function a verb. Whoever may not see a thing is told it does not exist; whoever may not
//! change it is told so.

mod body;
mod caller;
mod drills;
mod fields;
mod grants;
mod health;
mod organizations;
mod page;
mod path;
mod problem;
mod products;
mod repositories;
mod roles;
mod tasks;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::app::App;
use problem::{Kind, Problem};

/// In front of every path of this version of the API.
const V1: &str = "/api/v1";

/// Every route below `/api/v1`, and the two that tell an orchestrator how we are.
#[rustfmt::skip]
pub(crate) fn router(app: Arc<App>) -> Router {
    let v1 = Router::new()
        .route("/tasks", get(tasks::list::list))
        .route("/tasks/summary", get(tasks::summary::summary))
        .route("/tasks/{id}", get(tasks::show::show))
        .route("/tasks/{id}/history", get(tasks::history::history))
        .route("/tasks/{id}/wait", get(tasks::wait::wait))
        .route("/tasks/{id}/graph.dot", get(tasks::graph::dot))
        .route("/tasks/{id}/graph.mmd", get(tasks::graph::mermaid))
        .route("/tasks/{id}/resume", post(tasks::resume::resume))
        .route("/tasks/{id}/cancel", post(tasks::cancel::cancel))
        .route("/tasks/{id}/steps/{step}/retry_now", post(tasks::retry_now::retry_now))
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route("/organizations/{organization}", get(organizations::show).patch(organizations::change))
        .route("/organizations/{organization}/products", get(products::list).post(products::create))
        .route("/organizations/{organization}/products/{product}", get(products::show).patch(products::change))
        .route("/organizations/{organization}/products/{product}/repositories", get(repositories::list_of_product))
        .route("/repositories", get(repositories::list))
        .route("/repositories/{id}", get(repositories::show))
        .route("/repositories/{id}/versions", get(repositories::versions::list))
        .route("/repositories/{id}/versions/{number}", get(repositories::versions::show))
        .route("/repositories/{id}/tags", get(repositories::tags::list))
        .route("/repositories/{id}/tags/{tag}", get(repositories::tags::show))
        .route("/repositories/{id}/manifests/{digest}", get(repositories::manifests::show))
        .route("/users", get(users::list).post(users::create))
        .route("/users/me", get(users::me))
        .route("/users/{login}", get(users::show).patch(users::change))
        .route("/roles", get(roles::list))
        .route("/grants", get(grants::list).post(grants::create))
        .route("/grants/{id}", delete(grants::delete))
        .route("/drills", get(drills::list).post(drills::create))
        .route("/drills/{id}", delete(drills::delete))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method);
    Router::new()
        .nest(V1, v1)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(app)
}

async fn no_such_route(uri: http::Uri) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("there is no {V1}{} in this API", uri.path()),
    )
}

async fn no_such_method(method: http::Method, uri: http::Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{V1}{} does not take {method}", uri.path()),
    )
}

#[cfg(test)]
mod tests;
