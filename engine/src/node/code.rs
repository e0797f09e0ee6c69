//! The workflows that a node knows, and the plans for which it has no code.

use super::{Inner, MayRun, Probe, ProbeAll, bodies, locked};
use crate::journal::GraphStep;
use crate::plan::Plan;
use crate::step::Services;
use crate::store::Store;
use crate::workflow::{BackendPlace, DeclarationError, Registered, Workflow};
use std::collections::HashMap;
use std::sync::Arc;

/// Workflows that a node knows, and how it asks the backends behind their gates.
pub struct Workflows<S: Services> {
    pub(super) known: HashMap<&'static str, Arc<Registered<S>>>,
    pub(super) probes: HashMap<&'static str, Arc<dyn Probe<S>>>,
    families: Vec<(&'static str, Arc<dyn ProbeAll<S>>)>,
    pub(super) schedules: Option<Arc<dyn MayRun<S>>>,
    backend: BackendPlace,
}

impl<S: Services> Clone for Workflows<S> {
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            probes: self.probes.clone(),
            families: self.families.clone(),
            schedules: self.schedules.clone(),
            backend: self.backend,
        }
    }
}

impl<S: Services> Default for Workflows<S> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            probes: HashMap::new(),
            families: Vec::new(),
            schedules: None,
            backend: BackendPlace::Here,
        }
    }
}

impl<S: Services> Workflows<S> {
    /// Where the backend of the workflows is that are registered from now on.
    #[must_use]
    pub fn backend(mut self, place: BackendPlace) -> Self {
        self.backend = place;
        self
    }

    /// Checks and adds a workflow.
    pub fn register<W: Workflow<Services = S>>(mut self) -> Result<Self, DeclarationError> {
        let registered = Arc::new(Registered::with_backend::<W>(self.backend)?);
        if self.known.insert(W::NAME, registered).is_some() {
            return Err(DeclarationError::RegisteredTwice { workflow: W::NAME });
        }
        Ok(self)
    }

    /// Asked before each run of a schedule; without it all may run.
    #[must_use]
    pub fn schedules_judged_by(mut self, judge: impl MayRun<S>) -> Self {
        self.schedules = Some(Arc::new(judge));
        self
    }

    /// When the gate of this name has closed by itself, this asks whether it may open. Without one the steps find out.
    #[must_use]
    pub fn probe(mut self, gate: &'static str, probe: impl Probe<S>) -> Self {
        self.probes.insert(gate, Arc::new(probe));
        self
    }

    /// The same for all gates whose names begin so: those that inputs name.
    #[must_use]
    pub fn probe_all(mut self, prefix: &'static str, probe: impl ProbeAll<S>) -> Self {
        self.families.push((prefix, Arc::new(probe)));
        self
    }

    /// What asks for the gates of the family that this one is of.
    pub(super) fn family_of(&self, gate: &str) -> Option<Arc<dyn ProbeAll<S>>> {
        let mut families = self.families.iter();
        let family = families.find(|(prefix, _)| gate.starts_with(prefix));
        family.map(|(_, probe)| probe.clone())
    }

    /// The gates that policies name, and those with a probe.
    pub(super) fn gates(&self) -> impl Iterator<Item = &'static str> {
        let policies = self.known.values().flat_map(|it| &it.policies);
        let named = policies.filter_map(|policy| policy.gate);
        named.chain(self.probes.keys().copied())
    }

    /// Every workflow of sub-tasks is registered, too.
    pub(super) fn check_children(&self) -> Result<(), DeclarationError> {
        for workflow in self.known.values() {
            for (step, body) in workflow.graph.iter().zip(&workflow.bodies) {
                if let Some(child) = body
                    .spawns()
                    .filter(|child| !self.known.contains_key(child))
                {
                    return Err(DeclarationError::UnknownChild {
                        workflow: workflow.name,
                        step: step.name.clone(),
                        child,
                    });
                }
            }
        }
        Ok(())
    }
}

impl<S: Services, St: Store<Tx = S::Tx>> Inner<S, St> {
    /// It is open, and this node found it and cannot drive it.
    pub(super) fn is_left_alone(self: &Arc<Self>, plan: &Plan) -> bool {
        let found = locked(&self.left_alone).contains(&plan.id);
        plan.state.is_driven() && (found || self.leaves_alone(plan))
    }

    /// The plan is this node's own, and waits for a version of it that knows the workflow: nobody polls its mailbox.
    pub(super) fn leaves_alone(self: &Arc<Self>, plan: &Plan) -> bool {
        plan.node == Some(self.options.id) && !self.knows(plan)
    }

    /// What of the plan's code this node does not have: the workflow, its input in this form, or a step as `name@form`.
    pub(super) fn missing_code(&self, plan: &Plan) -> Option<String> {
        let Some(workflow) = self.workflows.known.get(plan.workflow()) else {
            return Some(format!("workflow `{}`", plan.workflow()));
        };
        let known = |step: &GraphStep| {
            let index = workflow.index_of(&step.name);
            index.is_some_and(|index| workflow.graph[index].form >= step.form)
        };
        if let Some(step) = plan.graph().iter().find(|step| !known(step)) {
            return Some(format!("step `{}`", step.key()));
        }
        let input = &plan.submitted.as_ref()?.input;
        let why = (workflow.decode)(input).err()?;
        Some(format!(
            "workflow `{}` with such an input ({why})",
            plan.workflow()
        ))
    }

    /// This node has the code of each of the plan's steps.
    pub(super) fn knows(self: &Arc<Self>, plan: &Plan) -> bool {
        bodies::Bodies::of(self, plan).is_some()
    }
}
