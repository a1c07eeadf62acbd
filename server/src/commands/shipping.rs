//! What the commands about shipments have in common: a shipment with its order, read; what follows when its goods move,
//! stored.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{Agreement, Order, PriceList, Reason, Reclamation, Shipment, ShipmentState};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::order::fulfil::{self, Books, Mover, Ordered};
use roundsman_sync::trade::reclamation::{Claims, deadline};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::shipment::{self, Decision, Goods};
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::Context;
use super::field::{self, Place};
use super::{ordering, requests};
use crate::budgets;
use crate::internal::{Debtor, debtor};
use crate::network::{optional_id, stored_id};
use crate::quotas;
use crate::waiting;
use crate::workspace::{Keys, Stop, Workspace};

/// A shipment whose goods move, with where it goes and what is stored beside it.
#[derive(Debug)]
pub struct Moving {
    /// The shipment's id.
    pub id: Uuid,
    /// Where it goes.
    pub place: Place,
    debtor: Debtor,
    warehouse: Option<Uuid>,
    before: Vec<(Uuid, Order)>,
}

/// Asks for what [`read`] and [`Moving::store`] need.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn keys(context: &Context<'_>, id: &[u8], workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(id);
    let (id, shipment) = workspace.live::<Shipment>(id)?;
    keys.internal::<Claims>(&id);
    field::keys(context, &shipment.outlet_id, workspace, keys);
    if let Ok(warehouse) = Uuid::from_slice(&shipment.warehouse_id) {
        ordering::stock_keys(warehouse, products(&shipment).into_iter(), workspace, keys);
    }
    for id in order_ids(&shipment) {
        keys.id(id);
        // One that can't ask for more yet must not keep the others from asking.
        if let Ok(Some(order)) = workspace.find::<Order>(id) {
            let _ = order_keys((id, &order), workspace, keys);
        }
    }
    Ok(())
}

/// Asks for what follows an order whose goods move.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn order_keys((id, order): (Uuid, &Order), workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(&order.change_request_id);
    budgets::keys(order, keys);
    quotas::keys(order, keys);
    waiting::keys(order, keys);
    ordering::waiting_keys(ordering::given_back(order), workspace, keys);
    price_keys(order, workspace, keys);
    if let Some(debtor) = debtor(order) {
        keys.internal::<Credit>(&debtor);
        let credit: Credit = workspace.internal(&debtor)?;
        // How much becomes free is not known yet: at most what the order was worth.
        ordering::held_keys(&credit.without_order(id, order), workspace, keys);
    }
    Ok(())
}

/// Asks for what [`ordered`] needs.
pub fn price_keys(order: &Order, workspace: &Workspace, keys: &mut Keys) {
    keys.record(&order.agreement_id);
    if let Ok(agreement) = Uuid::from_slice(&order.agreement_id)
        && let Ok(Some(agreement)) = workspace.find::<Agreement>(agreement)
    {
        keys.record(&agreement.price_list_id);
    }
}

/// The orders of a shipment, in the order of their ids.
#[must_use]
pub fn order_ids(shipment: &Shipment) -> BTreeSet<Uuid> {
    let of_lines = shipment.lines.iter().map(|line| fulfil::order_of(shipment, line));
    of_lines.chain([shipment.order_id.as_slice()]).filter_map(|id| Uuid::from_slice(id).ok()).collect()
}

/// The products of a shipment.
#[must_use]
pub fn products(shipment: &Shipment) -> BTreeSet<Uuid> {
    shipment.lines.iter().filter_map(|line| Uuid::from_slice(&line.product_id).ok()).collect()
}

/// The products of an order.
#[must_use]
pub fn products_of(order: &Order) -> BTreeSet<Uuid> {
    order.lines.iter().filter_map(|line| Uuid::from_slice(&line.product_id).ok()).collect()
}

/// Reads an order whose goods move, with what it is judged by.
///
/// # Errors
/// See [`Stop`].
pub fn ordered(workspace: &Workspace, id: Uuid) -> Result<Ordered, Stop> {
    let (_, order) = workspace.live::<Order>(id.as_bytes())?;
    let agreement: Option<Agreement> = workspace.find(stored_id(&order.agreement_id)?)?;
    let price_list: Option<PriceList> = match &agreement {
        Some(agreement) => workspace.find(stored_id(&agreement.price_list_id)?)?,
        None => None,
    };
    let (Some(agreement), Some(price_list)) = (agreement, price_list) else {
        return Err(Stop::Corrupt(format!("the order {id} has no price list")));
    };
    let shortage_rule = agreement.shortage_rule();
    Ok(Ordered { id, order, vat_included: price_list.vat_included, shortage_rule })
}

/// Reads the credit of an order's customer and the stock of these products in a warehouse.
///
/// # Errors
/// See [`Stop`].
pub fn books(
    workspace: &Workspace,
    ordered: &Ordered,
    warehouse: Option<Uuid>,
    products: BTreeSet<Uuid>,
) -> Result<(Debtor, Books), Stop> {
    let id = ordered.id;
    let debtor =
        debtor(&ordered.order).ok_or_else(|| Stop::Corrupt(format!("the customer of the order {id} can't be read")))?;
    let mut available = BTreeMap::new();
    for (warehouse, product) in
        warehouse.into_iter().flat_map(|warehouse| products.iter().map(move |of| (warehouse, *of)))
    {
        let found = workspace.find_internal::<Available>(&(warehouse, product))?;
        available.extend(found.map(|found| (product, found)));
    }
    let credit = workspace.internal(&debtor)?;
    Ok((debtor, Books { credit, available }))
}

