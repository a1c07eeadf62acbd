//! Ends a released order of which something is left that will not be shipped.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CloseOrder, Order, Reason};
use roundsman_sync::trade::order::fulfil;

use super::{Context, Decide, Target, applied, applied_because, field, ordering, requests, shipping};
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CloseOrder {
    fn name(&self) -> &'static str {
        "CloseOrder"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.order_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.order_id);
        let (id, order) = workspace.live::<Order>(&self.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        if let Some(warehouse) = optional_id(&order.warehouse_id)? {
            ordering::stock_keys(warehouse, shipping::products_of(&order).into_iter(), workspace, keys);
        }
        shipping::order_keys((id, &order), workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, before) = workspace.live::<Order>(&self.order_id)?;
        let place = field::place(workspace, &before.outlet_id)?;
        let ordered = shipping::ordered(workspace, id)?;
        let warehouse = optional_id(&before.warehouse_id)?;
        let (debtor, books) = shipping::books(workspace, &ordered, warehouse, shipping::products_of(&before))?;
        let Some((mut after, books)) = fulfil::decide_close(&ordered, self, books, shipping::mover(context))? else {
            return Ok(applied_because(Reason::NothingToDo));
        };
        requests::overtake(context, workspace, &place, &mut after, None)?;
        ordering::put_order(context, workspace, &place, (id, Some(&before), &after))?;
        shipping::put_books(workspace, (&debtor, warehouse), &books)?;
        ordering::release_held(context, workspace, &debtor)?;
        Ok(applied())
    }
}
