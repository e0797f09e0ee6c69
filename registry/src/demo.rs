//! `wharfinger demo`: a push through the real pipeline of a registry of its own, and back. No podman, no network.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;
use serde_json::Value;

use crate::cli::answer::Answer;
use crate::cli::client::{Client, ClientError};
use crate::cli::{exit, show, terminal};
use crate::config::{Config, ConfigError, Environment, Settings};
use crate::first_start::{ADMIN, DEFAULT_ORGANIZATION};
use crate::oci_client::{OciClient, OciClientError};
use crate::sample_image::Image;
use crate::serve::{Serving, StartError};

const TAG: &str = "1.0";
/// A push of this size takes some hundredths of a second; a demo that takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("no temporary folder can be made")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Oci(#[from] OciClientError),
    #[error(transparent)]
    Rest(#[from] ClientError),
    #[error("the push was answered, but its task ended in {result}: {headline}")]
    NotPublished { result: String, headline: String },
    #[error("the demo is still waiting after {} s", PATIENCE.as_secs())]
    Stuck,
}

/// Runs the demo. Ends with 0 if every byte that was pushed came back.
pub(crate) async fn command() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}

async fn run() -> Result<(), DemoError> {
    let folder = tempfile::Builder::new()
        .prefix("wharfinger-demo-")
        .tempdir()
        .map_err(DemoError::Folder)?;
    let settings = Settings::default()
        .with("listen", "127.0.0.1:0")
        .with("data_dir", folder.path().display().to_string())
        .with("log.level", "error");
    let config = Config::read(&settings, &Environment::default())?;
    let password = Alphanumeric.sample_string(&mut rand::rng(), 24);
    let serving = Serving::start(config, Some(SecretString::from(password.clone()))).await?;
    let server = serving.app().config.base_url();
    terminal::print(format!(
        "A registry of its own listens on {server}; it keeps everything in {}",
        folder.path().display()
    ));

    let told = tokio::time::timeout(PATIENCE, push_and_pull(&server, &password)).await;
    serving.stop().await;
    told.unwrap_or(Err(DemoError::Stuck))
}

async fn push_and_pull(server: &str, password: &str) -> Result<(), DemoError> {
    let name = format!("{}/demo/hello", DEFAULT_ORGANIZATION.to_lowercase());
    let image = Image::hello();
    let oci = OciClient::log_in(server, &name, ADMIN, password).await?;
    let rest = Client::of_user(server, ADMIN, password)?;

    terminal::print(format!(
        "\nPushing {name}:{TAG}, an image of {} bytes",
        image.size_bytes()
    ));
    for blob in image.blobs() {
        oci.push_blob(blob).await?;
        terminal::print(format!("  blob {} stored", short(&blob.digest)));
    }
    let started = Instant::now();
    let (answered, task) = tokio::join!(oci.push_manifest(TAG, &image.manifest), watch(&rest));
    answered?;
    let task = task?;
    if task["state"] != "stopped" || task["result"] != "success" {
        let (result, headline) = (show::field(&task, "result"), show::field(&task, "headline"));
        return Err(DemoError::NotPublished { result, headline });
    }
    terminal::print(format!(
        "  published within {} ms of the manifest PUT",
        started.elapsed().as_millis()
    ));

    let manifest = oci.pull_manifest(TAG, &image.manifest.digest).await?;
    terminal::print(format!(
        "\nPulled {name}:{TAG} back, {} bytes of manifest with the digest pushed",
        manifest.len()
    ));
    for blob in image.blobs() {
        let bytes = oci.pull_blob(&blob.digest).await?;
        terminal::print(format!(
            "  blob {} verified, {} bytes",
            short(&blob.digest),
            bytes.len()
        ));
    }
    terminal::print(format!(
        "\nDone: task {} pushed, filed, versioned and published it.",
        show::field(&task, "id")
    ));
    terminal::print("`wharfinger serve` starts a registry that stays.");
    Ok(())
}

/// Prints each step as it ends, with what it came after; returns the task once it has come to rest.
async fn watch(rest: &Client) -> Result<Answer, ClientError> {
    let search = format!("label = push and tag = {TAG}");
    let mut task = loop {
        let found = rest.get("/tasks", &[("search", &search)]).await?;
        if let Some(task) = show::list(&found, "results").first() {
            break rest
                .get(&format!("/tasks/{}", show::field(task, "id")), &[])
                .await?;
        }
    };
    terminal::print(format!("  task {}", show::field(&task, "id")));
    let mut printed = 0;
    loop {
        let steps = show::list(&task, "steps");
        let mut ended: Vec<&Value> = steps
            .iter()
            .filter(|step| !step["ended_at"].is_null())
            .collect();
        ended.sort_by_key(|step| show::field(step, "ended_at"));
        for step in ended.iter().skip(printed) {
            terminal::print(line(step));
        }
        printed = ended.len();
        if matches!(task["state"].as_str(), Some("stopped" | "paused")) {
            return Ok(task);
        }
        let path = format!("/tasks/{}/wait", show::field(&task, "id"));
        task = rest.get(&path, &[("timeout", "0.01")]).await?;
    }
}

fn line(step: &Value) -> String {
    let after = match show::list(step, "depends_on") {
        [] => String::new(),
        _ => format!("after {}", show::field(step, "depends_on")),
    };
    let line = format!(
        "  {:<24} {:<8} {:>8}  {after}",
        show::field(step, "name"),
        show::field(step, "state"),
        show::took(step),
    );
    line.trim_end().to_owned()
}

fn short(digest: &str) -> &str {
    digest.get(.."sha256:".len() + 12).unwrap_or(digest)
}
