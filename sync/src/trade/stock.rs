//! Stock: what is free, what an order may be promised, and what devices are told of it.

use prost::Message;
use uuid::Uuid;

/// The internal record `available{warehouse, product}`: the exact figures by which orders are decided. All quantities in
/// thousandths of the base unit. Where there is none, the product's stock is not known, and not checked.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Available {
    /// What lies there. Set by the ERP, and lowered by what is shipped.
    #[prost(sint64, tag = "1")]
    pub on_hand_milli: i64,
    /// What is promised, in ascending order of the orders' ids.
    #[prost(message, repeated, tag = "2")]
    pub reserved: Vec<Reserved>,
}

/// What one order was promised.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Reserved {
    /// The order; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub order_id: Vec<u8>,
    /// How much, above 0.
    #[prost(sint64, tag = "2")]
    pub quantity_milli: i64,
}

impl Available {
    /// What is promised to nobody; negative when more is promised than lies there.
    #[must_use]
    pub fn free_milli(&self) -> i64 {
        self.free_for(Uuid::nil())
    }

    /// What is promised to no other order.
    #[must_use]
    pub fn free_for(&self, order: Uuid) -> i64 {
        let others = self.reserved.iter().filter(|entry| entry.order_id != order.as_bytes());
        others.fold(self.on_hand_milli, |free, entry| free.saturating_sub(entry.quantity_milli))
    }

    /// What is promised to an order.
    #[must_use]
    pub fn reserved_by(&self, order: Uuid) -> i64 {
        let own = self.reserved.iter().find(|entry| entry.order_id == order.as_bytes());
        own.map_or(0, |entry| entry.quantity_milli)
    }

    /// The most that an order may be promised: what is free, and never less than what it was promised before.
    #[must_use]
    pub fn budget(&self, order: Uuid) -> i64 {
        self.free_for(order).max(self.reserved_by(order)).max(0)
    }

    /// With so much promised to an order, and no more; 0: nothing.
    #[must_use]
    pub fn reserving(mut self, order: Uuid, quantity_milli: i64) -> Self {
        self.reserved.retain(|entry| entry.order_id != order.as_bytes());
        if quantity_milli > 0 {
            let at = self.reserved.partition_point(|entry| entry.order_id.as_slice() < order.as_bytes().as_slice());
            self.reserved.insert(at, Reserved { order_id: order.as_bytes().to_vec(), quantity_milli });
        }
        self
    }

    /// An order's goods have left: nothing is promised to it any more.
    #[must_use]
    pub fn shipped(self, order: Uuid, quantity_milli: i64) -> Self {
        let on_hand_milli = self.on_hand_milli.saturating_sub(quantity_milli);
        Self { on_hand_milli, ..self.reserving(order, 0) }
    }

    /// Another figure of what lies there.
    #[must_use]
    pub fn counted(self, on_hand_milli: i64) -> Self {
        Self { on_hand_milli, ..self }
    }
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

    fn order(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn c11_an_order_gets_what_is_promised_to_nobody_else() {
        let stock = Available::default().counted(10_000).reserving(order(1), 4_000);
        assert_eq!((stock.free_milli(), stock.free_for(order(1)), stock.budget(order(2))), (6_000, 10_000, 6_000));
        assert_eq!(confirmable(8_000, stock.budget(order(2))), 6_000);
        let lost = stock.counted(1_000);
        assert_eq!(lost.free_milli(), -3_000);
        assert_eq!((lost.budget(order(1)), lost.budget(order(2))), (4_000, 0), "a promise is kept");
    }

    #[test]
    fn shipping_ends_a_promise() {
        let stock = Available::default().counted(10_000).reserving(order(2), 4_000).reserving(order(1), 1_000);
        assert!(stock.reserved.is_sorted_by_key(|entry| entry.order_id.clone()));
        let shipped = stock.shipped(order(2), 3_000);
        assert_eq!((shipped.on_hand_milli, shipped.free_milli(), shipped.reserved_by(order(2))), (7_000, 6_000, 0));
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
            let given = confirmable(first, stock.budget(order(1)));
            let stock = stock.reserving(order(1), given);
            let rest = confirmable(second, stock.budget(order(2)));
            prop_assert!(given + rest <= on_hand);
        }

        #[test]
        fn no_input_panics(on_hand in any::<i64>(), a in any::<i64>(), b in any::<i64>()) {
            let stock = Available::default().counted(on_hand).reserving(order(1), a).reserving(order(2), b);
            let _ = (stock.budget(order(1)), stock.free_milli(), confirmable(a, b), stock.shipped(order(1), b));
        }
    }
}
