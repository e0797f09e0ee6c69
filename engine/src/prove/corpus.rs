//! Journals as they were stored, kept in files, one a line: what released code recorded is read by today's.

use crate::clock::Timestamp;
use crate::decide::Decision;
use crate::journal::{Entry, NodeId, PlanId, Row};
use crate::plan::Plan;
use crate::store::{Append, Store, StoreError, Submission};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

/// A journal as it is stored, and what it means.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Where the plan is after each row.
    pub means: Vec<String>,
    rows: Vec<KeptRow>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptRow {
    seq: i64,
    at: Timestamp,
    node: NodeId,
    entries: Vec<Entry>,
}

impl Kept {
    /// These rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let kept = rows.iter().map(|row| KeptRow {
            seq: row.seq,
            at: row.at,
            node: row.node,
            entries: row.entries.clone(),
        });
        Self {
            means: meanings(rows),
            rows: kept.collect(),
        }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |kept: &KeptRow| Row {
            seq: kept.seq,
            nonce: 0,
            node: kept.node,
            at: kept.at,
            entries: kept.entries.clone(),
            unreadable: None,
        };
        self.rows.iter().map(row).collect()
    }
}

/// Plan, result and steps after each row.
#[must_use]
pub fn meanings(rows: &[Row]) -> Vec<String> {
    let mut plan = Plan::empty(PlanId(uuid::Uuid::nil()));
    let after = |row: &Row| {
        plan.append(row);
        let mut text = format!("{} {}", plan.state, plan.result);
        for step in &plan.steps {
            let _writing_to_a_text_cannot_fail = write!(text, " {}", step.state);
        }
        text
    };
    rows.iter().map(after).collect()
}

/// Every journal of every file of a folder, in the order of their names, each with its place.
pub fn read(folder: &Path) -> io::Result<Vec<(String, Kept)>> {
    let files = fs::read_dir(folder)?.map(|file| file.map(|file| file.path()));
    let mut files = files.collect::<io::Result<Vec<_>>>()?;
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for (n, line) in (1..).zip(fs::read_to_string(&path)?.lines()) {
            let place = format!("{name} line {n}");
            let kept = serde_json::from_str(line)
                .map_err(|error| io::Error::other(format!("{place}: {error}")))?;
            all.push((place, kept));
        }
    }
    Ok(all)
}

/// Writes a further file. One that is there is never changed.
pub fn write(path: &Path, journals: &[Kept]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    for kept in journals {
        io::Write::write_all(
            &mut file,
            format!("{}\n", serde_json::to_string(kept)?).as_bytes(),
        )?;
    }
    Ok(())
}

/// Records these rows as those of this plan, as the code that wrote them did.
pub async fn place<St: Store>(store: &St, id: PlanId, rows: &[Row]) -> Result<(), StoreError> {
    let mut plan = Plan::empty(id);
    for row in rows {
        let mut next = plan.clone();
        next.append(row);
        let decision = Decision {
            entries: row.entries.clone(),
            next,
            at: row.at,
            notices: Vec::new(),
            refused: None,
        };
        let append = Append::new(&plan, &decision, row.node, row.seq)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        if plan.submitted.is_some() {
            store.append(append).await?;
        } else {
            let submission = Submission {
                queued: append.clone(),
                granted: append,
                open_key: None,
            };
            let placed = store
                .transact::<_, StoreError>(Box::new(|tx| Box::pin(St::submit_in(tx, submission))))
                .await;
            placed??;
        }
        plan = decision.next;
    }
    Ok(())
}
