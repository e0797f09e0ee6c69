//! What is pushed to a proxy, and what it says when its main server is down.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use tests::digest;
use tests::harbour::Harbour;
use tests::image::Image;
use tests::noise;
use tests::oci_client::location;
use tests::podman::Podman;
use tests::server::{ADMIN, ADMIN_PASSWORD};
use tests::wait::SOON;

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn a_push_through_a_proxy_is_a_push_to_the_main_server_and_comes_back() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let host = harbour.proxies[0].server.host();
    let podman = Podman::new();
    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    let image = podman.make_image("localhost/app:1", 1).await;
    let name = format!("{host}/{NAME}:latest");
    podman.tag("localhost/app:1", &name).await;

    podman.push(&name).await.expect_code(0);

    let push = harbour
        .rest()
        .until_push(NAME, "latest", "has ended", |push| {
            push["state"] == "stopped"
        })
        .await;
    assert_eq!(push["result"], "success", "{push}");
    assert_eq!(push["user"], ADMIN);
    assert_eq!(push["client"]["address"], "127.0.0.1", "{push}");
    harbour.until_current(0).await;
    podman.remove_all_images().await;
    podman.pull(&name).await.expect_code(0);
    assert_eq!(podman.image_id(&name).await, image);
    let audit = harbour.rest().get("/audit?per_page=50").await.text();
    assert!(!audit.contains("secret-"), "{audit}");
}

#[tokio::test]
async fn a_large_layer_streams_through_a_proxy_in_little_memory() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let proxy = harbour.oci(0);
    let before = harbour.proxies[0].server.peak_memory_mib();
    let layer = noise::Long::new(5, 256 << 20);

    proxy.push_long_blob(NAME, &layer, &layer.digest()).await;

    let grown = harbour.proxies[0].server.peak_memory_mib() - before;
    println!("256 MiB through a proxy took {grown} MiB of memory");
    assert!(grown < 64, "{grown} MiB");
    let size = harbour.main.oci().pull_blob(NAME, &layer.digest()).await;
    assert_eq!(size, (layer.digest(), 256 << 20));
}

/// Longer than the main server is waited for where no body is on its way.
const A_SLOW_BODY: Duration = Duration::from_secs(35);

#[tokio::test]
async fn a_layer_that_comes_slowly_is_taken_through_a_proxy_however_long_it_takes() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let proxy = harbour.oci(0);
    let begun = Instant::now();
    // One KiB after the other, as a thin line brings them.
    let pace = tokio::time::interval(Duration::from_millis(250));
    let pieces = stream::unfold(pace, move |mut pace| async move {
        pace.tick().await;
        let more = begun.elapsed() < A_SLOW_BODY;
        more.then(|| (Ok::<_, io::Error>(Bytes::from_static(&[7; 1024])), pace))
    });
    let upload = proxy.open_upload(NAME).await;

    let patch = proxy.at(Method::PATCH, NAME, &upload).await;
    let patched = proxy
        .send(patch.body(Body::wrap_stream(pieces)))
        .await
        .expect_status(202);

    assert!(begun.elapsed() >= A_SLOW_BODY);
    let range = patched.header("range");
    let last: usize = range.split('-').nth(1).unwrap().parse().unwrap();
    println!(
        "{} bytes came in {:?} through a proxy",
        last + 1,
        begun.elapsed()
    );
    assert!(last + 1 > 100 * 1024, "{range}");
    let layer = vec![7; last + 1];
    let put = proxy.at(Method::PUT, NAME, &location(&patched)).await;
    let digest = digest::of(&layer);
    let put = put.query(&[("digest", &digest)]);
    proxy.send(put).await.expect_status(201);
    let there = harbour.main.oci().pull_blob(NAME, &digest).await;
    assert_eq!(there, (digest, layer.len() as u64));
}

#[tokio::test]
async fn while_the_main_server_is_down_pulls_go_on_and_a_push_is_told_why_not() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, proxy) = (harbour.main.oci(), harbour.oci(0));
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    harbour.until_current(0).await;
    let host = harbour.proxies[0].server.host();
    let podman = Podman::new();
    podman
        .login(&host, ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    podman.make_image("localhost/app:1", 1).await;
    podman
        .tag("localhost/app:1", &format!("{host}/{NAME}:new"))
        .await;
    let token = proxy
        .token(&[&format!("repository:{NAME}:pull,push")])
        .await;
    let ask = |method: Method, path: &str| proxy.request(method, path).bearer_auth(&token);
    let manifest = format!("/v2/{NAME}/manifests/latest");
    proxy
        .send(ask(Method::GET, &manifest))
        .await
        .expect_status(200);

    harbour.main.kill().await;

    proxy
        .send(ask(Method::GET, &manifest))
        .await
        .expect_status(200);
    for blob in image.blobs() {
        let path = format!("/v2/{NAME}/blobs/{}", tests::digest::of(blob));
        proxy.send(ask(Method::GET, &path)).await.expect_status(200);
        proxy
            .send(ask(Method::HEAD, &path))
            .await
            .expect_status(200);
    }
    let missing = proxy
        .send(ask(Method::GET, &format!("/v2/{NAME}/manifests/none")))
        .await;
    let missing = missing.expect_refusal(404, "MANIFEST_UNKNOWN").text();
    assert!(missing.contains("last synced, at 20"), "{missing}");
    let upload = proxy
        .send(ask(Method::POST, &format!("/v2/{NAME}/blobs/uploads/")))
        .await;
    let told = upload.expect_refusal(424, "UNKNOWN").text();
    assert!(told.contains(&harbour.main.host()), "{told}");
    assert!(
        told.contains("smart proxy") && told.contains("again"),
        "{told}"
    );
    let pushed = podman.push(&format!("{host}/{NAME}:new")).await;
    assert_ne!(pushed.code, 0);
    assert!(pushed.said().contains("main server"), "{}", pushed.said());

    harbour.main.restart().await;
    podman
        .push(&format!("{host}/{NAME}:new"))
        .await
        .expect_code(0);
    harbour.rest().until_no_task_is_open(SOON).await;
    harbour.until_current(0).await;
}

#[tokio::test]
async fn a_proxy_that_is_started_anew_while_its_main_server_is_down_serves_what_it_holds() {
    let mut harbour = Harbour::with_a_proxy(&[]).await;
    let image = Image::small(1);
    harbour
        .main
        .oci()
        .push(NAME, "latest", &image)
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let token = harbour
        .oci(0)
        .token(&[&format!("repository:{NAME}:pull")])
        .await;
    harbour.main.kill().await;
    harbour.proxies[0].server.kill().await;

    harbour.proxies[0].server.restart().await;

    let proxy = harbour.oci(0);
    let manifest = proxy.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
    proxy
        .send(manifest.bearer_auth(token))
        .await
        .expect_status(200);
}
