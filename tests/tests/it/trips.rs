//! Trips: planned by what a vehicle carries, loaded, driven by somebody whose phone holds nothing else, and closed when what
//! came back is counted.

use prost::Message as _;
use roundsman::auth::caller::Caller;
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{
    CountReclamationsRequest, LeftReason, ListTripsRequest, ListVehiclesRequest, ProposeTripsRequest, ReclamationCount,
    ReclamationGrouping, VehicleShift,
};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    CancelShipment, CancelTrip, CashHandIn, CloseTrip, CollectPayment, CountedCash, DecideClaim, DecidedClaimLine,
    DeliverShipment, DeliveredLine, DeliveryProof, DepartTrip, FactFlag, GeoPoint, HandInCash, LoadShipment, Order,
    Outlet, Payment, PaymentMethod, PickShipment, PlanTrip, Product, Reason, Reclamation, RefusalReason, Rep,
    ReturnedGoods, ShipShipment, Shipment, ShipmentState, ShippedLine, ShortReason, ShortageRule, Trip, TripState,
    Vehicle, Warehouse as Depot,
};
use roundsman_tests::app::{TODAY, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, bytes};
use tonic::Request;
use uuid::Uuid;

use crate::cash::announced;
use crate::conflicts::status;
use crate::desk::{by, entry, import};
use crate::logistics::client;
use crate::shipments::Warehouse;

on_both_databases!(
    a_trip_is_planned_loaded_driven_and_closed,
    a_driver_holds_the_own_trips_and_nothing_else,
    what_is_not_loaded_stays_behind,
    a_trip_over_capacity_says_by_how_much,
    what_contradicts_a_trip_is_refused_and_nothing_is_half_done,
    a_driver_tells_only_of_the_own_trips_and_not_after_they_are_closed,
    a_trip_is_closed_when_the_cash_is_handed_in,
    claims_are_counted_by_whoever_drove,
    an_order_is_explained_to_the_end,
    what_came_back_is_promised_to_those_who_wait,
    a_trip_that_is_called_off_leaves_its_shipments_to_others,
    trips_are_proposed_by_where_outlets_are_and_what_vehicles_carry,
    trips_and_vehicles_are_listed_page_by_page,
    a_damaged_trip_is_found,
);

/// A warehouse with two vans, and two drivers with a phone each.
pub(crate) struct Fleet {
    pub(crate) house: Warehouse,
    pub(crate) vans: [Uuid; 2],
    pub(crate) dora: Driver,
    pub(crate) emil: Driver,
}

pub(crate) struct Driver {
    pub(crate) id: Uuid,
    pub(crate) phone: TestDevice,
    caller: Caller,
}

impl Driver {
    async fn make(house: &Warehouse, login: &str) -> Self {
        let id = house.app.id();
        let record = Rep { name: login.to_owned(), team_id: bytes(house.world.team), ..Rep::default() };
        import(&house.app, vec![entry(id, Record::Rep(record))]).await;
        let user = house.app.user(login, Role::Driver, Some(id), None).await;
        let tenant = house.world.tenant;
        let caller = Caller { tenant, user, role: Role::Driver, rep: Some(id), team: None, device: None };
        Self { id, phone: house.app.device(login).await, caller }
    }
}

impl Fleet {
    pub(crate) async fn make(kind: Kind) -> Self {
        Self::with(kind, ShortageRule::ConfirmPart).await
    }

    pub(crate) async fn with(kind: Kind, rule: ShortageRule) -> Self {
        let house = Warehouse::make(kind, rule).await;
        let vans = [house.app.id(), house.app.id()];
        let van = |name: &str| Vehicle {
            name: name.to_owned(),
            plate: "A 123 BC".to_owned(),
            warehouse_id: bytes(house.world.warehouse),
            max_weight_g: 50_000,
            ..Vehicle::default()
        };
        let mut records =
            vec![entry(vans[0], Record::Vehicle(van("Van 1"))), entry(vans[1], Record::Vehicle(van("Van 2")))];
        let mut products = house.app.stored::<Product>(house.world.tenant).await;
        for id in &house.world.products {
            // A kilogram and two litres each.
            let product = products.remove(id).expect("is there");
            let heavy = Product { weight_mg: 1_000_000, volume_mm3: 2_000_000, ..product };
            records.push(entry(*id, Record::Product(heavy)));
        }
        import(&house.app, records).await;
        let (dora, emil) = (Driver::make(&house, "dora").await, Driver::make(&house, "emil").await);
        Self { house, vans, dora, emil }
    }

    /// A shipment of so many pieces of an article, prepared.
    pub(crate) async fn prepared(&mut self, article: usize, pieces: i64) -> (Uuid, Uuid) {
        let order = self.house.released(&[(article, pieces, PRICE_MINOR)]).await;
        (order, self.house.prepares(order).await)
    }

