//! Takes an outlet out, or merges it into another.

use prost::Message;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{
    ArchiveOutlet, ChangeRequest, GoodsReturn, HoldReason, Order, OrderStatus, Outlet, Payment, Reclamation, Shipment,
    SurveyResponse, Task, Visit, VisitState,
};
use roundsman_sync::kind::{self, Kind, Record};
use roundsman_sync::scope::Month;
use roundsman_sync::trade::assignment::Placed;
use roundsman_sync::trade::chain::agreements_of;
use roundsman_sync::trade::outlet::{self, Survivor};
use roundsman_sync::trade::visit;
use roundsman_sync::trade::waiting::Scarce;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, field, ordering};
use crate::internal::{FormerTerms, OutletCustomers, OutletDocuments, OutletMonths};
use crate::network::{self, stored_id};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ArchiveOutlet {
    fn name(&self) -> &'static str {
        "ArchiveOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        field::keys(context, &self.outlet_id, workspace, keys);
        keys.record(&self.survivor_id);
        let survivor = Uuid::from_slice(&self.survivor_id).ok();
        if let Some(survivor) = survivor {
            keys.internal::<Placed>(&survivor);
            keys.internal::<OutletMonths>(&survivor);
            keys.internal::<OutletCustomers>(&survivor);
        }
        if let Ok(outlet) = Uuid::from_slice(&self.outlet_id)
            && survivor.is_some()
        {
            keys.internal::<FormerTerms>(&outlet);
        }
        let (id, outlet) = workspace.live::<Outlet>(&self.outlet_id)?;
        keys.internal::<Placed>(&id);
        keys.internal::<OutletMonths>(&id);
        for month in months(workspace, id)? {
            keys.internal::<OutletDocuments>(&(id, month));
            if let Some(survivor) = survivor {
                keys.internal::<OutletDocuments>(&(survivor, month));
            }
        }
        for customer in workspace.internal::<OutletCustomers>(&id).iter().flat_map(|known| &known.customers) {
            network::note_customer_keys(&self.survivor_id, customer, keys);
        }
        if let Some(survivor) = survivor {
            release_keys((&outlet, id), survivor, workspace, keys);
        }
        let others = network::outlet_keys(&self.outlet_id, &outlet, workspace, keys);
        network::move_keys(id, workspace, keys).and(others)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, _) = workspace.live::<Outlet>(&self.outlet_id)?;
        let orders = field::documents::<Order>(workspace, id)?;
        let open_order = orders.iter().any(|(_, order)| is_open(order));
        let remains = match Uuid::from_slice(&self.survivor_id) {
            Ok(other) => Some(survivor(workspace, id, other)?),
            Err(_) => None,
        };
        match outlet::decide_archive(self, remains, open_order)? {
            Some(survivor) => merge(context, workspace, id, survivor)?,
            None => call_off(context, workspace, id)?,
        }
        Ok(applied())
    }
}

/// What is known of an outlet that is to remain.
fn survivor(workspace: &Workspace, goes: Uuid, id: Uuid) -> Result<Survivor, Stop> {
    let removed = workspace.find::<Outlet>(id)?.is_none();
    let came_from_it = workspace.stored(id)?.is_some_and(|stored| stored.survivor == Some(goes));
    Ok(Survivor { removed, came_from_it })
}

fn is_open(order: &Order) -> bool {
    match order.status() {
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => false,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => true,
        OrderStatus::Confirmed | OrderStatus::Released => true,
    }
}

/// No other outlet takes its place: its documents stay, and nobody is to go there.
fn call_off(context: &Context<'_>, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
    let place = field::place(workspace, id.as_bytes())?;
    for (visit_id, visit) in field::documents::<Visit>(workspace, id)? {
        if visit.state() == VisitState::Planned {
            let visit = visit::called_off(&visit, "the outlet was archived");
            workspace.put(visit_id, &visit, &place.closed(context))?;
        }
    }
    network::remove_outlet(workspace, id, context.now_us, None)
}

/// Asks for what it takes to decide the orders again that wait at the duplicate and need not at the survivor.
fn release_keys((duplicate, id): (&Outlet, Uuid), survivor: Uuid, workspace: &Workspace, keys: &mut Keys) {
    let Ok(Some(remaining)) = workspace.find::<Outlet>(survivor) else { return };
    let gained = gained(duplicate, &remaining).filter_map(|agreement| Uuid::from_slice(agreement).ok());
    ordering::waiting_keys(gained.map(Scarce::Terms), workspace, keys);
    if duplicate.blocked && !remaining.blocked {
        // What it can't ask for yet it asks for in the next wave.
        let _ = ordering::held_at_keys(id, HoldReason::OutletBlocked, workspace, keys);
    }
}

/// The agreements by which what comes from the duplicate may be bought at the survivor only.
fn gained<'a>(duplicate: &'a Outlet, survivor: &'a Outlet) -> impl Iterator<Item = &'a Vec<u8>> {
    let before = agreements_of(duplicate);
    agreements_of(survivor).iter().filter(|agreement| !before.contains(agreement))
}

