//! The cases in which what a device captured meets what others did meanwhile, by their numbers.
//!
//! C1 and C27 are in `push.rs`, C6 to C8 in `pricing.rs`, C16, C21 and C24 in `conflicts_field.rs`, C29 and C30 in `jobs.rs`,
//! C31 in `devices.rs`; the rules of all of them are tested in the pure crate.

use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, ApplyAssignments, ArchiveOutlet, BlockOutlet, CancelOrder, CancelVisit, ChangeOrder, CheckIn, CheckOut,
    CollectPayment, Customer, DeliverShipment, DeliveredLine, EditOutlet, Fulfilment, HandTerritoryOver, Hold,
    HoldReason, ImportRecords, Int64Change, LineDifference, MarkMissedVisits, MoveOutlet, NewOrderLine, Order,
    OrderLineChange, OrderLineEdit, OrderStatus, Outlet, PastPromise, Payment, PaymentMethod, PlanVisits,
    PrepareShipment, PriceToSet, Product, PromiseOutcome, Reason, Receivable, Reclamation, ReclamationCause,
    RecordToImport, ReleaseHold, ReleaseOrder, Route, RouteStop, SetPrices, SetReceivable, SetStock, ShipShipment,
    ShippedLine, ShortReason, ShortageRule, Stock, StockToSet, StringChange, SubmitOrder, Territory, Visit, VisitFlag,
    VisitState, order_line_edit::Edit,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice, encoded};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, RepWorld, World, bytes, check_in, place};
use uuid::Uuid;

use crate::desk::{entry, import};

on_both_databases!(
    an_order_without_conflicts_is_confirmed_at_once,
    c02_another_order_under_the_same_id_is_refused_and_nothing_is_lost,
    c03_office_and_rep_change_different_lines_and_both_stand,
    c03_office_and_rep_change_the_same_line_and_the_office_wins,
    c05_a_price_that_was_shown_within_the_grace_is_honoured,
    c05_a_price_that_changed_long_ago_is_held,
    c09_an_order_above_the_limit_is_held_and_released_by_a_payment_to_the_books,
    c09_two_orders_racing_for_one_limit_do_not_both_pass,
    c09_a_payment_asks_the_held_orders_of_its_customer_and_no_others,
    c10_overdue_debt_that_appeared_holds_the_order_until_it_is_paid,
    c11_what_is_not_in_stock_is_confirmed_in_part,
    c11_a_back_order_is_promised_and_gets_what_comes,
    c11_orders_that_wait_for_stock_are_served_in_turn,
    c11_a_delivery_of_much_reaches_those_who_wait_for_it_beside_many_who_do_not,
    c11_what_is_missing_is_taken_from_the_successor,
    c11_two_hundred_devices_racing_for_the_last_ten_get_ten_between_them,
    c13_an_order_for_a_blocked_outlet_is_held,
    c13_an_order_from_before_a_hand_over_is_taken_within_the_grace,
    c13_a_hand_over_from_today_on_takes_back_nothing_of_this_morning,
    c13_what_was_captured_for_a_duplicate_goes_to_the_outlet_that_remains,
    c13_an_order_by_the_terms_of_a_duplicate_is_held_until_somebody_agrees,
    c17_a_visit_that_was_called_off_and_done_all_the_same_counts,
    a_visit_ends_on_the_day_on_which_it_began_wherever_its_outlet_is_then,
    c18_a_visit_marked_missed_is_reversed_by_the_late_fact,
    c19_two_phones_of_one_rep_are_two_devices_with_one_visit_in_progress,
    c20_what_a_wrong_clock_says_is_corrected_and_flagged,
    c22_cash_is_taken_when_the_debt_is_gone,
    c23_what_was_delivered_short_flows_back_and_opens_a_claim,
    c26_an_edit_of_an_outlet_that_is_gone_is_rejected_and_kept,
    c32_the_chain_ordered_what_the_rep_has_taken_as_well,
    c32_an_order_goes_on_when_the_one_that_it_may_repeat_is_called_off,
);

/// Lines of an order: article, pieces, shown price.
pub(crate) type Lines<'a> = &'a [(usize, i64, i64)];

pub(crate) fn order(
    app: &TestApp,
    device: &TestDevice,
    world: &World,
    rep: &RepWorld,
    lines: Lines<'_>,
) -> (Uuid, SubmitOrder) {
    let id = app.id();
    let line = |(article, pieces, shown): &(usize, i64, i64)| NewOrderLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[*article]),
        packaging_code: "piece".to_owned(),
        coefficient_milli: 1_000,
        quantity_milli: pieces * 1_000,
        price_id: bytes(world.prices[*article]),
        price_version: held_version(device, world.prices[*article]),
        shown_price_minor: *shown,
        discount_bp: 0,
        ..NewOrderLine::default()
    };
    let submit = SubmitOrder {
        order_id: bytes(id),
        outlet_id: bytes(rep.outlets[0]),
        agreement_id: bytes(world.agreements[0]),
        visit_id: Vec::new(),
        order_day: TODAY,
        delivery_day: TODAY + 2,
        currency: CURRENCY.to_owned(),
        comment: String::new(),
        lines: lines.iter().map(line).collect(),
        contract_id: Vec::new(),
    };
    (id, submit)
}

pub(crate) fn held_version(device: &TestDevice, record: Uuid) -> i64 {
    device.replica.document(record).expect("reads").map_or(0, |document| document.version)
}

pub(crate) fn open_holds(order: &Order) -> Vec<HoldReason> {
    order.holds.iter().filter(|hold| hold.released_at_us == 0).map(Hold::reason).collect()
}

/// A device that has synchronized, in a fresh world.
pub(crate) async fn ready(kind: Kind) -> (TestApp, World, TestDevice) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    (app, world, anna)
}

