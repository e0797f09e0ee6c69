//! The real node loop, two or three of them on one store, in virtual time, with every choice taken from a seed: what goes wrong
//! once goes wrong again.
//!
//! Calls of the store are late, fail before or after they are done, or are done twice; nodes stand still beyond their lease and
//! die anywhere; hints are dropped; clocks differ; operators do whatever they like. At no commit may plans stand in each other's
//! way. Then the weather clears, and every plan must come to its end with nothing lost, doubled or left over.

mod chaos;
mod closures;
mod house;
mod people;
mod scene;
mod tally;
mod turns;
mod verdict;
mod witness;
mod world;

pub use scene::{Twin, play};
pub use tally::{Deed, Did};
