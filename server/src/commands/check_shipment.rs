//! Counts what was picked of a shipment, by barcode.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CheckShipment, Product, Shipment};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use roundsman_sync::trade::{check, shipment};

use super::{Context, Decide, Target, field, shipping};
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many scans in one command.
const SCANS: usize = 2_000;

impl Decide for CheckShipment {
    fn name(&self) -> &'static str {
        "CheckShipment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.shipment_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.scans.len(), SCANS, "scans")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.shipment_id);
        let (_, shipment) = workspace.live::<Shipment>(&self.shipment_id)?;
        field::keys(context, &shipment.outlet_id, workspace, keys);
        shipping::products(&shipment).into_iter().for_each(|product| keys.id(product));
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Shipment>(&self.shipment_id)?;
        let place = field::place(workspace, &current.outlet_id)?;
        let mut products = BTreeMap::new();
        for product in shipping::products(&current) {
            products.extend(workspace.find::<Product>(product)?.map(|found| (product, found)));
        }
        let checked = shipment::decide_check(&current, &products, self)?;
        workspace.put(id, &checked, &place.open())?;
        workspace.announce("shipment.checked", id);
        place.outcome(context, workspace, Verdict::done())
    }
}
