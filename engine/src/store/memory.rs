//! The store in memory: for tests, simulations and examples. Nothing survives the process.

use super::{
    Accepted, Append, Appended, Count, Due, Ended, Entered, Head, Listing, Mail, NodeRow, OpenPlan,
    Orphan, Page, Store, StoreError, Submission, Visible,
};
use crate::clock::Timestamp;
use crate::gate::{Gate, GateId};
use crate::journal::{Entry, Message, NodeId, PlanId, Row};
use crate::lock::{LockMode, Seat};
#[cfg(feature = "prove")]
use crate::prove::simulation::Twin;
use crate::retention::{Family, Member};
use crate::schedule::{DueSchedules, Put, Schedule, ScheduleId};
use crate::search::{Cursor, Search};
use crate::state::PlanState;
use crate::step::Work;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// When the life began from which the node has signed off, if so.
fn signed_off(node: &NodeRow) -> Option<Timestamp> {
    (!node.runs).then_some(node.started_at)
}

/// All that is kept; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

/// A transaction: a copy that replaces what is kept when its work succeeds.
#[derive(Debug)]
pub struct MemoryTx {
    kept: Kept,
}

impl MemoryTx {
    /// The application's own table.
    pub fn table(&mut self) -> &mut BTreeMap<String, String> {
        Arc::make_mut(&mut self.kept.table)
    }
}

/// What is large or seldom changed is shared with the copy that a transaction works on, until one of them changes it.
#[derive(Clone, Debug, Default)]
struct Kept {
    plans: BTreeMap<PlanId, Arc<PlanRow>>,
    journal: HashMap<PlanId, Arc<Vec<Arc<Row>>>>,
    mailbox: BTreeMap<i64, (PlanId, Message)>,
    locks: BTreeMap<i64, LockRow>,
    /// With how often in a row each started without having signed off before.
    nodes: Arc<BTreeMap<NodeId, (NodeRow, u32)>>,
    gates: Arc<BTreeMap<GateId, Gate>>,
    table: Arc<BTreeMap<String, String>>,
    /// With when each runs next.
    schedules: Arc<BTreeMap<ScheduleId, (Schedule, Option<Timestamp>)>>,
    next: i64,
    /// How it is broken on purpose.
    #[cfg(feature = "prove")]
    twin: Option<Twin>,
    #[cfg(feature = "prove")]
    witness: Option<Arc<dyn Witness>>,
    /// What the commit under way has brought so far.
    #[cfg(feature = "prove")]
    commit: Commit,
}

/// Is told of every commit, in their order and before anybody else can see it.
#[cfg(feature = "prove")]
pub(crate) trait Witness: std::fmt::Debug + Send + Sync {
    /// This has become true, all at once.
    fn committed(&self, commit: &Commit);
}

/// What became true at once.
#[cfg(feature = "prove")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Commit {
    /// The rows of journals that were written.
    pub(crate) rows: Vec<(PlanId, Arc<Row>)>,
    /// The plans that were deleted.
    pub(crate) forgotten: Vec<PlanId>,
}

#[derive(Clone, Debug)]
struct PlanRow {
    head: Head,
    key: Option<String>,
    links: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct LockRow {
    resource: String,
    mode: LockMode,
    plan: PlanId,
    since: Timestamp,
}

impl Memory {
    /// A store with a witness, and perhaps broken.
    #[cfg(feature = "prove")]
    pub(crate) fn witnessed(witness: Arc<dyn Witness>, twin: Option<Twin>) -> Self {
        let kept = Kept {
            twin,
            witness: Some(witness),
            ..Kept::default()
        };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// How many messages nobody has read, of plans that are there.
    #[cfg(feature = "prove")]
    pub(crate) async fn unread(&self) -> usize {
        let kept = self.0.lock().await;
        let mail = kept.mailbox.values();
        mail.filter(|(to, _)| kept.plans.contains_key(to)).count()
    }

    /// When the next run of a schedule comes, if one does.
    #[cfg(feature = "prove")]
    pub(crate) async fn next_run(&self) -> Option<Timestamp> {
        let kept = self.0.lock().await;
        kept.schedules.values().filter_map(|(_, next)| *next).min()
    }

    /// The plans that are there.
    #[cfg(feature = "prove")]
    pub(crate) async fn ids(&self) -> Vec<PlanId> {
        self.0.lock().await.journal.keys().copied().collect()
    }

    /// A copy of the application's own table.
    pub async fn table(&self) -> BTreeMap<String, String> {
        BTreeMap::clone(&self.0.lock().await.table)
    }
}

impl Kept {
    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// How it is broken on purpose, if it is so.
    #[cfg(feature = "prove")]
    fn is(&self, twin: Twin) -> bool {
        self.twin == Some(twin)
    }

