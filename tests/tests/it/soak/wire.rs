//! Requests to a server that may end at any moment, and how many were answered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tests::answer::Answer;
use tests::oci_client::http_builder;
use tests::server::ADMIN;

/// No answer came: the server has ended, and may have done what was asked or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost;

/// As impatient as a client may be.
const BEFORE_RETRY: Duration = Duration::from_millis(20);
/// Who gets nowhere for so long shows a server that does not recover.
const PATIENCE: Duration = Duration::from_mins(2);

/// The way to the server.
pub(super) struct Wire {
    http: Client,
    origin: String,
    token: String,
}

impl Wire {
    pub(super) fn new(host: &str, token: String) -> Self {
        Self {
            http: http_builder().build().expect("no TLS files"),
            origin: format!("http://{host}"),
            token,
        }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// A request to a path below `/v2/`, with a token as the password: those of the token service last seconds here.
    pub(super) fn oci(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.origin));
        request.basic_auth(ADMIN, Some(&self.token))
    }

    pub(super) fn of(&self, method: Method, name: &str, rest: &str) -> RequestBuilder {
        self.oci(method, &format!("/v2/{name}/{rest}"))
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.origin));
        request.bearer_auth(&self.token)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Lost> {
        self.send(self.api(Method::GET, path)).await
    }

    pub(super) async fn search(&self, path: &str, search: &str) -> Result<Vec<Value>, Lost> {
        let query = [("search", search), ("per_page", "100")];
        let page = self.send(self.api(Method::GET, path).query(&query)).await?;
        let page = page.expect_status(200).json();
        Ok(page["results"].as_array().cloned().unwrap_or_default())
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Lost> {
        self.send(self.api(Method::POST, path).json(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Lost> {
        self.send(self.api(Method::DELETE, path)).await
    }

    /// What comes back. A server that ends may say so itself, with 503.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, Lost> {
        let request = request.build().expect("a request of ours");
        let asked = format!("{} {}", request.method(), request.url());
        let Ok(response) = self.http.execute(request).await else {
            return Err(Lost);
        };
        let answer = Answer::read(asked, response).await.map_err(|_| Lost)?;
        if answer.status == 503 {
            return Err(Lost);
        }
        assert!(answer.status < 500, "{answer}");
        Ok(answer)
    }
}

/// Tries until there is an answer.
pub(super) async fn stubbornly<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, Lost>) -> T {
    let begun = Instant::now();
    loop {
        if let Ok(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "no answer to {what}");
        tokio::time::sleep(BEFORE_RETRY).await;
    }
}

/// Asks until the answer is what is waited for.
pub(super) async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Lost>,
) -> T {
    stubbornly(what, async || ask().await?.ok_or(Lost)).await
}

/// How much of what was done.
#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    /// One more event of a kind that was answered.
    pub(super) fn add(&self, what: &'static str) {
        let mut counts = self.0.lock().expect("no hand panicked");
        *counts.entry(what).or_default() += 1;
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().expect("no hand panicked").clone()
    }

    /// All events.
    pub(super) fn sum(&self) -> u64 {
        self.counts().values().sum()
    }
}
