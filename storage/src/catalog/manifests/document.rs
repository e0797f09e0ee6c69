//! Reading the JSON of a manifest: strict about what decides which content an image has, lenient about the rest.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{Manifest, Part, PartKind};
use crate::Digest;

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// What a manifest's media type says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A config and layers.
    Image,
    /// A list of manifests.
    Index,
    /// Something else.
    Artifact,
}

impl MediaKind {
    /// What this media type stands for.
    #[must_use]
    pub fn of(media_type: &str) -> Self {
        match media_type {
            OCI_IMAGE | DOCKER_IMAGE => Self::Image,
            OCI_INDEX | DOCKER_LIST => Self::Index,
            _ => Self::Artifact,
        }
    }
}

/// Why a manifest cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or nested too deeply.
    #[error("the manifest is not readable JSON: {why}")]
    NotJson {
        /// Where and why.
        why: String,
    },
    /// JSON, but not an object.
    #[error("the manifest must be a JSON object, but is {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// It contradicts its Content-Type.
    #[error("the manifest says its mediaType is `{says}`, but it was sent as `{sent}`")]
    MediaType {
        /// In the manifest.
        says: String,
        /// In the request.
        sent: String,
    },
    /// A form that nobody should use any more.
    #[error(
        "`{media_type}` is docker's schema 1, which is not taken; push with a client newer than docker 1.10"
    )]
    Schema1 {
        /// The media type.
        media_type: String,
    },
    /// A part that the form demands is missing.
    #[error("the manifest has no `{field}`")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A part that is not what it must be.
    #[error("`{field}` of the manifest is not a descriptor: {why}")]
    Descriptor {
        /// Where in the manifest.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The fields that are looked at; everything else is kept in the bytes and ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<Value>,
    artifact_type: Option<Value>,
    config: Option<Value>,
    layers: Option<Value>,
    blobs: Option<Value>,
    manifests: Option<Value>,
    subject: Option<Value>,
    annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: Digest,
    size: u64,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<Value>,
}

pub(super) fn read(digest: Digest, media_type: &str, bytes: Bytes) -> Result<Manifest, Unreadable> {
    if media_type.starts_with(DOCKER_SCHEMA_1) {
        return Err(Unreadable::Schema1 {
            media_type: media_type.to_owned(),
        });
    }
    let document = parse(&bytes)?;
    if let Some(Value::String(says)) = &document.media_type
        && says != media_type
    {
        return Err(Unreadable::MediaType {
            says: says.clone(),
            sent: media_type.to_owned(),
        });
    }
    let parts = match MediaKind::of(media_type) {
        MediaKind::Image => image_parts(&document)?,
        MediaKind::Index => index_parts(&document)?,
        MediaKind::Artifact => artifact_parts(&document),
    };
    let subject = match &document.subject {
        None | Some(Value::Null) => None,
        Some(subject) => Some(descriptor("subject", subject)?.digest),
    };
    let config_type = parts
        .iter()
        .find(|part| part.kind == PartKind::Config)
        .map(|config| config.media_type.clone());
    Ok(Manifest {
        digest,
        media_type: media_type.to_owned(),
        artifact_type: text(document.artifact_type.as_ref()).or(config_type),
        subject,
        annotations: texts(document.annotations.as_ref()),
        bytes,
        parts,
    })
}

fn parse(bytes: &[u8]) -> Result<Document, Unreadable> {
    let not_json = |error: serde_json::Error| Unreadable::NotJson {
        why: error.to_string(),
    };
    let found = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => return serde_json::from_slice(bytes).map_err(not_json),
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(_) | None => {
            let value: Value = serde_json::from_slice(bytes).map_err(not_json)?;
            if value.is_null() {
                "null"
            } else {
                "a number or a truth value"
            }
        }
    };
    Err(Unreadable::NotAnObject { found })
}

