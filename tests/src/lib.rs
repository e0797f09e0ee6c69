//! The world that the end-to-end tests act in: a real server process, real clients, hand-made images.
//!
//! Nothing here looks into the server: it is started as users start it and asked over the wire or by its
//! command line. A part that is missing on this machine is a failed test with the reason, never a skipped one.
#![expect(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a test's harness: whatever goes wrong here is meant to fail the test, with a text"
)]

pub mod answer;
pub mod authority;
pub mod buildah;
pub mod collector;
pub mod command;
pub mod digest;
pub mod docker_registry;
pub mod forge;
pub mod harbour;
pub mod image;
pub mod metrics;
pub mod network;
pub mod noise;
pub mod oci_client;
pub mod oci_layout;
pub mod oras;
pub mod page;
pub mod podman;
pub mod proxy;
pub mod pulp;
pub mod raw;
pub mod receiver;
pub mod rest;
pub mod schemathesis;
pub mod server;
pub mod shell;
pub mod skopeo;
pub mod small_disk;
pub mod tarball;
pub mod turn;
pub mod wait;
pub mod wall_clock;
