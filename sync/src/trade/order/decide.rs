//! The decision about an order: what can be confirmed, what it comes to, and why it has to wait.
//!
//! What is decided anew, and what is left as it was promised:
//! - A line's price and discount are decided when the line was touched, and as long as a hold about them is open. Its
//!   promotions are, whenever any line was: what is off one may depend on the others.
//! - A line's confirmed quantity of a confirmed order is left alone unless the line was touched; it is never lowered
//!   below what the order has reserved. A held order reserves nothing more than it had before ([`super::shortage`]).
//! - Credit, overdue debt and a blocked outlet hold a confirmed order only if its value grows, or if it is made under another
//!   contract.
//! - The contract is chosen when the terms were touched, and as long as a hold about them is open.
//! - What a person has agreed to by releasing a hold is not held again: a line as long as it is not touched, a sum as
//!   long as it is not worse than the one that was agreed to.

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    Agreement, Contract, Hold, HoldReason, LineDifference, Order, OrderLine, OrderStatus, Outlet, Reason,
};
use uuid::Uuid;

use super::hold::{self, Cause};
use super::promise::{self, Will};
use super::{Decision, Goods, Setting, Terms, price_confirmed, promised_minor, rate, shown_price};
use super::{answer, duplicate, promote, shortage};
use crate::trade::chain::agreements_of;
use crate::trade::check;
use crate::trade::contract::{self, Standing};
use crate::trade::credit::{CreditTerms, OverLimit, owed};
use crate::trade::delivery;
use crate::trade::money::{self, Sum};
use crate::trade::price::{self, Judgement, Known, Occasion, Shown, UnitPrice, Wanted};
use crate::trade::rejection::Rejection;
use crate::trade::verdict::Verdict;

/// What was touched of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The shown price is to be judged as of this moment; `None`: not because of this touch.
    pub price_at_us: Option<i64>,
    /// The discount is to be judged.
    pub discount: bool,
    /// The office has set the price: it counts.
    pub price_settled: bool,
    /// The office has set the discount: it counts.
    pub discount_settled: bool,
}

/// What a command has touched of an order; nothing, when a rule decides again.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// The lines, by their ids.
    pub lines: BTreeMap<Vec<u8>, Touch>,
    /// The agreement.
    pub terms: bool,
    /// A line was taken out.
    pub fewer: bool,
    /// The office has done it.
    pub by_office: bool,
    /// Why it may be there already.
    pub suspected: Option<Cause>,
}

impl Touched {
    /// Whether anything is decided anew that lines say.
    pub(super) fn any(&self) -> bool {
        !self.lines.is_empty() || self.terms || self.fewer
    }
}

/// A line, with what the decision needs.
pub(super) struct Item<'a> {
    pub(super) line: OrderLine,
    pub(super) product_id: Uuid,
    pub(super) goods: &'a Goods<'a>,
    pub(super) touch: Option<Touch>,
    /// What of the confirmed quantity is there; the rest of a back-order follows.
    pub(super) granted_milli: i64,
    /// The sum at the price and with the promotions that the rep saw, of all that was ordered.
    pub(super) ordered: Sum,
    /// The price in force, where the shown one does not count by itself.
    pub(super) disputed: Option<Option<UnitPrice>>,
}

