//! What hangs on chains: their branches, their outlets, and the agreements that these inherit. Whoever writes an outlet comes
//! through here by way of [`crate::network`]; whoever writes a chain has its outlets follow ([`follow`]).

use std::borrow::Cow;
use std::collections::BTreeSet;

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Agreement, Chain, Outlet, RecordToImport};
use roundsman_sync::trade::chain::{self, BRANCHES, LEVELS, OUTLETS};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use uuid::Uuid;

use crate::internal::{ChainBranches, ChainOutlets, insert_id};
use crate::network::{self, optional_id, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

/// A chain, its parent, and so on to the root.
fn line(workspace: &Workspace, chain: &[u8]) -> Result<Vec<(Uuid, Chain)>, Stop> {
    let mut line = Vec::new();
    let mut next = chain.to_vec();
    while !next.is_empty() && line.len() <= LEVELS {
        let (id, chain) = workspace.live::<Chain>(&next)?;
        next.clone_from(&chain.parent_id);
        line.push((id, chain));
    }
    Ok(line)
}

/// Asks for a chain and what is above it.
fn line_keys(chain: &[u8], workspace: &Workspace, keys: &mut Keys) {
    let mut next = chain.to_vec();
    for _ in 0..LEVELS {
        keys.record(&next);
        let found = Uuid::from_slice(&next).ok().and_then(|id| workspace.find::<Chain>(id).ok().flatten());
        let Some(found) = found else { return };
        next.clone_from(&found.parent_id);
    }
}

/// An outlet with what it inherits now.
///
/// # Errors
/// `REASON_NOT_FOUND` for a chain that is not there; [`Stop::Load`].
pub fn settled<'a>(workspace: &Workspace, outlet: &'a Outlet) -> Result<Cow<'a, Outlet>, Stop> {
    let inherits = outlet.agreement_ids.is_empty();
    let line = if inherits { line(workspace, &outlet.chain_id)? } else { Vec::new() };
    let inherited = chain::terms(line.iter().map(|(_, chain)| chain));
    if outlet.inherited_agreement_ids == inherited {
        return Ok(Cow::Borrowed(outlet));
    }
    Ok(Cow::Owned(Outlet { inherited_agreement_ids: inherited.to_vec(), ..outlet.clone() }))
}

/// Asks for what [`settled`] and [`move_outlet`] need.
pub fn outlet_keys(outlet: &Outlet, workspace: &Workspace, keys: &mut Keys) {
    if let Ok(chain) = Uuid::from_slice(&outlet.chain_id) {
        keys.internal::<ChainOutlets>(&chain);
        line_keys(&outlet.chain_id, workspace, keys);
    }
}

/// Notes that an outlet has left one chain for another; an empty id is none.
///
/// # Errors
/// `REASON_NOT_FOUND` for a chain that is not there, `REASON_LIMIT_EXCEEDED` when it has enough outlets; [`Stop::Load`].
pub fn move_outlet(workspace: &mut Workspace, outlet: Uuid, from: &[u8], to: &[u8]) -> Result<(), Stop> {
    if from == to {
        return Ok(());
    }
    if let Some(left) = optional_id(from)? {
        let mut outlets: ChainOutlets = workspace.internal(&left)?;
        outlets.outlets.retain(|other| other != outlet.as_bytes());
        workspace.put_internal(&left, &outlets)?;
    }
    if to.is_empty() {
        return Ok(());
    }
    let (entered, _) = workspace.live::<Chain>(to)?;
    let mut outlets: ChainOutlets = workspace.internal(&entered)?;
    insert_id(&mut outlets.outlets, outlet);
    check::count(outlets.outlets.len(), OUTLETS, "chain_id")?;
    workspace.put_internal(&entered, &outlets)
}

/// Asks for what [`put`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn keys(id: Uuid, chain: &Chain, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.internal::<ChainBranches>(&id);
    network::terms_keys(&chain.agreement_ids, workspace, keys);
    let left = workspace.find::<Chain>(id)?.map(|before| before.parent_id).unwrap_or_default();
    for above in [&chain.parent_id, &left] {
        line_keys(above, workspace, keys);
        for (above, _) in line(workspace, above).unwrap_or_default() {
            keys.internal::<ChainBranches>(&above);
        }
    }
    if chain.agreement_ids.is_empty() {
        let line = line(workspace, &chain.parent_id)?;
        network::terms_keys(chain::terms(line.iter().map(|(_, chain)| chain)), workspace, keys);
    }
    Ok(())
}

/// Writes a chain. Its outlets are to follow ([`follow`]).
///
/// # Errors
/// `REASON_CHAIN_CYCLE`, `REASON_LIMIT_EXCEEDED`, and what [`chain::form`] says; see [`Stop`].
pub fn put(workspace: &mut Workspace, id: Uuid, chain: &Chain) -> Result<(), Stop> {
    chain::form(chain)?;
    for agreement in &chain.agreement_ids {
        workspace.live::<Agreement>(agreement)?;
    }
    let before: Option<Chain> = workspace.find(id)?;
    if before.as_ref().is_none_or(|before| before.parent_id != chain.parent_id) {
        let left = before.map(|before| before.parent_id).unwrap_or_default();
        hang(workspace, id, &left, &chain.parent_id)?;
    }
    workspace.put(id, chain, &Stamps::default())
}

