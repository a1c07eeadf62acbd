//! Shipments: preparing, leaving the warehouse, arriving. What became of a delivery is a fact, however late it is told.

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    DeliverShipment, DeliveredLine, DeliveryProof, Order, OrderStatus, PrepareShipment, Reason, Reclamation,
    RefusalReason, ShipShipment, Shipment, ShipmentLine, ShipmentState, ShippedLine, ShortReason,
};
use uuid::Uuid;

use super::check;
use super::order::fulfil::{self, Ledger, Moved};
use super::reclamation::{self, Claims};
use super::rejection::Rejection;
use super::verdict::Verdict;

/// What is to be stored of a shipment that was prepared.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The shipment.
    pub shipment: Shipment,
    /// Its order.
    pub order: Order,
    /// The outcome.
    pub verdict: Verdict,
}

/// What is to be stored of a shipment that left or arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The shipment.
    pub shipment: Shipment,
    /// Its order, with credit and stock.
    pub moved: Moved,
    /// The reclamation that a short delivery opens, under its id.
    pub reclamation: Option<(Uuid, Reclamation)>,
    /// What is claimed of the shipment now.
    pub claims: Claims,
    /// The outcome.
    pub verdict: Verdict,
}

/// The shipment of a released order is made, with a line for each line that has a confirmed quantity. `current` is the
/// shipment of this id, if there is one.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_SHIPMENT_EXISTS`, `REASON_ID_TAKEN`.
pub fn decide_prepare(
    current: Option<&Shipment>,
    order: &Order,
    command: &PrepareShipment,
) -> Result<Prepared, Rejection> {
    let id = check::id(&command.shipment_id, "shipment_id")?;
    let order_id = check::id(&command.order_id, "order_id")?;
    let warehouse = check::optional_id(&command.warehouse_id, "warehouse_id")?;
    let warehouse_id = warehouse.map_or_else(|| order.warehouse_id.clone(), |id| id.as_bytes().to_vec());
    if let Some(current) = current {
        return if current.order_id == command.order_id && current.warehouse_id == warehouse_id {
            let (shipment, order) = (current.clone(), order.clone());
            Ok(Prepared { shipment, order, verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("shipment_id"))
        };
    }
    if !order.shipment_id.is_empty() {
        let other = Uuid::from_slice(&order.shipment_id).unwrap_or_default();
        return Err(Rejection::new(Reason::ShipmentExists).fact(Some(other), "shipment_id", other));
    }
    if order.status() != OrderStatus::Released {
        let status = order.status().as_str_name();
        return Err(Rejection::new(Reason::WrongState).fact(Some(order_id), "status", status));
    }
    let lines = order.lines.iter().filter(|line| line.confirmed_milli > 0).map(|line| ShipmentLine {
        line_id: line.line_id.clone(),
        product_id: line.product_id.clone(),
        ordered_milli: line.confirmed_milli,
        ..ShipmentLine::default()
    });
    let shipment = Shipment {
        order_id: command.order_id.clone(),
        outlet_id: order.outlet_id.clone(),
        warehouse_id,
        state: ShipmentState::Prepared.into(),
        lines: lines.collect(),
        ..Shipment::default()
    };
    let order = fulfil::prepared(order, id, &shipment.warehouse_id);
    Ok(Prepared { shipment, order, verdict: Verdict::done() })
}

/// Goods have left the warehouse, at `at_us`. Lines that the command does not name were picked in full.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_MISMATCH`.
pub fn decide_ship(
    current: &Shipment,
    order: &Order,
    claims: &Claims,
    command: &ShipShipment,
    at_us: i64,
    ledger: &Ledger<'_>,
) -> Result<Decision, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    match current.state() {
        ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking => {}
        ShipmentState::Checked | ShipmentState::Loaded => {}
        ShipmentState::Unspecified | ShipmentState::Shipped | ShipmentState::Delivered => {
            return Err(wrong(current));
        }
        ShipmentState::PartlyDelivered | ShipmentState::Refused | ShipmentState::NotAttempted => {
            return Err(wrong(current));
        }
        ShipmentState::Cancelled => {
            return Err(wrong(current));
        }
    }
    let named = by_line(current, command.lines.iter().map(|line| (line.line_id.as_slice(), line)))?;
    let mut shipment = current.clone();
    for line in &mut shipment.lines {
        line.picked_milli = line.ordered_milli;
        if let Some((index, picked)) = named.get(&line.line_id) {
            pick(line, picked, &command.comment).map_err(check::at("lines", *index))?;
        }
        line.loaded_milli = line.picked_milli;
    }
    shipment.set_state(ShipmentState::Shipped);
    shipment.shipped_at_us = at_us;
    shipment.comment.clone_from(&command.comment);
    let moved = fulfil::shipped(order, &shipment, ledger)?;
    Ok(Decision { shipment, moved, reclamation: None, claims: claims.clone(), verdict: Verdict::done() })
}

