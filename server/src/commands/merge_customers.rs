//! Makes two customers one.
//!
//! The first command removes the duplicate, and gives what is placed with it – agreements, contracts, receivables – to the survivor.
//! From then on whatever names the duplicate is the survivor's. Outlets that name it, and the documents at the outlets that have it
//! or ever had it, follow with this command and the next ones: those that are sent again, or else the server's own.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Fact, Outcome};
use roundsman_proto::trade::{
    Agreement, Contract, Customer, GoodsReturn, MergeCustomers, Order, Outlet, Payment, Reason, Receivable, Reclamation,
};
use roundsman_sync::kind::{self, Kind};
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::customer::{Found, Merge, decide_merge};
use roundsman_sync::trade::debt::Debts;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, ordering, restamp_records, terms};
use crate::internal::{Debtor, OutletCustomers, Reach, Reaching, Restampings};
use crate::network::{self, optional_id, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

/// One command moves so many records, and looks at so many outlets.
const RECORDS: usize = 500;
/// And looks at so many documents beside them; all of an outlet are looked at together.
const DOCUMENTS: usize = 2_000;

impl Decide for MergeCustomers {
    fn name(&self) -> &'static str {
        "MergeCustomers"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.duplicate_id, creates: false })
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.lead_on();
        keys.internal::<Restampings>(&());
        network::remaining_customer_keys(&self.duplicate_id, workspace, keys);
        network::remaining_customer_keys(&self.survivor_id, workspace, keys);
        let ids = Uuid::from_slice(&self.duplicate_id).ok().zip(Uuid::from_slice(&self.survivor_id).ok());
        let Some((duplicate, survivor)) = ids else { return Ok(()) };
        let begun = network::merge_customers_keys(duplicate, survivor, workspace, keys);
        let survivor = network::remaining_customer(workspace, survivor)?;
        follow_keys((duplicate, survivor), workspace, keys)?;
        begun
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let [gone, kept] = [found(workspace, &self.duplicate_id)?, found(workspace, &self.survivor_id)?];
        let merge = decide_merge(self, gone, kept)?;
        let duplicate = check::id(&self.duplicate_id, "duplicate_id")?;
        let mut moving = Moving { from: duplicate, to: Uuid::nil(), currencies: BTreeSet::new(), records: 0 };
        match merge {
            Merge::Begin(survivor) => {
                moving.to = survivor;
                begin(context, workspace, &mut moving)?;
            }
            Merge::GoOn(survivor) => moving.to = survivor,
        }
        let left = follow(workspace, &mut moving)?;
        let goes_on = (left > 0).then(Vec::new);
        restamp_records::note(workspace, (Kind::Customer, duplicate), goes_on, context.now_us)?;
        for currency in moving.currencies {
            terms::release_noting(context, workspace, &(moving.to, currency))?;
        }
        if left > 0 {
            let left = Fact { record_id: Vec::new(), name: "left_outlets".to_owned(), value: left.to_string() };
            return Ok(Outcome { facts: vec![left], ..applied_because(Reason::MergeGoesOn) });
        }
        Ok(if workspace.untouched() { applied_because(Reason::NothingToDo) } else { applied() })
    }
}

/// What is known of a customer by its id as it came.
fn found(workspace: &Workspace, id: &[u8]) -> Result<Found, Stop> {
    let Ok(id) = Uuid::from_slice(id) else { return Ok(Found::Unknown) };
    if workspace.find::<Customer>(id)?.is_some() {
        return Ok(Found::Live);
    }
    let into = workspace.stored(id)?.and_then(|stored| stored.survivor);
    let remaining = network::remaining_customer(workspace, id)?;
    Ok(into.map_or(Found::Unknown, |into| Found::Merged { into, remaining }))
}

/// What goes over from one customer to another.
struct Moving {
    from: Uuid,
    to: Uuid,
    /// In which the survivor's credit has changed.
    currencies: BTreeSet<String>,
    /// So many records have gone over.
    records: usize,
}

/// Gives the survivor what is placed with the duplicate, and removes that.
fn begin(context: &Context<'_>, workspace: &mut Workspace, moving: &mut Moving) -> Result<(), Stop> {
    let reach: Reach = workspace.internal(&Reaching::Customer(moving.from))?;
    let dependents: Vec<Uuid> = reach.dependent_records().collect();
    check::count(dependents.len(), RECORDS, "duplicate_id")?;
    // Whoever is present where is judged by what agreements say until now.
    network::merge_customers(workspace, (moving.from, moving.to), context.now_us)?;
    for id in &dependents {
        if kind_of(workspace, *id)? == Some(Kind::Contract) {
            moving.contract(workspace, *id)?;
        }
    }
    for id in dependents {
        match kind_of(workspace, id)? {
            Some(Kind::Agreement) => moving.agreement(workspace, id)?,
            Some(Kind::Receivable) => moving.receivable(workspace, id)?,
            _ => {}
        }
    }
    Ok(())
}

