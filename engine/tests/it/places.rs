//! Who is at work when not all can be: no more than there are places, urgent ones first, organizations in turn, and nobody keeps
//! others from it by waiting.

pub(super) mod house;

use engine::explain::WaitingKind;
use engine::journal::{Action, Entry, PlanResult};
use engine::priority::Priority;
use engine::state::PlanState;
use engine::store::Store;
use engine::workflow::Workflow;
use futures_util::future::join_all;
use std::time::Duration;

use house::*;

#[tokio::test(start_paused = true)]
async fn past_the_places_a_plan_is_pending_and_says_that_it_waits_for_one() {
    let house = House::with_places(2);
    let node = house.node().await;
    let mut plans = Vec::new();
    for name in ["a", "b", "c"] {
        plans.push(submit(&node, work(name)).await);
    }

    let third = node.task(plans[2]).await.unwrap();
    let waiting = found(&house, "waiting = node").await;
    end(&node, &plans).await;

    assert_eq!(third.state, PlanState::Pending);
    assert_eq!(third.waiting_for[0].kind, WaitingKind::Node);
    assert!(third.waiting_for[0].text.starts_with("a place: "));
    assert!(third.waiting_for[0].since.is_some());
    assert_eq!(third.steps.unwrap()[0].state, "waiting");
    assert_eq!(waiting, [plans[2]]);
    assert_eq!(house.yard.most_at_work(), 2);
    let third = house.entries(plans[2]).await;
    let about_places = |entry: &&Entry| matches!(entry, Entry::PlaceAsked | Entry::PlaceGranted);
    assert_eq!(third.iter().filter(about_places).count(), 2);
    assert_eq!(
        house.store.load(plans[2]).await.unwrap().len(),
        3,
        "one row more"
    );
}

#[tokio::test(start_paused = true)]
async fn where_there_is_a_place_nothing_is_written_about_it() {
    let house = House::with_places(2);
    let node = house.node().await;

    let plan = submit(&node, work("alone")).await;
    end(&node, &[plan]).await;

    let entries = house.entries(plan).await;
    let about_places = |entry: &&Entry| matches!(entry, Entry::PlaceAsked | Entry::PlaceGranted);
    assert_eq!(entries.iter().filter(about_places).count(), 0);
    assert_eq!(house.store.load(plan).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn urgent_ones_begin_first_and_organizations_take_turns() {
    let house = House::with_places(1);
    let node = house.node().await;
    let of = |name: &str, organization: &str, priority| Work {
        organization: Some(organization.into()),
        priority,
        ..work(name)
    };
    let mut plans = vec![submit(&node, work("first")).await];
    for input in [
        of("clean", "acme", Priority::Background),
        of("acme 1", "acme", Priority::Normal),
        of("acme 2", "acme", Priority::Normal),
        of("acme 3", "acme", Priority::Normal),
        of("beta 1", "beta", Priority::Normal),
        of("hurry", "beta", Priority::Urgent),
    ] {
        plans.push(submit(&node, input).await);
    }

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        [
            "first", "hurry", "acme 1", "beta 1", "acme 2", "acme 3", "clean"
        ]
    );
    assert_eq!(house.yard.most_at_work(), 1);
}

#[tokio::test(start_paused = true)]
async fn background_work_rises_with_time_and_is_not_put_off_for_ever() {
    let house = House::with_places(1);
    let node = house.node().await;
    let clean = Work {
        priority: Priority::Background,
        ..work("clean")
    };
    let mut plans = vec![submit(&node, work("push 0")).await];
    plans.push(submit(&node, clean).await);

    // A push comes each half second, and each takes a whole one.
    for n in 1..=400 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        plans.push(submit(&node, work(&format!("push {n}"))).await);
    }
    end(&node, &plans).await;

    let place = house.yard.begun().iter().position(|it| it == "clean");
    let place = place.unwrap();
    assert!(
        (60..=125).contains(&place),
        "it came after {place} pushes of a second each"
    );
}

