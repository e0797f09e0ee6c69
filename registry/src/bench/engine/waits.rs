//! Timers, and messages that wake a plan: by a hint within the node, and by its poll where no hint came.

use std::time::{Duration, Instant};

use ::engine::journal::{Action, Entry, Json, Message, PlanId};
use ::engine::lock::Lock;
use ::engine::node::NodeError;
use ::engine::step::{Begun, Context, Declared, Polled, PollingStep, Received, StepError};
use ::engine::store::{Store as _, StoreError};
use ::engine::workflow::{Steps, Workflow};
use serde::{Deserialize, Serialize};
use storage::Database;
use storage::journal::Journal;

use super::{Bench, BenchNode, close, ended_well, node, since};
use crate::bench::BenchError;
use crate::bench::chain::Nothing;
use crate::bench::report::{median, percentile};

const TIMERS: u64 = 200;
const HINTS: usize = 200;
const POLLS: u64 = 100;

/// Goes on after a time.
#[derive(Serialize, Deserialize)]
pub(super) struct Sleeps {
    milliseconds: u64,
}

impl Workflow for Sleeps {
    const NAME: &'static str = "sleeps";
    const VERSION: u32 = 1;
    type Services = Nothing;

    fn steps() -> Steps<Self> {
        Steps::first(Sleep)
    }

    fn action(&self) -> String {
        "Sleep".into()
    }
}

struct Sleep;

impl Declared for Sleep {
    const NAME: &'static str = "sleep";
    type Workflow = Sleeps;
    type Needs = ();
    type Output = ();
}

impl PollingStep for Sleep {
    type Ticket = ();

    async fn start(
        &self,
        _: &Context<Sleeps>,
        sleeps: &Sleeps,
        (): (),
    ) -> Result<Begun<(), ()>, StepError> {
        Ok(Begun::Sleep(Duration::from_millis(sleeps.milliseconds)))
    }

    async fn poll(
        &self,
        _: &Context<Sleeps>,
        _: &Sleeps,
        (): &(),
    ) -> Result<Polled<()>, StepError> {
        Ok(Polled::Done(()))
    }

