//! The device's copy of the buckets that its user holds, kept by what a pull says.
//!
//! It is the device's half of Pull, without the network: [`Replica::request`] says where the device is,
//! [`Replica::receive`] takes one message of the stream, [`Replica::cut`] notes that the stream ended. What is shown
//! changes only at a checkpoint, in one transaction of the [`Storage`]; pages wait beside it until then.
//!
//! Invariants:
//!
//! - A record is shown while some bucket has a **membership** of it; its **document** is that of the highest version that
//!   any bucket brought. So buckets may overlap, lag behind one another, and records may move between them in any order.
//! - A bucket's rows and checksum are sums over its memberships, kept with each change: nothing scans a bucket, except
//!   what replaces, drops or lists it.
//! - A bucket that is [`At::Nothing`] or [`At::Damaged`] has no position. Whatever comes for it begins at its first row and
//!   replaces what is held, whether the plan says RESET or APPEND.
//! - Staged rows are applied only if a plan *of this pull* names their bucket, and thrown away by the last checkpoint
//!   otherwise: what the server no longer grants or counts on must not appear.
//! - What is staged belongs to one beginning (its **base**: the bucket's position, or its first row). A plan that doesn't
//!   resume it, or that begins elsewhere, discards it.
//! - A document may outlive the membership that it came with. Then the buckets that hold another one of the record are
//!   [`At::Damaged`], as soon as they are at the checkpoint; and a bucket that still lags when the versions held are forgotten
//!   is, since the newer documents of others may belong to a lost history.
//! - Rows before the cursor, in a page that begins earlier, change nothing: a page ends at or before the version at which it
//!   was built, so such a row is one that is held, or news of it is still to come.

mod checkpoint;
pub mod fault;
pub mod memory;
mod plan;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use bytes::Bytes;
use roundsman_proto::sync as proto;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{OutboxSummary, PullRequest, PullResponse};
use thiserror::Error;
use uuid::Uuid;

use crate::checksum::{Checksum, PartialSums, Partitions, row_hash};
use crate::limits::REPAIR_ROWS;
use crate::page::{self, Cursor, PageError};
use crate::version::Position;

pub use storage::{At, Bucket, Change, Document, Head, Holding, Member, Slot, Staging, State, Storage};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a device wants of a pull, and what it reports on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Want {
    /// The kinds that the app understands; empty: all.
    pub kinds: Vec<u32>,
    /// Keep the stream open.
    pub follow: bool,
    /// A version that must be covered; 0: none.
    pub at_least: i64,
    /// Only today's work.
    pub today_only: bool,
    /// The app's own version.
    pub app_version: String,
    /// The device's clock, in microseconds since the Unix epoch.
    pub device_clock_us: i64,
    /// The highest sequence number for which the outbox has an outcome.
    pub last_outcome_seq: i64,
    /// What waits in the outbox.
    pub outbox: Option<OutboxSummary>,
}

/// What a replica holds: (scope, kind) → record → document.
pub type Content = BTreeMap<(String, u32), BTreeMap<Uuid, Bytes>>;

/// What a message of the stream meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server lost a part of the history: tell the outbox.
    Fork {
        /// The sequence number that the server expects next.
        expected_seq: i64,
    },
    /// The server needs the inventory: the next request carries it.
    InventoryWanted,
    /// A plan came.
    Planned {
        /// The rows that it announces, at most.
        rows: i64,
        /// Their bytes, at most.
        bytes: i64,
    },
    /// A page was staged.
    Staged {
        /// Its rows; 0: it brought nothing new.
        rows: u32,
        /// Its bytes before compression.
        bytes: usize,
    },
    /// A checkpoint was applied.
    Checkpoint {
        /// The group that is complete.
        group: u32,
        /// Everything wanted has come.
        last: bool,
        /// Where the covered buckets are now.
        position: Position,
        /// How many memberships changed.
        changed: usize,
        /// The buckets whose sum or document is wrong. The next pull mends them: end this one.
        damaged: Vec<(String, u32)>,
    },
    /// Nothing changed, or a message that this program doesn't know.
    Alive {
        /// Up to where nothing changed.
        position: Option<Position>,
    },
}

