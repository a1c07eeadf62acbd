//! Reports that a shipment is on the vehicle of its trip.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{LoadShipment, Trip, TripState};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, shipment};

use super::{Context, Decide, Target, shipping, trips};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for LoadShipment {
    fn name(&self) -> &'static str {
        "LoadShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Driver, Role::Rep, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        trips::keys_of(&self.shipment_id, workspace, keys);
        shipping::keys(context, &self.shipment_id, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let of = trips::of_shipment(context, workspace, &self.shipment_id)?;
        let (moving, goods) = shipping::read(workspace, &self.shipment_id)?;
        let decision = shipment::decide_load(goods, self, shipping::mover(context))?;
        if let Some((id, trip)) = of
            && trip.state() == TripState::Forming
        {
            let state = TripState::Loading.into();
            workspace.update(id, &Trip { state, ..trip })?;
            workspace.announce("trip.loading", id);
        }
        workspace.announce("shipment.loaded", moving.id);
        let verdict = moving.store(context, workspace, decision)?;
        moving.place.outcome(context, workspace, verdict)
    }
}
