//! How a checkpoint is applied: everything that was staged for the buckets that it covers, in one transaction.

use std::collections::BTreeSet;

use roundsman_proto::sync as proto;
use uuid::Uuid;

use super::storage::{At, Bucket, Change, Document, Member, Slot, State, Storage};
use super::{Course, Event, Flight, Replica, ReplicaError, shown_hash};
use crate::checksum::{Checksum, Partitions, row_hash};
use crate::page::{self, Cursor, Row};
use crate::version::Position;

/// What a checkpoint did.
struct Applied {
    state: State,
    changed: usize,
    damaged: BTreeSet<Slot>,
    released: BTreeSet<Uuid>,
}

/// Where rows are applied, and the records that have lost a membership and kept others: their document may be that of the
/// lost one.
struct Target<'s, S> {
    storage: &'s mut S,
    released: BTreeSet<Uuid>,
}

impl<S: Storage> Replica<S> {
    pub(super) fn checkpoint(&mut self, checkpoint: &proto::Checkpoint) -> Result<Event, ReplicaError<S::Error>> {
        let position: Position = checkpoint.position.ok_or(ReplicaError::NoPosition)?.into();
        if let Some(held) = self.position()
            && held.version > position.version
            && !self.flight.fork
        {
            return Err(ReplicaError::WentBack { held: held.version, offered: position.version });
        }
        let applied = self.apply(checkpoint, position);
        let Applied { state, changed, damaged, released } = self.settle(applied)?;
        let name = |slot: &Slot| (state.buckets[slot].scope.to_string(), state.buckets[slot].kind);
        let event = Event::Checkpoint {
            group: checkpoint.group,
            last: checkpoint.last,
            position,
            changed,
            damaged: damaged.iter().map(name).collect(),
        };
        self.flight.land(checkpoint, position, &damaged);
        self.flight.released = if checkpoint.last { BTreeSet::new() } else { released };
        self.state = state;
        Ok(event)
    }

    fn apply(&mut self, checkpoint: &proto::Checkpoint, position: Position) -> Result<Applied, ReplicaError<S::Error>> {
        let mut state = self.state.clone();
        if self.flight.fork {
            self.storage.write(Change::Forget).map_err(ReplicaError::Storage)?;
        }
        let covered: Vec<(Slot, Course)> = self.flight.covered(checkpoint).collect();
        let mut changed = 0;
        let mut target = Target { storage: &mut self.storage, released: self.flight.released.clone() };
        // First everything that goes, so that an old document does not outweigh the one that replaces it.
        for (slot, course) in &covered {
            let Some(bucket) = state.buckets.get_mut(slot) else {
                continue;
            };
            let cleared = match &course.repair {
                Some(partitions) => target.clear_partitions(*slot, bucket, partitions),
                None if course.replace => target.clear(*slot, bucket),
                None => continue,
            };
            changed += cleared.map_err(ReplicaError::Storage)?;
        }
        for (slot, _) in &covered {
            let Some(bucket) = state.buckets.get_mut(slot) else {
                continue;
            };
            changed += target.explode(*slot, bucket)?;
        }
        let released = target.released;
        self.flight.settle_positions(&mut state, checkpoint, position);
        let mut damaged = self.verify(&mut state, checkpoint)?;
        damaged.extend(self.compare(&mut state, &released).map_err(ReplicaError::Storage)?);
        self.save(&state, &BTreeSet::new())?;
        Ok(Applied { state, changed, damaged, released })
    }

    /// Marks the buckets that are at the checkpoint and whose memberships of these records are of another document than the
    /// one that is there: their own was outweighed by one that is gone. A bucket that lags may still get its own.
    fn compare(&self, state: &mut State, released: &BTreeSet<Uuid>) -> Result<BTreeSet<Slot>, S::Error> {
        let mut damaged = BTreeSet::new();
        for record in released {
            let Some(document) = self.storage.document(*record)? else { continue };
            let hash = row_hash(*record, &document.bytes);
            let at_head = |bucket: &Bucket| bucket.kind == document.kind && bucket.at == At::Head;
            for (slot, bucket) in state.buckets.iter_mut().filter(|(_, bucket)| at_head(bucket)) {
                let (member, _) = self.storage.look(*slot, *record)?;
                if member.is_some_and(|member| member.hash != hash) {
                    bucket.at = At::Damaged;
                    damaged.insert(*slot);
                }
            }
        }
        Ok(damaged)
    }

