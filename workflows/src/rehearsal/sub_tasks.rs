//! Sub-tasks of a rehearsal.

use super::{MOST_PARTS, Part, Play, Rehearsal, fault};
use engine::journal::PlanId;
use engine::step::{Child, Context, Declared, SpawningStep, StepError, all_done};
use serde::{Deserialize, Serialize};

/// The sub-tasks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parts {
    /// Their tasks.
    pub parts: Vec<PlanId>,
}

/// Has as many sub-tasks as the input says, a few of them at once, and waits for the end of each. They are tasks of their own: what
/// they leave stays when their parent is reverted, until each of them is.
pub struct SubTasks;

impl Declared for SubTasks {
    const NAME: &'static str = "sub_tasks";
    type Workflow = Rehearsal;
    type Needs = ();
    type Output = Parts;
}

impl SpawningStep for SubTasks {
    type Child = Part;
    const AT_ONCE: u32 = 4;

    async fn children(
        &self,
        cx: &Context<Rehearsal>,
        input: &Rehearsal,
        (): (),
    ) -> Result<Vec<(String, Part)>, StepError> {
        fault::run::<Self>(input, cx)?;
        if input.parts > MOST_PARTS {
            let text = format!("`parts` is {}; at most {MOST_PARTS} can be", input.parts);
            return Err(StepError::permanent(text));
        }
        let of_part = |number: u32| {
            let faults = input.faults.iter().filter(|it| it.step == Play::NAME);
            let faults = faults.filter(|_| number == 1).cloned().collect();
            let part = Part {
                number,
                work_ms: input.work_ms,
                faults,
            };
            (number.to_string(), part)
        };
        Ok((1..=input.parts).map(of_part).collect())
    }

    async fn gather(
        &self,
        _: &Context<Rehearsal>,
        _: &Rehearsal,
        children: &[Child],
    ) -> Result<Parts, StepError> {
        all_done(children)?;
        Ok(Parts {
            parts: children.iter().filter_map(|child| child.plan).collect(),
        })
    }
}
