//! Very many plans that have ended, written at once while nobody works.

use std::path::Path;
use std::time::Duration;

use ::engine::clock::{Clock, Timestamp};
use ::engine::journal::{Entry, GraphStep, Json, NodeId, PlanId, PlanResult, Row, Submitted};
use ::engine::plan::Plan;
use ::engine::store::{Append, Head, Submission};
use storage::{Database, filling};
use uuid::Uuid;

use crate::bench::BenchError;

/// Rows of one transaction.
const AT_ONCE: u32 = 5_000;
/// Between two ends.
const BETWEEN: Duration = Duration::from_secs(2);

/// Writes so many. Of a hundred two ended with an error; they belong to fifty people in ten organizations.
pub(super) async fn fill(path: &Path, plans: u32) -> Result<(), BenchError> {
    let database = Database::open_to_fill(path).await?;
    let begin = Clock::system().now() - BETWEEN * plans;
    for first in (0..plans).step_by(AT_ONCE as usize) {
        let some = (first..plans.min(first + AT_ONCE)).map(|n| finished(begin + BETWEEN * n, n));
        let some = some.collect::<Result<Vec<_>, _>>()?;
        let written = database
            .transact(move |tx| Box::pin(async move { filling::plans(tx, &some).await }))
            .await?;
        written.map_err(|error| BenchError::Plan(error.to_string()))?;
    }
    database.close().await;
    Ok(())
}

fn finished(at: Timestamp, n: u32) -> Result<Submission, BenchError> {
    let wrong = |error: serde_json::Error| BenchError::Plan(error.to_string());
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    let milliseconds = u64::try_from(at.0).unwrap_or(0);
    let plan = PlanId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid());
    let result = if n % 50 == 7 {
        PlanResult::Error
    } else {
        PlanResult::Success
    };
    let submitted = Submitted {
        workflow: "tidy".into(),
        version: 1,
        action: format!("Tidy {n}"),
        graph: [GraphStep::new("tidy", vec![])].into(),
        input: Json::of(&n).map_err(wrong)?,
        locks: Vec::new(),
        actor: Some(format!("user{}", n % 50)),
        organization: Some(format!("org{}", n % 10)),
        links: vec![(
            "repository".into(),
            format!("org{}/app{}", n % 10, n % 5000),
        )],
        cause: None,
        parent: None,
        revertible_for: None,
        priority: ::engine::priority::Priority::default(),
    };
    let done = if result == PlanResult::Success {
        Entry::StepSucceeded {
            step: 0,
            output: Json::of(&n).map_err(wrong)?,
            warning: None,
            form: 1,
        }
    } else {
        Entry::StepFailed {
            step: 0,
            error: ::engine::journal::Failure::new("backend", "it answered 503", false),
        }
    };
    let entries = vec![
        Entry::Submitted(Box::new(submitted)),
        Entry::Started,
        Entry::StepStarted { step: 0 },
        done,
        Entry::Stopped { result },
    ];
    let row = Row {
        seq: 1,
        nonce: i64::from(n),
        node: NodeId(Uuid::from_u128(1)),
        at,
        entries,
        unreadable: None,
    };
    let folded = Plan::fold(plan, [&row]);
    if let Some(why) = folded.unreadable {
        return Err(BenchError::Plan(format!("an unreadable journal: {why}")));
    }
    let append = Append {
        plan,
        entries: serde_json::to_string(&row.entries).map_err(wrong)?,
        head: Some(Head::of(&folded, row.node)),
        row,
        let_go: Vec::new(),
        asked_for: Vec::new(),
        notices: Vec::new(),
        mail: None,
        gives_key_up: true,
    };
    Ok(Submission {
        queued: append.clone(),
        granted: append,
        open_key: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finished_plan_folds_and_ends_as_it_says() {
        for n in 0..100 {
            let made = finished(Timestamp(1_000), n).unwrap();
            let plan = Plan::fold(made.granted.plan, [&made.granted.row]);

            assert_eq!(
                Some(Head::of(&plan, made.granted.row.node)),
                made.granted.head
            );
            assert_eq!(plan.state, ::engine::state::PlanState::Stopped);
        }
    }
}
