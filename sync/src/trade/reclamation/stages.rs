//! What becomes of a reclamation: somebody looks at it, it is decided line by line, and the customer gets what was accepted.
//! Nothing of a shipment is accepted twice, in however many reports it was claimed.

use roundsman_proto::trade::{
    DecideClaim, Order, Reason, Reclamation, ReclamationCause, ReclamationDecision, ReclamationLine,
    ReclamationSettlement, ReclamationState, ReviewClaim, SettleClaim, SettlementKind, Shipment, ShipmentLine,
    ShipmentState,
};
use uuid::Uuid;

use super::Claims;
use super::deadline::{self, Due};
use crate::trade::order::{self, fulfil};
use crate::trade::rejection::Rejection;
use crate::trade::verdict::Verdict;
use crate::trade::{check, money};

/// Who acts, and when.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// The user; nil: the server.
    pub by: Uuid,
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
}

/// An order of the shipment, by which what is accepted is priced.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The order's id.
    pub id: Uuid,
    /// The order.
    pub order: Order,
    /// Whether the price list of the order's agreement contains tax.
    pub vat_included: bool,
}

/// What a decision is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The reclamation's shipment, as it is now.
    pub shipment: Option<&'a Shipment>,
    /// The orders of that shipment, as far as their prices are known.
    pub orders: &'a [Priced],
    /// What was claimed and accepted of that shipment before.
    pub claims: &'a Claims,
    /// The reclamation of which this one is another report.
    pub case: Option<&'a Reclamation>,
    /// Who decides.
    pub actor: Actor,
    /// By when the customer is to get what is accepted.
    pub due: Due,
}

/// What is to be stored of a reclamation.
#[derive(Clone, Debug, PartialEq)]
pub struct Staged {
    /// The reclamation.
    pub reclamation: Reclamation,
    /// What is claimed and accepted of its shipment now.
    pub claims: Claims,
    /// The outcome.
    pub verdict: Verdict,
}

/// Whether nothing will become of it any more.
#[must_use]
pub fn is_closed(reclamation: &Reclamation) -> bool {
    match reclamation.state() {
        ReclamationState::Rejected | ReclamationState::Settled => true,
        ReclamationState::Satisfied | ReclamationState::PartlySatisfied => is_as_case(reclamation),
        ReclamationState::Unspecified | ReclamationState::Registered | ReclamationState::InReview => false,
    }
}

/// Whether nobody has decided.
#[must_use]
pub fn is_undecided(reclamation: &Reclamation) -> bool {
    match reclamation.state() {
        ReclamationState::Unspecified | ReclamationState::Registered | ReclamationState::InReview => true,
        ReclamationState::Satisfied | ReclamationState::PartlySatisfied => false,
        ReclamationState::Rejected | ReclamationState::Settled => false,
    }
}

fn is_as_case(reclamation: &Reclamation) -> bool {
    reclamation.decision.as_ref().is_some_and(|decision| !decision.as_reclamation_id.is_empty())
}

fn wrong(reclamation: &Reclamation) -> Rejection {
    Rejection::new(Reason::WrongState).fact(None, "state", reclamation.state().as_str_name())
}

fn enter(reclamation: &mut Reclamation, state: ReclamationState, now_us: i64) {
    if reclamation.state() != state {
        reclamation.set_state(state);
        reclamation.stage_since_us = now_us;
    }
}

/// Somebody looks at a reclamation, or another department is to. `None`: it is so already.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn decide_review(
    current: &Reclamation,
    command: &ReviewClaim,
    now_us: i64,
) -> Result<Option<Reclamation>, Rejection> {
    check::text(&command.department, check::NAME_CHARS, "department")?;
    check::text(&command.note, check::TEXT_CHARS, "note")?;
    if !is_undecided(current) {
        return Err(wrong(current));
    }
    let mut reclamation = current.clone();
    enter(&mut reclamation, ReclamationState::InReview, now_us);
    if !command.department.is_empty() {
        reclamation.department.clone_from(&command.department);
    }
    if !command.note.is_empty() {
        reclamation.review_note.clone_from(&command.note);
    }
    Ok((reclamation != *current).then_some(reclamation))
}

