//! Environments: an image goes along a path, and each shows what was promoted to it, and nothing else.

use reqwest::Method;
use serde_json::{Value, json};
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::podman::Podman;
use tests::rest::Rest;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;
use tests::{digest, oci_layout};

const ORGANIZATION: &str = "Default_Organization";
const NAME: &str = "default_organization/tools/app";
const DEV: &str = "default_organization/dev/tools/app";
const PROD: &str = "default_organization/prod/tools/app";
const PASSWORD: &str = "many-hands-on-deck-3";

/// A server whose path is Library, dev, prod.
async fn server() -> Server {
    server_with(&[]).await
}

async fn server_with(options: &[&str]) -> Server {
    let server = Server::start_with(options).await;
    let rest = server.rest();
    for (label, prior) in [("dev", "Library"), ("prod", "dev")] {
        let new = json!({ "label": label, "name": label, "prior": prior });
        let path = format!("/organizations/{ORGANIZATION}/environments");
        rest.post(&path, &new).await.expect_status(201);
    }
    server
}

/// Lets an environment publish a version, and waits until it does.
pub(crate) async fn promote(rest: &Rest, name: &str, version: i64, to: &str) -> Value {
    let path = format!("{}/promote", rest.path_of(name).await);
    let wanted = json!({ "version": version, "to_environment": to });
    let task = rest.begun(rest.post(&path, &wanted).await).await;
    assert_eq!(task["result"], "success", "{task}");
    task
}

async fn open(rest: &Rest, environment: &str, anonymous_pull: bool) {
    let path = format!("/organizations/{ORGANIZATION}/environments/{environment}");
    rest.patch(&path, &json!({ "anonymous_pull": anonymous_pull }))
        .await
        .expect_status(200);
}

#[tokio::test]
async fn an_image_goes_along_a_path_and_is_pulled_by_its_name_in_each_environment() {
    let server = server().await;
    let (podman, host) = (Podman::new(), server.host());
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let place = |name: &str| format!("{host}/{name}:latest");
    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let id = podman.make_image(&place(NAME), 1).await;
    podman.push(&place(NAME)).await.expect_code(0);
    podman.remove_all_images().await;
    let too_early = podman.pull(&place(DEV)).await;
    assert_ne!(too_early.code, 0, "{too_early}");

    for (environment, name) in [("dev", DEV), ("prod", PROD)] {
        let words = [
            "repository",
            "promote",
            NAME,
            "--version",
            "1",
            "--to-environment",
            environment,
            "--wait",
        ];
        server.cli(&words).await.expect_code(0);

        podman.pull(&place(name)).await.expect_code(0);
        assert_eq!(podman.image_id(&place(name)).await, id, "{name}");
        podman.remove_all_images().await;
        let inspected = skopeo.inspect(&place(name)).await.expect_code(0);
        assert!(inspected.stdout.contains("\"latest\""), "{inspected}");
        let folder = tempfile::tempdir().unwrap();
        let pulled = skopeo.pull_all(&place(name), folder.path()).await;
        pulled.expect_code(0);
    }

    let rest = server.rest();
    let repository = rest.repository(NAME).await;
    assert_eq!(
        repository["published_names"]["dev"],
        json!([DEV]),
        "{repository}"
    );
    assert_eq!(
        repository["published_names"]["prod"],
        json!([PROD]),
        "{repository}"
    );
    assert_eq!(
        repository["latest_version"], 1,
        "a promotion copies nothing"
    );
    let path = format!("{}/versions/1", rest.path_of(NAME).await);
    let version = rest.get(&path).await.expect_status(200).json();
    assert_eq!(
        version["published_in"],
        json!(["Library", "dev", "prod"]),
        "{version}"
    );
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn an_environment_keeps_what_was_promoted_while_library_moves_on() {
    let server = server().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &first).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;

    oci.push(NAME, "latest", &second).await.expect_status(201);

    oci.assert_pullable(DEV, "latest", &first).await;
    oci.assert_pullable(NAME, "latest", &second).await;
    promote(&rest, NAME, 2, "dev").await;
    oci.assert_pullable(DEV, "latest", &second).await;
    // A version has what was pushed before, too, until that is deleted.
    oci.manifest(DEV, &first.digest).await.expect_status(200);
}