/// Decides an order. `before` is the order before the command, if there was one.
///
/// # Errors
/// `REASON_NOT_FOUND` when a record is missing in `setting`; `REASON_OUT_OF_RANGE` when a sum is too large.
pub fn decide(
    order: Order,
    before: Option<&Order>,
    touched: &Touched,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    let terms = terms(&order, setting)?;
    let mut items = Vec::with_capacity(order.lines.len());
    for line in &order.lines {
        items.push(item(line, &order, touched, terms, setting)?);
    }
    let unearned = promote::settle(&mut items, &order, touched, terms, setting)?;
    let short = shortage::confirm(&mut items, before, terms, &order, setting);
    for item in &mut items {
        item.ordered = ordered(&item.line, promised_minor(&item.line), terms)?;
        price_confirmed(&mut item.line, terms.vat_included())?;
    }
    let mut order = Order {
        value_minor: money::total(items.iter().map(|item| item.line.amount_minor))?,
        ordered_value_minor: money::total(items.iter().map(|item| item.ordered.amount_minor))?,
        ..order
    };
    let standing = standing(&order, touched, setting);
    if let Standing::Under(contract) = standing {
        order.contract_id = contract.as_bytes().to_vec();
    }
    let mut causes = line_causes(&items, &order, terms)?;
    causes.extend(promote::cause(&items, &order, before, &unearned, terms, setting)?);
    causes.extend(short.causes);
    causes.extend(touched.suspected.clone().or_else(|| duplicate::still(&order, setting.other)));
    causes.extend(head_causes(&items, &order, before, (touched, standing), terms, setting));
    order.holds = hold::follow(&order.holds, &causes, setting.capture.decided_at_us);
    let open = hold::open_reasons(&order);
    order.promised_day = match before.filter(|before| !open.is_empty() && before.promised_at_us != 0) {
        // What was promised stands, until something else is.
        Some(before) => before.promised_day,
        None => promised_day(&order, before, terms, setting),
    };
    order.set_status(if open.is_empty() { OrderStatus::Confirmed } else { OrderStatus::Submitted });
    let available = shortage::reserve(&mut items, open.is_empty(), before, setting);
    let partly = items
        .iter()
        .map(|item| &item.line)
        .any(|line| line.confirmed_milli < line.ordered_milli || line.difference() == LineDifference::BackOrdered);
    let verdict = match hold::outcome(&open) {
        Some(reason) => Verdict::held(reason),
        None if partly => Verdict::applied(Reason::PartlyConfirmed),
        None => day_verdict(&order, before),
    };
    let verdict = match short.share_out_at_us {
        Some(at_us) => verdict.fact(None, "share_out_at_us", at_us),
        None => verdict,
    };
    let verdict = answer::tell(&items, verdict);
    order.lines = items.into_iter().map(|item| item.line).collect();
    // What a rep edits the customer wants; a rule or a person in the office decides for the company.
    let will = if touched.any() && !touched.by_office { Will::Customer } else { Will::Company };
    promise::keep(before, &mut order, setting.change(will));
    let credit = setting.credit.clone().with_order(setting.order_id, before, &order)?;
    Ok(Decision { order, credit, available, verdict })
}

/// The day that is promised: of a promised order another one only if another one is wanted, or under other terms.
pub(super) fn promised_day(order: &Order, before: Option<&Order>, terms: Terms<'_>, setting: &Setting<'_>) -> i32 {
    let asked = |order: &Order| (order.delivery_day, order.agreement_id.clone());
    match promised(before).filter(|before| asked(before) == asked(order)) {
        Some(promised) => promised.promised_day,
        None => delivery::promised_day(terms.agreement, order.order_day, order.delivery_day, setting.capture.now),
    }
}

/// What is said of a day that is promised now.
pub(super) fn day_verdict(order: &Order, before: Option<&Order>) -> Verdict {
    let is_new = before.is_none_or(|before| before.promised_day != order.promised_day);
    if is_new && order.delivery_day != 0 && order.promised_day > order.delivery_day {
        Verdict::applied(Reason::DeliveryLater).fact(None, "promised_day", order.promised_day)
    } else {
        Verdict::done()
    }
}

/// The order as it was promised, if it was.
pub(super) fn promised(before: Option<&Order>) -> Option<&Order> {
    before.filter(|order| order.status() == OrderStatus::Confirmed)
}

fn terms<'a>(order: &Order, setting: &Setting<'a>) -> Result<Terms<'a>, Rejection> {
    let id = check::id(&order.agreement_id, "agreement_id")?;
    setting.terms.get(&id).copied().ok_or_else(|| Rejection::new(Reason::NotFound).field("agreement_id").about(id))
}

/// What all that was ordered comes to as it was shown, with so much off by promotions.
pub(super) fn ordered(line: &OrderLine, promotions_minor: i64, terms: Terms<'_>) -> Result<Sum, Rejection> {
    money::line(line.ordered_milli, rate(line, shown_price(line), promotions_minor, terms.vat_included()))
}

fn item<'a>(
    line: &OrderLine,
    order: &Order,
    touched: &Touched,
    terms: Terms<'_>,
    setting: &Setting<'a>,
) -> Result<Item<'a>, Rejection> {
    let product_id = check::id(&line.product_id, "product_id")?;
    let goods = setting.goods.get(&product_id);
    let goods = goods.ok_or_else(|| Rejection::new(Reason::NotFound).field("product_id").about(product_id))?;
    let touch = touched.lines.get(&line.line_id).copied();
    let mut line = line.clone();
    if touch.is_some() {
        line.vat_bp = goods.product.vat_bp;
        line.price_minor = line.shown_price_minor;
    }
    let disputed = disputed(&line, touch, order, terms, goods, setting.grace_us(terms));
    Ok(Item { line, product_id, goods, touch, granted_milli: 0, ordered: Sum::default(), disputed })
}

