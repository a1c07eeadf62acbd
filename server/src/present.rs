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
use crate::grants::Holding;
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
    holdings: Cache<Holder, (Position, Arc<Holding>)>,
    digests: Cache<(Holder, u64), (Position, u64)>,
}

/// Where a tenant is.
#[derive(Clone, Copy, Debug, Default)]
struct Whereabouts {
    position: Position,
    durable_version: i64,
    /// After this version no grant has changed.
    granted: i64,
    /// A commit was begun that is not confirmed.
    in_doubt: bool,
}

/// Where a commit has brought a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub position: Position,
    pub durable_version: i64,
    /// It has changed a grant.
    pub regrants: bool,
}

/// Of a caller, all that decides what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Holder {
    tenant: i64,
    role: Role,
    rep: Option<Uuid>,
    team: Option<Uuid>,
}

impl From<&Caller> for Holder {
    fn from(caller: &Caller) -> Self {
        let Caller { tenant, role, rep, team, .. } = *caller;
        Self { tenant, role, rep, team }
    }
}

/// A caller with an app that names these kinds.
fn app(caller: &Caller, request: &PullRequest) -> (Holder, u64) {
    let kinds: Vec<u8> = request.kinds.iter().flat_map(|kind| kind.to_le_bytes()).collect();
    (caller.into(), xxh3_64(&kinds))
}

impl Present {
    /// Nothing is known. `hears_all`: no other process writes.
    #[must_use]
    pub fn new(hears_all: bool) -> Self {
        Self {
            hears_all: hears_all.into(),
            tenants: Cache::new(TENANTS),
            last_seqs: Cache::new(DEVICES),
            holdings: Cache::new(CALLERS),
            digests: Cache::new(CALLERS),
        }
    }

    /// Where a tenant and a device are; `None`: the database must be asked.
    pub(crate) fn glance(&self, tenant: i64, device: Uuid) -> Option<Glance> {
        if !self.hears_all.load(Ordering::Acquire) {
            return None;
        }
        let whereabouts = self.tenants.get(&tenant)?;
        let Whereabouts { position, durable_version, in_doubt, .. } = *lock(&whereabouts);
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
        if position != known.position && position.version >= known.position.version {
            // What lies between is not known.
            known.granted = position.version;
        }
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
        self.holdings.clear();
    }

    /// A commit begins; unless it is confirmed, nobody knows.
    pub(crate) fn commits(&self, tenant: i64) {
        lock(&self.of(tenant)).in_doubt = true;
    }

    /// It is confirmed; `None`: it moved nothing that devices hold.
    pub(crate) fn committed(&self, tenant: i64, to: Option<Moved>) {
        let whereabouts = self.of(tenant);
        let mut known = lock(&whereabouts);
        known.in_doubt = false;
        let Some(Moved { position, durable_version, regrants }) = to else { return };
        if position.version >= known.position.version {
            let follows = position.version == known.position.version + 1;
            known.granted = if follows && !regrants { known.granted } else { position.version };
            (known.position, known.durable_version) = (position, durable_version);
        }
    }

    fn of(&self, tenant: i64) -> Arc<Mutex<Whereabouts>> {
        let new = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(whereabouts) = self.tenants.get_or_insert_with(&tenant, new);
        whereabouts
    }

    /// What a caller holds where a tenant is; `None`: the database must be asked.
    pub(crate) fn holding(&self, caller: &Caller, position: Position) -> Option<Arc<Holding>> {
        if !self.hears_all.load(Ordering::Acquire) {
            return None;
        }
        let (read_at, holding) = self.holdings.get(&Holder::from(caller))?;
        let whereabouts = self.tenants.get(&caller.tenant)?;
        let known = *lock(&whereabouts);
        let stands = known.position == position && (known.granted..=position.version).contains(&read_at.version);
        stands.then_some(holding)
    }

    /// Remembers what a caller was found to hold at a position.
    pub(crate) fn holds(&self, caller: &Caller, position: Position, holding: &Arc<Holding>) {
        self.holdings.insert(caller.into(), (position, Arc::clone(holding)));
    }

    /// The digest of what a caller holds, if it was this position at which it was last read: as long as the tenant is there,
    /// it is so.
    pub(crate) fn digest_at(&self, position: Position, caller: &Caller, request: &PullRequest) -> Option<u64> {
        let (read_at, digest) = self.digests.get(&app(caller, request))?;
        (read_at == position).then_some(digest)
    }

    /// Remembers a digest that was read at this position.
    pub(crate) fn digest_is(&self, position: Position, caller: &Caller, request: &PullRequest, digest: u64) {
        self.digests.insert(app(caller, request), (position, digest));
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

    fn moved(version: i64, regrants: bool) -> Option<Moved> {
        Some(Moved { position: at(version), durable_version: 2, regrants })
    }

    #[test]
    fn what_a_caller_holds_stands_until_a_grant_may_have_changed() {
        let present = Present::new(true);
        let caller = Caller {
            tenant: TENANT,
            user: DEVICE,
            role: Role::Rep,
            rep: Some(DEVICE),
            team: None,
            device: Some(DEVICE),
        };
        let holding = Arc::default();
        let stands = |version| present.holding(&caller, at(version)).is_some();
        present.heard(TENANT, at(5), None);
        present.holds(&caller, at(5), &holding);
        assert!(stands(5));
        present.committed(TENANT, moved(6, false));
        assert!(stands(6) && !stands(5), "nobody knows what it was where the tenant is no more");
        let other = Caller { rep: Some(Uuid::from_u128(2)), ..caller.clone() };
        assert!(present.holding(&other, at(6)).is_none());
        present.committed(TENANT, moved(7, true));
        assert!(!stands(7), "a grant has changed");
        present.holds(&caller, at(7), &holding);
        assert!(stands(7));
        present.heard(TENANT, at(8), None);
        assert!(!stands(8), "another process may have changed one");
        present.holds(&caller, at(8), &holding);
        present.committed(TENANT, moved(10, false));
        assert!(!stands(10), "one commit was not heard of");
        present.holds(&caller, at(10), &holding);
        assert!(stands(10));
        present.hears_no_more();
        present.heard(TENANT, at(10), None);
        present.hears_all();
        assert!(!stands(10));
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
        present.committed(TENANT, moved(6, false));
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
