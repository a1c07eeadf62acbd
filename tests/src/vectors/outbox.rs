//! Pushes, answer by answer.

mod histories;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync::{CommandResult, Outcome, PushRequest, PushResponse, Status};
use roundsman_sync::limits::{COMMAND_BYTES, KEEP_ACKNOWLEDGED_US};
use roundsman_sync::outbox::memory::MemoryStorage;
use roundsman_sync::outbox::{Outbox, OutboxError};
use serde_json::{Value, json};

use super::{Case, Family, HISTORIES, hex, id, id_hex, wide};

const ABOUT: &str = "An empty outbox goes through steps: `capture` stores a command (with `body`, or `body_bytes` zeros), `answer` takes a \
     serialized roundsman.sync.v1.PushResponse at the device's clock `now_us`, `fork` is told the number that the server \
     expects, `reopen` ends the process and opens what was stored. Expected of each step: its result, or why it was refused \
     and changed nothing; the commands that are kept, with the version that a pull must cover once they are answered; and \
     the next PushRequest, null if there is nothing to say. Of many commands the request names the first and the last.";

const DAY_US: i64 = 24 * 3_600 * 1_000_000;
const BUSINESS_DAY: i32 = 20_780;
/// The version of every answer.
const VERSION: i64 = 50;

pub(super) fn family() -> Family {
    let mut cases = orders();
    cases.extend(gaps());
    cases.extend(forks());
    cases.extend(keeping());
    cases.extend(refusals());
    Family { name: "outbox", about: ABOUT, cases }
}

/// The same with steps that nobody thought of.
pub(super) fn histories() -> Family {
    Family { name: "outbox_histories", about: ABOUT, cases: (1..=HISTORIES).map(histories::history).collect() }
}

/// An outbox in the hands of a rep and a server, and what they did.
struct Tape {
    outbox: Outbox<MemoryStorage>,
    steps: Vec<Value>,
    expected: Vec<Value>,
}

type Refusal = OutboxError<std::convert::Infallible>;

impl Tape {
    /// With commands 1 to `commands` captured.
    fn new(commands: u128) -> Self {
        let outbox = Outbox::open(MemoryStorage::default()).expect("memory opens");
        let mut tape = Self { outbox, steps: Vec::new(), expected: Vec::new() };
        for number in 1..=commands {
            tape.capture(number);
        }
        tape
    }

    fn capture(&mut self, number: u128) -> &mut Self {
        self.capture_body(number, &format!("command {number}"))
    }

    fn capture_body(&mut self, number: u128, body: &str) -> &mut Self {
        self.captured(number, Bytes::from(body.to_owned()), json!({ "body": hex(body) }))
    }

    fn capture_zeros(&mut self, number: u128, bytes: usize) -> &mut Self {
        self.captured(number, Bytes::from(vec![0; bytes]), json!({ "body_bytes": bytes }))
    }

    fn captured(&mut self, number: u128, body: Bytes, mut step: Value) -> &mut Self {
        let captured_at_us = i64::try_from(number).expect("a small number") * 1_000;
        step["command_id"] = id_hex(id(number));
        step["captured_at_us"] = wide(captured_at_us);
        step["business_day"] = json!(BUSINESS_DAY);
        let result = self.outbox.capture(id(number), body, captured_at_us, BUSINESS_DAY);
        self.note(json!({ "capture": step }), result.map(|seq| json!({ "seq": wide(seq) })))
    }

    fn answer(&mut self, response: PushResponse) -> &mut Self {
        self.answer_at(response, 0)
    }

    fn answer_at(&mut self, response: PushResponse, now_us: i64) -> &mut Self {
        let step = json!({ "answer": { "response": hex(response.encode_to_vec()), "now_us": wide(now_us) } });
        let result = self.outbox.receive(response, now_us).map(|news| {
            let news =
                news.into_iter().map(|(id, outcome)| json!({ "command_id": id_hex(id), "status": outcome.status }));
            json!({ "news": news.collect::<Vec<_>>() })
        });
        self.note(step, result)
    }

    fn fork(&mut self, expected_seq: i64) -> &mut Self {
        let result = self.outbox.fork(expected_seq).map(|()| json!({}));
        self.note(json!({ "fork": { "expected_seq": wide(expected_seq) } }), result)
    }

    fn reopen(&mut self) -> &mut Self {
        let empty = Outbox::open(MemoryStorage::default()).expect("memory opens");
        let before = std::mem::replace(&mut self.outbox, empty);
        self.outbox = Outbox::open(before.into_storage()).expect("memory opens");
        self.note(json!({ "reopen": {} }), Ok(json!({})))
    }

