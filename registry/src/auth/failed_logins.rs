//! Failed logins, slowed down per login and address together, so that nobody can lock another out; and per address over
//! all its logins, so that nobody tries one password with every login.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
/// So many may fail at one address, over all its logins: an office behind one address has many people who mistype.
const FREE_OF_ADDRESS: u32 = 100;
/// Then one more in this time: a failure of an address is forgiven so often.
const FORGIVEN_EVERY: Duration = Duration::from_secs(6);
/// How many pairs of login and address are remembered at once, and how many addresses; then the one that failed least is
/// forgotten, of those the one that failed longest ago.
const MAX_REMEMBERED: usize = 10_000;

/// A label, a plus sign and a robot's name, with room to spare.
const MAX_LOGIN_CHARACTERS: usize = 256;

/// The failed logins of the last minutes, in the memory of this process.
#[derive(Debug, Default)]
pub(crate) struct FailedLogins(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    logins: HashMap<Who, Failures>,
    addresses: HashMap<Option<IpAddr>, Failures>,
}

/// A login, in lower case, from an address.
type Who = (String, Option<IpAddr>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// When the next attempt with this login counts.
    fn over_at(self) -> Timestamp {
        match self.count.checked_sub(FREE) {
            None => self.last,
            Some(beyond) => self.last + (FIRST_WAIT * (1 << beyond.min(10))).min(LONGEST_WAIT),
        }
    }

    /// The failures of an address that are not forgiven by now.
    fn left(self, now: Timestamp) -> u32 {
        let forgiven = now.since(self.last).as_secs() / FORGIVEN_EVERY.as_secs();
        self.count
            .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
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
    /// The address it comes from, which all in its network share.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.who.1
    }

    /// How long to wait before an attempt counts; `None`: this one does.
    pub(super) fn must_wait(&self) -> Option<Duration> {
        let known = self.remembered();
        let of_login = known.logins.get(&self.who).and_then(|failures| {
            let over_at = failures.over_at();
            (self.now < over_at).then(|| over_at.since(self.now))
        });
        let of_address = known.addresses.get(&self.address()).and_then(|failures| {
            (failures.left(self.now) >= FREE_OF_ADDRESS).then_some(FORGIVEN_EVERY)
        });
        of_login.max(of_address)
    }

    /// It failed.
    pub(super) fn failed(&self) {
        let mut known = self.remembered();
        let of_login = at(&mut known.logins, &self.who, self.now);
        if self.now.since(of_login.last) >= FORGOTTEN_AFTER {
            of_login.count = 0;
        }
        of_login.count = of_login.count.saturating_add(1);
        of_login.last = self.now;
        let of_address = at(&mut known.addresses, &self.address(), self.now);
        let left = of_address.left(self.now);
        // What is forgiven counts from here again only where it was: else who fails often would be forgiven nothing.
        if left < of_address.count {
            of_address.last = self.now;
        }
        of_address.count = left.saturating_add(1);
    }

    /// It was right: what failed before with this login is forgiven.
    pub(super) fn succeeded(&self) {
        self.remembered().logins.remove(&self.who);
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.logins.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of this one; if nothing, that nothing has failed, in place of another if there are too many.
fn at<'a, K>(known: &'a mut HashMap<K, Failures>, who: &K, now: Timestamp) -> &'a mut Failures
where
    K: Clone + Eq + std::hash::Hash,
{
    if known.len() >= MAX_REMEMBERED && !known.contains_key(who) {
        make_room(known, now);
    }
    known.entry(who.clone()).or_insert(Failures {
        count: 0,
        last: now,
    })
}

fn make_room<K: Clone + Eq + std::hash::Hash>(known: &mut HashMap<K, Failures>, now: Timestamp) {
    known.retain(|_, failures| now.since(failures.last) < FORGOTTEN_AFTER);
    if known.len() >= MAX_REMEMBERED
        && let Some(least) = known
            .iter()
            .min_by_key(|(_, failures)| (failures.count, failures.last))
            .map(|(who, _)| who.clone())
    {
        known.remove(&least);
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
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
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

        fail(&logins, "bob", "192.0.2.1", 50);

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

        assert_eq!(logins.0.lock().unwrap().logins.len(), MAX_REMEMBERED);
    }

    #[test]
    fn who_fails_with_many_logins_waits_with_all_of_them_and_nobody_elsewhere_does() {
        let logins = FailedLogins::default();

        for n in 0..FREE_OF_ADDRESS {
            fail(&logins, &format!("guess-{n}"), "192.0.2.1", 1);
        }

        let here = logins.attempt("ann", Some(from("192.0.2.1")), NOW);
        let elsewhere = logins.attempt("ann", Some(from("192.0.2.2")), NOW);
        assert_eq!(here.must_wait(), Some(FORGIVEN_EVERY));
        assert_eq!(elsewhere.must_wait(), None);
    }

    #[test]
    fn an_address_is_forgiven_one_failure_after_the_other() {
        let logins = FailedLogins::default();
        let guess = |n: u32, now| logins.attempt(&format!("guess-{n}"), None, now);
        for n in 0..FREE_OF_ADDRESS {
            guess(n, NOW).failed();
        }

        let mut counted = 0;
        for second in 1..=60 {
            let attempt = guess(1000 + second, NOW + Duration::from_secs(second.into()));
            if attempt.must_wait().is_none() {
                attempt.failed();
                counted += 1;
            }
        }

        assert_eq!(counted, 10, "in the minute after");
    }

    #[test]
    fn a_flood_of_made_up_logins_does_not_make_who_failed_often_forgotten() {
        let logins = FailedLogins::default();
        fail(&logins, "admin", "192.0.2.1", FREE);

        for n in 0..MAX_REMEMBERED + 100 {
            logins
                .attempt(&format!("made-up-{n}"), Some(from("192.0.2.1")), NOW)
                .failed();
        }

        let admin = logins.attempt("admin", Some(from("192.0.2.1")), NOW);
        assert_eq!(admin.must_wait(), Some(FORGIVEN_EVERY));
        let known = logins.0.lock().unwrap();
        assert!(known.logins.contains_key(&admin.who));
    }
}
