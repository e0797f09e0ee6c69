//! Who asks: checks what a request shows as credentials, for the OCI API and REST alike.
//!
//! What that person may do is the matter of `workflows::permission`; what a token is good for is judged by who uses it.

mod basic;
pub(crate) mod challenge;
pub(crate) mod passwords;
pub(crate) mod scope;
pub(crate) mod tokens;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use storage::catalog::CatalogError;
use storage::catalog::users::{self, User};
use storage::database::DatabaseError;

use crate::app::App;
use crate::http::asked_by;
use basic::Basic;
use passwords::PasswordError;
use scope::Scope;
use tokens::TokenError;

/// Who asks, and how far what was shown reaches.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The user; none is anonymous, with or without a token that says so.
    pub(crate) user: Option<User>,
    /// What was shown.
    pub(crate) via: Via,
}

/// What a request showed to say who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Nothing.
    Anonymous,
    /// Login and password.
    Basic,
    /// A token of `/v2/token`, good for its scope only.
    Bearer(Scope),
}

impl Subject {
    /// The login, for the log and for messages.
    pub(crate) fn login(&self) -> &str {
        self.user.as_ref().map_or("anonymous", |user| &user.login)
    }
}

/// Why what was shown does not count. All of it is answered 401, but for a database that fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// One text for an unknown login, a wrong password and a disabled user: who guesses learns nothing.
    #[error("the login or the password is wrong")]
    WrongPassword,
    /// Not `Basic <base64 of login:password>`.
    #[error("the Authorization header is not `Basic` or `Bearer` with what belongs to it")]
    Unreadable,
    /// The token is not one of ours, not for this service, or no longer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The user of the token has been disabled or removed since.
    #[error("the user of this token may no longer log in")]
    UserGone,
    /// Passwords could not be computed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The users could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<DatabaseError> for AuthError {
    fn from(error: DatabaseError) -> Self {
        Self::Catalog(error.into())
    }
}

/// Who asks, by the `Authorization` header; without one, nobody known.
pub(crate) async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Subject, AuthError> {
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Ok(Subject {
            user: None,
            via: Via::Anonymous,
        });
    };
    let shown = shown.to_str().map_err(|_| AuthError::Unreadable)?;
    let (scheme, rest) = shown.split_once(' ').ok_or(AuthError::Unreadable)?;
    let subject = if scheme.eq_ignore_ascii_case("basic") {
        let basic = Basic::parse(rest.trim()).ok_or(AuthError::Unreadable)?;
        Subject {
            user: Some(log_in(app, basic).await?),
            via: Via::Basic,
        }
    } else if scheme.eq_ignore_ascii_case("bearer") {
        by_token(app, headers, rest.trim()).await?
    } else {
        return Err(AuthError::Unreadable);
    };
    asked_by(subject.login());
    Ok(subject)
}

/// The user with this login, if the password is theirs and they may log in.
async fn log_in(app: &App, basic: Basic) -> Result<User, AuthError> {
    let known = {
        let mut tx = app.services.database.read().await?;
        users::credentials(&mut tx, &basic.login).await?
    };
    // An unknown login costs as much time as a wrong password, so that the time tells nobody which logins exist.
    let (user, stored) = known.map(|known| (known.user, known.password_hash)).unzip();
    let right = passwords::verify(basic.password, stored).await?;
    user.filter(|user| right && user.enabled)
        .ok_or(AuthError::WrongPassword)
}

async fn by_token(app: &App, headers: &HeaderMap, token: &str) -> Result<Subject, AuthError> {
    let service = challenge::service(&app.config, headers);
    let claims = app
        .tokens
        .check(token, &service, app.services.clock.now())?;
    let user = if claims.is_anonymous() {
        None
    } else {
        let mut tx = app.services.database.read().await?;
        let user = users::find(&mut tx, &claims.sub).await?;
        Some(
            user.filter(|user| user.enabled)
                .ok_or(AuthError::UserGone)?,
        )
    };
    Ok(Subject {
        user,
        via: Via::Bearer(claims.scope()),
    })
}
