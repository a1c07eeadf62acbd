//! Ends a visit.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CheckOut, Visit};
use roundsman_sync::trade::visit::{self, Decision, Expectations, RepDay, Setting};

use super::{Context, Decide, Target, field};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CheckOut {
    fn name(&self) -> &'static str {
        "CheckOut"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.visit_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.visit_id);
        let (_, visit) = workspace.live::<Visit>(&self.visit_id)?;
        field::keys(context, &visit.outlet_id, workspace, keys);
        if let Some(rep) = context.issuer.rep() {
            keys.internal::<RepDay>(&(rep, visit.checked_in_day));
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        visit::check_out_form(self)?;
        let rep_id = field::rep(context)?;
        let (id, current, place) =
            field::known_at(context, workspace, &self.visit_id, |visit: &Visit| &visit.outlet_id)?;
        let capture = field::fact(context, workspace, &place)?;
        let day = (rep_id, current.checked_in_day);
        let rep_day: RepDay = workspace.internal(&day)?;
        let expect = Expectations::default();
        let setting = Setting { rep_id, rep_day: &rep_day, capture: &capture, expect: &expect };
        let Decision { visit, rep_day, verdict } = visit::decide_check_out(&current, self, &setting)?;
        workspace.put(id, &visit, &place.closed(context))?;
        workspace.put_internal(&day, &rep_day)?;
        place.outcome(context, workspace, verdict)
    }
}
