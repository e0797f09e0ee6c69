//! Drills from the catalog: an administrator practises recovery.

use engine::node::{Drill, Effect};
use engine::plan::Plan;
use engine::step::BoxFuture;
use std::time::Duration;
use storage::Database;
use storage::catalog::CatalogError;
use storage::catalog::drills::{self, CrashWhen};

/// Asks the catalog before each attempt. Only a node that allows drills has one.
pub struct CatalogDrill(Database);

impl CatalogDrill {
    /// Drills from this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// Counts the drill down durably before its effect happens.
    async fn take(&self, plan: &Plan, step: &str, undo: bool) -> Option<drills::Drill> {
        let (workflow, step) = (plan.workflow().to_owned(), step.to_owned());
        let link = |name: &str| plan.link(name).map(ToOwned::to_owned);
        let (repository, tag) = (link("repository"), link("tag"));
        if !self.any().await {
            return None; // most attempts: one read, no write
        }
        let taken = self.0.transact::<_, CatalogError>(move |tx| {
            Box::pin(async move {
                let (repository, tag) = (repository.as_deref(), tag.as_deref());
                drills::take(tx, &workflow, &step, undo, repository, tag).await
            })
        });
        match taken.await {
            Ok(Ok(drill)) => drill,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the drills could not be read; this attempt runs without");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the drills could not be read; this attempt runs without");
                None
            }
        }
    }

    async fn any(&self) -> bool {
        let Ok(mut tx) = self.0.look_up().await else {
            return true;
        };
        drills::list(&mut tx)
            .await
            .map_or(true, |drills| !drills.is_empty())
    }
}

impl CatalogDrill {
    /// What befalls an attempt of the step, or to undo it.
    async fn befalls(&self, plan: &Plan, step: &str, undo: bool) -> Option<Effect> {
        let drill = self.take(plan, step, undo).await?;
        let what = if undo { "undoing step" } else { "step" };
        tracing::warn!(task.id = %plan.id, step, "drill {} befalls {what} {step} of task {}", drill.id, plan.id);
        Some(match (drill.effect, drill.crash_when) {
            (drills::Effect::Fail, _) => Effect::Fail,
            (drills::Effect::FailTransient, _) => Effect::FailTransient,
            (drills::Effect::Crash, CrashWhen::Before) => Effect::CrashBefore,
            (drills::Effect::Crash, CrashWhen::After) => Effect::CrashAfter,
            (drills::Effect::Stall, _) => Effect::Stall(Duration::from_secs(drill.stall_seconds)),
        })
    }
}

impl Drill for CatalogDrill {
    fn may_befall<'a>(&'a self, _: &'a Plan) -> BoxFuture<'a, bool> {
        Box::pin(self.any())
    }

    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(self.befalls(plan, step, false))
    }

    fn before_undo<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(self.befalls(plan, step, true))
    }
}
