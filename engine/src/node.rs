//! The node: drives the plans it owns, takes over those of nodes that are gone, and answers for all of them.

mod actor;
mod acts;
mod bodies;
mod brake;
mod built_in;
mod by_name;
mod caller;
mod chance;
mod children;
mod code;
mod declared;
mod desk;
mod drill;
mod drivers;
mod duties;
mod ends;
mod gate_duty;
mod gatekeeper;
mod gates;
mod lease;
mod mailbox;
mod measure;
mod places;
mod queries;
mod schedules;
mod stamps;
mod trace;
mod transactional;

pub use built_in::BuiltIn;
pub use code::Workflows;
pub use declared::Declaration;
pub use desk::{Desk, Offer, Placed};
pub use drill::{Drill, Effect};
pub use gate_duty::{Probe, ProbeAll};
pub use gatekeeper::{GateSeen, NodeSeen};
pub use queries::{HistoryRow, Tasks};
pub use schedules::MayRun;

use crate::clock::{Clock, Timestamp};
use crate::journal::{NodeId, PlanId};
use crate::plan::Plan;
use crate::state::{Refused, StepState};
use crate::step::Services;
use crate::store::{Store, StoreError};
use crate::workflow::{DeclarationError, InputError};
use drivers::Driver;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// So many plans are at work on a node at once, unless its options say otherwise: more than two cores and one disk can serve, and
/// few enough that each of them still ends within seconds.
pub const AT_ONCE: usize = 128;

/// What a node is called and how patient it is.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The same after a restart: its own open plans are its own again at once.
    pub id: NodeId,
    /// For people.
    pub name: String,
    /// A node that was silent so long has lost its plans.
    pub lease_ttl: Duration,
    /// What hints may have lost is found after at most this.
    pub poll: Duration,
    /// How long the body of a cancelled step may take to end by itself.
    pub cancel_grace: Duration,
    /// And that of an aborted one.
    pub abort_grace: Duration,
    /// It starts held: it takes plans over and begins nothing of them until somebody releases it. By whom that is wanted.
    pub held_by: Option<String>,
    /// At most so many plans are at work at once; more wait for a place.
    pub at_once: usize,
    /// At most so many transactional steps of a plan that follow each other are recorded by one commit.
    pub steps_per_commit: usize,
    /// Every random choice follows from it; none: from the machine. For simulations.
    pub seed: Option<u64>,
    /// How it is broken on purpose, to see that it is noticed.
    #[cfg(feature = "prove")]
    pub twin: Option<crate::prove::simulation::Twin>,
}

impl NodeOptions {
    /// A lease of 10 s, a poll each second, a grace of 10 s, of 1 s when aborted; [`AT_ONCE`] plans at work; sixteen steps a commit.
    #[must_use]
    pub fn new(id: NodeId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            lease_ttl: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            cancel_grace: Duration::from_secs(10),
            abort_grace: Duration::from_secs(1),
            held_by: None,
            at_once: AT_ONCE,
            steps_per_commit: 16,
            seed: None,
            #[cfg(feature = "prove")]
            twin: None,
        }
    }
}

/// Why the node did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan is in a state that does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such plan.
    #[error("there is no task {0}")]
    NotFound(PlanId),
    /// No such workflow was registered.
    #[error("this node does not know workflow `{0}`")]
    UnknownWorkflow(String),
    /// The input does not become a plan.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The workflows do not fit each other.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// The message lies in the mailbox and will be read; nobody has read it in time.
    #[error(
        "task {0} has not answered yet; the request is kept and will be handled by the node that owns it"
    )]
    Unanswered(PlanId),
    /// What shall stand for a step's output is not of its kind.
    #[error("the output given for step `{step}` does not fit it: {why}")]
    Output {
        /// The step.
        step: String,
        /// What is wrong with it.
        why: String,
    },
    /// The input of a plan cannot be changed so.
    #[error("{at} of the task cannot be changed so: {why}")]
    Edit {
        /// Which part of it: `input`, or a field as `input.name`.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The node is stopping.
    #[error("this node is shutting down and takes no new work")]
    Draining,
}

