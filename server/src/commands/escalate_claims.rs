//! Tells others of reclamations that are overdue: the supervisor, and then the office.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{EscalateClaims, Reclamation};
use roundsman_sync::trade::check;
use roundsman_sync::trade::reclamation::deadline;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::{Context, Decide, Target, decided, field};
use crate::network::stored_id;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many reclamations in one command.
pub const CLAIMS: usize = 100;

impl Decide for EscalateClaims {
    fn name(&self) -> &'static str {
        "EscalateClaims"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.reclamation_ids.len(), CLAIMS, "reclamation_ids")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        for id in &self.reclamation_ids {
            keys.record(id);
            let found = Uuid::from_slice(id).ok().and_then(|id| workspace.find::<Reclamation>(id).ok().flatten());
            if let Some(reclamation) = found {
                field::place_keys(&reclamation.outlet_id, workspace, keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        for id in &self.reclamation_ids {
            let id = check::id(id, "reclamation_ids")?;
            let Some(current) = workspace.find::<Reclamation>(id)? else { continue };
            let place = field::place(workspace, &current.outlet_id)?;
            let again = place.due(context.now_us, deadline::stage_days(&current));
            let team = stored_id(&place.territory.team_id)?;
            if let Some(told) = deadline::escalate(&current, team, again, context.now_us) {
                workspace.update(id, &told)?;
                workspace.announce("reclamation.overdue", id);
            }
        }
        Ok(decided(if workspace.untouched() { Verdict::nothing_to_do() } else { Verdict::done() }))
    }
}
