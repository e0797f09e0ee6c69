//! Pushes by HTTP, as podman makes them, through the whole workflow.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::report::{Report, median};
use super::server::{PASSWORD, Server};
use super::{BenchError, fsync, layer, tags};
use crate::cli::client;
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::OciClient;
use crate::sample_image::Image;

pub(super) const RUNS: usize = 5;
const SMALL_PUSHES: usize = 60;
pub(super) const CLIENTS: usize = 8;
pub(super) const RUN: Duration = Duration::from_secs(3);

pub(super) async fn measure(folder: &Path) -> Result<Report, BenchError> {
    let mut report = Report::default();
    fsync::report(folder, &mut report, "before")?;
    let http = client::http().map_err(|error| BenchError::Server(error.to_string()))?;
    let mut server = Server::start(&folder.join("data"), &http).await?;
    let first = server.ready_after.as_secs_f64() * 1000.0;
    report.one(
        "first_start_to_ready",
        first,
        "ms",
        "on an empty folder".into(),
    );
    report.one(
        "idle_memory",
        server.memory_mib("VmRSS")?,
        "MiB",
        "resident, ready and without work".into(),
    );

    let mut numbers = 0_u64;
    small_pushes(&server, &http, &mut numbers, &mut report).await?;
    tags::measure(&server, &mut report).await?;
    layer::measure(folder, &http, &mut report).await?;

    let (mut starts, mut restarts) = (Vec::with_capacity(RUNS), Vec::with_capacity(RUNS));
    for run in 0..RUNS {
        let restart;
        (server, restart) = first_step_after_kill(server, &http, run, &mut numbers).await?;
        starts.push(server.ready_after.as_secs_f64() * 1000.0);
        restarts.push(restart);
    }
    report.median(
        "start_to_ready",
        starts,
        "ms",
        "after kill -9, with everything above in the database".into(),
    );
    report.median(
        "restart_to_first_step",
        restarts,
        "ms",
        "from the start of the process to the first step of an open plan".into(),
    );
    fsync::report(folder, &mut report, "after")?;
    Ok(report)
}

/// Images by one client, one after the other, then by several at once; and what of the server each of them takes.
async fn small_pushes(
    server: &Server,
    http: &reqwest::Client,
    numbers: &mut u64,
    report: &mut Report,
) -> Result<(), BenchError> {
    let (cpu, before) = (server.cpu_seconds()?, Durable::counted(server, http).await?);
    let mut p50 = Vec::with_capacity(RUNS);
    for run in 0..RUNS {
        p50.push(one_client(server, run, numbers).await?);
    }
    let (cpu, after) = (
        server.cpu_seconds()? - cpu,
        Durable::counted(server, http).await?,
    );
    report.median(
        "small_push",
        p50,
        "ms",
        format!("p50 of {SMALL_PUSHES} images of 3 x 4 KiB, one client"),
    );
    #[expect(clippy::cast_precision_loss, reason = "a count of pushes is small")]
    let count = (RUNS * SMALL_PUSHES) as f64;
    let each = |total: f64| total / count;
    report.one(
        "small_push_cpu",
        each(cpu) * 1000.0,
        "CPU ms",
        "of the server for each of them".into(),
    );
    report.one(
        "small_push_commits",
        each(after.commits - before.commits),
        "commits",
        "for each of them, one after the other".into(),
    );
    report.one(
        "small_push_object_syncs",
        each(after.objects - before.objects),
        "syncs",
        "of uploaded bytes, for each of them".into(),
    );

    let cpu = server.cpu_seconds()?;
    let (mut images, mut pushed) = (Vec::with_capacity(RUNS), 0);
    for run in 0..RUNS {
        let (rate, count) = many_clients(server, run, numbers).await?;
        images.push(rate);
        pushed += count;
    }
    report.median(
        "images_per_second",
        images,
        "images/s",
        format!("images of 3 x 4 KiB, {CLIENTS} clients"),
    );
    report.one(
        "images_cpu",
        (server.cpu_seconds()? - cpu) * 1000.0 / f64::from(pushed),
        "CPU ms",
        "of the server for each of them".into(),
    );
    Ok(())
}

/// How often the server has made something durable since its start.
struct Durable {
    commits: f64,
    objects: f64,
}

impl Durable {
    async fn counted(server: &Server, http: &reqwest::Client) -> Result<Self, BenchError> {
        let metrics = http
            .get(format!("{}/metrics", server.url()))
            .basic_auth(ADMIN, Some(PASSWORD));
        let text = answered(metrics.send().await)?.text().await;
        let text = text.map_err(|error| BenchError::Server(error.to_string()))?;
        let count = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix("_count "));
            value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
        };
        Ok(Self {
            commits: count("wharfinger_commit_seconds"),
            objects: count("wharfinger_object_sync_seconds"),
        })
    }
}

