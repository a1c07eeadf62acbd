//! Makes the planned visits of a day from the routes of a territory.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Outlet, PlanVisits, Route, RouteStop, Territory, Visit, VisitState};
use roundsman_sync::scope::Month;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::{check, visit};
use uuid::Uuid;

use super::chunk::Chunk;
use super::{Context, Decide, Target, field, people};
use crate::calendar;
use crate::internal::{PlannedDay, TerritoryCalendar, TerritoryDay, TerritoryRoutes, insert_id, planned_visit_id};
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many visits in one command.
const VISITS: usize = 1_000;

impl Decide for PlanVisits {
    fn name(&self) -> &'static str {
        "PlanVisits"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        let Ok(territory) = Uuid::from_slice(&self.territory_id) else { return Ok(()) };
        people::worker_keys(territory, workspace, keys);
        keys.internal::<TerritoryRoutes>(&territory);
        keys.internal::<TerritoryDay>(&(territory, self.day));
        for route in &workspace.internal::<TerritoryRoutes>(&territory)?.routes {
            keys.record(route);
        }
        for visit in &workspace.internal::<TerritoryDay>(&(territory, self.day))?.visits {
            keys.record(visit);
        }
        let routes = routes(workspace, territory)?;
        let asked = asked(&routes, self.day);
        for id in part(self, workspace, territory, &asked)?.ids {
            keys.id(id);
            if let Some(asked) = asked.get(&id) {
                keys.id(asked.outlet_id);
                network::hang_keys(asked.outlet_id.as_bytes(), month(self.day), keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::day(self.day, "day")?;
        let (territory, place) = workspace.live::<Territory>(&self.territory_id)?;
        let zone = field::zone(&place)?;
        if calendar::start_of_day(zone, self.day.saturating_add(1)) <= context.now_us {
            return Err(check::out_of_range("day").into());
        }
        let routes = routes(workspace, territory)?;
        let asked = asked(&routes, self.day);
        let part = part(self, workspace, territory, &asked)?;
        let rep = people::worker(workspace, (territory, zone), self.day, context.now_us)?;
        let decided_in = calendar::month(zone, context.now_us);
        let mut day: TerritoryDay = workspace.internal(&(territory, self.day))?;
        let mut changed = false;
        for id in &part.ids {
            let asked = match asked.get(id) {
                Some(asked) if is_here(workspace, asked.outlet_id, territory)? => Some(asked),
                Some(_) | None => None,
            };
            match plan(workspace.find::<Visit>(*id)?.as_ref(), asked, self.day, rep) {
                Plan::Leave => continue,
                Plan::Make(visit) => {
                    network::hang_on_outlet(workspace, stored_id(&visit.outlet_id)?, *id, month(self.day))?;
                    workspace.put_own(*id, &visit, &Stamps::of_territory(territory))?;
                    insert_id(&mut day.visits, *id);
                }
                Plan::Change(visit) => workspace.update(*id, &visit)?,
                Plan::CallOff(visit) => {
                    let closed = workspace.stamps(*id)?.closed(Some(decided_in));
                    workspace.put(*id, &visit, &closed)?;
                }
            }
            changed = true;
        }
        workspace.put_internal(&(territory, self.day), &day)?;
        note(workspace, territory, self.day, (part.more, calendar::day(zone, context.now_us)))?;
        Ok(part.outcome(changed))
    }
}

/// Under which month the visits of a day are listed with their outlets.
fn month(day: i32) -> Month {
    Month::of_day(day).unwrap_or_default()
}

/// The visits that are asked for and those that were planned before, as far as this command does them.
fn part(
    command: &PlanVisits,
    workspace: &Workspace,
    territory: Uuid,
    asked: &BTreeMap<Uuid, Asked<'_>>,
) -> Result<Chunk, Stop> {
    let day: TerritoryDay = workspace.internal(&(territory, command.day))?;
    let before = day.visits.iter().filter_map(|id| Uuid::from_slice(id).ok());
    let all: BTreeSet<Uuid> = asked.keys().copied().chain(before).collect();
    Ok(Chunk::of(all, &command.after_visit_id, VISITS, "after_visit_id")?)
}

/// Notes how far the planning of a day is. While a part is left it is not planned, but its visits are known already.
fn note(workspace: &mut Workspace, territory: Uuid, day: i32, (more, today): (bool, i32)) -> Result<(), Stop> {
    let mut calendar: TerritoryCalendar = workspace.internal(&territory)?;
    let revision = calendar.revision;
    if !more {
        calendar.plan(PlannedDay { day, planned_on: today, revision });
    } else if calendar.planned(day).is_none() {
        calendar.plan(PlannedDay { day, planned_on: 0, revision });
    }
    workspace.put_internal(&territory, &calendar)
}

fn routes(workspace: &Workspace, territory: Uuid) -> Result<Vec<(Uuid, Route)>, Stop> {
    let mut found = Vec::new();
    for id in workspace.internal::<TerritoryRoutes>(&territory)?.routes {
        let id = stored_id(&id)?;
        found.extend(workspace.find(id)?.map(|route| (id, route)));
    }
    Ok(found)
}

fn is_here(workspace: &Workspace, outlet: Uuid, territory: Uuid) -> Result<bool, Stop> {
    let outlet = workspace.find::<Outlet>(outlet)?;
    Ok(outlet.is_some_and(|outlet| outlet.territory_id == territory.as_bytes()))
}

/// A visit that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked<'a> {
    route_id: Uuid,
    outlet_id: Uuid,
    stop: &'a RouteStop,
}

/// The visits that routes ask for on a day, by their ids. Of several stops of a route at one outlet the first counts.
fn asked(routes: &[(Uuid, Route)], day: i32) -> BTreeMap<Uuid, Asked<'_>> {
    let mut found = BTreeMap::new();
    for (route_id, route) in routes {
        for stop in route.stops.iter().filter(|stop| is_on(route, stop, day)) {
            let Ok(outlet_id) = Uuid::from_slice(&stop.outlet_id) else { continue };
            let asked = Asked { route_id: *route_id, outlet_id, stop };
            found.entry(planned_visit_id(*route_id, outlet_id, day)).or_insert(asked);
        }
    }
    found
}

