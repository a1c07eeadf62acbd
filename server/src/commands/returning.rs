//! What the commands about goods that come back have in common: a shipment with its orders, read; what follows, stored.

use roundsman_proto::trade::{GoodsReturn, Order, Shipment};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::goods_return::{self, Returned};
use roundsman_sync::trade::order::fulfil::Ordered;
use uuid::Uuid;

use super::field::{self, Place};
use super::{Context, ordering, shipping};
use crate::internal::Debtor;
use crate::network::stored_id;
use crate::workspace::{Keys, Stop, Workspace};

/// Asks for a shipment with its orders, and for what has come back of it. Returns the shipment.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn keys(context: &Context<'_>, id: &[u8], workspace: &Workspace, keys: &mut Keys) -> Result<Shipment, Stop> {
    keys.record(id);
    let (id, shipment) = workspace.live::<Shipment>(id)?;
    keys.internal::<Returned>(&id);
    field::keys(context, &shipment.outlet_id, workspace, keys);
    field::hang_keys(context, &shipment.outlet_id, workspace, keys);
    for id in shipping::order_ids(&shipment) {
        keys.id(id);
        if let Ok(Some(order)) = workspace.find::<Order>(id) {
            shipping::price_keys(&order, workspace, keys);
        }
    }
    Ok(shipment)
}

/// The orders of a shipment, in the order of their ids.
///
/// # Errors
/// See [`Stop`].
pub fn orders(workspace: &Workspace, shipment: &Shipment) -> Result<Vec<Ordered>, Stop> {
    shipping::order_ids(shipment).into_iter().map(|order| shipping::ordered(workspace, order)).collect()
}

/// Stores a return; one that has ended is kept in the month in which it did.
///
/// # Errors
/// See [`Stop`].
pub fn put(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (id, goods_return, returned): (Uuid, &GoodsReturn, &Returned),
) -> Result<(), Stop> {
    if workspace.find::<GoodsReturn>(id)?.is_none() {
        field::hang(context, workspace, place, id)?;
    }
    let stamps = if goods_return::is_closed(goods_return) { place.closed(context) } else { place.open() };
    workspace.put(id, goods_return, &stamps)?;
    workspace.put_internal(&stored_id(&goods_return.shipment_id)?, returned)
}

/// The goods of a return are in the warehouse that has them.
///
/// # Errors
/// See [`Stop`].
pub fn put_stock(workspace: &mut Workspace, goods_return: &GoodsReturn) -> Result<(), Stop> {
    let Ok(warehouse) = Uuid::from_slice(&goods_return.warehouse_id) else { return Ok(()) };
    for line in &goods_return.lines {
        let key = (warehouse, stored_id(&line.product_id)?);
        ordering::take_back(workspace, key, (line.sellable_milli, goods_return::quarantined(line)))?;
    }
    Ok(())
}

/// Whose debt a return lowers; `None`: nobody's.
///
/// # Errors
/// [`Stop::Corrupt`].
fn debtor(goods_return: &GoodsReturn) -> Result<Option<Debtor>, Stop> {
    if goods_return.value_minor == 0 {
        return Ok(None);
    }
    Ok(Some((stored_id(&goods_return.customer_id)?, goods_return.currency.clone())))
}

/// A return lowers what its customer owes; held orders that now fit are released.
///
/// # Errors
/// See [`Stop`].
pub fn put_credit(context: &Context<'_>, workspace: &mut Workspace, goods_return: &GoodsReturn) -> Result<(), Stop> {
    let Some(debtor) = debtor(goods_return)? else { return Ok(()) };
    let credit: Credit = workspace.internal(&debtor)?;
    workspace.put_internal(&debtor, &credit.with_return(None, goods_return)?)?;
    ordering::release_held(context, workspace, &debtor)?;
    Ok(())
}
