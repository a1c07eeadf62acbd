//! What is promised of stock, and what customers owe and are about to owe.

use std::collections::BTreeMap;

use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::stock::{Available, coarse};

use super::facts::Facts;
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `available{}` and `credit{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected: BTreeMap<String, Available> = derived
        .available
        .iter()
        .map(|(name, stored)| (name.to_owned(), stored.reserving(stored.reserved_milli, 0)))
        .collect();
    for (key, reserved_milli) in &facts.reserved {
        expected.entry(Available::name(key)).or_default().reserved_milli = *reserved_milli;
    }
    derived.available.compare(&expected, report, |stored, right| {
        Some(format!("promises {}, and orders have set {} aside", stored.reserved_milli, right.reserved_milli))
    });
    for (record, (warehouse, product, free_milli)) in &facts.free {
        let named = derived.stocks.of(product).at(*warehouse) == Some(*record);
        let right = coarse(derived.available.of(&(*warehouse, *product)).free_milli());
        if named && *free_milli != right {
            report.find(format!("the stock {record} tells devices of {free_milli}, and {right} are free"));
        }
    }
    let mut expected = BTreeMap::new();
    for (debtor, credit) in &facts.credits {
        let mut credit = credit.clone();
        credit.held.sort_by_key(|held| (held.submitted_at_us, held.order_id.clone()));
        expected.insert(Credit::name(debtor), credit);
    }
    derived.credit.compare(&expected, report, |stored, right| Some(differing(stored, right)));
}

fn differing(stored: &Credit, right: &Credit) -> String {
    let sums = [
        ("a booked debt", stored.booked_debt_minor, right.booked_debt_minor),
        ("an overdue debt", stored.overdue_minor, right.overdue_minor),
        ("open orders", stored.orders_minor, right.orders_minor),
        ("open payments", stored.payments_minor, right.payments_minor),
    ];
    let wrong = sums.iter().filter(|(_, stored, right)| stored != right);
    let mut words: Vec<String> =
        wrong.map(|(what, stored, right)| format!("counts {what} of {stored}, and they come to {right}")).collect();
    if stored.held != right.held {
        words.push(format!("lists {} held orders, and others, or in another order, wait", stored.held.len()));
    }
    words.join("; ")
}
