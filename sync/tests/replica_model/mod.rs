//! A small server for the replica's tests: buckets with one row per record, versions, tombstones, a horizon, cached pages,
//! restores. It says what a pull says; nothing of it is shared with the replica.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{
    BucketAction, BucketPlan, BucketState, Checkpoint, Fork, HeldBucket, InventoryRequest, KeepAlive, Page, Plan,
    PullRequest, StagingCursor, Urgency,
};
use roundsman_sync::checksum::{Checksum, PARTITIONS, PartialSums, Partitions, row_hash};
use roundsman_sync::page::{Cursor, PageBuilder, encode_frame};
use roundsman_sync::replica::Content;
use roundsman_sync::version::Position;
use uuid::Uuid;

/// The scopes there are.
pub const SCOPES: u8 = 5;
/// The records there are.
pub const RECORDS: u8 = 24;

/// A write.
#[derive(Clone, Debug)]
pub enum Op {
    /// Puts a record into these scopes (a bit mask; none: it is removed), with a new document.
    Put { record: u8, scopes: u8, salt: u8 },
    /// Sets the scopes that the device may see.
    Grant { scopes: u8 },
}

/// How a pull goes on the server's side.
#[derive(Clone, Debug)]
pub struct Script {
    /// Writes between scan and cut.
    pub during: Vec<Op>,
    /// Writes while the device follows.
    pub after: Vec<Op>,
    /// Rows in a page.
    pub page_rows: usize,
    /// One cut for all groups.
    pub single: bool,
    /// Cold pages come from the cache.
    pub shared: bool,
}

impl Script {
    /// An ordinary pull while nothing happens.
    pub fn quiet() -> Self {
        Self { during: Vec::new(), after: Vec::new(), page_rows: 3, single: false, shared: false }
    }
}

/// A message, and with a checkpoint what the covered buckets hold.
pub type Said = (Message, Option<Content>);

/// A record's id. The high bits mix, so that versions and ids are in different orders.
pub fn record(number: u8) -> Uuid {
    Uuid::from_u64_pair(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15), u64::from(number))
}

fn scope(number: u8) -> String {
    format!("territory:{number}")
}

/// Of these scopes a kind comes with the history, whatever it is: so buckets of one kind lag behind one another.
fn group(name: &Name) -> u32 {
    let late = (SCOPES - 2..SCOPES).any(|number| scope(number) == name.0);
    if late { 3 } else { name.1 }
}

fn in_mask(mask: u8) -> impl Iterator<Item = u8> {
    (0..SCOPES).filter(move |number| mask & (1 << number) != 0)
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    id: i64,
    created: i64,
    head: i64,
    removed: i64,
    rows: BTreeMap<Uuid, (i64, Option<Bytes>)>,
}

impl Bucket {
    fn live(&self) -> BTreeMap<Uuid, Bytes> {
        let live = |(record, (_, document)): (&Uuid, &(i64, Option<Bytes>))| Some((*record, document.clone()?));
        self.rows.iter().filter_map(live).collect()
    }

    fn sum(&self) -> (i64, u64) {
        let mut sum = Checksum::default();
        let live = self.live();
        live.iter().for_each(|(record, document)| sum.add(row_hash(*record, document)));
        (i64::try_from(live.len()).expect("is small"), sum.0)
    }
}

impl Bucket {
    /// Where a bucket that would come whole differs from the device's, if the device sent its sums.
    fn repair(&self, request: &PullRequest, entry: &BucketPlan) -> Option<Partitions> {
        let lags = request.lagging.iter().filter(|_| !request.has_inventory);
        let lags = lags.map(|lags| (lags.bucket_id == entry.bucket_id, &lags.partial_sums));
        let held = request.inventory.iter();
        let held = held.map(|held| ((&held.scope, held.kind) == (&entry.scope, entry.kind), &held.partial_sums));
        let theirs = lags.chain(held).find(|(same, _)| *same)?.1;
        let mut sums = PartialSums::default();
        for (record, document) in self.live() {
            sums.add(record, row_hash(record, &document));
        }
        let whole = entry.action() == BucketAction::Reset && !entry.resumed && theirs.len() == PARTITIONS;
        sums.differing(theirs).filter(|_| whole)
    }
}

