//! Runs any declared DAG of steps durably.
//!
//! The core is pure: [`state`] says what may happen, [`journal`] what is kept, [`plan`] what it means, [`decide`](mod@decide) what
//! follows. Around it stand [`step`] and [`workflow`], how people write what shall happen; [`store`], the verbs the engine needs
//! of a database; and [`node`], which drives the plans it owns. [`explain`] says in words why a plan is where it is, from the
//! very predicates that move it.

mod caught;
pub mod check;
pub mod clock;
pub mod decide;
pub mod draw;
pub mod edit;
pub mod explain;
pub mod gate;
pub mod journal;
pub mod lock;
pub mod node;
pub mod plan;
pub mod priority;
#[cfg(feature = "prove")]
pub mod prove;
pub mod retention;
pub mod schedule;
#[cfg(feature = "schema")]
mod schema;
pub mod search;
pub mod state;
pub mod step;
pub mod store;
pub mod workflow;
