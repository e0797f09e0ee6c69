use super::*;
use engine::clock::Timestamp;
use engine::journal::{NodeId, PlanId, Row};
use engine::lock::{LockMode, LockRequest, OnPause};
use uuid::Uuid;

const NOTE: &str =
    "INSERT INTO signing_keys (id, private_key, public_key, created_at) VALUES ($1, x'', x'', 0)";

/// Writes a row: the smallest thing that can be lost.
fn note<E: From<sqlx::Error> + Send + 'static>(id: &'static str) -> Work<(), E> {
    Box::new(move |tx| {
        Box::pin(async move {
            sqlx::query(NOTE).bind(id).execute(&mut *tx).await?;
            Ok(())
        })
    })
}

async fn notes(database: &Database) -> Vec<String> {
    let mut tx = database.read().await.unwrap();
    sqlx::query_scalar("SELECT id FROM signing_keys ORDER BY id")
        .fetch_all(&mut tx)
        .await
        .unwrap()
}

async fn open() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    (folder, database)
}

/// Holds the writer inside a work until told to go on, so that what is sent meanwhile becomes one batch.
async fn hold(database: &Database) -> (oneshot::Sender<()>, JoinSet<()>) {
    let (go_on, told) = oneshot::channel();
    let (begun, has_begun) = oneshot::channel();
    let mut holding = JoinSet::new();
    let database = database.clone();
    holding.spawn(async move {
        let work: Work<(), ()> = Box::new(|_| {
            Box::pin(async move {
                begun.send(()).unwrap();
                told.await.unwrap();
                Ok(())
            })
        });
        database.transact(work).await.unwrap().unwrap();
    });
    has_begun.await.unwrap();
    (go_on, holding)
}

#[tokio::test]
async fn a_connection_weaker_than_a_synced_wal_is_refused() {
    let (folder, database) = open().await;
    database.close().await;
    let path = folder.path().join("wharfinger.db");
    let weaker = durable(&path).set("synchronous", "NORMAL");
    let mut connection = weaker.open().unwrap();

    let refused = assert_durable(&mut connection).await.unwrap_err();

    assert_eq!(
        refused.to_string(),
        "SQLite runs with synchronous = 1, but nothing acknowledged is safe without 2"
    );
    let mut connection = durable(&path).open().unwrap();
    assert_durable(&mut connection).await.unwrap();
}

#[tokio::test]
async fn works_that_wait_together_are_committed_together_and_one_that_fails_leaves_nothing() {
    let (_folder, database) = open().await;
    let (go_on, holding) = hold(&database).await;
    let fails: Work<(), String> = Box::new(|tx| {
        Box::pin(async move {
            sqlx::query(NOTE)
                .bind("half")
                .execute(&mut *tx)
                .await
                .unwrap();
            Err("no".to_owned())
        })
    });

    let (first, failed, second, ()) = tokio::join!(
        database.transact(note::<DatabaseError>("first")),
        database.transact(fails),
        database.transact(note::<DatabaseError>("second")),
        async { go_on.send(()).unwrap() },
    );
    holding.join_all().await;

    assert!(first.unwrap().is_ok());
    assert_eq!(failed.unwrap(), Err("no".to_owned()));
    assert!(second.unwrap().is_ok());
    assert_eq!(notes(&database).await, ["first", "second"]);
    assert_eq!(database.batches(), [(1, 1), (3, 1)]);
}

#[tokio::test]
async fn a_work_that_panics_is_told_so_and_its_neighbour_commits() {
    let (_folder, database) = open().await;
    let (go_on, holding) = hold(&database).await;
    let panics: Work<(), ()> = Box::new(|tx| {
        Box::pin(async move {
            sqlx::query(NOTE)
                .bind("half")
                .execute(&mut *tx)
                .await
                .unwrap();
            panic!("a bug in a step")
        })
    });

    let (panicked, neighbour, ()) = tokio::join!(
        database.transact(panics),
        database.transact(note::<DatabaseError>("neighbour")),
        async { go_on.send(()).unwrap() },
    );
    holding.join_all().await;

    assert!(matches!(panicked, Err(DatabaseError::Panicked)));
    assert!(neighbour.unwrap().is_ok());
    assert_eq!(notes(&database).await, ["neighbour"]);
}

