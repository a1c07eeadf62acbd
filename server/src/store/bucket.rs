//! Buckets and their rows.

use std::ops::ControlFlow;

use roundsman_sync::page::{Cursor, PageSize};
use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table, Tx};
use crate::error::StoreError;

/// A frame takes about as much without a document.
const LEAST_FRAME_BYTES: i64 = 24;

static BUCKETS: Table = Table {
    name: "bucket",
    columns: &[
        ("tenant", Column::Int),
        ("id", Column::Int),
        ("scope", Column::Text),
        ("kind", Column::Int),
        ("head", Column::Int),
        ("last_removal", Column::Int),
        ("created", Column::Int),
        ("live_rows", Column::Int),
        ("live_bytes", Column::Int),
        ("checksum", Column::Int),
    ],
    conflict: "ON CONFLICT (tenant, id) DO UPDATE SET head = excluded.head, last_removal = excluded.last_removal, \
               live_rows = excluded.live_rows, live_bytes = excluded.live_bytes, checksum = excluded.checksum",
};

static ROWS: Table = Table {
    name: "bucket_row",
    columns: &[
        ("tenant", Column::Int),
        ("bucket", Column::Int),
        ("version", Column::Int),
        ("record", Column::Id),
        ("live", Column::Int),
        ("hash", Column::Int),
        ("frame", Column::Bytes),
    ],
    conflict: "ON CONFLICT (tenant, record, bucket) DO UPDATE SET version = excluded.version, live = excluded.live, \
               hash = excluded.hash, frame = excluded.frame",
};

/// All records of one kind in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its number within the tenant.
    pub id: i64,
    /// The scope in its text form.
    pub scope: String,
    /// The number of the kind.
    pub kind: i64,
    /// The last version that touched it.
    pub head: i64,
    /// The last version that took a record out of it.
    pub last_removal: i64,
    /// The version that made it.
    pub created: i64,
    /// Live records.
    pub rows: i64,
    /// Bytes of their frames.
    pub bytes: i64,
    /// The sum of the live records.
    pub checksum: u64,
}

impl Bucket {
    /// How many rows, about, are a page of this size, and a few more; not more than it may have and one.
    ///
    /// Where some rows of a bucket are far larger than most, more is read than a page takes: with documents of up to 256 KiB,
    /// at the very most 200 KiB times the square root of the bucket's rows.
    #[must_use]
    pub fn rows_of_a_page(&self, size: PageSize) -> i64 {
        let bytes_of_a_row = (self.bytes / self.rows.max(1)).max(LEAST_FRAME_BYTES);
        let (rows, bytes) = (i64::try_from(size.rows), i64::try_from(size.bytes));
        let fit = bytes.unwrap_or(i64::MAX) / bytes_of_a_row;
        rows.unwrap_or(i64::MAX).min(fit.saturating_add(fit / 4 + 8)).saturating_add(1)
    }
}

type BucketTuple = (i64, String, i64, i64, i64, i64, i64, i64, i64);

fn bucket((id, scope, kind, head, last_removal, created, rows, bytes, checksum): BucketTuple) -> Bucket {
    Bucket { id, scope, kind, head, last_removal, created, rows, bytes, checksum: checksum.cast_unsigned() }
}

/// The buckets of these scopes.
///
/// # Errors
/// When the database does not answer.
pub async fn of_scopes(tx: &mut Tx, tenant: i64, scopes: &[String]) -> Result<Vec<Bucket>, StoreError> {
    if scopes.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<BucketTuple> = tx
        .query_as(
            "SELECT id, scope, kind, head, last_removal, created, live_rows, live_bytes, checksum \
             FROM BY_TEXTS(bucket.scope, $2) ORDER BY id",
        )
        .bind(tenant)
        .bind_texts(scopes)
        .all()
        .await?;
    Ok(rows.into_iter().map(bucket).collect())
}

