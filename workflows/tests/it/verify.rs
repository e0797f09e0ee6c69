//! What is stored is read again, and damage is told.

use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use engine::journal::{PlanId, PlanResult};
use engine::node::Node;
use engine::prove::laws::World;
use engine::store::Store;
use std::path::PathBuf;
use storage::content::inventory;
use storage::{Digest, Tx};
use workflows::Services;
use workflows::verify::{ReadBlobsTold, Verify};

async fn run(node: &HouseNode) -> (PlanResult, ReadBlobsTold) {
    let id = node.submit(&Verify::default(), None).await.unwrap();
    let plan = node.wait(id, FOR_EVER).await.unwrap();
    let told = plan.output_of("read_blobs").unwrap().decode();
    (plan.result, told.unwrap())
}

/// The file that holds the bytes of this blob.
async fn file_of(house: &House, digest: &Digest) -> PathBuf {
    let mut tx = house.services.database.read().await.unwrap();
    let stored = inventory::blob(&mut tx, digest).await.unwrap().unwrap();
    let name = stored.object.as_str();
    let objects = house.folder().join("content").join("objects");
    objects.join(&name[..2]).join(&name[2..4]).join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_a_disk_has_changed_or_lost_are_told_with_the_repositories_that_need_them() {
    let house = House::new().await;
    let node = house.node(None).await;
    let busybox = house.destination("acme/tools/busybox").await;
    let alpine = house.destination("acme/alpine").await;
    house.published(&node, &busybox, "latest", "one").await;
    house.published(&node, &alpine, "latest", "one").await;
    house.published(&node, &alpine, "other", "two").await;

    let (well, whole) = run(&node).await;
    let (changed, lost) = (Digest::of(b"one"), Digest::of(b"two"));
    std::fs::write(file_of(&house, &changed).await, b"eno").unwrap();
    std::fs::remove_file(file_of(&house, &lost).await).unwrap();
    let (result, told) = run(&node).await;

    assert_eq!(well, PlanResult::Success);
    assert_eq!((whole.blobs, whole.damaged, whole.complete), (4, 0, true));
    assert_eq!(result, PlanResult::Warning);
    assert_eq!((told.blobs, told.bytes, told.damaged), (4, whole.bytes, 2));
    let of = |digest: &Digest| {
        let found = told.damaged_blobs.iter().find(|it| it.digest == *digest);
        found.unwrap_or_else(|| panic!("{told:?}"))
    };
    assert_eq!(
        of(&changed).what,
        format!("its bytes have digest {}", Digest::of(b"eno"))
    );
    assert_eq!(
        of(&changed).repositories,
        ["acme/tools/busybox", "acme/alpine"]
    );
    assert!(of(&lost).what.contains("is not there"), "{told:?}");
    assert_eq!(of(&lost).repositories, ["acme/alpine"]);
    node.drain(FOR_EVER).await;
}

/// Where some blobs lie.
struct Shelf {
    house: House,
}

impl World for Shelf {
    of_a_house!();

    async fn fresh() -> Self {
        let house = House::new().await;
        let to = house.destination("acme/tools/busybox").await;
        house.blob(&to, b"one").await;
        house.blob(&to, b"two").await;
        Self { house }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let verify = Verify::default();
        node.submit(&verify, Some("alice".into())).await.unwrap()
    }

    /// It only reads.
    async fn picture(&self) -> String {
        let mut tx = self.house.services.database.read().await.unwrap();
        let blobs = inventory::blobs(&mut tx, None, 100).await.unwrap().len();
        format!("{blobs} blobs")
    }
}

keeps! { verify: Shelf;
    a_verification_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 3 0 1 1;
    a_verification_that_fails_after_its_work_is_mended_and_ends_the_same:
        fail_after_each_step does at least 3 4 0 2 1;
    a_verification_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 3 5 0 2 0;
    a_verification_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    a_verification_that_is_cancelled_ends:
        cancel_at_each_step does at least 2 2 0 0 1;
    a_verification_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}
