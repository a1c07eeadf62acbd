//! Stock that changes its place without an order: vans are loaded, unloaded and counted, and their reps see what they have.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, CancelOrder, CountStock, DeliveryProof, Fulfilment, Order, OrderStatus, Reason, SellFromVan, SetStock,
    Shipment, ShipmentState, ShortageRule, Stock, StockCount, StockCountLine, StockToSet, StockTransfer, SubmitOrder,
    TransferLine, TransferStock, Warehouse,
};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{ON_HAND_MILLI, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::cash::announced;
use crate::conflicts::{counted, done, order, ready, status};
use crate::desk::{entry, import};
use crate::goods::exact;

on_both_databases!(
    a_van_is_loaded_and_its_rep_sees_exactly_what_it_has,
    c34_what_is_promised_is_not_taken_away_unless_logistics_says_so,
    c11_who_waits_gets_what_is_unloaded,
    a_rep_counts_his_own_van_and_no_other,
    a_van_that_changes_hands_is_seen_by_its_new_rep,
    what_is_sold_from_the_van_is_delivered_at_once,
    what_would_hold_an_order_flags_a_sale,
    a_sale_that_makes_no_sense_is_refused_and_changes_nothing,
    a_driver_counts_his_own_van,
    a_figure_of_before_a_count_or_a_transfer_says_nothing,
);

/// A warehouse, and the van of a rep.
pub(crate) struct Yard {
    pub(crate) app: TestApp,
    pub(crate) world: World,
    anna: TestDevice,
    pub(crate) lars: String,
    pub(crate) van: Uuid,
}

impl Yard {
    pub(crate) async fn make(kind: Kind) -> Self {
        let (app, world, anna) = ready(kind).await;
        app.user("lars", Role::Logistics, None, None).await;
        let lars = app.token("lars").await;
        let van = app.id();
        let yard = Self { app, world, anna, lars, van };
        yard.drives(yard.world.anna.rep).await;
        yard
    }

    /// The van is this rep's.
    async fn drives(&self, rep: Uuid) {
        let van = Warehouse { name: "Van 7".to_owned(), rep_id: bytes(rep), ..Warehouse::default() };
        import(&self.app, vec![entry(self.van, Record::Warehouse(van))]).await;
    }

    pub(crate) fn transfer(&self, from: Uuid, to: Uuid, quantity_milli: i64) -> TransferStock {
        TransferStock {
            transfer_id: bytes(self.app.id()),
            from_warehouse_id: bytes(from),
            to_warehouse_id: bytes(to),
            lines: vec![TransferLine { product_id: bytes(self.world.products[0]), quantity_milli }],
            ..TransferStock::default()
        }
    }

    pub(crate) fn loads(&self, quantity_milli: i64) -> TransferStock {
        self.transfer(self.world.warehouse, self.van, quantity_milli)
    }

    pub(crate) async fn asks(&self, command: Command) -> Outcome {
        self.app.office_as(&self.lars, self.app.id(), command).await.expect("logistics is answered")
    }

    pub(crate) async fn moves(&self, transfer: TransferStock) {
        let outcome = self.asks(Command::TransferStock(transfer)).await;
        assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    }

    pub(crate) fn count(&self, counted_milli: i64) -> CountStock {
        let product_id = bytes(self.world.products[0]);
        let lines = vec![StockCountLine { product_id, counted_milli, expected_milli: None }];
        let (count_id, warehouse_id) = (bytes(self.app.id()), bytes(self.van));
        CountStock { count_id, warehouse_id, lines, comment: String::new() }
    }

    /// What a device sees of the van.
    fn seen(&self, device: &TestDevice, id: Uuid) -> Option<(i64, i64)> {
        let stock: Option<Stock> = self.app.shown(device, id);
        stock.map(|stock| (stock.on_hand_milli, stock.free_milli))
    }

    /// The stock record of the van.
    async fn in_van(&self) -> (Uuid, Stock) {
        let stocks = self.app.stored::<Stock>(self.world.tenant).await;
        stocks.into_iter().find(|(_, stock)| stock.warehouse_id == bytes(self.van)).expect("the van has stock")
    }

    /// What anna sells out of the van, for so much a piece.
    fn sells(&self, pieces: i64, price_minor: i64) -> SellFromVan {
        let lines = [(0, pieces, price_minor)];
        let (_, submit) = order(&self.app, &self.anna, &self.world, &self.world.anna, &lines);
        let order = Some(SubmitOrder { delivery_day: 0, ..submit });
        let (shipment_id, warehouse_id) = (bytes(self.app.id()), bytes(self.van));
        SellFromVan { order, shipment_id, warehouse_id, proof: None }
    }

    /// The order and the shipment of a sale, as they are stored.
    async fn sold(&self, sale: &SellFromVan) -> (Order, Shipment) {
        let id = |id: &[u8]| Uuid::from_slice(id).expect("an id");
        let order_id = &sale.order.as_ref().expect("something was sold").order_id;
        let order = self.app.stored::<Order>(self.world.tenant).await.remove(&id(order_id)).expect("the order");
        let shipments = self.app.stored::<Shipment>(self.world.tenant).await;
        (order, shipments[&id(&sale.shipment_id)].clone())
    }

    pub(crate) async fn closes(mut self) {
        done(self.app, &self.world, &mut self.anna).await;
    }
}

fn fact(outcome: &Outcome, name: &str) -> String {
    outcome.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone()).unwrap_or_default()
}

