//! A real Pulp 3 behind a push: both versions, real clients, everything that Pulp does where a client would not expect it.

mod by_hand;
mod domains;
mod figures;
mod kills;
mod lives;
mod pushes;
mod spool;
mod strangers;
mod surprises;

use tests::pulp::Which;

use crate::conformance;

/// The content backends are one to whoever asks: the same checks as on the embedded one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_specification_holds_with_the_content_in_a_pulp() {
    for which in Which::ALL {
        // Of a manifest with twelve tags each is a push of its own, one after the other.
        let server = which.shared().await.server(&["--push-wait=120s"]).await;
        conformance::content_is_as_everywhere(&server).await;
        println!("conformance with the content in Pulp: {which:?}");
    }
}
