//! Trips: what a vehicle brings, whether it has room for it, what left with it, and what came back.

pub mod collect;
pub mod propose;

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{
    CancelTrip, CloseTrip, Outlet, PlanTrip, Product, Reason, ReturnedGoods, Shipment, ShipmentState, Trip, TripGoods,
    TripState, TripStop, Vehicle,
};
use uuid::Uuid;

use super::check;
use super::order::fulfil;
use super::rejection::Rejection;
use super::shipment;

/// At most so many shipments go with a trip.
pub const SHIPMENTS: usize = 60;

/// At most so many lines its shipments have together.
const LINES: usize = 1_000;

/// No vehicle carries or holds more, in grams or cubic centimetres: a thousand tonnes, a thousand cubic metres.
const CAPACITY: i64 = 1_000_000_000;

/// A shipment, and where it goes.
#[derive(Clone, Debug)]
pub struct Load {
    /// The shipment's id.
    pub id: Uuid,
    /// The shipment.
    pub shipment: Shipment,
    /// The outlet; of one that was archived nothing is left.
    pub outlet: Outlet,
}

/// By what a plan is judged.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The trip of this id, if there is one.
    pub current: Option<&'a Trip>,
    /// The vehicle.
    pub vehicle: &'a Vehicle,
    /// The products of the shipments.
    pub products: &'a BTreeMap<Uuid, Product>,
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
}

/// What is to be stored of a trip and its shipments.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The trip.
    pub trip: Trip,
    /// The shipments that come or go.
    pub shipments: Vec<(Uuid, Shipment)>,
}

/// All shipments of a trip, in order.
pub fn shipment_ids(trip: &Trip) -> impl Iterator<Item = Uuid> {
    let ids = trip.stops.iter().flat_map(|stop| &stop.shipment_ids);
    ids.filter_map(|id| Uuid::from_slice(id).ok())
}

/// Whether somebody may still plan the trip anew.
#[must_use]
pub fn is_inside(trip: &Trip) -> bool {
    match trip.state() {
        TripState::Forming | TripState::Loading => true,
        TripState::Unspecified | TripState::Departed | TripState::Closed | TripState::Cancelled => false,
    }
}

/// Whether its driver has it on the phone.
#[must_use]
pub fn is_open(trip: &Trip) -> bool {
    is_inside(trip) || trip.state() == TripState::Departed
}

/// A trip is planned, or planned anew. `named` are the shipments of the command, in its order, and `dropped` those that the trip
/// had and the command does not name.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_MISMATCH`, `REASON_ON_ANOTHER_TRIP`, `REASON_CUT_OFF_PASSED`,
/// `REASON_LIMIT_EXCEEDED`; `REASON_OVER_CAPACITY` with by how much.
pub fn decide_plan(
    command: &PlanTrip,
    setting: &Setting<'_>,
    named: &[Load],
    dropped: &[(Uuid, Shipment)],
) -> Result<Planned, Rejection> {
    let id = plan_form(command)?;
    let Setting { current, vehicle, .. } = *setting;
    if let Some(current) = current {
        if !is_inside(current) {
            return Err(wrong(current));
        }
        if current.warehouse_id != command.warehouse_id {
            return Err(check::mismatch("warehouse_id"));
        }
    }
    if vehicle.out_of_use {
        return Err(Rejection::new(Reason::WrongState).field("vehicle_id"));
    }
    check::count(named.iter().map(|load| load.shipment.lines.len()).sum(), LINES, "shipment_ids")?;
    for (index, load) in named.iter().enumerate() {
        may_come(id, load, command, setting).map_err(check::at("shipment_ids", index))?;
    }
    let (weight_g, volume_cm3) = size(named, setting.products);
    has_room(vehicle, weight_g, volume_cm3)?;
    let loaded = |load: &Load| load.shipment.state() == ShipmentState::Loaded;
    let state = if named.iter().any(loaded) { TripState::Loading } else { TripState::Forming };
    let trip = Trip {
        vehicle_id: command.vehicle_id.clone(),
        driver_id: command.driver_id.clone(),
        warehouse_id: command.warehouse_id.clone(),
        day: command.day,
        state: state.into(),
        stops: stops(named),
        departure_at_us: command.departure_at_us,
        cut_off_at_us: command.cut_off_at_us,
        weight_g,
        volume_cm3,
        vehicle_name: [vehicle.name.as_str(), vehicle.plate.as_str()].join(" ").trim().to_owned(),
        comment: command.comment.clone(),
        ..Trip::default()
    };
    let comes = |load: &&Load| load.shipment.trip_id.is_empty();
    let come = named.iter().filter(comes).map(|load| {
        let trip_id = command.trip_id.clone();
        (load.id, Shipment { trip_id, ..load.shipment.clone() })
    });
    let go =
        dropped.iter().filter(|(_, shipment)| shipment.trip_id == command.trip_id && shipment::is_inside(shipment));
    let go = go.map(|(id, dropped)| (*id, shipment::taken_off(dropped)));
    Ok(Planned { trip, shipments: come.chain(go).collect() })
}

