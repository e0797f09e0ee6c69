//! A listener, spoken to by hand.

use axum::body::Body;
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;

/// A listener with `router` behind it, on a port of its own.
struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinSet<()>,
}

impl Server {
    async fn start(router: Router, limits: Limits) -> Self {
        Self::start_on("127.0.0.1:0", router, limits).await
    }

    async fn start_on(address: &str, router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        let manners = Manners {
            limits,
            grace: Duration::from_secs(10),
            proxies: TrustedProxies::default(),
            certificates: None,
        };
        task.spawn(serve(listener, router, shutdown.clone(), manners));
        Self {
            address,
            shutdown,
            task,
        }
    }

    async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        self.task.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let server = Server::start(
        Router::new().route("/", get(|| async { "here" })),
        Limits::default(),
    )
    .await;
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    let (first, second) = (server.say(ask).await, server.say(ask).await);

    let id = |answer: &[u8]| {
        let text = String::from_utf8(answer.to_vec()).unwrap();
        let line = text.lines().find(|line| line.starts_with("x-request-id: "));
        line.expect("an X-Request-Id").to_owned()
    };
    assert_ne!(id(&first), id(&second));
    server.stop().await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = Server::start(
        Router::new().route("/", get(|| async { "here" })),
        Limits::default(),
    )
    .await;

    let answer = server.say(b"GET / HTTP/1.0\r\n\r\n").await;

    assert!(answer.starts_with(b"HTTP/1.0 200"));
    assert!(answer.ends_with(b"here"));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_sees_why_it_is_refused() {
    let refuse = |_: axum::body::Body| async { (axum::http::StatusCode::FORBIDDEN, "not you") };
    let server = Server::start(
        Router::new().route("/", axum::routing::put(refuse)),
        Limits::default(),
    )
    .await;
    let length = 64 << 20;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");

    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![0; length]).await.unwrap();

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 403"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_tls_hello_is_told_that_this_is_plain_http_and_closed_at_once() {
    let server = Server::start(Router::new(), Limits::default()).await;
    let hello = [
        0x16, 0x03, 0x01, 0x00, 0xa5, 0x01, 0x00, 0x00, 0xa1, 0x03, 0x03,
    ];

    let answer = server.say(&hello).await;

    assert!(answer.starts_with(b"HTTP/1.0 400 "), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_sends_a_request_is_closed() {
    let limits = Limits {
        header_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::start(Router::new(), limits).await;

    assert_eq!(server.say(b"").await, b"");
    let half_a_head = server.say(b"GET / HT").await;

    assert!(!half_a_head.starts_with(b"HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop_and_a_new_one_is_not_taken() {
    let arrived = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&arrived);
    let wait_for_the_stop = move |axum::Extension(Draining(stop)): axum::Extension<Draining>| {
        tell.notify_one();
        async move {
            stop.cancelled().await;
            "drained"
        }
    };
    let server = Server::start(
        Router::new().route("/", get(wait_for_the_stop)),
        Limits::default(),
    )
    .await;
    let address = server.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    arrived.notified().await;

    server.stop().await;

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"drained"));
    assert!(TcpStream::connect(address).await.is_err());
}

/// A client that speaks HTTP/2 from its first byte on.
fn http_2() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    client.http2_prior_knowledge().build().unwrap()
}

#[tokio::test]
async fn http_2_by_prior_knowledge_is_answered_on_the_plain_port() {
    let host = |headers: axum::http::HeaderMap| async move {
        headers["host"].to_str().unwrap().to_owned()
    };
    let server = Server::start(Router::new().route("/", get(host)), Limits::default()).await;

    let answer = http_2()
        .get(format!("http://{}/", server.address))
        .send()
        .await
        .unwrap();

    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), server.address.to_string());
    server.stop().await;
}

