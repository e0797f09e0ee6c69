//! Everything that is kept: the engine's journal, the catalog, and content.

pub mod catalog;
pub mod content;
pub mod database;
mod digest;
pub mod filling;
pub mod garbage;
mod intervals;
pub mod journal;
pub mod label;
pub mod mirror;
pub mod retention;
#[cfg(feature = "schema")]
mod schema;
mod search;
mod sqlite;
mod tag;
mod tag_glob;

pub use content::Content;
pub use database::{Database, DatabaseError, Tx};
pub use digest::{Algorithm, Digest, DigestError, Running};
pub use label::{Label, LabelError};
pub use sqlite::Sqlite;
pub use tag::{Tag, TagError};
pub use tag_glob::{TagGlob, TagGlobError};
