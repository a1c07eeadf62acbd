//! What an outbox needs of the place it is kept in: a head and one row for each command, and the same transaction as a
//! replica's storage.

use bytes::Bytes;
use roundsman_proto::sync::Outcome;
use uuid::Uuid;

/// The outbox's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number that the next captured command gets.
    pub next_seq: i64,
    /// The number that the server expects next, as far as the device knows.
    pub expected_seq: i64,
    /// The highest number for which the device has an outcome that still stands.
    pub last_outcome_seq: i64,
    /// The number through which the server has been told that outcomes are stored.
    pub told_seq: i64,
    /// Everything up to this version survives the loss of the server; `None`: no server has ever said such a thing.
    pub durable_version: Option<i64>,
}

impl Default for Head {
    fn default() -> Self {
        Self { next_seq: 1, expected_seq: 1, last_outcome_seq: 0, told_seq: 0, durable_version: None }
    }
}

/// A captured command.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id, which never changes.
    pub command_id: Uuid,
    /// Its number, which changes when the outbox is renumbered.
    pub seq: i64,
    /// What was captured.
    pub body: Bytes,
    /// When, by the device's clock, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
    /// The business date, as days since 1970-01-01.
    pub business_day: i32,
    /// What the server said; `None`: it waits.
    pub answer: Option<Answer>,
}

/// The server's answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The decision, as it came.
    pub outcome: Outcome,
    /// A pull that covers this version shows its effects.
    pub version: i64,
    /// When it came, by the device's clock, in microseconds since the Unix epoch.
    pub answered_at_us: i64,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Replaces the head.
    Head(&'a Head),
    /// Puts the entry of its command id.
    Entry(&'a Entry),
    /// Takes a command away.
    Remove(Uuid),
}

/// Where an outbox is kept; see [`crate::replica::Storage`] for what a transaction promises.
pub trait OutboxStorage {
    /// What may go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads everything, the entries in the order of their numbers.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn load(&self) -> Result<(Head, Vec<Entry>), Self::Error>;
    /// Writes, inside the transaction that it opens if none is open.
    ///
    /// # Errors
    /// When it cannot write; the caller rolls back.
    fn write(&mut self, change: Change<'_>) -> Result<(), Self::Error>;
    /// Makes durable what was written since the last commit.
    ///
    /// # Errors
    /// When it cannot; then nothing of it is there after the storage is opened again.
    fn commit(&mut self) -> Result<(), Self::Error>;
    /// Forgets what was written since the last commit.
    ///
    /// # Errors
    /// When it cannot; then the storage must be opened again.
    fn rollback(&mut self) -> Result<(), Self::Error>;
}
