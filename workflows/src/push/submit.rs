//! Taking a manifest: the one transaction after which nothing of it can be lost.

use super::authorize::Authorized;
use super::{Authorize, Client, ManifestRef, Push, keys_of_tag};
use crate::destination::Destination;
use crate::services::{Node, Services};
use engine::clock::Timestamp;
use engine::journal::{Action, Cause, Message, PlanId, Reason};
use engine::node::{Desk, NodeError, Placed};
use engine::state::PlanState;
use engine::store::{OpenPlan, Store, StoreError};
use engine::workflow::Workflow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use storage::catalog::manifests::{self, Manifest, PartKind};
use storage::catalog::products::Product;
use storage::catalog::pushed::{self, Added};
use storage::catalog::touched::{self, Touched};
use storage::catalog::users::User;
use storage::catalog::{
    CatalogError, RepositoryId, destinations, products, publications, versions,
};
use storage::content::{ContentError, blobs};
use storage::{Digest, Tag, TagGlob, Tx};

/// Clients repeat a failed PUT three times within seconds: that is no wish of a person to try again.
const RESUME_NOT_BEFORE: Duration = Duration::from_secs(5);

/// A manifest that somebody who may has sent.
#[derive(Clone, Debug)]
pub struct NewPush {
    /// Who: his rights for all that the push needs were checked by the request.
    pub user: User,
    /// Where it goes.
    pub to: Destination,
    /// The tag that shall point to it; none: it is pushed by its digest.
    pub tag: Option<Tag>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// The program that sent it.
    pub client: Client,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is kept under its digest, and taken along by the next push of a tag.
    Kept,
    /// The tag points to it already, and no open push is about to change that.
    Unchanged,
    /// A plan publishes it.
    Plan {
        /// The plan.
        id: PlanId,
        /// It was open already, of an earlier push of the same.
        attached: bool,
    },
}

/// Why it was not taken. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It names a blob that this repository does not have.
    #[error(
        "manifest {manifest} names blob {blob}, which was not pushed to {to}; push the blob first"
    )]
    MissingBlob {
        /// The manifest.
        manifest: Box<Digest>,
        /// The blob.
        blob: Digest,
        /// Where it was pushed to.
        to: Box<Destination>,
    },
    /// It names a manifest that this repository does not have.
    #[error(
        "index {manifest} names manifest {child}, which was not pushed to {to}; push that one first"
    )]
    MissingManifest {
        /// The index.
        manifest: Box<Digest>,
        /// The child.
        child: Digest,
        /// Where it was pushed to.
        to: Box<Destination>,
    },
    /// Its product says that such tags never change.
    #[error(
        "tag `{tag}` of {to} is at {now} and cannot be moved: product `{}` keeps tags that match `{rule}` as they are; push another tag",
        to.product_label
    )]
    Immutable {
        /// Where it was pushed to.
        to: Box<Destination>,
        /// The tag.
        tag: Tag,
        /// What it matches.
        rule: TagGlob,
        /// Where it is, or who is about to say so.
        now: String,
    },
    /// The destination was retired while the push was under way.
    #[error("{0} was deleted while the push was under way; push again")]
    Retired(Box<Destination>),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The content did not do its part.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The engine did not do its part.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StoreError> for PushError {
    fn from(error: StoreError) -> Self {
        Self::Node(error.into())
    }
}

/// Keeps the manifest for good and, with a tag, submits the plan that publishes it: one transaction.
///
/// An open plan for the same tag and digest is attached to, and resumed when it is paused by an error that is not just now.
/// Plans of the tag that are not at work are superseded.
pub async fn submit<St: Store<Tx = Tx>>(
    node: &Node<St>,
    push: NewPush,
) -> Result<Submitted, PushError> {
    let login = push.user.login.clone();
    let taken = Taken::new(node, push)?;
    let (submitted, again) = node
        .transact(move |tx, desk| Box::pin(taken.record(tx, desk)))
        .await??;
    if let Some(paused) = again {
        resume_again(node, &paused, login).await?;
    }
    Ok(submitted)
}

