//! What storage promises, on real files.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test that meets an error has failed the test"
)]

mod access;
mod backend;
mod copies;
mod credentials;
mod environments;
mod filling;
mod garbage;
mod house;
mod images;
mod journal;
mod killed;
mod lists;
mod organizations;
mod referrers;
mod repositories;
mod retention;
mod scale;
mod search;
mod uploads;
mod versions;
