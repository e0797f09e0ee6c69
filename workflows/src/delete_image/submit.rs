//! Taking a wish to delete.

use super::{DeleteImage, Image};
use crate::destination::Destination;
use crate::push::{keys_of_destination, keys_of_tag};
use crate::services::{Node, Services};
use engine::clock::Timestamp;
use engine::journal::{Cause, PlanId};
use engine::node::{Desk, NodeError, Offer, Placed};
use engine::state::PlanState;
use engine::store::{OpenPlan, Store, StoreError};
use storage::Tx;
use storage::catalog::audit::{self, NewEntry};
use storage::catalog::{
    CatalogError, RepositoryId, destinations, products, publications, pushed, versions,
};
use storage::{Digest, Tag, TagGlob};

/// Why nothing is deleted. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It is not there, or not any more.
    #[error("{from}{image} is not there")]
    Absent {
        /// Where it was looked for.
        from: Box<Destination>,
        /// What was looked for.
        image: Box<Image>,
    },
    /// Its product says that such tags never change.
    #[error(
        "tag `{tag}` of {from} cannot be deleted: product `{}` keeps tags that match `{rule}` as they are",
        from.product_label
    )]
    Immutable {
        /// Where the tag is.
        from: Box<Destination>,
        /// The tag.
        tag: Tag,
        /// What it matches.
        rule: TagGlob,
    },
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for DeleteError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Submits the plan that deletes it, for somebody who may. Paused pushes of it are ended: they shall not bring it back.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    delete: DeleteImage,
    audited: NewEntry,
) -> Result<PlanId, DeleteError> {
    let offer = node.offer(&delete, Some(delete.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let at = node.clock().now();
    node.transact(move |tx, desk| Box::pin(record(tx, desk, delete, offer, (audited, at))))
        .await?
}

async fn record<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: Desk<Services, St>,
    delete: DeleteImage,
    offer: Offer<Services>,
    (audited, at): (NewEntry, Timestamp),
) -> Result<PlanId, DeleteError> {
    let DeleteImage { from, image, .. } = &delete;
    if !is_there(tx, from, image).await? {
        return Err(DeleteError::Absent {
            from: Box::new(from.clone()),
            image: Box::new(image.clone()),
        });
    }
    let tags = match image {
        Image::Tag(tag) => vec![tag.clone()],
        Image::Digest(digest) => versions::tags_at(tx, RepositoryId::from(from.id), digest).await?,
    };
    let manifests: Vec<Digest> = match image {
        Image::Tag(_) => Vec::new(),
        Image::Digest(digest) => vec![*digest],
    };
    may_change(tx, from, &tags, &manifests).await?;
    let plan = match desk.submit(tx, offer).await? {
        Placed::Open(open) => return Ok(open),
        Placed::New(plan) => plan,
    };
    let task = Some(plan);
    audit::record(tx, &NewEntry { task, ..audited }, at).await?;
    for paused in paused_pushes(tx, &desk, from, image).await? {
        desk.supersede(tx, paused.id, plan, &delete.login).await?;
    }
    Ok(plan)
}

async fn is_there(tx: &mut Tx, from: &Destination, image: &Image) -> Result<bool, CatalogError> {
    if !destinations::is_live(tx, from.id).await? {
        return Ok(false);
    }
    let repository = RepositoryId::from(from.id);
    match image {
        Image::Digest(digest) => pushed::contains(tx, from.id, digest).await,
        Image::Tag(tag) => {
            let Some(published) = publications::library(tx, repository).await? else {
                return Ok(false);
            };
            let points_to = versions::tag(tx, repository, published.version, tag).await?;
            Ok(points_to.is_some())
        }
    }
}

/// Refused where one of these tags is kept by a rule of the product, or is that of an index which one of these manifests is a child of.
pub(super) async fn may_change(
    tx: &mut Tx,
    from: &Destination,
    tags: &[Tag],
    manifests: &[Digest],
) -> Result<(), DeleteError> {
    let product = products::find(tx, from.organization, &from.product_label).await?;
    let rules = product.map(|product| product.immutable_tags);
    if rules.as_ref().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let repository = RepositoryId::from(from.id);
    let mut tags = tags.to_vec();
    for manifest in manifests {
        tags.extend(versions::tags_over(tx, repository, manifest).await?);
    }
    for tag in &tags {
        let rule = rules.iter().flatten().find(|rule| rule.matches(tag));
        if let Some(rule) = rule {
            return Err(DeleteError::Immutable {
                from: Box::new(from.clone()),
                tag: tag.clone(),
                rule: rule.clone(),
            });
        }
    }
    Ok(())
}

/// Pushes of it that wait for a person.
async fn paused_pushes<St: Store<Tx = Tx>>(
    tx: &mut Tx,
    desk: &Desk<Services, St>,
    from: &Destination,
    image: &Image,
) -> Result<Vec<OpenPlan>, StoreError> {
    let mut open = match image {
        Image::Tag(tag) => desk.open(tx, keys_of_tag(from, tag)).await?,
        Image::Digest(digest) => {
            let mut open = desk.open(tx, keys_of_destination(from)).await?;
            open.retain(|plan| brings(plan, digest));
            open
        }
    };
    open.retain(|plan| plan.state == PlanState::Paused && !plan.at_work);
    Ok(open)
}

/// The key of a push of a tag ends with its digest.
fn brings(push: &OpenPlan, digest: &Digest) -> bool {
    push.key.ends_with(&format!(" {digest}"))
}
