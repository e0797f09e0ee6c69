//! What a webhook is told, as `CloudEvents` 1.0 has it.

use crate::delete_image::DeleteImage;
use crate::delete_organization::DeleteOrganization;
use crate::delete_product::DeleteProduct;
use crate::delete_repository::DeleteRepository;
use crate::promote::Promote;
use crate::push::Push;
use crate::rehearsal::{Part, Rehearsal};
use crate::rollback::Rollback;
use engine::clock::Timestamp;
use engine::journal::{PlanId, PlanResult, Reason, Submitted};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};
use engine::workflow::Workflow;
use serde::{Deserialize, Serialize};
use storage::catalog::webhooks::EventKind;
use uuid::Uuid;

/// The type of an event that only shows whether one arrives.
pub const TEST: &str = "wharfinger.test";

/// An event, in the form that is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    specversion: String,
    /// The same for all that are told of it, at each attempt; another event of this registry never has it.
    pub id: String,
    source: String,
    /// `wharfinger.push`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: a repository by its pushed name, a product, an organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    time: String,
    datacontenttype: String,
    data: Data,
}

/// What is known of it. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Data {
    /// The task that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<PlanId>,
    /// Its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// What it does, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<PlanResult>,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// What it warned of.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    /// Where it is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    digests: Vec<String>,
    #[serde(flatten)]
    published: Published,
}

/// A step that needs a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    step: String,
    error: Option<String>,
}

/// What is published now: every `distribute` leaves some of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

impl CloudEvent {
    /// What there is to tell of a plan as it is after the row `seq` of its journal; none: nothing.
    pub(super) fn of(
        plan: &Plan,
        seq: i64,
        at: Timestamp,
        source: &str,
    ) -> Option<(EventKind, Self)> {
        let submitted = plan.submitted.as_deref()?;
        let kind = kind_of(plan, submitted)?;
        let links = |name: &'static str| {
            let all = submitted.links.iter();
            all.filter(move |(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let published = plan.output_of("distribute");
        let published = published.and_then(|output| output.decode::<Published>().ok());
        let warnings: Vec<&str> = plan
            .steps
            .iter()
            .filter_map(|step| step.warning.as_deref())
            .collect();
        let data = Data {
            task_id: Some(plan.id),
            label: Some(submitted.workflow.clone()),
            action: Some(submitted.action.clone()),
            result: (kind != EventKind::TaskPaused).then_some(plan.result),
            reason: plan.reason,
            warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
            failed: (kind == EventKind::TaskPaused)
                .then(|| failed(plan))
                .flatten(),
            user: submitted.actor.clone(),
            organization: submitted.organization.clone(),
            product: links("product").next(),
            repository: links("repository").next(),
            tag: links("tag").next(),
            digests: links("digest").collect(),
            published: published.unwrap_or_default(),
        };
        let subject = data
            .repository
            .clone()
            .or_else(|| {
                Some(format!(
                    "{}/{}",
                    data.organization.as_ref()?,
                    data.product.as_ref()?
                ))
            })
            .or_else(|| data.organization.clone());
        let id = format!("{}/{seq}", plan.id);
        let kind_of_event = format!("wharfinger.{kind}");
        Some((
            kind,
            Self::new(id, kind_of_event, source, subject, at, data),
        ))
    }

    /// An event of which nothing is known but that it was asked for.
    pub(super) fn test(id: Uuid, user: &str, at: Timestamp, source: &str) -> Self {
        let data = Data {
            user: Some(user.to_owned()),
            ..Data::default()
        };
        Self::new(id.to_string(), TEST.to_owned(), source, None, at, data)
    }

    fn new(
        id: String,
        kind: String,
        source: &str,
        subject: Option<String>,
        at: Timestamp,
        data: Data,
    ) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: source.to_owned(),
            kind,
            subject,
            time: at.to_rfc3339(),
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }
}

/// What a plan that has paused or ended is to its listeners. Of a delete that is part of another only that tells.
fn kind_of(plan: &Plan, submitted: &Submitted) -> Option<EventKind> {
    let workflow = plan.workflow();
    match plan.state {
        PlanState::Paused => {
            let is_rehearsal = workflow == Rehearsal::NAME || workflow == Part::NAME;
            (!is_rehearsal).then_some(EventKind::TaskPaused)
        }
        PlanState::Stopped
            if submitted.parent.is_none()
                && matches!(plan.result, PlanResult::Success | PlanResult::Warning) =>
        {
            match workflow {
                Push::NAME => Some(EventKind::Push),
                Promote::NAME => Some(EventKind::Promote),
                Rollback::NAME => Some(EventKind::Rollback),
                DeleteImage::NAME
                | DeleteRepository::NAME
                | DeleteProduct::NAME
                | DeleteOrganization::NAME => Some(EventKind::Delete),
                _ => None,
            }
        }
        PlanState::Stopped | PlanState::Pending | PlanState::Running => None,
    }
}

/// The first step that needs a person, and why.
fn failed(plan: &Plan) -> Option<Failed> {
    let mut steps = plan.graph().iter().zip(&plan.steps);
    let (step, status) = steps.find(|(_, status)| {
        matches!(
            status.state,
            StepState::Error | StepState::Interrupted | StepState::CompensationError
        )
    })?;
    let undo = status.undo.as_ref().and_then(|undo| undo.error.as_ref());
    let error = undo.or(status.error.as_ref());
    Some(Failed {
        step: step.name.clone(),
        error: error.map(|error| error.message.clone()),
    })
}
