//! What trips bring: each shipment with its trip, and of closed trips what became of the goods.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{Shipment, ShipmentState, Trip, TripState};
use roundsman_sync::scope::Scope;
use uuid::Uuid;

use super::Report;
use super::facts::{Unreadable, id, optional};

/// Trips and what goes with them.
#[derive(Default)]
pub(super) struct Trips {
    trips: BTreeMap<Uuid, TripFacts>,
    /// The shipments that name a trip, by trip.
    shipments: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// What became of the goods, by trip and product.
    goods: BTreeMap<(Uuid, Uuid), Moved>,
}

struct TripFacts {
    driver: Uuid,
    state: TripState,
    listed: BTreeSet<Uuid>,
    goods: BTreeMap<Uuid, Moved>,
    came_back: BTreeMap<Uuid, i64>,
}

/// Shipped, delivered, refused, missing, not attempted.
type Moved = [i64; 5];

impl Trips {
    pub(super) fn note_trip(&mut self, record: Uuid, trip: &Trip) -> Result<(), Unreadable> {
        let mut goods = BTreeMap::new();
        let mut came_back = BTreeMap::new();
        for of in &trip.goods {
            let product = id(&of.product_id, "product_id")?;
            let moved =
                [of.shipped_milli, of.delivered_milli, of.refused_milli, of.missing_milli, of.not_attempted_milli];
            goods.insert(product, moved);
            came_back.insert(product, of.sellable_milli + of.unsellable_milli);
        }
        let shipments = trip.stops.iter().flat_map(|stop| &stop.shipment_ids);
        let listed: Result<_, _> = shipments.map(|shipment| id(shipment, "shipment_ids")).collect();
        let driver = id(&trip.driver_id, "driver_id")?;
        self.trips.insert(record, TripFacts { driver, state: trip.state(), listed: listed?, goods, came_back });
        Ok(())
    }

    pub(super) fn note_shipment(&mut self, record: Uuid, shipment: &Shipment) -> Result<(), Unreadable> {
        let Some(trip) = optional(&shipment.trip_id, "trip_id")? else { return Ok(()) };
        self.shipments.entry(trip).or_default().insert(record);
        for line in &shipment.lines {
            let moved = self.goods.entry((trip, id(&line.product_id, "product_id")?)).or_default();
            let missing = line.loaded_milli - line.delivered_milli - line.refused_milli;
            let became = if shipment.state() == ShipmentState::NotAttempted {
                [line.loaded_milli, 0, 0, 0, line.loaded_milli]
            } else {
                [line.loaded_milli, line.delivered_milli, line.refused_milli, missing, 0]
            };
            moved.iter_mut().zip(became).for_each(|(sum, more)| *sum += more);
        }
        Ok(())
    }

    /// What drivers are granted: their trips, while these are open.
    pub(super) fn grants(&self) -> impl Iterator<Item = (Scope, Scope)> {
        let open = self
            .trips
            .iter()
            .filter(|(_, trip)| matches!(trip.state, TripState::Forming | TripState::Loading | TripState::Departed));
        open.map(|(id, trip)| (Scope::Rep(trip.driver), Scope::Trip(*id)))
    }

    /// Compares trips with the shipments that name them.
    pub(super) fn check(&self, report: &mut Report) {
        report.count("trips", self.trips.len());
        for (trip, named) in &self.shipments {
            let listed = self.trips.get(trip).map(|trip| &trip.listed);
            for shipment in named.iter().filter(|shipment| listed.is_none_or(|listed| !listed.contains(*shipment))) {
                report.find(format!("shipment {shipment} names the trip {trip}, which doesn't bring it"));
            }
        }
        for (id, trip) in &self.trips {
            if !matches!(trip.state, TripState::Departed | TripState::Closed) {
                continue;
            }
            let named = self.shipments.get(id);
            for shipment in trip.listed.iter().filter(|of| named.is_none_or(|named| !named.contains(*of))) {
                report.find(format!("trip {id} brings the shipment {shipment}, which doesn't name it"));
            }
            if trip.state == TripState::Closed {
                self.check_goods(*id, trip, report);
            }
        }
    }

    fn check_goods(&self, id: Uuid, trip: &TripFacts, report: &mut Report) {
        let of_trip = self.goods.iter().filter(|((of, _), _)| *of == id);
        let right: BTreeMap<Uuid, Moved> = of_trip.map(|((_, product), moved)| (*product, *moved)).collect();
        if right != trip.goods {
            report.find(format!("trip {id} says {:?} of its goods, and its shipments {right:?}", trip.goods));
        }
        for (product, [shipped, delivered, refused, missing, not_attempted]) in &trip.goods {
            let told = delivered + refused + missing + not_attempted;
            if told != *shipped {
                report.find(format!("of product {product} trip {id} took {shipped}, and tells of {told}"));
            }
            let came_back = trip.came_back.get(product).copied().unwrap_or_default();
            if came_back > shipped - delivered {
                report.find(format!("of product {product} {came_back} came back with trip {id}: more than can have"));
            }
        }
    }
}
