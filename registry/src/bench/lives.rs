//! What happens to images after their push, by HTTP, held against what it must be.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use engine::clock::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use storage::catalog::RepositoryId;
use storage::content::Blob;
use storage::content::objects::ObjectName;
use storage::{Database, Digest, filling};

use super::list::DATABASE;
use super::list::crowd::repositories::Place;
use super::list::crowd::{self, tag, write};
use super::push::{answered, get, log_in, push};
use super::report::{Report, median, percentile};
use super::server::{PASSWORD, Server};
use super::{BenchError, fsync};
use crate::cli::client;
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};

/// How often what is soon over is measured.
const RUNS: usize = 5;
/// Rows of one transaction: half a second or so, and the writer gives up at five.
const AT_ONCE: u64 = 1_000;
/// Long enough ago that nothing is kept for who was told of it.
const LONG_AGO: Duration = Duration::from_hours(24 * 60);
/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(20);
/// The repository that is deleted, the one whose versions move, and the first of those that are named anew.
const DELETED: u64 = 0;
const MOVED: u64 = 1;
const NAMED: u64 = 2;
/// Where the numbers of images of one repository begin: none has so many.
const APART: u64 = 10_000_000;

/// How much there is.
#[derive(Args, Debug)]
pub(super) struct Sizes {
    /// Tags of the repository that is deleted and brought back
    #[arg(long, default_value_t = 1_000)]
    deleted_tags: u64,
    /// Tags of the repository that is promoted and rolled back
    #[arg(long, default_value_t = 10_000)]
    moved_tags: u64,
    /// Repositories that a pattern names anew
    #[arg(long, default_value_t = 1_000)]
    repositories: u64,
    /// Blobs that are collected while images are pushed
    #[arg(long, default_value_t = 100_000)]
    blobs: u64,
    /// Pushes of which the times are taken before blobs are collected, and at most as many meanwhile
    #[arg(long, default_value_t = 300)]
    pushes: u64,
}

/// The repositories that it is about.
struct Filled {
    deleted: RepositoryId,
    moved: RepositoryId,
}

pub(super) async fn measure(folder: &Path, sizes: &Sizes) -> Result<Report, BenchError> {
    let mut report = Report::default();
    let http = client::http().map_err(|error| BenchError::Server(error.to_string()))?;
    let data_dir = folder.join("data");
    {
        let server = Server::start(&data_dir, &http).await?;
        crowd::model(&server, &http).await?;
    }
    let begun = Instant::now();
    let filled = fill(&data_dir, sizes).await?;
    let note = format!(
        "{} repositories, {} tags in one of them, {} blobs with their files",
        sizes.repositories, sizes.moved_tags, sizes.blobs
    );
    report.one("filled_in", begun.elapsed().as_secs_f64(), "s", note);
    let server = Server::start(&data_dir, &http).await?;
    let mut bench = Bench {
        folder,
        http: &http,
        server: &server,
        report: &mut report,
        fsync: fsync::measure(folder)?,
    };
    bench.delete_and_revert(filled.deleted, sizes).await?;
    bench.promote_and_roll_back(filled.moved, sizes).await?;
    bench.name_anew(sizes).await?;
    bench.collect_beside_pushes(sizes).await?;
    Ok(report)
}

/// Writes repositories and blobs into the folder of a server that does not run.
async fn fill(data_dir: &Path, sizes: &Sizes) -> Result<Filled, BenchError> {
    let database = Database::open_to_fill(&data_dir.join(DATABASE)).await?;
    let at = engine::clock::Clock::system().now();
    let place = write(&database, move |tx| Box::pin(Place::find(tx, at))).await?;
    for first in (0..NAMED + sizes.repositories).step_by(step()) {
        let last = (first + AT_ONCE).min(NAMED + sizes.repositories);
        write(&database, move |tx| {
            Box::pin(async move {
                for n in first..last {
                    let made = place.repository(tx, n).await?;
                    if n >= NAMED {
                        place.push_all(tx, made, n, ["latest".to_owned()]).await?;
                    }
                }
                Ok(())
            })
        })
        .await?;
    }
    let deleted = tags(&database, place, DELETED, sizes.deleted_tags).await?;
    let moved = tags(&database, place, MOVED, sizes.moved_tags).await?;
    for n in 0..2 {
        write(&database, move |tx| {
            Box::pin(place.push(tx, moved, (MOVED + 2) * APART + n, "latest"))
        })
        .await?;
    }
    for it in [deleted, moved] {
        write(&database, move |tx| {
            Box::pin(async move { filling::embedded(tx, it).await })
        })
        .await?;
    }
    blobs(&database, data_dir, sizes.blobs, at - LONG_AGO).await?;
    database.close().await;
    Ok(Filled { deleted, moved })
}

fn step() -> usize {
    usize::try_from(AT_ONCE).unwrap_or(1)
}