    pub(crate) fn plan(&self, trip: Uuid, driver: &Driver, shipments: &[Uuid]) -> PlanTrip {
        PlanTrip {
            trip_id: bytes(trip),
            vehicle_id: bytes(self.vans[0]),
            driver_id: bytes(driver.id),
            warehouse_id: bytes(self.house.world.warehouse),
            day: TODAY,
            shipment_ids: shipments.iter().map(|id| bytes(*id)).collect(),
            ..PlanTrip::default()
        }
    }

    /// A trip of the first driver that is on its way with these shipments.
    pub(crate) async fn departed(&self, shipments: &[Uuid]) -> Uuid {
        let trip = self.house.app.id();
        self.house.does(Command::PlanTrip(self.plan(trip, &self.dora, shipments))).await;
        for shipment in shipments {
            self.house.does(load(*shipment)).await;
        }
        self.house.does(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
        trip
    }

    pub(crate) async fn trip(&self, id: Uuid) -> Trip {
        self.house.app.stored::<Trip>(self.house.world.tenant).await.remove(&id).expect("the trip")
    }

    pub(crate) async fn closes(self) {
        let Self { house, dora, emil, .. } = self;
        for mut driver in [dora, emil] {
            house.app.sync(&mut driver.phone).await;
            house.app.assert_converged(&driver.phone, &driver.caller).await;
        }
        house.closes().await;
    }
}

pub(crate) fn load(shipment: Uuid) -> Command {
    Command::LoadShipment(LoadShipment { shipment_id: bytes(shipment), ..LoadShipment::default() })
}

pub(crate) fn deliver(shipment: Uuid) -> DeliverShipment {
    DeliverShipment { shipment_id: bytes(shipment), ..DeliverShipment::default() }
}

pub(crate) fn close(trip: Uuid, returned: &[(Uuid, i64, i64)]) -> Command {
    let goods = |(product, sellable_milli, unsellable_milli): &(Uuid, i64, i64)| ReturnedGoods {
        product_id: bytes(*product),
        sellable_milli: *sellable_milli,
        unsellable_milli: *unsellable_milli,
    };
    Command::CloseTrip(CloseTrip {
        trip_id: bytes(trip),
        returned: returned.iter().map(goods).collect(),
        comment: String::new(),
    })
}

fn fact(outcome: &Outcome, name: &str) -> String {
    outcome.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone()).unwrap_or_default()
}

async fn a_trip_is_planned_loaded_driven_and_closed(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (first_order, first) = fleet.prepared(0, 5).await;
    let (second_order, second) = fleet.prepared(1, 3).await;
    let trip = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first, second]))).await;
    let planned = fleet.trip(trip).await;
    assert_eq!((planned.state(), planned.weight_g, planned.volume_cm3), (TripState::Forming, 8_000, 16_000));
    assert_eq!((planned.stops.len(), planned.vehicle_name.as_str()), (1, "Van 1 A 123 BC"), "both are for one outlet");
    let again = fleet.house.asks(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first, second]))).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    loads_what_has_room(&mut fleet, first).await;
    assert_eq!(fleet.trip(trip).await.state(), TripState::Loading);
    assert_eq!(fleet.house.order(first_order).await.lines[0].confirmed_milli, 4_000, "the rest does not come");
    fleet.house.does(load(second)).await;
    let twice = fleet.house.asks(load(second)).await;
    assert_eq!(status(&twice), (Status::Rejected, Reason::WrongState), "a shipment is loaded once");
    let alone = Command::ShipShipment(ShipShipment { shipment_id: bytes(second), ..ShipShipment::default() });
    let alone = fleet.house.asks(alone).await;
    assert_eq!((status(&alone), fact(&alone, "trip_id")), ((Status::Rejected, Reason::GoesWithTrip), trip.to_string()));
    let depart = Command::DepartTrip(DepartTrip { trip_id: bytes(trip) });
    let left = fleet.house.app.decide(&mut fleet.dora.phone, depart).await;
    assert_eq!(left.status(), Status::Applied, "{left:?}");
    assert_eq!(fleet.house.shipment(first).await.state(), ShipmentState::Shipped);
    // Without network: one is delivered but for a piece, the other not attempted.
    let held: Shipment = fleet.house.app.shown(&fleet.dora.phone, first).expect("still there");
    let refused = DeliveredLine {
        line_id: held.lines[0].line_id.clone(),
        delivered_milli: 3_000,
        refused_milli: 1_000,
        refusal_reason: RefusalReason::TooMuch.into(),
    };
    let reclamation_id = bytes(fleet.house.app.id());
    let arrived = DeliverShipment { lines: vec![refused], reclamation_id, ..deliver(first) };
    fleet.house.app.capture(&mut fleet.dora.phone, Command::DeliverShipment(arrived));
    let nobody = DeliverShipment { not_attempted: true, ..deliver(second) };
    fleet.house.app.capture(&mut fleet.dora.phone, Command::DeliverShipment(nobody));
    let early = fleet.house.asks(close(trip, &[])).await;
    assert_eq!(status(&early), (Status::Rejected, Reason::DeliveryOpen));
    assert_eq!(early.facts.len(), 2, "both are named");
    fleet.house.app.sync(&mut fleet.dora.phone).await;
    let product = |index: usize| fleet.house.world.products[index];
    let more = fleet.house.asks(close(trip, &[(product(0), 1_000, 1_000)])).await;
    assert_eq!(
        (status(&more), fact(&more, "most_milli")),
        ((Status::Rejected, Reason::MoreCameBack), "1000".to_owned())
    );
    fleet.house.does(close(trip, &[(product(0), 0, 1_000), (product(1), 3_000, 0)])).await;
    let closed = fleet.trip(trip).await;
    let goods = closed.goods.iter().find(|goods| goods.product_id == bytes(product(0))).expect("told");
    assert_eq!((goods.shipped_milli, goods.delivered_milli, goods.refused_milli), (4_000, 3_000, 1_000));
    assert_eq!((goods.sellable_milli, goods.unsellable_milli, closed.state()), (0, 1_000, TripState::Closed));
    fleet.house.app.sync(&mut fleet.dora.phone).await;
    assert!(fleet.house.app.shown::<Trip>(&fleet.dora.phone, trip).is_none(), "a closed trip leaves the phone");
    assert!(fleet.house.app.shown::<Shipment>(&fleet.dora.phone, first).is_none());
    fleet.house.app.sync(&mut fleet.house.anna).await;
    let seen: Order = fleet.house.app.shown(&fleet.house.anna, first_order).expect("the rep sees it");
    assert_eq!((seen.lines[0].delivered_milli, seen.lines[0].refused_milli), (3_000, 1_000));
    assert!(fleet.house.order(second_order).await.broken_promises > 0, "it did not come");
    for (topic, record) in [
        ("trip.planned", trip),
        ("trip.loading", trip),
        ("trip.departed", trip),
        ("trip.closed", trip),
        ("shipment.loaded", first),
    ] {
        assert_eq!(announced(&fleet.house.app, topic, record).await, 1, "{topic}");
    }
    fleet.closes().await;
}

