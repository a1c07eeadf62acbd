//! Reports that goods have left the warehouse.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::ShipShipment;
use roundsman_sync::trade::shipment;

use super::{Context, Decide, Target, shipping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ShipShipment {
    fn name(&self) -> &'static str {
        "ShipShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        shipping::keys(context, &self.shipment_id, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (moving, goods) = shipping::read(workspace, &self.shipment_id)?;
        let decision = shipment::decide_ship(goods, self, context.captured_at_us, shipping::mover(context))?;
        workspace.announce("shipment.shipped", moving.id);
        let verdict = moving.store(context, workspace, decision)?;
        moving.place.outcome(context, workspace, verdict)
    }
}
