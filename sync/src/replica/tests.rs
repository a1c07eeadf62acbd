//! Examples, message by message. The laws are tested against random histories in `tests/replica.rs`.

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{
    BucketAction, BucketPlan, BucketState, Checkpoint, Fork, InventoryRequest, KeepAlive, Page, Plan,
};

use super::memory::MemoryStorage;
use super::*;
use crate::checksum::{Checksum, row_hash};
use crate::page::{PageBuilder, encode_frame};

const OUTLET: u32 = 3;

type Device = Replica<MemoryStorage>;
type Refusal = ReplicaError<std::convert::Infallible>;

fn device() -> Device {
    Replica::open(MemoryStorage::default()).expect("opens")
}

fn at(version: i64) -> Position {
    Position { version, nonce: 7 }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn hear(device: &mut Device, message: Message) -> Result<Event, Refusal> {
    device.receive(PullResponse { message: Some(message) })
}

fn asks(device: &Device) -> PullRequest {
    device.request(&Want::default()).expect("reads")
}

fn alive(version: i64) -> Message {
    Message::KeepAlive(KeepAlive { position: Some(at(version).into()), server_time_us: 0 })
}

fn lags(bucket_id: i64) -> proto::LaggingBucket {
    proto::LaggingBucket { bucket_id, ..proto::LaggingBucket::default() }
}

fn named(bucket_id: i64, action: BucketAction) -> BucketPlan {
    let scope = format!("territory:{bucket_id}");
    BucketPlan { bucket_id, scope, kind: OUTLET, action: action.into(), group: 1, ..BucketPlan::default() }
}

fn plan(buckets: Vec<BucketPlan>) -> Message {
    Message::Plan(Plan { buckets, version: 1, fork: false })
}

/// A page of these rows: version, record, document.
fn page(bucket_id: i64, from: Cursor, rows: &[(i64, u128, Option<&[u8]>)]) -> Page {
    let mut builder = PageBuilder::default();
    for (version, record, document) in rows {
        builder.push(*version, id(*record), &encode_frame(id(*record), *version, *document));
    }
    builder.finish(bucket_id, from, at(rows.last().map_or(0, |row| row.0)))
}

fn state(bucket_id: i64, live: &[(u128, &[u8])]) -> BucketState {
    let mut sum = Checksum::default();
    live.iter().for_each(|(record, document)| sum.add(row_hash(id(*record), document)));
    BucketState { bucket_id, rows: live.len() as i64, checksum: sum.0 }
}

fn checkpoint(version: i64, group: u32, buckets: Vec<BucketState>) -> Message {
    let position = Some(at(version).into());
    Message::Checkpoint(Checkpoint {
        position,
        group,
        last: group == 3,
        buckets,
        scope_digest: 5,
        ..Checkpoint::default()
    })
}

/// A device at version 2 with records 1 and 2 in bucket 1.
fn synced() -> Device {
    let mut device = device();
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    let rows = [(1, 1, Some(&b"one"[..])), (2, 2, Some(&b"two"[..]))];
    hear(&mut device, Message::Page(page(1, Cursor::default(), &rows))).expect("stages");
    hear(&mut device, checkpoint(2, 3, vec![state(1, &[(1, b"one"), (2, b"two")])])).expect("applies");
    device.cut();
    device
}

fn bytes(device: &Device, record: u128) -> Option<Bytes> {
    device.document(id(record)).expect("reads").map(|document| document.bytes)
}

#[test]
fn a_page_shows_nothing_before_its_checkpoint() {
    let mut device = device();
    assert_eq!(asks(&device).position, None);
    let announced = BucketPlan { rows: 1, bytes: 50, ..named(1, BucketAction::Append) };
    let planned = hear(&mut device, plan(vec![announced])).expect("plans");
    assert_eq!(planned, Event::Planned { rows: 1, bytes: 50 });
    let staged = hear(&mut device, Message::Page(page(1, Cursor::default(), &[(4, 1, Some(b"x"))]))).expect("stages");
    assert!(matches!(staged, Event::Staged { rows: 1, .. }));
    assert_eq!((bytes(&device, 1), device.covers(1)), (None, false));
    let applied = hear(&mut device, checkpoint(4, 3, vec![state(1, &[(1, b"x")])])).expect("applies");
    let position = at(4);
    assert_eq!(applied, Event::Checkpoint { group: 3, last: true, position, changed: 1, damaged: Vec::new() });
    assert_eq!(bytes(&device, 1).as_deref(), Some(&b"x"[..]));
    assert!(device.covers(4) && !device.covers(5));
    let request = device.request(&Want { today_only: true, at_least: 4, ..Want::default() }).expect("reads");
    assert_eq!((request.position, request.scope_digest, request.at_least), (Some(position.into()), 5, 4));
    assert_eq!((request.urgency(), request.has_inventory), (proto::Urgency::Today, false));
    assert!(request.lagging.is_empty() && request.staging.is_empty());
}

#[test]
fn what_was_staged_before_a_cut_is_offered_and_used() {
    let mut device = device();
    hear(&mut device, plan(vec![named(1, BucketAction::Append), named(2, BucketAction::Append)])).expect("plans");
    let first = page(1, Cursor::default(), &[(1, 1, Some(b"one"))]);
    hear(&mut device, Message::Page(first.clone())).expect("stages");
    device.cut();
    let before = asks(&device);
    let mut device = Replica::open(device.into_storage()).expect("opens again");
    let request = asks(&device);
    assert_eq!(request, before);
    assert_eq!(request.lagging, [lags(1)], "the other is forgotten");
    let offered = &request.staging[0];
    assert_eq!((request.staging.len(), offered.bucket_id, &offered.cursor), (1, 1, &first.through));
    assert_eq!((offered.oldest_build, offered.newest_build), (Some(at(1).into()), Some(at(1).into())));
    let resumed = BucketPlan { resumed: true, ..named(1, BucketAction::Append) };
    hear(&mut device, plan(vec![resumed])).expect("plans");
    let from = Cursor { version: 1, record: Some(id(1)) };
    hear(&mut device, Message::Page(page(1, from, &[(2, 2, Some(b"two"))]))).expect("stages");
    let offered = &asks(&device).staging[0];
    assert_eq!((offered.oldest_build, offered.newest_build), (Some(at(1).into()), Some(at(2).into())));
    let again = hear(&mut device, Message::Page(first)).expect("is accepted");
    assert_eq!(again, Event::Staged { rows: 0, bytes: 0 }, "it brings nothing new");
    hear(&mut device, checkpoint(2, 3, vec![state(1, &[(1, b"one"), (2, b"two")])])).expect("applies");
    assert_eq!((bytes(&device, 1).is_some(), bytes(&device, 2).is_some()), (true, true));
}

#[test]
fn staging_that_is_not_resumed_is_discarded() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(3, 3, Some(b"gone"))]))).expect("stages");
    device.cut();
    assert_eq!(asks(&device).staging.len(), 1);
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    assert!(asks(&device).staging.is_empty());
    hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(4, 4, Some(b"four"))]))).expect("stages");
    device.cut();
    hear(&mut device, checkpoint(5, 3, Vec::new())).expect("applies");
    assert_eq!((bytes(&device, 3), bytes(&device, 4)), (None, None), "nor is what this pull did not name applied");
    assert_eq!(device.position(), Some(at(5)));
    assert!(asks(&device).staging.is_empty());
}

