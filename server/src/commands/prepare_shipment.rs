//! Makes the shipment of a released order.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, PrepareShipment, Reason, Shipment, Warehouse};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock::{Available, reserved_by};
use roundsman_sync::trade::{check, shipment};
use uuid::Uuid;

use super::{Context, Decide, Target, field, ordering, requests, shipping};
use crate::network::optional_id;
use crate::quotas;
use crate::waiting;
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

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")?;
        check::count(self.more_order_ids.len() + 1, shipment::ORDERS, "more_order_ids")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.shipment_id);
        keys.record(&self.warehouse_id);
        let warehouse = Uuid::from_slice(&self.warehouse_id).ok();
        for order in named(self) {
            keys.record(order);
            // One that can't ask for more yet must not keep the others from asking.
            let _ = order_keys(context, (order, warehouse), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let mut orders = Vec::new();
        for (index, id) in named(self).enumerate() {
            let (id, order) = workspace.live::<Order>(id)?;
            if orders.iter().any(|(known, _)| *known == id) {
                let again = Rejection::new(Reason::RepeatedId).field("more_order_ids");
                return Err(check::at("more_order_ids", index - 1)(again).into());
            }
            orders.push((id, order));
        }
        let (_, first) = orders.first().ok_or_else(|| check::missing("order_id"))?;
        let place = field::place(workspace, &first.outlet_id)?;
        let (id, current) = field::existing::<Shipment>(workspace, &self.shipment_id)?;
        if !self.warehouse_id.is_empty() {
            workspace.live::<Warehouse>(&self.warehouse_id)?;
        }
        let before: Vec<(Uuid, &Order)> = orders.iter().map(|(id, order)| (*id, order)).collect();
        let prepared = shipment::decide_prepare(current.as_ref(), &before, self)?;
        if current.is_none() {
            let shipment = Shipment { prepared_at_us: context.now_us, ..prepared.shipment.clone() };
            workspace.put(id, &shipment, &place.open())?;
            workspace.announce("shipment.prepared", id);
            field::hang(context, workspace, &place, id)?;
            for ((id, before), (_, mut after)) in before.into_iter().zip(prepared.orders) {
                move_reservation(workspace, before, &mut after)?;
                requests::overtake(context, workspace, &place, &mut after, Some(prepared.shipment.state()))?;
                ordering::put_order(context, workspace, &place, (id, Some(before), &after))?;
            }
            shipping::put_picking(workspace, &prepared.shipment, 1)?;
        }
        place.outcome(context, workspace, prepared.verdict)
    }
}

/// The orders whose goods go, in the command's order.
fn named(command: &PrepareShipment) -> impl Iterator<Item = &Vec<u8>> {
    std::iter::once(&command.order_id).chain(&command.more_order_ids)
}

/// Asks for what follows an order that is prepared, in another warehouse perhaps.
fn order_keys(
    context: &Context<'_>,
    (order, to): (&[u8], Option<Uuid>),
    workspace: &Workspace,
    keys: &mut Keys,
) -> Result<(), Stop> {
    let (_, order) = workspace.live::<Order>(order)?;
    keys.record(&order.change_request_id);
    field::keys(context, &order.outlet_id, workspace, keys);
    field::hang_keys(context, &order.outlet_id, workspace, keys);
    let from = optional_id(&order.warehouse_id)?;
    if to.is_some() && to != from {
        quotas::keys(&order, keys);
        waiting::keys(&order, keys);
        ordering::waiting_keys(ordering::given_back(&order), workspace, keys);
    }
    for warehouse in BTreeSet::from([from, to]).into_iter().flatten() {
        ordering::stock_keys(warehouse, shipping::products_of(&order).into_iter(), workspace, keys);
    }
    Ok(())
}

/// What was set aside in the order's warehouse is set aside in the one from which it is shipped, as far as anybody knows
/// what that one has.
fn move_reservation(workspace: &mut Workspace, before: &Order, after: &mut Order) -> Result<(), Stop> {
    let (from, to) = (optional_id(&before.warehouse_id)?, optional_id(&after.warehouse_id)?);
    if from == to {
        return Ok(());
    }
    // Nothing is taken any more of the shares there.
    after.lines.iter_mut().for_each(|line| line.quota = None);
    for product in shipping::products_of(before) {
        let own = reserved_by(before, product);
        if let Some(from) = from
            && let Some(there) = workspace.internal::<Available>(&(from, product))?.if_known()
        {
            ordering::put_available(workspace, (from, product), &there.reserving(own, 0))?;
        }
        if let Some(to) = to
            && let Some(here) = workspace.internal::<Available>(&(to, product))?.if_known()
        {
            ordering::put_available(workspace, (to, product), &here.reserving(0, own))?;
        } else {
            let lines = after.lines.iter_mut().filter(|line| line.product_id == product.as_bytes());
            lines.for_each(|line| line.reserved_milli = 0);
        }
    }
    Ok(())
}
