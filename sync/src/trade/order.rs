//! Orders: submitting, calling off, releasing holds, and handing to the warehouse. [`edit`] merges changes, [`decide`]
//! confirms or holds, [`shortage`] knows what there is, `promote` judges what is off, [`hold`] knows why an order waits,
//! [`promise`] what was promised, [`fulfil`] follows the goods, [`request`] asks the warehouse.

mod answer;
pub mod decide;
mod duplicate;
pub mod edit;
pub mod fulfil;
pub mod hold;
pub mod promise;
mod promote;
pub mod request;
pub mod shortage;

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    Agreement, ApprovalLimit, CancelOrder, Hold, HoldReason, LinePromotion, NewOrderLine, Order, OrderLine,
    OrderStatus, Outlet, Product, Reason, ReleaseHold, ReleaseOrder, ReleaseReason, ShownPromotion, SubmitOrder, Visit,
};
use uuid::Uuid;

use self::decide::{Touch, Touched};
use self::promise::{Change, Will};
use super::capture::{Capture, Editor};
use super::chain::agreements_of;
use super::check;
use super::contract;
use super::credit::Credit;
use super::money::{self, Rate, Sum};
use super::price::{self, Known, List, UnitPrice};
use super::promotion;
use super::quota::{self, Quotas};
use super::rejection::Rejection;
use super::stock::{Available, reserved_by};
use super::verdict::Verdict;

/// An order's day may lie this long after the business date on which it was captured, and never before it, so that nobody
/// chooses an old price; its delivery this long after the order's day. In days.
const DAYS_AHEAD: i32 = 366;
/// So many promotions at most count on one line.
const LINE_PROMOTIONS: usize = 20;

/// A product of an order, with what is known about it.
#[derive(Clone, Debug)]
pub struct Goods<'a> {
    /// The product.
    pub product: &'a Product,
    /// Its prices in all lists of [`Setting::terms`] and in those from which these are computed, and the records that the
    /// lines name.
    pub prices: Vec<Known<'a>>,
    /// Its stock in the order's warehouse; `None`: not known there, and not checked.
    pub available: Option<Available>,
    /// How it is shared out there; `None`: whoever comes first gets it.
    pub quotas: Option<&'a Quotas>,
}

/// An agreement and its price list.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The agreement.
    pub agreement: &'a Agreement,
    /// The price list that it names.
    pub price_list: List<'a>,
    /// The list of the lowest prices, if that one names one.
    pub floor_list: Option<List<'a>>,
}

impl Terms<'_> {
    fn vat_included(&self) -> bool {
        self.price_list.list.vat_included
    }
}

/// What an order is decided by, beside order and command.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The order.
    pub order_id: Uuid,
    /// Its outlet; the survivor, if it was archived as a duplicate.
    pub outlet_id: Uuid,
    /// What the outlet is like.
    pub outlet: &'a Outlet,
    /// The agreements by which the outlet that the command names bought before; also when it was archived as a duplicate.
    pub former_agreement_ids: &'a [Vec<u8>],
    /// The order that it is suspected to repeat, as it is now. Only if it is held for that.
    pub other: Option<&'a Order>,
    /// The warehouse of the outlet's territory, which serves a new order.
    pub warehouse_id: Option<Uuid>,
    /// The order's agreement and, in an edit, the one that the editor wants.
    pub terms: &'a BTreeMap<Uuid, Terms<'a>>,
    /// All products of the order's lines, and of those that the command adds.
    pub goods: &'a BTreeMap<Uuid, Goods<'a>>,
    /// The promotions that may apply on the order's day, and those that the lines name.
    pub promotions: &'a [promotion::Known<'a>],
    /// The credit of the order's customer in the order's currency.
    pub credit: &'a Credit,
    /// How the command was captured. For a rule's own decision only `decided_at_us` counts.
    pub capture: &'a Capture,
    /// The company's grace for prices and promotions, in microseconds; see [`super::price::GRACE_US`].
    pub price_grace_us: i64,
}

