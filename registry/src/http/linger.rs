//! How a connection is closed on which a client may still be sending.
//!
//! A request can be refused before its body has come. Closing then, with bytes unread, resets the connection, and the
//! reset can overtake the refusal: the client would print "connection reset" in place of why. So what still comes is
//! read and thrown away for a while first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// How long a client has to notice its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream lent to somebody who will drop it without a word; it comes back then.
pub(super) struct Lent {
    /// What was read from it before it was lent, to be read first.
    read: Bytes,
    stream: Option<TcpStream>,
    back: Option<oneshot::Sender<TcpStream>>,
}

impl Lent {
    /// The stream, of which this much was read already, and where it comes back.
    pub(super) fn new(stream: TcpStream, read: Vec<u8>) -> (Self, oneshot::Receiver<TcpStream>) {
        let (back, returned) = oneshot::channel();
        let lent = Self {
            read: read.into(),
            stream: Some(stream),
            back: Some(back),
        };
        (lent, returned)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("taken in `drop` only"))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it: then it is closed here.
            let _ = back.send(stream);
        }
    }
}

/// Closes the stream once the client has closed its side, or after a while.
pub(super) async fn close(mut stream: TcpStream) {
    let mut thrown_away = vec![0; 64 * 1024];
    let until_closed = async {
        stream.shutdown().await?;
        while stream.read(&mut thrown_away).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever goes wrong with it, it is closed afterwards.
    let _ = tokio::time::timeout(PATIENCE, until_closed).await;
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let fits = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read.split_to(fits));
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
