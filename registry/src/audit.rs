//! What goes into the audit beside the changes themselves: refusals, not more of them than anybody reads.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::clock::Timestamp;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use tracing::warn;

use crate::app::App;

/// The same refusal is written once in this time.
const WINDOW: Duration = Duration::from_mins(1);
/// So many refusals are written in that time, whoever causes them: nobody fills the disk by being refused.
const MAX_IN_WINDOW: usize = 60;

/// Which refusals were written in the last minute.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Timestamp,
    refusals: HashSet<Key>,
}

/// What makes two refusals the same.
type Key = (String, Action, String, Option<IpAddr>);

impl Refusals {
    /// True if this one is to be written.
    fn admit(&self, key: Key, now: Timestamp) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(written.since) >= WINDOW {
            *written = Written {
                since: now,
                refusals: HashSet::new(),
            };
        }
        written.refusals.len() < MAX_IN_WINDOW && written.refusals.insert(key)
    }
}

/// Writes into the audit that something was refused, unless that has just been written. A failure is told in the log only:
/// whoever was refused is refused anyhow.
pub(crate) async fn refused(
    app: &App,
    actor: &str,
    action: Action,
    subject: String,
    from: Option<IpAddr>,
    reason: String,
) {
    let at = app.services.clock.now();
    let key = (actor.to_owned(), action, subject.clone(), from);
    if !app.refusals.admit(key, at) {
        return;
    }
    let entry = NewEntry {
        actor: actor.to_owned(),
        action,
        subject,
        from: from.map(|address| address.to_string()),
        result: Outcome::Refused,
        task: None,
        reason: Some(reason),
    };
    let written = app
        .services
        .database
        .transact(move |tx| Box::pin(async move { audit::record(tx, &entry, at).await }))
        .await;
    if let Err(error) = written.map_err(CatalogError::from).flatten() {
        warn!(%error, "a refusal was not written into the audit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(subject: &str) -> Key {
        ("bob".to_owned(), Action::Ask, subject.to_owned(), None)
    }

    #[test]
    fn the_same_refusal_is_written_once_a_minute() {
        let refusals = Refusals::default();
        let start = Timestamp(1_700_000_000_000);

        assert!(refusals.admit(key("POST /users"), start));
        assert!(!refusals.admit(key("POST /users"), start));
        assert!(refusals.admit(key("POST /roles"), start));
        assert!(refusals.admit(key("POST /users"), start + WINDOW));
    }

    #[test]
    fn a_flood_of_refusals_writes_sixty_entries_a_minute() {
        let refusals = Refusals::default();
        let start = Timestamp(1_700_000_000_000);

        let written = (0..1000).filter(|n| refusals.admit(key(&n.to_string()), start));

        assert_eq!(written.count(), MAX_IN_WINDOW);
    }
}