impl Setting<'_> {
    /// A change of the order, by the issuer of the command.
    fn change(&self, will: Will) -> Change {
        Change { will, by: self.capture.by, at_us: self.capture.decided_at_us }
    }

    /// Whose shares of scarce goods an order may take from, and when.
    fn claimant<'b>(&'b self, order: &'b Order) -> quota::Claimant<'b> {
        quota::Claimant {
            order_id: self.order_id.as_bytes(),
            rep_id: &order.rep_id,
            territory_id: &self.outlet.territory_id,
            labels: &self.outlet.labels,
            day: self.capture.now.day,
            now_us: self.capture.decided_at_us,
        }
    }

    /// For so long what was shown is honoured after a change, in microseconds.
    fn grace_us(&self, terms: Terms<'_>) -> i64 {
        terms.agreement.price_grace_s.map_or(self.price_grace_us, |seconds| i64::from(seconds) * 1_000_000)
    }
}

/// What is to be stored of a decision about an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The order.
    pub order: Order,
    /// The credit of its customer.
    pub credit: Credit,
    /// The stock of its products, by product; only what changed.
    pub available: BTreeMap<Uuid, Available>,
    /// The outcome.
    pub verdict: Verdict,
}

/// Who releases a hold.
#[derive(Clone, Debug)]
pub struct Releaser {
    /// The user.
    pub user_id: Uuid,
    /// The user's name, for people.
    pub name: String,
    /// Of a supervisor, what the team's may approve; `None`: everything.
    pub limits: Option<Vec<ApprovalLimit>>,
}

impl Releaser {
    /// Refuses what goes beyond the limits. Credit is nobody's in a team who was not given it.
    fn may_release(&self, order: &Order, hold: &Hold) -> Result<(), Rejection> {
        let Some(limits) = &self.limits else { return Ok(()) };
        let Some(limit) = limits.iter().find(|limit| limit.reason == hold.reason) else {
            let forbidden = hold::is_credit(hold.reason());
            return if forbidden { Err(Rejection::new(Reason::RoleNotAllowed).field("reason")) } else { Ok(()) };
        };
        let sum_minor = at_stake(order, hold);
        if sum_minor <= limit.limit_minor {
            return Ok(());
        }
        let refused = Rejection::new(Reason::ApprovalLimit).field("reason");
        Err(refused.fact(None, "sum_minor", sum_minor).fact(None, "limit_minor", limit.limit_minor))
    }
}

/// What a release is about: what is above a credit limit, what is overdue, or else the order's value as it was told.
fn at_stake(order: &Order, hold: &Hold) -> i64 {
    let (limit, exposure) = (hold.limit_minor.unwrap_or_default(), hold.exposure_minor.unwrap_or_default());
    if hold::is_credit(hold.reason()) { exposure.saturating_sub(limit) } else { order.ordered_value_minor }
}

/// The form of what a team's supervisor may approve.
///
/// # Errors
/// For its form.
pub fn limits_form(limits: &[ApprovalLimit]) -> Result<(), Rejection> {
    let mut reasons = std::collections::BTreeSet::new();
    for (index, limit) in limits.iter().enumerate() {
        let reason: HoldReason = check::choice(limit.reason, "reason").map_err(check::at("approval_limits", index))?;
        check::range(limit.limit_minor, 0..=check::MONEY_MINOR, "limit_minor")
            .map_err(check::at("approval_limits", index))?;
        if !reasons.insert(reason) {
            return Err(Rejection::new(Reason::RepeatedId).field("approval_limits"));
        }
    }
    Ok(())
}

