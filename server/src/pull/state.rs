//! What a device has of each bucket, as the server follows it through one pull.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roundsman_proto::sync::pull_response::Message;
use roundsman_proto::sync::{BucketAction, BucketPlan, BucketState, Checkpoint, Page, Plan};
use roundsman_sync::kind::{self, Group, WakeClass, wake_class};
use roundsman_sync::page::{Cursor, PageSize};
use roundsman_sync::scope::Month;
use roundsman_sync::version::Position;

use super::View;
use super::repair::Repair;
use super::shared::{Epoch, Packed, Place, Source};
use crate::grants::Holding;
use crate::store::bucket::Bucket;
use crate::store::tenant::Head;
use crate::tail::Tail;

/// A bucket that the device has, or is about to have.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The checkpoint that covers it.
    pub group: Group,
    /// Where reading goes on.
    pub cursor: Cursor,
    /// Where the device is, with what was sent; from there to `cursor` is nothing.
    pub reached: Cursor,
    /// Named by a plan since the last checkpoint that covered it.
    pub planned: bool,
    /// The bytes that are expected, for a bucket that begins from nothing.
    pub fresh_bytes: i64,
    /// It is mended.
    pub repair: Option<Repair>,
    /// Which shared pages do.
    pub source: Source,
}

impl Held {
    /// A bucket of which the device has everything up to `cursor`; `None`: not one that this program can hand out.
    pub fn new(bucket: &Bucket, month: Month, cursor: Cursor) -> Option<Self> {
        let group = kind::group(bucket.scope.parse().ok()?, kind::from_number(bucket.kind)?, month);
        let (reached, source) = (cursor, Source::default());
        Some(Self { group, cursor, reached, planned: false, fresh_bytes: 0, repair: None, source })
    }
}

/// A follower keeps so many tails for later at most.
const WAITING: usize = 64;

/// What a tail means for a follower.
pub(super) enum News {
    /// Nothing.
    Nothing,
    /// Something that can wait a little.
    Soon,
    /// These rows, with their plan and checkpoint.
    Rows(Vec<Message>),
    /// More than a tail tells: an ordinary cut finds out.
    Unclear,
}

/// What a follower has heard of and not been sent.
enum Waiting {
    /// These tails, one after the other.
    Tails(Vec<Arc<Tail>>),
    /// More than should be kept: an ordinary cut finds out.
    Unclear,
}

impl Default for Waiting {
    fn default() -> Self {
        Self::Tails(Vec::new())
    }
}

impl Waiting {
    /// One more, the last removal from whose buckets was at this version.
    fn push(&mut self, tail: &Arc<Tail>, removed: i64) {
        let Self::Tails(tails) = self else { return };
        // What has left must not travel any more, and an earlier tail may have it.
        let has_left = tails.first().is_some_and(|first| removed >= first.position.version);
        if has_left || tails.len() == WAITING || !tail.may_wait() {
            *self = Self::Unclear;
        } else {
            tails.push(Arc::clone(tail));
        }
    }
}

/// The device, as the server knows it.
pub(super) struct State {
    kinds: BTreeSet<i64>,
    month: Month,
    holding: Arc<Holding>,
    served: Position,
    /// Up to here it is known what commits mean for the device: nothing, or something that waits.
    heard: i64,
    waiting: Waiting,
    oldest: i64,
    epoch: Epoch,
    size: PageSize,
    held: BTreeMap<i64, Held>,
    /// What was seen last, as long as it may be seen again.
    view: Option<View>,
}

impl State {
    /// After the first plan, made at `view`.
    pub fn new(
        kinds: BTreeSet<i64>,
        month: Month,
        (view, epoch, size): (&View, Epoch, PageSize),
        (held, oldest): (BTreeMap<i64, Held>, i64),
    ) -> Self {
        let (holding, served) = (Arc::clone(&view.holding), view.head.position);
        let (heard, waiting) = (served.version, Waiting::default());
        let mut state = Self { kinds, month, holding, served, heard, waiting, oldest, epoch, size, held, view: None };
        state.look(view);
        state
    }

