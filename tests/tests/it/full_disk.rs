//! A disk that fills up: refused clearly, nothing lost, and on it goes when there is space.

use bytes::Bytes;
use reqwest::{Body, Method};
use tests::image::Image;
use tests::server::Server;
use tests::small_disk::SmallDisk;
use tests::wait::SOON;
use tests::{digest, noise, turn};

const NAME: &str = "default_organization/tools/app";
const LAYER: usize = 8 << 20;

#[tokio::test]
async fn a_full_disk_is_507_nothing_is_lost_and_pushes_go_on_once_there_is_space() {
    let _turn = turn::heavy().await;
    let disk = SmallDisk::new(64, 32);
    let mut server = Server::start_through(&disk.words(), &[&disk.content_option()]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let first = Image::small(1);
    oci.push(NAME, "first", &first).await.expect_status(201);

    let mut stored: Vec<Bytes> = Vec::new();
    let refused = loop {
        assert!(stored.len() < 8, "64 MiB were never full");
        let layer = noise::bytes(100 + stored.len() as u64, LAYER);
        let body = Body::from(layer.clone());
        let answer = oci
            .try_upload(NAME, body, &digest::of(&layer))
            .await
            .expect("the server answers");
        if answer.status != 201 {
            answer.expect_refusal(507, "UNKNOWN");
            break layer;
        }
        stored.push(layer);
    };

    let ready = async || oci.send(oci.request(Method::GET, "/readyz")).await;
    let told = ready().await.expect_status(503).json();
    let content = told["content"].as_str().unwrap_or_default();
    assert!(content.contains("is full"), "{told}");
    assert!(
        stored.len() >= 2,
        "only {} layers of 8 MiB fitted into 32 MiB",
        stored.len()
    );
    for layer in &stored {
        let digest = digest::of(layer);
        assert_eq!(oci.pull_blob(NAME, &digest).await, (digest, LAYER as u64));
    }
    oci.assert_pullable(NAME, "first", &first).await;
    assert!(server.runs(), "the server ended");

    disk.free_space(server.pid());
    ready().await.expect_status(200);
    let second = Image::with_layers(vec![refused], "amd64");
    oci.push(NAME, "second", &second).await.expect_status(201);
    oci.assert_pullable(NAME, "second", &second).await;
    oci.assert_pullable(NAME, "first", &first).await;
    rest.until_no_task_is_open(SOON).await;
    assert_eq!(rest.version_numbers(NAME).await, [1, 2]);
    println!(
        "stored {} layers until the disk was full, one more after space was freed",
        stored.len()
    );
}
