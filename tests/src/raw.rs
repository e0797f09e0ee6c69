//! Bytes to a port as no well-behaved client would send them.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{ADMIN, ADMIN_PASSWORD};

/// An open connection.
pub struct Connection(TcpStream);

impl Connection {
    /// Connects.
    pub async fn open(host: &str) -> Self {
        Self(TcpStream::connect(host).await.expect("the server listens"))
    }

    /// Connects from one of the addresses of loopback; an error if the server closes at once.
    pub async fn open_from(source: Ipv4Addr, host: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let host = host.parse().expect("an address with a port");
        socket.connect(host).await.map(Self)
    }

    /// Sends bytes as they are; false once the server has closed.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Sends bytes as they are; a server that has closed already is no failure, its answer may still come.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// What the server says until these words have come; fails the test when they do not within the limit.
    pub async fn until(&mut self, words: &str, limit: Duration) -> String {
        let mut said = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&said).contains(words) {
                let read = self.0.read_buf(&mut said).await;
                assert!(read.is_ok_and(|read| read > 0), "closed before `{words}`");
            }
        };
        let came = tokio::time::timeout(limit, read).await.is_ok();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(came, "`{words}` did not come, but {said}");
        said
    }

    /// Reads what is there, or waits for something, up to so many bytes.
    pub async fn read_at_most(&mut self, bytes: usize) -> usize {
        let mut piece = vec![0; bytes];
        self.0.read(&mut piece).await.unwrap_or(0)
    }

    /// Everything the server says until it closes; `None` when it does not close within the limit.
    pub async fn all_until_closed(mut self, limit: Duration) -> Option<String> {
        let mut said = Vec::new();
        let read = self.0.read_to_end(&mut said);
        // A reset is a way to close too.
        let _ = tokio::time::timeout(limit, read).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    }
}

/// A request with the administrator's Basic credentials and its path exactly as given; the connection is to
/// be closed after the answer.
pub fn request(method: &str, host: &str, path: &str, body: &str) -> String {
    let login =
        base64::engine::general_purpose::STANDARD.encode(format!("{ADMIN}:{ADMIN_PASSWORD}"));
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {login}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The status in an answer's first line, 0 when there is none.
pub fn status(answer: &str) -> u16 {
    let word = answer.split_whitespace().nth(1).unwrap_or_default();
    word.parse().unwrap_or_default()
}
