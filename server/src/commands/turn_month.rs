//! Opens a month for closed documents, and takes the oldest one off the phones.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Reason, Territory, TurnMonth};
use roundsman_sync::scope::{Month, Scope};
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because};
use crate::internal::{Granted, TerritoryCalendar};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for TurnMonth {
    fn name(&self) -> &'static str {
        "TurnMonth"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.territory_id);
        if let Ok(territory) = Uuid::from_slice(&self.territory_id) {
            keys.internal::<Granted>(&Scope::Territory(territory));
            keys.internal::<TerritoryCalendar>(&territory);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let month = Month::new(self.month.div_euclid(100), self.month.rem_euclid(100).unsigned_abs())
            .ok_or_else(|| check::out_of_range("month"))?;
        let (territory, _) = workspace.live::<Territory>(&self.territory_id)?;
        let mut calendar: TerritoryCalendar = workspace.internal(&territory)?;
        if month.number() < calendar.month {
            return Err(Rejection::new(Reason::Backwards).field("month").into());
        }
        calendar.month = month.number();
        workspace.put_internal(&territory, &calendar)?;
        let holder = Scope::Territory(territory);
        let before: Granted = workspace.internal(&holder)?;
        network::grant_months(workspace, territory, month, context.policy.months_on_phone)?;
        let changed = before != workspace.internal(&holder)?;
        Ok(if changed { applied() } else { applied_because(Reason::NothingToDo) })
    }
}
