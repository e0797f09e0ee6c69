//! What happens to an image after its push keeps the laws of all workflows where the content lies in a Pulp, too.
//!
//! Until something is collected, all of it is the catalog's: Pulp is not asked.

use crate::fake_pulp::{Age, FakePulp};
use crate::keeps::keeps;
use crate::laws_after_a_push::Shelf;
use engine::journal::PlanId;
use engine::node::{Node, Workflows};
use engine::prove::laws::World;
use engine::store::Store;
use serde_json::json;
use std::sync::Arc;
use storage::Tx;
use storage::catalog::products::{self, ProductChanges};
use storage::catalog::{instance, tombstones};
use storage::journal::Journal;
use storage::retention::Retention;
use workflows::apply_retention::ApplyRetention;
use workflows::delete_image::Image;
use workflows::{Backend, Services};

/// A repository with three versions in a Pulp, of which the environment after Library publishes the second.
struct ShelfInPulp {
    shelf: Shelf,
    pulp: FakePulp,
    /// How many requests Pulp was sent before the world began.
    asked: usize,
}

impl ShelfInPulp {
    async fn new() -> Self {
        let mut shelf = Shelf::new().await;
        keep_the_newest_tag(&shelf).await;
        let pulp = FakePulp::start(Age::Newer).await;
        let of = shelf.of.clone();
        shelf.house.move_to_pulp(&pulp.url, &[&of]).await;
        let instance = {
            let mut tx = shelf.house.services.database.read().await.unwrap();
            instance::id(&mut tx).await.unwrap().unwrap().to_string()
        };
        pulp.has(of.id, &instance);
        let asked = pulp.asked();
        Self { shelf, pulp, asked }
    }

    /// What is there to see, here and in Pulp, and what its name leads to.
    async fn picture(&self) -> String {
        let (house, of) = (&self.shelf.house, &self.shelf.of);
        let there = house.destination_of("acme/tools/busybox").await;
        let picture = self.shelf.picture().await;
        let inventory = house.inventory().await;
        let mut tx = house.services.database.read().await.unwrap();
        let deleted = tombstones::of(&mut tx, of.id).await.unwrap();
        let asked = self.pulp.asked() - self.asked;
        format!(
            "{picture} {inventory} {} {deleted:?} {} {asked}",
            there == Some(of.id),
            self.pulp.picture()
        )
    }
}

/// Gives the product a rule of retention.
async fn keep_the_newest_tag(shelf: &Shelf) {
    let rules = json!({"tags": [{"matching": ["*"], "keep_newest": 1}]});
    let rules: Retention = serde_json::from_value(rules).unwrap();
    let (organization, label) = (shelf.of.organization, shelf.of.product_label.clone());
    let changes = ProductChanges {
        retention: Some(Some(rules)),
        ..ProductChanges::default()
    };
    let write = shelf.house.write(move |tx| {
        Box::pin(async move {
            let product = products::find(tx, organization, &label).await?.unwrap();
            products::update(tx, product.id, &changes).await
        })
    });
    write.await;
}

