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

/// Brings all that the sync names, and removes what it says is gone. `removed`: something went whose bytes are still to be collected,
/// also where it fails.
pub(super) async fn bring_all(
    mirror: &Mirror,
    node: &Node,
    sync: &Sync,
    known: &Known,
    removed: &mut bool,
) -> Result<(), Problem> {
    // What is new here may be open to everybody, and the proxy may have moved to another URL.
    let told = mirror.ask().await?;
    let work = Work {
        mirror,
        known,
        pace: Pace::of(sync.bytes_per_second),
        blobs_at_once: usize::try_from(sync.concurrency.max(1)).unwrap_or(1),
    };
    *removed |= drop_unassigned(mirror, &told).await?;
    for place in &sync.gone {
        let gone = work.remove_if_gone(*place).await;
        *removed |= work.end(*place, gone)?.unwrap_or(false);
    }
    if sync.whole {
        for place in work.unnamed(sync).await? {
            let gone = work.remove_if_gone(place).await;
            *removed |= gone.map_err(|failed| failed.problem)?;
        }
    }
    // What goes makes room for what comes.
    if *removed && !sync.wanted.is_empty() {
        tidy::collect(node).await;
        *removed = false;
    }
    for wanted in &sync.wanted {
        match work.bring(node, wanted).await {
            // It is to be held no more by now: the next sync says so.
            Ok(Brought::Nothing) => {
                *removed |= mirror.remove(wanted.place).await.map_err(NotNow::from)?;
            }
            Ok(Brought::Shown { something_went }) => {
                *removed |= something_went;
                work.end(wanted.place, Ok(()))?;
            }
            Err(failed) => {
                work.end::<()>(wanted.place, Err(failed))?;
            }
        }
    }
    tidy::give_up_fetches(mirror).await.map_err(NotNow::from)?;
    Ok(())
}

/// What became of a repository that was to be brought.
enum Brought {
    /// It is shown as it was wanted.
    Shown {
        /// Something of what it was is held no more.
        something_went: bool,
    },
    /// The main server says that this proxy shall not hold it.
    Nothing,
}

/// Holds nothing of environments that are not this proxy's any more. True: something went.
pub(super) async fn drop_unassigned(mirror: &Mirror, told: &Told) -> Result<bool, NotNow> {
    let strays = {
        let mut tx = mirror.database().read().await.map_err(CatalogError::from)?;
        mirror::held_elsewhere(&mut tx, &told.environments).await?
    };
    let mut dropped = false;
    for place in strays {
        dropped |= mirror.remove(place).await?;
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

    /// Holds it no more, if the main server says so, too. What is held is told, so that the answer is short.
    async fn remove_if_gone(&self, place: Place) -> Result<bool, Failed> {
        let held = {
            let mut tx = self.mirror.database().read().await?;
            mirror::held(&mut tx, place).await?
        };
        let lead = self.mirror.upstream().lead(place, held.as_ref()).await?;
        if lead.is_some() {
            return Ok(false); // it is to be held again: a later sync brings it
        }
        Ok(self.mirror.remove(place).await?)
    }

    async fn bring(&self, node: &Node, wanted: &Wanted) -> Result<Brought, Failed> {
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
                return Ok(Brought::Shown {
                    something_went: false,
                });
            }
            if is_going {
                tidy::collect(node).await;
            }
            let lead = self.mirror.upstream().lead(place, held.as_ref()).await?;
            let Some(lead) = lead else {
                return Ok(Brought::Nothing);
            };
            if let Some(removed) = self.follow(lead).await? {
                let something_went = removed && held.is_some();
                return Ok(Brought::Shown { something_went });
            }
        }
        let message = "it was published anew again and again while it was fetched".to_owned();
        Err(Failed::of(message, false))
    }

    /// Fetches what leads there, and switches; none: the way does not begin where this proxy is, or something is in it.
    async fn follow(&self, lead: Lead) -> Result<Option<bool>, Failed> {
        let (wanted, at) = (lead.wanted.clone(), self.mirror.clock().now());
        let prepared = self
            .mirror
            .database()
            .transact(move |tx| Box::pin(async move { mirror::prepare(tx, &wanted, at).await }));
        if !prepared.await?? {
            return Ok(None); // something else had its number, and goes first
        }
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
    fn of(message: String, concerns_all: bool) -> Self {
        let problem = Problem { message };
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
        Self::of(error.to_string(), concerns_all)
    }
}

impl From<CatalogError> for Failed {
    fn from(error: CatalogError) -> Self {
        let concerns_all = error.is_full() || error.is_transient();
        Self::of(told(&error, error.is_full()), concerns_all)
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
        Self::of(told(&error, error.is_full()), concerns_all)
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
