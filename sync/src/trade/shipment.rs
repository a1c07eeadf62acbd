//! Shipments: preparing, leaving the warehouse, arriving. What became of a delivery is a fact, however late it is told.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{
    CancelShipment, CheckShipment, DeliverShipment, DeliveredLine, DeliveryProof, LoadShipment, Order, OrderStatus,
    PickShipment, PrepareShipment, PreparedLine, Product, Reason, Reclamation, RefusalReason, ShipShipment, Shipment,
    ShipmentLine, ShipmentState, ShippedLine, ShortReason,
};
use uuid::Uuid;

use super::check;
use super::money::UNIT_MILLI;
use super::order::fulfil::{self, Books, Mover, Ordered};
use super::reclamation::{self, Claims};
use super::rejection::Rejection;
use super::verdict::Verdict;

/// A barcode is scanned at most so often.
const SCANNED: i64 = 1_000_000;

/// At most so many orders go with one shipment.
pub const ORDERS: usize = 50;

/// At most so many shipments are made of one order, those that were called off included.
const SHIPMENTS: usize = 100;

/// How much of a line comes, in thousandths of the base unit: what was loaded, or else what was picked, or else what was asked for.
#[must_use]
pub fn carried(shipment: &Shipment, line: &ShipmentLine) -> i64 {
    match shipment.state() {
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => line.ordered_milli,
        ShipmentState::Checking | ShipmentState::Checked => line.picked_milli,
        ShipmentState::Loaded | ShipmentState::Shipped | ShipmentState::Delivered => line.loaded_milli,
        ShipmentState::PartlyDelivered | ShipmentState::Refused | ShipmentState::NotAttempted => line.loaded_milli,
        ShipmentState::Cancelled => 0,
    }
}

/// What is to be stored of a shipment that was prepared or called off.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The shipment.
    pub shipment: Shipment,
    /// Its orders.
    pub orders: Vec<(Uuid, Order)>,
    /// The outcome.
    pub verdict: Verdict,
}

/// A shipment with all that follows its goods.
#[derive(Clone, Debug)]
pub struct Goods {
    /// The shipment.
    pub shipment: Shipment,
    /// Its orders, in the order of their ids.
    pub orders: Vec<Ordered>,
    /// The credit of their customer, and the stock of the products.
    pub books: Books,
    /// What is claimed of the shipment.
    pub claims: Claims,
}

/// What is to be stored of a shipment that left or arrived.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The shipment and what follows it, as they are now.
    pub goods: Goods,
    /// The reclamation that a short delivery opens, under its id.
    pub reclamation: Option<(Uuid, Reclamation)>,
    /// The outcome.
    pub verdict: Verdict,
}

/// A shipment of released orders is made. `current` is the shipment of this id, if there is one; `orders` are those that the
/// command names, in its order.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_SHIPMENT_EXISTS`, `REASON_ID_TAKEN`, `REASON_MISMATCH`, `REASON_REPEATED_ID`,
/// `REASON_OUT_OF_RANGE`.
pub fn decide_prepare(
    current: Option<&Shipment>,
    orders: &[(Uuid, &Order)],
    command: &PrepareShipment,
) -> Result<Prepared, Rejection> {
    let id = check::id(&command.shipment_id, "shipment_id")?;
    let warehouse = check::optional_id(&command.warehouse_id, "warehouse_id")?;
    let (_, first) = orders.first().ok_or_else(|| check::missing("order_id"))?;
    let warehouse_id = warehouse.map_or_else(|| first.warehouse_id.clone(), |id| id.as_bytes().to_vec());
    if let Some(current) = current {
        return if current.warehouse_id == warehouse_id && names(command, current) {
            let orders = orders.iter().map(|(id, order)| (*id, (*order).clone())).collect();
            Ok(Prepared { shipment: current.clone(), orders, verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("shipment_id"))
        };
    }
    for (order_id, order) in orders {
        goes_with(*order_id, order, first, &warehouse_id)?;
    }
    let shipment = Shipment {
        order_id: command.order_id.clone(),
        outlet_id: first.outlet_id.clone(),
        warehouse_id,
        state: ShipmentState::Prepared.into(),
        lines: asked(orders, command)?,
        ..Shipment::default()
    };
    let prepared =
        |(order_id, order): &(Uuid, &Order)| (*order_id, fulfil::prepared(order, *order_id, (id, &shipment)));
    let orders = orders.iter().map(prepared).collect();
    Ok(Prepared { shipment, orders, verdict: Verdict::done() })
}

/// Whether a command asks for what a shipment was made of.
fn names(command: &PrepareShipment, shipment: &Shipment) -> bool {
    let asked: BTreeSet<&[u8]> =
        [&command.order_id].into_iter().chain(&command.more_order_ids).map(Vec::as_slice).collect();
    let of = |line: &ShipmentLine| fulfil::order_of(shipment, line).to_vec();
    let made: BTreeSet<Vec<u8>> = shipment.lines.iter().map(of).collect();
    let is_there = |line: &PreparedLine| {
        let lines = shipment.lines.iter().filter(|made| made.line_id == line.line_id);
        lines.map(|made| made.ordered_milli).eq([line.quantity_milli])
    };
    asked.into_iter().eq(made.iter().map(Vec::as_slice))
        && command.lines.iter().all(is_there)
        && (command.lines.is_empty() || command.lines.len() == shipment.lines.len())
}

/// Whether an order can be in a shipment of this warehouse together with the first one.
fn goes_with(id: Uuid, order: &Order, first: &Order, warehouse_id: &[u8]) -> Result<(), Rejection> {
    if order.status() != OrderStatus::Released {
        let status = order.status().as_str_name();
        return Err(Rejection::new(Reason::WrongState).fact(Some(id), "status", status));
    }
    let whose = |order: &Order| (order.outlet_id.clone(), order.customer_id.clone(), order.currency.clone());
    if whose(order) != whose(first) {
        return Err(check::mismatch("more_order_ids").about(id));
    }
    let is_begun = order.lines.iter().any(|line| line.assigned_milli > 0);
    if is_begun && order.warehouse_id != warehouse_id {
        return Err(check::mismatch("warehouse_id").about(id));
    }
    has_room(order)?;
    if order.lines.iter().all(|line| fulfil::left_to_ship(line) == 0) {
        let last = Uuid::from_slice(&order.shipment_id).ok();
        let rejection = Rejection::new(Reason::ShipmentExists).about(id);
        return Err(last.into_iter().fold(rejection, |found, last| found.fact(Some(last), "shipment_id", last)));
    }
    Ok(())
}

/// Whether one more shipment can be made of an order.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`.
pub fn has_room(order: &Order) -> Result<(), Rejection> {
    let made = order.earlier_shipment_ids.len() + usize::from(!order.shipment_id.is_empty());
    check::count(made + 1, SHIPMENTS, "order_id")
}

/// What a command wants of lines, by order and line, with its place in the command.
type Parts<'a> = BTreeMap<(&'a [u8], &'a [u8]), (usize, i64)>;

fn parts(command: &PrepareShipment) -> Result<Parts<'_>, Rejection> {
    let mut parts = Parts::new();
    for (index, line) in command.lines.iter().enumerate() {
        let order_id = if line.order_id.is_empty() { &command.order_id } else { &line.order_id };
        if parts.insert((order_id, &line.line_id), (index, line.quantity_milli)).is_some() {
            return Err(check::at("lines", index)(Rejection::new(Reason::RepeatedId).field("line_id")));
        }
    }
    Ok(parts)
}

