//! What the driver of a trip is to collect.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use roundsman_proto::trade::{Order, Shipment, Trip};
use roundsman_sync::trade::trip::collect::{self, Payable};
use tonic::Status;
use uuid::Uuid;

use super::super::records::live;
use super::terms;
use crate::commands::shipping::order_ids;
use crate::papers::route_sheet::Money;
use crate::projection;
use crate::store::sql::Tx;

/// What is to be collected at each stop of a trip.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub(super) async fn to_collect(
    tx: &mut Tx,
    tenant: i64,
    trip: &Trip,
    shipments: &HashMap<Uuid, Shipment>,
) -> Result<Vec<Vec<Money>>, Status> {
    let payable = payable(tx, tenant, shipments).await?;
    let of_stop =
        |sums: BTreeMap<String, i64>| sums.into_iter().map(|(currency, minor)| Money { currency, minor }).collect();
    Ok(collect::to_collect(trip, shipments, &payable).into_iter().map(of_stop).collect())
}

/// The orders of these shipments that are to be paid on delivery, with what was paid for them.
async fn payable(
    tx: &mut Tx,
    tenant: i64,
    shipments: &HashMap<Uuid, Shipment>,
) -> Result<HashMap<Uuid, Payable>, Status> {
    let ids: BTreeSet<Uuid> = shipments.values().flat_map(order_ids).collect();
    let mut orders = live::<Order>(tx, tenant, &ids.into_iter().collect::<Vec<_>>()).await?;
    let terms = terms(tx, tenant, &orders).await?;
    orders.retain(|id, _| terms.get(id).is_some_and(|terms| terms.on_delivery));
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let customers = orders.values().filter_map(|order| Uuid::from_slice(&order.customer_id).ok());
    let customers: BTreeSet<Uuid> = customers.collect();
    let since_us = orders.values().map(|order| order.submitted_at_us).min().unwrap_or(0);
    let customers: Vec<Uuid> = customers.into_iter().collect();
    let paid: HashMap<Uuid, i64> = projection::paid(tx, tenant, &customers, since_us).await?.into_iter().collect();
    let payable = |(id, order): (Uuid, Order)| {
        let vat_included = terms.get(&id).is_some_and(|terms| terms.vat_included);
        (id, Payable { order, vat_included, paid_minor: paid.get(&id).copied().unwrap_or(0) })
    };
    Ok(orders.into_iter().map(payable).collect())
}
