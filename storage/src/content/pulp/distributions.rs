//! Distributions of Pulp: one for each destination, through which its content is read by digest. Always of a version, never of a
//! repository: Pulp deletes that with its last distribution, and a push to the path would go straight into it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Ask;
use super::tasks::href;
use super::{Pulp, PulpError, repositories};
use crate::catalog::DestinationId;

/// What is asked of a distribution.
const FIELDS: &str = "pulp_href,name,base_path,pulp_labels,private,repository,repository_version";

/// What Pulp has begun, so that a version is served.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Its task; none: it is served already.
    pub(super) task: Option<String>,
    /// The distribution, where there was one.
    pub(super) distribution: Option<String>,
    /// It was of the empty version before.
    pub(super) from_nothing: bool,
    /// What Pulp has made for the push, where everybody can pull from it.
    pub(super) open: Option<String>,
}

impl Pulp {
    /// Begins to serve this version of the destination, by the distribution that is known to be its own, or whose name it has.
    pub(super) async fn serve(
        &self,
        destination: DestinationId,
        version: &str,
        correlation: Uuid,
        known: Option<&str>,
    ) -> Result<Begun, PulpError> {
        if let Some(known) = known {
            match self.point(known, version, correlation).await {
                // Somebody has deleted it.
                Err(error) if error.is_not_found() => {}
                begun => return begun,
            }
        }
        let found = self.distribution(destination).await?;
        self.serve_by(destination, found, version, correlation)
            .await
    }

    /// The same where nothing was served before. What Pulp has made for the push can be pulled by everybody who reaches it: who
    /// asks makes it private, and no push waits for that.
    pub(super) async fn serve_first(
        &self,
        destination: DestinationId,
        version: &str,
        correlation: Uuid,
    ) -> Result<Begun, PulpError> {
        let mut found = self.both_distributions(destination).await?;
        let mut take = |path: &str| {
            let at = found.iter().position(|it| it["base_path"] == path)?;
            Some(found.swap_remove(at))
        };
        let (push, own) = (
            self.names.push_repository(destination),
            self.names.repository(destination),
        );
        let (open, own) = (take(&push).filter(|it| it["private"] != true), take(&own));
        let from_nothing = own.as_ref().is_some_and(|own| {
            let served = own["repository_version"].as_str().unwrap_or_default();
            repositories::is_empty_version_beside(served, version)
        });
        let open = open
            .map(|open| href(&open, "pulp_href", "look for distributions"))
            .transpose()?;
        let begun = self
            .serve_by(destination, own, version, correlation)
            .await?;
        Ok(Begun {
            from_nothing,
            open,
            ..begun
        })
    }

    /// What is published at the path that pushes go to, and at our own. That with other labels is an error; Pulp's has none.
    pub(super) async fn both_distributions(
        &self,
        destination: DestinationId,
    ) -> Result<Vec<Value>, PulpError> {
        let (push, own) = (
            self.names.push_repository(destination),
            self.names.repository(destination),
        );
        let doing = format!("look for distributions `{push}` and `{own}`");
        let paths = format!("{push},{own}");
        let query = [("base_path__in", paths.as_str()), ("fields", FIELDS)];
        let found = self.distributions(&doing, &query).await?;
        for distribution in found.iter().filter(|it| it["base_path"] == own.as_str()) {
            self.must_be_ours(distribution, "distribution", &own, destination)?;
        }
        Ok(found)
    }

    async fn serve_by(
        &self,
        destination: DestinationId,
        found: Option<Value>,
        version: &str,
        correlation: Uuid,
    ) -> Result<Begun, PulpError> {
        let found = match found {
            Some(found) => found,
            None => match self
                .serve_new(destination, version, Some(correlation))
                .await
            {
                Ok(task) => {
                    return Ok(Begun {
                        task,
                        ..Begun::default()
                    });
                }
                // The name was taken since it was looked for: by what is made beside the blobs, or by somebody else.
                Err(refused) if refused.is_bad_request() => {
                    self.distribution(destination).await?.ok_or(refused)?
                }
                Err(error) => return Err(error),
            },
        };
        let at = href(&found, "pulp_href", "serve a version")?;
        let is_so = found["repository_version"] == version
            && found["repository"].is_null()
            && found["private"] == true;
        if is_so {
            return Ok(Begun {
                distribution: Some(at),
                ..Begun::default()
            });
        }
        self.point(&at, version, correlation).await
    }