/// The buckets that were touched after a version.
///
/// # Errors
/// When the database does not answer.
pub async fn touched(tx: &mut Tx, tenant: i64, after: i64) -> Result<Vec<Bucket>, StoreError> {
    let rows: Vec<BucketTuple> = tx
        .query_as(
            "SELECT id, scope, kind, head, last_removal, created, live_rows, live_bytes, checksum FROM bucket \
             WHERE tenant = $1 AND head > $2 ORDER BY id",
        )
        .bind(tenant)
        .bind(after)
        .all()
        .await?;
    Ok(rows.into_iter().map(bucket).collect())
}

/// All buckets of the tenant.
///
/// # Errors
/// When the database does not answer.
pub async fn all(tx: &mut Tx, tenant: i64) -> Result<Vec<Bucket>, StoreError> {
    let rows: Vec<BucketTuple> = tx
        .query_as(
            "SELECT id, scope, kind, head, last_removal, created, live_rows, live_bytes, checksum FROM bucket \
             WHERE tenant = $1 ORDER BY id",
        )
        .bind(tenant)
        .all()
        .await?;
    Ok(rows.into_iter().map(bucket).collect())
}

/// The highest number of a bucket; 0: there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn last_id(tx: &mut Tx, tenant: i64) -> Result<i64, StoreError> {
    let (last,): (i64,) = tx
        .query_as("SELECT CAST(COALESCE(MAX(id), 0) AS BIGINT) FROM bucket WHERE tenant = $1")
        .bind(tenant)
        .one()
        .await?;
    Ok(last)
}

/// The bucket of a scope and a kind, if there is one.
///
/// # Errors
/// When the database does not answer.
pub async fn find(tx: &mut Tx, tenant: i64, scope: &str, kind: i64) -> Result<Option<Bucket>, StoreError> {
    let row: Option<BucketTuple> = tx
        .query_as(
            "SELECT id, scope, kind, head, last_removal, created, live_rows, live_bytes, checksum FROM bucket \
             WHERE tenant = $1 AND scope = $2 AND kind = $3",
        )
        .bind(tenant)
        .bind(scope.to_owned())
        .bind(kind)
        .optional()
        .await?;
    Ok(row.map(bucket))
}

/// A record's row in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The bucket.
    pub bucket: Bucket,
    /// The version of the row.
    pub version: i64,
    /// Whether the record is there; otherwise this is the news that it left.
    pub live: bool,
}

/// The buckets in which a record is, or was, by number, at most `limit` of them.
///
/// # Errors
/// When the database does not answer.
pub async fn of_record(tx: &mut Tx, tenant: i64, record: Uuid, limit: i64) -> Result<Vec<Placed>, StoreError> {
    type Row = (i64, i64, i64, String, i64, i64, i64, i64, i64, i64, i64);
    let rows: Vec<Row> = tx
        .query_as(
            "SELECT bucket_row.version, bucket_row.live, \
                    b.id, b.scope, b.kind, b.head, b.last_removal, b.created, b.live_rows, b.live_bytes, b.checksum \
             FROM BY_UUIDS(bucket_row.record, $2 BY bucket_row_by_record) \
             LEFT JOIN bucket b ON b.tenant = bucket_row.tenant AND b.id = bucket_row.bucket \
             ORDER BY bucket_row.bucket LIMIT $3",
        )
        .bind(tenant)
        .bind_uuids(&[record])
        .bind(limit)
        .all()
        .await?;
    Ok(rows
        .into_iter()
        .map(|(version, live, id, scope, kind, head, last_removal, created, rows, live_bytes, checksum)| {
            let bucket = bucket((id, scope, kind, head, last_removal, created, rows, live_bytes, checksum));
            Placed { bucket, version, live: live != 0 }
        })
        .collect())
}

/// Where a record is, or was, handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The record.
    pub record: Uuid,
    /// The bucket, as it is before this batch.
    pub bucket: Bucket,
    /// Whether it is there now; otherwise a tombstone tells that it left.
    pub live: bool,
    /// The hash of its row.
    pub hash: u64,
    /// The length of its frame.
    pub bytes: i64,
}

