//! The verbs the engine needs of a database. Each is one transaction, or stands inside one.

pub mod memory;

use crate::clock::Timestamp;
use crate::decide::{self, Decision};
use crate::gate::Gate;
use crate::journal::{Entry, Message, NodeId, PlanId, PlanResult, Reason, Row};
use crate::lock::{LockRequest, Seat};
use crate::plan::Plan;
use crate::retention::Family;
use crate::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use crate::search::{self, Order, Search, Sort, TaskCursor, Waits};
use crate::state::PlanState;
use crate::step::Work;
use std::time::Duration;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// Another owner has appended at this place. Nothing of the append was kept; the plan is not ours any more.
    #[error("plan {plan} has another owner: its row {seq} is not ours")]
    Fenced {
        /// The plan.
        plan: PlanId,
        /// The number.
        seq: i64,
    },
    /// Nothing was kept, because there is no space.
    #[error(
        "the disk of the database is full; what was acknowledged is safe, free some space and try again"
    )]
    Full,
    /// Nothing was kept, and the same call may succeed later: the database is busy or closed.
    #[error("the database refused: {0}")]
    Unavailable(String),
    /// Nobody knows whether it was kept: read it back before anything else.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// What lies in the database is not what was put there.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

/// A plan on its way into the store.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The row when it has to wait for its locks.
    pub queued: Append,
    /// The row when it holds them at once.
    pub granted: Append,
    /// The key that no other open plan may have.
    pub open_key: Option<String>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is recorded; with all its locks or without.
    Recorded {
        /// It holds all its locks.
        granted: bool,
    },
    /// An open plan has its key. Nothing was written.
    OpenAlready(PlanId),
}

/// One append on its way to the store: accepted as a whole or refused as a whole.
#[derive(Clone, Debug)]
pub struct Append {
    /// The plan.
    pub plan: PlanId,
    /// The row.
    pub row: Row,
    /// Its entries as JSON text, written in the plan's own task, not in the store's only writer.
    pub entries: String,
    /// The plan row, when it changes: about three times in a plan's life, and where it begins or ends to wait.
    pub head: Option<Head>,
    /// The locks whose rows go.
    pub let_go: Vec<String>,
    /// The locks whose rows come.
    pub asked_for: Vec<LockRequest>,
    /// The message that this row consumes.
    pub mail: Option<i64>,
    /// Messages that go into the mailboxes of other plans.
    pub notices: Vec<(PlanId, Message)>,
    /// The plan is past its locks, or over: its open key is free again.
    pub gives_key_up: bool,
}

/// What is known of a plan without its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The workflow's name.
    pub workflow: String,
    /// Where it is.
    pub state: PlanState,
    /// How it ended.
    pub result: PlanResult,
    /// Why it is paused or was cancelled.
    pub reason: Option<Reason>,
    /// Who owns it; nobody when it needs a person or has ended.
    pub owner: Option<NodeId>,
    /// The organization's label.
    pub organization: Option<String>,
    /// The login of who wanted it.
    pub actor: Option<String>,
    /// Submitted, begun, ended, paused.
    pub created_at: Timestamp,
    /// Begun.
    pub started_at: Option<Timestamp>,
    /// Ended.
    pub ended_at: Option<Timestamp>,
    /// Paused.
    pub paused_at: Option<Timestamp>,
    /// What it waits for.
    pub waits: Waits,
    /// How many attempts the step with the most had.
    pub attempt: u32,
}

impl Head {
    /// The head of this plan, owned by `node` while it is driven.
    #[must_use]
    pub fn of(plan: &Plan, node: NodeId) -> Self {
        let submitted = plan.submitted.as_ref();
        Self {
            workflow: plan.workflow().to_owned(),
            state: plan.state,
            result: plan.result,
            reason: plan.reason,
            owner: plan.state.is_driven().then_some(node),
            organization: submitted.and_then(|it| it.organization.clone()),
            actor: submitted.and_then(|it| it.actor.clone()),
            created_at: plan.times.created,
            started_at: plan.times.started,
            ended_at: plan.times.ended,
            paused_at: plan.times.paused,
            waits: Waits::of(plan),
            attempt: search::attempts(plan),
        }
    }
}

impl Append {
    /// Nothing changes but the journal: one statement writes it.
    #[must_use]
    pub fn is_row_only(&self) -> bool {
        self.head.is_none()
            && self.let_go.is_empty()
            && self.asked_for.is_empty()
            && self.mail.is_none()
            && self.notices.is_empty()
            && !self.gives_key_up
    }

    /// What a decision about `plan` writes. `nonce` tells this append from every other one.
    pub fn new(
        plan: &Plan,
        decision: &Decision,
        node: NodeId,
        nonce: i64,
    ) -> Result<Self, serde_json::Error> {
        let next = &decision.next;
        let head = Head::of(next, node);
        let before = plan.node.map(|owner| Head::of(plan, owner));
        Ok(Self {
            plan: plan.id,
            entries: serde_json::to_string(&decision.entries)?,
            head: (before.as_ref() != Some(&head)).then_some(head),
            let_go: decide::let_go(plan, next),
            asked_for: decide::asked_for(plan, next),
            notices: decision.notices.clone(),
            mail: decision.entries.iter().find_map(Entry::consumes),
            // Nobody who wants the same attaches to a plan that is being undone.
            gives_key_up: next.state == PlanState::Stopped
                || (next.reverting && !plan.reverting)
                || (next.is_past_its_locks() && !plan.is_past_its_locks()),
            row: Row {
                seq: next.seq,
                nonce,
                node,
                at: decision.at,
                entries: decision.entries.clone(),
                unreadable: None,
            },
        })
    }
}