    /// The pages that are shared now.
    pub fn enter(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Keeps what was seen, for the next time.
    pub fn keep(&mut self, view: View) {
        self.view = Some(view);
    }

    /// What was seen last, if the tenant is still there: nothing can have become different.
    pub fn seen(&mut self, head: &Head) -> Option<View> {
        let view = self.view.take().filter(|view| view.head.position == head.position)?;
        Some(View { head: *head, ..view })
    }

    /// Keeps nothing for the next time, which may be far off.
    pub fn rest(&mut self) {
        self.view = None;
    }

    /// Sees what has become of the buckets.
    fn look(&mut self, view: &View) {
        for bucket in &view.buckets {
            if let Some(held) = self.held.get_mut(&bucket.id) {
                held.source = Source::of(bucket, view.head.horizon, self.size);
            }
        }
    }

    /// Whether tombstones that the device has not seen are gone: then what was sent can't be completed.
    pub fn overtaken(&self, horizon: i64) -> bool {
        horizon > self.oldest
    }

    /// The kinds that app and server both know.
    pub fn kinds(&self) -> &BTreeSet<i64> {
        &self.kinds
    }

    /// Everything that the device has is as it was here, or as it will be with what is on its way.
    pub fn served(&self) -> Position {
        self.served
    }

    /// The bytes that buckets without a beginning still need.
    pub fn fresh_bytes(&self) -> i64 {
        self.held.values().map(|held| held.fresh_bytes).sum()
    }

    /// The buckets of the groups up to `group` that may lack rows up to `version`, if they are known to lack so many bytes.
    pub fn behind(&self, group: Group, version: i64, bytes: i64) -> Vec<i64> {
        let lacks = |held: &&Held| held.group <= group && held.planned && held.cursor.version <= version;
        self.held.iter().filter(|(_, held)| lacks(held) && held.fresh_bytes >= bytes).map(|(id, _)| *id).collect()
    }

    /// Where reading a bucket goes on, with pages that were packed up to a version.
    pub fn place(&self, tenant: i64, id: i64, packed_to: i64) -> Option<Place> {
        let Held { cursor, source, fresh_bytes, .. } = *self.held.get(&id)?;
        Some(Place { tenant, bucket: id, epoch: self.epoch, cursor, source, fresh: fresh_bytes > 0, packed_to })
    }

    /// Whether rows of a bucket are missing, in a group that is wanted.
    pub fn lacks(&self, bucket: &Bucket, group: Group) -> bool {
        self.held.get(&bucket.id).is_some_and(|held| held.group <= group && bucket.head >= held.cursor.version)
    }

    /// How a bucket is mended, as long as what was compared is not read to its end.
    pub fn repair(&self, id: i64) -> Option<Repair> {
        let held = self.held.get(&id)?;
        held.repair.filter(|repair| held.cursor.version <= repair.through)
    }

    /// A page of a bucket was read, with rows up to a version. It is sent as one that begins where the device is, or before.
    pub fn read(&mut self, id: i64, packed: Packed, version: i64) -> Page {
        let Packed { mut page, through, at, last } = packed;
        self.oldest = self.oldest.min(at.version);
        if let Some(held) = self.held.get_mut(&id) {
            let from = page.from.as_ref().and_then(|from| Cursor::try_from(from).ok());
            if from.is_none_or(|from| from > held.reached) {
                page.from = Some(held.reached.into());
            }
            held.reached = through;
            held.cursor = if last { through.max(Cursor::after(version)) } else { through };
        }
        page
    }

    /// A bucket was read to its end at this version.
    pub fn end(&mut self, id: i64, version: i64) {
        if let Some(held) = self.held.get_mut(&id) {
            held.cursor = Cursor::after(version);
        }
    }

    /// What has to be planned in addition: scopes lost and gained, and buckets that have news.
    pub fn replan(&mut self, view: &View, group: Group) -> Plan {
        let mut plan = Plan { version: view.head.position.version, ..Plan::default() };
        let granted: BTreeSet<i64> = view.buckets.iter().map(|bucket| bucket.id).collect();
        self.held.retain(|id, held| {
            let keep = granted.contains(id);
            if !keep {
                plan.buckets.push(BucketPlan {
                    bucket_id: *id,
                    action: BucketAction::Drop.into(),
                    group: held.group as u32,
                    ..BucketPlan::default()
                });
            }
            keep
        });
        for bucket in &view.buckets {
            match self.held.get_mut(&bucket.id) {
                Some(held) => {
                    if held.group <= group && !held.planned && bucket.head >= held.cursor.version {
                        held.planned = true;
                        plan.buckets.push(entry(bucket, held.group, BucketAction::Append));
                    }
                }
                None => {
                    let Some(held) = Held::new(bucket, self.month, Cursor::default()) else {
                        continue;
                    };
                    let held = Held { planned: true, fresh_bytes: bucket.bytes, ..held };
                    plan.buckets.push(named(entry(bucket, held.group, BucketAction::Append), bucket));
                    self.held.insert(bucket.id, held);
                }
            }
        }
        self.holding = Arc::clone(&view.holding);
        self.look(view);
        plan
    }

    /// Everything of the groups up to `group` is sent up to the view.
    pub fn reach(&mut self, view: &View, group: Group) -> Checkpoint {
        let position = view.head.position;
        let mut buckets = Vec::new();
        for bucket in &view.buckets {
            let Some(held) = self.held.get_mut(&bucket.id).filter(|held| held.group <= group) else {
                continue;
            };
            if held.planned {
                buckets.push(state_of(bucket));
            }
            // Of what no plan has named only the last checkpoint tells that it is up to date.
            if held.planned || group == Group::History {
                held.cursor = Cursor::after(position.version);
                held.reached = held.cursor;
            }
            held.planned = false;
            held.fresh_bytes = 0;
        }
        self.served = position;
        self.heard = position.version;
        self.waiting = Waiting::default();
        if group == Group::History {
            self.oldest = position.version;
        }
        Checkpoint {
            position: Some(position.into()),
            group: group as u32,
            last: group == Group::History,
            buckets,
            scope_digest: self.holding.digest(&self.kinds),
            durable_version: view.head.durable_version,
            ..Checkpoint::default()
        }
    }

    /// What a commit means for this follower: without a query, unless what it holds has changed. What is not urgent waits
    /// for what is, or until it is due.
    pub fn hear(&mut self, tail: &Arc<Tail>, now_us: i64) -> News {
        if tail.position.version <= self.heard {
            return News::Nothing;
        }
        let contiguous = tail.after <= self.heard;
        let regranted = tail.internal.iter().any(|id| self.holding.grants.binary_search(id).is_ok());
        let Some(buckets) = tail.buckets.as_ref().filter(|_| contiguous && !regranted) else {
            return News::Unclear;
        };
        // Before anything is noted as sent: the cut that follows has to bring all of it.
        if buckets.iter().any(|touched| !self.held.contains_key(&touched.bucket.id) && self.wants(&touched.bucket)) {
            return News::Unclear;
        }
        let touched = buckets.iter().map(|touched| &touched.bucket).filter(|bucket| self.held.contains_key(&bucket.id));
        let class = touched.clone().filter_map(|bucket| kind::from_number(bucket.kind)).map(wake_class).min();
        let removed = touched.map(|bucket| bucket.last_removal).max().unwrap_or(0);
        self.heard = tail.position.version;
        let Some(class) = class else {
            if matches!(&self.waiting, Waiting::Tails(tails) if tails.is_empty()) {
                self.advance(tail.position);
            }
            return News::Nothing;
        };
        self.waiting.push(tail, removed);
        match class {
            WakeClass::Now => self.take_waiting(now_us),
            WakeClass::Soon => News::Soon,
            WakeClass::Ride => News::Nothing,
        }
    }

    /// What has waited, to be sent now.
    pub fn take_waiting(&mut self, now_us: i64) -> News {
        let Waiting::Tails(tails) = std::mem::take(&mut self.waiting) else { return News::Unclear };
        let Some(last) = tails.last() else { return News::Nothing };
        let mut plan = Plan { version: last.position.version, ..Plan::default() };
        let (mut pages, mut states, mut reached) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for touched in tails.iter().flat_map(|tail| tail.buckets.iter().flatten()) {
            let bucket = &touched.bucket;
            let Some(held) = self.held.get_mut(&bucket.id) else { continue };
            let (rows, bytes) = touched.size;
            match plan.buckets.iter_mut().find(|entry| entry.bucket_id == bucket.id) {
                Some(entry) => (entry.rows, entry.bytes) = (entry.rows + rows, entry.bytes + bytes),
                None => {
                    plan.buckets.push(BucketPlan { rows, bytes, ..entry(bucket, held.group, BucketAction::Append) });
                }
            }
            for page in &touched.pages {
                // Between two tails is nothing.
                let from = reached.insert(bucket.id, page.through.clone()).unwrap_or_else(|| page.from.clone());
                pages.push(Message::Page(Page { from, ..page.clone() }));
            }
            states.insert(bucket.id, state_of(bucket));
            held.cursor = Cursor::after(last.position.version);
            held.reached = held.cursor;
        }
        let (position, durable_version) = (last.position, last.durable_version);
        self.advance(position);
        let mut messages = vec![Message::Plan(plan)];
        messages.extend(pages);
        messages.push(Message::Checkpoint(Checkpoint {
            position: Some(position.into()),
            group: Group::History as u32,
            last: true,
            buckets: states.into_values().collect(),
            scope_digest: self.holding.digest(&self.kinds),
            durable_version,
            server_time_us: now_us,
        }));
        News::Rows(messages)
    }

    /// Everything is sent up to here.
    fn advance(&mut self, position: Position) {
        self.served = position;
        self.oldest = position.version;
    }

    /// Whether a bucket that the device does not have belongs to what it holds.
    fn wants(&self, bucket: &Bucket) -> bool {
        self.kinds.contains(&bucket.kind)
            && bucket.scope.parse().is_ok_and(|scope| self.holding.scopes.contains(&scope))
    }
}

/// A plan's entry for a bucket that the device knows by its number.
pub(super) fn entry(bucket: &Bucket, group: Group, action: BucketAction) -> BucketPlan {
    BucketPlan {
        bucket_id: bucket.id,
        action: action.into(),
        group: group as u32,
        rows: bucket.rows,
        bytes: bucket.bytes,
        ..BucketPlan::default()
    }
}

/// The same for one that it does not know.
pub(super) fn named(entry: BucketPlan, bucket: &Bucket) -> BucketPlan {
    BucketPlan { scope: bucket.scope.clone(), kind: u32::try_from(bucket.kind).unwrap_or(0), ..entry }
}

fn state_of(bucket: &Bucket) -> BucketState {
    BucketState { bucket_id: bucket.id, rows: bucket.rows, checksum: bucket.checksum }
}
