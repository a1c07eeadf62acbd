//! The law "batching is invisible": the commands of a simulation, in its order, once in batches of one and once in batches
//! of random size.
//!
//! Compared are all outcomes, all records with documents and stamps (internal ones too), what each bucket holds, the
//! devices' sequence numbers, who changed what in which order, and what is announced. Not compared are version numbers,
//! nonces and the numbers of buckets, and of a price's past only which prices there are: a price that changes twice in one
//! batch was never seen by a device in between. Moments are equal because the clock is set for each batch and because,
//! inside a batch, unreadable commands that have no effect take up the moments that a batch of one would have taken.
//! Orders name no version of a price, since versions differ.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use roundsman::batch::{Sender, Submission, Submitted};
use roundsman::clock::Clock;
use roundsman::commands::Issuer;
use roundsman::error::StoreError;
use roundsman::internal::{Internal as _, ProductPrices};
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{self, NewOrderLine, RecordToImport};
use uuid::Uuid;

use super::dice::Dice;
use super::faults::Fault;
use super::journal::{Checked, Journal, Law, broken};
use super::run::{Settings, run};
use super::server::{Logged, Server, TENANTS};
use crate::database;

/// After so many commands the clock jumps to where it was in the simulation; a batch ends there.
const STRETCH: usize = 24;
/// The most commands of a batch.
const BATCH: usize = 16;

/// A submission of at most one command, and the moment by which it is judged.
struct Entry {
    submission: Submission,
    at_us: i64,
}

impl Entry {
    fn command(&self) -> Option<&Submitted> {
        self.submission.commands.first()
    }
}

/// What one way of batching came to.
#[derive(Debug, Default, PartialEq)]
struct Way {
    /// By entry: what was answered, and the number that was expected instead.
    answers: Vec<(Option<Outcome>, i64)>,
    stored: Stored,
}

type RecordRow = (Uuid, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<Uuid>);

/// What is stored in the end, in the order of ids or of time.
#[derive(Debug, Default, PartialEq)]
struct Stored {
    records: BTreeMap<Uuid, RecordRow>,
    buckets: BTreeMap<(String, i64), (i64, i64)>,
    sequences: Vec<(Uuid, i64, i64)>,
    history: Vec<(Uuid, Uuid)>,
    announced: Vec<(String, Uuid)>,
}

/// Compares both ways for the commands of a seed; returns how many there were.
///
/// # Errors
/// When they differ.
///
/// # Panics
/// When the machine has no place for a small database.
pub fn compare(seed: u64, settings: &Settings) -> Checked<usize> {
    // A history is compared as a whole.
    let without = settings.without.and(Fault::ServerRestored).and(Fault::DeviceRevoked);
    let end = run(seed, &Settings { without, ..*settings });
    if let Some(violation) = end.violation {
        return Err(violation);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut commands = 0;
    for tenant in 0..TENANTS.len() {
        let entries = entries(end.log.iter().filter(|logged| logged.tenant == tenant));
        runtime.block_on(async {
            let alone = one_by_one(seed, tenant, &entries).await?;
            let together = together(seed, tenant, &entries, &alone).await?;
            difference(&entries, &alone, &together)
        })?;
        commands += entries.len();
    }
    Ok(commands)
}

/// The commands of a log, each in a submission of its own, and at moments that leave room.
fn entries<'l>(log: impl Iterator<Item = &'l Logged>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut next_us = 0;
    for Logged { submission, at_us, .. } in log {
        let sender = submission.sender.map(|sender| Sender { position: None, ..sender });
        let single = |commands| Submission { sender, commands, ..submission.clone() };
        let mut singles: Vec<Submission> =
            submission.commands.iter().filter_map(comparable).map(|command| single(vec![command])).collect();
        if submission.commands.is_empty() {
            singles.push(single(Vec::new()));
        }
        for submission in singles {
            if entries.len() % STRETCH == 0 {
                next_us = next_us.max(*at_us);
            }
            entries.push(Entry { submission, at_us: next_us });
            next_us += 2;
        }
    }
    entries
}

/// A command without anything that depends on version numbers; `None`: it is about nothing else.
fn comparable(submitted: &Submitted) -> Option<Submitted> {
    let unseen = |line: &mut NewOrderLine| line.price_version = 0;
    let mut command = trade::Command::decode(submitted.body.clone()).ok()?.command?;
    if let Command::AdvanceHorizon(_) = &command {
        return None;
    }
    // Answers name the version of a survey, and orders those of promotions, so that these stay as they are.
    if let Command::ImportRecords(import) = &command
        && import.records.iter().all(is_named_by_version)
    {
        return None;
    }
    if let Command::SubmitOrder(order) = &mut command {
        order.lines.iter_mut().for_each(unseen);
    } else if let Command::ChangeOrder(order) = &mut command {
        for edit in order.lines.iter_mut().filter_map(|line| line.edit.as_mut()) {
            match edit {
                Edit::Add(line) => unseen(line),
                Edit::Change(change) => change.price_version = 0,
                Edit::Remove(_) => {}
            }
        }
    }
    Some(Submitted { body: trade::Command { command: Some(command) }.encode_to_vec().into(), ..submitted.clone() })
}

fn is_named_by_version(entry: &RecordToImport) -> bool {
    matches!(entry.record, Some(Record::Survey(_) | Record::Promotion(_)))
}

async fn one_by_one(seed: u64, tenant: usize, entries: &[Entry]) -> Checked<Way> {
    let mut server = started(seed).await?;
    let mut answers = Vec::new();
    for entry in entries {
        set(&server.clock, entry.at_us);
        answers.extend(run_batch(&mut server, tenant, std::slice::from_ref(&entry.submission)).await?);
    }
    end(server, answers).await
}

