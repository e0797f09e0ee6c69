//! Sub-tasks: one for each key, submitted with what their parent records, counted, waited for, cancelled and resumed through it.

use engine::check::check;
use engine::clock::{Clock, Timestamp};
use engine::explain::WaitingKind;
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult, Reason};
use engine::lock::Lock;
use engine::node::{Node, NodeError, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::prove::{Faulty, Moment};
use engine::search::Search;
use engine::state::{PlanState, StepState};
use engine::step::{
    Child, ContextOf, Declared, Policy, Services, SpawningStep, Step, StepError, Until, all_done,
};
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Page, Store};
use engine::workflow::{DeclarationError, Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

/// Where the letters go.
#[derive(Default)]
struct Post {
    delivered: Mutex<BTreeMap<String, u32>>,
    /// Letters to these come to nothing.
    closed: Mutex<HashSet<String>>,
    /// Letters to these are on their way until somebody lets them go on.
    slow: Mutex<HashSet<String>>,
    goes_on: Notify,
    under_way: Mutex<(u32, u32)>,
}

impl Services for Post {
    type Tx = MemoryTx;
}

impl Post {
    fn close(&self, names: &[&str]) {
        *self.closed.lock().unwrap() = names.iter().map(ToString::to_string).collect();
    }

    fn slow_down(&self, names: &[&str]) {
        *self.slow.lock().unwrap() = names.iter().map(ToString::to_string).collect();
        self.goes_on.notify_waiters();
    }

    fn delivered(&self) -> Vec<(String, u32)> {
        let delivered = self.delivered.lock().unwrap();
        delivered.iter().map(|(to, n)| (to.clone(), *n)).collect()
    }

    fn most_at_once(&self) -> u32 {
        self.under_way.lock().unwrap().1
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Mailing {
    to: Vec<String>,
    patient: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct Letter {
    to: String,
    greedy: bool,
}

impl Workflow for Mailing {
    const NAME: &'static str = "mailing";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Send).step(Report, after::<Send>())
    }

    fn action(&self) -> String {
        format!("Mail to {}", self.to.len())
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive("mailbag")]
    }
}

impl Workflow for Letter {
    const NAME: &'static str = "letter";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Deliver)
    }

    fn action(&self) -> String {
        format!("Letter to {}", self.to)
    }

    fn locks(&self) -> Vec<Lock> {
        let bag = Lock::shared("mailbag");
        if self.greedy {
            vec![bag, Lock::shared("van")]
        } else {
            vec![bag]
        }
    }
}

struct Send;

impl Declared for Send {
    const NAME: &'static str = "send";
    type Workflow = Mailing;
    type Needs = ();
    type Output = Vec<String>;
}

impl SpawningStep for Send {
    type Child = Letter;
    const AT_ONCE: u32 = 3;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Mailing,
        (): (),
    ) -> Result<Vec<(String, Letter)>, StepError> {
        let letter = |to: &String| {
            let (to, greedy) = (to.clone(), to == "greedy");
            (to.clone(), Letter { to, greedy })
        };
        Ok(input.to.iter().map(letter).collect())
    }

    async fn gather(
        &self,
        _: &ContextOf<Self>,
        _: &Mailing,
        children: &[Child],
    ) -> Result<Vec<String>, StepError> {
        all_done(children)?;
        Ok(children.iter().map(|it| it.wanted.key.clone()).collect())
    }
}

struct Report;

impl Declared for Report {
    const NAME: &'static str = "report";
    type Workflow = Mailing;
    type Needs = Send;
    type Output = usize;
}

impl Step for Report {
    async fn run(
        &self,
        _: &ContextOf<Self>,
        _: &Mailing,
        sent: Vec<String>,
    ) -> Result<usize, StepError> {
        Ok(sent.len())
    }
}

struct Deliver;

impl Declared for Deliver {
    const NAME: &'static str = "deliver";
    const POLICY: Policy = Policy::idempotent().attempts(1);
    type Workflow = Letter;
    type Needs = ();
    type Output = ();
}