/// A handle to the node; clones are the same node.
pub struct Node<S: Services, St: Store<Tx = S::Tx>>(Arc<Inner<S, St>>);

impl<S: Services, St: Store<Tx = S::Tx>> Clone for Node<S, St> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S: Services, St> {
    options: NodeOptions,
    store: St,
    services: Arc<S>,
    workflows: Workflows<S>,
    clock: Clock,
    started_at: Timestamp,
    drill: Option<Arc<dyn Drill>>,
    /// The plans that are driven here.
    actors: Mutex<BTreeMap<PlanId, Driver>>,
    /// Plans whose submit is being committed: theirs will be an actor of their own.
    submitting: Mutex<HashSet<PlanId>>,
    /// Open plans that this node cannot drive: of a workflow that it does not know, or unreadable. Told once, then left alone.
    left_alone: Mutex<HashSet<PlanId>>,
    /// Who is at work, and who waits to be.
    places: Arc<places::Places>,
    /// It has started again and again without having signed off before.
    brake: brake::Brake,
    /// It had signed off before it started, from a life that began then.
    signed_off: OnceLock<Option<Timestamp>>,
    nonce: AtomicI64,
    chance: chance::Chance,
    /// Rows that have their time and are not durable yet.
    stamps: stamps::Stamps,
    tasks: TaskTracker,
    /// The beat goes on until the last of the tasks has ended.
    beats: TaskTracker,
    draining: CancellationToken,
    lease: lease::Lease,
    gates: Arc<gates::Gates>,
    /// The node is stopped: nobody may append any more.
    lost: CancellationToken,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Starts the node: it beats, takes over its own open plans at once and those of silent nodes in time.
    pub async fn start(
        options: NodeOptions,
        store: St,
        services: Arc<S>,
        workflows: Workflows<S>,
        clock: Clock,
        drill: Option<Arc<dyn Drill>>,
    ) -> Result<Self, NodeError> {
        workflows.check_children()?;
        let lease = lease::Lease::new(options.lease_ttl);
        let chance = chance::Chance::of(options.seed);
        let places = places::Places::new(options.at_once, clock);
        let node = Self(Arc::new(Inner {
            options,
            store,
            services,
            workflows,
            clock,
            started_at: clock.now(),
            drill,
            actors: Mutex::default(),
            submitting: Mutex::default(),
            left_alone: Mutex::default(),
            places,
            brake: brake::Brake::default(),
            signed_off: OnceLock::new(),
            nonce: AtomicI64::new(chance.number()),
            chance,
            lease,
            gates: Arc::default(),
            stamps: stamps::Stamps::default(),
            tasks: TaskTracker::new(),
            beats: TaskTracker::new(),
            draining: CancellationToken::new(),
            lost: CancellationToken::new(),
        }));
        gate_duty::begin(&node.0).await?;
        let (options, begun) = (&node.0.options, Instant::now());
        let window = brake::WINDOW;
        let enter = node
            .0
            .store
            .enter(options.id, options.name.clone(), node.0.started_at, window);
        match enter.await {
            Ok(entered) => {
                node.0.lease.renew(begun);
                node.0.brake.set(entered.unclean_starts);
                let _first = node.0.signed_off.set(entered.signed_off);
                // It beats before it reads its plans: they may be so many that this takes longer than its lease.
                duties::begin_beating(&node.0);
                if let Err(error) = duties::take_over(&node.0).await {
                    node.kill().await;
                    return Err(error);
                }
            }
            // What is there can be shown all the same. The duties try again.
            Err(error @ StoreError::Full) => {
                tracing::error!(
                    %error,
                    "the node starts although it can write nothing: its plans go on once there is space"
                );
                duties::begin_beating(&node.0);
            }
            Err(error) => return Err(error.into()),
        }
        duties::spawn(&node.0);
        Ok(node)
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.0.options.id
    }

