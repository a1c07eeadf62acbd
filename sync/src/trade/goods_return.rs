//! Goods that come back: what was not delivered, and what a customer gives back. No more of a line comes back than went out, in
//! however many returns.

use prost::Message;
use roundsman_proto::trade::{
    AnnounceReturn, AnnouncedReturnLine, CancelReturn, GoodsReturn, OrderLine, QuarantineDecision, Reason,
    ReceiveReturn, ReceivedReturnLine, Reclamation, ReleaseQuarantine, ReturnLine, ReturnOrigin, ReturnReason,
    ReturnState, Shipment, ShipmentLine, ShipmentState,
};
use uuid::Uuid;

use super::check;
use super::money;
use super::order::fulfil::{self, Mover, Ordered};
use super::order::worth;
use super::rejection::Rejection;
use super::stock::Available;
use super::verdict::Verdict;

/// The internal record `returned{shipment}`: what has come back of its lines, and what is to.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Returned {
    /// One for each line of which something has, in ascending order of the lines' ids.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<ReturnedLine>,
}

/// What has come back of one line of a shipment, in thousandths of the base unit.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ReturnedLine {
    /// The line of the shipment; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub shipment_line_id: Vec<u8>,
    /// What was not delivered, and came back.
    #[prost(sint64, tag = "2")]
    pub not_taken_milli: i64,
    /// What the customer had taken, and has given back.
    #[prost(sint64, tag = "3")]
    pub given_back_milli: i64,
    /// What the customer wants to give back, and has not come.
    #[prost(sint64, tag = "4")]
    pub announced_milli: i64,
}

impl Returned {
    /// What has come back of a line.
    #[must_use]
    pub fn of(&self, shipment_line_id: &[u8]) -> ReturnedLine {
        let known = self.lines.iter().find(|line| line.shipment_line_id == shipment_line_id);
        known.cloned().unwrap_or_default()
    }

    /// With a return as it is now; `before`, as it was counted.
    #[must_use]
    pub fn with(self, before: Option<&GoodsReturn>, now: &GoodsReturn) -> Self {
        let mut returned = match before {
            Some(before) => self.counting(before, -1),
            None => self,
        };
        returned = returned.counting(now, 1);
        returned.lines.retain(|line| (line.not_taken_milli, line.given_back_milli, line.announced_milli) != (0, 0, 0));
        returned
    }

    fn counting(mut self, goods_return: &GoodsReturn, sign: i64) -> Self {
        for line in &goods_return.lines {
            let known = |known: &ReturnedLine| known.shipment_line_id.as_slice().cmp(&line.shipment_line_id);
            let index = self.lines.binary_search_by(known).unwrap_or_else(|index| {
                let new = ReturnedLine { shipment_line_id: line.shipment_line_id.clone(), ..ReturnedLine::default() };
                self.lines.insert(index, new);
                index
            });
            let known = &mut self.lines[index];
            let (sum, quantity_milli) = match (goods_return.state(), goods_return.origin()) {
                (ReturnState::Announced, _) => (&mut known.announced_milli, line.announced_milli),
                (ReturnState::Received, ReturnOrigin::NotTaken) => (&mut known.not_taken_milli, came(line)),
                (ReturnState::Received, ReturnOrigin::GivenBack | ReturnOrigin::Unspecified) => {
                    (&mut known.given_back_milli, came(line))
                }
                (ReturnState::Cancelled | ReturnState::Unspecified, _) => continue,
            };
            *sum = sum.saturating_add(quantity_milli.saturating_mul(sign));
        }
        self
    }
}

/// What came of a line, in whatever condition.
#[must_use]
pub fn came(line: &ReturnLine) -> i64 {
    line.sellable_milli.saturating_add(quarantined(line))
}

/// What came of a line and is not fit to be sold.
#[must_use]
pub fn quarantined(line: &ReturnLine) -> i64 {
    line.damaged_milli.saturating_add(line.expired_milli)
}

/// Whether nothing will become of it any more.
#[must_use]
pub fn is_closed(goods_return: &GoodsReturn) -> bool {
    match goods_return.state() {
        ReturnState::Received | ReturnState::Cancelled => true,
        ReturnState::Announced | ReturnState::Unspecified => false,
    }
}

