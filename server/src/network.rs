//! What hangs together in the network of outlets: where customers, agreements and documents are placed, and what a
//! territory's holder is granted, follows from outlets, territories and assignments. Every command that changes one of
//! these comes through here.

use std::borrow::Cow;

use roundsman_proto::trade::{Agreement, Outlet, Reason, Territory};
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::assignment::{Assigned, Placed};
use roundsman_sync::trade::chain::agreements_of;
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::{CUSTOMER_TERRITORIES, Stamps};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::waiting::{Scarce, Waiting};
use uuid::Uuid;

use crate::calendar;
use crate::chains;
use crate::grants;
use crate::internal::{
    CustomerOutlets, FormerTerms, Granted, OutletCustomers, OutletDocuments, OutletMonths, OutletOrder, Reach,
    Reaching, TerritoryCalendar, TerritoryReps, insert_id,
};
use crate::workspace::{Keys, Stop, Workspace};

/// An id in a stored record.
///
/// # Errors
/// [`Stop::Corrupt`] when it is not 16 bytes long.
pub fn stored_id(bytes: &[u8]) -> Result<Uuid, Stop> {
    Uuid::from_slice(bytes).map_err(|_| Stop::Corrupt("a stored id does not have 16 bytes".to_owned()))
}

/// An id that may be missing in a stored record.
///
/// # Errors
/// As [`stored_id`].
pub fn optional_id(bytes: &[u8]) -> Result<Option<Uuid>, Stop> {
    if bytes.is_empty() { Ok(None) } else { stored_id(bytes).map(Some) }
}

/// Adds one reason, or takes one off, for the holders of `holder` to hold `scope`.
///
/// # Errors
/// [`Stop::Load`].
pub fn grant(workspace: &mut Workspace, holder: Scope, scope: Scope, by: i64) -> Result<(), Stop> {
    let mut granted: Granted = workspace.internal(&holder)?;
    granted.count(scope, by);
    workspace.put_internal(&holder, &granted)
}

/// How many buckets a territory's grants are worth.
///
/// # Errors
/// [`Stop::Load`].
pub fn buckets_in(workspace: &Workspace, territory: Uuid) -> Result<usize, Stop> {
    let granted: Granted = workspace.internal(&Scope::Territory(territory))?;
    Ok(granted.held().map(grants::buckets).sum())
}

/// Refuses what a territory was granted beyond the buckets that it was worth `before`, if it is too much for the devices
/// of those who work there.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`; [`Stop::Load`].
pub fn refuse_growth(workspace: &Workspace, territory: Uuid, before: usize) -> Result<(), Stop> {
    if buckets_in(workspace, territory)? <= before {
        return Ok(());
    }
    for rep in workspace.internal::<TerritoryReps>(&territory)?.reps {
        let rep = stored_id(&rep)?;
        let territories = territories_of(workspace, rep)?;
        if territories.contains(&territory) {
            grants::refuse_too_many(workspace, rep, territories)?;
        }
    }
    Ok(())
}

/// Asks for what [`refuse_growth`] needs.
pub fn growth_keys(territory: Uuid, workspace: &Workspace, keys: &mut Keys) {
    keys.internal::<Granted>(&Scope::Territory(territory));
    keys.internal::<TerritoryReps>(&territory);
    let Ok(reps) = workspace.internal::<TerritoryReps>(&territory) else { return };
    for rep in reps.reps.iter().filter_map(|rep| Uuid::from_slice(rep).ok()) {
        keys.internal::<Granted>(&Scope::Rep(rep));
        for other in territories_of(workspace, rep).unwrap_or_default() {
            keys.internal::<Granted>(&Scope::Territory(other));
        }
    }
}

/// The territories that a rep holds now.
fn territories_of(workspace: &Workspace, rep: Uuid) -> Result<Vec<Uuid>, Stop> {
    let granted: Granted = workspace.internal(&Scope::Rep(rep))?;
    let territory = |scope| if let Scope::Territory(territory) = scope { Some(territory) } else { None };
    Ok(granted.held().filter_map(territory).collect())
}