/// The driver loads a shipment of five; there is room for four.
async fn loads_what_has_room(fleet: &mut Fleet, shipment: Uuid) {
    fleet.house.app.sync(&mut fleet.dora.phone).await;
    let held: Shipment = fleet.house.app.shown(&fleet.dora.phone, shipment).expect("on the driver's phone");
    let short = ShippedLine {
        line_id: held.lines[0].line_id.clone(),
        picked_milli: 4_000,
        short_reason: ShortReason::NoRoom.into(),
    };
    let less = LoadShipment { shipment_id: bytes(shipment), lines: vec![short], comment: String::new() };
    let loaded = fleet.house.app.decide(&mut fleet.dora.phone, Command::LoadShipment(less)).await;
    assert_eq!(loaded.status(), Status::Applied, "{loaded:?}");
}

async fn a_driver_holds_the_own_trips_and_nothing_else(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, shipment) = fleet.prepared(0, 5).await;
    let trip = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[shipment]))).await;
    for phone in [&mut fleet.dora.phone, &mut fleet.emil.phone] {
        fleet.house.app.sync(phone).await;
    }
    let app = &fleet.house.app;
    assert!(app.shown::<Shipment>(&fleet.dora.phone, shipment).is_some());
    assert!(
        app.shown::<Trip>(&fleet.emil.phone, trip).is_none()
            && app.shown::<Shipment>(&fleet.emil.phone, shipment).is_none()
    );
    for outlet in &fleet.house.world.anna.outlets {
        assert!(app.shown::<Outlet>(&fleet.dora.phone, *outlet).is_none(), "stops say where to go");
    }
    let held: Trip = app.shown(&fleet.dora.phone, trip).expect("the own");
    assert!(!held.stops[0].outlet_name.is_empty());
    // The other one drives instead.
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.emil, &[shipment]))).await;
    for phone in [&mut fleet.dora.phone, &mut fleet.emil.phone] {
        fleet.house.app.sync(phone).await;
    }
    let app = &fleet.house.app;
    assert!(
        app.shown::<Trip>(&fleet.dora.phone, trip).is_none()
            && app.shown::<Shipment>(&fleet.dora.phone, shipment).is_none()
    );
    assert!(app.shown::<Shipment>(&fleet.emil.phone, shipment).is_some());
    fleet.closes().await;
}

