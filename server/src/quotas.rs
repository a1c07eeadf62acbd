//! What orders have taken of the shares of scarce goods: counted with each order that is written.

use std::collections::BTreeSet;

use roundsman_proto::trade::Order;
use roundsman_sync::trade::allocation::{ordered, own_shares};
use roundsman_sync::trade::quota::{Quotas, Taken, taken};
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::waiting::Scarce;
use uuid::Uuid;

use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs of an order as it is.
pub fn keys(order: &Order, keys: &mut Keys) {
    for taken in taken(order) {
        keys.internal::<Quotas>(&(taken.warehouse, taken.product));
    }
    for goods in own_shares(order) {
        keys.internal::<Quotas>(&goods);
    }
}

/// Counts what an order takes now; `before`, as it was counted. What it no longer wants of a share of its own is set free.
///
/// # Errors
/// [`Stop::Load`].
pub fn put(workspace: &mut Workspace, id: Uuid, before: Option<&Order>, order: &Order) -> Result<(), Stop> {
    let (had, has) = (before.map(taken).unwrap_or_default(), taken(order));
    let own = before.map(own_shares).unwrap_or_default();
    if had == has && own.is_empty() {
        return Ok(());
    }
    let goods = had.iter().chain(&has).map(|taken| (taken.warehouse, taken.product));
    let goods: BTreeSet<(Uuid, Uuid)> = goods.chain(own.iter().copied()).collect();
    for key in goods {
        let mut quotas: Quotas = workspace.internal(&key)?;
        let of = |taken: &&Taken| (taken.warehouse, taken.product) == key;
        had.iter().filter(of).for_each(|taken| quotas.count(&taken.share, -taken.quantity_milli));
        has.iter().filter(of).for_each(|taken| quotas.count(&taken.share, taken.quantity_milli));
        if own.contains(&key) && quotas.limit(id, ordered(order, key)) {
            let available: Available = workspace.internal(&key)?;
            if available.waiting > 0 {
                workspace.free(Scarce::Stock { warehouse: key.0, product: key.1 });
            }
        }
        workspace.put_internal(&key, &quotas)?;
    }
    Ok(())
}
