//! `/organizations/{label}/environments`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::audit::{self, Action, NewEntry};
use storage::catalog::environments::{self, Environment, EnvironmentChanges, NewEnvironment};
use storage::catalog::organizations::Organization;
use storage::catalog::roles::Permission;
use storage::catalog::{CatalogError, EnvironmentId, RepositoryId};
use storage::{Label, Tx};
use workflows::change_naming::{self, ChangeError, ChangeNaming, Changed};
use workflows::naming_pattern::{Named, NamingPattern};
use workflows::published_names;

use super::answer::{Accepted, BegunTask, Created, Located, NoContent};
use super::body::Body;
use super::caller::{Caller, in_organization};
use super::fields::{self, Name, Pattern, Told};
use super::openapi::{Answers, Operation};
use super::organizations;
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

/// An environment as REST shows it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Environment")]
pub(super) struct Shown {
    /// Its number.
    id: EnvironmentId,
    /// How it stands in image names; never changes.
    label: String,
    /// What people call it.
    name: String,
    /// The organization's label.
    organization: String,
    /// The label of the environment that it follows: what is promoted into it. Null: it is Library.
    prior: Option<String>,
    /// How it names what it publishes; null: Library by the pushed path, others by labels.
    registry_name_pattern: Option<String>,
    /// What it publishes is pulled without a login.
    anonymous_pull: bool,
    created_at: Time,
}

impl Located for Shown {
    const PATH: &'static str = "/organizations/{organization}/environments/{label}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl Shown {
    async fn of(
        tx: &mut Tx,
        environment: Environment,
        organization: &Organization,
    ) -> Result<Self, CatalogError> {
        let prior = match environment.prior {
            Some(prior) => environments::get(tx, prior).await?,
            None => None,
        };
        Ok(Self {
            id: environment.id,
            label: environment.label,
            name: environment.name,
            organization: organization.label.clone(),
            prior: prior.map(|prior| prior.label),
            registry_name_pattern: environment.registry_name_pattern,
            anonymous_pull: environment.anonymous_pull,
            created_at: environment.created_at.into(),
        })
    }
}

/// `GET /organizations/{label}/environments`: Library first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(label): Path<String>,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let organization = organizations::visible(&mut tx, &caller, &label).await?;
    let total = environments::count(&mut tx, organization.id).await?;
    let found = environments::list(&mut tx, organization.id, wanted.after()?, wanted.one_more());
    let page = Page::of_rows(found.await?, total, &wanted, |environment| environment.id);
    let mut results = Vec::with_capacity(page.results.len());
    for environment in page.results {
        results.push(Shown::of(&mut tx, environment, &organization).await?);
    }
    Ok(Page {
        results,
        total: page.total,
        next: page.next,
    })
}

/// `GET /organizations/{label}/environments/{label}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, environment)): Path<(String, String)>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, environment) =
        visible(&mut tx, &caller, &organization, &environment).await?;
    Ok(Json(Shown::of(&mut tx, environment, &organization).await?))
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewEnvironment", example = json!({
    "label": "qa", "name": "Quality", "prior": "Library",
    "registry_name_pattern": "<%= lifecycle_environment.label %>/<%= product.label %>/<%= repository.label %>",
}))]
pub(super) struct New {
    /// How it stands in image names; unique in its organization whatever its case, among products too, and never changes.
    label: Label,
    /// What people call it.
    name: Name,
    /// The label of the environment that it follows. Several follow Library, each the first of its path; one each other.
    prior: String,
    /// How it names what it publishes; null or empty: by labels.
    registry_name_pattern: Option<Pattern>,
    /// What it publishes is pulled without a login; false unless given.
    anonymous_pull: Option<bool>,
}

/// `POST /organizations/{label}/environments`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(organization): Path<String>,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let organization = organizations::visible(&mut tx, &caller, &organization).await?;
    may_change(&caller, &organization, new.anonymous_pull)?;
    let prior = environments::find(&mut tx, organization.id, &new.prior).await?;
    drop(tx);
    let prior = prior.ok_or_else(|| {
        let text = format!(
            "organization {} has no environment of this label",
            organization.label
        );
        Problem::invalid_field("prior", text)
    })?;
    let (name, opened) = (String::from(new.name), new.anonymous_pull);
    let pattern = checked(
        new.registry_name_pattern,
        &organization,
        (new.label.as_str(), &name),
    )?;
    let new = NewEnvironment {
        label: new.label,
        name,
        prior: prior.id,
        registry_name_pattern: pattern,
        anonymous_pull: opened.unwrap_or(false),
    };
    let mut entry = caller.does(Action::Create, subject(new.label.as_str(), &organization));
    entry.reason = fields::given(&[
        ("prior", Told::what(Some(&prior.label))),
        (
            "registry_name_pattern",
            Told::what(new.registry_name_pattern.as_ref()),
        ),
        ("anonymous_pull", Told::what(opened)),
    ]);
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = environments::create(tx, organization.id, &new, at).await?;
            audit::record(tx, &entry, at).await?;
            Shown::of(tx, created, &organization).await
        })
    });
    Ok(Created(created.await??))
}

