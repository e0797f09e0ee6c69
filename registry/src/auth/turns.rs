//! Whose password is looked at next: few at once, and addresses take turns, so that none keeps the others waiting.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Where somebody is who wants a turn; none: in this process itself, or nobody knows.
type Address = Option<IpAddr>;

/// Places to work at, given to addresses in turn.
#[derive(Debug)]
pub(super) struct Turns(Mutex<Line>);

/// Who works, and who waits.
#[derive(Debug)]
struct Line {
    free: usize,
    /// Who has a place, once for each.
    working: Vec<Address>,
    /// Those that wait, in the order in which they have their turn: no address stands here twice.
    next: VecDeque<Address>,
    waiting: HashMap<Address, VecDeque<oneshot::Sender<Turn>>>,
}

/// A place at work, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: &'static Turns,
    from: Address,
}

impl Turns {
    /// So many work at once.
    pub(super) fn new(places: usize) -> Self {
        Self(Mutex::new(Line {
            free: places,
            working: Vec::new(),
            next: VecDeque::new(),
            waiting: HashMap::new(),
        }))
    }

    /// A place for somebody at this address, when it is their turn: the first address in line that does not work
    /// already, else the first.
    pub(super) async fn take(&'static self, from: Address) -> Turn {
        let (give, given) = oneshot::channel();
        self.line().wait(from, give);
        self.hand_out();
        given
            .await
            .expect("whoever waits in line is dropped with its receiver only")
    }

    /// Gives free places to who is next, until none is free or nobody waits.
    fn hand_out(&'static self) {
        loop {
            let Some((from, give)) = self.line().call_next() else {
                return;
            };
            // Whoever has gone away meanwhile gives the place back by dropping it.
            let _ = give.send(Turn { turns: self, from });
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn wait(&mut self, from: Address, give: oneshot::Sender<Turn>) {
        let waiting = self.waiting.entry(from).or_default();
        if waiting.is_empty() {
            self.next.push_back(from);
        }
        waiting.push_back(give);
    }

    /// Takes a place for who is next.
    fn call_next(&mut self) -> Option<(Address, oneshot::Sender<Turn>)> {
        while self.free > 0 && !self.next.is_empty() {
            let rests = |from: &Address| !self.working.contains(from);
            let at = self.next.iter().position(rests).unwrap_or(0);
            let from = self.next.remove(at)?;
            let of_it = self.waiting.get_mut(&from)?;
            let give = of_it.pop_front();
            if of_it.is_empty() {
                self.waiting.remove(&from);
            } else {
                self.next.push_back(from);
            }
            // Who does not wait any more needs no place.
            if let Some(give) = give.filter(|give| !give.is_closed()) {
                self.free -= 1;
                self.working.push(from);
                return Some((from, give));
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut line = self.turns.line();
            line.free += 1;
            if let Some(at) = line.working.iter().position(|from| *from == self.from) {
                line.working.swap_remove(at);
            }
        }
        self.turns.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    fn turns(places: usize) -> &'static Turns {
        Box::leak(Box::new(Turns::new(places)))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Somebody who waits; already in line.
    fn waits(turns: &'static Turns, from: Address) -> BoxFuture<'static, Turn> {
        let mut waiting = turns.take(from).boxed();
        assert!(
            (&mut waiting).now_or_never().is_none(),
            "has a turn already"
        );
        waiting
    }

    #[tokio::test]
    async fn whoever_comes_from_elsewhere_waits_for_one_turn_however_many_wait_already() {
        let turns = turns(2);
        let (first, second) = (
            turns.take(Some(address(1))).await,
            turns.take(Some(address(1))).await,
        );
        let mut crowd: Vec<_> = (0..300).map(|_| waits(turns, Some(address(1)))).collect();
        let other = waits(turns, Some(address(2)));

        drop(first);

        drop(other.now_or_never().expect("the next turn is theirs"));
        assert!((&mut crowd[0]).now_or_never().is_some(), "then the crowd's");
        drop(second);
    }

    #[tokio::test]
    async fn an_address_has_one_place_while_others_wait_and_all_when_nobody_does() {
        let turns = turns(2);
        let (_one, two) = (
            turns.take(Some(address(1))).await,
            turns.take(Some(address(2))).await,
        );
        let crowd = waits(turns, Some(address(1)));
        let other = waits(turns, Some(address(3)));

        drop(two);

        let other = other.now_or_never().expect("address 1 works already");
        drop(other);
        assert!(crowd.now_or_never().is_some(), "nobody else waits");
    }

    #[tokio::test]
    async fn whoever_goes_away_takes_no_place_along() {
        let turns = turns(1);
        let first = turns.take(Some(address(1))).await;
        let gone = waits(turns, Some(address(2)));
        let stays = waits(turns, Some(address(3)));

        drop(gone);
        drop(first);

        drop(stays.now_or_never().expect("the one before is gone"));
        assert!(turns.take(Some(address(2))).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_place_that_was_given_and_not_taken_comes_back() {
        let turns = turns(1);
        let first = turns.take(Some(address(1))).await;
        let called = waits(turns, Some(address(2)));

        drop(first);
        drop(called);

        assert!(turns.take(Some(address(3))).now_or_never().is_some());
    }
}
