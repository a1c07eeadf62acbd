//! Edits an outlet.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{EditOutlet, Outlet};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::waiting::Scarce;
use roundsman_sync::trade::{check, outlet};
use uuid::Uuid;

use super::{Context, Decide, Target, field, ordering};
use crate::workspace::{Keys, Stop, Workspace};
use crate::{chains, network};

impl Decide for EditOutlet {
    fn name(&self) -> &'static str {
        "EditOutlet"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.outlet_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.add_agreement_ids.len(), check::ENTRIES, "add_agreement_ids")?;
        check::count(self.remove_agreement_ids.len(), check::ENTRIES, "remove_agreement_ids")?;
        check::count(self.contacts.len(), check::ENTRIES, "contacts")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        field::keys(context, &self.outlet_id, workspace, keys);
        for agreement in &self.add_agreement_ids {
            keys.record(agreement);
        }
        if let Some(change) = &self.customer_id {
            keys.record(&change.value);
        }
        let place = field::place(workspace, &self.outlet_id)?;
        // Where it was present, and where it may be after the edit.
        network::outlet_keys(place.outlet_id.as_bytes(), &place.outlet, workspace, keys)?;
        let after = Outlet {
            agreement_ids: self.add_agreement_ids.clone(),
            customer_id: self.customer_id.as_ref().map(|change| change.value.clone()).unwrap_or_default(),
            territory_id: place.outlet.territory_id,
            chain_id: place.outlet.chain_id.clone(),
            ..Outlet::default()
        };
        let left = place.outlet.agreement_ids.iter().any(|id| !self.remove_agreement_ids.contains(id));
        let inherits = !left && self.add_agreement_ids.is_empty();
        let inherited = if inherits { chains::given_by(&place.outlet.chain_id, workspace) } else { Vec::new() };
        let added = self.add_agreement_ids.iter().chain(&inherited).filter_map(|id| Uuid::from_slice(id).ok());
        ordering::waiting_keys(added.map(Scarce::Terms), workspace, keys);
        network::outlet_keys(place.outlet_id.as_bytes(), &after, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let place = field::known_place(context, workspace, &self.outlet_id)?;
        field::edit(context, workspace, &place)?;
        let editor = field::editor(context);
        outlet::edit_form(editor, self)?;
        let agreements = field::agreements(workspace, &self.add_agreement_ids)?;
        let agreements: BTreeMap<_, _> = agreements.iter().map(|(id, agreement)| (*id, agreement)).collect();
        let decision = outlet::decide_edit(place.outlet_id, &place.outlet, editor, &agreements, self)?;
        if decision.outlet != place.outlet {
            network::put_outlet(workspace, place.outlet_id, &decision.outlet, context.now_us)?;
        }
        place.outcome(context, workspace, decision.verdict)
    }
}
