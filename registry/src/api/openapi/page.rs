//! The document as a page for people: made of the very same document, loads nothing, and needs no script.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::operation::Operation;
use super::{Answers, DOCUMENT};

/// Nothing is loaded, run, framed or sent: a page to read.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

static HTML: LazyLock<Bytes> = LazyLock::new(|| {
    let page = Shown::of(&DOCUMENT);
    page.render()
        .expect("a template writes into memory, which does not fail")
        .into()
});

/// The page's text, for tests.
#[cfg(test)]
pub(super) fn html() -> &'static str {
    std::str::from_utf8(&HTML).unwrap()
}

/// The page as HTML.
pub(in crate::api) struct Html;

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
        ];
        (headers, HTML.clone()).into_response()
    }
}

impl Answers for Html {
    fn answer(operation: &mut Operation) {
        operation.answers_text(200, "The page.", "text/html; charset=utf-8");
    }
}

/// `GET /api/docs`.
pub(in crate::api) async fn page() -> Html {
    Html
}

/// The page.
#[derive(Template)]
#[template(path = "rest.html")]
struct Shown {
    version: String,
    resources: Vec<Resource>,
    schemas: Vec<Type>,
    permissions: Vec<Row>,
}

/// What is said about one resource.
struct Resource {
    name: String,
    about: String,
    operations: Vec<Line>,
}

/// One operation.
struct Line {
    id: String,
    method: String,
    path: String,
    summary: String,
    needs: Prose,
    parameters: Vec<Row>,
    body: Option<Type>,
    answers: Vec<Answer>,
    links: Vec<String>,
}

/// An object with its fields.
struct Type {
    name: String,
    about: Prose,
    rows: Vec<Row>,
    example: String,
}

/// A field or a parameter.
struct Row {
    name: String,
    kind: Vec<Word>,
    place: String,
    required: bool,
    about: Prose,
}

/// One answer.
struct Answer {
    status: String,
    good: bool,
    about: Prose,
    kind: Vec<Word>,
}

/// A part of what a field is: a word, or the name of a schema, which is a link.
struct Word {
    text: String,
    to: bool,
}

/// A text in which code stands between backticks.
struct Prose(Vec<Piece>);

/// A piece of it.
struct Piece {
    text: String,
    code: bool,
}

impl Prose {
    fn of(text: &Value) -> Self {
        let text = text.as_str().unwrap_or_default();
        let pieces = text.split('`').enumerate().map(|(n, piece)| Piece {
            text: piece.to_owned(),
            code: n % 2 == 1,
        });
        Self(pieces.filter(|piece| !piece.text.is_empty()).collect())
    }
}

impl Shown {
    fn of(document: &Value) -> Self {
        let resources = list(&document["tags"]).iter().map(|tag| Resource {
            name: text(&tag["name"]),
            about: text(&tag["description"]),
            operations: operations(document, &tag["name"]),
        });
        let bodies = bodies(document);
        let schemas = fields(&document["components"]["schemas"]);
        let of_answers = |name: &str| !bodies.contains(&name) && !name.starts_with("PageOf");
        let permissions = list(&document["components"]["schemas"]["Permission"]["oneOf"]);
        Self {
            version: text(&document["info"]["version"]),
            resources: resources.collect(),
            schemas: schemas
                .filter(|(name, _)| of_answers(name))
                .map(|(name, schema)| Type::of(name, schema))
                .collect(),
            permissions: permissions
                .iter()
                .map(|one| Row {
                    name: text(&one["const"]),
                    kind: Vec::new(),
                    place: String::new(),
                    required: false,
                    about: Prose::of(&one["description"]),
                })
                .collect(),
        }
    }
}

/// The schemas that bodies are read by; each is shown where it is read.
fn bodies(document: &Value) -> Vec<&str> {
    let operations = fields(&document["paths"]).flat_map(|(_, item)| fields(item));
    let schemas = operations
        .map(|(_, said)| &said["requestBody"]["content"]["application/json"]["schema"]["$ref"]);
    let named = schemas.filter_map(|at| at.as_str()?.rsplit('/').next());
    named.collect()
}

fn operations(document: &Value, tag: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    for (path, item) in fields(&document["paths"]) {
        for method in METHODS {
            let said = &item[method];
            if said["tags"][0] == *tag {
                lines.push(Line::of(document, path, method, said));
            }
        }
    }
    lines
}

impl Line {
    /// The path, its variable parts told apart.
    fn path(&self) -> impl Iterator<Item = Piece> {
        let parts = self.path.split_inclusive('/');
        parts.map(|part| Piece {
            text: part.to_owned(),
            code: part.starts_with('{'),
        })
    }

