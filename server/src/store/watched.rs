//! Which records of the watched kinds each commit has changed. What is written stands at the end of the table, and is forgotten
//! with the commit: so a record's own row changes without any index, and PostgreSQL leaves the other indexes alone.

use roundsman_sync::kind::Kind;
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::error::StoreError;
use crate::workspace::Change;

static TABLE: Table = Table {
    name: "record_change",
    columns: &[("tenant", Column::Int), ("version", Column::Int), ("record", Column::Id), ("kind", Column::Int)],
    conflict: "",
};

/// The kinds whose changes are watched.
pub const WATCHED: [Kind; 7] =
    [Kind::Order, Kind::Shipment, Kind::Reclamation, Kind::ChangeRequest, Kind::Wave, Kind::Trip, Kind::GoodsReturn];

/// Whether changes of records of this kind, by its number, are watched.
#[must_use]
pub fn is_watched(kind: i64) -> bool {
    WATCHED.iter().any(|watched| i64::from(*watched as i32) == kind)
}

/// The rows that a commit adds.
#[must_use]
pub fn rows(tenant: i64, version: i64, changes: &[Change]) -> Rows {
    let watched = changes.iter().filter(|change| is_watched(change.after.kind));
    let rows = watched.map(|change| {
        vec![Cell::from(tenant), Cell::from(version), Cell::from(change.id), Cell::from(change.after.kind)]
    });
    Rows { table: &TABLE, rows: rows.collect() }
}

/// The keys (version and record) of the changes after `after` of some of the watched kinds, in ascending order. A record that
/// has changed again since stands there again. What is no watched kind has no changes.
///
/// # Errors
/// When the database does not answer.
pub async fn changes(
    tx: &mut Tx,
    tenant: i64,
    kinds: [i64; WATCHED.len()],
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let [one, two, three, four, five, six, seven] = kinds;
    tx.query_as(
        "SELECT version, record FROM record_change WHERE tenant = $1 AND (version, record) > ($2, $3) \
         AND kind IN ($5, $6, $7, $8, $9, $10, $11) ORDER BY version, record LIMIT $4",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .bind(one)
    .bind(two)
    .bind(three)
    .bind(four)
    .bind(five)
    .bind(six)
    .bind(seven)
    .all()
    .await
}

/// A page of all changes: version, record and its kind, in ascending order.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    tx: &mut Tx,
    tenant: i64,
    after: (i64, Uuid),
    limit: i64,
) -> Result<Vec<(i64, Uuid, i64)>, StoreError> {
    tx.query_as(
        "SELECT version, record, kind FROM record_change WHERE tenant = $1 AND (version, record) > ($2, $3) \
         ORDER BY version, record LIMIT $4",
    )
    .bind(tenant)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .all()
    .await
}
