//! What stock allows, and what the agreement wants where it does not suffice (C11): the rest is dropped, follows when it is
//! there, is taken from the product's successor, or the whole order waits.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{HoldReason, LineDifference, LineQuota, Order, OrderLine, ShortageRule};
use uuid::Uuid;

use super::decide::{Item, is_agreed, promised, wanted};
use super::fulfil::left_to_ship;
use super::hold::Cause;
use super::{Decision, Goods, Setting, Terms, unchanged};
use crate::trade::money::Sum;
use crate::trade::price::{self, UnitPrice, Wanted};
use crate::trade::quota::Claimant;
use crate::trade::rejection::Rejection;
use crate::trade::stock::{self, Available, reserved_by};
use crate::trade::verdict::Verdict;

/// What is left of each product for an order.
struct Budgets<'a> {
    left: BTreeMap<Uuid, Left>,
    before: Option<&'a Order>,
    /// The lines that stay as they were promised.
    kept: BTreeSet<Vec<u8>>,
    claimant: Claimant<'a>,
}

/// What is left of a product.
struct Left {
    /// Of what is there.
    there_milli: i64,
    /// Of what the order may take of that.
    own_milli: i64,
    /// In which share it counts.
    share: Option<LineQuota>,
    /// Orders wait until it is shared out at this moment, in microseconds since the Unix epoch; `None`: they don't.
    share_out_at_us: Option<i64>,
}

/// For what an order has to wait.
pub(super) struct Short {
    /// Why, and for which lines.
    pub(super) causes: Vec<Cause>,
    /// When something of it is shared out, in microseconds since the Unix epoch; of several moments the last. `None`: nothing is.
    pub(super) share_out_at_us: Option<i64>,
}

impl Budgets<'_> {
    fn of(&mut self, product: Uuid, goods: &Goods<'_>) -> &mut Left {
        let Self { before, kept, claimant, .. } = self;
        self.left.entry(product).or_insert_with(|| {
            let Some(stock) = goods.available else {
                return Left { there_milli: i64::MAX, own_milli: i64::MAX, share: None, share_out_at_us: None };
            };
            let own = before.map_or(0, |order| reserved_by(order, product));
            let there_milli = stock.budget(own);
            let lines = before.iter().flat_map(|order| &order.lines);
            let given_back =
                lines.filter(|line| line.product_id == product.as_bytes() && !kept.contains(&line.line_id));
            let own_milli = given_back.clone().fold(0_i64, |sum, line| sum.saturating_add(line.reserved_milli));
            let free_milli = stock.free_milli().saturating_add(own_milli);
            let status = before.map(Order::status).unwrap_or_default();
            match goods.quotas.and_then(|quotas| quotas.allow(claimant, free_milli, status, given_back)) {
                Some(allowed) => Left {
                    there_milli,
                    // What was promised is kept.
                    own_milli: allowed.most_milli.max(own_milli),
                    share: allowed.share,
                    share_out_at_us: allowed.share_out_at_us,
                },
                None => Left { there_milli, own_milli: i64::MAX, share: None, share_out_at_us: None },
            }
        })
    }

    /// Takes so much of a product, as far as it is there and the order may have it.
    fn take(&mut self, product: Uuid, goods: &Goods<'_>, wanted_milli: i64) -> i64 {
        let most_milli = self.of(product, goods).most();
        self.take_of(product, goods, stock::confirmable(wanted_milli, most_milli))
    }

    /// The same for somebody who need not wait until it is shared out.
    fn take_before_others(&mut self, product: Uuid, goods: &Goods<'_>, wanted_milli: i64) -> i64 {
        let there_milli = self.of(product, goods).there_milli;
        self.take_of(product, goods, stock::confirmable(wanted_milli, there_milli))
    }

    fn take_of(&mut self, product: Uuid, goods: &Goods<'_>, found: i64) -> i64 {
        let left = self.of(product, goods);
        left.there_milli = left.there_milli.saturating_sub(found);
        left.own_milli = left.own_milli.saturating_sub(found);
        found
    }
}

impl Left {
    /// What the order can still get.
    fn most(&self) -> i64 {
        self.there_milli.min(self.own_milli)
    }
}

