//! `wharfinger product …`.

mod retention;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{Client, ClientError, Connection, segment};
use super::delete::{Delete, names, tags};
use super::page::Page;
use super::task::Begun;
use super::view::{Column, View, id, read, text, time};
use crate::config::Environment;
use retention::Retention;

/// A verb on products, and the server to ask.
#[derive(Args, Debug)]
pub(crate) struct Command {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List an organization's products
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        page: Page,
    },
    /// Show a product
    Show(Product),
    /// Make a product
    Create {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        new: New,
    },
    /// Change a product; its label never changes
    Update {
        #[command(flatten)]
        product: Product,
        #[command(flatten)]
        changes: Changes,
    },
    /// Delete a product with its repositories; `task revert` takes that back
    Delete {
        #[command(flatten)]
        product: Product,
        #[command(flatten)]
        delete: Delete,
    },
    /// Remove what its rules of retention do not keep, or say what that would be
    Retention {
        #[command(flatten)]
        product: Product,
        #[command(flatten)]
        retention: Retention,
        #[command(flatten)]
        begun: Begun,
    },
}

/// Whose product.
#[derive(Args, Debug)]
pub(super) struct Of {
    /// The label of the product's organization
    #[arg(long, value_name = "LABEL")]
    organization: String,
}

#[derive(Args, Debug)]
struct Product {
    /// The product's label
    #[arg(value_name = "PRODUCT")]
    label: String,
    #[command(flatten)]
    of: Of,
}

#[derive(Args, Debug, Serialize)]
struct New {
    /// The label, which stands in the names of images and never changes
    label: String,
    /// What people call it
    #[arg(long)]
    name: String,
    /// Whether anybody may pull from it without a login
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_pull: Option<bool>,
    /// Tags that cannot be moved once they are pushed, for example `v*`; may be repeated
    #[arg(long = "immutable-tag", value_name = "GLOB")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    immutable_tags: Vec<String>,
    /// What of its repositories stays, as JSON; left out: everything
    #[arg(long, value_name = "JSON", value_parser = rules)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Value>,
}

#[derive(Args, Debug, Serialize)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What people call it
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether anybody may pull from it without a login
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_pull: Option<bool>,
    /// Tags that cannot be moved once they are pushed, instead of those before; may be repeated, given empty: none
    #[arg(long = "immutable-tag", value_name = "GLOB")]
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "without_empty"
    )]
    immutable_tags: Vec<String>,
    /// What of its repositories stays, as JSON, for example `{"tags": [{"matching": ["pr-*"], "keep_newest": 10}]}`; given empty: everything
    #[arg(long, value_name = "JSON", value_parser = rules)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Value>,
}

/// Rules of retention; an empty text takes them away.
fn rules(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn without_empty<S: Serializer>(globs: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(globs.iter().filter(|glob| !glob.is_empty()))
}

pub(super) const COLUMNS: &[Column] = &[
    id("ID", "id"),
    text("LABEL", "label"),
    text("NAME", "name").spare(),
    text("ORGANIZATION", "organization").spare(),
    text("ANONYMOUS PULL", "anonymous_pull"),
    text("IMMUTABLE TAGS", "immutable_tags").spare(),
    time("CREATED", "created_at").spare(),
];

const WOULD_DELETE: &[Column] = &[
    text("ORGANIZATION", "organization"),
    text("WOULD DELETE", "product"),
    read("REPOSITORIES", "repositories", names),
    read("TAGS", "repositories", tags),
];

/// One product has room for its rules.
const ALONE: &[Column] = &[
    id("ID", "id"),
    text("LABEL", "label"),
    text("NAME", "name"),
    text("ORGANIZATION", "organization"),
    text("ANONYMOUS PULL", "anonymous_pull"),
    text("IMMUTABLE TAGS", "immutable_tags"),
    text("RETENTION", "retention"),
    time("CREATED", "created_at"),
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
            Self::List { of, page } => {
                let body = page.get(client, &of.products()).await?;
                view.list(&body, COLUMNS, "no product that you may see");
            }
            Self::Show(product) => {
                view.object(&client.get(&product.path(), &[]).await?, ALONE);
            }
            Self::Create { of, new } => {
                view.object(&client.post(&of.products(), &json!(new)).await?, ALONE);
            }
            Self::Update { product, changes } => {
                let body = client.patch(&product.path(), &json!(changes)).await?;
                view.object(&body, ALONE);
            }
            Self::Delete { product, delete } => {
                let show = |view: View, would: &Answer| view.object(would, WOULD_DELETE);
                return delete.run(client, view, &product.path(), show).await;
            }
            Self::Retention {
                product,
                retention,
                begun,
            } => return retention.run(client, view, &product, &begun).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Of {
    fn products(&self) -> String {
        format!("/organizations/{}/products", segment(&self.organization))
    }

    /// The path of the product with this label.
    pub(super) fn product(&self, label: &str) -> String {
        format!("{}/{}", self.products(), segment(label))
    }
}

impl Product {
    fn path(&self) -> String {
        self.of.product(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(globs: &[&str]) -> Value {
        json!(Changes {
            name: None,
            anonymous_pull: None,
            immutable_tags: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            retention: None,
        })
    }

    #[test]
    fn empty_rules_take_all_away() {
        let given = |text: &str| {
            json!(Changes {
                name: None,
                anonymous_pull: None,
                immutable_tags: Vec::new(),
                retention: Some(rules(text).unwrap()),
            })
        };

        assert_eq!(given(""), json!({"retention": null}));
        assert_eq!(given("null"), json!({"retention": null}));
        assert_eq!(
            given(r#"{"untagged_within": "7d"}"#),
            json!({"retention": {"untagged_within": "7d"}})
        );
        assert!(rules("{").is_err());
    }

    #[test]
    fn an_empty_glob_takes_all_away() {
        assert_eq!(changes(&[]), json!({}));
        assert_eq!(changes(&[""]), json!({"immutable_tags": []}));
        assert_eq!(
            changes(&["v*", "latest"]),
            json!({"immutable_tags": ["v*", "latest"]})
        );
    }
}
