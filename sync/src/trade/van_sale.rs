//! Sales from the van. The goods are with the customer, so nothing is refused or held: an order, priced as others are, goes at once
//! through all that happens to goods, by the same rules, and what would have held it is written down.

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    DeliverShipment, Order, OrderStatus, PrepareShipment, Reason, SellFromVan, ShipShipment, Shipment, ShortageRule,
    SubmitOrder, Visit,
};
use uuid::Uuid;

use super::capture::Editor;
use super::check;
use super::credit::Credit;
use super::order::fulfil::{Books, Mover, Ordered};
use super::order::promise::{self, Change, Will};
use super::order::{self, Goods, Setting, hold};
use super::reclamation::Claims;
use super::rejection::Rejection;
use super::shipment;
use super::stock::Available;
use super::stock_keeping::Figures;
use super::verdict::Verdict;

/// Who has released what would have held an order that was sold.
pub const HANDED_OVER: &str = "rule: the goods are with the customer";

/// What a sale is decided by, beside [`Setting`].
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// The order of this id, if there is one.
    pub order: Option<&'a Order>,
    /// The shipment of this id, if there is one.
    pub shipment: Option<&'a Shipment>,
    /// The visit that the order names.
    pub visit: Option<&'a Visit>,
    /// What the order may be suspected to repeat.
    pub others: &'a [(Uuid, Order)],
    /// The rep who sells.
    pub rep: Uuid,
}

