use crate::house::{House, of_a_house};
use crate::keeps::keeps;
use engine::journal::PlanId;
use engine::node::Node;
use engine::prove::laws::{self, World};
use engine::store::Store;
use storage::Tx;
use storage::catalog::manifests::Manifest;
use workflows::Services;
use workflows::destination::Destination;

/// A house in which one image is about to be pushed, with a signature that was pushed by its digest before.
struct Wharf {
    house: House,
    to: Destination,
    image: Manifest,
}

impl World for Wharf {
    of_a_house!();

    /// What a version holds stays: a revert after that leaves the repository that has it.
    const POINT_OF_NO_RETURN: Option<&str> = Some("reindex");
    /// `locate_push_repository` looks for what `forward` has put there, and outputs are ids.
    const LEANS: bool = true;

    async fn fresh() -> Self {
        let house = House::new().await;
        let to = house.destination("acme/tools/busybox").await;
        let image = house.image(&to, "the image").await;
        Self { house, to, image }
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        self.house.plan(node, &self.to, "latest", &self.image).await
    }

    async fn picture(&self) -> String {
        self.house.picture(&self.to).await
    }

    async fn undone(&self) -> String {
        self.house.inventory().await
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

keeps! { push: Wharf;
    a_push_that_crashes_at_any_commit_of_several_steps_ends_the_same:
        crash_before_and_after_each_commit_of_several_steps does at least 8 20 0 6 0;
    a_push_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 17 85 0 16 8;
    a_push_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 17 100 0 40 8;
    a_push_that_is_reverted_at_any_step_leaves_no_product_and_no_repository:
        revert_at_each_step does at least 19 95 20 8 14;
    a_published_push_is_not_reverted:
        revert_when_finished does at least 3 24 0 0 0;
    a_push_whose_steps_are_undone_twice_leaves_nothing:
        undo_each_step_twice does at least 4 26 10 7 3;
    a_push_that_cannot_be_undone_goes_on_when_mended:
        fail_to_undo_each_step does at least 3 20 6 4 4;
    what_of_a_push_cannot_be_undone_is_left_when_that_is_accepted:
        accept_what_cannot_be_undone does at least 3 20 4 4 4;
    a_push_undoes_what_it_says:
        every_undoable_step_undoes_something does at least 3 20 4 4 4;
    a_push_that_crashes_at_any_append_of_its_revert_leaves_nothing:
        crash_before_and_after_each_append_while_reverting does at least 10 60 18 18 9;
    a_push_that_is_cancelled_at_any_step_ends_and_can_be_reverted:
        cancel_at_each_step does at least 10 50 8 0 14;
    a_push_that_is_aborted_at_any_step_ends_and_can_be_reverted:
        abort_at_each_step does at least 10 50 10 0 14;
    a_push_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 10 80 0 0 14;
    a_push_whose_workflow_is_held_at_any_step_ends_the_same:
        hold_the_workflow_at_each_step does at least 10 80 0 0 14;
    a_push_goes_on_without_any_of_its_steps:
        skip_each_step does at least 19 90 1 16 16;
}