/// When it was reported last, in microseconds since the Unix epoch: when it was counted, or, as long as it was not, announced.
#[must_use]
pub fn reported_at_us(goods_return: &GoodsReturn) -> i64 {
    if goods_return.received_at_us == 0 { goods_return.announced_at_us } else { goods_return.received_at_us }
}

/// What a return is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The outlet; the survivor, if it was archived as a duplicate.
    pub outlet_id: Uuid,
    /// The shipment with which the goods had left.
    pub shipment: &'a Shipment,
    /// Its orders.
    pub orders: &'a [Ordered],
    /// What has come back of it, and what is to.
    pub returned: &'a Returned,
    /// The reclamation that the command names.
    pub reclamation: Option<&'a Reclamation>,
    /// Who reports it.
    pub mover: Mover,
}

/// What is to be stored of a return.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The return.
    pub goods_return: GoodsReturn,
    /// What has come back of its shipment now.
    pub returned: Returned,
    /// The outcome.
    pub verdict: Verdict,
}

impl Decision {
    fn unchanged(current: &GoodsReturn, returned: &Returned) -> Self {
        let (goods_return, returned) = (current.clone(), returned.clone());
        Self { goods_return, returned, verdict: Verdict::nothing_to_do() }
    }
}

/// How much of a line can come back: what went out that way and has not come back. `announced`: what is to come counts as well.
#[must_use]
pub fn returnable(
    shipment: &Shipment,
    line: &ShipmentLine,
    origin: ReturnOrigin,
    returned: &Returned,
    announced: bool,
) -> i64 {
    let known = returned.of(&line.line_id);
    let undelivered = line.loaded_milli.saturating_sub(line.delivered_milli);
    let (went, came) = match (shipment.state(), origin) {
        (
            ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused,
            ReturnOrigin::GivenBack,
        ) => {
            let to_come = if announced { known.announced_milli } else { 0 };
            (line.delivered_milli, known.given_back_milli.saturating_add(to_come))
        }
        (
            ShipmentState::Delivered
            | ShipmentState::PartlyDelivered
            | ShipmentState::Refused
            | ShipmentState::NotAttempted,
            ReturnOrigin::NotTaken,
        ) if shipment.trip_id.is_empty() => (undelivered, known.not_taken_milli),
        // What a vehicle brings back from a trip is counted with the trip.
        (_, ReturnOrigin::NotTaken) => (0, 0),
        (ShipmentState::NotAttempted, ReturnOrigin::GivenBack) => (0, 0),
        // While goods are inside or on their way there is nothing to come back.
        (ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking, _) => (0, 0),
        (ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Shipped, _) => (0, 0),
        (ShipmentState::Cancelled | ShipmentState::Unspecified, _) | (_, ReturnOrigin::Unspecified) => (0, 0),
    };
    went.saturating_sub(came).max(0)
}

fn too_much(line: &ShipmentLine, field: &str, returnable_milli: i64) -> Rejection {
    let about = Uuid::from_slice(&line.line_id).ok();
    let rejection = Rejection::new(Reason::ReturnExceedsDelivered).field(field);
    rejection.fact(about, "returnable_milli", returnable_milli)
}

fn wrong(current: &GoodsReturn) -> Rejection {
    Rejection::new(Reason::WrongState).fact(None, "state", current.state().as_str_name())
}

/// The line of the shipment that a command names.
fn line_of<'a>(shipment: &'a Shipment, id: &[u8]) -> Result<&'a ShipmentLine, Rejection> {
    check::id(id, "shipment_line_id")?;
    let found = shipment.lines.iter().find(|line| line.line_id == id);
    found.ok_or_else(|| check::mismatch("shipment_line_id"))
}

/// Refuses what names a line of the shipment twice, or nothing.
fn lines_form<'a>(ids: impl ExactSizeIterator<Item = &'a Vec<u8>>) -> Result<(), Rejection> {
    check::count(ids.len(), check::LINES, "lines")?;
    if ids.len() == 0 {
        return Err(check::missing("lines"));
    }
    check::unique(ids.filter_map(|id| Uuid::from_slice(id).ok()), "shipment_line_id")
}