/// The kind of a live record.
fn kind_of(workspace: &Workspace, id: Uuid) -> Result<Option<Kind>, Stop> {
    let live = workspace.stored(id)?.filter(|stored| stored.removed_at_us.is_none());
    Ok(live.and_then(|stored| kind::from_number(stored.kind)))
}

/// Moves outlets and documents, as many as one command may; returns at how many outlets something may be left.
fn follow(workspace: &mut Workspace, moving: &mut Moving) -> Result<usize, Stop> {
    let outlets = network::outlets_of(workspace, moving.from)?;
    let mut looked = 0;
    for (done, outlet) in outlets.iter().enumerate() {
        if moving.records >= RECORDS || looked >= DOCUMENTS || done >= RECORDS {
            return Ok(outlets.len() - done);
        }
        moving.outlet(workspace, *outlet)?;
        for document in network::documents_of(workspace, *outlet)? {
            if moving.records >= RECORDS {
                return Ok(outlets.len() - done);
            }
            looked += 1;
            moving.document(workspace, document)?;
        }
        network::leave_customer(workspace, *outlet, (moving.from, moving.to))?;
    }
    Ok(0)
}

/// Asks for what [`follow`] needs.
fn follow_keys((from, to): (Uuid, Uuid), workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    network::outlets_of_keys(from, keys);
    network::outlets_of_keys(to, keys);
    let mut looked = 0;
    for outlet in network::outlets_of(workspace, from)?.into_iter().take(RECORDS) {
        keys.id(outlet);
        keys.internal::<OutletCustomers>(&outlet);
        if let Ok(Some(outlet)) = workspace.find::<Outlet>(outlet) {
            network::remaining_customer_keys(&outlet.customer_id, workspace, keys);
        }
        // What it can't ask for yet it asks for in the next wave.
        let _ = network::move_keys(outlet, workspace, keys);
        for document in network::documents_of(workspace, outlet).unwrap_or_default() {
            looked += 1;
            let Some((owner, currency)) = owner_of(workspace, document) else { continue };
            network::remaining_customer_keys(owner.as_bytes(), workspace, keys);
            let moves = owner == from || network::remaining_customer(workspace, owner).is_ok_and(|id| id == to);
            for debtor in currency.filter(|_| moves).iter().flat_map(|currency| debtors([owner, to], currency)) {
                keys.internal::<Credit>(&debtor);
                keys.internal::<Debts>(&debtor);
            }
        }
        if looked >= DOCUMENTS {
            break;
        }
    }
    Ok(())
}

fn debtors(customers: [Uuid; 2], currency: &str) -> [Debtor; 2] {
    customers.map(|customer| (customer, currency.to_owned()))
}

/// Whose a document is, and in which currency it counts for that customer, if it does; `None`: it is nobody's, or not loaded yet.
fn owner_of(workspace: &Workspace, id: Uuid) -> Option<(Uuid, Option<String>)> {
    let order = workspace.find::<Order>(id).ok().flatten().map(|order| (order.customer_id, Some(order.currency)));
    let paid = || workspace.find::<Payment>(id).ok().flatten().map(|paid| (paid.customer_id, Some(paid.currency)));
    let claimed = || workspace.find::<Reclamation>(id).ok().flatten().map(|claim| (claim.customer_id, None));
    let returned =
        || workspace.find::<GoodsReturn>(id).ok().flatten().map(|back| (back.customer_id, Some(back.currency)));
    let (owner, currency) = order.or_else(paid).or_else(claimed).or_else(returned)?;
    Some((Uuid::from_slice(&owner).ok()?, currency))
}

impl Moving {
    /// Whether what names this customer goes over: it is the duplicate, or another one that was merged into the survivor and
    /// has something at an outlet of the duplicate.
    fn takes(&self, workspace: &Workspace, customer: &[u8]) -> Result<bool, Stop> {
        let Some(customer) = optional_id(customer)? else { return Ok(false) };
        Ok(customer != self.to && network::remaining_customer(workspace, customer)? == self.to)
    }

    fn to(&self) -> Vec<u8> {
        self.to.as_bytes().to_vec()
    }

    /// The debtors in a currency: whose it was, and whose it is.
    fn debtors(&mut self, customer: &[u8], currency: &str) -> Result<(Debtor, Debtor), Stop> {
        self.records += 1;
        self.currencies.insert(currency.to_owned());
        Ok(((stored_id(customer)?, currency.to_owned()), (self.to, currency.to_owned())))
    }

