//! What a smart proxy decides itself: who may pull what it holds. It knows no users; its main server signs their tokens, and cuts them down
//! to what they may.

use std::sync::Arc;
use std::time::Duration;

use engine::clock::Timestamp;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use storage::catalog::CatalogError;
use storage::mirror as held;
use tokio_util::sync::CancellationToken;
use workflows::destination::PushName;
use workflows::mirror::{ANSWERS_A_PULL_WITHIN, Mirror, Unreachable, is_of_a_gateway};

use super::got::{Got, Key};
use super::pass_on;
use super::verdicts::Verdicts;
use crate::app::App;
use crate::auth::challenge::{Challenge, KnownAs};
use crate::auth::scope::{Access, RepositoryAction, Scope};
use crate::auth::tokens::{Claims, TokenError};
use crate::auth::{Subject, Via};
use crate::oci::OciError;

/// A token got for somebody who shows a password is used again until so shortly before its end.
const BEFORE_ITS_END: Duration = Duration::from_mins(1);
/// Within this a main server answers that is back, as long as it is not on another continent: the others are noticed a few seconds later.
const IS_BACK_WITHIN: Duration = Duration::from_millis(250);

/// What makes this process a smart proxy.
pub(crate) struct Proxy {
    /// What it does for its main server.
    pub(crate) mirror: Mirror,
    verdicts: Verdicts,
    got: Got,
}

impl Proxy {
    /// A proxy that serves what this mirror holds.
    pub(crate) fn new(mirror: Mirror) -> Self {
        Self {
            mirror,
            verdicts: Verdicts::default(),
            got: Got::default(),
        }
    }

    /// Notes in the request by which name tokens for this proxy are known; refused as long as it is none of a main server's.
    pub(crate) fn name(&self, head: &mut Parts) -> Result<(), OciError> {
        super::passed_on::take_away(&mut head.headers);
        let told = self.mirror.told().ok_or_else(|| {
            let url = self.mirror.upstream().url();
            let not_heard = || format!("it has heard nothing of its main server at {url} yet");
            OciError::NotServing {
                why: self.mirror.turned_away().unwrap_or_else(not_heard),
            }
        })?;
        head.extensions.insert(KnownAs {
            service: told.service.clone(),
            origin: None,
        });
        Ok(())
    }

    /// The main server did not answer a moment ago.
    pub(crate) fn main_is_down(&self) -> bool {
        self.verdicts.is_down()
    }

    /// Whether the main server answers, now or a moment ago. One that did not answer a moment ago may be back: it is asked, but not
    /// waited for.
    pub(crate) async fn main_answers(&self) -> bool {
        let known = self.verdicts.answers();
        let within = match known {
            Some(true) => return true,
            Some(false) => IS_BACK_WITHIN,
            None => ANSWERS_A_PULL_WITHIN,
        };
        let answers = self.mirror.upstream().answers(within).await;
        match (answers, known) {
            (true, _) => self.verdicts.note_up(),
            (false, None) => self.verdicts.note_down(),
            // It may only be further away than that.
            (false, Some(_)) => {}
        }
        answers
    }

    /// The main server has just not answered.
    pub(crate) fn note_main_down(&self) {
        self.verdicts.note_down();
    }

    /// When something was brought last, for who asks for what is not here.
    pub(crate) async fn synced_at(&self, app: &App) -> Option<Timestamp> {
        let mut tx = app.services.database.look_up().await.ok()?;
        held::last_synced(&mut tx).await.ok()?
    }

    /// Who asks, and for what they may pull here.
    pub(crate) async fn subject(
        &self,
        app: &App,
        head: &Parts,
        name: Option<&PushName>,
        challenge: &Challenge,
    ) -> Result<Subject, OciError> {
        let unauthorized =
            |why: String, challenge: Challenge| OciError::Unauthorized { why, challenge };
        let Some(shown) = head.headers.get(AUTHORIZATION) else {
            return Ok(by(Via::Anonymous));
        };
        let text = shown.to_str().unwrap_or_default();
        let got;
        let mut key = None;
        let is_bearer = text
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        let token = if is_bearer && !crate::auth::personal_tokens::is_one(text[7..].trim()) {
            text[7..].trim()
        } else {
            let wanted = name.map(|name| format!("repository:{name}:pull"));
            let shown_for = *key.insert(Key::of(shown, wanted.as_deref()));
            got = match self.got.find(shown_for, app.services.clock.now()) {
                Some(token) => token,
                None => {
                    self.token_for(app, head, shown, shown_for, wanted.as_deref(), challenge)
                        .await?
                }
            };
            got.as_str()
        };
        let service = crate::auth::challenge::service(&app.config, head);
        let now = app.services.clock.now();
        let claims = app.tokens.check(token, &service, now);
        let claims = claims.map_err(|error: TokenError| {
            self.got.forget(key);
            unauthorized(error.to_string(), challenge.clone().invalid_token())
        })?;
        let scope = self.scope_now(app, token, &claims).await?;
        // Who may more by now than when it was signed is to see that.
        let is_enough = scope.as_ref().is_some_and(|scope| {
            name.is_none_or(|name| scope.covers(name.as_str(), RepositoryAction::Pull))
        });
        if !is_enough {
            self.got.forget(key);
        }
        let gone = || {
            let why = "this token does not count any more; log in again".to_owned();
            unauthorized(why, challenge.clone().invalid_token())
        };
        Ok(by(Via::Bearer {
            scope: scope.ok_or_else(gone)?,
            expired_at: None,
        }))
    }

