//! Images made in memory: layers of noise, a config, a manifest, and an index of two platforms.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{digest, noise};

/// The media type of an OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an OCI image's config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of an uncompressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image: everything that a push of it sends.
#[derive(Clone, Debug)]
pub struct Image {
    /// The layers, the lowest first.
    pub layers: Vec<Bytes>,
    /// The config.
    pub config: Bytes,
    /// The manifest.
    pub manifest: Bytes,
    /// The manifest's digest.
    pub digest: String,
    platform: &'static str,
}

impl Image {
    /// An image of three layers of 4 KiB, different for each seed.
    pub fn small(seed: u64) -> Self {
        let layers = (0..3)
            .map(|n| noise::bytes(seed.wrapping_mul(1000).wrapping_add(n), 4096))
            .collect();
        Self::with_layers(layers, "amd64")
    }

    /// An image of these layers for a platform's architecture.
    pub fn with_layers(layers: Vec<Bytes>, platform: &'static str) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest::of(layer)).collect();
        let config = Bytes::from(
            json!({
                "architecture": platform,
                "os": "linux",
                "created": "2026-01-01T00:00:00Z",
                "config": { "Labels": { "made.by": "the end-to-end tests" } },
                "rootfs": { "type": "layers", "diff_ids": diff_ids },
            })
            .to_string(),
        );
        let parts: Vec<_> = layers.iter().map(|layer| described(LAYER, layer)).collect();
        let manifest = Bytes::from(
            json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": described(CONFIG, &config),
                "layers": parts,
            })
            .to_string(),
        );
        let digest = digest::of(&manifest);
        Self {
            layers,
            config,
            manifest,
            digest,
            platform,
        }
    }

    /// The same image as one that says something about another: as signatures do.
    pub fn about(self, subject: &Self) -> Self {
        let mut manifest: Value = serde_json::from_slice(&self.manifest).expect("ours is JSON");
        manifest["subject"] = described(MANIFEST, &subject.manifest);
        let manifest = Bytes::from(manifest.to_string());
        let digest = digest::of(&manifest);
        Self {
            manifest,
            digest,
            ..self
        }
    }

    /// All its blobs: the layers and the config.
    pub fn blobs(&self) -> impl Iterator<Item = &Bytes> {
        self.layers.iter().chain([&self.config])
    }
}

/// An index over images of several platforms.
#[derive(Clone, Debug)]
pub struct Index {
    /// The images it lists.
    pub images: Vec<Image>,
    /// The index itself.
    pub manifest: Bytes,
    /// The index's digest.
    pub digest: String,
}

impl Index {
    /// An index over two images, for amd64 and arm64.
    pub fn two_platforms(seed: u64) -> Self {
        let images: Vec<_> = [("amd64", seed), ("arm64", seed.wrapping_add(1))]
            .map(|(platform, seed)| Image::with_layers(vec![noise::bytes(seed, 8192)], platform))
            .into();
        let children: Vec<_> = images
            .iter()
            .map(|image| {
                let mut child = described(MANIFEST, &image.manifest);
                child["platform"] = json!({ "os": "linux", "architecture": image.platform });
                child
            })
            .collect();
        let manifest = Bytes::from(
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string(),
        );
        let digest = digest::of(&manifest);
        Self {
            images,
            manifest,
            digest,
        }
    }
}

/// A descriptor of these bytes.
pub fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest::of(bytes), "size": bytes.len() })
}
