//! A step, a hundred after it side by side, and one that gathers what they left.

use super::yard::{Sample, Yard, step};
use engine::plan::Plan;
use engine::step::{Context, Declared, Needs, Policy, Step, StepError};
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct Wide;

step!(plain Root "root" of Wide, needs (), Policy::idempotent().undoable());
step!(transactional Gather "gather" of Wide, needs Leaves, Policy::idempotent().undoable());

macro_rules! hundred {
    ($each:ident) => {
        $each! { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 }
    };
}

macro_rules! names {
    ($($n:literal)*) => { [$(concat!("leaf_", $n)),*] };
}

const NAMES: [&str; 100] = hundred!(names);

struct Leaf<const N: usize>;

impl<const N: usize> Declared for Leaf<N> {
    const NAME: &'static str = NAMES[N];
    const POLICY: Policy = Policy::idempotent().undoable();
    type Workflow = Wide;
    type Needs = Root;
    type Output = usize;
}

impl<const N: usize> Step for Leaf<N> {
    async fn run(&self, cx: &Context<Wide>, _: &Wide, _: u32) -> Result<usize, StepError> {
        cx.services.put(NAMES[N]);
        Ok(N)
    }

    async fn compensate(&self, cx: &Context<Wide>, _: &Wide, n: usize) -> Result<(), StepError> {
        cx.services.take(NAMES[n]);
        Ok(())
    }
}

/// All of them: more than a tuple holds.
pub(super) struct Leaves;

impl Needs for Leaves {
    type Outputs = Vec<usize>;

    fn names() -> Vec<&'static str> {
        NAMES.to_vec()
    }

    fn outputs(plan: &Plan) -> Result<Vec<usize>, StepError> {
        let output = |name: &&str| plan.output_of(name).and_then(|it| it.decode().ok());
        let outputs: Option<Vec<usize>> = NAMES.iter().map(output).collect();
        outputs.ok_or_else(|| StepError::permanent("a leaf left no number"))
    }
}

macro_rules! leaves {
    ($($n:literal)*) => { Steps::first(Root)$(.step(Leaf::<$n>, after::<Root>()))* };
}

impl Workflow for Wide {
    const NAME: &'static str = "wide";
    const VERSION: u32 = 1;
    type Services = Yard;

    fn steps() -> Steps<Self> {
        hundred!(leaves).step(Gather, after::<Leaves>())
    }

    fn action(&self) -> String {
        "Wide".into()
    }
}

impl Sample for Wide {
    /// Enough of a hundred that are alike.
    const TRIED: usize = 3;

    fn sample() -> Self {
        Self
    }
}
