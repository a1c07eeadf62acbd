//! Takes a reclamation into review, or passes it on to another department.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Reclamation, ReviewClaim};
use roundsman_sync::trade::reclamation::stages;
use roundsman_sync::trade::verdict::Verdict;

use super::{Context, Decide, Target, decided};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ReviewClaim {
    fn name(&self) -> &'static str {
        "ReviewClaim"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.reclamation_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.reclamation_id);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Reclamation>(&self.reclamation_id)?;
        let Some(reviewed) = stages::decide_review(&current, self, context.now_us)? else {
            return Ok(decided(Verdict::nothing_to_do()));
        };
        workspace.update(id, &reviewed)?;
        workspace.announce("reclamation.reviewed", id);
        Ok(decided(Verdict::done()))
    }
}
