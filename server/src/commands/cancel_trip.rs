//! Calls a trip off that has not left.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CancelTrip, Trip};
use roundsman_sync::trade::trip;

use super::{Context, Decide, Target, applied, trips};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CancelTrip {
    fn name(&self) -> &'static str {
        "CancelTrip"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.trip_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.trip_id);
        let (_, trip) = workspace.live::<Trip>(&self.trip_id)?;
        trips::put_keys(&trip, keys);
        trip::shipment_ids(&trip).for_each(|id| keys.id(id));
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = trips::known(context, workspace, &self.trip_id)?;
        let shipments = trips::shipments(workspace, &current)?;
        let cancelled = trip::decide_cancel((id, &current), &shipments, self, context.captured_at_us)?;
        for (id, shipment) in &cancelled.shipments {
            workspace.update(*id, shipment)?;
        }
        trips::put(workspace, (id, Some(&current)), &cancelled.trip)?;
        workspace.announce("trip.cancelled", id);
        Ok(applied())
    }
}
