//! What tasks and workflows look like: every language from the same picture, and nothing in it that a browser would run.

use axum::body::{Body, to_bytes};
use http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::house::{ADMIN, Answer, Api, SERVICE};
use crate::api::openapi::tests::Document;

const LANGUAGES: [(&str, &str, &str); 4] = [
    ("svg", "image/svg+xml", "<svg "),
    ("dot", "text/vnd.graphviz; charset=utf-8", "digraph "),
    ("mmd", "text/vnd.mermaid; charset=utf-8", "flowchart LR"),
    ("txt", "text/plain; charset=utf-8", ""),
];

/// The answer with its text, to somebody who has a picture with that tag.
async fn look(api: &Api, path: &str, has: &str) -> (Answer, String) {
    let request = Request::get(path)
        .header(HOST, SERVICE)
        .header(AUTHORIZATION, ADMIN.authorization().unwrap())
        .header(IF_NONE_MATCH, has);
    let answer = api.open(request.body(Body::empty()).unwrap()).await;
    let (head, body) = answer.into_parts();
    let text = to_bytes(body, 1 << 20).await.unwrap();
    let answer = Answer {
        response: http::Response::from_parts(head, ()),
        body: Value::Null,
    };
    (answer, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn tasks_and_workflows_are_drawn_in_every_language() {
    let api = Api::start(&[]).await.with_bob("reader").await;
    let (_, task, _) = api.push("acme/tools/app").await;
    let document = Document::new();

    for (of, route) in [
        (format!("/api/v1/tasks/{task}"), "/api/v1/tasks/{id}"),
        (
            "/api/v1/workflows/push".to_owned(),
            "/api/v1/workflows/{name}",
        ),
    ] {
        for (ending, media_type, beginning) in LANGUAGES {
            let (drawn, text) = look(&api, &format!("{of}/graph.{ending}"), "\"none\"").await;

            assert_eq!(drawn.status(), StatusCode::OK, "{of} {ending}");
            let headers = drawn.response.headers();
            assert_eq!(headers[CONTENT_TYPE], media_type);
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert_eq!(
                policy,
                "default-src 'none'; style-src 'unsafe-inline'; sandbox"
            );
            assert!(text.starts_with(beginning), "{text}");
            for step in ["authorize", "ensure_product", "sync_proxies"] {
                assert!(text.contains(step), "no {step} in {text}");
            }
            let route = format!("{route}/graph.{ending}");
            assert_eq!(document.contradicts(&Method::GET, &route, &drawn), None);
        }
    }
}

#[tokio::test]
async fn a_picture_that_the_caller_has_is_not_sent_again() {
    let api = Api::start(&[]).await;
    let path = "/api/v1/workflows/push/graph.svg";
    let tag = api.get(&ADMIN, path).await.response.headers()[ETAG].clone();
    let tag = tag.to_str().unwrap();

    for (known, status) in [
        (tag.to_owned(), StatusCode::NOT_MODIFIED),
        (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
    ] {
        let (again, text) = look(&api, path, &known).await;

        assert_eq!(again.status(), status, "{known}");
        assert_eq!(again.response.headers()[ETAG], tag, "{known}");
        assert_eq!(text.is_empty(), status == StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn a_workflow_is_shown_with_what_each_step_waits_for() {
    let api = Api::start(&[]).await;

    let all = api.get(&ADMIN, "/api/v1/workflows").await;
    let push = api.get(&ADMIN, "/api/v1/workflows/push").await;
    let unknown = api.get(&ADMIN, "/api/v1/workflows/pull/graph.svg").await;

    let all = all.body["results"].as_array().unwrap();
    assert!(all.contains(&push.body), "{all:?}");
    let steps = push.body["steps"].as_array().unwrap();
    let joined = steps.iter().find(|it| it["name"] == "ensure_repository");
    assert_eq!(
        joined.unwrap()["depends_on"],
        json!(["copy", "ensure_product"])
    );
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        unknown.body["detail"],
        "there is no workflow pull, or none that you may see"
    );
}
