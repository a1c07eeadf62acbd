//! Reclamations: a customer's complaint, compared with what was delivered and what was claimed before. A claim is never
//! refused for its arithmetic: it is registered, and somebody looks at it.

pub mod cause;
pub mod deadline;
pub mod stages;

use prost::Message;
use roundsman_proto::trade::{
    ClaimLine, FileClaim, Order, Reason, Reclamation, ReclamationCause, ReclamationLine, ReclamationState, Shipment,
    ShipmentLine,
};
use uuid::Uuid;

use super::capture::Capture;
use super::check;
use super::order::fulfil::{Ordered, order_of};
use super::rejection::Rejection;
use super::verdict::Verdict;
use cause::{Chosen, Terms};
use deadline::Due;

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// The internal record `claims{shipment}`: what was claimed of its lines.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Claims {
    /// One for each line of the shipment that was claimed, in the order of the first claims.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<ClaimedLine>,
}

/// What was claimed of one line of a shipment.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ClaimedLine {
    /// The line of the shipment; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub shipment_line_id: Vec<u8>,
    /// The sum of all claims, in thousandths of the base unit.
    #[prost(sint64, tag = "2")]
    pub claimed_milli: i64,
    /// The first reclamation of it; 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub first_reclamation_id: Vec<u8>,
    /// What was accepted of it, by all decisions.
    #[prost(sint64, tag = "4")]
    pub accepted_milli: i64,
    /// Of that, what was accepted as not delivered (`RECLAMATION_CAUSE_DELIVERY_DISCREPANCY`).
    #[prost(sint64, tag = "5")]
    pub accepted_missing_milli: i64,
}

impl Claims {
    fn of(&self, shipment_line_id: &[u8]) -> Option<&ClaimedLine> {
        self.lines.iter().find(|line| line.shipment_line_id == shipment_line_id)
    }

    /// What was claimed of a line so far.
    #[must_use]
    pub fn claimed_milli(&self, shipment_line_id: &[u8]) -> i64 {
        self.of(shipment_line_id).map_or(0, |line| line.claimed_milli)
    }

    /// What was accepted of a line so far, and what of that as not delivered.
    #[must_use]
    pub fn accepted_milli(&self, shipment_line_id: &[u8]) -> (i64, i64) {
        self.of(shipment_line_id).map_or((0, 0), |line| (line.accepted_milli, line.accepted_missing_milli))
    }

    /// With what was accepted of lines that were counted before.
    #[must_use]
    pub fn accepting(mut self, cause: ReclamationCause, lines: &[ReclamationLine]) -> Self {
        for line in lines {
            let known = self.lines.iter_mut().find(|known| known.shipment_line_id == line.shipment_line_id);
            if let Some(known) = known {
                known.accepted_milli = known.accepted_milli.saturating_add(line.accepted_milli);
                if cause == ReclamationCause::DeliveryDiscrepancy {
                    known.accepted_missing_milli = known.accepted_missing_milli.saturating_add(line.accepted_milli);
                }
            }
        }
        self
    }

    /// With the lines of one reclamation more.
    #[must_use]
    pub fn with(mut self, reclamation: Uuid, lines: &[ReclamationLine]) -> Self {
        for line in lines.iter().filter(|line| !line.shipment_line_id.is_empty()) {
            let known = self.lines.iter_mut().find(|known| known.shipment_line_id == line.shipment_line_id);
            match known {
                Some(known) => known.claimed_milli = known.claimed_milli.saturating_add(line.claimed_milli),
                None => self.lines.push(ClaimedLine {
                    shipment_line_id: line.shipment_line_id.clone(),
                    claimed_milli: line.claimed_milli,
                    first_reclamation_id: reclamation.as_bytes().to_vec(),
                    ..ClaimedLine::default()
                }),
            }
        }
        self
    }

    /// The reclamation to which one about these lines belongs (C25); empty: it is the first.
    fn case(&self, lines: &[ReclamationLine]) -> Vec<u8> {
        let first = lines.iter().find_map(|line| self.of(&line.shipment_line_id));
        first.map_or_else(Vec::new, |line| line.first_reclamation_id.clone())
    }
}

