//! Who is who behind a proxy: the registry's own address, and the client's.

use std::net::{IpAddr, Ipv4Addr};

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, Method};
use tests::image::Image;
use tests::oci_client::{self, OciClient};
use tests::proxy::Kind;
use tests::server::ADMIN;

use super::{Front, NAME};

/// The client's address: of loopback too, but neither the proxy's nor the server's.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Whom the client would like to be taken for.
const FORGED: &str = "203.0.113.66";

pub(super) async fn tokens_and_locations_lead_back_through_the_proxy(kind: Kind) {
    let front = Front::start(kind, &[]).await;
    let (oci, host) = (front.proxy.oci(), front.proxy.host());

    let asked = oci.send(oci.request(Method::GET, "/v2/")).await;

    let challenge = format!("Bearer realm=\"https://{host}/v2/token\",service=\"{host}\"");
    assert_eq!(asked.status, 401, "{asked}");
    assert_eq!(asked.header("www-authenticate"), challenge);
    // This client gets its tokens by that challenge and follows each location by its path.
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.assert_pullable(NAME, "latest", &image).await;
    assert_eq!(oci.tags(NAME, 1).await, ["latest"]);
}

pub(super) async fn a_client_is_known_by_its_own_address_and_cannot_forge_another(kind: Kind) {
    let front = Front::start(kind, &[]).await;
    let rest = front.server.rest();
    let through = forging(http(&front));
    let liar = front.proxy.oci().with_http(through);

    liar.push(NAME, "through", &Image::small(1))
        .await
        .expect_status(201);
    let wrong = OciClient::with_login(&front.proxy.host(), ADMIN, "not the password")
        .over_tls(&[])
        .with_http(forging(http(&front)));
    let refused = wrong.try_ask_token(&front.proxy.host(), &[]).await;
    assert_eq!(refused.expect("the server answers").status, 401);
    let past = oci_client::http_builder().local_address(IpAddr::from(CLIENT));
    let past_the_proxy = front.server.oci().with_http(forging(past));
    past_the_proxy
        .push(NAME, "past", &Image::small(2))
        .await
        .expect_status(201);

    for tag in ["through", "past"] {
        let push = rest.only_push_of(NAME, tag).await;
        assert_eq!(push["client"]["address"], CLIENT.to_string(), "{tag}");
    }
    let refusals = rest.all("/audit", "result = refused").await;
    let from: Vec<_> = refusals.iter().map(|entry| &entry["from"]).collect();
    assert_eq!(from, [&CLIENT.to_string()]);
    let log = front.server.log();
    assert!(
        log.contains(&format!("client.address=\"{CLIENT}\"")),
        "{log}"
    );
    assert!(!log.contains(FORGED), "{log}");
    let everything = serde_json::to_string(&rest.all("/audit", "").await).expect("JSON");
    assert!(!everything.contains(FORGED), "{everything}");
}

/// Connections to the proxy from an address of their own.
fn http(front: &Front) -> ClientBuilder {
    let trusted = front.proxy.trusted_pem();
    oci_client::http_builder()
        .tls_certs_only(oci_client::certificates(&[&trusted]))
        .local_address(IpAddr::from(CLIENT))
}

/// Every request of this client says that it comes from elsewhere, in every way that there is.
fn forging(http: ClientBuilder) -> ClientBuilder {
    let said = [
        ("x-forwarded-for", FORGED),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", FORGED),
        ("forwarded", "for=203.0.113.66;host=evil.example;proto=http"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in said {
        headers.insert(name, HeaderValue::from_static(value));
    }
    http.default_headers(headers)
}
