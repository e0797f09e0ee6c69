//! Versions, and many pushes at once.

use std::time::Duration;

use serde_json::json;
use tests::image::{self, Image};
use tests::rest::text;
use tests::server::Server;
use tests::wait::SOON;
use tests::{noise, turn};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_changed_image_makes_version_two_and_keeps_version_one() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second) = (Image::small(1), Image::small(2));

    oci.push(NAME, "latest", &first).await.expect_status(201);
    oci.push(NAME, "latest", &second).await.expect_status(201);

    assert_eq!(rest.version_numbers(NAME).await, [1, 2]);
    let repository = rest.repository(NAME).await;
    assert_eq!(repository["latest_version"], 2);
    assert_eq!(repository["tags_count"], 1);
    for (number, image) in [(1, &first), (2, &second)] {
        let path = format!("/repositories/{}/versions/{number}", repository["id"]);
        let version = rest.get(&path).await.expect_status(200).json();
        assert_eq!(version["number"], number);
        assert_eq!(version["cause"], "push");
        assert!(
            version["added"].to_string().contains(&image.digest),
            "{version}"
        );
    }
    oci.assert_pullable(NAME, "latest", &second).await;
    oci.manifest(NAME, &first.digest).await.expect_status(200);
}

#[tokio::test]
async fn an_identical_push_makes_no_task_and_no_version() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let before = rest.all("/tasks", "").await.len();

    let again = oci.push(NAME, "latest", &image).await.expect_status(201);

    assert_eq!(again.header("docker-content-digest"), image.digest);
    assert_eq!(rest.all("/tasks", "").await.len(), before);
    assert_eq!(rest.version_numbers(NAME).await, [1]);
}

#[tokio::test]
async fn a_second_tag_of_the_same_image_is_a_push_of_its_own() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "1.0", &image).await.expect_status(201);

    oci.push(NAME, "1.0.1", &image).await.expect_status(201);

    assert_eq!(rest.all("/tasks", "label = push").await.len(), 2);
    assert_eq!(oci.tags(NAME, 10).await, ["1.0", "1.0.1"]);
    oci.assert_pullable(NAME, "1.0.1", &image).await;
}

#[tokio::test]
async fn twenty_tags_pushed_to_one_repository_at_once_all_arrive() {
    let _turn = turn::heavy().await;
    let server = Server::start_with(&["--push-wait=120s"]).await;
    let oci = server.oci();
    let images: Vec<_> = (0..20)
        .map(|n| (format!("tag-{n:02}"), Image::small(n)))
        .collect();

    let mut pushes = JoinSet::new();
    for (tag, image) in images.clone() {
        let oci = oci.clone();
        pushes.spawn(async move { oci.push(NAME, &tag, &image).await });
    }
    let answers = pushes.join_all().await;

    for answer in answers {
        assert_eq!(answer.header("warning"), "", "{answer}");
        answer.expect_status(201);
    }
    let tags: Vec<_> = images.iter().map(|(tag, _)| tag.clone()).collect();
    assert_eq!(oci.tags(NAME, 7).await, tags);
    for (tag, image) in &images {
        oci.assert_pullable(NAME, tag, image).await;
    }
    let versions = server.rest().version_numbers(NAME).await;
    assert_eq!(versions, (1..=20).collect::<Vec<_>>());
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn the_same_push_ten_times_at_once_is_one_task_and_one_version() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push_blobs(NAME, &image).await;

    let mut puts = JoinSet::new();
    for _ in 0..10 {
        let (oci, image) = (oci.clone(), image.clone());
        puts.spawn(async move {
            oci.put_manifest(NAME, "latest", image::MANIFEST, &image.manifest)
                .await
        });
    }

    for answer in puts.join_all().await {
        answer.expect_status(201);
    }
    rest.only_push_of(NAME, "latest").await;
    assert_eq!(rest.version_numbers(NAME).await, [1]);
    oci.assert_pullable(NAME, "latest", &image).await;
}

#[tokio::test]
async fn one_layer_pushed_to_twenty_repositories_at_once_arrives_in_all() {
    let _turn = turn::heavy().await;
    let server = Server::start_with(&["--push-wait=120s"]).await;
    let oci = server.oci();
    let layer = noise::bytes(7, 2 << 20);
    let cargo: Vec<_> = (0..20)
        .map(|n| {
            let own = noise::bytes(100 + n, 512);
            let name = format!("default_organization/fleet-{}/app-{n:02}", n % 3);
            (name, Image::with_layers(vec![layer.clone(), own], "amd64"))
        })
        .collect();

    let mut pushes = JoinSet::new();
    for (name, image) in cargo.clone() {
        let oci = oci.clone();
        pushes.spawn(async move { oci.push(&name, "latest", &image).await });
    }
    let answers = pushes.join_all().await;

    for answer in answers {
        answer.expect_status(201);
    }
    for (name, image) in &cargo {
        oci.assert_pullable(name, "latest", image).await;
    }
    server.rest().until_no_task_is_open(SOON).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_queued_push_names_the_task_it_waits_for() {
    let server = Server::start_with(&["--allow-drills", "--push-wait=100ms"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second) = (Image::small(1), Image::small(2));
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "tag": "first",
        "effect": "stall", "times": 1, "stall_seconds": 8,
    });
    rest.begin_drill(&drill).await;

    let holder = oci
        .push(NAME, "first", &first)
        .await
        .expect_status(201)
        .named_task();
    let queued = oci.push(NAME, "second", &second).await.expect_status(201);

    let task = rest.task(&queued.named_task()).await;
    assert_eq!(task["state"], "pending", "{task}");
    let waiting = &task["waiting_for"][0];
    assert_eq!(waiting["kind"], "lock", "{task}");
    assert_eq!(waiting["task"], holder, "{task}");
    assert_eq!(task["locks"][0]["state"], "queued", "{task}");
    assert_eq!(task["locks"][0]["position"], 1, "{task}");
    assert!(!text(&task["headline"]).is_empty(), "{task}");
    assert_eq!(rest.task(&holder).await["locks"][0]["state"], "held");

    rest.until_no_task_is_open(Duration::from_secs(90)).await;
    oci.assert_pullable(NAME, "first", &first).await;
    oci.assert_pullable(NAME, "second", &second).await;
}

#[tokio::test]
async fn what_is_pushed_by_digest_is_pullable_at_once_and_filed_with_the_next_tag() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (untagged, tagged) = (Image::small(1), Image::small(2));

    oci.push(NAME, &untagged.digest, &untagged)
        .await
        .expect_status(201);
    oci.manifest(NAME, &untagged.digest)
        .await
        .expect_status(200);
    oci.push(NAME, "latest", &tagged).await.expect_status(201);

    let repository = rest.repository(NAME).await["id"].clone();
    let version = rest
        .get(&format!("/repositories/{repository}/versions/1"))
        .await
        .expect_status(200)
        .json();
    for image in [&untagged, &tagged] {
        assert!(
            version["added"].to_string().contains(&image.digest),
            "{version}"
        );
        oci.manifest(NAME, &image.digest).await.expect_status(200);
    }
    assert_eq!(oci.tags(NAME, 10).await, ["latest"]);
}
