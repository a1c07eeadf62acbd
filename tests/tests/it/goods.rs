//! Stock and prices as the office sets them, and what orders have set aside: it belongs to a warehouse and to an order's
//! lines, whatever happens to outlet and order.

use prost::Message as _;
use roundsman::internal::Internal as _;
use roundsman::store::record;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    CancelOrder, ImportRecords, MoveOutlet, MustSellItem, MustSellList, Order, PrepareShipment, PriceToSet, Reason,
    ReleaseOrder, SetPrices, SetStock, ShipShipment, Stock, StockToSet, Territory, Warehouse,
};
use roundsman_sync::trade::stock::{Available, coarse};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{ON_HAND_MILLI, World, bytes};
use uuid::Uuid;

use crate::desk::{entry, import, submitted};

on_both_databases!(
    an_outlet_that_moves_leaves_nothing_set_aside_in_its_old_warehouse,
    a_shipment_from_elsewhere_takes_what_is_set_aside_along,
    one_stock_record_tells_of_a_product_in_a_warehouse,
    an_older_count_says_nothing,
    a_must_sell_list_comes_to_every_phone_and_a_wrong_one_is_refused,
    a_price_that_is_set_again_changes_nothing,
);

/// Another warehouse, which has the first article, with a territory.
struct Elsewhere {
    warehouse: Uuid,
    territory: Uuid,
    stock: Uuid,
}

async fn elsewhere(app: &TestApp, world: &World) -> Elsewhere {
    let [warehouse, territory, stock] = [app.id(), app.id(), app.id()];
    let place = Territory {
        name: "East".to_owned(),
        team_id: bytes(world.team),
        time_zone: "Europe/Helsinki".to_owned(),
        warehouse_id: bytes(warehouse),
        ..Territory::default()
    };
    let figure = Stock { warehouse_id: bytes(warehouse), ..world.stock(0, ON_HAND_MILLI) };
    let records = vec![
        entry(warehouse, Record::Warehouse(Warehouse { name: "East".to_owned(), ..Warehouse::default() })),
        entry(territory, Record::Territory(place)),
        entry(stock, Record::Stock(figure)),
    ];
    import(app, records).await;
    Elsewhere { warehouse, territory, stock }
}

/// What devices are told to be free of the first article, here and elsewhere.
async fn free(app: &TestApp, world: &World, elsewhere: &Elsewhere) -> (i64, i64) {
    let stocks = app.stored::<Stock>(world.tenant).await;
    (stocks[&world.stocks[0]].free_milli, stocks[&elsewhere.stock].free_milli)
}

/// The exact figures of a product in a warehouse.
pub(crate) async fn exact(app: &TestApp, world: &World, key: (Uuid, Uuid)) -> Available {
    let mut tx = app.core.db.read().await.expect("reads");
    let found = record::find(&mut tx, world.tenant, &[Available::id(&key)]).await.expect("answers");
    let (_, stored) = found.into_iter().next().expect("there are figures");
    Available::decode(stored.document).expect("its own kind")
}

async fn decided(app: &TestApp, world: &World, command: Command) {
    let outcome = app.server(world.tenant, command).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn an_outlet_that_moves_leaves_nothing_set_aside_in_its_old_warehouse(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let elsewhere = elsewhere(&app, &world).await;
    let mut anna = app.device("anna").await;
    let all = (ON_HAND_MILLI, ON_HAND_MILLI);
    let taken = coarse(ON_HAND_MILLI - 1_000);
    let order = submitted(&app, &world, (&mut anna, &world.anna), 1, TODAY + 1).await;
    assert_eq!(free(&app, &world, &elsewhere).await, (taken, all.1));
    let outlet_id = bytes(world.anna.outlets[0]);
    let territory_id = bytes(elsewhere.territory);
    decided(&app, &world, Command::MoveOutlet(MoveOutlet { outlet_id, territory_id })).await;
    assert_eq!(free(&app, &world, &elsewhere).await, (taken, all.1), "the promise stays where it was made");
    let cancel = CancelOrder { order_id: bytes(order), reason: "by mistake".to_owned() };
    decided(&app, &world, Command::CancelOrder(cancel)).await;
    assert_eq!(free(&app, &world, &elsewhere).await, all);
    app.finish().await;
}

async fn a_shipment_from_elsewhere_takes_what_is_set_aside_along(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let elsewhere = elsewhere(&app, &world).await;
    let mut anna = app.device("anna").await;
    let taken = coarse(ON_HAND_MILLI - 1_000);
    let order = submitted(&app, &world, (&mut anna, &world.anna), 2, TODAY + 1).await;
    decided(&app, &world, Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order), ..ReleaseOrder::default() }))
        .await;
    let (shipment_id, warehouse_id) = (bytes(app.id()), bytes(elsewhere.warehouse));
    let prepare = PrepareShipment {
        shipment_id: shipment_id.clone(),
        order_id: bytes(order),
        warehouse_id,
        ..PrepareShipment::default()
    };
    decided(&app, &world, Command::PrepareShipment(prepare)).await;
    assert_eq!(free(&app, &world, &elsewhere).await, (ON_HAND_MILLI, taken));
    let stored = app.stored::<Order>(world.tenant).await[&order].clone();
    let reserved: Vec<i64> = stored.lines.iter().map(|line| line.reserved_milli).collect();
    assert_eq!(
        (stored.warehouse_id, reserved),
        (bytes(elsewhere.warehouse), vec![1_000, 0]),
        "nobody counts the second"
    );
    decided(&app, &world, Command::ShipShipment(ShipShipment { shipment_id, ..ShipShipment::default() })).await;
    let there = Available { on_hand_milli: ON_HAND_MILLI - 1_000, known: true, ..Available::default() };
    assert_eq!(exact(&app, &world, (elsewhere.warehouse, world.products[0])).await, there);
    let stored = app.stored::<Order>(world.tenant).await[&order].clone();
    assert!(stored.lines.iter().all(|line| line.reserved_milli == 0));
    app.finish().await;
}