    async fn received(
        &self,
        _: &Context<Sleeps>,
        _: &Sleeps,
        _: Received,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

/// Goes on when it is told to; may want a lock.
#[derive(Serialize, Deserialize)]
pub(super) struct Listens {
    /// A lock that others want, too.
    pub(super) lock: Option<String>,
}

impl Workflow for Listens {
    const NAME: &'static str = "listens";
    const VERSION: u32 = 1;
    type Services = Nothing;

    fn steps() -> Steps<Self> {
        Steps::first(Listen)
    }

    fn action(&self) -> String {
        "Listen".into()
    }

    fn locks(&self) -> Vec<Lock> {
        self.lock.iter().map(Lock::exclusive).collect()
    }
}

struct Listen;

impl Declared for Listen {
    const NAME: &'static str = "listen";
    type Workflow = Listens;
    type Needs = ();
    type Output = ();
}

/// What it listens for.
const GO: &str = "go";

impl PollingStep for Listen {
    type Ticket = ();

    async fn start(
        &self,
        _: &Context<Listens>,
        _: &Listens,
        (): (),
    ) -> Result<Begun<(), ()>, StepError> {
        Ok(Begun::Event {
            name: GO.to_owned(),
            within: None,
        })
    }

    async fn poll(
        &self,
        _: &Context<Listens>,
        _: &Listens,
        (): &(),
    ) -> Result<Polled<()>, StepError> {
        Ok(Polled::Done(()))
    }

    async fn received(
        &self,
        _: &Context<Listens>,
        _: &Listens,
        _: Received,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let database = bench.database().await?;
    let node = node(&database).await?;
    let late = lateness(&node).await?;
    let about = bench.noted(&format!(
        "p99 of {TIMERS} timers of 50 to 250 ms, all at once: from when it was to go on until that was recorded; p50 {:.0} ms",
        median(&late)
    ))?;
    let report = &mut *bench.report;
    report.one("timer_lateness", percentile(&late, 99), "ms", about);
    report.must("<= 50");

    let hinted = by_hint(&node).await?;
    let what = format!(
        "p99 of {HINTS} messages: from the call until the plan they wake has ended; p50 {:.2} ms",
        median(&hinted)
    );
    let about = bench.noted(&what)?;
    let report = &mut *bench.report;
    report.one("pick_up_by_hint", percentile(&hinted, 99), "ms", about);
    report.must("<= 50");

    let polled = by_poll(&node, &database).await?;
    let what = format!(
        "p99 of {POLLS} messages that only lie in the mailbox, as those of another node do; p50 {:.0} ms",
        median(&polled)
    );
    let about = bench.noted(&what)?;
    let report = &mut *bench.report;
    report.one("pick_up_by_poll", percentile(&polled, 99), "ms", about);
    report.must("<= 1200");
    close(node, database).await;
    Ok(())
}

/// How late each timer was, by the times in the journal.
async fn lateness(node: &BenchNode) -> Result<Vec<f64>, BenchError> {
    let mut plans = Vec::new();
    for n in 0..TIMERS {
        let milliseconds = 50 + n * 37 % 200;
        plans.push(node.submit(&Sleeps { milliseconds }, None).await?);
    }
    let mut late = Vec::with_capacity(plans.len());
    for plan in plans {
        ended_well(node, plan).await?;
        let rows = node.store().load(plan).await.map_err(NodeError::from)?;
        let mut until = None;
        for row in &rows {
            for entry in &row.entries {
                if let Entry::Awaiting {
                    until: Some(at), ..
                } = entry
                {
                    until = Some(*at);
                }
                if let (Entry::StepSucceeded { .. }, Some(until)) = (entry, until) {
                    late.push(row.at.since(until).as_secs_f64() * 1000.0);
                }
            }
        }
    }
    Ok(late)
}

/// A plan that waits for its event.
async fn listening(node: &BenchNode) -> Result<PlanId, BenchError> {
    let plan = node.submit(&Listens { lock: None }, None).await?;
    loop {
        // Its first row says that it was submitted, the second one that it waits.
        let now = node.beyond(plan, 1, super::PATIENCE).await?;
        let waits = now
            .steps
            .iter()
            .any(|step| step.state == ::engine::state::StepState::Suspended);
        if waits {
            return Ok(plan);
        }
        tokio::task::yield_now().await;
    }
}

fn go() -> Result<Message, BenchError> {
    let payload = Json::of(&()).map_err(|error| BenchError::Plan(error.to_string()))?;
    Ok(Message {
        action: Action::Event {
            name: GO.to_owned(),
            payload,
        },
        by: "bench".to_owned(),
        reason: None,
    })
}

async fn by_hint(node: &BenchNode) -> Result<Vec<f64>, BenchError> {
    let mut times = Vec::with_capacity(HINTS);
    for _ in 0..HINTS {
        let plan = listening(node).await?;
        let start = Instant::now();
        node.act(plan, go()?).await?;
        ended_well(node, plan).await?;
        times.push(since(start));
    }
    Ok(times)
}

/// Messages at other places of the second between two polls.
async fn by_poll(node: &BenchNode, database: &Database) -> Result<Vec<f64>, BenchError> {
    let mut plans = Vec::new();
    for n in 0..POLLS {
        plans.push((
            listening(node).await?,
            Duration::from_millis(n * 1000 / POLLS),
        ));
    }
    let one = async |(plan, wait): (PlanId, Duration)| -> Result<f64, BenchError> {
        tokio::time::sleep(wait).await;
        let (message, at) = (go()?, node.clock().now());
        let start = Instant::now();
        let delivered = database.transact::<i64, StoreError>(move |tx| {
            Box::pin(Journal::deliver_in(tx, plan, message, at))
        });
        delivered.await?.map_err(NodeError::from)?;
        ended_well(node, plan).await?;
        Ok(since(start))
    };
    futures_util::future::try_join_all(plans.into_iter().map(one)).await
}
