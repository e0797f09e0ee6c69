//! Who asks: checks what a request shows as credentials, for the OCI API and REST alike.
//!
//! What that person may do is the matter of `workflows::permission`; what a token is good for is judged by who uses it.

mod basic;
pub(crate) mod challenge;
pub(crate) mod failed_logins;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub(crate) mod key_rotation;
pub(crate) mod passwords;
pub(crate) mod personal_tokens;
pub(crate) mod scope;
pub(crate) mod tokens;
mod turns;

use std::net::IpAddr;

use engine::clock::Timestamp;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use storage::catalog::CatalogError;
use storage::catalog::audit::Action;
use storage::catalog::roles::Permission;
use storage::catalog::tokens::Token;
use storage::catalog::users::{self, User};
use storage::database::DatabaseError;

use crate::app::App;
use crate::audit::{self, Refusal};
use crate::http::{Peer, asked_by};
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
    /// The personal token that was shown, or that was shown to get the token that was.
    pub(crate) personal_token: Option<Token>,
}

/// What a request showed to say who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Nothing.
    Anonymous,
    /// Login and password.
    Password,
    /// A personal token, alone or in place of a password.
    PersonalToken,
    /// A token of `/v2/token`, good for its scope only.
    Bearer {
        /// What it is good for.
        scope: Scope,
        /// When its time was over; none: it is not. Only for who asked with [`Expired::Accepted`].
        expired_at: Option<Timestamp>,
    },
}

/// What is to be done with a token of `/v2/token` whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// It does not count.
    Refused,
    /// It still says who asks; the caller judges what for.
    Accepted,
}

impl Subject {
    fn anonymous(via: Via) -> Self {
        Self {
            user: None,
            via,
            personal_token: None,
        }
    }

    /// The login, for the log and for messages.
    pub(crate) fn login(&self) -> &str {
        self.user.as_ref().map_or("anonymous", |user| &user.login)
    }

    /// True unless what was shown is a personal token that does not give the permission, though its user may have it.
    pub(crate) fn gives(&self, permission: Permission) -> bool {
        let token = self.personal_token.as_ref();
        token
            .and_then(|token| token.scope)
            .is_none_or(|scope| scope.contains(permission))
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
    /// The token was got with a password that has been changed since.
    #[error("the password has been changed since this token was got; log in again")]
    PasswordChanged,
    /// The personal token is none of ours, was revoked, or its time is over.
    #[error("the personal token is not known here, was revoked or has expired")]
    TokenGone,
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

/// The address a request came from, as far as it is known.
pub(crate) fn address(head: &Parts) -> Option<IpAddr> {
    peer(&head.extensions)
}

/// As [`address`], of a request with these extensions.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0.ip())
}

/// What an `Authorization` header holds.
enum Shown<'a> {
    /// There is none.
    Nothing,
    /// Login and password; that may be a personal token.
    Password(Basic),
    /// A personal token alone.
    PersonalToken(SecretString),
    /// What should be a token of `/v2/token`.
    Token(&'a str),
}

impl<'a> Shown<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, AuthError> {
        let Some(shown) = headers.get(AUTHORIZATION) else {
            return Ok(Self::Nothing);
        };
        let shown = shown.to_str().map_err(|_| AuthError::Unreadable)?;
        let (scheme, rest) = shown.split_once(' ').ok_or(AuthError::Unreadable)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let basic = Basic::parse(rest).ok_or(AuthError::Unreadable)?;
            Ok(Self::Password(basic))
        } else if !scheme.eq_ignore_ascii_case("bearer") {
            Err(AuthError::Unreadable)
        } else if personal_tokens::is_one(rest) {
            Ok(Self::PersonalToken(rest.into()))
        } else {
            Ok(Self::Token(rest))
        }
    }
}

/// Who asks, by the `Authorization` header; without one, nobody known.
pub(crate) async fn authenticate(
    app: &App,
    head: &Parts,
    expired: Expired,
) -> Result<Subject, AuthError> {
    let subject = match Shown::of(&head.headers)? {
        Shown::Nothing => return Ok(Subject::anonymous(Via::Anonymous)),
        Shown::Password(basic) => log_in(app, basic, address(head)).await,
        Shown::PersonalToken(secret) => {
            let found = personal_tokens::find(app, &secret).await?;
            found.map(by_personal_token).ok_or(AuthError::TokenGone)
        }
        Shown::Token(token) => by_token(app, head, token, expired).await,
    };
    if let Err(gone @ AuthError::TokenGone) = &subject {
        let what = "a personal token".to_owned();
        write_down(app, what, address(head), gone).await;
    }
    let subject = subject?;
    asked_by(subject.login());
    Ok(subject)
}

