//! `GET /tasks/{id}/graph.dot` and `graph.mmd`: the steps as a picture, for Graphviz and for Mermaid.

use std::sync::Arc;

use axum::extract::State;
use engine::draw;
use engine::journal::PlanId;

use super::visible;
use crate::api::answer::{Format, Text};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// For `dot -Tsvg`.
pub(in crate::api) struct Graphviz;

impl Format for Graphviz {
    const MEDIA_TYPE: &'static str = "text/vnd.graphviz; charset=utf-8";
    const ABOUT: &'static str = "The steps as a graph of Graphviz.";
}

/// For pages that draw it themselves.
pub(in crate::api) struct Mermaid;

impl Format for Mermaid {
    const MEDIA_TYPE: &'static str = "text/vnd.mermaid; charset=utf-8";
    const ABOUT: &'static str = "The steps as a diagram of Mermaid.";
}

pub(in crate::api) async fn dot(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
) -> Result<Text<Graphviz>, Problem> {
    let task = visible(&app, &caller, task).await?;
    Ok(draw::dot(&task).into())
}

pub(in crate::api) async fn mermaid(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<PlanId>,
) -> Result<Text<Mermaid>, Problem> {
    let task = visible(&app, &caller, task).await?;
    Ok(draw::mermaid(&task).into())
}
