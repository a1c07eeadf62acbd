//! Contracts: under which one an order is made, what is owed and paid under it, and what waits for it.

use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman::verify::verify;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, CollectPayment, Contract, DueItem, HoldReason, ImportRecords, Order, OrderStatus, Outlet, Payment,
    Reason, Receivable, SetReceivable, SubmitOrder,
};
use roundsman_tests::app::{TENANT, TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{cash, done, open_holds, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    an_order_is_under_the_contract_that_is_valid_and_stays_there,
    a_contract_that_is_not_the_customers_is_refused_and_nothing_is_told_of_it,
    c09_an_order_fits_the_limit_of_its_contract_as_well,
    c09_a_limit_that_rises_lets_waiting_orders_go,
    c09_an_agreement_that_allows_more_lets_waiting_orders_go,
    c09_a_standard_agreement_that_allows_more_lets_the_orders_of_all_its_customers_go,
    c10_overdue_debt_bans_under_its_own_contract_only,
    c15_where_no_contract_is_valid_an_order_waits_until_one_is,
    c15_whoever_waits_for_contracts_goes_however_many_they_are,
    c09_an_agreement_that_allows_more_lets_all_go_whatever_their_ids_are,
    c22_money_for_a_contract_pays_its_documents,
    contracts_that_contradict_are_refused,
    whoever_serves_the_customer_sees_the_contract,
    debts_are_told_by_contract,
);

fn contract(world: &World, number: &str) -> Contract {
    Contract {
        number: number.to_owned(),
        customer_id: bytes(world.customers[0]),
        currency: CURRENCY.to_owned(),
        ..Contract::default()
    }
}

async fn signed(app: &TestApp, id: Uuid, contract: &Contract) {
    import(app, vec![entry(id, Record::Contract(contract.clone()))]).await;
}

async fn stored(app: &TestApp, world: &World, id: Uuid) -> Order {
    app.stored::<Order>(world.tenant).await.remove(&id).expect("the order")
}

/// What the books tell of the customer's debt under a contract.
async fn owed(app: &TestApp, world: &World, (id, contract): (Uuid, Uuid), figures: Receivable) -> Outcome {
    let receivable = Receivable {
        customer_id: bytes(world.customers[0]),
        currency: CURRENCY.to_owned(),
        contract_id: bytes(contract),
        as_of_us: app.now_us(),
        ..figures
    };
    let receivable_id = bytes(id);
    app.office(Command::SetReceivable(SetReceivable {
        receivable_id,
        receivable: Some(receivable),
        ..SetReceivable::default()
    }))
    .await
}

async fn an_order_is_under_the_contract_that_is_valid_and_stays_there(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [old, new, other] = [app.id(), app.id(), app.id()];
    signed(&app, old, &contract(&world, "old")).await;
    signed(&app, new, &Contract { valid_from_day: TODAY, ..contract(&world, "new") }).await;
    let covers_nothing_here = Contract { agreement_ids: vec![bytes(world.agreements[1])], ..contract(&world, "other") };
    let standard = Agreement { customer_id: Vec::new(), ..world.agreement(1) };
    let standard_id = app.id();
    import(&app, vec![entry(standard_id, Record::Agreement(standard))]).await;
    let covers = Contract { agreement_ids: vec![bytes(standard_id)], valid_from_day: TODAY, ..covers_nothing_here };
    signed(&app, other, &covers).await;
    let lines = [(0, 1, PRICE_MINOR)];
    let (first, submit) = order(&app, &anna, &world, &world.anna, &lines);
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(submit.clone())).await.status(), Status::Applied);
    assert_eq!(stored(&app, &world, first).await.contract_id, bytes(new));
    // Whatever is signed later: the order stays where it is, and the same order once more is the same.
    signed(&app, new, &Contract { closed: true, ..contract(&world, "new") }).await;
    let again = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    assert_eq!(stored(&app, &world, first).await.contract_id, bytes(new));
    let (second, submit) = order(&app, &anna, &world, &world.anna, &lines);
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(stored(&app, &world, second).await.contract_id, bytes(old));
    done(app, &world, &mut anna).await;
}

