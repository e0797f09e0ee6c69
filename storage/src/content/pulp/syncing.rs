//! A Pulp that is told to sync from elsewhere, as a smart proxy is: remotes, repositories with a mirror of what those have, and
//! distributions of that.
//!
//! A distribution is always of a repository *version*: one of a repository takes that along when it is deleted.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::client::{Ask, Client};
use super::tasks::{TaskState, href, state_of};
use super::{Login, PulpError};

const REMOTES: &str = "remotes/container/container/";
const REPOSITORIES: &str = "repositories/container/container/";
const DISTRIBUTIONS: &str = "distributions/container/container/";

/// A task that only changes rows is done within a second; one that waits longer waits for a worker.
const DONE_WITHIN: Duration = Duration::from_mins(1);
/// So often it is looked whether it is.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(60);
/// More things are not under one of our names; more tasks are not begun by one sync.
const AT_MOST: &str = "2000";

/// The label that says whose a thing is.
const OWNER: &str = "wharfinger";
/// The label that says what it mirrors.
const MIRRORS: &str = "wharfinger_mirrors";
/// The label of a remote that says which password it was given: Pulp does not show it.
const KEY: &str = "wharfinger_key";

/// A Pulp that is told to sync from elsewhere.
pub struct SyncingPulp {
    client: Client,
    /// Who tells it.
    owner: Uuid,
}

/// What is mirrored: a name that is the same for it at each sync, of simple characters.
#[derive(Clone, Copy, Debug)]
pub struct Mirrored<'a> {
    /// What repository and remote are called.
    pub name: &'a str,
    /// What all that belongs to it is labelled with.
    pub label: &'a str,
}

/// Where it is synced from.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// Scheme, host and port.
    pub url: &'a str,
    /// Its name there.
    pub name: &'a str,
    /// Who pulls it.
    pub username: &'a str,
    /// What he shows.
    pub password: &'a str,
    /// Tells one password from another, and nothing else of it.
    pub key: &'a str,
    /// So many blobs are fetched at once.
    pub at_once: u32,
}

/// A task of Pulp.
#[derive(Clone, Debug)]
pub struct Task {
    /// What it is asked for by.
    pub href: String,
    /// Where it is.
    pub state: State,
    /// How many blobs it has fetched.
    pub blobs: u64,
    /// What it has locked.
    locked: Vec<String>,
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits or runs.
    Open,
    /// It has done its work.
    Done,
    /// It has not, for this reason.
    Failed(String),
}

/// Something that is given out at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// What it is asked for by.
    pub href: String,
    /// The path.
    pub path: String,
    version: Option<String>,
    is_private: bool,
}

impl Task {
    /// True if it is at work on that repository: what it has locked is named by hrefs or by what those end with.
    #[must_use]
    pub fn is_on(&self, repository: &str) -> bool {
        let id = repository.trim_end_matches('/').rsplit('/').next();
        id.is_some_and(|id| self.locked.iter().any(|locked| locked.contains(id)))
    }
}

impl SyncingPulp {
    /// The one at this URL, called in this way by this user; `owner` is who tells it.
    #[must_use]
    pub fn new(http: reqwest::Client, url: &Url, login: Login, owner: Uuid) -> Self {
        Self {
            client: Client::over(http, url, None, login),
            owner,
        }
    }

    fn labels(&self, of: &str) -> Value {
        json!({ OWNER: self.owner.to_string(), MIRRORS: of })
    }

    /// Makes sure that there is a repository for it; answers with its href.
    pub async fn repository(&self, of: Mirrored<'_>) -> Result<String, PulpError> {
        let name = of.name;
        let doing = format!("look for repository `{name}`");
        if let Some(found) = self.named(&doing, REPOSITORIES, name).await? {
            return href(&found, "pulp_href", &doing);
        }
        let doing = format!("create repository `{name}`");
        let new = json!({
            "name": name,
            "pulp_labels": self.labels(of.label),
            "retain_repo_versions": 3,
        });
        self.create(&doing, REPOSITORIES, &new).await
    }

