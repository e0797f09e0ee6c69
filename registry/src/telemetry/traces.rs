//! Traces: each request and each attempt of a step as a span, sent to a collector by OTLP.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// As collectors show where a span comes from.
const SERVICE: &str = "wharfinger";

/// Below the collector's address, by OTLP over HTTP.
const TRACES: &str = "/v1/traces";

/// How long what has not been sent may still take at the end; a collector that is gone must not hold up a stop.
const LAST_SEND: Duration = Duration::from_secs(5);

/// The crates whose spans and events are sent, whatever the log shows of them.
const SENT: [&str; 4] = ["wharfinger", "workflows", "storage", "engine"];

/// What is sent, until this is ended.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send to the collector at this address, from a thread of its own.
    pub(super) fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}{TRACES}", endpoint.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder().with_service_name(SERVICE).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(provider))
    }

    /// What makes spans of the program spans of the collector.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let sent = SENT.map(|target| (target, Level::INFO));
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            // A request's name is known once it has been read, and an active span keeps the one it began with.
            .with_context_activation(false)
            .with_filter(Targets::new().with_targets(sent))
    }

    /// Sends what has not been sent yet.
    pub(crate) async fn end(self) {
        let sending = move || self.0.shutdown_with_timeout(LAST_SEND);
        match tokio::task::spawn_blocking(sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the last traces were not sent"),
            Err(error) => warn!(%error, "the last traces were not sent"),
        }
    }
}
