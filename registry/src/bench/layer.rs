//! A large layer, there and back.

use std::path::Path;
use std::time::Instant;

use super::BenchError;
use super::push::{RUNS, log_in};
use super::report::Report;
use super::server::Server;
use crate::sample_image::LargeBlob;

const LAYER_BYTES: u64 = 1024 * 1024 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

/// What one way of a layer came to.
struct Way {
    mib_per_second: f64,
    cpu_seconds_per_gib: f64,
}

/// Each run has a server and a folder of its own, so that it starts with little memory and leaves none of the disk taken.
pub(super) async fn measure(
    folder: &Path,
    http: &reqwest::Client,
    report: &mut Report,
) -> Result<(), BenchError> {
    let (mut there, mut back, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        let data = folder.join(format!("layer{run}"));
        let server = Server::start(&data, http).await?;
        let (up, down) = there_and_back(&server, run).await?;
        there.push(up);
        back.push(down);
        memory.push(server.memory_mib("VmHWM")?);
        drop(server);
        std::fs::remove_dir_all(data)?;
    }
    let mut tell = |speed: &'static str, cpu: &'static str, ways: Vec<Way>, how: &str| {
        let (speeds, seconds) = ways
            .iter()
            .map(|way| (way.mib_per_second, way.cpu_seconds_per_gib))
            .unzip();
        report.median(
            speed,
            speeds,
            "MiB/s",
            format!("a layer of 1 GiB in one {how}"),
        );
        report.median(cpu, seconds, "CPU s/GiB", "of the server".into());
    };
    tell("layer_upload", "layer_upload_cpu", there, "PATCH");
    tell("layer_pull", "layer_pull_cpu", back, "GET");
    report.median(
        "layer_memory",
        memory,
        "MiB",
        "resident, at most, of a server that took and gave this layer".into(),
    );
    Ok(())
}

async fn there_and_back(server: &Server, run: usize) -> Result<(Way, Way), BenchError> {
    let to = log_in(server, "large").await?;
    let layer = LargeBlob::new(u64::try_from(run).unwrap_or(0), LAYER_BYTES);
    let up = way(server, to.push_large_blob(&layer)).await?;
    let down = way(server, to.pull_large_blob(&layer)).await?;
    Ok((up, down))
}

async fn way<E: Into<BenchError>>(
    server: &Server,
    work: impl Future<Output = Result<(), E>>,
) -> Result<Way, BenchError> {
    let cpu = server.cpu_seconds()?;
    let start = Instant::now();
    work.await.map_err(Into::into)?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "the size of a layer is exact in an f64"
    )]
    let mib = LAYER_BYTES as f64 / MIB;
    Ok(Way {
        mib_per_second: mib / seconds,
        cpu_seconds_per_gib: (server.cpu_seconds()? - cpu) / (mib / 1024.0),
    })
}
