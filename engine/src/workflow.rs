//! A workflow's declaration, and its check when it is registered.

pub(crate) mod locks;

use crate::caught::{caught, said};
use crate::journal::{GraphStep, Json, MAX_INPUT_BYTES, MAX_STEPS, PlanId, StepIndex, Submitted};
use crate::lock::{Lock, LockRequest};
use crate::priority::Priority;
use crate::step::{
    AnyStep, BoxFuture, Declared, Needs, Policy, Polling, PollingStep, Runs, Services, StepError,
    Transactional, TransactionalStep,
};
use futures_util::FutureExt;
use petgraph::algo;
use petgraph::graph::DiGraph;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error};
use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// A DAG of steps. The type is the plan's input: recorded before the first step runs, never changed afterwards.
pub trait Workflow: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// As the API shows it: never renamed.
    const NAME: &'static str;
    /// Raised with every change that a plan under way could notice.
    const VERSION: u32;
    /// What its steps may use.
    type Services: Services;
    /// A sentence for whoever explains a task of it that has not succeeded: what is safe besides the work of its steps.
    const SAFE: &'static str = "";
    /// A sentence for whoever explains a task of it that waits for a resume: what else helps.
    const ELSE: &'static str = "";

    /// The page: its steps and their edges.
    fn steps() -> Steps<Self>;

    /// What it does, for people: `Push acme/busybox:latest`.
    fn action(&self) -> String;

    /// The locks it needs before its first step, all at once. Several of one resource are one, which covers them all.
    fn locks(&self) -> Vec<Lock> {
        Vec::new()
    }

    /// The label of the organization it belongs to.
    fn organization(&self) -> Option<String> {
        None
    }

    /// What it is about, for search.
    fn links(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// So long after its success a plan can still be reverted; none: only while it is under way, paused or failed.
    #[must_use]
    fn revertible_for() -> Option<Duration> {
        None
    }

    /// The gate of what this step works on outside with such an input; none: the one that its policy names, if any.
    fn gate(&self, _step: &str) -> Option<String> {
        None
    }

    /// How urgent a plan is when not all that want can be at work.
    fn priority(&self) -> Priority {
        Priority::Normal
    }

    /// At most so many of its plans are at work on a node at once; none: as many as the node may have at all.
    #[must_use]
    fn at_once() -> Option<usize> {
        None
    }

    /// The fields of its input that an operator may change when a plan is resumed. They must leave its locks, its organization
    /// and what it is about as they are: that is checked, and refused.
    #[must_use]
    fn editable() -> &'static [&'static str] {
        &[]
    }

    /// At most one plan with this key is open and not past its locks.
    fn open_key(&self) -> Option<String> {
        None
    }

    /// Whether a plan of it that has ended with an error may go on: nothing has come meanwhile that it would take back. Judged in
    /// the very transaction in which it goes on; the error says why not.
    fn may_go_on(
        &self,
        tx: &mut <Self::Services as Services>::Tx,
        plan: PlanId,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        async move {
            let _ = (tx, plan); // nothing stands against it
            Ok(())
        }
    }
}

/// The steps of a workflow with their edges, as declared; nothing is checked yet.
pub struct Steps<W: Workflow>(Vec<Line<W::Services>>);

struct Line<S> {
    name: &'static str,
    after: Vec<&'static str>,
    needs: Vec<&'static str>,
    required: Vec<&'static str>,
    form: u32,
    here: Code<S>,
    elsewhere: Code<S>,
}

/// How a step is tried, and what it does.
struct Code<S> {
    policy: Policy,
    body: Arc<dyn AnyStep<S>>,
}

/// Where the backend is that the steps of a node work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendPlace {
    /// In the store of the journal: its work is part of the transaction that records the step's success.
    #[default]
    Here,
    /// Another server: its work is begun, and asked for with a ticket.
    Elsewhere,
}