/// Asks for what [`put_outlet`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn outlet_keys(id: &[u8], outlet: &Outlet, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(id);
    keys.record(&outlet.territory_id);
    if let Ok(id) = Uuid::from_slice(id) {
        keys.internal::<Placed>(&id);
        keys.internal::<OutletCustomers>(&id);
        keys.internal::<FormerTerms>(&id);
    }
    if let Ok(territory) = Uuid::from_slice(&outlet.territory_id) {
        growth_keys(territory, workspace, keys);
    }
    keys.record(&outlet.customer_id);
    chains::outlet_keys(outlet, workspace, keys);
    // A chain that is not there may come with the same command.
    let outlet = chains::settled(workspace, outlet).unwrap_or(Cow::Borrowed(outlet));
    terms_keys(agreements_of(&outlet), workspace, keys);
    let outlet_id = Uuid::from_slice(id).unwrap_or_default();
    for customer in customers(workspace, &outlet)? {
        keys.internal::<CustomerOutlets>(&CustomerOutlets::key(customer, outlet_id));
        customer_keys(customer, workspace, keys)?;
    }
    Ok(())
}

/// Asks for agreements, and for what changes where an outlet begins or ends to buy by them.
pub fn terms_keys(agreements: &[Vec<u8>], workspace: &Workspace, keys: &mut Keys) {
    for agreement in agreements {
        keys.record(agreement);
        let Ok(id) = Uuid::from_slice(agreement) else { continue };
        keys.internal::<Reach>(&Reaching::Agreement(id));
        keys.internal::<Waiting>(&Scarce::Terms(id));
        let customer = workspace.find::<Agreement>(id).ok().flatten().map(|terms| terms.customer_id);
        if let Some(customer) = customer.and_then(|customer| Uuid::from_slice(&customer).ok()) {
            // What it can't ask for yet it asks for in the next wave.
            let _ = customer_keys(customer, workspace, keys);
        }
    }
}

/// Asks for what changes where a customer gets one outlet more or fewer.
fn customer_keys(customer: Uuid, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.internal::<Reach>(&Reaching::Customer(customer));
    let reach: Reach = workspace.internal(&Reaching::Customer(customer))?;
    for dependent in reach.dependent_records() {
        keys.id(dependent);
    }
    // With one territory more it gets a scope of its own, which all of them are granted.
    if reach.territories.len() == CUSTOMER_TERRITORIES && !reach.own_scope {
        for (territory, _) in reach.reached() {
            growth_keys(territory, workspace, keys);
        }
    }
    Ok(())
}

/// So many customers may have been merged one into the next.
const MERGES: usize = 64;

/// The customer that stands for this one: itself, or the one into which it was merged.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn remaining_customer(workspace: &Workspace, named: Uuid) -> Result<Uuid, Stop> {
    let mut id = named;
    for _ in 0..MERGES {
        match workspace.stored(id)?.and_then(|stored| stored.survivor) {
            Some(survivor) => id = survivor,
            None => return Ok(id),
        }
    }
    Err(Stop::Corrupt(format!("the customer {named} was merged too often")))
}

/// Asks for a customer, and for those into which it was merged as far as they are known by now.
pub fn remaining_customer_keys(named: &[u8], workspace: &Workspace, keys: &mut Keys) {
    let Ok(mut id) = Uuid::from_slice(named) else { return };
    for _ in 0..MERGES {
        keys.id(id);
        match workspace.stored(id).ok().flatten().and_then(|stored| stored.survivor) {
            Some(survivor) => id = survivor,
            None => return,
        }
    }
}

/// The customers that an outlet makes present in its territory: its own, or the one into which that was merged, and those of
/// its agreements.
fn customers(workspace: &Workspace, outlet: &Outlet) -> Result<Vec<Uuid>, Stop> {
    let own = optional_id(&outlet.customer_id)?.map(|own| remaining_customer(workspace, own)).transpose()?;
    let mut customers: Vec<Uuid> = own.into_iter().collect();
    for agreement in agreements_of(outlet) {
        if let Some(agreement) = workspace.find::<Agreement>(stored_id(agreement)?)? {
            customers.extend(optional_id(&agreement.customer_id)?);
        }
    }
    customers.sort_unstable();
    customers.dedup();
    Ok(customers)
}

