//! Lifecycle environments: how they follow one another, and what keeps them from being removed.

use storage::catalog::environments::{self, Environment, EnvironmentChanges, NewEnvironment};
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::products::{self, NewProduct};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{CatalogError, EnvironmentId, publications};
use storage::database::Work;

use crate::house::{AT, House, label, plan};

fn new(name: &str, prior: EnvironmentId) -> NewEnvironment {
    NewEnvironment {
        label: label(name),
        name: name.to_owned(),
        prior,
        registry_name_pattern: None,
        anonymous_pull: false,
    }
}

/// Makes an environment of the house's organization.
fn make(house: &House, new: NewEnvironment) -> Work<Environment, CatalogError> {
    let organization = house.organization.id;
    Box::new(move |tx| {
        Box::pin(async move { environments::create(tx, organization, &new, AT).await })
    })
}

fn remove(id: EnvironmentId) -> Work<bool, CatalogError> {
    Box::new(move |tx| Box::pin(environments::remove(tx, id)))
}

#[tokio::test]
async fn an_environment_is_kept_as_it_was_made_and_found_in_any_case() {
    let house = House::new().await;
    let library = house.library().await;
    let qa = NewEnvironment {
        name: "Quality".to_owned(),
        registry_name_pattern: Some("<%= repository.label %>".to_owned()),
        anonymous_pull: true,
        ..new("QA", library)
    };

    let made = house.write(make(&house, qa)).await;

    assert_eq!((made.label.as_str(), made.name.as_str()), ("QA", "Quality"));
    assert_eq!(made.organization, house.organization.id);
    assert_eq!(made.prior, Some(library));
    assert_eq!(
        made.registry_name_pattern.as_deref(),
        Some("<%= repository.label %>")
    );
    assert!(made.anonymous_pull);
    assert_eq!(made.created_at, AT);
    let mut tx = house.read().await;
    let found = environments::find(&mut tx, house.organization.id, "qa").await;
    assert_eq!(found.unwrap(), Some(made.clone()));
    let got = environments::get(&mut tx, made.id).await.unwrap();
    assert_eq!(got, Some(made));
    let other = environments::find(&mut tx, house.organization.id, "prod").await;
    assert_eq!(other.unwrap(), None);
}

#[tokio::test]
async fn library_is_as_old_as_its_organization_and_publishes_by_pushed_paths() {
    let house = House::new().await;

    let mut tx = house.read().await;
    let found = environments::library(&mut tx, house.organization.id).await;
    let library = found.unwrap();

    assert_eq!(library.created_at, house.organization.created_at);
    assert_eq!(library.registry_name_pattern, None);
    assert!(!library.anonymous_pull);
}

#[tokio::test]
async fn environments_are_listed_in_pages_with_library_first_and_without_those_of_others() {
    let house = House::new().await;
    let library = house.library().await;
    let other = house
        .write(|tx| {
            Box::pin(async move {
                let new = NewOrganization {
                    label: label("other"),
                    name: "Other".to_owned(),
                };
                organizations::create(tx, &new, AT).await
            })
        })
        .await;
    let dev = house.write(make(&house, new("dev", library))).await;
    house.write(make(&house, new("prod", dev.id))).await;

    let mut tx = house.read().await;
    let organization = house.organization.id;
    let first = environments::list(&mut tx, organization, None, 2).await;
    let first = first.unwrap();
    let rest = environments::list(&mut tx, organization, Some(first[1].id), 2).await;
    let all = environments::all(&mut tx, organization).await.unwrap();

    let labels = |page: &[Environment]| -> Vec<String> {
        let labels = page.iter().map(|environment| environment.label.clone());
        labels.collect()
    };
    assert_eq!(labels(&first), ["Library", "dev"]);
    assert_eq!(labels(&rest.unwrap()), ["prod"]);
    assert_eq!(labels(&all), ["Library", "dev", "prod"]);
    let counted = environments::count(&mut tx, organization).await.unwrap();
    let of_other = environments::count(&mut tx, other.id).await.unwrap();
    assert_eq!((counted, of_other), (3, 1));
}

#[tokio::test]
async fn an_environment_may_not_have_the_label_of_an_environment_or_a_product() {
    let house = House::new().await;
    let library = house.library().await;
    house.repository().await;
    house.write(make(&house, new("dev", library))).await;

    let reserved = house.refused(make(&house, new("library", library))).await;
    let duplicate = house.refused(make(&house, new("DEV", library))).await;
    let product = house.refused(make(&house, new("Tools", library))).await;
    let pushes = new("Container_Push", library);
    let of_pushes = house.refused(make(&house, pushes)).await;

    for (refused, message) in [
        (
            reserved,
            "there is already an environment `library`; choose another name or use that one",
        ),
        (
            duplicate,
            "there is already an environment `DEV`; choose another name or use that one",
        ),
        (
            product,
            "`Tools` is the label of a product of this organization; choose another label",
        ),
        (
            of_pushes,
            "`Container_Push` is the label of the product for pushes without one of this organization; choose another label",
        ),
    ] {
        assert_eq!(refused.to_string(), message);
    }
}

#[tokio::test]
async fn neither_a_person_nor_a_push_makes_a_product_with_the_label_of_an_environment() {
    let house = House::new().await;
    let (organization, library) = (house.organization.id, house.library().await);
    house.write(make(&house, new("dev", library))).await;

    let made = house
        .refused(move |tx| {
            Box::pin(async move {
                let new = NewProduct {
                    label: label("Dev"),
                    name: "Development".to_owned(),
                };
                products::create(tx, organization, &new, AT).await
            })
        })
        .await;
    let pushed = house
        .refused(move |tx| {
            Box::pin(async move {
                products::ensure(tx, organization, &label("DEV"), "DEV", plan(1), AT).await
            })
        })
        .await;

    for refused in [made, pushed] {
        assert!(matches!(refused, CatalogError::Taken { .. }), "{refused}");
    }
}

