//! What has ended is found in the order of its end, with all that belongs to it, and is forgotten as a whole or not at all.

use super::families::child_of;
use super::{AT, append_at, place, placed, submitted, succeeded};
use crate::clock::Timestamp;
use crate::decide::Happening;
use crate::journal::{Action, Failure, Message, PlanId, PlanResult};
use crate::lock::LockMode;
use crate::plan::Plan;
use crate::retention::Family;
use crate::search::Search;
use crate::store::{Page, Store, StoreError};
use std::time::Duration;

/// Brings the plan to its good end at this time.
async fn end<St: Store>(store: &St, plan: &Plan, at: Timestamp) -> Plan {
    let (first, halfway) = append_at(plan, succeeded(0), at);
    let (last, ended) = append_at(&halfway, succeeded(1), at);
    for append in [first, last] {
        store.append(append).await.expect("its place is free");
    }
    ended
}

/// Lets the first step of the plan fail for good: it is paused.
async fn pause<St: Store>(store: &St, plan: &Plan) {
    let failed = Happening::Failed {
        step: 0,
        error: Failure::new("x", "broken", false),
        retry_at: AT,
    };
    let (append, _) = append_at(plan, failed, AT);
    store.append(append).await.expect("its place is free");
}

async fn families<St: Store>(store: &St, plans: &[PlanId]) -> Vec<Family> {
    let families = store.families(plans.to_vec()).await;
    families.expect("the store works")
}

async fn forget<St: Store>(store: &St, families: Vec<Family>) -> Vec<PlanId> {
    store
        .transact::<_, StoreError>(Box::new(move |tx| Box::pin(St::forget_in(tx, families))))
        .await
        .expect("the store works")
        .expect("they can be forgotten")
}

async fn listed<St: Store>(store: &St) -> Vec<PlanId> {
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    let listing = store.list(Search::default(), page).await;
    listing.expect("the store works").plans
}

fn plans(family: &Family) -> Vec<PlanId> {
    family.members.iter().map(|it| it.plan).collect()
}

/// In pages, up to a time; of two that ended together each is found once.
pub async fn what_has_ended_is_found_in_the_order_of_its_end<St: Store>(store: &St) {
    let mut all = Vec::new();
    for seconds in [30, 10, 20, 20, 40] {
        let plan = placed(store, &[]).await;
        let at = AT + Duration::from_secs(seconds);
        all.push((at, end(store, &plan, at).await.id));
    }
    placed(store, &[]).await; // has not ended
    pause(store, &placed(store, &[]).await).await; // neither has that
    all.sort_unstable();
    let until = AT + Duration::from_secs(30);

    let mut found = Vec::new();
    while let Some(page) = Some(store.ended(until, found.last().copied(), 2).await)
        .map(|page| page.expect("the store works"))
        .filter(|page| !page.is_empty())
    {
        assert!(page.len() <= 2);
        for ended in page {
            assert_eq!(
                (ended.workflow.as_str(), ended.result),
                ("conform", PlanResult::Success)
            );
            found.push((ended.at, ended.plan));
        }
    }

    assert_eq!(found, all[..4]);
}

/// Not its rows, nor its places in lists and counts; what is beside it stays.
pub async fn a_forgotten_plan_leaves_nothing<St: Store>(store: &St) {
    let links = [("repository", "acme/app")];
    let old = submitted(&[("a", LockMode::Exclusive)], "acme", &links);
    let old = place(store, old, Some("key")).await.expect("it is new");
    let old = end(store, &old, AT).await;
    let other = placed(store, &[]).await;
    let seen = families(store, &[old.id]).await;

    let gone = forget(store, seen).await;

    assert_eq!(gone, [old.id]);
    assert_eq!(listed(store).await, [other.id]);
    assert_eq!(store.load(old.id).await.expect("the store works"), []);
    assert_eq!(store.seats(old.id).await.expect("the store works"), []);
    assert_eq!(families(store, &[old.id]).await, []);
    let ended = store.ended(AT, None, 9).await;
    assert_eq!(ended.expect("the store works"), []);
    let search = Search::parse("repository = acme/app", AT).expect("it parses");
    let found = store
        .list(
            search,
            Page {
                limit: 9,
                ..Page::default()
            },
        )
        .await;
    assert_eq!(found.expect("the store works").total, 0);
    assert!(
        !store
            .load(other.id)
            .await
            .expect("the store works")
            .is_empty()
    );
}

