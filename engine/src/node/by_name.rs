//! Plans of a workflow that is known by its name only, with an input that is JSON: what schedules submit.

use super::{Node, NodeError, Offer};
use crate::journal::Json;
use crate::step::Services;
use crate::store::Store;

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Makes a plan of the workflow of this name, still to be submitted. Refused when this node does not know the workflow, and
    /// when the JSON is no input of it.
    pub fn offer_json(
        &self,
        workflow: &str,
        input: &Json,
        actor: Option<String>,
    ) -> Result<Offer<S>, NodeError> {
        let Some(registered) = self.0.workflows.known.get(workflow) else {
            return Err(NodeError::UnknownWorkflow(workflow.to_owned()));
        };
        let (submitted, open_key) = (registered.read)(registered, input, actor)?;
        Ok(Offer {
            id: self.0.chance.plan_id(self.0.clock),
            submitted,
            workflow: registered.clone(),
            recorded: Vec::new(),
            open_key,
        })
    }
}
