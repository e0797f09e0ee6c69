//! The query of a URL.

use axum::extract::Query;
use http::Uri;

use crate::oci::error::OciError;

/// The query; what we do not know in it is not looked at.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameters of this URL, percent-decoded.
    pub(super) fn of(uri: &Uri) -> Result<Self, OciError> {
        let Query(pairs) = Query::try_from_uri(uri).map_err(|_| OciError::Query)?;
        Ok(Self(pairs))
    }

    /// The first of this name.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    /// All of this name; none if there is not one.
    pub(super) fn all(&self, name: &str) -> Option<Vec<String>> {
        let found = self.0.iter().filter(|(known, _)| known == name);
        let values: Vec<String> = found.map(|(_, value)| value.clone()).collect();
        (!values.is_empty()).then_some(values)
    }
}
