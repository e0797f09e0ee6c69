//! The numbers by which rows are known, each a type of its own.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
        )]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// An organization.
    OrganizationId
}
id! {
    /// A product.
    ProductId
}
id! {
    /// A lifecycle environment.
    EnvironmentId
}
id! {
    /// Where pushes to one name go; later the id of the repository there.
    DestinationId
}
id! {
    /// A repository: the same number as its destination.
    RepositoryId
}
id! {
    /// A user.
    UserId
}
id! {
    /// A grant of a role.
    GrantId
}
id! {
    /// A personal token, or the token of a robot.
    TokenId
}
id! {
    /// An entry of the audit.
    AuditId
}
id! {
    /// A drill.
    DrillId
}
id! {
    /// A smart proxy.
    SmartProxyId
}
id! {
    /// A webhook.
    WebhookId
}

impl From<DestinationId> for RepositoryId {
    fn from(destination: DestinationId) -> Self {
        Self(destination.0)
    }
}

impl From<RepositoryId> for DestinationId {
    fn from(repository: RepositoryId) -> Self {
        Self(repository.0)
    }
}
