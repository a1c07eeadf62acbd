//! Where customers and agreements reach: counted outlet by outlet.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::trade::placement::CUSTOMER_TERRITORIES;
use uuid::Uuid;

use super::facts::{Facts, OutletFacts};
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::{
    CustomerOutlets, FormerTerms, Internal as _, OutletCustomers, Reach, ReachedTerritory, Reaching,
};

/// The customers that an outlet makes present in its territory: its own, or the one into which that was merged, and those of its
/// agreements; each once.
pub(super) fn customers(facts: &Facts, outlet: &OutletFacts) -> BTreeSet<Uuid> {
    let of_agreements = outlet.agreements.iter().filter_map(|agreement| facts.agreements.get(agreement)?.customer);
    outlet.customer.map(|own| facts.remaining(own)).into_iter().chain(of_agreements).collect()
}

/// By customer, how many outlets are in which territories.
pub(super) fn of_customers(facts: &Facts) -> BTreeMap<Uuid, BTreeMap<Uuid, i64>> {
    let mut reach: BTreeMap<Uuid, BTreeMap<Uuid, i64>> = BTreeMap::new();
    for outlet in facts.outlets.values() {
        for customer in customers(facts, outlet) {
            *reach.entry(customer).or_default().entry(outlet.territory).or_default() += 1;
        }
    }
    reach
}

/// Compares `reach{}`, `customers{}` and `former_terms{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected: BTreeMap<String, Reach> = BTreeMap::new();
    let mut dependents: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (id, agreement) in &facts.agreements {
        if let Some(customer) = agreement.customer {
            dependents.entry(customer).or_default().insert(*id);
        }
    }
    for (id, customer) in facts.receivables.iter().chain(&facts.contracts) {
        dependents.entry(*customer).or_default().insert(*id);
    }
    let territories = of_customers(facts);
    let customers: BTreeSet<&Uuid> = territories.keys().chain(dependents.keys()).collect();
    for customer in customers {
        let reach = Reach {
            territories: territories.get(customer).map(reached).unwrap_or_default(),
            own_scope: territories.get(customer).is_some_and(|reached| reached.len() > CUSTOMER_TERRITORIES),
            dependents: dependents.get(customer).map(list).unwrap_or_default(),
        };
        expected.insert(Reach::name(&Reaching::Customer(*customer)), reach);
    }
    let mut by_agreement: BTreeMap<Uuid, BTreeMap<Uuid, i64>> = BTreeMap::new();
    for outlet in facts.outlets.values() {
        for agreement in &outlet.agreements {
            *by_agreement.entry(*agreement).or_default().entry(outlet.territory).or_default() += 1;
        }
    }
    for (agreement, territories) in &by_agreement {
        let reach = Reach { territories: reached(territories), ..Reach::default() };
        expected.insert(Reach::name(&Reaching::Agreement(*agreement)), reach);
    }
    derived.reach.compare(&expected, report, differ);
    check_customers(facts, derived, report);
    check_former_terms(facts, derived, report);
    check_outlets(facts, derived, report);
}

/// `outlets{customer}`: each outlet is named at which the customer has documents, or is the customer by the outlet's own word. Where
/// it is present since another one was merged into it, that one's list names the outlet until it has followed.
fn check_outlets(facts: &Facts, derived: &Derived, report: &mut Report) {
    let own = facts.outlets.iter().filter_map(|(id, outlet)| Some((outlet.customer?, *id)));
    let names = |customer: Uuid, outlet: Uuid| {
        let known = derived.customer_outlets.of(&CustomerOutlets::key(customer, outlet)).outlets;
        known.iter().any(|known| known == outlet.as_bytes())
    };
    for (customer, outlet) in facts.bought.iter().copied().chain(own).collect::<BTreeSet<_>>() {
        let remaining = facts.remaining(customer);
        let mut merged = facts.merged.keys().filter(|other| facts.remaining(**other) == remaining);
        if !names(customer, outlet) && !merged.any(|other| names(*other, outlet)) {
            report.find(format!("{} lacks {outlet}", CustomerOutlets::name(&CustomerOutlets::key(customer, outlet))));
        }
    }
    for (name, known) in derived.customer_outlets.iter().filter(|(_, known)| !known.outlets.is_sorted()) {
        report.find(format!("{name} has its {} outlets not in ascending order", known.outlets.len()));
    }
}

/// `customers{outlet}`: whoever is a customer there now is named, or one that was merged into it.
fn check_customers(facts: &Facts, derived: &Derived, report: &mut Report) {
    for (id, outlet) in &facts.outlets {
        let named = derived.customers.of(id).customers;
        if !named.is_sorted() {
            report.find(format!("{} is not in ascending order", OutletCustomers::name(id)));
        }
        let remaining: BTreeSet<Uuid> =
            named.iter().filter_map(|known| Uuid::from_slice(known).ok()).map(|known| facts.remaining(known)).collect();
        let lacks = |customer: &&Uuid| !remaining.contains(customer);
        for customer in customers(facts, outlet).iter().filter(lacks) {
            report.find(format!("{} lacks {customer}", OutletCustomers::name(id)));
        }
    }
}

/// `former_terms{outlet}`: of outlets, and of agreements.
fn check_former_terms(facts: &Facts, derived: &Derived, report: &mut Report) {
    let outlets = facts.outlets.keys().chain(facts.archived.keys());
    let outlets: BTreeSet<String> = outlets.map(FormerTerms::name).collect();
    for (name, terms) in derived.former_terms.iter() {
        if !outlets.contains(name) {
            report.find(format!("{name} is of no outlet"));
        }
        for former in &terms.agreements {
            if !Uuid::from_slice(&former.agreement_id).is_ok_and(|id| facts.agreements.contains_key(&id)) {
                report.find(format!("{name} lists an agreement that is not there"));
            }
            if former.until_us > derived.at_us {
                report.find(format!("{name} lists an agreement until a moment after the last commit"));
            }
        }
    }
}

fn reached(territories: &BTreeMap<Uuid, i64>) -> Vec<ReachedTerritory> {
    let entry =
        |(id, outlets): (&Uuid, &i64)| ReachedTerritory { territory: id.as_bytes().to_vec(), outlets: *outlets };
    territories.iter().map(entry).collect()
}

fn differ(stored: &Reach, right: &Reach) -> Option<String> {
    if stored.territories != right.territories {
        let in_words = |reach: &Reach| -> Vec<String> {
            reach.reached().map(|(territory, outlets)| format!("{outlets} in {territory}")).collect()
        };
        return Some(format!("counts outlets {:?}, and there are {:?}", in_words(stored), in_words(right)));
    }
    if right.own_scope && !stored.own_scope {
        return Some(format!("has no scope of its own with {} territories", right.territories.len()));
    }
    // Below the limit: there may have been more once.
    differing_ids(&stored.dependents, &right.dependents)
}
