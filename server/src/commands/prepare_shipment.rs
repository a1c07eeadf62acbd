//! Makes the shipment of a released order.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, PrepareShipment, Shipment, Warehouse};
use roundsman_sync::trade::shipment::{self, Prepared};
use roundsman_sync::trade::stock::Available;
use uuid::Uuid;

use super::{Context, Decide, Target, field, ordering};
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for PrepareShipment {
    fn name(&self) -> &'static str {
        "PrepareShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: true })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.shipment_id);
        keys.record(&self.order_id);
        keys.record(&self.warehouse_id);
        let (_, order) = workspace.live::<Order>(&self.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        field::hang_keys(context, &order.outlet_id, workspace, keys);
        let place = field::place(workspace, &order.outlet_id)?;
        let from = optional_id(&place.territory.warehouse_id)?;
        let to = Uuid::from_slice(&self.warehouse_id).ok();
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            for warehouse in [from, to] {
                ordering::stock_keys(warehouse, products(&order), workspace, keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (order_id, order) = workspace.live::<Order>(&self.order_id)?;
        let place = field::place(workspace, &order.outlet_id)?;
        let (id, current) = field::existing::<Shipment>(workspace, &self.shipment_id)?;
        if !self.warehouse_id.is_empty() {
            workspace.live::<Warehouse>(&self.warehouse_id)?;
        }
        let from = optional_id(&place.territory.warehouse_id)?;
        let Prepared { shipment, order: after, verdict } =
            shipment::decide_prepare(current.as_ref(), &order, from, self)?;
        if current.is_none() {
            workspace.put(id, &shipment, &place.open())?;
            field::hang(context, workspace, &place, id)?;
            ordering::put_order(context, workspace, &place, (order_id, Some(&order), &after))?;
            move_reservation(workspace, (order_id, &order), from, optional_id(&shipment.warehouse_id)?)?;
        }
        Ok(place.outcome(verdict))
    }
}

fn products(order: &Order) -> impl Iterator<Item = Uuid> {
    order.lines.iter().filter_map(|line| Uuid::from_slice(&line.product_id).ok())
}

/// What the order was promised out of its territory's warehouse is promised out of the one from which it is shipped.
fn move_reservation(
    workspace: &mut Workspace,
    (order_id, order): (Uuid, &Order),
    from: Option<Uuid>,
    to: Option<Uuid>,
) -> Result<(), Stop> {
    let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
    if from == to {
        return Ok(());
    }
    for product in products(order) {
        let Some(there) = workspace.find_internal::<Available>(&(from, product))? else { continue };
        let reserved_milli = there.reserved_by(order_id);
        if reserved_milli == 0 {
            continue;
        }
        ordering::put_available(workspace, (from, product), &there.reserving(order_id, 0))?;
        if let Some(here) = workspace.find_internal::<Available>(&(to, product))? {
            ordering::put_available(workspace, (to, product), &here.reserving(order_id, reserved_milli))?;
        }
    }
    Ok(())
}
