//! Fetching what is wanted: first what nothing hangs on (blobs, then the manifests they make, then indexes), at last the tags, in one
//! switch. What is here is not fetched again.

mod blob;
mod manifests;

use storage::catalog::CatalogError;
use storage::catalog::smart_proxies::contents::{Place, Wanted};
use storage::content::ContentError;
use storage::mirror::{self, Applied};
use storage::{DatabaseError, catalog::DestinationId};

use super::jobs::{Known, Mirror, NotNow};
use super::tidy;
use super::upstream::Unreachable;
use super::wire::{Lead, Problem, Sync, Told};
use crate::Node;
use crate::proxy::{End, Pace};

/// So often it is begun anew because what leads to it was published away meanwhile.
const MOVED_AT_MOST: u32 = 5;

/// What all fetches of a sync share.
struct Work<'a> {
    mirror: &'a Mirror,
    known: &'a Known,
    pace: Pace,
    blobs_at_once: usize,
}

/// Why a repository is not as it should be.
struct Failed {
    problem: Problem,
    /// Nothing else will fare better: the main server is down, or the disk is full.
    concerns_all: bool,
}

/// Brings all that the sync names, and removes what it says is gone. True: something went, whose bytes can be collected.
pub(super) async fn bring_all(
    mirror: &Mirror,
    node: &Node,
    sync: &Sync,
    known: &Known,
) -> Result<bool, Problem> {
    // What is new here may be open to everybody, and the proxy may have moved to another URL.
    let told = mirror.ask().await?;
    let work = Work {
        mirror,
        known,
        pace: Pace::of(sync.bytes_per_second),
        blobs_at_once: usize::try_from(sync.concurrency.max(1)).unwrap_or(1),
    };
    let mut removed = drop_unassigned(mirror, &told).await?;
    if sync.whole {
        for place in work.unnamed(sync).await? {
            removed |= work.remove(place).await.map_err(|failed| failed.problem)?;
        }
    }
    for place in &sync.gone {
        removed |= work
            .end(*place, work.remove(*place).await)?
            .unwrap_or(false);
    }
    for wanted in &sync.wanted {
        let brought = work.bring(node, wanted).await;
        removed |= work.end(wanted.place, brought)?.unwrap_or(false);
    }
    tidy::give_up_fetches(mirror).await.map_err(NotNow::from)?;
    Ok(removed)
}

/// Holds nothing of environments that are not this proxy's any more. True: something went.
pub(super) async fn drop_unassigned(mirror: &Mirror, told: &Told) -> Result<bool, NotNow> {
    let held = {
        let mut tx = mirror.database().read().await.map_err(CatalogError::from)?;
        mirror::all(&mut tx).await?
    };
    let places = held.into_iter().map(|held| held.place);
    let strays = places.filter(|place| !told.environments.contains(&place.environment));
    let mut dropped = false;
    for place in strays {
        let at = mirror.clock().now();
        let removed = mirror
            .database()
            .transact(move |tx| Box::pin(async move { mirror::remove(tx, place, at).await }));
        dropped |= removed.await.map_err(CatalogError::from)??;
    }
    Ok(dropped)
}