/// The form of an order that is handed in.
///
/// # Errors
/// For its form.
pub fn submit_form(command: &SubmitOrder, capture: &Capture) -> Result<(), Rejection> {
    check::id(&command.order_id, "order_id")?;
    check::id(&command.outlet_id, "outlet_id")?;
    check::id(&command.agreement_id, "agreement_id")?;
    check::optional_id(&command.visit_id, "visit_id")?;
    check::optional_id(&command.contract_id, "contract_id")?;
    check::currency(&command.currency, "currency")?;
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    let day = order_day(command, capture.business_day);
    let around = capture.business_day..=capture.business_day.saturating_add(DAYS_AHEAD);
    check::day(day, "order_day")?;
    check::range(day, around, "order_day")?;
    delivery_day_form(command.delivery_day, day, capture)?;
    if command.lines.is_empty() {
        return Err(check::missing("lines"));
    }
    check::count(command.lines.len(), check::LINES, "lines")?;
    let mut ids = Vec::new();
    for (index, line) in command.lines.iter().enumerate() {
        ids.push(new_line_form(line).map_err(check::at("lines", index))?);
    }
    check::unique(ids, "line_id")
}

/// The day of an order that is handed in on a business day.
#[must_use]
pub fn order_day(command: &SubmitOrder, business_day: i32) -> i32 {
    if command.order_day == 0 { business_day } else { command.order_day }
}

/// "As soon as possible" is for orders of the day: at the prices of a coming day no goods leave before it.
fn delivery_day_form(delivery_day: i32, order_day: i32, capture: &Capture) -> Result<(), Rejection> {
    if delivery_day == 0 {
        return if order_day > capture.business_day { Err(check::missing("delivery_day")) } else { Ok(()) };
    }
    check::range(delivery_day, order_day..=order_day.saturating_add(DAYS_AHEAD), "delivery_day")
}

fn new_line_form(line: &NewOrderLine) -> Result<Uuid, Rejection> {
    let id = check::id(&line.line_id, "line_id")?;
    check::id(&line.product_id, "product_id")?;
    check::text(&line.packaging_code, check::NAME_CHARS, "packaging_code")?;
    check::quantity(line.coefficient_milli, "coefficient_milli")?;
    check::quantity(line.quantity_milli, "quantity_milli")?;
    check::optional_id(&line.price_id, "price_id")?;
    check::range(line.price_version, 0..=i64::MAX, "price_version")?;
    check::money(line.shown_price_minor, "shown_price_minor")?;
    check::basis_points(line.discount_bp, "discount_bp")?;
    check::range(line.price_per_milli, 0..=check::QUANTITY_MILLI, "price_per_milli")?;
    shown_form(&line.promotions)?;
    Ok(id)
}

fn shown_form(promotions: &[ShownPromotion]) -> Result<(), Rejection> {
    check::count(promotions.len(), LINE_PROMOTIONS, "promotions")?;
    let mut ids = Vec::with_capacity(promotions.len());
    for (index, shown) in promotions.iter().enumerate() {
        ids.push(check::id(&shown.promotion_id, "promotion_id").map_err(check::at("promotions", index))?);
        check::range(shown.promotion_version, 0..=i64::MAX, "promotion_version")
            .and_then(|()| check::range(shown.discount_minor, 1..=check::MONEY_MINOR, "discount_minor"))
            .map_err(check::at("promotions", index))?;
    }
    check::unique(ids, "promotion_id")
}

/// Promotions as the rep saw them, before any decision about them.
fn shown_promotions(shown: &[ShownPromotion]) -> Vec<LinePromotion> {
    let promotion = |shown: &ShownPromotion| LinePromotion {
        promotion_id: shown.promotion_id.clone(),
        promotion_version: shown.promotion_version,
        discount_minor: shown.discount_minor,
        counted_minor: 0,
    };
    shown.iter().map(promotion).collect()
}

/// How a line is priced, at a price that need not be its own, with so much off by promotions.
fn rate(line: &OrderLine, price: UnitPrice, promotions_minor: i64, vat_included: bool) -> Rate {
    let UnitPrice { price_minor, per_milli } = price;
    let OrderLine { discount_bp, vat_bp, .. } = *line;
    Rate { price_minor, per_milli, promotions_minor, discount_bp, vat_bp, vat_included }
}

