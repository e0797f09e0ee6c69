//! As much of a Pulp as a removal asks of one: repositories, distributions, tasks that delete. What a real one does is tested
//! with real ones; this one can stop answering at any request, and counts them.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use storage::catalog::DestinationId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const API: &str = "/pulp/api/v3/";
const CONTAINER: &str = "/pulp/api/v3/repositories/container/container/";
const CONTAINER_PUSH: &str = "/pulp/api/v3/repositories/container/container-push/";
const DISTRIBUTIONS: &str = "/pulp/api/v3/distributions/container/container/";
const TASKS: &str = "/pulp/api/v3/tasks/";

/// Which Pulp it is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// A push makes a push repository, which is deleted with its distribution only.
    Older,
    /// A push makes a container repository.
    Newer,
}

/// How it stops answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// The request never comes there.
    Before,
    /// It does what it was asked, and the answer is lost.
    After,
}

/// It runs as long as it is held.
pub(crate) struct FakePulp {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _serves: JoinSet<()>,
}

struct State {
    age: Age,
    /// By their hrefs.
    things: BTreeMap<String, Value>,
    tasks: BTreeMap<String, Task>,
    made: usize,
    /// So many requests are answered yet.
    answers: Option<(usize, Breaks)>,
    asked: Vec<String>,
}

/// It does its work when it is looked at for the second time.
struct Task {
    looked_at: usize,
    does: Does,
    state: &'static str,
}

enum Does {
    Delete(String),
    Change(String, Value),
}

impl FakePulp {
    pub(crate) async fn start(age: Age) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            age,
            things: BTreeMap::new(),
            tasks: BTreeMap::new(),
            made: 0,
            answers: None,
            asked: Vec::new(),
        }));
        let (mut serves, shared) = (JoinSet::new(), Arc::clone(&state));
        serves.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                serve(connection, &shared).await;
            }
        });
        Self {
            url,
            state,
            _serves: serves,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What is there after a push to this destination of the instance.
    pub(crate) fn has(&self, destination: DestinationId, instance: &str) {
        let mut state = self.state();
        let kind = match state.age {
            Age::Older => CONTAINER_PUSH,
            Age::Newer => CONTAINER,
        };
        let (push, own) = (
            format!("wharfinger-push/{destination}"),
            format!("wharfinger/{destination}"),
        );
        let labels =
            json!({"wharfinger": instance, "wharfinger_repository": destination.to_string()});
        let pushed = state.make(kind, json!({"name": push, "pulp_labels": {}}));
        let version =
            state.make(CONTAINER, json!({"name": own, "pulp_labels": labels})) + "versions/1/";
        state.make(DISTRIBUTIONS, json!({"name": push, "base_path": push, "pulp_labels": {}, "private": true, "repository": pushed, "repository_version": null}));
        state.make(DISTRIBUTIONS, json!({"name": own, "base_path": own, "pulp_labels": labels, "private": true, "repository": null, "repository_version": version}));
    }

    /// Puts something there that is not ours; answers its href.
    pub(crate) fn has_repository(&self, name: &str) -> String {
        let repository = json!({"name": name, "pulp_labels": {}});
        self.state().make(CONTAINER, repository)
    }

    /// Somebody changes all of this name.
    pub(crate) fn change(&self, name: &str, field: &str, value: &Value) {
        for thing in self.state().things.values_mut() {
            if thing["name"] == name && thing.get(field).is_some() {
                thing[field] = value.clone();
            }
        }
    }

    /// It answers so many requests more, and then none.
    pub(crate) fn answer_only(&self, more: usize, breaks: Breaks) {
        self.state().answers = Some((more, breaks));
    }

    /// It answers again.
    pub(crate) fn answer(&self) {
        self.state().answers = None;
    }

    /// How many requests it was sent.
    pub(crate) fn asked(&self) -> usize {
        self.state().asked.len()
    }

    /// What was asked that changes something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let asked = self.state().asked.clone();
        asked
            .into_iter()
            .filter(|it| it.starts_with("DELETE") || it.starts_with("PATCH"))
            .collect()
    }

    /// What is there, by kind and name.
    pub(crate) fn picture(&self) -> String {
        let mut picture = String::new();
        for (href, thing) in &self.state().things {
            let kind = href.trim_start_matches(API).rsplitn(3, '/').last();
            let (kind, name) = (kind.unwrap_or_default(), thing["name"].as_str());
            write!(picture, "{kind} {}; ", name.unwrap_or_default()).unwrap();
        }
        picture
    }
}

