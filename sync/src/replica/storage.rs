//! What a replica needs of the place it is kept in.
//!
//! A storage is five tables and one transaction. It knows nothing of the protocol: which membership wins, when a document
//! goes, what a checkpoint covers is decided once, above it. Its promises are these:
//!
//! - The first [`Storage::write`] after a commit opens a transaction; reads see what it wrote.
//! - [`Storage::commit`] makes all of it durable or nothing. A storage that was abandoned in between (an error, a kill)
//!   and is opened again shows the state of the last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use roundsman_proto::sync as proto;
use uuid::Uuid;

use crate::checksum::Checksum;
use crate::page::Cursor;
use crate::version::Position;

/// The device's own number of a bucket. The server's number may change; this one is the key of what is stored, so that
/// renumbering costs one small row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// What a device knows about the whole of its replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The position of the last checkpoint.
    pub position: Option<Position>,
    /// The digest that came with it.
    pub scope_digest: u64,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing of it was applied yet.
    Nothing,
    /// At the replica's position, so that a checkpoint that changes nothing of a bucket need not write it.
    Head,
    /// At a position of its own.
    Behind(Position),
    /// What it holds is wrong, or not to be trusted: it is shown, and replaced by whatever comes next.
    Damaged,
}

/// A bucket: all records of one kind in one scope. Scope and kind identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The server's number, as of the last checkpoint: numbers belong to the history that its position belongs to.
    pub id: i64,
    /// The scope, opaque to the device.
    pub scope: Arc<str>,
    /// The kind of its records, which this program need not know.
    pub kind: u32,
    /// The group whose checkpoint covers it.
    pub group: u32,
    /// Where it is.
    pub at: At,
    /// The number of its memberships.
    pub rows: i64,
    /// The sum over its memberships.
    pub checksum: Checksum,
    /// What came and waits for a checkpoint.
    pub staging: Option<Staging>,
}

impl Bucket {
    /// Where it is, in a replica that is at `head`; `None`: nowhere that could be gone on from.
    #[must_use]
    pub fn position(&self, head: Option<Position>) -> Option<Position> {
        match self.at {
            At::Head => head,
            At::Behind(position) => Some(position),
            At::Nothing | At::Damaged => None,
        }
    }
}

/// The pages of a bucket that wait for a checkpoint. They outlive the stream, and the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staging {
    /// The number under which they came: a plan may give the bucket another one before the next checkpoint stores it.
    pub bucket_id: i64,
    /// How many pages, numbered from 0.
    pub pages: u32,
    /// The last staged row.
    pub cursor: Cursor,
    /// The oldest build of a staged page.
    pub oldest: Position,
    /// The newest build of a staged page.
    pub newest: Position,
    /// They begin at the bucket's first row and replace it.
    pub replace: bool,
}

/// A record's membership in a bucket: what its last frame there said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The frame's version.
    pub version: i64,
    /// The hash of record and document.
    pub hash: u64,
}

/// A record as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its kind.
    pub kind: u32,
    /// The version of the frame that it came with.
    pub version: i64,
    /// Its bytes, as they came.
    pub bytes: Bytes,
}

/// What is needed of a document to decide whether a frame replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The document's version.
    pub version: i64,
    /// How many buckets hold the record.
    pub holders: u32,
}

/// All that a replica keeps in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The whole.
    pub head: Head,
    /// The buckets.
    pub buckets: BTreeMap<Slot, Bucket>,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Replaces the head.
    Head(&'a Head),
    /// Puts a bucket's row, or takes it away; its pages and memberships are taken away by changes of their own.
    Bucket(Slot, Option<&'a Bucket>),
    /// Stages a page under the next number, from 0; with its payload, unpacked.
    Page(Slot, u32, &'a proto::Page, &'a Bytes),
    /// Takes all staged pages of a bucket away.
    Unstage(Slot),
    /// Puts a membership, or takes it away.
    Member(Slot, Uuid, Option<Member>),
    /// Puts a document that so many buckets hold.
    Document(Uuid, &'a Document, u32),
    /// Sets how many buckets hold a document; at 0 it goes.
    Holders(Uuid, u32),
    /// Sets the version of every membership and document to 0.
    Forget,
    /// Takes everything away: head, buckets, pages, memberships and documents.
    Erase,
}

/// Where a replica is kept. See the module for what it promises.
pub trait Storage {
    /// What may go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads head and buckets.
    ///
    /// # Errors
    /// When the storage cannot be read; so for all that follow.
    fn load(&self) -> Result<State, Self::Error>;
    /// Reads a staged page.
    ///
    /// # Errors
    /// See [`Storage::load`].
    fn page(&self, slot: Slot, number: u32) -> Result<Option<proto::Page>, Self::Error>;
    /// Reads all memberships of a bucket, in any order.
    ///
    /// # Errors
    /// See [`Storage::load`].
    fn members(&self, slot: Slot) -> Result<Vec<(Uuid, Member)>, Self::Error>;
    /// Reads a record's membership in a bucket, and what is held of its document.
    ///
    /// # Errors
    /// See [`Storage::load`].
    fn look(&self, slot: Slot, record: Uuid) -> Result<(Option<Member>, Option<Holding>), Self::Error>;
    /// Reads a document.
    ///
    /// # Errors
    /// See [`Storage::load`].
    fn document(&self, record: Uuid) -> Result<Option<Document>, Self::Error>;
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