    /// Makes sure that there is a remote for it that is like this; answers with its href.
    pub async fn remote(&self, of: Mirrored<'_>, source: &Source<'_>) -> Result<String, PulpError> {
        let name = of.name;
        let mut labels = self.labels(of.label);
        labels[KEY] = source.key.into();
        let shown = json!({
            "url": source.url,
            "upstream_name": source.name,
            "policy": "immediate",
            "tls_validation": source.url.starts_with("https:"),
            "download_concurrency": source.at_once.max(1),
            "pulp_labels": labels,
        });
        let mut wanted = shown.clone();
        wanted["username"] = source.username.into();
        wanted["password"] = source.password.into();
        let doing = format!("look for remote `{name}`");
        let Some(found) = self.named(&doing, REMOTES, name).await? else {
            wanted["name"] = name.into();
            let doing = format!("create remote `{name}`");
            return self.create(&doing, REMOTES, &wanted).await;
        };
        let at = href(&found, "pulp_href", &doing)?;
        let shown = shown.as_object().into_iter().flatten();
        if shown.into_iter().any(|(key, value)| found[key] != *value) {
            let doing = format!("change remote `{name}`");
            self.change(&doing, Method::PATCH, &at, &wanted).await?;
        }
        Ok(at)
    }

    /// Begins to sync the repository from the remote: what is not there any more goes here, too. Answers with the task.
    pub async fn sync(
        &self,
        repository: &str,
        remote: &str,
        correlation: Uuid,
    ) -> Result<String, PulpError> {
        let doing = format!("sync {repository}");
        let (path, body) = (
            format!("{repository}sync/"),
            json!({ "remote": remote, "mirror": true }),
        );
        let ask = Ask {
            correlation: Some(correlation),
            ..Ask::send(&doing, Method::POST, &path, &body)
        };
        let reply = self.client.ask(ask).await?;
        href(
            &reply.expect(&doing, &[StatusCode::ACCEPTED])?,
            "task",
            &doing,
        )
    }

    /// All tasks that were begun by that name.
    pub async fn tasks(&self, correlation: Uuid) -> Result<Vec<Task>, PulpError> {
        let doing = "look for its tasks";
        let name = correlation.simple().to_string();
        let query = [("logging_cid", name.as_str()), ("limit", AT_MOST)];
        let found = self.list(doing, "tasks/", &query).await?;
        found.iter().map(|task| read(task, doing)).collect()
    }

    /// Cancels the task; one that has ended stays as it is.
    async fn cancel(&self, task: &str) -> Result<(), PulpError> {
        let doing = "cancel a task";
        let body = json!({ "state": "canceled" });
        let reply = self
            .client
            .ask(Ask::send(doing, Method::PATCH, task, &body))
            .await?;
        let fine = [
            StatusCode::OK,
            StatusCode::ACCEPTED,
            StatusCode::CONFLICT,
            StatusCode::NOT_FOUND,
        ];
        reply.expect(doing, &fine).map(drop)
    }

    /// Cancels the syncs of this repository that are open and none of `but`: nobody waits for them any more, and what comes next would
    /// wait for them.
    pub async fn cancel_syncs(&self, repository: &str, but: &[Task]) -> Result<(), PulpError> {
        let doing = "look for its syncs";
        let query = [
            ("name__contains", "synchronize"),
            ("state__in", "waiting,running"),
            ("reserved_resources", repository),
            ("limit", AT_MOST),
        ];
        for found in self.list(doing, "tasks/", &query).await? {
            let task = read(&found, doing)?;
            if but.iter().all(|wanted| wanted.href != task.href) {
                self.cancel(&task.href).await?;
            }
        }
        Ok(())
    }

    /// What is given out of it.
    pub async fn served(&self, label: &str) -> Result<Vec<Served>, PulpError> {
        let doing = "look for distributions";
        let select = format!("{OWNER}={},{MIRRORS}={label}", self.owner);
        let query = [
            ("pulp_label_select", select.as_str()),
            ("fields", "pulp_href,base_path,repository_version,private"),
            ("limit", AT_MOST),
        ];
        let found = self.list(doing, DISTRIBUTIONS, &query).await?;
        let served = found.iter().map(|it| {
            Ok(Served {
                href: href(it, "pulp_href", doing)?,
                path: it["base_path"].as_str().unwrap_or_default().to_owned(),
                version: it["repository_version"].as_str().map(str::to_owned),
                is_private: it["private"] == true,
            })
        });
        served.collect()
    }