impl State {
    fn make(&mut self, kind: &str, mut thing: Value) -> String {
        self.made += 1;
        let href = format!("{kind}{:03}/", self.made);
        thing["pulp_href"] = json!(href);
        self.things.insert(href.clone(), thing);
        href
    }

    fn answer(&mut self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let listed = match path.trim_start_matches(API) {
            "login/" => return (201, json!({})),
            "repositories/" => Some("name"),
            "distributions/container/container/" => Some("base_path"),
            _ => None,
        };
        if let Some(field) = listed {
            let wanted = query
                .split('&')
                .find_map(|it| it.strip_prefix(&format!("{field}__in=")));
            let wanted = wanted
                .unwrap_or_default()
                .replace("%2F", "/")
                .replace("%2C", ",");
            let wanted: Vec<&str> = wanted.split(',').collect();
            let of_kind = self.things.iter().filter(|it| it.0.starts_with(path));
            let found = of_kind.filter(|it| wanted.iter().any(|name| it.1[field] == *name));
            let found: Vec<&Value> = found.map(|it| it.1).collect();
            return (200, json!({"count": found.len(), "results": found}));
        }
        if path.starts_with(TASKS) {
            return match self.look_at_task(path) {
                Some(state) => (200, json!({"state": state, "created_resources": []})),
                None => (404, json!({"detail": "Not found."})),
            };
        }
        if !self.things.contains_key(path) {
            return (404, json!({"detail": "Not found."}));
        }
        let does = match method {
            "GET" => return (200, self.things[path].clone()),
            "DELETE" if path.starts_with(CONTAINER_PUSH) => return (405, json!({})),
            "DELETE" => Does::Delete(path.to_owned()),
            _ => Does::Change(path.to_owned(), body.clone()),
        };
        self.made += 1;
        let task = format!("{TASKS}{:03}/", self.made);
        let begun = Task {
            looked_at: 0,
            does,
            state: "running",
        };
        self.tasks.insert(task.clone(), begun);
        (202, json!({"task": task}))
    }

    fn look_at_task(&mut self, href: &str) -> Option<&'static str> {
        let task = self.tasks.get_mut(href)?;
        task.looked_at += 1;
        if task.looked_at == 2 {
            task.state = "completed";
            match &task.does {
                Does::Change(of, body) => {
                    let thing = self.things.get_mut(of)?;
                    for (name, value) in body.as_object().unwrap() {
                        thing[name] = value.clone();
                    }
                }
                Does::Delete(gone) => match self.things.remove(gone) {
                    None => task.state = "failed",
                    Some(thing) => {
                        if let Some(of) = thing["repository"].as_str() {
                            self.things.remove(of);
                        }
                    }
                },
            }
        }
        Some(task.state)
    }
}

async fn serve(mut connection: TcpStream, shared: &Mutex<State>) {
    let Some((method, target, body)) = request(&mut connection).await else {
        return;
    };
    let (status, body) = {
        let mut state = shared.lock().unwrap();
        state.asked.push(format!("{method} {target}"));
        match state.answers {
            Some((0, Breaks::Before)) => return,
            Some((0, Breaks::After)) => {
                // Only once: from then on it is gone.
                state.answers = Some((0, Breaks::Before));
                state.answer(&method, &target, &body);
                return;
            }
            Some((more, breaks)) => state.answers = Some((more - 1, breaks)),
            None => {}
        }
        state.answer(&method, &target, &body)
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} .\r\nConnection: close\r\nContent-Length: {}\r\nSet-Cookie: sessionid=s\r\nSet-Cookie: csrftoken=c\r\n\r\n{body}",
        body.len()
    );
    // Who has gone away hears nothing.
    let _ = connection.write_all(answer.as_bytes()).await;
}

async fn request(connection: &mut TcpStream) -> Option<(String, String, Value)> {
    let mut read = Vec::new();
    let head = loop {
        if connection.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = read.windows(4).position(|it| it == b"\r\n\r\n") {
            break at;
        }
    };
    let text = String::from_utf8(read[..head].to_vec()).ok()?;
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let end = head + 4 + length.unwrap_or(0);
    while read.len() < end {
        if connection.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&read[head + 4..end]).unwrap_or_default();
    Some((method, target, body))
}
