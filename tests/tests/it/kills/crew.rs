//! Four hands that push one image after the other and do not give up when the server dies.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tests::answer::Answer;
use tests::image::{self, Image};
use tests::oci_client::OciClient;
use tests::server::Server;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The workers share two repositories, so that pushes to one destination queue behind each other.
const NAMES: [&str; 2] = [
    "default_organization/fleet/north",
    "default_organization/fleet/south",
];
/// As impatient as a client may be.
const BEFORE_RETRY: Duration = Duration::from_millis(10);
/// A worker that gets nowhere for so long shows a server that does not recover.
const PATIENCE: Duration = Duration::from_mins(4);

/// A push that was answered 201.
pub(crate) struct Acknowledged {
    /// The repository.
    pub(crate) name: &'static str,
    /// The tag.
    pub(crate) tag: String,
    /// What was pushed.
    pub(crate) image: Image,
}

#[derive(Default)]
struct Board {
    acknowledged: Mutex<Vec<Acknowledged>>,
    puts_under_way: AtomicUsize,
    put_begun: Notify,
    enough: AtomicBool,
}

/// The workers, and what they have got acknowledged.
pub(crate) struct Crew {
    board: Arc<Board>,
    workers: JoinSet<()>,
}

impl Crew {
    /// Begins to push.
    pub(crate) fn set_to_work(server: &Server, workers: u64) -> Self {
        let board = Arc::<Board>::default();
        let mut crew = JoinSet::new();
        for worker in 0..workers {
            crew.spawn(work(worker, server.oci(), Arc::clone(&board)));
        }
        Self {
            board,
            workers: crew,
        }
    }

    /// Waits until a worker begins to send a manifest.
    pub(crate) async fn manifest_put_begun(&self) {
        tokio::time::timeout(PATIENCE, self.board.put_begun.notified())
            .await
            .expect("the workers get as far as a manifest");
    }

    /// Whether a worker has sent a manifest and has no answer yet.
    pub(crate) fn waits_for_an_answer(&self) -> bool {
        self.board.puts_under_way.load(Ordering::SeqCst) > 0
    }

    /// How many pushes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.board
            .acknowledged
            .lock()
            .expect("no worker panicked")
            .len()
    }

    /// Lets every worker end the push it is at; answers with all that was acknowledged.
    pub(crate) async fn finish(self) -> Vec<Acknowledged> {
        self.board.enough.store(true, Ordering::SeqCst);
        self.workers.join_all().await;
        std::mem::take(&mut *self.board.acknowledged.lock().expect("no worker panicked"))
    }
}

async fn work(worker: u64, oci: OciClient, board: Arc<Board>) {
    let mut pushed = 0;
    while !board.enough.load(Ordering::SeqCst) {
        let name = NAMES[usize::try_from((worker + pushed) % 2).expect("0 or 1")];
        let tag = format!("worker-{worker}-{pushed:05}");
        let image = Image::small(worker * 1_000_000 + pushed);
        let stubborn = push_until_acknowledged(&oci, &board, name, &tag, &image);
        tokio::time::timeout(PATIENCE, stubborn)
            .await
            .unwrap_or_else(|_| panic!("{name}:{tag} was not taken within {PATIENCE:?}"));
        let mut acknowledged = board.acknowledged.lock().expect("no worker panicked");
        acknowledged.push(Acknowledged { name, tag, image });
        pushed += 1;
    }
}

async fn push_until_acknowledged(
    oci: &OciClient,
    board: &Board,
    name: &str,
    tag: &str,
    image: &Image,
) {
    loop {
        match push(oci, board, name, tag, image).await {
            // Kills that always met one task have paused it; where somebody resumes it, it is worth another try.
            Ok(answer) if answer.status == 424 => tokio::time::sleep(BEFORE_RETRY).await,
            Ok(answer) => return drop(answer.expect_status(201)),
            Err(_) => tokio::time::sleep(BEFORE_RETRY).await, // the server has just been killed
        }
    }
}

async fn push(
    oci: &OciClient,
    board: &Board,
    name: &str,
    tag: &str,
    image: &Image,
) -> reqwest::Result<Answer> {
    for blob in image.blobs() {
        oci.try_push_blob(name, blob).await?;
    }
    board.puts_under_way.fetch_add(1, Ordering::SeqCst);
    board.put_begun.notify_one();
    let answer = oci
        .try_put_manifest(name, tag, image::MANIFEST, &image.manifest)
        .await;
    board.puts_under_way.fetch_sub(1, Ordering::SeqCst);
    answer
}
