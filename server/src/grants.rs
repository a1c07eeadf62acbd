//! Who holds what. A caller's role gives the first scopes, and some scopes give more: a rep's the assigned territories, a
//! team's its territories, a territory's the price lists, the warehouse, the customers and the months that belong to it.
//! The lane keeps these grants as internal records ([`Granted`]), by reference count.

use std::collections::BTreeSet;

use prost::Message as _;
use roundsman_proto::auth::Role;
use roundsman_sync::scope::Scope;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::internal::{Granted, Internal as _};
use crate::store::record;
use crate::store::sql::Tx;

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
        Role::Rep => caller.rep.map(|rep| [Scope::Tenant, Scope::Rep(rep)].into()).unwrap_or_default(),
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
        Scope::Territory(_) | Scope::Rep(_) | Scope::Team(_) => true,
        Scope::Tenant | Scope::Supervision | Scope::TerritoryMonth(..) => false,
        Scope::PriceList(_) | Scope::Warehouse(_) | Scope::Customer(_) => false,
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
