//! Upload sessions: rows that say how far a blob has come, so that it survives a restart and a client that breaks off.

mod busy;
mod expired;
mod intake;
mod row;

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::{Stream, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use uuid::Uuid;

pub(in crate::content) use busy::Busy;

use super::blobs::{self, Blob};
use crate::catalog::{DestinationId, UserId};
use crate::content::objects::ObjectName;
use crate::content::pulp::{self, NoRoom};
use crate::content::{Content, ContentError};
use crate::digest::Running;
use crate::{Algorithm, Digest};
use busy::Purpose;
pub use expired::{Expired, Idle, Position, delete_expired};
use intake::{Intake, Stopped};
use row::UploadRow;
pub use row::{find_upload, has_open_upload};

/// So long the end of an upload waits for the content to go on to Pulp: less than clients wait for an answer.
const CARRY_WAIT: Duration = Duration::from_secs(20);

/// The unguessable id of an upload session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub Uuid);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// An upload session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Where its blob will be linked.
    pub destination: DestinationId,
    /// Who opened it.
    pub user: UserId,
    /// How many bytes are durable.
    pub offset: u64,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// Why an upload did not go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such session.
    #[error("there is no upload {id}; begin a new one")]
    Unknown {
        /// The id asked for.
        id: UploadId,
    },
    /// Somebody else is writing to it.
    #[error("upload {id} is being written to by another request; wait for that one")]
    Busy {
        /// Which.
        id: UploadId,
    },
    /// The bytes do not follow those that are there.
    #[error("upload {id} has {offset} bytes, so the next one is number {offset} and not {given}")]
    OutOfOrder {
        /// Which.
        id: UploadId,
        /// How many bytes are durable.
        offset: u64,
        /// Where the request wanted to go on.
        given: u64,
    },
    /// The bytes are more, or fewer, than was said. Nothing of them counts.
    #[error(
        "upload {id} was to get {wanted} bytes more, but {found} came; nothing of them is kept"
    )]
    OtherLength {
        /// Which.
        id: UploadId,
        /// How many were to come.
        wanted: u64,
        /// How many had come when that was seen.
        found: u64,
    },
    /// The client stopped sending.
    #[error("the body of upload {id} broke off; {offset} bytes are kept, go on from there")]
    BrokenOff {
        /// Which.
        id: UploadId,
        /// How many bytes are durable.
        offset: u64,
        /// What the connection says.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The bytes are not what they should be. The session is gone.
    #[error("upload {id} should be {wanted} but is {found}; begin a new one")]
    Mismatch {
        /// Which.
        id: UploadId,
        /// The digest asked for.
        wanted: Digest,
        /// The digest of what was sent.
        found: Digest,
    },
    /// It alone is more than may be on its way to Pulp. The session is gone.
    #[error("upload {id} is larger than the {most_bytes} bytes that may be on their way to Pulp")]
    TooLarge {
        /// Which.
        id: UploadId,
        /// What is set.
        most_bytes: u64,
    },
    /// Too much is on its way to Pulp, and stays so. The session is gone, which makes room for others.
    #[error(
        "{most_bytes} bytes are on their way to Pulp, and no more may be; upload {id} is given up"
    )]
    NoRoom {
        /// Which.
        id: UploadId,
        /// What is set.
        most_bytes: u64,
    },
    /// The backend did not do its part.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl Content {
    /// Opens an upload session for a blob that will most likely be called by its SHA-256.
    pub async fn open_upload(
        &self,
        destination: DestinationId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Upload, ContentError> {
        self.open_upload_by(destination, user, Algorithm::Sha256, at)
            .await
    }

    /// Opens an upload session whose bytes are hashed by that algorithm on their way in.
    ///
    /// It may be finished with a digest of another one; then they are all read again.
    pub async fn open_upload_by(
        &self,
        destination: DestinationId,
        user: UserId,
        algorithm: Algorithm,
        at: Timestamp,
    ) -> Result<Upload, ContentError> {
        let object = self.0.objects.begin(ObjectName::random());
        let row = UploadRow {
            id: UploadId(Uuid::new_v4()),
            destination,
            user,
            hash: Running::new(algorithm),
            object,
            created_at: at,
        };
        let upload = row.upload();
        self.0
            .database
            .transact(move |tx| Box::pin(async move { row::insert(tx, &row).await }))
            .await??;
        Ok(upload)
    }

    /// The session with this id.
    pub async fn upload(&self, id: UploadId) -> Result<Option<Upload>, ContentError> {
        let mut tx = self.0.database.look_up().await?;
        let row = row::get(&mut tx, id).await?;
        Ok(row.map(|row| row.upload()))
    }

    /// Adds `body` to the session, and answers how many bytes are durable now.
    ///
    /// With `offset` the body must begin there. When the body breaks off, or this future is dropped, what has arrived
    /// is recorded all the same.
    pub async fn append<E>(
        &self,
        id: UploadId,
        offset: Option<u64>,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        at: Timestamp,
    ) -> Result<u64, UploadError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.append_exactly(id, offset, None, body, at).await
    }

    /// As [`append`](Self::append), and with `length` nothing counts unless the body has so many bytes.
    ///
    /// A writer that has fallen silent gives way, and what it has brought is kept. Whoever then does not say where to go on
    /// cannot know that, and is told.
    pub async fn append_exactly<E>(
        &self,
        id: UploadId,
        offset: Option<u64>,
        length: Option<u64>,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        at: Timestamp,
    ) -> Result<u64, UploadError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let writing = self.0.busy.begin(id, Purpose::Append).await;
        let writing = writing.ok_or(UploadError::Busy { id })?;
        let row = self.upload_row(id).await?;
        let durable = row.object.size_bytes;
        let given = offset.or(writing.taken_over.then_some(0));
        if let Some(given) = given
            && given != durable
        {
            return Err(UploadError::OutOfOrder {
                id,
                offset: durable,
                given,
            });
        }
        let (intake, recorded) = Intake::begin(Arc::clone(&self.0), row, writing, at);
        let stopped = intake.take_in(length, body).await;
        let offset = recorded.await.map_err(|_| ContentError::Interrupted)??;
        match stopped {
            Ok(()) => Ok(offset),
            Err(Stopped::Broken(error)) => Err(UploadError::BrokenOff {
                id,
                offset,
                source: Arc::from(error.into()),
            }),
            Err(Stopped::TakenOver) => Err(UploadError::Busy { id }),
            Err(Stopped::OtherLength { found }) => Err(UploadError::OtherLength {
                id,
                wanted: length.unwrap_or_default(),
                found,
            }),
            Err(Stopped::NoRoom(why)) => Err(self.given_up(id, why).await),
        }
    }

    /// Ends a session that there is no room for.
    async fn given_up(&self, id: UploadId, why: NoRoom) -> UploadError {
        let error = match why {
            NoRoom::TooLarge { most_bytes } => UploadError::TooLarge { id, most_bytes },
            NoRoom::Full { most_bytes } => UploadError::NoRoom { id, most_bytes },
            NoRoom::Unknown(error) => return error.into(),
        };
        if let Err(error) = self.cancel(id).await {
            tracing::warn!(%error, "upload {id} could not be given up, and takes room until it expires");
        }
        error
    }

    /// Ends the writing of somebody who has fallen silent, so that what is durable is all there is; true if there was one.
    pub async fn settle(&self, id: UploadId) -> bool {
        let writing = self.0.busy.begin(id, Purpose::Settle).await;
        writing.is_some_and(|writing| writing.taken_over)
    }

    /// Makes a blob of the session, linked to its destination, if its bytes are those of `digest`.
    ///
    /// Otherwise the session is gone: nothing that could be sent after would make it right. Dropping this future takes
    /// nothing back, and until it is done nobody else gets at the session.
    pub async fn finish(
        &self,
        id: UploadId,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<Blob, UploadError> {
        let (content, wanted) = (self.clone(), *digest);
        self.alone(id, Purpose::Finish, async move {
            content.finish_row(id, wanted, at).await
        })
        .await
    }

    async fn finish_row(
        &self,
        id: UploadId,
        wanted: Digest,
        at: Timestamp,
    ) -> Result<Blob, UploadError> {
        let row = self.upload_row(id).await?;
        let found = if row.hash.algorithm() == wanted.algorithm() {
            row.hash.digest()
        } else {
            self.read_again(&row, wanted.algorithm()).await?
        };
        if found != wanted {
            self.remove(&row).await?;
            return Err(UploadError::Mismatch { id, wanted, found });
        }
        self.0
            .objects
            .seal(&row.object)
            .await
            .map_err(ContentError::from)?;
        let blob = Blob {
            digest: found,
            size_bytes: row.object.size_bytes,
        };
        let (object, row_destination) = (row.object.name.clone(), row.destination);
        let lost = self.lost_object(&blob).await?;
        let goes_on = self.pulp().is_some();
        let kept = self
            .0
            .database
            .transact(move |tx| {
                Box::pin(async move {
                    let kept = blobs::keep(tx, &blob, &row.object.name, lost.as_ref(), at).await?;
                    blobs::link(tx, row.destination, &blob.digest, at).await?;
                    if goes_on && kept == row.object.name {
                        pulp::spooled(tx, row.destination, &blob, at).await?;
                    }
                    row::delete(tx, id).await?;
                    Ok::<_, ContentError>(kept)
                })
            })
            .await
            .map_err(ContentError::from)??;
        if kept != object {
            // Somebody else's object of the same bytes was first.
            self.0.discard(&object).await;
            if let Some(pulp) = self.pulp() {
                pulp.spool.note_room();
            }
        }
        self.carry_soon(row_destination, blob).await;
        Ok(blob)
    }

    /// Begins to carry the blob to where the content goes on to, and gives a large one some time: a client that waits here need not
    /// wait for its manifest. What is not there by then, the push carries.
    async fn carry_soon(&self, destination: DestinationId, blob: Blob) {
        let Some(pulp) = self.pulp() else { return };
        let (content, digest) = (self.clone(), blob.digest);
        let behind = pulp.carried_behind(blob.size_bytes);
        let waits = behind.is_none();
        let carried = self.0.writers.spawn(async move {
            let _behind = behind;
            let Some(pulp) = content.pulp() else { return };
            let carried = content.0.carry(pulp, destination, digest);
            let carried = content.0.closing.run_until_cancelled(carried).await;
            if let Some(Err(error)) = carried {
                tracing::warn!(%digest, %error, "blob {digest} is kept here until its push carries it to Pulp");
            }
        });
        if waits {
            // Ended or not: it goes on.
            let _ = tokio::time::timeout(CARRY_WAIT, carried).await;
        }
    }

    /// The digest of the session's bytes by another algorithm than the one they came in with.
    async fn read_again(
        &self,
        row: &UploadRow,
        algorithm: Algorithm,
    ) -> Result<Digest, ContentError> {
        let (objects, object) = (&self.0.objects, &row.object);
        objects.seal(object).await?;
        let mut chunks = objects
            .read_range(&object.name, 0..object.size_bytes)
            .await?;
        let mut running = Running::new(algorithm);
        while let Some(chunk) = chunks.try_next().await? {
            let hashing = spawn_blocking(move || {
                running.update(&chunk);
                running
            });
            running = hashing
                .await
                .expect("hashing does not panic, and nobody aborts it");
        }
        Ok(running.digest())
    }

    /// Gives a session up; false if there is none.
    pub async fn cancel(&self, id: UploadId) -> Result<bool, UploadError> {
        let content = self.clone();
        let cancelled = self.alone(id, Purpose::Settle, async move {
            let row = content.upload_row(id).await?;
            match content.remove(&row).await {
                // The row cannot be deleted for want of the very space that the object takes.
                Err(error) if error.is_full() => {
                    content.0.discard(&row.object.name).await;
                    content.remove(&row).await?;
                }
                removed => removed?,
            }
            Ok(true)
        });
        match cancelled.await {
            Err(UploadError::Unknown { .. }) => Ok(false),
            done => done,
        }
    }

    /// Does the work as the only one at the session, to its end even when the request is dropped: while its rows are on
    /// their way, somebody else would delete the object that they name.
    async fn alone<T: Send + 'static>(
        &self,
        id: UploadId,
        purpose: Purpose,
        work: impl Future<Output = Result<T, UploadError>> + Send + 'static,
    ) -> Result<T, UploadError> {
        let writing = self.0.busy.begin(id, purpose).await;
        let writing = writing.ok_or(UploadError::Busy { id })?;
        let done = self.0.writers.spawn(async move {
            let done = work.await;
            drop(writing);
            done
        });
        done.await.map_err(|_| ContentError::Interrupted)?
    }

    async fn upload_row(&self, id: UploadId) -> Result<UploadRow, UploadError> {
        let mut tx = self
            .0
            .database
            .look_up()
            .await
            .map_err(ContentError::from)?;
        let row = row::get(&mut tx, id).await?;
        row.ok_or(UploadError::Unknown { id })
    }

    /// First the row, then the object: an object without a row is swept, a row without an object is a broken session.
    async fn remove(&self, row: &UploadRow) -> Result<(), ContentError> {
        let id = row.id;
        self.0
            .database
            .transact(move |tx| Box::pin(async move { row::delete(tx, id).await }))
            .await??;
        self.0.discard(&row.object.name).await;
        if let Some(pulp) = self.pulp() {
            pulp.spool.note_room();
        }
        Ok(())
    }
}
