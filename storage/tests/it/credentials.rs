//! Tokens, robots, roles of one's own, settings, and the audit.

use std::time::Duration;

use engine::clock::Timestamp;
use engine::search::Search;
use serde_json::json;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::catalog::grants::{self, Scope};
use storage::catalog::roles::{self, Permission, PermissionSet, Role};
use storage::catalog::settings::{self, Key};
use storage::catalog::tokens::{self, NewToken, Token};
use storage::catalog::users::{self, UserChanges};
use storage::catalog::{CatalogError, robots, signing_keys};

use crate::house::{AT, House, new_user, plan};

const SECRET: [u8; 32] = [7; 32];

fn new_token(house: &House, name: &str, secret: [u8; 32]) -> NewToken {
    NewToken {
        user: house.user.id,
        name: name.to_owned(),
        secret_sha256: secret,
        scope: Some([Permission::Pull].into_iter().collect()),
        expires_at: Some(AT + Duration::from_secs(10)),
    }
}

async fn make(house: &House, new: NewToken) -> Token {
    house
        .write(move |tx| Box::pin(async move { tokens::create(tx, &new, AT).await }))
        .await
}

fn set(permissions: &[Permission]) -> PermissionSet {
    permissions.iter().copied().collect()
}

#[tokio::test]
async fn a_token_is_found_by_its_secret_and_kept_with_scope_and_end() {
    let house = House::new().await;
    let made = make(&house, new_token(&house, "laptop", SECRET)).await;

    let mut tx = house.read().await;
    let found = tokens::by_secret(&mut tx, &SECRET).await.unwrap();
    let other = tokens::by_secret(&mut tx, &[8; 32]).await.unwrap();

    assert_eq!(found, Some(made.clone()));
    assert_eq!(other, None);
    assert_eq!(made.scope, Some(set(&[Permission::Pull])));
    assert!(made.counts_at(AT + Duration::from_secs(9)));
    assert!(!made.counts_at(AT + Duration::from_secs(10)));
    let again = new_token(&house, "laptop", [8; 32]);
    let refused = house
        .refused(move |tx| Box::pin(async move { tokens::create(tx, &again, AT).await }))
        .await;
    assert!(matches!(refused, CatalogError::Duplicate { .. }));
}

#[tokio::test]
async fn the_last_use_of_a_token_is_news_once_a_minute_and_never_goes_back() {
    let house = House::new().await;
    let made = make(&house, new_token(&house, "laptop", SECRET)).await;
    let (id, later) = (made.id, AT + Duration::from_secs(30));
    assert!(made.use_is_news(AT));

    for at in [later, AT] {
        house
            .write(move |tx| Box::pin(tokens::note_use(tx, id, at)))
            .await;
    }

    let used = tokens::get(&mut house.read().await, id).await.unwrap();
    let used = used.unwrap();
    assert_eq!(used.last_used_at, Some(later));
    assert!(!used.use_is_news(later + Duration::from_secs(59)));
    assert!(used.use_is_news(later + Duration::from_mins(1)));
}

#[tokio::test]
async fn a_robot_is_a_user_of_its_organization_with_one_token() {
    let house = House::new().await;
    let acme = house.organization.clone();
    let robot = house
        .write(move |tx| Box::pin(async move { robots::create(tx, &acme, "ci", SECRET, AT).await }))
        .await;
    let id = robot.id;

    house
        .write(move |tx| Box::pin(robots::renew_token(tx, id, [9; 32], AT)))
        .await;

    let mut tx = house.read().await;
    assert_eq!(robot.login, "Acme+ci");
    let user = users::find(&mut tx, "acme+CI").await.unwrap().unwrap();
    assert_eq!(user.robot_of, Some(house.organization.id));
    assert_eq!(users::count(&mut tx).await.unwrap(), 1, "it is no person");
    assert_eq!(tokens::by_secret(&mut tx, &SECRET).await.unwrap(), None);
    let token = tokens::by_secret(&mut tx, &[9; 32]).await.unwrap();
    assert_eq!(token.unwrap().user, id);
    let listed = robots::of(&mut tx, house.organization.id).await.unwrap();
    assert_eq!(listed, [robot]);
}

