//! What is forgotten: deletions below the horizon, old points of the history, old commands and sessions. Everything here
//! goes in small chunks, so that nobody waits for it.

use uuid::Uuid;

use super::sql::Tx;
use crate::error::StoreError;

/// Moves the horizon; it never goes back.
///
/// # Errors
/// When the database does not answer.
pub async fn set_horizon(tx: &mut Tx, tenant: i64, horizon: i64) -> Result<(), StoreError> {
    tx.exclude().await?;
    tx.query("UPDATE tenant SET horizon = $2 WHERE id = $1 AND horizon < $2")
        .bind(tenant)
        .bind(horizon)
        .execute()
        .await?;
    Ok(())
}

/// The first commit after a moment, in microseconds since the Unix epoch.
///
/// # Errors
/// When the database does not answer.
pub async fn first_commit_after(tx: &mut Tx, tenant: i64, at_us: i64) -> Result<Option<i64>, StoreError> {
    let found: Option<(i64,)> = tx
        .query_as("SELECT version FROM commit_point WHERE tenant = $1 AND at_us > $2 ORDER BY version LIMIT 1")
        .bind(tenant)
        .bind(at_us)
        .optional()
        .await?;
    Ok(found.map(|(version,)| version))
}

/// The buckets that a record has left after this version: only they can have tombstones that are newer.
///
/// # Errors
/// When the database does not answer.
pub async fn buckets_left_after(tx: &mut Tx, tenant: i64, version: i64) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(i64,)> = tx
        .query_as("SELECT id FROM bucket WHERE tenant = $1 AND last_removal > $2 ORDER BY id")
        .bind(tenant)
        .bind(version)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Deletes tombstones of a bucket that are newer than `after` and not newer than `through`, and never one above the
/// horizon as it is committed. Returns how many; fewer than `limit`: all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn purge_tombstones(
    tx: &mut Tx,
    (tenant, bucket): (i64, i64),
    (after, through): (i64, i64),
    limit: i64,
) -> Result<u64, StoreError> {
    let found: Vec<(Uuid,)> = tx
        .query_as(
            "SELECT record FROM bucket_row WHERE tenant = $1 AND bucket = $2 AND live = 0 \
             AND version > $3 AND version <= $4 ORDER BY version, record LIMIT $5",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(after)
        .bind(through)
        .bind(limit)
        .all()
        .await?;
    let records: Vec<Uuid> = found.into_iter().map(|(record,)| record).collect();
    tx.query(
        "DELETE FROM BY_UUIDS(bucket_row.record, $2) AND bucket = $3 AND live = 0 AND version <= $4 \
         AND version <= (SELECT horizon FROM tenant WHERE id = $1)",
    )
    .bind(tenant)
    .bind_uuids(&records)
    .bind(bucket)
    .bind(through)
    .execute()
    .await
}

/// Deletes points of the history below the horizon; the horizon itself stays known. Returns how many; fewer than
/// `limit`: all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_commits(tx: &mut Tx, tenant: i64, limit: i64) -> Result<u64, StoreError> {
    tx.query(
        "DELETE FROM commit_point WHERE tenant = $1 AND version IN (\
           SELECT version FROM commit_point WHERE tenant = $1 \
           AND version < (SELECT horizon FROM tenant WHERE id = $1) ORDER BY version LIMIT $2)",
    )
    .bind(tenant)
    .bind(limit)
    .execute()
    .await
}

/// Deletes what commits at or below the horizon have changed: nobody goes on from before it. Returns how many; fewer than
/// `limit`: all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_changes(tx: &mut Tx, tenant: i64, limit: i64) -> Result<u64, StoreError> {
    tx.query(
        "DELETE FROM record_change WHERE tenant = $1 AND (version, record) IN (\
           SELECT version, record FROM record_change WHERE tenant = $1 \
           AND version <= (SELECT horizon FROM tenant WHERE id = $1) ORDER BY version, record LIMIT $2)",
    )
    .bind(tenant)
    .bind(limit)
    .execute()
    .await
}

/// Deletes commands that were decided before a moment (in microseconds since the Unix epoch) and that nobody will ask
/// for: their device has stored the outcome, or no device sent them. What a device captured in vain (its body stands
/// nowhere else) and what is in quarantine stays. Returns how many; fewer than `limit`: all of them.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_commands(tx: &mut Tx, tenant: i64, before_us: i64, limit: i64) -> Result<u64, StoreError> {
    tx.query(
        "DELETE FROM command WHERE tenant = $1 AND id IN (\
           SELECT c.id FROM command c \
           LEFT JOIN device_sequence s ON s.tenant = c.tenant AND s.device = c.device \
           WHERE c.tenant = $1 AND c.decided_at < $2 \
           AND (c.device IS NULL OR (c.body IS NULL AND c.seq <= s.confirmed_seq)) \
           AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.tenant = c.tenant AND q.command = c.id) LIMIT $3)",
    )
    .bind(tenant)
    .bind(before_us)
    .bind(limit)
    .execute()
    .await
}
