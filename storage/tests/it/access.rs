//! Users, grants, signing keys, the instance and drills.

use storage::catalog::drills::{self, CrashWhen, Effect, NewDrill};
use storage::catalog::grants::{self, Filter, Place, Scope};
use storage::catalog::roles::{Permission, Role};
use storage::catalog::signing_keys::{self, SigningKey};
use storage::catalog::users::{self, UserChanges};
use storage::catalog::{CatalogError, OrganizationId, ProductId, RepositoryId, instance};
use uuid::Uuid;

use crate::house::{AT, House, new_user};

#[tokio::test]
async fn a_user_is_found_in_any_case_and_only_his_credentials_hold_the_hash() {
    let house = House::new().await;

    let mut tx = house.read().await;
    let found = users::find(&mut tx, "ANN").await.unwrap();
    let credentials = users::credentials(&mut tx, "ann").await.unwrap().unwrap();

    assert_eq!(found, Some(house.user.clone()));
    assert_eq!(credentials.user, house.user);
    assert_eq!(credentials.password_hash, "hash");
    assert_eq!(
        users::list(&mut tx, None, 10).await.unwrap(),
        std::slice::from_ref(&house.user)
    );
    let refused = house
        .refused(|tx| Box::pin(async move { users::create(tx, &new_user("ANN"), AT).await }))
        .await;
    assert!(matches!(refused, CatalogError::Duplicate { .. }));
}

#[tokio::test]
async fn of_a_user_only_what_is_given_changes() {
    let house = House::new().await;
    let id = house.user.id;
    let change = |changes: UserChanges| {
        house.write(move |tx| Box::pin(async move { users::update(tx, id, &changes).await }))
    };

    let reachable = change(UserChanges {
        email: Some(Some("ann@acme.example".to_owned())),
        ..UserChanges::default()
    })
    .await
    .unwrap();
    let disabled = change(UserChanges {
        enabled: Some(false),
        password_hash: Some("new hash".to_owned()),
        ..UserChanges::default()
    })
    .await
    .unwrap();
    let unreachable = change(UserChanges {
        email: Some(None),
        name: Some("Ann A.".to_owned()),
        ..UserChanges::default()
    })
    .await
    .unwrap();

    assert_eq!(reachable.email.as_deref(), Some("ann@acme.example"));
    assert_eq!(disabled.email, reachable.email);
    assert!(reachable.enabled && !disabled.enabled);
    assert_eq!(
        (unreachable.email, unreachable.name.as_str()),
        (None, "Ann A.")
    );
    let mut tx = house.read().await;
    let credentials = users::credentials(&mut tx, "ann").await.unwrap().unwrap();
    assert_eq!(credentials.password_hash, "new hash");
}

#[tokio::test]
async fn a_grant_counts_where_it_was_given_and_below() {
    let house = House::new().await;
    let (user, organization) = (house.user.id, house.organization.id);
    let (product, _) = house.repository().await;
    let repository = RepositoryId::from(house.destination.id);
    let give =
        |role, scope| house.write(move |tx| Box::pin(grants::create(tx, user, role, scope, AT)));
    let reader = give(
        Role::Reader,
        Scope {
            organization: Some(organization),
            ..Scope::default()
        },
    )
    .await;
    give(
        Role::Pusher,
        Scope {
            product: Some(product.id),
            ..Scope::default()
        },
    )
    .await;
    give(
        Role::Operator,
        Scope {
            repository: Some(repository),
            ..Scope::default()
        },
    )
    .await;

    let may = async |permission, organization, product, repository| {
        let place = Place {
            organization,
            product,
            repository,
        };
        let mut tx = house.read().await;
        let set = grants::permissions_at(&mut tx, user, &place).await.unwrap();
        set.contains(permission)
    };

    assert!(may(Permission::Pull, organization, None, None).await);
    assert!(!may(Permission::Pull, OrganizationId(99), None, None).await);
    assert!(!may(Permission::Push, organization, None, None).await);
    assert!(may(Permission::Push, organization, Some(product.id), None).await);
    assert!(
        may(
            Permission::Push,
            organization,
            Some(product.id),
            Some(repository)
        )
        .await
    );
    assert!(!may(Permission::Push, organization, Some(ProductId(99)), None).await);
    assert!(
        !may(
            Permission::OperateTasks,
            organization,
            Some(product.id),
            None
        )
        .await
    );
    assert!(
        may(
            Permission::OperateTasks,
            organization,
            Some(product.id),
            Some(repository)
        )
        .await
    );

    let taken = house
        .write(move |tx| Box::pin(grants::delete(tx, reader.id)))
        .await;
    let again = house
        .write(move |tx| Box::pin(grants::delete(tx, reader.id)))
        .await;
    assert!(taken && !again);
    assert!(!may(Permission::Pull, organization, None, None).await);
}

