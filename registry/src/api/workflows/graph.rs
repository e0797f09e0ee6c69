//! `GET /workflows/{name}/graph.svg`, `.dot`, `.mmd` and `.txt`: the declared steps as a picture.

use std::sync::Arc;

use axum::extract::State;
use engine::draw;

use super::found;
use crate::api::caller::Caller;
use crate::api::drawn::{Drawn, Graphviz, Kept, Language, Lines, Mermaid, Svg};
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn svg(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
    kept: Kept,
) -> Result<Drawn<Svg>, Problem> {
    drawn(&app, &name, &kept)
}

pub(in crate::api) async fn dot(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
    kept: Kept,
) -> Result<Drawn<Graphviz>, Problem> {
    drawn(&app, &name, &kept)
}

pub(in crate::api) async fn mermaid(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
    kept: Kept,
) -> Result<Drawn<Mermaid>, Problem> {
    drawn(&app, &name, &kept)
}

pub(in crate::api) async fn text(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(name): Path<String>,
    kept: Kept,
) -> Result<Drawn<Lines>, Problem> {
    drawn(&app, &name, &kept)
}

fn drawn<L: Language>(app: &App, name: &str, kept: &Kept) -> Result<Drawn<L>, Problem> {
    let declared = found(app, name)?;
    Ok(Drawn::of(
        &draw::workflow(declared.name, &declared.steps),
        kept,
    ))
}
