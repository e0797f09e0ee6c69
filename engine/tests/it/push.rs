//! A workflow shaped like a push, as its author writes it, and the laws for it.

use engine::clock::Clock;
use engine::journal::PlanId;
use engine::lock::{Lock, OnPause};
use engine::node::{Node, Workflows};
use engine::prove::laws::{self, World};
use engine::step::{
    Begun, Context, Declared, Policy, Polled, PollingStep, Services, Step, StepError,
    TransactionalStep,
};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{DeclarationError, Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a step of this application may use: a place outside the database, where everything that happens is seen.
#[derive(Default)]
pub(super) struct Outside {
    log: Mutex<Vec<String>>,
    wrong: Mutex<HashMap<&'static str, Wrong>>,
    content: Mutex<HashMap<String, String>>,
    polls: Mutex<u32>,
}

/// What goes wrong in a step.
#[derive(Clone, Copy)]
pub(super) enum Wrong {
    ForGood,
    Times(u32),
    Panics,
    Hangs,
}

impl Services for Outside {
    type Tx = MemoryTx;
}

impl Outside {
    pub(super) fn make_wrong(&self, step: &'static str, wrong: Wrong) {
        self.wrong.lock().unwrap().insert(step, wrong);
    }

    pub(super) fn mend(&self) {
        self.wrong.lock().unwrap().clear();
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|done| *done == what).count()
    }

    async fn did(&self, what: &'static str) -> Result<(), StepError> {
        self.log.lock().unwrap().push(what.to_owned());
        let wrong = self.wrong.lock().unwrap().get(what).copied();
        match wrong {
            Some(Wrong::ForGood) => Err(StepError::permanent(format!("{what} is broken"))),
            None | Some(Wrong::Times(0)) => Ok(()),
            Some(Wrong::Times(left)) => {
                self.wrong
                    .lock()
                    .unwrap()
                    .insert(what, Wrong::Times(left - 1));
                Err(StepError::transient(format!("{what} is busy")))
            }
            Some(Wrong::Panics) => panic!("{what} fell over"),
            Some(Wrong::Hangs) => {
                std::future::pending::<()>().await;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Push {
    pub repository: String,
    pub tag: String,
}

impl Push {
    pub(super) fn of(repository: &str, tag: &str) -> Self {
        Self {
            repository: repository.into(),
            tag: tag.into(),
        }
    }
}

impl Workflow for Push {
    const NAME: &'static str = "push";
    const VERSION: u32 = 1;
    type Services = Outside;

    fn steps() -> Steps<Self> {
        Steps::first(Authorize)
            .step(Forward, after::<Authorize>())
            .step(CopyContent, after::<Forward>())
            .step(EnsureProduct, after::<Authorize>())
            .step(EnsureRepository, after::<(CopyContent, EnsureProduct)>())
            .step(Distribute, after::<EnsureRepository>())
            .step(SyncProxies, after::<Distribute>())
    }

    fn action(&self) -> String {
        format!("Push of {}:{}", self.repository, self.tag)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![
            Lock::exclusive(&self.repository)
                .until::<Distribute>()
                .on_pause(OnPause::Release),
        ]
    }

    fn organization(&self) -> Option<String> {
        Some("acme".into())
    }

    fn open_key(&self) -> Option<String> {
        Some(format!("push {} {}", self.repository, self.tag))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Authorized {
    organization: String,
}

pub(super) struct Authorize;

impl Declared for Authorize {
    const NAME: &'static str = "authorize";
    const POLICY: Policy = Policy::idempotent().rescue(engine::journal::Rescue::Fail);
    type Workflow = Push;
    type Needs = ();
    type Output = Authorized;
}

impl Step for Authorize {
    async fn run(&self, cx: &Context<Push>, _: &Push, (): ()) -> Result<Authorized, StepError> {
        cx.services.did("authorize").await?;
        Ok(Authorized {
            organization: "acme".into(),
        })
    }
}

pub(super) struct Forward;

impl Declared for Forward {
    const NAME: &'static str = "forward";
    type Workflow = Push;
    type Needs = ();
    type Output = ();
}

impl Step for Forward {
    async fn run(&self, cx: &Context<Push>, push: &Push, (): ()) -> Result<(), StepError> {
        cx.services.did("forward").await?;
        cx.services
            .content
            .lock()
            .unwrap()
            .insert(push.repository.clone(), push.tag.clone());
        Ok(())
    }
}

/// Work elsewhere, with a ticket that needs three polls.
pub(super) struct CopyContent;

impl Declared for CopyContent {
    const NAME: &'static str = "copy";
    type Workflow = Push;
    type Needs = ();
    type Output = u32;
}

impl PollingStep for CopyContent {
    type Ticket = String;

    async fn start(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (): (),
    ) -> Result<Begun<u32, String>, StepError> {
        cx.services.did("copy").await?;
        Ok(Begun::Ticket(format!("copy of {}", push.repository)))
    }

    async fn poll(
        &self,
        cx: &Context<Push>,
        push: &Push,
        ticket: &String,
    ) -> Result<Polled<u32>, StepError> {
        assert_eq!(ticket, &format!("copy of {}", push.repository));
        cx.services.did("poll").await?;
        let polls = {
            let mut polls = cx.services.polls.lock().unwrap();
            *polls += 1;
            *polls
        };
        Ok(if polls % 3 == 0 {
            Polled::Done(7)
        } else {
            Polled::Wait(Duration::from_millis(1))
        })
    }
}

/// In the store's transaction: its write and its success are one.
pub(super) struct EnsureProduct;

impl Declared for EnsureProduct {
    const NAME: &'static str = "ensure_product";
    type Workflow = Push;
    type Needs = Authorize;
    type Output = String;
}

impl TransactionalStep for EnsureProduct {
    async fn run(
        &self,
        tx: &mut MemoryTx,
        cx: &Context<Push>,
        push: &Push,
        allowed: Authorized,
    ) -> Result<String, StepError> {
        let seen = tx
            .table()
            .entry(format!("product of {}", push.repository))
            .or_default();
        seen.push('I'); // not idempotent on purpose: a repeat that counted would be seen
        cx.services.did("ensure_product").await?;
        Ok(allowed.organization)
    }
}

/// Reads an output of an ancestor that is no direct predecessor.
pub(super) struct EnsureRepository;

impl Declared for EnsureRepository {
    const NAME: &'static str = "ensure_repository";
    type Workflow = Push;
    type Needs = (CopyContent, EnsureProduct, Authorize);
    type Output = String;
}

impl Step for EnsureRepository {
    async fn run(
        &self,
        cx: &Context<Push>,
        push: &Push,
        (version, product, authorized): (u32, String, Authorized),
    ) -> Result<String, StepError> {
        cx.services.did("ensure_repository").await?;
        assert_eq!(product, authorized.organization);
        Ok(format!("{product}/{} v{version}", push.repository))
    }
}

pub(super) struct Distribute;

impl Declared for Distribute {
    const NAME: &'static str = "distribute";
    type Workflow = Push;
    type Needs = EnsureRepository;
    type Output = ();
}

impl TransactionalStep for Distribute {
    async fn run(
        &self,
        tx: &mut MemoryTx,
        cx: &Context<Push>,
        push: &Push,
        name: String,
    ) -> Result<(), StepError> {
        tx.table()
            .insert(push.repository.clone(), format!("{name}: {}", push.tag));
        cx.services.did("distribute").await
    }
}

pub(super) struct SyncProxies;

impl Declared for SyncProxies {
    const NAME: &'static str = "sync_proxies";
    const POLICY: Policy = Policy::idempotent()
        .attempts(2)
        .timeout(Duration::from_secs(3));
    type Workflow = Push;
    type Needs = ();
    type Output = ();
}

impl Step for SyncProxies {
    async fn run(&self, cx: &Context<Push>, push: &Push, (): ()) -> Result<(), StepError> {
        cx.services.did("sync_proxies").await?;
        if push.tag == "warn" {
            cx.warn("proxy `far` is behind");
        }
        Ok(())
    }
}

pub(super) fn workflows() -> Workflows<Outside> {
    Workflows::default().register::<Push>().unwrap()
}

struct InMemory {
    store: Memory,
    outside: Arc<Outside>,
}

impl World for InMemory {
    type Services = Outside;
    type Store = Memory;

    async fn fresh() -> Self {
        Self {
            store: Memory::default(),
            outside: Arc::default(),
        }
    }

    fn store(&self) -> Memory {
        self.store.clone()
    }

    fn services(&self) -> Arc<Outside> {
        self.outside.clone()
    }

    fn workflows() -> Workflows<Outside> {
        workflows()
    }

    async fn submit<St: Store<Tx = MemoryTx>>(&self, node: &Node<Outside, St>) -> PlanId {
        node.submit(&Push::of("busybox", "latest"), Some("alice".into()))
            .await
            .unwrap()
    }

    async fn picture(&self) -> String {
        format!(
            "{:?} {:?}",
            self.store.table().await,
            self.outside.content.lock().unwrap()
        )
    }
}

#[tokio::test]
async fn it_fails_at_each_step_and_goes_on_when_mended() {
    let done = laws::fail_at_each_step::<InMemory>().await;
    println!("fail at each step: {done:?}");
    assert!(
        done.plans == 8 && done.faults == 7 && done.executions >= 42,
        "{done:?}"
    );
}

#[tokio::test]
async fn it_runs_each_step_twice_and_nothing_differs() {
    let done = laws::run_each_step_twice::<InMemory>().await;
    println!("run each step twice: {done:?}");
    assert!(
        done.plans == 9 && done.faults == 14 && done.executions == 9 * 7 + 14,
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_crashes_before_and_after_each_append_and_ends_the_same() {
    let done = laws::crash_before_and_after_each_append::<InMemory>().await;
    println!("crash before and after each append: {done:?}");
    assert!(done.faults >= 16 && done.executions >= 16 * 7, "{done:?}");
}

#[test]
fn a_step_that_reads_what_need_not_have_run_is_not_registered() {
    #[derive(Serialize, Deserialize)]
    struct Bad;
    struct Reads;
    struct Other;
    impl Declared for Reads {
        const NAME: &'static str = "reads";
        type Workflow = Bad;
        type Needs = (Other,);
        type Output = ();
    }
    impl Step for Reads {
        async fn run(&self, _: &Context<Bad>, _: &Bad, _: ((),)) -> Result<(), StepError> {
            Ok(())
        }
    }
    impl Declared for Other {
        const NAME: &'static str = "other";
        type Workflow = Bad;
        type Needs = ();
        type Output = ();
    }
    impl Step for Other {
        async fn run(&self, _: &Context<Bad>, _: &Bad, (): ()) -> Result<(), StepError> {
            Ok(())
        }
    }
    impl Workflow for Bad {
        const NAME: &'static str = "bad";
        const VERSION: u32 = 1;
        type Services = Outside;
        fn steps() -> Steps<Self> {
            Steps::first(Other).step(Reads, after::<()>())
        }
        fn action(&self) -> String {
            "Bad".into()
        }
    }

    let why = Workflows::default().register::<Bad>().err().unwrap();

    assert_eq!(
        why,
        DeclarationError::NotAnAncestor {
            workflow: "bad",
            step: "reads",
            other: "other"
        }
    );
    let twice = workflows().register::<Push>().err().unwrap();
    assert_eq!(
        twice,
        DeclarationError::RegisteredTwice { workflow: "push" }
    );
}

#[test]
fn the_clock_of_the_machine_is_after_this_program_was_written() {
    assert!(Clock::system().now().to_rfc3339().as_str() > "2026-11-24");
}
