//! `GET /tasks/groups`: tasks that were stopped by the same thing, as one.

mod cause;
pub(in crate::api) mod list;
pub(in crate::api) mod resume;

use std::collections::BTreeMap;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::node::NodeError;
use engine::plan::Plan;
use engine::search::Search;
use engine::store::{Page, Store as _, Visible};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

use super::bulk::READ_AT_ONCE;
use crate::api::problem::Problem;
use crate::app::App;
use cause::Cause;

/// No more journals than this are read for one answer.
const MOST_READ: u32 = 10_000;

/// Which tasks are grouped.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    strum::EnumIter,
    strum::IntoStaticStr,
    JsonSchema,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schemars(rename = "GroupedState")]
pub(in crate::api) enum Grouped {
    /// Those that wait for a person.
    #[default]
    Paused,
    /// Those that have ended with an error.
    Stopped,
}

impl Grouped {
    fn search(self) -> &'static str {
        match self {
            Self::Paused => "state = paused",
            Self::Stopped => "state = stopped and result = error",
        }
    }

    /// When a task got there.
    fn since(self, plan: &Plan) -> Timestamp {
        let since = match self {
            Self::Paused => plan.times.paused,
            Self::Stopped => plan.times.ended,
        };
        since.unwrap_or(plan.times.created)
    }
}

/// Tasks with one cause.
struct Group {
    state: Grouped,
    cause: Cause,
    /// The newest first.
    plans: Vec<PlanId>,
    /// Since when the one is there that got there first, and last.
    first: Timestamp,
    last: Timestamp,
    /// What the newest says.
    message: String,
}

/// All groups of tasks in this state.
struct Groups {
    all: Vec<Group>,
    /// How many tasks were read.
    read: u64,
    /// How many there are.
    of: u64,
}

impl Groups {
    /// Reads the newest tasks in this state, as many as are read at most.
    async fn read(app: &App, state: Grouped, visible: Visible) -> Result<Self, Problem> {
        let page = Page {
            limit: MOST_READ,
            visible,
            ..Page::default()
        };
        let search = Search::parse(state.search(), app.node.settled_at())?;
        let store = app.node.store();
        let listing = store.list(search, page).await.map_err(NodeError::from)?;
        let mut groups = BTreeMap::new();
        for some in listing.plans.chunks(READ_AT_ONCE) {
            let journals = store.load_all(some.to_vec()).await;
            for (id, rows) in journals.map_err(NodeError::from)? {
                put(&mut groups, state, &Plan::fold(id, &rows));
            }
        }
        let mut all: Vec<Group> = groups.into_values().collect();
        all.sort_by_key(|group| std::cmp::Reverse((group.plans.len(), group.last)));
        Ok(Self {
            all,
            read: listing.plans.len() as u64,
            of: listing.total,
        })
    }
}

fn put(groups: &mut BTreeMap<String, Group>, state: Grouped, plan: &Plan) {
    let (cause, message) = Cause::of(plan);
    let at = state.since(plan);
    let group = groups
        .entry(cause.key(state.into()))
        .or_insert_with(|| Group {
            state,
            cause,
            plans: Vec::new(),
            first: at,
            last: at,
            message,
        });
    group.plans.push(plan.id);
    group.first = group.first.min(at);
    group.last = group.last.max(at);
}

/// The group with this key, whichever state its tasks are in, among these.
async fn find(app: &App, key: &str, among: &Visible) -> Result<Option<Group>, Problem> {
    for state in Grouped::iter() {
        let groups = Groups::read(app, state, among.clone()).await?.all;
        let found = groups
            .into_iter()
            .find(|group| group.cause.key(group.state.into()) == key);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
