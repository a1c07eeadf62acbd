//! What orders have taken of the shares of scarce goods: counted with each order that is written.

use std::collections::BTreeSet;

use roundsman_proto::trade::Order;
use roundsman_sync::trade::quota::{Quotas, Taken, taken};
use uuid::Uuid;

use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs of an order as it is.
pub fn keys(order: &Order, keys: &mut Keys) {
    for taken in taken(order) {
        keys.internal::<Quotas>(&(taken.warehouse, taken.product));
    }
}

/// Counts what an order takes now; `before`, as it was counted.
///
/// # Errors
/// [`Stop::Load`].
pub fn put(workspace: &mut Workspace, before: Option<&Order>, order: &Order) -> Result<(), Stop> {
    let (had, has) = (before.map(taken).unwrap_or_default(), taken(order));
    if had == has {
        return Ok(());
    }
    let goods: BTreeSet<(Uuid, Uuid)> = had.iter().chain(&has).map(|taken| (taken.warehouse, taken.product)).collect();
    for key in goods {
        let mut quotas: Quotas = workspace.internal(&key)?;
        let of = |taken: &&Taken| (taken.warehouse, taken.product) == key;
        had.iter().filter(of).for_each(|taken| quotas.count(&taken.share, -taken.quantity_milli));
        has.iter().filter(of).for_each(|taken| quotas.count(&taken.share, taken.quantity_milli));
        workspace.put_internal(&key, &quotas)?;
    }
    Ok(())
}
