//! The proxies whose word on a client counts.

use std::net::IpAddr;

/// Addresses and networks of proxies that may say for whom they ask, and where they say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
    header: ForwardedHeader,
}

/// The header by which a proxy says for whom it asks: the other one may be the client's own, which the proxy let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "kebab-case", ascii_case_insensitive)]
pub(crate) enum ForwardedHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto` and `X-Forwarded-Host` beside it.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "is neither x-forwarded-for nor forwarded".to_owned())
    }
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl TrustedProxies {
    /// Addresses and networks with commas between them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let networks = text.split(',').map(|part| Network::parse(part.trim()));
        let networks = networks.collect::<Option<_>>().ok_or_else(|| {
            "is not a list of addresses and networks with commas between them".to_owned()
        })?;
        let header = ForwardedHeader::default();
        Ok(Self { networks, header })
    }

    /// The same proxies, which say it in this header.
    pub(crate) fn that_write(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    /// Where they say for whom they ask.
    pub(crate) fn header(&self) -> ForwardedHeader {
        self.header
    }

    /// True if every client of IPv4 or of IPv6 is one of them, and so can say that it is somebody else.
    pub(crate) fn are_everybody(&self) -> bool {
        self.networks.iter().any(|network| network.bits == 0)
    }

    /// True if this is one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = length(address);
        let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
        (bits <= all).then_some(Self { address, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        // A listener on `[::]` sees IPv4 clients as IPv6 ones.
        let address = address.to_canonical();
        let shift = 128 - self.bits;
        length(address) == length(self.address)
            && top(address).checked_shr(shift) == top(self.address).checked_shr(shift)
    }
}

fn length(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address's bits, at the top of 128.
fn top(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(proxies: &str, address: &str) -> bool {
        let proxies = TrustedProxies::parse(proxies).unwrap();
        proxies.contain(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_trusted_alone_and_a_network_whole() {
        assert!(trusts("192.0.2.7", "192.0.2.7"));
        assert!(!trusts("192.0.2.7", "192.0.2.8"));
        assert!(trusts("10.0.0.0/8, 2001:db8::/32", "10.255.0.1"));
        assert!(trusts("10.0.0.0/8, 2001:db8::/32", "2001:db8::1"));
        assert!(!trusts("10.0.0.0/8, 2001:db8::/32", "11.0.0.1"));
        assert!(trusts("0.0.0.0/0", "203.0.113.9"));
        assert!(!trusts("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_listener_is_known_by_its_ipv4_address() {
        assert!(trusts("192.0.2.0/24", "::ffff:192.0.2.7"));
    }

    #[test]
    fn a_network_of_all_addresses_is_everybody() {
        for everybody in ["0.0.0.0/0", "192.0.2.7, ::/0"] {
            assert!(TrustedProxies::parse(everybody).unwrap().are_everybody());
        }
        assert!(!TrustedProxies::parse("10.0.0.0/8").unwrap().are_everybody());
        assert!(!TrustedProxies::default().are_everybody());
    }

    #[test]
    fn what_is_no_list_of_networks_is_refused() {
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0.0/", "1.2.3.4,"] {
            assert!(TrustedProxies::parse(text).is_err(), "{text}");
        }
    }
}
