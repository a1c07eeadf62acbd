//! What a device may rely on when it pulls, message by message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use roundsman::device::Synced;
use roundsman::fail::FailPoints;
use roundsman::pull::{Outgoing, Pull, PullError};
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::sync_service_client::SyncServiceClient;
use roundsman_proto::sync::{BucketAction, InventoryRequest, Position, PullRequest, PullResponse};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    AdvanceHorizon, ImportRecords, MoveOutlet, Outlet, PriceToSet, Product, RecordToImport, SetPrices, Survey,
};
use roundsman_sync::replica::{Event, Want};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::workload;
use roundsman_tests::world::{World, bytes, check_in};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::faults::push;
use crate::wake::blocked;

on_both_databases!(
    a_follower_hears_of_what_it_holds_and_of_nothing_else,
    a_follower_gains_and_loses_with_its_scopes,
    a_commit_that_changes_one_bucket_and_makes_another_reaches_a_follower_whole,
    a_first_sync_that_is_cut_goes_on_where_it_was,
    what_changes_while_much_is_read_fits_behind_what_came,
    a_position_of_another_history_is_compared_instead_of_believed,
    a_position_behind_the_horizon_may_be_of_another_history,
    a_damaged_bucket_is_fetched_again,
    a_bucket_that_moved_since_is_not_kept_for_its_sum,
    who_has_everything_hears_one_checkpoint,
    who_has_more_than_everything_hears_of_the_fork,
    a_plan_announces_what_comes,
    who_takes_nothing_is_sent_away,
    who_follows_a_server_that_stops_is_told_when_to_come_back,
);

type Stream = Streaming<PullResponse>;

/// Reads a stream up to its next last checkpoint; returns the rows that came.
pub async fn to_checkpoint(device: &mut TestDevice, stream: &mut Stream) -> u64 {
    let mut synced = Synced::default();
    loop {
        let message = stream.message().await.expect("goes on").expect("does not end");
        if let Event::Checkpoint { last: true, .. } = device.take(message, &mut synced).expect("takes it") {
            assert_eq!(synced.damaged, 0);
            return synced.rows;
        }
    }
}

/// Opens a stream, and has everything.
pub async fn follow(app: &TestApp, device: &mut TestDevice) -> Stream {
    let mut stream = device.open(app.now_us(), true, &mut Synced::default()).await.expect("opens");
    to_checkpoint(device, &mut stream).await;
    stream
}

/// Sets a price.
pub fn one_price(world: &World, index: usize, price_minor: i64) -> Command {
    let price = Some(world.price(index, price_minor));
    Command::SetPrices(SetPrices { prices: vec![PriceToSet { price_id: bytes(world.prices[index]), price }] })
}

async fn a_follower_hears_of_what_it_holds_and_of_nothing_else(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = follow(&app, &mut anna).await;

    app.office(blocked(&world, true)).await;
    assert_eq!(to_checkpoint(&mut anna, &mut stream).await, 1);
    // A change in another territory, then one of her own: she hears of the second only, and her position covers both.
    let elsewhere = roundsman_proto::trade::BlockOutlet {
        outlet_id: bytes(world.boris.outlets[0]),
        blocked: true,
        reason: "unpaid".to_owned(),
    };
    app.office(Command::BlockOutlet(elsewhere)).await;
    app.office(blocked(&world, false)).await;
    assert_eq!(to_checkpoint(&mut anna, &mut stream).await, 1);
    let outlet: Outlet = app.shown(&anna, world.anna.outlets[0]).expect("the outlet");
    assert!(!outlet.blocked);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    drop(stream);
    anna.replica.cut();
    assert_eq!(app.sync(&mut anna).await.rows, 0, "a later pull goes on from there");
    app.finish().await;
}

#[tokio::test]
async fn a_follower_hears_of_what_another_process_commits() {
    let app = TestApp::start(Kind::Postgres).await;
    let world = World::make(&app).await;
    let neighbour = app.neighbour().await;
    let mut anna = app.device_at(&neighbour.channel, "anna").await;
    let mut stream = follow(&app, &mut anna).await;
    // What was before she began is read by then.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    app.office(blocked(&world, true)).await;
    let plan = stream.message().await.expect("goes on").expect("does not end");
    let Some(Message::Plan(planned)) = &plan.message else { panic!("{plan:?}") };
    assert_eq!(planned.buckets.iter().map(|bucket| bucket.rows).collect::<Vec<_>>(), [1], "a tail, not a pull");
    anna.take(plan, &mut Synced::default()).expect("takes it");
    assert_eq!(to_checkpoint(&mut anna, &mut stream).await, 1);
    let outlet = world.anna.outlets[0];
    let move_outlet = MoveOutlet { outlet_id: bytes(outlet), territory_id: bytes(world.boris.territory) };
    app.office(Command::MoveOutlet(move_outlet)).await;
    to_checkpoint(&mut anna, &mut stream).await;
    assert!(app.shown::<Outlet>(&anna, outlet).is_none());
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    drop(stream);
    neighbour.finish().await;
    app.finish().await;
}

