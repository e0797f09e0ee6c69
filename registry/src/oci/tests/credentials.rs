//! Personal tokens, robots, anonymous pull, slow logins, and uploads that take longer than a token lives.

use std::time::Duration;

use engine::clock::Timestamp;
use engine::search::Search;
use secrecy::ExposeSecret;
use storage::catalog::CatalogError;
use storage::catalog::audit;
use storage::catalog::products::{self, ProductChanges};
use storage::catalog::robots;
use storage::catalog::roles::{Permission, PermissionSet};
use storage::catalog::settings::{self, Key};
use storage::catalog::tokens::{self, NewToken, Token};
use storage::catalog::users::{User, UserChanges};
use storage::content::UploadId;
use storage::database::{BoxFuture, Tx};
use workflows::destination::{make, resolve};

use super::*;
use crate::auth::personal_tokens::Secret;
use crate::auth::scope::{Access, Scope as ForScope};
use crate::auth::tokens::Holder;

const HOUR: Duration = Duration::from_hours(1);
const UPLOADS: &str = "/v2/acme/busybox/blobs/uploads/";
const TAGS: &str = "/v2/acme/busybox/tags/list";

impl World {
    fn now(&self) -> Timestamp {
        self.app.services.clock.now()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, CatalogError>> + Send + 'static,
    ) -> T {
        let written = self.app.services.database.transact(work).await;
        written.unwrap().unwrap()
    }

    async fn user(&self, login: &str) -> User {
        let mut tx = self.app.services.database.read().await.unwrap();
        users::find(&mut tx, login).await.unwrap().unwrap()
    }

    /// A personal token of this user, and what is shown of it.
    async fn personal_token(&self, login: &str, scope: Option<PermissionSet>) -> (Token, String) {
        let secret = Secret::generate().unwrap();
        let (at, user) = (self.now(), self.user(login).await.id);
        let new = NewToken {
            user,
            name: "laptop".to_owned(),
            secret_sha256: secret.sha256,
            scope,
            expires_at: None,
        };
        let token = self
            .write(move |tx| Box::pin(async move { tokens::create(tx, &new, at).await }))
            .await;
        (token, secret.shown.expose_secret().to_owned())
    }

    /// A token of `/v2/token`, asked for with these credentials.
    async fn token_for(&self, login: &str, password: &str, scope: &str) -> String {
        let path = format!("/v2/token?service={SERVICE}&scope=repository:acme/busybox:{scope}");
        let answer = self.send(get(&path).with_basic(login, password)).await;
        let token = answer.is(StatusCode::OK).json()["token"].clone();
        token.as_str().unwrap().to_owned()
    }

    /// A token of the publisher that ended half an hour ago.
    fn expired_token(&self) -> String {
        let access = Access::parse("repository:acme/busybox:pull,push").unwrap();
        let signed = self.app.tokens.sign(
            Holder::named("publisher"),
            SERVICE,
            ForScope::Only(vec![access]),
            self.now() - HOUR,
        );
        signed.unwrap().token
    }

    /// An upload session that the publisher opened so long ago.
    async fn session(&self, ago: Duration) -> UploadId {
        let at = self.now() - ago;
        let to = self
            .write(move |tx| {
                Box::pin(async move {
                    let name = "acme/busybox".parse().unwrap();
                    let to = resolve(tx, &name).await.unwrap();
                    Ok(make(tx, &to, at).await.unwrap())
                })
            })
            .await;
        let user = self.user("publisher").await.id;
        let content = &self.app.services.content;
        content.open_upload(to.id, user, at).await.unwrap().id
    }

    /// Lets everybody pull from product `container_push`.
    async fn open_to_everybody(&self) {
        self.write(|tx| {
            Box::pin(async move {
                let acme = organizations::find(tx, "acme").await?.unwrap();
                let product = products::find(tx, acme.id, "container_push")
                    .await?
                    .unwrap();
                let changes = ProductChanges {
                    anonymous_pull: Some(true),
                    ..ProductChanges::default()
                };
                products::update(tx, product.id, &changes).await.map(drop)
            })
        })
        .await;
    }