async fn what_is_not_loaded_stays_behind(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let (_, second) = fleet.prepared(1, 3).await;
    let (_, third) = fleet.prepared(2, 1).await;
    let trip = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first, second, third]))).await;
    let empty = fleet.house.asks(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
    assert_eq!(status(&empty), (Status::Rejected, Reason::WrongState), "nothing is loaded");
    fleet.house.does(load(first)).await;
    let cancel = CancelShipment { shipment_id: bytes(third), reason: "not wanted".to_owned() };
    fleet.house.does(Command::CancelShipment(cancel)).await;
    fleet.house.does(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
    let departed = fleet.trip(trip).await;
    let brought: Vec<&Vec<u8>> = departed.stops.iter().flat_map(|stop| &stop.shipment_ids).collect();
    assert_eq!((departed.state(), brought), (TripState::Departed, vec![&bytes(first)]));
    let behind = fleet.house.shipment(second).await;
    assert_eq!((behind.state(), behind.trip_id.len()), (ShipmentState::Prepared, 0));
    let next = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(next, &fleet.dora, &[second]))).await;
    assert_eq!(fleet.house.shipment(second).await.trip_id, bytes(next));
    fleet.closes().await;
}

async fn a_trip_over_capacity_says_by_how_much(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 30).await;
    let (_, second) = fleet.prepared(1, 27).await;
    let trip = fleet.house.app.id();
    let over = fleet.house.asks(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first, second]))).await;
    assert_eq!(
        (status(&over), fact(&over, "over_weight_g")),
        ((Status::Rejected, Reason::OverCapacity), "7000".to_owned())
    );
    assert!(fleet.house.app.stored::<Trip>(fleet.house.world.tenant).await.is_empty());
    assert!(fleet.house.shipment(first).await.trip_id.is_empty(), "nothing is half done");
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first]))).await;
    fleet.closes().await;
}

async fn what_contradicts_a_trip_is_refused_and_nothing_is_half_done(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let (_, second) = fleet.prepared(1, 3).await;
    let trip = fleet.house.app.id();
    let loose = fleet.house.asks(load(first)).await;
    assert_eq!(status(&loose), (Status::Rejected, Reason::NoTrip));
    let soon = fleet.house.app.now_us() + 60_000_000;
    let plan = PlanTrip { cut_off_at_us: soon, ..fleet.plan(trip, &fleet.dora, &[first]) };
    fleet.house.does(Command::PlanTrip(plan.clone())).await;
    let other = fleet.house.app.id();
    let taken = fleet.house.asks(Command::PlanTrip(fleet.plan(other, &fleet.emil, &[first]))).await;
    assert_eq!(
        (status(&taken), fact(&taken, "trip_id")),
        ((Status::Rejected, Reason::OnAnotherTrip), trip.to_string())
    );
    fleet.house.app.pass(2);
    let late = PlanTrip { shipment_ids: vec![bytes(first), bytes(second)], ..plan.clone() };
    let late = fleet.house.asks(Command::PlanTrip(late)).await;
    assert_eq!(status(&late), (Status::Rejected, Reason::CutOffPassed));
    assert!(fleet.house.shipment(second).await.trip_id.is_empty());
    let wrong = |plan: PlanTrip, reason: Reason| (Command::PlanTrip(plan), reason);
    let id = fleet.house.app.id();
    for (command, reason) in [
        wrong(PlanTrip { vehicle_id: bytes(id), ..plan.clone() }, Reason::NotFound),
        wrong(PlanTrip { driver_id: bytes(fleet.vans[0]), ..plan.clone() }, Reason::IdOfAnotherKind),
        wrong(PlanTrip { shipment_ids: vec![bytes(first), bytes(first)], ..plan.clone() }, Reason::RepeatedId),
        wrong(PlanTrip { shipment_ids: vec![bytes(second); 61], ..plan.clone() }, Reason::LimitExceeded),
        wrong(PlanTrip { day: 0, ..plan.clone() }, Reason::MissingField),
        (Command::CancelTrip(CancelTrip { trip_id: bytes(trip), reason: " ".to_owned() }), Reason::MissingField),
        (close(trip, &[]), Reason::WrongState),
        (close(id, &[]), Reason::NotFound),
    ] {
        let outcome = fleet.house.asks(command).await;
        assert_eq!(status(&outcome), (Status::Rejected, reason), "{outcome:?}");
    }
    let broken = Vehicle { name: "Van 1".to_owned(), out_of_use: true, ..Vehicle::default() };
    import(&fleet.house.app, vec![entry(fleet.vans[0], Record::Vehicle(broken))]).await;
    let outcome = fleet.house.asks(Command::PlanTrip(plan)).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::WrongState), "the vehicle is out of use");
    fleet.house.does(load(first)).await;
    fleet.house.does(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
    let held = fleet.house.shipment(first).await;
    let line_id = held.lines[0].line_id.clone();
    let too_much = DeliveredLine { line_id, delivered_milli: 6_000, ..DeliveredLine::default() };
    let outcome =
        fleet.house.asks(Command::DeliverShipment(DeliverShipment { lines: vec![too_much], ..deliver(first) })).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::OutOfRange), "more than was shipped");
    assert_eq!(fleet.house.shipment(first).await, held);
    fleet.closes().await;
}

