//! Repositories of Pulp: the push repository of whichever type, and ours with versions.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Ask;
use super::tasks::href;
use super::{Pulp, PulpError};
use crate::catalog::DestinationId;

/// Pulp keeps so many versions of a repository. Each has what all before it have, and only the newest is served, so that nothing
/// needs older ones than those that pushes are just at work with.
const VERSIONS_KEPT: u32 = 100;

/// The ones of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repositories {
    /// Where pushes go; Pulp has made it, of the type that its version makes.
    pub(super) push: Option<String>,
    /// The one with versions.
    pub(super) own: Option<String>,
}

impl Pulp {
    /// Both of a destination. One of our names with other labels is an error; the push repository has none.
    pub(super) async fn repositories(
        &self,
        destination: DestinationId,
    ) -> Result<Repositories, PulpError> {
        let (push, own) = (
            self.names.push_repository(destination),
            self.names.repository(destination),
        );
        let doing = format!("look for repository `{push}`");
        let both = format!("{push},{own}");
        // Of all types: a push repository is of one of its own, or not, by Pulp's version and history.
        let query = [
            ("name__in", both.as_str()),
            ("fields", "pulp_href,name,pulp_labels"),
        ];
        let reply = self
            .client
            .ask(Ask::get(&doing, "repositories/", &query))
            .await?;
        let found = reply.expect(&doing, &[StatusCode::OK])?;
        let mut repositories = Repositories {
            push: None,
            own: None,
        };
        for repository in found["results"].as_array().into_iter().flatten() {
            let at = href(repository, "pulp_href", &doing)?;
            if repository["name"] == push.as_str() {
                repositories.push = Some(at);
            } else {
                self.must_be_ours(repository, "repository", &own, destination)?;
                repositories.own = Some(at);
            }
        }
        Ok(repositories)
    }

    /// The one with versions, which is made if it is not there.
    pub(super) async fn repository(&self, destination: DestinationId) -> Result<String, PulpError> {
        match self.repositories(destination).await?.own {
            Some(repository) => Ok(repository),
            None => self.create_repository(destination).await,
        }
    }

    /// Makes the one with versions; finds it if somebody of us was faster.
    pub(super) async fn create_repository(
        &self,
        destination: DestinationId,
    ) -> Result<String, PulpError> {
        let name = self.names.repository(destination);
        let doing = format!("create repository `{name}`");
        let body = json!({
            "name": name,
            "pulp_labels": self.names.labels(destination),
            "retain_repo_versions": VERSIONS_KEPT,
        });
        let path = "repositories/container/container/";
        let reply = self
            .client
            .ask(Ask::send(&doing, Method::POST, path, &body))
            .await?;
        if reply.status == StatusCode::BAD_REQUEST {
            let refused = PulpError::of_answer(&doing, reply.status, &reply.body);
            let found = self.repositories(destination).await?;
            return found.own.ok_or(refused);
        }
        href(
            &reply.expect(&doing, &[StatusCode::CREATED])?,
            "pulp_href",
            &doing,
        )
    }

    /// Begins to add content to the repository, with all it consists of; answers with the task.
    pub(super) async fn add(
        &self,
        repository: &str,
        units: &[String],
        correlation: Uuid,
    ) -> Result<String, PulpError> {
        let doing = format!("add to {repository}");
        let (body, path) = (json!({"content_units": units}), format!("{repository}add/"));
        let ask = Ask {
            correlation: Some(correlation),
            ..Ask::send(&doing, Method::POST, &path, &body)
        };
        let reply = self.client.ask(ask).await?;
        href(
            &reply.expect(&doing, &[StatusCode::ACCEPTED])?,
            "task",
            &doing,
        )
    }

    /// The newest version of the repository.
    pub(super) async fn latest_version(&self, repository: &str) -> Result<String, PulpError> {
        let doing = format!("look for the newest version of {repository}");
        let query = [("fields", "latest_version_href")];
        let reply = self
            .client
            .ask(Ask::get(&doing, repository, &query))
            .await?;
        href(
            &reply.expect(&doing, &[StatusCode::OK])?,
            "latest_version_href",
            &doing,
        )
    }

    pub(super) fn must_be_ours(
        &self,
        thing: &Value,
        kind: &'static str,
        name: &str,
        destination: DestinationId,
    ) -> Result<(), PulpError> {
        if self.names.are_on(thing, destination) {
            Ok(())
        } else {
            Err(PulpError::Foreign {
                kind,
                name: name.to_owned(),
            })
        }
    }
}

/// The number of a version, by its href: `…/versions/3/`.
pub(super) fn number(version: &str) -> Result<i64, PulpError> {
    let number = version
        .trim_end_matches('/')
        .rsplit_once("/versions/")
        .and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| PulpError::Unreadable {
        doing: "name a version".to_owned(),
        why: format!("`{version}` has no number"),
    })
}

/// The version of a repository by its number.
pub(super) fn version(repository: &str, number: i64) -> String {
    format!("{repository}versions/{number}/")
}

/// True if `served` is the empty version of the repository that has `version`.
pub(super) fn is_empty_version_beside(served: &str, version: &str) -> bool {
    let repository = |version: &str| version.rsplit_once("versions/").map(|it| it.0.to_owned());
    number(served).is_ok_and(|number| number == 0) && repository(served) == repository(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_the_end_of_its_href() {
        let href = version("/pulp/api/v3/repositories/container/container/0197/", 12);

        assert_eq!(number(&href).unwrap(), 12);
        assert!(number("/pulp/api/v3/repositories/container/container/0197/").is_err());
    }

    #[test]
    fn the_empty_version_is_that_of_the_same_repository() {
        let (one, other) = ("/pulp/api/v3/one/", "/pulp/api/v3/other/");

        let empty = version(one, 0);
        assert!(is_empty_version_beside(&empty, &version(one, 3)));
        assert!(!is_empty_version_beside(&empty, &version(other, 3)));
        assert!(!is_empty_version_beside(&version(one, 1), &version(one, 3)));
        assert!(!is_empty_version_beside("", &version(one, 3)));
    }
}