fn plan_form(command: &PlanTrip) -> Result<Uuid, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    check::day(command.day, "day")?;
    check::range(command.departure_at_us, 0..=i64::MAX, "departure_at_us")?;
    check::range(command.cut_off_at_us, 0..=i64::MAX, "cut_off_at_us")?;
    let mut seen = BTreeSet::new();
    for (index, shipment) in command.shipment_ids.iter().enumerate() {
        if !seen.insert(shipment) {
            return Err(check::at("shipment_ids", index)(Rejection::new(Reason::RepeatedId)));
        }
    }
    check::id(&command.trip_id, "trip_id")
}

/// Whether a shipment can go with a trip.
fn may_come(trip: Uuid, load: &Load, command: &PlanTrip, setting: &Setting<'_>) -> Result<(), Rejection> {
    let shipment = &load.shipment;
    if !shipment::is_inside(shipment) {
        let state = shipment.state().as_str_name();
        return Err(Rejection::new(Reason::WrongState).fact(Some(load.id), "state", state));
    }
    if shipment.warehouse_id != command.warehouse_id {
        return Err(check::mismatch("warehouse_id").about(load.id));
    }
    match Uuid::from_slice(&shipment.trip_id) {
        Ok(known) if known == trip => Ok(()),
        Ok(other) => Err(Rejection::new(Reason::OnAnotherTrip).about(load.id).fact(Some(other), "trip_id", other)),
        Err(_) => {
            let cut_off_at_us = setting.current.map_or(0, |current| current.cut_off_at_us);
            if cut_off_at_us != 0 && cut_off_at_us <= setting.now_us {
                let passed = Rejection::new(Reason::CutOffPassed).about(load.id);
                return Err(passed.fact(None, "cut_off_at_us", cut_off_at_us));
            }
            Ok(())
        }
    }
}

/// What shipments weigh in grams, and the room that they take in cubic centimetres; each rounded up once.
fn size(loads: &[Load], products: &BTreeMap<Uuid, Product>) -> (i64, i64) {
    let (mut weight, mut volume) = (0_i128, 0_i128);
    for (shipment, line) in loads.iter().flat_map(|load| load.shipment.lines.iter().map(|line| (&load.shipment, line)))
    {
        let product = Uuid::from_slice(&line.product_id).ok().and_then(|id| products.get(&id));
        let Some(product) = product else { continue };
        let milli = i128::from(fulfil::in_hand(shipment, line).max(0));
        weight += milli * i128::from(product.weight_mg.max(0));
        volume += milli * i128::from(product.volume_mm3.max(0));
    }
    // Thousandths of milligrams, and of cubic millimetres.
    let whole = |sum: i128| i64::try_from((sum + 999_999) / 1_000_000).unwrap_or(i64::MAX);
    (whole(weight), whole(volume))
}

fn has_room(vehicle: &Vehicle, weight_g: i64, volume_cm3: i64) -> Result<(), Rejection> {
    let over = |is: i64, most: i64| if most > 0 { is.saturating_sub(most).max(0) } else { 0 };
    let over = [
        ("over_weight_g", over(weight_g, vehicle.max_weight_g)),
        ("over_volume_cm3", over(volume_cm3, vehicle.max_volume_cm3)),
    ];
    let exceeded = over.into_iter().filter(|(_, by)| *by > 0);
    let rejection = exceeded.fold(None, |rejection: Option<Rejection>, (name, by)| {
        let rejection = rejection.unwrap_or_else(|| Rejection::new(Reason::OverCapacity).field("shipment_ids"));
        Some(rejection.fact(None, name, by))
    });
    rejection.map_or(Ok(()), Err)
}

