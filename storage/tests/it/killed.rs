//! Eight writers race for the next number while their process is killed hard: what was acknowledged is there, and nothing else
//! stands in its place.
//!
//! The process that is killed is this test binary: its ignored test reads the database's path from its standard input.

use engine::clock::Timestamp;
use engine::decide::{Happening, decide, submit};
use engine::journal::{GraphStep, Json, NodeId, PlanId, Submitted};
use engine::plan::Plan;
use engine::priority::Priority;
use engine::store::{Append, Store, StoreError, Submission};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use storage::Database;
use storage::journal::{Journal, records};
use uuid::Uuid;

const KILLS: u64 = 12;
const WRITERS: u128 = 8;
const PLANS: usize = 3;
const AT: Timestamp = Timestamp(1_700_000_000_000);

static NONCE: AtomicI64 = AtomicI64::new(1);

fn submission(id: PlanId, owner: NodeId) -> Submission {
    let submitted = Submitted {
        workflow: "race".into(),
        version: 1,
        action: "Race".into(),
        graph: [GraphStep::new("run", vec![])].into(),
        input: Json::of(&"input").unwrap(),
        locks: Vec::new(),
        actor: None,
        organization: None,
        links: Vec::new(),
        cause: None,
        parent: None,
        revertible_for: None,
        priority: Priority::default(),
    };
    let form = |granted| {
        let decided = submit(id, submitted.clone(), vec![], granted, AT, owner).unwrap();
        Append::new(&Plan::empty(id), &decided, owner, nonce()).unwrap()
    };
    Submission {
        granted: form(true),
        queued: form(false),
        open_key: None,
    }
}

fn nonce() -> i64 {
    NONCE.fetch_add(1, Ordering::Relaxed)
}

/// Claims the plans in turn for ever, and says each number that was acknowledged.
async fn race(store: Journal, plans: Vec<PlanId>, me: NodeId) {
    for plan in plans.iter().cycle() {
        let mut now = Plan::fold(*plan, &store.load(*plan).await.unwrap());
        now.node = Some(me);
        let decided = decide(&now, Happening::Claimed, AT, me).unwrap();
        let append = Append::new(&now, &decided, me, nonce()).unwrap();
        let (seq, nonce) = (append.row.seq, append.row.nonce);
        match store.append(append).await {
            Ok(_) => println!("\nacknowledged {plan} {seq} {nonce}"),
            Err(StoreError::Fenced { .. }) => println!("\nlost"),
            Err(error) => panic!("the store works: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that is killed by the test below"]
async fn races_until_it_is_killed() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    let database = Database::open(&PathBuf::from(path.trim())).await.unwrap();
    let store = Journal::new(database);
    let mut plans = Vec::new();
    for _ in 0..PLANS {
        let id = PlanId(Uuid::now_v7());
        let submission = submission(id, NodeId(Uuid::from_u128(1)));
        let submitted = store.transact::<_, StoreError>(Box::new(move |tx| {
            Box::pin(Journal::submit_in(tx, submission))
        }));
        submitted.await.unwrap().unwrap();
        plans.push(id);
    }
    let writers = (1..=WRITERS).map(|me| {
        let node = NodeId(Uuid::from_u128(me));
        race(store.clone(), plans.clone(), node)
    });
    futures_util::future::join_all(writers).await;
}

/// The racing process, which has the path.
fn start(path: &std::path::Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::races_until_it_is_killed"])
        .args(["--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", path.display()).unwrap();
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_writers_whose_process_is_killed_nobody_was_told_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharfinger.db");
    let (mut acknowledged, mut lost) = (BTreeMap::new(), 0);

    for kill in 0..KILLS {
        let mut child = start(&path);
        let said = BufReader::new(child.stdout.take().unwrap());
        let reads = tokio::task::spawn_blocking(move || {
            let lines = said.lines().map_while(Result::ok);
            lines.collect::<Vec<String>>()
        });
        // The moment itself is what is tried out.
        tokio::time::sleep(Duration::from_millis(400 + 37 * kill)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let mut lines = reads.await.unwrap();
        lines.pop(); // perhaps a part of one
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["acknowledged", plan, seq, nonce] = words[..] {
                let place: (PlanId, i64) = (plan.parse().unwrap(), seq.parse().unwrap());
                let nonce: i64 = nonce.parse().unwrap();
                let before = acknowledged.insert(place, nonce);
                assert_eq!(before, None, "{line} was told twice");
            }
            lost += usize::from(words == ["lost"]);
        }
    }

    let database = Database::open(&path).await.unwrap();
    let mut tx = database.read().await.unwrap();
    let mut kept = BTreeMap::new();
    for record in records(&mut tx, None, 1000).await.unwrap() {
        for (place, row) in (1..).zip(&record.rows) {
            assert_eq!(row.seq, place, "no gap");
            kept.insert((record.plan, row.seq), row.nonce);
        }
    }
    for (place, nonce) in &acknowledged {
        assert_eq!(kept.get(place), Some(nonce), "{place:?} was acknowledged");
    }
    println!(
        "{KILLS} kills: {} rows acknowledged, {} kept, {lost} races lost",
        acknowledged.len(),
        kept.len()
    );
    assert!(acknowledged.len() >= 200, "{} rows", acknowledged.len());
    assert!(
        lost >= 50,
        "{lost} races were lost: the writers did not race"
    );
}
