//! Tenants, and the points of their history.

use std::collections::HashSet;

use roundsman_sync::version::Position;
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::error::StoreError;

/// The newest format that this program writes. Older programs refuse to write data that a newer one wrote, since they
/// would drop the fields that they don't know.
pub const WRITER_VERSION: i64 = 1;

static COMMITS: Table = Table {
    name: "commit_point",
    columns: &[("tenant", Column::Int), ("version", Column::Int), ("nonce", Column::Int), ("at_us", Column::Int)],
    conflict: "",
};

/// Where a tenant is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last committed batch; version 0 before the first.
    pub position: Position,
    /// When it was committed, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Tombstones at or below this version are gone.
    pub horizon: i64,
    /// Everything up to this version survives the loss of the server; 0: nothing is known to.
    pub durable_version: i64,
    /// The newest format that anybody wrote.
    pub writer_version: i64,
    /// Whether any command waits in quarantine.
    pub quarantined: bool,
}

/// What a pull has to know first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Where the tenant is.
    pub head: Head,
    /// The number of the device's last decided command.
    pub last_seq: i64,
    /// Of the points that were asked for, which are of the tenant's history.
    pub known: [bool; 2],
}

impl Standing {
    /// What the device will have to know when it holds everything.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let Head { position, durable_version, .. } = self.head;
        Glance { position, durable_version, last_seq: self.last_seq }
    }
}

type HeadRow = (i64, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

fn head_of((horizon, durable_version, writer_version, quarantined, version, nonce, at_us): HeadRow) -> Head {
    Head {
        position: Position { version: version.unwrap_or(0), nonce: nonce.unwrap_or(0).cast_unsigned() },
        at_us: at_us.unwrap_or(0),
        horizon,
        durable_version,
        writer_version,
        quarantined: quarantined != 0,
    }
}

/// Where the tenant is now; `None`: there is no such tenant.
///
/// # Errors
/// When the database does not answer.
pub async fn head(tx: &mut Tx, tenant: i64) -> Result<Option<Head>, StoreError> {
    let row: Option<HeadRow> = tx
        .query_as(
            "SELECT t.horizon, t.durable_version, t.writer_version, \
                    CAST(CASE WHEN EXISTS (SELECT 1 FROM quarantine q WHERE q.tenant = t.id) THEN 1 ELSE 0 END AS BIGINT), \
                    c.version, c.nonce, c.at_us \
             FROM tenant t LEFT JOIN commit_point c ON c.tenant = $1 \
                  AND c.version = (SELECT MAX(version) FROM commit_point WHERE tenant = $1) \
             WHERE t.id = $1",
        )
        .bind(tenant)
        .optional()
        .await?;
    Ok(row.map(head_of))
}

/// Where the tenant and a device are now, and whether two points are of the tenant's history, in one statement; `None`: there
/// is no such tenant.
///
/// # Errors
/// When the database does not answer.
pub async fn standing(
    tx: &mut Tx,
    tenant: i64,
    device: Option<Uuid>,
    points: [Option<Position>; 2],
) -> Result<Option<Standing>, StoreError> {
    type Row = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
    let [one, other] = points.map(|point| point.map(|point| point.version));
    let row: Option<Row> = tx
        .query_as(
            "SELECT t.horizon, t.durable_version, t.writer_version, c.version, c.nonce, c.at_us, \
                    (SELECT last_seq FROM device_sequence WHERE tenant = $1 AND device = $2), \
                    (SELECT nonce FROM commit_point WHERE tenant = $1 AND version = $3), \
                    (SELECT nonce FROM commit_point WHERE tenant = $1 AND version = $4) \
             FROM tenant t LEFT JOIN commit_point c ON c.tenant = $1 \
                  AND c.version = (SELECT MAX(version) FROM commit_point WHERE tenant = $1) \
             WHERE t.id = $1",
        )
        .bind(tenant)
        .bind(device)
        .bind(one)
        .bind(other)
        .optional()
        .await?;
    Ok(row.map(|(horizon, durable_version, writer_version, version, nonce, at_us, last_seq, first, second)| {
        let head = head_of((horizon, durable_version, writer_version, 0, version, nonce, at_us));
        let is = |point: Option<Position>, nonce: Option<i64>| {
            point.is_some_and(|point| nonce == Some(point.nonce.cast_signed()))
        };
        Standing { head, last_seq: last_seq.unwrap_or(0), known: [is(points[0], first), is(points[1], second)] }
    }))
}

/// Notes that the tenant's data is written in this format from now on, so that older programs don't write it.
///
/// # Errors
/// When the database does not answer.
pub async fn raise_writer_version(tx: &mut Tx, tenant: i64, format: i64) -> Result<(), StoreError> {
    tx.exclude().await?;
    tx.query("UPDATE tenant SET writer_version = $2 WHERE id = $1 AND writer_version < $2")
        .bind(tenant)
        .bind(format)
        .execute()
        .await?;
    Ok(())
}

/// What a device that holds everything has to know of its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The tenant's last committed batch.
    pub position: Position,
    /// Everything up to this version survives the loss of the server; 0: nothing is known to.
    pub durable_version: i64,
    /// The number of the device's last decided command.
    pub last_seq: i64,
}

