//! What the commands about reps and territories have in common: assignments with their spans and grants, who works in a
//! territory on a day, and the planned visits that follow from that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono_tz::Tz;
use roundsman_proto::trade::{Assignment, Reason, Rep, RepStatus, Territory, Visit, VisitState};
use roundsman_sync::limits::DEVICE_BUCKETS;
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::assignment::Assigned;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use crate::calendar;
use crate::internal::{Granted, RepAssignments, TerritoryCalendar, TerritoryDay, TerritoryReps};
use crate::network::{self, stored_id};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

/// The time zone of a stored territory.
///
/// # Errors
/// [`Stop::Corrupt`] when it has none: a territory is not taken without.
pub fn zone(territory: &Territory) -> Result<Tz, Stop> {
    calendar::zone(&territory.time_zone).ok_or_else(|| Stop::Corrupt("a territory without a zone".to_owned()))
}

/// Writes a new or changed assignment, refuses it if the rep would hold too much by it, and gives the rep the visits that
/// are planned.
///
/// # Errors
/// See [`reference::put_assignment`] and [`refuse_too_many`].
pub fn begin(
    workspace: &mut Workspace,
    (id, assignment): (Uuid, &Assignment),
    rep: Uuid,
    (territory, place): (Uuid, &Territory),
    now_us: i64,
) -> Result<(), Stop> {
    reference::put_assignment(workspace, id, assignment, now_us)?;
    let zone = zone(place)?;
    let begins_us = calendar::start_of_day(zone, assignment.from_day);
    refuse_too_many(workspace, rep, begins_us.max(now_us))?;
    give_visits(workspace, (territory, zone), calendar::day(zone, now_us), now_us)?;
    Ok(())
}

/// Refuses a rep who has left.
///
/// # Errors
/// `REASON_REP_DISMISSED`.
pub fn works_here(id: Uuid, rep: &Rep) -> Result<(), Rejection> {
    match rep.status() {
        RepStatus::Unspecified | RepStatus::Active => Ok(()),
        RepStatus::Dismissed => Err(Rejection::new(Reason::RepDismissed).about(id)),
    }
}

/// Asks for the assignments of a rep, and for what [`refuse_too_many`] needs.
pub fn assignment_keys(rep: Uuid, workspace: &Workspace, keys: &mut Keys) {
    keys.id(rep);
    keys.internal::<RepAssignments>(&rep);
    keys.internal::<Assigned>(&rep);
    keys.internal::<Granted>(&Scope::Rep(rep));
    if let Ok(own) = workspace.internal::<RepAssignments>(&rep) {
        for assignment in &own.assignments {
            keys.record(assignment);
        }
    }
    if let Ok(assigned) = workspace.internal::<Assigned>(&rep) {
        for territory in assigned.spans.iter().filter_map(|span| Uuid::from_slice(&span.territory).ok()) {
            keys.internal::<Granted>(&Scope::Territory(territory));
        }
    }
}

/// The assignments of a rep.
///
/// # Errors
/// [`Stop::Load`].
pub fn assignments(workspace: &Workspace, rep: Uuid) -> Result<Vec<(Uuid, Assignment)>, Stop> {
    let mut found = Vec::new();
    for id in workspace.internal::<RepAssignments>(&rep)?.assignments {
        let id = stored_id(&id)?;
        found.extend(workspace.find(id)?.map(|assignment| (id, assignment)));
    }
    Ok(found)
}

/// Refuses an assignment beside another of the same rep to the same territory on the same days.
///
/// # Errors
/// `REASON_ASSIGNMENT_OVERLAP`; [`Stop::Load`].
pub fn refuse_overlap(workspace: &Workspace, id: Uuid, wanted: &Assignment) -> Result<(), Stop> {
    for (other_id, other) in assignments(workspace, stored_id(&wanted.rep_id)?)? {
        if other_id != id && other.territory_id == wanted.territory_id && meet(&other, wanted) {
            let rejection = Rejection::new(Reason::AssignmentOverlap);
            return Err(rejection.fact(Some(other_id), "assignment_id", other_id).into());
        }
    }
    Ok(())
}

fn last_day(assignment: &Assignment) -> i32 {
    if assignment.to_day == 0 { i32::MAX } else { assignment.to_day }
}

fn meet(one: &Assignment, other: &Assignment) -> bool {
    one.from_day <= last_day(other) && other.from_day <= last_day(one)
}

/// Whether an assignment runs on a day.
#[must_use]
pub fn runs_on(assignment: &Assignment, day: i32) -> bool {
    (assignment.from_day..=last_day(assignment)).contains(&day)
}

