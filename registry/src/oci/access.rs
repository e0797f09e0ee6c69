//! Who may do what with the name in a request, and how the others are refused.
//!
//! The subject is judged first: who has no right is refused whatever the token says; who has the right but shows a
//! too narrow token is told to get another. What somebody may not pull does not exist for them.

use http::request::Parts;
use storage::catalog::grants::Place;
use storage::catalog::roles::Permission;
use storage::catalog::users::User;
use storage::database::Tx;
use workflows::destination::{Destination, PushName, ResolveError, Resolved, make, resolve};
use workflows::permission::{Denied, Verdict, holds, holds_everywhere, judge_push, may_pull};

use super::error::OciError;
use crate::app::App;
use crate::auth::challenge::Challenge;
use crate::auth::scope::RepositoryAction;
use crate::auth::{self, AuthError, Subject, Via};

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
    pub(super) async fn of(app: &'a App, head: &'a Parts) -> Result<Self, OciError> {
        let challenge = || Challenge::new(&app.config, &head.headers);
        let subject = auth::authenticate(app, &head.headers)
            .await
            .map_err(|error| {
                let why = error.to_string();
                match error {
                    AuthError::WrongPassword | AuthError::Unreadable => OciError::Unauthorized {
                        why,
                        challenge: challenge(),
                    },
                    AuthError::Token(_) | AuthError::UserGone => OciError::Unauthorized {
                        why,
                        challenge: challenge().invalid_token(),
                    },
                    AuthError::Catalog(error) => error.into(),
                    AuthError::Password(error) => OciError::internal(error),
                }
            })?;
        Ok(Self { app, head, subject })
    }

    /// What was shown to say who asks.
    pub(super) fn via(&self) -> &Via {
        &self.subject.via
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
            Via::Basic | Via::Bearer(_) => Ok(()),
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
        Challenge::new(&self.app.config, &self.head.headers)
    }

    /// What the name means, if the caller may pull from there and shows enough for it.
    pub(super) async fn pull_from(
        &self,
        tx: &mut Tx,
        name: &PushName,
    ) -> Result<Resolved, OciError> {
        let found = self.visible(tx, name).await?;
        let unknown = || OciError::NameUnknown {
            name: name.to_string(),
        };
        match (found, &self.subject.user) {
            (Some(found), _) => self.covered(name, RepositoryAction::Pull).map(|()| found),
            (None, Some(_)) => Err(unknown()),
            (None, None) => Err(OciError::Unauthorized {
                why: format!("log in to pull from `{name}`"),
                challenge: self.challenge().with_scope(name.as_str(), "pull"),
            }),
        }
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

    async fn visible(&self, tx: &mut Tx, name: &PushName) -> Result<Option<Resolved>, OciError> {
        let found = match resolve(tx, name).await {
            Ok(found) => found,
            Err(ResolveError::UnknownOrganization { .. } | ResolveError::UnknownProduct { .. }) => {
                return Ok(None);
            }
            Err(other) => return Err(other.into()),
        };
        let may = may_pull(tx, self.subject.user.as_ref(), &found).await?;
        Ok(may.then_some(found))
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
            Verdict::Allowed => self.covered(name, RepositoryAction::Push).map(|()| to),
            Verdict::Denied(missing) => Err(OciError::Denied(missing.to_string())),
        }
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

    /// Refused if a token was shown and is not good for this.
    fn covered(&self, name: &PushName, action: RepositoryAction) -> Result<(), OciError> {
        let Via::Bearer(scope) = &self.subject.via else {
            return Ok(());
        };
        if scope.covers(name.as_str(), action) {
            return Ok(());
        }
        let wanted = match action {
            RepositoryAction::Pull => "pull",
            RepositoryAction::Push => "pull,push",
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