    /// What the token is good for, as the main server says now, or said last; none: for nothing any more.
    async fn scope_now(
        &self,
        app: &App,
        token: &str,
        claims: &Claims,
    ) -> Result<Option<Scope>, OciError> {
        let sha256: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.verdicts.of(&sha256);
        if let Some((verdict, true)) = &known {
            return Ok(verdict.scope.clone());
        }
        let last = match known {
            Some((verdict, _)) => verdict.scope,
            // It may have been refused before a restart.
            None if self.is_refused(app, &sha256).await? => return Ok(None),
            None => Some(claims.scope()),
        };
        if self.verdicts.is_down() {
            return Ok(last);
        }
        match self.mirror.upstream().introspect(token).await {
            Ok(counts) => {
                let scope = counts.active.then(|| scope_of(counts.access));
                if scope.is_none() {
                    self.refuse(app, sha256, claims.expires_at()).await?;
                }
                self.verdicts.note(sha256, scope.clone());
                Ok(scope)
            }
            Err(error) => {
                if matches!(error, Unreachable::Silent { .. }) {
                    self.verdicts.note_down();
                }
                if matches!(error, Unreachable::Stranger { .. }) {
                    return Ok(None); // this proxy is not its any more
                }
                tracing::debug!("{error}; a token counts as it did before");
                Ok(last)
            }
        }
    }

    async fn is_refused(&self, app: &App, sha256: &[u8; 32]) -> Result<bool, OciError> {
        let mut tx = app.services.database.look_up().await?;
        Ok(held::refused_token(&mut tx, sha256).await?)
    }

    async fn refuse(
        &self,
        app: &App,
        sha256: [u8; 32],
        expires_at: Timestamp,
    ) -> Result<(), OciError> {
        let refused = held::Refused { sha256, expires_at };
        let at = app.services.clock.now();
        let written = app
            .services
            .database
            .transact(move |tx| Box::pin(async move { held::refuse_token(tx, refused, at).await }));
        Ok(written.await.map_err(CatalogError::from)??)
    }

    /// A token for who shows a password, or a personal token, with each request: the main server checks it.
    async fn token_for(
        &self,
        app: &App,
        head: &Parts,
        shown: &HeaderValue,
        key: Key,
        wanted: Option<&str>,
        challenge: &Challenge,
    ) -> Result<String, OciError> {
        let now = app.services.clock.now();
        let service = crate::auth::challenge::service(&app.config, head);
        let mut asked = format!("/v2/token?service={service}");
        if let Some(wanted) = wanted {
            asked.push_str("&scope=");
            asked.push_str(wanted);
        }
        let upstream = self.mirror.upstream();
        let request = upstream.passed_on(Method::GET, &asked);
        let request =
            pass_on::signed(request, upstream, app, head).header(AUTHORIZATION, shown.clone());
        let down = |why: String, synced_at| OciError::MainServerDown {
            why,
            synced_at,
            writes: false,
        };
        let answer = match request.timeout(pass_on::LOGS_IN_WITHIN).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let why = upstream.silent(error).to_string();
                return Err(down(why, self.synced_at(app).await));
            }
        };
        let status = answer.status();
        match status {
            StatusCode::UNAUTHORIZED => {
                return Err(OciError::Unauthorized {
                    why: "the login or the password is wrong".to_owned(),
                    challenge: challenge.clone(),
                });
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = answer.headers().get(RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
                return Err(OciError::TooManyFailures {
                    wait: Duration::from_secs(wait.unwrap_or(1)),
                });
            }
            StatusCode::FORBIDDEN => {
                let why = "the main server gives no tokens for this smart proxy; add it there, or enable it";
                return Err(OciError::Denied(why.to_owned()));
            }
            status if is_of_a_gateway(status) => {
                let why = upstream.hidden(status).to_string();
                return Err(down(why, self.synced_at(app).await));
            }
            _ => {}
        }
        let body: Option<Value> = answer.json().await.ok();
        let token = body.as_ref().and_then(|body| body["token"].as_str());
        let Some(token) = token.filter(|_| status.is_success()) else {
            return Err(down(
                format!("it answers {status}"),
                self.synced_at(app).await,
            ));
        };
        let lifetime = body.as_ref().and_then(|body| body["expires_in"].as_u64());
        let lifetime = Duration::from_secs(lifetime.unwrap_or(0)).saturating_sub(BEFORE_ITS_END);
        self.got.keep(key, token.to_owned(), now + lifetime, now);
        Ok(token.to_owned())
    }
}

/// Checks tokens with the keys that the main server tells, from then on.
pub(crate) async fn keep_keys(app: Arc<App>, stop: CancellationToken) {
    let Some(proxy) = &app.proxy else { return };
    let mut told = proxy.mirror.watch_told();
    loop {
        if let Some(told) = told.borrow_and_update().clone() {
            app.tokens.replace_keys_of_another(&told.keys);
        }
        match stop.run_until_cancelled(told.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

fn scope_of(access: Option<Value>) -> Scope {
    match access {
        None => Scope::Login,
        Some(access) => {
            Scope::Only(serde_json::from_value::<Vec<Access>>(access).unwrap_or_default())
        }
    }
}

fn by(via: Via) -> Subject {
    Subject {
        user: None,
        via,
        personal_token: None,
    }
}
