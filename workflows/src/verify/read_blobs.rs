//! Reads each blob again that lies here, in the order of their digests, and compares it with its digest.

use super::Verify;
use super::pace::Pace;
use crate::destination::label_form;
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::catalog::verifications::{self, Damaged};
use storage::catalog::{CatalogError, destinations, organizations, tallies};
use storage::content::inventory::{self, StoredBlob};
use storage::{Digest, Running, Tx};
use tokio::task::spawn_blocking;

/// So many blobs are looked up at once, and it is written down how far it is at least as often.
const PAGE: u32 = 200;
/// So many damaged blobs are told, and so many repositories of each; how many there are is told besides.
const TOLD: u32 = 100;
/// After so many bytes it is written down how far it is: what is read again after a crash.
const BETWEEN_BYTES: u64 = 256 * 1024 * 1024;

/// What was read, and what is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBlobsTold {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many of them are damaged.
    pub damaged: u64,
    /// Which, at most 100 of them.
    pub damaged_blobs: Vec<DamagedBlob>,
    /// False: it was cancelled before it had read all.
    pub complete: bool,
}

/// A blob whose bytes are not those that its digest names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedBlob {
    /// The blob.
    pub digest: Digest,
    /// How large it should be.
    pub size_bytes: u64,
    /// What is wrong with it.
    pub what: String,
    /// The repositories with an image that needs it, at most 100 of them.
    pub repositories: Vec<String>,
}

/// Reads all of them.
pub struct ReadBlobs;

impl Declared for ReadBlobs {
    const NAME: &'static str = "read_blobs";
    /// Each attempt goes on where the one before was.
    const POLICY: Policy = Policy::idempotent().timeout(Duration::from_hours(24 * 6));
    type Workflow = Verify;
    type Needs = ();
    type Output = ReadBlobsTold;
}

impl Step for ReadBlobs {
    async fn run(
        &self,
        cx: &Context<Verify>,
        input: &Verify,
        (): (),
    ) -> Result<ReadBlobsTold, StepError> {
        let mut reading = Reading {
            cx,
            pace: Pace::new(input.bytes_per_second),
            last: verifications::cursor(&mut read(cx).await?, cx.plan())
                .await
                .map_err(Failed::from)?,
            blobs: 0,
            bytes: 0,
            damaged: Vec::new(),
        };
        let complete = reading.all().await?;
        reading.write_down().await?;
        if !complete {
            cx.warn("cancelled before it had read all blobs");
        }
        let told = told(cx, complete).await?;
        if told.damaged > 0 {
            cx.warn(format!(
                "{} blobs are damaged: restore the content folder from a backup; what is not there at all comes back when an image is pushed that needs it",
                told.damaged
            ));
        }
        Ok(told)
    }
}

async fn read(cx: &Context<Verify>) -> Result<Tx, Failed> {
    Ok(cx.services.database.read().await?)
}

async fn told(cx: &Context<Verify>, complete: bool) -> Result<ReadBlobsTold, Failed> {
    let mut tx = read(cx).await?;
    let tally = tallies::of(&mut tx, cx.plan()).await?;
    let (damaged, found) = verifications::damaged(&mut tx, cx.plan(), TOLD).await?;
    let mut damaged_blobs = Vec::with_capacity(found.len());
    for blob in found {
        damaged_blobs.push(DamagedBlob {
            repositories: hurt(&mut tx, &blob.digest).await?,
            digest: blob.digest,
            size_bytes: blob.size_bytes,
            what: blob.what,
        });
    }
    let figure = |name| tally.get(name).copied().unwrap_or(0);
    Ok(ReadBlobsTold {
        blobs: figure("blobs"),
        bytes: figure("bytes"),
        damaged,
        damaged_blobs,
        complete,
    })
}