    fn note(&mut self, step: Value, result: Result<Value, Refusal>) -> &mut Self {
        let mut expected = result.unwrap_or_else(|error| json!({ "refused": reason(&error) }));
        let kept = self
            .outbox
            .pending()
            .map(|(id, _, version)| json!({ "command_id": id_hex(id), "version": version.map_or(Value::Null, wide) }));
        expected["kept"] = kept.collect();
        expected["request"] = self.outbox.request("", 0, None).map_or(Value::Null, |request| requested(&request));
        self.steps.push(step);
        self.expected.push(expected);
        self
    }

    fn case(&mut self, name: &str) -> Case {
        Case::new(name, json!({ "steps": self.steps }), json!({ "steps": self.expected }))
    }
}

fn requested(request: &PushRequest) -> Value {
    let command = |command: &roundsman_proto::sync::Command| json!({ "command_id": hex(&command.command_id), "seq": wide(command.seq) });
    let outbox = request.outbox.clone().expect("a summary");
    json!({
        "count": request.commands.len(),
        "first": request.commands.first().map_or(Value::Null, command),
        "last": request.commands.last().map_or(Value::Null, command),
        "confirmed_seq": wide(request.confirmed_seq),
        "last_outcome_seq": wide(request.last_outcome_seq),
        "skip": request.skip.map_or(Value::Null, |skip| {
            json!({ "from_seq": wide(skip.from_seq), "to_seq": wide(skip.to_seq) })
        }),
        "outbox": {
            "commands": outbox.commands,
            "oldest_captured_at_us": wide(outbox.oldest_captured_at_us),
            "kinds": outbox.kinds.iter().map(|kind| json!([kind.command, kind.count])).collect::<Vec<_>>(),
        },
    })
}

/// What the vectors call a reason not to do what was asked.
fn reason(error: &Refusal) -> &'static str {
    match error {
        OutboxError::Storage(never) => match *never {},
        OutboxError::TooLarge(_) => "too_large",
        OutboxError::Known(_) => "known",
        OutboxError::Result => "result",
        OutboxError::Sequence(_) => "sequence",
    }
}

/// An answer that applies these commands, by their numbers then and their sequence numbers.
fn applied(commands: &[(u128, i64)]) -> PushResponse {
    let result = |(number, seq): &(u128, i64)| CommandResult {
        command_id: id(*number).as_bytes().to_vec(),
        seq: *seq,
        outcome: Some(Outcome { status: Status::Applied.into(), ..Outcome::default() }),
    };
    PushResponse { results: commands.iter().map(result).collect(), version: VERSION, ..PushResponse::default() }
}

fn expects(expected_seq: i64) -> PushResponse {
    PushResponse { expected_seq, version: VERSION, ..PushResponse::default() }
}

fn orders() -> Vec<Case> {
    let mut unknown = applied(&[(1, 1)]);
    unknown.results[0].outcome = Some(Outcome { status: 77, ..Outcome::default() });
    let mut large = Tape::new(0);
    for number in 1..=13 {
        large.capture_zeros(number, COMMAND_BYTES - 1_000);
    }
    vec![
        Tape::new(2).reopen().case("numbers from 1"),
        Tape::new(2).capture(1).capture_body(1, "something else").case("a command that is captured again"),
        Tape::new(2)
            .answer(applied(&[(1, 1)]))
            .reopen()
            .answer(applied(&[(1, 1), (2, 2)]))
            .answer(PushResponse::default())
            .case("outcomes are kept, and confirmed once"),
        Tape::new(1).answer(unknown).case("an unknown status is an outcome"),
        Tape::new(1).answer(applied(&[(9, 1)])).case("a result of another command under the number is none"),
        large.case("a push has at most 3 MiB of commands"),
    ]
}

fn gaps() -> Vec<Case> {
    vec![
        Tape::new(3)
            .answer(PushResponse { expected_seq: 9, ..applied(&[(1, 1)]) })
            .capture(4)
            .answer(applied(&[(2, 2)]))
            .answer(applied(&[(2, 9), (3, 10), (4, 11)]))
            .case("what waits is renumbered from the number that the server expects; answers to old numbers are none"),
        Tape::new(2).answer(expects(2)).case("the server has decided more than the device knows of"),
        Tape::new(3)
            .answer(applied(&[(1, 1), (2, 2)]))
            .answer(expects(2))
            .case("the server expects a number that was answered: it has lost a part of the history"),
    ]
}

