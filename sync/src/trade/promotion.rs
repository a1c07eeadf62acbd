//! Promotions: what they take off the lines of an order, and whether what a rep saw of them counts.
//!
//! What a line is entitled to depends on all lines, on the outlet and on the order's day, and never on the order in which
//! lines or promotions are looked at: where goods have to be shared out among lines, the one with the smallest id comes
//! first. Thresholds are judged by what was ordered, at the prices that the rep saw, before any discount. That less can be
//! delivered is not the customer's fault: what was promised for the whole is kept in proportion.

mod judge;
mod ledger;

use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::{Audience, Bundle, FreeGoods, Outlet, ProductGroup, Promotion, SpecialPrice, Stacking};
use uuid::Uuid;

use super::check::{self, WHOLE_BP};
use super::money;
use super::price::{UnitPrice, per};
use super::rejection::Rejection;

pub use judge::{Claims, Known, claims_that_count};
pub use ledger::{OverBudget, Spent, counted, over_budget, spends};

/// A line of an order, as promotions see it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its id; different for each line.
    pub line_id: &'a [u8],
    /// Its product.
    pub product_id: &'a [u8],
    /// The product's group.
    pub group_path: &'a [String],
    /// What was ordered, in thousandths of the base unit.
    pub quantity_milli: i64,
    /// The price.
    pub rate: UnitPrice,
    /// What it comes to before tax is added ([`money::gross`]).
    pub gross_minor: i64,
}

/// Who buys, on which terms, and when.
#[derive(Clone, Copy, Debug)]
pub struct Buyer<'a> {
    /// The outlet.
    pub outlet_id: Uuid,
    /// What it is like.
    pub outlet: &'a Outlet,
    /// The agreement.
    pub agreement_id: &'a [u8],
    /// The order's currency.
    pub currency: &'a str,
    /// The order's day.
    pub day: i32,
}

/// What one promotion takes off one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The promotion.
    pub promotion_id: Uuid,
    /// In minor units, above 0.
    pub discount_minor: i64,
}

/// What a line is entitled to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitled {
    /// What each promotion that applies would take off by itself, by promotion.
    pub candidates: Vec<Part>,
    /// What counts of it, beside one another, by promotion; in all not above what the line comes to.
    pub parts: Vec<Part>,
}

impl Entitled {
    /// What is off in all, in minor units.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.parts.iter().map(|part| part.discount_minor).sum()
    }
}

/// What would be off a line, with the promotion that says how it goes together with others.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    promotion: &'a Promotion,
    part: Part,
}

