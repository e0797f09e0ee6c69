//! The API over a house of its own, and those who call it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Clock;
use engine::journal::{Json, NodeId};
use engine::node::NodeOptions;
use engine::schedule::{Missed, Put, Schedule, ScheduleId};
use engine::store::Store;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use storage::catalog::signing_keys;
use storage::{Content, Database, Digest};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::app::App;
use crate::audit::Refusals;
use crate::auth::failed_logins::FailedLogins;
use crate::auth::scope::Scope;
use crate::auth::tokens::{Holder, Tokens};
use crate::config::{Config, Environment, Settings};
use crate::data_dir::DataDir;
use crate::first_start;
use crate::http::Draining;

pub(in crate::api) const SERVICE: &str = "127.0.0.1:5000";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(in crate::api) const ADMIN: Who = Who::Login("admin", "secret");
pub(in crate::api) const BOB: Who = Who::Login("bob", "bobs secret");

/// Who asks.
pub(in crate::api) enum Who<'a> {
    Nobody,
    Login(&'a str, &'a str),
    Token(String),
}

impl Who<'_> {
    /// What they show.
    pub(super) fn authorization(&self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Login(user, password) => {
                let both = STANDARD.encode(format!("{user}:{password}"));
                Some(format!("Basic {both}"))
            }
            Self::Token(token) => Some(format!("Bearer {token}")),
        }
    }
}

/// An answer that was read.
pub(in crate::api) struct Answer {
    pub(in crate::api) response: Response<()>,
    pub(in crate::api) body: Value,
}

impl Answer {
    pub(in crate::api) fn status(&self) -> StatusCode {
        self.response.status()
    }
}

/// The API over a database and a content folder of its own.
pub(in crate::api) struct Api {
    app: Arc<App>,
    router: Router,
    _data_dir: DataDir,
    _folder: tempfile::TempDir,
}

impl Api {
    pub(in crate::api) async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings::from_flags(flags).with("data_dir", folder.path().to_str().unwrap());
        let config = Config::read(&settings, &Environment::default()).unwrap();
        let clock = Clock::system();
        let data_dir = DataDir::take(&config.data_dir).unwrap();
        let database = Database::open(&config.database).await.unwrap();
        let password = Some(SecretString::from("secret".to_owned()));
        first_start::make(&database, &data_dir, password, clock.now())
            .await
            .unwrap();
        let content = Content::open(database.clone(), &config.content_dir, None, clock.now())
            .await
            .unwrap();
        let keys = signing_keys::all(&mut database.read().await.unwrap())
            .await
            .unwrap();
        let tokens = Tokens::new(&keys, config.token_lifetime).unwrap();
        let services = workflows::Services {
            database,
            content,
            clock,
            task_export_dir: config.task_export_dir.as_deref().map(Into::into),
            upload_expiry: config.upload_expiry,
            outbound: config.outbound().unwrap(),
            public_url: None,
            progresses: workflows::proxy::Progresses::default(),
        };
        let options = NodeOptions::new(NodeId(Uuid::new_v4()), "test");
        let node = workflows::start(options, services.clone(), config.allow_drills)
            .await
            .unwrap();
        let app = Arc::new(App {
            manifest_memory: crate::oci::ManifestMemory::new(
                config.max_manifest_bytes,
                config.data_dir.clone(),
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
        let router =
            crate::oci::router(Arc::clone(&app)).merge(crate::api::router(Arc::clone(&app)));
        Self {
            app,
            router,
            _data_dir: data_dir,
            _folder: folder,
        }
    }

    pub(in crate::api) async fn ask(
        &self,
        who: &Who<'_>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, SERVICE);
        if let Some(shown) = who.authorization() {
            request = request.header(AUTHORIZATION, shown);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            response: Response::from_parts(head, ()),
            body,
        }
    }

    /// The answer to the request, as it begins.
    pub(super) async fn open(&self, mut request: Request<Body>) -> Response<Body> {
        let running = Draining(CancellationToken::new());
        request.extensions_mut().insert(running);
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Pushes an image without layers as `<name>:latest`. Answers the ids of its repository and its task, and its digest.
    pub(in crate::api) async fn push(&self, name: &str) -> (String, String, String) {
        let config = Digest::of(b"{}");
        let descriptor =
            |media_type: &str| json!({"mediaType": media_type, "digest": config, "size": 2});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [],
        })
        .to_string();
        for (method, path, body) in [
            (
                Method::POST,
                format!("blobs/uploads/?digest={config}"),
                "{}",
            ),
            (Method::PUT, "manifests/latest".to_owned(), &*manifest),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/v2/{name}/{path}"))
                .header(HOST, SERVICE)
                .header(CONTENT_TYPE, MANIFEST)
                .header(AUTHORIZATION, ADMIN.authorization().unwrap());
            let answer = self
                .send(request.body(body.to_owned().into()).unwrap())
                .await;
            assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.body);
        }
        let search = format!("search=repository%20%3D%20{}", name.replace('/', "%2F"));
        let tasks = self
            .get(&ADMIN, &format!("/api/v1/tasks?{search}"))
            .await
            .body;
        let search = format!("search=pushed_name%20%3D%20{}", name.replace('/', "%2F"));
        let repositories = self
            .get(&ADMIN, &format!("/api/v1/repositories?{search}"))
            .await
            .body;
        (
            repositories["results"][0]["id"].to_string(),
            tasks["results"][0]["id"].as_str().unwrap().to_owned(),
            Digest::of(manifest.as_bytes()).to_string(),
        )
    }