/// Ends a test: the device holds what it should, and everything derived is right.
pub(crate) async fn done(app: TestApp, world: &World, anna: &mut TestDevice) {
    app.sync(anna).await;
    app.assert_converged(anna, &world.caller(&world.anna)).await;
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

pub(crate) fn status(outcome: &Outcome) -> (Status, Reason) {
    (outcome.status(), outcome.reason())
}

async fn an_order_without_conflicts_is_confirmed_at_once(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order came back");
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 8 * PRICE_MINOR));
    done(app, &world, &mut anna).await;
}

async fn c02_another_order_under_the_same_id_is_refused_and_nothing_is_lost(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(submit.clone())).await.status(), Status::Applied);
    let first: Order = app.shown(&anna, id).expect("the order");
    // The same once more, in another command.
    let again = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo), "{again:?}");
    // Something else under its id, from her tablet.
    let mut tablet = app.device("anna").await;
    app.sync(&mut tablet).await;
    let (_, other) = order(&app, &tablet, &world, &world.anna, &[(0, 7, PRICE_MINOR), (1, 2, PRICE_MINOR)]);
    let other = Command::SubmitOrder(SubmitOrder { order_id: bytes(id), ..other });
    let command = app.capture(&mut tablet, other.clone());
    let synced = app.sync(&mut tablet).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Rejected, Reason::IdTaken), "{synced:?}");
    assert_eq!(app.kept_body(command).await, Some(encoded(other)), "what was captured can be read again");
    assert_eq!(app.shown::<Order>(&tablet, id), Some(first), "and the order is what it was");
    done(app, &world, &mut anna).await;
}

fn quantity(order: &Order, line: usize, base: i64, value: i64) -> OrderLineEdit {
    let change = OrderLineChange {
        line_id: order.lines[line].line_id.clone(),
        quantity_milli: Some(Int64Change { base: base * 1_000, value: value * 1_000 }),
        ..OrderLineChange::default()
    };
    OrderLineEdit { edit: Some(Edit::Change(change)) }
}

async fn submitted(app: &TestApp, world: &World, anna: &mut TestDevice) -> (Uuid, Order) {
    let (id, submit) = order(app, anna, world, &world.anna, &[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]);
    app.decide(anna, Command::SubmitOrder(submit)).await;
    (id, app.shown(anna, id).expect("the order came back"))
}

async fn c03_office_and_rep_change_different_lines_and_both_stand(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, before) = submitted(&app, &world, &mut anna).await;
    let office = ChangeOrder {
        order_id: bytes(id),
        comment: Some(StringChange { base: String::new(), value: "by the ramp".to_owned() }),
        lines: vec![quantity(&before, 0, 5, 6)],
        ..ChangeOrder::default()
    };
    let outcome = app.office(Command::ChangeOrder(office)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let rep = ChangeOrder { order_id: bytes(id), lines: vec![quantity(&before, 1, 3, 4)], ..ChangeOrder::default() };
    let outcome = app.decide(&mut anna, Command::ChangeOrder(rep)).await;
    assert!(matches!(outcome.status(), Status::Applied | Status::Merged), "{outcome:?}");
    assert_eq!(outcome.overrides, [], "they did not meet");
    let order: Order = app.shown(&anna, id).expect("the order");
    let ordered: Vec<i64> = order.lines.iter().map(|line| line.ordered_milli).collect();
    assert_eq!((ordered, order.comment.as_str()), (vec![6_000, 4_000], "by the ramp"));
    done(app, &world, &mut anna).await;
}

async fn c03_office_and_rep_change_the_same_line_and_the_office_wins(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, before) = submitted(&app, &world, &mut anna).await;
    let change =
        |value| ChangeOrder { order_id: bytes(id), lines: vec![quantity(&before, 0, 5, value)], ..Default::default() };
    app.office(Command::ChangeOrder(change(7))).await;
    let outcome = app.decide(&mut anna, Command::ChangeOrder(change(2))).await;
    assert_eq!(status(&outcome), (Status::Merged, Reason::OfficeWins), "{outcome:?}");
    let lost = &outcome.overrides[0];
    assert_eq!((lost.kept.as_str(), lost.lost.as_str()), ("7000", "2000"));
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!(order.lines[0].ordered_milli, 7_000);
    done(app, &world, &mut anna).await;
}

async fn set_price(app: &TestApp, world: &World, article: usize, price_minor: i64) {
    let price = Some(world.price(article, price_minor));
    let prices = vec![PriceToSet { price_id: bytes(world.prices[article]), price }];
    let outcome = app.office(Command::SetPrices(SetPrices { prices })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn c05_a_price_that_was_shown_within_the_grace_is_honoured(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    app.pass(30);
    set_price(&app, &world, 0, 1_300).await;
    app.pass(60);
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.value_minor, order.status()), (5 * PRICE_MINOR, OrderStatus::Confirmed));
    done(app, &world, &mut anna).await;
}

async fn c05_a_price_that_changed_long_ago_is_held(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    app.pass(30);
    set_price(&app, &world, 0, 1_300).await;
    app.pass(26 * 60);
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldPrice), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), open_holds(&order)), (OrderStatus::Submitted, vec![HoldReason::Price]));
    let hold = &order.holds[0];
    assert_eq!((hold.shown_minor, hold.current_minor), (Some(PRICE_MINOR), Some(1_300)));
    done(app, &world, &mut anna).await;
}

/// What the first customer owes, by the books.
fn books_say(world: &World, receivable: Receivable) -> Command {
    let receivable_id = bytes(world.receivables[0]);
    Command::SetReceivable(SetReceivable { receivable_id, receivable: Some(receivable), ..SetReceivable::default() })
}

async fn c09_an_order_above_the_limit_is_held_and_released_by_a_payment_to_the_books(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let debt = |minor| books_say(&world, world.receivable(0, minor));
    app.office(debt(99_000)).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldCreditLimit), "{outcome:?}");
    let held: Order = app.shown(&anna, id).expect("the order");
    assert_eq!(open_holds(&held), [HoldReason::CreditLimit]);

    app.pass(1);
    app.office(debt(10_000)).await;
    app.sync(&mut anna).await;
    let released: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((released.status(), open_holds(&released)), (OrderStatus::Confirmed, Vec::new()));
    done(app, &world, &mut anna).await;
}