/// A reclamation is decided (C24, C25).
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_ACCEPTED_TOO_MUCH`, `REASON_CASE_NOT_DECIDED`, `REASON_MISMATCH`.
pub fn decide(current: &Reclamation, command: &DecideClaim, setting: &Setting<'_>) -> Result<Staged, Rejection> {
    check::text(&command.text, check::TEXT_CHARS, "text")?;
    let accepted = accepted_by_line(current, command)?;
    if !is_undecided(current) {
        return if is_decided_so(current, command, &accepted) {
            Ok(Staged {
                reclamation: current.clone(),
                claims: setting.claims.clone(),
                verdict: Verdict::nothing_to_do(),
            })
        } else {
            Err(wrong(current))
        };
    }
    let mut reclamation = current.clone();
    let mut decision = ReclamationDecision {
        decided_by_id: setting.actor.by.as_bytes().to_vec(),
        decided_at_us: setting.actor.now_us,
        text: command.text.clone(),
        ..ReclamationDecision::default()
    };
    if command.as_case {
        let state = state_of_case(current, command, setting.case)?;
        decision.as_reclamation_id.clone_from(&current.case_reclamation_id);
        reclamation.decision = Some(decision);
        enter(&mut reclamation, state, setting.actor.now_us);
        deadline::go_on(&mut reclamation, setting.due);
        return Ok(Staged { reclamation, claims: setting.claims.clone(), verdict: Verdict::done() });
    }
    let mut claims = setting.claims.clone();
    for (line, (index, accepted_milli)) in reclamation.lines.iter_mut().zip(&accepted) {
        let acceptable_milli = acceptable(line, current.cause(), setting.shipment, &claims);
        if *accepted_milli > acceptable_milli {
            let about = Uuid::from_slice(&line.line_id).ok();
            let rejection = Rejection::new(Reason::AcceptedTooMuch).field("accepted_milli");
            let rejection = rejection.fact(about, "acceptable_milli", acceptable_milli);
            return Err(check::at("lines", index.unwrap_or_default())(rejection));
        }
        line.accepted_milli = *accepted_milli;
        line.accepted_minor = worth(line, setting)?;
        claims = claims.accepting(current.cause(), std::slice::from_ref(line));
    }
    let state = judged(&reclamation.lines);
    if state != ReclamationState::Satisfied && command.text.trim().is_empty() {
        return Err(check::missing("text"));
    }
    decision.accepted_minor = money::total(reclamation.lines.iter().map(|line| line.accepted_minor))?;
    let priced = reclamation.lines.iter().find_map(|line| order_of(line, setting));
    decision.currency = priced.map(|priced| priced.order.currency.clone()).unwrap_or_default();
    let verdict = Verdict::done().fact(None, "accepted_minor", decision.accepted_minor);
    reclamation.decision = Some(decision);
    enter(&mut reclamation, state, setting.actor.now_us);
    deadline::go_on(&mut reclamation, setting.due);
    Ok(Staged { reclamation, claims, verdict })
}

/// What is accepted of each line of the reclamation, with its place in the command.
fn accepted_by_line(current: &Reclamation, command: &DecideClaim) -> Result<Vec<(Option<usize>, i64)>, Rejection> {
    check::count(command.lines.len(), check::LINES, "lines")?;
    if command.as_case && !command.lines.is_empty() {
        return Err(check::out_of_range("lines"));
    }
    let mut accepted = vec![(None, 0); current.lines.len()];
    for (index, line) in command.lines.iter().enumerate() {
        let at = check::at("lines", index);
        check::id(&line.line_id, "line_id").map_err(&at)?;
        check::range(line.accepted_milli, 0..=check::QUANTITY_MILLI, "accepted_milli").map_err(&at)?;
        let place = current.lines.iter().position(|own| own.line_id == line.line_id);
        let place = place.ok_or_else(|| at(check::mismatch("line_id")))?;
        match &mut accepted[place] {
            (Some(_), _) => return Err(at(Rejection::new(Reason::RepeatedId).field("line_id"))),
            free => *free = (Some(index), line.accepted_milli),
        }
    }
    Ok(accepted)
}

fn is_decided_so(current: &Reclamation, command: &DecideClaim, accepted: &[(Option<usize>, i64)]) -> bool {
    let text = current.decision.as_ref().map(|decision| decision.text.as_str()).unwrap_or_default();
    let same = current.lines.iter().zip(accepted).all(|(line, (_, accepted))| line.accepted_milli == *accepted);
    same && text == command.text && is_as_case(current) == command.as_case
}

/// The state of a report that is decided with its case.
fn state_of_case(
    current: &Reclamation,
    command: &DecideClaim,
    case: Option<&Reclamation>,
) -> Result<ReclamationState, Rejection> {
    let case = case.filter(|_| !current.case_reclamation_id.is_empty() && command.as_case);
    let case = case.ok_or_else(|| check::mismatch("as_case"))?;
    if is_undecided(case) {
        return Err(Rejection::new(Reason::CaseNotDecided).field("as_case"));
    }
    // What was settled was accepted, in whole or in part.
    Ok(if case.state() == ReclamationState::Settled { judged(&case.lines) } else { case.state() })
}

fn judged(lines: &[ReclamationLine]) -> ReclamationState {
    let all = lines.iter().all(|line| line.accepted_milli >= line.claimed_milli);
    let some = lines.iter().any(|line| line.accepted_milli > 0);
    match (all, some) {
        (true, _) => ReclamationState::Satisfied,
        (false, true) => ReclamationState::PartlySatisfied,
        (false, false) => ReclamationState::Rejected,
    }
}

/// How much of a line can be accepted: what is claimed, and of the shipment's line what no other report has got.
fn acceptable(line: &ReclamationLine, cause: ReclamationCause, shipment: Option<&Shipment>, claims: &Claims) -> i64 {
    if line.shipment_line_id.is_empty() {
        return line.claimed_milli;
    }
    let lines = shipment.filter(|shipment| has_arrived(shipment)).map_or(&[][..], |shipment| &shipment.lines[..]);
    let shipped = lines.iter().find(|shipped| shipped.line_id == line.shipment_line_id);
    shipped.map_or(0, |shipped| left(shipped, cause, claims)).min(line.claimed_milli)
}

fn left(shipped: &ShipmentLine, cause: ReclamationCause, claims: &Claims) -> i64 {
    let (accepted, missing) = claims.accepted_milli(&shipped.line_id);
    let not_arrived = shipped.loaded_milli.saturating_sub(shipped.delivered_milli);
    let of_cause = match cause {
        // Where the driver has counted what did not arrive, that is it. Where he says that all did, the customer may still be right.
        ReclamationCause::DeliveryDiscrepancy if not_arrived > 0 => not_arrived.saturating_sub(missing),
        ReclamationCause::DeliveryDiscrepancy => shipped.loaded_milli.saturating_sub(missing),
        ReclamationCause::Damaged | ReclamationCause::Quality | ReclamationCause::Expired | ReclamationCause::Price => {
            shipped.delivered_milli.saturating_sub(accepted.saturating_sub(missing))
        }
        ReclamationCause::Papers | ReclamationCause::Other | ReclamationCause::Unspecified => {
            shipped.delivered_milli.saturating_sub(accepted.saturating_sub(missing))
        }
    };
    of_cause.min(shipped.loaded_milli.saturating_sub(accepted)).max(0)
}

fn has_arrived(shipment: &Shipment) -> bool {
    match shipment.state() {
        ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused => true,
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => false,
        ShipmentState::Checking | ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Shipped => false,
        ShipmentState::NotAttempted | ShipmentState::Cancelled => false,
    }
}

/// The order whose line is claimed.
fn order_of<'a>(line: &ReclamationLine, setting: &Setting<'a>) -> Option<&'a Priced> {
    let shipment = setting.shipment?;
    let shipped = shipment.lines.iter().find(|shipped| shipped.line_id == line.shipment_line_id)?;
    let order = fulfil::order_of(shipment, shipped);
    setting.orders.iter().find(|priced| priced.id.as_bytes() == order)
}

fn worth(line: &ReclamationLine, setting: &Setting<'_>) -> Result<i64, Rejection> {
    let Some(priced) = order_of(line, setting) else { return Ok(0) };
    let ordered = priced.order.lines.iter().find(|ordered| ordered.line_id == line.shipment_line_id);
    ordered.map_or(Ok(0), |ordered| order::worth(ordered, line.accepted_milli, priced.vat_included))
}

/// The customer gets what was accepted. `replacement` is the order that the command names.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`, `REASON_SETTLED_TOO_HIGH`, `REASON_MISMATCH`.
pub fn decide_settle(
    current: &Reclamation,
    replacement: Option<&Order>,
    command: &SettleClaim,
    actor: Actor,
) -> Result<Staged, Rejection> {
    let kind = settle_form(command)?;
    let settled = |reclamation, verdict| Staged { reclamation, claims: Claims::default(), verdict };
    if let Some(settlement) = &current.settlement {
        let own = ReclamationSettlement {
            settled_by_id: settlement.settled_by_id.clone(),
            settled_at_us: settlement.settled_at_us,
            ..settlement_of(command)
        };
        let same = own == *settlement;
        return if same { Ok(settled(current.clone(), Verdict::nothing_to_do())) } else { Err(wrong(current)) };
    }
    if is_undecided(current) || is_closed(current) {
        return Err(wrong(current));
    }
    let accepted_minor = current.decision.as_ref().map_or(0, |decision| decision.accepted_minor);
    if command.amount_minor > accepted_minor {
        let rejection = Rejection::new(Reason::SettledTooHigh).field("amount_minor");
        return Err(rejection.fact(None, "accepted_minor", accepted_minor));
    }
    if kind == SettlementKind::ReplacementOrder && replacement.is_none_or(|order| order.outlet_id != current.outlet_id)
    {
        return Err(check::mismatch("order_id"));
    }
    let mut reclamation = current.clone();
    enter(&mut reclamation, ReclamationState::Settled, actor.now_us);
    deadline::go_on(&mut reclamation, Due::default());
    reclamation.settlement = Some(ReclamationSettlement {
        settled_by_id: actor.by.as_bytes().to_vec(),
        settled_at_us: actor.now_us,
        ..settlement_of(command)
    });
    Ok(settled(reclamation, Verdict::done()))
}

fn settlement_of(command: &SettleClaim) -> ReclamationSettlement {
    ReclamationSettlement {
        kind: command.kind,
        amount_minor: command.amount_minor,
        reference: command.reference.clone(),
        order_id: command.order_id.clone(),
        ..ReclamationSettlement::default()
    }
}

fn settle_form(command: &SettleClaim) -> Result<SettlementKind, Rejection> {
    let kind: SettlementKind = check::choice(command.kind, "kind")?;
    check::text(&command.reference, check::NAME_CHARS, "reference")?;
    let order = check::optional_id(&command.order_id, "order_id")?;
    let amount_minor = match kind {
        SettlementKind::CreditNote | SettlementKind::Refund | SettlementKind::Advance => 1..=check::MONEY_MINOR,
        SettlementKind::ReplacementOrder | SettlementKind::PickUp | SettlementKind::Unspecified => 0..=0,
    };
    check::range(command.amount_minor, amount_minor, "amount_minor")?;
    match (kind == SettlementKind::ReplacementOrder, order) {
        (true, None) => Err(check::missing("order_id")),
        (false, Some(_)) => Err(check::out_of_range("order_id")),
        (true, Some(_)) | (false, None) => Ok(kind),
    }
}

#[cfg(test)]
mod tests;
