//! Files as a crash at any moment leaves them: every prefix of what was written opens, and holds every guarantee.

use crate::house::{FOR_EVER, House};
use engine::check::check;
use engine::journal::{Action, Message, PlanId};
use engine::node::{Node, NodeOptions};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::store::Head;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use storage::Database;
use storage::catalog::rehearsals;
use storage::journal::{Journal, Record, lost_locks, records};
use workflows::Services;
use workflows::rehearsal::{self, Fault, Rehearsal};

const COPIES: usize = 80;
/// On so many of them a node goes on.
const WENT_ON: usize = 8;
const SEED: u64 = 20_260_502;

/// All plans of the database, after a check that they keep what the engine guarantees.
async fn examined(database: &Database, when: &str) -> Vec<Record> {
    let mut tx = database.read().await.unwrap();
    let all = records(&mut tx, None, 1000).await.unwrap();
    for record in &all {
        let plan = Plan::fold(record.plan, &record.rows);
        assert_eq!(check(record.plan, &record.rows), [""; 0], "{when}");
        let told = plan.node.map(|node| Head::of(&plan, node));
        assert_eq!(told.as_ref(), Some(&record.head), "{when}");
        if plan.state == PlanState::Stopped {
            let held = (record.open_key.as_ref(), record.unread_mail);
            assert_eq!(held, (None, 0), "{when}: {plan:?}");
        }
        let marks = rehearsals::marks(&mut tx, record.plan).await.unwrap();
        assert_eq!(rehearsal::check(&plan, &marks), [""; 0], "{when}");
    }
    assert_eq!(lost_locks(&mut tx).await.unwrap(), [], "{when}");
    all
}

/// Rehearsals of many kinds, of which one is reverted.
async fn lived_in() -> House {
    let house = House::new().await;
    let node = house.node(None).await;
    let fault = |step: &str, transient| Fault {
        step: step.into(),
        attempts: 1,
        transient,
        undo: false,
    };
    let mut plans = Vec::new();
    for n in 0..6 {
        let wanted = Rehearsal {
            parts: n,
            work_ms: 5,
            elsewhere_ms: 20,
            event_ms: 10,
            pause_ms: 10,
            stage: (n % 2 == 0).then(|| "north".to_owned()),
            faults: vec![fault("finish", n % 3 == 0)],
            ..Rehearsal::default()
        };
        plans.push(node.submit(&wanted, None).await.unwrap());
    }
    for plan in &plans {
        node.wait(*plan, FOR_EVER).await.unwrap();
    }
    let revert = Message {
        action: Action::Revert,
        by: "ann".into(),
        reason: None,
    };
    node.act(plans[1], revert).await.unwrap();
    node.wait(plans[1], FOR_EVER).await.unwrap();
    node.kill().await;
    house
}

/// The database as a crash leaves it after so many bytes of its WAL.
fn copied(from: &Path, to: &Path, bytes_of_wal: usize) {
    let wal = |path: &Path| format!("{}-wal", path.display());
    fs::copy(from, to).unwrap();
    let written = fs::read(wal(from)).unwrap();
    fs::write(wal(to), &written[..bytes_of_wal]).unwrap();
}

/// A node goes on with all that is open, until each is paused or has ended.
async fn goes_on(database: &Database, house: &House, open: &[PlanId]) {
    let services = Services {
        database: database.clone(),
        ..house.services.clone()
    };
    let id = engine::journal::NodeId(uuid::Uuid::from_u128(1));
    let options = NodeOptions::new(id, "house");
    let (store, clock) = (Journal::new(database.clone()), services.clock);
    let knows = workflows::all(workflows::Backend::Embedded).unwrap();
    let node = Node::start(options, store, Arc::new(services), knows, clock, None)
        .await
        .unwrap();
    for plan in open {
        let settled = node.wait(*plan, FOR_EVER).await.unwrap();
        assert!(settled.has_settled(), "{settled:?}");
    }
    node.drain(FOR_EVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_crash_leaves_of_the_wal_opens_and_holds_every_guarantee() {
    let house = lived_in().await;
    let from = house.services.database.path().to_owned();
    let whole = fs::metadata(format!("{}-wal", from.display())).unwrap();
    let whole = usize::try_from(whole.len()).unwrap();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut states, mut rows, mut went_on) = (BTreeSet::new(), 0, 0);

    for copy in 0..COPIES {
        // The schema lies in the beginning, and is of no interest.
        let cut = random.random_range(whole / 4..=whole);
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("wharfinger.db");
        copied(&from, &to, cut);
        let when = format!("after {cut} of {whole} bytes of the WAL");
        let database = Database::open(&to).await.unwrap();
        let all = examined(&database, &when).await;
        let seen: usize = all.iter().map(|record| record.rows.len()).sum();
        states.insert(seen);
        rows += seen;
        if copy % (COPIES / WENT_ON) == 0 {
            let open = all.iter().filter(|it| it.head.state.is_driven());
            let open: Vec<PlanId> = open.map(|record| record.plan).collect();
            goes_on(&database, &house, &open).await;
            examined(&database, &format!("{when}, and then gone on")).await;
            went_on += open.len();
        }
        database.close().await;
    }

    println!(
        "{COPIES} copies of {whole} bytes of WAL in {} states, {rows} rows examined, {went_on} plans gone on with",
        states.len()
    );
    assert!(states.len() >= 30, "{} states", states.len());
    assert!(rows >= 1000 && went_on >= 8, "{rows} rows, {went_on} plans");
}
