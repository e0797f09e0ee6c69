//! What lists of plans must do.

use super::{AT, append, node, nonce, place, placed, submitted, succeeded};
use crate::clock::Timestamp;
use crate::decide::{Admission, Happening, Place, decide_with};
use crate::journal::{Action, Failure, GraphStep, Json, Message, PlanId, Until, WantedChild};
use crate::lock::LockMode;
use crate::plan::Plan;
use crate::search::{Order, Search, Sort};
use crate::store::{Append, Listing, Page, Store, Visible};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use strum::IntoEnumIterator;
use uuid::Uuid;

/// When the lists are asked for: after everything that has happened to the plans.
const NOW: Timestamp = Timestamp(AT.0 + 60_000);

async fn list<St: Store>(store: &St, search: &str, page: Page) -> Listing {
    let search = Search::parse(search, NOW).expect("the search can be read");
    store.list(search, page).await.expect("the store works")
}

pub(super) async fn found<St: Store>(store: &St, search: &str) -> Vec<PlanId> {
    let page = Page {
        limit: 10,
        ..Page::default()
    };
    list(store, search, page).await.plans
}

/// Appends what follows, and answers with the plan as it is then.
pub(super) async fn happens<St: Store>(store: &St, plan: Plan, happening: Happening) -> Plan {
    let (row, next) = append(&plan, happening);
    store.append(row).await.expect("its place is free");
    next
}

/// Each page goes on where the one before ended.
pub async fn lists_are_newest_first_and_paged<St: Store>(store: &St) {
    let mut plans = Vec::new();
    for _ in 0..7 {
        plans.push(placed(store, &[]).await.id);
    }
    plans.sort();
    plans.reverse();
    let mut seen = Vec::new();
    let mut pages = 0;
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: 3,
            ..Page::default()
        };
        let listing = list(store, "", page).await;
        assert_eq!(listing.total, 7);
        seen.extend(listing.plans);
        pages += 1;
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (plans, 3));
}

/// And only what fits the whole search.
pub async fn a_search_finds_by_every_field<St: Store>(store: &St) {
    let links = [
        ("repository", "acme/busybox"),
        ("product", "Tools"),
        ("tag", "latest"),
        ("digest", "sha256:1"),
    ];
    let mine = place(store, submitted(&[], "acme", &links), None)
        .await
        .expect("it has no key");
    let other = place(store, submitted(&[], "other", &[("tag", "o_her")]), None)
        .await
        .expect("it has no key");
    let (mine, other) = (mine.id, other.id);
    let by_id = format!("id = {mine}");

    for search in [
        by_id.as_str(),
        "user = \"Actor of ACME\"",
        "organization = Acme",
        "organization ^ (acme, third)",
        "repository = acme/busybox",
        "repository ~ BUSY",
        "repository ~ *box",
        "product = tools",
        "tag = latest",
        "tag != o_her",
        "digest = sha256:1 and label = conform",
        "busybox",
        "not (tag ~ o_h or tag = other)",
        "tag = other or tag = latest",
        "repository !~ other and not organization = other",
        "product !^ (x, y) acme",
    ] {
        assert_eq!(found(store, search).await, [mine], "{search}");
    }
    for search in ["tag ~ o_h", "tag !~ lat", "organization !^ (acme, third)"] {
        assert_eq!(found(store, search).await, [other], "{search}");
    }
    for search in [
        "label = conform",
        "state = running",
        "state != stopped",
        "result = pending",
        "reason != error",
        "created_at < now",
        "created_at = \"1 minute ago\"",
        "started_at >= \"2 minutes ago\"",
        "duration = 1m",
        "duration < 61s and duration > 59s",
        "not ended_at < now",
        "attempt = 1",
    ] {
        assert_eq!(found(store, search).await.len(), 2, "{search}");
    }
    for search in [
        "label = Conform",
        "tag = Latest",
        "tag = lat",
        "tag = o%her",
        "tag ~ o__er_",
        "reason = error",
        "ended_at < now",
        "started_at > now",
        "duration > 61s",
        "attempt > 1",
        "waiting = lock",
        "label = conform and tag = other and organization = acme",
    ] {
        assert_eq!(found(store, search).await, [], "{search}");
    }
}

