//! What customers owe: what the books contain counts once, and nothing passes the limit behind their back.

use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Customer, ImportRecords, Order, OrderStatus, Reason, Receivable, ReleaseOrder, SetReceivable,
};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, World, bytes};
use uuid::Uuid;

use crate::desk::{entry, import, submitted};

on_both_databases!(
    an_order_is_booked_when_the_warehouse_has_it_at_the_earliest,
    what_the_books_contain_an_import_does_not_take_out,
    older_figures_of_an_import_say_nothing,
    past_orders_of_many_customers_are_taken_at_once,
);

async fn book(app: &TestApp, world: &World, order: Uuid) -> (Status, Reason) {
    let command = SetReceivable {
        receivable_id: bytes(world.receivables[0]),
        receivable: Some(world.receivable(0, 1_000)),
        booked_order_ids: vec![bytes(order)],
        ..SetReceivable::default()
    };
    let outcome = app.office(Command::SetReceivable(command)).await;
    (outcome.status(), outcome.reason())
}

async fn an_order_is_booked_when_the_warehouse_has_it_at_the_earliest(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let order = submitted(&app, &world, (&mut anna, &world.anna), 1, TODAY + 1).await;
    assert_eq!(book(&app, &world, order).await, (Status::Rejected, Reason::WrongState), "it may still grow");
    let release = Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order) });
    assert_eq!(app.server(world.tenant, release).await.status(), Status::Applied);
    assert_eq!(book(&app, &world, order).await, (Status::Applied, Reason::Unspecified));
    assert!(app.stored::<Order>(world.tenant).await[&order].booked);
    app.finish().await;
}

async fn what_the_books_contain_an_import_does_not_take_out(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let past = |booked| Order {
        outlet_id: bytes(world.anna.outlets[0]),
        customer_id: bytes(world.customers[0]),
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        value_minor: 5_000,
        booked,
        ..Order::default()
    };
    let order = app.id();
    for booked in [true, false] {
        import(&app, vec![entry(order, Record::Order(past(booked)))]).await;
        assert!(app.stored::<Order>(world.tenant).await[&order].booked);
    }
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn older_figures_of_an_import_say_nothing(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let debt = async |debt_minor, as_of_us| {
        let figures = Receivable { as_of_us, ..world.receivable(0, debt_minor) };
        let records = vec![entry(world.receivables[0], Record::Receivable(figures))];
        app.office(Command::ImportRecords(ImportRecords { records })).await.reason()
    };
    assert_eq!(debt(7_000, 20).await, Reason::Unspecified);
    assert_eq!(debt(9_000, 10).await, Reason::NothingToDo, "of an earlier moment");
    assert_eq!(app.stored::<Receivable>(world.tenant).await[&world.receivables[0]].debt_minor, 7_000);
    app.finish().await;
}

/// Many orders of the past in one command, each of a customer of its own, as the ERP brings them.
async fn past_orders_of_many_customers_are_taken_at_once(kind: Kind) {
    const ORDERS: usize = 400;
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let customers: Vec<Uuid> = (0..ORDERS).map(|_| app.id()).collect();
    let customer = |id: &Uuid| entry(*id, Record::Customer(Customer { name: id.to_string(), ..Customer::default() }));
    import(&app, customers.iter().map(customer).collect()).await;
    let past = |customer: &Uuid| {
        let order = Order {
            outlet_id: bytes(world.anna.outlets[0]),
            customer_id: bytes(*customer),
            currency: CURRENCY.to_owned(),
            status: OrderStatus::Closed.into(),
            booked: true,
            ..Order::default()
        };
        entry(app.id(), Record::Order(order))
    };
    import(&app, customers.iter().map(past).collect()).await;
    assert_eq!(app.stored::<Order>(world.tenant).await.len(), ORDERS);
    app.finish().await;
}
