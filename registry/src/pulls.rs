//! When tags and manifests were pulled last: noted in memory, written down once a minute, never in the way of a pull.
//!
//! A crash loses the pulls of the last minute. Rules of retention count in hours and days, so that nothing depends on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::clock::Timestamp;
use storage::catalog::touched::{self, Touched};
use storage::catalog::{CatalogError, DestinationId};
use storage::{Database, Digest, Tag};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;

/// So often they are written down.
const WINDOW: Duration = Duration::from_mins(1);
/// More different things are hardly pulled within a window; past it they are forgotten rather than heaped up.
const MOST_UNWRITTEN: usize = 100_000;
/// So many are written in one transaction, so that pushes come between.
const BATCH: usize = 500;

type Place = (DestinationId, Touched);

/// What was pulled and is not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<Place, Timestamp>>);

impl Pulls {
    /// This was pulled now.
    pub(crate) fn note(&self, from: DestinationId, what: Touched, at: Timestamp) {
        let mut unwritten = self.unwritten();
        let place = (from, what);
        if unwritten.len() < MOST_UNWRITTEN || unwritten.contains_key(&place) {
            unwritten.insert(place, at);
        }
    }

    /// When this tag was pulled last, by its name or by the digest it points to, as far as that is not written down yet.
    pub(crate) fn last(
        &self,
        from: DestinationId,
        tag: &Tag,
        digest: &Digest,
    ) -> Option<Timestamp> {
        let unwritten = self.unwritten();
        let by_tag = unwritten.get(&(from, Touched::Tag(tag.clone())));
        let by_digest = unwritten.get(&(from, Touched::Manifest(*digest)));
        by_tag.max(by_digest).copied()
    }

    /// Writes down what is not yet.
    pub(crate) async fn write(&self, database: &Database) -> Result<(), CatalogError> {
        let taken: Vec<(Place, Timestamp)> = {
            let unwritten = self.unwritten();
            unwritten
                .iter()
                .map(|(place, at)| (place.clone(), *at))
                .collect()
        };
        for batch in taken.chunks(BATCH) {
            let pulls: Vec<_> = batch
                .iter()
                .map(|((from, what), at)| (*from, what.clone(), *at))
                .collect();
            let written = database.transact::<(), CatalogError>(move |tx| {
                Box::pin(async move { touched::pulled(tx, &pulls).await })
            });
            written.await??;
            let mut unwritten = self.unwritten();
            for (place, at) in batch {
                if unwritten.get(place) == Some(at) {
                    unwritten.remove(place);
                }
            }
        }
        Ok(())
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Place, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes pulls down every minute until `stop` fires; those of the last minute are still unwritten then.
pub(crate) async fn keep_writing(app: Arc<App>, stop: CancellationToken) {
    let work = async {
        loop {
            tokio::time::sleep(WINDOW).await;
            if let Err(error) = app.pulls.write(&app.services.database).await {
                warn!(%error, "when images were pulled is not written down yet; the next minute tries again");
            }
        }
    };
    stop.run_until_cancelled(work).await;
}
