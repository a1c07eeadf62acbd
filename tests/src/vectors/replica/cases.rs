//! What a server says in each case.

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{
    BucketAction, BucketPlan, BucketState, Checkpoint, Fork, InventoryRequest, KeepAlive, Page, Plan,
};
use roundsman_sync::checksum::{Checksum, PARTITIONS, PartialSums, row_hash};
use roundsman_sync::page::Cursor;
use roundsman_sync::version::Position;

use super::super::id;
use super::super::page::{Row, page};
use super::{Case, Tape};

const OUTLET: u32 = 2;
const PRICE: u32 = 6;
const TODAY: u32 = 1;
const SELL: u32 = 2;
const HISTORY: u32 = 3;

/// The versions of one history.
fn at(version: i64) -> Position {
    Position { version, nonce: 0x9000_0000_0000_0000 + version.unsigned_abs() }
}

fn start() -> Cursor {
    Cursor::default()
}

/// The outlets of a territory.
fn outlets(bucket_id: i64, action: BucketAction) -> BucketPlan {
    let scope = format!("territory:{bucket_id}");
    BucketPlan {
        bucket_id,
        scope,
        kind: OUTLET,
        action: action.into(),
        group: TODAY,
        rows: 2,
        bytes: 60,
        resumed: false,
        partitions: Vec::new(),
    }
}

/// The prices of a list.
fn prices(bucket_id: i64, action: BucketAction) -> BucketPlan {
    let scope = format!("price_list:{bucket_id}");
    BucketPlan { scope, kind: PRICE, group: SELL, ..outlets(bucket_id, action) }
}

/// A bucket that the device holds, by its number only.
fn numbered(bucket_id: i64, action: BucketAction) -> BucketPlan {
    BucketPlan { scope: String::new(), kind: 0, ..outlets(bucket_id, action) }
}

fn plan(version: i64, buckets: Vec<BucketPlan>) -> Message {
    Message::Plan(Plan { buckets, version, fork: false })
}

fn paged(bucket_id: i64, from: Cursor, rows: &[Row<'_>]) -> Message {
    Message::Page(page(bucket_id, from, rows))
}

fn behind(version: i64, record: u128) -> Cursor {
    Cursor { version, record: Some(id(record)) }
}

/// What a bucket must hold.
fn holds(bucket_id: i64, live: &[(u128, &[u8])]) -> BucketState {
    let mut sum = Checksum::default();
    live.iter().for_each(|(record, document)| sum.add(row_hash(id(*record), document)));
    BucketState { bucket_id, rows: i64::try_from(live.len()).expect("few rows"), checksum: sum.0 }
}

fn checkpoint(version: i64, group: u32, last: bool, buckets: Vec<BucketState>) -> Message {
    Message::Checkpoint(Checkpoint {
        position: Some(at(version).into()),
        group,
        last,
        buckets,
        scope_digest: 0x3100_0000_0000_0000 + u64::from(group),
        ..Checkpoint::default()
    })
}

fn last(version: i64, buckets: Vec<BucketState>) -> Message {
    checkpoint(version, HISTORY, true, buckets)
}

/// A device at version 10 with outlets 1 and 2 in bucket 7 and price 3 in bucket 8.
fn synced() -> Tape {
    synced_into(Tape::new())
}

fn synced_into(mut tape: Tape) -> Tape {
    tape.hear(plan(10, vec![outlets(7, BucketAction::Append), prices(8, BucketAction::Append)]))
        .hear(paged(7, start(), &[(1, 1, Some(b"one")), (2, 2, Some(b"two"))]))
        .hear(checkpoint(10, TODAY, false, vec![holds(7, &[(1, b"one"), (2, b"two")])]))
        .hear(paged(8, start(), &[(3, 3, Some(b"three"))]))
        .hear(last(10, vec![holds(8, &[(3, b"three")])]))
        .cut();
    tape
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = deltas();
    cases.extend(overlaps());
    cases.extend(cuts());
    cases.extend(damages());
    cases.extend(repairs());
    cases.extend(inventories());
    cases.extend(followers());
    cases.extend(refusals());
    cases
}

fn deltas() -> Vec<Case> {
    vec![
        Tape::new().cut().case("a device that holds nothing"),
        synced().reopen().case("a first pull, today's work before the prices"),
        synced().hear(last(10, Vec::new())).cut().case("nothing has changed"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(10), &[(11, 1, Some(b"uno")), (12, 2, None)]))
            .hear(last(12, vec![holds(7, &[(1, b"uno")])]))
            .cut()
            .case("one record has changed, another one has left"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, start(), &[(1, 2, Some(b"older")), (11, 4, Some(b"four"))]))
            .hear(last(12, vec![holds(7, &[(1, b"one"), (2, b"two"), (4, b"four")])]))
            .cut()
            .case("a row with a lower version than the one that is held is old news"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, start(), &[(2, 2, Some(b"two")), (11, 4, Some(b"four"))]))
            .hear(last(12, vec![holds(7, &[(1, b"one"), (2, b"two"), (4, b"four")])]))
            .cut()
            .case("a row that is held changes nothing"),
        synced()
            .hear(plan(12, vec![outlets(7, BucketAction::Reset)]))
            .hear(paged(7, start(), &[(2, 2, Some(b"two")), (9, 5, Some(b"five"))]))
            .hear(last(12, vec![holds(7, &[(2, b"two"), (5, b"five")])]))
            .cut()
            .case("what comes replaces all that is held"),
        synced()
            .hear(plan(12, vec![outlets(7, BucketAction::Drop), prices(9, BucketAction::Drop)]))
            .hear(last(12, Vec::new()))
            .cut()
            .case("a bucket goes, and one that is not held as well"),
        synced()
            .hear(plan(12, vec![prices(8, BucketAction::Drop)]))
            .hear(checkpoint(12, TODAY, false, Vec::new()))
            .hear(plan(13, vec![prices(8, BucketAction::Append)]))
            .hear(paged(8, start(), &[(13, 6, Some(b"six"))]))
            .hear(last(13, vec![holds(8, &[(6, b"six")])]))
            .cut()
            .case("a bucket goes with the next checkpoint, whatever its group, and comes anew"),
        Tape::new()
            .hear(plan(10, vec![outlets(7, BucketAction::Append)]))
            .hear(last(10, vec![holds(7, &[])]))
            .cut()
            .case("a bucket without a record is held"),
    ]
}