/// "Not before these have succeeded."
pub struct After<N>(PhantomData<fn() -> N>);

/// "Not before these have succeeded": a step type, or a tuple of them.
#[must_use]
pub fn after<N: Needs>() -> After<N> {
    After(PhantomData)
}

impl<S> Line<S> {
    fn code(&self, backend: BackendPlace) -> &Code<S> {
        match backend {
            BackendPlace::Here => &self.here,
            BackendPlace::Elsewhere => &self.elsewhere,
        }
    }
}

impl<W: Workflow> Steps<W> {
    /// The step that waits for nothing.
    pub fn first<S: Runs<Kind> + Declared<Workflow = W>, Kind>(step: S) -> Self {
        Self(Vec::new()).step(step, after::<()>())
    }

    /// A further step.
    #[must_use]
    pub fn step<S: Runs<Kind> + Declared<Workflow = W>, Kind, N: Needs>(
        self,
        step: S,
        after: After<N>,
    ) -> Self {
        let body = step.erased();
        self.line::<S, N>(after, body.clone(), body)
    }

    /// A further step, which works on a backend: in the transaction of its success where that is in the store of the journal, and
    /// elsewhere where it is another server. Which of both, [`Workflows::backend`](crate::node::Workflows::backend) says for a
    /// whole node. What it leaves is the same.
    #[must_use]
    pub fn step_of_backend<S, N: Needs>(self, step: S, after: After<N>) -> Self
    where
        S: TransactionalStep + PollingStep + Declared<Workflow = W> + Copy,
    {
        let here = Runs::<Transactional>::erased(step);
        self.line::<S, N>(after, here, Runs::<Polling>::erased(step))
    }

    fn line<S: Declared<Workflow = W>, N: Needs>(
        mut self,
        _: After<N>,
        here: Arc<dyn AnyStep<W::Services>>,
        elsewhere: Arc<dyn AnyStep<W::Services>>,
    ) -> Self {
        self.0.push(Line {
            name: S::NAME,
            after: N::names(),
            needs: S::Needs::names(),
            required: S::Needs::required(),
            form: S::FORM,
            here: Code {
                policy: S::POLICY,
                body: here,
            },
            elsewhere: Code {
                policy: S::ELSEWHERE,
                body: elsewhere,
            },
        });
        self
    }
}

/// Why a workflow is not registered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeclarationError {
    /// Two steps have one name.
    #[error("workflow `{workflow}` declares step `{step}` twice")]
    Twice {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: &'static str,
    },
    /// An edge leads nowhere.
    #[error(
        "workflow `{workflow}`: step `{step}` waits for `{other}`, which is not one of its steps"
    )]
    Unknown {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: &'static str,
        /// What it waits for.
        other: &'static str,
    },
    /// The graph is no DAG.
    #[error("workflow `{workflow}`: step `{step}` waits for itself, through others")]
    Cycle {
        /// The workflow.
        workflow: &'static str,
        /// A step of the cycle.
        step: &'static str,
    },
    /// A step reads what need not be there.
    #[error(
        "workflow `{workflow}`: step `{step}` needs the output of `{other}`, which need not have run before it; add it to `after`"
    )]
    NotAnAncestor {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: &'static str,
        /// What it reads.
        other: &'static str,
    },
    /// A policy allows no attempt.
    #[error("workflow `{workflow}`: step `{step}` has no attempt; it needs at least one")]
    NoAttempt {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: &'static str,
    },
    /// More steps than a plan may have.
    #[error("workflow `{workflow}` has {steps} steps; a plan has at most {MAX_STEPS}")]
    TooManySteps {
        /// The workflow.
        workflow: &'static str,
        /// How many it has.
        steps: usize,
    },
    /// The workflow of its sub-tasks is missing.
    #[error(
        "workflow `{workflow}`: step `{step}` wants sub-tasks of workflow `{child}`, which is not registered"
    )]
    UnknownChild {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: String,
        /// The workflow of its sub-tasks.
        child: &'static str,
    },
    /// Two workflows have one name.
    #[error("workflow `{workflow}` is registered twice")]
    RegisteredTwice {
        /// The workflow.
        workflow: &'static str,
    },
}

