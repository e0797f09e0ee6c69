//! How a push went, as the client that waited for it is told.

use engine::explain::Task;
use engine::journal::{PlanResult, Reason};
use engine::plan::Plan;
use engine::state::{PlanState, StepState};

use super::error::OciError;

/// The step after whose success the tag is pullable.
pub(super) const PUBLISHING_STEP: &str = "distribute";

/// True once what the plan publishes can be pulled; what follows is nothing that its client waits for.
pub(super) fn is_published(plan: &Plan) -> bool {
    let step = plan.step(PUBLISHING_STEP);
    step.is_some_and(|step| step.state == StepState::Success)
}

/// Nothing to say, or a warning beside the 201, or what the push is refused with. `url` is where people look at the task.
pub(super) fn of(plan: &Plan, task: &Task, url: String) -> Result<Option<String>, OciError> {
    let headline = task.headline.clone();
    let published = plan.step(PUBLISHING_STEP);
    if let Some(published) = published.filter(|step| step.state == StepState::Success) {
        return Ok(match plan.result {
            PlanResult::Warning => Some(format!("{headline}; task {}: {url}", plan.id)),
            // What follows (the smart proxies) is nothing that its client waits for.
            PlanResult::Pending => published
                .warning
                .as_ref()
                .map(|warning| format!("{warning}; task {}: {url}", plan.id)),
            PlanResult::Success
            | PlanResult::Error
            | PlanResult::Cancelled
            | PlanResult::Reverted => None,
        });
    }
    match (plan.state, plan.result, plan.reason) {
        (PlanState::Pending | PlanState::Running, _, _) => Ok(Some(format!(
            "the image is stored and not published yet: {headline}; task {}: {url}",
            plan.id
        ))),
        (PlanState::Paused, _, _) => Err(OciError::Paused {
            headline,
            task: plan.id,
            step: failed_step(task),
            url,
        }),
        (PlanState::Stopped, PlanResult::Error, _) => Err(OciError::Denied(format!(
            "{headline}; task {}: {url}",
            plan.id
        ))),
        (PlanState::Stopped, _, Some(Reason::Superseded)) => {
            Ok(Some(format!("{headline}; task {}: {url}", plan.id)))
        }
        (PlanState::Stopped, PlanResult::Success | PlanResult::Warning, _) => Ok(None),
        (
            PlanState::Stopped,
            PlanResult::Pending | PlanResult::Cancelled | PlanResult::Reverted,
            _,
        ) => Err(OciError::Ended {
            headline,
            task: plan.id,
            url,
        }),
    }
}

fn failed_step(task: &Task) -> Option<String> {
    let mut steps = task.steps.iter().flatten();
    let failed = steps.find(|step| step.state == StepState::Error.to_string());
    failed.map(|step| step.name.clone())
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use engine::journal::PlanId;
    use http::StatusCode;
    use uuid::Uuid;

    use super::*;

    /// What a client is told of a push in this state, with its steps left out.
    fn told(
        state: PlanState,
        result: PlanResult,
        reason: Option<Reason>,
    ) -> Result<Option<String>, OciError> {
        let mut plan = Plan::empty(PlanId(Uuid::nil()));
        (plan.state, plan.result, plan.reason) = (state, result, reason);
        let task = Task::of(&plan, &[], &[], Timestamp(0));
        of(&plan, &task, "http://hub/tasks/0".to_owned())
    }

    #[test]
    fn a_push_that_is_done_is_nothing_to_talk_about() {
        assert_eq!(
            told(PlanState::Stopped, PlanResult::Success, None).unwrap(),
            None
        );
    }

    #[test]
    fn one_that_still_runs_is_a_warning_with_the_task() {
        let warning = told(PlanState::Running, PlanResult::Pending, None)
            .unwrap()
            .unwrap();

        assert!(
            warning.starts_with("the image is stored and not published yet: "),
            "{warning}"
        );
        assert!(
            warning.ends_with(&format!("task {}: http://hub/tasks/0", Uuid::nil())),
            "{warning}"
        );
    }

    #[test]
    fn one_that_needs_a_person_is_424_with_the_task_and_a_warning_of_the_same_words() {
        let paused = told(PlanState::Paused, PlanResult::Error, Some(Reason::Error)).unwrap_err();

        assert_eq!(paused.wire(), (StatusCode::FAILED_DEPENDENCY, "UNKNOWN"));
        assert!(
            paused.to_string().contains("http://hub/tasks/0"),
            "{paused}"
        );
    }

    #[test]
    fn one_that_failed_for_good_is_denied() {
        let denied = told(PlanState::Stopped, PlanResult::Error, None).unwrap_err();

        assert_eq!(denied.wire(), (StatusCode::FORBIDDEN, "DENIED"));
    }

    #[test]
    fn one_that_a_later_one_made_pointless_is_a_warning_and_one_that_was_cancelled_is_not_published()
     {
        assert!(
            told(
                PlanState::Stopped,
                PlanResult::Cancelled,
                Some(Reason::Superseded)
            )
            .unwrap()
            .is_some()
        );
        let cancelled = told(
            PlanState::Stopped,
            PlanResult::Cancelled,
            Some(Reason::Operator),
        )
        .unwrap_err();
        assert_eq!(cancelled.wire(), (StatusCode::FAILED_DEPENDENCY, "UNKNOWN"));
    }
}