/// Worlds on such a shelf that differ in what is done there, and in what of that a revert takes back.
macro_rules! in_pulp {
    ($(#[$doc:meta])* $world:ident, $beyond:expr, |$shelf:ident, $node:ident| $submit:expr) => {
        $(#[$doc])*
        struct $world(ShelfInPulp);

        impl World for $world {
            type Services = Services;
            type Store = Journal;

            const POINT_OF_NO_RETURN: Option<&str> = $beyond;
            const LEANS: bool = true;

            async fn fresh() -> Self {
                Self(ShelfInPulp::new().await)
            }

            fn store(&self) -> Journal {
                self.0.shelf.house.journal()
            }

            fn services(&self) -> Arc<Services> {
                Arc::new(self.0.shelf.house.services.clone())
            }

            fn workflows() -> Workflows<Services> {
                workflows::all(Backend::Pulp).unwrap()
            }

            async fn submit<St: Store<Tx = Tx>>(&self, $node: &Node<Services, St>) -> PlanId {
                let $shelf = &self.0.shelf;
                $submit.await.unwrap()
            }

            async fn picture(&self) -> String {
                self.0.picture().await
            }

            async fn undone(&self) -> String {
                match Self::POINT_OF_NO_RETURN {
                    Some(_) => String::new(),
                    None => self.0.picture().await,
                }
            }
        }
    };
}

in_pulp!(
    /// Where a tag is about to be deleted.
    OfDelete, Some("remove"),
    |shelf, node| shelf.house.delete(node, &shelf.of, Image::Tag("one".parse().unwrap()))
);
in_pulp!(
    /// Where Library is about to be rolled back.
    OfRollback, Some("restore"),
    |shelf, node| shelf.house.roll_back(node, &shelf.of, &shelf.library, 1)
);
in_pulp!(
    /// Where rules of retention are about to be applied.
    OfRetention, Some("remove"),
    |shelf, node| {
        let apply = ApplyRetention {
            repository: shelf.of.clone(),
            by: "alice".into(),
        };
        async move { node.submit(&apply, Some("alice".into())).await }
    }
);
in_pulp!(
    /// Where names are about to be changed.
    OfNaming, Some("rename"),
    |shelf, node| shelf.house.rename(node, &shelf.library)
);
in_pulp!(
    /// Where a version is about to be promoted.
    OfPromotion, Some("distribute"),
    |shelf, node| shelf.house.promote(node, &shelf.of, 3, &shelf.dev)
);
in_pulp!(
    /// Where the repository is about to be deleted.
    OfDeletion, None,
    |shelf, node| shelf.house.delete_repository(node, &shelf.of)
);
in_pulp!(
    /// Where the product is about to be deleted.
    OfProduct, None,
    |shelf, node| async {
        let delete = shelf.house.product_delete("tools").await;
        shelf.house.delete_all_of(node, &delete).await
    }
);

keeps! { delete_image_in_pulp: OfDelete;
    a_delete_in_pulp_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_delete_in_pulp_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 4 0;
    a_delete_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
}

keeps! { rollback_in_pulp: OfRollback;
    a_rollback_in_pulp_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 3 6 0 2 2;
    a_rollback_in_pulp_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 3 8 0 4 0;
    a_rollback_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 5 10 0 4 0;
}

keeps! { retention_in_pulp: OfRetention;
    a_retention_in_pulp_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    a_retention_in_pulp_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 2 3 0 2 0;
    a_retention_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
}

keeps! { change_naming_in_pulp: OfNaming;
    a_change_of_names_in_pulp_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    a_change_of_names_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
}

keeps! { promote_in_pulp: OfPromotion;
    a_promotion_in_pulp_that_fails_is_mended_and_ends_the_same:
        fail_at_each_step does at least 2 2 0 1 1;
    a_promotion_in_pulp_that_runs_twice_ends_the_same:
        run_each_step_twice does at least 2 3 0 2 0;
    a_promotion_in_pulp_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 3 3 0 2 0;
}

keeps! { delete_repository_in_pulp: OfDeletion;
    a_deletion_in_pulp_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 5 20 0 3 3;
    a_deletion_in_pulp_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 5 20 0 8 0;
    a_deletion_in_pulp_that_is_reverted_at_any_step_leaves_everything_as_it_was:
        revert_at_each_step does at least 5 10 10 3 6;
    a_finished_deletion_in_pulp_that_is_reverted_leaves_everything_as_it_was:
        revert_when_finished does at least 2 8 4 0 1;
    a_deletion_in_pulp_that_crashes_at_any_append_of_its_revert_leaves_everything_as_it_was:
        crash_before_and_after_each_append_while_reverting does at least 8 30 24 8 8;
}

keeps! { delete_product_in_pulp: OfProduct;
    a_delete_of_a_product_in_pulp_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 4 20 0 2 2;
    a_delete_of_a_product_in_pulp_that_is_reverted_at_any_step_leaves_everything_as_it_was:
        revert_at_each_step does at least 5 20 10 2 4;
    a_finished_delete_of_a_product_in_pulp_that_is_reverted_leaves_everything_as_it_was:
        revert_when_finished does at least 2 16 5 0 1;
    a_delete_of_a_product_in_pulp_that_crashes_at_any_append_of_its_revert_leaves_everything_as_it_was:
        crash_before_and_after_each_append_while_reverting does at least 20 100 80 20 20;
}
