//! Customers that were one: everything that hangs on the duplicate hangs on the survivor.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundsman::cli::customer;
use roundsman::jobs::Jobs;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, ChangeOrder, CollectPayment, Contract, Customer, HoldReason, Int64Change, MergeCustomers, Order,
    OrderLineChange, OrderLineEdit, OrderStatus, Outlet, Payment, Reason, Receivable, SubmitOrder,
    order_line_edit::Edit,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{cash, done, open_holds, order, ready, status};
use crate::desk::{entry, import};
use crate::import::session;

on_both_databases!(
    c14_what_hangs_on_a_duplicate_hangs_on_the_survivor,
    c14_held_orders_go_where_the_survivors_credit_lets_them,
    c14_a_large_customer_is_merged_in_steps_and_what_comes_meanwhile_is_the_survivors,
    c14_what_nobody_asks_for_again_the_server_merges_by_itself,
    c14_a_bad_survivor_is_refused,
    c14_customers_of_many_territories_get_a_scope_of_their_own_together,
    c14_a_customer_that_pays_for_many_outlets_is_merged_in_steps,
    c14_held_orders_wait_until_all_that_counts_has_moved,
    c14_what_waited_for_a_dead_contract_goes_under_the_survivors,
    c14_orders_at_outlets_that_have_not_followed_are_the_survivors,
    c14_an_outlet_of_two_duplicates_counts_once,
);

fn merging(duplicate: Uuid, survivor: Uuid) -> Command {
    Command::MergeCustomers(MergeCustomers { duplicate_id: bytes(duplicate), survivor_id: bytes(survivor) })
}

/// An order by agreement 1, at the outlet of customer 1.
fn order_of_duplicate(app: &TestApp, world: &World, anna: &TestDevice, pieces: i64) -> (Uuid, Command) {
    let (id, submit) = order(app, anna, world, &world.anna, &[(0, pieces, PRICE_MINOR)]);
    let (outlet_id, agreement_id) = (bytes(world.anna.outlets[1]), bytes(world.agreements[1]));
    (id, Command::SubmitOrder(SubmitOrder { outlet_id, agreement_id, ..submit }))
}

fn cash_of_duplicate(app: &TestApp, world: &World, amount_minor: i64) -> CollectPayment {
    CollectPayment {
        outlet_id: bytes(world.anna.outlets[1]),
        customer_id: bytes(world.customers[1]),
        ..cash(app, world, amount_minor)
    }
}

/// Whose the live records of a kind are that name a customer.
async fn customers_of<R: roundsman_sync::kind::Record>(
    app: &TestApp,
    world: &World,
    customer: impl Fn(R) -> Vec<u8>,
) -> BTreeSet<Vec<u8>> {
    app.stored::<R>(world.tenant).await.into_values().map(customer).collect()
}

async fn c14_what_hangs_on_a_duplicate_hangs_on_the_survivor(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let contract = Contract {
        number: "7/26".to_owned(),
        customer_id: bytes(duplicate),
        currency: CURRENCY.to_owned(),
        ..Contract::default()
    };
    let (contract_id, receivable_id) = (app.id(), app.id());
    import(&app, vec![entry(contract_id, Record::Contract(contract))]).await;
    let owed = Receivable { contract_id: bytes(contract_id), ..world.receivable(1, 700) };
    import(&app, vec![entry(receivable_id, Record::Receivable(owed))]).await;
    let (first, submit) = order_of_duplicate(&app, &world, &anna, 2);
    assert_eq!(app.decide(&mut anna, submit).await.status(), Status::Applied);
    let paid = app.decide(&mut anna, Command::CollectPayment(cash_of_duplicate(&app, &world, 300))).await;
    assert_eq!(paid.status(), Status::Applied);
    // She takes an order and money while she is offline and the office merges.
    let (later, submit) = order_of_duplicate(&app, &world, &anna, 3);
    app.capture(&mut anna, submit);
    let late = cash_of_duplicate(&app, &world, 50);
    app.capture(&mut anna, Command::CollectPayment(late.clone()));
    let mut session = session(&app).await;
    customer::merge(&mut session, || app.id(), (duplicate, survivor), |_| {}).await.expect("is merged");
    session.close().await;
    let synced = app.sync(&mut anna).await;
    assert!(synced.outcomes.iter().all(|(_, outcome)| outcome.status() == Status::Applied), "{synced:?}");
    // The same once more, by a phone that did not hear.
    let again = app.decide(&mut anna, Command::CollectPayment(late)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));

    let only = BTreeSet::from([bytes(survivor)]);
    assert_eq!(customers_of::<Order>(&app, &world, |order| order.customer_id).await, only);
    assert_eq!(customers_of::<Payment>(&app, &world, |payment| payment.customer_id).await, only);
    assert_eq!(customers_of::<Receivable>(&app, &world, |owes| owes.customer_id).await, only);
    assert_eq!(customers_of::<Contract>(&app, &world, |contract| contract.customer_id).await, only);
    assert_eq!(customers_of::<Agreement>(&app, &world, |agreement| agreement.customer_id).await, only);
    assert_eq!(customers_of::<Outlet>(&app, &world, |outlet| outlet.customer_id).await, only);
    let orders = app.stored::<Order>(world.tenant).await;
    for id in [first, later] {
        assert_eq!(orders[&id].contract_id, bytes(contract_id), "that of the duplicate goes with it");
    }
    assert_eq!(app.shown::<Customer>(&anna, duplicate), None);
    assert!(app.shown::<Customer>(&anna, survivor).is_some());
    done(app, &world, &mut anna).await;
}