#[test]
fn staging_of_another_beginning_is_discarded() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Reset)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::default(), &[(3, 3, Some(b"three"))]))).expect("stages");
    device.cut();
    assert!(asks(&device).staging[0].reset);
    let resumed = |action| plan(vec![BucketPlan { resumed: true, ..named(1, action) }]);
    hear(&mut device, resumed(BucketAction::Reset)).expect("plans");
    assert_eq!(asks(&device).staging.len(), 1);
    device.cut();
    hear(&mut device, resumed(BucketAction::Append)).expect("plans");
    assert!(asks(&device).staging.is_empty(), "it replaces, and must not be added");
}

#[test]
fn a_lower_version_is_old_news() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    let rows = [(1, 2, Some(&b"older"[..])), (3, 3, Some(b"three"))];
    hear(&mut device, Message::Page(page(1, Cursor::default(), &rows))).expect("may begin before the cursor");
    let sums = vec![state(1, &[(1, b"one"), (2, b"two"), (3, b"three")])];
    let applied = hear(&mut device, checkpoint(3, 3, sums)).expect("applies");
    assert!(matches!(applied, Event::Checkpoint { changed: 1, damaged, .. } if damaged.is_empty()));
    assert_eq!(bytes(&device, 2).as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_record_is_shown_while_some_bucket_holds_it() {
    let mut device = synced();
    let later = BucketPlan { group: 3, ..named(1, BucketAction::Append) };
    hear(&mut device, plan(vec![later, named(2, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(3, 1, Some(b"old"))]))).expect("stages");
    hear(&mut device, Message::Page(page(2, Cursor::default(), &[(4, 1, Some(b"new"))]))).expect("stages");
    hear(&mut device, checkpoint(4, 1, vec![state(2, &[(1, b"new")])])).expect("applies");
    assert_eq!(bytes(&device, 1).as_deref(), Some(&b"new"[..]), "the highest version wins");
    let from = Cursor { version: 3, record: Some(id(1)) };
    hear(&mut device, Message::Page(page(1, from, &[(4, 1, Some(b"new"))]))).expect("stages");
    hear(&mut device, checkpoint(4, 3, vec![state(1, &[(1, b"new"), (2, b"two")])])).expect("applies");
    assert_eq!(bytes(&device, 1).as_deref(), Some(&b"new"[..]), "an older frame changes its membership only");
    hear(&mut device, plan(vec![named(2, BucketAction::Drop)])).expect("plans");
    hear(&mut device, checkpoint(5, 3, Vec::new())).expect("applies");
    assert!(bytes(&device, 1).is_some(), "the first bucket holds it still");
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::after(5), &[(6, 1, None)]))).expect("stages");
    hear(&mut device, checkpoint(6, 3, vec![state(1, &[(2, b"two")])])).expect("applies");
    assert_eq!(bytes(&device, 1), None);
    assert_eq!(device.records(OUTLET).expect("reads").len(), 1);
}

