//! Workflows of a single step keep the laws of all workflows, too: a part of a rehearsal, and bulks.

use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use engine::journal::{Entry, PlanId, Row};
use engine::node::Node;
use engine::prove::laws::World;
use engine::search::Search;
use engine::state::PlanState;
use engine::store::{Page, Store};
use std::fmt::Write as _;
use storage::Tx;
use storage::catalog::rehearsals;
use workflows::Services;
use workflows::bulk::{Bulk, BulkCancel, BulkResume};
use workflows::rehearsal::{Fault, Part, Rehearsal};

async fn all_plans(house: &House) -> Vec<PlanId> {
    let page = Page {
        limit: 1000,
        ..Page::default()
    };
    let found = house.journal().list(Search::default(), page).await;
    found.unwrap().plans
}

/// Where one part of a rehearsal is played.
struct Corner {
    house: House,
}

impl World for Corner {
    of_a_house!();

    async fn fresh() -> Self {
        let house = House::new().await;
        Self { house }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let part = Part {
            number: 1,
            work_ms: 1,
            faults: vec![],
        };
        node.submit(&part, Some("alice".into())).await.unwrap()
    }

    /// Whether the mark of the part lies there.
    async fn picture(&self) -> String {
        let mut marks = 0;
        for plan in all_plans(&self.house).await {
            let mut tx = self.house.services.database.read().await.unwrap();
            marks += rehearsals::marks(&mut tx, plan).await.unwrap().len();
        }
        format!("{marks} marks")
    }
}

keeps! { rehearsal_part: Corner;
    a_part_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 3 0 1 1;
    a_part_that_fails_after_its_work_is_mended_and_ends_the_same:
        fail_after_each_step does at least 3 4 0 2 1;
    a_part_that_is_timed_out_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 3 8 0 6 1;
    a_part_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 3 5 0 2 0;
    a_part_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    a_part_that_is_reverted_leaves_nothing:
        revert_at_each_step does at least 3 3 1 1 2;
    a_finished_part_that_is_reverted_leaves_nothing:
        revert_when_finished does at least 2 2 1 0 1;
    a_part_that_is_cancelled_ends_and_can_be_reverted:
        cancel_at_each_step does at least 2 2 1 0 2;
    a_part_that_is_undone_twice_leaves_nothing:
        undo_each_step_twice does at least 2 2 2 1 1;
    a_part_goes_on_without_its_step:
        skip_each_step does at least 2 2 0 1 1;
    a_part_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}

/// Where two rehearsals wait for an operator, who cancels them.
struct Bench {
    house: House,
    paused: Vec<PlanId>,
}

/// Where two rehearsals wait for an operator, who lets them go on.
struct Waiting {
    house: House,
    paused: Vec<PlanId>,
}

async fn two_paused() -> (House, Vec<PlanId>) {
    let house = House::new().await;
    let node = house.node(None).await;
    let paused = vec![paused(&node).await, paused(&node).await];
    node.drain(FOR_EVER).await;
    (house, paused)
}

fn bulk_of(paused: &[PlanId]) -> Bulk {
    Bulk {
        found_by: "state = paused".into(),
        plans: paused.to_vec(),
        by: "alice".into(),
        reason: None,
        organization: None,
    }
}

/// Each of them with its journal. None was asked twice, and none has a question left that nobody has read.
async fn asked_at_most_once(house: &House, paused: &[PlanId]) -> Vec<(PlanId, Vec<Row>)> {
    let journals = house.journal().load_all(paused.to_vec()).await.unwrap();
    for (id, rows) in &journals {
        let unread = house.journal().mail(*id).await.unwrap().len();
        let read = count(rows, |entry| entry.consumes().is_some());
        assert!(
            read + unread <= 1,
            "task {id} was asked {read} times, and {unread} times more"
        );
    }
    journals
}

fn count(rows: &[Row], which: impl Fn(&Entry) -> bool) -> usize {
    let entries = rows.iter().flat_map(|row| &row.entries);
    entries.filter(|entry| which(entry)).count()
}

async fn paused(node: &HouseNode) -> PlanId {
    let fails = Fault {
        step: "begin".into(),
        attempts: 100,
        transient: false,
        undo: false,
    };
    let rehearsal = Rehearsal {
        faults: vec![fails],
        ..Rehearsal::default()
    };
    let id = node.submit(&rehearsal, Some("bob".into())).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(plan.state, PlanState::Paused);
    id
}

impl World for Bench {
    of_a_house!();

    async fn fresh() -> Self {
        let (house, paused) = two_paused().await;
        Self { house, paused }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let bulk = BulkCancel(bulk_of(&self.paused));
        node.submit(&bulk, Some("alice".into())).await.unwrap()
    }

    /// How often each of them was cancelled, and how it is now.
    async fn picture(&self) -> String {
        let mut picture = String::new();
        for (id, rows) in asked_at_most_once(&self.house, &self.paused).await {
            let plan = engine::plan::Plan::fold(id, &rows);
            let asked = count(&rows, |entry| entry.consumes().is_some());
            writeln!(picture, "{} after {asked} messages", plan.result).unwrap();
        }
        picture
    }

    /// What is cancelled stays so.
    async fn undone(&self) -> String {
        String::new()
    }
}

keeps! { bulk_cancel: Bench;
    a_bulk_that_fails_goes_on_and_asks_nobody_twice:
        fail_at_each_step does at least 2 3 0 1 1;
    a_bulk_that_fails_after_its_work_asks_nobody_twice:
        fail_after_each_step does at least 3 4 0 2 1;
    a_bulk_that_is_timed_out_asks_nobody_twice:
        time_out_at_each_step does at least 3 8 0 6 1;
    a_bulk_that_runs_twice_asks_nobody_twice:
        run_each_step_twice does at least 3 5 0 2 0;
    a_bulk_that_crashes_at_any_append_asks_nobody_twice:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    a_bulk_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}

impl World for Waiting {
    of_a_house!();

    async fn fresh() -> Self {
        let (house, paused) = two_paused().await;
        Self { house, paused }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let bulk = BulkResume(bulk_of(&self.paused));
        node.submit(&bulk, Some("alice".into())).await.unwrap()
    }

    /// How often each of them was asked, and has gone on. What comes of that is its own.
    async fn picture(&self) -> String {
        let mut picture = String::new();
        for (_, rows) in asked_at_most_once(&self.house, &self.paused).await {
            let asked = count(&rows, |entry| entry.consumes().is_some());
            let resumed = count(&rows, |entry| *entry == Entry::Resumed);
            writeln!(picture, "resumed {resumed} times after {asked} messages").unwrap();
        }
        picture
    }

    /// What goes on is not held up again.
    async fn undone(&self) -> String {
        String::new()
    }
}

keeps! { bulk_resume: Waiting;
    a_bulk_resume_that_fails_goes_on_and_asks_nobody_twice:
        fail_at_each_step does at least 2 3 0 1 1;
    a_bulk_resume_that_fails_after_its_work_asks_nobody_twice:
        fail_after_each_step does at least 3 4 0 2 1;
    a_bulk_resume_that_is_timed_out_asks_nobody_twice:
        time_out_at_each_step does at least 3 8 0 6 1;
    a_bulk_resume_that_runs_twice_asks_nobody_twice:
        run_each_step_twice does at least 3 5 0 2 0;
    a_bulk_resume_that_crashes_at_any_append_asks_nobody_twice:
        crash_before_and_after_each_append does at least 5 12 0 4 0;
    a_bulk_resume_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}
