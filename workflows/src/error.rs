//! How errors of the catalog and the content become errors of a step: decided once, so that steps only write `?`.

use engine::step::StepError;
use storage::DatabaseError;
use storage::catalog::CatalogError;
use storage::content::ContentError;

/// An error that a step may end with.
pub(crate) struct Failed(StepError);

impl Failed {
    /// No attempt will succeed until somebody changes something.
    pub(crate) fn for_good(error: impl std::fmt::Display) -> Self {
        Self(StepError::permanent(error))
    }

    /// Another attempt may succeed.
    pub(crate) fn later(error: impl std::fmt::Display) -> Self {
        Self(StepError::transient(error))
    }
}

impl From<Failed> for StepError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

impl From<CatalogError> for Failed {
    fn from(error: CatalogError) -> Self {
        let class = "catalog";
        Self(
            if error.is_transient() {
                StepError::transient(error)
            } else {
                StepError::permanent(error)
            }
            .class(class),
        )
    }
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        Self::from(CatalogError::from(error))
    }
}

impl From<ContentError> for Failed {
    fn from(error: ContentError) -> Self {
        let class = "content";
        Self(
            if error.is_transient() {
                StepError::transient(error)
            } else {
                StepError::permanent(error)
            }
            .class(class),
        )
    }
}
