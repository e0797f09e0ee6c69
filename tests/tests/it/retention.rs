//! Retention: what goes by the rules of a product is listed first, is gone then, and comes back with a rollback.

use serde_json::json;
use tests::command;
use tests::image::Image;
use tests::rest::text;
use tests::server::{self, Server};
use tests::wait::SOON;

const NAME: &str = "default_organization/tools/app";
const OF: [&str; 2] = ["--organization", "Default_Organization"];

#[tokio::test]
async fn what_a_dry_run_lists_is_refused_after_the_run_and_pulled_after_a_rollback() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let images = [Image::small(1), Image::small(2), Image::small(3)];
    for (n, image) in images.iter().enumerate() {
        let tag = format!("pr-{n}");
        oci.push(NAME, &tag, image).await.expect_status(201);
    }
    oci.push(NAME, "latest", &images[0])
        .await
        .expect_status(201);
    let signature = Image::small(4).about(&images[1]);
    let pushed = oci.push(NAME, &signature.digest, &signature).await;
    pushed.expect_status(201);
    oci.push(NAME, "v1", &Image::small(5))
        .await
        .expect_status(201);
    let rules = r#"{"tags": [{"matching": ["pr-*"], "keep_newest": 1}]}"#;
    let product = |verb: &'static str| [&["product", verb, "tools"], &OF[..]].concat();

    let unsaved = [
        &product("retention")[..],
        &["--dry-run", "--retention", rules],
    ]
    .concat();
    let unsaved = server.cli(&unsaved).await.expect_code(0).stdout;
    let save = [&product("update")[..], &["--retention", rules]].concat();
    let saved = server.cli(&save).await.expect_code(0).stdout;
    let dry = [
        &product("retention")[..],
        &["--dry-run", "--output", "json"],
    ]
    .concat();
    let dry = server.cli(&dry).await.expect_code(0).stdout;
    let before = rest.version_numbers(NAME).await.len();
    let run = [&product("retention")[..], &["--wait"]].concat();
    server.cli(&run).await.expect_code(0);
    rest.until_no_task_is_open(tests::wait::SOON).await;

    assert!(saved.contains("keep_newest"), "{saved}");
    for told in ["pr-0 at", "pr-1 at", "would go: 2 tags, 2 manifests"] {
        assert!(unsaved.contains(told), "{unsaved}");
    }
    let dry: serde_json::Value = serde_json::from_str(&dry).expect("it is JSON");
    let listed = |kind: &str, field: &str| {
        let all = dry["repositories"][0][kind].as_array().expect("a list");
        let mut names: Vec<&str> = all.iter().map(|it| text(&it[field])).collect();
        names.sort_unstable();
        json!(names)
    };
    let path = rest.path_of(NAME).await;
    let version = format!("{path}/versions/{}", before + 1);
    let version = rest.get(&version).await.expect_status(200).json();
    assert_eq!(version["cause"], "retention", "{version}");
    assert_eq!(
        version["removed"]["tags"],
        listed("tags", "name"),
        "{version}"
    );
    assert_eq!(
        version["removed"]["manifests"],
        listed("manifests", "digest")
    );
    assert_eq!(oci.tags(NAME, 10).await, ["latest", "pr-2", "v1"]);
    for gone in ["pr-0", "pr-1", &images[1].digest, &signature.digest] {
        let gone = oci.manifest(NAME, gone).await;
        gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    // Another tag needs that one.
    oci.assert_pullable(NAME, "latest", &images[0]).await;
    let audit = rest.all("/audit", "action = delete").await;
    assert_eq!(audit[0]["task"], version["task_id"], "{audit:?}");

    let back = before.to_string();
    let back = ["repository", "rollback", NAME, "--version", &back, "--wait"];
    server.cli(&back).await.expect_code(0);

    for (n, image) in images.iter().enumerate() {
        oci.assert_pullable(NAME, &format!("pr-{n}"), image).await;
    }
    let signature = oci.manifest(NAME, &signature.digest).await;
    signature.expect_status(200);
    server.doctor().await.expect_code(0);
}

/// Lets everything have happened so many days earlier, while no server runs.
async fn age(server: &mut Server, days: u32) {
    const SCRIPT: &str = "
import sqlite3, sys
by = int(sys.argv[2]) * 86400000
c = sqlite3.connect(sys.argv[1])
for table, column in (('versions', 'created_at'), ('pushed_manifests', 'pushed_at'), ('pulls_are_known', 'since')):
    c.execute(f'UPDATE {table} SET {column} = {column} - ?', (by,))
c.commit()
c.close()";
    server.kill().await;
    let mut python = server::bare("python3");
    python
        .args(["-c", SCRIPT])
        .arg(server.data_dir().join("wharfinger.db"))
        .arg(days.to_string());
    command::run(python).await.expect_code(0);
    server.restart().await;
}

#[tokio::test]
async fn what_was_pulled_a_moment_ago_is_kept_although_that_is_not_written_down_yet() {
    let mut server = Server::start().await;
    for (seed, tag) in [(1, "wanted"), (2, "forgotten")] {
        let pushed = server.oci().push(NAME, tag, &Image::small(seed)).await;
        pushed.expect_status(201);
    }
    server.rest().until_no_task_is_open(SOON).await;
    age(&mut server, 30).await;
    let (oci, rest) = (server.oci(), server.rest());
    let product = "/organizations/Default_Organization/products/tools";
    let rules = json!({"tags": [{"matching": ["*"], "keep_pulled_within": "14d"}]});
    let saved = rest.patch(product, &json!({ "retention": rules })).await;
    saved.expect_status(200);
    oci.manifest(NAME, "wanted").await.expect_status(200);

    let retention = format!("{product}/retention");
    let would = rest.post(&retention, &json!({ "dry_run": true })).await;
    let would = would.expect_status(200).json();
    let begun = rest.post(&retention, &json!({})).await;
    assert_eq!(rest.begun(begun).await["result"], "success");
    rest.until_no_task_is_open(SOON).await;

    let tags = &would["repositories"][0]["tags"];
    assert_eq!(tags.as_array().map(Vec::len), Some(1), "{would}");
    assert_eq!(tags[0]["name"], "forgotten");
    assert_eq!(oci.tags(NAME, 10).await, ["wanted"]);
}

#[tokio::test]
async fn when_a_tag_was_pulled_last_is_known_after_a_restart() {
    let mut server = Server::start().await;
    let images = [Image::small(1), Image::small(2), Image::small(3)];
    for (n, image) in images.iter().enumerate() {
        let tag = format!("t{n}");
        let pushed = server.oci().push(NAME, &tag, image).await;
        pushed.expect_status(201);
    }
    let oci = server.oci();
    oci.manifest(NAME, "t0").await.expect_status(200);
    oci.manifest(NAME, &images[1].digest)
        .await
        .expect_status(200);
    let path = server.rest().path_of(NAME).await;
    let tags = format!("{path}/tags");
    let before = server.rest().all(&tags, "").await;

    server.terminate().await;
    assert_eq!(server.ended().await, 0);
    server.restart().await;

    let after = server.rest().all(&tags, "").await;
    let pulled: Vec<bool> = after
        .iter()
        .map(|it| it["last_pulled_at"].is_string())
        .collect();
    assert_eq!(pulled, [true, true, false], "{after:?}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["last_pulled_at"], after["last_pulled_at"]);
    }
    let shown = ["repository", "tag", NAME, "t0"];
    let shown = server.cli(&shown).await.expect_code(0).stdout;
    assert!(shown.contains("last pulled"), "{shown}");
    server.doctor().await.expect_code(0);
}
