use crate::house::{FOR_EVER, House, OCI_IMAGE};
use engine::journal::PlanResult;
use engine::state::StepState;
use std::time::Duration;
use storage::Digest;
use storage::catalog::{RepositoryId, images, pushed, repositories, versions};
use workflows::push::{PushError, Submitted};

#[tokio::test]
async fn a_push_makes_product_repository_version_and_publishes_it() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/tools/busybox").await;
    let image = house.image(&to, "hello").await;

    let id = house.plan(&node, &to, "latest", &image).await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    let steps: Vec<&str> = plan.graph().iter().map(|step| step.name.as_str()).collect();
    let names = [
        "authorize",
        "forward",
        "locate_push_repository",
        "copy",
        "ensure_product",
        "ensure_repository",
        "reindex",
        "distribute",
        "sync_proxies",
    ];
    assert_eq!(steps, names);
    assert!(
        plan.steps
            .iter()
            .all(|step| step.state == StepState::Success && step.attempts() == 1)
    );
    assert_eq!(house.pulled(&to, "latest").await, Some(image.digest));
    let mut tx = house.services.database.read().await.unwrap();
    let found = repositories::find(&mut tx, "acme", "tools", "busybox")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.id,
        RepositoryId::from(to.id),
        "a repository has the number of its destination"
    );
    let read = images::get(&mut tx, to.id, &image.digest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (read.platforms, read.labels["text"].as_str()),
        (vec!["linux/amd64".to_owned()], "hello")
    );
    let task = node.task(id).await.unwrap();
    assert_eq!(task.headline, "Push of acme/tools/busybox:latest is done");
    assert_eq!(
        task.output.unwrap()["sync_proxies"].text(),
        r#"{"proxies":[],"text":"no smart proxy has the environment"}"#
    );
}

#[tokio::test]
async fn the_second_push_makes_version_two_and_an_identical_one_makes_nothing() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/busybox").await;
    let (one, two) = (house.image(&to, "one").await, house.image(&to, "two").await);
    for image in [&one, &two] {
        let id = house.plan(&node, &to, "latest", image).await;
        node.wait(id, FOR_EVER).await.unwrap();
    }

    let again = house
        .submit(&node, &to, Some("latest"), &two)
        .await
        .unwrap();

    assert_eq!(again, Submitted::Unchanged);
    let mut tx = house.services.database.read().await.unwrap();
    let repository = RepositoryId::from(to.id);
    let kept = versions::list(&mut tx, repository, None, 10).await.unwrap();
    assert_eq!(
        kept.iter()
            .map(|version| version.number)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    let latest = "latest".parse().unwrap();
    assert_eq!(
        versions::tag(&mut tx, repository, 1, &latest)
            .await
            .unwrap(),
        Some(one.digest)
    );
    assert_eq!(
        versions::tag(&mut tx, repository, 2, &latest)
            .await
            .unwrap(),
        Some(two.digest)
    );
}

#[tokio::test]
async fn what_was_pushed_by_digest_is_taken_along_by_the_next_tag() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/busybox").await;
    let (child, image) = (
        house.image(&to, "a child").await,
        house.image(&to, "an image").await,
    );
    assert_eq!(
        house.submit(&node, &to, None, &child).await.unwrap(),
        Submitted::Kept
    );
    let pending = async || {
        let mut tx = house.services.database.read().await.unwrap();
        pushed::pending(&mut tx, to.id).await.unwrap()
    };
    assert_eq!(pending().await, [child.digest]);

    let id = house.plan(&node, &to, "latest", &image).await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success);
    assert_eq!(pending().await, []);
    let mut tx = house.services.database.read().await.unwrap();
    let mut held = versions::manifests(&mut tx, RepositoryId::from(to.id), 1)
        .await
        .unwrap();
    let mut both = vec![child.digest, image.digest];
    held.sort();
    both.sort();
    assert_eq!(held, both);
}