async fn c09_a_payment_asks_the_held_orders_of_its_customer_and_no_others(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let debt = async |customer: usize, minor: i64| {
        app.pass(1);
        let receivable_id = bytes(world.receivables[customer]);
        let receivable = Some(world.receivable(customer, minor));
        let said = SetReceivable { receivable_id, receivable, ..SetReceivable::default() };
        assert_eq!(app.office(Command::SetReceivable(said)).await.status(), Status::Applied);
    };
    let hold = async |anna: &mut TestDevice, customer: usize, number: usize| {
        debt(customer, 99_000).await;
        for _ in 0..number {
            let (_, submit) = order(&app, anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
            let outlet_id = bytes(world.anna.outlets[customer]);
            let agreement_id = bytes(world.agreements[customer]);
            app.capture(anna, Command::SubmitOrder(SubmitOrder { outlet_id, agreement_id, ..submit }));
        }
        let synced = app.sync(anna).await;
        let held = synced.outcomes.iter().filter(|(_, outcome)| status(outcome).1 == Reason::HeldCreditLimit);
        assert_eq!(held.count(), number);
    };
    let waiting = async |customer: usize| -> Vec<Order> {
        let orders = app.stored::<Order>(world.tenant).await.into_values();
        let waits =
            |order: &Order| order.customer_id == bytes(world.customers[customer]) && !open_holds(order).is_empty();
        orders.filter(waits).collect()
    };
    // The records that the books' news of a payment asks for.
    let asked = async || {
        let before = app.metric("roundsman_batch_keys_sum").await.expect("a figure");
        debt(0, 1_000).await;
        app.metric("roundsman_batch_keys_sum").await.expect("a figure") - before
    };
    hold(&mut anna, 0, 3).await;
    let alone = asked().await;
    assert_eq!(waiting(0).await, []);
    hold(&mut anna, 1, 30).await;
    hold(&mut anna, 0, 3).await;
    let others = waiting(1).await;
    let beside = asked().await;
    assert_eq!((waiting(0).await, waiting(1).await), (Vec::new(), others));
    assert_eq!(beside, alone, "however many others wait");
    app.finish().await;
}

async fn c09_two_orders_racing_for_one_limit_do_not_both_pass(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    // Each fits under the limit of 1,000.00, both together do not; and both are of the same customer.
    let lines = [(0, 60, PRICE_MINOR)];
    let (first, submit) = order(&app, &anna, &world, &world.anna, &lines);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    let (second, submit) = order(&app, &boris, &world, &world.boris, &lines);
    app.capture(&mut boris, Command::SubmitOrder(submit));
    let now = app.now_us();
    let (annas, boriss) = tokio::join!(anna.sync(now), boris.sync(now));
    let (annas, boriss) = (annas.expect("synchronizes"), boriss.expect("synchronizes"));
    let mut statuses = [annas.outcomes[0].1.status(), boriss.outcomes[0].1.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [Status::Applied, Status::Held]);
    let orders = app.stored::<Order>(world.tenant).await;
    let confirmed: i64 = [first, second]
        .iter()
        .map(|id| &orders[id])
        .filter(|order| order.status() == OrderStatus::Confirmed)
        .map(|order| order.value_minor)
        .sum();
    assert_eq!(confirmed, 60 * PRICE_MINOR);
    done(app, &world, &mut anna).await;
}

async fn c10_overdue_debt_that_appeared_holds_the_order_until_it_is_paid(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let overdue = |overdue_minor| books_say(&world, Receivable { overdue_minor, ..world.receivable(0, overdue_minor) });
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    app.office(overdue(700)).await;
    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Held, Reason::HeldOverdue), "{synced:?}");
    let payment = cash(&app, &world, 700);
    assert_eq!(app.decide(&mut anna, Command::CollectPayment(payment)).await.status(), Status::Applied);
    app.pass(1);
    app.office(overdue(0)).await;
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), open_holds(&order)), (OrderStatus::Confirmed, Vec::new()));
    done(app, &world, &mut anna).await;
}

async fn c11_what_is_not_in_stock_is_confirmed_in_part(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let stock = Some(world.stock(0, 3_000));
    let stocks = vec![StockToSet { stock_id: bytes(world.stocks[0]), stock }];
    app.office(Command::SetStock(SetStock { stocks })).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR), (1, 1, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::PartlyConfirmed), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    let told: Vec<_> = outcome.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
    assert_eq!(told, [("confirmed_milli", "3000"), ("difference", "LINE_DIFFERENCE_STOCK_SHORT")]);
    assert!(outcome.facts.iter().all(|fact| fact.record_id == order.lines[0].line_id), "{outcome:?}");
    assert_eq!((order.lines[0].ordered_milli, order.lines[0].confirmed_milli), (5_000, 3_000));
    assert_eq!(order.lines[0].difference(), LineDifference::StockShort);
    assert_eq!(order.value_minor, 4 * PRICE_MINOR);
    done(app, &world, &mut anna).await;
}

