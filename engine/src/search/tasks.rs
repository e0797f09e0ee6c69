//! What tasks can be searched and sorted by, and what that means for a plan.

use super::{Cursor, Kind, Known, Search, SearchField, Sort, SortKey};
use crate::clock::Timestamp;
use crate::explain::is_under_way;
use crate::gate::GateId;
use crate::journal::{PlanId, PlanResult, Reason};
use crate::plan::{Plan, StepStatus};
use crate::state::{PlanState, StepState};
use crate::store::Head;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;
use strum::IntoEnumIterator;

/// What tasks can be searched by.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// The task's id.
    Id,
    /// The workflow's name.
    Label,
    /// Where it is.
    State,
    /// How it ended.
    Result,
    /// Why it is paused or was cancelled.
    Reason,
    /// The login of who wanted it.
    User,
    /// The organization's label.
    Organization,
    /// The repository it is about.
    Repository,
    /// The label of the product it is about.
    Product,
    /// The tag it is about.
    Tag,
    /// The digest it is about.
    Digest,
    /// The task whose sub-task it is.
    Parent,
    /// When it was submitted.
    CreatedAt,
    /// When it began.
    StartedAt,
    /// When it ended.
    EndedAt,
    /// From its begin to its end, or to now.
    Duration,
    /// What it waits for.
    Waiting,
    /// How many attempts the step with the most had.
    Attempt,
}

impl SearchField for Field {
    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Id,
            Self::Label | Self::Repository | Self::Tag | Self::Digest | Self::Parent => Kind::Text,
            Self::State => Kind::State(words::<PlanState>()),
            Self::Result => Kind::State(words::<PlanResult>()),
            Self::Reason => Kind::Word(words::<Reason>()),
            Self::Waiting => Kind::Word(words::<Wait>()),
            Self::User | Self::Organization | Self::Product => Kind::Label,
            Self::CreatedAt | Self::StartedAt | Self::EndedAt => Kind::Time,
            Self::Duration => Kind::Duration,
            Self::Attempt => Kind::Number,
        }
    }

    fn bare() -> &'static [Self] {
        &[
            Self::Id,
            Self::Label,
            Self::State,
            Self::Result,
            Self::User,
            Self::Organization,
            Self::Repository,
            Self::Tag,
        ]
    }
}

fn words<W: IntoEnumIterator + ToString>() -> Vec<String> {
    W::iter().map(|word| word.to_string()).collect()
}

/// What tasks can be sorted by.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::VariantNames,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// When it was submitted: by its id, which begins with that time.
    CreatedAt,
    /// When it began.
    StartedAt,
    /// When it ended.
    EndedAt,
    /// The workflow's name.
    Label,
    /// The login of who wanted it.
    User,
    /// The organization's label.
    Organization,
}

impl Default for Sort<Order> {
    /// The newest first.
    fn default() -> Self {
        Self {
            by: Order::CreatedAt,
            descending: true,
        }
    }
}

/// Where a page of tasks ended.
pub type TaskCursor = Cursor<Order, PlanId>;

impl Order {
    /// What a plan is sorted by, as of this time; none where its id alone decides.
    #[must_use]
    pub fn key(self, head: &Head, as_of: Timestamp) -> Option<SortKey> {
        let time =
            |at: Option<Timestamp>| at.filter(|at| *at <= as_of).map(|at| SortKey::Number(at.0));
        let label = |label: &Option<String>| {
            label
                .as_ref()
                .map(|label| SortKey::Text(label.to_ascii_lowercase()))
        };
        match self {
            Self::CreatedAt => None,
            Self::StartedAt => time(head.started_at),
            Self::EndedAt => time(head.ended_at),
            Self::Label => Some(SortKey::Text(head.workflow.clone())),
            Self::User => label(&head.actor),
            Self::Organization => label(&head.organization),
        }
    }
}

/// The kinds of things that a plan waits for, as its journal knows them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[strum(serialize_all = "snake_case")]
pub enum Wait {
    /// Another plan holds what this one needs alone.
    Lock,
    /// The next attempt of a step.
    Retry,
    /// Work that goes on elsewhere.
    Time,
    /// Its sub-tasks.
    Child,
    /// Something outside that it will be told of.
    Event,
    /// A gate that is not open.
    Gate,
    /// The node that would run it: a place among the plans at work there.
    Node,
    /// A person.
    Operator,
    /// Its release: an operator holds it. It may still have a step at work, which comes to its end.
    Held,
}

/// All that a plan waits for: nothing while one of its steps is at work, but for its release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits(BTreeSet<Wait>);

/// What a suspended step waits for.
pub(crate) fn wait_of(step: &StepStatus) -> Wait {
    let event = step.awaits.as_ref().is_some_and(|it| it.event.is_some());
    if step.family.is_some() {
        Wait::Child
    } else if event {
        Wait::Event
    } else {
        Wait::Time
    }
}