/// Whether a stop is to be visited on a day.
fn is_on(route: &Route, stop: &RouteStop, day: i32) -> bool {
    let from_day = route.valid_from_day;
    let to_day = if route.valid_to_day == 0 { i32::MAX } else { route.valid_to_day };
    // Day 0 was a Thursday; Monday is the first bit.
    let weekday = day.saturating_add(3).rem_euclid(7);
    let week = day.saturating_sub(route.cycle_start_day).div_euclid(7).rem_euclid(4);
    (from_day..=to_day).contains(&day)
        && stop.weekdays & (1 << weekday) != 0
        && (stop.cycle_weeks == 0 || stop.cycle_weeks & (1 << week) != 0)
}

/// What planning does with a visit.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    /// It stays as it is.
    Leave,
    /// It is planned.
    Make(Visit),
    /// It is planned with another place in the day, or for another rep.
    Change(Visit),
    /// No stop asks for it any more.
    CallOff(Visit),
}

/// Decides about one visit. Only what is still planned is touched: what has happened, and what people have decided, stays.
fn plan(current: Option<&Visit>, asked: Option<&Asked<'_>>, day: i32, rep: Option<Uuid>) -> Plan {
    let Some(current) = current else {
        return asked.map_or(Plan::Leave, |asked| Plan::Make(asked.fill(Visit { day, ..Visit::default() }, rep)));
    };
    match (current.state(), asked) {
        (VisitState::Planned, Some(asked)) => {
            let kept = Visit { outlet_id: current.outlet_id.clone(), ..asked.fill(current.clone(), rep) };
            if kept == *current { Plan::Leave } else { Plan::Change(kept) }
        }
        (VisitState::Planned, None) => Plan::CallOff(visit::called_off(current, "")),
        (VisitState::Unspecified | VisitState::InProgress | VisitState::Completed, _) => Plan::Leave,
        (VisitState::Skipped | VisitState::Rescheduled | VisitState::Missed | VisitState::Cancelled, _) => Plan::Leave,
    }
}