/// In batches of random size, with as many moments between the commands as batches of one take.
async fn together(seed: u64, tenant: usize, entries: &[Entry], alone: &Way) -> Checked<Way> {
    let mut server = started(seed).await?;
    let dice = Dice::new(seed, 2);
    let mut known = BTreeSet::new();
    let mut answers = Vec::new();
    let mut first = 0;
    while first < entries.len() {
        let stretch_ends = (first / STRETCH + 1) * STRETCH;
        // The world comes first, alone: what an order says of a version is that of a commit.
        let size = if first == 0 { 1 } else { dice.size(1, BATCH) };
        let after = (first + size).min(stretch_ends).min(entries.len());
        set(&server.clock, entries[first].at_us);
        let (mut batch, mut places) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate().take(after).skip(first) {
            places.push(batch.len());
            batch.push(entry.submission.clone());
            // What was decided took one moment, what was repeated or refused none.
            let answered = alone.answers[index].0.is_some();
            let decided = entry.command().is_some_and(|command| answered && known.insert(command.id));
            let waits = if decided { 1 } else { 2 };
            if index + 1 < after {
                batch.extend((0..waits).map(|_| pause(&dice)));
            }
        }
        let mut all = run_batch(&mut server, tenant, &batch).await?;
        answers.extend(places.into_iter().map(|place| std::mem::take(&mut all[place])));
        first = after;
    }
    end(server, answers).await
}

/// A submission that takes up a moment and does nothing.
fn pause(dice: &Dice) -> Submission {
    let command = Submitted {
        id: dice.id(),
        seq: 0,
        captured_at_us: 0,
        clock_correction_us: 0,
        business_day: 1,
        body: bytes::Bytes::new(),
    };
    Submission {
        issuer: Issuer::Server,
        sender: None,
        request: String::new(),
        received_at_us: 0,
        released: false,
        commands: vec![command],
    }
}

async fn started(seed: u64) -> Checked<Server> {
    Server::start(seed, database::Kind::Sqlite).await.or_else(|error| broken(Law::NoFault, error.to_string()))
}

fn set(clock: &Clock, at_us: i64) {
    clock.advance(at_us - clock.now_us());
}

async fn run_batch(server: &mut Server, tenant: usize, batch: &[Submission]) -> Checked<Vec<(Option<Outcome>, i64)>> {
    let mut journal = Journal::new(None);
    let Some(answers) = server.run(tenant, batch, &mut journal).await? else {
        return broken(Law::NoFault, "the server fails, and nobody told it to");
    };
    let outcome = |answer: roundsman::batch::Answer| {
        let outcome = answer.results.into_iter().next().and_then(|result| result.outcome);
        (outcome, answer.expected_seq)
    };
    Ok(answers.into_iter().map(outcome).collect())
}

async fn end(server: Server, answers: Vec<(Option<Outcome>, i64)>) -> Checked<Way> {
    let stored = stored(&server).await.or_else(|error| broken(Law::NoFault, error.to_string()))?;
    server.end().await;
    Ok(Way { answers, stored })
}

async fn stored(server: &Server) -> Result<Stored, StoreError> {
    let mut tx = server.db.read().await?;
    let records: Vec<RecordRow> =
        tx.query_as("SELECT id, kind, document, stamps, removed_at, survivor FROM record ORDER BY id").all().await?;
    let buckets: Vec<(String, i64, i64, i64)> =
        tx.query_as("SELECT scope, kind, live_rows, checksum FROM bucket WHERE live_rows > 0").all().await?;
    let sequences =
        tx.query_as("SELECT device, last_seq, confirmed_seq FROM device_sequence ORDER BY device").all().await?;
    let history = tx.query_as("SELECT command, record FROM history ORDER BY version, ordinal").all().await?;
    let announced = tx.query_as("SELECT topic, record FROM outbox ORDER BY version, ordinal").all().await?;
    tx.commit().await?;
    Ok(Stored {
        records: records.into_iter().map(|row| (row.0, without_past(row))).collect(),
        buckets: buckets.into_iter().map(|(scope, kind, rows, sum)| ((scope, kind), (rows, sum))).collect(),
        sequences,
        history,
        announced,
    })
}

/// Of the prices of a product only which they are.
fn without_past(mut row: RecordRow) -> RecordRow {
    if row.1 == ProductPrices::KIND
        && let Ok(prices) = ProductPrices::decode(row.2.as_slice())
    {
        row.2 = prices.ids().flat_map(|id| id.into_bytes()).collect();
    }
    row
}

/// The first difference, told in words.
fn difference(entries: &[Entry], alone: &Way, together: &Way) -> Checked<()> {
    for (index, entry) in entries.iter().enumerate() {
        let (one, other) = (&alone.answers[index], &together.answers[index]);
        if one != other {
            let body = entry.command().and_then(|command| trade::Command::decode(command.body.clone()).ok());
            return broken(Law::Batching, format!("entry {index}, {body:?}: alone {one:?}, in a batch {other:?}"));
        }
    }
    let ids: BTreeSet<&Uuid> = alone.stored.records.keys().chain(together.stored.records.keys()).collect();
    for id in ids {
        let (one, other) = (alone.stored.records.get(id), together.stored.records.get(id));
        if one != other {
            return broken(Law::Batching, format!("record {id}: alone {one:?}, in batches {other:?}"));
        }
    }
    if alone == together { Ok(()) } else { broken(Law::Batching, parts(&alone.stored, &together.stored)) }
}

fn parts(one: &Stored, other: &Stored) -> String {
    let differs = [
        ("buckets", one.buckets != other.buckets),
        ("sequence numbers", one.sequences != other.sequences),
        ("history", one.history != other.history),
        ("announcements", one.announced != other.announced),
    ];
    let names: Vec<&str> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    format!("different: {}", names.join(", "))
}
