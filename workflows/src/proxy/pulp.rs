//! A Pulp 3: it is told to sync from here, and gives out what it has by the names that are published here.
//!
//! ```text
//! begin:  what is gone goes there -> for each repository: robot of ours, remote, repository, sync
//! ask:    have all syncs ended? -> names that it has no more go -> each name gives out the newest version
//! ```
//!
//! What its tasks have done is seen at the things themselves, and its tasks are found again by the key of the step: a server that is
//! killed goes on with them. Pulp syncs by tag: what no tag leads to does not come there.

mod robot;

use std::collections::HashMap;

use super::{Begun, Brought, End, Failure, Progress, Trouble};
use crate::outbound::{Outbound, OutboundUrl};
use crate::services::Services;
use crate::sync_proxy::{Looked, SyncProxy};
use engine::step::Context;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use storage::catalog::smart_proxies::contents::{Place, Wanted};
use storage::catalog::smart_proxies::{Login, SmartProxy};
use storage::catalog::{
    CatalogError, OrganizationId, ProductId, environments, instance, products, settings,
};
use storage::content::pulp::syncing::{self, Mirrored, Source, State, SyncingPulp, Task};
use storage::content::pulp::{self, PulpError};
use uuid::Uuid;

use robot::Robot;

/// What Pulp is asked with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// What its tasks are found by.
    key: Uuid,
    /// What is being synced.
    syncs: Vec<Sync>,
    /// What has come to its end before.
    ended: Vec<End>,
}

/// A repository that is being synced.
#[derive(Debug, Serialize, Deserialize)]
struct Sync {
    place: Place,
    product: ProductId,
    /// The paths at which it is given out.
    names: Vec<String>,
    /// Pulp's repository, by its href.
    repository: String,
    /// Pulp's task, by its href.
    task: String,
}

/// What all repositories of a sync share.
struct Work<'a> {
    services: &'a Services,
    proxy: &'a SmartProxy,
    pulp: SyncingPulp,
    /// Where Pulp finds us.
    here: String,
}

/// What repository and remote are called there, and what all of it is labelled with.
struct Named {
    name: String,
    label: String,
}

impl Named {
    fn as_mirrored(&self) -> Mirrored<'_> {
        Mirrored {
            name: &self.name,
            label: &self.label,
        }
    }
}

/// Removes what is gone, and begins to sync the others.
pub(crate) async fn begin(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    looked: &Looked,
) -> Result<Begun<Ticket>, Trouble> {
    let (work, owner) = Work::new(cx, proxy).await?;
    let mut ended = Vec::new();
    for place in &looked.gone {
        ended.push(End::of(*place, work.remove(&named(owner, *place)).await)?);
    }
    let key = key(cx, looked);
    let tasks = work.pulp.tasks(key).await;
    let tasks = tasks.or_else(|error| failure(proxy, error).all())?;
    let mut robots = HashMap::new();
    let mut syncs = Vec::new();
    for wanted in &looked.wanted {
        let begun = work.begin(wanted, owner, (key, &tasks), &mut robots).await;
        match begun {
            Ok(sync) => syncs.push(sync),
            Err(failure) => ended.push(End::of(wanted.place, Err(failure))?),
        }
    }
    if syncs.is_empty() {
        return Ok(Begun::Done(Brought {
            ended,
            ..Brought::default()
        }));
    }
    Ok(Begun::Ticket(Ticket { key, syncs, ended }))
}

/// Asks how far Pulp's tasks are; once they have ended, what they have brought is given out.
pub(crate) async fn ask(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    ticket: &Ticket,
) -> Result<Option<Brought>, Trouble> {
    let (work, owner) = Work::new(cx, proxy).await?;
    let tasks = work.pulp.tasks(ticket.key).await;
    let tasks = tasks.or_else(|error| failure(proxy, error).all())?;
    let tasks: HashMap<&str, &Task> = tasks.iter().map(|it| (it.href.as_str(), it)).collect();
    let of = |sync: &Sync| tasks.get(sync.task.as_str()).copied();
    let is_open = ticket
        .syncs
        .iter()
        .filter_map(of)
        .any(|it| it.state == State::Open);
    let blobs = ticket.syncs.iter().filter_map(of).map(|it| it.blobs).sum();
    if is_open {
        let progress = Progress {
            blobs_done: blobs,
            ..Progress::default()
        };
        cx.services.progresses.note(proxy.id, progress);
        return Ok(None);
    }
    cx.services.progresses.end(proxy.id);
    let mut ended = ticket.ended.clone();
    let mut done = Vec::new();
    for sync in &ticket.syncs {
        match of(sync).map(|task| &task.state) {
            Some(State::Done | State::Open) => done.push(sync),
            Some(State::Failed(why)) => {
                let why = Failure::One(work.why(why));
                ended.push(End::of(sync.place, Err(why))?);
            }
            None => {
                let why = "Pulp does not know its task any more; the next sync begins anew";
                ended.push(End::of(sync.place, Err(Failure::One(why.to_owned())))?);
            }
        }
    }
    // Names that went from one repository to another are free before that takes them.
    for sync in &done {
        let named = named(owner, sync.place);
        let freed = work.stop_serving(&named, &sync.names).await;
        if let Err(failure) = freed {
            ended.push(End::of(sync.place, Err(failure))?);
        }
    }
    for sync in &done {
        if ended.iter().all(|end| end.place != sync.place) {
            let served = work.serve(&named(owner, sync.place), sync).await;
            ended.push(End::of(sync.place, served)?);
        }
    }
    Ok(Some(Brought {
        ended,
        blobs,
        ..Brought::default()
    }))
}

