//! What happens to an image after its push: it is deleted, rolled back, promoted.

use crate::house::{FOR_EVER, House, HouseNode, OCI_IMAGE};
use bytes::Bytes;
use engine::journal::{Message, PlanId, PlanResult, Reason};
use engine::node::{Drill, Effect, Node};
use engine::plan::Plan;
use engine::state::PlanState;
use engine::step::BoxFuture;
use engine::store::Store;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use storage::catalog::audit::{Action, NewEntry, Outcome};
use storage::catalog::environments::{self, Environment, NewEnvironment};
use storage::catalog::manifests::Manifest;
use storage::catalog::versions::{self, Cause};
use storage::catalog::{
    DestinationId, EnvironmentId, RepositoryId, products, publications, pushed, repository_names,
    tombstones,
};
use storage::catalog::{destinations, repositories};
use storage::content::blobs;
use storage::{Digest, Label, TagGlob, Tx};
use workflows::Services;
use workflows::delete_image::{self, DeleteError, DeleteImage, Image};
use workflows::delete_repository::{self, DeleteRepository, InTheWay};
use workflows::destination::{self, Destination};
use workflows::promote::{self, Promote, PromoteError};
use workflows::push::PushError;
use workflows::rollback::{self, Rollback, RollbackError};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn audited(action: Action) -> NewEntry {
    NewEntry {
        actor: "alice".into(),
        action,
        subject: "something".into(),
        from: None,
        result: Outcome::Done,
        task: None,
        reason: None,
    }
}