async fn c14_held_orders_go_where_the_survivors_credit_lets_them(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let books =
        |index: usize, minor| entry(world.receivables[index], Record::Receivable(world.receivable(index, minor)));
    import(&app, vec![books(0, -50_000), books(1, 99_500)]).await;
    let (id, submit) = order_of_duplicate(&app, &world, &anna, 5);
    assert_eq!(app.decide(&mut anna, submit).await.reason(), Reason::HeldCreditLimit);
    let outcome = app.office(merging(world.customers[1], world.customers[0])).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let order = app.stored::<Order>(world.tenant).await.remove(&id).expect("the order");
    assert_eq!((order.status(), open_holds(&order)), (OrderStatus::Confirmed, Vec::new()));
    done(app, &world, &mut anna).await;
}

async fn c14_a_large_customer_is_merged_in_steps_and_what_comes_meanwhile_is_the_survivors(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let past = |outlet: Uuid| Order {
        outlet_id: bytes(outlet),
        customer_id: bytes(duplicate),
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        value_minor: 10,
        ..Order::default()
    };
    for outlet in [world.anna.outlets[1], world.boris.outlets[1]] {
        import(&app, (0..400).map(|_| entry(app.id(), Record::Order(past(outlet)))).collect()).await;
    }
    let first = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&first), (Status::Applied, Reason::MergeGoesOn), "{first:?}");
    let left: Vec<&str> = first.facts.iter().map(|fact| fact.value.as_str()).collect();
    assert!(left == ["1"] || left == ["2"], "{first:?}");
    // Half of it has moved: what is derived is right all the same, and what comes now is not left behind.
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    let payment = cash_of_duplicate(&app, &world, 50);
    let payment_id = Uuid::from_slice(&payment.payment_id).expect("an id");
    app.decide(&mut anna, Command::CollectPayment(payment)).await;
    assert_eq!(app.stored::<Payment>(world.tenant).await[&payment_id].customer_id, bytes(survivor));
    let of_survivor = CollectPayment { customer_id: bytes(survivor), ..cash_of_duplicate(&app, &world, 60) };
    assert_eq!(app.decide(&mut anna, Command::CollectPayment(of_survivor)).await.status(), Status::Applied);
    let (id, submit) = order_of_duplicate(&app, &world, &anna, 1);
    app.decide(&mut anna, submit).await;
    assert_eq!(app.stored::<Order>(world.tenant).await[&id].customer_id, bytes(survivor));
    let mut commands = 1;
    loop {
        let outcome = app.office(merging(duplicate, survivor)).await;
        commands += 1;
        if outcome.reason() != Reason::MergeGoesOn {
            assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
            break;
        }
    }
    assert_eq!(commands, 2);
    let again = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    let only = BTreeSet::from([bytes(survivor)]);
    assert_eq!(customers_of::<Order>(&app, &world, |order| order.customer_id).await, only);
    done(app, &world, &mut anna).await;
}

