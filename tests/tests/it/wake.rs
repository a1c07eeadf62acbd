//! When a follower hears of what: what can wait comes together with what is urgent, or after a while.

use std::sync::Arc;
use std::time::Duration;

use roundsman::clock::Clock;
use roundsman::device::Synced;
use roundsman::fail::FailPoints;
use roundsman::pull::{Outgoing, PATIENCE, Pull};
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{BucketAction, Plan, PullRequest, PullResponse};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{BlockOutlet, Customer, MoveOutlet, Outlet, RecordToImport};
use roundsman_sync::page;
use roundsman_tests::app::{START_US, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{World, bytes};
use tokio::sync::mpsc;
use tonic::Streaming;
use uuid::Uuid;

use crate::desk::import;
use crate::pull::{follow, one_price};
use crate::repair::product;

on_both_databases!(
    what_can_wait_comes_with_what_is_urgent,
    what_can_wait_comes_by_itself_within_a_minute,
    what_left_while_it_waited_does_not_travel,
    what_is_too_much_to_wait_comes_all_the_same,
);

/// So much faster than the machine's goes a clock by which a minute passes while a test waits.
const SPEED: i64 = 600;

/// What is urgent for Anna.
pub fn blocked(world: &World, blocked: bool) -> Command {
    let outlet_id = bytes(world.anna.outlets[0]);
    Command::BlockOutlet(BlockOutlet { outlet_id, blocked, reason: "unpaid".to_owned() })
}

/// One plan, and the documents that come with it, up to its checkpoint.
async fn next(messages: &mut impl AsyncFnMut() -> PullResponse) -> (Plan, Vec<Uuid>) {
    let (mut planned, mut records) = (None, Vec::new());
    loop {
        match messages().await.message {
            Some(Message::Plan(plan)) => assert!(planned.replace(plan).is_none(), "one plan tells of everything"),
            Some(Message::Page(page)) => {
                let rows = page::unpack(&page).expect("unpacks");
                records.extend(rows.iter().filter(|row| row.document.is_some()).map(|row| row.record));
            }
            Some(Message::Checkpoint(_)) => return (planned.expect("a plan"), records),
            other => assert!(matches!(other, Some(Message::KeepAlive(_))), "{other:?}"),
        }
    }
}

/// The same, as a device takes it.
async fn heard(device: &mut TestDevice, stream: &mut Streaming<PullResponse>) -> (Plan, Vec<Uuid>) {
    let mut take = async || {
        let message = stream.message().await.expect("goes on").expect("does not end");
        device.take(message.clone(), &mut Synced::default()).expect("takes it");
        message
    };
    next(&mut take).await
}

fn entry(id: Uuid, record: Record) -> RecordToImport {
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

async fn what_can_wait_comes_with_what_is_urgent(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = follow(&app, &mut anna).await;
    app.office(one_price(&world, 0, 1_111)).await;
    import(&app, vec![product(world.products[0], "Tea")]).await;
    app.office(one_price(&world, 0, 1_112)).await;
    app.office(blocked(&world, true)).await;
    let (plan, records) = heard(&mut anna, &mut stream).await;
    assert_eq!(plan.buckets.iter().map(|bucket| bucket.rows).sum::<i64>(), 4, "of tails, as they were told: {plan:?}");
    let [price, article, outlet] = [world.prices[0], world.products[0], world.anna.outlets[0]];
    let mut expected = vec![price, price, article, outlet];
    expected.sort_unstable();
    let mut came = records.clone();
    came.sort_unstable();
    assert_eq!(came, expected);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

async fn what_can_wait_comes_by_itself_within_a_minute(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (out, mut messages) = mpsc::channel(16);
    let clock = Arc::new(Clock::scaled(START_US, SPEED));
    let pull = Pull {
        db: app.core.db.clone(),
        clock: Arc::clone(&clock),
        caller: world.caller(&world.anna),
        standing: Arc::new(|| Ok(())),
        out: Outgoing::new(out, PATIENCE, 0),
        fail: FailPoints::default(),
        present: Arc::clone(&app.core.present),
        contacts: Arc::clone(&app.core.contacts),
        pages: Arc::clone(&app.core.pages),
        tails: app.core.lanes.of(world.tenant).follow(),
    };
    let request = PullRequest { protocol_version: 1, follow: true, ..PullRequest::default() };
    let serving = tokio::spawn(async move { pull.serve(&request).await });
    let mut take = async || messages.recv().await.expect("goes on").pop().expect("one message");
    next(&mut take).await;
    import(&app, vec![product(world.products[0], "Tea")]).await;
    let changed_us = clock.now_us();
    app.office(one_price(&world, 0, 1_111)).await;
    let (_, records) = next(&mut take).await;
    assert_eq!(records.len(), 2, "what only rides comes with it: {records:?}");
    let waited = Duration::from_micros((clock.now_us() - changed_us).unsigned_abs());
    assert!(waited >= Duration::from_secs(30), "it waits for more: {waited:?}");
    drop(messages);
    app.office(blocked(&world, true)).await;
    assert!(serving.await.expect("ends").is_err(), "nobody listens any more");
    app.finish().await;
}

async fn what_left_while_it_waited_does_not_travel(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let [customer, outlet] = [app.id(), app.id()];
    let named = |name: &str| Record::Customer(Customer { name: name.to_owned(), ..Customer::default() });
    let shop = Outlet { customer_id: bytes(customer), ..world.outlet(&world.anna, 0) };
    import(&app, vec![entry(customer, named("Small")), entry(outlet, Record::Outlet(shop))]).await;
    let mut anna = app.device("anna").await;
    let mut stream = follow(&app, &mut anna).await;
    assert!(app.shown::<Customer>(&anna, customer).is_some());
    import(&app, vec![entry(customer, named("Smaller"))]).await;
    let territory_id = bytes(world.boris.territory);
    app.office(Command::MoveOutlet(MoveOutlet { outlet_id: bytes(outlet), territory_id })).await;
    let (_, records) = heard(&mut anna, &mut stream).await;
    assert!(!records.contains(&customer), "its change waited, and then it was another's");
    assert!(app.shown::<Customer>(&anna, customer).is_none());
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

async fn what_is_too_much_to_wait_comes_all_the_same(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = follow(&app, &mut anna).await;
    for price_minor in 0..80 {
        app.office(one_price(&world, 0, 1_000 + price_minor)).await;
    }
    app.office(blocked(&world, true)).await;
    let (plan, records) = heard(&mut anna, &mut stream).await;
    assert_eq!(records.len(), 2, "an ordinary pull: the price as it is now, and the outlet");
    assert!(plan.buckets.iter().all(|bucket| bucket.action() == BucketAction::Append), "{plan:?}");
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}
