//! REST: everything about tasks, repositories and access, for people's scripts and for the command line.
//!
//! A folder or file is a resource, a function a verb. Whoever may not see a thing is told it does not exist; whoever may not
//! change it is told so.

mod answer;
mod audit;
mod body;
mod caller;
mod deletes;
mod drawn;
mod drills;
mod environments;
mod fields;
mod gates;
mod grants;
mod health;
mod metrics;
mod nodes;
mod openapi;
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
mod schedules;
mod settings;
mod smart_proxies;
mod tasks;
mod time;
mod tokens;
mod users;
mod webhooks;
mod workflows;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::Method;
use storage::catalog::roles::Permission::{
    Admin, CreateRepositories, Delete, ManageAccess, ManageProducts, ManageProxies,
    ManageSchedules, OperateTasks, Promote, Pull, ViewTasks,
};

use crate::app::App;
use problem::Kind::{self, BadSearch, DoesNotFit, DrillsOff};
use problem::Problem;
use rights::Right::{
    Anybody, Cut, Everywhere, Known, Oneself, OwnTask, Seen, Sight, Somewhere, Task, There,
};
use rights::{Route, route, router_of};

/// In front of every path of this version of the API.
const V1: &str = "/api/v1";

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Every route below `/api/v1`: what it needs of who calls it, who answers, and what that does. The one table by which
/// callers are judged, and of which the document of this API is made.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a line a route: it is one table")]
fn routes() -> Vec<Route> {
    vec![
        route(GET,    "/tasks", Cut(ViewTasks), tasks::list::list, "Lists tasks, the newest first"),
        route(GET,    "/tasks/summary", Cut(ViewTasks), tasks::summary::summary, "Counts tasks by state, result and reason"),
        route(GET,    "/tasks/groups", Cut(ViewTasks), tasks::groups::list::list, "Groups paused or failed tasks by what stopped them"),
        route(POST,   "/tasks/groups/{key}/resume", Somewhere(OperateTasks), tasks::groups::resume::resume, "Resumes the tasks of a group, as a task of its own"),
        route(POST,   "/tasks/bulk_resume", Somewhere(OperateTasks), tasks::bulk::resume::resume, "Resumes the tasks that a search finds, as a task of its own").or(BadSearch),
        route(POST,   "/tasks/bulk_cancel", Somewhere(OperateTasks), tasks::bulk::cancel::cancel, "Cancels the tasks that a search finds, as a task of its own").or(BadSearch),
        route(GET,    "/tasks/export", Cut(ViewTasks), tasks::export::export, "Exports tasks with their whole histories, a line of JSON each"),
        route(POST,   "/tasks/cleanup", Everywhere(ManageSchedules), tasks::cleanup::cleanup, "Deletes what was kept long enough, as a task of its own, or says what that would be"),
        route(GET,    "/tasks/{id}", OwnTask(ViewTasks), tasks::show::show, "Shows a task with its steps"),
        route(GET,    "/tasks/{id}/history", OwnTask(ViewTasks), tasks::history::history, "Lists every entry of the task's journal"),
        route(GET,    "/tasks/{id}/events", OwnTask(ViewTasks), tasks::events::events, "Follows the task's journal as server-sent events"),
        route(POST,   "/tasks/{id}/events/{name}", Task(OperateTasks), tasks::send_event::send_event, "Tells a task of an event; of one name the first counts"),
        route(GET,    "/tasks/{id}/wait", OwnTask(ViewTasks), tasks::wait::wait, "Waits until the task is paused or stopped"),
        route(GET,    "/tasks/{id}/graph.svg", OwnTask(ViewTasks), tasks::graph::svg, "Draws the task's steps"),
        route(GET,    "/tasks/{id}/graph.dot", OwnTask(ViewTasks), tasks::graph::dot, "Draws the task's steps for Graphviz"),
        route(GET,    "/tasks/{id}/graph.mmd", OwnTask(ViewTasks), tasks::graph::mermaid, "Draws the task's steps for Mermaid"),
        route(GET,    "/tasks/{id}/graph.txt", OwnTask(ViewTasks), tasks::graph::text, "Draws the task's steps for a terminal"),
        route(POST,   "/tasks/{id}/resume", Task(OperateTasks), tasks::resume::resume, "Resumes a paused task where it stopped"),
        route(POST,   "/tasks/{id}/cancel", Task(OperateTasks), tasks::cancel::cancel, "Cancels a task; what is done stays done"),
        route(POST,   "/tasks/{id}/abort", Task(OperateTasks), tasks::abort::abort, "Cancels a task at once: what runs is dropped"),
        route(POST,   "/tasks/{id}/revert", Task(OperateTasks), tasks::revert::revert, "Undoes what a task did"),
        route(POST,   "/tasks/{id}/hold", Task(OperateTasks), tasks::hold::hold, "Lets a task begin nothing new until it is released"),
        route(POST,   "/tasks/{id}/release", Task(OperateTasks), tasks::release::release, "Lets a held task go on"),
        route(POST,   "/tasks/{id}/steps/{step}/skip", Task(OperateTasks), tasks::skip::skip, "Goes on without a step that failed, or with an output given for it"),
        route(POST,   "/tasks/{id}/steps/{step}/resolve", Task(OperateTasks), tasks::resolve::resolve, "Says whether an interrupted step happened"),
        route(POST,   "/tasks/{id}/steps/{step}/retry_now", Task(OperateTasks), tasks::retry_now::retry_now, "Begins a step's next attempt without waiting"),

        route(GET,    "/workflows", Somewhere(ViewTasks), workflows::list, "Lists what tasks are made of"),
        route(GET,    "/workflows/{name}", Somewhere(ViewTasks), workflows::show, "Shows a workflow with its steps"),
        route(GET,    "/workflows/{name}/graph.svg", Somewhere(ViewTasks), workflows::graph::svg, "Draws the workflow's steps"),
        route(GET,    "/workflows/{name}/graph.dot", Somewhere(ViewTasks), workflows::graph::dot, "Draws the workflow's steps for Graphviz"),
        route(GET,    "/workflows/{name}/graph.mmd", Somewhere(ViewTasks), workflows::graph::mermaid, "Draws the workflow's steps for Mermaid"),
        route(GET,    "/workflows/{name}/graph.txt", Somewhere(ViewTasks), workflows::graph::text, "Draws the workflow's steps for a terminal"),
        route(POST,   "/workflows/{name}/hold", Everywhere(OperateTasks), workflows::hold::hold, "Lets no task of this workflow begin anything until it is released").or(DoesNotFit),
        route(POST,   "/workflows/{name}/release", Everywhere(OperateTasks), workflows::release::release, "Lets the tasks of a held workflow go on").or(DoesNotFit),
        route(GET,    "/gates", Everywhere(ViewTasks), gates::list, "Lists the gates before backends"),
        route(GET,    "/gates/{name}", Everywhere(ViewTasks), gates::show, "Shows a gate"),
        route(POST,   "/gates/{name}/close", Everywhere(OperateTasks), gates::close::close, "Closes a gate: steps wait before it until somebody opens it").or(DoesNotFit),
        route(POST,   "/gates/{name}/open", Everywhere(OperateTasks), gates::open::open, "Opens a gate at once, whoever or whatever closed it").or(DoesNotFit),
        route(GET,    "/nodes", Everywhere(ViewTasks), nodes::list, "Lists the nodes that drive tasks"),
        route(GET,    "/nodes/{id}", Everywhere(ViewTasks), nodes::show, "Shows a node"),
        route(POST,   "/nodes/{id}/hold", Everywhere(OperateTasks), nodes::hold::hold, "Lets a node begin nothing until it is released").or(DoesNotFit),
        route(POST,   "/nodes/{id}/release", Everywhere(OperateTasks), nodes::release::release, "Lets a held node go on").or(DoesNotFit),

        route(GET,    "/organizations", Known, organizations::list, "Lists the organizations that one has a role in"),
        route(POST,   "/organizations", Everywhere(Admin), organizations::create, "Makes an organization"),
        route(GET,    "/organizations/{organization}", Seen, organizations::show, "Shows an organization"),
        route(PATCH,  "/organizations/{organization}", There(Admin), organizations::change, "Changes an organization's name"),
        route(DELETE, "/organizations/{organization}", There(Admin), organizations::delete::delete, "Deletes an organization with everything in it, as a task that can be reverted for a while, or says what that would take").or(DoesNotFit),
        route(GET,    "/organizations/{organization}/products", Seen, products::list, "Lists the products that one has a role in"),
        route(POST,   "/organizations/{organization}/products", There(ManageProducts), products::create, "Makes a product"),
        route(GET,    "/organizations/{organization}/products/{product}", Seen, products::show, "Shows a product"),
        route(PATCH,  "/organizations/{organization}/products/{product}", There(ManageProducts), products::change, "Changes a product's name, its anonymous pull, its immutable tags or its rules of retention"),
        route(DELETE, "/organizations/{organization}/products/{product}", There(ManageProducts), products::delete::delete, "Deletes a product with its repositories, as a task that can be reverted for a while, or says what that would take; needs `delete` there, too").or(DoesNotFit),
        route(POST,   "/organizations/{organization}/products/{product}/retention", There(ManageProducts), products::retention::retain, "Removes what the product's rules of retention do not keep, as a task, or says what that would be").or(DoesNotFit),
        route(GET,    "/organizations/{organization}/products/{product}/repositories", Seen, repositories::list_of_product, "Lists the product's repositories that one may pull from"),
        route(POST,   "/organizations/{organization}/products/{product}/repositories", There(CreateRepositories), repositories::create::create, "Makes a repository without a push"),
        route(GET,    "/organizations/{organization}/environments", Seen, environments::list, "Lists the organization's lifecycle environments, Library first"),
        route(POST,   "/organizations/{organization}/environments", There(ManageProducts), environments::create, "Makes an environment that follows another one"),
        route(GET,    "/organizations/{organization}/environments/{environment}", Seen, environments::show, "Shows an environment"),
        route(PATCH,  "/organizations/{organization}/environments/{environment}", There(ManageProducts), environments::change, "Changes an environment's name, its naming pattern or its anonymous pull"),
        route(DELETE, "/organizations/{organization}/environments/{environment}", There(ManageProducts), environments::delete, "Deletes an environment that publishes nothing and that no other one follows").or(DoesNotFit),
        route(POST,   "/organizations/{organization}/environments/{environment}/preview_pattern", There(ManageProducts), environments::preview_pattern, "Shows what a naming pattern would make of every name, and which would collide"),
        route(GET,    "/repositories", Cut(Pull), repositories::list, "Lists the repositories that one may pull from"),
        route(GET,    "/repositories/{id}", Sight(Pull), repositories::show, "Shows a repository"),
        route(DELETE, "/repositories/{id}", There(Delete), repositories::delete::delete, "Deletes a repository, as a task that can be reverted for a while, or says what that would take"),
        route(GET,    "/repositories/{id}/versions", Sight(Pull), repositories::versions::list, "Lists the repository's versions, the newest first"),
        route(GET,    "/repositories/{id}/versions/{number}", Sight(Pull), repositories::versions::show, "Shows what a version added and removed"),
        route(GET,    "/repositories/{id}/tags", Sight(Pull), repositories::tags::list, "Lists the tags that Library publishes"),
        route(GET,    "/repositories/{id}/tags/{tag}", Sight(Pull), repositories::tags::show, "Shows a tag"),
        route(GET,    "/repositories/{id}/manifests/{digest}", Sight(Pull), repositories::manifests::show, "Shows what a manifest says of itself"),
        route(DELETE, "/repositories/{id}/tags/{tag}", There(Delete), repositories::delete_image::tag, "Deletes a tag, as a task: a new version does not have it"),
        route(DELETE, "/repositories/{id}/manifests/{digest}", There(Delete), repositories::delete_image::manifest, "Deletes a manifest with every tag that points to it, as a task"),
        route(POST,   "/repositories/{id}/rollback", There(Promote), repositories::rollback::rollback, "Lets an environment publish an earlier version again, as a task"),
        route(POST,   "/repositories/{id}/promote", There(Promote), repositories::promote::promote, "Lets the next environment publish a version, as a task"),

        route(GET,    "/users", Cut(ManageAccess), users::list, "Lists users, or oneself"),
        route(POST,   "/users", Everywhere(ManageAccess), users::create, "Makes a user, who may do nothing until a role is granted"),
        route(GET,    "/users/me", Known, users::me, "Shows who one is"),
        route(GET,    "/users/{login}", Oneself(ManageAccess), users::show, "Shows a user"),
        route(PATCH,  "/users/{login}", Oneself(ManageAccess), users::change, "Changes a user: oneself, or one who may do no more than oneself").or(DoesNotFit),
        route(DELETE, "/users/{login}", Everywhere(ManageAccess), users::delete, "Deletes a user with all roles and tokens").or(DoesNotFit),
        route(GET,    "/robots", Cut(ManageAccess), robots::list, "Lists the robots of organizations where one manages access"),
        route(POST,   "/robots", There(ManageAccess), robots::create, "Makes a robot and gives it a token"),
        route(GET,    "/robots/{id}", There(ManageAccess), robots::show, "Shows a robot"),
        route(PATCH,  "/robots/{id}", There(ManageAccess), robots::change, "Enables or disables a robot, or gives it a new token"),
        route(DELETE, "/robots/{id}", There(ManageAccess), robots::delete, "Deletes a robot with all its roles"),
        route(GET,    "/tokens", Known, tokens::list, "Lists one's personal tokens"),
        route(POST,   "/tokens", Known, tokens::create, "Makes a personal token; takes a password, not a token"),
        route(GET,    "/tokens/{id}", Known, tokens::show, "Shows a personal token, without the token itself"),
        route(DELETE, "/tokens/{id}", Known, tokens::delete, "Revokes a personal token at once"),
        route(GET,    "/roles", Known, roles::list, "Lists roles, the built-in ones first"),
        route(POST,   "/roles", Everywhere(ManageAccess), roles::create, "Makes a role that gives no more than one has"),
        route(GET,    "/roles/{name}", Known, roles::show, "Shows a role"),
        route(PATCH,  "/roles/{name}", Everywhere(ManageAccess), roles::change, "Changes what a role gives, wherever it was granted").or(DoesNotFit),
        route(DELETE, "/roles/{name}", Everywhere(ManageAccess), roles::delete, "Deletes a role that nobody has").or(DoesNotFit),
        route(GET,    "/grants", Cut(ManageAccess), grants::list, "Lists who has which role where"),
        route(POST,   "/grants", There(ManageAccess), grants::create, "Gives a user or a robot a role, everywhere or at a place").or(DoesNotFit),
        route(DELETE, "/grants/{id}", Sight(ManageAccess), grants::delete, "Takes a role back").or(DoesNotFit),
        route(GET,    "/audit", Everywhere(Admin), audit::list, "Lists who changed what and who was refused, the newest first"),
        route(GET,    "/settings", Everywhere(Admin), settings::list, "Lists settings"),
        route(GET,    "/settings/{name}", Everywhere(Admin), settings::show, "Shows a setting"),
        route(PATCH,  "/settings/{name}", Everywhere(Admin), settings::change, "Changes a setting, from the next request on"),

        route(GET,    "/schedules", Everywhere(ManageSchedules), schedules::list, "Lists schedules"),
        route(POST,   "/schedules", Everywhere(ManageSchedules), schedules::create, "Makes a schedule"),
        route(GET,    "/schedules/{id}", Everywhere(ManageSchedules), schedules::show, "Shows a schedule, and when it runs next"),
        route(PATCH,  "/schedules/{id}", Everywhere(ManageSchedules), schedules::change, "Changes a schedule, from now on").or(DoesNotFit).or(Kind::Duplicate),
        route(DELETE, "/schedules/{id}", Everywhere(ManageSchedules), schedules::delete, "Deletes a schedule; its tasks stay").or(DoesNotFit),
        route(GET,    "/schedules/{id}/next_runs", Everywhere(ManageSchedules), schedules::next_runs::next_runs, "Tells when a schedule runs next"),
        route(POST,   "/schedules/{id}/run_now", Everywhere(ManageSchedules), schedules::run_now::run_now, "Runs a schedule once, besides its times"),
        route(GET,    "/webhooks", Cut(ManageProxies), webhooks::list, "Lists the webhooks that one may manage"),
        route(POST,   "/webhooks", There(ManageProxies), webhooks::create, "Makes a webhook, for one organization or, with the right everywhere, for all"),
        route(GET,    "/webhooks/{id}", There(ManageProxies), webhooks::show, "Shows a webhook, without its secret"),
        route(PATCH,  "/webhooks/{id}", There(ManageProxies), webhooks::change, "Changes a webhook: where and of what it is told, whether at all, or its secret"),
        route(DELETE, "/webhooks/{id}", There(ManageProxies), webhooks::delete, "Deletes a webhook with what is known of its deliveries"),
        route(GET,    "/webhooks/{id}/deliveries", There(ManageProxies), webhooks::deliveries::deliveries, "Lists what a webhook was told, the newest first"),
        route(POST,   "/webhooks/{id}/test", There(ManageProxies), webhooks::send_test::send_test, "Sends a webhook an event of no meaning, as a task"),

        route(GET,    "/smart_proxies", Everywhere(ManageProxies), smart_proxies::list, "Lists smart proxies"),
        route(POST,   "/smart_proxies", Everywhere(ManageProxies), smart_proxies::create, "Adds a smart proxy, which holds what environments publish, too"),
        route(GET,    "/smart_proxies/{id}", Everywhere(ManageProxies), smart_proxies::show, "Shows a smart proxy, without what it is shown to log in"),
        route(PATCH,  "/smart_proxies/{id}", Everywhere(ManageProxies), smart_proxies::change, "Changes where a smart proxy is, what it holds, or how it is brought there"),
        route(DELETE, "/smart_proxies/{id}", Everywhere(ManageProxies), smart_proxies::delete, "Forgets a smart proxy; what it has stays there"),
        route(POST,   "/smart_proxies/{id}/sync", Everywhere(ManageProxies), smart_proxies::sync::sync, "Looks at all that a smart proxy should have and brings what it lacks, as a task").or(DoesNotFit),
        route(GET,    "/smart_proxies/{id}/status", Everywhere(ManageProxies), smart_proxies::status::status, "Shows what a smart proxy has, and what it lacks"),

        route(GET,    "/drills", Everywhere(Admin), drills::list, "Lists drills").or(DrillsOff),
        route(POST,   "/drills", Everywhere(Admin), drills::create, "Begins a drill").or(DrillsOff),
        route(POST,   "/drills/rehearsals", Everywhere(Admin), drills::rehearsals::begin, "Begins a rehearsal: a task to practise on").or(DrillsOff),
        route(GET,    "/drills/rehearsals/{id}", Everywhere(Admin), drills::rehearsals::marks, "Shows what a rehearsal has left behind").or(DrillsOff),
        route(DELETE, "/drills/{id}", Everywhere(Admin), drills::delete, "Ends a drill").or(DrillsOff),
    ]
}

/// The routes beside it, for programs that look after this one and for people who read about it.
#[rustfmt::skip]
fn routes_beside() -> Vec<Route> {
    vec![
        route(GET, "/healthz", Anybody, health::healthz, "Tells that the process answers"),
        route(GET, "/readyz", Anybody, health::readyz, "Tells whether pushes would work, and what is missing"),
        route(GET, "/metrics", Everywhere(ViewTasks), metrics::show, "Shows figures for Prometheus"),
        route(GET, "/api/openapi.json", Anybody, openapi::document, "Shows this document"),
        route(GET, "/api/docs", Anybody, openapi::page, "Shows this document as a page for people"),
    ]
}

/// Every route of REST.
pub(crate) fn router(app: Arc<App>) -> Router {
    let v1 = router_of(routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method);
    Router::new()
        .nest(V1, v1)
        .merge(router_of(routes_beside()))
        .layer(from_fn_with_state(Arc::clone(&app), refusals::write_down))
        .with_state(app)
}

/// What of it a smart proxy has: how it is. Everything else is asked of its main server.
pub(crate) fn router_of_a_proxy(app: Arc<App>) -> Router {
    Router::new()
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
