//! Tags of many repositories whose blobs are there: manifest PUTs alone.

use std::time::Instant;

use super::BenchError;
use super::push::{CLIENTS, RUN, RUNS, log_in};
use super::report::Report;
use super::server::Server;
use crate::oci_client::OciClient;
use crate::sample_image::Image;

/// Each client goes round among so many repositories of its own.
const REPOSITORIES: usize = 8;

/// What the manifest of a further tag is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manifest {
    /// The one that the other tags have.
    Same,
    /// One of its own, over the same blobs.
    New,
}

pub(super) async fn measure(server: &Server, report: &mut Report) -> Result<(), BenchError> {
    let image = Image::of_noise(u64::MAX / 4, 4096);
    let mut clients = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        let mut repositories = Vec::with_capacity(REPOSITORIES);
        for repository in 0..REPOSITORIES {
            let to = log_in(server, &format!("tags{client}x{repository}")).await?;
            for blob in image.blobs() {
                to.push_blob(blob).await?;
            }
            to.push_manifest("first", &image.manifest).await?;
            repositories.push(to);
        }
        clients.push(repositories);
    }
    for (name, cpu_name, manifest, what) in [
        (
            "tags_per_second",
            "tags_cpu",
            Manifest::Same,
            "of one manifest",
        ),
        (
            "new_tags_per_second",
            "new_tags_cpu",
            Manifest::New,
            "each of a manifest of its own",
        ),
    ] {
        let cpu = server.cpu_seconds()?;
        let (mut rates, mut all) = (Vec::with_capacity(RUNS), 0);
        for run in 0..RUNS {
            let start = Instant::now();
            let work = (0..).zip(&clients).map(|(client, repositories)| {
                tag(
                    repositories,
                    &image,
                    manifest,
                    start,
                    run * CLIENTS + client,
                )
            });
            let tagged = futures_util::future::try_join_all(work).await?;
            let tagged = tagged.iter().sum::<u32>();
            rates.push(f64::from(tagged) / start.elapsed().as_secs_f64());
            all += tagged;
        }
        report.median(
            name,
            rates,
            "tags/s",
            format!(
                "new tags {what}, {CLIENTS} clients, {} repositories that have the blobs",
                CLIENTS * REPOSITORIES
            ),
        );
        report.one(
            cpu_name,
            (server.cpu_seconds()? - cpu) * 1000.0 / f64::from(all),
            "CPU ms",
            "of the server for each of them".into(),
        );
    }
    Ok(())
}

/// Puts new tags for the time of a run; `series` is of this client and run alone.
async fn tag(
    repositories: &[OciClient],
    image: &Image,
    manifest: Manifest,
    start: Instant,
    series: usize,
) -> Result<u32, BenchError> {
    let mut tagged = 0_u32;
    let mut round = repositories.iter().cycle();
    while let Some(to) = round.next().filter(|_| start.elapsed() < RUN) {
        let tag = format!("t{series}x{tagged}");
        let own = image.manifest_called(&tag);
        let (tag, put) = match manifest {
            Manifest::Same => (format!("{tag}s"), &image.manifest),
            Manifest::New => (tag, &own),
        };
        to.push_manifest(&tag, put).await?;
        tagged += 1;
    }
    Ok(tagged)
}
