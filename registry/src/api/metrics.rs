//! `GET /metrics`: for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use engine::node::GateSeen;
use engine::store::Visible;
use storage::catalog::CatalogError;
use storage::catalog::smart_proxies::{self, contents};
use storage::content::inventory;

use super::answer::{Format, Text};
use super::caller::Caller;
use super::problem::Problem;
use crate::app::App;
use crate::telemetry::metrics::Sheet;

/// Prometheus's text format.
pub(super) struct Prometheus;

impl Format for Prometheus {
    const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";
    const ABOUT: &'static str = "The figures as they are now.";
}

/// On the address of the API: for who may see every task.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _caller: Caller,
) -> Result<Text<Prometheus>, Problem> {
    show_to_anybody(State(app)).await
}

/// On an address of its own, which only those can reach who may see it.
pub(super) async fn show_to_anybody(
    State(app): State<Arc<App>>,
) -> Result<Text<Prometheus>, Problem> {
    let mut sheet = Sheet::new();
    sheet.gauge(
        "wharfinger_connections_limit",
        [(String::new(), app.config.limits.connections as u64)],
    );
    let uploads = {
        let mut tx = app.services.database.read().await?;
        inventory::open_uploads(&mut tx).await
    };
    let uploads = uploads.map_err(|error| Problem::internal(&error))?;
    sheet.gauge("wharfinger_uploads_open", [(String::new(), uploads)]);
    let tasks = app.node.count(Visible::All).await?;
    sheet.gauge(
        "wharfinger_tasks",
        tasks.into_iter().map(|count| {
            let reason = count.reason.map(|reason| reason.to_string());
            let labels = format!(
                "state=\"{}\",result=\"{}\",reason=\"{}\"",
                count.state,
                count.result,
                reason.unwrap_or_default()
            );
            (labels, count.plans)
        }),
    );
    gates(&mut sheet, &app.node.gates());
    smart_proxies(&app, &mut sheet).await?;
    Ok(sheet.text().into())
}

async fn smart_proxies(app: &App, sheet: &mut Sheet) -> Result<(), CatalogError> {
    let (mut versions, mut seconds, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    let now = app.services.clock.now();
    let mut tx = app.services.database.read().await?;
    for proxy in smart_proxies::all(&mut tx).await? {
        let lag = contents::lag(&mut tx, proxy.id).await?;
        let labels = format!("proxy=\"{}\"", proxy.name);
        let since = lag.since.map_or(0, |since| now.since(since).as_secs());
        versions.push((labels.clone(), lag.versions));
        seconds.push((labels.clone(), since));
        behind.push((labels, lag.repositories));
    }
    sheet.gauge("wharfinger_smart_proxy_lag_versions", versions);
    sheet.gauge("wharfinger_smart_proxy_lag_seconds", seconds);
    sheet.gauge("wharfinger_smart_proxy_repositories_behind", behind);
    Ok(())
}

fn gates(sheet: &mut Sheet, gates: &[GateSeen]) {
    let name = |seen: &GateSeen| format!("gate=\"{}\"", seen.gate.id.name());
    let states = gates.iter().map(|seen| {
        let labels = format!("{},state=\"{}\"", name(seen), seen.gate.state);
        (labels, 1)
    });
    sheet.gauge("wharfinger_gates", states);
    let waiting = gates.iter().map(|it| (name(it), it.waiting as u64));
    sheet.gauge("wharfinger_gate_waiting", waiting);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and 1"
    )]
    let used = gates
        .iter()
        .map(|it| (name(it), (it.used * 100.0).round() as u64));
    sheet.gauge("wharfinger_gate_budget_used_percent", used);
}
