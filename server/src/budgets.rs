//! What orders have taken of promotions' budgets: counted with each order that is written.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::Order;
use roundsman_sync::trade::promotion::{Spent, counted};
use roundsman_sync::trade::waiting::Scarce;
use uuid::Uuid;

use crate::internal::PromotionState;
use crate::workspace::{Keys, Stop, Workspace};

/// Asks for what [`put`] needs.
pub fn keys(order: &Order, keys: &mut Keys) {
    for part in order.lines.iter().flat_map(|line| &line.promotions) {
        if let Ok(promotion) = Uuid::from_slice(&part.promotion_id) {
            keys.internal::<PromotionState>(&promotion);
        }
    }
}

/// Counts what an order takes now; `before`, as it was counted.
///
/// # Errors
/// [`Stop::Load`].
pub fn put(workspace: &mut Workspace, before: Option<&Order>, order: &Order) -> Result<(), Stop> {
    let (had, has) = (before.map(counted).unwrap_or_default(), counted(order));
    let promotions: BTreeSet<Uuid> = had.keys().chain(has.keys()).copied().collect();
    for promotion in promotions {
        let of = |spent: &BTreeMap<Uuid, Spent>| spent.get(&promotion).copied().unwrap_or_default();
        if of(&had) != of(&has) {
            let state: PromotionState = workspace.internal(&promotion)?;
            let spent = state.spent().with(of(&had), of(&has));
            if state.waiting > 0 && (of(&has).minor < of(&had).minor || of(&has).milli < of(&had).milli) {
                workspace.free(Scarce::Budget(promotion));
            }
            workspace.put_internal(&promotion, &state.spending(spent))?;
        }
    }
    Ok(())
}
