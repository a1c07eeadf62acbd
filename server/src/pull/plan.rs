//! The first plan of a pull: what will come, decided from what the device says it has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use roundsman_proto::sync::{BucketAction, BucketPlan, HeldBucket, Plan, PullRequest, StagingCursor};
use roundsman_sync::page::Cursor;
use roundsman_sync::scope::Month;
use roundsman_sync::version::Position;

use super::View;
use super::state::{Held, entry, named};
use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::store::bucket::Bucket;
use crate::store::sql::Tx;
use crate::store::tenant::{self, Standing};

/// A request may name many positions; beyond so many different ones the rest counts as unknown.
const POSITIONS: usize = 32;

/// What the server knows of the device's past.
pub(super) struct Known {
    /// Positions of the request that are points of this history.
    positions: HashSet<Position>,
    /// Tombstones at or below this version are gone.
    horizon: i64,
    /// The device has seen a history that this server has not: the sequence number that is expected of it next.
    pub fork: Option<i64>,
    /// What the device holds may be of such a history: there was a fork, or its position is so old that the points of its
    /// time are gone.
    foreign: bool,
}

impl Known {
    /// `shared` is the newest point of what is shared. It and the device's own have been asked for with the standing.
    pub async fn read(
        tx: &mut Tx,
        caller: &Caller,
        request: &PullRequest,
        (standing, [own, shared]): (&Standing, [Option<Position>; 2]),
    ) -> Result<Self, StoreError> {
        let Standing { head, last_seq, known } = standing;
        let here = |point: &Position| *point == head.position;
        let asked = [own, shared].into_iter().zip(known).filter_map(|(point, known)| point.filter(|_| *known));
        let mut positions: HashSet<Position> = asked.collect();
        let named: Vec<Position> = named_positions(request).into_iter().take(POSITIONS).collect();
        positions.extend(own.into_iter().chain(named.iter().copied()).filter(here));
        let others: Vec<Position> = named.into_iter().filter(|point| !here(point) && own != Some(*point)).collect();
        positions.extend(tenant::known(tx, caller.tenant, &others).await?);
        let unproven = own.filter(|position| !positions.contains(position));
        let unknown = unproven.is_some_and(|position| position.version > head.horizon);
        let ahead = request.at_least > head.position.version;
        let lost = unknown || ahead || request.last_outcome_seq > *last_seq;
        let fork = (lost && caller.device.is_some()).then_some(last_seq + 1);
        Ok(Self { positions, horizon: head.horizon, fork, foreign: fork.is_some() || unproven.is_some() })
    }

    /// Whether this is a point of the history.
    pub fn has(&self, position: Position) -> bool {
        self.positions.contains(&position)
    }

    /// Whether a device at this position can be continued: it is of this history, and no tombstone after it is gone.
    fn usable(&self, position: Position) -> bool {
        position.version >= self.horizon && self.positions.contains(&position)
    }
}

/// For the operator: buckets that had to be sent anew, and why.
fn count_reset(reason: &'static str) {
    metrics::counter!("roundsman_bucket_resets_total", "reason" => reason).increment(1);
}

fn named_positions(request: &PullRequest) -> BTreeSet<Position> {
    let lagging = request.lagging.iter().filter_map(|bucket| bucket.position);
    let inventory = request.inventory.iter().filter_map(|bucket| bucket.position);
    let builds = request.staging.iter().flat_map(|staged| staged.oldest_build.into_iter().chain(staged.newest_build));
    request.position.into_iter().chain(lagging).chain(inventory).chain(builds).map(Position::from).collect()
}

/// A plan, and where the device is.
pub(super) struct Planned {
    pub plan: Plan,
    pub held: BTreeMap<i64, Held>,
    /// The lowest version from which this pull goes on: should the horizon pass it meanwhile, tombstones would be missed.
    pub oldest: i64,
}

/// Everything that a plan is made of.
pub(super) struct Planner<'a> {
    pub request: &'a PullRequest,
    pub view: &'a View,
    pub known: &'a Known,
    pub kinds: &'a BTreeSet<i64>,
    pub month: Month,
}

