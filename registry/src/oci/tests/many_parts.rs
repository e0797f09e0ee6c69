//! What a manifest of very many parts asks of the database: no more than one of a few.

use super::*;

use bytes::Bytes;
use storage::catalog::manifests::{self, Manifest};
use storage::catalog::{CatalogError, pushed, users};
use workflows::destination::{self, PushName};

const NAME: &str = "acme/busybox";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.acme.note.v1+json";
const FEW: usize = 4;
/// As many as one manifest may name.
const MANY: usize = 4096;
/// Images of so many layers are pushed through the API, which takes its time.
const MANY_LAYERS: usize = 128;
/// So many statements more are what the node does beside it, which takes longer.
const BESIDE: u64 = 60;
/// A manifest that is new and filed with the tag of an index: it is read, and what it says is written down.
const FOR_A_NEW_ONE: u64 = 6;

fn note(number: usize) -> Manifest {
    let note = json!({"mediaType": ARTIFACT_TYPE, "annotations": {"number": number.to_string()}});
    let bytes = Bytes::from(serde_json::to_vec(&note).unwrap());
    Manifest::read(Digest::of(&bytes), ARTIFACT_TYPE, bytes).unwrap()
}

/// Manifests that are pushed by their digests, as those before an index are.
async fn push_notes(world: &World, numbers: std::ops::Range<usize>) {
    let database = &world.app.services.database;
    let at = world.app.services.clock.now();
    for some in numbers.collect::<Vec<_>>().chunks(512) {
        let notes: Vec<Manifest> = some.iter().copied().map(note).collect();
        let work = database.transact::<(), CatalogError>(move |tx| {
            Box::pin(async move {
                let name: PushName = NAME.parse().unwrap();
                let to = destination::resolve(tx, &name).await.unwrap();
                let to = destination::make(tx, &to, at).await.unwrap();
                let by = users::find(tx, "publisher").await?.unwrap().id;
                for note in &notes {
                    manifests::put(tx, note, at).await?;
                    pushed::add(tx, to.id, note, by, at).await?;
                }
                Ok(())
            })
        });
        work.await.unwrap().unwrap();
    }
}

/// An index of these notes; another one for each name.
fn index(numbers: std::ops::Range<usize>, name: &str) -> Vec<u8> {
    let children: Vec<Value> = numbers
        .map(note)
        .map(|it| json!({"mediaType": ARTIFACT_TYPE, "digest": it.digest, "size": it.bytes.len()}))
        .collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "annotations": {"name": name},
        "manifests": children,
    });
    serde_json::to_vec(&index).unwrap()
}

/// What it costs to put the manifest, with all that is done before the answer.
async fn cost(world: &World, reference: &str, media_type: &str, bytes: Vec<u8>) -> u64 {
    let database = &world.app.services.database;
    let before = database.statements();
    let request = put(&format!("/v2/{NAME}/manifests/{reference}"))
        .header(CONTENT_TYPE, media_type)
        .by("publisher")
        .with(bytes);
    world.send(request).await.is(StatusCode::CREATED);
    database.statements() - before
}

async fn cost_of_index(world: &World, reference: Option<&str>, parts: usize, name: &str) -> u64 {
    let bytes = index(0..parts, name);
    let digest = Digest::of(&bytes).to_string();
    cost(world, reference.unwrap_or(&digest), INDEX_TYPE, bytes).await
}

#[tokio::test]
async fn an_index_of_4096_manifests_asks_no_more_of_the_database_than_one_of_four() {
    let world = World::new().await;
    let config = world.upload("publisher", NAME, b"{}").await;
    let layer = world.upload("publisher", NAME, b"layer").await;
    let first = cost(&world, "first", MANIFEST_TYPE, manifest(config, layer)).await;
    push_notes(&world, 0..FEW).await;

    let few = cost_of_index(&world, None, FEW, "few").await;
    let few_tagged = cost_of_index(&world, Some("few"), FEW, "few tagged").await;
    push_notes(&world, FEW..MANY).await;
    let many = cost_of_index(&world, None, MANY, "many").await;
    let many_new = cost_of_index(&world, Some("new"), MANY, "many new").await;
    let few_again = cost_of_index(&world, Some("again"), FEW, "few again").await;
    let many_again = cost_of_index(&world, Some("many"), MANY, "many again").await;

    println!(
        "statements: an image with a tag {first}; an index by its digest {few} of {FEW} manifests, {many} of {MANY}; with a tag {few_tagged} of {FEW} new ones, {few_again} of known ones, {many_new} of {MANY} new ones, {many_again} of known ones"
    );
    assert!(many <= few + BESIDE, "{many} by its digest, {few} of {FEW}");
    assert!(
        many_again <= few_again + BESIDE,
        "{many_again} with a tag, {few_again} of {FEW}"
    );
    assert!(
        many_new <= few_tagged + FOR_A_NEW_ONE * MANY as u64 + BESIDE,
        "{many_new} with a tag of {MANY} new ones"
    );
}

#[tokio::test]
async fn an_image_of_many_layers_asks_no_more_of_the_database_than_one_of_few() {
    let world = World::new().await;
    let config = world.upload("publisher", NAME, b"{}").await;
    let mut layers = Vec::new();
    for n in 0..MANY_LAYERS {
        let bytes = format!("layer {n}").leak();
        layers.push(world.upload("publisher", NAME, bytes.as_bytes()).await);
    }
    let image = |layers: &[Digest], name: &str| {
        let part = |media_type: &str, digest: &Digest| json!({ "mediaType": media_type, "digest": digest, "size": 9 });
        let layers = layers.iter();
        let layers = layers.map(|it| part("application/vnd.oci.image.layer.v1.tar", it));
        let image = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "annotations": {"name": name},
            "config": part("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.collect::<Vec<_>>(),
        });
        serde_json::to_vec(&image).unwrap()
    };
    let (some, all) = (&layers[..FEW], &layers[..]);
    cost(&world, "first", MANIFEST_TYPE, image(some, "first")).await;

    let few = cost(&world, "few", MANIFEST_TYPE, image(some, "few")).await;
    let many = cost(&world, "many", MANIFEST_TYPE, image(all, "many")).await;

    println!("statements: a tag of an image of {FEW} layers {few}, of {MANY_LAYERS} {many}");
    assert!(
        many <= few + BESIDE,
        "{many} statements, {few} of {FEW} layers"
    );
}
