//! Whether an order looks like one that is there already (C32): a chain sends its own, by EDI or by telephone, for an outlet where
//! the rep has taken one.

use std::collections::BTreeSet;

use roundsman_proto::trade::{HoldReason, Order, OrderStatus};
use uuid::Uuid;

use super::hold::{self, Cause};

/// Finds, among the other orders of the outlet, one of the same day that somebody else has handed in and that has at least half
/// of the products of the smaller of both.
#[must_use]
pub fn suspect(order: &Order, others: &[(Uuid, Order)]) -> Option<Cause> {
    if others.is_empty() {
        return None;
    }
    let own = products(order);
    others.iter().find_map(|(id, other)| {
        let theirs = products(other);
        let common = own.intersection(&theirs).count();
        let fewest = own.len().min(theirs.len());
        let alike = other.order_day == order.order_day
            && other.outlet_id == order.outlet_id
            && other.rep_id != order.rep_id
            && counts(other)
            && common > 0
            && common * 2 >= fewest;
        let facts = || format!("the order {id} of the same day has {common} of its {} products", own.len());
        let other_order_id = id.as_bytes().to_vec();
        alike.then(|| Cause { other_order_id, ..Cause::new(HoldReason::DuplicateSuspect, facts()) })
    })
}

/// Whether an order is still suspect that was: as long as the other one, as it is now, is not called off. Who says that both are
/// wanted releases the hold.
pub(super) fn still(order: &Order, other: Option<&Order>) -> Option<Cause> {
    let hold = hold::open(order, HoldReason::DuplicateSuspect)?;
    other.is_none_or(counts).then(|| Cause::of(hold))
}

fn products(order: &Order) -> BTreeSet<&[u8]> {
    order.lines.iter().map(|line| line.product_id.as_slice()).collect()
}

/// What was called off is no second order.
fn counts(order: &Order) -> bool {
    match order.status() {
        OrderStatus::Submitted | OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => true,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Cancelled | OrderStatus::Refused => false,
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::OrderLine;

    use super::*;

    fn order(rep: u8, products: &[u8]) -> Order {
        let line = |product: &u8| OrderLine { product_id: vec![*product; 16], ..OrderLine::default() };
        Order {
            rep_id: vec![rep; usize::from(rep) * 16],
            status: OrderStatus::Confirmed.into(),
            order_day: 10,
            lines: products.iter().map(line).collect(),
            ..Order::default()
        }
    }

    #[test]
    fn c32_half_of_the_products_from_somebody_else_on_one_day_is_suspect() {
        let found = |other: Order| suspect(&order(1, &[1, 2, 3, 4]), &[(Uuid::from_u128(7), other)]).is_some();
        assert!(found(order(0, &[1, 2, 9])) && found(order(0, &[4])));
        assert!(!found(order(0, &[1, 8, 9])), "a third");
        assert!(!found(order(1, &[1, 2, 3, 4])), "the rep's own second order");
        assert!(!found(Order { order_day: 11, ..order(0, &[1, 2]) }));
        assert!(!found(Order { outlet_id: vec![5; 16], ..order(0, &[1, 2]) }));
        assert!(!found(Order { status: OrderStatus::Cancelled.into(), ..order(0, &[1, 2]) }));
    }
}
