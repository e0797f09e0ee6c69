//! The answers of the document that are problems, each set of kinds named once.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::api::environments::Clash;
use crate::api::problem::{Kind, PROBLEMS, WrongField};
use crate::api::time::Time;

/// A problem, by RFC 9457.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "read by its schema only: problems carry what they have to say"
)]
pub(super) struct Problem {
    /// What kind of problem it is: `urn:wharfinger:problem:` and a word that never changes.
    r#type: String,
    /// The kind in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened, to which thing, what to do.
    detail: String,
    /// The fields of the body or the query that are wrong.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<WrongField>>,
    /// Where in the search the first thing is that cannot be read, in characters from 0.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// What was expected there.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    expected: Option<Value>,
    /// The latest time that the field may have which is wrong.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    latest: Option<Time>,
    /// The state of the task, in which the action does not fit.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// The actions that fit.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    can: Option<Vec<String>>,
    /// The names that more than one repository would have.
    #[schemars(default, skip_serializing_if = "Option::is_none")]
    collisions: Option<Vec<Clash>>,
}

/// What an operation may answer instead, as status and name of the answer.
pub(super) fn by_status(kinds: &BTreeSet<Kind>) -> BTreeMap<u16, String> {
    let mut names: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for (kind, status, _) in PROBLEMS {
        if kinds.contains(kind) {
            names.entry(status.as_u16()).or_default().push(kind.into());
        }
    }
    names
        .into_iter()
        .map(|(status, names)| (status, names.join("_or_")))
        .collect()
}

/// All such answers that these sets of kinds need.
pub(super) fn named<'a>(
    sets: impl IntoIterator<Item = &'a BTreeSet<Kind>>,
    schema: &Value,
) -> Map<String, Value> {
    let mut named = Map::new();
    for kinds in sets {
        for (status, name) in by_status(kinds) {
            let of_it = PROBLEMS
                .iter()
                .filter(|(kind, its, _)| its.as_u16() == status && kinds.contains(kind));
            named.insert(name, answer(of_it, schema));
        }
    }
    named
}

fn answer<'a>(
    kinds: impl Iterator<Item = &'a (Kind, StatusCode, &'a str)>,
    schema: &Value,
) -> Value {
    let (mut titles, mut examples, mut status) = (Vec::new(), Map::new(), StatusCode::OK);
    for (kind, its, title) in kinds {
        let word: &'static str = kind.into();
        titles.push(format!("{title} (`{word}`)."));
        examples.insert(
            word.to_owned(),
            json!({ "value": {
                "type": format!("urn:wharfinger:problem:{word}"),
                "title": title,
                "status": its.as_u16(),
                "detail": "what happened, to which thing, what to do",
            } }),
        );
        status = *its;
    }
    let mut answer = json!({
        "description": titles.join(" "),
        "content": { "application/problem+json": { "schema": schema, "examples": examples } },
    });
    let header = match status {
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "Where tokens are got.")),
        StatusCode::TOO_MANY_REQUESTS => Some(("Retry-After", "In how many seconds to try again.")),
        _ => None,
    };
    if let Some((name, about)) = header {
        answer["headers"][name] = json!({
            "description": about,
            "required": true,
            "schema": { "type": "string" },
        });
    }
    answer
}