/// What a claim is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The outlet; the survivor, if it was archived as a duplicate.
    pub outlet_id: Uuid,
    /// The outlet's customer.
    pub customer_id: Option<Uuid>,
    /// The rep who files it; `None`: the office.
    pub rep_id: Option<Uuid>,
    /// The order that the command names.
    pub order: Option<&'a Order>,
    /// The shipment that the command names.
    pub shipment: Option<&'a Shipment>,
    /// What was claimed of that shipment before.
    pub claims: &'a Claims,
    /// How the command was captured.
    pub capture: &'a Capture,
    /// The cause that the command names.
    pub chosen: &'a Chosen,
    /// What follows from the cause.
    pub terms: &'a Terms,
    /// By when it is to be decided.
    pub due: Due,
}

/// What is to be stored of a reclamation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The reclamation.
    pub reclamation: Reclamation,
    /// What is claimed of its shipment now.
    pub claims: Claims,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a claim.
///
/// # Errors
/// For its form.
pub fn file_form(command: &FileClaim) -> Result<(), Rejection> {
    check::id(&command.reclamation_id, "reclamation_id")?;
    check::id(&command.outlet_id, "outlet_id")?;
    check::optional_id(&command.order_id, "order_id")?;
    check::optional_id(&command.shipment_id, "shipment_id")?;
    if check::optional_id(&command.cause_id, "cause_id")?.is_some() {
        check::optional_choice::<ReclamationCause>(command.cause, "cause")?;
    } else {
        check::choice::<ReclamationCause>(command.cause, "cause")?;
    }
    check::text(&command.text, check::TEXT_CHARS, "text")?;
    if command.lines.is_empty() {
        return Err(check::missing("lines"));
    }
    check::count(command.lines.len(), check::LINES, "lines")?;
    let mut ids = Vec::with_capacity(command.lines.len());
    for (index, line) in command.lines.iter().enumerate() {
        ids.push(line_form(line).map_err(check::at("lines", index))?);
    }
    check::unique(ids, "line_id")
}

fn line_form(line: &ClaimLine) -> Result<Uuid, Rejection> {
    check::id(&line.product_id, "product_id")?;
    check::optional_id(&line.shipment_line_id, "shipment_line_id")?;
    check::quantity(line.claimed_milli, "claimed_milli")?;
    check::text(&line.text, check::TEXT_CHARS, "text")?;
    check::id(&line.line_id, "line_id")
}

/// A complaint is filed (C24, C25). `current` is the reclamation of this id, if there is one.
///
/// # Errors
/// For its form; `REASON_MISMATCH`, `REASON_ID_TAKEN`, and what [`Chosen::check`] says.
pub fn decide_file(
    current: Option<&Reclamation>,
    command: &FileClaim,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    file_form(command)?;
    let id = check::id(&command.reclamation_id, "reclamation_id")?;
    belongs(command, setting)?;
    counts_as(command, setting.terms)?;
    let mut ahead = setting.claims.clone();
    let mut lines = Vec::with_capacity(command.lines.len());
    for (index, line) in command.lines.iter().enumerate() {
        let line = compared(line, setting.shipment, &ahead).map_err(check::at("lines", index))?;
        ahead = ahead.with(id, std::slice::from_ref(&line));
        lines.push(line);
    }
    let reasons = review_reasons(&lines, setting);
    let order_id = match setting.shipment {
        Some(shipment) => order_of_lines(shipment, lines.iter().map(|line| line.shipment_line_id.as_slice())),
        None => command.order_id.clone(),
    };
    let mut reclamation = Reclamation {
        outlet_id: setting.outlet_id.as_bytes().to_vec(),
        customer_id: check::bytes(setting.customer_id),
        rep_id: check::bytes(setting.rep_id),
        order_id,
        shipment_id: command.shipment_id.clone(),
        cause: setting.terms.cause.into(),
        cause_id: command.cause_id.clone(),
        department: setting.terms.department.clone(),
        state: ReclamationState::Registered.into(),
        text: command.text.clone(),
        review_reasons: reasons.iter().map(|reason| i32::from(*reason)).collect(),
        filed_at_us: setting.capture.captured_at_us,
        case_reclamation_id: setting.claims.case(&lines),
        flags: setting.capture.fact_flags(),
        lines,
        ..Reclamation::default()
    };
    if let Some(current) = current {
        return if same_content(current, &reclamation) {
            let (reclamation, claims) = (current.clone(), setting.claims.clone());
            Ok(Decision { reclamation, claims, verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("reclamation_id"))
        };
    }
    setting.chosen.check(setting.capture.business_day)?;
    deadline::open(&mut reclamation, setting.terms.days, setting.due);
    let verdict = match reasons.first() {
        Some(reason) => with_arithmetic(Verdict::held(*reason), &reclamation, setting),
        None => Verdict::fact_taken(!reclamation.flags.is_empty()),
    };
    Ok(Decision { reclamation, claims: ahead, verdict })
}

/// The order that these lines of a shipment are of: where they are of several, or unknown, the shipment's first.
fn order_of_lines<'a>(shipment: &Shipment, lines: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let of = |id: &[u8]| shipment.lines.iter().find(|line| line.line_id == id).map(|line| order_of(shipment, line));
    let mut orders: Vec<&[u8]> = lines.filter_map(of).collect();
    orders.dedup();
    match orders.as_slice() {
        [one] => one.to_vec(),
        _ => shipment.order_id.clone(),
    }
}