/// Asks Pulp whether it is there, for its gate.
pub(crate) async fn probe(outbound: &Outbound, proxy: &SmartProxy) -> Result<(), Trouble> {
    let (http, url) = way(outbound, proxy)?;
    let answered = syncing::answers(&http, url.as_url()).await;
    answered.or_else(|error| failure(proxy, error).all())
}

impl<'a> Work<'a> {
    async fn new(
        cx: &'a Context<SyncProxy>,
        proxy: &'a SmartProxy,
    ) -> Result<(Self, Uuid), Trouble> {
        let services = &*cx.services;
        let (http, url) = way(&services.outbound, proxy)?;
        let login = match &proxy.login {
            Login::User { username, password } => pulp::Login::Password {
                username: username.clone(),
                password: password.clone().into(),
            },
            Login::Nobody | Login::Secret(_) => {
                return Err(Trouble::Refused(
                    "Pulp lets nobody in without a login; give the smart proxy credentials"
                        .to_owned(),
                ));
            }
        };
        let here = services.public_url.clone().ok_or_else(|| {
            Trouble::Refused(
                "this server does not know by which URL Pulp reaches it; set public_url".to_owned(),
            )
        })?;
        let owner = {
            let mut tx = services.database.read().await?;
            instance::id(&mut tx).await?.unwrap_or_default()
        };
        let work = Self {
            services,
            proxy,
            pulp: SyncingPulp::new(http, url.as_url(), login, owner),
            here,
        };
        Ok((work, owner))
    }

    async fn begin(
        &self,
        wanted: &Wanted,
        owner: Uuid,
        (key, tasks): (Uuid, &[Task]),
        robots: &mut HashMap<OrganizationId, Robot>,
    ) -> Result<Sync, Failure> {
        let named = named(owner, wanted.place);
        let organization = &wanted.organization;
        let robot = if let Some(robot) = robots.get(&organization.id) {
            robot.clone()
        } else {
            let robot = robot::of(self.services, self.proxy, organization).await?;
            robots.insert(organization.id, robot.clone());
            robot
        };
        let source = Source {
            url: &self.here,
            name: wanted.title(),
            username: &robot.login,
            password: &robot.token,
            key: &robot.key,
            at_once: self.proxy.concurrency,
        };
        let repository = self.pulp.repository(named.as_mirrored()).await;
        let repository = repository.map_err(|error| failure(self.proxy, error))?;
        // Of a sync that was cancelled here, for example.
        let cancelled = self.pulp.cancel_syncs(&repository, tasks).await;
        cancelled.map_err(|error| failure(self.proxy, error))?;
        let remote = self.pulp.remote(named.as_mirrored(), &source).await;
        let remote = remote.map_err(|error| failure(self.proxy, error))?;
        let is_under_way =
            |task: &&Task| task.is_on(&repository) && !matches!(task.state, State::Failed(_));
        let task = if let Some(task) = tasks.iter().find(is_under_way) {
            task.href.clone()
        } else {
            let begun = self.pulp.sync(&repository, &remote, key).await;
            begun.map_err(|error| failure(self.proxy, error))?
        };
        Ok(Sync {
            place: wanted.place,
            product: wanted.product.id,
            names: wanted.names.clone(),
            repository,
            task,
        })
    }