/// What the warehouse is asked for.
fn asked(orders: &[(Uuid, &Order)], command: &PrepareShipment) -> Result<Vec<ShipmentLine>, Rejection> {
    let mut named = parts(command)?;
    let mut lines: Vec<ShipmentLine> = Vec::new();
    for (order_id, order) in orders {
        for line in &order.lines {
            let quantity_milli = match named.remove(&(order_id.as_bytes().as_slice(), line.line_id.as_slice())) {
                Some((index, quantity_milli)) => {
                    let most = fulfil::can_be_shipped(line);
                    check::range(quantity_milli, 1..=most, "quantity_milli").map_err(check::at("lines", index))?;
                    quantity_milli
                }
                None if command.lines.is_empty() => fulfil::can_be_shipped(line),
                None => 0,
            };
            if quantity_milli == 0 {
                continue;
            }
            // Those who pick, drive and claim name lines by their ids alone.
            if lines.iter().any(|known| known.line_id == line.line_id) {
                return Err(Rejection::new(Reason::RepeatedId).field("more_order_ids").about(*order_id));
            }
            lines.push(ShipmentLine {
                line_id: line.line_id.clone(),
                product_id: line.product_id.clone(),
                ordered_milli: quantity_milli,
                order_id: order_id.as_bytes().to_vec(),
                ..ShipmentLine::default()
            });
        }
    }
    if let Some((index, _)) = named.into_values().next() {
        return Err(check::at("lines", index)(check::mismatch("line_id")));
    }
    check::count(lines.len(), check::LINES, "more_order_ids")?;
    if lines.is_empty() {
        return Err(Rejection::new(Reason::StockAwaited));
    }
    Ok(lines)
}

/// A shipment is called off before it leaves.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn decide_cancel(
    current: &Shipment,
    orders: &[(Uuid, &Order)],
    command: &CancelShipment,
) -> Result<Prepared, Rejection> {
    check::required_text(&command.reason, check::TEXT_CHARS, "reason")?;
    if !is_inside(current) {
        return Err(wrong(current));
    }
    let mut shipment = cancelled(current);
    shipment.comment.clone_from(&command.reason);
    let left = |(id, order): &(Uuid, &Order)| (*id, fulfil::called_off(order, *id, current));
    Ok(Prepared { shipment, orders: orders.iter().map(left).collect(), verdict: Verdict::done() })
}

/// A shipment without the lines of an order; `None`: it has no others.
#[must_use]
pub fn without_order(shipment: &Shipment, order_id: Uuid) -> Option<Shipment> {
    let is_of_others = |line: &&ShipmentLine| fulfil::order_of(shipment, line) != order_id.as_bytes();
    let lines: Vec<ShipmentLine> = shipment.lines.iter().filter(is_of_others).cloned().collect();
    let order_id = fulfil::order_of(shipment, lines.first()?).to_vec();
    Some(Shipment { order_id, lines, ..shipment.clone() })
}

/// Whether the goods are still in the warehouse.
#[must_use]
pub fn is_inside(shipment: &Shipment) -> bool {
    match shipment.state() {
        ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking => true,
        ShipmentState::Checked | ShipmentState::Loaded => true,
        ShipmentState::Unspecified | ShipmentState::Shipped | ShipmentState::Delivered => false,
        ShipmentState::PartlyDelivered | ShipmentState::Refused | ShipmentState::NotAttempted => false,
        ShipmentState::Cancelled => false,
    }
}

/// Goods of a shipment are picked.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_MISMATCH`.
pub fn decide_pick(goods: Goods, command: &PickShipment, mover: Mover) -> Result<Decision, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    match goods.shipment.state() {
        ShipmentState::Prepared | ShipmentState::Picking => {}
        ShipmentState::Checking if command.finished => {}
        ShipmentState::Unspecified | ShipmentState::Checking | ShipmentState::Checked => {
            return Err(wrong(&goods.shipment));
        }
        ShipmentState::Loaded | ShipmentState::Shipped | ShipmentState::Delivered => {
            return Err(wrong(&goods.shipment));
        }
        ShipmentState::PartlyDelivered | ShipmentState::Refused => return Err(wrong(&goods.shipment)),
        ShipmentState::NotAttempted | ShipmentState::Cancelled => return Err(wrong(&goods.shipment)),
    }
    let goods = if command.finished {
        picked(goods, &command.lines, &command.comment, mover)?
    } else {
        let mut shipment = goods.shipment;
        shipment.set_state(ShipmentState::Picking);
        let named = by_line(&shipment, command.lines.iter().map(|line| (line.line_id.as_slice(), line)))?;
        for line in &mut shipment.lines {
            if let Some((index, so_far)) = named.get(&line.line_id) {
                note(line, so_far, &command.comment).map_err(check::at("lines", *index))?;
            }
        }
        Goods { shipment, ..goods }
    };
    let mut goods = goods;
    goods.shipment.comment.clone_from(&command.comment);
    Ok(Decision { goods, reclamation: None, verdict: Verdict::done() })
}

