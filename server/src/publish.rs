//! Publishing: from changed records to bucket rows.
//!
//! A pure plan: for each changed record its *stored* placement is compared with the new one. The old placement is never
//! recomputed, or a new release with another rule would leave orphans on devices. What comes out are absolute values, to
//! be written in the transaction that writes the records.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message as _;
use roundsman_sync::checksum::{Checksum, row_hash};
use roundsman_sync::kind;
use roundsman_sync::page::encode_frame;
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::placement::{Stamps, place};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::bucket::{Bucket, NewRow, Placement};
use crate::workspace::{Change, FIRST_INTERNAL_KIND};

/// The new placement of a batch's records.
pub struct Placed<'a> {
    records: Vec<(&'a Change, Vec<Scope>)>,
}

impl<'a> Placed<'a> {
    /// Places every changed record that devices may hold.
    ///
    /// # Errors
    /// When a stored document can't be read.
    pub fn of(changes: &'a [Change]) -> Result<Self, StoreError> {
        let records = changes
            .iter()
            .filter(|change| change.after.kind < FIRST_INTERNAL_KIND)
            .map(|change| Ok((change, scopes(change)?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Self { records })
    }

    /// The records whose stored placement is needed.
    #[must_use]
    pub fn records(&self) -> Vec<Uuid> {
        // A record that was not there before has no placement.
        self.records.iter().filter(|(change, _)| change.before.is_some()).map(|(change, _)| change.id).collect()
    }

    /// The scopes whose buckets are needed.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        let scopes: HashSet<&Scope> = self.records.iter().flat_map(|(_, scopes)| scopes).collect();
        let mut scopes: Vec<String> = scopes.into_iter().map(Scope::to_string).collect();
        scopes.sort_unstable();
        scopes
    }

    /// Whether a record enters a bucket that does not exist yet.
    #[must_use]
    pub fn needs_new_bucket(&self, known: &[Bucket]) -> bool {
        let known: HashSet<(&str, i64)> = known.iter().map(|bucket| (bucket.scope.as_str(), bucket.kind)).collect();
        let is_new = |scope: &Scope, kind: i64| !known.contains(&(scope.to_string().as_str(), kind));
        self.records.iter().any(|(change, scopes)| scopes.iter().any(|scope| is_new(scope, change.after.kind)))
    }
}

fn scopes(change: &Change) -> Result<Vec<Scope>, StoreError> {
    let Change { id, after, .. } = change;
    if after.removed_at_us.is_some() {
        return Ok(Vec::new());
    }
    let corrupt = |what: String| StoreError::Corrupt(format!("record {id}: {what}"));
    let kind = kind::from_number(after.kind).ok_or_else(|| corrupt(format!("unknown kind {}", after.kind)))?;
    let stamps = Stamps::decode(&*after.stamps).map_err(|error| corrupt(error.to_string()))?;
    place(kind, *id, &after.document, &stamps).map_err(|error| corrupt(error.to_string()))
}

/// What a batch changes in buckets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The touched buckets, as they are afterwards, by number.
    pub buckets: Vec<Bucket>,
    /// Their heads before the batch, in the same order; 0 for a new bucket.
    pub heads_before: Vec<i64>,
    /// The rows to be written, by bucket and record.
    pub rows: Vec<NewRow>,
}

/// Compares the stored placement with the new one, and counts. `known` are the buckets of the new scopes that exist;
/// new ones are numbered after `last_id`.
#[must_use]
pub fn plan(
    placed: &Placed<'_>,
    stored: Vec<Placement>,
    known: Vec<Bucket>,
    last_id: i64,
    version: i64,
) -> Publication {
    let mut draft = Draft::new(known, last_id, version);
    let mut before: HashMap<Uuid, Vec<Placement>> = HashMap::new();
    for placement in stored {
        before.entry(placement.record).or_default().push(placement);
    }
    for (change, scopes) in &placed.records {
        let hash = row_hash(change.id, &change.after.document);
        let mut left = before.remove(&change.id).unwrap_or_default();
        for scope in scopes {
            let text = scope.to_string();
            let old = left
                .iter()
                .position(|old| old.bucket.scope == text && old.bucket.kind == change.after.kind)
                .map(|index| left.swap_remove(index));
            draft.enter(change, text, hash, old);
        }
        for old in left.into_iter().filter(|old| old.live) {
            draft.leave(change.id, old);
        }
    }
    draft.finish()
}

