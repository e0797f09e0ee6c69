//! An output that a person gives for a step's own.

use engine::journal::Json;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::problem::Problem;

/// Reads an output that is there: null is one.
pub(super) fn given<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(reader).map(Some)
}

/// The output as the journal keeps it.
pub(super) fn recorded(output: &Value) -> Result<Json, Problem> {
    Json::of(output).map_err(|error| Problem::internal(&error))
}
