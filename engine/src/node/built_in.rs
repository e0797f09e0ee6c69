//! Schedules that the program brings along.

use super::{Node, NodeError};
use crate::journal::Json;
use crate::schedule::{Missed, Put, Schedule, ScheduleId};
use crate::step::Services;
use crate::store::{Store, StoreError};

/// A schedule as the program declares it. When it runs is what it begins with: that may be changed.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    /// Its name; never changed.
    pub name: &'static str,
    /// The workflow that it submits.
    pub workflow: &'static str,
    /// The input of that.
    pub input: Json,
    /// When it runs, unless somebody changes that.
    pub cron: &'static str,
    /// Where that is meant, unless somebody changes that.
    pub time_zone: &'static str,
    /// What becomes of missed runs, unless somebody changes that.
    pub missed: Missed,
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Makes the built-in schedules that are missing. Of those that are there it renews what they do, and leaves when they do it;
    /// what is built in no more stays as a schedule like any other.
    pub async fn make_built_in(&self, declared: Vec<BuiltIn>) -> Result<(), NodeError> {
        let kept = self.0.store.schedules().await?;
        let mut wanted = Vec::new();
        for declared in &declared {
            match kept.iter().find(|it| it.name == declared.name) {
                None => wanted.push(self.first_form(declared)),
                Some(kept) if kept.built_in => wanted.push(Schedule {
                    workflow: declared.workflow.into(),
                    input: declared.input.clone(),
                    ..kept.clone()
                }),
                Some(kept) => tracing::warn!(
                    schedule.id = %kept.id,
                    "schedule `{}` keeps its name: the built-in one of that name is not made", kept.name
                ),
            }
        }
        let is_declared = |kept: &Schedule| declared.iter().any(|it| it.name == kept.name);
        let given_up = kept.iter().filter(|it| it.built_in && !is_declared(it));
        wanted.extend(given_up.map(|it| Schedule {
            built_in: false,
            ..it.clone()
        }));
        wanted.retain(|it| !kept.contains(it));
        if wanted.is_empty() {
            return Ok(());
        }
        let put = self.transact::<(), StoreError, _>(move |tx, _desk| {
            Box::pin(async move {
                for schedule in wanted {
                    // Another node that starts at the same time may have made it: then it is there.
                    let (Put::Kept(_) | Put::NameTaken | Put::Stale) =
                        St::put_schedule_in(tx, schedule).await?;
                }
                Ok(())
            })
        });
        put.await??;
        Ok(())
    }

    fn first_form(&self, declared: &BuiltIn) -> Schedule {
        let now = self.0.clock.now();
        Schedule {
            id: ScheduleId::default(),
            name: declared.name.into(),
            workflow: declared.workflow.into(),
            input: declared.input.clone(),
            cron: declared.cron.into(),
            time_zone: declared.time_zone.into(),
            missed: declared.missed,
            end_at: None,
            max_runs: None,
            enabled: true,
            built_in: true,
            actor: None,
            created_at: now,
            handled_until: now,
            runs: 0,
            last_nominal: None,
            last_plan: None,
            revision: 0,
        }
    }
}
