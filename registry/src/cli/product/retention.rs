//! `wharfinger product retention`: removes what the rules do not keep, or says what that would be.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Product, rules};
use crate::cli::client::{Client, ClientError};
use crate::cli::task::{Begun, with_reason};
use crate::cli::view::View;
use crate::cli::{show, terminal};

#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct Retention {
    /// Only say what would go
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// With --dry-run: rules that are not saved yet, as JSON
    #[arg(long = "retention", value_name = "JSON", value_parser = rules, requires = "dry_run")]
    unsaved: Option<Value>,
    /// Kept in the audit
    #[arg(long)]
    reason: Option<String>,
}

impl Retention {
    pub(super) async fn run(
        &self,
        client: &Client,
        view: View,
        of: &Product,
        begun: &Begun,
    ) -> Result<ExitCode, ClientError> {
        let mut body = with_reason(self.reason.as_deref());
        body["dry_run"] = json!(self.dry_run);
        if let Some(rules) = &self.unsaved {
            body["retention"] = rules.clone();
        }
        let path = format!("{}/retention", of.path());
        let answer = client.post(&path, &body).await?;
        if !self.dry_run {
            return begun.after(client, view, &answer).await;
        }
        if view.is_for_people() {
            lines(&answer).iter().for_each(terminal::print);
        } else {
            show::json(&answer);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What would go, repository by repository, and how much that is.
fn lines(would: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for losing in show::list(would, "repositories") {
        lines.push(format!(
            "{}: {}",
            show::field(losing, "repository"),
            counts(losing)
        ));
        for tag in show::list(losing, "tags") {
            let (name, digest) = (show::field(tag, "name"), show::field(tag, "digest"));
            lines.push(format!("  {name} at {digest}: {}", show::field(tag, "why")));
        }
        for manifest in show::list(losing, "manifests") {
            let digest = show::field(manifest, "digest");
            lines.push(format!("  {digest}: {}", show::field(manifest, "why")));
        }
    }
    if would["names_all"] == false {
        lines.push("and more than are named here".to_owned());
    }
    lines.push(format!("would go: {}", counts(would)));
    lines
}

fn counts(of: &Value) -> String {
    format!(
        "{} tags, {} manifests, {}",
        show::field(of, "tags_count"),
        show::field(of, "manifests_count"),
        show::size(&of["size_bytes"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_go_is_told_by_repository() {
        let losing = json!({
            "repository": "acme/tools/app", "tags_count": 1, "manifests_count": 1, "size_bytes": 2048,
            "tags": [{"name": "pr-1", "digest": "sha256:1", "why": "rule 1"}],
            "manifests": [{"digest": "sha256:1", "why": "the last tag that needs it goes"}],
        });
        let would = json!({
            "repositories": [losing], "tags_count": 1, "manifests_count": 1, "size_bytes": 2048, "names_all": true,
        });

        assert_eq!(
            lines(&would),
            [
                "acme/tools/app: 1 tags, 1 manifests, 2.0 KiB",
                "  pr-1 at sha256:1: rule 1",
                "  sha256:1: the last tag that needs it goes",
                "would go: 1 tags, 1 manifests, 2.0 KiB",
            ]
        );
    }
}
