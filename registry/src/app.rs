//! What every handler works with.

use engine::journal::PlanId;
use storage::catalog::sizes::Sizes;

use crate::answers::Answers;
use crate::audit::Refusals;
use crate::auth::failed_logins::FailedLogins;
use crate::auth::tokens::Tokens;
use crate::config::Config;
use crate::full_disk::FullDisk;
use crate::mirror::Proxy;
use crate::oci::ManifestMemory;
use crate::pulls::Pulls;

/// The running registry, as its handlers see it: made once, by `serve`.
pub(crate) struct App {
    /// The effective configuration; `listen` is the address really bound.
    pub(crate) config: Config,
    /// Database, content and clock, the same that the steps use.
    pub(crate) services: workflows::Services,
    /// The engine's node: submits, waits, acts.
    pub(crate) node: workflows::Node,
    /// Signs and checks the tokens of `/v2/token`.
    pub(crate) tokens: Tokens,
    /// Slows failed logins down.
    pub(crate) failed_logins: FailedLogins,
    /// Which refusals the audit has already.
    pub(crate) refusals: Refusals,
    /// Where manifests are held while they are taken.
    pub(crate) manifest_memory: ManifestMemory,
    /// Whether pushes are refused for want of space.
    pub(crate) full_disk: FullDisk,
    /// What clients of pushes were told.
    pub(crate) answers: Answers,
    /// What was pulled of late.
    pub(crate) pulls: Pulls,
    /// What makes it a smart proxy; none: it is a main server.
    pub(crate) proxy: Option<Proxy>,
    /// How many bytes repositories publish, as far as somebody has asked.
    pub(crate) sizes: Sizes,
}

impl App {
    /// Where people and scripts find a task: a full URL, for messages that are read far from here.
    pub(crate) fn task_url(&self, plan: PlanId) -> String {
        format!("{}/api/v1/tasks/{plan}", self.config.base_url())
    }
}