/// A client of its own for this repository.
pub(super) async fn log_in(server: &Server, name: &str) -> Result<OciClient, BenchError> {
    let name = format!("{}/bench/{name}", DEFAULT_ORGANIZATION.to_lowercase());
    Ok(OciClient::log_in(server.url(), &name, ADMIN, PASSWORD).await?)
}

/// Pushes an image of two layers and a config of 4 KiB each that was never pushed before.
pub(super) async fn push(to: &OciClient, tag: &str, number: u64) -> Result<(), BenchError> {
    let image = Image::of_noise(number, 4096);
    for blob in image.blobs() {
        to.push_blob(blob).await?;
    }
    Ok(to.push_manifest(tag, &image.manifest).await?)
}

/// The median time of a push, in milliseconds.
async fn one_client(server: &Server, run: usize, numbers: &mut u64) -> Result<f64, BenchError> {
    let to = log_in(server, &format!("alone{run}")).await?;
    let mut times = Vec::with_capacity(SMALL_PUSHES);
    for push_number in 0..SMALL_PUSHES {
        *numbers += 1;
        let start = Instant::now();
        push(&to, &format!("t{push_number}"), *numbers).await?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(&times))
}

/// Images per second, each client pushing to a repository of its own; and how many that were.
async fn many_clients(
    server: &Server,
    run: usize,
    numbers: &mut u64,
) -> Result<(f64, u32), BenchError> {
    let first = *numbers;
    *numbers += 1_000_000;
    let mut clients = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        clients.push(log_in(server, &format!("many{run}x{client}")).await?);
    }
    let start = Instant::now();
    let work = async |(place, to): (u64, OciClient)| -> Result<u32, BenchError> {
        let mut pushed = 0_u32;
        while start.elapsed() < RUN {
            let number = first + place * 100_000 + u64::from(pushed);
            push(&to, &format!("t{pushed}"), number).await?;
            pushed += 1;
        }
        Ok(pushed)
    };
    let pushed = futures_util::future::try_join_all((0..).zip(clients).map(work)).await?;
    let pushed = pushed.iter().sum();
    Ok((f64::from(pushed) / start.elapsed().as_secs_f64(), pushed))
}

/// Kills the server while a plan is open, and measures until its first step runs after the start, in milliseconds.
async fn first_step_after_kill(
    server: Server,
    http: &reqwest::Client,
    run: usize,
    numbers: &mut u64,
) -> Result<(Server, f64), BenchError> {
    *numbers += 1;
    let tag = format!("killed{run}");
    let to = log_in(&server, &format!("killed{run}")).await?;
    let image = Image::of_noise(*numbers, 4096);
    for blob in image.blobs() {
        to.push_blob(blob).await?;
    }
    let drill = json!({ "workflow": "push", "step": "copy", "tag": tag, "effect": "stall", "stall_seconds": 60, "times": 1 });
    let created = http
        .post(format!("{}/api/v1/drills", server.url()))
        .basic_auth(ADMIN, Some(PASSWORD))
        .json(&drill);
    answered(created.send().await)?;
    let task = tokio::select! {
        done = to.push_manifest(&tag, &image.manifest) => {
            done?;
            return Err(BenchError::Server("published what a drill should have held".into()));
        }
        task = task_at_copy(&server, http, &tag) => task?,
    };
    let killed = Instant::now();
    let server = server.kill_and_start(http).await?;
    let before_start = killed.elapsed().saturating_sub(server.ready_after);
    loop {
        let now = get(http, &format!("{}/api/v1/tasks/{task}", server.url())).await?;
        let tries = now["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|step| step["name"] == "copy");
        if tries
            .and_then(|step| step["attempts"].as_u64())
            .unwrap_or(0)
            >= 2
        {
            let elapsed = killed.elapsed().saturating_sub(before_start);
            return Ok((server, elapsed.as_secs_f64() * 1000.0));
        }
    }
}

/// The task of this tag, once it is at `copy`.
async fn task_at_copy(
    server: &Server,
    http: &reqwest::Client,
    tag: &str,
) -> Result<String, BenchError> {
    loop {
        let search = format!("{}/api/v1/tasks?search=tag%20%3D%20{tag}", server.url());
        let found = get(http, &search).await?;
        if let Some(id) = found["results"][0]["id"].as_str() {
            let task = get(http, &format!("{}/api/v1/tasks/{id}", server.url())).await?;
            let at_copy = |step: &Value| step["name"] == "copy" && step["state"] == "running";
            if task["steps"]
                .as_array()
                .is_some_and(|steps| steps.iter().any(at_copy))
            {
                return Ok(id.to_owned());
            }
        }
    }
}

pub(super) async fn get(http: &reqwest::Client, url: &str) -> Result<Value, BenchError> {
    let answer = answered(http.get(url).basic_auth(ADMIN, Some(PASSWORD)).send().await)?;
    answer
        .json()
        .await
        .map_err(|error| BenchError::Server(error.to_string()))
}

pub(super) fn answered(
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<reqwest::Response, BenchError> {
    answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| BenchError::Server(format!("answered wrongly: {error}")))
}