/// The body of a PATCH.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EnvironmentChanges", example = json!({"registry_name_pattern": "<%= repository.label %>", "anonymous_pull": true}))]
pub(super) struct Changes {
    /// What people call it; that of Library never changes.
    name: Option<Name>,
    /// How it names what it publishes; null or empty: without a pattern from now on.
    #[serde(default, deserialize_with = "fields::or_null")]
    #[expect(clippy::option_option, reason = "left out, it stays; null, it goes")]
    registry_name_pattern: Option<Option<Pattern>>,
    /// What it publishes is pulled without a login.
    anonymous_pull: Option<bool>,
}

/// `PATCH /organizations/{label}/environments/{label}`: name, pattern and anonymous pull; the label and what it follows
/// never change.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
    Body(changes): Body<Changes>,
) -> Result<Patched, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, environment) = visible(&mut tx, &caller, &organization, &label).await?;
    may_change(&caller, &organization, changes.anonymous_pull)?;
    let name = changes.name.map(String::from);
    let new_name = name.as_ref().unwrap_or(&environment.name);
    if environment.prior.is_none() && *new_name != environment.name {
        let text = "never changes: Library has this name in every organization";
        return Err(Problem::invalid_field("name", text));
    }
    let pattern = changes.registry_name_pattern;
    let pattern =
        pattern.map(|pattern| checked(pattern, &organization, (&environment.label, new_name)));
    let pattern = pattern.transpose()?;
    let mut entry = caller.does(Action::Change, subject(&environment.label, &organization));
    let told = pattern.as_ref();
    let told = told.map(|pattern| pattern.as_deref().unwrap_or("none"));
    entry.reason = fields::given(&[
        ("name", Told::what(name.as_ref())),
        ("registry_name_pattern", Told::what(told)),
        ("anonymous_pull", Told::what(changes.anonymous_pull)),
    ]);
    if entry.reason.is_none() {
        let shown = Shown::of(&mut tx, environment, &organization).await?;
        return Ok(Patched::Now(Box::new(shown)));
    }
    drop(tx);
    let renames = name.is_some() || pattern.is_some();
    let change = ChangeNaming {
        user: caller.user.id,
        login: caller.user.login.clone(),
        organization_label: organization.label.clone(),
        environment: environment.id,
        environment_label: environment.label.clone(),
        name: name.unwrap_or(environment.name),
        registry_name_pattern: pattern.unwrap_or(environment.registry_name_pattern),
    };
    if renames {
        let begun = change_naming::submit(&app.node, change, entry.clone()).await;
        if let Changed::By(task_id) = begun.map_err(refused)? {
            open_or_close(&app, environment.id, changes.anonymous_pull, None).await?;
            return Ok(Patched::By(BegunTask { task_id }));
        }
    }
    let entry = (!renames).then_some(entry);
    let after = open_or_close(&app, environment.id, changes.anonymous_pull, entry).await?;
    let after = after.ok_or_else(|| unknown(&label))?;
    let mut tx = app.services.database.read().await?;
    let shown = Shown::of(&mut tx, after, &organization).await?;
    Ok(Patched::Now(Box::new(shown)))
}

/// Changes the anonymous pull, if that is asked for; answers the environment as it is now.
async fn open_or_close(
    app: &App,
    environment: EnvironmentId,
    anonymous_pull: Option<bool>,
    entry: Option<NewEntry>,
) -> Result<Option<Environment>, Problem> {
    let at = app.services.clock.now();
    let changes = EnvironmentChanges {
        anonymous_pull,
        ..EnvironmentChanges::default()
    };
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let after = environments::update(tx, environment, &changes).await?;
            if let Some(entry) = entry {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, CatalogError>(after)
        })
    });
    Ok(after.await??)
}

/// 200 with the environment, or 202 with the task that moves its names: until that has succeeded the old pattern is shown.
pub(super) enum Patched {
    Now(Box<Shown>),
    By(BegunTask),
}

impl IntoResponse for Patched {
    fn into_response(self) -> Response {
        match self {
            Self::Now(shown) => Json(*shown).into_response(),
            Self::By(task) => Accepted(task).into_response(),
        }
    }
}

impl Answers for Patched {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<Shown>(200, "No name moves: it is changed.");
        Accepted::<BegunTask>::answer(operation);
    }
}

fn refused(error: ChangeError) -> Problem {
    match error {
        ChangeError::Refused(preview) => {
            let why = preview.refusal().unwrap_or_default();
            let collisions: Vec<_> = preview.collisions.into_iter().map(Clash::from).collect();
            Problem::invalid_field("registry_name_pattern", why)
                .with("collisions", json!(collisions))
        }
        ChangeError::Gone(label) => unknown(&label),
        ChangeError::Catalog(error) => error.into(),
        ChangeError::Node(error) => error.into(),
    }
}

