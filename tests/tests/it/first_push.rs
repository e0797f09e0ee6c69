//! From nothing to an image that is filed, versioned and pullable.

use reqwest::Method;
use serde_json::Value;
use tests::image::{INDEX, Image, Index};
use tests::podman::Podman;
use tests::rest::{steps, text};
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;
use tests::wait::SOON;
use tests::{command, oci_layout};

/// The nine steps of a push, as the API shows them.
pub(crate) const STEPS: [&str; 9] = [
    "authorize",
    "forward",
    "locate_push_repository",
    "copy",
    "ensure_product",
    "ensure_repository",
    "reindex",
    "distribute",
    "sync_proxies",
];

#[tokio::test]
async fn the_demo_shows_nine_steps_and_pulls_its_image_back() {
    let mut demo = server::bare(server::binary());
    demo.arg("demo");

    let shown = command::run(demo).await.expect_code(0);

    for step in STEPS {
        assert!(shown.stdout.contains(step), "no step {step} in {shown}");
    }
    assert!(shown.stdout.contains("sha256:"), "no digest in {shown}");
}

#[tokio::test]
async fn podman_pushes_and_pulls_the_same_image_by_every_form_of_its_name() {
    let server = Server::start().await;
    let podman = Podman::new();
    let host = server.host();
    let short = format!("{host}/default_organization/busybox:latest");
    let long = format!("{host}/default_organization/tools/busybox:1.0");
    let id = podman.make_image(&short, 1).await;
    podman.tag(&short, &long).await;

    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    podman.push(&short).await.expect_code(0);
    podman.push(&long).await.expect_code(0);
    podman.remove_all_images().await;
    for name in [&short, &long] {
        podman.pull(name).await.expect_code(0);
        assert_eq!(podman.image_id(name).await, id, "{name}");
        podman.remove_all_images().await;
    }

    let rest = server.rest();
    for (product, name, tag) in [
        ("container_push", "default_organization/busybox", "latest"),
        ("tools", "default_organization/tools/busybox", "1.0"),
    ] {
        let push = rest.only_push_of(name, tag).await;
        assert_all_steps_succeeded(&push);
        let repository = rest.repository(name).await;
        assert_eq!(repository["product"], product, "{repository}");
        assert_eq!(repository["organization"], "Default_Organization");
        assert_eq!(repository["name"], "busybox");
        assert_eq!(repository["content_view"], "Default Organization View");
        assert_eq!(repository["last_push"]["task_id"], push["id"]);
        assert_eq!(rest.version_numbers(name).await, [1]);
    }

    let by_id = format!(
        "{host}/{}:latest",
        id_form(&server, "container_push", "busybox").await
    );
    podman.pull(&by_id).await.expect_code(0);
    assert_eq!(podman.image_id(&by_id).await, id);
}

#[tokio::test]
async fn the_id_form_of_a_name_pushes_into_the_same_repository() {
    let server = Server::start().await;
    let oci = server.oci();
    let (first, second) = (Image::small(1), Image::small(2));
    oci.push("default_organization/tools/app", "one", &first)
        .await
        .expect_status(201);

    let name = id_form(&server, "tools", "app").await;
    oci.push(&name, "two", &second).await.expect_status(201);

    let label = "default_organization/tools/app";
    assert_eq!(oci.tags(label, 10).await, ["one", "two"]);
    oci.assert_pullable(label, "two", &second).await;
    oci.assert_pullable(&name, "one", &first).await;
    assert_eq!(server.rest().version_numbers(label).await, [1, 2]);
    assert_eq!(server.rest().all("/repositories", "").await.len(), 1);

    let unknown = name
        .replace("/app", "")
        .rsplit_once('/')
        .map(|(organization, _)| format!("{organization}/999/app"));
    let request = oci
        .of(Method::POST, &unknown.unwrap(), "blobs/uploads/")
        .await;
    oci.send(request).await.expect_refusal(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn skopeo_copies_an_image_there_and_back() {
    let server = Server::start().await;
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let (there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let image = Image::small(3);
    let name = format!("{}/default_organization/tools/cargo:1.0", server.host());

    skopeo
        .push(&oci_layout::of_image(there.path(), &image), &name)
        .await
        .expect_code(0);
    skopeo.pull_all(&name, back.path()).await.expect_code(0);

    assert_eq!(
        oci_layout::blob(back.path(), &image.digest).unwrap(),
        image.manifest
    );
    for layer in &image.layers {
        assert_eq!(
            oci_layout::blob(back.path(), &tests::digest::of(layer)).unwrap(),
            layer[..]
        );
    }
    let name = "default_organization/tools/cargo";
    assert_all_steps_succeeded(&server.rest().only_push_of(name, "1.0").await);
}

#[tokio::test]
async fn skopeo_copies_an_index_of_two_platforms_as_one_task_with_its_children() {
    let server = Server::start().await;
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let (there, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let index = Index::two_platforms(4);
    let name = "default_organization/tools/both";
    let place = format!("{}/{name}:1.0", server.host());

    skopeo
        .push_all(&oci_layout::of_index(there.path(), &index), &place)
        .await
        .expect_code(0);
    skopeo.pull_all(&place, back.path()).await.expect_code(0);

    assert_eq!(
        oci_layout::blob(back.path(), &index.digest).unwrap(),
        index.manifest
    );
    let rest = server.rest();
    rest.until_no_task_is_open(SOON).await;
    let tasks = rest.all("/tasks", "").await;
    assert_eq!(
        tasks.len(),
        1,
        "the children have no tasks of their own: {tasks:?}"
    );
    assert_eq!(rest.version_numbers(name).await, [1]);
    let repository = rest.repository(name).await["id"].clone();
    let version = rest
        .get(&format!("/repositories/{repository}/versions/1"))
        .await
        .expect_status(200)
        .json();
    let filed = version["added"].to_string();
    for image in &index.images {
        assert_eq!(
            oci_layout::blob(back.path(), &image.digest).unwrap(),
            image.manifest
        );
        assert!(
            filed.contains(&image.digest),
            "{} is not in version 1: {version}",
            image.digest
        );
    }
    let tag = rest
        .get(&format!("/repositories/{repository}/tags/1.0"))
        .await
        .expect_status(200)
        .json();
    assert_eq!(tag["digest"], index.digest);
    let platforms = tag["platforms"].to_string();
    for platform in ["linux/amd64", "linux/arm64"] {
        assert!(platforms.contains(platform), "{tag}");
    }
    let pulled = server.oci().manifest(name, "1.0").await;
    assert_eq!(pulled.header("content-type"), INDEX);
}

/// Fails the test unless a task is a push that ended well, with all nine steps in `success`.
#[track_caller]
pub(crate) fn assert_all_steps_succeeded(task: &Value) {
    assert_eq!(task["state"], "stopped", "{task}");
    assert_eq!(task["result"], "success", "{task}");
    let mut shown = steps(task);
    shown.sort_unstable();
    let mut expected = STEPS.map(|step| (step, "success"));
    expected.sort_unstable();
    assert_eq!(shown, expected, "{task}");
}

/// The form of a name that has the numbers of organization and product in front.
async fn id_form(server: &Server, product: &str, name: &str) -> String {
    let rest = server.rest();
    let organization = rest
        .get("/organizations/Default_Organization")
        .await
        .expect_status(200)
        .json();
    let path = format!(
        "/organizations/{}/products/{product}",
        text(&organization["label"])
    );
    let product = rest.get(&path).await.expect_status(200).json();
    format!("id/{}/{}/{name}", organization["id"], product["id"])
}
