//! A receiver of webhooks: takes what it is sent, remembers it, and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wait::{self, SOON};

/// How a receiver that has no wishes answers.
const TAKEN: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its headers, the names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

impl Received {
    fn of(request: &[u8]) -> Self {
        let text = String::from_utf8_lossy(request);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        Self {
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// A header; empty if it has none of that name.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The event in it.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// The type of that event.
    pub fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// True if it is signed with this secret, as Standard Webhooks has it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = secret.strip_prefix("whsec_").map_or_else(
            || secret.as_bytes().to_vec(),
            |encoded| BASE64_STANDARD.decode(encoded).expect("base64"),
        );
        let (id, at) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = format!("{id}.{at}.{}", self.body);
        let Some(tag) = self.header("webhook-signature").strip_prefix("v1,") else {
            return false;
        };
        let tag = BASE64_STANDARD.decode(tag).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    }
}

/// A listening receiver; it ends when this is dropped.
pub struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<String>>,
    _listening: JoinSet<()>,
}

impl Receiver {
    /// A receiver on a port of its own.
    pub async fn start() -> Self {
        Self::on(0).await
    }

    /// A receiver on this port.
    pub async fn on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(TAKEN.to_owned()));
        let mut listening = JoinSet::new();
        let (into, with) = (Arc::clone(&taken), Arc::clone(&answer));
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&into), Arc::clone(&with)));
            }
        });
        Self {
            port,
            taken,
            answer,
            _listening: listening,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The port where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it answers with this status line, these headers and this body.
    pub fn answers(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().expect("no test panics here") = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
    }

    /// All that came so far.
    pub fn taken(&self) -> Vec<Received> {
        self.taken.lock().expect("no test panics here").clone()
    }

    /// The types of the events that came so far, in alphabetical order.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.taken().iter().map(Received::kind).collect();
        kinds.sort();
        kinds
    }

    /// Waits for an event of this type.
    pub async fn until(&self, kind: &str) -> Received {
        wait::until(&format!("{kind} arrives"), SOON, async || {
            self.taken().into_iter().find(|taken| taken.kind() == kind)
        })
        .await
    }
}

async fn serve(
    mut stream: TcpStream,
    taken: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<String>>,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    let received = Received::of(&request);
    taken.lock().expect("no test panics here").push(received);
    let answer = answer.lock().expect("no test panics here").clone();
    // A sender that was killed does not wait for it.
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// True once a request has come with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = Received::of(head.as_bytes());
    body.len() >= length.header("content-length").parse().unwrap_or(0)
}
