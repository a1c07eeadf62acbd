//! What stands behind an order: how scarce goods of it are shared out, who wanted it otherwise, and what was claimed of it.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::trade::{ChangeRequest, HoldReason, Order, OrderLine, Reclamation};
use roundsman_sync::kind::{self, Kind};
use roundsman_sync::trade::quota::{Quota, Quotas};
use uuid::Uuid;

use super::paging::{Listed, documents};
use crate::error::StoreError;
use crate::internal::Internal as _;
use crate::projection;
use crate::store::record;
use crate::store::sql::Tx;

/// So many change requests of an order are shown.
const REQUESTS: i64 = 100;
/// So many reclamations of an order are shown.
const RECLAMATIONS: i64 = 100;

/// Reads it; `None`: there is no such order.
///
/// # Errors
/// When the database does not answer, or something can't be read.
pub async fn order(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<Option<proto::ExplainOrderResponse>, StoreError> {
    let found = record::find(tx, tenant, &[id]).await?.pop();
    let is_live = |kind: i64| kind::from_number(kind) == Some(Kind::Order);
    let Some((_, stored)) = found.filter(|(_, stored)| is_live(stored.kind) && stored.removed_at_us.is_none()) else {
        return Ok(None);
    };
    let order = Order::decode(stored.document).map_err(|error| corrupt(id, &error))?;
    let shares = shares(tx, tenant, &order).await?;
    let ids = projection::change_requests_of(tx, tenant, id, REQUESTS).await?;
    let listed: Listed<ChangeRequest> = documents(tx, tenant, &ids).await?;
    let change_requests = listed.documents.into_iter().rev().map(|(_, request)| request).collect();
    let ids = projection::reclamations_of(tx, tenant, id, RECLAMATIONS).await?;
    let listed: Listed<Reclamation> = documents(tx, tenant, &ids).await?;
    let reclamations = listed.documents.into_iter().rev().map(|(_, reclamation)| reclamation).collect();
    Ok(Some(proto::ExplainOrderResponse { shares, change_requests, reclamations }))
}

async fn shares(tx: &mut Tx, tenant: i64, order: &Order) -> Result<Vec<proto::LineShare>, StoreError> {
    let Ok(warehouse) = Uuid::from_slice(&order.warehouse_id) else { return Ok(Vec::new()) };
    let product = |line: &OrderLine| Uuid::from_slice(&line.product_id).ok();
    let products: BTreeSet<Uuid> = order
        .lines
        .iter()
        .filter(|line| line.quota.is_some() || awaited(order, line).is_some())
        .filter_map(product)
        .collect();
    let ids: Vec<Uuid> = products.iter().map(|product| Quotas::id(&(warehouse, *product))).collect();
    let mut quotas: HashMap<Uuid, Quotas> = HashMap::new();
    for (id, stored) in record::find(tx, tenant, &ids).await? {
        quotas.insert(id, Quotas::decode(stored.document).map_err(|error| corrupt(id, &error))?);
    }
    let share = |line: &OrderLine| {
        let quotas = quotas.get(&Quotas::id(&(warehouse, product(line)?)))?;
        line_share(order, line, quotas)
    };
    Ok(order.lines.iter().filter_map(share).collect())
}

/// Since when a line has waited, or waits, until its product is shared out.
fn awaited(order: &Order, line: &OrderLine) -> Option<i64> {
    let mut holds = order.holds.iter().filter(|hold| hold.reason() == HoldReason::Allocation);
    holds.rfind(|hold| hold.line_ids.contains(&line.line_id)).map(|hold| hold.opened_at_us)
}

/// The share of a line, or what is known of the quota for which it has waited without getting any.
fn line_share(order: &Order, line: &OrderLine, quotas: &Quotas) -> Option<proto::LineShare> {
    let since_us = awaited(order, line);
    let is_its = |quota: &&Quota| match &line.quota {
        Some(named) => quota.quota_id == named.quota_id,
        None => {
            quota.share_out_at_us != 0
                && since_us.is_some_and(|since| quota.shared_out.is_none_or(|shared_out| since <= shared_out.at_us))
        }
    };
    let quota = quotas.quotas.iter().find(is_its)?;
    let holder = line.quota.as_ref().and_then(|named| named.holder.clone());
    let share = quota.shares.iter().find(|share| share.holder.is_some() && share.holder == holder);
    let shared_out = quota.shared_out.unwrap_or_default();
    Some(proto::LineShare {
        line_id: line.line_id.clone(),
        quota_id: quota.quota_id.clone(),
        holder,
        share_milli: share.map_or(0, |share| share.quantity_milli),
        used_milli: share.map_or(0, |share| share.used_milli),
        share_out_at_us: quota.share_out_at_us,
        shared_out_at_us: shared_out.at_us,
        free_milli: shared_out.free_milli,
        wanted_milli: shared_out.wanted_milli,
        orders: shared_out.orders,
    })
}

fn corrupt(id: Uuid, error: &prost::DecodeError) -> StoreError {
    StoreError::Corrupt(format!("record {id}: {error}"))
}
