//! Hands an order in.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, SubmitOrder, Visit};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, order};

use super::ordering::Needs;
use super::{Context, Decide, Target, field, ordering};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for SubmitOrder {
    fn name(&self) -> &'static str {
        "SubmitOrder"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.order_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        ordering::submit_keys(context, self, workspace, keys);
        Needs::of_submit(self, field::editor(context), context.business_day).keys(workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let place = field::known_place(context, workspace, &self.outlet_id)?;
        let capture = field::edit(context, workspace, &place)?;
        order::submit_form(self, &capture)?;
        let (id, current) = field::existing::<Order>(workspace, &self.order_id)?;
        let visit: Option<Visit> = field::named(workspace, check::optional_id(&self.visit_id, "visit_id")?)?;
        let editor = field::editor(context);
        let needs = Needs::of_submit(self, editor, capture.business_day);
        let others = ordering::others(context, workspace, place.outlet_id, (self, capture.business_day))?;
        let ground = needs.read(workspace, id, place.clone(), capture)?;
        let decision = ground
            .decide(|setting| order::decide_submit(current.as_ref(), visit.as_ref(), editor, self, &others, setting))?;
        let verdict = ground.store(context, workspace, current.as_ref(), decision)?;
        place.outcome(context, workspace, verdict)
    }
}
