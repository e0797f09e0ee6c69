//! What can be plotted and alerted on: the table of metrics, and their text for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// How a metric behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Only grows, from zero at each start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size, in these buckets.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

/// From a commit on a fast disk to the longest wait of a push.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Up to the most that one commit carries.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

use Kind::{Counter, Gauge, Histogram};

/// Every metric of this program. Dashboards and alerts name no others, which a test holds.
#[rustfmt::skip]
pub(crate) const METRICS: &[Metric] = &[
    metric("wharfinger_build_info", Gauge, "1, with the version as a label"),
    metric("wharfinger_requests_total", Counter, "Answered requests, by route, method and status"),
    metric("wharfinger_request_seconds", Histogram(SECONDS), "From a request's head to the last byte of its answer, by route"),
    metric("wharfinger_received_bytes_total", Counter, "Bytes of requests' bodies, by route"),
    metric("wharfinger_sent_bytes_total", Counter, "Bytes of answers' bodies, by route"),
    metric("wharfinger_requests_refused_total", Counter, "Requests without a body that were told to try again, by reason: busy (max_requests) or slow (request_timeout)"),
    metric("wharfinger_connections", Gauge, "Open connections"),
    metric("wharfinger_connections_limit", Gauge, "How many there may be: max_connections, or what the limit of open files allows"),
    metric("wharfinger_connections_refused_total", Counter, "Connections closed by the server, by reason: address (max_connections_per_address) or not_reading (answer_idle_timeout)"),
    metric("wharfinger_uploads_open", Gauge, "Upload sessions that are neither finished nor given up"),
    metric("wharfinger_tasks", Gauge, "Tasks by state, result and reason"),
    metric("wharfinger_tasks_paused_total", Counter, "How often a task of this node was paused, by workflow and reason"),
    metric("wharfinger_task_seconds", Histogram(SECONDS), "From a task's submit to its end, by workflow and result"),
    metric("wharfinger_step_seconds", Histogram(SECONDS), "From the start of a step's attempt to its end, by workflow, step and outcome"),
    metric("wharfinger_lock_wait_seconds", Histogram(SECONDS), "How long tasks that had to wait for a lock waited, by workflow"),
    metric("wharfinger_gates", Gauge, "1 for the state that each gate is in: open, closed or opening"),
    metric("wharfinger_gate_waiting", Gauge, "Steps that wait at each gate on this node"),
    metric("wharfinger_gate_budget_used_percent", Gauge, "How much of each gate's retry budget this node has used up"),
    metric("wharfinger_pulp_requests_total", Counter, "How many requests went to Pulp, by its API: rest or registry"),
    metric("wharfinger_gate_closures_total", Counter, "How often each gate was closed by this node, because too many attempts failed or its backend was found down"),
    metric("wharfinger_smart_proxy_lag_versions", Gauge, "How many versions each smart proxy is behind, of all repositories together"),
    metric("wharfinger_smart_proxy_lag_seconds", Gauge, "For how long each smart proxy has lacked what it lacks longest"),
    metric("wharfinger_smart_proxy_repositories_behind", Gauge, "How many repositories each smart proxy lacks something of, or holds and shall not"),
    metric("wharfinger_commit_seconds", Histogram(SECONDS), "How long the database took to make a batch of writes durable"),
    metric("wharfinger_commit_writes", Histogram(WRITES), "How many writes one commit made durable"),
    metric("wharfinger_object_sync_seconds", Histogram(SECONDS), "How long the disk took to make uploaded bytes durable"),
    metric("process_resident_memory_bytes", Gauge, "Memory of this process"),
    metric("process_open_fds", Gauge, "Open files of this process"),
    metric("process_max_fds", Gauge, "How many files this process may open"),
];

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

/// Counters that begin at zero, so that the first refusal is seen as a change.
const REFUSALS: &[(&str, &str)] = &[
    ("wharfinger_requests_refused_total", "busy"),
    ("wharfinger_requests_refused_total", "slow"),
    ("wharfinger_connections_refused_total", "address"),
    ("wharfinger_connections_refused_total", "not_reading"),
];

