//! What the commands about reps and territories have in common: assignments with their spans and grants, who works in a
//! territory on a day, and the planned visits that follow from that.

use std::cmp::Reverse;

use chrono_tz::Tz;
use roundsman_proto::trade::{Assignment, Reason, Rep, RepStatus, Territory, Visit, VisitState};
use roundsman_sync::trade::assignment::Assigned;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, field};
use crate::calendar;
use crate::internal::{RepAssignments, TerritoryCalendar, TerritoryDay, TerritoryReps};
use crate::network::{self, stored_id};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

/// The rep that a command names; to a supervisor those of other teams are unknown.
///
/// # Errors
/// See [`field::known`].
pub fn known_rep(context: &Context<'_>, workspace: &Workspace, id: &[u8]) -> Result<(Uuid, Rep), Stop> {
    field::known(context, workspace, id, |rep: &Rep| Ok(field::knows_team(context, &rep.team_id)))
}

/// The territory that a command names; to a supervisor those of other teams are unknown.
///
/// # Errors
/// See [`field::known`].
pub fn known_territory(context: &Context<'_>, workspace: &Workspace, id: &[u8]) -> Result<(Uuid, Territory), Stop> {
    field::known(context, workspace, id, |place: &Territory| Ok(field::knows_team(context, &place.team_id)))
}

/// Writes a new or changed assignment, and gives the rep the visits that are planned.
///
/// # Errors
/// See [`reference::put_assignment`].
pub fn begin(
    workspace: &mut Workspace,
    (id, assignment): (Uuid, &Assignment),
    (territory, place): (Uuid, &Territory),
    now_us: i64,
) -> Result<(), Stop> {
    reference::put_assignment(workspace, id, assignment, now_us)?;
    let zone = field::zone(place)?;
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
    let rep = stored_id(&assignment.rep_id)?;
    let assigned: Assigned = workspace.internal(&rep)?;
    workspace.put_internal(&rep, &assigned.without(id))?;
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
}
