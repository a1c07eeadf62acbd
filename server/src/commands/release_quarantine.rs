//! Decides about goods in quarantine.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Product, Reason, ReleaseQuarantine, Warehouse};
use roundsman_sync::trade::goods_return;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock::Available;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, ordering};
use crate::internal::ProductStocks;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ReleaseQuarantine {
    fn name(&self) -> &'static str {
        "ReleaseQuarantine"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.warehouse_id);
        keys.record(&self.product_id);
        if let (Ok(warehouse), Ok(product)) = (Uuid::from_slice(&self.warehouse_id), Uuid::from_slice(&self.product_id))
        {
            ordering::back_keys(warehouse, BTreeSet::from([product]), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, _: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (warehouse, _) = workspace.live::<Warehouse>(&self.warehouse_id)?;
        let (product, _) = workspace.live::<Product>(&self.product_id)?;
        let (key, stocks) = ((warehouse, product), workspace.internal::<ProductStocks>(&product)?);
        let known = workspace.internal::<Available>(&key)?.if_known().zip(stocks.at(warehouse));
        let (current, stock) = known.ok_or_else(|| Rejection::new(Reason::NotFound).field("product_id"))?;
        let available = goods_return::decide_release(current, self)?;
        ordering::put_available(workspace, key, &available)?;
        workspace.announce("quarantine.released", stock);
        Ok(applied())
    }
}
