//! How ids and words of the engine lie in columns.

use crate::database::DatabaseError;
use engine::journal::{NodeId, PlanId};
use engine::store::StoreError;
use std::fmt::Display;
use std::str::FromStr;
use uuid::Uuid;

pub(super) fn plan_id(id: Uuid) -> PlanId {
    PlanId(id)
}

pub(super) fn node_id(id: Uuid) -> NodeId {
    NodeId(id)
}

/// A word that a check constraint guards, read back.
pub(super) fn word<T: FromStr>(text: &str, column: &str) -> Result<T, StoreError>
where
    T::Err: Display,
{
    text.parse()
        .map_err(|error| StoreError::Corrupt(format!("`{text}` in column {column}: {error}")))
}

pub(super) fn unreadable(error: sqlx::Error) -> StoreError {
    StoreError::from(DatabaseError::from(error))
}