fn overlaps() -> Vec<Case> {
    let entered = || {
        let mut tape = synced();
        tape.hear(plan(12, vec![outlets(9, BucketAction::Append)]))
            .hear(paged(9, start(), &[(12, 1, Some(b"uno"))]))
            .hear(checkpoint(12, TODAY, false, vec![holds(9, &[(1, b"uno")])]));
        tape
    };
    let kept_for_later = BucketPlan { group: HISTORY, ..outlets(7, BucketAction::Keep) };
    vec![
        entered()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(10), &[(11, 1, None)]))
            .hear(last(12, vec![holds(7, &[(2, b"two")])]))
            .cut()
            .case("a record moves, and comes before it leaves"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append), outlets(9, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(10), &[(12, 1, None)]))
            .hear(paged(9, start(), &[(12, 1, Some(b"uno"))]))
            .hear(last(12, vec![holds(7, &[(2, b"two")]), holds(9, &[(1, b"uno")])]))
            .cut()
            .case("a record moves, and leaves before it comes"),
        synced()
            .hear(plan(12, vec![outlets(9, BucketAction::Append)]))
            .hear(paged(9, start(), &[(1, 1, Some(b"one"))]))
            .hear(last(12, vec![holds(9, &[(1, b"one")])]))
            .cut()
            .hear(plan(13, vec![outlets(7, BucketAction::Drop)]))
            .hear(last(13, Vec::new()))
            .cut()
            .case("a record of two buckets stays while one of them holds it"),
        entered().cut().case("the document of the highest version is shown; what was not planned is behind"),
        entered()
            .cut()
            .hear(plan(20, vec![outlets(7, BucketAction::Keep), outlets(9, BucketAction::Reset)]))
            .hear(last(20, vec![holds(9, &[])]))
            .cut()
            .case("a document outlives the membership that brought it: the other bucket is damaged"),
        entered()
            .cut()
            .hear(plan(20, vec![kept_for_later, outlets(9, BucketAction::Reset)]))
            .hear(checkpoint(20, TODAY, false, vec![holds(9, &[])]))
            .hear(last(20, Vec::new()))
            .cut()
            .case("the same, where the other bucket comes to the checkpoint later"),
    ]
}

