//! What a plan changes: which buckets there are, under which numbers, and what is about to happen to each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use roundsman_proto::sync as proto;
use roundsman_proto::sync::BucketAction;

use super::storage::{At, Bucket, Slot, State, Storage};
use super::{Course, Event, Flight, Replica, ReplicaError, START};
use crate::checksum::{Checksum, Partitions};
use crate::page::Cursor;

impl<S: Storage> Replica<S> {
    pub(super) fn plan(&mut self, plan: &proto::Plan) -> Result<Event, ReplicaError<S::Error>> {
        let (mut state, mut flight) = (self.state.clone(), self.flight.clone());
        flight.fork |= plan.fork;
        flight.open = true;
        for (entry, slot) in resolve(plan, &mut state, &mut flight)? {
            follow(entry, plan.version, slot, &mut state, &mut flight)?;
        }
        flight.numbers = numbers(&state, &flight)?;
        let written = self.save(&state, &flight.fresh);
        self.settle(written)?;
        (self.state, self.flight, self.inventory) = (state, flight, false);
        let sum = |of: fn(&proto::BucketPlan) -> i64| plan.buckets.iter().map(of).fold(0, i64::saturating_add);
        Ok(Event::Planned { rows: sum(|entry| entry.rows), bytes: sum(|entry| entry.bytes) })
    }
}

/// Finds the bucket of each entry, by the numbers that held before this plan, or makes it.
fn resolve<'p, E: std::error::Error>(
    plan: &'p proto::Plan,
    state: &mut State,
    flight: &mut Flight,
) -> Result<Vec<(&'p proto::BucketPlan, Slot)>, ReplicaError<E>> {
    let by_id = numbers(state, flight)?;
    let mut by_name: HashMap<(Arc<str>, u32), Slot> =
        state.buckets.iter().map(|(slot, bucket)| ((bucket.scope.clone(), bucket.kind), *slot)).collect();
    let mut found = Vec::with_capacity(plan.buckets.len());
    for entry in &plan.buckets {
        let slot = if entry.scope.is_empty() {
            by_id.get(&entry.bucket_id).copied()
        } else if entry.kind == 0 {
            return Err(ReplicaError::Kind(entry.bucket_id));
        } else {
            by_name.get(&(entry.scope.as_str().into(), entry.kind)).copied()
        };
        let slot = match slot {
            Some(slot) => slot,
            // Nothing to take away.
            None if entry.action() == BucketAction::Drop => continue,
            None if entry.scope.is_empty() => return Err(ReplicaError::Unknown(entry.bucket_id)),
            None => {
                let (slot, bucket) = (next_slot(state), fresh(entry));
                by_name.insert((bucket.scope.clone(), bucket.kind), slot);
                state.buckets.insert(slot, bucket);
                flight.fresh.insert(slot);
                slot
            }
        };
        found.push((entry, slot));
    }
    Ok(found)
}

fn next_slot(state: &State) -> Slot {
    Slot(state.buckets.last_key_value().map_or(0, |(slot, _)| slot.0 + 1))
}

fn fresh(entry: &proto::BucketPlan) -> Bucket {
    Bucket {
        id: entry.bucket_id,
        scope: entry.scope.as_str().into(),
        kind: entry.kind,
        group: entry.group,
        at: At::Nothing,
        rows: 0,
        checksum: Checksum::default(),
        staging: None,
    }
}

/// Notes what will happen to a bucket, and throws away what was staged for something else.
fn follow<E: std::error::Error>(
    entry: &proto::BucketPlan,
    version: i64,
    slot: Slot,
    state: &mut State,
    flight: &mut Flight,
) -> Result<(), ReplicaError<E>> {
    let head = state.head.position;
    let Some(bucket) = state.buckets.get_mut(&slot) else {
        return Err(ReplicaError::Unknown(entry.bucket_id));
    };
    let before = flight.courses.get(&slot);
    let (id, group) = (entry.bucket_id, entry.group);
    let anew = Course { id, group, base: START, replace: true, repair: None, drop: false };
    let course = match entry.action() {
        BucketAction::Unspecified => return Err(ReplicaError::Action(entry.action)),
        BucketAction::Keep => Course { base: Cursor::after(version), replace: false, ..anew },
        BucketAction::Append => match (before, bucket.position(head)) {
            // More of what this pull has already announced: an earlier RESET or KEEP stands, and what was to go is
            // replaced.
            (Some(before), _) => Course { id, group, drop: false, ..*before },
            (None, Some(position)) => Course { base: Cursor::after(position.version), replace: false, ..anew },
            (None, None) => anew,
        },
        BucketAction::Reset => anew,
        BucketAction::Drop => Course { drop: true, ..anew },
        BucketAction::Repair => {
            let repair = Partitions::from_wire(&entry.partitions).ok_or(ReplicaError::Partitions(id))?;
            // Else what is staged to mend it could later be taken for what goes on from where it is.
            if bucket.at != At::Nothing {
                bucket.at = At::Damaged;
            }
            Course { replace: false, repair: Some(repair), ..anew }
        }
    };
    let goes_on = entry.action() == BucketAction::Append && before.is_some();
    let resumes = entry.resumed && matches!(entry.action(), BucketAction::Append | BucketAction::Reset);
    let kept = goes_on || resumes;
    bucket.staging = bucket.staging.filter(|staging| kept && staging.replace == course.replace);
    flight.courses.insert(slot, course);
    Ok(())
}

/// The buckets by the server's numbers: those that the plans of this pull gave, the stored ones otherwise. A bucket of which
/// nothing was applied and that this pull doesn't name gives way, since its number was another server's; so does one that
/// is to go.
fn numbers<E: std::error::Error>(state: &State, flight: &Flight) -> Result<BTreeMap<i64, Slot>, ReplicaError<E>> {
    let mut numbers: BTreeMap<i64, Slot> = BTreeMap::new();
    let yields = |slot: &Slot| match flight.courses.get(slot) {
        Some(course) => course.drop,
        None => state.buckets[slot].at == At::Nothing,
    };
    for (slot, bucket) in &state.buckets {
        let id = flight.courses.get(slot).map_or(bucket.id, |course| course.id);
        match numbers.get(&id) {
            Some(other) if !yields(other) && !yields(slot) => return Err(ReplicaError::Number(id)),
            Some(other) if yields(slot) && !yields(other) => {}
            Some(_) | None => drop(numbers.insert(id, *slot)),
        }
    }
    Ok(numbers)
}