    /// The newest version of the repository.
    pub async fn newest_version(&self, repository: &str) -> Result<String, PulpError> {
        let doing = format!("look for the newest version of {repository}");
        let query = [("fields", "latest_version_href")];
        let reply = self
            .client
            .ask(Ask::get(&doing, repository, &query))
            .await?;
        href(
            &reply.expect(&doing, &[StatusCode::OK])?,
            "latest_version_href",
            &doing,
        )
    }

    /// Gives that version out at this path, to everybody or only to who has a right in that Pulp. `served` is what is given out of it
    /// already.
    pub async fn serve(
        &self,
        of: Mirrored<'_>,
        path: &str,
        version: &str,
        is_private: bool,
        served: &[Served],
    ) -> Result<(), PulpError> {
        if let Some(there) = served.iter().find(|it| it.path == path) {
            if there.version.as_deref() == Some(version) && there.is_private == is_private {
                return Ok(());
            }
            let doing = format!("give out `{path}`");
            let wanted =
                json!({ "repository_version": version, "repository": null, "private": is_private });
            return self
                .change(&doing, Method::PATCH, &there.href, &wanted)
                .await;
        }
        let doing = format!("give out `{path}`");
        let new = json!({
            "name": format!("{}/{path}", of.name),
            "base_path": path,
            "repository_version": version,
            "private": is_private,
            "pulp_labels": self.labels(of.label),
        });
        self.change(&doing, Method::POST, DISTRIBUTIONS, &new).await
    }

    /// Gives that out no more.
    pub async fn stop_serving(&self, served: &Served) -> Result<(), PulpError> {
        let doing = format!("give out `{}` no more", served.path);
        // Somebody may have tied it to a repository, which would go with it.
        let free = json!({ "repository": null });
        self.change(&doing, Method::PATCH, &served.href, &free)
            .await?;
        self.change(&doing, Method::DELETE, &served.href, &Value::Null)
            .await
    }

    /// Removes repository and remote; what nothing else has any more is Pulp's to clean up.
    pub async fn remove(&self, of: Mirrored<'_>) -> Result<(), PulpError> {
        for path in [REPOSITORIES, REMOTES] {
            let doing = format!("remove `{}`", of.name);
            if let Some(found) = self.named(&doing, path, of.name).await? {
                let at = href(&found, "pulp_href", &doing)?;
                if path == REPOSITORIES {
                    self.cancel_syncs(&at, &[]).await?;
                }
                self.change(&doing, Method::DELETE, &at, &Value::Null)
                    .await?;
            }
        }
        Ok(())
    }

    /// The thing of ours with this name.
    async fn named(&self, doing: &str, path: &str, name: &str) -> Result<Option<Value>, PulpError> {
        let found = self.list(doing, path, &[("name", name)]).await?.pop();
        match found {
            Some(found) if found["pulp_labels"][OWNER] != self.owner.to_string() => {
                Err(PulpError::Refused {
                    doing: doing.to_owned(),
                    status: StatusCode::CONFLICT,
                    said: format!("`{name}` is there and not of this server; rename it there"),
                })
            }
            found => Ok(found),
        }
    }

    async fn create(&self, doing: &str, path: &str, new: &Value) -> Result<String, PulpError> {
        let reply = self
            .client
            .ask(Ask::send(doing, Method::POST, path, new))
            .await?;
        href(
            &reply.expect(doing, &[StatusCode::CREATED])?,
            "pulp_href",
            doing,
        )
    }

