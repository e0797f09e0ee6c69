//! People who begin rehearsals and operate them without a pause, and remember all that was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tests::rest::{Rest, text};
use tokio::task::JoinSet;

/// As impatient as a client may be.
const BEFORE_RETRY: Duration = Duration::from_millis(10);
/// So long after a rehearsal was begun, or something was done to one, comes the next.
const BETWEEN: Duration = Duration::from_millis(25);
/// More open ones would only wait for each other.
const MOST_OPEN: usize = 16;

/// Something that was done to a task and acknowledged, which its history must show.
pub(crate) struct Did {
    /// The task.
    pub(crate) task: String,
    /// What was done.
    pub(crate) action: &'static str,
    /// The reason that was given, which no other has.
    pub(crate) reason: String,
}

#[derive(Default)]
struct Board {
    begun: Mutex<Vec<String>>,
    /// Those that are perhaps open.
    open: Mutex<Vec<String>>,
    did: Mutex<Vec<Did>>,
    refused: Mutex<BTreeMap<&'static str, usize>>,
    mended: Mutex<usize>,
    enough: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}

/// Those people, and what they remember.
pub(crate) struct Company {
    board: Arc<Board>,
    people: JoinSet<()>,
}

/// All that was acknowledged.
pub(crate) struct Remembered {
    /// Rehearsals that were begun.
    pub(crate) begun: Vec<String>,
    /// What was done to them.
    pub(crate) did: Vec<Did>,
    /// How often what did not fit.
    pub(crate) refused: BTreeMap<&'static str, usize>,
    /// How often a task was resumed that was taken for poison.
    pub(crate) mended: usize,
}

impl Company {
    /// Begins to work.
    pub(crate) fn set_to_work(rest: &Rest, seed: u64) -> Self {
        let board = Arc::<Board>::default();
        let mut people = JoinSet::new();
        let random = |who: u64| StdRng::seed_from_u64(seed + who);
        people.spawn(begin(rest.clone(), Arc::clone(&board), random(1)));
        people.spawn(operate(rest.clone(), Arc::clone(&board), random(2)));
        people.spawn(operate(rest.clone(), Arc::clone(&board), random(3)));
        people.spawn(mend(rest.clone(), Arc::clone(&board)));
        Self { board, people }
    }

    /// Lets everybody end what they are at; answers with all that was acknowledged.
    pub(crate) async fn finish(self) -> Remembered {
        self.board.enough.store(true, Ordering::SeqCst);
        self.people.join_all().await;
        Remembered {
            begun: std::mem::take(&mut *locked(&self.board.begun)),
            did: std::mem::take(&mut *locked(&self.board.did)),
            refused: std::mem::take(&mut *locked(&self.board.refused)),
            mended: *locked(&self.board.mended),
        }
    }
}

/// A rehearsal of any size and any misfortune.
fn any_rehearsal(random: &mut StdRng) -> Value {
    const STEPS: [&str; 7] = [
        "begin",
        "work_elsewhere",
        "wait_for_event",
        "wait_a_while",
        "only_once",
        "play",
        "finish",
    ];
    let mut rehearsal = json!({
        "parts": random.random_range(0..7),
        "work_ms": random.random_range(0..150),
        "elsewhere_ms": random.random_range(0..400),
        "event_ms": random.random_range(50..800),
        "pause_ms": random.random_range(0..300),
    });
    if random.random_range(0..3) == 0 {
        let stage = ["north", "south"][random.random_range(0..2)];
        rehearsal["stage"] = json!(stage);
    }
    let faults = (0..random.random_range(0..3)).map(|_| {
        json!({
            "step": STEPS[random.random_range(0..STEPS.len())],
            "attempts": random.random_range(1..3),
            "transient": random.random_range(0..3) > 0,
            "undo": random.random_range(0..3) == 0,
        })
    });
    rehearsal["faults"] = faults.collect();
    rehearsal
}

async fn begin(rest: Rest, board: Arc<Board>, mut random: StdRng) {
    while !board.enough.load(Ordering::SeqCst) {
        let open = locked(&board.open).clone();
        if open.len() >= MOST_OPEN {
            forget_the_ended(&rest, &board, open).await;
            tokio::time::sleep(BETWEEN).await;
            continue;
        }
        let wanted = any_rehearsal(&mut random);
        let Ok(answer) = rest.try_post("/drills/rehearsals", &wanted).await else {
            tokio::time::sleep(BEFORE_RETRY).await; // the server has just been killed
            continue;
        };
        if answer.status == 202 {
            let id = text(&answer.json()["id"]).to_owned();
            locked(&board.open).push(id.clone());
            locked(&board.begun).push(id);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn forget_the_ended(rest: &Rest, board: &Board, open: Vec<String>) {
    for id in open {
        let path = format!("/tasks/{id}");
        let Ok(answer) = rest.try_ask(&path).await else {
            return;
        };
        if answer.status == 200 && answer.json()["state"] == "stopped" {
            locked(&board.open).retain(|known| *known != id);
        }
    }
}

/// Resumes what is paused because kills met it again and again: it is not what kills the server.
async fn mend(rest: Rest, board: Arc<Board>) {
    while !board.enough.load(Ordering::SeqCst) {
        tokio::time::sleep(BETWEEN).await;
        let Ok(paused) = rest.try_all_paused().await else {
            continue;
        };
        for task in paused.iter().filter(|task| task["reason"] == "poison") {
            let path = format!("/tasks/{}/resume", text(&task["id"]));
            if let Ok(answer) = rest.try_post(&path, &json!({})).await
                && answer.status == 202
            {
                *locked(&board.mended) += 1;
            }
        }
    }
}

/// Does anything to any task, whether it fits or not.
async fn operate(rest: Rest, board: Arc<Board>, mut random: StdRng) {
    let name = random.random::<u32>();
    let mut n = 0;
    while !board.enough.load(Ordering::SeqCst) {
        tokio::time::sleep(BETWEEN).await;
        let known = locked(&board.begun).clone();
        if known.is_empty() {
            continue;
        }
        // Mostly one of the last, which is open.
        let from = known.len().saturating_sub(MOST_OPEN * 2);
        let task = known[random.random_range(from..known.len())].clone();
        let (action, path) = any_action(&mut random);
        n += 1;
        let reason = format!("wish {n} of {name}");
        let path = format!("/tasks/{task}/{path}");
        let Ok(answer) = rest.try_post(&path, &json!({"reason": reason})).await else {
            continue; // nobody knows whether it was heard
        };
        match answer.status {
            202 => locked(&board.did).push(Did {
                task,
                action,
                reason,
            }),
            409 => *locked(&board.refused).entry(action).or_default() += 1,
            503 => {} // it is kept, and nobody has read it in time
            _ => panic!("{answer}"),
        }
    }
}

fn any_action(random: &mut StdRng) -> (&'static str, &'static str) {
    match random.random_range(0..20) {
        0..6 => ("event", "events/go"),
        6..9 => ("resume", "resume"),
        9..11 => ("hold", "hold"),
        11..13 => ("release", "release"),
        13..16 => ("revert", "revert"),
        16 => ("cancel", "cancel"),
        17 => ("abort", "abort"),
        18 => ("retry_now", "steps/work_elsewhere/retry_now"),
        _ => ("skip", "steps/finish/skip"),
    }
}
