//! The command line: what people read and what scripts rely on.

mod login;
mod nouns;
mod untrusted;
mod watch;

use serde_json::{Value, json};
use tests::image::Image;
use tests::server::{self, Server};
use tests::{command, rest::text};

use crate::first_push::STEPS;

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn tasks_are_listed_shown_watched_and_explained() {
    let server = Server::start().await;
    server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let id = text(&server.rest().only_push_of(NAME, "latest").await["id"]).to_owned();

    let list = server.cli(&["task", "list"]).await.expect_code(0);
    let show = server.cli(&["task", "show", &id]).await.expect_code(0);
    let watch = server.cli(&["task", "watch", &id]).await.expect_code(0);
    let explain = server.cli(&["task", "explain", &id]).await.expect_code(0);

    assert!(list.stdout.contains(NAME), "{list}");
    for step in STEPS {
        assert!(show.stdout.contains(step), "no {step} in {show}");
    }
    assert!(watch.stdout.contains("success"), "{watch}");
    assert!(!explain.stdout.trim().is_empty(), "{explain}");
    let searched = server
        .cli(&[
            "task",
            "list",
            "--search",
            "state = paused",
            "--output",
            "json",
        ])
        .await;
    let page: Value = serde_json::from_str(&searched.expect_code(0).stdout).unwrap();
    assert_eq!(page["total"], 0);
    let shown = server
        .cli(&["task", "show", &id, "--output", "json"])
        .await
        .expect_code(0);
    let task: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(task["id"], id.as_str());
    assert_eq!(task["steps"].as_array().map(Vec::len), Some(STEPS.len()));
}

#[tokio::test]
async fn repositories_are_listed_and_shown_with_versions_and_tags() {
    let server = Server::start().await;
    let image = Image::small(1);
    server
        .oci()
        .push(NAME, "1.0", &image)
        .await
        .expect_status(201);
    let id = server.rest().repository(NAME).await["id"].to_string();

    let list = server.cli(&["repository", "list"]).await.expect_code(0);
    let show = server
        .cli(&["repository", "show", &id])
        .await
        .expect_code(0);
    let versions = server
        .cli(&["repository", "versions", &id])
        .await
        .expect_code(0);
    let tags = server
        .cli(&["repository", "tags", &id])
        .await
        .expect_code(0);

    for shown in [&list, &show] {
        assert!(shown.stdout.contains(NAME), "{shown}");
    }
    assert!(versions.stdout.contains("push"), "{versions}");
    assert!(tags.stdout.contains("1.0"), "{tags}");
    let json = server
        .cli(&["repository", "tags", &id, "--output", "json"])
        .await
        .expect_code(0);
    assert!(json.stdout.contains(&image.digest), "{json}");
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_happened() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let rest = server.rest();
    let drill = json!({ "workflow": "push", "step": "copy", "repository": NAME, "tag": "broken", "effect": "fail" });
    rest.begin_drill(&drill).await;
    let paused = server
        .oci()
        .push(NAME, "broken", &Image::small(1))
        .await
        .expect_status(424)
        .named_task();
    rest.make_user("pat", "pats-password-1", "reader", "Default_Organization")
        .await;
    let unknown = uuid::Uuid::from_u128(7).to_string();

    let watched = server.cli(&["task", "watch", &paused]).await.expect_code(1);
    assert!(watched.said().contains("copy"), "{watched}");
    server.cli(&["task", "bury", &paused]).await.expect_code(2);
    server.cli(&["task", "show"]).await.expect_code(2);
    server
        .cli_as("pat", "not-his-password", &["task", "list"])
        .await
        .expect_code(3);
    server.cli(&["task", "show", &unknown]).await.expect_code(4);
    server
        .cli(&["repository", "show", "999"])
        .await
        .expect_code(4);
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_value_source_and_an_example_and_start_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut by_variable = server::bare(server::binary());
    by_variable
        .args(["serve", "--data-dir"])
        .arg(&data)
        .env("WHARFINGER_PUSH_WAIT", "soon");
    let file = folder.path().join("wharfinger.toml");
    std::fs::write(&file, "push_wait = \"soon\"\n").unwrap();
    let mut by_file = server::bare(server::binary());
    by_file
        .args(["serve", "--data-dir"])
        .arg(&data)
        .arg("--config")
        .arg(&file);

    for (serve, source) in [
        (by_variable, "WHARFINGER_PUSH_WAIT"),
        (by_file, "wharfinger.toml"),
    ] {
        let refused = command::run(serve).await.expect_code(2);
        for part in ["push_wait", "soon", source, "20s"] {
            assert!(refused.stderr.contains(part), "no `{part}` in {refused}");
        }
    }
    assert!(
        !data.exists(),
        "a start that failed has made the data folder"
    );
}

#[tokio::test]
async fn the_effective_configuration_is_shown_with_its_sources() {
    let mut config = server::bare(server::binary());
    config
        .args(["config", "--push-wait", "7s"])
        .env("WHARFINGER_TOKEN_LIFETIME", "300s");

    let shown = command::run(config).await.expect_code(0);

    for part in [
        "push_wait",
        "7s",
        "token_lifetime",
        "WHARFINGER_TOKEN_LIFETIME",
        "lease_ttl",
        "10s",
    ] {
        assert!(shown.stdout.contains(part), "no `{part}` in {shown}");
    }
}

#[tokio::test]
async fn the_doctor_finds_a_blob_that_has_rotted_and_names_it() {
    let mut server = Server::start().await;
    let image = Image::small(1);
    server
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);
    server.doctor().await.expect_code(0);
    server.terminate().await;
    server.ended().await;
    let rotten = &image.layers[1];
    let file = file_holding(&server.data_dir().join("content"), rotten)
        .expect("the layer lies in content");
    let mut changed = rotten.to_vec();
    changed[100] ^= 1;
    std::fs::write(&file, changed).unwrap();

    let found = server.doctor().await.expect_code(1);

    assert!(found.stdout.contains(&tests::digest::of(rotten)), "{found}");
}

#[tokio::test]
async fn the_doctor_finds_rot_in_the_manifest_of_a_first_push_that_is_still_paused() {
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let image = Image::small(1);
    let drill = serde_json::json!({ "workflow": "push", "step": "copy", "effect": "fail" });
    server.rest().begin_drill(&drill).await;
    server
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(424);
    server.terminate().await;
    server.ended().await;
    server.doctor().await.expect_code(0);
    let database = server.data_dir().join("wharfinger.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let manifest = &image.manifest[..];
    let at = bytes
        .windows(manifest.len())
        .position(|window| window == manifest)
        .expect("the manifest lies in the database as it came");
    bytes[at + manifest.len() / 2] ^= 1;
    std::fs::write(&database, bytes).unwrap();

    let found = server.doctor().await.expect_code(1);

    assert!(found.stdout.contains(&image.digest), "{found}");
}

#[tokio::test]
async fn what_cannot_be_the_name_of_a_repository_is_not_found() {
    let server = Server::start().await;

    for name in ["two words", "a\" and id = 1", "acme", "UPPER/case"] {
        let shown = server.cli(&["repository", "show", name]).await;

        assert!(shown.expect_code(4).stderr.contains(name));
    }
}

/// The file below a folder that holds exactly these bytes.
fn file_holding(folder: &std::path::Path, bytes: &[u8]) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("a folder of ours").path();
        if path.is_dir() {
            if let Some(found) = file_holding(&path, bytes) {
                return Some(found);
            }
        } else if std::fs::read(&path).is_ok_and(|content| content == bytes) {
            return Some(path);
        }
    }
    None
}
