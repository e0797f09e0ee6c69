//! The keys that sign tokens are replaced from time to time; the one before still checks, so that no token ends early.

use std::sync::Arc;
use std::time::Duration;

use engine::clock::Timestamp;
use storage::catalog::CatalogError;
use storage::catalog::settings;
use storage::catalog::signing_keys::{self, SigningKey};
use storage::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::tokens::{TokenError, Tokens};
use crate::app::App;

/// How often the age of the newest key is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_hours(24);

/// The newest signs; the one before it checks what it has signed.
const KEPT: u32 = 2;

const DAY: Duration = Duration::from_hours(24);

/// Why the keys were not replaced: the old ones stay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Key(#[from] TokenError),
}

/// The keys to sign and check with, newest first; a new one was made if the newest had served its time.
pub(crate) async fn keys(
    database: &Database,
    now: Timestamp,
) -> Result<Vec<SigningKey>, RotationError> {
    let new = Tokens::new_key(now)?;
    let work = database.transact(move |tx| {
        Box::pin(async move {
            let days = settings::signing_key_days(tx).await?;
            let served = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
            let known = signing_keys::all(tx).await?;
            let newest = known.first().map(|key| key.created_at);
            if newest.is_none_or(|since| now.since(since) >= served) {
                signing_keys::put(tx, &new).await?;
                signing_keys::keep_newest(tx, KEPT).await?;
                info!("tokens are signed with the new key {} from now on", new.id);
            }
            signing_keys::all(tx).await
        })
    });
    Ok(work.await??)
}

/// Looks every day whether the newest key has served its time, until the server stops.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOKED_AT_EVERY) => {}
        }
        if let Err(error) = rotate(&app).await {
            error!(%error, "the keys that sign tokens could not be looked after; the present ones stay");
        }
    }
}

async fn rotate(app: &App) -> Result<(), RotationError> {
    let keys = keys(&app.services.database, app.services.clock.now()).await?;
    app.tokens.replace_keys(&keys)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    async fn ids_at(database: &Database, days: u32) -> Vec<String> {
        let keys = keys(database, START + DAY * days).await.unwrap();
        keys.into_iter().map(|key| key.id).collect()
    }

    #[tokio::test]
    async fn a_key_signs_for_thirty_days_and_checks_for_thirty_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("wharfinger.db"))
            .await
            .unwrap();

        let first = ids_at(&database, 0).await;
        let same = ids_at(&database, 29).await;
        let second = ids_at(&database, 30).await;
        let third = ids_at(&database, 60).await;

        assert_eq!(first, same);
        assert_eq!(second[1..], first[..]);
        assert_eq!(third[1..], second[..1]);
    }
}