/// Consecutive shipments for one outlet are one stop.
fn stops(loads: &[Load]) -> Vec<TripStop> {
    let mut stops: Vec<TripStop> = Vec::new();
    for load in loads {
        let id = load.id.as_bytes().to_vec();
        match stops.last_mut() {
            Some(last) if last.outlet_id == load.shipment.outlet_id => last.shipment_ids.push(id),
            Some(_) | None => stops.push(TripStop {
                outlet_id: load.shipment.outlet_id.clone(),
                outlet_name: load.outlet.name.clone(),
                address: load.outlet.address.clone(),
                point: load.outlet.point,
                shipment_ids: vec![id],
            }),
        }
    }
    stops
}

/// Whether a shipment is on the vehicle of a trip.
#[must_use]
pub fn is_loaded(trip: Uuid, shipment: &Shipment) -> bool {
    shipment.trip_id == trip.as_bytes() && shipment.state() == ShipmentState::Loaded
}

/// A trip's vehicle leaves, at `at_us`, with what is loaded; all else is taken off the trip.
///
/// # Errors
/// `REASON_WRONG_STATE`.
pub fn decide_depart(
    (id, current): (Uuid, &Trip),
    shipments: &[(Uuid, Shipment)],
    at_us: i64,
) -> Result<Planned, Rejection> {
    if !is_inside(current) {
        return Err(wrong(current));
    }
    let goes: BTreeSet<&[u8]> = shipments
        .iter()
        .filter(|(_, shipment)| is_loaded(id, shipment))
        .map(|(shipment, _)| shipment.as_bytes().as_slice())
        .collect();
    if goes.is_empty() {
        return Err(wrong(current));
    }
    let mut trip = current.clone();
    for stop in &mut trip.stops {
        stop.shipment_ids.retain(|shipment| goes.contains(shipment.as_slice()));
    }
    trip.stops.retain(|stop| !stop.shipment_ids.is_empty());
    trip.set_state(TripState::Departed);
    trip.departed_at_us = at_us;
    let stays = |(_, shipment): &&(Uuid, Shipment)| shipment.trip_id == id.as_bytes() && !is_loaded(id, shipment);
    let left = shipments.iter().filter(stays).map(|(id, left)| (*id, shipment::taken_off(left)));
    Ok(Planned { trip, shipments: left.collect() })
}

/// A trip's vehicle is back, at `at_us`. `cash` says how many payments the driver has not handed in, by currency.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_DELIVERY_OPEN`, `REASON_CASH_OPEN`, `REASON_MORE_CAME_BACK`.
pub fn decide_close(
    current: &Trip,
    shipments: &[(Uuid, Shipment)],
    cash: &BTreeMap<String, usize>,
    command: &CloseTrip,
    at_us: i64,
) -> Result<Trip, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    if current.state() != TripState::Departed {
        return Err(wrong(current));
    }
    let open = shipments.iter().filter(|(_, shipment)| shipment.state() == ShipmentState::Shipped);
    told(Reason::DeliveryOpen, open.map(|(id, _)| (Some(*id), "shipment_id", id.to_string())))?;
    let due = cash.iter().filter(|(_, payments)| **payments > 0);
    told(Reason::CashOpen, due.map(|(currency, payments)| (None, "open_payments", format!("{payments} {currency}"))))?;
    let mut goods = moved(shipments);
    let mut seen = BTreeSet::new();
    for (index, returned) in command.returned.iter().enumerate() {
        let at = check::at("returned", index);
        let product = check::id(&returned.product_id, "product_id").map_err(&at)?;
        if !seen.insert(product) {
            return Err(at(Rejection::new(Reason::RepeatedId).field("product_id")));
        }
        came_back(goods.get_mut(&product), returned).map_err(&at)?;
    }
    let mut trip = current.clone();
    trip.set_state(TripState::Closed);
    trip.closed_at_us = at_us;
    trip.goods = goods.into_values().collect();
    if !command.comment.is_empty() {
        trip.comment.clone_from(&command.comment);
    }
    Ok(trip)
}

