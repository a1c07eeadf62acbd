//! Reports that a trip's vehicle has left with what is on it.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{DepartTrip, Trip};
use roundsman_sync::trade::{shipment, trip};

use super::{Context, Decide, Target, applied, shipping, trips};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for DepartTrip {
    fn name(&self) -> &'static str {
        "DepartTrip"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Driver, Role::Rep, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.trip_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.trip_id);
        let (_, trip) = workspace.live::<Trip>(&self.trip_id)?;
        trips::put_keys(&trip, keys);
        for id in trip::shipment_ids(&trip) {
            // One that can't ask for more yet must not keep the others from asking.
            let _ = shipping::keys(context, id.as_bytes(), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = trips::known(context, workspace, &self.trip_id)?;
        let shipments = trips::shipments(workspace, &current)?;
        let departed = trip::decide_depart((id, &current), &shipments, context.captured_at_us)?;
        for (id, left) in &departed.shipments {
            workspace.update(*id, left)?;
        }
        for shipment in trip::shipment_ids(&departed.trip) {
            let (moving, goods) = shipping::read(workspace, shipment.as_bytes())?;
            let decision = shipment::leave(goods, context.captured_at_us, shipping::mover(context))?;
            workspace.announce("shipment.shipped", moving.id);
            moving.store(context, workspace, decision)?;
        }
        trips::put(workspace, (id, Some(&current)), &departed.trip)?;
        workspace.announce("trip.departed", id);
        Ok(applied())
    }
}
