//! Who waits for goods, a budget or terms: noted with each order that is written, and told when something is set free.

use roundsman_proto::trade::Order;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::waiting::{Scarce, Waiting, WaitingOrder, waits_for};
use uuid::Uuid;

use crate::internal::PromotionState;
use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs of an order as it is.
pub fn keys(order: &Order, keys: &mut Keys) {
    for scarce in waits_for(order) {
        keys.internal::<Waiting>(&scarce);
    }
}

/// Notes what an order waits for now; `before`, as it was noted.
///
/// # Errors
/// [`Stop::Load`].
pub fn put(workspace: &mut Workspace, id: Uuid, before: Option<&Order>, order: &Order) -> Result<(), Stop> {
    let (waited, waits) = (before.map(waits_for).unwrap_or_default(), waits_for(order));
    for scarce in waited.symmetric_difference(&waits) {
        let waiting: Waiting = workspace.internal(scarce)?;
        let waiting =
            if waits.contains(scarce) { waiting.with(WaitingOrder::new(id, order)) } else { waiting.without(id) };
        let number = i64::try_from(waiting.orders.len()).unwrap_or(i64::MAX);
        workspace.put_internal(scarce, &waiting)?;
        count(workspace, *scarce, number)?;
    }
    Ok(())
}

/// Notes where it is decided by it how many wait: there it is seen without a list.
fn count(workspace: &mut Workspace, scarce: Scarce, waiting: i64) -> Result<(), Stop> {
    match scarce {
        Scarce::Stock { warehouse, product } => {
            let available: Available = workspace.internal(&(warehouse, product))?;
            workspace.put_internal(&(warehouse, product), &Available { waiting, ..available })
        }
        Scarce::Budget(promotion) => {
            let state: PromotionState = workspace.internal(&promotion)?;
            workspace.put_internal(&promotion, &PromotionState { waiting, ..state })
        }
        Scarce::Terms(_) | Scarce::Order(_) => Ok(()),
    }
}

/// Writes the figures of a product in a warehouse where there were others before, and tells if something is free for which orders wait. How many wait is as it
/// was noted.
///
/// # Errors
/// [`Stop::Load`].
pub fn put_available(
    workspace: &mut Workspace,
    key: (Uuid, Uuid),
    (before, available): (&Available, Available),
) -> Result<(), Stop> {
    workspace.put_internal(&key, &Available { waiting: before.waiting, ..available })?;
    if before.waiting > 0 && available.free_milli() > before.free_milli() {
        workspace.free(Scarce::Stock { warehouse: key.0, product: key.1 });
    }
    Ok(())
}
