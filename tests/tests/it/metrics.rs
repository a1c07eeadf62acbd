//! What an operator sees on `/metrics` of a running server.

use std::sync::Arc;

use roundsman::batch::Submission;
use roundsman::commands::Issuer;
use roundsman::jobs::Jobs;
use roundsman::watch;
use roundsman_proto::trade::SubmitOrder;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_sync::scope::Scope;
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::World;

use crate::desk::{entry, import, submitted};

on_both_databases!(
    a_snapshot_that_stays_open_is_seen,
    how_long_a_lane_lets_wait_is_seen,
    what_is_sent_is_counted,
    what_piles_up_is_seen,
    a_bucket_that_a_device_finds_damaged_is_counted,
    the_log_of_sqlite_is_truncated_when_nobody_writes,
);

async fn figure(app: &TestApp, name: &str) -> f64 {
    app.metric(name).await.unwrap_or_else(|| panic!("{name} is shown"))
}

/// The name of a figure of the tenant.
fn of(name: &str, tenant: i64) -> String {
    format!("{name}{{tenant=\"{tenant}\"}}")
}

async fn a_snapshot_that_stays_open_is_seen(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let snapshot = app.core.db.read().await.expect("begins");
    let first = figure(&app, "roundsman_snapshot_oldest_seconds").await;
    let second = figure(&app, "roundsman_snapshot_oldest_seconds").await;
    assert!(first > 0.0 && second > first, "it grows: {first} {second}");
    drop(snapshot);
    let longest = figure(&app, "roundsman_snapshot_longest_seconds").await;
    assert!(longest >= second, "it is remembered: {longest}");
    assert!(figure(&app, "roundsman_snapshot_oldest_seconds").await < longest, "and is no longer open");
    app.finish().await;
}

/// Commands of the server's own: none.
fn nothing() -> Submission {
    Submission {
        issuer: Issuer::Server,
        sender: None,
        request: "test".to_owned(),
        received_at_us: 0,
        released: false,
        commands: Vec::new(),
    }
}

async fn how_long_a_lane_lets_wait_is_seen(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let name = |name| of(name, world.tenant);
    let before = figure(&app, &name("roundsman_lane_longest_seconds")).await;
    // The lane's own transaction has to wait for this one; what comes after it waits for the lane.
    let blocker = app.core.db.write_tenant(world.tenant).await.expect("begins");
    let (mut answers, mut oldest) = (Vec::new(), 0.0);
    while oldest <= before {
        if oldest == 0.0 {
            let lane = app.core.lanes.of(world.tenant);
            answers.push(tokio::spawn(async move { lane.submit(nothing()).await }));
        }
        oldest = figure(&app, &name("roundsman_lane_oldest_seconds")).await;
    }
    blocker.commit().await.expect("ends");
    for answer in answers {
        answer.await.expect("does not panic").expect("is answered");
    }
    assert!(figure(&app, &name("roundsman_lane_longest_seconds")).await >= oldest);
    assert!(figure(&app, &name("roundsman_lane_oldest_seconds")).await == 0.0, "nothing waits");
    app.finish().await;
}

async fn what_is_sent_is_counted(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    World::make(&app).await;
    let before = app.metric("roundsman_pages_sent_total").await.unwrap_or(0.0);
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let pages = figure(&app, "roundsman_pages_sent_total").await;
    assert!(pages > before);
    assert!(figure(&app, "roundsman_page_bytes_sent_total").await > pages, "a page has more than a byte");
    app.finish().await;
}

async fn what_piles_up_is_seen(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let name = |name| of(name, world.tenant);
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    watch::look(&app.core).await.expect("looks");
    let before = figure(&app, &name("roundsman_outbox_rows")).await;
    submitted(&app, &world, (&mut anna, &world.anna), 3, TODAY + 1).await;
    watch::look(&app.core).await.expect("looks");
    assert!(figure(&app, &name("roundsman_outbox_rows")).await > before, "an order is told of");
    let versions = app.version(world.tenant).await as f64;
    assert_eq!(figure(&app, &name("roundsman_horizon_behind_versions")).await, versions, "nothing is forgotten yet");

    app.pass(50 * 24 * 60);
    watch::look(&app.core).await.expect("looks");
    assert!(figure(&app, &name("roundsman_horizon_behind_days")).await > 49.9);
    assert!(figure(&app, &name("roundsman_outbox_oldest_seconds")).await > 49.9 * 86_400.0, "nobody sends it");
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    watch::look(&app.core).await.expect("looks");
    let horizon = app.horizon(world.tenant).await;
    let behind = (app.version(world.tenant).await - horizon) as f64;
    assert!(horizon > 0, "it has moved");
    assert_eq!(figure(&app, &name("roundsman_horizon_behind_versions")).await, behind);

    assert_eq!(figure(&app, &name("roundsman_quarantine_commands")).await, 0.0);
    let damaged = world.agreements[0];
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    app.replace_document(damaged, vec![0xff]).await;
    assert!(figure(&app, "roundsman_recent_bytes").await > 0.0, "what the orders needed");
    app.forget_records().await;
    let (_, order) = crate::desk::order(&app, &world, &world.boris, 1, TODAY + 60);
    let Command::SubmitOrder(order) = order else { panic!("{order:?} is handed in") };
    app.capture(&mut boris, Command::SubmitOrder(SubmitOrder { order_day: TODAY + 50, ..order }));
    let pushed = boris.sync(app.now_us()).await.expect("is answered");
    assert_eq!(pushed.outcomes.len(), 1);
    watch::look(&app.core).await.expect("looks");
    assert_eq!(figure(&app, &name("roundsman_quarantine_commands")).await, 1.0);
    app.finish().await;
}

async fn a_bucket_that_a_device_finds_damaged_is_counted(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    let world = World::make(&app).await;
    let name = "roundsman_bucket_resets_total{reason=\"damaged\"}";
    let before = app.metric(name).await.unwrap_or(0.0);
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let prices = Scope::PriceList(world.price_list).to_string();
    app.shift_checksum(&prices, 1).await;
    import(&app, vec![entry(world.prices[0], Record::Price(world.price(0, 1_333)))]).await;
    let damaged = anna.sync(app.now_us()).await.expect("synchronizes").damaged;
    assert!(damaged > 0);
    app.shift_checksum(&prices, -1).await;
    app.sync(&mut anna).await;
    assert!(figure(&app, name).await > before);
    app.finish().await;
}

async fn the_log_of_sqlite_is_truncated_when_nobody_writes(kind: Kind) {
    let app = TestApp::start_measured(kind).await;
    World::make(&app).await;
    let name = "roundsman_sqlite_wal_bytes";
    if kind == Kind::Postgres {
        assert_eq!(app.core.db.wal_bytes(), None, "it has none");
        assert!(!app.core.db.truncate_wal().await.expect("does nothing"));
    } else {
        let full = figure(&app, name).await;
        assert!(full > 0.0);
        let writer = app.core.db.write().await.expect("begins");
        assert!(!app.core.db.truncate_wal().await.expect("leaves a writer alone"));
        assert_eq!(figure(&app, name).await, full);
        writer.commit().await.expect("ends");
        // The writer is back a moment after its end.
        while !app.core.db.truncate_wal().await.expect("truncates") {
            tokio::task::yield_now().await;
        }
        assert_eq!(figure(&app, name).await, 0.0);
    }
    app.finish().await;
}
