//! One blob, which goes on where it broke off: also after a kill.

use futures_util::TryStreamExt as _;
use reqwest::StatusCode;
use storage::Digest;
use storage::catalog::{CatalogError, DestinationId};
use storage::content::{UploadError, UploadId};
use storage::mirror;

use super::{Failed, Work};

impl Work<'_> {
    /// Fetches the blob to that destination.
    pub(super) async fn blob(&self, to: DestinationId, digest: Digest) -> Result<(), Failed> {
        let (upload, offset) = self.session(to, digest).await?;
        let content = self.mirror.content();
        let asked = self
            .mirror
            .upstream()
            .blob(to.into(), &digest, offset)
            .await;
        let answer = asked?;
        // Of one that came to its last byte before a kill nothing is left to send.
        let goes_on =
            answer.status() == StatusCode::PARTIAL_CONTENT || answer.content_length() == Some(0);
        if offset > 0 && !goes_on {
            // Whoever does not go on from there begins from the first byte: so does the next fetch.
            self.give_up(digest, upload).await?;
            return Err(Failed::of(
                format!("blob {digest} is not sent from byte {offset} on; it is fetched anew"),
                false,
            ));
        }
        let (pace, known) = (&self.pace, self.known);
        let body = answer.bytes_stream().and_then(move |bytes| async move {
            pace.let_go(bytes.len()).await;
            known.change(|state| state.progress.bytes_done += bytes.len() as u64);
            Ok(bytes)
        });
        let at = self.mirror.clock().now();
        let appended = content.append(upload, Some(offset), body, at).await;
        appended.map_err(|error| failed(&error))?;
        let finished = content
            .finish(upload, &digest, self.mirror.clock().now())
            .await;
        if let Err(error) = finished {
            self.give_up(digest, upload).await?;
            return Err(failed(&error));
        }
        self.note(digest, None).await?;
        self.known.change(|state| state.progress.blobs_done += 1);
        Ok(())
    }

    /// The session that the blob comes into, and how far it is.
    async fn session(&self, to: DestinationId, digest: Digest) -> Result<(UploadId, u64), Failed> {
        let content = self.mirror.content();
        let (begun, user) = {
            let mut tx = self.mirror.database().read().await?;
            (
                mirror::fetch_of(&mut tx, &digest).await?,
                mirror::user(&mut tx).await?,
            )
        };
        if let Some(begun) = begun {
            match content.upload(begun).await? {
                Some(upload) if upload.destination == to => return Ok((begun, upload.offset)),
                Some(_) => self.give_up(digest, begun).await?,
                None => {}
            }
        }
        let at = self.mirror.clock().now();
        let opened = content
            .open_upload_by(to, user, digest.algorithm(), at)
            .await?;
        self.note(digest, Some(opened.id)).await?;
        Ok((opened.id, 0))
    }

    async fn give_up(&self, digest: Digest, upload: UploadId) -> Result<(), Failed> {
        let given_up = self.mirror.content().cancel(upload).await;
        given_up.map_err(|error| failed(&error))?;
        self.note(digest, None).await
    }

    async fn note(&self, digest: Digest, upload: Option<UploadId>) -> Result<(), Failed> {
        let noted = self.mirror.database().transact(move |tx| {
            Box::pin(async move { mirror::set_fetch(tx, &digest, upload).await })
        });
        Ok(noted.await.map_err(CatalogError::from)??)
    }
}

fn failed(error: &UploadError) -> Failed {
    match error {
        UploadError::Content(error) => error.clone().into(),
        UploadError::BrokenOff { source, .. } => {
            Failed::of(format!("the main server broke off: {source}"), true)
        }
        UploadError::Unknown { .. }
        | UploadError::Busy { .. }
        | UploadError::OutOfOrder { .. }
        | UploadError::OtherLength { .. }
        | UploadError::Mismatch { .. }
        | UploadError::TooLarge { .. }
        | UploadError::NoRoom { .. } => Failed::of(error.to_string(), false),
    }
}
