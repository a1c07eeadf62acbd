//! What customers owe: what the books contain counts once, and nothing passes the limit behind their back.

use roundsman::cli;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    CollectPayment, Customer, DueItem, ImportRecords, Order, OrderStatus, Payment, PaymentShare, Reason, Receivable,
    ReleaseOrder, SetReceivable,
};
use roundsman_tests::app::{TENANT, TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, World, bytes};
use uuid::Uuid;

use crate::conflicts::cash;
use crate::desk::{entry, import, submitted};

on_both_databases!(
    an_order_is_booked_when_the_warehouse_has_it_at_the_earliest,
    what_the_books_contain_an_import_does_not_take_out,
    older_figures_of_an_import_say_nothing,
    what_an_older_figure_contained_the_newer_one_does,
    past_orders_of_many_customers_are_taken_at_once,
    a_payment_pays_the_oldest_documents_until_the_books_contain_it,
    a_payment_pays_what_was_chosen,
    money_for_an_order_waits_for_its_document,
    a_payment_of_documents_in_a_bad_form_is_not_taken_at_all,
    documents_in_a_bad_form_are_not_taken_into_the_books,
    what_is_owed_is_told_by_customer_and_age,
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
    let release = Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order), ..ReleaseOrder::default() });
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
async fn what_an_older_figure_contained_the_newer_one_does(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let [first, second] = [(); 2].map(|()| app.id());
    for id in [first, second] {
        let taken = CollectPayment { payment_id: bytes(id), ..cash(&app, &world, 300) };
        assert_eq!(app.decide(&mut anna, Command::CollectPayment(taken)).await.status(), Status::Applied);
    }
    let said = async |as_of_us: i64, debt_minor: i64, payment: Uuid| {
        let figures = Receivable { as_of_us, ..world.receivable(0, debt_minor) };
        let command = SetReceivable {
            receivable_id: bytes(world.receivables[0]),
            receivable: Some(figures),
            booked_payment_ids: vec![bytes(payment)],
            ..SetReceivable::default()
        };
        app.office(Command::SetReceivable(command)).await.status()
    };
    // Two workers of the ERP, and the earlier figure comes last.
    assert_eq!(said(20, 400, second).await, Status::Applied);
    assert_eq!(said(10, 700, first).await, Status::Applied);
    let payments = app.stored::<Payment>(world.tenant).await;
    assert!(payments[&first].booked && payments[&second].booked, "the debt contains both");
    assert_eq!(app.stored::<Receivable>(world.tenant).await[&world.receivables[0]].debt_minor, 400);
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

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

fn due(number: &str, due_day: i32, amount_minor: i64) -> DueItem {
    DueItem { document_number: number.to_owned(), due_day, amount_minor, ..DueItem::default() }
}

/// What the books say of the first customer: these documents, and so much debt beside them.
fn owing(world: &World, due_items: Vec<DueItem>, undetailed_minor: i64) -> Receivable {
    let debt_minor = due_items.iter().map(|item| item.amount_minor).sum::<i64>() + undetailed_minor;
    Receivable { due_items, ..world.receivable(0, debt_minor) }
}

fn share(document: Document, amount_minor: i64) -> PaymentShare {
    PaymentShare { document: Some(document), amount_minor }
}

fn numbered(number: &str) -> Document {
    Document::DocumentNumber(number.to_owned())
}

/// Takes money; what it pays, as the device shows it: of which document how much.
async fn paid(app: &TestApp, device: &mut TestDevice, payment: CollectPayment) -> Vec<(String, i64)> {
    let id = Uuid::from_slice(&payment.payment_id).expect("an id");
    let outcome = app.decide(device, Command::CollectPayment(payment)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let shown: Payment = app.shown(device, id).expect("the payment");
    shown.allocations.into_iter().map(|part| (part.document_number, part.amount_minor)).collect()
}

fn parts(parts: &[(&str, i64)]) -> Vec<(String, i64)> {
    parts.iter().map(|(number, amount_minor)| ((*number).to_owned(), *amount_minor)).collect()
}

async fn done(app: TestApp, world: &World, device: &TestDevice) {
    app.assert_converged(device, &world.caller(&world.anna)).await;
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn a_payment_pays_the_oldest_documents_until_the_books_contain_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let documents = vec![due("new", TODAY + 5, 300), due("old", TODAY - 9, 200), due("undated", 0, 400)];
    let books = |due_items, booked_payment_ids| {
        let receivable = Some(owing(&world, due_items, 0));
        let receivable_id = bytes(world.receivables[0]);
        Command::SetReceivable(SetReceivable {
            receivable_id,
            receivable,
            booked_payment_ids,
            ..SetReceivable::default()
        })
    };
    assert_eq!(app.office(books(documents.clone(), Vec::new())).await.status(), Status::Applied);
    let first = cash(&app, &world, 350);
    let first_id = first.payment_id.clone();
    assert_eq!(paid(&app, &mut anna, first.clone()).await, parts(&[("old", 200), ("new", 150)]));
    // Sent once more, it is the same payment, and pays nothing twice.
    let again = app.decide(&mut anna, Command::CollectPayment(first)).await;
    assert_eq!(again.reason(), Reason::NothingToDo, "{again:?}");
    assert_eq!(paid(&app, &mut anna, cash(&app, &world, 250)).await, parts(&[("new", 150), ("undated", 100)]));
    // The books contain the first one: what they say is open is so, but for the second.
    let later = vec![due("new", TODAY + 5, 150), due("undated", 0, 400), due("next", TODAY + 9, 70)];
    assert_eq!(app.office(books(later, vec![first_id])).await.status(), Status::Applied);
    assert_eq!(paid(&app, &mut anna, cash(&app, &world, 380)).await, parts(&[("next", 70), ("undated", 300)]));
    done(app, &world, &anna).await;
}

async fn a_payment_pays_what_was_chosen(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let order = app.id();
    let of_order = DueItem { order_id: bytes(order), ..due("b", 2, 200) };
    let books = owing(&world, vec![due("a", 1, 100), of_order, due("c", 3, 300)], 0);
    import(&app, vec![entry(world.receivables[0], Record::Receivable(books))]).await;
    let chosen = |shares| CollectPayment { shares, ..cash(&app, &world, 250) };
    let shares = vec![share(numbered("c"), 120), share(Document::OrderId(bytes(order)), 130)];
    assert_eq!(paid(&app, &mut anna, chosen(shares)).await, parts(&[("b", 130), ("c", 120)]));
    // One that is paid, and one that nobody knows, leave the money to the others.
    let shares = vec![share(numbered("b"), 100), share(numbered("gone"), 150)];
    assert_eq!(paid(&app, &mut anna, chosen(shares)).await, parts(&[("a", 100), ("b", 70), ("c", 80)]));
    let last = cash(&app, &world, 250);
    let id = Uuid::from_slice(&last.payment_id).expect("an id");
    assert_eq!(paid(&app, &mut anna, last).await, parts(&[("c", 100)]));
    let shown: Payment = app.shown(&anna, id).expect("the payment");
    assert_eq!(shown.advance_minor, 150, "what meets no debt is an advance (C22)");
    done(app, &world, &anna).await;
}

async fn money_for_an_order_waits_for_its_document(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let books = owing(&world, vec![due("old", 1, 5_000)], 0);
    import(&app, vec![entry(world.receivables[0], Record::Receivable(books))]).await;
    let order = submitted(&app, &world, (&mut anna, &world.anna), 1, TODAY + 1).await;
    let value = app.stored::<Order>(world.tenant).await[&order].value_minor;
    let payment = |amount_minor| CollectPayment { order_id: bytes(order), ..cash(&app, &world, amount_minor) };
    assert_eq!(paid(&app, &mut anna, payment(value)).await, Vec::new(), "the books don't tell its document yet");
    assert_eq!(paid(&app, &mut anna, payment(value + 50)).await, parts(&[("old", 50)]));
    done(app, &world, &anna).await;
}

async fn a_payment_of_documents_in_a_bad_form_is_not_taken_at_all(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    import(&app, vec![entry(world.receivables[0], Record::Receivable(owing(&world, vec![due("a", 1, 100)], 0)))]).await;
    let bad = [
        (vec![share(numbered("a"), 60), share(numbered("b"), 41)], Reason::OutOfRange),
        (vec![share(numbered("a"), -1)], Reason::OutOfRange),
        (vec![share(numbered("a"), 1), share(numbered("a"), 1)], Reason::RepeatedId),
        (vec![share(Document::OrderId(vec![1; 3]), 1)], Reason::BadId),
        (vec![share(numbered("a\0"), 1)], Reason::NulCharacter),
        (vec![PaymentShare { document: None, amount_minor: 1 }], Reason::MissingField),
        ((0..501).map(|number| share(numbered(&number.to_string()), 1)).collect(), Reason::LimitExceeded),
    ];
    for (shares, reason) in bad {
        let payment = CollectPayment { shares, ..cash(&app, &world, 100) };
        let outcome = app.decide(&mut anna, Command::CollectPayment(payment)).await;
        assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, reason), "{outcome:?}");
        assert!(outcome.text.starts_with("shares:"), "{outcome:?}");
    }
    assert_eq!(app.stored::<Payment>(world.tenant).await.len(), 0);
    done(app, &world, &anna).await;
}

