//! Records: one row each, the truth.

use bytes::Bytes;
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::error::StoreError;
use crate::workspace::{Change, Stored};

static TABLE: Table = Table {
    name: "record",
    columns: &[
        ("tenant", Column::Int),
        ("id", Column::Id),
        ("kind", Column::Int),
        ("version", Column::Int),
        ("document", Column::Bytes),
        ("stamps", Column::Bytes),
        ("removed_at", Column::Int),
        ("survivor", Column::Id),
    ],
    conflict: "ON CONFLICT (tenant, id) DO UPDATE SET version = excluded.version, document = excluded.document, \
               stamps = excluded.stamps, removed_at = excluded.removed_at, survivor = excluded.survivor",
};

type RecordRow = (Uuid, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<Uuid>);

/// The records with these ids, removed ones too; what is not there is left out.
///
/// # Errors
/// When the database does not answer.
pub async fn find(tx: &mut Tx, tenant: i64, ids: &[Uuid]) -> Result<Vec<(Uuid, Stored)>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<RecordRow> = tx
        .query_as("SELECT id, kind, version, document, stamps, removed_at, survivor FROM BY_UUIDS(record.id, $2)")
        .bind(tenant)
        .bind_uuids(ids)
        .all()
        .await?;
    Ok(rows.into_iter().map(stored).collect())
}

/// The records of one kind that changed after a version, removed ones too.
///
/// # Errors
/// When the database does not answer.
pub async fn changed(tx: &mut Tx, tenant: i64, kind: i64, after: i64) -> Result<Vec<Uuid>, StoreError> {
    let rows: Vec<(Uuid,)> = tx
        .query_as("SELECT id FROM record WHERE tenant = $1 AND kind = $2 AND version > $3")
        .bind(tenant)
        .bind(kind)
        .bind(after)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A page of all records of one kind, by id.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    tx: &mut Tx,
    tenant: i64,
    kind: i64,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(Uuid, Stored)>, StoreError> {
    let rows: Vec<RecordRow> = tx
        .query_as(
            "SELECT id, kind, version, document, stamps, removed_at, survivor FROM record \
             WHERE tenant = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
        )
        .bind(tenant)
        .bind(kind)
        .bind(after)
        .bind(limit)
        .all()
        .await?;
    Ok(rows.into_iter().map(stored).collect())
}

/// How many records there are of each kind, by the kind's number.
///
/// # Errors
/// When the database does not answer.
pub async fn kinds(tx: &mut Tx, tenant: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    tx.query_as("SELECT kind, CAST(COUNT(*) AS BIGINT) FROM record WHERE tenant = $1 GROUP BY kind ORDER BY kind")
        .bind(tenant)
        .all()
        .await
}

fn stored((id, kind, version, document, stamps, removed_at_us, survivor): RecordRow) -> (Uuid, Stored) {
    let (document, stamps) = (Bytes::from(document), Bytes::from(stamps));
    (id, Stored { kind, version, document, stamps, removed_at_us, survivor })
}

/// The rows that store a batch's changes.
#[must_use]
pub fn rows(tenant: i64, changes: &[Change]) -> Rows {
    let rows = changes
        .iter()
        .map(|Change { id, after, .. }| {
            vec![
                Cell::from(tenant),
                (*id).into(),
                after.kind.into(),
                after.version.into(),
                after.document.to_vec().into(),
                after.stamps.to_vec().into(),
                after.removed_at_us.into(),
                after.survivor.into(),
            ]
        })
        .collect();
    Rows { table: &TABLE, rows }
}