async fn a_van_is_loaded_and_its_rep_sees_exactly_what_it_has(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    let load = yard.loads(123_000);
    yard.moves(load.clone()).await;
    let again = yard.asks(Command::TransferStock(load.clone())).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo), "exactly once");
    let id = Uuid::from_slice(&load.transfer_id).expect("an id");
    let other = TransferStock { lines: yard.loads(1).lines, ..load };
    assert_eq!(yard.asks(Command::TransferStock(other)).await.reason(), Reason::IdTaken);
    assert_eq!(yard.app.stored::<StockTransfer>(yard.world.tenant).await.len(), 1);
    assert_eq!(announced(&yard.app, "stock.transferred", id).await, 1);
    yard.app.sync(&mut yard.anna).await;
    let (stock, _) = yard.in_van().await;
    assert_eq!(yard.seen(&yard.anna, stock), Some((123_000, 123_000)), "to the piece");
    yard.moves(yard.transfer(yard.van, yard.world.warehouse, 1_000)).await;
    yard.app.sync(&mut yard.anna).await;
    assert_eq!(yard.seen(&yard.anna, stock), Some((122_000, 122_000)));
    let main = yard.app.stored::<Stock>(yard.world.tenant).await[&yard.world.stocks[0]].clone();
    assert_eq!(main.free_milli, 370_000, "in steps, of {}", ON_HAND_MILLI - 122_000);
    yard.closes().await;
}

async fn c34_what_is_promised_is_not_taken_away_unless_logistics_says_so(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    counted(&yard.app, &yard.world, 0, 10_000).await;
    let (id, submit) = order(&yard.app, &yard.anna, &yard.world, &yard.world.anna, &[(0, 7, PRICE_MINOR)]);
    assert_eq!(yard.app.decide(&mut yard.anna, Command::SubmitOrder(submit)).await.status(), Status::Applied);
    let refused = yard.asks(Command::TransferStock(yard.loads(4_000))).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::StockNotFree), "{refused:?}");
    assert_eq!(
        (fact(&refused, "free_milli"), fact(&refused, "on_hand_milli")),
        ("3000".to_owned(), "10000".to_owned())
    );
    yard.moves(yard.loads(3_000)).await;
    yard.moves(TransferStock { promised: true, ..yard.loads(2_000) }).await;
    let more = yard.asks(Command::TransferStock(TransferStock { promised: true, ..yard.loads(6_000) })).await;
    assert_eq!(status(&more), (Status::Rejected, Reason::StockNotFree), "more than lies there");
    let kept = yard.app.stored::<Order>(yard.world.tenant).await.remove(&id).expect("the order");
    assert_eq!(kept.lines[0].confirmed_milli, 7_000, "a promise is a promise");
    let within = yard.asks(Command::TransferStock(yard.transfer(yard.van, yard.van, 1_000))).await;
    assert_eq!(status(&within), (Status::Rejected, Reason::Mismatch));
    let trespass = yard.loads(1_000);
    let trespass = yard.app.decide(&mut yard.anna, Command::TransferStock(trespass)).await;
    assert_eq!(status(&trespass), (Status::Rejected, Reason::RoleNotAllowed));
    yard.closes().await;
}

