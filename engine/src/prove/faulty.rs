//! A store with a fault at a chosen write: it dies, as a process does that is killed, and answers nothing after that; or it
//! cannot tell whether the write is durable, as when a connection is lost; or it has no space for any.

use super::Watch;
use crate::clock::Timestamp;
use crate::gate::Gate;
use crate::journal::{Message, NodeId, PlanId, Row};
use crate::lock::Seat;
use crate::retention::Family;
use crate::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use crate::search::Search;
use crate::step::Work;
use crate::store::{
    Accepted, Append, Appended, Count, Due, Ended, Entered, Listing, Mail, NodeRow, OpenPlan,
    Orphan, Page, Store, StoreError, Submission, Visible,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// On which side of the write the fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The write is not made.
    Before,
    /// The write is durable, but nobody learns of it.
    After,
}

/// There is always space.
const ENDLESS: usize = usize::MAX;

/// A store around another one.
#[derive(Clone)]
pub struct Faulty<St> {
    inner: St,
    fault: Option<(usize, Moment)>,
    /// It lives on after its fault.
    survives: bool,
    writes: Arc<AtomicUsize>,
    dead: CancellationToken,
    /// So many more writes have space.
    room: Arc<AtomicUsize>,
    exclusive: bool,
    /// So long reading several plans takes.
    reading: Duration,
    /// Looks at the locks of all plans after each write.
    watch: Option<Arc<Watch>>,
}

impl<St> Faulty<St> {
    /// Never dies, but counts.
    pub fn sound(inner: St) -> Self {
        Self {
            inner,
            fault: None,
            survives: false,
            writes: Arc::default(),
            dead: CancellationToken::new(),
            room: Arc::new(AtomicUsize::new(ENDLESS)),
            exclusive: false,
            reading: Duration::ZERO,
            watch: None,
        }
    }

    /// After each write that is made, and before anybody learns of it, this looks at the locks of all plans.
    #[must_use]
    pub fn watched(self, watch: &Arc<Watch>) -> Self {
        Self {
            watch: Some(watch.clone()),
            ..self
        }
    }

    /// Takes so long to read several plans at once.
    pub fn slow(inner: St, reading: Duration) -> Self {
        Self {
            reading,
            ..Self::sound(inner)
        }
    }

    /// Nobody else can take its plans.
    pub fn exclusive(inner: St) -> Self {
        Self {
            exclusive: true,
            ..Self::sound(inner)
        }
    }

    /// There is no space any more, until [`Faulty::free`].
    pub fn fill(&self) {
        self.fill_after(0);
    }

    /// There is space for so many more writes, until [`Faulty::free`].
    pub fn fill_after(&self, writes: usize) {
        self.room.store(writes, Ordering::SeqCst);
    }

    /// Has no space for anything, until [`Faulty::free`].
    pub fn full(inner: St) -> Self {
        let full = Self::sound(inner);
        full.fill();
        full
    }

    /// There is space again.
    pub fn free(&self) {
        self.room.store(ENDLESS, Ordering::SeqCst);
    }

