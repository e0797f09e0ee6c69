//! `POST /webhooks/{id}/test`: an event of no meaning, to see whether one arrives.

use std::sync::Arc;

use axum::extract::State;
use storage::catalog::WebhookId;
use storage::catalog::audit::Action;
use workflows::deliver_webhook::{TellError, submit_test};

use crate::api::answer::{Accepted, BegunTask};
use crate::api::caller::Caller;
use crate::api::path::Path;
use crate::api::problem::Problem;
use crate::app::App;

pub(in crate::api) async fn send_test(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<Accepted<BegunTask>, Problem> {
    let webhook = {
        let mut tx = app.services.database.read().await?;
        super::visible(&mut tx, &caller, id).await?
    };
    let entry = caller.does(Action::RunNow, format!("webhook {}", webhook.name));
    let (source, login) = (app.config.base_url(), &caller.user.login);
    let begun = submit_test(&app.node, &webhook, &source, login, entry).await;
    let task_id = begun.map_err(|error| match error {
        TellError::Catalog(error) => Problem::from(error),
        TellError::Node(error) => error.into(),
    })?;
    Ok(Accepted(BegunTask { task_id }))
}