/// What a step waits for at this gate: a workflow and a node are only held by hand.
const fn wait_at(gate: &GateId) -> Wait {
    match gate {
        GateId::Backend(_) => Wait::Gate,
        GateId::Node(_) | GateId::Workflow(_) => Wait::Operator,
    }
}

impl Waits {
    /// What this plan waits for.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut waits = BTreeSet::new();
        if plan.held.is_some() && plan.state.is_driven() {
            waits.insert(Wait::Held);
        }
        if plan.state == PlanState::Paused {
            waits.insert(Wait::Operator);
        } else if plan.state.is_driven() && !is_under_way(plan) {
            let retrying = |step: &StepStatus| step.is_retrying() || step.is_retrying_undo();
            let suspended = |step: &&StepStatus| step.state == StepState::Suspended;
            if plan.held.is_some() {
                waits.insert(Wait::Operator);
            }
            if plan.waits_for_locks() {
                waits.insert(Wait::Lock);
            } else if plan.held.is_none() {
                if plan.waits_for_place() {
                    waits.insert(Wait::Node);
                } else if plan.steps.iter().any(retrying) {
                    waits.insert(Wait::Retry);
                }
                let gates = plan.steps.iter().filter_map(|step| step.at_gate.as_ref());
                for at in gates {
                    let wait = wait_at(&at.gate);
                    waits.insert(wait);
                    if wait == Wait::Operator {
                        waits.insert(Wait::Held);
                    }
                }
                waits.extend(plan.steps.iter().filter(suspended).map(wait_of));
            }
        }
        Self(waits)
    }

    /// It waits for something, and nothing of it is at work.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.0.iter().any(|wait| *wait != Wait::Held)
    }

    /// All that can be waited for together with this.
    #[must_use]
    pub fn all_with(wait: Wait) -> Vec<Self> {
        // Of a plan that nobody holds, an operator may hold its workflow or its node.
        let elsewhere = [
            Wait::Time,
            Wait::Child,
            Wait::Event,
            Wait::Gate,
            Wait::Operator,
        ];
        let mut all: Vec<BTreeSet<Wait>> = Vec::new();
        for bits in 0..1_u32 << elsewhere.len() {
            let some = (0..).zip(elsewhere).filter(|(n, _)| bits >> n & 1 == 1);
            let some: BTreeSet<Wait> = some.map(|(_, it)| it).collect();
            for more in [None, Some(Wait::Retry), Some(Wait::Node)] {
                let set: BTreeSet<Wait> = some.iter().copied().chain(more).collect();
                if set.contains(&Wait::Operator) {
                    all.push(set.iter().copied().chain([Wait::Held]).collect());
                }
                all.push(set);
            }
        }
        all.push([Wait::Lock].into());
        all.push([Wait::Lock, Wait::Held].into());
        all.push([Wait::Lock, Wait::Operator, Wait::Held].into());
        all.push([Wait::Held].into());
        all.retain(|set| set.contains(&wait));
        all.into_iter().map(Self).collect()
    }

    /// The words of all of them with blanks between, as stores keep them; none when it waits for nothing.
    #[must_use]
    pub fn to_words(&self) -> Option<String> {
        let words: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

impl FromStr for Waits {
    type Err = strum::ParseError;

    fn from_str(words: &str) -> Result<Self, Self::Err> {
        words
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// How many attempts the step with the most had.
#[must_use]
pub fn attempts(plan: &Plan) -> u32 {
    plan.steps
        .iter()
        .map(StepStatus::attempts)
        .max()
        .unwrap_or(0)
}

impl Search<Field> {
    /// The plan with this head and these links is what is looked for.
    #[must_use]
    pub fn finds(&self, plan: PlanId, head: &Head, links: &[(String, String)]) -> bool {
        self.fits(|field| match field {
            Field::Id => Known::Id(plan.0),
            Field::Label => Known::text(Some(head.workflow.as_str())),
            Field::State => Known::text(Some(head.state.to_string())),
            Field::Result => Known::text(Some(head.result.to_string())),
            Field::Reason => Known::text(head.reason.map(|reason| reason.to_string())),
            Field::User => Known::text(head.actor.as_deref()),
            Field::Organization => Known::text(head.organization.as_deref()),
            Field::Repository | Field::Product | Field::Tag | Field::Digest | Field::Parent => {
                let name = field.to_string();
                let named = links.iter().filter(|(known, _)| *known == name);
                Known::Texts(named.map(|(_, value)| Cow::from(value.as_str())).collect())
            }
            Field::CreatedAt => Known::Number(Some(head.created_at.0)),
            Field::StartedAt => Known::Number(head.started_at.map(|at| at.0)),
            Field::EndedAt => Known::Number(head.ended_at.map(|at| at.0)),
            Field::Duration => {
                let until = head.ended_at.unwrap_or(self.now);
                Known::Number(head.started_at.map(|from| until.0 - from.0))
            }
            Field::Waiting => {
                let waits = head.waits.0.iter();
                Known::Texts(waits.map(|wait| Cow::from(wait.to_string())).collect())
            }
            Field::Attempt => Known::Number(Some(head.attempt.into())),
        })
    }
}