async fn c14_what_nobody_asks_for_again_the_server_merges_by_itself(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let past = || Order {
        outlet_id: bytes(world.boris.outlets[1]),
        customer_id: bytes(duplicate),
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        value_minor: 10,
        ..Order::default()
    };
    import(&app, (0..600).map(|_| entry(app.id(), Record::Order(past()))).collect()).await;
    let first = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&first), (Status::Applied, Reason::MergeGoesOn), "{first:?}");
    let both = BTreeSet::from([bytes(survivor), bytes(duplicate)]);
    assert_eq!(customers_of::<Order>(&app, &world, |order| order.customer_id).await, both);
    let jobs = Jobs::new(Arc::clone(&app.core));
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(customers_of::<Order>(&app, &world, |order| order.customer_id).await, BTreeSet::from([bytes(survivor)]));
    let version = app.version(world.tenant).await;
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(app.version(world.tenant).await, version, "nothing is left to be done");
    done(app, &world, &mut anna).await;
}

async fn c14_a_bad_survivor_is_refused(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let third = app.id();
    let customer = Customer { name: "Third".to_owned(), ..Customer::default() };
    import(&app, vec![entry(third, Record::Customer(customer))]).await;
    let [one, other] = [world.customers[0], world.customers[1]];
    let refused = async |duplicate: Uuid, survivor: Uuid| -> (Status, Reason, String) {
        let Outcome { text, .. } = &app.office(merging(duplicate, survivor)).await;
        let outcome = app.office(merging(duplicate, survivor)).await;
        (outcome.status(), outcome.reason(), text.split(':').next().unwrap_or_default().to_owned())
    };
    let no = |reason, field: &str| (Status::Rejected, reason, field.to_owned());
    assert_eq!(refused(one, one).await, no(Reason::BadSurvivor, "survivor_id"));
    assert_eq!(refused(one, app.id()).await, no(Reason::NotFound, "survivor_id"), "or one of another tenant");
    assert_eq!(refused(app.id(), one).await, no(Reason::NotFound, "duplicate_id"));
    assert_eq!(refused(world.anna.outlets[0], one).await.1, Reason::IdOfAnotherKind);
    let rejected = app.decide(&mut anna, merging(other, one)).await;
    assert_eq!(status(&rejected), (Status::Rejected, Reason::RoleNotAllowed));
    assert_eq!(app.office(merging(other, one)).await.status(), Status::Applied);
    assert_eq!(refused(one, other).await, no(Reason::BadSurvivor, "survivor_id"), "no circle");
    assert_eq!(refused(other, third).await, no(Reason::Removed, "duplicate_id"));
    assert_eq!(refused(third, other).await, no(Reason::BadSurvivor, "survivor_id"));
    // What it was merged into may be merged on.
    assert_eq!(app.office(merging(one, third)).await.status(), Status::Applied);
    assert_eq!(app.office(merging(other, one)).await.reason(), Reason::NothingToDo);
    let only = BTreeSet::from([bytes(third)]);
    assert_eq!(customers_of::<Outlet>(&app, &world, |outlet| outlet.customer_id).await, only);
    done(app, &world, &mut anna).await;
}

async fn c14_customers_of_many_territories_get_a_scope_of_their_own_together(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let mut records = Vec::new();
    for number in 0..16 {
        let (territory, outlet) = (app.id(), app.id());
        let record = roundsman_proto::trade::Territory {
            name: format!("Territory {number}"),
            team_id: bytes(world.team),
            time_zone: "Europe/Helsinki".to_owned(),
            warehouse_id: bytes(world.warehouse),
            ..roundsman_proto::trade::Territory::default()
        };
        records.push(entry(territory, Record::Territory(record)));
        // Half of them are of each, and of one outlet both are customers.
        let index = number % 2;
        let mut record = Outlet { territory_id: bytes(territory), ..world.outlet(&world.boris, index) };
        if number == 0 {
            record.agreement_ids.push(bytes(world.agreements[1]));
        }
        records.push(entry(outlet, Record::Outlet(record)));
    }
    import(&app, records).await;
    let outcome = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    app.sync(&mut anna).await;
    assert!(app.shown::<Customer>(&anna, survivor).is_some());
    done(app, &world, &mut anna).await;
}

async fn c14_a_customer_that_pays_for_many_outlets_is_merged_in_steps(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    // They buy by an agreement of the duplicate, and name others or nobody.
    let owners: Vec<Uuid> = (0..300).map(|_| app.id()).collect();
    let owner = || Record::Customer(Customer { name: "Owner".to_owned(), ..Customer::default() });
    import(&app, owners.iter().map(|id| entry(*id, owner())).collect()).await;
    let outlet = |index: usize| {
        let customer_id = owners.get(index).copied().map(bytes).unwrap_or_default();
        Record::Outlet(Outlet { customer_id, ..world.outlet(&world.boris, 1) })
    };
    import(&app, (0..760).map(|index| entry(app.id(), outlet(index))).collect()).await;
    let first = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&first), (Status::Applied, Reason::MergeGoesOn), "{first:?}");
    assert_eq!(first.facts[0].value, "262");
    let second = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&second), (Status::Applied, Reason::Unspecified), "{second:?}");
    assert_eq!(app.office(merging(duplicate, survivor)).await.reason(), Reason::NothingToDo);
    done(app, &world, &mut anna).await;
}

