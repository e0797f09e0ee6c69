//! Into the repository with versions: a task of Pulp, and a version that is known to have the bytes.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Asked, CopyTicket, InPulp, TASKS_AT_MOST};
use crate::catalog::{DestinationId, pushed};
use crate::content::pulp::rows::Known;
use crate::content::pulp::tasks::TaskState;
use crate::content::pulp::{Pulp, PulpError, repositories, rows};
use crate::content::{Content, ContentError, push_repository, versions};
use crate::{Digest, Tx};

impl Content {
    /// Begins to bring what was found, and what is pending beside it, into the repository with versions.
    pub async fn begin_copy(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        found: InPulp,
        tagged: Option<&Digest>,
        asked: Asked,
    ) -> Result<CopyTicket, ContentError> {
        let pending = self.pending_units(pulp, destination, tagged).await?;
        let (taken_along, mut units) = pending;
        units.extend(found.units);
        let known = found.repository.clone();
        let mut repository = match found.repository {
            Some(known) if !units.is_empty() => known,
            Some(_) => pulp.repository(destination).await?,
            None => pulp.create_repository(destination).await?,
        };
        if units.is_empty() {
            self.is_in(destination, &repository).await?;
            return Ok(CopyTicket {
                task: None,
                repository,
                taken_along,
                units,
                correlation: asked.key,
            });
        }
        // Of this very work: what is pending by now may be more than it was in an attempt before.
        units.sort();
        let work = format!("{repository} {}", units.join(" "));
        let correlation = Uuid::new_v5(&asked.key, work.as_bytes());
        let before = if asked.again {
            pulp.task_named(correlation, "copy").await?.open
        } else {
            None
        };
        let task = match before {
            Some(task) => task,
            None => match pulp.add(&repository, &units, correlation).await {
                // Somebody has deleted it since it was looked up.
                Err(error) if error.is_not_found() => {
                    repository = pulp.repository(destination).await?;
                    pulp.add(&repository, &units, correlation).await?
                }
                added => added?,
            },
        };
        if known.as_ref() != Some(&repository) {
            self.is_in(destination, &repository).await?;
        }
        Ok(CopyTicket {
            task: Some(task),
            repository,
            taken_along,
            units,
            correlation,
        })
    }

    pub(super) async fn is_in(
        &self,
        destination: DestinationId,
        repository: &str,
    ) -> Result<(), ContentError> {
        let repository = repository.to_owned();
        self.0
            .database
            .transact(move |tx| {
                Box::pin(async move { rows::is_in(tx, destination, &repository).await })
            })
            .await?
    }

    /// What is pending and was sent to Pulp, beside what was tagged. What is not there any more is left out, and sent again by a
    /// later push.
    async fn pending_units(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        tagged: Option<&Digest>,
    ) -> Result<(Vec<Digest>, Vec<String>), ContentError> {
        let pending = {
            let mut tx = self.0.database.look_up().await?;
            let pending = pushed::pending(&mut tx, destination).await?;
            let not_there = push_repository::without(&mut tx, destination, &pending).await?;
            let there = |it: &Digest| !not_there.contains(it) && Some(it) != tagged;
            pending.into_iter().filter(there).collect::<Vec<_>>()
        };
        match self.units(pulp, destination, &pending).await {
            Ok(units) => Ok((pending, units)),
            Err(ContentError::Absent { .. }) => {
                let (mut kept, mut units) = (Vec::new(), Vec::new());
                for manifest in pending {
                    if let Ok(found) = self.units(pulp, destination, &[manifest]).await {
                        kept.push(manifest);
                        units.extend(found);
                    }
                }
                Ok((kept, units))
            }
            Err(error) => Err(error),
        }
    }

    /// The number of the version that the copy has made, once it is done and has the bytes of all blobs.
    pub async fn copied(
        &self,
        pulp: &Pulp,
        destination: DestinationId,
        ticket: &CopyTicket,
        brought: &[Digest],
    ) -> Result<Option<i64>, ContentError> {
        let Some(made) = pulp.made_by(ticket).await? else {
            return Ok(None);
        };
        let mut version = match made.into_iter().find(|made| made.contains("/versions/")) {
            Some(version) => version,
            // Nothing was new, or Pulp has forgotten the task.
            None => pulp.latest_version(&ticket.repository).await?,
        };
        let blobs = {
            let mut tx = self.0.database.look_up().await?;
            pulp.known_with(&mut tx, destination, &ticket.repository)
                .await?;
            let all: BTreeSet<Digest> =
                brought.iter().chain(&ticket.taken_along).copied().collect();
            let all = versions::with_children(&mut tx, destination, all).await?;
            rows::blobs_to_send(&mut tx, destination, &all, true).await?
        };
        let blobs: Vec<Digest> = blobs.into_iter().map(|(blob, _)| blob).collect();
        let missing = match pulp.first_without_bytes(&version, &blobs).await {
            // It went while this push was paused and very many others were made. A later one has all of it.
            Err(error) if error.is_bad_request() || error.is_not_found() => {
                version = pulp.latest_version(&ticket.repository).await?;
                pulp.first_without_bytes(&version, &blobs).await?
            }
            missing => missing?,
        };
        if let Some(digest) = missing {
            if pulp.version_names(&version, &digest).await? {
                return Err(PulpError::OtherBytes { digest }.into());
            }
            return Err(ContentError::Absent {
                place: format!("{version} in Pulp"),
                destination,
                what: format!("blob {digest}"),
            });
        }
        self.0
            .database
            .transact(move |tx| Box::pin(async move { rows::keep(tx, destination, &blobs).await }))
            .await??;
        Ok(Some(repositories::number(&version)?))
    }
}

impl Pulp {
    /// What is known of the destination; an error if another repository has taken the place of this one.
    pub(super) async fn known_with(
        &self,
        tx: &mut Tx,
        destination: DestinationId,
        repository: &str,
    ) -> Result<Known, ContentError> {
        let known = rows::known(tx, destination).await?;
        if known.repository.as_deref() == Some(repository) {
            return Ok(known);
        }
        let name = self.names.repository(destination);
        Err(PulpError::Replaced { name }.into())
    }

    /// What a copy has made; none: it goes on. A task that has failed is begun again, some times: that of a worker that was killed
    /// fails without a reason of its own. So is one that Pulp does not know any more: to add what is there changes nothing.
    async fn made_by(&self, ticket: &CopyTicket) -> Result<Option<Vec<String>>, PulpError> {
        let Some(task) = &ticket.task else {
            return Ok(Some(Vec::new()));
        };
        let mut state = self.task(task, "copy").await;
        if let Err(PulpError::Task { .. }) | Ok(TaskState::Purged) = state {
            let named = self.task_named(ticket.correlation, "copy").await?;
            state = match named.open {
                Some(newer) => self.task(&newer, "copy").await,
                None if named.known < TASKS_AT_MOST => {
                    let (repository, units) = (&ticket.repository, &ticket.units);
                    self.add(repository, units, ticket.correlation).await?;
                    Ok(TaskState::Open)
                }
                None => state.map_err(PulpError::for_good),
            };
        }
        Ok(match state? {
            TaskState::Open => None,
            TaskState::Completed(made) => Some(made),
            TaskState::Purged => Some(Vec::new()),
        })
    }
}
