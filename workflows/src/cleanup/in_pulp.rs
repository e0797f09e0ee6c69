//! What deleted repositories have in Pulp, one after the other: a Pulp that does not answer is asked again by the next run.

use super::run::{Figures, Run};
use crate::error::Failed;
use storage::catalog::DestinationId;
use storage::content::ContentError;
use storage::garbage::in_pulp::{self, LetGo};
use storage::garbage::{deleted, rules};

/// What one attempt could not remove.
#[derive(Default)]
pub(super) struct InPulp {
    failed: u64,
    first: Option<String>,
    /// It is not asked any more.
    answers_not: bool,
}

impl InPulp {
    /// Removes in Pulp what the destination has there. False: it stays for now.
    pub(super) async fn remove(
        &mut self,
        run: &mut Run<'_>,
        destination: DestinationId,
    ) -> Result<bool, Failed> {
        let (services, cancelled) = (&run.cx.services, run.cx.cancelled());
        let Some(pulp) = services.content.pulp() else {
            return Ok(false);
        };
        if self.answers_not {
            self.failed += 1;
            return Ok(false);
        }
        if !let_go(run, destination).await? || !call_back(run, destination).await? {
            return Ok(false);
        }
        let removed = services.content.remove_in_pulp(pulp, destination);
        match cancelled.run_until_cancelled(removed).await {
            None => return Ok(false), // whoever goes on looks at what is there
            Some(Err(error)) => {
                self.note(destination, &error);
                return Ok(false);
            }
            Some(Ok(())) => {}
        }
        let forgotten = run.batch(move |tx| {
            Box::pin(async move {
                in_pulp::forget(tx, destination).await?;
                Ok(((), Figures::new()))
            })
        });
        forgotten.await?;
        Ok(true)
    }

    fn note(&mut self, destination: DestinationId, error: &ContentError) {
        tracing::warn!(%error, destination.id = %destination, "deleted repository {destination} stays in Pulp for now: {error}");
        self.failed += 1;
        self.answers_not |=
            matches!(error, ContentError::Pulp(error) if error.is_about_pulp_itself());
        if self.first.is_none() {
            self.first = Some(format!("repository {destination}: {error}"));
        }
    }

    /// Says what could not be removed.
    pub(super) fn warn(&self, run: &Run<'_>) {
        if let Some(first) = &self.first {
            run.cx.warn(format!(
                "{} deleted repositories could not be removed in Pulp; the next run tries again; {first}",
                self.failed
            ));
        }
    }
}

/// False: another repository needs a blob of it still, or it was cancelled.
async fn let_go(run: &mut Run<'_>, destination: DestinationId) -> Result<bool, Failed> {
    let rules = run.rules;
    while run.goes_on() {
        let let_go = run.batch(move |tx| {
            Box::pin(async move {
                let let_go = in_pulp::let_go(tx, &rules, destination).await?;
                Ok((let_go, Figures::new()))
            })
        });
        match let_go.await? {
            LetGo::More => {}
            LetGo::All => return Ok(true),
            LetGo::Held => {
                tracing::info!(destination.id = %destination, "deleted repository {destination} stays in Pulp while another one needs a blob of it");
                return Ok(false);
            }
        }
    }
    Ok(false)
}

/// False: it was cancelled.
async fn call_back(run: &mut Run<'_>, destination: DestinationId) -> Result<bool, Failed> {
    let content = run.cx.services.content.clone();
    let Some(pulp) = content.pulp() else {
        return Ok(false);
    };
    // Who is bringing one on would make anew what is removed.
    let _still = content.hold_spool(pulp).await;
    while run.goes_on() {
        let called_back = run.batch(move |tx| {
            Box::pin(async move {
                let called_back = in_pulp::call_back(tx, destination).await?;
                Ok((called_back, Figures::new()))
            })
        });
        if called_back.await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes all whose time is over before the first is removed: what one of them needs of another keeps nothing.
pub(super) async fn take_all(run: &mut Run<'_>) -> Result<(), Failed> {
    let (rules, mut after) = (run.rules, None);
    while run.goes_on() {
        let look = deleted::ripe(&mut run.read().await?, &rules, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            if !run.goes_on() {
                break;
            }
            let taken = run.batch(move |tx| {
                Box::pin(async move {
                    let taken = deleted::take(tx, &rules, destination).await?;
                    Ok((taken, Figures::new()))
                })
            });
            taken.await?;
        }
    }
    Ok(())
}

/// The destinations that nothing goes from, as a dry run knows them.
pub(super) struct Staying {
    /// Those that somebody is at work on, and those below.
    pub(super) all: Vec<DestinationId>,
    /// Those that would stay in Pulp although their time is over.
    pub(super) in_pulp: Vec<DestinationId>,
    /// What Pulp has answered.
    pub(super) asked: InPulp,
}

/// Looks for them.
pub(super) async fn would_stay(run: &mut Run<'_>) -> Result<Staying, Failed> {
    let in_use = rules::all_in_use(&mut run.read().await?).await?;
    let in_use: Vec<DestinationId> = in_use.into_iter().collect();
    let mut stay = Vec::new();
    let (content, cancelled) = (run.cx.services.content.clone(), run.cx.cancelled().clone());
    let (mut after, mut asked) = (None, InPulp::default());
    while run.goes_on() {
        let look = deleted::ripe(&mut run.read().await?, &run.rules, after).await?;
        after = look.next;
        if after.is_none() {
            break;
        }
        for destination in look.found {
            let held = {
                let mut tx = run.read().await?;
                if !in_pulp::is_known(&mut tx, destination).await? {
                    continue;
                }
                in_pulp::would_be_held(&mut tx, &run.rules, destination, &in_use).await?
            };
            let goes = match content.pulp() {
                None => false,
                Some(_) if held => false,
                Some(_) if asked.answers_not => {
                    asked.failed += 1;
                    false
                }
                Some(pulp) => {
                    let could = content.could_remove_in_pulp(pulp, destination);
                    match cancelled.run_until_cancelled(could).await {
                        None => break,
                        Some(Ok(())) => true,
                        Some(Err(error)) => {
                            asked.note(destination, &error);
                            false
                        }
                    }
                }
            };
            if !goes {
                stay.push(destination);
            }
        }
    }
    Ok(Staying {
        all: in_use.into_iter().chain(stay.iter().copied()).collect(),
        in_pulp: stay,
        asked,
    })
}