    /// Pushes `acme/busybox:latest`.
    async fn push_busybox(&self) {
        let config = self.upload("publisher", "acme/busybox", b"{}").await;
        let layer = self.upload("publisher", "acme/busybox", b"xx").await;
        let put = put_manifest("acme/busybox", "latest").by("publisher");
        let pushed = self.send(put.with(manifest(config, layer))).await;
        pushed.is(StatusCode::CREATED);
    }
}

trait WithBasic {
    fn with_basic(self, login: &str, password: &str) -> Request<Body>;
}

impl WithBasic for Builder {
    fn with_basic(self, login: &str, password: &str) -> Request<Body> {
        let basic = BASE64_STANDARD.encode(format!("{login}:{password}"));
        self.header(AUTHORIZATION, format!("Basic {basic}"))
            .body(Body::empty())
            .unwrap()
    }
}

#[tokio::test]
async fn a_revoked_personal_token_takes_along_the_tokens_that_were_got_with_it() {
    let world = World::new().await;
    let (token, shown) = world.personal_token("publisher", None).await;
    let got = world.token_for("publisher", &shown, "pull,push").await;
    let begun = world.send(post(UPLOADS).with_token(&got)).await;
    begun.is(StatusCode::ACCEPTED);

    world
        .write(move |tx| Box::pin(tokens::delete(tx, token.id)))
        .await;

    let refused = world.send(post(UPLOADS).with_token(&got)).await;
    refused.is_refused(401, "UNAUTHORIZED");
    let session = world.send(patch(begun.location()).with_token(&got)).await;
    session.is_refused(401, "UNAUTHORIZED");
    let again = get("/v2/token").with_basic("publisher", &shown);
    world.send(again).await.is_refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_personal_token_to_pull_does_not_push_whatever_its_user_may() {
    let world = World::new().await;
    let scope = [Permission::Pull].into_iter().collect();
    let (_, shown) = world.personal_token("publisher", Some(scope)).await;
    let got = world.token_for("publisher", &shown, "pull,push").await;

    let direct = world
        .send(post(UPLOADS).with_basic("publisher", &shown))
        .await;
    let by_token = world.send(post(UPLOADS).with_token(&got)).await;

    for refused in [direct, by_token] {
        refused.is_refused(403, "DENIED");
        assert!(
            refused
                .message()
                .contains("does not give the permission `push`"),
            "{}",
            refused.message()
        );
    }
}

#[tokio::test]
async fn a_robot_pushes_with_its_token() {
    let world = World::new().await;
    let (secret, at) = (Secret::generate().unwrap(), world.now());
    let sha256 = secret.sha256;
    world
        .write(move |tx| {
            Box::pin(async move {
                let acme = organizations::find(tx, "acme").await?.unwrap();
                let robot = robots::create(tx, &acme, "ci", sha256, at).await?;
                let scope = Scope {
                    organization: Some(acme.id),
                    ..Scope::default()
                };
                grants::create(tx, robot.id, Role::Publisher, scope, at).await
            })
        })
        .await;
    let shown = secret.shown.expose_secret();
    let got = world.token_for("Acme+ci", shown, "pull,push").await;
    let digest = Digest::of(b"by a robot");

    let pushed = post(&format!("{UPLOADS}?digest={digest}")).with_token(&got);

    let pushed = world.send(pushed.with("by a robot")).await;
    pushed.is(StatusCode::CREATED);
}

#[tokio::test]
async fn from_a_product_with_anonymous_pull_everybody_pulls_and_nobody_else_pushes() {
    let world = World::new().await;
    world.push_busybox().await;
    world
        .send(get(TAGS).by(""))
        .await
        .is_refused(401, "UNAUTHORIZED");

    world.open_to_everybody().await;

    let anonymous = world
        .send(
            get(&format!(
                "/v2/token?service={SERVICE}&scope=repository:acme/busybox:pull,push"
            ))
            .by(""),
        )
        .await;
    let token = anonymous.json()["token"].as_str().unwrap().to_owned();
    for request in [
        get(TAGS).by(""),
        get(TAGS).with_token(&token),
        get(TAGS).by("stranger"),
    ] {
        let tags = world.send(request).await;
        assert_eq!(tags.is(StatusCode::OK).json()["tags"], json!(["latest"]));
    }
    let pushed = world.send(post(UPLOADS).with_token(&token)).await;
    pushed.is_refused(401, "UNAUTHORIZED");
    let stranger = world.send(post(UPLOADS).by("stranger")).await;
    stranger.is_refused(403, "DENIED");
    let elsewhere = world.send(get("/v2/acme/tools/app/tags/list").by("")).await;
    elsewhere.is_refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_setting_anonymous_pull_closes_all_open_products_at_once() {
    let world = World::new().await;
    world.push_busybox().await;
    world.open_to_everybody().await;
    let at = world.now();

    world
        .write(move |tx| {
            Box::pin(async move {
                settings::set(tx, Key::AnonymousPull, &json!(false), "admin", at).await
            })
        })
        .await;

    world
        .send(get(TAGS).by(""))
        .await
        .is_refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn failed_logins_are_put_off_on_the_token_route_and_refused_elsewhere() {
    let world = World::new().await;
    let wrong = |path: &str| get(path).with_basic("reader", "wrong");
    for _ in 0..5 {
        world
            .send(wrong("/v2/token"))
            .await
            .is_refused(401, "UNAUTHORIZED");
    }

    let token = world.send(wrong("/v2/token")).await;
    let other = world.send(wrong(TAGS)).await;

    token.is_refused(429, "TOOMANYREQUESTS");
    assert_eq!(token.header("retry-after"), "1");
    other.is_refused(401, "UNAUTHORIZED");
    world
        .send(get("/v2/token").by("pusher"))
        .await
        .is(StatusCode::OK);
}

#[tokio::test]
async fn the_keys_that_check_tokens_are_for_everyone() {
    let world = World::new().await;

    let keys = world.send(get("/v2/token/keys").by("")).await;

    keys.is(StatusCode::OK);
    assert_eq!(keys.header("content-type"), "application/jwk-set+json");
    let key = keys.json()["keys"][0].clone();
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
    );
    assert!(key.get("d").is_none(), "the private half stays here");
}

#[tokio::test]
async fn an_upload_begun_in_time_goes_on_with_the_same_token_after_its_end() {
    let world = World::new().await;
    let (token, digest) = (world.expired_token(), Digest::of(b"took long"));
    let session = format!("{UPLOADS}{}", world.session(Duration::from_mins(57)).await);

    let sent = patch(&session).with_token(&token).with("took long");
    let sent = world.send(sent).await;
    let status = world.send(get(&session).with_token(&token)).await;
    let finish = put(&format!("{session}?digest={digest}")).with_token(&token);
    let finished = world.send(finish).await;

    sent.is(StatusCode::ACCEPTED);
    status.is(StatusCode::NO_CONTENT);
    finished.is(StatusCode::CREATED);
}

#[tokio::test]
async fn an_expired_token_begins_no_upload_and_finishes_none_that_began_after_its_end() {
    let world = World::new().await;
    let token = world.expired_token();
    let later = format!("{UPLOADS}{}", world.session(HOUR / 4).await);
    let unknown = format!("{UPLOADS}{}", Uuid::new_v4());

    for request in [
        post(UPLOADS).with_token(&token),
        patch(&later).with_token(&token),
        patch(&unknown).with_token(&token),
        put_manifest("acme/busybox", "latest").with_token(&token),
        get(TAGS).with_token(&token),
    ] {
        let refused = world.send(request).await;

        refused.is_refused(401, "UNAUTHORIZED");
        assert!(
            refused
                .header("www-authenticate")
                .ends_with("error=\"invalid_token\"")
        );
    }
}

#[tokio::test]
async fn the_right_of_an_upload_ends_with_a_day_with_the_user_and_with_the_users_right() {
    let world = World::new().await;
    let access = Access::parse("repository:acme/busybox:pull,push").unwrap();
    let old = world.app.tokens.sign(
        Holder::named("publisher"),
        SERVICE,
        ForScope::Only(vec![access]),
        world.now() - Duration::from_hours(25),
    );
    let day_old = format!("{UPLOADS}{}", world.session(Duration::from_hours(25)).await);
    let session = format!("{UPLOADS}{}", world.session(Duration::from_mins(57)).await);
    let expired = world.expired_token();
    let publisher = world.user("publisher").await.id;

    let too_old = world
        .send(patch(&day_old).with_token(&old.unwrap().token))
        .await;
    world
        .write(move |tx| Box::pin(grants::delete_all(tx, publisher)))
        .await;
    let no_right = world.send(patch(&session).with_token(&expired)).await;
    let disabled = UserChanges {
        enabled: Some(false),
        ..UserChanges::default()
    };
    world
        .write(move |tx| Box::pin(async move { users::update(tx, publisher, &disabled).await }))
        .await;
    let no_user = world.send(patch(&session).with_token(&expired)).await;

    too_old.is_refused(401, "UNAUTHORIZED");
    no_right.is_refused(403, "DENIED");
    no_user.is_refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_right_of_an_upload_and_every_token_end_with_the_password_they_were_got_with() {
    let world = World::new().await;
    let session = format!("{UPLOADS}{}", world.session(Duration::from_mins(57)).await);
    let (expired, publisher) = (world.expired_token(), world.user("publisher").await.id);
    let fresh = world.token_for("publisher", PASSWORD, "pull,push").await;
    let (_, personal) = world.personal_token("publisher", None).await;
    let by_personal = world.token_for("publisher", &personal, "pull,push").await;
    let changed = UserChanges {
        password_hash: Some(passwords::hash("another".into()).await.unwrap()),
        ..UserChanges::default()
    };

    world
        .write(move |tx| Box::pin(async move { users::update(tx, publisher, &changed).await }))
        .await;

    for request in [
        patch(&session).with_token(&expired),
        patch(&session).with_token(&fresh),
        get(TAGS).with_token(&fresh),
        post(UPLOADS).with_token(&fresh),
    ] {
        let refused = world.send(request).await;
        refused.is_refused(401, "UNAUTHORIZED");
        let challenge = refused.header("www-authenticate");
        assert!(
            challenge.ends_with("error=\"invalid_token\""),
            "{challenge}"
        );
    }
    let begun = world.send(post(UPLOADS).with_token(&by_personal)).await;
    begun.is(StatusCode::ACCEPTED);
    let anew = world.token_for("publisher", "another", "pull,push").await;
    let went_on = world.send(patch(&session).with_token(&anew)).await;
    went_on.is(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_denied_push_is_in_the_audit_once() {
    let world = World::new().await;
    for _ in 0..3 {
        world
            .send(post(UPLOADS).by("reader"))
            .await
            .is_refused(403, "DENIED");
    }

    let mut tx = world.app.services.database.read().await.unwrap();
    let entries = audit::list(&mut tx, &Search::everything(world.now()), None, 10)
        .await
        .unwrap();

    assert_eq!(entries.len(), 1);
    let what = &entries[0].what;
    assert_eq!(
        (what.actor.as_str(), what.subject.as_str(), what.result),
        ("reader", "repository acme/busybox", audit::Outcome::Refused)
    );
}
