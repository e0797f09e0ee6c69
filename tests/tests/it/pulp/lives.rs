//! What happens to an image after its push, with the content in a Pulp.

use serde_json::{Value, json};
use tests::command;
use tests::image::Image;
use tests::noise;
use tests::podman::Podman;
use tests::pulp::{Pulp, Which};
use tests::rest::{step, text};
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::SOON;

const NAME: &str = "default_organization/tools/app";
const DEV: &str = "default_organization/dev/tools/app";

const OTHER: &str = "default_organization/tools/other";

fn image() -> Image {
    Image::small(noise::unique())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_repository_comes_back_out_of_pulp_with_a_revert_and_beside_a_new_one() {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
        let place = format!("{}/{NAME}:latest", server.host());
        podman
            .login(&server.host(), ADMIN, ADMIN_PASSWORD)
            .await
            .expect_code(0);
        let id = podman.make_image(&place, noise::unique()).await;
        podman.push(&place).await.expect_code(0);
        let words = ["repository", "delete", NAME, "--wait"];
        server.cli(&words).await.expect_code(0);
        podman.remove_all_images().await;
        assert_ne!(podman.pull(&place).await.code, 0);
        let other = image();
        oci.push(NAME, "latest", &other).await.expect_status(201);

        let task = &rest.all("/tasks", "label = delete_repository").await[0];
        let path = format!("/tasks/{}/revert", text(&task["id"]));
        rest.post(&path, &json!({})).await.expect_status(409);
        let beside = json!({ "as": "app-before" });
        rest.post(&path, &beside).await.expect_status(202);
        rest.until_reverted(text(&task["id"])).await;

        let before = place.replace("/app:", "/app-before:");
        podman.pull(&before).await.expect_code(0);
        assert_eq!(podman.image_id(&before).await, id);
        oci.assert_pullable(NAME, "latest", &other).await;
        // It goes on where it was: the next push stands on what came back.
        let next = image();
        let name = "default_organization/tools/app-before";
        oci.push(name, "next", &next).await.expect_status(201);
        oci.assert_pullable(name, "next", &next).await;
        podman.pull(&before).await.expect_code(0);
        server.doctor().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_in_pulp_is_rolled_back_promoted_renamed_and_pushed_again() {
    for which in Which::ALL {
        let pulp: &Pulp = which.shared().await;
        let server = pulp.server(&[]).await;
        let (oci, rest) = (server.oci(), server.rest());
        let (one, two) = (image(), image());
        oci.push(NAME, "one", &one).await.expect_status(201);
        oci.push(NAME, "two", &two).await.expect_status(201);
        let environment = json!({ "label": "dev", "name": "dev", "prior": "Library" });
        rest.post(
            "/organizations/Default_Organization/environments",
            &environment,
        )
        .await
        .expect_status(201);
        let path = rest.path_of(NAME).await;
        let promoted = json!({ "version": 1, "to_environment": "dev" });
        let promoted = rest.post(&format!("{path}/promote"), &promoted).await;
        assert_eq!(rest.begun(promoted).await["result"], "success");

        let environment = "/organizations/Default_Organization/environments/dev";
        let pattern = json!({ "registry_name_pattern": "shop/<%= repository.label %>" });
        let renamed = rest.patch(environment, &pattern).await;
        assert_eq!(rest.begun(renamed).await["result"], "success");
        oci.manifest(DEV, "one").await.expect_status(404);
        oci.assert_pullable("shop/app", "one", &one).await;
        let labels = json!({ "registry_name_pattern": null });
        let renamed = rest.patch(environment, &labels).await;
        assert_eq!(rest.begun(renamed).await["result"], "success");

        let manifest = format!("manifests/{}", one.digest);
        oci.delete(NAME, &manifest).await.expect_status(202);
        oci.manifest(NAME, &one.digest).await.expect_status(404);
        oci.assert_pullable(DEV, "one", &one).await;
        oci.assert_pullable(NAME, "two", &two).await;

        let back = json!({ "environment": "Library", "version": 2 });
        let back = rest.post(&format!("{path}/rollback"), &back).await;
        assert_eq!(rest.begun(back).await["result"], "success");
        oci.assert_pullable(NAME, "one", &one).await;

        oci.delete(NAME, &manifest).await.expect_status(202);
        oci.push(NAME, "again", &one).await.expect_status(201);
        oci.assert_pullable(NAME, "again", &one).await;
        server.doctor().await.expect_code(0);
    }
}

/// What a destination has in Pulp, by kind and name.
pub(super) async fn things_of(pulp: &Pulp, prefix: &str, number: &Value) -> Vec<String> {
    let mut things = Vec::new();
    for kind in ["repositories", "distributions/container/container"] {
        for name in [
            format!("{prefix}/{number}"),
            format!("{prefix}-push/{number}"),
        ] {
            for thing in pulp.list(&format!("{kind}/?name={name}")).await {
                things.push(format!("{kind} {}", text(&thing["name"])));
            }
        }
    }
    things
}

/// A cleanup that has ended, and what it tells of deleted repositories.
pub(super) async fn cleaned_up(server: &Server, dry_run: bool) -> (Value, Value) {
    let rest = server.rest();
    let body = json!({ "dry_run": dry_run });
    let begun = rest.post("/tasks/cleanup", &body).await.expect_status(202);
    let task = rest.until_state(text(&begun.json()["id"]), "stopped").await;
    let told = step(&task, "collect_deleted")["output"].clone();
    (task, told)
}

/// Moves every delete so many days into the past, while no server runs.
pub(super) async fn age_deletes(server: &mut Server, days: u32) {
    const SCRIPT: &str = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE tombstones SET since = since - ?', (int(sys.argv[2]) * 86400000,)); c.commit(); c.close()";
    server.kill().await;
    let database = server.data_dir().join("wharfinger.db");
    let mut python = server::bare("python3");
    python
        .args(["-c", SCRIPT])
        .arg(database)
        .arg(days.to_string());
    command::run(python).await.expect_code(0);
    server.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_goes_from_pulp_after_its_time_and_what_shares_its_layers_stays() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        let prefix = format!("l{:x}", noise::unique());
        let options = pulp.options_with(&prefix);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut server = Server::start_with(&options).await;
        let (oci, rest) = (server.oci(), server.rest());
        let seed = noise::unique();
        let shared = noise::bytes(seed, 50_000);
        let with =
            |n: u64| Image::with_layers(vec![shared.clone(), noise::bytes(n, 4096)], "amd64");
        let (first, second) = (with(seed + 1), with(seed + 2));
        oci.push(NAME, "latest", &first).await.expect_status(201);
        oci.push(OTHER, "latest", &second).await.expect_status(201);
        rest.until_no_task_is_open(SOON).await;
        let (gone, kept) = (
            rest.repository(NAME).await["id"].clone(),
            rest.repository(OTHER).await["id"].clone(),
        );
        assert_eq!(things_of(pulp, &prefix, &gone).await.len(), 4, "{which:?}");
        let before = things_of(pulp, &prefix, &kept).await;
        server
            .cli(&["repository", "delete", NAME, "--wait"])
            .await
            .expect_code(0);

        let (_, early) = cleaned_up(&server, false).await;
        assert_eq!(
            (&early["repositories"], &early["left_in_pulp"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(
            things_of(pulp, &prefix, &gone).await.len(),
            4,
            "it can be brought back"
        );
        age_deletes(&mut server, 8).await;
        let told = server
            .cli(&["task", "cleanup", "--dry-run", "--wait"])
            .await;
        let line = "repositories that can no longer be brought back would be deleted: 1";
        assert!(told.expect_code(0).stdout.contains(line), "the CLI says so");
        let (_, would) = cleaned_up(&server, true).await;
        assert_eq!(
            things_of(pulp, &prefix, &gone).await.len(),
            4,
            "a dry run changes nothing"
        );
        let (task, did) = cleaned_up(&server, false).await;

        assert_eq!(task["result"], "success", "{task}");
        assert_eq!(did, would);
        assert_eq!(
            (&did["repositories"], &did["left_in_pulp"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(things_of(pulp, &prefix, &gone).await, [""; 0], "{which:?}");
        assert_eq!(things_of(pulp, &prefix, &kept).await, before, "{which:?}");
        let (oci, rest) = (server.oci(), server.rest());
        oci.assert_pullable(OTHER, "latest", &second).await;
        // The task is young still: only what it has deleted was made old.
        let delete = &rest.all("/tasks", "label = delete_repository").await[0];
        let id = text(&delete["id"]);
        let path = format!("/tasks/{id}/revert");
        rest.post(&path, &json!({})).await.expect_status(202);
        let paused = rest.until_state(id, "paused").await;
        assert!(text(&paused["headline"]).contains("was collected meanwhile"));
        // The name is free, also in Pulp, and what is pushed to it is all there.
        oci.push(NAME, "latest", &first).await.expect_status(201);
        oci.assert_pullable(NAME, "latest", &first).await;
        server.doctor().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rules_of_retention_took_in_pulp_is_rolled_back_and_pushed_again() {
    for which in Which::ALL {
        let pulp: &Pulp = which.shared().await;
        let server = pulp.server(&[]).await;
        let (oci, rest) = (server.oci(), server.rest());
        let (one, two) = (image(), image());
        oci.push(NAME, "one", &one).await.expect_status(201);
        oci.push(NAME, "two", &two).await.expect_status(201);
        let product = "/organizations/Default_Organization/products/tools";
        let rules = json!({"tags": [{"matching": ["*"], "keep_newest": 1}]});
        let saved = rest.patch(product, &json!({ "retention": rules })).await;
        saved.expect_status(200);

        let begun = rest.post(&format!("{product}/retention"), &json!({})).await;
        assert_eq!(rest.begun(begun).await["result"], "success");
        rest.until_no_task_is_open(SOON).await;
        for gone in ["one", &one.digest] {
            oci.manifest(NAME, gone).await.expect_status(404);
        }
        oci.assert_pullable(NAME, "two", &two).await;

        let path = rest.path_of(NAME).await;
        let back = json!({ "environment": "Library", "version": 2 });
        let back = rest.post(&format!("{path}/rollback"), &back).await;
        assert_eq!(rest.begun(back).await["result"], "success");
        oci.assert_pullable(NAME, "one", &one).await;

        let begun = rest.post(&format!("{product}/retention"), &json!({})).await;
        assert_eq!(rest.begun(begun).await["result"], "success");
        rest.until_no_task_is_open(SOON).await;
        oci.manifest(NAME, "one").await.expect_status(404);
        oci.push(NAME, "again", &one).await.expect_status(201);
        oci.assert_pullable(NAME, "again", &one).await;
        server.doctor().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_product_and_a_deleted_organization_come_back_out_of_pulp_with_all_that_was_in_them()
 {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let (oci, rest) = (server.oci(), server.rest());
        let (one, two) = (image(), image());
        oci.push(NAME, "latest", &one).await.expect_status(201);
        oci.push(OTHER, "latest", &two).await.expect_status(201);
        rest.until_no_task_is_open(SOON).await;
        let organization = "/organizations/Default_Organization";
        let product = format!("{organization}/products/tools");
        for path in [product.as_str(), organization] {
            let deleted = rest.begun(rest.delete(path).await).await;
            assert_eq!(deleted["result"], "success", "{deleted}");
            for name in [NAME, OTHER] {
                oci.manifest(name, "latest").await.expect_status(404);
            }

            rest.revert(text(&deleted["id"])).await;
            oci.assert_pullable(NAME, "latest", &one).await;
            oci.assert_pullable(OTHER, "latest", &two).await;
        }
        // It goes on where it was: the next push stands on what came back.
        let next = image();
        oci.push(NAME, "next", &next).await.expect_status(201);
        oci.assert_pullable(NAME, "next", &next).await;
        oci.assert_pullable(NAME, "latest", &one).await;
        server.doctor().await.expect_code(0);
    }
}
