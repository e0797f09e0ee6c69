//! What the clients of pushes were told: kept beside their tasks, and never in the way of an answer.
//!
//! Answers are written a moment later, all of that moment in one transaction. A crash loses those of the last moment: their
//! tasks show none, as if the client had hung up. Nothing else depends on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::journal::PlanId;
use storage::Database;
use storage::catalog::CatalogError;
use storage::catalog::answers::{self, Answered};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;

/// Those of so long are written together.
const MOMENT: Duration = Duration::from_secs(1);
/// More than were given in any moment; past it the database is broken, and answers are forgotten rather than heaped up.
const MOST_UNWRITTEN: usize = 10_000;

/// Answers that were given and are not written yet.
#[derive(Default)]
pub(crate) struct Answers {
    unwritten: Mutex<HashMap<PlanId, Answered>>,
    news: Notify,
}

impl Answers {
    /// The client that waited for this plan has this answer on its way.
    pub(crate) fn note(&self, plan: PlanId, answered: Answered) {
        let mut unwritten = self.unwritten();
        if unwritten.len() < MOST_UNWRITTEN {
            unwritten.insert(plan, answered);
        }
        drop(unwritten);
        self.news.notify_one();
    }

    /// The last answers about these plans, written or not.
    pub(crate) async fn about(
        &self,
        database: &Database,
        plans: &[PlanId],
    ) -> Result<HashMap<PlanId, Answered>, CatalogError> {
        // Before the snapshot of the database is taken: what has left here by then is in it.
        let unwritten: Vec<(PlanId, Answered)> = {
            let held = self.unwritten();
            let known = plans.iter().filter_map(|plan| held.get_key_value(plan));
            known.map(|(plan, it)| (*plan, it.clone())).collect()
        };
        let mut all = answers::of(&mut database.read().await?, plans).await?;
        all.extend(unwritten);
        Ok(all)
    }

    /// Writes what is not written yet.
    pub(crate) async fn write(&self, database: &Database) -> Result<(), CatalogError> {
        let taken = self.unwritten().clone();
        if taken.is_empty() {
            return Ok(());
        }
        let written = taken.clone();
        let work = database.transact(move |tx| {
            Box::pin(async move {
                for (plan, answered) in &taken {
                    answers::keep(tx, *plan, answered).await?;
                }
                Ok::<_, CatalogError>(())
            })
        });
        work.await??;
        self.unwritten()
            .retain(|plan, answered| written.get(plan) != Some(answered));
        Ok(())
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<PlanId, Answered>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes answers down until `stop` fires; those of the last moment are still unwritten then.
pub(crate) async fn keep_writing(app: Arc<App>, stop: CancellationToken) {
    let work = async {
        loop {
            app.answers.news.notified().await;
            tokio::time::sleep(MOMENT).await;
            if let Err(error) = app.answers.write(&app.services.database).await {
                warn!(%error, "what clients were told is not written down yet; the next answer tries again");
            }
        }
    };
    stop.run_until_cancelled(work).await;
}
