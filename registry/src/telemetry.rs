//! What this program tells of itself: the log, structured, to standard error; and metrics.

pub(crate) mod metrics;
mod process;

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{Config, LogFormat};

/// Starts the log in the form and at the level of the configuration. Once per process.
pub(crate) fn start(config: &Config) -> Result<(), TryInitError> {
    let level = EnvFilter::new(&config.log_level);
    let log = tracing_subscriber::registry().with(level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text => log
            .with(lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())))
            .try_init(),
        LogFormat::Json => log.with(lines.json().flatten_event(true)).try_init(),
    }
}
