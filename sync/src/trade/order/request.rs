//! Wishes about an order that the warehouse has (C3, C4): they are asked, and the warehouse says yes or no. As long as no
//! shipment is prepared anything may be wanted; until the goods leave only that there be no order.

use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::{
    AnswerChangeRequest, CancelOrder, ChangeOrder, ChangeRequest, ChangeRequestState, Fulfilment, Order, OrderStatus,
    Reason, ShipmentState,
};
use uuid::Uuid;

use super::edit::{change_form, decide_change};
use super::{Decision, Setting, cancel, cancel_form, has_status, open_for_decisions, shortage};
use crate::trade::capture::{Capture, Editor};
use crate::trade::check;
use crate::trade::rejection::Rejection;
use crate::trade::verdict::Verdict;

/// Where the goods of a released order are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has begun.
    Waiting,
    /// A shipment is prepared.
    Picking,
    /// They have left.
    Gone,
}

fn stage(order: &Order) -> Stage {
    if order.lines.iter().any(|line| line.shipped_milli > 0) {
        Stage::Gone
    } else if order.lines.iter().any(|line| line.assigned_milli > 0) {
        Stage::Picking
    } else {
        Stage::Waiting
    }
}

/// Whether what is wanted of an order is to be asked of the warehouse.
#[must_use]
pub fn is_asked(order: &Order) -> bool {
    order.status() == OrderStatus::Released
}

/// The rep who took an order, or the office, wants it otherwise.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED`, `REASON_CHANGE_PENDING`; `REASON_ORDER_RELEASED` with what to offer instead.
pub fn ask_change(
    order: &Order,
    editor: Editor,
    command: &ChangeOrder,
    capture: &Capture,
) -> Result<ChangeRequest, Rejection> {
    change_form(command, order.order_day, capture)?;
    editor.may_touch(&order.rep_id)?;
    if stage(order) != Stage::Waiting {
        return Err(too_late(order));
    }
    asked(order, editor, Wish::Change(command.clone()), capture)
}

/// The rep who took an order, or the office, does not want it any more.
///
/// # Errors
/// As of [`ask_change`].
pub fn ask_cancellation(
    order: &Order,
    editor: Editor,
    command: &CancelOrder,
    capture: &Capture,
) -> Result<ChangeRequest, Rejection> {
    cancel_form(command)?;
    editor.may_touch(&order.rep_id)?;
    if stage(order) == Stage::Gone {
        return Err(too_late(order));
    }
    asked(order, editor, Wish::Cancellation(command.clone()), capture)
}

fn asked(order: &Order, editor: Editor, wish: Wish, capture: &Capture) -> Result<ChangeRequest, Rejection> {
    let order_id = match &wish {
        Wish::Change(change) => &change.order_id,
        Wish::Cancellation(cancellation) => &cancellation.order_id,
    };
    if !order.change_request_id.is_empty() {
        // Which one that is the order says, to those who see it.
        return Err(Rejection::new(Reason::ChangePending).field("order_id"));
    }
    Ok(ChangeRequest {
        order_id: order_id.clone(),
        outlet_id: order.outlet_id.clone(),
        asked_by_id: capture.by.as_bytes().to_vec(),
        rep_id: match editor {
            Editor::Rep(rep) => rep.as_bytes().to_vec(),
            Editor::Office => Vec::new(),
        },
        asked_at_us: capture.captured_at_us,
        state: ChangeRequestState::Open.into(),
        wish: Some(wish),
        ..ChangeRequest::default()
    })
}

/// Refuses a wish for which it is too late. By which shipment, says the order, to whoever sees it: a rep who has just lost the
/// outlet does not.
fn too_late(order: &Order) -> Rejection {
    let offers: &[&str] = match stage(order) {
        Stage::Waiting | Stage::Picking => &["cancel_request", "add_on_order"],
        Stage::Gone => &["add_on_order", "return"],
    };
    let refused = has_status(Reason::OrderReleased, order);
    offers.iter().fold(refused, |refused, offer| refused.fact(None, "offer", offer))
}

