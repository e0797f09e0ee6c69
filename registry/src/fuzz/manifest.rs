//! Manifests and configs, as `reindex` reads them.
//!
//! An input is a media type, a line end, the manifest, a line `---` and the config. `{d0}` to `{d9}` stand for digests,
//! `{image}`, `{index}` and `{config}` for media types: nobody guesses those.

use bytes::Bytes;
use storage::Digest;
use storage::catalog::images::{Image, ImageKind};
use storage::catalog::manifests::{Manifest, MediaKind, PartKind};

use super::{Check, text};

const NAMES: [(&str, &str); 4] = [
    ("{image}", "application/vnd.oci.image.manifest.v1+json"),
    ("{index}", "application/vnd.oci.image.index.v1+json"),
    ("{config}", "application/vnd.oci.image.config.v1+json"),
    ("{layer}", "application/vnd.oci.image.layer.v1.tar+gzip"),
];

pub(super) fn start() -> Check {
    Box::new(check)
}

fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (media_type, rest) = input.split_at(end.unwrap_or(input.len()));
    let rest = rest.get(1..).unwrap_or_default();
    let (document, config) = split(rest, b"\n---\n");

    let media_type = text(&filled_in(media_type));
    let bytes = Bytes::from(filled_in(document));
    let digest = Digest::of(&bytes);
    let read = Manifest::read(digest, &media_type, bytes.clone());
    let again = Manifest::read(digest, &media_type, bytes.clone());
    assert_eq!(read, again, "the same bytes are the same manifest");
    match read {
        Ok(manifest) => {
            assert_eq!((manifest.digest, &manifest.bytes), (digest, &bytes));
            parts_are_bounded_by_the_bytes(&manifest);
            indexed(&manifest, None);
            indexed(&manifest, config.map(filled_in).as_deref());
        }
        Err(why) => {
            let why = why.to_string();
            let most = 2 * input.len() + 1024;
            assert!(why.len() <= most, "a refusal is short: {why}");
        }
    }
}

fn parts_are_bounded_by_the_bytes(manifest: &Manifest) {
    // A digest alone takes more bytes than this in JSON.
    assert!(manifest.parts.len() * 64 <= manifest.bytes.len());
    let configs = manifest
        .parts
        .iter()
        .filter(|part| part.kind == PartKind::Config);
    match manifest.kind() {
        MediaKind::Image => assert_eq!(configs.count(), 1, "an image has one config"),
        MediaKind::Index => assert_eq!(configs.count(), 0, "an index has none"),
        MediaKind::Artifact => assert!(configs.count() <= 1),
    }
    for part in &manifest.parts {
        assert_eq!(part.digest.to_string().parse(), Ok(part.digest));
    }
}

fn indexed(manifest: &Manifest, config: Option<&[u8]>) {
    let image = Image::read(manifest, config);
    assert_eq!(image, Image::read(manifest, config), "read again, the same");
    assert!(image.size_bytes >= manifest.bytes.len() as u64);
    assert!(
        image.kind == ImageKind::Image || image.labels.is_empty() && image.created.is_none(),
        "only an image has a config that is read"
    );
    let texts = image
        .platforms
        .iter()
        .chain(image.labels.iter().flat_map(<[&String; 2]>::from))
        .chain(&image.created);
    for text in texts {
        assert!(!text.contains('\0'), "not every database can keep {text:?}");
    }
}

/// What is before and behind the first `between`; all of it and nothing if there is none.
fn split<'a>(input: &'a [u8], between: &[u8]) -> (&'a [u8], Option<&'a [u8]>) {
    let at = input.windows(between.len()).position(|at| at == between);
    at.map_or((input, None), |at| {
        (&input[..at], Some(&input[at + between.len()..]))
    })
}

/// The input with real digests and media types; as it is if it is no text.
fn filled_in(input: &[u8]) -> Vec<u8> {
    let Ok(text) = str::from_utf8(input) else {
        return input.to_owned();
    };
    if !text.contains('{') {
        return input.to_owned();
    }
    let mut text = text.to_owned();
    for (short, long) in NAMES {
        text = text.replace(short, long);
    }
    for digit in b'0'..=b'9' {
        let short = format!("{{d{}}}", char::from(digit));
        if text.contains(&short) {
            text = text.replace(&short, &Digest::of(&[digit]).to_string());
        }
    }
    text.into_bytes()
}
