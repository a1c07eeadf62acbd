//! Answers what somebody wants of an order that the warehouse has.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::{AnswerChangeRequest, ChangeRequest, Order, OrderStatus};
use roundsman_sync::trade::capture::Capture;
use roundsman_sync::trade::order::request;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::field;
use super::ordering::{self, Needs};
use super::{Context, Decide, Target, requests, shipping};
use crate::internal::debtor;
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AnswerChangeRequest {
    fn name(&self) -> &'static str {
        "AnswerChangeRequest"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Logistics, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.change_request_id, creates: false })
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.change_request_id);
        let (_, request) = workspace.live::<ChangeRequest>(&self.change_request_id)?;
        keys.record(&request.order_id);
        let (id, order) = workspace.live::<Order>(&request.order_id)?;
        field::keys(context, &order.outlet_id, workspace, keys);
        if !self.accept {
            return Ok(());
        }
        shipping::shipments_of(&order).for_each(|shipment| keys.id(shipment));
        needs(&request, &order).keys(workspace, keys);
        ordering::giving_keys((id, &order), workspace, keys)
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let (id, asked) = workspace.live::<ChangeRequest>(&self.change_request_id)?;
        let (order_id, mut order) = workspace.live::<Order>(&asked.order_id)?;
        let place = field::place(workspace, &order.outlet_id)?;
        request::may_answer(&asked, self)?;
        let verdict = if self.accept {
            order = ordering::follow_customer(workspace, order_id, order)?;
            let capture = Capture {
                captured_at_us: asked.asked_at_us,
                decided_at_us: context.now_us,
                business_day: place.day(asked.asked_at_us),
                now: place.local(context.now_us),
                by: Uuid::from_slice(&asked.asked_by_id).unwrap_or_default(),
                ..Capture::default()
            };
            let ground = needs(&asked, &order).read(workspace, order_id, place.clone(), capture)?;
            let decision = ground.decide(|setting| request::accept(&asked, &order, setting))?;
            if decision.order.status() == OrderStatus::Cancelled {
                shipping::call_off(context, workspace, &place, (order_id, &order))?;
            }
            ground.store(context, workspace, Some(&order), decision)?
        } else {
            let after = Order { change_request_id: Vec::new(), ..order.clone() };
            ordering::put_order(context, workspace, &place, (order_id, Some(&order), &after))?;
            Verdict::done()
        };
        let answered = request::answered(&asked, self, context.issuer.actor(), context.now_us);
        requests::put_answered(context, workspace, &place, (id, &answered))?;
        if let Some(debtor) = debtor(&order).filter(|_| self.accept) {
            ordering::release_held(context, workspace, &debtor)?;
        }
        place.outcome(context, workspace, verdict)
    }
}

/// What the order's decision rests on, as if whoever asked were at it now.
fn needs(request: &ChangeRequest, order: &Order) -> Needs {
    match &request.wish {
        Some(Wish::Change(change)) => Needs::of_order(order).with_change(change, order, request::asker(request)),
        Some(Wish::Cancellation(_)) | None => Needs::of_order(order),
    }
}