/// Resumes a paused plan for whoever has pushed the same again.
async fn resume_again<St: Store<Tx = Tx>>(
    node: &Node<St>,
    paused: &OpenPlan,
    login: String,
) -> Result<(), PushError> {
    let plan = node.plan(paused.id).await?;
    let not_before = plan
        .times
        .paused
        .max(plan.times.resumed)
        .unwrap_or_default()
        + RESUME_NOT_BEFORE;
    if plan.state != PlanState::Paused
        || plan.reason != Some(Reason::Error)
        || node.clock().now() < not_before
    {
        return Ok(());
    }
    let message = Message {
        action: Action::Resume,
        by: login,
        reason: Some("pushed again".into()),
    };
    match node.act(paused.id, message).await {
        // Whoever was faster has done it.
        Ok(_) | Err(NodeError::Refused(_) | NodeError::Unanswered(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A push with its plan made up, on its way into the transaction.
struct Taken {
    push: NewPush,
    offer: Option<(Tag, engine::node::Offer<Services>, String)>,
    at: Timestamp,
}

impl Taken {
    fn new<St: Store<Tx = Tx>>(node: &Node<St>, push: NewPush) -> Result<Self, PushError> {
        let offer = match &push.tag {
            None => None,
            Some(tag) => {
                let input = Push {
                    user: push.user.id,
                    login: push.user.login.clone(),
                    to: push.to.clone(),
                    tag: Some(tag.clone()),
                    digests: Vec::new(),
                    manifest: Some(ManifestRef {
                        digest: push.manifest.digest,
                        media_type: push.manifest.media_type.clone(),
                        size: push.manifest.bytes.len() as u64,
                    }),
                    client: push.client.clone(),
                };
                let key = input.open_key().unwrap_or_default();
                Some((
                    tag.clone(),
                    node.offer(&input, Some(push.user.login.clone()))?
                        .caused_by(Cause::Client),
                    key,
                ))
            }
        };
        Ok(Self {
            push,
            offer,
            at: node.clock().now(),
        })
    }

    async fn record<St: Store<Tx = Tx>>(
        self,
        tx: &mut Tx,
        desk: Desk<Services, St>,
    ) -> Result<(Submitted, Option<OpenPlan>), PushError> {
        let Self { push, offer, at } = self;
        let (to, manifest) = (&push.to, &push.manifest);
        if !destinations::is_live(tx, to.id).await? {
            return Err(PushError::Retired(Box::new(to.clone())));
        }
        all_there(tx, to, manifest).await?;
        manifests::put(tx, manifest, at).await?;
        let added = pushed::add(tx, to.id, manifest, push.user.id, at).await?;
        let Some((tag, offer, key)) = offer else {
            if added == Added::Same {
                let again = Touched::Manifest(manifest.digest);
                touched::pushed_again(tx, to.id, &again, at).await?;
            }
            return Ok((Submitted::Kept, None));
        };
        let open = desk.open(tx, keys_of_tag(to, &tag)).await?;
        let product = products::find(tx, to.organization, &to.product_label).await?;
        if let Some(product) = &product {
            may_set(tx, to, product, (&tag, manifest), (&open, &key)).await?;
        }
        if open.is_empty()
            && added != Added::AsAnother
            && points_to(tx, to, &tag).await? == Some(manifest.digest)
        {
            touched::pushed_again(tx, to.id, &Touched::Tag(tag), at).await?;
            return Ok((Submitted::Unchanged, None));
        }
        let (same, others): (Vec<_>, Vec<_>) = open.into_iter().partition(|plan| plan.key == key);
        let winner = same.first().map_or(offer.id(), |plan| plan.id);
        for older in others.iter().filter(|plan| !plan.at_work) {
            desk.supersede(tx, older.id, winner, &push.user.login)
                .await?;
        }
        if let Some(same) = same.into_iter().next() {
            let paused = same.state == PlanState::Paused;
            return Ok((
                Submitted::Plan {
                    id: same.id,
                    attached: true,
                },
                paused.then_some(same),
            ));
        }
        let judged = Authorized {
            organization: to.organization,
            product: product.map(|product| product.id),
        };
        let offer = offer
            .with_recorded::<Authorize>(&judged)
            .map_err(NodeError::from)?;
        Ok(match desk.submit(tx, offer).await? {
            Placed::New(id) => (
                Submitted::Plan {
                    id,
                    attached: false,
                },
                None,
            ),
            Placed::Open(id) => (Submitted::Plan { id, attached: true }, None),
        })
    }
}

/// Whether everything that the manifest consists of was pushed to the same repository: two questions, however many parts.
async fn all_there(tx: &mut Tx, to: &Destination, manifest: &Manifest) -> Result<(), PushError> {
    let of_kind = |wanted: fn(PartKind) -> bool| {
        let mut seen = HashSet::new();
        let parts = manifest.required().filter(|part| wanted(part.kind));
        let digests = parts.map(|part| part.digest);
        digests.filter(|it| seen.insert(*it)).collect::<Vec<_>>()
    };
    let (digest, to_box) = (Box::new(manifest.digest), || Box::new(to.clone()));
    let blobs = of_kind(|kind| matches!(kind, PartKind::Config | PartKind::Layer));
    if let Some(blob) = blobs::first_missing(tx, to.id, &blobs).await? {
        return Err(PushError::MissingBlob {
            manifest: digest,
            blob,
            to: to_box(),
        });
    }
    let children = of_kind(|kind| matches!(kind, PartKind::Manifest));
    if let Some(child) = pushed::first_missing(tx, to.id, &children).await? {
        return Err(PushError::MissingManifest {
            manifest: digest,
            child,
            to: to_box(),
        });
    }
    Ok(())
}

/// Refused where the product keeps such tags as they are, and the tag stands for something else, or is about to: of pushes that wait
/// for a person none counts.
async fn may_set(
    tx: &mut Tx,
    to: &Destination,
    product: &Product,
    (tag, manifest): (&Tag, &Manifest),
    (open, key): (&[OpenPlan], &str),
) -> Result<(), PushError> {
    let Some(rule) = product.immutable_tags.iter().find(|rule| rule.matches(tag)) else {
        return Ok(());
    };
    let other = |plan: &&OpenPlan| plan.key != key && plan.state != PlanState::Paused;
    let now = match points_to(tx, to, tag).await? {
        Some(digest) if digest == manifest.digest => return Ok(()),
        Some(digest) => digest.to_string(),
        None => match open.iter().find(other) {
            Some(first) => format!("what task {} publishes", first.id),
            None => return Ok(()),
        },
    };
    Err(PushError::Immutable {
        to: Box::new(to.clone()),
        tag: tag.clone(),
        rule: rule.clone(),
        now,
    })
}

/// What the tag points to, as published.
async fn points_to(
    tx: &mut Tx,
    to: &Destination,
    tag: &Tag,
) -> Result<Option<Digest>, CatalogError> {
    let repository = RepositoryId::from(to.id);
    match publications::library(tx, repository).await? {
        Some(published) => versions::tag(tx, repository, published.version, tag).await,
        None => Ok(None),
    }
}
