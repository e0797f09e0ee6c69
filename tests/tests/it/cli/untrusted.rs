//! What a pusher or an operator has written is shown, and nothing of it reaches the terminal as a command.

use serde_json::json;
use tests::image::Image;
use tests::noise;
use tests::server::Server;

const NAME: &str = "default_organization/app";

#[tokio::test]
async fn what_a_pusher_wrote_into_an_image_does_not_reach_the_terminal_raw() {
    let server = Server::start().await;
    let hostile = "am\u{1b}[31md\u{7}\u{202e}46";
    let image = Image::with_layers(vec![noise::bytes(1, 4096)], hostile);
    server
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);

    let tag = server.cli(&["repository", "tag", NAME, "latest"]).await;
    let tags = server.cli(&["repository", "tags", NAME]).await;
    let json = server
        .cli(&["repository", "tag", NAME, "latest", "--output", "json"])
        .await
        .expect_code(0);

    let tag = tag.expect_code(0);
    assert!(
        tag.stdout.contains(r"am\u{1b}[31md\u{7}\u{202e}46"),
        "{tag}"
    );
    let tags = tags.expect_code(0);
    assert!(tags.stdout.contains(r"\u{1b}"), "{tags}");
    for said in [&tag, &tags] {
        assert!(!said.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    }
    let body: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert!(
        body["platforms"].to_string().contains(r"\u001b[31m"),
        "{json}"
    );
}

#[tokio::test]
async fn a_reason_is_one_line_without_control_characters() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let rest = server.rest();
    rest.begin_drill(&json!({"workflow": "push", "step": "copy", "effect": "fail"}))
        .await;
    let pushed = server.oci().push(NAME, "latest", &Image::small(1)).await;
    let paused = pushed.expect_status(424).named_task();

    for action in ["resume", "cancel", "steps/copy/retry_now"] {
        let path = format!("/tasks/{paused}/{action}");
        for reason in ["\u{1b}[2J", "ding\u{7}", "one\ntwo", "\u{202e}"] {
            let body = json!({ "reason": reason });
            let refused = rest.post(&path, &body).await.expect_status(422).json();
            assert_eq!(
                refused["errors"][0]["field"], "reason",
                "{action} {reason:?}"
            );
        }
    }

    let told = server
        .cli(&["task", "resume", &paused, "--reason", "\u{1b}[2J"])
        .await
        .expect_code(2);
    assert!(told.stderr.contains("reason"), "{told}");
    let task = rest.task(&paused).await;
    assert_eq!(task["state"], "paused");
}
