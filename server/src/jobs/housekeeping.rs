//! What is deleted, once a day: tombstones and points of the history below the horizon, old commands, ended sessions. In
//! transactions of a few rows, so that a lane that waits for one hardly notices.

use super::DAY_US;
use super::due::{Job, Work};
use crate::app::Core;
use crate::error::StoreError;
use crate::fail::FailPoints;
use crate::store::sql::Db;
use crate::store::{account, retention, tenant};

/// Rows that one transaction deletes at most.
const ROWS: i64 = 500;
/// Outcomes of commands are kept so long, in days.
const COMMAND_DAYS: i64 = 60;

/// The command that moves the horizon to where it is due on a day (in UTC); `None`: it is there. Judged by the beginning
/// of the day, so that all servers mean the same version.
///
/// # Errors
/// When the database does not answer.
pub async fn horizon(core: &Core, tenant: i64, today: i32) -> Result<Option<Job>, StoreError> {
    let kept_from_us = (i64::from(today) - i64::from(core.policy.horizon_days)) * DAY_US;
    let mut tx = core.db.read().await?;
    let Some(head) = tenant::head(&mut tx, tenant).await? else { return Ok(None) };
    let first_kept = retention::first_commit_after(&mut tx, tenant, kept_from_us).await?;
    tx.commit().await?;
    // The last commit stays above the horizon, however old it is.
    let horizon = first_kept.unwrap_or(head.position.version) - 1;
    let due = horizon > head.horizon;
    Ok(due.then(|| Job::new(Work::AdvanceHorizon { horizon }, today)))
}

/// Deletes what nobody can ask for any more. All tombstones at or below `purged_from` are gone already; returns the version
/// up to which they are gone now.
///
/// # Errors
/// When the database does not answer; what was deleted stays deleted.
pub async fn keep(core: &Core, tenant: i64, purged_from: i64, now_us: i64) -> Result<i64, StoreError> {
    let Core { db, fail, .. } = core;
    let horizon = purge(db, fail, tenant, purged_from).await?;
    while fills_a_chunk((db, fail), tenant, Rows::Commands(now_us - COMMAND_DAYS * DAY_US)).await? {}
    let mut tx = db.write().await?;
    // A day longer than any access token that was issued with them.
    account::forget_sessions(&mut tx, tenant, now_us - DAY_US).await?;
    tx.commit().await?;
    Ok(horizon)
}

/// Deletes what is below the horizon; see [`keep`].
///
/// # Errors
/// When the database does not answer; what was deleted stays deleted.
pub async fn purge(db: &Db, fail: &FailPoints, tenant: i64, purged_from: i64) -> Result<i64, StoreError> {
    let mut tx = db.read().await?;
    let horizon = tenant::head(&mut tx, tenant).await?.map_or(0, |head| head.horizon);
    // A restored database may be behind what this process remembers.
    let purged_from = purged_from.min(horizon);
    let buckets = retention::buckets_left_after(&mut tx, tenant, purged_from).await?;
    tx.commit().await?;
    for bucket in buckets {
        while fills_a_chunk((db, fail), tenant, Rows::Tombstones(bucket, purged_from, horizon)).await? {}
    }
    while fills_a_chunk((db, fail), tenant, Rows::Changes).await? {}
    while fills_a_chunk((db, fail), tenant, Rows::Commits).await? {}
    Ok(horizon)
}

#[derive(Clone, Copy, Debug)]
enum Rows {
    /// Of a bucket, after one version and through another.
    Tombstones(i64, i64, i64),
    /// At or below the horizon.
    Changes,
    /// Below the horizon.
    Commits,
    /// Decided before this moment, in microseconds since the Unix epoch.
    Commands(i64),
}

/// One small transaction; returns whether it deleted as many rows as it may, so that there may be more.
async fn fills_a_chunk((db, fail): (&Db, &FailPoints), tenant: i64, rows: Rows) -> Result<bool, StoreError> {
    let mut tx = db.write_tenant(tenant).await?;
    let deleted = match rows {
        Rows::Tombstones(bucket, after, through) => {
            retention::purge_tombstones(&mut tx, (tenant, bucket), (after, through), ROWS).await?
        }
        Rows::Changes => retention::forget_changes(&mut tx, tenant, ROWS).await?,
        Rows::Commits => retention::forget_commits(&mut tx, tenant, ROWS).await?,
        Rows::Commands(before_us) => retention::forget_commands(&mut tx, tenant, before_us, ROWS).await?,
    };
    fail.pass("purge.deleted")?;
    tx.commit().await?;
    Ok(deleted >= ROWS.unsigned_abs())
}