    /// Compares the buckets with what they must hold, and marks those that differ.
    fn verify(
        &self,
        state: &mut State,
        checkpoint: &proto::Checkpoint,
    ) -> Result<BTreeSet<Slot>, ReplicaError<S::Error>> {
        let mut damaged = BTreeSet::new();
        for must in &checkpoint.buckets {
            let covered = |slot: &Slot| {
                checkpoint.last || self.flight.courses.get(slot).is_some_and(|course| course.covered_by(checkpoint))
            };
            let slot = self.flight.numbers.get(&must.bucket_id).copied().filter(covered);
            let bucket = slot.and_then(|slot| Some((slot, state.buckets.get_mut(&slot)?)));
            let (slot, bucket) = bucket.ok_or(ReplicaError::NotPlanned(must.bucket_id))?;
            if (bucket.rows, bucket.checksum) != (must.rows, Checksum(must.checksum)) {
                bucket.at = At::Damaged;
                damaged.insert(slot);
            }
        }
        Ok(damaged)
    }

    /// Writes what differs between the held state and the next one, except the buckets that are only planned.
    pub(super) fn save(&mut self, next: &State, fresh: &BTreeSet<Slot>) -> Result<(), ReplicaError<S::Error>> {
        let (storage, held) = (&mut self.storage, &self.state);
        let mut write = |change| storage.write(change).map_err(ReplicaError::Storage);
        if next.head != held.head {
            write(Change::Head(&next.head))?;
        }
        for (slot, bucket) in &held.buckets {
            let stays = next.buckets.get(slot);
            if bucket.staging.is_some() && stays.is_none_or(|bucket| bucket.staging.is_none()) {
                write(Change::Unstage(*slot))?;
            }
            if stays.is_none() {
                write(Change::Bucket(*slot, None))?;
            }
        }
        for (slot, bucket) in &next.buckets {
            let stored = !self.flight.fresh.contains(slot) && held.buckets.get(slot) == Some(bucket);
            if !stored && !fresh.contains(slot) {
                write(Change::Bucket(*slot, Some(bucket)))?;
            }
        }
        Ok(())
    }
}

impl Course {
    /// A bucket that goes, goes with the next checkpoint, whatever its group.
    fn covered_by(&self, checkpoint: &proto::Checkpoint) -> bool {
        checkpoint.last || self.group <= checkpoint.group || self.drop
    }
}

impl Flight {
    fn covered(&self, checkpoint: &proto::Checkpoint) -> impl Iterator<Item = (Slot, Course)> {
        let courses = self.courses.iter().map(|(slot, course)| (*slot, *course));
        courses.filter(|(_, course)| course.covered_by(checkpoint))
    }

    /// Says where each bucket is after the checkpoint, and which are gone.
    fn settle_positions(&self, state: &mut State, checkpoint: &proto::Checkpoint, position: Position) {
        let before = state.head.position.replace(position);
        state.buckets.retain(|slot, bucket| {
            let course = self.courses.get(slot);
            let named = course.is_some_and(|course| course.covered_by(checkpoint));
            // Everything wanted has come, and nothing of this one: it is no longer the user's.
            let lost = checkpoint.last && course.is_none() && bucket.at == At::Nothing;
            if lost || course.is_some_and(|course| course.drop) {
                return false;
            }
            if let Some(course) = course {
                (bucket.id, bucket.group) = (course.id, course.group);
            }
            bucket.at = match bucket.at {
                _ if named => At::Head,
                At::Head if checkpoint.last => At::Head,
                // Where it was belongs to the history that is gone, and so may what outweighed its documents.
                At::Head | At::Behind(_) if self.fork => At::Damaged,
                At::Head => before.map_or(At::Head, At::Behind),
                At::Behind(_) if checkpoint.last => At::Head,
                at @ (At::Behind(_) | At::Nothing | At::Damaged) => at,
            };
            if named || checkpoint.last {
                bucket.staging = None;
            }
            true
        });
        state.head.scope_digest = checkpoint.scope_digest;
    }

    /// What the stream may still bring after a checkpoint goes on from there.
    fn land(&mut self, checkpoint: &proto::Checkpoint, position: Position, damaged: &BTreeSet<Slot>) {
        self.courses.retain(|slot, course| !course.drop && !damaged.contains(slot));
        for course in self.courses.values_mut().filter(|course| course.covered_by(checkpoint)) {
            (course.base, course.replace, course.repair) = (Cursor::after(position.version), false, None);
        }
        self.fresh.clear();
        self.fork = false;
        self.open &= !checkpoint.last;
    }
}

