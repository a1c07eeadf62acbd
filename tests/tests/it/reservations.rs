//! What orders have set aside: it belongs to a warehouse and to an order's lines, whatever happens to outlet and order.

use prost::Message as _;
use roundsman::internal::Internal as _;
use roundsman::store::record;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    CancelOrder, MoveOutlet, Order, PrepareShipment, ReleaseOrder, ShipShipment, Stock, Territory, Warehouse,
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
async fn exact(app: &TestApp, world: &World, key: (Uuid, Uuid)) -> Available {
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
    decided(&app, &world, Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order) })).await;
    let (shipment_id, warehouse_id) = (bytes(app.id()), bytes(elsewhere.warehouse));
    let prepare = PrepareShipment { shipment_id: shipment_id.clone(), order_id: bytes(order), warehouse_id };
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
    let there = Available { on_hand_milli: ON_HAND_MILLI - 1_000, reserved_milli: 0 };
    assert_eq!(exact(&app, &world, (elsewhere.warehouse, world.products[0])).await, there);
    let stored = app.stored::<Order>(world.tenant).await[&order].clone();
    assert!(stored.lines.iter().all(|line| line.reserved_milli == 0));
    app.finish().await;
}
