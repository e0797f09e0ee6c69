//! What happens to an image after its push keeps the laws of all workflows, too.

use crate::house::{FOR_EVER, House, of_a_house};
use crate::keeps::keeps;
use engine::journal::PlanId;
use engine::node::Node;
use engine::prove::laws::World;
use engine::store::Store;
use std::ops::Deref;
use storage::Tx;
use storage::catalog::environments::Environment;
use storage::catalog::{RepositoryId, publications, repository_names, tombstones};
use workflows::Services;
use workflows::delete_image::Image;
use workflows::destination::Destination;

/// A repository with three versions, of which the environment after Library publishes the second.
pub(crate) struct Shelf {
    pub(crate) house: House,
    pub(crate) of: Destination,
    pub(crate) library: Environment,
    pub(crate) dev: Environment,
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        let house = House::new().await;
        let node = house.node(None).await;
        let of = house.destination("acme/tools/busybox").await;
        house.published(&node, &of, "one", "first").await;
        house.published(&node, &of, "two", "second").await;
        house.published(&node, &of, "one", "third").await;
        let library = house.library(&of).await;
        let dev = house.environment("dev", &library).await;
        let promoted = house.promote(&node, &of, 2, &dev).await.unwrap();
        node.wait(promoted, FOR_EVER).await.unwrap();
        node.drain(FOR_EVER).await;
        Self {
            house,
            of,
            library,
            dev,
        }
    }

    /// Versions, what is published where, and by which names.
    pub(crate) async fn picture(&self) -> String {
        let versions = self.house.picture(&self.of).await;
        let repository = RepositoryId::from(self.of.id);
        let mut tx = self.house.services.database.read().await.unwrap();
        let shown = publications::everywhere(&mut tx, repository).await.unwrap();
        let shown: Vec<_> = shown
            .iter()
            .map(|it| (it.environment, it.version, &it.by))
            .collect();
        let names = repository_names::published(&mut tx, repository).await;
        format!("{versions}{shown:?} {:?}", names.unwrap())
    }
}

/// A repository with three versions that is about to be deleted.
struct OfDeletion(Shelf);

impl Deref for OfDeletion {
    type Target = Shelf;

    fn deref(&self) -> &Shelf {
        &self.0
    }
}

impl World for OfDeletion {
    of_a_house!();

    async fn fresh() -> Self {
        Self(Shelf::new().await)
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let deleted = self.house.delete_repository(node, &self.of).await;
        deleted.unwrap()
    }

    /// What is there to see, and what its name leads to.
    async fn picture(&self) -> String {
        let there = self.house.destination_of("acme/tools/busybox").await;
        let picture = self.0.picture().await;
        let inventory = self.house.inventory().await;
        let mut tx = self.house.services.database.read().await.unwrap();
        let deleted = tombstones::of(&mut tx, self.of.id).await.unwrap();
        let is_there = there == Some(self.of.id);
        format!("{picture} {inventory} {is_there} {deleted:?}")
    }
}

