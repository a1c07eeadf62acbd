//! The commands that a device captured, until nobody can lose them any more.
//!
//! It is the device's half of Push, without the network: [`Outbox::capture`] stores a command, [`Outbox::request`] makes
//! the next batch, [`Outbox::receive`] takes the answer. One push is under way at a time. It is kept apart from the
//! replica: whatever happens to that, a captured command stays.
//!
//! Invariants:
//!
//! - A command has its number, durably, before it is sent; its id never changes.
//! - A batch is a run of consecutive numbers from the first command that waits. Where numbers are missing before it that
//!   the server still expects, the batch says so with a Skip, so that the server's count always comes up to the device's.
//! - An answered command is kept until what it did survives the loss of the server, and at least
//!   [`KEEP_ACKNOWLEDGED_US`]. After a fork it waits again, under its number; its old outcome may belong to a history that
//!   is gone. So it does when the server has used numbers that the device never gave: the device was restored from a
//!   backup, and what it keeps may be what it once told the server to skip. Whatever the server knows keeps its outcome.
//! - Whatever the server decides is an outcome to be kept and shown; no decision stops the commands behind it.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::sync as proto;
use roundsman_proto::sync::{OutboxSummary, Outcome, PushRequest, PushResponse};
use thiserror::Error;
use uuid::Uuid;

use crate::limits::{COMMAND_BYTES, KEEP_ACKNOWLEDGED_US, PUSH_BYTES, PUSH_COMMANDS};
use crate::replica::PROTOCOL_VERSION;
use crate::version::Position;

pub use storage::{Answer, Change, Entry, Head, OutboxStorage};

/// Why the outbox did not do what it was asked. It is as it was before; after [`OutboxError::Storage`] the storage must be
/// opened again.
#[derive(Debug, Error)]
pub enum OutboxError<E: std::error::Error + 'static> {
    /// The storage failed.
    #[error("the outbox's storage failed")]
    Storage(#[source] E),
    /// A command's body is over the limit.
    #[error("a command of {0} bytes is over the limit of {COMMAND_BYTES}")]
    TooLarge(usize),
    /// The id was used for another command.
    #[error("command {0} was captured before with another body")]
    Known(Uuid),
    /// A result lacks its command's id or its outcome.
    #[error("a result must carry a command's id and its outcome")]
    Result,
    /// Sequence numbers begin with 1.
    #[error("{0} is not a sequence number")]
    Sequence(i64),
}

/// The kind of a command by its body: the number of its field in `roundsman.trade.v1.Command`, whether this program knows it
/// or not. 0: the body has no field.
#[must_use]
pub fn command_number(body: &[u8]) -> u32 {
    prost::encoding::decode_key(&mut &*body).map_or(0, |(number, _)| number)
}

/// A device's outbox.
#[derive(Debug)]
pub struct Outbox<S: OutboxStorage> {
    storage: S,
    head: Head,
    /// In the order of their numbers.
    entries: Vec<Arc<Entry>>,
    /// A pull has told of a fork since the last answer: what waits again may not have been sent with the push under way.
    asked_again: bool,
}

/// What is about to be stored. It becomes the outbox's state once it is.
struct Next {
    head: Head,
    /// Place by place what becomes of the outbox's entries; `None`: it is taken away.
    entries: Vec<Option<Arc<Entry>>>,
}

