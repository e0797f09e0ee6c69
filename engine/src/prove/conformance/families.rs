//! Sub-tasks: what they tell their parent is kept with the append in which they move, or not at all.

use super::{append, place, placed, submitted, succeeded};
use crate::decide::Happening;
use crate::journal::{Action, ChildState, Failure, Parent, PlanId, PlanResult, Until};
use crate::plan::Plan;
use crate::state::PlanState;
use crate::store::{Store, StoreError};

pub(super) async fn child_of<St: Store>(store: &St, parent: PlanId) -> Plan {
    let mut child = submitted(&[], "acme", &[("parent", &parent.to_string())]);
    child.parent = Some(Parent {
        plan: parent,
        until: Until::Ended,
    });
    place(store, child, None).await.expect("it has no key")
}

async fn told<St: Store>(store: &St, parent: PlanId) -> Vec<Action> {
    let mail = store.mail(parent).await.expect("the store works");
    mail.into_iter().map(|mail| mail.message.action).collect()
}

/// An append that is kept brings its messages with it; one that is refused brings none.
pub async fn a_sub_task_tells_its_parent_in_the_append_in_which_it_moves<St: Store>(store: &St) {
    let parent = placed(store, &[]).await;
    let child = child_of(store, parent.id).await;
    let (first, halfway) = append(&child, succeeded(0));
    let (last, _) = append(&halfway, succeeded(1));
    let failed = Happening::Failed {
        step: 1,
        error: Failure::new("x", "broken", false),
        retry_at: super::AT,
    };
    let (refused, _) = append(&halfway, failed);

    store.append(first).await.expect("its place is free");
    assert_eq!(told(store, parent.id).await, [], "it has not moved yet");
    store.append(last).await.expect("its place is free");
    let refused = store.append(refused).await;

    assert!(matches!(refused, Err(StoreError::Fenced { .. })));
    let moved = Action::ChildMoved {
        child: child.id,
        state: ChildState::Ended(PlanResult::Success),
    };
    assert_eq!(told(store, parent.id).await, [moved]);
}

/// A message to a plan that is not there goes nowhere, and the append is kept all the same.
pub async fn a_sub_task_whose_parent_is_gone_ends_all_the_same<St: Store>(store: &St) {
    let gone = PlanId(uuid::Uuid::now_v7());
    let child = child_of(store, gone).await;
    let (first, halfway) = append(&child, succeeded(0));
    let (last, _) = append(&halfway, succeeded(1));

    store.append(first).await.expect("its place is free");
    store.append(last).await.expect("its place is free");

    assert_eq!(told(store, gone).await, []);
    let rows = store.load(child.id).await.expect("the store works");
    assert_eq!(Plan::fold(child.id, &rows).state, PlanState::Stopped);
}

/// They are counted by where they are.
pub async fn sub_tasks_are_counted_by_state<St: Store>(store: &St) {
    let (parent, other) = (placed(store, &[]).await, placed(store, &[]).await);
    for ends in [true, true, false] {
        let child = child_of(store, parent.id).await;
        let (first, halfway) = append(&child, succeeded(0));
        store.append(first).await.expect("its place is free");
        if ends {
            let (last, _) = append(&halfway, succeeded(1));
            store.append(last).await.expect("its place is free");
        }
    }
    child_of(store, other.id).await;

    let counts = store.children(parent.id).await.expect("the store works");

    let mut counts: Vec<_> = counts
        .iter()
        .map(|count| (count.state, count.result, count.plans))
        .collect();
    counts.sort_by_key(|count| count.2);
    assert_eq!(
        counts,
        [
            (PlanState::Running, PlanResult::Pending, 1),
            (PlanState::Stopped, PlanResult::Success, 2)
        ]
    );
}