#[test]
fn a_bucket_that_is_to_go_takes_no_page() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Drop)])).expect("plans");
    let late = hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(3, 3, Some(b"three"))])));
    assert!(matches!(late, Err(ReplicaError::NotPlanned(1))), "its records would outlive it");
}

#[test]
fn only_the_covered_buckets_move() {
    let mut device = synced();
    let later = BucketPlan { group: 3, ..named(2, BucketAction::Append) };
    hear(&mut device, plan(vec![later, named(3, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(2, Cursor::default(), &[(3, 5, Some(b"five"))]))).expect("stages");
    hear(&mut device, Message::Page(page(3, Cursor::default(), &[(3, 6, Some(b"six"))]))).expect("stages");
    hear(&mut device, checkpoint(3, 1, vec![state(3, &[(6, b"six")])])).expect("applies");
    assert_eq!((bytes(&device, 5), bytes(&device, 6).is_some()), (None, true));
    assert!(!device.covers(2), "a planned bucket lags");
    device.cut();
    let lagging = asks(&device).lagging;
    let expected = [(1, Some(at(2).into())), (2, None)];
    assert_eq!(lagging.into_iter().map(|lag| (lag.bucket_id, lag.position)).collect::<Vec<_>>(), expected);
}

#[test]
fn a_wrong_sum_marks_the_bucket_and_whatever_comes_next_replaces_it() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    let applied = hear(&mut device, checkpoint(3, 3, vec![state(1, &[(1, b"other")])])).expect("is kept");
    let Event::Checkpoint { damaged, .. } = applied else { panic!("{applied:?}") };
    assert_eq!(damaged, [("territory:1".to_owned(), OUTLET)]);
    assert!(bytes(&device, 1).is_some() && !device.covers(1), "it is shown until it is mended");
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    let tail = Message::Page(page(1, Cursor::after(3), &[(4, 4, Some(b"four"))]));
    assert!(matches!(hear(&mut device, tail), Err(ReplicaError::Gap { .. })), "it can't be added to");
    hear(&mut device, Message::InventoryRequest(InventoryRequest {})).expect("is taken");
    device.cut();
    let request = asks(&device);
    assert_eq!(request.lagging, [lags(1)]);
    assert_eq!(request.inventory[0].position, Some(proto::Position::default()));
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::default(), &[(1, 1, Some(b"other"))]))).expect("stages");
    let mended = hear(&mut device, checkpoint(4, 3, vec![state(1, &[(1, b"other")])])).expect("applies");
    assert!(matches!(mended, Event::Checkpoint { damaged, .. } if damaged.is_empty()));
    assert_eq!((bytes(&device, 1).as_deref(), bytes(&device, 2)), (Some(&b"other"[..]), None));
}

