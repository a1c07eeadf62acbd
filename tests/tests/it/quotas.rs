//! Scarce goods are shared out, and what is on its way is told.

use std::sync::Arc;

use prost::Message as _;
use roundsman::internal::Internal as _;
use roundsman::jobs::Jobs;
use roundsman::store::record;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, CancelOrder, ChangeOrder, HoldReason, ImportRecords, Int64Change, LineDifference, Order,
    OrderLineChange, OrderLineEdit, OrderStatus, PrepareShipment, QuotaEntry, QuotaHolder, Reason, ReleaseHold,
    ReleaseOrder, ReleaseReason, SetStock, ShipShipment, ShippedLine, ShortReason, ShortageRule, Stock, StockQuota,
    StockToSet, SubmitOrder, Warehouse, order_line_edit::Edit,
};
use roundsman_sync::trade::quota::Quotas;
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, RepWorld, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, open_holds, order, ready, status};
use crate::desk::{entry, explained, import};

on_both_databases!(
    c11_whoever_comes_first_leaves_others_their_shares,
    c11_a_share_that_is_returned_goes_to_those_who_wait,
    what_is_picked_short_is_the_shares_again,
    goods_from_another_warehouse_are_of_no_share,
    a_quota_that_does_not_fit_is_refused,
    what_is_on_its_way_is_told_and_promised_to_nobody,
    c11_what_a_quota_returns_is_asked_for_when_its_moment_has_come,
    c11_when_its_last_day_is_over_a_quota_binds_nobody,
    c11_scarce_goods_are_shared_out_in_proportion_at_a_moment,
    c11_who_is_edited_or_called_off_before_counts_with_what_is_left,
    c11_who_is_let_out_before_has_what_is_free_and_no_share,
    c11_who_also_waits_for_credit_keeps_the_share_until_it_returns,
    c11_of_many_who_wait_all_are_decided_in_rounds,
    a_product_that_is_shared_out_at_a_moment_is_so_once,
    two_quotas_of_a_product_are_shared_out_at_different_moments,
);

const MINUTE_US: i64 = 60_000_000;

fn share(holder: Holder, pieces: i64) -> QuotaEntry {
    QuotaEntry { holder: Some(QuotaHolder { holder: Some(holder) }), quantity_milli: pieces * 1_000 }
}

fn of_rep(rep: &RepWorld, pieces: i64) -> QuotaEntry {
    share(Holder::RepId(bytes(rep.rep)), pieces)
}

/// Of the first article.
fn quota(world: &World, entries: Vec<QuotaEntry>) -> StockQuota {
    StockQuota {
        warehouse_id: bytes(world.warehouse),
        product_id: bytes(world.products[0]),
        entries,
        ..StockQuota::default()
    }
}

async fn shared_out(app: &TestApp, id: Uuid, quota: StockQuota) {
    import(app, vec![entry(id, Record::StockQuota(quota))]).await;
}

