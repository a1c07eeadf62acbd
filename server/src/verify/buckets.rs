//! Buckets: every row, and the figures about them that are kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use roundsman_sync::checksum::{Checksum, row_hash};
use roundsman_sync::kind::Kind;
use roundsman_sync::page::{Cursor, decode_frames};
use roundsman_sync::scope::Scope;
use uuid::Uuid;

use super::{PAGE, Report};
use crate::error::StoreError;
use crate::store::bucket::{self, Bucket, StoredRow};
use crate::store::sql::Tx;
use crate::workspace::Stored;

/// What the buckets of a kind should hold: by scope, the records in ascending order with the hashes of their rows.
#[derive(Debug, Default)]
pub(super) struct Expected(BTreeMap<Scope, Vec<(Uuid, u64)>>);

impl Expected {
    /// A live record; they come in ascending order.
    pub(super) fn add(&mut self, scopes: Vec<Scope>, id: Uuid, stored: &Stored) {
        let hash = row_hash(id, &stored.document);
        for scope in scopes {
            self.0.entry(scope).or_default().push((id, hash));
        }
    }
}

/// The stored buckets, and what was compared of them.
pub(super) struct Buckets {
    stored: BTreeMap<i64, Vec<Bucket>>,
    compared: usize,
    live: usize,
    tombstones: usize,
}

impl Buckets {
    pub(super) async fn read(tx: &mut Tx, tenant: i64) -> Result<Self, StoreError> {
        let mut stored: BTreeMap<i64, Vec<Bucket>> = BTreeMap::new();
        for bucket in bucket::all(tx, tenant).await? {
            stored.entry(bucket.kind).or_default().push(bucket);
        }
        Ok(Self { stored, compared: 0, live: 0, tombstones: 0 })
    }

    /// Compares all buckets of a kind.
    pub(super) async fn compare(
        &mut self,
        (tx, tenant, version): (&mut Tx, i64, i64),
        kind: Kind,
        expected: Expected,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let Expected(mut expected) = expected;
        for bucket in self.stored.remove(&i64::from(kind as i32)).unwrap_or_default() {
            let Ok(scope) = bucket.scope.parse::<Scope>() else {
                report.find(format!("bucket {} is of `{}`, which is no scope", bucket.id, bucket.scope));
                continue;
            };
            let mut found = Found::new(&bucket, expected.remove(&scope).unwrap_or_default());
            let mut cursor = Cursor::default();
            loop {
                let rows = bucket::stored_rows(tx, (tenant, bucket.id), cursor, PAGE).await?;
                let Some(last) = rows.last() else { break };
                cursor = Cursor { version: last.version, record: Some(last.record) };
                for row in rows {
                    found.row(&row, report);
                }
            }
            self.compared += 1;
            self.live += found.live;
            self.tombstones += found.tombstones;
            found.finish(version, report);
        }
        for (scope, records) in expected {
            report.find(format!("{} records belong to a missing bucket ({scope}, {kind:?})", records.len()));
        }
        Ok(())
    }

    /// Tells what was compared, and of what does not belong to any kind or bucket.
    pub(super) async fn finish(self, tx: &mut Tx, tenant: i64, report: &mut Report) -> Result<(), StoreError> {
        for bucket in self.stored.values().flatten() {
            report.find(format!("bucket {} is of kind {}, which this program does not know", bucket.id, bucket.kind));
        }
        for id in bucket::missing(tx, tenant).await? {
            report.find(format!("there are rows of bucket {id}, which is not there"));
        }
        report.count("buckets", self.compared);
        report.count("bucket rows", self.live);
        report.count("tombstones", self.tombstones);
        Ok(())
    }
}

/// What was found in one bucket so far.
struct Found<'b> {
    bucket: &'b Bucket,
    name: String,
    right: Vec<(Uuid, u64)>,
    live: usize,
    bytes: usize,
    tombstones: usize,
    last_removal: i64,
}

impl<'b> Found<'b> {
    fn new(bucket: &'b Bucket, right: Vec<(Uuid, u64)>) -> Self {
        let name = format!("bucket {} ({}, kind {})", bucket.id, bucket.scope, bucket.kind);
        Self { bucket, name, right, live: 0, bytes: 0, tombstones: 0, last_removal: 0 }
    }

    fn row(&mut self, row: &StoredRow, report: &mut Report) {
        let name = &self.name;
        if row.version > self.bucket.head {
            let head = self.bucket.head;
            report.find(format!("{name} has a row of version {} above its head {head}", row.version));
        }
        let frame = decode_frames(Bytes::copy_from_slice(&row.frame)).ok().and_then(|frames| match &frames[..] {
            [frame] if (frame.record, frame.version) == (row.record, row.version) => Some(frame.clone()),
            _ => None,
        });
        let Some(frame) = frame else {
            report.find(format!("{name} would send for record {} what no device can read", row.record));
            return;
        };
        let right = self.right.binary_search_by_key(&row.record, |(id, _)| *id).ok().map(|index| self.right[index].1);
        let sent = frame.document.as_ref().map(|document| row_hash(row.record, document));
        if sent != right {
            report.find(format!("{name} does not hold record {} as it is stored", row.record));
        }
        if row.live != sent.is_some() || sent.is_some_and(|sent| sent != row.hash) {
            report.find(format!("{name} has noted another hash of record {} than that of its row", row.record));
        }
        if sent.is_some() {
            self.live += 1;
            self.bytes += row.frame.len();
        } else {
            self.tombstones += 1;
            self.last_removal = self.last_removal.max(row.version);
        }
    }

    fn finish(self, version: i64, report: &mut Report) {
        let Self { bucket, name, right, live, bytes, .. } = self;
        let mut checksum = Checksum::default();
        for (_, hash) in &right {
            checksum.add(*hash);
        }
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        if (number(right.len()), checksum.0) != (bucket.rows, bucket.checksum) {
            let (rows, records) = (bucket.rows, right.len());
            report.find(format!("{name} counts {rows} rows with another sum than its {records} records"));
        }
        if live != right.len() {
            report.find(format!("{name} has {live} live rows for {} records", right.len()));
        }
        if number(bytes) != bucket.bytes {
            report.find(format!("{name} counts {} bytes and holds {bytes}", bucket.bytes));
        }
        if self.last_removal > bucket.last_removal {
            let (noted, found) = (bucket.last_removal, self.last_removal);
            report
                .find(format!("{name} says that nothing has left since version {noted}, and a record left at {found}"));
        }
        if bucket.head > version || bucket.created > bucket.head || bucket.last_removal > bucket.head {
            report.find(format!("{name} has versions out of order, or after the last commit {version}"));
        }
    }
}