#[tokio::test]
async fn a_deleted_user_leaves_the_login_taken_and_nothing_else() {
    let house = House::new().await;
    let user = house.user.id;
    make(&house, new_token(&house, "laptop", SECRET)).await;
    house
        .write(move |tx| Box::pin(grants::create(tx, user, Role::Reader, Scope::default(), AT)))
        .await;

    let deleted = house
        .write(move |tx| Box::pin(users::delete(tx, user, AT)))
        .await;

    assert!(deleted);
    let mut tx = house.read().await;
    assert_eq!(users::get(&mut tx, user).await.unwrap(), None);
    assert!(users::credentials(&mut tx, "ann").await.unwrap().is_none());
    assert_eq!(users::list(&mut tx, None, 10).await.unwrap(), []);
    assert_eq!(grants::of(&mut tx, user).await.unwrap(), []);
    assert_eq!(tokens::by_secret(&mut tx, &SECRET).await.unwrap(), None);
    let refused = house
        .refused(|tx| Box::pin(async move { users::create(tx, &new_user("Ann"), AT).await }))
        .await;
    assert!(matches!(refused, CatalogError::Duplicate { .. }));
}

#[tokio::test]
async fn a_grant_of_a_role_made_here_gives_what_the_role_gives_now() {
    let house = House::new().await;
    let user = house.user.id;
    let role = house
        .write(|tx| Box::pin(roles::create(tx, "packer", set(&[Permission::Push]), AT)))
        .await;
    house
        .write(move |tx| Box::pin(grants::create(tx, user, role, Scope::default(), AT)))
        .await;

    house
        .write(|tx| Box::pin(roles::change(tx, "packer", set(&[Permission::Delete]))))
        .await;

    let of = grants::of(&mut house.read().await, user).await.unwrap();
    assert_eq!(of[0].role.name(), "packer");
    assert_eq!(
        grants::permissions_everywhere(&of),
        set(&[Permission::Delete])
    );
    let in_use = house
        .write(|tx| Box::pin(roles::delete(tx, "packer")))
        .await;
    assert!(!in_use);
    let built_in = house
        .refused(|tx| Box::pin(roles::create(tx, "admin", PermissionSet::default(), AT)))
        .await;
    assert!(matches!(built_in, CatalogError::Duplicate { .. }));
}

#[tokio::test]
async fn a_setting_has_its_default_until_somebody_sets_it() {
    let house = House::new().await;
    let key = Key::SigningKeyDays;
    let before = settings::get(&mut house.read().await, key).await.unwrap();

    for days in [7, 8] {
        house
            .write(move |tx| {
                Box::pin(async move { settings::set(tx, key, &json!(days), "ann", AT).await })
            })
            .await;
    }

    let mut tx = house.read().await;
    let after = settings::get(&mut tx, key).await.unwrap();
    assert_eq!((before.value, before.changed), (json!(30), None));
    assert_eq!(after.changed, Some(("ann".to_owned(), AT)));
    assert_eq!(settings::signing_key_days(&mut tx).await.unwrap(), 8);
    assert_eq!(settings::list(&mut tx).await.unwrap().len(), 8);
}

fn entry(actor: &str, action: Action) -> NewEntry {
    NewEntry {
        actor: actor.to_owned(),
        action,
        subject: "user bob".to_owned(),
        from: Some("192.0.2.1".to_owned()),
        result: Outcome::Done,
        task: None,
        reason: Some("name".to_owned()),
    }
}

