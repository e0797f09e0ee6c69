//! What is on its way to Pulp takes no more of the content folder than is set.

use std::path::Path;

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tests::image::{self, MANIFEST, described};
use tests::pulp::Which;
use tests::server::Server;
use tests::{digest, noise};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/freight/crates";
const MIB: usize = 1 << 20;

/// How many bytes the objects of a server have.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let entries = entries.map(|entry| entry.expect("a folder of ours").path());
    entries
        .map(|path| match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => bytes_in(&path),
            Ok(found) => found.len(),
            // It was let go meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// A way to a Pulp that can be cut, while other tests use that Pulp.
struct Way {
    host: String,
    _relay: JoinSet<()>,
}

impl Way {
    async fn to(pulp: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("its address").to_string();
        let pulp = pulp.to_owned();
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            let mut under_way = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let pulp = pulp.clone();
                under_way.spawn(async move {
                    let mut far = TcpStream::connect(pulp).await?;
                    copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self {
            host,
            _relay: relay,
        }
    }
}

fn spooled(server: &Server) -> u64 {
    bytes_in(&server.data_dir().join("content/objects"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_spool_takes_is_pushed_through_it_in_turn() {
    const MOST: u64 = 3 * MIB as u64;
    for which in Which::ALL {
        let pulp = which.shared().await;
        let server = pulp.server(&["--content-spool-bytes=3MiB"]).await;
        let oci = server.oci();
        let config = Bytes::from(
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        let layers: Vec<Bytes> = (0..8).map(|_| noise::bytes(noise::unique(), MIB)).collect();
        let mut largest = 0;

        for blob in layers.iter().chain([&config]) {
            oci.try_push_blob(NAME, blob).await.unwrap();
            largest = largest.max(spooled(&server));
        }
        // Of each of them some bytes are read before any manifest names it.
        for layer in &layers {
            let pulled = oci.pull_blob(NAME, &digest::of(layer)).await;
            assert_eq!(pulled.0, digest::of(layer));
        }
        let parts: Vec<_> = layers
            .iter()
            .map(|it| described(image::LAYER, it))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described(image::CONFIG, &config), "layers": parts,
        });
        let manifest = Bytes::from(manifest.to_string());
        oci.put_manifest(NAME, "latest", MANIFEST, &manifest)
            .await
            .expect_status(201);

        let push = server.rest().only_push_of(NAME, "latest").await;
        assert_eq!(push["result"], "success", "{push}");
        assert!(largest <= MOST, "{largest} bytes lay there");
        assert_eq!(spooled(&server), 0, "all of it is in Pulp");
        println!("8 MiB through a spool of 3: {largest} bytes at most, {which:?}");

        let location = oci.open_upload(NAME).await;
        let longer = noise::bytes(noise::unique(), 4 * MIB);
        let sent = oci.at(Method::PATCH, NAME, &location).await.body(longer);
        let refused = oci.send(sent).await;
        let told = refused.expect_refusal(413, "SIZE_INVALID");
        assert!(told.text().contains("content.spool_bytes"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_stays_full_refuses_what_does_not_fit_and_keeps_what_it_has() {
    let pulp = Which::Newest.shared().await;
    let way = Way::to(pulp.url.trim_start_matches("http://")).await;
    let options: Vec<String> = pulp
        .options()
        .into_iter()
        .filter(|option| !option.starts_with("--content-url="))
        .chain([
            format!("--content-url=http://{}", way.host),
            "--content-spool-bytes=3MiB".to_owned(),
        ])
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(&options).await;
    drop(way);
    let oci = server.oci();
    let blobs: Vec<Bytes> = (0..3).map(|_| noise::bytes(noise::unique(), MIB)).collect();
    for blob in &blobs {
        oci.try_push_blob(NAME, blob).await.unwrap();
    }

    let location = oci.open_upload(NAME).await;
    let more = noise::bytes(noise::unique(), 1000);
    let sent = oci.at(Method::PATCH, NAME, &location).await.body(more);
    let refused = oci.send(sent).await.expect_refusal(507, "UNKNOWN");

    assert!(refused.text().contains("content.spool_bytes"), "{refused}");
    let gone = oci.at(Method::GET, NAME, &location).await;
    oci.send(gone)
        .await
        .expect_refusal(404, "BLOB_UPLOAD_UNKNOWN");
    for blob in &blobs {
        let pulled = oci.pull_blob(NAME, &digest::of(blob)).await;
        assert_eq!(pulled.0, digest::of(blob));
    }
    let ready = server.rest().try_get("/readyz").await.unwrap();
    assert!(!ready.text().contains("space"), "{}", ready.text());
}