#[tokio::test]
async fn what_an_environment_does_not_publish_is_not_there_by_its_name() {
    let server = server().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (shown, later, untagged) = (Image::small(1), Image::small(2), Image::small(3));
    let signature = Image::small(4).about(&shown);
    oci.push(NAME, "latest", &shown).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;
    oci.push(NAME, "later", &later).await.expect_status(201);
    for image in [&untagged, &signature] {
        oci.push(NAME, &image.digest, image)
            .await
            .expect_status(201);
    }

    oci.assert_pullable(DEV, "latest", &shown).await;
    assert_eq!(oci.tags(DEV, 10).await, ["latest"]);
    for reference in ["later", &later.digest, &untagged.digest, &signature.digest] {
        oci.manifest(NAME, reference).await.expect_status(200);
        let hidden = oci.manifest(DEV, reference).await;
        hidden.expect_refusal(404, "MANIFEST_UNKNOWN");
        let path = format!("manifests/{reference}");
        let head = oci.of(Method::HEAD, DEV, &path).await;
        oci.send(head).await.expect_status(404);
    }
    for blob in [&later, &untagged, &signature]
        .into_iter()
        .flat_map(Image::blobs)
    {
        let path = format!("blobs/{}", digest::of(blob));
        let request = oci.of(Method::GET, NAME, &path).await;
        oci.send(request).await.expect_status(200);
        for method in [Method::GET, Method::HEAD] {
            let request = oci.of(method, DEV, &path).await;
            oci.send(request).await.expect_status(404);
        }
    }
    for (name, expected) in [(NAME, 1), (DEV, 0)] {
        let path = format!("referrers/{}", shown.digest);
        let list = oci.send(oci.of(Method::GET, name, &path).await).await;
        let list = list.expect_status(200).json();
        let listed = list["manifests"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, expected, "by {name}: {list}");
    }
    let by_environment = oci.manifest(PROD, "latest").await;
    by_environment.expect_refusal(404, "NAME_UNKNOWN");
}

/// Who may pull by the name of an environment alone gets by it no blob that it does not publish, not even into a repository of
/// their own.
#[tokio::test]
async fn nothing_is_mounted_by_the_name_of_an_environment_but_what_it_publishes() {
    let server = server().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (shown, secret) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &shown).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;
    oci.push(NAME, "secret", &secret).await.expect_status(201);
    open(&rest, "dev", true).await;
    rest.make_organization("umbrella").await;
    rest.make_user("stranger", PASSWORD, "publisher", "umbrella")
        .await;
    let stranger = OciClient::with_login(&server.host(), "stranger", PASSWORD);
    let (of, own) = (DEV, "umbrella/tools/own");
    let scopes = [
        format!("repository:{of}:pull"),
        format!("repository:{own}:pull,push"),
    ];
    let token = stranger.token(&[&scopes[0], &scopes[1]]).await;

    for (image, expected) in [(&shown, 201), (&secret, 202)] {
        let blob = digest::of(&image.layers[0]);
        let path = format!("/v2/{own}/blobs/uploads/?mount={blob}&from={of}");
        let request = stranger.request(Method::POST, &path).bearer_auth(&token);
        stranger.send(request).await.expect_status(expected);
    }
}

