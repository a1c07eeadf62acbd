//! What changes, told to the apps of logistics as it happens: each record as it is now, in the order of versions. Nothing is kept of a
//! watcher: it says itself up to where it has heard, and the records say what is newer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::{DecodeError, Message as _};
use roundsman_proto::logistics as proto;
use roundsman_proto::logistics::record_change::Document;
use roundsman_proto::trade::{ChangeRequest, GoodsReturn, Order, Reason, Reclamation, Shipment, Trip, Wave};
use roundsman_sync::kind::Kind;
use roundsman_sync::version::Position;
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::paging::PAGE_BYTES;
use super::status;
use super::watcher::Watcher;
use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::store::record;
use crate::store::sql::{Db, Tx};
use crate::store::tenant::{self, Head};
use crate::store::watched::{self, WATCHED};
use crate::workspace::Stored;

/// So many streams of one user are open at a time.
const STREAMS: usize = 8;
/// Who has too many may try again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Changes that are looked for at a time.
const KEYS: i64 = 1_000;
/// Documents that are read at a time.
const READ: usize = 64;
/// After the last record of a version.
const END: Uuid = Uuid::max();

/// How the document of a watched record is read, in the order of [`WATCHED`].
const READERS: [fn(Bytes) -> Result<Document, DecodeError>; WATCHED.len()] = [
    |document| Order::decode(document).map(Document::Order),
    |document| Shipment::decode(document).map(Document::Shipment),
    |document| Reclamation::decode(document).map(Document::Reclamation),
    |document| ChangeRequest::decode(document).map(Document::ChangeRequest),
    |document| Wave::decode(document).map(Document::Wave),
    |document| Trip::decode(document).map(Document::Trip),
    |document| GoodsReturn::decode(document).map(Document::GoodsReturn),
];

/// How many streams each user has open, by tenant and user.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<HashMap<(i64, Uuid), usize>>>);

/// A stream that is open, until it is dropped.
#[derive(Debug)]
pub struct Open {
    streams: Streams,
    whose: (i64, Uuid),
}

impl Streams {
    /// One more of a user's.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there are too many.
    pub fn open(&self, caller: &Caller) -> Result<Open, Status> {
        let whose = (caller.tenant, caller.user);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(whose).or_default();
        if *count >= STREAMS {
            return Err(status::exhausted("TOO_MANY_STREAMS", "too many streams of this user are open", RETRY_AFTER));
        }
        *count += 1;
        Ok(Open { streams: self.clone(), whose })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.whose);
            }
        }
    }
}

/// What somebody wants to watch, checked.
#[derive(Debug)]
pub struct Asked {
    after: Option<Position>,
    /// The wanted kinds by their numbers, filled up with 0.
    kinds: [i64; WATCHED.len()],
}

impl Asked {
    /// Checks a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::WatchChangesRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let known = |number: &i32| WATCHED.iter().any(|kind| *kind as i32 == *number);
        if !request.kinds.iter().all(known) {
            fields.wrong("kinds", Reason::UnknownValue, "names a kind that is not watched");
        }
        fields.check()?;
        let wanted = |kind: Kind| request.kinds.is_empty() || request.kinds.contains(&(kind as i32));
        let kinds = WATCHED.map(|kind| if wanted(kind) { i64::from(kind as i32) } else { 0 });
        Ok(Self { after: request.after.map(Position::from), kinds })
    }
}

/// Somebody who watches what changes.
#[derive(Debug)]
pub struct Watch {
    db: Db,
    tenant: i64,
    asked: Asked,
    watcher: Watcher<proto::WatchChangesResponse>,
    _open: Open,
}

/// Up to where a watcher was told everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// The last version that was told in full.
    position: Position,
    /// The last record that was told, after that.
    last: (i64, Uuid),
}

impl Told {
    fn through(position: Position) -> Self {
        Self { position, last: (position.version, END) }
    }
}

/// What is told next.
#[derive(Debug)]
struct News {
    told: Told,
    changes: Vec<proto::RecordChange>,
    /// There is more.
    goes_on: bool,
}

impl Watch {
    /// Of a tenant.
    #[must_use]
    pub fn new(
        (db, tenant): (Db, i64),
        asked: Asked,
        watcher: Watcher<proto::WatchChangesResponse>,
        open: Open,
    ) -> Self {
        Self { db, tenant, asked, watcher, _open: open }
    }

    /// Serves it to the end.
    pub async fn serve(mut self) {
        if let Err(end) = self.watch().await {
            self.watcher.end(end).await;
        }
    }

