//! What happens: each workflow a short declaration of a DAG, each step a file.

pub mod bulk;
pub mod cleanup;
pub mod destination;
mod drill;
mod error;
pub mod export;
pub mod gate;
pub mod owner;
pub mod permission;
pub mod push;
pub mod rehearsal;
mod resume;
mod services;

pub use drill::CatalogDrill;
pub use resume::{ResumeError, go_on, resume};
pub use services::{Node, Services, StartError, start};

pub use storage::journal::Journal;

use engine::node::Workflows;
use engine::workflow::DeclarationError;

/// Every workflow of this program, checked.
pub fn all() -> Result<Workflows<Services>, DeclarationError> {
    let all = Workflows::default()
        .register::<push::Push>()?
        .register::<bulk::BulkResume>()?
        .register::<bulk::BulkCancel>()?
        .register::<cleanup::Cleanup>()?
        .register::<rehearsal::Rehearsal>()?
        .register::<rehearsal::Part>()?;
    Ok(all
        .probe(gate::CONTENT, gate::ContentProbe)
        .schedules_judged_by(owner::OwnersMayRun))
}