fn image_parts(document: &Document) -> Result<Vec<Part>, Unreadable> {
    let config = document
        .config
        .as_ref()
        .ok_or(Unreadable::Missing { field: "config" })?;
    let mut parts = vec![part(PartKind::Config, "config", config)?];
    parts.extend(every_part(
        PartKind::Layer,
        "layers",
        document.layers.as_ref(),
    )?);
    Ok(parts)
}

fn index_parts(document: &Document) -> Result<Vec<Part>, Unreadable> {
    let mut parts = every_part(PartKind::Manifest, "manifests", document.manifests.as_ref())?;
    for part in &mut parts {
        if is_blob(&part.media_type) {
            part.kind = PartKind::Layer;
        }
    }
    Ok(parts)
}

/// True for what BuildKit's caches list in an index: layers, and the config that describes the cache.
fn is_blob(media_type: &str) -> bool {
    const BLOBS: [&str; 3] = [
        "application/vnd.oci.image.layer.",
        "application/vnd.docker.image.rootfs.",
        "application/vnd.buildkit.cacheconfig.",
    ];
    BLOBS.iter().any(|blob| media_type.starts_with(blob))
}

fn artifact_parts(document: &Document) -> Vec<Part> {
    let single = document
        .config
        .iter()
        .map(|value| (PartKind::Config, value));
    let layers = items(document.layers.as_ref()).map(|value| (PartKind::Layer, value));
    let blobs = items(document.blobs.as_ref()).map(|value| (PartKind::Layer, value));
    let manifests = items(document.manifests.as_ref()).map(|value| (PartKind::Manifest, value));
    single
        .chain(layers)
        .chain(blobs)
        .chain(manifests)
        .filter_map(|(kind, value)| part(kind, "", value).ok())
        .collect()
}

fn every_part(
    kind: PartKind,
    field: &'static str,
    list: Option<&Value>,
) -> Result<Vec<Part>, Unreadable> {
    match list {
        None | Some(Value::Null) => Err(Unreadable::Missing { field }),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(position, value)| part(kind, &format!("{field}[{position}]"), value))
            .collect(),
        Some(_) => Err(Unreadable::Descriptor {
            field: field.to_owned(),
            why: "it must be an array of them".to_owned(),
        }),
    }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn part(kind: PartKind, field: &str, value: &Value) -> Result<Part, Unreadable> {
    let descriptor = descriptor(field, value)?;
    Ok(Part {
        kind,
        digest: descriptor.digest,
        media_type: descriptor.media_type,
        size_bytes: descriptor.size,
        platform: descriptor.platform.as_ref().and_then(platform),
        foreign: descriptor.urls.is_some_and(|urls| !urls.is_empty()),
    })
}

fn descriptor(field: &str, value: &Value) -> Result<Descriptor, Unreadable> {
    Descriptor::deserialize(value).map_err(|error| Unreadable::Descriptor {
        field: field.to_owned(),
        why: error.to_string(),
    })
}

/// `os/architecture[/variant]` of an object that has these fields, as descriptors and image configs do.
pub(in crate::catalog) fn platform(value: &Value) -> Option<String> {
    let field = |name| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let (os, architecture) = (field("os")?, field("architecture")?);
    Some(match field("variant") {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    })
}

