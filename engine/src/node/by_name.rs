//! Plans of a workflow that is known by its name only, with an input that is JSON: what schedules submit.

use super::{Node, NodeError, Offer, Workflows};
use crate::journal::{Json, PlanId, Submitted};
use crate::step::Services;
use crate::store::Store;
use crate::workflow::{InputError, Registered, Workflow};
use std::collections::HashMap;
use uuid::Uuid;

/// What a plan begins with: its first entry and its open key.
pub(super) type Beginning = (Submitted, Option<String>);

/// Reads the JSON as the input of the workflow that was registered by this name.
pub(super) type Reader<S> = fn(
    &Registered<S>,
    &Json,
    Option<String>,
) -> Result<Result<Beginning, InputError>, serde_json::Error>;

pub(super) type Readers<S> = HashMap<&'static str, Reader<S>>;

pub(super) fn read<W: Workflow>(
    workflow: &Registered<W::Services>,
    input: &Json,
    actor: Option<String>,
) -> Result<Result<Beginning, InputError>, serde_json::Error> {
    let input: W = input.decode()?;
    Ok(workflow
        .submitted(&input, actor)
        .map(|submitted| (submitted, input.open_key())))
}

impl<S: Services, St: Store<Tx = S::Tx>> Node<S, St> {
    /// Makes a plan of the workflow of this name, still to be submitted. Refused when this node does not know the workflow, and
    /// when the JSON is no input of it.
    pub fn offer_json(
        &self,
        workflow: &str,
        input: &Json,
        actor: Option<String>,
    ) -> Result<Offer<S>, NodeError> {
        let Workflows(registered, readers) = &self.0.workflows;
        let (Some(registered), Some(read)) = (registered.get(workflow), readers.get(workflow))
        else {
            return Err(NodeError::UnknownWorkflow(workflow.to_owned()));
        };
        let (submitted, open_key) = read(registered, input, actor).map_err(|why| {
            let workflow = workflow.to_owned();
            NodeError::InputDoesNotFit { workflow, why }
        })??;
        Ok(Offer {
            id: PlanId(Uuid::now_v7()),
            submitted,
            workflow: registered.clone(),
            recorded: Vec::new(),
            open_key,
        })
    }
}
