//! Proof, written once: what every store must do ([`conformance`]), and what must hold for every workflow ([`laws`]).

pub mod conformance;
pub mod corpus;
mod exclusion;
mod faulty;
pub mod laws;
pub mod simulation;

pub use exclusion::Watch;
pub use faulty::{Faulty, Moment};