fn text(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The members of an object that are texts; nothing of what is not an object.
pub(in crate::catalog) fn texts(value: Option<&Value>) -> BTreeMap<String, String> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read_json(media_type: &str, document: &Value) -> Result<Manifest, Unreadable> {
        let bytes = Bytes::from(document.to_string());
        read(Digest::of(&bytes), media_type, bytes)
    }

    fn descriptor_of(content: &str, media_type: &str) -> Value {
        json!({
            "digest": Digest::of(content.as_bytes()), "size": content.len(), "mediaType": media_type,
        })
    }

    #[test]
    fn an_image_consists_of_its_config_and_its_layers_and_foreign_layers_need_not_be_here() {
        let mut foreign = descriptor_of("elsewhere", "layer");
        foreign["urls"] = json!(["https://elsewhere.example/layer"]);
        let image = json!({
            "schemaVersion": 2, "mediaType": OCI_IMAGE, "unknown": {"x": 1},
            "config": descriptor_of("config", "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor_of("layer", "layer"), foreign],
            "subject": descriptor_of("subject", OCI_IMAGE),
            "annotations": {"a": "b", "number": 1},
        });

        let manifest = read_json(OCI_IMAGE, &image).unwrap();

        let kinds: Vec<_> = manifest
            .parts
            .iter()
            .map(|part| (part.kind, part.foreign))
            .collect();
        assert_eq!(
            kinds,
            [
                (PartKind::Config, false),
                (PartKind::Layer, false),
                (PartKind::Layer, true)
            ]
        );
        assert_eq!(manifest.required().count(), 2);
        assert_eq!(manifest.subject, Some(Digest::of(b"subject")));
        assert_eq!(
            manifest.artifact_type.as_deref(),
            Some("application/vnd.oci.image.config.v1+json")
        );
        assert_eq!(
            manifest.annotations,
            BTreeMap::from([("a".to_owned(), "b".to_owned())])
        );
    }

    #[test]
    fn an_index_consists_of_manifests_with_their_platforms() {
        let mut child = descriptor_of("child", OCI_IMAGE);
        child["platform"] = json!({"os": "linux", "architecture": "arm", "variant": "v7"});

        let manifest = read_json(OCI_INDEX, &json!({"manifests": [child]})).unwrap();

        assert_eq!(manifest.kind(), MediaKind::Index);
        assert_eq!(manifest.parts[0].kind, PartKind::Manifest);
        assert_eq!(manifest.parts[0].platform.as_deref(), Some("linux/arm/v7"));
    }

    #[test]
    fn an_unknown_media_type_is_an_artifact_of_what_is_well_formed() {
        let document = json!({
            "config": "not a descriptor",
            "blobs": [descriptor_of("blob", "x"), {"digest": "sha256:short"}],
        });

        let manifest = read_json("application/vnd.example+json", &document).unwrap();

        assert_eq!(manifest.kind(), MediaKind::Artifact);
        assert_eq!(manifest.parts.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let cases = [
            (
                OCI_IMAGE,
                "nonsense",
                "the manifest is not readable JSON: expected ident at line 1 column 2",
            ),
            (
                OCI_IMAGE,
                "[]",
                "the manifest must be a JSON object, but is an array",
            ),
            (OCI_IMAGE, "{}", "the manifest has no `config`"),
            (OCI_INDEX, "{}", "the manifest has no `manifests`"),
            (
                OCI_INDEX,
                r#"{"manifests": [{"digest": "sha256:1", "size": 1}]}"#,
                "`manifests[0]` of the manifest is not a descriptor: \
                 digest `sha256:1` must have 64 digits of 0-9 and a-f after `sha256:`",
            ),
            (
                OCI_INDEX,
                r#"{"mediaType": "x"}"#,
                "the manifest says its mediaType is `x`, but it was sent as \
                 `application/vnd.oci.image.index.v1+json`",
            ),
            (
                OCI_IMAGE,
                r#"{"config": 1, "config": 2}"#,
                "the manifest is not readable JSON: duplicate field `config` at line 1 column 22",
            ),
        ];
        for (media_type, text, wanted) in cases {
            let bytes = Bytes::from_static(text.as_bytes());
            let refused = read(Digest::of(&bytes), media_type, bytes).unwrap_err();
            assert_eq!(refused.to_string(), wanted);
        }
    }

    #[test]
    fn json_nested_deeper_than_any_manifest_is_unreadable_and_not_a_crash() {
        let bytes = Bytes::from(format!("{{\"x\":{}", "[".repeat(1_000_000)));

        let refused = read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap_err();

        assert!(matches!(refused, Unreadable::NotJson { .. }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[\\[\\]{}\":,a-z0-9]{0,200}") {
            for media_type in [OCI_IMAGE, OCI_INDEX, "other"] {
                let _ = read(Digest::of(&bytes), media_type, Bytes::from(bytes.clone()));
                let _ = read(Digest::of(&bytes), media_type, Bytes::from(text.clone()));
            }
        }
    }
}