/// Kept in the very append after which it is true.
pub async fn a_plan_is_found_by_what_it_waits_for_and_by_its_attempts<St: Store>(store: &St) {
    let lock = [("one", LockMode::Exclusive)];
    let holder = placed(store, &lock).await;
    let waiter = placed(store, &lock).await;
    let step = |name: &str| GraphStep {
        attempts: 3,
        ..GraphStep::new(name, vec![])
    };
    let mut parallel = submitted(&[], "acme", &[]);
    parallel.graph = Arc::from([step("first"), step("second")]);
    let plan = place(store, parallel, None).await.expect("it has no key");
    let id = plan.id;
    let failed = |step, transient| Happening::Failed {
        step,
        error: Failure::new("test", "it failed", transient),
        retry_at: AT,
    };

    assert_eq!(found(store, "waiting = lock").await, [waiter.id]);
    let plan = happens(store, plan, failed(0, true)).await;
    assert_eq!(
        found(store, "waiting = retry").await,
        [],
        "the second step is at work"
    );
    let suspended = Happening::Suspended {
        step: 1,
        ticket: Json::of(&"ticket").expect("a text is JSON"),
        form: 1,
        wake_at: AT,
    };
    let plan = happens(store, plan, suspended).await;
    assert_eq!(found(store, "waiting = retry").await, [id]);
    assert_eq!(found(store, "waiting ^ (time, operator)").await, [id]);
    assert_eq!(
        found(store, "waiting != time and waiting != lock").await,
        [holder.id]
    );
    let plan = happens(store, plan, Happening::Woken { step: 0 }).await;
    assert_eq!(found(store, "attempt > 1").await, [id]);
    assert_eq!(found(store, "waiting = retry").await, []);
    let plan = happens(store, plan, succeeded(1)).await;
    let plan = happens(store, plan, failed(0, false)).await;
    assert_eq!(plan.state, crate::state::PlanState::Paused);
    assert_eq!(found(store, "waiting = operator").await, [id]);
    assert_eq!(found(store, "attempt = 2 and state = paused").await, [id]);
}

/// Whatever a plan waits for, and however much of it at once, is kept and found.
pub async fn a_plan_is_found_by_everything_that_it_waits_for<St: Store>(store: &St) {
    let mut wide = submitted(&[], "acme", &[]);
    let step = |name: &str| GraphStep {
        attempts: 3,
        ..GraphStep::new(name, vec![])
    };
    wide.graph = Arc::from(["told", "spawns", "elsewhere", "again"].map(step));
    let plan = place(store, wide, None).await.expect("it has no key");
    let id = plan.id;
    let child = WantedChild {
        key: "one".into(),
        workflow: "conform".into(),
        input: Json::of(&1).expect("a number is JSON"),
    };
    let told = Happening::Awaits {
        step: 0,
        event: Some("told".into()),
        until: None,
    };
    let spawns = Happening::Spawns {
        step: 1,
        children: vec![child],
        until: Until::Ended,
        at_once: 1,
    };
    let submits = Happening::Submitted {
        step: 1,
        children: vec![("one".into(), PlanId(Uuid::now_v7()))],
        refused: vec![],
    };
    let elsewhere = Happening::Suspended {
        step: 2,
        ticket: Json::of(&"ticket").expect("a text is JSON"),
        form: 1,
        wake_at: AT,
    };
    let again = Happening::Failed {
        step: 3,
        error: Failure::new("test", "it failed", true),
        retry_at: AT,
    };

    let mut plan = plan;
    for happening in [told, spawns, submits, elsewhere, again] {
        plan = happens(store, plan, happening).await;
    }
    for kind in ["event", "child", "time", "retry"] {
        assert_eq!(found(store, &format!("waiting = {kind}")).await, [id]);
    }
    let woken = Happening::Woken { step: 3 };
    let plan = happens_without_place(store, plan, woken).await;
    for kind in ["event", "child", "time", "node"] {
        assert_eq!(found(store, &format!("waiting = {kind}")).await, [id]);
    }
    assert_eq!(found(store, "waiting = retry").await, []);
    let hold = Happening::Mail {
        n: 1,
        message: Message {
            action: Action::Hold,
            by: "operator".into(),
            reason: None,
        },
    };
    happens(store, plan, hold).await;
    assert_eq!(found(store, "waiting = held").await, [id]);
    assert_eq!(found(store, "waiting = operator").await, [id]);
    assert_eq!(found(store, "waiting = node").await, []);
}

