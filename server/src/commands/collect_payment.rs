//! Reports money that a rep took.
//!
//! A payment is closed when it is taken: nothing is left to do about it in the field. It is placed in the month of that
//! decision, and stays there when the books contain it later.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CollectPayment, Order, Payment, Receivable};
use roundsman_sync::trade::capture::Capture;
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::debt::Debts;
use roundsman_sync::trade::hand_in::{self, InHand};
use roundsman_sync::trade::payment::{self, Decision, Owing};
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::field::Place;
use super::ordering;
use super::{Context, Decide, Issuer, Target, field, trips};
use crate::internal::{Debtor, OutletCustomers};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CollectPayment {
    fn name(&self) -> &'static str {
        "CollectPayment"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Driver]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.payment_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.shares.len(), check::LINES, "shares")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.payment_id);
        keys.record(&self.order_id);
        keys.record(&self.trip_id);
        field::keys(context, &self.outlet_id, workspace, keys);
        field::hang_keys(context, &self.outlet_id, workspace, keys);
        for outlet in field::named_and_remaining(&self.outlet_id, workspace) {
            keys.internal::<OutletCustomers>(&outlet);
        }
        if let Some(rep) = context.issuer.rep() {
            keys.internal::<InHand>(&(rep, self.currency.clone(), 0));
        }
        network::remaining_customer_keys(&self.customer_id, workspace, keys);
        let Ok(customer) = Uuid::from_slice(&self.customer_id) else { return Ok(()) };
        let customer = network::remaining_customer(workspace, customer)?;
        let debtor: Debtor = (customer, self.currency.clone());
        keys.internal::<Credit>(&debtor);
        keys.internal::<Debts>(&debtor);
        for receivable in workspace.internal::<Debts>(&debtor)?.receivable_ids() {
            keys.id(receivable);
        }
        let credit: Credit = workspace.internal(&debtor)?;
        let payment = Payment { amount_minor: self.amount_minor, ..Payment::default() };
        ordering::held_keys(&credit.with_payment(None, &payment)?, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        payment::collect_form(self)?;
        let rep = field::rep(context)?;
        let (place, capture) = taken_at(context, workspace, self)?;
        let customers: OutletCustomers = workspace.internal(&place.outlet_id)?;
        let customers = with_remaining(workspace, customers.customers, &self.customer_id)?;
        let customer = network::remaining_customer(workspace, payment::customer(self, &customers)?)?;
        // Money for a customer that was merged into another one is that one's.
        let command = &Self { customer_id: customer.as_bytes().to_vec(), ..self.clone() };
        let (id, current) = field::existing::<Payment>(workspace, &self.payment_id)?;
        let debtor = (customer, self.currency.clone());
        let credit: Credit = workspace.internal(&debtor)?;
        let debts: Debts = workspace.internal(&debtor)?;
        let mut receivables: Vec<Receivable> = Vec::new();
        for id in debts.receivable_ids() {
            receivables.extend(workspace.find(id)?);
        }
        let open = debts.open_items(&receivables);
        let owing = Owing { credit: &credit, open: &open };
        // Money is not refused because its order can't be found.
        let order: Option<Order> = field::named(workspace, Uuid::from_slice(&self.order_id).ok())?;
        let order = order.map(|order| match order.customer_id == self.customer_id {
            true => Order { customer_id: command.customer_id.clone(), ..order },
            false => order,
        });
        let decision =
            payment::decide_collect(current.as_ref(), order.as_ref(), place.outlet_id, rep, command, owing, &capture)?;
        let Decision { payment, credit, verdict } = decision;
        if current.is_none() {
            field::hang(context, workspace, &place, id)?;
            workspace.put(id, &payment, &place.closed(context))?;
            workspace.put_internal(&debtor, &credit)?;
            workspace.put_internal(&debtor, &debts.with_payment(None, &payment))?;
            collect(workspace, rep, (id, &payment))?;
            workspace.announce("payment.collected", id);
            ordering::release_held(context, workspace, &debtor)?;
        }
        place.outcome(context, workspace, verdict)
    }
}

/// Where money was taken, and how: on an own trip at an outlet at which it stops, or by a rep at one that was once the rep's. Money
/// of a trip that is not on its way is taken, and flagged.
fn taken_at(context: &Context<'_>, workspace: &Workspace, command: &CollectPayment) -> Result<(Place, Capture), Stop> {
    let drives = matches!(context.issuer, Issuer::User(caller) if caller.role == Role::Driver);
    if drives || !command.trip_id.is_empty() {
        let (place, on_its_way) = trips::place(context, workspace, (&command.trip_id, &command.outlet_id))?;
        let capture = field::capture(context, &place, place.archived || !on_its_way);
        return Ok((place, capture));
    }
    let place = field::known_place(context, workspace, &command.outlet_id)?;
    let capture = field::fact(context, workspace, &place)?;
    Ok((place, capture))
}

/// The customers of an outlet and, unless `named` is one of them, those into which they were merged.
fn with_remaining(workspace: &Workspace, mut customers: Vec<Vec<u8>>, named: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
    if customers.iter().all(|known| known != named) {
        for index in 0..customers.len() {
            let known = network::stored_id(&customers[index])?;
            customers.push(network::remaining_customer(workspace, known)?.as_bytes().to_vec());
        }
    }
    Ok(customers)
}

/// Notes what the rep has to hand in of a payment.
fn collect(workspace: &mut Workspace, rep: Uuid, (id, payment): (Uuid, &Payment)) -> Result<(), Stop> {
    let Some(cash) = hand_in::collected(id, payment) else { return Ok(()) };
    let page = |number: i32| (rep, payment.currency.clone(), number);
    let in_hand: InHand = workspace.internal(&page(0))?;
    let (in_hand, full) = in_hand.with(cash);
    if let Some((number, full)) = full {
        workspace.put_internal(&page(number), &full)?;
    }
    workspace.put_internal(&page(0), &in_hand)
}