/// Writes an outlet, and everything that follows from where it is and on what terms it buys. `at_us` is the moment of the
/// decision.
///
/// # Errors
/// See [`Stop`]; rejections name what the outlet refers to and what is not there.
pub fn put_outlet(workspace: &mut Workspace, id: Uuid, outlet: &Outlet, at_us: i64) -> Result<(), Stop> {
    let (territory, _) = workspace.live::<Territory>(&outlet.territory_id)?;
    let outlet = &*chains::settled(workspace, outlet)?;
    for agreement in agreements_of(outlet) {
        workspace.live::<Agreement>(agreement)?;
    }
    let before: Option<Outlet> = workspace.find(id)?;
    // One that was merged into another stays named until the outlet follows.
    let is_new = before.as_ref().is_none_or(|before| before.customer_id != outlet.customer_id);
    if is_new && !outlet.customer_id.is_empty() {
        workspace.live::<roundsman_proto::trade::Customer>(&outlet.customer_id)?;
    }
    let buckets = buckets_in(workspace, territory)?;
    let placed = workspace.internal::<Placed>(&id)?;
    let placed = if before.is_some() { placed.moved(territory, at_us) } else { Placed::first(territory) };
    workspace.put_internal(&id, &placed)?;
    if let Some(before) = &before {
        present(workspace, before, -1)?;
        change_terms(workspace, id, (agreements_of(before), agreements_of(outlet)), at_us)?;
    }
    let left = before.map(|before| before.chain_id).unwrap_or_default();
    chains::move_outlet(workspace, id, &left, &outlet.chain_id)?;
    workspace.put(id, outlet, &Stamps::of_territory(territory))?;
    present(workspace, outlet, 1)?;
    note_customers(workspace, id, customers(workspace, outlet)?)?;
    refuse_growth(workspace, territory, buckets)
}

/// An outlet buys by other agreements: orders that name one of those that it lost may still come, and those that wait for
/// one that it got have it.
fn change_terms(
    workspace: &mut Workspace,
    outlet: Uuid,
    (before, after): (&[Vec<u8>], &[Vec<u8>]),
    at_us: i64,
) -> Result<(), Stop> {
    let lost: Vec<Vec<u8>> = before.iter().filter(|agreement| !after.contains(agreement)).cloned().collect();
    note_former(workspace, outlet, &lost, at_us)?;
    for agreement in after.iter().filter(|agreement| !before.contains(agreement)) {
        workspace.free(Scarce::Terms(stored_id(agreement)?));
    }
    Ok(())
}

/// Notes agreements by which an outlet buys no longer.
///
/// # Errors
/// [`Stop::Load`].
pub fn note_former(workspace: &mut Workspace, outlet: Uuid, agreements: &[Vec<u8>], until_us: i64) -> Result<(), Stop> {
    if agreements.is_empty() {
        return Ok(());
    }
    let mut former: FormerTerms = workspace.internal(&outlet)?;
    for agreement in agreements {
        former.note(agreement, until_us);
    }
    workspace.put_internal(&outlet, &former)
}

/// Notes that an outlet has these customers, or had them.
fn note_customers(workspace: &mut Workspace, outlet: Uuid, customers: Vec<Uuid>) -> Result<(), Stop> {
    let mut known: OutletCustomers = workspace.internal(&outlet)?;
    let mut changed = false;
    for customer in customers {
        if insert_id(&mut known.customers, customer) {
            changed = true;
            note_outlet(workspace, customer, outlet)?;
        }
    }
    if changed { workspace.put_internal(&outlet, &known) } else { Ok(()) }
}

/// Notes that a customer may have documents at an outlet.
fn note_outlet(workspace: &mut Workspace, customer: Uuid, outlet: Uuid) -> Result<(), Stop> {
    let key = CustomerOutlets::key(customer, outlet);
    let mut outlets: CustomerOutlets = workspace.internal(&key)?;
    if insert_id(&mut outlets.outlets, outlet) { workspace.put_internal(&key, &outlets) } else { Ok(()) }
}

/// Asks for what [`note_customer`] needs.
pub fn note_customer_keys(outlet: &[u8], customer: &[u8], keys: &mut Keys) {
    if let (Ok(outlet), Ok(customer)) = (Uuid::from_slice(outlet), Uuid::from_slice(customer)) {
        keys.internal::<OutletCustomers>(&outlet);
        keys.internal::<CustomerOutlets>(&CustomerOutlets::key(customer, outlet));
    }
}

/// Notes that a customer has bought at an outlet.
///
/// # Errors
/// [`Stop::Load`].
pub fn note_customer(workspace: &mut Workspace, outlet: Uuid, customer: Uuid) -> Result<(), Stop> {
    note_customers(workspace, outlet, vec![customer])
}

