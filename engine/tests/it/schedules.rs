//! What a node does with schedules: each nominal time is fired once, whatever crashes, and missed ones follow their policy.

use super::push::{Outside, Push, Wrong};
use super::tick::{Tick, workflows};
use engine::clock::{Clock, Timestamp};
use engine::journal::{Cause, Json, NodeId, PlanResult};
use engine::node::{BuiltIn, Node, NodeError, NodeOptions, Workflows};
use engine::prove::{Faulty, Moment};
use engine::schedule::{Missed, Put, Schedule, ScheduleId, Turn};
use engine::search::Search;
use engine::store::memory::{Memory, MemoryTx};
use engine::store::{Page, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// 2023-11-14T22:00:00Z.
const START: Timestamp = Timestamp(1_699_999_200_000);
const MINUTE: Duration = Duration::from_mins(1);
const HALF: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

struct House {
    store: Memory,
    outside: Arc<Outside>,
    clock: Clock,
}

impl House {
    fn new() -> Self {
        Self {
            store: Memory::default(),
            outside: Arc::default(),
            clock: Clock::of_runtime(START),
        }
    }

    async fn node(&self, id: u128) -> Node<Outside, Memory> {
        self.node_on(id, self.store.clone(), workflows()).await
    }

    async fn node_on<St: Store<Tx = MemoryTx>>(
        &self,
        id: u128,
        store: St,
        knows: Workflows<Outside>,
    ) -> Node<Outside, St> {
        let options = NodeOptions::new(NodeId(Uuid::from_u128(id)), format!("node {id}"));
        Node::start(
            options,
            store,
            self.outside.clone(),
            knows,
            self.clock,
            None,
        )
        .await
        .unwrap()
    }

    /// Saves a schedule.
    async fn save(&self, schedule: Schedule) -> Schedule {
        let put = self.store.transact::<Put, StoreError>(Box::new(move |tx| {
            Box::pin(Memory::put_schedule_in(tx, schedule))
        }));
        match put.await.unwrap().unwrap() {
            Put::Kept(kept) => *kept,
            other @ (Put::NameTaken | Put::Stale) => panic!("{other:?}"),
        }
    }

    async fn schedule(&self) -> Schedule {
        self.store.schedules().await.unwrap().pop().unwrap()
    }

    /// How many plans there are for each nominal time.
    async fn runs(&self) -> BTreeMap<String, usize> {
        let page = Page {
            limit: 10_000,
            ..Page::default()
        };
        let everything = Search::parse("", self.clock.now()).unwrap();
        let mut runs = BTreeMap::new();
        for id in self.store.list(everything, page).await.unwrap().plans {
            let rows = self.store.load(id).await.unwrap();
            let plan = engine::plan::Plan::fold(id, &rows);
            let submitted = plan.submitted.unwrap();
            assert_eq!(submitted.cause, Some(Cause::Schedule));
            let mut links = submitted.links.iter();
            let (_, nominal) = links.find(|(name, _)| name == "scheduled_for").unwrap();
            *runs.entry(nominal.clone()).or_default() += 1;
        }
        runs
    }

    async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }
}