impl House {
    pub(crate) async fn delete<St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        from: &Destination,
        image: Image,
    ) -> Result<PlanId, DeleteError> {
        let delete = DeleteImage {
            user: self.user.id,
            login: self.user.login.clone(),
            from: from.clone(),
            image,
        };
        delete_image::submit(node, delete, audited(Action::Delete)).await
    }

    pub(crate) async fn roll_back<St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        of: &Destination,
        environment: &Environment,
        version: i64,
    ) -> Result<PlanId, RollbackError> {
        let rollback = Rollback {
            user: self.user.id,
            login: self.user.login.clone(),
            of: of.clone(),
            environment: environment.id,
            environment_label: environment.label.clone(),
            library: environment.prior.is_none(),
            version,
        };
        rollback::submit(node, rollback, audited(Action::Rollback)).await
    }

    pub(crate) async fn promote<St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        of: &Destination,
        version: i64,
        to: &Environment,
    ) -> Result<PlanId, PromoteError> {
        let promote = Promote {
            user: self.user.id,
            login: self.user.login.clone(),
            of: of.clone(),
            version,
            to_environment: to.id,
            to_environment_label: to.label.clone(),
        };
        promote::submit(node, promote, audited(Action::Promote)).await
    }

    pub(crate) async fn delete_repository<St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        repository: &Destination,
    ) -> Result<PlanId, delete_repository::DeleteError> {
        let delete = DeleteRepository {
            user: self.user.id,
            login: self.user.login.clone(),
            repository: repository.clone(),
        };
        delete_repository::submit(node, delete, audited(Action::Delete)).await
    }

    /// The destination that pushes by this name go to.
    pub(crate) async fn destination_of(&self, name: &str) -> Option<DestinationId> {
        let mut tx = self.services.database.read().await.unwrap();
        let found = destination::resolve(&mut tx, &name.parse().unwrap()).await;
        found.unwrap().destination.map(|found| found.id)
    }

    pub(crate) async fn library(&self, of: &Destination) -> Environment {
        let mut tx = self.services.database.read().await.unwrap();
        environments::library(&mut tx, of.organization)
            .await
            .unwrap()
    }

    pub(crate) async fn environment(&self, label: &str, after: &Environment) -> Environment {
        let new = NewEnvironment {
            label: Label::parse(label).unwrap(),
            name: label.into(),
            prior: after.id,
            registry_name_pattern: None,
            anonymous_pull: false,
        };
        let (organization, at) = (after.organization, self.services.clock.now());
        self.write(move |tx| {
            Box::pin(async move { environments::create(tx, organization, &new, at).await })
        })
        .await
    }

    /// Lets the collector take what was deleted of it; answers how many parts that were.
    async fn destinations_being_collected(&self, of: &Destination) -> u64 {
        let id = of.id;
        let late = self.services.clock.now() + Duration::from_hours(24 * 365);
        self.write(move |tx| Box::pin(async move { tombstones::collect(tx, id, late).await }))
            .await
    }

    /// Pushes an image and waits until it is published.
    pub(crate) async fn published(
        &self,
        node: &HouseNode,
        to: &Destination,
        tag: &str,
        text: &str,
    ) -> Digest {
        let image = self.image(to, text).await;
        let plan = self.plan(node, to, tag, &image).await;
        must_succeed(node, plan).await;
        image.digest
    }

    /// Lets the product of the repository keep tags of this form as they are.
    pub(crate) async fn keep_tags(&self, of: &Destination, rule: &str) {
        let (organization, rule): (_, TagGlob) = (of.organization, rule.parse().unwrap());
        let label = of.product_label.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let product = products::find(tx, organization, &label).await?.unwrap();
                let changes = products::ProductChanges {
                    immutable_tags: Some(vec![rule]),
                    ..products::ProductChanges::default()
                };
                products::update(tx, product.id, &changes).await
            })
        })
        .await;
    }

    /// An index of these manifests, which were pushed before.
    pub(crate) fn index(children: &[Digest]) -> Manifest {
        let children: Vec<_> = children
            .iter()
            .map(|digest| json!({"mediaType": OCI_IMAGE, "digest": digest, "size": 1}))
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
        let bytes = Bytes::from(index.to_string());
        Manifest::read(Digest::of(&bytes), OCI_INDEX, bytes).unwrap()
    }

    /// Gives Library so many more repositories beside this one, each with a version that was published.
    pub(crate) async fn many_published(&self, beside: &Destination, how_many: usize) {
        let (of, at) = (beside.clone(), self.services.clock.now());
        self.write(move |tx| {
            Box::pin(async move {
                let library = environments::library(tx, of.organization).await?;
                let product = products::find(tx, of.organization, &of.product_label).await?;
                let product = product.unwrap();
                for n in 0..how_many {
                    let label = Label::parse(&of.product_label).unwrap();
                    let name = format!("beside-{n}");
                    let to = destinations::make(tx, of.organization, &label, &name, at).await?;
                    let made = repositories::create(tx, &to, product.id, at).await?;
                    let plan = PlanId(uuid::Uuid::from_u128(n as u128));
                    let changes = versions::Changes::default();
                    let cause = Cause::Push;
                    versions::record(tx, made.id, plan, 1, cause, &changes, at).await?;
                    let by = "alice";
                    publications::publish(tx, library.id, made.id, 1, plan, by, at).await?;
                }
                Ok(())
            })
        })
        .await;
    }

    /// What the environment publishes of it, and by which names.
    async fn shown_in(&self, environment: EnvironmentId, of: &Destination) -> Option<i64> {
        let mut tx = self.services.database.read().await.unwrap();
        let shown = publications::of(&mut tx, environment, RepositoryId::from(of.id));
        shown.await.unwrap().map(|shown| shown.version)
    }

    pub(crate) async fn is_pullable(&self, from: &Destination, digest: &Digest) -> bool {
        let mut tx = self.services.database.read().await.unwrap();
        pushed::contains(&mut tx, from.id, digest).await.unwrap()
    }

    pub(crate) async fn newest(&self, of: &Destination) -> versions::Version {
        let mut tx = self.services.database.read().await.unwrap();
        let newest = versions::latest(&mut tx, RepositoryId::from(of.id));
        newest.await.unwrap().unwrap()
    }
}

pub(crate) async fn must_succeed(node: &HouseNode, plan: PlanId) {
    let done = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(done.result, PlanResult::Success, "{done:?}");
}

fn tag(text: &str) -> Image {
    Image::Tag(text.parse().unwrap())
}

#[tokio::test]
async fn a_deleted_tag_is_gone_and_its_manifest_stays() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let one = house.published(&node, &to, "one", "first").await;
    let two = house.published(&node, &to, "two", "second").await;

    let plan = house.delete(&node, &to, tag("one")).await.unwrap();
    must_succeed(&node, plan).await;

    assert_eq!(house.pulled(&to, "one").await, None);
    assert_eq!(house.pulled(&to, "two").await, Some(two));
    assert!(house.is_pullable(&to, &one).await);
    let newest = house.newest(&to).await;
    assert_eq!((newest.number, newest.cause), (3, Cause::Delete));
    let absent = house.delete(&node, &to, tag("one")).await.unwrap_err();
    assert!(matches!(absent, DeleteError::Absent { .. }), "{absent}");
    let task = node.task(plan).await.unwrap();
    assert_eq!(task.headline, "Delete of acme/tools/busybox:one is done");
}

