//! The identity map of one batch: what was loaded, what the batch has changed so far, and, on top, what the command that
//! is being decided changes. A command that fails drops its overlay, and the batch goes on as if it had never been.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;
use roundsman_sync::kind::Record;
use roundsman_sync::limits::DOCUMENT_BYTES;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::waiting::Scarce;
use uuid::Uuid;

use roundsman_proto::trade::Reason;

use crate::internal::{Internal, is_server_id};

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its kind's number; 1000 and above are internal.
    pub kind: i64,
    /// The version that wrote it last; 0: this batch.
    pub version: i64,
    /// The document; empty when removed.
    pub document: Bytes,
    /// What its placement needs from other records, encoded [`Stamps`].
    pub stamps: Bytes,
    /// When it was removed, in microseconds since the Unix epoch.
    pub removed_at_us: Option<i64>,
    /// The record that took its place.
    pub survivor: Option<Uuid>,
}

/// Why a command is not decided.
#[derive(Debug)]
pub enum Stop {
    /// By a rule: the outcome is Rejected.
    Rejected(Rejection),
    /// Records are not loaded yet: the lane loads them and decides again.
    Load(Vec<Uuid>),
    /// What is stored can't be read: the command goes to quarantine.
    Corrupt(String),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The keys that a command asks for before it is decided.
#[derive(Debug, Default)]
pub struct Keys {
    ids: Vec<Uuid>,
    leads_on: bool,
}

impl Keys {
    /// A record, by the id as it came; a malformed id is not asked for, and found missing later.
    pub fn record(&mut self, id: &[u8]) {
        if let Ok(id) = Uuid::from_slice(id) {
            self.ids.push(id);
        }
    }

    /// A record, by its id.
    pub fn id(&mut self, id: Uuid) {
        self.ids.push(id);
    }

    /// An internal record.
    pub fn internal<T: Internal>(&mut self, key: &T::Key) {
        self.ids.push(T::id(key));
    }

    /// What is asked for now will lead to more than the usual waves would bring.
    pub fn lead_on(&mut self) {
        self.leads_on = true;
    }

    /// Whether more is to be asked for than the usual waves bring.
    #[must_use]
    pub fn leads_on(&self) -> bool {
        self.leads_on
    }

    /// Sees that all of them are there.
    ///
    /// # Errors
    /// [`Stop::Load`].
    pub fn load(self, workspace: &Workspace) -> Result<(), Stop> {
        let missing = self.missing(workspace);
        if missing.is_empty() { Ok(()) } else { Err(Stop::Load(missing)) }
    }

    /// The keys that `workspace` does not have yet, each once.
    #[must_use]
    pub fn missing(mut self, workspace: &Workspace) -> Vec<Uuid> {
        self.ids.retain(|id| !workspace.knows(*id));
        self.ids.sort_unstable();
        self.ids.dedup();
        self.ids
    }
}

/// Something that others must hear of once the batch is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What happened, such as `order.confirmed`.
    pub topic: &'static str,
    /// To which record.
    pub record: Uuid,
}

/// Whose devices are shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// This one.
    Device(Uuid),
    /// All on which a user who is this rep has ever logged in.
    Rep(Uuid),
}

/// What a command brings about beside the records that it changes.
#[derive(Debug, Default)]
pub struct Effects {
    /// What others must hear of. A command that has something to tell changes a record: the news carry its version.
    pub announcements: Vec<Announcement>,
    /// Whose devices are shut out.
    pub revocations: Vec<Revocation>,
    /// Deletions at or below this version are forgotten from now on.
    pub horizon: Option<i64>,
}

/// What the commands of a batch see and change.
#[derive(Debug, Default)]
pub struct Workspace {
    loaded: HashMap<Uuid, Option<Stored>>,
    batch: HashMap<Uuid, Stored>,
    overlay: HashMap<Uuid, Stored>,
    effects: Effects,
    freed: BTreeSet<Scarce>,
    committing: i64,
}

impl Workspace {
    /// Of a batch that will have this version.
    #[must_use]
    pub fn of_batch(committing: i64) -> Self {
        Self { committing, ..Self::default() }
    }

    /// The version that what this batch writes will have, if it is committed.
    #[must_use]
    pub fn committing(&self) -> i64 {
        self.committing
    }

    /// Takes in what was read for these keys; a key without a record is known to be absent.
    pub fn load(&mut self, keys: &[Uuid], found: Vec<(Uuid, Stored)>) {
        for key in keys {
            self.loaded.entry(*key).or_insert(None);
        }
        for (id, stored) in found {
            self.loaded.insert(id, Some(stored));
        }
    }

    /// Whether it is known what this key holds.
    #[must_use]
    pub fn knows(&self, id: Uuid) -> bool {
        self.loaded.contains_key(&id)
    }

