//! skopeo: copies between two repositories of one registry, and lists.

use tests::image::Index;
use tests::oci_layout::OciLayout;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;

#[tokio::test]
async fn skopeo_copies_from_one_repository_to_another_and_mounts_what_is_there() {
    let server = Server::start().await;
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let index = Index::two_platforms(11);
    let layout = OciLayout::of_index(&index);
    let name = |name: &str| format!("{}/default_organization/{name}:multi", server.host());
    skopeo
        .push_all(layout.path(), &name("one/app"))
        .await
        .expect_code(0);

    let copied = skopeo.copy_all(&name("one/app"), &name("two/app")).await;

    copied.expect_code(0);
    let pulled = server
        .oci()
        .manifest("default_organization/two/app", "multi")
        .await;
    assert_eq!(pulled.expect_status(200).body, index.manifest);
    assert!(
        server.log().contains("mount"),
        "skopeo has asked for mounts"
    );
    let tags = skopeo.list_tags(&name("two/app")).await.expect_code(0);
    assert!(tags.stdout.contains("\"multi\""), "{tags}");
    let inspected = skopeo.inspect(&name("two/app")).await.expect_code(0);
    assert!(inspected.stdout.contains("\"Digest\""), "{inspected}");
}
