//! Calls a planned visit off.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CancelVisit, Reason, Visit};
use roundsman_sync::trade::visit;

use super::{Context, Decide, Target, applied, applied_because, field};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CancelVisit {
    fn name(&self) -> &'static str {
        "CancelVisit"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Supervisor, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.visit_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.visit_id);
        let (_, visit) = workspace.live::<Visit>(&self.visit_id)?;
        field::keys(context, &visit.outlet_id, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current, place) =
            field::known_at(context, workspace, &self.visit_id, |visit: &Visit| &visit.outlet_id)?;
        field::may_edit(context, workspace, &place)?;
        match visit::decide_cancel(&current, self)? {
            None => Ok(applied_because(Reason::NothingToDo)),
            Some(cancelled) => {
                workspace.put(id, &cancelled, &place.closed(context))?;
                Ok(applied())
            }
        }
    }
}