async fn one_stock_record_tells_of_a_product_in_a_warehouse(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let before = app.stored::<Stock>(world.tenant).await;
    let twin = StockToSet { stock_id: bytes(app.id()), stock: Some(world.stock(0, 1_000)) };
    let outcome = app.office(Command::SetStock(SetStock { stocks: vec![twin] })).await;
    assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, Reason::Mismatch), "{outcome:?}");
    let told = outcome.facts.iter().any(|fact| fact.name == "stock_id" && fact.value == world.stocks[0].to_string());
    assert!(told, "which record it is: {outcome:?}");
    assert_eq!(app.stored::<Stock>(world.tenant).await, before);
    app.finish().await;
}

async fn a_must_sell_list_comes_to_every_phone_and_a_wrong_one_is_refused(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let item = |article: usize| MustSellItem { product_id: bytes(world.products[article]), quantity_milli: 6_000 };
    let list = MustSellList { name: "Shelf".to_owned(), items: vec![item(0), item(1)], ..MustSellList::default() };
    let id = app.id();
    import(&app, vec![entry(id, Record::MustSellList(list.clone()))]).await;
    app.sync(&mut anna).await;
    assert_eq!(app.shown::<MustSellList>(&anna, id), Some(list.clone()));

    let twice = MustSellList { items: vec![item(0), item(0)], ..list.clone() };
    let import = ImportRecords { records: vec![entry(id, Record::MustSellList(twice))] };
    let outcome = app.office(Command::ImportRecords(import)).await;
    assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, Reason::RepeatedId), "{outcome:?}");
    assert_eq!(app.stored::<MustSellList>(world.tenant).await[&id], list, "it is as it was");
    app.finish().await;
}

async fn an_older_count_says_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let count = async |on_hand_milli, as_of_us| {
        let stock = Some(Stock { as_of_us, ..world.stock(0, on_hand_milli) });
        let stocks = vec![StockToSet { stock_id: bytes(world.stocks[0]), stock }];
        let outcome = app.office(Command::SetStock(SetStock { stocks })).await;
        (outcome.status(), outcome.reason())
    };
    let key = (world.warehouse, world.products[0]);
    assert_eq!(count(7_000, 20).await, (Status::Applied, Reason::Unspecified));
    assert_eq!(count(9_000, 10).await, (Status::Applied, Reason::NothingToDo), "counted before");
    assert_eq!(count(7_000, 20).await, (Status::Applied, Reason::NothingToDo), "the same again");
    assert_eq!(exact(&app, &world, key).await.on_hand_milli, 7_000);
    assert_eq!(count(9_000, 30).await, (Status::Applied, Reason::Unspecified));
    assert_eq!(exact(&app, &world, key).await.on_hand_milli, 9_000);
    app.finish().await;
}

async fn a_price_that_is_set_again_changes_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let set = async |price_minor| {
        let price = PriceToSet { price_id: bytes(world.prices[0]), price: Some(world.price(0, price_minor)) };
        let outcome = app.office(Command::SetPrices(SetPrices { prices: vec![price] })).await;
        (outcome.status(), outcome.reason())
    };
    assert_eq!(set(1_234).await, (Status::Applied, Reason::Unspecified));
    assert_eq!(set(1_234).await, (Status::Applied, Reason::NothingToDo));
    app.finish().await;
}
