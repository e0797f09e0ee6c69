//! The journal in SQLite.

mod append;
mod find;
mod gates;
pub(super) mod inspect;
mod lock;
mod node;
mod retention;
mod row;
mod schedules;
mod submit;
mod tasks;

pub(crate) use append::append_batch;

use super::{Journal, failed};
use crate::database::Tx;
use engine::clock::Timestamp;
use engine::gate::Gate;
use engine::journal::{Message, NodeId, PlanId, Row};
use engine::lock::Seat;
use engine::retention::Family;
use engine::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use engine::search::Search;
use engine::step::Work;
use engine::store::{
    Accepted, Append, Appended, Count, Due, Ended, Entered, Listing, Mail, NodeRow, OpenPlan,
    Orphan, Page, Store, StoreError, Submission, Visible,
};
use std::time::Duration;

impl Store for Journal {
    type Tx = Tx;

    /// The lock beside the file sees to it that one process writes it.
    fn is_exclusive(&self) -> bool {
        true
    }

    async fn transact<T, E>(&self, work: Work<Tx, T, E>) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        Ok(self.database.transact(work).await?)
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.database.append(append).await
    }

    async fn append_in(tx: &mut Tx, append: Append) -> Result<Appended, StoreError> {
        let plan = append.plan;
        let seq = append.row.seq;
        let mut verdicts = append_batch(tx, &[&append]).await.map_err(failed)?;
        verdicts
            .pop()
            .flatten()
            .ok_or(StoreError::Fenced { plan, seq })
    }

    async fn submit_in(tx: &mut Tx, submission: Submission) -> Result<Accepted, StoreError> {
        submit::submit(tx, submission).await
    }

    async fn deliver_in(
        tx: &mut Tx,
        plan: PlanId,
        message: Message,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        submit::deliver(tx, plan, &message, at).await
    }

    async fn open_in(tx: &mut Tx, prefix: String) -> Result<Vec<OpenPlan>, StoreError> {
        submit::open(tx, &prefix).await
    }

    async fn take_key_in(tx: &mut Tx, plan: PlanId) -> Result<(), StoreError> {
        submit::take_key(tx, plan).await.map_err(failed)
    }

    async fn give_key_in(tx: &mut Tx, plan: PlanId, key: String) -> Result<(), StoreError> {
        submit::give_key(tx, plan, &key).await.map_err(failed)
    }

    async fn load(&self, plan: PlanId) -> Result<Vec<Row>, StoreError> {
        let mut tx = self.database.read().await?;
        find::rows(&mut tx, plan).await
    }

    async fn load_all(&self, plans: Vec<PlanId>) -> Result<Vec<(PlanId, Vec<Row>)>, StoreError> {
        let mut tx = self.database.read().await?;
        let mut all = Vec::with_capacity(plans.len());
        for plan in plans {
            let rows = find::rows(&mut tx, plan).await?;
            if !rows.is_empty() {
                all.push((plan, rows));
            }
        }
        Ok(all)
    }

    async fn mail(&self, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
        let mut tx = self.database.look_up().await?;
        find::mail(&mut tx, plan).await
    }

    async fn seats(&self, plan: PlanId) -> Result<Vec<Seat>, StoreError> {
        let mut tx = self.database.look_up().await?;
        lock::seats(&mut tx, plan).await
    }

    async fn list(&self, search: Search, page: Page) -> Result<Listing, StoreError> {
        let mut tx = self.database.read().await?;
        tasks::list(&mut tx, &search, &page).await
    }

    async fn children(&self, parent: PlanId) -> Result<Vec<Count>, StoreError> {
        let mut tx = self.database.read().await?;
        find::children(&mut tx, parent).await
    }

    async fn count(&self, visible: Visible) -> Result<Vec<Count>, StoreError> {
        let mut tx = self.database.read().await?;
        find::count(&mut tx, &visible).await
    }

    async fn due(&self, node: NodeId, waiting: Vec<PlanId>) -> Result<Due, StoreError> {
        let mut tx = self.database.look_up().await?;
        let mail = node::unread(&mut tx, node).await?;
        let mut granted = Vec::new();
        for plan in waiting {
            if lock::holds_all(&mut tx, plan).await.map_err(failed)? {
                granted.push(plan);
            }
        }
        Ok(Due { mail, granted })
    }

    async fn enter(
        &self,
        id: NodeId,
        name: String,
        at: Timestamp,
        window: Duration,
    ) -> Result<Entered, StoreError> {
        node::enter(&self.database, id, name, at, window).await
    }

    async fn beat(
        &self,
        id: NodeId,
        name: String,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        node::beat(&self.database, id, name, started_at, at).await
    }

    async fn leave(
        &self,
        id: NodeId,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        node::leave(&self.database, id, started_at, at).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let mut tx = self.database.read().await?;
        node::list(&mut tx).await
    }

    async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        let mut tx = self.database.read().await?;
        gates::list(&mut tx).await
    }

    async fn put_gate_in(
        tx: &mut Tx,
        gate: Gate,
        by_hand: bool,
    ) -> Result<Option<Gate>, StoreError> {
        gates::put(tx, gate, by_hand).await
    }

    async fn orphans(
        &self,
        node: NodeId,
        now: Timestamp,
        ttl: Duration,
        limit: u32,
    ) -> Result<Vec<Orphan>, StoreError> {
        let mut tx = self.database.read().await?;
        node::orphans(&mut tx, node, now - ttl, limit).await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        let mut tx = self.database.read().await?;
        schedules::list(&mut tx).await
    }

    async fn due_schedules(&self, now: Timestamp) -> Result<DueSchedules, StoreError> {
        let mut tx = self.database.read().await?;
        schedules::due(&mut tx, now).await
    }

    async fn put_schedule_in(tx: &mut Tx, schedule: Schedule) -> Result<Put, StoreError> {
        schedules::put(tx, schedule).await
    }

    async fn remove_schedule_in(tx: &mut Tx, id: ScheduleId) -> Result<bool, StoreError> {
        schedules::remove(tx, id).await
    }

    async fn ended(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, PlanId)>,
        limit: u32,
    ) -> Result<Vec<Ended>, StoreError> {
        let mut tx = self.database.read().await?;
        retention::ended(&mut tx, until, after, limit).await
    }

    async fn families(&self, plans: Vec<PlanId>) -> Result<Vec<Family>, StoreError> {
        let mut tx = self.database.read().await?;
        let mut families = Vec::with_capacity(plans.len());
        for plan in plans {
            families.extend(retention::family(&mut tx, plan).await?);
        }
        Ok(families)
    }

    async fn forget_in(tx: &mut Tx, families: Vec<Family>) -> Result<Vec<PlanId>, StoreError> {
        retention::forget(tx, families).await
    }
}
