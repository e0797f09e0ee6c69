//! `/tasks`: what people see of plans, and what operators do with them.

pub(super) mod abort;
pub(super) mod bulk;
pub(super) mod cancel;
pub(super) mod cleanup;
pub(super) mod events;
pub(super) mod export;
pub(super) mod graph;
pub(super) mod groups;
pub(super) mod history;
pub(super) mod hold;
pub(super) mod list;
mod output;
pub(super) mod release;
pub(super) mod resolve;
pub(super) mod resume;
pub(super) mod retry_now;
pub(super) mod revert;
pub(super) mod send_event;
pub(super) mod show;
pub(super) mod skip;
pub(super) mod summary;
pub(super) mod wait;

use engine::explain::Task;
use engine::journal::{Action, Message, PlanId};
use engine::node::NodeError;
use engine::search::{Field, Order};
use engine::step::Work;
use engine::store::{StoreError, Visible};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;
use storage::Tx;
use storage::catalog::answers::Answered;
use storage::catalog::audit::{Action as Audited, NewEntry, record};
use storage::catalog::organizations;
use storage::catalog::roles::Permission;
use strum::VariantNames as _;
use workflows::ResumeError;

use super::answer::{Accepted, Located};
use super::caller::{Caller, in_organization};
use super::fields::Reason;
use super::page::{Listed, Orders};
use super::problem::{Kind, Problem};
use super::time::Time;
use crate::app::App;
use crate::audit::{self, Refusal};

/// A task as REST shows it: the engine's, and what a push is about.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Task")]
pub(super) struct Shown {
    #[serde(flatten)]
    task: Task,
    /// The repository it is about, by its pushed name.
    repository: Option<String>,
    /// The tag it is about.
    tag: Option<String>,
    /// The digest it is about.
    digest: Option<String>,
    /// Who sent the push: name, version, address. Lists leave it out, as they do the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Value>,
    /// What a client that waited for it was told last; null if nobody was, or if the server crashed right behind it.
    answered: Option<AnsweredSeen>,
}

impl Located for Shown {
    const PATH: &'static str = "/tasks/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Any {
        by: Order::VARIANTS,
        usual: "-created_at",
    };
    const SEARCH: Option<&'static [&'static str]> = Some(Field::VARIANTS);
}

/// What a client was told.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Answered")]
struct AnsweredSeen {
    /// The status of HTTP.
    status: u16,
    at: Time,
    /// The text of its `Warning` header.
    warning: Option<String>,
}

impl From<Answered> for AnsweredSeen {
    fn from(answered: Answered) -> Self {
        Self {
            status: answered.status,
            at: answered.at.into(),
            warning: answered.warning,
        }
    }
}

/// What of a push's input is shown beside it.
#[derive(Deserialize)]
struct PushInput {
    client: Option<Value>,
}

impl Shown {
    /// The task with what its client was told.
    pub(super) async fn of(app: &App, task: Task) -> Result<Self, Problem> {
        let mut alone = Self::all(app, vec![task]).await?;
        Ok(alone.remove(0))
    }

    /// The tasks with what their clients were told.
    async fn all(app: &App, tasks: Vec<Task>) -> Result<Vec<Self>, Problem> {
        let plans: Vec<PlanId> = tasks.iter().map(|task| task.id).collect();
        let database = &app.services.database;
        let mut answers = app.answers.about(database, &plans).await?;
        let shown = tasks.into_iter().map(|task| {
            let answered = answers.remove(&task.id);
            Self::with(task, answered)
        });
        Ok(shown.collect())
    }

    fn with(task: Task, answered: Option<Answered>) -> Self {
        let link = |name| task.link(name).map(str::to_owned);
        let input = task
            .input
            .as_ref()
            .and_then(|input| input.decode::<PushInput>().ok());
        Self {
            repository: link("repository"),
            tag: link("tag"),
            digest: link("digest"),
            client: input.and_then(|input| input.client),
            answered: answered.map(Into::into),
            task,
        }
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotFound(plan) => no_task(plan),
            NodeError::Refused(refused) => Self::new(Kind::DoesNotFit, refused.to_string())
                .with("state", json!(refused.state))
                .with("can", json!(refused.can)),
            NodeError::Store(StoreError::Full) => Self::new(Kind::Full, error.to_string()),
            NodeError::Unanswered(_)
            | NodeError::Draining
            | NodeError::Store(StoreError::Unavailable(_)) => {
                Self::new(Kind::Unavailable, error.to_string())
            }
            NodeError::Output { .. } => Self::invalid_field("output", error.to_string()),
            NodeError::Edit { at, why } => Self::invalid_field(&at, why),
            NodeError::Store(
                StoreError::Fenced { .. } | StoreError::Unknown(_) | StoreError::Corrupt(_),
            )
            | NodeError::UnknownWorkflow(_)
            | NodeError::Declaration(_)
            | NodeError::Input(_) => Self::internal(&error),
        }
    }
}

