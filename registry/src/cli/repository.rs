//! `wharfinger repository …`: repositories, their versions and tags.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use workflows::destination::PushName;

use super::client::{Client, ClientError, Connection, Output};
use super::{exit, show, terminal};
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
        /// For example: organization = acme and product = tools
        #[arg(long)]
        search: Option<String>,
        /// For example: name desc
        #[arg(long)]
        sort: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show a repository
    Show(Repository),
    /// List the tags that Library publishes
    Tags {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        page: Page,
    },
    /// List the versions, the newest first
    Versions {
        #[command(flatten)]
        repository: Repository,
        #[command(flatten)]
        page: Page,
    },
}

#[derive(Args, Debug)]
struct Repository {
    /// The repository's id, or a name by which it is pushed
    #[arg(value_name = "REPOSITORY")]
    which: String,
}

#[derive(Args, Debug)]
struct Page {
    /// How many at once, at most 500
    #[arg(long, default_value_t = 50)]
    per_page: u32,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl Page {
    async fn get(
        &self,
        client: &Client,
        path: &str,
        narrowed: &[(&str, Option<String>)],
    ) -> Result<Value, ClientError> {
        let per_page = self.per_page.to_string();
        let mut query = vec![("per_page", per_page.as_str())];
        let given = narrowed
            .iter()
            .filter_map(|(key, value)| Some((*key, value.as_deref()?)));
        query.extend(given);
        query.extend(self.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        client.get(path, &query).await
    }
}

/// Runs the verb.
pub(crate) async fn command(command: Command, environment: &Environment) -> ExitCode {
    match run(command, environment).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::of(&error),
    }
}

async fn run(command: Command, environment: &Environment) -> Result<(), ClientError> {
    let client = Client::new(&command.connection, environment)?;
    let (body, print): (Value, fn(&Value)) = match command.verb {
        Verb::List { search, sort, page } => {
            let narrowed = [("search", search), ("sort", sort)];
            let body = page.get(&client, "/repositories", &narrowed).await?;
            (body, repositories)
        }
        Verb::Show(repository) => (
            client.get(&path(&client, &repository).await?, &[]).await?,
            repository_alone,
        ),
        Verb::Tags { repository, page } => {
            let path = format!("{}/tags", path(&client, &repository).await?);
            (page.get(&client, &path, &[]).await?, tags)
        }
        Verb::Versions { repository, page } => {
            let path = format!("{}/versions", path(&client, &repository).await?);
            (page.get(&client, &path, &[]).await?, versions)
        }
    };
    match command.connection.output {
        Output::Json => show::json(&body),
        Output::Table => print(&body),
    }
    Ok(())
}

/// A number is an id; anything else is looked up as a pushed name.
async fn path(client: &Client, repository: &Repository) -> Result<String, ClientError> {
    if repository.which.parse::<u64>().is_ok() {
        return Ok(format!("/repositories/{}", repository.which));
    }
    // What cannot be a name is not looked for: it would be read as part of the search.
    if repository.which.parse::<PushName>().is_err() {
        return Err(ClientError::no_such_repository(&repository.which));
    }
    let search = format!("pushed_name = {}", repository.which);
    let found = client.get("/repositories", &[("search", &search)]).await?;
    match show::list(&found, "results") {
        [one] => Ok(format!("/repositories/{}", show::field(one, "id"))),
        _ => Err(ClientError::no_such_repository(&repository.which)),
    }
}

fn repositories(body: &Value) {
    let mut table = terminal::table(&["ID", "NAME", "VERSION", "TAGS", "SIZE", "LAST PUSH", "BY"]);
    for repository in show::list(body, "results") {
        table.add_row([
            show::field(repository, "id"),
            show::list(repository, "pushed_names")
                .first()
                .map_or_else(|| "-".to_owned(), show::text),
            show::field(repository, "latest_version"),
            show::field(repository, "tags_count"),
            show::size(&repository["size_bytes"]),
            show::time(&repository["last_push"]["at"]),
            show::field(&repository["last_push"], "user"),
        ]);
    }
    terminal::print_table(table, "no repository matches");
    show::more(body);
}

fn repository_alone(repository: &Value) {
    let mut table = terminal::table(&[]);
    for name in [
        "id",
        "name",
        "label",
        "organization",
        "product",
        "pushed_names",
        "latest_version",
        "tags_count",
    ] {
        table.add_row([name.to_owned(), show::field(repository, name)]);
    }
    table.add_row(["size".to_owned(), show::size(&repository["size_bytes"])]);
    let push = &repository["last_push"];
    if !push.is_null() {
        let line = format!(
            "{} by {} (task {})",
            show::time(&push["at"]),
            show::field(push, "user"),
            show::field(push, "task_id")
        );
        table.add_row(["last push".to_owned(), line]);
    }
    terminal::print_table(table, "nothing");
}

fn tags(body: &Value) {
    let mut table = terminal::table(&["TAG", "DIGEST", "PLATFORMS", "SIZE"]);
    for tag in show::list(body, "results") {
        table.add_row([
            show::field(tag, "name"),
            show::field(tag, "digest"),
            show::field(tag, "platforms"),
            show::size(&tag["size_bytes"]),
        ]);
    }
    terminal::print_table(table, "no tag is published");
    show::more(body);
}

fn versions(body: &Value) {
    let mut table = terminal::table(&[
        "VERSION",
        "CREATED",
        "CAUSE",
        "TAGS ADDED",
        "TAGS REMOVED",
        "PUBLISHED IN",
        "TASK",
    ]);
    for version in show::list(body, "results") {
        table.add_row([
            show::field(version, "number"),
            show::time(&version["created_at"]),
            show::field(version, "cause"),
            show::field(&version["added"], "tags"),
            show::field(&version["removed"], "tags"),
            show::field(version, "published_in"),
            show::field(version, "task_id"),
        ]);
    }
    terminal::print_table(table, "no version yet");
    show::more(body);
}
