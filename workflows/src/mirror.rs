//! What a smart proxy of kind `wharfinger` does: it is told by its main server to come, and fetches what it lacks.
//!
//! The words both sides exchange are in [`wire`]; what the proxy does with them in [`Mirror`].

mod fetch;
mod jobs;
mod tidy;
mod upstream;
pub mod wire;

pub use jobs::{Mirror, NotNow};
pub use upstream::{ANSWERS_A_PULL_WITHIN, Unreachable, Upstream, is_of_a_gateway};
