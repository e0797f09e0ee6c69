//! `POST /organizations/{label}/products/{label}/retention`: what the schedule `retention` does each night, now and in one product;
//! or what that would remove.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::journal::Cause;
use engine::node::{NodeError, Placed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::catalog::RepositoryId;
use storage::catalog::audit::{self, Action};
use storage::catalog::organizations::Organization;
use storage::catalog::products::Product;
use storage::retention::{Going, Retention};
use storage::{Digest, Tag};
use workflows::destination::Destination;
use workflows::retention::{JudgeError, OfProduct, Retain, judge_all};

use super::{place, subject, visible};
use crate::api::answer::{Accepted, BegunTask};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::fields::Reason;
use crate::api::openapi::{Answers, Operation};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// So many tags and manifests are named at most; all are counted.
const MOST_NAMED: usize = 2_000;

/// The body, which may be left out.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RetentionAsked", example = json!({"dry_run": true}))]
pub(in crate::api) struct Asked {
    /// Only say what would go.
    dry_run: bool,
    /// With `dry_run`: rules that are not saved yet, instead of the product's.
    retention: Option<Retention>,
    /// In words, for the audit.
    reason: Option<Reason>,
}

/// What would go.
#[derive(Debug, Default, JsonSchema, Serialize)]
#[schemars(rename = "WouldGo")]
pub(in crate::api) struct WouldGo {
    /// The repositories that would lose something, by id.
    repositories: Vec<Losing>,
    /// How many tags.
    tags_count: u64,
    /// How many manifests.
    manifests_count: u64,
    /// The bytes of these manifests, and of blobs that nothing else in the newest version of their repository needs. They are free once
    /// old versions are dropped.
    size_bytes: u64,
    /// False: there are more tags and manifests than are named.
    names_all: bool,
}

/// What a repository would lose.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::api) struct Losing {
    /// Its id.
    id: RepositoryId,
    /// The name by which it is pushed.
    repository: String,
    /// Tags, in the order of their bytes.
    tags: Vec<GoingTag>,
    /// Manifests, in the order of their digests.
    manifests: Vec<GoingManifest>,
    /// How many tags.
    tags_count: u64,
    /// How many manifests.
    manifests_count: u64,
    /// The bytes of these manifests, and of blobs that nothing else in its newest version needs.
    size_bytes: u64,
}

/// A tag that would go.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::api) struct GoingTag {
    name: Tag,
    digest: Digest,
    /// Why: which rule, and what it looked at.
    why: String,
}

/// A manifest that would go.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::api) struct GoingManifest {
    digest: Digest,
    /// Why.
    why: String,
}

/// 200 with what would go, or 202 with the task.
pub(in crate::api) enum Retained {
    Preview(WouldGo),
    Task(BegunTask),
}

impl IntoResponse for Retained {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => Json(preview).into_response(),
            Self::Task(task) => Accepted(task).into_response(),
        }
    }
}

impl Answers for Retained {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<WouldGo>(200, "For a `dry_run`: what would go.");
        Accepted::<BegunTask>::answer(operation);
    }
}

/// 202 with the task that does it; where one is open for this product, with that.
pub(in crate::api) async fn retain(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((organization, label)): Path<(String, String)>,
    Body(asked): Body<Asked>,
) -> Result<Retained, Problem> {
    let mut tx = app.services.database.read().await?;
    let (organization, product) = visible(&mut tx, &caller, &organization, &label).await?;
    drop(tx);
    let named = format!(
        "in product {} of organization {}",
        product.label, organization.label
    );
    caller.must_here(Some(&place(&product)), &named)?;
    app.pulls.write(&app.services.database).await?; // those of the last minute count, too
    if asked.retention.is_some() && !asked.dry_run {
        let text = "is for a dry run; save the rules with the product, and then let them run";
        return Err(Problem::invalid_field("retention", text));
    }
    let rules = asked.retention.as_ref().or(product.retention.as_ref());
    let Some(rules) = rules else {
        let text = format!(
            "product {} has no rules of retention: everything in it stays; give it some first",
            product.label
        );
        return Err(Problem::new(Kind::DoesNotFit, text));
    };
    if asked.dry_run {
        return Ok(Retained::Preview(preview(&app, &product, rules).await?));
    }
    let task_id = begin(&app, &caller, (&organization, &product), asked.reason).await?;
    Ok(Retained::Task(BegunTask { task_id }))
}

async fn begin(
    app: &App,
    caller: &Caller,
    (organization, product): (&Organization, &Product),
    reason: Option<Reason>,
) -> Result<engine::journal::PlanId, Problem> {
    let input = Retain {
        dry_run: false,
        product: Some(OfProduct {
            organization: organization.label.clone(),
            label: product.label.clone(),
        }),
    };
    let offer = app.node.offer(&input, Some(caller.user.login.clone()))?;
    let offer = offer.caused_by(Cause::Client);
    let what = format!("retention of {}", subject(&product.label, organization));
    let mut entry = caller.does(Action::RunNow, what);
    entry.reason = reason.map(String::from);
    let at = app.services.clock.now();
    let submitted = app.node.transact::<Placed, Problem, _>(move |tx, desk| {
        Box::pin(async move {
            let placed = desk.submit(tx, offer).await.map_err(NodeError::from)?;
            entry.task = Some(placed.plan());
            audit::record(tx, &entry, at).await?;
            Ok(placed)
        })
    });
    Ok(submitted.await??.plan())
}

async fn preview(app: &App, product: &Product, rules: &Retention) -> Result<WouldGo, Problem> {
    let (database, now) = (&app.services.database, app.services.clock.now());
    let mut would = WouldGo {
        names_all: true,
        ..WouldGo::default()
    };
    let mut left = MOST_NAMED;
    let judged = judge_all(
        database,
        product,
        rules,
        now,
        || true,
        |of, going, bytes| {
            let losing = Losing::of(of, going, bytes, &mut left);
            would.tags_count += losing.tags_count;
            would.manifests_count += losing.manifests_count;
            would.size_bytes += bytes;
            would.names_all &= losing.names_all();
            would.repositories.push(losing);
        },
    );
    judged.await.map_err(|error| match error {
        JudgeError::Catalog(error) => Problem::from(error),
        JudgeError::Node(error) => error.into(),
    })?;
    Ok(would)
}

impl Losing {
    /// Names as many as are `left` to be named.
    fn of(of: &Destination, going: Going, bytes: u64, left: &mut usize) -> Self {
        let (tags_count, manifests_count) = (going.tags.len(), going.manifests.len());
        let tags = going.tags.into_iter().take(*left);
        let tags: Vec<GoingTag> = tags
            .map(|(name, digest, why)| GoingTag {
                name,
                digest,
                why: why.to_string(),
            })
            .collect();
        *left -= tags.len();
        let manifests = going.manifests.into_iter().take(*left);
        let manifests: Vec<GoingManifest> = manifests
            .map(|(digest, why)| GoingManifest {
                digest,
                why: why.to_string(),
            })
            .collect();
        *left -= manifests.len();
        Self {
            id: of.id.into(),
            repository: of.label_form(),
            tags,
            manifests,
            tags_count: tags_count as u64,
            manifests_count: manifests_count as u64,
            size_bytes: bytes,
        }
    }

    fn names_all(&self) -> bool {
        self.tags.len() as u64 == self.tags_count
            && self.manifests.len() as u64 == self.manifests_count
    }
}