impl<S: Storage> Target<'_, S> {
    /// Takes all memberships of a bucket away.
    fn clear(&mut self, slot: Slot, bucket: &mut Bucket) -> Result<usize, S::Error> {
        if bucket.at == At::Nothing {
            return Ok(0);
        }
        let members = self.storage.members(slot)?;
        for (record, _) in &members {
            self.expel(slot, *record)?;
        }
        (bucket.rows, bucket.checksum) = (0, Checksum::default());
        Ok(members.len())
    }

    /// Takes a bucket's memberships of these partitions away. What it says of the rest is made anew from the documents, as
    /// the sums were by which the partitions were found.
    fn clear_partitions(
        &mut self,
        slot: Slot,
        bucket: &mut Bucket,
        partitions: &Partitions,
    ) -> Result<usize, S::Error> {
        let mut cleared = 0;
        (bucket.rows, bucket.checksum) = (0, Checksum::default());
        for (record, member) in self.storage.members(slot)? {
            let shown = shown_hash(&*self.storage, record)?;
            let Some(hash) = shown.filter(|_| !partitions.contain(record)) else {
                self.expel(slot, record)?;
                cleared += 1;
                continue;
            };
            bucket.rows += 1;
            bucket.checksum.add(hash);
            if hash != member.hash {
                self.storage.write(Change::Member(slot, record, Some(Member { hash, ..member })))?;
            }
        }
        Ok(cleared)
    }

    fn expel(&mut self, slot: Slot, record: Uuid) -> Result<(), S::Error> {
        let (_, holding) = self.storage.look(slot, record)?;
        self.release(slot, record, holding.map_or(0, |holding| holding.holders.saturating_sub(1)))
    }

    /// Takes a membership away of a record that so many others hold.
    fn release(&mut self, slot: Slot, record: Uuid, others: u32) -> Result<(), S::Error> {
        if others > 0 {
            self.released.insert(record);
        }
        self.storage.write(Change::Member(slot, record, None))?;
        self.storage.write(Change::Holders(record, others))
    }

    /// Applies the staged pages of a bucket.
    fn explode(&mut self, slot: Slot, bucket: &mut Bucket) -> Result<usize, ReplicaError<S::Error>> {
        let mut changed = 0;
        for number in 0..bucket.staging.map_or(0, |staging| staging.pages) {
            let page = self.storage.page(slot, number).map_err(ReplicaError::Storage)?;
            let rows = page.and_then(|page| page::unpack(&page).ok()).ok_or(ReplicaError::Lost(bucket.id))?;
            for row in rows {
                changed += usize::from(self.take(slot, bucket, &row).map_err(ReplicaError::Storage)?);
            }
        }
        Ok(changed)
    }

    /// Applies one row; says whether it was news.
    fn take(&mut self, slot: Slot, bucket: &mut Bucket, row: &Row) -> Result<bool, S::Error> {
        let (member, holding) = self.storage.look(slot, row.record)?;
        if member.is_some_and(|member| member.version >= row.version) {
            return Ok(false);
        }
        if let Some(member) = member {
            bucket.checksum.remove(member.hash);
            bucket.rows -= 1;
        }
        let others = holding.map_or(0, |holding| holding.holders).saturating_sub(u32::from(member.is_some()));
        let Some(bytes) = &row.document else {
            if member.is_some() {
                self.release(slot, row.record, others)?;
            }
            return Ok(member.is_some());
        };
        let hash = row_hash(row.record, bytes);
        bucket.checksum.add(hash);
        bucket.rows += 1;
        self.storage.write(Change::Member(slot, row.record, Some(Member { version: row.version, hash })))?;
        match holding {
            // At the same version the two are the same, unless the one that is held was damaged.
            Some(holding) if holding.version > row.version => {
                if member.is_none() {
                    self.storage.write(Change::Holders(row.record, others + 1))?;
                }
            }
            _ => {
                let document = Document { kind: bucket.kind, version: row.version, bytes: bytes.clone() };
                self.storage.write(Change::Document(row.record, &document, others + 1))?;
            }
        }
        Ok(true)
    }
}