/// A rejection that tells all of these; none of them: nothing is wrong.
fn told(reason: Reason, facts: impl Iterator<Item = (Option<Uuid>, &'static str, String)>) -> Result<(), Rejection> {
    let rejection = facts.fold(None, |rejection: Option<Rejection>, (record, name, value)| {
        Some(rejection.unwrap_or_else(|| Rejection::new(reason)).fact(record, name, value))
    });
    rejection.map_or(Ok(()), Err)
}

/// What became of the goods that left, by product.
fn moved(shipments: &[(Uuid, Shipment)]) -> BTreeMap<Uuid, TripGoods> {
    let mut goods: BTreeMap<Uuid, TripGoods> = BTreeMap::new();
    for (shipment, line) in shipments.iter().flat_map(|(_, of)| of.lines.iter().map(move |line| (of, line))) {
        let Ok(product) = Uuid::from_slice(&line.product_id) else { continue };
        let entry = goods
            .entry(product)
            .or_insert_with(|| TripGoods { product_id: line.product_id.clone(), ..TripGoods::default() });
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut entry.shipped_milli, line.loaded_milli);
        if shipment.state() == ShipmentState::NotAttempted {
            add(&mut entry.not_attempted_milli, line.loaded_milli);
            continue;
        }
        add(&mut entry.delivered_milli, line.delivered_milli);
        add(&mut entry.refused_milli, line.refused_milli);
        let taken = line.delivered_milli.saturating_add(line.refused_milli);
        add(&mut entry.missing_milli, line.loaded_milli.saturating_sub(taken));
    }
    goods
}

/// What of the goods can have come back: what was refused and what went to nobody, and what was missing may be found.
fn can_come_back(goods: &TripGoods) -> i64 {
    goods.refused_milli.saturating_add(goods.missing_milli).saturating_add(goods.not_attempted_milli)
}

fn came_back(goods: Option<&mut TripGoods>, returned: &ReturnedGoods) -> Result<(), Rejection> {
    check::range(returned.sellable_milli, 0..=i64::MAX, "sellable_milli")?;
    check::range(returned.unsellable_milli, 0..=i64::MAX, "unsellable_milli")?;
    let most = goods.as_deref().map_or(0, can_come_back);
    if returned.sellable_milli.saturating_add(returned.unsellable_milli) > most {
        let product = Uuid::from_slice(&returned.product_id).ok();
        return Err(Rejection::new(Reason::MoreCameBack).fact(product, "most_milli", most));
    }
    if let Some(goods) = goods {
        goods.sellable_milli = returned.sellable_milli;
        goods.unsellable_milli = returned.unsellable_milli;
    }
    Ok(())
}

/// A trip is called off before it leaves, at `at_us`.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn decide_cancel(
    (id, current): (Uuid, &Trip),
    shipments: &[(Uuid, Shipment)],
    command: &CancelTrip,
    at_us: i64,
) -> Result<Planned, Rejection> {
    check::required_text(&command.reason, check::TEXT_CHARS, "reason")?;
    if !is_inside(current) {
        return Err(wrong(current));
    }
    let mut trip = current.clone();
    trip.set_state(TripState::Cancelled);
    trip.closed_at_us = at_us;
    trip.comment.clone_from(&command.reason);
    let goes = shipments.iter().filter(|(_, shipment)| shipment.trip_id == id.as_bytes());
    let off = goes.map(|(id, shipment)| (*id, shipment::taken_off(shipment)));
    Ok(Planned { trip, shipments: off.collect() })
}

/// The form of a vehicle.
///
/// # Errors
/// For its form.
pub fn vehicle_form(vehicle: &Vehicle) -> Result<(), Rejection> {
    check::required_text(&vehicle.name, check::NAME_CHARS, "name")?;
    check::text(&vehicle.plate, check::NAME_CHARS, "plate")?;
    check::optional_id(&vehicle.warehouse_id, "warehouse_id")?;
    check::range(vehicle.max_weight_g, 0..=CAPACITY, "max_weight_g")?;
    check::range(vehicle.max_volume_cm3, 0..=CAPACITY, "max_volume_cm3")
}