/// The price that the rep saw.
fn shown_price(line: &OrderLine) -> UnitPrice {
    UnitPrice { price_minor: line.shown_price_minor, per_milli: price::per(line.price_per_milli) }
}

/// What promotions take off what was ordered.
fn promised_minor(line: &OrderLine) -> i64 {
    line.promotions.iter().fold(0, |sum: i64, part| sum.saturating_add(part.discount_minor))
}

/// Sets what the confirmed quantity of a line comes to.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when it is too large.
fn price_confirmed(line: &mut OrderLine, vat_included: bool) -> Result<(), Rejection> {
    for part in &mut line.promotions {
        part.counted_minor = money::share(part.discount_minor, line.confirmed_milli, line.ordered_milli);
    }
    let counted = line.promotions.iter().fold(0, |sum: i64, part| sum.saturating_add(part.counted_minor));
    let price = UnitPrice { price_minor: line.price_minor, per_milli: price::per(line.price_per_milli) };
    let sum = money::line(line.confirmed_milli, rate(line, price, counted, vat_included))?;
    line.amount_minor = sum.amount_minor;
    line.vat_minor = sum.vat_minor;
    Ok(())
}

/// What a part of a line comes to: at the price that counts, with the same part of what promotions take off.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when it is too large.
pub fn part(line: &OrderLine, quantity_milli: i64, vat_included: bool) -> Result<Sum, Rejection> {
    let mut part = OrderLine { confirmed_milli: quantity_milli, ..line.clone() };
    price_confirmed(&mut part, vat_included)?;
    Ok(Sum { amount_minor: part.amount_minor, vat_minor: part.vat_minor })
}

/// What a part of a line is worth, tax included.
///
/// # Errors
/// As [`part`].
pub fn worth(line: &OrderLine, quantity_milli: i64, vat_included: bool) -> Result<i64, Rejection> {
    part(line, quantity_milli, vat_included).map(|sum| sum.amount_minor)
}

/// A rep or the office hands an order in (C1, C2, C5–C13, C15, C32). `current` is the order of this id, if there is one; `visit`
/// the one that the command names; `others` may be what the new one is suspected to repeat.
///
/// Without a cause to hold it, it is confirmed at once; otherwise it stays submitted. The customer is the agreement's,
/// or the outlet's under a standard agreement. Where the office names no price, the price list's counts; its promotions are
/// computed.
///
/// # Errors
/// For its form; `REASON_ID_TAKEN`, `REASON_MISMATCH`, `REASON_CURRENCY_MISMATCH`, `REASON_NOT_FOUND`.
pub fn decide_submit(
    current: Option<&Order>,
    visit: Option<&Visit>,
    by: Editor,
    command: &SubmitOrder,
    others: &[(Uuid, Order)],
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    submit_form(command, setting.capture)?;
    let order = handed_in(by, command, current, setting)?;
    if let Some(current) = current {
        if !same_content(current, &order, by) {
            return Err(Rejection::new(Reason::IdTaken).field("order_id"));
        }
        return Ok(unchanged(current, setting, Verdict::nothing_to_do()));
    }
    // Of a visit elsewhere not even that it is there is told.
    if !command.visit_id.is_empty() && visit.is_none_or(|visit| visit.outlet_id != order.outlet_id) {
        return Err(check::mismatch("visit_id"));
    }
    let touch = Touch { price_at_us: Some(setting.capture.captured_at_us), discount: true, ..Touch::default() };
    let lines = order.lines.iter().map(|line| (line.line_id.clone(), touch)).collect();
    let (by_office, suspected) = (by == Editor::Office, duplicate::suspect(&order, others));
    decide::decide(order, None, &Touched { lines, terms: true, fewer: false, by_office, suspected }, setting)
}