struct Draft {
    version: i64,
    last_id: i64,
    ids: HashMap<(String, i64), i64>,
    // By number: what is touched, as it becomes, with its head before.
    buckets: BTreeMap<i64, (Bucket, i64)>,
    touched: HashSet<i64>,
    rows: Vec<NewRow>,
}

impl Draft {
    fn new(known: Vec<Bucket>, last_id: i64, version: i64) -> Self {
        let mut draft = Self {
            version,
            last_id,
            ids: HashMap::new(),
            buckets: BTreeMap::new(),
            touched: HashSet::new(),
            rows: Vec::new(),
        };
        for bucket in known {
            draft.know(bucket);
        }
        draft
    }

    fn know(&mut self, bucket: Bucket) -> i64 {
        let id = bucket.id;
        self.ids.entry((bucket.scope.clone(), bucket.kind)).or_insert(id);
        let head = bucket.head;
        self.buckets.entry(id).or_insert((bucket, head));
        id
    }

    fn id_of(&mut self, scope: String, kind: i64) -> i64 {
        if let Some(id) = self.ids.get(&(scope.clone(), kind)) {
            return *id;
        }
        self.last_id += 1;
        let id = self.last_id;
        let created = self.version;
        self.know(Bucket { id, scope, kind, head: 0, last_removal: 0, created, rows: 0, bytes: 0, checksum: 0 })
    }

    /// The record is in this scope now.
    fn enter(&mut self, change: &Change, scope: String, hash: u64, old: Option<Placement>) {
        if old.as_ref().is_some_and(|old| old.live && old.hash == hash) {
            return;
        }
        let id = match &old {
            Some(old) => self.know(old.bucket.clone()),
            None => self.id_of(scope, change.after.kind),
        };
        let frame = encode_frame(change.id, self.version, Some(&change.after.document));
        let bytes = i64::try_from(frame.len()).expect("a frame is small");
        self.touch(id, |bucket| {
            if let Some(old) = old.filter(|old| old.live) {
                subtract(bucket, &old);
            }
            bucket.rows += 1;
            bucket.bytes += bytes;
            let mut checksum = Checksum(bucket.checksum);
            checksum.add(hash);
            bucket.checksum = checksum.0;
        });
        self.rows.push(NewRow { bucket: id, record: change.id, live: true, hash, frame });
    }

    /// The record is no longer in this bucket.
    fn leave(&mut self, record: Uuid, old: Placement) {
        let id = self.know(old.bucket.clone());
        let version = self.version;
        self.touch(id, |bucket| {
            subtract(bucket, &old);
            bucket.last_removal = version;
        });
        let frame = encode_frame(record, version, None);
        self.rows.push(NewRow { bucket: id, record, live: false, hash: 0, frame });
    }

    fn touch(&mut self, id: i64, change: impl FnOnce(&mut Bucket)) {
        let (bucket, _) = self.buckets.get_mut(&id).expect("a bucket is known before it is touched");
        change(bucket);
        bucket.head = self.version;
        self.touched.insert(id);
    }

    fn finish(mut self) -> Publication {
        self.rows.sort_unstable_by_key(|row| (row.bucket, row.record));
        let touched = self.touched;
        let (buckets, heads_before) =
            self.buckets.into_values().filter(|(bucket, _)| touched.contains(&bucket.id)).unzip();
        Publication { buckets, heads_before, rows: self.rows }
    }
}

fn subtract(bucket: &mut Bucket, old: &Placement) {
    bucket.rows -= 1;
    bucket.bytes -= old.bytes;
    let mut checksum = Checksum(bucket.checksum);
    checksum.remove(old.hash);
    bucket.checksum = checksum.0;
}