/// So many pieces of the first article lie in the warehouse.
async fn counted(app: &TestApp, world: &World, pieces: i64) {
    app.pass(1);
    let stock = Some(Stock { as_of_us: app.now_us(), ..world.stock(0, pieces * 1_000) });
    let stocks = vec![StockToSet { stock_id: bytes(world.stocks[0]), stock }];
    let outcome = app.office(Command::SetStock(SetStock { stocks })).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

/// Orders so many pieces; returns the order, what of it is set aside, and why it differs.
async fn ordered(
    app: &TestApp,
    world: &World,
    (device, rep): (&mut TestDevice, &RepWorld),
    pieces: i64,
) -> (Uuid, i64, LineDifference) {
    let (id, submit) = order(app, device, world, rep, &[(0, pieces, PRICE_MINOR)]);
    let outcome = app.decide(device, Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    let (milli, difference) = line(app, world, id).await;
    (id, milli, difference)
}

/// What of the only line of an order is set aside, and why it differs.
async fn line(app: &TestApp, world: &World, order: Uuid) -> (i64, LineDifference) {
    let order = app.stored::<Order>(world.tenant).await[&order].clone();
    let [line] = order.lines.as_slice() else { panic!("one line: {order:?}") };
    (line.reserved_milli, line.difference())
}

/// What is counted in the shares of the first article, in the order of the shares.
async fn used(app: &TestApp, world: &World) -> Vec<i64> {
    let key = Quotas::id(&(world.warehouse, world.products[0]));
    let mut tx = app.core.db.read().await.expect("reads");
    let found = record::find(&mut tx, world.tenant, &[key]).await.expect("answers");
    let (_, stored) = found.into_iter().next().expect("it is shared out");
    let quotas = Quotas::decode(stored.document).expect("its own kind");
    quotas.quotas.iter().flat_map(|quota| &quota.shares).map(|share| share.used_milli).collect()
}

async fn decided(app: &TestApp, world: &World, command: Command) {
    let outcome = app.server(world.tenant, command).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn c11_whoever_comes_first_leaves_others_their_shares(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    counted(&app, &world, 10).await;
    let id = app.id();
    shared_out(&app, id, quota(&world, vec![of_rep(&world.boris, 6)])).await;
    let (of_anna, milli, difference) = ordered(&app, &world, (&mut anna, &world.anna), 8).await;
    assert_eq!((milli, difference), (4_000, LineDifference::Quota), "what nobody claims");
    let shown: StockQuota = app.shown(&anna, id).expect("everybody sees the shares");
    assert_eq!(shown.entries, [of_rep(&world.boris, 6)]);
    let (of_boris, milli, difference) = ordered(&app, &world, (&mut boris, &world.boris), 8).await;
    assert_eq!((milli, difference), (6_000, LineDifference::StockShort), "there is no more");
    assert_eq!(used(&app, &world).await, [6_000]);
    let shares = explained(&app, of_boris).await.remove(1);
    assert_eq!(shares, [["Article 0", "the share of boris", "6", "6", ""]], "and how large it is");
    for order in [of_anna, of_boris] {
        let cancel = CancelOrder { order_id: bytes(order), reason: "by mistake".to_owned() };
        decided(&app, &world, Command::CancelOrder(cancel)).await;
    }
    assert_eq!(used(&app, &world).await, [0], "given back");
    let (_, milli, _) = ordered(&app, &world, (&mut anna, &world.anna), 8).await;
    assert_eq!(milli, 4_000, "the share is there again");
    done(app, &world, &mut anna).await;
}

async fn c11_a_share_that_is_returned_goes_to_those_who_wait(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let rule = ShortageRule::BackOrder.into();
    let agreement = Agreement { shortage_rule: rule, credit_limit_minor: None, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
    counted(&app, &world, 10).await;
    let id = app.id();
    let territory = share(Holder::TerritoryId(bytes(world.anna.territory)), 1);
    let shares = quota(&world, vec![territory, of_rep(&world.boris, 6)]);
    shared_out(&app, id, shares.clone()).await;
    let (order, milli, difference) = ordered(&app, &world, (&mut anna, &world.anna), 8).await;
    assert_eq!((milli, difference), (4_000, LineDifference::BackOrdered), "one of the own share, three of nobody's");
    assert_eq!(used(&app, &world).await, [4_000, 0]);
    shared_out(&app, id, StockQuota { return_at_us: app.now_us(), ..shares }).await;
    assert_eq!(line(&app, &world, order).await, (8_000, LineDifference::Unspecified));
    assert_eq!(used(&app, &world).await, [8_000, 0]);
    done(app, &world, &mut anna).await;
}

/// An order of the first article, by its own share, with its shipment in a warehouse.
async fn prepared(app: &TestApp, world: &World, anna: &mut TestDevice, warehouse: Uuid) -> (Uuid, Vec<u8>) {
    shared_out(app, app.id(), quota(world, vec![of_rep(&world.anna, 6)])).await;
    let (order, milli, _) = ordered(app, world, (anna, &world.anna), 5).await;
    assert_eq!((milli, used(app, world).await), (5_000, vec![5_000]));
    decided(app, world, Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order), ..ReleaseOrder::default() }))
        .await;
    let (shipment_id, warehouse_id) = (bytes(app.id()), bytes(warehouse));
    let prepare = PrepareShipment {
        shipment_id: shipment_id.clone(),
        order_id: bytes(order),
        warehouse_id,
        ..PrepareShipment::default()
    };
    decided(app, world, Command::PrepareShipment(prepare)).await;
    (order, shipment_id)
}

async fn what_is_picked_short_is_the_shares_again(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (order, shipment_id) = prepared(&app, &world, &mut anna, world.warehouse).await;
    let line_id = app.stored::<Order>(world.tenant).await[&order].lines[0].line_id.clone();
    let short = ShippedLine { line_id, picked_milli: 2_000, short_reason: ShortReason::NotFound.into() };
    let ship = ShipShipment { shipment_id, lines: vec![short], ..ShipShipment::default() };
    decided(&app, &world, Command::ShipShipment(ship)).await;
    assert_eq!(used(&app, &world).await, [2_000]);
    done(app, &world, &mut anna).await;
}

async fn goods_from_another_warehouse_are_of_no_share(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let elsewhere = app.id();
    let warehouse = Warehouse { name: "East".to_owned(), ..Warehouse::default() };
    import(&app, vec![entry(elsewhere, Record::Warehouse(warehouse))]).await;
    prepared(&app, &world, &mut anna, elsewhere).await;
    assert_eq!(used(&app, &world).await, [0]);
    done(app, &world, &mut anna).await;
}

async fn a_quota_that_does_not_fit_is_refused(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [first, second, elsewhere] = [app.id(), app.id(), app.id()];
    let warehouse = Warehouse { name: "East".to_owned(), ..Warehouse::default() };
    import(&app, vec![entry(elsewhere, Record::Warehouse(warehouse))]).await;
    let days =
        |valid_from_day, valid_to_day, entries| StockQuota { valid_from_day, valid_to_day, ..quota(&world, entries) };
    shared_out(&app, first, days(TODAY, TODAY + 7, vec![of_rep(&world.anna, 6)])).await;
    let later = || days(TODAY + 8, 0, vec![]);
    let with = |entry| StockQuota { entries: vec![entry], ..later() };
    let nobodys = QuotaEntry { holder: None, quantity_milli: 1 };
    let cases = [
        (second, days(TODAY + 7, 0, vec![]), Reason::QuotaOverlap, "valid_from_day"),
        (second, with(share(Holder::RepId(bytes(app.id())), 1)), Reason::NotFound, "rep_id"),
        (second, with(nobodys), Reason::MissingField, "holder"),
        (second, with(of_rep(&world.anna, 0)), Reason::OutOfRange, "quantity_milli"),
        (first, StockQuota { product_id: bytes(world.products[1]), ..later() }, Reason::Mismatch, "product_id"),
        (second, StockQuota { warehouse_id: bytes(elsewhere), ..later() }, Reason::NotFound, "stock_id"),
    ];
    for (id, quota, reason, field) in cases {
        let records = vec![entry(id, Record::StockQuota(quota))];
        let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
        assert_eq!(status(&outcome), (Status::Rejected, reason), "{outcome:?}");
        assert!(outcome.text.starts_with(field), "{outcome:?}");
    }
    assert_eq!(app.stored::<StockQuota>(world.tenant).await.keys().copied().collect::<Vec<_>>(), [first]);
    done(app, &world, &mut anna).await;
}

/// Whoever lacks something gets it later, and nobody has a credit limit.
async fn on_back_order(app: &TestApp, world: &World) {
    let rule = ShortageRule::BackOrder.into();
    let agreement = Agreement { shortage_rule: rule, credit_limit_minor: None, ..world.agreement(0) };
    import(app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
}

/// Does what is due by the clock; returns how many commands that took about scarce goods.
async fn by_the_clock(app: &TestApp, world: &World) -> usize {
    let version = app.version(world.tenant).await;
    let issued = Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    let again = app.version(world.tenant).await;
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert_eq!(app.version(world.tenant).await, again, "done twice changes nothing more");
    if again == version { 0 } else { issued }
}

async fn c11_what_a_quota_returns_is_asked_for_when_its_moment_has_come(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    counted(&app, &world, 10).await;
    let return_at_us = app.now_us() + 60 * MINUTE_US;
    let shares = quota(&world, vec![of_rep(&world.boris, 6)]);
    shared_out(&app, app.id(), StockQuota { return_at_us, ..shares }).await;
    let (order, milli, difference) = ordered(&app, &world, (&mut anna, &world.anna), 8).await;
    assert_eq!((milli, difference), (4_000, LineDifference::BackOrdered));
    app.pass(59);
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, order).await.0, 4_000, "not before");
    // A server that was away for a while finds it.
    app.pass(90);
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, order).await, (8_000, LineDifference::Unspecified));
    assert_eq!(by_the_clock(&app, &world).await, 0, "nothing is due any more");
    done(app, &world, &mut anna).await;
}

