//! What happens by the clock: routes, the visits that were planned for days, and the visits in progress.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::VisitState;
use uuid::Uuid;

use super::facts::Facts;
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::{Internal as _, TerritoryCalendar, TerritoryRoutes};

/// Compares `routes{}`, and looks through `planned{}`, `calendar{}` and `rep_day{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut routes: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (route, territory) in &facts.routes {
        routes.entry(*territory).or_default().insert(*route);
    }
    let expected = routes
        .iter()
        .map(|(territory, routes)| (TerritoryRoutes::name(territory), TerritoryRoutes { routes: list(routes) }));
    derived.routes.compare(&expected.collect(), report, |stored, right| differing_ids(&stored.routes, &right.routes));
    check_planned(facts, derived, report);
    let mut named: BTreeSet<String> = derived.calendars.iter().map(|(name, _)| name.to_owned()).collect();
    for territory in facts.territories.keys() {
        let name = TerritoryCalendar::name(territory);
        named.remove(&name);
        let calendar = derived.calendars.of(territory);
        if !calendar.days.is_sorted_by(|one, other| one.day < other.day) {
            report.find(format!("{name} does not name its days once each and in ascending order"));
        }
        for planned in calendar.days.iter().filter(|planned| planned.revision > calendar.revision) {
            let (day, revision) = (planned.day, planned.revision);
            report.find(format!("{name} has planned day {day} for revision {revision}, which there was not yet"));
        }
    }
    report.findings.extend(named.into_iter().map(|name| format!("{name} is of no territory")));
    check_in_progress(facts, derived, report);
}

/// `planned{}`: visits of that day, each under one territory; and whatever is still planned is named.
fn check_planned(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut named: BTreeMap<Uuid, &str> = BTreeMap::new();
    for (name, planned) in derived.planned.iter() {
        let Some((territory, day)) = territory_day(name).filter(|(id, _)| facts.territories.contains_key(id)) else {
            report.find(format!("{name} is of no territory or of no day"));
            continue;
        };
        if !planned.visits.is_sorted_by(|one, other| one < other) {
            report.find(format!("{name} does not name its visits once each and in ascending order"));
        }
        let mut waits = false;
        for id in planned.visits.iter().map(|id| Uuid::from_slice(id).unwrap_or_default()) {
            match facts.visits.get(&id).filter(|visit| visit.day == day) {
                Some(visit) => waits |= visit.state == VisitState::Planned && visit.by_route,
                None => report.find(format!("{name} names {id}, which is no visit of that day")),
            }
            if let Some(other) = named.insert(id, name) {
                report.find(format!("{name} names the visit {id}, and so does {other}"));
            }
        }
        if waits && derived.calendars.of(&territory).planned(day).is_none() {
            let calendar = TerritoryCalendar::name(&territory);
            report.find(format!("{calendar} does not know day {day}, for which visits are still planned"));
        }
    }
    for (id, visit) in facts.visits.iter().filter(|(id, _)| !named.contains_key(*id)) {
        if visit.state == VisitState::Planned && visit.by_route {
            report.find(format!("the visit {id} is planned, and no planned{{}} of day {} names it", visit.day));
        }
    }
}

fn territory_day(name: &str) -> Option<(Uuid, i32)> {
    let (territory, day) = name.strip_prefix("planned{territory:")?.strip_suffix('}')?.split_once(' ')?;
    Some((territory.parse().ok()?, day.parse().ok()?))
}

/// `rep_day{}`: names the rep's visit in progress, and each visit in progress is named.
fn check_in_progress(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut named = BTreeSet::new();
    for (name, rep_day) in derived.rep_days.iter().filter(|(_, day)| !day.in_progress_visit_id.is_empty()) {
        let id = Uuid::from_slice(&rep_day.in_progress_visit_id).unwrap_or_default();
        let visit = facts.visits.get(&id).filter(|visit| visit.state == VisitState::InProgress);
        let key = rep_of_day(name);
        match (visit, key) {
            (Some(visit), Some((rep, day))) if visit.rep == Some(rep) => {
                let began_on = visit.checked_in_day;
                if began_on != day {
                    report.find(format!("{name} names the visit {id}, which began on day {began_on}"));
                }
                named.insert(id);
            }
            (Some(_), _) => report.find(format!("{name} names the visit {id} of another rep")),
            (None, _) => report.find(format!("{name} names {id}, which is no visit in progress")),
        }
    }
    for (id, visit) in &facts.visits {
        if visit.state == VisitState::InProgress && !visit.imported && !named.contains(id) {
            report.find(format!("the visit {id} at {} is in progress, and no rep_day{{}} names it", visit.outlet));
        }
    }
}

fn rep_of_day(name: &str) -> Option<(Uuid, i32)> {
    let (rep, day) = name.strip_prefix("rep_day{rep:")?.strip_suffix('}')?.split_once(' ')?;
    Some((rep.parse().ok()?, day.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use roundsman_sync::trade::visit::RepDay;

    use super::*;
    use crate::internal::TerritoryDay;

    #[test]
    fn days_are_known_by_their_names() {
        let key = (Uuid::from_u128(7), 20_780);
        assert_eq!(territory_day(&TerritoryDay::name(&key)), Some(key));
        assert_eq!(rep_of_day(&RepDay::name(&key)), Some(key));
        assert_eq!(territory_day(&RepDay::name(&key)), None);
    }
}