impl<S: OutboxStorage> Outbox<S> {
    /// Opens what the storage holds as of its last commit.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn open(mut storage: S) -> Result<Self, S::Error> {
        storage.rollback()?;
        let (head, entries) = storage.load()?;
        Ok(Self { storage, head, entries: entries.into_iter().map(Arc::new).collect(), asked_again: false })
    }

    /// Stores a command and gives it its number. Capturing the same command again changes nothing.
    ///
    /// # Errors
    /// When it is too large, its id is that of another command, or the storage fails.
    pub fn capture(
        &mut self,
        command_id: Uuid,
        body: Bytes,
        captured_at_us: i64,
        business_day: i32,
    ) -> Result<i64, OutboxError<S::Error>> {
        if body.len() > COMMAND_BYTES {
            return Err(OutboxError::TooLarge(body.len()));
        }
        if let Some(known) = self.entries.iter().find(|entry| entry.command_id == command_id) {
            return if known.body == body { Ok(known.seq) } else { Err(OutboxError::Known(command_id)) };
        }
        let seq = self.head.next_seq;
        let head = Head { next_seq: seq + 1, ..self.head };
        let entry = Entry { command_id, seq, body, captured_at_us, business_day, answer: None };
        let written = self.storage.write(Change::Entry(&entry)).and_then(|()| self.storage.write(Change::Head(&head)));
        self.settle(written)?;
        self.head = head;
        self.entries.push(Arc::new(entry));
        Ok(seq)
    }

    /// The next push; `None` when nothing waits and nothing is to be confirmed.
    #[must_use]
    pub fn request(&self, app_version: &str, device_clock_us: i64, position: Option<Position>) -> Option<PushRequest> {
        let commands = self.batch();
        let skip = self.skip();
        if commands.is_empty() && skip.is_none() && self.head.told_seq >= self.confirmed_seq() {
            return None;
        }
        Some(PushRequest {
            protocol_version: PROTOCOL_VERSION,
            app_version: app_version.to_owned(),
            device_clock_us,
            commands,
            confirmed_seq: self.confirmed_seq(),
            last_outcome_seq: self.head.last_outcome_seq,
            position: position.map(Into::into),
            outbox: Some(self.summary()),
            skip,
        })
    }

    /// Takes the answer to the last request; gives the outcomes that are new. Answered commands that nobody can lose any
    /// more are taken away.
    ///
    /// # Errors
    /// When the answer is malformed or the storage fails; nothing of it was taken then.
    pub fn receive(
        &mut self,
        response: PushResponse,
        now_us: i64,
    ) -> Result<Vec<(Uuid, Outcome)>, OutboxError<S::Error>> {
        let expected_seq = sequence(response.expected_seq)?;
        let mut next = self.next();
        next.head.told_seq = self.confirmed_seq();
        if self.skip().is_some() && !response.fork && expected_seq.is_none() {
            next.head.expected_seq = self.first_waiting();
        }
        // Which number a fork expects was found before the commands were decided.
        if response.fork {
            next.fork(expected_seq);
        } else {
            next.believe(response.durable_version);
        }
        let new = next.answer(response.results, response.version, now_us)?;
        let ask_again = match expected_seq {
            // What waits is below: its numbers are taken. So is this one, if it was answered just now.
            Some(seq)
                if response.fork && !self.asked_again && seq > next.first_waiting().max(next.head.last_outcome_seq) =>
            {
                next.renumber(seq);
                true
            }
            // A fork that is told once more has nothing new to say.
            Some(seq) if response.fork => seq <= self.head.last_outcome_seq,
            Some(seq) if seq > next.head.last_outcome_seq => {
                let taken = seq > next.first_waiting();
                next.renumber(seq);
                taken
            }
            Some(_) => {
                next.fork(expected_seq);
                true
            }
            None => false,
        };
        if ask_again {
            next.ask_again(&self.entries);
        }
        if !response.fork {
            next.retire(now_us);
        }
        self.adopt(next)?;
        self.asked_again = false;
        Ok(new)
    }

    /// The server lost a part of the history and expects this number next: answered commands wait again.
    ///
    /// # Errors
    /// When the storage fails, or this is not a sequence number.
    pub fn fork(&mut self, expected_seq: i64) -> Result<(), OutboxError<S::Error>> {
        let mut next = self.next();
        let expected_seq = sequence(expected_seq)?;
        next.fork(expected_seq);
        if expected_seq.is_some() {
            next.ask_again(&self.entries);
        }
        let asks_again = self.entries.iter().any(|entry| entry.answer.is_some()) && expected_seq.is_some();
        self.adopt(next)?;
        self.asked_again |= asks_again;
        Ok(())
    }

    /// Takes everything away, as in an outbox that was never used.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn erase(&mut self) -> Result<(), OutboxError<S::Error>> {
        self.adopt(Next { head: Head::default(), entries: vec![None; self.entries.len()] })?;
        self.asked_again = false;
        Ok(())
    }

    /// What waits, as it is reported at every contact.
    #[must_use]
    pub fn summary(&self) -> OutboxSummary {
        let oldest = self.waiting_entries().map(|entry| entry.captured_at_us).min();
        let mut kinds = BTreeMap::<u32, u32>::new();
        for entry in self.waiting_entries() {
            *kinds.entry(command_number(&entry.body)).or_default() += 1;
        }
        OutboxSummary {
            commands: u32::try_from(self.waiting()).unwrap_or(u32::MAX),
            oldest_captured_at_us: oldest.unwrap_or(0),
            kinds: kinds.into_iter().map(|(command, count)| proto::WaitingCommands { command, count }).collect(),
        }
    }

    /// The highest sequence number for which there is an outcome; 0: none.
    #[must_use]
    pub fn last_outcome_seq(&self) -> i64 {
        self.head.last_outcome_seq
    }

    /// The outcomes of the commands that are kept, in the order of capture.
    pub fn outcomes(&self) -> impl Iterator<Item = (Uuid, &Outcome)> {
        self.entries.iter().filter_map(|entry| Some((entry.command_id, &entry.answer.as_ref()?.outcome)))
    }

    /// The commands that are kept, in the order of capture: id, body, and, once answered, the version that a pull must
    /// cover to show what came of it.
    pub fn pending(&self) -> impl Iterator<Item = (Uuid, &Bytes, Option<i64>)> {
        let version = |entry: &Entry| entry.answer.as_ref().map(|answer| answer.version);
        self.entries.iter().map(move |entry| (entry.command_id, &entry.body, version(entry)))
    }

    /// How many commands wait for an outcome.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting_entries().count()
    }

    /// Gives the storage back.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.storage
    }

    fn next(&self) -> Next {
        Next { head: self.head, entries: self.entries.iter().cloned().map(Some).collect() }
    }

    fn waiting_entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().filter(|entry| entry.answer.is_none())
    }

    /// The first number that waits, or the next one to be given.
    fn first_waiting(&self) -> i64 {
        self.waiting_entries().next().map_or(self.head.next_seq, |entry| entry.seq)
    }

    fn confirmed_seq(&self) -> i64 {
        self.head.last_outcome_seq.min(self.first_waiting() - 1)
    }

    /// The numbers that the server expects and whose commands the device doesn't have.
    fn skip(&self) -> Option<proto::Skip> {
        let (from_seq, to_seq) = (self.head.expected_seq, self.first_waiting() - 1);
        (from_seq <= to_seq).then_some(proto::Skip { from_seq, to_seq })
    }

    fn batch(&self) -> Vec<proto::Command> {
        let (mut seq, mut bytes) = (self.first_waiting(), 0);
        let mut commands = Vec::new();
        for entry in self.waiting_entries().take(PUSH_COMMANDS) {
            let command = wire(entry);
            bytes += command.encoded_len();
            if entry.seq != seq || (bytes > PUSH_BYTES && !commands.is_empty()) {
                break;
            }
            commands.push(command);
            seq += 1;
        }
        commands
    }

    /// Writes what differs, and then makes it the outbox's state.
    fn adopt(&mut self, next: Next) -> Result<(), OutboxError<S::Error>> {
        let written = self.write(&next);
        self.settle(written)?;
        self.head = next.head;
        self.entries = next.entries.into_iter().flatten().collect();
        self.entries.sort_by_key(|entry| entry.seq);
        Ok(())
    }

    fn write(&mut self, next: &Next) -> Result<(), S::Error> {
        if next.head != self.head {
            self.storage.write(Change::Head(&next.head))?;
        }
        for (entry, next) in self.entries.iter().zip(&next.entries) {
            match next {
                None => self.storage.write(Change::Remove(entry.command_id))?,
                Some(next) if !Arc::ptr_eq(entry, next) => self.storage.write(Change::Entry(next))?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn settle(&mut self, written: Result<(), S::Error>) -> Result<(), OutboxError<S::Error>> {
        written.and_then(|()| self.storage.commit()).or_else(|error| {
            self.storage.rollback().map_err(OutboxError::Storage)?;
            Err(OutboxError::Storage(error))
        })
    }
}

fn wire(entry: &Entry) -> proto::Command {
    proto::Command {
        command_id: entry.command_id.as_bytes().to_vec(),
        seq: entry.seq,
        captured_at_us: entry.captured_at_us,
        business_day: entry.business_day,
        body: entry.body.clone(),
    }
}

/// A sequence number from outside; 0 says that there is none.
fn sequence<E: std::error::Error>(seq: i64) -> Result<Option<i64>, OutboxError<E>> {
    // Far above what is ever reached, far below what cannot be counted on from.
    if (0..=i64::MAX / 2).contains(&seq) {
        Ok(Some(seq).filter(|seq| *seq > 0))
    } else {
        Err(OutboxError::Sequence(seq))
    }
}

impl Next {
    /// Notes the outcomes. A result under another number than the command has now answers an older request; the command
    /// is sent again and answered again.
    fn answer<E: std::error::Error>(
        &mut self,
        results: Vec<proto::CommandResult>,
        version: i64,
        now_us: i64,
    ) -> Result<Vec<(Uuid, Outcome)>, OutboxError<E>> {
        let mut new = Vec::new();
        for result in results {
            let command_id = Uuid::from_slice(&result.command_id).map_err(|_| OutboxError::Result)?;
            let outcome = result.outcome.ok_or(OutboxError::Result)?;
            let seq_of = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| entry.seq);
            let place = self.entries.binary_search_by_key(&Some(result.seq), seq_of).ok();
            let entry = place.and_then(|place| self.entries[place].as_mut());
            let waits = |entry: &&mut Arc<Entry>| entry.command_id == command_id && entry.answer.is_none();
            let Some(entry) = entry.filter(waits).map(Arc::make_mut) else {
                continue;
            };
            self.head.last_outcome_seq = self.head.last_outcome_seq.max(entry.seq);
            self.head.expected_seq = self.head.expected_seq.max(entry.seq + 1);
            entry.answer = Some(Answer { outcome: outcome.clone(), version, answered_at_us: now_us });
            new.push((command_id, outcome));
        }
        Ok(new)
    }

    /// The first number that waits, or the next one to be given.
    fn first_waiting(&self) -> i64 {
        let mut waiting = self.entries.iter().flatten().filter(|entry| entry.answer.is_none());
        waiting.next().map_or(self.head.next_seq, |entry| entry.seq)
    }

    /// Numbers what waits from there. What was answered behind it is asked for again, so that the order of capture stays.
    fn renumber(&mut self, expected_seq: i64) {
        let (first, mut seq) = (self.first_waiting(), expected_seq);
        for entry in self.entries.iter_mut().flatten().filter(|entry| entry.seq >= first) {
            if entry.seq != seq || entry.answer.is_some() {
                let entry = Arc::make_mut(entry);
                (entry.seq, entry.answer) = (seq, None);
            }
            seq += 1;
        }
        (self.head.expected_seq, self.head.next_seq) = (expected_seq, seq);
    }

    /// What was answered from there on waits again. What waits below was taken, its answer lost: it is sent again as it is.
    fn fork(&mut self, expected_seq: Option<i64>) {
        // What was durable was a part of the history that is gone.
        self.head.durable_version = self.head.durable_version.map(|_| 0);
        let Some(expected_seq) = expected_seq else { return };
        self.head.expected_seq = expected_seq;
        self.head.last_outcome_seq = self.head.last_outcome_seq.min(expected_seq - 1);
        let lost = |entry: &&mut Arc<Entry>| entry.answer.is_some() && entry.seq >= expected_seq;
        for entry in self.entries.iter_mut().flatten().filter(lost) {
            Arc::make_mut(entry).answer = None;
        }
    }

    /// What was answered before waits again, under its number: the server may have been told to skip it.
    fn ask_again(&mut self, before: &[Arc<Entry>]) {
        for (entry, before) in self.entries.iter_mut().zip(before) {
            if let Some(entry) = entry.as_mut().filter(|entry| before.answer.is_some() && entry.answer.is_some()) {
                Arc::make_mut(entry).answer = None;
            }
        }
    }

    fn believe(&mut self, durable_version: i64) {
        if durable_version > 0 {
            self.head.durable_version = self.head.durable_version.max(Some(durable_version));
        }
    }

    /// Takes away what nobody can lose any more. Where nothing was ever durable, time alone decides. What was answered at
    /// the durable version itself may have been rejected after the backup that holds this version.
    fn retire(&mut self, now_us: i64) {
        let durable = self.head.durable_version;
        for place in &mut self.entries {
            let answer = place.as_ref().and_then(|entry| entry.answer.as_ref());
            let old = answer.filter(|answer| now_us.saturating_sub(answer.answered_at_us) >= KEEP_ACKNOWLEDGED_US);
            if old.is_some_and(|answer| durable.is_none_or(|durable| answer.version < durable)) {
                *place = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
