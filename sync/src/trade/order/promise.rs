//! The ledger of promises. What a confirmed order says is promised to the customer: quantity, price and day, by whoever has
//! confirmed it. Whatever takes something of that away is written down beside the order, with what was promised, and whose will
//! it was: a promise that the customer has changed is changed, any other one is broken.

use roundsman_proto::trade::{LineDifference, Order, OrderLine, OrderStatus, PastPromise, PromiseOutcome};
use uuid::Uuid;

use crate::trade::capture::Editor;
use crate::trade::money;

/// So many past promises an order remembers; of more the oldest go, and stand in the record's history.
const REMEMBERED: usize = 500;

/// Whose will a change of an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Will {
    /// The customer's, as the rep says.
    Customer,
    /// The company's: somebody in the office, the warehouse, or a rule.
    Company,
}

impl From<Editor> for Will {
    fn from(editor: Editor) -> Self {
        match editor {
            Editor::Rep(_) => Self::Customer,
            Editor::Office => Self::Company,
        }
    }
}

/// Who has changed an order, and when.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Whose will it is.
    pub will: Will,
    /// The user; nil: a rule.
    pub by: Uuid,
    /// The moment, in microseconds since the Unix epoch.
    pub at_us: i64,
}

/// Whether an order is promised: it was confirmed, and has not come to its end.
fn is_promised(order: &Order) -> bool {
    match order.status() {
        OrderStatus::Confirmed | OrderStatus::Released => true,
        // It waits again, after an edit.
        OrderStatus::Submitted => order.promised_at_us != 0,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Closed => false,
        OrderStatus::Cancelled | OrderStatus::Refused => false,
    }
}

/// Writes down what has become of the promises of `before` in an order that was changed, and what is promised now.
pub fn keep(before: Option<&Order>, order: &mut Order, change: Change) {
    if let Some(before) = before.filter(|before| is_promised(before)) {
        let left = match order.status() {
            OrderStatus::Cancelled | OrderStatus::Refused => &[][..],
            OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => order.lines.as_slice(),
            OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => order.lines.as_slice(),
        };
        let mut ended: Vec<PastPromise> = before
            .lines
            .iter()
            .filter_map(|line| {
                let promised = promised(before, line);
                let now = left.iter().find(|now| now.line_id == line.line_id);
                (promised.quantity_milli > 0 && (ends(promised, now) || now.is_some_and(|now| came_back(line, now))))
                    .then(|| past(before, (line, promised), now, change))
            })
            .collect();
        if order.promised_day > before.promised_day && before.promised_day != 0 {
            ended.push(past(before, (&OrderLine::default(), Promised::default()), None, change));
        }
        let broken = ended.iter().filter(|past| past.outcome() == PromiseOutcome::Broken).count();
        order.broken_promises = order.broken_promises.saturating_add(i32::try_from(broken).unwrap_or(i32::MAX));
        order.past_promises.append(&mut ended);
        let surplus = order.past_promises.len().saturating_sub(REMEMBERED);
        order.past_promises.drain(..surplus);
    }
    if order.status() == OrderStatus::Confirmed && before.is_none_or(|before| says_more(before, order)) {
        order.promised_at_us = change.at_us.max(1);
        order.promised_by_id = if change.by.is_nil() { Vec::new() } else { change.by.as_bytes().to_vec() };
    }
}

/// What is promised of a line.
#[derive(Clone, Copy, Debug, Default)]
struct Promised {
    quantity_milli: i64,
    amount_minor: i64,
}

/// Of an order that waits after an edit, what it keeps of its promise is what is still set aside for it: the rest of what its
/// lines say was never confirmed.
fn promised(order: &Order, line: &OrderLine) -> Promised {
    let (confirmed, amount_minor) = (line.confirmed_milli, line.amount_minor);
    if order.status() != OrderStatus::Submitted || line.reserved_milli >= confirmed {
        return Promised { quantity_milli: confirmed, amount_minor };
    }
    let quantity_milli = line.reserved_milli.max(0);
    Promised { quantity_milli, amount_minor: money::share(amount_minor, quantity_milli, confirmed) }
}

