//! What can go wrong with content, told apart by what the caller may do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::objects::ObjectError;
use super::pulp::PulpError;
use crate::catalog::instance::Backend;
use crate::catalog::{CatalogError, DestinationId};
use crate::database::DatabaseError;

/// Why the content backend did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ContentError {
    /// There is no space, for bytes or for rows.
    #[error("the disk is full; what was acknowledged is safe, free some space and try again")]
    Full,
    /// The node is stopping.
    #[error("the node stopped before it could answer; ask how far it came and go on from there")]
    Interrupted,
    /// The database did not do its part.
    #[error(transparent)]
    Database(DatabaseError),
    /// A catalog row was refused.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The store of objects did not do its part.
    #[error(transparent)]
    Object(ObjectError),
    /// The folder could not be used.
    #[error("the content folder {} cannot be used; it must be a folder that this user may write", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The folder belongs to another database.
    #[error(
        "the content folder {} belongs to instance {found}, but the database to {wanted}; give this database its own content_dir",
        path.display()
    )]
    ForeignFolder {
        /// Which.
        path: PathBuf,
        /// The id in the folder.
        found: String,
        /// The id in the database.
        wanted: Uuid,
    },
    /// The folder is empty, but the database knows of content.
    #[error(
        "the content folder {} is empty, but the database knows {blobs} blobs that should be there; is the right file system mounted?",
        path.display()
    )]
    EmptyFolder {
        /// Which.
        path: PathBuf,
        /// How many blobs are missing.
        blobs: i64,
    },
    /// A certificate or key of Pulp cannot be used.
    #[error("a certificate or key for Pulp cannot be used; it must be PEM")]
    Certificate(#[source] Arc<reqwest::Error>),
    /// The content is in another backend than the one that is configured.
    #[error(
        "the content of this instance is in {kept}, but content.backend = \"{wanted}\"; set it to \"{kept}\""
    )]
    OtherBackend {
        /// Where it is.
        kept: Backend,
        /// Where it should be.
        wanted: Backend,
    },
    /// Pulp did not do its part.
    #[error(transparent)]
    Pulp(#[from] PulpError),
    /// Something that was pushed is not where it should be.
    #[error("the {place} of destination {destination} has no {what}")]
    Absent {
        /// "push repository", "version 3".
        place: String,
        /// Whose.
        destination: DestinationId,
        /// "tag `latest` at sha256:…".
        what: String,
    },
}

impl ContentError {
    /// True if space on a disk is what is missing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// True if the same call may well succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full | Self::Interrupted | Self::Absent { .. } => true,
            Self::Object(error) => matches!(error, ObjectError::Full | ObjectError::Io { .. }),
            Self::Database(error) => error.is_transient(),
            Self::Catalog(error) => error.is_transient(),
            Self::Pulp(error) => error.is_transient(),
            Self::Certificate(_)
            | Self::OtherBackend { .. }
            | Self::Folder { .. }
            | Self::ForeignFolder { .. }
            | Self::EmptyFolder { .. } => false,
        }
    }
}

impl From<DatabaseError> for ContentError {
    fn from(error: DatabaseError) -> Self {
        if error.is_full() {
            Self::Full
        } else {
            Self::Database(error)
        }
    }
}

impl From<CatalogError> for ContentError {
    fn from(error: CatalogError) -> Self {
        if error.is_full() {
            Self::Full
        } else {
            Self::Catalog(error)
        }
    }
}

impl From<ObjectError> for ContentError {
    fn from(error: ObjectError) -> Self {
        if matches!(error, ObjectError::Full) {
            Self::Full
        } else {
            Self::Object(error)
        }
    }
}

impl From<sqlx::Error> for ContentError {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::from(error).into()
    }
}
