//! The distribution specification 1.1, one check per requirement, each citing the section it stands in.
//!
//! An area is a list of checks, run against one server; each check has a repository of its own that nobody has pushed
//! to. All of them run, and those that do not hold are named together.

mod catalog;
mod chunks;
mod content;
mod errors;
mod manifests;
mod mounts;
mod protocol;
mod referrers;
mod repository;
mod tags;
mod uploads;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
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
    let server = Server::start().await;
    let mut broken = Vec::new();
    for (n, check) in checks.iter().enumerate() {
        let repository = Repository::new(&server, &format!("{area}-{n}"));
        let held = AssertUnwindSafe((check.run)(&repository)).catch_unwind();
        if held.await.is_err() {
            broken.push(check.cites);
        }
    }
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
async fn refusals_are_as_the_specification_says() {
    all_hold("errors", errors::CHECKS, 20).await;
}

#[tokio::test]
async fn http_is_spoken_as_the_specification_says() {
    all_hold("protocol", protocol::CHECKS, 18).await;
}
