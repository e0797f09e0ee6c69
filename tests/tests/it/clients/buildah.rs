//! buildah: builds, pushes, and pulls back.

use tests::buildah::Buildah;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

#[tokio::test]
async fn buildah_pushes_what_it_builds_again_and_as_a_list() {
    let server = Server::start().await;
    let buildah = Buildah::new();
    let name = |tag: &str| format!("{}/default_organization/buildah/app:{tag}", server.host());
    let login = buildah.login(&server.host(), ADMIN, ADMIN_PASSWORD).await;
    login.expect_code(0);
    for (tag, seed) in [("1", 1), ("2", 2)] {
        buildah.build(&name(tag), seed).await;
        buildah.push(&name(tag)).await.expect_code(0);
    }

    buildah.push(&name("1")).await.expect_code(0);
    buildah.make_list("both", &[&name("1"), &name("2")]).await;
    buildah
        .push_list("both", &name("both"))
        .await
        .expect_code(0);

    let oci = server.oci();
    let tags = oci.tags("default_organization/buildah/app", 10).await;
    assert_eq!(tags, ["1", "2", "both"]);
    let list = oci
        .manifest("default_organization/buildah/app", "both")
        .await;
    assert_eq!(
        list.expect_status(200).json()["manifests"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let elsewhere = Buildah::new();
    let login = elsewhere.login(&server.host(), ADMIN, ADMIN_PASSWORD).await;
    login.expect_code(0);
    elsewhere.pull(&name("2")).await.expect_code(0);
}
