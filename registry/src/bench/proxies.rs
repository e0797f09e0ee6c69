//! A main server and a smart proxy of it, both processes of their own: how soon what is pushed is there, and how fast it is pulled.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::Client;
use serde_json::json;

use super::push::{RUNS, answered, log_in};
use super::report::{Report, median, percentile};
use super::server::{PASSWORD, Server};
use super::{BenchError, fsync};
use crate::cli::client;
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::OciClient;
use crate::sample_image::{Image, LargeBlob};

/// What is not there after so long does not come.
const PATIENCE: Duration = Duration::from_mins(1);
const MIB: u64 = 1024 * 1024;

/// How much is pushed.
#[derive(Args, Debug)]
pub(super) struct Sizes {
    /// Small images, one after the other
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pushes: u64,
    /// The layer that is pulled from both, in MiB
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    layer_mib: u64,
}

pub(super) async fn measure(folder: &Path, sizes: &Sizes) -> Result<Report, BenchError> {
    let mut report = Report::default();
    fsync::report(folder, &mut report, "before")?;
    let http = client::http().map_err(|error| BenchError::Server(error.to_string()))?;
    let main = Server::start(&folder.join("main"), &http).await?;
    let proxy = proxy_of(&main, folder, &http).await?;
    let (to, from) = clients(&main, &proxy).await?;
    arrivals(&to, &from, sizes.pushes, &mut report).await?;
    pulls(&to, &from, sizes.layer_mib, &mut report).await?;
    fsync::report(folder, &mut report, "after")?;
    Ok(report)
}

/// A proxy that holds Library of the default organization.
async fn proxy_of(main: &Server, folder: &Path, http: &Client) -> Result<Server, BenchError> {
    const SECRET: &str = "of a benchmark that lives for a minute";
    let secret_file = folder.join("mirror-secret");
    std::fs::write(&secret_file, SECRET)?;
    let options = vec![
        "--role=proxy".to_owned(),
        format!("--upstream={}", main.url()),
        format!("--mirror-secret-file={}", secret_file.display()),
    ];
    let proxy = Server::start_with(&folder.join("proxy"), options, http).await?;
    let added = json!({
        "name": "near", "kind": "wharfinger", "url": proxy.url(), "secret": SECRET,
        "environments": [{ "organization": DEFAULT_ORGANIZATION, "environment": "Library" }],
    });
    let add = http
        .post(format!("{}/api/v1/smart_proxies", main.url()))
        .basic_auth(ADMIN, Some(PASSWORD))
        .json(&added);
    answered(add.send().await)?;
    Ok(proxy)
}

/// Somebody who pushes to the main server, and somebody who pulls from the proxy, once that knows its main server.
async fn clients(main: &Server, proxy: &Server) -> Result<(OciClient, OciClient), BenchError> {
    let to = log_in(main, "near").await?;
    let begun = Instant::now();
    loop {
        match log_in(proxy, "near").await {
            Ok(from) => return Ok((to, from)),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// How long it is from the answer to a push until its tag is pulled from a proxy that has nothing else to do.
async fn arrivals(
    to: &OciClient,
    from: &OciClient,
    pushes: u64,
    report: &mut Report,
) -> Result<(), BenchError> {
    let mut times = Vec::new();
    for number in 0..pushes {
        let (image, tag) = (Image::of_noise(number, 4096), format!("t{number}"));
        for blob in image.blobs() {
            to.push_blob(blob).await?;
        }
        to.push_manifest(&tag, &image.manifest).await?;
        times.push(arrived(from, &tag, &image).await?.as_secs_f64() * 1000.0);
    }
    let note = |what: &str| format!("{what} of {pushes} images of 3 x 4 KiB, after the push's 201");
    report.one(
        "push_to_tag_at_proxy",
        median(&times),
        "ms",
        note("the median"),
    );
    let slowest = percentile(&times, 100);
    report.one(
        "push_to_tag_at_proxy_max",
        slowest,
        "ms",
        note("the slowest"),
    );
    report.must("<= 1000");
    Ok(())
}

/// How long it takes until the proxy has this tag.
async fn arrived(from: &OciClient, tag: &str, image: &Image) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    loop {
        match from.pull_manifest(tag, &image.manifest.digest).await {
            Ok(_) => return Ok(begun.elapsed()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// How fast one layer comes from either, in turn.
async fn pulls(
    to: &OciClient,
    from: &OciClient,
    layer_mib: u64,
    report: &mut Report,
) -> Result<(), BenchError> {
    let layer = LargeBlob::new(u64::MAX, layer_mib * MIB);
    let image = Image::of_large(&layer);
    to.push_large_blob(&layer).await?;
    for blob in image.blobs() {
        to.push_blob(blob).await?;
    }
    to.push_manifest("large", &image.manifest).await?;
    let brought = arrived(from, "large", &image).await?.as_secs_f64();
    let note = format!("a layer of {layer_mib} MiB, from the push's 201 until it is pulled there");
    report.one("layer_to_proxy", brought, "s", note);
    let (mut direct, mut near) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        direct.push(mib_per_second(to, &layer).await?);
        near.push(mib_per_second(from, &layer).await?);
    }
    let ratio = median(&near) / median(&direct);
    let note = |from: &str| format!("that layer from the {from}, by turns");
    report.median("layer_pull", direct, "MiB/s", note("main server"));
    report.median("layer_pull_from_proxy", near, "MiB/s", note("proxy"));
    let note = "the proxy against its main server".to_owned();
    report.one("layer_pull_from_proxy_ratio", ratio, "x", note);
    report.must(">= 0.9");
    Ok(())
}

async fn mib_per_second(from: &OciClient, layer: &LargeBlob) -> Result<f64, BenchError> {
    let begun = Instant::now();
    from.pull_large_blob(layer).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of MiB is small")]
    let mib = (layer.size_bytes / MIB) as f64;
    Ok(mib / begun.elapsed().as_secs_f64())
}