async fn c11_when_its_last_day_is_over_a_quota_binds_nobody(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    counted(&app, &world, 10).await;
    let shares = quota(&world, vec![of_rep(&world.boris, 6)]);
    shared_out(&app, app.id(), StockQuota { valid_to_day: TODAY, ..shares }).await;
    let (order, ..) = ordered(&app, &world, (&mut anna, &world.anna), 8).await;
    // It is over somewhere on earth, but not here.
    let day_us = i64::from(TODAY) * 24 * 60 * MINUTE_US;
    let until = |hour: i64| (day_us + hour * 60 * MINUTE_US - app.now_us()) / MINUTE_US;
    app.pass(until(20));
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, order).await.0, 4_000);
    // In Helsinki it is over at 22:00 UTC.
    app.pass(until(22));
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, order).await.0, 8_000);
    done(app, &world, &mut anna).await;
}

/// An hour from now it is shared out among those who have ordered it.
async fn shared_out_in_an_hour(app: &TestApp, world: &World, pieces: i64) -> Uuid {
    counted(app, world, pieces).await;
    let id = app.id();
    let share_out_at_us = app.now_us() + 60 * MINUTE_US;
    shared_out(app, id, StockQuota { share_out_at_us, ..quota(world, vec![]) }).await;
    id
}

