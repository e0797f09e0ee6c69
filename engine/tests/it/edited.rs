//! Another input for a plan that is resumed: kept as a difference, checked, and only where the workflow allows it.

use engine::clock::{Clock, Timestamp};
use engine::journal::{Action, Message, NodeId, PlanId, PlanResult};
use engine::lock::Lock;
use engine::node::{Node, NodeError, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::{ContextOf, Declared, Services, Step, StepError};
use engine::store::Store;
use engine::store::memory::{Memory, MemoryTx};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const FOR_EVER: Duration = Duration::from_hours(1);

#[derive(Default)]
struct Post(Mutex<Vec<String>>);

impl Services for Post {
    type Tx = MemoryTx;
}

#[derive(Clone, Serialize, Deserialize)]
struct Parcel {
    from: String,
    to: String,
    #[serde(default)]
    weight: Option<u32>,
    box_number: u32,
}

impl Workflow for Parcel {
    const NAME: &'static str = "parcel";
    const VERSION: u32 = 1;
    type Services = Post;

    fn steps() -> Steps<Self> {
        Steps::first(Wrap).step(Send, after::<Wrap>())
    }

    fn action(&self) -> String {
        format!("Parcel from {}", self.from)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(format!("box {}", self.box_number))]
    }

    fn editable() -> &'static [&'static str] {
        &["to", "weight", "box_number"]
    }
}

struct Wrap;
struct Send;

impl Declared for Wrap {
    const NAME: &'static str = "wrap";
    type Workflow = Parcel;
    type Needs = ();
    type Output = String;
}

impl Declared for Send {
    const NAME: &'static str = "send";
    type Workflow = Parcel;
    type Needs = Wrap;
    type Output = String;
}

impl Step for Wrap {
    async fn run(&self, cx: &ContextOf<Self>, input: &Parcel, (): ()) -> Result<String, StepError> {
        let mut log = cx.services.0.lock().unwrap();
        log.push(format!("wrap for {}", input.to));
        Ok("wrapped".into())
    }
}

impl Step for Send {
    async fn run(
        &self,
        cx: &ContextOf<Self>,
        input: &Parcel,
        _: String,
    ) -> Result<String, StepError> {
        let mut log = cx.services.0.lock().unwrap();
        log.push(format!("send to {}", input.to));
        if input.to == "nowhere" {
            return Err(StepError::permanent("there is no such place"));
        }
        Ok(input.to.clone())
    }
}

struct House {
    store: Memory,
    post: Arc<Post>,
}

impl House {
    async fn node(&self) -> Node<Post, Memory> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "one");
        let knows = Workflows::default().register::<Parcel>().unwrap();
        let clock = Clock::of_runtime(Timestamp(1_700_000_000_000));
        let (store, post) = (self.store.clone(), self.post.clone());
        Node::start(options, store, post, knows, clock, None)
            .await
            .unwrap()
    }
}

/// A parcel that is paused, because it goes nowhere.
async fn paused() -> (House, Node<Post, Memory>, PlanId) {
    let house = House {
        store: Memory::default(),
        post: Arc::default(),
    };
    let node = house.node().await;
    let parcel = Parcel {
        from: "me".into(),
        to: "nowhere".into(),
        weight: None,
        box_number: 1,
    };
    let id = node.submit(&parcel, Some("alice".into())).await.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);
    (house, node, id)
}

fn by_bob(action: Action) -> Message {
    Message {
        action,
        by: "bob".into(),
        reason: Some("a slip of the pen".into()),
    }
}

/// Why it is refused, and of which part of the input.
async fn refusal(node: &Node<Post, Memory>, id: PlanId, wanted: Value) -> (String, String) {
    let Err(NodeError::Edit { at, why }) = node.edited(id, &wanted).await else {
        panic!("it is not refused");
    };
    (at, why)
}

#[tokio::test(start_paused = true)]
async fn a_resume_with_another_input_goes_on_with_that_and_runs_nothing_again() {
    let (house, node, id) = paused().await;
    let wanted = json!({"to": "Rome", "weight": 7});

    let preview = node.resume_preview(id, Some(&wanted)).await.unwrap();
    let before = house.store.load(id).await.unwrap().len();
    let action = node.edited(id, &wanted).await.unwrap();
    node.act(id, by_bob(action)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();
    let task = node.task(id).await.unwrap();

    assert_eq!(preview.would_run, ["send"]);
    assert_eq!(
        serde_json::to_value(&preview.input_changes).unwrap(),
        json!([
            {"at": "/to", "from": "nowhere", "to": "Rome"},
            {"at": "/weight", "from": null, "to": 7}
        ])
    );
    assert_eq!(before, 3, "a preview writes nothing");
    assert_eq!(ended.result, PlanResult::Success);
    let log = house.post.0.lock().unwrap().clone();
    assert_eq!(log, ["wrap for nowhere", "send to nowhere", "send to Rome"]);
    let changes = serde_json::to_value(task.input_changes).unwrap();
    assert_eq!(changes[0]["by"], "bob");
    assert_eq!(changes[0]["reason"], "a slip of the pen");
    assert_eq!(changes[0]["changes"][0]["from"], "nowhere");
    let input: Value = task.input.unwrap().decode().unwrap();
    assert_eq!(input["to"], "Rome");
    assert!(
        task.explanation
            .happened
            .contains("Its input was changed by bob: /to"),
        "{}",
        task.explanation.happened
    );
    let rows = house.store.load(id).await.unwrap();
    assert_eq!(*ended, Plan::fold(id, &rows), "the journal tells the same");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_input_or_about_something_else_is_refused_by_field() {
    let (_house, node, id) = paused().await;

    let not_editable = refusal(&node, id, json!({"to": "Rome", "from": "you"})).await;
    let wrong_type = refusal(&node, id, json!({"weight": "heavy"})).await;
    let missing = refusal(&node, id, json!({"to": null})).await;
    let other_lock = refusal(&node, id, json!({"box_number": 2})).await;
    let no_object = refusal(&node, id, json!(["to"])).await;

    assert_eq!(
        not_editable,
        (
            "input.from".into(),
            "of workflow `parcel` only to, weight, box_number can".into()
        )
    );
    assert!(
        wrong_type.1.contains("invalid type: string \"heavy\""),
        "{wrong_type:?}"
    );
    assert!(missing.1.contains("missing field `to`"), "{missing:?}");
    assert!(
        other_lock.1.contains("about something else"),
        "{other_lock:?}"
    );
    assert_eq!(no_object.0, "input");
    assert!(matches!(
        node.edited(id, &json!({"to": "nowhere"})).await.unwrap(),
        Action::Resume
    ));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_made_once_and_survives_a_restart() {
    let (house, node, id) = paused().await;
    let action = node.edited(id, &json!({"to": "Rome"})).await.unwrap();

    node.act(id, by_bob(action.clone())).await.unwrap();
    let again = node.act(id, by_bob(action)).await;
    node.wait(id, FOR_EVER).await.unwrap();
    node.kill().await;
    let node = house.node().await;
    let task = node.task(id).await.unwrap();

    assert!(matches!(again, Err(NodeError::Refused(_))), "{again:?}");
    assert_eq!(task.input_changes.unwrap().len(), 1);
    let input: Value = task.input.unwrap().decode().unwrap();
    assert_eq!(input["to"], "Rome");
}
