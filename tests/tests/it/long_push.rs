//! Pushes that take longer than the token they began with, or than the server that they began on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::json;
use tests::answer::Answer;
use tests::noise::Long;
use tests::oci_client::{OciClient, location};
use tests::server::Server;
use tests::turn;
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/freight/slow";
const MIB: u64 = 1 << 20;
const PASSWORD: &str = "a-slow-boat-to-somewhere-5";
/// So short that no upload below ends within it.
const LIFETIME: Duration = Duration::from_secs(2);

/// A user who may push wherever he likes, with a token for the repository that lives for [`LIFETIME`].
struct Pusher {
    oci: OciClient,
    token: String,
    expired: Instant,
}

impl Pusher {
    async fn of(server: &Server) -> Self {
        let rest = server.rest();
        let user = json!({ "login": "pat", "password": PASSWORD });
        rest.post("/users", &user).await.expect_status(201);
        let grant = json!({ "user": "pat", "role": "publisher" });
        rest.post("/grants", &grant).await.expect_status(201);
        let oci = OciClient::with_login(&server.host(), "pat", PASSWORD);
        let token = oci.token(&[&format!("repository:{NAME}:pull,push")]).await;
        // The registry allows clocks five seconds of difference.
        let expired = Instant::now() + LIFETIME + Duration::from_secs(6);
        Self {
            oci,
            token,
            expired,
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = self.oci.request(method, path).bearer_auth(&self.token);
        self.oci.send(request.body(body)).await
    }

    async fn open_upload(&self) -> String {
        let path = format!("/v2/{NAME}/blobs/uploads/");
        location(&self.send(Method::POST, &path, "").await.expect_status(202))
    }

    /// True once the token is of no use for anything new.
    async fn has_no_token_any_more(&self) -> bool {
        let path = format!("/v2/{NAME}/blobs/uploads/");
        self.send(Method::POST, &path, "").await.status == 401
    }

    async fn finish(&self, location: &str, digest: &str) -> Answer {
        self.send(Method::PUT, &format!("{location}?digest={digest}"), "")
            .await
    }
}

/// The bytes as a client sends them that has to wait for something first.
fn not_before(
    until: Instant,
    long: &Long,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
    let wait = stream::once(tokio::time::sleep_until(until.into()));
    let nothing = wait.filter_map(|()| std::future::ready(None));
    nothing.chain(long.stream())
}

async fn server_with_short_tokens() -> Server {
    let lifetime = format!("--token-lifetime={}s", LIFETIME.as_secs());
    Server::start_with(&[&lifetime]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_during_an_upload_of_two_gib_does_not_fail_the_push() {
    let _turn = turn::heavy().await;
    let server = server_with_short_tokens().await;
    let layer = Long::new(21, 2048 * MIB);
    let digest = layer.digest();
    let pusher = Pusher::of(&server).await;
    let upload = pusher.open_upload().await;

    // In one request that takes longer than the token lives, and others after it.
    let body = Body::wrap_stream(not_before(pusher.expired, &layer));
    let patched = pusher.send(Method::PATCH, &upload, body).await;
    let upload = location(&patched.expect_status(202));
    assert!(
        pusher.has_no_token_any_more().await,
        "the token has not expired"
    );
    let state = pusher.send(Method::GET, &upload, "").await;
    let state = state.expect_status(204);
    let finished = pusher.finish(&upload, &digest).await;

    assert_eq!(state.header("range"), format!("0-{}", layer.size() - 1));
    finished.expect_status(201);
    let expected = (digest.clone(), layer.size());
    assert_eq!(server.oci().pull_blob(NAME, &digest).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_disabled_during_an_upload_is_refused_with_the_reason_and_no_blob_is_made() {
    let server = server_with_short_tokens().await;
    let layer = Long::new(22, 8 * MIB);
    let digest = layer.digest();
    let pusher = Pusher::of(&server).await;
    let upload = pusher.open_upload().await;
    let body = Body::wrap_stream(layer.stream());
    let patched = pusher.send(Method::PATCH, &upload, body).await;
    let upload = location(&patched.expect_status(202));

    let disabled = json!({ "enabled": false });
    let disabled = server.rest().patch("/users/pat", &disabled).await;
    disabled.expect_status(200);
    let next = pusher.send(Method::PATCH, &upload, "more").await;
    let finished = pusher.finish(&upload, &digest).await;

    for refused in [next, finished] {
        let refused = refused.expect_refusal(401, "UNAUTHORIZED");
        let text = refused.text();
        assert!(text.contains("may no longer log in"), "{text}");
    }
    let oci = server.oci();
    let head = oci.of(Method::HEAD, NAME, &format!("blobs/{digest}")).await;
    oci.send(head).await.expect_status(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_right_is_taken_during_an_upload_is_denied_by_its_name() {
    let server = server_with_short_tokens().await;
    let pusher = Pusher::of(&server).await;
    let upload = pusher.open_upload().await;
    let patched = pusher.send(Method::PATCH, &upload, "some").await;
    let upload = location(&patched.expect_status(202));

    let rest = server.rest();
    let grants = rest.get("/grants").await.expect_status(200).json();
    let grants = grants["results"].as_array().cloned().unwrap_or_default();
    let of_pat = grants.iter().find(|grant| grant["user"] == "pat");
    let id = &of_pat.expect("he has one")["id"];
    let taken = rest.delete(&format!("/grants/{id}")).await;
    taken.expect_status(204);
    let next = pusher.send(Method::PATCH, &upload, "more").await;

    let text = next.expect_refusal(403, "DENIED").text();
    assert!(text.contains("lacks the permission `push`"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_a_kill_from_the_offset_that_the_session_reports() {
    let _turn = turn::heavy().await;
    let mut server = Server::start().await;
    let layer = Long::new(23, 512 * MIB);
    let digest = layer.digest();
    let oci = server.oci();
    let upload = oci.open_upload(NAME).await;
    // A client that breaks off leaves what it has sent; the last of it is lost with its connection.
    let half = layer.chunks().take(200).map(Ok::<_, std::io::Error>);
    let broken = stream::iter(half).chain(stream::iter([Err(std::io::Error::other("gone"))]));
    let patch = oci.at(Method::PATCH, NAME, &upload).await;
    let patch = patch.body(Body::wrap_stream(broken));
    assert!(oci.try_send(patch).await.is_err(), "it broke off");
    let kept = wait::until("what came is recorded", SOON, async || {
        let offset = offset(&oci, &upload).await;
        (offset > 0).then_some(offset)
    })
    .await;
    // The next one is in the middle of its body when the server is killed.
    let patch = oci.at(Method::PATCH, NAME, &upload).await;
    let rest = rest_of(&layer, kept).chain(stream::pending());
    let patch = oci.try_send(patch.body(Body::wrap_stream(rest)));
    let content = server.data_dir().join("content");
    let killed = async {
        wait::until("more of it lies on the disk", SOON, async || {
            (bytes_in(&content) > kept + 64 * MIB).then_some(())
        })
        .await;
        server.kill().await;
    };
    let (cut, ()) = tokio::join!(patch, killed);
    assert!(cut.is_err(), "the server was killed");

    server.restart().await;
    let oci = server.oci();
    let reported = offset(&oci, &upload).await;
    let rest = Body::wrap_stream(rest_of(&layer, reported));
    let patch = oci.at(Method::PATCH, NAME, &upload).await;
    let range = format!("{reported}-{}", layer.size() - 1);
    let patch = patch
        .header("content-range", range)
        .header("content-length", layer.size() - reported);
    let patched = oci.send(patch.body(rest)).await.expect_status(202);
    let put = oci.at(Method::PUT, NAME, &location(&patched)).await;
    let put = oci.send(put.query(&[("digest", &digest)])).await;

    put.expect_status(201);
    assert!(reported >= kept, "{reported} of {kept}");
    let expected = (digest.clone(), layer.size());
    assert_eq!(oci.pull_blob(NAME, &digest).await, expected);
}

/// How many bytes the session says it has.
async fn offset(oci: &OciClient, upload: &str) -> u64 {
    let status = oci.at(Method::GET, NAME, upload).await;
    let status = oci.send(status).await.expect_status(204);
    let (_, last) = status
        .header("range")
        .split_once('-')
        .expect("a range of bytes");
    match last.parse::<u64>().expect("a number") {
        0 => 0,
        last => last + 1,
    }
}

/// What follows after so many bytes.
fn rest_of(
    layer: &Long,
    from: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let chunks = layer.chunks().scan(0, move |at, chunk| {
        let begins = *at;
        *at += chunk.len() as u64;
        let skipped = from.saturating_sub(begins).min(chunk.len() as u64);
        let skipped = usize::try_from(skipped).expect("at most a chunk");
        Some(Ok(chunk.slice(skipped..)))
    });
    stream::iter(chunks)
}

/// How many bytes the files below a folder have.
fn bytes_in(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
