//! Examples. The laws are tested against random histories in `tests/outbox.rs`.

use roundsman_proto::sync::{CommandResult, Status};

use super::memory::MemoryStorage;
use super::*;

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

fn outbox(commands: u128) -> Outbox<MemoryStorage> {
    let mut outbox = Outbox::open(MemoryStorage::default()).expect("opens");
    (1..=commands).for_each(|number| capture(&mut outbox, number));
    outbox
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn capture(outbox: &mut Outbox<MemoryStorage>, number: u128) {
    let body = Bytes::from(number.to_string());
    outbox.capture(id(number), body, number as i64, 20_000).expect("is captured");
}

fn request(outbox: &Outbox<MemoryStorage>) -> Option<PushRequest> {
    outbox.request("1.0", 0, None)
}

/// The numbers of the next push.
fn numbers(outbox: &Outbox<MemoryStorage>) -> Vec<i64> {
    request(outbox).map_or(Vec::new(), |request| request.commands.iter().map(|command| command.seq).collect())
}

/// An answer that applies these commands at version 50.
fn applied(commands: &[(u128, i64)]) -> PushResponse {
    let result = |(number, seq): &(u128, i64)| CommandResult {
        command_id: id(*number).as_bytes().to_vec(),
        seq: *seq,
        outcome: Some(Outcome { status: Status::Applied.into(), ..Outcome::default() }),
    };
    PushResponse { results: commands.iter().map(result).collect(), version: 50, ..PushResponse::default() }
}

fn hear(outbox: &mut Outbox<MemoryStorage>, response: PushResponse) -> Vec<Uuid> {
    outbox.receive(response, 0).expect("is taken").into_iter().map(|(command, _)| command).collect()
}

#[test]
fn commands_are_sent_in_order_and_their_outcomes_kept_and_confirmed() {
    let mut outbox = outbox(2);
    assert_eq!(outbox.capture(id(1), Bytes::from("1"), 9, 9).expect("is known"), 1);
    assert!(matches!(outbox.capture(id(1), Bytes::from("2"), 9, 9), Err(OutboxError::Known(_))));
    let sent = request(&outbox).expect("something waits");
    assert_eq!((sent.commands.len(), sent.confirmed_seq, sent.last_outcome_seq), (2, 0, 0));
    // As keys of a message "1" and "2" are those of a field with the number 6.
    let kinds = vec![proto::WaitingCommands { command: 6, count: 2 }];
    assert_eq!(sent.outbox, Some(OutboxSummary { commands: 2, oldest_captured_at_us: 1, kinds }));
    assert_eq!(hear(&mut outbox, applied(&[(1, 1)])), [id(1)]);
    assert_eq!(numbers(&outbox), [2]);
    let mut odd = applied(&[(1, 1), (2, 2)]);
    odd.results[1].outcome = Some(Outcome { status: 77, ..Outcome::default() });
    assert_eq!(hear(&mut outbox, odd), [id(2)], "the first is no news");
    let outcomes: Vec<i32> = outbox.outcomes().map(|(_, outcome)| outcome.status).collect();
    assert_eq!(outcomes, [Status::Applied as i32, 77], "an unknown status is kept");
    let confirms = request(&outbox).expect("something is to be confirmed");
    assert_eq!((confirms.commands.len(), confirms.confirmed_seq, confirms.last_outcome_seq), (0, 2, 2));
    hear(&mut outbox, PushResponse::default());
    assert_eq!((request(&outbox), outbox.waiting()), (None, 0));
    assert_eq!(outbox.pending().map(|(_, _, version)| version).collect::<Vec<_>>(), [Some(50), Some(50)]);
}

#[test]
fn a_batch_stays_within_its_limits() {
    let mut outbox = outbox(0);
    for number in 1..=40 {
        let body = Bytes::from(vec![0; COMMAND_BYTES - 1_000]);
        outbox.capture(id(number), body, 0, 0).expect("is captured");
    }
    assert!(matches!(outbox.capture(id(99), vec![0; COMMAND_BYTES + 1].into(), 0, 0), Err(OutboxError::TooLarge(_))));
    let sent = request(&outbox).expect("something waits");
    let bytes: usize = sent.commands.iter().map(prost::Message::encoded_len).sum();
    assert!(bytes <= PUSH_BYTES && bytes > PUSH_BYTES - COMMAND_BYTES, "{bytes}");
    let mut outbox = self::outbox(PUSH_COMMANDS as u128 + 1);
    assert_eq!(numbers(&outbox).len(), PUSH_COMMANDS);
    hear(&mut outbox, applied(&[(1, 1)]));
    assert_eq!(numbers(&outbox), (2..=PUSH_COMMANDS as i64 + 1).collect::<Vec<_>>());
}

#[test]
fn after_a_gap_what_waits_is_renumbered() {
    let mut outbox = outbox(3);
    hear(&mut outbox, PushResponse { expected_seq: 9, ..applied(&[(1, 1)]) });
    assert_eq!((numbers(&outbox), outbox.last_outcome_seq()), (vec![9, 10], 1));
    capture(&mut outbox, 4);
    let ids: Vec<Uuid> = outbox.pending().map(|(command, _, _)| command).collect();
    assert_eq!((numbers(&outbox), ids), (vec![9, 10, 11], vec![id(1), id(2), id(3), id(4)]));
    assert!(hear(&mut outbox, applied(&[(2, 2)])).is_empty(), "an answer to the old numbers is none");
    assert_eq!(request(&outbox).expect("something waits").skip, None);
}

#[test]
fn after_a_fork_what_was_kept_is_sent_again_and_the_rest_is_skipped() {
    let mut outbox = outbox(4);
    hear(&mut outbox, PushResponse { durable_version: 51, ..applied(&[(1, 1), (2, 2)]) });
    outbox.receive(PushResponse::default(), KEEP_ACKNOWLEDGED_US).expect("is taken");
    hear(&mut outbox, PushResponse { expected_seq: 7, ..PushResponse::default() });
    hear(&mut outbox, applied(&[(3, 7)]));
    outbox.fork(2).expect("is taken");
    let sent = request(&outbox).expect("something waits");
    assert_eq!(sent.skip, Some(proto::Skip { from_seq: 2, to_seq: 6 }), "these are durable, and gone");
    assert_eq!((numbers(&outbox), sent.last_outcome_seq, sent.confirmed_seq), (vec![7, 8], 1, 1));
    assert_eq!(outbox.outcomes().count(), 0, "the outcome belonged to the other history");
    let found_before_deciding = PushResponse { fork: true, expected_seq: 2, ..applied(&[(3, 7), (4, 8)]) };
    assert_eq!(hear(&mut outbox, found_before_deciding).len(), 2);
    assert_eq!((outbox.waiting(), outbox.last_outcome_seq()), (0, 8));
    hear(&mut outbox, PushResponse::default());
    assert_eq!(request(&outbox), None);
}

#[test]
fn what_waits_below_a_forks_number_gets_new_numbers_only_from_a_push() {
    let mut outbox = outbox(2);
    outbox.fork(5).expect("is taken");
    let sent = request(&outbox).expect("something waits");
    assert_eq!((numbers(&outbox), sent.skip), (vec![1, 2], None), "perhaps only the answer was lost");
    hear(&mut outbox, PushResponse { fork: true, expected_seq: 5, ..PushResponse::default() });
    assert_eq!(numbers(&outbox), [5, 6]);
}

/// An outbox whose commands 1 to 5 were answered, as a backup of the phone has it.
fn answered_before_the_backup() -> Outbox<MemoryStorage> {
    let mut outbox = outbox(5);
    hear(&mut outbox, applied(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]));
    hear(&mut outbox, PushResponse::default());
    outbox
}

