//! Deletes of tags, manifests and blobs: gone at once, never by accident, and only for who may.

use reqwest::Method;
use serde_json::json;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::rest::{Rest, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;
use tests::{digest, oci_layout};

const NAME: &str = "default_organization/tools/app";
const PASSWORD: &str = "many-hands-on-deck-3";

#[tokio::test]
async fn a_deleted_tag_is_gone_at_once_and_its_manifest_stays() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "1.0", &image).await.expect_status(201);
    oci.push(NAME, "latest", &image).await.expect_status(201);

    let deleted = oci.delete(NAME, "manifests/latest").await;

    let deleted = deleted.expect_status(202);
    assert_eq!(deleted.header("warning"), "", "{deleted}");
    let gone = oci.manifest(NAME, "latest").await;
    let gone = gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    assert!(gone.message().contains("latest"), "{gone}");
    oci.assert_pullable(NAME, "1.0", &image).await;
    assert_eq!(oci.tags(NAME, 10).await, ["1.0"]);
    assert_eq!(rest.version_numbers(NAME).await, [1, 2, 3]);
    let path = format!("{}/versions/3", rest.path_of(NAME).await);
    let version = rest.get(&path).await.expect_status(200).json();
    assert_eq!(version["cause"], "delete", "{version}");
    assert_eq!(version["removed"]["tags"], json!(["latest"]), "{version}");
    assert_eq!(version["removed"]["manifests"], json!([]), "{version}");
    let task = text(&version["task_id"]);
    let task = rest.until_state(task, "stopped").await;
    assert_eq!(task["label"], "delete_image", "{task}");
    assert_eq!(task["result"], "success", "{task}");
    let audit = rest.all("/audit", "action = delete").await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["task"], version["task_id"], "{audit:?}");
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn the_last_tag_can_be_deleted_and_pushed_again() {
    let server = Server::start().await;
    let oci = server.oci();
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);

    oci.delete(NAME, "manifests/latest")
        .await
        .expect_status(202);

    assert_eq!(oci.tags(NAME, 10).await, [""; 0]);
    oci.manifest(NAME, &image.digest).await.expect_status(200);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &image).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_deleted_manifest_takes_all_its_tags_and_is_listed_nowhere() {
    let server = Server::start().await;
    let oci = server.oci();
    let (image, other) = (Image::small(1), Image::small(2));
    let signature = Image::small(3).about(&other);
    oci.push(NAME, "1.0", &image).await.expect_status(201);
    oci.push(NAME, "1.0.1", &image).await.expect_status(201);
    oci.push(NAME, "2.0", &other).await.expect_status(201);
    oci.push(NAME, &signature.digest, &signature)
        .await
        .expect_status(201);
    assert_eq!(referrers(&oci, &other).await, [signature.digest.as_str()]);

    for gone in [&image, &signature] {
        let manifest = format!("manifests/{}", gone.digest);
        oci.delete(NAME, &manifest).await.expect_status(202);
    }

    for reference in ["1.0", "1.0.1", &image.digest, &signature.digest] {
        let gone = oci.manifest(NAME, reference).await;
        gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(oci.tags(NAME, 10).await, ["2.0"]);
    assert_eq!(referrers(&oci, &other).await, [""; 0]);
    oci.assert_pullable(NAME, "2.0", &other).await;
    // Pushed again it is as if it had never been away.
    oci.push(NAME, "1.0", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "1.0", &image).await;
    assert_eq!(oci.tags(NAME, 10).await, ["1.0", "2.0"]);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_blob_is_deleted_once_no_manifest_needs_it() {
    let server = Server::start().await;
    let oci = server.oci();
    let image = Image::small(1);
    let elsewhere = "default_organization/tools/other";
    for name in [NAME, elsewhere] {
        oci.push(name, "latest", &image).await.expect_status(201);
    }
    let blob = format!("blobs/{}", digest::of(&image.layers[0]));

    let refused = oci.delete(NAME, &blob).await;

    let refused = refused.expect_refusal(405, "UNSUPPORTED");
    assert!(refused.message().contains(&image.digest), "{refused}");
    assert!(refused.header("allow").contains("GET"), "{refused}");
    oci.assert_pullable(NAME, "latest", &image).await;

    let manifest = format!("manifests/{}", image.digest);
    oci.delete(NAME, &manifest).await.expect_status(202);
    oci.delete(NAME, &blob).await.expect_status(202);

    for method in [Method::GET, Method::HEAD] {
        let request = oci.of(method, NAME, &blob).await;
        oci.send(request).await.expect_status(404);
    }
    oci.delete(NAME, &blob)
        .await
        .expect_refusal(404, "BLOB_UNKNOWN");
    oci.assert_pullable(elsewhere, "latest", &image).await;
    let put = oci.put_manifest(NAME, "latest", tests::image::MANIFEST, &image.manifest);
    put.await.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &image).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_deleted() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let nothing = digest::of(b"nothing of ours");

    for (name, of, code) in [
        (NAME, "manifests/other".to_owned(), "MANIFEST_UNKNOWN"),
        (NAME, format!("manifests/{nothing}"), "MANIFEST_UNKNOWN"),
        (NAME, format!("blobs/{nothing}"), "BLOB_UNKNOWN"),
        (
            "default_organization/tools/none",
            "manifests/latest".to_owned(),
            "NAME_UNKNOWN",
        ),
        (
            "default_organization/tools/none",
            format!("blobs/{nothing}"),
            "NAME_UNKNOWN",
        ),
        (
            "nobodys/tools/app",
            "manifests/latest".to_owned(),
            "NAME_UNKNOWN",
        ),
    ] {
        oci.delete(name, &of).await.expect_refusal(404, code);
    }
    oci.delete(NAME, "manifests/latest")
        .await
        .expect_status(202);
    oci.delete(NAME, "manifests/latest")
        .await
        .expect_refusal(404, "MANIFEST_UNKNOWN");

    let deletes = rest.all("/tasks", "label = delete_image").await;
    assert_eq!(deletes.len(), 1, "{deletes:?}");
}

#[tokio::test]
async fn who_may_not_delete_is_told_which_right_is_missing() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let organization = "Default_Organization";
    rest.make_organization("umbrella").await;
    for (login, role, organization) in [
        ("reader", "reader", organization),
        ("pusher", "pusher", organization),
        ("stranger", "publisher", "umbrella"),
    ] {
        rest.make_user(login, PASSWORD, role, organization).await;
    }
    let all = [
        "manifests/latest".to_owned(),
        format!("manifests/{}", image.digest),
        "manifests/none".to_owned(),
        format!("blobs/{}", digest::of(&image.config)),
    ];

    for login in ["reader", "pusher", "stranger"] {
        let user = OciClient::with_login(&server.host(), login, PASSWORD);
        for of in &all {
            let refused = user.delete(NAME, of).await;
            let refused = refused.expect_refusal(403, "DENIED");
            assert!(refused.message().contains("`delete`"), "{refused}");
        }
        let words = ["repository", "delete-tag", NAME, "latest", "--wait"];
        let by_cli = server.cli_as(login, PASSWORD, &words).await;
        let expected = if login == "stranger" { 4 } else { 3 };
        assert_eq!(by_cli.code, expected, "{login}: {by_cli}");
    }
    let nobody = OciClient::anonymous(&server.host());
    for of in &all {
        let path = format!("/v2/{NAME}/{of}");
        let refused = nobody.send(nobody.request(Method::DELETE, &path)).await;
        let refused = refused.expect_refusal(401, "UNAUTHORIZED");
        let wanted = format!("scope=\"repository:{NAME}:pull,delete\"");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains(&wanted), "{refused}");
    }
    oci.assert_pullable(NAME, "latest", &image).await;
    assert_eq!(rest.all("/tasks", "label = delete_image").await.len(), 0);
}