/// Parents and sub-tasks are seen and forgotten together, and only when all of them have ended.
pub async fn a_family_is_forgotten_as_a_whole<St: Store>(store: &St) {
    let parent = placed(store, &[]).await;
    let child = child_of(store, parent.id).await;
    let grandchild = child_of(store, child.id).await;
    let lonely = child_of(store, PlanId(uuid::Uuid::now_v7())).await;
    end(store, &parent, AT).await;
    end(store, &child, AT).await;
    end(store, &lonely, AT).await;
    let all = [parent.id, child.id, grandchild.id, lonely.id];
    consume_mail(store).await;

    let open = families(store, &all).await;
    let too_early = forget(store, open.clone()).await;
    end(store, &grandchild, AT).await;
    consume_mail(store).await;
    let whole = families(store, &all).await;
    let gone = forget(store, whole.clone()).await;

    assert_eq!(
        open.iter().map(plans).collect::<Vec<_>>(),
        [vec![parent.id, child.id, grandchild.id], vec![lonely.id]],
        "what belongs to a parent is seen with it, and what has lost its parent by itself"
    );
    assert_eq!(too_early, [lonely.id]);
    assert_eq!(whole.iter().map(plans).collect::<Vec<_>>(), [&all[..3]]);
    assert_eq!(gone, all[..3]);
    assert_eq!(listed(store).await, []);
}

/// Takes every message out of every mailbox, as owners do.
async fn consume_mail<St: Store>(store: &St) {
    for plan in listed(store).await {
        let rows = store.load(plan).await.expect("the store works");
        let mut now = Plan::fold(plan, &rows);
        for mail in store.mail(plan).await.expect("the store works") {
            let read = Happening::Mail {
                n: mail.n,
                message: mail.message,
            };
            let (append, next) = append_at(&now, read, AT);
            store.append(append).await.expect("its place is free");
            now = next;
        }
    }
}

/// What was resumed, or was written to, since it was seen is left; so is what was never over, whoever says so.
pub async fn a_plan_that_is_not_as_it_was_seen_is_left<St: Store>(store: &St) {
    let (written_to, open) = (placed(store, &[]).await, placed(store, &[]).await);
    let paused = placed(store, &[]).await;
    end(store, &written_to, AT).await;
    pause(store, &paused).await;
    let mut seen = families(store, &[written_to.id, open.id, paused.id]).await;
    let id = written_to.id;
    let message = Message {
        action: Action::Resume,
        by: "alice".into(),
        reason: None,
    };
    store
        .transact::<i64, StoreError>(Box::new(move |tx| {
            Box::pin(St::deliver_in(tx, id, message, AT))
        }))
        .await
        .expect("the store works")
        .expect("it is delivered");

    let unchanged = forget(store, seen.clone()).await;
    for family in &mut seen {
        // A lie about it is not believed.
        family.members[0].state = crate::state::PlanState::Stopped;
        family.members[0].ended_at = Some(AT);
        family.members[0].is_bound = false;
    }
    let claimed = forget(store, seen).await;
    let bound = families(store, &[written_to.id]).await;

    assert_eq!((unchanged, claimed), (vec![], vec![]));
    assert!(bound[0].members[0].is_bound, "it has mail");
    assert_eq!(forget(store, bound).await, []);
    assert_eq!(listed(store).await.len(), 3);
}

/// What was submitted as revertible after its success says so.
pub async fn a_plan_says_how_long_it_can_be_reverted<St: Store>(store: &St) {
    let week = Duration::from_hours(7 * 24);
    let mut revertible = submitted(&[], "acme", &[]);
    revertible.revertible_for = Some(week);
    let revertible = place(store, revertible, None).await.expect("it is new");
    let other = placed(store, &[]).await;
    let ended = [
        end(store, &revertible, AT).await.id,
        end(store, &other, AT).await.id,
    ];

    let seen = families(store, &ended).await;

    let told = seen.iter().map(|family| family.members[0].revertible_for);
    let told: Vec<_> = told.collect();
    assert!(told[0].is_some_and(|time| time >= week && time <= week + Duration::from_secs(1)));
    assert_eq!(told[1], None);
}