#[tokio::test]
async fn a_deleted_manifest_goes_with_all_its_tags_and_a_rollback_brings_all_of_it_back() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let one = house.published(&node, &to, "one", "first").await;
    house.published(&node, &to, "also-one", "first").await;
    house.published(&node, &to, "two", "second").await;
    let library = house.library(&to).await;

    let deleted = house.delete(&node, &to, Image::Digest(one)).await.unwrap();
    must_succeed(&node, deleted).await;

    for gone in ["one", "also-one"] {
        assert_eq!(house.pulled(&to, gone).await, None, "{gone}");
    }
    assert!(house.pulled(&to, "two").await.is_some());
    assert!(!house.is_pullable(&to, &one).await);

    let back = house.roll_back(&node, &to, &library, 3).await.unwrap();
    must_succeed(&node, back).await;

    for there in ["one", "also-one"] {
        assert_eq!(house.pulled(&to, there).await, Some(one), "{there}");
    }
    assert!(house.is_pullable(&to, &one).await);
    let newest = house.newest(&to).await;
    assert_eq!((newest.number, newest.cause), (5, Cause::Rollback));
}

#[tokio::test]
async fn what_was_deleted_is_there_again_once_it_is_pushed_again() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let one = house.published(&node, &to, "one", "first").await;
    let deleted = house.delete(&node, &to, Image::Digest(one)).await.unwrap();
    must_succeed(&node, deleted).await;

    let again = house.published(&node, &to, "one", "first").await;

    assert_eq!(again, one);
    assert_eq!(house.pulled(&to, "one").await, Some(one));
    assert!(house.is_pullable(&to, &one).await);
}

/// Lets deletes of images fail before they are published, as long as it is armed.
struct FailsAtDistribute(std::sync::atomic::AtomicBool);

impl Drill for FailsAtDistribute {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let fails = plan.workflow() == "delete_image" && step == "distribute";
        let fails = fails && self.0.load(std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move { fails.then_some(Effect::Fail) })
    }
}

#[tokio::test]
async fn what_was_pushed_again_while_its_delete_stood_still_is_not_deleted_when_that_goes_on() {
    let house = House::new().await;
    let fails = Arc::new(FailsAtDistribute(true.into()));
    let node = house.node(Some(fails.clone())).await;
    let to = house.destination("acme/tools/busybox").await;
    let one = house.published(&node, &to, "one", "first").await;
    let deleted = house.delete(&node, &to, Image::Digest(one)).await.unwrap();
    let paused = node.wait(deleted, FOR_EVER).await.unwrap();
    assert_eq!(paused.state, PlanState::Paused);

    let again = house.published(&node, &to, "again", "first").await;
    fails.0.store(false, std::sync::atomic::Ordering::SeqCst);
    let message = Message {
        action: engine::journal::Action::Resume,
        by: "alice".into(),
        reason: None,
    };
    node.act(deleted, message).await.unwrap();
    must_succeed(&node, deleted).await;

    assert_eq!(again, one);
    assert_eq!(house.pulled(&to, "again").await, Some(one));
    assert!(house.is_pullable(&to, &one).await);
}

#[tokio::test]
async fn an_index_whose_child_was_deleted_cannot_be_pushed() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let child = house.published(&node, &to, "child", "first").await;
    let deleted = house
        .delete(&node, &to, Image::Digest(child))
        .await
        .unwrap();
    must_succeed(&node, deleted).await;

    let mut tx = house.services.database.read().await.unwrap();
    let missing = pushed::first_missing(&mut tx, to.id, &[child]).await;

    assert_eq!(missing.unwrap(), Some(child));
}