/// Ends an assignment with a day; one that would never have begun is taken out.
///
/// # Errors
/// See [`Stop`].
pub fn end(
    workspace: &mut Workspace,
    (id, assignment): (Uuid, Assignment),
    to_day: i32,
    now_us: i64,
) -> Result<(), Stop> {
    if to_day >= assignment.from_day {
        return reference::put_assignment(workspace, id, &Assignment { to_day, ..assignment }, now_us);
    }
    let (rep, territory) = (stored_id(&assignment.rep_id)?, stored_id(&assignment.territory_id)?);
    let place: Option<Territory> = workspace.find(territory)?;
    let zone = zone(&place.unwrap_or_default())?;
    let began_us = calendar::start_of_day(zone, assignment.from_day);
    let assigned: Assigned = workspace.internal(&rep)?;
    workspace.put_internal(&rep, &assigned.ending(territory, began_us, Some(i64::MIN)))?;
    take_out(workspace, rep, id, now_us)?;
    network::grant_assignments(workspace, rep, now_us)
}

/// Takes the document of an assignment out that never begins.
///
/// # Errors
/// [`Stop::Load`].
pub fn take_out(workspace: &mut Workspace, rep: Uuid, assignment: Uuid, now_us: i64) -> Result<(), Stop> {
    let mut own: RepAssignments = workspace.internal(&rep)?;
    own.assignments.retain(|id| id != assignment.as_bytes());
    workspace.put_internal(&rep, &own)?;
    workspace.remove(assignment, now_us, None)
}

/// Refuses what would give a rep's devices more buckets at a moment than a device holds. Counted are the buckets that
/// there may be, whether they exist by now or not: a bucket comes with its first record, and that must not be refused.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`; [`Stop::Load`].
pub fn refuse_too_many(workspace: &Workspace, rep: Uuid, at_us: i64) -> Result<(), Stop> {
    let assigned: Assigned = workspace.internal(&rep)?;
    let mut scopes: BTreeSet<Scope> = [Scope::Tenant, Scope::Rep(rep)].into();
    for territory in assigned.territories(at_us) {
        scopes.insert(Scope::Territory(territory));
        scopes.extend(workspace.internal::<Granted>(&Scope::Territory(territory))?.held());
    }
    let buckets: usize = scopes.into_iter().map(buckets).sum();
    if buckets <= DEVICE_BUCKETS {
        return Ok(());
    }
    let rejection = Rejection::new(Reason::LimitExceeded).field("territory_id");
    Err(rejection.fact(None, "limit", DEVICE_BUCKETS).fact(None, "buckets", buckets).into())
}

/// How many kinds are handed out in a scope.
fn buckets(scope: Scope) -> usize {
    match scope {
        // Products, price lists, warehouses, surveys, standard agreements.
        Scope::Tenant => 5,
        Scope::Supervision => 0,
        // Outlets, routes, the territory; customers, agreements, receivables; visits, orders, shipments, payments, claims,
        // responses, tasks.
        Scope::Territory(_) => 13,
        Scope::TerritoryMonth(..) => 7,
        Scope::PriceList(_) | Scope::Warehouse(_) => 1,
        // The customer, its agreements, its receivables.
        Scope::Customer(_) => 3,
        // The rep or the team with its reps, their assignments; tasks.
        Scope::Rep(_) | Scope::Team(_) => 3,
    }
}

/// Asks for what [`worker`] needs, and for the territory with its calendar.
pub fn worker_keys(territory: Uuid, workspace: &Workspace, keys: &mut Keys) {
    keys.id(territory);
    keys.internal::<TerritoryReps>(&territory);
    keys.internal::<TerritoryCalendar>(&territory);
    if let Ok(reps) = workspace.internal::<TerritoryReps>(&territory) {
        for rep in reps.reps.iter().filter_map(|rep| Uuid::from_slice(rep).ok()) {
            keys.internal::<Assigned>(&rep);
        }
    }
}

/// Who works in a territory on a day, for its planned visits. Of today counts this moment: a rep may have left since the
/// day began.
///
/// # Errors
/// [`Stop::Load`].
pub fn worker(
    workspace: &Workspace,
    (territory, zone): (Uuid, Tz),
    day: i32,
    now_us: i64,
) -> Result<Option<Uuid>, Stop> {
    let begins_us = calendar::start_of_day(zone, day);
    let ends_us = calendar::start_of_day(zone, day.saturating_add(1));
    let at_us = now_us.min(ends_us - 1).max(begins_us);
    let mut reps = Vec::new();
    for rep in workspace.internal::<TerritoryReps>(&territory)?.reps {
        let rep = stored_id(&rep)?;
        reps.push((rep, workspace.internal(&rep)?));
    }
    Ok(working(&reps, territory, at_us))
}