/// The customer's agreement wants this where stock does not suffice.
async fn shortage(app: &TestApp, world: &World, rule: ShortageRule) {
    let agreement = Agreement { shortage_rule: rule.into(), credit_limit_minor: None, ..world.agreement(0) };
    import(app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
}

/// So much of an article lies in the warehouse.
pub(crate) async fn counted(app: &TestApp, world: &World, article: usize, on_hand_milli: i64) {
    app.pass(1);
    let stock = Some(Stock { as_of_us: app.now_us(), ..world.stock(article, on_hand_milli) });
    let stocks = vec![StockToSet { stock_id: bytes(world.stocks[article]), stock }];
    let outcome = app.office(Command::SetStock(SetStock { stocks })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn c11_a_back_order_is_promised_and_gets_what_comes(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    shortage(&app, &world, ShortageRule::BackOrder).await;
    counted(&app, &world, 0, 3_000).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::PartlyConfirmed), "{outcome:?}");
    let promised: Order = app.shown(&anna, id).expect("the order");
    let line = &promised.lines[0];
    assert_eq!((promised.status(), line.confirmed_milli, line.reserved_milli), (OrderStatus::Confirmed, 5_000, 3_000));
    let release = || Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), ..ReleaseOrder::default() });
    let outcome = app.office(release()).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::StockAwaited), "{outcome:?}");
    counted(&app, &world, 0, 9_000).await;
    app.sync(&mut anna).await;
    let whole: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((whole.lines[0].reserved_milli, whole.lines[0].difference()), (5_000, LineDifference::Unspecified));
    assert_eq!(app.office(release()).await.status(), Status::Applied);
    done(app, &world, &mut anna).await;
}

async fn c11_a_delivery_of_much_reaches_those_who_wait_for_it_beside_many_who_do_not(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let standard = app.id();
    let terms = Agreement { customer_id: Vec::new(), credit_limit_minor: None, ..world.agreement(0) };
    let terms = Agreement { shortage_rule: ShortageRule::BackOrder.into(), ..terms };
    import(&app, vec![entry(standard, Record::Agreement(terms))]).await;
    // Three articles, in the order in which the server serves those who wait for them.
    let mut articles = [0, 1, 2];
    articles.sort_by_key(|article| world.products[*article]);
    for article in articles {
        counted(&app, &world, article, 0).await;
    }
    let [none, little, much] = articles;
    let outlets: Vec<Uuid> = (0..100).map(|_| app.id()).collect();
    let shops = outlets.iter().flat_map(|id| {
        let customer = app.id();
        let agreement_ids = vec![bytes(standard)];
        let shop = Outlet { customer_id: bytes(customer), agreement_ids, ..world.outlet(&world.anna, 0) };
        let owner = Customer { name: "Shop".to_owned(), ..Customer::default() };
        [entry(customer, Record::Customer(owner)), entry(*id, Record::Outlet(shop))]
    });
    import(&app, shops.collect()).await;
    let [one, ..] = outlets[..] else { panic!("a hundred outlets") };
    for (article, outlets) in [(none, vec![one; 60]), (little, vec![one; 60]), (much, outlets)] {
        for outlet in &outlets {
            let (_, submit) = order(&app, &anna, &world, &world.anna, &[(article, 1, PRICE_MINOR)]);
            let (outlet_id, agreement_id) = (bytes(*outlet), bytes(standard));
            app.capture(&mut anna, Command::SubmitOrder(SubmitOrder { outlet_id, agreement_id, ..submit }));
        }
    }
    while !app.sync(&mut anna).await.outcomes.is_empty() {}
    // The server has not seen them for long.
    app.forget_records().await;
    let figure = |article: usize, on_hand_milli: i64| {
        let stock = Stock { as_of_us: app.now_us(), ..world.stock(article, on_hand_milli) };
        StockToSet { stock_id: bytes(world.stocks[article]), stock: Some(stock) }
    };
    app.pass(1);
    let stocks = vec![figure(none, 0), figure(little, 1_000), figure(much, 500_000)];
    let outcome = app.office(Command::SetStock(SetStock { stocks })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let served = async || {
        let orders = app.stored::<Order>(world.tenant).await;
        articles.map(|article| {
            let whole = |order: &&Order| {
                let line = &order.lines[0];
                line.product_id == bytes(world.products[article]) && line.reserved_milli == line.ordered_milli
            };
            orders.values().filter(whole).count()
        })
    };
    // Who can't be asked by the command itself is asked by the server.
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert_eq!(served().await, [0, 1, 100]);
    done(app, &world, &mut anna).await;
}

async fn c11_orders_that_wait_for_stock_are_served_in_turn(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    shortage(&app, &world, ShortageRule::ShipComplete).await;
    counted(&app, &world, 0, 0).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        app.pass(1);
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
        let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
        assert_eq!(status(&outcome), (Status::Held, Reason::HeldStock), "{outcome:?}");
        ids.push(id);
    }
    counted(&app, &world, 0, 7_000).await;
    app.sync(&mut anna).await;
    let states = |app: &TestApp, anna: &TestDevice| -> Vec<OrderStatus> {
        ids.iter().map(|id| app.shown::<Order>(anna, *id).expect("the order").status()).collect()
    };
    let (submitted, confirmed, cancelled) = (OrderStatus::Submitted, OrderStatus::Confirmed, OrderStatus::Cancelled);
    assert_eq!(states(&app, &anna), [confirmed, submitted, submitted], "there is enough for one");
    let cancel = CancelOrder { order_id: bytes(ids[0]), reason: "by mistake".to_owned() };
    app.decide(&mut anna, Command::CancelOrder(cancel)).await;
    assert_eq!(states(&app, &anna), [cancelled, confirmed, submitted], "what one gives back the next one gets");
    done(app, &world, &mut anna).await;
}

async fn c11_what_is_missing_is_taken_from_the_successor(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    shortage(&app, &world, ShortageRule::Substitute).await;
    let product = app.stored::<Product>(world.tenant).await[&world.products[0]].clone();
    let successor = Product { successor_id: bytes(world.products[1]), ..product };
    import(&app, vec![entry(world.products[0], Record::Product(successor))]).await;
    set_price(&app, &world, 1, 900).await;
    counted(&app, &world, 0, 3_000).await;
    app.sync(&mut anna).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::PartlyConfirmed), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    let [short, instead] = order.lines.as_slice() else { panic!("two lines: {order:?}") };
    assert_eq!((short.confirmed_milli, short.difference()), (3_000, LineDifference::Substituted));
    assert_eq!((&instead.product_id, instead.confirmed_milli), (&bytes(world.products[1]), 2_000));
    assert_eq!((&instead.substitutes_line_id, order.value_minor), (&short.line_id, 3 * PRICE_MINOR + 2 * 900));
    done(app, &world, &mut anna).await;
}

