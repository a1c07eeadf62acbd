//! Releases one hold of an order.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, ReleaseHold, Team};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::order::{self, Releaser};
use uuid::Uuid;

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
        if let Some(team) = team(context.issuer) {
            keys.id(team);
        }
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
        let current = ordering::follow_customer(workspace, id, current)?;
        let ground = Needs::of_order(&current).read(workspace, id, place.clone(), capture)?;
        let releaser = releaser(context.issuer, workspace)?;
        let decision = ground.decide(|setting| order::decide_release_hold(&current, self, &releaser, setting))?;
        let verdict = ground.store(context, workspace, Some(&current), decision)?;
        // It may have stood before others in the queue for credit.
        if let Some(debtor) = debtor(&current) {
            ordering::release_held(context, workspace, &debtor)?;
        }
        place.outcome(context, workspace, verdict)
    }
}

/// The team whose limits count.
fn team(issuer: &Issuer) -> Option<Uuid> {
    match issuer {
        Issuer::User(caller) if caller.role == Role::Supervisor => caller.team,
        Issuer::User(_) | Issuer::Server => None,
    }
}

/// Who releases. People are shown the office the user holds: a batch knows nobody's name.
fn releaser(issuer: &Issuer, workspace: &Workspace) -> Result<Releaser, Stop> {
    let (name, team) = match issuer {
        Issuer::Server => ("the server", None),
        Issuer::User(caller) => match caller.role {
            Role::Supervisor => ("the supervisor", Some(caller.team)),
            Role::Admin => ("the administrator", None),
            Role::Integration => ("the ERP", None),
            Role::Office | Role::Logistics | Role::Rep | Role::Driver | Role::Unspecified => ("the office", None),
        },
    };
    let limits = match team {
        None => None,
        Some(team) => Some(field::named::<Team>(workspace, team)?.map(|team| team.approval_limits).unwrap_or_default()),
    };
    Ok(Releaser { user_id: issuer.actor(), name: name.to_owned(), limits })
}