fn handed_in(
    by: Editor,
    command: &SubmitOrder,
    current: Option<&Order>,
    setting: &Setting<'_>,
) -> Result<Order, Rejection> {
    let agreement_id = check::id(&command.agreement_id, "agreement_id")?;
    let terms = agreed(agreement_id, setting)?;
    if command.currency != terms.agreement.currency {
        return Err(Rejection::new(Reason::CurrencyMismatch).field("currency"));
    }
    let named = setting.credit.contract(&command.contract_id);
    if !command.contract_id.is_empty()
        && !named.is_some_and(|named| contract::covers(&named.contract, &command.agreement_id))
    {
        return Err(check::mismatch("contract_id"));
    }
    let day = order_day(command, setting.capture.business_day);
    let mut lines = Vec::with_capacity(command.lines.len());
    for (index, line) in command.lines.iter().enumerate() {
        let mut line = new_line(line, terms, setting).map_err(check::at("lines", index))?;
        if by == Editor::Office && line.price_id.is_empty() && line.shown_price_minor == 0 {
            match current.and_then(|order| order.lines.iter().find(|known| known.line_id == line.line_id)) {
                // It comes once more, and has its price.
                Some(known) => price_as(&mut line, known),
                None => price_by_list(&mut line, day, terms, setting),
            }
        }
        lines.push(line);
    }
    let rep_id = match by {
        Editor::Rep(rep) => rep.as_bytes().to_vec(),
        Editor::Office => Vec::new(),
    };
    Ok(Order {
        outlet_id: setting.outlet_id.as_bytes().to_vec(),
        customer_id: customer(terms, setting.outlet)?.to_vec(),
        agreement_id: command.agreement_id.clone(),
        rep_id,
        visit_id: command.visit_id.clone(),
        order_day: day,
        delivery_day: command.delivery_day,
        currency: command.currency.clone(),
        comment: command.comment.clone(),
        fulfilment: roundsman_proto::trade::Fulfilment::None.into(),
        exchange: roundsman_proto::trade::Exchange::Received.into(),
        lines,
        submitted_at_us: setting.capture.captured_at_us,
        warehouse_id: setting.warehouse_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        contract_id: command.contract_id.clone(),
        ..Order::default()
    })
}

/// The terms of an agreement that the outlet lists, or did before (C15), or its duplicate that the command names (C13): whoever
/// took the order there may have known of no other.
fn agreed<'a>(agreement_id: Uuid, setting: &Setting<'a>) -> Result<Terms<'a>, Rejection> {
    let mut listed = agreements_of(setting.outlet).iter().chain(setting.former_agreement_ids);
    if !listed.any(|id| id == agreement_id.as_bytes()) {
        // Which outlet, says the command; a duplicate's survivor may be none of the rep's.
        return Err(check::mismatch("agreement_id").fact(None, "agreement_ids", "not listed"));
    }
    let found = setting.terms.get(&agreement_id).copied();
    let terms = found.ok_or_else(|| Rejection::new(Reason::NotFound).field("agreement_id"))?;
    if terms.price_list.list.currency != terms.agreement.currency {
        return Err(Rejection::new(Reason::CurrencyMismatch).field("agreement_id"));
    }
    Ok(terms)
}

/// Who owes for an order under these terms.
///
/// # Errors
/// `REASON_MISMATCH` under a standard agreement at an outlet without a customer.
pub fn customer<'a>(terms: Terms<'a>, outlet: &'a Outlet) -> Result<&'a [u8], Rejection> {
    let own = terms.agreement.customer_id.as_slice();
    let customer = if own.is_empty() { outlet.customer_id.as_slice() } else { own };
    if customer.is_empty() { Err(check::mismatch("agreement_id")) } else { Ok(customer) }
}