#[tokio::test]
async fn several_environments_follow_library_and_one_each_other() {
    let house = House::new().await;
    let library = house.library().await;
    let dev = house.write(make(&house, new("dev", library))).await;
    let test = house.write(make(&house, new("test", library))).await;
    let qa = house.write(make(&house, new("qa", dev.id))).await;
    house.write(make(&house, new("stage", test.id))).await;

    let branch = house.refused(make(&house, new("demo", dev.id))).await;
    let behind = house.write(make(&house, new("demo", qa.id))).await;

    assert_eq!(
        branch.to_string(),
        "`dev` is followed by `qa` already, and only Library by more than one; choose the last environment of the path"
    );
    assert_eq!(behind.prior, Some(qa.id));
}

#[tokio::test]
async fn an_environment_follows_one_of_its_own_organization() {
    let house = House::new().await;
    let other = house
        .write(|tx| {
            Box::pin(async move {
                let new = NewOrganization {
                    label: label("other"),
                    name: "Other".to_owned(),
                };
                let made = organizations::create(tx, &new, AT).await?;
                environments::library(tx, made.id).await
            })
        })
        .await;

    let foreign = house.refused(make(&house, new("dev", other.id))).await;
    let unknown = EnvironmentId(1_000);
    let unknown = house.refused(make(&house, new("dev", unknown))).await;

    for refused in [foreign, unknown] {
        assert!(matches!(refused, CatalogError::Missing { .. }), "{refused}");
    }
}

#[tokio::test]
async fn what_is_not_given_stays_and_a_pattern_can_be_taken_away() {
    let house = House::new().await;
    let library = house.library().await;
    let update = |id, changes: EnvironmentChanges| -> Work<Option<Environment>, CatalogError> {
        Box::new(move |tx| Box::pin(async move { environments::update(tx, id, &changes).await }))
    };
    let dev = house.write(make(&house, new("dev", library))).await;

    let named = EnvironmentChanges {
        name: Some("Development".to_owned()),
        registry_name_pattern: Some(Some("<%= product.label %>".to_owned())),
        ..EnvironmentChanges::default()
    };
    let named = house.write(update(dev.id, named)).await.unwrap();
    let opened = EnvironmentChanges {
        anonymous_pull: Some(true),
        ..EnvironmentChanges::default()
    };
    let opened = house.write(update(dev.id, opened)).await.unwrap();
    let plain = EnvironmentChanges {
        registry_name_pattern: Some(None),
        ..EnvironmentChanges::default()
    };
    let plain = house.write(update(dev.id, plain)).await.unwrap();
    let nothing = EnvironmentChanges::default();
    let unknown = house.write(update(EnvironmentId(1_000), nothing)).await;

    let pattern = Some("<%= product.label %>".to_owned());
    assert_eq!(
        (&*named.name, &named.registry_name_pattern),
        ("Development", &pattern)
    );
    assert_eq!(
        (&*opened.name, &opened.registry_name_pattern),
        ("Development", &pattern)
    );
    assert!(!named.anonymous_pull && opened.anonymous_pull && plain.anonymous_pull);
    assert_eq!(plain.registry_name_pattern, None);
    assert_eq!(plain.label, "dev");
    assert_eq!(unknown, None);
}

#[tokio::test]
async fn only_the_end_of_a_path_that_publishes_nothing_is_removed() {
    let house = House::new().await;
    let library = house.library().await;
    let (_, repository) = house.repository().await;
    let dev = house.write(make(&house, new("dev", library))).await;
    let qa = house.write(make(&house, new("qa", dev.id))).await;
    house
        .write(move |tx| {
            Box::pin(async move {
                let (id, nothing) = (repository.id, Changes::default());
                versions::record(tx, id, plan(1), 1, Cause::Push, &nothing, AT).await?;
                publications::publish(tx, qa.id, id, 1, plan(1), "ann", AT).await
            })
        })
        .await;

    let of_library = house.refused(remove(library)).await;
    let followed = house.refused(remove(dev.id)).await;
    let publishing = house.refused(remove(qa.id)).await;

    assert_eq!(
        of_library.to_string(),
        "environment `Library` cannot be deleted: every organization has it"
    );
    assert_eq!(
        followed.to_string(),
        "environment `dev` cannot be deleted: `qa` follows it; delete that one first"
    );
    assert_eq!(
        publishing.to_string(),
        "environment `qa` cannot be deleted: it publishes versions of repositories: 1 in all"
    );
    let mut tx = house.read().await;
    let all = environments::all(&mut tx, house.organization.id).await;
    assert_eq!(all.unwrap().len(), 3);
}

#[tokio::test]
async fn a_removed_environment_is_gone_and_its_label_is_free() {
    let house = House::new().await;
    let library = house.library().await;
    let dev = house.write(make(&house, new("dev", library))).await;
    let qa = house.write(make(&house, new("qa", dev.id))).await;

    assert!(house.write(remove(qa.id)).await);
    assert!(!house.write(remove(qa.id)).await, "it is gone already");
    assert!(house.write(remove(dev.id)).await, "nothing follows it now");

    let again = house.write(make(&house, new("qa", library))).await;
    assert_ne!(again.id, qa.id, "a number is not given twice");
}