/// Tells when it is dropped.
struct Tells(mpsc::UnboundedSender<()>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A route whose answers never end, and what is told when one is given up.
fn endless() -> (Router, mpsc::UnboundedReceiver<()>) {
    let (tell, given_up) = mpsc::unbounded_channel();
    let answer = move || {
        let tells = Tells(tell.clone());
        let pieces = stream::repeat_with(move || {
            let _held = &tells;
            Ok::<_, std::io::Error>(vec![0; 64 * 1024])
        });
        async move { Body::from_stream(pieces) }
    };
    (Router::new().route("/", get(answer)), given_up)
}

#[tokio::test]
async fn a_client_that_stops_reading_its_answer_loses_its_connection() {
    let (router, mut given_up) = endless();
    let limits = Limits {
        answer_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(router, limits).await;
    let mut unread = TcpStream::connect(server.address).await.unwrap();
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    unread.write_all(ask).await.unwrap();
    let unread_2 = http_2().get(format!("http://{}/", server.address));
    let unread_2 = unread_2.send().await.unwrap();

    given_up.recv().await.unwrap();
    given_up.recv().await.unwrap();

    drop((unread, unread_2));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served_to_its_end() {
    let slow_half_of_a_second = async || {
        let pieces = stream::iter(0..10).then(async |_| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, std::io::Error>("piece")
        });
        Body::from_stream(pieces)
    };
    let limits = Limits {
        answer_idle: Duration::from_millis(20),
        header_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(Router::new().route("/", get(slow_half_of_a_second)), limits).await;

    let answer = server
        .say(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;

    assert!(answer.ends_with(b"0\r\n\r\n"), "it came whole");
    server.stop().await;
}

#[tokio::test]
async fn a_head_larger_than_allowed_is_refused() {
    let limits = Limits {
        header_bytes: 8192,
        ..Limits::default()
    };
    let router = Router::new().route("/", get(|| async { "here" }));
    let server = Server::start(router, limits).await;
    let value = "x".repeat(10_000);

    let answer = server
        .say(format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {value}\r\n\r\n").as_bytes())
        .await;
    let answer_2 = http_2()
        .get(format!("http://{}/", server.address))
        .header("x-long", value)
        .send()
        .await
        .unwrap();

    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
    assert_eq!(answer_2.status(), 431);
    server.stop().await;
}

#[tokio::test]
async fn an_http_2_connection_without_a_request_is_closed() {
    const GOAWAY: u8 = 7;
    let limits = Limits {
        header_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::start(Router::new(), limits).await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    let said = server
        .say(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat())
        .await;
    let half_a_preface = server.say(b"PRI * HTTP/2.0\r\n").await;

    assert!(said.len() > 17, "{said:?}");
    assert!(said.windows(5).any(|frame| frame == [8, GOAWAY, 0, 0, 0]));
    assert_eq!(half_a_preface, b"");
    server.stop().await;
}

#[tokio::test]
async fn an_address_with_as_many_connections_as_it_may_have_gets_no_other() {
    let limits = Limits {
        connections_per_address: 1,
        ..Limits::default()
    };
    let router = Router::new().route("/", get(|| async { "here" }));
    let server = Server::start(router, limits).await;
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(ask).await.unwrap();
    let mut status = [0; 12];
    first.read_exact(&mut status).await.unwrap();

    let mut second = TcpStream::connect(server.address).await.unwrap();
    // Closed with or without a reset: both are nothing.
    let _ = second.write_all(ask).await;
    let mut said = Vec::new();
    let _ = second.read_to_end(&mut said).await;

    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(said, b"");
    drop(first);
    server.stop().await;
}

#[tokio::test]
async fn an_http_2_request_under_way_is_answered_after_the_stop() {
    let (tell, mut arrived) = mpsc::channel(1);
    let wait_for_the_stop = move |axum::Extension(Draining(stop)): axum::Extension<Draining>| {
        let tell = tell.clone();
        async move {
            tell.send(()).await.unwrap();
            stop.cancelled().await;
            "drained"
        }
    };
    let router = Router::new().route("/", get(wait_for_the_stop));
    let server = Server::start(router, Limits::default()).await;
    let ask = http_2().get(format!("http://{}/", server.address)).send();
    let (answer, ()) = tokio::join!(ask, async {
        arrived.recv().await.unwrap();
        server.stop().await;
    });

    assert_eq!(answer.unwrap().text().await.unwrap(), "drained");
}

#[tokio::test]
async fn a_listener_on_every_address_takes_ipv4_and_ipv6_and_knows_each_by_its_own() {
    let who =
        |axum::Extension(Peer(peer)): axum::Extension<Peer>| async move { peer.ip().to_string() };
    let router = Router::new().route("/", get(who));
    let server = Server::start_on("[::]:0", router, Limits::default()).await;
    let port = server.address.port();

    for (host, expected) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let url = format!("http://{host}:{port}/");
        let answer = http_2().get(url).send().await.unwrap();

        assert_eq!(answer.text().await.unwrap(), expected);
    }
    server.stop().await;
}
