//! What happens is written down with it and told once, to those who listen.

use crate::house::{FOR_EVER, House, HouseNode};
use engine::clock::Timestamp;
use engine::journal::{PlanId, PlanResult};
use engine::store::Store;
use serde_json::json;
use std::time::Duration;
use storage::catalog::organizations;
use storage::catalog::webhooks::{self, EventKind, NewWebhook, Webhook};
use storage::catalog::{OrganizationId, WebhookId};
use workflows::deliver_webhook::{DeliverWebhook, tell};

const SOURCE: &str = "https://hub.example";
/// Nobody listens here.
const NOBODY: &str = "http://127.0.0.1:9/hook";

async fn listen(
    house: &House,
    name: &str,
    events: &[EventKind],
    organization: Option<OrganizationId>,
) -> Webhook {
    let new = NewWebhook {
        name: name.to_owned(),
        url: NOBODY.to_owned(),
        secret: "correct-horse-battery".into(),
        events: events.to_vec(),
        organization,
        enabled: true,
    };
    let at = house.services.clock.now();
    house
        .write(move |tx| Box::pin(async move { webhooks::create(tx, &new, at).await }))
        .await
}

async fn untold(house: &House) -> Vec<PlanId> {
    let mut tx = house.services.database.read().await.unwrap();
    let untold = webhooks::untold(&mut tx, 0, 100).await.unwrap();
    untold.into_iter().map(|it| it.plan).collect()
}

/// A push that has ended.
async fn pushed(house: &House, node: &HouseNode, tag: &str) -> PlanId {
    let to = house.destination("acme/tools/app").await;
    let image = house.image(&to, tag).await;
    let plan = house.plan(node, &to, tag, &image).await;
    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
    plan
}

async fn told_to(house: &House, webhook: WebhookId) -> usize {
    let mut tx = house.services.database.read().await.unwrap();
    let told = webhooks::deliveries(&mut tx, webhook, None, 100).await;
    told.unwrap().len()
}

#[tokio::test]
async fn nothing_is_written_down_while_nobody_listens() {
    let house = House::new().await;
    let node = house.node(None).await;
    let webhook = listen(&house, "off", &[EventKind::Push], None).await;
    let (id, why) = (webhook.id, "a test");
    house
        .write(move |tx| Box::pin(async move { webhooks::disable(tx, id, why).await }))
        .await;

    pushed(&house, &node, "latest").await;

    assert_eq!(untold(&house).await, []);
}

#[tokio::test]
async fn what_happens_is_told_by_one_task_for_each_who_listens_however_often_is_looked() {
    let house = House::new().await;
    let node = house.node(None).await;
    let organization = {
        let mut tx = house.services.database.read().await.unwrap();
        organizations::find(&mut tx, "acme").await.unwrap().unwrap()
    };
    let all = listen(&house, "all", &[EventKind::Push], None).await;
    let own = listen(&house, "own", &[EventKind::Push], Some(organization.id)).await;
    let deaf = listen(&house, "deaf", &[EventKind::Delete], None).await;
    let plan = pushed(&house, &node, "latest").await;
    assert_eq!(untold(&house).await, [plan]);

    let (one, other) = tokio::join!(tell(&node, SOURCE), tell(&node, SOURCE));
    let later = tell(&node, SOURCE).await.unwrap();

    assert_eq!(one.unwrap().len() + other.unwrap().len(), 2);
    assert_eq!((later.len(), untold(&house).await.len()), (0, 0));
    for (webhook, times) in [(&all, 1), (&own, 1), (&deaf, 0)] {
        assert_eq!(told_to(&house, webhook.id).await, times, "{webhook:?}");
    }
}

#[tokio::test]
async fn what_is_told_is_what_was_true_then_and_holds_no_secret() {
    let house = House::new().await;
    let node = house.node(None).await;
    listen(&house, "all", &[EventKind::Push], None).await;
    let plan = pushed(&house, &node, "latest").await;

    let told = tell(&node, SOURCE).await.unwrap();

    let rows = node.store().load(told[0]).await.unwrap();
    let kept = format!("{rows:?}");
    for part in [
        SOURCE,
        "wharfinger.push",
        "acme/tools/app",
        &plan.to_string(),
    ] {
        assert!(kept.contains(part), "{part} is missing in {kept}");
    }
    assert!(!kept.contains("correct-horse-battery"), "{kept}");
}

#[tokio::test]
async fn an_event_that_was_tried_for_a_day_is_given_up_with_the_reason() {
    let house = House::new().await;
    let node = house.node(None).await;
    let webhook = listen(&house, "down", &[EventKind::Push], None).await;
    let event = json!({"specversion": "1.0", "id": "1", "source": SOURCE, "type": "wharfinger.push",
        "time": "", "datacontenttype": "application/json", "data": {}});
    let delivery = DeliverWebhook {
        webhook: webhook.id,
        name: webhook.name,
        organization: None,
        since: Timestamp(house.services.clock.now().0 - 25 * 3_600_000),
        event: serde_json::from_value(event).unwrap(),
    };

    let plan = node.submit(&delivery, None).await.unwrap();

    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Error, "{ended:?}");
    let error = ended.steps[0].error.as_ref().unwrap();
    let told = format!("given up after 24 hours: webhook down at {NOBODY}: ");
    assert!(error.message.starts_with(&told), "{error:?}");
    assert_eq!(untold(&house).await, [], "nobody is told of that");
}

#[tokio::test]
async fn a_receiver_that_is_down_closes_its_own_gate_and_no_other() {
    let house = House::new().await;
    let node = house.node(None).await;
    listen(&house, "down", &[EventKind::Push], None).await;
    for n in 0..10 {
        pushed(&house, &node, &format!("t{n}")).await;
    }

    let told = tell(&node, SOURCE).await.unwrap();

    assert_eq!(told.len(), 10);
    let closed = async {
        loop {
            let gates = node.gates().into_iter();
            let closed: Vec<String> = gates
                .filter(|seen| seen.gate.state != engine::gate::GateState::Open)
                .map(|seen| seen.gate.id.name())
                .collect();
            if !closed.is_empty() {
                return closed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let closed = tokio::time::timeout(FOR_EVER, closed).await.unwrap();
    assert_eq!(closed, ["webhook.down"]);
}
