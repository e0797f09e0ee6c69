//! Sessions that nobody goes on with: their rows are deleted, then their objects.

use engine::clock::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::UploadId;
use super::busy::Writing;
use crate::Tx;
use crate::catalog::{parsed, size, stored_json};
use crate::content::objects::ObjectName;
use crate::content::{Content, ContentError};
use crate::garbage::{BATCH, objects};

/// Upload sessions, and the bytes that had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// How many sessions.
    pub sessions: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Sessions that nobody has touched for long. Nobody can write to them as long as this is held.
#[derive(Debug)]
pub struct Idle {
    /// Which.
    pub sessions: Vec<UploadId>,
    /// Where the next look goes on; none: there are no more.
    pub next: Option<Position>,
    #[expect(dead_code, reason = "held until it is dropped")]
    held: Vec<Writing>,
}

/// A place among all sessions in the order of their last touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    touched_at: i64,
    id: Uuid,
}

const OLDEST: &str = "
    SELECT id, touched_at FROM uploads
    WHERE touched_at >= $1 AND (touched_at, id) > ($1, $2) AND touched_at < $3
    ORDER BY touched_at, id LIMIT $4";

const COUNT: &str = "
    SELECT count(*) AS sessions, coalesce(sum(size_bytes), 0) AS bytes FROM uploads
    WHERE touched_at < $1";

const DELETE: &str = "
    DELETE FROM uploads WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND touched_at < $2
    RETURNING object, size_bytes";

impl Content {
    /// The next sessions that nobody has touched since that time and that nobody is writing to, at most a batch of them.
    pub async fn idle_uploads(
        &self,
        touched_before: Timestamp,
        after: Option<Position>,
    ) -> Result<Idle, ContentError> {
        let after = after.unwrap_or(Position {
            touched_at: i64::MIN,
            id: Uuid::nil(),
        });
        let rows = {
            let mut tx = self.0.database.read().await?;
            sqlx::query(OLDEST)
                .bind(after.touched_at)
                .bind(after.id)
                .bind(touched_before.0)
                .bind(BATCH)
                .fetch_all(&mut tx)
                .await?
        };
        let (mut sessions, mut held, mut next) = (Vec::new(), Vec::new(), None);
        for row in &rows {
            let position = Position {
                touched_at: row.try_get("touched_at")?,
                id: row.try_get("id")?,
            };
            next = Some(position);
            let id = UploadId(position.id);
            if let Some(writing) = self.0.busy.idle(id) {
                sessions.push(id);
                held.push(writing);
            }
        }
        Ok(Idle {
            sessions,
            next,
            held,
        })
    }

    /// How many sessions nobody has touched since that time.
    pub async fn expired_uploads(
        &self,
        touched_before: Timestamp,
    ) -> Result<Expired, ContentError> {
        let mut tx = self.0.database.read().await?;
        let row = sqlx::query(COUNT).bind(touched_before.0);
        let row = row.fetch_one(&mut tx).await?;
        Ok(Expired {
            sessions: size(&row, "sessions")?,
            bytes: size(&row, "bytes")?,
        })
    }

    /// Deletes the objects of sessions whose rows are gone; answers those that are gone, too.
    pub async fn discard_uploads(&self, objects: Vec<ObjectName>) -> Vec<ObjectName> {
        let gone = self.delete_objects(objects).await;
        if let Some(pulp) = self.pulp() {
            pulp.spool.note_room();
        }
        gone
    }
}

/// Deletes the rows of those of these sessions that nobody has touched meanwhile; answers with their objects, which are doomed.
pub async fn delete_expired(
    tx: &mut Tx,
    sessions: &[UploadId],
    touched_before: Timestamp,
    at: Timestamp,
) -> Result<(Expired, Vec<ObjectName>), ContentError> {
    let ids: Vec<String> = sessions
        .iter()
        .map(|id| id.0.simple().to_string())
        .collect();
    let rows = sqlx::query(DELETE)
        .bind(stored_json(&ids)?)
        .bind(touched_before.0)
        .fetch_all(&mut *tx)
        .await?;
    let (mut expired, mut going) = (Expired::default(), Vec::new());
    for row in &rows {
        expired.sessions += 1;
        expired.bytes += size(row, "size_bytes")?;
        going.push(parsed(row, "object")?);
    }
    objects::doom(tx, &going, at).await?;
    Ok((expired, going))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::explain;

    #[tokio::test]
    async fn sessions_are_found_by_their_last_touch_and_deleted_along_their_key() {
        for sql in [OLDEST, COUNT, DELETE] {
            let told = explain(sql).await;
            let lines = told.lines().filter(|line| line.contains("SCAN"));
            let scanned: Vec<&str> = lines
                .filter(|line| !line.contains("VIRTUAL TABLE"))
                .collect();

            assert_eq!(scanned, [""; 0], "{told}");
        }
    }
}
