//! One run: everything happens, then it must end well.

use super::chaos::{Chaos, Weather};
use super::closures::Closures;
use super::verdict::{self, Acknowledged};
use super::world::{BACKEND, World, submit, workflows};
use crate::clock::{Clock, Timestamp};
use crate::gate::GateId;
use crate::journal::{Action, Json, Message, NodeId, PlanId};
use crate::node::{Node, NodeOptions};
use crate::plan::Plan;
use crate::schedule::{Missed, Put, Schedule, ScheduleId};
use crate::state::{PlanState, StepState};
use crate::step::Work;
use crate::store::memory::{Memory, MemoryTx};
use crate::store::{Page, Store, StoreError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

const TTL: Duration = Duration::from_secs(10);
/// So long the weather is bad.
const BAD: Duration = Duration::from_secs(40);
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
    /// Steps begin whatever gate is closed before them.
    PassesClosedGates,
}

/// How much a run really did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    /// Plans, sub-tasks too.
    pub plans: usize,
    /// Rows of their journals.
    pub rows: usize,
    /// Bodies that ran, undoing ones too.
    pub executions: usize,
    /// Calls that were made to fail, late beyond measure or doubled, and nodes that stood still.
    pub faults: usize,
    /// Nodes that died.
    pub crashes: usize,
    /// Take-overs by another owner than the last.
    pub take_overs: usize,
    /// Times that a plan had to wait for a place.
    pub waited: usize,
    /// Plans that were reverted.
    pub reverted: usize,
    /// What operators did and were acknowledged.
    pub actions: usize,
    /// How often a step waited at a gate that was not open.
    pub at_gates: usize,
    /// Attempts that failed at such a gate, and did not count.
    pub turned_back: usize,
    /// Gates that people closed, and were told so.
    pub closures: usize,
    /// Begins of steps that were held against those.
    pub begins: usize,
    /// Runs of schedules.
    pub scheduled: usize,
}

impl std::ops::AddAssign for Did {
    fn add_assign(&mut self, other: Self) {
        self.plans += other.plans;
        self.rows += other.rows;
        self.executions += other.executions;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.take_overs += other.take_overs;
        self.waited += other.waited;
        self.reverted += other.reverted;
        self.actions += other.actions;
        self.at_gates += other.at_gates;
        self.turned_back += other.turned_back;
        self.closures += other.closures;
        self.begins += other.begins;
        self.scheduled += other.scheduled;
    }
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

type SimNode = Node<World, Chaos>;

struct Scene {
    dice: Dice,
    memory: Memory,
    weather: Arc<Weather>,
    world: Arc<World>,
    twin: Option<Twin>,
    /// The seats of nodes: empty while dead.
    nodes: Vec<Option<(SimNode, Chaos)>>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    /// The nominal times that come in this run.
    nominal: Vec<Timestamp>,
    /// Whoever waits for an answer.
    people: JoinSet<()>,
    crashes: usize,
}

impl Scene {
    async fn new(seed: u64, twin: Option<Twin>) -> Result<Self, Vec<String>> {
        let dice = Dice::new(seed);
        let weather = Arc::new(Weather {
            dice: dice.clone(),
            bad: AtomicBool::new(true),
            hints_only: twin == Some(Twin::HintsOnly),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
            ttl: TTL,
            faults: AtomicUsize::new(0),
        });
        let world = Arc::new(World {
            dice: dice.clone(),
            troubled: AtomicBool::new(true),
            down: AtomicBool::new(false),
            seen: Mutex::default(),
            closures: Closures::default(),
        });
        let memory = if twin == Some(Twin::FenceOff) {
            Memory::without_fence()
        } else {
            Memory::default()
        };
        let nominal = schedule(&memory, weather.clock.now()).await?;
        let count = 2 + dice.below(2) as usize;
        let mut scene = Self {
            dice,
            memory,
            weather,
            world,
            twin,
            nodes: (0..count).map(|_| None).collect(),
            acknowledged: Arc::default(),
            nominal,
            people: JoinSet::new(),
            crashes: 0,
        };
        for seat in 0..count {
            scene.start(seat).await?;
        }
        Ok(scene)
    }

