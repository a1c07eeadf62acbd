//! Sets what a customer owes, and says which orders, payments and returns the figure contains.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{
    GoodsReturn, Order, OrderStatus, Payment, Reason, Receivable, ReturnState, SetReceivable,
};
use roundsman_sync::kind::Record;
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::debt::Debts;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::ordering;
use super::{Context, Decide, Target, applied, applied_because};
use crate::internal::Debtor;
use crate::reference;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many orders, so many payments, and so many returns, in one command.
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
        check::count(self.booked_order_ids.len(), BOOKED, "booked_order_ids")?;
        check::count(self.booked_return_ids.len(), BOOKED, "booked_return_ids")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.receivable_id);
        for id in self.booked_payment_ids.iter().chain(&self.booked_order_ids).chain(&self.booked_return_ids) {
            keys.record(id);
        }
        let Some(receivable) = &self.receivable else { return Ok(()) };
        reference::receivable_keys(receivable, keys);
        let Ok(customer) = Uuid::from_slice(&receivable.customer_id) else { return Ok(()) };
        let mut credit: Credit = workspace.internal(&(customer, receivable.currency.clone()))?;
        let before = workspace.find(Uuid::from_slice(&self.receivable_id).unwrap_or_default())?;
        credit = credit.with_receivable(before.as_ref(), receivable)?;
        for payment in &self.booked_payment_ids {
            credit = booked::<Payment>(workspace, payment, receivable)?.credited(credit)?;
        }
        for order in &self.booked_order_ids {
            credit = booked::<Order>(workspace, order, receivable)?.credited(credit)?;
        }
        for goods_return in &self.booked_return_ids {
            credit = booked::<GoodsReturn>(workspace, goods_return, receivable)?.credited(credit)?;
        }
        ordering::held_keys(&credit, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let id = check::id(&self.receivable_id, "receivable_id")?;
        let receivable = self.receivable.as_ref().ok_or_else(|| check::missing("receivable"))?;
        let customer = check::id(&receivable.customer_id, "customer_id")?;
        let before: Option<Receivable> = workspace.find(id)?;
        let payments = all_booked::<Payment>(workspace, &self.booked_payment_ids, receivable)?;
        let orders = all_booked::<Order>(workspace, &self.booked_order_ids, receivable)?;
        let returns = all_booked::<GoodsReturn>(workspace, &self.booked_return_ids, receivable)?;
        // What an older figure contained is contained in the newer one that came before it.
        let outdated = before.as_ref().is_some_and(|before| reference::is_older(receivable, before));
        let nothing_booked = payments.is_empty() && orders.is_empty() && returns.is_empty();
        if (outdated || before.as_ref() == Some(receivable)) && nothing_booked {
            return Ok(applied_because(Reason::NothingToDo));
        }
        if !outdated {
            reference::put_receivable(workspace, id, receivable)?;
        }
        let debtor: Debtor = (customer, receivable.currency.clone());
        let mut credit: Credit = workspace.internal(&debtor)?;
        let mut debts: Debts = workspace.internal(&debtor)?;
        for payment in payments {
            workspace.update(payment.id, &payment.after)?;
            debts = debts.with_payment(Some(&payment.before), &payment.after);
            credit = payment.credited(credit)?;
        }
        workspace.put_internal(&debtor, &debts)?;
        for order in orders {
            workspace.update(order.id, &order.after)?;
            credit = order.credited(credit)?;
        }
        for goods_return in returns {
            workspace.update(goods_return.id, &goods_return.after)?;
            credit = goods_return.credited(credit)?;
        }
        workspace.put_internal(&debtor, &credit)?;
        ordering::release_held(context, workspace, &debtor)?;
        Ok(applied())
    }
}

/// What becomes part of a debt.
trait Bookable: Record {
    /// The list of the command that names it.
    const FIELD: &'static str;

    /// Whose it is: customer and currency.
    fn debtor(&self) -> (&[u8], &str);

    /// The mark that the debt contains it.
    fn mark(&mut self) -> &mut bool;

    /// Whether the books can have it.
    fn is_bookable(&self) -> bool;

    /// The credit with it as it is `after`, instead of `before`.
    fn credited(credit: Credit, id: Uuid, before: &Self, after: &Self) -> Result<Credit, Rejection>;
}

impl Bookable for Payment {
    const FIELD: &'static str = "booked_payment_ids";

    fn debtor(&self) -> (&[u8], &str) {
        (&self.customer_id, &self.currency)
    }

    fn mark(&mut self) -> &mut bool {
        &mut self.booked
    }

    fn is_bookable(&self) -> bool {
        true
    }

    fn credited(credit: Credit, _: Uuid, before: &Self, after: &Self) -> Result<Credit, Rejection> {
        credit.with_payment(Some(before), after)
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

    /// Before it is handed to the warehouse its value may still grow, which nobody would hold against the limit.
    fn is_bookable(&self) -> bool {
        match self.status() {
            OrderStatus::Released | OrderStatus::Closed => true,
            OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => false,
            OrderStatus::Confirmed | OrderStatus::Cancelled | OrderStatus::Refused => false,
        }
    }

    fn credited(credit: Credit, id: Uuid, before: &Self, after: &Self) -> Result<Credit, Rejection> {
        credit.with_order(id, Some(before), after)
    }
}

impl Bookable for GoodsReturn {
    const FIELD: &'static str = "booked_return_ids";

    fn debtor(&self) -> (&[u8], &str) {
        (&self.customer_id, &self.currency)
    }

    fn mark(&mut self) -> &mut bool {
        &mut self.booked
    }

    fn is_bookable(&self) -> bool {
        self.state() == ReturnState::Received
    }

    fn credited(credit: Credit, _: Uuid, before: &Self, after: &Self) -> Result<Credit, Rejection> {
        credit.with_return(Some(before), after)
    }
}

/// A document with the mark that the debt contains it.
struct Booked<R> {
    id: Uuid,
    before: R,
    after: R,
}

impl<R: Bookable + Clone> Booked<R> {
    fn credited(&self, credit: Credit) -> Result<Credit, Rejection> {
        R::credited(credit, self.id, &self.before, &self.after)
    }
}

/// Marks a document that a command names.
fn booked<R: Bookable + Clone>(workspace: &Workspace, id: &[u8], receivable: &Receivable) -> Result<Booked<R>, Stop> {
    let (id, before) = workspace.live::<R>(id)?;
    if before.debtor() != (receivable.customer_id.as_slice(), receivable.currency.as_str()) {
        return Err(check::mismatch(R::FIELD).about(id).into());
    }
    if !before.is_bookable() {
        return Err(Rejection::new(Reason::WrongState).field(R::FIELD).about(id).into());
    }
    let mut after = before.clone();
    *after.mark() = true;
    Ok(Booked { id, before, after })
}

/// The documents of a list that are marked now, and were not before.
fn all_booked<R: Bookable + Clone>(
    workspace: &Workspace,
    ids: &[Vec<u8>],
    receivable: &Receivable,
) -> Result<Vec<Booked<R>>, Stop> {
    let distinct: BTreeSet<&Vec<u8>> = ids.iter().collect();
    let mut all = Vec::new();
    for id in distinct {
        let mut one = booked::<R>(workspace, id, receivable)?;
        if !*one.before.mark() {
            all.push(one);
        }
    }
    Ok(all)
}
