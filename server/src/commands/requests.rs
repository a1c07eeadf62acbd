//! What is wanted of orders that the warehouse has: asked, and overtaken by the goods.

use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{ChangeRequest, Order, ShipmentState};
use roundsman_sync::trade::order::request;
use uuid::Uuid;

use super::field::{self, Place};
use super::{Context, ordering};
use crate::internal::server_id;
use crate::network::optional_id;
use crate::workspace::{Keys, Stop, Workspace};

/// The id of the request that a command makes: nobody else can make a record of this id before.
fn request_id(command: Uuid) -> Uuid {
    server_id(format_args!("change_request{{{command}}}"))
}

/// Asks for what [`ask`] needs.
pub fn ask_keys(context: &Context<'_>, order: &Order, workspace: &Workspace, keys: &mut Keys) {
    keys.id(request_id(context.command));
    field::hang_keys(context, &order.outlet_id, workspace, keys);
}

/// Asks the warehouse.
///
/// # Errors
/// See [`Stop`].
pub fn ask(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (order_id, order): (Uuid, &Order),
    wish: &ChangeRequest,
) -> Result<Outcome, Stop> {
    let id = request_id(context.command);
    workspace.put_own(id, wish, &place.open())?;
    field::hang(context, workspace, place, id)?;
    let after = Order { change_request_id: id.as_bytes().to_vec(), ..order.clone() };
    ordering::put_order(context, workspace, place, (order_id, Some(order), &after))?;
    workspace.announce("order.change_requested", id);
    place.outcome(context, workspace, request::told(id))
}

/// Writes an answer. A request is closed with it.
///
/// # Errors
/// See [`Stop`].
pub fn put_answered(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (id, answered): (Uuid, &ChangeRequest),
) -> Result<(), Stop> {
    workspace.put(id, answered, &place.closed(context))?;
    workspace.announce("order.change_answered", id);
    Ok(())
}

/// An order is closed, or one of its shipments has come to this state: what was wanted of the order may be too late now. Its
/// keys are those of the order's `change_request_id`.
///
/// # Errors
/// See [`Stop`].
pub fn overtake(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    order: &mut Order,
    shipment: Option<ShipmentState>,
) -> Result<(), Stop> {
    let Some(id) = optional_id(&order.change_request_id)? else { return Ok(()) };
    let Some(request) = workspace.find::<ChangeRequest>(id)? else { return Ok(()) };
    if let Some(refused) = request::overtaken(&request, order.status(), shipment, context.now_us) {
        put_answered(context, workspace, place, (id, &refused))?;
        order.change_request_id.clear();
    }
    Ok(())
}
