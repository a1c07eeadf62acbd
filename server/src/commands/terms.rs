//! What follows when contracts change: orders that waited for a limit, for a ban to go or for other days are decided again.
//! Any contract of a customer may be what his orders wait for, so they are found by whose credit it is; those that wait for an
//! agreement have a list of their own ([`roundsman_sync::trade::waiting::Scarce::Terms`]).

use std::collections::BTreeSet;

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Contract, Kind, RecordToImport};
use roundsman_sync::trade::credit::{Credit, RELEASED_AT_ONCE};
use uuid::Uuid;

use super::{Context, ordering, restamp_records};
use crate::internal::Debtor;
use crate::reference::contract;
use crate::workspace::{Keys, Stop, Workspace};

/// Whose orders may wait for what these records change.
///
/// # Errors
/// [`Stop::Load`]; a rejection when an id belongs to a record of another kind.
pub fn changed(workspace: &Workspace, records: &[RecordToImport]) -> Result<BTreeSet<Debtor>, Stop> {
    let mut debtors = BTreeSet::new();
    for entry in records {
        let Ok(id) = Uuid::from_slice(&entry.record_id) else { continue };
        match &entry.record {
            Some(Record::Contract(after)) if workspace.find::<Contract>(id)?.as_ref() != Some(after) => {
                debtors.extend(contract::debtor(after));
            }
            _ => {}
        }
    }
    Ok(debtors)
}

/// Asks for what [`follow`] needs when these records are written.
pub fn keys(records: &[RecordToImport], workspace: &Workspace, keys: &mut Keys) {
    // What it can't say yet it says in the next wave.
    let debtors = changed(workspace, records).unwrap_or_default();
    debtors.iter().for_each(|debtor| keys.internal::<Credit>(debtor));
    let first = at_once(workspace, &debtors).unwrap_or_default();
    for debtor in debtors.into_iter().take(first) {
        let Ok(mut credit) = workspace.internal::<Credit>(&debtor) else { continue };
        for entry in records {
            if let (Ok(id), Some(Record::Contract(after))) = (Uuid::from_slice(&entry.record_id), &entry.record)
                && contract::debtor(after).as_ref() == Some(&debtor)
                && let Ok(with) = credit.clone().with_contract(id, after)
            {
                credit = with;
            }
        }
        release_keys(&credit, &[], workspace, keys);
    }
}

/// How many of these debtors, the first of them, one command follows: one at least, and no more when as many orders wait as it
/// decides.
fn at_once(workspace: &Workspace, debtors: &BTreeSet<Debtor>) -> Result<usize, Stop> {
    let mut waiting = 0;
    for (index, debtor) in debtors.iter().enumerate() {
        if waiting >= RELEASED_AT_ONCE {
            return Ok(index);
        }
        let credit: Credit = workspace.internal(debtor)?;
        waiting += credit.expired.len() + credit.held.len();
    }
    Ok(debtors.len())
}

/// Decides the orders of these debtors again that waited for what has changed, as many as one command decides. The others are left
/// to commands of the server's own ([`restamp_records`]).
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn follow(context: &Context<'_>, workspace: &mut Workspace, debtors: &BTreeSet<Debtor>) -> Result<(), Stop> {
    let first = at_once(workspace, debtors)?;
    for debtor in debtors.iter().take(first) {
        release_noting(context, workspace, debtor)?;
    }
    for debtor in debtors.iter().skip(first) {
        let credit: Credit = workspace.internal(debtor)?;
        if !credit.expired.is_empty() || !credit.held.is_empty() {
            note(context, workspace, debtor, Vec::new())?;
        }
    }
    Ok(())
}

/// Asks for what [`release`] needs when the credit will be `credit`.
pub fn release_keys(credit: &Credit, after: &[u8], workspace: &Workspace, keys: &mut Keys) {
    ordering::expired_keys(credit, after, workspace, keys);
    ordering::held_keys(credit, workspace, keys);
}

/// Decides orders of a debtor again, as many as one command decides: those that waited for terms to be valid, with ids above
/// `after`, and after the last of these those that fit the credit. Says after which id it goes on; `None`: it is done.
///
/// # Errors
/// `REASON_BAD_ID`; [`Stop::Load`]; [`Stop::Corrupt`].
pub fn release(
    context: &Context<'_>,
    workspace: &mut Workspace,
    debtor: &Debtor,
    after: &[u8],
) -> Result<Option<Vec<u8>>, Stop> {
    let expired = ordering::release_expired(context, workspace, debtor, after)?;
    if expired.more {
        return Ok(expired.left());
    }
    let more = ordering::release_held(context, workspace, debtor)?;
    Ok(more.then(|| expired.ids.last().map_or_else(|| after.to_vec(), |last| last.as_bytes().to_vec())))
}

/// The same from the beginning, and notes what is left.
///
/// # Errors
/// As [`release`].
pub fn release_noting(context: &Context<'_>, workspace: &mut Workspace, debtor: &Debtor) -> Result<(), Stop> {
    match release(context, workspace, debtor, &[])? {
        Some(left) => note(context, workspace, debtor, left),
        None => Ok(()),
    }
}

/// Notes after which order the work goes on for a debtor, under one of the contracts; without any the next change of the credit
/// goes on.
fn note(context: &Context<'_>, workspace: &mut Workspace, debtor: &Debtor, left: Vec<u8>) -> Result<(), Stop> {
    let credit: Credit = workspace.internal(debtor)?;
    match credit.contracts().next().map(|(contract, _)| contract) {
        Some(contract) => restamp_records::note(workspace, (Kind::Contract, contract), Some(left), context.now_us),
        None => Ok(()),
    }
}
