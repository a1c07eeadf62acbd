//! What has come back of shipments: summed up return by return, and never more than went out.

use std::collections::BTreeMap;

use roundsman_sync::trade::goods_return::{Returned, ReturnedLine};
use uuid::Uuid;

use super::facts::{Facts, ReturnFacts};
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `returned{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected = BTreeMap::new();
    for (shipment, lines) in &facts.returns {
        for (line, back) in lines {
            let name = Uuid::from_slice(line).unwrap_or_default();
            let (undelivered, delivered) = facts.went.get(&(*shipment, line.clone())).copied().unwrap_or_default();
            if back.not_taken_milli > undelivered || back.given_back_milli > delivered {
                report.find(format!("more has come back of the line {name} of {shipment} than went out"));
            }
        }
        let counts =
            |back: &ReturnFacts| (back.not_taken_milli, back.given_back_milli, back.announced_milli) != (0, 0, 0);
        let lines = lines.iter().filter(|(_, back)| counts(back)).map(|(line, back)| ReturnedLine {
            shipment_line_id: line.clone(),
            not_taken_milli: back.not_taken_milli,
            given_back_milli: back.given_back_milli,
            announced_milli: back.announced_milli,
        });
        expected.insert(Returned::name(shipment), Returned { lines: lines.collect() });
    }
    derived.returned.compare(&expected, report, |stored, right| {
        let sums = |of: &Returned| {
            let sum = |of: &Returned, what: fn(&ReturnedLine) -> i64| of.lines.iter().map(what).sum::<i64>();
            let (not_taken, given_back) = (sum(of, |line| line.not_taken_milli), sum(of, |line| line.given_back_milli));
            format!("{not_taken}, {given_back} and {}", sum(of, |line| line.announced_milli))
        };
        let (stored, right) = (sums(stored), sums(right));
        Some(format!(
            "counts {stored} thousandths not taken, given back and announced, and by the returns it is {right}"
        ))
    });
}
