//! Blocks or unblocks an outlet.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{BlockOutlet, HoldReason};
use roundsman_sync::trade::outlet;
use roundsman_sync::trade::verdict::Verdict;

use super::{Context, Decide, Target, field, ordering};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for BlockOutlet {
    fn name(&self) -> &'static str {
        "BlockOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        field::keys(context, &self.outlet_id, workspace, keys);
        if self.blocked {
            return Ok(());
        }
        let place = field::place(workspace, &self.outlet_id)?;
        ordering::held_at_keys(place.outlet_id, HoldReason::OutletBlocked, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let place = field::place(workspace, &self.outlet_id)?;
        field::edit(context, workspace, &place)?;
        let Some(outlet) = outlet::decide_block(&place.outlet, self)? else {
            return place.outcome(context, workspace, Verdict::nothing_to_do());
        };
        // Neither where the outlet is nor on what terms it buys has changed.
        workspace.update(place.outlet_id, &outlet)?;
        if !outlet.blocked {
            for (id, _) in ordering::held_at(workspace, place.outlet_id, HoldReason::OutletBlocked)? {
                ordering::decide_again(context, workspace, id)?;
            }
        }
        place.outcome(context, workspace, Verdict::done())
    }
}