#[test]
fn a_restored_phone_brings_back_what_the_server_lost_and_was_told_to_skip() {
    let backup = answered_before_the_backup().into_storage();
    let mut outbox = Outbox::open(backup.clone()).expect("opens");
    outbox.receive(PushResponse::default(), KEEP_ACKNOWLEDGED_US).expect("is taken");
    outbox.fork(1).expect("is taken");
    let skip = Some(proto::Skip { from_seq: 1, to_seq: 5 });
    assert_eq!(request(&outbox).and_then(|request| request.skip), skip, "the phone has none of them any more");
    let mut outbox = Outbox::open(backup).expect("opens");
    outbox.fork(6).expect("is taken");
    assert_eq!(numbers(&outbox), [1, 2, 3, 4, 5], "it has them again, and the server has not");
    hear(&mut outbox, PushResponse { expected_seq: 6, ..PushResponse::default() });
    assert_eq!(numbers(&outbox), [6, 7, 8, 9, 10]);
}

#[test]
fn a_phone_that_finds_its_numbers_used_asks_again_for_all_that_it_keeps() {
    for fork in [false, true] {
        let mut outbox = answered_before_the_backup();
        capture(&mut outbox, 6);
        hear(&mut outbox, PushResponse { fork, expected_seq: 9, ..PushResponse::default() });
        assert_eq!(numbers(&outbox), [1, 2, 3, 4, 5], "perhaps the server skipped them");
        // The server knows the first two, and none of the others.
        hear(&mut outbox, PushResponse { expected_seq: 9, ..applied(&[(1, 1), (2, 2)]) });
        assert_eq!(numbers(&outbox), [9, 10, 11, 12]);
        hear(&mut outbox, applied(&[(3, 9), (4, 10), (5, 11), (6, 12)]));
        assert_eq!((outbox.waiting(), outbox.outcomes().count()), (0, 6));
    }
}

