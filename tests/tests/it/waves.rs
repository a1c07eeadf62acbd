//! Waves at their limits: orders that have had as many shipments as there may be, the largest orders, calls that come again.

use roundsman_proto::logistics::StartWaveRequest;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, CancelShipment, Fulfilment, Order, OrderStatus, PassedOrder, PrepareShipment, PreparedLine, Reason,
    Shipment, ShortageRule, StartWave, Trip, TripState, Vehicle, Wave, WaveState,
};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{ON_HAND_MILLI, PRICE_MINOR, bytes};
use uuid::Uuid;

use crate::conflicts::status;
use crate::desk::{by, entry, import};
use crate::goods::exact;
use crate::logistics::client;
use crate::shipments::Warehouse;
use crate::trips::{Fleet, close, deliver};

on_both_databases!(
    an_order_that_has_had_all_its_shipments_is_passed_over_and_the_others_go,
    the_largest_orders_go_with_a_wave_and_a_trip,
    a_wave_that_is_started_again_goes_on,
);

/// An order has at most so many shipments.
const SHIPMENTS: usize = 100;
/// An order has at most so many lines.
const LINES: usize = 500;

async fn an_order_that_has_had_all_its_shipments_is_passed_over_and_the_others_go(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let unlucky = house.released(&[(0, 2, PRICE_MINOR)]).await;
    let line_id = house.order(unlucky).await.lines[0].line_id.clone();
    for _ in 0..SHIPMENTS {
        let lines = vec![PreparedLine { line_id: line_id.clone(), quantity_milli: 1_000, ..PreparedLine::default() }];
        let part = PrepareShipment { order_id: bytes(unlucky), lines, ..PrepareShipment::default() };
        let shipment = house.prepares_with(part).await;
        let off = CancelShipment { shipment_id: bytes(shipment), reason: "the van broke down".to_owned() };
        house.does(Command::CancelShipment(off)).await;
    }
    let (before, stock) = (house.order(unlucky).await, (house.world.warehouse, house.world.products[0]));
    let figures = exact(&house.app, &house.world, stock).await;
    let more =
        PrepareShipment { shipment_id: bytes(house.app.id()), order_id: bytes(unlucky), ..PrepareShipment::default() };
    let refused = house.asks(Command::PrepareShipment(more)).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::LimitExceeded), "{refused:?}");
    let [first, last] = [house.released(&[(1, 2, PRICE_MINOR)]).await, house.released(&[(2, 2, PRICE_MINOR)]).await];
    let wave = house.starts_wave(&[first, unlucky, last]).await;
    let wave = house.app.stored::<Wave>(house.world.tenant).await.remove(&wave).expect("the wave");
    assert_eq!((wave.state(), wave.done_orders, wave.lines), (WaveState::Allocated, 3, 2));
    assert_eq!(wave.passed_orders, [PassedOrder { order_id: bytes(unlucky), reason: Reason::LimitExceeded.into() }]);
    for id in [first, last] {
        assert_eq!(house.order(id).await.lines[0].assigned_milli, 2_000);
    }
    assert_eq!(house.order(unlucky).await, before, "nothing of it was touched");
    assert_eq!(exact(&house.app, &house.world, stock).await, figures);
    house.closes().await;
}