/// It happens while as many plans are at work as may be.
async fn happens_without_place<St: Store>(store: &St, plan: Plan, happening: Happening) -> Plan {
    let owner = plan.node.unwrap_or_else(|| node(1));
    let admission = Admission {
        place: Place::Taken,
        ..Admission::default()
    };
    let decision = decide_with(&admission, &plan, happening, AT, owner).expect("it fits");
    let row = Append::new(&plan, &decision, owner, nonce()).expect("it can be written");
    store.append(row).await.expect("its place is free");
    decision.next
}

/// Between any two pages plans are submitted, begin and end; those that were there at first come exactly once each.
pub async fn every_order_comes_whole_through_its_pages_while_plans_come_and_end<St: Store>(
    store: &St,
) {
    let mut open = Vec::new();
    for n in 0..12 {
        let organization = ["acme", "Other", "third"][n % 3];
        let mut plan = submitted(&[], organization, &[]);
        if n % 4 == 0 {
            (plan.organization, plan.actor) = (None, None);
        }
        let plan = place(store, plan, None).await.expect("it has no key");
        let done = if n % 2 == 0 { 2 } else { 0 };
        let mut now = plan;
        for step in 0..done {
            now = happens(store, now, succeeded(step)).await;
        }
        open.push(now);
    }
    let sorts =
        Order::iter().flat_map(|by| [true, false].map(|descending| Sort { by, descending }));
    let mut later = NOW;
    for sort in sorts {
        later = later + Duration::from_secs(1);
        let asked = later;
        let there: BTreeSet<PlanId> = open.iter().map(|plan| plan.id).collect();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = Page {
                sort,
                after,
                limit: 5,
                visible: Visible::All,
            };
            let listing = store
                .list(Search::everything(asked), page)
                .await
                .expect("the store works");
            seen.extend(listing.plans);
            after = listing.next;
            if after.is_none() {
                break;
            }
            // One more plan, and one that ends: later than the list was asked for.
            later = later + Duration::from_secs(1);
            open.push(placed(store, &[]).await);
            if let Some(place) = open
                .iter()
                .position(|plan| plan.state.is_driven() && there.contains(&plan.id))
            {
                let mut ending = open.swap_remove(place);
                for step in 0..2 {
                    let (row, next) = super::append_at(&ending, succeeded(step), later);
                    store.append(row).await.expect("its place is free");
                    ending = next;
                }
                open.push(ending);
            }
        }
        let unique: BTreeSet<PlanId> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "twice, sorted by {sort}");
        assert!(
            there.is_subset(&unique),
            "skipped, sorted by {sort}: {:?}",
            there.difference(&unique)
        );
    }
}

/// Only plans of his organizations, and his own.
pub async fn nobody_sees_what_he_may_not_see<St: Store>(store: &St) {
    for organization in ["acme", "other", "third"] {
        place(store, submitted(&[], organization, &[]), None)
            .await
            .expect("it has no key");
    }
    let visible = Visible::Some {
        organizations: vec!["acme".into()],
        actor: "actor of third".into(),
    };

    let page = Page {
        limit: 10,
        visible: visible.clone(),
        ..Page::default()
    };
    let listing = list(store, "", page).await;
    let counts = store.count(visible).await.expect("the store works");

    assert_eq!((listing.total, listing.plans.len()), (2, 2));
    assert_eq!(counts.iter().map(|count| count.plans).sum::<u64>(), 2);
}
