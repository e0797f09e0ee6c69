//! Images made by hand: what `demo` and `bench` push.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use sha2::{Digest, Sha256};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of an OCI image manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes and the digest by which they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) digest: String,
    pub(crate) bytes: Bytes,
}

impl Part {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            bytes: bytes.into(),
        }
    }

    /// Bytes that no other seed has.
    fn noise(seed: u64, count: usize) -> Self {
        let mut bytes = vec![0; count];
        StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
        Self::new(bytes)
    }
}

/// A blob too large to be kept in memory: one piece of noise, over and over.
pub(crate) struct LargeBlob {
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    piece: Bytes,
}

impl LargeBlob {
    /// As no other seed has it. `size_bytes` is a multiple of a MiB.
    pub(crate) fn new(seed: u64, size_bytes: u64) -> Self {
        let piece = Part::noise(seed, 1024 * 1024).bytes;
        let mut hash = Sha256::new();
        for _ in 0..size_bytes / piece.len() as u64 {
            hash.update(&piece);
        }
        let digest = format!("sha256:{}", hex::encode(hash.finalize()));
        Self {
            digest,
            size_bytes,
            piece,
        }
    }

    /// Its bytes, piece by piece, none of them copied.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (piece, count) = (
            self.piece.clone(),
            self.size_bytes / self.piece.len() as u64,
        );
        (0..count).map(move |_| piece.clone())
    }
}

/// The digest of these bytes, as OCI writes it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A whole image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Part,
    config: Part,
    layers: Vec<Part>,
}

impl Image {
    /// An image that says hello.
    pub(crate) fn hello() -> Self {
        let layer = Part::new(tar("hello.txt", b"Hello from a wharfinger.\n"));
        Self::of(vec![layer], "hello", 0)
    }

    /// An image of two layers and a config of so many bytes each, as no other number has it.
    pub(crate) fn of_noise(number: u64, part_bytes: usize) -> Self {
        let layers = vec![
            Part::noise(2 * number, part_bytes),
            Part::noise(2 * number + 1, part_bytes),
        ];
        Self::of(layers, &format!("noise {number}"), part_bytes)
    }

    /// An image of this one layer, which is not among its [`blobs`](Self::blobs): it is pushed as it is made.
    pub(crate) fn of_large(layer: &LargeBlob) -> Self {
        let (manifest, config) = described(&[(&layer.digest, layer.size_bytes)], "large", 0);
        Self {
            manifest,
            config,
            layers: Vec::new(),
        }
    }

    /// Another manifest over the same blobs, as no other title has it.
    pub(crate) fn manifest_called(&self, title: &str) -> Part {
        let annotations = json!({ "annotations": { "org.opencontainers.image.title": title } });
        let (first, rest) = (self.manifest.bytes.as_ref(), text(&annotations));
        // Both are objects: the comma stands in place of the end of the one and the beginning of the other.
        let mut whole = first[..first.len() - 1].to_vec();
        whole.push(b',');
        whole.extend_from_slice(&rest[1..]);
        Part::new(whole)
    }

    /// `config_bytes`: how large the config is at least.
    fn of(layers: Vec<Part>, title: &str, config_bytes: usize) -> Self {
        let sizes: Vec<_> = layers
            .iter()
            .map(|layer| (layer.digest.as_str(), layer.bytes.len() as u64))
            .collect();
        let (manifest, config) = described(&sizes, title, config_bytes);
        Self {
            manifest,
            config,
            layers,
        }
    }

    /// What must be there before the manifest.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Part> {
        self.layers.iter().chain([&self.config])
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let blobs: usize = self.blobs().map(|blob| blob.bytes.len()).sum();
        self.manifest.bytes.len() + blobs
    }
}

/// Manifest and config of an image with layers of these digests and sizes.
fn described(layers: &[(&str, u64)], title: &str, config_bytes: usize) -> (Part, Part) {
    let diff_ids: Vec<&str> = layers.iter().map(|(digest, _)| *digest).collect();
    let mut config = text(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "org.opencontainers.image.title": title } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }));
    config.resize(config.len().max(config_bytes), b' ');
    let config = Part::new(config);
    let descriptor = |media_type: &str, digest: &str, size: u64| json!({ "mediaType": media_type, "digest": digest, "size": size });
    let layers: Vec<_> = layers
        .iter()
        .map(|(digest, size)| descriptor(LAYER_TYPE, digest, *size))
        .collect();
    let manifest = Part::new(text(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, &config.digest, config.bytes.len() as u64),
        "layers": layers,
    })));
    (manifest, config)
}

fn text(json: &serde_json::Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

const BLOCK: usize = 512;

/// A tar archive of one file, of type ustar.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0"); // mode
    put(108, "0000000\0"); // user
    put(116, "0000000\0"); // group
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0"); // modified in 1970, so that the digest never changes
    put(148, "        "); // the checksum counts itself as spaces
    put(156, "0"); // a regular file
    put(257, "ustar\0");
    put(263, "00"); // the version of ustar
    let checksum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());

    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    archive.resize(archive.len() + 2 * BLOCK, 0); // the end of an archive
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_same_every_time() {
        assert_eq!(Image::hello().manifest, Image::hello().manifest);
    }

    #[test]
    fn a_manifest_by_another_title_is_another_one_over_the_same_layers() {
        let image = Image::hello();

        let other = image.manifest_called("other");

        assert_ne!(other.digest, image.manifest.digest);
        let layers = |part: &Part| {
            let manifest: serde_json::Value = serde_json::from_slice(&part.bytes).unwrap();
            manifest["layers"].clone()
        };
        assert_eq!(layers(&other), layers(&image.manifest));
    }

    #[test]
    fn the_layer_is_an_archive_that_tar_reads() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("layer.tar");
        std::fs::write(&archive, tar("hello.txt", b"Hello")).unwrap();

        let unpacked = std::process::Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(folder.path())
            .status();

        assert!(unpacked.unwrap().success());
        assert_eq!(
            std::fs::read(folder.path().join("hello.txt")).unwrap(),
            b"Hello"
        );
    }
}
