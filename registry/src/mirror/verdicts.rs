//! What the main server has said of tokens: asked again and again while they are shown, so that a right that is taken back there ends
//! here, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::scope::Scope;

/// A verdict older than this is asked for anew: whoever loses a right at the main server pulls here for no longer than this and the time
/// of one question.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(30);
/// While the main server is down it is asked no more often than this, so that nobody waits for it at each pull.
const DOWN_FOR: Duration = Duration::from_secs(5);
/// More tokens than this in use at once are asked about more often.
const MOST: usize = 10_000;

/// What is known of tokens.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tokens: HashMap<[u8; 32], Verdict>,
    down_since: Option<Instant>,
}

/// What the main server has said of a token.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// What it is good for; none: it does not count any more.
    pub(super) scope: Option<Scope>,
    at: Instant,
}

impl Verdicts {
    /// What was said of the token, and whether that is fresh.
    pub(super) fn of(&self, token: &[u8; 32]) -> Option<(Verdict, bool)> {
        let known = self.lock();
        let verdict = known.tokens.get(token)?.clone();
        let is_fresh = verdict.at.elapsed() < GOOD_FOR;
        Some((verdict, is_fresh))
    }

    /// The main server says this of the token.
    pub(super) fn note(&self, token: [u8; 32], scope: Option<Scope>) {
        let mut known = self.lock();
        known.down_since = None;
        if known.tokens.len() >= MOST {
            known
                .tokens
                .retain(|_, verdict| verdict.at.elapsed() < GOOD_FOR);
        }
        if known.tokens.len() >= MOST {
            known.tokens.clear();
        }
        let at = Instant::now();
        known.tokens.insert(token, Verdict { scope, at });
    }

    /// The main server does not answer.
    pub(super) fn note_down(&self) {
        self.lock().down_since = Some(Instant::now());
    }

    /// It did not answer a moment ago, and is not asked again yet.
    pub(super) fn is_down(&self) -> bool {
        let down_since = self.lock().down_since;
        down_since.is_some_and(|since| since.elapsed() < DOWN_FOR)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
