//! How long plans are kept after their end, and what goes together.
//!
//! A plan and its sub-tasks are one family: they are forgotten together, when the time of the last of them is over. So no
//! parent is ever resumed that misses a sub-task, and no sub-task is shown without its parent.

use crate::clock::Timestamp;
use crate::journal::{PlanId, PlanResult};
use crate::state::PlanState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// A node that stood still for less has lost its lease and not yet noticed; its late writes must find the journal that fences them.
const SHORTEST: Duration = HOUR;
/// Ten years.
const LONGEST: Duration = Duration::from_hours(24 * 3650);

/// How long something is kept: written `30d`, `12h`, or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Keep {
    /// So long after its end.
    For(Duration),
    /// Always.
    Forever,
}

/// Why a text is no such time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time from 1h to 3650d, as `30d` or `12h`, and not `forever`")]
pub struct NotKept(String);

impl FromStr for Keep {
    type Err = NotKept;

    fn from_str(text: &str) -> Result<Self, NotKept> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let wrong = || NotKept(text.to_owned());
        let (number, unit) = if let Some(days) = text.strip_suffix('d') {
            (days, DAY)
        } else {
            (text.strip_suffix('h').ok_or_else(wrong)?, HOUR)
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let time = unit.checked_mul(number).ok_or_else(wrong)?;
        if (SHORTEST..=LONGEST).contains(&time) {
            Ok(Self::For(time))
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for Keep {
    type Error = NotKept;

    fn try_from(text: String) -> Result<Self, NotKept> {
        text.parse()
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::For(time) if time.as_secs() % DAY.as_secs() == 0 => {
                write!(f, "{}d", time.as_secs() / DAY.as_secs())
            }
            Self::For(time) => write!(f, "{}h", time.as_secs() / HOUR.as_secs()),
        }
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        keep.to_string()
    }
}

/// How a plan ended, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything was done.
    Success,
    /// Everything was done, and somebody should know something.
    Warning,
    /// A step failed for good.
    Error,
    /// Somebody ended it.
    Cancelled,
    /// What it did was undone.
    Reverted,
    /// However it ended for which nothing is said.
    Other,
}

type Times = BTreeMap<Ending, Keep>;

/// How long plans are kept after their end, by how they ended and by workflow. For what nothing is said is kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Of every workflow of which nothing is said below.
    #[serde(flatten)]
    all: Times,
    /// By the workflow's name; what is said there stands for all that is said above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    workflows: BTreeMap<String, Times>,
}

impl Default for Retention {
    /// What went well for a month, all else for three.
    fn default() -> Self {
        let all = [
            (Ending::Success, Keep::For(30 * DAY)),
            (Ending::Other, Keep::For(90 * DAY)),
        ];
        Self {
            all: BTreeMap::from(all),
            workflows: BTreeMap::new(),
        }
    }
}

impl Retention {
    /// How long a plan is kept that ended so.
    #[must_use]
    pub fn keeps(&self, workflow: &str, result: PlanResult) -> Keep {
        let ending = match result {
            PlanResult::Success => Ending::Success,
            PlanResult::Warning => Ending::Warning,
            PlanResult::Error => Ending::Error,
            PlanResult::Cancelled => Ending::Cancelled,
            PlanResult::Reverted => Ending::Reverted,
            PlanResult::Pending => return Keep::Forever,
        };
        let times = self.workflows.get(workflow).unwrap_or(&self.all);
        let said = times.get(&ending).or_else(|| times.get(&Ending::Other));
        said.copied().unwrap_or(Keep::Forever)
    }

    /// The workflows of which something is said by themselves.
    pub fn workflows(&self) -> impl Iterator<Item = &str> {
        self.workflows.keys().map(String::as_str)
    }

    /// The shortest of its times: what ended later than that ago is kept, whatever it is. None: all is kept.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        let of_workflows = self.workflows.values().flat_map(BTreeMap::values);
        let all = self.all.values().chain(of_workflows);
        all.filter_map(|keep| match keep {
            Keep::For(time) => Some(*time),
            Keep::Forever => None,
        })
        .min()
    }
}

/// A plan as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub plan: PlanId,
    /// Its workflow.
    pub workflow: String,
    /// Where it is.
    pub state: PlanState,
    /// How it ended.
    pub result: PlanResult,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// So long after its success it can be reverted.
    pub revertible_for: Option<Duration>,
    /// A message to it was not read yet, or its journal does not begin readably: it stays as it is.
    pub is_bound: bool,
}

impl Member {
    /// Nobody owns it, nothing of it is to come. When it may be forgotten is another question.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == PlanState::Stopped && self.ended_at.is_some() && !self.is_bound
    }

    /// From when on it may be forgotten; none: not as it is.
    fn may_go_at(&self, rules: &Retention) -> Option<Timestamp> {
        let Keep::For(kept) = rules.keeps(&self.workflow, self.result) else {
            return None;
        };
        let ended = self.ended_at.filter(|_| self.is_over())?;
        let reverts = matches!(self.result, PlanResult::Success | PlanResult::Warning);
        let revertible = self.revertible_for.filter(|_| reverts).unwrap_or_default();
        Some(ended + kept.max(revertible))
    }
}

