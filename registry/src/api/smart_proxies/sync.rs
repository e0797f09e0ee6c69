//! `POST /smart_proxies/{id}/sync`: by hand, whatever the setting says.

use std::sync::Arc;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use storage::catalog::SmartProxyId;
use storage::catalog::audit::Action;
use workflows::sync_proxy::{self, SyncError, SyncProxy};

use super::known;
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// The body, which may be left out.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SyncSmartProxy", example = json!({"reason": "its disk was replaced"}))]
pub(in crate::api) struct Wanted {
    /// Why, for the audit.
    reason: Option<Reason>,
}

/// Looks at all that the proxy should have, whatever is known of it.
pub(in crate::api) async fn sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SmartProxyId>,
    Body(wanted): Body<Wanted>,
) -> Result<Accepted<BegunTask>, Problem> {
    let proxy = {
        let mut tx = app.services.database.read().await?;
        known(&mut tx, id).await?
    };
    if !proxy.enabled {
        let text = format!(
            "smart proxy {} is disabled, and nothing is brought there; enable it first",
            proxy.name
        );
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    let mut entry = caller.does(
        Action::RunNow,
        format!("sync of smart proxy {}", proxy.name),
    );
    entry.reason = wanted.reason.map(String::from);
    let sync = SyncProxy {
        name: proxy.name,
        all: true,
        first: None,
    };
    let by = Some((caller.user.login.clone(), entry));
    let task_id = sync_proxy::submit(&app.node, sync, by).await?;
    Ok(Accepted(BegunTask { task_id }))
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Catalog(error) => error.into(),
            SyncError::Node(error) => error.into(),
        }
    }
}
