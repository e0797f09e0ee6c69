//! What can be said with every verb that deletes something with what is in it.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{Client, ClientError};
use super::show;
use super::task::{Begun, with_reason};
use super::view::View;

#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct Delete {
    /// Only say what would be deleted
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Kept in the audit
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    begun: Begun,
}

impl Delete {
    /// Deletes what this path names; `shown` shows what would be deleted.
    pub(super) async fn run(
        &self,
        client: &Client,
        view: View,
        path: &str,
        shown: impl FnOnce(View, &Answer),
    ) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        body["dry_run"] = json!(self.dry_run);
        let answer = client.begin_delete(path, &body).await?;
        if self.dry_run {
            shown(view, &answer);
            return Ok(ExitCode::SUCCESS);
        }
        self.begun.after(client, view, &answer).await
    }
}

/// `acme/tools/hello, acme/tools/world`, of the repositories that would go.
pub(super) fn names(repositories: &Value) -> String {
    let names = repositories.as_array().into_iter().flatten();
    let names = names.map(|it| show::field(it, "repository"));
    names.collect::<Vec<_>>().join(", ")
}

/// How many tags all of them have.
pub(super) fn tags(repositories: &Value) -> String {
    let tags = repositories.as_array().into_iter().flatten();
    let tags = tags.filter_map(|it| it["tags"].as_u64());
    tags.sum::<u64>().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_go_is_told_in_names_and_a_sum() {
        let repositories = json!([
            {"repository": "acme/tools/hello", "versions": 3, "tags": 2, "environments": 1},
            {"repository": "acme/tools/world", "versions": 1, "tags": 1, "environments": 1},
        ]);

        assert_eq!(names(&repositories), "acme/tools/hello, acme/tools/world");
        assert_eq!(tags(&repositories), "3");
    }
}
