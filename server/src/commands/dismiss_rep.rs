//! Dismisses a rep, at once.
//!
//! The rep's devices are known to control tables only, which no rule reads. So the command says whose devices are to be
//! shut out, and the batch writes that into the devices' own rows, in the same transaction. The planned visits follow with
//! the next planning, within a minute.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Assignment, DismissRep, Reason, Rep, RepStatus, Territory};
use roundsman_sync::trade::assignment::Assigned;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, people};
use crate::internal::{Revoked, TerritoryCalendar};
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Revocation, Stop, Workspace};
use crate::{calendar, reference};

impl Decide for DismissRep {
    fn name(&self) -> &'static str {
        "DismissRep"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.rep_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        let Ok(rep) = Uuid::from_slice(&self.rep_id) else { return Ok(()) };
        keys.internal::<Revoked>(&Revocation::Rep(rep));
        reference::rep_keys(rep, workspace, keys);
        for (_, assignment) in reference::assignments(workspace, rep)? {
            keys.record(&assignment.territory_id);
            if let Ok(territory) = Uuid::from_slice(&assignment.territory_id) {
                keys.internal::<TerritoryCalendar>(&territory);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, rep) = workspace.live::<Rep>(&self.rep_id)?;
        let revocation = Revocation::Rep(id);
        let revoked: Option<Revoked> = workspace.find_internal(&revocation)?;
        if rep.status() == RepStatus::Dismissed && revoked.is_some_and(|revoked| revoked.wipe || !self.wipe) {
            return Ok(applied_because(Reason::NothingToDo));
        }
        let mut rep = rep;
        rep.set_status(RepStatus::Dismissed);
        workspace.update(id, &rep)?;
        for assignment in reference::assignments(workspace, id)? {
            end(workspace, assignment, context.now_us)?;
        }
        let assigned: Assigned = workspace.internal(&id)?;
        workspace.put_internal(&id, &assigned.ending_all(context.now_us))?;
        network::grant_assignments(workspace, id, context.now_us)?;
        workspace.put_internal(&revocation, &Revoked { at_us: context.now_us, wipe: self.wipe })?;
        workspace.revoke(revocation);
        Ok(applied())
    }
}

/// The document of an assignment that ends now: today is its last day. One that has not begun is taken out, one that has
/// ended stays as it is.
fn end(workspace: &mut Workspace, (id, assignment): (Uuid, Assignment), now_us: i64) -> Result<(), Stop> {
    let territory = stored_id(&assignment.territory_id)?;
    let place: Option<Territory> = workspace.find(territory)?;
    let today = calendar::day(field::zone(&place.unwrap_or_default())?, now_us);
    if assignment.to_day != 0 && assignment.to_day < today {
        return Ok(());
    }
    reference::plan_anew(workspace, territory)?;
    if assignment.from_day > today {
        return people::take_out(workspace, stored_id(&assignment.rep_id)?, id, now_us);
    }
    workspace.update(id, &Assignment { to_day: today, ..assignment })
}
