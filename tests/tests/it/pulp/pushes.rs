//! Pushes into a Pulp and pulls out of it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::image::{self, Image, Index, MANIFEST};
use tests::oci_layout;
use tests::podman::Podman;
use tests::pulp::{Pulp, Which};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;
use tests::wait::{self, SOON};
use tests::{digest, noise};

const SHORT: &str = "default_organization/busybox";
const LONG: &str = "default_organization/tools/busybox";

/// What a push asks of Pulp's REST API at most, be it the first to a name or a later one. A login, which serves many, and what a duty
/// asks later, come beside that.
const MOST_REQUESTS: f64 = 10.0;

/// So often it is looked for a push that Pulp had time for.
const ROUNDS: usize = 30;

/// How many objects of content the server has itself.
fn objects(server: &Server) -> usize {
    fn files(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return 0;
        };
        let entries = entries.map(|entry| entry.expect("a folder of ours").path());
        entries
            .map(|path| if path.is_dir() { files(&path) } else { 1 })
            .sum()
    }
    files(&server.data_dir().join("content/objects"))
}

async fn rest_requests(server: &Server) -> f64 {
    let metrics = server.metrics().await;
    metrics.sum("wharfinger_pulp_requests_total", &["rest"])
}

fn image() -> Image {
    Image::small(noise::unique())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_pushes_into_a_pulp_by_both_forms_of_a_name_and_pulls_the_same() {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let podman = Podman::new();
        let host = server.host();
        let (short, long) = (
            format!("{host}/{SHORT}:latest"),
            format!("{host}/{LONG}:1.0"),
        );
        let id = podman.make_image(&short, noise::unique()).await;
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

        for (name, tag) in [(SHORT, "latest"), (LONG, "1.0")] {
            let push = server.rest().only_push_of(name, tag).await;
            assert_eq!(push["result"], "success", "{push}");
        }
        assert_eq!(objects(&server), 0, "all of it is in Pulp");
        server.doctor().await.expect_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_copies_an_index_and_a_second_version_into_a_pulp_and_back() {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD);
        let name = format!("{}/{LONG}:latest", server.host());
        let (first, second) = (image(), Index::two_platforms(noise::unique()));
        let there = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        oci_layout::of_image(there[0].path(), &first);
        oci_layout::of_index(there[1].path(), &second);

        skopeo.push(there[0].path(), &name).await.expect_code(0);
        skopeo.push_all(there[1].path(), &name).await.expect_code(0);

        let back = tempfile::tempdir().unwrap();
        skopeo.pull_all(&name, back.path()).await.expect_code(0);
        let oci = server.oci();
        let found = oci.manifest(LONG, "latest").await.expect_status(200);
        assert_eq!(digest::of(&found.body), second.digest);
        assert_eq!(server.rest().version_numbers(LONG).await, [1, 2]);
        // The first version is retained: by digest it is there as before.
        oci.manifest(LONG, &first.digest).await.expect_status(200);
        for blob in first.blobs() {
            let pulled = oci.pull_blob(LONG, &digest::of(blob)).await;
            assert_eq!(pulled.0, digest::of(blob));
        }
        assert_eq!(objects(&server), 0, "all of it is in Pulp");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_is_pushed_by_digest_is_listed_with_what_it_signs_and_is_filed_in_pulp() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        let server = pulp.server(&[]).await;
        let oci = server.oci();
        let signed = image();
        oci.push(LONG, "latest", &signed).await.expect_status(201);
        let (empty, payload) = (
            bytes::Bytes::from_static(b"{}"),
            noise::bytes(noise::unique(), 500),
        );
        let mut config = image::described("application/vnd.oci.empty.v1+json", &empty);
        config["size"] = json!(empty.len());
        let signature = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.test.signature",
            "config": config, "layers": [image::described("application/octet-stream", &payload)],
            "subject": image::described(MANIFEST, &signed.manifest),
        });
        let signature = bytes::Bytes::from(signature.to_string());
        let reference = digest::of(&signature);
        for blob in [&empty, &payload] {
            oci.try_push_blob(LONG, blob).await.unwrap();
        }

        oci.put_manifest(LONG, &reference, MANIFEST, &signature)
            .await
            .expect_status(201);

        let listed = oci
            .of(Method::GET, LONG, &format!("referrers/{}", signed.digest))
            .await;
        let listed = oci.send(listed).await.expect_status(200);
        assert!(listed.text().contains(&reference), "{}", listed.text());
        // The duty files it some seconds later.
        let search = format!("label = push and repository = \"{LONG}\" and state = stopped");
        let pushes = wait::until("the signature is filed", SOON, async || {
            let pushes = server.rest().all("/tasks", &search).await;
            (pushes.len() == 2).then_some(pushes)
        })
        .await;
        for push in pushes {
            assert_eq!(push["result"], "success", "{push}");
        }
        let known = format!("content/container/manifests/?digest={reference}");
        assert_eq!(pulp.list(&known).await.len(), 1);
        let pulled = oci.pull_blob(LONG, &digest::of(&payload)).await;
        assert_eq!(pulled.0, digest::of(&payload));
        assert_eq!(objects(&server), 0, "all of it is in Pulp");
    }
}