/// The outlets at which a customer may have documents, in ascending order.
///
/// # Errors
/// [`Stop::Load`].
pub fn outlets_of(workspace: &Workspace, customer: Uuid) -> Result<Vec<Uuid>, Stop> {
    let mut all = Vec::new();
    for part in 0..CustomerOutlets::PARTS {
        for outlet in workspace.internal::<CustomerOutlets>(&(customer, part))?.outlets {
            all.push(stored_id(&outlet)?);
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// Asks for what [`outlets_of`] needs.
pub fn outlets_of_keys(customer: Uuid, keys: &mut Keys) {
    for part in 0..CustomerOutlets::PARTS {
        keys.internal::<CustomerOutlets>(&(customer, part));
    }
}

/// An outlet has no documents of a customer any more that was merged into another, which may have some there now.
///
/// # Errors
/// [`Stop::Load`].
pub fn leave_customer(workspace: &mut Workspace, outlet: Uuid, (left, survivor): (Uuid, Uuid)) -> Result<(), Stop> {
    let key = CustomerOutlets::key(left, outlet);
    let mut outlets: CustomerOutlets = workspace.internal(&key)?;
    outlets.outlets.retain(|other| other != outlet.as_bytes());
    workspace.put_internal(&key, &outlets)?;
    note_customers(workspace, outlet, vec![survivor])
}

/// An outlet was a duplicate of another: whoever was a customer there is one of the outlet that remains.
///
/// # Errors
/// [`Stop::Load`].
pub fn hand_customers_on(workspace: &mut Workspace, duplicate: Uuid, survivor: Uuid) -> Result<(), Stop> {
    let known: OutletCustomers = workspace.internal(&duplicate)?;
    let customers: Vec<Uuid> = known.customers.iter().map(|id| stored_id(id)).collect::<Result<_, _>>()?;
    for customer in &customers {
        // Also of those that were known there and have left it.
        note_outlet(workspace, *customer, survivor)?;
    }
    note_customers(workspace, survivor, customers)
}

/// Removes an outlet for good.
///
/// # Errors
/// See [`Stop`].
pub fn remove_outlet(workspace: &mut Workspace, id: Uuid, at_us: i64, survivor: Option<Uuid>) -> Result<(), Stop> {
    if let Some(before) = workspace.find::<Outlet>(id)? {
        present(workspace, &before, -1)?;
        chains::move_outlet(workspace, id, &before.chain_id, &[])?;
    }
    workspace.remove(id, at_us, survivor)
}

/// Counts an outlet in or out: its customers reach its territory, its agreements' price lists are granted there.
fn present(workspace: &mut Workspace, outlet: &Outlet, by: i64) -> Result<(), Stop> {
    let territory = stored_id(&outlet.territory_id)?;
    for customer in customers(workspace, outlet)? {
        let mut reach: Reach = workspace.internal(&Reaching::Customer(customer))?;
        let moved = reach.count(territory, by);
        if moved {
            let wide = reach.territories.len() > CUSTOMER_TERRITORIES;
            if wide && !reach.own_scope {
                reach.own_scope = true;
                let others: Vec<Uuid> = reach.reached().map(|(other, _)| other).collect();
                for other in others.into_iter().filter(|other| *other != territory) {
                    let buckets = buckets_in(workspace, other)?;
                    grant(workspace, Scope::Territory(other), Scope::Customer(customer), 1)?;
                    refuse_growth(workspace, other, buckets)?;
                }
            }
            if reach.own_scope {
                grant(workspace, Scope::Territory(territory), Scope::Customer(customer), by.signum())?;
            }
        }
        workspace.put_internal(&Reaching::Customer(customer), &reach)?;
        if moved {
            restamp_customer(workspace, customer, &reach)?;
        }
    }
    for agreement in agreements_of(outlet) {
        let agreement = stored_id(agreement)?;
        let mut reach: Reach = workspace.internal(&Reaching::Agreement(agreement))?;
        reach.count(territory, by);
        workspace.put_internal(&Reaching::Agreement(agreement), &reach)?;
        if let Some(terms) = workspace.find::<Agreement>(agreement)? {
            let price_list = Scope::PriceList(stored_id(&terms.price_list_id)?);
            grant(workspace, Scope::Territory(territory), price_list, by)?;
        }
    }
    Ok(())
}

/// The stamps of a customer and of what is placed with it.
#[must_use]
pub fn customer_stamps(reach: &Reach) -> Stamps {
    if reach.own_scope {
        return Stamps { own_scope: true, ..Stamps::default() };
    }
    Stamps { territories: reach.territories.iter().map(|entry| entry.territory.clone()).collect(), ..Stamps::default() }
}

fn restamp_customer(workspace: &mut Workspace, customer: Uuid, reach: &Reach) -> Result<(), Stop> {
    let stamps = customer_stamps(reach);
    workspace.restamp(customer, &stamps)?;
    for dependent in reach.dependent_records() {
        workspace.restamp(dependent, &stamps)?;
    }
    Ok(())
}

/// Removes a customer that was a duplicate: it is present where it was, as the survivor, and what was placed with it is placed
/// with that one. `at_us` is the moment of the decision.
///
/// # Errors
/// See [`Stop`]; `REASON_LIMIT_EXCEEDED` when those who work there would hold too much.
pub fn merge_customers(workspace: &mut Workspace, (duplicate, survivor): (Uuid, Uuid), at_us: i64) -> Result<(), Stop> {
    let gone: Reach = workspace.internal(&Reaching::Customer(duplicate))?;
    let mut kept: Reach = workspace.internal(&Reaching::Customer(survivor))?;
    let had_scope = kept.own_scope;
    let known: Vec<Uuid> = kept.reached().map(|(territory, _)| territory).collect();
    for (territory, outlets) in gone.reached() {
        kept.count(territory, outlets);
    }
    // An outlet that has both counts once, or a customer that was merged into one of them before and still names that one.
    let of_survivor = outlets_of(workspace, survivor)?;
    for outlet in outlets_of(workspace, duplicate)?.into_iter().filter(|outlet| of_survivor.contains(outlet)) {
        let Some(outlet) = workspace.find::<Outlet>(outlet)? else { continue };
        let customers = customers(workspace, &outlet)?;
        if customers.contains(&duplicate) && customers.contains(&survivor) {
            kept.count(stored_id(&outlet.territory_id)?, -1);
        }
    }
    for part in 0..CustomerOutlets::PARTS {
        let left: CustomerOutlets = workspace.internal(&(duplicate, part))?;
        if !left.outlets.is_empty() {
            let mut known: CustomerOutlets = workspace.internal(&(survivor, part))?;
            for outlet in &left.outlets {
                insert_id(&mut known.outlets, stored_id(outlet)?);
            }
            workspace.put_internal(&(survivor, part), &known)?;
        }
    }
    kept.own_scope |= kept.territories.len() > CUSTOMER_TERRITORIES;
    let reached: Vec<Uuid> = kept.reached().map(|(territory, _)| territory).collect();
    for territory in reached {
        let buckets = buckets_in(workspace, territory)?;
        if gone.own_scope && gone.reached().any(|(other, _)| other == territory) {
            grant(workspace, Scope::Territory(territory), Scope::Customer(duplicate), -1)?;
        }
        if kept.own_scope && !(had_scope && known.contains(&territory)) {
            grant(workspace, Scope::Territory(territory), Scope::Customer(survivor), 1)?;
        }
        refuse_growth(workspace, territory, buckets)?;
    }
    for dependent in gone.dependent_records() {
        kept.depend(dependent);
    }
    workspace.put_internal(&Reaching::Customer(duplicate), &Reach::default())?;
    workspace.put_internal(&Reaching::Customer(survivor), &kept)?;
    workspace.remove(duplicate, at_us, Some(survivor))?;
    restamp_customer(workspace, survivor, &kept)
}

/// Asks for what [`merge_customers`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn merge_customers_keys(
    duplicate: Uuid,
    survivor: Uuid,
    workspace: &Workspace,
    keys: &mut Keys,
) -> Result<(), Stop> {
    if workspace.stored(duplicate)?.is_some_and(|stored| stored.survivor.is_some()) {
        // It was done with the first command.
        return Ok(());
    }
    for customer in [duplicate, survivor] {
        keys.id(customer);
        outlets_of_keys(customer, keys);
        let _ = customer_keys(customer, workspace, keys);
    }
    let of_survivor = outlets_of(workspace, survivor)?;
    for outlet in outlets_of(workspace, duplicate)?.into_iter().filter(|outlet| of_survivor.contains(outlet)) {
        keys.id(outlet);
    }
    for (territory, _) in workspace.internal::<Reach>(&Reaching::Customer(duplicate))?.reached() {
        growth_keys(territory, workspace, keys);
    }
    Ok(())
}

/// Notes that `record` is placed where the customer's outlets are, and says where that is.
///
/// # Errors
/// [`Stop::Load`].
pub fn hang_on_customer(workspace: &mut Workspace, customer: Uuid, record: Uuid) -> Result<Stamps, Stop> {
    let mut reach: Reach = workspace.internal(&Reaching::Customer(customer))?;
    reach.depend(record);
    workspace.put_internal(&Reaching::Customer(customer), &reach)?;
    Ok(customer_stamps(&reach))
}

/// Notes that a document hangs on an outlet, so that it moves with it.
///
/// # Errors
/// [`Stop::Load`].
pub fn hang_on_outlet(workspace: &mut Workspace, outlet: Uuid, record: Uuid, month: Month) -> Result<(), Stop> {
    hang(workspace, (outlet, month), record, None)
}

/// Notes that an order that was handed in hangs on an outlet.
///
/// # Errors
/// [`Stop::Load`].
pub fn hang_order_on_outlet(
    workspace: &mut Workspace,
    outlet: Uuid,
    order: OutletOrder,
    month: Month,
) -> Result<(), Stop> {
    hang(workspace, (outlet, month), order.order(), Some(order))
}

fn hang(
    workspace: &mut Workspace,
    (outlet, month): (Uuid, Month),
    record: Uuid,
    order: Option<OutletOrder>,
) -> Result<(), Stop> {
    let mut months: OutletMonths = workspace.internal(&outlet)?;
    if let Err(index) = months.months.binary_search(&month.number()) {
        months.months.insert(index, month.number());
        workspace.put_internal(&outlet, &months)?;
    }
    let mut documents: OutletDocuments = workspace.internal(&(outlet, month))?;
    insert_id(&mut documents.records, record);
    documents.orders.extend(order);
    workspace.put_internal(&(outlet, month), &documents)
}

/// Notes that a document hangs on an outlet no longer.
///
/// # Errors
/// [`Stop::Load`].
pub fn take_off_outlet(workspace: &mut Workspace, outlet: Uuid, record: Uuid) -> Result<(), Stop> {
    let mut months: OutletMonths = workspace.internal(&outlet)?;
    let mut left = Vec::new();
    for number in std::mem::take(&mut months.months) {
        let Some(month) = Month::from_number(number) else { continue };
        let mut documents: OutletDocuments = workspace.internal(&(outlet, month))?;
        documents.records.retain(|id| id != record.as_bytes());
        documents.orders.retain(|order| order.order() != record);
        workspace.put_internal(&(outlet, month), &documents)?;
        if !documents.records.is_empty() {
            left.push(number);
        }
    }
    workspace.put_internal(&outlet, &OutletMonths { months: left })
}

/// Asks for what [`take_off_outlet`] needs.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn take_off_keys(outlet: Uuid, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.internal::<OutletMonths>(&outlet);
    for month in workspace.internal::<OutletMonths>(&outlet)?.months {
        keys.internal::<OutletDocuments>(&(outlet, Month::from_number(month).unwrap_or_default()));
    }
    Ok(())
}

/// Asks for what [`hang_on_outlet`] needs.
pub fn hang_keys(outlet: &[u8], month: Month, keys: &mut Keys) {
    if let Ok(outlet) = Uuid::from_slice(outlet) {
        keys.internal::<OutletMonths>(&outlet);
        keys.internal::<OutletDocuments>(&(outlet, month));
    }
}

/// Asks for the documents that hang on an outlet.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn move_keys(outlet: Uuid, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    take_off_keys(outlet, workspace, keys)?;
    for document in documents_of(workspace, outlet)? {
        keys.id(document);
    }
    Ok(())
}

