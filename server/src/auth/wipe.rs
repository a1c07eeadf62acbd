//! Whether a device that is shut out is to erase what it holds. It is looked up when such a device calls, which is rarely.

use prost::Message as _;

use super::caller::Caller;
use crate::error::StoreError;
use crate::internal::{Internal as _, Revoked};
use crate::store::record;
use crate::store::sql::Db;
use crate::workspace::Revocation;

/// Whether whoever revoked the device, or dismissed its rep, wants it.
///
/// # Errors
/// When the database does not answer, or what it holds can't be read.
pub async fn is_wanted(db: &Db, caller: &Caller) -> Result<bool, StoreError> {
    let revocations = caller.device.map(Revocation::Device).into_iter().chain(caller.rep.map(Revocation::Rep));
    let ids: Vec<_> = revocations.map(|revocation| Revoked::id(&revocation)).collect();
    let mut tx = db.read().await?;
    let found = record::find(&mut tx, caller.tenant, &ids).await?;
    tx.commit().await?;
    for (id, stored) in found {
        let revoked = Revoked::decode(stored.document)
            .map_err(|error| StoreError::Corrupt(format!("internal record {id}: {error}")))?;
        if revoked.wipe {
            return Ok(true);
        }
    }
    Ok(false)
}
