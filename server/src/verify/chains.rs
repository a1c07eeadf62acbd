//! Chains: their outlets, their branches, and what is inherited.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::facts::{Facts, OutletFacts};
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::{ChainBranches, ChainOutlets, Internal as _};

/// Compares `outlets{}` and `branches{}` of chains, and what outlets inherit.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut outlets: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for (id, outlet) in &facts.outlets {
        if let Some(chain) = outlet.chain {
            outlets.entry(chain).or_default().insert(*id);
        }
        let right = inherited(facts, outlet);
        if outlet.inherited != right && !is_left(facts, derived, (*id, outlet)) {
            report.find(format!("Outlet {id} inherits {:?}, and it should be {right:?}", outlet.inherited));
        }
    }
    let expected = outlets.iter().map(|(chain, outlets)| {
        let outlets = ChainOutlets { outlets: list(outlets) };
        (ChainOutlets::name(chain), outlets)
    });
    derived
        .chain_outlets
        .compare(&expected.collect(), report, |stored, right| differing_ids(&stored.outlets, &right.outlets));
    let mut branches: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    let mut below: BTreeMap<Uuid, u64> = BTreeMap::new();
    for (id, chain) in &facts.chains {
        if let Some(parent) = chain.parent {
            branches.entry(parent).or_default().insert(*id);
        }
        let line = line(facts, *id);
        for above in &line {
            *below.entry(*above).or_default() += 1;
        }
        if line.contains(id) || line.len() >= LEVELS {
            report.find(format!("Chain {id} hangs below {line:?}, which is a loop or too deep"));
        }
    }
    let expected = branches.iter().map(|(chain, branches)| {
        let branches = ChainBranches { branches: list(branches), below: below[chain] };
        (ChainBranches::name(chain), branches)
    });
    derived.chain_branches.compare(&expected.collect(), report, |stored, right| {
        let counts = || format!("counts {} below it, and there are {}", stored.below, right.below);
        differing_ids(&stored.branches, &right.branches).or_else(|| Some(counts()))
    });
}

/// Whether it is work that is left to be done.
fn is_left(facts: &Facts, derived: &Derived, (id, outlet): (Uuid, &OutletFacts)) -> bool {
    let Some(chain) = outlet.chain else { return false };
    let line = [vec![chain], line(facts, chain)].concat();
    let notes = derived.restampings.of(&()).entries;
    let mut ahead = notes.iter().filter(|note| id.as_bytes()[..] > note.after[..]);
    ahead.any(|note| Uuid::from_slice(&note.source_id).is_ok_and(|source| line.contains(&source)))
}

const LEVELS: usize = 5;

/// What is above a chain; cut off where it is too deep.
fn line(facts: &Facts, chain: Uuid) -> Vec<Uuid> {
    let mut line = Vec::new();
    let mut next = facts.chains.get(&chain).and_then(|chain| chain.parent);
    while let Some(parent) = next.filter(|_| line.len() < LEVELS) {
        line.push(parent);
        next = facts.chains.get(&parent).and_then(|chain| chain.parent);
    }
    line
}

/// What an outlet should inherit.
fn inherited(facts: &Facts, outlet: &OutletFacts) -> Vec<Uuid> {
    let Some(chain) = outlet.chain.filter(|_| outlet.inherits) else { return Vec::new() };
    let line = [vec![chain], line(facts, chain)].concat();
    let mut terms = line.iter().filter_map(|chain| facts.chains.get(chain)).map(|chain| &chain.agreements);
    terms.find(|agreements| !agreements.is_empty()).cloned().unwrap_or_default()
}
