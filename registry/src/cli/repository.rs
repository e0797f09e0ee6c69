//! `wharfinger repository …`: repositories, their versions and tags.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use workflows::destination::PushName;

use super::answer::Answer;
use super::client::{Client, ClientError, Connection, segment};
use super::delete::Delete;
use super::page::{Page, Search};
use super::product::Of;
use super::show;
use super::task::Begun;
use super::view::{Column, View, age, id, read, size, text, time};
use crate::config::Environment;

/// A verb on repositories, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List repositories
    List {
        #[command(flatten)]
        search: Search,
        #[command(flatten)]
        page: Page,
    },
    /// Show a repository
    Show(Repository),
    /// Make a repository before anything is pushed there
    Create {
        /// The name in the product: lower case, may hold slashes
        name: String,
        #[command(flatten)]
        of: Of,
        /// The label of the product
        #[arg(long, value_name = "LABEL")]
        product: String,
    },
    /// Delete a repository; `task revert` brings it back for a while
    Delete {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        delete: Delete,
    },
    /// List the tags that Library publishes
    Tags {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        page: Page,
    },
    /// Show a tag that Library publishes
    Tag {
        #[command(flatten)]
        repository: Repository,
        /// The tag
        tag: String,
    },
    /// Delete a tag: a new version does not have it
    DeleteTag {
        #[command(flatten)]
        repository: Repository,
        /// The tag
        tag: String,
        #[command(flatten)]
        begun: Begun,
    },
    /// Delete a manifest with every tag that points to it
    DeleteManifest {
        #[command(flatten)]
        repository: Repository,
        /// The manifest's digest
        digest: String,
        #[command(flatten)]
        begun: Begun,
    },
    /// List the versions, the newest first
    Versions {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        page: Page,
    },
    /// Show a version
    Version {
        #[command(flatten)]
        repository: Repository,
        /// The version's number
        number: i64,
    },
    /// Let an environment publish an earlier version again
    Rollback {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        rollback: Rollback,
        #[command(flatten)]
        begun: Begun,
    },
    /// Let the next environment publish a version
    Promote {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        promotion: Promotion,
        #[command(flatten)]
        begun: Begun,
    },
}

#[derive(Args, Debug)]
struct Repository {
    /// The repository's id, or a name by which it is pushed
    #[arg(value_name = "REPOSITORY")]
    which: String,
}

#[derive(Args, Debug, Serialize)]
#[group(skip)]
struct Rollback {
    /// The number of the version, one before that which is published
    #[arg(long, value_name = "NUMBER")]
    version: i64,
    /// The label of the environment
    #[arg(long, value_name = "LABEL", default_value = "Library")]
    environment: String,
    /// Kept in the audit
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Args, Debug, Serialize)]
#[group(skip)]
struct Promotion {
    /// The number of the version
    #[arg(long, value_name = "NUMBER")]
    version: i64,
    /// The label of the environment that shall publish it
    #[arg(long, value_name = "LABEL")]
    to_environment: String,
    /// Kept in the audit
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("NAME", "pushed_names"),
    text("VERSION", "latest_version").spare(),
    text("TAGS", "tags_count").spare(),
    size("SIZE", "size_bytes").spare(),
    age("PUSHED", "last_push.at").spare(),
    text("BY", "last_push.user").spare(),
];

const ALONE: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("LABEL", "label"),
    text("ORGANIZATION", "organization"),
    text("PRODUCT", "product"),
    text("PUSHED AS", "pushed_names"),
    text("LATEST VERSION", "latest_version"),
    text("PUBLISHED VERSION", "published_version"),
    read("PUBLISHED IN", "published", versions_by_environment),
    read("PUBLISHED AS", "published_names", names_by_environment),
    text("TAGS", "tags_count"),
    size("SIZE", "size_bytes"),
    time("LAST PUSH", "last_push.at"),
    text("BY", "last_push.user"),
    id("TASK", "last_push.task_id"),
    text("PENDING", "push_repository.pending"),
    time("CREATED", "created_at"),
];

pub(super) const TAGS: &[Column] = &[
    text("TAG", "name"),
    read("DIGEST", "digest", short),
    text("PLATFORMS", "platforms").spare(),
    size("SIZE", "size_bytes").spare(),
    age("PULLED", "last_pulled_at").spare(),
];

const TAG: &[Column] = &[
    text("TAG", "name"),
    id("DIGEST", "digest"),
    text("MEDIA TYPE", "media_type"),
    text("PLATFORMS", "platforms"),
    size("SIZE", "size_bytes"),
    text("CREATED", "created"),
    time("LAST PULLED", "last_pulled_at"),
    text("WARNING", "warning"),
    text("PULL", "pull"),
];

pub(super) const VERSIONS: &[Column] = &[
    text("VERSION", "number"),
    time("CREATED", "created_at"),
    text("CAUSE", "cause").spare(),
    text("TAGS ADDED", "added.tags").spare(),
    text("TAGS REMOVED", "removed.tags").spare(),
    text("PUBLISHED IN", "published_in"),
];

const WOULD_DELETE: &[Column] = &[
    text("WOULD DELETE", "repository"),
    text("VERSIONS", "versions"),
    text("TAGS", "tags"),
    text("ENVIRONMENTS", "environments"),
];

