//! What a route needs of who calls it. Each route of the API stands in one table with its right, and is judged by that.

use std::fmt;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use http::Method;
use storage::catalog::roles::Permission;

use super::openapi::{Described, Operation};
use super::problem::Kind;
use crate::app::App;

/// What a route needs. Whoever has not logged in may call only what is for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Nothing: such a route does not ask who calls it.
    Anybody,
    /// A login: the answer holds what the caller may see, and a change concerns what is their own.
    Known,
    /// A login: the answer is cut down to what is the caller's own, and where they have the permission.
    Cut(Permission),
    /// Any role at the place that the path names. To others the place does not exist, but for what everybody may pull.
    Seen,
    /// The permission, anywhere: what is asked is done to what lies where the caller has it, and nothing else is found.
    Somewhere(Permission),
    /// The permission, everywhere.
    Everywhere(Permission),
    /// The permission at the place that path or body names. To who has no role there the place does not exist.
    There(Permission),
    /// The permission at the place that the path names. To others the place does not exist.
    Sight(Permission),
    /// To be the user that the path names; or the permission, everywhere. To others the user does not exist.
    Oneself(Permission),
    /// To have started the task that the path names; or the permission in its organization. To others it does not exist.
    OwnTask(Permission),
    /// The permission in the organization of the task that the path names, which the caller can see.
    Task(Permission),
}

impl Right {
    /// The permission it is about, if it is about one.
    pub(super) fn permission(self) -> Option<Permission> {
        match self {
            Self::Anybody | Self::Known | Self::Seen => None,
            Self::Cut(permission)
            | Self::Somewhere(permission)
            | Self::Everywhere(permission)
            | Self::There(permission)
            | Self::Sight(permission)
            | Self::Oneself(permission)
            | Self::OwnTask(permission)
            | Self::Task(permission) => Some(permission),
        }
    }
}

/// In words; continues "Needs …".
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("nothing, not even a login"),
            Self::Known => f.write_str("a login"),
            Self::Cut(permission) => write!(
                f,
                "a login; shows what is one's own, and what lies where one has `{permission}`"
            ),
            Self::Seen => f.write_str("any role there"),
            Self::Somewhere(permission) => {
                write!(f, "`{permission}` anywhere; reaches what lies there")
            }
            Self::Everywhere(permission) => write!(f, "`{permission}` everywhere"),
            Self::There(permission) => write!(f, "`{permission}` there"),
            Self::Sight(permission) => {
                write!(f, "`{permission}` there; to others it does not exist")
            }
            Self::Oneself(permission) => {
                write!(f, "to be that user, or `{permission}` everywhere")
            }
            Self::OwnTask(permission) => write!(
                f,
                "to have started the task, or `{permission}` in its organization"
            ),
            Self::Task(permission) => write!(f, "`{permission}` in the task's organization"),
        }
    }
}

/// A line of the table: what is asked, what it needs, who answers, and what that does.
pub(super) struct Route {
    pub(super) method: Method,
    /// As the router writes it, below `/api/v1`.
    pub(super) path: &'static str,
    pub(super) right: Right,
    /// The handler's name, as `users.create`.
    pub(super) name: String,
    /// In one line, for the document.
    pub(super) about: &'static str,
    /// Problems that its types do not tell of.
    pub(super) can_be: Vec<Kind>,
    /// Says what the handler reads and answers.
    pub(super) describe: fn(&mut Operation),
    answers: Box<dyn FnOnce(MethodFilter) -> MethodRouter<Arc<App>>>,
}

impl Route {
    /// It may also answer with a problem that its types do not tell of.
    pub(super) fn or(mut self, kind: Kind) -> Self {
        self.can_be.push(kind);
        self
    }

    /// What the route is about: where its handler stands.
    pub(super) fn resource(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }
}

/// A line of the table. Its right reaches the [`Caller`](super::caller::Caller) of the handler.
pub(super) fn route<Reading, Describing, H>(
    method: Method,
    path: &'static str,
    right: Right,
    handler: H,
    about: &'static str,
) -> Route
where
    Reading: 'static,
    H: Handler<Reading, Arc<App>> + Described<Describing>,
{
    Route {
        method,
        path,
        right,
        name: name_of::<H>(),
        about,
        can_be: Vec::new(),
        describe: H::describe,
        answers: Box::new(|method| on(method, handler)),
    }
}

/// `users.create` for `…::api::users::create`, and `tasks.list` for `…::api::tasks::list::list`.
fn name_of<H>() -> String {
    let path = std::any::type_name::<H>();
    let below = path.rsplit_once("::api::").map_or(path, |(_, below)| below);
    let mut words: Vec<&str> = below.split("::").collect();
    words.dedup();
    words.join(".")
}

/// A router of these routes and no others.
pub(super) fn router_of(routes: Vec<Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let method = MethodFilter::try_from(route.method).expect("a usual method");
        let answers = (route.answers)(method).route_layer(Extension(route.right));
        router.route(route.path, answers)
    })
}