    /// What was done is true from now on.
    fn commit(&mut self) {
        #[cfg(feature = "prove")]
        {
            let commit = std::mem::take(&mut self.commit);
            if let Some(witness) = &self.witness {
                witness.committed(&commit);
            }
        }
    }

    fn rows(&self, plan: PlanId) -> Vec<Row> {
        let rows = self.journal.get(&plan);
        rows.map_or_else(Vec::new, |rows| {
            rows.iter().map(|row| Row::clone(row)).collect()
        })
    }

    /// The first row that excludes this one.
    fn in_the_way(&self, n: i64) -> Option<&LockRow> {
        #[cfg(feature = "prove")]
        if self.is(Twin::LocksForAll) {
            return None;
        }
        let mine = self.locks.get(&n)?;
        let exclusive =
            |row: &LockRow| row.mode == LockMode::Exclusive || mine.mode == LockMode::Exclusive;
        self.locks
            .range(..n)
            .map(|(_, row)| row)
            .find(|row| row.resource == mine.resource && exclusive(row))
    }

    fn rows_of(&self, plan: PlanId) -> impl Iterator<Item = (i64, &LockRow)> {
        self.locks
            .iter()
            .filter(move |(_, row)| row.plan == plan)
            .map(|(n, row)| (*n, row))
    }

    fn holds_all(&self, plan: PlanId) -> bool {
        self.rows_of(plan)
            .all(|(n, _)| self.in_the_way(n).is_none())
    }

    fn ask(&mut self, plan: PlanId, requests: &[crate::lock::LockRequest], since: Timestamp) {
        for request in requests {
            let n = self.number();
            let row = LockRow {
                resource: request.resource.clone(),
                mode: request.mode,
                plan,
                since,
            };
            self.locks.insert(n, row);
        }
    }

    fn append(&mut self, append: Append) -> Result<Appended, StoreError> {
        let Append {
            plan,
            #[cfg_attr(
                not(feature = "prove"),
                expect(unused_mut, reason = "only a twin moves it")
            )]
            mut row,
            head,
            let_go,
            asked_for,
            mail,
            notices,
            gives_key_up,
            ..
        } = append;
        let rows = self.journal.get(&plan).map_or(0, |rows| rows.len());
        let next = i64::try_from(rows).unwrap_or(i64::MAX) + 1;
        #[cfg(feature = "prove")]
        if self.is(Twin::FenceOff) {
            row.seq = next;
        }
        if next != row.seq {
            return Err(StoreError::Fenced { plan, seq: row.seq });
        }
        let (at, row) = (row.at, Arc::new(row));
        #[cfg(feature = "prove")]
        self.commit.rows.push((plan, row.clone()));
        Arc::make_mut(self.journal.entry(plan).or_default()).push(row);
        if let Some(mail) = mail {
            self.mailbox.remove(&mail);
        }
        for (to, message) in notices {
            if self.plans.contains_key(&to) {
                let n = self.number();
                self.mailbox.insert(n, (to, message));
            }
        }
        if let Some(known) = self.plans.get_mut(&plan) {
            if let Some(head) = head {
                Arc::make_mut(known).head = head;
            }
            if gives_key_up && known.key.is_some() {
                Arc::make_mut(known).key = None;
            }
        }
        self.locks
            .retain(|_, row| row.plan != plan || !let_go.contains(&row.resource));
        self.ask(plan, &asked_for, at);
        let mut granted: Vec<PlanId> = self
            .locks
            .values()
            .filter(|row| {
                let_go.contains(&row.resource) || (row.plan == plan && !asked_for.is_empty())
            })
            .map(|row| row.plan)
            .collect();
        granted.sort();
        granted.dedup();
        granted.retain(|plan| self.holds_all(*plan));
        Ok(Appended { granted })
    }