/// The task, if it is the caller's own or in an organization whose tasks they may view.
async fn visible(app: &App, caller: &Caller, plan: PlanId) -> Result<Task, Problem> {
    let task = app.node.task(plan).await?;
    if may_see(app, caller, &task).await? {
        Ok(task)
    } else {
        Err(no_task(plan))
    }
}

/// There is none that the caller may see; whether it was deleted, nobody knows.
fn no_task(plan: PlanId) -> Problem {
    Problem::not_found(format!(
        "task {plan} (what ended long ago is deleted, as the setting task_retention says)"
    ))
}

/// True if the task is [`visible`] to the caller.
async fn sees(app: &App, caller: &Caller, plan: PlanId) -> Result<bool, Problem> {
    let task = app.node.task(plan).await?;
    may_see(app, caller, &task).await
}

async fn may_see(app: &App, caller: &Caller, task: &Task) -> Result<bool, Problem> {
    let own = caller.sees_own() && task.user.as_deref() == Some(caller.user.login.as_str());
    Ok(own || may(app, caller, Permission::ViewTasks, task).await?)
}

/// The task, if the caller may operate it; 403 for one they can only see.
async fn operable(app: &App, caller: &Caller, plan: PlanId) -> Result<Task, Problem> {
    let task = visible(app, caller, plan).await?;
    let named = task.organization.as_ref().map_or_else(
        || "everywhere".to_owned(),
        |label| format!("in organization {label}"),
    );
    // Also of a deleted organization: whoever deleted it may bring it back.
    let organization = match &task.organization {
        Some(label) => {
            organizations::id_of(&mut app.services.database.read().await?, label).await?
        }
        None => None,
    };
    let place = organization.map(in_organization);
    caller.must_here(place.as_ref(), named)?;
    Ok(task)
}

/// The task that has this step, if the caller may operate it.
async fn operable_step(
    app: &App,
    caller: &Caller,
    task: PlanId,
    step: &str,
) -> Result<Task, Problem> {
    let task = operable(app, caller, task).await?;
    if task.steps.iter().flatten().any(|known| known.name == step) {
        Ok(task)
    } else {
        Err(Problem::not_found(format!(
            "step {step} in task {}",
            task.id
        )))
    }
}

async fn may(
    app: &App,
    caller: &Caller,
    permission: Permission,
    task: &Task,
) -> Result<bool, Problem> {
    if caller.may_everywhere(permission) {
        return Ok(true);
    }
    let Some(label) = &task.organization else {
        return Ok(false);
    };
    let mut tx = app.services.database.read().await?;
    let organization = organizations::id_of(&mut tx, label).await?;
    Ok(organization.is_some_and(|id| caller.may(permission, &in_organization(id))))
}

/// Which tasks the caller sees in lists: their own, and those of organizations whose tasks they may view.
async fn sight(tx: &mut Tx, caller: &Caller) -> Result<Visible, Problem> {
    let mut visible = those_with(tx, caller, Permission::ViewTasks).await?;
    if let Visible::Some { actor, .. } = &mut visible
        && caller.sees_own()
    {
        actor.clone_from(&caller.user.login);
    }
    Ok(visible)
}

/// The tasks of those organizations where the caller has the permission.
async fn those_with(
    tx: &mut Tx,
    caller: &Caller,
    permission: Permission,
) -> Result<Visible, Problem> {
    if caller.may_everywhere(permission) {
        return Ok(Visible::All);
    }
    let mut labels = Vec::new();
    for id in caller
        .grants
        .iter()
        .filter_map(|grant| grant.scope.organization)
    {
        if caller.may(permission, &in_organization(id)) {
            labels.extend(organizations::label_of(tx, id).await?);
        }
    }
    labels.sort_unstable();
    labels.dedup();
    Ok(Visible::Some {
        organizations: labels,
        actor: String::new(), // no login is empty
    })
}

/// The body of an action: why, for the task's history.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "Why", example = json!({"reason": "the disk was full"}))]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
}

/// The body of an action that lets a task go on.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[schemars(rename = "GoOn", example = json!({"reason": "the registry behind it is back"}))]
#[serde(default, deny_unknown_fields)]
pub(super) struct GoOn {
    /// In words, for the task's history and the audit.
    reason: Option<Reason>,
    /// Also when whoever started the task has lost the right to it; needs a reason.
    #[serde(rename = "override")]
    overrule: bool,
}

/// A reason of blanks gives none: an override would stand in the history without its why.
pub(super) fn said(reason: Option<Reason>) -> Option<String> {
    let reason = reason.map(String::from);
    reason.filter(|reason| !reason.trim().is_empty())
}

