//! What nothing needs any more, found and deleted in small pieces.
//!
//! Each kind is a file: destinations that were never used, deleted repositories, old versions, manifests and links of blobs,
//! blobs and objects. Finding reads a snapshot, a bounded part of a table at a time; deleting is a transaction of its own for some
//! hundred rows, which looks at everything again: whoever was faster has won.
//!
//! What an earlier kind takes away, a later one finds gone. A dry run takes nothing away, so it asks for what would be gone by
//! then: the conditions in [`rules`] say it of rows that are still there.

#[macro_use]
mod conditions;
pub mod blobs;
mod clear;
pub mod deleted;
pub mod destinations;
pub mod in_pulp;
pub mod manifests;
pub mod objects;
pub mod products;
pub mod rules;
pub mod versions;

pub use clear::{Cleared, Left};
pub use rules::Rules;

/// So many rows at most are deleted in one transaction.
pub const BATCH: u32 = 200;

/// So many rows at most are looked at in one statement.
pub const LOOK: u32 = 5_000;