async fn a_driver_tells_only_of_the_own_trips_and_not_after_they_are_closed(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let (_, alone) = fleet.prepared(1, 3).await;
    let trip = fleet.departed(&[first]).await;
    let unknown = (Status::Rejected, Reason::NotFound);
    for command in [
        Command::DeliverShipment(deliver(first)),
        load(first),
        Command::DepartTrip(DepartTrip { trip_id: bytes(trip) }),
    ] {
        let outcome = fleet.house.app.decide(&mut fleet.emil.phone, command).await;
        assert_eq!(status(&outcome), unknown, "another's: {outcome:?}");
    }
    let outcome = fleet.house.app.decide(&mut fleet.dora.phone, load(alone)).await;
    assert_eq!(status(&outcome), unknown, "it goes with no trip");
    // A rep is no driver of it either, though the outlet is the rep's own.
    let outcome = fleet.house.app.decide(&mut fleet.house.anna, Command::DeliverShipment(deliver(first))).await;
    assert_eq!(status(&outcome), unknown);
    let outcome = fleet.house.app.decide(&mut fleet.dora.phone, close(trip, &[])).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::RoleNotAllowed), "the warehouse counts");
    fleet.house.does(Command::DeliverShipment(deliver(first))).await;
    fleet.house.does(close(trip, &[])).await;
    let late = fleet.house.app.decide(&mut fleet.dora.phone, Command::DeliverShipment(deliver(first))).await;
    assert_eq!((status(&late), fact(&late, "trip_id")), ((Status::Rejected, Reason::TripClosed), trip.to_string()));
    let again = fleet.house.asks(close(trip, &[])).await;
    assert_eq!(status(&again), (Status::Rejected, Reason::WrongState));
    fleet.closes().await;
}

/// One is brought by a driver, and another without a trip; both come short of a piece.
async fn claims_are_counted_by_whoever_drove(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, driven) = fleet.prepared(0, 5).await;
    let (_, fetched) = fleet.prepared(0, 2).await;
    fleet.departed(&[driven]).await;
    let ship = ShipShipment { shipment_id: bytes(fetched), ..ShipShipment::default() };
    fleet.house.does(Command::ShipShipment(ship)).await;
    for (shipment, delivered_milli) in [(driven, 4_000), (fetched, 1_000)] {
        let line_id = fleet.house.shipment(shipment).await.lines[0].line_id.clone();
        let lines = vec![DeliveredLine { line_id, delivered_milli, ..DeliveredLine::default() }];
        let reclamation_id = bytes(fleet.house.app.id());
        let arrived = DeliverShipment { lines, reclamation_id, ..deliver(shipment) };
        fleet.house.does(Command::DeliverShipment(arrived)).await;
    }
    let request = CountReclamationsRequest {
        by: ReclamationGrouping::Driver.into(),
        from_day: TODAY,
        to_day: TODAY,
        ..CountReclamationsRequest::default()
    };
    let answer = client(&fleet.house.app).count_reclamations(by(&fleet.house.lars, request)).await.expect("answers");
    let of = |id: Vec<u8>, delivered_milli| ReclamationCount {
        id,
        reclamations: 1,
        cases: 1,
        lines: 1,
        claimed_milli: 1_000,
        delivered_lines: 1,
        delivered_milli,
        lines_per_mille: 1_000,
        ..ReclamationCount::default()
    };
    // What came with no trip is nobody's.
    assert_eq!(answer.into_inner().counts, [of(Vec::new(), 1_000), of(bytes(fleet.dora.id), 4_000)]);
    fleet.closes().await;
}

