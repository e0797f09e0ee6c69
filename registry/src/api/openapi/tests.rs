//! The document holds what the table holds, and answers are as it says.

use std::collections::{BTreeMap, BTreeSet};

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::api::tests::house::{ADMIN, Answer, Api, BOB, Who};

/// Fields whose name says it all.
const OF_THEMSELVES: [&str; 9] = [
    "at",
    "created_at",
    "digest",
    "email",
    "media_type",
    "name",
    "results",
    "role",
    "step",
];

/// Says what of an answer is not in the document.
pub(in crate::api) struct Document {
    operations: BTreeMap<(String, String), Value>,
    schemas: BTreeMap<String, jsonschema::Validator>,
}

impl Document {
    pub(in crate::api) fn new() -> Self {
        let mut operations = BTreeMap::new();
        for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
            for (method, said) in item.as_object().unwrap() {
                operations.insert((method.to_uppercase(), path.clone()), said.clone());
            }
        }
        let names = DOCUMENT["components"]["schemas"].as_object().unwrap();
        let schemas = names.keys().map(|name| (name.clone(), validator(name)));
        Self {
            operations,
            schemas: schemas.collect(),
        }
    }

    /// What is wrong with an answer of the operation, if anything is.
    pub(in crate::api) fn contradicts(
        &self,
        method: &Method,
        path: &str,
        answer: &Answer,
    ) -> Option<String> {
        let said = &self.operations[&(method.to_string(), path.to_owned())];
        let status = answer.status().as_u16().to_string();
        let documented = match said["responses"].get(&status) {
            Some(answer) => resolved(answer),
            None => return Some(format!("{status} is not documented: {}", answer.body)),
        };
        for name in documented["headers"]
            .as_object()
            .into_iter()
            .flat_map(|it| it.keys())
        {
            if !answer.response.headers().contains_key(name.as_str()) {
                return Some(format!("header {name} is missing"));
            }
        }
        let sent = answer.response.headers().get(CONTENT_TYPE);
        let sent = sent.map(|it| it.to_str().unwrap().to_owned());
        let content = documented["content"]
            .as_object()
            .into_iter()
            .flatten()
            .next();
        match (content, sent) {
            (None, None) => None,
            (Some((media_type, content)), Some(sent)) if *media_type == sent => {
                let name = content["schema"]["$ref"].as_str()?.rsplit('/').next()?;
                let wrong = self.schemas[name].iter_errors(&answer.body).next()?;
                Some(format!("at {}: {wrong}", wrong.instance_path()))
            }
            (content, sent) => Some(format!("{sent:?} instead of {content:?}")),
        }
    }
}

fn resolved(said: &Value) -> &Value {
    match said["$ref"].as_str() {
        Some(at) => DOCUMENT.pointer(&at[1..]).unwrap(),
        None => said,
    }
}

/// Holds values against a schema of the document.
fn validator(name: &str) -> jsonschema::Validator {
    let schema = json!({
        "$ref": format!("#/components/schemas/{name}"),
        "components": DOCUMENT["components"],
    });
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap()
}

fn operations() -> Vec<(String, String, Value)> {
    let document = Document::new();
    let all = document.operations.into_iter();
    all.map(|((method, path), said)| (method, path, said))
        .collect()
}

#[test]
fn the_document_holds_every_line_of_the_tables_and_nothing_else() {
    let line = |prefix: &str, route: &crate::api::rights::Route| {
        (route.method.to_string(), format!("{prefix}{}", route.path))
    };
    let v1 = routes();
    let beside = routes_beside();
    let tables: BTreeSet<_> = v1
        .iter()
        .map(|route| line(V1, route))
        .chain(beside.iter().map(|route| line("", route)))
        .collect();

    let told: BTreeSet<_> = operations()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();

    assert_eq!(told, tables);
    assert!(told.len() >= 60, "{}", told.len());
}

