//! REST: everything about tasks, repositories and access, for people's scripts and for the command line.
//!
//! A folder or file is a resource, a function a verb. Whoever may not see a thing is told it does not exist; whoever may not
//! change it is told so.

mod audit;
mod body;
mod caller;
mod drills;
mod fields;
mod grants;
mod health;
mod metrics;
mod organizations;
mod page;
mod path;
mod problem;
mod products;
mod refusals;
mod repositories;
mod rights;
mod robots;
mod roles;
mod settings;
mod tasks;
mod tokens;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::Method;
use storage::catalog::roles::Permission::{
    Admin, CreateRepositories, ManageAccess, ManageProducts, OperateTasks, Pull, ViewTasks,
};

use crate::app::App;
use problem::{Kind, Problem};
use rights::Right::{Cut, Everywhere, Known, Oneself, OwnTask, Seen, Sight, Task, There};
use rights::{Route, route, router_of};

/// In front of every path of this version of the API.
const V1: &str = "/api/v1";

/// Every route below `/api/v1`, with what it needs of who calls it: the one table by which callers are judged.
#[rustfmt::skip]
fn routes() -> Vec<Route> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    vec![
        route(GET,    "/tasks", Cut(ViewTasks), tasks::list::list),
        route(GET,    "/tasks/summary", Cut(ViewTasks), tasks::summary::summary),
        route(GET,    "/tasks/{id}", OwnTask(ViewTasks), tasks::show::show),
        route(GET,    "/tasks/{id}/history", OwnTask(ViewTasks), tasks::history::history),
        route(GET,    "/tasks/{id}/events", OwnTask(ViewTasks), tasks::events::events),
        route(GET,    "/tasks/{id}/wait", OwnTask(ViewTasks), tasks::wait::wait),
        route(GET,    "/tasks/{id}/graph.dot", OwnTask(ViewTasks), tasks::graph::dot),
        route(GET,    "/tasks/{id}/graph.mmd", OwnTask(ViewTasks), tasks::graph::mermaid),
        route(POST,   "/tasks/{id}/resume", Task(OperateTasks), tasks::resume::resume),
        route(POST,   "/tasks/{id}/cancel", Task(OperateTasks), tasks::cancel::cancel),
        route(POST,   "/tasks/{id}/steps/{step}/retry_now", Task(OperateTasks), tasks::retry_now::retry_now),

        route(GET,    "/organizations", Known, organizations::list),
        route(POST,   "/organizations", Everywhere(Admin), organizations::create),
        route(GET,    "/organizations/{organization}", Seen, organizations::show),
        route(PATCH,  "/organizations/{organization}", There(Admin), organizations::change),
        route(GET,    "/organizations/{organization}/products", Seen, products::list),
        route(POST,   "/organizations/{organization}/products", There(ManageProducts), products::create),
        route(GET,    "/organizations/{organization}/products/{product}", Seen, products::show),
        route(PATCH,  "/organizations/{organization}/products/{product}", There(ManageProducts), products::change),
        route(GET,    "/organizations/{organization}/products/{product}/repositories", Seen, repositories::list_of_product),
        route(POST,   "/organizations/{organization}/products/{product}/repositories", There(CreateRepositories), repositories::create::create),
        route(GET,    "/repositories", Cut(Pull), repositories::list),
        route(GET,    "/repositories/{id}", Sight(Pull), repositories::show),
        route(GET,    "/repositories/{id}/versions", Sight(Pull), repositories::versions::list),
        route(GET,    "/repositories/{id}/versions/{number}", Sight(Pull), repositories::versions::show),
        route(GET,    "/repositories/{id}/tags", Sight(Pull), repositories::tags::list),
        route(GET,    "/repositories/{id}/tags/{tag}", Sight(Pull), repositories::tags::show),
        route(GET,    "/repositories/{id}/manifests/{digest}", Sight(Pull), repositories::manifests::show),

        route(GET,    "/users", Cut(ManageAccess), users::list),
        route(POST,   "/users", Everywhere(ManageAccess), users::create),
        route(GET,    "/users/me", Known, users::me),
        route(GET,    "/users/{login}", Oneself(ManageAccess), users::show),
        route(PATCH,  "/users/{login}", Oneself(ManageAccess), users::change),
        route(DELETE, "/users/{login}", Everywhere(ManageAccess), users::delete),
        route(GET,    "/robots", Cut(ManageAccess), robots::list),
        route(POST,   "/robots", There(ManageAccess), robots::create),
        route(GET,    "/robots/{id}", There(ManageAccess), robots::show),
        route(PATCH,  "/robots/{id}", There(ManageAccess), robots::change),
        route(DELETE, "/robots/{id}", There(ManageAccess), robots::delete),
        route(GET,    "/tokens", Known, tokens::list),
        route(POST,   "/tokens", Known, tokens::create),
        route(GET,    "/tokens/{id}", Known, tokens::show),
        route(DELETE, "/tokens/{id}", Known, tokens::delete),
        route(GET,    "/roles", Known, roles::list),
        route(POST,   "/roles", Everywhere(ManageAccess), roles::create),
        route(GET,    "/roles/{name}", Known, roles::show),
        route(PATCH,  "/roles/{name}", Everywhere(ManageAccess), roles::change),
        route(DELETE, "/roles/{name}", Everywhere(ManageAccess), roles::delete),
        route(GET,    "/grants", Cut(ManageAccess), grants::list),
        route(POST,   "/grants", There(ManageAccess), grants::create),
        route(DELETE, "/grants/{id}", Sight(ManageAccess), grants::delete),
        route(GET,    "/audit", Everywhere(Admin), audit::list),
        route(GET,    "/settings", Everywhere(Admin), settings::list),
        route(GET,    "/settings/{name}", Everywhere(Admin), settings::show),
        route(PATCH,  "/settings/{name}", Everywhere(Admin), settings::change),

        route(GET,    "/drills", Everywhere(Admin), drills::list),
        route(POST,   "/drills", Everywhere(Admin), drills::create),
        route(DELETE, "/drills/{id}", Everywhere(Admin), drills::delete),
    ]
}

/// Every route below `/api/v1`, and those that tell others how we are.
pub(crate) fn router(app: Arc<App>) -> Router {
    let v1 = router_of(routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method);
    let metrics = route(
        Method::GET,
        "/metrics",
        Everywhere(ViewTasks),
        metrics::show,
    );
    Router::new()
        .nest(V1, v1)
        .merge(router_of(vec![metrics]))
        .layer(from_fn_with_state(Arc::clone(&app), refusals::write_down))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(app)
}

/// What a second listener shows to whoever reaches it: how we are, without a login.
pub(crate) fn router_for_watchers(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show_to_anybody))
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
