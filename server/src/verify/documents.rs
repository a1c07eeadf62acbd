//! Which documents hang on an outlet. Under which month one is listed is history; that it is listed is not.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::kind::Kind;
use roundsman_sync::scope::Month;
use uuid::Uuid;

use super::facts::Facts;
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::{Internal as _, OutletMonths};

/// Compares `documents{}` and `months{}`, and looks through `restampings{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut right: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (id, document) in &facts.documents {
        right.entry(document.outlet).or_default().insert(*id);
    }
    let mut listed: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    let mut months: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
    for (name, documents) in derived.documents.iter() {
        let Some((outlet, month)) = key(name) else {
            report.find(format!("{name} is of no outlet or of no month"));
            continue;
        };
        if !documents.records.is_sorted_by(|one, other| one < other) {
            report.find(format!("{name} does not name its records once each and in ascending order"));
        }
        if documents.orders.iter().any(|order| !documents.records.iter().any(|id| id == order.order().as_bytes())) {
            report.find(format!("{name} has orders that it does not name"));
        }
        if !documents.records.is_empty() {
            months.entry(outlet).or_default().insert(month.number());
        }
        let records = documents.records.iter().map(|id| Uuid::from_slice(id).unwrap_or_default());
        listed.entry(outlet).or_default().extend(records);
    }
    if facts.open_requests != facts.awaited_requests {
        let differs = |(id, order): &(&Uuid, &Uuid), other: &BTreeMap<Uuid, Uuid>| other.get(*id) != Some(*order);
        let unknown = facts.open_requests.iter().filter(|entry| differs(entry, &facts.awaited_requests));
        unknown.for_each(|(id, order)| report.find(format!("the order {order} does not wait for the request {id}")));
        let answered = facts.awaited_requests.iter().filter(|entry| differs(entry, &facts.open_requests));
        answered.for_each(|(id, order)| report.find(format!("the order {order} waits for {id}, which is not open")));
    }
    let outlets: BTreeSet<&Uuid> = right.keys().chain(listed.keys()).collect();
    let none = BTreeSet::new();
    for outlet in outlets {
        let [listed, right] = [&listed, &right].map(|ids| list(ids.get(outlet).unwrap_or(&none)));
        if let Some(difference) = differing_ids(&listed, &right) {
            report.find(format!("documents{{outlet:{outlet}}} of all months {difference}"));
        }
    }
    let expected = months
        .into_iter()
        .map(|(outlet, months)| (OutletMonths::name(&outlet), OutletMonths { months: months.into_iter().collect() }));
    derived.months.compare(&expected.collect(), report, |stored, right| {
        let in_words = |months: &OutletMonths| -> Vec<String> {
            let months = months.months.iter().copied();
            months
                .map(|number| Month::from_number(number).map_or(number.to_string(), |month| month.to_string()))
                .collect()
        };
        Some(format!("names {:?}, and documents are listed under {:?}", in_words(stored), in_words(right)))
    });
    for note in derived.restampings.of(&()).entries {
        let source = Uuid::from_slice(&note.source_id).unwrap_or_default();
        let is_outlet = || facts.outlets.contains_key(&source) || facts.archived.contains_key(&source);
        let known = match Kind::try_from(note.source_kind) {
            Ok(Kind::Outlet) => is_outlet(),
            Ok(Kind::Chain) => facts.chains.contains_key(&source),
            Ok(Kind::Agreement) => facts.agreements.contains_key(&source),
            Ok(Kind::Contract) => facts.contracts.contains_key(&source),
            Ok(Kind::Customer) => facts.merged.contains_key(&source),
            Ok(Kind::Promotion | Kind::Stock | Kind::Order | Kind::Wave) => true,
            _ => false,
        };
        if !known {
            report
                .find(format!("restampings{{}} would write anew what hangs on {source}, which is nothing of its kind"));
        }
    }
}

/// The outlet and the month of a list, by its name.
fn key(name: &str) -> Option<(Uuid, Month)> {
    let (outlet, month) = name.strip_prefix("documents{outlet:")?.strip_suffix('}')?.split_once('/')?;
    let (year, month) = month.split_once('-')?;
    Some((outlet.parse().ok()?, Month::new(year.parse().ok()?, month.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal::OutletDocuments;

    #[test]
    fn a_list_is_known_by_its_name() {
        let of = (Uuid::from_u128(7), Month::new(2026, 3).expect("a month"));
        assert_eq!(key(&OutletDocuments::name(&of)), Some(of));
        assert_eq!(key("documents{outlet:7/2026-03}"), None);
    }
}