/// Whether a promise about a line ends: there is less, or the same costs more.
fn ends(promised: Promised, now: Option<&OrderLine>) -> bool {
    now.is_none_or(|now| {
        let same = now.confirmed_milli == promised.quantity_milli;
        now.confirmed_milli < promised.quantity_milli || same && now.amount_minor > promised.amount_minor
    })
}

/// Whether goods have left and come back, since delivery was not attempted: they did not come when they were promised.
fn came_back(before: &OrderLine, now: &OrderLine) -> bool {
    now.shipped_milli < before.shipped_milli
}

fn past(
    before: &Order,
    (line, promised): (&OrderLine, Promised),
    now: Option<&OrderLine>,
    change: Change,
) -> PastPromise {
    let reason = match (now.map(OrderLine::difference), change.will) {
        (Some(difference), _) if difference != LineDifference::Unspecified => difference,
        (_, Will::Company) => LineDifference::OfficeChanged,
        (_, Will::Customer) => LineDifference::Unspecified,
    };
    // Whoever refuses what was brought has changed his mind.
    let outcome = match (change.will, reason) {
        (Will::Customer, _) | (Will::Company, LineDifference::Refused) => PromiseOutcome::Changed,
        (Will::Company, _) => PromiseOutcome::Broken,
    };
    PastPromise {
        line_id: line.line_id.clone(),
        product_id: line.product_id.clone(),
        quantity_milli: promised.quantity_milli,
        amount_minor: promised.amount_minor,
        delivery_day: before.promised_day,
        promised_at_us: before.promised_at_us,
        promised_by_id: before.promised_by_id.clone(),
        outcome: outcome.into(),
        reason: reason.into(),
        ended_at_us: change.at_us.max(1),
        ended_by_id: if change.by.is_nil() { Vec::new() } else { change.by.as_bytes().to_vec() },
    }
}