impl Step for Deliver {
    async fn run(&self, cx: &ContextOf<Self>, letter: &Letter, (): ()) -> Result<(), StepError> {
        let post = &cx.services;
        {
            let mut under_way = post.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        loop {
            let goes_on = post.goes_on.notified();
            if !post.slow.lock().unwrap().contains(&letter.to) {
                break;
            }
            tokio::select! {
                () = goes_on => {}
                () = cx.cancelled().cancelled() => break,
            }
        }
        tokio::task::yield_now().await;
        post.under_way.lock().unwrap().0 -= 1;
        if cx.cancelled().is_cancelled() {
            return Err(StepError::permanent("nobody wants it any more"));
        }
        if post.closed.lock().unwrap().contains(&letter.to) {
            return Err(StepError::permanent(format!("{} is closed", letter.to)));
        }
        *post
            .delivered
            .lock()
            .unwrap()
            .entry(letter.to.clone())
            .or_default() += 1;
        Ok(())
    }
}

/// A mailing that goes on without the letters that are stuck.
#[derive(Clone, Serialize, Deserialize)]
struct Hurried(Mailing);

impl Workflow for Hurried {
    const NAME: &'static str = "hurried";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(SendHurried)
    }

    fn action(&self) -> String {
        "Hurried mail".into()
    }

    fn locks(&self) -> Vec<Lock> {
        self.0.locks()
    }
}

struct SendHurried;

impl Declared for SendHurried {
    const NAME: &'static str = "send";
    type Workflow = Hurried;
    type Needs = ();
    type Output = usize;
}

impl SpawningStep for SendHurried {
    type Child = Letter;
    const UNTIL: Until = Until::EndedOrStuck;

    async fn children(
        &self,
        _: &ContextOf<Self>,
        input: &Hurried,
        (): (),
    ) -> Result<Vec<(String, Letter)>, StepError> {
        let letter = |to: &String| {
            let to = to.clone();
            (to.clone(), Letter { to, greedy: false })
        };
        Ok(input.0.to.iter().map(letter).collect())
    }

    async fn gather(
        &self,
        cx: &ContextOf<Self>,
        _: &Hurried,
        children: &[Child],
    ) -> Result<usize, StepError> {
        let late = children.iter().filter(|child| !child.is_done()).count();
        if late > 0 {
            cx.warn(format!("{late} letters are late"));
        }
        Ok(children.len() - late)
    }
}

struct House {
    store: Memory,
    post: Arc<Post>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            post: Arc::default(),
            clock: Clock::of_runtime(Timestamp(1_700_000_000_000)),
        }
    }

    fn workflows() -> Workflows<Post> {
        Workflows::default()
            .register::<Mailing>()
            .and_then(Workflows::register::<Hurried>)
            .and_then(Workflows::register::<Letter>)
            .unwrap()
    }

    async fn node(&self) -> Node<Post, Memory> {
        self.node_on(self.store.clone()).await
    }

    async fn node_on<St: Store<Tx = MemoryTx>>(&self, store: St) -> Node<Post, St> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
        let (post, knows) = (self.post.clone(), Self::workflows());
        Node::start(options, store, post, knows, self.clock, None)
            .await
            .unwrap()
    }

    async fn letters_of(&self, parent: PlanId) -> Vec<(PlanId, Plan)> {
        let search = Search::parse(&format!("parent = {parent}"), self.clock.now()).unwrap();
        let page = Page {
            limit: 500,
            ..Page::default()
        };
        let mut letters = Vec::new();
        for id in self.store.list(search, page).await.unwrap().plans {
            let rows = self.store.load(id).await.unwrap();
            assert_eq!(check(id, &rows), Vec::<String>::new());
            letters.push((id, Plan::fold(id, &rows)));
        }
        letters
    }
}

fn mailing(to: &[&str]) -> Mailing {
    Mailing {
        to: to.iter().map(ToString::to_string).collect(),
        patient: true,
    }
}

async fn mail<St: Store<Tx = MemoryTx>>(node: &Node<Post, St>, to: &[&str]) -> PlanId {
    node.submit(&mailing(to), Some("alice".into()))
        .await
        .unwrap()
}

fn wants(action: Action) -> Message {
    Message {
        action,
        by: "operator".into(),
        reason: Some("because".into()),
    }
}

