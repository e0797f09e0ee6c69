//! A workflow without locks and without an open key: each of its plans is one of its own.

use super::push::Outside;
use engine::node::Workflows;
use engine::step::{Context, Declared, Step, StepError};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tick {
    pub note: String,
}

impl Workflow for Tick {
    const NAME: &'static str = "tick";
    const VERSION: u32 = 1;
    type Services = Outside;

    fn steps() -> Steps<Self> {
        Steps::first(First)
            .step(Second, after::<First>())
            .step(Third, after::<Second>())
    }

    fn action(&self) -> String {
        format!("Tick: {}", self.note)
    }
}

macro_rules! does_nothing {
    ($step:ident, $name:literal) => {
        pub(super) struct $step;

        impl Declared for $step {
            const NAME: &'static str = $name;
            type Workflow = Tick;
            type Needs = ();
            type Output = ();
        }

        impl Step for $step {
            async fn run(&self, _: &Context<Tick>, _: &Tick, (): ()) -> Result<(), StepError> {
                Ok(())
            }
        }
    };
}

does_nothing!(First, "first");
does_nothing!(Second, "second");
does_nothing!(Third, "third");

/// This workflow, and pushes.
pub(super) fn workflows() -> Workflows<Outside> {
    super::push::workflows().register::<Tick>().unwrap()
}
