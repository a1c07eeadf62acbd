//! What other systems hear: one history in which everything happens that `docs/OPERATIONS.md` lists, and nothing else is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    AnnounceReturn, AnnouncedReturnLine, AnswerChangeRequest, CancelOrder, CancelReturn, CancelTrip, CheckShipment,
    CollectPayment, ConfirmHandIn, CountStock, CountedCash, DecideClaim, DecidedClaimLine, DeliverShipment,
    DeliveredLine, DepartTrip, HandInCash, HoldReason, PaymentMethod, QuarantineDecision, ReceiveReturn,
    ReceivedReturnLine, Reclamation, ReclamationLine, RefusalReason, RegisterOutlet, ReleaseHold, ReleaseQuarantine,
    ReturnOrigin, ReturnReason, ReviewClaim, Scan, SettleClaim, SettlementKind, ShippedLine, ShortReason,
    StockCountLine, TransferLine, TransferStock, Warehouse as Depot,
};
use roundsman_tests::app::TestApp;
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, bytes};
use uuid::Uuid;

use crate::conflicts::order;
use crate::desk::{entry, import};
use crate::shipments::picks;
use crate::trips::{Fleet, close, deliver, load};

on_both_databases!(what_the_manual_lists_is_told_and_nothing_else);

/// What the manual says that others hear.
fn documented() -> BTreeSet<String> {
    let manual = include_str!("../../../docs/OPERATIONS.md");
    let section = manual.split("\n## ").find(|section| section.starts_with("What other systems hear"));
    let rows = section.expect("the manual has the section").lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// What was told, each with the record that it is about.
async fn told(app: &TestApp) -> BTreeSet<(String, Uuid)> {
    let mut tx = app.core.db.read().await.expect("begins");
    let rows: Vec<(String, Uuid)> = tx.query_as("SELECT topic, record FROM outbox").all().await.expect("answers");
    rows.into_iter().collect()
}

/// A topic, and the record of which it is to be told.
type Told = (&'static str, Uuid);

/// Everything that happens to goods, from a rep's order to the books.
struct History {
    fleet: Fleet,
    /// What others are to hear.
    expected: Vec<Told>,
}

fn applied(outcome: &Outcome) {
    assert!(matches!(outcome.status(), Status::Applied | Status::Held), "{outcome:?}");
}

impl History {
    /// An id of the client's.
    fn id(&self) -> Uuid {
        self.fleet.house.app.id()
    }

    async fn office(&self, command: Command) {
        applied(&self.fleet.house.app.office(command).await);
    }

    async fn logistics(&self, command: Command) {
        self.fleet.house.does(command).await;
    }

    async fn rep(&mut self, command: Command) {
        let house = &mut self.fleet.house;
        applied(&house.app.decide(&mut house.anna, command).await);
    }

    async fn driver(&mut self, command: Command) {
        let Fleet { house, dora, .. } = &mut self.fleet;
        applied(&house.app.decide(&mut dora.phone, command).await);
    }

    fn expect(&mut self, record: Uuid, topics: &[&'static str]) {
        self.expected.extend(topics.iter().map(|topic| (*topic, record)));
    }

    /// One order waits for credit, and one that is being picked is called off.
    async fn orders(&mut self) {
        let house = &mut self.fleet.house;
        let (held, submit) = order(&house.app, &house.anna, &house.world, &house.world.anna, &[(3, 101, PRICE_MINOR)]);
        self.rep(Command::SubmitOrder(submit)).await;
        let release = ReleaseHold {
            order_id: bytes(held),
            reason: HoldReason::CreditLimit.into(),
            comment: "they will pay".to_owned(),
            ..ReleaseHold::default()
        };
        self.office(Command::ReleaseHold(release)).await;
        let cancel = CancelOrder { order_id: bytes(held), reason: "they will not".to_owned() };
        self.office(Command::CancelOrder(cancel)).await;
        self.expect(held, &["order.held", "order.confirmed", "order.cancelled"]);
        let called_off = self.fleet.house.released(&[(4, 2, PRICE_MINOR)]).await;
        let shipment = self.fleet.house.prepares(called_off).await;
        let cancel = CancelOrder { order_id: bytes(called_off), reason: "closed".to_owned() };
        self.rep(Command::CancelOrder(cancel)).await;
        let change_request_id = self.fleet.house.order(called_off).await.change_request_id;
        let request = Uuid::from_slice(&change_request_id).expect("a request");
        let accept = AnswerChangeRequest { change_request_id, accept: true, comment: String::new() };
        self.logistics(Command::AnswerChangeRequest(accept)).await;
        self.expect(request, &["order.change_requested", "order.change_answered"]);
        self.expect(shipment, &["shipment.prepared", "shipment.cancelled"]);
        self.expect(called_off, &["order.released", "order.cancelled"]);
    }

    /// An order of five goes with a wave and a trip. Four are picked, and three are taken. Returns its shipment.
    async fn goods(&mut self) -> Uuid {
        let house = &mut self.fleet.house;
        let order = house.released(&[(0, 5, PRICE_MINOR)]).await;
        let wave = house.starts_wave(&[order]).await;
        let shipment = Uuid::from_slice(&house.order(order).await.shipment_id).expect("has one");
        let line_id = house.shipment(shipment).await.lines[0].line_id.clone();
        let short =
            ShippedLine { line_id: line_id.clone(), picked_milli: 4_000, short_reason: ShortReason::NotFound.into() };
        self.logistics(picks(shipment, vec![short.clone()], false)).await;
        self.logistics(picks(shipment, vec![short], true)).await;
        let scans = vec![Scan { barcode: "4000000000000".to_owned(), count: 4 }];
        self.logistics(Command::CheckShipment(CheckShipment { shipment_id: bytes(shipment), scans })).await;
        let [off, trip] = [self.id(), self.id()];
        self.logistics(Command::PlanTrip(self.fleet.plan(off, &self.fleet.emil, &[shipment]))).await;
        let cancel = CancelTrip { trip_id: bytes(off), reason: "The van broke down".to_owned() };
        self.logistics(Command::CancelTrip(cancel)).await;
        self.logistics(Command::PlanTrip(self.fleet.plan(trip, &self.fleet.dora, &[shipment]))).await;
        self.driver(load(shipment)).await;
        self.driver(Command::DepartTrip(DepartTrip { trip_id: bytes(trip) })).await;
        let refused = DeliveredLine {
            line_id,
            delivered_milli: 3_000,
            refused_milli: 1_000,
            refusal_reason: RefusalReason::Damaged.into(),
        };
        let opened = self.id();
        let arrived = DeliverShipment { lines: vec![refused], reclamation_id: bytes(opened), ..deliver(shipment) };
        self.driver(Command::DeliverShipment(arrived)).await;
        self.cash(trip, order).await;
        self.logistics(close(trip, &[(self.fleet.house.world.products[0], 0, 1_000)])).await;
        self.expect(wave, &["wave.started", "wave.allocated"]);
        self.expect(order, &["order.promise_broken", "order.closed"]);
        self.expect(shipment, &SHIPMENT);
        self.expect(off, &["trip.planned", "trip.cancelled"]);
        self.expect(trip, &["trip.planned", "trip.loading", "trip.departed", "trip.closed"]);
        self.expect(opened, &["reclamation.registered"]);
        self.claim(opened).await;
        shipment
    }

    /// The driver takes money, hands it in, and the office counts it.
    async fn cash(&mut self, trip: Uuid, order: Uuid) {
        let world = &self.fleet.house.world;
        let [payment, hand_in] = [self.id(), self.id()];
        let money = CollectPayment {
            payment_id: bytes(payment),
            outlet_id: bytes(world.anna.outlets[0]),
            customer_id: bytes(world.customers[0]),
            order_id: bytes(order),
            amount_minor: 500,
            currency: CURRENCY.to_owned(),
            method: PaymentMethod::Cash.into(),
            trip_id: bytes(trip),
            ..CollectPayment::default()
        };
        self.driver(Command::CollectPayment(money)).await;
        let counted = vec![CountedCash { method: PaymentMethod::Cash.into(), amount_minor: 500 }];
        let evening =
            HandInCash { hand_in_id: bytes(hand_in), currency: CURRENCY.to_owned(), counted, ..HandInCash::default() };
        self.driver(Command::HandInCash(evening)).await;
        let confirm = ConfirmHandIn { hand_in_id: bytes(hand_in), counted_minor: 500, note: String::new() };
        self.office(Command::ConfirmHandIn(confirm)).await;
        self.expect(payment, &["payment.collected"]);
        self.expect(hand_in, &["cash.handed_in", "cash.confirmed"]);
    }

    /// A reclamation goes its way.
    async fn claim(&mut self, id: Uuid) {
        let reclamation_id = bytes(id);
        let review = ReviewClaim { reclamation_id: reclamation_id.clone(), ..ReviewClaim::default() };
        self.logistics(Command::ReviewClaim(review)).await;
        let tenant = self.fleet.house.world.tenant;
        let filed = self.fleet.house.app.stored::<Reclamation>(tenant).await.remove(&id).expect("was opened");
        let accept = |line: &ReclamationLine| DecidedClaimLine {
            line_id: line.line_id.clone(),
            accepted_milli: line.claimed_milli,
        };
        let lines = filed.lines.iter().map(accept).collect();
        let decide = DecideClaim { reclamation_id: reclamation_id.clone(), lines, text: String::new(), as_case: false };
        self.office(Command::DecideClaim(decide)).await;
        let settle = SettleClaim { reclamation_id, kind: SettlementKind::PickUp.into(), ..SettleClaim::default() };
        self.office(Command::SettleClaim(settle)).await;
        self.expect(id, &["reclamation.reviewed", "reclamation.decided", "reclamation.settled"]);
    }

    /// Of what was taken one piece is given back, and is damaged.
    async fn returns(&mut self, shipment: Uuid) {
        let line_id = self.fleet.house.shipment(shipment).await.lines[0].line_id.clone();
        let [back, off] = [self.id(), self.id()];
        for id in [back, off] {
            let line = AnnouncedReturnLine {
                shipment_line_id: line_id.clone(),
                quantity_milli: 1_000,
                reason: ReturnReason::Damaged.into(),
            };
            let announce = AnnounceReturn {
                return_id: bytes(id),
                shipment_id: bytes(shipment),
                lines: vec![line],
                ..AnnounceReturn::default()
            };
            self.rep(Command::AnnounceReturn(announce)).await;
        }
        let cancel = CancelReturn { return_id: bytes(off), reason: "sold after all".to_owned() };
        self.rep(Command::CancelReturn(cancel)).await;
        let line = ReceivedReturnLine {
            shipment_line_id: line_id,
            damaged_milli: 1_000,
            reason: ReturnReason::Damaged.into(),
            ..ReceivedReturnLine::default()
        };
        let receive = ReceiveReturn {
            return_id: bytes(back),
            shipment_id: bytes(shipment),
            origin: ReturnOrigin::GivenBack.into(),
            lines: vec![line],
            ..ReceiveReturn::default()
        };
        self.logistics(Command::ReceiveReturn(receive)).await;
        let world = &self.fleet.house.world;
        let (stock, release) = (
            world.stocks[0],
            ReleaseQuarantine {
                warehouse_id: bytes(world.warehouse),
                product_id: bytes(world.products[0]),
                quantity_milli: 2_000,
                decision: QuarantineDecision::WrittenOff.into(),
            },
        );
        self.logistics(Command::ReleaseQuarantine(release)).await;
        self.expect(back, &["return.announced", "return.received"]);
        self.expect(off, &["return.announced", "return.cancelled"]);
        self.expect(stock, &["quarantine.released"]);
    }

    /// A van is loaded and counted, and a kiosk is found.
    async fn elsewhere(&mut self) {
        let [van, transfer, count, kiosk] = [self.id(), self.id(), self.id(), self.id()];
        let house = &self.fleet.house;
        let (warehouse_id, product_id) = (bytes(house.world.warehouse), bytes(house.world.products[1]));
        let territory_id = bytes(house.world.anna.territory);
        let depot = Depot { name: "Van 7".to_owned(), ..Depot::default() };
        import(&house.app, vec![entry(van, Record::Warehouse(depot))]).await;
        let loaded = TransferStock {
            transfer_id: bytes(transfer),
            from_warehouse_id: warehouse_id,
            to_warehouse_id: bytes(van),
            lines: vec![TransferLine { product_id: product_id.clone(), quantity_milli: 3_000 }],
            ..TransferStock::default()
        };
        self.logistics(Command::TransferStock(loaded)).await;
        let lines = vec![StockCountLine { product_id, counted_milli: 3_000, expected_milli: None }];
        let (count_id, warehouse_id) = (bytes(count), bytes(van));
        self.logistics(Command::CountStock(CountStock { count_id, warehouse_id, lines, comment: String::new() })).await;
        let (outlet_id, name) = (bytes(kiosk), "Kiosk".to_owned());
        self.rep(Command::RegisterOutlet(RegisterOutlet {
            outlet_id,
            territory_id,
            name,
            ..RegisterOutlet::default()
        }))
        .await;
        self.expect(transfer, &["stock.transferred"]);
        self.expect(count, &["stock.counted"]);
        self.expect(kiosk, &["outlet.registered"]);
    }

    /// Nobody decides another shipment's reclamation in time.
    async fn overdue(&mut self) {
        let house = &mut self.fleet.house;
        let order = house.released(&[(1, 2, PRICE_MINOR)]).await;
        let shipment = house.prepares(order).await;
        house.ships(shipment, Vec::new()).await;
        let line_id = house.shipment(shipment).await.lines[0].line_id.clone();
        let short = DeliveredLine { line_id, delivered_milli: 1_000, ..DeliveredLine::default() };
        let opened = house.app.id();
        let arrived = DeliverShipment { lines: vec![short], reclamation_id: bytes(opened), ..deliver(shipment) };
        house.does(Command::DeliverShipment(arrived)).await;
        house.app.pass(8 * 24 * 60);
        Jobs::new(Arc::clone(&house.app.core)).run_due(house.world.tenant).await.expect("runs");
        self.expect(opened, &["reclamation.registered", "reclamation.overdue"]);
    }
}

/// What becomes of a shipment, in order.
const SHIPMENT: [&str; 7] = [
    "shipment.prepared",
    "shipment.picking",
    "shipment.picked",
    "shipment.checked",
    "shipment.loaded",
    "shipment.shipped",
    "shipment.delivered",
];

async fn what_the_manual_lists_is_told_and_nothing_else(kind: Kind) {
    let mut history = History { fleet: Fleet::make(kind).await, expected: Vec::new() };
    history.orders().await;
    let shipment = history.goods().await;
    history.returns(shipment).await;
    history.elsewhere().await;
    history.overdue().await;
    let told = told(&history.fleet.house.app).await;
    for (topic, record) in &history.expected {
        assert!(told.contains(&((*topic).to_owned(), *record)), "{topic} of {record} was not told");
    }
    let topics: BTreeSet<String> = told.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, documented());
    history.fleet.closes().await;
}
