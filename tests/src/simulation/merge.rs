//! The law of edits, said without the code that merges them: what nobody else has touched becomes what the editor wants;
//! where two changes met, the one stands whose the field is, and the outcome says which was lost.

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{Order, Outlet, Reason, StringChange};

use super::journal::{Checked, Journal, Law};

/// Who wins where two changes met.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Winner {
    Office,
    Rep,
}

/// An edit of a text.
struct Edit<'a> {
    field: &'static str,
    change: &'a StringChange,
    winner: Winner,
    before: String,
    after: String,
}

/// The record that a command edits; `None`: it edits no text.
#[must_use]
pub fn edited(command: &Command) -> Option<&[u8]> {
    if let Command::ChangeOrder(command) = command {
        Some(&command.order_id)
    } else if let Command::EditOutlet(command) = command {
        Some(&command.outlet_id)
    } else {
        None
    }
}

/// Checks the texts that a command has edited, by the documents before and after it. An editor who does not see the record,
/// such as a rep who has just lost the outlet, is told only of the own text.
///
/// # Errors
/// When one is not as it should be, or a loser is not told.
pub fn check(
    command: &Command,
    (by_rep, sees): (bool, bool),
    (before, after): (&Bytes, &Bytes),
    outcome: &Outcome,
    journal: &mut Journal,
) -> Checked<()> {
    if !matches!(outcome.status(), Status::Applied | Status::Merged | Status::Held) {
        return Ok(());
    }
    for edit in edits(command, before, after) {
        let Edit { field, change, winner, before, after } = edit;
        if outcome.reason() == Reason::ChangeRequested {
            // The warehouse is asked.
            journal.check(Law::Merge, after == before, || {
                format!("{field} was {before:?} and is {after:?}: {outcome:?}")
            })?;
            continue;
        }
        let met = change.value != change.base && before != change.base && before != change.value;
        let editor_wins = (winner == Winner::Rep) == by_rep;
        let stands = if change.value == change.base || (met && !editor_wins) { &before } else { &change.value };
        let lost = if editor_wins { &before } else { &change.value };
        let tell = |text: &'_ String, own: bool| if own || sees { text.clone() } else { String::new() };
        let (kept, lost) = (tell(stands, editor_wins), tell(lost, !editor_wins));
        let told = outcome
            .overrides
            .iter()
            .any(|told| told.line_id.is_empty() && told.field == field && told.kept == kept && told.lost == lost);
        journal.check(Law::Merge, after == *stands && told == met, || {
            format!("{field} was {before:?} and is {after:?} after {change:?}, rep {by_rep}: {outcome:?}")
        })?;
    }
    Ok(())
}

fn edits<'a>(command: &'a Command, before: &Bytes, after: &Bytes) -> Vec<Edit<'a>> {
    let edit = |field, change: &'a Option<StringChange>, winner, texts: Option<(String, String)>| {
        let (before, after) = texts?;
        Some(Edit { field, change: change.as_ref()?, winner, before, after })
    };
    let mut found = Vec::new();
    if let Command::ChangeOrder(command) = command {
        let orders = Order::decode(before.clone()).ok().zip(Order::decode(after.clone()).ok());
        let comments = orders.map(|(before, after)| (before.comment, after.comment));
        found.extend(edit("comment", &command.comment, Winner::Office, comments));
    } else if let Command::EditOutlet(command) = command {
        let outlets = Outlet::decode(before.clone()).ok().zip(Outlet::decode(after.clone()).ok());
        let names = outlets.clone().map(|(before, after)| (before.name, after.name));
        let comments = outlets.map(|(before, after)| (before.comment, after.comment));
        found.extend(edit("name", &command.name, Winner::Office, names));
        found.extend(edit("comment", &command.comment, Winner::Rep, comments));
    }
    found
}