/// What an append brought about besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Plans that are now first in the queue of each of their locks. A hint: the poll finds them too.
    pub granted: Vec<PlanId>,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its number; messages of a plan are read in this order.
    pub n: i64,
    /// What it says.
    pub message: Message,
}

/// An open plan, for whoever is about to submit another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPlan {
    /// Its id.
    pub id: PlanId,
    /// Its open key.
    pub key: String,
    /// Where it is.
    pub state: PlanState,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// It holds all its locks: it is at work, and is let finish.
    pub at_work: bool,
}

/// A page of a list of plans.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The order of the list.
    pub sort: Sort<Order>,
    /// Where the page before ended, in this same order and as of the time of the search.
    pub after: Option<TaskCursor>,
    /// At most so many.
    pub limit: u32,
    /// Only plans of which this may be seen.
    pub visible: Visible,
}

/// Which plans somebody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visible {
    /// Every one.
    #[default]
    All,
    /// Those of these organizations, and those he wanted himself.
    Some {
        /// Labels.
        organizations: Vec<String>,
        /// His login.
        actor: String,
    },
}

/// A page of plan ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of the list.
    pub plans: Vec<PlanId>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where this page ended, when more follow.
    pub next: Option<TaskCursor>,
}

/// How many plans are like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Where they are.
    pub state: PlanState,
    /// How they ended.
    pub result: PlanResult,
    /// Why they are paused or were cancelled.
    pub reason: Option<Reason>,
    /// How many.
    pub plans: u64,
}

/// A plan that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub plan: PlanId,
    /// Its workflow.
    pub workflow: String,
    /// How it ended.
    pub result: PlanResult,
    /// When it ended.
    pub at: Timestamp,
}

/// What a node must do that nobody has told it in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Plans with mail that are this node's or nobody's.
    pub mail: Vec<PlanId>,
    /// Of those asked about: plans that now hold all their locks.
    pub granted: Vec<PlanId>,
}

/// How a node has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entered {
    /// So often in a row without having signed off before: 0 after a clean stop.
    pub unclean_starts: u32,
    /// It had signed off before, from a life that began then.
    pub signed_off: Option<Timestamp>,
}

/// An open plan that nobody drives, as far as the store knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Which one.
    pub plan: PlanId,
    /// Its owner has signed off, from a life that began then.
    pub signed_off: Option<Timestamp>,
}

/// A node, as its store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// When it started last.
    pub started_at: Timestamp,
    /// When it last said that it runs.
    pub beat_at: Timestamp,
    /// It has not signed off.
    pub runs: bool,
    /// Open plans that it owns.
    pub plans: u64,
}

impl NodeRow {
    /// A node of this program that runs.
    #[must_use]
    pub fn running(id: NodeId, name: String, started_at: Timestamp, beat_at: Timestamp) -> Self {
        Self {
            id,
            name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            beat_at,
            runs: true,
            plans: 0,
        }
    }
}

