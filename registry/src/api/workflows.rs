//! `/workflows`: what tasks are made of, as this version of the registry declares it.

pub(super) mod graph;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::journal::Rescue;
use engine::node::Declaration;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Located;
use super::caller::Caller;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use crate::app::App;

/// A workflow as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Workflow")]
pub(super) struct Shown {
    /// What tasks have as their `label`; never changes.
    name: &'static str,
    /// Raised with every change that a task under way could notice.
    version: u32,
    /// Each behind those it waits for.
    steps: Vec<Step>,
}

/// A step as it is declared.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "DeclaredStep")]
struct Step {
    name: String,
    /// The steps that must have succeeded before it.
    depends_on: Vec<String>,
    /// How many attempts it has.
    attempts: u32,
    /// What becomes of the task when they have all failed.
    #[schemars(with = "String")]
    rescue: Rescue,
}

impl Located for Shown {
    const PATH: &'static str = "/workflows/{name}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<Declaration> for Shown {
    fn from(declared: Declaration) -> Self {
        let steps = declared.steps.iter().map(|step| Step {
            name: step.name.clone(),
            depends_on: step
                .after
                .iter()
                .map(|it| declared.steps[*it].name.clone())
                .collect(),
            attempts: step.attempts,
            rescue: step.rescue,
        });
        Self {
            name: declared.name,
            version: declared.version,
            steps: steps.collect(),
        }
    }
}

/// `GET /workflows`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let place = |it: &Declaration| it.name.to_owned();
    Ok(Page::cut(app.node.workflows(), &wanted, place)?.map(Shown::from))
}

/// `GET /workflows/{name}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, Problem> {
    Ok(Json(found(&app, &name)?.into()))
}

fn found(app: &App, name: &str) -> Result<Declaration, Problem> {
    let mut all = app.node.workflows().into_iter();
    all.find(|it| it.name == name)
        .ok_or_else(|| Problem::not_found(format!("workflow {name}")))
}
