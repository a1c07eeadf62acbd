//! How scarce goods are shared out.

use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{Product, QuotaEntry, Reason, Rep, StockQuota, Territory, Warehouse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::quota::{self, QUOTAS, Quota, Quotas};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::waiting::{SERVED_AT_ONCE, Scarce};
use uuid::Uuid;

use crate::internal::{AllocationCalendar, ProductStocks};
use crate::workspace::{Keys, Stop, Workspace};

/// The holders, each with its place.
fn holders<'a>(quota: &'a StockQuota) -> impl Iterator<Item = (usize, &'a Holder)> {
    let holder = |(index, entry): (usize, &'a QuotaEntry)| {
        entry.holder.as_ref().and_then(|holder| holder.holder.as_ref()).map(|holder| (index, holder))
    };
    quota.entries.iter().enumerate().filter_map(holder)
}

/// Asks for what [`put`] needs, beside the record itself.
pub fn keys(quota: &StockQuota, keys: &mut Keys) {
    let warehouse = Uuid::from_slice(&quota.warehouse_id).unwrap_or_default();
    let product = Uuid::from_slice(&quota.product_id).unwrap_or_default();
    keys.id(warehouse);
    keys.id(product);
    keys.internal::<Available>(&(warehouse, product));
    keys.internal::<Quotas>(&(warehouse, product));
    keys.internal::<AllocationCalendar>(&());
    keys.internal::<ProductStocks>(&product);
    for (_, holder) in holders(quota) {
        match holder {
            Holder::RepId(id) | Holder::TerritoryId(id) => keys.record(id),
            Holder::OutletLabel(_) | Holder::OrderId(_) => {}
        }
    }
}

/// What another quota may set free.
#[must_use]
pub fn scarce(quota: &StockQuota) -> Option<Scarce> {
    let warehouse = Uuid::from_slice(&quota.warehouse_id).ok()?;
    let product = Uuid::from_slice(&quota.product_id).ok()?;
    Some(Scarce::Stock { warehouse, product })
}

/// Writes a quota; its warehouse and product never change. `now_us` is the moment of the decision, in microseconds since the
/// Unix epoch. Orders that wait for the product are decided again: what they may take is another. Those that the command does not
/// ask itself are left to the clock.
///
/// # Errors
/// See [`Stop`]; `REASON_QUOTA_OVERLAP`; `REASON_WRONG_STATE` for one that ended long ago, or that is to be shared out at another
/// moment and was shared out already.
pub fn put(workspace: &mut Workspace, id: Uuid, quota: &StockQuota, now_us: i64) -> Result<(), Stop> {
    quota::form(quota)?;
    let (warehouse, _) = workspace.live::<Warehouse>(&quota.warehouse_id)?;
    let (product, _) = workspace.live::<Product>(&quota.product_id)?;
    for (index, holder) in holders(quota) {
        let known = match holder {
            Holder::RepId(id) => workspace.live::<Rep>(id).map(drop),
            Holder::TerritoryId(id) => workspace.live::<Territory>(id).map(drop),
            Holder::OutletLabel(_) | Holder::OrderId(_) => Ok(()),
        };
        known.map_err(|stop| match stop {
            Stop::Rejected(rejection) => check::at("entries", index)(rejection).into(),
            Stop::Load(_) | Stop::Corrupt(_) => stop,
        })?;
    }
    let before = workspace.find::<StockQuota>(id)?;
    if before.as_ref() == Some(quota) {
        return Ok(());
    }
    if let Some(before) = &before
        && (&before.warehouse_id, &before.product_id) != (&quota.warehouse_id, &quota.product_id)
    {
        return Err(check::mismatch("product_id").about(id).into());
    }
    if workspace.internal::<ProductStocks>(&product)?.at(warehouse).is_none() {
        // Nobody counts it there, so that it can't be shared out.
        return Err(Rejection::new(Reason::NotFound).field("stock_id").about(id).into());
    }
    let key = (warehouse, product);
    let mut quotas: Quotas = workspace.internal(&key)?;
    if before.is_some() && !quotas.knows(id) {
        return Err(Rejection::new(Reason::WrongState).field("valid_to_day").about(id).into());
    }
    if let Some(other) = quotas.beside(id, quota) {
        let overlap = Rejection::new(Reason::QuotaOverlap).field("valid_from_day").about(id);
        return Err(overlap.fact(Some(other), "quota_id", other).into());
    }
    // What is shared out at a moment, all have waited for.
    let is_at_once = |other: &&Quota| {
        other.quota_id != id.as_bytes() && quota.share_out_at_us != 0 && other.share_out_at_us == quota.share_out_at_us
    };
    if let Some(other) = quotas.quotas.iter().find(is_at_once) {
        let overlap = Rejection::new(Reason::QuotaOverlap).field("share_out_at_us").about(id);
        let other = Uuid::from_slice(&other.quota_id).unwrap_or_default();
        return Err(overlap.fact(Some(other), "quota_id", other).into());
    }
    let known = quotas.quotas.iter().find(|known| known.quota_id == id.as_bytes());
    if known.is_some_and(|known| known.shared_out.is_some() && known.share_out_at_us != quota.share_out_at_us) {
        return Err(Rejection::new(Reason::WrongState).field("share_out_at_us").about(id).into());
    }
    let available: Available = workspace.internal(&key)?;
    if known.is_some_and(Quota::is_to_be_shared_out) || available.waiting > SERVED_AT_ONCE as i64 {
        quotas.ask_at_us = now_us;
    }
    quotas.note(id, quota, now_us);
    check::count(quotas.quotas.len(), QUOTAS, "quota_id")?;
    let mut calendar: AllocationCalendar = workspace.internal(&())?;
    calendar.note(key, quotas.next_moment(), now_us);
    check::count(calendar.entries.len(), AllocationCalendar::GOODS, "quota_id")?;
    if workspace.find_internal::<AllocationCalendar>(&())?.unwrap_or_default() != calendar {
        workspace.put_internal(&(), &calendar)?;
    }
    let number = i64::try_from(quotas.quotas.len()).unwrap_or(i64::MAX);
    workspace.put_internal(&key, &quotas)?;
    workspace.put_internal(&key, &Available { quotas: number, ..available })?;
    if available.waiting > 0 {
        workspace.free(Scarce::Stock { warehouse, product });
    }
    workspace.put(id, quota, &Stamps::default())
}
