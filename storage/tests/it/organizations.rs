//! Organizations, environments, products and destinations.

use storage::catalog::organizations::NewOrganization;
use storage::catalog::products::{NewProduct, ProductChanges};
use storage::catalog::{CatalogError, destinations, environments, organizations, products};

use crate::house::{AT, House, label, plan};

#[tokio::test]
async fn an_organization_is_found_in_any_case_and_has_library() {
    let house = House::new().await;

    let mut tx = house.read().await;
    let found = organizations::find(&mut tx, "aCME").await.unwrap();
    let environments = environments::all(&mut tx, house.organization.id)
        .await
        .unwrap();

    assert_eq!(found, Some(house.organization.clone()));
    assert_eq!(house.organization.label, "Acme");
    assert_eq!(environments.len(), 1);
    assert_eq!(
        (environments[0].label.as_str(), environments[0].prior),
        ("Library", None)
    );
    let library = environments::library(&mut tx, house.organization.id)
        .await
        .unwrap();
    assert_eq!(library, environments[0]);
    assert_eq!(organizations::find(&mut tx, "other").await.unwrap(), None);
}

#[tokio::test]
async fn a_label_that_differs_in_case_only_is_a_duplicate() {
    let house = House::new().await;
    let new = NewOrganization {
        label: label("ACME"),
        name: "Another".to_owned(),
    };

    let refused = house
        .refused(move |tx| Box::pin(async move { organizations::create(tx, &new, AT).await }))
        .await;

    assert_eq!(
        refused.to_string(),
        "there is already an organization `ACME`; choose another name or use that one"
    );
}

#[tokio::test]
async fn organizations_are_listed_in_pages_and_renamed() {
    let house = House::new().await;
    let id = house.organization.id;
    for name in ["b", "c"] {
        let new = NewOrganization {
            label: label(name),
            name: name.to_owned(),
        };
        house
            .write(move |tx| Box::pin(async move { organizations::create(tx, &new, AT).await }))
            .await;
    }

    let renamed = house
        .write(move |tx| Box::pin(organizations::rename(tx, id, "Acme Ltd.")))
        .await;

    assert_eq!(renamed.unwrap().name, "Acme Ltd.");
    let mut tx = house.read().await;
    let first = organizations::list(&mut tx, None, 2).await.unwrap();
    let rest = organizations::list(&mut tx, Some(first[1].id), 2)
        .await
        .unwrap();
    let labels = |page: &[organizations::Organization]| -> Vec<String> {
        page.iter()
            .map(|organization| organization.label.clone())
            .collect()
    };
    assert_eq!(labels(&first), ["Acme", "b"]);
    assert_eq!(labels(&rest), ["c"]);
    assert_eq!(organizations::count(&mut tx).await.unwrap(), 3);
}

#[tokio::test]
async fn of_two_plans_that_need_a_product_one_makes_it_and_both_have_it() {
    let house = House::new().await;
    let organization = house.organization.id;
    let ensure = |number| {
        house.write(move |tx| {
            Box::pin(async move {
                let name = label(if number == 1 { "Tools" } else { "tools" });
                let ensured =
                    products::ensure(tx, organization, &name, "Tools", plan(number), AT).await?;
                products::note_use(tx, ensured.found.id, plan(number)).await?;
                Ok::<_, CatalogError>(ensured)
            })
        })
    };

    let (first, second) = tokio::join!(ensure(1), ensure(2));
    let again = ensure(1).await;

    assert!(first.created_here && !second.created_here);
    assert!(
        again.created_here,
        "a repeat of the step answers as the first run did"
    );
    assert_eq!(first.found, second.found);
    assert_eq!(first.found.created_by_plan, Some(plan(1)));
    let mut tx = house.read().await;
    assert_eq!(products::count(&mut tx, organization).await.unwrap(), 1);
    let found = products::find(&mut tx, organization, "TOOLS")
        .await
        .unwrap();
    assert_eq!(found, Some(first.found));
}

#[tokio::test]
async fn a_product_may_not_have_the_label_of_a_product_or_an_environment() {
    let house = House::new().await;
    let organization = house.organization.id;
    let create = |name: &'static str| -> storage::database::Work<_, CatalogError> {
        let new = NewProduct {
            label: label(name),
            name: name.to_owned(),
        };
        Box::new(move |tx| {
            Box::pin(async move { products::create(tx, organization, &new, AT).await })
        })
    };
    let product = house.write(create("tools")).await;

    let duplicate = house.refused(create("Tools")).await;
    let environment = house.refused(create("library")).await;

    assert!(
        matches!(duplicate, CatalogError::Duplicate { .. }),
        "{duplicate}"
    );
    assert_eq!(
        environment.to_string(),
        "`library` is the label of an environment of this organization; choose another label"
    );
    assert_eq!(product.created_by_plan, None);
    let ensured = house
        .refused(move |tx| {
            Box::pin(async move {
                products::ensure(tx, organization, &label("LIBRARY"), "x", plan(1), AT).await
            })
        })
        .await;
    assert!(matches!(ensured, CatalogError::Taken { .. }), "{ensured}");
    let renamed = house
        .write(move |tx| {
            Box::pin(async move {
                let changes = ProductChanges {
                    name: Some("Toolbox".to_owned()),
                    ..ProductChanges::default()
                };
                products::update(tx, product.id, &changes).await
            })
        })
        .await;
    assert_eq!(renamed.unwrap().name, "Toolbox");
}

#[tokio::test]
async fn a_destination_is_one_whatever_the_case_of_its_product() {
    let house = House::new().await;
    let organization = house.organization.id;

    let again = house
        .write(move |tx| {
            Box::pin(async move {
                destinations::make(tx, organization, &label("Tools"), "busybox", AT).await
            })
        })
        .await;
    let other = house
        .write(move |tx| {
            Box::pin(async move {
                destinations::make(tx, organization, &label("tools"), "deep/er", AT).await
            })
        })
        .await;

    assert_eq!(again, house.destination);
    assert_ne!(other.id, house.destination.id);
    let mut tx = house.read().await;
    let found = destinations::find(&mut tx, organization, "TOOLS", "deep/er")
        .await
        .unwrap();
    assert_eq!(found, Some(other.clone()));
    assert_eq!(
        destinations::get(&mut tx, other.id).await.unwrap(),
        Some(other)
    );
    assert_eq!(
        destinations::find(&mut tx, organization, "tools", "no")
            .await
            .unwrap(),
        None
    );
}