    /// Begins to make the distribution of the destination, of this version; answers with the task.
    pub(super) async fn serve_new(
        &self,
        destination: DestinationId,
        version: &str,
        correlation: Option<Uuid>,
    ) -> Result<Option<String>, PulpError> {
        let name = self.names.repository(destination);
        let body = json!({
            "name": name,
            "base_path": name,
            "repository_version": version,
            "private": true,
            "pulp_labels": self.names.labels(destination),
        });
        let doing = format!("create distribution `{name}`");
        let path = "distributions/container/container/";
        self.begin(&doing, Method::POST, path, &body, correlation)
            .await
    }

    async fn point(
        &self,
        distribution: &str,
        version: &str,
        correlation: Uuid,
    ) -> Result<Begun, PulpError> {
        let doing = format!("serve {version} by {distribution}");
        // Whatever else it was of: a push to its path by somebody else sets the repository.
        let body = json!({"repository_version": version, "repository": null, "private": true});
        let task = self.begin(
            &doing,
            Method::PATCH,
            distribution,
            &body,
            Some(correlation),
        );
        Ok(Begun {
            task: task.await?,
            distribution: Some(distribution.to_owned()),
            ..Begun::default()
        })
    }

    /// The distribution of the destination, if there is one. One of its name with other labels is an error.
    pub(super) async fn distribution(
        &self,
        destination: DestinationId,
    ) -> Result<Option<Value>, PulpError> {
        let name = self.names.repository(destination);
        let doing = format!("look for distribution `{name}`");
        let query = [("name", name.as_str()), ("fields", FIELDS)];
        let Some(found) = self.distributions(&doing, &query).await?.pop() else {
            return Ok(None);
        };
        self.must_be_ours(&found, "distribution", &name, destination)?;
        Ok(Some(found))
    }

    /// Lets nobody pull from a distribution any more who has no rights in Pulp. One that is gone needs nothing.
    pub(super) async fn hide(&self, distribution: &str) -> Result<(), PulpError> {
        let doing = "hide what was pushed";
        let body = json!({"private": true});
        let ask = Ask::send(doing, Method::PATCH, distribution, &body);
        let reply = self.client.ask(ask).await?;
        let fine = [StatusCode::ACCEPTED, StatusCode::OK, StatusCode::NOT_FOUND];
        reply.expect(doing, &fine)?;
        Ok(())
    }

    /// True if somebody publishes something under the path that pushes of the destination go to.
    pub(super) async fn has_distribution_at(
        &self,
        destination: DestinationId,
    ) -> Result<bool, PulpError> {
        let path = self.names.push_repository(destination);
        let doing = format!("look for a distribution at `{path}`");
        let query = [("base_path", path.as_str()), ("fields", "pulp_href")];
        Ok(!self.distributions(&doing, &query).await?.is_empty())
    }

    async fn distributions(
        &self,
        doing: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, PulpError> {
        self.list(doing, "distributions/container/container/", query)
            .await
    }

    /// Answers with the task; none where nothing changes.
    async fn begin(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: &Value,
        correlation: Option<Uuid>,
    ) -> Result<Option<String>, PulpError> {
        let ask = Ask {
            correlation,
            ..Ask::send(doing, method, path, body)
        };
        let reply = self.client.ask(ask).await?;
        if reply.status == StatusCode::OK {
            return Ok(None);
        }
        let accepted = reply.expect(doing, &[StatusCode::ACCEPTED])?;
        href(&accepted, "task", doing).map(Some)
    }
}