#[tokio::test]
async fn a_token_that_is_too_narrow_leads_to_one_that_is_not() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.make_user("pat", PASSWORD, "publisher", "Default_Organization")
        .await;
    let pat = OciClient::with_login(&server.host(), "pat", PASSWORD);
    let narrow = pat.token(&[&format!("repository:{NAME}:pull,push")]).await;

    let path = format!("/v2/{NAME}/manifests/latest");
    let request = pat.request(Method::DELETE, &path).bearer_auth(&narrow);
    let refused = pat.send(request).await;

    let refused = refused.expect_refusal(401, "UNAUTHORIZED");
    let challenge = refused.header("www-authenticate");
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{refused}"
    );
    let wanted = format!("repository:{NAME}:pull,delete");
    assert!(
        challenge.contains(&format!("scope=\"{wanted}\"")),
        "{refused}"
    );
    oci.assert_pullable(NAME, "latest", &image).await;
    let wide = pat.token(&[&wanted]).await;
    let request = pat.request(Method::DELETE, &path).bearer_auth(wide);
    pat.send(request).await.expect_status(202);
}

#[tokio::test]
async fn a_tag_that_never_changes_is_neither_pushed_over_nor_deleted() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (image, other) = (Image::small(1), Image::small(2));
    oci.push(NAME, "v1", &image).await.expect_status(201);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let rule = json!({ "immutable_tags": ["v?*"] });
    rest.patch("/organizations/Default_Organization/products/tools", &rule)
        .await
        .expect_status(200);

    let pushed_over = oci.push(NAME, "v1", &other).await;
    let deleted = oci.delete(NAME, "manifests/v1").await;
    let manifest = format!("manifests/{}", image.digest);
    let with_manifest = oci.delete(NAME, &manifest).await;
    let by_cli = ["repository", "delete-tag", NAME, "v1", "--wait"];
    let by_cli = server.cli(&by_cli).await;

    for refused in [pushed_over, deleted, with_manifest] {
        let refused = refused.expect_refusal(403, "DENIED");
        assert!(refused.message().contains("`v?*`"), "{refused}");
        assert!(refused.message().contains("`v1`"), "{refused}");
    }
    let by_cli = by_cli.expect_code(3);
    assert!(by_cli.stderr.contains("`v?*`"), "{by_cli}");
    oci.assert_pullable(NAME, "v1", &image).await;
    // The same again changes nothing, and other tags are as free as before.
    oci.push(NAME, "v1", &image).await.expect_status(201);
    oci.push(NAME, "v2", &other).await.expect_status(201);
    oci.push(NAME, "latest", &other).await.expect_status(201);
    oci.delete(NAME, "manifests/latest")
        .await
        .expect_status(202);
    assert_eq!(oci.tags(NAME, 10).await, ["v1", "v2"]);
}

