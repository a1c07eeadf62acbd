//! Stock: what is free, what an order may be promised, and what devices are told of it.

use prost::Message;
use roundsman_proto::trade::Order;
use uuid::Uuid;

/// The internal record `available{warehouse, product}`: the exact figures by which orders are decided. All quantities in
/// thousandths of the base unit. Where nobody has said what lies there, the product's stock is not known, and not checked; what
/// shipments are to bring, who waits, and the quotas are counted all the same. It is of one size however many orders are open:
/// what each of them was promised stands in its own lines.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Available {
    /// What lies there. Set by the ERP, and lowered by what is shipped.
    #[prost(sint64, tag = "1")]
    pub on_hand_milli: i64,
    /// What is promised: the sum of what the lines of all orders of the warehouse have set aside.
    #[prost(sint64, tag = "2")]
    pub reserved_milli: i64,
    /// So many orders wait for it: `waiting{…}` names them.
    #[prost(sint64, tag = "3")]
    pub waiting: i64,
    /// So many quotas share it out: `quotas{…}` has them. Where it is 0, nobody looks there.
    #[prost(sint64, tag = "4")]
    pub quotas: i64,
    /// What shipments that have not left are to bring: it lies there, and can't be put into another one.
    #[prost(sint64, tag = "5")]
    pub picking_milli: i64,
    /// What came back and is not fit to be sold, until somebody decides about it. It is no part of what lies there.
    #[prost(sint64, tag = "6")]
    pub quarantined_milli: i64,
    /// It is a van's: its rep is told exactly.
    #[prost(bool, tag = "7")]
    pub exact: bool,
    /// Somebody has said what lies there.
    #[prost(bool, tag = "8")]
    pub known: bool,
    /// When it was counted last, or goods were brought or taken away without an order, in microseconds since the Unix epoch: a
    /// figure of before that says nothing.
    #[prost(sint64, tag = "9")]
    pub as_of_us: i64,
}

impl Available {
    /// The same, if somebody has said what lies there.
    #[must_use]
    pub fn if_known(self) -> Option<Self> {
        self.known.then_some(self)
    }

    /// What is promised to nobody; negative when more is promised than lies there.
    #[must_use]
    pub fn free_milli(&self) -> i64 {
        self.on_hand_milli.saturating_sub(self.reserved_milli)
    }

    /// What devices are told to be free.
    #[must_use]
    pub fn told_free_milli(&self) -> i64 {
        if self.exact { self.free_milli() } else { coarse(self.free_milli()) }
    }

    /// The most that an order may be promised which has `own_milli` of it already: what is free, and never less than
    /// what it was promised before.
    #[must_use]
    pub fn budget(&self, own_milli: i64) -> i64 {
        self.free_milli().saturating_add(own_milli).max(own_milli).max(0)
    }

    /// With so much promised to an order that had `before_milli` of it.
    #[must_use]
    pub fn reserving(self, before_milli: i64, after_milli: i64) -> Self {
        let reserved_milli = self.reserved_milli.saturating_sub(before_milli).saturating_add(after_milli);
        Self { reserved_milli, ..self }
    }

    /// What is in no shipment that has not left; negative when those are to bring more than lies there.
    #[must_use]
    pub fn pickable_milli(&self) -> i64 {
        self.on_hand_milli.saturating_sub(self.picking_milli)
    }

    /// With so much more in shipments that have not left; negative: less.
    #[must_use]
    pub fn picking(self, more_milli: i64) -> Self {
        Self { picking_milli: self.picking_milli.saturating_add(more_milli), ..self }
    }

    /// Goods have left, and with them what was promised of them.
    #[must_use]
    pub fn shipped(self, own_milli: i64, quantity_milli: i64) -> Self {
        if !self.known {
            return self;
        }
        let on_hand_milli = self.on_hand_milli.saturating_sub(quantity_milli);
        Self { on_hand_milli, ..self.reserving(own_milli, 0) }
    }

    /// So much was not found, or is not fit to be sold. What lies there does not become less than nothing by it.
    #[must_use]
    pub fn without(self, lost_milli: i64) -> Self {
        let most = self.on_hand_milli.max(0);
        Self { on_hand_milli: self.on_hand_milli.saturating_sub(lost_milli.clamp(0, most)), ..self }
    }

    /// Goods have come back: what can be sold lies there again, and what can't is in quarantine. Negative: so much less is there.
    #[must_use]
    pub fn came_back(self, sellable_milli: i64, quarantined_milli: i64) -> Self {
        Self {
            on_hand_milli: self.on_hand_milli.saturating_add(sellable_milli),
            quarantined_milli: self.quarantined_milli.saturating_add(quarantined_milli),
            ..self
        }
    }

