//! Content of Pulp as its REST knows it: tags, manifests, the artifacts that hold the bytes of blobs.

use std::collections::{HashMap, HashSet};

use reqwest::StatusCode;
use serde_json::Value;

use super::client::Ask;
use super::tasks::href;
use super::{Pulp, PulpError};
use crate::{Digest, Tag};

/// So many digests or hrefs are asked for at once: each takes some 75 characters, and a domain's name more; Pulp's web server
/// takes lines up to 4,094.
const AT_ONCE: usize = 30;

/// Pulp refuses a filter of more terms as too complex.
const TERMS_AT_ONCE: usize = 5;

impl Pulp {
    /// A tag that points to this digest. In Pulp the two are one thing, whatever repositories have it.
    pub(super) async fn tag_unit(
        &self,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Option<String>, PulpError> {
        let doing = format!("look for tag `{tag}` at {digest}");
        let digest = digest.to_string();
        let query = [
            ("name", tag.as_str()),
            ("digest", digest.as_str()),
            ("fields", "pulp_href"),
            ("limit", "1"),
        ];
        let found = self.list(&doing, "content/container/tags/", &query).await?;
        let found = found.first().map(|tag| href(tag, "pulp_href", &doing));
        found.transpose()
    }

    /// The manifests of these that Pulp knows.
    pub(super) async fn manifest_units(
        &self,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, String>, PulpError> {
        self.units_at("content/container/manifests/", digests).await
    }

    /// The blobs of these that Pulp knows.
    pub(super) async fn blob_units(
        &self,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, String>, PulpError> {
        self.units_at("content/container/blobs/", digests).await
    }

    async fn units_at(
        &self,
        path: &str,
        digests: &[Digest],
    ) -> Result<HashMap<Digest, String>, PulpError> {
        let doing = format!("look for {path}");
        let mut units = HashMap::new();
        for some in digests.chunks(AT_ONCE) {
            let texts: Vec<String> = some.iter().map(ToString::to_string).collect();
            let (texts, limit) = (texts.join(","), AT_ONCE.to_string());
            let query = [
                ("digest__in", texts.as_str()),
                ("fields", "pulp_href,digest"),
                ("limit", limit.as_str()),
            ];
            for unit in self.list(&doing, path, &query).await? {
                let digest = unit["digest"].as_str().unwrap_or_default();
                if let Ok(digest) = digest.parse() {
                    units.insert(digest, href(&unit, "pulp_href", &doing)?);
                }
            }
        }
        Ok(units)
    }

    /// The first of these blobs whose bytes the version does not have. That it has a blob of that digest would say little: whose
    /// bytes came first under a digest stay, right or wrong.
    pub(super) async fn first_without_bytes(
        &self,
        version: &str,
        blobs: &[Digest],
    ) -> Result<Option<Digest>, PulpError> {
        if blobs.len() <= TERMS_AT_ONCE {
            return self.first_without_artifact(version, blobs).await;
        }
        let right = self.with_bytes(Some(version), blobs).await?;
        Ok(blobs.iter().find(|blob| !right.contains(blob)).copied())
    }

    /// The artifacts of a version are those of its blobs, so that few can be asked for by their checksum in one request.
    async fn first_without_artifact(
        &self,
        version: &str,
        blobs: &[Digest],
    ) -> Result<Option<Digest>, PulpError> {
        if blobs.is_empty() {
            return Ok(None);
        }
        let doing = format!("look for the bytes of {version}");
        let terms: Vec<String> = blobs
            .iter()
            .map(|blob| format!("sha256=\"{}\"", blob.hex()))
            .collect();
        let terms = format!(
            "repository_version=\"{version}\" AND ({})",
            terms.join(" OR ")
        );
        let query = [("q", terms.as_str()), ("fields", "sha256")];
        let found = self.list(&doing, "artifacts/", &query).await?;
        let found: HashSet<&str> = found
            .iter()
            .filter_map(|artifact| artifact["sha256"].as_str())
            .collect();
        let without = |blob: &&Digest| !found.contains(blob.hex().as_str());
        Ok(blobs.iter().find(without).copied())
    }

    /// Those of these blobs whose bytes this version has, or all of Pulp: the blobs with their artifacts, and then these with their
    /// checksums.
    pub(super) async fn with_bytes(
        &self,
        version: Option<&str>,
        blobs: &[Digest],
    ) -> Result<Vec<Digest>, PulpError> {
        let mut right = Vec::new();
        for some in blobs.chunks(AT_ONCE) {
            right.extend(self.some_with_bytes(version, some).await?);
        }
        Ok(right)
    }

    async fn some_with_bytes(
        &self,
        version: Option<&str>,
        blobs: &[Digest],
    ) -> Result<Vec<Digest>, PulpError> {
        let doing = format!("look for the bytes of {}", version.unwrap_or("blobs"));
        let digests: Vec<String> = blobs.iter().map(ToString::to_string).collect();
        let (digests, limit) = (digests.join(","), AT_ONCE.to_string());
        let mut query = vec![
            ("digest__in", digests.as_str()),
            ("fields", "digest,artifact"),
            ("limit", limit.as_str()),
        ];
        query.extend(version.map(|version| ("repository_version", version)));
        let of_blobs = self
            .list(&doing, "content/container/blobs/", &query)
            .await?;
        let artifacts: Vec<&str> = of_blobs
            .iter()
            .filter_map(|blob| blob["artifact"].as_str())
            .collect();
        if artifacts.is_empty() {
            return Ok(Vec::new());
        }
        let artifacts = artifacts.join(",");
        let query = [
            ("pulp_href__in", artifacts.as_str()),
            ("fields", "pulp_href,sha256"),
            ("limit", limit.as_str()),
        ];
        let checksums = self.list(&doing, "artifacts/", &query).await?;
        let checksum_of = |artifact: &Value| {
            let known = checksums.iter().find(|it| it["pulp_href"] == *artifact);
            known.and_then(|it| it["sha256"].as_str())
        };
        let right: HashSet<String> = of_blobs
            .iter()
            .filter_map(|blob| {
                let digest = blob["digest"].as_str()?;
                let checksum = checksum_of(&blob["artifact"])?;
                (digest == format!("sha256:{checksum}")).then(|| digest.to_owned())
            })
            .collect();
        let is_right = |blob: &&Digest| right.contains(&blob.to_string());
        Ok(blobs.iter().filter(is_right).copied().collect())
    }

    /// True if the version has a blob of that digest, whatever its bytes.
    pub(super) async fn version_names(
        &self,
        version: &str,
        blob: &Digest,
    ) -> Result<bool, PulpError> {
        let doing = format!("look for blob {blob} in {version}");
        let digest = blob.to_string();
        let query = [
            ("repository_version", version),
            ("digest", digest.as_str()),
            ("fields", "digest"),
        ];
        let found = self
            .list(&doing, "content/container/blobs/", &query)
            .await?;
        Ok(!found.is_empty())
    }

    /// The first page of a list.
    pub(super) async fn list(
        &self,
        doing: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, PulpError> {
        let reply = self.client.ask(Ask::get(doing, path, query)).await?;
        let mut found = reply.expect(doing, &[StatusCode::OK])?;
        if let Value::Array(results) = found["results"].take() {
            return Ok(results);
        }
        Err(PulpError::Unreadable {
            doing: doing.to_owned(),
            why: "it has no list `results`".to_owned(),
        })
    }
}
