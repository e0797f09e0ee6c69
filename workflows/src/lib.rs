//! What happens: each workflow a short declaration of a DAG, each step a file.

pub mod apply_retention;
pub mod bulk;
pub mod change_naming;
pub mod cleanup;
pub mod delete_image;
pub mod delete_organization;
pub mod delete_product;
pub mod delete_repository;
pub mod delete_together;
pub mod deliver_webhook;
pub mod destination;
mod drill;
mod error;
pub mod export;
pub mod gate;
pub mod mirror;
pub mod naming_pattern;
pub mod outbound;
pub mod owner;
pub mod permission;
pub mod promote;
pub mod proxy;
pub mod published_names;
pub mod push;
pub mod rehearsal;
mod resume;
pub mod retention;
pub mod rollback;
pub mod secret;
mod services;
pub mod sync_proxies;
pub mod sync_proxy;
pub mod verify;

pub use drill::CatalogDrill;
pub use resume::{ResumeError, go_on, resume};
pub use services::{Node, Services, StartError, start};

pub use storage::journal::Journal;

use engine::node::Workflows;
use engine::workflow::{BackendPlace, DeclarationError};

/// Where the content is that pushes go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Beside the catalog.
    #[default]
    Embedded,
    /// In a Pulp 3.
    Pulp,
}

/// Every workflow of this program, checked.
pub fn all(backend: Backend) -> Result<Workflows<Services>, DeclarationError> {
    let all = match backend {
        Backend::Embedded => Workflows::default().probe(gate::CONTENT, gate::ContentProbe),
        Backend::Pulp => Workflows::default()
            .backend(BackendPlace::Elsewhere)
            .probe(gate::PULP, gate::PulpProbe),
    };
    let all = all
        .probe_all(gate::SMART_PROXY, gate::SmartProxyProbe)
        .register::<push::Push>()?
        .register::<delete_image::DeleteImage>()?
        .register::<delete_repository::DeleteRepository>()?
        .register::<delete_product::DeleteProduct>()?
        .register::<delete_organization::DeleteOrganization>()?
        .register::<rollback::Rollback>()?
        .register::<promote::Promote>()?
        .register::<change_naming::ChangeNaming>()?
        .register::<bulk::BulkResume>()?
        .register::<bulk::BulkCancel>()?
        .register::<cleanup::Cleanup>()?
        .register::<verify::Verify>()?
        .register::<retention::Retain>()?
        .register::<apply_retention::ApplyRetention>()?
        .register::<sync_proxy::SyncProxy>()?
        .register::<deliver_webhook::DeliverWebhook>()?
        .register::<rehearsal::Rehearsal>()?
        .register::<rehearsal::Part>()?;
    Ok(all.schedules_judged_by(owner::OwnersMayRun))
}