/// A line as it was handed in, before any decision about it.
fn new_line(line: &NewOrderLine, terms: Terms<'_>, setting: &Setting<'_>) -> Result<OrderLine, Rejection> {
    let product_id = check::id(&line.product_id, "product_id")?;
    let goods = setting.goods.get(&product_id);
    let goods = goods.ok_or_else(|| Rejection::new(Reason::NotFound).field("product_id").about(product_id))?;
    price_belongs(&line.price_id, &line.product_id, terms, goods)?;
    Ok(OrderLine {
        line_id: line.line_id.clone(),
        product_id: line.product_id.clone(),
        packaging_code: line.packaging_code.clone(),
        coefficient_milli: line.coefficient_milli,
        ordered_milli: line.quantity_milli,
        price_id: line.price_id.clone(),
        price_version: line.price_version,
        shown_price_minor: line.shown_price_minor,
        price_minor: line.shown_price_minor,
        price_per_milli: line.price_per_milli,
        discount_bp: line.discount_bp,
        promotions: shown_promotions(&line.promotions),
        vat_bp: goods.product.vat_bp,
        ..OrderLine::default()
    })
}

/// Gives a line the price of another one.
fn price_as(line: &mut OrderLine, known: &OrderLine) {
    line.price_id.clone_from(&known.price_id);
    line.price_version = known.price_version;
    (line.shown_price_minor, line.price_per_milli) = (known.shown_price_minor, known.price_per_milli);
}

/// Gives a line the price of the list, if there is one.
fn price_by_list(line: &mut OrderLine, day: i32, terms: Terms<'_>, setting: &Setting<'_>) {
    let goods = Uuid::from_slice(&line.product_id).ok().and_then(|product| setting.goods.get(&product));
    let known = goods.map(|goods| goods.prices.as_slice()).unwrap_or_default();
    let of_product = known.iter().filter(|known| known.price.product_id == line.product_id);
    let wanted = price::Wanted { quantity_milli: line.ordered_milli, packaging_code: &line.packaging_code, day };
    let prices = of_product.clone().map(|known| (known.id, known.price));
    let Some(quote) = price::quote(prices, &terms.price_list, &wanted) else { return };
    line.price_version = of_product.clone().find(|known| known.id == quote.price_id).map_or(0, |known| known.version);
    line.price_id = quote.price_id.as_bytes().to_vec();
    (line.shown_price_minor, line.price_per_milli) = (quote.rate.price_minor, quote.rate.per_milli);
    line.price_minor = line.shown_price_minor;
}

/// A price record that is known has to be of the line's product, and of the agreement's list or its base, if only of its
/// former one.
fn price_belongs(price_id: &[u8], product: &[u8], terms: Terms<'_>, goods: &Goods<'_>) -> Result<(), Rejection> {
    let named = goods.prices.iter().find(|known| known.id.as_bytes() == price_id);
    let belongs = named.is_none_or(|known| {
        let list = &known.price.price_list_id;
        let now = &terms.price_list.list.base_list_id;
        let until_now = terms.price_list.before.map(|(before, _)| &before.base_list_id);
        let of_list = *list == terms.agreement.price_list_id || list == now || Some(list) == until_now;
        known.price.product_id == product && of_list
    });
    if belongs { Ok(()) } else { Err(check::mismatch("price_id")) }
}

/// Whether an order says what the one that is handed in says, whatever was decided about it.
fn same_content(current: &Order, new: &Order, by: Editor) -> bool {
    let promotions = |line: &OrderLine| match by {
        Editor::Rep(_) => {
            line.promotions.iter().map(|part| LinePromotion { counted_minor: 0, ..part.clone() }).collect()
        }
        // They are computed, whatever is said.
        Editor::Office => Vec::new(),
    };
    let line = |line: &OrderLine| OrderLine {
        confirmed_milli: 0,
        reserved_milli: 0,
        shipped_milli: 0,
        delivered_milli: 0,
        refused_milli: 0,
        price_minor: 0,
        vat_bp: 0,
        amount_minor: 0,
        vat_minor: 0,
        difference: 0,
        quota: None,
        promotions: promotions(line),
        ..line.clone()
    };
    let head = |order: &Order| {
        let ids = [&order.outlet_id, &order.agreement_id, &order.rep_id, &order.visit_id].map(Clone::clone);
        (ids, order.order_day, order.delivery_day, order.currency.clone(), order.comment.clone())
    };
    let entered = |order: &Order| {
        let own = order.lines.iter().filter(|line| line.substitutes_line_id.is_empty());
        own.map(line).collect::<Vec<_>>()
    };
    head(current) == head(new) && entered(current) == entered(new)
}

