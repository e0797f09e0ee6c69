//! One run: everything happens, then it must end well.

use super::chaos::{Chaos, Weather};
use super::closures::Closures;
use super::people::{Acknowledged, helps};
use super::tally::{Deed, Did, Tally};
use super::turns::Turns;
use super::verdict;
use super::witness::Witness;
use super::world::{World, workflows};
use crate::clock::{Clock, Timestamp};
use crate::journal::{Json, NodeId};
use crate::node::{Node, NodeOptions};
use crate::plan::Plan;
use crate::schedule::{Missed, Put, Schedule, ScheduleId};
use crate::state::PlanState;
use crate::store::memory::Memory;
use crate::store::{Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

pub(super) const TTL: Duration = Duration::from_secs(10);
/// So long the weather is bad.
const BAD: Duration = Duration::from_secs(40);
/// So long plans are kept after their end.
pub(super) const KEPT: Duration = Duration::from_secs(10);
/// So long it may take until everything has ended well.
const GOOD: Duration = Duration::from_mins(3);

/// A node, or a store, that is broken on purpose: whoever looks must see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// The store lets two owners write.
    FenceOff,
    /// A commit whose outcome is unknown counts as failed.
    UnknownIsFailure,
    /// What hints have lost is never looked for.
    HintsOnly,
    /// A failed step is undone, too.
    UndoesFailedSteps,
    /// A nominal time is fired by each node that finds it due, whoever has written the schedule meanwhile.
    FiresWhatIsFired,
    /// The store finds nobody in the way of a lock.
    LocksForAll,
    /// Plans are deleted as they were seen, whatever they have become since.
    ForgetsWhatWasSeen,
    /// All who wait for a place count as equally urgent.
    FirstComeFirstServed,
    /// Steps begin whatever gate is closed before them.
    PassesClosedGates,
}

/// Where everything random comes from.
#[derive(Clone, Debug)]
pub(super) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(super) fn below(&self, end: u32) -> u32 {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(0..end)
    }

    pub(super) fn part(&self) -> f64 {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random_range(0.0..1.0)
    }

    /// One of these.
    pub(super) fn one<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let count = u32::try_from(of.len()).ok().filter(|count| *count > 0)?;
        of.get(self.below(count) as usize)
    }

    fn seed(&self) -> u64 {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dice.random()
    }
}

/// Plays the seed; answers with what it did, or with everything that is wrong.
///
/// A run lasts some milliseconds: its time is virtual.
pub fn play(seed: u64, twin: Option<Twin>) -> Result<Did, Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| vec![error.to_string()])?;
    runtime.block_on(async {
        let scene = Scene::new(seed, twin).await?;
        scene.play().await
    })
}

pub(super) type SimNode = Node<World, Chaos>;

pub(super) struct Scene {
    pub(super) dice: Dice,
    pub(super) memory: Memory,
    pub(super) weather: Arc<Weather>,
    pub(super) world: Arc<World>,
    pub(super) witness: Arc<Witness>,
    twin: Option<Twin>,
    /// The seats of nodes: empty while dead.
    pub(super) nodes: Vec<Option<(SimNode, Chaos)>>,
    pub(super) acknowledged: Arc<Mutex<Acknowledged>>,
    /// The nominal times that come in this run.
    nominal: Vec<Timestamp>,
    /// Whoever waits for an answer.
    pub(super) people: JoinSet<()>,
}

impl Scene {
    async fn new(seed: u64, twin: Option<Twin>) -> Result<Self, Vec<String>> {
        let (dice, tally) = (Dice::new(seed), Arc::<Tally>::default());
        let turns = Turns::new(tally.clone());
        let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
        let witness = Witness::new(tally.clone(), turns.clone(), clock, KEPT);
        let weather = Arc::new(Weather {
            dice: dice.clone(),
            bad: AtomicBool::new(true),
            hints_only: twin == Some(Twin::HintsOnly),
            clock,
            ttl: TTL,
            tally: tally.clone(),
            turns,
        });
        let world = Arc::new(World {
            dice: dice.clone(),
            tally,
            troubled: AtomicBool::new(true),
            down: AtomicBool::new(false),
            seen: Mutex::default(),
            closures: Closures::default(),
        });
        let memory = Memory::witnessed(witness.clone(), twin);
        let nominal = schedule(&memory, weather.clock.now()).await?;
        let count = 2 + dice.below(2) as usize;
        let mut scene = Self {
            dice,
            memory,
            weather,
            world,
            witness,
            twin,
            nodes: (0..count).map(|_| None).collect(),
            acknowledged: Arc::default(),
            nominal,
            people: JoinSet::new(),
        };
        for seat in 0..count {
            scene.start(seat).await?;
        }
        Ok(scene)
    }

