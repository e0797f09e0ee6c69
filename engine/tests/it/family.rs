//! Sub-tasks: one for each key, submitted with what their parent records, counted, waited for, cancelled and resumed through it.

mod post;
mod stuck;
mod undone;

use engine::check::check;
use engine::explain::WaitingKind;
use engine::journal::{Action, NodeId, PlanId, PlanResult, Reason};
use engine::node::{Node, NodeError, NodeOptions, Workflows};
use engine::plan::Plan;
use engine::prove::{Faulty, Moment};
use engine::state::{PlanState, StepState};
use engine::step::Child;
use engine::store::Store;
use engine::workflow::DeclarationError;
use post::{FOR_EVER, House, Hurried, Mailing, mail, mailing, reaches, wants};
use std::time::Duration;
use uuid::Uuid;

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

#[tokio::test(start_paused = true)]
async fn a_step_fails_before_it_begins_any_sub_task_when_one_of_them_cannot_be_submitted() {
    let house = House::new();
    let node = house.node().await;
    house.post.slow_down(&["ann", "bob", "cid"]);

    let id = mail(&node, &["ann", "bob", "cid", "greedy"]).await;
    let few_minutes = Duration::from_mins(3);
    reaches(&node, id, |plan| {
        plan.steps[0].state == StepState::Suspended || plan.state == PlanState::Paused
    })
    .await;
    house.post.slow_down(&["cid"]);
    let paused = node.wait(id, few_minutes).await.unwrap();

    assert_eq!(paused.steps[0].state, StepState::Error);
    let open = house.letters_of(id).await;
    assert_eq!(open.len(), 0, "nothing of it was begun: {open:?}");
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