/// A pattern to be tried.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PatternToTry", example = json!({"pattern": "<%= product.label %>/<%= repository.label %>"}))]
pub(super) struct ToTry {
    /// The pattern; null or blank: none.
    pattern: Option<Pattern>,
}

/// What the repositories of the environment would be called.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "NamesPreview")]
pub(super) struct Names {
    /// Every repository that the environment publishes, with the name it would have.
    names: Vec<NamedRepository>,
    /// Names that more than one would have; saving such a pattern is refused.
    collisions: Vec<Clash>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct NamedRepository {
    repository: RepositoryId,
    name: String,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "NameCollision")]
pub(super) struct Clash {
    name: String,
    /// Who would have it, or has it.
    repositories: Vec<String>,
}

impl From<published_names::Clash> for Clash {
    fn from(clash: published_names::Clash) -> Self {
        Self {
            name: clash.name,
            repositories: clash.repositories,
        }
    }
}

/// `POST /organizations/{label}/environments/{label}/preview_pattern`: every resulting name, before the pattern is saved.
pub(super) async fn preview_pattern(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
    Body(body): Body<ToTry>,
) -> Result<Json<Names>, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, environment) = visible(&mut tx, &caller, &organization, &label).await?;
    may_change(&caller, &organization, None)?;
    let place = (environment.label.as_str(), environment.name.as_str());
    let pattern = checked_as("pattern", body.pattern, &organization, place)?;
    let then = Environment {
        registry_name_pattern: pattern,
        ..environment
    };
    let preview = published_names::preview(&mut tx, &then).await?;
    if let Some(error) = preview.unnameable.first() {
        return Err(Problem::invalid_field("pattern", error.to_string()));
    }
    let names = preview.names.into_iter();
    Ok(Json(Names {
        names: names
            .map(|(repository, name)| NamedRepository { repository, name })
            .collect(),
        collisions: preview.collisions.into_iter().map(Clash::from).collect(),
    }))
}

/// `DELETE /organizations/{label}/environments/{label}`: the last of a path that publishes nothing any more.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
) -> Result<NoContent, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, environment) = visible(&mut tx, &caller, &organization, &label).await?;
    drop(tx);
    may_change(&caller, &organization, None)?;
    let entry = caller.does(Action::Delete, subject(&environment.label, &organization));
    let at = app.services.clock.now();
    let removed = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let removed = environments::remove(tx, environment.id).await?;
            if removed {
                audit::record(tx, &entry, at).await?;
            }
            Ok::<_, CatalogError>(removed)
        })
    });
    if removed.await?? {
        Ok(NoContent)
    } else {
        Err(unknown(&label))
    }
}

/// Refused unless the caller has the permission of the route in the organization; and, to open it to everybody, may pull there
/// themselves.
fn may_change(
    caller: &Caller,
    organization: &Organization,
    anonymous_pull: Option<bool>,
) -> Result<(), Problem> {
    let place = in_organization(organization.id);
    let named = format!("in organization {}", organization.label);
    caller.must_here(Some(&place), &named)?;
    if anonymous_pull == Some(true) {
        // Nobody gives what they do not have, and least of all to everybody.
        caller.must(Permission::Pull, &place, named)?;
    }
    Ok(())
}

/// The pattern as it is kept; what is blank is none. Refused unless it reads, and names a repository made up for trying it in
/// the environment of this label and name.
fn checked(
    pattern: Option<Pattern>,
    organization: &Organization,
    place: (&str, &str),
) -> Result<Option<String>, Problem> {
    checked_as("registry_name_pattern", pattern, organization, place)
}

/// The same of a field of another name.
fn checked_as(
    field: &str,
    pattern: Option<Pattern>,
    organization: &Organization,
    (label, name): (&str, &str),
) -> Result<Option<String>, Problem> {
    let Some(text) = pattern.map(String::from) else {
        return Ok(None);
    };
    let wrong = |message| Problem::invalid_field(field, message);
    let read = NamingPattern::parse_optional(&text).map_err(|error| wrong(error.to_string()))?;
    let Some(pattern) = read else {
        return Ok(None);
    };
    let of = Named {
        label: &organization.label,
        name: &organization.name,
    };
    pattern
        .check_on_save(of, Named { label, name })
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Some(text))
}

/// How the audit names an environment.
fn subject(label: &str, organization: &Organization) -> String {
    format!("environment {label} of organization {}", organization.label)
}

/// The environment with this label, if the caller has a role in its organization.
pub(super) async fn visible(
    tx: &mut Tx,
    caller: &Caller,
    organization: &str,
    label: &str,
) -> Result<(Organization, Environment), Problem> {
    let organization = organizations::visible(tx, caller, organization).await?;
    let found = environments::find(tx, organization.id, label).await?;
    let environment = found.ok_or_else(|| unknown(label))?;
    Ok((organization, environment))
}

fn unknown(label: &str) -> Problem {
    Problem::not_found(format!("environment {label}"))
}
