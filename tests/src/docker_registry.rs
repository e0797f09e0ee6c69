//! Debian's `docker-registry`: a registry that is not ours, which tells each request that it was sent.

use std::fs;
use std::process::Stdio;

use bytes::Bytes;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::server::{bare, free_port};
use crate::wait::{self, SOON};
use crate::{digest, image, oci_client};

/// Who may use it, where it asks.
pub const USER: &str = "harbourmaster";
/// His password.
pub const PASSWORD: &str = "sesame";
/// The same as bcrypt keeps it.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O";

/// How it is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// It deletes what it is asked to.
    pub deletes: bool,
    /// It asks who is there.
    pub asks_who: bool,
}

/// A request that it was sent by a server of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, without what follows.
    pub path: String,
    /// Its path with its query.
    pub uri: String,
    /// What it was answered.
    pub status: u16,
}

/// A registry that runs. Dropping it ends it and removes what it holds.
pub struct DockerRegistry {
    home: TempDir,
    port: u16,
    options: Options,
    process: Option<Child>,
    http: Client,
}

impl DockerRegistry {
    /// One that is set up like this.
    pub async fn start(options: Options) -> Self {
        let mut registry = Self {
            home: tempfile::tempdir().expect("a temporary folder"),
            port: free_port(),
            options,
            process: None,
            http: oci_client::http(),
        };
        registry.start_again(options).await;
        registry
    }

    /// Starts it with what it holds, set up like this.
    pub async fn start_again(&mut self, options: Options) {
        assert!(self.process.is_none(), "the registry still runs");
        self.options = options;
        let config = self.home.path().join("config.yml");
        fs::write(&config, self.config()).expect("a file of ours");
        fs::write(
            self.home.path().join("htpasswd"),
            format!("{USER}:{HASH}\n"),
        )
        .expect("a file of ours");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("log"))
            .expect("a file of ours");
        let mut serve: Command = bare("docker-registry");
        serve
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .kill_on_drop(true);
        let process = serve.spawn();
        self.process = Some(process.unwrap_or_else(|error| {
            panic!("docker-registry could not be started: {error}; `tests/run` installs it")
        }));
        wait::until("the registry answers", SOON, async || {
            let answer = self.http.get(format!("{}/v2/", self.url())).send().await;
            answer.is_ok().then_some(())
        })
        .await;
    }

    /// Ends it; it keeps what it holds.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("the registry runs");
        process
            .kill()
            .await
            .expect("a process of ours can be killed");
    }

    fn config(&self) -> String {
        let home = self.home.path().display();
        let auth = if self.options.asks_who {
            format!("auth:\n  htpasswd:\n    realm: harbour\n    path: {home}/htpasswd\n")
        } else {
            String::new()
        };
        format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false\n\
             storage:\n  filesystem:\n    rootdirectory: {home}/data\n  delete:\n    enabled: {}\n\
             http:\n  addr: 127.0.0.1:{}\n{auth}",
            self.options.deletes, self.port
        )
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests of servers of ours so far, in the order in which they were answered.
    pub fn seen(&self) -> Vec<Seen> {
        let log = fs::read_to_string(self.home.path().join("log")).expect("a file of ours");
        log.lines().filter_map(seen).collect()
    }

    /// The requests of servers of ours since there were so many.
    pub fn seen_since(&self, count: usize) -> Vec<Seen> {
        self.seen().split_off(count)
    }

    /// The digest that a tag or digest of this name points to; none: there is none.
    pub async fn digest(&self, name: &str, reference: &str) -> Option<String> {
        let (status, found) = self.manifest(name, reference).await;
        (status == StatusCode::OK).then(|| digest::of(&found))
    }

    async fn manifest(&self, name: &str, reference: &str) -> (StatusCode, Bytes) {
        let answer = self
            .request(Method::GET, &format!("{name}/manifests/{reference}"))
            .header("accept", image::MANIFEST)
            .header("accept", image::INDEX)
            .send()
            .await
            .expect("the registry answers");
        let status = answer.status();
        (status, answer.bytes().await.expect("to its end"))
    }

    /// The digest of a blob as it comes; none: it is not there.
    pub async fn blob(&self, name: &str, digest: &str) -> Option<String> {
        let request = self.request(Method::GET, &format!("{name}/blobs/{digest}"));
        let answer = request.send().await.expect("the registry answers");
        if !answer.status().is_success() {
            return None;
        }
        let bytes = answer.bytes().await.expect("to its end");
        Some(digest::of(&bytes))
    }

    /// All tags of this name.
    pub async fn tags(&self, name: &str) -> Vec<String> {
        let request = self.request(Method::GET, &format!("{name}/tags/list"));
        let answer = request.send().await.expect("the registry answers");
        let listed: Value = answer.json().await.expect("JSON");
        let tags = listed["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<String> = tags
            .iter()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        tags.sort();
        tags
    }

    /// Lets a tag of this name point to what another one does, as somebody else may do there.
    pub async fn tag(&self, name: &str, from: &str, tag: &str) {
        let (status, manifest) = self.manifest(name, from).await;
        assert_eq!(status, StatusCode::OK, "{name}:{from}");
        let parsed: Value = serde_json::from_slice(&manifest).expect("a manifest");
        let media_type = parsed["mediaType"]
            .as_str()
            .expect("ours say what they are");
        let put = self
            .request(Method::PUT, &format!("{name}/manifests/{tag}"))
            .header("content-type", media_type)
            .body(manifest);
        let put = put.send().await.expect("the registry answers");
        assert_eq!(put.status(), StatusCode::CREATED);
    }

    /// Fails the test unless the image is there whole under this tag.
    pub async fn assert_holds(&self, name: &str, tag: &str, image: &image::Image) {
        let found = self.digest(name, tag).await;
        assert_eq!(found.as_deref(), Some(&*image.digest), "{name}:{tag}");
        for blob in image.blobs() {
            let digest = digest::of(blob);
            assert_eq!(self.blob(name, &digest).await.as_ref(), Some(&digest));
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/v2/{path}", self.url()));
        if self.options.asks_who {
            request.basic_auth(USER, Some(PASSWORD))
        } else {
            request
        }
    }
}

/// A line of its log, if it tells a request of a server of ours: `… "PUT /v2/… HTTP/1.1" 201 0 "" "wharfinger/…"`.
fn seen(line: &str) -> Option<Seen> {
    let mut parts = line.split('"');
    let (_, request, answer) = (parts.next()?, parts.next()?, parts.next()?);
    if !line.contains("\"wharfinger/") {
        return None;
    }
    let mut words = request.split(' ');
    let (method, uri) = (words.next()?, words.next()?);
    Some(Seen {
        method: method.to_owned(),
        path: uri.split('?').next()?.to_owned(),
        uri: uri.to_owned(),
        status: answer.trim().split(' ').next()?.parse().ok()?,
    })
}
