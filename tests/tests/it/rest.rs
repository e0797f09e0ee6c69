//! The REST API: problems, pages, search and what a task shows.

use reqwest::Method;
use serde_json::{Value, json};
use tests::image::Image;
use tests::rest::{step, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

use crate::access::expect_problem;
use crate::first_push::{STEPS, assert_all_steps_succeeded};

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_task_shows_the_whole_push() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);

    let task = rest.only_push_of(NAME, "latest").await;

    assert_all_steps_succeeded(&task);
    assert_eq!(task["label"], "push");
    assert_eq!(task["user"], ADMIN);
    assert_eq!(task["organization"], "Default_Organization");
    assert_eq!(task["repository"], NAME);
    assert_eq!(task["tag"], "latest");
    assert_eq!(task["digest"], image.digest);
    assert_eq!(task["progress"].as_f64(), Some(1.0));
    assert!(task["reason"].is_null());
    assert_eq!(task["cause"], "client");
    assert_eq!(task["answered"]["status"], 201, "{task}");
    assert!(task["answered"]["warning"].is_null(), "{task}");
    for list in ["waiting_for", "locks"] {
        assert_eq!(task[list], json!([]), "{list}");
    }
    for at in ["created_at", "started_at", "ended_at"] {
        assert!(text(&task[at]).ends_with('Z'), "{at}: {}", task[at]);
    }
    assert_eq!(
        step(&task, "ensure_repository")["depends_on"],
        json!(["copy", "ensure_product"])
    );
    assert_eq!(step(&task, "copy")["attempts"], 1);
    assert!(step(&task, "copy")["error"].is_null());
    assert!(!text(&task["headline"]).is_empty());
    let listed = rest.all("/tasks", "").await.remove(0);
    for field in ["steps", "input", "output"] {
        assert!(
            listed.get(field).is_none_or(Value::is_null),
            "a list shows `{field}`"
        );
    }
}

