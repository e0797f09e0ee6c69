//! Appends: one `INSERT` for all that wait, then what the accepted ones change besides.

use super::lock;
use crate::database::Tx;
use engine::store::{Append, Appended, Head};
use std::collections::HashSet;
use std::sync::LazyLock;

/// Rows per statement. Each size has a text of its own in the statement cache, so there are few sizes.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

static INSERTS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| SIZES.map(insert));

/// The statement that inserts so many rows and answers with the nonces of those that found their place free.
fn insert(rows: usize) -> String {
    let mut sql =
        String::from("INSERT INTO journal (plan_id, seq, nonce, node, at, entries) VALUES ");
    let row = "(?, ?, ?, ?, ?, ?)"; // unnamed: SQLite finds a name by looking through all of them
    sql.push_str(&[row].repeat(rows).join(", "));
    sql.push_str(" ON CONFLICT (plan_id, seq) DO NOTHING RETURNING nonce");
    sql
}

/// Writes the rows, and for each that was accepted what it changes besides. `None`: its place was taken, nothing was written.
///
/// Stands inside a transaction. An error leaves it to be rolled back as a whole.
pub(crate) async fn append_batch(
    tx: &mut Tx,
    appends: &[&Append],
) -> Result<Vec<Option<Appended>>, sqlx::Error> {
    let mut accepted = HashSet::with_capacity(appends.len());
    let mut rest = appends;
    while !rest.is_empty() {
        let (sql, size) = INSERTS
            .iter()
            .zip(SIZES)
            .find(|(_, size)| *size <= rest.len())
            .expect("the smallest size is 1");
        let (now, later) = rest.split_at(size);
        let mut query = sqlx::query_scalar::<_, i64>(sql.as_str());
        for append in now {
            let row = &append.row;
            query = query
                .bind(append.plan.0)
                .bind(row.seq)
                .bind(row.nonce)
                .bind(row.node.0)
                .bind(row.at.0)
                .bind(&append.entries);
        }
        accepted.extend(query.fetch_all(&mut *tx).await?);
        rest = later;
    }
    let mut verdicts = Vec::with_capacity(appends.len());
    for append in appends {
        verdicts.push(if accepted.contains(&append.row.nonce) {
            Some(besides(tx, append).await?)
        } else {
            None
        });
    }
    Ok(verdicts)
}

/// What an accepted row changes besides: the plan row, its locks, its mailbox.
async fn besides(tx: &mut Tx, append: &Append) -> Result<Appended, sqlx::Error> {
    if let Some(head) = &append.head {
        update_head(tx, append, head).await?;
    }
    if append.gives_key_up && append.head.is_none() {
        const SQL: &str = "UPDATE plan SET open_key = NULL WHERE id = $1 AND open_key IS NOT NULL";
        sqlx::query(SQL)
            .bind(append.plan.0)
            .execute(&mut *tx)
            .await?;
    }
    if let Some(mail) = append.mail {
        const SQL: &str = "DELETE FROM mailbox WHERE n = $1";
        sqlx::query(SQL).bind(mail).execute(&mut *tx).await?;
    }
    for (to, message) in &append.notices {
        // A parent that is forgotten already hears nothing.
        const SQL: &str =
            "INSERT INTO mailbox (plan_id, at, message) SELECT id, $2, $3 FROM plan WHERE id = $1";
        let text =
            serde_json::to_string(message).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(SQL)
            .bind(to.0)
            .bind(append.row.at.0)
            .bind(text)
            .execute(&mut *tx)
            .await?;
    }
    lock::change(tx, append).await
}

async fn update_head(tx: &mut Tx, append: &Append, head: &Head) -> Result<(), sqlx::Error> {
    const SQL: &str = "
        UPDATE plan SET state = $2, result = $3, reason = $4, owner = $5, started_at = $6, ended_at = $7, paused_at = $8,
            waiting = $9, attempt = $10, open_key = CASE WHEN $11 THEN NULL ELSE open_key END
        WHERE id = $1";
    sqlx::query(SQL)
        .bind(append.plan.0)
        .bind(head.state.to_string())
        .bind(head.result.to_string())
        .bind(head.reason.map(|reason| reason.to_string()))
        .bind(head.owner.map(|owner| owner.0))
        .bind(head.started_at.map(|at| at.0))
        .bind(head.ended_at.map(|at| at.0))
        .bind(head.paused_at.map(|at| at.0))
        .bind(head.waits.to_words())
        .bind(head.attempt)
        .bind(append.gives_key_up)
        .execute(tx)
        .await?;
    Ok(())
}