async fn c11_two_hundred_devices_racing_for_the_last_ten_get_ten_between_them(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    // Of each order's two articles there are ten pieces of the first, and the limit is 200.00.
    let agreement = Agreement { credit_limit_minor: Some(20_000), ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
    counted(&app, &world, 0, 10_000).await;
    let mut devices = Vec::new();
    for index in 0..200 {
        let mut device = app.device(if index % 2 == 0 { "anna" } else { "boris" }).await;
        app.sync(&mut device).await;
        let rep = if index % 2 == 0 { &world.anna } else { &world.boris };
        let (_, submit) = order(&app, &device, &world, rep, &[(0, 1, PRICE_MINOR), (1, 1, PRICE_MINOR)]);
        app.capture(&mut device, Command::SubmitOrder(submit));
        devices.push(device);
    }
    let now = app.now_us();
    let synced = futures::future::join_all(devices.iter_mut().map(|device| device.sync(now))).await;
    let outcomes: Vec<Outcome> = synced
        .into_iter()
        .flat_map(|synced| synced.expect("synchronizes").outcomes)
        .map(|(_, outcome)| outcome)
        .collect();
    assert_eq!(outcomes.len(), 200);
    let orders = app.stored::<Order>(world.tenant).await;
    let taken: Vec<&Order> = orders.values().filter(|order| order.status() == OrderStatus::Confirmed).collect();
    let of_first: i64 = taken.iter().map(|order| order.lines[0].confirmed_milli).sum();
    let value: i64 = taken.iter().map(|order| order.value_minor).sum();
    assert_eq!((of_first, value), (10_000, 20_000), "the stock and the limit to the last, and nothing beyond");
    let told = |order: &&Order| {
        if order.status() != OrderStatus::Confirmed {
            return open_holds(order) == [HoldReason::CreditLimit];
        }
        let [first, _] = order.lines.as_slice() else { return false };
        first.confirmed_milli == first.ordered_milli || first.difference() == LineDifference::StockShort
    };
    assert_eq!(orders.values().filter(told).count(), 200, "every loser is told which line and why");
    let held = outcomes.iter().filter(|outcome| outcome.status() == Status::Held).count();
    assert_eq!(held, 200 - taken.len());
    done(app, &world, &mut anna).await;
}

async fn c13_an_order_for_a_blocked_outlet_is_held(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let block = BlockOutlet { outlet_id: bytes(world.anna.outlets[0]), blocked: true, reason: "unpaid".to_owned() };
    app.office(Command::BlockOutlet(block)).await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldOutletBlocked), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!(open_holds(&order), [HoldReason::OutletBlocked]);
    done(app, &world, &mut anna).await;
}

