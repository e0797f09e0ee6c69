//! Which addresses this server calls for its administrators.

use workflows::outbound::{Outbound, Reach, Targets};

use super::Config;

/// Whether webhooks and smart proxies may be on private addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PrivateTargets {
    /// As long as this server itself listens on one: then it is in such a network itself.
    Auto,
    /// Always.
    Allow,
    /// Never.
    Refuse,
}

impl PrivateTargets {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "is neither auto nor allow nor refuse".to_owned())
    }
}

impl Config {
    /// Which addresses may be called.
    pub(crate) fn targets(&self) -> Targets {
        let is_private = matches!(Reach::of(self.listen.ip()), Reach::Private(_));
        match self.private_targets {
            PrivateTargets::Allow => Targets::PublicAndPrivate,
            PrivateTargets::Auto if is_private => Targets::PublicAndPrivate,
            PrivateTargets::Auto | PrivateTargets::Refuse => Targets::Public,
        }
    }

    /// The client that calls them.
    pub(crate) fn outbound(&self) -> Result<Outbound, reqwest::Error> {
        Outbound::new(self.targets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Settings};

    fn targets(flags: &[&str]) -> Targets {
        let config = Config::read(&Settings::from_flags(flags), &Environment::of(&[]));
        config.unwrap().targets()
    }

    #[test]
    fn who_listens_on_a_private_address_calls_private_ones_unless_told_otherwise() {
        for listen in ["127.0.0.1:5000", "10.0.0.7:5000", "[::1]:5000"] {
            assert_eq!(targets(&["--listen", listen]), Targets::PublicAndPrivate);
        }
        for listen in ["0.0.0.0:5000", "203.0.113.9:5000", "[::]:5000"] {
            assert_eq!(targets(&["--listen", listen]), Targets::Public, "{listen}");
        }
        assert_eq!(targets(&["--private-targets", "refuse"]), Targets::Public);
        let allowed = ["--listen", "0.0.0.0:5000", "--private-targets", "allow"];
        assert_eq!(targets(&allowed), Targets::PublicAndPrivate);
    }
}
