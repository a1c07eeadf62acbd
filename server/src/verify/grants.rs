//! What holders are granted: counted territory by territory, outlet by outlet.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::assignment::Span;
use uuid::Uuid;

use super::facts::Facts;
use super::{Derived, Report, reach};
use crate::calendar;
use crate::internal::{Granted, GrantedScope, Internal as _, Reaching};

/// Compares `granted{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut counts: BTreeMap<Scope, BTreeMap<Scope, i64>> = BTreeMap::new();
    let mut grant = |holder: Scope, scope: Scope| *counts.entry(holder).or_default().entry(scope).or_default() += 1;
    for (id, territory) in &facts.territories {
        if let Some(team) = territory.team {
            grant(Scope::Team(team), Scope::Territory(*id));
        }
        if let Some(warehouse) = territory.warehouse {
            grant(Scope::Territory(*id), Scope::Warehouse(warehouse));
        }
    }
    for (van, rep) in &facts.vans {
        grant(Scope::Rep(*rep), Scope::Warehouse(*van));
    }
    for outlet in facts.outlets.values() {
        for agreement in outlet.agreements.iter().filter_map(|agreement| facts.agreements.get(agreement)) {
            grant(Scope::Territory(outlet.territory), Scope::PriceList(agreement.price_list));
        }
    }
    // Once, if a list is both to another one.
    let dependent: BTreeSet<(Uuid, Uuid)> = [&facts.computed_lists, &facts.limited_lists]
        .into_iter()
        .flatten()
        .flat_map(|(other, lists)| lists.iter().map(|list| (*list, *other)))
        .collect();
    for (list, other) in dependent {
        grant(Scope::PriceList(list), Scope::PriceList(other));
    }
    for (customer, territories) in reach::of_customers(facts) {
        // Once wide, always wide: that is history, and `reach` has looked whether it can be.
        if derived.reach.of(&Reaching::Customer(customer)).own_scope {
            for territory in territories.keys() {
                grant(Scope::Territory(*territory), Scope::Customer(customer));
            }
        }
    }
    for (driver, trip) in facts.trips.grants() {
        grant(driver, trip);
    }
    let begun = begun(facts, derived);
    for rep in facts.reps.keys() {
        let held = derived.granted.of(&Scope::Rep(*rep));
        let held = |territory: Uuid| held.held().any(|scope| scope == Scope::Territory(territory));
        for territory in of_rep(derived, (*rep, begun.get(rep).copied()), held) {
            grant(Scope::Rep(*rep), Scope::Territory(territory));
        }
    }
    for territory in facts.territories.keys() {
        let holder = Scope::Territory(*territory);
        let months = months(&derived.granted.of(&holder), *territory);
        let opened = derived.calendars.of(territory).month;
        if !is_run(&months) || months.last().is_none_or(|month| month.number() < opened) {
            let months: Vec<String> = months.iter().map(Month::to_string).collect();
            let opened = Month::from_number(opened).map_or_else(|| "none".to_owned(), |month| month.to_string());
            let name = Granted::name(&holder);
            report
                .find(format!("{name} gives the months {months:?}, which are no run up to the last opened ({opened})"));
        }
        for month in months {
            counts.entry(holder).or_default().insert(Scope::TerritoryMonth(*territory, month), 1);
        }
    }
    let expected = counts.into_iter().map(|(holder, scopes)| (Granted::name(&holder), granted(&scopes))).collect();
    derived.granted.compare(&expected, report, differ);
}

/// The months that a territory gives, in ascending order.
fn months(granted: &Granted, territory: Uuid) -> Vec<Month> {
    let mut months = Vec::new();
    for scope in granted.held() {
        if let Scope::TerritoryMonth(of, month) = scope
            && of == territory
        {
            months.push(month);
        }
    }
    months.sort_unstable();
    months
}

fn is_run(months: &[Month]) -> bool {
    months.windows(2).all(|pair| pair[1].number() == pair[0].number() + 1)
}

