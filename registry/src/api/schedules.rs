//! `/schedules`: workflows that run again and again, at times told by a cron line in a time zone.

mod check;
pub(super) mod next_runs;
pub(super) mod run_now;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::schedule::{Missed, Put, Schedule, ScheduleId};
use engine::step::StepError;
use engine::store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, Action, NewEntry};
use workflows::owner;

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::{self, Name, Reason, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::{Kind, Problem};
use super::time::Time;
use crate::app::App;
use check::{Checked, Given};

/// A schedule as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Schedule")]
pub(super) struct Shown {
    /// Its number.
    id: ScheduleId,
    name: String,
    /// The workflow that it runs.
    workflow: String,
    /// The input of each run.
    input: Value,
    /// When it runs: five fields as crontab(5) has them, or a word as `@daily`.
    cron: String,
    /// Where that is meant: a name of the IANA database.
    time_zone: String,
    /// What becomes of runs whose time came while the server was off.
    missed: Missed,
    /// After this it does not run; null: no end.
    end_at: Option<Time>,
    /// After so many runs it has ended; null: no end.
    max_runs: Option<u32>,
    /// False: it does not run.
    enabled: bool,
    /// The registry brings it along: it can be changed, but not deleted.
    built_in: bool,
    /// The login of who saved it last, whose its tasks are; null: nobody has.
    saved_by: Option<String>,
    created_at: Time,
    /// When it runs next; null: not any more.
    next_run_at: Option<Time>,
    /// How often it has run at its time.
    runs: u32,
    /// The time for which it ran last; null: it has not.
    last_run_at: Option<Time>,
    /// The task of that.
    last_task_id: Option<PlanId>,
    /// Why its times are passed over: whoever saved it may not make schedules any more; null: they are not.
    passed_over_because: Option<String>,
}

impl Located for Shown {
    const PATH: &'static str = "/schedules/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("name");
}

impl From<Schedule> for Shown {
    fn from(schedule: Schedule) -> Self {
        Self {
            next_run_at: schedule.next_at().map(Into::into),
            id: schedule.id,
            name: schedule.name,
            workflow: schedule.workflow,
            input: schedule.input.decode().unwrap_or_default(),
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            missed: schedule.missed,
            end_at: schedule.end_at.map(Into::into),
            max_runs: schedule.max_runs,
            enabled: schedule.enabled,
            built_in: schedule.built_in,
            saved_by: schedule.actor,
            created_at: schedule.created_at.into(),
            runs: schedule.runs,
            last_run_at: schedule.last_nominal.map(Into::into),
            last_task_id: schedule.last_plan,
            passed_over_because: None,
        }
    }
}

/// With what stands against its runs now.
async fn shown_now(app: &App, schedule: Schedule) -> Result<Shown, Problem> {
    let missing = {
        let mut tx = app.services.database.look_up().await?;
        owner::missing_right(&mut tx, &schedule).await
    };
    let passed_over_because =
        missing.map_err(|StepError(why)| Problem::from(StoreError::Unavailable(why.message)))?;
    Ok(Shown {
        passed_over_because,
        ..schedule.into()
    })
}

/// `GET /schedules`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let all = app.node.store().schedules().await?;
    let mut shown = Vec::with_capacity(all.len());
    for schedule in all {
        shown.push(shown_now(&app, schedule).await?);
    }
    Page::cut(shown, &wanted, |shown| shown.name.clone())
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSchedule", example = json!({
    "name": "nightly", "workflow": "cleanup", "input": {}, "cron": "30 2 * * *", "time_zone": "Europe/Berlin",
}))]
pub(super) struct New {
    /// What people call it; no other has this name.
    name: Name,
    /// The workflow that it runs.
    workflow: String,
    /// The input of each run; `{}` unless given.
    input: Option<Value>,
    /// Five fields as crontab(5) has them, or a word as `@daily`.
    cron: String,
    /// A name of the IANA database; `UTC` unless given.
    time_zone: Option<String>,
    /// What becomes of runs whose time came while the server was off; `once` unless given.
    missed: Option<Missed>,
    /// A time to come, by RFC 3339, after which it does not run; no end unless given.
    end_at: Option<String>,
    /// After so many runs it has ended; no end unless given.
    max_runs: Option<u32>,
    /// Whether it runs; true unless given.
    enabled: Option<bool>,
}