#[test]
fn an_answer_to_a_push_from_before_a_fork_renumbers_nothing() {
    let mut outbox = outbox(2);
    hear(&mut outbox, applied(&[(1, 1), (2, 2)]));
    // While this is under way, which only confirms, a pull tells of the fork.
    assert_eq!(numbers(&outbox), [] as [i64; 0]);
    outbox.fork(3).expect("is taken");
    let fork = || PushResponse { fork: true, expected_seq: 3, ..PushResponse::default() };
    hear(&mut outbox, fork());
    assert_eq!(numbers(&outbox), [1, 2], "they were not sent yet");
    hear(&mut outbox, fork());
    assert_eq!(numbers(&outbox), [3, 4]);
}

#[test]
fn a_fork_that_is_told_with_every_answer_is_one() {
    let mut outbox = answered_before_the_backup();
    // The replica's position stays unknown until it has pulled.
    let fork = || PushResponse { fork: true, expected_seq: 3, ..PushResponse::default() };
    capture(&mut outbox, 6);
    hear(&mut outbox, fork());
    assert_eq!(numbers(&outbox), [1, 2, 3, 4, 5, 6]);
    let decided = applied(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]);
    hear(&mut outbox, PushResponse { fork: true, expected_seq: 3, ..decided });
    assert_eq!((outbox.waiting(), request(&outbox).map(|request| request.confirmed_seq)), (0, Some(6)));
    hear(&mut outbox, PushResponse { fork: true, expected_seq: 7, ..PushResponse::default() });
    assert_eq!(request(&outbox), None);
}

#[test]
fn a_number_that_was_answered_is_given_to_no_other_command() {
    let mut outbox = outbox(3);
    hear(&mut outbox, PushResponse { fork: true, expected_seq: 3, ..applied(&[(3, 3)]) });
    assert_eq!(numbers(&outbox), [1, 2]);
    hear(&mut outbox, PushResponse { expected_seq: 4, ..PushResponse::default() });
    assert_eq!(numbers(&outbox), [4, 5, 6], "what was answered behind them comes again behind them");
    let ids: Vec<Uuid> = outbox.pending().map(|(command, _, _)| command).collect();
    assert_eq!(ids, [id(1), id(2), id(3)]);
}

#[test]
fn outcomes_after_a_fork_are_confirmed_again() {
    let mut outbox = outbox(1);
    assert_eq!(hear(&mut outbox, applied(&[(9, 1)])), Vec::<Uuid>::new(), "this is another command");
    hear(&mut outbox, applied(&[(1, 1)]));
    hear(&mut outbox, PushResponse::default());
    assert_eq!(request(&outbox), None);
    outbox.fork(1).expect("is taken");
    hear(&mut outbox, applied(&[(1, 1)]));
    assert_eq!(request(&outbox).map(|request| request.confirmed_seq), Some(1));
}

#[test]
fn a_skip_without_commands_is_taken_once() {
    let mut outbox = outbox(2);
    hear(&mut outbox, PushResponse { durable_version: 60, ..applied(&[(1, 1), (2, 2)]) });
    outbox.receive(PushResponse::default(), KEEP_ACKNOWLEDGED_US).expect("is taken");
    assert_eq!(outbox.pending().count(), 0);
    outbox.fork(1).expect("is taken");
    let sent = request(&outbox).expect("the server's count is behind");
    assert_eq!((sent.skip, sent.commands.len()), (Some(proto::Skip { from_seq: 1, to_seq: 2 }), 0));
    capture(&mut outbox, 3);
    hear(&mut outbox, PushResponse::default());
    let sent = request(&outbox).expect("something waits");
    assert_eq!((sent.skip, numbers(&outbox)), (None, vec![3]));
}