#[tokio::test]
async fn a_tasks_history_and_graph_show_all_nine_steps() {
    let server = Server::start().await;
    let rest = server.rest();
    server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let id = text(&rest.only_push_of(NAME, "latest").await["id"]).to_owned();

    let history = rest
        .get(&format!("/tasks/{id}/history"))
        .await
        .expect_status(200);
    let dot = rest
        .get(&format!("/tasks/{id}/graph.dot"))
        .await
        .expect_status(200);
    let mermaid = rest
        .get(&format!("/tasks/{id}/graph.mmd"))
        .await
        .expect_status(200);
    let waited = rest
        .get(&format!("/tasks/{id}/wait?timeout=30"))
        .await
        .expect_status(200);

    assert!(dot.text().starts_with("digraph"), "{dot}");
    for step in STEPS {
        for shown in [&history, &dot, &mermaid] {
            assert!(shown.text().contains(step), "no {step} in {shown}");
        }
    }
    assert_eq!(waited.json()["state"], "stopped");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_that_says_so() {
    let server = Server::start().await;
    let rest = server.rest();
    let unknown = uuid::Uuid::from_u128(7);

    for path in [
        format!("/tasks/{unknown}"),
        format!("/tasks/{unknown}/history"),
        "/tasks/not-an-id".to_owned(),
        "/repositories/999".to_owned(),
        "/organizations/nowhere".to_owned(),
        "/users/nobody".to_owned(),
        "/nothing/of/the/kind".to_owned(),
    ] {
        expect_problem(&rest.get(&path).await, 404);
    }
    let resumed = rest
        .post(&format!("/tasks/{unknown}/resume"), &json!({}))
        .await;
    expect_problem(&resumed, 404);
    assert!(!rest.get("/tasks").await.header("x-request-id").is_empty());
}

#[tokio::test]
async fn a_bad_search_is_400_with_its_position() {
    let server = Server::start().await;
    let rest = server.rest();
    for (search, position) in [
        ("state =", "7"),
        ("state = running or label ! push", "25"),
        ("state = asleep", "8"),
        ("(state = running", "16"),
        ("started_at > soon", "13"),
        ("colour = red", "0"),
        ("state running", "6"),
    ] {
        let answer = rest.search("/tasks", &[("search", search)]).await;
        expect_problem(&answer, 400);
        let told = answer.json();
        let near = position.parse::<i64>().unwrap();
        let shown = told["position"]
            .as_i64()
            .unwrap_or_else(|| panic!("no `position` in {answer}"));
        assert!(
            (shown - near).abs() <= 1,
            "`{search}`: position {shown}, expected about {near}"
        );
    }
    for search in [
        "state = stopped and label = push",
        "started_at > \"2 days ago\" and not (result = error or busybox)",
    ] {
        rest.search("/tasks", &[("search", search)])
            .await
            .expect_status(200);
    }
}

#[tokio::test]
async fn unknown_and_invalid_fields_are_422_and_named() {
    let server = Server::start().await;
    let rest = server.rest();
    for (path, body, field) in [
        (
            "/organizations",
            json!({ "label": "acme", "name": "Acme", "colour": "red" }),
            "colour",
        ),
        (
            "/organizations",
            json!({ "label": "id", "name": "Reserved" }),
            "label",
        ),
        (
            "/organizations",
            json!({ "label": "a b", "name": "Blank" }),
            "label",
        ),
        (
            "/organizations",
            json!({ "label": "", "name": "Empty" }),
            "label",
        ),
        (
            "/users",
            json!({ "login": "pat", "password": "pats-password-1", "rank": 1 }),
            "rank",
        ),
        ("/users", json!({ "login": "pat" }), "password"),
        (
            "/grants",
            json!({ "user": ADMIN, "role": "captain" }),
            "role",
        ),
        (
            "/grants",
            json!({ "user": "nobody", "role": "reader" }),
            "user",
        ),
    ] {
        let answer = rest.post(path, &body).await;
        expect_problem(&answer, 422);
        let errors = answer.json()["errors"].clone();
        let named = errors
            .as_array()
            .is_some_and(|errors| errors.iter().any(|error| error["field"] == field));
        assert!(named, "{body}: {answer}");
    }
    let not_json = rest
        .request(Method::POST, "/api/v1/users")
        .body("{")
        .basic_auth(ADMIN, Some(ADMIN_PASSWORD));
    let answer = rest
        .send(not_json.header("content-type", "application/json"))
        .await;
    assert!((400..=422).contains(&answer.status), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_deep_or_large_is_refused_and_harms_nobody() {
    let server = Server::start().await;
    let rest = server.rest();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = json!({ "label": "acme", "name": "x".repeat(8 << 20) }).to_string();

    for body in [
        deep,
        large,
        String::new(),
        "null".to_owned(),
        "\"text\"".to_owned(),
    ] {
        let request = rest
            .request(Method::POST, "/api/v1/organizations")
            .basic_auth(ADMIN, Some(ADMIN_PASSWORD));
        let answer = rest
            .send(
                request
                    .header("content-type", "application/json")
                    .body(body),
            )
            .await;
        assert!((400..=422).contains(&answer.status), "{answer}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }

    assert_eq!(rest.all("/organizations", "").await.len(), 1);
    server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
}

#[tokio::test]
async fn making_something_answers_with_it_and_where_it_is_and_twice_is_409() {
    let server = Server::start().await;
    let rest = server.rest();
    let body = json!({ "label": "Acme", "name": "Acme Shipping" });

    let made = rest.post("/organizations", &body).await.expect_status(201);

    assert!(
        made.header("location").ends_with("/organizations/Acme"),
        "{made}"
    );
    assert!(made.json()["id"].is_i64(), "{made}");
    let twin = json!({ "label": "acme", "name": "The same without case" });
    expect_problem(&rest.post("/organizations", &twin).await, 409);
    let renamed = rest
        .patch("/organizations/acme", &json!({ "name": "Acme Lines" }))
        .await
        .expect_status(200);
    assert_eq!(renamed.json()["name"], "Acme Lines");
    let product = json!({ "label": "tools", "name": "Tools" });
    rest.post("/organizations/Acme/products", &product)
        .await
        .expect_status(201);
    expect_problem(
        &rest.post("/organizations/Acme/products", &product).await,
        409,
    );
    let library = json!({ "label": "library", "name": "An environment's label" });
    let refused = rest.post("/organizations/Acme/products", &library).await;
    assert!([409, 422].contains(&refused.status), "{refused}");
    let user = json!({ "login": "pat", "password": "pats-password-1" });
    let made = rest.post("/users", &user).await.expect_status(201);
    assert!(!made.text().contains("pats-password-1"), "{made}");
    assert!(!made.text().contains("hash"), "{made}");
    expect_problem(&rest.post("/users", &user).await, 409);
    let grant =
        json!({ "user": "pat", "role": "reader", "organization": "Acme", "product": "tools" });
    let grant = rest.post("/grants", &grant).await.expect_status(201).json();
    rest.delete(&format!("/grants/{}", grant["id"]))
        .await
        .expect_status(204);
}

#[tokio::test]
async fn lists_come_in_pages_without_gaps_or_repeats() {
    let server = Server::start().await;
    let rest = server.rest();
    for n in 0..7 {
        rest.make_organization(&format!("house-{n}")).await;
        server
            .oci()
            .push(NAME, &format!("tag-{n}"), &Image::small(n))
            .await
            .expect_status(201);
    }
    for (path, total) in [("/organizations", 8), ("/tasks", 7)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut query = vec![("per_page", "3")];
            if !cursor.is_empty() {
                query.push(("cursor", &cursor));
            }
            let page = rest.search(path, &query).await.expect_status(200).json();
            assert_eq!(page["total"], total, "{path}");
            let results = page["results"].as_array().unwrap();
            assert!(results.len() <= 3);
            seen.extend(results.iter().map(|one| one["id"].to_string()));
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(seen.len(), total, "{path}: {seen:?}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), total, "{path} repeats");
    }
    for (key, value) in [
        ("per_page", "501"),
        ("per_page", "0"),
        ("per_page", "many"),
        ("cursor", "not-a-cursor"),
    ] {
        let answer = rest.search("/tasks", &[(key, value)]).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{key}={value}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_repositorys_tags_and_manifests_show_what_was_pushed() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "1.0", &image).await.expect_status(201);
    let repository = rest.repository(NAME).await;
    let here = |rest: &str| format!("/repositories/{}{rest}", repository["id"]);

    let tags = rest.all(&here("/tags"), "").await;
    let tag = rest.get(&here("/tags/1.0")).await.expect_status(200);
    let manifest = rest
        .get(&here(&format!("/manifests/{}", image.digest)))
        .await
        .expect_status(200);

    assert_eq!(tags.len(), 1);
    assert_eq!(tag.json()["digest"], image.digest);
    assert!(tag.text().contains("linux/amd64"), "{tag}");
    assert!(tag.text().contains("made.by"), "{tag}");
    assert!(
        tag.text()
            .contains(&format!("podman pull {}/{NAME}:1.0", server.host())),
        "{tag}"
    );
    assert!(manifest.text().contains(&image.digest), "{manifest}");
    assert!(
        repository["size_bytes"].as_i64().unwrap() >= 3 * 4096,
        "{repository}"
    );
    expect_problem(&rest.get(&here("/tags/2.0")).await, 404);
    expect_problem(&rest.get(&here("/versions/9")).await, 404);
}

#[tokio::test]
async fn health_and_readiness_are_told_without_credentials() {
    let server = Server::start().await;
    let rest = server.rest();

    rest.try_get("/healthz").await.unwrap().expect_status(200);
    let ready = rest.try_get("/readyz").await.unwrap().expect_status(200);

    for part in ["database", "content"] {
        assert!(ready.text().contains(part), "{ready}");
    }
}

#[tokio::test]
async fn the_first_start_makes_the_default_organization_and_tells_the_lines_to_copy() {
    let server = Server::start().await;
    let rest = server.rest();

    let organization = rest
        .get("/organizations/Default_Organization")
        .await
        .expect_status(200)
        .json();

    assert_eq!(organization["name"], "Default Organization");
    let product = rest
        .get("/organizations/Default_Organization/products/container_push")
        .await;
    product.expect_status(200);
    assert_eq!(
        rest.get("/users/me").await.expect_status(200).json()["login"],
        ADMIN
    );
    let log = server.log();
    for line in ["podman login", "podman push", &server.host()] {
        assert!(log.contains(line), "no `{line}` in {log}");
    }
}