#[tokio::test]
async fn skopeo_deletes_an_image_once() {
    let server = Server::start().await;
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let folder = tempfile::tempdir().unwrap();
    let layout = oci_layout::of_image(folder.path(), &Image::small(1));
    let place = format!("{}/{NAME}:latest", server.host());
    skopeo.push(&layout, &place).await.expect_code(0);

    let deleted = skopeo.delete(&place).await;
    let again = skopeo.delete(&place).await;

    deleted.expect_code(0);
    assert_ne!(again.code, 0, "{again}");
    // It says of a 404 in its own words what is missing.
    let missing = format!("{place}. Image may not exist");
    assert!(again.stderr.contains(&missing), "{again}");
    assert_eq!(server.oci().tags(NAME, 10).await, [""; 0]);
    skopeo.push(&layout, &place).await.expect_code(0);
    skopeo.inspect(&place).await.expect_code(0);
}

#[tokio::test]
async fn tags_and_manifests_are_deleted_by_the_command_line() {
    let server = Server::start().await;
    let oci = server.oci();
    let (one, two) = (Image::small(1), Image::small(2));
    oci.push(NAME, "one", &one).await.expect_status(201);
    oci.push(NAME, "two", &two).await.expect_status(201);
    oci.push(NAME, "dos", &two).await.expect_status(201);

    let tag = ["repository", "delete-tag", NAME, "one", "--wait"];
    let manifest = ["repository", "delete-manifest", NAME, &two.digest, "--wait"];
    let told = server.cli(&tag).await.expect_code(0);
    server.cli(&manifest).await.expect_code(0);

    assert!(told.stdout.contains("remove"), "shows no step: {told}");
    assert_eq!(oci.tags(NAME, 10).await, [""; 0]);
    oci.manifest(NAME, &one.digest).await.expect_status(200);
    let gone = oci.manifest(NAME, &two.digest).await;
    gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    for again in [&tag[..], &manifest[..]] {
        server.cli(again).await.expect_code(4);
    }
    let nowhere = ["repository", "delete-tag", "default_organization/no", "one"];
    server.cli(&nowhere).await.expect_code(4);
}

