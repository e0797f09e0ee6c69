use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Row as _, SqlStr};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;

fn open(folder: &tempfile::TempDir) -> SqliteConnection {
    let mut connection = options(folder.path()).open().unwrap();
    connection
        .run("CREATE TABLE kept (n INTEGER PRIMARY KEY, what TEXT UNIQUE NOT NULL)")
        .unwrap();
    connection
}

fn options(folder: &Path) -> Options {
    Options::new(&folder.join("a.db"), Duration::ZERO, 16)
}

#[tokio::test]
async fn a_numbered_value_is_bound_wherever_its_number_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);

    let numbered: (i64, String, i64, Option<i64>) = sqlx::query_as("SELECT $2, $1, $2, $3")
        .bind("one")
        .bind(2_i64)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let in_turn: (i64, i64) = sqlx::query_as("SELECT ?, ?")
        .bind(1_i64)
        .bind(2_i64)
        .fetch_one(&mut connection)
        .await
        .unwrap();

    assert_eq!(numbered, (2, "one".to_owned(), 2, None));
    assert_eq!(in_turn, (1, 2));
}

#[tokio::test]
async fn what_is_bound_comes_back_as_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);
    let id = Uuid::from_u128(7);

    let row = sqlx::query("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f")
        .bind(id)
        .bind(true)
        .bind(b"bytes".as_slice())
        .bind(None::<String>)
        .bind(1.5)
        .bind(Some("text"))
        .fetch_one(&mut connection)
        .await
        .unwrap();

    assert_eq!(row.try_get::<Uuid, _>("a").unwrap(), id);
    assert!(row.try_get::<bool, _>("b").unwrap());
    assert_eq!(row.try_get::<&[u8], _>("c").unwrap(), b"bytes");
    assert_eq!(row.try_get::<Option<String>, _>("d").unwrap(), None);
    assert!((row.try_get::<f64, _>("e").unwrap() - 1.5).abs() < f64::EPSILON);
    assert_eq!(row.try_get::<String, _>("f").unwrap(), "text");
    let as_number = row.try_get::<i64, _>("f").unwrap_err();
    assert!(as_number.to_string().contains("\"f\""), "{as_number}");
    assert!(row.try_get::<i64, _>("nowhere").is_err());
}

#[tokio::test]
async fn a_statement_that_writes_is_run_to_its_end_although_one_row_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);

    let first: i64 =
        sqlx::query_scalar("INSERT INTO kept (what) VALUES ('a'), ('b'), ('c') RETURNING n")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let mut beside = options(folder.path()).open().unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut beside)
        .await
        .unwrap();

    assert_eq!((first, seen), (1, 3));
}

#[tokio::test]
async fn it_is_told_how_many_rows_a_statement_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);
    let insert = "INSERT INTO kept (what) VALUES ('a'), ('b') ON CONFLICT (what) DO NOTHING";

    let new = sqlx::query(insert).execute(&mut connection).await.unwrap();
    let again = sqlx::query(insert).execute(&mut connection).await.unwrap();

    assert_eq!((new.rows_affected(), again.rows_affected()), (2, 0));
}

#[tokio::test]
async fn a_refusal_says_which_one_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);
    let insert = "INSERT INTO kept (what) VALUES ('a')";
    sqlx::query(insert).execute(&mut connection).await.unwrap();

    let twice = sqlx::query(insert).execute(&mut connection).await;
    let unknown = sqlx::query("SELECT 1 FROM nowhere")
        .execute(&mut connection)
        .await;

    let twice = twice.unwrap_err();
    assert!(twice.as_database_error().unwrap().is_unique_violation());
    assert!(twice.to_string().contains("(code: 2067)"), "{twice}");
    let unknown = unknown.unwrap_err();
    assert!(
        unknown.to_string().contains("no such table: nowhere"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_text_of_two_statements_is_refused_and_none_of_them_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);

    let both = "INSERT INTO kept (what) VALUES ('a'); INSERT INTO kept (what) VALUES ('b')";
    let refused = sqlx::query(both).execute(&mut connection).await;

    assert!(refused.is_err());
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_statement_past_its_limit_is_given_up_and_the_next_one_is_not() {
    const LONG: &str = "
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT $1) SELECT max(i) FROM n";
    let folder = tempfile::tempdir().unwrap();
    let none = Limits {
        briefly: Duration::ZERO,
        at_length: Duration::from_mins(1),
    };
    let mut connection = options(folder.path()).limited(none).open().unwrap();
    let ask = async |connection: &mut SqliteConnection| {
        sqlx::query_scalar::<_, i64>(LONG)
            .bind(100_000)
            .fetch_one(connection)
            .await
    };

    let given_up = ask(&mut connection).await.unwrap_err();
    connection.run("BEGIN; ROLLBACK").unwrap();
    connection.expect(Waits::AtLength);
    let answered = ask(&mut connection).await.unwrap();

    assert!(given_up.to_string().contains("(code: 9)"), "{given_up}");
    assert_eq!(answered, 100_000);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_and_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);
    let migrator = |sql: &'static str| {
        let first = Migration::new(
            1,
            "first".into(),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        );
        Migrator::with_migrations(vec![first])
    };
    let broken = "INSERT INTO kept (what) VALUES ('a'); INSERT INTO nowhere VALUES (1)";

    let failed = migrator(broken).run(&mut connection).await;
    migrator("INSERT INTO kept (what) VALUES ('a')")
        .run(&mut connection)
        .await
        .unwrap();

    assert!(matches!(failed, Err(MigrateError::ExecuteMigration(_, 1))));
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_a_long_statement_runs_others_use_its_thread() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(&folder);
    connection.expect(Waits::AtLength);
    let (told, tells) = std::sync::mpsc::channel();
    let mut beside = JoinSet::new();
    beside.spawn(async move { told.send(()) });

    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n";
    let mut asked = JoinSet::new();
    asked.spawn(async move {
        let read: i64 = sqlx::query_scalar(long)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        (read, tells.try_recv())
    });

    let (read, ran_beside) = asked.join_next().await.unwrap().unwrap();
    assert_eq!(read, 3_000_000);
    assert_eq!(ran_beside, Ok(()));
    beside.join_next().await.unwrap().unwrap().unwrap();
}