/// Whether the claim says of its cause what that is.
fn counts_as(command: &FileClaim, terms: &Terms) -> Result<(), Rejection> {
    if command.cause() != ReclamationCause::Unspecified && command.cause() != terms.cause {
        return Err(check::mismatch("cause"));
    }
    match terms.cause {
        ReclamationCause::Other => check::required_text(&command.text, check::TEXT_CHARS, "text"),
        ReclamationCause::DeliveryDiscrepancy | ReclamationCause::Damaged | ReclamationCause::Quality => Ok(()),
        ReclamationCause::Expired | ReclamationCause::Price | ReclamationCause::Papers => Ok(()),
        ReclamationCause::Unspecified => Ok(()),
    }
}

fn belongs(command: &FileClaim, setting: &Setting<'_>) -> Result<(), Rejection> {
    // Of what is elsewhere not even that it is there is told.
    let outlet = setting.outlet_id.as_bytes();
    if !command.order_id.is_empty() && setting.order.is_none_or(|order| order.outlet_id != outlet) {
        return Err(check::mismatch("order_id"));
    }
    let of_order = |shipment: &Shipment| {
        let is_of = |line: &ShipmentLine| order_of(shipment, line) == command.order_id;
        command.order_id.is_empty() || shipment.order_id == command.order_id || shipment.lines.iter().any(is_of)
    };
    let is_here = |shipment: &Shipment| shipment.outlet_id == outlet && of_order(shipment);
    if !command.shipment_id.is_empty() && !setting.shipment.is_some_and(is_here) {
        return Err(check::mismatch("shipment_id"));
    }
    Ok(())
}

/// A line, with what the line of the shipment delivered and what was claimed of it before.
fn compared(line: &ClaimLine, shipment: Option<&Shipment>, claims: &Claims) -> Result<ReclamationLine, Rejection> {
    let mut new = ReclamationLine {
        line_id: line.line_id.clone(),
        product_id: line.product_id.clone(),
        shipment_line_id: line.shipment_line_id.clone(),
        claimed_milli: line.claimed_milli,
        text: line.text.clone(),
        ..ReclamationLine::default()
    };
    if !line.shipment_line_id.is_empty() {
        let lines = shipment.map_or(&[][..], |shipment| &shipment.lines[..]);
        let shipped = lines.iter().find(|shipped| shipped.line_id == line.shipment_line_id);
        let shipped = shipped.filter(|shipped| shipped.product_id == line.product_id);
        new.delivered_milli = shipped.ok_or_else(|| check::mismatch("shipment_line_id"))?.delivered_milli;
        new.already_claimed_milli = claims.claimed_milli(&line.shipment_line_id);
    }
    Ok(new)
}

fn review_reasons(lines: &[ReclamationLine], setting: &Setting<'_>) -> Vec<Reason> {
    let linked = |line: &ReclamationLine| !line.shipment_line_id.is_empty();
    let exceeds = |line: &ReclamationLine| {
        let left = i128::from(line.delivered_milli) - i128::from(line.already_claimed_milli);
        linked(line) && i128::from(line.claimed_milli) > left
    };
    let deadline_us = i64::from(setting.terms.file_within_days) * DAY_US;
    let delivered_at_us = setting.shipment.map_or(0, |shipment| shipment.delivered_at_us);
    let late = delivered_at_us != 0 && setting.capture.captured_at_us > delivered_at_us.saturating_add(deadline_us);
    let found = [
        (!lines.iter().all(linked), Reason::ClaimUnlinked),
        (lines.iter().any(exceeds), Reason::ClaimExceedsDelivered),
        (late, Reason::ClaimTooLate),
    ];
    found.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect()
}