/// Why an input does not become a plan.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be written as JSON.
    #[error("the input of workflow `{workflow}` cannot be written as JSON")]
    NotJson {
        /// The workflow.
        workflow: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is too large.
    #[error(
        "the input of workflow `{workflow}` has {bytes} bytes; at most {MAX_INPUT_BYTES} are kept, so it must refer to its data"
    )]
    TooLarge {
        /// The workflow.
        workflow: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// It is not what the workflow takes.
    #[error("the input of workflow `{workflow}` does not fit it: {why}")]
    DoesNotFit {
        /// The workflow.
        workflow: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The code that makes a plan of it panicked.
    #[error("workflow `{workflow}` panicked over the input: {said}")]
    Panicked {
        /// The workflow.
        workflow: &'static str,
        /// What it said.
        said: String,
    },
    /// A sub-task would lock what its parent does not hold.
    #[error(
        "a sub-task of workflow `{workflow}` needs lock `{resource}`, which its parent does not hold so: it must be declared there, because the sub-task runs inside its parent's locks"
    )]
    LockOutsideParent {
        /// The workflow.
        workflow: &'static str,
        /// The lock.
        resource: String,
    },
    /// A sub-task would go on without a lock that its parent holds for it.
    #[error(
        "a sub-task of workflow `{workflow}` needs lock `{resource}`, which its parent may let go while the sub-task is at work: the lock must last until the step with the sub-tasks or one that comes after it"
    )]
    LockEndsBefore {
        /// The workflow.
        workflow: &'static str,
        /// The lock.
        resource: String,
    },
    /// A lock ends with a step that the workflow does not have.
    #[error("a lock of workflow `{workflow}` ends with `{step}`, which is not one of its steps")]
    LockUntilUnknown {
        /// The workflow.
        workflow: &'static str,
        /// The step.
        step: &'static str,
    },
}

/// A plan's first entry and its open key, of an input that is known as text only.
type Read<S> =
    fn(&Registered<S>, &Json, Option<String>) -> Result<(Submitted, Option<String>), InputError>;

/// Whether a plan with this input, which has ended, may go on.
type MayGoOn<S> = for<'t> fn(
    Arc<dyn Any + Send + Sync>,
    &'t mut <S as Services>::Tx,
    PlanId,
) -> BoxFuture<'t, Result<(), StepError>>;

type Decode = fn(&Json) -> Result<Arc<dyn Any + Send + Sync>, serde_json::Error>;

/// A checked workflow. Its type is gone: this is what the node holds.
pub struct Registered<S: Services> {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    pub(crate) graph: Arc<[GraphStep]>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) bodies: Vec<Arc<dyn AnyStep<S>>>,
    /// At most so many plans are at work on a node at once.
    pub(crate) at_once: Option<usize>,
    /// The fields of the input that an operator may change.
    pub(crate) editable: &'static [&'static str],
    /// What is safe besides, and what else helps.
    pub(crate) sentences: (&'static str, &'static str),
    /// The input is decoded once per owned plan, not once per step.
    pub(crate) decode: Decode,
    /// A plan of an input that is known as text only.
    pub(crate) read: Read<S>,
    /// Whether a plan that has ended may go on.
    pub(crate) may_go_on: MayGoOn<S>,
}

impl<S: Services> Registered<S> {
    /// Checks the declaration: names are unique, the graph is a DAG, every step reads only its ancestors.
    pub fn new<W: Workflow<Services = S>>() -> Result<Self, DeclarationError> {
        Self::with_backend::<W>(BackendPlace::Here)
    }