async fn documents_in_a_bad_form_are_not_taken_into_the_books(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let before = app.stored::<Receivable>(world.tenant).await;
    for item in [due("a", -1, 5), due("a\0", 1, 5), due("a", 1, i64::MAX)] {
        let figures = Receivable { due_items: vec![item], ..world.receivable(0, 5) };
        let record = entry(world.receivables[0], Record::Receivable(figures.clone()));
        let set = SetReceivable {
            receivable_id: bytes(world.receivables[0]),
            receivable: Some(figures),
            ..SetReceivable::default()
        };
        let import = ImportRecords { records: vec![record] };
        for command in [Command::SetReceivable(set), Command::ImportRecords(import)] {
            assert_eq!(app.office(command).await.status(), Status::Rejected);
        }
    }
    assert_eq!(app.stored::<Receivable>(world.tenant).await, before);
    app.finish().await;
}

/// `roundsman tenant debts`.
async fn what_is_owed_is_told_by_customer_and_age(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let books = owing(&world, vec![due("a", TODAY - 9, 200), due("b", TODAY + 3, 300)], 50);
    import(&app, vec![entry(world.receivables[0], Record::Receivable(books))]).await;
    paid(&app, &mut anna, cash(&app, &world, 120)).await;
    let debts = cli::debts::read(&app.core.db, TENANT, TODAY).await.expect("reads");
    let [owed] = debts.as_slice() else { panic!("the other customer owes nothing: {debts:?}") };
    assert_eq!((owed.customer.is_empty(), &owed.debtor), (false, &(world.customers[0], CURRENCY.to_owned())));
    let rows = cli::debts::rows(&debts, 2);
    assert_eq!(rows[0][2..].join(" "), " 5.50 3.00  2.00    0.50 1.20");
    assert_eq!(rows[1][2..], rows[0][2..], "in all");
    cli::debts::read(&app.core.db, "Nobody", TODAY).await.expect_err("there is no such tenant");
    done(app, &world, &anna).await;
}