async fn a_follower_gains_and_loses_with_its_scopes(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (mut anna, mut boris) = (app.device("anna").await, app.device("boris").await);
    let mut annas = follow(&app, &mut anna).await;
    let mut boriss = follow(&app, &mut boris).await;
    let outlet = world.anna.outlets[0];
    let move_outlet = MoveOutlet { outlet_id: bytes(outlet), territory_id: bytes(world.boris.territory) };
    app.office(Command::MoveOutlet(move_outlet)).await;
    to_checkpoint(&mut anna, &mut annas).await;
    to_checkpoint(&mut boris, &mut boriss).await;
    assert!(app.shown::<Outlet>(&anna, outlet).is_none());
    assert!(app.shown::<Outlet>(&boris, outlet).is_some());
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.assert_converged(&boris, &world.caller(&world.boris)).await;
    app.finish().await;
}

async fn a_commit_that_changes_one_bucket_and_makes_another_reaches_a_follower_whole(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = follow(&app, &mut anna).await;
    let renamed =
        Product { name: "Another name".to_owned(), ..app.shown(&anna, world.products[0]).expect("a product") };
    let survey = Survey { title: "The first survey".to_owned(), ..Survey::default() };
    let entry = |id, record| RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 };
    let records = vec![entry(world.products[0], Record::Product(renamed)), entry(app.id(), Record::Survey(survey))];
    app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(to_checkpoint(&mut anna, &mut stream).await, 2);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

