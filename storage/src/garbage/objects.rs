//! Objects that no row names, and those that are doomed.

use engine::clock::Timestamp;

use super::BATCH;
use crate::Tx;
use crate::catalog::{parsed, stored_json};
use crate::content::objects::ObjectName;
use crate::content::{Content, ContentError};

const DOOMED: &str = "SELECT object FROM doomed WHERE object > $1 ORDER BY object LIMIT $2";

/// The next doomed objects after that one, at most a batch of them.
pub async fn doomed(
    tx: &mut Tx,
    after: Option<&ObjectName>,
) -> Result<Vec<ObjectName>, ContentError> {
    let rows = sqlx::query(DOOMED)
        .bind(after.map_or("", ObjectName::as_str))
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
    let names = rows.iter().map(|row| parsed(row, "object"));
    Ok(names.collect::<Result<_, _>>()?)
}

macro_rules! nameless {
    () => {
        "FROM json_each($1) asked
         WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.object = asked.value AND b.has_object = 1)
           AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.object = asked.value)
           AND NOT EXISTS (SELECT 1 FROM doomed x WHERE x.object = asked.value)"
    };
}

const WITHOUT_ROW: &str = concat!("SELECT asked.value AS object ", nameless!());

const DOOM: &str = concat!(
    "INSERT INTO doomed (object, since) SELECT asked.value, $2 ",
    nameless!(),
    " RETURNING object"
);

/// Those of these objects that no row names.
pub async fn without_row(
    tx: &mut Tx,
    objects: &[ObjectName],
) -> Result<Vec<ObjectName>, ContentError> {
    let rows = sqlx::query(WITHOUT_ROW)
        .bind(stored_json(&objects)?)
        .fetch_all(&mut *tx)
        .await?;
    let names = rows.iter().map(|row| parsed(row, "object"));
    Ok(names.collect::<Result<_, _>>()?)
}

/// Dooms those of these objects that no row names: their names were made up for one upload, and nobody writes them any more.
pub async fn doom(
    tx: &mut Tx,
    objects: &[ObjectName],
    at: Timestamp,
) -> Result<Vec<ObjectName>, ContentError> {
    let rows = sqlx::query(DOOM)
        .bind(stored_json(&objects)?)
        .bind(at.0)
        .fetch_all(&mut *tx)
        .await?;
    let names = rows.iter().map(|row| parsed(row, "object"));
    Ok(names.collect::<Result<_, _>>()?)
}

/// Their bytes are gone.
pub async fn forget(tx: &mut Tx, objects: &[ObjectName]) -> Result<(), ContentError> {
    const SQL: &str = "DELETE FROM doomed WHERE object IN (SELECT value FROM json_each($1))";
    sqlx::query(SQL)
        .bind(stored_json(&objects)?)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// All that the names of objects may begin with, in parts: most of them have the same first two digits.
pub fn prefixes() -> impl Iterator<Item = String> {
    let under_zero = (0..=u8::MAX).map(|second| format!("00{second:02x}"));
    under_zero.chain((1..=u8::MAX).map(|first| format!("{first:02x}")))
}

impl Content {
    /// The objects whose names begin so and that were written last before that time.
    pub async fn objects_before(
        &self,
        prefix: &str,
        before: Timestamp,
    ) -> Result<Vec<ObjectName>, ContentError> {
        let listed = self.objects().list_with_age(prefix).await?;
        let old = listed.into_iter().filter(|(_, at)| *at < before);
        Ok(old.map(|(name, _)| name).collect())
    }

    /// Deletes the bytes of objects that no row names; answers those that are gone.
    pub async fn delete_objects(&self, objects: Vec<ObjectName>) -> Vec<ObjectName> {
        let mut gone = Vec::new();
        for object in objects {
            match self.objects().delete(&object).await {
                Ok(()) => gone.push(object),
                Err(error) => {
                    tracing::warn!(%error, "object {object} is no longer needed but could not be deleted");
                }
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn objects_are_looked_up_along_indexes() {
        for sql in [DOOMED, WITHOUT_ROW, DOOM] {
            let told = explain(sql).await;
            let lines = told.lines().filter(|line| line.contains("SCAN"));
            let scanned: Vec<&str> = lines
                .filter(|line| !line.contains("VIRTUAL TABLE"))
                .collect();

            assert_eq!(scanned, [""; 0], "{told}");
        }
    }

    #[test]
    fn every_name_begins_as_one_of_the_prefixes() {
        for _ in 0..1000 {
            let name = ObjectName::random();
            let begins = prefixes()
                .filter(|prefix| name.as_str().starts_with(prefix))
                .count();
            assert_eq!(begins, 1, "{name}");
        }
    }
}