    /// How many keys were loaded.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.loaded.len()
    }

    /// The record as the current command sees it, removed ones too.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn stored(&self, id: Uuid) -> Result<Option<&Stored>, Stop> {
        if let Some(stored) = self.overlay.get(&id).or_else(|| self.batch.get(&id)) {
            return Ok(Some(stored));
        }
        self.loaded.get(&id).map(Option::as_ref).ok_or_else(|| Stop::Load(vec![id]))
    }

    /// The live record of this id, if there is one.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded; a rejection when the id belongs to a record of another kind.
    pub fn find<R: Record>(&self, id: Uuid) -> Result<Option<R>, Stop> {
        let Some(stored) = self.stored(id)? else {
            return Ok(None);
        };
        if stored.kind != i64::from(R::KIND as i32) {
            return Err(Rejection::new(Reason::IdOfAnotherKind).about(id).into());
        }
        if stored.removed_at_us.is_some() {
            return Ok(None);
        }
        // Out of bytes that are shared a record is read with one copy of each part less than out of a slice.
        let record = R::decode(stored.document.clone())
            .map_err(|error| Stop::Corrupt(format!("record {id} of kind {:?}: {error}", R::KIND)))?;
        Ok(Some(record))
    }

    /// The live record that a command names.
    ///
    /// # Errors
    /// As [`Workspace::find`]; a rejection when the id is malformed, unknown, or of a removed record.
    pub fn live<R: Record>(&self, id: &[u8]) -> Result<(Uuid, R), Stop> {
        let id = Uuid::from_slice(id).map_err(|_| Rejection::new(Reason::BadId).field(R::NAME))?;
        match self.find(id)? {
            Some(record) => Ok((id, record)),
            None if self.stored(id)?.is_some() => Err(Rejection::new(Reason::Removed).about(id).into()),
            None => Err(Rejection::new(Reason::NotFound).about(id).field(R::NAME).into()),
        }
    }

    /// What the record's placement needs from others.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn stamps(&self, id: Uuid) -> Result<Stamps, Stop> {
        let Some(stored) = self.stored(id)? else {
            return Ok(Stamps::default());
        };
        Stamps::decode(&*stored.stamps).map_err(|error| Stop::Corrupt(format!("stamps of {id}: {error}")))
    }

    /// The version of the record's last change, 0 when this batch made it.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn version(&self, id: Uuid) -> Result<Option<i64>, Stop> {
        Ok(self.stored(id)?.filter(|stored| stored.removed_at_us.is_none()).map(|stored| stored.version))
    }

    /// Writes a record with its stamps.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded: what is not known can't be overwritten.
    pub fn put<R: Record>(&mut self, id: Uuid, record: &R, stamps: &Stamps) -> Result<(), Stop> {
        self.write(id, i64::from(R::KIND as i32), record.encode_to_vec().into(), stamps.encode_to_vec().into())
    }

    /// Writes a record that may be new under an id that only the server makes ([`crate::internal::server_id`]).
    ///
    /// # Errors
    /// As [`Workspace::put`].
    pub fn put_own<R: Record>(&mut self, id: Uuid, record: &R, stamps: &Stamps) -> Result<(), Stop> {
        self.overwrite(id, i64::from(R::KIND as i32), record.encode_to_vec().into(), stamps.encode_to_vec().into())
    }

    /// Writes a record, and leaves its stamps as they are.
    ///
    /// # Errors
    /// As [`Workspace::put`].
    pub fn update<R: Record>(&mut self, id: Uuid, record: &R) -> Result<(), Stop> {
        let stamps = self.stored(id)?.map(|stored| stored.stamps.clone()).unwrap_or_default();
        self.write(id, i64::from(R::KIND as i32), record.encode_to_vec().into(), stamps)
    }

    /// Places a record anew, and leaves its document as it is.
    ///
    /// # Errors
    /// As [`Workspace::put`].
    pub fn restamp(&mut self, id: Uuid, stamps: &Stamps) -> Result<(), Stop> {
        let Some(stored) = self.stored(id)?.cloned() else {
            return Ok(());
        };
        self.write(id, stored.kind, stored.document, stamps.encode_to_vec().into())
    }

    /// Removes a record for good.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn remove(&mut self, id: Uuid, at_us: i64, survivor: Option<Uuid>) -> Result<(), Stop> {
        let Some(mut stored) = self.stored(id)?.cloned() else {
            return Ok(());
        };
        stored.document = Bytes::new();
        stored.stamps = Bytes::new();
        stored.removed_at_us = Some(at_us);
        stored.survivor = survivor;
        stored.version = 0;
        self.overlay.insert(id, stored);
        Ok(())
    }

    /// An internal record; what was never written is as it is by default.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn internal<T: Internal>(&self, key: &T::Key) -> Result<T, Stop> {
        let id = T::id(key);
        match self.stored(id)? {
            None => Ok(T::default()),
            Some(stored) if stored.kind != T::KIND => {
                Err(Stop::Corrupt(format!("{key:?} stands at a record of kind {}", stored.kind)))
            }
            Some(stored) => {
                T::decode(&*stored.document).map_err(|error| Stop::Corrupt(format!("internal record {key:?}: {error}")))
            }
        }
    }

    /// An internal record, if it was ever written.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn find_internal<T: Internal>(&self, key: &T::Key) -> Result<Option<T>, Stop> {
        match self.stored(T::id(key))? {
            None => Ok(None),
            Some(_) => self.internal(key).map(Some),
        }
    }

    /// Writes an internal record.
    ///
    /// # Errors
    /// [`Stop::Load`] when it is not loaded.
    pub fn put_internal<T: Internal>(&mut self, key: &T::Key, value: &T) -> Result<(), Stop> {
        // The key in its text form stands in the stamps, which an internal record does not need, so that `verify` and a
        // person can tell what the row is about.
        let name = T::name(key).into_bytes();
        self.overwrite(T::id(key), T::KIND, value.encode_to_vec().into(), name.into())
    }

    fn write(&mut self, id: Uuid, kind: i64, document: Bytes, stamps: Bytes) -> Result<(), Stop> {
        // Ids of new records are chosen by callers; those of the server's own are not theirs to choose.
        if is_server_id(id) && self.stored(id)?.is_none() {
            return Err(Rejection::new(Reason::BadId).about(id).into());
        }
        self.overwrite(id, kind, document, stamps)
    }

    fn overwrite(&mut self, id: Uuid, kind: i64, document: Bytes, stamps: Bytes) -> Result<(), Stop> {
        // No device could take the page that carries it.
        if kind < FIRST_INTERNAL_KIND && document.len() > DOCUMENT_BYTES {
            let rejection = Rejection::new(Reason::LimitExceeded).about(id);
            return Err(rejection.fact(None, "document_bytes", document.len()).into());
        }
        if let Some(stored) = self.stored(id)? {
            if stored.kind != kind {
                return Err(Rejection::new(Reason::IdOfAnotherKind).about(id).into());
            }
            if stored.removed_at_us.is_some() {
                return Err(Rejection::new(Reason::Removed).about(id).into());
            }
            if stored.document == document && stored.stamps == stamps {
                return Ok(());
            }
        }
        self.overlay.insert(id, Stored { kind, version: 0, document, stamps, removed_at_us: None, survivor: None });
        Ok(())
    }

    /// Something is there for which orders wait.
    pub fn free(&mut self, scarce: Scarce) {
        self.freed.insert(scarce);
    }

    /// What was set free, and nobody was served with yet.
    pub fn take_freed(&mut self) -> BTreeSet<Scarce> {
        std::mem::take(&mut self.freed)
    }

    /// Tells others, after the commit.
    pub fn announce(&mut self, topic: &'static str, record: Uuid) {
        self.effects.announcements.push(Announcement { topic, record });
    }

    /// Shuts devices out: what they still send goes to quarantine, from the next command on.
    pub fn revoke(&mut self, revocation: Revocation) {
        self.effects.revocations.push(revocation);
    }

    /// Forgets the deletions up to a version.
    pub fn advance_horizon(&mut self, horizon: i64) {
        self.effects.horizon = Some(horizon);
    }

    /// Makes the current command's changes part of the batch, and says which records those are and what else it brings
    /// about.
    pub fn keep(&mut self) -> (Vec<Uuid>, Effects) {
        let mut changed: Vec<Uuid> =
            self.overlay.iter().filter(|(_, stored)| stored.kind < FIRST_INTERNAL_KIND).map(|(id, _)| *id).collect();
        changed.sort_unstable();
        self.batch.extend(self.overlay.drain());
        (changed, std::mem::take(&mut self.effects))
    }

    /// Forgets the current command's changes.
    pub fn drop_overlay(&mut self) {
        self.overlay.clear();
        self.freed.clear();
        self.effects = Effects::default();
    }

    /// Whether the current command leaves every record as it was.
    #[must_use]
    pub fn untouched(&self) -> bool {
        let beneath = |id: &Uuid| self.batch.get(id).or_else(|| self.loaded.get(id).and_then(Option::as_ref));
        self.overlay.iter().all(|(id, after)| beneath(id).is_some_and(|before| same(before, after)))
    }

    /// Ends the batch: every record that differs from what is stored, by id, with what it was before.
    #[must_use]
    pub fn finish(self) -> Vec<Change> {
        let Self { mut loaded, batch, .. } = self;
        let mut changes: Vec<Change> = batch
            .into_iter()
            .map(|(id, after)| Change { id, before: loaded.remove(&id).flatten(), after })
            .filter(|change| !change.before.as_ref().is_some_and(|before| same(before, &change.after)))
            .collect();
        changes.sort_unstable_by_key(|change| change.id);
        changes
    }
}

fn same(before: &Stored, after: &Stored) -> bool {
    before.document == after.document
        && before.stamps == after.stamps
        && before.removed_at_us == after.removed_at_us
        && before.survivor == after.survivor
}

/// Kinds from here on are internal: never placed, without history.
pub const FIRST_INTERNAL_KIND: i64 = 1_000;

/// A record before and after the batch.
#[derive(Debug)]
pub struct Change {
    /// The record.
    pub id: Uuid,
    /// As it was loaded.
    pub before: Option<Stored>,
    /// As it is to be stored.
    pub after: Stored,
}
