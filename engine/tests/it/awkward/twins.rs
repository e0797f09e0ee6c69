//! Workflows that break a promise, and the law that catches each.

use super::yard::{Fresh, Sample, Yard, step};
use engine::prove::laws;
use engine::step::{Context, Declared, Policy, Step, StepError};
use engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};

macro_rules! one_step {
    ($workflow:ident $step:ident) => {
        #[derive(Serialize, Deserialize)]
        pub(in crate::it::awkward) struct $workflow;

        impl Workflow for $workflow {
            const NAME: &'static str = "twin";
            const VERSION: u32 = 1;
            type Services = Yard;

            fn steps() -> Steps<Self> {
                Steps::first($step)
            }

            fn action(&self) -> String {
                "Twin".into()
            }
        }

        impl Sample for $workflow {
            fn sample() -> Self {
                Self
            }
        }
    };
}

// It leaves something behind, and its compensation is the default one, which does nothing.
one_step!(Lazy Leaves);
step!(declared Leaves "leaves" of Lazy, needs (), Policy::idempotent().undoable());

impl Step for Leaves {
    async fn run(&self, cx: &Context<Lazy>, _: &Lazy, (): ()) -> Result<u32, StepError> {
        cx.services.put(Self::NAME);
        Ok(1)
    }
}

// It says that it can be undone and leaves nothing behind.
one_step!(Idle Nothing);
step!(declared Nothing "nothing" of Idle, needs (), Policy::idempotent().undoable());

impl Step for Nothing {
    async fn run(&self, _: &Context<Idle>, _: &Idle, (): ()) -> Result<u32, StepError> {
        Ok(1)
    }
}

// A second time is seen, and nothing says that it must not happen.
one_step!(Twice Adds);
step!(once Adds "adds" of Twice, needs (), Policy::idempotent().undoable());

#[tokio::test(start_paused = true)]
#[should_panic(expected = "while step leaves ran, and then reverted")]
async fn a_compensation_that_does_nothing_is_caught() {
    laws::revert_at_each_step::<Fresh<Lazy>>().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "step nothing is undoable, and nothing is left when it is not undone")]
async fn a_step_that_has_nothing_to_undo_is_caught() {
    laws::every_undoable_step_undoes_something::<Fresh<Idle>>().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "with step adds run twice")]
async fn a_step_that_must_not_run_twice_and_does_not_say_so_is_caught() {
    laws::run_each_step_twice::<Fresh<Twice>>().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "after step adds failed after its work and was mended")]
async fn a_step_that_does_its_work_again_after_it_failed_is_caught() {
    laws::fail_after_each_step::<Fresh<Twice>>().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "after step adds was timed out and mended")]
async fn a_step_that_does_its_work_again_after_it_was_timed_out_is_caught() {
    laws::time_out_at_each_step::<Fresh<Twice>>().await;
}
