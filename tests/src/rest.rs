//! A small client of the REST API, with the questions that tests ask most.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::oci_client;
use crate::wait::{self, SOON};

/// A REST client of one user.
#[derive(Clone)]
pub struct Rest {
    http: Client,
    /// Scheme and host.
    origin: String,
    login: String,
    password: String,
    token: Option<String>,
}

impl Rest {
    /// A client that sends Basic credentials.
    pub fn with_login(host: &str, login: &str, password: &str) -> Self {
        Self {
            http: oci_client::http(),
            origin: format!("http://{host}"),
            login: login.to_owned(),
            password: password.to_owned(),
            token: None,
        }
    }

    /// The same client with a token in place of the password: quicker, for tests that ask a thousand times.
    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// The same client over TLS, which trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn over_tls(self, trusted: &[&str]) -> Self {
        let http = oci_client::http_builder().tls_certs_only(oci_client::certificates(trusted));
        Self {
            http: http.build().expect("certificates in PEM"),
            origin: self.origin.replacen("http:", "https:", 1),
            ..self
        }
    }

    /// A request without credentials to any path of the server.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let asked = format!("{} {}", request.method(), request.url());
        Answer::read(asked, self.http.execute(request).await?).await
    }

    /// Sends a GET to a path without credentials; a connection that breaks is an error.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(self.request(Method::GET, path)).await
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.request(method, &format!("/api/v1{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request.basic_auth(&self.login, Some(&self.password)),
        }
    }

    /// Sends a GET to a path below `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.api(Method::GET, path)).await
    }

    /// The same for servers that may die at any moment: a connection that breaks is an error.
    pub async fn try_ask(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(self.api(Method::GET, path)).await
    }

    /// Sends a GET to a path below `/api/v1` with query parameters.
    pub async fn search(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.send(self.api(Method::GET, path).query(query)).await
    }

    /// Sends a POST with a JSON body to a path below `/api/v1`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.api(Method::POST, path).json(body)).await
    }

    /// The same for servers that may die at any moment: a connection that breaks is an error.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Answer> {
        self.try_send(self.api(Method::POST, path).json(body)).await
    }

    /// Sends a PATCH to a path below `/api/v1` with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.api(Method::PATCH, path).json(body)).await
    }

    /// Sends a DELETE to a path below `/api/v1`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.api(Method::DELETE, path)).await
    }

    /// Sends a DELETE with a JSON body to a path below `/api/v1`.
    pub async fn delete_with(&self, path: &str, body: &Value) -> Answer {
        self.send(self.api(Method::DELETE, path).json(body)).await
    }

    /// The same for servers that may die at any moment: a connection that breaks is an error.
    pub async fn try_delete(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(self.api(Method::DELETE, path)).await
    }

    /// The task that an answer says was begun, once it has stopped.
    pub async fn begun(&self, answer: Answer) -> Value {
        let begun = answer.expect_status(202).json();
        self.until_state(text(&begun["task_id"]), "stopped").await
    }

    /// Reverts the task, and waits until that is done; it may have been stopped before, and is stopped again then.
    pub async fn revert(&self, id: &str) -> Value {
        let path = format!("/tasks/{id}/revert");
        self.post(&path, &json!({})).await.expect_status(202);
        self.until_reverted(id).await
    }

    /// The task once it is reverted: one that pauses instead has failed.
    pub async fn until_reverted(&self, id: &str) -> Value {
        let task = self.until_reverted_or_paused(id).await;
        assert_eq!(task["result"], "reverted", "{task}");
        task
    }

    /// The task once its revert has ended, or waits for a person.
    pub async fn until_reverted_or_paused(&self, id: &str) -> Value {
        wait::until("the revert has ended or waits", SOON, async || {
            let task = self.task(id).await;
            let ended = task["result"] == "reverted" || task["state"] == "paused";
            ended.then_some(task)
        })
        .await
    }

    /// Every result of a list, over all its pages.
    pub async fn all(&self, path: &str, search: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut query = vec![("per_page", "100")];
            if !search.is_empty() {
                query.push(("search", search));
            }
            if !cursor.is_empty() {
                query.push(("cursor", &cursor));
            }
            let page = self.search(path, &query).await.expect_status(200).json();
            all.extend(page["results"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return all,
            }
        }
    }

    /// The pushes of a tag to a repository, the oldest first, each with all its steps.
    pub async fn pushes_of(&self, repository: &str, tag: &str) -> Vec<Value> {
        let search = format!("label = push and repository = \"{repository}\"");
        let mut pushes = Vec::new();
        for task in self.all("/tasks", &search).await {
            if task["tag"] == tag {
                pushes.push(self.task(text(&task["id"])).await);
            }
        }
        pushes.sort_by_key(|task| text(&task["id"]).to_owned());
        pushes
    }

    /// The one push of a tag to a repository, with all its steps, after it has stopped.
    pub async fn only_push_of(&self, repository: &str, tag: &str) -> Value {
        let stopped = |task: &Value| task["state"] == "stopped";
        let push = self
            .until_push(repository, tag, "has stopped", stopped)
            .await;
        let pushes = self.pushes_of(repository, tag).await;
        assert_eq!(pushes.len(), 1, "pushes of {repository}:{tag}: {pushes:?}");
        push
    }

    /// A task with its steps.
    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("/tasks/{id}"))
            .await
            .expect_status(200)
            .json()
    }

    /// The tasks that have not stopped.
    pub async fn open_tasks(&self) -> Vec<Value> {
        let mut open = Vec::new();
        for state in ["pending", "running", "paused"] {
            open.extend(self.all("/tasks", &format!("state = {state}")).await);
        }
        open
    }

    /// The paused tasks; a connection that breaks is an error, for servers that may die at any moment.
    pub async fn try_all_paused(&self) -> reqwest::Result<Vec<Value>> {
        let request = self
            .api(Method::GET, "/tasks")
            .query(&[("search", "state = paused")]);
        let page = self.try_send(request).await?.expect_status(200).json();
        Ok(page["results"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until no task is open; fails the test with their headlines otherwise.
    pub async fn until_no_task_is_open(&self, limit: Duration) {
        let mut last = Vec::new();
        let waited = tokio::time::timeout(limit, async {
            wait::until("no task is open", limit * 2, async || {
                last = self.open_tasks().await;
                last.is_empty().then_some(())
            })
            .await;
        });
        let in_time = waited.await.is_ok();
        let headlines: Vec<_> = last
            .iter()
            .map(|task| (&task["id"], &task["state"], &task["headline"]))
            .collect();
        assert!(
            in_time,
            "after {limit:?} these tasks are still open: {headlines:?}"
        );
    }

    /// Waits until a task is in a state; answers with the task.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        wait::until(&format!("task {id} is {state}"), SOON, async || {
            let task = self.task(id).await;
            (task["state"] == state).then_some(task)
        })
        .await
    }

    /// Waits until the last push of a tag satisfies a condition; answers with that task.
    pub async fn until_push(
        &self,
        repository: &str,
        tag: &str,
        what: &str,
        so: impl Fn(&Value) -> bool,
    ) -> Value {
        wait::until(
            &format!("the push of {repository}:{tag} {what}"),
            SOON,
            async || {
                let last = self.pushes_of(repository, tag).await.pop()?;
                so(&last).then_some(last)
            },
        )
        .await
    }

    /// The repository that is pushed to under this name.
    pub async fn repository(&self, pushed_name: &str) -> Value {
        let found = self
            .all("/repositories", "")
            .await
            .into_iter()
            .find(|repository| {
                let names = repository["pushed_names"].as_array();
                names.is_some_and(|names| names.iter().any(|name| name == pushed_name))
            });
        found.unwrap_or_else(|| panic!("there is no repository with the pushed name {pushed_name}"))
    }

    /// The path of the repository that is pushed to under this name.
    pub async fn path_of(&self, pushed_name: &str) -> String {
        format!("/repositories/{}", self.repository(pushed_name).await["id"])
    }

    /// The numbers of a repository's versions, lowest first.
    pub async fn version_numbers(&self, pushed_name: &str) -> Vec<i64> {
        let id = self.repository(pushed_name).await["id"].clone();
        let versions = self.all(&format!("/repositories/{id}/versions"), "").await;
        let mut numbers: Vec<_> = versions
            .iter()
            .filter_map(|version| version["number"].as_i64())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// Makes an organization.
    pub async fn make_organization(&self, label: &str) -> Value {
        let body = json!({ "label": label, "name": format!("The house of {label}") });
        self.post("/organizations", &body)
            .await
            .expect_status(201)
            .json()
    }

    /// Makes a user with a role in an organization.
    pub async fn make_user(&self, login: &str, password: &str, role: &str, organization: &str) {
        let user = json!({ "login": login, "password": password });
        self.post("/users", &user).await.expect_status(201);
        let grant = json!({ "user": login, "role": role, "organization": organization });
        self.post("/grants", &grant).await.expect_status(201);
    }

    /// Begins a drill; answers with its id.
    pub async fn begin_drill(&self, drill: &Value) -> String {
        let made = self.post("/drills", drill).await.expect_status(201).json();
        made["id"].to_string().trim_matches('"').to_owned()
    }

    /// Ends a drill.
    pub async fn end_drill(&self, id: &str) {
        self.delete(&format!("/drills/{id}"))
            .await
            .expect_status(204);
    }
}

/// A JSON text; fails the test when it is something else.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a text"))
}

/// A step of a task by its name.
#[track_caller]
pub fn step<'a>(task: &'a Value, name: &str) -> &'a Value {
    let steps = task["steps"].as_array();
    let found = steps.and_then(|steps| steps.iter().find(|step| step["name"] == name));
    found.unwrap_or_else(|| panic!("task {} has no step {name}", task["id"]))
}

/// The names and states of a task's steps.
pub fn steps(task: &Value) -> Vec<(&str, &str)> {
    let steps = task["steps"].as_array().map_or(&[][..], Vec::as_slice);
    steps
        .iter()
        .map(|step| (text(&step["name"]), text(&step["state"])))
        .collect()
}
