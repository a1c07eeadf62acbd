//! Reports a new outlet.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Outlet, RegisterOutlet};
use roundsman_sync::trade::assignment::Assigned;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::{check, outlet};

use super::{Context, Decide, Target, decided, field};
use crate::network;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for RegisterOutlet {
    fn name(&self) -> &'static str {
        "RegisterOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.agreement_ids.len(), check::ENTRIES, "agreement_ids")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        if let Some(rep) = context.issuer.rep() {
            keys.internal::<Assigned>(&rep);
        }
        let outlet = Outlet {
            territory_id: self.territory_id.clone(),
            agreement_ids: self.agreement_ids.clone(),
            ..Outlet::default()
        };
        network::outlet_keys(&self.outlet_id, &outlet, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        field::may_enter(context, workspace, check::id(&self.territory_id, "territory_id")?)?;
        let (id, current) = field::existing::<Outlet>(workspace, &self.outlet_id)?;
        let agreements = field::agreements(workspace, &self.agreement_ids)?;
        let agreements: BTreeMap<_, _> = agreements.iter().map(|(id, agreement)| (*id, agreement)).collect();
        let decision = outlet::decide_register(current.as_ref(), field::editor(context), &agreements, self)?;
        if current.is_none() {
            network::put_outlet(workspace, id, &decision.outlet, context.now_us)?;
            workspace.announce("outlet.registered", id);
        }
        Ok(decided(decision.verdict))
    }
}
