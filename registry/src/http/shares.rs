//! How many requests one address may have answered at once, so that it cannot take the places of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::places::client;
use crate::config::TrustedProxies;

/// Below this many remembered addresses nobody looks for those that have gone.
const TIDIED_FROM: usize = 1024;

/// The shares of all addresses that have a request under way.
#[derive(Debug)]
pub(super) struct Shares {
    each: usize,
    /// What comes from these without a word on the client is nobody's: many clients come through them.
    proxies: TrustedProxies,
    of: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Shares {
    /// So many requests for each address that is not a proxy's.
    pub(super) fn new(each: usize, proxies: TrustedProxies) -> Self {
        Self {
            each,
            proxies,
            of: Mutex::default(),
        }
    }

    /// The share of this address, remembered while a permit of it is held; `None`: it is not counted.
    pub(super) fn of(&self, address: IpAddr) -> Option<Arc<Semaphore>> {
        if self.proxies.contain(address) {
            return None;
        }
        let client = client(address);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = of.get(&client).and_then(Weak::upgrade) {
            return Some(share);
        }
        if of.len() >= TIDIED_FROM && of.len() == of.capacity() {
            of.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.each));
        of.insert(client, Arc::downgrade(&share));
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Shares {
        Shares::new(1, TrustedProxies::default())
    }

    fn permit(shares: &Shares, address: &str) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let share = shares.of(address.parse().unwrap()).unwrap();
        share.try_acquire_owned().ok()
    }

    #[test]
    fn an_address_has_its_share_and_the_others_theirs() {
        let shares = shares();
        let held = permit(&shares, "192.0.2.7");

        assert!(held.is_some());
        assert!(permit(&shares, "192.0.2.7").is_none());
        assert!(permit(&shares, "192.0.2.8").is_some());
        drop(held);
        assert!(permit(&shares, "192.0.2.7").is_some());
    }

    #[test]
    fn a_proxy_has_no_share_because_it_speaks_for_many() {
        let proxies = TrustedProxies::parse("192.0.2.0/24").unwrap();

        let share = Shares::new(1, proxies).of([192, 0, 2, 7].into());

        assert!(share.is_none());
    }

    #[test]
    fn addresses_without_a_request_are_forgotten() {
        let shares = shares();
        for address in 0..100_000_u32 {
            drop(shares.of(IpAddr::V4(address.into())));
        }

        assert!(shares.of.lock().unwrap().len() < 4 * TIDIED_FROM);
    }
}
