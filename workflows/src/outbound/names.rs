//! Looking names up: an address that is not to be called is never handed out.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{TargetRefused, Targets};

/// What the system's resolver says, without the addresses that are not to be called.
pub(super) struct Filtered(pub(super) Targets);

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = callable(targets, name.as_str(), found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those that may be called; if there is none, why the first may not.
fn callable(
    targets: Targets,
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, TargetRefused> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found {
        match targets.judge(host, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    match refused {
        Some(why) if allowed.is_empty() => Err(why),
        Some(_) | None => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str]) -> impl Iterator<Item = SocketAddr> {
        let parsed: Vec<_> = addresses
            .iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
            .collect();
        parsed.into_iter()
    }

    #[test]
    fn a_name_that_leads_inside_and_outside_is_called_outside_alone() {
        let addresses = found(&["10.0.0.7", "203.0.113.9", "169.254.169.254"]);

        let allowed = callable(Targets::Public, "hub.example", addresses).unwrap();

        assert_eq!(allowed, found(&["203.0.113.9"]).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_that_leads_only_inside_is_refused_with_name_address_and_setting() {
        let refused = callable(Targets::Public, "hub.example", found(&["10.0.0.7"])).unwrap_err();

        assert_eq!(
            refused.to_string(),
            "`hub.example` leads to 10.0.0.7, a private address, which this server calls only with the setting \
             private_targets = \"allow\""
        );
    }

    #[test]
    fn no_setting_leads_to_where_a_cloud_gives_keys() {
        for address in ["169.254.169.254", "::ffff:169.254.169.254"] {
            let address = [address];
            let refused = callable(Targets::PublicAndPrivate, "hub.example", found(&address));
            assert!(refused.unwrap_err().for_ever, "{address:?}");
        }
    }
}