/// New outlets of customer 1 in Anna's territory, in the order in which a merge comes to them. They buy by these agreements.
async fn outlets_of_duplicate(app: &TestApp, world: &World, agreements: &[Uuid]) -> [Uuid; 3] {
    let mut ids = [app.id(), app.id(), app.id()];
    ids.sort_unstable();
    let agreement_ids: Vec<Vec<u8>> = agreements.iter().copied().map(bytes).collect();
    let outlet = || Record::Outlet(Outlet { agreement_ids: agreement_ids.clone(), ..world.outlet(&world.anna, 1) });
    import(app, ids.iter().map(|id| entry(*id, outlet())).collect()).await;
    ids
}

/// So many documents of customer 1 that a merge does not get past this outlet with its first command.
async fn crowd(app: &TestApp, world: &World, outlet: Uuid) {
    let past = || Order {
        outlet_id: bytes(outlet),
        customer_id: bytes(world.customers[1]),
        currency: CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        value_minor: 10,
        ..Order::default()
    };
    import(app, (0..600).map(|_| entry(app.id(), Record::Order(past()))).collect()).await;
}

/// An order of some pieces at an outlet, under an agreement.
fn order_at(
    app: &TestApp,
    world: &World,
    anna: &TestDevice,
    (outlet, agreement): (Uuid, Uuid),
    pieces: i64,
) -> (Uuid, SubmitOrder) {
    let (id, submit) = order(app, anna, world, &world.anna, &[(0, pieces, PRICE_MINOR)]);
    (id, SubmitOrder { outlet_id: bytes(outlet), agreement_id: bytes(agreement), ..submit })
}

async fn stored(app: &TestApp, world: &World, id: Uuid) -> Order {
    app.stored::<Order>(world.tenant).await.remove(&id).expect("the order")
}

