//! `/settings`: what administrators change while the registry runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::retention::Retention;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::catalog::audit::{self, Action};
use storage::catalog::settings::{self, Key, Setting};

use super::answer::Located;
use super::body::Body;
use super::caller::Caller;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// A setting as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Setting")]
pub(super) struct Shown {
    name: Key,
    /// What values it takes: `bool`, `integer` or `retention`; which ones, a refusal says.
    #[serde(rename = "type")]
    value_type: &'static str,
    /// What holds: of the kind that the setting takes.
    value: Value,
    /// What holds as long as nobody sets it.
    default: Value,
    /// What it does.
    description: &'static str,
    /// The login of who changed it last; null: nobody has.
    changed_by: Option<String>,
    changed_at: Option<Time>,
}

impl Located for Shown {
    const PATH: &'static str = "/settings/{name}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<Setting> for Shown {
    fn from(setting: Setting) -> Self {
        let (changed_by, changed_at) = setting.changed.unzip();
        Self {
            name: setting.key,
            value_type: setting.key.value_type().name(),
            value: setting.value,
            default: setting.key.default_value(),
            description: setting.key.about(),
            changed_by,
            changed_at: changed_at.map(Into::into),
        }
    }
}

/// `GET /settings`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let all = settings::list(&mut tx).await?;
    Ok(Page::cut(all, &wanted, |setting| setting.key.to_string())?.map(Shown::from))
}

/// `GET /settings/{name}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    Ok(Json(settings::get(&mut tx, key(&name)?).await?.into()))
}

/// The body of a PATCH.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SettingChange", example = json!({"value": true}))]
pub(super) struct Changes {
    /// Of the kind that the setting takes.
    value: Value,
}

/// `PATCH /settings/{name}`: holds from the next request on.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let key = key(&name)?;
    key.check(&changes.value)
        .map_err(|wrong| Problem::invalid_field("value", wrong.to_string()))?;
    if key == Key::TaskRetention {
        only_known_workflows(&app, &changes.value)?;
    }
    let mut entry = caller.does(Action::Change, format!("setting {key}"));
    entry.reason = Some(format!("value {}", changes.value));
    let (at, by) = (app.services.clock.now(), caller.user.login);
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            settings::set(tx, key, &changes.value, &by, at).await?;
            audit::record(tx, &entry, at).await?;
            settings::get(tx, key).await
        })
    });
    Ok(Json(after.await??.into()))
}

/// A slip in a workflow's name would let its tasks be deleted by the times of all others.
fn only_known_workflows(app: &App, value: &Value) -> Result<(), Problem> {
    let known: Vec<&str> = app.node.workflows().iter().map(|it| it.name).collect();
    let retention: Retention = serde_json::from_value(value.clone())
        .map_err(|wrong| Problem::invalid_field("value", wrong.to_string()))?;
    match retention.workflows().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => Err(Problem::invalid_field(
            "value",
            format!(
                "there is no workflow `{unknown}`; the ones of this version are {}",
                known.join(", ")
            ),
        )),
    }
}

fn key(name: &str) -> Result<Key, Problem> {
    name.parse()
        .map_err(|_| Problem::not_found(format!("setting {name}")))
}