    /// Answers until the watcher goes away or may no longer watch.
    async fn watch(&mut self) -> Result<(), Status> {
        let mut told = self.start().await?;
        // Where the watcher stands now is told at the beginning, and at the end of what takes several answers.
        let mut owed = true;
        loop {
            self.watcher.check()?;
            let News { told: next, changes, goes_on } = self.news(told).await?;
            told = next;
            if owed || !changes.is_empty() {
                let answer = proto::WatchChangesResponse { position: Some(told.position.into()), changes };
                if !self.watcher.tell(answer).await {
                    return Ok(());
                }
            }
            owed = goes_on;
            // Waves are in no bucket, so that a tail does not say whether one has changed.
            if !goes_on && !self.watcher.wait(|_| true).await? {
                return Ok(());
            }
        }
    }

    /// Where it begins.
    async fn start(&self) -> Result<Told, Status> {
        let mut tx = self.db.read().await?;
        let head = self.head(&mut tx).await?;
        let Some(after) = self.asked.after else { return Ok(Told::through(head.position)) };
        let known: HashSet<Position> = tenant::known(&mut tx, self.tenant, &[after]).await?;
        tx.commit().await?;
        if after == Position::default() || known.contains(&after) {
            Ok(Told::through(after))
        } else {
            Err(status::position_unknown())
        }
    }

    async fn head(&self, tx: &mut Tx) -> Result<Head, Status> {
        let head = tenant::head(tx, self.tenant).await?;
        head.ok_or_else(|| status::internal(format!("there is no tenant {}", self.tenant)))
    }

    /// What one short transaction says of what has changed.
    async fn news(&self, told: Told) -> Result<News, Status> {
        let mut tx = self.db.read().await?;
        let head = self.head(&mut tx).await?;
        // What commits at or below the horizon have changed is forgotten, maybe before the commits are.
        if told.position.version < head.horizon {
            return Err(status::position_unknown());
        }
        let keys = watched::changes(&mut tx, self.tenant, self.asked.kinds, told.last, KEYS).await?;
        let (changes, covered) = changes(&mut tx, self.tenant, &keys).await?;
        let is_all = covered == keys.len() && keys.len() < usize::try_from(KEYS).unwrap_or(usize::MAX);
        let told = match keys.get(..covered).and_then(<[_]>::last) {
            // Of the last version there may be more.
            Some(last) if !is_all => {
                let before = last.0 - 1;
                let point = if before > told.position.version {
                    tenant::point(&mut tx, self.tenant, before).await?
                } else {
                    None
                };
                Told { position: point.unwrap_or(told.position), last: *last }
            }
            Some(_) | None => Told::through(head.position),
        };
        tx.commit().await?;
        Ok(News { told, changes, goes_on: !is_all })
    }
}

/// The records of these keys as they are now, as many as fit into an answer, and at least one; and how many keys that covers: a
/// record that has changed since is told with its last change.
async fn changes(
    tx: &mut Tx,
    tenant: i64,
    keys: &[(i64, Uuid)],
) -> Result<(Vec<proto::RecordChange>, usize), StoreError> {
    let (mut changes, mut bytes, mut covered) = (Vec::new(), 0, 0);
    for chunk in keys.chunks(READ) {
        let mut ids: Vec<Uuid> = chunk.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found: HashMap<Uuid, Stored> = record::find(tx, tenant, &ids).await?.into_iter().collect();
        for (version, id) in chunk {
            let missing = || StoreError::Corrupt(format!("record {id} has changed and is not there"));
            if found.get(id).ok_or_else(missing)?.version == *version {
                let stored = found.remove(id).ok_or_else(missing)?;
                bytes += stored.document.len();
                if bytes > PAGE_BYTES && !changes.is_empty() {
                    return Ok((changes, covered));
                }
                changes.push(change(*id, stored)?);
            }
            covered += 1;
        }
    }
    Ok((changes, covered))
}

fn change(id: Uuid, stored: Stored) -> Result<proto::RecordChange, StoreError> {
    let corrupt = |error: String| StoreError::Corrupt(format!("record {id}: {error}"));
    let watched = WATCHED.into_iter().zip(READERS).find(|(kind, _)| i64::from(*kind as i32) == stored.kind);
    let (kind, read) = watched.ok_or_else(|| corrupt(format!("kind {} is not watched", stored.kind)))?;
    let live = Some(stored.document).filter(|_| stored.removed_at_us.is_none());
    let document = live.map(read).transpose().map_err(|error| corrupt(error.to_string()))?;
    Ok(proto::RecordChange { kind: kind.into(), id: id.as_bytes().to_vec(), version: stored.version, document })
}