/// Orders so many pieces, and has to wait until they are shared out.
async fn awaited(app: &TestApp, world: &World, (device, rep): (&mut TestDevice, &RepWorld), pieces: i64) -> Uuid {
    let (id, submit) = order(app, device, world, rep, &[(0, pieces, PRICE_MINOR)]);
    let outcome = app.decide(device, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldAllocation), "{outcome:?}");
    assert!(outcome.facts.iter().any(|fact| fact.name == "share_out_at_us"), "{outcome:?}");
    id
}

/// What is free of the first article.
async fn free(app: &TestApp, world: &World) -> i64 {
    app.stored::<Stock>(world.tenant).await[&world.stocks[0]].free_milli
}

async fn called_off(app: &TestApp, world: &World, order: Uuid) {
    let cancel = CancelOrder { order_id: bytes(order), reason: "by mistake".to_owned() };
    decided(app, world, Command::CancelOrder(cancel)).await;
}

async fn c11_scarce_goods_are_shared_out_in_proportion_at_a_moment(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    shared_out_in_an_hour(&app, &world, 8).await;
    let much = awaited(&app, &world, (&mut anna, &world.anna), 9).await;
    app.pass(1);
    let little = awaited(&app, &world, (&mut boris, &world.boris), 3).await;
    let shares = explained(&app, much).await.remove(1);
    assert_eq!(shares[0][..4], ["Article 0", "no share", "0", "0"]);
    assert!(shares[0][4].ends_with("and it waits until then"), "{shares:?}");
    app.pass(58);
    by_the_clock(&app, &world).await;
    assert_eq!(free(&app, &world).await, 8_000, "nothing is set aside before");
    app.pass(2);
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, much).await, (6_000, LineDifference::BackOrdered));
    assert_eq!(line(&app, &world, little).await.0, 2_000);
    assert_eq!((free(&app, &world).await, used(&app, &world).await), (0, vec![6_000, 2_000]));
    app.sync(&mut anna).await;
    let shown: Order = app.shown(&anna, much).expect("the order");
    assert_eq!((shown.status(), shown.lines[0].quota.is_some()), (OrderStatus::Confirmed, true));
    assert!(!shown.holds[0].released_by.is_empty(), "a rule has released it: {shown:?}");
    let (late, milli, _) = ordered(&app, &world, (&mut boris, &world.boris), 4).await;
    assert_eq!(milli, 0, "whoever comes later takes what is left");
    let tables = explained(&app, much).await;
    let [_, shares, _] = tables.as_slice() else { panic!("{tables:?}") };
    assert_eq!(shares[0][..4], ["Article 0", "its own share", "6", "6"]);
    assert!(shares[0][4].ends_with(": 8 were free, and 2 orders wanted 12"), "{shares:?}");
    assert_eq!(explained(&app, late).await.len(), 2, "it has no share, and has waited for none");
    called_off(&app, &world, much).await;
    assert_eq!(used(&app, &world).await, [3_000], "the share of an order that is no more is nobody's");
    assert_eq!(line(&app, &world, little).await.0 + line(&app, &world, late).await.0, 7_000, "those who wait have it");
    app.sync(&mut boris).await;
    done(app, &world, &mut anna).await;
}