#[tokio::test]
async fn everybody_pulls_from_an_environment_that_is_open_and_from_no_other() {
    let server = server().await;
    let (rest, podman, host) = (server.rest(), Podman::new(), server.host());
    // A new one each time: it keeps the token it got when less was open.
    let nobody = || OciClient::anonymous(&host);
    let place = |name: &str| format!("{host}/{name}:latest");
    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let id = podman.make_image(&place(NAME), 1).await;
    podman.push(&place(NAME)).await.expect_code(0);
    for environment in ["dev", "prod"] {
        promote(&rest, NAME, 1, environment).await;
    }
    let later = Image::small(2);
    server
        .oci()
        .push(NAME, "later", &later)
        .await
        .expect_status(201);
    for name in [NAME, DEV, PROD] {
        nobody().manifest(name, "latest").await.expect_status(401);
    }

    let words = [
        "environment",
        "update",
        "prod",
        "--organization",
        ORGANIZATION,
        "--anonymous-pull",
        "true",
    ];
    server.cli(&words).await.expect_code(0);

    let stranger = Podman::new();
    stranger.pull(&place(PROD)).await.expect_code(0);
    assert_eq!(stranger.image_id(&place(PROD)).await, id);
    for name in [NAME, DEV] {
        let refused = stranger.pull(&place(name)).await;
        assert_ne!(refused.code, 0, "{name}: {refused}");
        nobody().manifest(name, "latest").await.expect_status(401);
    }
    nobody()
        .manifest(PROD, &later.digest)
        .await
        .expect_refusal(404, "MANIFEST_UNKNOWN");
    let token = nobody().token(&["registry:catalog:*"]).await;
    let request = nobody().request(Method::GET, "/v2/_catalog");
    let catalog = nobody().send(request.bearer_auth(&token)).await;
    let catalog = catalog.expect_status(200).json();
    assert_eq!(catalog["repositories"], json!([PROD]));

    open(&rest, "prod", false).await;
    open(&rest, "Library", true).await;
    nobody().manifest(PROD, "latest").await.expect_status(401);
    nobody().manifest(DEV, "latest").await.expect_status(401);
    nobody().manifest(NAME, "latest").await.expect_status(200);
    let token = nobody()
        .token(&[&format!("repository:{NAME}:pull,push,delete")])
        .await;
    for (method, path) in [
        (Method::POST, format!("/v2/{NAME}/blobs/uploads/")),
        (Method::DELETE, format!("/v2/{NAME}/manifests/latest")),
    ] {
        let request = nobody().request(method, &path).bearer_auth(&token);
        nobody().send(request).await.expect_status(401);
    }

    let off = json!({ "value": false });
    rest.patch("/settings/anonymous_pull", &off)
        .await
        .expect_status(200);
    nobody().manifest(NAME, "latest").await.expect_status(401);
}

