//! What the commands about stock have in common: the figures of a warehouse, read and stored.

use std::collections::BTreeSet;

use roundsman_proto::trade::{Product, Stock};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::stock_keeping::Figures;
use uuid::Uuid;

use super::{Context, ordering};
use crate::internal::{ProductStocks, stock_id};
use crate::workspace::{Keys, Stop, Workspace};

/// Asks for the figures of products in a warehouse, and for all that follows when they change.
pub fn keys<'a>(warehouse: &[u8], products: impl Iterator<Item = &'a Vec<u8>>, workspace: &Workspace, keys: &mut Keys) {
    keys.record(warehouse);
    let Ok(warehouse) = Uuid::from_slice(warehouse) else { return };
    let products: BTreeSet<Uuid> = products.filter_map(|product| Uuid::from_slice(product).ok()).collect();
    for product in &products {
        keys.id(*product);
        keys.id(stock_id(warehouse, *product));
    }
    ordering::back_keys(warehouse, products, workspace, keys);
}

/// The figures of products in a warehouse.
///
/// # Errors
/// See [`Stop`]; rejections for products that are not there.
pub fn read<'a>(
    workspace: &Workspace,
    warehouse: Uuid,
    products: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<Figures, Stop> {
    let mut figures = Figures::new();
    for (index, product) in products.enumerate() {
        check::id(product, "product_id").map_err(check::at("lines", index))?;
        let (product, _) = workspace.live::<Product>(product)?;
        let found = workspace.find_internal::<Available>(&(warehouse, product))?;
        figures.extend(found.map(|found| (product, found)));
    }
    Ok(figures)
}

/// Stores the figures of a warehouse. What nobody knew until now gets a stock record, and what nobody knows is as it was.
///
/// # Errors
/// See [`Stop`].
pub fn put(context: &Context<'_>, workspace: &mut Workspace, warehouse: Uuid, figures: &Figures) -> Result<(), Stop> {
    for (product, available) in figures.iter().filter(|(_, available)| available.known) {
        let mut stocks: ProductStocks = workspace.internal(product)?;
        if stocks.at(warehouse).is_none() {
            let id = stock_id(warehouse, *product);
            stocks.note(warehouse, id);
            workspace.put_internal(product, &stocks)?;
            let stock = Stock {
                warehouse_id: warehouse.as_bytes().to_vec(),
                product_id: product.as_bytes().to_vec(),
                as_of_us: context.now_us,
                ..Stock::default()
            };
            workspace.put_own(id, &stock, &Stamps::default())?;
        }
        ordering::put_available(workspace, (warehouse, *product), available)?;
    }
    Ok(())
}