    /// As [`Registered::new`], for a node whose backend is there.
    pub(crate) fn with_backend<W: Workflow<Services = S>>(
        backend: BackendPlace,
    ) -> Result<Self, DeclarationError> {
        let (workflow, lines) = (W::NAME, W::steps().0);
        if lines.len() > MAX_STEPS {
            return Err(DeclarationError::TooManySteps {
                workflow,
                steps: lines.len(),
            });
        }
        let mut graph = DiGraph::<usize, ()>::new();
        let mut nodes = HashMap::new();
        for (place, line) in lines.iter().enumerate() {
            if nodes.insert(line.name, graph.add_node(place)).is_some() {
                return Err(DeclarationError::Twice {
                    workflow,
                    step: line.name,
                });
            }
            if line.code(backend).policy.attempts == 0 {
                return Err(DeclarationError::NoAttempt {
                    workflow,
                    step: line.name,
                });
            }
        }
        for line in &lines {
            for other in line.after.iter().copied() {
                let before = nodes.get(other).ok_or(DeclarationError::Unknown {
                    workflow,
                    step: line.name,
                    other,
                })?;
                graph.add_edge(*before, nodes[line.name], ());
            }
        }
        if let Err(cycle) = algo::toposort(&graph, None) {
            return Err(DeclarationError::Cycle {
                workflow,
                step: lines[graph[cycle.node_id()]].name,
            });
        }
        for line in &lines {
            for other in line.needs.iter().copied() {
                let (at, before) = (nodes[line.name], nodes.get(other));
                let is_ancestor = before.is_some_and(|before| {
                    *before != at && algo::has_path_connecting(&graph, *before, at, None)
                });
                if !is_ancestor {
                    return Err(DeclarationError::NotAnAncestor {
                        workflow,
                        step: line.name,
                        other,
                    });
                }
            }
        }
        let order = in_order(&lines);
        let place: HashMap<&str, StepIndex> = order
            .iter()
            .enumerate()
            .map(|(place, line)| (lines[*line].name, place))
            .collect();
        let steps = order.iter().map(|line| &lines[*line]);
        Ok(Self {
            name: workflow,
            version: W::VERSION,
            graph: steps
                .clone()
                .map(|line| graph_step(line, line.code(backend).policy, &place))
                .collect(),
            policies: steps
                .clone()
                .map(|line| line.code(backend).policy)
                .collect(),
            bodies: steps.map(|line| line.code(backend).body.clone()).collect(),
            at_once: W::at_once(),
            editable: W::editable(),
            sentences: (W::SAFE, W::ELSE),
            // The author's code runs in these three and in the bodies: none of its panics ends more than what it was asked for.
            decode: |json| {
                let input = caught(|| json.decode::<W>()).map_err(|said| {
                    let workflow = W::NAME;
                    serde_json::Error::custom(InputError::Panicked { workflow, said })
                })??;
                Ok(Arc::new(input))
            },
            read: |registered, json, actor| {
                let workflow = W::NAME;
                let read = || {
                    let input: W = json.decode().map_err(|why| InputError::DoesNotFit {
                        workflow,
                        why: why.to_string(),
                    })?;
                    let submitted = registered.submitted(&input, actor)?;
                    Ok((submitted, input.open_key()))
                };
                caught(read).unwrap_or_else(|said| Err(InputError::Panicked { workflow, said }))
            },
            may_go_on: judged::<W>,
        })
    }

