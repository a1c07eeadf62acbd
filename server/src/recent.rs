//! Records as the last commits left them: a batch reads from the database only what no batch has met lately. One writer for
//! each tenant makes that simple. What is kept of a tenant counts as long as the tenant is where this process left it; a
//! batch that finds it elsewhere, because another process has written or the end of a commit was not heard, forgets it all.

use std::collections::HashMap;
use std::sync::Mutex;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use roundsman_sync::version::Position;
use uuid::Uuid;

use crate::workspace::{Change, Stored};

/// What is kept, of all tenants together.
const BYTES: u64 = 64 * 1024 * 1024;
/// What an entry takes beside its document and its stamps.
const ENTRY_BYTES: usize = 192;
/// So many records are expected; there may be more.
const RECORDS: usize = 16_384;

/// What this process remembers of the tenants' records.
#[derive(Debug)]
pub struct Recent {
    records: Cache<(Epoch, Uuid), Stored, Bytes>,
    tenants: Mutex<Tenants>,
}

/// What is remembered of a tenant, from the moment when all was forgotten that had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

#[derive(Debug, Default)]
struct Tenants {
    last: u64,
    at: HashMap<i64, (Position, Epoch)>,
}

#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<(Epoch, Uuid), Stored> for Bytes {
    fn weight(&self, _: &(Epoch, Uuid), stored: &Stored) -> u64 {
        (ENTRY_BYTES + stored.document.len() + stored.stamps.len()) as u64
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { records: Cache::with_weighter(RECORDS, BYTES, Bytes), tenants: Mutex::default() }
    }
}

impl Recent {
    /// What is remembered of a tenant that is at this position: nothing, if it was left elsewhere.
    pub fn at(&self, tenant: i64, position: Position) -> Epoch {
        let mut tenants = self.tenants.lock().expect("nothing panics while it holds the tenants");
        match tenants.at.get(&tenant) {
            Some((left, epoch)) if *left == position => *epoch,
            _ => {
                tenants.last += 1;
                let epoch = Epoch(tenants.last);
                tenants.at.insert(tenant, (position, epoch));
                epoch
            }
        }
    }

    /// Forgets a tenant, where what is stored may not be as it was read: it may have been repaired by hand.
    pub fn forget(&self, tenant: i64) {
        self.tenants.lock().expect("nothing panics while it holds the tenants").at.remove(&tenant);
    }

    /// How much is kept, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.records.weight()
    }

    /// A live record; `None`: it may be there all the same.
    #[must_use]
    pub fn find(&self, epoch: Epoch, id: Uuid) -> Option<Stored> {
        self.records.get(&(epoch, id))
    }

    /// Remembers what was read. What is removed, or not there, is not worth it: nobody asks for it again and again.
    pub fn read(&self, epoch: Epoch, id: Uuid, stored: &Stored) {
        if stored.removed_at_us.is_none() {
            self.records.insert((epoch, id), stored.clone());
        }
    }

    /// Follows a commit. Of what was not remembered nothing is: an import would push out what orders need.
    pub fn follow(&self, tenant: i64, epoch: Epoch, position: Position, changes: Vec<Change>) {
        // Should this end half-way, what is kept counts no more.
        self.forget(tenant);
        for Change { id, after, .. } in changes {
            let key = (epoch, id);
            if after.removed_at_us.is_some() {
                self.records.remove(&key);
            } else {
                // It gives back what it has no place for.
                let _ = self.records.replace(key, after, false);
            }
        }
        let mut tenants = self.tenants.lock().expect("nothing panics while it holds the tenants");
        tenants.at.insert(tenant, (position, epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: i64 = 7;

    fn position(version: i64) -> Position {
        Position { version, nonce: version.cast_unsigned() }
    }

    fn stored(version: i64) -> Stored {
        let document = version.to_string().into_bytes().into();
        Stored { kind: 1, version, document, stamps: bytes::Bytes::new(), removed_at_us: None, survivor: None }
    }

    fn change(id: Uuid, after: Stored) -> Change {
        Change { id, before: None, after }
    }

    #[test]
    fn what_was_read_is_remembered_as_commits_leave_it() {
        let recent = Recent::default();
        let [read, removed, new] = [1, 2, 3].map(Uuid::from_u128);
        let epoch = recent.at(TENANT, position(1));
        recent.read(epoch, read, &stored(1));
        recent.read(epoch, removed, &stored(1));
        let gone = Stored { removed_at_us: Some(1), ..stored(2) };
        let changes = vec![change(read, stored(2)), change(removed, gone.clone()), change(new, stored(2))];
        recent.follow(TENANT, epoch, position(2), changes);
        assert_eq!(recent.at(TENANT, position(2)), epoch);
        assert_eq!(recent.find(epoch, read), Some(stored(2)));
        assert_eq!(recent.find(epoch, removed), None);
        assert_eq!(recent.find(epoch, new), None, "nobody has asked for it");
        recent.read(epoch, removed, &gone);
        assert_eq!(recent.find(epoch, removed), None, "a removed record is read each time");
    }

    #[test]
    fn a_tenant_that_others_moved_is_forgotten() {
        let recent = Recent::default();
        let id = Uuid::from_u128(1);
        let epoch = recent.at(TENANT, position(1));
        recent.read(epoch, id, &stored(1));
        let other = recent.at(TENANT + 1, position(1));
        assert_eq!(recent.find(other, id), None, "another tenant's record");
        let forked = Position { version: 1, nonce: 8 };
        let later = recent.at(TENANT, forked);
        assert_ne!(later, epoch);
        assert_eq!(recent.find(later, id), None);
        assert_ne!(recent.at(TENANT, position(1)), epoch, "where it was before, it is not as it was");
    }
}