async fn c11_who_waits_gets_what_is_unloaded(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(5_000)).await;
    counted(&yard.app, &yard.world, 0, 0).await;
    let terms = Agreement { shortage_rule: ShortageRule::BackOrder.into(), ..yard.world.agreement(0) };
    import(&yard.app, vec![entry(yard.world.agreements[0], Record::Agreement(terms))]).await;
    yard.app.sync(&mut yard.anna).await;
    let (id, submit) = order(&yard.app, &yard.anna, &yard.world, &yard.world.anna, &[(0, 4, PRICE_MINOR)]);
    yard.app.decide(&mut yard.anna, Command::SubmitOrder(submit)).await;
    yard.moves(yard.transfer(yard.van, yard.world.warehouse, 3_000)).await;
    let served = yard.app.stored::<Order>(yard.world.tenant).await.remove(&id).expect("the order");
    assert_eq!(served.lines[0].reserved_milli, 3_000);
    yard.closes().await;
}

async fn a_rep_counts_his_own_van_and_no_other(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(10_000)).await;
    yard.app.sync(&mut yard.anna).await;
    let count = yard.count(8_000);
    let id = Uuid::from_slice(&count.count_id).expect("an id");
    let differs = yard.app.decide(&mut yard.anna, Command::CountStock(count.clone())).await;
    assert_eq!(status(&differs), (Status::Applied, Reason::StockDiffers), "{differs:?}");
    assert_eq!(fact(&differs, "expected_milli"), "10000");
    let again = yard.asks(Command::CountStock(count)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    let told: StockCount = yard.app.shown(&yard.anna, id).expect("the rep holds it");
    assert_eq!((told.lines[0].expected_milli, told.rep_id), (Some(10_000), bytes(yard.world.anna.rep)));
    let (stock, _) = yard.in_van().await;
    assert_eq!(yard.seen(&yard.anna, stock), Some((8_000, 8_000)));
    let right = yard.asks(Command::CountStock(yard.count(8_000))).await;
    assert_eq!(status(&right), (Status::Applied, Reason::Unspecified), "nothing differs");
    let mut boris = yard.app.device("boris").await;
    yard.app.sync(&mut boris).await;
    let of_another = yard.app.decide(&mut boris, Command::CountStock(yard.count(1_000))).await;
    assert_eq!(status(&of_another), (Status::Rejected, Reason::NotInScope));
    let of_none = CountStock { warehouse_id: bytes(yard.world.warehouse), ..yard.count(1_000) };
    let of_none = yard.app.decide(&mut yard.anna, Command::CountStock(of_none)).await;
    assert_eq!(status(&of_none), (Status::Rejected, Reason::NotInScope));
    let negative = yard.asks(Command::CountStock(yard.count(-1))).await;
    assert_eq!(status(&negative), (Status::Rejected, Reason::OutOfRange));
    assert_eq!(yard.in_van().await.1.on_hand_milli, 8_000);
    yard.closes().await;
}

async fn a_van_that_changes_hands_is_seen_by_its_new_rep(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(10_000)).await;
    let (stock, _) = yard.in_van().await;
    let mut boris = yard.app.device("boris").await;
    yard.app.sync(&mut boris).await;
    assert_eq!(yard.seen(&boris, stock), None);
    yard.drives(yard.world.boris.rep).await;
    yard.app.sync(&mut boris).await;
    yard.app.sync(&mut yard.anna).await;
    assert_eq!((yard.seen(&boris, stock), yard.seen(&yard.anna, stock)), (Some((10_000, 10_000)), None));
    yard.app.assert_converged(&boris, &yard.world.caller(&yard.world.boris)).await;
    yard.closes().await;
}

