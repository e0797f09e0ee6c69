//! One operation of the document: a line of the table of routes, filled in by the types of its handler.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::problems;
use super::schemas::Schemas;
use crate::api::problem::Kind;
use crate::api::rights::Route;

/// What the variable parts of paths are, for people.
#[rustfmt::skip]
const PARTS: &[(&str, &str)] = &[
    ("digest",       "The manifest's digest."),
    ("environment",  "The environment's label, whatever its case."),
    ("id",           "Its id."),
    ("key",          "The group's key, as the list of groups shows it."),
    ("login",        "The user's login."),
    ("name",         "Its name."),
    ("number",       "The version's number, from 1."),
    ("organization", "The organization's label, whatever its case."),
    ("product",      "The product's label, whatever its case."),
    ("step",         "The name of a step of the task."),
    ("tag",          "The tag."),
];

/// Where in an answer a thing is that has a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Found {
    /// The answer is it.
    Whole,
    /// The first of a page.
    FirstOfPage,
}

/// An answer in which such a thing is found.
pub(super) struct Lead {
    pub(super) status: u16,
    pub(super) found: Found,
    /// As [`Located::PATH`](crate::api::answer::Located::PATH) has it.
    pub(super) path: &'static str,
}

/// What is said of one route.
pub(in crate::api) struct Operation<'a> {
    schemas: &'a mut Schemas,
    method: &'a Method,
    path: &'a str,
    login: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    problems: BTreeSet<Kind>,
    leads: Vec<Lead>,
}

/// A line of the document, and where its answers lead.
pub(super) struct Described {
    pub(super) said: Value,
    pub(super) problems: BTreeSet<Kind>,
    pub(super) leads: Vec<Lead>,
}

impl<'a> Operation<'a> {
    /// All that a line of the table and its handler say.
    pub(super) fn of(route: &'a Route, schemas: &'a mut Schemas) -> Described {
        let mut operation = Self {
            schemas,
            method: &route.method,
            path: route.path,
            login: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: route.can_be.iter().copied().collect(),
            leads: Vec::new(),
        };
        (route.describe)(&mut operation);
        operation.said(route)
    }

    /// Whoever calls it has logged in.
    pub(super) fn needs_a_login(&mut self) {
        self.login = true;
    }

    /// It may answer with these problems.
    pub(in crate::api) fn can_be(&mut self, problems: &[Kind]) {
        self.problems.extend(problems);
    }

    /// The variable parts of its path are `T`: one, or a tuple of them.
    pub(super) fn takes_its_path<T: JsonSchema>(&mut self) {
        let names: Vec<&str> = parts(self.path).collect();
        let schema = Value::from(self.schemas.of_body::<T>());
        let several = schema["prefixItems"].as_array().cloned();
        let schemas = several.unwrap_or_else(|| vec![schema]);
        assert_eq!(names.len(), schemas.len(), "the parts of {}", self.path);
        for (name, schema) in names.into_iter().zip(schemas) {
            let about = PARTS.iter().find(|(known, _)| *known == name);
            self.parameters.push(json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": about.map(|(_, about)| *about),
                "schema": schema,
            }));
        }
    }

    /// It reads a parameter of the query, which may be left out.
    pub(in crate::api) fn takes_query(&mut self, name: &str, about: &str, schema: &Value) {
        self.takes_parameter("query", name, about, schema);
    }

    /// It reads a header, which may be left out.
    pub(in crate::api) fn takes_header(&mut self, name: &str, about: &str, schema: &Value) {
        self.takes_parameter("header", name, about, schema);
    }

    fn takes_parameter(&mut self, place: &str, name: &str, about: &str, schema: &Value) {
        self.parameters.push(json!({
            "name": name,
            "in": place,
            "required": false,
            "description": about,
            "schema": schema,
        }));
    }

    /// It reads a JSON body; none at all reads as `{}`.
    pub(super) fn takes_body<T: JsonSchema>(&mut self) {
        let schema = self.schemas.of_body::<T>();
        let required = self.schemas.requires_anything::<T>();
        self.body = Some(json!({
            "required": required,
            "content": { "application/json": { "schema": schema } },
        }));
    }

    /// It answers `T` as JSON.
    pub(in crate::api) fn answers_json<T: JsonSchema>(&mut self, status: u16, about: &str) {
        let schema = self.schemas.of_answer::<T>();
        let content = json!({ "application/json": { "schema": schema } });
        self.answers(status, about, Some(content));
    }

    /// It answers a text.
    pub(in crate::api) fn answers_text(&mut self, status: u16, about: &str, media_type: &str) {
        let content = json!({ media_type: { "schema": { "type": "string" } } });
        self.answers(status, about, Some(content));
    }

    /// It answers events, each with `T` as its data.
    pub(in crate::api) fn answers_events<T: JsonSchema>(&mut self, status: u16, about: &str) {
        let event = self.schemas.of_answer::<T>();
        // OpenAPI 3.1 has no word for the items of a stream; 3.2 calls them so.
        let content = json!({
            "text/event-stream": { "schema": { "type": "string" }, "x-data-schema": event }
        });
        self.answers(status, about, Some(content));
    }

    /// It answers without a body.
    pub(in crate::api) fn answers_nothing(&mut self, status: u16, about: &str) {
        self.answers(status, about, None);
    }

    fn answers(&mut self, status: u16, about: &str, content: Option<Value>) {
        let mut answer = json!({ "description": about });
        if let Some(content) = content {
            answer["content"] = content;
        }
        self.answers.insert(status, answer);
    }

    /// That answer has this header.
    pub(in crate::api) fn with_header(&mut self, status: u16, name: &str, about: &str) {
        if let Some(answer) = self.answers.get_mut(&status) {
            answer["headers"][name] = json!({
                "description": about,
                "required": true,
                "schema": { "type": "string" },
            });
        }
    }

    /// In that answer is a thing that has a path of its own.
    pub(super) fn leads_on(&mut self, status: u16, found: Found, path: &'static str) {
        if !path.is_empty() {
            self.leads.push(Lead {
                status,
                found,
                path,
            });
        }
    }

    fn said(self, route: &Route) -> Described {
        let mut answers = Map::new();
        for (status, answer) in self.answers {
            answers.insert(status.to_string(), answer);
        }
        for (status, name) in problems::by_status(&self.problems) {
            let named = format!("#/components/responses/{name}");
            answers.insert(status.to_string(), json!({ "$ref": named }));
        }
        let security = if self.login {
            json!([{ "basic": [] }, { "bearer": [] }])
        } else {
            json!([])
        };
        let mut said = json!({
            "operationId": route.name,
            "tags": [route.resource()],
            "summary": route.about,
            "description": format!("Needs {}.", route.right),
            "security": security,
            "x-right": route.right.to_string(),
            "responses": answers,
        });
        if let Some(permission) = route.right.permission() {
            said["x-permission"] = permission.to_string().into();
        }
        if !self.parameters.is_empty() {
            said["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            debug_assert_ne!(self.method, Method::GET, "a GET has no body");
            said["requestBody"] = body;
        }
        Described {
            said,
            problems: self.problems,
            leads: self.leads,
        }
    }
}

/// The names of the variable parts of a path.
pub(super) fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    #[test]
    fn every_variable_part_of_a_path_is_told() {
        for route in routes() {
            for part in parts(route.path) {
                assert!(PARTS.iter().any(|(known, _)| *known == part), "{part}");
            }
        }
    }
}