/// The price in force, if the shown one does not count (C5). A line that nobody touched stays disputed until the price
/// that it shows is in force again.
fn disputed(
    line: &OrderLine,
    touch: Option<Touch>,
    order: &Order,
    terms: Terms<'_>,
    goods: &Goods<'_>,
    grace_us: i64,
) -> Option<Option<UnitPrice>> {
    if touch.is_some_and(|touch| touch.price_settled) {
        return None;
    }
    let captured_at_us = touch.and_then(|touch| touch.price_at_us);
    let waiting = is_among(hold::open(order, HoldReason::Price), line);
    if captured_at_us.is_none() && !waiting {
        return None;
    }
    let of_product = |known: &&Known<'_>| known.price.product_id == line.product_id;
    let prices: Vec<Known<'_>> = goods.prices.iter().filter(of_product).copied().collect();
    let shown =
        Shown { price_id: Uuid::from_slice(&line.price_id).ok(), version: line.price_version, rate: shown_price(line) };
    let on = Occasion { wanted: wanted(line, order), captured_at_us: captured_at_us.unwrap_or(i64::MAX), grace_us };
    match (price::judge(&shown, &prices, &terms.price_list, &on), captured_at_us) {
        (Judgement::InForce, _) | (Judgement::Honoured(_), Some(_)) => None,
        (Judgement::Honoured(current), None) | (Judgement::Held(current), _) => Some(current),
    }
}

pub(super) fn wanted<'a>(line: &'a OrderLine, order: &Order) -> Wanted<'a> {
    Wanted { quantity_milli: line.ordered_milli, packaging_code: &line.packaging_code, day: order.order_day }
}

pub(super) fn is_among(hold: Option<&Hold>, line: &OrderLine) -> bool {
    hold.is_some_and(|hold| hold.line_ids.is_empty() || hold.line_ids.contains(&line.line_id))
}

/// Whether a person has agreed to what a line was held for. If it is held for that again, it has become something else.
pub(super) fn is_agreed(order: &Order, reason: HoldReason, line: &OrderLine) -> bool {
    is_among(hold::agreed(order, reason), line) && !is_among(hold::open(order, reason), line)
}

/// Causes that concern lines: price, discount, lowest price, withdrawn product.
fn line_causes(items: &[Item<'_>], order: &Order, terms: Terms<'_>) -> Result<Vec<Cause>, Rejection> {
    let ids = |found: &[&Item<'_>]| found.iter().map(|item| item.line.line_id.clone()).collect::<Vec<_>>();
    let judged = |item: &Item<'_>, reason, touched: bool| touched || is_among(hold::open(order, reason), &item.line);
    let mut causes = Vec::new();
    let priced: Vec<&Item<'_>> = items.iter().filter(|item| item.disputed.is_some()).collect();
    if !priced.is_empty() {
        causes.push(price_cause(&priced, order, items, terms)?.lines(ids(&priced)));
    }
    let limit = terms.agreement.manual_discount_limit_bp;
    let generous = |item: &&Item<'_>| {
        let settled = item.touch.is_some_and(|touch| touch.discount_settled);
        let touched = item.touch.is_some_and(|touch| touch.discount);
        item.line.discount_bp > limit.max(0) && !settled && judged(item, HoldReason::Discount, touched)
    };
    let generous: Vec<&Item<'_>> = items.iter().filter(generous).collect();
    if let Some(most) = generous.iter().map(|item| item.line.discount_bp).max() {
        let facts = format!("a discount of {most} basis points is above the agreement's {limit}");
        causes.push(Cause::new(HoldReason::Discount, facts).lines(ids(&generous)));
    }
    causes.extend(floor_cause(items, order, terms));
    let withdrawn = |item: &&Item<'_>| {
        item.goods.product.withdrawn && judged(item, HoldReason::ProductWithdrawn, item.touch.is_some())
    };
    let withdrawn: Vec<&Item<'_>> = items.iter().filter(withdrawn).collect();
    if !withdrawn.is_empty() {
        let facts = "a product is no longer sold".to_owned();
        let successor_id = match withdrawn.as_slice() {
            [item] => item.goods.product.successor_id.clone(),
            _ => Vec::new(),
        };
        let cause = Cause::new(HoldReason::ProductWithdrawn, facts).lines(ids(&withdrawn));
        causes.push(Cause { successor_id, ..cause });
    }
    Ok(causes)
}

