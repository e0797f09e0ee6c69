//! `/repositories/{id}/manifests/{digest}`: what a manifest says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storage::Digest;
use storage::catalog::manifests::Part;
use storage::catalog::{DestinationId, images, manifests, pushed, versions};

use super::visible;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A manifest as REST shows it.
#[derive(Debug, Serialize)]
pub(in crate::api) struct Shown {
    digest: Digest,
    media_type: String,
    artifact_type: Option<String>,
    subject: Option<Digest>,
    annotations: BTreeMap<String, String>,
    /// Of the manifest alone.
    manifest_bytes: usize,
    /// Of the manifest and all it consists of; none before it was indexed.
    size_bytes: Option<u64>,
    kind: Option<String>,
    platforms: Vec<String>,
    labels: BTreeMap<String, String>,
    created: Option<String>,
    warning: Option<String>,
    parts: Vec<ShownPart>,
}

#[derive(Debug, Serialize)]
struct ShownPart {
    kind: String,
    digest: Digest,
    media_type: String,
    size_bytes: u64,
}

impl From<Part> for ShownPart {
    fn from(part: Part) -> Self {
        Self {
            kind: part.kind.to_string(),
            digest: part.digest,
            media_type: part.media_type,
            size_bytes: part.size_bytes,
        }
    }
}

/// Any that a version has or a push has brought.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, text)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("manifest {text} in repository {id}"));
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, &id).await?.id;
    let digest: Digest = text.parse().map_err(|_| unknown())?;
    let held = versions::holds_manifest(&mut tx, repository, &digest).await?
        || pushed::contains(&mut tx, DestinationId::from(repository), &digest).await?;
    if !held {
        return Err(unknown());
    }
    let manifest = manifests::get(&mut tx, &digest)
        .await?
        .ok_or_else(unknown)?;
    let image = images::get(&mut tx, &digest).await?;
    let (size_bytes, kind) = (
        image.as_ref().map(|it| it.size_bytes),
        image.as_ref().map(|it| it.kind.to_string()),
    );
    let (platforms, labels, created, warning) = image
        .map(|it| (it.platforms, it.labels, it.created, it.warning))
        .unwrap_or_default();
    Ok(Json(Shown {
        digest: manifest.digest,
        media_type: manifest.media_type,
        artifact_type: manifest.artifact_type,
        subject: manifest.subject,
        annotations: manifest.annotations,
        manifest_bytes: manifest.bytes.len(),
        size_bytes,
        kind,
        platforms,
        labels,
        created,
        warning,
        parts: manifest.parts.into_iter().map(ShownPart::from).collect(),
    }))
}
