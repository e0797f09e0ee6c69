//! A workflow of eight steps, one after the other, that do nothing: what is left is the engine.

use ::engine::step::{Context, Declared, Services, Step, StepError};
use ::engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use storage::Tx;

/// Nothing.
pub(super) struct Nothing;

impl Services for Nothing {
    type Tx = Tx;
}

/// Eight steps.
#[derive(Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) number: u64,
}

impl Workflow for Chain {
    const NAME: &'static str = "chain";
    const VERSION: u32 = 1;
    type Services = Nothing;

    fn steps() -> Steps<Self> {
        Steps::first(One)
            .step(Two, after::<One>())
            .step(Three, after::<Two>())
            .step(Four, after::<Three>())
            .step(Five, after::<Four>())
            .step(Six, after::<Five>())
            .step(Seven, after::<Six>())
            .step(Eight, after::<Seven>())
    }

    fn action(&self) -> String {
        format!("Chain {}", self.number)
    }
}

/// How many steps a chain has.
pub(super) const STEPS: u32 = 8;

macro_rules! steps { ($($step:ident $name:literal)*) => { $(
    struct $step;

    impl Declared for $step {
        const NAME: &'static str = $name;
        type Workflow = Chain;
        type Needs = ();
        type Output = u64;
    }

    impl Step for $step {
        async fn run(&self, _: &Context<Chain>, chain: &Chain, (): ()) -> Result<u64, StepError> {
            Ok(chain.number)
        }
    }
)* } }

steps! {
    One "one" Two "two" Three "three" Four "four" Five "five" Six "six" Seven "seven" Eight "eight"
}
