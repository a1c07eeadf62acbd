//! Says which shipments a vehicle brings.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{PlanTrip, Product, Reason, Rep, Shipment, Trip, Vehicle, Warehouse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::trip::{self, Load, Setting};
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, field, people, shipping, trips};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for PlanTrip {
    fn name(&self) -> &'static str {
        "PlanTrip"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.trip_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.shipment_ids.len(), trip::SHIPMENTS, "shipment_ids")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        for id in [&self.trip_id, &self.vehicle_id, &self.driver_id, &self.warehouse_id] {
            keys.record(id);
        }
        trips::put_keys(&Trip { driver_id: self.driver_id.clone(), ..Trip::default() }, keys);
        for id in &self.shipment_ids {
            keys.record(id);
            if let Ok((_, shipment)) = workspace.live::<Shipment>(id) {
                field::place_keys(&shipment.outlet_id, workspace, keys);
                shipping::products(&shipment).into_iter().for_each(|product| keys.id(product));
            }
        }
        if let Ok((_, current)) = workspace.live::<Trip>(&self.trip_id) {
            trips::put_keys(&current, keys);
            trip::shipment_ids(&current).for_each(|id| keys.id(id));
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = field::existing::<Trip>(workspace, &self.trip_id)?;
        let (_, vehicle) = workspace.live::<Vehicle>(&self.vehicle_id)?;
        let (driver_id, driver) = workspace.live::<Rep>(&self.driver_id)?;
        people::works_here(driver_id, &driver)?;
        workspace.live::<Warehouse>(&self.warehouse_id)?;
        let named = loads(workspace, &self.shipment_ids)?;
        let mut dropped = current.as_ref().map_or_else(|| Ok(Vec::new()), |of| trips::shipments(workspace, of))?;
        dropped.retain(|(id, _)| named.iter().all(|load| load.id != *id));
        let products = products(workspace, &named)?;
        let setting =
            Setting { current: current.as_ref(), vehicle: &vehicle, products: &products, now_us: context.now_us };
        let planned = trip::decide_plan(self, &setting, &named, &dropped)?;
        if current.as_ref() == Some(&planned.trip) && planned.shipments.is_empty() {
            return Ok(applied_because(Reason::NothingToDo));
        }
        for (id, shipment) in &planned.shipments {
            workspace.update(*id, shipment)?;
        }
        trips::put(workspace, (id, current.as_ref()), &planned.trip)?;
        workspace.announce("trip.planned", id);
        Ok(applied())
    }
}

/// The shipments of these ids, in order, with where they go.
fn loads(workspace: &Workspace, ids: &[Vec<u8>]) -> Result<Vec<Load>, Stop> {
    let load = |id: &Vec<u8>| {
        let (id, shipment) = workspace.live::<Shipment>(id)?;
        let outlet = field::place(workspace, &shipment.outlet_id)?.outlet;
        Ok(Load { id, shipment, outlet })
    };
    ids.iter().map(load).collect()
}

fn products(workspace: &Workspace, loads: &[Load]) -> Result<BTreeMap<Uuid, Product>, Stop> {
    let mut found = BTreeMap::new();
    for id in loads.iter().flat_map(|load| shipping::products(&load.shipment)) {
        found.extend(workspace.find::<Product>(id)?.map(|product| (id, product)));
    }
    Ok(found)
}
