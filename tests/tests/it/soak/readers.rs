//! Readers: whoever pulls what nobody changes meanwhile gets all of it.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;

use super::images::ImageNo;
use super::wire::{Lost, stubbornly};
use super::{World, are};

const BETWEEN_PULLS: Duration = Duration::from_millis(30);

/// Pulls one tag after the other, until there was enough.
pub(super) async fn read(world: Arc<World>, reader: usize) {
    let mut random = StdRng::seed_from_u64(super::SEED + 1000 + reader as u64);
    while world.goes_on() {
        tokio::time::sleep(BETWEEN_PULLS).await; // the writers shall have most of the server
        let found = {
            let ledger = world.ledger();
            let at = random.random_range(0..ledger.places());
            let tags = ledger.content(at).map(|content| content.tags);
            let tag = tags.into_iter().flatten().choose(&mut random);
            tag.filter(|_| ledger.epoch(at).is_multiple_of(2))
                .map(|(tag, image)| (at, ledger.epoch(at), ledger.name(at), tag, image))
        };
        let Some((at, epoch, name, tag, image)) = found else {
            continue;
        };
        let missing = pull(&world, &name, &tag, image).await;
        if let Ok(Some(missing)) = missing
            && world.ledger().epoch(at) == epoch
        {
            panic!("{name}:{tag} was not changed and could not be pulled whole: {missing}");
        }
    }
}

/// Fails the test unless the tag is this image with all its blobs.
pub(super) async fn assert_whole(world: &World, name: &str, tag: &str, image: ImageNo) {
    let pulled = stubbornly("a pull", async || pull(world, name, tag, image).await);
    if let Some(missing) = pulled.await {
        panic!("{name}:{tag} cannot be pulled whole: {missing}");
    }
}

/// What of the image is missing, or other than it was pushed; nothing: all is there.
pub(super) async fn pull(
    world: &World,
    name: &str,
    tag: &str,
    image: ImageNo,
) -> Result<Option<String>, Lost> {
    let wire = &world.wire;
    for part in world.images.with_children(image) {
        let made = &world.images.all[part];
        let reference = if part == image { tag } else { &made.digest };
        let manifest = wire.of(Method::GET, name, &format!("manifests/{reference}"));
        let manifest = wire.send(manifest).await?;
        if manifest.status != 200 || manifest.body != made.manifest {
            return Ok(Some(manifest.to_string()));
        }
        world.tally.add("manifest pulled");
        for blob in &made.blobs {
            let (digest, _) = &world.images.blobs[*blob];
            let request = wire.of(Method::GET, name, &format!("blobs/{digest}"));
            let answer = wire.send(request).await?;
            if answer.status != 200 {
                return Ok(Some(answer.to_string()));
            }
            // Whatever is changed meanwhile, no byte is another one.
            assert!(are(&answer.body, digest), "{name}: {digest} is other bytes");
            world.tally.add("blob pulled");
        }
    }
    Ok(None)
}