fn unchanged(current: &Order, setting: &Setting<'_>, verdict: Verdict) -> Decision {
    Decision { order: current.clone(), credit: setting.credit.clone(), available: BTreeMap::new(), verdict }
}

/// An order that waits, once more, by a rule: a payment came, another order was called off, an outlet was unblocked, goods
/// have come. Holds whose cause has gone are released; of a confirmed or released order what it lacks is set aside.
///
/// # Errors
/// When its records don't suffice to decide it.
pub fn decide_again(current: &Order, setting: &Setting<'_>) -> Result<Decision, Rejection> {
    match current.status() {
        OrderStatus::Submitted => decide::decide(current.clone(), Some(current), &Touched::default(), setting),
        OrderStatus::Confirmed | OrderStatus::Released => shortage::replenish(current, setting),
        OrderStatus::Unspecified | OrderStatus::Draft => Ok(unchanged(current, setting, Verdict::nothing_to_do())),
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => {
            Ok(unchanged(current, setting, Verdict::nothing_to_do()))
        }
    }
}

/// A person releases one hold. What the hold was about then counts as it is: a shown price, a given discount, a sum
/// that was held against a limit, up to that sum. Everything else, credit first of all, is decided again.
///
/// # Errors
/// For its form; `REASON_MISSING_FIELD` for another reason than those with a name, without a comment; `REASON_HOLD_NOT_OPEN`, `REASON_ORDER_CLOSED`; `REASON_ROLE_NOT_ALLOWED` for a supervisor who would
/// decide about credit; `REASON_APPROVAL_LIMIT`.
pub fn decide_release_hold(
    current: &Order,
    command: &ReleaseHold,
    releaser: &Releaser,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    let reason: HoldReason = check::choice(command.reason, "reason")?;
    let release_reason: ReleaseReason = check::optional_choice(command.release_reason, "release_reason")?;
    if release_reason == ReleaseReason::Other {
        check::required_text(&command.comment, check::TEXT_CHARS, "comment")?;
    }
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    open_for_decisions(current)?;
    let open = hold::open(current, reason);
    let open = open.ok_or_else(|| Rejection::new(Reason::HoldNotOpen).fact(None, "reason", reason.as_str_name()))?;
    releaser.may_release(current, open)?;
    let mut order = current.clone();
    for hold in order.holds.iter_mut().filter(|hold| hold::is_open(hold) && hold.reason() == reason) {
        hold.released_at_us = setting.capture.decided_at_us.max(1);
        hold.released_by_id = releaser.user_id.as_bytes().to_vec();
        hold.released_by.clone_from(&releaser.name);
        hold.release_comment.clone_from(&command.comment);
        hold.set_release_reason(release_reason);
    }
    let decision = decide::decide(order, Some(current), &Touched::default(), setting)?;
    let short_of_credit = hold::open_reasons(&decision.order).contains(&HoldReason::CreditLimit);
    let verdict = if short_of_credit { Verdict::held(Reason::HeldCreditLimit) } else { Verdict::done() };
    Ok(Decision { verdict, ..decision })
}

/// Refuses what comes after an order's end.
fn open_for_decisions(order: &Order) -> Result<(), Rejection> {
    match order.status() {
        OrderStatus::Submitted | OrderStatus::Confirmed | OrderStatus::Released => Ok(()),
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => {
            Err(has_status(Reason::OrderClosed, order))
        }
        OrderStatus::Unspecified | OrderStatus::Draft => Err(has_status(Reason::WrongState, order)),
    }
}