async fn a_trip_is_closed_when_the_cash_is_handed_in(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (order, first) = fleet.prepared(0, 5).await;
    let outlet_id = fleet.house.shipment(first).await.outlet_id;
    let trip = fleet.departed(&[first]).await;
    let money = CollectPayment {
        payment_id: bytes(fleet.house.app.id()),
        outlet_id: outlet_id.clone(),
        customer_id: bytes(fleet.house.world.customers[0]),
        order_id: bytes(order),
        amount_minor: 5 * PRICE_MINOR,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        trip_id: bytes(trip),
        ..CollectPayment::default()
    };
    let elsewhere = CollectPayment { outlet_id: bytes(fleet.house.world.boris.outlets[0]), ..money.clone() };
    let without = CollectPayment { trip_id: Vec::new(), ..money.clone() };
    let Fleet { house, dora, emil, .. } = &mut fleet;
    for (command, reason) in [(elsewhere, Reason::NotFound), (without, Reason::BadId)] {
        let outcome = house.app.decide(&mut dora.phone, Command::CollectPayment(command)).await;
        assert_eq!(status(&outcome), (Status::Rejected, reason), "{outcome:?}");
    }
    let outcome = house.app.decide(&mut emil.phone, Command::CollectPayment(money.clone())).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::NotFound), "another's trip");
    let outcome = house.app.decide(&mut house.anna, Command::CollectPayment(money.clone())).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::NotFound), "a rep is not on that trip");
    let late = money.clone();
    let taken = fleet.house.app.decide(&mut fleet.dora.phone, Command::CollectPayment(money)).await;
    assert_eq!(taken.status(), Status::Applied, "{taken:?}");
    let payments = fleet.house.app.stored::<Payment>(fleet.house.world.tenant).await;
    let stored = payments.values().next().expect("the payment");
    assert_eq!((stored.rep_id.clone(), stored.trip_id.clone()), (bytes(fleet.dora.id), bytes(trip)));
    fleet.house.does(Command::DeliverShipment(deliver(first))).await;
    let open = fleet.house.asks(close(trip, &[])).await;
    assert_eq!(
        (status(&open), fact(&open, "open_payments")),
        ((Status::Rejected, Reason::CashOpen), "1 EUR".to_owned())
    );
    let counted = vec![CountedCash { method: PaymentMethod::Cash.into(), amount_minor: 5 * PRICE_MINOR }];
    let hand_in = HandInCash {
        hand_in_id: bytes(fleet.house.app.id()),
        currency: CURRENCY.to_owned(),
        counted,
        ..HandInCash::default()
    };
    let handed = fleet.house.app.decide(&mut fleet.dora.phone, Command::HandInCash(hand_in)).await;
    assert_eq!(status(&handed), (Status::Applied, Reason::Unspecified), "{handed:?}");
    assert_eq!(fleet.house.app.stored::<CashHandIn>(fleet.house.world.tenant).await.len(), 1);
    fleet.house.does(close(trip, &[])).await;
    let late = CollectPayment { payment_id: bytes(fleet.house.app.id()), amount_minor: 700, ..late };
    let taken = fleet.house.app.decide(&mut fleet.dora.phone, Command::CollectPayment(late.clone())).await;
    assert_eq!(taken.status(), Status::Applied, "c22: money that was told too late is money: {taken:?}");
    let payments = fleet.house.app.stored::<Payment>(fleet.house.world.tenant).await;
    let stored = payments.values().find(|payment| payment.amount_minor == 700).expect("the payment");
    assert!(stored.flags.contains(&FactFlag::OutsideAssignment.into()), "{stored:?}");
    fleet.closes().await;
}

/// `roundsman explain order` tells with which trip the goods went, what was short, who took the rest, and what was claimed.
async fn an_order_is_explained_to_the_end(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (order, first) = fleet.prepared(0, 5).await;
    let line_id = fleet.house.shipment(first).await.lines[0].line_id.clone();
    let short =
        ShippedLine { line_id: line_id.clone(), picked_milli: 4_000, short_reason: ShortReason::NotFound.into() };
    let pick = PickShipment { shipment_id: bytes(first), lines: vec![short], finished: true, comment: String::new() };
    fleet.house.does(Command::PickShipment(pick)).await;
    let trip = fleet.departed(&[first]).await;
    let refused = DeliveredLine {
        line_id,
        delivered_milli: 2_000,
        refused_milli: 1_000,
        refusal_reason: RefusalReason::Damaged.into(),
    };
    let (claim, proof) =
        (fleet.house.app.id(), DeliveryProof { received_by: "Mrs Smith".to_owned(), ..Default::default() });
    let arrived =
        DeliverShipment { lines: vec![refused], reclamation_id: bytes(claim), proof: Some(proof), ..deliver(first) };
    fleet.house.does(Command::DeliverShipment(arrived)).await;
    let filed = fleet.house.app.stored::<Reclamation>(fleet.house.world.tenant).await.remove(&claim).expect("opened");
    let lines =
        filed.lines.iter().map(|line| DecidedClaimLine { line_id: line.line_id.clone(), accepted_milli: 1_000 });
    let text = "One was damaged".to_owned();
    let decision = DecideClaim { reclamation_id: bytes(claim), lines: lines.collect(), text, as_case: false };
    let decided = fleet.house.app.office(Command::DecideClaim(decision)).await;
    assert_eq!(decided.status(), Status::Applied, "{decided:?}");
    let tables = crate::desk::explained(&fleet.house.app, order).await;
    let [_, shipments, goods, claims, events] = tables.as_slice() else { panic!("{tables:#?}") };
    assert_eq!(shipments[0][1..5], ["partly delivered", "", "Van 1 A 123 BC", "dora"]);
    assert_eq!((shipments[0][5].is_empty(), shipments[0][7].as_str()), (false, "Mrs Smith"));
    let line: Vec<&str> = goods[0].iter().map(String::as_str).collect();
    let why = "picked short: not found, refused: damaged";
    assert_eq!(line[..8], ["Article 0", "5", "4", "4", "2", "1", "1", why]);
    assert_eq!((claims[0][1].as_str(), claims[0][3].as_str()), ("delivery discrepancy", "partly satisfied"));
    assert_eq!(claims[0][8..], ["2", "1", "10.00 EUR", ""]);
    let told: Vec<String> = events.iter().map(|event| event[1..].join(": ")).collect();
    for expected in ["leaves with Van 1 A 123 BC", "is partly delivered", "is filed", "1 of 2 is accepted, worth 10.00"]
    {
        assert!(told.iter().any(|told| told.contains(expected)), "{expected} is not in {told:#?}");
    }
    fleet.house.does(close(trip, &[(fleet.house.world.products[0], 0, 1_000)])).await;
    fleet.closes().await;
}

