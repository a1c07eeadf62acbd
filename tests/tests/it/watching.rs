//! What changes is told to those who watch: soon, in order, once more rather than not at all, and to nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::record_change::Document;
use roundsman_proto::logistics::{WatchChangesRequest, WatchChangesResponse};
use roundsman_proto::sync::Position;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    AdvanceHorizon, GoodsReturn, Kind as RecordKind, Order, OrderLine, OrderStatus, PickShipment, ReleaseOrder,
    ReturnOrigin, ShipmentState, ShortageRule, StartWave,
};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, World, bytes};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::claims::Arrived;
use crate::desk::{by, entry, import, stranger};
use crate::returns::{announce, applied, receive};
use crate::shipments::Warehouse;

on_both_databases!(
    what_changes_is_told_and_a_broken_stream_goes_on_without_loss,
    only_the_wanted_kinds_are_told,
    what_was_missed_comes_page_by_page,
    returns_are_watched,
    a_position_that_is_not_known_is_refused,
    what_is_older_than_the_horizon_is_refused,
    nobody_else_may_watch,
    a_watch_ends_with_the_right_to_it,
);

async fn watch(
    channel: &Channel,
    token: &str,
    request: WatchChangesRequest,
) -> Result<Streaming<WatchChangesResponse>, Status> {
    Ok(LogisticsServiceClient::new(channel.clone()).watch_changes(by(token, request)).await?.into_inner())
}

fn after(position: Option<Position>) -> WatchChangesRequest {
    WatchChangesRequest { after: position, kinds: Vec::new() }
}

async fn next(stream: &mut Streaming<WatchChangesResponse>) -> Result<WatchChangesResponse, Status> {
    let answer = timeout(Duration::from_secs(15), stream.message()).await.expect("hears in time")?;
    Ok(answer.expect("goes on"))
}

/// What is told until this version, by record: the last of it.
async fn told(
    stream: &mut Streaming<WatchChangesResponse>,
    version: i64,
) -> (BTreeMap<Uuid, Document>, Option<Position>) {
    let mut told = BTreeMap::new();
    loop {
        let answer = next(stream).await.expect("goes on");
        assert!(answer.changes.is_sorted_by_key(|change| change.version));
        for change in answer.changes {
            told.insert(Uuid::from_slice(&change.id).expect("an id"), change.document.expect("is there"));
        }
        if answer.position.is_some_and(|position| position.version >= version) {
            return (told, answer.position);
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

async fn version(house: &Warehouse) -> i64 {
    house.app.version(house.world.tenant).await
}

async fn what_changes_is_told_and_a_broken_stream_goes_on_without_loss(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(None)).await.expect("opens");
    let first = next(&mut stream).await.expect("at once");
    assert_eq!(first.changes, [], "nothing has changed since");
    assert_eq!(first.position.map(|position| position.version), Some(version(&house).await));

    let order = house.submitted(&[(0, 1, PRICE_MINOR)]).await;
    let begun = Instant::now();
    let answer = next(&mut stream).await.expect("goes on");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((answer.changes.len(), answer.changes[0].kind()), (1, RecordKind::Order));
    assert_eq!(answer.changes[0].id, bytes(order));
    assert_eq!(answer.changes[0].document, Some(Document::Order(house.order(order).await)));
    assert!(answer.position.map(|position| position.version) > first.position.map(|position| position.version));
    let position = answer.position;
    drop(stream);

    // Nobody listens meanwhile.
    house.does(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order), partly: false })).await;
    let shipment = house.prepares(order).await;
    let picking = PickShipment { shipment_id: bytes(shipment), ..PickShipment::default() };
    house.does(Command::PickShipment(picking)).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(position)).await.expect("opens");
    let (missed, position) = told(&mut stream, version(&house).await).await;
    let expected = [
        (order, Document::Order(house.order(order).await)),
        (shipment, Document::Shipment(house.shipment(shipment).await)),
    ];
    assert_eq!(missed, BTreeMap::from(expected));
    assert_eq!(house.shipment(shipment).await.state(), ShipmentState::Picking);
    // A point that was told twice is gone on from twice.
    drop(stream);
    let mut stream = watch(&house.app.channel, &house.lars, after(position)).await.expect("opens");
    assert_eq!(next(&mut stream).await.expect("at once").changes, []);
    drop(stream);
    house.closes().await;
}

