//! What was deleted goes from Pulp, too, whenever Pulp stops answering, and nothing else does.

use crate::fake_pulp::{Age, Breaks, FakePulp};
use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use engine::clock::Clock;
use engine::journal::PlanId;
use engine::node::Node;
use engine::plan::Plan;
use engine::prove::laws::World;
use engine::store::Store;
use serde_json::{Value, json};
use std::time::Duration;
use storage::catalog::instance;
use storage::{Digest, Tx, filling, garbage};
use workflows::Services;
use workflows::cleanup::Cleanup;
use workflows::destination::Destination;

const DAY: Duration = Duration::from_hours(24);

/// A house with two repositories in a Pulp that share a layer; one was deleted long ago.
struct Shed {
    house: House,
    pulp: FakePulp,
    kept: Destination,
    gone: Destination,
}

impl Shed {
    async fn new(age: Age) -> Self {
        Self::with(age, false).await
    }

    /// The same; both were deleted, if so.
    async fn with(age: Age, both: bool) -> Self {
        let mut house = House::new().await;
        house.services.clock = Clock::of_runtime(Clock::system().now() - 60 * DAY);
        let node = house.node(None).await;
        let kept = house.destination("acme/tools/busybox").await;
        let gone = house.destination("acme/tools/alpine").await;
        house.published(&node, &kept, "latest", "shared").await;
        house.published(&node, &gone, "latest", "shared").await;
        house.published(&node, &gone, "other", "of its own").await;
        for it in [&gone, &kept].into_iter().take(1 + usize::from(both)) {
            let deleted = house.delete_repository(&node, it).await.unwrap();
            node.wait(deleted, FOR_EVER).await.unwrap();
        }
        node.drain(FOR_EVER).await;
        let pulp = FakePulp::start(age).await;
        house.move_to_pulp(&pulp.url, &[&kept, &gone]).await;
        house.services.clock = Clock::system();
        let shed = Self {
            house,
            pulp,
            kept,
            gone,
        };
        let instance = shed.instance().await;
        for it in [&shed.kept, &shed.gone] {
            shed.pulp.has(it.id, &instance);
        }
        shed
    }

    async fn instance(&self) -> String {
        let mut tx = self.house.services.database.read().await.unwrap();
        instance::id(&mut tx).await.unwrap().unwrap().to_string()
    }

    /// What is in Pulp, and here.
    async fn picture(&self) -> String {
        let content = &self.house.services.content;
        let shared = content.blob(self.kept.id, &Digest::of(b"shared")).await;
        let shared = shared.unwrap().is_some();
        let mut tx = self.house.services.database.read().await.unwrap();
        let destinations = garbage::destinations::all(&mut tx, None).await.unwrap();
        format!(
            "{}{} destinations, what is shared is here: {shared}",
            self.pulp.picture(),
            destinations.found.len()
        )
    }

    async fn run(&self, dry_run: bool) -> (Plan, [Value; 3]) {
        let node = self.house.node(None).await;
        let ran = run(&node, dry_run).await;
        node.drain(FOR_EVER).await;
        ran
    }
}

/// What is left in the end.
fn cleared(shed: &Shed, kind: &str) -> String {
    let kept = shed.kept.id;
    format!(
        "distributions/container/container wharfinger-push/{kept}; distributions/container/container wharfinger/{kept}; {}1 destinations, what is shared is here: true",
        if kind == "container" {
            format!(
                "repositories/container/container wharfinger-push/{kept}; repositories/container/container wharfinger/{kept}; "
            )
        } else {
            format!(
                "repositories/container/container-push wharfinger-push/{kept}; repositories/container/container wharfinger/{kept}; "
            )
        }
    )
}

