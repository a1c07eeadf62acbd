//! Trips, as logistics and whoever drives tell of them.

use std::collections::BTreeMap;

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    CancelTrip, CloseTrip, DepartTrip, LoadShipment, PlanTrip, ReturnedGoods, Shipment, ShipmentLine, ShipmentState,
    ShippedLine, ShortReason, Trip, TripState,
};
use roundsman_sync::trade::{shipment, trip};
use uuid::Uuid;

use super::commands::{Scene, seen_by_id};

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(super) fn plan_trip(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (_, _, first) = scene.one::<Shipment>(|of| any || shipment::is_inside(of) && of.trip_id.is_empty())?;
    let known = if scene.dice.chance(30) { scene.one::<Trip>(|trip| any || trip::is_inside(trip)) } else { None };
    let mut shipment_ids: Vec<Vec<u8>> = Vec::new();
    if let Some((_, _, known)) = &known {
        shipment_ids.extend(trip::shipment_ids(known).filter(|_| scene.dice.chance(80)).map(bytes));
    }
    for _ in 0..scene.dice.size(1, 4) {
        let free = |of: &Shipment| shipment::is_inside(of) && of.warehouse_id == first.warehouse_id;
        let (id, _, _) = scene.one::<Shipment>(|of| any || free(of) && of.trip_id.is_empty())?;
        if !shipment_ids.contains(&bytes(id)) {
            shipment_ids.push(bytes(id));
        }
    }
    Some(Command::PlanTrip(PlanTrip {
        trip_id: known.map_or_else(|| bytes(scene.dice.id()), |(id, _, _)| bytes(id)),
        vehicle_id: bytes(scene.world.vehicle),
        driver_id: bytes(*scene.dice.pick(&scene.world.reps)?),
        warehouse_id: first.warehouse_id,
        day: scene.today(),
        cut_off_at_us: if scene.dice.chance(20) { scene.now_us + 3_600_000_000 } else { 0 },
        shipment_ids,
        ..PlanTrip::default()
    }))
}

pub(super) fn load_shipment(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let goes = |of: &Shipment| shipment::is_inside(of) && !of.trip_id.is_empty();
    let (id, _, shipment) = scene.one::<Shipment>(|of| any || goes(of) && of.state() != ShipmentState::Loaded)?;
    let short = |line: &ShipmentLine| ShippedLine {
        line_id: line.line_id.clone(),
        picked_milli: line.ordered_milli / 2,
        short_reason: ShortReason::NoRoom.into(),
    };
    let lines = shipment.lines.iter().filter(|_| scene.dice.chance(10)).map(short).collect();
    Some(Command::LoadShipment(LoadShipment { shipment_id: bytes(id), lines, comment: String::new() }))
}

pub(super) fn depart_trip(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (id, _, _) = scene.one::<Trip>(|trip| any || trip.state() == TripState::Loading)?;
    Some(Command::DepartTrip(DepartTrip { trip_id: bytes(id) }))
}

pub(super) fn close_trip(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (id, _, trip) = scene.one::<Trip>(|trip| any || trip.state() == TripState::Departed)?;
    let mut back: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for (_, _, shipment) in trip::shipment_ids(&trip).filter_map(|id| seen_by_id::<Shipment>(scene, id)) {
        for line in shipment.lines {
            *back.entry(line.product_id).or_default() += line.loaded_milli - line.delivered_milli;
        }
    }
    let more = i64::from(scene.dice.chance(5));
    let returned = back.into_iter().filter(|_| scene.dice.chance(80)).map(|(product_id, milli)| {
        let unsellable_milli = if scene.dice.chance(30) { milli / 2 } else { 0 };
        ReturnedGoods { product_id, sellable_milli: milli - unsellable_milli + more, unsellable_milli }
    });
    Some(Command::CloseTrip(CloseTrip { trip_id: bytes(id), returned: returned.collect(), comment: String::new() }))
}

pub(super) fn cancel_trip(scene: &Scene<'_>) -> Option<Command> {
    let any = scene.dice.chance(10);
    let (id, _, _) = scene.one::<Trip>(|trip| any || trip::is_inside(trip))?;
    Some(Command::CancelTrip(CancelTrip { trip_id: bytes(id), reason: "The van broke down".to_owned() }))
}
