//! What a phone proposes, once more, sharing nothing with the code that is tested: day by day, and step by step.

use std::collections::BTreeMap;

use roundsman_proto::trade::{MustSellList, Product};
use uuid::Uuid;

use super::naive;
use super::proposal::{Copying, Missing, Recommending};

/// What is sold for a product: asks again for each successor.
pub(super) fn sold(product: Uuid, products: &[(Uuid, Product)], depth: u32) -> Option<Uuid> {
    let (_, found) = products.iter().find(|(id, _)| *id == product)?;
    match (found.withdrawn, Uuid::from_slice(&found.successor_id)) {
        (false, _) => Some(product),
        (true, Ok(next)) if depth > 0 => sold(next, products, depth - 1),
        (true, _) => None,
    }
}

fn product(id: Uuid, products: &[(Uuid, Product)]) -> &Product {
    &products.iter().find(|(own, _)| *own == id).expect("it was found before").1
}

/// The smallest quantity that is whole packages, or base units, and a multiple: by counting.
pub(super) fn step(product: &Product, code: &str) -> i64 {
    let packed = product.packagings.iter().find(|packaging| packaging.code == code);
    let unit = match (packed, product.multiple_milli) {
        (Some(packaging), _) => packaging.coefficient_milli,
        (None, 0) => 1_000,
        (None, multiple) => multiple,
    };
    let mut step = unit;
    while product.multiple_milli > 0 && step % product.multiple_milli != 0 {
        step += unit;
    }
    step
}

/// The steps that are needed for so much.
pub(super) fn up(quantity: i64, step: i64) -> i64 {
    let mut found = 0;
    while found < quantity {
        found += step;
    }
    found
}

/// The steps that fit into so much.
pub(super) fn down(quantity: i64, step: i64) -> i64 {
    let mut found = 0;
    while found + step <= quantity {
        found += step;
    }
    found
}

/// What an outlet must have, list by list.
pub(super) fn minimums(case: &Recommending) -> BTreeMap<Uuid, i64> {
    let mut found = BTreeMap::new();
    for MustSellList { valid_from_day, valid_to_day, audience, items, .. } in &case.must_sell {
        let day = case.period.day;
        if (*valid_from_day != 0 && day < *valid_from_day) || (*valid_to_day != 0 && day > *valid_to_day) {
            continue;
        }
        let labels = audience.as_ref().map(|audience| audience.outlet_labels.clone()).unwrap_or_default();
        if !labels.is_empty() && !labels.iter().any(|label| case.outlet.labels.contains(label)) {
            continue;
        }
        for item in items {
            let id = Uuid::from_slice(&item.product_id).expect("an id");
            let Some(id) = sold(id, &case.products, 8) else { continue };
            if found.get(&id).is_none_or(|before| *before < item.quantity_milli) {
                found.insert(id, item.quantity_milli);
            }
        }
    }
    found
}

