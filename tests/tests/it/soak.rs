//! The soak: writers that share layers, readers, a collector each second and kills, while hours pass in seconds.
//!
//! Ten minutes of the machine are four days of the server, whose clock is put forward by a minute each tenth of a second. So a
//! promise of an hour lasts six seconds, and what nothing needs is collected after them, under everybody's hands. A ledger knows
//! what was acknowledged; whoever got no answer, because the server was killed, asks again until there is one.

mod collector;
mod hands;
mod images;
mod ledger;
mod readers;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tests::digest;
use tests::oci_client::OciClient;
use tests::rest::{Rest, text};
use tests::server::{ADMIN, Server};
use tests::turn;
use tests::wall_clock::{Millis, WallClock, millis};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use collector::Runs;
use images::Images;
use ledger::Ledger;
use wire::{Tally, Wire};

/// What is promised: the least that the setting takes.
const BLOB_GRACE: Duration = Duration::from_hours(1);
/// A deleted repository is brought back within this.
const UNDO_WINDOW: Duration = Duration::from_hours(3);
/// Uploads that nobody goes on with are kept so long.
const UPLOAD_EXPIRY: Duration = Duration::from_hours(2);
/// So many versions of a repository stay.
const VERSIONS_KEPT: usize = 2;
/// The server's clock is put forward by this…
const STEP: Duration = Duration::from_mins(1);
/// …each time this has passed.
const EACH: Duration = Duration::from_millis(100);

/// A line for each request would be gigabytes.
const QUIETLY: &str = "--log-level=info,wharfinger::http::log=warn";

const WRITERS: usize = 8;
const READERS: usize = 2;
/// The repositories that each writer has to itself; one more is shared by all.
const OWN: usize = 3;

const MIN_EVENTS: u64 = 50_000;
const MIN_COLLECTIONS: u64 = 100;
const MIN_MET: u64 = 100;
const MIN_RESTARTS: u64 = 4;
/// However soon the counts are reached, it goes on for so long.
const AT_LEAST: Duration = Duration::from_mins(2);
/// However slow the machine is.
const AT_MOST: Duration = Duration::from_mins(10);
/// Runs it for so many minutes, whatever the counts are then.
const MINUTES: &str = "WHARFINGER_SOAK_MINUTES";
/// Every run meets at other moments; what each hand does next is the same.
const SEED: u64 = 20_260_702;

/// What all hands work on, and what they know together.
struct World {
    clock: WallClock,
    wire: Wire,
    images: Images,
    ledger: Mutex<Ledger>,
    runs: Mutex<Runs>,
    tally: Tally,
    /// How many cleanups were seen to come to the blobs: who waits for the next one sees it here.
    collecting: watch::Sender<u64>,
    enough: AtomicBool,
}

impl World {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no hand panicked")
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().expect("no hand panicked")
    }

    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_stays_and_what_nothing_needs_goes_while_days_pass_in_minutes() {
    let _turn = turn::heavy().await;
    let wanted = wanted_time();
    // Behind the machine's at the end too: what a kill leaves in the content folder has the machine's time, and counts as new.
    let hours = wanted.unwrap_or(AT_MOST).as_secs() * 600 / 3600 + 24;
    let clock = WallClock::behind(Duration::from_hours(hours));
    let expiry = format!("--upload-expiry={}s", UPLOAD_EXPIRY.as_secs());
    let mut server = Server::start_through(&clock.words(), &[&expiry, QUIETLY]).await;
    let token = prepare(&server.rest()).await;
    let images = Images::make(WRITERS);
    let world = Arc::new(World {
        ledger: Mutex::new(Ledger::new(&images, WRITERS, OWN)),
        wire: Wire::new(&server.host(), token.clone()),
        runs: Mutex::default(),
        tally: Tally::default(),
        collecting: watch::Sender::new(0),
        enough: AtomicBool::new(false),
        clock,
        images,
    });
    assert_goes_by_the_clock(&world).await;

    let begun = Instant::now();
    // The hands share a thread: there is one core for them, and one for the server.
    let hands = LocalSet::new();
    let restarts = hands.run_until(soak(&world, &mut server, wanted)).await;
    let rest = server.rest().with_token(token.clone());
    rest.until_no_task_is_open(Duration::from_mins(2)).await;
    collector::learn_of_others(&world).await;
    let lasted = begun.elapsed();
    let (met, figures) = {
        let mut runs = world.runs();
        (runs.count_met(world.clock.at_least()), runs.figures())
    };
    println!("{:#?}", world.tally.counts());
    println!(
        "{} events in {} s, {restarts} restarts; {figures}; {met} pushes met a blob in collection",
        world.tally.sum(),
        lasted.as_secs(),
    );

    assert_nothing_is_wrong_but_what_kills_leave(&server).await;
    let oci = OciClient::with_login(&server.host(), ADMIN, &token);
    let tags = assert_all_is_there(&world, &oci).await;
    println!("{tags} tags were pulled whole at the end");
    let collections = world.runs().collections();
    assert!(world.tally.sum() >= MIN_EVENTS);
    assert!(collections >= MIN_COLLECTIONS, "{collections} collections");
    assert!(met >= MIN_MET, "{met} pushes");
    assert!(restarts >= MIN_RESTARTS, "{restarts} restarts");

    let removed = empty(&rest, &world.clock).await;
    println!("in the end the cleanup removed {removed}");
    let objects = files_below(&server.data_dir().join("content/objects"));
    assert_eq!(objects, [""; 0], "files that nothing names");
    let all_is_well = server.doctor().await.expect_code(0).stdout;
    assert!(
        all_is_well.contains("repositories: 0") && all_is_well.contains("blobs: 0,"),
        "{all_is_well}"
    );
}

