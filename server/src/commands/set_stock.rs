//! Sets stock figures.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Reason, SetStock};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;

use super::ordering;
use super::{Context, Decide, Target, applied, applied_because};
use crate::reference::goods;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many figures in one command.
const STOCKS: usize = 1_000;

impl Decide for SetStock {
    fn name(&self) -> &'static str {
        "SetStock"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.stocks.len(), STOCKS, "stocks")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        for entry in &self.stocks {
            keys.record(&entry.stock_id);
            if let Some(stock) = &entry.stock {
                goods::stock_keys(stock, keys);
            }
        }
        let stocks = self.stocks.iter().filter_map(|entry| entry.stock.as_ref());
        ordering::waiting_keys(stocks.filter_map(goods::scarce), workspace, keys);
        Ok(())
    }

    fn decide(&self, _: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        for (index, entry) in self.stocks.iter().enumerate() {
            let id = check::id(&entry.stock_id, "stock_id").map_err(check::at("stocks", index))?;
            let stock = entry.stock.as_ref().ok_or_else(|| check::at("stocks", index)(check::missing("stock")))?;
            goods::put_stock(workspace, id, stock)?;
        }
        Ok(if workspace.untouched() { applied_because(Reason::NothingToDo) } else { applied() })
    }
}
