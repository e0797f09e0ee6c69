//! What SQLite does for a statement, so that tests can see that it reads along an index.

use sqlx::{AssertSqlSafe, Row as _};

use super::Database;

/// The plan of this statement on an empty database, a line a table.
pub(crate) async fn explain(sql: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    let mut tx = database.read().await.unwrap();
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explained).fetch_all(&mut tx).await.unwrap();
    let lines = rows
        .iter()
        .map(|row| row.try_get::<String, _>("detail").unwrap());
    lines.collect::<Vec<_>>().join("\n")
}
