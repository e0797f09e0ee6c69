//! A real Pulp 3, started by `tests/pulp/start`: one for each version that tests share, and some that tests break.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::command::{self, Finished};
use crate::server::{self, Server};
use crate::{digest, image, noise, oci_client};

/// The first start installs packages and makes a database.
const STARTED_WITHIN: Duration = Duration::from_mins(10);
const USER: &str = "admin";

/// A Pulp that runs.
pub struct Pulp {
    dir: PathBuf,
    /// Of its API and its registry.
    pub url: String,
    password: String,
}

/// Which Pulp.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The newest that is tested: a push makes a container repository there.
    Newest,
    /// The last that makes push repositories.
    Older,
}

static SHARED: [OnceCell<Pulp>; 2] = [OnceCell::const_new(), OnceCell::const_new()];

impl Which {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Newest, Self::Older];

    fn version(self) -> &'static str {
        match self {
            Self::Newest => "2.30.0",
            Self::Older => "2.28.1",
        }
    }

    fn ports(self) -> u16 {
        match self {
            Self::Newest => 19_810,
            Self::Older => 19_820,
        }
    }

    /// The one that tests share. None of them stops or breaks it.
    pub async fn shared(self) -> &'static Pulp {
        let start = || async {
            let name = format!("shared-{}", self.version());
            Pulp::start(&name, self, self.ports(), &[("WHARFINGER_PULP_FAST", "1")]).await
        };
        SHARED[self as usize].get_or_init(start).await
    }
}

impl Pulp {
    /// One in a folder of its own, with these variables for its start.
    pub async fn start(name: &str, which: Which, ports: u16, more: &[(&str, &str)]) -> Self {
        let dir = folder().join(name);
        let mut start = Command::new(script("start"));
        start
            .arg(&dir)
            .env("WHARFINGER_PULP_CONTAINER_VERSION", which.version())
            .env("WHARFINGER_PULP_PORT_BASE", ports.to_string())
            .env("WHARFINGER_PULP_API_WORKERS", "2")
            .envs(more.iter().copied());
        let started = command::run_within(STARTED_WITHIN, start)
            .await
            .expect_code(0);
        let env = std::fs::read_to_string(dir.join("connection.env")).expect("`start` writes it");
        let password = env
            .lines()
            .find_map(|line| line.strip_prefix("PULP_PASSWORD="))
            .expect("`start` says the password");
        std::fs::write(dir.join("password"), password).expect("a folder of ours");
        Self {
            url: started.stdout.trim().to_owned(),
            password: password.to_owned(),
            dir,
        }
    }

    /// Starts what is missing of it.
    pub async fn start_again(&self) {
        let mut start = Command::new(script("start"));
        start.arg(&self.dir);
        command::run_within(STARTED_WITHIN, start)
            .await
            .expect_code(0);
    }

    /// Ends all of it.
    pub async fn stop(&self) {
        let mut stop = Command::new(script("stop"));
        stop.arg(&self.dir);
        command::run(stop).await.expect_code(0);
    }

    /// Does something to a part of it: `kill`, `stop`, `start`.
    pub async fn part(&self, word: &str, part: &str) -> Finished {
        let mut script = Command::new(script("part"));
        script.arg(&self.dir).args([word, part]);
        command::run(script).await.expect_code(0)
    }

    /// What a server needs to keep its content there, under names of its own.
    pub fn options(&self) -> Vec<String> {
        let prefix = format!("t{:x}", noise::unique());
        self.options_with(&prefix)
    }

    /// The same under these names.
    pub fn options_with(&self, prefix: &str) -> Vec<String> {
        let password = self.dir.join("password");
        vec![
            "--content-backend=pulp".to_owned(),
            format!("--content-url={}", self.url),
            format!("--content-username={USER}"),
            format!("--content-password-file={}", password.display()),
            format!("--content-prefix={prefix}"),
        ]
    }

    /// A server that keeps its content there.
    pub async fn server(&self, more: &[&str]) -> Server {
        let options = self.options();
        let options: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        Server::start_with(&options).await
    }

    /// The same, which shows its metrics without a login.
    pub async fn watched_server(&self) -> Server {
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        Server::start_watched(&options).await
    }