/// A plan with all its sub-tasks, and theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Each parent stands before its sub-tasks.
    pub members: Vec<Member>,
}

impl Family {
    /// By these rules the time of each of them is over.
    #[must_use]
    pub fn may_go(&self, rules: &Retention, now: Timestamp) -> bool {
        let may_go = |it: &Member| it.may_go_at(rules).is_some_and(|at| at <= now);
        !self.members.is_empty() && self.members.iter().all(may_go)
    }

    /// Something of it is not over: then nothing of it is forgotten, whoever asks for it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.members.iter().all(Member::is_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn rules(text: &str) -> Retention {
        serde_json::from_str(text).unwrap()
    }

    fn ended(workflow: &str, result: PlanResult, days_ago: u32) -> Member {
        Member {
            plan: PlanId(uuid::Uuid::nil()),
            workflow: workflow.into(),
            state: PlanState::Stopped,
            result,
            ended_at: Some(NOW - DAY * days_ago),
            revertible_for: None,
            is_bound: false,
        }
    }

    fn goes(rules: &Retention, members: &[Member]) -> bool {
        let members = members.to_vec();
        Family { members }.may_go(rules, NOW)
    }

    #[test]
    fn by_default_what_went_well_is_kept_a_month_and_all_else_three() {
        let usual = Retention::default();

        assert!(goes(&usual, &[ended("push", PlanResult::Success, 30)]));
        assert!(!goes(&usual, &[ended("push", PlanResult::Success, 29)]));
        for other in [
            PlanResult::Warning,
            PlanResult::Error,
            PlanResult::Cancelled,
            PlanResult::Reverted,
        ] {
            assert!(!goes(&usual, &[ended("push", other, 89)]), "{other}");
            assert!(goes(&usual, &[ended("push", other, 90)]), "{other}");
        }
        assert_eq!(usual.shortest(), Some(30 * DAY));
    }

    #[test]
    fn what_is_said_of_a_workflow_stands_for_all_that_is_said_of_others() {
        let rules = rules(
            r#"{"success": "30d", "error": "forever", "other": "90d", "workflows": {"cleanup": {"success": "12h"}}}"#,
        );

        assert!(goes(&rules, &[ended("cleanup", PlanResult::Success, 1)]));
        assert!(!goes(
            &rules,
            &[ended("cleanup", PlanResult::Cancelled, 9999)]
        ));
        assert!(!goes(&rules, &[ended("push", PlanResult::Error, 9999)]));
        assert!(goes(&rules, &[ended("push", PlanResult::Cancelled, 90)]));
        assert_eq!(rules.shortest(), Some(12 * HOUR));
    }

    #[test]
    fn a_family_goes_when_the_time_of_the_last_of_it_is_over() {
        let (usual, old) = (
            Retention::default(),
            ended("push", PlanResult::Success, 300),
        );

        assert!(goes(&usual, &[old.clone(), old.clone()]));
        assert!(!goes(
            &usual,
            &[old.clone(), ended("push", PlanResult::Error, 40)]
        ));
        assert!(!goes(&usual, &[]));
    }

    #[test]
    fn what_can_be_reverted_is_open_or_has_mail_stays() {
        let (usual, old) = (
            Retention::default(),
            ended("push", PlanResult::Success, 300),
        );
        let changed = |change: fn(&mut Member)| {
            let mut member = old.clone();
            change(&mut member);
            [member]
        };

        assert!(goes(&usual, std::slice::from_ref(&old)));
        let year: fn(&mut Member) = |it| it.revertible_for = Some(365 * DAY);
        assert!(!goes(&usual, &changed(year)));
        assert!(!goes(&usual, &changed(|it| it.is_bound = true)));
        for state in [PlanState::Paused, PlanState::Running, PlanState::Pending] {
            let mut open = old.clone();
            open.state = state;
            assert!(!goes(&usual, &[open]), "{state}");
        }
    }

    #[test]
    fn times_are_hours_days_or_for_ever_and_read_back_as_they_were_written() {
        for text in ["1h", "12h", "30d", "3650d", "forever"] {
            assert_eq!(text.parse::<Keep>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "0d",
            "0h",
            "30",
            "1m",
            "d",
            "3651d",
            "99999999999d",
            "-1d",
        ] {
            assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
        }
        let text = r#"{"success":"30d","other":"90d"}"#;
        assert_eq!(serde_json::to_string(&Retention::default()).unwrap(), text);
        assert_eq!(rules(text), Retention::default());
        let unknown = serde_json::from_str::<Retention>(r#"{"succes": "30d"}"#);
        let unknown = unknown.unwrap_err().to_string();
        assert!(unknown.contains("unknown variant `succes`"), "{unknown}");
    }
}
