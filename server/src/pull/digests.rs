//! What callers' scope digests were, and where the tenant was then: as long as it is still there, they are so.

use std::collections::BTreeSet;

use quick_cache::sync::Cache;
use roundsman_proto::auth::Role;
use roundsman_sync::version::Position;
use uuid::Uuid;

use crate::auth::caller::Caller;

/// So many callers are remembered.
const CALLERS: usize = 16_384;

/// The digests of this process's callers.
#[derive(Debug)]
pub struct Digests(Cache<Holder, (Position, u64)>);

/// Of a caller, all that the digest depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    tenant: i64,
    role: Role,
    rep: Option<Uuid>,
    team: Option<Uuid>,
    kinds: BTreeSet<i64>,
}

impl Holder {
    fn of(caller: &Caller, kinds: &BTreeSet<i64>) -> Self {
        let Caller { tenant, role, rep, team, .. } = *caller;
        Self { tenant, role, rep, team, kinds: kinds.clone() }
    }
}

impl Default for Digests {
    fn default() -> Self {
        Self(Cache::new(CALLERS))
    }
}

impl Digests {
    /// The caller's digest, if it was this position at which it was last read.
    pub(super) fn at(&self, position: Position, caller: &Caller, kinds: &BTreeSet<i64>) -> Option<u64> {
        let (read_at, digest) = self.0.get(&Holder::of(caller, kinds))?;
        (read_at == position).then_some(digest)
    }

    /// Remembers a digest that was read at this position.
    pub(super) fn read(&self, position: Position, caller: &Caller, kinds: &BTreeSet<i64>, digest: u64) {
        self.0.insert(Holder::of(caller, kinds), (position, digest));
    }
}
