//! Content: blobs and what is pushed, kept in versions that can be brought back; the embedded backend.
//!
//! The bytes of blobs lie in [`objects`]; everything that is known of them is rows. A blob is durable before its row
//! is, and its row before anybody is told.

mod embedded;
mod error;
mod instance;
pub mod inventory;
pub mod objects;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use engine::clock::Timestamp;
use tokio_util::task::TaskTracker;

pub use embedded::blobs::{Blob, BlobReader};
pub use embedded::uploads::{Upload, UploadError, UploadId, find_upload, has_open_upload};
pub use embedded::{blobs, push_repository, versions};
pub use error::ContentError;

use crate::Database;
use embedded::uploads::Busy;
use objects::{DiskObjects, Objects};

/// Where the objects lie inside `content_dir`.
const OBJECTS_FOLDER: &str = "objects";

/// A handle on the content; clones share it.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    database: Database,
    objects: Arc<dyn Objects>,
    /// The upload sessions somebody is writing to just now.
    busy: Busy,
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
    pub async fn open(
        database: Database,
        content_dir: &Path,
        at: Timestamp,
    ) -> Result<Self, ContentError> {
        instance::check(&database, content_dir, at).await?;
        let folder = content_dir.join(OBJECTS_FOLDER);
        let objects = DiskObjects::open(&folder).map_err(|error| ContentError::Folder {
            path: folder,
            source: Arc::new(error),
        })?;
        Ok(Self::on(database, Arc::new(objects)))
    }

    /// Content whose objects lie in a store that was opened already.
    #[must_use]
    pub fn on(database: Database, objects: Arc<dyn Objects>) -> Self {
        Self(Arc::new(Inner {
            database,
            objects,
            busy: Busy::default(),
            writers: TaskTracker::new(),
        }))
    }

    /// Waits until every upload that has lost its request has recorded how far it came.
    pub async fn close(self) {
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