    fn note(&self, deed: Deed) {
        self.weather.tally.note(deed);
    }

    async fn start(&mut self, seat: usize) -> Result<(), Vec<String>> {
        let id = node_id(seat);
        let mut options = NodeOptions::new(id, format!("node {seat}"));
        options.lease_ttl = TTL;
        options.cancel_grace = Duration::from_secs(1);
        options.seed = Some(self.dice.seed());
        options.twin = self.twin;
        // Few enough that plans wait for each other.
        options.at_once = 1 + self.dice.below(3) as usize;
        options.steps_per_commit = if self.dice.below(2) == 0 { 1 } else { 16 };
        let is_held = self.weather.bad.load(Ordering::Relaxed) && self.dice.below(12) == 0;
        options.held_by = is_held.then(|| "somebody".to_owned());
        // Clocks differ by up to two seconds.
        let skew = i64::from(self.dice.below(4000)) - 2000;
        let clock = Clock::of_runtime(Timestamp(self.weather.clock.now().0 + skew));
        let knows = workflows().map_err(|error| vec![error])?;
        let chaos = Chaos::new(self.memory.clone(), self.weather.clone(), clock);
        let (world, store) = (self.world.clone(), chaos.clone());
        // In bad weather a start may fail: then the seat stays empty for now.
        if let Ok(node) = Node::start(options, store, world, knows, clock, None).await {
            self.nodes[seat] = Some((node, chaos));
            if is_held {
                self.note(Deed::HeldStart);
            }
        } else {
            self.note(Deed::FailedStart);
        }
        Ok(())
    }

    async fn play(mut self) -> Result<Did, Vec<String>> {
        let until = tokio::time::Instant::now() + BAD;
        let mut submitted = 0;
        while tokio::time::Instant::now() < until {
            let pause = Duration::from_millis(self.dice.below(800).into());
            tokio::time::sleep(pause).await;
            let seat =
                self.dice
                    .below(u32::try_from(self.nodes.len()).unwrap_or(1)) as usize;
            match self.dice.below(26) {
                0 => self.crash(seat).await,
                1 => {
                    if let Some((_, chaos)) = &self.nodes[seat] {
                        chaos.stand_still(TTL.mul_f64(self.dice.part() * 2.0));
                    }
                }
                2..8 if submitted < 8 => {
                    submitted += 1;
                    self.submit(seat);
                }
                8..16 => self.operate(seat),
                16 | 17 => self.forget_the_ended(seat),
                18 => self.drain(seat).await,
                20 | 21 => {
                    self.world.down.fetch_xor(true, Ordering::Relaxed);
                }
                22 => self.operate_a_gate(seat),
                _ if self.nodes[seat].is_none() => self.start(seat).await?,
                _ => {}
            }
        }
        self.clear_up().await?;
        let wrong = verdict::wrong(&self, &self.nominal).await;
        if wrong.is_empty() {
            Ok(self.weather.tally.did())
        } else {
            Err(wrong)
        }
    }

    async fn crash(&mut self, seat: usize) {
        if let Some((node, _)) = self.nodes[seat].take() {
            self.world.closures.dies(node.id());
            node.kill().await;
            self.note(Deed::Crash);
        }
    }

    /// Signs off, and lets end what is under way, or not.
    async fn drain(&mut self, seat: usize) {
        if let Some((node, _)) = self.nodes[seat].take() {
            self.world.closures.dies(node.id());
            node.drain(Duration::from_millis(self.dice.below(2000).into()))
                .await;
            self.note(Deed::Drain);
        }
    }

