//! How content comes to smart proxies: a file for each kind.

pub mod oci;
mod pace;
pub mod progress;
pub mod pulp;
pub mod wharfinger;

pub use pace::Pace;
pub use progress::{Progress, Progresses};

use crate::error::Failed;
use crate::services::Services;
use crate::sync_proxy::Looked;
use engine::step::StepError;
use serde::{Deserialize, Serialize};
use storage::DatabaseError;
use storage::catalog::CatalogError;
use storage::catalog::smart_proxies::contents::Place;
use storage::catalog::smart_proxies::{self, Kind};
use storage::content::ContentError;

/// What a sync has come to at a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// What was to be done.
    #[serde(default)]
    pub looked: Looked,
    /// What became of each repository that was to be brought or removed, as far as it came.
    pub ended: Vec<End>,
    /// How many blobs went there.
    pub blobs: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// Why not all could be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a person should know, although it is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What became of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Which, in which environment.
    #[serde(flatten)]
    pub place: Place,
    /// Why it is not as it should be; none: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Work that was begun.
pub enum Begun<T> {
    /// It is done.
    Done(Brought),
    /// It goes on there.
    Ticket(T),
}

impl<T> Begun<T> {
    /// The same with another ticket.
    pub fn map<U>(self, ticket: impl FnOnce(T) -> U) -> Begun<U> {
        match self {
            Self::Done(brought) => Begun::Done(brought),
            Self::Ticket(it) => Begun::Ticket(ticket(it)),
        }
    }
}

/// Why a proxy could not be given what it lacks.
pub(crate) enum Trouble {
    /// Nobody answers there.
    Unreachable(String),
    /// It answers that it cannot now.
    NotNow(String),
    /// It answers that it will not, and will not later either until somebody changes something.
    Refused(String),
    /// Something here did not do its part.
    Here(Failed),
}

/// Why something of a sync was not done.
pub(crate) enum Failure {
    /// It concerns one repository: others may fare better.
    One(String),
    /// Nothing else will fare better now.
    All(Trouble),
}

impl Failure {
    /// The same where nothing but all of it was asked.
    fn all<T>(self) -> Result<T, Trouble> {
        Err(match self {
            Self::One(why) => Trouble::Refused(why),
            Self::All(trouble) => trouble,
        })
    }
}

impl<E: Into<Trouble>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::All(error.into())
    }
}

impl End {
    /// What became of it there; what concerns all is no end of this one.
    fn of(place: Place, done: Result<(), Failure>) -> Result<Self, Trouble> {
        let error = match done {
            Ok(()) => None,
            Err(Failure::One(why)) => Some(why),
            Err(Failure::All(trouble)) => return Err(trouble),
        };
        Ok(Self { place, error })
    }
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Self::Here(failed)
    }
}

impl From<CatalogError> for Trouble {
    fn from(error: CatalogError) -> Self {
        Self::Here(error.into())
    }
}

impl From<ContentError> for Trouble {
    fn from(error: ContentError) -> Self {
        Self::Here(error.into())
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        Self::Here(error.into())
    }
}

/// Asks the proxy with this name whether it is there. One that is gone, or is given nothing any more, stands in nobody's way.
pub(crate) async fn probe(services: &Services, name: &str) -> Result<(), StepError> {
    let found = async {
        let mut tx = services.database.read().await?;
        smart_proxies::find(&mut tx, name).await
    };
    let found = found.await.map_err(Failed::from)?;
    let Some(proxy) = found.filter(|proxy| proxy.enabled) else {
        return Ok(());
    };
    let asked = match proxy.kind {
        Kind::Wharfinger => wharfinger::probe(&services.outbound, &proxy).await,
        Kind::Oci => oci::probe(&services.outbound, &proxy).await,
        Kind::Pulp => pulp::probe(&services.outbound, &proxy).await,
    };
    match asked {
        Ok(()) | Err(Trouble::Refused(_)) => Ok(()),
        Err(Trouble::Unreachable(why) | Trouble::NotNow(why)) => Err(StepError::transient(why)),
        Err(Trouble::Here(failed)) => Err(failed.into()),
    }
}
