//! Reports that a trip's vehicle is back, and what came back with it.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CloseTrip, Order, Shipment, Trip};
use roundsman_sync::trade::hand_in::InHand;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, trip};
use uuid::Uuid;

use super::{Context, Decide, Target, applied, ordering, shipping, trips};
use crate::network::stored_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CloseTrip {
    fn name(&self) -> &'static str {
        "CloseTrip"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.trip_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.returned.len(), check::LINES, "returned")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.trip_id);
        let (_, trip) = workspace.live::<Trip>(&self.trip_id)?;
        trips::put_keys(&trip, keys);
        trip::shipment_ids(&trip).for_each(|id| keys.id(id));
        if let Ok(warehouse) = Uuid::from_slice(&trip.warehouse_id) {
            let products: BTreeSet<Uuid> =
                self.returned.iter().filter_map(|of| Uuid::from_slice(&of.product_id).ok()).collect();
            ordering::back_keys(warehouse, products, workspace, keys);
        }
        let shipments = trips::shipments(workspace, &trip)?;
        orders(&shipments).into_iter().for_each(|order| keys.id(order));
        let driver = stored_id(&trip.driver_id)?;
        for currency in currencies(workspace, &shipments)? {
            keys.internal::<InHand>(&(driver, currency, 0));
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = trips::known(context, workspace, &self.trip_id)?;
        let shipments = trips::shipments(workspace, &current)?;
        let driver = stored_id(&current.driver_id)?;
        let mut cash = BTreeMap::new();
        for currency in currencies(workspace, &shipments)? {
            let in_hand: InHand = workspace.internal(&(driver, currency.clone(), 0))?;
            cash.insert(currency, in_hand.left_payments());
        }
        let closed = trip::decide_close(&current, &shipments, &cash, self, context.captured_at_us)?;
        let warehouse = stored_id(&closed.warehouse_id)?;
        for goods in &closed.goods {
            let key = (warehouse, stored_id(&goods.product_id)?);
            ordering::take_back(workspace, key, (goods.sellable_milli, goods.unsellable_milli))?;
        }
        trips::put(workspace, (id, Some(&current)), &closed)?;
        workspace.announce("trip.closed", id);
        Ok(applied())
    }
}

fn orders(shipments: &[(Uuid, Shipment)]) -> BTreeSet<Uuid> {
    shipments.iter().flat_map(|(_, shipment)| shipping::order_ids(shipment)).collect()
}

/// In which currencies the orders of these shipments are.
fn currencies(workspace: &Workspace, shipments: &[(Uuid, Shipment)]) -> Result<BTreeSet<String>, Stop> {
    let mut currencies = BTreeSet::new();
    for order in orders(shipments) {
        currencies.extend(workspace.find::<Order>(order)?.map(|order| order.currency));
    }
    Ok(currencies)
}