async fn reaches<St: Store<Tx = MemoryTx>>(
    node: &Node<Post, St>,
    plan: PlanId,
    is_there: impl Fn(&Plan) -> bool,
) -> Arc<Plan> {
    for _ in 0..100_000 {
        let now = node.plan(plan).await.unwrap();
        if is_there(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never reached: {:?}", node.plan(plan).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_step_with_sub_tasks_succeeds_when_each_has_and_so_many_run_at_once_as_it_allows() {
    let house = House::new();
    let node = house.node().await;
    let names: Vec<String> = (0..20).map(|n| format!("name {n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    let id = mail(&node, &names).await;
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    assert_eq!(ended.output_of("report").unwrap().text(), "20");
    let delivered = house.post.delivered();
    assert_eq!(delivered.len(), 20);
    assert!(delivered.iter().all(|(_, times)| *times == 1));
    assert_eq!(house.post.most_at_once(), 3);
    let letters = house.letters_of(id).await;
    assert_eq!(letters.len(), 20);
    for (_, letter) in &letters {
        let submitted = letter.submitted.as_ref().unwrap();
        assert_eq!(submitted.actor.as_deref(), Some("alice"));
        assert!(letter.locks.is_empty(), "it uses its parent's lock");
    }
    let task = node.task(id).await.unwrap();
    assert_eq!(task.children.get("stopped"), Some(&20));
    let child = node.task(letters[0].0).await.unwrap();
    assert_eq!(child.parent, Some(id));
}

#[tokio::test(start_paused = true)]
async fn a_paused_sub_task_is_waited_for_shown_and_resumed_through_its_parent() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);

    let id = mail(&node, &["ann", "bob", "cid"]).await;
    let waiting = reaches(&node, id, |plan| {
        plan.children().filter(|child| child.is_done()).count() == 2
            && plan.children().any(Child::is_open)
    })
    .await;
    let waiting = reaches(&node, waiting.id, |plan| {
        let stuck = engine::journal::ChildState::Stuck;
        plan.children().any(|child| child.state == stuck)
    })
    .await;
    let task = node.explained(&waiting).await.unwrap();
    assert_eq!(task.waiting_for.len(), 1);
    assert_eq!(task.waiting_for[0].kind, WaitingKind::Child);
    assert_eq!(
        task.waiting_for[0].text,
        "the sub-tasks of step send: 2 of 3 have ended; stuck: bob"
    );
    let bob = task.waiting_for[0].task.unwrap();
    assert_eq!(node.plan(bob).await.unwrap().state, PlanState::Paused);

    house.post.close(&[]);
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    let history = node.history(bob).await.unwrap();
    let by: Vec<String> = history.into_iter().filter_map(|it| it.actor).collect();
    assert_eq!(
        by,
        ["alice", "operator"],
        "the resume is his who asked for it"
    );
    assert!(house.post.delivered().iter().all(|(_, times)| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_parent_cancels_its_sub_tasks_and_waits_for_their_ends() {
    let house = House::new();
    let node = house.node().await;
    house.post.slow_down(&["ann", "bob", "cid", "dan"]);
    let id = mail(&node, &["ann", "bob", "cid", "dan"]).await;
    reaches(&node, id, |plan| {
        plan.children().filter(|child| child.is_open()).count() == 3
    })
    .await;

    node.act(id, wants(Action::Cancel)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(
        (ended.result, ended.reason),
        (PlanResult::Cancelled, Some(Reason::Operator))
    );
    let letters = house.letters_of(id).await;
    assert_eq!(letters.len(), 3, "the fourth was never submitted");
    for (_, letter) in letters {
        assert_eq!(letter.state, PlanState::Stopped);
        assert_eq!(letter.result, PlanResult::Cancelled);
    }
    assert_eq!(house.post.delivered(), []);
}

#[tokio::test(start_paused = true)]
async fn who_waits_only_until_they_are_stuck_goes_on_without_them_and_they_go_on_alone() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);

    let hurried = Hurried(mailing(&["ann", "bob"]));
    let id = node.submit(&hurried, None).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Warning);
    house.post.close(&[]);
    let letters = house.letters_of(id).await;
    let (bob, _) = letters
        .iter()
        .find(|(_, letter)| letter.state == PlanState::Paused)
        .unwrap();
    node.act(*bob, wants(Action::Resume)).await.unwrap();
    let late = node.wait(*bob, FOR_EVER).await.unwrap();

    assert_eq!(late.result, PlanResult::Success);
    let parent = reaches(&node, id, |plan| plan.children().all(Child::is_done)).await;
    assert_eq!(
        parent.result,
        PlanResult::Warning,
        "what it said stays said"
    );
    let rows = house.store.load(id).await.unwrap();
    assert_eq!(check(id, &rows), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_resumed_resumes_its_failed_sub_tasks_and_makes_no_second_of_any_key() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);
    let id = mail(&node, &["ann", "bob"]).await;
    let letters = loop {
        let letters = house.letters_of(id).await;
        let stuck = |(_, letter): &(PlanId, Plan)| letter.state == PlanState::Paused;
        if letters.iter().any(stuck) {
            break letters;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let (bob, _) = letters
        .iter()
        .find(|(_, letter)| letter.state == PlanState::Paused)
        .unwrap();
    node.act(*bob, wants(Action::Cancel)).await.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);
    let why = paused.steps[0].error.as_ref().unwrap();
    assert_eq!(why.message, "1 of 2 sub-tasks did not succeed: bob");

    house.post.close(&[]);
    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(ended.result, PlanResult::Success);
    let delivered = house.post.delivered();
    assert_eq!(delivered, [("ann".to_owned(), 1), ("bob".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_sub_task_with_a_lock_outside_its_parents_is_refused_with_both_names() {
    let house = House::new();
    let node = house.node().await;

    let id = mail(&node, &["greedy"]).await;
    let paused = node.wait(id, FOR_EVER).await.unwrap();

    let why = &paused.steps[0].error.as_ref().unwrap().message;
    assert!(
        why.starts_with("sub-task `greedy`: a sub-task of workflow `letter` needs lock `van`"),
        "{why}"
    );
    assert_eq!(house.letters_of(id).await.len(), 0);
}

#[tokio::test]
async fn a_workflow_whose_sub_tasks_nobody_knows_does_not_start() {
    let house = House::new();
    let knows = Workflows::default().register::<Mailing>().unwrap();
    let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "node");
    let started = Node::start(
        options,
        house.store.clone(),
        house.post.clone(),
        knows,
        house.clock,
        None,
    );

    let Err(NodeError::Declaration(error)) = started.await else {
        panic!("it started");
    };
    assert_eq!(
        error,
        DeclarationError::UnknownChild {
            workflow: "mailing",
            step: "send".into(),
            child: "letter"
        }
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_write_the_node_dies_at_each_key_has_one_sub_task_and_each_letter_arrives() {
    let names = ["ann", "bob", "cid", "dan", "eve"];
    let calm = House::new();
    let counting = Faulty::sound(calm.store.clone());
    let node = calm.node_on(counting.clone()).await;
    let id = mail(&node, &names).await;
    node.wait(id, FOR_EVER).await.unwrap();
    let writes = counting.writes();
    node.drain(FOR_EVER).await;
    let (mut crashes, mut twice) = (0, 0);

    for (write, moment) in
        (1..writes).flat_map(|write| [(write, Moment::Before), (write, Moment::After)])
    {
        let house = House::new();
        let dying = Faulty::dying(house.store.clone(), write, moment);
        let node = house.node_on(dying.clone()).await;
        let order = mailing(&names);
        let submitted = node.submit(&order, None);
        let id = tokio::select! {
            id = submitted => id.unwrap(),
            () = dying.death() => {
                node.kill().await;
                continue; // nothing was acknowledged
            }
        };
        tokio::select! {
            () = dying.death() => crashes += 1,
            _ = node.wait(id, FOR_EVER) => {}
        }
        node.kill().await;

        let heir = house.node().await;
        let ended = heir.wait(id, FOR_EVER).await.unwrap();

        assert_eq!(
            ended.result,
            PlanResult::Success,
            "after a crash {moment:?} write {write}: {ended:?}"
        );
        let letters = house.letters_of(id).await;
        assert_eq!(letters.len(), names.len(), "{moment:?} write {write}");
        let rows = house.store.load(id).await.unwrap();
        assert_eq!(check(id, &rows), Vec::<String>::new());
        let delivered = house.post.delivered();
        assert_eq!(delivered.len(), names.len());
        twice += delivered.iter().filter(|(_, times)| *times > 1).count();
        assert!(
            ended.steps[0].state == StepState::Success && ended.steps[0].attempts() <= 2,
            "{ended:?}"
        );
        heir.drain(FOR_EVER).await;
    }

    println!("{crashes} crashes at {writes} writes; {twice} letters were delivered twice");
    assert!(crashes >= 25, "too little was tried");
}
