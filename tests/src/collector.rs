//! A collector of traces that takes everything and remembers it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A listening collector; it ends when this is dropped.
pub struct Collector {
    address: String,
    taken: Arc<Mutex<Vec<u8>>>,
    _listening: JoinSet<()>,
}

impl Collector {
    /// A collector on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut listening = JoinSet::new();
        let into = Arc::clone(&taken);
        listening.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) && matches!(stream.read_buf(&mut request).await, Ok(1..))
                {
                }
                into.lock()
                    .expect("no test panics here")
                    .extend_from_slice(&request);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                // A sender that does not wait for it has sent all the same.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            address,
            taken,
            _listening: listening,
        }
    }

    /// What a server is told to send to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// True if what came so far holds these words.
    pub fn holds(&self, words: &str) -> bool {
        let taken = self.taken.lock().expect("no test panics here");
        taken
            .windows(words.len())
            .any(|part| part == words.as_bytes())
    }
}

/// True once a request has come with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.trim().parse::<usize>().ok());
    request.len() >= head.len() + 4 + length.unwrap_or(0)
}
