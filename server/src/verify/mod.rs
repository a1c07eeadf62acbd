//! Verification: everything that is derived is computed anew from the records and compared with what is stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use roundsman_sync::checksum::{Checksum, row_hash};
use roundsman_sync::kind::{self, KINDS};
use roundsman_sync::page::{Cursor, decode_frames};
use roundsman_sync::trade::placement::{Stamps, place};
use std::ops::ControlFlow;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::store::sql::{Db, Tx};
use crate::store::{bucket, record};
use crate::workspace::Stored;
use crate::{grants, projection};

/// Records in one read.
const PAGE: i64 = 1_000;

/// What buckets hold: by scope and kind, then by record.
pub type Content = BTreeMap<(String, u32), BTreeMap<Uuid, Bytes>>;

/// What a caller should hold, placed anew from the records, past all buckets; what holds no record is left out.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub async fn projection(db: &Db, caller: &Caller) -> Result<Content, StoreError> {
    let mut tx = db.read().await?;
    let holding = grants::holding(&mut tx, caller).await?;
    let mut content = placed(&mut tx, caller.tenant).await?;
    content.retain(|(scope, _), _| scope.parse().is_ok_and(|scope| holding.scopes.contains(&scope)));
    tx.commit().await?;
    Ok(content)
}

fn kind_number(kind: i64) -> u32 {
    u32::try_from(kind).unwrap_or(0)
}

/// All records of a tenant, where the rule of placement puts them.
async fn placed(tx: &mut Tx, tenant: i64) -> Result<Content, StoreError> {
    let mut content = Content::new();
    for kind in KINDS {
        let number = i64::from(*kind as i32);
        let mut after = Uuid::nil();
        loop {
            let page = record::page(tx, tenant, number, after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (id, stored) in page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
                for scope in scopes(id, &stored)? {
                    let bucket = content.entry((scope, kind_number(number))).or_default();
                    bucket.insert(id, stored.document.clone());
                }
            }
        }
    }
    Ok(content)
}

fn scopes(id: Uuid, stored: &Stored) -> Result<Vec<String>, StoreError> {
    let corrupt = |error: String| StoreError::Corrupt(format!("record {id}: {error}"));
    let kind = kind::from_number(stored.kind).ok_or_else(|| corrupt("unknown kind".to_owned()))?;
    let stamps = Stamps::decode(stored.stamps.clone()).map_err(|error| corrupt(error.to_string()))?;
    let scopes = place(kind, id, &stored.document, &stamps).map_err(|error| corrupt(error.to_string()))?;
    Ok(scopes.iter().map(ToString::to_string).collect())
}

/// Looks for differences between the records and what is derived from them; returns one sentence for each.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub async fn verify(db: &Db, tenant: i64) -> Result<Vec<String>, StoreError> {
    let mut tx = db.read().await?;
    let mut expected = placed(&mut tx, tenant).await?;
    let mut findings = Vec::new();
    for stored in bucket::all(&mut tx, tenant).await? {
        let name = format!("bucket {} ({}, kind {})", stored.id, stored.scope, stored.kind);
        let records = expected.remove(&(stored.scope.clone(), kind_number(stored.kind))).unwrap_or_default();
        let mut checksum = Checksum::default();
        for (id, document) in &records {
            checksum.add(row_hash(*id, document));
        }
        let rows = i64::try_from(records.len()).unwrap_or(i64::MAX);
        if (rows, checksum.0) != (stored.rows, stored.checksum) {
            findings.push(format!("{name} counts {} rows with another sum than its {rows} records", stored.rows));
        }
        compare_rows(&mut tx, tenant, &stored, &records, &name, &mut findings).await?;
    }
    findings.extend(expected.into_iter().filter(|(_, records)| !records.is_empty()).map(|((scope, kind), records)| {
        format!("{} records belong to a missing bucket ({scope}, kind {kind})", records.len())
    }));
    findings.extend(projection::verify(&mut tx, tenant).await?);
    tx.commit().await?;
    Ok(findings)
}

async fn compare_rows(
    tx: &mut Tx,
    tenant: i64,
    stored: &bucket::Bucket,
    records: &BTreeMap<Uuid, Bytes>,
    name: &str,
    findings: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut cursor = Cursor::default();
    let mut live = 0_usize;
    loop {
        let mut page = Vec::new();
        bucket::rows(tx, (tenant, stored.id), cursor, i64::MAX, PAGE, |row| {
            page.push(row);
            ControlFlow::Continue(())
        })
        .await?;
        let Some(last) = page.last() else { break };
        cursor = Cursor { version: last.version, record: Some(last.record) };
        for row in page {
            let frames = decode_frames(row.frame.into())
                .map_err(|error| StoreError::Corrupt(format!("{name}, record {}: {error}", row.record)))?;
            let document = frames.into_iter().next().and_then(|frame| frame.document);
            live += usize::from(document.is_some());
            if document.as_ref() != records.get(&row.record) {
                findings.push(format!("{name} does not hold record {} as it is stored", row.record));
            }
            if row.version > stored.head {
                findings.push(format!("{name} has a row of version {} above its head {}", row.version, stored.head));
            }
        }
    }
    if live != records.len() {
        findings.push(format!("{name} has {live} live rows for {} records", records.len()));
    }
    Ok(())
}
