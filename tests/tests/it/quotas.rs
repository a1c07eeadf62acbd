//! Scarce goods are shared out, and what is on its way is told.

use prost::Message as _;
use roundsman::internal::Internal as _;
use roundsman::store::record;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, CancelOrder, ImportRecords, LineDifference, Order, PrepareShipment, QuotaEntry, QuotaHolder, Reason,
    ReleaseOrder, SetStock, ShipShipment, ShippedLine, ShortReason, ShortageRule, Stock, StockQuota, StockToSet,
    Warehouse,
};
use roundsman_sync::trade::quota::Quotas;
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, RepWorld, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    c11_whoever_comes_first_leaves_others_their_shares,
    c11_a_share_that_is_returned_goes_to_those_who_wait,
    what_is_picked_short_is_the_shares_again,
    goods_from_another_warehouse_are_of_no_share,
    a_quota_that_does_not_fit_is_refused,
    what_is_on_its_way_is_told_and_promised_to_nobody,
);

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
    decided(app, world, Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order) })).await;
    let (shipment_id, warehouse_id) = (bytes(app.id()), bytes(warehouse));
    let prepare = PrepareShipment { shipment_id: shipment_id.clone(), order_id: bytes(order), warehouse_id };
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