async fn a_contract_that_is_not_the_customers_is_refused_and_nothing_is_told_of_it(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [own, others, narrow] = [app.id(), app.id(), app.id()];
    let of_another = Contract { customer_id: bytes(world.customers[1]), ..contract(&world, "another's") };
    let standard_id = app.id();
    let standard = Agreement { customer_id: Vec::new(), ..world.agreement(1) };
    import(&app, vec![entry(standard_id, Record::Agreement(standard))]).await;
    signed(&app, own, &contract(&world, "own")).await;
    signed(&app, others, &of_another).await;
    signed(&app, narrow, &Contract { agreement_ids: vec![bytes(standard_id)], ..contract(&world, "narrow") }).await;
    for named in [others, narrow, app.id()] {
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        let named = SubmitOrder { contract_id: bytes(named), ..submit };
        let outcome = app.decide(&mut anna, Command::SubmitOrder(named)).await;
        assert_eq!(status(&outcome), (Status::Rejected, Reason::Mismatch), "{outcome:?}");
        assert!(outcome.text.starts_with("contract_id") && outcome.facts.is_empty(), "{outcome:?}");
        assert!(!app.stored::<Order>(world.tenant).await.contains_key(&id));
    }
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
    let named = SubmitOrder { contract_id: bytes(own), ..submit };
    assert_eq!(app.decide(&mut anna, Command::SubmitOrder(named)).await.status(), Status::Applied);
    assert_eq!(stored(&app, &world, id).await.contract_id, bytes(own));
    done(app, &world, &mut anna).await;
}