async fn what_came_back_is_promised_to_those_who_wait(kind: Kind) {
    let mut fleet = Fleet::with(kind, ShortageRule::BackOrder).await;
    crate::conflicts::counted(&fleet.house.app, &fleet.house.world, 0, 5_000).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let trip = fleet.departed(&[first]).await;
    let waits = fleet.house.submitted(&[(0, 4, PRICE_MINOR)]).await;
    assert_eq!(fleet.house.order(waits).await.lines[0].reserved_milli, 0);
    let line_id = fleet.house.shipment(first).await.lines[0].line_id.clone();
    let refused = DeliveredLine {
        line_id,
        delivered_milli: 2_000,
        refused_milli: 3_000,
        refusal_reason: RefusalReason::ChangedMind.into(),
    };
    let reclamation_id = bytes(fleet.house.app.id());
    let arrived = DeliverShipment { lines: vec![refused], reclamation_id, ..deliver(first) };
    fleet.house.does(Command::DeliverShipment(arrived)).await;
    assert_eq!(fleet.house.order(waits).await.lines[0].reserved_milli, 0, "it is still on the van");
    fleet.house.does(close(trip, &[(fleet.house.world.products[0], 2_500, 500)])).await;
    assert_eq!(fleet.house.order(waits).await.lines[0].reserved_milli, 2_500);
    fleet.closes().await;
}

async fn a_trip_that_is_called_off_leaves_its_shipments_to_others(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let trip = fleet.house.app.id();
    fleet.house.does(Command::PlanTrip(fleet.plan(trip, &fleet.dora, &[first]))).await;
    fleet.house.does(load(first)).await;
    let cancel = CancelTrip { trip_id: bytes(trip), reason: "The van broke down".to_owned() };
    fleet.house.does(Command::CancelTrip(cancel.clone())).await;
    let off = fleet.trip(trip).await;
    assert_eq!((off.state(), off.comment.as_str()), (TripState::Cancelled, "The van broke down"));
    let shipment = fleet.house.shipment(first).await;
    assert_eq!((shipment.state(), shipment.trip_id.len()), (ShipmentState::Checked, 0));
    assert_eq!(status(&fleet.house.asks(Command::CancelTrip(cancel)).await), (Status::Rejected, Reason::WrongState));
    fleet.house.app.sync(&mut fleet.dora.phone).await;
    assert!(fleet.house.app.shown::<Trip>(&fleet.dora.phone, trip).is_none());
    let next = fleet.departed(&[first]).await;
    fleet.house.does(Command::DeliverShipment(deliver(first))).await;
    fleet.house.does(close(next, &[])).await;
    fleet.closes().await;
}

async fn trips_are_proposed_by_where_outlets_are_and_what_vehicles_carry(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, light) = fleet.prepared(0, 5).await;
    let (_, heavy) = fleet.prepared(1, 60).await;
    let world = &fleet.house.world;
    let shift = |van: Uuid| VehicleShift { vehicle_id: bytes(van), from_s: 8 * 3_600, to_s: 18 * 3_600 };
    let question = ProposeTripsRequest {
        warehouse_id: bytes(world.warehouse),
        day: TODAY,
        shipment_ids: vec![bytes(light), bytes(heavy)],
        vehicles: vec![shift(fleet.vans[0]), shift(fleet.vans[1])],
        ..ProposeTripsRequest::default()
    };
    let mut client = LogisticsServiceClient::connect(fleet.house.app.url()).await.expect("connects");
    let nowhere = client.propose_trips(by(&fleet.house.lars, question.clone())).await.expect_err("where is it?");
    assert_eq!(nowhere.code(), tonic::Code::InvalidArgument, "{nowhere:?}");
    let point = fleet.house.app.stored::<Outlet>(world.tenant).await[&world.anna.outlets[0]].point;
    let depot = Depot { name: "Main".to_owned(), point, ..Depot::default() };
    import(&fleet.house.app, vec![entry(world.warehouse, Record::Warehouse(depot))]).await;
    let answer = client.propose_trips(by(&fleet.house.lars, question.clone())).await.expect("proposes").into_inner();
    assert_eq!(answer.trips.len(), 1, "{answer:?}");
    let trip = &answer.trips[0];
    assert_eq!((trip.calls[0].shipment_id.clone(), trip.weight_g), (bytes(light), 5_000));
    let left = &answer.left_shipments[0];
    assert_eq!((left.shipment_id.clone(), left.reason(), left.by), (bytes(heavy), LeftReason::TooHeavy, 10_000));
    let wrong = ProposeTripsRequest { vehicles: Vec::new(), shipment_ids: vec![bytes(light); 2], ..question.clone() };
    let wrong = client.propose_trips(by(&fleet.house.lars, wrong)).await.expect_err("wrong");
    assert_eq!(wrong.code(), tonic::Code::InvalidArgument);
    let rep = client.propose_trips(by(&fleet.house.app.device_token("anna").await, question)).await.expect_err("a rep");
    assert_eq!(rep.code(), tonic::Code::PermissionDenied);
    assert!(fleet.house.app.stored::<Trip>(fleet.house.world.tenant).await.is_empty(), "nothing is changed");
    fleet.closes().await;
}

