//! Paths that try to leave the registry, sent as bytes because honest clients would clean them.

use std::path::Path;

use tests::image::Image;
use tests::raw::{self, Connection};
use tests::server::Server;
use tests::wait::SOON;

use super::{NAME, assert_unharmed};

/// A word that no file name of the server holds by itself.
const MARK: &str = "stowaway";

#[tokio::test]
async fn no_trick_with_a_path_leads_out_of_the_registry() {
    let server = Server::start().await;
    server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    let upload = server.oci().open_upload(NAME).await;
    let tricks = [
        ("GET", "/v2/../../etc/passwd".to_owned()),
        ("GET", "/../../../etc/passwd".to_owned()),
        ("GET", "/v2/%2e%2e/%2e%2e/etc/passwd".to_owned()),
        (
            "GET",
            format!("/v2/{NAME}/manifests/../../../../etc/passwd"),
        ),
        (
            "GET",
            format!("/v2/{NAME}/manifests/..%2f..%2f..%2fetc%2fpasswd"),
        ),
        ("GET", format!("/v2/{NAME}/manifests/%2e%2e%2f{MARK}")),
        (
            "GET",
            format!("/v2/{NAME}/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd"),
        ),
        ("GET", format!("/v2/{NAME}/blobs/../../instance")),
        (
            "GET",
            "/v2/default_organization%2ftools%2f..%2fapp/manifests/latest".to_owned(),
        ),
        (
            "GET",
            "/v2/default_organization/tools/%00/manifests/latest".to_owned(),
        ),
        (
            "GET",
            "/v2/default_organization/tools/%ff%fe/manifests/latest".to_owned(),
        ),
        (
            "GET",
            "/v2/default_organization\\tools\\app/manifests/latest".to_owned(),
        ),
        (
            "GET",
            "/v2//default_organization//app/manifests/latest".to_owned(),
        ),
        ("GET", format!("/v2/{}/manifests/latest", "a/".repeat(2000))),
        ("GET", format!("/api/v1/repositories/..%2f..%2f{MARK}")),
        (
            "POST",
            format!("/v2/default_organization/../../{MARK}/blobs/uploads/"),
        ),
        (
            "POST",
            format!("/v2/default_organization/%2e%2e/%2e%2e/{MARK}/blobs/uploads/"),
        ),
        (
            "POST",
            format!("/v2/default_organization%2f..%2f..%2f{MARK}/blobs/uploads/"),
        ),
        (
            "PATCH",
            format!("/v2/{NAME}/blobs/uploads/..%2f..%2f..%2f{MARK}"),
        ),
        ("PATCH", format!("{upload}%2f..%2f..%2f{MARK}")),
        (
            "PUT",
            format!(
                "/v2/{NAME}/blobs/uploads/../../{MARK}?digest=sha256:{}",
                "0".repeat(64)
            ),
        ),
        ("PUT", format!("/v2/{NAME}/manifests/..%2f..%2f{MARK}")),
        ("PUT", format!("/v2/{NAME}/manifests/%2e%2e")),
    ];

    for (method, path) in &tricks {
        let mut connection = Connection::open(&server.host()).await;
        let request = raw::request(method, &server.host(), path, "ware");
        connection.send(request.as_bytes()).await;
        let answer = connection
            .all_until_closed(SOON)
            .await
            .expect("the server answers and closes");
        let status = raw::status(&answer);
        assert!((400..500).contains(&status), "{method} {path} -> {answer}");
        assert!(
            !answer.contains("root:"),
            "{method} {path} read a file: {answer}"
        );
    }

    assert!(tricks.len() >= 20);
    println!("{} path tricks refused", tricks.len());
    let written = holding_mark(server.home());
    assert!(written.is_empty(), "written: {written:?}");
    assert_unharmed(&server).await;
}

/// The paths below a folder that hold the mark in their names.
fn holding_mark(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("a folder of ours").path();
        if path.display().to_string().contains(MARK) {
            found.push(path.display().to_string());
        }
        if path.is_dir() {
            found.extend(holding_mark(&path));
        }
    }
    found
}