/// Of several, the one whose assignment began last: whoever stands in for somebody comes later.
fn working(reps: &[(Uuid, Assigned)], territory: Uuid, at_us: i64) -> Option<Uuid> {
    let here = reps.iter().flat_map(|(rep, assigned)| {
        let runs = assigned.spans.iter().filter(move |span| {
            span.territory == territory.as_bytes()
                && span.from_us <= at_us
                && span.until_us.is_none_or(|until_us| at_us < until_us)
        });
        runs.map(|span| (span.from_us, Reverse(*rep)))
    });
    here.max().map(|(_, Reverse(rep))| rep)
}

/// Asks for what [`give_visits`] needs.
pub fn visit_keys(territory: Uuid, workspace: &Workspace, keys: &mut Keys) {
    worker_keys(territory, workspace, keys);
    let Ok(calendar) = workspace.internal::<TerritoryCalendar>(&territory) else { return };
    for planned in calendar.days {
        let key = (territory, planned.day);
        keys.internal::<TerritoryDay>(&key);
        if let Ok(day) = workspace.internal::<TerritoryDay>(&key) {
            for visit in &day.visits {
                keys.record(visit);
            }
        }
    }
}

/// Gives the planned visits of a territory, from a day on, to whoever works there on their days. Returns whether any of
/// them has changed hands.
///
/// # Errors
/// [`Stop::Load`].
pub fn give_visits(
    workspace: &mut Workspace,
    (territory, zone): (Uuid, Tz),
    from_day: i32,
    now_us: i64,
) -> Result<bool, Stop> {
    let mut changed = false;
    let calendar: TerritoryCalendar = workspace.internal(&territory)?;
    for day in calendar.days.iter().map(|planned| planned.day).filter(|day| *day >= from_day) {
        let rep = worker(workspace, (territory, zone), day, now_us)?;
        let rep = rep.map_or_else(Vec::new, |rep| rep.as_bytes().to_vec());
        for id in workspace.internal::<TerritoryDay>(&(territory, day))?.visits {
            let id = stored_id(&id)?;
            let Some(visit) = workspace.find::<Visit>(id)? else { continue };
            if visit.state() == VisitState::Planned && visit.rep_id != rep {
                workspace.update(id, &Visit { rep_id: rep.clone(), ..visit })?;
                changed = true;
            }
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use roundsman_sync::trade::assignment::Span;

    use super::*;

    const NORTH: Uuid = Uuid::from_u128(1);

    fn days(from_day: i32, to_day: i32) -> Assignment {
        Assignment { from_day, to_day, ..Assignment::default() }
    }

    #[test]
    fn assignments_meet_when_they_share_a_day() {
        assert!(meet(&days(10, 0), &days(20, 30)));
        assert!(meet(&days(10, 20), &days(20, 30)));
        assert!(!meet(&days(10, 19), &days(20, 0)));
        assert!(!meet(&days(20, 0), &days(10, 19)));
        assert!(runs_on(&days(10, 19), 19) && !runs_on(&days(10, 19), 20) && runs_on(&days(10, 0), 2_000));
    }

    #[test]
    fn whoever_stands_in_gets_the_visits_and_gives_them_back() {
        let [anna, boris] = [7, 8].map(Uuid::from_u128);
        let for_good = Assigned { spans: vec![Span::new(NORTH, 0, None)] };
        let for_a_week = Assigned { spans: vec![Span::new(NORTH, 100, Some(200))] };
        let reps = [(anna, for_good), (boris, for_a_week)];
        assert_eq!(working(&reps, NORTH, 99), Some(anna));
        assert_eq!(working(&reps, NORTH, 100), Some(boris));
        assert_eq!(working(&reps, NORTH, 200), Some(anna));
        assert_eq!(working(&reps, Uuid::from_u128(2), 100), None);
        assert_eq!(working(&[], NORTH, 100), None);
    }

    #[test]
    fn a_phone_with_a_few_territories_is_far_from_the_limit() {
        let months = 3 * buckets(Scope::TerritoryMonth(NORTH, roundsman_sync::scope::Month::default()));
        let territory = buckets(Scope::Territory(NORTH)) + months + 10;
        assert!(20 * territory + buckets(Scope::Tenant) + buckets(Scope::Rep(NORTH)) <= DEVICE_BUCKETS);
    }
}
