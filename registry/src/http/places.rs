//! The places of connections: so many at once, and so many of them for one address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::warn;

use crate::config::TrustedProxies;

/// Whoever has one IPv6 address has as many as this prefix holds.
const PREFIX_OF_ONE_CLIENT: u32 = 64;

/// When fewer than one place in so many is free, places are short.
const SHORT_BELOW_ONE_IN: usize = 8;

/// How often the log says that an address has too many connections: it may try thousands of times a second.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    number: usize,
    all: Arc<Semaphore>,
    taken: Taken,
    per_address: usize,
    /// Their connections count as nobody's: many clients come through them.
    proxies: TrustedProxies,
    told_at: Mutex<Option<Instant>>,
}

/// How many places each client has.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place among all, for a connection that has yet to come.
#[derive(Debug)]
pub(super) struct Free(OwnedSemaphorePermit);

/// The place of an open connection, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _of_all: OwnedSemaphorePermit,
    of_address: Option<(IpAddr, Taken)>,
}

impl Places {
    /// So many places, and so many for one address that is not a proxy's.
    pub(super) fn new(all: usize, per_address: usize, proxies: TrustedProxies) -> Self {
        Self {
            number: all,
            all: Arc::new(Semaphore::new(all)),
            taken: Arc::default(),
            per_address,
            proxies,
            told_at: Mutex::default(),
        }
    }

    /// Few are left: whoever sits on one without using it is to go sooner.
    pub(super) fn are_short(&self) -> bool {
        self.all.available_permits() < self.number / SHORT_BELOW_ONE_IN
    }

    /// Waits for a place among all.
    pub(super) async fn free(&self) -> Free {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        Free(permit.expect("the semaphore is never closed"))
    }

    /// The place of a connection from this address; `None` if that has as many as it may.
    pub(super) fn seat(&self, Free(of_all): Free, address: IpAddr) -> Option<Place> {
        let of_address = if self.proxies.contain(address) {
            None
        } else {
            Some(self.count(address)?)
        };
        metrics::gauge!("wharfinger_connections").increment(1.0);
        Some(Place {
            _of_all: of_all,
            of_address,
        })
    }

    fn count(&self, address: IpAddr) -> Option<(IpAddr, Taken)> {
        let client = client(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(client).or_default();
        if *count >= self.per_address {
            drop(taken);
            self.tell_refused(address);
            return None;
        }
        *count += 1;
        Some((client, Arc::clone(&self.taken)))
    }

    fn tell_refused(&self, address: IpAddr) {
        metrics::counter!("wharfinger_connections_refused_total", "reason" => "address")
            .increment(1);
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told_at = Some(Instant::now());
            warn!(
                client.address = %address,
                "{address} has {} connections, as many as one address may (max_connections_per_address); \
                 further ones are closed",
                self.per_address
            );
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("wharfinger_connections").decrement(1.0);
        let Some((client, taken)) = &self.of_address else {
            return;
        };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(*client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or all IPv6 addresses with the same prefix.
pub(super) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() >> PREFIX_OF_ONE_CLIENT << PREFIX_OF_ONE_CLIENT;
            Ipv6Addr::from_bits(prefix).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "192.0.2.7";

    fn places(all: usize, per_address: usize) -> Places {
        Places::new(all, per_address, TrustedProxies::default())
    }

    async fn seat(places: &Places, address: &str) -> Option<Place> {
        places.seat(places.free().await, address.parse().unwrap())
    }

    #[tokio::test]
    async fn an_address_gets_its_share_and_the_others_theirs() {
        let places = places(10, 2);
        let held = [seat(&places, HERE).await, seat(&places, HERE).await];

        assert!(held.iter().all(Option::is_some));
        assert!(seat(&places, HERE).await.is_none());
        assert!(seat(&places, "192.0.2.8").await.is_some());
    }

    #[tokio::test]
    async fn places_are_short_when_fewer_than_an_eighth_is_free() {
        let places = places(16, 16);
        let mut held = Vec::new();
        for _ in 0..14 {
            held.push(seat(&places, HERE).await.unwrap());
            assert!(!places.are_short());
        }

        held.push(seat(&places, HERE).await.unwrap());

        assert!(places.are_short());
        held.clear();
        assert!(!places.are_short());
    }

    #[tokio::test]
    async fn a_place_given_back_is_free_again_and_forgotten() {
        let places = places(10, 1);
        let held = seat(&places, HERE).await.unwrap();

        drop(held);

        assert!(places.taken.lock().unwrap().is_empty());
        assert!(seat(&places, HERE).await.is_some());
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_network_are_one_client() {
        let places = places(10, 1);
        let held = seat(&places, "2001:db8::1").await;

        assert!(held.is_some());
        assert!(seat(&places, "2001:db8::ffff:1").await.is_none());
        assert!(seat(&places, "2001:db8:0:1::1").await.is_some());
        assert!(seat(&places, "::ffff:192.0.2.7").await.is_some());
    }

    #[tokio::test]
    async fn a_proxy_takes_places_of_all_only() {
        let proxies = TrustedProxies::parse(HERE).unwrap();
        let places = Places::new(2, 1, proxies);

        let held = [seat(&places, HERE).await, seat(&places, HERE).await];

        assert!(held.iter().all(Option::is_some));
        assert_eq!(places.all.available_permits(), 0);
        drop(held);
        assert_eq!(places.all.available_permits(), 2);
    }
}