fn reason_form(reason: ReturnReason, comment: &str) -> Result<(), Rejection> {
    match reason {
        ReturnReason::Other => check::required_text(comment, check::TEXT_CHARS, "comment"),
        ReturnReason::Unspecified | ReturnReason::Unsold | ReturnReason::Damaged | ReturnReason::Expired => Ok(()),
        ReturnReason::WrongProduct | ReturnReason::Quality => Ok(()),
    }
}

/// A return of the setting's shipment of which nothing has come yet.
fn new(origin: ReturnOrigin, setting: &Setting<'_>) -> GoodsReturn {
    let first = setting.orders.first().map(|ordered| &ordered.order);
    let mut goods_return = GoodsReturn {
        outlet_id: setting.outlet_id.as_bytes().to_vec(),
        customer_id: first.map(|order| order.customer_id.clone()).unwrap_or_default(),
        currency: first.map(|order| order.currency.clone()).unwrap_or_default(),
        ..GoodsReturn::default()
    };
    goods_return.set_origin(origin);
    goods_return
}

/// A customer wants to give goods back. `current` is the return of this id, if there is one.
///
/// # Errors
/// For its form; `REASON_RETURN_EXCEEDS_DELIVERED`, `REASON_MISMATCH`, `REASON_ID_TAKEN`.
pub fn decide_announce(
    current: Option<&GoodsReturn>,
    command: &AnnounceReturn,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    lines_form(command.lines.iter().map(|line| &line.shipment_line_id))?;
    let of_this = |claim: &Reclamation| claim.shipment_id == command.shipment_id;
    if !command.reclamation_id.is_empty() && !setting.reclamation.is_some_and(of_this) {
        return Err(check::mismatch("reclamation_id"));
    }
    let mut lines = Vec::with_capacity(command.lines.len());
    for (index, line) in command.lines.iter().enumerate() {
        lines.push(announced(line, &command.comment, setting.shipment).map_err(check::at("lines", index))?);
    }
    let mut goods_return = GoodsReturn {
        shipment_id: command.shipment_id.clone(),
        reclamation_id: command.reclamation_id.clone(),
        comment: command.comment.clone(),
        announced_at_us: setting.mover.now_us,
        lines,
        ..new(ReturnOrigin::GivenBack, setting)
    };
    goods_return.set_state(ReturnState::Announced);
    if let Some(current) = current {
        let same = current.announced_at_us != 0
            && current.shipment_id == goods_return.shipment_id
            && current.reclamation_id == goods_return.reclamation_id
            && announcement(current) == announcement(&goods_return);
        return if same {
            Ok(Decision::unchanged(current, setting.returned))
        } else {
            Err(Rejection::new(Reason::IdTaken).field("return_id"))
        };
    }
    for (index, line) in goods_return.lines.iter().enumerate() {
        let shipped = line_of(setting.shipment, &line.shipment_line_id)?;
        let most = returnable(setting.shipment, shipped, ReturnOrigin::GivenBack, setting.returned, true);
        if line.announced_milli > most {
            return Err(check::at("lines", index)(too_much(shipped, "quantity_milli", most)));
        }
    }
    let returned = setting.returned.clone().with(None, &goods_return);
    Ok(Decision { goods_return, returned, verdict: Verdict::done() })
}

/// What was announced, line by line.
fn announcement(goods_return: &GoodsReturn) -> Vec<(&[u8], i64)> {
    let lines = goods_return.lines.iter().filter(|line| line.announced_milli > 0);
    lines.map(|line| (line.shipment_line_id.as_slice(), line.announced_milli)).collect()
}

fn announced(line: &AnnouncedReturnLine, comment: &str, shipment: &Shipment) -> Result<ReturnLine, Rejection> {
    let shipped = line_of(shipment, &line.shipment_line_id)?;
    check::quantity(line.quantity_milli, "quantity_milli")?;
    let reason: ReturnReason = check::choice(line.reason, "reason")?;
    reason_form(reason, comment)?;
    Ok(ReturnLine {
        shipment_line_id: line.shipment_line_id.clone(),
        product_id: shipped.product_id.clone(),
        announced_milli: line.quantity_milli,
        reason: reason.into(),
        ..ReturnLine::default()
    })
}

