//! The plans of a crowd: the same push again and again, by others, to elsewhere, and not always with a good end.

use std::time::Duration;

use engine::clock::Timestamp;
use engine::journal::{Entry, Failure, PlanId, PlanResult, Reason, Row, Submitted};
use engine::plan::Plan;
use engine::store::{Append, Head, Store as _, Submission};
use storage::journal::Journal;
use storage::{Database, Digest, filling};

use super::{AT_ONCE, BenchError, PRODUCTS, REPOSITORIES, name, store, write};

/// Writes all plans, and answers with their ids.
pub(super) async fn fill(database: &Database, model: &Model) -> Result<Vec<PlanId>, BenchError> {
    let mut ids = Vec::new();
    for first in (0..model.count).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
        let like_it = (first..model.count.min(first + AT_ONCE)).map(|n| model.like_it(n));
        let plans = like_it.collect::<Result<Vec<_>, _>>()?;
        ids.extend(plans.iter().map(|plan| plan.granted.plan));
        write(database, move |tx| {
            Box::pin(async move { filling::plans(tx, &plans).await })
        })
        .await?;
    }
    Ok(ids)
}

/// A push that has ended well.
pub(super) struct Model {
    row: Row,
    submitted: Submitted,
    entries: Vec<Entry>,
    copy: usize,
    /// So many are like it.
    count: u64,
    begin: Timestamp,
    /// The time between two of them.
    between: Duration,
}

impl Model {
    /// Reads what this plan has recorded. So many will be like it, the first of them so long before it.
    pub(super) async fn read(
        journal: &Journal,
        plan: PlanId,
        count: u64,
        span: Duration,
    ) -> Result<Self, BenchError> {
        let rows = journal.load(plan).await.map_err(store)?;
        let folded = Plan::fold(plan, &rows);
        let mut entries = rows.iter().flat_map(|row| row.entries.iter().cloned());
        let (Some(row), Some(Entry::Submitted(submitted)), Some(copy)) =
            (rows.first(), entries.next(), folded.index_of("copy"))
        else {
            return Err(BenchError::Plan("no readable journal".into()));
        };
        Ok(Self {
            row: row.clone(),
            submitted: Submitted {
                locks: Vec::new(),
                ..*submitted
            },
            entries: entries.collect(),
            copy,
            count,
            begin: row.at - span,
            between: span / u32::try_from(count.max(1)).unwrap_or(u32::MAX),
        })
    }

    /// When the first of the crowd was submitted.
    pub(super) fn begin(&self) -> Timestamp {
        self.begin
    }

    /// The n-th plan: most end well; of a hundred one is paused and two warn.
    fn like_it(&self, n: u64) -> Result<Submission, BenchError> {
        let at = self.begin + self.between * u32::try_from(n).unwrap_or(u32::MAX);
        let id = id(at, n);
        // Neither its product nor its tag shall go with how it ended.
        let repository = (n.wrapping_mul(7_919) + n / 100) % REPOSITORIES;
        let tag = if (n / 3).is_multiple_of(2) {
            "latest".to_owned()
        } else {
            format!("build-{n}")
        };
        let submitted = Submitted {
            action: format!("Push of {}:{tag}", name(repository)),
            actor: Some(actor(n).to_owned()),
            links: vec![
                ("repository".into(), name(repository)),
                ("product".into(), format!("p{}", repository % PRODUCTS + 1)),
                ("tag".into(), tag),
                ("digest".into(), Digest::of(&n.to_be_bytes()).to_string()),
            ],
            ..self.submitted.clone()
        };
        let mut entries = vec![Entry::Submitted(Box::new(submitted))];
        match n % 100 {
            0 => entries.extend(self.paused()),
            1 | 2 => entries.extend(self.warned()),
            _ => entries.extend(self.entries.iter().cloned()),
        }
        let row = Row {
            seq: 1,
            nonce: i64::try_from(n).unwrap_or(0),
            at,
            entries,
            ..self.row.clone()
        };
        let plan = Plan::fold(id, [&row]);
        if let Some(why) = plan.unreadable {
            return Err(BenchError::Plan(format!("an unreadable journal: {why}")));
        }
        let took = Duration::from_millis(20 + n % 1_000 * 10);
        let head = Head {
            ended_at: plan.times.ended.map(|at| at + took),
            ..Head::of(&plan, row.node)
        };
        let append = Append {
            plan: id,
            entries: serde_json::to_string(&row.entries)
                .map_err(|error| BenchError::Plan(error.to_string()))?,
            row,
            head: Some(head),
            let_go: Vec::new(),
            asked_for: Vec::new(),
            notices: vec![],
            mail: None,
            gives_key_up: true,
        };
        Ok(Submission {
            queued: append.clone(),
            granted: append,
            open_key: None,
        })
    }

    /// The same push, paused by a second attempt of `copy`.
    fn paused(&self) -> Vec<Entry> {
        let copied = |entry: &Entry| matches!(entry, Entry::StepSucceeded { step, .. } if *step == self.copy);
        let before = self.entries.iter().take_while(|entry| !copied(entry));
        let mut entries: Vec<Entry> = before.cloned().collect();
        let error = Failure::new("backend", "it answered 503", true);
        entries.push(Entry::AttemptFailed {
            step: self.copy,
            error: error.clone(),
            wake_at: self.begin,
        });
        entries.push(Entry::StepStarted { step: self.copy });
        entries.push(Entry::StepFailed {
            step: self.copy,
            error,
        });
        entries.push(Entry::Paused {
            reason: Reason::Error,
            keeps_locks: false,
        });
        entries
    }

    /// The same push, of which people should know something although it succeeded.
    fn warned(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        for entry in &mut entries {
            if let Entry::Stopped { result } = entry {
                *result = PlanResult::Warning;
            }
        }
        entries
    }
}

/// Most is pushed by machines.
fn actor(n: u64) -> &'static str {
    match n % 50 {
        0 | 1 => "ann",
        2..10 => "bob",
        _ => "ci",
    }
}

/// The id of a plan that was submitted then: a UUID of version 7.
pub(super) fn id(at: Timestamp, n: u64) -> PlanId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    let milliseconds = u64::try_from(at.0).unwrap_or(0);
    PlanId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_plans_sort_by_the_time_of_their_submission() {
        let early = id(Timestamp(1_000), 2);
        let late = id(Timestamp(2_000), 1);

        assert!(early < late);
        assert_eq!(late.0.get_version_num(), 7);
    }
}