    /// A folder beside its data, as text.
    pub fn folder(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Says something to its database, as nobody should.
    pub async fn sql(&self, statement: &str) {
        let environment = std::fs::read_to_string(self.dir.join("run/environment"));
        let environment = environment.expect("`start` writes it");
        let port = environment
            .lines()
            .find_map(|line| line.strip_prefix("WHARFINGER_PULP_PG_PORT="))
            .expect("`start` says the port of its database");
        let mut psql = Command::new("psql");
        psql.env("PGPASSWORD", "pulp").args([
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "pulp",
            "-d",
            "pulp",
            "-p",
            port,
            "-c",
            statement,
        ]);
        command::run(psql).await.expect_code(0);
    }

    /// Name and password of its administrator.
    pub fn login(&self) -> (&'static str, &str) {
        (USER, &self.password)
    }

    /// Asks its REST API, as its administrator does.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        self.ask_at(method, &format!("/pulp/api/v3/{path}"), body)
            .await
    }

    /// What is at an href of its REST API.
    pub async fn at(&self, href: &str) -> (StatusCode, Value) {
        self.ask_at(Method::GET, href, None).await
    }

    /// The same with a path from the root, as its hrefs are.
    pub async fn ask_at(
        &self,
        method: Method,
        href: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = client()
            .request(method, format!("{}{href}", self.url))
            .basic_auth(USER, Some(&self.password));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("Pulp answers");
        let status = answer.status();
        let body = answer.bytes().await.expect("Pulp answers to the end");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// What a list of its REST API has.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (status, found) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {found}");
        found["results"].as_array().expect("a list").clone()
    }

    /// The digest of what its registry gives its administrator for this name and tag; none: nothing.
    pub async fn manifest(&self, name: &str, tag: &str) -> Option<String> {
        self.manifest_as(name, tag, Some(&self.password)).await
    }

    /// The same for somebody who does not log in.
    pub async fn manifest_as_nobody(&self, name: &str, tag: &str) -> Option<String> {
        self.manifest_as(name, tag, None).await
    }

    async fn manifest_as(&self, name: &str, tag: &str, password: Option<&str>) -> Option<String> {
        let host = self.url.trim_start_matches("http://");
        let mut asked = client().get(format!(
            "{}/token/?service={host}&scope=repository:{name}:pull",
            self.url
        ));
        if let Some(password) = password {
            asked = asked.basic_auth(USER, Some(password));
        }
        let token = asked.send().await.expect("Pulp answers");
        let token: Value = token.json().await.expect("a token");
        let manifest = client()
            .get(format!("{}/v2/{name}/manifests/{tag}", self.url))
            .header("accept", image::MANIFEST)
            .header("accept", image::INDEX)
            .bearer_auth(token["token"].as_str().expect("a token"))
            .send()
            .await
            .expect("Pulp answers");
        let is_there = manifest.status() == StatusCode::OK;
        let bytes = manifest.bytes().await.expect("Pulp answers to the end");
        is_there.then(|| digest::of(&bytes))
    }

    /// Puts a blob into it by the road on which it does not look at what comes.
    pub async fn put_unchecked(&self, repository: &str, digest: &str, bytes: &'static [u8]) {
        let host = self.url.trim_start_matches("http://");
        let token = client()
            .get(format!(
                "{}/token/?service={host}&scope=repository:{repository}:pull,push",
                self.url
            ))
            .basic_auth(USER, Some(&self.password))
            .send()
            .await
            .expect("Pulp answers");
        let token: Value = token.json().await.expect("a token");
        let put = client()
            .post(format!(
                "{}/v2/{repository}/blobs/uploads/?digest={digest}",
                self.url
            ))
            .bearer_auth(token["token"].as_str().expect("a token"))
            .body(bytes)
            .send()
            .await
            .expect("Pulp answers");
        assert_eq!(put.status(), StatusCode::CREATED);
    }
}

fn client() -> Client {
    let http = oci_client::http_builder().pool_max_idle_per_host(0);
    http.build().expect("a client")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("pulp")
        .join(name)
}

/// Beside what is built: `tests/run` stops what runs there.
fn folder() -> PathBuf {
    let bin = server::binary();
    let target = bin
        .parent()
        .and_then(Path::parent)
        .expect("a target folder");
    target.join("pulp")
}
