//! Who waits until a scarce product is shared out: noted with each order that is written.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::Order;
use roundsman_sync::trade::allocation::{Demand, demands};
use roundsman_sync::trade::waiting::WaitingOrder;
use uuid::Uuid;

use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs of an order as it is.
pub fn keys(order: &Order, keys: &mut Keys) {
    for goods in demands(order).keys() {
        keys.internal::<Demand>(goods);
    }
}

/// Notes what an order wants now; `before`, as it was noted.
///
/// # Errors
/// [`Stop::Load`].
pub fn put(workspace: &mut Workspace, id: Uuid, before: Option<&Order>, order: &Order) -> Result<(), Stop> {
    let (wanted, wants) = (before.map(demands).unwrap_or_default(), demands(order));
    let goods: BTreeSet<(Uuid, Uuid)> = wanted.keys().chain(wants.keys()).copied().collect();
    for goods in goods {
        let of = |demands: &BTreeMap<(Uuid, Uuid), i64>| demands.get(&goods).copied().unwrap_or_default();
        if of(&wanted) != of(&wants) {
            let demand: Demand = workspace.internal(&goods)?;
            workspace.put_internal(&goods, &demand.with(WaitingOrder::new(id, order), of(&wants)))?;
        }
    }
    Ok(())
}
