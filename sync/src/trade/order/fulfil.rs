//! What the warehouse and the driver do to an order: quantities, fulfilment, status, and what the customer will owe.
//!
//! What was not picked, and what was not taken, leaves the confirmed quantities, so that an order's value is at all
//! times what the customer will owe, and the credit exposure follows from it.

use std::collections::BTreeMap;

use roundsman_proto::trade::{Fulfilment, LineDifference, Order, OrderLine, OrderStatus, Shipment, ShipmentLine};
use uuid::Uuid;

use super::hold;
use super::promise::{self, Change, Will};
use crate::trade::credit::Credit;
use crate::trade::money;
use crate::trade::rejection::Rejection;
use crate::trade::stock::{Available, reserved_by};

/// What follows the goods beside the order.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    /// The order.
    pub order_id: Uuid,
    /// Whether the price list of the order's agreement contains tax.
    pub vat_included: bool,
    /// The credit of the order's customer in the order's currency.
    pub credit: &'a Credit,
    /// The stock of the shipment's products in its warehouse, by product; those without figures are left out.
    pub available: &'a BTreeMap<Uuid, Available>,
    /// The user who reports it; nil: the server.
    pub by: Uuid,
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
}

impl Ledger<'_> {
    fn change(&self) -> Change {
        Change { will: Will::Company, by: self.by, at_us: self.now_us }
    }
}

/// What is to be stored of an order whose goods have moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The order.
    pub order: Order,
    /// The credit of its customer.
    pub credit: Credit,
    /// The stock of its products, by product; only what changed.
    pub available: BTreeMap<Uuid, Available>,
}

/// A warehouse has the list, and serves the order from now on.
#[must_use]
pub fn prepared(order: &Order, shipment_id: Uuid, warehouse_id: &[u8]) -> Order {
    let (shipment_id, warehouse_id) = (shipment_id.as_bytes().to_vec(), warehouse_id.to_vec());
    let mut order = Order { shipment_id, warehouse_id, ..order.clone() };
    order.set_fulfilment(Fulfilment::Picking);
    order
}

/// The goods have left the warehouse, as far as they were loaded.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn shipped(before: &Order, shipment: &Shipment, ledger: &Ledger<'_>) -> Result<Moved, Rejection> {
    let with_line = |line: &mut OrderLine, gone: &ShipmentLine| {
        line.shipped_milli = gone.loaded_milli;
        line.confirmed_milli = gone.loaded_milli;
        if gone.loaded_milli < gone.ordered_milli {
            line.set_difference(LineDifference::PickedShort);
        }
    };
    let mut order = follow(before, shipment, ledger.vat_included, with_line)?;
    let all = shipment.lines.iter().all(|line| line.loaded_milli >= line.ordered_milli);
    let some = shipment.lines.iter().any(|line| line.loaded_milli > 0);
    order.set_fulfilment(match (all, some) {
        (true, _) => Fulfilment::Shipped,
        (false, true) => Fulfilment::PartlyShipped,
        (false, false) => Fulfilment::None,
    });
    let mut available = BTreeMap::new();
    for (product, stock) in ledger.available {
        let lines = shipment.lines.iter().filter(|line| line.product_id == product.as_bytes());
        let gone = lines.fold(0_i64, |sum, line| sum.saturating_add(line.loaded_milli));
        let after = stock.shipped(reserved_by(before, *product), gone);
        if after != *stock {
            available.insert(*product, after);
        }
    }
    for line in &mut order.lines {
        line.reserved_milli = 0;
    }
    promise::keep(Some(before), &mut order, ledger.change());
    let credit = ledger.credit.clone().with_order(ledger.order_id, Some(before), &order)?;
    Ok(Moved { order, credit, available })
}

/// The goods have arrived, or not: the order is closed.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn delivered(
    before: &Order,
    shipment: &Shipment,
    attempted: bool,
    ledger: &Ledger<'_>,
) -> Result<Moved, Rejection> {
    let with_line = |line: &mut OrderLine, gone: &ShipmentLine| {
        line.delivered_milli = gone.delivered_milli;
        line.refused_milli = gone.refused_milli;
        line.confirmed_milli = gone.delivered_milli;
        let missing = gone.loaded_milli.saturating_sub(gone.delivered_milli).saturating_sub(gone.refused_milli);
        if !attempted && gone.loaded_milli > 0 {
            line.set_difference(LineDifference::NotAttempted);
        } else if missing > 0 {
            line.set_difference(LineDifference::DeliveredShort);
        } else if gone.refused_milli > 0 {
            line.set_difference(LineDifference::Refused);
        }
    };
    let mut order = follow(before, shipment, ledger.vat_included, with_line)?;
    let all = shipment.lines.iter().all(|line| line.delivered_milli >= line.ordered_milli);
    let some = shipment.lines.iter().any(|line| line.delivered_milli > 0);
    if some {
        order.set_fulfilment(if all { Fulfilment::Delivered } else { Fulfilment::PartlyDelivered });
    }
    order.set_status(OrderStatus::Closed);
    hold::release_all(&mut order, ledger.now_us, "rule: the order was closed");
    promise::keep(Some(before), &mut order, ledger.change());
    let credit = ledger.credit.clone().with_order(ledger.order_id, Some(before), &order)?;
    Ok(Moved { order, credit, available: BTreeMap::new() })
}

fn follow(
    order: &Order,
    shipment: &Shipment,
    vat_included: bool,
    with_line: impl Fn(&mut OrderLine, &ShipmentLine),
) -> Result<Order, Rejection> {
    let mut order = order.clone();
    for line in &mut order.lines {
        if let Some(gone) = shipment.lines.iter().find(|gone| gone.line_id == line.line_id) {
            with_line(line, gone);
        }
        super::price_confirmed(line, vat_included)?;
    }
    order.value_minor = money::total(order.lines.iter().map(|line| line.amount_minor))?;
    Ok(order)
}
