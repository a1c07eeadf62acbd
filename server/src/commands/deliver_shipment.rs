//! Reports what became of a delivery.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{DeliverShipment, Shipment};
use roundsman_sync::trade::shipment;

use super::{Context, Decide, Target, field, shipping, trips};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for DeliverShipment {
    fn name(&self) -> &'static str {
        "DeliverShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Driver, Role::Rep, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.reclamation_id);
        trips::keys_of(&self.shipment_id, workspace, keys);
        if let Ok((_, shipment)) = workspace.live::<Shipment>(&self.shipment_id) {
            field::hang_keys(context, &shipment.outlet_id, workspace, keys);
        }
        shipping::keys(context, &self.shipment_id, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        if let Some((id, trip)) = trips::of_shipment(context, workspace, &self.shipment_id)? {
            trips::goes_on(id, &trip)?;
        }
        let (moving, goods) = shipping::read(workspace, &self.shipment_id)?;
        let decision = shipment::decide_deliver(goods, self, context.captured_at_us, shipping::mover(context))?;
        workspace.announce("shipment.delivered", moving.id);
        let verdict = moving.store(context, workspace, decision)?;
        moving.place.outcome(context, workspace, verdict)
    }
}
