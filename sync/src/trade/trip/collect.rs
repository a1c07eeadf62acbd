//! What a driver is to collect at the door: the money for goods that are to be paid on delivery.

use std::collections::{BTreeMap, HashMap};

use roundsman_proto::trade::{Order, Shipment, ShipmentLine, ShipmentState, Trip, TripStop};
use uuid::Uuid;

use crate::trade::order::fulfil::order_of;
use crate::trade::order::worth;
use crate::trade::shipment::carried;

/// An order that is to be paid on delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payable {
    /// The order.
    pub order: Order,
    /// Whether its prices contain value added tax.
    pub vat_included: bool,
    /// What was paid for it so far, in minor units of its currency.
    pub paid_minor: i64,
}

/// What is to be collected at each stop of a trip, in minor units by currency: of the orders that are payable on delivery what
/// their goods cost – as they were taken, or as long as nobody has said so, as they come –, but no more than what is left to be
/// paid of the order. What is due for other reasons is no part of it.
#[must_use]
pub fn to_collect(
    trip: &Trip,
    shipments: &HashMap<Uuid, Shipment>,
    payable: &HashMap<Uuid, Payable>,
) -> Vec<BTreeMap<String, i64>> {
    let left = |payable: &Payable| payable.order.value_minor.saturating_sub(payable.paid_minor).max(0);
    let mut left: HashMap<Uuid, i64> = payable.iter().map(|(id, payable)| (*id, left(payable))).collect();
    trip.stops.iter().map(|stop| at_stop(stop, shipments, payable, &mut left)).collect()
}

fn at_stop(
    stop: &TripStop,
    shipments: &HashMap<Uuid, Shipment>,
    payable: &HashMap<Uuid, Payable>,
    left: &mut HashMap<Uuid, i64>,
) -> BTreeMap<String, i64> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let named = stop.shipment_ids.iter().filter_map(|id| shipments.get(&Uuid::from_slice(id).ok()?));
    for (shipment, line) in named.flat_map(|shipment| shipment.lines.iter().map(move |line| (shipment, line))) {
        let Ok(id) = Uuid::from_slice(order_of(shipment, line)) else { continue };
        let (Some(payable), Some(left)) = (payable.get(&id), left.get_mut(&id)) else { continue };
        let part = cost(payable, line, to_pay_milli(shipment, line)).min(*left);
        if part > 0 {
            *left -= part;
            let sum = sums.entry(payable.order.currency.clone()).or_default();
            *sum = sum.saturating_add(part);
        }
    }
    sums
}

/// What a part of a line of a shipment costs; 0 of what no line of the order knows.
fn cost(payable: &Payable, line: &ShipmentLine, quantity_milli: i64) -> i64 {
    let ordered = payable.order.lines.iter().find(|ordered| ordered.line_id == line.line_id);
    let worth = ordered.and_then(|ordered| worth(ordered, quantity_milli, payable.vat_included).ok());
    worth.unwrap_or(0)
}

/// How much of a line is to be paid: what was taken, or as long as nobody has said so, what comes.
fn to_pay_milli(shipment: &Shipment, line: &ShipmentLine) -> i64 {
    match shipment.state() {
        ShipmentState::Delivered
        | ShipmentState::PartlyDelivered
        | ShipmentState::Refused
        | ShipmentState::NotAttempted => line.delivered_milli,
        ShipmentState::Unspecified
        | ShipmentState::Prepared
        | ShipmentState::Picking
        | ShipmentState::Checking
        | ShipmentState::Checked
        | ShipmentState::Loaded
        | ShipmentState::Shipped
        | ShipmentState::Cancelled => carried(shipment, line),
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::OrderLine;

    use super::*;

    const ORDER: Uuid = Uuid::from_u128(1);
    const SHIPMENT: Uuid = Uuid::from_u128(2);
    const LINE: Uuid = Uuid::from_u128(3);

    fn bytes(id: Uuid) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    /// Ten pieces at 1.00, of which a part is paid.
    fn payable(paid_minor: i64) -> HashMap<Uuid, Payable> {
        let line = OrderLine {
            line_id: bytes(LINE),
            coefficient_milli: 1_000,
            ordered_milli: 10_000,
            confirmed_milli: 10_000,
            price_minor: 100,
            amount_minor: 1_000,
            ..OrderLine::default()
        };
        let order = Order { currency: "EUR".to_owned(), value_minor: 1_000, lines: vec![line], ..Order::default() };
        HashMap::from([(ORDER, Payable { order, vat_included: true, paid_minor })])
    }

    fn shipment(state: ShipmentState, loaded_milli: i64, delivered_milli: i64) -> Shipment {
        let line = ShipmentLine {
            line_id: bytes(LINE),
            ordered_milli: 10_000,
            picked_milli: loaded_milli,
            loaded_milli,
            delivered_milli,
            ..ShipmentLine::default()
        };
        Shipment { order_id: bytes(ORDER), state: state.into(), lines: vec![line], ..Shipment::default() }
    }

    /// What is collected at a stop that gets these shipments, and at another that gets the first of them once more.
    fn collected(shipments: Vec<Shipment>, payable: &HashMap<Uuid, Payable>) -> Vec<i64> {
        let ids = (0..).map(|number| Uuid::from_u128(SHIPMENT.as_u128() + number));
        let shipments: HashMap<Uuid, Shipment> = ids.zip(shipments).collect();
        let mut ids: Vec<Uuid> = shipments.keys().copied().collect();
        ids.sort_unstable();
        let stop = |id: Uuid| TripStop { shipment_ids: vec![bytes(id)], ..TripStop::default() };
        let trip = Trip { stops: ids.into_iter().map(stop).collect(), ..Trip::default() };
        let sums = to_collect(&trip, &shipments, payable);
        sums.into_iter().map(|sums| sums.get("EUR").copied().unwrap_or(0)).collect()
    }

    #[test]
    fn goods_are_paid_as_they_come_or_were_taken() {
        let of = |state, loaded, delivered| collected(vec![shipment(state, loaded, delivered)], &payable(0))[0];
        assert_eq!(of(ShipmentState::Prepared, 0, 0), 1_000, "all that was asked for");
        assert_eq!(of(ShipmentState::Loaded, 7_000, 0), 700);
        assert_eq!(of(ShipmentState::PartlyDelivered, 7_000, 6_000), 600);
        assert_eq!(of(ShipmentState::NotAttempted, 7_000, 0), 0);
        assert_eq!(of(ShipmentState::Cancelled, 7_000, 0), 0);
    }

    #[test]
    fn no_more_is_collected_than_is_left_to_be_paid_of_the_order() {
        let loaded = || shipment(ShipmentState::Loaded, 6_000, 0);
        assert_eq!(collected(vec![loaded(), loaded()], &payable(0)), [600, 400]);
        assert_eq!(collected(vec![loaded()], &payable(300)), [600], "the rest is paid with the rest of the goods");
        assert_eq!(collected(vec![loaded()], &payable(900)), [100]);
        assert_eq!(collected(vec![loaded()], &payable(5_000)), [0]);
        assert_eq!(collected(vec![loaded()], &payable(i64::MIN)), [600]);
    }

    #[test]
    fn what_is_not_paid_on_delivery_is_not_collected() {
        assert_eq!(collected(vec![shipment(ShipmentState::Loaded, 6_000, 0)], &HashMap::new()), [0]);
    }
}
