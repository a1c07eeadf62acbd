//! Hands a territory from one rep to another.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Assignment, HandTerritoryOver, Reason};
use roundsman_sync::trade::assignment;
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, people};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for HandTerritoryOver {
    fn name(&self) -> &'static str {
        "HandTerritoryOver"
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
        if let Ok(giver) = Uuid::from_slice(&self.from_rep_id) {
            reference::rep_keys(giver, workspace, keys);
        }
        if let Ok(territory) = Uuid::from_slice(&self.territory_id) {
            people::visit_keys(territory, workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::day(self.from_day, "from_day")?;
        let (territory, place) = people::known_territory(context, workspace, &self.territory_id)?;
        let (giver, _) = people::known_rep(context, workspace, &self.from_rep_id)?;
        let (taker, person) = people::known_rep(context, workspace, &self.to_rep_id)?;
        if giver == taker || person.team_id != place.team_id {
            return Err(check::mismatch("to_rep_id").into());
        }
        people::works_here(taker, &person)?;
        let (id, current) = field::existing::<Assignment>(workspace, &self.assignment_id)?;
        let wanted = wanted(self);
        match current {
            Some(current) if current == wanted => return Ok(applied_because(Reason::NothingToDo)),
            Some(_) => return Err(Rejection::new(Reason::IdTaken).about(id).into()),
            None => {}
        }
        let mut ending = reference::assignments(workspace, giver)?;
        ending.retain(|(_, own)| own.territory_id == self.territory_id && assignment::runs_on(own, self.from_day));
        if ending.is_empty() {
            return Err(Rejection::new(Reason::NotAssigned).field("from_rep_id").into());
        }
        for assignment in ending {
            people::end(workspace, assignment, self.from_day - 1, context.now_us)?;
        }
        people::begin(workspace, (id, &wanted), (territory, &place), context.now_us)?;
        Ok(applied())
    }
}

fn wanted(command: &HandTerritoryOver) -> Assignment {
    Assignment {
        rep_id: command.to_rep_id.clone(),
        territory_id: command.territory_id.clone(),
        from_day: command.from_day,
        to_day: 0,
    }
}
