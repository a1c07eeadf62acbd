//! Reports what was counted in a warehouse.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CountStock, Reason, StockCount, Warehouse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock_keeping::{Counted, decide_count};

use super::{Context, Decide, Target, decided, field, shipping, stock_keeping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CountStock {
    fn name(&self) -> &'static str {
        "CountStock"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Driver, Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.count_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.count_id);
        stock_keeping::keys(&self.warehouse_id, self.lines.iter().map(|line| &line.product_id), workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (warehouse_id, warehouse) = workspace.live::<Warehouse>(&self.warehouse_id)?;
        if context.issuer.rep().is_some_and(|rep| warehouse.rep_id != rep.as_bytes()) {
            return Err(Rejection::new(Reason::NotInScope).field("warehouse_id").into());
        }
        let (id, current) = field::existing::<StockCount>(workspace, &self.count_id)?;
        let figures = stock_keeping::read(workspace, warehouse_id, self.lines.iter().map(|line| &line.product_id))?;
        let Counted { count, figures, verdict } =
            decide_count(current.as_ref(), self, &warehouse, figures, shipping::mover(context))?;
        if current.is_none() {
            stock_keeping::put(context, workspace, warehouse_id, &figures)?;
            workspace.put(id, &count, &Stamps::default())?;
            workspace.announce("stock.counted", id);
        }
        Ok(decided(verdict))
    }
}