/// What is said to whoever has asked.
#[must_use]
pub fn told(id: Uuid) -> Verdict {
    Verdict::held(Reason::ChangeRequested).fact(None, "change_request_id", id)
}

/// Who has asked.
#[must_use]
pub fn asker(request: &ChangeRequest) -> Editor {
    Uuid::from_slice(&request.rep_id).map_or(Editor::Office, Editor::Rep)
}

/// Whether a request can be answered like this.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn may_answer(request: &ChangeRequest, command: &AnswerChangeRequest) -> Result<(), Rejection> {
    check::id(&command.change_request_id, "change_request_id")?;
    if command.accept {
        check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    } else {
        check::required_text(&command.comment, check::TEXT_CHARS, "comment")?;
    }
    if request.state() == ChangeRequestState::Open {
        Ok(())
    } else {
        Err(Rejection::new(Reason::WrongState).fact(None, "state", request.state().as_str_name()))
    }
}

/// The warehouse accepts; `setting` is of whoever asked, at the moment of the answer. The order is decided as if the warehouse
/// did not have it yet. If nothing holds a changed order then, the warehouse keeps it. One that the books contain already does
/// not come to more: nobody would hold that against a limit.
///
/// # Errors
/// Those of the rules by which an order is changed or called off; `REASON_ORDER_RELEASED` with what to offer instead, for more of
/// what the books contain.
pub fn accept(request: &ChangeRequest, order: &Order, setting: &Setting<'_>) -> Result<Decision, Rejection> {
    open_for_decisions(order)?;
    let editor = asker(request);
    let taken_back = Order { status: OrderStatus::Confirmed.into(), change_request_id: Vec::new(), ..order.clone() };
    match &request.wish {
        None => Err(check::missing("wish")),
        Some(Wish::Cancellation(cancellation)) => {
            let mut decision = cancel(&taken_back, &cancellation.reason, editor.into(), setting)?;
            decision.order.set_fulfilment(Fulfilment::None);
            Ok(decision)
        }
        Some(Wish::Change(change)) => {
            let mut decision = decide_change(&taken_back, editor, change, setting)?;
            if order.booked && decision.order.value_minor > order.value_minor {
                return Err(has_status(Reason::OrderReleased, order).fact(None, "offer", "add_on_order"));
            }
            let goes_on = decision.order.status() == OrderStatus::Confirmed
                && !shortage::is_back_ordered(&decision.order)
                && decision.order.lines.iter().any(|line| line.confirmed_milli > 0);
            if goes_on {
                decision.order.set_status(OrderStatus::Released);
            }
            Ok(decision)
        }
    }
}

/// A request that was answered by a user.
#[must_use]
pub fn answered(request: &ChangeRequest, command: &AnswerChangeRequest, by: Uuid, now_us: i64) -> ChangeRequest {
    let state = if command.accept { ChangeRequestState::Accepted } else { ChangeRequestState::Refused };
    ChangeRequest {
        state: state.into(),
        answered_by_id: by.as_bytes().to_vec(),
        answered_at_us: now_us.max(1),
        comment: if command.accept { String::new() } else { command.comment.clone() },
        ..request.clone()
    }
}

/// What the goods have overtaken is refused by a rule: a change when a shipment is prepared, a cancellation when it leaves, and
/// either when the order is closed. `shipment` is the state to which one of the order's has come; `None`: to none. Returns `None`
/// when the request stays open.
#[must_use]
pub fn overtaken(
    request: &ChangeRequest,
    order: OrderStatus,
    shipment: Option<ShipmentState>,
    now_us: i64,
) -> Option<ChangeRequest> {
    let by_goods = match request.wish {
        Some(Wish::Cancellation(_)) => shipment == Some(ShipmentState::Shipped),
        Some(Wish::Change(_)) | None => shipment.is_some(),
    };
    let too_late = by_goods || order == OrderStatus::Closed;
    (too_late && request.state() == ChangeRequestState::Open).then(|| ChangeRequest {
        state: ChangeRequestState::Refused.into(),
        answered_at_us: now_us.max(1),
        comment: "rule: the warehouse was faster".to_owned(),
        ..request.clone()
    })
}
