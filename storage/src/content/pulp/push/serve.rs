//! The newest version is served, and what Pulp keeps is kept here no longer.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{ServeTicket, TASKS_AT_MOST};
use crate::catalog::DestinationId;
use crate::content::pulp::distributions::Begun;
use crate::content::pulp::tasks::TaskState;
use crate::content::pulp::{Pulp, PulpError, repositories, rows, spool};
use crate::content::{Content, ContentError, versions};
use crate::{Digest, Tag};

impl Content {
    /// Begins to serve the newest version that any plan has made of the destination: it has what all before it have.
    pub async fn begin_to_serve(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        repository: &str,
        correlation: Uuid,
    ) -> Result<ServeTicket, ContentError> {
        let known = {
            let mut tx = self.0.database.look_up().await?;
            pulp.known_with(&mut tx, destination, repository).await?
        };
        let version = repositories::version(repository, known.newest);
        let begun = if known.newest == known.served {
            Begun::default()
        } else if known.served == 0 {
            pulp.serve_first(destination, &version, correlation).await?
        } else {
            let distribution = known.distribution.as_deref();
            pulp.serve(destination, &version, correlation, distribution)
                .await?
        };
        if let Some(open) = begun.open.clone() {
            self.is_open(destination, Some(open)).await?;
        }
        if begun.distribution.is_some() && begun.distribution != known.distribution {
            self.is_served_by(destination, begun.distribution.clone())
                .await?;
        }
        Ok(ServeTicket {
            task: begun.task,
            distribution: begun.distribution,
            from_nothing: begun.from_nothing,
            number: known.newest,
            repository: repository.to_owned(),
            correlation,
        })
    }

    async fn is_open(
        &self,
        destination: DestinationId,
        distribution: Option<String>,
    ) -> Result<(), ContentError> {
        let work = self.0.database.transact(move |tx| {
            Box::pin(async move { rows::is_open(tx, destination, distribution.as_deref()).await })
        });
        work.await?
    }

    /// Makes private what Pulp has made for first pushes, some at a time; answers how many that were.
    pub async fn hide_what_is_open(&self, pulp: &Pulp) -> Result<usize, ContentError> {
        const AT_ONCE: u32 = 20;
        let open = {
            let mut tx = self.0.database.look_up().await?;
            rows::open(&mut tx, AT_ONCE).await?
        };
        for (destination, distribution) in &open {
            pulp.hide(distribution).await?;
            self.is_open(*destination, None).await?;
        }
        Ok(open.len())
    }

