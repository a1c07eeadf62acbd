//! Releases one hold of an order.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, ReleaseHold};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::order::{self, Releaser};

use super::ordering::{self, Needs};
use super::{Context, Decide, Issuer, Target, field};
use crate::internal::debtor;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ReleaseHold {
    fn name(&self) -> &'static str {
        "ReleaseHold"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Supervisor, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.order_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.order_id);
        let (id, order) = workspace.live::<Order>(&self.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        Needs::of_order(&order).keys(workspace, keys);
        if let Some(debtor) = debtor(&order) {
            let credit: Credit = workspace.internal(&debtor)?;
            ordering::held_keys(&credit.without_order(id, &order), workspace, keys);
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current, place) =
            field::known_at(context, workspace, &self.order_id, |order: &Order| &order.outlet_id)?;
        let capture = field::edit(context, workspace, &place)?;
        let ground = Needs::of_order(&current).read(workspace, id, place.clone(), capture)?;
        let releaser = releaser(context.issuer);
        let decision = ground.decide(|setting| order::decide_release_hold(&current, self, &releaser, setting))?;
        let verdict = ground.store(context, workspace, Some(&current), decision)?;
        // It may have stood before others in the queue for credit.
        if let Some(debtor) = debtor(&current) {
            ordering::release_held(context, workspace, &debtor)?;
        }
        place.outcome(context, workspace, verdict)
    }
}

/// Who releases. People are shown the office the user holds: a batch knows nobody's name.
fn releaser(issuer: &Issuer) -> Releaser {
    let (name, supervisor) = match issuer {
        Issuer::Server => ("the server", false),
        Issuer::User(caller) => match caller.role {
            Role::Supervisor => ("the supervisor", true),
            Role::Admin => ("the administrator", false),
            Role::Integration => ("the ERP", false),
            Role::Office | Role::Logistics | Role::Rep | Role::Unspecified => ("the office", false),
        },
    };
    Releaser { user_id: issuer.actor(), name: name.to_owned(), supervisor }
}