#[test]
fn a_document_that_outlived_its_membership_is_noticed() {
    for groups in [vec![3], vec![1, 3]] {
        let mut device = synced();
        let later = |action| BucketPlan { group: 3, ..named(1, action) };
        hear(&mut device, plan(vec![later(BucketAction::Keep), named(2, BucketAction::Append)])).expect("plans");
        hear(&mut device, Message::Page(page(2, Cursor::default(), &[(4, 1, Some(b"newer"))]))).expect("stages");
        hear(&mut device, checkpoint(4, 1, vec![state(2, &[(1, b"newer")])])).expect("applies");
        device.cut();
        // The server believes that the first bucket is right, whose sum is, and takes the second away.
        hear(&mut device, plan(vec![later(BucketAction::Keep), named(2, BucketAction::Reset)])).expect("plans");
        let mut damaged = Vec::new();
        for group in groups {
            let applied = hear(&mut device, checkpoint(8, group, vec![state(2, &[])])).expect("applies");
            let Event::Checkpoint { damaged: found, .. } = applied else { panic!("{applied:?}") };
            damaged.extend(found);
        }
        assert_eq!(damaged, [("territory:1".to_owned(), OUTLET)], "its own document is not there any more");
        let lagging = asks(&device).lagging;
        assert_eq!(lagging, [lags(1)], "so it comes anew");
    }
}

/// A first checkpoint of another history, which covers the second bucket only.
fn another_history(device: &mut Device) {
    let buckets = vec![named(2, BucketAction::Reset)];
    hear(device, Message::Plan(Plan { buckets, version: 1, fork: true })).expect("plans");
    hear(device, checkpoint(1, 1, vec![state(2, &[])])).expect("applies");
    device.cut();
}

#[test]
fn what_lags_at_a_fork_is_not_gone_on_from() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(2, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(2, Cursor::default(), &[(4, 1, Some(b"newer"))]))).expect("stages");
    hear(&mut device, checkpoint(4, 1, vec![state(2, &[(1, b"newer")])])).expect("applies");
    device.cut();
    another_history(&mut device);
    let device = Replica::open(device.into_storage()).expect("opens");
    let lagging = asks(&device).lagging;
    assert_eq!(lagging, [lags(1)]);
}