    /// The plan as retention sees it.
    fn member(&self, plan: PlanId) -> Option<Member> {
        let head = &self.plans.get(&plan)?.head;
        let first = self.journal.get(&plan).and_then(|rows| rows.first());
        let first = first.and_then(|row| row.entries.first());
        let submitted = match first {
            Some(Entry::Submitted(submitted)) => Some(submitted),
            _ => None,
        };
        Some(Member {
            plan,
            workflow: head.workflow.clone(),
            state: head.state,
            result: head.result,
            ended_at: head.ended_at,
            revertible_for: submitted.and_then(|it| it.revertible_for),
            is_bound: submitted.is_none() || self.mailbox.values().any(|(to, _)| *to == plan),
        })
    }

    /// The plan with its sub-tasks; none where it belongs to a parent that is there.
    fn family(&self, root: PlanId) -> Option<Family> {
        let parent = |links: &[(String, String)]| {
            let link = links.iter().find(|(name, _)| name == "parent")?;
            link.1.parse::<PlanId>().ok()
        };
        let above = parent(&self.plans.get(&root)?.links);
        if above.is_some_and(|above| self.plans.contains_key(&above)) {
            return None;
        }
        let mut members = vec![self.member(root)?];
        let mut seen = 0;
        while let Some(above) = members.get(seen).map(|it| it.plan) {
            let below = self.plans.iter();
            let below = below.filter(|(_, row)| parent(&row.links) == Some(above));
            members.extend(below.filter_map(|(plan, _)| self.member(*plan)));
            seen += 1;
        }
        Some(Family { members })
    }

    fn forget(&mut self, plan: PlanId) {
        #[cfg(feature = "prove")]
        self.commit.forgotten.push(plan);
        self.plans.remove(&plan);
        self.journal.remove(&plan);
        self.locks.retain(|_, row| row.plan != plan);
    }

    fn sees(visible: &Visible, row: &PlanRow) -> bool {
        match visible {
            Visible::All => true,
            Visible::Some {
                organizations,
                actor,
            } => {
                let is = |text: &Option<String>, label: &String| {
                    text.as_ref()
                        .is_some_and(|text| text.eq_ignore_ascii_case(label))
                };
                organizations
                    .iter()
                    .any(|label| is(&row.head.organization, label))
                    || is(&row.head.actor, actor)
            }
        }
    }
}

fn counts<'a>(rows: impl Iterator<Item = &'a Arc<PlanRow>>) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for row in rows {
        let Head {
            state,
            result,
            reason,
            ..
        } = row.head;
        let alike = |known: &&mut Count| {
            (known.state, known.result, known.reason) == (state, result, reason)
        };
        match counts.iter_mut().find(alike) {
            Some(known) => known.plans += 1,
            None => counts.push(Count {
                state,
                result,
                reason,
                plans: 1,
            }),
        }
    }
    counts
}

impl Store for Memory {
    type Tx = MemoryTx;

