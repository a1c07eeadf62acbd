//! Records by their ids, as doors answer with them.

use std::collections::HashMap;

use roundsman_sync::kind::{self, Record};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::Tx;

/// Records that are read at a time.
const READ: usize = 500;

/// The live record of this id. `None`: the id is none, or there is no record of this kind.
///
/// # Errors
/// When the database does not answer, or the record can't be read.
pub async fn one<R: Record>(tx: &mut Tx, tenant: i64, id: &[u8]) -> Result<Option<R>, StoreError> {
    let ids: Vec<Uuid> = Uuid::from_slice(id).into_iter().collect();
    Ok(live(tx, tenant, &ids).await?.into_values().next())
}

/// The live records of a kind with these ids, as far as they are there.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub async fn live<R: Record>(tx: &mut Tx, tenant: i64, ids: &[Uuid]) -> Result<HashMap<Uuid, R>, StoreError> {
    let mut live = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(READ) {
        for (id, stored) in record::find(tx, tenant, chunk).await? {
            if stored.removed_at_us.is_none() && kind::from_number(stored.kind) == Some(R::KIND) {
                let record = R::decode(stored.document);
                live.insert(id, record.map_err(|error| StoreError::Corrupt(format!("record {id}: {error}")))?);
            }
        }
    }
    Ok(live)
}