async fn trips_and_vehicles_are_listed_page_by_page(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let departed = fleet.departed(&[first]).await;
    let mut planned = Vec::new();
    for days in [2, 1] {
        let id = fleet.house.app.id();
        let plan = PlanTrip { day: TODAY + days, ..fleet.plan(id, &fleet.emil, &[]) };
        fleet.house.does(Command::PlanTrip(plan)).await;
        planned.insert(0, id);
    }
    let mut client = LogisticsServiceClient::connect(fleet.house.app.url()).await.expect("connects");
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTripsRequest { page_size: 1, page_token, ..ListTripsRequest::default() };
        let page = client.list_trips(by(&fleet.house.lars, request)).await.expect("lists").into_inner();
        found.extend(page.trips.into_iter().map(|trip| trip.trip_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [departed, planned[0], planned[1]].map(bytes), "by day");
    let mut count = async |request: ListTripsRequest| {
        client.list_trips(by(&fleet.house.lars, request)).await.expect("lists").into_inner().trips.len()
    };
    let all = ListTripsRequest::default;
    assert_eq!(count(ListTripsRequest { state: TripState::Departed.into(), ..all() }).await, 1);
    assert_eq!(count(ListTripsRequest { driver_id: bytes(fleet.emil.id), ..all() }).await, 2);
    assert_eq!(count(ListTripsRequest { from_day: TODAY + 1, through_day: TODAY + 1, ..all() }).await, 1);
    let mut client = LogisticsServiceClient::connect(fleet.house.app.url()).await.expect("connects");
    let vehicles = client.list_vehicles(by(&fleet.house.lars, ListVehiclesRequest::default())).await.expect("lists");
    assert_eq!(vehicles.into_inner().vehicles.len(), 2);
    let nobody = client.list_trips(Request::new(all())).await.expect_err("without a token");
    assert_eq!(nobody.code(), tonic::Code::Unauthenticated);
    let point = GeoPoint { latitude_e7: 2_000_000_000, ..GeoPoint::default() };
    let nowhere = Depot { name: "Main".to_owned(), point: Some(point), ..Depot::default() };
    let import = roundsman_proto::trade::ImportRecords {
        records: vec![entry(fleet.house.world.warehouse, Record::Warehouse(nowhere))],
    };
    assert_eq!(fleet.house.app.office(Command::ImportRecords(import)).await.status(), Status::Rejected);
    fleet.closes().await;
}

async fn a_damaged_trip_is_found(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let (_, first) = fleet.prepared(0, 5).await;
    let trip = fleet.departed(&[first]).await;
    fleet.house.does(Command::DeliverShipment(deliver(first))).await;
    fleet.house.does(close(trip, &[])).await;
    let right = fleet.trip(trip).await;
    let findings = async |damaged: Trip| {
        let app = &fleet.house.app;
        let before = app.replace_document(trip, damaged.encode_to_vec()).await;
        let findings = roundsman::verify::verify(&app.core.db, fleet.house.world.tenant).await.expect("verifies");
        app.replace_document(trip, before).await;
        findings.into_iter().filter(|finding| finding.contains(&trip.to_string())).collect::<Vec<_>>()
    };
    let mut lost = right.clone();
    lost.goods[0].delivered_milli -= 1_000;
    let found = findings(lost).await;
    assert!(found.iter().any(|finding| finding.contains("of its goods")), "{found:?}");
    assert!(found.iter().any(|finding| finding.contains("tells of 4000")), "{found:?}");
    let mut more = right.clone();
    more.goods[0].sellable_milli = 1_000;
    let found = findings(more).await;
    assert!(found.iter().any(|finding| finding.contains("more than can have")), "{found:?}");
    let mut open = right.clone();
    open.set_state(TripState::Departed);
    let found = findings(open).await;
    assert!(found.iter().any(|finding| finding.contains("counts 0 reasons")), "{found:?}");
    let elsewhere = Trip { stops: Vec::new(), ..right };
    let found = findings(elsewhere).await;
    assert!(found.iter().any(|finding| finding.contains("doesn't bring it")), "{found:?}");
    fleet.closes().await;
}