impl Planner<'_> {
    /// The plan; `None`: the device has to tell what it holds.
    pub fn plan(&self) -> Option<Planned> {
        if self.request.has_inventory {
            return Some(self.after_inventory());
        }
        let Some(position) = self.request.position.map(Position::from) else {
            return Some(self.after_position(Position::default(), true));
        };
        let same_scopes = self.request.scope_digest == self.view.holding.digest(self.kinds);
        let sure = self.known.fork.is_none() && self.known.usable(position) && same_scopes;
        sure.then(|| self.after_position(position, false))
    }

    fn empty(&self) -> Planned {
        let plan = Plan { version: self.view.head.position.version, ..Plan::default() };
        Planned { plan, held: BTreeMap::new(), oldest: self.view.head.position.version }
    }

    /// The device knows every bucket that existed at its position.
    fn after_position(&self, position: Position, nothing: bool) -> Planned {
        let lagging: HashMap<i64, Option<Position>> =
            self.request.lagging.iter().map(|lag| (lag.bucket_id, lag.position.map(Position::from))).collect();
        let mut planned = self.empty();
        for bucket in &self.view.buckets {
            if nothing || bucket.created > position.version {
                self.begin(&mut planned, bucket, BucketAction::Append);
                continue;
            }
            match lagging.get(&bucket.id) {
                None => self.go_on(&mut planned, bucket, position, false),
                Some(Some(at)) if self.known.usable(*at) => self.go_on(&mut planned, bucket, *at, false),
                // Nothing of it was applied yet: what was staged goes on.
                Some(None) if self.staged(bucket, |staged| !staged.reset).is_some() => {
                    self.begin(&mut planned, bucket, BucketAction::Append);
                }
                // Damaged, or too old.
                Some(at) => {
                    count_reset(if at.is_some() { "too old" } else { "damaged" });
                    self.begin(&mut planned, bucket, BucketAction::Reset);
                }
            }
        }
        planned
    }

    /// The device tells what it has, bucket by bucket.
    fn after_inventory(&self) -> Planned {
        let mut planned = self.empty();
        planned.plan.fork = self.known.foreign;
        let mut inventory: HashMap<(&str, i64), &HeldBucket> =
            self.request.inventory.iter().map(|held| ((held.scope.as_str(), i64::from(held.kind)), held)).collect();
        for bucket in &self.view.buckets {
            let Some(has) = inventory.remove(&(bucket.scope.as_str(), bucket.kind)) else {
                self.begin(&mut planned, bucket, BucketAction::Append);
                continue;
            };
            let at = has.position.or(self.request.position).map(Position::from);
            // What lags may have documents that were outweighed by newer ones, and those are of the history that is gone:
            // the device does not trust it any more either.
            let lags = self.known.foreign && has.position.is_some();
            match at.filter(|_| !lags) {
                Some(at) if self.known.usable(at) => self.go_on(&mut planned, bucket, at, true),
                // An equal sum alone does not do: a record may have left and come back as it was, while the device has a
                // newer document of it from another bucket.
                Some(at) if bucket.head <= at.version && (has.rows, has.checksum) == (bucket.rows, bucket.checksum) => {
                    self.keep(&mut planned, bucket);
                }
                _ => {
                    count_reset(match at {
                        Some(at) if at.version == 0 => "damaged",
                        _ if self.known.fork.is_some() => "fork",
                        _ => "too old",
                    });
                    self.begin(&mut planned, bucket, BucketAction::Reset);
                }
            }
        }
        let mut dropped: Vec<&HeldBucket> = inventory.into_values().collect();
        dropped.sort_unstable_by_key(|has| has.bucket_id);
        planned.plan.buckets.extend(dropped.into_iter().map(|has| BucketPlan {
            bucket_id: has.bucket_id,
            scope: has.scope.clone(),
            kind: has.kind,
            action: BucketAction::Drop.into(),
            group: 1,
            ..BucketPlan::default()
        }));
        planned
    }

    /// All of a bucket, or the rest of what the device has staged of all of it.
    fn begin(&self, planned: &mut Planned, bucket: &Bucket, action: BucketAction) {
        let staged = self.staged(bucket, |staged| staged.reset || action == BucketAction::Append);
        let cursor = staged.map(|(cursor, oldest)| {
            planned.oldest = planned.oldest.min(oldest);
            cursor
        });
        let Some(held) = Held::new(bucket, self.month, cursor.unwrap_or_default()) else { return };
        let plan = BucketPlan { resumed: staged.is_some(), ..entry(bucket, held.group, action) };
        planned.plan.buckets.push(named(plan, bucket));
        planned.held.insert(bucket.id, Held { planned: true, fresh_bytes: bucket.bytes, ..held });
    }

    /// What changed after `at`.
    fn go_on(&self, planned: &mut Planned, bucket: &Bucket, at: Position, renumber: bool) {
        let news = bucket.head > at.version;
        let staged = self.staged(bucket, |staged| !staged.reset).filter(|_| news);
        let (cursor, oldest) = staged.unwrap_or((Cursor::after(at.version), at.version));
        planned.oldest = planned.oldest.min(oldest.min(at.version));
        let Some(held) = Held::new(bucket, self.month, cursor) else { return };
        if news || renumber {
            let action = if news { BucketAction::Append } else { BucketAction::Keep };
            let plan = BucketPlan { resumed: staged.is_some(), ..entry(bucket, held.group, action) };
            planned.plan.buckets.push(if renumber { named(plan, bucket) } else { plan });
        }
        planned.held.insert(bucket.id, Held { planned: news, ..held });
    }

    /// The device has exactly what the bucket holds.
    fn keep(&self, planned: &mut Planned, bucket: &Bucket) {
        let cursor = Cursor::after(self.view.head.position.version);
        let Some(held) = Held::new(bucket, self.month, cursor) else {
            return;
        };
        planned.plan.buckets.push(named(entry(bucket, held.group, BucketAction::Keep), bucket));
        planned.held.insert(bucket.id, held);
    }

    /// How far the device has staged this bucket, if what it staged can be used: all of it was built in this history, and
    /// since the horizon, or a tombstone that was purged meanwhile would be missed. With the version of its oldest build.
    fn staged(&self, bucket: &Bucket, fits: impl Fn(&StagingCursor) -> bool) -> Option<(Cursor, i64)> {
        let staged = self.request.staging.iter().find(|staged| staged.bucket_id == bucket.id)?;
        let build = |build: Option<roundsman_proto::sync::Position>| {
            build.map(Position::from).is_some_and(|build| self.known.usable(build))
        };
        let usable = self.known.fork.is_none() && build(staged.oldest_build) && build(staged.newest_build);
        let cursor = staged.cursor.as_ref().and_then(|cursor| Cursor::try_from(cursor).ok())?;
        let oldest = staged.oldest_build.map_or(0, |build| build.version);
        (usable && fits(staged)).then_some((cursor, oldest))
    }
}
