//! Assigns a rep to a territory, or changes the last day of an assignment.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AssignRep, Assignment, Reason};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, people};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AssignRep {
    fn name(&self) -> &'static str {
        "AssignRep"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Supervisor, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.assignment_id, creates: true })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.assignment_id);
        reference::assignment_keys(&wanted(self), workspace, keys);
        if let Ok(territory) = Uuid::from_slice(&self.territory_id) {
            people::visit_keys(territory, workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (rep, person) = people::known_rep(context, workspace, &self.rep_id)?;
        let (territory, place) = people::known_territory(context, workspace, &self.territory_id)?;
        if person.team_id != place.team_id {
            return Err(check::mismatch("rep_id").into());
        }
        people::works_here(rep, &person)?;
        let (id, current) = field::existing::<Assignment>(workspace, &self.assignment_id)?;
        let wanted = wanted(self);
        if let Some(current) = current {
            if current == wanted {
                return Ok(applied_because(Reason::NothingToDo));
            }
            if (Assignment { to_day: self.to_day, ..current }) != wanted {
                return Err(Rejection::new(Reason::IdTaken).about(id).into());
            }
        }
        people::begin(workspace, (id, &wanted), (territory, &place), context.now_us)?;
        Ok(applied())
    }
}

fn wanted(command: &AssignRep) -> Assignment {
    Assignment {
        rep_id: command.rep_id.clone(),
        territory_id: command.territory_id.clone(),
        from_day: command.from_day,
        to_day: command.to_day,
    }
}