/// Confirms line by line, in the order of entry, and says for which lines the order has to wait: the agreement wants it complete,
/// or the product is shared out at a moment to come. Substitutes become lines of their own; those of lines that are confirmed anew
/// are made anew.
pub(super) fn confirm<'a>(
    items: &mut Vec<Item<'a>>,
    before: Option<&Order>,
    terms: Terms<'_>,
    order: &Order,
    setting: &Setting<'a>,
) -> Short {
    let was_confirmed = promised(before).is_some();
    let is_anew = |item: &Item<'_>| !was_confirmed || item.touch.is_some();
    let kept: BTreeSet<Vec<u8>> =
        items.iter().filter(|item| !is_anew(item)).map(|item| item.line.line_id.clone()).collect();
    items.retain(|item| item.line.substitutes_line_id.is_empty() || kept.contains(&item.line.substitutes_line_id));
    let claimant = setting.claimant(order);
    let mut budgets = Budgets { left: BTreeMap::new(), before, kept, claimant };
    // What was promised already comes first.
    for item in items.iter_mut().filter(|item| !is_anew(item)) {
        let is_part = item.line.difference() == LineDifference::BackOrdered;
        item.granted_milli = if is_part { item.line.reserved_milli } else { item.line.confirmed_milli };
        let left = budgets.of(item.product_id, item.goods);
        left.there_milli = left.there_milli.saturating_sub(item.granted_milli);
    }
    let (mut short, mut missing, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
    let mut share_out_at_us = None;
    for (index, item) in items.iter_mut().enumerate().filter(|(_, item)| is_anew(item)) {
        let ordered_milli = item.line.ordered_milli;
        let is_shared_out_later = budgets.of(item.product_id, item.goods).share_out_at_us.is_some();
        let is_let_out = item.touch.is_none() && is_agreed(order, HoldReason::Allocation, &item.line);
        let found = if is_shared_out_later && is_let_out {
            budgets.take_before_others(item.product_id, item.goods, ordered_milli)
        } else {
            budgets.take(item.product_id, item.goods, ordered_milli)
        };
        let left = budgets.of(item.product_id, item.goods);
        item.line.quota.clone_from(&left.share);
        // There would be more of it, but not for this order.
        let dropped_for = if left.there_milli > 0 { LineDifference::Quota } else { LineDifference::StockShort };
        let dropped = item.touch.is_none() && is_agreed(order, HoldReason::Stock, &item.line);
        let lacks = found < ordered_milli && !dropped;
        let withdrawn = item.goods.product.withdrawn;
        let (confirmed, difference) = match terms.agreement.shortage_rule() {
            _ if is_shared_out_later && !is_let_out && found < ordered_milli => {
                awaited.push(item.line.line_id.clone());
                share_out_at_us = share_out_at_us.max(left.share_out_at_us);
                (ordered_milli, LineDifference::Unspecified)
            }
            ShortageRule::ShipComplete if lacks => {
                short.push(item.line.line_id.clone());
                (ordered_milli, LineDifference::Unspecified)
            }
            // What is no longer sold does not come either.
            ShortageRule::BackOrder if lacks && !withdrawn => (ordered_milli, LineDifference::BackOrdered),
            ShortageRule::Substitute if lacks => {
                missing.push(index);
                (found, dropped_for)
            }
            ShortageRule::ShipComplete | ShortageRule::BackOrder | ShortageRule::Substitute => (found, dropped_for),
            ShortageRule::Unspecified | ShortageRule::ConfirmPart => (found, dropped_for),
        };
        item.granted_milli = found;
        item.line.confirmed_milli = confirmed;
        let difference = match (found < ordered_milli && difference != LineDifference::Unspecified, withdrawn) {
            (true, true) => LineDifference::Withdrawn,
            (true, false) => difference,
            (false, _) if item.line.difference() == LineDifference::OfficeChanged => LineDifference::OfficeChanged,
            (false, _) => LineDifference::Unspecified,
        };
        item.line.set_difference(difference);
    }
    for index in missing {
        if let Some(instead) = substitute(&items[index], &mut budgets, terms, order, setting) {
            items[index].line.set_difference(LineDifference::Substituted);
            items.push(instead);
        }
    }
    waits(short, awaited, share_out_at_us)
}

/// For what these lines wait: to be there wholly, and until they are shared out.
fn waits(short: Vec<Vec<u8>>, awaited: Vec<Vec<u8>>, share_out_at_us: Option<i64>) -> Short {
    let mut causes = Vec::new();
    if !short.is_empty() {
        let facts =
            "free stock, or the own share of it, does not suffice, and the agreement does not allow to drop the rest";
        causes.push(Cause::new(HoldReason::Stock, facts.to_owned()).lines(short));
    }
    if let Some(at_us) = share_out_at_us {
        let facts = format!(
            "it is shared out in proportion to what is ordered until then, at {at_us} microseconds since the Unix epoch"
        );
        causes.push(Cause::new(HoldReason::Allocation, facts).lines(awaited));
    }
    Short { causes, share_out_at_us }
}

/// What the successor has of what a line lacks, in whole steps of the successor. It costs what it costs in the list, and never
/// more than what it replaces: the customer was told that price.
fn substitute<'a>(
    short: &Item<'a>,
    budgets: &mut Budgets<'_>,
    terms: Terms<'_>,
    order: &Order,
    setting: &Setting<'a>,
) -> Option<Item<'a>> {
    let line = &short.line;
    let product_id = Uuid::from_slice(&short.goods.product.successor_id).ok()?;
    let goods = setting.goods.get(&product_id).filter(|goods| !goods.product.withdrawn)?;
    let lacks_milli = line.ordered_milli.saturating_sub(line.confirmed_milli);
    let left = budgets.of(product_id, goods);
    let (there, share) = (stock::confirmable(lacks_milli, left.most()), left.share.clone());
    let step = goods.product.multiple_milli.max(1);
    let taken = there / step * step;
    let of_product = goods.prices.iter().filter(|known| known.price.product_id == product_id.as_bytes());
    let wanted = Wanted { packaging_code: "", quantity_milli: taken, ..wanted(line, order) };
    let quote = price::quote(of_product.map(|known| (known.id, known.price)), &terms.price_list, &wanted)?;
    if taken <= 0 {
        return None;
    }
    // Not before it has a price: what can't replace this line may replace another.
    budgets.take(product_id, goods, taken);
    let own = UnitPrice { price_minor: line.price_minor, per_milli: price::per(line.price_per_milli) };
    let rate = if quote.rate.is_above(own) { own } else { quote.rate };
    let line = OrderLine {
        line_id: substitute_id(&line.line_id, product_id),
        product_id: product_id.as_bytes().to_vec(),
        coefficient_milli: crate::trade::money::UNIT_MILLI,
        confirmed_milli: taken,
        price_id: quote.price_id.as_bytes().to_vec(),
        shown_price_minor: rate.price_minor,
        price_minor: rate.price_minor,
        price_per_milli: rate.per_milli,
        discount_bp: line.discount_bp,
        vat_bp: goods.product.vat_bp,
        difference: LineDifference::Substituted.into(),
        substitutes_line_id: line.line_id.clone(),
        quota: share,
        ..OrderLine::default()
    };
    let (touch, disputed) = (None, None);
    Some(Item { line, product_id, goods, touch, granted_milli: taken, ordered: Sum::default(), disputed })
}