    fn agreement(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(agreement) = workspace.find::<Agreement>(id)? else { return Ok(()) };
        self.records += 1;
        workspace.update(id, &Agreement { customer_id: self.to(), ..agreement })
    }

    fn contract(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(contract) = workspace.find::<Contract>(id)? else { return Ok(()) };
        let (was, is) = self.debtors(&contract.customer_id, &contract.currency)?;
        let contract = Contract { customer_id: self.to(), ..contract };
        let credit: Credit = workspace.internal(&was)?;
        workspace.put_internal(&was, &credit.without_contract(id))?;
        let credit: Credit = workspace.internal(&is)?;
        workspace.put_internal(&is, &credit.with_contract(id, &contract)?)?;
        workspace.update(id, &contract)
    }

    fn receivable(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(receivable) = workspace.find::<Receivable>(id)? else { return Ok(()) };
        let (was, is) = self.debtors(&receivable.customer_id, &receivable.currency)?;
        let credit: Credit = workspace.internal(&was)?;
        workspace.put_internal(&was, &credit.without_receivable(&receivable))?;
        let debts: Debts = workspace.internal(&was)?;
        workspace.put_internal(&was, &debts.without_receivable(id))?;
        let receivable = Receivable { customer_id: self.to(), ..receivable };
        let credit: Credit = workspace.internal(&is)?;
        workspace.put_internal(&is, &credit.with_receivable(None, &receivable)?)?;
        let debts: Debts = workspace.internal(&is)?;
        workspace.put_internal(&is, &debts.with_receivable(id))?;
        workspace.update(id, &receivable)
    }

    /// An outlet that names the duplicate names the survivor; it is where it was, on the terms that it had.
    fn outlet(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        match workspace.find::<Outlet>(id)? {
            Some(outlet) if self.takes(workspace, &outlet.customer_id)? => {
                self.records += 1;
                workspace.update(id, &Outlet { customer_id: self.to(), ..outlet })
            }
            _ => Ok(()),
        }
    }

    fn document(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        match kind_of(workspace, id)? {
            Some(Kind::Order) => self.order(workspace, id),
            Some(Kind::Payment) => self.payment(workspace, id),
            Some(Kind::Reclamation) => self.reclamation(workspace, id),
            Some(Kind::GoodsReturn) => self.goods_return(workspace, id),
            _ => Ok(()),
        }
    }

    fn order(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(order) = workspace.find::<Order>(id)? else { return Ok(()) };
        if self.takes(workspace, &order.customer_id)? {
            self.records += 1;
        } else if order.customer_id != self.to.as_bytes() {
            return Ok(());
        }
        // One that has gone over before may be the last for which the survivor's held orders waited.
        self.currencies.insert(order.currency.clone());
        ordering::follow_customer(workspace, id, order).map(|_| ())
    }

    fn payment(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(payment) = workspace.find::<Payment>(id)? else { return Ok(()) };
        if !self.takes(workspace, &payment.customer_id)? {
            return Ok(());
        }
        let (was, is) = self.debtors(&payment.customer_id, &payment.currency)?;
        let credit: Credit = workspace.internal(&was)?;
        workspace.put_internal(&was, &credit.without_payment(&payment))?;
        let debts: Debts = workspace.internal(&was)?;
        workspace.put_internal(&was, &debts.without_payment(&payment))?;
        let payment = Payment { customer_id: self.to(), ..payment };
        let credit: Credit = workspace.internal(&is)?;
        workspace.put_internal(&is, &credit.with_payment(None, &payment)?)?;
        let debts: Debts = workspace.internal(&is)?;
        workspace.put_internal(&is, &debts.with_payment(None, &payment))?;
        workspace.update(id, &payment)
    }

    fn goods_return(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        let Some(goods_return) = workspace.find::<GoodsReturn>(id)? else { return Ok(()) };
        if !self.takes(workspace, &goods_return.customer_id)? {
            return Ok(());
        }
        let (was, is) = self.debtors(&goods_return.customer_id, &goods_return.currency)?;
        let credit: Credit = workspace.internal(&was)?;
        workspace.put_internal(&was, &credit.without_return(&goods_return))?;
        let goods_return = GoodsReturn { customer_id: self.to(), ..goods_return };
        let credit: Credit = workspace.internal(&is)?;
        workspace.put_internal(&is, &credit.with_return(None, &goods_return)?)?;
        workspace.update(id, &goods_return)
    }

    fn reclamation(&mut self, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
        match workspace.find::<Reclamation>(id)? {
            Some(claim) if self.takes(workspace, &claim.customer_id)? => {
                self.records += 1;
                workspace.update(id, &Reclamation { customer_id: self.to(), ..claim })
            }
            _ => Ok(()),
        }
    }
}
