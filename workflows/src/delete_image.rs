//! A delete of a tag, or of a manifest with all tags that point to it.
//!
//! ```text
//! remove -> distribute -> sync_proxies
//! ```
//!
//! It makes a new version without them. What was deleted lies in the versions before, and a rollback brings it back.

mod distribute;
mod remove;
mod submit;

pub use distribute::{Distribute, Distributed};
pub use remove::{Remove, Removed};
pub use submit::{DeleteError, submit};

use crate::destination::Destination;
use crate::services::Services;
use crate::sync_proxies::{Moved, Publishes, SyncProxies};
use engine::lock::{Lock, OnPause};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::fmt;
use storage::catalog::{CatalogError, UserId};
use storage::{Digest, Tag, Tx};

/// The input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteImage {
    /// Who deletes.
    pub user: UserId,
    /// His login, as it was then.
    pub login: String,
    /// Where it is deleted from.
    pub from: Destination,
    /// What is deleted.
    pub image: Image,
}

/// What is deleted: `{"tag": "latest"}` or `{"digest": "sha256:…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The tag; its manifest stays.
    Tag(Tag),
    /// The manifest, and every tag that points to it.
    Digest(Digest),
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl Workflow for DeleteImage {
    const NAME: &'static str = "delete_image";
    const VERSION: u32 = 1;
    const SAFE: &'static str =
        "What is deleted lies in the versions before, and a rollback brings it back.";
    type Services = Services;

    fn steps() -> Steps<Self> {
        Steps::first(Remove)
            .step(Distribute, after::<Remove>())
            .step(SyncProxies::new(), after::<Distribute>())
    }

    fn action(&self) -> String {
        format!("Delete of {}{}", self.from, self.image)
    }

    /// It comes after the pushes that were there before it.
    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive(self.from.resource())
                .until::<Distribute>()
                .on_pause(OnPause::Release),
        ]
    }

    fn organization(&self) -> Option<String> {
        Some(self.from.organization_label.clone())
    }

    fn links(&self) -> Vec<(&'static str, String)> {
        let image = match &self.image {
            Image::Tag(tag) => ("tag", tag.to_string()),
            Image::Digest(digest) => ("digest", digest.to_string()),
        };
        vec![
            ("repository", self.from.label_form()),
            ("product", self.from.product_label.clone()),
            image,
        ]
    }

    /// Who deletes the same again meanwhile waits for the same plan.
    fn open_key(&self) -> Option<String> {
        Some(format!("delete {} {}", self.from.id, self.image))
    }
}

impl Publishes for DeleteImage {
    type After = Distribute;

    async fn changed(&self, tx: &mut Tx) -> Result<Moved, CatalogError> {
        Moved::in_library(tx, &self.from).await
    }
}
