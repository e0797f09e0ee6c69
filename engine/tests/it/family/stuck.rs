//! Sub-tasks that need a person or wait, and whose parent does not wait for that.

use super::post::{FOR_EVER, House, Hurried, Mailing, mailing, reaches, wants};
use engine::journal::{Action, ChildState, PlanId, PlanResult};
use engine::plan::{Child, Plan};
use engine::state::PlanState;

fn the_one(letters: &[(PlanId, Plan)], is: impl Fn(&Plan) -> bool) -> &(PlanId, Plan) {
    letters.iter().find(|(_, letter)| is(letter)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_parent_that_failed_and_is_resumed_resumes_sub_tasks_that_are_stuck() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);
    let id = node
        .submit(&Hurried(mailing(&["bob", "strict"])), None)
        .await;
    let id = id.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    house.post.close(&[]);

    node.act(id, wants(Action::Resume)).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(paused.state, PlanState::Paused);
    assert_eq!(ended.result, PlanResult::Success);
    assert!(ended.children().all(Child::is_done), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sub_task_that_does_not_go_on_when_it_is_told_to_is_not_waited_for() {
    let house = House::new();
    let node = house.node().await;
    house.post.close(&["bob"]);
    let id = node
        .submit(&Hurried(mailing(&["bob", "strict"])), None)
        .await;
    let id = id.unwrap();
    let paused = node.wait(id, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);

    node.act(id, wants(Action::Resume)).await.unwrap();
    let again = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(again.state, PlanState::Paused);
    let stuck = again
        .children()
        .filter(|child| child.state == ChildState::Stuck);
    assert_eq!(stuck.count(), 1);
    let letters = house.letters_of(id).await;
    let (_, bob) = the_one(&letters, |letter| letter.state == PlanState::Paused);
    assert_eq!(bob.steps[0].attempts(), 2, "it was tried again, in vain");
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_alone_has_locks_of_its_own_and_takes_nobodys_place() {
    let house = House::new();
    let node = house.node().await;
    let names: Vec<String> = (0..40).map(|n| format!("letter {n}")).collect();
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    let hurried = Hurried(Mailing {
        patient: false,
        ..mailing(&to)
    });

    let id = node.submit(&hurried, None).await.unwrap();
    let ended = node.wait(id, FOR_EVER).await.unwrap();
    let late = reaches(&node, id, |plan| plan.children().all(Child::is_done)).await;

    assert_eq!(ended.result, PlanResult::Warning, "all waited for its lock");
    assert_eq!(late.children().count(), 40);
    let letters = house.letters_of(id).await;
    for (_, letter) in &letters {
        assert_eq!(letter.locks.len(), 1);
        assert!(letter.times.started >= ended.times.ended, "{letter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sub_task_is_not_let_into_a_lock_that_its_parent_has_let_go_or_will() {
    let house = House::new();
    let node = house.node().await;

    for (until, why) in [("before", "does not hold so"), ("beside", "may let go")] {
        let id = node
            .submit(&super::post::Early(until.into()), None)
            .await
            .unwrap();
        let paused = node.wait(id, FOR_EVER).await.unwrap();
        let error = paused.step("send_early").unwrap().error.clone().unwrap();
        assert!(error.message.contains(why), "{}", error.message);
    }
}