    pub(in crate::api) async fn get(&self, who: &Who<'_>, path: &str) -> Answer {
        self.ask(who, Method::GET, path, None).await
    }

    pub(in crate::api) async fn post(&self, who: &Who<'_>, path: &str, body: Value) -> Answer {
        self.ask(who, Method::POST, path, Some(body)).await
    }

    pub(in crate::api) async fn patch(&self, who: &Who<'_>, path: &str, body: Value) -> Answer {
        self.ask(who, Method::PATCH, path, Some(body)).await
    }

    /// Does at once what is done every minute.
    pub(super) async fn write_pulls_down(&self) {
        let database = &self.app.services.database;
        self.app.pulls.write(database).await.unwrap();
    }

    /// Organization `acme`, and Bob, who has this role in it.
    pub(in crate::api) async fn with_bob(self, role: &str) -> Self {
        let acme = json!({"label": "acme", "name": "Acme"});
        let bob = json!({"login": "bob", "password": "bobs secret"});
        let grant = json!({"user": "bob", "role": role, "organization": "acme"});
        for (path, body) in [
            ("/organizations", acme),
            ("/users", bob),
            ("/grants", grant),
        ] {
            let made = self.post(&ADMIN, &format!("/api/v1{path}"), body).await;
            assert_eq!(made.status(), StatusCode::CREATED, "{path}: {}", made.body);
        }
        self
    }

    pub(in crate::api) fn token(&self, login: &str, scope: Scope) -> Who<'static> {
        let now = self.app.services.clock.now();
        Who::Token(
            self.app
                .tokens
                .sign(Holder::named(login), SERVICE, scope, now)
                .unwrap()
                .token,
        )
    }

    /// Keeps a schedule of pushes like this task, as a later version could that lets them be scheduled. Answers its number.
    pub(in crate::api) async fn schedule(&self, name: &str, task: &str, built_in: bool) -> String {
        let plan = self.app.node.plan(task.parse().unwrap()).await.unwrap();
        let now = self.app.services.clock.now();
        self.put_schedule(Schedule {
            id: ScheduleId::default(),
            name: name.to_owned(),
            workflow: "push".to_owned(),
            input: plan.submitted.as_ref().unwrap().input.clone(),
            cron: "30 2 1 1 *".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            missed: Missed::Once,
            end_at: None,
            max_runs: None,
            enabled: true,
            built_in,
            actor: None,
            created_at: now,
            handled_until: now,
            runs: 0,
            last_nominal: None,
            last_plan: None,
            revision: 0,
        })
        .await
    }

    /// Keeps a schedule that ran each minute until it had run twice, a day ago; answers with its id.
    pub(in crate::api) async fn ended_schedule(&self, name: &str) -> String {
        self.put_schedule(Schedule {
            cron: "* * * * *".to_owned(),
            missed: Missed::All,
            max_runs: Some(2),
            runs: 2,
            ..self.old_schedule(name)
        })
        .await
    }

    /// Keeps a schedule of this user that is due since a day ago; answers with its id.
    pub(in crate::api) async fn due_schedule(&self, name: &str, of: &str) -> String {
        self.put_schedule(Schedule {
            actor: Some(of.to_owned()),
            ..self.old_schedule(name)
        })
        .await
    }

    /// Of nobody, each hour since a day ago.
    fn old_schedule(&self, name: &str) -> Schedule {
        let long_ago = self.app.services.clock.now() - Duration::from_hours(24);
        Schedule {
            id: ScheduleId::default(),
            name: name.to_owned(),
            workflow: "cleanup".to_owned(),
            input: Json::of(&json!({"dry_run": true})).unwrap(),
            cron: "@hourly".to_owned(),
            time_zone: "UTC".to_owned(),
            missed: Missed::Once,
            end_at: None,
            max_runs: None,
            enabled: true,
            built_in: false,
            actor: None,
            created_at: long_ago,
            handled_until: long_ago,
            runs: 0,
            last_nominal: None,
            last_plan: None,
            revision: 0,
        }
    }

    async fn put_schedule(&self, schedule: Schedule) -> String {
        let put = self
            .app
            .services
            .database
            .transact(move |tx| Box::pin(workflows::Journal::put_schedule_in(tx, schedule)));
        match put.await.unwrap().unwrap() {
            Put::Kept(kept) => kept.id.to_string(),
            other @ (Put::NameTaken | Put::Stale) => panic!("{other:?}"),
        }
    }
}
