//! The OCI API on a real database, real content and a real node, without a listener.

mod access;
mod blobs;
mod cost;
mod credentials;
mod manifests;
mod many_parts;
mod tokens;
mod uploads;

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use engine::clock::Clock;
use engine::journal::NodeId;
use engine::node::NodeOptions;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use storage::catalog::grants::{self, Scope};
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::products::{self, NewProduct};
use storage::catalog::roles::Role;
use storage::catalog::users::{self, NewUser};
use storage::content::Content;
use storage::{Database, Digest};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;
use workflows::Services;

use crate::app::App;
use crate::audit::Refusals;
use crate::auth::failed_logins::FailedLogins;
use crate::auth::passwords;
use crate::auth::tokens::Tokens;
use crate::config::{Config, Environment, Settings};

/// How every client here calls the server; also the name of its service.
const SERVICE: &str = "127.0.0.1:5000";
const PASSWORD: &str = "open sesame";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with the organizations `Acme` (with product `container_push`) and `Other`, and these users:
/// `admin` (everything, everywhere), `publisher` and `pusher` and `reader` of `Acme`, `stranger` (publisher of `Other`).
struct World {
    app: Arc<App>,
    router: axum::Router,
    folder: TempDir,
}

/// What was answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let database = Database::open(&folder.path().join("wharfinger.db"))
            .await
            .unwrap();
        let content = Content::open(
            database.clone(),
            &folder.path().join("content"),
            None,
            clock.now(),
        )
        .await
        .unwrap();
        let key = Tokens::new_key(clock.now()).unwrap();
        let config = Config::read(&Settings::from_flags(&[]), &Environment::of(&[])).unwrap();
        let tokens = Tokens::new(&[key], config.token_lifetime).unwrap();
        let services = Services {
            database,
            content,
            clock,
            task_export_dir: config.task_export_dir.as_deref().map(Into::into),
            upload_expiry: config.upload_expiry,
            outbound: config.outbound().unwrap(),
            public_url: None,
            progresses: workflows::proxy::Progresses::default(),
        };
        let options = NodeOptions::new(NodeId(Uuid::now_v7()), "test");
        let node = workflows::start(options, services.clone(), false)
            .await
            .unwrap();
        let app = Arc::new(App {
            manifest_memory: crate::oci::ManifestMemory::new(
                config.max_manifest_bytes,
                folder.path().to_owned(),
            ),
            config,
            services,
            node,
            tokens,
            failed_logins: FailedLogins::default(),
            refusals: Refusals::default(),
            answers: crate::answers::Answers::default(),
            pulls: crate::pulls::Pulls::default(),
            full_disk: crate::full_disk::FullDisk::new(
                folder.path(),
                &folder.path().join("wharfinger.db"),
            ),
            proxy: None,
            sizes: storage::catalog::sizes::Sizes::default(),
        });
        let router = super::router(Arc::clone(&app));
        let world = Self {
            app,
            router,
            folder,
        };
        world.populate().await;
        world
    }

    async fn populate(&self) {
        let at = self.app.services.clock.now();
        let hash = passwords::hash(PASSWORD.into()).await.unwrap();
        let work = self.app.services.database.transact(move |tx| {
            Box::pin(async move {
                let organization = |label: &str| NewOrganization {
                    label: label.parse().unwrap(),
                    name: label.to_owned(),
                };
                let acme = organizations::create(tx, &organization("Acme"), at)
                    .await?
                    .id;
                let other = organizations::create(tx, &organization("Other"), at)
                    .await?
                    .id;
                let product = NewProduct {
                    label: "container_push".parse().unwrap(),
                    name: "Container push".to_owned(),
                };
                products::create(tx, acme, &product, at).await?;
                let everywhere = Scope::default();
                let in_acme = Scope {
                    organization: Some(acme),
                    ..everywhere
                };
                let in_other = Scope {
                    organization: Some(other),
                    ..everywhere
                };
                for (login, role, scope) in [
                    ("admin", Role::Admin, everywhere),
                    ("publisher", Role::Publisher, in_acme),
                    ("pusher", Role::Pusher, in_acme),
                    ("reader", Role::Reader, in_acme),
                    ("stranger", Role::Publisher, in_other),
                ] {
                    let new = NewUser {
                        login: login.to_owned(),
                        name: login.to_owned(),
                        email: None,
                        password_hash: hash.clone(),
                        enabled: true,
                    };
                    let user = users::create(tx, &new, at).await?;
                    grants::create(tx, user.id, role, scope, at).await?;
                }
                Ok::<_, storage::catalog::CatalogError>(())
            })
        });
        work.await.unwrap().unwrap();
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Uploads a blob the way podman does: POST, PATCH, PUT.
    async fn upload(&self, login: &str, name: &str, bytes: &'static [u8]) -> Digest {
        let digest = Digest::of(bytes);
        let begun = self
            .send(post(&format!("/v2/{name}/blobs/uploads/")).by(login))
            .await;
        let sent = self
            .send(patch(begun.location()).by(login).with(bytes))
            .await;
        let done = put(&format!("{}?digest={digest}", sent.location()));
        self.send(done.by(login)).await.is(StatusCode::CREATED);
        digest
    }
}

