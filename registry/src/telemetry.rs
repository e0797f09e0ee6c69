//! What this program tells of itself: the log, structured, to standard error; metrics; and traces.

pub(crate) mod metrics;
mod process;
mod traces;

use std::io;

use opentelemetry_otlp::ExporterBuildError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, LogFormat};
pub(crate) use traces::Traces;

/// Why the program cannot tell of itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// There is a log already.
    #[error("the log cannot be started")]
    Log(#[from] TryInitError),
    /// The collector's address is of no use.
    #[error(
        "no traces can be sent to otlp_endpoint; give the address of a collector that takes OTLP over HTTP"
    )]
    Traces(#[from] ExporterBuildError),
}

/// Starts the log in the form and at the level of the configuration, and traces if they are wanted. Once per process.
pub(crate) fn start(config: &Config) -> Result<Option<Traces>, TelemetryError> {
    let traces = config
        .otlp_endpoint
        .as_deref()
        .map(Traces::to)
        .transpose()?;
    let level = EnvFilter::new(&config.log_level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(traces.as_ref().map(Traces::layer))
        .with(lines.with_filter(level))
        .try_init()?;
    Ok(traces)
}
