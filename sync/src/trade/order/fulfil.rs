//! What the warehouse and the driver do to an order: quantities, fulfilment, status, and what the customer will owe.
//!
//! What will not come, and what was not taken, leaves the confirmed quantities, so that an order's value is at all times what the
//! customer will owe, and the credit exposure follows from it. An order may be in several shipments, one after the other; each line
//! says what of it is in shipments that are being prepared, on its way, delivered, refused and missing, and the rest is to be
//! shipped. When nothing of that is left the order is closed.

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    CloseOrder, Fulfilment, LineDifference, Order, OrderLine, OrderStatus, Reason, Shipment, ShipmentLine,
    ShipmentState, ShortReason, ShortageRule,
};
use uuid::Uuid;

use super::hold;
use super::promise::{self, Change, Will};
use crate::trade::check;
use crate::trade::credit::Credit;
use crate::trade::money;
use crate::trade::rejection::Rejection;
use crate::trade::stock::Available;

/// An order whose goods move, with what it is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The order's id.
    pub id: Uuid,
    /// The order.
    pub order: Order,
    /// Whether the price list of the order's agreement contains tax.
    pub vat_included: bool,
    /// What the order's agreement wants where goods do not suffice.
    pub shortage_rule: ShortageRule,
}

/// What follows the goods beside the orders of a shipment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    /// The credit of the orders' customer in their currency.
    pub credit: Credit,
    /// The stock of the shipment's products in its warehouse, by product; those of which nothing is noted are left out.
    pub available: BTreeMap<Uuid, Available>,
}

/// Who moves the goods.
#[derive(Clone, Copy, Debug)]
pub struct Mover {
    /// The user who reports it; nil: the server.
    pub by: Uuid,
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
}

impl From<Mover> for Change {
    fn from(mover: Mover) -> Self {
        Self { will: Will::Company, by: mover.by, at_us: mover.now_us }
    }
}

/// What of an order's line is on its way.
#[must_use]
pub fn on_its_way(line: &OrderLine) -> i64 {
    let gone = line.delivered_milli.saturating_add(line.refused_milli).saturating_add(line.missing_milli);
    line.shipped_milli.saturating_sub(gone).max(0)
}

/// What of an order's line is promised and in no shipment.
#[must_use]
pub fn left_to_ship(line: &OrderLine) -> i64 {
    let begun = line.delivered_milli.saturating_add(on_its_way(line)).saturating_add(line.assigned_milli);
    line.confirmed_milli.saturating_sub(begun).max(0)
}

/// What of an order's line can be put into a shipment now: what is left, and of a back-order, what of that is set aside.
#[must_use]
pub fn can_be_shipped(line: &OrderLine) -> i64 {
    let left = left_to_ship(line);
    if line.difference() == LineDifference::BackOrdered {
        left.min(line.reserved_milli.saturating_sub(line.assigned_milli).max(0))
    } else {
        left
    }
}

/// Whether a shipment can be made of an order now.
#[must_use]
pub fn is_to_ship(order: &Order) -> bool {
    order.status() == OrderStatus::Released && order.lines.iter().any(|line| can_be_shipped(line) > 0)
}

/// The lines of a shipment that are an order's.
fn lines_of(shipment: &Shipment, order: Uuid) -> impl Iterator<Item = &ShipmentLine> {
    shipment.lines.iter().filter(move |line| order_of(shipment, line) == order.as_bytes())
}

/// The order whose line it is.
#[must_use]
pub fn order_of<'a>(shipment: &'a Shipment, line: &'a ShipmentLine) -> &'a [u8] {
    if line.order_id.is_empty() { &shipment.order_id } else { &line.order_id }
}

/// A warehouse has the list, and serves the order from now on.
#[must_use]
pub fn prepared(before: &Order, order_id: Uuid, (id, shipment): (Uuid, &Shipment)) -> Order {
    let mut order = before.clone();
    if !order.shipment_id.is_empty() {
        order.earlier_shipment_ids.push(order.shipment_id);
    }
    order.shipment_id = id.as_bytes().to_vec();
    order.warehouse_id.clone_from(&shipment.warehouse_id);
    for asked in lines_of(shipment, order_id) {
        if let Some(line) = order.lines.iter_mut().find(|line| line.line_id == asked.line_id) {
            line.assigned_milli = line.assigned_milli.saturating_add(asked.ordered_milli);
        }
    }
    settle(&mut order);
    order
}