impl Answer {
    /// Checks the status, and shows the body if it is another.
    #[track_caller]
    fn is(&self, status: StatusCode) -> &Self {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    /// Checks status and code of a refusal.
    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!(
            (self.status.as_u16(), self.error()["code"].as_str().unwrap()),
            (status, code),
            "{self:?}"
        );
        self
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn error(&self) -> Value {
        self.json()["errors"][0].clone()
    }

    fn message(&self) -> String {
        self.error()["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .expect("the header")
            .to_str()
            .unwrap()
    }

    #[track_caller]
    fn location(&self) -> &str {
        self.header(LOCATION)
    }
}

fn request(method: Method, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, SERVICE)
}

fn get(path: &str) -> Builder {
    request(Method::GET, path)
}

fn head(path: &str) -> Builder {
    request(Method::HEAD, path)
}

fn post(path: &str) -> Builder {
    request(Method::POST, path)
}

fn patch(path: &str) -> Builder {
    request(Method::PATCH, path)
}

fn put(path: &str) -> Builder {
    request(Method::PUT, path)
}

fn delete(path: &str) -> Builder {
    request(Method::DELETE, path)
}

/// How the requests of these tests are finished.
trait Finish: Sized {
    /// As this user, with the password; empty: as nobody.
    fn by(self, login: &str) -> Request<Body>;
    /// With this token.
    fn with_token(self, token: &str) -> Request<Body>;
}

impl Finish for Builder {
    fn by(self, login: &str) -> Request<Body> {
        let basic = BASE64_STANDARD.encode(format!("{login}:{PASSWORD}"));
        let request = if login.is_empty() {
            self
        } else {
            self.header(AUTHORIZATION, format!("Basic {basic}"))
        };
        request.body(Body::empty()).unwrap()
    }

    fn with_token(self, token: &str) -> Request<Body> {
        self.header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    }
}

/// A body for a request that has none yet.
trait With {
    fn with(self, bytes: impl Into<Body>) -> Self;
}

impl With for Request<Body> {
    fn with(self, bytes: impl Into<Body>) -> Self {
        self.map(|_| bytes.into())
    }
}

/// A manifest of one config and one layer.
fn manifest(config: Digest, layer: Digest) -> Vec<u8> {
    let part = |media_type: &str, digest: Digest| json!({ "mediaType": media_type, "digest": digest, "size": 2 });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": part("application/vnd.oci.image.config.v1+json", config),
        "layers": [part("application/vnd.oci.image.layer.v1.tar", layer)],
    });
    serde_json::to_vec(&manifest).unwrap()
}

/// `PUT` of a manifest.
fn put_manifest(name: &str, reference: &str) -> Builder {
    put(&format!("/v2/{name}/manifests/{reference}")).header(CONTENT_TYPE, MANIFEST_TYPE)
}
