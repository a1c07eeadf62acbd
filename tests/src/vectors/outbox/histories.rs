//! A server without sense: whatever it answers, two outboxes must make the same of it.

use roundsman_proto::sync::{CommandResult, Outcome, PushResponse, Status};

use super::super::dice::Dice;
use super::super::id;
use super::{Case, DAY_US, Tape};

const STEPS: usize = 30;

/// The history of a seed.
pub(super) fn history(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let mut tape = Tape::new(2);
    let (mut captured, mut now_us) = (2, 0);
    for _ in 0..STEPS {
        match dice.below(10) {
            0..3 => {
                captured += 1;
                tape.capture(captured)
            }
            3 => tape.reopen(),
            4 => tape.fork(dice.small(8)),
            _ => {
                now_us += dice.small(4) * DAY_US;
                let response = answer(&mut dice, &tape, captured);
                tape.answer_at(response, now_us)
            }
        };
    }
    tape.case(&format!("history {seed}"))
}

/// Results for what was sent, mostly, and numbers that fit, sometimes.
fn answer(dice: &mut Dice, tape: &Tape, captured: u128) -> PushResponse {
    let sent = tape.outbox.request("", 0, None).map_or(Vec::new(), |request| request.commands);
    let decided = usize::try_from(dice.below(sent.len() as u64 + 1)).expect("a small number");
    let mut results: Vec<CommandResult> =
        sent[..decided].iter().map(|command| result(command.command_id.clone(), command.seq)).collect();
    if dice.one_in(4) {
        let stale = id(1 + u128::from(dice.below(u64::try_from(captured).expect("a small number"))));
        results.push(result(stale.as_bytes().to_vec(), 1 + dice.small(8)));
    }
    let next = sent.last().map_or(1, |command| command.seq);
    PushResponse {
        results,
        version: 1 + dice.small(20),
        durable_version: if dice.one_in(3) { dice.small(20) } else { 0 },
        expected_seq: if dice.one_in(3) { (next - 2 + dice.small(6)).max(0) } else { 0 },
        fork: dice.one_in(6),
        ..PushResponse::default()
    }
}

fn result(command_id: Vec<u8>, seq: i64) -> CommandResult {
    let outcome = Outcome { status: Status::Applied.into(), ..Outcome::default() };
    CommandResult { command_id, seq, outcome: Some(outcome) }
}