async fn the_largest_orders_go_with_a_wave_and_a_trip(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let terms = Agreement { credit_limit_minor: None, ..fleet.house.world.agreement(0) };
    let large = Vehicle { name: "Lorry".to_owned(), ..Vehicle::default() };
    let world = &fleet.house.world;
    let records = vec![
        entry(world.agreements[0], Record::Agreement(terms)),
        entry(fleet.vans[0], Record::Vehicle(Vehicle { warehouse_id: bytes(world.warehouse), ..large })),
    ];
    import(&fleet.house.app, records).await;
    let articles = world.products.len();
    let mut orders = Vec::new();
    for article in 0..2 {
        // Half of the articles each, so that the one is not taken for a copy of the other.
        let lines: Vec<_> = (0..LINES).map(|line| (2 * (line % (articles / 2)) + article, 1, PRICE_MINOR)).collect();
        orders.push(fleet.house.released(&lines).await);
    }
    let wave = fleet.house.starts_wave(&orders).await;
    let wave = fleet.house.app.stored::<Wave>(fleet.house.world.tenant).await.remove(&wave).expect("the wave");
    assert_eq!((wave.state(), wave.lines, wave.short_lines), (WaveState::Allocated, 1_000, 0), "{wave:?}");
    let stored = fleet.house.app.stored::<Shipment>(fleet.house.world.tenant).await;
    assert!(stored.values().all(|shipment| shipment.lines.len() == LINES), "one for each order");
    let shipments: Vec<Uuid> = stored.into_keys().collect();
    let (_, more) = fleet.prepared(0, 1).await;
    let full = fleet.plan(fleet.house.app.id(), &fleet.dora, &[shipments[0], shipments[1], more]);
    let refused = fleet.house.asks(Command::PlanTrip(full)).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::LimitExceeded), "a trip has a thousand lines");
    assert!(fleet.house.app.stored::<Trip>(fleet.house.world.tenant).await.is_empty());
    let trip = fleet.departed(&shipments).await;
    for shipment in &shipments {
        fleet.house.does(Command::DeliverShipment(deliver(*shipment))).await;
    }
    fleet.house.does(close(trip, &[])).await;
    let closed = fleet.trip(trip).await;
    let goods: Vec<(i64, i64)> = closed.goods.iter().map(|of| (of.shipped_milli, of.delivered_milli)).collect();
    assert_eq!((closed.state(), goods), (TripState::Closed, vec![(100_000, 100_000); articles]));
    for id in orders {
        let order: Order = fleet.house.order(id).await;
        assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Closed, Fulfilment::Delivered));
    }
    for product in fleet.house.world.products.clone() {
        let figures = exact(&fleet.house.app, &fleet.house.world, (fleet.house.world.warehouse, product)).await;
        let left = ON_HAND_MILLI - 100_000;
        assert!([left, left - 1_000].contains(&(figures.on_hand_milli - figures.picking_milli)), "{figures:?}");
    }
    fleet.closes().await;
}

/// The answer of a call was lost: it comes again as it was, then as another command, and with other orders.
async fn a_wave_that_is_started_again_goes_on(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let [first, second] = [house.released(&[(0, 5, PRICE_MINOR)]).await, house.released(&[(1, 3, PRICE_MINOR)]).await];
    let [wave_id, command_id, other_command] = [house.app.id(), house.app.id(), house.app.id()];
    let start = |order_ids: &[Uuid]| StartWave {
        wave_id: bytes(wave_id),
        warehouse_id: bytes(house.world.warehouse),
        order_ids: order_ids.iter().copied().map(bytes).collect(),
        ..StartWave::default()
    };
    // The server was lost before it put anything into a shipment.
    let started = Command::StartWave(start(&[first, second]));
    let outcome = house.app.office_as(&house.lars, command_id, started).await.expect("is answered");
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    assert_eq!(house.order(first).await.lines[0].assigned_milli, 0);
    let call = async |command: Uuid, wave: StartWave| {
        let request = StartWaveRequest { command_id: bytes(command), wave: Some(wave) };
        let answer = client(&house.app).start_wave(by(&house.lars, request)).await.expect("is answered");
        let answer = answer.into_inner();
        (answer.outcome.expect("an outcome"), answer.wave)
    };
    let mut told = Vec::new();
    for command in [command_id, command_id, other_command] {
        let (outcome, wave) = call(command, start(&[first, second])).await;
        assert!(matches!(outcome.status(), Status::Applied | Status::Duplicate), "{outcome:?}");
        told.push(wave.expect("the wave"));
    }
    assert_eq!((told[0].state(), told[0].lines), (WaveState::Allocated, 2));
    assert!(told.iter().all(|wave| *wave == told[0]), "{told:?}");
    let (outcome, wave) = call(house.app.id(), start(&[second])).await;
    assert_eq!((status(&outcome), wave), ((Status::Rejected, Reason::IdTaken), None));
    assert_eq!(house.app.stored::<Shipment>(house.world.tenant).await.len(), 2, "one for each order");
    for (order, milli) in [(first, 5_000), (second, 3_000)] {
        assert_eq!(house.order(order).await.lines[0].assigned_milli, milli);
    }
    house.closes().await;
}
