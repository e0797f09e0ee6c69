//! The journal in SQLite keeps what every store must keep.

use engine::prove::conformance::SmallDisk;
use engine::store::Store as _;
use storage::Database;
use storage::journal::Journal;
use tempfile::TempDir;

async fn fresh() -> (Journal, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    (Journal::new(database), folder)
}

engine::store_conformance!(fresh);

/// As large as SQLite lets the file become.
struct Limit(Database);

impl Limit {
    /// So many pages more than there are.
    async fn set(&self, more: i64) {
        let work: storage::database::Work<(), sqlx::Error> = Box::new(move |tx| {
            Box::pin(async move {
                let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
                    .fetch_one(&mut *tx)
                    .await?;
                let limit = format!("PRAGMA max_page_count = {}", pages + more);
                let mut limit = sqlx::QueryBuilder::<storage::Sqlite>::new(limit);
                let set = limit.build().fetch_one(&mut *tx).await?;
                assert_eq!(sqlx::Row::get::<i64, _>(&set, 0), pages + more);
                Ok(())
            })
        });
        self.0.transact(work).await.unwrap().unwrap();
    }
}

impl SmallDisk for Limit {
    async fn leave(&self, writes: usize, bytes: usize) {
        const PAGE: usize = 4096;
        let pages = (writes * bytes).div_ceil(PAGE);
        self.set(i64::try_from(pages).unwrap()).await;
    }

    async fn free(&self) {
        self.set(1_000_000).await;
    }
}

engine::store_conformance_on_a_small_disk!(async || {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharfinger.db");
    let database = Database::open(&path).await.unwrap();
    (Journal::new(database.clone()), Limit(database), folder)
});

#[tokio::test]
async fn a_row_that_is_not_understood_is_told_and_the_rest_can_still_be_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharfinger.db");
    let database = Database::open(&path).await.unwrap();
    let plan = uuid::Uuid::now_v7();
    let work: storage::database::Work<(), sqlx::Error> = Box::new(move |tx| {
        Box::pin(async move {
            const SQL: &str = "
                INSERT INTO journal (plan_id, seq, nonce, node, at, entries)
                VALUES ($1, 1, 1, $1, 1, '[{\"from_the_future\":{}}]')";
            sqlx::query(SQL)
                .bind(plan)
                .execute(&mut *tx)
                .await
                .map(drop)
        })
    });
    database.transact(work).await.unwrap().unwrap();

    let rows = Journal::new(database)
        .load(engine::journal::PlanId(plan))
        .await
        .unwrap();

    let plan = engine::plan::Plan::fold(engine::journal::PlanId(plan), &rows);
    let why = plan.unreadable.unwrap();
    assert!(
        why.contains("row 1") && why.contains("from_the_future"),
        "{why}"
    );
}

#[tokio::test]
async fn a_message_that_is_not_understood_holds_up_none_that_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharfinger.db");
    let database = Database::open(&path).await.unwrap();
    let plan = uuid::Uuid::now_v7();
    let work: storage::database::Work<(), sqlx::Error> = Box::new(move |tx| {
        Box::pin(async move {
            const PLAN: &str = "
                INSERT INTO plan (id, workflow, state, result, created_at)
                VALUES ($1, 'any', 'pending', 'pending', 1)";
            const MAIL: &str = "INSERT INTO mailbox (plan_id, at, message) VALUES ($1, 1, $2)";
            sqlx::query(PLAN).bind(plan).execute(&mut *tx).await?;
            let cancel = r#"{"action":"cancel","by":"ann","reason":null}"#;
            for message in [r#"{"action":"from_the_future"}"#, cancel] {
                let mail = sqlx::query(MAIL).bind(plan).bind(message);
                mail.execute(&mut *tx).await?;
            }
            Ok(())
        })
    });
    database.transact(work).await.unwrap().unwrap();

    let mail = Journal::new(database)
        .mail(engine::journal::PlanId(plan))
        .await
        .unwrap();

    let actions: Vec<String> = mail
        .iter()
        .map(|it| it.message.action.to_string())
        .collect();
    assert_eq!(actions, ["unreadable", "cancel"]);
}
