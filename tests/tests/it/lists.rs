//! The lists of logistics: whatever they are filtered by, each record comes once, in order, and no page is read by walking years.

use std::collections::BTreeMap;

use roundsman::projection::{self, GoodsReturnFilter, OrderFilter, ShipmentFilter, StockFilter, WaveFilter};
use roundsman::store::sql::Tx;
use roundsman::store::{record, watched};
use roundsman::workspace::{Change, Stored};
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::{ListOrdersRequest, ListShipmentsRequest, ListWavesRequest};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    CancelShipment, GoodsReturn, Order, OrderLine, OrderStatus, PlanTrip, PrepareShipment, Rep, ReturnState, Shipment,
    ShipmentLine, ShipmentState, ShortageRule, StockCount, StockTransfer, Vehicle, Wave, WaveState,
};
use roundsman_sync::trade::order::fulfil::{is_to_ship, order_of};
use roundsman_tests::app::TODAY;
use roundsman_tests::asked::Asked;
use roundsman_tests::database::{Database, Kind};
use roundsman_tests::world::{PRICE_MINOR, bytes};
use tonic::Code;
use uuid::Uuid;

use crate::desk::{by, entry, import};
use crate::logistics::client;
use crate::shipments::Warehouse;

on_both_databases!(
    orders_and_shipments_are_found_by_what_they_go_with,
    waves_come_newest_first,
    pages_are_read_by_their_index,
);

/// A day of the warehouse: orders that nothing was done with, alone and together in shipments, in a wave, on a trip, and called off.
struct Day {
    house: Warehouse,
    together: [Uuid; 2],
    wave: Uuid,
    trip: Uuid,
}

impl Day {
    async fn make(kind: Kind) -> Self {
        let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
        house.submitted(&[(0, 1, PRICE_MINOR)]).await;
        let mut orders = Vec::new();
        for _ in 0..6 {
            orders.push(house.released(&[(0, 1, PRICE_MINOR)]).await);
            // Each is prepared at a moment of its own.
            house.app.pass(1);
        }
        let together = [orders[0], orders[1]];
        let more_order_ids = vec![bytes(together[1])];
        let (order_id, shipment_id) = (bytes(together[0]), bytes(house.app.id()));
        let prepare = PrepareShipment { order_id, shipment_id, more_order_ids, ..PrepareShipment::default() };
        house.does(Command::PrepareShipment(prepare)).await;
        house.app.pass(1);
        let wave = house.starts_wave(&orders[2..4]).await;
        house.app.pass(1);
        let shipment = house.prepares(orders[4]).await;
        let cancel = CancelShipment { shipment_id: bytes(shipment), reason: "a flood".to_owned() };
        house.does(Command::CancelShipment(cancel)).await;
        house.app.pass(1);
        let shipment = house.prepares(orders[4]).await;
        let trip = plan_trip(&house, shipment).await;
        Self { house, together, wave, trip }
    }

    async fn shipments(&self, request: ListShipmentsRequest) -> Vec<(Uuid, Shipment)> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListShipmentsRequest { page_token, ..request.clone() };
            let answer = client(&self.house.app).list_shipments(by(&self.house.lars, request)).await;
            let answer = answer.expect("is answered").into_inner();
            let listed = answer.shipments.into_iter();
            found.extend(listed.map(|of| (id(&of.shipment_id), of.shipment.expect("a document"))));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    async fn orders(&self, request: ListOrdersRequest) -> Vec<(Uuid, Order)> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListOrdersRequest { page_token, ..request.clone() };
            let answer = client(&self.house.app).list_orders(by(&self.house.lars, request)).await;
            let answer = answer.expect("is answered").into_inner();
            let listed = answer.orders.into_iter();
            found.extend(listed.map(|of| (id(&of.order_id), of.order.expect("a document"))));
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }
}

fn id(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("an id")
}

async fn plan_trip(house: &Warehouse, shipment: Uuid) -> Uuid {
    let (trip, vehicle, driver) = (house.app.id(), house.app.id(), house.app.id());
    let dora = Rep { name: "dora".to_owned(), team_id: bytes(house.world.team), ..Rep::default() };
    let van = Vehicle { name: "Van 1".to_owned(), ..Vehicle::default() };
    import(&house.app, vec![entry(vehicle, Record::Vehicle(van)), entry(driver, Record::Rep(dora))]).await;
    house.app.user("dora", Role::Driver, Some(driver), None).await;
    let plan = PlanTrip {
        trip_id: bytes(trip),
        vehicle_id: bytes(vehicle),
        driver_id: bytes(driver),
        warehouse_id: bytes(house.world.warehouse),
        day: TODAY,
        shipment_ids: vec![bytes(shipment)],
        ..PlanTrip::default()
    };
    house.does(Command::PlanTrip(plan)).await;
    trip
}