/// So much of a line is picked so far.
fn note(line: &mut ShipmentLine, so_far: &ShippedLine, comment: &str) -> Result<(), Rejection> {
    check::range(so_far.picked_milli, 0..=line.ordered_milli.max(0), "picked_milli")?;
    let reason: ShortReason = check::optional_choice(so_far.short_reason, "short_reason")?;
    match reason {
        ShortReason::Other if comment.trim().is_empty() => return Err(check::missing("comment")),
        ShortReason::Unspecified => {}
        _ if so_far.picked_milli == line.ordered_milli => return Err(check::out_of_range("short_reason")),
        ShortReason::NotFound | ShortReason::Damaged | ShortReason::Expired => {}
        ShortReason::NoRoom | ShortReason::Other => {}
    }
    line.picked_milli = so_far.picked_milli;
    line.set_short_reason(reason);
    Ok(())
}

/// Everything is picked that will be; what was not leaves the orders. Lines that nobody has ever named were picked in full.
fn picked(goods: Goods, lines: &[ShippedLine], comment: &str, mover: Mover) -> Result<Goods, Rejection> {
    let Goods { shipment: was, orders, books, claims } = goods;
    let named = by_line(&was, lines.iter().map(|line| (line.line_id.as_slice(), line)))?;
    let mut now = was.clone();
    for line in &mut now.lines {
        let most = fulfil::in_hand(&was, line);
        match named.get(&line.line_id) {
            Some((index, told)) => pick(line, told, most, comment).map_err(check::at("lines", *index))?,
            None if line.picked_milli == 0 && line.short_reason() == ShortReason::Unspecified => {
                line.picked_milli = most
            }
            None if line.picked_milli < line.ordered_milli && line.short_reason() == ShortReason::Unspecified => {
                let line_id = Uuid::from_slice(&line.line_id).unwrap_or_default();
                return Err(check::missing("short_reason").about(line_id));
            }
            None => {}
        }
    }
    now.set_state(ShipmentState::Checking);
    let (orders, books) = each(orders, books, |order, books| fulfil::picked(order, (&was, &now), books, mover))?;
    Ok(Goods { shipment: now, orders, books, claims })
}

/// What was picked is counted, by barcode.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_UNKNOWN_BARCODE`; `REASON_COUNT_DIFFERS` with what was picked and counted.
pub fn decide_check(
    current: &Shipment,
    products: &BTreeMap<Uuid, Product>,
    command: &CheckShipment,
) -> Result<Shipment, Rejection> {
    if command.scans.is_empty() {
        return Err(check::missing("scans"));
    }
    if current.state() != ShipmentState::Checking {
        return Err(wrong(current));
    }
    let mut counted: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (index, scan) in command.scans.iter().enumerate() {
        let at = check::at("scans", index);
        check::range(scan.count, 1..=SCANNED, "count").map_err(&at)?;
        let found = products.iter().find_map(|(id, product)| Some((*id, unit_of(product, &scan.barcode)?)));
        let unknown =
            || at(Rejection::new(Reason::UnknownBarcode).field("barcode").fact(None, "barcode", &scan.barcode));
        let (product, unit_milli) = found.ok_or_else(unknown)?;
        let sum = counted.entry(product).or_default();
        *sum = sum.saturating_add(unit_milli.saturating_mul(scan.count));
    }
    let mut picked: BTreeMap<Uuid, i64> = counted.keys().map(|product| (*product, 0)).collect();
    for line in &current.lines {
        *picked.entry(Uuid::from_slice(&line.product_id).unwrap_or_default()).or_default() += line.picked_milli;
    }
    let differs = |product: &Uuid, picked: i64| counted.get(product).copied().unwrap_or_default() != picked;
    let wrong: Vec<(Uuid, i64)> = picked.into_iter().filter(|(product, picked)| differs(product, *picked)).collect();
    if !wrong.is_empty() {
        let rejection = Rejection::new(Reason::CountDiffers);
        return Err(wrong.into_iter().fold(rejection, |rejection, (product, picked)| {
            let counted = counted.get(&product).copied().unwrap_or_default();
            rejection.fact(Some(product), "picked_milli", picked).fact(Some(product), "counted_milli", counted)
        }));
    }
    let mut checked = current.clone();
    checked.set_state(ShipmentState::Checked);
    Ok(checked)
}

/// How much of a product carries this barcode; `None`: it is another product's.
fn unit_of(product: &Product, barcode: &str) -> Option<i64> {
    let is_it = |known: &String| known == barcode;
    if product.barcodes.iter().any(is_it) {
        return Some(UNIT_MILLI);
    }
    let packaging = product.packagings.iter().find(|packaging| packaging.barcodes.iter().any(is_it));
    packaging.map(|packaging| packaging.coefficient_milli)
}

/// A shipment is put on the vehicle of its trip. Lines that the command does not name were picked in full, or as was reported.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_NO_TRIP`, `REASON_MISMATCH`.
pub fn decide_load(goods: Goods, command: &LoadShipment, mover: Mover) -> Result<Decision, Rejection> {
    if !is_inside(&goods.shipment) || goods.shipment.state() == ShipmentState::Loaded {
        return Err(wrong(&goods.shipment));
    }
    if goods.shipment.trip_id.is_empty() {
        return Err(Rejection::new(Reason::NoTrip));
    }
    let goods = loaded(goods, &command.lines, &command.comment, mover)?;
    Ok(Decision { goods, reclamation: None, verdict: Verdict::done() })
}

fn loaded(goods: Goods, lines: &[ShippedLine], comment: &str, mover: Mover) -> Result<Goods, Rejection> {
    check::text(comment, check::TEXT_CHARS, "comment")?;
    let mut goods = picked(goods, lines, comment, mover)?;
    for line in &mut goods.shipment.lines {
        line.loaded_milli = line.picked_milli;
    }
    goods.shipment.set_state(ShipmentState::Loaded);
    goods.shipment.comment = comment.to_owned();
    Ok(goods)
}