#[test]
fn an_answered_command_is_kept_until_nobody_can_lose_it() {
    let after = |days: i64, durable_version: i64| {
        let mut outbox = outbox(1);
        hear(&mut outbox, applied(&[(1, 1)]));
        let response = PushResponse { durable_version, ..PushResponse::default() };
        outbox.receive(response, days * DAY_US).expect("is taken");
        (outbox.pending().count(), outbox)
    };
    assert_eq!(after(6, 51).0, 1, "too young");
    assert_eq!(after(7, 51).0, 0);
    assert_eq!(after(30, 50).0, 1, "a rejection makes no version: it may have come after the backup");
    assert_eq!(after(7, 0).0, 0, "where nothing is ever durable, time decides");
    let (_, mut outbox) = after(1, 50);
    let fork = PushResponse { fork: true, durable_version: 99, expected_seq: 2, ..PushResponse::default() };
    outbox.receive(fork, 30 * DAY_US).expect("is taken");
    assert_eq!(outbox.pending().count(), 1, "a fork's word is not believed");
    let (_, mut outbox) = after(1, 0);
    let fork = PushResponse { fork: true, durable_version: 9, expected_seq: 2, ..PushResponse::default() };
    outbox.receive(fork, 30 * DAY_US).expect("is taken");
    assert_eq!(outbox.pending().count(), 1, "nor does it let time decide");
    let (_, mut outbox) = after(1, 60);
    outbox.fork(1).expect("is taken");
    hear(&mut outbox, applied(&[(1, 1)]));
    outbox.receive(PushResponse { durable_version: 40, ..PushResponse::default() }, 30 * DAY_US).expect("is taken");
    assert_eq!(outbox.pending().count(), 1, "what was durable belonged to the other history");
}

#[test]
fn what_is_malformed_changes_nothing() {
    let mut broken_id = applied(&[(1, 1), (2, 2)]);
    broken_id.results[1].command_id.pop();
    let mut no_outcome = applied(&[(1, 1), (2, 2)]);
    no_outcome.results[1].outcome = None;
    let negative = PushResponse { expected_seq: -1, ..applied(&[(1, 1)]) };
    let endless = PushResponse { expected_seq: i64::MAX, ..applied(&[(1, 1)]) };
    for response in [broken_id, no_outcome, negative, endless] {
        let mut outbox = outbox(2);
        let error = outbox.receive(response, 0).expect_err("is refused");
        assert!(matches!(error, OutboxError::Result | OutboxError::Sequence(_)));
        assert_eq!((numbers(&outbox), outbox.outcomes().count()), (vec![1, 2], 0));
        assert!(outbox.fork(-1).is_err());
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_file_is_opened_again_also_beside_the_replica() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("device.db");
    let _replica = crate::replica::sqlite::SqliteStorage::open(&path).expect("opens");
    let open = || Outbox::open(sqlite::SqliteStorage::open(&path).expect("opens")).expect("reads");
    let mut first = open();
    first.capture(id(1), Bytes::new(), 5, 20_000).expect("is captured");
    first.capture(id(2), Bytes::from("two"), 6, 20_000).expect("is captured");
    first.receive(PushResponse { durable_version: 3, ..applied(&[(1, 1)]) }, 9).expect("is taken");
    let second = open();
    assert_eq!(first.request("", 0, None), second.request("", 0, None));
    assert!(first.pending().eq(second.pending()) && first.outcomes().eq(second.outcomes()));
}

#[test]
fn what_waits_is_counted_by_kind() {
    let mut outbox = outbox(0);
    // The last is of a kind that this program does not know, and one says nothing at all.
    let bodies: [&'static [u8]; 4] = [&[0x1a, 0], &[0x0a, 0], &[0x1a, 2, 0x0a, 0], &[0x8a, 0x7d, 0]];
    for (number, body) in bodies.into_iter().chain([&[][..]]).enumerate() {
        outbox.capture(id(number as u128 + 1), Bytes::from_static(body), 9, 9).expect("is captured");
    }
    let kinds = outbox.summary().kinds.into_iter().map(|kind| (kind.command, kind.count));
    assert_eq!(kinds.collect::<Vec<_>>(), [(0, 1), (1, 1), (3, 2), (2_001, 1)]);
}

#[test]
fn c30_an_erased_outbox_begins_anew() {
    let mut outbox = outbox(3);
    hear(&mut outbox, applied(&[(1, 1), (2, 2)]));
    outbox.erase().expect("is erased");
    assert_eq!((outbox.pending().count(), outbox.last_outcome_seq(), request(&outbox)), (0, 0, None));
    let mut outbox = Outbox::open(outbox.into_storage()).expect("opens");
    assert_eq!((outbox.pending().count(), request(&outbox)), (0, None), "nor is anything stored");
    capture(&mut outbox, 9);
    assert_eq!(numbers(&outbox), [1]);
}