async fn what_is_sold_from_the_van_is_delivered_at_once(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(10_000)).await;
    yard.app.sync(&mut yard.anna).await;
    let proof = DeliveryProof { received_by: "Olga".to_owned(), ..DeliveryProof::default() };
    let sale = SellFromVan { proof: Some(proof), ..yard.sells(3, PRICE_MINOR) };
    let outcome = yard.app.decide(&mut yard.anna, Command::SellFromVan(sale.clone())).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let (order, shipment) = yard.sold(&sale).await;
    assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Closed, Fulfilment::Delivered));
    let line = &order.lines[0];
    assert_eq!((line.confirmed_milli, line.shipped_milli, line.delivered_milli), (3_000, 3_000, 3_000));
    assert_eq!((order.value_minor, order.warehouse_id), (3 * PRICE_MINOR, bytes(yard.van)));
    assert_eq!((order.promised_day, order.broken_promises), (order.order_day, 0), "nothing is promised for later");
    assert_eq!((shipment.state(), shipment.lines[0].delivered_milli), (ShipmentState::Delivered, 3_000));
    assert_eq!(shipment.proof.expect("it was taken").received_by, "Olga");
    yard.app.sync(&mut yard.anna).await;
    let (stock, _) = yard.in_van().await;
    assert_eq!(yard.seen(&yard.anna, stock), Some((7_000, 7_000)), "to the piece");
    let shipment_id = Uuid::from_slice(&sale.shipment_id).expect("an id");
    assert!(yard.app.shown::<Shipment>(&yard.anna, shipment_id).is_some(), "claims hang on it");
    assert_eq!(announced(&yard.app, "shipment.delivered", shipment_id).await, 1);
    let order_id = Uuid::from_slice(&shipment.order_id).expect("an id");
    assert_eq!(announced(&yard.app, "order.closed", order_id).await, 1);
    let again = yard.app.decide(&mut yard.anna, Command::SellFromVan(sale.clone())).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo), "exactly once");
    let other = SellFromVan { shipment_id: bytes(yard.app.id()), ..sale.clone() };
    let other = yard.app.decide(&mut yard.anna, Command::SellFromVan(other)).await;
    assert_eq!(status(&other), (Status::Rejected, Reason::IdTaken));
    let next = SellFromVan { shipment_id: sale.shipment_id, ..yard.sells(1, PRICE_MINOR) };
    let next = yard.app.decide(&mut yard.anna, Command::SellFromVan(next)).await;
    assert_eq!(status(&next), (Status::Rejected, Reason::IdTaken), "another sale has this shipment");
    let order_id = bytes(order_id);
    let cancel = CancelOrder { order_id, reason: "a mistake".to_owned() };
    let cancel = yard.app.decide(&mut yard.anna, Command::CancelOrder(cancel)).await;
    assert_eq!(status(&cancel), (Status::Rejected, Reason::OrderClosed), "what was sold was sold");
    assert_eq!(yard.in_van().await.1.on_hand_milli, 7_000);
    yard.closes().await;
}

async fn what_would_hold_an_order_flags_a_sale(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(2_000)).await;
    yard.app.sync(&mut yard.anna).await;
    let too_many = yard.sells(5, PRICE_MINOR);
    let outcome = yard.app.decide(&mut yard.anna, Command::SellFromVan(too_many.clone())).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Flagged), "{outcome:?}");
    assert_eq!(fact(&outcome, "on_hand_milli"), "-3000");
    assert_eq!(yard.sold(&too_many).await.0.lines[0].delivered_milli, 5_000, "it is with the customer");
    let too_cheap = yard.sells(1, PRICE_MINOR / 2);
    let outcome = yard.app.decide(&mut yard.anna, Command::SellFromVan(too_cheap.clone())).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Flagged), "{outcome:?}");
    assert_eq!(fact(&outcome, "hold"), "HOLD_REASON_PRICE");
    let (order, _) = yard.sold(&too_cheap).await;
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Closed, PRICE_MINOR / 2), "what was paid counts");
    assert!(order.holds[0].released_at_us > 0 && order.holds[0].released_by.starts_with("rule:"), "{order:?}");
    let terms = Agreement { credit_limit_minor: Some(PRICE_MINOR), ..yard.world.agreement(0) };
    import(&yard.app, vec![entry(yard.world.agreements[0], Record::Agreement(terms))]).await;
    let on_credit = yard.sells(4, PRICE_MINOR);
    let outcome = yard.app.decide(&mut yard.anna, Command::SellFromVan(on_credit)).await;
    assert_eq!(fact(&outcome, "hold"), "HOLD_REASON_CREDIT_LIMIT", "{outcome:?}");
    let (_, submit) = order_of(&yard, 1);
    let held = yard.app.decide(&mut yard.anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&held), (Status::Held, Reason::HeldCreditLimit), "what was sold is owed");
    assert_eq!(yard.in_van().await.1.on_hand_milli, -8_000);
    let counted = yard.asks(Command::CountStock(yard.count(0))).await;
    assert_eq!(status(&counted), (Status::Applied, Reason::StockDiffers), "a count sets it right");
    yard.closes().await;
}

/// An ordinary order.
fn order_of(yard: &Yard, pieces: i64) -> (Uuid, SubmitOrder) {
    order(&yard.app, &yard.anna, &yard.world, &yard.world.anna, &[(0, pieces, PRICE_MINOR)])
}