/// Refuses edits of an order that the warehouse has (C4): it is asked ([`request`]).
fn open_for_edits(order: &Order) -> Result<(), Rejection> {
    open_for_decisions(order)?;
    if order.status() == OrderStatus::Released { Err(has_status(Reason::OrderReleased, order)) } else { Ok(()) }
}

fn has_status(reason: Reason, order: &Order) -> Rejection {
    Rejection::new(reason).fact(None, "status", order.status().as_str_name())
}

/// The form of a cancellation.
///
/// # Errors
/// For its form.
pub fn cancel_form(command: &CancelOrder) -> Result<(), Rejection> {
    check::required_text(&command.reason, check::TEXT_CHARS, "reason")
}

/// The rep or the office calls an order off. Its promises end, and so do its holds.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED`, `REASON_ORDER_RELEASED`, `REASON_ORDER_CLOSED`.
pub fn decide_cancel(
    current: &Order,
    editor: Editor,
    command: &CancelOrder,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    cancel_form(command)?;
    editor.may_touch(&current.rep_id)?;
    open_for_edits(current)?;
    cancel(current, &command.reason, editor.into(), setting)
}

fn cancel(current: &Order, reason: &str, will: Will, setting: &Setting<'_>) -> Result<Decision, Rejection> {
    let mut order = current.clone();
    order.set_status(OrderStatus::Cancelled);
    reason.clone_into(&mut order.status_reason);
    hold::release_all(&mut order, setting.capture.decided_at_us, "rule: the order was cancelled");
    let mut available = BTreeMap::new();
    for (product, goods) in setting.goods {
        let own = reserved_by(current, *product);
        let lines = current.lines.iter().filter(|line| line.product_id == product.as_bytes());
        let assigned = lines.fold(0_i64, |sum, line| sum.saturating_add(line.assigned_milli));
        if let Some(stock) = goods.available.filter(|_| own != 0 || assigned != 0) {
            available.insert(*product, stock.reserving(own, 0).picking(-assigned));
        }
    }
    for line in &mut order.lines {
        (line.reserved_milli, line.assigned_milli) = (0, 0);
    }
    promise::keep(Some(current), &mut order, setting.change(will));
    let credit = setting.credit.clone().with_order(setting.order_id, Some(current), &order)?;
    Ok(Decision { order, credit, available, verdict: Verdict::done() })
}

/// A confirmed order goes to the warehouse. `None`: it is there already.
///
/// # Errors
/// `REASON_ORDER_HELD`, `REASON_ORDER_CLOSED`; `REASON_NO_LINES` when nothing of it could be confirmed;
/// `REASON_STOCK_AWAITED` while something of it is not there, or nothing is if a part is to go.
pub fn decide_release_order(current: &Order, command: &ReleaseOrder) -> Result<Option<Order>, Rejection> {
    check::id(&command.order_id, "order_id")?;
    open_for_decisions(current)?;
    if current.status() == OrderStatus::Released {
        return Ok(None);
    }
    let open = hold::open_reasons(current);
    if !open.is_empty() || current.status() != OrderStatus::Confirmed {
        let held = Rejection::new(Reason::OrderHeld);
        return Err(open.iter().fold(held, |held, reason| held.fact(None, "hold", reason.as_str_name())));
    }
    if current.lines.iter().all(|line| line.confirmed_milli <= 0) {
        return Err(Rejection::new(Reason::NoLines));
    }
    let goes = current.lines.iter().any(|line| fulfil::can_be_shipped(line) > 0);
    if shortage::is_back_ordered(current) && !(command.partly && goes) {
        return Err(Rejection::new(Reason::StockAwaited));
    }
    let mut order = current.clone();
    order.set_status(OrderStatus::Released);
    Ok(Some(order))
}

#[cfg(test)]
mod tests;