/// All documents that hang on an outlet.
///
/// # Errors
/// [`Stop::Load`].
pub fn documents_of(workspace: &Workspace, outlet: Uuid) -> Result<Vec<Uuid>, Stop> {
    let mut all = Vec::new();
    for month in workspace.internal::<OutletMonths>(&outlet)?.months {
        let Some(month) = Month::from_number(month) else {
            continue;
        };
        let documents: OutletDocuments = workspace.internal(&(outlet, month))?;
        all.extend(documents.records.iter().filter_map(|id| Uuid::from_slice(id).ok()));
    }
    Ok(all)
}

/// Writes a territory: its team is granted it, and it grants its warehouse and the months that a phone holds. Its time zone
/// never changes: days that were worked and assignments that run were counted in it.
///
/// # Errors
/// See [`Stop`].
pub fn put_territory(
    workspace: &mut Workspace,
    id: Uuid,
    territory: &Territory,
    (at_us, months_on_phone): (i64, i32),
) -> Result<(), Stop> {
    let zone =
        calendar::zone(&territory.time_zone).ok_or_else(|| Rejection::new(Reason::UnknownValue).field("time_zone"))?;
    if let Some(before) = workspace.find::<Territory>(id)? {
        if before.time_zone != territory.time_zone {
            return Err(check::mismatch("time_zone").about(id).into());
        }
        belong(workspace, id, &before, -1)?;
    }
    workspace.put(id, territory, &Stamps::default())?;
    belong(workspace, id, territory, 1)?;
    // A month is opened a day before it begins, and stays open.
    let opened = Month::from_number(workspace.internal::<TerritoryCalendar>(&id)?.month).unwrap_or_default();
    grant_months(workspace, id, calendar::month(zone, at_us).max(opened), months_on_phone)
}