async fn c11_who_is_edited_or_called_off_before_counts_with_what_is_left(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    shared_out_in_an_hour(&app, &world, 8).await;
    let [first, second, third] = {
        let mut orders = [Uuid::nil(); 3];
        for order in &mut orders {
            *order = awaited(&app, &world, (&mut anna, &world.anna), 10).await;
            app.pass(1);
        }
        orders
    };
    called_off(&app, &world, third).await;
    let line_id = app.stored::<Order>(world.tenant).await[&second].lines[0].line_id.clone();
    let quantity_milli = Some(Int64Change { base: 10_000, value: 6_000 });
    let edit = Edit::Change(OrderLineChange { line_id, quantity_milli, ..OrderLineChange::default() });
    let lines = vec![OrderLineEdit { edit: Some(edit) }];
    let change = ChangeOrder { order_id: bytes(second), lines, ..ChangeOrder::default() };
    let outcome = app.decide(&mut anna, Command::ChangeOrder(change)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldAllocation), "{outcome:?}");
    app.pass(60);
    by_the_clock(&app, &world).await;
    let got = [line(&app, &world, first).await.0, line(&app, &world, second).await.0];
    assert_eq!(got, [5_000, 3_000], "of sixteen");
    done(app, &world, &mut anna).await;
}

async fn c11_who_is_let_out_before_has_what_is_free_and_no_share(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    shared_out_in_an_hour(&app, &world, 8).await;
    let urgent = awaited(&app, &world, (&mut anna, &world.anna), 5).await;
    let patient = awaited(&app, &world, (&mut anna, &world.anna), 6).await;
    let release = ReleaseHold {
        order_id: bytes(urgent),
        reason: HoldReason::Allocation.into(),
        release_reason: ReleaseReason::AgreedWithManagement.into(),
        ..ReleaseHold::default()
    };
    assert_eq!(app.office(Command::ReleaseHold(release)).await.status(), Status::Applied);
    assert_eq!((line(&app, &world, urgent).await.0, free(&app, &world).await), (5_000, 3_000));
    app.sync(&mut anna).await;
    let shown: Order = app.shown(&anna, urgent).expect("the order");
    assert_eq!(shown.holds[0].release_reason(), ReleaseReason::AgreedWithManagement);
    app.pass(60);
    by_the_clock(&app, &world).await;
    assert_eq!((line(&app, &world, patient).await.0, used(&app, &world).await), (3_000, vec![3_000]));
    done(app, &world, &mut anna).await;
}

async fn c11_who_also_waits_for_credit_keeps_the_share_until_it_returns(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = shared_out_in_an_hour(&app, &world, 8).await;
    let shares = app.stored::<StockQuota>(world.tenant).await[&id].clone();
    shared_out(&app, id, StockQuota { return_at_us: app.now_us() + 180 * MINUTE_US, ..shares }).await;
    let agreement = Agreement { credit_limit_minor: Some(0), ..world.agreement(1) };
    import(&app, vec![entry(world.agreements[1], Record::Agreement(agreement))]).await;
    let (poor, submit) = order(&app, &anna, &world, &world.anna, &[(0, 8, PRICE_MINOR)]);
    let (outlet_id, agreement_id) = (bytes(world.anna.outlets[1]), bytes(world.agreements[1]));
    let submit = SubmitOrder { outlet_id, agreement_id, ..submit };
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldSeveral), "{outcome:?}");
    app.pass(61);
    by_the_clock(&app, &world).await;
    let waits = app.stored::<Order>(world.tenant).await[&poor].clone();
    assert_eq!((open_holds(&waits), free(&app, &world).await), (vec![HoldReason::CreditLimit], 8_000));
    on_back_order(&app, &world).await;
    let (rich, milli, _) = ordered(&app, &world, (&mut anna, &world.anna), 5).await;
    assert_eq!(milli, 0, "it is the share of another one");
    app.pass(120);
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, rich).await.0, 5_000);
    done(app, &world, &mut anna).await;
}

async fn c11_of_many_who_wait_all_are_decided_in_rounds(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    on_back_order(&app, &world).await;
    shared_out_in_an_hour(&app, &world, 100).await;
    for _ in 0..130 {
        let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        app.capture(&mut anna, Command::SubmitOrder(submit));
    }
    app.sync(&mut anna).await;
    app.pass(60);
    by_the_clock(&app, &world).await;
    let orders = app.stored::<Order>(world.tenant).await;
    let got = |pieces: i64| orders.values().filter(|order| order.lines[0].reserved_milli == pieces * 1_000).count();
    assert_eq!((got(1), got(0), orders.len()), (100, 30, 130));
    assert!(orders.values().all(|order| order.status() == OrderStatus::Confirmed));
    done(app, &world, &mut anna).await;
}

