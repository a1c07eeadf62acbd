//! Reports what was picked of a shipment.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{PickShipment, ShipmentState};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, shipment};

use super::{Context, Decide, Target, shipping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for PickShipment {
    fn name(&self) -> &'static str {
        "PickShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        shipping::keys(context, &self.shipment_id, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (moving, goods) = shipping::read(workspace, &self.shipment_id)?;
        let begins = goods.shipment.state() == ShipmentState::Prepared;
        let decision = shipment::decide_pick(goods, self, shipping::mover(context))?;
        if self.finished {
            workspace.announce("shipment.picked", moving.id);
        } else if begins {
            workspace.announce("shipment.picking", moving.id);
        }
        let verdict = moving.store(context, workspace, decision)?;
        moving.place.outcome(context, workspace, verdict)
    }
}
