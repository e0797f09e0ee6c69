//! What the doctor finds in a house in which something was broken on purpose.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine::clock::{Clock, Timestamp};
use engine::decide;
use engine::journal::{GraphStep, Json, NodeId, PlanId, Submitted};
use engine::lock::{LockMode, LockRequest, OnPause};
use engine::plan::Plan;
use engine::store::{Append, Store as _, StoreError, Submission};
use futures_util::stream;
use secrecy::SecretString;
use storage::catalog::versions::{Cause, Contents, Version};
use storage::catalog::{CatalogError, destinations, organizations, users};
use storage::journal::Journal;
use storage::{Content, Digest, Label};

use super::*;
use crate::data_dir::DataDir;
use crate::first_start::{self, ADMIN, DEFAULT_ORGANIZATION};

const BLOB: &[u8] = b"a layer";

/// A house in which one blob was pushed, and nobody is at home.
struct House {
    config: Config,
    folder: tempfile::TempDir,
}

impl House {
    async fn with_a_blob() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::default().with("data_dir", folder.path().to_str().unwrap());
        let config = Config::read(&settings, &Environment::default()).unwrap();
        let at = Clock::system().now();
        let data_dir = DataDir::take(&config.data_dir).unwrap();
        let database = Database::open(&config.database).await.unwrap();
        let password = Some(SecretString::from("secret".to_owned()));
        first_start::make(&database, &data_dir, password, at)
            .await
            .unwrap();
        let content = Content::open(database.clone(), &config.content_dir, None, at)
            .await
            .unwrap();
        let to = database.transact(move |tx| {
            Box::pin(async move {
                let organization = organizations::find(tx, DEFAULT_ORGANIZATION)
                    .await?
                    .unwrap();
                let tools = Label::parse("tools").unwrap();
                let to = destinations::make(tx, organization.id, &tools, "busybox", at).await?;
                let admin = users::find(tx, ADMIN).await?.unwrap();
                Ok::<_, CatalogError>((to.id, admin.id))
            })
        });
        let (to, admin) = to.await.unwrap().unwrap();
        let upload = content.open_upload(to, admin, at).await.unwrap();
        let body = stream::iter([Ok::<_, Infallible>(Bytes::from_static(BLOB))]);
        content.append(upload.id, None, body, at).await.unwrap();
        content
            .finish(upload.id, &Digest::of(BLOB), at)
            .await
            .unwrap();
        content.close().await;
        database.close().await;
        Self { config, folder }
    }

    async fn findings(&self) -> Vec<String> {
        let examination = examine(&self.config).await.unwrap();
        examination
            .findings
            .into_iter()
            .map(|finding| finding.what)
            .collect()
    }

    /// The file with the blob's bytes.
    fn object(&self) -> PathBuf {
        let objects = files(self.folder.path()).into_iter();
        let mut found = objects.filter(|path| fs::read(path).is_ok_and(|bytes| bytes == BLOB));
        found.next().expect("the blob has an object")
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn a_house_in_order_has_no_findings() {
    let house = House::with_a_blob().await;

    let examination = examine(&house.config).await.unwrap();

    assert_eq!(examination.findings, []);
    assert!(
        examination.looked_at.contains(&(1, "blobs")),
        "{:?}",
        examination.looked_at
    );
}

#[tokio::test]
async fn a_blob_whose_bytes_have_changed_is_found() {
    let house = House::with_a_blob().await;
    fs::write(house.object(), b"a LAYER").unwrap();

    let findings = house.findings().await;

    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].starts_with(&format!("blob {}: the bytes of object ", Digest::of(BLOB))),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_blob_whose_object_is_gone_is_found() {
    let house = House::with_a_blob().await;
    fs::remove_file(house.object()).unwrap();

    let findings = house.findings().await;

    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].starts_with(&format!("blob {}: ", Digest::of(BLOB))),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_content_folder_without_its_mark_or_with_another_is_found() {
    let house = House::with_a_blob().await;
    let mark = house.config.content_dir.join("instance");

    fs::remove_file(&mark).unwrap();
    let without = house.findings().await;
    fs::write(&mark, "00000000-0000-0000-0000-000000000000\n").unwrap();
    let foreign = house.findings().await;

    for (findings, says) in [(without, "does not show"), (foreign, "another database")] {
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains(says), "{findings:?}");
    }
}

#[tokio::test]
async fn an_object_that_no_row_answers_for_is_found() {
    let house = House::with_a_blob().await;
    let stray = "0123abcd-feed";
    let folder = house
        .config
        .content_dir
        .join("objects")
        .join("01")
        .join("23");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(stray), b"left behind").unwrap();

    assert_eq!(
        house.findings().await,
        [format!("object {stray} has no row")]
    );
}

