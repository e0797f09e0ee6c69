//! Copies of the files, taken while several nodes write: each opens, keeps every invariant, has all that was acknowledged before
//! it was taken, and goes on.

mod errand;
mod wal;

use engine::check::check;
use engine::journal::{PlanId, PlanResult, Row};
use engine::lock::LockState;
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::store::{Head, Store as _};
use errand::{Errand, TownNode, booked, nodes, open_the_books};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::journal::{Journal, Record, lost_journals, lost_locks, records};
use storage::{Database, Tx};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wal::Files;

const SNAPSHOTS: usize = 36;
const CLIENTS: u32 = 6;
const COUNTERS: u32 = 4;
const FOR_EVER: Duration = Duration::from_mins(1);

/// What clients were told: of each plan, up to which row.
type Acknowledged = BTreeMap<PlanId, i64>;

#[derive(Default)]
struct Told {
    all: Mutex<Acknowledged>,
    count: watch::Sender<u64>,
    enough: AtomicBool,
}

impl Told {
    fn note(&self, plan: PlanId, seq: i64) {
        self.all.lock().unwrap().insert(plan, seq);
        self.count.send_modify(|count| *count += 1);
    }
}

/// Sends errands one after the other, and notes what it is told of each.
async fn client(node: TownNode, counter: u32, told: Arc<Told>) {
    while !told.enough.load(Ordering::Relaxed) {
        let id = node.submit(&Errand { counter }, None).await.unwrap();
        let mut seq = 1;
        told.note(id, seq);
        loop {
            let plan = node.beyond(id, seq, FOR_EVER).await.unwrap();
            seq = plan.seq;
            told.note(id, seq);
            if plan.has_settled() {
                assert_eq!(plan.result, PlanResult::Success);
                break;
            }
        }
    }
}

/// The files between two commits, and what had been acknowledged by then.
struct Snapshot {
    files: Files,
    acknowledged: Acknowledged,
}

async fn snapshot(database: &Database, told: Arc<Told>) -> Snapshot {
    let path = database.path().to_owned();
    // While it is the writer's work nothing else is written.
    let taken = database.transact::<Snapshot, ()>(move |_| {
        Box::pin(async move {
            let acknowledged = told.all.lock().unwrap().clone();
            let files = Files::read(&path);
            Ok(Snapshot {
                files,
                acknowledged,
            })
        })
    });
    taken.await.unwrap().unwrap()
}

/// What the run has left: snapshots of its course, and every journal as it is at the end.
struct Run {
    snapshots: Vec<Snapshot>,
    journals: BTreeMap<PlanId, Vec<Row>>,
}

async fn run(folder: &Path, dice: &mut StdRng) -> Run {
    let path = folder.join("run.db");
    let database = Database::open(&path).await.unwrap();
    open_the_books(&database).await;
    database.close().await;
    let database = Database::open(&path).await.unwrap();
    let nodes = nodes(&database).await;
    let told = Arc::new(Told::default());
    let mut clients = JoinSet::new();
    for node in &nodes {
        for n in 0..CLIENTS {
            clients.spawn(client(node.clone(), n % COUNTERS, told.clone()));
        }
    }
    let mut snapshots = Vec::new();
    let mut count = told.count.subscribe();
    for _ in 0..SNAPSHOTS {
        let more = *count.borrow_and_update() + dice.random_range(1..=20);
        let moved = count.wait_for(|count| *count >= more);
        let moved = tokio::time::timeout(FOR_EVER, moved).await;
        moved.expect("the run goes on").unwrap();
        snapshots.push(snapshot(&database, told.clone()).await);
    }
    told.enough.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let plans = told.all.lock().unwrap().keys().copied().collect();
    let journals = Journal::new(database.clone()).load_all(plans).await;
    for node in nodes {
        node.drain(FOR_EVER).await;
    }
    database.close().await;
    Run {
        snapshots,
        journals: journals.unwrap().into_iter().collect(),
    }
}

/// What SQLite itself says of the file.
async fn assert_whole(tx: &mut Tx) {
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(said, ["ok"]);
    let lost = sqlx::query("PRAGMA foreign_key_check").fetch_all(tx).await;
    assert!(lost.unwrap().is_empty(), "a row of nothing");
}

/// A plan's row, its journal, its locks and its bookings agree; answers with the plan.
fn agreed(record: &Record, booked: i64) -> Plan {
    let id = record.plan;
    assert_eq!(check(id, &record.rows), [""; 0], "task {id}");
    let plan = Plan::fold(id, &record.rows);
    assert_eq!(
        Head::of(&plan, plan.node.unwrap()),
        record.head,
        "task {id}"
    );
    let asks = |state| matches!(state, LockState::Queued | LockState::Held);
    let asked = plan.locks.iter().filter(|lock| asks(lock.state));
    let asked: BTreeSet<&str> = asked.map(|lock| lock.request.resource.as_str()).collect();
    let sits: BTreeSet<&str> = record.seats.iter().map(|it| it.resource.as_str()).collect();
    assert_eq!(asked, sits, "task {id} and the queues of its locks");
    for lock in &plan.locks {
        let mut seats = record.seats.iter();
        let seat = seats.find(|seat| seat.resource == lock.request.resource);
        let first = seat.is_some_and(|seat| seat.position == 0);
        assert!(
            lock.state != LockState::Held || first,
            "task {id} is not first"
        );
    }
    let done = plan.step("book").unwrap().state == StepState::Success;
    assert_eq!(booked, i64::from(done), "task {id} and its bookings");
    assert_eq!(record.unread_mail, 0, "nobody has written to it");
    plan
}

