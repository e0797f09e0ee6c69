//! What the server says reaches the client: a proxy has no pages of its own for it.

use bytes::Bytes;
use reqwest::{Body, Method};
use serde_json::json;
use tests::answer::Answer;
use tests::image::{self, Image};
use tests::oci_client::OciClient;
use tests::proxy::Kind;
use tests::rest::text;
use tests::small_disk::SmallDisk;
use tests::{digest, noise, turn};

use super::{Front, NAME};

const LAYER: usize = 8 << 20;

pub(super) async fn a_paused_push_is_told_to_podman_in_the_servers_words(kind: Kind) {
    let front = Front::start(kind, &["--allow-drills"]).await;
    let rest = front.server.rest();
    let drill = json!({"workflow": "push", "step": "copy", "tag": "broken", "effect": "fail"});
    rest.begin_drill(&drill).await;
    let podman = front.podman().await;
    let place = format!("{}/{NAME}:broken", front.proxy.host());
    podman.make_image(&place, 1).await;

    let refused = podman.push(&place).await;

    assert_ne!(refused.code, 0, "{refused}");
    let is_paused = |task: &serde_json::Value| task["state"] == "paused";
    let task = rest
        .until_push(NAME, "broken", "is paused", is_paused)
        .await;
    let url = format!(
        "https://{}/api/v1/tasks/{}",
        front.proxy.host(),
        text(&task["id"])
    );
    for words in [text(&task["headline"]), &url] {
        assert!(refused.stderr.contains(words), "no `{words}` in {refused}");
    }
}

pub(super) async fn refusals_and_warnings_come_unchanged(kind: Kind) {
    let front = Front::start(kind, &["--allow-drills"]).await;
    let drill = json!({"workflow": "push", "step": "copy", "tag": "broken", "effect": "fail"});
    front.server.rest().begin_drill(&drill).await;
    let (through, straight) = (front.proxy.oci(), front.server.oci());
    straight.push_blobs(NAME, &Image::small(1)).await;

    for (status, ask) in [
        (400, Asked::BadDigest),
        (401, Asked::WithoutLogin),
        (404, Asked::Unknown),
        (413, Asked::TooLarge),
        (424, Asked::Paused),
    ] {
        let expected = ask.of(&straight).await.expect_status(status);
        let answer = ask.of(&through).await.expect_status(status);

        assert_eq!(answer.json(), expected.json());
        for header in ["content-type", "warning", "docker-distribution-api-version"] {
            assert_eq!(answer.header(header), expected.header(header), "{answer}");
        }
        assert_ne!(answer.header("x-request-id"), "", "{answer}");
    }
}

/// Requests that are refused.
#[derive(Clone, Copy)]
enum Asked {
    BadDigest,
    WithoutLogin,
    Unknown,
    TooLarge,
    Paused,
}

impl Asked {
    async fn of(self, oci: &OciClient) -> Answer {
        let image = Image::small(1);
        match self {
            Self::BadDigest => {
                let request = oci.of(Method::GET, NAME, "blobs/sha256:12").await;
                oci.send(request).await
            }
            Self::WithoutLogin => oci.send(oci.request(Method::GET, "/v2/")).await,
            Self::Unknown => oci.manifest("default_organization/nowhere", "latest").await,
            Self::TooLarge => {
                let manifest = Bytes::from(vec![b' '; 5 << 20]);
                oci.put_manifest(NAME, "large", image::MANIFEST, &manifest)
                    .await
            }
            Self::Paused => {
                oci.put_manifest(NAME, "broken", image::MANIFEST, &image.manifest)
                    .await
            }
        }
    }
}

pub(super) async fn a_full_disk_is_507_behind_the_proxy_too(kind: Kind) {
    let _turn = turn::heavy().await;
    let disk = SmallDisk::new(48, 32);
    let content = disk.content_option();
    let front = Front::start_through(&disk.words(), kind, &[&content]).await;
    let oci = front.proxy.oci();

    let mut stored = 0;
    let refused = loop {
        assert!(stored < 4, "48 MiB were never full");
        let layer = noise::bytes(100 + stored, LAYER);
        let answer = oci
            .try_upload(NAME, Body::from(layer.clone()), &digest::of(&layer))
            .await
            .expect("the server answers");
        if answer.status != 201 {
            break answer;
        }
        stored += 1;
    };

    refused.expect_refusal(507, "UNKNOWN");
}