/// The tenant's last committed batch.
///
/// # Errors
/// When the database does not answer.
pub async fn position(tx: &mut Tx, tenant: i64) -> Result<Position, StoreError> {
    let last: Option<(i64, i64)> = tx
        .query_as("SELECT version, nonce FROM commit_point WHERE tenant = $1 ORDER BY version DESC LIMIT 1")
        .bind(tenant)
        .optional()
        .await?;
    Ok(last.map_or(Position::default(), |(version, nonce)| Position { version, nonce: nonce.cast_unsigned() }))
}

/// Stores that everything up to a version survives the loss of the server.
///
/// # Errors
/// When the database does not answer.
pub async fn set_durable(tx: &mut Tx, tenant: i64, version: i64) -> Result<(), StoreError> {
    tx.query("UPDATE tenant SET durable_version = $2 WHERE id = $1 AND durable_version < $2")
        .bind(tenant)
        .bind(version)
        .execute()
        .await?;
    Ok(())
}

/// Where all tenants are that have committed anything, and up to which version each of them survives the loss of the server.
///
/// # Errors
/// When the database does not answer.
pub async fn positions(tx: &mut Tx) -> Result<Vec<(i64, Position, i64)>, StoreError> {
    let rows: Vec<(i64, i64, i64, i64)> = tx
        .query_as(
            "SELECT t.id, c.version, c.nonce, t.durable_version \
             FROM tenant t JOIN commit_point c ON c.tenant = t.id \
                  AND c.version = (SELECT MAX(version) FROM commit_point WHERE tenant = t.id)",
        )
        .all()
        .await?;
    let position = |version, nonce: i64| Position { version, nonce: nonce.cast_unsigned() };
    let row = |(tenant, version, nonce, durable_version)| (tenant, position(version, nonce), durable_version);
    Ok(rows.into_iter().map(row).collect())
}

/// Those of these positions that are points of the tenant's history.
///
/// # Errors
/// When the database does not answer.
pub async fn known(tx: &mut Tx, tenant: i64, positions: &[Position]) -> Result<HashSet<Position>, StoreError> {
    if positions.is_empty() {
        return Ok(HashSet::new());
    }
    let mut versions: Vec<i64> = positions.iter().map(|position| position.version).collect();
    versions.sort_unstable();
    versions.dedup();
    let found: Vec<(i64, i64)> = tx
        .query_as("SELECT version, nonce FROM BY_INTS(commit_point.version, $2)")
        .bind(tenant)
        .bind_ints(&versions)
        .all()
        .await?;
    let found: HashSet<Position> =
        found.into_iter().map(|(version, nonce)| Position { version, nonce: nonce.cast_unsigned() }).collect();
    Ok(positions.iter().copied().filter(|position| found.contains(position)).collect())
}

/// The point of the tenant's history with this version; `None`: it is forgotten, or not yet made.
///
/// # Errors
/// When the database does not answer.
pub async fn point(tx: &mut Tx, tenant: i64, version: i64) -> Result<Option<Position>, StoreError> {
    let found: Option<(i64,)> = tx
        .query_as("SELECT nonce FROM commit_point WHERE tenant = $1 AND version = $2")
        .bind(tenant)
        .bind(version)
        .optional()
        .await?;
    Ok(found.map(|(nonce,)| Position { version, nonce: nonce.cast_unsigned() }))
}

/// When these versions were committed, in microseconds since the Unix epoch; those that are forgotten are left out.
///
/// # Errors
/// When the database does not answer.
pub async fn moments(tx: &mut Tx, tenant: i64, versions: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
    tx.query_as("SELECT version, at_us FROM BY_INTS(commit_point.version, $2)")
        .bind(tenant)
        .bind_ints(versions)
        .all()
        .await
}

/// All tenants.
///
/// # Errors
/// When the database does not answer.
pub async fn all(tx: &mut Tx) -> Result<Vec<(i64, String)>, StoreError> {
    tx.query_as("SELECT id, name FROM tenant ORDER BY id").all().await
}

/// The row that commits a batch.
#[must_use]
pub fn commit_row(tenant: i64, position: Position, at_us: i64) -> Rows {
    let row = vec![Cell::from(tenant), position.version.into(), position.nonce.cast_signed().into(), at_us.into()];
    Rows { table: &COMMITS, rows: vec![row] }
}