#[tokio::test]
async fn the_audit_is_listed_from_the_newest_and_narrowed() {
    let house = House::new().await;
    for (actor, action) in [
        ("ann", Action::Create),
        ("bob", Action::Change),
        ("ann", Action::Change),
    ] {
        house
            .write(move |tx| {
                Box::pin(async move { audit::record(tx, &entry(actor, action), AT).await })
            })
            .await;
    }

    let mut tx = house.read().await;
    let everything = Search::everything(AT);
    let narrowed = Search::parse("actor = ann and not action = create", AT).unwrap();
    let all = audit::list(&mut tx, &everything, None, 10).await.unwrap();
    let some = audit::list(&mut tx, &narrowed, None, 10).await.unwrap();
    let older = audit::list(&mut tx, &everything, Some(all[1].id), 10)
        .await
        .unwrap();

    assert_eq!(all[0].what, entry("ann", Action::Change));
    assert_eq!(some, all[..1]);
    assert_eq!(older, all[2..]);
    assert_eq!(audit::count(&mut tx, &narrowed).await.unwrap(), 1);
}

#[tokio::test]
async fn each_field_of_the_audit_can_be_searched() {
    let house = House::new().await;
    let task = plan(7);
    let mut about_a_task = entry("ann", Action::Cancel);
    about_a_task.task = Some(task);
    for entry in [about_a_task, entry("bob", Action::Change)] {
        house
            .write(move |tx| Box::pin(async move { audit::record(tx, &entry, AT).await }))
            .await;
    }

    let mut tx = house.read().await;
    for (search, found) in [
        ("at > 1969-12-31", 2),
        ("actor ^ (ann, eve)", 1),
        ("actor = ANN", 1),
        ("actor != Ann", 1),
        ("action = change", 1),
        ("subject ~ bob", 2),
        ("from = 192.0.2.1", 2),
        ("result = refused", 0),
        (&format!("task = {task}"), 1),
        ("reason = name and ann", 1),
    ] {
        let parsed = Search::parse(search, AT).unwrap();
        let count = audit::count(&mut tx, &parsed).await.unwrap();
        assert_eq!(count, found, "{search}");
    }
}

#[tokio::test]
async fn a_user_knows_how_often_the_password_was_changed_and_no_other_change_counts() {
    let house = House::new().await;
    let id = house.user.id;
    let name = UserChanges {
        name: Some("Ann".to_owned()),
        ..UserChanges::default()
    };
    let password = UserChanges {
        password_hash: Some("another hash".to_owned()),
        ..UserChanges::default()
    };

    let mut counts = Vec::new();
    for changes in [name.clone(), password.clone(), name, password] {
        let user = house
            .write(move |tx| Box::pin(async move { users::update(tx, id, &changes).await }))
            .await;
        counts.push(user.unwrap().password_changes);
    }

    assert_eq!(counts, [0, 1, 1, 2]);
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_or_shorten_the_audit() {
    let house = House::new().await;
    house
        .write(|tx| {
            Box::pin(async move { audit::record(tx, &entry("ann", Action::Create), AT).await })
        })
        .await;

    for statement in ["DELETE FROM audit", "UPDATE audit SET actor = 'eve'"] {
        let refused = house
            .refused(move |tx| {
                Box::pin(async move {
                    let done = sqlx::query(statement).execute(&mut *tx).await;
                    Ok(done.map(drop)?)
                })
            })
            .await;
        let CatalogError::Database(why) = refused else {
            panic!("{refused}")
        };
        let cause = std::error::Error::source(&why).map(ToString::to_string);
        assert!(cause.unwrap().contains("append-only"), "{why}");
    }
}

#[tokio::test]
async fn of_the_signing_keys_the_newest_are_kept() {
    let house = House::new().await;
    for n in 1..=3 {
        let key = signing_keys::SigningKey {
            id: n.to_string(),
            private_key: vec![0],
            public_key: vec![0],
            created_at: Timestamp(n),
        };
        house
            .write(move |tx| Box::pin(async move { signing_keys::put(tx, &key).await }))
            .await;
    }

    house
        .write(|tx| Box::pin(signing_keys::keep_newest(tx, 2)))
        .await;

    let kept = signing_keys::all(&mut house.read().await).await.unwrap();
    let ids: Vec<&str> = kept.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["3", "2"]);
}