/// What Pulp does not take is served from our own bytes, and its blobs are in Pulp all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pulp_does_not_take_as_a_manifest_is_pushed_and_pulled_as_everywhere() {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let (oci, rest) = (server.oci(), server.rest());
        let layer = noise::bytes(noise::unique(), 2000);
        oci.try_push_blob(LONG, &layer).await.unwrap();
        let part = image::described("application/octet-stream", &layer);
        let unknown = "application/vnd.test.note.v1+json";
        let no_config = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [part]});
        let other_type = json!({"schemaVersion": 2, "mediaType": unknown, "layers": [part]});
        // Pulp reads the config as JSON and fails where it is none.
        let strange_config = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": [part],
        });

        for (tag, media_type, manifest) in [
            (
                "no-config",
                "application/vnd.test.other.v1+json",
                &no_config,
            ),
            ("other-type", unknown, &other_type),
            ("strange-config", MANIFEST, &strange_config),
        ] {
            let mut manifest = manifest.clone();
            manifest["mediaType"] = json!(media_type);
            let bytes = bytes::Bytes::from(manifest.to_string());
            oci.put_manifest(LONG, tag, media_type, &bytes)
                .await
                .expect_status(201);
            let push = rest.only_push_of(LONG, tag).await;
            assert_eq!(push["result"], "success", "{push}");
            let found = oci.manifest(LONG, tag).await.expect_status(200);
            assert_eq!(found.body, bytes, "{tag}");
        }

        let pulled = oci.pull_blob(LONG, &digest::of(&layer)).await;
        assert_eq!(pulled.0, digest::of(&layer));
        assert_eq!(objects(&server), 0, "all of it is in Pulp");
        let gates = rest.get("/gates").await.expect_status(200);
        assert!(!gates.text().contains("closed"), "{}", gates.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_of_another_repository_is_mounted_there_too() {
    for which in Which::ALL {
        let server = which.shared().await.server(&[]).await;
        let oci = server.oci();
        let image = image();
        oci.push(LONG, "one", &image).await.expect_status(201);

        for blob in image.blobs() {
            let rest = format!("blobs/uploads/?mount={}&from={LONG}", digest::of(blob));
            let mount = oci.request(Method::POST, &format!("/v2/{SHORT}/{rest}"));
            let mount = mount.basic_auth(ADMIN, Some(ADMIN_PASSWORD));
            oci.send(mount).await.expect_status(201);
        }
        oci.put_manifest(SHORT, "two", MANIFEST, &image.manifest)
            .await
            .expect_status(201);

        oci.assert_pullable(SHORT, "two", &image).await;
        assert_eq!(objects(&server), 0, "all of it is in Pulp");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_pushes_to_one_repository_and_six_first_ones_of_one_name_all_end_well() {
    let pulp = Which::Newest.shared().await;
    let server = pulp.server(&["--push-wait=180s"]).await;
    let oci = server.oci();
    let images: Vec<Image> = (0..20).map(|_| image()).collect();
    let first = images.iter().take(6).enumerate().map(|(n, image)| {
        let (oci, tag) = (&oci, format!("first-{n}"));
        async move { oci.push(SHORT, &tag, image).await.expect_status(201) }
    });
    let pushes = images.iter().enumerate().map(|(n, image)| {
        let (oci, tag) = (&oci, format!("t{n}"));
        async move { oci.push(LONG, &tag, image).await.expect_status(201) }
    });

    join_all(first).await;
    join_all(pushes).await;

    for (n, image) in images.iter().enumerate() {
        oci.assert_pullable(LONG, &format!("t{n}"), image).await;
    }
    let failed = server
        .rest()
        .all("/tasks", "result != success and label = push")
        .await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(server.rest().version_numbers(LONG).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_asks_pulp_some_ten_times() {
    for which in Which::ALL {
        let server = which.shared().await.watched_server().await;
        let oci = server.oci();
        // A task of Pulp is asked for until it is done: on a machine with other things to do more often. So the fewest count.
        let mut fewest = [f64::MAX; 2];
        for n in 0..ROUNDS {
            let name = format!("{LONG}-{n}");
            for (tag, fewest) in ["first", "second"].iter().zip(&mut fewest) {
                let image = image();
                let before = rest_requests(&server).await;
                oci.push(&name, tag, &image).await.expect_status(201);
                *fewest = fewest.min(rest_requests(&server).await - before);
            }
            if fewest.iter().all(|fewest| *fewest <= MOST_REQUESTS) {
                break;
            }
        }
        println!(
            "requests of {which:?}'s REST by first and by later pushes, the fewest: {fewest:?}"
        );
        assert!(
            fewest.iter().all(|fewest| *fewest <= MOST_REQUESTS),
            "{fewest:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pulp_makes_for_a_push_is_private_soon_after_it() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        let prefix = format!("s{:x}", noise::unique());
        let options = pulp.options_with(&prefix);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let server = Server::start_with(&options).await;
        let oci = server.oci();
        oci.push(LONG, "latest", &image()).await.expect_status(201);

        let path = format!("distributions/container/container/?name__startswith={prefix}");
        let all = wait::until("both distributions are private", SOON, async || {
            let all = pulp.list(&path).await;
            let private = all.iter().all(|it| it["private"] == true);
            (private && all.len() == 2).then_some(all)
        });
        all.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_is_read_whole_or_in_part_or_by_a_redirect() {
    let pulp: &Pulp = Which::Newest.shared().await;
    for (setting, redirects) in [("stream", false), ("redirect", true)] {
        let option = format!("--content-blobs={setting}");
        let server = pulp.server(&[&option]).await;
        let oci = server.oci();
        let image = image();
        oci.push(LONG, "latest", &image).await.expect_status(201);
        let layer = &image.layers[0];
        let path = format!("blobs/{}", digest::of(layer));

        let range = oci
            .of(Method::GET, LONG, &path)
            .await
            .header("Range", "bytes=10-19");
        let answer = oci.send(range).await;
        let head = oci.of(Method::HEAD, LONG, &path).await;
        let head = oci.send(head).await.expect_status(200);

        assert_eq!(head.header("content-length"), layer.len().to_string());
        if redirects {
            let answer = answer.expect_status(307);
            let part = reqwest::Client::builder().no_proxy().build().unwrap();
            let part = part
                .get(answer.header("location"))
                .header("Range", "bytes=10-19");
            let part = part.send().await.unwrap();
            assert_eq!(part.status(), 206);
            assert_eq!(part.bytes().await.unwrap(), layer[10..20]);
        } else {
            let answer = answer.expect_status(206);
            assert_eq!(answer.body, layer[10..20]);
        }
    }
}