#[test]
fn what_was_staged_to_go_on_is_not_offered_for_a_bucket_that_begins_anew() {
    let mut device = synced();
    let behind = |action| BucketPlan { group: 3, ..named(1, action) };
    hear(&mut device, plan(vec![behind(BucketAction::Append), named(2, BucketAction::Append)])).expect("plans");
    hear(&mut device, checkpoint(4, 1, vec![state(2, &[])])).expect("applies");
    hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(3, 3, Some(b"three"))]))).expect("stages");
    device.cut();
    assert_eq!(asks(&device).staging.len(), 1, "it goes on from where the bucket is");
    another_history(&mut device);
    let request = asks(&device);
    assert_eq!(request.lagging, [lags(1)]);
    assert_eq!(request.staging, [], "the bucket begins at its first row");
    // What was staged of the whole bucket is.
    hear(&mut device, plan(vec![behind(BucketAction::Reset)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::default(), &[(1, 1, Some(b"one"))]))).expect("stages");
    device.cut();
    assert!(asks(&device).staging[0].reset);
}

#[test]
fn what_was_staged_is_not_what_mends() {
    let mut device = synced();
    let repair = |resumed| BucketPlan { partitions: vec![0xff; 32], resumed, ..named(1, BucketAction::Repair) };
    hear(&mut device, plan(vec![repair(false)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::default(), &[(9, 1, Some(b"one"))]))).expect("stages");
    device.cut();
    hear(&mut device, plan(vec![repair(true)])).expect("plans");
    let event = hear(&mut device, Message::Page(page(1, Cursor::default(), &[(3, 1, Some(b"one"))]))).expect("stages");
    assert!(matches!(event, Event::Staged { rows: 1, .. }), "it begins at the first row: {event:?}");
}

#[test]
fn what_a_fork_has_not_brought_yet_covers_nothing() {
    let mut device = synced();
    hear(&mut device, Message::Fork(Fork { expected_seq: 1 })).expect("is taken");
    let later = BucketPlan { group: 3, ..named(1, BucketAction::Reset) };
    let buckets = vec![later, named(2, BucketAction::Append)];
    hear(&mut device, Message::Plan(Plan { buckets, version: 1, fork: true })).expect("plans");
    hear(&mut device, Message::Page(page(2, Cursor::default(), &[(1, 4, Some(b"four"))]))).expect("stages");
    hear(&mut device, checkpoint(1, 1, vec![state(2, &[(4, b"four")])])).expect("applies");
    assert_eq!(device.position(), Some(at(1)));
    assert!(!device.covers(1), "the first bucket was at version 2 of another history");
    device.cut();
    let lagging = asks(&device).lagging;
    assert_eq!(lagging, [lags(1)]);
}

#[test]
fn after_a_fork_lower_versions_are_news() {
    let mut device = synced();
    let event = hear(&mut device, Message::Fork(Fork { expected_seq: 4 })).expect("is taken");
    assert_eq!(event, Event::Fork { expected_seq: 4 });
    assert_eq!(
        hear(&mut device, Message::InventoryRequest(InventoryRequest {})).expect("is taken"),
        Event::InventoryWanted
    );
    device.cut();
    let request = asks(&device);
    assert_eq!((request.has_inventory, request.inventory.len(), request.inventory[0].rows), (true, 1, 2));
    let renumbered = BucketPlan { bucket_id: 9, scope: "territory:1".to_owned(), ..named(1, BucketAction::Keep) };
    hear(&mut device, Message::Plan(Plan { buckets: vec![renumbered], version: 0, fork: true })).expect("plans");
    let entry = BucketPlan { scope: String::new(), kind: 0, ..named(9, BucketAction::Append) };
    hear(&mut device, plan(vec![entry])).expect("plans");
    hear(&mut device, Message::Page(page(9, Cursor::after(0), &[(1, 2, Some(b"new"))]))).expect("stages");
    hear(&mut device, checkpoint(1, 3, vec![state(9, &[(1, b"one"), (2, b"new")])])).expect("may go back");
    assert_eq!(bytes(&device, 2).as_deref(), Some(&b"new"[..]));
    assert_eq!((device.position(), asks(&device).has_inventory), (Some(at(1)), false));
}