/// Goods have left the warehouse by themselves, at `at_us`. Lines that the command does not name were picked in full, or as was
/// reported.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_GOES_WITH_TRIP`, `REASON_MISMATCH`.
pub fn decide_ship(goods: Goods, command: &ShipShipment, at_us: i64, mover: Mover) -> Result<Decision, Rejection> {
    if !is_inside(&goods.shipment) {
        return Err(wrong(&goods.shipment));
    }
    if let Ok(trip) = Uuid::from_slice(&goods.shipment.trip_id) {
        return Err(Rejection::new(Reason::GoesWithTrip).fact(Some(trip), "trip_id", trip));
    }
    leave(loaded(goods, &command.lines, &command.comment, mover)?, at_us, mover)
}

/// What is loaded leaves the warehouse, at `at_us`.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn leave(goods: Goods, at_us: i64, mover: Mover) -> Result<Decision, Rejection> {
    let Goods { mut shipment, orders, books, claims } = goods;
    let (orders, books) = each(orders, books, |order, books| fulfil::shipped(order, &shipment, books, mover))?;
    shipment.set_state(ShipmentState::Shipped);
    shipment.shipped_at_us = at_us;
    let goods = Goods { shipment, orders, books, claims };
    Ok(Decision { goods, reclamation: None, verdict: Verdict::done() })
}

/// A shipment goes with no trip any more. What was on the vehicle is to be loaded again.
#[must_use]
pub fn taken_off(shipment: &Shipment) -> Shipment {
    let mut off = Shipment { trip_id: Vec::new(), ..shipment.clone() };
    if off.state() == ShipmentState::Loaded {
        off.lines.iter_mut().for_each(|line| line.loaded_milli = 0);
        off.set_state(ShipmentState::Checked);
    }
    off
}

/// A shipment is called off, with whatever it goes.
#[must_use]
pub fn cancelled(shipment: &Shipment) -> Shipment {
    let mut off = taken_off(shipment);
    off.set_state(ShipmentState::Cancelled);
    off
}

/// Lets a rule follow the goods of each order, one after the other.
fn each(
    mut orders: Vec<Ordered>,
    mut books: Books,
    rule: impl Fn(&Ordered, Books) -> Result<(Order, Books), Rejection>,
) -> Result<(Vec<Ordered>, Books), Rejection> {
    for ordered in &mut orders {
        (ordered.order, books) = rule(ordered, books)?;
    }
    Ok((orders, books))
}

/// So much of a line was picked, at most `most_milli`.
fn pick(line: &mut ShipmentLine, told: &ShippedLine, most_milli: i64, comment: &str) -> Result<(), Rejection> {
    check::range(told.picked_milli, 0..=most_milli.max(0), "picked_milli")?;
    let reason: ShortReason = check::optional_choice(told.short_reason, "short_reason")?;
    match (told.picked_milli < line.ordered_milli, reason) {
        (true, ShortReason::Unspecified) => return Err(check::missing("short_reason")),
        (true, ShortReason::Other) if comment.trim().is_empty() => return Err(check::missing("comment")),
        (true, _) | (false, ShortReason::Unspecified) => {}
        (false, _) => return Err(check::out_of_range("short_reason")),
    }
    line.picked_milli = told.picked_milli;
    line.set_short_reason(reason);
    Ok(())
}

/// Goods have arrived, or not, at `at_us` (C23). Lines that the command does not name were delivered in full. Where less
/// was delivered than loaded, though delivery was attempted, a reclamation is opened.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_MISMATCH`.
pub fn decide_deliver(
    goods: Goods,
    command: &DeliverShipment,
    at_us: i64,
    mover: Mover,
) -> Result<Decision, Rejection> {
    let id = check::id(&command.shipment_id, "shipment_id")?;
    deliver_form(command)?;
    let Goods { mut shipment, orders, books, claims } = goods;
    if shipment.state() != ShipmentState::Shipped {
        return Err(wrong(&shipment));
    }
    let named = by_line(&shipment, command.lines.iter().map(|line| (line.line_id.as_slice(), line)))?;
    for line in &mut shipment.lines {
        line.delivered_milli = if command.not_attempted { 0 } else { line.loaded_milli };
        if let Some((index, arrived)) = named.get(&line.line_id) {
            arrive(line, arrived, &command.comment).map_err(check::at("lines", *index))?;
        }
    }
    shipment.set_state(arrival(&shipment, command.not_attempted));
    shipment.delivered_at_us = at_us;
    shipment.proof.clone_from(&command.proof);
    if !command.comment.is_empty() {
        shipment.comment.clone_from(&command.comment);
    }
    let attempted = !command.not_attempted;
    let (orders, books) =
        each(orders, books, |order, books| fulfil::delivered(order, &shipment, attempted, books, mover))?;
    let short = reclamation::for_short_delivery(id, &shipment, &orders, &claims, at_us).filter(|_| attempted);
    let mut goods = Goods { shipment, orders, books, claims };
    let Some(opened) = short else {
        return Ok(Decision { goods, reclamation: None, verdict: Verdict::done() });
    };
    let reclamation_id = check::id(&command.reclamation_id, "reclamation_id")?;
    goods.shipment.reclamation_id.clone_from(&command.reclamation_id);
    goods.claims = goods.claims.with(reclamation_id, &opened.lines);
    let verdict = Verdict::done().fact(Some(reclamation_id), "reclamation_id", reclamation_id);
    Ok(Decision { goods, reclamation: Some((reclamation_id, opened)), verdict })
}

fn deliver_form(command: &DeliverShipment) -> Result<(), Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    check::optional_id(&command.reclamation_id, "reclamation_id")?;
    if command.not_attempted && !command.lines.is_empty() {
        return Err(check::out_of_range("lines"));
    }
    if command.not_attempted && command.proof.is_some() {
        return Err(check::out_of_range("proof"));
    }
    command.proof.as_ref().map_or(Ok(()), proof_form)
}