async fn a_sale_that_makes_no_sense_is_refused_and_changes_nothing(kind: Kind) {
    let mut yard = Yard::make(kind).await;
    yard.moves(yard.loads(10_000)).await;
    yard.app.sync(&mut yard.anna).await;
    let sale = yard.sells(1, PRICE_MINOR);
    let with = |order: SubmitOrder| SellFromVan { order: Some(order), ..sale.clone() };
    let submit = sale.order.clone().expect("something is sold");
    let refused = [
        (SellFromVan { warehouse_id: bytes(yard.world.warehouse), ..sale.clone() }, Reason::NotInScope),
        (SellFromVan { warehouse_id: bytes(yard.app.id()), ..sale.clone() }, Reason::NotFound),
        (SellFromVan { shipment_id: Vec::new(), ..sale.clone() }, Reason::MissingField),
        (SellFromVan { order: None, ..sale.clone() }, Reason::MissingField),
        (with(SubmitOrder { lines: Vec::new(), ..submit.clone() }), Reason::MissingField),
        (with(SubmitOrder { delivery_day: submit.order_day + 1, ..submit.clone() }), Reason::OutOfRange),
        (
            with(SubmitOrder { order_day: submit.order_day + 1, delivery_day: submit.order_day + 1, ..submit.clone() }),
            Reason::OutOfRange,
        ),
        (with(SubmitOrder { outlet_id: bytes(yard.world.boris.outlets[0]), ..submit.clone() }), Reason::NotFound),
    ];
    for (sale, reason) in refused {
        let outcome = yard.app.decide(&mut yard.anna, Command::SellFromVan(sale.clone())).await;
        assert_eq!(status(&outcome), (Status::Rejected, reason), "{sale:?}: {outcome:?}");
    }
    let mut boris = yard.app.device("boris").await;
    yard.app.sync(&mut boris).await;
    let (_, submit) = order(&yard.app, &boris, &yard.world, &yard.world.boris, &[(0, 1, PRICE_MINOR)]);
    let foreign = with(SubmitOrder { delivery_day: 0, ..submit });
    let foreign = yard.app.decide(&mut boris, Command::SellFromVan(foreign)).await;
    assert_eq!(status(&foreign), (Status::Rejected, Reason::NotInScope), "the van is anna's");
    let desk = yard.asks(Command::SellFromVan(sale)).await;
    assert_eq!(status(&desk), (Status::Rejected, Reason::RoleNotAllowed));
    assert_eq!(yard.app.stored::<Shipment>(yard.world.tenant).await.len(), 0);
    assert_eq!(yard.in_van().await.1.on_hand_milli, 10_000);
    yard.closes().await;
}

async fn a_driver_counts_his_own_van(kind: Kind) {
    let yard = Yard::make(kind).await;
    yard.moves(yard.loads(10_000)).await;
    yard.app.user("dmitri", Role::Driver, Some(yard.world.anna.rep), None).await;
    yard.app.user("egor", Role::Driver, Some(yard.world.boris.rep), None).await;
    let mut dmitri = yard.app.device("dmitri").await;
    let mut egor = yard.app.device("egor").await;
    let count = Command::CountStock(yard.count(9_000));
    let foreign = yard.app.decide(&mut egor, count.clone()).await;
    assert_eq!(status(&foreign), (Status::Rejected, Reason::NotInScope));
    let own = yard.app.decide(&mut dmitri, count).await;
    assert_eq!(status(&own), (Status::Applied, Reason::StockDiffers), "{own:?}");
    yard.closes().await;
}

async fn a_figure_of_before_a_count_or_a_transfer_says_nothing(kind: Kind) {
    let yard = Yard::make(kind).await;
    counted(&yard.app, &yard.world, 0, 50_000).await;
    yard.app.pass(1);
    let before = yard.app.now_us();
    yard.app.pass(1);
    yard.moves(yard.loads(20_000)).await;
    let told = |on_hand_milli: i64, as_of_us: i64| {
        let stock = Some(Stock { as_of_us, ..yard.world.stock(0, on_hand_milli) });
        let stocks = vec![StockToSet { stock_id: bytes(yard.world.stocks[0]), stock }];
        Command::SetStock(SetStock { stocks })
    };
    let goods = (yard.world.warehouse, yard.world.products[0]);
    yard.app.office(told(50_000, before)).await;
    assert_eq!(exact(&yard.app, &yard.world, goods).await.on_hand_milli, 30_000, "the van has twenty of them");
    yard.app.office(told(31_000, yard.app.now_us() + 1)).await;
    assert_eq!(exact(&yard.app, &yard.world, goods).await.on_hand_milli, 31_000);
    yard.app.pass(1);
    let count = CountStock { warehouse_id: bytes(yard.world.warehouse), ..yard.count(29_000) };
    yard.asks(Command::CountStock(count)).await;
    yard.app.office(told(31_000, yard.app.now_us() - 30_000_000)).await;
    assert_eq!(exact(&yard.app, &yard.world, goods).await.on_hand_milli, 29_000, "it was counted since");
    yard.closes().await;
}