/// What the engine needs of a database.
///
/// Functions with a `Tx` stand inside a transaction of [`Store::transact`] and become durable with it.
pub trait Store: Send + Sync + 'static {
    /// What a transactional step writes through. No lifetime: the store owns it and lends `&mut`.
    type Tx: Send + 'static;

    /// Nobody but the process that has it open can write it, for as long as that lives, and it has one node: whatever becomes of
    /// its beats, nobody else takes its plans.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// Runs the work in a transaction. After `Ok(Ok(_))` its writes are durable; `Ok(Err(_))` left none.
    fn transact<T, E>(
        &self,
        work: Work<Self::Tx, T, E>,
    ) -> impl Future<Output = Result<Result<T, E>, StoreError>> + Send
    where
        T: Send + 'static,
        E: Send + 'static;

    /// Makes the append durable, or [`StoreError::Fenced`]. Calls that wait at the same time share one commit.
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, StoreError>> + Send;

    /// The same inside a transaction.
    fn append_in(
        tx: &mut Self::Tx,
        append: Append,
    ) -> impl Future<Output = Result<Appended, StoreError>> + Send;

    /// Records a new plan, owned by the node that submits it, with its place in the queues of its locks.
    fn submit_in(
        tx: &mut Self::Tx,
        submission: Submission,
    ) -> impl Future<Output = Result<Accepted, StoreError>> + Send;

    /// Puts a message into the mailbox of a plan and answers with its number.
    fn deliver_in(
        tx: &mut Self::Tx,
        plan: PlanId,
        message: Message,
        at: Timestamp,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// The open plans whose key begins so.
    fn open_in(
        tx: &mut Self::Tx,
        prefix: String,
    ) -> impl Future<Output = Result<Vec<OpenPlan>, StoreError>> + Send;

    /// Takes the open key from a plan that another one supersedes: the key is free at once, whenever that plan reads its mail.
    fn take_key_in(
        tx: &mut Self::Tx,
        plan: PlanId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives a plan that goes on after its end its open key again. Whoever calls this has seen in the same transaction that no other
    /// open plan has it.
    fn give_key_in(
        tx: &mut Self::Tx,
        plan: PlanId,
        key: String,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All rows of a plan, in order.
    fn load(&self, plan: PlanId) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// The rows of these plans, in the order in which they are named; unknown ones are left out.
    fn load_all(
        &self,
        plans: Vec<PlanId>,
    ) -> impl Future<Output = Result<Vec<(PlanId, Vec<Row>)>, StoreError>> + Send;

    /// The unread messages of a plan, in order.
    fn mail(&self, plan: PlanId) -> impl Future<Output = Result<Vec<Mail>, StoreError>> + Send;

    /// The places of a plan in the queues of its locks.
    fn seats(&self, plan: PlanId) -> impl Future<Output = Result<Vec<Seat>, StoreError>> + Send;

    /// A page of the plans that this search finds: of those that stay what they are from page to page, each exactly once.
    fn list(
        &self,
        search: Search,
        page: Page,
    ) -> impl Future<Output = Result<Listing, StoreError>> + Send;

    /// How many sub-tasks a plan has by state, result and reason.
    fn children(
        &self,
        parent: PlanId,
    ) -> impl Future<Output = Result<Vec<Count>, StoreError>> + Send;

    /// How many plans there are by state, result and reason, among those that may be seen.
    fn count(
        &self,
        visible: Visible,
    ) -> impl Future<Output = Result<Vec<Count>, StoreError>> + Send;

    /// What this node has to do although no hint reached it. `waiting` are its plans that wait for locks.
    fn due(
        &self,
        node: NodeId,
        waiting: Vec<PlanId>,
    ) -> impl Future<Output = Result<Due, StoreError>> + Send;

    /// This node starts, as of `at`. Answers whether it had signed off before; where it had not, starts count as in a row that
    /// are within `window` of the start before.
    fn enter(
        &self,
        node: NodeId,
        name: String,
        at: Timestamp,
        window: Duration,
    ) -> impl Future<Output = Result<Entered, StoreError>> + Send;

    /// This node runs, as of `at`.
    fn beat(
        &self,
        node: NodeId,
        name: String,
        started_at: Timestamp,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// This node has stopped, which began at `started_at`: its open plans may be taken over at once.
    fn leave(
        &self,
        node: NodeId,
        started_at: Timestamp,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Open plans of this node, and of nodes that stopped or were silent for `ttl`; at most `limit`.
    fn orphans(
        &self,
        node: NodeId,
        now: Timestamp,
        ttl: Duration,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Orphan>, StoreError>> + Send;

    /// Every node that ever ran, by name.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeRow>, StoreError>> + Send;

    /// Every gate that was ever closed.
    fn gates(&self) -> impl Future<Output = Result<Vec<Gate>, StoreError>> + Send;

    /// Keeps a gate as it is now and answers with it; none when somebody else has changed it since it had its revision. `by_hand`:
    /// whoever has changed it meanwhile, for a person has the last word.
    fn put_gate_in(
        tx: &mut Self::Tx,
        gate: Gate,
        by_hand: bool,
    ) -> impl Future<Output = Result<Option<Gate>, StoreError>> + Send;

    /// Every schedule, by name.
    fn schedules(&self) -> impl Future<Output = Result<Vec<Schedule>, StoreError>> + Send;

    /// The schedules whose next run has come, in the order of their times, and when the first of the others comes.
    fn due_schedules(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<DueSchedules, StoreError>> + Send;

    /// Keeps a schedule: a new one when it has no number yet, otherwise in the place of the one with its number, provided that
    /// this still has its revision. Firing is this too, in the transaction that submits the plan.
    fn put_schedule_in(
        tx: &mut Self::Tx,
        schedule: Schedule,
    ) -> impl Future<Output = Result<Put, StoreError>> + Send;

    /// Removes a schedule; false when there is none of this number.
    fn remove_schedule_in(
        tx: &mut Self::Tx,
        id: ScheduleId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stopped plans that had ended by `until`, in the order of their ends: at most `limit` of those after this one.
    fn ended(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, PlanId)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Ended>, StoreError>> + Send;

    /// Each of these plans with all its sub-tasks and theirs, in this order. Left out is what is not there, and what belongs to a
    /// parent that is.
    fn families(
        &self,
        plans: Vec<PlanId>,
    ) -> impl Future<Output = Result<Vec<Family>, StoreError>> + Send;

    /// Forgets these families, each as a whole, and answers with the plans that are gone: their journals, links and places in
    /// lists. A family that is not over, or is not as it was seen, is left.
    fn forget_in(
        tx: &mut Self::Tx,
        families: Vec<Family>,
    ) -> impl Future<Output = Result<Vec<PlanId>, StoreError>> + Send;
}
