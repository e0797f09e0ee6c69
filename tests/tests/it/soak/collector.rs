//! The collector: a cleanup each second, what each of them took, and which pushes it met.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::rest::{step, text};
use tests::wall_clock::{Millis, from_rfc3339};

use super::World;
use super::wire::{Lost, stubbornly, until};

/// A push that needs a blob which is due: nothing else needs it, and its grace has passed.
///
/// It has *met a blob in collection* if the step `collect_garbage` of some cleanup ran while the push did, and none before it had
/// the chance to take the blob: no other `collect_garbage` began after the blob was due and ended before the push began. So that
/// step had to decide on the very blob that the push asked for, mounted or uploaded at that time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) due_since: Millis,
    pub(super) begun: Millis,
    pub(super) ended: Millis,
}

/// All cleanups, whoever began them.
#[derive(Default)]
pub(super) struct Runs {
    /// When `collect_garbage` of each began and ended.
    collecting: BTreeMap<String, (Millis, Millis)>,
    /// Those that took something, and what they took in all.
    took: BTreeMap<&'static str, (u64, u64)>,
    /// How many have deleted blobs.
    collections: u64,
    /// Everything that ended before this is known.
    known_until: Millis,
    candidates: VecDeque<Candidate>,
    met: u64,
}

/// The figures of the steps that tell of what is kept.
pub(super) const FIGURES: [(&str, &str); 7] = [
    ("expire_uploads", "sessions"),
    ("collect_deleted", "repositories"),
    ("prune_versions", "versions"),
    ("prune_versions", "manifests"),
    ("collect_garbage", "blobs"),
    ("collect_garbage", "objects_without_row"),
    ("delete_tasks", "tasks"),
];

impl Runs {
    /// How many have deleted blobs.
    pub(super) fn collections(&self) -> u64 {
        self.collections
    }

    /// A push has ended.
    pub(super) fn candidate(&mut self, candidate: Candidate) {
        self.candidates.push_back(candidate);
    }

    /// What the last one that is known has seen: who is due since then is still there.
    pub(super) fn seen_until(&self) -> Millis {
        let began = self.collecting.values().map(|(began, _)| *began);
        began.max().unwrap_or_default()
    }

    /// How many pushes have met a blob in collection, of those that ended before `now`.
    pub(super) fn count_met(&mut self, now: Millis) -> u64 {
        while let Some(push) = self
            .candidates
            .pop_front_if(|push| push.ended < self.known_until.min(now))
        {
            let mut runs = self.collecting.values();
            let had_its_chance = runs
                .clone()
                .any(|(began, ended)| *began >= push.due_since && *ended <= push.begun);
            let meets = runs.any(|(began, ended)| *began <= push.ended && *ended >= push.begun);
            self.met += u64::from(meets && !had_its_chance);
        }
        self.met
    }

    /// For people.
    pub(super) fn figures(&self) -> String {
        let took = self.took.iter();
        let took = took.map(|(what, (runs, sum))| format!("{sum} {what} by {runs}"));
        format!(
            "{} cleanups, of which {} collected blobs ({})",
            self.collecting.len(),
            self.collections,
            took.collect::<Vec<_>>().join(", ")
        )
    }

    fn ended(&mut self, task: &Value) {
        let collecting = step(task, "collect_garbage");
        let (began, ended) = (&collecting["started_at"], &collecting["ended_at"]);
        if began.is_null() || ended.is_null() {
            return;
        }
        let times = (time_of(began), time_of(ended));
        let id = text(&task["id"]).to_owned();
        if self.collecting.insert(id, times).is_some() {
            return;
        }
        for (step, figure) in FIGURES {
            let n = figure_of(task, step, figure);
            if n > 0 {
                let (runs, sum) = self.took.entry(figure).or_default();
                (*runs, *sum) = (*runs + 1, *sum + n);
                self.collections += u64::from(figure == "blobs");
            }
        }
    }
}

/// What a step of a cleanup has done.
pub(super) fn figure_of(task: &Value, of: &str, figure: &str) -> u64 {
    step(task, of)["output"][figure].as_u64().unwrap_or(0)
}

/// A time as the API shows it.
pub(super) fn time_of(shown: &Value) -> Millis {
    from_rfc3339(text(shown))
}

/// Cleans up each second, until there was enough.
pub(super) async fn collect(world: Arc<World>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    while world.goes_on() {
        seconds.tick().await;
        world.begun.send_modify(|begun| *begun += 1);
        let id = stubbornly("a cleanup", async || begin(&world).await).await;
        let task = until("the end of a cleanup", async || {
            let task = world.wire.get(&format!("/tasks/{id}")).await?;
            let task = task.expect_status(200).json();
            Ok((task["state"] == "stopped").then_some(task))
        });
        let task = task.await;
        assert_eq!(task["result"], "success", "{task}");
        world.tally.add("cleanup");
        world.runs().ended(&task);
        learn_of_others(&world).await;
        world.ledger().forget_the_deleted(world.clock.at_least());
    }
}

async fn begin(world: &World) -> Result<String, Lost> {
    let begun = world.wire.post("/tasks/cleanup", &json!({})).await?;
    Ok(text(&begun.expect_status(202).json()["id"]).to_owned())
}

/// Finds the cleanups that the schedule began.
async fn learn_of_others(world: &World) {
    let before = world.clock.at_least();
    let search = "label = cleanup and state = stopped and ended_at > \"2 hours ago\"";
    let stopped = stubbornly("the cleanups", async || {
        world.wire.search("/tasks", search).await
    });
    for listed in stopped.await {
        let id = text(&listed["id"]);
        if world.runs().collecting.contains_key(id) {
            continue;
        }
        let path = format!("/tasks/{id}");
        let task = stubbornly("a cleanup", async || world.wire.get(&path).await).await;
        if task.status == 200 {
            world.runs().ended(&task.json());
        }
    }
    let open = stubbornly("the open cleanups", async || {
        let search = "label = cleanup and state != stopped";
        world.wire.search("/tasks", search).await
    });
    // What is still open began after all that has ended before it.
    if open.await.is_empty() {
        world.runs().known_until = before;
    }
}