    /// Another figure of what lies there.
    #[must_use]
    pub fn counted(self, on_hand_milli: i64) -> Self {
        Self { on_hand_milli, known: true, ..self }
    }
}

/// What an order has set aside of a product.
#[must_use]
pub fn reserved_by(order: &Order, product: Uuid) -> i64 {
    let lines = order.lines.iter().filter(|line| line.product_id == product.as_bytes());
    lines.fold(0, |sum, line| sum.saturating_add(line.reserved_milli))
}

/// What of an ordered quantity can be confirmed out of a budget.
#[must_use]
pub fn confirmable(ordered_milli: i64, budget_milli: i64) -> i64 {
    ordered_milli.min(budget_milli).max(0)
}

/// The step in which free stock is published: two significant digits, rounded down, so that devices hear of a change
/// only when it is large enough to matter, and are never told of more than there is.
///
/// ```
/// use roundsman_sync::trade::stock::coarse;
/// assert_eq!(coarse(1_234_567), 1_200_000);
/// assert_eq!(coarse(-1_234_567), -1_300_000);
/// ```
#[must_use]
pub fn coarse(free_milli: i64) -> i64 {
    let mut step = 1_u64;
    while free_milli.unsigned_abs() / step >= 100 {
        step *= 10;
    }
    // The step is below 2^63, since its hundredth part was above the number's hundredth part.
    let Ok(step) = i64::try_from(step) else {
        return free_milli;
    };
    free_milli.div_euclid(step).checked_mul(step).unwrap_or(i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::OrderLine;

    #[test]
    fn c11_an_order_gets_what_is_promised_to_nobody_else() {
        let stock = Available::default().counted(10_000).reserving(0, 4_000);
        assert_eq!((stock.free_milli(), stock.budget(4_000), stock.budget(0)), (6_000, 10_000, 6_000));
        assert_eq!(confirmable(8_000, stock.budget(0)), 6_000);
        let lost = stock.counted(1_000);
        assert_eq!(lost.free_milli(), -3_000);
        assert_eq!((lost.budget(4_000), lost.budget(0)), (4_000, 0), "a promise is kept");
    }

    #[test]
    fn shipping_ends_a_promise() {
        let stock = Available::default().counted(10_000).reserving(0, 4_000).reserving(0, 1_000);
        let shipped = stock.shipped(4_000, 3_000);
        assert_eq!((shipped.on_hand_milli, shipped.free_milli(), shipped.reserved_milli), (7_000, 6_000, 1_000));
    }

    #[test]
    fn an_order_has_what_its_lines_have() {
        let [tea, sugar] = [1, 2].map(Uuid::from_u128);
        let line = |product: Uuid, reserved_milli| OrderLine {
            product_id: product.as_bytes().to_vec(),
            reserved_milli,
            ..OrderLine::default()
        };
        let order = Order { lines: vec![line(tea, 3), line(sugar, 5), line(tea, 4)], ..Order::default() };
        assert_eq!((reserved_by(&order, tea), reserved_by(&order, sugar)), (7, 5));
    }

    proptest! {
        #[test]
        fn what_is_published_is_never_more_and_at_most_a_tenth_less(free in any::<i64>()) {
            let shown = coarse(free);
            prop_assert!(shown <= free);
            prop_assert!((i128::from(free) - i128::from(shown)) * 10 <= i128::from(free).abs().max(1));
            prop_assert_eq!(coarse(shown), shown);
        }

        #[test]
        fn more_stock_never_looks_like_less(a in any::<i64>(), b in any::<i64>()) {
            prop_assert!(coarse(a.min(b)) <= coarse(a.max(b)));
        }

        #[test]
        fn two_orders_never_get_more_than_there_is(on_hand in 0..100_i64, first in 0..100_i64, second in 0..100_i64) {
            let stock = Available::default().counted(on_hand);
            let given = confirmable(first, stock.budget(0));
            let stock = stock.reserving(0, given);
            let rest = confirmable(second, stock.budget(0));
            prop_assert!(given + rest <= on_hand);
        }

        #[test]
        fn no_input_panics(on_hand in any::<i64>(), a in any::<i64>(), b in any::<i64>()) {
            let stock = Available::default().counted(on_hand).reserving(a, b);
            let _ = (stock.budget(a), stock.free_milli(), confirmable(a, b), stock.shipped(a, b));
        }
    }
}
