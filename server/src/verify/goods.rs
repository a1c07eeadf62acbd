//! Which price and stock records belong to a product, which price lists depend on which, which promotions there are, and what
//! surveys said before.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::facts::{Awaited, Facts};
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::{
    FormerSurvey, FormerSurveys, Internal as _, ListState, ProductPrices, ProductStocks, PromotionState, WarehouseStock,
};

/// Compares `prices{}`, `list{}`, `promotions{}`, `promotion{}`, `survey{}` and `stocks{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    check_prices(facts, derived, report);
    check_lists(facts, derived, report);
    check_promotions(facts, derived, report);
    check_surveys(facts, derived, report);
    let mut expected = BTreeMap::new();
    for (product, by_warehouse) in &facts.stocks {
        let stored = derived.stocks.of(product);
        let stocks = by_warehouse.iter().filter_map(|(warehouse, records)| {
            // Of several records for the same, any may be the one that counts.
            let one = stored.at(*warehouse).filter(|id| records.contains(id)).or_else(|| records.first().copied())?;
            Some(WarehouseStock { warehouse_id: warehouse.as_bytes().to_vec(), stock_id: one.as_bytes().to_vec() })
        });
        expected.insert(ProductStocks::name(product), ProductStocks { stocks: stocks.collect() });
    }
    derived.stocks.compare(&expected, report, |stored, right| {
        let warehouses = |stocks: &ProductStocks| -> Vec<Vec<u8>> {
            stocks.stocks.iter().map(|entry| entry.warehouse_id.clone()).collect()
        };
        let records = |stocks: &ProductStocks| -> Vec<Vec<u8>> {
            stocks.stocks.iter().map(|entry| entry.stock_id.clone()).collect()
        };
        differing_ids(&warehouses(stored), &warehouses(right))
            .or_else(|| differing_ids(&records(stored), &records(right)))
            .or_else(|| Some("gives warehouses the stock records of others".to_owned()))
    });
}

/// `list{}`: which lists depend on it. What it said before is history.
fn check_lists(facts: &Facts, derived: &Derived, report: &mut Report) {
    let alone = |stored: &ListState| ListState { computed: Vec::new(), limited: Vec::new(), ..stored.clone() };
    let mut expected: BTreeMap<String, ListState> =
        derived.lists.iter().map(|(name, stored)| (name.to_owned(), alone(stored))).collect();
    for (base, lists) in &facts.computed_lists {
        expected.entry(ListState::name(base)).or_default().computed = list(lists);
    }
    for (floor, lists) in &facts.limited_lists {
        expected.entry(ListState::name(floor)).or_default().limited = list(lists);
    }
    derived.lists.compare(&expected, report, |stored, right| {
        differing_ids(&stored.computed, &right.computed).or_else(|| differing_ids(&stored.limited, &right.limited))
    });
}

/// `promotions{}`: each that is there is of a record, and says of it what it says; which of those that are long over have left
/// is history. `promotion{}`: what confirmed orders have taken.
fn check_promotions(facts: &Facts, derived: &Derived, report: &mut Report) {
    let live = derived.live_promotions.of(&());
    if !live.promotions.is_sorted_by(|one, other| one.promotion_id < other.promotion_id) {
        report.find("promotions{} is not in order".to_owned());
    }
    for entry in &live.promotions {
        let id = Uuid::from_slice(&entry.promotion_id).unwrap_or_default();
        let says = (entry.currency.clone(), entry.from_day, entry.to_day);
        if facts.promotions.get(&id) != Some(&says) {
            report.find(format!("promotions{{}} has {id} otherwise than its record"));
        }
    }
    let mut expected: BTreeMap<String, PromotionState> = derived
        .promotions
        .iter()
        .map(|(name, stored)| {
            (name.to_owned(), PromotionState { spent_minor: 0, spent_milli: 0, waiting: 0, ..stored.clone() })
        })
        .collect();
    for (awaited, orders) in &facts.waiting {
        if let Awaited::Budget(promotion) = awaited {
            expected.entry(PromotionState::name(promotion)).or_default().waiting = orders.len() as i64;
        }
    }
    for (promotion, (minor, milli)) in &facts.spent {
        let state = expected.entry(PromotionState::name(promotion)).or_default();
        (state.spent_minor, state.spent_milli) = (*minor, *milli);
    }
    derived.promotions.compare(&expected, report, |stored, right| {
        let says = |state: &PromotionState| {
            format!("{} and {} thousandths, {} waiting", state.spent_minor, state.spent_milli, state.waiting)
        };
        Some(format!("counts {}, and by the orders it is {}", says(stored), says(right)))
    });
}

/// `survey{}`: of surveys that are there, and of what they can have been.
fn check_surveys(facts: &Facts, derived: &Derived, report: &mut Report) {
    let versions: BTreeMap<String, i64> =
        facts.surveys.iter().map(|(survey, version)| (FormerSurveys::name(survey), *version)).collect();
    for (name, state) in derived.surveys.iter() {
        let Some(version) = versions.get(name) else {
            report.find(format!("{name} is of a survey that is not there"));
            continue;
        };
        let earlier =
            |one: &FormerSurvey, other: &FormerSurvey| one.version < other.version && one.until_us <= other.until_us;
        let last = state.versions.last().is_none_or(|last| last.version < *version && last.until_us <= derived.at_us);
        let first = state.versions.first().is_none_or(|first| first.version > 0);
        let few = state.versions.len() <= FormerSurveys::KEPT;
        if !(few && first && last && state.versions.is_sorted_by(earlier)) {
            report.find(format!("{name} has versions that can't have been"));
        }
    }
}

/// `prices{}`: the records; and what was noted of their last changes, as far as it can be judged.
fn check_prices(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut unknown: BTreeSet<&str> = derived.prices.iter().map(|(name, _)| name).collect();
    let named: BTreeMap<&str, &ProductPrices> = derived.prices.iter().collect();
    let nothing = ProductPrices::default();
    for ((price_list, product), records) in &facts.prices {
        let name = ProductPrices::name(&(*price_list, *product));
        unknown.remove(name.as_str());
        let prices = *named.get(name.as_str()).unwrap_or(&&nothing);
        let ids: Vec<Vec<u8>> = prices.prices.iter().map(|entry| entry.price_id.clone()).collect();
        if let Some(difference) = differing_ids(&ids, &list(records)) {
            report.find(format!("{name} {difference}"));
        }
        for entry in &prices.prices {
            let id = Uuid::from_slice(&entry.price_id).unwrap_or_default();
            let of_this = entry.before.as_ref().is_none_or(|before| {
                before.price_list_id == price_list.as_bytes() && before.product_id == product.as_bytes()
            });
            if !of_this || entry.changed_at_us > derived.at_us || entry.before_version < 0 {
                report.find(format!("{name} notes a last change of {id} that can't have been"));
            }
        }
    }
    for name in unknown {
        report.find(format!("{name} is of a product without prices there"));
    }
}
