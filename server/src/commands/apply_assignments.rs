//! Begins and ends assignments when a day begins.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{ApplyAssignments, Reason, Territory};
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::assignment::Assigned;
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, people};
use crate::calendar;
use crate::grants;
use crate::internal::{Granted, TerritoryCalendar, TerritoryReps};
use crate::network::{self, stored_id};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ApplyAssignments {
    fn name(&self) -> &'static str {
        "ApplyAssignments"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        let Ok(territory) = Uuid::from_slice(&self.territory_id) else { return Ok(()) };
        people::visit_keys(territory, workspace, keys);
        for rep in workspace.internal::<TerritoryReps>(&territory)?.reps {
            reference::rep_keys(stored_id(&rep)?, workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::day(self.day, "day")?;
        let (territory, place) = workspace.live::<Territory>(&self.territory_id)?;
        let zone = field::zone(&place)?;
        let mut calendar: TerritoryCalendar = workspace.internal(&territory)?;
        if self.day < calendar.applied_day {
            return Err(Rejection::new(Reason::Backwards).field("day").into());
        }
        // Another server's clock may be a little ahead of this one's.
        let at_us = context.now_us.max(calendar::start_of_day(zone, self.day));
        let mut changed = false;
        for rep in workspace.internal::<TerritoryReps>(&territory)?.reps {
            let rep = stored_id(&rep)?;
            let before: Granted = workspace.internal(&Scope::Rep(rep))?;
            network::grant_assignments(workspace, rep, at_us)?;
            if before != workspace.internal(&Scope::Rep(rep))? {
                let assigned: Assigned = workspace.internal(&rep)?;
                grants::refuse_too_many(workspace, rep, assigned.territories(at_us))?;
                changed = true;
            }
        }
        calendar.applied_day = self.day;
        workspace.put_internal(&territory, &calendar)?;
        changed |= people::give_visits(workspace, (territory, zone), self.day, at_us)?;
        Ok(if changed { applied() } else { applied_because(Reason::NothingToDo) })
    }
}
