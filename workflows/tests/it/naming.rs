//! By which names environments publish.

use crate::after_a_push::audited;
use crate::house::{FOR_EVER, House, HouseNode};
use engine::journal::{Action, Message, PlanId, PlanResult};
use engine::node::Node;
use engine::state::PlanState;
use engine::store::Store;
use storage::catalog::audit::Action as Audited;
use storage::catalog::environments::{self, Environment};
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::{RepositoryId, repository_names};
use storage::{Label, Tx};
use workflows::Services;
use workflows::change_naming::{self, ChangeError, ChangeNaming, Changed};
use workflows::destination::{self, Destination};
use workflows::published_names::preview;

fn change(house: &House, of: &Environment, pattern: Option<&str>) -> ChangeNaming {
    ChangeNaming {
        user: house.user.id,
        login: house.user.login.clone(),
        organization_label: "acme".into(),
        environment: of.id,
        environment_label: of.label.clone(),
        name: of.name.clone(),
        registry_name_pattern: pattern.map(ToOwned::to_owned),
    }
}

impl House {
    /// Begins to publish all of the environment by other names.
    pub(crate) async fn rename<St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        of: &Environment,
    ) -> Result<PlanId, ChangeError> {
        let change = change(self, of, Some("shop/<%= repository.label %>"));
        match change_naming::submit(node, change, audited(Audited::Change)).await? {
            Changed::By(plan) => Ok(plan),
            Changed::Now(environment) => panic!("names move: {environment:?}"),
        }
    }
}

async fn set(
    house: &House,
    node: &HouseNode,
    of: &Environment,
    pattern: Option<&str>,
) -> Result<Changed, ChangeError> {
    let change = change(house, of, pattern);
    change_naming::submit(node, change, audited(Audited::Change)).await
}

async fn done(node: &HouseNode, changed: Result<Changed, ChangeError>) {
    match changed.unwrap() {
        Changed::Now(_) => {}
        Changed::By(plan) => succeeds(node, plan).await,
    }
}

async fn succeeds(node: &HouseNode, plan: PlanId) {
    let ended = node.wait(plan, FOR_EVER).await.unwrap();
    assert_eq!(ended.result, PlanResult::Success, "{ended:?}");
}

async fn names(house: &House, of: &Destination) -> Vec<String> {
    let mut tx = house.services.database.read().await.unwrap();
    let names = repository_names::published(&mut tx, RepositoryId::from(of.id)).await;
    names.unwrap().into_iter().map(|(_, name)| name).collect()
}

#[tokio::test]
async fn a_pattern_of_library_gives_a_name_beside_the_pushed_path_and_its_end_takes_that_back() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let library = house.library(&to).await;

    let begun = set(
        &house,
        &node,
        &library,
        Some("shop/<%= repository.label %>"),
    )
    .await;
    done(&node, begun).await;
    assert_eq!(names(&house, &to).await, ["shop/busybox"]);
    let mut tx = house.services.database.read().await.unwrap();
    let shop = "shop/busybox".parse().unwrap();
    let found = destination::resolve_published(&mut tx, &shop).await;
    assert_eq!(found.unwrap().unwrap().repository, Some(to.id.into()));
    drop(tx);

    // What is pushed later is published so, too.
    let other = house.destination("acme/tools/other").await;
    house.published(&node, &other, "latest", "second").await;
    assert_eq!(names(&house, &other).await, ["shop/other"]);

    let begun = set(&house, &node, &library, None).await;
    done(&node, begun).await;
    assert!(names(&house, &to).await.is_empty());
    assert!(house.pulled(&to, "latest").await.is_some());
}

#[tokio::test]
async fn a_pattern_that_gives_one_name_to_two_is_refused_with_both() {
    let house = House::new().await;
    let node = house.node(None).await;
    let (one, two) = (
        house.destination("acme/tools/busybox").await,
        house.destination("acme/other/busybox").await,
    );
    house.published(&node, &one, "latest", "first").await;
    house.published(&node, &two, "latest", "second").await;
    let library = house.library(&one).await;

    let refused = set(&house, &node, &library, Some("<%= repository.label %>/x")).await;
    let taken = set(
        &house,
        &node,
        &library,
        Some("acme/other/<%= repository.label %>"),
    )
    .await;

    let refused = refused.unwrap_err().to_string();
    for named in ["`busybox/x`", "acme/tools/busybox", "acme/other/busybox"] {
        assert!(refused.contains(named), "{refused}");
    }
    let taken = taken.unwrap_err().to_string();
    assert!(taken.contains("which is pushed by it"), "{taken}");
    let mut tx = house.services.database.read().await.unwrap();
    let now = environments::get(&mut tx, library.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.registry_name_pattern, None);
    assert!(names(&house, &one).await.is_empty());
}