/// The id of the line that replaces what another lacks by a product: always the same.
fn substitute_id(line_id: &[u8], product: Uuid) -> Vec<u8> {
    let namespace = Uuid::from_slice(line_id).unwrap_or_default();
    Uuid::new_v5(&namespace, product.as_bytes()).as_bytes().to_vec()
}

/// Stock after the decision: a confirmed order has what of its promises is there; a held one keeps of what it had before what
/// it still wants. Each line says what of it is its own.
pub(super) fn reserve(
    items: &mut [Item<'_>],
    confirmed: bool,
    before: Option<&Order>,
    setting: &Setting<'_>,
) -> BTreeMap<Uuid, Available> {
    let mut changed = BTreeMap::new();
    for (product, goods) in setting.goods {
        let Some(stock) = goods.available else {
            continue;
        };
        let own = before.map_or(0, |order| reserved_by(order, *product));
        let mut left = if confirmed { i64::MAX } else { own };
        let mut reserved = 0_i64;
        for item in items.iter_mut().filter(|item| item.product_id == *product) {
            let granted = if confirmed { item.granted_milli } else { item.line.confirmed_milli };
            item.line.reserved_milli = granted.min(left).max(0);
            left = left.saturating_sub(item.line.reserved_milli);
            reserved = reserved.saturating_add(item.line.reserved_milli);
        }
        if reserved != own {
            changed.insert(*product, stock.reserving(own, reserved));
        }
    }
    changed
}

/// Whether a confirmed order still lacks something that was promised.
#[must_use]
pub fn is_back_ordered(order: &Order) -> bool {
    order.lines.iter().any(|line| line.difference() == LineDifference::BackOrdered)
}

/// Sets aside for a confirmed or released order what has come meanwhile of what it lacks, line by line.
///
/// # Errors
/// When the sums can't be counted.
pub(super) fn replenish(current: &Order, setting: &Setting<'_>) -> Result<Decision, Rejection> {
    let mut order = current.clone();
    let mut changed = BTreeMap::new();
    let claimant = setting.claimant(current);
    for (product, goods) in setting.goods {
        let Some(stock) = goods.available else { continue };
        let own = reserved_by(current, *product);
        let (mut free, mut reserved) = (stock.free_milli().max(0), own);
        let nothing = std::iter::empty();
        let allowed = goods.quotas.and_then(|quotas| quotas.allow(&claimant, free, current.status(), nothing));
        free = allowed.as_ref().map_or(free, |allowed| allowed.most_milli);
        let lacks = |line: &&mut OrderLine| {
            line.product_id == product.as_bytes() && line.difference() == LineDifference::BackOrdered
        };
        for line in order.lines.iter_mut().filter(lacks) {
            let wanted = left_to_ship(line).saturating_add(line.assigned_milli);
            let more = stock::confirmable(wanted.saturating_sub(line.reserved_milli), free);
            free -= more;
            reserved = reserved.saturating_add(more);
            line.reserved_milli = line.reserved_milli.saturating_add(more);
            // What comes is of the share that is in force, and the line counts there from now on, as after an edit.
            if more > 0
                && let Some(share) = allowed.as_ref().and_then(|allowed| allowed.share.clone())
            {
                line.quota = Some(share);
            }
            if line.reserved_milli >= wanted {
                line.set_difference(LineDifference::Unspecified);
            }
        }
        if reserved != own {
            changed.insert(*product, stock.reserving(own, reserved));
        }
    }
    Ok(Decision { order, available: changed, ..unchanged(current, setting, Verdict::done()) })
}
