//! skopeo: copies between two repositories of one registry, and lists.

use tests::image::Index;
use tests::oci_layout;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;

#[tokio::test]
async fn skopeo_copies_from_one_repository_to_another_and_mounts_what_is_there() {
    let server = Server::start().await;
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
    let index = Index::two_platforms(11);
    let folder = tempfile::tempdir().unwrap();
    let layout = oci_layout::of_index(folder.path(), &index);
    let name = |name: &str| format!("{}/default_organization/{name}", server.host());
    let (one, two) = (name("one/app:multi"), name("two/app:multi"));
    skopeo.push_all(&layout, &one).await.expect_code(0);

    let copied = skopeo.copy_all(&one, &two).await;

    copied.expect_code(0);
    let pulled = server
        .oci()
        .manifest("default_organization/two/app", "multi")
        .await;
    assert_eq!(pulled.expect_status(200).body, index.manifest);
    assert!(
        server.log().contains("POST oci.start_upload answered 201"),
        "skopeo uploads in several requests, so that a POST answered 201 is a mount"
    );
    let tags = skopeo.list_tags(&name("two/app")).await.expect_code(0);
    assert!(tags.stdout.contains("\"multi\""), "{tags}");
    let inspected = skopeo.inspect(&two).await.expect_code(0);
    assert!(inspected.stdout.contains("\"Digest\""), "{inspected}");
}
