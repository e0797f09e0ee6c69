//! What goes into the audit beside the changes themselves: refusals, not more of them than anybody reads.
//!
//! Nobody may use up the room of the others: each actor at each address has a budget of their own, and refused logins have
//! one apart from missing rights. What was left out is counted, and the count is written.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::clock::Timestamp;
use engine::journal::PlanId;
use storage::catalog::CatalogError;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;
use crate::auth::failed_logins::neighbourhood;

/// The same refusal is written once in this time.
const WINDOW: Duration = Duration::from_mins(1);
/// So many refusals of one kind are written in that time for one actor at one address: what more they try says no more.
const MAX_OF_ONE: usize = 10;
/// So many of one kind are written in that time, whoever causes them: nobody fills the disk by being refused.
const MAX_IN_WINDOW: usize = 60;

/// Something that was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The login of who asked; empty: nobody had logged in.
    pub(crate) actor: String,
    /// What they tried.
    pub(crate) action: Action,
    /// To which thing.
    pub(crate) subject: String,
    /// The task that it was to be done to, if it was about one.
    pub(crate) task: Option<PlanId>,
    /// What makes two refusals the same, where that is less than the subject.
    pub(crate) alike: Option<String>,
    /// Where they asked from.
    pub(crate) from: Option<IpAddr>,
    /// Why it was refused.
    pub(crate) reason: String,
}

/// Which refusals were written in the last minute, and how many were not.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Timestamp,
    written: HashSet<Key>,
    left_out: HashMap<Action, LeftOut>,
}

/// What makes two refusals the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    actor: String,
    action: Action,
    alike: String,
    from: Option<IpAddr>,
}

/// Refusals of one kind that were not written.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    count: u64,
    /// Whose they were; empty: of nobody who had logged in, or of several.
    actor: String,
    /// Where they came from; none: from several addresses.
    from: Option<IpAddr>,
}

impl Refusals {
    /// The entries to write now: this one, unless there are enough like it, and what was left out in a minute that is over.
    fn admit(&self, refusal: Refusal, now: Timestamp) -> Vec<NewEntry> {
        let mut window = self.window();
        let mut entries = window.end_if_over(now);
        if window.admit(&refusal) {
            entries.push(refusal.into());
        } else {
            window.leave_out(&refusal);
        }
        entries
    }

    /// The entries about what was left out, whether or not the minute is over; it begins anew.
    fn left_out(&self, now: Timestamp) -> Vec<NewEntry> {
        self.window().end(now)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn end_if_over(&mut self, now: Timestamp) -> Vec<NewEntry> {
        if now.since(self.since) >= WINDOW {
            self.end(now)
        } else {
            Vec::new()
        }
    }

    fn end(&mut self, now: Timestamp) -> Vec<NewEntry> {
        let ended = std::mem::replace(
            self,
            Self {
                since: now,
                ..Self::default()
            },
        );
        let left_out = ended.left_out.into_iter();
        let entries = left_out.map(|(action, left_out)| left_out.entry(action, ended.since));
        entries.collect()
    }

    fn admit(&mut self, refusal: &Refusal) -> bool {
        let key = Key {
            actor: refusal.actor.clone(),
            action: refusal.action,
            alike: refusal.alike.as_ref().unwrap_or(&refusal.subject).clone(),
            from: refusal.from.map(neighbourhood),
        };
        let of_kind = || self.written.iter().filter(|it| it.action == key.action);
        let of_one = of_kind().filter(|it| it.actor == key.actor && it.from == key.from);
        of_one.count() < MAX_OF_ONE && of_kind().count() < MAX_IN_WINDOW && self.written.insert(key)
    }

    fn leave_out(&mut self, refusal: &Refusal) {
        let left_out = self.left_out.entry(refusal.action).or_insert(LeftOut {
            count: 0,
            actor: refusal.actor.clone(),
            from: refusal.from,
        });
        left_out.count += 1;
        if left_out.actor != refusal.actor {
            left_out.actor = String::new();
        }
        left_out.from = left_out.from.filter(|from| Some(*from) == refusal.from);
    }
}

impl LeftOut {
    fn entry(self, action: Action, since: Timestamp) -> NewEntry {
        NewEntry {
            actor: self.actor,
            action,
            subject: format!("{} further refusals", self.count),
            from: self.from.map(|address| address.to_string()),
            result: Outcome::Refused,
            task: None,
            reason: Some(format!(
                "since {since}; the same again, or too many to write each"
            )),
        }
    }
}

impl From<Refusal> for NewEntry {
    fn from(refusal: Refusal) -> Self {
        Self {
            actor: refusal.actor,
            action: refusal.action,
            subject: refusal.subject,
            from: refusal.from.map(|address| address.to_string()),
            result: Outcome::Refused,
            task: refusal.task,
            reason: Some(refusal.reason),
        }
    }
}

/// Writes into the audit that something was refused, unless that has just been written. A failure is told in the log only:
/// whoever was refused is refused anyhow.
pub(crate) async fn refused(app: &App, refusal: Refusal) {
    let at = app.services.clock.now();
    write(app, app.refusals.admit(refusal, at), at).await;
}

/// Writes every minute how many refusals were left out, and once more when the server stops.
pub(crate) async fn keep_counting(app: Arc<App>, stop: CancellationToken) {
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(WINDOW) => false,
        };
        let at = app.services.clock.now();
        write(&app, app.refusals.left_out(at), at).await;
        if stopping {
            return;
        }
    }
}

