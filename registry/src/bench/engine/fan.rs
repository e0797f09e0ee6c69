//! A step, a hundred after it side by side, and one that gathers what they left.

use std::time::Instant;

use ::engine::plan::Plan;
use ::engine::step::{Context, Declared, Needs, Step, StepError};
use ::engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

use super::{Bench, close, node, run, since};
use crate::bench::BenchError;
use crate::bench::chain::Nothing;
use crate::bench::report::median;

const RUNS: usize = 5;
const FANS: usize = 40;

macro_rules! hundred {
    ($each:ident) => {
        $each! { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 }
    };
}

macro_rules! names {
    ($($n:literal)*) => { [$(concat!("leaf_", $n)),*] };
}

const NAMES: [&str; 100] = hundred!(names);

/// A hundred steps side by side.
#[derive(Serialize, Deserialize)]
pub(super) struct Fan;

macro_rules! leaves {
    ($($n:literal)*) => { Steps::first(Root)$(.step(Leaf::<$n>, after::<Root>()))* };
}

impl Workflow for Fan {
    const NAME: &'static str = "fan";
    const VERSION: u32 = 1;
    type Services = Nothing;

    fn steps() -> Steps<Self> {
        hundred!(leaves).step(Gather, after::<Leaves>())
    }

    fn action(&self) -> String {
        "Fan".into()
    }
}

struct Root;

impl Declared for Root {
    const NAME: &'static str = "root";
    type Workflow = Fan;
    type Needs = ();
    type Output = usize;
}

impl Step for Root {
    async fn run(&self, _: &Context<Fan>, _: &Fan, (): ()) -> Result<usize, StepError> {
        Ok(NAMES.len())
    }
}

struct Leaf<const N: usize>;

impl<const N: usize> Declared for Leaf<N> {
    const NAME: &'static str = NAMES[N];
    type Workflow = Fan;
    type Needs = Root;
    type Output = usize;
}

impl<const N: usize> Step for Leaf<N> {
    async fn run(&self, _: &Context<Fan>, _: &Fan, _: usize) -> Result<usize, StepError> {
        Ok(N)
    }
}

/// All of them: more than a tuple holds.
struct Leaves;

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

struct Gather;

impl Declared for Gather {
    const NAME: &'static str = "gather";
    type Workflow = Fan;
    type Needs = Leaves;
    type Output = usize;
}

impl Step for Gather {
    async fn run(&self, _: &Context<Fan>, _: &Fan, left: Vec<usize>) -> Result<usize, StepError> {
        Ok(left.iter().sum())
    }
}

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let database = bench.database().await?;
    let node = node(&database).await?;
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let mut times = Vec::with_capacity(FANS);
        for _ in 0..FANS {
            let start = Instant::now();
            run(&node, &Fan).await?;
            times.push(since(start));
        }
        runs.push(median(&times));
    }
    let what = "p50 of a step, a hundred side by side, and one that gathers them, when nothing else is under way";
    let about = bench.noted(what)?;
    bench.report.median("fan_out_of_100", runs, "ms", about);
    bench.report.must("<= 15");
    close(node, database).await;
    Ok(())
}