type Name = (String, u32);

#[derive(Clone, Debug, Default)]
struct Store {
    position: Position,
    horizon: i64,
    granted: u8,
    placed: BTreeMap<u8, u8>,
    buckets: BTreeMap<Name, Bucket>,
    positions: BTreeSet<Position>,
    next_id: i64,
}

/// What the server knows about one bucket of the device.
#[derive(Clone, Copy, Debug)]
struct Held {
    group: u32,
    cursor: Cursor,
    planned: bool,
    /// Up to a version only rows of these partitions come.
    repair: Option<(Partitions, i64)>,
}

/// The server.
#[derive(Clone, Debug, Default)]
pub struct Server {
    store: Store,
    backup: Option<Box<Store>>,
    history: u64,
    cache: Vec<(Name, Cursor, Cursor, Page)>,
}

impl Server {
    /// Writes, as one batch.
    pub fn apply(&mut self, op: &Op) {
        let store = &mut self.store;
        let version = store.position.version + 1;
        store.position = Position { version, nonce: self.history * 1_000 + version.unsigned_abs() };
        store.positions.insert(store.position);
        match *op {
            Op::Grant { scopes } => store.granted = scopes,
            Op::Put { record: number, scopes, salt } => store.put(number, scopes, salt),
        }
    }

    /// Purges all tombstones but those of the last batches.
    pub fn purge(&mut self, keep: i64) {
        let horizon = self.store.horizon.max(self.store.position.version - keep);
        self.store.horizon = horizon;
        for bucket in self.store.buckets.values_mut() {
            bucket.rows.retain(|_, (version, document)| document.is_some() || *version > horizon);
        }
    }

    /// Keeps a copy of everything.
    pub fn back_up(&mut self) {
        self.backup = Some(Box::new(self.store.clone()));
    }

    /// Everything since the backup is lost. Buckets may get other numbers; then no position is known any more.
    pub fn restore(&mut self, renumber: bool) {
        let Some(backup) = &self.backup else { return };
        self.store = Store::clone(backup);
        self.history += 1;
        self.cache.clear();
        if renumber {
            self.store.position.nonce = self.history * 1_000;
            self.store.positions = BTreeSet::from([self.store.position]);
            let top = self.store.next_id + 1;
            self.store.buckets.values_mut().for_each(|bucket| bucket.id = top - bucket.id);
        }
    }

    /// Where the tenant is.
    pub fn position(&self) -> Position {
        self.store.position
    }

    /// What the device must hold.
    pub fn projection(&self) -> Content {
        self.covered(3)
    }

