//! Migrations, as sqlx's migrator runs them: it keeps the list and compares the sums, this writes them down.

use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use sqlx::AssertSqlSafe;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};

use super::{Sqlite, SqliteConnection};

impl SqliteConnection {
    /// The migration and its row, as one commit.
    async fn migrate(
        &mut self,
        table: &str,
        migration: &Migration,
    ) -> Result<Duration, MigrateError> {
        let began = Instant::now();
        let failed = |error| MigrateError::ExecuteMigration(error, migration.version);
        self.run("BEGIN IMMEDIATE").map_err(failed)?;
        self.run(migration.sql.as_str()).map_err(failed)?;
        let took = began.elapsed();
        self.note(table, migration, took).await.map_err(failed)?;
        self.run("COMMIT").map_err(failed)?;
        Ok(took)
    }

    async fn note(
        &mut self,
        table: &str,
        migration: &Migration,
        took: Duration,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "INSERT INTO {table} (version, description, success, checksum, execution_time)
             VALUES ($1, $2, TRUE, $3, $4)"
        );
        sqlx::query::<Sqlite>(AssertSqlSafe(sql))
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .bind(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX))
            .execute(self)
            .await
            .map(drop)
    }
}

impl Migrate for SqliteConnection {
    fn create_schema_if_not_exists<'e>(
        &'e mut self,
        schema: &'e str,
    ) -> BoxFuture<'e, Result<(), MigrateError>> {
        let refused = MigrateError::CreateSchemasNotSupported(schema.to_owned());
        futures_util::future::ready(Err(refused)).boxed()
    }

    /// The columns are those of every database there is already.
    fn ensure_migrations_table<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<(), MigrateError>> {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                 version BIGINT PRIMARY KEY,
                 description TEXT NOT NULL,
                 installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
                 success BOOLEAN NOT NULL,
                 checksum BLOB NOT NULL,
                 execution_time BIGINT NOT NULL)"
        );
        async move { Ok(self.run(&sql)?) }.boxed()
    }

    /// None is ever half done: a migration and its row are one commit.
    fn dirty_version<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<Option<i64>, MigrateError>> {
        let sql = format!("SELECT version FROM {table} WHERE NOT success ORDER BY version LIMIT 1");
        async move {
            let found = sqlx::query_scalar::<Sqlite, i64>(AssertSqlSafe(sql));
            Ok(found.fetch_optional(self).await?)
        }
        .boxed()
    }

    fn list_applied_migrations<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<Vec<AppliedMigration>, MigrateError>> {
        let sql = format!("SELECT version, checksum FROM {table} ORDER BY version");
        async move {
            let rows = sqlx::query_as::<Sqlite, (i64, Vec<u8>)>(AssertSqlSafe(sql));
            let applied = rows.fetch_all(self).await?.into_iter();
            let applied = applied.map(|(version, checksum)| AppliedMigration {
                version,
                checksum: checksum.into(),
            });
            Ok(applied.collect())
        }
        .boxed()
    }

    /// The file is locked by its one process.
    fn lock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        futures_util::future::ready(Ok(())).boxed()
    }

    fn unlock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        futures_util::future::ready(Ok(())).boxed()
    }

    fn apply<'e>(
        &'e mut self,
        table: &'e str,
        migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        async move {
            let migrated = self.migrate(table, migration).await;
            if migrated.is_err() {
                // Refused when SQLite has already rolled back by itself.
                let _ = self.run("ROLLBACK");
            }
            migrated
        }
        .boxed()
    }

    /// There are none that could be undone: a newer schema stays with the newer program.
    fn revert<'e>(
        &'e mut self,
        _: &'e str,
        migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        let refused = MigrateError::VersionMissing(migration.version);
        futures_util::future::ready(Err(refused)).boxed()
    }
}