fn cuts() -> Vec<Case> {
    let resumed = |entry: BucketPlan| BucketPlan { resumed: true, ..entry };
    let staged = || {
        let mut tape = Tape::new();
        tape.hear(plan(10, vec![outlets(7, BucketAction::Append), prices(8, BucketAction::Append)]))
            .hear(paged(7, start(), &[(1, 1, Some(b"one"))]))
            .reopen();
        tape
    };
    vec![
        staged()
            .hear(plan(11, vec![resumed(outlets(7, BucketAction::Append)), prices(8, BucketAction::Append)]))
            .hear(paged(7, behind(1, 1), &[(2, 2, Some(b"two"))]))
            .hear(paged(7, start(), &[(1, 1, Some(b"one"))]))
            .hear(last(11, vec![holds(7, &[(1, b"one"), (2, b"two")]), holds(8, &[])]))
            .cut()
            .case("what was staged before the process ended is gone on from"),
        staged()
            .hear(plan(11, vec![outlets(7, BucketAction::Append)]))
            .hear(paged(7, start(), &[(2, 2, Some(b"two"))]))
            .hear(last(11, vec![holds(7, &[(2, b"two")])]))
            .cut()
            .case("what was staged is thrown away when the plan does not resume it"),
        staged().hear(last(11, Vec::new())).cut().case("a bucket that nothing came of and no plan names is forgotten"),
        synced()
            .hear(plan(12, vec![outlets(7, BucketAction::Reset)]))
            .hear(paged(7, start(), &[(9, 4, Some(b"four"))]))
            .cut()
            .hear(plan(13, vec![resumed(outlets(7, BucketAction::Append))]))
            .hear(paged(7, Cursor::after(10), &[(13, 5, Some(b"five"))]))
            .hear(last(13, vec![holds(7, &[(1, b"one"), (2, b"two"), (5, b"five")])]))
            .cut()
            .case("what replaces is not gone on from by what is added"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append), numbered(8, BucketAction::Keep)]))
            .hear(paged(7, Cursor::after(10), &[(12, 1, Some(b"uno"))]))
            .hear(checkpoint(12, TODAY, false, vec![holds(7, &[(1, b"uno"), (2, b"two")])]))
            .hear(paged(7, Cursor::after(12), &[(13, 1, Some(b"eins"))]))
            .cut()
            .hear(plan(14, vec![resumed(numbered(7, BucketAction::Append))]))
            .hear(last(14, vec![holds(7, &[(1, b"eins"), (2, b"two")])]))
            .cut()
            .case("what came behind a checkpoint waits for the next one"),
        synced()
            .hear(plan(12, vec![prices(8, BucketAction::Append)]))
            .hear(checkpoint(12, TODAY, false, Vec::new()))
            .hear(paged(8, Cursor::after(10), &[(12, 5, Some(b"five"))]))
            .cut()
            .hear(Message::Fork(Fork { expected_seq: 1 }))
            .cut()
            .hear(plan(3, vec![prices(8, BucketAction::Reset)]))
            .hear(paged(8, start(), &[(1, 6, Some(b"six"))]))
            .cut()
            .case("of a damaged bucket only staged pages that replace are offered"),
    ]
}