impl Asked<'_> {
    fn fill(&self, visit: Visit, rep: Option<Uuid>) -> Visit {
        Visit {
            outlet_id: self.outlet_id.as_bytes().to_vec(),
            rep_id: check::bytes(rep),
            state: VisitState::Planned.into(),
            planned: true,
            route_id: self.route_id.as_bytes().to_vec(),
            sequence: self.stop.sequence,
            window_from_s: self.stop.window_from_s,
            window_to_s: self.stop.window_to_s,
            ..visit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23.
    const MONDAY: i32 = 20_780;
    const ROUTE: Uuid = Uuid::from_u128(1);
    const OUTLET: Uuid = Uuid::from_u128(2);
    const REP: Uuid = Uuid::from_u128(3);

    fn stop(weekdays: u32, cycle_weeks: u32, sequence: i32) -> RouteStop {
        let outlet_id = OUTLET.as_bytes().to_vec();
        RouteStop { outlet_id, weekdays, cycle_weeks, sequence, ..RouteStop::default() }
    }

    fn route(stops: Vec<RouteStop>) -> Route {
        Route { cycle_start_day: MONDAY, stops, ..Route::default() }
    }

    #[test]
    fn a_stop_is_visited_on_its_weekdays_in_its_weeks() {
        let days = |stop: RouteStop| -> Vec<i32> {
            let route = route(Vec::new());
            (-28..28).filter(|day| is_on(&route, &stop, MONDAY + day)).collect()
        };
        assert_eq!(days(stop(1, 0, 0)), [-28, -21, -14, -7, 0, 7, 14, 21], "every Monday");
        assert_eq!(
            days(stop(64, 1, 0)),
            [-22, 6],
            "Sunday of the first week, and the cycle repeats in both directions"
        );
        assert_eq!(days(stop(1 | 16, 2 | 8, 0)), [-21, -17, -7, -3, 7, 11, 21, 25]);
        assert!(days(stop(0, 0, 0)).is_empty(), "never");
        let mut bounded = route(Vec::new());
        (bounded.valid_from_day, bounded.valid_to_day) = (MONDAY, MONDAY + 7);
        let stop = stop(1, 0, 0);
        let days: Vec<i32> = (-28..28).filter(|day| is_on(&bounded, &stop, MONDAY + day)).collect();
        assert_eq!(days, [0, 7]);
    }

    #[test]
    fn of_several_stops_at_an_outlet_the_first_that_matches_counts() {
        let routes = [(ROUTE, route(vec![stop(2, 0, 5), stop(1, 0, 6), stop(1, 0, 7)]))];
        let found = asked(&routes, MONDAY);
        let sequences: Vec<i32> = found.values().map(|asked| asked.stop.sequence).collect();
        assert_eq!(sequences, [6]);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [planned_visit_id(ROUTE, OUTLET, MONDAY)]);
    }

    #[test]
    fn planning_twice_changes_nothing_and_what_has_happened_stays() {
        let stop = stop(1, 0, 6);
        let asked = Asked { route_id: ROUTE, outlet_id: OUTLET, stop: &stop };
        let Plan::Make(made) = plan(None, Some(&asked), MONDAY, Some(REP)) else { panic!("it is planned") };
        assert_eq!((made.state(), made.planned, made.day, made.sequence), (VisitState::Planned, true, MONDAY, 6));
        assert_eq!(made.rep_id, REP.as_bytes());
        assert_eq!(plan(Some(&made), Some(&asked), MONDAY, Some(REP)), Plan::Leave);
        let Plan::Change(other) = plan(Some(&made), Some(&asked), MONDAY, None) else { panic!("nobody works there") };
        assert!(other.rep_id.is_empty());
        let Plan::CallOff(off) = plan(Some(&made), None, MONDAY, Some(REP)) else { panic!("nobody asks for it") };
        assert_eq!(off.state(), VisitState::Cancelled);
        for state in [VisitState::InProgress, VisitState::Completed, VisitState::Missed, VisitState::Cancelled] {
            let mut visit = made.clone();
            visit.set_state(state);
            assert_eq!(plan(Some(&visit), Some(&asked), MONDAY, None), Plan::Leave);
            assert_eq!(plan(Some(&visit), None, MONDAY, None), Plan::Leave);
        }
        assert_eq!(plan(None, None, MONDAY, None), Plan::Leave);
    }
}
