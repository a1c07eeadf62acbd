//! How well customers are served: what of what was promised has come, and whether it came on the promised day.
//!
//! *On time in full* are the orders of which all that was promised was taken by the end of the promised day, of all that are due. An
//! order is due when its day is over, or when nothing more will come of it. What counts is what was promised last before the
//! company gave less of it, later, or before the customer refused it: what the customer wanted otherwise counts as wanted.

use std::collections::BTreeSet;

use roundsman_proto::trade::{LineDifference, Order, OrderStatus, PastPromise, PromiseOutcome};

/// What a customer has taken of a line, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// The line of the order.
    pub line_id: &'a [u8],
    /// The day at the customer's, in days since 1970-01-01.
    pub day: i32,
    /// How much, in thousandths of the base unit.
    pub quantity_milli: i64,
}

/// What came of the promise of one line, in thousandths of the base unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedLine {
    /// The line of the order; it may have been taken out since.
    pub line_id: Vec<u8>,
    /// What was promised, above 0.
    pub promised_milli: i64,
    /// What the customer has taken.
    pub delivered_milli: i64,
    /// What of that came by the promised day.
    pub in_time_milli: i64,
}

impl ServedLine {
    /// Whether all that was promised came in time.
    #[must_use]
    pub fn is_on_time_in_full(&self) -> bool {
        self.in_time_milli >= self.promised_milli
    }
}

/// What came of an order's promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The day that was promised, in days since 1970-01-01. 0: as soon as possible.
    pub day: i32,
    /// Its day is over, or nothing more will come.
    pub is_due: bool,
    /// The lines of which something was promised; at least one.
    pub lines: Vec<ServedLine>,
}

impl Served {
    /// What came of an order's promise, looked at when `today` ends; `None`: nothing was promised.
    #[must_use]
    pub fn of(order: &Order, arrivals: &[Arrival<'_>], today: i32) -> Option<Self> {
        let day = promised_day(order);
        let ids = order.lines.iter().map(|line| &line.line_id);
        let past = order.past_promises.iter().map(|past| &past.line_id).filter(|id| !id.is_empty());
        let ids: BTreeSet<&Vec<u8>> = ids.chain(past).collect();
        let line = |line_id: &Vec<u8>| {
            let own = arrivals.iter().filter(|arrival| arrival.line_id == line_id.as_slice());
            let sum = |through: i32| {
                let came = own.clone().filter(|arrival| day == 0 || arrival.day <= through);
                came.fold(0_i64, |sum, arrival| sum.saturating_add(arrival.quantity_milli))
            };
            let (delivered_milli, in_time_milli) = (sum(i32::MAX), sum(day));
            ServedLine {
                line_id: line_id.clone(),
                promised_milli: promised_milli(order, line_id),
                delivered_milli,
                in_time_milli,
            }
        };
        let lines: Vec<ServedLine> = ids.into_iter().map(line).filter(|line| line.promised_milli > 0).collect();
        let is_due = has_ended(order) || (day != 0 && day <= today);
        (!lines.is_empty()).then_some(Self { day, is_due, lines })
    }

    /// Whether all that was promised came in time.
    #[must_use]
    pub fn is_on_time_in_full(&self) -> bool {
        self.lines.iter().all(ServedLine::is_on_time_in_full)
    }
}

/// How well customers are served; all parts are of what is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceLevel {
    /// Orders that are due.
    pub orders: u64,
    /// Those of them that came on time and in full.
    pub full_orders: u64,
    /// The lines of orders that are due.
    pub lines: u64,
    /// Those of them that came on time and in full.
    pub full_lines: u64,
}

impl ServiceLevel {
    /// Sums orders up; those that are not due don't count.
    pub fn of<'a>(served: impl IntoIterator<Item = &'a Served>) -> Self {
        let mut level = Self::default();
        for order in served.into_iter().filter(|order| order.is_due) {
            level.orders += 1;
            level.full_orders += u64::from(order.is_on_time_in_full());
            for line in &order.lines {
                level.lines += 1;
                level.full_lines += u64::from(line.is_on_time_in_full());
            }
        }
        level
    }

    /// Orders on time and in full, in basis points of all that are due; `None`: none is.
    #[must_use]
    pub fn on_time_in_full_bp(&self) -> Option<u64> {
        share_bp(self.full_orders, self.orders)
    }

    /// The fill rate: lines on time and in full, in basis points of all that are due; `None`: none is.
    #[must_use]
    pub fn fill_rate_bp(&self) -> Option<u64> {
        share_bp(self.full_lines, self.lines)
    }
}

