//! "API": HTTP as RFC 9110 and 9112 have it, with what smugglers try, and the headers of every answer.

use super::checks;
use super::repository::Repository;
use base64::Engine as _;
use reqwest::Method;
use tests::digest;
use tests::oci_client::OciClient;
use tests::raw::{self, Connection};
use tests::server::{ADMIN, ADMIN_PASSWORD};
use tests::wait::SOON;

checks! {
    "Determining Support: a GET of /v2/ by somebody known is 200" => |it| {
        it.at(Method::GET, "/v2/", |request| request).await.expect_status(200);
        it.at(Method::GET, "/v2", |request| request).await.expect_status(200);
    }
    "Endpoints, end-1: a GET of /v2/ by nobody is 401" => |it| {
        let nobody = OciClient::anonymous(&it.host);
        nobody.send(nobody.request(Method::GET, "/v2/")).await.expect_refusal(401, "UNAUTHORIZED");
    }
    "API: every answer says that this is a registry, and has a request id of its own" => |it| {
        let mut ids = Vec::new();
        for path in ["/v2/", "/v2/token", "/v2/nothing"] {
            let answer = it.at(Method::GET, path, |request| request).await;
            assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0", "{answer}");
            ids.push(answer.header("x-request-id").to_owned());
        }
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
    "API: query parameters that are not known are not looked at" => |it| {
        it.image("latest").await;
        it.get("manifests/latest?ns=docker.io&unheard=of").await.expect_status(200);
        it.get("tags/list?unheard=of").await.expect_status(200);
    }
    "API: a path that is none is 404 in JSON" => |it| {
        it.at(Method::GET, "/v2/nothing/at/all", |request| request).await.expect_refusal(404, "UNSUPPORTED");
    }
    "RFC 9112, 9.3: one connection takes one request after the other" => |it| {
        let blob = it.blob("ware").await;
        let head = format!("GET /v2/{}/blobs/{blob} HTTP/1.1\r\n{}", it.name, headers(it));
        let said = talk(it, &format!("{head}\r\n{head}Connection: close\r\n\r\n")).await;
        assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    }
    "RFC 9112, 9.3: what was not read of a refused body is not taken for the next request" => |it| {
        let smuggled = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", headers(it));
        let head = format!("POST /v2/{}/tags/list HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n", it.name, headers(it), smuggled.len());
        let said = talk(it, &format!("{head}{smuggled}GET /v2/nothing HTTP/1.1\r\n{}Connection: close\r\n\r\n", headers(it))).await;
        assert!(said.starts_with("HTTP/1.1 405"), "{said}");
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
    }
    "RFC 9112, appendix A.1: HTTP/1.0 is spoken" => |it| {
        let blob = it.blob("ware").await;
        let said = talk(it, &format!("GET /v2/{}/blobs/{blob} HTTP/1.0\r\n{}\r\n", it.name, headers(it))).await;
        assert_eq!(raw::status(&said), 200, "{said}");
        assert!(said.ends_with("\r\n\r\nware"), "{said}");
    }
    "RFC 9110, 10.1.1: a body that is wanted is asked for with 100 Continue" => |it| {
        let digest = digest::of(b"ware");
        let mut connection = Connection::open(&it.host).await;
        let head = format!("POST /v2/{}/blobs/uploads/?digest={digest} HTTP/1.1\r\n{}Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", it.name, headers(it));
        connection.send(head.as_bytes()).await;
        connection.until("HTTP/1.1 100 Continue\r\n\r\n", SOON).await;
        connection.send(b"ware").await;
        let said = connection.all_until_closed(SOON).await.expect("an answer");
        assert_eq!(raw::status(&said), 201, "{said}");
    }
    "RFC 9110, 10.1.1: a body that is not wanted is not asked for" => |it| {
        let mut connection = Connection::open(&it.host).await;
        let head = format!("POST /v2/{}/blobs/uploads/?digest={} HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", it.name, digest::of(b"ware"), it.host);
        connection.send(head.as_bytes()).await;
        let said = connection.until("log in", SOON).await;
        assert_eq!(raw::status(&said), 401, "{said}");
    }
    "RFC 9112, 6.3: of two lengths that differ neither is believed" => |it| {
        let said = upload(it, "Content-Length: 4\r\nContent-Length: 5\r\n", "wares").await;
        assert_eq!(raw::status(&said), 400, "{said}");
    }
    "RFC 9112, 6.3: a length that is no number is refused" => |it| {
        for length in ["+4", "-4", "0x4", "4, 5", "four"] {
            let said = upload(it, &format!("Content-Length: {length}\r\n"), "ware").await;
            assert_eq!(raw::status(&said), 400, "{length}: {said}");
        }
    }
    "RFC 9112, 6.3: beside Transfer-Encoding no length counts, and the connection ends with that request" => |it| {
        let smuggled = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", headers(it));
        for lengths in ["Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"] {
            let said = upload(it, lengths, &format!("4\r\nware\r\n0\r\n\r\n{smuggled}")).await;
            assert!(!said.contains("HTTP/1.1 200"), "{said}");
            assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
        }
    }
    "RFC 9112, 6.1: a transfer coding that is not known, or not the last one, is refused" => |it| {
        for coding in ["gzip", "chunked, gzip", "xchunked"] {
            let said = upload(it, &format!("Transfer-Encoding: {coding}\r\n"), "4\r\nware\r\n0\r\n\r\n").await;
            assert_eq!(raw::status(&said), 400, "{coding}: {said}");
        }
    }
    "RFC 9112, 7.1: a chunk whose size is no number ends the request, and what came is no blob" => |it| {
        for chunk in ["x\r\nware\r\n0\r\n\r\n", "-4\r\nware\r\n0\r\n\r\n", "4\r\nwares\r\n0\r\n\r\n", "ffffffffffffffffff\r\nware\r\n0\r\n\r\n"] {
            let said = upload(it, "Transfer-Encoding: chunked\r\n", chunk).await;
            assert_eq!(raw::status(&said), 400, "{chunk:?}: {said}");
        }
        it.head(&format!("blobs/{}", digest::of(b"ware"))).await.expect_status(404);
    }
    "RFC 9112, 6.3: what follows the body is not part of it" => |it| {
        let said = upload(it, "Content-Length: 4\r\nConnection: close\r\n", "ware and more").await;
        assert_eq!(raw::status(&said), 201, "{said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    }
    "RFC 9112, 3.2: a request without Host, or with two, is answered and harms nobody" => |it| {
        let said = talk(it, "GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!((400..500).contains(&raw::status(&said)), "{said}");
        it.blob("ware").await;
    }
    "RFC 9112, 5.2: a header that is folded, or has a space before its colon, is refused" => |it| {
        for header in ["Content-Length : 4\r\n", "X-Folded: a\r\n b\r\nContent-Length: 4\r\n"] {
            let said = upload(it, header, "ware").await;
            assert_eq!(raw::status(&said), 400, "{header:?}: {said}");
        }
    }
}

/// `Host`, and the administrator's credentials.
fn headers(it: &Repository) -> String {
    let login =
        base64::engine::general_purpose::STANDARD.encode(format!("{ADMIN}:{ADMIN_PASSWORD}"));
    format!("Host: {}\r\nAuthorization: Basic {login}\r\n", it.host)
}

/// What the server says to these bytes until it closes.
async fn talk(it: &Repository, bytes: &str) -> String {
    let mut connection = Connection::open(&it.host).await;
    connection.send(bytes.as_bytes()).await;
    connection
        .all_until_closed(SOON)
        .await
        .expect("the server answers and closes")
}

/// What the server says to the upload of the blob `ware` in one request with these headers and this body.
async fn upload(it: &Repository, more_headers: &str, body: &str) -> String {
    let path = format!(
        "/v2/{}/blobs/uploads/?digest={}",
        it.name,
        digest::of(b"ware")
    );
    talk(
        it,
        &format!(
            "POST {path} HTTP/1.1\r\n{}{more_headers}\r\n{body}",
            headers(it)
        ),
    )
    .await
}