/// How often what histograms have gathered is counted, so that it does not lie about when nobody asks.
const TIDY_EVERY: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to record, once per process; before that, what is recorded is thrown away.
pub(crate) fn start() -> &'static PrometheusHandle {
    RECORDER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let Histogram(buckets) = metric.kind {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder
                    .set_buckets_for_metric(name, buckets)
                    .expect("the tables of buckets are not empty");
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Refused only if there is one already, which this cell excludes.
        let _ = metrics::set_global_recorder(recorder);
        for metric in METRICS {
            match metric.kind {
                Counter => describe_counter!(metric.name, metric.help),
                Gauge => describe_gauge!(metric.name, metric.help),
                Histogram(_) => describe_histogram!(metric.name, metric.help),
            }
        }
        for (name, reason) in REFUSALS {
            counter!(*name, "reason" => *reason).increment(0);
        }
        handle
    })
}

/// Keeps what is recorded small, until `stop`.
pub(crate) async fn tidy(stop: CancellationToken) {
    let recorder = start();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TIDY_EVERY) => recorder.run_upkeep(),
        }
    }
}

/// The text for Prometheus: what is recorded, and beside it what is looked up when somebody asks.
pub(crate) struct Sheet(String);

impl Sheet {
    /// What is recorded.
    pub(crate) fn new() -> Self {
        let mut sheet = Self(start().render());
        sheet.gauge(
            "wharfinger_build_info",
            [(format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1)],
        );
        for (name, value) in super::process::values() {
            sheet.gauge(name, [(String::new(), value)]);
        }
        sheet
    }

    /// One more gauge of the table: a number for each set of labels, which are written `name="value"`.
    pub(crate) fn gauge(&mut self, name: &str, values: impl IntoIterator<Item = (String, u64)>) {
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let help = metric.map_or("", |metric| metric.help);
        let lines = values.into_iter().map(|(labels, value)| {
            let labels = if labels.is_empty() {
                labels
            } else {
                format!("{{{labels}}}")
            };
            format!("{name}{labels} {value}\n")
        });
        let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        self.0.extend(std::iter::once(head).chain(lines));
    }

    /// The text.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of metrics in a text: words with one of our beginnings, without what Prometheus adds to histograms.
    fn named(text: &str) -> BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("wharfinger_") || word.starts_with("process_"))
            .map(|word| {
                let histogram = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| word.strip_suffix(end));
                histogram.unwrap_or(word).to_owned()
            })
            .collect()
    }

    #[test]
    fn dashboard_and_alerts_name_only_metrics_that_exist() {
        let known: BTreeSet<_> = METRICS
            .iter()
            .map(|metric| metric.name.to_owned())
            .collect();
        for (file, text) in [
            (
                "grafana-dashboard.json",
                include_str!("../../../docs/operate/grafana-dashboard.json"),
            ),
            (
                "alerts.yml",
                include_str!("../../../docs/operate/alerts.yml"),
            ),
        ] {
            let named = named(text);

            assert!(named.len() > 5, "{file} names hardly any metric");
            let unknown: Vec<_> = named.difference(&known).collect();
            assert!(unknown.is_empty(), "{file} names {unknown:?}");
        }
    }

    #[test]
    fn every_metric_is_explained_to_operators() {
        let documented = named(include_str!("../../../docs/operate/metrics.md"));

        let known: BTreeSet<_> = METRICS
            .iter()
            .map(|metric| metric.name.to_owned())
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn the_dashboard_is_json() {
        let dashboard = include_str!("../../../docs/operate/grafana-dashboard.json");

        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        assert!(dashboard["panels"].as_array().unwrap().len() > 5);
    }

    #[test]
    fn a_gauge_has_its_help_and_one_line_for_each_set_of_labels() {
        let mut sheet = Sheet(String::new());

        sheet.gauge(
            "wharfinger_tasks",
            [
                ("state=\"paused\"".to_owned(), 2),
                ("state=\"stopped\"".to_owned(), 40),
            ],
        );

        assert_eq!(
            sheet.text(),
            "# HELP wharfinger_tasks Tasks by state, result and reason\n\
             # TYPE wharfinger_tasks gauge\n\
             wharfinger_tasks{state=\"paused\"} 2\n\
             wharfinger_tasks{state=\"stopped\"} 40\n"
        );
    }
}
