//! Which vehicle could bring which shipments: a problem of tours, made of records.

use std::collections::BTreeMap;

use roundsman_proto::trade::{GeoPoint, Outlet, Product, Vehicle};
use uuid::Uuid;

use super::{Load, size};
use crate::trade::delivery;
use crate::trade::tour::{self, Problem, Stop, Van, Window};

/// Roads are so much longer than the great circle, in basis points: usual in a city.
const DETOUR_BP: i32 = 13_000;

/// That a vehicle is used at all counts like so many metres: half an hour of it and its driver.
const FIXED_M: i32 = 15_000;

/// What is to be brought, and what could bring it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where the vehicles leave.
    pub depot: GeoPoint,
    /// The day, in days since 1970-01-01.
    pub day: i32,
    /// The shipments.
    pub loads: &'a [Load],
    /// Their products.
    pub products: &'a BTreeMap<Uuid, Product>,
    /// The vehicles, each with the beginning and the end of its shift in seconds since 00:00.
    pub vehicles: &'a [(Vehicle, (i32, i32))],
    /// Unloading takes so many seconds at each stop.
    pub service_s: i32,
    /// Metres that a vehicle makes in an hour.
    pub speed_m_per_h: i32,
}

/// Trips that could be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// One for each vehicle that is used.
    pub trips: Vec<Proposed>,
    /// What no vehicle brings: shipments by their index, with why.
    pub left: Vec<(usize, Left)>,
}

/// A trip that could be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposed {
    /// The vehicle, by its index.
    pub vehicle: usize,
    /// Shipments by their index, in order, each with when unloading begins in seconds since 00:00.
    pub calls: Vec<(usize, i64)>,
    /// It leaves, in seconds since 00:00.
    pub leaves_s: i64,
    /// It is back, in seconds since 00:00.
    pub back_s: i64,
    /// It drives so many metres.
    pub distance_m: i64,
    /// What it brings weighs so much, in grams, and takes so much room, in cubic centimetres.
    pub size: (i64, i64),
}

/// Why a shipment is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody knows where its outlet is.
    UnknownPlace,
    /// No vehicle can.
    Unplanned(tour::Reason),
}

/// Proposes trips. Takes about a second for 200 stops.
#[must_use]
pub fn propose(wanted: &Wanted<'_>) -> Proposal {
    let (calls, mut left) = calls(wanted);
    let problem = Problem {
        depot: wanted.depot,
        departs_s: 0,
        detour_bp: DETOUR_BP,
        vans: wanted.vehicles.iter().map(|(vehicle, shift)| van(vehicle, *shift, wanted.speed_m_per_h)).collect(),
        stops: calls.iter().map(|call| call.stop.clone()).collect(),
    };
    let plan = tour::plan(&problem);
    for unplanned in &plan.unplanned {
        let loads = calls.get(unplanned.stop).map(|call| call.loads.as_slice()).unwrap_or_default();
        left.extend(loads.iter().map(|load| (*load, Left::Unplanned(unplanned.reason))));
    }
    let used = plan.tours.iter().enumerate().filter(|(_, tour)| !tour.calls.is_empty());
    let trips = used.map(|(vehicle, tour)| {
        let mut proposed = Proposed {
            vehicle,
            leaves_s: tour.leaves_s,
            back_s: tour.back_s,
            distance_m: tour.distance_m,
            ..Proposed::default()
        };
        for made in &tour.calls {
            let Some(call) = calls.get(made.stop) else { continue };
            proposed.calls.extend(call.loads.iter().map(|load| (*load, made.begins_s)));
            proposed.size.0 = proposed.size.0.saturating_add(call.stop.weight_g);
            proposed.size.1 = proposed.size.1.saturating_add(call.stop.volume_cm3);
        }
        proposed
    });
    let trips = trips.collect();
    left.sort_unstable_by_key(|(load, _)| *load);
    Proposal { trips, left }
}

/// A stop with the shipments that are brought there, by their index.
struct Call {
    loads: Vec<usize>,
    stop: Stop,
}

/// What is for one outlet is one stop if a vehicle can carry it at once; what has no place is left.
fn calls(wanted: &Wanted<'_>) -> (Vec<Call>, Vec<(usize, Left)>) {
    let mut by_outlet: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    let mut left = Vec::new();
    for (index, load) in wanted.loads.iter().enumerate() {
        match load.outlet.point {
            Some(_) => by_outlet.entry(&load.shipment.outlet_id).or_default().push(index),
            None => left.push((index, Left::UnknownPlace)),
        }
    }
    let mut calls = Vec::new();
    for loads in by_outlet.into_values() {
        let together = call(wanted, &loads);
        if loads.len() == 1 || fits(wanted, &together.stop) {
            calls.push(together);
        } else {
            calls.extend(loads.into_iter().map(|load| call(wanted, &[load])));
        }
    }
    (calls, left)
}

fn call(wanted: &Wanted<'_>, indices: &[usize]) -> Call {
    let loads: Vec<Load> = indices.iter().filter_map(|index| wanted.loads.get(*index).cloned()).collect();
    let outlet = loads.first().map(|load| &load.outlet);
    let (weight_g, volume_cm3) = size(&loads, wanted.products);
    let stop = Stop {
        point: outlet.and_then(|outlet| outlet.point).unwrap_or_default(),
        windows: outlet.map(|outlet| windows(outlet, wanted.day)).unwrap_or_default(),
        service_s: wanted.service_s,
        weight_g,
        volume_cm3,
        priority: 0,
    };
    Call { loads: indices.to_vec(), stop }
}

