//! One suite for every store of objects.

use futures_util::TryStreamExt as _;

use super::*;
use crate::{Algorithm, Digest};

const MIB: usize = 1024 * 1024;

fn bytes(length: usize, seed: u8) -> Bytes {
    let pattern = |n: usize| u8::try_from((n * 31 + n / 251 + usize::from(seed)) % 256).unwrap();
    (0..length).map(pattern).collect()
}

fn no_hash() -> Running {
    Running::new(Algorithm::Sha256)
}

async fn write(objects: &dyn Objects, state: ObjectState, content: &Bytes) -> ObjectState {
    let mut writer = objects.append(state).await.unwrap();
    let mut hash = no_hash();
    for at in (0..content.len()).step_by(MIB) {
        let end = content.len().min(at + MIB);
        let piece = content.slice(at..end);
        writer.write(piece, &mut hash).await.unwrap();
    }
    assert_eq!(hash.digest(), Digest::of(content));
    writer.sync().await.unwrap()
}

async fn read(objects: &dyn Objects, name: &ObjectName, range: Range<u64>) -> Vec<u8> {
    let chunks = objects.read_range(name, range).await.unwrap();
    let pieces: Vec<Bytes> = chunks.try_collect().await.unwrap();
    pieces.concat()
}

async fn what_was_sealed_is_read_back_in_ranges(objects: &dyn Objects) {
    let content = bytes(13 * MIB + 7, 1);
    let state = write(objects, objects.begin(ObjectName::random()), &content).await;

    objects.seal(&state).await.unwrap();

    assert_eq!(state.size_bytes, content.len() as u64);
    let whole = read(objects, &state.name, 0..state.size_bytes).await;
    assert!(whole == content, "the whole object");
    let range = read(objects, &state.name, 5 * MIB as u64 - 3..6 * MIB as u64 + 1).await;
    assert!(
        range == content[5 * MIB - 3..=6 * MIB],
        "a range across a part"
    );
    assert!(read(objects, &state.name, 7..7).await.is_empty());
    let beyond = objects
        .read_range(&state.name, 0..state.size_bytes + 1)
        .await;
    let beyond = match beyond {
        Ok(chunks) => chunks.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(beyond.is_err(), "past the end there is nothing to read");
}

async fn a_writer_goes_on_at_the_state_and_drops_what_lies_beyond(objects: &dyn Objects) {
    let content = bytes(11 * MIB, 2);
    let half = write(
        objects,
        objects.begin(ObjectName::random()),
        &content.slice(..6 * MIB),
    )
    .await;
    // A writer that dies leaves bytes that no state knows of.
    let mut lost = objects.append(half.clone()).await.unwrap();
    lost.write(bytes(6 * MIB, 9), &mut no_hash()).await.unwrap();
    drop(lost);
    // The state survives as text, in the row of a session.
    let kept = serde_json::to_string(&half).unwrap();

    let state = serde_json::from_str(&kept).unwrap();
    let state = write(objects, state, &content.slice(6 * MIB..)).await;
    objects.seal(&state).await.unwrap();

    let whole = read(objects, &state.name, 0..state.size_bytes).await;
    assert!(whole == content);
}

async fn what_is_appended_at_once_goes_on_at_the_state_too(objects: &dyn Objects) {
    let content = bytes(3000, 4);
    let first = objects.begin(ObjectName::random());
    let mut hash = no_hash();
    let half = objects
        .append_at_once(first, content.slice(..1000), &mut hash)
        .await
        .unwrap();
    let mut lost = objects.append(half.clone()).await.unwrap();
    lost.write(bytes(5000, 9), &mut no_hash()).await.unwrap();
    drop(lost);

    let whole = objects
        .append_at_once(half, content.slice(1000..), &mut hash)
        .await
        .unwrap();
    objects.seal(&whole).await.unwrap();

    assert_eq!(hash.digest(), Digest::of(&content));
    assert_eq!(whole.size_bytes, 3000);
    assert!(read(objects, &whole.name, 0..3000).await == content);
}

async fn what_a_dead_writer_left_is_not_in_the_sealed_object(objects: &dyn Objects) {
    let content = bytes(1000, 5);
    let state = write(objects, objects.begin(ObjectName::random()), &content).await;
    let mut lost = objects.append(state.clone()).await.unwrap();
    lost.write(bytes(5000, 9), &mut no_hash()).await.unwrap();
    drop(lost);

    objects.seal(&state).await.unwrap();

    assert!(read(objects, &state.name, 0..1000).await == content);
    let beyond = objects.read_range(&state.name, 0..1001).await;
    let beyond = match beyond {
        Ok(chunks) => chunks.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(beyond.is_err(), "the dead writer's bytes are still there");
}

async fn seal_twice_is_one_seal_and_nothing_can_be_sealed_too(objects: &dyn Objects) {
    let empty = objects.begin(ObjectName::random());

    objects.seal(&empty).await.unwrap();
    objects.seal(&empty).await.unwrap();

    assert!(read(objects, &empty.name, 0..0).await.is_empty());
}

async fn what_is_deleted_is_gone_and_again_is_no_error(objects: &dyn Objects) {
    let state = write(objects, objects.begin(ObjectName::random()), &bytes(10, 3)).await;
    objects.seal(&state).await.unwrap();

    objects.delete(&state.name).await.unwrap();
    objects.delete(&state.name).await.unwrap();

    let gone = objects.read_range(&state.name, 0..1).await.err().unwrap();
    assert!(matches!(gone, ObjectError::Missing { .. }), "{gone}");
}

async fn all_objects_of_a_prefix_are_listed_sealed_or_not(objects: &dyn Objects) {
    let name = |text: &str| text.parse::<ObjectName>().unwrap();
    let names = ["aaaa0000-1", "aaaa0000-2", "bbbb0000-1"].map(name);
    for name in &names {
        write(objects, objects.begin(name.clone()), &bytes(1, 0)).await;
    }

    assert_eq!(objects.list("aaaa0000").await.unwrap(), names[..2]);
    assert_eq!(objects.list("").await.unwrap(), names);
}

macro_rules! suite {
    ($($law:ident)*) => {
        mod on_disk {
            use super::*;
            $(
                #[tokio::test]
                async fn $law() {
                    let folder = tempfile::tempdir().unwrap();
                    super::$law(&DiskObjects::open(folder.path()).unwrap()).await;
                }
            )*
        }

        mod in_memory {
            use super::*;
            $(
                #[tokio::test]
                async fn $law() {
                    super::$law(&MemoryObjects::default()).await;
                }
            )*
        }
    };
}

suite! {
    what_was_sealed_is_read_back_in_ranges
    a_writer_goes_on_at_the_state_and_drops_what_lies_beyond
    what_is_appended_at_once_goes_on_at_the_state_too
    what_a_dead_writer_left_is_not_in_the_sealed_object
    seal_twice_is_one_seal_and_nothing_can_be_sealed_too
    what_is_deleted_is_gone_and_again_is_no_error
    all_objects_of_a_prefix_are_listed_sealed_or_not
}

#[tokio::test]
async fn a_file_that_lost_durable_bytes_is_told_and_not_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let objects = DiskObjects::open(folder.path()).unwrap();
    let name: ObjectName = "aaaa0000-1".parse().unwrap();
    let state = write(&objects, objects.begin(name.clone()), &bytes(100, 0)).await;
    std::fs::write(folder.path().join("aa/aa/aaaa0000-1"), b"short").unwrap();

    let lost = objects.append(state).await.err().unwrap();

    assert_eq!(
        lost.to_string(),
        "object aaaa0000-1 has 5 of the 100 bytes that were once durable"
    );
}

#[test]
fn a_thousand_objects_lie_in_at_most_256_folders() {
    let folder = tempfile::tempdir().unwrap();
    let objects = DiskObjects::open(folder.path()).unwrap();

    let mut folders = std::collections::HashSet::new();
    for _ in 0..1000 {
        let path = objects.folder(&ObjectName::random());
        folders.insert(path);
    }

    assert!((200..=256).contains(&folders.len()), "{}", folders.len());
}

#[test]
fn the_name_of_an_object_cannot_lead_out_of_its_folder() {
    for bad in [
        "",
        "..",
        "../../etc/passwd",
        "aaaa0000/x",
        "AAAA0000",
        "-------0",
        "aaaa",
    ] {
        assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
    }
}
