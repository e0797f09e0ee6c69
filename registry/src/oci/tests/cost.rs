//! What a push asks of the database: so often something may wait for the disk, and so much is there to do in between.

use super::*;

/// A tag costs so many statements. More is slower: say in the commit why it is needed.
const STATEMENTS: u64 = 100;
/// And so many commits, each of which waits for the disk.
const COMMITS: u64 = 7;
const TAGS: u64 = 20;

fn commits(database: &Database) -> u64 {
    let batches = database.batches();
    batches.iter().map(|(_, commits)| commits).sum()
}

#[tokio::test]
async fn a_tag_asks_no_more_of_the_database_than_it_did() {
    let world = World::new().await;
    let database = &world.app.services.database;
    let config = world.upload("publisher", "acme/busybox", b"{}").await;
    let layer = world.upload("publisher", "acme/busybox", b"layer").await;
    let bytes = manifest(config, layer);
    let tag = async |tag: String| {
        let put = put_manifest("acme/busybox", &tag);
        let answer = world.send(put.by("publisher").with(bytes.clone())).await;
        answer.is(StatusCode::CREATED);
    };
    tag("first".to_owned()).await;

    let before = (database.statements(), commits(database));
    for number in 0..TAGS {
        tag(format!("t{number}")).await;
    }
    let after = (database.statements(), commits(database));

    let (statements, commits) = ((after.0 - before.0) / TAGS, (after.1 - before.1) / TAGS);
    println!("a tag: {statements} statements, {commits} commits");
    assert!(
        statements <= STATEMENTS && commits <= COMMITS,
        "a tag took {statements} statements and {commits} commits"
    );
}
