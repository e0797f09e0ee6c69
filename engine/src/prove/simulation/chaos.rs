//! A store in bad weather.

use super::scene::Dice;
use super::tally::{Deed, Tally};
use super::turns::Turns;
use crate::clock::{Clock, Timestamp};
use crate::gate::Gate;
use crate::journal::{Message, NodeId, PlanId, Row};
use crate::lock::Seat;
use crate::retention::Family;
use crate::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use crate::search::Search;
use crate::step::Work;
use crate::store::memory::{Memory, MemoryTx};
use crate::store::{
    Accepted, Append, Appended, Count, Due, Ended, Entered, Listing, Mail, NodeRow, OpenPlan,
    Orphan, Page, Store, StoreError, Submission, Visible,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The weather over all nodes of a scene.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) dice: Dice,
    pub(super) bad: AtomicBool,
    /// No node learns anything by looking: only hints wake.
    pub(super) hints_only: bool,
    /// The database's clock.
    pub(super) clock: Clock,
    pub(super) ttl: Duration,
    pub(super) tally: Arc<Tally>,
    pub(super) turns: Arc<Turns>,
}

impl Weather {
    fn is_bad(&self) -> bool {
        self.bad.load(Ordering::Relaxed)
    }

    /// This befalls one of so many, while the weather is bad.
    fn hits(&self, one_of: u32, deed: Deed) -> bool {
        let hits = self.is_bad() && self.dice.below(one_of) == 0;
        if hits {
            self.tally.note(deed);
        }
        hits
    }
}

/// The store as one node sees it.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    inner: Memory,
    weather: Arc<Weather>,
    /// The node's own clock.
    clock: Clock,
    /// Until then the node stands still.
    stands_still: Arc<Mutex<Instant>>,
}

