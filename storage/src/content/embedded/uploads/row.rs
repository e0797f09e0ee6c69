//! The rows of upload sessions, and the state of a hash as they hold it.

use std::fmt;

use engine::clock::Timestamp;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Upload, UploadId};
use crate::catalog::{DestinationId, UserId, stored_size};
use crate::content::ContentError;
use crate::content::objects::ObjectState;
use crate::{Digest, Tx};

/// A session as it lies in the table.
#[derive(Clone, Debug)]
pub(super) struct UploadRow {
    pub(super) id: UploadId,
    pub(super) destination: DestinationId,
    pub(super) user: UserId,
    pub(super) hash: HashState,
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

/// A SHA-256 on its way, which can be put aside and taken up again, by another process too.
#[derive(Clone, Default)]
pub(super) struct HashState(Sha256);

impl HashState {
    /// In front of the stored form, so that another library's can be told from it.
    const FORM: u8 = 1;

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::Sha256(self.0.clone().finalize().into())
    }

    fn stored(&self) -> Vec<u8> {
        let mut stored = vec![Self::FORM];
        stored.extend_from_slice(&self.0.serialize());
        stored
    }

    fn read(stored: &[u8]) -> Option<Self> {
        let (form, state) = stored.split_first()?;
        let state = SerializedState::<Sha256>::try_from(state).ok()?;
        let hash = Sha256::deserialize(&state).ok()?;
        (*form == Self::FORM).then_some(Self(hash))
    }
}

impl fmt::Debug for HashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HashState").finish_non_exhaustive()
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
        hash: HashState::read(&hash).ok_or_else(|| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_put_aside_anywhere_goes_on_as_if_it_had_not_been() {
        let content: Vec<u8> = (0..=255).collect();
        for at in [0, 1, 63, 64, 65, 200] {
            let mut before = HashState::default();
            before.update(&content[..at]);

            let mut after = HashState::read(&before.stored()).unwrap();
            after.update(&content[at..]);

            assert_eq!(
                after.digest(),
                Digest::of(&content),
                "put aside after {at} bytes"
            );
        }
    }

    #[test]
    fn a_hash_in_another_form_is_not_taken_for_ours() {
        let mut stored = HashState::default().stored();
        stored[0] = 2;

        assert!(HashState::read(&stored).is_none());
        assert!(HashState::read(&[]).is_none());
    }
}