/// Reads a shipment that a command names, with everything that follows its goods.
///
/// # Errors
/// See [`Stop`].
pub fn read(workspace: &Workspace, id: &[u8]) -> Result<(Moving, Goods), Stop> {
    let (id, shipment) = workspace.live::<Shipment>(id)?;
    let mut orders = Vec::new();
    for order in order_ids(&shipment) {
        orders.push(ordered(workspace, order)?);
    }
    let first = orders.first().ok_or_else(|| Stop::Corrupt(format!("the shipment {id} is of no order")))?;
    let place = field::place(workspace, &shipment.outlet_id)?;
    let warehouse = optional_id(&shipment.warehouse_id)?;
    let (debtor, books) = books(workspace, first, warehouse, products(&shipment))?;
    let before = orders.iter().map(|of| (of.id, of.order.clone())).collect();
    let goods = Goods { claims: workspace.internal(&id)?, shipment, orders, books };
    Ok((Moving { id, place, debtor, warehouse, before }, goods))
}

/// Who reports that goods move.
#[must_use]
pub fn mover(context: &Context<'_>) -> Mover {
    Mover { by: context.issuer.actor(), now_us: context.now_us }
}

/// Writes the credit of a customer and the stock in a warehouse; what has not changed is left alone.
///
/// # Errors
/// See [`Stop`].
pub fn put_books(
    workspace: &mut Workspace,
    (debtor, warehouse): (&Debtor, Option<Uuid>),
    books: &Books,
) -> Result<(), Stop> {
    workspace.put_internal(debtor, &books.credit)?;
    for (product, available) in warehouse.iter().flat_map(|_| &books.available) {
        let key = (warehouse.unwrap_or_default(), *product);
        if workspace.internal::<Available>(&key)? != *available {
            ordering::put_available(workspace, key, available)?;
        }
    }
    Ok(())
}

/// Notes that so much more of a shipment's lines is in shipments of its warehouse that have not left: what is in hand, or the same
/// less.
///
/// # Errors
/// See [`Stop`].
pub fn put_picking(workspace: &mut Workspace, shipment: &Shipment, sign: i64) -> Result<(), Stop> {
    let Some(warehouse) = optional_id(&shipment.warehouse_id)? else { return Ok(()) };
    for line in &shipment.lines {
        let key = (warehouse, stored_id(&line.product_id)?);
        let stock: Available = workspace.internal(&key)?;
        let more = fulfil::in_hand(shipment, line).saturating_mul(sign);
        ordering::put_available(workspace, key, &stock.picking(more))?;
    }
    Ok(())
}

impl Moving {
    /// Stores what was decided; held orders of the customer that now fit are released. A shipment is closed with its
    /// delivery, whatever came of it.
    ///
    /// # Errors
    /// See [`Stop`].
    pub fn store(&self, context: &Context<'_>, workspace: &mut Workspace, decision: Decision) -> Result<Verdict, Stop> {
        let Decision { goods, reclamation, verdict } = decision;
        let Goods { shipment, mut orders, books, claims } = goods;
        let stamps = if is_closed(&shipment) { self.place.closed(context) } else { self.place.open() };
        workspace.put(self.id, &shipment, &stamps)?;
        for ((id, before), after) in self.before.iter().zip(&mut orders) {
            requests::overtake(context, workspace, &self.place, &mut after.order, Some(shipment.state()))?;
            ordering::put_order(context, workspace, &self.place, (*id, Some(before), &after.order))?;
        }
        put_books(workspace, (&self.debtor, self.warehouse), &books)?;
        workspace.put_internal(&self.id, &claims)?;
        if let Some((id, mut reclamation)) = reclamation {
            if field::existing::<Reclamation>(workspace, id.as_bytes())?.1.is_some() {
                return Err(Rejection::new(Reason::IdTaken).field("reclamation_id").into());
            }
            let days = context.policy.claim_days;
            let due = self.place.due(reclamation.filed_at_us, days.decide);
            deadline::open(&mut reclamation, days, due);
            workspace.put(id, &reclamation, &self.place.open())?;
            field::hang(context, workspace, &self.place, id)?;
            workspace.announce("reclamation.registered", id);
        }
        ordering::release_held(context, workspace, &self.debtor)?;
        Ok(verdict)
    }
}

/// Takes an order that is called off out of the shipments that have not left. What was to bring nothing else is called off.
///
/// # Errors
/// See [`Stop`].
pub fn call_off(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (order_id, order): (Uuid, &Order),
) -> Result<(), Stop> {
    for id in shipments_of(order) {
        let Some(shipment) = workspace.find::<Shipment>(id)? else { continue };
        if !shipment::is_inside(&shipment) {
            continue;
        }
        if let Some(others) = shipment::without_order(&shipment, order_id) {
            workspace.put(id, &others, &place.open())?;
            continue;
        }
        workspace.put(id, &shipment::cancelled(&shipment), &place.closed(context))?;
        workspace.announce("shipment.cancelled", id);
    }
    Ok(())
}

/// All shipments of an order, in the order of their preparation.
pub fn shipments_of(order: &Order) -> impl Iterator<Item = Uuid> {
    let all = order.earlier_shipment_ids.iter().chain([&order.shipment_id]);
    all.filter_map(|id| Uuid::from_slice(id).ok())
}

fn is_closed(shipment: &Shipment) -> bool {
    !shipment::is_inside(shipment) && shipment.state() != ShipmentState::Shipped
}