/// Why a message was not taken. It changed nothing; the pull is over. After [`ReplicaError::Storage`] and
/// [`ReplicaError::Lost`] the storage must be opened again.
#[derive(Debug, Error)]
pub enum ReplicaError<E: Error + 'static> {
    /// The storage failed.
    #[error("the replica's storage failed")]
    Storage(#[source] E),
    /// A staged page is not there, or not as it was staged.
    #[error("a staged page of bucket {0} was lost")]
    Lost(i64),
    /// A page is malformed.
    #[error("a page of bucket {bucket_id} is malformed")]
    Page {
        /// The bucket.
        bucket_id: i64,
        /// What is wrong.
        source: PageError,
    },
    /// A page begins after the device's cursor.
    #[error("a page of bucket {bucket_id} begins after {from:?}, the device is at {cursor:?}")]
    Gap {
        /// The bucket.
        bucket_id: i64,
        /// Where the page begins.
        from: Cursor,
        /// Where it had to begin at the latest.
        cursor: Cursor,
    },
    /// A bucket number that the device doesn't hold and that comes without its scope.
    #[error("bucket {0} is not held, and its scope is not named")]
    Unknown(i64),
    /// A page for a bucket that no plan of this pull named, or that is to go, or a sum of one that the checkpoint doesn't
    /// cover.
    #[error("no plan of this pull covers bucket {0}")]
    NotPlanned(i64),
    /// A plan gives one number to two buckets.
    #[error("the plan gives the number {0} to two buckets")]
    Number(i64),
    /// A plan's entry has a scope without a kind.
    #[error("the plan names bucket {0} without a kind")]
    Kind(i64),
    /// A plan's entry repairs partitions that it doesn't name.
    #[error("the plan repairs bucket {0} and does not say where")]
    Partitions(i64),
    /// A plan's entry has an action that this program doesn't know.
    #[error("the plan has an unknown action, {0}")]
    Action(i32),
    /// A checkpoint without a position.
    #[error("a checkpoint must carry its position")]
    NoPosition,
    /// A checkpoint before the device's position, without a fork.
    #[error("the checkpoint at version {offered} is before the device's, {held}")]
    WentBack {
        /// The device's version.
        held: i64,
        /// The checkpoint's.
        offered: i64,
    },
}

/// Before a bucket's first row: versions begin with 1.
const START: Cursor = Cursor { version: 1, record: None };

/// What the plans of this pull said about a bucket.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// The server's number, stored with the next checkpoint.
    id: i64,
    group: u32,
    /// Where its pages begin at the latest, when nothing is staged.
    base: Cursor,
    /// What comes replaces what is held.
    replace: bool,
    /// What comes replaces what is held in these partitions.
    repair: Option<Partitions>,
    /// It goes at the next checkpoint.
    drop: bool,
}

/// What is known only while the stream lasts.
#[derive(Clone, Debug, Default)]
struct Flight {
    courses: BTreeMap<Slot, Course>,
    /// The buckets by the server's numbers, as of the last plan.
    numbers: BTreeMap<i64, Slot>,
    /// Buckets that only a plan knows so far: nothing of them is stored, and a cut forgets them.
    fresh: BTreeSet<Slot>,
    /// Held versions count as 0 from the next checkpoint on.
    fork: bool,
    /// Records that have lost a membership and kept others, since the last checkpoint that was the last of its round.
    released: BTreeSet<Uuid>,
    /// Something came since the last checkpoint that was the last of its round.
    open: bool,
}

/// A device's replica.
#[derive(Debug)]
pub struct Replica<S: Storage> {
    storage: S,
    state: State,
    flight: Flight,
    inventory: bool,
    repair_rows: i64,
}

