//! Lists and searches of a full house, by HTTP, as scripts and people ask for them.

pub(super) mod crowd;

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::report::{Latency, Report};
use super::server::{PASSWORD, Server};
use super::{BenchError, fsync, push};
use crate::cli::client;
use crate::first_start::ADMIN;
use crowd::{Crowd, PLANS, REPOSITORIES, TAGS};

/// How often each list is asked for.
const RUNS: usize = 60;
/// Before, so that neither the login nor the first read of a page counts.
const WARM_UP: usize = 3;

/// As the server calls it.
pub(super) const DATABASE: &str = "wharfinger.db";

/// Fills the folder of a server that does not run, and answers with what its lists have to show.
pub(super) async fn fill(data_dir: &Path, tasks: Option<(u64, u32)>) -> Result<Value, BenchError> {
    let path = data_dir.join(DATABASE);
    match tasks {
        Some((tasks, days)) => Ok(crowd::fill_tasks(&path, tasks, days).await?.into()),
        None => Ok(crowd::fill(&path).await?.json()),
    }
}

/// What is asked for: a name, the path, and its parameters.
struct Asked {
    name: String,
    path: String,
    query: Vec<(&'static str, String)>,
}

pub(super) async fn measure(folder: &Path) -> Result<Report, BenchError> {
    let mut report = Report::default();
    let http = client::http().map_err(|error| BenchError::Server(error.to_string()))?;
    let data_dir = folder.join("data");
    {
        let server = Server::start(&data_dir, &http).await?;
        crowd::model(&server, &http).await?;
    }
    let begun = Instant::now();
    let crowd = crowd::fill(&data_dir.join(DATABASE)).await?;
    let note = format!("{PLANS} plans, {REPOSITORIES} repositories, {TAGS} tags in one of them");
    report.one("filled_in", begun.elapsed().as_secs_f64(), "s", note);
    fsync::report(folder, &mut report, "before")?;
    let server = Server::start(&data_dir, &http).await?;
    for asked in lists(&crowd) {
        let latency = latency(&server, &http, &asked).await?;
        report.list(latency);
    }
    let note = "resident, at most until here".into();
    report.one("peak_memory", server.memory_mib("VmHWM")?, "MiB", note);
    fsync::report(folder, &mut report, "after")?;
    Ok(report)
}

/// Everything that is asked for.
fn lists(crowd: &Crowd) -> Vec<Asked> {
    let name = &crowd.full_name;
    let of_repository = |rest: &str| format!("/api/v1/repositories/{}/{rest}", crowd.full);
    let mut lists = Vec::new();
    for (part, last) in [
        ("first", String::new()),
        ("middle", crowd::tag(TAGS / 2)),
        ("last", crowd::tag(TAGS - 101)),
    ] {
        lists.push(Asked::new(
            format!("OCI tags, the {part} 100"),
            format!("/v2/{name}/tags/list"),
            &[("n", "100"), ("last", &last)],
        ));
    }
    for (part, last) in [
        ("first", String::new()),
        ("middle", crowd::name(REPOSITORIES / 2)),
        ("last", crowd::last_name()),
    ] {
        lists.push(Asked::new(
            format!("OCI catalog, the {part} 100"),
            "/v2/_catalog".into(),
            &[("n", "100"), ("last", &last)],
        ));
    }
    lists.push(Asked::new(
        "REST tags, 100".into(),
        of_repository("tags"),
        &[("per_page", "100")],
    ));
    lists.push(Asked::new(
        "REST versions, 50".into(),
        of_repository("versions"),
        &[("per_page", "50")],
    ));
    for (search, sort) in TASK_SEARCHES {
        lists.push(Asked::search("tasks", search, sort));
    }
    for (search, sort) in REPOSITORY_SEARCHES {
        lists.push(Asked::search("repositories", search, sort));
    }
    lists
}

/// What people look for among tasks, and in which order; `box-77` stands in the names of a hundred repositories.
#[rustfmt::skip]
const TASK_SEARCHES: &[(&str, &str)] = &[
    ("",                                              "-created_at"),
    ("",                                              "-ended_at"),
    ("state = paused",                                "-created_at"),
    ("state != stopped",                              "created_at"),
    ("result ^ (error, warning)",                     "-ended_at"),
    ("label = push and started_at > \"2 days ago\"",  "-started_at"),
    ("user = ann",                                    "-created_at"),
    ("organization = default_organization",           "-created_at"),
    ("product = p7",                                  "-created_at"),
    ("product = p7 and result = error",               "-ended_at"),
    ("repository = default_organization/p8/box-7",    "-created_at"),
    ("tag = latest and state = paused",               "-created_at"),
    ("repository ~ */p7/* and tag = latest",           "-created_at"),
    ("box-77",                                        "-created_at"),
    ("waiting = operator and created_at < yesterday", "user"),
    ("attempt > 1",                                   "-created_at"),
    ("state != stopped and duration > 10m",           "started_at"),
];

#[rustfmt::skip]
const REPOSITORY_SEARCHES: &[(&str, &str)] = &[
    ("",                                              "id"),
    ("",                                              "name"),
    ("name ~ box-77",                                 "name"),
    ("box-77",                                        "id"),
    ("product = p7",                                  "name"),
    ("pushed_name = default_organization/p8/box-7",   "id"),
    ("tag = latest",                                  "id"),
    ("tag = only-77",                                 "id"),
];

impl Asked {
    fn new(name: String, path: String, query: &[(&'static str, &str)]) -> Self {
        let query = query.iter().filter(|(_, value)| !value.is_empty());
        Self {
            name,
            path,
            query: query
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        }
    }

    fn search(resource: &str, search: &str, sort: &str) -> Self {
        let what = if search.is_empty() { "all" } else { search };
        Self::new(
            format!("{resource}: {what}, by {sort}"),
            format!("/api/v1/{resource}"),
            &[("search", search), ("sort", sort), ("per_page", "50")],
        )
    }
}

async fn latency(
    server: &Server,
    http: &reqwest::Client,
    asked: &Asked,
) -> Result<Latency, BenchError> {
    let mut latency = Latency::of(asked.name.clone());
    for run in 0..WARM_UP + RUNS {
        let begun = Instant::now();
        let request = http
            .get(format!("{}{}", server.url(), asked.path))
            .basic_auth(ADMIN, Some(PASSWORD))
            .query(&asked.query);
        let answer = push::answered(request.send().await)?;
        let bytes = answer
            .bytes()
            .await
            .map_err(|error| BenchError::Server(format!("broke off: {error}")))?;
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        if run >= WARM_UP {
            latency.took(milliseconds);
        }
        if run == 0 {
            let body: Value = serde_json::from_slice(&bytes)
                .map_err(|error| BenchError::Server(format!("answered no JSON: {error}")))?;
            let rows = ["results", "tags", "repositories"]
                .iter()
                .find_map(|list| body[*list].as_array());
            latency.found(rows.map_or(0, Vec::len), body["total"].as_u64());
        }
    }
    Ok(latency)
}