/// Rounded down: 10,000 is all.
fn share_bp(part: u64, all: u64) -> Option<u64> {
    (u128::from(part) * 10_000).checked_div(all.into()).and_then(|share| u64::try_from(share).ok())
}

/// Whether nothing more will come.
fn has_ended(order: &Order) -> bool {
    match order.status() {
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => true,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => false,
        OrderStatus::Confirmed | OrderStatus::Released => false,
    }
}

/// What is promised of a line now.
fn promised_now(order: &Order, line_id: &[u8]) -> i64 {
    let left = match order.status() {
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => order.lines.as_slice(),
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => &[],
        OrderStatus::Cancelled | OrderStatus::Refused => &[],
    };
    left.iter().find(|line| line.line_id == line_id).map_or(0, |line| line.confirmed_milli)
}

/// What was promised of a line since the customer has wanted it otherwise for the last time.
fn promised_milli(order: &Order, line_id: &[u8]) -> i64 {
    let past = order.past_promises.iter().filter(|past| past.line_id == line_id);
    let stood = past.rev().take_while(|past| !is_wish(past)).map(|past| past.quantity_milli);
    stood.fold(promised_now(order, line_id), i64::max)
}

/// The day that was promised since the customer has wanted another one for the last time.
fn promised_day(order: &Order) -> i32 {
    let past = order.past_promises.iter().filter(|past| past.line_id.is_empty());
    past.rev().take_while(|past| !is_wish(past)).last().map_or(order.promised_day, |first| first.delivery_day)
}