impl<S: Storage> Replica<S> {
    /// Opens what the storage holds as of its last commit.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn open(mut storage: S) -> Result<Self, S::Error> {
        storage.rollback()?;
        let state = storage.load()?;
        Ok(Self { storage, state, flight: Flight::default(), inventory: false, repair_rows: REPAIR_ROWS })
    }

    /// Mends damaged buckets from so many rows on by the sums of their partitions, instead of from
    /// [`REPAIR_ROWS`] on.
    #[must_use]
    pub fn with_repair_rows(self, repair_rows: i64) -> Self {
        Self { repair_rows, ..self }
    }

    /// What to send to begin a pull. The inventory goes along if the server asked for it. What is damaged, or may have to
    /// come anew, and is large goes with the sums of its partitions, for which all of it is read.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn request(&self, want: &Want) -> Result<PullRequest, S::Error> {
        let mut lagging: Vec<proto::LaggingBucket> = Vec::new();
        let mut inventory: Vec<proto::HeldBucket> = Vec::new();
        for (slot, bucket) in &self.state.buckets {
            if let Some(lags) = self::lagging(bucket) {
                let partial_sums = self.partial_sums(*slot, bucket, bucket.at == At::Damaged && !self.inventory)?;
                lagging.push(proto::LaggingBucket { partial_sums, ..lags });
            }
            if let Some(held) = held(bucket).filter(|_| self.inventory) {
                let partial_sums = self.partial_sums(*slot, bucket, true)?;
                inventory.push(proto::HeldBucket { partial_sums, ..held });
            }
        }
        let urgency = if want.today_only { proto::Urgency::Today } else { proto::Urgency::All };
        Ok(PullRequest {
            protocol_version: PROTOCOL_VERSION,
            app_version: want.app_version.clone(),
            device_clock_us: want.device_clock_us,
            kinds: want.kinds.clone(),
            position: self.position().map(Into::into),
            scope_digest: self.state.head.scope_digest,
            lagging,
            staging: self.buckets().filter_map(staging).collect(),
            last_outcome_seq: want.last_outcome_seq,
            outbox: want.outbox.clone(),
            follow: want.follow,
            at_least: want.at_least,
            urgency: urgency.into(),
            inventory,
            has_inventory: self.inventory,
        })
    }

    /// The sums of a large bucket's partitions, from the documents that are there.
    fn partial_sums(&self, slot: Slot, bucket: &Bucket, wanted: bool) -> Result<Vec<u64>, S::Error> {
        if !wanted || bucket.rows < self.repair_rows {
            return Ok(Vec::new());
        }
        let mut sums = PartialSums::default();
        for (record, _) in self.storage.members(slot)? {
            if let Some(hash) = shown_hash(&self.storage, record)? {
                sums.add(record, hash);
            }
        }
        Ok(sums.to_wire())
    }

    /// Looks for what has changed by itself, in whole buckets, from one that `seed` chooses on, until so many rows are
    /// checked; marks what is wrong as damaged, so that the next pull mends it. Says which buckets those are.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn scrub(&mut self, seed: u64, rows: i64) -> Result<Vec<(String, u32)>, ReplicaError<S::Error>> {
        let slots: Vec<Slot> = self.state.buckets.keys().copied().collect();
        let start = usize::try_from(seed % slots.len().max(1) as u64).unwrap_or(0);
        let mut state = self.state.clone();
        let (mut left, mut damaged) = (rows, Vec::new());
        for slot in slots[start..].iter().chain(&slots[..start]) {
            let Some(bucket) = state.buckets.get_mut(slot).filter(|_| left > 0) else { continue };
            left -= bucket.rows;
            let trusted = matches!(bucket.at, At::Head | At::Behind(_));
            if trusted && !self.is_sound(*slot, bucket).map_err(ReplicaError::Storage)? {
                bucket.at = At::Damaged;
                damaged.push((bucket.scope.to_string(), bucket.kind));
            }
        }
        let fresh = self.flight.fresh.clone();
        let written = self.save(&state, &fresh);
        self.settle(written)?;
        self.state = state;
        Ok(damaged)
    }

    /// Whether a bucket's documents are those of its memberships, and these add up to what it says.
    fn is_sound(&self, slot: Slot, bucket: &Bucket) -> Result<bool, S::Error> {
        let (mut count, mut sum) = (0, Checksum::default());
        for (record, member) in self.storage.members(slot)? {
            let Some(document) = self.storage.document(record)? else { return Ok(false) };
            // Only what lags may be shown as another bucket has it.
            let own = bucket.at == At::Head || document.version == member.version;
            if own && row_hash(record, &document.bytes) != member.hash {
                return Ok(false);
            }
            count += 1;
            sum.add(member.hash);
        }
        Ok((count, sum) == (bucket.rows, bucket.checksum))
    }

    /// Takes one message of the stream.
    ///
    /// # Errors
    /// When it is malformed or the storage failed; it changed nothing then, and the pull is [cut](Self::cut).
    pub fn receive(&mut self, response: PullResponse) -> Result<Event, ReplicaError<S::Error>> {
        let event = match response.message {
            Some(Message::Fork(fork)) => Ok(Event::Fork { expected_seq: fork.expected_seq }),
            Some(Message::InventoryRequest(_)) => {
                self.inventory = true;
                Ok(Event::InventoryWanted)
            }
            Some(Message::Plan(plan)) => self.plan(&plan),
            Some(Message::Page(page)) => self.stage(&page),
            Some(Message::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint),
            Some(Message::KeepAlive(alive)) => self.keep_alive(alive.position.map(Into::into)),
            None => Ok(Event::Alive { position: None }),
        };
        event.inspect_err(|_| self.cut())
    }

    /// The stream ended, for whatever reason: its plans are forgotten, what was staged stays.
    pub fn cut(&mut self) {
        for slot in &self.flight.fresh {
            self.state.buckets.remove(slot);
        }
        self.flight = Flight::default();
    }

    /// The position of the last checkpoint.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.state.head.position
    }

    /// Whether every bucket, also one that is only planned, is at this version or later.
    #[must_use]
    pub fn covers(&self, version: i64) -> bool {
        let reached = |position: Option<Position>| position.is_some_and(|position| position.version >= version);
        reached(self.position()) && self.buckets().all(|bucket| reached(bucket.position(self.position())))
    }

    /// The buckets, with what they hold and where they are.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.state.buckets.values()
    }

    /// A record's document, if some bucket holds the record.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn document(&self, record: Uuid) -> Result<Option<Document>, S::Error> {
        self.storage.document(record)
    }

    /// All records in buckets of a kind, in the order of their ids.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn records(&self, kind: u32) -> Result<Vec<(Uuid, Document)>, S::Error> {
        let mut records = BTreeSet::new();
        for (slot, _) in self.state.buckets.iter().filter(|(_, bucket)| bucket.kind == kind) {
            records.extend(self.storage.members(*slot)?.into_iter().map(|(record, _)| record));
        }
        let documents =
            records.into_iter().map(|record| Ok(self.storage.document(record)?.map(|found| (record, found))));
        documents.filter_map(Result::transpose).collect()
    }

    /// Everything held; buckets without a record are left out. While buckets lag behind
    /// one another, a document that is newer through another bucket stands for the older one.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn content(&self) -> Result<Content, S::Error> {
        let mut content = Content::new();
        for (slot, bucket) in &self.state.buckets {
            let mut records = BTreeMap::new();
            for (record, _) in self.storage.members(*slot)? {
                if let Some(document) = self.storage.document(record)? {
                    records.insert(record, document.bytes);
                }
            }
            if !records.is_empty() {
                content.insert((bucket.scope.to_string(), bucket.kind), records);
            }
        }
        Ok(content)
    }

    /// Takes everything away, as in a replica that was never used.
    ///
    /// # Errors
    /// When the storage fails; the replica is as it was then.
    pub fn erase(&mut self) -> Result<(), ReplicaError<S::Error>> {
        let erased = self.storage.write(Change::Erase).and_then(|()| self.storage.commit());
        if let Err(error) = erased {
            self.storage.rollback().map_err(ReplicaError::Storage)?;
            return Err(ReplicaError::Storage(error));
        }
        (self.state, self.flight, self.inventory) = (State::default(), Flight::default(), false);
        Ok(())
    }

    /// Gives the storage back.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// The planned bucket under this number.
    fn slot_of(&self, bucket_id: i64) -> Option<(Slot, Course)> {
        let slot = self.flight.numbers.get(&bucket_id)?;
        Some((*slot, *self.flight.courses.get(slot)?))
    }

    fn stage(&mut self, page: &proto::Page) -> Result<Event, ReplicaError<S::Error>> {
        let bucket_id = page.bucket_id;
        let comes = self.slot_of(bucket_id).filter(|(_, course)| !course.drop);
        let (slot, course) = comes.ok_or(ReplicaError::NotPlanned(bucket_id))?;
        let malformed = |source| ReplicaError::Page { bucket_id, source };
        let range = Range::of(page).map_err(malformed)?;
        let payload = page::check(page).map_err(malformed)?;
        let staged = self.state.buckets[&slot].staging;
        let cursor = staged.map_or(course.base, |staging| staging.cursor);
        if range.from > cursor {
            return Err(ReplicaError::Gap { bucket_id, from: range.from, cursor });
        }
        self.flight.open = true;
        if range.through <= cursor {
            return Ok(Event::Staged { rows: 0, bytes: 0 });
        }
        let staging = next_staging(staged, &range, &course);
        let bucket = Bucket { staging: Some(staging), ..self.state.buckets[&slot].clone() };
        let page_change = Change::Page(slot, staging.pages - 1, page, &payload);
        let written =
            self.storage.write(page_change).and_then(|()| self.storage.write(Change::Bucket(slot, Some(&bucket))));
        self.settle(written.map_err(ReplicaError::Storage))?;
        self.state.buckets.insert(slot, bucket);
        self.flight.fresh.remove(&slot);
        Ok(Event::Staged { rows: page.rows, bytes: page.payload_size as usize })
    }

    fn keep_alive(&mut self, position: Option<Position>) -> Result<Event, ReplicaError<S::Error>> {
        if let (Some(held), Some(offered)) = (self.position(), position)
            && offered.version > held.version
            && !self.flight.open
        {
            let head = Head { position, ..self.state.head.clone() };
            let written = self.storage.write(Change::Head(&head));
            self.settle(written.map_err(ReplicaError::Storage))?;
            self.state.head = head;
            // Whatever comes next, of this stream or of another pull, may begin there.
            for course in self.flight.courses.values_mut() {
                course.base = Cursor::after(offered.version);
            }
        }
        Ok(Event::Alive { position })
    }

    /// Ends a transaction: commits what was written, or takes all of it back.
    fn settle<T>(&mut self, written: Result<T, ReplicaError<S::Error>>) -> Result<T, ReplicaError<S::Error>> {
        match written {
            Ok(value) => match self.storage.commit() {
                Ok(()) => Ok(value),
                Err(error) => self.take_back(ReplicaError::Storage(error)),
            },
            Err(error) => self.take_back(error),
        }
    }

    fn take_back<T>(&mut self, error: ReplicaError<S::Error>) -> Result<T, ReplicaError<S::Error>> {
        match self.storage.rollback() {
            Ok(()) => Err(error),
            Err(failed) => Err(ReplicaError::Storage(failed)),
        }
    }
}

