//! `/workflows`: what tasks are made of, as this version of the registry declares it.

pub(super) mod graph;
pub(super) mod hold;
pub(super) mod release;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::gate::GateId;
use engine::journal::Rescue;
use engine::node::Declaration;
use schemars::JsonSchema;
use serde::Serialize;
use storage::catalog::audit::Action;

use super::answer::Located;
use super::caller::Caller;
use super::gates::{Held, Why, by_hand};
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
    /// Who holds it, so that nothing of its tasks begins; null: nobody.
    held: Option<Held>,
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
    /// The gate that it goes through; null: none, or one that the task's input names.
    gate: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "/workflows/{name}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl Shown {
    fn of(app: &App, declared: &Declaration) -> Self {
        let steps = declared.steps.iter().map(|step| Step {
            name: step.name.clone(),
            depends_on: step
                .after
                .iter()
                .map(|it| declared.steps[*it].name.clone())
                .collect(),
            attempts: step.attempts,
            rescue: step.rescue,
            gate: step.gate.clone(),
        });
        Self {
            name: declared.name,
            version: declared.version,
            steps: steps.collect(),
            held: Held::of(app.node.gate(&gate_of(declared.name)).gate),
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
    Ok(Page::cut(app.node.workflows(), &wanted, place)?.map(|it| Shown::of(&app, &it)))
}

/// `GET /workflows/{name}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, Problem> {
    Ok(Json(Shown::of(&app, &found(&app, &name)?)))
}

fn gate_of(name: &str) -> GateId {
    GateId::Workflow(name.to_owned())
}

/// Holds or releases it, and answers with it as it is then.
async fn act(
    app: &App,
    caller: Caller,
    name: &str,
    action: Action,
    why: Why,
) -> Result<Json<Shown>, Problem> {
    let declared = found(app, name)?;
    by_hand(app, caller, gate_of(name), action, why).await?;
    Ok(Json(Shown::of(app, &declared)))
}

fn found(app: &App, name: &str) -> Result<Declaration, Problem> {
    let mut all = app.node.workflows().into_iter();
    all.find(|it| it.name == name)
        .ok_or_else(|| Problem::not_found(format!("workflow {name}")))
}