fn belong(workspace: &mut Workspace, id: Uuid, territory: &Territory, by: i64) -> Result<(), Stop> {
    if let Some(team) = optional_id(&territory.team_id)? {
        grant(workspace, Scope::Team(team), Scope::Territory(id), by)?;
    }
    if let Some(warehouse) = optional_id(&territory.warehouse_id)? {
        grant(workspace, Scope::Territory(id), Scope::Warehouse(warehouse), by)?;
    }
    Ok(())
}

/// Grants the last months of a territory, up to and including `month`, and takes back the older ones.
///
/// # Errors
/// [`Stop::Load`].
pub fn grant_months(workspace: &mut Workspace, territory: Uuid, month: Month, count: i32) -> Result<(), Stop> {
    let holder = Scope::Territory(territory);
    let mut granted: Granted = workspace.internal(&holder)?;
    let held: Vec<Scope> = granted.held().filter(|scope| matches!(scope, Scope::TerritoryMonth(..))).collect();
    let wanted: Vec<Scope> = (0..count).map(|ago| Scope::TerritoryMonth(territory, month.plus(-ago))).collect();
    for scope in held.iter().filter(|scope| !wanted.contains(scope)) {
        granted.count(*scope, -1);
    }
    for scope in wanted.iter().filter(|scope| !held.contains(scope)) {
        granted.count(*scope, 1);
    }
    workspace.put_internal(&holder, &granted)
}

