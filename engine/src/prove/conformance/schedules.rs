//! Schedules: kept whole, due in time, and written by one only.

use super::{AT, place, submitted};
use crate::clock::Timestamp;
use crate::journal::{Json, PlanId};
use crate::schedule::{DueSchedules, Missed, Put, Schedule, ScheduleId};
use crate::store::{Store, StoreError};
use std::time::Duration;
use uuid::Uuid;

fn schedule(name: &str, cron: &str) -> Schedule {
    Schedule {
        id: ScheduleId::default(),
        name: name.into(),
        workflow: "conform".into(),
        input: Json::of(&["in", "put"]).expect("a list is JSON"),
        cron: cron.into(),
        time_zone: "Europe/Berlin".into(),
        missed: Missed::Once,
        end_at: None,
        max_runs: None,
        enabled: true,
        built_in: false,
        actor: Some("alice".into()),
        created_at: AT,
        handled_until: AT,
        runs: 0,
        last_nominal: None,
        last_plan: None,
        revision: 0,
    }
}

async fn put<St: Store>(store: &St, schedule: Schedule) -> Put {
    store
        .transact::<Put, StoreError>(Box::new(move |tx| {
            Box::pin(async move { St::put_schedule_in(tx, schedule).await })
        }))
        .await
        .expect("the store works")
        .expect("it can be written")
}

async fn kept<St: Store>(store: &St, schedule: Schedule) -> Schedule {
    match put(store, schedule).await {
        Put::Kept(kept) => *kept,
        other @ (Put::NameTaken | Put::Stale) => panic!("{other:?}"),
    }
}

async fn due<St: Store>(store: &St, now: Timestamp) -> DueSchedules {
    store.due_schedules(now).await.expect("the store works")
}

/// What is put is what is found, whatever it holds; names are unique, and numbers do not come again.
pub async fn a_schedule_is_kept_as_it_was_written<St: Store>(store: &St) {
    let plan = PlanId(Uuid::now_v7());
    let full = Schedule {
        missed: Missed::All,
        end_at: Some(AT + Duration::from_hours(1)),
        max_runs: Some(7),
        enabled: false,
        built_in: true,
        actor: None,
        runs: 3,
        last_nominal: Some(AT),
        last_plan: Some(plan),
        ..schedule("b", "@daily")
    };

    let second = kept(store, full.clone()).await;
    let first = kept(store, schedule("a", "*/5 * * * *")).await;
    let taken = put(store, schedule("a", "@daily")).await;

    assert_eq!(
        second,
        Schedule {
            id: second.id,
            revision: 1,
            ..full
        }
    );
    assert_eq!(
        store.schedules().await.expect("it lists"),
        [first.clone(), second.clone()]
    );
    assert_eq!(taken, Put::NameTaken);
    let renamed = Schedule {
        name: "a".into(),
        ..second.clone()
    };
    assert_eq!(put(store, renamed).await, Put::NameTaken);

    let removed = async |id: ScheduleId| {
        store
            .transact::<bool, StoreError>(Box::new(move |tx| {
                Box::pin(St::remove_schedule_in(tx, id))
            }))
            .await
            .expect("the store works")
            .expect("it can be removed")
    };
    assert!(removed(second.id).await);
    assert!(!removed(second.id).await, "it is gone");
    assert_eq!(
        put(store, second.clone()).await,
        Put::Stale,
        "what is gone does not come back"
    );
    let third = kept(store, schedule("b", "@daily")).await;
    assert!(third.id != second.id && third.id != first.id);
}

/// Of two writers that read the same, the second is told; a plan that it submitted with it is not there.
pub async fn of_two_who_fire_a_schedule_one_does<St: Store>(store: &St) {
    let read = kept(store, schedule("a", "*/5 * * * *")).await;
    let nominal = read.next_at().expect("it comes");
    let plan = place(store, submitted(&[], "acme", &[]), None)
        .await
        .expect("it is new")
        .id;

    let fired = kept(store, read.clone().fired(nominal, plan)).await;
    let again = put(store, read.fired(nominal, PlanId(Uuid::now_v7()))).await;

    assert_eq!(again, Put::Stale);
    assert_eq!(
        store.schedules().await.expect("it lists"),
        std::slice::from_ref(&fired)
    );
    assert_eq!(
        (fired.runs, fired.last_nominal, fired.last_plan),
        (1, Some(nominal), Some(plan))
    );
}

/// Due is what has come and is enabled, the oldest first; of the others, the first is told.
pub async fn schedules_are_due_when_their_time_has_come<St: Store>(store: &St) {
    let five = kept(store, schedule("five", "*/5 * * * *")).await;
    let minute = kept(store, schedule("minute", "* * * * *")).await;
    let off = Schedule {
        enabled: false,
        ..schedule("off", "* * * * *")
    };
    kept(store, off).await;
    let over = Schedule {
        max_runs: Some(2),
        runs: 2,
        ..schedule("over", "* * * * *")
    };
    kept(store, over).await;
    let unreadable = Schedule {
        cron: "nonsense".into(),
        ..schedule("unreadable", "")
    };
    kept(store, unreadable).await;
    let next = |schedule: &Schedule| schedule.next_at().expect("it comes");

    let before = due(store, AT).await;
    let at_first = due(store, next(&minute)).await;
    let at_second = due(store, next(&five)).await;

    assert_eq!(
        before,
        DueSchedules {
            due: vec![],
            next: Some(next(&minute)),
            unreadable: vec![]
        }
    );
    assert_eq!(
        at_first,
        DueSchedules {
            due: vec![minute.clone()],
            next: Some(next(&five)),
            unreadable: vec![]
        }
    );
    assert_eq!(
        at_second,
        DueSchedules {
            due: vec![minute, five],
            next: None,
            unreadable: vec![]
        }
    );
}
