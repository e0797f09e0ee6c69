//! `DELETE /repositories/{id}/tags/{tag}` and `…/manifests/{digest}`: a task that makes a version without it.

use std::sync::Arc;

use axum::extract::State;
use storage::catalog::RepositoryId;
use storage::catalog::audit::Action;
use storage::{Digest, Tag};
use workflows::delete_image::{DeleteError, DeleteImage, Image, submit};
use workflows::destination::Destination;

use super::must_reach;
use crate::api::answer::{Accepted, BegunTask};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// The tag; its manifest stays, and can be pulled by its digest.
pub(in crate::api) async fn tag(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, name)): Path<(RepositoryId, String)>,
) -> Result<Accepted<BegunTask>, Problem> {
    let tag = name.parse::<Tag>().ok().map(Image::Tag);
    delete(&app, &caller, id, tag, format!("tag {name}")).await
}

/// The manifest, with every tag that points to it.
pub(in crate::api) async fn manifest(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, text)): Path<(RepositoryId, String)>,
) -> Result<Accepted<BegunTask>, Problem> {
    let digest = text.parse::<Digest>().ok().map(Image::Digest);
    delete(&app, &caller, id, digest, format!("manifest {text}")).await
}

async fn delete(
    app: &App,
    caller: &Caller,
    id: RepositoryId,
    image: Option<Image>,
    named: String,
) -> Result<Accepted<BegunTask>, Problem> {
    let row = {
        let mut tx = app.services.database.read().await?;
        must_reach(&mut tx, caller, id).await?
    };
    let absent = || Problem::not_found(format!("{named} in repository {id}"));
    let delete = DeleteImage {
        user: caller.user.id,
        login: caller.user.login.clone(),
        from: Destination::from(&row),
        image: image.ok_or_else(absent)?,
    };
    let subject = format!("{}{}", delete.from, delete.image);
    let audited = caller.does(Action::Delete, subject);
    let begun = submit(&app.node, delete, audited).await;
    let task_id = begun.map_err(|error| match error {
        DeleteError::Absent { .. } => absent(),
        DeleteError::Immutable { .. } => Problem::new(Kind::NotAllowed, error.to_string()),
        DeleteError::Catalog(error) => error.into(),
        DeleteError::Node(error) => error.into(),
    })?;
    Ok(Accepted(BegunTask { task_id }))
}