#[tokio::test]
async fn a_manifest_that_names_what_was_not_pushed_here_is_refused_and_leaves_nothing() {
    let house = House::new().await;
    let node = house.node(None).await;
    let (here, elsewhere) = (
        house.destination("acme/here").await,
        house.destination("acme/elsewhere").await,
    );
    let foreign = house.image(&elsewhere, "not yours").await;

    let refused = house
        .submit(&node, &here, Some("latest"), &foreign)
        .await
        .unwrap_err();

    assert!(
        matches!(refused, PushError::MissingBlob { .. }),
        "{refused}"
    );
    let mut tx = house.services.database.read().await.unwrap();
    assert!(
        !pushed::contains(&mut tx, here.id, &foreign.digest)
            .await
            .unwrap()
    );
    assert_eq!(
        storage::catalog::manifests::get(&mut tx, here.id, &foreign.digest)
            .await
            .unwrap(),
        None
    );
    assert!(
        !storage::catalog::manifests::exists(&mut tx, &foreign.digest)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn whatever_a_manifest_contains_reindex_ends() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/odd").await;
    let odd = br#"{"schemaVersion":2,"mediaType":"application/x-odd","layers":"none","config":7,"annotations":{"a":"b"}}"#;
    let bytes = bytes::Bytes::from_static(odd);
    let manifest =
        storage::catalog::manifests::Manifest::read(Digest::of(&bytes), "application/x-odd", bytes)
            .unwrap();

    let id = house.plan(&node, &to, "odd", &manifest).await;
    let plan = node.wait(id, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    let mut tx = house.services.database.read().await.unwrap();
    let read = images::get(&mut tx, to.id, &manifest.digest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.kind, images::ImageKind::Artifact);
}

#[tokio::test]
async fn a_push_whose_client_hangs_up_before_the_answer_is_finished_all_the_same() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/busybox").await;
    let image = house.image(&to, "a").await;

    // Polled once: the transaction is on its way when the request is dropped.
    let request = house.submit(&node, &to, Some("latest"), &image);
    let hung_up = tokio::time::timeout(Duration::ZERO, request).await;

    assert!(hung_up.is_err(), "the commit was faster than a first poll");
    let published = async {
        while house.pulled(&to, "latest").await != Some(image.digest) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), published)
        .await
        .expect("nobody drives the plan that was committed");
}

#[tokio::test]
async fn a_manifest_pushed_again_as_what_it_is_is_read_again_without_a_new_version() {
    let house = House::new().await;
    let node = house.node(None).await;
    let to = house.destination("acme/busybox").await;
    let image = house.image(&to, "hello").await;
    let named = format!(r#""mediaType":"{OCI_IMAGE}","#);
    let bytes = String::from_utf8(image.bytes.to_vec()).unwrap();
    let bytes = bytes::Bytes::from(bytes.replacen(&named, "", 1));
    let read_as = |media_type: &str| {
        let digest = Digest::of(&bytes);
        storage::catalog::manifests::Manifest::read(digest, media_type, bytes.clone()).unwrap()
    };
    let (image, odd) = (read_as(OCI_IMAGE), read_as("application/vnd.odd"));
    let first = house.plan(&node, &to, "latest", &odd).await;
    node.wait(first, FOR_EVER).await.unwrap();

    let second = house.plan(&node, &to, "latest", &image).await;
    let plan = node.wait(second, FOR_EVER).await.unwrap();

    assert_eq!(plan.result, PlanResult::Success, "{plan:?}");
    assert_ne!(first, second);
    let mut tx = house.services.database.read().await.unwrap();
    let read = images::get(&mut tx, to.id, &image.digest).await.unwrap();
    assert_eq!(read.unwrap().kind, images::ImageKind::Image);
    assert!(pushed::pending(&mut tx, to.id).await.unwrap().is_empty());
    let repository = RepositoryId::from(to.id);
    let kept = versions::list(&mut tx, repository, None, 10).await.unwrap();
    assert_eq!(kept.len(), 1, "what changes nothing makes no version");
    let again = house.submit(&node, &to, Some("latest"), &image).await;
    assert_eq!(again.unwrap(), Submitted::Unchanged);
}
