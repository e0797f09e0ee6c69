//! What happens to an image after its push, with the content in a Pulp.

use serde_json::json;
use tests::image::Image;
use tests::noise;
use tests::podman::Podman;
use tests::pulp::{Pulp, Which};
use tests::rest::text;
use tests::server::{ADMIN, ADMIN_PASSWORD};
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";
const DEV: &str = "default_organization/dev/tools/app";

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
        wait::until("it is reverted", SOON, async || {
            let now = rest.task(text(&task["id"])).await;
            (now["result"] == "reverted").then_some(())
        })
        .await;

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
async fn what_was_deleted_in_pulp_is_rolled_back_promoted_and_pushed_again() {
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
