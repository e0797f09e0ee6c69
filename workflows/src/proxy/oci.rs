//! Any registry: images are pushed to it by the distribution protocol, as a client does.
//!
//! ```text
//! for each name:  tags that differ -> manifests that are missing -> their blobs | manifests | tags | tags that are to go
//! ```
//!
//! What is there is found by HEAD and not sent again, so that a sync that was interrupted goes on where it was. A tag comes after all
//! that it needs. Of what is there only those tags are removed that a sync has put there ([`storage::catalog::smart_proxies::tags`]).

mod auth;
mod blobs;
mod challenge;
mod manifests;
mod registry;
mod removal;
mod repository;
mod tally;

use std::sync::{Mutex, PoisonError};

use super::{Brought, End, Failure, Pace, Trouble};
use crate::outbound::{Outbound, innermost};
use crate::services::Services;
use crate::sync_proxy::{Looked, SyncProxy};
use engine::step::Context;
use reqwest::{Method, StatusCode};
use storage::catalog::DestinationId;
use storage::catalog::smart_proxies::contents::{self, Place, Wanted};
use storage::catalog::smart_proxies::{SmartProxy, tags};
use storage::catalog::versions::{self, Difference};

use registry::Registry;
use repository::Repository;
use tally::Tally;

/// So many places are looked at once more of which tags could not be removed.
const LEFT_AT_MOST: u32 = 500;

/// What all repositories of a sync share.
struct Work<'a> {
    services: &'a Services,
    proxy: &'a SmartProxy,
    registry: Registry<'a>,
    pace: Pace,
    at_once: usize,
    /// What could not be removed before is tried once more.
    again: bool,
    tally: Tally,
    warnings: Mutex<Vec<String>>,
}

/// Pushes what is missing, and removes what shall not be there.
pub(crate) async fn bring(
    cx: &Context<SyncProxy>,
    sync: &SyncProxy,
    proxy: &SmartProxy,
    looked: &Looked,
) -> Result<Brought, Trouble> {
    let services = &*cx.services;
    let work = Work {
        services,
        proxy,
        registry: Registry::new(&services.outbound, proxy)?,
        pace: Pace::of(proxy.bytes_per_second),
        at_once: usize::try_from(proxy.concurrency.max(1)).unwrap_or(1),
        again: sync.all,
        tally: Tally::new(proxy.id, services.progresses.clone()),
        warnings: Mutex::default(),
    };
    let mut ended = Vec::new();
    let all = work.bring_all(looked, &mut ended);
    // Of a plan that is cancelled it is known what was done until then.
    let done = cx.cancelled().run_until_cancelled(all).await;
    let (blobs, bytes) = work.tally.end();
    done.transpose()?;
    Ok(Brought {
        ended,
        blobs,
        bytes,
        warnings: work
            .warnings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
        ..Brought::default()
    })
}

/// Asks the registry whether it is there, for its gate.
pub(crate) async fn probe(outbound: &Outbound, proxy: &SmartProxy) -> Result<(), Trouble> {
    let url = Registry::new(outbound, proxy)?.root();
    let asked = outbound.request_to(Method::GET, url);
    let asked = asked.map_err(|why| Trouble::Refused(why.to_string()))?;
    let answer = asked.timeout(registry::ANSWERS_WITHIN).send().await;
    let answer = answer.map_err(|error| Trouble::Unreachable(innermost(error)))?;
    match answer.status() {
        StatusCode::OK | StatusCode::UNAUTHORIZED => Ok(()),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Trouble::NotNow(format!("it answers {status}")))
        }
        status => Err(Trouble::Refused(format!(
            "it answers {status} to GET /v2/, as no registry does; check its URL"
        ))),
    }
}

impl Work<'_> {
    async fn bring_all(&self, looked: &Looked, ended: &mut Vec<End>) -> Result<(), Trouble> {
        for wanted in &looked.wanted {
            match self.bring(wanted).await {
                Ok(false) => {} // the next sync brings it
                Ok(true) => ended.push(End::of(wanted.place, Ok(()))?),
                Err(failure) => ended.push(End::of(wanted.place, Err(failure))?),
            }
        }
        for place in &looked.gone {
            ended.push(End::of(*place, self.remove(*place, &[]).await)?);
        }
        if self.again {
            for place in self.left(looked).await? {
                End::of(place, self.remove(place, &[]).await)?;
            }
        }
        Ok(())
    }

    /// Brings it under all its names, and removes it under those that it has no more. False: it is published anew, and the next sync
    /// brings that.
    async fn bring(&self, wanted: &Wanted) -> Result<bool, Failure> {
        let there = {
            let mut tx = self.services.database.read().await?;
            contents::there(&mut tx, self.proxy.id, wanted.place).await?
        };
        let mut failed = None;
        for name in &wanted.names {
            let since = there
                .as_ref()
                .filter(|(_, names)| names.contains(name))
                .map_or(0, |(version, _)| *version);
            let Some(lead) = self.lead(wanted, since).await? else {
                return Ok(false);
            };
            let repository = Repository::new(self, wanted.place, name);
            match repository.bring(wanted.version, &lead.changes).await {
                Ok(()) => {}
                Err(Failure::One(why)) => failed = failed.or(Some(why)),
                Err(all @ Failure::All(_)) => return Err(all),
            }
        }
        self.remove(wanted.place, &wanted.names).await?;
        failed.map_or(Ok(true), |why| Err(Failure::One(why)))
    }

    /// What leads to what is wanted; none: that version is gone.
    async fn lead(&self, wanted: &Wanted, since: i64) -> Result<Option<Difference>, Failure> {
        let mut tx = self.services.database.read().await?;
        let repository = wanted.place.repository;
        Ok(versions::difference(&mut tx, repository, since, wanted.version).await?)
    }

    /// Removes what was put there of that place under other names than these.
    async fn remove(&self, place: Place, except: &[String]) -> Result<(), Failure> {
        let names = {
            let mut tx = self.services.database.read().await?;
            tags::names(&mut tx, self.proxy.id, place).await?
        };
        for name in names.iter().filter(|name| !except.contains(name)) {
            Repository::new(self, place, name).remove(None).await?;
        }
        Ok(())
    }

    /// Places of which tags have stayed there, besides those that the sync looks at anyway.
    async fn left(&self, looked: &Looked) -> Result<Vec<Place>, Trouble> {
        let mut tx = self.services.database.read().await?;
        let mut left = tags::left(&mut tx, self.proxy.id, LEFT_AT_MOST).await?;
        left.retain(|place| looked.wanted.iter().all(|wanted| wanted.place != *place));
        Ok(left)
    }

    fn warn(&self, text: String) {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// Where the repository's blobs and manifests are linked here.
fn destination(place: Place) -> DestinationId {
    place.repository.into()
}