async fn c09_an_order_fits_the_limit_of_its_contract_as_well(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = app.id();
    let limited = Contract { credit_limit_minor: Some(8 * PRICE_MINOR), ..contract(&world, "7/26") };
    signed(&app, id, &limited).await;
    // What is owed under none counts for the customer only.
    let receivable = world.receivable(0, 50 * PRICE_MINOR);
    import(&app, vec![entry(world.receivables[0], Record::Receivable(receivable))]).await;
    let (first, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(stored(&app, &world, first).await.status(), OrderStatus::Confirmed);
    let (second, submit) = order(&app, &anna, &world, &world.anna, &[(0, 4, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldCreditLimit), "{outcome:?}");
    let held = stored(&app, &world, second).await;
    let [hold] = held.holds.as_slice() else { panic!("{held:?}") };
    assert_eq!((hold.limit_minor, hold.exposure_minor), (Some(8 * PRICE_MINOR), Some(9 * PRICE_MINOR)));
    assert!(hold.facts.contains("under the contract 7/26"), "{}", hold.facts);
    // Money for the order before it makes room for it.
    let payment = CollectPayment { order_id: bytes(first), ..cash(&app, &world, PRICE_MINOR) };
    app.decide(&mut anna, Command::CollectPayment(payment.clone())).await;
    let payment_id = Uuid::from_slice(&payment.payment_id).expect("an id");
    assert_eq!(app.stored::<Payment>(world.tenant).await[&payment_id].contract_id, bytes(id));
    assert_eq!(stored(&app, &world, second).await.status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

async fn c09_a_limit_that_rises_lets_waiting_orders_go(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (own, other) = (app.id(), app.id());
    let limited = |minor| Contract { credit_limit_minor: Some(minor), ..contract(&world, "own") };
    signed(&app, own, &limited(0)).await;
    signed(&app, other, &Contract { credit_limit_minor: Some(0), valid_from_day: 1, ..contract(&world, "other") })
        .await;
    let mut ids = Vec::new();
    for under in [other, own, own] {
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
        let named = SubmitOrder { contract_id: bytes(under), ..submit };
        let outcome = app.decide(&mut anna, Command::SubmitOrder(named)).await;
        assert_eq!(status(&outcome), (Status::Held, Reason::HeldCreditLimit), "{outcome:?}");
        ids.push(id);
    }
    signed(&app, own, &limited(5 * PRICE_MINOR)).await;
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(stored(&app, &world, id).await.status());
    }
    let [waits, goes, waits_as_well] = [OrderStatus::Submitted, OrderStatus::Confirmed, OrderStatus::Submitted];
    assert_eq!(statuses, [waits, goes, waits_as_well], "the oldest waits for another contract");
    done(app, &world, &mut anna).await;
}

async fn c09_an_agreement_that_allows_more_lets_waiting_orders_go(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let limited = |minor| Agreement { credit_limit_minor: minor, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(limited(Some(0))))]).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(open_holds(&stored(&app, &world, id).await), [HoldReason::CreditLimit]);
    import(&app, vec![entry(world.agreements[0], Record::Agreement(limited(None)))]).await;
    assert_eq!(stored(&app, &world, id).await.status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

async fn c09_a_standard_agreement_that_allows_more_lets_the_orders_of_all_its_customers_go(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let common = app.id();
    let limited = |minor| Agreement { credit_limit_minor: Some(minor), customer_id: Vec::new(), ..world.agreement(0) };
    import(&app, vec![entry(common, Record::Agreement(limited(0)))]).await;
    for index in [0, 1] {
        let outlet = Outlet { agreement_ids: vec![bytes(common)], ..world.outlet(&world.anna, index) };
        import(&app, vec![entry(world.anna.outlets[index], Record::Outlet(outlet))]).await;
    }
    let mut ids = Vec::new();
    for (outlet, packs) in [(0, 5), (0, 1), (1, 2)] {
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, packs, PRICE_MINOR)]);
        let outlet_id = bytes(world.anna.outlets[outlet]);
        let named = SubmitOrder { outlet_id, agreement_id: bytes(common), ..submit };
        let outcome = app.decide(&mut anna, Command::SubmitOrder(named)).await;
        assert_eq!(status(&outcome), (Status::Held, Reason::HeldCreditLimit), "{outcome:?}");
        ids.push(id);
    }
    for (limit, gone) in [(PRICE_MINOR, 0), (2 * PRICE_MINOR, 1), (6 * PRICE_MINOR, 3)] {
        import(&app, vec![entry(common, Record::Agreement(limited(limit)))]).await;
        let mut confirmed = Vec::new();
        for id in &ids {
            confirmed.push(stored(&app, &world, *id).await.status() == OrderStatus::Confirmed);
        }
        let right = [gone == 3, gone == 3, gone >= 1];
        assert_eq!(confirmed, right, "under {limit}: a small order does not overtake a large one of the same customer");
    }
    done(app, &world, &mut anna).await;
}

async fn c10_overdue_debt_bans_under_its_own_contract_only(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    // The agreement bans nothing; one of the contracts does.
    let lenient = Agreement { overdue_ban: false, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(lenient))]).await;
    let (strict, other) = (app.id(), app.id());
    let bans = Contract { overdue_ban: true, ..contract(&world, "strict") };
    signed(&app, strict, &bans).await;
    signed(&app, other, &Contract { overdue_ban: true, ..contract(&world, "other") }).await;
    let books = app.id();
    let overdue = |minor| Receivable { debt_minor: minor, overdue_minor: minor, ..Receivable::default() };
    assert_eq!(owed(&app, &world, (books, strict), overdue(700)).await.status(), Status::Applied);
    let mut orders = Vec::new();
    for (under, right) in [(strict, Status::Held), (other, Status::Applied)] {
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        let named = SubmitOrder { contract_id: bytes(under), ..submit };
        assert_eq!(app.decide(&mut anna, Command::SubmitOrder(named)).await.status(), right);
        orders.push(stored(&app, &world, id).await);
    }
    assert_eq!(orders[0].holds[0].facts, "700 is overdue under the contract strict");
    // The ban goes: with the debt, or with the contract.
    signed(&app, strict, &Contract { overdue_ban: false, ..bans }).await;
    let orders = app.stored::<Order>(world.tenant).await;
    assert!(orders.values().all(|order| order.status() == OrderStatus::Confirmed), "{orders:?}");
    done(app, &world, &mut anna).await;
}

