//! Puts orders into shipments together.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Kind, Reason, StartWave, Warehouse, Wave, WaveState};
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target, applied, applied_because, field, restamp_records};
use crate::internal::Restampings;
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many orders in a wave.
const ORDERS: usize = 3_000;

impl Decide for StartWave {
    fn name(&self) -> &'static str {
        "StartWave"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.wave_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.order_ids.len(), ORDERS, "order_ids")
    }

    fn keys(&self, _: &Context<'_>, _: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.wave_id);
        keys.record(&self.warehouse_id);
        keys.internal::<Restampings>(&());
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = field::existing::<Wave>(workspace, &self.wave_id)?;
        workspace.live::<Warehouse>(&self.warehouse_id)?;
        form(self)?;
        if let Some(current) = current {
            let same = (&current.warehouse_id, &current.order_ids) == (&self.warehouse_id, &self.order_ids);
            let taken = || Stop::from(Rejection::new(Reason::IdTaken).field("wave_id"));
            return if same { Ok(applied_because(Reason::NothingToDo)) } else { Err(taken()) };
        }
        let wave = Wave {
            warehouse_id: self.warehouse_id.clone(),
            name: self.name.clone(),
            departure_at_us: self.departure_at_us,
            state: WaveState::Allocating.into(),
            order_ids: self.order_ids.clone(),
            started_at_us: context.now_us,
            started_by_id: context.issuer.actor().as_bytes().to_vec(),
            ..Wave::default()
        };
        workspace.put(id, &wave, &Stamps::default())?;
        restamp_records::note(workspace, (Kind::Wave, id), Some(Vec::new()), context.now_us)?;
        workspace.announce("wave.started", id);
        Ok(applied())
    }
}

fn form(command: &StartWave) -> Result<(), Rejection> {
    check::text(&command.name, check::NAME_CHARS, "name")?;
    check::range(command.departure_at_us, 0..=i64::MAX, "departure_at_us")?;
    if command.order_ids.is_empty() {
        return Err(check::missing("order_ids"));
    }
    let mut seen = BTreeSet::new();
    for (index, order) in command.order_ids.iter().enumerate() {
        let at = check::at("order_ids", index);
        let id = check::id(order, "order_ids").map_err(&at)?;
        if !seen.insert(id) {
            return Err(at(Rejection::new(Reason::RepeatedId).field("order_ids")));
        }
    }
    Ok(())
}