    async fn transact<T, E>(&self, work: Work<MemoryTx, T, E>) -> Result<Result<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let mut kept = self.0.lock().await;
        let mut tx = MemoryTx { kept: kept.clone() };
        let done = work(&mut tx).await;
        if done.is_ok() {
            *kept = tx.kept;
            kept.commit();
        }
        Ok(done)
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let mut kept = self.0.lock().await;
        let appended = kept.append(append);
        kept.commit();
        appended
    }

    async fn append_in(tx: &mut MemoryTx, append: Append) -> Result<Appended, StoreError> {
        tx.kept.append(append)
    }

    async fn submit_in(tx: &mut MemoryTx, submission: Submission) -> Result<Accepted, StoreError> {
        let kept = &mut tx.kept;
        let Submission {
            queued,
            granted,
            open_key,
        } = submission;
        if let Some(key) = &open_key
            && let Some((open, _)) = kept
                .plans
                .iter()
                .find(|(_, row)| row.key.as_ref() == Some(key))
        {
            return Ok(Accepted::OpenAlready(*open));
        }
        let plan = queued.plan;
        let Some(Entry::Submitted(submitted)) = queued.row.entries.first() else {
            return Err(StoreError::Corrupt(
                "a submission that does not begin with `submitted`".into(),
            ));
        };
        kept.ask(plan, &submitted.locks, queued.row.at);
        let links = submitted.links.clone();
        let at_once = kept.holds_all(plan);
        let append = if at_once { granted } else { queued };
        let head = append.head.clone();
        let over = append.gives_key_up;
        kept.append(append)?;
        if let Some(head) = head {
            let key = open_key.filter(|_| !over);
            let row = PlanRow { head, key, links };
            kept.plans.insert(plan, Arc::new(row));
        }
        Ok(Accepted::Recorded { granted: at_once })
    }

    async fn deliver_in(
        tx: &mut MemoryTx,
        plan: PlanId,
        message: Message,
        _at: Timestamp,
    ) -> Result<i64, StoreError> {
        let n = tx.kept.number();
        tx.kept.mailbox.insert(n, (plan, message));
        Ok(n)
    }

    async fn open_in(tx: &mut MemoryTx, prefix: String) -> Result<Vec<OpenPlan>, StoreError> {
        let kept = &tx.kept;
        let open = kept.plans.iter().filter_map(|(id, row)| {
            let key = row.key.clone().filter(|key| key.starts_with(&prefix))?;
            let (state, paused_at) = (row.head.state, row.head.paused_at);
            Some(OpenPlan {
                id: *id,
                key,
                state,
                paused_at,
                at_work: state.is_driven() && kept.holds_all(*id),
            })
        });
        Ok(open.collect())
    }

    async fn take_key_in(tx: &mut MemoryTx, plan: PlanId) -> Result<(), StoreError> {
        if let Some(row) = tx.kept.plans.get_mut(&plan) {
            Arc::make_mut(row).key = None;
        }
        Ok(())
    }

    async fn give_key_in(tx: &mut MemoryTx, plan: PlanId, key: String) -> Result<(), StoreError> {
        if let Some(row) = tx.kept.plans.get_mut(&plan) {
            Arc::make_mut(row).key = Some(key);
        }
        Ok(())
    }

    async fn load(&self, plan: PlanId) -> Result<Vec<Row>, StoreError> {
        Ok(self.0.lock().await.rows(plan))
    }

    async fn load_all(&self, plans: Vec<PlanId>) -> Result<Vec<(PlanId, Vec<Row>)>, StoreError> {
        // As all of them are at one moment.
        let kept = self.0.lock().await;
        let all = plans.into_iter().map(|plan| (plan, kept.rows(plan)));
        Ok(all.filter(|(_, rows)| !rows.is_empty()).collect())
    }

    async fn mail(&self, plan: PlanId) -> Result<Vec<Mail>, StoreError> {
        let kept = self.0.lock().await;
        let mine = kept.mailbox.iter().filter(|(_, (to, _))| *to == plan);
        Ok(mine
            .map(|(n, (_, message))| Mail {
                n: *n,
                message: message.clone(),
            })
            .collect())
    }

    async fn seats(&self, plan: PlanId) -> Result<Vec<Seat>, StoreError> {
        let kept = self.0.lock().await;
        let seat = |(n, row): (i64, &LockRow)| {
            let before: Vec<_> = kept
                .locks
                .range(..n)
                .filter(|(_, other)| other.resource == row.resource)
                .collect();
            let blocking = kept.in_the_way(n).map(|other| other.plan);
            let waiting = before
                .iter()
                .filter(|(n, _)| kept.in_the_way(**n).is_some())
                .count();
            let position = if blocking.is_none() {
                0
            } else {
                u32::try_from(waiting).unwrap_or(u32::MAX - 1) + 1
            };
            Seat {
                resource: row.resource.clone(),
                mode: row.mode,
                since: row.since,
                position,
                behind: blocking,
            }
        };
        Ok(kept.rows_of(plan).map(seat).collect())
    }

    async fn list(&self, search: Search, page: Page) -> Result<Listing, StoreError> {
        let kept = self.0.lock().await;
        let sort = page.sort;
        let mut found: Vec<_> = kept
            .plans
            .iter()
            .filter(|(_, row)| Kept::sees(&page.visible, row))
            .filter(|(id, row)| search.finds(**id, &row.head, &row.links))
            .map(|(id, row)| (sort.by.key(&row.head, search.now), *id))
            .collect();
        let total = found.len() as u64;
        found.sort_by(|one, other| sort.compare(one, other));
        if let Some(cursor) = page.after {
            let last = (cursor.key, cursor.id);
            found.retain(|one| sort.compare(one, &last).is_gt());
        }
        let more = found.len() > page.limit as usize;
        found.truncate(page.limit as usize);
        let last = found.last().filter(|_| more).cloned();
        let plans = found.into_iter().map(|(_, id)| id).collect();
        Ok(Listing {
            plans,
            total,
            next: last.map(|(key, id)| Cursor {
                sort,
                as_of: search.now,
                key,
                id,
            }),
        })
    }

    async fn children(&self, parent: PlanId) -> Result<Vec<Count>, StoreError> {
        let kept = self.0.lock().await;
        let parent = ("parent".to_owned(), parent.to_string());
        Ok(counts(
            kept.plans
                .values()
                .filter(|row| row.links.contains(&parent)),
        ))
    }

    async fn count(&self, visible: Visible) -> Result<Vec<Count>, StoreError> {
        let kept = self.0.lock().await;
        Ok(counts(
            kept.plans.values().filter(|row| Kept::sees(&visible, row)),
        ))
    }

    async fn due(&self, node: NodeId, waiting: Vec<PlanId>) -> Result<Due, StoreError> {
        let kept = self.0.lock().await;
        let mine = |plan: &PlanId| {
            kept.plans
                .get(plan)
                .is_some_and(|row| row.head.owner.is_none_or(|owner| owner == node))
        };
        let mut mail: Vec<PlanId> = kept
            .mailbox
            .values()
            .map(|(plan, _)| *plan)
            .filter(mine)
            .collect();
        mail.dedup();
        let granted = waiting
            .into_iter()
            .filter(|plan| kept.holds_all(*plan))
            .collect();
        Ok(Due { mail, granted })
    }

    async fn enter(
        &self,
        id: NodeId,
        name: String,
        at: Timestamp,
        window: Duration,
    ) -> Result<Entered, StoreError> {
        let mut kept = self.0.lock().await;
        let nodes = Arc::make_mut(&mut kept.nodes);
        let before = nodes.get(&id);
        let unclean_starts = match before {
            Some((known, starts)) if known.runs && at.since(known.started_at) <= window => {
                starts + 1
            }
            Some((known, _)) if known.runs => 1,
            _ => 0,
        };
        let signed_off = before.and_then(|(known, _)| signed_off(known));
        nodes.insert(id, (NodeRow::running(id, name, at, at), unclean_starts));
        Ok(Entered {
            unclean_starts,
            signed_off,
        })
    }

    async fn beat(
        &self,
        id: NodeId,
        name: String,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut kept = self.0.lock().await;
        let nodes = Arc::make_mut(&mut kept.nodes);
        let unclean_starts = nodes.get(&id).map_or(0, |(_, starts)| *starts);
        let row = NodeRow::running(id, name, started_at, at);
        nodes.insert(id, (row, unclean_starts));
        Ok(())
    }

    async fn leave(
        &self,
        node: NodeId,
        started_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((row, _)) = Arc::make_mut(&mut kept.nodes).get_mut(&node) {
            (row.started_at, row.beat_at, row.runs) = (started_at, at, false);
        }
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let kept = self.0.lock().await;
        let plans = |id| {
            kept.plans
                .values()
                .filter(move |it| it.head.owner == Some(id))
        };
        let mut all: Vec<NodeRow> = kept
            .nodes
            .values()
            .map(|(row, _)| NodeRow {
                plans: plans(row.id).count() as u64,
                ..row.clone()
            })
            .collect();
        all.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        Ok(all)
    }

    async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        Ok(self.0.lock().await.gates.values().cloned().collect())
    }

    async fn put_gate_in(
        tx: &mut MemoryTx,
        mut gate: Gate,
        by_hand: bool,
    ) -> Result<Option<Gate>, StoreError> {
        let gates = Arc::make_mut(&mut tx.kept.gates);
        let kept = gates.get(&gate.id).map_or(0, |kept| kept.revision);
        if kept != gate.revision && !by_hand {
            return Ok(None);
        }
        gate.revision = kept + 1;
        gates.insert(gate.id.clone(), gate.clone());
        Ok(Some(gate))
    }

    async fn orphans(
        &self,
        node: NodeId,
        now: Timestamp,
        ttl: Duration,
        limit: u32,
    ) -> Result<Vec<Orphan>, StoreError> {
        let kept = self.0.lock().await;
        let lost = |owner: NodeId| {
            owner == node
                || kept
                    .nodes
                    .get(&owner)
                    .is_none_or(|(it, _)| !it.runs || now.since(it.beat_at) >= ttl)
        };
        let open = kept.plans.iter().filter_map(|(plan, row)| {
            let owner = row.head.owner.filter(|owner| lost(*owner))?;
            let node = kept.nodes.get(&owner);
            Some(Orphan {
                plan: *plan,
                signed_off: node.and_then(|(it, _)| signed_off(it)),
            })
        });
        Ok(open.take(limit as usize).collect())
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        let kept = self.0.lock().await;
        let mut all: Vec<_> = kept.schedules.values().map(|(it, _)| it.clone()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn due_schedules(&self, now: Timestamp) -> Result<DueSchedules, StoreError> {
        let kept = self.0.lock().await;
        let timed = kept.schedules.values();
        let mut timed: Vec<_> = timed
            .filter_map(|(it, next)| Some(((*next)?, it.id, it)))
            .collect();
        timed.sort_by_key(|(at, id, _)| (*at, *id));
        let come = timed.partition_point(|(at, ..)| *at <= now);
        Ok(DueSchedules {
            next: timed.get(come).map(|(at, ..)| *at),
            due: timed[..come].iter().map(|(.., it)| (*it).clone()).collect(),
            unreadable: Vec::new(),
        })
    }

    async fn put_schedule_in(tx: &mut MemoryTx, mut schedule: Schedule) -> Result<Put, StoreError> {
        let kept = &mut tx.kept;
        if schedule.id == ScheduleId::default() {
            schedule.id = ScheduleId(kept.number());
        } else if kept.schedules.get(&schedule.id).map(|(it, _)| it.revision)
            != Some(schedule.revision)
        {
            return Ok(Put::Stale);
        }
        let mut all = kept.schedules.values();
        if all.any(|(it, _)| it.name == schedule.name && it.id != schedule.id) {
            return Ok(Put::NameTaken);
        }
        schedule.revision += 1;
        let next = schedule.next_at();
        let schedules = Arc::make_mut(&mut kept.schedules);
        schedules.insert(schedule.id, (schedule.clone(), next));
        Ok(Put::Kept(Box::new(schedule)))
    }

    async fn remove_schedule_in(tx: &mut MemoryTx, id: ScheduleId) -> Result<bool, StoreError> {
        let schedules = Arc::make_mut(&mut tx.kept.schedules);
        Ok(schedules.remove(&id).is_some())
    }

    async fn ended(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, PlanId)>,
        limit: u32,
    ) -> Result<Vec<Ended>, StoreError> {
        let kept = self.0.lock().await;
        let stopped = kept.plans.iter();
        let stopped = stopped.filter(|(_, row)| row.head.state == PlanState::Stopped);
        let mut ended: Vec<Ended> = stopped
            .filter_map(|(plan, row)| {
                let head = &row.head;
                Some(Ended {
                    plan: *plan,
                    workflow: head.workflow.clone(),
                    result: head.result,
                    at: head.ended_at?,
                })
            })
            .filter(|it| it.at <= until && after.is_none_or(|last| (it.at, it.plan) > last))
            .collect();
        ended.sort_by_key(|it| (it.at, it.plan));
        ended.truncate(limit as usize);
        Ok(ended)
    }

    async fn families(&self, plans: Vec<PlanId>) -> Result<Vec<Family>, StoreError> {
        let kept = self.0.lock().await;
        Ok(plans.into_iter().filter_map(|it| kept.family(it)).collect())
    }

    async fn forget_in(
        tx: &mut MemoryTx,
        families: Vec<Family>,
    ) -> Result<Vec<PlanId>, StoreError> {
        let kept = &mut tx.kept;
        let mut gone = Vec::new();
        for family in families {
            let root = family.members.first().map(|it| it.plan);
            let is = root.and_then(|root| kept.family(root));
            let may_go = is.as_ref() == Some(&family) && family.is_over();
            #[cfg(feature = "prove")]
            let may_go = may_go || kept.is(Twin::ForgetsWhatWasSeen);
            if !may_go {
                continue;
            }
            for member in family.members {
                kept.forget(member.plan);
                gone.push(member.plan);
            }
        }
        Ok(gone)
    }
}