    /// The weather clears, all nodes are there, and whoever needs a person finds one.
    async fn clear_up(&mut self) -> Result<(), Vec<String>> {
        self.weather.bad.store(false, Ordering::Relaxed);
        self.world.troubled.store(false, Ordering::Relaxed);
        self.world.down.store(false, Ordering::Relaxed);
        for seat in 0..self.nodes.len() {
            if self.nodes[seat].is_none() {
                self.start(seat).await?;
            }
        }
        let node = self
            .nodes
            .iter()
            .flatten()
            .map(|(node, _)| node.clone())
            .next();
        let node = node.ok_or_else(|| vec!["no node starts in good weather".to_owned()])?;
        let until = tokio::time::Instant::now() + GOOD;
        loop {
            let (mail, due) = (self.memory.unread().await, self.memory.next_run().await);
            let is_late = tokio::time::Instant::now() > until;
            let help = {
                let record = self.witness.record();
                if !record.wrong.is_empty() {
                    return Err(record.wrong.clone());
                }
                let is_open = |plan: &&Plan| plan.state != PlanState::Stopped;
                let open: Vec<&Plan> = record.present().filter(is_open).collect();
                if open.is_empty() && mail == 0 && due.is_none() {
                    return Ok(());
                }
                if let Some(busy) = record.present().find(|plan| plan.seq > 2000) {
                    return Err(vec![format!("it goes round in circles: {}", told(busy))]);
                }
                if is_late {
                    return Err(stays(&open, mail, due));
                }
                let dice = &self.dice;
                let help = open
                    .into_iter()
                    .filter_map(|plan| Some((plan.id, helps(plan, dice)?)));
                help.collect::<Vec<_>>()
            };
            self.open_what_people_closed(&node).await;
            for (plan, wish) in help {
                drop(wish.come_true(&node, plan).await);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// What does not end although nothing is in its way.
fn stays(open: &[&Plan], mail: usize, due: Option<Timestamp>) -> Vec<String> {
    let open = open.iter();
    let mut wrong: Vec<String> = open
        .map(|plan| format!("it never ends: {}", told(plan)))
        .collect();
    wrong.extend(due.map(|at| format!("the run of {at} is never fired")));
    if mail > 0 {
        wrong.push(format!("{mail} messages are never read"));
    }
    wrong
}

pub(super) fn node_id(seat: usize) -> NodeId {
    NodeId(Uuid::from_u128(1 + seat as u128))
}

/// A schedule of which some nominal times are missed already, and one comes while the weather is bad; answers with all of them.
async fn schedule(memory: &Memory, now: Timestamp) -> Result<Vec<Timestamp>, Vec<String>> {
    let wrong = |error: &dyn std::fmt::Display| vec![error.to_string()];
    let schedule = Schedule {
        id: ScheduleId::default(),
        name: "four times".into(),
        workflow: "small".into(),
        input: Json::of(&serde_json::json!({ "n": 7 })).map_err(|error| wrong(&error))?,
        // Of each minute around, as it is written to be found soonest.
        cron: "11-14 22 * * *".into(),
        time_zone: "UTC".into(),
        missed: Missed::All,
        end_at: Some(now + BAD),
        max_runs: None,
        enabled: true,
        built_in: false,
        actor: None,
        created_at: now,
        handled_until: now - Duration::from_mins(3),
        runs: 0,
        last_nominal: None,
        last_plan: None,
        revision: 0,
    };
    let nominal = schedule.next_runs(100);
    let put = memory.transact::<Put, StoreError>(Box::new(move |tx| {
        Box::pin(Memory::put_schedule_in(tx, schedule))
    }));
    let put = put
        .await
        .and_then(|put| put)
        .map_err(|error| wrong(&error))?;
    match put {
        Put::Kept(_) => Ok(nominal),
        Put::Stale | Put::NameTaken => Err(vec!["the schedule is not kept".into()]),
    }
}

/// A plan in one line.
fn told(plan: &Plan) -> String {
    let steps = plan.graph().iter().zip(&plan.steps);
    let steps: Vec<String> = steps
        .map(|(step, it)| {
            let gate = it.at_gate.as_ref();
            let gate = gate.map_or_else(String::new, |at| format!(" at {}", at.gate));
            format!("{} {} ({}){gate}", step.name, it.state, it.tries.len())
        })
        .collect();
    let locks: Vec<String> = plan
        .locks
        .iter()
        .map(|lock| format!("{} {:?}", lock.request.resource, lock.state))
        .collect();
    let children: Vec<String> = plan
        .children()
        .map(|child| format!("{} {:?}", child.wanted.key, child.state))
        .collect();
    format!(
        "task {} ({}) is {} {:?}, cancelling {}, reverting {}, held {}, row {}, owner {:?}; {}; locks {locks:?}; children {children:?}",
        plan.id,
        plan.workflow(),
        plan.state,
        plan.reason,
        plan.cancelling,
        plan.reverting,
        plan.held.is_some(),
        plan.seq,
        plan.node,
        steps.join(", ")
    )
}
