//! Journals of every released form, as they were stored: today's code reads each, says the same of it, and goes on with it.
//!
//! A file of `tests/corpus/` is never edited. When an entry is added, or the form of one changes, this writes a further file
//! with what no older one holds; it is looked through and committed:
//!
//! ```text
//! cargo test -p engine --test it -- --ignored write_down_what_the_corpus_lacks
//! ```

use super::generate::{Try, submissions, tries};
use super::{Seen, Walk, all_goes_well, walk};
use engine::check::check;
use engine::clock::Timestamp;
use engine::decide::{Happening, decide, fits};
use engine::draw;
use engine::explain::Task;
use engine::gate::Closed;
use engine::journal::{Action, Entry, Message, NodeId, PlanId, Row, Submitted};
use engine::plan::Plan;
use engine::prove;
use engine::prove::corpus::{Kept, meanings};
use engine::state::PlanState;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use strum::VariantNames as _;
use uuid::Uuid;

const ID: PlanId = PlanId(Uuid::from_u128(7));
/// Enough for the rarest entry.
const WALKS: usize = 20_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every journal of every release.
fn corpus() -> Vec<(String, Kept)> {
    prove::corpus::read(&folder()).unwrap()
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

/// What no kind of entry stands for and must be there all the same.
const ALSO: [&str; 17] = [
    "event done",
    "event refused",
    "resume_edited done",
    "child_moved done",
    "supersede done",
    "output in a later form",
    "output with a warning",
    "ticket in a later form",
    "sub-tasks that cannot be",
    "awaiting event true time true",
    "priority background",
    "priority urgent",
    "cause schedule",
    "submission with a parent",
    "submission with an organization",
    "submission with links",
    "submission with steps of a later form",
];

#[test]
fn what_an_entry_need_not_have_is_in_the_corpus_too() {
    let held: BTreeSet<String> = corpus()
        .iter()
        .flat_map(|(_, kept)| shows(&kept.rows()))
        .collect();

    println!("{} things are shown", held.len());
    let lacking = ALSO.iter().filter(|what| !held.contains(**what));
    assert_eq!(
        lacking.collect::<Vec<_>>(),
        [&""; 0],
        "add them as the head of this file says"
    );
}

#[test]
fn what_was_stored_is_read_means_the_same_is_shown_and_goes_on() {
    let (mut plans, mut resumed, mut rows_to_the_end) = (0, 0, 0);
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
            rows_to_the_end += comes_to_its_end(&rows[..end], place);
        }
    }

    println!(
        "{} journals, {plans} plans of them read and shown, {resumed} resumed or taken over, each brought to its end by {rows_to_the_end} further rows",
        corpus.len()
    );
    assert!(corpus.len() >= 30, "{} journals", corpus.len());
    assert!(plans >= 150 && resumed >= 100, "{plans} {resumed}");
    assert!(rows_to_the_end >= 500, "{rows_to_the_end}");
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

/// Another node takes it over, and when all goes well from here on it ends; by so many rows.
fn comes_to_its_end(rows: &[Row], place: &str) -> usize {
    let plan = Plan::fold(ID, rows);
    let last = rows.last().map_or(0, |row| row.at.0);
    let mut walk = Walk {
        n: last.max(plan.seq),
        plan,
        rows: rows.to_vec(),
        closed: Closed::default(),
    };
    let go = |walk: &mut Walk, choice| {
        let gone = walk.step_on(choice);
        gone.unwrap_or_else(|error| panic!("{place} row {}: {error}", rows.len()));
    };
    if walk.plan.state.is_driven() {
        go(&mut walk, Try::Claim);
    }
    for round in 0..200 {
        if walk.plan.state == PlanState::Stopped {
            break;
        }
        for choice in all_goes_well(round) {
            go(&mut walk, choice);
        }
    }
    assert_eq!(
        walk.plan.state,
        PlanState::Stopped,
        "{place} row {}: it does not end: {:?}",
        rows.len(),
        walk.plan
    );
    assert_eq!(check(ID, &walk.rows), [""; 0], "{place} row {}", rows.len());
    walk.rows.len() - rows.len()
}

/// What a journal shows: its kinds of entries with what need not be in them, and the moves that plan and steps make.
fn shows(rows: &[Row]) -> BTreeSet<String> {
    let mut seen = Seen::default();
    seen.note(ID, rows);
    let steps = seen.steps.iter().map(|it| format!("{it:?}"));
    let plans = seen.plans.iter().map(|it| format!("{it:?}"));
    let entries = rows.iter().flat_map(|row| &row.entries);
    let more = entries.flat_map(what_else);
    let all = kinds(rows).into_iter().chain(more);
    all.chain(steps).chain(plans).collect()
}

/// What an entry has besides its kind, and others of its kind have not.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other entries always have the same fields"
)]
fn what_else(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::Submitted(submitted) => of_a_submission(submitted),
        Entry::Operator {
            message, refused, ..
        } => {
            let how = if refused.is_some() { "refused" } else { "done" };
            vec![format!("{} {how}", message.action)]
        }
        Entry::StepSucceeded { form: 2.., .. } => vec!["output in a later form".into()],
        Entry::StepSucceeded {
            warning: Some(_), ..
        } => vec!["output with a warning".into()],
        Entry::Suspended { form: 2.., .. } => vec!["ticket in a later form".into()],
        Entry::Spawning { told, .. } if !told.is_empty() => vec!["sub-tasks are told".into()],
        Entry::ChildrenSubmitted { refused, .. } if !refused.is_empty() => {
            vec!["sub-tasks that cannot be".into()]
        }
        Entry::AtGate { gate, .. } | Entry::TurnedBack { gate, .. } => {
            vec![format!("at gate of a {}", gate.kind())]
        }
        Entry::Awaiting { event, until, .. } => {
            let (event, until) = (event.is_some(), until.is_some());
            vec![format!("awaiting event {event} time {until}")]
        }
        _ => vec![],
    }
}

fn of_a_submission(submitted: &Submitted) -> Vec<String> {
    let mut more = vec![format!("priority {}", submitted.priority)];
    let has = [
        (submitted.parent.is_some(), "a parent"),
        (submitted.actor.is_some(), "an actor"),
        (submitted.organization.is_some(), "an organization"),
        (submitted.revertible_for.is_some(), "a time for reverts"),
        (!submitted.links.is_empty(), "links"),
        (
            submitted.graph.iter().any(|step| step.form > 1),
            "steps of a later form",
        ),
    ];
    let cause = submitted.cause.map(|cause| format!("cause {cause}"));
    let has = has.into_iter().filter(|(has, _)| *has);
    more.extend(cause);
    more.extend(has.map(|(_, what)| format!("submission with {what}")));
    more
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

    let mut lacked = Vec::new();
    for rows in journals {
        let shown = shows(&rows);
        if !shown.is_subset(&held) {
            held.extend(shown);
            lacked.push(Kept::of(&rows));
        }
    }
    println!("{} journals", lacked.len());
    assert!(!lacked.is_empty(), "nothing is lacking");

    prove::corpus::write(&a_further_file(), &lacked).unwrap();
}

/// The first file of this release that is not written yet.
fn a_further_file() -> PathBuf {
    let name = |n: u32| match n {
        1 => format!("release-{}.jsonl", env!("CARGO_PKG_VERSION")),
        n => format!("release-{}-{n}.jsonl", env!("CARGO_PKG_VERSION")),
    };
    let mut paths = (1..).map(|n| folder().join(name(n)));
    paths.find(|path| !path.exists()).unwrap()
}
