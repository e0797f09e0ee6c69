//! Personal tokens and those of robots: what they look like, and whose they are.

use secrecy::{ExposeSecret, SecretString};
use storage::catalog::CatalogError;
use storage::catalog::tokens::{self, Token};
use storage::catalog::users::{self, User};
use tracing::warn;
pub(crate) use workflows::secret::{Secret, is_token as is_one};

use crate::app::App;

/// The token and its user, if both count now. Its use is noted.
pub(super) async fn find(
    app: &App,
    shown: &SecretString,
) -> Result<Option<(User, Token)>, CatalogError> {
    let now = app.services.clock.now();
    let mut tx = app.services.database.look_up().await?;
    let found =
        tokens::by_secret(&mut tx, &workflows::secret::sha256(shown.expose_secret())).await?;
    let Some(token) = found.filter(|token| token.counts_at(now)) else {
        return Ok(None);
    };
    let user = users::get(&mut tx, token.user).await?;
    drop(tx);
    let Some(user) = user.filter(|user| user.enabled) else {
        return Ok(None);
    };
    if token.use_is_news(now) {
        let id = token.id;
        let noted = app
            .services
            .database
            .transact(move |tx| Box::pin(tokens::note_use(tx, id, now)))
            .await;
        // On a full disk one can still log in, to free space.
        if let Err(error) = noted.map_err(CatalogError::from).flatten() {
            warn!(%error, "the use of token {id} of {} was not noted", user.login);
        }
    }
    Ok(Some((user, token)))
}
