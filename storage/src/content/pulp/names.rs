//! What things of ours are called in Pulp. Nothing there has the name that users know: base paths must not nest, and a push onto
//! a published path would hijack it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalog::DestinationId;

/// The label that says whose a repository or distribution is.
const OWNER: &str = "wharfinger";

/// The names of one instance of this registry.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// What all of them begin with. Two instances on one Pulp have two.
    pub(super) prefix: String,
    /// Whose repositories and distributions are touched.
    pub(super) instance: Uuid,
}

impl Names {
    /// What pushes of a destination go to: Pulp makes it with the first upload.
    pub(super) fn push_repository(&self, destination: DestinationId) -> String {
        format!("{}-push/{destination}", self.prefix)
    }

    /// The repository with versions of a destination, and the distribution that serves it.
    pub(super) fn repository(&self, destination: DestinationId) -> String {
        format!("{}/{destination}", self.prefix)
    }

    /// What a repository or distribution of ours is labelled with.
    pub(super) fn labels(&self, destination: DestinationId) -> Value {
        json!({
            OWNER: self.instance.to_string(),
            "wharfinger_repository": destination.to_string(),
        })
    }

    /// True if something of Pulp has these labels.
    pub(super) fn are_on(&self, thing: &Value, destination: DestinationId) -> bool {
        let found = &thing["pulp_labels"];
        let Value::Object(wanted) = self.labels(destination) else {
            return false;
        };
        wanted.iter().all(|(name, value)| found[name] == *value)
    }
}