fn proof_form(proof: &DeliveryProof) -> Result<(), Rejection> {
    check::text(&proof.received_by, check::NAME_CHARS, "received_by")?;
    check::optional_id(&proof.signature_media_id, "signature_media_id")?;
    check::count(proof.photo_media_ids.len(), check::ENTRIES, "photo_media_ids")?;
    for photo in &proof.photo_media_ids {
        check::id(photo, "photo_media_ids")?;
    }
    check::point(proof.point.as_ref(), "point")
}

fn arrive(line: &mut ShipmentLine, arrived: &DeliveredLine, comment: &str) -> Result<(), Rejection> {
    let loaded = line.loaded_milli.max(0);
    check::range(arrived.delivered_milli, 0..=loaded, "delivered_milli")?;
    check::range(arrived.refused_milli, 0..=loaded.saturating_sub(arrived.delivered_milli), "refused_milli")?;
    let reason: RefusalReason = check::optional_choice(arrived.refusal_reason, "refusal_reason")?;
    match (arrived.refused_milli > 0, reason) {
        (true, RefusalReason::Unspecified) => return Err(check::missing("refusal_reason")),
        (true, RefusalReason::Other) if comment.trim().is_empty() => return Err(check::missing("comment")),
        (true, _) | (false, RefusalReason::Unspecified) => {}
        (false, _) => return Err(check::out_of_range("refusal_reason")),
    }
    line.delivered_milli = arrived.delivered_milli;
    line.refused_milli = arrived.refused_milli;
    line.set_refusal_reason(reason);
    Ok(())
}

fn arrival(shipment: &Shipment, not_attempted: bool) -> ShipmentState {
    if not_attempted {
        return ShipmentState::NotAttempted;
    }
    let all = shipment.lines.iter().all(|line| line.delivered_milli >= line.loaded_milli);
    let some = shipment.lines.iter().any(|line| line.delivered_milli > 0);
    match (all, some) {
        (true, _) => ShipmentState::Delivered,
        (false, true) => ShipmentState::PartlyDelivered,
        (false, false) => ShipmentState::Refused,
    }
}

/// What a command says of a shipment's lines, by their ids, with its place in the command.
fn by_line<'a, T>(
    shipment: &Shipment,
    lines: impl Iterator<Item = (&'a [u8], T)>,
) -> Result<BTreeMap<Vec<u8>, (usize, T)>, Rejection> {
    let mut named = BTreeMap::new();
    for (index, (line_id, line)) in lines.enumerate() {
        check::id(line_id, "line_id").map_err(check::at("lines", index))?;
        if !shipment.lines.iter().any(|line| line.line_id == line_id) {
            return Err(check::at("lines", index)(check::mismatch("line_id")));
        }
        if named.insert(line_id.to_vec(), (index, line)).is_some() {
            return Err(check::at("lines", index)(Rejection::new(Reason::RepeatedId).field("line_id")));
        }
    }
    Ok(named)
}