    /// What its steps may use.
    #[must_use]
    pub fn services(&self) -> &Arc<S> {
        &self.0.services
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &St {
        &self.0.store
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Trouble can be made on purpose here.
    #[must_use]
    pub fn allows_drills(&self) -> bool {
        self.0.drill.is_some()
    }

    /// A list that begins now sees every row up to this time: none with an earlier one becomes durable after it.
    #[must_use]
    pub fn settled_at(&self) -> Timestamp {
        self.0.stamps.settled(self.0.clock)
    }

    /// The names of a workflow's steps, in graph order; `None` when this node does not know it.
    #[must_use]
    pub fn steps_of(&self, workflow: &str) -> Option<Vec<&str>> {
        let registered = self.0.workflows.known.get(workflow)?;
        Some(
            registered
                .graph
                .iter()
                .map(|step| step.name.as_str())
                .collect(),
        )
    }

    /// The plan as it is, once it is paused or stopped; past the time as it is then.
    pub async fn wait(&self, plan: PlanId, at_most: Duration) -> Result<Arc<Plan>, NodeError> {
        self.wait_for_step(plan, None, at_most).await
    }

    /// The plan as it is, once this step of it has succeeded, or it is paused or stopped; past the time as it is then.
    pub async fn wait_for_step(
        &self,
        plan: PlanId,
        step: Option<&str>,
        at_most: Duration,
    ) -> Result<Arc<Plan>, NodeError> {
        let is_done = |plan: &Plan| {
            let step = step.and_then(|step| plan.step(step));
            plan.has_settled() || step.is_some_and(|step| step.state == StepState::Success)
        };
        let settled = async {
            loop {
                if let Some(mut seen) = self.0.attach(plan).await? {
                    let settled = seen
                        .wait_for(|plan| is_done(plan))
                        .await
                        .map(|plan| plan.clone());
                    if let Ok(settled) = settled {
                        return Ok(settled);
                    }
                    // Its actor has ended: what it left is in the store.
                }
                let now = self.0.plan(plan).await?;
                if is_done(&now) {
                    return Ok(now);
                }
                tokio::time::sleep(self.0.options.poll / 4).await; // another node owns it, or it is found again
            }
        };
        match tokio::time::timeout(at_most, settled).await {
            Ok(settled) => settled,
            Err(_) => self.0.plan(plan).await,
        }
    }

    /// The plan as it is.
    pub async fn plan(&self, plan: PlanId) -> Result<Arc<Plan>, NodeError> {
        self.0.plan(plan).await
    }

    /// Takes no new work, lets what is under way end within `grace`, and hands the rest over.
    pub async fn drain(&self, grace: Duration) {
        self.0.draining.cancel();
        self.0.places.close();
        self.0.tasks.close();
        if tokio::time::timeout(grace, self.0.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                grace_seconds = grace.as_secs(),
                "steps still run after the grace; they run again after the next start"
            );
        }
        self.0.lost.cancel();
        self.0.tasks.wait().await;
        self.0.beats.close();
        self.0.beats.wait().await;
        if let Err(error) = self
            .0
            .store
            .leave(self.0.options.id, self.0.started_at, self.0.clock.now())
            .await
        {
            tracing::warn!(%error, "the node could not sign off; its plans are taken over after the lease");
        }
    }

    /// Stops at once, as a killed process would: for tests of what comes after.
    pub async fn kill(&self) {
        self.0.lost.cancel();
        self.0.draining.cancel();
        self.0.places.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.beats.close();
        self.0.beats.wait().await;
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Inner<S, St> {
    /// What counts for the places of plans of this workflow.
    fn kind_of(&self, workflow: &str) -> places::Kind {
        let known = self.workflows.known.get(workflow);
        places::Kind {
            workflow: known.map_or("", |it| it.name),
            limit: known.and_then(|it| it.at_once),
        }
    }

    async fn plan(&self, id: PlanId) -> Result<Arc<Plan>, NodeError> {
        if let Some(seen) = self.watch(id) {
            return Ok(seen.borrow().clone());
        }
        let rows = self.store.load(id).await?;
        if rows.is_empty() {
            return Err(NodeError::NotFound(id));
        }
        Ok(Arc::new(Plan::fold(id, &rows)))
    }

    /// What is written from here on is told from what was written before.
    fn begins_a_new_life(&self) {
        self.nonce.store(self.chance.number(), Ordering::Relaxed);
    }

    fn nonce(&self) -> i64 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }
}
