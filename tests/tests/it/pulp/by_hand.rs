//! What somebody does without this registry: a push straight into Pulp, and then its REST by hand until the image is published.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, REFERER, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tests::digest;
use tests::image::{Image, MANIFEST};
use tests::oci_client;
use tests::pulp::Pulp;

/// How long a script waits before it asks for a task again.
const POLL: Duration = Duration::from_millis(50);

/// An administrator who is logged in.
pub(super) struct ByHand {
    http: Client,
    url: String,
    login: (&'static str, String),
}

impl ByHand {
    pub(super) async fn log_in(pulp: &Pulp) -> Self {
        let (user, password) = pulp.login();
        let (url, login) = (pulp.url.clone(), (user, password.to_owned()));
        let http = |headers| {
            let http = oci_client::http_builder().pool_max_idle_per_host(0);
            http.default_headers(headers).build().expect("a client")
        };
        let answer = http(HeaderMap::new())
            .post(format!("{url}/pulp/api/v3/login/"))
            .basic_auth(user, Some(password))
            .send()
            .await
            .expect("Pulp answers");
        let mut cookies = Vec::new();
        let mut headers = HeaderMap::new();
        for set in answer.headers().get_all(SET_COOKIE) {
            let pair = set.to_str().expect("a cookie").split(';').next();
            let pair = pair.expect("a cookie");
            if let Some(csrf) = pair.strip_prefix("csrftoken=") {
                headers.insert("X-CSRFToken", value(csrf));
            }
            cookies.push(pair.to_owned());
        }
        headers.insert(COOKIE, value(&cookies.join("; ")));
        headers.insert(REFERER, value(&format!("{url}/")));
        let http = http(headers);
        Self { http, url, login }
    }

    /// A push as a client does it, request after request.
    pub(super) async fn push(&self, name: &str, tag: &str, image: &Image) {
        let host = self.url.trim_start_matches("http://");
        let scope = format!("repository:{name}:pull,push");
        let token = self
            .http
            .get(format!("{}/token/", self.url))
            .query(&[("service", host), ("scope", &scope)])
            .basic_auth(self.login.0, Some(&self.login.1));
        let token = json_of(answer(token, 200).await).await;
        let token = token["token"].as_str().expect("a token").to_owned();
        let request = |method: Method, path: &str| {
            let request = self.http.request(method, format!("{}{path}", self.url));
            request.bearer_auth(&token)
        };
        for blob in image.blobs() {
            let digest = digest::of(blob);
            let head = format!("/v2/{name}/blobs/{digest}");
            answer(request(Method::HEAD, &head), 404).await;
            let open = format!("/v2/{name}/blobs/uploads/");
            let opened = answer(request(Method::POST, &open), 202).await;
            let at = location(&opened);
            let patch = request(Method::PATCH, &at).body(blob.clone());
            let at = location(&answer(patch, 202).await);
            let put = request(Method::PUT, &at).query(&[("digest", &digest)]);
            answer(put, 201).await;
        }
        let put = request(Method::PUT, &format!("/v2/{name}/manifests/{tag}"))
            .header("Content-Type", MANIFEST)
            .body(Bytes::clone(&image.manifest));
        answer(put, 201).await;
    }

    /// From the push repository to a published name.
    pub(super) async fn publish(&self, push_repository: &str, name: &str, tag: &str) {
        let mut version = None;
        for kind in ["container-push", "container"] {
            let path = format!("repositories/container/{kind}/?name={push_repository}");
            let found = self.get(&path).await;
            let newest = found["results"][0]["latest_version_href"].as_str();
            version = version.or(newest.map(str::to_owned));
        }
        let version = version.expect("the push has made a repository");
        let own = json!({"name": name});
        let own = self.post("repositories/container/container/", &own).await;
        let own = own["pulp_href"].as_str().expect("an href");
        let copy = json!({"source_repository_version": version, "names": [tag]});
        let copied = self.post(&format!("{own}copy_tags/"), &copy).await;
        let made = self.made_by(&copied).await;
        for kind in ["tags", "manifests"] {
            let path = format!("content/container/{kind}/?repository_version={made}&limit=100");
            let found = self.get(&path).await;
            assert_eq!(found["count"], 1, "{kind}: {found}");
        }
        let body = json!({"name": name, "base_path": name, "repository_version": made});
        let created = self.post("distributions/container/container/", &body).await;
        self.made_by(&created).await;
    }

    async fn made_by(&self, accepted: &Value) -> String {
        let task = accepted["task"].as_str().expect("a task");
        loop {
            let task = self.get(task).await;
            match task["state"].as_str() {
                Some("completed") => {
                    let made = task["created_resources"][0].as_str();
                    return made.expect("it has made something").to_owned();
                }
                Some("waiting" | "running") => tokio::time::sleep(POLL).await,
                _ => panic!("{task}"),
            }
        }
    }

    async fn get(&self, path: &str) -> Value {
        json_of(answer(self.http.get(self.rest(path)), 200).await).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(self.rest(path)).json(body).send().await;
        let answer = answer.expect("Pulp answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        json_of(answer).await
    }

    fn rest(&self, path: &str) -> String {
        if path.starts_with('/') {
            format!("{}{path}", self.url)
        } else {
            format!("{}/pulp/api/v3/{path}", self.url)
        }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("letters")
}

async fn answer(request: RequestBuilder, status: u16) -> Response {
    let answer = request.send().await.expect("Pulp answers");
    assert_eq!(answer.status(), status, "{}", answer.url());
    answer
}

async fn json_of(answer: Response) -> Value {
    answer.json().await.expect("JSON")
}

fn location(answer: &Response) -> String {
    let location = answer.headers().get("Location").expect("a location");
    let location = location.to_str().expect("letters");
    let path = location.find("/v2/").expect("a path of the registry");
    location[path..].to_owned()
}