    fn covered(&self, group: u32) -> Content {
        let seen = self.store.view().filter(|(name, _)| self::group(name) <= group);
        seen.map(|(name, bucket)| (name.clone(), bucket.live())).filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// Answers a pull to its end.
    pub fn pull(&mut self, request: &PullRequest, script: &Script) -> Vec<Said> {
        let mut said = Vec::new();
        let fork = self.is_fork(request);
        if fork {
            said.push((Message::Fork(Fork { expected_seq: 1 }), None));
        }
        let Some((plan, mut held)) = self.first_plan(request, fork) else {
            said.push((Message::InventoryRequest(InventoryRequest {}), None));
            return said;
        };
        said.push((Message::Plan(plan), None));
        let mut during = script.during.iter();
        let today = request.urgency() == Urgency::Today;
        let groups: &[u32] = if today {
            &[1]
        } else if script.single {
            &[3]
        } else {
            &[1, 2, 3]
        };
        for group in groups {
            self.scan(&mut held, *group, script, &mut said);
            during.by_ref().take(2).for_each(|op| self.apply(op));
            self.cut(&mut held, *group, script, &mut said);
        }
        if !today {
            for op in &script.after {
                self.apply(op);
                self.cut(&mut held, 3, script, &mut said);
                let position = Some(self.position().into());
                said.push((Message::KeepAlive(KeepAlive { position, server_time_us: 0 }), None));
            }
        }
        said
    }

    fn is_fork(&self, request: &PullRequest) -> bool {
        request
            .position
            .map(Position::from)
            .is_some_and(|position| position.version > self.store.horizon && !self.store.positions.contains(&position))
    }

    fn usable(&self, position: Position) -> bool {
        position.version >= self.store.horizon && self.store.positions.contains(&position)
    }

    fn first_plan(&self, request: &PullRequest, fork: bool) -> Option<(Plan, BTreeMap<Name, Held>)> {
        let position = request.position.map(Position::from);
        let foreign = fork || position.is_some_and(|position| !self.store.positions.contains(&position));
        let mut plan =
            Plan { version: self.position().version, fork: foreign && request.has_inventory, buckets: vec![] };
        let mut held = BTreeMap::new();
        let sure = position.is_none_or(|position| {
            !fork && self.usable(position) && request.scope_digest == u64::from(self.store.granted) + 1
        });
        if !request.has_inventory && !sure {
            return None;
        }
        for (name, bucket) in self.store.view() {
            let (entry, cursor) = if request.has_inventory {
                self.by_inventory(request, name, bucket, fork, foreign)
            } else {
                self.by_position(request, name, bucket)
            };
            let planned = entry.action() != BucketAction::Unspecified && entry.action() != BucketAction::Keep;
            let repair = bucket.repair(request, &entry).map(|partitions| (partitions, self.position().version));
            let entry = match &repair {
                Some((partitions, _)) => {
                    BucketPlan { action: BucketAction::Repair.into(), partitions: partitions.to_wire(), ..entry }
                }
                None => entry,
            };
            if entry.action() != BucketAction::Unspecified {
                plan.buckets.push(entry);
            }
            held.insert(name.clone(), Held { group: group(name), cursor, planned, repair });
        }
        let seen: BTreeSet<&Name> = self.store.view().map(|(name, _)| name).collect();
        let gone = |has: &&HeldBucket| !seen.contains(&(has.scope.clone(), has.kind));
        plan.buckets.extend(request.inventory.iter().filter(gone).map(|has| BucketPlan {
            bucket_id: has.bucket_id,
            scope: has.scope.clone(),
            kind: has.kind,
            action: BucketAction::Drop.into(),
            group: 1,
            ..BucketPlan::default()
        }));
        Some((plan, held))
    }

    fn by_position(&self, request: &PullRequest, name: &Name, bucket: &Bucket) -> (BucketPlan, Cursor) {
        let Some(position) = request.position.map(Position::from) else {
            return self.begin(request, name, bucket, BucketAction::Append, false);
        };
        if bucket.created > position.version {
            return self.begin(request, name, bucket, BucketAction::Append, false);
        }
        match request.lagging.iter().find(|lag| lag.bucket_id == bucket.id).map(|lag| lag.position) {
            None => self.go_on(request, name, bucket, position, false),
            Some(Some(at)) if self.usable(at.into()) => self.go_on(request, name, bucket, at.into(), false),
            Some(_) => self.begin(request, name, bucket, BucketAction::Reset, false),
        }
    }

    fn by_inventory(
        &self,
        request: &PullRequest,
        name: &Name,
        bucket: &Bucket,
        fork: bool,
        foreign: bool,
    ) -> (BucketPlan, Cursor) {
        let found = request.inventory.iter().find(|has| (&has.scope, has.kind) == (&name.0, name.1));
        let Some(has) = found else {
            return self.begin(request, name, bucket, BucketAction::Append, fork);
        };
        let lags = foreign && has.position.is_some();
        match has.position.or(request.position).map(Position::from).filter(|_| !lags) {
            Some(at) if self.usable(at) && !fork => self.go_on(request, name, bucket, at, true),
            Some(at) if bucket.head <= at.version && (has.rows, has.checksum) == bucket.sum() => {
                let entry = entry(name, bucket, BucketAction::Keep, true);
                (entry, Cursor::after(self.position().version))
            }
            _ => self.begin(request, name, bucket, BucketAction::Reset, fork),
        }
    }

    fn begin(
        &self,
        request: &PullRequest,
        name: &Name,
        bucket: &Bucket,
        action: BucketAction,
        fork: bool,
    ) -> (BucketPlan, Cursor) {
        let fits = |staged: &StagingCursor| staged.reset || action == BucketAction::Append;
        let staged = self.staged(request, bucket, fits).filter(|_| !fork);
        (BucketPlan { resumed: staged.is_some(), ..entry(name, bucket, action, true) }, staged.unwrap_or_default())
    }

    fn go_on(
        &self,
        request: &PullRequest,
        name: &Name,
        bucket: &Bucket,
        at: Position,
        named: bool,
    ) -> (BucketPlan, Cursor) {
        let news = bucket.head > at.version;
        let staged = self.staged(request, bucket, |staged| !staged.reset).filter(|_| news);
        let action = match (news, named) {
            (true, _) => BucketAction::Append,
            (false, true) => BucketAction::Keep,
            (false, false) => BucketAction::Unspecified,
        };
        let plan = BucketPlan { resumed: staged.is_some(), ..entry(name, bucket, action, named) };
        (plan, staged.unwrap_or(Cursor::after(at.version)))
    }

    fn staged(&self, request: &PullRequest, bucket: &Bucket, fits: impl Fn(&StagingCursor) -> bool) -> Option<Cursor> {
        let staged = request.staging.iter().find(|staged| staged.bucket_id == bucket.id)?;
        let build = |build: Option<roundsman_proto::sync::Position>| build.is_some_and(|at| self.usable(at.into()));
        let usable = build(staged.oldest_build) && build(staged.newest_build) && fits(staged);
        usable.then(|| Cursor::try_from(staged.cursor.as_ref().expect("is set")).expect("is a cursor"))
    }

    fn scan(&mut self, held: &mut BTreeMap<Name, Held>, group: u32, script: &Script, said: &mut Vec<Said>) {
        for (name, held) in held.iter_mut().filter(|(_, held)| held.group <= group && held.planned) {
            if let Some((partitions, through)) = held.repair.take() {
                let page = self.repair_page(name, held.cursor, &partitions, through);
                held.cursor = Cursor::after(through);
                said.push((Message::Page(page), None));
            }
            while let Some((page, through)) = self.page(name, held.cursor, script) {
                held.cursor = through;
                said.push((Message::Page(page), None));
            }
        }
    }

    /// All rows of some partitions up to a version.
    fn repair_page(&self, name: &Name, from: Cursor, partitions: &Partitions, through: i64) -> Page {
        let bucket = &self.store.buckets[name];
        let chosen = bucket.rows.iter().filter(|(record, row)| partitions.contain(**record) && row.0 <= through);
        let mut rows: Vec<_> = chosen.map(|(record, (version, document))| (*version, *record, document)).collect();
        rows.sort_by_key(|(version, record, _)| (*version, *record));
        let mut builder = PageBuilder::default();
        for (version, record, document) in rows {
            builder.push(version, record, &encode_frame(record, version, document.as_deref()));
        }
        builder.reach(Cursor::after(through));
        builder.finish(bucket.id, from, self.position())
    }

    /// The next page after a cursor: a cached one that contains it, or one that is built now.
    fn page(&mut self, name: &Name, cursor: Cursor, script: &Script) -> Option<(Page, Cursor)> {
        let bucket = self.store.buckets.get(name)?;
        let fresh = |page: &Page| {
            let build = page.build.expect("is set").version;
            build >= self.store.horizon && build >= bucket.removed && page.bucket_id == bucket.id
        };
        let mut cached = self.cache.iter().filter(|(of, from, through, page)| {
            script.shared && of == name && *from <= cursor && *through > cursor && fresh(page)
        });
        if let Some((_, _, through, page)) = cached.next() {
            return Some((page.clone(), *through));
        }
        let mut rows: Vec<(Cursor, &Option<Bytes>)> = bucket
            .rows
            .iter()
            .map(|(record, (version, document))| (Cursor { version: *version, record: Some(*record) }, document))
            .filter(|(at, _)| *at > cursor)
            .collect();
        rows.sort_by_key(|(at, _)| *at);
        let mut builder = PageBuilder::default();
        for (at, document) in rows.into_iter().take(script.page_rows) {
            let record = at.record.expect("is set");
            builder.push(at.version, record, &encode_frame(record, at.version, document.as_deref()));
        }
        if builder.is_empty() {
            return None;
        }
        let through = builder.through();
        let page = builder.finish(bucket.id, cursor, self.position());
        self.cache.push((name.clone(), cursor, through, page.clone()));
        Some((page, through))
    }

    fn cut(&mut self, held: &mut BTreeMap<Name, Held>, group: u32, script: &Script, said: &mut Vec<Said>) {
        let position = self.position();
        let plan = self.replan(held, group);
        if !plan.buckets.is_empty() {
            said.push((Message::Plan(plan), None));
        }
        let cold = Script { shared: false, ..script.clone() };
        self.scan(held, group, &cold, said);
        let mut buckets = Vec::new();
        for (name, held) in held.iter_mut().filter(|(_, held)| held.group <= group) {
            let bucket = &self.store.buckets[name];
            let (rows, checksum) = bucket.sum();
            if held.planned {
                buckets.push(BucketState { bucket_id: bucket.id, rows, checksum });
            }
            // What no plan named is not covered by a checkpoint before the last one: there the device stays where it was.
            if held.planned || group == 3 {
                (held.planned, held.cursor) = (false, Cursor::after(position.version));
            }
        }
        let checkpoint = Checkpoint {
            position: Some(position.into()),
            group,
            last: group == 3,
            buckets,
            scope_digest: u64::from(self.store.granted) + 1,
            ..Checkpoint::default()
        };
        said.push((Message::Checkpoint(checkpoint), Some(self.covered(group))));
    }

    fn replan(&self, held: &mut BTreeMap<Name, Held>, group: u32) -> Plan {
        let mut plan = Plan { version: self.position().version, ..Plan::default() };
        held.retain(|name, _| {
            let seen = self.store.view().any(|(seen, _)| seen == name);
            if !seen {
                let bucket = &self.store.buckets[name];
                plan.buckets.push(entry(name, bucket, BucketAction::Drop, false));
            }
            seen
        });
        for (name, bucket) in self.store.view() {
            match held.get_mut(name) {
                Some(held) => {
                    if held.group <= group && !held.planned && bucket.head >= held.cursor.version {
                        held.planned = true;
                        plan.buckets.push(entry(name, bucket, BucketAction::Append, false));
                    }
                }
                None => {
                    plan.buckets.push(entry(name, bucket, BucketAction::Append, true));
                    let held_now =
                        Held { group: self::group(name), cursor: Cursor::default(), planned: true, repair: None };
                    held.insert(name.clone(), held_now);
                }
            }
        }
        plan
    }
}

impl Store {
    fn view(&self) -> impl Iterator<Item = (&Name, &Bucket)> {
        let granted: BTreeSet<String> = in_mask(self.granted).map(scope).collect();
        self.buckets.iter().filter(move |(name, _)| granted.contains(&name.0))
    }

    fn put(&mut self, number: u8, scopes: u8, salt: u8) {
        let (version, kind) = (self.position.version, u32::from(number) % 3 + 1);
        let before = self.placed.insert(number, scopes).unwrap_or(0);
        let document = Bytes::from(vec![salt; 1 + usize::from(number) % 5]);
        for place in in_mask(before | scopes) {
            let bucket = self.buckets.entry((scope(place), kind)).or_insert_with(|| {
                self.next_id += 1;
                Bucket { id: self.next_id, created: version, ..Bucket::default() }
            });
            bucket.head = version;
            let stays = scopes & (1 << place) != 0;
            if !stays {
                bucket.removed = version;
            }
            bucket.rows.insert(record(number), (version, stays.then(|| document.clone())));
        }
    }
}

fn entry(name: &Name, bucket: &Bucket, action: BucketAction, named: bool) -> BucketPlan {
    let (scope, kind) = if named { name.clone() } else { (String::new(), 0) };
    let group = group(name);
    BucketPlan { bucket_id: bucket.id, scope, kind, action: action.into(), group, ..BucketPlan::default() }
}
