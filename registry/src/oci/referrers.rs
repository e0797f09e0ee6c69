//! `GET /v2/<name>/referrers/<digest>`: signatures, bills of materials and whatever else is about a manifest.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use storage::Digest;
use storage::catalog::referrers::{self, Filter, Limit, Referrer};
use workflows::destination::PushName;

use super::access::Caller;
use super::answer;
use super::error::OciError;
use super::request::Referrers;

/// oras takes no other, and no parameters with it.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A page has at most so many, whatever is asked for: clients follow the `Link`.
const MAX_PAGE: usize = 1000;
/// A page ends once its annotations have so many bytes: clients read no index of more than 4 MiB, and one manifest may
/// bring nearly that much by itself.
const MAX_ANNOTATION_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl From<Referrer> for Descriptor {
    fn from(referrer: Referrer) -> Self {
        Self {
            media_type: referrer.media_type,
            digest: referrer.digest,
            size: referrer.size_bytes,
            artifact_type: referrer.artifact_type,
            annotations: referrer.annotations,
        }
    }
}

/// An index of what refers to the manifest, which need not exist. Where nothing was pushed yet nothing refers to it:
/// clients take a 404 here for a registry that keeps no referrers.
pub(super) async fn list(
    caller: &Caller<'_>,
    name: &PushName,
    subject: &Digest,
    wanted: &Referrers,
) -> Result<Response, OciError> {
    let mut tx = caller.app.services.database.read().await?;
    let found = caller.pull_from(&mut tx, name).await?;
    let size = wanted.n.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    // By the name of an environment nothing is listed but what that publishes.
    let version = match &found.environment {
        Some(_) => Some(found.shown(&mut tx).await?.unwrap_or(0)),
        None => None,
    };
    let page = match &found.destination {
        Some(destination) => {
            let filter = Filter {
                subject,
                artifact_type: wanted.artifact_type.as_deref(),
                version,
            };
            let limit = Limit {
                referrers: size,
                annotation_bytes: MAX_ANNOTATION_BYTES,
            };
            let after = wanted.last.as_ref();
            Some(referrers::list(&mut tx, destination.id, filter, after, limit).await?)
        }
        None => None,
    };
    drop(tx);
    let more = page.as_ref().is_some_and(|page| page.more);
    let listed = page.map(|page| page.referrers).unwrap_or_default();
    let next = listed.last().filter(|_| more).map(|last| {
        let last = last.digest;
        link(name, subject, wanted.artifact_type.as_deref(), size, &last)
    });
    let index = Index {
        schema_version: 2,
        media_type: INDEX,
        manifests: listed.into_iter().map(Descriptor::from).collect(),
    };
    let body = serde_json::to_vec(&index).map_err(OciError::internal)?;
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(INDEX))];
    let mut response = (content_type, body).into_response();
    let headers = response.headers_mut();
    if wanted.artifact_type.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        headers.insert(OCI_FILTERS_APPLIED, applied);
    }
    if let Some(next) = next {
        headers.insert(LINK, answer::ascii(&next));
    }
    Ok(response)
}

/// Where those after `last` are.
fn link(
    name: &PushName,
    subject: &Digest,
    artifact_type: Option<&str>,
    n: usize,
    last: &Digest,
) -> String {
    let filter = artifact_type
        .map(|it| format!("&artifactType={}", answer::in_query(it)))
        .unwrap_or_default();
    format!("</v2/{name}/referrers/{subject}?n={n}&last={last}{filter}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filter_and_begins_after_the_last_digest() {
        let name: PushName = "acme/busybox".parse().unwrap();
        let (subject, last) = (Digest::of(b"image"), Digest::of(b"signature"));

        let link = link(&name, &subject, Some("text/x+json, 1"), 2, &last);

        assert_eq!(
            link,
            format!(
                "</v2/acme/busybox/referrers/{subject}?n=2&last={last}&artifactType=text%2Fx%2Bjson%2C%201>; rel=\"next\""
            )
        );
    }

    #[test]
    fn what_a_referrer_does_not_say_is_left_out() {
        let referrer = Referrer {
            digest: Digest::of(b""),
            media_type: INDEX.to_owned(),
            size_bytes: 2,
            artifact_type: None,
            annotations: BTreeMap::new(),
        };

        let written = serde_json::to_value(Descriptor::from(referrer)).unwrap();

        let digest = Digest::of(b"");
        let expected = serde_json::json!({ "mediaType": INDEX, "digest": digest, "size": 2 });
        assert_eq!(written, expected);
    }
}