    /// Changes, makes or deletes something, and waits until that is done. What is gone needs no delete.
    async fn change(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(), PulpError> {
        let ask = Ask {
            body: (!body.is_null()).then_some(body),
            ..Ask::send(doing, method.clone(), path, body)
        };
        let reply = self.client.ask(ask).await?;
        if method == Method::DELETE && reply.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        if [StatusCode::OK, StatusCode::CREATED, StatusCode::NO_CONTENT].contains(&reply.status) {
            return Ok(());
        }
        let accepted = reply.expect(doing, &[StatusCode::ACCEPTED])?;
        let task = href(&accepted, "task", doing)?;
        self.wait(&task, doing).await
    }

    async fn wait(&self, task: &str, doing: &str) -> Result<(), PulpError> {
        let begun = Instant::now();
        while begun.elapsed() < DONE_WITHIN {
            let reply = self.client.ask(Ask::get(doing, task, &[])).await?;
            if reply.status == StatusCode::NOT_FOUND {
                return Ok(()); // purged, so that it has ended
            }
            match state_of(&reply.expect(doing, &[StatusCode::OK])?, doing)? {
                TaskState::Open => sleep(LOOKED_AT_EVERY).await,
                TaskState::Completed(_) | TaskState::Purged => return Ok(()),
            }
        }
        Err(PulpError::NotDone {
            doing: doing.to_owned(),
        })
    }

    async fn list(
        &self,
        doing: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, PulpError> {
        let reply = self.client.ask(Ask::get(doing, path, query)).await?;
        let mut found = reply.expect(doing, &[StatusCode::OK])?;
        if let Value::Array(results) = found["results"].take() {
            return Ok(results);
        }
        Err(PulpError::Unreadable {
            doing: doing.to_owned(),
            why: "it has no list `results`".to_owned(),
        })
    }
}

/// Asks the Pulp at this URL whether it is there, without a login.
pub async fn answers(http: &reqwest::Client, url: &Url) -> Result<(), PulpError> {
    let doing = "tell its state";
    let (origin, mut at) = (url.origin().ascii_serialization(), url.clone());
    at.set_path("/pulp/api/v3/status/");
    let asked = http.get(at).timeout(DONE_WITHIN / 6).send().await;
    let answer = asked.map_err(|error| PulpError::Unreachable {
        origin,
        doing: doing.to_owned(),
        why: super::client::innermost(&error.without_url()),
    })?;
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let body = answer.bytes().await.unwrap_or_default();
    Err(PulpError::of_answer(doing, status, &body))
}

fn read(task: &Value, doing: &str) -> Result<Task, PulpError> {
    let state = match state_of(task, doing) {
        Ok(TaskState::Open) => State::Open,
        Ok(TaskState::Completed(_) | TaskState::Purged) => State::Done,
        Err(PulpError::Task { state, why, .. }) => {
            State::Failed(format!("it ended {state}: {why}"))
        }
        Err(error) => return Err(error),
    };
    let texts = |list: &Value| {
        let list = list.as_array().into_iter().flatten();
        let texts = list.filter_map(|it| it.as_str().map(str::to_owned));
        texts.collect::<Vec<_>>()
    };
    let reports = task["progress_reports"].as_array().into_iter().flatten();
    let blobs = reports
        .filter(|report| report["code"] == "sync.downloading.artifacts")
        .filter_map(|report| report["done"].as_u64());
    Ok(Task {
        href: href(task, "pulp_href", doing)?,
        state,
        blobs: blobs.sum(),
        locked: texts(&task["reserved_resources_record"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_tells_how_far_it_is_and_what_it_is_on() {
        let told = json!({
            "pulp_href": "/pulp/api/v3/tasks/7/", "state": "running",
            "reserved_resources_record": ["prn:container.containerrepository:0197", "shared:prn:x"],
            "progress_reports": [
                {"code": "sync.downloading.artifacts", "done": 4},
                {"code": "associating.content", "done": 9},
            ],
        });

        let task = read(&told, "sync").unwrap();

        assert_eq!((task.state.clone(), task.blobs), (State::Open, 4));
        assert!(task.is_on("/pulp/api/v3/repositories/container/container/0197/"));
        assert!(!task.is_on("/pulp/api/v3/repositories/container/container/0198/"));
    }

    #[test]
    fn a_task_that_failed_says_why() {
        let told = json!({
            "pulp_href": "/pulp/api/v3/tasks/7/", "state": "failed",
            "error": {"description": "401, message='Unauthorized'"},
        });

        let task = read(&told, "sync").unwrap();

        let why = "it ended failed: 401, message='Unauthorized'".to_owned();
        assert_eq!(task.state, State::Failed(why));
    }
}
