//! What Pulp makes for a first push can be pulled by everybody who reaches Pulp, until it is made private: soon, and without any
//! push waiting for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::App;

/// How often it is looked for. Nobody but Wharfinger should reach Pulp anyway.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(10);

/// Hides it, until the server stops. Without a Pulp there is nothing to do.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let content = &app.services.content;
    let Some(pulp) = content.pulp() else { return };
    let look = async {
        loop {
            match content.hide_what_is_open(pulp).await {
                Ok(0) => {}
                Ok(n) => info!("{n} repositories that pushes made in Pulp are private now"),
                Err(error) => {
                    warn!(%error, "what pushes made in Pulp is not private yet; the next look does it: {error}");
                }
            }
            tokio::time::sleep(LOOKED_FOR_EVERY).await;
        }
    };
    stop.run_until_cancelled(look).await;
}
