//! `/repositories/{id}/manifests/{digest}`: what a manifest says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use storage::Digest;
use storage::catalog::manifests::Part;
use storage::catalog::{DestinationId, RepositoryId, images, manifests, pushed};

use super::visible;
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

/// A manifest as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Manifest")]
pub(in crate::api) struct Shown {
    digest: Digest,
    media_type: String,
    /// What kind of artifact it is, if it is one.
    artifact_type: Option<String>,
    /// The manifest that it is about.
    subject: Option<Digest>,
    /// Its own annotations.
    annotations: BTreeMap<String, String>,
    /// Of the manifest alone.
    manifest_bytes: usize,
    /// Of the manifest and all it consists of; none before it was indexed.
    size_bytes: Option<u64>,
    /// What it was read as; null before it was indexed.
    kind: Option<String>,
    /// What it runs on, as `linux/amd64`.
    platforms: Vec<String>,
    /// The labels of its config.
    labels: BTreeMap<String, String>,
    /// When it was built, as its config says it.
    created: Option<String>,
    /// What is wrong with it for people; it is kept byte for byte all the same.
    warning: Option<String>,
    /// What it consists of: config, layers, children.
    parts: Vec<ShownPart>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "ManifestPart")]
struct ShownPart {
    /// What it is to the manifest, as `config` or `layer`.
    kind: String,
    digest: Digest,
    media_type: String,
    /// As the manifest says it.
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

/// Any that was pushed and not deleted.
pub(in crate::api) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, text)): Path<(RepositoryId, String)>,
) -> Result<Json<Shown>, Problem> {
    let unknown = || Problem::not_found(format!("manifest {text} in repository {id}"));
    let mut tx = app.services.database.read().await?;
    let repository = visible(&mut tx, &caller, id).await?.id;
    let digest: Digest = text.parse().map_err(|_| unknown())?;
    let destination = DestinationId::from(repository);
    if !pushed::contains(&mut tx, destination, &digest).await? {
        return Err(unknown());
    }
    let manifest = manifests::get(&mut tx, destination, &digest)
        .await?
        .ok_or_else(unknown)?;
    let image = images::get(&mut tx, destination, &digest).await?;
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
