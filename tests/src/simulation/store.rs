//! A digest of all that a server has stored, to the byte: what two databases must agree on after the same history.

use std::fmt::{Debug, Write as _};

use roundsman::error::StoreError;
use roundsman::store::sql::{Db, Row, Tx};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

type Blob = Vec<u8>;

/// The digest of everything that a lane writes.
///
/// # Errors
/// When the database does not answer.
pub async fn digest(db: &Db) -> Result<u64, StoreError> {
    let mut tx = db.read().await?;
    let mut sum = Xxh3::new();
    add::<(i64, i64, i64, i64)>(
        &mut sum,
        &mut tx,
        "SELECT tenant, version, nonce, at_us FROM commit_point ORDER BY tenant, version",
    )
    .await?;
    add::<(Uuid, i64, i64, Blob, Blob, Option<i64>, Option<Uuid>)>(
        &mut sum,
        &mut tx,
        "SELECT id, kind, version, document, stamps, removed_at, survivor FROM record ORDER BY tenant, id",
    )
    .await?;
    add::<(i64, Uuid, i64)>(
        &mut sum,
        &mut tx,
        "SELECT version, record, kind FROM record_change ORDER BY tenant, version, record",
    )
    .await?;
    add::<(i64, String, i64, i64, i64, i64, i64, i64, i64)>(
        &mut sum,
        &mut tx,
        "SELECT id, scope, kind, head, last_removal, created, live_rows, live_bytes, checksum FROM bucket \
         ORDER BY tenant, id",
    )
    .await?;
    add::<(i64, i64, Uuid, i64, i64, Blob)>(
        &mut sum,
        &mut tx,
        "SELECT bucket, version, record, live, hash, frame FROM bucket_row ORDER BY tenant, bucket, version, record",
    )
    .await?;
    add::<(Uuid, Option<Uuid>, Option<i64>, i64, Blob, i64, i64, Option<Blob>)>(
        &mut sum,
        &mut tx,
        "SELECT id, device, seq, body_hash, outcome, version, decided_at, body FROM command ORDER BY tenant, id",
    )
    .await?;
    add::<(Uuid, i64, i64, Option<i64>)>(
        &mut sum,
        &mut tx,
        "SELECT device, last_seq, confirmed_seq, revoked_at FROM device_sequence ORDER BY tenant, device",
    )
    .await?;
    add::<(Uuid, Option<Uuid>, i64, Blob, String)>(
        &mut sum,
        &mut tx,
        "SELECT command, target, creates, body, error FROM quarantine ORDER BY tenant, command",
    )
    .await?;
    add::<(i64, i64, Uuid, Uuid, String, Uuid, i64, Blob, Option<Blob>)>(
        &mut sum,
        &mut tx,
        "SELECT version, ordinal, record, command, command_name, actor, decided_at, outcome, body FROM history \
         ORDER BY tenant, version, ordinal",
    )
    .await?;
    add::<(i64, i64, String, Uuid)>(
        &mut sum,
        &mut tx,
        "SELECT version, ordinal, topic, record FROM outbox ORDER BY tenant, version, ordinal",
    )
    .await?;
    tx.commit().await?;
    Ok(sum.digest())
}

async fn add<T: Row + Debug>(sum: &mut Xxh3, tx: &mut Tx, sql: &'static str) -> Result<(), StoreError> {
    let rows: Vec<T> = tx.query_as(sql).all().await?;
    let mut text = String::new();
    for row in rows {
        text.clear();
        write!(text, "{row:?}").expect("writing to a string never fails");
        sum.update(text.as_bytes());
    }
    Ok(())
}