#[tokio::test]
async fn a_work_that_holds_the_writer_too_long_is_rolled_back() {
    let (_folder, database) = open().await;
    let stalls: Work<(), ()> = Box::new(|tx| {
        Box::pin(async move {
            sqlx::query(NOTE)
                .bind("half")
                .execute(&mut *tx)
                .await
                .unwrap();
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(6)).await;
            std::future::pending().await
        })
    });

    let stalled = database.transact(stalls).await;
    tokio::time::resume();

    assert!(matches!(
        stalled,
        Err(DatabaseError::TooLong { seconds: 5 })
    ));
    database
        .transact(note::<DatabaseError>("next"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(notes(&database).await, ["next"]);
}

#[tokio::test]
async fn a_work_whose_statements_take_too_long_is_rolled_back_between_two_of_them() {
    let (_folder, database) = open().await;
    let late: Work<(), sqlx::Error> = Box::new(|tx| {
        Box::pin(async move {
            tx.refuse_after(std::time::Instant::now().checked_sub(Duration::from_secs(1)));
            tokio::time::pause();
            let next = sqlx::query(NOTE).bind("late").execute(&mut *tx);
            let (next, ()) = tokio::join!(next, tokio::time::advance(Duration::from_secs(6)));
            next.map(drop)
        })
    });

    let refused = database.transact(late).await;
    tokio::time::resume();

    assert!(matches!(
        refused,
        Err(DatabaseError::TooLong { seconds: 5 })
    ));
    assert_eq!(notes(&database).await, [""; 0]);
}

#[tokio::test]
async fn many_statements_one_after_the_other_let_others_at_the_thread() {
    let (_folder, database) = open().await;
    let mut tx = database.look_up().await.unwrap();
    let mut beside = tokio::task::JoinSet::new();
    beside.spawn(async {});

    for _ in 0..1_000 {
        sqlx::query("SELECT 1").execute(&mut tx).await.unwrap();
    }

    assert!(beside.try_join_next().is_some(), "it has run meanwhile");
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_folder, database) = open().await;
    let mut tx = database.read().await.unwrap();

    let refused = sqlx::query(NOTE).bind("sneaked in").execute(&mut tx).await;

    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_reader_keeps_its_snapshot_and_the_next_one_sees_what_was_committed() {
    const COUNT: &str = "SELECT count(*) FROM signing_keys";
    let (_folder, database) = open().await;
    let mut before = database.read().await.unwrap();
    let empty: i64 = sqlx::query_scalar(COUNT)
        .fetch_one(&mut before)
        .await
        .unwrap();

    database
        .transact(note::<DatabaseError>("new"))
        .await
        .unwrap()
        .unwrap();

    let still: i64 = sqlx::query_scalar(COUNT)
        .fetch_one(&mut before)
        .await
        .unwrap();
    assert_eq!((empty, still), (0, 0));
    assert_eq!(notes(&database).await, ["new"]);
}

#[tokio::test]
async fn a_full_disk_is_told_as_full_to_the_whole_batch_and_later_writes_work_again() {
    let (_folder, database) = open().await;
    let limit = |pages: &'static str| -> Work<(), sqlx::Error> {
        Box::new(move |tx| {
            Box::pin(async move { sqlx::query(pages).execute(&mut *tx).await.map(drop) })
        })
    };
    let large: Work<(), sqlx::Error> = Box::new(|tx| {
        Box::pin(async move {
            const SQL: &str = "INSERT INTO signing_keys (id, private_key, public_key, created_at) VALUES ('large', zeroblob(9000000), x'', 0)";
            // A work that shrugs off the failure must not have its next statement committed alone.
            let _ = sqlx::query(SQL).execute(&mut *tx).await;
            sqlx::query(NOTE).bind("alone").execute(&mut *tx).await?;
            Ok(())
        })
    });
    database
        .transact(limit("PRAGMA max_page_count = 200"))
        .await
        .unwrap()
        .unwrap();
    let (go_on, holding) = hold(&database).await;

    let (before, full, after, ()) = tokio::join!(
        database.transact(note::<DatabaseError>("before")),
        database.transact(large),
        database.transact(note::<DatabaseError>("after")),
        async { go_on.send(()).unwrap() },
    );
    holding.join_all().await;

    assert!(
        before.unwrap_err().is_full(),
        "it shared the transaction that was lost"
    );
    assert!(full.unwrap_err().is_full());
    assert!(
        after.unwrap().is_ok(),
        "it had not begun, and goes into the next transaction"
    );
    assert_eq!(notes(&database).await, ["after"]);
    database
        .transact(limit("PRAGMA max_page_count = 1000000"))
        .await
        .unwrap()
        .unwrap();
    database
        .transact(note::<DatabaseError>("again"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(notes(&database).await, ["after", "again"]);
}

#[tokio::test]
async fn a_second_process_is_refused_but_may_look() {
    let (_folder, database) = open().await;
    database
        .transact(note::<DatabaseError>("kept"))
        .await
        .unwrap()
        .unwrap();

    let refused = Database::open(database.path()).await.err().unwrap();
    let looking = Database::open_to_read(database.path()).await.unwrap();

    assert!(matches!(refused, DatabaseError::InUse { .. }));
    assert_eq!(notes(&looking).await, ["kept"]);
    let write = looking.transact(note::<DatabaseError>("sneaked in")).await;
    assert!(matches!(write, Err(DatabaseError::Closed)));
}

#[tokio::test]
async fn what_was_accepted_before_closing_is_there_after_opening_again() {
    let (folder, database) = open().await;
    let other = database.clone();
    database
        .transact(note::<DatabaseError>("kept"))
        .await
        .unwrap()
        .unwrap();

    database.close().await;

    let late = other.transact(note::<DatabaseError>("late")).await;
    assert!(matches!(late, Err(DatabaseError::Closed)));
    drop(other);
    let path = folder.path().join("wharfinger.db");
    let wal = std::fs::metadata(folder.path().join("wharfinger.db-wal"));
    let left = wal.map_or(0, |wal| wal.len());
    assert_eq!(left, 0, "the WAL went back into the file");
    let again = Database::open(&path).await.unwrap();
    assert_eq!(notes(&again).await, ["kept"]);
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_refused_with_both_numbers() {
    let (folder, database) = open().await;
    let newer: Work<(), sqlx::Error> = Box::new(|tx| {
        Box::pin(async move {
            const SQL: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, x'', 0)";
            sqlx::query(SQL).execute(&mut *tx).await.map(drop)
        })
    });
    database.transact(newer).await.unwrap().unwrap();
    database.close().await;

    let refused = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .err()
        .unwrap();

    let known = MIGRATIONS.iter().map(|known| known.version).max().unwrap();
    let told = format!("has schema 9999, this program knows up to {known};");
    assert!(refused.to_string().contains(&told), "{refused}");
}

/// Writes a row of 25 pages.
fn large() -> Work<(), sqlx::Error> {
    Box::new(|tx| {
        Box::pin(async move {
            const SQL: &str = "INSERT INTO signing_keys (id, private_key, public_key, created_at) VALUES (hex(randomblob(16)), zeroblob(100000), x'', 0)";
            sqlx::query(SQL).execute(&mut *tx).await.map(drop)
        })
    })
}

async fn pages_in_wal(database: &Database) -> i64 {
    const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
    let mut beside = durable(database.path()).open().unwrap();
    let (_, in_wal, _): (i64, i64, i64) =
        sqlx::query_as(LOOK).fetch_one(&mut beside).await.unwrap();
    in_wal
}

#[tokio::test]
async fn the_wal_is_brought_back_into_the_file_while_writes_go_on() {
    let (_folder, database) = open().await;

    for _ in 0..130 {
        database.transact(large()).await.unwrap().unwrap();
    }

    let in_wal = pages_in_wal(&database).await;
    assert!(
        in_wal < 1000,
        "{in_wal} of 3,250 pages are in the WAL: it never began again"
    );
}

#[tokio::test]
async fn the_wal_begins_again_although_there_is_always_a_reader() {
    const A_LIST: Duration = Duration::from_millis(20); // so long a slow one is read
    let (_folder, database) = open().await;
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let database = database.clone();
        readers.spawn(async move {
            loop {
                let mut snapshot = database.read().await.unwrap();
                let rows =
                    sqlx::query("SELECT 1 FROM signing_keys LIMIT 1").fetch_all(&mut snapshot);
                rows.await.unwrap();
                tokio::time::sleep(A_LIST).await;
            }
        });
    }

    for _ in 0..1000 {
        database.transact(large()).await.unwrap().unwrap();
    }

    let in_wal = pages_in_wal(&database).await;
    assert!(
        in_wal < 20_000,
        "{in_wal} of 26,000 pages are in the WAL: it never began again"
    );
}

#[tokio::test]
async fn what_a_process_left_that_died_can_be_looked_at_and_opened() {
    let (_folder, database) = open().await;
    database
        .transact(note::<DatabaseError>("kept"))
        .await
        .unwrap()
        .unwrap();
    let left = tempfile::tempdir().unwrap();
    let path = left.path().join("wharfinger.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", database.path().display());
        std::fs::copy(from, format!("{}{suffix}", path.display())).unwrap();
    }

    let looking = Database::open_to_read(&path).await.unwrap();
    assert_eq!(notes(&looking).await, ["kept"]);
    let again = Database::open(&path).await.unwrap();
    assert_eq!(notes(&again).await, ["kept"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_written_does_not_harm_the_works_beside_it() {
    let (_folder, database) = open().await;
    let (go_on, _holding) = hold(&database).await;
    let nobody = PlanId(Uuid::from_u128(1));
    let row = Row {
        seq: 1,
        nonce: 1,
        node: NodeId(Uuid::from_u128(2)),
        at: Timestamp(0),
        entries: Vec::new(),
        unreadable: None,
    };
    let lock = LockRequest {
        resource: "of a plan that does not exist".to_owned(),
        mode: LockMode::Exclusive,
        until: None,
        on_pause: OnPause::Hold,
    };
    let impossible = Append {
        plan: nobody,
        row,
        entries: "[]".to_owned(),
        head: None,
        let_go: Vec::new(),
        asked_for: vec![lock],
        notices: vec![],
        mail: None,
        gives_key_up: false,
    };

    let (refused, noted, ()) = tokio::join!(
        database.append(impossible),
        database.transact::<(), sqlx::Error>(note("neighbour")),
        async { go_on.send(()).unwrap() },
    );

    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    noted.unwrap().unwrap();
    assert_eq!(notes(&database).await, ["neighbour"]);
}

/// The schema as it was before lists had tables of their own, with what such a database holds.
async fn old_database(path: &Path) {
    const OLD: &str = "
        INSERT INTO plan (id, workflow, state, result, organization, actor, created_at, ended_at)
        VALUES (x'01', 'push', 'stopped', 'success', 'acme', 'ann', 1, 2),
               (x'02', 'push', 'stopped', 'success', NULL, NULL, 1, 2);
        INSERT INTO plan_link (plan_id, name, value)
        VALUES (x'01', 'tag', 'latest'), (x'02', 'tag', 'latest'), (x'01', 'digest', 'sha256:a'),
               (x'01', 'repository', 'acme/app');";
    let mut connection = durable(path).open().unwrap();
    let before = MIGRATIONS.iter().filter(|known| known.version < 6);
    Migrator {
        migrations: before.cloned().collect::<Vec<_>>().into(),
        ..Migrator::DEFAULT
    }
    .run(&mut connection)
    .await
    .unwrap();
    connection.run(OLD).unwrap();
}

#[tokio::test]
async fn a_database_of_before_is_brought_up_to_date_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharfinger.db");
    old_database(&path).await;

    let database = Database::open(&path).await.unwrap();

    let mut tx = database.read().await.unwrap();
    let texts: Vec<(String, String)> =
        sqlx::query_as("SELECT field, text FROM searched_texts ORDER BY field, text")
            .fetch_all(&mut tx)
            .await
            .unwrap();
    let texts: Vec<String> = texts
        .into_iter()
        .map(|(field, text)| format!("{field} {text}"))
        .collect();
    assert_eq!(
        texts,
        [
            "label push",
            "organization acme",
            "repository acme/app",
            "tag latest",
            "user ann"
        ]
    );
}