#[test]
fn a_keep_alive_moves_the_position_between_rounds_only() {
    let mut device = synced();
    assert_eq!(hear(&mut device, alive(5)).expect("is taken"), Event::Alive { position: Some(at(5)) });
    hear(&mut device, alive(3)).expect("is taken");
    assert_eq!(device.position(), Some(at(5)));
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    hear(&mut device, alive(8)).expect("is taken");
    assert_eq!(device.position(), Some(at(5)));
    let unknown = device.receive(PullResponse { message: None }).expect("is ignored");
    assert_eq!(unknown, Event::Alive { position: None });
}

#[test]
fn a_pull_that_begins_while_another_is_followed_goes_on_from_where_that_one_came() {
    let mut device = synced();
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    hear(&mut device, Message::Page(page(1, Cursor::after(2), &[(3, 3, Some(b"three"))]))).expect("stages");
    let sum = state(1, &[(1, b"one"), (2, b"two"), (3, b"three")]);
    let applied = hear(&mut device, checkpoint(3, 3, vec![sum])).expect("applies");
    assert!(matches!(applied, Event::Checkpoint { ref damaged, .. } if damaged.is_empty()), "{applied:?}");
    hear(&mut device, alive(5)).expect("is taken");
    let asked = asks(&device);
    assert_eq!((asked.position.map(Position::from), asked.lagging), (Some(at(5)), vec![]));
    hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
    let next = Message::Page(page(1, Cursor::after(5), &[(6, 4, Some(b"four"))]));
    hear(&mut device, next).expect("nothing is between");
}