async fn c13_an_order_from_before_a_hand_over_is_taken_within_the_grace(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (taken, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    let (late, submit) = order(&app, &anna, &world, &world.anna, &[(1, 5, PRICE_MINOR)]);
    let late_command = (app.now_us(), Command::SubmitOrder(submit));
    let hand_over = HandTerritoryOver {
        assignment_id: bytes(app.id()),
        territory_id: bytes(world.anna.territory),
        from_rep_id: bytes(world.anna.rep),
        to_rep_id: bytes(world.boris.rep),
        from_day: TODAY + 1,
    };
    let outcome = app.office(Command::HandTerritoryOver(hand_over)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.pass(24 * 60);
    let boundary = ApplyAssignments { territory_id: bytes(world.anna.territory), day: TODAY + 1 };
    app.server(world.tenant, Command::ApplyAssignments(boundary)).await;

    let synced = app.sync(&mut anna).await;
    assert_eq!(synced.outcomes[0].1.status(), Status::Applied, "{:?}", synced.outcomes);
    assert!(app.shown::<Order>(&anna, taken).is_none(), "the territory is no longer hers");
    assert_eq!(app.stored::<Order>(world.tenant).await[&taken].status(), OrderStatus::Confirmed);
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    assert!(app.shown::<Order>(&boris, taken).is_some(), "it is his now");

    app.pass(4 * 24 * 60);
    let id = app.capture_at(&mut anna, late_command.1, (late_command.0, TODAY));
    let synced = app.sync(&mut anna).await;
    assert_eq!(synced.outcomes[0].0, id);
    assert_eq!(status(&synced.outcomes[0].1), (Status::Rejected, Reason::GraceExceeded));
    assert!(!app.stored::<Order>(world.tenant).await.contains_key(&late));
    done(app, &world, &mut anna).await;
}

async fn c13_a_hand_over_from_today_on_takes_back_nothing_of_this_morning(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (taken, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    app.pass(5);
    let hand_over = HandTerritoryOver {
        assignment_id: bytes(app.id()),
        territory_id: bytes(world.anna.territory),
        from_rep_id: bytes(world.anna.rep),
        to_rep_id: bytes(world.boris.rep),
        from_day: TODAY,
    };
    let outcome = app.office(Command::HandTerritoryOver(hand_over)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.pass(3);
    let synced = app.sync(&mut anna).await;
    assert_eq!(synced.outcomes[0].1.status(), Status::Applied, "{:?}", synced.outcomes);
    assert!(app.shown::<Order>(&anna, taken).is_none(), "the territory is no longer hers");
    assert_eq!(app.stored::<Order>(world.tenant).await[&taken].status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

/// A visit that the route plans for today.
async fn planned(app: &TestApp, world: &World, anna: &mut TestDevice) -> Uuid {
    let (route_id, outlet) = (app.id(), world.anna.outlets[0]);
    let stop = RouteStop { outlet_id: bytes(outlet), weekdays: 127, sequence: 1, ..RouteStop::default() };
    let route = Route {
        name: "North".to_owned(),
        territory_id: bytes(world.anna.territory),
        cycle_start_day: TODAY,
        stops: vec![stop],
        ..Route::default()
    };
    let record = RecordToImport { record_id: bytes(route_id), record: Some(Record::Route(route)), closed_month: 0 };
    app.office(Command::ImportRecords(ImportRecords { records: vec![record] })).await;
    let plan = PlanVisits { territory_id: bytes(world.anna.territory), day: TODAY, after_visit_id: Vec::new() };
    let outcome = app.server(world.tenant, Command::PlanVisits(plan)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.sync(anna).await;
    let visit = roundsman::internal::planned_visit_id(route_id, outlet, TODAY);
    let shown: Visit = app.shown(anna, visit).expect("the planned visit");
    assert_eq!((shown.state(), shown.rep_id), (VisitState::Planned, bytes(world.anna.rep)));
    visit
}

fn visited(world: &World, visit: Uuid) -> [Command; 2] {
    let check_in = CheckIn {
        visit_id: bytes(visit),
        outlet_id: bytes(world.anna.outlets[0]),
        planned_day: TODAY,
        point: Some(place()),
    };
    let check_out = CheckOut { visit_id: bytes(visit), productive: true, point: Some(place()), ..CheckOut::default() };
    [Command::CheckIn(check_in), Command::CheckOut(check_out)]
}

async fn c13_what_was_captured_for_a_duplicate_goes_to_the_outlet_that_remains(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [duplicate, survivor] = [world.anna.outlets[0], world.anna.outlets[1]];
    // The same shop, twice: both have the same terms.
    let twin = Outlet { agreement_ids: vec![bytes(world.agreements[0])], ..world.outlet(&world.anna, 1) };
    import(&app, vec![entry(survivor, Record::Outlet(twin))]).await;
    let (earlier, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    let (later, submit) = order(&app, &anna, &world, &world.anna, &[(1, 3, PRICE_MINOR)]);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    let archive = ArchiveOutlet { outlet_id: bytes(duplicate), survivor_id: bytes(survivor) };
    assert_eq!(app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Merged, Reason::OutletMerged), "{synced:?}");
    for id in [earlier, later] {
        assert_eq!(app.shown::<Order>(&anna, id).expect("the order").outlet_id, bytes(survivor));
    }
    assert!(app.shown::<Outlet>(&anna, duplicate).is_none());
    done(app, &world, &mut anna).await;
}

async fn c13_an_order_by_the_terms_of_a_duplicate_is_held_until_somebody_agrees(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [duplicate, survivor] = [world.anna.outlets[0], world.anna.outlets[1]];
    let lines = [(0, 5, PRICE_MINOR)];
    let [(first, one), (second, two), (_, by_none)] = [(); 3].map(|()| order(&app, &anna, &world, &world.anna, &lines));
    let stranger = app.id();
    let not_listed = Record::Agreement(Agreement { customer_id: bytes(world.customers[0]), ..world.agreement(0) });
    import(&app, vec![entry(stranger, not_listed)]).await;
    let by_none = SubmitOrder { agreement_id: bytes(stranger), ..by_none };
    for submit in [one, two, by_none] {
        app.capture(&mut anna, Command::SubmitOrder(submit));
    }
    let archive = ArchiveOutlet { outlet_id: bytes(duplicate), survivor_id: bytes(survivor) };
    assert_eq!(app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    let synced = app.sync(&mut anna).await;
    let statuses: Vec<_> = synced.outcomes.iter().map(|(_, outcome)| status(outcome)).collect();
    let held = (Status::Held, Reason::HeldTermsExpired);
    assert_eq!(statuses, [held, held, (Status::Rejected, Reason::Mismatch)], "{synced:?}");
    for id in [first, second] {
        let order: Order = app.shown(&anna, id).expect("it is not lost");
        assert_eq!((order.outlet_id.clone(), open_holds(&order)), (bytes(survivor), vec![HoldReason::TermsExpired]));
        assert!(order.holds[0].facts.contains("does not list the agreement"), "{}", order.holds[0].facts);
    }

    // What the outlet that remains never had, nobody gets by its name.
    let (_, straight) = order(&app, &anna, &world, &world.anna, &lines);
    let straight = SubmitOrder { outlet_id: bytes(survivor), ..straight };
    let outcome = app.decide(&mut anna, Command::SubmitOrder(straight)).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::Mismatch), "{outcome:?}");

    let release = ReleaseHold {
        order_id: bytes(first),
        reason: HoldReason::TermsExpired.into(),
        comment: "as he was promised".to_owned(),
        ..ReleaseHold::default()
    };
    assert_eq!(app.office(Command::ReleaseHold(release)).await.status(), Status::Applied);
    let add = EditOutlet {
        outlet_id: bytes(survivor),
        add_agreement_ids: vec![bytes(world.agreements[0])],
        ..EditOutlet::default()
    };
    assert_eq!(app.office(Command::EditOutlet(add)).await.status(), Status::Applied);
    app.sync(&mut anna).await;
    let released = |id| {
        let order: Order = app.shown(&anna, id).expect("the order");
        (order.status(), order.holds[0].released_by.clone())
    };
    assert_eq!(released(first), (OrderStatus::Confirmed, "the administrator".to_owned()));
    assert_eq!(released(second), (OrderStatus::Confirmed, "rule: its cause has gone".to_owned()));
    done(app, &world, &mut anna).await;
}

async fn c17_a_visit_that_was_called_off_and_done_all_the_same_counts(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let visit = planned(&app, &world, &mut anna).await;
    let cancel = CancelVisit { visit_id: bytes(visit), reason: "closed for repairs".to_owned() };
    assert_eq!(app.office(Command::CancelVisit(cancel)).await.status(), Status::Applied);
    let [check_in, check_out] = visited(&world, visit);
    app.capture(&mut anna, check_in);
    app.pass(10);
    app.capture(&mut anna, check_out);
    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Merged, Reason::FactWins), "{:?}", synced.outcomes);
    let shown: Visit = app.shown(&anna, visit).expect("the visit");
    assert_eq!((shown.state(), shown.productive), (VisitState::Completed, true));
    assert!(shown.flags.contains(&VisitFlag::DoneAfterCancel.into()));
    done(app, &world, &mut anna).await;
}

async fn a_visit_ends_on_the_day_on_which_it_began_wherever_its_outlet_is_then(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let far = app.id();
    let territory = Territory {
        name: "Far east".to_owned(),
        team_id: bytes(world.team),
        time_zone: "Asia/Tokyo".to_owned(),
        warehouse_id: bytes(world.warehouse),
        ..Territory::default()
    };
    import(&app, vec![entry(far, Record::Territory(territory))]).await;
    let mut anna = app.device("anna").await;
    // In the evening, when it is tomorrow in the far east.
    app.pass(12 * 60);
    let visit = app.id();
    app.decide(&mut anna, check_in(visit, world.anna.outlets[0])).await;
    let (outlet_id, territory_id) = (bytes(world.anna.outlets[0]), bytes(far));
    let moved = app.office(Command::MoveOutlet(MoveOutlet { outlet_id, territory_id })).await;
    assert_eq!(moved.status(), Status::Applied);
    let out = CheckOut { visit_id: bytes(visit), productive: true, point: Some(place()), ..CheckOut::default() };
    assert_eq!(app.decide(&mut anna, Command::CheckOut(out)).await.status(), Status::Applied);
    let next = app.decide(&mut anna, check_in(app.id(), world.anna.outlets[1])).await;
    assert_eq!((next.status(), next.reason()), (Status::Applied, Reason::Unspecified), "no other visit is in progress");
    assert_eq!(roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    app.finish().await;
}

async fn c18_a_visit_marked_missed_is_reversed_by_the_late_fact(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let visit = planned(&app, &world, &mut anna).await;
    let [check_in, check_out] = visited(&world, visit);
    app.capture(&mut anna, check_in);
    app.pass(10);
    app.capture(&mut anna, check_out);
    app.pass(20 * 60);
    let mark = MarkMissedVisits { territory_id: bytes(world.anna.territory), day: TODAY, after_visit_id: Vec::new() };
    app.server(world.tenant, Command::MarkMissedVisits(mark)).await;
    assert_eq!(app.stored::<Visit>(world.tenant).await[&visit].state(), VisitState::Missed);
    app.sync(&mut anna).await;
    let shown: Visit = app.shown(&anna, visit).expect("the visit");
    assert_eq!(shown.state(), VisitState::Completed);
    assert!(shown.flags.contains(&VisitFlag::ReportedLate.into()), "{shown:?}");
    done(app, &world, &mut anna).await;
}

async fn c19_two_phones_of_one_rep_are_two_devices_with_one_visit_in_progress(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut tablet = app.device("anna").await;
    app.sync(&mut tablet).await;
    let visit = app.id();
    let outcome = app.decide(&mut anna, check_in(visit, world.anna.outlets[0])).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let outcome = app.decide(&mut tablet, check_in(app.id(), world.anna.outlets[1])).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::AnotherVisitInProgress), "{outcome:?}");
    let (id, submit) = order(&app, &tablet, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut tablet, Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.status(), Status::Applied, "each pushes under its own numbers: {outcome:?}");
    let out = CheckOut { visit_id: bytes(visit), productive: true, point: Some(place()), ..CheckOut::default() };
    assert_eq!(app.decide(&mut tablet, Command::CheckOut(out)).await.status(), Status::Applied, "on whichever phone");
    app.sync(&mut anna).await;
    assert!(app.shown::<Order>(&anna, id).is_some());
    app.assert_converged(&tablet, &world.caller(&world.anna)).await;
    done(app, &world, &mut anna).await;
}

async fn c20_what_a_wrong_clock_says_is_corrected_and_flagged(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let ahead_us = 2 * 3_600 * 1_000_000;
    anna.sync(app.now_us() + ahead_us).await.expect("synchronizes");
    let visit = app.id();
    app.capture_at(&mut anna, check_in(visit, world.anna.outlets[0]), (app.now_us() + ahead_us, TODAY));
    let synced = anna.sync(app.now_us() + ahead_us).await.expect("synchronizes");
    assert_eq!(synced.outcomes[0].1.status(), Status::Applied, "{synced:?}");
    let shown: Visit = app.shown(&anna, visit).expect("the visit");
    let off_us = (shown.checked_in_at_us - app.now_us()).abs();
    assert!(off_us < 60_000_000, "it was now, and not in two hours: {off_us}");
    assert!(shown.flags.contains(&VisitFlag::ClockCorrected.into()), "{shown:?}");
    done(app, &world, &mut anna).await;
}

/// Cash of the first customer.
pub(crate) fn cash(app: &TestApp, world: &World, amount_minor: i64) -> CollectPayment {
    CollectPayment {
        payment_id: bytes(app.id()),
        outlet_id: bytes(world.anna.outlets[0]),
        customer_id: bytes(world.customers[0]),
        amount_minor,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        ..CollectPayment::default()
    }
}

async fn c22_cash_is_taken_when_the_debt_is_gone(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let debt = |minor| books_say(&world, world.receivable(0, minor));
    app.office(debt(500)).await;
    app.sync(&mut anna).await;
    let payment = cash(&app, &world, 500);
    let id = Uuid::from_slice(&payment.payment_id).expect("an id");
    app.capture(&mut anna, Command::CollectPayment(payment));
    app.pass(1);
    app.office(debt(0)).await;
    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Applied, Reason::TakenAsAdvance), "{synced:?}");
    assert!(app.shown::<Payment>(&anna, id).is_some(), "money is never refused");
    done(app, &world, &mut anna).await;
}

async fn c23_what_was_delivered_short_flows_back_and_opens_a_claim(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, before) = submitted(&app, &world, &mut anna).await;
    let (shipment, claim) = (app.id(), app.id());
    let line = |index: usize| before.lines[index].line_id.clone();
    let prepare = PrepareShipment {
        shipment_id: bytes(shipment),
        order_id: bytes(id),
        warehouse_id: bytes(world.warehouse),
        ..PrepareShipment::default()
    };
    let shipped = ShippedLine { line_id: line(0), picked_milli: 4_000, short_reason: ShortReason::Damaged.into() };
    let ship = ShipShipment { shipment_id: bytes(shipment), lines: vec![shipped], comment: String::new() };
    let delivered = DeliveredLine { line_id: line(1), delivered_milli: 2_000, ..DeliveredLine::default() };
    let deliver = DeliverShipment {
        shipment_id: bytes(shipment),
        lines: vec![delivered],
        reclamation_id: bytes(claim),
        ..DeliverShipment::default()
    };
    app.user("lars", Role::Logistics, None, None).await;
    let lars = app.token("lars").await;
    for command in [
        Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), ..ReleaseOrder::default() }),
        Command::PrepareShipment(prepare),
        Command::ShipShipment(ship),
        Command::DeliverShipment(deliver),
    ] {
        let outcome = app.office_as(&lars, app.id(), command).await.expect("logistics is answered");
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Closed, Fulfilment::PartlyDelivered));
    let delivered: Vec<i64> = order.lines.iter().map(|line| line.delivered_milli).collect();
    assert_eq!(delivered, [4_000, 2_000]);
    // What was promised and did not come is told before the customer calls.
    let broken = |past: &PastPromise| (past.quantity_milli, past.outcome(), past.reason());
    let (is_broken, user) = (PromiseOutcome::Broken, bytes(world.anna.user));
    assert_eq!(
        order.past_promises.iter().map(broken).collect::<Vec<_>>(),
        [(5_000, is_broken, LineDifference::PickedShort), (3_000, is_broken, LineDifference::DeliveredShort)]
    );
    assert!(order.past_promises.iter().all(|past| past.promised_by_id == user && !past.ended_by_id.is_empty()));
    assert_eq!(order.broken_promises, 2);
    let claim: Reclamation = app.shown(&anna, claim).expect("a claim was opened");
    assert_eq!(claim.cause(), ReclamationCause::DeliveryDiscrepancy);
    assert_eq!(claim.lines.iter().map(|line| line.claimed_milli).collect::<Vec<_>>(), [1_000]);
    done(app, &world, &mut anna).await;
}