/// Hangs a chain, new or not, below another parent.
fn hang(workspace: &mut Workspace, id: Uuid, from: &[u8], to: &[u8]) -> Result<(), Stop> {
    let is_own = to == id.as_bytes();
    let above = if is_own { vec![id] } else { line(workspace, to)?.into_iter().map(|(id, _)| id).collect() };
    chain::may_hang(id, &above, levels_below(workspace, id)?)?;
    let own = workspace.internal::<ChainBranches>(&id)?.below.saturating_add(1);
    for (level, (left, _)) in line(workspace, from)?.into_iter().enumerate() {
        let mut branches: ChainBranches = workspace.internal(&left)?;
        branches.below = branches.below.saturating_sub(own);
        if level == 0 {
            branches.branches.retain(|other| other != id.as_bytes());
        }
        workspace.put_internal(&left, &branches)?;
    }
    for (level, entered) in above.iter().enumerate() {
        let mut branches: ChainBranches = workspace.internal(entered)?;
        branches.below = branches.below.saturating_add(own);
        check::count(usize::try_from(branches.below).unwrap_or(usize::MAX), BRANCHES, "parent_id")?;
        if level == 0 {
            insert_id(&mut branches.branches, id);
        }
        workspace.put_internal(entered, &branches)?;
    }
    Ok(())
}

fn branches_of(workspace: &Workspace, chain: Uuid) -> Result<Vec<Uuid>, Stop> {
    let branches: ChainBranches = workspace.internal(&chain)?;
    branches.branches.iter().map(|id| stored_id(id)).collect()
}

/// How many levels of branches a chain has.
fn levels_below(workspace: &Workspace, id: Uuid) -> Result<usize, Stop> {
    let (mut level, mut levels, mut seen) = (vec![id], 0, 0);
    loop {
        let mut next = Vec::new();
        for chain in level {
            next.extend(branches_of(workspace, chain)?);
        }
        if next.is_empty() {
            return Ok(levels);
        }
        seen += next.len();
        check::count(seen, BRANCHES, "parent_id")?;
        levels += 1;
        level = next;
    }
}

/// The chains among these records that give their outlets other terms than until now.
///
/// # Errors
/// See [`Stop`].
pub fn changed(workspace: &Workspace, records: &[RecordToImport]) -> Result<Vec<Uuid>, Stop> {
    let mut changed = Vec::new();
    for entry in records {
        if let (Ok(id), Some(Record::Chain(after))) = (Uuid::from_slice(&entry.record_id), &entry.record)
            && workspace.find::<Chain>(id)?.is_some_and(|before| chain::changes_terms(&before, after))
        {
            changed.push(id);
        }
    }
    Ok(changed)
}

/// Writes the outlets of `part` anew, at the moment `at_us`, with what they inherit now.
///
/// # Errors
/// See [`Stop`].
pub fn follow(workspace: &mut Workspace, part: &[Uuid], at_us: i64) -> Result<(), Stop> {
    for outlet in part {
        if let Some(current) = workspace.find::<Outlet>(*outlet)?
            && current.agreement_ids.is_empty()
        {
            network::put_outlet(workspace, *outlet, &current, at_us)?;
        }
    }
    Ok(())
}

/// Asks for what [`follow`] needs.
pub fn follow_keys(part: &[Uuid], workspace: &Workspace, keys: &mut Keys) {
    for outlet in part {
        keys.id(*outlet);
        if let Ok(Some(current)) = workspace.find::<Outlet>(*outlet) {
            // What it can't ask for yet it asks for in the next wave.
            let _ = network::outlet_keys(outlet.as_bytes(), &current, workspace, keys);
        }
    }
}

/// The outlets of a chain, and of those of its branches that inherit.
///
/// # Errors
/// [`Stop::Load`].
pub fn followers(workspace: &Workspace, chain: Uuid) -> Result<BTreeSet<Uuid>, Stop> {
    let mut outlets = BTreeSet::new();
    let mut left = vec![chain];
    while let Some(chain) = left.pop() {
        for outlet in workspace.internal::<ChainOutlets>(&chain)?.outlets {
            outlets.insert(stored_id(&outlet)?);
        }
        for branch in branches_of(workspace, chain)? {
            if workspace.find::<Chain>(branch)?.is_some_and(|branch| branch.agreement_ids.is_empty()) {
                left.push(branch);
            }
        }
    }
    Ok(outlets)
}

/// Asks for what [`followers`] needs, and for the whole tree below the chain.
pub fn tree_keys(chain: Uuid, workspace: &Workspace, keys: &mut Keys) {
    let mut left = vec![(chain, true)];
    while let Some((chain, inherits)) = left.pop() {
        keys.id(chain);
        keys.internal::<ChainBranches>(&chain);
        if inherits {
            keys.internal::<ChainOutlets>(&chain);
        }
        for branch in branches_of(workspace, chain).unwrap_or_default() {
            let empty = |branch: Chain| branch.agreement_ids.is_empty();
            keys.id(branch);
            left.push((branch, inherits && workspace.find(branch).is_ok_and(|found| found.is_some_and(empty))));
        }
    }
}

/// Asks for the trees below the chains among these records that change in them.
pub fn changed_keys(records: &[RecordToImport], workspace: &Workspace, keys: &mut Keys) {
    for entry in records {
        if let (Ok(id), Some(Record::Chain(after))) = (Uuid::from_slice(&entry.record_id), &entry.record)
            && let Ok(Some(before)) = workspace.find::<Chain>(id)
            && (before.agreement_ids != after.agreement_ids || before.parent_id != after.parent_id)
        {
            tree_keys(id, workspace, keys);
        }
    }
}

/// The agreements by which an outlet or a branch of this chain buys if it has none of its own, as far as the tree is known by
/// now.
pub fn given_by(chain: &[u8], workspace: &Workspace) -> Vec<Vec<u8>> {
    let line = line(workspace, chain).unwrap_or_default();
    chain::terms(line.iter().map(|(_, chain)| chain)).to_vec()
}