#[test]
fn what_is_malformed_changes_nothing() {
    let unnamed = |bucket_id| BucketPlan { scope: String::new(), kind: 0, ..named(bucket_id, BucketAction::Append) };
    let broken_page = Page { rows: 9, ..page(1, Cursor::after(2), &[(3, 3, Some(b"x"))]) };
    let no_position = Message::Checkpoint(Checkpoint { last: true, ..Checkpoint::default() });
    type Is = fn(&Refusal) -> bool;
    let cases: Vec<(Message, Is)> = vec![
        (plan(vec![unnamed(77)]), |error| matches!(error, ReplicaError::Unknown(77))),
        (plan(vec![BucketPlan { kind: 0, ..named(5, BucketAction::Append) }]), |error| {
            matches!(error, ReplicaError::Kind(5))
        }),
        (plan(vec![BucketPlan { action: 99, ..named(5, BucketAction::Append) }]), |error| {
            matches!(error, ReplicaError::Action(99))
        }),
        (plan(vec![BucketPlan { bucket_id: 1, ..named(5, BucketAction::Append) }]), |error| {
            matches!(error, ReplicaError::Number(1))
        }),
        (Message::Page(page(2, Cursor::default(), &[])), |error| matches!(error, ReplicaError::NotPlanned(2))),
        (Message::Page(broken_page), |error| matches!(error, ReplicaError::Page { bucket_id: 1, .. })),
        (Message::Page(page(1, Cursor::after(3), &[(4, 3, None)])), |error| matches!(error, ReplicaError::Gap { .. })),
        (checkpoint(3, 3, vec![state(2, &[])]), |error| matches!(error, ReplicaError::NotPlanned(2))),
        (checkpoint(1, 3, Vec::new()), |error| matches!(error, ReplicaError::WentBack { held: 2, offered: 1 })),
        (no_position, |error| matches!(error, ReplicaError::NoPosition)),
    ];
    for (message, is_expected) in cases {
        let mut device = synced();
        hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("plans");
        let before = (asks(&device), device.content().expect("reads"));
        let error = hear(&mut device, message.clone()).expect_err("is refused");
        assert!(is_expected(&error), "{message:?}: {error}");
        assert!(asks(&device) == before.0, "the pull is cut");
        let mut device = Replica::open(device.into_storage()).expect("opens");
        assert_eq!((asks(&device), device.content().expect("reads")), before);
        hear(&mut device, plan(vec![named(1, BucketAction::Append)])).expect("another pull goes on");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_file_is_opened_again_and_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("replica.db");
    let open = || sqlite::SqliteStorage::open(&path);
    let mut device = Replica::open(open().expect("opens")).expect("reads");
    let mut take = |message| device.receive(PullResponse { message: Some(message) }).expect("is taken");
    take(plan(vec![named(1, BucketAction::Append)]));
    take(Message::Page(page(1, Cursor::default(), &[(1, 1, Some(b""))])));
    take(checkpoint(1, 3, vec![state(1, &[(1, b"")])]));
    drop(device);
    let device = Replica::open(open().expect("opens")).expect("reads");
    let document = device.document(id(1)).expect("reads").expect("is there");
    assert_eq!((document.kind, document.version, document.bytes.len()), (OUTLET, 1, 0));
    assert_eq!(device.position(), Some(at(1)));
    drop(device);
    let newer = rusqlite::Connection::open(&path).expect("opens");
    newer.execute_batch("PRAGMA user_version = 9").expect("is set");
    assert!(matches!(open(), Err(sqlite::SqliteError::Newer(9))));
}

/// What was written by then is gone after an erasure, and is all there if that was rolled back.
fn erases<S: Storage>(mut storage: S) {
    let (slot, record) = (Slot(4), id(1));
    let bucket = Bucket {
        id: 1,
        scope: "territory:1".into(),
        kind: OUTLET,
        group: 1,
        at: At::Head,
        rows: 1,
        checksum: Checksum::default(),
        staging: None,
    };
    let head = Head { position: Some(at(2)), scope_digest: 5 };
    let staged = page(1, Cursor::default(), &[(2, 1, Some(b"one"))]);
    let document = Document { kind: OUTLET, version: 2, bytes: Bytes::from_static(b"one") };
    let member = Member { version: 2, hash: 3 };
    for change in [
        Change::Head(&head),
        Change::Bucket(slot, Some(&bucket)),
        Change::Page(slot, 0, &staged, &staged.payload),
        Change::Member(slot, record, Some(member)),
        Change::Document(record, &document, 1),
    ] {
        storage.write(change).expect("writes");
    }
    storage.commit().expect("commits");
    let held = |storage: &S| {
        let State { head, buckets } = storage.load().expect("reads");
        let page = storage.page(slot, 0).expect("reads").is_some();
        let members = storage.members(slot).expect("reads");
        (head, buckets, page, members, storage.document(record).expect("reads"))
    };
    let before = held(&storage);
    assert!(before.2 && before.3 == [(record, member)] && before.4.as_ref() == Some(&document), "{before:?}");
    storage.write(Change::Erase).expect("writes");
    storage.rollback().expect("rolls back");
    assert_eq!(held(&storage), before);
    storage.write(Change::Erase).expect("writes");
    storage.commit().expect("commits");
    storage.rollback().expect("has nothing to roll back");
    assert_eq!(held(&storage), (Head::default(), BTreeMap::new(), false, Vec::new(), None));
}

#[test]
fn c30_an_erased_storage_holds_nothing() {
    erases(MemoryStorage::default());
}

#[cfg(feature = "sqlite")]
#[test]
fn c30_an_erased_file_holds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    erases(sqlite::SqliteStorage::open(&folder.path().join("replica.db")).expect("opens"));
}

#[test]
fn c30_an_erased_replica_begins_anew() {
    let mut device = synced();
    hear(&mut device, Message::InventoryRequest(InventoryRequest::default())).expect("is asked");
    device.erase().expect("is erased");
    assert_eq!((device.position(), bytes(&device, 1), device.buckets().count()), (None, None, 0));
    assert_eq!(asks(&device), asks(&self::device()));
    let device = Replica::open(device.into_storage()).expect("opens");
    assert_eq!(asks(&device), asks(&self::device()), "nor is anything stored");
}