async fn a_first_sync_that_is_cut_goes_on_where_it_was(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    for taken in 1..=6 {
        let mut stream = anna.open(app.now_us(), false, &mut Synced::default()).await.expect("opens");
        for _ in 0..taken {
            let Some(message) = stream.message().await.expect("goes on") else {
                break;
            };
            anna.take(message, &mut Synced::default()).expect("takes it");
        }
        anna.replica.cut();
    }
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

/// A pull into a channel that takes a message at a time, so that a test knows how far it is.
fn pull_of(app: &TestApp, world: &World, patience: Duration) -> (Pull, mpsc::Receiver<Vec<PullResponse>>) {
    let (out, messages) = mpsc::channel(1);
    let pull = Pull {
        db: app.core.db.clone(),
        clock: Arc::clone(&app.core.clock),
        caller: world.caller(&world.anna),
        standing: Arc::new(|| Ok(())),
        out: Outgoing::new(out, patience, 0),
        fail: FailPoints::default(),
        present: Arc::clone(&app.core.present),
        contacts: Arc::clone(&app.core.contacts),
        pages: Arc::clone(&app.core.pages),
        tails: app.core.lanes.of(world.tenant).follow(),
    };
    (pull, messages)
}

/// What is much is read page by page before the cut that ends it, and others write meanwhile.
async fn what_changes_while_much_is_read_fits_behind_what_came(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    workload::import_catalogue(&app).await;
    let mut anna = app.device("anna").await;
    let (pull, mut messages) = pull_of(&app, &world, Duration::from_secs(60));
    let request = anna.replica.request(&Want::default()).expect("asks");
    let serving = tokio::spawn(async move { pull.serve(&request).await });
    let (mut synced, mut pages) = (Synced::default(), 0);
    while let Some(some) = messages.recv().await {
        for message in some {
            if matches!(message.message, Some(Message::Page(_))) {
                workload::import_articles(&app, pages..pages + 1, "changed").await;
                pages += 1;
            }
            anna.take(message, &mut synced).expect("it fits behind what came");
        }
    }
    serving.await.expect("is not cut short").expect("is served");
    assert!(synced.checkpoints > 1, "it was much: {synced:?}");
    anna.replica.cut();
    app.sync(&mut anna).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

async fn a_position_of_another_history_is_compared_instead_of_believed(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let request = PullRequest {
        protocol_version: 1,
        position: Some(Position { version: 1_000, nonce: 7 }),
        ..PullRequest::default()
    };
    let token = app.device_token("anna").await;
    let request = roundsman::device::authorized(&token, request).expect("a request");
    let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await.expect("opens").into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await.expect("goes on") {
        messages.push(message.message.expect("is known"));
    }
    assert!(matches!(messages.as_slice(), [Message::Fork(_), Message::InventoryRequest(_)]), "{messages:?}");
    app.finish().await;
}

async fn a_position_behind_the_horizon_may_be_of_another_history(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let old = Position { version: app.version(world.tenant).await, nonce: 7 };
    for minor in [1_444, 1_445] {
        app.office(one_price(&world, 0, minor)).await;
    }
    let advance = AdvanceHorizon { horizon: old.version + 1 };
    app.server(world.tenant, Command::AdvanceHorizon(advance)).await;
    assert_eq!(app.horizon(world.tenant).await, advance.horizon);
    let token = app.device_token("anna").await;
    for (position, foreign) in [(Some(old), true), (None, false)] {
        let request = PullRequest { protocol_version: 1, position, has_inventory: true, ..PullRequest::default() };
        let request = roundsman::device::authorized(&token, request).expect("a request");
        let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await.expect("opens").into_inner();
        match stream.message().await.expect("goes on").expect("does not end").message {
            Some(Message::Plan(plan)) => assert_eq!(plan.fork, foreign),
            other => panic!("{other:?}"),
        }
    }
    app.finish().await;
}

async fn a_damaged_bucket_is_fetched_again(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    app.shift_checksum(&format!("price_list:{}", world.price_list), 1).await;
    app.office(one_price(&world, 2, 1_333)).await;
    let synced = anna.sync(app.now_us()).await.expect("synchronizes");
    assert_eq!(synced.damaged, 1, "the sum tells that something is wrong");
    app.shift_checksum(&format!("price_list:{}", world.price_list), -1).await;
    let again = app.sync(&mut anna).await;
    assert!(again.rows >= 10, "the whole bucket came again: {again:?}");
    app.finish().await;
}

async fn who_has_more_than_everything_hears_of_the_fork(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let token = app.device_token("anna").await;
    push(&app, &token, 1, vec![check_in(app.id(), world.anna.outlets[0])]).await.expect("is answered");
    app.sync(&mut anna).await;
    let head = app.version(world.tenant).await;
    let seen =
        PullRequest { last_outcome_seq: 1, at_least: head, ..anna.replica.request(&Want::default()).expect("reads") };
    let position = seen.position.expect("a position");
    let other = Position { nonce: position.nonce ^ 1, ..position };
    for (request, forks) in [
        (seen.clone(), false),
        (PullRequest { last_outcome_seq: 2, ..seen.clone() }, true),
        (PullRequest { at_least: head + 1, ..seen.clone() }, true),
        (PullRequest { position: Some(other), ..seen }, true),
    ] {
        let request = roundsman::device::authorized(&token, request).expect("a request");
        let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await.expect("opens").into_inner();
        let first = stream.message().await.expect("goes on").expect("does not end").message;
        match first {
            Some(Message::Fork(fork)) => assert!(forks && fork.expected_seq == 2, "{fork:?}"),
            Some(Message::Checkpoint(_)) => assert!(!forks),
            other => panic!("{other:?}"),
        }
    }
    app.finish().await;
}

async fn a_bucket_that_moved_since_is_not_kept_for_its_sum(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let now = anna.replica.position().expect("a position");
    // A price goes up and comes down again: the device's sum is right, and the bucket has moved.
    app.office(one_price(&world, 0, 1_444)).await;
    app.office(one_price(&world, 0, roundsman_tests::world::PRICE_MINOR)).await;
    let wanted = PullResponse { message: Some(Message::InventoryRequest(InventoryRequest {})) };
    anna.replica.receive(wanted).expect("is taken");
    // A position that can't be gone on from.
    let position = Some(Position { version: now.version, nonce: 7 });
    let request = PullRequest { position, ..anna.replica.request(&Want::default()).expect("reads") };
    let token = app.device_token("anna").await;
    let request = roundsman::device::authorized(&token, request).expect("a request");
    let mut stream = SyncServiceClient::new(app.channel.clone()).pull(request).await.expect("opens").into_inner();
    let plan = loop {
        match stream.message().await.expect("goes on").expect("does not end").message {
            Some(Message::Plan(plan)) => break plan,
            other => assert!(matches!(other, Some(Message::Fork(_))), "{other:?}"),
        }
    };
    let moved = format!("price_list:{}", world.price_list);
    let price = roundsman_sync::kind::Kind::Price as u32;
    for bucket in &plan.buckets {
        let expected =
            if (&bucket.scope, bucket.kind) == (&moved, price) { BucketAction::Reset } else { BucketAction::Keep };
        assert_eq!(bucket.action(), expected, "{bucket:?}");
    }
    assert!(plan.buckets.iter().any(|bucket| bucket.scope == moved));
    app.finish().await;
}

/// All messages of a pull that does not follow.
async fn messages(app: &TestApp, device: &mut TestDevice) -> Vec<Message> {
    let mut stream = device.open(app.now_us(), false, &mut Synced::default()).await.expect("opens");
    let mut messages = Vec::new();
    while let Some(response) = stream.message().await.expect("goes on") {
        messages.extend(response.message.clone());
        device.take(response, &mut Synced::default()).expect("takes it");
    }
    messages
}

async fn who_has_everything_hears_one_checkpoint(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let before = anna.replica.position();
    let [Message::Checkpoint(only)] = &messages(&app, &mut anna).await[..] else { panic!("nothing else comes") };
    assert!(only.last && only.buckets.is_empty());
    assert_eq!((only.position.map(Into::into), anna.replica.position()), (before, before));
    // A price that she holds, then a scope that she gains: both are more than that.
    app.office(one_price(&world, 0, 1_111)).await;
    assert_eq!(messages(&app, &mut anna).await.len(), 3, "a plan, a page, a checkpoint");
    app.office(Command::MoveOutlet(MoveOutlet {
        outlet_id: bytes(world.boris.outlets[0]),
        territory_id: bytes(world.anna.territory),
    }))
    .await;
    assert!(messages(&app, &mut anna).await.len() > 1);
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    app.finish().await;
}

/// What the plans of one pull announced, and what came: rows and bytes, by whether the buckets came whole.
async fn announced_and_brought(app: &TestApp, device: &mut TestDevice) -> BTreeMap<bool, [(i64, i64); 2]> {
    let mut sums: BTreeMap<bool, [(i64, i64); 2]> = BTreeMap::new();
    let mut whole = BTreeMap::new();
    let mut stream = device.open(app.now_us(), false, &mut Synced::default()).await.expect("opens");
    while let Some(message) = stream.message().await.expect("goes on").and_then(|response| response.message) {
        match &message {
            Message::Plan(plan) => {
                for bucket in &plan.buckets {
                    let begins = !device.replica.buckets().any(|held| held.id == bucket.bucket_id && held.rows > 0);
                    whole.insert(bucket.bucket_id, begins);
                    let announced = &mut sums.entry(begins).or_default()[0];
                    *announced = (announced.0 + bucket.rows, announced.1 + bucket.bytes);
                }
            }
            Message::Page(page) => {
                let brought = &mut sums.entry(whole[&page.bucket_id]).or_default()[1];
                *brought = (brought.0 + i64::from(page.rows), brought.1 + i64::from(page.payload_size));
            }
            Message::Fork(_) | Message::InventoryRequest(_) | Message::Checkpoint(_) | Message::KeepAlive(_) => {}
        }
        device.take(PullResponse { message: Some(message) }, &mut Synced::default()).expect("takes it");
    }
    device.replica.cut();
    sums
}

async fn a_plan_announces_what_comes(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let first = announced_and_brought(&app, &mut anna).await;
    let [announced, brought] = first[&true];
    assert!(announced.0 > 30 && announced.1 > 1_000, "{first:?}");
    assert_eq!(announced, brought, "while nobody writes, what begins comes as it was announced");
    app.office(one_price(&world, 0, 1_444)).await;
    let second = announced_and_brought(&app, &mut anna).await;
    let [announced, brought] = second[&false];
    assert!(brought.0 == 1 && brought.0 <= announced.0 && brought.1 <= announced.1, "never more: {second:?}");
    app.finish().await;
}

async fn who_takes_nothing_is_sent_away(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (pull, mut waiting) = pull_of(&app, &world, Duration::from_millis(50));
    let end = pull.serve(&PullRequest { protocol_version: 1, follow: true, ..PullRequest::default() }).await;
    assert!(matches!(end, Err(PullError::Slow)), "{end:?}");
    assert!(waiting.recv().await.is_some(), "one message waits");
    assert!(waiting.recv().await.is_none(), "and nothing else is kept for it");
    app.finish().await;
}

async fn who_follows_a_server_that_stops_is_told_when_to_come_back(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let mut waits = BTreeSet::new();
    let mut streams = Vec::new();
    for login in ["anna", "boris"] {
        let mut device = app.device(login).await;
        streams.push(follow(&app, &mut device).await);
    }
    let database = app.hand_over().await;
    for mut stream in streams {
        let status = stream.message().await.expect_err("the server stops");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(status.get_details_error_info().expect("a reason").reason, "STOPPING");
        waits.insert(status.get_details_retry_info().and_then(|info| info.retry_delay).expect("a moment"));
    }
    assert_eq!(waits.len(), 2, "not all at once: {waits:?}");
    assert!(waits.iter().all(|wait| (1..=31).contains(&wait.as_secs())), "{waits:?}");
    database.remove().await;
}
