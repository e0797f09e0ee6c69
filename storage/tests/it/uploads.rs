//! Uploads, and the blobs they become.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use storage::catalog::{DestinationId, destinations};
use storage::content::objects::{
    Chunks, MemoryObjects, ObjectError, ObjectName, ObjectState, ObjectWriter, Objects,
};
use storage::content::{Blob, Content, ContentError, UploadError, UploadId};
use storage::database::{BoxFuture, Database};
use storage::{Algorithm, Digest, Running};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::house::{AT, House, label};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn bytes(length: usize) -> Bytes {
    let pattern = |n: usize| u8::try_from((n * 31 + n / 251) % 256).unwrap();
    (0..length).map(pattern).collect()
}

/// A body that arrives in chunks of this size.
fn body(content: &Bytes, chunk: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (content, chunk) = (content.clone(), chunk.max(1));
    stream::iter((0..content.len()).step_by(chunk))
        .map(move |at| Ok(content.slice(at..content.len().min(at + chunk))))
}

/// A body that breaks off after `content`.
fn broken(content: &Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let error = io::Error::from(io::ErrorKind::ConnectionReset);
    body(content, 10 * KIB).chain(stream::iter([Err(error)]))
}

async fn open(house: &House) -> UploadId {
    let opened = house
        .content
        .open_upload(house.destination.id, house.user.id, AT);
    opened.await.unwrap().id
}

async fn push(house: &House, content: &Bytes) -> Blob {
    let id = open(house).await;
    house
        .content
        .append(id, Some(0), body(content, 64 * KIB), AT)
        .await
        .unwrap();
    house
        .content
        .finish(id, &Digest::of(content), AT)
        .await
        .unwrap()
}

async fn read(content: &Content, destination: DestinationId, digest: &Digest) -> Vec<u8> {
    let reader = content
        .read_blob(destination, digest, None)
        .await
        .unwrap()
        .unwrap();
    let chunks: Vec<Bytes> = reader.chunks.try_collect().await.unwrap();
    chunks.concat()
}