#[tokio::test]
async fn a_rollback_in_library_makes_a_version_equal_to_the_old_one() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let first = house.published(&node, &to, "latest", "first").await;
    house.published(&node, &to, "other", "other").await;
    house.published(&node, &to, "latest", "second").await;
    let library = house.library(&to).await;
    let contents = async |number: i64| {
        let mut tx = house.services.database.read().await.unwrap();
        let repository = RepositoryId::from(to.id);
        let tags = versions::tags(&mut tx, repository, number, None, 100);
        let tags = tags.await.unwrap();
        let manifests = versions::manifests(&mut tx, repository, number);
        (tags, manifests.await.unwrap())
    };

    let back = house.roll_back(&node, &to, &library, 1).await.unwrap();
    must_succeed(&node, back).await;

    assert_eq!(house.pulled(&to, "latest").await, Some(first));
    assert_eq!(house.pulled(&to, "other").await, None);
    assert_eq!(contents(4).await, contents(1).await);
    assert_eq!(house.shown_in(library.id, &to).await, Some(4));
    for (version, said) in [
        (9, "acme/tools/busybox has no version 9"),
        (4, "version 4 is none"),
    ] {
        let refused = house.roll_back(&node, &to, &library, version).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    // What is pushed next stands on what is published.
    let third = house.published(&node, &to, "third", "third").await;
    assert_eq!(house.pulled(&to, "latest").await, Some(first));
    assert_eq!(house.pulled(&to, "third").await, Some(third));
    assert_eq!(house.pulled(&to, "other").await, None);
}

#[tokio::test]
async fn a_version_is_promoted_step_by_step_along_its_path_and_rolled_back_there() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    house.published(&node, &to, "latest", "second").await;
    let library = house.library(&to).await;
    let dev = house.environment("dev", &library).await;
    let prod = house.environment("prod", &dev).await;

    let early = house.promote(&node, &to, 1, &prod).await.unwrap_err();
    let into_library = house.promote(&node, &to, 1, &library).await.unwrap_err();
    for version in [1, 2] {
        for environment in [&dev, &prod] {
            let plan = house.promote(&node, &to, version, environment).await;
            must_succeed(&node, plan.unwrap()).await;
        }
    }
    let too_old = house.promote(&node, &to, 1, &prod).await.unwrap_err();

    assert!(
        early
            .to_string()
            .contains("dev, which comes before it, does not publish"),
        "{early}"
    );
    assert!(matches!(into_library, PromoteError::Library { .. }));
    assert!(too_old.to_string().contains("but version 2"), "{too_old}");
    for environment in [&dev, &prod] {
        assert_eq!(house.shown_in(environment.id, &to).await, Some(2));
    }
    let names = async || {
        let mut tx = house.services.database.read().await.unwrap();
        let names = repository_names::published(&mut tx, RepositoryId::from(to.id));
        names.await.unwrap()
    };
    assert_eq!(
        names().await,
        [
            (dev.id, "acme/dev/tools/busybox".to_owned()),
            (prod.id, "acme/prod/tools/busybox".to_owned())
        ]
    );

    let back = house.roll_back(&node, &to, &prod, 1).await.unwrap();
    must_succeed(&node, back).await;

    assert_eq!(house.shown_in(prod.id, &to).await, Some(1));
    assert_eq!(house.shown_in(dev.id, &to).await, Some(2));
    assert_eq!(house.newest(&to).await.number, 2, "no version was made");
}

#[tokio::test]
async fn a_paused_push_of_what_is_deleted_or_rolled_back_does_not_bring_it_back() {
    let house = House::new().await;
    let node = house.node(Some(Arc::new(FailsAtReindex))).await;
    let to = house.destination("acme/tools/busybox").await;
    let library = house.library(&to).await;
    house.published(&node, &to, "latest", "first").await;
    house.published(&node, &to, "latest", "second").await;
    let paused = async |name: &str| {
        let image = house.image(&to, name).await;
        let plan = house.plan(&node, &to, name, &image).await;
        let seen = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(seen.state, PlanState::Paused, "{seen:?}");
        plan
    };
    let (one, two) = (paused("broken-one").await, paused("broken-two").await);
    house.published(&node, &to, "latest", "third").await;

    let back = house.roll_back(&node, &to, &library, 1).await.unwrap();
    must_succeed(&node, back).await;

    for plan in [one, two] {
        let ended = node.wait(plan, FOR_EVER).await.unwrap();
        assert_eq!(ended.state, PlanState::Stopped, "{ended:?}");
        assert_eq!(ended.reason, Some(Reason::Superseded), "{ended:?}");
    }
    for name in ["broken-one", "broken-two"] {
        assert_eq!(house.pulled(&to, name).await, None);
    }
}

/// Lets pushes of tags that begin with `broken` fail before they are indexed.
struct FailsAtReindex;

