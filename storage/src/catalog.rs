//! The catalog: organizations, products, repositories and who may do what with them; an aggregate a file, with its types
//! and all its SQL.
//!
//! Every function takes a [`Tx`](crate::Tx) and is part of whatever transaction that is; those that write need the
//! writer's. A name without a row is `None`: the caller knows what that means.

pub mod answers;
pub mod audit;
pub mod destinations;
pub mod drills;
pub mod environments;
pub mod grants;
mod ids;
pub mod images;
pub mod instance;
pub mod manifests;
pub mod organizations;
pub mod products;
pub mod publications;
pub mod pushed;
pub mod referrers;
pub mod rehearsals;
pub mod repositories;
pub mod repository_names;
pub mod robots;
pub mod roles;
pub mod settings;
pub mod shelves;
pub mod signing_keys;
pub mod sizes;
pub mod smart_proxies;
pub mod tallies;
pub mod tokens;
pub mod tombstones;
pub mod touched;
pub mod users;
pub mod verifications;
pub mod versions;
pub mod webhooks;

use std::fmt;
use std::str::FromStr;

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::Row as _;

use crate::database::DatabaseError;

pub use ids::{
    AuditId, DestinationId, DrillId, EnvironmentId, GrantId, OrganizationId, ProductId,
    RepositoryId, SmartProxyId, TokenId, UserId, WebhookId,
};

/// Why the catalog did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The name is taken by another of its kind.
    #[error("there is already {what} `{label}`; choose another name or use that one")]
    Duplicate {
        /// What has it: "an organization".
        what: &'static str,
        /// The name, as it was asked for.
        label: String,
    },
    /// A product and an environment of one organization may not share a label, because both stand in image names.
    #[error("`{label}` is the label of {what} of this organization; choose another label")]
    Taken {
        /// What has it: "an environment".
        what: &'static str,
        /// The label, as it was asked for.
        label: String,
    },
    /// Paths of environments part behind Library only.
    #[error(
        "`{prior}` is followed by `{successor}` already, and only Library by more than one; choose the last environment of the path"
    )]
    Followed {
        /// The label of the environment that was to be followed.
        prior: String,
        /// The label of the one that follows it.
        successor: String,
    },
    /// It cannot be deleted as long as something needs it.
    #[error("{what} `{label}` cannot be deleted: {why}")]
    Needed {
        /// What it is: "environment".
        what: &'static str,
        /// Its label.
        label: String,
        /// What needs it, and what to do.
        why: String,
    },
    /// What the row should belong to is not there.
    #[error("there is no {what} {id}")]
    Missing {
        /// What is missing: "environment Library of organization".
        what: &'static str,
        /// Its number or name.
        id: String,
    },
}

impl CatalogError {
    /// True if space on the disk is what is missing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_full())
    }

    /// True if the same call may well succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_transient())
    }

    /// Something that is named by its id is not there.
    #[must_use]
    pub fn missing(what: &'static str, id: impl fmt::Display) -> Self {
        Self::Missing {
            what,
            id: id.to_string(),
        }
    }
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Something that a plan needed and now has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured<T> {
    /// The thing itself.
    pub found: T,
    /// True if this very plan made it, in this run or in an earlier one.
    pub created_here: bool,
}

/// Reads a column that holds one of our own types as text.
pub(crate) fn parsed<T>(row: &SqliteRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// As [`parsed`], for a column that may be empty.
fn parsed_option<T>(row: &SqliteRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error)))
        .transpose()
}

/// Reads a column of JSON text.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// As [`json`], for a column that may be empty.
fn json_option<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<T>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// What is kept in a column of JSON text.
pub(crate) fn stored_json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Reads a column of milliseconds since 1970.
pub(crate) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Ok(Timestamp(row.try_get(column)?))
}

/// Reads a column with a plan's id.
fn plan(row: &SqliteRow, column: &str) -> Result<PlanId, sqlx::Error> {
    Ok(PlanId(row.try_get(column)?))
}

/// Reads a column of bytes counted: never negative in our tables.
pub(crate) fn size(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    let size: i64 = row.try_get(column)?;
    u64::try_from(size).map_err(|error| unreadable(column, error))
}

/// A number of bytes as SQL stores it; what is larger than any disk is stored as the largest.
pub(crate) fn stored_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn unreadable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