async fn only_the_wanted_kinds_are_told(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let waves = WatchChangesRequest { after: None, kinds: vec![RecordKind::Wave.into()] };
    let mut stream = watch(&house.app.channel, &house.lars, waves).await.expect("opens");
    next(&mut stream).await.expect("at once");
    let order = house.released(&[(0, 1, PRICE_MINOR)]).await;
    let wave = house.app.id();
    let start = StartWave {
        wave_id: bytes(wave),
        warehouse_id: bytes(house.world.warehouse),
        order_ids: vec![bytes(order)],
        ..StartWave::default()
    };
    house.does(Command::StartWave(start)).await;
    let answer = next(&mut stream).await.expect("goes on");
    let told: Vec<(RecordKind, Vec<u8>)> =
        answer.changes.into_iter().map(|change| (change.kind(), change.id)).collect();
    assert_eq!(told, [(RecordKind::Wave, bytes(wave))]);
    drop(stream);
    for kinds in [vec![0], vec![RecordKind::Product.into()], vec![RecordKind::Order.into(), 1_000], vec![-1]] {
        let request = WatchChangesRequest { after: None, kinds };
        let refused = watch(&house.app.channel, &house.lars, request).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    house.closes().await;
}

fn closed(world: &World, note: usize) -> Order {
    Order {
        outlet_id: bytes(world.anna.outlets[0]),
        customer_id: bytes(world.customers[0]),
        agreement_id: bytes(world.agreements[0]),
        rep_id: bytes(world.anna.rep),
        order_day: TODAY - 5,
        delivery_day: TODAY - 4,
        currency: roundsman_tests::world::CURRENCY.to_owned(),
        status: OrderStatus::Closed.into(),
        comment: "x".repeat(note),
        lines: vec![OrderLine {
            line_id: bytes(Uuid::from_u128(1)),
            product_id: bytes(world.products[0]),
            coefficient_milli: 1_000,
            ordered_milli: 1_000,
            ..OrderLine::default()
        }],
        ..Order::default()
    }
}

/// More than one answer holds, in number and in bytes; from whichever answer it is gone on, nothing is missed.
async fn what_was_missed_comes_page_by_page(kind: Kind) {
    let house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(None)).await.expect("opens");
    let from = next(&mut stream).await.expect("at once").position;
    drop(stream);
    let (mut all, mut large) = (BTreeSet::new(), 0);
    for chunk in 0..8 {
        let note = if chunk < 3 { 1_000 } else { 0 };
        let records: Vec<_> = (0..250).map(|_| (house.app.id(), closed(&house.world, note))).collect();
        large += if note > 0 { records.len() } else { 0 };
        all.extend(records.iter().map(|(id, _)| *id));
        import(&house.app, records.into_iter().map(|(id, order)| entry(id, Record::Order(order))).collect()).await;
    }
    assert_eq!((all.len(), large), (2_000, 750));
    let last = version(&house).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(from)).await.expect("opens");
    let (mut answers, mut found) = (Vec::new(), Vec::new());
    loop {
        let answer = next(&mut stream).await.expect("goes on");
        found.extend(answer.changes.iter().map(|change| Uuid::from_slice(&change.id).expect("an id")));
        let position = answer.position.expect("says where it is");
        answers.push((position, found.len()));
        if position.version >= last {
            break;
        }
    }
    drop(stream);
    assert_eq!((found.len(), found.iter().copied().collect::<BTreeSet<_>>() == all), (2_000, true), "each once");
    assert!(answers.len() > 1, "{answers:?}");
    for (position, number) in answers {
        let mut seen: BTreeSet<Uuid> = found[..number].iter().copied().collect();
        let mut stream = watch(&house.app.channel, &house.lars, after(Some(position))).await.expect("opens");
        seen.extend(told(&mut stream, last).await.0.into_keys());
        assert!(seen == all, "after {position:?}");
    }
    house.closes().await;
}

async fn returns_are_watched(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    let returns = WatchChangesRequest { after: None, kinds: vec![RecordKind::GoodsReturn.into()] };
    let mut stream = watch(&house.app.channel, &house.lars, returns).await.expect("opens");
    next(&mut stream).await.expect("at once");
    let command = announce(&house, 1_000);
    let id = Uuid::from_slice(&command.return_id).expect("an id");
    let announced = Command::AnnounceReturn(command);
    for command in [announced, receive(&house, id, ReturnOrigin::Unspecified, 1_000, 0)] {
        applied(&house, command).await;
        let answer = next(&mut stream).await.expect("goes on");
        let stored = house.app.stored::<GoodsReturn>(house.world.tenant).await.remove(&id).expect("is there");
        let told: Vec<_> =
            answer.changes.into_iter().map(|change| (change.kind(), change.id, change.document)).collect();
        assert_eq!(told, [(RecordKind::GoodsReturn, bytes(id), Some(Document::GoodsReturn(stored)))]);
    }
    drop(stream);
    house.closes().await;
}

