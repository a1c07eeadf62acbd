//! Blocks or unblocks an outlet.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{BlockOutlet, HoldReason, Order};
use roundsman_sync::trade::credit::RELEASED_AT_ONCE;
use roundsman_sync::trade::order::hold;
use roundsman_sync::trade::outlet;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::ordering::{self, Needs};
use super::{Context, Decide, Target, field};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for BlockOutlet {
    fn name(&self) -> &'static str {
        "BlockOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        field::keys(context, &self.outlet_id, workspace, keys);
        if self.blocked {
            return Ok(());
        }
        let place = field::place(workspace, &self.outlet_id)?;
        network::move_keys(place.outlet_id, workspace, keys)?;
        for (_, order) in waiting(workspace, place.outlet_id)? {
            Needs::of_order(&order).keys(workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let place = field::place(workspace, &self.outlet_id)?;
        field::edit(context, workspace, &place)?;
        let Some(outlet) = outlet::decide_block(&place.outlet, self)? else {
            return place.outcome(context, workspace, Verdict::nothing_to_do());
        };
        // Neither where the outlet is nor on what terms it buys has changed.
        workspace.update(place.outlet_id, &outlet)?;
        if !outlet.blocked {
            for (id, _) in waiting(workspace, place.outlet_id)? {
                ordering::decide_again(context, workspace, id)?;
            }
        }
        place.outcome(context, workspace, Verdict::done())
    }
}

/// The orders that wait for the outlet to be unblocked, oldest first, as many as one command decides.
fn waiting(workspace: &Workspace, outlet: Uuid) -> Result<Vec<(Uuid, Order)>, Stop> {
    let mut orders = field::documents::<Order>(workspace, outlet)?;
    orders.retain(|(_, order)| hold::open(order, HoldReason::OutletBlocked).is_some());
    orders.sort_by_key(|(id, order)| (order.submitted_at_us, *id));
    orders.truncate(RELEASED_AT_ONCE);
    Ok(orders)
}
