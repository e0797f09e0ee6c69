//! Journals of every released form, as they were stored: today's code reads each, says the same of it, and goes on with it.
//!
//! A file of `tests/corpus/` is never edited. When an entry is added, or the form of one changes, this writes a further file
//! with what no older one holds; it is looked through and committed:
//!
//! ```text
//! cargo test -p engine --test it -- --ignored write_down_what_the_corpus_lacks
//! ```

use super::generate::{submissions, tries};
use super::{Seen, walk};
use engine::check::check;
use engine::clock::Timestamp;
use engine::decide::{Happening, decide, fits};
use engine::draw;
use engine::explain::Task;
use engine::journal::{Action, Entry, Message, NodeId, PlanId, Row};
use engine::plan::Plan;
use engine::state::PlanState;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use strum::VariantNames as _;
use uuid::Uuid;

const ID: PlanId = PlanId(Uuid::from_u128(7));
/// Enough for the rarest entry.
const WALKS: usize = 20_000;

/// A journal as it is stored, and what it means.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Where the plan is after each row.
    means: Vec<String>,
    rows: Vec<KeptRow>,
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptRow {
    seq: i64,
    at: Timestamp,
    node: NodeId,
    entries: Vec<Entry>,
}

impl Kept {
    fn of(rows: &[Row]) -> Self {
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

    fn rows(&self) -> Vec<Row> {
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
fn meanings(rows: &[Row]) -> Vec<String> {
    let mut plan = Plan::empty(ID);
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

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every journal of every release.
fn corpus() -> Vec<(String, Kept)> {
    let mut all = Vec::new();
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (n, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
            let kept = serde_json::from_str(line);
            let kept = kept.unwrap_or_else(|error| panic!("{name} line {n}: {error}"));
            all.push((format!("{name} line {n}"), kept));
        }
    }
    all
}

/// The kinds of entries of a journal.
fn kinds<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeSet<String> {
    let entries = rows.into_iter().flat_map(|row| &row.entries);
    let kind = |entry: &Entry| {
        let entry = serde_json::to_value(entry).unwrap();
        match entry.as_str() {
            Some(kind) => kind.to_owned(),
            None => entry.as_object().unwrap().keys().next().unwrap().clone(),
        }
    };
    entries.map(kind).collect()
}

#[test]
fn every_kind_of_entry_is_in_the_corpus() {
    let held: BTreeSet<String> = corpus()
        .iter()
        .flat_map(|(_, kept)| kinds(&kept.rows()))
        .collect();

    let lacking: Vec<_> = Entry::VARIANTS
        .iter()
        .filter(|kind| !held.contains(**kind))
        .collect();

    assert!(
        lacking.is_empty(),
        "{lacking:?}: add them as the head of this file says"
    );
}

#[test]
fn what_was_stored_is_read_means_the_same_is_shown_and_goes_on() {
    let (mut plans, mut resumed) = (0, 0);
    let corpus = corpus();
    for (place, kept) in &corpus {
        let rows = kept.rows();
        assert_eq!(check(ID, &rows), [""; 0], "{place}");
        assert_eq!(meanings(&rows), kept.means, "{place}");
        for end in 1..=rows.len() {
            let plan = Plan::fold(ID, &rows[..end]);
            plans += 1;
            let task = Task::of(&plan, &[], &[], plan_time(&plan));
            assert!(!task.headline.is_empty(), "{place}");
            let picture = draw::task(&task);
            assert!(draw::svg(&picture).starts_with("<svg"), "{place}");
            assert!(draw::mermaid(&picture).contains("flowchart"), "{place}");
            resumed += usize::from(goes_on(&plan, place));
        }
    }

    println!(
        "{} journals, {plans} plans of them read and shown, {resumed} resumed or taken over",
        corpus.len()
    );
    assert!(corpus.len() >= 30, "{} journals", corpus.len());
    assert!(plans >= 150 && resumed >= 100, "{plans} {resumed}");
}

fn plan_time(plan: &Plan) -> Timestamp {
    Timestamp(plan.seq + 1)
}

/// Another node takes it over, or a person resumes it; whether there was anything to do.
fn goes_on(plan: &Plan, place: &str) -> bool {
    let (now, heir) = (plan_time(plan), NodeId(Uuid::from_u128(2)));
    let happening = if plan.state == PlanState::Paused {
        let message = Message {
            action: Action::Resume,
            by: "ann".into(),
            reason: None,
        };
        if fits(plan, &message.action, now).is_err() {
            return false; // only another action helps, and is named
        }
        Happening::Mail { n: 1, message }
    } else if plan.state.is_driven() {
        Happening::Claimed
    } else {
        return false;
    };
    let decided = decide(plan, happening, now, heir);
    let decided = decided.unwrap_or_else(|refused| panic!("{place}: {refused}"));
    assert!(!decided.entries.is_empty(), "{place}");
    true
}

/// What a journal shows: its kinds of entries, and the moves that plan and steps make.
fn shows(rows: &[Row]) -> BTreeSet<String> {
    let mut seen = Seen::default();
    seen.note(ID, rows);
    let steps = seen.steps.iter().map(|it| format!("{it:?}"));
    let plans = seen.plans.iter().map(|it| format!("{it:?}"));
    kinds(rows).into_iter().chain(steps).chain(plans).collect()
}

/// The same plan, ended by a person although nobody could read it.
fn abandoned(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows[..1].to_vec();
    rows.push(Row {
        seq: 2,
        entries: vec![Entry::Abandoned {
            by: "ann".into(),
            reason: Some("nobody can read it".into()),
        }],
        ..rows[0].clone()
    });
    rows
}

/// See the head of this file.
#[test]
#[ignore = "writes a file of the project"]
fn write_down_what_the_corpus_lacks() {
    let before = corpus();
    let mut held: BTreeSet<String> = before
        .iter()
        .flat_map(|(_, kept)| shows(&kept.rows()))
        .collect();
    let seen = Mutex::new(Seen {
        journals: Some(Vec::new()),
        ..Seen::default()
    });
    let mut runner = TestRunner::deterministic();
    let any = (submissions(), any::<bool>(), tries());
    for _ in 0..WALKS {
        let (submitted, granted, tries) = any.new_tree(&mut runner).unwrap().current();
        walk(&submitted, granted, &tries, &seen).unwrap();
    }
    let mut journals = seen.into_inner().unwrap().journals.unwrap();
    journals.sort_by_key(Vec::len);
    journals.push(abandoned(&journals[0]));

    let mut lines = String::new();
    for rows in journals {
        let shown = shows(&rows);
        if !shown.is_subset(&held) {
            held.extend(shown);
            let line = serde_json::to_string(&Kept::of(&rows)).unwrap();
            writeln!(lines, "{line}").unwrap();
        }
    }

    assert!(!lines.is_empty(), "the corpus lacks nothing");
    let version = env!("CARGO_PKG_VERSION");
    let mut path = folder().join(format!("release-{version}.jsonl"));
    for further in 2.. {
        if !path.exists() {
            break;
        }
        path = folder().join(format!("release-{version}-{further}.jsonl"));
    }
    fs::write(path, lines).unwrap();
}