fn holds(shipment: &Shipment, order: &[u8]) -> bool {
    shipment.lines.iter().any(|line| order_of(shipment, line) == order)
}

fn wanted_shipment(request: &ListShipmentsRequest, shipment: &Shipment) -> bool {
    let same = |wanted: &Vec<u8>, is: &Vec<u8>| wanted.is_empty() || wanted == is;
    (request.state == 0 || request.state == shipment.state)
        && same(&request.warehouse_id, &shipment.warehouse_id)
        && same(&request.outlet_id, &shipment.outlet_id)
        && same(&request.wave_id, &shipment.wave_id)
        && same(&request.trip_id, &shipment.trip_id)
        && (request.order_id.is_empty() || holds(shipment, &request.order_id))
        && (!request.without_trip || shipment.trip_id.is_empty())
}

fn wanted_order(request: &ListOrdersRequest, order: &Order) -> bool {
    let same = |wanted: &Vec<u8>, is: &Vec<u8>| wanted.is_empty() || wanted == is;
    (request.status == 0 || request.status == order.status)
        && same(&request.warehouse_id, &order.warehouse_id)
        && same(&request.outlet_id, &order.outlet_id)
        && same(&request.customer_id, &order.customer_id)
        && (!request.to_ship || is_to_ship(order))
}

async fn orders_and_shipments_are_found_by_what_they_go_with(kind: Kind) {
    let day = Day::make(kind).await;
    let (app, world) = (&day.house.app, &day.house.world);
    let (nothing, nowhere) = (Vec::new(), bytes(app.id()));
    let any = ListShipmentsRequest::default();
    let of_order = |order: Uuid| ListShipmentsRequest { order_id: bytes(order), ..any.clone() };
    let mut requests = vec![any.clone(), of_order(day.together[0]), of_order(day.together[1]), of_order(app.id())];
    for warehouse_id in [nothing.clone(), bytes(world.warehouse), nowhere.clone()] {
        for state in [ShipmentState::Unspecified, ShipmentState::Prepared, ShipmentState::Delivered] {
            let base = ListShipmentsRequest { state: state.into(), warehouse_id: warehouse_id.clone(), ..any.clone() };
            requests.extend([
                ListShipmentsRequest { outlet_id: bytes(world.anna.outlets[0]), ..base.clone() },
                ListShipmentsRequest { wave_id: bytes(day.wave), ..base.clone() },
                ListShipmentsRequest { trip_id: bytes(day.trip), ..base.clone() },
                ListShipmentsRequest { without_trip: true, ..base.clone() },
                base,
            ]);
        }
    }
    let stored: BTreeMap<Uuid, Shipment> = app.stored(world.tenant).await;
    assert_eq!(stored.len(), 5);
    let mut numbers = std::collections::BTreeSet::new();
    for request in requests {
        let mut expected: Vec<(Uuid, Shipment)> = stored.clone().into_iter().collect();
        expected.retain(|(_, shipment)| wanted_shipment(&request, shipment));
        expected.sort_by_key(|(id, shipment)| std::cmp::Reverse((shipment.prepared_at_us, *id)));
        numbers.insert(expected.len());
        for page_size in [1, 2, 0] {
            let request = ListShipmentsRequest { page_size, ..request.clone() };
            assert_eq!(day.shipments(request.clone()).await, expected, "{request:?}");
        }
    }
    assert!(numbers.len() > 4, "the filters tell shipments apart: {numbers:?}");

    let any = ListOrdersRequest::default();
    let stored: BTreeMap<Uuid, Order> = app.stored(world.tenant).await;
    let to_ship = stored.values().filter(|order| is_to_ship(order)).count();
    assert_eq!((stored.len(), to_ship), (7, 1), "one is released and in no shipment");
    for warehouse_id in [nothing.clone(), bytes(world.warehouse), nowhere.clone()] {
        for status in [OrderStatus::Unspecified, OrderStatus::Confirmed, OrderStatus::Released, OrderStatus::Closed] {
            let base = ListOrdersRequest { status: status.into(), warehouse_id: warehouse_id.clone(), ..any.clone() };
            let requests = [
                ListOrdersRequest { outlet_id: bytes(world.anna.outlets[0]), ..base.clone() },
                ListOrdersRequest { outlet_id: nowhere.clone(), ..base.clone() },
                ListOrdersRequest { customer_id: bytes(world.customers[0]), ..base.clone() },
                ListOrdersRequest { to_ship: true, ..base.clone() },
                base,
            ];
            for request in requests {
                let mut expected: Vec<(Uuid, Order)> = stored.clone().into_iter().collect();
                expected.retain(|(_, order)| wanted_order(&request, order));
                expected.sort_by_key(|(id, order)| (order.delivery_day, *id));
                for page_size in [1, 0] {
                    let request = ListOrdersRequest { page_size, ..request.clone() };
                    assert_eq!(day.orders(request.clone()).await, expected, "{request:?}");
                }
            }
        }
    }
    what_is_wrong_is_refused(&day).await;
    day.house.closes().await;
}