fn with_arithmetic(verdict: Verdict, reclamation: &Reclamation, setting: &Setting<'_>) -> Verdict {
    let delivered_at_us = setting.shipment.map_or(0, |shipment| shipment.delivered_at_us);
    let verdict = verdict.fact(None, "delivered_at_us", delivered_at_us);
    reclamation.lines.iter().fold(verdict, |verdict, line| {
        let line_id = Uuid::from_slice(&line.line_id).ok();
        verdict
            .fact(line_id, "claimed_milli", line.claimed_milli)
            .fact(line_id, "delivered_milli", line.delivered_milli)
            .fact(line_id, "already_claimed_milli", line.already_claimed_milli)
    })
}

/// Whether a reclamation says what the one that is filed says, whatever the server has added.
fn same_content(current: &Reclamation, new: &Reclamation) -> bool {
    let line = |line: &ReclamationLine| ReclamationLine {
        delivered_milli: 0,
        already_claimed_milli: 0,
        accepted_milli: 0,
        accepted_minor: 0,
        ..line.clone()
    };
    let own = |reclamation: &Reclamation| Reclamation {
        // What a named cause counts as may have changed since.
        cause: if reclamation.cause_id.is_empty() { reclamation.cause } else { 0 },
        customer_id: Vec::new(),
        order_id: Vec::new(),
        state: 0,
        review_reasons: Vec::new(),
        filed_at_us: 0,
        case_reclamation_id: Vec::new(),
        flags: Vec::new(),
        department: String::new(),
        stage_since_us: 0,
        decide_within_days: 0,
        settle_within_days: 0,
        due_day: 0,
        due_at_us: 0,
        escalates_at_us: 0,
        escalation_level: 0,
        escalated_at_us: 0,
        escalated_team_id: Vec::new(),
        review_note: String::new(),
        decision: None,
        settlement: None,
        lines: reclamation.lines.iter().map(line).collect(),
        ..reclamation.clone()
    };
    own(current) == own(new)
}

