//! Marks the visits of a day that were not made.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{MarkMissedVisits, Territory, Visit};
use roundsman_sync::trade::{check, visit};
use uuid::Uuid;

use super::chunk::Chunk;
use super::{Context, Decide, Target, field};
use crate::calendar;
use crate::internal::{TerritoryCalendar, TerritoryDay};
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many visits in one command.
const VISITS: usize = 1_000;

impl Decide for MarkMissedVisits {
    fn name(&self) -> &'static str {
        "MarkMissedVisits"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        let Ok(territory) = Uuid::from_slice(&self.territory_id) else { return Ok(()) };
        keys.id(territory);
        keys.internal::<TerritoryCalendar>(&territory);
        keys.internal::<TerritoryDay>(&(territory, self.day));
        for id in part(self, workspace, territory)?.ids {
            keys.id(id);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        check::day(self.day, "day")?;
        let (territory, place) = workspace.live::<Territory>(&self.territory_id)?;
        let zone = field::zone(&place)?;
        if calendar::start_of_day(zone, self.day.saturating_add(1)) > context.now_us {
            return Err(check::out_of_range("day").into());
        }
        let part = part(self, workspace, territory)?;
        // The month of the decision, as of everything that closes: a phone that holds it gets it with today's work.
        let month = calendar::month(zone, context.now_us);
        let mut changed = false;
        for id in &part.ids {
            let Some(current) = workspace.find::<Visit>(*id)? else { continue };
            let Some(missed) = visit::decide_missed(&current, self.day) else { continue };
            // The outlet may have moved: the visit stays where it is placed.
            let stamps = workspace.stamps(*id)?.closed(Some(month));
            workspace.put(*id, &missed, &stamps)?;
            changed = true;
        }
        if !part.more {
            let mut calendar: TerritoryCalendar = workspace.internal(&territory)?;
            calendar.days.retain(|planned| planned.day != self.day);
            workspace.put_internal(&territory, &calendar)?;
        }
        Ok(part.outcome(changed))
    }
}

fn part(command: &MarkMissedVisits, workspace: &Workspace, territory: Uuid) -> Result<Chunk, Stop> {
    let day: TerritoryDay = workspace.internal(&(territory, command.day))?;
    let visits = day.visits.iter().filter_map(|id| Uuid::from_slice(id).ok());
    Ok(Chunk::of(visits, &command.after_visit_id, VISITS, "after_visit_id")?)
}
