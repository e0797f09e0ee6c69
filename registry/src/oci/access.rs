//! Who may do what with the name in a request, and how the others are refused.
//!
//! The subject is judged first: who has no right is refused whatever the token says; who has the right but shows a
//! too narrow token is told to get another. What somebody may not pull does not exist for them.

use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;
use storage::catalog::grants::Place;
use storage::catalog::roles::Permission;
use storage::catalog::users::User;
use storage::content::Upload;
use storage::database::Tx;
use workflows::destination::{
    Destination, PushName, ResolveError, Resolved, make, resolve, resolve_published,
};
use workflows::permission::{
    Denied, Puller, Verdict, holds, holds_everywhere, judge_push, may_pull, needed_for_push,
};

use super::error::OciError;
use super::request::OciRequest;
use crate::app::App;
use crate::auth::challenge::Challenge;
use crate::auth::passwords::PasswordError;
use crate::auth::scope::RepositoryAction;
use crate::auth::tokens::{Holder, TokenError};
use crate::auth::{self, AuthError, Expired, Subject, Via};

/// How long after its opening an upload session carries its own right, for a client whose token has expired meanwhile.
const SESSION_RIGHT: Duration = Duration::from_hours(24);

/// Who sends a request, and with what head.
pub(super) struct Caller<'a> {
    /// The registry that was asked.
    pub(super) app: &'a App,
    /// Method, URL, headers and extensions of the request.
    pub(super) head: &'a Parts,
    subject: Subject,
}

impl<'a> Caller<'a> {
    /// Who sends the request with this head, refused if what it shows as credentials does not count.
    pub(super) async fn of(
        app: &'a App,
        head: &'a Parts,
        wanted: &OciRequest,
    ) -> Result<Self, OciError> {
        let challenge = || Challenge::new(&app.config, head);
        let expired = if wanted.is_of_an_upload_session() {
            Expired::Accepted
        } else {
            Expired::Refused
        };
        if let Some(proxy) = &app.proxy {
            let subject = proxy
                .subject(app, head, wanted.repository(), &challenge())
                .await?;
            return Ok(Self { app, head, subject });
        }
        let subject = auth::authenticate(app, head, expired)
            .await
            .map_err(|error| {
                let why = error.to_string();
                match error {
                    AuthError::WrongPassword | AuthError::Unreadable => OciError::Unauthorized {
                        why,
                        challenge: challenge(),
                    },
                    AuthError::Token(_)
                    | AuthError::UserGone
                    | AuthError::TokenGone
                    | AuthError::PasswordChanged => OciError::Unauthorized {
                        why,
                        challenge: challenge().invalid_token(),
                    },
                    // Only a request that surely has no body may be put off: another would lose what it has sent.
                    AuthError::Password(PasswordError::NotYet(wait)) => {
                        if matches!(wanted, OciRequest::Token { .. }) {
                            OciError::TooManyFailures { wait }
                        } else {
                            OciError::Unauthorized {
                                why,
                                challenge: challenge(),
                            }
                        }
                    }
                    AuthError::Catalog(error) => error.into(),
                    AuthError::Password(
                        error @ (PasswordError::TooLong | PasswordError::Failed(_)),
                    ) => OciError::internal(error),
                }
            })?;
        Ok(Self { app, head, subject })
    }

    /// What was shown to say who asks.
    pub(super) fn via(&self) -> &Via {
        &self.subject.via
    }