/// Every invariant, and all that was acknowledged; answers with the plans that have not ended.
async fn assert_sound(
    database: &Database,
    acknowledged: &Acknowledged,
    run: &Run,
) -> (usize, Vec<PlanId>) {
    let mut tx = database.read().await.unwrap();
    assert_whole(&mut tx).await;
    let booked = booked(&mut tx).await;
    let all = records(&mut tx, None, 100_000).await.unwrap();
    let mut held = BTreeSet::new();
    let mut open = Vec::new();
    let mut kept = BTreeMap::new();
    for record in &all {
        let plan = agreed(record, booked.get(&record.plan.0).copied().unwrap_or(0));
        for lock in plan
            .locks
            .iter()
            .filter(|lock| lock.state == LockState::Held)
        {
            let resource = lock.request.resource.clone();
            assert!(held.insert(resource), "{lock:?} is held twice");
        }
        // Not a row of it is another one than the run has made.
        let made = run
            .journals
            .get(&record.plan)
            .map_or(&[][..], Vec::as_slice);
        let same = record.rows.iter().zip(made).all(|(row, made)| row == made);
        assert!(same, "task {} has another past", record.plan);
        kept.insert(record.plan, plan.seq);
        if plan.state != PlanState::Stopped {
            open.push(record.plan);
        }
    }
    assert_eq!(
        booked
            .keys()
            .filter(|id| !kept.contains_key(&PlanId(**id)))
            .count(),
        0
    );
    for (plan, seq) in acknowledged {
        let there = kept.get(plan).copied().unwrap_or(0);
        assert!(
            there >= *seq,
            "task {plan}: row {seq} was acknowledged, {there} are there"
        );
    }
    assert_eq!(lost_locks(&mut tx).await.unwrap(), []);
    assert_eq!(lost_journals(&mut tx).await.unwrap(), []);
    (all.len(), open)
}

/// The nodes start again, and drive to their ends what was under way.
async fn drive_on(database: &Database, open: &[PlanId], run: &Run) {
    let nodes = nodes(database).await;
    for plan in open {
        let ended = nodes[0].wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Success, "task {plan}");
    }
    for node in nodes {
        node.drain(FOR_EVER).await;
    }
    let mut tx = database.read().await.unwrap();
    let booked = booked(&mut tx).await;
    for record in records(&mut tx, None, 100_000).await.unwrap() {
        let plan = agreed(&record, booked.get(&record.plan.0).copied().unwrap_or(0));
        assert_eq!(plan.state, PlanState::Stopped);
        assert!(run.journals.contains_key(&record.plan), "it has a past");
    }
}

/// How often what was tried.
#[derive(Debug, Default)]
struct Did {
    whole: usize,
    half_checkpointed: usize,
    cut: usize,
    torn: usize,
    /// How often the WAL had begun anew since the snapshot before, because all of it was in the file.
    begun_anew: usize,
    wal_bytes: usize,
    plans: usize,
    acknowledged: usize,
    driven: usize,
    copies_driven: usize,
}

impl Did {
    fn copies(&self) -> usize {
        self.whole + self.half_checkpointed + self.cut + self.torn
    }

    /// Opens a copy as a server would, and looks at all of it. Each seventh is driven on.
    async fn try_out(&mut self, files: &Files, acknowledged: &Acknowledged, run: &Run) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        files.write(&path);
        let database = Database::open(&path).await.unwrap();
        let (plans, open) = assert_sound(&database, acknowledged, run).await;
        self.wal_bytes += files.bytes_in_wal();
        self.plans += plans;
        self.acknowledged += acknowledged.len();
        if self.copies().is_multiple_of(7) {
            drive_on(&database, &open, run).await;
            self.driven += open.len();
            self.copies_driven += 1;
        }
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_files_at_any_moment_of_a_run_opens_with_all_that_was_acknowledged_and_goes_on()
 {
    let seed = rand::random();
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), &mut dice).await;

    let mut did = Did::default();
    for (n, now) in run.snapshots.iter().enumerate() {
        did.try_out(&now.files, &now.acknowledged, &run).await;
        did.whole += 1;
        let half = now.files.half_checkpointed(&mut dice);
        did.try_out(&half, &now.acknowledged, &run).await;
        did.half_checkpointed += 1;
        let Some(before) = n.checked_sub(1).map(|before| &run.snapshots[before]) else {
            continue;
        };
        if before.files.grew_to(&now.files) {
            let cut = before.files.cut(&now.files, &mut dice);
            did.try_out(&cut, &before.acknowledged, &run).await;
            did.cut += 1;
            let torn = before.files.torn(&now.files, &mut dice);
            did.try_out(&torn, &before.acknowledged, &run).await;
            did.torn += 1;
        }
        did.begun_anew += usize::from(!before.files.are_of_one_wal_with(&now.files));
    }

    println!(
        "{} copies during a run of {} plans by 3 nodes with {CLIENTS} clients each: {did:?}",
        did.copies(),
        run.journals.len()
    );
    assert!(did.copies() >= 100, "{} copies", did.copies());
    assert!(
        did.cut >= 15 && did.torn >= 15,
        "the WAL hardly grew: {did:?}"
    );
    assert!(
        did.wal_bytes >= 1_000_000 && did.acknowledged >= 1_000,
        "{did:?}"
    );
    assert!(did.copies_driven >= 10 && did.driven >= 20, "{did:?}");
}