/// Whether or not its commit is forgotten by then.
async fn what_is_older_than_the_horizon_is_refused(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(None)).await.expect("opens");
    let mut positions = vec![next(&mut stream).await.expect("at once").position.expect("a position")];
    let mut orders = Vec::new();
    for _ in 0..2 {
        orders.push(house.submitted(&[(0, 1, PRICE_MINOR)]).await);
        positions.push(told(&mut stream, version(&house).await).await.1.expect("a position"));
    }
    drop(stream);
    let horizon = AdvanceHorizon { horizon: positions[1].version };
    house.app.server(house.world.tenant, Command::AdvanceHorizon(horizon)).await;
    assert_eq!(house.app.horizon(house.world.tenant).await, horizon.horizon);
    for position in [positions[0], Position::default()] {
        let mut stream = watch(&house.app.channel, &house.lars, after(Some(position))).await.expect("opens");
        let refused = next(&mut stream).await.expect_err("is too old");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "POSITION_UNKNOWN"), "{position:?}");
    }
    // From the horizon on, everything is known.
    let mut stream = watch(&house.app.channel, &house.lars, after(Some(positions[1]))).await.expect("opens");
    let (missed, _) = told(&mut stream, version(&house).await).await;
    assert_eq!(missed.into_keys().collect::<Vec<_>>(), [orders[1]]);
    drop(stream);
    house.closes().await;
}

async fn a_position_that_is_not_known_is_refused(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    house.submitted(&[(0, 1, PRICE_MINOR)]).await;
    let mut stream = watch(&house.app.channel, &house.lars, after(None)).await.expect("opens");
    let known = next(&mut stream).await.expect("at once").position.expect("a position");
    drop(stream);
    let unknown = [
        Position { nonce: known.nonce ^ 1, ..known },
        Position { version: known.version + 1, ..known },
        Position { version: -1, ..known },
        Position { version: i64::MAX, nonce: u64::MAX },
    ];
    for position in unknown {
        let mut stream = watch(&house.app.channel, &house.lars, after(Some(position))).await.expect("opens");
        let refused = next(&mut stream).await.expect_err("is not known");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "POSITION_UNKNOWN"));
    }
    house.closes().await;
}

async fn nobody_else_may_watch(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    house.app.user("dora", Role::Driver, Some(house.world.boris.rep), None).await;
    let eve = stranger(&house.app, house.world.supervisor).await;
    let tokens =
        [house.app.device_token("anna").await, house.app.token("sonja").await, house.app.device_token("dora").await];
    for token in tokens {
        let refused = watch(&house.app.channel, &token, after(None)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    // Another tenant's watcher hears nothing of ours, and has no use for our positions.
    let mut ours = watch(&house.app.channel, &house.lars, after(None)).await.expect("opens");
    let position = next(&mut ours).await.expect("at once").position;
    let mut stream = watch(&house.app.channel, &eve, after(None)).await.expect("opens");
    assert_eq!(next(&mut stream).await.expect("at once").changes, []);
    house.submitted(&[(0, 1, PRICE_MINOR)]).await;
    assert_eq!(next(&mut ours).await.expect("goes on").changes.len(), 1);
    assert!(timeout(Duration::from_millis(700), stream.message()).await.is_err(), "there is nothing to say");
    let mut stream = watch(&house.app.channel, &eve, after(position)).await.expect("opens");
    assert_eq!(next(&mut stream).await.expect_err("is not hers").code(), Code::OutOfRange);
    drop((stream, ours));
    house.closes().await;
}

async fn a_watch_ends_with_the_right_to_it(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let lars = house.app.token("lars").await;
    // So many at a time, and not one more; what was closed makes room.
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(watch(&house.app.channel, &lars, after(None)).await.expect("opens"));
    }
    let refused = watch(&house.app.channel, &lars, after(None)).await.expect_err("is one too many");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    let mut stream = streams.pop().expect("is open");
    next(&mut stream).await.expect("at once");
    drop(streams);
    let begun = Instant::now();
    while watch(&house.app.channel, &lars, after(None)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "there is room again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.app.pass(30);
    house.submitted(&[(0, 1, PRICE_MINOR)]).await;
    let end = next(&mut stream).await.expect_err("the token has ended");
    assert_eq!(end.code(), Code::Unauthenticated, "{end}");
    // An open stream does not keep the server from stopping.
    let _open = watch(&house.app.channel, &house.app.token("lars").await, after(None)).await.expect("opens");
    house.app.finish().await;
}

#[tokio::test]
async fn what_another_process_commits_is_told() {
    let app = TestApp::start(Kind::Postgres).await;
    let world = World::make(&app).await;
    app.user("lars", Role::Logistics, None, None).await;
    let neighbour = app.neighbour().await;
    let lars = app.token("lars").await;
    let mut stream = watch(&neighbour.channel, &lars, after(None)).await.expect("opens");
    let first = next(&mut stream).await.expect("at once");
    let id = app.id();
    import(&app, vec![entry(id, Record::Order(closed(&world, 0)))]).await;
    let answer = next(&mut stream).await.expect("goes on");
    assert_eq!(answer.changes.iter().map(|change| change.id.clone()).collect::<Vec<_>>(), [bytes(id)]);
    assert!(answer.position.map(|position| position.version) > first.position.map(|position| position.version));
    drop(stream);
    neighbour.finish().await;
    app.finish().await;
}
