//! The distribution specification 1.1, one check per requirement, each citing the section it stands in.
//!
//! An area is a list of checks, run against one server; each check has a repository of its own that nobody has pushed
//! to. All of them run, and those that do not hold are named together.

mod catalog;
mod chunks;
mod content;
mod deletes;
mod errors;
mod manifests;
mod mounts;
mod protocol;
mod referrers;
mod repository;
mod tags;
mod uploads;

use std::panic::AssertUnwindSafe;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tests::server::Server;

use repository::Repository;

/// One requirement.
struct Check {
    /// Where it stands, and what it says.
    cites: &'static str,
    run: for<'r> fn(&'r Repository) -> LocalBoxFuture<'r, ()>,
}

/// A list of checks: `"section: what it says" => |repository| { what shows that it holds }`.
macro_rules! checks {
    ($($cites:literal => |$repository:ident| $shown:block)*) => {
        pub(super) const CHECKS: &[$crate::conformance::Check] = &[$(
            $crate::conformance::Check {
                cites: $cites,
                run: |$repository| Box::pin(async move $shown),
            },
        )*];
    };
}
use checks;

/// Runs an area's checks; fails if one of them does not hold, or if there are fewer than there were once.
async fn all_hold(area: &str, checks: &[Check], at_least: usize) {
    all_hold_on(&Server::start().await, area, checks, at_least).await;
}

async fn all_hold_on(server: &Server, area: &str, checks: &[Check], at_least: usize) {
    all_hold_together(server, area, checks, at_least, 1).await;
}

/// The same with so many checks at once: none knows of another.
async fn all_hold_together(
    server: &Server,
    area: &str,
    checks: &[Check],
    at_least: usize,
    at_once: usize,
) {
    let runs = checks.iter().enumerate().map(|(n, check)| async move {
        let repository = Repository::new(server, &format!("{area}-{n}"));
        let held = AssertUnwindSafe((check.run)(&repository)).catch_unwind();
        held.await.is_err().then_some(check.cites)
    });
    let ended: Vec<_> = stream::iter(runs).buffered(at_once).collect().await;
    let broken: Vec<_> = ended.into_iter().flatten().collect();
    println!("conformance, {area}: {} checks", checks.len());
    assert!(broken.is_empty(), "these do not hold: {broken:#?}");
    assert!(
        checks.len() >= at_least,
        "{area} has had {at_least} checks and has {} now",
        checks.len()
    );
}

#[tokio::test]
async fn content_is_pulled_as_the_specification_says() {
    all_hold("content", content::CHECKS, 25).await;
}

#[tokio::test]
async fn blobs_are_pushed_whole_as_the_specification_says() {
    all_hold("uploads", uploads::CHECKS, 22).await;
}

#[tokio::test]
async fn blobs_are_pushed_in_chunks_as_the_specification_says() {
    all_hold("chunks", chunks::CHECKS, 21).await;
}

#[tokio::test]
async fn blobs_are_mounted_as_the_specification_says() {
    all_hold("mounts", mounts::CHECKS, 9).await;
}

#[tokio::test]
async fn manifests_are_pushed_as_the_specification_says() {
    all_hold("manifests", manifests::CHECKS, 33).await;
}

#[tokio::test]
async fn tags_are_listed_as_the_specification_says() {
    all_hold("tags", tags::CHECKS, 13).await;
}

#[tokio::test]
async fn referrers_are_listed_as_the_specification_says() {
    all_hold("referrers", referrers::CHECKS, 22).await;
}

#[tokio::test]
async fn names_are_listed_as_clients_expect() {
    all_hold("catalog", catalog::CHECKS, 8).await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_as_the_specification_says() {
    all_hold("deletes", deletes::CHECKS, 10).await;
}

#[tokio::test]
async fn refusals_are_as_the_specification_says() {
    all_hold("errors", errors::CHECKS, 17).await;
}

#[tokio::test]
async fn http_is_spoken_as_the_specification_says() {
    all_hold("protocol", protocol::CHECKS, 18).await;
}

/// All areas that say something of content, on a server that keeps it elsewhere, which takes its time.
pub(crate) async fn content_is_as_everywhere(server: &Server) {
    const AT_ONCE: usize = 6;
    all_hold_together(server, "content", content::CHECKS, 25, AT_ONCE).await;
    all_hold_together(server, "uploads", uploads::CHECKS, 22, AT_ONCE).await;
    all_hold_together(server, "chunks", chunks::CHECKS, 21, AT_ONCE).await;
    all_hold_together(server, "mounts", mounts::CHECKS, 9, AT_ONCE).await;
    all_hold_together(server, "manifests", manifests::CHECKS, 33, AT_ONCE).await;
    all_hold_together(server, "tags", tags::CHECKS, 13, AT_ONCE).await;
    all_hold_together(server, "referrers", referrers::CHECKS, 22, AT_ONCE).await;
    all_hold_together(server, "deletes", deletes::CHECKS, 10, AT_ONCE).await;
}
