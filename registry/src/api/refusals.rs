//! Every 403 of this API goes into the audit, with who asked, what, and which right was missing.

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use storage::catalog::audit::Action;

use crate::app::App;
use crate::audit::{self, Refusal};
use crate::auth;

/// A path is at most so long in the audit: a longer one names nothing here.
const MAX_PATH_CHARACTERS: usize = 300;

/// Who asks, once that is known; in the extensions of every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker(Arc<OnceLock<String>>);

impl Asker {
    /// It is this login.
    pub(super) fn is(&self, login: &str) {
        // Who asks is found out once in a request.
        let _ = self.0.set(login.to_owned());
    }
}

/// Why a request was refused, in words; in the extensions of an answer.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) String);

/// Answers the request, and writes down if it was refused for want of a right.
pub(super) async fn write_down(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let path: String = request
        .uri()
        .path()
        .chars()
        .take(MAX_PATH_CHARACTERS)
        .collect();
    // Who tries one thing after the other is refused the same each time.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, from) = (request.method().clone(), auth::peer(request.extensions()));
    let mut response = next.run(request).await;
    if let Some(Refused(why)) = response.extensions_mut().remove() {
        let refusal = Refusal {
            actor: asker.0.get().cloned().unwrap_or_default(),
            action: Action::Ask,
            subject: format!("{method} {path}"),
            task: None,
            alike: route.map(|route| format!("{method} {}", route.as_str())),
            from,
            reason: why,
        };
        audit::refused(&app, refusal).await;
    }
    response
}