#[tokio::test(start_paused = true)]
async fn a_workflow_has_no_more_at_work_than_it_wants() {
    let house = House::with_places(3);
    let node = house.node().await;
    let mut plans = Vec::new();
    for name in ["sweep 1", "sweep 2", "sweep 3"] {
        plans.push(submit(&node, Sweep { name: name.into() }).await);
    }
    plans.push(submit(&node, work("push")).await);

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        ["sweep 1", "push", "sweep 2", "sweep 3"],
        "the push passes those that wait for their own kind"
    );
    assert_eq!(house.yard.most_at_work(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_sub_tasks_or_an_event_leaves_its_place_to_others() {
    let house = House::with_places(1);
    let node = house.node().await;
    let hands = ["one", "two", "three"].map(str::to_owned).to_vec();

    let gang = submit(&node, Gang { hands }).await;
    let other = submit(&node, work("other")).await;
    end(&node, &[other]).await;
    while node
        .task(gang)
        .await
        .unwrap()
        .waiting_for
        .first()
        .map(|it| it.kind)
        != Some(WaitingKind::Event)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let later = submit(&node, work("later")).await;
    end(&node, &[later]).await;
    let tell = Action::Event {
        name: "money".into(),
        payload: engine::journal::Json::of(&7).unwrap(),
    };
    node.act(gang, wants(tell)).await.unwrap();
    end(&node, &[gang]).await;

    assert_eq!(house.yard.most_at_work(), 1);
    assert_eq!(house.yard.begun().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_lock_or_an_attempt_leaves_its_place_to_others() {
    let house = House::with_places(1);
    let node = house.node().await;
    let locked = |name: &str| Work {
        lock: Some("door".into()),
        ..work(name)
    };
    house.yard.busy.lock().unwrap().push("first".into());

    let first = submit(&node, locked("first")).await;
    let second = submit(&node, locked("second")).await;
    let other = submit(&node, work("other")).await;
    end(&node, &[first, second, other]).await;

    assert_eq!(
        house.yard.begun(),
        ["first", "other", "first", "second"],
        "neither the back-off of the first nor the lock that the second waits for keeps the other one"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_there_after_a_restart_in_the_same_order() {
    let house = House::with_places(1);
    let node = house.node().await;
    let mut plans = Vec::new();
    for (name, priority) in [
        ("a", Priority::Normal),
        ("b", Priority::Background),
        ("c", Priority::Normal),
        ("d", Priority::Urgent),
    ] {
        let input = Work {
            priority,
            ..work(name)
        };
        plans.push(submit(&node, input).await);
    }
    let before = node.task(plans[1]).await.unwrap();

    node.kill().await;
    let node = house.node().await;
    let after = node.task(plans[1]).await.unwrap();
    end(&node, &plans).await;

    assert_eq!(before.waiting_for[0].since, after.waiting_for[0].since);
    let begun = house.yard.begun();
    assert_eq!(begun.iter().filter(|it| *it == "a").count(), 2, "{begun:?}");
    let order: Vec<&String> = begun.iter().filter(|it| *it != "a").collect();
    assert_eq!(order, ["d", "c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_while_it_waits_never_begins_and_who_is_held_waits_apart() {
    let house = House::with_places(1);
    let node = house.node().await;
    let first = submit(&node, work("first")).await;
    let cancelled = submit(&node, work("cancelled")).await;
    let held = submit(&node, work("held")).await;
    let last = submit(&node, work("last")).await;

    let ended = node.act(cancelled, wants(Action::Cancel)).await.unwrap();
    node.act(held, wants(Action::Hold)).await.unwrap();
    let seen = node.task(held).await.unwrap();
    let found = found(&house, "waiting = held").await;
    end(&node, &[first, last]).await;
    node.act(held, wants(Action::Release)).await.unwrap();
    end(&node, &[held]).await;

    assert_eq!(ended.result, PlanResult::Cancelled);
    assert_eq!(seen.waiting_for[0].kind, WaitingKind::Operator);
    assert_eq!(seen.held.unwrap().by, "operator");
    assert_eq!(found, [held]);
    assert_eq!(house.yard.begun(), ["first", "last", "held"]);
}

/// Ten plans have failed and ended; all of them are resumed at once.
async fn resumed<W: Workflow<Services = Yard>>(places: usize, of: impl Fn(String) -> W) -> usize {
    let house = House::with_places(places);
    let node = house.node().await;
    let mut plans = Vec::new();
    for n in 0..10 {
        house.yard.busy.lock().unwrap().push(n.to_string());
        plans.push(submit(&node, of(n.to_string())).await);
    }
    for plan in &plans {
        let ended = node.wait(*plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.result, PlanResult::Error);
    }
    *house.yard.at_work.lock().unwrap() = (0, 0);

    let resumes = plans
        .iter()
        .map(|plan| node.act(*plan, wants(Action::Resume)));
    for resumed in join_all(resumes).await {
        resumed.unwrap();
    }
    end(&node, &plans).await;

    assert_eq!(house.yard.begun().len(), 20);
    house.yard.most_at_work()
}

#[tokio::test(start_paused = true)]
async fn those_that_go_on_after_their_end_wait_for_their_places_like_all_others() {
    assert_eq!(resumed(1, |name| Errand { name }).await, 1);
    assert_eq!(resumed(3, |name| Errand { name }).await, 3);
    assert_eq!(resumed(5, |name| Chore { name }).await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_did_not_have_to_wait_has_had_the_turn_of_its_organization() {
    let house = House::with_places(1);
    let node = house.node().await;
    let mut plans = Vec::new();
    for (organization, count) in [("acme", 4), ("beta", 2)] {
        for n in 1..=count {
            let input = Work {
                organization: Some(organization.into()),
                ..work(&format!("{organization} {n}"))
            };
            plans.push(submit(&node, input).await);
        }
    }

    end(&node, &plans).await;

    assert_eq!(
        house.yard.begun(),
        ["acme 1", "beta 1", "acme 2", "beta 2", "acme 3", "acme 4"]
    );
}