/// Where these records are handed out, as stored: never recomputed, since the rule may have changed since.
///
/// # Errors
/// When the database does not answer.
pub async fn placements(tx: &mut Tx, tenant: i64, records: &[Uuid]) -> Result<Vec<Placement>, StoreError> {
    type Row = (Uuid, i64, i64, i64, i64, String, i64, i64, i64, i64, i64, i64, i64);
    if records.is_empty() {
        return Ok(Vec::new());
    }
    // Each row has its bucket; LEFT, so that no database begins with the buckets.
    let rows: Vec<Row> = tx
        .query_as(
            "SELECT bucket_row.record, bucket_row.live, bucket_row.hash, CAST(LENGTH(bucket_row.frame) AS BIGINT), \
                    b.id, b.scope, b.kind, b.head, b.last_removal, b.created, b.live_rows, b.live_bytes, b.checksum \
             FROM BY_UUIDS(bucket_row.record, $2 BY bucket_row_by_record) \
             LEFT JOIN bucket b ON b.tenant = bucket_row.tenant AND b.id = bucket_row.bucket",
        )
        .bind(tenant)
        .bind_uuids(records)
        .all()
        .await?;
    Ok(rows
        .into_iter()
        .map(|(record, live, hash, bytes, id, scope, kind, head, last_removal, created, rows, live_bytes, checksum)| {
            let bucket = bucket((id, scope, kind, head, last_removal, created, rows, live_bytes, checksum));
            Placement { record, bucket, live: live != 0, hash: hash.cast_unsigned(), bytes }
        })
        .collect())
}