/// Whether a confirmed order promises anything else than before.
fn says_more(before: &Order, order: &Order) -> bool {
    let promise = |line: &OrderLine| (line.confirmed_milli, line.amount_minor);
    let same = |(was, is): (&OrderLine, &OrderLine)| was.line_id == is.line_id && promise(was) == promise(is);
    before.status() == OrderStatus::Submitted
        || before.promised_day != order.promised_day
        || before.lines.len() != order.lines.len()
        || !before.lines.iter().zip(&order.lines).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Uuid = Uuid::from_u128(7);

    fn line(number: u8, confirmed_milli: i64, amount_minor: i64) -> OrderLine {
        OrderLine { line_id: vec![number; 16], confirmed_milli, amount_minor, ..OrderLine::default() }
    }

    fn order(status: OrderStatus, lines: &[OrderLine]) -> Order {
        Order { status: status.into(), lines: lines.to_vec(), promised_day: 10, ..Order::default() }
    }

    fn by(will: Will) -> Change {
        Change { will, by: ADA, at_us: 50 }
    }

    fn kept(before: &Order, mut after: Order, will: Will) -> Order {
        (after.promised_at_us, after.past_promises) = (before.promised_at_us, before.past_promises.clone());
        keep(Some(before), &mut after, by(will));
        after
    }

    fn promised(lines: &[OrderLine]) -> Order {
        let mut order = order(OrderStatus::Confirmed, lines);
        keep(None, &mut order, Change { at_us: 40, ..by(Will::Customer) });
        order
    }

    #[test]
    fn what_is_confirmed_is_promised_by_whoever_confirmed_it() {
        let first = promised(&[line(1, 3_000, 300)]);
        assert_eq!((first.promised_at_us, &first.promised_by_id), (40, &ADA.as_bytes().to_vec()));
        let mut held = order(OrderStatus::Submitted, &[line(1, 3_000, 300)]);
        keep(None, &mut held, by(Will::Customer));
        assert_eq!(held.promised_at_us, 0);
        keep(Some(&held.clone()), &mut held, by(Will::Company));
        assert_eq!(held.past_promises, [], "nothing was promised");
    }

    #[test]
    fn less_for_the_customer_is_a_broken_promise_with_its_reason() {
        let before = promised(&[line(1, 3_000, 300), line(2, 1_000, 100)]);
        let mut short = line(1, 2_000, 200);
        short.set_difference(LineDifference::PickedShort);
        let after = kept(&before, order(OrderStatus::Released, &[short, line(2, 1_000, 100)]), Will::Company);
        let [past] = after.past_promises.as_slice() else { panic!("{after:?}") };
        assert_eq!((past.quantity_milli, past.amount_minor, past.promised_at_us), (3_000, 300, 40));
        assert_eq!((past.outcome(), past.reason()), (PromiseOutcome::Broken, LineDifference::PickedShort));
        assert_eq!((past.delivery_day, past.ended_at_us, after.broken_promises), (10, 50, 1));
    }

    #[test]
    fn what_the_customer_wants_otherwise_is_changed() {
        let before = promised(&[line(1, 3_000, 300)]);
        let less = kept(&before, order(OrderStatus::Confirmed, &[line(1, 1_000, 100)]), Will::Customer);
        assert_eq!((less.past_promises[0].outcome(), less.broken_promises), (PromiseOutcome::Changed, 0));
        assert_eq!(less.promised_at_us, 50, "it is another promise now");
        let gone = kept(&before, order(OrderStatus::Cancelled, &[line(1, 3_000, 300)]), Will::Customer);
        assert_eq!(gone.past_promises[0].outcome(), PromiseOutcome::Changed);
        let mut refused = line(1, 0, 0);
        refused.set_difference(LineDifference::Refused);
        let refused = kept(&before, order(OrderStatus::Closed, &[refused]), Will::Company);
        assert_eq!(refused.past_promises[0].outcome(), PromiseOutcome::Changed, "he did not take it");
    }

    #[test]
    fn what_waits_after_an_edit_is_promised_as_far_as_it_is_set_aside() {
        let before = promised(&[line(1, 10_000, 1_000)]);
        let asked = OrderLine { reserved_milli: 10_000, ..line(1, 20_000, 2_000) };
        let held = kept(&before, order(OrderStatus::Submitted, &[asked]), Will::Customer);
        assert_eq!((held.past_promises.len(), held.promised_at_us), (0, 40));
        let some = kept(&held, order(OrderStatus::Confirmed, &[line(1, 15_000, 1_500)]), Will::Company);
        assert_eq!((some.broken_promises, some.promised_at_us), (0, 50), "more than was promised, and promised now");
        let fewer = kept(&held, order(OrderStatus::Confirmed, &[line(1, 9_000, 900)]), Will::Company);
        let [past] = fewer.past_promises.as_slice() else { panic!("{fewer:?}") };
        assert_eq!((past.quantity_milli, past.amount_minor, fewer.broken_promises), (10_000, 1_000, 1));
        let all = kept(&held, order(OrderStatus::Confirmed, &[line(1, 20_000, 2_000)]), Will::Company);
        assert_eq!(all.promised_at_us, 50, "nobody had promised twenty");
    }

    #[test]
    fn a_later_day_a_higher_price_and_a_cancellation_by_the_office_break_promises() {
        let before = promised(&[line(1, 3_000, 300)]);
        let dearer = kept(&before, order(OrderStatus::Confirmed, &[line(1, 3_000, 301)]), Will::Company);
        assert_eq!(dearer.broken_promises, 1);
        let later = Order { promised_day: 11, ..order(OrderStatus::Confirmed, &[line(1, 3_000, 300)]) };
        let later = kept(&before, later, Will::Company);
        assert_eq!((later.past_promises[0].line_id.len(), later.past_promises[0].delivery_day), (0, 10));
        let gone = kept(&before, order(OrderStatus::Cancelled, &[line(1, 3_000, 300)]), Will::Company);
        assert_eq!((gone.broken_promises, gone.past_promises[0].reason()), (1, LineDifference::OfficeChanged));
        let more = kept(&before, order(OrderStatus::Confirmed, &[line(1, 4_000, 400)]), Will::Company);
        assert_eq!((more.past_promises.len(), more.broken_promises), (0, 0), "more is no less");
    }
}
