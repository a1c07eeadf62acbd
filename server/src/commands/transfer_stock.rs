//! Brings goods from one warehouse into another.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{StockTransfer, TransferStock, Warehouse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock_keeping::{Transferred, decide_transfer, is_van};

use super::{Context, Decide, Target, decided, field, shipping, stock_keeping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for TransferStock {
    fn name(&self) -> &'static str {
        "TransferStock"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.transfer_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.transfer_id);
        for warehouse in [&self.from_warehouse_id, &self.to_warehouse_id] {
            stock_keeping::keys(warehouse, self.lines.iter().map(|line| &line.product_id), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (from_id, _) = workspace.live::<Warehouse>(&self.from_warehouse_id)?;
        let (to_id, to) = workspace.live::<Warehouse>(&self.to_warehouse_id)?;
        let (id, current) = field::existing::<StockTransfer>(workspace, &self.transfer_id)?;
        let products = || self.lines.iter().map(|line| &line.product_id);
        let figures =
            (stock_keeping::read(workspace, from_id, products())?, stock_keeping::read(workspace, to_id, products())?);
        let mover = shipping::mover(context);
        let Transferred { transfer, from, to, verdict } =
            decide_transfer(current.as_ref(), self, figures, is_van(&to), mover)?;
        if current.is_none() {
            stock_keeping::put(context, workspace, from_id, &from)?;
            stock_keeping::put(context, workspace, to_id, &to)?;
            workspace.put(id, &transfer, &Stamps::default())?;
            workspace.announce("stock.transferred", id);
        }
        Ok(decided(verdict))
    }
}
