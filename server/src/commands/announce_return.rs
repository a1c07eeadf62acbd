//! Announces that a customer gives goods back.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AnnounceReturn, GoodsReturn, Reclamation, Shipment};
use roundsman_sync::trade::check;
use roundsman_sync::trade::goods_return::{self, Decision, Setting};
use roundsman_sync::trade::rejection::Rejection;

use super::{Context, Decide, Target, field, returning, shipping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AnnounceReturn {
    fn name(&self) -> &'static str {
        "AnnounceReturn"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Logistics, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.return_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.return_id);
        keys.record(&self.reclamation_id);
        returning::keys(context, &self.shipment_id, workspace, keys).map(|_| ())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (shipment_id, shipment, place) =
            field::known_at::<Shipment>(context, workspace, &self.shipment_id, |shipment| &shipment.outlet_id)?;
        field::edit(context, workspace, &place)?;
        let (id, current) = field::existing::<GoodsReturn>(workspace, &self.return_id)?;
        let reclamation_id = check::optional_id(&self.reclamation_id, "reclamation_id")?;
        let reclamation: Option<Reclamation> = field::named(workspace, reclamation_id)?;
        let setting = Setting {
            outlet_id: place.outlet_id,
            shipment: &shipment,
            orders: &returning::orders(workspace, &shipment)?,
            returned: &workspace.internal(&shipment_id)?,
            reclamation: reclamation.as_ref(),
            mover: shipping::mover(context),
        };
        let Decision { goods_return, returned, verdict } =
            goods_return::decide_announce(current.as_ref(), self, &setting)?;
        if current.is_none() {
            returning::put(context, workspace, &place, (id, &goods_return, &returned))?;
            workspace.announce("return.announced", id);
        }
        place.outcome(context, workspace, verdict)
    }
}