/// A shipment was called off before it left: what it was to bring is still to be shipped.
#[must_use]
pub fn called_off(before: &Order, order_id: Uuid, shipment: &Shipment) -> Order {
    let mut order = before.clone();
    for asked in lines_of(shipment, order_id) {
        if let Some(line) = order.lines.iter_mut().find(|line| line.line_id == asked.line_id) {
            line.assigned_milli = line.assigned_milli.saturating_sub(in_hand(shipment, asked)).max(0);
        }
    }
    settle(&mut order);
    order
}

/// What of a shipment's line is set aside in the warehouse: what was asked for, and once it is picked, what was picked.
#[must_use]
pub fn in_hand(shipment: &Shipment, line: &ShipmentLine) -> i64 {
    match shipment.state() {
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => line.ordered_milli,
        ShipmentState::Checking | ShipmentState::Checked | ShipmentState::Loaded => line.picked_milli,
        ShipmentState::Shipped | ShipmentState::Delivered | ShipmentState::PartlyDelivered => 0,
        ShipmentState::Refused | ShipmentState::NotAttempted | ShipmentState::Cancelled => 0,
    }
}

/// What of an order's line the warehouse does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// The line of the order.
    pub line_id: Vec<u8>,
    /// How much, in thousandths of the base unit.
    pub quantity_milli: i64,
    /// It was not found, or is not fit to be sold: it is no stock any more.
    pub lost: bool,
}

/// Less of a shipment is picked than was set aside for it: `was` is the shipment before, `now` with what was picked.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn picked(
    before: &Ordered,
    (was, now): (&Shipment, &Shipment),
    books: Books,
    mover: Mover,
) -> Result<(Order, Books), Rejection> {
    let mut order = before.order.clone();
    let mut available = books.available;
    let mut short = Vec::new();
    for asked in lines_of(was, before.id) {
        let picked = now.lines.iter().find(|line| line.line_id == asked.line_id);
        let quantity_milli = in_hand(was, asked).saturating_sub(picked.map_or(0, |line| line.picked_milli));
        let Some(line) = order.lines.iter_mut().find(|line| line.line_id == asked.line_id) else { continue };
        line.assigned_milli = line.assigned_milli.saturating_sub(quantity_milli).max(0);
        if let Some(stock) = stock_of(&mut available, line) {
            *stock = stock.picking(-quantity_milli);
        }
        let lost = picked.is_some_and(|line| is_lost(line.short_reason()));
        short.push(Short { line_id: asked.line_id.clone(), quantity_milli, lost });
    }
    fall_short(before, order, &short, Books { available, ..books }, mover)
}

/// The warehouse does not have what an order was promised: that leaves the confirmed quantities, or follows where the agreement says
/// so. What is set aside for it is free for others.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn short(before: &Ordered, short: &[Short], books: Books, mover: Mover) -> Result<(Order, Books), Rejection> {
    fall_short(before, before.order.clone(), short, books, mover)
}

fn fall_short(
    before: &Ordered,
    mut order: Order,
    short: &[Short],
    books: Books,
    mover: Mover,
) -> Result<(Order, Books), Rejection> {
    let mut available = books.available;
    for Short { line_id, quantity_milli, lost } in short.iter().filter(|short| short.quantity_milli > 0) {
        let Some(line) = order.lines.iter_mut().find(|line| line.line_id == *line_id) else { continue };
        // Of goods that nobody counts nobody says that they have come.
        if before.shortage_rule == ShortageRule::BackOrder
            && stock_of(&mut available, line).is_some_and(|stock| stock.known)
        {
            line.set_difference(LineDifference::BackOrdered);
        } else {
            line.confirmed_milli = line.confirmed_milli.saturating_sub(*quantity_milli).max(0);
            line.set_difference(LineDifference::PickedShort);
        }
        let released = let_go(line, *quantity_milli);
        if let Some(stock) = stock_of(&mut available, line) {
            *stock = stock.reserving(released, 0).without(if *lost { *quantity_milli } else { 0 });
        }
        super::price_confirmed(line, before.vat_included)?;
    }
    let credit = booked(before, &mut order, books.credit, mover)?;
    Ok((order, Books { credit, available }))
}