impl Drill for FailsAtReindex {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let broken = plan
            .link("tag")
            .is_some_and(|tag| tag.starts_with("broken"));
        Box::pin(async move { (broken && step == "reindex").then_some(Effect::Fail) })
    }
}

#[tokio::test]
async fn a_tag_that_its_product_keeps_is_neither_moved_nor_deleted() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let first = house.published(&node, &to, "v1.0", "first").await;
    house.keep_tags(&to, "v*").await;

    let other = house.image(&to, "second").await;
    let moved = house.submit(&node, &to, Some("v1.0"), &other).await;
    let same = house.image(&to, "first").await;
    let again = house.submit(&node, &to, Some("v1.0"), &same).await;
    let deleted = house.delete(&node, &to, tag("v1.0")).await;
    let by_digest = house.delete(&node, &to, Image::Digest(first)).await;

    let moved = moved.unwrap_err();
    assert!(matches!(moved, PushError::Immutable { .. }), "{moved}");
    assert!(moved.to_string().contains("`v*`"), "{moved}");
    again.unwrap();
    for refused in [deleted, by_digest] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, DeleteError::Immutable { .. }),
            "{refused}"
        );
    }
    house.published(&node, &to, "latest", "second").await;
    assert_eq!(house.pulled(&to, "v1.0").await, Some(first));
}

#[tokio::test]
async fn a_blob_is_taken_out_only_when_no_manifest_needs_it_and_comes_back_with_one() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let one = house.published(&node, &to, "one", "first").await;
    house.published(&node, &to, "two", "second").await;
    let layer = Digest::of(b"first");
    let (destination, at) = (to.id, house.services.clock.now());
    let needed = async || {
        let mut tx = house.services.database.read().await.unwrap();
        blobs::needed_by(&mut tx, destination, &layer)
            .await
            .unwrap()
    };
    let is_here = async || {
        let mut tx = house.services.database.read().await.unwrap();
        blobs::stat(&mut tx, destination, &layer)
            .await
            .unwrap()
            .is_some()
    };
    assert_eq!(needed().await, Some(one));
    let deleted = house.delete(&node, &to, Image::Digest(one)).await.unwrap();
    must_succeed(&node, deleted).await;

    assert_eq!(needed().await, None);
    house
        .services
        .database
        .transact(move |tx| {
            Box::pin(async move { blobs::unlink(tx, destination, &layer, at).await })
        })
        .await
        .unwrap()
        .unwrap();
    assert!(!is_here().await);
    let library = house.library(&to).await;
    let back = house.roll_back(&node, &to, &library, 2).await.unwrap();
    must_succeed(&node, back).await;

    assert!(is_here().await);
    assert_eq!(house.pulled(&to, "one").await, Some(one));
}

