//! The embedded backend: the same model as Pulp's, in our own tables and objects.

pub mod blobs;
pub mod push_repository;
pub(super) mod uploads;
pub mod versions;
