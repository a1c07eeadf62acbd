//! What is in shipments, on its way, taken and gone of orders: summed up shipment by shipment.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Report;
use super::facts::{Facts, LineName, Whereabouts};

/// Compares the quantities of orders' lines with those of their shipments.
pub(super) fn check(facts: &Facts, report: &mut Report) {
    let lines: BTreeSet<&LineName> = facts.shipped.keys().chain(facts.ordered.keys()).collect();
    report.count("lines of orders in shipments", lines.len());
    for name in lines {
        let (right, stored) = (facts.shipped.get(name).copied(), facts.ordered.get(name).copied());
        let (right, stored) = (right.unwrap_or_default(), stored.unwrap_or_default());
        if right != stored {
            let (order, line) = name;
            let line = Uuid::from_slice(line).unwrap_or_default();
            report.find(format!(
                "order {order} says of its line {line} what its shipments don't: {}",
                differing(stored, right)
            ));
        }
    }
}

fn differing(stored: Whereabouts, right: Whereabouts) -> String {
    let quantities = [
        ("assigned", stored.assigned_milli, right.assigned_milli),
        ("shipped", stored.shipped_milli, right.shipped_milli),
        ("delivered", stored.delivered_milli, right.delivered_milli),
        ("refused", stored.refused_milli, right.refused_milli),
        ("missing", stored.missing_milli, right.missing_milli),
    ];
    let wrong = quantities.into_iter().filter(|(_, stored, right)| stored != right);
    wrong.map(|(what, stored, right)| format!("{stored} {what} instead of {right}")).collect::<Vec<_>>().join(", ")
}
