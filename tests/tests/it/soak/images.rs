//! What is pushed: small images of layers that they share.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tests::image::{self, Image, described};
use tests::{digest, noise};

/// Few enough that each is in several images, many enough that some are in none that is kept.
const LAYERS: u64 = 400;
const LAYER_BYTES: usize = 1500;
const LAYERS_EACH: usize = 3;
/// What each writer pushes from: an image that was deleted is pushed again sooner or later.
const IMAGES_EACH: usize = 60;
/// The last of them are indexes over two others.
const INDEXES_EACH: usize = 6;

/// An image by its place in [`Images`].
pub(super) type ImageNo = usize;
/// A blob by its place.
pub(super) type BlobNo = usize;

/// One image, or an index over others.
pub(super) struct Made {
    pub(super) digest: String,
    pub(super) media_type: &'static str,
    pub(super) manifest: Bytes,
    /// Those of its own.
    pub(super) blobs: Vec<BlobNo>,
    /// What an index lists.
    pub(super) children: Vec<ImageNo>,
}

/// All images and all blobs.
pub(super) struct Images {
    pub(super) all: Vec<Made>,
    pub(super) blobs: Vec<(String, Bytes)>,
}

impl Images {
    pub(super) fn make(writers: usize) -> Self {
        let mut random = StdRng::seed_from_u64(super::SEED);
        let with_digest = |bytes: Bytes| (digest::of(&bytes), bytes);
        let mut blobs: Vec<_> = (0..LAYERS)
            .map(|n| with_digest(noise::bytes(n, LAYER_BYTES)))
            .collect();
        let mut all = Vec::new();
        for n in 0..writers * IMAGES_EACH {
            let of_writer = n % IMAGES_EACH;
            if of_writer >= IMAGES_EACH - INDEXES_EACH {
                let first = n - of_writer + 2 * (of_writer + INDEXES_EACH - IMAGES_EACH);
                all.push(index(&all, [first, first + 1]));
                continue;
            }
            let mut of: Vec<BlobNo> = Vec::new();
            while of.len() < LAYERS_EACH {
                let layer = random.random_range(0..usize::try_from(LAYERS).expect("it is small"));
                if !of.contains(&layer) {
                    of.push(layer);
                }
            }
            let layers = of.iter().map(|layer| blobs[*layer].1.clone()).collect();
            let image = Image::with_layers(layers, "amd64");
            of.push(blobs.len());
            blobs.push(with_digest(image.config.clone()));
            all.push(Made {
                digest: image.digest,
                media_type: image::MANIFEST,
                manifest: image.manifest,
                blobs: of,
                children: Vec::new(),
            });
        }
        Self { all, blobs }
    }

    /// The image and what it lists: the listed ones first, as they are pushed.
    pub(super) fn with_children(&self, image: ImageNo) -> impl Iterator<Item = ImageNo> {
        self.all[image].children.iter().copied().chain([image])
    }

    /// Those that a writer pushes: nobody else does.
    pub(super) fn of(writer: usize) -> std::ops::Range<ImageNo> {
        writer * IMAGES_EACH..(writer + 1) * IMAGES_EACH
    }
}

fn index(all: &[Made], children: [ImageNo; 2]) -> Made {
    let listed = children.map(|child| described(image::MANIFEST, &all[child].manifest));
    let index = json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": listed });
    let manifest = Bytes::from(index.to_string());
    Made {
        digest: digest::of(&manifest),
        media_type: image::INDEX,
        manifest,
        blobs: Vec::new(),
        children: children.into(),
    }
}