fn of_ticks(cron: &str) -> Schedule {
    Schedule {
        id: ScheduleId::default(),
        name: "nightly".into(),
        workflow: "tick".into(),
        input: Json::of(&Tick {
            note: "again".into(),
        })
        .unwrap(),
        cron: cron.into(),
        time_zone: "UTC".into(),
        missed: Missed::Once,
        end_at: None,
        max_runs: None,
        enabled: true,
        built_in: false,
        actor: Some("alice".into()),
        created_at: START,
        handled_until: START,
        runs: 0,
        last_nominal: None,
        last_plan: None,
        revision: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_submits_its_workflow_at_each_nominal_time_on_time() {
    let house = House::new();
    let node = house.node(1).await;
    house.pass(Duration::from_secs(90)).await;
    house.save(of_ticks("*/5 * * * *")).await;

    house.pass(15 * MINUTE).await;

    let runs = house.runs().await;
    let times: Vec<&str> = runs.keys().map(String::as_str).collect();
    assert_eq!(
        times,
        [
            "2023-11-14T22:05:00.000Z",
            "2023-11-14T22:10:00.000Z",
            "2023-11-14T22:15:00.000Z"
        ]
    );
    let schedule = house.schedule().await;
    assert_eq!(
        (schedule.runs, schedule.last_nominal),
        (3, Some(START + 15 * MINUTE))
    );
    let plan = node.plan(schedule.last_plan.unwrap()).await.unwrap();
    assert_eq!(plan.result, PlanResult::Success);
    assert!(
        plan.times.created.since(START + 15 * MINUTE) < Duration::from_millis(100),
        "submitted at {}",
        plan.times.created
    );
    let submitted = plan.submitted.as_ref().unwrap();
    assert_eq!(submitted.actor.as_deref(), Some("alice"));
    assert!(
        submitted
            .links
            .contains(&("schedule".into(), "nightly".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_follows_the_policy() {
    let mut told = Vec::new();
    for (missed, cron) in [
        (Missed::Skip, "30 * * * *"),
        (Missed::Once, "30 * * * *"),
        (Missed::All, "30 * * * *"),
        (Missed::All, "* * * * *"),
    ] {
        let house = House::new();
        let off_for = 10 * HOUR; // no node runs until then
        house
            .save(Schedule {
                missed,
                ..of_ticks(cron)
            })
            .await;
        house.pass(off_for).await;
        let _node = house.node(1).await;

        house.pass(Duration::from_secs(30)).await;
        let made_good = house.runs().await;
        let first = made_good.keys().next().cloned();
        house.pass(40 * MINUTE).await;

        let runs = house.runs().await;
        assert!(runs.values().all(|count| *count == 1));
        told.push((made_good.len(), first, runs.len() - made_good.len()));
    }

    assert_eq!(
        told,
        [
            (0, None, 1),
            (1, Some("2023-11-15T07:30:00.000Z".into()), 1),
            (10, Some("2023-11-14T22:30:00.000Z".into()), 1),
            // At most the latest 100.
            (100, Some("2023-11-15T06:21:00.000Z".into()), 40),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_run_that_is_not_yet_missed_is_fired_although_missed_ones_are_skipped() {
    let house = House::new();
    let skips = Schedule {
        missed: Missed::Skip,
        ..of_ticks("30 * * * *")
    };
    house.save(skips).await;
    house
        .pass(2 * HOUR + 30 * MINUTE + Duration::from_secs(50))
        .await;

    let _node = house.node(1).await;
    house.pass(MINUTE).await;

    let runs = house.runs().await;
    assert_eq!(
        runs.into_keys().collect::<Vec<_>>(),
        ["2023-11-15T00:30:00.000Z"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_nominal_time_fires_once_however_its_node_dies_between_two_writes() {
    let (mut crashes, mut fired) = (0, 0);
    for moment in [Moment::Before, Moment::After] {
        for at in 0.. {
            let house = House::new();
            house
                .save(Schedule {
                    missed: Missed::All,
                    ..of_ticks("* * * * *")
                })
                .await;
            let dying = Faulty::dying(house.store.clone(), at, moment);
            let first = house.node_on(1, dying.clone(), workflows()).await;
            let died = tokio::time::timeout(4 * MINUTE + HALF, dying.death())
                .await
                .is_ok();
            first.kill().await;

            let again = house.node(1).await;
            house.clock.sleep_until(START + 5 * MINUTE + HALF).await;

            let runs = house.runs().await;
            let schedule = house.schedule().await;
            assert!(
                runs.values().all(|count| *count == 1),
                "{moment:?} write {at}: {runs:?}"
            );
            assert_eq!(runs.len(), 5, "{moment:?} write {at}: {runs:?}");
            assert_eq!(schedule.runs as usize, runs.len(), "{moment:?} write {at}");
            let last = again.wait(schedule.last_plan.unwrap(), HOUR).await.unwrap();
            assert_eq!(last.result, PlanResult::Success, "{moment:?} write {at}");
            fired += runs.len();
            if !died {
                break;
            }
            crashes += 1;
        }
    }
    println!("{crashes} crashes between writes; {fired} nominal times, each fired once");
    assert!(crashes >= 20, "{crashes}");
}

#[tokio::test(start_paused = true)]
async fn a_fire_whose_commit_is_in_doubt_is_neither_lost_nor_repeated() {
    let mut doubts = 0;
    for moment in [Moment::Before, Moment::After] {
        for at in 0..12 {
            let house = House::new();
            house.save(of_ticks("* * * * *")).await;
            let doubting = Faulty::doubting(house.store.clone(), at, moment);
            let node = house.node_on(1, doubting, workflows()).await;

            house.pass(2 * MINUTE + HALF).await;

            let runs = house.runs().await;
            assert_eq!(runs.len(), 2, "{moment:?} write {at}: {runs:?}");
            assert!(
                runs.values().all(|count| *count == 1),
                "{moment:?} write {at}: {runs:?}"
            );
            let last = house.schedule().await.last_plan.unwrap();
            let ended = node.wait(last, HOUR).await.unwrap();
            assert_eq!(ended.result, PlanResult::Success, "{moment:?} write {at}");
            doubts += 1;
        }
    }
    println!("{doubts} commits in doubt");
}

#[tokio::test(start_paused = true)]
async fn of_two_nodes_on_one_store_one_fires() {
    let house = House::new();
    let (_one, _other) = (house.node(1).await, house.node(2).await);
    house.save(of_ticks("* * * * *")).await;

    house.pass(HOUR + Duration::from_secs(5)).await;

    let runs = house.runs().await;
    assert_eq!(runs.len(), 60);
    assert!(runs.values().all(|count| *count == 1), "{runs:?}");
    assert_eq!(house.schedule().await.runs, 60);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_a_workflow_that_the_node_does_not_know_stays_due_for_one_that_does() {
    let house = House::new();
    let ignorant = house
        .node_on(1, house.store.clone(), Workflows::default())
        .await;
    let refused = ignorant.offer_json("tick", &of_ticks("").input, None).err();
    house
        .save(Schedule {
            missed: Missed::All,
            ..of_ticks("*/5 * * * *")
        })
        .await;
    house.pass(11 * MINUTE).await;
    assert_eq!(house.runs().await.len(), 0);

    let _node = house.node(2).await;
    house.pass(Duration::from_secs(5)).await;

    assert!(matches!(refused, Some(NodeError::UnknownWorkflow(_))));
    assert_eq!(house.runs().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_does_not_fit_its_workflow_is_told_before_anything_is_saved() {
    let house = House::new();
    let node = house.node(1).await;
    let input = Json::of(&serde_json::json!({"note": 7})).unwrap();

    let wrong = node.offer_json("tick", &input, None).err().unwrap();

    let told = wrong.to_string();
    assert!(
        told.starts_with(
            "the input of workflow `tick` does not fit it: invalid type: integer `7`, expected a string"
        ),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_schedule_ends_at_its_end_or_after_its_runs() {
    for limited in [
        Schedule {
            end_at: Some(START + 10 * MINUTE),
            ..of_ticks("*/5 * * * *")
        },
        Schedule {
            max_runs: Some(2),
            ..of_ticks("*/5 * * * *")
        },
        Schedule {
            max_runs: Some(2),
            missed: Missed::All,
            ..of_ticks("*/5 * * * *")
        },
    ] {
        let house = House::new();
        let before = house.save(limited).await;
        let _node = house.node(1).await;

        house.pass(HOUR).await;

        assert_eq!(
            before.next_runs(9),
            [START + 5 * MINUTE, START + 10 * MINUTE]
        );
        assert_eq!(house.runs().await.len(), 2);
        assert_eq!(house.schedule().await.next_at(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_fires_nothing_any_more() {
    let house = House::new();
    let node = house.node(1).await;
    house.save(of_ticks("*/5 * * * *")).await;

    node.drain(MINUTE).await;
    house.pass(HOUR).await;

    assert_eq!(house.runs().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_built_in_is_made_at_start_and_keeps_what_was_changed_of_it() {
    let house = House::new();
    let node = house.node(1).await;
    let built_in = |tag: &str| BuiltIn {
        name: "nightly",
        workflow: "push",
        input: Json::of(&Push::of("busybox", tag)).unwrap(),
        cron: "30 2 * * *",
        time_zone: "UTC",
        missed: Missed::Once,
    };

    node.make_built_in(vec![built_in("one")]).await.unwrap();
    node.make_built_in(vec![built_in("one")]).await.unwrap();
    let made = house.schedule().await;
    house
        .save(Schedule {
            cron: "0 4 * * *".into(),
            enabled: false,
            ..made.clone()
        })
        .await;
    node.make_built_in(vec![built_in("two")]).await.unwrap();
    let after = house.schedule().await;
    node.make_built_in(vec![]).await.unwrap();

    assert!(made.built_in && made.enabled && made.revision == 1);
    assert_eq!(
        (after.id, after.cron.as_str(), after.enabled),
        (made.id, "0 4 * * *", false)
    );
    assert_eq!(after.input, built_in("two").input);
    assert!(
        !house.schedule().await.built_in,
        "what is built in no more may be deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_built_in_schedule_does_not_take_the_name_of_one_that_somebody_made() {
    let house = House::new();
    let node = house.node(1).await;
    let own = house.save(of_ticks("0 4 * * *")).await;
    let built_in = BuiltIn {
        name: "nightly",
        workflow: "push",
        input: own.input.clone(),
        cron: "30 2 * * *",
        time_zone: "UTC",
        missed: Missed::Skip,
    };

    node.make_built_in(vec![built_in]).await.unwrap();

    assert_eq!(house.schedule().await, own);
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_before_that_is_still_open_stands_for_a_run_that_would_have_its_key() {
    let house = House::new();
    house.outside.make_wrong("forward", Wrong::Hangs);
    let node = house.node(1).await;
    let pushes = Schedule {
        workflow: "push".into(),
        input: Json::of(&Push::of("busybox", "nightly")).unwrap(),
        ..of_ticks("*/5 * * * *")
    };
    house.save(pushes).await;

    house.pass(11 * MINUTE).await;

    assert_eq!(
        house.runs().await.into_keys().collect::<Vec<_>>(),
        ["2023-11-14T22:05:00.000Z"]
    );
    let schedule = house.schedule().await;
    assert_eq!(
        (schedule.runs, schedule.handled_until),
        (2, START + 10 * MINUTE)
    );
    assert!(node.plan(schedule.last_plan.unwrap()).await.is_ok());
}

#[test]
fn what_a_run_on_time_steps_over_is_known() {
    let skips = Schedule {
        missed: Missed::Skip,
        ..of_ticks("*/5 * * * *")
    };
    let all = Schedule {
        missed: Missed::All,
        ..of_ticks("* * * * *")
    };

    let late = skips.turn(START + 30 * MINUTE + HALF).unwrap();
    let on_time = skips.turn(START + 5 * MINUTE).unwrap();
    let too_many = all.turn(START + 3 * HOUR).unwrap();

    let fire = |nominal, steps_over| {
        Some(Turn::Fire {
            nominal,
            steps_over,
        })
    };
    let first = Some(START + 5 * MINUTE);
    assert_eq!(late, fire(START + 30 * MINUTE, first));
    assert_eq!(on_time, fire(START + 5 * MINUTE, None));
    assert_eq!(too_many, fire(START + 81 * MINUTE, Some(START + MINUTE)));
}