#[tokio::test]
async fn a_push_whose_name_is_taken_pauses_naming_both_and_goes_on_once_the_pattern_is_mended() {
    let house = House::new().await;
    let node = house.node(None).await;
    let one = house.destination("acme/tools/busybox").await;
    house.published(&node, &one, "latest", "first").await;
    let library = house.library(&one).await;
    let begun = set(
        &house,
        &node,
        &library,
        Some("shop/<%= repository.label %>"),
    )
    .await;
    done(&node, begun).await;
    let two = house.destination("acme/other/busybox").await;
    let image = house.image(&two, "second").await;

    let plan = house.plan(&node, &two, "latest", &image).await;
    let paused = node.wait(plan, FOR_EVER).await.unwrap();

    assert_eq!(paused.state, PlanState::Paused, "{paused:?}");
    let said = node.task(plan).await.unwrap().headline;
    for named in ["shop/busybox", "acme/tools/busybox", "acme/other/busybox"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    let begun = set(
        &house,
        &node,
        &library,
        Some("shop/<%= product.label %>/<%= repository.label %>"),
    )
    .await;
    done(&node, begun).await;
    let resume = Message {
        action: Action::Resume,
        by: "alice".into(),
        reason: None,
    };
    node.act(plan, resume).await.unwrap();
    succeeds(&node, plan).await;
    assert_eq!(names(&house, &one).await, ["shop/tools/busybox"]);
    assert_eq!(names(&house, &two).await, ["shop/other/busybox"]);
}

#[tokio::test]
async fn nobody_pushes_to_a_name_by_which_another_repository_is_published() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let library = house.library(&to).await;
    let begun = set(
        &house,
        &node,
        &library,
        Some("acme/shop/<%= repository.label %>"),
    )
    .await;
    done(&node, begun).await;

    let name = "acme/shop/busybox".parse().unwrap();
    let at = house.services.clock.now();
    let made = house.services.database.transact(move |tx| {
        Box::pin(async move {
            let to = destination::resolve(tx, &name).await?;
            destination::make(tx, &to, at).await
        })
    });

    let refused = made.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("environment `Library`"), "{refused}");
}

#[tokio::test]
async fn a_preview_shows_every_name_and_changes_nothing() {
    let house = House::new().await;
    let node = house.node(None).await;
    let (one, two) = (
        house.destination("acme/tools/busybox").await,
        house.destination("acme/tools/other").await,
    );
    house.published(&node, &one, "latest", "first").await;
    house.published(&node, &two, "latest", "second").await;
    let library = house.library(&one).await;
    let then = Environment {
        registry_name_pattern: Some("x/<%= repository.label %>".into()),
        ..library.clone()
    };

    let mut tx = house.services.database.read().await.unwrap();
    let (now, then) = (
        preview(&mut tx, &library).await.unwrap(),
        preview(&mut tx, &then).await.unwrap(),
    );

    let names_of = |names: &[(RepositoryId, String)]| -> Vec<String> {
        names.iter().map(|(_, name)| name.clone()).collect()
    };
    assert_eq!(
        names_of(&now.names),
        ["acme/tools/busybox", "acme/tools/other"]
    );
    assert_eq!(names_of(&then.names), ["x/busybox", "x/other"]);
    assert_eq!((now.moved, then.moved), (0, 2));
    drop(tx);
    assert!(names(&house, &one).await.is_empty());
}

#[tokio::test]
async fn a_change_over_a_thousand_repositories_is_one_plan_of_one_step() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let library = house.library(&to).await;
    house.many_published(&to, 1_000).await;

    let begun = set(
        &house,
        &node,
        &library,
        Some("shop/<%= repository.label %>"),
    )
    .await;
    done(&node, begun).await;

    let mut tx = house.services.database.read().await.unwrap();
    let all = repository_names::of_environment(&mut tx, library.id).await;
    assert_eq!(all.unwrap().len(), 1_001);
}

#[tokio::test]
async fn nobody_publishes_where_another_organization_pushes_or_by_another_form_of_a_path() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    house.published(&node, &to, "latest", "first").await;
    let library = house.library(&to).await;
    let at = house.services.clock.now();
    let other = NewOrganization {
        label: Label::parse("other").unwrap(),
        name: "Other".into(),
    };
    house
        .write(move |tx| Box::pin(async move { organizations::create(tx, &other, at).await }))
        .await;

    for (pattern, said) in [
        ("other/tools/app", "another organization"),
        ("acme/container_push/app", "another form"),
        ("id/1/2/app", "another form"),
    ] {
        let refused = set(&house, &node, &library, Some(pattern)).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(said), "{pattern}: {refused}");
    }
}