fn pick(line: &mut ShipmentLine, picked: &ShippedLine, comment: &str) -> Result<(), Rejection> {
    check::range(picked.picked_milli, 0..=line.ordered_milli.max(0), "picked_milli")?;
    let reason: ShortReason = check::optional_choice(picked.short_reason, "short_reason")?;
    match (picked.picked_milli < line.ordered_milli, reason) {
        (true, ShortReason::Unspecified) => return Err(check::missing("short_reason")),
        (true, ShortReason::Other) if comment.trim().is_empty() => return Err(check::missing("comment")),
        (true, _) | (false, ShortReason::Unspecified) => {}
        (false, _) => return Err(check::out_of_range("short_reason")),
    }
    line.picked_milli = picked.picked_milli;
    line.set_short_reason(reason);
    Ok(())
}

/// Goods have arrived, or not, at `at_us` (C23). Lines that the command does not name were delivered in full. Where less
/// was delivered than loaded, though delivery was attempted, a reclamation is opened.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_MISMATCH`.
pub fn decide_deliver(
    current: &Shipment,
    order: &Order,
    claims: &Claims,
    command: &DeliverShipment,
    at_us: i64,
    ledger: &Ledger<'_>,
) -> Result<Decision, Rejection> {
    let id = check::id(&command.shipment_id, "shipment_id")?;
    deliver_form(command)?;
    if current.state() != ShipmentState::Shipped {
        return Err(wrong(current));
    }
    let named = by_line(current, command.lines.iter().map(|line| (line.line_id.as_slice(), line)))?;
    let mut shipment = current.clone();
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
    let moved = fulfil::delivered(order, &shipment, !command.not_attempted, ledger)?;
    let short = reclamation::for_short_delivery(id, &shipment, order, claims, at_us);
    let Some(opened) = short.filter(|_| !command.not_attempted) else {
        return Ok(Decision { shipment, moved, reclamation: None, claims: claims.clone(), verdict: Verdict::done() });
    };
    let reclamation_id = check::id(&command.reclamation_id, "reclamation_id")?;
    shipment.reclamation_id.clone_from(&command.reclamation_id);
    let claims = claims.clone().with(reclamation_id, &opened.lines);
    let verdict = Verdict::done().fact(Some(reclamation_id), "reclamation_id", reclamation_id);
    Ok(Decision { shipment, moved, reclamation: Some((reclamation_id, opened)), claims, verdict })
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
    use proptest::prelude::*;
    use roundsman_proto::trade::{Fulfilment, OrderLine};

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
            ..OrderLine::default()
        };
        let lines = vec![line(1, 3_000), line(2, 2_000), line(3, 0)];
        let (outlet_id, customer_id, warehouse_id) = (id(9), id(8), id(7));
        let mut order = Order { lines, outlet_id, customer_id, warehouse_id, value_minor: 500, ..Order::default() };
        order.set_status(OrderStatus::Released);
        order
    }

    fn prepared() -> Prepared {
        decide_prepare(None, &order(), &prepare()).expect("prepared")
    }

    fn prepare() -> PrepareShipment {
        PrepareShipment {
            shipment_id: SHIPMENT.as_bytes().to_vec(),
            order_id: ORDER.as_bytes().to_vec(),
            warehouse_id: Vec::new(),
        }
    }

    fn with_ledger<T>(order: &Order, run: impl FnOnce(&Ledger<'_>) -> T) -> T {
        let credit =
            Credit { all: Account { orders_minor: order.value_minor, ..Account::default() }, ..Credit::default() };
        run(&Ledger {
            order_id: ORDER,
            vat_included: true,
            credit: &credit,
            available: &BTreeMap::new(),
            by: Uuid::nil(),
            now_us: 50,
        })
    }

    fn ship(lines: &[(u8, i64, ShortReason)]) -> Result<Decision, Rejection> {
        let Prepared { shipment, order, .. } = prepared();
        let lines = lines.iter().map(|(number, picked_milli, reason)| ShippedLine {
            line_id: id(*number),
            picked_milli: *picked_milli,
            short_reason: (*reason).into(),
        });
        let command =
            ShipShipment { shipment_id: SHIPMENT.as_bytes().to_vec(), lines: lines.collect(), comment: String::new() };
        with_ledger(&order, |ledger| decide_ship(&shipment, &order, &Claims::default(), &command, 5, ledger))
    }

    fn deliver(shipped: &Decision, command: &DeliverShipment) -> Result<Decision, Rejection> {
        let order = &shipped.moved.order;
        with_ledger(order, |ledger| decide_deliver(&shipped.shipment, order, &Claims::default(), command, 9, ledger))
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
    fn a_shipment_asks_for_what_was_confirmed() {
        let Prepared { shipment, order, verdict } = prepared();
        let asked: Vec<i64> = shipment.lines.iter().map(|line| line.ordered_milli).collect();
        assert_eq!((asked, verdict), (vec![3_000, 2_000], Verdict::done()));
        assert_eq!(
            (order.fulfilment(), order.shipment_id.clone()),
            (Fulfilment::Picking, SHIPMENT.as_bytes().to_vec())
        );
        assert_eq!(
            (shipment.warehouse_id.clone(), order.warehouse_id.clone()),
            (id(7), id(7)),
            "where stock is set aside"
        );
        let elsewhere = PrepareShipment { warehouse_id: id(6), ..prepare() };
        let elsewhere = decide_prepare(None, &self::order(), &elsewhere).expect("prepared");
        assert_eq!((elsewhere.shipment.warehouse_id, elsewhere.order.warehouse_id), (id(6), id(6)));
        let again = decide_prepare(Some(&shipment), &order, &prepare()).expect("again");
        assert_eq!(again.verdict, Verdict::nothing_to_do());
        let other = PrepareShipment { shipment_id: id(5), ..prepare() };
        assert_eq!(decide_prepare(None, &order, &other).expect_err("two").reason, Reason::ShipmentExists);
        let mut early = self::order();
        early.set_status(OrderStatus::Confirmed);
        assert_eq!(decide_prepare(None, &early, &prepare()).expect_err("early").reason, Reason::WrongState);
    }

    #[test]
    fn c23_what_was_not_picked_says_why() {
        let shipped = ship(&[(1, 1_000, ShortReason::NotFound)]).expect("shipped");
        assert_eq!((shipped.moved.order.value_minor, shipped.moved.credit.exposure_minor()), (300, 300));
        assert_eq!(shipped.shipment.lines[1].loaded_milli, 2_000, "not named: in full");
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
    fn a_full_delivery_closes_the_order() {
        let shipped = ship(&[]).expect("shipped");
        let done = deliver(&shipped, &arrived(&[])).expect("delivered");
        assert_eq!((done.shipment.state(), done.reclamation), (ShipmentState::Delivered, None));
        assert_eq!(
            (done.moved.order.status(), done.moved.order.fulfilment()),
            (OrderStatus::Closed, Fulfilment::Delivered)
        );
        assert_eq!(done.moved.credit.exposure_minor(), 500);
        let again = Decision { shipment: done.shipment, ..shipped };
        assert_eq!(deliver(&again, &arrived(&[])).expect_err("twice").reason, Reason::WrongState);
    }

    #[test]
    fn c23_a_short_delivery_opens_a_reclamation() {
        let shipped = ship(&[]).expect("shipped");
        let command = arrived(&[(1, 1_000, 1_000, RefusalReason::Damaged)]);
        let done = deliver(&shipped, &command).expect("delivered");
        assert_eq!((done.shipment.state(), done.moved.order.value_minor), (ShipmentState::PartlyDelivered, 300));
        let (reclamation_id, opened) = done.reclamation.expect("opened");
        assert_eq!((reclamation_id.as_bytes().to_vec(), done.shipment.reclamation_id), (id(77), id(77)));
        assert_eq!((opened.lines.len(), opened.lines[0].claimed_milli), (1, 2_000));
        assert_eq!(done.claims.claimed_milli(&id(1)), 2_000);
        let unnamed = DeliverShipment { reclamation_id: vec![], ..command };
        assert_eq!(deliver(&shipped, &unnamed).expect_err("no id").field, "reclamation_id");
        let refused = arrived(&[(1, 0, 3_000, RefusalReason::Late), (2, 0, 2_000, RefusalReason::Late)]);
        assert_eq!(deliver(&shipped, &refused).expect("refused").shipment.state(), ShipmentState::Refused);
    }

    #[test]
    fn a_delivery_that_was_not_attempted_opens_none() {
        let shipped = ship(&[]).expect("shipped");
        let command = DeliverShipment { not_attempted: true, ..arrived(&[]) };
        let done = deliver(&shipped, &command).expect("told");
        assert_eq!((done.shipment.state(), done.reclamation), (ShipmentState::NotAttempted, None));
        assert_eq!((done.moved.order.status(), done.moved.credit.exposure_minor()), (OrderStatus::Closed, 0));
        let both = DeliverShipment { not_attempted: true, ..arrived(&[(1, 0, 0, RefusalReason::Unspecified)]) };
        assert_eq!(deliver(&shipped, &both).expect_err("both").field, "lines");
    }

    proptest! {
        #[test]
        fn goods_are_conserved_and_nothing_panics(
            picked in any::<[i16; 2]>(), delivered in any::<[i16; 2]>(), refused in any::<[i16; 2]>(),
        ) {
            let reason = |short| if short { ShortReason::Damaged } else { ShortReason::Unspecified };
            let lines = [1, 2].map(|n| (n, i64::from(picked[usize::from(n) - 1]), reason(picked[usize::from(n) - 1] < 3_000 - 1_000 * i16::from(n - 1))));
            let Ok(shipped) = ship(&lines) else { return Ok(()) };
            let lines = [1, 2].map(|n: u8| {
                let at = usize::from(n) - 1;
                let reason = if refused[at] > 0 { RefusalReason::Price } else { RefusalReason::Unspecified };
                (n, i64::from(delivered[at]), i64::from(refused[at]), reason)
            });
            let Ok(done) = deliver(&shipped, &arrived(&lines)) else { return Ok(()) };
            for line in &done.shipment.lines {
                prop_assert!(line.delivered_milli + line.refused_milli <= line.loaded_milli);
                prop_assert!(line.loaded_milli <= line.ordered_milli);
            }
            let owed: i64 = done.moved.order.lines.iter().map(|line| line.amount_minor).sum();
            prop_assert_eq!(done.moved.credit.exposure_minor(), owed);
        }
    }
}
