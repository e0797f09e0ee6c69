//! What is pushed by its digest alone is filed by a duty.

use crate::house::{FOR_EVER, House};
use engine::clock::Timestamp;
use engine::journal::PlanResult;
use std::time::Duration;
use storage::catalog::{RepositoryId, grants, pushed, versions};
use workflows::push::{Submitted, file_pending};

async fn pending(house: &House, to: &workflows::destination::Destination) -> usize {
    let mut tx = house.services.database.read().await.unwrap();
    pushed::pending(&mut tx, to.id).await.unwrap().len()
}

fn later(house: &House, seconds: u64) -> Timestamp {
    house.services.clock.now() + Duration::from_secs(seconds)
}

#[tokio::test]
async fn what_was_pushed_by_digest_is_filed_once_it_is_quiet() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/signatures").await;
    let (one, two) = (house.image(&to, "one").await, house.image(&to, "two").await);
    for image in [&one, &two] {
        let kept = house.submit(&node, &to, None, image).await.unwrap();
        assert_eq!(kept, Submitted::Kept);
    }
    assert_eq!(
        file_pending(&node, later(&house, 3)).await.unwrap(),
        [],
        "more may follow"
    );

    let filed = file_pending(&node, later(&house, 6)).await.unwrap();
    let again = file_pending(&node, later(&house, 6)).await.unwrap();

    assert_eq!((filed.len(), again.len()), (1, 0), "one plan for all of it");
    let plan = node.wait(filed[0], FOR_EVER).await.unwrap();
    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    assert_eq!(pending(&house, &to).await, 0);
    let mut tx = house.services.database.read().await.unwrap();
    let held = versions::manifests(&mut tx, RepositoryId::from(to.id), 1)
        .await
        .unwrap();
    assert_eq!(held.len(), 2);
    let task = node.task(filed[0]).await.unwrap();
    assert_eq!(
        task.headline,
        "Push of acme/signatures by 2 digests is done"
    );
    assert_eq!(task.user.as_deref(), Some("alice"));
}

#[tokio::test]
async fn an_open_upload_holds_the_filing_back_for_a_minute_at_most() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/slow").await;
    let image = house.image(&to, "first of several").await;
    house.submit(&node, &to, None, &image).await.unwrap();
    let at = house.services.clock.now();
    house
        .services
        .content
        .open_upload(to.id, house.user.id, at)
        .await
        .unwrap();

    assert_eq!(file_pending(&node, later(&house, 30)).await.unwrap(), []);
    assert_eq!(
        file_pending(&node, later(&house, 61)).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn who_has_lost_the_right_meanwhile_files_nothing() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/lost").await;
    let image = house.image(&to, "lost").await;
    house.submit(&node, &to, None, &image).await.unwrap();
    let user = house.user.id;
    house
        .write(move |tx| {
            Box::pin(async move {
                for grant in grants::of(tx, user).await? {
                    grants::delete(tx, grant.id).await?;
                }
                Ok(())
            })
        })
        .await;

    assert_eq!(file_pending(&node, later(&house, 61)).await.unwrap(), []);
    assert_eq!(
        pending(&house, &to).await,
        1,
        "it stays pullable by its digest"
    );
}