/// A kill in the middle of an upload leaves a file that no row names, until it is as old as the grace.
async fn assert_nothing_is_wrong_but_what_kills_leave(server: &Server) {
    let told = server.doctor().await.stdout;
    let mut findings = told.lines().filter(|line| !line.contains("(tasks: "));
    assert!(
        findings.all(|finding| finding.contains("an upload was broken off before its end")),
        "{told}"
    );
}

/// How long somebody wants it to run.
fn wanted_time() -> Option<Duration> {
    let minutes = std::env::var_os(MINUTES)?;
    let minutes = minutes.to_str().and_then(|text| text.parse().ok());
    Some(Duration::from_mins(minutes.unwrap_or_else(|| {
        panic!("{MINUTES} is a number of minutes")
    })))
}

/// Sets what is promised, lets the built-in cleanup run each minute, and answers with a token.
async fn prepare(rest: &Rest) -> String {
    let retention = json!({ "success": "1h", "other": "1d", "workflows": { "delete_repository": { "success": "6h" } } });
    for (name, value) in [
        ("blob_grace", hours(BLOB_GRACE)),
        ("undo_window", hours(UNDO_WINDOW)),
        ("version_retention", json!(VERSIONS_KEPT)),
        ("task_retention", retention),
    ] {
        let path = format!("/settings/{name}");
        rest.patch(&path, &json!({ "value": value }))
            .await
            .expect_status(200);
    }
    let schedules = rest.all("/schedules", "").await;
    let cleanup = schedules.iter().find(|it| it["name"] == "cleanup");
    let path = format!("/schedules/{}", cleanup.expect("it is built in")["id"]);
    rest.patch(&path, &json!({ "cron": "* * * * *" }))
        .await
        .expect_status(200);
    let made = rest.post("/tokens", &json!({ "name": "soak" })).await;
    text(&made.expect_status(201).json()["token"]).to_owned()
}

fn hours(time: Duration) -> Value {
    json!(format!("{}h", time.as_secs() / 3600))
}

/// Otherwise nothing of what follows would be shown.
async fn assert_goes_by_the_clock(world: &World) {
    let before = world.clock.at_least();
    let dry = json!({ "dry_run": true });
    let task = world.wire.post("/tasks/cleanup", &dry).await;
    let task = task.expect("the server runs").expect_status(202);
    let made_at = collector::time_of(&task.json()["created_at"]);
    assert!(
        (before..=world.clock.at_most()).contains(&made_at),
        "libfaketime does not move the server's clock: {task}"
    );
}