/// Does what a person wants of a task that does not go on by itself, and answers with it as it is then.
async fn go_on(
    app: &App,
    caller: Caller,
    plan: PlanId,
    action: Action,
    why: GoOn,
) -> Result<Shown, Problem> {
    let mut reason = said(why.reason);
    if why.overrule {
        // Whoever takes the responsibility is remembered for it.
        reason = reason.map(|reason| format!("{reason} (override)"));
    }
    let entry = about_task(&caller, audited(&action), plan, reason.clone());
    let message = Message {
        action,
        by: caller.user.login,
        reason,
    };
    let refusal = refusal_of(&entry, caller.from);
    let written = written_down(app, entry);
    let after = workflows::go_on(&app.node, plan, message, why.overrule, written).await;
    let after = match after {
        Ok(after) => after,
        Err(error) => {
            if is_refusal(&error) {
                audit::refused(app, refusal(error.to_string())).await;
            }
            return Err(error.into());
        }
    };
    let task = app.node.explained(&after).await?;
    Shown::of(app, task).await
}

/// Does it, and answers 202 with the task as it is then.
async fn act(
    app: &App,
    caller: &Caller,
    plan: PlanId,
    action: Action,
    why: Why,
) -> Result<Accepted<Shown>, Problem> {
    let nothing: Work<Tx, (), StoreError> = Box::new(|_| Box::pin(async { Ok(()) }));
    act_and(app, caller, plan, (action, why), nothing).await
}

/// The same, with more to be written in the transaction that makes it durable.
async fn act_and(
    app: &App,
    caller: &Caller,
    plan: PlanId,
    (action, why): (Action, Why),
    also: Work<Tx, (), StoreError>,
) -> Result<Accepted<Shown>, Problem> {
    let reason = why.reason.map(String::from);
    let entry = about_task(caller, audited(&action), plan, reason.clone());
    let message = Message {
        action,
        by: caller.user.login.clone(),
        reason,
    };
    let refusal = refusal_of(&entry, caller.from);
    let entry = written_down(app, entry);
    let written: Work<Tx, (), StoreError> = Box::new(move |tx| {
        Box::pin(async move {
            entry(tx).await?;
            also(tx).await
        })
    });
    let after = match app.node.act_and(plan, message, written).await {
        Ok(after) => after,
        Err(error) => {
            if let NodeError::Refused(_) = error {
                audit::refused(app, refusal(error.to_string())).await;
            }
            return Err(error.into());
        }
    };
    let task = app.node.explained(&after).await?;
    Ok(Accepted(Shown::of(app, task).await?))
}

/// What the audit tells when that was refused, because it does not fit the task as it is.
fn refusal_of(entry: &NewEntry, from: Option<IpAddr>) -> impl FnOnce(String) -> Refusal + use<> {
    let (actor, action) = (entry.actor.clone(), entry.action);
    let (subject, task) = (entry.subject.clone(), entry.task);
    move |reason| Refusal {
        actor,
        action,
        subject,
        task,
        alike: None,
        from,
        reason,
    }
}

fn is_refusal(error: &ResumeError) -> bool {
    matches!(
        error,
        ResumeError::Node(NodeError::Refused(_)) | ResumeError::NotAllowedAnyMore { .. }
    )
}

/// What the audit calls it.
fn audited(action: &Action) -> Audited {
    match action {
        Action::RetryNow { .. } => Audited::RetryNow,
        Action::Cancel | Action::Supersede { .. } => Audited::Cancel,
        Action::Resume | Action::ResumeEdited { .. } => Audited::Resume,
        Action::Abort => Audited::Abort,
        Action::Revert => Audited::Revert,
        Action::Hold => Audited::Hold,
        Action::Release => Audited::Release,
        Action::Skip { .. } => Audited::Skip,
        Action::Resolve { .. } => Audited::Resolve,
        Action::Event { .. } | Action::ChildMoved { .. } | Action::Unreadable { .. } => {
            Audited::Event
        }
    }
}

/// The entry of the audit about what the caller did to a task.
fn about_task(caller: &Caller, action: Audited, plan: PlanId, reason: Option<String>) -> NewEntry {
    NewEntry {
        task: Some(plan),
        reason,
        ..caller.does(action, format!("task {plan}"))
    }
}

/// Writes it into the audit, in the transaction that makes the action durable: whoever hangs up meanwhile leaves both or none.
pub(super) fn written_down(app: &App, entry: NewEntry) -> Work<Tx, (), StoreError> {
    let at = app.services.clock.now();
    Box::new(move |tx| {
        Box::pin(async move {
            let written = record(tx, &entry, at).await;
            written.map_err(|error| StoreError::Unavailable(error.to_string()))
        })
    })
}