/// So many tags in the n-th repository.
async fn tags(
    database: &Database,
    place: Place,
    n: u64,
    count: u64,
) -> Result<RepositoryId, BenchError> {
    let repository = write(database, move |tx| Box::pin(place.repository(tx, n))).await?;
    for first in (0..count).step_by(step()) {
        let some = first..(first + AT_ONCE).min(count);
        write(database, move |tx| {
            Box::pin(place.push_all(tx, repository, (n + 1) * APART + first, some.map(tag)))
        })
        .await?;
    }
    Ok(repository)
}

/// Blobs that nobody needs, each with a file.
async fn blobs(
    database: &Database,
    data_dir: &Path,
    count: u64,
    at: Timestamp,
) -> Result<(), BenchError> {
    let content_dir = data_dir.join("content");
    for first in (0..count).step_by(step()) {
        let mut blobs = Vec::new();
        let mut files = Vec::new();
        for n in first..(first + AT_ONCE).min(count) {
            let bytes = n.to_be_bytes().to_vec();
            let blob = Blob {
                digest: Digest::of(&bytes),
                size_bytes: bytes.len() as u64,
            };
            let object = ObjectName::random();
            blobs.push((blob, object.clone()));
            files.push((object, bytes));
        }
        filling::objects(&content_dir, &files)?;
        write(database, move |tx| {
            Box::pin(async move { filling::unlinked_blobs(tx, &blobs, at).await })
        })
        .await?;
    }
    Ok(())
}

struct Bench<'a> {
    folder: &'a Path,
    http: &'a reqwest::Client,
    server: &'a Server,
    report: &'a mut Report,
    /// What a durable write takes in this minute, in milliseconds.
    fsync: f64,
}

