//! What the commands about shipments have in common: a shipment with its order, read; what follows when its goods move,
//! stored.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::{Agreement, Order, PriceList, Reason, Reclamation, Shipment, ShipmentState};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::order::fulfil::{Ledger, Moved};
use roundsman_sync::trade::reclamation::Claims;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::shipment::Decision;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::Context;
use super::field::{self, Place};
use super::{ordering, requests};
use crate::budgets;
use crate::internal::{Debtor, debtor};
use crate::network::{optional_id, stored_id};
use crate::quotas;
use crate::workspace::{Keys, Stop, Workspace};

/// A shipment whose goods move, with everything that follows them.
#[derive(Debug)]
pub struct Goods {
    /// The shipment's id.
    pub id: Uuid,
    /// The shipment.
    pub shipment: Shipment,
    /// Its order.
    pub order: Order,
    /// Where it goes.
    pub place: Place,
    /// What is claimed of it.
    pub claims: Claims,
    order_id: Uuid,
    vat_included: bool,
    debtor: Debtor,
    credit: Credit,
    warehouse: Option<Uuid>,
    available: BTreeMap<Uuid, Available>,
}

/// Asks for what [`read`] and [`Goods::store`] need.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn keys(context: &Context<'_>, id: &[u8], workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    keys.record(id);
    let (id, shipment) = workspace.live::<Shipment>(id)?;
    keys.internal::<Claims>(&id);
    keys.record(&shipment.order_id);
    field::keys(context, &shipment.outlet_id, workspace, keys);
    if let Ok(warehouse) = Uuid::from_slice(&shipment.warehouse_id) {
        ordering::stock_keys(warehouse, products(&shipment).into_iter(), workspace, keys);
    }
    let (order_id, order) = workspace.live::<Order>(&shipment.order_id)?;
    keys.record(&order.change_request_id);
    budgets::keys(&order, keys);
    quotas::keys(&order, keys);
    ordering::waiting_keys(ordering::given_back(&order), workspace, keys);
    keys.record(&order.agreement_id);
    if let Ok(agreement) = Uuid::from_slice(&order.agreement_id)
        && let Ok(Some(agreement)) = workspace.find::<Agreement>(agreement)
    {
        keys.record(&agreement.price_list_id);
    }
    if let Some(debtor) = debtor(&order) {
        keys.internal::<Credit>(&debtor);
        let credit: Credit = workspace.internal(&debtor)?;
        // How much becomes free is not known yet: at most what the order was worth.
        ordering::held_keys(&credit.without_order(order_id, &order), workspace, keys);
    }
    Ok(())
}

fn products(shipment: &Shipment) -> BTreeSet<Uuid> {
    shipment.lines.iter().filter_map(|line| Uuid::from_slice(&line.product_id).ok()).collect()
}

/// Reads a shipment that a command names, with everything that follows its goods.
///
/// # Errors
/// See [`Stop`].
pub fn read(workspace: &Workspace, id: &[u8]) -> Result<Goods, Stop> {
    let (id, shipment) = workspace.live::<Shipment>(id)?;
    let (order_id, order) = workspace.live::<Order>(&shipment.order_id)?;
    let place = field::place(workspace, &shipment.outlet_id)?;
    let agreement: Option<Agreement> = workspace.find(stored_id(&order.agreement_id)?)?;
    let price_list: Option<PriceList> = match agreement {
        Some(agreement) => workspace.find(stored_id(&agreement.price_list_id)?)?,
        None => None,
    };
    let price_list = price_list.ok_or_else(|| Stop::Corrupt(format!("the order {order_id} has no price list")))?;
    let debtor =
        debtor(&order).ok_or_else(|| Stop::Corrupt(format!("the customer of the order {order_id} can't be read")))?;
    let warehouse = optional_id(&shipment.warehouse_id)?;
    let mut available = BTreeMap::new();
    if let Some(warehouse) = warehouse {
        for product in products(&shipment) {
            let found = workspace.find_internal::<Available>(&(warehouse, product))?;
            available.extend(found.map(|found| (product, found)));
        }
    }
    Ok(Goods {
        claims: workspace.internal(&id)?,
        credit: workspace.internal(&debtor)?,
        vat_included: price_list.vat_included,
        id,
        shipment,
        order,
        place,
        order_id,
        debtor,
        warehouse,
        available,
    })
}

impl Goods {
    /// What follows the goods beside the order.
    #[must_use]
    pub fn ledger(&self, context: &Context<'_>) -> Ledger<'_> {
        Ledger {
            by: context.issuer.actor(),
            now_us: context.now_us,
            order_id: self.order_id,
            vat_included: self.vat_included,
            credit: &self.credit,
            available: &self.available,
        }
    }

    /// Stores what was decided; held orders of the customer that now fit are released. A shipment is closed with its
    /// delivery, whatever came of it.
    ///
    /// # Errors
    /// See [`Stop`].
    pub fn store(&self, context: &Context<'_>, workspace: &mut Workspace, decision: Decision) -> Result<Verdict, Stop> {
        let Decision { shipment, moved, reclamation, claims, verdict } = decision;
        let Moved { mut order, credit, available } = moved;
        requests::overtake(context, workspace, &self.place, &mut order, ShipmentState::Shipped)?;
        let stamps = if is_closed(&shipment) { self.place.closed(context) } else { self.place.open() };
        workspace.put(self.id, &shipment, &stamps)?;
        ordering::put_order(context, workspace, &self.place, (self.order_id, Some(&self.order), &order))?;
        workspace.put_internal(&self.debtor, &credit)?;
        if let Some(warehouse) = self.warehouse {
            for (product, available) in &available {
                ordering::put_available(workspace, (warehouse, *product), available)?;
            }
        }
        workspace.put_internal(&self.id, &claims)?;
        if let Some((id, reclamation)) = reclamation {
            if field::existing::<Reclamation>(workspace, id.as_bytes())?.1.is_some() {
                return Err(Rejection::new(Reason::IdTaken).field("reclamation_id").into());
            }
            workspace.put(id, &reclamation, &self.place.open())?;
            field::hang(context, workspace, &self.place, id)?;
            workspace.announce("reclamation.registered", id);
        }
        ordering::release_held(context, workspace, &self.debtor)?;
        Ok(verdict)
    }
}

fn is_closed(shipment: &Shipment) -> bool {
    match shipment.state() {
        ShipmentState::Delivered | ShipmentState::PartlyDelivered => true,
        ShipmentState::Refused | ShipmentState::NotAttempted | ShipmentState::Cancelled => true,
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => false,
        ShipmentState::Checking | ShipmentState::Checked => false,
        ShipmentState::Loaded | ShipmentState::Shipped => false,
    }
}