/// Grants a rep the territories of the assignments that run at a moment, and takes back the others.
///
/// # Errors
/// [`Stop::Load`].
pub fn grant_assignments(workspace: &mut Workspace, rep: Uuid, at_us: i64) -> Result<(), Stop> {
    let holder = Scope::Rep(rep);
    let mut granted: Granted = workspace.internal(&holder)?;
    let held: Vec<Scope> = granted.held().filter(|scope| matches!(scope, Scope::Territory(_))).collect();
    let assigned: Assigned = workspace.internal(&rep)?;
    let wanted: Vec<Scope> = assigned.territories(at_us).into_iter().map(Scope::Territory).collect();
    for scope in held.iter().filter(|scope| !wanted.contains(scope)) {
        granted.count(*scope, -1);
    }
    for scope in wanted.iter().filter(|scope| !held.contains(scope)) {
        granted.count(*scope, 1);
    }
    workspace.put_internal(&holder, &granted)
}

/// Notes that a rep has an assignment to a territory.
///
/// # Errors
/// [`Stop::Load`].
pub fn note_rep(workspace: &mut Workspace, territory: Uuid, rep: Uuid) -> Result<(), Stop> {
    let mut reps: TerritoryReps = workspace.internal(&territory)?;
    if insert_id(&mut reps.reps, rep) {
        workspace.put_internal(&territory, &reps)?;
    }
    Ok(())
}
