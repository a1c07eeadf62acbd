//! Trips that could be made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use roundsman_proto::logistics as proto;
use roundsman_proto::trade::{GeoPoint, Outlet, Product, Reason, Shipment, Vehicle, Warehouse};
use roundsman_sync::kind::Record;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::tour;
use roundsman_sync::trade::trip::Load;
use roundsman_sync::trade::trip::propose::{Left, Proposal, Wanted, propose};
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::records::live;
use super::status;
use crate::commands::shipping;
use crate::store::sql::Db;

/// At most so many shipments are looked at for one proposal.
const SHIPMENTS: usize = 500;
/// At most so many vehicles.
const VEHICLES: usize = 50;
/// Two days: a vehicle that leaves in the evening is back then.
const TWO_DAYS_S: i32 = 172_800;
/// Unloading takes so long, unless told.
const SERVICE_S: i32 = 600;
/// A vehicle makes so many metres in an hour, unless told.
const SPEED_M_PER_H: i32 = 25_000;
/// It makes no more.
const SPEED_MOST_M_PER_H: i32 = 200_000;

/// What is to be brought and what could bring it, checked.
#[derive(Debug)]
pub struct Question {
    warehouse: Uuid,
    day: i32,
    shipments: Vec<Uuid>,
    vehicles: Vec<(Uuid, (i32, i32))>,
    service_s: i32,
    speed_m_per_h: i32,
}

impl Question {
    /// Checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ProposeTripsRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let warehouse = fields.id("warehouse_id", &request.warehouse_id);
        within(&mut fields, "day", request.day, 1, i32::MAX);
        within(&mut fields, "service_s", request.service_s, 0, 86_400);
        within(&mut fields, "speed_m_per_h", request.speed_m_per_h, 0, SPEED_MOST_M_PER_H);
        number(&mut fields, "shipment_ids", request.shipment_ids.len(), SHIPMENTS);
        number(&mut fields, "vehicles", request.vehicles.len(), VEHICLES);
        // What is too many is not looked at one by one.
        let named = request.shipment_ids.iter().take(SHIPMENTS);
        let shipments: Vec<Uuid> = named.map(|id| fields.id("shipment_ids", id)).collect();
        each_once(&mut fields, "shipment_ids", &shipments);
        let mut vehicles = Vec::new();
        for shift in request.vehicles.iter().take(VEHICLES) {
            within(&mut fields, "vehicles.from_s", shift.from_s, 0, TWO_DAYS_S);
            within(&mut fields, "vehicles.to_s", shift.to_s, shift.from_s.saturating_add(1), TWO_DAYS_S);
            vehicles.push((fields.id("vehicles.vehicle_id", &shift.vehicle_id), (shift.from_s, shift.to_s)));
        }
        each_once(&mut fields, "vehicles", &vehicles.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        fields.check()?;
        let or = |value: i32, default: i32| if value == 0 { default } else { value };
        Ok(Self {
            warehouse,
            day: request.day,
            shipments,
            vehicles,
            service_s: or(request.service_s, SERVICE_S),
            speed_m_per_h: or(request.speed_m_per_h, SPEED_M_PER_H),
        })
    }

    /// Reads what it is about.
    ///
    /// # Errors
    /// NOT_FOUND for a record that is not there, FAILED_PRECONDITION for what can't be planned; when the database does not answer.
    pub async fn read(self, db: &Db, tenant: i64) -> Result<Ground, Status> {
        let mut tx = db.read().await?;
        let warehouses = live::<Warehouse>(&mut tx, tenant, &[self.warehouse]).await?;
        let depot = named(&warehouses, self.warehouse)?.point;
        let missing = || Rejection::new(Reason::MissingField).field("warehouse.point").about(self.warehouse);
        let depot = depot.ok_or_else(|| status::rejected(&missing()))?;
        let of_vehicles: Vec<Uuid> = self.vehicles.iter().map(|(id, _)| *id).collect();
        let vehicles = live::<Vehicle>(&mut tx, tenant, &of_vehicles).await?;
        let vehicles = self.vehicles.iter().map(|(id, shift)| Ok((*id, named(&vehicles, *id)?.clone(), *shift)));
        let vehicles = vehicles.collect::<Result<Vec<_>, Status>>()?;
        let shipments = live::<Shipment>(&mut tx, tenant, &self.shipments).await?;
        let mut of_outlets = BTreeSet::new();
        let mut of_products = BTreeSet::new();
        for id in &self.shipments {
            let shipment = named(&shipments, *id)?;
            may_go(*id, shipment, self.warehouse)?;
            of_outlets.extend(Uuid::from_slice(&shipment.outlet_id));
            of_products.extend(shipping::products(shipment));
        }
        let ids = |of: BTreeSet<Uuid>| of.into_iter().collect::<Vec<_>>();
        let outlets = live::<Outlet>(&mut tx, tenant, &ids(of_outlets)).await?;
        let products = live::<Product>(&mut tx, tenant, &ids(of_products)).await?.into_iter().collect();
        tx.commit().await?;
        let load = |id: &Uuid| {
            let shipment = named(&shipments, *id)?.clone();
            let outlet = Uuid::from_slice(&shipment.outlet_id).ok().and_then(|outlet| outlets.get(&outlet));
            Ok(Load { id: *id, outlet: outlet.cloned().unwrap_or_default(), shipment })
        };
        let loads = self.shipments.iter().map(load).collect::<Result<Vec<_>, Status>>()?;
        Ok(Ground { question: self, depot, vehicles, loads, products })
    }
}