#[tokio::test]
async fn two_repositories_are_never_published_by_one_name() {
    let house = House::new().await;
    let node = house.node(None).await;
    let (one, two) = (
        house.destination("acme/tools/busybox").await,
        house.destination("acme/other/busybox").await,
    );
    let library = house.library(&one).await;
    let dev = house.environment("dev", &library).await;
    let id = dev.id;
    house
        .write(move |tx| {
            Box::pin(async move {
                let changes = environments::EnvironmentChanges {
                    registry_name_pattern: Some(Some("dev/<%= repository.label %>".into())),
                    ..environments::EnvironmentChanges::default()
                };
                environments::update(tx, id, &changes).await
            })
        })
        .await;
    house.published(&node, &one, "latest", "one").await;
    house.published(&node, &two, "latest", "two").await;
    let first = house.promote(&node, &one, 1, &dev).await.unwrap();
    must_succeed(&node, first).await;

    let second = house.promote(&node, &two, 1, &dev).await.unwrap();
    let paused = node.wait(second, FOR_EVER).await.unwrap();

    assert_eq!(paused.state, PlanState::Paused, "{paused:?}");
    let said = json!(node.task(second).await.unwrap()).to_string();
    for named in ["dev/busybox", "acme/tools/busybox", "acme/other/busybox"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    assert_eq!(
        house.shown_in(dev.id, &two).await,
        None,
        "nothing has moved"
    );
}

#[tokio::test]
async fn a_deleted_repository_is_gone_at_once_and_a_revert_brings_all_of_it_back() {
    let house = House::new().await;
    let node = house.node(None).await;
    let name = "acme/tools/busybox";
    let to = house.destination(name).await;
    let one = house.published(&node, &to, "one", "first").await;
    house.published(&node, &to, "two", "second").await;
    let library = house.library(&to).await;
    let dev = house.environment("dev", &library).await;
    let promoted = house.promote(&node, &to, 1, &dev).await.unwrap();
    must_succeed(&node, promoted).await;
    let picture = async || {
        let mut tx = house.services.database.read().await.unwrap();
        let repository = RepositoryId::from(to.id);
        let shown = publications::everywhere(&mut tx, repository).await;
        let names = repository_names::list(&mut tx, "", 100).await;
        let versions = house.picture(&to).await;
        format!("{versions} {:?} {:?}", shown.unwrap(), names.unwrap())
    };
    let before = picture().await;

    let deleted = house.delete_repository(&node, &to).await.unwrap();
    assert_eq!(house.destination_of(name).await, None);
    must_succeed(&node, deleted).await;
    assert_eq!(house.pulled(&to, "one").await, None);
    assert!(!picture().await.contains("dev/tools"));
    revert(&node, deleted).await;

    assert_eq!(picture().await, before);
    assert_eq!(house.destination_of(name).await, Some(to.id));
    assert_eq!(house.pulled(&to, "one").await, Some(one));
    let three = house.published(&node, &to, "three", "third").await;
    assert_eq!(house.pulled(&to, "three").await, Some(three));
}

async fn revert(node: &HouseNode, plan: PlanId) {
    let message = Message {
        action: engine::journal::Action::Revert,
        by: "alice".into(),
        reason: None,
    };
    node.act(plan, message).await.unwrap();
    let done = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(done.result, PlanResult::Reverted, "{done:?}");
}

#[tokio::test]
async fn a_name_that_is_free_again_leads_to_a_new_repository_and_stands_in_the_way_of_the_old_one()
{
    let house = House::new().await;
    let node = house.node(None).await;
    let name = "acme/tools/busybox";
    let old = house.destination(name).await;
    let first = house.published(&node, &old, "latest", "first").await;
    let deleted = house.delete_repository(&node, &old).await.unwrap();
    let new = house.destination(name).await;
    let second = house.published(&node, &new, "latest", "second").await;
    must_succeed(&node, deleted).await;

    assert_ne!(new.id, old.id);
    assert_eq!(house.pulled(&new, "latest").await, Some(second));
    let delete = DeleteRepository {
        user: house.user.id,
        login: house.user.login.clone(),
        repository: old.clone(),
    };
    let taken = async |name: &str| {
        let mut tx = house.services.database.read().await.unwrap();
        let taken = delete_repository::in_the_way(&mut tx, &delete, name).await;
        taken.unwrap().map(|taken| {
            let InTheWay::Name { destination, .. } = taken else {
                panic!("{taken}");
            };
            destination
        })
    };
    assert_eq!(taken("busybox").await, Some(new.id));
    assert_eq!(taken("other").await, None);

    house
        .write(move |tx| {
            Box::pin(async move { tombstones::restore_as(tx, deleted, Some("other")).await })
        })
        .await;
    revert(&node, deleted).await;

    assert_eq!(house.destination_of("acme/tools/other").await, Some(old.id));
    assert_eq!(house.destination_of(name).await, Some(new.id));
    assert_eq!(house.pulled(&old, "latest").await, Some(first));
    assert_eq!(house.pulled(&new, "latest").await, Some(second));
}

#[tokio::test]
async fn what_only_was_tried_under_the_name_does_not_stand_in_the_way() {
    let house = House::new().await;
    let node = house.node(None).await;
    let name = "acme/tools/busybox";
    let old = house.destination(name).await;
    house.published(&node, &old, "latest", "first").await;
    let deleted = house.delete_repository(&node, &old).await.unwrap();
    must_succeed(&node, deleted).await;
    let tried = house.destination(name).await;
    assert_ne!(tried.id, old.id);

    revert(&node, deleted).await;

    assert_eq!(house.destination_of(name).await, Some(old.id));
}

#[tokio::test]
async fn a_push_that_knows_the_old_repository_is_told_that_it_was_deleted() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let image = house.image(&to, "second").await;
    let deleted = house.delete_repository(&node, &to).await.unwrap();

    let late = house.submit(&node, &to, Some("latest"), &image).await;

    let late = late.unwrap_err();
    assert!(matches!(late, PushError::Retired(_)), "{late}");
    must_succeed(&node, deleted).await;
}