/// The stored frames of a bucket's rows after `from` and up to version `through`, one after another, at most so many. One
/// answer for all of them: a database hands over a page as quickly as a row.
///
/// # Errors
/// When the database does not answer.
pub async fn frames(
    tx: &mut Tx,
    (tenant, bucket): (i64, i64),
    from: Cursor,
    (through, limit): (i64, i64),
) -> Result<Vec<u8>, StoreError> {
    let (frames,): (Option<Vec<u8>>,) = tx
        .query_as(
            "SELECT JOINED(frame) FROM ( \
                 SELECT frame FROM bucket_row \
                 WHERE tenant = $1 AND bucket = $2 AND (version, record) > ($3, $4) AND version <= $5 \
                 ORDER BY version, record LIMIT $6) AS page",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(from.version)
        // No record has the nil id, so nil stands for "before all records of that version".
        .bind(from.record.unwrap_or_default())
        .bind(through)
        .bind(limit)
        .one()
        .await?;
    Ok(frames.unwrap_or_default())
}

/// How many of a bucket's rows lie after one place and up to another.
///
/// # Errors
/// When the database does not answer.
pub async fn count_rows(
    tx: &mut Tx,
    (tenant, bucket): (i64, i64),
    (from, through): (Cursor, Cursor),
) -> Result<i64, StoreError> {
    let (rows,): (i64,) = tx
        .query_as(
            "SELECT COUNT(*) FROM bucket_row \
             WHERE tenant = $1 AND bucket = $2 AND (version, record) > ($3, $4) AND (version, record) <= ($5, $6)",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(from.version)
        .bind(from.record.unwrap_or_default())
        .bind(through.version)
        .bind(through.record.unwrap_or_default())
        .one()
        .await?;
    Ok(rows)
}

/// The last row of a bucket that lies at or before a place, as a place; the beginning, if there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn place_before(tx: &mut Tx, (tenant, bucket): (i64, i64), at: Cursor) -> Result<Cursor, StoreError> {
    let row: Option<(i64, Uuid)> = tx
        .query_as(
            "SELECT version, record FROM bucket_row \
             WHERE tenant = $1 AND bucket = $2 AND (version, record) <= ($3, $4) \
             ORDER BY version DESC, record DESC LIMIT 1",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(at.version)
        .bind(at.record.unwrap_or_default())
        .optional()
        .await?;
    Ok(row.map_or_else(Cursor::default, |(version, record)| Cursor { version, record: Some(record) }))
}

/// Reads all live rows of a bucket, in no particular order: record, hash, and the bytes of the frame.
///
/// # Errors
/// When the database does not answer.
pub async fn live_rows(
    tx: &mut Tx,
    (tenant, bucket): (i64, i64),
    mut visit: impl FnMut(Uuid, u64, i64),
) -> Result<(), StoreError> {
    tx.query_as::<(Uuid, i64, i64)>(
        "SELECT record, hash, CAST(LENGTH(frame) AS BIGINT) FROM bucket_row \
         WHERE tenant = $1 AND bucket = $2 AND live <> 0",
    )
    .bind(tenant)
    .bind(bucket)
    .each(|(record, hash, bytes)| {
        visit(record, hash.cast_unsigned(), bytes);
        ControlFlow::Continue(())
    })
    .await
}

/// A row as it is stored, tombstones too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// The version that wrote it.
    pub version: i64,
    /// The record.
    pub record: Uuid,
    /// Whether it is there; otherwise this is the news that it left.
    pub live: bool,
    /// The hash of a live row.
    pub hash: u64,
    /// The stored frame.
    pub frame: Vec<u8>,
}

/// A page of a bucket's rows after `from`, with all that is stored of them.
///
/// # Errors
/// When the database does not answer.
pub async fn stored_rows(
    tx: &mut Tx,
    (tenant, bucket): (i64, i64),
    from: Cursor,
    limit: i64,
) -> Result<Vec<StoredRow>, StoreError> {
    let rows: Vec<(i64, Uuid, i64, i64, Vec<u8>)> = tx
        .query_as(
            "SELECT version, record, live, hash, frame FROM bucket_row \
             WHERE tenant = $1 AND bucket = $2 AND (version, record) > ($3, $4) ORDER BY version, record LIMIT $5",
        )
        .bind(tenant)
        .bind(bucket)
        .bind(from.version)
        .bind(from.record.unwrap_or_default())
        .bind(limit)
        .all()
        .await?;
    let row = |(version, record, live, hash, frame): (i64, Uuid, i64, i64, Vec<u8>)| StoredRow {
        version,
        record,
        live: live != 0,
        hash: hash.cast_unsigned(),
        frame,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The numbers of buckets that have rows and are not there.
///
/// # Errors
/// When the database does not answer.
pub async fn missing(tx: &mut Tx, tenant: i64) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(i64,)> = tx
        .query_as(
            "SELECT DISTINCT bucket FROM bucket_row WHERE tenant = $1 \
             AND bucket NOT IN (SELECT id FROM bucket WHERE tenant = $1) ORDER BY bucket",
        )
        .bind(tenant)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The bucket.
    pub bucket: i64,
    /// The record.
    pub record: Uuid,
    /// Whether it is there, or this is the news that it left.
    pub live: bool,
    /// The hash of a live row.
    pub hash: u64,
    /// The frame.
    pub frame: Vec<u8>,
}

/// What publishing a batch writes.
#[must_use]
pub fn write(tenant: i64, version: i64, buckets: &[Bucket], rows: &[NewRow]) -> [Rows; 2] {
    let buckets = buckets
        .iter()
        .map(|bucket| {
            vec![
                Cell::from(tenant),
                bucket.id.into(),
                bucket.scope.clone().into(),
                bucket.kind.into(),
                bucket.head.into(),
                bucket.last_removal.into(),
                bucket.created.into(),
                bucket.rows.into(),
                bucket.bytes.into(),
                bucket.checksum.cast_signed().into(),
            ]
        })
        .collect();
    let rows = rows
        .iter()
        .map(|row| {
            vec![
                Cell::from(tenant),
                row.bucket.into(),
                version.into(),
                row.record.into(),
                i64::from(row.live).into(),
                row.hash.cast_signed().into(),
                row.frame.clone().into(),
            ]
        })
        .collect();
    [Rows { table: &BUCKETS, rows: buckets }, Rows { table: &ROWS, rows }]
}
