//! Where awkward workflows leave what they do: a place outside the database that can be looked at, and the store's own table.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Json, PlanId};
use engine::node::{Node, Workflows};
use engine::prove::laws::World;
use engine::step::Services;
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::Workflow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The place outside.
#[derive(Default)]
pub(super) struct Yard {
    /// What lies there, and how often it was put there since it was last taken away.
    things: Mutex<BTreeMap<&'static str, u32>>,
    polls: Mutex<BTreeMap<String, u32>>,
    closed: Mutex<bool>,
}

impl Services for Yard {
    type Tx = MemoryTx;
}

impl Yard {
    /// Idempotent: it lies there, once.
    pub(super) fn put(&self, thing: &'static str) {
        self.things.lock().unwrap().insert(thing, 1);
    }

    /// Not idempotent: a second time is seen.
    pub(super) fn add(&self, thing: &'static str) {
        *self.things.lock().unwrap().entry(thing).or_default() += 1;
    }

    pub(super) fn take(&self, thing: &'static str) {
        self.things.lock().unwrap().remove(thing);
    }

    pub(super) fn things(&self) -> BTreeMap<&'static str, u32> {
        self.things.lock().unwrap().clone()
    }

    /// Whether the work behind this ticket is done; it is when asked the third time, unless the yard is closed.
    pub(super) fn is_done(&self, ticket: &str) -> bool {
        if *self.closed.lock().unwrap() {
            return false;
        }
        let mut polls = self.polls.lock().unwrap();
        let polls = polls.entry(ticket.to_owned()).or_default();
        *polls += 1;
        *polls >= 3
    }

    pub(super) fn close(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
    }
}

/// Writes that are no more idempotent than an insert and a delete.
pub(super) fn write(tx: &mut MemoryTx, name: &str) {
    tx.table().entry(name.to_owned()).or_default().push('I');
}

pub(super) fn erase(tx: &mut MemoryTx, name: &str) {
    let written = tx.table().remove(name);
    assert_eq!(written.as_deref(), Some("I"), "{name} was written once");
}

/// A step that leaves its name somewhere, and takes it away again.
macro_rules! step {
    (declared $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        pub(in crate::it::awkward) struct $step;

        impl engine::step::Declared for $step {
            const NAME: &'static str = $name;
            const POLICY: engine::step::Policy = $policy;
            type Workflow = $workflow;
            type Needs = $needs;
            type Output = u32;
        }
    };
    (plain $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        $crate::it::awkward::yard::step!(free put $step $name of $workflow, needs $needs, $policy);
    };
    (once $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        $crate::it::awkward::yard::step!(free add $step $name of $workflow, needs $needs, $policy);
    };
    (free $leave:ident $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        $crate::it::awkward::yard::step!(declared $step $name of $workflow, needs $needs, $policy);

        impl engine::step::Step for $step {
            async fn run(
                &self,
                cx: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: engine::step::Outputs<Self>,
            ) -> Result<u32, engine::step::StepError> {
                cx.services.$leave($name);
                Ok(1)
            }

            async fn compensate(
                &self,
                cx: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: u32,
            ) -> Result<(), engine::step::StepError> {
                cx.services.take($name);
                Ok(())
            }
        }
    };
    (transactional $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        $crate::it::awkward::yard::step!(declared $step $name of $workflow, needs $needs, $policy);

        impl engine::step::TransactionalStep for $step {
            async fn run(
                &self,
                tx: &mut engine::store::memory::MemoryTx,
                _: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: engine::step::Outputs<Self>,
            ) -> Result<u32, engine::step::StepError> {
                $crate::it::awkward::yard::write(tx, $name);
                Ok(1)
            }

            async fn compensate(
                &self,
                tx: &mut engine::store::memory::MemoryTx,
                _: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: u32,
            ) -> Result<(), engine::step::StepError> {
                $crate::it::awkward::yard::erase(tx, $name);
                Ok(())
            }
        }
    };
    (polling $step:ident $name:literal of $workflow:ty, needs $needs:ty, $policy:expr) => {
        $crate::it::awkward::yard::step!(declared $step $name of $workflow, needs $needs, $policy);

        impl engine::step::PollingStep for $step {
            type Ticket = String;

            async fn start(
                &self,
                cx: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: engine::step::Outputs<Self>,
            ) -> Result<engine::step::Begun<u32, String>, engine::step::StepError> {
                Ok(engine::step::Begun::Ticket(cx.idempotency_key().to_string()))
            }

            async fn poll(
                &self,
                cx: &engine::step::Context<$workflow>,
                _: &$workflow,
                ticket: &String,
            ) -> Result<engine::step::Polled<u32>, engine::step::StepError> {
                if !cx.services.is_done(ticket) {
                    return Ok(engine::step::Polled::Wait(std::time::Duration::from_millis(1)));
                }
                cx.services.put($name);
                Ok(engine::step::Polled::Done(1))
            }

            async fn compensate(
                &self,
                cx: &engine::step::Context<$workflow>,
                _: &$workflow,
                _: u32,
            ) -> Result<(), engine::step::StepError> {
                cx.services.take($name);
                Ok(())
            }
        }
    };
}
pub(super) use step;

/// A workflow that is proven.
pub(super) trait Sample: Workflow<Services = Yard> {
    const TRIED: usize = usize::MAX;
    /// What its sub-tasks leave: they are tasks of their own, and its revert does not undo them.
    const STAYS: &'static [&'static str] = &[];
    const BESIDE: &'static [&'static str] = &[];

    fn sample() -> Self;

    /// All workflows that it needs.
    fn known() -> Workflows<Yard> {
        Workflows::default().register::<Self>().unwrap()
    }

    /// Submits what stands beside it: some before, some after it.
    fn beside<St: Store<Tx = MemoryTx>>(
        _: &Node<Yard, St>,
        _before: bool,
    ) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A yard in which nothing lies, and the plan that will fill it.
pub(super) struct Fresh<W> {
    store: Memory,
    yard: Arc<Yard>,
    clock: Clock,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Sample> World for Fresh<W> {
    type Services = Yard;
    type Store = Memory;

    const TRIED: usize = W::TRIED;
    /// Time passes by itself while nothing else happens: the steps' own timeouts come.
    const HANGS: Duration = Duration::MAX;
    const BESIDE: &'static [&'static str] = W::BESIDE;

    async fn fresh() -> Self {
        Self {
            store: Memory::default(),
            yard: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
            workflow: PhantomData,
        }
    }

    fn store(&self) -> Memory {
        self.store.clone()
    }

    fn services(&self) -> Arc<Yard> {
        self.yard.clone()
    }

    fn workflows() -> Workflows<Yard> {
        W::known()
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    async fn submit<St: Store<Tx = MemoryTx>>(&self, node: &Node<Yard, St>) -> PlanId {
        W::beside(node, true).await;
        let submitted = node.submit(&W::sample(), Some("alice".into())).await;
        W::beside(node, false).await;
        submitted.unwrap()
    }

    async fn picture(&self) -> String {
        format!("{:?} {:?}", self.store.table().await, self.yard.things())
    }

    async fn undone(&self) -> String {
        let mut things = self.yard.things();
        things.retain(|thing, _| !W::STAYS.contains(thing));
        format!("{:?} {things:?}", self.store.table().await)
    }

    async fn looked_up(&self, step: &str) -> Option<Json> {
        let things = self.yard.things();
        things.get(step).map(|times| Json::of(times).unwrap())
    }
}
