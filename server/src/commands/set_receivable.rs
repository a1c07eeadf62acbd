//! Sets what a customer owes, and says which orders and payments the figure contains.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, Payment, Reason, Receivable, SetReceivable};
use roundsman_sync::kind::Record;
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::ordering::{self, Debtor};
use super::{Context, Decide, Target, applied, applied_because};
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many orders, and so many payments, in one command.
const BOOKED: usize = 1_000;

impl Decide for SetReceivable {
    fn name(&self) -> &'static str {
        "SetReceivable"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.receivable_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.booked_payment_ids.len(), BOOKED, "booked_payment_ids")?;
        check::count(self.booked_order_ids.len(), BOOKED, "booked_order_ids")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.receivable_id);
        for id in self.booked_payment_ids.iter().chain(&self.booked_order_ids) {
            keys.record(id);
        }
        let Some(receivable) = &self.receivable else { return Ok(()) };
        reference::receivable_keys(receivable, keys);
        let Ok(customer) = Uuid::from_slice(&receivable.customer_id) else { return Ok(()) };
        let credit: Credit = workspace.internal(&(customer, receivable.currency.clone()))?;
        ordering::held_keys(&booked(self, receivable, credit), workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let id = check::id(&self.receivable_id, "receivable_id")?;
        let receivable = self.receivable.as_ref().ok_or_else(|| check::missing("receivable"))?;
        let customer = check::id(&receivable.customer_id, "customer_id")?;
        check::count(receivable.due_items.len(), check::LINES, "due_items")?;
        let before: Option<Receivable> = workspace.find(id)?;
        if before.as_ref().is_some_and(|before| is_older(receivable, before)) {
            return Ok(applied_because(Reason::NothingToDo));
        }
        let mut changed = before.as_ref() != Some(receivable);
        for payment in &self.booked_payment_ids {
            changed |= book::<Payment>(workspace, payment, receivable)?;
        }
        for order in &self.booked_order_ids {
            changed |= book::<Order>(workspace, order, receivable)?;
        }
        if !changed {
            return Ok(applied_because(Reason::NothingToDo));
        }
        reference::put_receivable(workspace, id, receivable)?;
        let debtor: Debtor = (customer, receivable.currency.clone());
        let credit: Credit = workspace.internal(&debtor)?;
        workspace.put_internal(&debtor, &booked(self, receivable, credit))?;
        ordering::release_held(context, workspace, &debtor)?;
        Ok(applied())
    }
}

/// Whether figures describe an earlier moment than those that are known; of another debt they describe nothing.
fn is_older(receivable: &Receivable, before: &Receivable) -> bool {
    (&receivable.customer_id, &receivable.currency) == (&before.customer_id, &before.currency)
        && receivable.as_of_us < before.as_of_us
}

/// The credit with these figures, which contain what is listed.
fn booked(command: &SetReceivable, receivable: &Receivable, credit: Credit) -> Credit {
    let ids = |list: &[Vec<u8>]| list.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect::<Vec<_>>();
    let (orders, payments) = (ids(&command.booked_order_ids), ids(&command.booked_payment_ids));
    credit.booked(receivable.debt_minor, receivable.overdue_minor, &orders, &payments)
}

/// What becomes part of a debt.
trait Bookable: Record {
    /// The list of the command that names it.
    const FIELD: &'static str;

    /// Whose it is: customer and currency.
    fn debtor(&self) -> (&[u8], &str);

    /// The mark that the debt contains it.
    fn mark(&mut self) -> &mut bool;
}

impl Bookable for Payment {
    const FIELD: &'static str = "booked_payment_ids";

    fn debtor(&self) -> (&[u8], &str) {
        (&self.customer_id, &self.currency)
    }

    fn mark(&mut self) -> &mut bool {
        &mut self.booked
    }
}

impl Bookable for Order {
    const FIELD: &'static str = "booked_order_ids";

    fn debtor(&self) -> (&[u8], &str) {
        (&self.customer_id, &self.currency)
    }

    fn mark(&mut self) -> &mut bool {
        &mut self.booked
    }
}

/// Marks a document as part of the debt; returns whether it was not.
fn book<R: Bookable>(workspace: &mut Workspace, id: &[u8], receivable: &Receivable) -> Result<bool, Stop> {
    let (id, mut document) = workspace.live::<R>(id)?;
    if document.debtor() != (receivable.customer_id.as_slice(), receivable.currency.as_str()) {
        let rejection: Rejection = check::mismatch(R::FIELD);
        return Err(rejection.about(id).into());
    }
    if std::mem::replace(document.mark(), true) {
        return Ok(false);
    }
    workspace.update(id, &document)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_figures_of_the_same_debt_say_nothing() {
        let at =
            |as_of_us, currency: &str| Receivable { as_of_us, currency: currency.to_owned(), ..Receivable::default() };
        assert!(is_older(&at(1, "EUR"), &at(2, "EUR")));
        assert!(!is_older(&at(2, "EUR"), &at(2, "EUR")));
        assert!(!is_older(&at(1, "SEK"), &at(2, "EUR")), "that is a mistake to be told");
    }
}