#[test]
fn every_operation_has_a_name_of_its_own_a_resource_a_right_and_a_sentence() {
    let mut names = BTreeSet::new();
    let told: BTreeSet<&str> = RESOURCES.iter().map(|(name, _)| *name).collect();
    let mut used = BTreeSet::new();

    for (method, path, said) in operations() {
        let name = said["operationId"].as_str().unwrap().to_owned();
        let resource = said["tags"][0].as_str().unwrap();
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(told.contains(resource), "{name} is of {resource}");
        used.insert(resource.to_owned());
        for member in ["summary", "x-right"] {
            assert!(
                said[member].as_str().is_some_and(|it| !it.is_empty()),
                "{method} {path}"
            );
        }
    }

    assert_eq!(used.len(), told.len());
    for name in [
        "tasks.list",
        "tasks.graph.dot",
        "users.create",
        "health.healthz",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}

#[test]
fn every_field_and_every_parameter_is_told() {
    let mut untold = Vec::new();
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        for (field, said) in schema["properties"].as_object().into_iter().flatten() {
            let telling = said["description"].is_string() || said.to_string().contains("$ref");
            if !telling && !OF_THEMSELVES.contains(&field.as_str()) {
                untold.push(format!("{name}.{field}"));
            }
        }
    }
    for (method, path, said) in operations() {
        for parameter in said["parameters"].as_array().into_iter().flatten() {
            if !parameter["description"].is_string() {
                untold.push(format!("{method} {path}: {}", parameter["name"]));
            }
        }
    }

    assert_eq!(untold, Vec::<String>::new());
}

#[test]
fn every_example_fits_its_schema() {
    let mut seen = 0;
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            let wrong = validator(name)
                .iter_errors(example)
                .next()
                .map(|it| it.to_string());
            assert_eq!(wrong, None, "{name}");
            seen += 1;
        }
    }
    let problem = validator("Problem");
    for (name, answer) in DOCUMENT["components"]["responses"].as_object().unwrap() {
        let examples = &answer["content"]["application/problem+json"]["examples"];
        for (kind, example) in examples.as_object().unwrap() {
            assert!(problem.is_valid(&example["value"]), "{name}: {kind}");
            seen += 1;
        }
    }

    assert!(seen >= 30, "{seen}");
}