#[tokio::test]
async fn grants_are_listed_by_user_and_organization() {
    let house = House::new().await;
    let (user, organization) = (house.user.id, house.organization.id);
    let everywhere = house
        .write(move |tx| Box::pin(grants::create(tx, user, Role::Admin, Scope::default(), AT)))
        .await;
    let scope = Scope {
        organization: Some(organization),
        ..Scope::default()
    };
    let inside = house
        .write(move |tx| Box::pin(grants::create(tx, user, Role::Reader, scope, AT)))
        .await;

    let mut tx = house.read().await;
    let of_user = Filter {
        user: Some(user),
        ..Filter::default()
    };
    let of_organization = Filter {
        organization: Some(organization),
        ..Filter::default()
    };
    let all = grants::list(&mut tx, of_user, None, 10).await.unwrap();
    let some = grants::list(&mut tx, of_organization, None, 10)
        .await
        .unwrap();

    assert!(everywhere.scope.is_everywhere());
    assert_eq!(all, [everywhere.clone(), inside.clone()]);
    assert_eq!(some, std::slice::from_ref(&inside));
    assert_eq!(grants::count(&mut tx, of_organization).await.unwrap(), 1);
    assert_eq!(grants::get(&mut tx, inside.id).await.unwrap(), Some(inside));
    let set = grants::permissions_everywhere(&all);
    assert!(set.contains(Permission::Admin));
}

#[tokio::test]
async fn the_newest_key_comes_first_and_no_key_is_written_over() {
    let house = House::new().await;
    let key = |id: &str, at: i64, half: u8| SigningKey {
        id: id.to_owned(),
        private_key: vec![half],
        public_key: vec![half],
        created_at: engine::clock::Timestamp(at),
    };
    for key in [key("old", 1, 1), key("new", 2, 2), key("old", 3, 3)] {
        house
            .write(move |tx| Box::pin(async move { signing_keys::put(tx, &key).await }))
            .await;
    }

    let keys = signing_keys::all(&mut house.read().await).await.unwrap();

    let kept: Vec<_> = keys
        .iter()
        .map(|key| (key.id.as_str(), key.private_key[0]))
        .collect();
    assert_eq!(kept, [("new", 2), ("old", 1)]);
    assert!(!format!("{:?}", keys[0]).contains("private_key"));
}

#[tokio::test]
async fn the_instance_keeps_its_first_id() {
    let house = House::new().await;
    let first = instance::id(&mut house.read().await).await.unwrap();

    let kept = house
        .write(|tx| Box::pin(instance::create(tx, Uuid::from_u128(7), AT)))
        .await;

    assert_eq!(Some(kept), first);
    assert_ne!(kept, Uuid::from_u128(7));
}

#[tokio::test]
async fn a_drill_happens_as_often_as_was_asked_and_only_where_it_fits() {
    let house = House::new().await;
    let drill = |tag: Option<&str>, times| NewDrill {
        workflow: "push".to_owned(),
        step: "copy".to_owned(),
        undo: false,
        repository: None,
        tag: tag.map(str::to_owned),
        effect: Effect::FailTransient,
        crash_when: CrashWhen::Before,
        times,
        stall_seconds: 0,
        created_by: "ann".to_owned(),
    };
    let begin = |new: NewDrill| {
        house.write(move |tx| Box::pin(async move { drills::create(tx, &new, AT).await }))
    };
    let twice = begin(drill(Some("latest"), Some(2))).await;
    let lasting = begin(drill(Some("1.0"), None)).await;
    let take = |step: &'static str, tag: &'static str| {
        house.write(move |tx| {
            Box::pin(drills::take(
                tx,
                "push",
                step,
                false,
                Some("acme/busybox"),
                Some(tag),
            ))
        })
    };

    let left = |taken: Option<drills::Drill>| taken.map(|drill| (drill.id, drill.times_left));
    assert_eq!(left(take("reindex", "latest").await), None);
    assert_eq!(left(take("copy", "other").await), None);
    assert_eq!(
        left(take("copy", "latest").await),
        Some((twice.id, Some(1)))
    );
    assert_eq!(
        left(take("copy", "latest").await),
        Some((twice.id, Some(0)))
    );
    assert_eq!(left(take("copy", "latest").await), None);
    assert_eq!(left(take("copy", "1.0").await), Some((lasting.id, None)));
    assert_eq!(
        drills::list(&mut house.read().await).await.unwrap().len(),
        2
    );
    assert!(
        house
            .write(move |tx| Box::pin(drills::delete(tx, lasting.id)))
            .await
    );
    assert_eq!(left(take("copy", "1.0").await), None);
}
