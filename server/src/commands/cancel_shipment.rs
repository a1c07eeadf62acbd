//! Calls a shipment off that has not left the warehouse.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CancelShipment, Order, Shipment};
use roundsman_sync::trade::shipment;
use uuid::Uuid;

use super::{Context, Decide, Target, field, ordering, shipping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CancelShipment {
    fn name(&self) -> &'static str {
        "CancelShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.shipment_id);
        let (_, shipment) = workspace.live::<Shipment>(&self.shipment_id)?;
        field::keys(context, &shipment.outlet_id, workspace, keys);
        shipping::order_ids(&shipment).into_iter().for_each(|order| keys.id(order));
        if let Ok(warehouse) = Uuid::from_slice(&shipment.warehouse_id) {
            ordering::stock_keys(warehouse, shipping::products(&shipment).into_iter(), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Shipment>(&self.shipment_id)?;
        let place = field::place(workspace, &current.outlet_id)?;
        let mut orders = Vec::new();
        for id in shipping::order_ids(&current) {
            orders.push(workspace.live::<Order>(id.as_bytes())?);
        }
        let before: Vec<(Uuid, &Order)> = orders.iter().map(|(id, order)| (*id, order)).collect();
        let cancelled = shipment::decide_cancel(&current, &before, self)?;
        workspace.put(id, &cancelled.shipment, &place.closed(context))?;
        shipping::put_picking(workspace, &current, -1)?;
        for ((id, before), (_, after)) in before.into_iter().zip(&cancelled.orders) {
            ordering::put_order(context, workspace, &place, (id, Some(before), after))?;
        }
        workspace.announce("shipment.cancelled", id);
        place.outcome(context, workspace, cancelled.verdict)
    }
}