/// Goods have come back into a warehouse. `current` is the return of this id, if there is one.
///
/// # Errors
/// For its form; `REASON_RETURN_EXCEEDS_DELIVERED`, `REASON_WRONG_STATE`, `REASON_MISMATCH`, `REASON_ID_TAKEN`.
pub fn decide_receive(
    current: Option<&GoodsReturn>,
    command: &ReceiveReturn,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    lines_form(command.lines.iter().map(|line| &line.shipment_line_id))?;
    let mut goods_return = begun(current, command, setting)?;
    for (index, line) in command.lines.iter().enumerate() {
        count(&mut goods_return, line, command, setting).map_err(check::at("lines", index))?;
    }
    let warehouse_id = if command.warehouse_id.is_empty() {
        setting.shipment.warehouse_id.clone()
    } else {
        command.warehouse_id.clone()
    };
    if let Some(current) = current.filter(|current| is_closed(current)) {
        let same = current.state() == ReturnState::Received
            && current.warehouse_id == warehouse_id
            && counted(current) == counted(&goods_return);
        return if same { Ok(Decision::unchanged(current, setting.returned)) } else { Err(wrong(current)) };
    }
    goods_return.warehouse_id = warehouse_id;
    goods_return.set_state(ReturnState::Received);
    goods_return.received_at_us = setting.mover.now_us;
    goods_return.received_by_id = setting.mover.by.as_bytes().to_vec();
    if !command.comment.is_empty() {
        goods_return.comment.clone_from(&command.comment);
    }
    judge(&mut goods_return, command, setting)?;
    let returned = setting.returned.clone().with(current, &goods_return);
    let verdict = Verdict::done().fact(None, "value_minor", goods_return.value_minor);
    Ok(Decision { goods_return, returned, verdict })
}

/// The return as it was before anything of it was counted.
fn begun(
    current: Option<&GoodsReturn>,
    command: &ReceiveReturn,
    setting: &Setting<'_>,
) -> Result<GoodsReturn, Rejection> {
    let Some(current) = current else {
        let origin: ReturnOrigin = check::choice(command.origin, "origin")?;
        return Ok(GoodsReturn { shipment_id: command.shipment_id.clone(), ..new(origin, setting) });
    };
    if current.shipment_id != command.shipment_id {
        return Err(Rejection::new(Reason::IdTaken).field("return_id"));
    }
    let origin: ReturnOrigin = check::optional_choice(command.origin, "origin")?;
    if origin != ReturnOrigin::Unspecified && origin != current.origin() {
        return Err(check::mismatch("origin"));
    }
    let mut begun = current.clone();
    for line in &mut begun.lines {
        (line.sellable_milli, line.damaged_milli, line.expired_milli, line.value_minor) = (0, 0, 0, 0);
    }
    Ok(begun)
}

/// So much of a line was counted.
fn count(
    goods_return: &mut GoodsReturn,
    told: &ReceivedReturnLine,
    command: &ReceiveReturn,
    setting: &Setting<'_>,
) -> Result<(), Rejection> {
    let shipped = line_of(setting.shipment, &told.shipment_line_id)?;
    for (quantity_milli, field) in [
        (told.sellable_milli, "sellable_milli"),
        (told.damaged_milli, "damaged_milli"),
        (told.expired_milli, "expired_milli"),
    ] {
        check::range(quantity_milli, 0..=check::QUANTITY_MILLI, field)?;
    }
    let reason: ReturnReason = check::optional_choice(told.reason, "reason")?;
    reason_form(reason, &command.comment)?;
    let given_back = goods_return.origin() == ReturnOrigin::GivenBack;
    let index = match goods_return.lines.iter().position(|line| line.shipment_line_id == told.shipment_line_id) {
        Some(index) => index,
        None if given_back && reason == ReturnReason::Unspecified => return Err(check::missing("reason")),
        None => {
            goods_return.lines.push(ReturnLine {
                shipment_line_id: told.shipment_line_id.clone(),
                product_id: shipped.product_id.clone(),
                ..ReturnLine::default()
            });
            goods_return.lines.len() - 1
        }
    };
    let line = &mut goods_return.lines[index];
    line.sellable_milli = told.sellable_milli;
    line.damaged_milli = told.damaged_milli;
    line.expired_milli = told.expired_milli;
    if reason != ReturnReason::Unspecified {
        line.set_reason(reason);
    }
    Ok(())
}

