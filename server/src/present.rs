//! Where tenants, devices and callers are, as this process knows without asking: most calls find nothing new, and are
//! answered from here.
//!
//! What is known of a tenant counts only while the process hears of every commit: its own, and where other processes write,
//! theirs, too. A commit that was begun and not confirmed may have happened, so until the next one is confirmed the database
//! is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use quick_cache::sync::Cache;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::PullRequest;
use roundsman_sync::version::Position;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::auth::caller::Caller;
use crate::store::tenant::Glance;

/// So many tenants are remembered,
const TENANTS: usize = 4_096;
/// so many devices,
const DEVICES: usize = 65_536;
/// and so many callers.
const CALLERS: usize = 16_384;

/// What this process knows without asking.
#[derive(Debug)]
pub struct Present {
    hears_all: AtomicBool,
    tenants: Cache<i64, Arc<Mutex<Whereabouts>>>,
    last_seqs: Cache<(i64, Uuid), i64>,
    digests: Cache<Holder, (Position, u64)>,
}

/// Where a tenant is.
#[derive(Clone, Copy, Debug, Default)]
struct Whereabouts {
    position: Position,
    durable_version: i64,
    /// A commit was begun that is not confirmed.
    in_doubt: bool,
}

/// Of a caller, all that the scope digest depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    tenant: i64,
    role: Role,
    rep: Option<Uuid>,
    team: Option<Uuid>,
    /// Of the kinds, as the app names them.
    kinds: u64,
}

impl Holder {
    fn of(caller: &Caller, request: &PullRequest) -> Self {
        let Caller { tenant, role, rep, team, .. } = *caller;
        let kinds: Vec<u8> = request.kinds.iter().flat_map(|kind| kind.to_le_bytes()).collect();
        Self { tenant, role, rep, team, kinds: xxh3_64(&kinds) }
    }
}

impl Present {
    /// Nothing is known. `hears_all`: no other process writes.
    #[must_use]
    pub fn new(hears_all: bool) -> Self {
        Self {
            hears_all: hears_all.into(),
            tenants: Cache::new(TENANTS),
            last_seqs: Cache::new(DEVICES),
            digests: Cache::new(CALLERS),
        }
    }

    /// Where a tenant and a device are; `None`: the database must be asked.
    pub(crate) fn glance(&self, tenant: i64, device: Uuid) -> Option<Glance> {
        if !self.hears_all.load(Ordering::Acquire) {
            return None;
        }
        let whereabouts = self.tenants.get(&tenant)?;
        let Whereabouts { position, durable_version, in_doubt } = *lock(&whereabouts);
        let last_seq = self.last_seqs.get(&(tenant, device))?;
        (!in_doubt).then_some(Glance { position, durable_version, last_seq })
    }

    /// The database was asked. Meanwhile something newer may have been heard.
    pub(crate) fn saw(&self, tenant: i64, device: Uuid, glance: &Glance) {
        self.last_seqs.insert((tenant, device), glance.last_seq);
        self.heard(tenant, glance.position, Some(glance.durable_version));
    }

    /// A tenant is here, or farther; and of it, everything up to a version survives the loss of the server, if that was said,
    /// too.
    pub(crate) fn heard(&self, tenant: i64, position: Position, durable_version: Option<i64>) {
        let whereabouts = self.of(tenant);
        let mut known = lock(&whereabouts);
        if position.version >= known.position.version {
            known.position = position;
            known.durable_version = durable_version.unwrap_or(known.durable_version);
        }
    }

    /// From now on every commit of other processes is heard of.
    pub(crate) fn hears_all(&self) {
        self.hears_all.store(true, Ordering::Release);
    }

    /// Commits of other processes may have been missed, or even this process's lost.
    pub(crate) fn hears_no_more(&self) {
        self.hears_all.store(false, Ordering::Release);
        self.tenants.clear();
        self.last_seqs.clear();
    }

    /// A commit begins; unless it is confirmed, nobody knows.
    pub(crate) fn commits(&self, tenant: i64) {
        lock(&self.of(tenant)).in_doubt = true;
    }

    /// It is confirmed; `None`: it moved nothing that devices hold.
    pub(crate) fn committed(&self, tenant: i64, to: Option<(Position, i64)>) {
        if let Some((position, durable_version)) = to {
            self.heard(tenant, position, Some(durable_version));
        }
        lock(&self.of(tenant)).in_doubt = false;
    }

    fn of(&self, tenant: i64) -> Arc<Mutex<Whereabouts>> {
        let new = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(whereabouts) = self.tenants.get_or_insert_with(&tenant, new);
        whereabouts
    }

    /// The digest of what a caller holds, if it was this position at which it was last read: as long as the tenant is there,
    /// it is so.
    pub(crate) fn digest_at(&self, position: Position, caller: &Caller, request: &PullRequest) -> Option<u64> {
        let (read_at, digest) = self.digests.get(&Holder::of(caller, request))?;
        (read_at == position).then_some(digest)
    }

    /// Remembers a digest that was read at this position.
    pub(crate) fn digest_is(&self, position: Position, caller: &Caller, request: &PullRequest, digest: u64) {
        self.digests.insert(Holder::of(caller, request), (position, digest));
    }
}

fn lock(whereabouts: &Mutex<Whereabouts>) -> std::sync::MutexGuard<'_, Whereabouts> {
    whereabouts.lock().expect("nothing panics while it holds a tenant's whereabouts")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: i64 = 7;
    const DEVICE: Uuid = Uuid::from_u128(1);

    fn at(version: i64) -> Position {
        Position { version, nonce: 1 }
    }

    fn glance(version: i64) -> Glance {
        Glance { position: at(version), durable_version: 2, last_seq: 3 }
    }

    #[test]
    fn what_was_seen_does_until_it_moves() {
        let present = Present::new(true);
        assert_eq!(present.glance(TENANT, DEVICE), None);
        present.saw(TENANT, DEVICE, &glance(5));
        assert_eq!(present.glance(TENANT, DEVICE), Some(glance(5)));
        assert_eq!(present.glance(TENANT, Uuid::from_u128(2)), None, "of another device nothing is known");
        assert_eq!(present.glance(TENANT + 1, DEVICE), None, "nor of another tenant's");
        present.commits(TENANT);
        assert_eq!(present.glance(TENANT, DEVICE), None, "it may have happened");
        present.committed(TENANT, Some((at(6), 2)));
        assert_eq!(present.glance(TENANT, DEVICE), Some(glance(6)));
        present.saw(TENANT, DEVICE, &glance(5));
        assert_eq!(present.glance(TENANT, DEVICE), Some(glance(6)), "that was read before");
    }

    #[test]
    fn what_nobody_confirmed_stays_in_doubt() {
        let present = Present::new(true);
        present.saw(TENANT, DEVICE, &glance(5));
        present.commits(TENANT);
        present.saw(TENANT, DEVICE, &glance(5));
        assert_eq!(present.glance(TENANT, DEVICE), None, "it may be under way still");
        present.committed(TENANT, None);
        assert_eq!(present.glance(TENANT, DEVICE), Some(glance(5)));
    }

    #[test]
    fn who_does_not_hear_all_asks() {
        let present = Present::new(false);
        present.saw(TENANT, DEVICE, &glance(5));
        assert_eq!(present.glance(TENANT, DEVICE), None);
    }
}