async fn c26_an_edit_of_an_outlet_that_is_gone_is_rejected_and_kept(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let outlet = world.anna.outlets[1];
    let comment = Some(StringChange { base: String::new(), value: "ring twice".to_owned() });
    let edit = EditOutlet { outlet_id: bytes(outlet), comment, ..EditOutlet::default() };
    let id = app.capture(&mut anna, Command::EditOutlet(edit));
    let archive = ArchiveOutlet { outlet_id: bytes(outlet), survivor_id: Vec::new() };
    let outcome = app.office(Command::ArchiveOutlet(archive)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let synced = app.sync(&mut anna).await;
    assert_eq!(synced.outcomes[0].1.status(), Status::Rejected);
    assert!(matches!(synced.outcomes[0].1.reason(), Reason::OutletArchived | Reason::Removed), "{synced:?}");
    assert!(app.shown::<Outlet>(&anna, outlet).is_none(), "it stays gone");
    assert!(app.kept_body(id).await.is_some(), "what was captured can be read again");
    done(app, &world, &mut anna).await;
}

async fn c32_an_order_goes_on_when_the_one_that_it_may_repeat_is_called_off(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let lines = [(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)];
    let (first, by_phone) = order(&app, &anna, &world, &world.anna, &lines);
    assert_eq!(app.office(Command::SubmitOrder(by_phone)).await.status(), Status::Applied);
    let (second, submit) = order(&app, &anna, &world, &world.anna, &lines);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldDuplicateSuspect), "{outcome:?}");
    let held: Order = app.shown(&anna, second).expect("the order");
    assert_eq!(held.holds[0].other_order_id, bytes(first));
    let cancel = CancelOrder { order_id: bytes(first), reason: "ordered twice".to_owned() };
    assert_eq!(app.office(Command::CancelOrder(cancel)).await.status(), Status::Applied);
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, second).expect("the order");
    let released_by = order.holds[0].released_by.as_str();
    assert_eq!((order.status(), released_by), (OrderStatus::Confirmed, "rule: its cause has gone"));
    done(app, &world, &mut anna).await;
}