async fn hurt(tx: &mut Tx, digest: &Digest) -> Result<Vec<String>, CatalogError> {
    let mut names = Vec::new();
    for destination in verifications::hurt(tx, digest, TOLD).await? {
        let Some(row) = destinations::get(tx, destination).await? else {
            continue;
        };
        if let Some(organization) = organizations::get(tx, row.organization).await? {
            let label = &organization.label;
            names.push(label_form(label, &row.product_label, &row.name));
        }
    }
    Ok(names)
}

/// One attempt; what is counted here is not written down yet.
struct Reading<'a> {
    cx: &'a Context<Verify>,
    pace: Pace,
    /// The last blob that was read.
    last: Option<Digest>,
    blobs: u64,
    bytes: u64,
    damaged: Vec<Damaged>,
}

impl Reading<'_> {
    /// False when it was cancelled before the end.
    async fn all(&mut self) -> Result<bool, Failed> {
        loop {
            let last = self.last;
            let page = {
                let mut tx = read(self.cx).await?;
                inventory::blobs(&mut tx, last.as_ref(), PAGE).await?
            };
            if page.is_empty() {
                return Ok(true);
            }
            for stored in page {
                let Some(looked) = self.look(&stored).await? else {
                    return Ok(false);
                };
                self.blobs += 1;
                self.bytes += stored.blob.size_bytes;
                self.last = Some(stored.blob.digest);
                self.damaged.extend(looked);
                if self.bytes >= BETWEEN_BYTES {
                    self.write_down().await?;
                }
            }
            self.write_down().await?;
        }
    }

    /// Reads one blob: what is wrong with it, if anything is; none: it was cancelled meanwhile.
    async fn look(&mut self, stored: &StoredBlob) -> Result<Option<Option<Damaged>>, Failed> {
        let what = match self.digest_of(stored).await {
            Ok(None) => return Ok(None),
            Ok(Some(found)) if found == stored.blob.digest => return Ok(Some(None)),
            Ok(Some(found)) => format!("its bytes have digest {found}"),
            Err(error) => error.to_string(),
        };
        // Meanwhile it may have been collected, or pushed again.
        let now = inventory::blob(&mut read(self.cx).await?, &stored.blob.digest).await?;
        if now.as_ref() != Some(stored) {
            return Ok(Some(None));
        }
        tracing::error!(digest = %stored.blob.digest, task.id = %self.cx.plan(), "blob {} is damaged: {what}", stored.blob.digest);
        Ok(Some(Some(Damaged {
            digest: stored.blob.digest,
            size_bytes: stored.blob.size_bytes,
            what,
        })))
    }

    async fn digest_of(
        &mut self,
        stored: &StoredBlob,
    ) -> Result<Option<Digest>, storage::content::objects::ObjectError> {
        let mut chunks = self.cx.services.content.read_stored(stored).await?;
        let mut running = Running::new(stored.blob.digest.algorithm());
        while let Some(chunk) = chunks.try_next().await? {
            let bytes = chunk.len() as u64;
            let hashing = spawn_blocking(move || {
                running.update(&chunk);
                running
            });
            running = hashing
                .await
                .expect("hashing does not panic, and nobody aborts it");
            let pause = tokio::time::sleep(self.pace.after(bytes));
            let cancelled = self.cx.cancelled();
            if cancelled.run_until_cancelled(pause).await.is_none() {
                return Ok(None);
            }
        }
        Ok((!self.cx.cancelled().is_cancelled()).then(|| running.digest()))
    }

    /// Writes down how far it is.
    async fn write_down(&mut self) -> Result<(), Failed> {
        let Some(last) = self.last else { return Ok(()) };
        let figures = [("blobs", self.blobs), ("bytes", self.bytes)];
        let damaged = std::mem::take(&mut self.damaged);
        (self.blobs, self.bytes) = (0, 0);
        let plan = self.cx.plan();
        let written = self.cx.services.database.transact::<(), Failed>(move |tx| {
            Box::pin(async move {
                verifications::advance(tx, plan, &last, &damaged).await?;
                for (figure, n) in figures {
                    if n > 0 {
                        tallies::add(tx, plan, figure, n).await?;
                    }
                }
                Ok(())
            })
        });
        written.await?
    }
}