/// Whether some vehicle can carry all of a stop.
fn fits(wanted: &Wanted<'_>, stop: &Stop) -> bool {
    wanted.vehicles.iter().any(|(vehicle, shift)| {
        let van = van(vehicle, *shift, wanted.speed_m_per_h);
        stop.weight_g <= van.max_weight_g && stop.volume_cm3 <= van.max_volume_cm3
    })
}

/// What is not known of a vehicle does not bound it.
fn van(vehicle: &Vehicle, (from_s, to_s): (i32, i32), speed_m_per_h: i32) -> Van {
    let most = |known: i64| if known > 0 { known } else { i64::MAX };
    Van {
        max_weight_g: most(vehicle.max_weight_g),
        max_volume_cm3: most(vehicle.max_volume_cm3),
        from_s,
        to_s,
        speed_m_per_h,
        fixed_m: FIXED_M,
    }
}

/// When an outlet is open on a day. One that says nothing is always open; one that is closed that day is open never.
fn windows(outlet: &Outlet, day: i32) -> Vec<Window> {
    let hours = &outlet.opening_hours;
    let open = hours.iter().filter(|hours| delivery::is_among(hours.weekdays, day));
    let windows: Vec<Window> = open.map(|hours| Window { from_s: hours.from_s, to_s: hours.to_s }).collect();
    match (hours.is_empty(), windows.is_empty()) {
        (false, true) => vec![Window { from_s: 0, to_s: -1 }],
        (true, _) | (_, false) => windows,
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{OpeningHours, Shipment, ShipmentLine, ShipmentState};

    use super::*;

    const TEA: Uuid = Uuid::from_u128(3);
    const MONDAY: i32 = 20_423;
    const DAY_SHIFT: (i32, i32) = (8 * 3_600, 18 * 3_600);

    fn load(number: u128, outlet: u128, kilograms: i64) -> Load {
        let line = ShipmentLine {
            product_id: TEA.as_bytes().to_vec(),
            ordered_milli: kilograms * 1_000,
            ..ShipmentLine::default()
        };
        let outlet_id = Uuid::from_u128(outlet).as_bytes().to_vec();
        let mut shipment = Shipment { outlet_id, lines: vec![line], ..Shipment::default() };
        shipment.set_state(ShipmentState::Prepared);
        let north = i32::try_from(outlet).expect("small") * 100_000;
        let point =
            Some(GeoPoint { latitude_e7: 600_000_000 + north, longitude_e7: 249_000_000, ..GeoPoint::default() });
        Load { id: Uuid::from_u128(number), shipment, outlet: Outlet { point, ..Outlet::default() } }
    }

    fn proposal(loads: &[Load], vehicles: &[(Vehicle, (i32, i32))]) -> Proposal {
        let products = [(TEA, Product { weight_mg: 1_000_000, ..Product::default() })].into();
        propose(&Wanted {
            depot: GeoPoint { latitude_e7: 600_000_000, longitude_e7: 249_000_000, ..GeoPoint::default() },
            day: MONDAY,
            loads,
            products: &products,
            vehicles,
            service_s: 600,
            speed_m_per_h: 25_000,
        })
    }

    fn van(max_weight_g: i64) -> (Vehicle, (i32, i32)) {
        (Vehicle { max_weight_g, ..Vehicle::default() }, DAY_SHIFT)
    }

    fn brought(proposal: &Proposal) -> Vec<Vec<usize>> {
        proposal.trips.iter().map(|trip| trip.calls.iter().map(|(load, _)| *load).collect()).collect()
    }

    #[test]
    fn the_nearest_comes_first_and_one_outlet_is_one_stop() {
        let loads = [load(1, 1, 10), load(2, 2, 10), load(3, 1, 10)];
        let found = proposal(&loads, &[van(100_000)]);
        let order = brought(&found);
        assert!(order == [vec![0, 2, 1]] || order == [vec![1, 0, 2]], "{order:?}");
        assert_eq!((found.trips[0].size.0, found.left.len()), (30_000, 0));
    }

    #[test]
    fn what_does_not_fit_is_left_and_says_why() {
        let mut nowhere = load(1, 1, 1);
        nowhere.outlet.point = None;
        let mut closed = load(2, 2, 1);
        closed.outlet.opening_hours = vec![OpeningHours { weekdays: 2, from_s: 0, to_s: 86_400 }];
        let loads = [nowhere, closed, load(3, 3, 30), load(4, 4, 5)];
        let found = proposal(&loads, &[van(20_000)]);
        let reasons = [
            (0, Left::UnknownPlace),
            (1, Left::Unplanned(tour::Reason::NoWindowReachable)),
            (2, Left::Unplanned(tour::Reason::TooHeavy { by_g: 10_000 })),
        ];
        assert_eq!((found.left.as_slice(), brought(&found)), (&reasons[..], vec![vec![3]]));
    }

    #[test]
    fn too_much_for_one_vehicle_is_brought_by_two() {
        let loads = [load(1, 1, 15), load(2, 1, 15)];
        let found = proposal(&loads, &[van(20_000), van(20_000)]);
        assert_eq!((found.trips.len(), found.left.len()), (2, 0));
        let unbound = proposal(&loads, &[van(0)]);
        assert_eq!(brought(&unbound), [vec![0, 1]], "what is not known does not bound");
    }
}
