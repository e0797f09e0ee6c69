//! One switch of all names.

use super::ChangeNaming;
use crate::error::Failed;
use crate::published_names::{Renamed, rename_all};
use engine::step::{Context, Declared, StepError, TransactionalStep};
use storage::Tx;
use storage::catalog::environments::{self, EnvironmentChanges};

/// Sets the pattern and moves every name, or none where one is taken.
pub struct Rename;

impl Declared for Rename {
    const NAME: &'static str = "rename";
    type Workflow = ChangeNaming;
    type Needs = ();
    type Output = Renamed;
}

impl TransactionalStep for Rename {
    async fn run(
        &self,
        tx: &mut Tx,
        _: &Context<ChangeNaming>,
        change: &ChangeNaming,
        (): (),
    ) -> Result<Renamed, StepError> {
        Ok(rename(tx, change).await?)
    }
}

async fn rename(tx: &mut Tx, change: &ChangeNaming) -> Result<Renamed, Failed> {
    let changes = EnvironmentChanges {
        name: Some(change.name.clone()),
        registry_name_pattern: Some(change.registry_name_pattern.clone()),
        ..EnvironmentChanges::default()
    };
    if environments::update(tx, change.environment, &changes)
        .await?
        .is_none()
    {
        return Err(Failed::for_good(format!(
            "environment {} does not exist any more",
            change.environment_label
        )));
    }
    Ok(rename_all(tx, change.environment).await?)
}