async fn c14_held_orders_wait_until_all_that_counts_has_moved(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let [low, middle, high] = outlets_of_duplicate(&app, &world, &[world.agreements[1]]).await;
    let (_, large) = order_at(&app, &world, &anna, (high, world.agreements[1]), 90);
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(large)).await.status(), Status::Applied);
    let (id, waits) = order_at(&app, &world, &anna, (low, world.agreements[1]), 50);
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(waits)).await.reason(), Reason::HeldCreditLimit);
    crowd(&app, &world, middle).await;
    let first = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&first), (Status::Applied, Reason::MergeGoesOn), "{first:?}");
    let held = stored(&app, &world, id).await;
    assert_eq!((&held.customer_id, held.status()), (&bytes(survivor), OrderStatus::Submitted), "90 are still to come");
    // Nothing that happens to the survivor meanwhile lets it go.
    let paid = app.decide(&mut anna, Command::CollectPayment(cash(&app, &world, 100))).await;
    assert_eq!(paid.status(), Status::Applied);
    assert_eq!(stored(&app, &world, id).await.status(), OrderStatus::Submitted);
    assert_eq!(app.office(merging(duplicate, survivor)).await.reason(), Reason::Unspecified);
    assert_eq!(stored(&app, &world, id).await.status(), OrderStatus::Submitted);
    app.decide(&mut anna, Command::CollectPayment(cash(&app, &world, 60_000))).await;
    assert_eq!(stored(&app, &world, id).await.status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

fn contract(number: &str, customer: Uuid) -> Contract {
    let (number, currency) = (number.to_owned(), CURRENCY.to_owned());
    Contract { number, customer_id: bytes(customer), currency, ..Contract::default() }
}

async fn c14_what_waited_for_a_dead_contract_goes_under_the_survivors(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let [ended, valid] = [app.id(), app.id()];
    let dead = Contract { valid_to_day: TODAY - 1, ..contract("7/26", duplicate) };
    let records =
        vec![entry(ended, Record::Contract(dead)), entry(valid, Record::Contract(contract("8/26", survivor)))];
    import(&app, records).await;
    let (id, submit) = order_of_duplicate(&app, &world, &anna, 5);
    assert_eq!(app.decide(&mut anna, submit).await.reason(), Reason::HeldTermsExpired);
    assert_eq!(app.office(merging(duplicate, survivor)).await.status(), Status::Applied);
    let order = stored(&app, &world, id).await;
    assert_eq!((order.status(), &order.contract_id), (OrderStatus::Confirmed, &bytes(valid)), "{order:?}");
    done(app, &world, &mut anna).await;
}

async fn c14_orders_at_outlets_that_have_not_followed_are_the_survivors(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let [standard, ended, valid] = [app.id(), app.id(), app.id()];
    let terms = Agreement { customer_id: Vec::new(), ..world.agreement(1) };
    let dead = Contract { valid_to_day: TODAY - 1, ..contract("7/26", duplicate) };
    let records = vec![
        entry(standard, Record::Agreement(terms)),
        entry(ended, Record::Contract(dead)),
        entry(valid, Record::Contract(contract("8/26", survivor))),
    ];
    import(&app, records).await;
    let [_, middle, high] = outlets_of_duplicate(&app, &world, &[standard]).await;
    crowd(&app, &world, middle).await;
    app.sync(&mut anna).await;
    let (waits, submit) = order_at(&app, &world, &anna, (high, standard), 5);
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(submit)).await.reason(), Reason::HeldTermsExpired);
    import(&app, vec![entry(world.receivables[1], Record::Receivable(world.receivable(1, 91_000)))]).await;
    let first = app.office(merging(duplicate, survivor)).await;
    assert_eq!(status(&first), (Status::Applied, Reason::MergeGoesOn), "{first:?}");
    assert_eq!(app.stored::<Outlet>(world.tenant).await[&high].customer_id, bytes(duplicate), "it has not followed");
    // The survivor owes what both have owed, and its contract holds there as well.
    let (id, submit) = order_at(&app, &world, &anna, (high, standard), 5);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldCreditLimit), "{outcome:?}");
    let (named, submit) = order_at(&app, &world, &anna, (high, standard), 1);
    let submit = SubmitOrder { contract_id: bytes(ended), ..submit };
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldTermsExpired), "it is the survivor's: {outcome:?}");
    let change = OrderLineChange {
        line_id: stored(&app, &world, waits).await.lines[0].line_id.clone(),
        quantity_milli: Some(Int64Change { base: 5_000, value: 6_000 }),
        ..OrderLineChange::default()
    };
    let lines = vec![OrderLineEdit { edit: Some(Edit::Change(change)) }];
    let edit = ChangeOrder { order_id: bytes(waits), lines, ..ChangeOrder::default() };
    let outcome = app.office(Command::ChangeOrder(edit)).await;
    assert_eq!(outcome.status(), Status::Held, "{outcome:?}");
    for (order, contract, waits_for) in [
        (id, valid, HoldReason::CreditLimit),
        (named, ended, HoldReason::TermsExpired),
        (waits, valid, HoldReason::CreditLimit),
    ] {
        let order = stored(&app, &world, order).await;
        let is = (order.customer_id.clone(), order.contract_id.clone(), open_holds(&order));
        assert_eq!(is, (bytes(survivor), bytes(contract), vec![waits_for]), "{order:?}");
    }
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(app.office(merging(duplicate, survivor)).await.reason(), Reason::Unspecified);
    let only = BTreeSet::from([bytes(survivor)]);
    assert_eq!(customers_of::<Order>(&app, &world, |order| order.customer_id).await, only);
    assert_eq!(customers_of::<Outlet>(&app, &world, |outlet| outlet.customer_id).await, only);
    done(app, &world, &mut anna).await;
}

async fn c14_an_outlet_of_two_duplicates_counts_once(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [survivor, duplicate] = [world.customers[0], world.customers[1]];
    let (third, agreement) = (app.id(), app.id());
    let customer = Customer { name: "Third".to_owned(), ..Customer::default() };
    let terms = Agreement { customer_id: bytes(third), ..world.agreement(1) };
    import(&app, vec![entry(third, Record::Customer(customer)), entry(agreement, Record::Agreement(terms))]).await;
    // The outlets are the one's, and buy by an agreement of the other.
    let [_, middle, _] = outlets_of_duplicate(&app, &world, &[agreement]).await;
    crowd(&app, &world, middle).await;
    assert_eq!(app.office(merging(duplicate, survivor)).await.reason(), Reason::MergeGoesOn);
    assert_eq!(app.office(merging(third, survivor)).await.status(), Status::Applied);
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    while app.office(merging(duplicate, survivor)).await.reason() == Reason::MergeGoesOn {}
    done(app, &world, &mut anna).await;
}
