//! `GET /tasks/{id}/graph.dot` and `graph.mmd`: the steps as a picture, for Graphviz and for Mermaid.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::draw;
use http::header::CONTENT_TYPE;

use super::{id, visible};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn dot(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
) -> Result<Response, Problem> {
    let task = visible(&app, &caller, id(&task)?).await?;
    Ok((
        [(CONTENT_TYPE, "text/vnd.graphviz; charset=utf-8")],
        draw::dot(&task),
    )
        .into_response())
}

pub(in crate::api) async fn mermaid(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(task): Path<String>,
) -> Result<Response, Problem> {
    let task = visible(&app, &caller, id(&task)?).await?;
    Ok((
        [(CONTENT_TYPE, "text/vnd.mermaid; charset=utf-8")],
        draw::mermaid(&task),
    )
        .into_response())
}