async fn what_is_wrong_is_refused(day: &Day) {
    let (app, lars) = (&day.house.app, &day.house.lars);
    let any = ListShipmentsRequest::default();
    let first = ListShipmentsRequest { page_size: 1, ..any.clone() };
    let page_token = client(app).list_shipments(by(lars, first)).await.expect("answers").into_inner().next_page_token;
    let wrong = [
        ListShipmentsRequest { page_token, trip_id: bytes(day.trip), ..any.clone() },
        ListShipmentsRequest { trip_id: bytes(day.trip), without_trip: true, ..any.clone() },
        ListShipmentsRequest { state: 99, ..any.clone() },
        ListShipmentsRequest { order_id: vec![7; 1 << 20], ..any.clone() },
        ListShipmentsRequest { wave_id: vec![0; 16], ..any.clone() },
        ListShipmentsRequest { outlet_id: vec![7; 15], ..any },
    ];
    for request in wrong {
        let refused = client(app).list_shipments(by(lars, request)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}

async fn waves_come_newest_first(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    for _ in 0..3 {
        let order = house.released(&[(0, 1, PRICE_MINOR)]).await;
        house.starts_wave(&[order]).await;
        house.app.pass(1);
    }
    let stored: BTreeMap<Uuid, Wave> = house.app.stored(house.world.tenant).await;
    let mut all: Vec<(Uuid, Wave)> = stored.into_iter().collect();
    all.sort_by_key(|(_, wave)| std::cmp::Reverse(wave.started_at_us));
    let any = ListWavesRequest::default();
    let (here, nowhere) = (bytes(house.world.warehouse), bytes(house.app.id()));
    let requests = [
        (any.clone(), 3),
        (ListWavesRequest { warehouse_id: here.clone(), ..any.clone() }, 3),
        (ListWavesRequest { warehouse_id: nowhere, ..any.clone() }, 0),
        (ListWavesRequest { state: WaveState::Allocated.into(), warehouse_id: here, ..any.clone() }, 3),
        (ListWavesRequest { state: WaveState::Allocating.into(), ..any }, 0),
    ];
    for (request, number) in requests {
        for page_size in [1, 2, 0] {
            let (mut found, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = ListWavesRequest { page_size, page_token, ..request.clone() };
                let answer = client(&house.app).list_waves(by(&house.lars, request)).await.expect("is answered");
                let answer = answer.into_inner();
                found.extend(answer.waves.into_iter().map(|of| (id(&of.wave_id), of.wave.expect("a document"))));
                page_token = answer.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(found, all[..number], "{request:?}");
        }
    }
    house.closes().await;
}

const TENANT: i64 = 1;
/// Records of a kind.
const RECORDS: u128 = 20_000;

fn stored<R: roundsman_sync::kind::Record>(number: u128, record: &R) -> Change {
    let (kind, document) = (i64::from(R::KIND as i32), record.encode_to_vec().into());
    let after = Stored { kind, version: 1, document, stamps: bytes::Bytes::new(), removed_at_us: None, survivor: None };
    Change { id: Uuid::from_u128(number), before: None, after }
}

fn some(number: u128, of: u128) -> Vec<u8> {
    bytes(Uuid::from_u128(1 + number % of))
}

/// Years of a distributor with two warehouses.
fn history(number: u128) -> [Change; 6] {
    let moment = i64::try_from(number).expect("is small");
    let open = number.is_multiple_of(200);
    let order = Order {
        outlet_id: some(number, 300),
        customer_id: some(number, 250),
        warehouse_id: some(number, 2),
        delivery_day: i32::try_from(number / 20).expect("is small"),
        status: if open { OrderStatus::Released } else { OrderStatus::Closed }.into(),
        lines: vec![OrderLine { confirmed_milli: 1_000, ..OrderLine::default() }],
        ..Order::default()
    };
    let shipment = Shipment {
        order_id: bytes(Uuid::from_u128(number)),
        outlet_id: some(number, 300),
        warehouse_id: some(number, 2),
        wave_id: some(number / 50, 1_000),
        trip_id: if open { Vec::new() } else { some(number / 20, 2_000) },
        state: if open { ShipmentState::Prepared } else { ShipmentState::Delivered }.into(),
        lines: vec![ShipmentLine::default()],
        prepared_at_us: moment,
        ..Shipment::default()
    };
    let wave = Wave {
        warehouse_id: some(number, 2),
        state: if open { WaveState::Allocating } else { WaveState::Allocated }.into(),
        started_at_us: moment,
        ..Wave::default()
    };
    let [back, transfer, count] = goods(number, moment);
    let (shipment, wave) = (stored(RECORDS + number, &shipment), stored(2 * RECORDS + number, &wave));
    [stored(number, &order), shipment, wave, back, transfer, count]
}

/// What came back, was brought from warehouse to warehouse, and was counted.
fn goods(number: u128, moment: i64) -> [Change; 3] {
    let is_open = number.is_multiple_of(200);
    let back = GoodsReturn {
        shipment_id: bytes(Uuid::from_u128(RECORDS + number)),
        outlet_id: some(number, 300),
        customer_id: some(number, 250),
        warehouse_id: if is_open { Vec::new() } else { some(number, 2) },
        state: if is_open { ReturnState::Announced } else { ReturnState::Received }.into(),
        announced_at_us: moment,
        received_at_us: if is_open { 0 } else { moment },
        ..GoodsReturn::default()
    };
    let transfer = StockTransfer {
        from_warehouse_id: some(number, 2),
        to_warehouse_id: some(number, 50),
        moved_at_us: moment,
        ..StockTransfer::default()
    };
    let count = StockCount { warehouse_id: some(number, 50), counted_at_us: moment, ..StockCount::default() };
    [stored(3 * RECORDS + number, &back), stored(4 * RECORDS + number, &transfer), stored(5 * RECORDS + number, &count)]
}

/// Asks for a page of each sort, and says by which index each is to be read.
async fn ask(tx: &mut Tx) -> Vec<&'static str> {
    let (one, first, last) = (Some(Uuid::from_u128(1)), (i64::MIN, Uuid::nil()), (i64::MAX, Uuid::max()));
    let mut indexes = Vec::new();
    let through_delivery_day = i64::MAX;
    let any = OrderFilter {
        status: None,
        through_delivery_day,
        warehouse: None,
        outlet: None,
        customer: None,
        to_ship: false,
    };
    let orders = [
        (any, "sales_order_by_delivery"),
        (OrderFilter { status: Some(OrderStatus::Released), warehouse: one, ..any }, "sales_order_by_status"),
        (OrderFilter { status: Some(OrderStatus::Closed), warehouse: one, ..any }, "sales_order_by_warehouse"),
        (OrderFilter { outlet: one, status: Some(OrderStatus::Closed), ..any }, "sales_order_by_outlet"),
        (OrderFilter { customer: one, ..any }, "sales_order_by_customer"),
        (OrderFilter { to_ship: true, warehouse: one, ..any }, "sales_order_by_status"),
    ];
    for (filter, index) in orders {
        projection::orders(tx, TENANT, &filter, first, 100).await.expect("answers");
        indexes.push(index);
    }
    let any = ShipmentFilter {
        state: None,
        warehouse: None,
        outlet: None,
        order: None,
        wave: None,
        trip: None,
        without_trip: false,
    };
    let shipments = [
        (any, "shipment_by_preparation"),
        (ShipmentFilter { state: Some(ShipmentState::Prepared), warehouse: one, ..any }, "shipment_by_state"),
        (ShipmentFilter { state: Some(ShipmentState::Delivered), warehouse: one, ..any }, "shipment_by_warehouse"),
        (ShipmentFilter { outlet: one, ..any }, "shipment_by_outlet"),
        (ShipmentFilter { wave: one, ..any }, "shipment_by_wave"),
        (ShipmentFilter { trip: one, ..any }, "shipment_by_trip"),
        (ShipmentFilter { without_trip: true, ..any }, "shipment_without_trip"),
        (ShipmentFilter { order: one, ..any }, "shipment_line_by_order"),
    ];
    for (filter, index) in shipments {
        projection::shipments(tx, TENANT, &filter, last, 100).await.expect("answers");
        indexes.push(index);
    }
    let any = WaveFilter { state: None, warehouse: None };
    let waves = [
        (any, "wave_by_start"),
        (WaveFilter { state: Some(WaveState::Allocating), warehouse: one }, "wave_by_state"),
        (WaveFilter { warehouse: one, ..any }, "wave_by_warehouse"),
    ];
    for (filter, index) in waves {
        projection::waves(tx, TENANT, &filter, last, 100).await.expect("answers");
        indexes.push(index);
    }
    indexes.extend(ask_of_goods(tx).await);
    // What has changed since an early version, of one kind.
    watched::changes(tx, TENANT, [0, 0, 0, 0, 31, 0, 0], (7, Uuid::max()), 100).await.expect("answers");
    indexes.push("record_change");
    indexes
}

/// The same of goods that move without an order.
async fn ask_of_goods(tx: &mut Tx) -> Vec<&'static str> {
    let (one, first, last) = (Some(Uuid::from_u128(1)), (i64::MIN, Uuid::nil()), (i64::MAX, Uuid::max()));
    let (any, later) = ((i64::MIN, i64::MAX), (15_000, 15_100));
    let all =
        GoodsReturnFilter { state: None, warehouse: None, outlet: None, customer: None, shipment: None, moments: any };
    let returns = [
        (all, "goods_return_by_report"),
        (GoodsReturnFilter { moments: later, warehouse: one, ..all }, "goods_return_by_report"),
        (GoodsReturnFilter { state: Some(ReturnState::Announced), warehouse: one, ..all }, "goods_return_by_state"),
        (GoodsReturnFilter { outlet: one, moments: later, ..all }, "goods_return_by_outlet"),
        (GoodsReturnFilter { customer: one, ..all }, "goods_return_by_customer"),
        (GoodsReturnFilter { shipment: one, outlet: one, ..all }, "goods_return_by_shipment"),
    ];
    let mut indexes = Vec::new();
    for (filter, index) in returns {
        projection::goods_returns(tx, TENANT, &filter, first, 100).await.expect("answers");
        indexes.push(index);
    }
    for filter in [StockFilter { warehouse: None, moments: any }, StockFilter { warehouse: one, moments: later }] {
        projection::stock_transfers(tx, TENANT, &filter, last, 100).await.expect("answers");
        projection::stock_counts(tx, TENANT, &filter, last, 100).await.expect("answers");
        indexes.extend(["stock_transfer_by_move", "stock_count_by_count"]);
    }
    indexes
}

async fn pages_are_read_by_their_index(kind: Kind) {
    let database = Database::create(kind).await;
    let db = roundsman::store::sql::Db::connect(&database.url).await.expect("connects");
    db.migrate().await.expect("migrates");
    let mut tx = db.write().await.expect("begins");
    for from in (0..RECORDS).step_by(1_000) {
        let changes: Vec<Change> = (from..from + 1_000).flat_map(history).collect();
        let mut rows = projection::of(TENANT, &changes).expect("is projected").rows;
        rows.push(record::rows(TENANT, &changes));
        tx.write(rows).await.expect("is written");
    }
    tx.commit().await.expect("commits");
    for analyzed in [false, true] {
        let mut tx = db.write().await.expect("begins");
        if analyzed {
            tx.query("ANALYZE").execute().await.expect("gathers");
            tx.commit().await.expect("commits");
            tx = db.write().await.expect("begins");
        }
        let asked = Asked::listen();
        let indexes = ask(&mut tx).await;
        for (sql, index) in asked.take().iter().zip(indexes) {
            let plan = tx.explain(sql).await.expect("is explained");
            let found = plan.iter().any(|step| step.contains(index));
            // What one order has is put in order, which is little.
            let sorts = index != "shipment_line_by_order"
                && plan.iter().any(|step| step.contains("Sort") || step.contains("TEMP B-TREE"));
            let walks = plan.iter().any(|step| step.contains("Seq Scan") || step.contains("Bitmap"));
            assert!(found && !sorts && !walks, "analyzed: {analyzed}, {index}: {sql}\n{plan:#?}");
        }
    }
    db.close().await;
    database.remove().await;
}