/// Lines whose price, discount by hand included, is below the lowest one (C8). What promotions take off is the office's
/// own doing.
fn floor_cause(items: &[Item<'_>], order: &Order, terms: Terms<'_>) -> Option<Cause> {
    let floor_list = terms.floor_list?;
    let lowest = |item: &Item<'_>| {
        let of_product = item.goods.prices.iter().filter(|known| known.price.product_id == item.line.product_id);
        let prices = of_product.map(|known| (known.id, known.price));
        price::quote(prices, &floor_list, &wanted(&item.line, order)).map(|quote| quote.rate)
    };
    let judged = |item: &Item<'_>| match item.touch {
        Some(touch) => !touch.price_settled && !touch.discount_settled,
        None => is_among(hold::open(order, HoldReason::BelowFloor), &item.line),
    };
    let low: Vec<(&Item<'_>, UnitPrice)> = items
        .iter()
        .filter(|item| judged(item))
        .filter_map(|item| lowest(item).filter(|floor| is_below(&item.line, *floor)).map(|floor| (item, floor)))
        .collect();
    let (item, floor) = low.first()?;
    let offered =
        money::share(item.line.price_minor, i64::from(check::WHOLE_BP - item.line.discount_bp), check::WHOLE_BP.into());
    let facts = match low.as_slice() {
        [_] => format!("the price of {offered} after the discount is below the lowest of {}", floor.price_minor),
        [_, _, ..] => format!(
            "the prices of {} lines are below the lowest ones, the first by {}",
            low.len(),
            floor.price_minor.saturating_sub(offered)
        ),
        [] => return None,
    };
    let cause = Cause::new(HoldReason::BelowFloor, facts)
        .lines(low.iter().map(|(item, _)| item.line.line_id.clone()).collect());
    Some(Cause { shown_minor: Some(offered), current_minor: Some(floor.price_minor), ..cause })
}

/// Whether the price of a line after its discount is below another price, exactly.
fn is_below(line: &OrderLine, floor: UnitPrice) -> bool {
    let whole = i128::from(check::WHOLE_BP);
    let offered = i128::from(line.price_minor) * (whole - i128::from(line.discount_bp)) * i128::from(floor.per_milli);
    offered < i128::from(floor.price_minor) * whole * i128::from(price::per(line.price_per_milli))
}

/// For one line the unit prices, for several the order's value as shown and as it would be at the prices in force.
fn price_cause(disputed: &[&Item<'_>], order: &Order, all: &[Item<'_>], terms: Terms<'_>) -> Result<Cause, Rejection> {
    let (shown, current) = match disputed {
        [item] => (item.line.shown_price_minor, item.disputed.flatten().map(|price| price.price_minor)),
        _ => {
            let mut sums = Vec::with_capacity(all.len());
            for item in all {
                let price = item.disputed.flatten().unwrap_or(shown_price(&item.line));
                let rate = rate(&item.line, price, promised_minor(&item.line), terms.vat_included());
                sums.push(money::line(item.line.ordered_milli, rate)?.amount_minor);
            }
            (order.ordered_value_minor, Some(money::total(sums)?))
        }
    };
    let facts = match current {
        Some(current) => {
            format!("shown {shown}, in force {current}, difference {}", current.saturating_sub(shown))
        }
        None => format!("shown {shown}, and the price list has no price for it"),
    };
    let cause = Cause::new(HoldReason::Price, facts);
    Ok(Cause { shown_minor: Some(shown), current_minor: current, ..cause })
}