async fn c15_where_no_contract_is_valid_an_order_waits_until_one_is(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, next) = (app.id(), app.id());
    let follows = Contract { valid_from_day: TODAY + 5, ..contract(&world, "9/27") };
    let ended = Contract { valid_to_day: TODAY - 1, successor_id: bytes(next), ..contract(&world, "7/26") };
    signed(&app, next, &follows).await;
    signed(&app, id, &ended).await;
    let named = |submit| SubmitOrder { contract_id: bytes(id), ..submit };
    let (first, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(named(submit))).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldTermsExpired), "{outcome:?}");
    let held = stored(&app, &world, first).await;
    let [hold] = held.holds.as_slice() else { panic!("{held:?}") };
    assert_eq!((&hold.successor_id, hold.limit_minor), (&bytes(next), None));
    assert!(hold.facts.contains("7/26") && hold.facts.ends_with("the contract 9/27 follows it"), "{}", hold.facts);
    let (second, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    let held = stored(&app, &world, second).await;
    assert_eq!((open_holds(&held), held.contract_id.len()), (vec![HoldReason::TermsExpired], 0));
    // One is extended: whoever waited for it goes, and so does who waited for any.
    signed(&app, id, &Contract { valid_to_day: TODAY, ..ended }).await;
    for order in [first, second] {
        let order = stored(&app, &world, order).await;
        assert_eq!((order.status(), &order.contract_id), (OrderStatus::Confirmed, &bytes(id)), "{order:?}");
    }
    done(app, &world, &mut anna).await;
}

async fn c22_money_for_a_contract_pays_its_documents(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (own, other) = (app.id(), app.id());
    signed(&app, own, &contract(&world, "own")).await;
    signed(&app, other, &contract(&world, "other")).await;
    let figures = |number: &str, due_day| Receivable {
        debt_minor: 300,
        due_items: vec![DueItem {
            document_number: number.to_owned(),
            due_day,
            amount_minor: 300,
            ..DueItem::default()
        }],
        ..Receivable::default()
    };
    owed(&app, &world, (app.id(), own), figures("own", TODAY)).await;
    owed(&app, &world, (app.id(), other), figures("other", TODAY - 9)).await;
    let mut paid = async |command: CollectPayment| {
        let id = Uuid::from_slice(&command.payment_id).expect("an id");
        assert_eq!(app.decide(&mut anna, Command::CollectPayment(command)).await.status(), Status::Applied);
        let payment = app.stored::<Payment>(world.tenant).await.remove(&id).expect("the payment");
        let parts: Vec<(String, i64)> =
            payment.allocations.into_iter().map(|part| (part.document_number, part.amount_minor)).collect();
        (payment.contract_id, parts)
    };
    let named = CollectPayment { contract_id: bytes(own), ..cash(&app, &world, 200) };
    assert_eq!(paid(named).await, (bytes(own), vec![("own".to_owned(), 200)]));
    let unnamed = CollectPayment { contract_id: bytes(app.id()), ..cash(&app, &world, 100) };
    assert_eq!(paid(unnamed).await, (Vec::new(), vec![("other".to_owned(), 100)]), "the oldest");
    let too_much = CollectPayment { contract_id: bytes(own), ..cash(&app, &world, 150) };
    assert_eq!(paid(too_much).await, (bytes(own), vec![("own".to_owned(), 100)]), "the rest is not the other's");
    done(app, &world, &mut anna).await;
}