fn damages() -> Vec<Case> {
    let damaged = || {
        let mut tape = synced();
        tape.hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(last(12, vec![holds(7, &[(1, b"another")])]))
            .cut();
        tape
    };
    vec![
        damaged()
            .hear(plan(13, vec![outlets(7, BucketAction::Append)]))
            .hear(paged(7, start(), &[(1, 1, Some(b"another"))]))
            .hear(last(13, vec![holds(7, &[(1, b"another")])]))
            .cut()
            .case("a wrong sum: the bucket is shown until whatever comes next replaces it"),
        damaged()
            .hear(plan(13, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(10), &[(13, 1, Some(b"uno"))]))
            .case("a bucket with a wrong sum is not added to"),
        damaged()
            .hear(Message::InventoryRequest(InventoryRequest {}))
            .cut()
            .case("a bucket with a wrong sum is at version 0 in an inventory"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(checkpoint(12, TODAY, false, vec![holds(7, &[(9, b"nine")])]))
            .hear(paged(7, Cursor::after(12), &[(13, 1, Some(b"uno"))]))
            .case("nothing more of a bucket with a wrong sum is taken in the same pull"),
    ]
}

/// A large bucket is mended where it differs: here two outlets are many.
fn repairs() -> Vec<Case> {
    let damaged = || {
        let mut tape = synced_into(Tape::mending_from(2));
        tape.hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(last(12, vec![holds(7, &[(1, b"one"), (2, b"deux")])]))
            .cut();
        tape
    };
    let mended = |bucket_id, records: &[u128]| {
        let (mut own, none) = (PartialSums::default(), [0; PARTITIONS]);
        records.iter().for_each(|record| own.add(id(*record), 1));
        let partitions = own.differing(&none).expect("256 sums").to_wire();
        BucketPlan { partitions, ..outlets(bucket_id, BucketAction::Repair) }
    };
    let reaching = |page: Page| Page { through: Some(Cursor::after(13).into()), ..page };
    vec![
        damaged()
            .hear(plan(13, vec![mended(7, &[2])]))
            .hear(Message::Page(reaching(page(7, start(), &[(11, 2, Some(b"deux"))]))))
            .hear(last(13, vec![holds(7, &[(1, b"one"), (2, b"deux")])]))
            .cut()
            .case("a large damaged bucket goes with the sums of its partitions, and is mended where it differs"),
        damaged()
            .hear(plan(13, vec![mended(7, &[2, 4])]))
            .hear(Message::Page(reaching(page(7, start(), &[(12, 4, Some(b"vier"))]))))
            .hear(last(13, vec![holds(7, &[(1, b"one"), (4, b"vier")])]))
            .cut()
            .case("what is mended loses what does not come again"),
        damaged()
            .hear(plan(13, vec![mended(7, &[2])]))
            .hear(Message::Page(reaching(page(7, start(), &[]))))
            .hear(plan(14, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(13), &[(14, 1, Some(b"uno"))]))
            .hear(last(14, vec![holds(7, &[(1, b"uno")])]))
            .hear(plan(15, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(14), &[(15, 2, Some(b"due"))]))
            .hear(last(15, vec![holds(7, &[(1, b"uno"), (2, b"due")])]))
            .case("a page without rows reaches as far as it says, and the pull goes on from there"),
        damaged()
            .hear(plan(13, vec![mended(7, &[2])]))
            .hear(Message::Page(page(7, start(), &[(11, 2, Some(b"deux"))])))
            .cut()
            .hear(plan(13, vec![mended(7, &[2])]))
            .hear(Message::Page(reaching(page(7, start(), &[(11, 2, Some(b"deux"))]))))
            .hear(last(13, vec![holds(7, &[(1, b"one"), (2, b"deux")])]))
            .case("what was staged to mend is not offered, and comes again"),
        synced_into(Tape::mending_from(2))
            .hear(Message::InventoryRequest(InventoryRequest {}))
            .cut()
            .hear(plan(13, vec![mended(7, &[2]), prices(8, BucketAction::Keep)]))
            .hear(Message::Page(page(7, start(), &[(11, 2, Some(b"deux"))])))
            .cut()
            .case("an inventory has the sums of every large bucket, and one that is to be mended is damaged"),
        damaged()
            .hear(plan(13, vec![BucketPlan { partitions: vec![1; 31], ..mended(7, &[]) }]))
            .case("refused: partitions that are not 256"),
    ]
}

fn inventories() -> Vec<Case> {
    let asked = || {
        let mut tape = synced();
        tape.hear(Message::InventoryRequest(InventoryRequest {})).cut();
        tape
    };
    let forked = || {
        let mut tape = synced();
        tape.hear(Message::Fork(Fork { expected_seq: 4 })).hear(Message::InventoryRequest(InventoryRequest {})).cut();
        tape
    };
    let fork = |version, buckets| Message::Plan(Plan { buckets, version, fork: true });
    let outlets_as = |bucket_id, action| BucketPlan { bucket_id, ..outlets(7, action) };
    let prices_as = |bucket_id, action| BucketPlan { bucket_id, ..prices(8, action) };
    vec![
        asked()
            .hear(plan(20, vec![outlets_as(8, BucketAction::Keep), prices_as(7, BucketAction::Keep)]))
            .hear(plan(20, vec![numbered(8, BucketAction::Append)]))
            .hear(paged(8, Cursor::after(20), &[(21, 1, Some(b"uno"))]))
            .hear(last(21, vec![holds(8, &[(1, b"uno"), (2, b"two")])]))
            .cut()
            .case("two buckets exchange their numbers"),
        asked().reopen().case("a wish for the inventory is forgotten with the process"),
        forked()
            .hear(fork(5, vec![outlets_as(17, BucketAction::Keep), prices_as(18, BucketAction::Reset)]))
            .hear(paged(17, Cursor::after(5), &[(6, 2, Some(b"new"))]))
            .hear(last(6, vec![holds(17, &[(1, b"one"), (2, b"new")]), holds(18, &[])]))
            .cut()
            .case("after a fork lower versions are news"),
        forked()
            .hear(fork(5, vec![outlets_as(17, BucketAction::Reset), prices_as(18, BucketAction::Reset)]))
            .hear(paged(17, start(), &[(5, 4, Some(b"four"))]))
            .hear(checkpoint(5, TODAY, false, vec![holds(17, &[(4, b"four")])]))
            .cut()
            .case("what a fork has not brought yet is not gone on from"),
        synced()
            .hear(plan(12, vec![outlets(9, BucketAction::Append)]))
            .hear(checkpoint(12, TODAY, false, vec![holds(9, &[])]))
            .cut()
            .hear(Message::Fork(Fork { expected_seq: 1 }))
            .reopen()
            .case("what lags at a fork is not gone on from"),
        synced()
            .hear(plan(12, vec![prices(9, BucketAction::Append)]))
            .hear(paged(9, start(), &[(11, 5, Some(b"five"))]))
            .cut()
            .hear(Message::InventoryRequest(InventoryRequest {}))
            .cut()
            .hear(plan(3, vec![outlets_as(9, BucketAction::Keep), prices_as(8, BucketAction::Keep)]))
            .hear(last(12, Vec::new()))
            .cut()
            .case("a bucket of which nothing was applied gives its number away"),
    ]
}

fn followers() -> Vec<Case> {
    let alive = |version| Message::KeepAlive(KeepAlive { position: Some(at(version).into()), server_time_us: 0 });
    vec![
        synced().hear(alive(15)).hear(alive(13)).cut().case("a sign of life moves the position, never back"),
        synced()
            .hear(plan(12, vec![numbered(7, BucketAction::Append)]))
            .hear(alive(15))
            .cut()
            .case("a sign of life moves nothing while something is on its way"),
        synced()
            .hear(last(12, Vec::new()))
            .hear(plan(13, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(12), &[(13, 1, None)]))
            .hear(last(13, vec![holds(7, &[(2, b"two")])]))
            .hear(plan(14, vec![numbered(7, BucketAction::Append), outlets(9, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(13), &[(14, 2, None)]))
            .hear(paged(9, start(), &[(14, 2, Some(b"two"))]))
            .hear(last(14, vec![holds(7, &[]), holds(9, &[(2, b"two")])]))
            .hear(alive(16))
            .cut()
            .case("two changes on one stream"),
        synced()
            .hear(plan(13, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(10), &[(13, 1, None)]))
            .hear(last(13, vec![holds(7, &[(2, b"two")])]))
            .hear(alive(15))
            .hear(plan(16, vec![numbered(7, BucketAction::Append)]))
            .hear(paged(7, Cursor::after(15), &[(16, 2, None)]))
            .hear(last(16, vec![holds(7, &[])]))
            .cut()
            .case("after a sign of life the next page may begin where it was"),
        synced().receive(None).cut().case("an unknown message is ignored"),
    ]
}

fn refusals() -> Vec<Case> {
    let append = BucketAction::Append;
    let broken = Page { rows: 9, ..page(7, Cursor::after(10), &[(12, 1, None)]) };
    let nowhere = Message::Checkpoint(Checkpoint { last: true, ..Checkpoint::default() });
    let unknown_action = BucketPlan { action: 99, ..outlets(9, append) };
    let cases = [
        ("a number that is not held, without a scope", plan(12, vec![numbered(77, append)])),
        ("a scope without a kind", plan(12, vec![BucketPlan { kind: 0, ..outlets(9, append) }])),
        ("an unknown action", plan(12, vec![unknown_action])),
        ("one number for two buckets", plan(12, vec![BucketPlan { bucket_id: 7, ..outlets(9, append) }])),
        ("a page of a bucket that no plan named", paged(8, start(), &[(12, 3, None)])),
        ("a malformed page", Message::Page(broken)),
        ("a page behind a gap", paged(7, Cursor::after(11), &[(12, 1, None)])),
        ("a sum of a bucket that is not held", last(12, vec![holds(99, &[])])),
        ("a sum of a bucket that the checkpoint does not cover", checkpoint(12, TODAY, false, vec![holds(8, &[])])),
        ("a checkpoint without a position", nowhere),
        ("a checkpoint before the device's position", last(9, Vec::new())),
    ];
    let refused = |(name, message): (&str, Message)| {
        let mut tape = synced();
        tape.hear(plan(12, vec![numbered(7, append)])).hear(message).reopen().case(&format!("refused: {name}"))
    };
    let late = synced()
        .hear(plan(12, vec![outlets(7, BucketAction::Drop)]))
        .hear(paged(7, start(), &[(12, 1, Some(b"uno"))]))
        .case("refused: a page of a bucket that is to go");
    cases.into_iter().map(refused).chain([late]).collect()
}
