//! Takes what was sold out of a van.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{Order, Reason, SellFromVan, Shipment, SubmitOrder, Visit, Warehouse};
use roundsman_sync::trade::capture::Editor;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::van_sale::{self, Sale, Sold};
use roundsman_sync::trade::verdict::Verdict;
use roundsman_sync::trade::{check, order};
use uuid::Uuid;

use super::ordering::Needs;
use super::{Context, Decide, Target, field, ordering, stock_keeping};
use crate::internal::debtor;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for SellFromVan {
    fn name(&self) -> &'static str {
        "SellFromVan"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep]
    }

    fn target(&self) -> Option<Target<'_>> {
        self.order.as_ref().map(|order| Target { id: &order.order_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.order.as_ref().map_or(0, |order| order.lines.len()), check::LINES, "lines")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.shipment_id);
        let Some(sold) = &self.order else { return Ok(()) };
        ordering::submit_keys(context, sold, workspace, keys);
        needs(context, self, sold).keys(workspace, keys);
        stock_keeping::keys(&self.warehouse_id, sold.lines.iter().map(|line| &line.product_id), workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let rep = field::rep(context)?;
        let sold = self.order.as_ref().ok_or_else(|| check::missing("order"))?;
        let place = field::known_place(context, workspace, &sold.outlet_id)?;
        let capture = field::fact(context, workspace, &place)?;
        order::submit_form(sold, &capture)?;
        van_sale::form(self, capture.business_day)?;
        let (van, warehouse) = workspace.live::<Warehouse>(&self.warehouse_id)?;
        if warehouse.rep_id != rep.as_bytes() {
            return Err(Rejection::new(Reason::NotInScope).field("warehouse_id").into());
        }
        let (id, current) = field::existing::<Order>(workspace, &sold.order_id)?;
        let (shipment_id, shipment) = field::existing::<Shipment>(workspace, &self.shipment_id)?;
        let visit: Option<Visit> = field::named(workspace, check::optional_id(&sold.visit_id, "visit_id")?)?;
        let others = ordering::others(context, workspace, place.outlet_id, (sold, capture.business_day))?;
        let ground = needs(context, self, sold).read(workspace, id, place.clone(), capture)?;
        let sale =
            Sale { order: current.as_ref(), shipment: shipment.as_ref(), visit: visit.as_ref(), others: &others, rep };
        let Some(decided) = ground.decide(|setting| van_sale::decide(self, sale, setting))? else {
            return place.outcome(context, workspace, Verdict::nothing_to_do());
        };
        let Sold { order, shipment, credit, figures, verdict } = decided;
        let debtor =
            debtor(&order).ok_or_else(|| Stop::Corrupt(format!("nobody owes what the order {id} is worth")))?;
        ordering::put_order(context, workspace, &place, (id, None, &order))?;
        workspace.put_internal(&debtor, &credit)?;
        stock_keeping::put(context, workspace, van, &figures)?;
        workspace.put(shipment_id, &shipment, &place.closed(context))?;
        field::hang(context, workspace, &place, shipment_id)?;
        workspace.announce("shipment.delivered", shipment_id);
        place.outcome(context, workspace, verdict)
    }
}

/// What the sale is decided by: as if the van was the warehouse that serves the outlet.
fn needs(context: &Context<'_>, command: &SellFromVan, sold: &SubmitOrder) -> Needs {
    let editor = Editor::Rep(context.issuer.rep().unwrap_or_else(Uuid::nil));
    Needs::of_submit(sold, editor, context.business_day).served_by(&command.warehouse_id)
}