async fn two_quotas_of_a_product_are_shared_out_at_different_moments(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let at = |share_out_at_us, valid_from_day, valid_to_day| StockQuota {
        share_out_at_us,
        valid_from_day,
        valid_to_day,
        ..quota(&world, vec![])
    };
    let moment = app.now_us() + 60 * MINUTE_US;
    shared_out(&app, app.id(), at(moment, TODAY, TODAY)).await;
    let records = vec![entry(app.id(), Record::StockQuota(at(moment, TODAY + 1, TODAY + 1)))];
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::QuotaOverlap));
    assert!(outcome.text.starts_with("share_out_at_us:"), "{outcome:?}");
    shared_out(&app, app.id(), at(moment + 1, TODAY + 1, TODAY + 1)).await;
    done(app, &world, &mut anna).await;
}

async fn a_product_that_is_shared_out_at_a_moment_is_so_once(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let refused = async |id: Uuid, quota: StockQuota| {
        let records = vec![entry(id, Record::StockQuota(quota))];
        let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
        assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}");
        (outcome.reason(), outcome.text.split(':').next().unwrap_or_default().to_owned())
    };
    let share_out_at_us = app.now_us() + 60 * MINUTE_US;
    let later = |entries| StockQuota { share_out_at_us, ..quota(&world, entries) };
    let why = refused(app.id(), later(vec![of_rep(&world.anna, 6)])).await;
    assert_eq!(why, (Reason::OutOfRange, "entries".to_owned()));
    let why = refused(app.id(), StockQuota { return_at_us: share_out_at_us, ..later(vec![]) }).await;
    assert_eq!(why, (Reason::OutOfRange, "return_at_us".to_owned()));
    let of_an_order = share(Holder::OrderId(bytes(app.id())), 1);
    assert_eq!(refused(app.id(), quota(&world, vec![of_an_order])).await, (Reason::OutOfRange, "order_id".to_owned()));
    let id = shared_out_in_an_hour(&app, &world, 8).await;
    let order = awaited(&app, &world, (&mut anna, &world.anna), 5).await;
    // The office thinks better of it: nobody waits any more.
    shared_out(&app, id, quota(&world, vec![of_rep(&world.boris, 4)])).await;
    app.pass(1);
    by_the_clock(&app, &world).await;
    assert_eq!(line(&app, &world, order).await.0, 4_000);
    called_off(&app, &world, order).await;
    shared_out(&app, id, StockQuota { share_out_at_us: app.now_us(), ..quota(&world, vec![]) }).await;
    app.pass(1);
    by_the_clock(&app, &world).await;
    let why = refused(id, StockQuota { share_out_at_us: app.now_us() + 1, ..quota(&world, vec![]) }).await;
    assert_eq!(why, (Reason::WrongState, "share_out_at_us".to_owned()));
    done(app, &world, &mut anna).await;
}

async fn what_is_on_its_way_is_told_and_promised_to_nobody(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let set = async |expected_milli, expected_day| {
        app.pass(1);
        let as_of_us = app.now_us();
        let stock = Some(Stock { as_of_us, expected_milli, expected_day, ..world.stock(0, 3_000) });
        let stocks = vec![StockToSet { stock_id: bytes(world.stocks[0]), stock }];
        app.office(Command::SetStock(SetStock { stocks })).await
    };
    assert_eq!(status(&set(50_000, TODAY + 3).await), (Status::Applied, Reason::Unspecified));
    let (_, milli, difference) = ordered(&app, &world, (&mut anna, &world.anna), 5).await;
    assert_eq!((milli, difference), (3_000, LineDifference::StockShort));
    app.sync(&mut anna).await;
    let shown: Stock = app.shown(&anna, world.stocks[0]).expect("the stock");
    assert_eq!((shown.expected_milli, shown.expected_day, shown.free_milli), (50_000, TODAY + 3, 0));
    let refused = set(0, TODAY + 3).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::MissingField), "{refused:?}");
    assert!(refused.text.starts_with("expected_milli"), "{refused:?}");
    done(app, &world, &mut anna).await;
}