#[tokio::test]
async fn nobody_pushes_to_or_deletes_from_the_name_of_an_environment() {
    let server = server().await;
    let (oci, rest, podman) = (server.oci(), server.rest(), Podman::new());
    let (image, other, host) = (Image::small(1), Image::small(2), server.host());
    oci.push(NAME, "latest", &image).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;
    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let place = format!("{host}/{DEV}:latest");
    podman.make_image(&place, 1).await;

    let begun = oci.of(Method::POST, DEV, "blobs/uploads/").await;
    let begun = oci.send(begun).await;
    let put = oci
        .put_manifest(DEV, "latest", tests::image::MANIFEST, &other.manifest)
        .await;
    let pushed = podman.push(&place).await;
    let tag = oci.delete(DEV, "manifests/latest").await;
    let manifest = format!("manifests/{}", image.digest);
    let manifest = oci.delete(DEV, &manifest).await;
    let blob = format!("blobs/{}", digest::of(&image.config));
    let blob = oci.delete(DEV, &blob).await;

    for refused in [begun, put] {
        let refused = refused.expect_refusal(409, "NAME_INVALID");
        assert!(refused.message().contains("`dev`"), "{refused}");
    }
    assert_ne!(pushed.code, 0, "{pushed}");
    assert!(
        pushed.stderr.contains("environment `dev` publishes"),
        "{pushed}"
    );
    for refused in [tag, manifest, blob] {
        refused.expect_refusal(404, "NAME_UNKNOWN");
    }
    oci.assert_pullable(DEV, "latest", &image).await;
    oci.assert_pullable(NAME, "latest", &image).await;
    assert_eq!(rest.all("/repositories", "").await.len(), 1);
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_path_is_gone_along_step_by_step() {
    let server = server().await;
    let (oci, rest) = (server.oci(), server.rest());
    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    oci.push(NAME, "latest", &Image::small(2))
        .await
        .expect_status(201);
    let path = format!("{}/promote", rest.path_of(NAME).await);
    promote(&rest, NAME, 1, "dev").await;

    for (version, to, field, told) in [
        (2, "prod", "version", "dev"),
        (7, "dev", "version", "no version 7"),
        (1, "Library", "to_environment", "Library"),
        (1, "moon", "to_environment", "no environment"),
    ] {
        let wanted = json!({ "version": version, "to_environment": to });
        let refused = rest.post(&path, &wanted).await.expect_status(422);
        let wrong = &refused.json()["errors"][0];
        assert_eq!(wrong["field"], field, "{refused}");
        assert!(wrong["message"].to_string().contains(told), "{refused}");
    }
    let too_far = [
        "repository",
        "promote",
        NAME,
        "--version",
        "2",
        "--to-environment",
        "prod",
        "--wait",
    ];
    let refused = server.cli(&too_far).await.expect_code(2);
    assert!(refused.stderr.contains("dev"), "{refused}");
    oci.manifest(PROD, "latest").await.expect_status(404);
    rest.make_user("pusher", PASSWORD, "pusher", ORGANIZATION)
        .await;
    let may_not = ["1", "prod"];
    let words = [
        "repository",
        "promote",
        NAME,
        "--version",
        may_not[0],
        "--to-environment",
        may_not[1],
    ];
    let refused = server.cli_as("pusher", PASSWORD, &words).await;
    let refused = refused.expect_code(3);
    assert!(refused.stderr.contains("promote"), "{refused}");
}

#[tokio::test]
async fn what_is_deleted_in_library_stays_where_it_was_promoted() {
    let server = server().await;
    let (oci, rest) = (server.oci(), server.rest());
    let (image, other) = (Image::small(1), Image::small(2));
    oci.push(NAME, "latest", &image).await.expect_status(201);
    promote(&rest, NAME, 1, "dev").await;

    let manifest = format!("manifests/{}", image.digest);
    oci.delete(NAME, &manifest).await.expect_status(202);

    let gone = oci.manifest(NAME, &image.digest).await;
    gone.expect_refusal(404, "MANIFEST_UNKNOWN");
    oci.assert_pullable(DEV, "latest", &image).await;
    for blob in image.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        let refused = oci.delete(NAME, &blob).await;
        refused.expect_refusal(405, "UNSUPPORTED");
    }
    oci.assert_pullable(DEV, "latest", &image).await;
    // Once no environment shows it, its blobs can go.
    oci.push(NAME, "latest", &other).await.expect_status(201);
    promote(&rest, NAME, 3, "dev").await;
    for blob in image.blobs() {
        let blob = format!("blobs/{}", digest::of(blob));
        oci.delete(NAME, &blob).await.expect_status(202);
    }
    oci.assert_pullable(DEV, "latest", &other).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn environments_are_made_shown_changed_and_deleted_by_the_command_line() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let of = ["--organization", ORGANIZATION];
    let ask = async |words: &[&str]| server.cli(&[words, &of[..]].concat()).await;

    ask(&[
        "environment",
        "create",
        "dev",
        "--name",
        "Development",
        "--prior",
        "Library",
    ])
    .await
    .expect_code(0);
    ask(&[
        "environment",
        "create",
        "prod",
        "--name",
        "Production",
        "--prior",
        "dev",
    ])
    .await
    .expect_code(0);
    ask(&["environment", "update", "dev", "--name", "Workshop"])
        .await
        .expect_code(0);

    let listed = ask(&["environment", "list"]).await.expect_code(0);
    let place = |label: &str| listed.stdout.find(label).expect("it is listed");
    assert!(place("Library") < place("dev"), "{listed}");
    assert!(place("dev") < place("prod"), "{listed}");
    let shown = ask(&["environment", "show", "dev"]).await.expect_code(0);
    assert!(shown.stdout.contains("Workshop"), "{shown}");
    for (words, code) in [
        (&["show", "moon"][..], 4),
        (&["delete", "moon"][..], 4),
        (
            &["create", "dev", "--name", "Again", "--prior", "Library"][..],
            1,
        ),
        (
            &["create", "qa", "--name", "Quality", "--prior", "moon"][..],
            2,
        ),
        (&["update", "dev"][..], 2),
    ] {
        let told = ask(&[&["environment"], words].concat()).await;
        assert_eq!(told.code, code, "{told}");
    }

    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    for environment in ["dev", "prod"] {
        promote(&rest, NAME, 1, environment).await;
    }
    for kept in ["Library", "dev", "prod"] {
        let refused = ask(&["environment", "delete", kept]).await;
        assert_eq!(refused.code, 1, "{refused}");
    }
    let words = ["repository", "delete", NAME, "--wait"];
    server.cli(&words).await.expect_code(0);
    for gone in ["prod", "dev"] {
        ask(&["environment", "delete", gone]).await.expect_code(0);
        ask(&["environment", "show", gone]).await.expect_code(4);
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn a_name_that_is_taken_pauses_the_promotion_before_anything_moves() {
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let path = format!("/organizations/{ORGANIZATION}/environments");
    let new = json!({
        "label": "dev", "name": "dev", "prior": "Library",
        "registry_name_pattern": "shop/<%= repository.name %>",
    });
    rest.post(&path, &new).await.expect_status(201);
    let (one, two) = (NAME, "default_organization/wares/app");
    for (seed, name) in [(1, one), (2, two)] {
        oci.push(name, "latest", &Image::small(seed))
            .await
            .expect_status(201);
    }
    promote(&rest, one, 1, "dev").await;

    let wanted = json!({ "version": 1, "to_environment": "dev" });
    let begun = rest
        .post(&format!("{}/promote", rest.path_of(two).await), &wanted)
        .await
        .expect_status(202)
        .json();

    let id = tests::rest::text(&begun["task_id"]);
    let task = rest.until_state(id, "paused").await;
    let told = tests::rest::step(&task, "distribute")["error"].to_string();
    for said in [one, two, "shop/app"] {
        assert!(told.contains(said), "{task}");
    }
    oci.assert_pullable("shop/app", "latest", &Image::small(1))
        .await;
    let pattern =
        json!({ "registry_name_pattern": "shop/<%= product.label %>/<%= repository.name %>" });
    rest.patch(&format!("{path}/dev"), &pattern).await;
    server
        .cli(&["task", "resume", id, "--wait"])
        .await
        .expect_code(0);
    oci.assert_pullable("shop/wares/app", "latest", &Image::small(2))
        .await;
}

#[tokio::test]
async fn a_promotion_that_the_server_dies_in_is_finished_by_the_next_start() {
    let _turn = tests::turn::heavy().await;
    let mut server = server_with(&["--allow-drills"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    for (version, when) in [(1, "before"), (2, "after")] {
        let image = Image::small(version);
        oci.push(NAME, "latest", &image).await.expect_status(201);
        let drill = json!({
            "workflow": "promote", "step": "distribute", "repository": NAME,
            "effect": "crash", "when": when, "times": 1,
        });
        rest.begin_drill(&drill).await;
        let path = format!("{}/promote", rest.path_of(NAME).await);
        let wanted = json!({ "version": version, "to_environment": "dev" });
        let _ = rest.try_post(&path, &wanted).await; // it may have died before it answered
        server.ended().await;

        server.restart().await;

        rest.until_no_task_is_open(tests::wait::SOON).await;
        oci.assert_pullable(DEV, "latest", &image).await;
    }
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn an_image_layout_of_an_environment_is_that_of_library_byte_for_byte() {
    let server = server().await;
    let rest = server.rest();
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let index = tests::image::Index::two_platforms(5);
    let folder = tempfile::tempdir().unwrap();
    let layout = oci_layout::of_index(folder.path(), &index);
    let place = |name: &str| format!("{}/{name}:multi", server.host());
    skopeo.push_all(&layout, &place(NAME)).await.expect_code(0);
    promote(&rest, NAME, 1, "dev").await;

    let pulled = tempfile::tempdir().unwrap();
    skopeo
        .pull_all(&place(DEV), pulled.path())
        .await
        .expect_code(0);

    for image in &index.images {
        for bytes in image.blobs().chain([&image.manifest, &index.manifest]) {
            let found = oci_layout::blob(pulled.path(), &digest::of(bytes));
            assert_eq!(found.as_deref(), Some(&bytes[..]));
        }
    }
}