#[test]
fn every_body_refuses_fields_that_it_does_not_know_and_has_an_example() {
    for (method, path, said) in operations() {
        let Some(at) =
            said["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
        else {
            continue;
        };
        let schema = DOCUMENT.pointer(&at[1..]).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{method} {path}");
        assert!(schema["examples"][0].is_object(), "{method} {path}");
    }
}

#[test]
fn what_was_made_leads_to_what_can_be_asked_about_it() {
    let links = |name: &str, status: &str| {
        let all = operations();
        let (.., said) = all
            .iter()
            .find(|(.., said)| said["operationId"] == name)
            .unwrap();
        said["responses"][status]["links"].clone()
    };

    let user = links("users.create", "201");
    let product = links("products.create", "201");
    let tasks = links("tasks.list", "200");

    assert_eq!(
        user["users.delete"]["parameters"],
        json!({"login": "$response.body#/login"})
    );
    assert_eq!(
        product["products.change"]["parameters"],
        json!({"organization": "$response.body#/organization", "product": "$response.body#/label"})
    );
    assert_eq!(
        tasks["tasks.resume"]["parameters"],
        json!({"id": "$response.body#/results/0/id"})
    );
}

#[tokio::test]
async fn every_example_of_a_body_is_taken() {
    let api = Api::start(&["--allow-drills"]).await;
    let document = Document::new();
    let example = |name: &str| DOCUMENT["components"]["schemas"][name]["examples"][0].clone();

    for (schema, path) in [
        ("NewOrganization", "/organizations"),
        ("NewProduct", "/organizations/{organization}/products"),
        (
            "NewRepository",
            "/organizations/{organization}/products/{product}/repositories",
        ),
        (
            "NewEnvironment",
            "/organizations/{organization}/environments",
        ),
        ("NewUser", "/users"),
        ("NewRobot", "/robots"),
        ("NewRole", "/roles"),
        ("NewGrant", "/grants"),
        ("NewToken", "/tokens"),
        ("NewDrill", "/drills"),
    ] {
        let at = path
            .replace("{organization}", "acme")
            .replace("{product}", "tools");
        let made = api
            .post(&ADMIN, &format!("{V1}{at}"), example(schema))
            .await;

        assert_eq!(
            made.status(),
            StatusCode::CREATED,
            "{schema}: {}",
            made.body
        );
        let wrong = document.contradicts(&Method::POST, &format!("{V1}{path}"), &made);
        assert_eq!(wrong, None, "{schema}");
        let location = made.response.headers()[LOCATION].to_str().unwrap();
        if schema != "NewGrant" && schema != "NewDrill" {
            let found = api.get(&ADMIN, location).await;
            assert_eq!(found.status(), StatusCode::OK, "{location}");
        }
    }
    for (schema, path, at) in [
        (
            "OrganizationChanges",
            "/organizations/{organization}",
            "/organizations/acme",
        ),
        (
            "ProductChanges",
            "/organizations/{organization}/products/{product}",
            "/organizations/acme/products/tools",
        ),
        (
            "EnvironmentChanges",
            "/organizations/{organization}/environments/{environment}",
            "/organizations/acme/environments/qa",
        ),
        ("UserChanges", "/users/{login}", "/users/ana"),
        ("RoleChanges", "/roles/{name}", "/roles/release_manager"),
        (
            "SettingChange",
            "/settings/{name}",
            "/settings/anonymous_pull",
        ),
    ] {
        let changed = api
            .patch(&ADMIN, &format!("{V1}{at}"), example(schema))
            .await;

        assert_eq!(
            changed.status(),
            StatusCode::OK,
            "{schema}: {}",
            changed.body
        );
        let wrong = document.contradicts(&Method::PATCH, &format!("{V1}{path}"), &changed);
        assert_eq!(wrong, None, "{schema}");
    }
}

#[tokio::test]
async fn document_and_page_are_for_anybody() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let document = Document::new();

    for who in [&Who::Nobody, &BOB, &Who::Login("bob", "wrong")] {
        for path in ["/api/openapi.json", "/api/docs"] {
            let answer = api.get(who, path).await;

            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let wrong = document.contradicts(&Method::GET, path, &answer);
            assert_eq!(wrong, None, "{path}");
        }
    }
    let told = api.get(&Who::Nobody, "/api/openapi.json").await.body;
    assert_eq!(told, *DOCUMENT);
}

#[tokio::test]
async fn the_page_tells_every_operation_and_loads_nothing() {
    let api = Api::start(&[]).await;

    let answer = api.get(&Who::Nobody, "/api/docs").await;

    let policy = answer.response.headers()[CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("script-src"), "{policy}");
    let html = page::html();
    for (_, path, said) in operations() {
        let name = said["operationId"].as_str().unwrap();
        assert!(html.contains(&format!("<details id=\"{name}\">")), "{name}");
        assert!(!html.contains("<script"), "{path}");
    }
    for attribute in ["href=\"", "src=\"", "url(", "@import", "action=\""] {
        for (at, _) in html.match_indices(attribute) {
            let value: String = html[at + attribute.len()..].chars().take(2).collect();
            let within = value.starts_with('#') || (value.starts_with('/') && value != "//");
            assert!(within, "{attribute}{value}");
        }
    }
    let anchors = html.match_indices("href=\"#").map(|(at, found)| {
        let rest = &html[at + found.len()..];
        rest.split('"').next().unwrap()
    });
    for anchor in anchors {
        assert!(
            html.contains(&format!("id=\"{anchor}\"")),
            "nothing is called {anchor}"
        );
    }
}
