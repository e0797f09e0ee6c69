//! A main server with smart proxies of kind `wharfinger`: as many processes as users have machines.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oci_client::OciClient;
use crate::rest::Rest;
use crate::server::{ADMIN, ADMIN_PASSWORD, Server};
use crate::wait::{self, SOON};

/// What is on its way to a proxy may take so long on a machine of two cores with other tests beside.
const CAUGHT_UP_WITHIN: Duration = Duration::from_mins(2);

/// The folder of the secret that a main server and one of its proxies show each other.
pub struct Secret {
    folder: TempDir,
    text: String,
}

impl Secret {
    /// One that nobody else has.
    pub fn new() -> Self {
        let text = format!("secret-{:032x}", crate::noise::unique());
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("secret"), format!("{text}\n")).expect("a folder of ours");
        Self { folder, text }
    }

    /// What it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// The options that make a server a proxy of `main`, with this secret.
    pub fn options(&self, main: &str) -> Vec<String> {
        vec![
            "--role=proxy".to_owned(),
            format!("--upstream=http://{main}"),
            format!("--mirror-secret-file={}", self.file().display()),
        ]
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

/// A smart proxy, as its main server knows it.
pub struct Proxy {
    /// The process.
    pub server: Server,
    /// What the main server calls it.
    pub name: &'static str,
    /// Its number there.
    pub id: i64,
    /// What it and its main server show each other.
    pub secret: Secret,
}

/// A main server and its proxies.
pub struct Harbour {
    /// The main server.
    pub main: Server,
    /// Its proxies.
    pub proxies: Vec<Proxy>,
}

impl Harbour {
    /// A main server without a proxy.
    pub async fn new(options: &[&str]) -> Self {
        Self {
            main: Server::start_with(options).await,
            proxies: Vec::new(),
        }
    }

    /// A main server with a proxy of Library of the default organization.
    pub async fn with_a_proxy(options: &[&str]) -> Self {
        let mut harbour = Self::new(options).await;
        harbour.add("berlin", &json!({})).await;
        harbour
    }

    /// Starts a proxy and adds it, with more fields than those that are needed.
    pub async fn add(&mut self, name: &'static str, more: &Value) {
        self.add_through(name, more, &[], &[]).await;
    }

    /// The same, where the program `through` starts it, with further options.
    pub async fn add_through(
        &mut self,
        name: &'static str,
        more: &Value,
        through: &[String],
        further: &[&str],
    ) {
        let secret = Secret::new();
        let options = secret.options(&self.main.host());
        let options: Vec<&str> = options
            .iter()
            .map(String::as_str)
            .chain(further.iter().copied())
            .collect();
        let server = Server::start_through(through, &options).await;
        self.know(name, more, server, secret).await;
    }

    /// Adds a proxy that was started already.
    pub async fn know(&mut self, name: &'static str, more: &Value, server: Server, secret: Secret) {
        let mut proxy = json!({
            "name": name,
            "kind": "wharfinger",
            "url": format!("http://{}", server.host()),
            "secret": secret.text(),
            "environments": [{ "organization": "Default_Organization", "environment": "Library" }],
        });
        for (field, value) in more.as_object().expect("fields") {
            proxy[field] = value.clone();
        }
        let added = self.rest().post("/smart_proxies", &proxy).await;
        let id = added.expect_status(201).json()["id"]
            .as_i64()
            .expect("a number");
        self.proxies.push(Proxy {
            server,
            name,
            id,
            secret,
        });
        self.until_known(self.proxies.len() - 1).await;
    }

    /// Waits until the proxy has heard of its main server.
    async fn until_known(&self, which: usize) {
        let oci = self.oci(which);
        wait::until("the proxy knows its main server", SOON, async || {
            let asked = oci.request(reqwest::Method::GET, "/v2/");
            let answer = oci.try_send(asked).await.ok()?;
            (answer.status == 401).then_some(())
        })
        .await;
    }

    /// The main server's REST, as its administrator.
    pub fn rest(&self) -> Rest {
        self.main.rest()
    }

    /// A client of a proxy, who logs in as the main server's administrator.
    pub fn oci(&self, which: usize) -> OciClient {
        OciClient::with_login(&self.proxies[which].server.host(), ADMIN, ADMIN_PASSWORD)
    }

    /// What the main server knows of the proxy.
    pub async fn status(&self, which: usize) -> Value {
        let path = format!("/smart_proxies/{}/status", self.proxies[which].id);
        self.rest().get(&path).await.expect_status(200).json()
    }

    /// Waits until the proxy has all that it shall have.
    pub async fn until_current(&self, which: usize) -> Value {
        let name = self.proxies[which].name;
        wait::until(
            &format!("{name} is caught up"),
            CAUGHT_UP_WITHIN,
            async || {
                let status = self.status(which).await;
                (status["current"] == true).then_some(status)
            },
        )
        .await
    }

    /// All syncs of the proxy, the newest first.
    pub async fn syncs(&self) -> Vec<Value> {
        self.rest().all("/tasks", "label = sync_proxy").await
    }

    /// Changes what the main server knows of the proxy.
    pub async fn change(&self, which: usize, changes: &Value) -> Value {
        let path = format!("/smart_proxies/{}", self.proxies[which].id);
        self.rest()
            .patch(&path, changes)
            .await
            .expect_status(200)
            .json()
    }

    /// Syncs the proxy by hand; answers with the task once it has stopped.
    pub async fn sync(&self, which: usize) -> Value {
        let path = format!("/smart_proxies/{}/sync", self.proxies[which].id);
        let rest = self.rest();
        let begun = rest.post(&path, &json!({})).await;
        rest.begun(begun).await
    }
}