fn by_personal_token((user, token): (User, Token)) -> Subject {
    Subject {
        user: Some(user),
        via: Via::PersonalToken,
        personal_token: Some(token),
    }
}

/// The user with this login, if the password is theirs, or a token of theirs, and they may log in.
async fn log_in(app: &App, basic: Basic, from: Option<IpAddr>) -> Result<Subject, AuthError> {
    if personal_tokens::is_one(basic.password.expose_secret()) {
        let found = personal_tokens::find(app, &basic.password).await?;
        if let Some(found) = found.filter(|(user, _)| same_login(&user.login, &basic.login)) {
            return Ok(by_personal_token(found));
        }
    }
    let known = {
        let mut tx = app.services.database.look_up().await?;
        users::credentials(&mut tx, &basic.login).await?
    };
    // An unknown login costs as much time as a wrong password, so that the time tells nobody which logins exist.
    // So does a robot, which has no password.
    let (user, stored) = known.map(|known| (known.user, known.password_hash)).unzip();
    let stored = stored.filter(|hash| !hash.is_empty());
    let now = app.services.clock.now();
    let attempt = app.failed_logins.attempt(&basic.login, from, now);
    let right = passwords::verify(basic.password, stored, &attempt).await;
    match (user, right) {
        (Some(user), Ok(true)) if user.enabled => Ok(Subject {
            user: Some(user),
            via: Via::Password,
            personal_token: None,
        }),
        (_, Ok(_)) => {
            refused(app, &basic.login, from, &AuthError::WrongPassword).await;
            Err(AuthError::WrongPassword)
        }
        (_, Err(error)) => {
            let error = AuthError::from(error);
            refused(app, &basic.login, from, &error).await;
            Err(error)
        }
    }
}

fn same_login(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Writes a refused login into the audit. What was typed as a login may be a password by mistake, so only that of a user
/// is written.
async fn refused(app: &App, login: &str, from: Option<IpAddr>, why: &AuthError) {
    let known = async {
        let mut tx = app.services.database.look_up().await.ok()?;
        users::find(&mut tx, login).await.ok()?
    };
    let subject = match known.await {
        Some(user) => format!("user {}", user.login),
        None => "user unknown".to_owned(),
    };
    write_down(app, subject, from, why).await;
}

async fn write_down(app: &App, subject: String, from: Option<IpAddr>, why: &AuthError) {
    let refusal = Refusal {
        actor: String::new(),
        action: Action::LogIn,
        subject,
        task: None,
        alike: None,
        from,
        reason: why.to_string(),
    };
    audit::refused(app, refusal).await;
}

async fn by_token(
    app: &App,
    head: &Parts,
    token: &str,
    expired: Expired,
) -> Result<Subject, AuthError> {
    let service = challenge::service(&app.config, head);
    let now = app.services.clock.now();
    let (claims, expired_at) = match app.tokens.check(token, &service, now) {
        Err(TokenError::Expired(at)) if expired == Expired::Accepted => {
            let claims = app.tokens.check_but_for_its_end(token, &service, now)?;
            (claims, Some(at))
        }
        checked => (checked?, None),
    };
    let via = Via::Bearer {
        scope: claims.scope(),
        expired_at,
    };
    if claims.is_anonymous() {
        return Ok(Subject::anonymous(via));
    }
    let mut tx = app.services.database.look_up().await?;
    let user = users::find(&mut tx, &claims.sub)
        .await?
        .filter(|user| user.enabled)
        .ok_or(AuthError::UserGone)?;
    if !claims.outlives_passwords_of(&user) {
        return Err(AuthError::PasswordChanged);
    }
    let personal_token = match claims.personal_token {
        None => None,
        Some(id) => {
            let found = storage::catalog::tokens::get(&mut tx, id).await?;
            let counts = |token: &Token| token.user == user.id && token.counts_at(now);
            Some(found.filter(counts).ok_or(AuthError::TokenGone)?)
        }
    };
    Ok(Subject {
        user: Some(user),
        via,
        personal_token,
    })
}