    /// The plan's first entry.
    pub(crate) fn submitted<W: Workflow<Services = S>>(
        &self,
        input: &W,
        actor: Option<String>,
    ) -> Result<Submitted, InputError> {
        let json = Json::of(input).map_err(|source| InputError::NotJson {
            workflow: self.name,
            source,
        })?;
        if json.text().len() > MAX_INPUT_BYTES {
            return Err(InputError::TooLarge {
                workflow: self.name,
                bytes: json.text().len(),
            });
        }
        let locks: Vec<LockRequest> = input
            .locks()
            .into_iter()
            .map(|lock| {
                let until = lock.until.map(|step| {
                    self.index_of(step).ok_or(InputError::LockUntilUnknown {
                        workflow: self.name,
                        step,
                    })
                });
                let Lock {
                    resource,
                    mode,
                    on_pause,
                    ..
                } = lock;
                Ok(LockRequest {
                    until: until.transpose()?,
                    resource,
                    mode,
                    on_pause,
                })
            })
            .collect::<Result<_, InputError>>()?;
        Ok(Submitted {
            workflow: self.name.into(),
            version: self.version,
            action: input.action(),
            graph: self.graph_of(input),
            input: json,
            locks: locks::merged(locks, &self.graph),
            actor,
            organization: input.organization(),
            links: input
                .links()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            cause: None,
            parent: None,
            revertible_for: W::revertible_for(),
            priority: input.priority(),
        })
    }

    /// The graph, with the gates that the input names.
    fn graph_of<W: Workflow<Services = S>>(&self, input: &W) -> Arc<[GraphStep]> {
        let named = |step: &GraphStep| input.gate(&step.name);
        if self.graph.iter().all(|step| named(step).is_none()) {
            return self.graph.clone();
        }
        let steps = self.graph.iter().map(|step| GraphStep {
            gate: named(step).or_else(|| step.gate.clone()),
            ..step.clone()
        });
        steps.collect()
    }

    /// The place of the step with this name.
    pub(crate) fn index_of(&self, step: &str) -> Option<StepIndex> {
        self.graph.iter().position(|known| known.name == step)
    }
}

/// Whether a plan with this input may go on after its end, as its workflow judges. Where that panics it may not.
fn judged<W: Workflow>(
    input: Arc<dyn Any + Send + Sync>,
    tx: &mut <W::Services as Services>::Tx,
    plan: PlanId,
) -> BoxFuture<'_, Result<(), StepError>> {
    let judged = async move {
        match input.downcast_ref::<W>() {
            Some(input) => input.may_go_on(tx, plan).await,
            None => Ok(()),
        }
    };
    Box::pin(async move {
        AssertUnwindSafe(judged)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| {
                let (workflow, said) = (W::NAME, said(panic.as_ref()));
                Err(StepError::permanent(format!(
                    "workflow `{workflow}` panicked: {said}"
                )))
            })
    })
}

fn graph_step<S>(line: &Line<S>, policy: Policy, place: &HashMap<&str, StepIndex>) -> GraphStep {
    let places = |names: &[&str]| -> Vec<StepIndex> {
        let mut places: Vec<StepIndex> = names.iter().map(|name| place[name]).collect();
        places.sort_unstable();
        places
    };
    let (after, needs) = (places(&line.after), places(&line.required));
    let Policy {
        attempts,
        rescue,
        once,
        undoable,
        gate,
        ..
    } = policy;
    GraphStep {
        name: line.name.into(),
        needs: (needs != after).then_some(needs),
        after,
        attempts,
        rescue,
        once,
        undoable,
        form: line.form,
        gate: gate.map(Into::into),
    }
}

/// Every step after those it waits for, otherwise as declared: the order in which people read them.
fn in_order<S>(lines: &[Line<S>]) -> Vec<usize> {
    let place: HashMap<&str, usize> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| (line.name, place))
        .collect();
    let mut waits_for: Vec<usize> = lines.iter().map(|line| line.after.len()).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
    for (follower, line) in lines.iter().enumerate() {
        for before in &line.after {
            followers[place[before]].push(follower);
        }
    }
    let mut ready: BTreeSet<usize> = (0..lines.len())
        .filter(|line| waits_for[*line] == 0)
        .collect();
    let mut order = Vec::with_capacity(lines.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for follower in &followers[next] {
            waits_for[*follower] -= 1;
            if waits_for[*follower] == 0 {
                ready.insert(*follower);
            }
        }
    }
    order
}