async fn write(app: &App, entries: Vec<NewEntry>, at: Timestamp) {
    if entries.is_empty() {
        return;
    }
    let written = app.services.database.transact(move |tx| {
        Box::pin(async move {
            for entry in &entries {
                audit::record(tx, entry, at).await?;
            }
            Ok(())
        })
    });
    if let Err(error) = written.await.map_err(CatalogError::from).flatten() {
        warn!(%error, "a refusal was not written into the audit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn refusal(actor: &str, action: Action, subject: &str) -> Refusal {
        Refusal {
            actor: actor.to_owned(),
            action,
            subject: subject.to_owned(),
            task: None,
            alike: None,
            from: Some(IpAddr::from([192, 0, 2, 1])),
            reason: "you may not".to_owned(),
        }
    }

    fn asked(refusals: &Refusals, actor: &str, subject: &str, now: Timestamp) -> Vec<String> {
        let entries = refusals.admit(refusal(actor, Action::Ask, subject), now);
        entries.into_iter().map(|entry| entry.subject).collect()
    }

    #[test]
    fn the_same_refusal_is_written_once_a_minute_and_then_how_often_there_was_more_of_it() {
        let refusals = Refusals::default();

        assert_eq!(
            asked(&refusals, "bob", "POST /users", START),
            ["POST /users"]
        );
        assert!(asked(&refusals, "bob", "POST /users", START).is_empty());
        assert_eq!(
            asked(&refusals, "bob", "POST /roles", START),
            ["POST /roles"]
        );
        assert_eq!(
            asked(&refusals, "bob", "POST /users", START + WINDOW),
            ["1 further refusals", "POST /users"]
        );
    }

    #[test]
    fn what_is_alike_is_the_same_whatever_its_subject() {
        let refusals = Refusals::default();
        let of = |path: &str| Refusal {
            alike: Some("GET /settings/{name}".to_owned()),
            ..refusal("bob", Action::Ask, path)
        };

        let written = (0..100).map(|n| refusals.admit(of(&format!("GET /settings/x{n}")), START));

        assert_eq!(written.flatten().count(), 1);
    }

    #[test]
    fn who_is_refused_without_end_takes_no_room_from_others_and_none_from_logins() {
        let refusals = Refusals::default();

        let flood = (0..1000).flat_map(|n| asked(&refusals, "bob", &n.to_string(), START));

        assert_eq!(flood.count(), MAX_OF_ONE);
        assert_eq!(
            asked(&refusals, "ann", "POST /users", START),
            ["POST /users"]
        );
        let login = refusals.admit(refusal("", Action::LogIn, "user admin"), START);
        assert_eq!(login.len(), 1);
    }

    #[test]
    fn a_flood_from_everywhere_writes_sixty_entries_a_minute_and_one_about_the_rest() {
        let refusals = Refusals::default();
        let from_everywhere = |n: u32| Refusal {
            from: Some(IpAddr::from(n.to_be_bytes())),
            ..refusal("", Action::LogIn, "user admin")
        };

        let written = (0..1000).flat_map(|n| refusals.admit(from_everywhere(n), START));
        assert_eq!(written.count(), MAX_IN_WINDOW);

        let rest = refusals.left_out(START + WINDOW);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].subject, "940 further refusals");
        assert_eq!(rest[0].from, None);
        assert!(refusals.left_out(START + WINDOW).is_empty());
    }
}
