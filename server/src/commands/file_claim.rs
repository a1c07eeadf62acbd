//! Takes a customer's complaint.
//!
//! A reclamation is open until it is rejected or settled (`decide_claim.rs`, `settle_claim.rs`).

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{FileClaim, Order, Reclamation, Shipment};
use roundsman_sync::trade::check;
use roundsman_sync::trade::reclamation::{self, Claims, Decision, Setting};
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, field};
use crate::causes;
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for FileClaim {
    fn name(&self) -> &'static str {
        "FileClaim"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.reclamation_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.reclamation_id);
        keys.record(&self.order_id);
        keys.record(&self.shipment_id);
        if let Ok(shipment) = Uuid::from_slice(&self.shipment_id) {
            keys.internal::<Claims>(&shipment);
        }
        field::keys(context, &self.outlet_id, workspace, keys);
        field::hang_keys(context, &self.outlet_id, workspace, keys);
        causes::chosen_keys(&self.cause_id, workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        reclamation::file_form(self)?;
        let place = field::known_place(context, workspace, &self.outlet_id)?;
        let capture = field::edit(context, workspace, &place)?;
        let (id, current) = field::existing::<Reclamation>(workspace, &self.reclamation_id)?;
        let order: Option<Order> = field::named(workspace, check::optional_id(&self.order_id, "order_id")?)?;
        let shipment_id = check::optional_id(&self.shipment_id, "shipment_id")?;
        let shipment: Option<Shipment> = field::named(workspace, shipment_id)?;
        let claims: Claims = match shipment_id {
            Some(shipment) => workspace.internal(&shipment)?,
            None => Claims::default(),
        };
        let chosen = causes::chosen(workspace, &self.cause_id)?;
        let terms = chosen.terms(self.cause(), context.policy.claim_days);
        let setting = Setting {
            outlet_id: place.outlet_id,
            customer_id: optional_id(&place.outlet.customer_id)?,
            rep_id: context.issuer.rep(),
            order: order.as_ref(),
            shipment: shipment.as_ref(),
            claims: &claims,
            capture: &capture,
            chosen: &chosen,
            terms: &terms,
            due: place.due(capture.captured_at_us, terms.days.decide),
        };
        let Decision { reclamation, claims, verdict } = reclamation::decide_file(current.as_ref(), self, &setting)?;
        if current.is_none() {
            field::hang(context, workspace, &place, id)?;
            workspace.put(id, &reclamation, &place.open())?;
            if let Some(shipment) = shipment_id {
                workspace.put_internal(&shipment, &claims)?;
            }
            workspace.announce("reclamation.registered", id);
        }
        place.outcome(context, workspace, verdict)
    }
}
