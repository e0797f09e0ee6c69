//! Schedules by a clock that the test moves: each of their times comes once, whatever the server and the zone do meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};
use tests::wall_clock::{Millis, WallClock, from_rfc3339, millis_of_minutes};

use crate::keeping::{fired, schedule};

const ZONE: &str = "Europe/Berlin";
/// The clock is put so far past each minute.
const PAST: Millis = 5_000;

/// A server by its clock, with schedules that run each minute and differ in what becomes of missed runs.
struct Watch {
    server: Server,
    clock: WallClock,
    /// The minute that came last, since 1970.
    minute: Millis,
    /// The first minute that was to come.
    first: Millis,
    /// Minutes that passed without a server, and more than a minute before the next one.
    missed: BTreeSet<Millis>,
    /// How often several such minutes were made good by one run.
    outages: u64,
    kills: u64,
}

impl Watch {
    /// Starts a server at this minute.
    async fn start(at: &str) -> Self {
        let start = from_rfc3339(at);
        let clock = WallClock::at(start + PAST);
        let server = Server::start_through(&clock.words(), &[]).await;
        let rest = server.rest();
        for (name, cron, missed) in [
            ("all", "* * * * *", "all"),
            ("skip", "* * * * *", "skip"),
            ("hours", "*/10 2 * * *", "all"),
        ] {
            let new = json!({
                "name": name, "workflow": "cleanup", "input": {"dry_run": true},
                "cron": cron, "time_zone": ZONE, "missed": missed,
            });
            let made = rest.post("/schedules", &new).await.expect_status(201);
            let shown = made.json();
            assert!(
                from_rfc3339(text(&shown["created_at"])) - start < millis_of_minutes(1),
                "libfaketime does not move the server's clock: {shown}"
            );
        }
        let path = format!("/schedules/{}", schedule(&rest, "cleanup").await["id"]);
        let changes = json!({"cron": "* * * * *", "time_zone": ZONE});
        rest.patch(&path, &changes).await.expect_status(200);
        let minute = start / millis_of_minutes(1);
        Self {
            server,
            clock,
            minute,
            first: minute + 1,
            missed: BTreeSet::new(),
            outages: 0,
            kills: 0,
        }
    }

    fn put_forward(&mut self, minutes: Millis) {
        self.minute += minutes;
        self.clock.set(millis_of_minutes(self.minute) + PAST);
    }

    /// Waits until every time up to now is fired or passed over, and what was begun is done.
    async fn settle(&self) {
        let (rest, now) = (self.server.rest(), millis_of_minutes(self.minute) + PAST);
        wait::until("no schedule is due", SOON, async || {
            let all = rest.all("/schedules", "").await;
            let next = |it: &Value| from_rfc3339(text(&it["next_run_at"]));
            all.iter().all(|it| next(it) > now).then_some(())
        })
        .await;
        rest.until_no_task_is_open(SOON).await;
    }

    /// Lets so many minutes come, one after the other.
    async fn pass(&mut self, minutes: Millis) {
        for _ in 0..minutes {
            self.put_forward(1);
            self.settle().await;
        }
    }

    /// Lets minutes come, and kills the server as soon as each has come: before it was fired, while it is, or after that.
    async fn pass_with_kills(&mut self, minutes: Millis) {
        for n in 0..minutes {
            self.put_forward(1);
            let moment = u64::try_from(n * 331 % 1100).expect("it is positive");
            tokio::time::sleep(std::time::Duration::from_millis(moment)).await; // the moment is what is tried out
            self.server.kill().await;
            self.server.restart().await;
            self.kills += 1;
            self.settle().await;
        }
    }

    /// Ends the server, starts it again so much later, and notes what it has missed.
    async fn be_away(&mut self, minutes: Millis, with_kill: bool) {
        if with_kill {
            self.server.kill().await;
            self.kills += 1;
        } else {
            self.server.terminate().await;
            assert_eq!(self.server.ended().await, 0);
        }
        let last = self.minute;
        self.put_forward(minutes);
        self.server.restart().await;
        // The latest is on time.
        self.missed.extend(last + 1..self.minute);
        self.outages += 1;
        self.settle().await;
    }

