//! Pushes by HTTP, as podman makes them, through the whole workflow.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::report::{Report, median};
use super::server::{PASSWORD, Server};
use super::{BenchError, fsync};
use crate::cli::client;
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::OciClient;
use crate::sample_image::{Image, LargeBlob};

const RUNS: usize = 5;
const SMALL_PUSHES: usize = 60;
const CLIENTS: usize = 8;
const RUN: Duration = Duration::from_secs(3);
const LAYER_BYTES: u64 = 512 * 1024 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

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
    let mut p50 = Vec::with_capacity(RUNS);
    for run in 0..RUNS {
        p50.push(one_client(&server, run, &mut numbers).await?);
    }
    report.median(
        "small_push",
        p50,
        "ms",
        format!("p50 of {SMALL_PUSHES} images of 3 x 4 KiB, one client"),
    );

    let mut images = Vec::with_capacity(RUNS);
    for run in 0..RUNS {
        images.push(many_clients(&server, run, &mut numbers).await?);
    }
    report.median(
        "images_per_second",
        images,
        "images/s",
        format!("images of 3 x 4 KiB, {CLIENTS} clients"),
    );

    let (mut speeds, mut cpu) = (Vec::with_capacity(RUNS), Vec::with_capacity(RUNS));
    for run in 0..RUNS {
        let (speed, seconds) = large_layer(&server, run).await?;
        speeds.push(speed);
        cpu.push(seconds);
    }
    report.median(
        "layer_upload",
        speeds,
        "MiB/s",
        "a layer of 512 MiB in one PATCH".into(),
    );
    report.median("layer_cpu", cpu, "CPU s/GiB", "of the server".into());
    report.one(
        "peak_memory",
        server.memory_mib("VmHWM")?,
        "MiB",
        "resident, at most until here".into(),
    );

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

async fn log_in(server: &Server, name: &str) -> Result<OciClient, BenchError> {
    let name = format!("{}/bench/{name}", DEFAULT_ORGANIZATION.to_lowercase());
    Ok(OciClient::log_in(server.url(), &name, ADMIN, PASSWORD).await?)
}

/// Pushes an image of two layers and a config of 4 KiB each that was never pushed before.
async fn push(to: &OciClient, tag: &str, number: u64) -> Result<(), BenchError> {
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

/// Images per second, each client pushing to a repository of its own.
async fn many_clients(server: &Server, run: usize, numbers: &mut u64) -> Result<f64, BenchError> {
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
    Ok(f64::from(pushed.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

/// MiB per second, and the server's processor seconds per GiB.
async fn large_layer(server: &Server, run: usize) -> Result<(f64, f64), BenchError> {
    let to = log_in(server, &format!("large{run}")).await?;
    let layer = LargeBlob::new(u64::try_from(run).unwrap_or(0), LAYER_BYTES);
    let cpu = server.cpu_seconds()?;
    let start = Instant::now();
    to.push_large_blob(&layer).await?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "the size of a layer is exact in an f64"
    )]
    let mib = LAYER_BYTES as f64 / MIB;
    Ok((
        mib / seconds,
        (server.cpu_seconds()? - cpu) / (mib / 1024.0),
    ))
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

async fn get(http: &reqwest::Client, url: &str) -> Result<Value, BenchError> {
    let answer = answered(http.get(url).basic_auth(ADMIN, Some(PASSWORD)).send().await)?;
    answer
        .json()
        .await
        .map_err(|error| BenchError::Server(error.to_string()))
}

fn answered(
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<reqwest::Response, BenchError> {
    answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| BenchError::Server(format!("answered wrongly: {error}")))
}
