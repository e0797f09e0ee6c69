//! Whether a connection gets anywhere: what ends those that neither ask nor read.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::config::Limits;

/// How often a connection is looked at, unless its limits are shorter.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// How long a connection may be without a request while few places are left. A head comes in one packet, and every client
/// opens a new connection when it finds its old one closed.
const IDLE_WHEN_PLACES_ARE_SHORT: Duration = Duration::from_secs(5);

/// What goes on on one connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Mutex<Exchanges>>);

#[derive(Debug)]
struct Exchanges {
    /// Each request that has not been answered to its end, with the time since when its client is to read.
    open: HashMap<u64, Option<Instant>>,
    /// Since when there has been none.
    idle_since: Instant,
    /// When a client last took a piece of an answer, or asked for one.
    moved_at: Instant,
    next: u64,
}

/// What a look at a connection finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is used.
    Moving,
    /// No request for too long.
    Idle,
    /// An answer that the client does not read.
    NotRead,
}

impl Pulse {
    /// The pulse of a connection that has just been opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Exchanges {
            open: HashMap::new(),
            idle_since: Instant::now(),
            moved_at: Instant::now(),
            next: 0,
        })))
    }

    /// A request has come; it is open until what this returns is dropped.
    pub(super) fn begin(&self) -> Exchange {
        let mut exchanges = self.exchanges();
        let number = exchanges.next;
        exchanges.next += 1;
        exchanges.open.insert(number, None);
        Exchange {
            pulse: self.clone(),
            number,
        }
    }

    /// How often to look at it.
    pub(super) fn look_every(limits: &Limits) -> Duration {
        let shortest = limits.header_time.min(limits.answer_idle);
        (shortest / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }

    /// What a look finds now.
    pub(super) fn look(&self, limits: &Limits, places_are_short: bool) -> Finding {
        let exchanges = self.exchanges();
        if exchanges.open.is_empty() {
            let idle_for = if places_are_short {
                limits.header_time.min(IDLE_WHEN_PLACES_ARE_SHORT)
            } else {
                limits.header_time
            };
            return if exchanges.idle_since.elapsed() >= idle_for {
                Finding::Idle
            } else {
                Finding::Moving
            };
        }
        // Streams of one connection share its line: while one moves, the others only wait for their turn.
        if exchanges.moved_at.elapsed() < limits.answer_idle {
            return Finding::Moving;
        }
        let unread = |since: &Instant| since.elapsed() >= limits.answer_idle;
        if exchanges.open.values().flatten().any(unread) {
            Finding::NotRead
        } else {
            Finding::Moving
        }
    }

    fn exchanges(&self) -> MutexGuard<'_, Exchanges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    pulse: Pulse,
    number: u64,
}

impl Exchange {
    /// The answer, which ends the exchange once it has been sent or given up.
    pub(super) fn answered_by(self, response: Response) -> Response {
        response.map(|body| {
            Body::new(Watched {
                body,
                exchange: self,
            })
        })
    }

    fn client_is_to_read(&self, since: Option<Instant>) {
        let mut exchanges = self.pulse.exchanges();
        exchanges.moved_at = Instant::now();
        exchanges.open.insert(self.number, since);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut exchanges = self.pulse.exchanges();
        exchanges.open.remove(&self.number);
        exchanges.idle_since = Instant::now();
    }
}

/// An answer's body that notes who waits for whom: asked for more, the client has read what came before.
struct Watched {
    body: Body,
    exchange: Exchange,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let since = matches!(polled, Poll::Ready(Some(Ok(_)))).then(Instant::now);
        self.exchange.client_is_to_read(since);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt};
    use http_body_util::BodyExt;

    use super::*;

    const AGES: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_after_its_time() {
        let (pulse, limits) = (Pulse::new(), Limits::default());
        let exchange = pulse.begin();

        tokio::time::advance(AGES).await;
        assert_eq!(
            pulse.look(&limits, false),
            Finding::Moving,
            "it is being answered"
        );
        drop(exchange);
        assert_eq!(
            pulse.look(&limits, false),
            Finding::Moving,
            "it has just ended"
        );
        tokio::time::advance(limits.header_time).await;
        assert_eq!(pulse.look(&limits, false), Finding::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_sooner_when_places_are_short() {
        let (pulse, limits) = (Pulse::new(), Limits::default());

        tokio::time::advance(IDLE_WHEN_PLACES_ARE_SHORT).await;

        assert_eq!(pulse.look(&limits, false), Finding::Moving);
        assert_eq!(pulse.look(&limits, true), Finding::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_for_its_turn_behind_another_is_not_unread() {
        let (pulse, limits) = (Pulse::new(), Limits::default());
        let piece = || stream::repeat_with(|| Ok::<_, std::io::Error>("piece"));
        let answer = || Response::new(Body::from_stream(piece()));
        let mut waits = pulse.begin().answered_by(answer()).into_body();
        let mut moves = pulse.begin().answered_by(answer()).into_body();
        waits.frame().await.unwrap().unwrap();

        for _ in 0..4 {
            tokio::time::advance(limits.answer_idle / 2).await;
            moves.frame().await.unwrap().unwrap();
            assert_eq!(pulse.look(&limits, false), Finding::Moving);
        }

        tokio::time::advance(limits.answer_idle).await;
        assert_eq!(pulse.look(&limits, false), Finding::NotRead);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_is_found_and_one_that_waits_for_us_is_not() {
        let (pulse, limits) = (Pulse::new(), Limits::default());
        let one_piece = stream::iter([Ok::<_, std::io::Error>("piece")]).chain(stream::pending());
        let answer = Response::new(Body::from_stream(one_piece));
        let mut body = pulse.begin().answered_by(answer).into_body();

        body.frame().await.unwrap().unwrap();
        assert_eq!(pulse.look(&limits, false), Finding::Moving);
        tokio::time::advance(limits.answer_idle).await;
        assert_eq!(pulse.look(&limits, false), Finding::NotRead);
        let more = tokio::time::timeout(Duration::from_millis(1), body.frame()).await;
        assert!(more.is_err(), "nothing more comes");
        tokio::time::advance(AGES).await;
        assert_eq!(
            pulse.look(&limits, false),
            Finding::Moving,
            "the client asked for more, and it is us who have nothing"
        );
    }
}