/// The goods of a shipment have left the warehouse, as far as they were loaded: no less than what was in hand.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn shipped(before: &Ordered, shipment: &Shipment, books: Books, mover: Mover) -> Result<(Order, Books), Rejection> {
    let mut order = before.order.clone();
    let mut available = books.available;
    for gone in lines_of(shipment, before.id) {
        let Some(line) = order.lines.iter_mut().find(|line| line.line_id == gone.line_id) else { continue };
        line.assigned_milli = line.assigned_milli.saturating_sub(gone.loaded_milli).max(0);
        line.shipped_milli = line.shipped_milli.saturating_add(gone.loaded_milli);
        let released = let_go(line, gone.loaded_milli);
        if let Some(stock) = stock_of(&mut available, line) {
            *stock = stock.shipped(released, gone.loaded_milli).picking(-gone.loaded_milli);
        }
        super::price_confirmed(line, before.vat_included)?;
    }
    let credit = booked(before, &mut order, books.credit, mover)?;
    Ok((order, Books { credit, available }))
}

/// A line has less set aside, and never more than what it still wants; returns by how much it is less.
fn let_go(line: &mut OrderLine, quantity_milli: i64) -> i64 {
    let wants = line.assigned_milli.saturating_add(left_to_ship(line));
    let kept = line.reserved_milli.saturating_sub(quantity_milli).min(wants).max(0);
    let released = line.reserved_milli.saturating_sub(kept);
    line.reserved_milli = kept;
    released
}

fn stock_of<'a>(available: &'a mut BTreeMap<Uuid, Available>, line: &OrderLine) -> Option<&'a mut Available> {
    Uuid::from_slice(&line.product_id).ok().and_then(|product| available.get_mut(&product))
}

/// Whether what was not picked is not there either, or not fit to be sold.
fn is_lost(reason: ShortReason) -> bool {
    match reason {
        ShortReason::NotFound | ShortReason::Damaged | ShortReason::Expired => true,
        ShortReason::Unspecified | ShortReason::NoRoom | ShortReason::Other => false,
    }
}

/// The goods of a shipment have arrived, or not.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn delivered(
    before: &Ordered,
    shipment: &Shipment,
    attempted: bool,
    books: Books,
    mover: Mover,
) -> Result<(Order, Books), Rejection> {
    let mut order = before.order.clone();
    for gone in lines_of(shipment, before.id) {
        let Some(line) = order.lines.iter_mut().find(|line| line.line_id == gone.line_id) else { continue };
        if !attempted {
            line.shipped_milli = line.shipped_milli.saturating_sub(gone.loaded_milli).max(0);
            if gone.loaded_milli > 0 {
                line.set_difference(LineDifference::NotAttempted);
            }
            continue;
        }
        let missing = gone.loaded_milli.saturating_sub(gone.delivered_milli).saturating_sub(gone.refused_milli).max(0);
        line.delivered_milli = line.delivered_milli.saturating_add(gone.delivered_milli);
        line.refused_milli = line.refused_milli.saturating_add(gone.refused_milli);
        line.missing_milli = line.missing_milli.saturating_add(missing);
        let not_taken = missing.saturating_add(gone.refused_milli);
        line.confirmed_milli = line.confirmed_milli.saturating_sub(not_taken).max(0);
        if missing > 0 {
            line.set_difference(LineDifference::DeliveredShort);
        } else if gone.refused_milli > 0 {
            line.set_difference(LineDifference::Refused);
        }
        super::price_confirmed(line, before.vat_included)?;
    }
    let credit = booked(before, &mut order, books.credit, mover)?;
    let mut available = books.available;
    set_aside_again(&mut order, &before.order, &mut available);
    Ok((order, Books { credit, available }))
}

/// What did not arrive and is still to come is set aside again, as far as it is there: the goods that are still in the vehicle are not.
/// The rest waits for goods, and so does what waited before.
fn set_aside_again(order: &mut Order, before: &Order, available: &mut BTreeMap<Uuid, Available>) {
    for line in &mut order.lines {
        let was = before.lines.iter().find(|was| was.line_id == line.line_id).map(OrderLine::difference);
        let is_to_come = line.difference() == LineDifference::NotAttempted || was == Some(LineDifference::BackOrdered);
        let Some(stock) = stock_of(available, line).filter(|stock| stock.known && is_to_come) else { continue };
        let set_aside = line.reserved_milli.saturating_sub(line.assigned_milli).max(0);
        let lacks = left_to_ship(line).saturating_sub(set_aside);
        let found = stock.free_milli().min(lacks).max(0);
        *stock = stock.reserving(0, found);
        line.reserved_milli = line.reserved_milli.saturating_add(found);
        if found < lacks {
            line.set_difference(LineDifference::BackOrdered);
        }
    }
}