/// The hash of a row as it is shown, taken anew from its document, whatever the membership says; `None`: there is none.
fn shown_hash<S: Storage>(storage: &S, record: Uuid) -> Result<Option<u64>, S::Error> {
    Ok(storage.document(record)?.map(|document| row_hash(record, &document.bytes)))
}

/// A page's range and build, decoded.
struct Range {
    from: Cursor,
    through: Cursor,
    build: Position,
}

impl Range {
    fn of(page: &proto::Page) -> Result<Self, PageError> {
        match (&page.from, &page.through, page.build) {
            (Some(from), Some(through), Some(build)) => {
                Ok(Self { from: from.try_into()?, through: through.try_into()?, build: build.into() })
            }
            _ => Err(PageError::Range),
        }
    }
}

/// The staging with one more page.
fn next_staging(staged: Option<Staging>, page: &Range, course: &Course) -> Staging {
    Staging {
        bucket_id: course.id,
        pages: staged.map_or(0, |staging| staging.pages) + 1,
        cursor: page.through,
        oldest: staged.map_or(page.build, |staging| staging.oldest.min(page.build)),
        newest: staged.map_or(page.build, |staging| staging.newest.max(page.build)),
        replace: course.replace,
    }
}

fn lagging(bucket: &Bucket) -> Option<proto::LaggingBucket> {
    let position = match bucket.at {
        At::Head => return None,
        At::Behind(position) => Some(position.into()),
        At::Nothing | At::Damaged => None,
    };
    Some(proto::LaggingBucket { bucket_id: bucket.id, position, partial_sums: Vec::new() })
}

/// What was staged to go on from a position is of no use once the bucket has to come anew.
fn staging(bucket: &Bucket) -> Option<proto::StagingCursor> {
    let staging = bucket.staging.filter(|staging| staging.replace || bucket.at != At::Damaged)?;
    Some(proto::StagingCursor {
        bucket_id: staging.bucket_id,
        cursor: Some(staging.cursor.into()),
        oldest_build: Some(staging.oldest.into()),
        newest_build: Some(staging.newest.into()),
        reset: staging.replace,
    })
}

/// A damaged bucket is listed at version 0: its position would make the server add to what is wrong.
fn held(bucket: &Bucket) -> Option<proto::HeldBucket> {
    let position = match bucket.at {
        At::Nothing => return None,
        At::Head => None,
        At::Behind(position) => Some(position),
        At::Damaged => Some(Position::default()),
    };
    Some(proto::HeldBucket {
        bucket_id: bucket.id,
        scope: bucket.scope.to_string(),
        kind: bucket.kind,
        rows: bucket.rows,
        checksum: bucket.checksum.0,
        position: position.map(Into::into),
        partial_sums: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
