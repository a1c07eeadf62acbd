//! What orders wait for that comes by itself: goods, budgets of which others give something back, and terms that become
//! theirs. Whoever waited longest is asked first.

use std::collections::BTreeSet;

use prost::Message;
use roundsman_proto::trade::{HoldReason, LineDifference, Order, OrderStatus};
use uuid::Uuid;

use super::credit;
use super::order::hold;

/// So many orders are served in the transaction of the command that has set something free; the next one goes on.
pub const SERVED_AT_ONCE: usize = 100;
/// So many of them are those who wait longest; of longer lists the others are asked round by round, lest some for whom there is
/// never enough keep all others waiting.
const LONGEST: usize = SERVED_AT_ONCE / 2;

/// Something that some have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scarce {
    /// A product in a warehouse.
    Stock {
        /// The warehouse.
        warehouse: Uuid,
        /// The product.
        product: Uuid,
    },
    /// The budget of a promotion.
    Budget(Uuid),
    /// An agreement: that it is valid, that the outlet lists it, that it allows more credit.
    Terms(Uuid),
    /// Another order, which this one may repeat: that it is called off.
    Order(Uuid),
}

/// The internal record `waiting{…}`: the orders that wait for something, the one that was submitted first first.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Waiting {
    /// The orders.
    #[prost(message, repeated, tag = "1")]
    pub orders: Vec<WaitingOrder>,
    /// The last one that was asked in its round.
    #[prost(message, optional, tag = "2")]
    pub last: Option<WaitingOrder>,
}

/// An order that waits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Message)]
pub struct WaitingOrder {
    /// When it was submitted, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub submitted_at_us: i64,
    /// The order; 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub order_id: Vec<u8>,
}

impl WaitingOrder {
    /// An order, as it waits.
    #[must_use]
    pub fn new(id: Uuid, order: &Order) -> Self {
        Self { submitted_at_us: order.submitted_at_us, order_id: id.as_bytes().to_vec() }
    }
}

impl Waiting {
    /// With an order.
    #[must_use]
    pub fn with(mut self, entry: WaitingOrder) -> Self {
        if let Err(place) = self.orders.binary_search(&entry) {
            self.orders.insert(place, entry);
        }
        self
    }

    /// Without an order.
    #[must_use]
    pub fn without(mut self, id: Uuid) -> Self {
        self.orders.retain(|entry| entry.order_id != id.as_bytes());
        if !self.is_long() {
            self.last = None;
        }
        self
    }

    /// The orders that are served at once, in their turn.
    pub fn in_turn(&self) -> impl Iterator<Item = Uuid> {
        let (longest, others) = self.orders.split_at(self.orders.len().min(LONGEST));
        let (done, next) = if self.is_long() {
            others.split_at(others.partition_point(|entry| Some(entry) <= self.last.as_ref()))
        } else {
            others.split_at(0)
        };
        let asked = longest.iter().chain(next).chain(done).take(SERVED_AT_ONCE);
        asked.filter_map(|entry| Uuid::from_slice(&entry.order_id).ok())
    }

    /// Whether more wait than are served at once.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.orders.len() > SERVED_AT_ONCE
    }

    /// After all those that were in their turn were asked.
    #[must_use]
    pub fn asked(mut self, in_turn: &Self) -> Self {
        let last = in_turn.in_turn().last();
        let entry = last.and_then(|last| in_turn.orders.iter().find(|entry| entry.order_id == last.as_bytes()));
        self.last = entry.filter(|_| self.is_long()).cloned();
        self
    }
}