impl Chaos {
    pub(super) fn new(inner: Memory, weather: Arc<Weather>, clock: Clock) -> Self {
        Self {
            inner,
            weather,
            clock,
            stands_still: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The node stands still for this time: none of its calls comes back.
    pub(super) fn stand_still(&self, time: Duration) {
        let mut until = self
            .stands_still
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Instant::now() + time;
        self.weather.tally.note(Deed::Stop);
        if time > self.weather.ttl {
            self.weather.tally.note(Deed::StopBeyondLease);
        }
    }

    async fn on_the_way(&self) {
        let until = *self
            .stands_still
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if until > Instant::now() {
            tokio::time::sleep_until(until).await;
        }
        if !self.weather.is_bad() {
            return;
        }
        let dice = &self.weather.dice;
        let late = match dice.below(100) {
            0 => {
                self.weather.tally.note(Deed::LateCall);
                self.weather.ttl.mul_f64(dice.part() * 1.5)
            }
            1..5 => Duration::from_millis(dice.below(500).into()),
            5..30 => Duration::from_millis(dice.below(20).into()),
            _ => return,
        };
        tokio::time::sleep(late).await;
    }

    async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.on_the_way().await;
        if self.weather.hits(60, Deed::RefusedCall) {
            return Err(unavailable());
        }
        let done = read.await;
        self.on_the_way().await;
        done
    }

    async fn write<T>(
        &self,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.on_the_way().await;
        if self.weather.hits(40, Deed::RefusedCall) {
            return Err(unavailable());
        }
        let done = write.await;
        let waits = self.weather.turns.fresh();
        self.on_the_way().await;
        let nobody_knows = if done.is_ok() {
            Deed::UnknownCommit
        } else {
            Deed::RefusedCall
        };
        if self.weather.hits(40, nobody_knows) {
            return Err(StoreError::Unknown("the connection was lost".into()));
        }
        self.weather.turns.known(&waits);
        done
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the database is busy".into())
}

impl Store for Chaos {
    type Tx = MemoryTx;

    async fn transact<T, E>(&self, work: Work<Self::Tx, T, E>) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write(self.inner.transact(work)).await
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let turns = &self.weather.turns;
        turns.appends(append.plan, &append.row, self.clock);
        let twice = self.weather.hits(40, Deed::DoubledCall);
        let twice = twice.then(|| append.clone());
        let mut appended = self.write(self.inner.append(append)).await;
        if let Some(again) = twice {
            // A call that a proxy sends twice: the second one finds its place taken, or is the first if that failed before.
            let second = self.inner.append(again).await;
            drop(turns.fresh());
            if appended
                .as_ref()
                .is_err_and(|error| *error == unavailable())
                && second.is_ok()
            {
                appended = Err(StoreError::Unknown("the connection was lost".into()));
            }
        }
        if let Ok(appended) = &mut appended
            && !appended.granted.is_empty()
            && self.weather.hits(4, Deed::LostHint)
        {
            appended.granted.clear(); // a hint is lost
        }
        appended
    }

    async fn append_in(tx: &mut MemoryTx, append: Append) -> Result<Appended, StoreError> {
        Memory::append_in(tx, append).await
    }

    async fn submit_in(tx: &mut MemoryTx, submission: Submission) -> Result<Accepted, StoreError> {
        Memory::submit_in(tx, submission).await
    }

    async fn deliver_in(
        tx: &mut MemoryTx,
        plan: PlanId,
        message: Message,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        Memory::deliver_in(tx, plan, message, at).await
    }

    async fn open_in(tx: &mut MemoryTx, prefix: String) -> Result<Vec<OpenPlan>, StoreError> {
        Memory::open_in(tx, prefix).await
    }

    async fn take_key_in(tx: &mut MemoryTx, plan: PlanId) -> Result<(), StoreError> {
        Memory::take_key_in(tx, plan).await
    }

    async fn give_key_in(tx: &mut MemoryTx, plan: PlanId, key: String) -> Result<(), StoreError> {
        Memory::give_key_in(tx, plan, key).await
    }

    async fn load(&self, plan: PlanId) -> Result<Vec<Row>, StoreError> {
        self.read(self.inner.load(plan)).await
    }

    async fn load_all(&self, plans: Vec<PlanId>) -> Result<Vec<(PlanId, Vec<Row>)>, StoreError> {
        self.read(self.inner.load_all(plans)).await
    }

    async fn mail(&self, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
        self.weather.turns.looks(plan);
        self.read(self.inner.mail(plan)).await
    }

    async fn seats(&self, plan: PlanId) -> Result<Vec<Seat>, StoreError> {
        self.read(self.inner.seats(plan)).await
    }

    async fn list(&self, search: Search, page: Page) -> Result<Listing, StoreError> {
        self.read(self.inner.list(search, page)).await
    }

    async fn children(&self, parent: PlanId) -> Result<Vec<Count>, StoreError> {
        self.read(self.inner.children(parent)).await
    }

    async fn count(&self, visible: Visible) -> Result<Vec<Count>, StoreError> {
        self.read(self.inner.count(visible)).await
    }

    async fn due(&self, node: NodeId, waiting: Vec<PlanId>) -> Result<Due, StoreError> {
        if self.weather.hints_only {
            return Ok(Due::default());
        }
        self.read(self.inner.due(node, waiting)).await
    }

    async fn enter(
        &self,
        node: NodeId,
        name: String,
        at: Timestamp,
        window: Duration,
    ) -> Result<Entered, StoreError> {
        self.on_the_way().await;
        if self.weather.hits(20, Deed::RefusedCall) {
            return Err(unavailable());
        }
        self.inner.enter(node, name, at, window).await
    }

    async fn beat(
        &self,
        node: NodeId,
        name: String,
        started_at: Timestamp,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        self.on_the_way().await;
        if self.weather.hits(20, Deed::RefusedCall) {
            return Err(unavailable());
        }
        // By database time, when it arrives.
        let at = self.weather.clock.now();
        self.inner.beat(node, name, started_at, at).await
    }

    async fn leave(
        &self,
        node: NodeId,
        started_at: Timestamp,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        let at = self.weather.clock.now();
        self.write(self.inner.leave(node, started_at, at)).await
    }

    async fn orphans(
        &self,
        node: NodeId,
        _now: Timestamp,
        ttl: Duration,
        limit: u32,
    ) -> Result<Vec<Orphan>, StoreError> {
        let now = self.weather.clock.now();
        self.read(self.inner.orphans(node, now, ttl, limit)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.read(self.inner.nodes()).await
    }

    async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        self.read(self.inner.gates()).await
    }

    async fn put_gate_in(
        tx: &mut MemoryTx,
        gate: Gate,
        by_hand: bool,
    ) -> Result<Option<Gate>, StoreError> {
        Memory::put_gate_in(tx, gate, by_hand).await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        self.read(self.inner.schedules()).await
    }

    async fn due_schedules(&self, now: Timestamp) -> Result<DueSchedules, StoreError> {
        self.read(self.inner.due_schedules(now)).await
    }

    async fn put_schedule_in(tx: &mut MemoryTx, schedule: Schedule) -> Result<Put, StoreError> {
        Memory::put_schedule_in(tx, schedule).await
    }

    async fn remove_schedule_in(tx: &mut MemoryTx, id: ScheduleId) -> Result<bool, StoreError> {
        Memory::remove_schedule_in(tx, id).await
    }

    async fn ended(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, PlanId)>,
        limit: u32,
    ) -> Result<Vec<Ended>, StoreError> {
        self.read(self.inner.ended(until, after, limit)).await
    }

    async fn families(&self, plans: Vec<PlanId>) -> Result<Vec<Family>, StoreError> {
        self.read(self.inner.families(plans)).await
    }

    async fn forget_in(
        tx: &mut MemoryTx,
        families: Vec<Family>,
    ) -> Result<Vec<PlanId>, StoreError> {
        Memory::forget_in(tx, families).await
    }
}
