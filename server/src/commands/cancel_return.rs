//! Says that announced goods do not come back.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CancelReturn, GoodsReturn};
use roundsman_sync::trade::goods_return::{self, Decision, Returned};
use uuid::Uuid;

use super::{Context, Decide, Target, field, returning};
use crate::network::stored_id;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for CancelReturn {
    fn name(&self) -> &'static str {
        "CancelReturn"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Logistics, Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.return_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.return_id);
        let (_, goods_return) = workspace.live::<GoodsReturn>(&self.return_id)?;
        if let Ok(shipment) = Uuid::from_slice(&goods_return.shipment_id) {
            keys.internal::<Returned>(&shipment);
        }
        field::keys(context, &goods_return.outlet_id, workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, current, place) =
            field::known_at::<GoodsReturn>(context, workspace, &self.return_id, |current| &current.outlet_id)?;
        field::may_edit(context, workspace, &place)?;
        let returned: Returned = workspace.internal(&stored_id(&current.shipment_id)?)?;
        let Decision { goods_return, returned, verdict } = goods_return::decide_cancel(&current, self, &returned)?;
        returning::put(context, workspace, &place, (id, &goods_return, &returned))?;
        workspace.announce("return.cancelled", id);
        place.outcome(context, workspace, verdict)
    }
}
