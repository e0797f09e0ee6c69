//! Robots, personal tokens and anonymous pull, with podman.

use serde_json::json;
use tests::podman::Podman;
use tests::rest::{Rest, text};
use tests::server::Server;

#[tokio::test]
async fn podman_pushes_as_a_robot_until_its_token_is_renewed() {
    let server = Server::start().await;
    let (rest, host) = (server.rest(), server.host());
    rest.make_organization("acme").await;
    let robot = json!({"name": "ci", "organization": "acme"});
    let robot = rest.post("/robots", &robot).await.expect_status(201).json();
    let grant = json!({"robot": "acme+ci", "role": "publisher", "organization": "acme"});
    rest.post("/grants", &grant).await.expect_status(201);
    let podman = Podman::new();
    let image = format!("{host}/acme/app:latest");
    podman.make_image(&image, 1).await;

    let login = podman.login(&host, "acme+ci", text(&robot["token"])).await;
    login.expect_code(0);
    podman.push(&image).await.expect_code(0);

    let push = rest.only_push_of("acme/app", "latest").await;
    assert_eq!(push["user"], "acme+ci");
    let renewed = json!({"renew_token": true});
    let path = format!("/robots/{}", robot["id"]);
    rest.patch(&path, &renewed).await.expect_status(200);
    let refused = podman.push(&image).await;
    assert_ne!(refused.code, 0, "{refused}");
}

#[tokio::test]
async fn podman_pulls_without_a_login_from_a_product_that_is_open() {
    let server = Server::start().await;
    let (rest, host) = (server.rest(), server.host());
    let image = format!("{host}/default_organization/app:latest");
    let owner = Podman::new();
    let id = owner.make_image(&image, 2).await;
    owner
        .login(&host, tests::server::ADMIN, tests::server::ADMIN_PASSWORD)
        .await
        .expect_code(0);
    owner.push(&image).await.expect_code(0);
    let anybody = Podman::new();
    let refused = anybody.pull(&image).await;
    assert!(refused.said().contains("unauthorized"), "{refused}");

    let product = "/organizations/default_organization/products/container_push";
    let open = json!({"anonymous_pull": true});
    rest.patch(product, &open).await.expect_status(200);

    anybody.pull(&image).await.expect_code(0);
    assert_eq!(anybody.image_id(&image).await, id);
    let pushed = anybody.push(&image).await;
    assert_ne!(pushed.code, 0, "{pushed}");
}

#[tokio::test]
async fn what_was_changed_and_refused_is_in_the_audit_with_the_address_after_a_restart_too() {
    let mut server = Server::start().await;
    server.rest().make_organization("acme").await;
    let wrong = Rest::with_login(&server.host(), "admin", "wrong");
    wrong.get("/tasks").await.expect_status(401);

    server.terminate().await;
    server.ended().await;
    server.restart().await;

    let audit = server.rest().all("/audit", "").await;
    let told = audit.iter().map(|entry| {
        let part = |name: &str| text(&entry[name]).to_owned();
        (
            part("action"),
            part("subject"),
            part("result"),
            part("from"),
        )
    });
    let line = |action: &str, subject: &str, result: &str| {
        let [action, subject, result] = [action, subject, result].map(str::to_owned);
        (action, subject, result, "127.0.0.1".to_owned())
    };
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            line("log_in", "user admin", "refused"),
            line("create", "organization acme", "done"),
        ]
    );
}