    fn has_space(&self) -> Result<(), StoreError> {
        if self.room.load(Ordering::SeqCst) == 0 {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    fn take_space(&self) -> Result<(), StoreError> {
        let less = |room: usize| match room {
            ENDLESS => Some(ENDLESS),
            room => room.checked_sub(1),
        };
        let taken = self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.map(drop).map_err(|_| StoreError::Full)
    }

    /// Dies at write number `at`, counted from 0.
    pub fn dying(inner: St, at: usize, moment: Moment) -> Self {
        Self {
            fault: Some((at, moment)),
            ..Self::sound(inner)
        }
    }

    /// Answers write number `at` with [`StoreError::Unknown`], and lives on.
    pub fn doubting(inner: St, at: usize, moment: Moment) -> Self {
        Self {
            survives: true,
            ..Self::dying(inner, at, moment)
        }
    }

    /// How many writes were begun.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// Returns once it is dead.
    pub async fn death(&self) {
        self.dead.cancelled().await;
    }

    async fn alive(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    async fn fail(&self) -> Result<(), StoreError> {
        if self.survives {
            return Err(StoreError::Unknown("the connection was lost".into()));
        }
        self.dead.cancel();
        self.alive().await;
        Ok(())
    }
}

impl<St: Store> Faulty<St> {
    async fn write<T>(
        &self,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.alive().await;
        self.take_space()?;
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if self.fault == Some((number, Moment::Before)) {
            self.fail().await?;
        }
        let done = write.await;
        if let Some(watch) = &self.watch {
            watch.look(&self.inner).await;
        }
        if self.fault == Some((number, Moment::After)) {
            self.fail().await?;
        }
        self.alive().await;
        done
    }
}

impl<St: Store> Store for Faulty<St> {
    type Tx = St::Tx;

    fn is_exclusive(&self) -> bool {
        self.exclusive || self.inner.is_exclusive()
    }

    async fn transact<T, E>(&self, work: Work<Self::Tx, T, E>) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write(self.inner.transact(work)).await
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.write(self.inner.append(append)).await
    }

    async fn append_in(tx: &mut Self::Tx, append: Append) -> Result<Appended, StoreError> {
        St::append_in(tx, append).await
    }

    async fn submit_in(tx: &mut Self::Tx, submission: Submission) -> Result<Accepted, StoreError> {
        St::submit_in(tx, submission).await
    }

    async fn deliver_in(
        tx: &mut Self::Tx,
        plan: PlanId,
        message: Message,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        St::deliver_in(tx, plan, message, at).await
    }

    async fn open_in(tx: &mut Self::Tx, prefix: String) -> Result<Vec<OpenPlan>, StoreError> {
        St::open_in(tx, prefix).await
    }

    async fn take_key_in(tx: &mut Self::Tx, plan: PlanId) -> Result<(), StoreError> {
        St::take_key_in(tx, plan).await
    }

    async fn give_key_in(tx: &mut Self::Tx, plan: PlanId, key: String) -> Result<(), StoreError> {
        St::give_key_in(tx, plan, key).await
    }

    async fn load(&self, plan: PlanId) -> Result<Vec<Row>, StoreError> {
        self.alive().await;
        self.inner.load(plan).await
    }

    async fn load_all(&self, plans: Vec<PlanId>) -> Result<Vec<(PlanId, Vec<Row>)>, StoreError> {
        self.alive().await;
        if !self.reading.is_zero() {
            tokio::time::sleep(self.reading).await;
        }
        self.inner.load_all(plans).await
    }

    async fn mail(&self, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
        self.alive().await;
        self.inner.mail(plan).await
    }

    async fn seats(&self, plan: PlanId) -> Result<Vec<Seat>, StoreError> {
        self.alive().await;
        self.inner.seats(plan).await
    }

    async fn list(&self, search: Search, page: Page) -> Result<Listing, StoreError> {
        self.alive().await;
        self.inner.list(search, page).await
    }

    async fn children(&self, parent: PlanId) -> Result<Vec<Count>, StoreError> {
        self.alive().await;
        self.inner.children(parent).await
    }

    async fn count(&self, visible: Visible) -> Result<Vec<Count>, StoreError> {
        self.alive().await;
        self.inner.count(visible).await
    }

    async fn due(&self, node: NodeId, waiting: Vec<PlanId>) -> Result<Due, StoreError> {
        self.alive().await;
        self.inner.due(node, waiting).await
    }

    async fn enter(
        &self,
        node: NodeId,
        name: String,
        at: Timestamp,
        window: Duration,
    ) -> Result<Entered, StoreError> {
        self.alive().await;
        self.has_space()?;
        self.inner.enter(node, name, at, window).await
    }

    async fn beat(
        &self,
        node: NodeId,
        name: String,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.alive().await;
        self.has_space()?;
        self.inner.beat(node, name, started_at, at).await
    }

    async fn leave(
        &self,
        node: NodeId,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.alive().await;
        self.has_space()?;
        self.inner.leave(node, started_at, at).await
    }

    async fn orphans(
        &self,
        node: NodeId,
        now: Timestamp,
        ttl: Duration,
        limit: u32,
    ) -> Result<Vec<Orphan>, StoreError> {
        self.alive().await;
        self.inner.orphans(node, now, ttl, limit).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.alive().await;
        self.inner.nodes().await
    }

    async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        self.alive().await;
        self.inner.gates().await
    }

    async fn put_gate_in(
        tx: &mut Self::Tx,
        gate: Gate,
        by_hand: bool,
    ) -> Result<Option<Gate>, StoreError> {
        St::put_gate_in(tx, gate, by_hand).await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        self.alive().await;
        self.inner.schedules().await
    }

    async fn due_schedules(&self, now: Timestamp) -> Result<DueSchedules, StoreError> {
        self.alive().await;
        self.inner.due_schedules(now).await
    }

    async fn put_schedule_in(tx: &mut Self::Tx, schedule: Schedule) -> Result<Put, StoreError> {
        St::put_schedule_in(tx, schedule).await
    }

    async fn remove_schedule_in(tx: &mut Self::Tx, id: ScheduleId) -> Result<bool, StoreError> {
        St::remove_schedule_in(tx, id).await
    }

    async fn ended(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, PlanId)>,
        limit: u32,
    ) -> Result<Vec<Ended>, StoreError> {
        self.alive().await;
        self.inner.ended(until, after, limit).await
    }

    async fn families(&self, plans: Vec<PlanId>) -> Result<Vec<Family>, StoreError> {
        self.alive().await;
        self.inner.families(plans).await
    }

    async fn forget_in(
        tx: &mut Self::Tx,
        families: Vec<Family>,
    ) -> Result<Vec<PlanId>, StoreError> {
        St::forget_in(tx, families).await
    }
}