/// What is to be stored of a sale.
#[derive(Clone, Debug, PartialEq)]
pub struct Sold {
    /// The order, at its end.
    pub order: Order,
    /// The shipment that brought it.
    pub shipment: Shipment,
    /// The credit of the customer.
    pub credit: Credit,
    /// What the van has of the products now.
    pub figures: Figures,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a sale that was captured on this business date. Returns what was sold, and the id of its shipment.
///
/// # Errors
/// For its form.
pub fn form(command: &SellFromVan, business_day: i32) -> Result<(&SubmitOrder, Uuid), Rejection> {
    let sold = command.order.as_ref().ok_or_else(|| check::missing("order"))?;
    let shipment = check::id(&command.shipment_id, "shipment_id")?;
    check::id(&command.warehouse_id, "warehouse_id")?;
    let today =
        |day: i32, field: &str| if day == 0 { Ok(()) } else { check::range(day, business_day..=business_day, field) };
    today(sold.order_day, "order_day")?;
    today(sold.delivery_day, "delivery_day")?;
    Ok((sold, shipment))
}

/// Goods were sold out of a van. `setting` has the van's stock. `None`: that is known already.
///
/// # Errors
/// As [`order::decide_submit`]; `REASON_ID_TAKEN` for a shipment that is there.
pub fn decide(command: &SellFromVan, sale: Sale<'_>, setting: &Setting<'_>) -> Result<Option<Sold>, Rejection> {
    let capture = setting.capture;
    let (sold, shipment_id) = form(command, capture.business_day)?;
    let order_id = setting.order_id;
    // Nobody asks the stock: what is with the customer was there.
    let goods: BTreeMap<Uuid, Goods<'_>> =
        setting.goods.iter().map(|(id, of)| (*id, Goods { available: None, quotas: None, ..of.clone() })).collect();
    let unchecked = Setting { goods: &goods, ..*setting };
    let by = Editor::Rep(sale.rep);
    let handed_in = order::decide_submit(sale.order, sale.visit, by, sold, sale.others, &unchecked)?;
    let taken = || Rejection::new(Reason::IdTaken).field("shipment_id");
    match (sale.order, sale.shipment) {
        (Some(order), _) if order.shipment_id != command.shipment_id => return Err(taken()),
        (Some(_), _) => return Ok(None),
        (None, Some(_)) => return Err(taken()),
        (None, None) => {}
    }
    let held = hold::open_reasons(&handed_in.order);
    let order = given(handed_in.order, setting);
    let credit = setting.credit.clone().with_order(order_id, None, &order)?;
    let mover = Mover { by: capture.by, now_us: capture.decided_at_us };
    let (shipment, order, books) = delivered((order_id, order), (shipment_id, command), credit, (setting, mover))?;
    let mut verdict = Verdict::fact_taken(!held.is_empty() || capture.outside_assignment);
    for reason in held {
        verdict = verdict.fact(None, "hold", reason.as_str_name());
    }
    for (product, left) in books.available.iter().filter(|(_, left)| left.on_hand_milli < 0) {
        verdict =
            Verdict { reason: Reason::Flagged, ..verdict }.fact(Some(*product), "on_hand_milli", left.on_hand_milli);
    }
    Ok(Some(Sold { order, shipment, credit: books.credit, figures: books.available, verdict }))
}

/// The order as it stands when the goods change hands: promised for today, whatever would have held it.
fn given(order: Order, setting: &Setting<'_>) -> Order {
    let at_us = setting.capture.decided_at_us;
    let mut order = Order { promised_day: order.order_day, ..order };
    hold::release_all(&mut order, at_us, HANDED_OVER);
    order.set_status(OrderStatus::Confirmed);
    promise::keep(None, &mut order, Change { will: Will::Customer, by: setting.capture.by, at_us });
    order.set_status(OrderStatus::Released);
    order
}

/// The goods are put into a shipment, leave the van and arrive.
fn delivered(
    (order_id, order): (Uuid, Order),
    (shipment_id, command): (Uuid, &SellFromVan),
    credit: Credit,
    (setting, mover): (&Setting<'_>, Mover),
) -> Result<(Shipment, Order, Books), Rejection> {
    let at_us = setting.capture.captured_at_us;
    let id = shipment_id.as_bytes().to_vec();
    let asked = PrepareShipment {
        shipment_id: id.clone(),
        order_id: order_id.as_bytes().to_vec(),
        ..PrepareShipment::default()
    };
    let vat_included = Uuid::from_slice(&order.agreement_id)
        .ok()
        .and_then(|agreement| setting.terms.get(&agreement))
        .is_some_and(|terms| terms.price_list.list.vat_included);
    let prepared = shipment::decide_prepare(None, &[(order_id, &order)], &asked)?;
    let available = loaded(&prepared.shipment, setting);
    let shortage_rule = ShortageRule::Unspecified;
    let orders = prepared.orders.into_iter();
    let orders = orders.map(|(id, order)| Ordered { id, order, vat_included, shortage_rule }).collect();
    let shipment = Shipment { prepared_at_us: mover.now_us, ..prepared.shipment };
    let goods = shipment::Goods { shipment, orders, books: Books { credit, available }, claims: Claims::default() };
    let left = ShipShipment { shipment_id: id.clone(), ..ShipShipment::default() };
    let goods = shipment::decide_ship(goods, &left, at_us, mover)?.goods;
    let arrived = DeliverShipment { shipment_id: id, proof: command.proof.clone(), ..DeliverShipment::default() };
    let shipment::Goods { shipment, orders, books, .. } =
        shipment::decide_deliver(goods, &arrived, at_us, mover)?.goods;
    let order = orders.into_iter().next().map_or(order, |ordered| ordered.order);
    Ok((shipment, order, books))
}

/// What the van has of a shipment's products, with what the shipment takes; what nobody knew of until now was there as well.
fn loaded(shipment: &Shipment, setting: &Setting<'_>) -> Figures {
    let mut figures = Figures::new();
    for line in &shipment.lines {
        let Ok(product) = Uuid::from_slice(&line.product_id) else { continue };
        let known = setting.goods.get(&product).and_then(|goods| goods.available);
        let of_van = figures.entry(product).or_insert_with(|| Available {
            exact: true,
            known: true,
            ..known.unwrap_or_default()
        });
        *of_van = of_van.picking(line.ordered_milli);
    }
    figures
}