fn wrong(shipment: &Shipment) -> Rejection {
    Rejection::new(Reason::WrongState).fact(None, "state", shipment.state().as_str_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::credit::{Account, Credit};
    use crate::trade::stock::{Available, reserved_by};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use roundsman_proto::trade::{CloseOrder, Fulfilment, LineDifference, OrderLine, PreparedLine, ShortageRule};

    const ORDER: Uuid = Uuid::from_u128(1);
    const SHIPMENT: Uuid = Uuid::from_u128(2);

    fn id(number: u8) -> Vec<u8> {
        vec![number; 16]
    }

    fn order() -> Order {
        let line = |number, confirmed_milli| OrderLine {
            line_id: id(number),
            product_id: id(20),
            ordered_milli: 3_000,
            confirmed_milli,
            price_minor: 100,
            amount_minor: confirmed_milli / 10,
            ..OrderLine::default()
        };
        let lines = vec![line(1, 3_000), line(2, 2_000), line(3, 0)];
        let (outlet_id, customer_id, warehouse_id) = (id(9), id(8), id(7));
        let mut order = Order { lines, outlet_id, customer_id, warehouse_id, value_minor: 500, ..Order::default() };
        order.set_status(OrderStatus::Released);
        order
    }

    fn prepare() -> PrepareShipment {
        PrepareShipment {
            shipment_id: SHIPMENT.as_bytes().to_vec(),
            order_id: ORDER.as_bytes().to_vec(),
            ..PrepareShipment::default()
        }
    }

    /// A shipment with all that it takes, of an order whose agreement wants this.
    fn goods_of(order: &Order, command: &PrepareShipment, shortage_rule: ShortageRule) -> Goods {
        let prepared = decide_prepare(None, &[(ORDER, order)], command).expect("prepared");
        let (id, order) = prepared.orders.into_iter().next().expect("one order");
        let all = Account { orders_minor: order.value_minor, ..Account::default() };
        let books = Books { credit: Credit { all, ..Credit::default() }, available: stocks(&order) };
        let orders = vec![Ordered { id, order, vat_included: true, shortage_rule }];
        Goods { shipment: prepared.shipment, orders, books, claims: Claims::default() }
    }

    fn goods() -> Goods {
        goods_of(&order(), &prepare(), ShortageRule::ConfirmPart)
    }

    /// There is as much as the order has set aside, and 10 more.
    fn stocks(order: &Order) -> BTreeMap<Uuid, Available> {
        let product = Uuid::from_slice(&id(20)).expect("an id");
        let reserved = reserved_by(order, product);
        [(product, Available::default().counted(reserved + 10_000).reserving(0, reserved))].into()
    }

    const MOVER: Mover = Mover { by: Uuid::nil(), now_us: 50 };

    fn picked(lines: &[(u8, i64, ShortReason)]) -> ShipShipment {
        let lines = lines.iter().map(|(number, picked_milli, reason)| ShippedLine {
            line_id: id(*number),
            picked_milli: *picked_milli,
            short_reason: (*reason).into(),
        });
        ShipShipment { shipment_id: SHIPMENT.as_bytes().to_vec(), lines: lines.collect(), comment: String::new() }
    }

    fn ship(lines: &[(u8, i64, ShortReason)]) -> Result<Decision, Rejection> {
        decide_ship(goods(), &picked(lines), 5, MOVER)
    }

    fn deliver(shipped: &Decision, command: &DeliverShipment) -> Result<Decision, Rejection> {
        decide_deliver(shipped.goods.clone(), command, 9, MOVER)
    }

    fn the_order(decision: &Decision) -> &Order {
        &decision.goods.orders[0].order
    }

    fn stock(decision: &Decision) -> (i64, i64) {
        let stock = decision.goods.books.available.values().next().expect("of the product");
        (stock.on_hand_milli, stock.reserved_milli)
    }

    fn arrived(lines: &[(u8, i64, i64, RefusalReason)]) -> DeliverShipment {
        let lines = lines.iter().map(|(number, delivered_milli, refused_milli, reason)| DeliveredLine {
            line_id: id(*number),
            delivered_milli: *delivered_milli,
            refused_milli: *refused_milli,
            refusal_reason: (*reason).into(),
        });
        let shipment_id = SHIPMENT.as_bytes().to_vec();
        DeliverShipment { shipment_id, lines: lines.collect(), reclamation_id: id(77), ..DeliverShipment::default() }
    }

    #[test]
    fn c02_a_shipment_of_other_orders_or_goods_is_another_one() {
        let order = order();
        let made = decide_prepare(None, &[(ORDER, &order)], &prepare()).expect("prepared").shipment;
        let again = |command: &PrepareShipment| {
            decide_prepare(Some(&made), &[(ORDER, &order)], command).map(|prepared| prepared.verdict.reason)
        };
        assert_eq!(again(&prepare()), Ok(Reason::NothingToDo));
        let part =
            |line_id: Vec<u8>, quantity_milli| PreparedLine { line_id, quantity_milli, ..PreparedLine::default() };
        let both = vec![part(id(1), 3_000), part(id(2), 2_000)];
        assert_eq!(again(&PrepareShipment { lines: both, ..prepare() }), Ok(Reason::NothingToDo), "the same in words");
        for other in [
            PrepareShipment { more_order_ids: vec![id(77)], ..prepare() },
            PrepareShipment { lines: vec![part(id(1), 3_000)], ..prepare() },
            PrepareShipment { lines: vec![part(id(1), 1_000), part(id(2), 2_000)], ..prepare() },
        ] {
            assert_eq!(again(&other).map_err(|refused| refused.reason), Err(Reason::IdTaken), "{other:?}");
        }
    }

    #[test]
    fn a_shipment_asks_for_what_was_confirmed() {
        let before = order();
        let prepared = |current: Option<&Shipment>, order: &Order, command: &PrepareShipment| {
            decide_prepare(current, &[(ORDER, order)], command)
        };
        let Prepared { shipment, orders, verdict } = prepared(None, &before, &prepare()).expect("prepared");
        let asked: Vec<i64> = shipment.lines.iter().map(|line| line.ordered_milli).collect();
        assert_eq!((asked, verdict), (vec![3_000, 2_000], Verdict::done()));
        let after = &orders[0].1;
        assert_eq!(
            (after.fulfilment(), after.shipment_id.clone()),
            (Fulfilment::Picking, SHIPMENT.as_bytes().to_vec())
        );
        assert_eq!(
            (shipment.warehouse_id.clone(), after.warehouse_id.clone()),
            (id(7), id(7)),
            "where stock is set aside"
        );
        let elsewhere = PrepareShipment { warehouse_id: id(6), ..prepare() };
        let elsewhere = prepared(None, &before, &elsewhere).expect("prepared");
        assert_eq!((elsewhere.shipment.warehouse_id, &elsewhere.orders[0].1.warehouse_id), (id(6), &id(6)));
        let again = prepared(Some(&shipment), after, &prepare()).expect("again");
        assert_eq!(again.verdict, Verdict::nothing_to_do());
        let other = PrepareShipment { shipment_id: id(5), ..prepare() };
        assert_eq!(prepared(None, after, &other).expect_err("two").reason, Reason::ShipmentExists);
        let mut early = before.clone();
        early.set_status(OrderStatus::Confirmed);
        assert_eq!(prepared(None, &early, &prepare()).expect_err("early").reason, Reason::WrongState);
    }

    #[test]
    fn an_order_goes_in_parts_and_is_closed_with_the_last_one() {
        let part =
            |line: u8, quantity_milli| PreparedLine { line_id: id(line), quantity_milli, ..PreparedLine::default() };
        let first = PrepareShipment { lines: vec![part(1, 1_000)], ..prepare() };
        let shipped = decide_ship(goods_of(&order(), &first, ShortageRule::ConfirmPart), &picked(&[]), 5, MOVER);
        let shipped = shipped.expect("shipped");
        assert_eq!(the_order(&shipped).fulfilment(), Fulfilment::PartlyShipped);
        let delivered = deliver(&shipped, &arrived(&[])).expect("delivered");
        let halfway = the_order(&delivered).clone();
        let state = |order: &Order| (order.status(), order.fulfilment(), order.value_minor);
        assert_eq!(state(&halfway), (OrderStatus::Released, Fulfilment::PartlyDelivered, 500));
        let too_much = PrepareShipment { lines: vec![part(1, 2_001)], ..prepare() };
        let refused = decide_prepare(None, &[(ORDER, &halfway)], &too_much).expect_err("more than is left");
        assert_eq!((refused.reason, refused.field.as_str()), (Reason::OutOfRange, "quantity_milli"));
        let unknown = PrepareShipment { lines: vec![part(9, 1)], ..prepare() };
        assert_eq!(
            decide_prepare(None, &[(ORDER, &halfway)], &unknown).expect_err("no such line").reason,
            Reason::Mismatch
        );
        let second = PrepareShipment { shipment_id: id(5), ..prepare() };
        let goods = goods_of(&halfway, &second, ShortageRule::ConfirmPart);
        assert_eq!(goods.shipment.lines.iter().map(|line| line.ordered_milli).collect::<Vec<_>>(), [2_000, 2_000]);
        assert_eq!(goods.orders[0].order.earlier_shipment_ids, [SHIPMENT.as_bytes().to_vec()]);
        let rest = decide_ship(goods, &picked(&[]), 6, MOVER).expect("shipped");
        let rest = decide_deliver(rest.goods, &DeliverShipment { shipment_id: id(5), ..arrived(&[]) }, 9, MOVER);
        assert_eq!(state(the_order(&rest.expect("delivered"))), (OrderStatus::Closed, Fulfilment::Delivered, 500));
    }

    #[test]
    fn several_orders_go_together() {
        let other_id = Uuid::from_u128(3);
        let mut other = order();
        other.lines.iter_mut().zip([4, 5, 6]).for_each(|(line, number)| line.line_id = id(number));
        let command = PrepareShipment { more_order_ids: vec![other_id.as_bytes().to_vec()], ..prepare() };
        let orders = [(ORDER, &order()), (other_id, &other)];
        let together = decide_prepare(None, &orders, &command).expect("prepared");
        let of: Vec<&[u8]> = together.shipment.lines.iter().map(|line| line.order_id.as_slice()).collect();
        let [a, b] = [ORDER.as_bytes().as_slice(), other_id.as_bytes().as_slice()];
        assert_eq!(of, [a, a, b, b]);
        let refused = |other: &Order| {
            let rejection =
                decide_prepare(None, &[(ORDER, &order()), (other_id, other)], &command).expect_err("refused");
            (rejection.reason, rejection.field)
        };
        let elsewhere = Order { customer_id: id(99), ..other.clone() };
        assert_eq!(refused(&elsewhere), (Reason::Mismatch, "more_order_ids".to_owned()));
        assert_eq!(
            refused(&order()),
            (Reason::RepeatedId, "more_order_ids".to_owned()),
            "lines are named by their ids"
        );
    }

    #[test]
    fn what_is_called_off_can_be_prepared_again() {
        let Goods { shipment, orders, .. } = goods();
        let command = CancelShipment { shipment_id: id(2), reason: "the van broke down".to_owned() };
        let off = decide_cancel(&shipment, &[(ORDER, &orders[0].order)], &command).expect("called off");
        assert_eq!(off.shipment.state(), ShipmentState::Cancelled);
        let order = &off.orders[0].1;
        assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Released, Fulfilment::None));
        let again = PrepareShipment { shipment_id: id(5), ..prepare() };
        assert_eq!(decide_prepare(None, &[(ORDER, order)], &again).expect("again").shipment.lines.len(), 2);
        assert_eq!(decide_cancel(&off.shipment, &[], &command).expect_err("twice").reason, Reason::WrongState);
    }

    #[test]
    fn c23_what_was_not_picked_says_why() {
        let shipped = ship(&[(1, 1_000, ShortReason::NotFound)]).expect("shipped");
        assert_eq!((the_order(&shipped).value_minor, shipped.goods.books.credit.exposure_minor()), (300, 300));
        assert_eq!(shipped.goods.shipment.lines[1].loaded_milli, 2_000, "not named: in full");
        let field = |lines: &[(u8, i64, ShortReason)]| {
            let rejection = ship(lines).expect_err("rejected");
            (rejection.reason, rejection.field)
        };
        assert_eq!(field(&[(1, 1_000, ShortReason::Unspecified)]), (Reason::MissingField, "short_reason".to_owned()));
        assert_eq!(field(&[(1, 1_000, ShortReason::Other)]), (Reason::MissingField, "comment".to_owned()));
        assert_eq!(field(&[(1, 3_001, ShortReason::Unspecified)]), (Reason::OutOfRange, "picked_milli".to_owned()));
        assert_eq!(field(&[(3, 0, ShortReason::NotFound)]), (Reason::Mismatch, "line_id".to_owned()));
        let twice = [(1, 0, ShortReason::NotFound), (1, 0, ShortReason::NotFound)];
        assert_eq!(field(&twice), (Reason::RepeatedId, "line_id".to_owned()));
    }

    #[test]
    fn what_is_not_there_is_stock_no_more_and_what_had_no_room_is() {
        let short = |reason| {
            let lines =
                order().lines.into_iter().map(|line| OrderLine { reserved_milli: line.confirmed_milli, ..line });
            let reserved = Order { lines: lines.collect(), ..order() };
            let goods = goods_of(&reserved, &prepare(), ShortageRule::ConfirmPart);
            decide_ship(goods, &picked(&[(1, 1_000, reason)]), 5, MOVER).expect("shipped")
        };
        assert_eq!(stock(&short(ShortReason::NoRoom)), (12_000, 0), "15 less the 3 that are loaded");
        assert_eq!(stock(&short(ShortReason::Damaged)), (10_000, 0));
    }

    #[test]
    fn c11_where_the_agreement_lets_the_rest_follow_it_follows() {
        let goods = goods_of(&order(), &prepare(), ShortageRule::BackOrder);
        let shipped = decide_ship(goods, &picked(&[(1, 1_000, ShortReason::NotFound)]), 5, MOVER).expect("shipped");
        let order = the_order(&shipped);
        assert_eq!((order.value_minor, order.lines[0].difference()), (500, LineDifference::BackOrdered));
        assert_eq!(fulfil::left_to_ship(&order.lines[0]), 2_000);
        assert_eq!(fulfil::can_be_shipped(&order.lines[0]), 0, "nothing is set aside for it yet");
        let delivered = deliver(&shipped, &arrived(&[])).expect("delivered");
        let order = the_order(&delivered);
        assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Released, Fulfilment::PartlyDelivered));
        let close = CloseOrder { order_id: id(1), reason: "no more of it comes".to_owned() };
        let Goods { orders, books, .. } = delivered.goods;
        let (closed, books) =
            fulfil::decide_close(&orders[0], &close, books, MOVER).expect("closed").expect("something");
        assert_eq!(
            (closed.status(), closed.value_minor, books.credit.exposure_minor()),
            (OrderStatus::Closed, 300, 300)
        );
        assert_eq!((closed.broken_promises, closed.status_reason.as_str()), (1, "no more of it comes"));
    }

    #[test]
    fn a_full_delivery_closes_the_order() {
        let shipped = ship(&[]).expect("shipped");
        let done = deliver(&shipped, &arrived(&[])).expect("delivered");
        assert_eq!((done.goods.shipment.state(), &done.reclamation), (ShipmentState::Delivered, &None));
        let order = the_order(&done);
        assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Closed, Fulfilment::Delivered));
        assert_eq!(done.goods.books.credit.exposure_minor(), 500);
        assert_eq!(deliver(&done, &arrived(&[])).expect_err("twice").reason, Reason::WrongState);
    }

    #[test]
    fn c23_a_short_delivery_opens_a_reclamation() {
        let shipped = ship(&[]).expect("shipped");
        let command = arrived(&[(1, 1_000, 1_000, RefusalReason::Damaged)]);
        let done = deliver(&shipped, &command).expect("delivered");
        assert_eq!((done.goods.shipment.state(), the_order(&done).value_minor), (ShipmentState::PartlyDelivered, 300));
        let line = &the_order(&done).lines[0];
        assert_eq!((line.delivered_milli, line.refused_milli, line.missing_milli), (1_000, 1_000, 1_000));
        let (reclamation_id, opened) = done.reclamation.expect("opened");
        assert_eq!((reclamation_id.as_bytes().to_vec(), done.goods.shipment.reclamation_id), (id(77), id(77)));
        assert_eq!((opened.lines.len(), opened.lines[0].claimed_milli), (1, 2_000));
        assert_eq!(done.goods.claims.claimed_milli(&id(1)), 2_000);
        let unnamed = DeliverShipment { reclamation_id: vec![], ..command };
        assert_eq!(deliver(&shipped, &unnamed).expect_err("no id").field, "reclamation_id");
        let refused = arrived(&[(1, 0, 3_000, RefusalReason::Late), (2, 0, 2_000, RefusalReason::Late)]);
        assert_eq!(deliver(&shipped, &refused).expect("refused").goods.shipment.state(), ShipmentState::Refused);
    }

    #[test]
    fn what_the_driver_did_not_get_to_is_still_to_be_shipped_and_late() {
        let shipped = ship(&[]).expect("shipped");
        let command = DeliverShipment { not_attempted: true, ..arrived(&[]) };
        let done = deliver(&shipped, &command).expect("told");
        assert_eq!((done.goods.shipment.state(), &done.reclamation), (ShipmentState::NotAttempted, &None));
        let order = the_order(&done);
        assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Released, Fulfilment::None));
        assert_eq!((order.broken_promises, done.goods.books.credit.exposure_minor()), (2, 500), "of two lines");
        assert_eq!(order.lines.iter().map(fulfil::can_be_shipped).collect::<Vec<_>>(), [3_000, 2_000, 0]);
        let both = DeliverShipment { not_attempted: true, ..arrived(&[(1, 0, 0, RefusalReason::Unspecified)]) };
        assert_eq!(deliver(&shipped, &both).expect_err("both").field, "lines");
    }

    proptest! {
        #[test]
        fn goods_are_conserved_over_all_shipments_of_an_order(
            rounds in vec((vec(0..4_000_i64, 2), vec(0..3_000_i64, 2), vec(0..3_000_i64, 2), any::<bool>()), 1..6),
            follows in any::<bool>(),
        ) {
            let rule = if follows { ShortageRule::BackOrder } else { ShortageRule::ConfirmPart };
            let (mut order, mut loaded, mut back) = (order(), 0, 0);
            order.lines.iter_mut().for_each(|line| line.reserved_milli = line.confirmed_milli);
            for (number, (picks, delivers, refuses, attempted)) in rounds.into_iter().enumerate() {
                let command = PrepareShipment { shipment_id: vec![100 + number as u8; 16], ..prepare() };
                if decide_prepare(None, &[(ORDER, &order)], &command).is_err() {
                    break;
                }
                let goods = goods_of(&order, &command, rule);
                let lines: Vec<(u8, i64, ShortReason)> = goods.shipment.lines.iter().zip(picks).map(|(line, picked)| {
                    let picked = picked.min(line.ordered_milli);
                    let reason = if picked < line.ordered_milli { ShortReason::NoRoom } else { ShortReason::Unspecified };
                    (line.line_id[0], picked, reason)
                }).collect();
                let shipped = decide_ship(goods, &picked(&lines), 5, MOVER).expect("shipped");
                let named = shipped.goods.shipment.lines.iter().zip(delivers.into_iter().zip(refuses)).map(|(line, (d, r))| {
                    let delivered = d.min(line.loaded_milli);
                    let refused = r.min(line.loaded_milli - delivered);
                    let reason = if refused > 0 { RefusalReason::Price } else { RefusalReason::Unspecified };
                    (line.line_id[0], delivered, refused, reason)
                }).collect::<Vec<_>>();
                let told = if attempted { arrived(&named) } else { DeliverShipment { not_attempted: true, ..arrived(&[]) } };
                let told = DeliverShipment { shipment_id: command.shipment_id.clone(), ..told };
                let done = decide_deliver(shipped.goods, &told, 9, MOVER).expect("told");
                let moved: i64 = done.goods.shipment.lines.iter().map(|line| line.loaded_milli).sum();
                loaded += moved;
                back += if attempted { 0 } else { moved };
                prop_assert_eq!(done.goods.books.credit.exposure_minor(), the_order(&done).value_minor);
                order = done.goods.orders.into_iter().next().expect("one").order;
                let sum = |of: fn(&OrderLine) -> i64| order.lines.iter().map(of).sum::<i64>();
                prop_assert_eq!(sum(|line| line.delivered_milli + line.refused_milli + line.missing_milli) + back, loaded);
                prop_assert!(sum(|line| line.confirmed_milli) <= 5_000);
                prop_assert_eq!(sum(|line| line.assigned_milli), 0);
                prop_assert!(order.lines.iter().all(|line| line.reserved_milli <= fulfil::left_to_ship(line)));
                prop_assert_eq!(order.status() == OrderStatus::Closed, sum(fulfil::left_to_ship) == 0);
            }
        }
    }
}
