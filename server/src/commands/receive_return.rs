//! Reports what came back into a warehouse.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{GoodsReturn, ReceiveReturn, Shipment, Warehouse};
use roundsman_sync::trade::check;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::goods_return::{self, Decision, Setting};
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, field, ordering, returning, shipping};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for ReceiveReturn {
    fn name(&self) -> &'static str {
        "ReceiveReturn"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.return_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.lines.len(), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.return_id);
        keys.record(&self.warehouse_id);
        let shipment = returning::keys(context, &self.shipment_id, workspace, keys)?;
        let warehouse_id = if self.warehouse_id.is_empty() { &shipment.warehouse_id } else { &self.warehouse_id };
        if let Ok(warehouse) = Uuid::from_slice(warehouse_id) {
            ordering::back_keys(warehouse, shipping::products(&shipment), workspace, keys);
        }
        for order in returning::orders(workspace, &shipment)? {
            if let Some(debtor) = crate::internal::debtor(&order.order) {
                keys.internal::<Credit>(&debtor);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (shipment_id, shipment) = workspace.live::<Shipment>(&self.shipment_id)?;
        let place = field::place(workspace, &shipment.outlet_id)?;
        let (id, current) = field::existing::<GoodsReturn>(workspace, &self.return_id)?;
        if !self.warehouse_id.is_empty() {
            workspace.live::<Warehouse>(&self.warehouse_id)?;
        }
        let setting = Setting {
            outlet_id: place.outlet_id,
            shipment: &shipment,
            orders: &returning::orders(workspace, &shipment)?,
            returned: &workspace.internal(&shipment_id)?,
            reclamation: None,
            mover: shipping::mover(context),
        };
        let Decision { goods_return, returned, verdict } =
            goods_return::decide_receive(current.as_ref(), self, &setting)?;
        if current.as_ref() != Some(&goods_return) {
            returning::put(context, workspace, &place, (id, &goods_return, &returned))?;
            returning::put_stock(workspace, &goods_return)?;
            returning::put_credit(context, workspace, &goods_return)?;
            workspace.announce("return.received", id);
        }
        place.outcome(context, workspace, verdict)
    }
}
