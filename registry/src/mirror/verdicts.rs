//! What the main server has said of tokens: asked again and again while they are shown, so that a right that is taken back there ends
//! here, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::scope::Scope;

/// A verdict older than this is asked for anew: whoever loses a right at the main server pulls here for no longer than this and the time
/// of one question.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(30);
/// Nobody waits at each pull for a main server that is down.
const DOWN_FOR: Duration = Duration::from_secs(5);
/// Nor is one that answers asked at each pull. For so long a main server that was just lost is taken to be there, and who logs in is
/// told that it is not.
const UP_FOR: Duration = Duration::from_secs(1);
/// More tokens than this in use at once are asked about more often.
const MOST: usize = 10_000;

/// What is known of tokens.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tokens: HashMap<[u8; 32], Verdict>,
    down_since: Option<Instant>,
    up_since: Option<Instant>,
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
        (known.down_since, known.up_since) = (None, Some(Instant::now()));
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
        let mut known = self.lock();
        (known.down_since, known.up_since) = (Some(Instant::now()), None);
    }

    /// The main server answers.
    pub(super) fn note_up(&self) {
        let mut known = self.lock();
        (known.down_since, known.up_since) = (None, Some(Instant::now()));
    }

    /// Whether it answered a moment ago; none: that is not known.
    pub(super) fn answers(&self) -> Option<bool> {
        let known = self.lock();
        let within = |at: Option<Instant>, limit| at.is_some_and(|at| at.elapsed() < limit);
        if within(known.down_since, DOWN_FOR) {
            Some(false)
        } else {
            within(known.up_since, UP_FOR).then_some(true)
        }
    }

    /// It did not answer a moment ago, and is not asked again yet.
    pub(super) fn is_down(&self) -> bool {
        self.answers() == Some(false)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
