//! TLS: which protocols are spoken, who trusts whom, and a certificate that changes while everybody works.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, Version};
use tests::authority::Authority;
use tests::image::Image;
use tests::oci_client::{self, OciClient};
use tests::podman::Podman;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/tools/app";

/// A server with a certificate of an authority, in a folder that lives as long as the server.
async fn server(authority: &Authority) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    authority.renew_in(folder.path());
    let place = |name: &str| folder.path().join(name).display().to_string();
    let cert = format!("--tls-cert={}", place("tls.crt"));
    let key = format!("--tls-key={}", place("tls.key"));
    let server = Server::start_watched(&[&cert, &key]).await;
    (server, folder)
}

#[tokio::test]
async fn podman_pushes_and_pulls_with_the_self_signed_certificate_in_certs_d() {
    let server = Server::start_watched(&["--tls", "self-signed"]).await;
    let certificate = server.data_dir().join("tls.crt");
    let podman = Podman::trusting(&server.host(), &certificate);
    let place = format!("{}/{NAME}:latest", server.host());
    let id = podman.make_image(&place, 1).await;

    podman
        .login(&server.host(), ADMIN, ADMIN_PASSWORD)
        .await
        .expect_code(0);
    podman.push(&place).await.expect_code(0);
    podman.remove_all_images().await;
    podman.pull(&place).await.expect_code(0);

    assert_eq!(podman.image_id(&place).await, id);
    let line = format!("certs.d/{}/ca.crt", server.host());
    assert!(
        server.log().contains(&line),
        "the log does not tell how to trust it"
    );
}

#[tokio::test]
async fn a_client_that_was_not_told_to_trust_the_certificate_does_not_speak() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let (server, _folder) = server(&trusted).await;

    let stranger = server.oci().over_tls(&[&other.pem()]);
    let asked = stranger.try_send(stranger.request(Method::GET, "/v2/"));

    assert!(asked.await.is_err());
}

#[tokio::test]
async fn http_2_and_http_1_1_are_spoken_by_what_the_client_prefers() {
    let authority = Authority::new();
    let (server, _folder) = server(&authority).await;
    let trusted = authority.pem();
    let http_1 = oci_client::http_builder()
        .tls_certs_only(oci_client::certificates(&[&trusted]))
        .http1_only();
    let newer = server.oci().over_tls(&[&trusted]);
    let older = newer.clone().with_http(http_1);

    for (oci, version, tag) in [
        (newer, Version::HTTP_2, "two"),
        (older, Version::HTTP_11, "one"),
    ] {
        let answer = oci.request(Method::GET, "/v2/").send().await;
        assert_eq!(answer.expect("the server answers").version(), version);
        let image = Image::small(1);
        oci.push(NAME, tag, &image).await.expect_status(201);
        oci.assert_pullable(NAME, tag, &image).await;
    }
}

#[tokio::test]
async fn plain_http_on_the_port_of_tls_is_told_so() {
    let (server, _folder) = server(&Authority::new()).await;

    let plain = server.oci();
    let answer = plain.send(plain.request(Method::GET, "/v2/")).await;

    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{answer}");
}

#[tokio::test]
async fn a_start_without_its_certificate_fails_and_names_the_file() {
    let mut server = Server::start().await;
    server.kill().await;

    let ended = server
        .serve_to_its_end(&["--tls-cert=/no/such.crt", "--tls-key=/no/such.key"])
        .await;

    let ended = ended.expect_code(2);
    assert!(ended.said().contains("/no/such.crt"), "{ended}");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_without_a_failed_request() {
    const CLIENTS: usize = 6;
    const RENEWALS: usize = 5;
    let (first, last) = (Authority::new(), Authority::new());
    let (server, folder) = server(&first).await;
    let (first_pem, last_pem) = (first.pem(), last.pem());
    let rounds: Arc<[AtomicUsize; CLIENTS]> = Arc::default();
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let (rounds, name) = (Arc::clone(&rounds), format!("{NAME}-{n}"));
        let oci = server.oci().over_tls(&[&first_pem, &last_pem]);
        let trusted = [first_pem.clone(), last_pem.clone()];
        clients.spawn(async move {
            loop {
                let round = rounds[n].load(Ordering::Relaxed);
                let seed = u64::try_from(round * CLIENTS + n).expect("a small number");
                let image = Image::small(seed);
                let tag = format!("round-{round}");
                oci.push(&name, &tag, &image).await.expect_status(201);
                // Over a new connection too, which sees the certificate of the moment.
                let trusted = trusted.each_ref().map(String::as_str);
                let fresh = oci.clone().over_tls(&trusted);
                fresh.assert_pullable(&name, &tag, &image).await;
                rounds[n].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let all_go_on = async |clients: &mut JoinSet<()>| {
        let before = rounds.each_ref().map(|done| done.load(Ordering::Relaxed));
        wait::until("every client has done two rounds more", SOON, async || {
            if let Some(ended) = clients.try_join_next() {
                ended.expect("no request fails");
            }
            let done = |n: usize| rounds[n].load(Ordering::Relaxed) >= before[n] + 2;
            (0..CLIENTS).all(done).then_some(())
        })
        .await;
    };

    all_go_on(&mut clients).await;
    for renewal in 1..=RENEWALS {
        let authority = if renewal == RENEWALS { &last } else { &first };
        authority.renew_in(folder.path());
        server.signal("HUP").await;
        all_go_on(&mut clients).await;
    }

    let only_the_last = server.oci();
    wait::until("new connections see the last one", SOON, async || {
        let client = only_the_last.clone().over_tls(&[&last_pem]);
        let asked = client.request(Method::GET, "/v2/");
        client.try_send(asked).await.ok()
    })
    .await;
    clients.shutdown().await;
}

#[tokio::test]
async fn a_changed_certificate_is_noticed_without_a_signal() {
    let (first, last) = (Authority::new(), Authority::new());
    let (server, folder) = server(&first).await;
    let of_last = || -> OciClient { server.oci().over_tls(&[&last.pem()]) };

    // Torn for a while: the new certificate with the old key is not shown.
    let (certificate, key) = last.sign();
    fs::write(folder.path().join("tls.crt"), certificate).expect("a file of ours");
    wait::until("the log says so", SOON, async || {
        let said = server.log().contains("cannot be used together");
        said.then_some(())
    })
    .await;
    let of_first = server.oci().over_tls(&[&first.pem()]);
    of_first
        .send(of_first.request(Method::GET, "/v2/"))
        .await
        .expect_status(401);
    fs::write(folder.path().join("tls.key"), key).expect("a file of ours");

    wait::until("new connections see the new one", SOON, async || {
        let client = of_last();
        let asked = client.request(Method::GET, "/v2/");
        client.try_send(asked).await.ok()
    })
    .await
    .expect_status(401);
}