/// What an order waits for: the goods of a hold for stock, and those that a confirmed or released order is still to get; the budgets of the
/// promotions of a hold for these; the agreement of a hold for expired terms, or that limits the credit for which alone it waits;
/// the order that it may repeat.
#[must_use]
pub fn waits_for(order: &Order) -> BTreeSet<Scarce> {
    let mut scarce = BTreeSet::new();
    let mut goods = |is_missing: &dyn Fn(&roundsman_proto::trade::OrderLine) -> bool| {
        let Ok(warehouse) = Uuid::from_slice(&order.warehouse_id) else { return };
        let missing = order.lines.iter().filter(|line| is_missing(line));
        let products = missing.filter_map(|line| Uuid::from_slice(&line.product_id).ok());
        scarce.extend(products.map(|product| Scarce::Stock { warehouse, product }));
    };
    match order.status() {
        OrderStatus::Submitted => {
            if let Some(hold) = hold::open(order, HoldReason::Stock) {
                goods(&|line| hold.line_ids.contains(&line.line_id));
            }
            if let Some(hold) = hold::open(order, HoldReason::Promotion) {
                let held = order.lines.iter().filter(|line| hold.line_ids.contains(&line.line_id));
                let promotions = held.flat_map(|line| &line.promotions);
                scarce.extend(
                    promotions.filter_map(|part| Uuid::from_slice(&part.promotion_id).ok()).map(Scarce::Budget),
                );
            }
            if hold::open(order, HoldReason::TermsExpired).is_some() || credit::waits(order) {
                scarce.extend(Uuid::from_slice(&order.agreement_id).ok().map(Scarce::Terms));
            }
            if let Some(hold) = hold::open(order, HoldReason::DuplicateSuspect) {
                scarce.extend(Uuid::from_slice(&hold.other_order_id).ok().map(Scarce::Order));
            }
        }
        OrderStatus::Confirmed | OrderStatus::Released => {
            goods(&|line| line.difference() == LineDifference::BackOrdered);
        }
        OrderStatus::Unspecified | OrderStatus::Draft => {}
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => {}
    }
    scarce
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{Hold, LinePromotion, OrderLine};

    use super::*;

    const TEA: Uuid = Uuid::from_u128(1);
    const SUGAR: Uuid = Uuid::from_u128(2);
    const WAREHOUSE: Uuid = Uuid::from_u128(3);
    const PROMOTION: Uuid = Uuid::from_u128(4);

    fn order(status: OrderStatus, holds: &[HoldReason]) -> Order {
        let line = |number: u8, product: Uuid| OrderLine {
            line_id: vec![number; 16],
            product_id: product.as_bytes().to_vec(),
            promotions: vec![LinePromotion { promotion_id: PROMOTION.as_bytes().to_vec(), ..LinePromotion::default() }],
            ..OrderLine::default()
        };
        let hold =
            |reason: &HoldReason| Hold { reason: (*reason).into(), line_ids: vec![vec![1; 16]], ..Hold::default() };
        Order {
            status: status.into(),
            warehouse_id: WAREHOUSE.as_bytes().to_vec(),
            lines: vec![line(1, TEA), line(2, SUGAR)],
            holds: holds.iter().map(hold).collect(),
            ..Order::default()
        }
    }

    #[test]
    fn an_order_waits_for_what_its_holds_are_about() {
        let tea = Scarce::Stock { warehouse: WAREHOUSE, product: TEA };
        let budget = Scarce::Budget(PROMOTION);
        let waits = |status, holds: &[HoldReason]| waits_for(&order(status, holds));
        assert_eq!(waits(OrderStatus::Submitted, &[HoldReason::Stock]), [tea].into());
        assert_eq!(waits(OrderStatus::Submitted, &[HoldReason::Stock, HoldReason::Promotion]), [tea, budget].into());
        assert_eq!(waits(OrderStatus::Submitted, &[HoldReason::Price]), [].into());
        assert_eq!(waits(OrderStatus::Cancelled, &[HoldReason::Stock]), [].into());
        let mut late = order(OrderStatus::Confirmed, &[]);
        assert_eq!(waits_for(&late), [].into());
        late.lines[0].set_difference(LineDifference::BackOrdered);
        assert_eq!(waits_for(&late), [tea].into());
    }

    #[test]
    fn whoever_waited_longest_is_first() {
        let entry = |number: u128, submitted_at_us| {
            WaitingOrder::new(Uuid::from_u128(number), &Order { submitted_at_us, ..Order::default() })
        };
        let waiting = Waiting::default().with(entry(1, 20)).with(entry(2, 10)).with(entry(3, 20)).with(entry(2, 10));
        assert_eq!(waiting.in_turn().collect::<Vec<_>>(), [2, 1, 3].map(Uuid::from_u128));
        assert_eq!(waiting.without(Uuid::from_u128(1)).in_turn().count(), 2);
    }

    #[test]
    fn those_for_whom_there_is_never_enough_do_not_keep_all_others_waiting() {
        let entry = |number: usize| {
            let submitted_at_us = number as i64;
            WaitingOrder::new(Uuid::from_u128(number as u128), &Order { submitted_at_us, ..Order::default() })
        };
        let mut waiting = Waiting { orders: (1..=230).map(entry).collect(), last: None };
        let mut asked = BTreeSet::new();
        for _ in 0..4 {
            let in_turn: Vec<Uuid> = waiting.in_turn().collect();
            assert_eq!(in_turn.len(), SERVED_AT_ONCE);
            assert_eq!(in_turn[..LONGEST], (1..=50).map(Uuid::from_u128).collect::<Vec<_>>());
            asked.extend(in_turn);
            waiting = waiting.clone().asked(&waiting);
        }
        assert_eq!(asked.len(), 230);
        waiting = (101..=230).map(Uuid::from_u128).fold(waiting, Waiting::without);
        assert_eq!(waiting.last, None);
        assert_eq!(waiting.in_turn().collect::<Vec<_>>(), (1..=100).map(Uuid::from_u128).collect::<Vec<_>>());
    }
}
