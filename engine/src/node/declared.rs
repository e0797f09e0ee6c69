//! Which workflows a node knows, for people.

use super::{Node, Workflows};
use crate::journal::GraphStep;
use crate::step::Services;
use crate::store::Store;
use std::sync::Arc;

/// A workflow as it is declared: what a plan submitted now would be made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// As the API shows it.
    pub name: &'static str,
    /// Raised with every change that a plan under way could notice.
    pub version: u32,
    /// Its steps, each behind those it waits for.
    pub steps: Arc<[GraphStep]>,
}

impl<S: Services> Workflows<S> {
    /// Every workflow, by name.
    #[must_use]
    pub fn declared(&self) -> Vec<Declaration> {
        let mut all: Vec<_> = self
            .known
            .values()
            .map(|it| Declaration {
                name: it.name,
                version: it.version,
                steps: Arc::clone(&it.graph),
            })
            .collect();
        all.sort_unstable_by_key(|it| it.name);
        all
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Every workflow that this node knows, by name.
    #[must_use]
    pub fn workflows(&self) -> Vec<Declaration> {
        self.0.workflows.declared()
    }
}
