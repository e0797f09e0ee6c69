//! Pushes while the cleanup deletes old ones, in a server of their own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Bench, since};
use crate::bench::BenchError;
use crate::bench::list::{DATABASE, crowd};
use crate::bench::push::{answered, get, log_in, push};
use crate::bench::report::{median, percentile};
use crate::bench::server::{PASSWORD, Server};
use crate::cli::client;
use crate::first_start::ADMIN;
use crate::oci_client::OciClient;

/// The oldest of them: all but the paused ones have had their time.
const DAYS: u32 = 400;
/// So long it pushes alone, before and again after: the catalog grows meanwhile, and the machine is not the same for minutes.
const ALONE: Duration = Duration::from_secs(20);

pub(super) async fn measure(bench: &mut Bench<'_>, old: u32) -> Result<(), BenchError> {
    let http = client::http().map_err(|error| BenchError::Server(error.to_string()))?;
    let data_dir = bench.folder.join("data");
    {
        let server = Server::start(&data_dir, &http).await?;
        crowd::model(&server, &http).await?;
    }
    crowd::fill_tasks(&data_dir.join(DATABASE), old.into(), DAYS).await?;
    let server = Server::start(&data_dir, &http).await?;
    let to = log_in(&server, "meanwhile").await?;
    let mut numbers = 0;
    let mut alone = pushes_alone(&to, &mut numbers).await?;

    let setting = http
        .patch(format!("{}/api/v1/settings/task_retention", server.url()))
        .json(&json!({"value": {"other": "1h"}}));
    answered(setting.basic_auth(ADMIN, Some(PASSWORD)).send().await)?;
    let begun = Instant::now();
    let cleanup = http
        .post(format!("{}/api/v1/tasks/cleanup", server.url()))
        .json(&json!({}));
    let cleanup = answered(cleanup.basic_auth(ADMIN, Some(PASSWORD)).send().await)?;
    let cleanup: Value = cleanup
        .json()
        .await
        .map_err(|error| BenchError::Server(error.to_string()))?;
    let id = cleanup["id"].as_str().unwrap_or_default();
    let task = format!("{}/api/v1/tasks/{id}", server.url());
    let runs = async || Ok(get(&http, &task).await?["state"] != "stopped");
    let during = pushes(&to, &mut numbers, runs).await?;
    let took = begun.elapsed().as_secs_f64();
    alone.extend(pushes_alone(&to, &mut numbers).await?);
    let ended = get(&http, &task).await?;
    let deleted = ended["output"]["delete_tasks"]["tasks"].as_f64();
    let deleted = deleted.ok_or_else(|| BenchError::Plan(format!("no output: {ended}")))?;

    let told = |times: &[f64]| {
        format!(
            "of {} small images, one client; p50 {:.1} ms",
            times.len(),
            median(times)
        )
    };
    let (p95_alone, p95_during) = (percentile(&alone, 95), percentile(&during, 95));
    let about = bench.noted(&format!("p95, before and after, {}", told(&alone)))?;
    let report = &mut *bench.report;
    report.one("push_without_retention", p95_alone, "ms", about);
    let about = format!("p95 {}", told(&during));
    report.one("push_during_retention", p95_during, "ms", about);
    let about = "the second by the first".to_owned();
    report.one(
        "push_slowed_by_retention",
        p95_during / p95_alone,
        "times",
        about,
    );
    report.must("< 1.5");
    let about = format!("{deleted} of {old} old pushes, in batches, while others push");
    report.one("retention", deleted / took, "tasks/s", about);
    Ok(())
}

async fn pushes_alone(to: &OciClient, numbers: &mut u64) -> Result<Vec<f64>, BenchError> {
    let begun = Instant::now();
    pushes(to, numbers, async || Ok(begun.elapsed() < ALONE)).await
}

/// Pushes as long as it shall go on; how long each took, in milliseconds.
async fn pushes(
    to: &OciClient,
    numbers: &mut u64,
    mut goes_on: impl AsyncFnMut() -> Result<bool, BenchError>,
) -> Result<Vec<f64>, BenchError> {
    let mut times = Vec::new();
    while goes_on().await? {
        *numbers += 1;
        let start = Instant::now();
        push(to, &format!("t{numbers}"), *numbers).await?;
        times.push(since(start));
    }
    Ok(times)
}
