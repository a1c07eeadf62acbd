//! Contracts with customers.

use roundsman_proto::trade::{Agreement, Contract, Customer, Reason};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, contract};
use uuid::Uuid;

use super::{refuse_loop, successor_keys};
use crate::internal::{Debtor, Reach, Reaching};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

/// Whose credit a contract limits; `None`: its customer's id is none.
#[must_use]
pub fn debtor(contract: &Contract) -> Option<Debtor> {
    Uuid::from_slice(&contract.customer_id).ok().map(|customer| (customer, contract.currency.clone()))
}

/// Asks for what [`put`] needs, beside the record itself.
pub fn keys(contract: &Contract, workspace: &Workspace, keys: &mut Keys) {
    keys.record(&contract.customer_id);
    contract.agreement_ids.iter().for_each(|id| keys.record(id));
    successor_keys(&contract.successor_id, workspace, keys, |next: &Contract| &next.successor_id);
    if let Some(debtor) = debtor(contract) {
        keys.internal::<Reach>(&Reaching::Customer(debtor.0));
        keys.internal::<Credit>(&debtor);
    }
}

/// Writes a contract; its customer and currency never change. The rule of credit knows it from then on.
///
/// # Errors
/// See [`Stop`]; `REASON_BAD_SUCCESSOR`, `REASON_CURRENCY_MISMATCH`; `REASON_LIMIT_EXCEEDED` when the customer has enough.
pub fn put(workspace: &mut Workspace, id: Uuid, contract: &Contract) -> Result<(), Stop> {
    contract::form(contract)?;
    let (customer, _) = workspace.live::<Customer>(&contract.customer_id)?;
    if let Some(before) = workspace.find::<Contract>(id)?
        && (&before.customer_id, &before.currency) != (&contract.customer_id, &contract.currency)
    {
        return Err(check::mismatch("customer_id").about(id).into());
    }
    for agreement in &contract.agreement_ids {
        let (_, agreement) = workspace.live::<Agreement>(agreement)?;
        if !agreement.customer_id.is_empty() && agreement.customer_id != contract.customer_id {
            return Err(check::mismatch("agreement_ids").about(id).into());
        }
        if agreement.currency != contract.currency {
            return Err(Rejection::new(Reason::CurrencyMismatch).field("agreement_ids").about(id).into());
        }
    }
    refuse_loop(workspace, id, &contract.successor_id, |next: &Contract| &next.successor_id)?;
    if let Some(successor) = check::optional_id(&contract.successor_id, "successor_id")?
        && let Some(successor) = workspace.find::<Contract>(successor)?
        && (&successor.customer_id, &successor.currency) != (&contract.customer_id, &contract.currency)
    {
        return Err(check::mismatch("successor_id").about(id).into());
    }
    let debtor: Debtor = (customer, contract.currency.clone());
    let credit: Credit = workspace.internal(&debtor)?;
    workspace.put_internal(&debtor, &credit.with_contract(id, contract)?)?;
    let stamps = network::hang_on_customer(workspace, customer, id)?;
    workspace.put(id, contract, &stamps)
}