    fn of(document: &Value, path: &str, method: &str, said: &Value) -> Self {
        let parameters = list(&said["parameters"]).iter().map(|parameter| Row {
            name: text(&parameter["name"]),
            kind: kind(&parameter["schema"]),
            place: text(&parameter["in"]),
            required: parameter["required"] == true,
            about: Prose::of(&parameter["description"]),
        });
        let body = &said["requestBody"]["content"]["application/json"]["schema"];
        let responses = || fields(&said["responses"]);
        let links = responses().flat_map(|(_, answer)| fields(&answer["links"]));
        Self {
            id: text(&said["operationId"]),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: text(&said["summary"]),
            needs: Prose::of(&said["x-right"]),
            parameters: parameters.collect(),
            body: named(document, body).map(|(name, schema)| Type::of(name, schema)),
            answers: responses()
                .map(|(status, answer)| Answer::of(document, status, answer))
                .collect(),
            links: links.map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl Type {
    fn of(name: &str, schema: &Value) -> Self {
        let required = list(&schema["required"]);
        let words = list(&schema["oneOf"]).iter().map(|one| Row {
            name: text(&one["const"]),
            kind: Vec::new(),
            place: String::new(),
            required: false,
            about: Prose::of(&one["description"]),
        });
        let rows = fields(&schema["properties"]).map(|(name, field)| Row {
            name: name.clone(),
            kind: kind(field),
            place: String::new(),
            required: required.iter().any(|known| known == name),
            about: Prose::of(&field["description"]),
        });
        let example = schema["examples"].get(0);
        Self {
            name: name.to_owned(),
            about: Prose::of(&schema["description"]),
            rows: words.chain(rows).collect(),
            example: example
                .map(|example| format!("{example:#}"))
                .unwrap_or_default(),
        }
    }
}

impl Answer {
    fn of(document: &Value, status: &str, answer: &Value) -> Self {
        let resolved = match answer["$ref"].as_str() {
            Some(at) => document.pointer(&at[1..]).unwrap_or(&Value::Null),
            None => answer,
        };
        let content = fields(&resolved["content"]).next();
        let kind = match content {
            None => Vec::new(),
            Some((media_type, content)) => match kind(&content["schema"]) {
                words if words.iter().any(|word| word.to) => words,
                _ => vec![Word::plain(media_type)],
            },
        };
        Self {
            status: status.to_owned(),
            good: status.starts_with('2'),
            about: Prose::of(&resolved["description"]),
            kind,
        }
    }
}

impl Word {
    fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            to: false,
        }
    }
}

/// What a schema takes, in a few words.
fn kind(schema: &Value) -> Vec<Word> {
    if let Some(at) = schema["$ref"].as_str() {
        let name = at.rsplit('/').next().unwrap_or_default();
        return match name.strip_prefix("PageOf") {
            Some(item) => vec![
                Word::plain("page of "),
                Word {
                    text: item.to_owned(),
                    to: true,
                },
            ],
            None => vec![Word {
                text: name.to_owned(),
                to: true,
            }],
        };
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(options) = schema[several].as_array() {
            let option = |one: &Value| match one["const"].as_str() {
                Some(word) => vec![Word::plain(&format!("“{word}”"))],
                None => kind(one),
            };
            return joined(options.iter().map(option));
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return joined(
            words
                .iter()
                .map(|word| vec![Word::plain(&format!("“{}”", text(word)))]),
        );
    }
    if !schema["items"].is_null() {
        let mut words = vec![Word::plain("list of ")];
        words.extend(kind(&schema["items"]));
        return words;
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        Value::String(one) => vec![one.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            vec!["any".to_owned()]
        }
    };
    let mut said = vec![match schema["format"].as_str() {
        Some("date-time") => types.join(" or ").replace("string", "time"),
        Some("uuid") => types.join(" or ").replace("string", "UUID"),
        Some(_) | None => types.join(" or "),
    }];
    let bounds = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
    if let (Some(least), Some(most)) = bounds
        && most < i64::from(u32::MAX)
    {
        said.push(format!("{least} to {most}"));
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        said.push(format!("at most {most} characters"));
    }
    if !schema["default"].is_null() {
        said.push(format!("{} unless given", text(&schema["default"])));
    }
    let said = said.join(", ");
    vec![Word::plain(&said)]
}

fn joined(options: impl Iterator<Item = Vec<Word>>) -> Vec<Word> {
    let mut words = Vec::new();
    for option in options {
        if !words.is_empty() {
            words.push(Word::plain(" or "));
        }
        words.extend(option);
    }
    words
}

fn named<'a>(document: &'a Value, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
    let at = schema["$ref"].as_str()?;
    let name = at.rsplit('/').next()?;
    Some((name, document.pointer(&at[1..])?))
}

fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => String::new(),
        None => value.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