/// It was a duplicate: everything that hangs on it hangs on the survivor from now on. Orders that waited there for what the survivor
/// has are decided again.
fn merge(context: &Context<'_>, workspace: &mut Workspace, id: Uuid, survivor: Uuid) -> Result<(), Stop> {
    let remaining = workspace.live::<Outlet>(survivor.as_bytes())?.1;
    let blocked =
        if remaining.blocked { Vec::new() } else { ordering::held_at(workspace, id, HoldReason::OutletBlocked)? };
    let territory = stored_id(&remaining.territory_id)?;
    for month in months(workspace, id)? {
        let documents: OutletDocuments = workspace.internal(&(id, month))?;
        for document in &documents.records {
            let document = stored_id(document)?;
            rehang(workspace, document, survivor, territory)?;
            network::hang_on_outlet(workspace, survivor, document, month)?;
        }
        if !documents.orders.is_empty() {
            let mut survivors: OutletDocuments = workspace.internal(&(survivor, month))?;
            survivors.orders.extend(documents.orders);
            workspace.put_internal(&(survivor, month), &survivors)?;
        }
        workspace.put_internal(&(id, month), &OutletDocuments::default())?;
    }
    workspace.put_internal(&id, &OutletMonths::default())?;
    network::hand_customers_on(workspace, id, survivor)?;
    let duplicate = workspace.live::<Outlet>(id.as_bytes())?.1;
    network::note_former(workspace, id, agreements_of(&duplicate), context.now_us)?;
    let placed: Placed = workspace.internal(&id)?;
    let absorbing = workspace.internal::<Placed>(&survivor)?.absorbing(&placed, context.now_us);
    workspace.put_internal(&survivor, &absorbing)?;
    // What still arrives for it is judged by where the survivor is, and by the grace after it was there itself.
    workspace.put_internal(&id, &placed.moved(territory, context.now_us))?;
    network::remove_outlet(workspace, id, context.now_us, Some(survivor))?;
    for agreement in gained(&duplicate, &remaining) {
        workspace.free(Scarce::Terms(stored_id(agreement)?));
    }
    let blocked: Vec<Uuid> = blocked.into_iter().map(|(order, _)| order).collect();
    ordering::decide_all_again(context, workspace, &blocked)
}

fn months(workspace: &Workspace, outlet: Uuid) -> Result<Vec<Month>, Stop> {
    let months: OutletMonths = workspace.internal(&outlet)?;
    Ok(months.months.into_iter().filter_map(Month::from_number).collect())
}

/// Gives a document to another outlet, in the territory of that one. A closed document stays in its month.
fn rehang(workspace: &mut Workspace, id: Uuid, outlet: Uuid, territory: Uuid) -> Result<(), Stop> {
    let Some(number) = workspace.stored(id)?.filter(|stored| stored.removed_at_us.is_none()).map(|stored| stored.kind)
    else {
        return Ok(());
    };
    let Some(kind) = kind::from_number(number) else {
        return Err(Stop::Corrupt(format!("the document {id} is of no kind that this server knows")));
    };
    let at = At { id, outlet: outlet.as_bytes().to_vec(), territory };
    match kind {
        Kind::Visit => at.write(workspace, |visit: &mut Visit| &mut visit.outlet_id),
        Kind::Order => at.write(workspace, |order: &mut Order| &mut order.outlet_id),
        Kind::Payment => at.write(workspace, |payment: &mut Payment| &mut payment.outlet_id),
        Kind::Shipment => at.write(workspace, |shipment: &mut Shipment| &mut shipment.outlet_id),
        Kind::Reclamation => at.write(workspace, |reclamation: &mut Reclamation| &mut reclamation.outlet_id),
        Kind::GoodsReturn => at.write(workspace, |goods_return: &mut GoodsReturn| &mut goods_return.outlet_id),
        Kind::ChangeRequest => at.write(workspace, |request: &mut ChangeRequest| &mut request.outlet_id),
        Kind::SurveyResponse => at.write(workspace, |response: &mut SurveyResponse| &mut response.outlet_id),
        Kind::Task => at.write(workspace, |task: &mut Task| &mut task.outlet_id),
        Kind::Customer | Kind::Outlet | Kind::Agreement | Kind::Product | Kind::PriceList | Kind::Price => Ok(()),
        Kind::Warehouse | Kind::Stock | Kind::Rep | Kind::Team | Kind::Territory | Kind::Assignment => Ok(()),
        Kind::Route | Kind::Receivable | Kind::Survey | Kind::Promotion | Kind::CashHandIn => Ok(()),
        Kind::Chain | Kind::StockQuota | Kind::MustSellList | Kind::Contract | Kind::Wave => Ok(()),
        Kind::Vehicle | Kind::Trip => Ok(()),
        Kind::StockTransfer | Kind::StockCount => Ok(()),
        Kind::ClaimCause | Kind::Unspecified => Ok(()),
    }
}

/// Where a document goes.
struct At {
    id: Uuid,
    outlet: Vec<u8>,
    territory: Uuid,
}

impl At {
    fn write<R: Record + Message>(
        self,
        workspace: &mut Workspace,
        outlet_of: impl FnOnce(&mut R) -> &mut Vec<u8>,
    ) -> Result<(), Stop> {
        let Some(mut document) = workspace.find::<R>(self.id)? else { return Ok(()) };
        let mut stamps = workspace.stamps(self.id)?;
        stamps.territories = vec![self.territory.as_bytes().to_vec()];
        *outlet_of(&mut document) = self.outlet;
        workspace.put(self.id, &document, &stamps)
    }
}
