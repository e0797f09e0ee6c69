//! Deletes upload sessions that nobody has gone on with for longer than `upload_expiry`, with what had come.

use super::run::{Figures, Run};
use super::{Cleanup, policy};
use crate::error::Failed;
use engine::step::{Context, Declared, Policy, Step, StepError};
use serde::{Deserialize, Serialize};
use storage::content::delete_expired;
use storage::garbage::objects;

/// What was deleted; in a dry run, what would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredUploads {
    /// How many sessions.
    pub sessions: u64,
    /// How many bytes had come.
    pub bytes: u64,
    /// False: it was cancelled before it had seen all.
    pub complete: bool,
}

/// Looks at all upload sessions, the one first that was left alone longest.
pub struct ExpireUploads;

impl Declared for ExpireUploads {
    const NAME: &'static str = "expire_uploads";
    const POLICY: Policy = policy();
    type Workflow = Cleanup;
    type Needs = ();
    type Output = ExpiredUploads;
}

impl Step for ExpireUploads {
    async fn run(
        &self,
        cx: &Context<Cleanup>,
        input: &Cleanup,
        (): (),
    ) -> Result<ExpiredUploads, StepError> {
        let mut run = Run::begin(cx, input, Self::NAME, None).await?;
        if run.is_dry() {
            let content = &cx.services.content;
            let would = content.expired_uploads(run.rules.touched_before).await;
            let would = would.map_err(Failed::from)?;
            run.would("sessions", would.sessions);
            run.would("bytes", would.bytes);
        } else {
            expire(&mut run).await?;
        }
        let told = run.end().await?;
        Ok(ExpiredUploads {
            sessions: told.figure("sessions"),
            bytes: told.figure("bytes"),
            complete: told.complete,
        })
    }
}

async fn expire(run: &mut Run<'_>) -> Result<(), Failed> {
    let content = run.cx.services.content.clone();
    let before = run.rules.touched_before;
    let mut after = None;
    while run.goes_on() {
        // Held until its objects are gone: nobody writes to one without a row.
        let idle = content.idle_uploads(before, after).await?;
        if idle.next.is_none() {
            break;
        }
        after = idle.next;
        let (sessions, at) = (idle.sessions.clone(), run.cx.clock().now());
        let objects = run.batch(move |tx| {
            Box::pin(async move {
                let (expired, objects) = delete_expired(tx, &sessions, before, at).await?;
                let figures = [("sessions", expired.sessions), ("bytes", expired.bytes)];
                Ok((objects, Figures::from(figures)))
            })
        });
        let objects = objects.await?;
        let gone = content.discard_uploads(objects).await;
        drop(idle);
        let forgotten = run.batch(move |tx| {
            Box::pin(async move {
                objects::forget(tx, &gone).await?;
                Ok(((), Figures::new()))
            })
        });
        forgotten.await?;
    }
    Ok(())
}
