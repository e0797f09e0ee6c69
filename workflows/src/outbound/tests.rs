//! Against a listener of one's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Answers each connection's request with the next of these texts, the last one again and again.
struct Listener {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Listener {
    async fn answering(answers: &[String]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answers) = (Arc::clone(&asked), answers.to_vec());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            loop {
                let (mut connection, _) = socket.accept().await.unwrap();
                let _ = connection.read(&mut [0; 4096]).await;
                let n = count.fetch_add(1, Ordering::SeqCst);
                let answer = answers.get(n).or(answers.last()).unwrap();
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            address,
            asked,
            _serving: serving,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn redirect(status: u16, to: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

fn fine() -> String {
    "HTTP/1.1 200 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
}

fn url(text: &str) -> OutboundUrl {
    OutboundUrl::parse(text).unwrap()
}

/// What a POST comes to: the status, or why there is none.
async fn post(outbound: &Outbound, url: &OutboundUrl) -> Result<u16, String> {
    let request = outbound.request(Method::POST, url, "");
    let sent = request.map_err(|refused| refused.to_string())?.send().await;
    Ok(sent.map_err(innermost)?.status().as_u16())
}

#[tokio::test]
async fn an_address_that_may_be_called_is() {
    let listener = Listener::answering(&[fine()]).await;
    let outbound = Outbound::new(Targets::PublicAndPrivate).unwrap();

    let answer = post(&outbound, &url(&format!("http://{}", listener.address))).await;

    assert_eq!(answer, Ok(200));
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_leads_to_when_it_is_called() {
    let listener = Listener::answering(&[fine()]).await;
    let outbound = Outbound::new(Targets::Public).unwrap();
    let name = url(&format!("http://localhost:{}", listener.address.port()));

    outbound.judge(&name).unwrap();
    let refused = post(&outbound, &name).await.unwrap_err();

    assert!(refused.starts_with("`localhost` leads to "), "{refused}");
    assert!(refused.contains("a loopback address"), "{refused}");
    assert_eq!(listener.asked(), 0);
}

#[tokio::test]
async fn an_address_in_a_url_is_refused_when_it_is_saved_and_when_it_is_called() {
    let outbound = Outbound::new(Targets::Public).unwrap();
    for text in [
        "http://127.0.0.1:1/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.7]/",
        "http://169.254.169.254/latest",
    ] {
        assert!(outbound.judge(&url(text)).is_err(), "{text}");
        assert!(post(&outbound, &url(text)).await.is_err(), "{text}");
    }
    let allowing = Outbound::new(Targets::PublicAndPrivate).unwrap();
    assert!(allowing.judge(&url("http://10.0.0.7/")).is_ok());
    assert!(allowing.judge(&url("http://169.254.169.254/")).is_err());
}

#[tokio::test]
async fn a_redirect_that_keeps_host_and_method_is_followed_and_no_other() {
    let elsewhere = Listener::answering(&[fine()]).await;
    let away = redirect(307, &format!("http://{}/", elsewhere.address));
    let listener =
        Listener::answering(&[redirect(308, "/b"), fine(), redirect(302, "/c"), away]).await;
    let outbound = Outbound::new(Targets::PublicAndPrivate).unwrap();
    let target = url(&format!("http://{}/a", listener.address));

    assert_eq!(post(&outbound, &target).await, Ok(200));
    assert_eq!(
        post(&outbound, &target).await,
        Ok(302),
        "a GET would follow"
    );
    let refused = post(&outbound, &target).await.unwrap_err();

    assert!(refused.contains("redirects to another host"), "{refused}");
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_server_that_redirects_in_circles_is_left() {
    let listener = Listener::answering(&[redirect(307, "/a")]).await;
    let outbound = Outbound::new(Targets::PublicAndPrivate).unwrap();

    let target = url(&format!("http://{}/a", listener.address));
    let refused = post(&outbound, &target).await.unwrap_err();

    assert!(refused.contains("more than 5 times"), "{refused}");
}
