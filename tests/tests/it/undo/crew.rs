//! Hands that push one tag after the other to a repository that is deleted under them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Body;
use tests::digest;
use tests::image::{self, Image};
use tests::oci_client::OciClient;
use tests::server::Server;
use tests::wait::{self, SOON};
use tokio::task::JoinSet;

/// A push that was answered 201.
pub(crate) struct Acknowledged {
    /// The tag.
    pub(crate) tag: String,
    /// What was pushed.
    pub(crate) image: Image,
}

#[derive(Default)]
struct Board {
    acknowledged: Mutex<Vec<Acknowledged>>,
    enough: AtomicBool,
}

impl Board {
    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no worker panicked").len()
    }
}

/// The workers, and what they have got acknowledged.
pub(crate) struct Crew {
    board: Arc<Board>,
    workers: JoinSet<()>,
}

impl Crew {
    /// Begins to push to this name.
    pub(crate) fn set_to_work(server: &Server, name: &'static str, workers: u64) -> Self {
        let board = Arc::<Board>::default();
        let mut crew = JoinSet::new();
        for worker in 0..workers {
            crew.spawn(work(worker, server.oci(), name, Arc::clone(&board)));
        }
        Self {
            board,
            workers: crew,
        }
    }

    /// Waits until so many more pushes are acknowledged.
    pub(crate) async fn until_acknowledged(&self, more: usize) {
        let wanted = self.board.count() + more;
        wait::until("the workers get on", SOON, async || {
            (self.board.count() >= wanted).then_some(())
        })
        .await;
    }

    /// Lets every worker end the push it is at; answers with all that was acknowledged.
    pub(crate) async fn finish(self) -> Vec<Acknowledged> {
        self.board.enough.store(true, Ordering::SeqCst);
        self.workers.join_all().await;
        std::mem::take(&mut *self.board.acknowledged.lock().expect("no worker panicked"))
    }
}

async fn work(worker: u64, oci: OciClient, name: &'static str, board: Arc<Board>) {
    let mut pushed = 0;
    while !board.enough.load(Ordering::SeqCst) {
        let tag = format!("worker-{worker}-{pushed:05}");
        let image = Image::small(1000 + worker * 1_000_000 + pushed);
        let stubborn = async { while !push(&oci, name, &tag, &image).await {} };
        tokio::time::timeout(SOON, stubborn)
            .await
            .unwrap_or_else(|_| panic!("{name}:{tag} was not taken within {SOON:?}"));
        let mut acknowledged = board.acknowledged.lock().expect("no worker panicked");
        acknowledged.push(Acknowledged { tag, image });
        pushed += 1;
    }
}

/// Whether the push was taken. What was uploaded before the delete is not in the repository after it: then it is refused, and
/// begun anew.
async fn push(oci: &OciClient, name: &str, tag: &str, image: &Image) -> bool {
    for blob in image.blobs() {
        let digest = digest::of(blob);
        let put = oci.try_upload(name, Body::from(blob.clone()), &digest);
        let put = put.await.expect("the server answers");
        assert!(put.status < 500, "{put}");
        if put.status != 201 {
            return false;
        }
    }
    let put = oci.put_manifest(name, tag, image::MANIFEST, &image.manifest);
    let put = put.await;
    assert!(
        [201, 404, 409].contains(&put.status),
        "neither taken nor refused: {put}"
    );
    put.status == 201
}