/// Whether a promise ended since the customer wanted something else. Who refuses what is brought has not got what was promised.
fn is_wish(past: &PastPromise) -> bool {
    past.outcome() == PromiseOutcome::Changed && past.reason() != LineDifference::Refused
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roundsman_proto::trade::OrderLine;

    use super::*;

    const DAY: i32 = 20_000;
    const LINE: [u8; 16] = [7; 16];

    /// An order of which so much is promised for [`DAY`].
    fn order(status: OrderStatus, confirmed_milli: i64) -> Order {
        let line = OrderLine { line_id: LINE.to_vec(), confirmed_milli, ..OrderLine::default() };
        Order { status: status.into(), promised_day: DAY, lines: vec![line], ..Order::default() }
    }

    fn past(quantity_milli: i64, outcome: PromiseOutcome, reason: LineDifference) -> PastPromise {
        PastPromise {
            line_id: LINE.to_vec(),
            quantity_milli,
            delivery_day: DAY,
            outcome: outcome.into(),
            reason: reason.into(),
            ..PastPromise::default()
        }
    }

    fn arrival(day: i32, quantity_milli: i64) -> Arrival<'static> {
        Arrival { line_id: &LINE, day, quantity_milli }
    }

    fn served(order: &Order, arrivals: &[Arrival<'_>]) -> Served {
        Served::of(order, arrivals, DAY).expect("something was promised")
    }

    #[test]
    fn what_comes_on_the_day_or_before_is_on_time() {
        let order = order(OrderStatus::Closed, 5_000);
        assert!(served(&order, &[arrival(DAY - 1, 2_000), arrival(DAY, 3_000)]).is_on_time_in_full());
        let late = served(&order, &[arrival(DAY, 2_000), arrival(DAY + 1, 3_000)]);
        assert_eq!((late.lines[0].delivered_milli, late.lines[0].in_time_milli), (5_000, 2_000));
        assert!(!late.is_on_time_in_full());
    }

    #[test]
    fn what_is_picked_short_was_promised() {
        let mut order = order(OrderStatus::Closed, 3_000);
        order.past_promises = vec![past(5_000, PromiseOutcome::Broken, LineDifference::PickedShort)];
        let short = served(&order, &[arrival(DAY, 3_000)]);
        assert_eq!(short.lines[0].promised_milli, 5_000);
        assert!(!short.is_on_time_in_full());
    }

    #[test]
    fn what_was_refused_at_the_door_has_not_come() {
        let mut order = order(OrderStatus::Closed, 3_000);
        order.past_promises = vec![past(5_000, PromiseOutcome::Changed, LineDifference::Refused)];
        assert!(!served(&order, &[arrival(DAY, 3_000)]).is_on_time_in_full());
    }

    #[test]
    fn what_the_customer_wanted_less_counts_as_wanted() {
        let mut order = order(OrderStatus::Closed, 3_000);
        let wish = past(5_000, PromiseOutcome::Changed, LineDifference::Unspecified);
        order.past_promises = vec![past(9_000, PromiseOutcome::Broken, LineDifference::StockShort), wish];
        let asked = served(&order, &[arrival(DAY, 3_000)]);
        assert_eq!(asked.lines[0].promised_milli, 3_000);
        assert!(asked.is_on_time_in_full());
    }

    #[test]
    fn a_day_that_we_moved_stays_the_promised_one() {
        let moved = |outcome: PromiseOutcome| {
            let past = PastPromise { line_id: Vec::new(), ..past(0, outcome, LineDifference::Unspecified) };
            let order = Order { promised_day: DAY + 2, past_promises: vec![past], ..order(OrderStatus::Closed, 1_000) };
            let served = served(&order, &[arrival(DAY + 2, 1_000)]);
            (served.day, served.is_on_time_in_full())
        };
        assert_eq!(moved(PromiseOutcome::Broken), (DAY, false));
        assert_eq!(moved(PromiseOutcome::Changed), (DAY + 2, true));
    }

    #[test]
    fn an_order_is_due_when_its_day_is_over_or_nothing_more_comes() {
        let open = order(OrderStatus::Released, 1_000);
        let due = |order: &Order, today| Served::of(order, &[], today).expect("promised").is_due;
        assert!(!due(&open, DAY - 1) && due(&open, DAY));
        assert!(due(&order(OrderStatus::Closed, 1_000), DAY - 1));
        let whenever = Order { promised_day: 0, ..open };
        assert!(!due(&whenever, DAY + 99), "as soon as possible is no day");
    }

    #[test]
    fn what_was_called_off_by_the_customer_was_not_promised() {
        let mut order = order(OrderStatus::Cancelled, 5_000);
        order.past_promises = vec![past(5_000, PromiseOutcome::Changed, LineDifference::Unspecified)];
        assert_eq!(Served::of(&order, &[], DAY), None);
        order.past_promises[0].set_outcome(PromiseOutcome::Broken);
        assert_eq!(served(&order, &[]).lines[0].promised_milli, 5_000, "the company has called it off");
    }

    #[test]
    fn shares_are_of_what_is_due() {
        let full = served(&order(OrderStatus::Closed, 1_000), &[arrival(DAY, 1_000)]);
        let short = served(&order(OrderStatus::Closed, 1_000), &[]);
        let open = Served { is_due: false, ..full.clone() };
        let level = ServiceLevel::of([&full, &short, &full, &open]);
        assert_eq!((level.orders, level.full_orders, level.on_time_in_full_bp()), (3, 2, Some(6_666)));
        assert_eq!(level.fill_rate_bp(), Some(6_666));
        assert_eq!(ServiceLevel::default().on_time_in_full_bp(), None);
    }

    proptest! {
        #[test]
        fn no_share_is_above_all_and_full_orders_have_full_lines(
            confirmed in 1_i64..9_000,
            came in proptest::collection::vec((-2_i32..3, 0_i64..5_000), 0..4),
            broken in proptest::option::of(1_i64..9_000),
        ) {
            let mut order = order(OrderStatus::Closed, confirmed);
            order.past_promises.extend(broken.map(|was| past(was, PromiseOutcome::Broken, LineDifference::PickedShort)));
            let arrivals: Vec<_> = came.iter().map(|(day, milli)| arrival(DAY + day, *milli)).collect();
            let served = served(&order, &arrivals);
            let line = &served.lines[0];
            prop_assert!(line.in_time_milli <= line.delivered_milli);
            prop_assert!(line.promised_milli >= confirmed);
            let level = ServiceLevel::of([&served]);
            prop_assert!(level.full_orders <= level.orders && level.full_lines <= level.lines);
            prop_assert_eq!(level.full_orders == 1, level.full_lines == level.lines);
        }
    }
}
