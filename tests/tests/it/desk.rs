//! What tests of the desks' services share: orders, history, another tenant.

use roundsman::cli::explain::{self, Part};
use roundsman::store::account::{self, User};
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    DeliverShipment, DeliveredLine, ImportRecords, NewOrderLine, Order, PrepareShipment, RecordToImport, ReleaseOrder,
    ShipShipment, SubmitOrder,
};
use roundsman_tests::app::{PASSWORD, TODAY, TestApp, TestDevice};
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, RepWorld, World, bytes};
use tonic::Request;
use uuid::Uuid;

/// An order of so many articles, one piece of each, for a rep's first outlet.
pub(crate) fn order(
    app: &TestApp,
    world: &World,
    rep: &RepWorld,
    articles: usize,
    delivery_day: i32,
) -> (Uuid, Command) {
    let id = app.id();
    let line = |article: usize| NewOrderLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[article]),
        packaging_code: "piece".to_owned(),
        coefficient_milli: 1_000,
        quantity_milli: 1_000,
        price_id: bytes(world.prices[article]),
        shown_price_minor: PRICE_MINOR,
        ..NewOrderLine::default()
    };
    let submit = SubmitOrder {
        order_id: bytes(id),
        outlet_id: bytes(rep.outlets[0]),
        agreement_id: bytes(world.agreements[0]),
        order_day: TODAY,
        delivery_day,
        currency: CURRENCY.to_owned(),
        lines: (0..articles).map(line).collect(),
        ..SubmitOrder::default()
    };
    (id, Command::SubmitOrder(submit))
}

/// Submits an order; it may be held.
pub(crate) async fn submitted(
    app: &TestApp,
    world: &World,
    (device, rep): (&mut TestDevice, &RepWorld),
    articles: usize,
    delivery_day: i32,
) -> Uuid {
    let (id, command) = order(app, world, rep, articles, delivery_day);
    let outcome = app.decide(device, command).await;
    assert!(matches!(outcome.status(), Status::Applied | Status::Held), "{outcome:?}");
    id
}

/// What `roundsman explain order` prints in its tables, which are those of the lines, of shares if there are any, and of what
/// happened.
pub(crate) async fn explained(app: &TestApp, order: Uuid) -> Vec<Vec<Vec<String>>> {
    let mut session = crate::import::session(app).await;
    let explained = explain::order_of(&mut session, order, 2).await.expect("explains");
    session.close().await;
    let rows = |part| match part {
        Part::Table(_, rows) => Some(rows),
        Part::Line(_) => None,
    };
    explained.parts().into_iter().filter_map(rows).collect()
}

/// What happened to an order, as `roundsman explain order` prints it: who, and what.
pub(crate) async fn happened(app: &TestApp, order: Uuid) -> Vec<String> {
    let events = explained(app, order).await.pop().expect("a table");
    events.iter().map(|event| event[1..].join(": ")).collect()
}

/// An order is shipped, and one line of it does not arrive; returns the shipment.
pub(crate) async fn short_delivery(app: &TestApp, world: &World, order: Uuid) -> Uuid {
    let line_id = app.stored::<Order>(world.tenant).await[&order].lines[0].line_id.clone();
    let (order_id, shipment) = (bytes(order), app.id());
    let shipment_id = bytes(shipment);
    let warehouse_id = bytes(world.warehouse);
    let lines = vec![DeliveredLine { line_id, delivered_milli: 0, ..DeliveredLine::default() }];
    let reclamation_id = bytes(app.id());
    let commands = [
        Command::ReleaseOrder(ReleaseOrder { order_id: order_id.clone(), ..ReleaseOrder::default() }),
        Command::PrepareShipment(PrepareShipment {
            shipment_id: shipment_id.clone(),
            order_id,
            warehouse_id,
            ..PrepareShipment::default()
        }),
        Command::ShipShipment(ShipShipment { shipment_id: shipment_id.clone(), ..ShipShipment::default() }),
        Command::DeliverShipment(DeliverShipment { shipment_id, lines, reclamation_id, ..DeliverShipment::default() }),
    ];
    app.user("lars", Role::Logistics, None, None).await;
    let lars = app.token("lars").await;
    for command in commands {
        let outcome = app.office_as(&lars, app.id(), command).await.expect("logistics is answered");
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    shipment
}

/// A record to import; documents of November 2026.
pub(crate) fn entry(id: Uuid, record: Record) -> RecordToImport {
    let finished = matches!(record, Record::Order(_) | Record::Visit(_));
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: if finished { 202_611 } else { 0 } }
}

/// Imports records.
pub(crate) async fn import(app: &TestApp, records: Vec<RecordToImport>) -> Outcome {
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    outcome
}

/// The access token of an administrator of another tenant, which has nothing. `user` is any user of ours.
pub(crate) async fn stranger(app: &TestApp, user: Uuid) -> String {
    stranger_as(app, user, ("Other", Role::Admin)).await
}

/// The access token of somebody with this role in another tenant, which is made for that. `user` is any user of ours.
pub(crate) async fn stranger_as(app: &TestApp, user: Uuid, (name, role): (&str, Role)) -> String {
    let ours = app.tenant().await;
    let mut tx = app.core.db.write().await.expect("begins");
    let (_, hash) = account::find_user(&mut tx, ours, user).await.expect("answers").expect("is there");
    let tenant = account::create_tenant(&mut tx, name).await.expect("answers").expect("is new");
    let (id, login) = (app.id(), "eve".to_owned());
    let stranger = User { tenant, id, login, role, rep: None, team: None, disabled: false };
    assert!(account::insert_user(&mut tx, &stranger, &hash, app.now_us()).await.expect("answers"));
    tx.commit().await.expect("commits");
    let answer = roundsman::device::login(app.channel.clone(), (name, "eve", PASSWORD), None).await;
    answer.expect("logs in").tokens.expect("tokens").access_token
}

/// A request of somebody's.
pub(crate) fn by<T>(token: &str, message: T) -> Request<T> {
    roundsman::device::authorized(token, message).expect("a request")
}
