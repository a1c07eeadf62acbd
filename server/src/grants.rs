//! Who holds what. A caller's role gives the first scopes, and some scopes give more: a rep's the assigned territories, a
//! team's its territories, a territory's the price lists, the warehouse, the customers and the months that belong to it, and
//! a price list those that it is computed from or may not go below.
//! The lane keeps these grants as internal records ([`Granted`]), by reference count.

use std::collections::BTreeSet;

use prost::Message as _;
use roundsman_proto::auth::Role;
use roundsman_proto::trade::Reason;
use roundsman_sync::limits::DEVICE_BUCKETS;
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::internal::{Granted, Internal as _};
use crate::store::record;
use crate::store::sql::Tx;
use crate::workspace::{Stop, Workspace};

/// What a caller holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The scopes.
    pub scopes: BTreeSet<Scope>,
    /// The internal records that say so, in ascending order: when one of them changes, the holding may.
    pub grants: Vec<Uuid>,
}

/// Reads what a caller holds now.
///
/// # Errors
/// When the database does not answer, or a grant can't be read.
pub async fn holding(tx: &mut Tx, caller: &Caller) -> Result<Holding, StoreError> {
    let mut holding = Holding { scopes: roots(caller), grants: Vec::new() };
    let mut wave: Vec<Scope> = holding.scopes.iter().copied().filter(|scope| gives(*scope)).collect();
    while !wave.is_empty() {
        let ids: Vec<Uuid> = wave.iter().map(Granted::id).collect();
        let found = record::find(tx, caller.tenant, &ids).await?;
        holding.grants.extend(ids);
        wave.clear();
        for (id, stored) in found {
            let granted = Granted::decode(stored.document)
                .map_err(|error| StoreError::Corrupt(format!("grant {id}: {error}")))?;
            wave.extend(granted.held().filter(|scope| holding.scopes.insert(*scope) && gives(*scope)));
        }
    }
    holding.grants.sort_unstable();
    Ok(holding)
}

/// The scopes that come with the role. Office, logistics, admin and integration hold no replica.
fn roots(caller: &Caller) -> BTreeSet<Scope> {
    match caller.role {
        Role::Rep | Role::Driver => caller.rep.map(|rep| [Scope::Tenant, Scope::Rep(rep)].into()).unwrap_or_default(),
        Role::Supervisor => {
            let scopes = |team| [Scope::Tenant, Scope::Supervision, Scope::Team(team)].into();
            caller.team.map(scopes).unwrap_or_default()
        }
        Role::Logistics | Role::Office | Role::Admin | Role::Integration | Role::Unspecified => BTreeSet::new(),
    }
}

/// Whether holding a scope may give others.
fn gives(scope: Scope) -> bool {
    match scope {
        Scope::Territory(_) | Scope::Rep(_) | Scope::Team(_) | Scope::PriceList(_) => true,
        Scope::Tenant | Scope::Supervision | Scope::TerritoryMonth(..) => false,
        Scope::Warehouse(_) | Scope::Customer(_) | Scope::Trip(_) => false,
    }
}

/// Refuses what would give the devices of a rep with these territories more buckets than a device holds. Counted are the
/// buckets that there may be, whether they exist by now or not: a bucket comes with its first record, and that must not
/// be refused.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`; [`Stop::Load`].
pub fn refuse_too_many(workspace: &Workspace, rep: Uuid, territories: Vec<Uuid>) -> Result<(), Stop> {
    let mut scopes: BTreeSet<Scope> = [Scope::Tenant, Scope::Rep(rep)].into();
    for territory in territories {
        scopes.insert(Scope::Territory(territory));
        scopes.extend(workspace.internal::<Granted>(&Scope::Territory(territory))?.held());
    }
    let buckets: usize = scopes.into_iter().map(buckets).sum();
    if buckets <= DEVICE_BUCKETS {
        return Ok(());
    }
    let rejection = Rejection::new(Reason::LimitExceeded).field("territory_id");
    Err(rejection.fact(None, "limit", DEVICE_BUCKETS).fact(None, "buckets", buckets).into())
}

/// How many kinds are handed out in a scope.
#[must_use]
pub fn buckets(scope: Scope) -> usize {
    match scope {
        // Products, price lists, warehouses, surveys, standard agreements, promotions, chains, must-sell lists, causes of claims.
        Scope::Tenant => 9,
        Scope::Supervision => 0,
        // Outlets, routes, the territory; customers, agreements, receivables; visits, orders, shipments, payments, claims,
        // responses, tasks, returns.
        Scope::Territory(_) => 14,
        Scope::TerritoryMonth(..) => 8,
        // Its prices; those of its base, of its lowest prices, and of their base come at most beside them.
        Scope::PriceList(_) => 4,
        Scope::Warehouse(_) => 1,
        // The customer, its agreements, its receivables.
        Scope::Customer(_) => 3,
        // The trip, its shipments.
        Scope::Trip(_) => 2,
        // The rep or the team with its reps, their assignments, what they handed in; tasks, counts of vans.
        Scope::Rep(_) | Scope::Team(_) => 5,
    }
}

impl Holding {
    /// Names these scopes and kinds: equal for equal sets.
    #[must_use]
    pub fn digest(&self, kinds: &BTreeSet<i64>) -> u64 {
        let mut text = String::new();
        for scope in &self.scopes {
            text.push_str(&scope.to_string());
            text.push('\n');
        }
        for kind in kinds {
            text.push_str(&kind.to_string());
            text.push('\n');
        }
        xxh3_64(text.as_bytes())
    }

    /// The scopes in their text form.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.scopes.iter().map(Scope::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use roundsman_sync::scope::Month;

    use super::*;

    #[test]
    fn a_phone_with_a_few_territories_is_far_from_the_limit() {
        let north = Uuid::from_u128(1);
        let months = 3 * buckets(Scope::TerritoryMonth(north, Month::default()));
        let territory = buckets(Scope::Territory(north)) + months + 10;
        assert!(20 * territory + buckets(Scope::Tenant) + buckets(Scope::Rep(north)) <= DEVICE_BUCKETS);
    }
}