/// Worlds that stand on a [`Shelf`] and differ in what is done there.
macro_rules! on_a_shelf {
    ($(#[$doc:meta])* $world:ident, $beyond:literal, |$shelf:ident, $node:ident| $submit:expr) => {
        $(#[$doc])*
        struct $world(Shelf);

        impl Deref for $world {
            type Target = Shelf;

            fn deref(&self) -> &Shelf {
                &self.0
            }
        }

        impl World for $world {
            of_a_house!();

            /// What a version holds, and what is published, stays.
            const POINT_OF_NO_RETURN: Option<&str> = Some($beyond);
            const LEANS: bool = true;

            async fn fresh() -> Self {
                Self(Shelf::new().await)
            }

            async fn submit<St: Store<Tx = Tx>>(&self, $node: &Node<Services, St>) -> PlanId {
                let $shelf = &self.0;
                $submit.await.unwrap()
            }

            async fn picture(&self) -> String {
                self.0.picture().await
            }

            async fn undone(&self) -> String {
                String::new()
            }
        }
    };
}

on_a_shelf!(
    /// Where a tag is about to be deleted.
    OfDelete, "remove",
    |shelf, node| shelf.house.delete(node, &shelf.of, Image::Tag("one".parse().unwrap()))
);
on_a_shelf!(
    /// Where Library is about to be rolled back.
    OfRollback, "restore",
    |shelf, node| shelf.house.roll_back(node, &shelf.of, &shelf.library, 1)
);
on_a_shelf!(
    /// Where another environment is about to be rolled back.
    OfRollbackElsewhere, "distribute",
    |shelf, node| shelf.house.roll_back(node, &shelf.of, &shelf.dev, 1)
);
on_a_shelf!(
    /// Where a version is about to be promoted.
    OfPromotion, "distribute",
    |shelf, node| shelf.house.promote(node, &shelf.of, 3, &shelf.dev)
);

on_a_shelf!(
    /// Where names are about to be changed.
    OfNaming, "rename",
    |shelf, node| shelf.house.rename(node, &shelf.library)
);

keeps! { change_naming: OfNaming;
    a_change_of_names_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    a_change_of_names_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 2 3 0 2 0;
    a_change_of_names_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    a_change_of_names_that_is_cancelled_ends:
        cancel_at_each_step does at least 2 1 0 0 1;
}

keeps! { delete_image: OfDelete;
    a_delete_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_delete_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 5 10 0 4 2;
    a_delete_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 5 14 0 8 2;
    a_delete_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 4 0;
    a_delete_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
    a_delete_that_is_cancelled_at_any_step_ends:
        cancel_at_each_step does at least 3 4 0 0 2;
    a_delete_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 3 5 0 0 2;
}

keeps! { rollback: OfRollback;
    a_rollback_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_rollback_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 5 10 0 4 2;
    a_rollback_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 5 14 0 8 2;
    a_rollback_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 4 0;
    a_rollback_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
    a_rollback_that_is_cancelled_at_any_step_ends:
        cancel_at_each_step does at least 3 4 0 0 2;
    a_rollback_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 3 5 0 0 2;
}

keeps! { rollback_elsewhere: OfRollbackElsewhere;
    a_rollback_elsewhere_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_rollback_elsewhere_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 4 0;
    a_rollback_elsewhere_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
}

keeps! { promote: OfPromotion;
    a_promotion_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    a_promotion_that_fails_after_its_work_is_mended_and_ends_the_same:
        fail_after_each_step does at least 3 3 0 2 1;
    a_promotion_that_is_timed_out_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 3 5 0 4 1;
    a_promotion_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 2 3 0 2 0;
    a_promotion_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
    a_promotion_that_is_cancelled_ends:
        cancel_at_each_step does at least 2 1 0 0 1;
    a_promotion_that_is_held_ends_the_same:
        hold_at_each_step does at least 2 2 0 0 1;
}

keeps! { delete_repository: OfDeletion;
    a_deletion_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 5 20 0 3 3;
    a_deletion_that_fails_after_the_work_of_any_step_is_mended_and_ends_the_same:
        fail_after_each_step does at least 9 36 0 8 3;
    a_deletion_that_is_timed_out_at_any_step_is_mended_and_ends_the_same:
        time_out_at_each_step does at least 9 40 0 16 3;
    a_deletion_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 5 20 0 8 0;
    a_deletion_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 9 36 0 8 0;
    a_deletion_that_is_reverted_at_any_step_leaves_everything_as_it_was:
        revert_at_each_step does at least 5 10 10 3 6;
    a_finished_deletion_that_is_reverted_leaves_everything_as_it_was:
        revert_when_finished does at least 2 8 4 0 1;
    a_deletion_whose_steps_are_undone_twice_leaves_everything_as_it_was:
        undo_each_step_twice does at least 4 16 16 4 4;
    a_deletion_that_cannot_be_undone_goes_on_when_mended:
        fail_to_undo_each_step does at least 4 16 12 4 4;
    a_deletion_undoes_what_it_says:
        every_undoable_step_undoes_something does at least 4 16 4 4 4;
    a_deletion_that_crashes_at_any_append_of_its_revert_leaves_everything_as_it_was:
        crash_before_and_after_each_append_while_reverting does at least 8 30 24 8 8;
    a_deletion_that_is_cancelled_at_any_step_ends_and_can_be_reverted:
        cancel_at_each_step does at least 5 10 5 0 8;
    a_deletion_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 6 24 0 0 7;
}
