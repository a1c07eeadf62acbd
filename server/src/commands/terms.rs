//! What follows when contracts change: orders that waited for a limit, for a ban to go or for other days are decided again.
//! Any contract of a customer may be what his orders wait for, so they are found by whose credit it is; those that wait for an
//! agreement have a list of their own ([`roundsman_sync::trade::waiting::Scarce::Terms`]).

use std::collections::BTreeSet;

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Contract, RecordToImport};
use roundsman_sync::trade::credit::{Credit, RELEASED_AT_ONCE};
use uuid::Uuid;

use super::{Context, ordering};
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
    for debtor in changed(workspace, records).unwrap_or_default() {
        keys.internal::<Credit>(&debtor);
        let Ok(mut credit) = workspace.internal::<Credit>(&debtor) else { continue };
        for entry in records {
            if let (Ok(id), Some(Record::Contract(after))) = (Uuid::from_slice(&entry.record_id), &entry.record)
                && contract::debtor(after).as_ref() == Some(&debtor)
                && let Ok(with) = credit.clone().with_contract(id, after)
            {
                credit = with;
            }
        }
        ordering::expired_keys(&credit, workspace, keys);
        ordering::held_keys(&credit, workspace, keys);
    }
}

/// Decides the orders of these debtors again that waited for what has changed, as many as one command decides.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn follow(context: &Context<'_>, workspace: &mut Workspace, debtors: &BTreeSet<Debtor>) -> Result<(), Stop> {
    let mut decided = 0;
    for debtor in debtors {
        if decided >= RELEASED_AT_ONCE {
            break;
        }
        decided += ordering::release_expired(context, workspace, debtor)?;
        decided += ordering::release_held(context, workspace, debtor)?;
    }
    Ok(())
}