/// `POST /schedules`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let now = app.services.clock.now();
    let Checked { input, end_at } = check::check(
        &app.node,
        Given {
            workflow: Some(&new.workflow),
            input: Some(&new.input.unwrap_or_else(|| json!({}))),
            cron: Some(&new.cron),
            time_zone: new.time_zone.as_deref(),
            end_at: new.end_at.as_deref(),
            max_runs: new.max_runs,
        },
        now,
    )?;
    let name = String::from(new.name);
    let mut entry = caller.does(Action::Create, format!("schedule {name}"));
    entry.reason = Some(format!("{} at {}", new.workflow, new.cron));
    let schedule = Schedule {
        id: ScheduleId::default(),
        name,
        workflow: new.workflow,
        input,
        cron: new.cron,
        time_zone: new.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        missed: new.missed.unwrap_or_default(),
        end_at,
        max_runs: new.max_runs,
        enabled: new.enabled.unwrap_or(true),
        built_in: false,
        actor: Some(caller.user.login),
        created_at: now,
        handled_until: now,
        runs: 0,
        last_nominal: None,
        last_plan: None,
        revision: 0,
    };
    match put(&app, schedule, entry, now).await? {
        Put::Kept(kept) => Ok(Created((*kept).into())),
        Put::NameTaken | Put::Stale => Err(name_taken()),
    }
}

/// What was done, and why.
fn because(what: Option<String>, why: Option<Reason>) -> Option<String> {
    match (what, why.map(String::from)) {
        (Some(what), Some(why)) => Some(format!("{what} ({why})")),
        (what, why) => what.or(why),
    }
}

/// `GET /schedules/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Shown>, Problem> {
    let schedule = found(&app, id).await?;
    Ok(Json(shown_now(&app, schedule).await?))
}

/// The body of a PATCH.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[expect(
    clippy::option_option,
    reason = "null takes an end away, a field that is not there leaves it"
)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ScheduleChanges", example = json!({"cron": "0 4 * * *", "enabled": true}))]
pub(super) struct Changes {
    /// What people call it; of a built-in one it stays.
    name: Option<Name>,
    /// The input of each run; of a built-in one it stays.
    input: Option<Value>,
    /// Five fields as crontab(5) has them, or a word as `@daily`.
    cron: Option<String>,
    /// A name of the IANA database.
    time_zone: Option<String>,
    /// What becomes of runs whose time came while the server was off.
    missed: Option<Missed>,
    /// A time to come, by RFC 3339, after which it does not run; null: no end.
    #[serde(deserialize_with = "given")]
    end_at: Option<Option<String>>,
    /// After so many runs, all in all, it has ended; null: no end.
    #[serde(deserialize_with = "given")]
    max_runs: Option<Option<u32>>,
    /// Whether it runs. What it would have done while it did not is not made good.
    enabled: Option<bool>,
    /// Why, in words, for the audit.
    reason: Option<Reason>,
}

/// The body of what is done to a schedule: why.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "ScheduleWhy", example = json!({"reason": "the disk was full at night"}))]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// In words, for the audit.
    reason: Option<Reason>,
}

/// Tells null from a field that is not there.
#[expect(clippy::option_option, reason = "that is what it is for")]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

impl Changes {
    fn told(&self) -> Option<String> {
        let end_at = self.end_at.as_ref();
        let max_runs = self.max_runs.as_ref();
        fields::given(&[
            ("name", Told::that(self.name.as_ref())),
            ("input", Told::that(self.input.as_ref())),
            ("cron", Told::what(self.cron.as_ref())),
            ("time_zone", Told::what(self.time_zone.as_ref())),
            ("missed", Told::what(self.missed)),
            (
                "end_at",
                Told::what(end_at.map(|end| end.as_deref().unwrap_or("none"))),
            ),
            (
                "max_runs",
                Told::what(max_runs.map(|most| most.map_or("none".to_owned(), |n| n.to_string()))),
            ),
            ("enabled", Told::what(self.enabled)),
        ])
    }
}