/// The reclamation that the server opens for a delivery that fell short (C23): one line for each line of which less was
/// delivered than loaded, under that line's id. `None`: nothing is short.
#[must_use]
pub fn for_short_delivery(
    shipment_id: Uuid,
    shipment: &Shipment,
    orders: &[Ordered],
    claims: &Claims,
    now_us: i64,
) -> Option<Reclamation> {
    let short = shipment.lines.iter().filter(|line| line.delivered_milli < line.loaded_milli);
    let lines: Vec<ReclamationLine> = short
        .map(|line| ReclamationLine {
            line_id: line.line_id.clone(),
            product_id: line.product_id.clone(),
            shipment_line_id: line.line_id.clone(),
            claimed_milli: line.loaded_milli.saturating_sub(line.delivered_milli),
            delivered_milli: line.delivered_milli,
            already_claimed_milli: claims.claimed_milli(&line.line_id),
            ..ReclamationLine::default()
        })
        .collect();
    (!lines.is_empty()).then(|| Reclamation {
        outlet_id: shipment.outlet_id.clone(),
        customer_id: orders.first().map(|of| of.order.customer_id.clone()).unwrap_or_default(),
        order_id: order_of_lines(shipment, lines.iter().map(|line| line.shipment_line_id.as_slice())),
        shipment_id: shipment_id.as_bytes().to_vec(),
        cause: ReclamationCause::DeliveryDiscrepancy.into(),
        state: ReclamationState::Registered.into(),
        filed_at_us: now_us,
        case_reclamation_id: claims.case(&lines),
        lines,
        ..Reclamation::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::sync::Status;
    use roundsman_proto::trade::{ClaimCause, ShortageRule};

    use super::deadline::StageDays;

    const OUTLET: Uuid = Uuid::from_u128(1);
    const CLAIM: Uuid = Uuid::from_u128(2);

    fn id(number: u8) -> Vec<u8> {
        vec![number; 16]
    }

    fn shipment(delivered: i64) -> Shipment {
        let line = ShipmentLine {
            line_id: id(10),
            product_id: id(20),
            loaded_milli: 5_000,
            delivered_milli: delivered,
            ..ShipmentLine::default()
        };
        Shipment {
            order_id: id(30),
            outlet_id: OUTLET.as_bytes().to_vec(),
            delivered_at_us: DAY_US,
            lines: vec![line],
            ..Shipment::default()
        }
    }

    fn command(claimed: &[i64]) -> FileClaim {
        let lines = claimed.iter().zip(50..).map(|(claimed_milli, number)| ClaimLine {
            line_id: id(number),
            product_id: id(20),
            shipment_line_id: id(10),
            claimed_milli: *claimed_milli,
            text: String::new(),
        });
        FileClaim {
            reclamation_id: CLAIM.as_bytes().to_vec(),
            outlet_id: OUTLET.as_bytes().to_vec(),
            shipment_id: id(40),
            cause: ReclamationCause::Damaged.into(),
            lines: lines.collect(),
            ..FileClaim::default()
        }
    }

    fn file(command: &FileClaim, shipment: &Shipment, claims: &Claims, day: i64) -> Result<Decision, Rejection> {
        let capture = Capture { captured_at_us: day * DAY_US, ..Capture::default() };
        let shipment = (!command.shipment_id.is_empty()).then_some(shipment);
        filed(command, (shipment, claims, &capture), &Chosen::default())
    }

    fn filed(
        command: &FileClaim,
        (shipment, claims, capture): (Option<&Shipment>, &Claims, &Capture),
        chosen: &Chosen,
    ) -> Result<Decision, Rejection> {
        let (outlet_id, customer_id, rep_id, order) = (OUTLET, None, None, None);
        let terms = &chosen.terms(command.cause(), StageDays { decide: 5, settle: 6 });
        let due = Due { day: 9, at_us: 10 * DAY_US };
        decide_file(
            None,
            command,
            &Setting { outlet_id, customer_id, rep_id, order, shipment, claims, capture, chosen, terms, due },
        )
    }

    fn held(decision: &Decision) -> (Status, Reason) {
        (decision.verdict.status, decision.verdict.reason)
    }

    #[test]
    fn c24_more_than_was_delivered_is_looked_at() {
        let first = file(&command(&[3_000]), &shipment(5_000), &Claims::default(), 2).expect("registered");
        assert_eq!((first.verdict.clone(), first.reclamation.order_id.clone()), (Verdict::done(), id(30)));
        let second = file(&command(&[2_000, 1]), &shipment(5_000), &first.claims, 2).expect("registered");
        assert_eq!(held(&second), (Status::Held, Reason::ClaimExceedsDelivered));
        let line = &second.reclamation.lines[1];
        assert_eq!((line.claimed_milli, line.delivered_milli, line.already_claimed_milli), (1, 5_000, 5_000));
        assert_eq!(second.claims.claimed_milli(&id(10)), 5_001);
    }

    #[test]
    fn a_claim_is_to_be_decided_in_time_by_whom_its_cause_names() {
        let cause = ClaimCause {
            cause: ReclamationCause::Quality.into(),
            department: "lab".to_owned(),
            ..ClaimCause::default()
        };
        let chosen = Chosen { line: vec![cause], is_group: false };
        let capture = Capture { captured_at_us: 9 * DAY_US, business_day: 9, ..Capture::default() };
        let shipment = shipment(5_000);
        let file = |command: &FileClaim, chosen: &Chosen| {
            filed(command, (Some(&shipment), &Claims::default(), &capture), chosen)
        };
        let named = FileClaim { cause: 0, cause_id: id(70), ..command(&[1]) };
        let Decision { reclamation, verdict, .. } = file(&named, &chosen).expect("in time");
        assert_eq!((verdict, reclamation.cause()), (Verdict::done(), ReclamationCause::Quality));
        assert_eq!((reclamation.department.as_str(), reclamation.cause_id), ("lab", id(70)));
        assert_eq!((reclamation.due_day, reclamation.escalates_at_us), (9, 10 * DAY_US));
        assert_eq!((reclamation.decide_within_days, reclamation.settle_within_days), (5, 6));
        let contradicts = FileClaim { cause: ReclamationCause::Price.into(), ..named.clone() };
        assert_eq!(file(&contradicts, &chosen).expect_err("refused").field, "cause");
        let group = Chosen { is_group: true, ..chosen };
        assert_eq!(file(&named, &group).expect_err("refused").reason, Reason::CauseIsGroup);
    }

    #[test]
    fn c24_how_late_is_too_late_the_cause_says() {
        let file = |within, day| {
            let cause = ClaimCause {
                cause: ReclamationCause::Damaged.into(),
                file_within_days: within,
                ..ClaimCause::default()
            };
            let chosen = Chosen { line: vec![cause], is_group: false };
            let capture = Capture { captured_at_us: day * DAY_US, ..Capture::default() };
            let named = FileClaim { cause: 0, cause_id: id(70), ..command(&[1]) };
            let filed = filed(&named, (Some(&shipment(5_000)), &Claims::default(), &capture), &chosen);
            filed.expect("registered").verdict.reason
        };
        assert_eq!([file(0, 4), file(0, 5)], [Reason::Unspecified, Reason::ClaimTooLate]);
        assert_eq!(
            [file(1, 2), file(1, 3), file(9, 10)],
            [Reason::Unspecified, Reason::ClaimTooLate, Reason::Unspecified]
        );
    }

    #[test]
    fn c24_too_late_or_unlinked_is_looked_at() {
        let late = file(&command(&[1]), &shipment(5_000), &Claims::default(), 5).expect("registered");
        assert_eq!(held(&late), (Status::Held, Reason::ClaimTooLate));
        let mut alone = command(&[1]);
        alone.shipment_id.clear();
        alone.lines[0].shipment_line_id.clear();
        let alone = file(&alone, &shipment(0), &Claims::default(), 2).expect("registered");
        assert_eq!(held(&alone), (Status::Held, Reason::ClaimUnlinked));
    }

    #[test]
    fn c25_reports_of_the_same_line_are_one_case() {
        let first = file(&command(&[1]), &shipment(5_000), &Claims::default(), 2).expect("registered");
        assert!(first.reclamation.case_reclamation_id.is_empty());
        let second = file(&command(&[1]), &shipment(5_000), &first.claims, 2).expect("registered");
        assert_eq!(second.reclamation.case_reclamation_id, CLAIM.as_bytes());
    }

    #[test]
    fn c23_a_short_delivery_opens_a_reclamation() {
        let order = Order { customer_id: id(60), ..Order::default() };
        let orders = [Ordered { id: Uuid::nil(), order, vat_included: true, shortage_rule: ShortageRule::ConfirmPart }];
        let short = |delivered| for_short_delivery(Uuid::nil(), &shipment(delivered), &orders, &Claims::default(), 9);
        assert_eq!(short(5_000), None);
        let opened = short(3_000).expect("short");
        assert_eq!((opened.cause(), opened.customer_id), (ReclamationCause::DeliveryDiscrepancy, id(60)));
        assert_eq!((opened.lines[0].claimed_milli, &opened.lines[0].line_id), (2_000, &id(10)));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let field =
            |command: &FileClaim| file(command, &shipment(1), &Claims::default(), 1).expect_err("refused").field;
        let mut other = command(&[1]);
        other.lines[0].product_id = id(21);
        assert_eq!(field(&other), "shipment_line_id");
        assert_eq!(field(&FileClaim { order_id: id(31), ..command(&[1]) }), "order_id");
        assert_eq!(field(&FileClaim { cause: ReclamationCause::Other.into(), ..command(&[1]) }), "text");
        assert_eq!(field(&command(&[])), "lines");
        assert_eq!(field(&command(&[0])), "claimed_milli");
    }

    proptest! {
        #[test]
        fn no_claim_is_lost_and_none_panics(claimed in proptest::collection::vec(1..1_000_000_i64, 1..5), delivered in any::<i64>(), before in any::<i64>()) {
            let line = ReclamationLine { shipment_line_id: id(10), claimed_milli: before, ..ReclamationLine::default() };
            let claims = Claims::default().with(Uuid::nil(), &[line]);
            let decision = file(&command(&claimed), &shipment(delivered), &claims, 1).expect("registered");
            let total = claimed.iter().fold(before, |sum, claimed| sum.saturating_add(*claimed));
            prop_assert_eq!(decision.claims.claimed_milli(&id(10)), total);
            let exceeds = i128::from(before) + claimed.iter().map(|claimed| i128::from(*claimed)).sum::<i128>() > i128::from(delivered);
            prop_assert!(!exceeds || decision.verdict.status == Status::Held || total == i64::MAX);
        }
    }
}
