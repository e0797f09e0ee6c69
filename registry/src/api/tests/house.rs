//! The API over a house of its own, and those who call it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Clock;
use engine::journal::NodeId;
use engine::node::NodeOptions;
use http::header::{AUTHORIZATION, HOST};
use http::{Method, Request, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use storage::catalog::signing_keys;
use storage::{Content, Database};
use tower::ServiceExt;
use uuid::Uuid;

use crate::app::App;
use crate::auth::scope::Scope;
use crate::auth::tokens::Tokens;
use crate::config::{Config, Environment, Settings};
use crate::data_dir::DataDir;
use crate::first_start;

pub(super) const SERVICE: &str = "127.0.0.1:5000";
pub(super) const ADMIN: Who = Who::Login("admin", "secret");
pub(super) const BOB: Who = Who::Login("bob", "bobs secret");

/// Who asks.
pub(super) enum Who<'a> {
    Nobody,
    Login(&'a str, &'a str),
    Token(String),
}

/// An answer that was read.
pub(super) struct Answer {
    pub(super) response: Response<()>,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }
}

/// The API over a database and a content folder of its own.
pub(super) struct Api {
    app: Arc<App>,
    router: Router,
    _data_dir: DataDir,
    _folder: tempfile::TempDir,
}

impl Api {
    pub(super) async fn start(flags: &[&str]) -> Self {
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
        let content = Content::open(database.clone(), &config.content_dir, clock.now())
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
        };
        let options = NodeOptions::new(NodeId(Uuid::new_v4()), "test");
        let node = workflows::start(options, services.clone(), config.allow_drills)
            .await
            .unwrap();
        let app = Arc::new(App {
            config,
            services,
            node,
            tokens,
        });
        let router = crate::api::router(Arc::clone(&app));
        Self {
            app,
            router,
            _data_dir: data_dir,
            _folder: folder,
        }
    }

    pub(super) async fn ask(
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
        request = match who {
            Who::Nobody => request,
            Who::Login(user, password) => request.header(
                AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
            ),
            Who::Token(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            response: Response::from_parts(head, ()),
            body,
        }
    }

    pub(super) async fn get(&self, who: &Who<'_>, path: &str) -> Answer {
        self.ask(who, Method::GET, path, None).await
    }

    pub(super) async fn post(&self, who: &Who<'_>, path: &str, body: Value) -> Answer {
        self.ask(who, Method::POST, path, Some(body)).await
    }

    pub(super) async fn patch(&self, who: &Who<'_>, path: &str, body: Value) -> Answer {
        self.ask(who, Method::PATCH, path, Some(body)).await
    }

    /// Organization `acme`, and Bob, who has this role in it.
    pub(super) async fn with_bob(self, role: &str) -> Self {
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

    pub(super) fn token(&self, login: &str, scope: Scope) -> Who<'static> {
        let now = self.app.services.clock.now();
        Who::Token(
            self.app
                .tokens
                .sign(login, SERVICE, scope, now)
                .unwrap()
                .token,
        )
    }
}
