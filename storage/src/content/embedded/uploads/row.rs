//! The rows of upload sessions.

use crate::sqlite::SqliteRow;
use engine::clock::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Upload, UploadId};
use crate::Tx;
use crate::catalog::{DestinationId, UserId, stored_size};
use crate::content::ContentError;
use crate::content::objects::ObjectState;
use crate::digest::Running;

/// A session as it lies in the table.
#[derive(Clone, Debug)]
pub(super) struct UploadRow {
    pub(super) id: UploadId,
    pub(super) destination: DestinationId,
    pub(super) user: UserId,
    pub(super) hash: Running,
    pub(super) object: ObjectState,
    pub(super) created_at: Timestamp,
}

impl UploadRow {
    pub(super) fn upload(&self) -> Upload {
        Upload {
            id: self.id,
            destination: self.destination,
            user: self.user,
            offset: self.object.size_bytes,
            created_at: self.created_at,
        }
    }
}

pub(super) async fn insert(tx: &mut Tx, row: &UploadRow) -> Result<(), ContentError> {
    const SQL: &str = "
        INSERT INTO uploads (id, destination_id, user_id, object, size_bytes, hash_state,
            object_state, created_at, touched_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    sqlx::query(SQL)
        .bind(row.id.0)
        .bind(row.destination)
        .bind(row.user)
        .bind(row.object.name.as_str())
        .bind(stored_size(row.object.size_bytes))
        .bind(row.hash.stored())
        .bind(stored_object(&row.object))
        .bind(row.created_at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

pub(super) async fn get(tx: &mut Tx, id: UploadId) -> Result<Option<UploadRow>, ContentError> {
    const SQL: &str = "
        SELECT id, destination_id, user_id, hash_state, object_state, created_at FROM uploads
        WHERE id = $1";
    let row = sqlx::query(SQL).bind(id.0).fetch_optional(&mut *tx).await?;
    Ok(row.map(|row| read(&row)).transpose()?)
}

/// The session with this id.
pub async fn find_upload(tx: &mut Tx, id: UploadId) -> Result<Option<Upload>, ContentError> {
    Ok(get(tx, id).await?.map(|row| row.upload()))
}

/// Records how far the session has come. False if it is gone, or somebody else has recorded more meanwhile.
pub(super) async fn advance(
    tx: &mut Tx,
    row: &UploadRow,
    from: u64,
    at: Timestamp,
) -> Result<bool, ContentError> {
    const SQL: &str = "
        UPDATE uploads SET size_bytes = $3, hash_state = $4, object_state = $5, touched_at = $6
        WHERE id = $1 AND size_bytes = $2";
    let advanced = sqlx::query(SQL)
        .bind(row.id.0)
        .bind(stored_size(from))
        .bind(stored_size(row.object.size_bytes))
        .bind(row.hash.stored())
        .bind(stored_object(&row.object))
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(advanced.rows_affected() == 1)
}

pub(super) async fn delete(tx: &mut Tx, id: UploadId) -> Result<(), ContentError> {
    const SQL: &str = "DELETE FROM uploads WHERE id = $1";
    sqlx::query(SQL).bind(id.0).execute(&mut *tx).await?;
    Ok(())
}

fn stored_object(object: &ObjectState) -> String {
    serde_json::to_string(object).expect("texts and numbers can always be written as JSON")
}

fn read(row: &SqliteRow) -> Result<UploadRow, sqlx::Error> {
    let unreadable = |column: &str, why: String| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: why.into(),
    };
    let id: Uuid = row.try_get("id")?;
    let hash: Vec<u8> = row.try_get("hash_state")?;
    let object: String = row.try_get("object_state")?;
    Ok(UploadRow {
        id: UploadId(id),
        destination: row.try_get("destination_id")?,
        user: row.try_get("user_id")?,
        hash: Running::read(&hash).ok_or_else(|| {
            unreadable(
                "hash_state",
                "not a state that this program has written".to_owned(),
            )
        })?,
        object: serde_json::from_str(&object)
            .map_err(|error| unreadable("object_state", error.to_string()))?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}

/// True while somebody has an upload session open in this destination.
pub async fn has_open_upload(
    tx: &mut Tx,
    destination: DestinationId,
) -> Result<bool, ContentError> {
    const SQL: &str = "SELECT 1 FROM uploads WHERE destination_id = $1 LIMIT 1";
    let open: Option<i64> = sqlx::query_scalar(SQL)
        .bind(destination)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(open.is_some())
}
