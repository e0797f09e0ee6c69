//! What the steps share that delete rows: small transactions with long pauses, each with its part of the tally.

use super::Cleanup;
use crate::error::Failed;
use engine::journal::ENGINE;
use engine::step::Context;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::Tx;
use storage::catalog::audit::{self, NewEntry, Outcome};
use storage::catalog::tallies;
use storage::database::BoxFuture;
use storage::garbage::Rules;
use tokio::time::Instant;

/// After each transaction it waits so many times as long as that took: whoever else writes has nearly all of the time.
pub(super) const PAUSES: u32 = 9;

/// Figures by name.
pub(super) type Figures = BTreeMap<&'static str, u64>;

/// Why something was deleted, for the audit: what it was, and the setting that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audited {
    pub(super) subject: &'static str,
    pub(super) setting: &'static str,
}

/// One attempt of a step.
pub(super) struct Run<'a> {
    pub(super) cx: &'a Context<Cleanup>,
    step: &'static str,
    audited: Option<Audited>,
    pub(super) rules: Rules,
    /// What a dry run has counted.
    dry: Option<Figures>,
    is_complete: bool,
}

impl<'a> Run<'a> {
    pub(super) async fn begin(
        cx: &'a Context<Cleanup>,
        input: &Cleanup,
        step: &'static str,
        audited: Option<Audited>,
    ) -> Result<Self, Failed> {
        let now = cx.clock().now();
        let mut tx = cx.services.database.read().await?;
        Ok(Self {
            cx,
            step,
            audited,
            rules: Rules::read(&mut tx, cx.services.upload_expiry, now).await?,
            dry: input.dry_run.then(Figures::new),
            is_complete: true,
        })
    }

    pub(super) async fn read(&self) -> Result<Tx, Failed> {
        Ok(self.cx.services.database.read().await?)
    }

    pub(super) fn is_dry(&self) -> bool {
        self.dry.is_some()
    }

    /// Counts in a dry run what a run would delete.
    pub(super) fn would(&mut self, figure: &'static str, more: u64) {
        if let Some(counted) = &mut self.dry {
            *counted.entry(figure).or_default() += more;
        }
    }

    /// False once it was cancelled: then it ends here, between two transactions.
    pub(super) fn goes_on(&mut self) -> bool {
        if self.cx.cancelled().is_cancelled() {
            self.is_complete = false;
        }
        self.is_complete
    }

    /// Deletes in a transaction, and counts in it what was deleted; then lets others write.
    pub(super) async fn batch<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<(T, Figures), Failed>>
        + Send
        + 'static,
    ) -> Result<T, Failed> {
        let begun = Instant::now();
        let (plan, step, at) = (self.cx.plan(), self.step, self.cx.clock().now());
        let entry = self.audited.map(|why| NewEntry {
            actor: self.cx.actor().unwrap_or(ENGINE).to_owned(),
            action: audit::Action::Delete,
            subject: why.subject.to_owned(),
            from: None,
            result: Outcome::Done,
            task: Some(plan),
            reason: Some(format!("setting {}", why.setting)),
        });
        let done = self.cx.services.database.transact::<T, Failed>(move |tx| {
            Box::pin(async move {
                let (done, mut figures) = work(tx).await?;
                figures.retain(|_, n| *n > 0);
                if figures.is_empty() {
                    return Ok(done);
                }
                if let Some(entry) = &entry
                    && of_step(&tallies::of(tx, plan).await?, step).is_empty()
                {
                    audit::record(tx, entry, at).await?;
                }
                for (figure, n) in figures {
                    tallies::add(tx, plan, &format!("{step} {figure}"), n).await?;
                }
                Ok(done)
            })
        });
        let done = done.await??;
        let pause = (begun.elapsed() * PAUSES).max(Duration::from_millis(1));
        let cancelled = self.cx.cancelled();
        cancelled
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        Ok(done)
    }

    /// What this plan's step has deleted in all its attempts, or a dry run would have; and whether it has seen all.
    pub(super) async fn end(self) -> Result<Told, Failed> {
        if !self.is_complete {
            self.cx
                .warn("cancelled before it had seen all; the next run goes on");
        }
        let figures = if let Some(counted) = self.dry {
            let counted = counted.into_iter();
            counted.map(|(figure, n)| (figure.to_owned(), n)).collect()
        } else {
            let mut tx = self.cx.services.database.read().await?;
            of_step(&tallies::of(&mut tx, self.cx.plan()).await?, self.step)
        };
        Ok(Told {
            figures,
            complete: self.is_complete,
        })
    }
}

/// What of the tally is this step's.
fn of_step(tally: &BTreeMap<String, u64>, step: &str) -> BTreeMap<String, u64> {
    let mut figures = BTreeMap::new();
    for (name, n) in tally {
        let figure = name.strip_prefix(step).and_then(|it| it.strip_prefix(' '));
        figures.extend(figure.map(|figure| (figure.to_owned(), *n)));
    }
    figures
}

/// What a step has to tell at its end.
pub(super) struct Told {
    figures: BTreeMap<String, u64>,
    /// False: it was cancelled before it had seen all.
    pub(super) complete: bool,
}

impl Told {
    pub(super) fn figure(&self, name: &str) -> u64 {
        self.figures.get(name).copied().unwrap_or(0)
    }
}
