//! What replaces what has ended: agreements (C15) and products (C12).

use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, BytesChange, ChangeOrder, HoldReason, ImportRecords, Order, OrderLineEdit, OrderLineRemoval,
    OrderStatus, Outlet, PriceList, Product, Reason, order_line_edit::Edit,
};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, open_holds, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    c12_of_a_withdrawn_product_only_the_line_waits_and_its_successor_is_named,
    c15_under_expired_terms_an_order_waits_and_says_what_the_successor_would_change,
    what_replaces_itself_is_refused,
);

fn product(name: &str, successor: Option<Uuid>) -> Product {
    let (name, base_unit) = (name.to_owned(), "piece".to_owned());
    let successor_id = successor.map(bytes).unwrap_or_default();
    Product { name, base_unit, withdrawn: successor.is_some(), successor_id, ..Product::default() }
}

async fn c12_of_a_withdrawn_product_only_the_line_waits_and_its_successor_is_named(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let lines = [(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)];
    let (id, submit) = order(&app, &anna, &world, &world.anna, &lines);
    // The office withdraws the first article while she is offline.
    let withdrawn = product("Withdrawn", Some(world.products[2]));
    import(&app, vec![entry(world.products[0], Record::Product(withdrawn))]).await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldProductWithdrawn), "{outcome:?}");
    let held: Order = app.shown(&anna, id).expect("the order");
    let [hold] = held.holds.as_slice() else { panic!("{held:?}") };
    assert_eq!(hold.line_ids, [held.lines[0].line_id.clone()], "the other line is not held");
    assert_eq!(hold.successor_id, bytes(world.products[2]));
    let base_quantity_milli = held.lines[0].ordered_milli;
    let removal = OrderLineRemoval { line_id: held.lines[0].line_id.clone(), base_quantity_milli };
    let lines = vec![OrderLineEdit { edit: Some(Edit::Remove(removal)) }];
    let edit = ChangeOrder { order_id: bytes(id), lines, ..ChangeOrder::default() };
    app.decide(&mut anna, Command::ChangeOrder(edit)).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 3 * PRICE_MINOR));
    done(app, &world, &mut anna).await;
}

/// Agreement 0 has ended yesterday; another one with prices of a tenth more follows.
async fn succeed(app: &TestApp, world: &World) -> Uuid {
    let (successor, list) = (app.id(), app.id());
    let computed = PriceList {
        name: "A tenth more".to_owned(),
        currency: CURRENCY.to_owned(),
        base_list_id: bytes(world.price_list),
        markup_bp: 1_000,
        ..PriceList::default()
    };
    let next = Agreement { price_list_id: bytes(list), ..world.agreement(0) };
    let ended = Agreement { valid_to_day: TODAY - 1, successor_id: bytes(successor), ..world.agreement(0) };
    let outlet = world.outlet(&world.anna, 0);
    let agreement_ids = [outlet.agreement_ids.clone(), vec![bytes(successor)]].concat();
    import(
        app,
        vec![
            entry(list, Record::PriceList(computed)),
            entry(successor, Record::Agreement(next)),
            entry(world.agreements[0], Record::Agreement(ended)),
            entry(world.anna.outlets[0], Record::Outlet(Outlet { agreement_ids, ..outlet })),
        ],
    )
    .await;
    successor
}

async fn c15_under_expired_terms_an_order_waits_and_says_what_the_successor_would_change(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let successor = succeed(&app, &world).await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldTermsExpired), "{outcome:?}");
    let held: Order = app.shown(&anna, id).expect("the order");
    let [hold] = held.holds.as_slice() else { panic!("{held:?}") };
    assert_eq!(hold.successor_id, bytes(successor));
    assert_eq!((hold.shown_minor, hold.current_minor), (Some(5 * PRICE_MINOR), Some(5 * PRICE_MINOR * 11 / 10)));
    // Under the successor the old prices are disputed, and nothing else.
    let agreement_id = Some(BytesChange { base: bytes(world.agreements[0]), value: bytes(successor) });
    let edit = ChangeOrder { order_id: bytes(id), agreement_id, ..ChangeOrder::default() };
    app.decide(&mut anna, Command::ChangeOrder(edit)).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((open_holds(&order), &order.agreement_id), (vec![HoldReason::Price], &bytes(successor)));
    done(app, &world, &mut anna).await;
}

async fn what_replaces_itself_is_refused(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let refused = async |records| {
        let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
        assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}");
        outcome.reason()
    };
    let [a, b, c] = [0, 1, 2].map(|index| world.products[index]);
    let replaced = |id, successor| entry(id, Record::Product(product("Replaced", Some(successor))));
    assert_eq!(refused(vec![replaced(a, a)]).await, Reason::BadSuccessor);
    assert_eq!(refused(vec![replaced(a, b), replaced(b, a)]).await, Reason::BadSuccessor, "in one command");
    import(&app, vec![replaced(a, b), replaced(b, c)]).await;
    assert_eq!(refused(vec![replaced(c, a)]).await, Reason::BadSuccessor, "by way of others");
    let own = Agreement { successor_id: bytes(world.agreements[0]), ..world.agreement(0) };
    assert_eq!(refused(vec![entry(world.agreements[0], Record::Agreement(own))]).await, Reason::BadSuccessor);
    let others = Agreement { successor_id: bytes(world.agreements[1]), ..world.agreement(0) };
    assert_eq!(refused(vec![entry(world.agreements[0], Record::Agreement(others))]).await, Reason::Mismatch);
    done(app, &world, &mut anna).await;
}
