//! A push publishes its own tag, and none that another one has left behind.

use serde_json::json;
use tests::podman::Podman;
use tests::rest::text;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn the_tag_of_a_push_that_was_ended_is_published_by_no_later_podman_push() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let place = |tag: &str| format!("{}/{NAME}:{tag}", server.host());
    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let mut whole = Vec::new();

    for (n, verb) in [(1, "cancel"), (2, "abort"), (3, "revert")] {
        let (ended, later) = (format!("ended-by-{verb}"), format!("after-{verb}"));
        let drill = json!({
            "workflow": "push", "step": "reindex", "repository": NAME, "tag": ended, "effect": "fail",
        });
        rest.begin_drill(&drill).await;
        podman.make_image(&place(&ended), n).await;
        podman.make_image(&place(&later), 10 + n).await;
        let refused = podman.push(&place(&ended)).await;
        assert_ne!(refused.code, 0, "{refused}");
        let is_paused = |task: &serde_json::Value| task["state"] == "paused";
        let paused = rest.until_push(NAME, &ended, "is paused", is_paused).await;
        let id = text(&paused["id"]).to_owned();

        server.cli(&["task", verb, &id]).await.expect_code(0);
        rest.until_state(&id, "stopped").await;
        podman.push(&place(&later)).await.expect_code(0);

        oci.manifest(NAME, &ended)
            .await
            .expect_refusal(404, "MANIFEST_UNKNOWN");
        oci.manifest(NAME, &later).await.expect_status(200);
        whole.push(later);
    }
    whole.sort();
    assert_eq!(oci.tags(NAME, 10).await, whole);
    server.doctor().await.expect_code(0);
}