async fn other_destination(house: &House) -> DestinationId {
    let organization = house.organization.id;
    let made = house.write(move |tx| {
        Box::pin(
            async move { destinations::make(tx, organization, &label("tools"), "other", AT).await },
        )
    });
    made.await.id
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn objects(house: &House) -> usize {
    files(&house.folder.path().join("content/objects")).len()
}

#[tokio::test]
async fn a_large_layer_comes_back_byte_for_byte_and_in_ranges() {
    let house = House::new().await;
    let content = bytes(64 * MIB + 11);
    let destination = house.destination.id;

    let id = open(&house).await;
    let half = content.slice(..40 * MIB + 3);
    let rest = content.slice(40 * MIB + 3..);
    let offset = house
        .content
        .append(id, None, body(&half, 300 * KIB), AT)
        .await
        .unwrap();
    house
        .content
        .append(id, Some(offset), body(&rest, 7 * KIB + 1), AT)
        .await
        .unwrap();
    let blob = house
        .content
        .finish(id, &Digest::of(&content), AT)
        .await
        .unwrap();

    assert_eq!(offset, half.len() as u64);
    assert_eq!(blob.size_bytes, content.len() as u64);
    assert!(read(&house.content, destination, &blob.digest).await == content);
    let part = house
        .content
        .read_blob(destination, &blob.digest, Some(MIB as u64..u64::MAX))
        .await;
    let part = part.unwrap().unwrap();
    assert_eq!(part.range, MIB as u64..content.len() as u64);
    let part: Vec<Bytes> = part.chunks.try_collect().await.unwrap();
    assert!(part.concat() == content[MIB..]);
    assert!(
        house.content.upload(id).await.unwrap().is_none(),
        "the session has ended"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_where_it_was_after_a_restart() {
    let house = House::new().await;
    let content = bytes(3 * MIB + 5);
    let id = open(&house).await;
    let arrived = content.slice(..MIB + 77);

    let broken = house.content.append(id, None, broken(&arrived), AT).await;
    let house = house.restart().await;

    let Err(UploadError::BrokenOff { offset, .. }) = broken else {
        panic!("{broken:?}");
    };
    assert_eq!(offset, arrived.len() as u64);
    let upload = house.content.upload(id).await.unwrap().unwrap();
    assert_eq!(upload.offset, offset);
    let rest = body(&content.slice(MIB + 77..), 64 * KIB);
    house
        .content
        .append(id, Some(offset), rest, AT)
        .await
        .unwrap();
    let blob = house
        .content
        .finish(id, &Digest::of(&content), AT)
        .await
        .unwrap();
    assert!(read(&house.content, upload.destination, &blob.digest).await == content);
}

#[tokio::test]
async fn what_arrived_is_recorded_when_the_request_is_dropped() {
    let house = House::new().await;
    let content = bytes(2 * MIB);
    let id = open(&house).await;
    let (arriving, mut arrivals) = mpsc::channel::<io::Result<Bytes>>(1);
    let arrivals = stream::poll_fn(move |cx| arrivals.poll_recv(cx));
    let append = house.content.append(id, None, arrivals, AT);
    {
        tokio::pin!(append);
        let send = async {
            for at in (0..content.len()).step_by(256 * KIB) {
                arriving
                    .send(Ok(content.slice(at..at + 256 * KIB)))
                    .await
                    .unwrap();
            }
            // The last chunk has been taken when there is room for another.
            drop(arriving.reserve().await.unwrap());
        };
        tokio::select! {
            _ = &mut append => panic!("the body has not ended"),
            () = send => {}
        }
    }

    let house = house.restart().await;

    let offset = house.content.upload(id).await.unwrap().unwrap().offset;
    assert!(offset > 0, "nothing was recorded");
    let rest = body(&content.slice(usize::try_from(offset).unwrap()..), MIB);
    house
        .content
        .append(id, Some(offset), rest, AT)
        .await
        .unwrap();
    house
        .content
        .finish(id, &Digest::of(&content), AT)
        .await
        .unwrap();
}

/// A body that the test sends piece by piece.
fn by_hand() -> (
    mpsc::Sender<io::Result<Bytes>>,
    impl Stream<Item = io::Result<Bytes>> + Send,
) {
    let (arriving, mut arrivals) = mpsc::channel::<io::Result<Bytes>>(1);
    let arrivals = stream::poll_fn(move |cx| arrivals.poll_recv(cx));
    (arriving, arrivals)
}

/// There is room for more only once what was sent has come.
async fn has_come(arriving: &mpsc::Sender<io::Result<Bytes>>) {
    drop(arriving.reserve().await.unwrap());
}

#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_one_writes() {
    let house = House::new().await;
    let (piece, mut pieces) = (bytes(KIB), 0);
    let id = open(&house).await;
    let (arriving, arrivals) = by_hand();

    let first = house.content.append(id, None, arrivals, AT);
    let others = async {
        arriving.send(Ok(piece.clone())).await.unwrap();
        has_come(&arriving).await;
        let append = house.content.append(id, None, body(&piece, KIB), AT).await;
        let finish = house.content.finish(id, &Digest::of(&piece), AT).await;
        let cancel = house.content.cancel(id).await;
        let settled = house.content.settle(id).await;
        (append, finish, cancel, settled)
    };
    let second = async {
        let mut others = std::pin::pin!(others);
        loop {
            tokio::select! {
                done = &mut others => break done,
                sent = arriving.send(Ok(piece.clone())) => {
                    sent.unwrap();
                    pieces += 1;
                }
            }
        }
    };
    let (append, finish, cancel, settled) = tokio::select! {
        first = first => panic!("the body has not ended: {first:?}"),
        done = second => done,
    };

    assert!(
        matches!(append, Err(UploadError::Busy { .. })),
        "{append:?}"
    );
    assert!(
        matches!(finish, Err(UploadError::Busy { .. })),
        "{finish:?}"
    );
    assert!(
        matches!(cancel, Err(UploadError::Busy { .. })),
        "{cancel:?}"
    );
    assert!(!settled);
    assert!(pieces > 0);
}

#[tokio::test]
async fn a_writer_that_has_fallen_silent_gives_way_and_what_it_brought_is_kept() {
    let house = House::new().await;
    let content = bytes(MIB);
    let (half, rest) = (content.slice(..MIB / 2), content.slice(MIB / 2..));
    let id = open(&house).await;
    let (arriving, arrivals) = by_hand();

    let first = house.content.append(id, None, arrivals, AT);
    let second = async {
        arriving.send(Ok(half.clone())).await.unwrap();
        has_come(&arriving).await;
        let unsure = house.content.append(id, None, body(&rest, KIB), AT).await;
        let kept = house.content.upload(id).await.unwrap().unwrap().offset;
        let sure = house.content.append(id, Some(kept), body(&rest, KIB), AT);
        (unsure, sure.await.unwrap())
    };
    let (first, (unsure, whole)) = tokio::join!(first, second);

    assert!(matches!(first, Err(UploadError::Busy { .. })), "{first:?}");
    assert!(
        matches!(unsure, Err(UploadError::OutOfOrder { offset, .. }) if offset == half.len() as u64),
        "who does not say where to go on cannot know it: {unsure:?}"
    );
    assert_eq!(whole, content.len() as u64);
    house
        .content
        .finish(id, &Digest::of(&content), AT)
        .await
        .unwrap();
}

#[tokio::test]
async fn whoever_asks_how_far_it_is_ends_a_silent_writer() {
    let house = House::new().await;
    let content = bytes(KIB);
    let id = open(&house).await;
    let (arriving, arrivals) = by_hand();

    let first = house.content.append(id, None, arrivals, AT);
    let second = async {
        arriving.send(Ok(content.clone())).await.unwrap();
        has_come(&arriving).await;
        let settled = house.content.settle(id).await;
        (settled, house.content.upload(id).await.unwrap().unwrap())
    };
    let (first, (settled, upload)) = tokio::join!(first, second);

    assert!(first.is_err());
    assert!(settled);
    assert_eq!(upload.offset, content.len() as u64);
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_leaves_nothing() {
    let house = House::new().await;
    let content = bytes(2 * MIB);
    let id = open(&house).await;

    for (length, sent) in [(MIB, 2 * MIB), (2 * MIB, MIB), (2, 5), (5, 2), (2, 0)] {
        let body = body(&content.slice(..sent), 300 * KIB);
        let told = house
            .content
            .append_exactly(id, Some(0), Some(length as u64), body, AT);
        let told = told.await.unwrap_err();
        assert!(matches!(told, UploadError::OtherLength { .. }), "{told}");
        let offset = house.content.upload(id).await.unwrap().unwrap().offset;
        assert_eq!(offset, 0, "{sent} instead of {length}");
    }
    let whole = body(&content, 300 * KIB);
    let length = Some(content.len() as u64);
    let offset = house.content.append_exactly(id, Some(0), length, whole, AT);
    assert_eq!(offset.await.unwrap(), content.len() as u64);
    house
        .content
        .finish(id, &Digest::of(&content), AT)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_blob_that_the_disk_has_lost_is_not_there_until_it_is_pushed_again() {
    let house = House::new().await;
    let (content, here) = (bytes(MIB), house.destination.id);
    let there = other_destination(&house).await;
    let digest = push(&house, &content).await.digest;
    let object = files(&house.folder.path().join("content/objects")).remove(0);

    for lose in [
        |object: &str| std::fs::remove_file(object).unwrap(),
        |object: &str| std::fs::write(object, "short").unwrap(),
    ] {
        let object = files(&house.folder.path().join("content/objects"))
            .pop()
            .unwrap_or(object.clone());
        lose(&object);
        let store = &house.content;
        assert_eq!(store.blob(here, &digest).await.unwrap(), None);
        assert!(
            store
                .read_blob(here, &digest, None)
                .await
                .unwrap()
                .is_none()
        );
        assert!(!store.mount(here, there, digest, AT).await.unwrap());

        push(&house, &content).await;

        assert!(store.blob(here, &digest).await.unwrap().is_some());
        assert!(read(store, here, &digest).await == content);
    }
}

#[tokio::test]
async fn bytes_that_do_not_follow_are_refused_with_the_offset() {
    let house = House::new().await;
    let content = bytes(100);
    let id = open(&house).await;
    house
        .content
        .append(id, Some(0), body(&content, 10), AT)
        .await
        .unwrap();

    let refused = house
        .content
        .append(id, Some(50), body(&content, 10), AT)
        .await
        .unwrap_err();

    assert_eq!(
        refused.to_string(),
        format!("upload {id} has 100 bytes, so the next one is number 100 and not 50")
    );
    let unknown = UploadId(uuid::Uuid::from_u128(1));
    let unknown = house
        .content
        .append(unknown, None, body(&content, 10), AT)
        .await;
    assert!(matches!(unknown, Err(UploadError::Unknown { .. })));
}

#[tokio::test]
async fn a_wrong_digest_ends_the_session_and_leaves_nothing() {
    let house = House::new().await;
    let content = bytes(100);
    let wanted = Digest::of(b"something else");
    let id = open(&house).await;
    house
        .content
        .append(id, None, body(&content, 10), AT)
        .await
        .unwrap();

    let refused = house.content.finish(id, &wanted, AT).await.unwrap_err();

    assert!(
        matches!(refused, UploadError::Mismatch { found, .. } if found == Digest::of(&content))
    );
    assert!(house.content.upload(id).await.unwrap().is_none());
    assert!(
        house
            .content
            .blob(house.destination.id, &wanted)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(objects(&house), 0);
}

#[tokio::test]
async fn two_uploads_of_one_digest_are_one_object() {
    let house = House::new().await;
    let content = bytes(MIB);

    let (first, second) = tokio::join!(push(&house, &content), push(&house, &content));

    assert_eq!(first, second);
    assert_eq!(objects(&house), 1);
    assert!(read(&house.content, house.destination.id, &first.digest).await == content);
}

#[tokio::test]
async fn a_blob_is_seen_only_where_it_is_linked() {
    let house = House::new().await;
    let other = other_destination(&house).await;
    let content = bytes(1000);
    let blob = push(&house, &content).await;

    assert_eq!(house.content.blob(other, &blob.digest).await.unwrap(), None);
    assert!(
        house
            .content
            .read_blob(other, &blob.digest, None)
            .await
            .unwrap()
            .is_none()
    );
    let stolen = house
        .content
        .mount(other, house.destination.id, blob.digest, AT)
        .await
        .unwrap();
    assert!(!stolen, "there it is not linked");

    assert!(
        house
            .content
            .mount(house.destination.id, other, blob.digest, AT)
            .await
            .unwrap()
    );
    assert!(
        house
            .content
            .mount(house.destination.id, other, blob.digest, AT)
            .await
            .unwrap()
    );
    assert_eq!(
        house.content.blob(other, &blob.digest).await.unwrap(),
        Some(blob)
    );
    assert!(read(&house.content, other, &blob.digest).await == content);
    let small = house
        .content
        .read_small_blob(other, &blob.digest, 1000)
        .await
        .unwrap();
    assert_eq!(small, Some(content));
    assert_eq!(
        house
            .content
            .read_small_blob(other, &blob.digest, 999)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn an_empty_blob_is_a_blob_and_a_cancelled_upload_is_nothing() {
    let house = House::new().await;
    let empty = push(&house, &Bytes::new()).await;
    let id = open(&house).await;
    house
        .content
        .append(id, None, body(&bytes(10), 10), AT)
        .await
        .unwrap();

    assert!(house.content.cancel(id).await.unwrap());
    assert!(!house.content.cancel(id).await.unwrap());

    assert_eq!(empty.size_bytes, 0);
    assert!(
        read(&house.content, house.destination.id, &empty.digest)
            .await
            .is_empty()
    );
    assert_eq!(objects(&house), 1);
}

#[tokio::test]
async fn nothing_is_written_outside_the_content_folder_and_the_database() {
    let house = House::new().await;
    push(&house, &bytes(MIB)).await;

    let root = house.folder.path().display().to_string();
    let mut outside: Vec<String> = files(house.folder.path())
        .into_iter()
        .map(|file| file.replace(&root, ""))
        .filter(|file| !file.starts_with("/content/"))
        .collect();
    outside.sort();

    assert_eq!(
        outside,
        [
            "/wharfinger.db",
            "/wharfinger.db-shm",
            "/wharfinger.db-wal",
            "/wharfinger.db.lock"
        ]
    );
}

#[tokio::test]
async fn a_content_folder_of_another_instance_or_a_lost_one_is_refused() {
    let house = House::new().await;
    push(&house, &bytes(10)).await;
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("other.db"))
        .await
        .unwrap();

    let foreign = Content::open(database, &house.folder.path().join("content"), None, AT).await;
    let lost = Content::open(
        house.database.clone(),
        &folder.path().join("empty"),
        None,
        AT,
    )
    .await;

    assert!(
        matches!(foreign, Err(ContentError::ForeignFolder { .. })),
        "{foreign:?}"
    );
    let lost = lost.unwrap_err();
    assert!(
        matches!(lost, ContentError::EmptyFolder { blobs: 1, .. }),
        "{lost}"
    );
}

/// A store that takes so many bytes more, and then is full.
struct Small {
    objects: MemoryObjects,
    space: Arc<AtomicUsize>,
}

impl Objects for Small {
    fn append(
        &self,
        state: ObjectState,
    ) -> BoxFuture<'_, Result<Box<dyn ObjectWriter>, ObjectError>> {
        Box::pin(async move {
            let writer = self.objects.append(state).await?;
            let space = Arc::clone(&self.space);
            Ok(Box::new(SmallWriter { writer, space }) as Box<dyn ObjectWriter>)
        })
    }

    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>> {
        self.objects.seal(state)
    }

    fn size<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Option<u64>, ObjectError>> {
        self.objects.size(name)
    }

    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>> {
        self.objects.read_range(name, range)
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), ObjectError>> {
        self.objects.delete(name)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectName>, ObjectError>> {
        self.objects.list(prefix)
    }

    fn list_with_age<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(ObjectName, Timestamp)>, ObjectError>> {
        self.objects.list_with_age(prefix)
    }
}

struct SmallWriter {
    writer: Box<dyn ObjectWriter>,
    space: Arc<AtomicUsize>,
}

impl ObjectWriter for SmallWriter {
    fn write<'a>(
        &'a mut self,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        let space = self.space.load(Ordering::SeqCst);
        if space < bytes.len() {
            return Box::pin(async { Err(ObjectError::Full) });
        }
        self.space.store(space - bytes.len(), Ordering::SeqCst);
        self.writer.write(bytes, hash)
    }

    fn sync(self: Box<Self>) -> BoxFuture<'static, Result<ObjectState, ObjectError>> {
        self.writer.sync()
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_upload_goes_on_once_there_is_space() {
    let house = House::new().await;
    let space = Arc::new(AtomicUsize::new(7 * MIB));
    let small = Small {
        objects: MemoryObjects::default(),
        space: Arc::clone(&space),
    };
    let content = Content::on(house.database.clone(), Arc::new(small));
    let destination = house.destination.id;
    let sent = bytes(12 * MIB);
    let id = content
        .open_upload(destination, house.user.id, AT)
        .await
        .unwrap()
        .id;

    let full = content.append(id, None, body(&sent, 64 * KIB), AT).await;
    let kept = content.upload(id).await.unwrap().unwrap().offset;
    space.store(usize::MAX, Ordering::SeqCst);
    let rest = sent.slice(usize::try_from(kept).unwrap()..);
    content
        .append(id, Some(kept), body(&rest, 64 * KIB), AT)
        .await
        .unwrap();
    let blob = content.finish(id, &Digest::of(&sent), AT).await.unwrap();

    let told = full.unwrap_err();
    assert!(
        matches!(&told, UploadError::Content(error) if error.is_full()),
        "{told}"
    );
    assert_eq!(kept, 7 * MIB as u64, "what fitted is kept");
    assert!(read(&content, destination, &blob.digest).await == sent);
}

/// A store that tells when it has sealed an object.
#[derive(Default)]
struct Telling {
    objects: MemoryObjects,
    sealed: Notify,
}

impl Objects for Telling {
    fn append(
        &self,
        state: ObjectState,
    ) -> BoxFuture<'_, Result<Box<dyn ObjectWriter>, ObjectError>> {
        self.objects.append(state)
    }

    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            let sealed = self.objects.seal(state).await;
            self.sealed.notify_one();
            sealed
        })
    }

    fn size<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Option<u64>, ObjectError>> {
        self.objects.size(name)
    }

    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>> {
        self.objects.read_range(name, range)
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), ObjectError>> {
        self.objects.delete(name)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectName>, ObjectError>> {
        self.objects.list(prefix)
    }

    fn list_with_age<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(ObjectName, Timestamp)>, ObjectError>> {
        self.objects.list_with_age(prefix)
    }
}

#[tokio::test]
async fn an_upload_whose_client_hangs_up_while_it_becomes_a_blob_cannot_be_cancelled_meanwhile() {
    let house = House::new().await;
    let store = Arc::<Telling>::default();
    let content = Content::on(house.database.clone(), store.clone());
    let (destination, sent) = (house.destination.id, bytes(KIB));
    let digest = Digest::of(&sent);
    let opened = content.open_upload(destination, house.user.id, AT).await;
    let id = opened.unwrap().id;
    content
        .append(id, None, body(&sent, KIB), AT)
        .await
        .unwrap();
    let (go_on, told) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let database = house.database.clone();
    let mut holding = JoinSet::new();
    holding.spawn(async move {
        let held = database.transact::<(), ()>(move |_| {
            Box::pin(async move {
                begun.send(()).unwrap();
                told.await.map_err(drop)
            })
        });
        held.await.unwrap().unwrap();
    });
    has_begun.await.unwrap();
    {
        let finish = content.finish(id, &digest, AT);
        tokio::pin!(finish);
        tokio::select! {
            biased;
            done = &mut finish => panic!("the writer is held: {done:?}"),
            () = store.sealed.notified() => {} // and its row waits for the writer
        }
    }

    let cancelled = content.cancel(id).await;

    assert!(
        matches!(cancelled, Err(UploadError::Busy { .. })),
        "{cancelled:?}"
    );
    go_on.send(()).unwrap();
    holding.join_next().await.unwrap().unwrap();
    content.clone().close().await;
    assert!(content.upload(id).await.unwrap().is_none());
    assert!(read(&content, destination, &digest).await == sent);
}

#[tokio::test]
async fn a_session_is_finished_with_a_digest_of_either_algorithm_whatever_it_was_hashed_by() {
    let house = House::new().await;
    let content = bytes(700 * KIB);
    let both = [Algorithm::Sha256, Algorithm::Sha512];
    for (by, called) in both.iter().flat_map(|by| both.map(|called| (*by, called))) {
        let (destination, user) = (house.destination.id, house.user.id);
        let opened = house.content.open_upload_by(destination, user, by, AT);
        let id = opened.await.unwrap().id;
        let (begin, end) = (content.slice(..300 * KIB), content.slice(300 * KIB..));
        for (at, part) in [(0, begin), (300 * KIB as u64, end)] {
            let appended = house
                .content
                .append(id, Some(at), body(&part, 64 * KIB), AT);
            appended.await.unwrap();
        }
        let digest = Digest::with(called, &content);

        let blob = house.content.finish(id, &digest, AT).await.unwrap();

        assert_eq!(blob.digest, digest, "hashed by {by}");
        let read = read(&house.content, destination, &digest).await;
        assert!(read == content, "hashed by {by}, called by {called}");
    }
}

#[tokio::test]
async fn a_session_that_is_not_what_its_other_digest_says_is_gone() {
    let house = House::new().await;
    let content = bytes(10 * KIB);
    let id = open(&house).await;
    let appended = house.content.append(id, None, body(&content, KIB), AT);
    appended.await.unwrap();
    let wanted = Digest::with(Algorithm::Sha512, b"something else");

    let refused = house.content.finish(id, &wanted, AT).await;

    let expected = Digest::with(Algorithm::Sha512, &content);
    assert!(
        matches!(refused, Err(UploadError::Mismatch { found, .. }) if found == expected),
        "{refused:?}"
    );
    assert!(house.content.upload(id).await.unwrap().is_none());
}