    async fn start(&mut self, seat: usize) -> Result<(), Vec<String>> {
        let id = node_id(seat);
        let mut options = NodeOptions::new(id, format!("node {seat}"));
        options.lease_ttl = TTL;
        options.cancel_grace = Duration::from_secs(1);
        options.seed = Some(self.dice.seed());
        options.twin = self.twin;
        // Few enough that plans wait for each other.
        options.at_once = 1 + self.dice.below(4) as usize;
        options.steps_per_commit = if self.dice.below(2) == 0 { 1 } else { 16 };
        // Clocks differ by up to two seconds.
        let skew = i64::from(self.dice.below(4000)) - 2000;
        let clock = Clock::of_runtime(Timestamp(self.weather.clock.now().0 + skew));
        let knows = workflows().map_err(|error| vec![error.to_string()])?;
        let chaos = Chaos::new(self.memory.clone(), self.weather.clone());
        let (world, store) = (self.world.clone(), chaos.clone());
        // In bad weather a start may fail: then the seat stays empty for now.
        if let Ok(node) = Node::start(options, store, world, knows, clock, None).await {
            self.nodes[seat] = Some((node, chaos));
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
            match self.dice.below(24) {
                20 | 21 => {
                    self.world.down.fetch_xor(true, Ordering::Relaxed);
                }
                22 => self.operate_a_gate(seat),
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
                8..16 => self.operate(seat).await,
                _ if self.nodes[seat].is_none() => self.start(seat).await?,
                _ => {}
            }
        }
        self.clear_up().await?;
        let acknowledged = {
            let acknowledged = self.acknowledged.lock();
            acknowledged.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let mut wrong = verdict::wrong(&self.memory, &self.world, &acknowledged).await;
        wrong.extend(verdict::fired(&self.memory, &self.nominal).await);
        if wrong.is_empty() {
            Ok(verdict::did(
                &self.memory,
                &self.world,
                self.weather.faults.load(Ordering::Relaxed),
                self.crashes,
                &acknowledged,
            )
            .await)
        } else {
            Err(wrong)
        }
    }

    async fn crash(&mut self, seat: usize) {
        if let Some((node, _)) = self.nodes[seat].take() {
            self.world.closures.dies(node.id());
            node.kill().await;
            self.crashes += 1;
        }
    }

    /// Somebody submits a plan, and perhaps gives up waiting.
    fn submit(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let (n, acknowledged) = (self.dice.below(12), self.acknowledged.clone());
        self.people.spawn(async move {
            if let Some(plan) = submit(&node, n).await {
                let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                acknowledged.plans.push(plan);
            }
        });
    }

    /// Somebody does something to some plan, sense or no sense.
    async fn operate(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let plans = all_plans(&self.memory).await;
        if plans.is_empty() {
            return;
        }
        let which = self.dice.below(u32::try_from(plans.len()).unwrap_or(1)) as usize;
        let plan = &plans[which];
        let steps: Vec<&str> = plan.graph().iter().map(|step| step.name.as_str()).collect();
        if steps.is_empty() {
            return;
        }
        let step = steps[self.dice.below(u32::try_from(steps.len()).unwrap_or(1)) as usize];
        let step = step.to_owned();
        let number = Json::of(&self.dice.below(100)).ok();
        let action = match self.dice.below(22) {
            0..4 => Action::Resume,
            4 => Action::Cancel,
            5 => Action::Abort,
            6..9 => Action::Revert,
            9 | 10 => Action::Hold,
            11..13 => Action::Release,
            13 | 14 => Action::Skip {
                step,
                output: number,
            },
            15 => Action::Skip { step, output: None },
            16 | 17 => Action::RetryNow { step },
            18 => Action::Resolve { step, output: None },
            19 => Action::Resolve {
                step,
                output: number,
            },
            _ => match number {
                Some(payload) => Action::Event {
                    name: "told".into(),
                    payload,
                },
                None => return,
            },
        };
        let (plan, acknowledged) = (plan.id, self.acknowledged.clone());
        self.people.spawn(async move {
            let message = by_somebody(action.clone());
            if node.act(plan, message).await.is_ok() {
                let mut acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                *acknowledged
                    .actions
                    .entry((plan, action.to_string()))
                    .or_default() += 1;
            }
        });
    }

    /// Somebody closes or opens a gate: of the backend, of a workflow, of a node.
    fn operate_a_gate(&mut self, seat: usize) {
        let Some((node, _)) = self.nodes[seat].clone() else {
            return;
        };
        let gates = self.gates();
        let which = self.dice.below(u32::try_from(gates.len()).unwrap_or(1)) as usize;
        let (gate, closes) = (gates[which].clone(), self.dice.below(2) == 0);
        let (world, before) = (
            self.world.clone(),
            self.world.closures.before(&gate, node.id()),
        );
        self.people.spawn(async move {
            let by = "somebody".to_owned();
            if closes {
                let told = node.close_gate(gate.clone(), by, None, nothing()).await;
                if told.is_ok() {
                    let (id, clock) = (node.id(), node.clock());
                    world.closures.closed(gate, id, clock, before);
                }
            } else {
                world.closures.opens(&gate);
                let _it_may_be_so_already = node.open_gate(gate.clone(), by, None, nothing()).await;
                world.closures.answered(&gate);
            }
        });
    }

    fn gates(&self) -> Vec<GateId> {
        let nodes = (0..self.nodes.len()).map(|seat| GateId::Node(node_id(seat)));
        let others = [
            GateId::Backend(BACKEND.into()),
            GateId::Workflow("big".into()),
            GateId::Workflow("small".into()),
        ];
        others.into_iter().chain(nodes).collect()
    }

    /// Whatever a person has closed, a person opens. What closed by itself is left alone.
    async fn open_what_people_closed(&self, node: &SimNode) {
        for gate in self.gates() {
            if node.gate(&gate).gate.is_closed_by_hand() {
                self.world.closures.opens(&gate);
                let opened = node.open_gate(gate.clone(), "somebody".into(), None, nothing());
                drop(opened.await);
                self.world.closures.answered(&gate);
            }
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
            let plans = all_plans(&self.memory).await;
            let open: Vec<&Plan> = plans
                .iter()
                .filter(|plan| plan.state != PlanState::Stopped)
                .collect();
            let mail = self.memory.unread().await;
            let due = next_of_schedules(&self.memory).await;
            if open.is_empty() && mail == 0 && due.is_none() {
                return Ok(());
            }
            let busy = plans.iter().find(|plan| plan.seq > 2000);
            if let Some(busy) = busy {
                return Err(vec![format!("it goes round in circles: {}", told(busy))]);
            }
            if tokio::time::Instant::now() > until {
                let mut wrong: Vec<String> = open
                    .iter()
                    .map(|plan| format!("it never ends: {}", told(plan)))
                    .collect();
                wrong.extend(due.map(|at| format!("the run of {at} is never fired")));
                if mail > 0 {
                    wrong.push(format!("{mail} messages are never read"));
                }
                return Err(wrong);
            }
            self.open_what_people_closed(&node).await;
            for plan in open {
                if let Some(action) = helps(plan) {
                    drop(node.act(plan.id, by_somebody(action)).await);
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn nothing() -> Work<MemoryTx, (), StoreError> {
    Box::new(|_| Box::pin(async { Ok(()) }))
}

fn node_id(seat: usize) -> NodeId {
    NodeId(Uuid::from_u128(1 + seat as u128))
}

/// A schedule of which some nominal times are missed already, and one comes while the weather is bad; answers with all of them.
async fn schedule(memory: &Memory, now: Timestamp) -> Result<Vec<Timestamp>, Vec<String>> {
    let wrong = |error: &dyn std::fmt::Display| vec![error.to_string()];
    let schedule = Schedule {
        id: ScheduleId::default(),
        name: "each minute".into(),
        workflow: "small".into(),
        input: Json::of(&serde_json::json!({ "n": 7 })).map_err(|error| wrong(&error))?,
        cron: "* * * * *".into(),
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

/// When the next run comes, if one does.
async fn next_of_schedules(memory: &Memory) -> Option<Timestamp> {
    let schedules = memory.schedules().await.unwrap_or_default();
    schedules.iter().filter_map(Schedule::next_at).min()
}

/// What a person would do for a plan that needs one.
fn helps(plan: &Plan) -> Option<Action> {
    if plan.held.is_some() {
        return Some(Action::Release);
    }
    let interrupted = plan
        .steps
        .iter()
        .position(|step| step.state == StepState::Interrupted);
    if let Some(step) = interrupted {
        let step = plan.graph().get(step)?.name.clone();
        return Some(Action::Resolve { step, output: None });
    }
    (plan.state == PlanState::Paused).then_some(Action::Resume)
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

fn by_somebody(action: Action) -> Message {
    Message {
        action,
        by: "somebody".into(),
        reason: None,
    }
}

/// Every plan that there is, folded afresh.
pub(super) async fn all_plans(memory: &Memory) -> Vec<Plan> {
    let page = Page {
        limit: 10_000,
        ..Page::default()
    };
    let everything = crate::search::Search::default();
    let Ok(listing) = memory.list(everything, page).await else {
        return Vec::new();
    };
    let rows = memory.load_all(listing.plans).await.unwrap_or_default();
    let folded: BTreeMap<PlanId, Plan> = rows
        .iter()
        .map(|(plan, rows)| (*plan, Plan::fold(*plan, rows)))
        .collect();
    folded.into_values().collect()
}
