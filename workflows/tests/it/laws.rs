use crate::house::House;
use engine::journal::PlanId;
use engine::node::{Node, Workflows};
use engine::prove::laws::{self, World};
use engine::store::Store;
use std::sync::Arc;
use storage::Tx;
use storage::catalog::manifests::Manifest;
use storage::journal::Journal;
use workflows::Services;
use workflows::destination::Destination;

/// A house in which one image is about to be pushed, with a signature that was pushed by its digest before.
struct Wharf {
    house: House,
    to: Destination,
    image: Manifest,
}

impl World for Wharf {
    type Services = Services;
    type Store = Journal;

    async fn fresh() -> Self {
        let house = House::new().await;
        let to = house.destination("acme/tools/busybox").await;
        let image = house.image(&to, "the image").await;
        Self { house, to, image }
    }

    fn store(&self) -> Journal {
        self.house.journal()
    }

    fn services(&self) -> Arc<Services> {
        Arc::new(self.house.services.clone())
    }

    fn workflows() -> Workflows<Services> {
        workflows::all().unwrap()
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        self.house.plan(node, &self.to, "latest", &self.image).await
    }

    async fn picture(&self) -> String {
        self.house.picture(&self.to).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_fails_at_any_step_is_mended_and_ends_the_same() {
    let done = laws::fail_at_each_step::<Wharf>().await;
    println!("fail at each step of push: {done:?}");
    assert!(
        done.plans == 10 && done.faults == 8 && done.executions >= 56,
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_steps_run_twice_ends_the_same() {
    let done = laws::run_each_step_twice::<Wharf>().await;
    println!("run each step of push twice: {done:?}");
    assert!(
        done.plans == 11 && done.faults == 16 && done.executions == 11 * 8 + 16,
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_crashes_at_any_append_ends_the_same() {
    let done = laws::crash_before_and_after_each_append::<Wharf>().await;
    println!("crash before and after each append of push: {done:?}");
    assert!(
        done.faults >= 16 && done.plans == done.faults + 1 && done.executions >= done.plans * 8,
        "{done:?}"
    );
}
