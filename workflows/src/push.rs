//! A push: from the manifest PUT to a published name.
//!
//! ```text
//! authorize -+-> forward -> locate_push_repository -> copy -+-> ensure_repository -> reindex -> distribute -> sync_proxies
//!            +-> ensure_product ---------------------------+
//! ```
//!
//! Submit has stored the manifest's bytes, so a crash at any line is finished after a restart.

mod authorize;
mod copy;
mod distribute;
mod elsewhere;
mod ensure_product;
mod ensure_repository;
mod file_pending;
mod forward;
mod locate_push_repository;
mod reindex;
mod submit;

pub(crate) use authorize::judge;
pub use authorize::{Authorize, Authorized};
pub use copy::{Copied, CopyContent, InPulpVersion};
pub use distribute::{Distribute, Distributed};
pub use elsewhere::NoTicket;
pub use ensure_product::{EnsureProduct, EnsuredProduct};
pub use ensure_repository::{EnsureRepository, EnsuredRepository};
pub use file_pending::{file_pending, keep_filing};
pub use forward::{Forward, Forwarded};
pub use locate_push_repository::{LocatePushRepository, Located};
pub use reindex::{Reindex, Reindexed, Serving};
pub use submit::{NewPush, PushError, Submitted, submit};

use crate::destination::Destination;
use crate::error::Failed;
use crate::services::Services;
use crate::sync_proxies::{Moved, Publishes, SyncProxies};
use engine::journal::PlanId;
use engine::lock::{Lock, OnPause};
use engine::step::StepError;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use storage::catalog::{CatalogError, UserId};
use storage::journal::newer;
use storage::{Digest, Tag, Tx};

/// The input of a push: recorded before the first step runs, never changed afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Push {
    /// Who pushes.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// Where the push goes.
    pub to: Destination,
    /// The tag that shall point to the manifest; none for what was pushed by digest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The manifest of the tag, whose bytes are kept beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
    /// What was pushed by digest alone, sorted, and is filed by this plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Digest>,
    /// The program that pushed.
    pub client: Client,
}

/// A manifest by reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManifestRef {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The program that made a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name, as its `User-Agent` says.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where it called from.
    pub address: Option<String>,
}

impl Workflow for Push {
    const NAME: &'static str = "push";
    const VERSION: u32 = 1;
    const SAFE: &'static str = "What was pushed is kept and can be pulled by its digest.";
    const ELSE: &'static str = "Or push again, which resumes it too.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Authorize)
            .step_of_backend(Forward, after::<Authorize>())
            .step_of_backend(LocatePushRepository, after::<Forward>())
            .step_of_backend(CopyContent, after::<LocatePushRepository>())
            .step(EnsureProduct, after::<Authorize>())
            .step(EnsureRepository, after::<(CopyContent, EnsureProduct)>())
            .step(Reindex, after::<EnsureRepository>())
            .step(Distribute, after::<Reindex>())
            .step(SyncProxies::new(), after::<Distribute>())
    }

    fn action(&self) -> String {
        match (&self.tag, self.digests.as_slice()) {
            (Some(tag), _) => format!("Push of {}:{tag}", self.to),
            (None, [digest]) => format!("Push of {}@{digest}", self.to),
            (None, digests) => format!("Push of {} by {} digests", self.to, digests.len()),
        }
    }

    /// Pushes to one destination are ordered; a paused one steps aside.
    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive(self.to.resource())
                .until::<Distribute>()
                .on_pause(OnPause::Release),
        ]
    }

    fn organization(&self) -> Option<String> {
        Some(self.to.organization_label.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        let mut links = vec![
            ("repository", self.to.label_form()),
            ("product", self.to.product_label.clone()),
        ];
        links.extend(self.tag.iter().map(|tag| ("tag", tag.to_string())));
        links.extend(
            self.all_digests()
                .map(|digest| ("digest", digest.to_string())),
        );
        links
    }

    /// Whoever has pushed the tag since wins, as he would have over a push that was paused.
    async fn may_go_on(&self, tx: &mut Tx, plan: PlanId) -> Result<(), StepError> {
        let (Some(tag), repository) = (&self.tag, self.to.label_form()) else {
            return Ok(());
        };
        let links = [("repository", repository.as_str()), ("tag", tag.as_str())];
        let newer = newer(tx, plan, Self::NAME, links).await;
        match newer.map_err(Failed::from)? {
            None => Ok(()),
            Some(newer) => Err(StepError::permanent(format!(
                "task {newer} has pushed {}:{tag} since: push again what shall be there",
                self.to
            ))),
        }
    }

    fn open_key(&self) -> Option<String> {
        Some(match self.tagged() {
            Some((tag, digest)) => format!("{}{digest}", keys_of_tag(&self.to, tag)),
            None => format!(
                "{}@{}",
                keys_of_destination(&self.to),
                Digest::of(self.set().as_bytes())
            ),
        })
    }
}

impl Push {
    /// The tag and what it shall point to.
    #[must_use]
    pub fn tagged(&self) -> Option<(&Tag, &Digest)> {
        Some((self.tag.as_ref()?, &self.manifest.as_ref()?.digest))
    }

    /// Everything that this plan files.
    pub fn all_digests(&self) -> impl Iterator<Item = &Digest> {
        self.manifest
            .iter()
            .map(|manifest| &manifest.digest)
            .chain(&self.digests)
    }

    /// The digests as one text, the same for the same set.
    fn set(&self) -> String {
        let digests: Vec<String> = self.digests.iter().map(ToString::to_string).collect();
        digests.join(" ")
    }
}

impl Publishes for Push {
    type After = Distribute;

    async fn changed(&self, tx: &mut Tx) -> Result<Moved, CatalogError> {
        Moved::in_library(tx, &self.to).await
    }
}

/// How the open keys of all pushes to this destination begin.
pub(crate) fn keys_of_destination(to: &Destination) -> String {
    format!("push {} ", to.id)
}

/// How the open keys of all pushes to this tag begin.
pub(crate) fn keys_of_tag(to: &Destination, tag: &Tag) -> String {
    format!("{}{tag} ", keys_of_destination(to))
}