/// What was counted, by line: what is nothing is left out.
fn counted(goods_return: &GoodsReturn) -> Vec<(&[u8], [i64; 3])> {
    let of = |line: &ReturnLine| [line.sellable_milli, line.damaged_milli, line.expired_milli];
    let came = goods_return.lines.iter().filter(|line| of(line) != [0; 3]);
    let mut counted: Vec<_> = came.map(|line| (line.shipment_line_id.as_slice(), of(line))).collect();
    counted.sort_unstable();
    counted
}

/// Refuses what can't have come back, and says what it is worth, under which contract.
fn judge(goods_return: &mut GoodsReturn, command: &ReceiveReturn, setting: &Setting<'_>) -> Result<(), Rejection> {
    let (shipment, origin) = (setting.shipment, goods_return.origin());
    let mut contracts: Vec<&[u8]> = Vec::new();
    for line in &mut goods_return.lines {
        let shipped = line_of(shipment, &line.shipment_line_id)?;
        let most = returnable(shipment, shipped, origin, setting.returned, false);
        if came(line) > most {
            let index = command.lines.iter().position(|told| told.shipment_line_id == line.shipment_line_id);
            return Err(check::at("lines", index.unwrap_or_default())(too_much(shipped, "sellable_milli", most)));
        }
        let order = fulfil::order_of(shipment, shipped);
        let Some(of) = setting.orders.iter().find(|of| of.id.as_bytes() == order) else { continue };
        contracts.push(&of.order.contract_id);
        let ordered = of.order.lines.iter().find(|ordered| ordered.line_id == line.shipment_line_id);
        if let Some(ordered) = ordered.filter(|_| origin == ReturnOrigin::GivenBack) {
            let before_milli = setting.returned.of(&line.shipment_line_id).given_back_milli;
            line.value_minor = value(ordered, (before_milli, came(line)), of.vat_included)?;
        }
    }
    contracts.dedup();
    if let [one] = contracts.as_slice() {
        goods_return.contract_id = one.to_vec();
    }
    goods_return.value_minor = money::total(goods_return.lines.iter().map(|line| line.value_minor))?;
    Ok(())
}

/// What a part of a line is worth when some of it was worth something before: all parts together are worth what the whole is.
fn value(line: &OrderLine, (before_milli, milli): (i64, i64), vat_included: bool) -> Result<i64, Rejection> {
    let before_minor = worth(line, before_milli, vat_included)?;
    Ok(worth(line, before_milli.saturating_add(milli), vat_included)?.saturating_sub(before_minor))
}

/// Announced goods do not come back.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE`.
pub fn decide_cancel(
    current: &GoodsReturn,
    command: &CancelReturn,
    returned: &Returned,
) -> Result<Decision, Rejection> {
    check::required_text(&command.reason, check::TEXT_CHARS, "reason")?;
    if is_closed(current) {
        return Err(wrong(current));
    }
    let mut goods_return = current.clone();
    goods_return.set_state(ReturnState::Cancelled);
    goods_return.comment.clone_from(&command.reason);
    let returned = returned.clone().with(Some(current), &goods_return);
    Ok(Decision { goods_return, returned, verdict: Verdict::done() })
}

/// What is in quarantine is sold after all, or written off.
///
/// # Errors
/// For its form; `REASON_QUARANTINE_EXCEEDED`.
pub fn decide_release(current: Available, command: &ReleaseQuarantine) -> Result<Available, Rejection> {
    check::quantity(command.quantity_milli, "quantity_milli")?;
    let to_stock = match check::choice(command.decision, "decision")? {
        QuarantineDecision::ToStock => true,
        QuarantineDecision::WrittenOff | QuarantineDecision::Unspecified => false,
    };
    if command.quantity_milli > current.quarantined_milli {
        let rejection = Rejection::new(Reason::QuarantineExceeded).field("quantity_milli");
        return Err(rejection.fact(None, "quarantined_milli", current.quarantined_milli));
    }
    Ok(current.came_back(if to_stock { command.quantity_milli } else { 0 }, -command.quantity_milli))
}

#[cfg(test)]
mod tests;
