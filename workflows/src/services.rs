//! What steps may use: the database, the content, the clock.

use crate::drill::CatalogDrill;
use crate::outbound::Outbound;
use crate::proxy::Progresses;
use engine::clock::Clock;
use engine::node::{Drill, NodeError, NodeOptions};
use engine::workflow::DeclarationError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::content::Content;
use storage::journal::Journal;
use storage::{Database, Tx};

/// What steps may use.
#[derive(Clone)]
pub struct Services {
    /// The catalog, and the engine's journal.
    pub database: Database,
    /// Blobs, push repositories and versions.
    pub content: Content,
    /// The clock.
    pub clock: Clock,
    /// The folder that tasks are written to before they are deleted; none: they are just deleted.
    pub task_export_dir: Option<Arc<Path>>,
    /// How long an upload session is kept that nobody goes on with.
    pub upload_expiry: Duration,
    /// Calls to where an administrator sent us.
    pub outbound: Outbound,
    /// By which URL others know this server, without a path; none: nobody has said so.
    pub public_url: Option<String>,
    /// How far the syncs of smart proxies are that are under way here.
    pub progresses: Progresses,
}

impl engine::step::Services for Services {
    type Tx = Tx;
}

/// Starts the node that drives this program's plans: it goes on with its own open ones at once.
pub async fn start(
    options: NodeOptions,
    services: Services,
    allow_drills: bool,
) -> Result<Node, StartError> {
    let store = Journal::new(services.database.clone());
    let drill = allow_drills
        .then(|| Arc::new(CatalogDrill::new(services.database.clone())) as Arc<dyn Drill>);
    let clock = services.clock;
    let backend = match services.content.pulp() {
        Some(_) => crate::Backend::Pulp,
        None => crate::Backend::Embedded,
    };
    Ok(engine::node::Node::start(
        options,
        store,
        Arc::new(services),
        crate::all(backend)?,
        clock,
        drill,
    )
    .await?)
}

/// Why the node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A workflow is declared wrongly.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// The engine did not start.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// The node that drives this program's plans.
pub type Node<St = Journal> = engine::node::Node<Services, St>;