/// What is first written of a plan without a workflow that anybody knows, which has all its locks.
fn first_row(plan: PlanId, links: Vec<(String, String)>, locks: Vec<LockRequest>) -> Append {
    let submitted = Submitted {
        workflow: "mirror".to_owned(),
        version: 1,
        action: "Mirror".to_owned(),
        graph: [GraphStep::new("only", vec![])].into(),
        input: Json::of(&()).unwrap(),
        locks,
        actor: None,
        organization: None,
        links,
        cause: None,
        parent: None,
        revertible_for: None,
        priority: engine::priority::Priority::default(),
    };
    let (at, node) = (Timestamp(1), NodeId(uuid::Uuid::nil()));
    let decision = decide::submit(plan, submitted, vec![], true, at, node).unwrap();
    let nonce = i64::try_from(plan.0.as_u128()).unwrap();
    Append::new(&Plan::empty(plan), &decision, node, nonce).unwrap()
}

/// The first row of a sub-task of this parent.
fn sub_task(plan: PlanId, parent: PlanId) -> Append {
    first_row(
        plan,
        vec![("parent".to_owned(), parent.to_string())],
        vec![],
    )
}

/// Writes it, whoever else has its locks.
async fn submit(database: &Database, first: Append) {
    let submission = Submission {
        queued: first.clone(),
        granted: first,
        open_key: None,
    };
    let submitted =
        database.transact::<_, StoreError>(move |tx| Box::pin(Journal::submit_in(tx, submission)));
    submitted.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lock_that_two_tasks_have_at_once_is_found() {
    let house = House::with_a_blob().await;
    let ids = [1, 2].map(|n| PlanId(uuid::Uuid::from_u128(n)));
    let database = Database::open(&house.config.database).await.unwrap();
    for plan in ids {
        let lock = LockRequest {
            resource: "dock".to_owned(),
            mode: LockMode::Exclusive,
            until: None,
            on_pause: OnPause::Hold,
        };
        submit(&database, first_row(plan, vec![], vec![lock])).await;
    }
    database.close().await;

    let findings = house.findings().await;

    assert_eq!(
        findings,
        [format!(
            "lock dock: held at once by task {} (exclusive) and task {} (exclusive)",
            ids[0], ids[1]
        )]
    );
}

#[tokio::test]
async fn a_journal_without_its_task_and_a_sub_task_without_its_parent_are_found() {
    let house = House::with_a_blob().await;
    let ids = [1, 2, 3].map(|n| PlanId(uuid::Uuid::from_u128(n)));
    let database = Database::open(&house.config.database).await.unwrap();
    submit(&database, sub_task(ids[0], ids[1])).await;
    let of_nobody = Append {
        head: None,
        ..sub_task(ids[2], ids[0])
    };
    let journal = Journal::new(database.clone());
    journal.append(of_nobody).await.unwrap();
    database.close().await;

    let findings = house.findings().await;

    assert_eq!(
        findings,
        [
            format!(
                "task {}: there is no such task, and 1 rows of its journal",
                ids[2]
            ),
            format!(
                "task {}: its parent, task {}, is not there any more",
                ids[0], ids[1]
            ),
        ]
    );
}

#[test]
fn a_tag_at_a_manifest_that_its_version_does_not_have_is_found() {
    let (kept, dropped) = (Digest::of(b"kept"), Digest::of(b"dropped"));
    let version = |number, added, removed| Version {
        number,
        plan: engine::journal::PlanId(uuid::Uuid::nil()),
        backend_version: number,
        cause: Cause::Push,
        created_at: engine::clock::Timestamp(0),
        added,
        removed,
        published_in: Vec::new(),
    };
    let first = Contents {
        tags: vec![
            ("one".parse().unwrap(), kept),
            ("two".parse().unwrap(), dropped),
        ],
        manifests: vec![kept, dropped],
    };
    let gone = Contents {
        tags: Vec::new(),
        manifests: vec![dropped],
    };
    let versions = [
        version(1, first, Contents::default()),
        version(2, Contents::default(), gone),
    ];
    let mut examination = Examination::default();

    let seen = catalog::replay("acme/busybox", &versions, &mut examination);

    assert_eq!(seen.len(), 2);
    let what = format!("acme/busybox: version 2 has tag two at {dropped}, which is not in it");
    assert_eq!(
        examination
            .findings
            .iter()
            .map(|finding| &finding.what)
            .collect::<Vec<_>>(),
        [&what]
    );
}
