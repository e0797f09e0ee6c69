//! Failed logins, slowed down per login and address together, so that nobody can lock another out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::clock::Timestamp;

/// So many may fail before the next must wait: people mistype, and scripts keep an old password for a while.
const FREE: u32 = 5;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait: 1,440 guesses a day from one address are no danger to any password worth the name.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Failures are forgotten this long after the last one.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);
/// How many pairs of login and address are remembered at once; then the one that failed longest ago is forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// A label, a plus sign and a robot's name, with room to spare.
const MAX_LOGIN_CHARACTERS: usize = 256;

/// The failed logins of the last minutes, in the memory of this process.
#[derive(Debug, Default)]
pub(crate) struct FailedLogins(Mutex<HashMap<Who, Failures>>);

/// A login, in lower case, from an address.
type Who = (String, Option<IpAddr>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// When the next attempt counts.
    fn over_at(self) -> Timestamp {
        match self.count.checked_sub(FREE) {
            None => self.last,
            Some(beyond) => self.last + (FIRST_WAIT * (1 << beyond.min(10))).min(LONGEST_WAIT),
        }
    }
}

/// Somebody who tries to log in.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    logins: &'a FailedLogins,
    who: Who,
    now: Timestamp,
}

impl FailedLogins {
    /// Somebody tries to log in as `login` from `address`.
    pub(super) fn attempt(
        &self,
        login: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Attempt<'_> {
        Attempt {
            logins: self,
            who: (key(login), address.map(neighbourhood)),
            now,
        }
    }
}

impl Attempt<'_> {
    /// How long to wait before an attempt counts; `None`: this one does.
    pub(super) fn must_wait(&self) -> Option<Duration> {
        let known = self.failures();
        let over_at = known.get(&self.who)?.over_at();
        (self.now < over_at).then(|| over_at.since(self.now))
    }

    /// It failed.
    pub(super) fn failed(&self) {
        let mut known = self.failures();
        if known.len() >= MAX_REMEMBERED && !known.contains_key(&self.who) {
            make_room(&mut known, self.now);
        }
        let failures = known.entry(self.who.clone()).or_insert(Failures {
            count: 0,
            last: self.now,
        });
        if self.now.since(failures.last) >= FORGOTTEN_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = self.now;
    }

    /// It was right: what failed before is forgiven.
    pub(super) fn succeeded(&self) {
        self.failures().remove(&self.who);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<Who, Failures>> {
        self.logins.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(known: &mut HashMap<Who, Failures>, now: Timestamp) {
    known.retain(|_, failures| now.since(failures.last) < FORGOTTEN_AFTER);
    if known.len() >= MAX_REMEMBERED
        && let Some(oldest) = known
            .iter()
            .min_by_key(|(_, failures)| failures.last)
            .map(|(who, _)| who.clone())
    {
        known.remove(&oldest);
    }
}

/// The login as it is compared. No user has a longer one, and guesses take no more memory.
fn key(login: &str) -> String {
    login
        .chars()
        .take(MAX_LOGIN_CHARACTERS)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Who has one address of IPv6 has the other 2^64 beside it.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(logins: &FailedLogins, login: &str, address: &str, times: u32) {
        for _ in 0..times {
            logins.attempt(login, Some(from(address)), NOW).failed();
        }
    }

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_a_minute() {
        let logins = FailedLogins::default();
        let mut waits = Vec::new();

        fail(&logins, "bob", "192.0.2.1", FREE - 1);
        for _ in 0..9 {
            let attempt = logins.attempt("Bob", Some(from("192.0.2.1")), NOW);
            waits.push(attempt.must_wait().map_or(0, |wait| wait.as_secs()));
            attempt.failed();
        }

        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn nobody_locks_another_out() {
        let logins = FailedLogins::default();

        fail(&logins, "bob", "192.0.2.1", 100);

        let elsewhere = logins.attempt("bob", Some(from("192.0.2.2")), NOW);
        let another = logins.attempt("ann", Some(from("192.0.2.1")), NOW);
        assert_eq!(elsewhere.must_wait(), None);
        assert_eq!(another.must_wait(), None);
    }

    #[test]
    fn the_neighbours_in_one_network_of_ipv6_are_one_address() {
        let logins = FailedLogins::default();

        fail(&logins, "bob", "2001:db8::1", 100);

        let neighbour = logins.attempt("bob", Some(from("2001:db8::2")), NOW);
        let other = logins.attempt("bob", Some(from("2001:db8:0:1::1")), NOW);
        assert!(neighbour.must_wait().is_some());
        assert_eq!(other.must_wait(), None);
    }

    #[test]
    fn time_and_the_right_password_forgive() {
        let logins = FailedLogins::default();
        fail(&logins, "bob", "192.0.2.1", FREE);
        fail(&logins, "ann", "192.0.2.1", FREE);

        let later = NOW + FORGOTTEN_AFTER;
        logins
            .attempt("bob", Some(from("192.0.2.1")), later)
            .failed();
        logins
            .attempt("ann", Some(from("192.0.2.1")), NOW)
            .succeeded();

        let bob = logins.attempt("bob", Some(from("192.0.2.1")), later);
        let ann = logins.attempt("ann", Some(from("192.0.2.1")), NOW);
        assert_eq!(bob.must_wait(), None);
        assert_eq!(ann.must_wait(), None);
    }

    #[test]
    fn a_flood_of_logins_takes_no_more_memory_than_is_allowed() {
        let logins = FailedLogins::default();

        for n in 0..MAX_REMEMBERED + 100 {
            logins.attempt(&format!("guess-{n}"), None, NOW).failed();
        }

        assert_eq!(logins.0.lock().unwrap().len(), MAX_REMEMBERED);
    }
}