/// Causes that concern the whole order: minimum, terms, outlet, debt.
fn head_causes(
    items: &[Item<'_>],
    order: &Order,
    before: Option<&Order>,
    (touched, standing): (&Touched, Standing<'_>),
    terms: Terms<'_>,
    setting: &Setting<'_>,
) -> Vec<Cause> {
    let agreement = terms.agreement;
    let is_open = |reason| hold::open(order, reason).is_some();
    let mut causes = Vec::new();
    let (value, minimum) = (order.ordered_value_minor, agreement.minimum_order_minor);
    let judged = touched.any() || is_open(HoldReason::MinimumSum);
    if judged && value < minimum && agreed(order, HoldReason::MinimumSum).is_none_or(|agreed| value < agreed) {
        let facts = format!("the order's value of {value} is below the minimum of {minimum}");
        causes.push(Cause::new(HoldReason::MinimumSum, facts).limit(minimum, value));
    }
    if judges_terms(order, touched) {
        causes.extend(terms_cause(items, order, agreement, standing, setting));
    }
    let as_promised =
        |promised: &Order| order.value_minor <= promised.value_minor && order.contract_id == promised.contract_id;
    if promised(before).is_some_and(as_promised) {
        return causes;
    }
    let blocked_before = hold::agreed(order, HoldReason::OutletBlocked).is_some();
    if setting.outlet.blocked && (!blocked_before || outgrown(order, HoldReason::OutletBlocked)) {
        let facts = format!("the outlet is blocked: {}", setting.outlet.blocked_reason);
        causes.push(Cause { exposure_minor: Some(value), ..Cause::new(HoldReason::OutletBlocked, facts) });
    }
    causes.extend(debt_causes(order, before, agreement, setting));
    causes
}

/// Says what the order would come to under the agreement that follows: at its prices, with the same promotions and discounts
/// (C15). Where it has no price for a line, nobody knows.
fn succeeded(cause: Cause, items: &[Item<'_>], order: &Order, agreement: &Agreement, setting: &Setting<'_>) -> Cause {
    let successor = Uuid::from_slice(&agreement.successor_id).ok().and_then(|id| setting.terms.get(&id).copied());
    let Some(terms) = successor else { return cause };
    let amount = |item: &Item<'_>| {
        let of_product = item.goods.prices.iter().filter(|known| known.price.product_id == item.line.product_id);
        let prices = of_product.map(|known| (known.id, known.price));
        let price = price::quote(prices, &terms.price_list, &wanted(&item.line, order))?.rate;
        let rate = rate(&item.line, price, promised_minor(&item.line), terms.vat_included());
        money::line(item.line.ordered_milli, rate).ok().map(|sum| sum.amount_minor)
    };
    let own = items.iter().filter(|item| item.line.substitutes_line_id.is_empty());
    let amounts: Option<Vec<i64>> = own.map(amount).collect();
    let current_minor = amounts.and_then(|amounts| money::total(amounts).ok());
    let shown_minor = Some(order.ordered_value_minor);
    Cause { successor_id: agreement.successor_id.clone(), shown_minor, current_minor, ..cause }
}

/// Whether the terms of an order are decided anew: they were touched, it waits for them, or it comes to more than somebody has
/// agreed to.
fn judges_terms(order: &Order, touched: &Touched) -> bool {
    touched.terms || hold::open(order, HoldReason::TermsExpired).is_some() || outgrown(order, HoldReason::TermsExpired)
}

/// Whether an order comes to more than when a person released this hold.
fn outgrown(order: &Order, reason: HoldReason) -> bool {
    let agreed = hold::agreed(order, reason);
    agreed.is_some_and(|hold| order.ordered_value_minor > hold.exposure_minor.unwrap_or_default())
}

/// How an order stands to its customer's contracts. Once it has its terms it stays under the contract under which it was made.
fn standing<'a>(order: &Order, touched: &Touched, setting: &Setting<'a>) -> Standing<'a> {
    if !judges_terms(order, touched) {
        return Standing::Free;
    }
    contract::standing(setting.credit.contracts(), &order.contract_id, &order.agreement_id, order.order_day)
}

/// A contract under which an order can't be made, and what follows it (C15).
fn expired_contract(contract: &Contract, order: &Order, setting: &Setting<'_>) -> String {
    let (number, from, to) = (&contract.number, contract.valid_from_day, contract.valid_to_day);
    let why = if contract.closed {
        format!("the contract {number} is closed")
    } else {
        format!(
            "the contract {number} is valid from day {from} to day {to}, and the order is of day {}",
            order.order_day
        )
    };
    match setting.credit.contract(&contract.successor_id) {
        Some(successor) => format!("{why}; the contract {} follows it", successor.contract.number),
        None => why,
    }
}

