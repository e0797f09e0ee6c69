//! The collector: a cleanup each second, what each of them took, and which pushes it met.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::rest::{step, text};
use tests::wall_clock::{Millis, from_rfc3339};

use super::World;
use super::wire::{Lost, stubbornly, until};

/// A push that needs blobs which are due: nothing else needs them, and their grace has passed.
///
/// It has *met a blob in collection* if the step `collect_garbage` of some cleanup ran while the push did, which had to decide on a
/// blob that the push asked for, mounted or uploaded at that very time: it was due before that cleanup looked at the versions, and
/// no cleanup before had the chance to take it, none that looked at the versions after the blob was surely due and had ended its
/// `collect_garbage` before the push began.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) blobs: Vec<Due>,
    pub(super) begun: Millis,
    pub(super) ended: Millis,
}

/// Since when a blob may be collected. How exactly the registry has written down when it was used last is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) maybe_since: Millis,
    pub(super) surely_since: Millis,
}

/// When a cleanup looked.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// At versions, manifests and links: `prune_versions` began.
    at_versions: Millis,
    /// At blobs: `collect_garbage` began and ended.
    at_blobs: (Millis, Millis),
}

impl Candidate {
    fn has_met(&self, runs: &BTreeMap<String, Looked>) -> bool {
        self.blobs.iter().any(|blob| {
            let mut meets = false;
            for run in runs.values() {
                let (began, ended) = run.at_blobs;
                if run.at_versions >= blob.surely_since && ended <= self.begun {
                    return false;
                }
                meets |= run.at_versions >= blob.maybe_since
                    && began <= self.ended
                    && ended >= self.begun;
            }
            meets
        })
    }
}

/// All cleanups, whoever began them.
#[derive(Default)]
pub(super) struct Runs {
    looked: BTreeMap<String, Looked>,
    /// Those that took something, and what they took in all.
    took: BTreeMap<&'static str, (u64, u64)>,
    /// How many have deleted blobs.
    collections: u64,
    /// Every cleanup that was begun before this is known, with all its times.
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

    /// How many pushes have met a blob in collection, of those that ended before `now`.
    pub(super) fn count_met(&mut self, now: Millis) -> u64 {
        while let Some(push) = self
            .candidates
            .pop_front_if(|push| push.ended < self.known_until.min(now))
        {
            self.met += u64::from(push.has_met(&self.looked));
        }
        self.met
    }

    /// For people.
    pub(super) fn figures(&self) -> String {
        let took = self.took.iter();
        let took = took.map(|(what, (runs, sum))| format!("{sum} {what} by {runs}"));
        format!(
            "{} cleanups, of which {} collected blobs ({})",
            self.looked.len(),
            self.collections,
            took.collect::<Vec<_>>().join(", ")
        )
    }

    fn ended(&mut self, task: &Value) {
        let time = |of: &str, when: &str| {
            let time = &step(task, of)[when];
            (!time.is_null()).then(|| time_of(time))
        };
        let times = (
            time("prune_versions", "started_at"),
            time("collect_garbage", "started_at"),
            time("collect_garbage", "ended_at"),
        );
        let (Some(at_versions), Some(began), Some(ended)) = times else {
            return;
        };
        let looked = Looked {
            at_versions,
            at_blobs: (began, ended),
        };
        let id = text(&task["id"]).to_owned();
        if self.looked.insert(id, looked).is_some() {
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
        let id = stubbornly("a cleanup", async || begin(&world).await).await;
        let mut is_told = false;
        let task = until("the end of a cleanup", async || {
            let task = world.wire.get(&format!("/tasks/{id}")).await?;
            let task = task.expect_status(200).json();
            if !is_told && step(&task, "prune_versions")["state"] == "success" {
                world.collecting.send_modify(|runs| *runs += 1);
                is_told = true;
            }
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
pub(super) async fn learn_of_others(world: &World) {
    let mut known_until = world.clock.at_least();
    let ask = async |search| {
        let ask = async || world.wire.search("/tasks", search).await;
        stubbornly("the cleanups", ask).await
    };
    // Those first: one that ends meanwhile is found among the others.
    for open in ask("label = cleanup and state != stopped").await {
        known_until = known_until.min(time_of(&open["created_at"]));
    }
    for listed in ask("label = cleanup and state = stopped and ended_at > \"2 hours ago\"").await {
        let id = text(&listed["id"]);
        if world.runs().looked.contains_key(id) {
            continue;
        }
        let path = format!("/tasks/{id}");
        let task = stubbornly("a cleanup", async || world.wire.get(&path).await).await;
        if task.status == 200 {
            world.runs().ended(&task.json());
        }
    }
    world.runs().known_until = known_until;
}