/// A proposed line: the product, the packaging, the quantity; then what was bought, on how many days, what a day, the last day,
/// the last quantity, what is left, what must be, what is needed, the step; and what bounds it.
pub(super) type Line = (Uuid, String, i64, [i64; 9], &'static str);

/// The lines to propose.
pub(super) fn recommend(case: &Recommending) -> Vec<Line> {
    let period = case.period;
    let known: Vec<_> = case.bought.iter().filter(|bought| bought.day >= period.known_from_day).collect();
    let mut observed = 0;
    for day in period.known_from_day..period.day {
        if known.iter().any(|bought| bought.day <= day) {
            observed += 1;
        }
    }
    let must = minimums(case);
    let mut found = Vec::new();
    let mut ids: Vec<Uuid> = case.products.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    for id in ids {
        let own: Vec<_> =
            known.iter().filter(|bought| sold(bought.product_id, &case.products, 8) == Some(id)).collect();
        let before = own.iter().filter(|bought| bought.day < period.day);
        let bought: i64 = before.map(|bought| bought.quantity_milli).sum();
        let last_day = own.iter().map(|bought| bought.day).max().unwrap_or(0);
        let on_last: Vec<_> = own.iter().filter(|bought| bought.day == last_day).collect();
        let last: i64 = on_last.iter().map(|bought| bought.quantity_milli).sum();
        // In parts of which there are as many in a thousandth as days were observed: so much is sold a day.
        let days = i64::from(observed).max(1);
        let mut left = last * days;
        for _ in last_day..period.day {
            left = (left - bought).max(0);
        }
        let left = left / days;
        let mut sells = 0;
        for _ in 0..period.cover_days {
            sells += bought;
        }
        let sells = sells / days + i64::from(sells % days > 0);
        let least = must.get(&id).copied().unwrap_or(0);
        let needed = if sells < least { least } else { sells } - left;
        if needed <= 0 {
            continue;
        }
        let product = product(id, &case.products);
        let code = on_last.last().map(|bought| bought.packaging_code.clone()).unwrap_or_default();
        let code = if product.packagings.iter().any(|packaging| packaging.code == code) { code } else { String::new() };
        let step = step(product, &code);
        let wanted = up(needed, step);
        let there = case.free.iter().find(|(of, _)| *of == id).map_or(wanted, |(_, free)| down(*free, step));
        let bound = if there < wanted {
            "stock"
        } else if sells < least {
            "must_sell"
        } else {
            "demand"
        };
        let average = i64::try_from(naive::Exact::of(bought.into(), days.into()).rounded()).expect("small");
        let reasons = [bought, i64::from(observed), average, i64::from(last_day), last, left, least, needed, step];
        found.push((id, code, wanted.min(there), reasons, bound));
    }
    found
}

/// A copied line: old and new product, packaging, coefficient, quantity, price record, price, for how much it is.
pub(super) type Copy = (Uuid, Uuid, String, i64, i64, Uuid, i128, i64);

/// A line that is copied, or why it is not.
pub(super) fn copy(case: &Copying, line: usize) -> Result<Copy, &'static str> {
    let old = &case.lines[line].1;
    if old.ordered_milli == 0 {
        return Err("not_ordered");
    }
    let old_id = Uuid::from_slice(&old.product_id).expect("an id");
    let Some((_, known)) = case.products.iter().find(|(id, _)| *id == old_id) else { return Err("unknown") };
    let Some(id) = sold(old_id, &case.products, 8) else {
        let next = Uuid::from_slice(&known.successor_id);
        let named = next.is_ok_and(|next| case.products.iter().all(|(id, _)| *id != next));
        return Err(if named { "unknown" } else { "withdrawn" });
    };
    let product = product(id, &case.products);
    let quantity = up(old.ordered_milli, step(product, ""));
    let whole = product.packagings.iter().find(|packaging| {
        id == old_id && packaging.code == old.packaging_code && quantity % packaging.coefficient_milli == 0
    });
    let (code, coefficient) = whole.map_or((String::new(), 1_000), |own| (own.code.clone(), own.coefficient_milli));
    let of_product = case.prices.iter().filter(|(_, _, price)| price.product_id == id.as_bytes());
    let of_product: Vec<_> = of_product.map(|(id, _, price)| (*id, price)).collect();
    let found = naive::price(&of_product, (case.list.0, &case.list.1), (quantity, &code, case.day));
    let (price, minor, per) = found.ok_or("no_price")?;
    Ok((old_id, id, code, coefficient, quantity, price, minor, per))
}

/// A packaging with what it holds and how much of it, so much of the successor, a day.
pub(super) type Offered = (Option<(String, i64, i64)>, Option<i64>, Option<i32>);

/// What to offer.
pub(super) fn alternatives(case: &Missing) -> Offered {
    if case.free_milli >= case.quantity_milli {
        return (None, None, None);
    }
    let product = &case.product;
    let own = product.packagings.iter().find(|packaging| packaging.code == case.packaging_code);
    let had = down(case.free_milli, step(product, own.map_or("", |own| own.code.as_str())));
    let mut best: Option<(String, i64, i64)> = None;
    if let Some(own) = own {
        let mut codes = vec![(String::new(), 1_000)];
        codes.extend(product.packagings.iter().map(|packaging| (packaging.code.clone(), packaging.coefficient_milli)));
        codes.sort();
        for (code, coefficient) in codes {
            let quantity = down(case.free_milli, step(product, &code));
            let better = best.as_ref().is_none_or(|(_, held, most)| (quantity, coefficient) > (*most, *held));
            if coefficient < own.coefficient_milli && quantity > had && better {
                best = Some((code, coefficient, quantity));
            }
        }
    }
    let mut instead = None;
    if let Some((_, next, Some(free))) = &case.successor
        && !next.withdrawn
    {
        let step = step(next, "");
        let quantity = up(case.quantity_milli - had, step).min(down(*free, step));
        instead = (quantity > 0).then_some(quantity);
    }
    let now = (case.now.day, case.now.second);
    let promised = |wanted| naive::promised_day(&case.agreement, case.order_day, wanted, now);
    let next = promised(case.wanted_day);
    let later = (next != 0 && !product.withdrawn).then(|| promised(next + 1));
    (best, instead, later)
}