/// By rep, the beginning of the last day whose assignments were applied in a territory of the rep.
fn begun(facts: &Facts, derived: &Derived) -> BTreeMap<Uuid, i64> {
    let mut begun: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (id, territory) in &facts.territories {
        let begun_us = calendar::start_of_day(territory.zone, derived.calendars.of(id).applied_day);
        for rep in derived.territory_reps.of(id).reps.iter().filter_map(|rep| Uuid::from_slice(rep).ok()) {
            let latest_us = begun.entry(rep).or_insert(begun_us);
            *latest_us = begun_us.max(*latest_us);
        }
    }
    begun
}

/// The territories of a rep by the assignments that run. When they were applied last is known in part: at the latest with
/// the last commit, not before the day that is applied in a territory of the rep, and not before they changed last.
/// What begins or ends between these moments may be granted or not, as it is `held`.
fn of_rep(derived: &Derived, (rep, begun_us): (Uuid, Option<i64>), held: impl Fn(Uuid) -> bool) -> BTreeSet<Uuid> {
    let changed_us = derived.assigned.version(&rep).and_then(|version| derived.moments.get(&version)).copied();
    let applied_us = changed_us.max(begun_us).unwrap_or(i64::MIN);
    // A server's clock may be a little ahead of the one that commits.
    let latest_us = derived.at_us.max(begun_us.unwrap_or(i64::MIN));
    let between = |moment: i64| moment > applied_us && moment <= latest_us;
    let spans = derived.assigned.of(&rep).spans;
    let territories: BTreeSet<Uuid> = spans.iter().filter_map(|span| Uuid::from_slice(&span.territory).ok()).collect();
    let runs_in = |territory: &Uuid| {
        let mut own = spans.iter().filter(|span| span.territory == territory.as_bytes());
        if own.clone().any(|span| between(span.from_us) || span.until_us.is_some_and(between)) {
            return held(*territory);
        }
        own.any(|span| runs(span, latest_us))
    };
    territories.into_iter().filter(runs_in).collect()
}

fn runs(span: &Span, at_us: i64) -> bool {
    span.from_us <= at_us && span.until_us.is_none_or(|until_us| at_us < until_us)
}

fn granted(scopes: &BTreeMap<Scope, i64>) -> Granted {
    let mut scopes: Vec<GrantedScope> =
        scopes.iter().map(|(scope, count)| GrantedScope { scope: scope.to_string(), count: *count }).collect();
    scopes.sort_unstable_by(|one, other| one.scope.cmp(&other.scope));
    Granted { scopes }
}

fn differ(stored: &Granted, right: &Granted) -> Option<String> {
    let by_scope = |granted: &Granted| -> BTreeMap<String, i64> {
        granted.scopes.iter().map(|entry| (entry.scope.clone(), entry.count)).collect()
    };
    let (stored_counts, right_counts) = (by_scope(stored), by_scope(right));
    let mut differences = Vec::new();
    for (scope, count) in &right_counts {
        let found = stored_counts.get(scope).copied().unwrap_or(0);
        if found != *count {
            differences.push(format!("counts {found} reasons for {scope}, and there are {count}"));
        }
    }
    for scope in stored_counts.keys().filter(|scope| !right_counts.contains_key(*scope)) {
        differences.push(format!("gives {scope} without a reason"));
    }
    Some(if differences.is_empty() { "is not in order".to_owned() } else { differences.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_a_run_when_none_is_missing() {
        let months =
            |numbers: &[u32]| -> Vec<Month> { numbers.iter().filter_map(|month| Month::new(2026, *month)).collect() };
        assert!(is_run(&months(&[9, 10, 11])) && is_run(&months(&[9])));
        assert!(!is_run(&months(&[9, 11])) && !is_run(&months(&[9, 9])));
    }

    #[test]
    fn a_wrong_count_is_told_with_the_right_one() {
        let of = |counts: &[(Scope, i64)]| granted(&counts.iter().copied().collect());
        let list = Scope::PriceList(Uuid::from_u128(1));
        let wrong = differ(&of(&[(list, 2)]), &of(&[(list, 3)])).expect("differs");
        assert_eq!(wrong, format!("counts 2 reasons for {list}, and there are 3"));
        let orphan = differ(&of(&[(list, 1)]), &Granted::default()).expect("differs");
        assert_eq!(orphan, format!("gives {list} without a reason"));
    }
}
