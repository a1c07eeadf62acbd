//! What is off by promotions in the decision about an order (C7).
//!
//! What a rep has shown counts as far as the lines are entitled to it ([`claims_that_count`]); beyond that the order waits.
//! What the lines would be entitled to beside that is not given: the customer was told a price. When the office edits, the
//! promotions of the lines that it has touched, and of those that no longer have what they show, are computed anew.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{HoldReason, LineDifference, LinePromotion, Order};
use uuid::Uuid;

use super::decide::{Item, Touched, is_agreed, is_among, ordered};
use super::hold::{self, Cause};
use super::{Setting, Terms, shown_price};
use crate::trade::money;
use crate::trade::promotion::{
    Buyer, Claims, Entitled, Line, OverBudget, Part, claims_that_count, counted, entitle, over_budget, spends,
};
use crate::trade::rejection::Rejection;

/// Lines whose promotions do not count as they stand: each by its place, with what it is entitled to now.
pub(super) type Unearned = BTreeMap<usize, Entitled>;

/// Judges what lines show; what the office has edited is computed.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a line comes to too much.
pub(super) fn settle(
    items: &mut [Item<'_>],
    order: &Order,
    touched: &Touched,
    terms: Terms<'_>,
    setting: &Setting<'_>,
) -> Result<Unearned, Rejection> {
    let unearned = judge(items, order, touched, terms, setting)?;
    if !touched.by_office {
        return Ok(unearned);
    }
    for (index, entitled) in unearned {
        let promotions = computed(&entitled, setting);
        let item = &mut items[index];
        if item.line.promotions != promotions {
            item.line.promotions = promotions;
            // What is known to be missing of another line stays so.
            if item.touch.is_some() || item.line.difference() == LineDifference::Unspecified {
                item.line.set_difference(LineDifference::OfficeChanged);
            }
        }
    }
    Ok(Unearned::new())
}

fn judge(
    items: &[Item<'_>],
    order: &Order,
    touched: &Touched,
    terms: Terms<'_>,
    setting: &Setting<'_>,
) -> Result<Unearned, Rejection> {
    let open = hold::open(order, HoldReason::Promotion);
    let shown = items.iter().any(|item| !item.line.promotions.is_empty());
    let computes = touched.by_office && !setting.promotions.is_empty();
    if !(touched.any() || open.is_some()) || !(shown || computes) {
        return Ok(Unearned::new());
    }
    let mut lines = Vec::with_capacity(items.len());
    let mut claims = Vec::with_capacity(items.len());
    for item in items {
        lines.push(line(item)?);
        let captured_at_us = match item.touch {
            Some(_) => setting.capture.captured_at_us,
            None if touched.any() => order.submitted_at_us,
            None => i64::MAX,
        };
        claims.push(Claims { promotions: &item.line.promotions, captured_at_us });
    }
    let buyer = Buyer {
        outlet_id: setting.outlet_id,
        outlet: setting.outlet,
        agreement_id: &order.agreement_id,
        currency: &order.currency,
        day: order.order_day,
    };
    let counts = claims_that_count(&claims, setting.promotions, &lines, &buyer, setting.grace_us(terms));
    let is_unearned = |(index, item): (usize, &Item<'_>)| {
        let settled = item.touch.is_none() && is_agreed(order, HoldReason::Promotion, &item.line);
        let judged = is_among(open, &item.line) || (touched.any() && !settled);
        let anew = computes && item.touch.is_some();
        (judged && (anew || !counts[index])).then_some(index)
    };
    let found: BTreeSet<usize> = items.iter().enumerate().filter_map(is_unearned).collect();
    if found.is_empty() {
        return Ok(Unearned::new());
    }
    let now = entitle(setting.promotions.iter().map(|known| (known.id, known.promotion)), &lines, &buyer);
    Ok(now.into_iter().enumerate().filter(|(index, _)| found.contains(index)).collect())
}

fn line<'a>(item: &'a Item<'_>) -> Result<Line<'a>, Rejection> {
    let rate = shown_price(&item.line);
    Ok(Line {
        line_id: &item.line.line_id,
        product_id: &item.line.product_id,
        group_path: &item.goods.product.group_path,
        quantity_milli: item.line.ordered_milli,
        rate,
        gross_minor: money::gross(item.line.ordered_milli, rate.price_minor, rate.per_milli)?,
    })
}

fn computed(entitled: &Entitled, setting: &Setting<'_>) -> Vec<LinePromotion> {
    let version = |id: Uuid| setting.promotions.iter().find(|known| known.id == id).map_or(0, |known| known.version);
    let part = |part: &Part| LinePromotion {
        promotion_id: part.promotion_id.as_bytes().to_vec(),
        promotion_version: version(part.promotion_id),
        discount_minor: part.discount_minor,
        counted_minor: 0,
    };
    entitled.parts.iter().map(part).collect()
}

/// The cause for which an order waits: promotions that do not count, or whose budget is spent. With the order's value as it
/// was shown, and as it would be without them.
///
/// # Errors
/// `REASON_OUT_OF_RANGE` when a sum is too large.
pub(super) fn cause(
    items: &[Item<'_>],
    order: &Order,
    before: Option<&Order>,
    unearned: &Unearned,
    terms: Terms<'_>,
    setting: &Setting<'_>,
) -> Result<Option<Cause>, Rejection> {
    let spent_out = spent_out(items, order, before, setting);
    let over = |item: &Item<'_>| item.line.promotions.iter().any(|part| spent_out.contains_key(&part.promotion_id));
    let (mut sums, mut line_ids) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let is_left = |part: &&LinePromotion| !spent_out.contains_key(&part.promotion_id);
        let off = match unearned.get(&index) {
            Some(entitled) => entitled.total_minor(),
            None => item.line.promotions.iter().filter(is_left).map(|part| part.discount_minor).sum(),
        };
        if unearned.contains_key(&index) || over(item) {
            line_ids.push(item.line.line_id.clone());
        }
        sums.push(ordered(&item.line, off, terms)?.amount_minor);
    }
    if line_ids.is_empty() {
        return Ok(None);
    }
    let (shown, current) = (order.ordered_value_minor, money::total(sums)?);
    let mut facts = Vec::new();
    if !unearned.is_empty() {
        facts.push("a promotion has ended, or takes less off than was shown".to_owned());
    }
    for (name, OverBudget { left, wanted }) in spent_out.values() {
        facts.push(format!("of the budget of the promotion {name} {left} are left, and the order takes {wanted}"));
    }
    facts.push(format!("shown {shown}, without that {current}, difference {}", current.saturating_sub(shown)));
    let cause = Cause::new(HoldReason::Promotion, facts.join("; ")).lines(line_ids);
    Ok(Some(Cause { shown_minor: Some(shown), current_minor: Some(current), ..cause }))
}

/// The promotions whose budgets do not suffice, by their ids as lines name them, with their names. Lines to which a person
/// has agreed, and that were not touched since, want nothing more of a budget.
fn spent_out<'a>(
    items: &[Item<'_>],
    order: &Order,
    before: Option<&Order>,
    setting: &Setting<'a>,
) -> BTreeMap<Vec<u8>, (&'a str, OverBudget)> {
    let agreed = |item: &Item<'_>| item.touch.is_none() && is_agreed(order, HoldReason::Promotion, &item.line);
    let asking = items.iter().filter(|item| !agreed(item));
    let asks: BTreeSet<&[u8]> =
        asking.flat_map(|item| &item.line.promotions).map(|part| part.promotion_id.as_slice()).collect();
    if asks.is_empty() {
        return BTreeMap::new();
    }
    let had = before.map(counted).unwrap_or_default();
    let wants = spends(items.iter().map(|item| &item.line));
    let over = |(id, wanted): (&Uuid, _)| {
        let known = setting.promotions.iter().find(|known| known.id == *id)?;
        let own = had.get(id).copied().unwrap_or_default();
        let over = over_budget(known.promotion, known.spent, own, wanted)?;
        Some((id.as_bytes().to_vec(), (known.promotion.name.as_str(), over)))
    };
    wants
        .iter()
        .filter(|(id, _)| asks.contains(id.as_bytes().as_slice()))
        .filter_map(|(id, wanted)| over((id, *wanted)))
        .collect()
}