fn forks() -> Vec<Case> {
    let fork = |expected_seq, results: &[(u128, i64)]| PushResponse { fork: true, expected_seq, ..applied(results) };
    vec![
        Tape::new(3)
            .answer(applied(&[(1, 1), (2, 2)]))
            .fork(2)
            .reopen()
            .answer(applied(&[(2, 2), (3, 3)]))
            .case("answered commands wait again, under their numbers"),
        Tape::new(4)
            .answer(PushResponse { durable_version: VERSION + 1, ..applied(&[(1, 1), (2, 2)]) })
            .answer_at(PushResponse::default(), KEEP_ACKNOWLEDGED_US)
            .answer(PushResponse { expected_seq: 7, ..PushResponse::default() })
            .answer(applied(&[(3, 7)]))
            .fork(2)
            .answer(fork(2, &[(3, 7), (4, 8)]))
            .answer(PushResponse::default())
            .case("what was not kept is skipped"),
        Tape::new(2)
            .answer(PushResponse { durable_version: VERSION + 1, ..applied(&[(1, 1), (2, 2)]) })
            .answer_at(PushResponse::default(), KEEP_ACKNOWLEDGED_US)
            .fork(1)
            .capture(3)
            .answer(PushResponse::default())
            .case("a skip is taken once, also by an answer without results"),
        Tape::new(3)
            .answer(applied(&[(1, 1), (2, 2)]))
            .fork(3)
            .answer(PushResponse { expected_seq: 3, ..applied(&[(1, 1)]) })
            .answer(applied(&[(1, 1)]))
            .answer(applied(&[(2, 3), (3, 4)]))
            .case("a restored phone brings back what the server lost and was told to skip"),
        Tape::new(3)
            .answer(applied(&[(1, 1), (2, 2)]))
            .answer(expects(5))
            .answer(PushResponse { expected_seq: 5, ..applied(&[(1, 1)]) })
            .answer(applied(&[(1, 1)]))
            .answer(applied(&[(2, 5), (3, 6)]))
            .case("a phone whose numbers are used asks again for all that it keeps"),
        Tape::new(2)
            .answer(applied(&[(1, 1)]))
            .answer(fork(3, &[]))
            .answer(fork(3, &[(1, 1)]))
            .answer(fork(3, &[(2, 3)]))
            .answer(fork(4, &[]))
            .case("a fork that is told once more is no news"),
        Tape::new(2)
            .answer(applied(&[(1, 1), (2, 2)]))
            .fork(3)
            .answer(fork(3, &[]))
            .answer(fork(3, &[]))
            .case("an answer to a push from before a fork renumbers nothing"),
        Tape::new(2)
            .fork(5)
            .answer(fork(5, &[]))
            .case("what waits below the number that a fork expects is renumbered only by a push"),
        Tape::new(1)
            .answer(applied(&[(1, 1)]))
            .answer(PushResponse::default())
            .fork(1)
            .answer(applied(&[(1, 1)]))
            .answer(PushResponse::default())
            .case("outcomes after a fork are confirmed again"),
    ]
}

fn keeping() -> Vec<Case> {
    let kept = |name: &str, days: i64, response: PushResponse| {
        Tape::new(1).answer(applied(&[(1, 1)])).answer_at(response, days * DAY_US).case(name)
    };
    let durable = |durable_version| PushResponse { durable_version, ..PushResponse::default() };
    let forked = PushResponse { fork: true, expected_seq: 2, ..durable(99) };
    vec![
        kept("an answered command is kept for seven days", 6, durable(VERSION + 1)),
        kept("after seven days a durable one is taken away", 7, durable(VERSION + 1)),
        kept("what is not durable is kept", 30, durable(VERSION - 1)),
        kept("what was answered at the durable version is kept", 30, durable(VERSION)),
        kept("where nothing is ever durable, time decides", 7, durable(0)),
        kept("a fork's word on what is durable is not believed", 30, forked),
        Tape::new(1)
            .answer(PushResponse { durable_version: 60, ..applied(&[(1, 1)]) })
            .fork(1)
            .answer(applied(&[(1, 1)]))
            .answer_at(durable(40), 30 * DAY_US)
            .case("what was durable before a fork is not durable after it"),
    ]
}

fn refusals() -> Vec<Case> {
    let mut short_id = applied(&[(1, 1), (2, 2)]);
    short_id.results[1].command_id.pop();
    let mut undecided = applied(&[(1, 1), (2, 2)]);
    undecided.results[1].outcome = None;
    vec![
        Tape::new(2).answer(short_id).case("refused: a result with a command id of 15 bytes"),
        Tape::new(2).answer(undecided).case("refused: a result without an outcome"),
        Tape::new(2).answer(PushResponse { expected_seq: -1, ..applied(&[(1, 1)]) }).case("refused: a negative number"),
        Tape::new(2)
            .answer(PushResponse { expected_seq: i64::MAX, ..applied(&[(1, 1)]) })
            .case("refused: a number that cannot be counted on from"),
        Tape::new(1).fork(-1).case("refused: a fork with a negative number"),
        Tape::new(0)
            .capture_zeros(1, COMMAND_BYTES)
            .capture_zeros(2, COMMAND_BYTES + 1)
            .case("refused: a body over the limit"),
    ]
}