impl Bench<'_> {
    /// The note with the time of a durable write, measured again now: it may have changed.
    fn noted(&mut self, note: &str) -> Result<String, BenchError> {
        let before = std::mem::replace(&mut self.fsync, fsync::measure(self.folder)?);
        Ok(format!("{note}; fsync {before:.2} to {:.2} ms", self.fsync))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server.url())
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, BenchError> {
        let request = self
            .http
            .request(method, self.url(path))
            .basic_auth(ADMIN, Some(PASSWORD))
            .json(body);
        let answer = answered(request.send().await)?.json().await;
        answer.map_err(|error| BenchError::Server(error.to_string()))
    }

    /// Asks for something that becomes a task, and waits until that has ended so; answers with its id.
    async fn done(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        result: &str,
    ) -> Result<String, BenchError> {
        let begun = self.ask(method, path, body).await?;
        let task = begun["task_id"].as_str().or(begun["id"].as_str());
        let task = task.ok_or_else(|| BenchError::Server(format!("began no task: {begun}")))?;
        self.ended(task, result).await?;
        Ok(task.to_owned())
    }

    async fn ended(&self, task: &str, result: &str) -> Result<Value, BenchError> {
        let begun = Instant::now();
        loop {
            let now = get(self.http, &self.url(&format!("/tasks/{task}"))).await?;
            if now["state"] == "stopped" && now["result"] == result {
                return Ok(now);
            }
            let is_other = now["state"] == "paused" || now["result"] == "error";
            if is_other || begun.elapsed() > PATIENCE {
                return Err(BenchError::Plan(now.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The fastest that a person sees it: from the request to the end of the task.
    async fn timed(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        result: &str,
    ) -> Result<(String, f64), BenchError> {
        let begun = Instant::now();
        let task = self.done(method, path, body, result).await?;
        Ok((task, begun.elapsed().as_secs_f64() * 1000.0))
    }

    async fn delete_and_revert(
        &mut self,
        of: RepositoryId,
        sizes: &Sizes,
    ) -> Result<(), BenchError> {
        let (mut deletes, mut reverts) = (Vec::new(), Vec::new());
        let path = format!("/repositories/{of}");
        for _ in 0..RUNS {
            let (task, took) = self
                .timed(Method::DELETE, &path, &json!({}), "success")
                .await?;
            deletes.push(took);
            let revert = format!("/tasks/{task}/revert");
            let begun = Instant::now();
            self.ask(Method::POST, &revert, &json!({})).await?;
            self.ended(&task, "reverted").await?;
            reverts.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let note = format!("of a repository with {} tags", sizes.deleted_tags);
        let note = self.noted(&note)?;
        self.report.median("delete", deletes, "ms", note.clone());
        self.report.must("<= 1000");
        self.report.median("revert", reverts, "ms", note);
        self.report.must("<= 1000");
        Ok(())
    }

    async fn promote_and_roll_back(
        &mut self,
        of: RepositoryId,
        sizes: &Sizes,
    ) -> Result<(), BenchError> {
        let environments = format!("/organizations/{DEFAULT_ORGANIZATION}/environments");
        let dev = json!({ "label": "stage", "name": "stage", "prior": "Library" });
        self.ask(Method::POST, &environments, &dev).await?;
        let versions = get(
            self.http,
            &self.url(&format!("/repositories/{of}/versions?per_page=3")),
        )
        .await?;
        let number = |back: usize| versions["results"][back]["number"].clone();
        let (newest, before) = (number(0), number(1));
        let (promote, rollback) = (
            format!("/repositories/{of}/promote"),
            format!("/repositories/{of}/rollback"),
        );
        let (mut promotions, mut pointed, mut library) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..RUNS {
            let body = json!({ "version": newest, "to_environment": "stage" });
            promotions.push(
                self.timed(Method::POST, &promote, &body, "success")
                    .await?
                    .1,
            );
            let body = json!({ "environment": "stage", "version": before });
            pointed.push(
                self.timed(Method::POST, &rollback, &body, "success")
                    .await?
                    .1,
            );
            let to = if run % 2 == 0 { &before } else { &newest };
            let body = json!({ "environment": "Library", "version": to });
            library.push(
                self.timed(Method::POST, &rollback, &body, "success")
                    .await?
                    .1,
            );
        }
        // The first version has the first tags only; the second run brings all others back.
        let mut all = Vec::new();
        let first = AT_ONCE.min(sizes.moved_tags);
        for (to, left) in [(json!(1), first), (newest, sizes.moved_tags + 1)] {
            let body = json!({ "environment": "Library", "version": to });
            all.push(
                self.timed(Method::POST, &rollback, &body, "success")
                    .await?
                    .1,
            );
            let tags = self.url(&format!("/repositories/{of}/tags?per_page=1"));
            let total = get(self.http, &tags).await?["total"].as_u64();
            if total != Some(left) {
                return Err(BenchError::Plan(format!("{total:?} tags after a rollback")));
            }
        }
        let note = self.noted(&format!("of a repository with {} tags", sizes.moved_tags))?;
        for (name, runs) in [
            ("promote", promotions),
            ("rollback_of_an_environment", pointed),
            ("rollback_in_library", library),
        ] {
            self.report.median(name, runs, "ms", note.clone());
            self.report.must("<= 50");
        }
        let note = format!("takes away and brings back all but the first {AT_ONCE} of them");
        self.report.median("rollback_of_many_tags", all, "ms", note);
        Ok(())
    }

    async fn name_anew(&mut self, sizes: &Sizes) -> Result<(), BenchError> {
        let library = format!("/organizations/{DEFAULT_ORGANIZATION}/environments/Library");
        let mut changes = Vec::new();
        for run in 0..RUNS {
            let pattern = format!("named{run}/<%= product.label %>/<%= repository.label %>");
            let body = json!({ "registry_name_pattern": pattern });
            changes.push(
                self.timed(Method::PATCH, &library, &body, "success")
                    .await?
                    .1,
            );
        }
        let note = format!("names {} repositories anew", sizes.repositories + NAMED);
        let note = self.noted(&note)?;
        self.report.median("pattern", changes, "ms", note);
        self.report.must("<= 2000");
        Ok(())
    }

    async fn collect_beside_pushes(&mut self, sizes: &Sizes) -> Result<(), BenchError> {
        let to = log_in(self.server, "beside").await?;
        let mut number = u64::MAX / 8;
        let mut pushed = async || -> Result<f64, BenchError> {
            number += 1;
            let begun = Instant::now();
            push(&to, &format!("t{number}"), number).await?;
            Ok(begun.elapsed().as_secs_f64() * 1000.0)
        };
        for _ in 0..sizes.pushes / 10 {
            pushed().await?;
        }
        let (mut before, mut during) = (Vec::new(), Vec::new());
        for _ in 0..sizes.pushes {
            before.push(pushed().await?);
        }
        let begun = Instant::now();
        let cleanup = self.ask(Method::POST, "/tasks/cleanup", &json!({})).await?;
        let task = cleanup["id"].as_str().unwrap_or_default().to_owned();
        let url = self.url(&format!("/tasks/{task}"));
        let mut is_collecting = true;
        while is_collecting && (during.len() as u64) < sizes.pushes {
            during.push(pushed().await?);
            is_collecting = get(self.http, &url).await?["state"] != "stopped";
        }
        let ended = self.ended(&task, "success").await?;
        let took = begun.elapsed().as_secs_f64();
        let collected = ended["output"]["collect_garbage"]["blobs"].as_u64();
        if collected != Some(sizes.blobs) {
            return Err(BenchError::Plan(ended["output"].to_string()));
        }
        let of = |times: &[f64]| format!("of {} small images, one client", times.len());
        let (p95_before, p95_during) = (percentile(&before, 95), percentile(&during, 95));
        let note = of(&before);
        self.report
            .one("push_p50_before", median(&before), "ms", note.clone());
        self.report.one("push_p95_before", p95_before, "ms", note);
        let note = format!("{}, while blobs are collected", of(&during));
        self.report
            .one("push_p50_during", median(&during), "ms", note.clone());
        self.report.one("push_p95_during", p95_during, "ms", note);
        let note = self.noted("the p95 during, to that before")?;
        let raised = p95_during / p95_before.max(f64::MIN_POSITIVE);
        self.report.one("collecting_raises_p95", raised, "x", note);
        self.report.must("< 1.5");
        let note = format!("{} blobs with their files", sizes.blobs);
        self.report.one("collected_in", took, "s", note);
        Ok(())
    }
}
