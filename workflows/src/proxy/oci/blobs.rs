//! Blobs: looked for, taken over from where the registry has them, else sent; each once in a sync, however many manifests share it.

mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream as streams};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, StatusCode, Url};
use storage::Digest;
use storage::catalog::smart_proxies::contents;

use super::Failure;
use super::registry::{Ask, Busy, PAUSES, busy, is_down};
use super::repository::{Repository, Undone};

/// So many names are tried that may have a blob.
const HOLDERS_AT_MOST: u32 = 3;

/// How an upload went.
enum Went {
    /// It is there.
    There,
    /// It is to be sent once more, after so long.
    Again(Duration),
}

/// What came of a mount.
enum Mounted {
    /// It is there.
    There,
    /// It is to be sent to here.
    Upload(Url),
    /// Nothing.
    No,
}

impl Repository<'_, '_> {
    /// Brings these blobs, so many at once as the proxy says.
    pub(super) async fn bring_blobs(
        &self,
        sizes: BTreeMap<Digest, u64>,
        undone: &mut Undone,
    ) -> Result<(), Failure> {
        let (tally, name): (_, Arc<str>) = (&self.work.tally, self.name.as_str().into());
        let unknown = sizes
            .into_iter()
            .filter(|(digest, _)| !tally.is_held(&name, digest));
        let mut brought = streams::iter(unknown)
            .map(|(digest, size)| async move { (digest, self.bring_blob(&digest, size).await) })
            .buffer_unordered(self.work.at_once);
        while let Some((digest, brought)) = brought.next().await {
            match brought {
                Ok(()) => tally.holds(&name, digest),
                Err(failure) => undone.note(digest, failure)?,
            }
        }
        Ok(())
    }

    async fn bring_blob(&self, digest: &Digest, size: u64) -> Result<(), Failure> {
        let url = self.url(&format!("blobs/{digest}"));
        let head = Ask::new(Method::HEAD, url, &self.scope);
        if self.work.registry.has(&head).await? {
            return Ok(());
        }
        let mut session = None;
        for holder in self.holders(digest).await? {
            match self.mount(digest, &holder).await? {
                Mounted::There => {
                    self.work.tally.came(false);
                    return Ok(());
                }
                Mounted::Upload(url) => {
                    session = Some(url);
                    break;
                }
                Mounted::No => {}
            }
        }
        self.work.tally.missing(size);
        let mut pauses = PAUSES.iter();
        loop {
            let url = match session.take() {
                Some(url) => url,
                None => self.begin(digest).await?,
            };
            match self.upload(digest, url, pauses.next()).await? {
                Went::There => break,
                Went::Again(pause) => tokio::time::sleep(pause).await,
            }
        }
        self.work.tally.came(true);
        Ok(())
    }

    /// Other names there that have the blob: one of this sync surely, those of earlier ones most probably.
    async fn holders(&self, digest: &Digest) -> Result<Vec<String>, Failure> {
        if let Some(surely) = self.work.tally.holder(digest) {
            return Ok(vec![surely.to_string()]);
        }
        let mut tx = self.work.services.database.look_up().await?;
        let names =
            contents::names_with_blob(&mut tx, self.work.proxy.id, digest, HOLDERS_AT_MOST).await?;
        let names = names.iter().map(|name| self.work.registry.name(name));
        Ok(names.filter(|name| *name != self.name).collect())
    }

    /// Takes the blob over from another name. A registry that does not do that begins an upload, or refuses; neither matters.
    async fn mount(&self, digest: &Digest, from: &str) -> Result<Mounted, Failure> {
        let mut url = self.url("blobs/uploads/");
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", from);
        let scope = format!("{} repository:{from}:pull", self.scope);
        let ask = Ask::new(Method::POST, url, &scope);
        match self.work.registry.send(&ask).await {
            Ok(answer) if answer.status() == StatusCode::CREATED => Ok(Mounted::There),
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                Ok(Mounted::Upload(self.work.registry.onward(&answer)?))
            }
            Ok(_) | Err(Failure::One(_)) => Ok(Mounted::No),
            Err(all @ Failure::All(_)) => Err(all),
        }
    }

    /// Begins an upload; answers with where it goes on.
    async fn begin(&self, digest: &Digest) -> Result<Url, Failure> {
        let ask = Ask::new(Method::POST, self.url("blobs/uploads/"), &self.scope);
        let answer = self.work.registry.send(&ask).await?;
        if answer.status() == StatusCode::ACCEPTED {
            return self.work.registry.onward(&answer);
        }
        let what = format!("POST of an upload of {digest} to `{}`", self.name);
        Err(self.refused(&what, answer).await)
    }

    /// Sends the blob in one request. Where it is to be sent again, `next` is how long to wait before, and none: no more.
    async fn upload(
        &self,
        digest: &Digest,
        mut url: Url,
        next: Option<&Duration>,
    ) -> Result<Went, Failure> {
        let content = &self.work.services.content;
        let reader = content.read_blob(self.destination(), digest, None).await?;
        let reader = reader.ok_or_else(|| Failure::One(format!("blob {digest} is lost here")))?;
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let registry = &self.work.registry;
        let shown = registry.shown(&self.scope).await?;
        let request = registry
            .request(Method::PUT, url, &shown)?
            .header(CONTENT_LENGTH, reader.blob.size_bytes)
            .header(CONTENT_TYPE, "application/octet-stream");
        let answer = self.work.stream(request, reader).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Went::There);
        }
        if status == StatusCode::UNAUTHORIZED && next.is_some() {
            registry.asked(&answer, &self.scope, &shown).await?;
            return Ok(Went::Again(Duration::ZERO));
        }
        match Busy::says(&answer, next) {
            Busy::Pause(pause) => return Ok(Went::Again(pause)),
            Busy::TooLong => return Err(busy(answer).await),
            Busy::No if is_down(status) => return Err(busy(answer).await),
            Busy::No => {}
        }
        let what = format!("PUT of blob {digest} to `{}`", self.name);
        Err(self.refused(&what, answer).await)
    }
}
