//! What work that goes on in a backend is asked for with.

use serde::{Deserialize, Serialize};

/// A ticket of the content backend. The embedded backend does its work at once and never has one, so there is no value of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ticket {}
