//! The image that `demo` pushes: one layer with one file, made by hand.

use serde_json::json;
use sha2::{Digest, Sha256};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of an OCI image manifest.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes and the digest by which they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) digest: String,
    pub(super) bytes: Vec<u8>,
}

impl Part {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            bytes,
        }
    }
}

/// The digest of these bytes, as OCI writes it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A whole image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) manifest: Part,
    config: Part,
    layer: Part,
}

impl Image {
    /// An image that says hello.
    pub(super) fn hello() -> Self {
        let layer = Part::new(tar("hello.txt", b"Hello from a wharfinger.\n"));
        let config = Part::new(text(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "org.opencontainers.image.title": "hello" } },
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        })));
        let descriptor = |media_type: &str, part: &Part| json!({ "mediaType": media_type, "digest": part.digest, "size": part.bytes.len() });
        let manifest = Part::new(text(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": [descriptor(LAYER_TYPE, &layer)],
        })));
        Self {
            manifest,
            config,
            layer,
        }
    }

    /// What must be there before the manifest.
    pub(super) fn blobs(&self) -> [&Part; 2] {
        [&self.layer, &self.config]
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.manifest.bytes.len() + self.config.bytes.len() + self.layer.bytes.len()
    }
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