/// The agreement is not what the outlet buys by: it is not valid on the order's day (C15), or the outlet does not list it (C13); or
/// the customer has contracts for it, of which none is valid.
fn terms_cause(
    items: &[Item<'_>],
    order: &Order,
    agreement: &Agreement,
    standing: Standing<'_>,
    setting: &Setting<'_>,
) -> Option<Cause> {
    let (from, to, day) = (agreement.valid_from_day, agreement.valid_to_day, order.order_day);
    let valid = (from == 0 || from <= day) && (to == 0 || day <= to);
    let invalid = || format!("the agreement is valid from day {from} to day {to}, and the order is of day {day}");
    let unlisted = || {
        "the outlet does not list the agreement; a duplicate that was merged into it did, or itself before".to_owned()
    };
    let expired = match standing {
        Standing::Expired(contract) => Some(contract),
        Standing::Free | Standing::Under(_) => None,
    };
    let uncovered = expired.map(|contract| expired_contract(contract, order, setting));
    let facts = [(!valid).then(invalid), (!is_listed(order, setting.outlet)).then(unlisted), uncovered];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let cause = (!facts.is_empty()).then(|| Cause::new(HoldReason::TermsExpired, facts.join("; ")))?;
    let cause = Cause { exposure_minor: Some(order.ordered_value_minor), ..cause };
    let successor_id = expired.map(|contract| contract.successor_id.clone()).unwrap_or_default();
    Some(if valid { Cause { successor_id, ..cause } } else { succeeded(cause, items, order, agreement, setting) })
}

/// Whether an order is under an agreement that the outlet lists.
fn is_listed(order: &Order, outlet: &Outlet) -> bool {
    agreements_of(outlet).contains(&order.agreement_id)
}

/// A limit of an order that does not suffice.
struct Exceeded {
    limit_minor: i64,
    exposure_minor: i64,
    facts: String,
}

impl Exceeded {
    fn by_minor(&self) -> i64 {
        self.exposure_minor.saturating_sub(self.limit_minor)
    }

    /// Whether a person has agreed to it, or to worse.
    fn is_agreed(&self, order: &Order, reason: HoldReason) -> bool {
        hold::all_agreed(order, reason).any(|agreed| {
            let exposure_minor = agreed.exposure_minor.unwrap_or_default();
            let by_minor = exposure_minor.saturating_sub(agreed.limit_minor.unwrap_or_default());
            self.exposure_minor <= exposure_minor && self.by_minor() <= by_minor
        })
    }
}

/// The cause that limits of one kind give: its numbers are those of the limit that is exceeded by most, so that whoever may release
/// so much decides about it; its facts tell of all.
fn exceeded(reason: HoldReason, order: &Order, limits: impl IntoIterator<Item = Exceeded>) -> Option<Cause> {
    let limits: Vec<Exceeded> = limits.into_iter().filter(|limit| !limit.is_agreed(order, reason)).collect();
    let worst = limits.iter().max_by_key(|limit| limit.by_minor())?;
    let facts: Vec<&str> = limits.iter().map(|limit| limit.facts.as_str()).collect();
    Some(Cause::new(reason, facts.join("; ")).limit(worst.limit_minor, worst.exposure_minor))
}

/// Causes in what the customer owes in all, and under the order's contract (C9, C10).
fn debt_causes(order: &Order, before: Option<&Order>, agreement: &Agreement, setting: &Setting<'_>) -> Vec<Cause> {
    // What the books contain already does not count twice, and its own former value makes room for the new one.
    let value_minor = if order.booked { 0 } else { order.value_minor };
    let contract = setting.credit.contract(&order.contract_id);
    let of_contract = contract.map(|known| {
        let counted = before.filter(|before| before.contract_id == order.contract_id).map_or(0, owed);
        let terms = CreditTerms::from(&known.contract);
        (known.account, terms, counted, format!(" under the contract {}", known.contract.number))
    });
    let of_all = (setting.credit.all, CreditTerms::from(agreement), before.map_or(0, owed), String::new());
    let (mut over, mut overdue) = (Vec::new(), Vec::new());
    for (account, terms, counted_minor, under) in [of_all].into_iter().chain(of_contract) {
        if let Err(OverLimit { limit_minor, exposure_minor }) =
            account.admit(value_minor.saturating_sub(counted_minor), terms)
        {
            let facts = format!(
                "the credit exposure{under} of {exposure_minor} with this order is above the limit of {limit_minor}"
            );
            over.push(Exceeded { limit_minor, exposure_minor, facts });
        }
        if let Some(exposure_minor) = account.banning_overdue(terms) {
            overdue.push(Exceeded {
                limit_minor: 0,
                exposure_minor,
                facts: format!("{exposure_minor} is overdue{under}"),
            });
        }
    }
    let causes = [exceeded(HoldReason::CreditLimit, order, over), exceeded(HoldReason::Overdue, order, overdue)];
    causes.into_iter().flatten().collect()
}

/// The number that was held against the limit when a person agreed to it.
fn agreed(order: &Order, reason: HoldReason) -> Option<i64> {
    hold::agreed(order, reason).map(|hold| hold.exposure_minor.unwrap_or_default())
}