/// What lines are entitled to, in their order. No promotion occurs twice.
pub fn entitle<'a>(
    promotions: impl IntoIterator<Item = (Uuid, &'a Promotion)>,
    lines: &[Line<'_>],
    buyer: &Buyer<'_>,
) -> Vec<Entitled> {
    let mut in_turn: Vec<usize> = (0..lines.len()).collect();
    in_turn.sort_unstable_by_key(|index| lines[*index].line_id);
    let mut candidates: Vec<Vec<Candidate<'a>>> = vec![Vec::new(); lines.len()];
    for (promotion_id, promotion) in promotions {
        if !applies(promotion, buyer) {
            continue;
        }
        for (index, discount_minor) in discounts(promotion, lines, &in_turn) {
            let discount_minor = discount_minor.min(lines[index].gross_minor);
            if discount_minor > 0 {
                candidates[index].push(Candidate { promotion, part: Part { promotion_id, discount_minor } });
            }
        }
    }
    candidates.into_iter().zip(lines).map(|(candidates, line)| together(candidates, line.gross_minor)).collect()
}

/// Whether a promotion is for this buyer, on that day.
#[must_use]
pub fn applies(promotion: &Promotion, buyer: &Buyer<'_>) -> bool {
    let (from, to) = (promotion.valid_from_day, promotion.valid_to_day);
    let valid = (from == 0 || from <= buyer.day) && (to == 0 || buyer.day <= to);
    valid
        && !promotion.closed
        && promotion.currency == buyer.currency
        && promotion.audience.as_ref().is_none_or(|audience| invites(audience, buyer))
}

/// Whether somebody is among those for whom something is.
#[must_use]
pub fn invites(audience: &Audience, buyer: &Buyer<'_>) -> bool {
    let Audience { outlet_ids, outlet_labels, outlet_classes, agreement_ids, chain_ids } = audience;
    let no_outlets = outlet_ids.is_empty() && outlet_labels.is_empty() && outlet_classes.is_empty();
    let everybody = no_outlets && agreement_ids.is_empty() && chain_ids.is_empty();
    everybody
        || outlet_ids.iter().any(|id| id == buyer.outlet_id.as_bytes())
        || outlet_labels.iter().any(|label| buyer.outlet.labels.contains(label))
        || outlet_classes.contains(&buyer.outlet.outlet_class)
        || agreement_ids.iter().any(|id| id == buyer.agreement_id)
        || chain_ids.contains(&buyer.outlet.chain_id)
}

fn concerns(promotion: &Promotion, line: &Line<'_>) -> bool {
    let Promotion { product_ids, product_groups, .. } = promotion;
    let within = |group: &ProductGroup| line.group_path.starts_with(&group.path);
    (product_ids.is_empty() && product_groups.is_empty())
        || product_ids.iter().any(|id| id == line.product_id)
        || product_groups.iter().any(within)
}

/// What a promotion takes off which lines, if its thresholds are reached. `in_turn` are the lines by their ids.
fn discounts(promotion: &Promotion, lines: &[Line<'_>], in_turn: &[usize]) -> Vec<(usize, i64)> {
    let Some(benefit) = &promotion.benefit else {
        return Vec::new();
    };
    let gift = match benefit {
        Benefit::FreeGoods(free) if !free.product_id.is_empty() => Some(free.product_id.as_slice()),
        Benefit::FreeGoods(_) | Benefit::PercentBp(_) | Benefit::AmountMinor(_) => None,
        Benefit::SpecialPrice(_) | Benefit::Bundle(_) => None,
    };
    let is_goods = |line: &Line<'_>| match benefit {
        Benefit::Bundle(bundle) => bundle.items.iter().any(|item| item.product_id == line.product_id),
        Benefit::PercentBp(_) | Benefit::AmountMinor(_) | Benefit::SpecialPrice(_) | Benefit::FreeGoods(_) => {
            concerns(promotion, line) && gift != Some(line.product_id)
        }
    };
    let goods: Vec<usize> = in_turn.iter().copied().filter(|index| is_goods(&lines[*index])).collect();
    let quantity_milli = quantity(&goods, lines);
    let sum_minor = goods.iter().map(|index| i128::from(lines[*index].gross_minor)).sum::<i128>();
    if goods.is_empty()
        || quantity_milli < promotion.min_quantity_milli
        || sum_minor < i128::from(promotion.min_sum_minor)
    {
        return Vec::new();
    }
    match benefit {
        Benefit::PercentBp(percent_bp) => {
            let off = |index: usize| money::share(lines[index].gross_minor, (*percent_bp).into(), WHOLE_BP.into());
            goods.into_iter().map(|index| (index, off(index))).collect()
        }
        Benefit::AmountMinor(amount_minor) => spread(*amount_minor, sum_minor, &goods, lines),
        Benefit::SpecialPrice(special) => {
            goods.into_iter().map(|index| (index, cheaper(special, &lines[index]))).collect()
        }
        Benefit::FreeGoods(free) => free_goods(free, quantity_milli, &goods, (lines, in_turn)),
        Benefit::Bundle(bundle) => bundled(bundle, &goods, lines),
    }
}

fn quantity(indices: &[usize], lines: &[Line<'_>]) -> i64 {
    indices.iter().fold(0, |sum: i64, index| sum.saturating_add(lines[*index].quantity_milli))
}

/// Spreads a sum over lines in proportion to what they come to: each gets what is whole of its part, and what remains goes
/// unit by unit to those with the largest rests.
fn spread(amount_minor: i64, sum_minor: i128, goods: &[usize], lines: &[Line<'_>]) -> Vec<(usize, i64)> {
    if sum_minor <= 0 {
        return Vec::new();
    }
    let amount = i128::from(amount_minor).min(sum_minor);
    let exact = |index: usize| i128::from(lines[index].gross_minor) * amount;
    let mut shares: Vec<(usize, i128)> = goods.iter().map(|index| (*index, exact(*index) / sum_minor)).collect();
    let mut left = amount - shares.iter().map(|(_, share)| share).sum::<i128>();
    let mut by_rest: Vec<usize> = (0..shares.len()).collect();
    // Stable: of equal rests the line with the smaller id comes first.
    by_rest.sort_by_key(|place| std::cmp::Reverse(exact(shares[*place].0) % sum_minor));
    for place in by_rest {
        if left == 0 {
            break;
        }
        shares[place].1 += 1;
        left -= 1;
    }
    shares.into_iter().map(|(index, share)| (index, money::saturated(share))).collect()
}

fn cheaper(special: &SpecialPrice, line: &Line<'_>) -> i64 {
    let at_special = money::gross(line.quantity_milli, special.price_minor, per(special.per_milli));
    at_special.map_or(0, |special_minor| line.gross_minor.saturating_sub(special_minor).max(0))
}

/// What is free comes off the lines of the free product, the one with the smallest id first.
fn free_goods(
    free: &FreeGoods,
    quantity_milli: i64,
    goods: &[usize],
    (lines, in_turn): (&[Line<'_>], &[usize]),
) -> Vec<(usize, i64)> {
    let mut found = Vec::new();
    if free.every_milli <= 0 || free.free_milli <= 0 {
        return found;
    }
    if !free.product_id.is_empty() {
        let gifts: Vec<usize> =
            in_turn.iter().copied().filter(|index| lines[*index].product_id == free.product_id).collect();
        let entitled = (quantity_milli / free.every_milli).saturating_mul(free.free_milli);
        take_off(entitled, WHOLE_BP, &gifts, lines, &mut found);
        return found;
    }
    for own in by_product(goods, lines) {
        let sets = quantity(&own, lines) / free.every_milli.saturating_add(free.free_milli);
        take_off(sets.saturating_mul(free.free_milli), WHOLE_BP, &own, lines, &mut found);
    }
    found
}

fn bundled(bundle: &Bundle, goods: &[usize], lines: &[Line<'_>]) -> Vec<(usize, i64)> {
    let of = |product: &[u8]| -> Vec<usize> {
        goods.iter().copied().filter(|index| lines[*index].product_id == product).collect()
    };
    let whole = |item: &roundsman_proto::trade::BundleItem| {
        if item.quantity_milli > 0 { quantity(&of(&item.product_id), lines) / item.quantity_milli } else { 0 }
    };
    let bundles = bundle.items.iter().map(whole).min().unwrap_or(0);
    let mut found = Vec::new();
    for item in &bundle.items {
        let in_bundles = bundles.saturating_mul(item.quantity_milli);
        take_off(in_bundles, bundle.percent_bp, &of(&item.product_id), lines, &mut found);
    }
    found
}

/// Takes a part of the price off so much of what these lines have, line by line.
fn take_off(milli: i64, percent_bp: i32, of: &[usize], lines: &[Line<'_>], found: &mut Vec<(usize, i64)>) {
    let mut left = milli;
    for index in of {
        let line = &lines[*index];
        let taken = left.min(line.quantity_milli).max(0);
        left -= taken;
        let gross = money::gross(taken, line.rate.price_minor, line.rate.per_milli).unwrap_or(0);
        found.push((*index, money::share(gross, percent_bp.into(), WHOLE_BP.into())));
    }
}

fn by_product(goods: &[usize], lines: &[Line<'_>]) -> Vec<Vec<usize>> {
    let mut products: Vec<Vec<usize>> = Vec::new();
    for index in goods {
        let same = |own: &&mut Vec<usize>| lines[own[0]].product_id == lines[*index].product_id;
        match products.iter_mut().find(same) {
            Some(own) => own.push(*index),
            None => products.push(vec![*index]),
        }
    }
    products
}

/// Which promotions of a line count beside one another.
fn together(mut candidates: Vec<Candidate<'_>>, gross_minor: i64) -> Entitled {
    let rank =
        |candidate: &Candidate<'_>| (std::cmp::Reverse(candidate.promotion.priority), candidate.part.promotion_id);
    candidates.sort_unstable_by_key(rank);
    let of = |stacking: Stacking| candidates.iter().filter(move |candidate| kind(candidate.promotion) == stacking);
    let parts = match of(Stacking::Exclusive).max_by_key(|candidate| exclusive_rank(candidate)) {
        Some(only) => vec![only.part],
        None => {
            let best = of(Stacking::Best).max_by_key(|candidate| best_rank(candidate)).map(|best| best.part);
            let mut left = gross_minor;
            let mut sums = Vec::new();
            for candidate in of(Stacking::Sum) {
                let discount_minor = candidate.part.discount_minor.min(left);
                left -= discount_minor;
                sums.push(Part { discount_minor, ..candidate.part });
            }
            sums.retain(|part| part.discount_minor > 0);
            match best {
                Some(best) if best.discount_minor > gross_minor - left => vec![best],
                Some(_) | None => sums,
            }
        }
    };
    let mut all: Vec<Part> = candidates.iter().map(|candidate| candidate.part).collect();
    all.sort_unstable();
    let mut parts = parts;
    parts.sort_unstable();
    Entitled { candidates: all, parts }
}

fn kind(promotion: &Promotion) -> Stacking {
    match promotion.stacking() {
        Stacking::Unspecified => Stacking::Best,
        known @ (Stacking::Best | Stacking::Sum | Stacking::Exclusive) => known,
    }
}

/// Of several exclusive ones the greatest priority counts, then the most that is off, then the smallest id.
fn exclusive_rank(candidate: &Candidate<'_>) -> impl Ord + use<> {
    (candidate.promotion.priority, best_rank(candidate))
}

fn best_rank(candidate: &Candidate<'_>) -> impl Ord + use<> {
    (candidate.part.discount_minor, std::cmp::Reverse(candidate.part.promotion_id))
}

/// The form of a promotion that is set.
///
/// # Errors
/// For its form.
pub fn form(promotion: &Promotion) -> Result<(), Rejection> {
    check::required_text(&promotion.name, check::NAME_CHARS, "name")?;
    check::currency(&promotion.currency, "currency")?;
    check::optional_day(promotion.valid_from_day, "valid_from_day")?;
    check::optional_day(promotion.valid_to_day, "valid_to_day")?;
    if promotion.valid_to_day != 0 && promotion.valid_to_day < promotion.valid_from_day {
        return Err(check::out_of_range("valid_to_day"));
    }
    if let Some(audience) = &promotion.audience {
        audience_form(audience)?;
    }
    check::count(promotion.product_ids.len(), check::LINES, "product_ids")?;
    ids(&promotion.product_ids, "product_ids")?;
    check::count(promotion.product_groups.len(), check::ENTRIES, "product_groups")?;
    for (index, group) in promotion.product_groups.iter().enumerate() {
        if group.path.is_empty() {
            return Err(check::at("product_groups", index)(check::missing("path")));
        }
    }
    check::range(promotion.min_quantity_milli, 0..=check::QUANTITY_MILLI, "min_quantity_milli")?;
    check::money(promotion.min_sum_minor, "min_sum_minor")?;
    check::optional_choice::<Stacking>(promotion.stacking, "stacking")?;
    if let Some(budget_minor) = promotion.budget_minor {
        check::money(budget_minor, "budget_minor")?;
    }
    if let Some(budget_milli) = promotion.budget_milli {
        check::range(budget_milli, 0..=i64::MAX, "budget_milli")?;
    }
    benefit_form(promotion)
}

/// The form of an audience.
///
/// # Errors
/// For its form.
pub fn audience_form(audience: &Audience) -> Result<(), Rejection> {
    check::count(audience.outlet_ids.len(), check::LINES, "outlet_ids")?;
    ids(&audience.outlet_ids, "outlet_ids")?;
    check::count(audience.outlet_labels.len(), check::ENTRIES, "outlet_labels")?;
    for label in &audience.outlet_labels {
        check::required_text(label, check::NAME_CHARS, "outlet_labels")?;
    }
    check::count(audience.outlet_classes.len(), check::ENTRIES, "outlet_classes")?;
    check::count(audience.agreement_ids.len(), check::ENTRIES, "agreement_ids")?;
    ids(&audience.agreement_ids, "agreement_ids")?;
    check::count(audience.chain_ids.len(), check::ENTRIES, "chain_ids")?;
    ids(&audience.chain_ids, "chain_ids")
}

fn ids(ids: &[Vec<u8>], field: &str) -> Result<(), Rejection> {
    let ids: Result<Vec<Uuid>, Rejection> = ids.iter().map(|id| check::id(id, field)).collect();
    check::unique(ids?, field)
}

/// Nothing that could make a price negative is a promotion.
fn benefit_form(promotion: &Promotion) -> Result<(), Rejection> {
    match promotion.benefit.as_ref().ok_or_else(|| check::missing("benefit"))? {
        Benefit::PercentBp(percent_bp) => check::range(*percent_bp, 1..=WHOLE_BP, "percent_bp"),
        Benefit::AmountMinor(amount_minor) => check::range(*amount_minor, 1..=check::MONEY_MINOR, "amount_minor"),
        Benefit::SpecialPrice(special) => {
            check::money(special.price_minor, "price_minor")?;
            check::range(special.per_milli, 0..=check::QUANTITY_MILLI, "per_milli")
        }
        Benefit::FreeGoods(free) => {
            check::quantity(free.every_milli, "every_milli")?;
            check::quantity(free.free_milli, "free_milli")?;
            check::optional_id(&free.product_id, "product_id").map(|_| ())
        }
        Benefit::Bundle(bundle) => {
            if !promotion.product_ids.is_empty() || !promotion.product_groups.is_empty() {
                return Err(check::mismatch("product_ids"));
            }
            check::range(bundle.items.len(), 2..=check::ENTRIES, "items")?;
            check::range(bundle.percent_bp, 1..=WHOLE_BP, "percent_bp")?;
            let mut products = Vec::with_capacity(bundle.items.len());
            for (index, item) in bundle.items.iter().enumerate() {
                check::quantity(item.quantity_milli, "quantity_milli").map_err(check::at("items", index))?;
                products.push(check::id(&item.product_id, "product_id").map_err(check::at("items", index))?);
            }
            check::unique(products, "product_id")
        }
    }
}

#[cfg(test)]
mod tests;
