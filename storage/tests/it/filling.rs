//! What is written very many at once is what would have been written one by one.

use engine::clock::Timestamp;
use engine::journal::{Entry, GraphStep, Json, NodeId, PlanResult, Row, Submitted};
use engine::search::Waits;
use engine::state::PlanState;
use engine::store::{Append, Head, Store as _, StoreError, Submission};
use sqlx::Row as _;
use storage::Tx;
use storage::catalog::images::{self, Image};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{CatalogError, RepositoryId, UserId, manifests, pushed};
use storage::filling::{self, FiledImage};
use storage::journal::Journal;
use uuid::Uuid;

use crate::house::{AT, House, image, plan, tag};

/// More than one statement takes.
const MANY: u128 = 1_203;

/// Every row of these tables as SQL would write it, in the order of their texts.
async fn all_rows(house: &House, tables: &[&'static str]) -> Vec<String> {
    const COLUMNS: &str = "SELECT name FROM pragma_table_info($1)";
    let mut tx = house.read().await;
    let mut all = Vec::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar(COLUMNS)
            .bind(*table)
            .fetch_all(&mut tx)
            .await
            .unwrap();
        let quoted: Vec<String> = columns
            .iter()
            .map(|name| format!("quote({name})"))
            .collect();
        let columns = quoted.join(" || ', ' || ");
        let sql = format!("SELECT {columns} AS text FROM {table} ORDER BY text");
        let rows = sqlx::QueryBuilder::<storage::Sqlite>::new(sql)
            .build()
            .fetch_all(&mut tx)
            .await
            .unwrap();
        assert!(!rows.is_empty(), "{table} is empty");
        all.extend(rows.iter().map(|row| {
            let text: String = row.get("text");
            format!("{table}: {text}")
        }));
    }
    all
}

/// A plan with all that a row of it can hold.
fn submission(n: u128) -> Submission {
    let at = Timestamp(i64::try_from(n).unwrap());
    let paused = n.is_multiple_of(3);
    let head = Head {
        workflow: "push".to_owned(),
        state: if paused {
            PlanState::Paused
        } else {
            PlanState::Stopped
        },
        result: if paused {
            PlanResult::Error
        } else {
            PlanResult::Success
        },
        reason: paused.then_some(engine::journal::Reason::Error),
        owner: None,
        organization: Some("Acme".to_owned()),
        actor: (n.is_multiple_of(2)).then(|| format!("user {}", n % 7)),
        created_at: at,
        started_at: Some(Timestamp(at.0 + 1)),
        ended_at: (!paused).then_some(Timestamp(at.0 + 2)),
        paused_at: paused.then_some(Timestamp(at.0 + 3)),
        waits: if paused {
            "operator".parse().unwrap()
        } else {
            Waits::default()
        },
        attempt: u32::try_from(n % 4).unwrap(),
    };
    let link = |name: &str, value: String| (name.to_owned(), value);
    let submitted = Submitted {
        workflow: head.workflow.clone(),
        version: 1,
        action: "Test".to_owned(),
        graph: vec![GraphStep::new("only", vec![])].into(),
        input: Json::of(&()).unwrap(),
        locks: vec![],
        actor: head.actor.clone(),
        organization: head.organization.clone(),
        links: vec![
            link("tag", format!("t{n}")),
            link("tag", format!("t{n}")),
            link("product", "Tools".to_owned()),
            link("digest", "sha256:a".to_owned()),
        ],
        cause: None,
        parent: None,
        revertible_for: None,
        priority: engine::priority::Priority::default(),
    };
    let append = Append {
        plan: plan(n),
        row: Row {
            seq: 1,
            nonce: i64::try_from(n).unwrap(),
            node: NodeId(Uuid::from_u128(7)),
            at,
            entries: vec![Entry::Submitted(Box::new(submitted))],
            unreadable: None,
        },
        entries: format!("[{n}]"),
        head: Some(head),
        let_go: vec![],
        asked_for: vec![],
        notices: vec![],
        mail: None,
        gives_key_up: true,
    };
    Submission {
        queued: append.clone(),
        granted: append,
        open_key: None,
    }
}

#[tokio::test]
async fn plans_filled_in_are_those_that_are_submitted_one_by_one() {
    let [one_by_one, filled] = [House::new().await, House::new().await];
    let journal = Journal::new(one_by_one.database.clone());
    let submitted = journal.transact::<(), StoreError>(Box::new(|tx| {
        Box::pin(async move {
            for n in 1..=MANY {
                Journal::submit_in(tx, submission(n)).await?;
            }
            Ok(())
        })
    }));
    submitted.await.unwrap().unwrap();

    let all: Vec<Submission> = (1..=MANY).map(submission).collect();
    filled
        .write(move |tx| Box::pin(async move { filling::plans(tx, &all).await }))
        .await;

    let tables = ["plan", "journal", "plan_link", "searched_texts"];
    let expected = all_rows(&one_by_one, &tables).await;
    assert_eq!(all_rows(&filled, &tables).await, expected);
}

/// The n-th image of the repository, filed into version 1.
fn filed(repository: RepositoryId, n: u128) -> FiledImage {
    let manifest = image(&format!("image {n}"));
    let read = Image {
        labels: [("n".to_owned(), n.to_string())].into(),
        platforms: vec!["linux/amd64".to_owned()],
        ..Image::read(&manifest, None)
    };
    FiledImage {
        repository,
        version: 1,
        plan: plan(1),
        tag: tag(&format!("t{n}")),
        manifest,
        image: read,
    }
}

async fn one_by_one(
    tx: &mut Tx,
    images: &[FiledImage],
    repository: RepositoryId,
    by: UserId,
) -> Result<(), CatalogError> {
    let mut changes = Changes::default();
    for it in images {
        let digest = it.manifest.digest;
        manifests::put(tx, &it.manifest, AT).await?;
        pushed::add(tx, repository.into(), &it.manifest, by, AT).await?;
        images::upsert(tx, repository.into(), &it.image).await?;
        pushed::file(tx, repository.into(), &[digest], plan(1)).await?;
        changes.tags_set.push((it.tag.clone(), digest));
        changes.manifests_added.push(digest);
    }
    versions::record(tx, repository, plan(1), 1, Cause::Push, &changes, AT).await?;
    Ok(())
}

#[tokio::test]
async fn images_filled_in_are_those_that_are_pushed_one_by_one() {
    let [pushed, filled] = [House::new().await, House::new().await];
    for (house, at_once) in [(&pushed, false), (&filled, true)] {
        let (_, repository) = house.repository().await;
        let (repository, by) = (repository.id, house.user.id);
        let all: Vec<FiledImage> = (1..=MANY).map(|n| filed(repository, n)).collect();
        house
            .write(move |tx| {
                Box::pin(async move {
                    if !at_once {
                        return one_by_one(tx, &all, repository, by).await;
                    }
                    one_by_one(tx, &[], repository, by).await?;
                    filling::images(tx, &all, by, AT).await
                })
            })
            .await;
    }

    let tables = [
        "manifests",
        "pushed_manifests",
        "manifest_parts",
        "images",
        "versions",
        "content_in",
    ];
    let expected = all_rows(&pushed, &tables).await;
    assert_eq!(all_rows(&filled, &tables).await, expected);
}