async fn c32_the_chain_ordered_what_the_rep_has_taken_as_well(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let lines = [(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)];
    let by_chain = |lines: Lines<'_>| {
        let (id, mut submit) = order(&app, &anna, &world, &world.anna, lines);
        for line in &mut submit.lines {
            // A chain sends no prices.
            (line.price_id, line.price_version, line.shown_price_minor) = (Vec::new(), 0, 0);
        }
        (id, Command::SubmitOrder(submit))
    };
    let (first, command) = by_chain(&lines);
    let outcome = app.office(command).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.sync(&mut anna).await;
    let chains: Order = app.shown(&anna, first).expect("the rep sees it");
    assert_eq!((chains.value_minor, chains.rep_id.len()), (8 * PRICE_MINOR, 0), "at the list's prices");
    let (id, submit) = order(&app, &anna, &world, &world.anna, &lines);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldDuplicateSuspect), "{outcome:?}");
    let held: Order = app.shown(&anna, id).expect("the order");
    assert!(held.holds[0].facts.contains(&first.to_string()), "{}", held.holds[0].facts);
    let (_, other) = order(&app, &anna, &world, &world.anna, &[(5, 1, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(other)).await;
    assert_eq!(outcome.status(), Status::Applied, "other goods: {outcome:?}");
    let release = ReleaseHold {
        order_id: bytes(id),
        reason: HoldReason::DuplicateSuspect.into(),
        comment: "he wants both".to_owned(),
        ..ReleaseHold::default()
    };
    assert_eq!(app.office(Command::ReleaseHold(release)).await.status(), Status::Applied);
    done(app, &world, &mut anna).await;
}
