//! Reading the JSON of a manifest: strict about what decides which content an image has, lenient about the rest.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::json::{Piece, Platform, is_object, miswritten, text, texts};
use super::{Manifest, Part, PartKind};
use crate::Digest;

const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// More than any image, index or cache has. Each part costs some microseconds of the only writer of the database, where all
/// pushes meet: so many hold the others up for some hundredths of a second.
const MAX_PARTS: usize = 4096;

/// The keys of a manifest that decide what it consists of.
const KEYS: [&str; 8] = [
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "blobs",
    "manifests",
    "subject",
    "annotations",
];
/// The same of a descriptor.
const DESCRIPTOR_KEYS: [&str; 6] = ["mediaType", "digest", "size", "urls", "platform", "data"];

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
    /// What this media type, in which case does not count, stands for.
    #[must_use]
    pub fn of(media_type: &str) -> Self {
        let is = |known: &&str| media_type.eq_ignore_ascii_case(known);
        if [OCI_IMAGE, DOCKER_IMAGE].iter().any(is) {
            Self::Image
        } else if [OCI_INDEX, DOCKER_LIST].iter().any(is) {
            Self::Index
        } else {
            Self::Artifact
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
    /// A part of another form: it could be taken for the one or the other.
    #[error(
        "the manifest was sent as `{media_type}` and has `{field}` all the same; such a manifest means one thing to some clients and another to others"
    )]
    Both {
        /// What it was sent as.
        media_type: String,
        /// What that form does not have.
        field: &'static str,
    },
    /// A key that some clients take for a known one, and others do not.
    #[error("`{key}` is a key of the manifest only if case is overlooked, which some clients do")]
    Miswritten {
        /// As it is written.
        key: String,
    },
    /// More parts than are taken.
    #[error("the manifest names {found} parts; at most {MAX_PARTS} are taken")]
    TooManyParts {
        /// How many.
        found: usize,
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
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Document<'a> {
    media_type: Option<Piece<'a>>,
    artifact_type: Option<Piece<'a>>,
    config: Option<Piece<'a>>,
    layers: Option<Piece<'a>>,
    blobs: Option<Piece<'a>>,
    manifests: Option<Piece<'a>>,
    subject: Option<Piece<'a>>,
    annotations: Option<Piece<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Descriptor<'a> {
    digest: Digest,
    size: u64,
    #[serde(default)]
    media_type: String,
    urls: Option<Vec<String>>,
    platform: Option<Piece<'a>>,
}

pub(super) fn read(digest: Digest, media_type: &str, bytes: Bytes) -> Result<Manifest, Unreadable> {
    if begins_with(media_type, DOCKER_SCHEMA_1) {
        return Err(Unreadable::Schema1 {
            media_type: media_type.to_owned(),
        });
    }
    let document = parse(&bytes)?;
    let says = document
        .media_type
        .map(|says| serde_json::from_str(says.get()));
    if let Some(Ok::<String, _>(says)) = says
        && !says.eq_ignore_ascii_case(media_type)
    {
        return Err(Unreadable::MediaType {
            says,
            sent: media_type.to_owned(),
        });
    }
    let parts = match MediaKind::of(media_type) {
        MediaKind::Image => {
            has_only_its_own(media_type, &bytes, [("manifests", document.manifests)])?;
            image_parts(&document)?
        }
        MediaKind::Index => {
            let others = [("config", document.config), ("layers", document.layers)];
            has_only_its_own(media_type, &bytes, others)?;
            index_parts(&document)?
        }
        MediaKind::Artifact => artifact_parts(&document),
    };
    if parts.len() > MAX_PARTS {
        return Err(Unreadable::TooManyParts { found: parts.len() });
    }
    let subject = document
        .subject
        .map(|subject| descriptor("subject", subject));
    let subject = subject.transpose()?.map(|subject| subject.digest);
    let config_type = parts
        .iter()
        .find(|part| part.kind == PartKind::Config)
        .map(|config| config.media_type.clone());
    Ok(Manifest {
        digest,
        media_type: media_type.to_owned(),
        artifact_type: text(document.artifact_type).or(config_type),
        subject,
        annotations: texts(document.annotations),
        bytes,
        parts,
    })
}