    /// Gives the newest version out by all names.
    async fn serve(&self, named: &Named, sync: &Sync) -> Result<(), Failure> {
        let told = |error| failure(self.proxy, error);
        let is_private = !self.is_open(sync).await?;
        let version = self.pulp.newest_version(&sync.repository).await;
        let version = version.map_err(told)?;
        let served = self.pulp.served(&named.label).await.map_err(told)?;
        let mut failed = None;
        for name in &sync.names {
            let of = named.as_mirrored();
            let given = self.pulp.serve(of, name, &version, is_private, &served);
            match given.await.map_err(told) {
                Ok(()) => {}
                Err(Failure::One(why)) => {
                    failed.get_or_insert(format!(
                        "Pulp does not give it out as `{name}`: {why}; no path there may begin with another one"
                    ));
                }
                Err(all @ Failure::All(_)) => return Err(all),
            }
        }
        failed.map_or(Ok(()), |why| Err(Failure::One(why)))
    }

    /// Everybody may pull it here, too.
    async fn is_open(&self, sync: &Sync) -> Result<bool, CatalogError> {
        let mut tx = self.services.database.read().await?;
        let product = products::get(&mut tx, sync.product).await?;
        let environment = environments::get(&mut tx, sync.place.environment).await?;
        let open = product.is_some_and(|it| it.anonymous_pull)
            || environment.is_some_and(|it| it.anonymous_pull);
        Ok(open && settings::anonymous_pull(&mut tx).await?)
    }

    /// Gives it out no more by other names than these.
    async fn stop_serving(&self, named: &Named, except: &[String]) -> Result<(), Failure> {
        let told = |error| failure(self.proxy, error);
        for served in self.pulp.served(&named.label).await.map_err(told)? {
            if !except.contains(&served.path) {
                self.pulp.stop_serving(&served).await.map_err(told)?;
            }
        }
        Ok(())
    }

    async fn remove(&self, named: &Named) -> Result<(), Failure> {
        self.stop_serving(named, &[]).await?;
        let removed = self.pulp.remove(named.as_mirrored()).await;
        removed.map_err(|error| failure(self.proxy, error))
    }

    /// Why a sync failed, with what to do where that is known.
    fn why(&self, told: &str) -> String {
        let here = &self.here;
        if told.contains("Cannot connect to host") {
            return format!(
                "Pulp does not reach this server at {here} ({told}); set public_url to a URL that it reaches"
            );
        }
        format!("Pulp's sync from {here}: {told}")
    }
}

fn named(owner: Uuid, place: Place) -> Named {
    let Place {
        environment,
        repository,
    } = place;
    Named {
        name: format!("wharfinger-proxy/{owner}/{repository}/{environment}"),
        label: format!("{repository}-{environment}"),
    }
}

/// What the tasks are found by that bring this. Another attempt that finds more to bring begins others: what those before have brought
/// may be older.
fn key(cx: &Context<SyncProxy>, looked: &Looked) -> Uuid {
    let wanted = looked.wanted.iter();
    let versions = wanted.map(|it| (it.place.repository.0, it.place.environment.0, it.version));
    let versions: Vec<String> = versions.map(|it| format!("{it:?}")).collect();
    Uuid::new_v5(&cx.idempotency_key(), versions.concat().as_bytes())
}

/// How Pulp is called, and where.
fn way(outbound: &Outbound, proxy: &SmartProxy) -> Result<(reqwest::Client, OutboundUrl), Trouble> {
    let url = OutboundUrl::parse(&proxy.url);
    let url = url.map_err(|why| Trouble::Refused(why.to_string()))?;
    let http = outbound.client_of(&url);
    let http = http.map_err(|why| Trouble::Refused(why.to_string()))?;
    Ok((http, url))
}

fn failure(proxy: &SmartProxy, error: PulpError) -> Failure {
    Failure::All(match error {
        PulpError::Unreachable { why, .. } => Trouble::Unreachable(why),
        PulpError::Login { status, .. } => {
            let user = match &proxy.login {
                Login::User { username, .. } => username,
                Login::Nobody | Login::Secret(_) => "nobody",
            };
            Trouble::Refused(format!(
                "Pulp refuses the login of user `{user}` ({status}); change the credentials of the smart proxy"
            ))
        }
        PulpError::Failed { status, .. }
            if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED =>
        {
            Trouble::Refused(format!("{error}; give its user the right to do that there"))
        }
        PulpError::Failed { .. } | PulpError::NotDone { .. } => Trouble::NotNow(error.to_string()),
        PulpError::Unreadable { .. } => Trouble::Refused(format!(
            "{error}; is there a Pulp 3 with its container plugin at that URL?"
        )),
        PulpError::Refused { .. }
        | PulpError::Foreign { .. }
        | PulpError::NotThere { .. }
        | PulpError::Replaced { .. }
        | PulpError::NotServed { .. }
        | PulpError::Task { .. }
        | PulpError::Tasks { .. }
        | PulpError::StillThere { .. }
        | PulpError::OtherBytes { .. }
        | PulpError::LostBlob { .. } => return Failure::One(error.to_string()),
    })
}
