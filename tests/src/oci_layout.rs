//! An image or an index as an OCI layout on disk, as skopeo reads it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::digest;
use crate::image::{self, Image, Index};

/// Writes an image as an OCI layout into `folder`; answers with the folder.
pub fn of_image(folder: &Path, image: &Image) -> PathBuf {
    for bytes in image.blobs().chain([&image.manifest]) {
        put(folder, bytes);
    }
    describe(folder, image::MANIFEST, &image.manifest)
}

/// Writes an index with all its images as an OCI layout into `folder`; answers with the folder.
pub fn of_index(folder: &Path, index: &Index) -> PathBuf {
    for image in &index.images {
        for bytes in image.blobs().chain([&image.manifest]) {
            put(folder, bytes);
        }
    }
    put(folder, &index.manifest);
    describe(folder, image::INDEX, &index.manifest)
}

/// The bytes of a blob of the layout, `None` when it holds none of this digest.
pub fn blob(folder: &Path, digest: &str) -> Option<Vec<u8>> {
    fs::read(folder.join("blobs").join(digest.replace(':', "/"))).ok()
}

fn put(folder: &Path, bytes: &[u8]) {
    let path = folder
        .join("blobs")
        .join(digest::of(bytes).replace(':', "/"));
    fs::create_dir_all(path.parent().expect("a blob lies in a folder")).expect("a folder of ours");
    fs::write(path, bytes).expect("a file of ours");
}

fn describe(folder: &Path, media_type: &str, root: &[u8]) -> PathBuf {
    let index = json!({ "schemaVersion": 2, "manifests": [image::described(media_type, root)] });
    let files = [
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
        ("index.json", index),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content.to_string()).expect("a file of ours");
    }
    folder.to_owned()
}