/// What is left of a released order is not shipped. `None`: nothing is left.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn decide_close(
    current: &Ordered,
    command: &CloseOrder,
    books: Books,
    mover: Mover,
) -> Result<Option<(Order, Books)>, Rejection> {
    check::required_text(&command.reason, check::TEXT_CHARS, "reason")?;
    if current.order.status() != OrderStatus::Released {
        let status = current.order.status().as_str_name();
        return Err(Rejection::new(Reason::WrongState).fact(Some(current.id), "status", status));
    }
    if current.order.lines.iter().all(|line| left_to_ship(line) == 0) {
        return Ok(None);
    }
    let (mut order, books) = ended(current, books, mover)?;
    order.status_reason.clone_from(&command.reason);
    Ok(Some((order, books)))
}

/// Nothing more of an order is put into shipments.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
fn ended(before: &Ordered, books: Books, mover: Mover) -> Result<(Order, Books), Rejection> {
    let mut order = before.order.clone();
    let mut available = books.available;
    for line in &mut order.lines {
        let left = left_to_ship(line);
        if left == 0 {
            continue;
        }
        line.confirmed_milli = line.confirmed_milli.saturating_sub(left).max(0);
        line.set_difference(LineDifference::StockShort);
        let released = let_go(line, 0);
        if let Some(stock) = stock_of(&mut available, line) {
            *stock = stock.reserving(released, 0);
        }
        super::price_confirmed(line, before.vat_included)?;
    }
    let credit = booked(before, &mut order, books.credit, mover)?;
    Ok((order, Books { credit, available }))
}

/// What follows for an order and its customer's credit when quantities have changed.
fn booked(before: &Ordered, order: &mut Order, credit: Credit, mover: Mover) -> Result<Credit, Rejection> {
    order.value_minor = money::total(order.lines.iter().map(|line| line.amount_minor))?;
    settle(order);
    if order.status() == OrderStatus::Closed {
        hold::release_all(order, mover.now_us, "rule: the order was closed");
    }
    promise::keep(Some(&before.order), order, mover.into());
    credit.with_order(before.id, Some(&before.order), order)
}

/// How far the goods are, and whether anything is still to come: without that the order is closed.
fn settle(order: &mut Order) {
    let sum = |of: fn(&OrderLine) -> i64| order.lines.iter().fold(0_i64, |sum, line| sum.saturating_add(of(line)));
    let (assigned, left) = (sum(|line| line.assigned_milli), sum(left_to_ship));
    let (shipped, moving, delivered) =
        (sum(|line| line.shipped_milli), sum(on_its_way), sum(|line| line.delivered_milli));
    let is_whole = assigned == 0 && left == 0 && !order.lines.iter().any(fell_short);
    order.set_fulfilment(if delivered > 0 {
        if is_whole && moving == 0 { Fulfilment::Delivered } else { Fulfilment::PartlyDelivered }
    } else if shipped > 0 {
        if is_whole { Fulfilment::Shipped } else { Fulfilment::PartlyShipped }
    } else if assigned > 0 {
        Fulfilment::Picking
    } else {
        Fulfilment::None
    });
    if assigned == 0 && left == 0 && moving == 0 {
        order.set_status(OrderStatus::Closed);
    }
}

/// Whether the warehouse or the driver could not give a line what was promised.
fn fell_short(line: &OrderLine) -> bool {
    match line.difference() {
        LineDifference::PickedShort | LineDifference::DeliveredShort | LineDifference::Refused => true,
        LineDifference::NotAttempted => left_to_ship(line) > 0,
        LineDifference::Unspecified | LineDifference::StockShort | LineDifference::BackOrdered => false,
        LineDifference::Substituted | LineDifference::Withdrawn | LineDifference::PriceChanged => false,
        LineDifference::OfficeChanged | LineDifference::Quota => false,
    }
}
