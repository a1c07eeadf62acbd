//! Decides what of a reclamation is accepted.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Agreement, DecideClaim, Order, PriceList, Reclamation, Shipment};
use roundsman_sync::trade::check;
use roundsman_sync::trade::reclamation::Claims;
use roundsman_sync::trade::reclamation::stages::{self, Actor, Priced, Setting, Staged};
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, decided, field, shipping};
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for DecideClaim {
    fn name(&self) -> &'static str {
        "DecideClaim"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.reclamation_id, creates: false })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.reclamation_id);
        let (_, reclamation) = workspace.live::<Reclamation>(&self.reclamation_id)?;
        keys.record(&reclamation.case_reclamation_id);
        keys.record(&reclamation.shipment_id);
        field::keys(context, &reclamation.outlet_id, workspace, keys);
        if let Ok(shipment) = Uuid::from_slice(&reclamation.shipment_id) {
            keys.internal::<Claims>(&shipment);
        }
        if let Some(shipment) = shipment_of(workspace, &reclamation)? {
            keys.lead_on();
            for order in shipping::order_ids(&shipment) {
                keys.id(order);
                // One that can't ask for more yet must not keep the others from asking.
                let _ = price_keys(workspace, order, keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current) = workspace.live::<Reclamation>(&self.reclamation_id)?;
        let case: Option<Reclamation> = field::named(workspace, optional_id(&current.case_reclamation_id)?)?;
        let shipment = shipment_of(workspace, &current)?;
        let shipment_id = optional_id(&current.shipment_id)?;
        let claims: Claims = match shipment_id {
            Some(shipment) => workspace.internal(&shipment)?,
            None => Claims::default(),
        };
        let place = field::place(workspace, &current.outlet_id)?;
        let setting = Setting {
            shipment: shipment.as_ref(),
            orders: &priced(workspace, shipment.as_ref())?,
            claims: &claims,
            case: case.as_ref(),
            actor: Actor { by: context.issuer.actor(), now_us: context.now_us },
            due: place.due(context.now_us, current.settle_within_days),
        };
        let Staged { reclamation, claims, verdict } = stages::decide(&current, self, &setting)?;
        if reclamation != current {
            if stages::is_closed(&reclamation) {
                workspace.put(id, &reclamation, &place.closed(context))?;
            } else {
                workspace.update(id, &reclamation)?;
            }
            if let Some(shipment) = shipment_id {
                workspace.put_internal(&shipment, &claims)?;
            }
            workspace.announce("reclamation.decided", id);
        }
        Ok(decided(verdict))
    }
}

fn shipment_of(workspace: &Workspace, reclamation: &Reclamation) -> Result<Option<Shipment>, Stop> {
    field::named(workspace, optional_id(&reclamation.shipment_id)?)
}

/// Asks for what says how an order is priced.
fn price_keys(workspace: &Workspace, order: Uuid, keys: &mut Keys) -> Result<(), Stop> {
    if let Some(order) = workspace.find::<Order>(order)? {
        keys.record(&order.agreement_id);
        if let Some(agreement) = agreement(workspace, &order)? {
            keys.record(&agreement.price_list_id);
        }
    }
    Ok(())
}

fn agreement(workspace: &Workspace, order: &Order) -> Result<Option<Agreement>, Stop> {
    field::named(workspace, optional_id(&order.agreement_id)?)
}

/// The orders of a shipment, but for those whose price list is gone: what is claimed of them is worth what nobody knows.
fn priced(workspace: &Workspace, shipment: Option<&Shipment>) -> Result<Vec<Priced>, Stop> {
    let mut found = Vec::new();
    for id in shipment.into_iter().flat_map(shipping::order_ids) {
        let Some(order) = workspace.find::<Order>(id)? else { continue };
        let Some(agreement) = agreement(workspace, &order)? else { continue };
        let list: Option<PriceList> = field::named(workspace, optional_id(&agreement.price_list_id)?)?;
        found.extend(list.map(|list| Priced { id, order, vat_included: list.vat_included }));
    }
    Ok(found)
}
