//! The body of a request, read with a limit on how long it may stand still.

use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::error::OciError;

/// A body that has not been read yet.
#[derive(Debug)]
pub(super) struct Body {
    bytes: axum::body::Body,
    length: Option<u64>,
    idle: Duration,
}

/// Why a body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// Nothing came for too long.
    #[error("no bytes came for {} s", idle.as_secs())]
    Idle {
        /// How long that was.
        idle: Duration,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the body broke off before its end")]
    Broken,
}

impl From<BodyError> for OciError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Idle { idle } => Self::BodyIdle {
                seconds: idle.as_secs(),
            },
            BodyError::Broken => Self::BodyBroken,
        }
    }
}

impl Body {
    /// The body of a request with these headers; it breaks off once nothing has come for `idle`.
    pub(super) fn new(body: axum::body::Body, headers: &HeaderMap, idle: Duration) -> Self {
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            bytes: body,
            length,
            idle,
        }
    }

    /// How long it says it is.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// True if nothing comes.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_end_stream()
    }

    /// Its bytes as they come; nothing after an error.
    pub(super) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
        let idle = self.idle;
        stream::unfold(
            Some(self.bytes.into_data_stream()),
            move |state| async move {
                let mut body = state?;
                match tokio::time::timeout(idle, body.next()).await {
                    Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
                    Ok(Some(Err(_))) => Some((Err(BodyError::Broken), None)),
                    Ok(None) => None,
                    Err(_) => Some((Err(BodyError::Idle { idle }), None)),
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_mins(1);

    fn body(stream: impl Stream<Item = std::io::Result<&'static str>> + Send + 'static) -> Body {
        Body::new(
            axum::body::Body::from_stream(stream),
            &HeaderMap::new(),
            IDLE,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_ends_with_an_error_after_what_came() {
        let stuck = body(stream::iter([Ok("abc")]).chain(stream::pending()));

        let read: Vec<_> = stuck.into_stream().collect().await;

        assert_eq!(
            read,
            [
                Ok(Bytes::from_static(b"abc")),
                Err(BodyError::Idle { idle: IDLE })
            ]
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_ends_with_an_error_after_what_came() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = body(stream::iter([Ok("abc"), Err(broken), Ok("never")]));

        let read: Vec<_> = broken.into_stream().collect().await;

        assert_eq!(
            read,
            [Ok(Bytes::from_static(b"abc")), Err(BodyError::Broken)]
        );
    }
}
