//! What a client's first bytes say: which protocol it speaks.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// The first byte of every TLS hello: a record of type "handshake". No HTTP method starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client sends first that knows beforehand that it may speak HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP, as far as it decides who reads the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// True if the client begins with a TLS hello; nothing is taken from the stream. An error if it closes without a word.
pub(super) async fn is_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == TLS_HANDSHAKE),
    }
}

/// The version of a plain connection, and the bytes that had to be read to know it.
pub(super) async fn version(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<(Version, Vec<u8>)> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let missing = (PREFACE.len() - read.len()) as u64;
        if (&mut *stream).take(missing).read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let version = if read == PREFACE {
        Version::Http2
    } else {
        Version::Http1
    };
    Ok((version, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_preface_of_http_2_is_told_from_every_method_that_begins_like_it() {
        for (said, expected, taken) in [
            (PREFACE, Version::Http2, PREFACE.len()),
            (b"PRI * HTTP/1.1\r\n\r\nxxxxxx", Version::Http1, 24),
            (b"PUT / HTTP/1.1\r\n\r\n", Version::Http1, 18),
            (b"G", Version::Http1, 1),
        ] {
            let (version, read) = version(&mut &*said).await.unwrap();

            assert_eq!(version, expected);
            assert_eq!(read, said[..taken]);
        }
    }

    #[tokio::test]
    async fn a_client_that_closes_in_the_middle_of_the_preface_speaks_nothing() {
        assert!(version(&mut &b"PRI * HT"[..]).await.is_err());
    }
}
