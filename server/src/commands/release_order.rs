//! Hands a confirmed order to the warehouse.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, Reason, ReleaseOrder};
use roundsman_sync::trade::order;

use super::{Context, Decide, Target, applied, applied_because, field, ordering};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ReleaseOrder {
    fn name(&self) -> &'static str {
        "ReleaseOrder"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.order_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.order_id);
        let (_, order) = workspace.live::<Order>(&self.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Order>(&self.order_id)?;
        let Some(released) = order::decide_release_order(&current, self)? else {
            return Ok(applied_because(Reason::NothingToDo));
        };
        let place = field::place(workspace, &current.outlet_id)?;
        ordering::put_order(context, workspace, &place, (id, Some(&current), &released))?;
        Ok(applied())
    }
}
