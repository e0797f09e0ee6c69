//! What the steps of a push have in common where the content backend is a Pulp.

use super::Push;
use crate::error::Failed;
use crate::gate;
use engine::step::{Context, Policy, StepError};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::content::ContentError;
use storage::content::pulp::{Asked, InPulp, Pulp};

/// Of a step that is done when it is answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum NoTicket {}

/// Its tasks take a quarter of a second where nothing else is to do. One whose worker was killed is given up by Pulp after a quarter
/// of an hour at most, with its usual settings; until then nobody can do anything.
pub(super) const fn in_pulp() -> Policy {
    Policy::idempotent()
        .gate(gate::PULP)
        .polled(Duration::from_millis(100), Duration::from_secs(1))
        .suspended_at_most(Duration::from_mins(20))
}

/// Pulp takes in some megabytes a second at worst, and a push may be many gigabytes.
pub(super) const CARRIED_WITHIN: Duration = Duration::from_hours(4);

/// Hardly any task of Pulp is done sooner.
pub(super) const SOONEST: Duration = Duration::from_millis(250);

pub(super) fn pulp(cx: &Context<Push>) -> Result<&Pulp, StepError> {
    let pulp = cx.services.content.pulp();
    pulp.ok_or_else(|| {
        StepError::permanent("this push was begun on a Pulp, which is not the backend now")
    })
}

/// What was pushed, as Pulp knows it.
pub(super) async fn find(cx: &Context<Push>, push: &Push) -> Result<InPulp, StepError> {
    let (content, to) = (&cx.services.content, push.to.id);
    let (pulp, tagged, digests) = (pulp(cx)?, push.tagged(), &push.digests);
    let find = || content.find_in_push_repository(pulp, to, tagged, digests);
    let found = match find().await {
        // What is in no version may have been swept there since it was sent.
        Err(ContentError::Absent { .. }) => {
            let sent = content.send_to_push_repository(pulp, to, tagged, digests);
            sent.await.map_err(Failed::from)?;
            find().await
        }
        found => found,
    };
    Ok(found.map_err(Failed::from)?)
}

/// The first attempt of a step by its first owner has not asked before.
pub(super) fn asked(cx: &Context<Push>) -> Asked {
    Asked {
        key: cx.idempotency_key(),
        again: cx.attempt() > 1 || cx.epoch() > 0,
    }
}
