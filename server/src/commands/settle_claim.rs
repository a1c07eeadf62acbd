//! Says what the customer gets for what was accepted of a reclamation, which closes it.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, Reclamation, SettleClaim};
use roundsman_sync::trade::check;
use roundsman_sync::trade::reclamation::stages::{self, Actor, Staged};

use super::{Context, Decide, Target, decided, field};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for SettleClaim {
    fn name(&self) -> &'static str {
        "SettleClaim"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.reclamation_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.reclamation_id);
        keys.record(&self.order_id);
        let (_, reclamation) = workspace.live::<Reclamation>(&self.reclamation_id)?;
        field::keys(context, &reclamation.outlet_id, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Reclamation>(&self.reclamation_id)?;
        let replacement: Option<Order> = field::named(workspace, check::optional_id(&self.order_id, "order_id")?)?;
        let actor = Actor { by: context.issuer.actor(), now_us: context.now_us };
        let Staged { reclamation, verdict, .. } = stages::decide_settle(&current, replacement.as_ref(), self, actor)?;
        if reclamation != current {
            let place = field::place(workspace, &current.outlet_id)?;
            workspace.put(id, &reclamation, &place.closed(context))?;
            workspace.announce("reclamation.settled", id);
        }
        Ok(decided(verdict))
    }
}