/// `PATCH /schedules/{id}`. Its next run is computed anew from now on, if it changes when it runs.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let before = found(&app, id).await?;
    if before.built_in && (changes.name.is_some() || changes.input.is_some()) {
        let text = "this schedule is built in: its name and its input stay; change when it runs, or disable it";
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    let now = app.services.clock.now();
    let Checked { input, end_at } = check::check(
        &app.node,
        Given {
            workflow: changes.input.as_ref().map(|_| before.workflow.as_str()),
            input: changes.input.as_ref(),
            cron: changes.cron.as_deref(),
            time_zone: changes.time_zone.as_deref(),
            end_at: changes.end_at.as_ref().and_then(Option::as_deref),
            max_runs: changes.max_runs.flatten(),
        },
        now,
    )?;
    let mut entry = caller.does(Action::Change, format!("schedule {}", before.name));
    entry.reason = because(changes.told(), changes.reason.clone());
    // Times of before are not times of the line as it is now, and none is made good that nobody wanted then.
    let begins_anew = changes.cron.is_some()
        || changes.time_zone.is_some()
        || before.next_at().is_none()
        || (changes.enabled == Some(true) && !before.enabled);
    let after = Schedule {
        name: changes.name.map_or(before.name, Into::into),
        input: if changes.input.is_some() {
            input
        } else {
            before.input
        },
        cron: changes.cron.unwrap_or(before.cron),
        time_zone: changes.time_zone.unwrap_or(before.time_zone),
        missed: changes.missed.unwrap_or(before.missed),
        end_at: changes.end_at.map_or(before.end_at, |_| end_at),
        max_runs: changes.max_runs.unwrap_or(before.max_runs),
        enabled: changes.enabled.unwrap_or(before.enabled),
        actor: Some(caller.user.login),
        handled_until: if begins_anew {
            now
        } else {
            before.handled_until
        },
        ..before
    };
    match put(&app, after, entry, now).await? {
        Put::Kept(kept) => Ok(Json((*kept).into())),
        Put::NameTaken => Err(name_taken()),
        Put::Stale => Err(Problem::new(
            Kind::DoesNotFit,
            format!(
                "schedule {id} ran or was changed at this very moment: nothing was changed; try again"
            ),
        )),
    }
}

/// `DELETE /schedules/{id}`: its tasks stay.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<ScheduleId>,
) -> Result<NoContent, Problem> {
    let schedule = found(&app, id).await?;
    if schedule.built_in {
        let text = format!(
            "schedule `{}` is built in and would come back; disable it: PATCH {{\"enabled\": false}}",
            schedule.name
        );
        return Err(Problem::new(Kind::DoesNotFit, text));
    }
    let entry = caller.does(Action::Delete, format!("schedule {}", schedule.name));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let deleted = workflows::Journal::remove_schedule_in(tx, id).await?;
            if deleted {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, NotWritten>(deleted)
        })
    });
    if deleted.await?? {
        Ok(NoContent)
    } else {
        Err(unknown(id))
    }
}

/// Keeps the schedule, and writes into the audit who did it.
async fn put(
    app: &App,
    schedule: Schedule,
    entry: NewEntry,
    at: Timestamp,
) -> Result<Put, Problem> {
    let put = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let put = workflows::Journal::put_schedule_in(tx, schedule).await?;
            if matches!(put, Put::Kept(_)) {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, NotWritten>(put)
        })
    });
    Ok(put.await??)
}

/// Why nothing was written.
enum NotWritten {
    Store(StoreError),
    Catalog(CatalogError),
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CatalogError> for NotWritten {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<NotWritten> for Problem {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Store(error) => error.into(),
            NotWritten::Catalog(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        engine::node::NodeError::from(error).into()
    }
}

async fn found(app: &App, id: ScheduleId) -> Result<Schedule, Problem> {
    let all = app.node.store().schedules().await?;
    all.into_iter()
        .find(|it| it.id == id)
        .ok_or_else(|| unknown(id))
}

fn unknown(id: ScheduleId) -> Problem {
    Problem::not_found(format!("schedule {id}"))
}

fn name_taken() -> Problem {
    let text = "another schedule has this name; choose another name, or change that schedule";
    Problem::new(Kind::Duplicate, text)
}
