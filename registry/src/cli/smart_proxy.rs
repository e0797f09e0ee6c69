//! `wharfinger smart-proxy …`: servers that hold what environments publish, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::task::Begun;
use super::view::{Column, View, age, id, listed, read, text, time};
use super::{show, terminal};
use crate::config::Environment;

/// A verb on smart proxies, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List smart proxies
    List(Page),
    /// Show a smart proxy
    Show(SmartProxy),
    /// Add a smart proxy
    Create(New),
    /// Change a smart proxy
    Update(Box<Changes>),
    /// Forget a smart proxy; what it has stays there
    Delete(SmartProxy),
    /// Look at all that a smart proxy should have, and bring what it lacks
    Sync {
        #[command(flatten)]
        proxy: SmartProxy,
        /// Why, for the audit
        #[arg(long, value_name = "WORDS")]
        reason: Option<String>,
        #[command(flatten)]
        begun: Begun,
    },
    /// Show what a smart proxy has, and what it lacks
    Status(SmartProxy),
}

#[derive(Args, Debug)]
struct SmartProxy {
    /// The smart proxy's id
    #[arg(value_name = "PROXY")]
    id: i64,
}

const KINDS: [&str; 3] = ["wharfinger", "pulp", "oci"];

#[derive(Args, Debug)]
struct New {
    /// What it is called
    name: String,
    /// What it is: another wharfinger, a Pulp 3, or any registry
    #[arg(long, value_parser = PossibleValuesParser::new(KINDS))]
    kind: String,
    /// Where it is, for example: <https://berlin.example.org>
    #[arg(long)]
    url: String,
    #[command(flatten)]
    both: Both,
}

/// The members of a flattened struct belong to no group: each of these is named in its own.
#[derive(Args, Debug)]
#[group(id = "changes", required = true, multiple = true, args = [
    "url", "secret_file", "username", "password_file", "environments", "no_environments", "enabled", "concurrency",
    "bytes_per_second",
])]
struct Changes {
    #[command(flatten)]
    proxy: SmartProxy,
    /// Where it is
    #[arg(long)]
    url: Option<String>,
    /// It holds nothing any more: what it has is removed there
    #[arg(long, conflicts_with = "environments")]
    no_environments: bool,
    #[command(flatten)]
    both: Both,
}

#[derive(Args, Debug)]
struct Both {
    /// Of another wharfinger: the file that holds what its --mirror-secret-file does
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Of a Pulp or a registry: who is logged in as
    #[arg(long, value_name = "LOGIN", requires = "password_file")]
    username: Option<String>,
    /// Of a Pulp or a registry: the file of his password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// What it holds; may be given several times
    #[arg(long = "environment", value_name = "ORGANIZATION/ENVIRONMENT", value_parser = environment)]
    environments: Vec<Value>,
    /// Whether anything is brought there
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// So many blobs are on their way there at once
    #[arg(long, value_name = "NUMBER")]
    concurrency: Option<u32>,
    /// So fast they go there in all, in bytes a second
    #[arg(long, value_name = "NUMBER")]
    bytes_per_second: Option<u64>,
}

fn environment(text: &str) -> Result<Value, String> {
    let (organization, environment) = text
        .split_once('/')
        .ok_or("is no organization and environment; write for example acme/Library")?;
    Ok(json!({ "organization": organization, "environment": environment }))
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("NAME", "name"),
    text("KIND", "kind"),
    text("URL", "url").spare(),
    read("HOLDS", "environments", environments).spare(),
    text("ENABLED", "enabled").spare(),
    age("SYNCED", "synced_at"),
    text("ERROR", "error").spare(),
];

const STATUS: &[Column] = &[
    text("NAME", "name"),
    text("CURRENT", "current"),
    text("GATE", "gate"),
    text("VERSIONS BEHIND", "lag_versions"),
    text("SECONDS BEHIND", "lag_seconds"),
    time("SYNCED", "synced_at"),
    text("ERROR", "error").spare(),
];

const REPOSITORIES: &[Column] = &[
    text("REPOSITORY", "name"),
    text("ENVIRONMENT", "environment"),
    text("HERE", "version_here"),
    text("THERE", "version_there"),
    text("CURRENT", "current"),
    id("TASK", "last_task").spare(),
    text("ERROR", "error").spare(),
];

fn environments(all: &Value) -> String {
    let all = all.as_array().map_or(&[][..], Vec::as_slice);
    let names = all.iter().map(|it| {
        let (organization, environment) = (
            show::text(&it["organization"]),
            show::text(&it["environment"]),
        );
        format!("{organization}/{environment}")
    });
    names.collect::<Vec<_>>().join(" ")
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
            Self::List(page) => {
                let body = page.get(client, "/smart_proxies").await?;
                view.list(&body, COLUMNS, "no smart proxy");
            }
            Self::Show(proxy) => view.object(&client.get(&proxy.path(), &[]).await?, COLUMNS),
            Self::Create(new) => {
                let mut body = new.both.body()?;
                body.extend([
                    ("name".to_owned(), json!(new.name)),
                    ("kind".to_owned(), json!(new.kind)),
                    ("url".to_owned(), json!(new.url)),
                ]);
                let made = client.post("/smart_proxies", &Value::Object(body)).await?;
                view.object(&made, COLUMNS);
            }
            Self::Update(changes) => {
                let mut body = changes.both.body()?;
                if let Some(url) = &changes.url {
                    body.insert("url".to_owned(), json!(url));
                }
                if changes.no_environments {
                    body.insert("environments".to_owned(), json!([]));
                }
                let path = changes.proxy.path();
                view.object(&client.patch(&path, &Value::Object(body)).await?, COLUMNS);
            }
            Self::Delete(proxy) => {
                client.delete(&proxy.path()).await?;
                view.done(format!("smart proxy {} is forgotten", proxy.id));
            }
            Self::Sync {
                proxy,
                reason,
                begun,
            } => {
                let body = reason.map_or(json!({}), |why| json!({ "reason": why }));
                let path = format!("{}/sync", proxy.path());
                let answer = client.post(&path, &body).await?;
                return begun.after(client, view, &answer).await;
            }
            Self::Status(proxy) => {
                let body = client.get(&format!("{}/status", proxy.path()), &[]).await?;
                view.object(&body, STATUS);
                if view.is_for_people() {
                    let all = show::list(&body, "repositories");
                    terminal::print(listed(all, REPOSITORIES, terminal::width()));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl SmartProxy {
    fn path(&self) -> String {
        format!("/smart_proxies/{}", self.id)
    }
}

impl Both {
    /// What of it was given.
    fn body(&self) -> Result<Map<String, Value>, ClientError> {
        let mut body = Map::new();
        if let Some(file) = &self.secret_file {
            body.insert("secret".to_owned(), json!(first_line(file)?));
        }
        if let (Some(username), Some(file)) = (&self.username, &self.password_file) {
            let password = first_line(file)?;
            let credentials = json!({ "username": username, "password": password });
            body.insert("credentials".to_owned(), credentials);
        }
        if !self.environments.is_empty() {
            body.insert("environments".to_owned(), json!(self.environments));
        }
        let rest = [
            ("enabled", self.enabled.map(|it| json!(it))),
            ("concurrency", self.concurrency.map(|it| json!(it))),
            (
                "bytes_per_second",
                self.bytes_per_second.map(|it| json!(it)),
            ),
        ];
        let given = rest
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        body.extend(given);
        Ok(body)
    }
}

fn first_line(file: &Path) -> Result<String, ClientError> {
    let text = fs::read_to_string(file).map_err(|error| {
        ClientError::Usage(format!("{} cannot be read: {error}", file.display()))
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
