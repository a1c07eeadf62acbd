//! Sets prices.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Reason, SetPrices};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target, applied, applied_because};
use crate::reference::goods;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many prices in one command.
const PRICES: usize = 1_000;

impl Decide for SetPrices {
    fn name(&self) -> &'static str {
        "SetPrices"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.prices.len(), PRICES, "prices")
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        for entry in &self.prices {
            keys.record(&entry.price_id);
            if let Some(price) = &entry.price {
                goods::price_keys(price, workspace, keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        for (index, entry) in self.prices.iter().enumerate() {
            let id = check::id(&entry.price_id, "price_id").map_err(check::at("prices", index))?;
            let price = entry.price.as_ref().ok_or_else(|| check::at("prices", index)(check::missing("price")))?;
            goods::put_price(workspace, id, price, context.now_us)?;
        }
        Ok(if workspace.untouched() { applied_because(Reason::NothingToDo) } else { applied() })
    }
}
