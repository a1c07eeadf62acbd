//! Begins a visit.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CheckIn, Visit};
use roundsman_sync::trade::visit::{self, Decision, Expectations, RepDay, Setting};

use super::{Context, Decide, Target, field};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CheckIn {
    fn name(&self) -> &'static str {
        "CheckIn"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.visit_id, creates: true })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.visit_id);
        field::keys(context, &self.outlet_id, workspace, keys);
        field::hang_keys(context, &self.outlet_id, workspace, keys);
        let place = field::place(workspace, &self.outlet_id)?;
        if let Some(rep) = context.issuer.rep() {
            keys.internal::<RepDay>(&(rep, place.day(context.captured_at_us)));
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        visit::check_in_form(self)?;
        let rep_id = field::rep(context)?;
        let place = field::known_place(context, workspace, &self.outlet_id)?;
        let capture = field::fact(context, workspace, &place)?;
        let (id, current) = field::existing::<Visit>(workspace, &self.visit_id)?;
        // The day of the moment, not the business date. The visit keeps it: at the check-out the outlet may be in another
        // time zone.
        let day = (rep_id, place.day(context.captured_at_us));
        let rep_day: RepDay = workspace.internal(&day)?;
        let expect = Expectations::default();
        let setting = Setting { rep_id, rep_day: &rep_day, capture: &capture, expect: &expect };
        let decision = visit::decide_check_in(current.as_ref(), place.outlet_id, &place.outlet, self, &setting)?;
        let Decision { visit, rep_day, verdict } = decision;
        let visit = Visit { checked_in_day: day.1, ..visit };
        if current.is_none() {
            field::hang(context, workspace, &place, id)?;
        }
        // Open again, if it was cancelled or missed.
        workspace.put(id, &visit, &place.open())?;
        workspace.put_internal(&day, &rep_day)?;
        place.outcome(context, workspace, verdict)
    }
}