async fn run(node: &HouseNode, dry_run: bool) -> (Plan, [Value; 3]) {
    let id = node.submit(&Cleanup { dry_run }, None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let told = ["collect_deleted", "prune_versions", "collect_garbage"]
        .map(|step| plan.output_of(step).unwrap().decode().unwrap());
    (plan.as_ref().clone(), told)
}

fn warning(plan: &Plan) -> Option<&str> {
    plan.step("collect_deleted").unwrap().warning.as_deref()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_repository_goes_from_pulp_with_all_that_is_there_and_a_dry_run_says_so() {
    for (age, kind) in [(Age::Newer, "container"), (Age::Older, "container-push")] {
        let shed = Shed::new(age).await;
        let before = shed.picture().await;

        let (_, would) = shed.run(true).await;
        let between = shed.picture().await;
        let changed_by_dry = shed.pulp.changes();
        let (plan, did) = shed.run(false).await;
        let (_, again) = shed.run(false).await;

        assert_eq!(between, before);
        assert_eq!(changed_by_dry, [""; 0], "a dry run changes nothing there");
        assert_eq!(did, would);
        assert_eq!(did[0]["repositories"], 1);
        assert_eq!(did[0]["versions"], 2);
        assert_eq!(did[0]["left_in_pulp"], 0);
        assert_eq!(did[2]["blobs"], 2, "a configuration and a layer");
        assert_eq!(warning(&plan), None);
        assert_eq!(shed.picture().await, cleared(&shed, kind));
        assert_eq!(again[0]["repositories"], 0);
    }
}

/// A Pulp that ends at each request in turn, before it is asked or before it has answered; then it is started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pulp_has_broken_off_at_any_request_the_next_run_goes_on_with() {
    let mut broken = 0;
    for (age, kind) in [(Age::Newer, "container"), (Age::Older, "container-push")] {
        for breaks in [Breaks::Before, Breaks::After] {
            for answered in 0.. {
                let shed = Shed::new(age).await;
                shed.pulp.answer_only(answered, breaks);
                let (plan, first) = shed.run(false).await;
                if shed.pulp.asked() <= answered {
                    assert_eq!(first[0]["repositories"], 1);
                    break;
                }
                let place = format!("{age:?}, {breaks:?} {answered}");
                assert_eq!(first[0]["repositories"], 0, "{place}");
                assert_eq!(first[0]["left_in_pulp"], 1, "{place}");
                let told = warning(&plan).unwrap();
                assert!(told.contains("the next run tries again"), "{place}: {told}");
                let (_, would) = shed.run(true).await;
                assert_eq!(
                    would[0]["left_in_pulp"], 1,
                    "{place}: nor would another run now"
                );

                shed.pulp.answer();
                let (_, would) = shed.run(true).await;
                let (plan, second) = shed.run(false).await;

                assert_eq!(second, would, "{place}");
                assert_eq!(second[0]["repositories"], 1, "{place}");
                assert_eq!(second[0]["left_in_pulp"], 0, "{place}");
                assert_eq!(warning(&plan), None, "{place}");
                assert_eq!(shed.picture().await, cleared(&shed, kind), "{place}");
                broken += 1;
            }
        }
    }
    println!("broken off at {broken} requests");
    assert!(broken >= 40, "{broken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_other_labels_is_not_touched_and_stays_with_a_warning() {
    let shed = Shed::new(Age::Newer).await;
    let name = format!("wharfinger/{}", shed.gone.id);
    let others =
        json!({"wharfinger": "somebody else", "wharfinger_repository": shed.gone.id.to_string()});
    shed.pulp.change(&name, "pulp_labels", &others);
    let before = shed.picture().await;

    let (_, would) = shed.run(true).await;
    let (plan, did) = shed.run(false).await;

    assert_eq!(did, would);
    assert_eq!(did[0]["left_in_pulp"], 1);
    assert!(warning(&plan).unwrap().contains("is not of this registry"));
    assert_eq!(shed.pulp.changes(), [""; 0]);
    assert_eq!(shed.picture().await, before);
}

/// Pulp deletes a repository with its distribution.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_somebody_has_put_behind_a_distribution_of_ours_is_kept() {
    let shed = Shed::new(Age::Newer).await;
    let theirs = shed.pulp.has_repository("somebody/elses");
    for name in ["wharfinger", "wharfinger-push"] {
        let name = format!("{name}/{}", shed.gone.id);
        shed.pulp.change(&name, "repository", &json!(theirs));
    }

    let (_, did) = shed.run(false).await;

    assert_eq!(did[0]["left_in_pulp"], 0);
    let left = shed.pulp.picture();
    assert!(
        left.contains("repositories/container/container somebody/elses"),
        "{left}"
    );
    assert!(!left.contains(&format!("/{};", shed.gone.id)), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_stays_in_pulp_while_another_one_counts_on_a_blob_of_it() {
    let shed = Shed::new(Age::Newer).await;
    let content = &shed.house.services.content;
    let layer = Digest::of(b"of its own");
    let third = shed.house.destination("acme/tools/fedora").await;
    let at = shed.house.services.clock.now();
    let mounted = content.mount(shed.gone.id, third.id, layer, at).await;
    assert!(mounted.unwrap());

    let (_, would) = shed.run(true).await;
    let (plan, did) = shed.run(false).await;
    let is_here = content.blob(third.id, &layer).await.unwrap();
    let asked = shed.pulp.changes();
    shed.house
        .write(move |tx| Box::pin(async move { filling::in_pulp(tx, third.id, at).await }))
        .await;
    let (_, would_then) = shed.run(true).await;
    let (_, then) = shed.run(false).await;

    assert_eq!(did, would);
    assert_eq!(
        (&did[0]["repositories"], &did[0]["left_in_pulp"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(warning(&plan), None, "nothing is wrong");
    assert!(is_here.is_some(), "who was told of it finds it");
    assert_eq!(asked, [""; 0]);
    assert_eq!(then, would_then);
    assert_eq!(
        (&then[0]["repositories"], &then[0]["left_in_pulp"]),
        (&json!(1), &json!(0))
    );
    assert!(content.blob(third.id, &layer).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_repositories_that_share_a_layer_go_together() {
    let shed = Shed::with(Age::Newer, true).await;

    let (_, would) = shed.run(true).await;
    let (_, did) = shed.run(false).await;

    assert_eq!(did, would);
    assert_eq!(did[0]["repositories"], 2);
    assert_eq!(did[0]["left_in_pulp"], 0);
    assert_eq!(did[2]["blobs"], 4, "all of both");
    assert_eq!(shed.pulp.picture(), "");
}

impl World for Shed {
    of_a_house!();

    /// What is deleted stays so.
    const POINT_OF_NO_RETURN: Option<&str> = Some("delete_tasks");
    const TRIED: usize = 8;

    async fn fresh() -> Self {
        Self::new(Age::Newer).await
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let cleanup = Cleanup { dry_run: false };
        node.submit(&cleanup, Some("alice".into())).await.unwrap()
    }

    async fn picture(&self) -> String {
        Self::picture(self).await
    }

    /// No revert brings back what was deleted.
    async fn undone(&self) -> String {
        String::new()
    }
}

keeps! { cleanup: Shed;
    a_cleanup_in_pulp_that_fails_after_the_work_of_any_step_goes_on_and_ends_the_same:
        fail_after_each_step does at least 13 70 0 12 6;
    a_cleanup_in_pulp_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 7 40 0 6 0;
    a_cleanup_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 7 40 0 6 0;
    a_cleanup_in_pulp_that_is_cancelled_at_any_step_ends:
        cancel_at_each_step does at least 7 10 0 0 6;
}