#[tokio::test]
async fn what_is_being_collected_cannot_be_brought_back() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let deleted = house.delete_repository(&node, &to).await.unwrap();
    must_succeed(&node, deleted).await;
    let taken = house.destinations_being_collected(&to).await;
    assert_eq!(taken, 3);

    let message = Message {
        action: engine::journal::Action::Revert,
        by: "alice".into(),
        reason: None,
    };
    node.act(deleted, message).await.unwrap();
    let stuck = node.wait(deleted, FOR_EVER).await.unwrap();

    assert_eq!(stuck.reason, Some(Reason::CompensationError), "{stuck:?}");
    assert_eq!(house.destination_of("acme/tools/busybox").await, None);
}

/// Holds pushes of the tag `slow` before their copy, until it is let go.
struct HoldsSlow(tokio::sync::Semaphore);

impl Drill for HoldsSlow {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let holds = plan.link("tag") == Some("slow") && step == "copy";
        Box::pin(async move {
            if holds {
                drop(self.0.acquire().await);
            }
            None
        })
    }
}

/// A push of `slow` at work, behind which others queue; with what lets it go.
async fn held(house: &House) -> (HouseNode, Arc<HoldsSlow>, Destination, Digest) {
    let holds = Arc::new(HoldsSlow(tokio::sync::Semaphore::new(0)));
    let node = house.node(Some(holds.clone())).await;
    let to = house.destination("acme/tools/busybox").await;
    let first = house.published(&node, &to, "latest", "first").await;
    let slow = house.image(&to, "slow").await;
    house.plan(&node, &to, "slow", &slow).await;
    (node, holds, to, first)
}

#[tokio::test]
async fn what_is_pushed_behind_its_own_delete_is_there_by_tag_and_by_digest() {
    let house = House::new().await;
    let (node, holds, to, first) = held(&house).await;
    let again = house.image(&to, "first").await;

    let deleted = house
        .delete(&node, &to, Image::Digest(first))
        .await
        .unwrap();
    let pushed = house.plan(&node, &to, "again", &again).await;
    holds.0.add_permits(100);
    must_succeed(&node, deleted).await;
    must_succeed(&node, pushed).await;

    assert_eq!(house.pulled(&to, "latest").await, None);
    assert_eq!(house.pulled(&to, "again").await, Some(first));
    assert!(house.is_pullable(&to, &first).await);
}

#[tokio::test]
async fn a_rollback_that_comes_after_the_delete_of_its_repository_publishes_nothing() {
    let house = House::new().await;
    let (node, holds, to, _) = held(&house).await;
    house.environment("dev", &house.library(&to).await).await;
    let library = house.library(&to).await;
    let deleted = house.delete_repository(&node, &to).await.unwrap();

    let refused = house.roll_back(&node, &to, &library, 1).await.unwrap_err();

    assert!(
        matches!(refused, RollbackError::NoVersion { .. }),
        "{refused}"
    );
    holds.0.add_permits(100);
    must_succeed(&node, deleted).await;
    assert_eq!(house.shown_in(library.id, &to).await, None);
}

#[tokio::test]
async fn a_push_that_pauses_before_the_delete_of_its_repository_publishes_nothing_after_it() {
    let house = House::new().await;
    let node = house.node(Some(Arc::new(FailsAtReindex))).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let broken = house.image(&to, "broken").await;
    let paused = house.plan(&node, &to, "broken", &broken).await;
    let seen = node.wait(paused, FOR_EVER).await.unwrap();
    assert_eq!(seen.state, PlanState::Paused);

    let deleted = house.delete_repository(&node, &to).await.unwrap();
    must_succeed(&node, deleted).await;

    let ended = node.wait(paused, FOR_EVER).await.unwrap();
    assert_eq!(ended.reason, Some(Reason::Superseded), "{ended:?}");
}

#[tokio::test]
async fn a_child_of_an_index_under_a_tag_that_its_product_keeps_is_not_deleted() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let child = house.published(&node, &to, "child", "first").await;
    let index = House::index(&[child]);
    let plan = house.plan(&node, &to, "v1", &index).await;
    must_succeed(&node, plan).await;
    house.keep_tags(&to, "v*").await;

    let refused = house.delete(&node, &to, Image::Digest(child)).await;

    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, DeleteError::Immutable { .. }),
        "{refused}"
    );
    assert!(house.is_pullable(&to, &child).await);
}
