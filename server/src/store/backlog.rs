//! What has piled up: for the operator, read now and then. Every statement reads a bounded number of rows by an index.

use super::sql::Tx;
use super::tenant;
use crate::error::StoreError;

/// What has piled up of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The last committed version.
    pub version: i64,
    /// Tombstones at or below this version are gone.
    pub horizon: i64,
    /// When the first commit at or after the horizon was made, in microseconds since the Unix epoch.
    pub horizon_at_us: Option<i64>,
    /// Rows of the outbox, counted up to the limit.
    pub outbox: i64,
    /// When the oldest of them was written, or, when that is forgotten, the first commit that is known; in microseconds
    /// since the Unix epoch.
    pub outbox_oldest_at_us: Option<i64>,
    /// Commands in quarantine, counted up to the limit.
    pub quarantined: i64,
}

/// Reads it; counts to `limit` and no further.
///
/// # Errors
/// When the database does not answer.
pub async fn of(tx: &mut Tx, tenant: i64, limit: i64) -> Result<Backlog, StoreError> {
    let head = tenant::head(tx, tenant).await?.unwrap_or_default();
    let (outbox,): (i64,) = tx
        .query_as(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 AS one FROM outbox WHERE tenant = $1 LIMIT $2) AS rows_left",
        )
        .bind(tenant)
        .bind(limit)
        .one()
        .await?;
    let (quarantined,): (i64,) = tx
        .query_as(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT 1 AS one FROM quarantine WHERE tenant = $1 LIMIT $2) AS rows_left",
        )
        .bind(tenant)
        .bind(limit)
        .one()
        .await?;
    let oldest: Option<(i64,)> = tx
        .query_as("SELECT version FROM outbox WHERE tenant = $1 ORDER BY version, ordinal LIMIT 1")
        .bind(tenant)
        .optional()
        .await?;
    let outbox_oldest_at_us = match oldest {
        Some((version,)) => committed_at(tx, tenant, version).await?,
        None => None,
    };
    Ok(Backlog {
        version: head.position.version,
        horizon: head.horizon,
        horizon_at_us: committed_at(tx, tenant, head.horizon).await?,
        outbox,
        outbox_oldest_at_us,
        quarantined,
    })
}

/// The moment of the first known commit at or after a version.
async fn committed_at(tx: &mut Tx, tenant: i64, version: i64) -> Result<Option<i64>, StoreError> {
    let found: Option<(i64,)> = tx
        .query_as("SELECT at_us FROM commit_point WHERE tenant = $1 AND version >= $2 ORDER BY version LIMIT 1")
        .bind(tenant)
        .bind(version)
        .optional()
        .await?;
    Ok(found.map(|(at_us,)| at_us))
}