const VERSION: &[Column] = &[
    text("VERSION", "number"),
    time("CREATED", "created_at"),
    text("CAUSE", "cause"),
    id("TASK", "task_id"),
    text("TAGS ADDED", "added.tags"),
    text("TAGS REMOVED", "removed.tags"),
    text("MANIFESTS ADDED", "added.manifests"),
    text("MANIFESTS REMOVED", "removed.manifests"),
    text("PUBLISHED IN", "published_in"),
];

/// As much of a digest as tells images apart; `repository tag` shows it whole.
fn short(digest: &Value) -> String {
    const CHARACTERS: usize = "sha256:".len() + 12;
    show::text(digest).chars().take(CHARACTERS).collect()
}

/// `Library: 4, prod: 2`
fn versions_by_environment(published: &Value) -> String {
    let published = published.as_array().into_iter().flatten();
    let versions = published.map(|it| {
        let environment = show::field(it, "environment");
        format!("{environment}: {}", show::field(it, "version"))
    });
    versions.collect::<Vec<_>>().join(", ")
}

/// `Library: acme/tools/hello, prod: acme/prod/tools/hello`
fn names_by_environment(names: &Value) -> String {
    let names = names.as_object().into_iter().flatten();
    let names = names.map(|(environment, names)| format!("{environment}: {}", show::text(names)));
    names.collect::<Vec<_>>().join(", ")
}

/// Runs the verb.
pub(crate) async fn command(command: Command, environment: &Environment) -> ExitCode {
    let verb = command.verb;
    let run = async move |client: &Client, view: View| verb.run(client, view).await;
    command.connection.run(environment, run).await
}

impl Verb {
    async fn run(self, client: &Client, view: View) -> Result<ExitCode, ClientError> {
        match self {
            Self::List { search, page } => {
                let body = page.find(client, "/repositories", &search).await?;
                view.list(&body, COLUMNS, "no repository matches");
            }
            Self::Show(repository) => {
                let path = repository.path(client).await?;
                view.object(&client.get(&path, &[]).await?, ALONE);
            }
            Self::Create { name, of, product } => {
                let path = format!("{}/repositories", of.product(&product));
                view.object(&client.post(&path, &json!({ "name": name })).await?, ALONE);
            }
            Self::Tags { repository, page } => {
                let path = format!("{}/tags", repository.path(client).await?);
                view.list(&page.get(client, &path).await?, TAGS, "no tag is published");
            }
            Self::Tag { repository, tag } => {
                let path = format!("{}/tags/{}", repository.path(client).await?, segment(&tag));
                view.object(&client.get(&path, &[]).await?, TAG);
            }
            Self::Versions { repository, page } => {
                let path = format!("{}/versions", repository.path(client).await?);
                view.list(&page.get(client, &path).await?, VERSIONS, "no version yet");
            }
            Self::Delete { repository, delete } => {
                let path = repository.path(client).await?;
                let show = |view: View, would: &Answer| view.object(would, WOULD_DELETE);
                return delete.run(client, view, &path, show).await;
            }
            Self::DeleteTag {
                repository,
                tag,
                begun,
            } => {
                let path = format!("{}/tags/{}", repository.path(client).await?, segment(&tag));
                let task = client.begin_delete(&path, &json!({})).await?;
                return begun.after(client, view, &task).await;
            }
            Self::DeleteManifest {
                repository,
                digest,
                begun,
            } => {
                let of = repository.path(client).await?;
                let path = format!("{of}/manifests/{}", segment(&digest));
                let task = client.begin_delete(&path, &json!({})).await?;
                return begun.after(client, view, &task).await;
            }
            Self::Rollback {
                repository,
                rollback,
                begun,
            } => {
                let path = format!("{}/rollback", repository.path(client).await?);
                let task = client.post(&path, &json!(rollback)).await?;
                return begun.after(client, view, &task).await;
            }
            Self::Promote {
                repository,
                promotion,
                begun,
            } => {
                let path = format!("{}/promote", repository.path(client).await?);
                let task = client.post(&path, &json!(promotion)).await?;
                return begun.after(client, view, &task).await;
            }
            Self::Version { repository, number } => {
                let path = format!("{}/versions/{number}", repository.path(client).await?);
                view.object(&client.get(&path, &[]).await?, VERSION);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Repository {
    /// A number is an id; anything else is looked up as a pushed name.
    async fn path(&self, client: &Client) -> Result<String, ClientError> {
        if self.which.parse::<u64>().is_ok() {
            return Ok(format!("/repositories/{}", self.which));
        }
        // What cannot be a name is not looked for: it would be read as part of the search.
        if self.which.parse::<PushName>().is_err() {
            return Err(ClientError::no_such_repository(&self.which));
        }
        let search = format!("pushed_name = {}", self.which);
        let found = client.get("/repositories", &[("search", &search)]).await?;
        match show::list(&found, "results") {
            [one] => Ok(format!("/repositories/{}", show::field(one, "id"))),
            _ => Err(ClientError::no_such_repository(&self.which)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_told_by_environment() {
        let published = json!([
            {"environment": "Library", "version": 4, "by": "ana"},
            {"environment": "prod", "version": 2, "by": "bob"},
        ]);
        let names = json!({"Library": ["acme/tools/hello"], "prod": ["acme/prod/tools/hello"]});

        assert_eq!(versions_by_environment(&published), "Library: 4, prod: 2");
        assert_eq!(
            names_by_environment(&names),
            "Library: acme/tools/hello, prod: acme/prod/tools/hello"
        );
        assert_eq!(versions_by_environment(&json!([])), "");
    }
}
