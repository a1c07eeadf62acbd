//! Edits an order.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{ChangeOrder, Order};
use roundsman_sync::trade::check;
use roundsman_sync::trade::order::{edit, request};
use roundsman_sync::trade::rejection::Rejection;

use super::ordering::{self, Needs};
use super::{Context, Decide, Target, field, requests};
use crate::internal::debtor;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ChangeOrder {
    fn name(&self) -> &'static str {
        "ChangeOrder"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.order_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.order_id);
        let (id, order) = workspace.live::<Order>(&self.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        if request::is_asked(&order) {
            requests::ask_keys(context, &order, workspace, keys);
            return Ok(());
        }
        Needs::of_order(&order).with_change(self, &order, field::editor(context)).keys(workspace, keys);
        ordering::giving_keys((id, &order), workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current, place) =
            field::known_at(context, workspace, &self.order_id, |order: &Order| &order.outlet_id)?;
        let capture = field::edit(context, workspace, &place)?;
        let editor = field::editor(context);
        if request::is_asked(&current) {
            let wish = request::ask_change(&current, editor, self, &capture)?;
            return requests::ask(context, workspace, &place, (id, &current), &wish);
        }
        edit::change_form(self, current.order_day, &capture)?;
        let current = ordering::follow_customer(workspace, id, current)?;
        let needs = Needs::of_order(&current).with_change(self, &current, editor);
        let ground = needs.read(workspace, id, place.clone(), capture)?;
        let decision = ground.decide(|setting| edit::decide_change(&current, editor, self, setting))?;
        let verdict = ground.store(context, workspace, Some(&current), decision)?;
        if let Some(debtor) = debtor(&current) {
            ordering::release_held(context, workspace, &debtor)?;
        }
        place.outcome(context, workspace, verdict)
    }
}
