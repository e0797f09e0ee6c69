//! Who reaches an address: everybody, a network, or nobody that is meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    Public,
    /// Who is in the same network or on the same machine. The text says which: "a private address".
    Private(&'static str),
    /// Nobody is meant by it who keeps images or hears of them; at some of these a cloud gives its machines their keys.
    Never(&'static str),
}

/// Where clouds give their machines keys, besides the link-local address: of Amazon by IPv6, of Alibaba, of Oracle.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl Reach {
    /// Who reaches this address. One of IPv6 that only wraps one of IPv4 is judged as that.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if METADATA.contains(&address) {
            return Self::Never("an address for a cloud's own machines");
        }
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => {
                wrapped(address).map_or_else(|| of_v6(address), |it| Self::of(IpAddr::V4(it)))
            }
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0, ..] => Reach::Never("an unspecified address"),
        [127, ..] => Reach::Private("a loopback address"),
        [169, 254, ..] => Reach::Never("a link-local address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [198, 18..=19, ..] => {
            Reach::Private("a private address")
        }
        [100, 64..=127, ..] => Reach::Private("an address shared by a provider's customers"),
        [224..=239, ..] => Reach::Never("a multicast address"),
        [192, 0, 0, _] | [240..=255, ..] => Reach::Never("a reserved address"),
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    if address.is_unspecified() {
        return Reach::Never("an unspecified address");
    }
    if address.is_loopback() {
        return Reach::Private("a loopback address");
    }
    match address.segments()[0] {
        0xfe80..=0xfebf => Reach::Never("a link-local address"),
        0xfec0..=0xfeff => Reach::Private("a site-local address"),
        0xfc00..=0xfdff => Reach::Private("a unique local address"),
        0xff00.. => Reach::Never("a multicast address"),
        _ => Reach::Public,
    }
}

/// The IPv4 address that this one leads to: mapped, compatible, of NAT64 or 6to4.
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, .., high, low]
        | [0x2002, high, low, ..] => Some(last(high, low)),
        _ => None,
    }
}

/// An address is not called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRefused {
    /// What led there.
    pub host: String,
    /// The address.
    pub address: IpAddr,
    /// "a private address".
    pub kind: &'static str,
    /// No setting allows it.
    pub for_ever: bool,
}

impl std::fmt::Display for TargetRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            host,
            address,
            kind,
            for_ever,
        } = self;
        if host.trim_matches(['[', ']']) == address.to_string() {
            write!(f, "`{address}` is {kind}")?;
        } else {
            write!(f, "`{host}` leads to {address}, {kind}")?;
        }
        f.write_str(if *for_ever {
            ", which this server never calls"
        } else {
            ", which this server calls only with the setting private_targets = \"allow\""
        })
    }
}

impl std::error::Error for TargetRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(address: &str) -> Reach {
        Reach::of(address.parse().unwrap())
    }

    #[test]
    fn what_everybody_reaches_is_public() {
        for address in [
            "203.0.113.9",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(reach(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn networks_and_this_machine_are_private() {
        for address in [
            "127.0.0.1",
            "127.255.0.3",
            "10.0.0.7",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:10.0.0.7",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.7",
            "2002:a00:7::1",
        ] {
            assert!(matches!(reach(address), Reach::Private(_)), "{address}");
        }
    }

    #[test]
    fn what_nobody_means_is_never_called() {
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
        ] {
            assert!(matches!(reach(address), Reach::Never(_)), "{address}");
        }
    }
}