/// What a proposal is made of.
#[derive(Debug)]
pub struct Ground {
    question: Question,
    depot: GeoPoint,
    vehicles: Vec<(Uuid, Vehicle, (i32, i32))>,
    loads: Vec<Load>,
    products: BTreeMap<Uuid, Product>,
}

impl Ground {
    /// Computes it: a second or two of a processor.
    #[must_use]
    pub fn propose(&self) -> proto::ProposeTripsResponse {
        let vehicles: Vec<(Vehicle, (i32, i32))> =
            self.vehicles.iter().map(|(_, vehicle, shift)| (vehicle.clone(), *shift)).collect();
        let proposal = propose(&Wanted {
            depot: self.depot,
            day: self.question.day,
            loads: &self.loads,
            products: &self.products,
            vehicles: &vehicles,
            service_s: self.question.service_s,
            speed_m_per_h: self.question.speed_m_per_h,
        });
        self.told(&proposal)
    }

    fn told(&self, proposal: &Proposal) -> proto::ProposeTripsResponse {
        let shipment = |load: usize| self.loads.get(load).map_or_else(Vec::new, |load| load.id.as_bytes().to_vec());
        let vehicle = |van: usize| self.vehicles.get(van).map_or_else(Vec::new, |(id, ..)| id.as_bytes().to_vec());
        let trips = proposal.trips.iter().map(|trip| proto::ProposedTrip {
            vehicle_id: vehicle(trip.vehicle),
            calls: trip
                .calls
                .iter()
                .map(|(load, begins_s)| proto::ProposedCall {
                    shipment_id: shipment(*load),
                    begins_s: seconds(*begins_s),
                })
                .collect(),
            leaves_s: seconds(trip.leaves_s),
            back_s: seconds(trip.back_s),
            distance_m: trip.distance_m,
            weight_g: trip.size.0,
            volume_cm3: trip.size.1,
        });
        let left = proposal.left.iter().map(|(load, left)| {
            let (reason, by) = reason(*left);
            proto::LeftShipment { shipment_id: shipment(*load), reason: reason.into(), by }
        });
        proto::ProposeTripsResponse { trips: trips.collect(), left_shipments: left.collect() }
    }
}

fn reason(left: Left) -> (proto::LeftReason, i64) {
    match left {
        Left::UnknownPlace => (proto::LeftReason::UnknownPlace, 0),
        Left::Unplanned(tour::Reason::TooHeavy { by_g }) => (proto::LeftReason::TooHeavy, by_g),
        Left::Unplanned(tour::Reason::TooLarge { by_cm3 }) => (proto::LeftReason::TooLarge, by_cm3),
        Left::Unplanned(tour::Reason::NoWindowReachable) => (proto::LeftReason::NotReachable, 0),
        Left::Unplanned(tour::Reason::VansFull) => (proto::LeftReason::VehiclesFull, 0),
    }
}

fn seconds(of_day: i64) -> i32 {
    i32::try_from(of_day).unwrap_or(i32::MAX)
}

/// Whether a shipment could go with a trip.
fn may_go(id: Uuid, shipment: &Shipment, warehouse: Uuid) -> Result<(), Status> {
    let refused = |reason: Reason| Err(status::rejected(&Rejection::new(reason).field("shipment_ids").about(id)));
    if !roundsman_sync::trade::shipment::is_inside(shipment) {
        return refused(Reason::WrongState);
    }
    if !shipment.trip_id.is_empty() {
        return refused(Reason::OnAnotherTrip);
    }
    if shipment.warehouse_id != warehouse.as_bytes() {
        return refused(Reason::Mismatch);
    }
    Ok(())
}

fn within(fields: &mut Fields, field: &str, value: i32, least: i32, most: i32) {
    if !(least..=most).contains(&value) {
        fields.wrong(field, Reason::OutOfRange, format!("is not within {least} and {most}"));
    }
}

fn number(fields: &mut Fields, field: &str, number: usize, most: usize) {
    if number == 0 {
        fields.wrong(field, Reason::MissingField, "is missing");
    }
    if number > most {
        fields.wrong(field, Reason::LimitExceeded, format!("has more than {most} entries"));
    }
}

fn each_once(fields: &mut Fields, field: &str, ids: &[Uuid]) {
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        fields.wrong(field, Reason::RepeatedId, "names one twice");
    }
}

/// One of the records that were read.
///
/// # Errors
/// NOT_FOUND.
fn named<R: Record>(found: &HashMap<Uuid, R>, id: Uuid) -> Result<&R, Status> {
    let missing = || status::rejected(&Rejection::new(Reason::NotFound).field(R::NAME).about(id));
    found.get(&id).ok_or_else(missing)
}
