//! What a route needs of who calls it. Each route of the API stands in one table with its right, and is judged by that.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use http::Method;
use storage::catalog::roles::Permission;

use crate::app::App;

/// What a route needs. Whoever has not logged in may call none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// A login: the answer holds what the caller may see, and a change concerns what is their own.
    Known,
    /// A login: the answer is cut down to what is the caller's own, and where they have the permission.
    Cut(Permission),
    /// Any role at the place that the path names. To others the place does not exist.
    Seen,
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
            Self::Known | Self::Seen => None,
            Self::Cut(permission)
            | Self::Everywhere(permission)
            | Self::There(permission)
            | Self::Sight(permission)
            | Self::Oneself(permission)
            | Self::OwnTask(permission)
            | Self::Task(permission) => Some(permission),
        }
    }
}

/// A line of the table: what is asked, what it needs, and who answers.
pub(super) struct Route {
    pub(super) method: Method,
    /// As the router writes it, below `/api/v1`.
    pub(super) path: &'static str,
    pub(super) right: Right,
    answers: Box<dyn FnOnce(MethodFilter) -> MethodRouter<Arc<App>>>,
}

/// A line of the table. Its right reaches the [`Caller`](super::caller::Caller) of the handler.
pub(super) fn route<T: 'static>(
    method: Method,
    path: &'static str,
    right: Right,
    handler: impl Handler<T, Arc<App>>,
) -> Route {
    Route {
        method,
        path,
        right,
        answers: Box::new(|method| on(method, handler)),
    }
}

/// A router of these routes and no others.
pub(super) fn router_of(routes: Vec<Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let method = MethodFilter::try_from(route.method).expect("a usual method");
        let answers = (route.answers)(method).route_layer(Extension(route.right));
        router.route(route.path, answers)
    })
}