/// A form that others read must mean the same to all of them: it has no part of another form, and no key that only some
/// of them know.
fn has_only_its_own<const N: usize>(
    media_type: &str,
    bytes: &[u8],
    others: [(&'static str, Option<Piece<'_>>); N],
) -> Result<(), Unreadable> {
    if let Some((field, _)) = others.into_iter().find(|(_, piece)| piece.is_some()) {
        let media_type = media_type.to_owned();
        return Err(Unreadable::Both { media_type, field });
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    match miswritten(text, &KEYS) {
        Some(key) => Err(Unreadable::Miswritten { key }),
        None => Ok(()),
    }
}

/// The text begins so, whatever its case.
fn begins_with(text: &str, beginning: &str) -> bool {
    let length = beginning.len();
    text.get(..length)
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

fn parse(bytes: &[u8]) -> Result<Document<'_>, Unreadable> {
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

fn image_parts(document: &Document<'_>) -> Result<Vec<Part>, Unreadable> {
    let config = document
        .config
        .ok_or(Unreadable::Missing { field: "config" })?;
    let mut parts = vec![part(PartKind::Config, "config", config)?];
    parts.extend(every_part(PartKind::Layer, "layers", document.layers)?);
    Ok(parts)
}

fn index_parts(document: &Document<'_>) -> Result<Vec<Part>, Unreadable> {
    let mut parts = every_part(PartKind::Manifest, "manifests", document.manifests)?;
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
    BLOBS.iter().any(|blob| begins_with(media_type, blob))
}

fn artifact_parts(document: &Document<'_>) -> Vec<Part> {
    let single = document.config.map(|piece| (PartKind::Config, piece));
    let of = |kind, list| pieces(list).into_iter().map(move |piece| (kind, piece));
    single
        .into_iter()
        .chain(of(PartKind::Layer, document.layers))
        .chain(of(PartKind::Layer, document.blobs))
        .chain(of(PartKind::Manifest, document.manifests))
        .filter_map(|(kind, piece)| part(kind, "", piece).ok())
        .collect()
}

fn every_part(
    kind: PartKind,
    field: &'static str,
    list: Option<Piece<'_>>,
) -> Result<Vec<Part>, Unreadable> {
    let list = list.ok_or(Unreadable::Missing { field })?;
    if !list.get().starts_with('[') {
        return Err(Unreadable::Descriptor {
            field: field.to_owned(),
            why: "it must be an array of them".to_owned(),
        });
    }
    pieces(Some(list))
        .into_iter()
        .enumerate()
        .map(|(position, piece)| part(kind, &format!("{field}[{position}]"), piece))
        .collect()
}

/// The elements of an array; nothing of what is none.
fn pieces(list: Option<Piece<'_>>) -> Vec<Piece<'_>> {
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}

fn part(kind: PartKind, field: &str, piece: Piece<'_>) -> Result<Part, Unreadable> {
    let descriptor = descriptor(field, piece)?;
    Ok(Part {
        kind,
        digest: descriptor.digest,
        media_type: descriptor.media_type,
        size_bytes: descriptor.size,
        platform: descriptor.platform.and_then(Platform::of),
        foreign: descriptor.urls.is_some_and(|urls| !urls.is_empty()),
    })
}

fn descriptor<'a>(field: &str, piece: Piece<'a>) -> Result<Descriptor<'a>, Unreadable> {
    let wrong = |why| Unreadable::Descriptor {
        field: field.to_owned(),
        why,
    };
    if !is_object(piece) {
        return Err(wrong("it must be an object".to_owned()));
    }
    if let Some(key) = miswritten(piece.get(), &DESCRIPTOR_KEYS) {
        return Err(wrong(format!(
            "`{key}` is a key of it only if case is overlooked"
        )));
    }
    serde_json::from_str(piece.get()).map_err(|error| {
        // Its place in the piece is none in the document.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let why = error.to_string();
        wrong(why.strip_suffix(&place).unwrap_or(&why).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
                OCI_IMAGE,
                r#"{"config": ["sha256:1", 1]}"#,
                "`config` of the manifest is not a descriptor: it must be an object",
            ),
            (
                OCI_INDEX,
                r#"{"manifests": {}}"#,
                "`manifests` of the manifest is not a descriptor: it must be an array of them",
            ),
            (
                OCI_INDEX,
                r#"{"mediaType": "x"}"#,
                "the manifest says its mediaType is `x`, but it was sent as \
                 `application/vnd.oci.image.index.v1+json`",
            ),
            (
                OCI_IMAGE,
                r#"{"config": {}, "layers": [], "manifests": []}"#,
                "the manifest was sent as `application/vnd.oci.image.manifest.v1+json` and has `manifests` all the \
                 same; such a manifest means one thing to some clients and another to others",
            ),
            (
                OCI_INDEX,
                r#"{"manifests": [], "layers": []}"#,
                "the manifest was sent as `application/vnd.oci.image.index.v1+json` and has `layers` all the same; \
                 such a manifest means one thing to some clients and another to others",
            ),
            (
                OCI_INDEX,
                r#"{"manifests": [], "Manifests": []}"#,
                "`Manifests` is a key of the manifest only if case is overlooked, which some clients do",
            ),
            (
                OCI_IMAGE,
                r#"{"config": {}, "layers": [], "layer\u017f": []}"#,
                "`layer\u{17f}` is a key of the manifest only if case is overlooked, which some clients do",
            ),
            (
                OCI_INDEX,
                r#"{"manifests": [{"digest": "sha256:1", "size": 1, "Digest": "sha256:2"}]}"#,
                "`manifests[0]` of the manifest is not a descriptor: `Digest` is a key of it only if case is overlooked",
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
    fn media_types_are_the_same_whatever_their_case() {
        let document = json!({"mediaType": OCI_INDEX, "manifests": []});

        let manifest = read_json(&OCI_INDEX.to_uppercase(), &document).unwrap();

        assert_eq!(manifest.kind(), MediaKind::Index);
        let schema_1 = format!("{}+json", DOCKER_SCHEMA_1.to_uppercase());
        assert!(matches!(
            read_json(&schema_1, &json!({})),
            Err(Unreadable::Schema1 { .. })
        ));
    }

    #[test]
    fn a_manifest_of_more_parts_than_anything_has_is_refused() {
        let child = descriptor_of("child", OCI_IMAGE);
        let index = |parts: usize| json!({"manifests": vec![child.clone(); parts]});

        assert!(read_json(OCI_INDEX, &index(MAX_PARTS)).is_ok());
        assert_eq!(
            read_json(OCI_INDEX, &index(MAX_PARTS + 1)),
            Err(Unreadable::TooManyParts {
                found: MAX_PARTS + 1
            })
        );
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
