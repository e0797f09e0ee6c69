//! Lists of very many finished plans, as the engine gives them: found, read and explained, fifty on a page.

use std::time::Instant;

use ::engine::search::{Order, Search, Sort};
use ::engine::store::{Page, Visible};

use super::{Bench, BenchNode, close, finished, node, since};
use crate::bench::BenchError;
use crate::bench::report::{Latency, percentile};

/// How often each list is asked for, behind some that do not count.
const RUNS: usize = 60;
const WARM_UP: usize = 3;
const PER_PAGE: u32 = 50;

/// What is asked for, and by what it is sorted.
const LISTS: &[(&str, Order)] = &[
    ("", Order::CreatedAt),
    ("", Order::EndedAt),
    ("result = error", Order::CreatedAt),
    ("state != stopped", Order::CreatedAt),
    ("user = user7", Order::CreatedAt),
    ("repository = org7/app77", Order::CreatedAt),
    ("organization = org3 and result = error", Order::EndedAt),
    ("label = tidy and ended_at > \"2 days ago\"", Order::EndedAt),
];

pub(super) async fn measure(bench: &mut Bench<'_>, plans: u32) -> Result<(), BenchError> {
    let begun = Instant::now();
    finished::fill(&bench.folder.join("bench.db"), plans).await?;
    let filled = begun.elapsed().as_secs_f64();
    let database = bench.database().await?;
    let node = node(&database).await?;
    for (place, (search, order)) in LISTS.iter().enumerate() {
        let (times, rows, total) = list(&node, search, *order).await?;
        if place == 0 {
            let about = bench.noted(&format!(
                "p95 of {RUNS} first pages of {PER_PAGE} of all {plans} finished plans, with their number; filled in {filled:.0} s"
            ))?;
            bench
                .report
                .one("list_p95", percentile(&times, 95), "ms", about);
            bench.report.must("<= 20 of 1000000");
        }
        let what = if search.is_empty() { "all" } else { search };
        let mut latency = Latency::of(format!("engine: {what}, by -{order}"));
        for time in times {
            latency.took(time);
        }
        latency.found(rows, Some(total));
        bench.report.list(latency);
    }
    close(node, database).await;
    Ok(())
}

async fn list(
    node: &BenchNode,
    text: &str,
    by: Order,
) -> Result<(Vec<f64>, usize, u64), BenchError> {
    let mut times = Vec::with_capacity(RUNS);
    let (mut rows, mut total) = (0, 0);
    for run in 0..WARM_UP + RUNS {
        let search = Search::parse(text, node.settled_at());
        let search = search.map_err(|error| BenchError::Plan(error.to_string()))?;
        let page = Page {
            sort: Sort {
                by,
                descending: true,
            },
            after: None,
            limit: PER_PAGE,
            visible: Visible::All,
        };
        let start = Instant::now();
        let found = node.tasks(search, page).await?;
        if run >= WARM_UP {
            times.push(since(start));
        }
        (rows, total) = (found.results.len(), found.total);
    }
    Ok((times, rows, total))
}