    /// Whom a token stands for that the caller gets.
    pub(super) fn holder(&self) -> Holder<'_> {
        let personal_token = self.subject.personal_token.as_ref().map(|token| token.id);
        let user = self.subject.user.as_ref();
        user.map_or(Holder::ANONYMOUS, |user| Holder::user(user, personal_token))
    }

    /// Where the request came from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        auth::address(self.head)
    }

    /// The login; empty for anonymous.
    pub(super) fn login(&self) -> &str {
        self.subject.user.as_ref().map_or("", |user| &user.login)
    }

    /// The user, or a request to log in.
    pub(super) fn user(&self) -> Result<&User, OciError> {
        self.subject
            .user
            .as_ref()
            .ok_or_else(|| self.log_in_first())
    }

    /// Refused if nothing was shown at all.
    pub(super) fn has_shown_something(&self) -> Result<(), OciError> {
        match self.subject.via {
            Via::Anonymous => Err(self.log_in_first()),
            Via::Password | Via::PersonalToken | Via::Bearer { .. } => Ok(()),
        }
    }

    fn log_in_first(&self) -> OciError {
        OciError::Unauthorized {
            why: "log in first".to_owned(),
            challenge: self.challenge(),
        }
    }

    /// The way to a token.
    fn challenge(&self) -> Challenge {
        Challenge::new(&self.app.config, self.head)
    }

    /// What the name means, if the caller may pull from there and shows enough for it.
    pub(super) async fn pull_from(
        &self,
        tx: &mut Tx,
        name: &PushName,
    ) -> Result<Resolved, OciError> {
        self.pull_with(tx, name, "pull").await
    }

    /// The same, for a HEAD of a blob, by which a push begins: who has no token yet is sent for one that is good for the
    /// whole push, because some clients get no second one. It is cut down to what its user may, as every token.
    pub(super) async fn pull_before_push(
        &self,
        tx: &mut Tx,
        name: &PushName,
    ) -> Result<Resolved, OciError> {
        self.pull_with(tx, name, "pull,push").await
    }

    async fn pull_with(
        &self,
        tx: &mut Tx,
        name: &PushName,
        actions: &str,
    ) -> Result<Resolved, OciError> {
        let found = self.visible(tx, name).await?;
        let unknown = || OciError::NameUnknown {
            name: name.to_string(),
        };
        match (found, &self.subject.user) {
            (Some(found), _) => self.covered(name, RepositoryAction::Pull).map(|()| found),
            (None, Some(_)) => Err(unknown()),
            // At a smart proxy: a token that is good for it, and nothing of it here.
            (None, None)
                if self.is_by_token() && self.covered(name, RepositoryAction::Pull).is_ok() =>
            {
                Err(unknown())
            }
            (None, None) => Err(OciError::Unauthorized {
                why: format!("log in to pull from `{name}`"),
                challenge: self.challenge().with_scope(name.as_str(), actions),
            }),
        }
    }

    /// Refused if what was shown is not good for lists of names.
    pub(super) fn may_list_names(&self) -> Result<(), OciError> {
        let challenge = || self.challenge().with_catalog_scope();
        match &self.subject.via {
            Via::Password | Via::PersonalToken => Ok(()),
            Via::Bearer { scope, .. } if scope.covers_catalog() => Ok(()),
            Via::Bearer { .. } => Err(OciError::Unauthorized {
                why: "the token is not good for the list of repositories; get one that is"
                    .to_owned(),
                challenge: challenge().insufficient_scope(),
            }),
            Via::Anonymous => Err(OciError::Unauthorized {
                why: "log in to list the repositories you may pull".to_owned(),
                challenge: challenge(),
            }),
        }
    }

    /// True if a token was shown that is good for this.
    pub(super) fn shows_a_token_for(&self, name: &PushName, action: RepositoryAction) -> bool {
        self.is_by_token() && self.covered(name, action).is_ok()
    }

    fn is_by_token(&self) -> bool {
        matches!(self.subject.via, Via::Bearer { .. })
    }

    /// What judges names for the caller; `None` if what was shown lets nothing be pulled.
    pub(super) async fn puller(&self, tx: &mut Tx) -> Result<Option<Puller>, OciError> {
        if !self.subject.gives(Permission::Pull) {
            return Ok(None);
        }
        Ok(Some(Puller::of(tx, self.subject.user.as_ref()).await?))
    }

    /// What the name means, if the caller may pull from there with what was shown; `None` says no more than that.
    pub(super) async fn could_pull_from(
        &self,
        tx: &mut Tx,
        name: &PushName,
    ) -> Result<Option<Resolved>, OciError> {
        let found = self.visible(tx, name).await?;
        Ok(found.filter(|_| self.covered(name, RepositoryAction::Pull).is_ok()))
    }

    /// Pushed paths come first; what is none may be a name by which an environment publishes something.
    async fn visible(&self, tx: &mut Tx, name: &PushName) -> Result<Option<Resolved>, OciError> {
        let pushed = match resolve(tx, name).await {
            Ok(found) => Some(found),
            Err(ResolveError::UnknownOrganization { .. } | ResolveError::UnknownProduct { .. }) => {
                None
            }
            Err(other) => return Err(other.into()),
        };
        let found = match pushed {
            Some(found) if found.destination.is_some() => found,
            pushed => match resolve_published(tx, name).await?.or(pushed) {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let mut may = may_pull(tx, self.subject.user.as_ref(), &found).await?;
        if self.app.proxy.is_some() {
            // Its main server has cut the token down to what its holder may.
            may = may || self.covered(name, RepositoryAction::Pull).is_ok() && self.is_by_token();
        }
        Ok((may && self.subject.gives(Permission::Pull)).then_some(found))
    }

    /// What the name means, if the caller may push there, with all that the push will need, and shows enough for it.
    pub(super) async fn push_to(&self, tx: &mut Tx, name: &PushName) -> Result<Resolved, OciError> {
        let user = self
            .subject
            .user
            .as_ref()
            .ok_or_else(|| OciError::Unauthorized {
                why: format!("log in to push to `{name}`"),
                challenge: self.challenge().with_scope(name.as_str(), "pull,push"),
            })?;
        let denied = || {
            OciError::Denied(
                Denied {
                    login: user.login.clone(),
                    permission: Permission::Push,
                    name: name.clone(),
                }
                .to_string(),
            )
        };
        let to = match resolve(tx, name).await {
            Ok(to) => to,
            Err(unknown @ ResolveError::UnknownOrganization { .. }) => {
                let could_see_it = holds_everywhere(tx, Some(user), Permission::Pull).await?;
                return Err(if could_see_it {
                    unknown.into()
                } else {
                    denied()
                });
            }
            Err(ResolveError::UnknownProduct { name, organization }) => {
                let place = Place {
                    organization: organization.id,
                    product: None,
                    repository: None,
                };
                let could_see_it = holds(tx, Some(user), Permission::Pull, &place).await?;
                let unknown = ResolveError::UnknownProduct { name, organization };
                return Err(if could_see_it {
                    unknown.into()
                } else {
                    denied()
                });
            }
            Err(other) => return Err(other.into()),
        };
        match judge_push(tx, user, &to).await? {
            Verdict::Allowed => {
                if let Some(missing) = needed_for_push(&to).find(|it| !self.subject.gives(*it)) {
                    return Err(OciError::Denied(format!(
                        "the personal token does not give the permission `{missing}`, which this push needs; \
                         use one whose scope has it"
                    )));
                }
                self.covered(name, RepositoryAction::Push).map(|()| to)
            }
            Verdict::Denied(missing) => Err(OciError::Denied(missing.to_string())),
        }
    }

    /// What the name means, if the caller may delete there, and shows enough for it.
    pub(super) async fn delete_from(
        &self,
        tx: &mut Tx,
        name: &PushName,
    ) -> Result<Resolved, OciError> {
        let challenge = || self.challenge().with_scope(name.as_str(), "pull,delete");
        let user = self
            .subject
            .user
            .as_ref()
            .ok_or_else(|| OciError::Unauthorized {
                why: format!("log in to delete from `{name}`"),
                challenge: challenge(),
            })?;
        let denied = Denied {
            login: user.login.clone(),
            permission: Permission::Delete,
            name: name.clone(),
        };
        let denied = || OciError::Denied(denied.to_string());
        let found = match resolve(tx, name).await {
            Ok(found) => found,
            Err(unknown @ ResolveError::UnknownOrganization { .. }) => {
                let could_see_it = holds_everywhere(tx, Some(user), Permission::Pull).await?;
                return Err(if could_see_it {
                    unknown.into()
                } else {
                    denied()
                });
            }
            Err(ResolveError::UnknownProduct { .. }) => return Err(denied()),
            Err(other) => return Err(other.into()),
        };
        if !holds(tx, Some(user), Permission::Delete, &found.place()).await? {
            return Err(denied());
        }
        if !self.subject.gives(Permission::Delete) {
            return Err(OciError::Denied(
                "the personal token does not give the permission `delete`; use one whose scope has it"
                    .to_owned(),
            ));
        }
        // Where there is nothing yet the right counts all the same: else there would be no token to be told so with.
        self.covered(name, RepositoryAction::Delete).map(|()| found)
    }

    /// The destination of what [`push_to`](Self::push_to) has allowed, made if it is the first push there.
    pub(super) async fn make_destination(&self, to: Resolved) -> Result<Destination, OciError> {
        if let Some(destination) = to.destination {
            return Ok(destination);
        }
        let at = self.app.services.clock.now();
        let made = self
            .app
            .services
            .database
            .transact(move |tx| Box::pin(async move { make(tx, &to, at).await }));
        Ok(made.await??)
    }

    /// Refused if the token that was shown has expired, unless it was good when the session was opened and that was not
    /// long ago: an upload may take longer than a token lives, and was allowed when it began.
    pub(super) fn may_go_on_with(&self, session: Option<&Upload>) -> Result<(), OciError> {
        let Via::Bearer {
            expired_at: Some(expired_at),
            ..
        } = self.subject.via
        else {
            return Ok(());
        };
        let now = self.app.services.clock.now();
        let carried = session.is_some_and(|session| {
            session.created_at < expired_at && now.since(session.created_at) < SESSION_RIGHT
        });
        if carried {
            return Ok(());
        }
        Err(OciError::Unauthorized {
            why: TokenError::Expired(expired_at).to_string(),
            challenge: self.challenge().invalid_token(),
        })
    }

    /// Refused if a token was shown and is not good for this.
    fn covered(&self, name: &PushName, action: RepositoryAction) -> Result<(), OciError> {
        let Via::Bearer { scope, .. } = &self.subject.via else {
            return Ok(());
        };
        if scope.covers(name.as_str(), action) {
            return Ok(());
        }
        let wanted = match action {
            RepositoryAction::Pull => "pull",
            RepositoryAction::Push => "pull,push",
            RepositoryAction::Delete => "pull,delete",
        };
        Err(OciError::Unauthorized {
            why: format!("the token is not good for `{action}` on `{name}`; get one that is"),
            challenge: self
                .challenge()
                .with_scope(name.as_str(), wanted)
                .insufficient_scope(),
        })
    }
}