    async fn is_served_by(
        &self,
        destination: DestinationId,
        distribution: Option<String>,
    ) -> Result<(), ContentError> {
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move {
                    rows::is_served_by(tx, destination, distribution.as_deref()).await
                })
            })
            .await?
    }

    /// True once the version is served, and has what this push has brought.
    pub async fn is_served(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        ticket: &ServeTicket,
        tag: Option<(&Tag, &Digest)>,
        digests: &[Digest],
    ) -> Result<bool, ContentError> {
        let wanted = self.wanted(destination, tag, digests).await?;
        let name = pulp.names.repository(destination);
        let look = || pulp.first_not_served(&name, &wanted);
        // Where nothing was served before, what is found is of the new version.
        let is_proof = ticket.from_nothing && !wanted.is_empty();
        let (end, missing) = if is_proof && look().await?.is_none() {
            (End::Done, None)
        } else {
            match pulp.end_of(ticket).await? {
                End::Open => return Ok(false),
                end @ (End::Done | End::Failed) => (end, look().await?),
            }
        };
        if end == End::Failed || missing.is_some() {
            // Or somebody has changed what is served. The newest version is set, and never an older one.
            let known = {
                let mut tx = self.0.database.look_up().await?;
                pulp.known_with(&mut tx, destination, &ticket.repository)
                    .await?
            };
            let number = known.newest.max(ticket.number);
            if pulp.serve_again(destination, ticket, number).await? {
                // The one that was known may be another one now.
                self.is_served_by(destination, None).await?;
                return Ok(false);
            }
        }
        if let Some((reference, digest)) = missing {
            return Err(ContentError::Absent {
                place: format!("distribution `{name}` in Pulp"),
                destination,
                what: format!("manifest {digest} under `{reference}`"),
            });
        }
        let (number, repository) = (ticket.number, ticket.repository.clone());
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move { rows::serves(tx, destination, &repository, number).await })
            })
            .await??;
        Ok(true)
    }

    /// What must be found there: of what was pushed, all that Pulp takes.
    async fn wanted(
        &self,
        destination: DestinationId,
        tag: Option<(&Tag, &Digest)>,
        digests: &[Digest],
    ) -> Result<Vec<(String, Digest)>, ContentError> {
        let tagged = tag.map(|(tag, digest)| (tag.to_string(), *digest));
        let by_digest = digests.iter().map(|digest| (digest.to_string(), *digest));
        let mut wanted: Vec<(String, Digest)> = by_digest.chain(tagged).collect();
        let all: Vec<Digest> = wanted.iter().map(|(_, digest)| *digest).collect();
        let mut tx = self.0.database.look_up().await?;
        let odd = rows::odd(&mut tx, destination, &all).await?;
        wanted.retain(|(_, digest)| !odd.contains(digest));
        Ok(wanted)
    }

    /// Deletes the objects of blobs that Pulp keeps.
    pub async fn release_objects(
        &self,
        destination: DestinationId,
        manifests: impl IntoIterator<Item = Digest>,
    ) -> Result<(), ContentError> {
        let manifests: BTreeSet<Digest> = manifests.into_iter().collect();
        let released: Vec<String> = self
            .0
            .database
            .transact::<Vec<String>, ContentError>(move |tx| {
                Box::pin(async move {
                    let all = versions::with_children(tx, destination, manifests).await?;
                    let blobs = rows::blobs_of(tx, destination, &all).await?;
                    let released = rows::release_objects(tx, destination, &blobs).await?;
                    spool::forget(tx, &blobs).await?;
                    Ok(released)
                })
            })
            .await??;
        self.0.discard_released(released).await;
        Ok(())
    }
}

/// How a version came to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on.
    Open,
    /// It has done its work.
    Done,
    /// It has failed, or Pulp does not remember it: it may be begun again.
    Failed,
}

impl Pulp {
    async fn end_of(&self, ticket: &ServeTicket) -> Result<End, PulpError> {
        let Some(task) = &ticket.task else {
            return Ok(End::Done);
        };
        let end = |state| match state {
            TaskState::Open => End::Open,
            TaskState::Completed(_) => End::Done,
            TaskState::Purged => End::Failed,
        };
        let failed = match self.task(task, "serve").await {
            Err(failed @ PulpError::Task { .. }) => failed,
            told => return told.map(end),
        };
        let named = self.task_named(ticket.correlation, "serve").await?;
        match named.open {
            Some(newer) => self.task(&newer, "serve").await.map(end),
            None if named.known < TASKS_AT_MOST => Ok(End::Failed),
            None => Err(failed.for_good()),
        }
    }

    /// Begins to serve that version once more, some times; true while it goes on.
    async fn serve_again(
        &self,
        destination: DestinationId,
        ticket: &ServeTicket,
        number: i64,
    ) -> Result<bool, PulpError> {
        let named = self.task_named(ticket.correlation, "serve").await?;
        if let Some(newer) = named.open
            && self.task(&newer, "serve").await? == TaskState::Open
        {
            return Ok(true);
        }
        if named.known >= TASKS_AT_MOST {
            return Ok(false);
        }
        let version = repositories::version(&ticket.repository, number);
        let begun = self.serve(destination, &version, ticket.correlation, None);
        Ok(begun.await?.task.is_some())
    }

    /// The first of these references under which the name does not give what it should.
    async fn first_not_served(
        &self,
        name: &str,
        wanted: &[(String, Digest)],
    ) -> Result<Option<(String, Digest)>, PulpError> {
        for (reference, digest) in wanted {
            let found = self
                .registry
                .manifest(&self.client, name, reference)
                .await?;
            if found != Some(digest.to_string()) {
                return Ok(Some((reference.clone(), *digest)));
            }
        }
        Ok(None)
    }
}
