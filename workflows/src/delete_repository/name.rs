//! The name that a repository had, and whether it can have it again.

use crate::destination::label_form;
use crate::error::Failed;
use engine::step::StepError;
use engine::store::Store;
use std::fmt;
use storage::Tx;
use storage::catalog::{DestinationId, RepositoryId};
use storage::catalog::{destinations, pushed, repositories, repository_names};
use storage::journal::Journal;

use super::DeleteRepository;

/// What has the name by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTheWay {
    /// The destination that pushes by that name go to, and the number of its repository.
    pub destination: DestinationId,
    /// The name.
    pub name: String,
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is the name of repository {} by now; delete that one first, or bring this one back under another name with {{\"as\": \"<name>\"}}",
            self.name, self.destination
        )
    }
}

/// What keeps the repository from being brought back under this name; none: nothing, or only what nobody has pushed to.
pub async fn in_the_way(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
) -> Result<Option<InTheWay>, StepError> {
    let (_, used) = taken(tx, delete, name).await?;
    Ok(used)
}

/// Who has the name now, and whether it is used: by a repository, an open push, or something pending.
pub(super) async fn taken(
    tx: &mut Tx,
    delete: &DeleteRepository,
    name: &str,
) -> Result<(Option<DestinationId>, Option<InTheWay>), Failed> {
    let of = &delete.repository;
    let path = label_form(&of.organization_label, &of.product_label, name);
    let owner = repository_names::find(tx, &path).await?;
    if let Some(owner) = owner.filter(|owner| owner.environment.is_some()) {
        let in_the_way = InTheWay {
            destination: owner.repository.into(),
            name: path,
        };
        return Ok((None, Some(in_the_way)));
    }
    let found = destinations::find(tx, of.organization, &of.product_label, name).await?;
    let Some(live) = found.filter(|found| found.id != of.id) else {
        return Ok((None, None));
    };
    let keys = format!("push {} ", live.id);
    let used = repositories::get(tx, RepositoryId::from(live.id))
        .await?
        .is_some()
        || !pushed::pending(tx, live.id).await?.is_empty()
        || has_open_pushes(tx, keys).await?;
    let in_the_way = used.then_some(InTheWay {
        destination: live.id,
        name: path,
    });
    Ok((Some(live.id), in_the_way))
}

async fn has_open_pushes(tx: &mut Tx, keys: String) -> Result<bool, Failed> {
    match Journal::open_in(tx, keys).await {
        Ok(open) => Ok(!open.is_empty()),
        Err(error) => Err(Failed::later(error)),
    }
}