#[tokio::test]
async fn a_delete_ends_the_paused_push_of_its_tag() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let (published, paused) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &published)
        .await
        .expect_status(201);
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "effect": "fail",
    });
    let drill = rest.begin_drill(&drill).await;
    let push = oci
        .push(NAME, "latest", &paused)
        .await
        .expect_status(424)
        .named_task();
    rest.end_drill(&drill).await;

    oci.delete(NAME, "manifests/latest")
        .await
        .expect_status(202);

    let push = rest.until_state(&push, "stopped").await;
    assert_eq!(push["result"], "cancelled", "{push}");
    assert_eq!(push["reason"], "superseded", "{push}");
    let gone = oci.manifest(NAME, "latest").await;
    gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    oci.manifest(NAME, &paused.digest).await.expect_status(200);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_delete_that_fails_says_where_to_look_and_goes_on_after_resume() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    let drill = json!({
        "workflow": "delete_image", "step": "distribute", "repository": NAME,
        "effect": "fail", "times": 1,
    });
    rest.begin_drill(&drill).await;

    let refused = oci.delete(NAME, "manifests/latest").await;

    let refused = refused.expect_refusal(424, "UNKNOWN");
    let id = tests::answer::task_in(&refused.message()).expect("the message names the task");
    let task = rest.task(&id).await;
    assert_eq!(task["state"], "paused", "{task}");
    oci.assert_pullable(NAME, "latest", &image).await;
    server
        .cli(&["task", "resume", &id, "--wait"])
        .await
        .expect_code(0);
    let gone = oci.manifest(NAME, "latest").await;
    gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_delete_that_takes_long_is_answered_with_a_warning() {
    let server = Server::start_with(&["--allow-drills", "--push-wait=0s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    rest.only_push_of(NAME, "latest").await;
    let drill = json!({
        "workflow": "delete_image", "step": "remove", "repository": NAME,
        "effect": "stall", "times": 1, "stall_seconds": 1,
    });
    rest.begin_drill(&drill).await;

    let taken = oci.delete(NAME, "manifests/latest").await;
    let again = oci.delete(NAME, "manifests/latest").await;

    let id = taken.expect_status(202).expect_warning().named_task();
    let again = again.expect_status(202).expect_warning().named_task();
    assert_eq!(again, id, "who deletes the same waits for the same task");
    let task = rest.until_state(&id, "stopped").await;
    assert_eq!(task["result"], "success", "{task}");
    let gone = oci.manifest(NAME, "latest").await;
    gone.expect_refusal(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_delete_that_the_server_dies_in_is_finished_by_the_next_start() {
    let _turn = tests::turn::heavy().await;
    let mut server = Server::start_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    for step in ["remove", "distribute"] {
        for when in ["before", "after"] {
            oci.push(NAME, "latest", &image).await.expect_status(201);
            let drill = json!({
                "workflow": "delete_image", "step": step, "repository": NAME,
                "effect": "crash", "when": when, "times": 1,
            });
            rest.begin_drill(&drill).await;
            let path = format!("{}/tags/latest", rest.path_of(NAME).await);
            let _ = rest.try_delete(&path).await; // it may have died before it answered
            server.ended().await;

            server.restart().await;

            rest.until_no_task_is_open(tests::wait::SOON).await;
            let attempts = if when == "before" { 2 } else { 1 };
            let delete = last_delete(&rest).await;
            assert_eq!(delete["result"], "success", "{delete}");
            assert_eq!(
                tests::rest::step(&delete, step)["attempts"],
                attempts,
                "{when} {step}: {delete}"
            );
            let gone = oci.manifest(NAME, "latest").await;
            gone.expect_refusal(404, "MANIFEST_UNKNOWN");
        }
    }
    assert_eq!(
        rest.version_numbers(NAME).await,
        (1..=8).collect::<Vec<_>>()
    );
    server.doctor().await.expect_code(0);
}

async fn last_delete(rest: &Rest) -> serde_json::Value {
    let mut deletes = rest.all("/tasks", "label = delete_image").await;
    deletes.sort_by_key(|task| text(&task["id"]).to_owned());
    let last = deletes.pop().expect("a delete");
    rest.task(text(&last["id"])).await
}

/// What refers to an image, by its digest.
async fn referrers(oci: &OciClient, image: &Image) -> Vec<String> {
    let path = format!("referrers/{}", image.digest);
    let request = oci.of(Method::GET, NAME, &path).await;
    let list = oci.send(request).await.expect_status(200).json();
    let list = list["manifests"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|it| text(&it["digest"]).to_owned())
        .collect()
}
