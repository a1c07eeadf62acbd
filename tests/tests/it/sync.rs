//! The laws of synchronization, at small scale.

use roundsman::verify;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{MoveOutlet, Outlet, Price, PriceToSet, SetPrices};
use roundsman_sync::kind::Kind as RecordKind;
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};

on_both_databases!(
    a_first_sync_brings_exactly_what_the_rep_holds,
    a_delta_brings_what_changed_and_nothing_else,
    an_outlet_that_moves_leaves_one_device_and_comes_to_the_other,
    after_a_new_rule_no_record_stays_where_the_old_one_had_it,
);

async fn a_first_sync_brings_exactly_what_the_rep_holds(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let synced = app.sync(&mut anna).await;
    assert!(synced.rows >= 30, "{synced:?}");
    let own: Outlet = app.shown(&anna, world.anna.outlets[0]).expect("the rep's own outlet");
    assert_eq!(own.name, "Outlet 0 of anna");
    assert!(app.shown::<Outlet>(&anna, world.boris.outlets[0]).is_none(), "not the colleague's");
    assert!(app.shown::<Price>(&anna, world.prices[0]).is_some(), "the prices of the outlets' agreements");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;

    let mut sonja = app.device("sonja").await;
    app.sync(&mut sonja).await;
    assert!(
        app.shown::<Outlet>(&sonja, world.boris.outlets[0]).is_some(),
        "the supervisor holds the team's territories"
    );
    app.assert_converged(&sonja, &world.supervisor_caller()).await;
    app.finish().await;
}

async fn a_delta_brings_what_changed_and_nothing_else(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    assert_eq!(app.sync(&mut anna).await.rows, 0, "nothing new");

    let price = Some(world.price(3, 1_250));
    let prices = vec![PriceToSet { price_id: bytes(world.prices[3]), price }];
    let outcome = app.office(Command::SetPrices(SetPrices { prices })).await;
    assert_eq!(outcome.status(), Status::Applied);
    assert_eq!(app.sync(&mut anna).await.rows, 1, "one price");
    let shown: Price = app.shown(&anna, world.prices[3]).expect("the price");
    assert_eq!(shown.breaks[0].price_minor, 1_250);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

async fn an_outlet_that_moves_leaves_one_device_and_comes_to_the_other(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (mut anna, mut boris) = (app.device("anna").await, app.device("boris").await);
    app.sync(&mut anna).await;
    app.sync(&mut boris).await;
    let outlet = world.anna.outlets[1];
    let move_outlet = MoveOutlet { outlet_id: bytes(outlet), territory_id: bytes(world.boris.territory) };
    let outcome = app.office(Command::MoveOutlet(move_outlet)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.sync(&mut anna).await;
    app.sync(&mut boris).await;
    assert!(app.shown::<Outlet>(&anna, outlet).is_none(), "it has left");
    assert!(app.shown::<Outlet>(&boris, outlet).is_some(), "it has come");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.assert_converged(&boris, &world.caller(&world.boris)).await;
    let findings = verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn after_a_new_rule_no_record_stays_where_the_old_one_had_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (old, new) = ("tenant".to_owned(), format!("price_list:{}", world.price_list));
    app.place_elsewhere(RecordKind::Price, &new, &old).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let rows = |device: &TestDevice, scope: &str| {
        let mut buckets = device.replica.buckets();
        let held = buckets.find(|held| &*held.scope == scope && held.kind == RecordKind::Price as u32);
        held.map_or(0, |held| held.rows)
    };
    let prices = i64::try_from(world.prices.len()).expect("is small");
    assert_eq!([&old, &new].map(|scope| rows(&anna, scope)), [prices, 0]);
    for index in 0..world.prices.len() {
        let (price_id, price) = (bytes(world.prices[index]), Some(world.price(index, 1_250)));
        app.office(Command::SetPrices(SetPrices { prices: vec![PriceToSet { price_id, price }] })).await;
    }
    app.sync(&mut anna).await;
    assert_eq!([&old, &new].map(|scope| rows(&anna, scope)), [0, prices]);
    let shown: Price = app.shown(&anna, world.prices[3]).expect("the price");
    assert_eq!(shown.breaks[0].price_minor, 1_250);
    assert_eq!(verify::verify(&app.core.db, world.tenant).await.expect("is verified"), Vec::<String>::new());
    app.finish().await;
}