fn wrong(trip: &Trip) -> Rejection {
    Rejection::new(Reason::WrongState).fact(None, "state", trip.state().as_str_name())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use roundsman_proto::trade::ShipmentLine;

    use super::*;

    const TRIP: Uuid = Uuid::from_u128(1);
    const VAN: Uuid = Uuid::from_u128(2);
    const TEA: Uuid = Uuid::from_u128(3);
    const WAREHOUSE: Uuid = Uuid::from_u128(4);
    const DRIVER: Uuid = Uuid::from_u128(5);

    fn bytes(id: Uuid) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    /// A shipment of so much tea for an outlet.
    fn load(number: u128, outlet: u128, milli: i64) -> Load {
        let line = ShipmentLine {
            line_id: bytes(Uuid::from_u128(number + 1_000)),
            product_id: bytes(TEA),
            ordered_milli: milli,
            ..ShipmentLine::default()
        };
        let mut shipment = Shipment {
            outlet_id: bytes(Uuid::from_u128(outlet)),
            warehouse_id: bytes(WAREHOUSE),
            lines: vec![line],
            ..Shipment::default()
        };
        shipment.set_state(ShipmentState::Prepared);
        let outlet = Outlet { name: format!("Shop {outlet}"), ..Outlet::default() };
        Load { id: Uuid::from_u128(number), shipment, outlet }
    }

    fn plan_of(loads: &[Load]) -> PlanTrip {
        PlanTrip {
            trip_id: bytes(TRIP),
            vehicle_id: bytes(VAN),
            driver_id: bytes(DRIVER),
            warehouse_id: bytes(WAREHOUSE),
            day: 20_000,
            shipment_ids: loads.iter().map(|load| bytes(load.id)).collect(),
            ..PlanTrip::default()
        }
    }

    fn plan(current: Option<&Trip>, van: &Vehicle, loads: &[Load]) -> Result<Planned, Rejection> {
        // Half a kilogram, and a litre and a half.
        let tea = Product { weight_mg: 500_000, volume_mm3: 1_500_000, ..Product::default() };
        let setting = Setting { current, vehicle: van, products: &[(TEA, tea)].into(), now_us: 100 };
        decide_plan(&plan_of(loads), &setting, loads, &[])
    }

    fn facts(rejection: &Rejection) -> Vec<(&str, &str)> {
        rejection.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect()
    }

    #[test]
    fn a_trip_over_capacity_says_by_how_much() {
        let loads = [load(11, 21, 3_000), load(12, 22, 4_000)];
        let van = Vehicle { max_weight_g: 3_500, max_volume_cm3: 10_500, ..Vehicle::default() };
        let planned = plan(None, &van, &loads).expect("just fits");
        assert_eq!((planned.trip.weight_g, planned.trip.volume_cm3, planned.trip.stops.len()), (3_500, 10_500, 2));
        assert!(planned.shipments.iter().all(|(_, shipment)| shipment.trip_id == bytes(TRIP)));
        let small = Vehicle { max_weight_g: 3_000, max_volume_cm3: 10_000, ..Vehicle::default() };
        let over = plan(None, &small, &loads).expect_err("too much");
        assert_eq!(over.reason, Reason::OverCapacity);
        assert_eq!(facts(&over), [("over_weight_g", "500"), ("over_volume_cm3", "500")]);
        assert!(plan(None, &Vehicle::default(), &loads).is_ok(), "what is not known is not checked");
    }

    #[test]
    fn shipments_for_one_outlet_are_one_stop_if_they_follow_each_other() {
        let loads = [load(11, 21, 1), load(12, 21, 1), load(13, 22, 1), load(14, 21, 1)];
        let trip = plan(None, &Vehicle::default(), &loads).expect("planned").trip;
        let stops: Vec<usize> = trip.stops.iter().map(|stop| stop.shipment_ids.len()).collect();
        assert_eq!((stops, trip.stops[0].outlet_name.as_str()), (vec![2, 1, 1], "Shop 21"));
        assert_eq!(shipment_ids(&trip).count(), 4);
    }

    #[test]
    fn after_the_cut_off_nothing_is_added_and_what_is_there_may_stay() {
        let mut known = load(11, 21, 1);
        known.shipment.trip_id = bytes(TRIP);
        let current = Trip { cut_off_at_us: 100, warehouse_id: bytes(WAREHOUSE), ..Trip::default() };
        let mut current = current;
        current.set_state(TripState::Forming);
        assert!(plan(Some(&current), &Vehicle::default(), std::slice::from_ref(&known)).is_ok());
        let late = plan(Some(&current), &Vehicle::default(), &[known, load(12, 22, 1)]).expect_err("late");
        assert_eq!(late.reason, Reason::CutOffPassed);
        assert!(facts(&late).contains(&("shipment_ids", "1")), "{late:?}");
    }

    #[test]
    fn what_another_trip_brings_or_has_left_does_not_come() {
        let mut elsewhere = load(11, 21, 1);
        elsewhere.shipment.trip_id = bytes(VAN);
        let reason = |loads: &[Load]| plan(None, &Vehicle::default(), loads).expect_err("refused").reason;
        assert_eq!(reason(&[elsewhere]), Reason::OnAnotherTrip);
        let mut gone = load(11, 21, 1);
        gone.shipment.set_state(ShipmentState::Shipped);
        assert_eq!(reason(&[gone]), Reason::WrongState);
        let mut far = load(11, 21, 1);
        far.shipment.warehouse_id = bytes(TEA);
        assert_eq!(reason(&[far]), Reason::Mismatch);
        let twice = load(11, 21, 1);
        assert_eq!(reason(&[twice.clone(), twice]), Reason::RepeatedId);
        let broken = Vehicle { out_of_use: true, ..Vehicle::default() };
        assert_eq!(plan(None, &broken, &[load(11, 21, 1)]).expect_err("broken").reason, Reason::WrongState);
    }

    /// A trip with shipments in these states; what is loaded is all that was ordered.
    fn departed(states: &[(i64, ShipmentState)]) -> (Trip, Vec<(Uuid, Shipment)>) {
        let loads: Vec<Load> = (0_u128..).zip(states).map(|(n, (milli, _))| load(n + 11, n + 100, *milli)).collect();
        let Planned { trip, mut shipments } = plan(None, &Vehicle::default(), &loads).expect("planned");
        for ((_, shipment), (_, state)) in shipments.iter_mut().zip(states) {
            shipment.set_state(*state);
            shipment.lines.iter_mut().for_each(|line| line.loaded_milli = line.ordered_milli);
        }
        (trip, shipments)
    }

    #[test]
    fn a_trip_leaves_with_what_is_loaded() {
        let (trip, shipments) = departed(&[(1, ShipmentState::Loaded), (2, ShipmentState::Checked)]);
        let left = decide_depart((TRIP, &trip), &shipments, 500).expect("leaves");
        assert_eq!((left.trip.state(), left.trip.departed_at_us), (TripState::Departed, 500));
        assert_eq!(shipment_ids(&left.trip).collect::<Vec<_>>(), [shipments[0].0]);
        assert_eq!(left.shipments.len(), 1);
        assert!(left.shipments[0].0 == shipments[1].0 && left.shipments[0].1.trip_id.is_empty());
        let again = decide_depart((TRIP, &left.trip), &shipments, 600).expect_err("has left");
        assert_eq!(again.reason, Reason::WrongState);
        let (empty, none) = departed(&[(1, ShipmentState::Checked)]);
        assert_eq!(decide_depart((TRIP, &empty), &none, 500).expect_err("empty").reason, Reason::WrongState);
    }

    fn on_its_way(states: &[(i64, ShipmentState)]) -> (Trip, Vec<(Uuid, Shipment)>) {
        let (mut trip, shipments) = departed(states);
        trip.set_state(TripState::Departed);
        (trip, shipments)
    }

    fn close_with(sellable_milli: i64, unsellable_milli: i64) -> CloseTrip {
        let returned = ReturnedGoods { product_id: bytes(TEA), sellable_milli, unsellable_milli };
        CloseTrip { trip_id: bytes(TRIP), returned: vec![returned], comment: String::new() }
    }

    #[test]
    fn a_trip_is_closed_when_everything_is_told_and_the_cash_is_there() {
        let (trip, mut shipments) = on_its_way(&[(10, ShipmentState::NotAttempted), (20, ShipmentState::Shipped)]);
        let close = |shipments: &[(Uuid, Shipment)], payments: usize| {
            let cash = [("EUR".to_owned(), payments)].into();
            decide_close(&trip, shipments, &cash, &close_with(15, 3), 900)
        };
        let open = close(&shipments, 0).expect_err("a delivery is open");
        assert_eq!((open.reason, open.facts.len()), (Reason::DeliveryOpen, 1));
        shipments[1].1.set_state(ShipmentState::PartlyDelivered);
        shipments[1].1.lines[0].delivered_milli = 12;
        shipments[1].1.lines[0].refused_milli = 7;
        let cash = close(&shipments, 2).expect_err("cash is open");
        assert_eq!((cash.reason, facts(&cash)), (Reason::CashOpen, vec![("open_payments", "2 EUR")]));
        let closed = close(&shipments, 0).expect("closed");
        let goods = &closed.goods[0];
        assert_eq!((goods.shipped_milli, goods.delivered_milli, goods.refused_milli), (30, 12, 7));
        assert_eq!((goods.missing_milli, goods.not_attempted_milli), (1, 10));
        assert_eq!((goods.sellable_milli, goods.unsellable_milli, closed.state()), (15, 3, TripState::Closed));
        let more = decide_close(&trip, &shipments, &BTreeMap::new(), &close_with(16, 3), 900).expect_err("too much");
        assert_eq!((more.reason, facts(&more)), (Reason::MoreCameBack, vec![("most_milli", "18"), ("returned", "0")]));
        let again = decide_close(&closed, &shipments, &BTreeMap::new(), &close_with(0, 0), 950).expect_err("closed");
        assert_eq!(again.reason, Reason::WrongState);
    }

    #[test]
    fn a_trip_that_is_called_off_leaves_its_shipments_to_others() {
        let (trip, shipments) = departed(&[(10, ShipmentState::Loaded), (20, ShipmentState::Prepared)]);
        let reason = CancelTrip { trip_id: bytes(TRIP), reason: "The van broke down".to_owned() };
        let off = decide_cancel((TRIP, &trip), &shipments, &reason, 7).expect("called off");
        assert_eq!((off.trip.state(), off.trip.closed_at_us), (TripState::Cancelled, 7));
        let states: Vec<ShipmentState> = off.shipments.iter().map(|(_, shipment)| shipment.state()).collect();
        assert_eq!(states, [ShipmentState::Checked, ShipmentState::Prepared]);
        assert!(off.shipments.iter().all(|(_, shipment)| shipment.trip_id.is_empty()));
        assert!(off.shipments.iter().all(|(_, shipment)| shipment.lines[0].loaded_milli == 0 || shipment.state() == ShipmentState::Prepared));
    }

    proptest! {
        #[test]
        fn of_what_left_everything_is_told_once(
            lines in vec((0..1_000_000_i64, 0..100_i64, 0..100_i64, any::<bool>()), 1..20),
        ) {
            let states: Vec<_> = lines.iter().map(|(milli, ..)| (*milli, ShipmentState::Refused)).collect();
            let (trip, mut shipments) = on_its_way(&states);
            for ((_, shipment), (milli, delivered, refused, attempted)) in shipments.iter_mut().zip(&lines) {
                shipment.set_state(if *attempted { ShipmentState::PartlyDelivered } else { ShipmentState::NotAttempted });
                if *attempted {
                    let line = &mut shipment.lines[0];
                    line.delivered_milli = milli * delivered / 100;
                    line.refused_milli = (milli - line.delivered_milli) * refused / 100;
                }
            }
            let closed = decide_close(&trip, &shipments, &BTreeMap::new(), &close_with(0, 0), 1).expect("closed");
            let goods = &closed.goods[0];
            let told = goods.delivered_milli + goods.refused_milli + goods.missing_milli + goods.not_attempted_milli;
            prop_assert_eq!(told, goods.shipped_milli);
            prop_assert_eq!(goods.shipped_milli, lines.iter().map(|(milli, ..)| milli).sum::<i64>());
            let most = can_come_back(goods);
            prop_assert!(decide_close(&trip, &shipments, &BTreeMap::new(), &close_with(most, 0), 1).is_ok());
            prop_assert!(decide_close(&trip, &shipments, &BTreeMap::new(), &close_with(most, 1), 1).is_err());
        }

        #[test]
        fn no_figure_panics(milli in any::<i64>(), weight_mg in any::<i64>(), volume_mm3 in any::<i64>()) {
            let product = Product { weight_mg, volume_mm3, ..Product::default() };
            let (weight_g, volume_cm3) = size(&[load(11, 21, milli)], &[(TEA, product)].into());
            prop_assert!(weight_g >= 0 && volume_cm3 >= 0);
        }
    }
}
