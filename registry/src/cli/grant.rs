//! `wharfinger grant …`: who has which role where.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection};
use super::page::Page;
use super::view::{Column, View, id, text, time};
use crate::config::Environment;

/// A verb on grants, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List your grants, and those at places where you manage access
    List(Page),
    /// Give somebody a role; without a place: everywhere
    Create(New),
    /// Take a role away
    Delete {
        /// The grant's id
        #[arg(value_name = "GRANT")]
        id: i64,
    },
}

#[derive(Args, Debug)]
struct New {
    /// A user's login, or a robot's: acme+ci
    #[arg(value_name = "LOGIN")]
    who: String,
    /// The role's name
    role: String,
    /// Only in the organization with this label
    #[arg(long, value_name = "LABEL")]
    organization: Option<String>,
    /// Only in the product with this label
    #[arg(long, value_name = "LABEL", requires = "organization")]
    product: Option<String>,
    /// Only in the repository with this id, or which is pushed by this name
    #[arg(long, conflicts_with_all = ["organization", "product"])]
    repository: Option<String>,
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("USER", "user"),
    text("ROBOT", "robot"),
    text("ROLE", "role"),
    text("ORGANIZATION", "organization"),
    text("PRODUCT", "product"),
    text("REPOSITORY", "repository"),
    time("CREATED", "created_at").spare(),
];

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
                let body = page.get(client, "/grants").await?;
                view.list(&body, COLUMNS, "no grant that you may see");
            }
            Self::Create(new) => {
                view.object(&client.post("/grants", &new.body()).await?, COLUMNS);
            }
            Self::Delete { id } => {
                client.delete(&format!("/grants/{id}")).await?;
                view.done(format!("grant {id} is deleted"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl New {
    fn body(&self) -> Value {
        // No person's login holds a plus; each robot's does.
        let who = if self.who.contains('+') {
            "robot"
        } else {
            "user"
        };
        let mut body = json!({ who: self.who, "role": self.role });
        for (name, label) in [
            ("organization", &self.organization),
            ("product", &self.product),
        ] {
            if let Some(label) = label {
                body[name] = json!(label);
            }
        }
        if let Some(repository) = &self.repository {
            body["repository"] = match repository.parse::<i64>() {
                Ok(id) => json!(id),
                Err(_) => json!(repository),
            };
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_is_told_by_its_plus_and_a_repository_by_number_or_name() {
        let new = |who: &str, repository: &str| New {
            who: who.to_owned(),
            role: "pusher".to_owned(),
            organization: None,
            product: None,
            repository: Some(repository.to_owned()),
        };

        assert_eq!(
            new("ana", "7").body(),
            json!({"user": "ana", "role": "pusher", "repository": 7})
        );
        assert_eq!(
            new("acme+ci", "acme/tools/app").body(),
            json!({"robot": "acme+ci", "role": "pusher", "repository": "acme/tools/app"})
        );
    }
}