async fn contracts_that_contradict_are_refused(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (first, second) = (app.id(), app.id());
    signed(&app, first, &Contract { successor_id: bytes(second), ..contract(&world, "first") }).await;
    let foreign = Agreement { currency: "SEK".to_owned(), ..world.agreement(0) };
    let list = app.id();
    let kronor = roundsman_proto::trade::PriceList {
        name: "SEK".to_owned(),
        currency: "SEK".to_owned(),
        ..roundsman_proto::trade::PriceList::default()
    };
    let foreign_id = app.id();
    let foreign = Agreement { price_list_id: bytes(list), ..foreign };
    import(&app, vec![entry(list, Record::PriceList(kronor)), entry(foreign_id, Record::Agreement(foreign))]).await;
    let with = |change: &dyn Fn(&mut Contract)| {
        let mut changed = contract(&world, "second");
        change(&mut changed);
        changed
    };
    let cases = [
        (first, with(&|c| c.customer_id = bytes(world.customers[1])), Reason::Mismatch, "customer_id"),
        (first, with(&|c| c.currency = "SEK".to_owned()), Reason::Mismatch, "customer_id"),
        (second, with(&|c| c.successor_id = bytes(first)), Reason::BadSuccessor, "successor_id"),
        (second, with(&|c| c.customer_id = bytes(app.id())), Reason::NotFound, "customer_id"),
        (second, with(&|c| c.agreement_ids = vec![bytes(world.agreements[1])]), Reason::Mismatch, "agreement_ids"),
        (second, with(&|c| c.agreement_ids = vec![bytes(foreign_id)]), Reason::CurrencyMismatch, "agreement_ids"),
        (second, with(&|c| c.agreement_ids = vec![bytes(app.id())]), Reason::NotFound, "agreement_id"),
        (second, with(&|c| (c.valid_from_day, c.valid_to_day) = (9, 8)), Reason::OutOfRange, "valid_to_day"),
        (second, with(&|c| c.number.clear()), Reason::MissingField, "number"),
    ];
    for (id, contract, reason, field) in cases {
        let import = ImportRecords { records: vec![entry(id, Record::Contract(contract.clone()))] };
        let outcome = app.office(Command::ImportRecords(import)).await;
        assert_eq!((outcome.status(), outcome.reason()), (Status::Rejected, reason), "{contract:?} {outcome:?}");
        assert!(outcome.text.starts_with(field), "{contract:?} {outcome:?}");
    }
    let of_another = Contract { customer_id: bytes(world.customers[1]), ..contract(&world, "another's") };
    let others = app.id();
    signed(&app, others, &of_another).await;
    let outcome = owed(&app, &world, (app.id(), others), Receivable::default()).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::Mismatch));
    assert!(outcome.text.starts_with("contract_id"), "{outcome:?}");
    let many = (0..50).map(|_| entry(app.id(), Record::Contract(contract(&world, "one of many")))).collect();
    let outcome = app.office(Command::ImportRecords(ImportRecords { records: many })).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::LimitExceeded), "{outcome:?}");
    assert_eq!(app.stored::<Contract>(world.tenant).await.len(), 2, "and nothing of it is there");
    done(app, &world, &mut anna).await;
}

async fn whoever_serves_the_customer_sees_the_contract(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = app.id();
    let alone = app.id();
    signed(&app, id, &contract(&world, "7/26")).await;
    let customer =
        roundsman_proto::trade::Customer { name: "Nobody's".to_owned(), ..roundsman_proto::trade::Customer::default() };
    let (nobodys, record) = (app.id(), contract(&world, "nobody's"));
    import(&app, vec![entry(nobodys, Record::Customer(customer))]).await;
    signed(&app, alone, &Contract { customer_id: bytes(nobodys), ..record }).await;
    app.sync(&mut anna).await;
    assert_eq!(app.shown::<Contract>(&anna, id), Some(contract(&world, "7/26")));
    assert_eq!(app.shown::<Contract>(&anna, alone), None);
    done(app, &world, &mut anna).await;
}