    /// The tasks by nominal minute of a schedule; each minute has one, and they were begun in the order of their minutes.
    async fn fired(&self, name: &str) -> Vec<Millis> {
        let fired: BTreeMap<String, Vec<String>> = fired(&self.server, name).await;
        let mut minutes = Vec::new();
        let mut begun = Vec::new();
        for (nominal, tasks) in &fired {
            assert_eq!(tasks.len(), 1, "{name} ran twice for {nominal}: {tasks:?}");
            minutes.push(from_rfc3339(nominal) / millis_of_minutes(1));
            // The beginning of an id is the time at which its task was begun.
            begun.push(tasks[0][..13].to_owned());
        }
        assert!(begun.is_sorted(), "{name}: {fired:?}");
        minutes
    }

    /// Whatever happened: of `all` each minute has run once, of `skip` each that came while a server ran, and the built-in one has
    /// made each outage good by one run.
    async fn assert_each_minute_came_once(&self) {
        let each: Vec<_> = (self.first..=self.minute).collect();
        let on_time: Vec<_> = each
            .iter()
            .copied()
            .filter(|minute| !self.missed.contains(minute))
            .collect();
        assert_eq!(self.fired("all").await, each);
        assert_eq!(self.fired("skip").await, on_time);
        // None of them met one that was still open, which would have stood for it.
        assert_eq!(self.fired("cleanup").await, on_time);
        let rest = self.server.rest();
        assert_eq!(runs(&rest, "cleanup").await, on_time.len());
        assert_eq!(runs(&rest, "all").await, each.len());
        println!(
            "{} minutes, of which {} came while the server ran; {} outages, {} kills",
            each.len(),
            on_time.len(),
            self.outages,
            self.kills
        );
        assert!(each.len() >= 60 && self.missed.len() >= 10 && self.kills >= 5);
    }
}

async fn runs(rest: &Rest, name: &str) -> usize {
    let runs = schedule(rest, name).await["runs"].as_u64();
    usize::try_from(runs.expect("a number")).expect("it is small")
}

fn minutes(times: &[&str]) -> Vec<Millis> {
    let minutes = times.iter().map(|time| from_rfc3339(time));
    minutes.map(|time| time / millis_of_minutes(1)).collect()
}

/// In Berlin it is 01:59, and then 03:00.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_minute_comes_once_over_restarts_and_the_hour_that_is_left_out_in_spring() {
    let _turn = turn::heavy().await;
    let mut watch = Watch::start("2026-03-29T00:28:00.000Z").await;

    watch.pass(8).await; // 00:36
    watch.be_away(7, true).await; // 00:43
    watch.pass_with_kills(4).await;
    watch.be_away(8, false).await; // 00:55
    watch.pass(3).await; // 00:58, in Berlin 01:58
    watch.pass_with_kills(4).await; // 01:02, in Berlin 03:02
    watch.pass(3).await;
    watch.put_forward(15); // as where a machine was suspended: 01:20
    watch.missed.extend(watch.minute - 14..watch.minute);
    watch.settle().await;
    watch.be_away(8, true).await;
    watch.pass(12).await; // 01:40, in Berlin 03:40

    watch.assert_each_minute_came_once().await;
    assert_eq!(
        watch.fired("hours").await,
        minutes(&["2026-03-29T01:00:00.000Z"]),
        "all times of the hour that is left out are one, after it"
    );
}

/// In Berlin it is 02:59, and then 02:00 once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_minute_comes_once_over_restarts_and_the_hour_that_comes_twice_in_autumn() {
    let _turn = turn::heavy().await;
    let mut watch = Watch::start("2026-10-25T00:26:00.000Z").await;

    watch.pass(6).await;
    watch.be_away(9, false).await; // 00:41, in Berlin 02:41
    watch.pass_with_kills(3).await;
    watch.be_away(12, true).await; // 00:56
    watch.pass(2).await; // 00:58, in Berlin 02:58
    watch.pass_with_kills(4).await; // 01:02, in Berlin 02:02 once more
    watch.pass(3).await;
    watch.be_away(17, false).await; // 01:22
    watch.pass(18).await; // 01:40, in Berlin 02:40 once more

    watch.assert_each_minute_came_once().await;
    assert_eq!(
        watch.fired("hours").await,
        minutes(&[
            "2026-10-25T00:30:00.000Z",
            "2026-10-25T00:40:00.000Z",
            "2026-10-25T00:50:00.000Z",
        ]),
        "a time that comes twice runs the first time"
    );
}