/// Lets all hands work, and the server end and start again, until there was enough of it; answers how often.
async fn soak(world: &Arc<World>, server: &mut Server, wanted: Option<Duration>) -> u64 {
    let begun = Instant::now();
    let mut crew = JoinSet::new();
    for writer in 0..WRITERS {
        crew.spawn_local(hands::work(Arc::clone(world), writer));
    }
    for reader in 0..READERS {
        crew.spawn_local(readers::read(Arc::clone(world), reader));
    }
    crew.spawn_local(collector::collect(Arc::clone(world)));
    let mut ticking = JoinSet::new();
    ticking.spawn_local(tick(Arc::clone(world)));

    let mut random = StdRng::seed_from_u64(SEED);
    let mut restarts = 0;
    let mut next = Instant::now() + Duration::from_secs(15);
    while !is_enough(world, begun.elapsed(), restarts, wanted) {
        tokio::time::sleep(EACH).await; // the length of the soak is what was asked for
        if let Some(ended) = crew.try_join_next() {
            ended.expect("no hand ends before all do");
            panic!("a hand ended before there was enough");
        }
        if Instant::now() < next {
            continue;
        }
        if restarts % 3 == 2 {
            server.terminate().await;
            assert_eq!(server.ended().await, 0);
        } else {
            server.kill().await;
        }
        server.restart().await;
        restarts += 1;
        let (collections, met) = {
            let mut runs = world.runs();
            (runs.collections(), runs.count_met(world.clock.at_least()))
        };
        println!(
            "after {} s: {} events, {collections} collections, {met} pushes met one",
            begun.elapsed().as_secs(),
            world.tally.sum(),
        );
        next = Instant::now() + Duration::from_secs(random.random_range(18..28));
    }
    world.enough.store(true, Ordering::SeqCst);
    crew.join_all().await;
    ticking.join_all().await;
    restarts
}

fn is_enough(world: &World, lasted: Duration, restarts: u64, wanted: Option<Duration>) -> bool {
    if let Some(wanted) = wanted {
        return lasted >= wanted;
    }
    let counted = || {
        let now = world.clock.at_least();
        let mut runs = world.runs();
        world.tally.sum() >= MIN_EVENTS
            && restarts >= MIN_RESTARTS
            && runs.collections() >= MIN_COLLECTIONS
            && runs.count_met(now) >= MIN_MET
    };
    lasted >= AT_MOST || lasted >= AT_LEAST && counted()
}

/// Puts the server's clock forward, evenly.
async fn tick(world: Arc<World>) {
    let mut ticks = tokio::time::interval(EACH);
    while world.goes_on() {
        ticks.tick().await;
        world.clock.forward(STEP);
    }
}

/// Fails the test unless every tag that was acknowledged and not deleted is pulled whole, and no other one is there; answers how
/// many there were.
async fn assert_all_is_there(world: &World, oci: &OciClient) -> usize {
    let expected = world.ledger().tags_by_name();
    let mut pulled = 0;
    for (name, tags) in &expected {
        let names: Vec<_> = tags.keys().cloned().collect();
        let listed = oci
            .request(reqwest::Method::GET, &format!("/v2/{name}/tags/list?n=500"))
            .basic_auth(ADMIN, Some(world.wire.token()));
        let listed = oci.send(listed).await;
        if names.is_empty() && listed.status == 404 {
            continue; // it is deleted
        }
        assert_eq!(
            listed.expect_status(200).json()["tags"],
            json!(names),
            "{name}"
        );
        for (tag, image) in tags {
            readers::assert_whole(world, name, tag, *image).await;
            pulled += 1;
        }
    }
    pulled
}

/// Deletes all repositories, lets all times pass, and cleans up until there is nothing to do; answers with what went.
async fn empty(rest: &Rest, clock: &WallClock) -> String {
    for repository in rest.all("/repositories", "").await {
        let path = format!("/repositories/{}", repository["id"]);
        let task = rest.begun(rest.delete(&path).await).await;
        assert_eq!(task["result"], "success", "{task}");
    }
    let behind = clock.at_least();
    // Beyond the machine's time by now, so that what kills have left in the content folder has had its time too.
    clock.set(behind + millis(Duration::from_hours(24 * 60)));
    let first = clean(rest).await;
    let second = clean(rest).await;
    assert_eq!(second, "", "the second cleanup found something");
    first
}

/// Cleans up; answers with what was removed of what is kept.
async fn clean(rest: &Rest) -> String {
    let begun = rest.post("/tasks/cleanup", &json!({})).await;
    let begun = begun.expect_status(202).json();
    let ended = rest.until_state(text(&begun["id"]), "stopped").await;
    assert_eq!(ended["result"], "success", "{ended}");
    let figures = collector::FIGURES.iter();
    let figures =
        figures.map(|(step, figure)| (figure, collector::figure_of(&ended, step, figure)));
    let removed = figures.filter(|(figure, n)| *n > 0 && **figure != "tasks");
    let removed: Vec<_> = removed.map(|(figure, n)| format!("{n} {figure}")).collect();
    removed.join(", ")
}

fn files_below(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the content folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path.display().to_string());
        }
    }
    files
}

/// Whether bytes are those of this digest.
fn are(bytes: &[u8], digest: &str) -> bool {
    digest::of(bytes) == digest
}

/// A time before which a promise that was given at another one counts.
fn end_of(promise: Millis) -> Millis {
    promise + millis(BLOB_GRACE)
}
