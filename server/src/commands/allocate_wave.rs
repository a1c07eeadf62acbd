//! Goes on with a wave: its next orders are put into shipments.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{
    AllocateWave, Kind, Order, OrderStatus, PassedOrder, PrepareShipment, Reason, Shipment, Wave, WaveState,
};
use roundsman_sync::trade::order::fulfil;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::{shipment, wave};
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, ordering, requests, restamp_records, shipping};
use crate::internal::{Restampings, server_id};
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

/// So many orders are looked at in one command: others wait for as long as that takes.
const ORDERS: usize = 50;

impl Decide for AllocateWave {
    fn name(&self) -> &'static str {
        "AllocateWave"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.wave_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.wave_id);
        keys.internal::<Restampings>(&());
        let (id, wave) = workspace.live::<Wave>(&self.wave_id)?;
        for order in next(&wave) {
            keys.id(order);
            keys.id(shipment_id(id, order));
            // One that can't ask for more yet must not keep the others from asking.
            let _ = order_keys(context, order, workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, mut wave) = workspace.live::<Wave>(&self.wave_id)?;
        if wave.state() == WaveState::Allocated {
            return Ok(applied_because(Reason::NothingToDo));
        }
        for order in next(&wave).collect::<Vec<_>>() {
            if let Err(reason) = allocate(context, workspace, (id, &mut wave), order)? {
                let order_id = order.as_bytes().to_vec();
                wave.passed_orders.push(PassedOrder { order_id, reason: reason.into() });
            }
            wave.done_orders = wave.done_orders.saturating_add(1);
        }
        let left = next(&wave).next();
        if left.is_none() {
            wave.set_state(WaveState::Allocated);
            wave.allocated_at_us = context.now_us;
            workspace.announce("wave.allocated", id);
        }
        workspace.put(id, &wave, &Stamps::default())?;
        let since_us = wave.started_at_us;
        restamp_records::note(workspace, (Kind::Wave, id), left.map(|next| next.as_bytes().to_vec()), since_us)?;
        Ok(applied())
    }
}

/// The orders that are looked at next.
fn next(wave: &Wave) -> impl Iterator<Item = Uuid> {
    let done = usize::try_from(wave.done_orders).unwrap_or(usize::MAX);
    wave.order_ids.iter().skip(done).take(ORDERS).filter_map(|id| Uuid::from_slice(id).ok())
}

/// The id of an order's shipment in a wave: nobody else can make a record of this id before.
#[must_use]
pub fn shipment_id(wave: Uuid, order: Uuid) -> Uuid {
    server_id(format_args!("shipment{{wave:{wave} order:{order}}}"))
}

fn order_keys(context: &Context<'_>, id: Uuid, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    let (_, order) = workspace.live::<Order>(id.as_bytes())?;
    field::keys(context, &order.outlet_id, workspace, keys);
    field::hang_keys(context, &order.outlet_id, workspace, keys);
    if let Some(warehouse) = optional_id(&order.warehouse_id)? {
        ordering::stock_keys(warehouse, shipping::products_of(&order).into_iter(), workspace, keys);
    }
    shipping::order_keys((id, &order), workspace, keys)
}

/// Puts what there is of an order into a shipment; or says why nothing goes.
fn allocate(
    context: &Context<'_>,
    workspace: &mut Workspace,
    (wave_id, wave): (Uuid, &mut Wave),
    id: Uuid,
) -> Result<Result<(), Reason>, Stop> {
    let Some(order) = workspace.find::<Order>(id)? else { return Ok(Err(Reason::NotFound)) };
    if let Err(reason) = may_go(&order, wave) {
        return Ok(Err(reason));
    }
    let warehouse = optional_id(&order.warehouse_id)?;
    let ordered = shipping::ordered(workspace, id)?;
    let (debtor, books) = shipping::books(workspace, &ordered, warehouse, shipping::products_of(&order))?;
    let mut pickable: BTreeMap<Uuid, i64> =
        known(&books.available).map(|(product, stock)| (*product, Available::pickable_milli(stock))).collect();
    let allotment = match wave::allot(&order, ordered.shortage_rule, &mut pickable) {
        Ok(allotment) => allotment,
        Err(reason) => return Ok(Err(reason)),
    };
    let place = field::place(workspace, &order.outlet_id)?;
    let mut after = order.clone();
    if let Err(refused) = shipment::has_room(&order) {
        // Nothing is written of it yet, and the others go on.
        return Ok(Err(refused.reason));
    }
    if !allotment.short.is_empty() {
        let (reduced, books) = fulfil::short(&ordered, &allotment.short, books, shipping::mover(context))?;
        shipping::put_books(workspace, (&debtor, warehouse), &books)?;
        after = reduced;
    }
    let mut passed = Err(Reason::StockAwaited);
    let mut prepared_to = None;
    if !allotment.lines.is_empty() {
        let shipment_id = shipment_id(wave_id, id);
        let (bytes, order_id) = (shipment_id.as_bytes().to_vec(), id.as_bytes().to_vec());
        let lines = allotment.lines;
        let command = PrepareShipment { shipment_id: bytes, order_id, lines, ..PrepareShipment::default() };
        let prepared = shipment::decide_prepare(None, &[(id, &after)], &command)?;
        let (wave_id, prepared_at_us) = (wave_id.as_bytes().to_vec(), context.now_us);
        let shipment = Shipment { wave_id, prepared_at_us, ..prepared.shipment };
        workspace.put_own(shipment_id, &shipment, &place.open())?;
        workspace.announce("shipment.prepared", shipment_id);
        field::hang(context, workspace, &place, shipment_id)?;
        shipping::put_picking(workspace, &shipment, 1)?;
        wave.lines = wave.lines.saturating_add(i32::try_from(shipment.lines.len()).unwrap_or(i32::MAX));
        after = prepared.orders.into_iter().next().map_or(after, |(_, order)| order);
        prepared_to = Some(shipment.state());
        passed = Ok(());
    }
    wave.short_lines = wave.short_lines.saturating_add(i32::try_from(allotment.short.len()).unwrap_or(i32::MAX));
    requests::overtake(context, workspace, &place, &mut after, prepared_to)?;
    ordering::put_order(context, workspace, &place, (id, Some(&order), &after))?;
    if !allotment.short.is_empty() {
        ordering::release_held(context, workspace, &debtor)?;
    }
    Ok(passed)
}

/// The figures of what somebody has counted.
fn known(figures: &BTreeMap<Uuid, Available>) -> impl Iterator<Item = (&Uuid, &Available)> {
    figures.iter().filter(|(_, stock)| stock.known)
}

/// Whether an order can go with a wave at all.
fn may_go(order: &Order, wave: &Wave) -> Result<(), Reason> {
    if order.status() != OrderStatus::Released {
        return Err(Reason::WrongState);
    }
    if order.warehouse_id != wave.warehouse_id {
        return Err(Reason::Mismatch);
    }
    if order.lines.iter().all(|line| fulfil::left_to_ship(line) == 0) {
        return Err(Reason::ShipmentExists);
    }
    Ok(())
}
