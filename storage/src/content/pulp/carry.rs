//! Blobs on their way between our objects and Pulp: into a push repository, and out for whoever reads.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex as Turn, OwnedSemaphorePermit, Semaphore};

use super::{Pulp, PulpError, rows};
use crate::catalog::DestinationId;
use crate::content::embedded::blobs::{self, Located, Place};
use crate::content::objects::{Chunks, ObjectError};
use crate::content::{ContentError, Inner};
use crate::{Algorithm, Digest};

/// Pulp writes each blob to its disk and computes four checksums of it: more at once are not faster there.
const UPLOADS_AT_ONCE: usize = 4;

/// Who carries what just now, so that nobody carries the same beside him.
#[derive(Default)]
pub(super) struct Carriers(Mutex<HashMap<Carried, Arc<Turn<()>>>>);

/// Where, and what.
type Carried = (DestinationId, Digest);

impl Carriers {
    fn turn(&self, destination: DestinationId, digest: Digest) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((destination, digest)).or_default())
    }
}

/// A blob of this size is carried in some tenths of a second: nobody waits for that.
const SMALL_BYTES: u64 = 1024 * 1024;
/// So many blobs are carried while their clients go on. Who comes then waits, so that no more is taken in than goes out.
const BEHIND_AT_ONCE: usize = 64;

/// The places of those that nobody waits for.
pub(super) fn behind() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BEHIND_AT_ONCE))
}

/// The places of those who upload.
pub(super) fn uploads() -> Semaphore {
    Semaphore::new(UPLOADS_AT_ONCE)
}

impl Pulp {
    /// A place among those that nobody waits for, if the blob is small and there is one.
    pub(in crate::content) fn carried_behind(
        &self,
        size_bytes: u64,
    ) -> Option<OwnedSemaphorePermit> {
        if size_bytes > SMALL_BYTES {
            return None;
        }
        Arc::clone(&self.behind).try_acquire_owned().ok()
    }
}

impl Inner {
    /// Brings a blob into the push repository of a destination, unless that has taken it.
    pub(in crate::content) async fn carry(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        digest: Digest,
    ) -> Result<(), ContentError> {
        if digest.algorithm() != Algorithm::Sha256 {
            // Pulp knows no other: it stays here.
            return Ok(());
        }
        let turn = pulp.carriers.turn(destination, digest);
        let _alone = turn.lock().await;
        {
            let mut tx = self.database.look_up().await?;
            if rows::has_taken(&mut tx, destination, &digest).await? {
                return Ok(());
            }
        }
        self.carry_whatever(pulp, destination, digest).await
    }

    /// The same, whatever it is known to have taken.
    pub(in crate::content) async fn carry_whatever(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        digest: Digest,
    ) -> Result<(), ContentError> {
        let mountable = {
            let mut tx = self.database.look_up().await?;
            rows::mountable_from(&mut tx, &digest).await?
        };
        pulp.ensure_ours(&self.database, destination).await?;
        let to = pulp.names.push_repository(destination);
        let mounted = match mountable {
            Some(from) => {
                let from = pulp.names.repository(from);
                let mounted = pulp.registry.mount(&pulp.client, &to, &digest, &from);
                mounted.await?
            }
            None => false,
        };
        if !mounted {
            // Never closed, so that there is no error.
            let _place = pulp.uploads.acquire().await;
            let (size_bytes, bytes) = self.all_bytes(pulp, destination, digest).await?;
            pulp.registry
                .upload(&pulp.client, &to, &digest, size_bytes, bytes)
                .await?;
        }
        self.database
            .transact(move |tx| {
                Box::pin(async move { rows::taken(tx, destination, &digest).await })
            })
            .await?
    }

    /// The bytes of a blob, from where it is now: another push may move it on to Pulp while we look.
    async fn all_bytes(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        digest: Digest,
    ) -> Result<(u64, Chunks), ContentError> {
        for again in [true, false] {
            let source = {
                let mut tx = self.database.look_up().await?;
                blobs::anywhere(&mut tx, &digest).await?
            };
            let source = source.ok_or(PulpError::LostBlob { digest })?;
            let size_bytes = source.blob.size_bytes;
            match self
                .bytes_of(pulp, destination, &source, 0..size_bytes)
                .await
            {
                Ok(Some(bytes)) => return Ok((size_bytes, bytes)),
                Err(ContentError::Object(
                    ObjectError::Missing { .. } | ObjectError::Lost { .. },
                )) if again => {}
                Ok(None) => break,
                Err(error) => return Err(error),
            }
        }
        Err(PulpError::LostBlob { digest }.into())
    }

    /// The bytes of a blob in that range, wherever they are; none if they are lost.
    pub(in crate::content) async fn bytes_of(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        source: &Located,
        range: Range<u64>,
    ) -> Result<Option<Chunks>, ContentError> {
        match &source.place {
            Place::Object(object) => Ok(Some(self.objects.read_range(object, range).await?)),
            Place::Pulp => {
                let digest = source.blob.digest;
                if range.is_empty() {
                    return Ok(Some(futures_util::stream::empty().boxed()));
                }
                let whole = range == (0..source.blob.size_bytes);
                let Some(url) = self.url_of(pulp, destination, &digest).await? else {
                    return Ok(None);
                };
                let wanted = (!whole).then(|| range.clone());
                let read = pulp.registry.read(&pulp.client, url, &digest, wanted);
                let Some(reading) = read.await? else {
                    return Ok(None);
                };
                let length = range.end - range.start;
                if reading.length().is_some_and(|found| found != length) {
                    return Err(PulpError::Unreadable {
                        doing: format!("give blob {digest}"),
                        why: format!("it has not the {length} bytes that were asked for"),
                    }
                    .into());
                }
                let name = digest.to_string();
                let chunks = reading.stream().map_err(move |error| ObjectError::Io {
                    name: name.clone(),
                    doing: "read from Pulp",
                    source: Arc::new(error),
                });
                Ok(Some(chunks.boxed()))
            }
        }
    }

    /// Where Pulp gives the bytes of a blob for a while; none if it has lost them.
    pub(in crate::content) async fn url_of(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        digest: &Digest,
    ) -> Result<Option<reqwest::Url>, ContentError> {
        loop {
            let holder = {
                let mut tx = self.database.look_up().await?;
                rows::holder(&mut tx, destination, digest).await?
            };
            let Some((holder, kept)) = holder else {
                return Ok(None);
            };
            let (own, pushed) = (
                pulp.names.repository(holder),
                pulp.names.push_repository(holder),
            );
            // A version is served a moment after it is made; until then what was pushed is where it was pushed.
            let names = if kept { [own, pushed] } else { [pushed, own] };
            for name in names {
                let url = pulp.registry.blob_url(&pulp.client, &name, digest).await?;
                if url.is_some() {
                    return Ok(url);
                }
            }
            // Where its names are not there at all, it is another Pulp than the one that has it.
            let there = pulp.repositories(holder).await?;
            if there.own.is_none() && there.push.is_none() {
                return Err(PulpError::NotThere {
                    name: pulp.names.repository(holder),
                }
                .into());
            }
            if let Some(own) = there.own {
                let newest = pulp.latest_version(&own).await?;
                if pulp.version_names(&newest, digest).await? {
                    return Err(PulpError::NotServed {
                        name: pulp.names.repository(holder),
                    }
                    .into());
                }
            }
            let digest = *digest;
            tracing::error!(%digest, destination.id = %holder, "{}", PulpError::LostBlob { digest });
            self.database
                .transact(move |tx| Box::pin(async move { rows::lost(tx, holder, &digest).await }))
                .await??;
        }
    }
}
