//! A product and an organization are deleted with everything in them, and a revert brings all of it back.

use reqwest::Method;
use serde_json::{Value, json};
use tests::image::Image;
use tests::podman::Podman;
use tests::rest::text;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::turn;
use tests::wait::SOON;

const NAMES: [&str; 3] = [
    "default_organization/tools/app",
    "default_organization/tools/deep/down/app",
    "default_organization/shelf/app",
];
const ORGANIZATION: &str = "/organizations/Default_Organization";

/// Pushes an image of its own to each name; answers with them.
async fn pushed(server: &Server) -> [Image; 3] {
    let images = [1, 2, 3].map(Image::small);
    let oci = server.oci();
    for (name, image) in NAMES.iter().zip(&images) {
        oci.push(name, "latest", image).await.expect_status(201);
    }
    server.rest().until_no_task_is_open(SOON).await;
    images
}

/// How each name is answered.
async fn answers(server: &Server) -> [u16; 3] {
    let mut answers = [0; 3];
    for (name, answer) in NAMES.iter().zip(&mut answers) {
        *answer = server.oci().manifest(name, "latest").await.status;
    }
    answers
}

#[tokio::test]
async fn podman_pulls_again_from_a_product_that_was_deleted_and_reverted() {
    let server = Server::start().await;
    let (rest, podman) = (server.rest(), Podman::new());
    let images = pushed(&server).await;
    let place = format!("{}/{}:latest", server.host(), NAMES[0]);
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let id = podman.make_image(&place, 9).await;
    podman.push(&place).await.expect_code(0);
    rest.until_no_task_is_open(SOON).await;
    let delete = [
        "product",
        "delete",
        "tools",
        "--organization",
        "Default_Organization",
    ];

    let would = server.cli(&[&delete[..], &["--dry-run"]].concat()).await;
    let would = would.expect_code(0);
    for name in &NAMES[..2] {
        assert!(would.stdout.contains(name), "{would}");
    }
    assert!(!would.stdout.contains(NAMES[2]), "{would}");
    assert_eq!(answers(&server).await, [200; 3]);
    let told = server.cli(&[&delete[..], &["--wait"]].concat()).await;
    let told = told.expect_code(0);
    assert!(told.stdout.contains("remove_product"), "{told}");

    assert_eq!(answers(&server).await, [404, 404, 200]);
    podman.remove_all_images().await;
    assert_ne!(podman.pull(&place).await.code, 0);
    server.cli(&delete).await.expect_code(4);
    let task = &rest.all("/tasks", "label = delete_product").await[0];
    let children = rest.all("/tasks", "label = delete_repository").await;
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|it| it["parent"] == task["id"]));
    let cancel = format!("/tasks/{}/revert", text(&children[0]["id"]));
    let alone = rest.post(&cancel, &json!({})).await.expect_status(409);
    assert!(alone.text().contains(text(&task["id"])), "{}", alone.text());
    let words = ["task", "revert", text(&task["id"]), "--wait"];
    server.cli(&words).await.expect_code(0);

    podman.pull(&place).await.expect_code(0);
    assert_eq!(podman.image_id(&place).await, id);
    let oci = server.oci();
    for (name, image) in NAMES.iter().zip(&images).skip(1) {
        oci.assert_pullable(name, "latest", image).await;
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn an_organization_goes_with_its_robots_and_comes_back_with_them() {
    let server = Server::start().await;
    let rest = server.rest();
    let images = pushed(&server).await;
    let new = json!({"name": "ci", "organization": "Default_Organization"});
    let robot = rest.post("/robots", &new).await.expect_status(201).json();
    let (login, token) = (text(&robot["login"]), text(&robot["token"]));
    let grant = json!({"robot": login, "role": "reader", "organization": "Default_Organization"});
    rest.post("/grants", &grant).await.expect_status(201);
    let as_robot = tests::oci_client::OciClient::with_login(&server.host(), login, token);
    as_robot
        .manifest(NAMES[0], "latest")
        .await
        .expect_status(200);
    let grants = async || rest.get("/grants").await.expect_status(200).json()["total"].clone();
    let before = grants().await;

    let dry = json!({"dry_run": true});
    let would = rest.delete_with(ORGANIZATION, &dry).await;
    let would = would.expect_status(200).json();
    assert_eq!(would["repositories"].as_array().unwrap().len(), 3);
    assert_eq!(would["robots"], json!([login]));
    let task = rest.begun(rest.delete(ORGANIZATION).await).await;

    assert_eq!(task["result"], "success", "{task}");
    assert_eq!(answers(&server).await, [404; 3]);
    rest.get(ORGANIZATION).await.expect_status(404);
    let login_fails = as_robot.try_ask_token(&server.host(), &[]).await.unwrap();
    login_fails.expect_status(401);
    assert_ne!(grants().await, before);
    assert_eq!(rest.all("/repositories", "").await.len(), 0);
    assert_eq!(catalog(&server).await, json!([]));
    let new = json!({"label": "default_organization", "name": "Another"});
    let refused = rest.post("/organizations", &new).await.expect_status(409);
    assert!(
        refused.text().contains("a deleted organization"),
        "{}",
        refused.text()
    );
    rest.revert(text(&task["id"])).await;

    let oci = server.oci();
    for (name, image) in NAMES.iter().zip(&images) {
        oci.assert_pullable(name, "latest", image).await;
    }
    as_robot
        .manifest(NAMES[0], "latest")
        .await
        .expect_status(200);
    assert_eq!(grants().await, before);
    server.doctor().await.expect_code(0);
}

async fn catalog(server: &Server) -> Value {
    let oci = server.oci();
    let token = oci.token(&["registry:catalog:*"]).await;
    let asked = oci.request(Method::GET, "/v2/_catalog").bearer_auth(token);
    let answer = oci.send(asked).await.expect_status(200);
    answer.json()["repositories"].clone()
}

/// The next run of the step of a delete of a product, or of what undoes it, ends the server.
fn crash(step: &str, undo: bool, when: &str) -> Value {
    json!({
        "workflow": "delete_product", "step": step, "undo": undo,
        "effect": "crash", "when": when, "times": 1,
    })
}

#[tokio::test]
async fn a_delete_of_a_product_that_the_server_dies_in_is_finished_by_the_next_start() {
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let images = pushed(&server).await;
    let product = format!("{ORGANIZATION}/products/tools");
    for (step, when) in [
        ("delete_repositories", "before"),
        ("remove_product", "before"),
        ("remove_product", "after"),
    ] {
        rest.begin_drill(&crash(step, false, when)).await;
        let _ = rest.try_delete(&product).await; // it may have died before it answered
        server.ended().await;

        server.restart().await;

        rest.until_no_task_is_open(SOON).await;
        assert_eq!(answers(&server).await, [404, 404, 200]);
        let task = rest
            .all("/tasks", "label = delete_product and not result = reverted")
            .await;
        assert_eq!(task.len(), 1, "{task:?}");
        assert_eq!(task[0]["result"], "success", "{task:?}");
        rest.revert(text(&task[0]["id"])).await;
        for (name, image) in NAMES.iter().zip(&images) {
            oci.assert_pullable(name, "latest", image).await;
        }
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_revert_of_the_delete_of_a_product_that_the_server_dies_in_is_finished_by_the_next_start()
{
    let _turn = turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let images = pushed(&server).await;
    let product = format!("{ORGANIZATION}/products/tools");
    for step in ["remove_product", "unpublish_repositories"] {
        for when in ["before", "after"] {
            let done = rest.begun(rest.delete(&product).await).await;
            assert_eq!(done["result"], "success", "{done}");
            rest.begin_drill(&crash(step, true, when)).await;
            let path = format!("/tasks/{}/revert", text(&done["id"]));
            let _ = rest.try_post(&path, &json!({})).await; // it may have died before it answered
            server.ended().await;

            server.restart().await;

            rest.until_reverted(text(&done["id"])).await;
            for (name, image) in NAMES.iter().zip(&images) {
                oci.assert_pullable(name, "latest", image).await;
            }
        }
    }
    server.doctor().await.expect_code(0);
}
