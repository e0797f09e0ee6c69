//! What a law makes befall the bodies of a plan, and what it counts.

use super::Done;
use crate::node::{Drill, Effect};
use crate::plan::Plan;
use crate::step::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// Stands for every step.
pub(super) const EACH: &str = "*";

/// The body that is stopped at the gate, until that is opened.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    /// The first of this step.
    Step(String),
    /// The one that begins as the n-th of all.
    Body(usize),
}

/// Befalls steps, holds one of them, and counts all bodies.
#[derive(Default)]
pub(super) struct Script {
    gate: Option<Gate>,
    reached: CancellationToken,
    open: CancellationToken,
    told: Mutex<Told>,
    /// Transactional steps that follow each other are recorded by one commit; only the first of them is asked for and counted.
    together: bool,
    /// Nothing befalls plans of these workflows, and what they do is not counted.
    alone: &'static [&'static str],
}

#[derive(Default)]
struct Told {
    befalls: Option<(String, Effect)>,
    befalls_undo: Option<(String, Effect)>,
    counts: Counts,
}

/// How often what ran.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// By step.
    pub(super) bodies: BTreeMap<String, usize>,
    /// By step.
    pub(super) undos: BTreeMap<String, usize>,
    pub(super) faults: usize,
}

impl Counts {
    pub(super) fn all_bodies(&self) -> usize {
        self.bodies.values().sum()
    }

    pub(super) fn done(&self) -> Done {
        Done {
            executions: self.all_bodies(),
            compensations: self.undos.values().sum(),
            faults: self.faults,
            ..Done::default()
        }
    }
}

impl Script {
    pub(super) fn befalling(self, step: &str, effect: Effect) -> Self {
        self.told().befalls = Some((step.to_owned(), effect));
        self
    }

    pub(super) fn befalling_undo(self, step: &str, effect: Effect) -> Self {
        self.told().befalls_undo = Some((step.to_owned(), effect));
        self
    }

    pub(super) fn gate(self, gate: Gate) -> Self {
        Self {
            gate: Some(gate),
            ..self
        }
    }

    pub(super) fn leaving_alone(self, alone: &'static [&'static str]) -> Self {
        Self { alone, ..self }
    }

    /// Nothing befalls a step, and several may be recorded together.
    pub(super) fn together() -> Self {
        Self {
            together: true,
            ..Self::default()
        }
    }

    /// Nothing befalls anything any more.
    pub(super) fn mend(&self) {
        let mut told = self.told();
        (told.befalls, told.befalls_undo) = (None, None);
    }

    pub(super) fn open(&self) {
        self.open.cancel();
    }

    /// Returns once a body stands at the gate.
    pub(super) async fn reached(&self) {
        self.reached.cancelled().await;
    }

    pub(super) fn counts(&self) -> Counts {
        self.told().counts.clone()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the body, and says whether it stands at the gate.
    fn stops(&self, step: &str, times: usize) -> bool {
        let mut told = self.told();
        *told.counts.bodies.entry(step.to_owned()).or_default() += times;
        let bodies = told.counts.all_bodies();
        match &self.gate {
            None => false,
            Some(Gate::Step(gate)) => gate == step,
            Some(Gate::Body(n)) => bodies == *n,
        }
    }
}

impl Told {
    fn strikes(
        &mut self,
        befalls: Option<(String, Effect)>,
        step: &str,
        may_run_twice: bool,
    ) -> Option<Effect> {
        let effect = befalls
            .filter(|(which, _)| which == step || which == EACH)
            .map(|(_, effect)| effect)
            .filter(|effect| may_run_twice || !repeats(*effect))?;
        self.counts.faults += 1;
        Some(effect)
    }
}

/// What it did, it does once more.
const fn repeats(effect: Effect) -> bool {
    matches!(effect, Effect::RunTwice | Effect::FailAfter)
}

const fn times(effect: Option<Effect>) -> usize {
    match effect {
        Some(Effect::RunTwice) => 2,
        _ => 1,
    }
}

impl Drill for Script {
    fn may_befall<'a>(&'a self, _: &'a Plan) -> BoxFuture<'a, bool> {
        Box::pin(async { !self.together })
    }

    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async move {
            if self.alone.contains(&plan.workflow()) {
                return None;
            }
            let known = plan.graph().iter().find(|known| known.name == step);
            let is_once = known.is_some_and(|known| known.once);
            let effect = {
                let mut told = self.told();
                let befalls = told.befalls.clone();
                told.strikes(befalls, step, !is_once)
            };
            if self.stops(step, times(effect)) {
                self.reached.cancel();
                self.open.cancelled().await;
            }
            effect
        })
    }

    fn before_undo<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        Box::pin(async move {
            if self.alone.contains(&plan.workflow()) {
                return None;
            }
            let mut told = self.told();
            let befalls = told.befalls_undo.clone();
            let effect = told.strikes(befalls, step, true);
            *told.counts.undos.entry(step.to_owned()).or_default() += times(effect);
            effect
        })
    }
}