async fn debts_are_told_by_contract(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = app.id();
    signed(&app, id, &contract(&world, "7/26")).await;
    let receivable = world.receivable(0, 500);
    import(&app, vec![entry(world.receivables[0], Record::Receivable(receivable))]).await;
    owed(&app, &world, (app.id(), id), Receivable { debt_minor: 300, ..Receivable::default() }).await;
    let named = CollectPayment { contract_id: bytes(id), ..cash(&app, &world, 120) };
    app.decide(&mut anna, Command::CollectPayment(named)).await;
    app.decide(&mut anna, Command::CollectPayment(cash(&app, &world, 30))).await;
    let debts = roundsman::cli::debts::read(&app.core.db, TENANT, TODAY).await.expect("reads");
    let rows: Vec<String> = roundsman::cli::debts::rows(&debts, 2).iter().map(|row| row[2..].join("|")).collect();
    assert_eq!(rows, ["|5.00|||||||5.00|0.30", "7/26|3.00|||||||3.00|1.20", "|8.00|||||||8.00|1.50"]);
    assert_eq!(verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    done(app, &world, &mut anna).await;
}

/// The orders that are still held.
async fn held(app: &TestApp, world: &World) -> usize {
    let orders = app.stored::<Order>(world.tenant).await;
    orders.values().filter(|order| order.status() == OrderStatus::Submitted).count()
}

async fn c15_whoever_waits_for_contracts_goes_however_many_they_are(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut renewed = Vec::new();
    for index in [0, 1] {
        let id = app.id();
        let lenient = Agreement { credit_limit_minor: None, ..world.agreement(index) };
        let of_customer = Contract { customer_id: bytes(world.customers[index]), ..contract(&world, "7/26") };
        let ended = Contract { valid_to_day: TODAY - 1, ..of_customer.clone() };
        let records =
            vec![entry(world.agreements[index], Record::Agreement(lenient)), entry(id, Record::Contract(ended))];
        import(&app, records).await;
        renewed.push(entry(id, Record::Contract(of_customer)));
    }
    for number in 0..202 {
        let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        let (outlet_id, agreement_id) = (bytes(world.anna.outlets[number % 2]), bytes(world.agreements[number % 2]));
        app.capture(&mut anna, Command::SubmitOrder(SubmitOrder { outlet_id, agreement_id, ..submit }));
    }
    app.sync(&mut anna).await;
    assert_eq!(held(&app, &world).await, 202);
    import(&app, renewed).await;
    assert_eq!(held(&app, &world).await, 102, "one command decides a hundred");
    assert_eq!(verify(&app.core.db, world.tenant).await.expect("verifies"), Vec::<String>::new());
    let jobs = Jobs::new(Arc::clone(&app.core));
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(held(&app, &world).await, 0);
    let version = app.version(world.tenant).await;
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!(app.version(world.tenant).await, version, "nothing is left to be done");
    done(app, &world, &mut anna).await;
}

async fn c09_an_agreement_that_allows_more_lets_all_go_whatever_their_ids_are(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let limited = |minor| Agreement { credit_limit_minor: minor, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(limited(Some(0))))]).await;
    let mut ids: Vec<Uuid> = (0..201).map(|_| app.id()).collect();
    ids.sort_unstable();
    // The oldest has the highest.
    for (second, id) in (-300..).zip(ids.into_iter().rev()) {
        let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        let submit = Command::SubmitOrder(SubmitOrder { order_id: bytes(id), ..submit });
        app.capture_at(&mut anna, submit, (app.now_us() + second * 1_000_000, TODAY));
    }
    app.sync(&mut anna).await;
    assert_eq!(held(&app, &world).await, 201);
    import(&app, vec![entry(world.agreements[0], Record::Agreement(limited(None)))]).await;
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert_eq!(held(&app, &world).await, 0);
    done(app, &world, &mut anna).await;
}