impl Work<'_> {
    /// What is held and the sync does not speak of.
    async fn unnamed(&self, sync: &Sync) -> Result<Vec<Place>, NotNow> {
        let database = self.mirror.database();
        let mut tx = database.read().await.map_err(CatalogError::from)?;
        let held = mirror::all(&mut tx).await?;
        let places = held.into_iter().map(|held| held.place);
        let is_named = |place: &Place| sync.wanted.iter().any(|wanted| wanted.place == *place);
        Ok(places.filter(|place| !is_named(place)).collect())
    }

    /// Notes what became of it.
    fn end<T>(&self, place: Place, ended: Result<T, Failed>) -> Result<Option<T>, Problem> {
        let (ended, error) = match ended {
            Ok(done) => (Some(done), None),
            Err(failed) if failed.concerns_all => return Err(failed.problem),
            Err(failed) => (None, Some(failed.problem.message)),
        };
        self.known
            .change(|state| state.ends.push(End { place, error }));
        Ok(ended)
    }

    /// Holds it no more, if the main server says so, too.
    async fn remove(&self, place: Place) -> Result<bool, Failed> {
        if self.mirror.upstream().lead(place, None).await?.is_some() {
            return Ok(false); // it has come back meanwhile: the next sync brings it
        }
        let at = self.mirror.clock().now();
        let removed = self
            .mirror
            .database()
            .transact(move |tx| Box::pin(async move { mirror::remove(tx, place, at).await }));
        Ok(removed.await??)
    }

    /// Brings it; true: something of what it was is gone.
    async fn bring(&self, node: &Node, wanted: &Wanted) -> Result<bool, Failed> {
        let place = wanted.place;
        for _ in 0..MOVED_AT_MOST {
            let (is_held, held, is_going) = {
                let mut tx = self.mirror.database().read().await?;
                (
                    mirror::is_held(&mut tx, wanted).await?,
                    mirror::held(&mut tx, place).await?,
                    mirror::is_being_removed(&mut tx, place.repository).await?,
                )
            };
            if is_held {
                return Ok(false);
            }
            if is_going {
                tidy::collect(node).await;
            }
            let lead = self.mirror.upstream().lead(place, held.as_ref()).await?;
            let Some(lead) = lead else {
                return self.remove(place).await;
            };
            if let Some(removed) = self.follow(lead).await? {
                return Ok(removed && held.is_some());
            }
        }
        Err(Failed {
            problem: Problem {
                message: "it was published anew again and again while it was fetched".to_owned(),
                transient: true,
            },
            concerns_all: false,
        })
    }

    /// Fetches what leads there, and switches; none: the way does not begin where this proxy is.
    async fn follow(&self, lead: Lead) -> Result<Option<bool>, Failed> {
        let (wanted, at) = (lead.wanted.clone(), self.mirror.clock().now());
        let prepared = self
            .mirror
            .database()
            .transact(move |tx| Box::pin(async move { mirror::prepare(tx, &wanted, at).await }));
        prepared.await??;
        let to = DestinationId::from(lead.wanted.place.repository);
        self.manifests(to, &lead.difference.changes.manifests_added)
            .await?;
        let removed =
            lead.difference.since == 0 || !lead.difference.changes.manifests_removed.is_empty();
        let (told, at) = (self.mirror.told(), self.mirror.clock().now());
        let applied = self.mirror.database().transact(move |tx| {
            Box::pin(async move {
                let applied = mirror::apply(tx, &lead.wanted, &lead.difference, at).await?;
                if let Some(told) = told {
                    mirror::set_open(tx, &told.open_products, &told.open_environments).await?;
                }
                Ok::<_, CatalogError>(applied)
            })
        });
        Ok(match applied.await?? {
            Applied::Shown => Some(removed),
            Applied::Moved => None,
        })
    }
}

impl Failed {
    fn of(message: String, transient: bool, concerns_all: bool) -> Self {
        let problem = Problem { message, transient };
        Self {
            problem,
            concerns_all,
        }
    }
}

impl From<Unreachable> for Failed {
    fn from(error: Unreachable) -> Self {
        let concerns_all = match &error {
            Unreachable::Silent { .. }
            | Unreachable::Stranger { .. }
            | Unreachable::NotNow { .. } => true,
            Unreachable::Gone { .. } | Unreachable::Unreadable { .. } => false,
        };
        Self::of(error.to_string(), error.is_transient(), concerns_all)
    }
}

impl From<CatalogError> for Failed {
    fn from(error: CatalogError) -> Self {
        let concerns_all = error.is_full() || error.is_transient();
        Self::of(
            told(&error, error.is_full()),
            error.is_transient(),
            concerns_all,
        )
    }
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        CatalogError::from(error).into()
    }
}

impl From<ContentError> for Failed {
    fn from(error: ContentError) -> Self {
        let concerns_all = error.is_full() || error.is_transient();
        Self::of(
            told(&error, error.is_full()),
            error.is_transient(),
            concerns_all,
        )
    }
}

impl From<NotNow> for Failed {
    fn from(error: NotNow) -> Self {
        Self {
            problem: error.into(),
            concerns_all: true,
        }
    }
}

fn told(error: &dyn std::error::Error, is_full: bool) -> String {
    if is_full {
        format!("the disk of the smart proxy is full ({error}); free some space there")
    } else {
        error.to_string()
    }
}
