//! Content: blobs and what is pushed, kept in versions that can be brought back; the embedded backend.
//!
//! The bytes of blobs lie in [`objects`]; everything that is known of them is rows. A blob is durable before its row
//! is, and its row before anybody is told.

mod embedded;
mod error;
mod instance;
pub mod inventory;
pub mod objects;
pub mod pulp;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use engine::clock::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use embedded::blobs::{Blob, BlobReader, Located, Place};
pub use embedded::uploads::{
    Expired, Idle, Position, Upload, UploadError, UploadId, delete_expired, find_upload,
    has_open_upload,
};
pub use embedded::{blobs, push_repository, versions};
pub use error::ContentError;

use crate::Database;
use crate::catalog::instance::Backend;
use embedded::uploads::Busy;
use objects::{DiskObjects, Objects};
use pulp::{Pulp, PulpOptions};

/// Where the objects lie inside `content_dir`.
pub(crate) const OBJECTS_FOLDER: &str = "objects";

/// A handle on the content; clones share it.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    database: Database,
    objects: Arc<dyn Objects>,
    /// The upload sessions somebody is writing to just now.
    busy: Busy,
    /// Where the content goes on to; none: it stays here.
    pulp: Option<Pulp>,
    /// Ends what goes on to Pulp: each push does it again.
    closing: CancellationToken,
    /// Work on uploads outlives the requests that began it, to record how far it came.
    writers: TaskTracker,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

impl Content {
    /// Opens the content in `content_dir`, which is made on the first start.
    ///
    /// The folder and the database must belong together: each holds the id of the instance. `at` is the time of the
    /// first start, if this is it.
    ///
    /// With a Pulp the content goes on to there, and the folder holds only what is on its way.
    pub async fn open(
        database: Database,
        content_dir: &Path,
        pulp: Option<PulpOptions>,
        at: Timestamp,
    ) -> Result<Self, ContentError> {
        let backend = match pulp {
            Some(_) => Backend::Pulp,
            None => Backend::Embedded,
        };
        let id = instance::check(&database, content_dir, backend, at).await?;
        let folder = content_dir.join(OBJECTS_FOLDER);
        let objects = DiskObjects::open(&folder).map_err(|error| ContentError::Folder {
            path: folder,
            source: Arc::new(error),
        })?;
        let pulp = pulp.map(|options| Pulp::new(options, id)).transpose();
        let pulp = pulp.map_err(|error| ContentError::Certificate(Arc::new(error)))?;
        Ok(Self::with(database, Arc::new(objects), pulp))
    }

    /// Content whose objects lie in a store that was opened already.
    #[must_use]
    pub fn on(database: Database, objects: Arc<dyn Objects>) -> Self {
        Self::with(database, objects, None)
    }

    fn with(database: Database, objects: Arc<dyn Objects>, pulp: Option<Pulp>) -> Self {
        Self(Arc::new(Inner {
            database,
            objects,
            pulp,
            closing: CancellationToken::new(),
            busy: Busy::default(),
            writers: TaskTracker::new(),
        }))
    }

    /// The Pulp that the content goes on to, if it does.
    #[must_use]
    pub fn pulp(&self) -> Option<&Pulp> {
        self.0.pulp.as_ref()
    }

    pub(crate) fn objects(&self) -> &dyn Objects {
        &*self.0.objects
    }

    /// Waits until every upload that has lost its request has recorded how far it came.
    pub async fn close(self) {
        self.0.closing.cancel();
        self.0.writers.close();
        self.0.writers.wait().await;
    }
}

impl Inner {
    /// Deletes an object that no row names; what cannot be deleted now is swept later, as any object without a row.
    async fn discard(&self, object: &objects::ObjectName) {
        if let Err(error) = self.objects.delete(object).await {
            tracing::warn!(%error, "object {object} is no longer needed but could not be deleted");
        }
    }
}
