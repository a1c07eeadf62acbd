//! Credit: what a customer owes or is about to owe, and which orders fit under the limit.

use prost::Message;
use roundsman_proto::trade::{Agreement, Order};
use uuid::Uuid;

use super::money;

/// So many held orders are released in the transaction of the command that made room; a job goes on with the rest.
pub const RELEASED_AT_ONCE: usize = 100;

/// The internal record `credit{customer, currency}`. All sums in minor units of that currency.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Credit {
    /// The booked debt; negative: paid in advance.
    #[prost(sint64, tag = "1")]
    pub booked_debt_minor: i64,
    /// The part of it that is overdue.
    #[prost(sint64, tag = "2")]
    pub overdue_minor: i64,
    /// Orders without holds that the booked debt does not contain yet, with the value of their confirmed quantities,
    /// shipped or not; in ascending order of their ids.
    #[prost(message, repeated, tag = "3")]
    pub orders: Vec<OpenOrder>,
    /// Payments that the booked debt does not contain yet, in ascending order of their ids.
    #[prost(message, repeated, tag = "4")]
    pub payments: Vec<OpenPayment>,
    /// Orders that wait for credit and for nothing else, oldest first.
    #[prost(message, repeated, tag = "5")]
    pub held: Vec<HeldOrder>,
}

/// An order that will become debt.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OpenOrder {
    /// The order; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub order_id: Vec<u8>,
    /// The value of its confirmed quantities.
    #[prost(sint64, tag = "2")]
    pub value_minor: i64,
}

/// A payment that will lower the debt.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OpenPayment {
    /// The payment; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payment_id: Vec<u8>,
    /// Its amount.
    #[prost(sint64, tag = "2")]
    pub amount_minor: i64,
}

/// An order that waits for credit.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct HeldOrder {
    /// The order; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub order_id: Vec<u8>,
    /// When it was submitted, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub submitted_at_us: i64,
    /// The value that it would add.
    #[prost(sint64, tag = "3")]
    pub value_minor: i64,
    /// The agreement that limits it; 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub agreement_id: Vec<u8>,
}

/// What an agreement says about credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditTerms {
    /// The largest exposure; `None`: unlimited.
    pub limit_minor: Option<i64>,
    /// Nothing is sold while debt is overdue.
    pub overdue_ban: bool,
}

impl From<&Agreement> for CreditTerms {
    fn from(agreement: &Agreement) -> Self {
        Self { limit_minor: agreement.credit_limit_minor, overdue_ban: agreement.overdue_ban }
    }
}

/// Why an order does not fit (C9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// The limit.
    pub limit_minor: i64,
    /// The exposure with the order.
    pub exposure_minor: i64,
}

impl Credit {
    /// The credit exposure: booked debt, plus the confirmed value of orders without holds that is not yet in it, minus
    /// the payments that are not yet in it.
    #[must_use]
    pub fn exposure_minor(&self) -> i64 {
        self.exposure_with(0)
    }

    fn exposure_with(&self, value_minor: i64) -> i64 {
        let orders: i128 = self.orders.iter().map(|order| i128::from(order.value_minor)).sum();
        let payments: i128 = self.payments.iter().map(|payment| i128::from(payment.amount_minor)).sum();
        money::saturated(i128::from(self.booked_debt_minor) + orders - payments + i128::from(value_minor))
    }

    /// Whether an order fits under the limit, beside all others.
    ///
    /// # Errors
    /// With the numbers, when it does not.
    pub fn admit(&self, order: Uuid, value_minor: i64, terms: CreditTerms) -> Result<(), OverLimit> {
        let Some(limit_minor) = terms.limit_minor else {
            return Ok(());
        };
        let exposure_minor = self.clone().without_order(order).exposure_with(value_minor);
        if exposure_minor <= limit_minor { Ok(()) } else { Err(OverLimit { limit_minor, exposure_minor }) }
    }

    /// The overdue sum that forbids a sale (C10).
    #[must_use]
    pub fn banning_overdue(&self, terms: CreditTerms) -> Option<i64> {
        (terms.overdue_ban && self.overdue_minor > 0).then_some(self.overdue_minor)
    }

    /// Without an order: it is cancelled, booked, or waits for something else than credit.
    #[must_use]
    pub fn without_order(mut self, order: Uuid) -> Self {
        self.orders.retain(|entry| entry.order_id != order.as_bytes());
        self.held.retain(|entry| entry.order_id != order.as_bytes());
        self
    }

    /// With an order that has no holds, at this value.
    #[must_use]
    pub fn with_order(self, order: Uuid, value_minor: i64) -> Self {
        let mut credit = self.without_order(order);
        if value_minor != 0 {
            let at = credit.orders.partition_point(|entry| entry.order_id.as_slice() < order.as_bytes().as_slice());
            credit.orders.insert(at, OpenOrder { order_id: order.as_bytes().to_vec(), value_minor });
        }
        credit
    }

    /// With an order that waits for credit and for nothing else.
    #[must_use]
    pub fn with_held(self, id: Uuid, order: &Order) -> Self {
        let mut credit = self.without_order(id);
        let entry = HeldOrder {
            order_id: id.as_bytes().to_vec(),
            submitted_at_us: order.submitted_at_us,
            value_minor: order.value_minor,
            agreement_id: order.agreement_id.clone(),
        };
        let age = |entry: &HeldOrder| (entry.submitted_at_us, entry.order_id.clone());
        let at = credit.held.partition_point(|other| age(other) < age(&entry));
        credit.held.insert(at, entry);
        credit
    }

    /// With a payment that the books do not contain yet.
    #[must_use]
    pub fn with_payment(mut self, payment: Uuid, amount_minor: i64) -> Self {
        self.payments.retain(|entry| entry.payment_id != payment.as_bytes());
        let at = self.payments.partition_point(|entry| entry.payment_id.as_slice() < payment.as_bytes().as_slice());
        self.payments.insert(at, OpenPayment { payment_id: payment.as_bytes().to_vec(), amount_minor });
        self
    }

    /// With other figures of the books, which now contain these orders and payments.
    #[must_use]
    pub fn booked(mut self, debt_minor: i64, overdue_minor: i64, orders: &[Uuid], payments: &[Uuid]) -> Self {
        let among = |ids: &[Uuid], id: &[u8]| ids.iter().any(|one| one.as_bytes() == id);
        self.orders.retain(|entry| !among(orders, &entry.order_id));
        self.payments.retain(|entry| !among(payments, &entry.payment_id));
        Self { booked_debt_minor: debt_minor, overdue_minor, ..self }
    }

    /// The part of an amount for which there is no debt, not even a coming one (C22).
    #[must_use]
    pub fn advance_minor(&self, amount_minor: i64) -> i64 {
        amount_minor.saturating_sub(self.exposure_minor().max(0)).max(0)
    }
}

/// The held orders that now fit: oldest first, each on top of those before it, stopping at the first that does not fit,
/// and at most [`RELEASED_AT_ONCE`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releasable {
    /// To be decided again, in this order.
    pub orders: Vec<Uuid>,
    /// There are more that would fit.
    pub more: bool,
}

/// Which held orders now fit. `terms` knows what the agreements of the held orders say; an order whose agreement it does
/// not know does not fit.
pub fn releasable(credit: &Credit, terms: impl Fn(Uuid) -> Option<CreditTerms>) -> Releasable {
    let mut found = Releasable::default();
    let mut ahead = credit.clone();
    for held in &credit.held {
        let ids = Uuid::from_slice(&held.order_id).ok().zip(Uuid::from_slice(&held.agreement_id).ok());
        let Some((order, terms)) = ids.and_then(|(order, agreement)| Some((order, terms(agreement)?))) else {
            break;
        };
        if ahead.banning_overdue(terms).is_some() || ahead.admit(order, held.value_minor, terms).is_err() {
            break;
        }
        if found.orders.len() == RELEASED_AT_ONCE {
            found.more = true;
            break;
        }
        ahead = ahead.with_order(order, held.value_minor);
        found.orders.push(order);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AGREEMENT: Uuid = Uuid::from_u128(77);

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn limit(limit_minor: i64) -> CreditTerms {
        CreditTerms { limit_minor: Some(limit_minor), overdue_ban: true }
    }

    fn held(credit: Credit, number: u128, submitted_at_us: i64, value_minor: i64) -> Credit {
        let agreement_id = AGREEMENT.as_bytes().to_vec();
        credit.with_held(id(number), &Order { submitted_at_us, value_minor, agreement_id, ..Order::default() })
    }

    #[test]
    fn c09_the_exposure_is_debt_and_open_orders_less_open_payments() {
        let credit = Credit { booked_debt_minor: 500, ..Credit::default() };
        let credit = credit.with_order(id(2), 300).with_order(id(1), 50).with_payment(id(9), 200);
        assert_eq!(credit.exposure_minor(), 650);
        assert_eq!(credit.clone().with_order(id(2), 100).exposure_minor(), 450, "an order counts once");
        assert_eq!(credit.booked(600, 0, &[id(2)], &[id(9)]).exposure_minor(), 650);
    }

    #[test]
    fn c09_two_orders_do_not_pass_one_limit() {
        let credit = Credit::default();
        assert_eq!(credit.admit(id(1), 60, limit(100)), Ok(()));
        let credit = credit.with_order(id(1), 60);
        let over = OverLimit { limit_minor: 100, exposure_minor: 120 };
        assert_eq!(credit.admit(id(2), 60, limit(100)), Err(over));
        assert_eq!(credit.admit(id(1), 100, limit(100)), Ok(()), "its own former value does not count");
        assert_eq!(credit.admit(id(2), 60, CreditTerms { limit_minor: None, overdue_ban: true }), Ok(()));
    }

    #[test]
    fn c09_held_orders_go_oldest_first_and_stop_at_the_first_that_does_not_fit() {
        let credit = held(held(held(Credit::default(), 3, 30, 10), 1, 10, 40), 2, 20, 60);
        assert_eq!(releasable(&credit, |_| Some(limit(100))).orders, [id(1), id(2)]);
        assert_eq!(releasable(&credit, |_| Some(limit(90))).orders, [id(1)], "3 would fit, but 2 is older");
        assert_eq!(releasable(&credit, |_| None), Releasable::default());
        let overdue = Credit { overdue_minor: 1, ..credit };
        assert_eq!(releasable(&overdue, |_| Some(limit(100))), Releasable::default());
    }

    #[test]
    fn c09_a_hundred_orders_at_once() {
        let credit = (1..=101).fold(Credit::default(), |credit, number| held(credit, number, 0, 1));
        let found = releasable(&credit, |_| Some(limit(1_000)));
        assert_eq!((found.orders.len(), found.more), (RELEASED_AT_ONCE, true));
        assert!(!releasable(&credit, |_| Some(limit(100))).more, "the last does not fit");
    }

    #[test]
    fn c10_overdue_debt_bans_where_the_agreement_says_so() {
        let credit = Credit { overdue_minor: 5, ..Credit::default() };
        assert_eq!(credit.banning_overdue(limit(0)), Some(5));
        assert_eq!(credit.banning_overdue(CreditTerms { limit_minor: None, overdue_ban: false }), None);
    }

    #[test]
    fn c22_what_meets_no_debt_is_an_advance() {
        let credit = Credit { booked_debt_minor: 100, ..Credit::default() };
        assert_eq!((credit.advance_minor(80), credit.advance_minor(130)), (0, 30));
        assert_eq!(credit.with_payment(id(1), 150).advance_minor(20), 20);
    }

    proptest! {
        #[test]
        fn what_is_released_together_fits(values in proptest::collection::vec(0..50_i64, 0..20), limit_minor in -10..300_i64) {
            let credit = values.iter().zip(1_u128..).fold(Credit::default(), |credit, (value, number)| {
                held(credit, number, 0, *value)
            });
            let found = releasable(&credit, |_| Some(limit(limit_minor)));
            let after = found.orders.iter().fold(credit.clone(), |after, order| {
                let value = credit.held.iter().find(|held| held.order_id == order.as_bytes()).map_or(0, |held| held.value_minor);
                after.with_order(*order, value)
            });
            prop_assert!(found.orders.is_empty() || after.exposure_minor() <= limit_minor);
            prop_assert_eq!(releasable(&after, |_| Some(limit(limit_minor))).orders, Vec::<Uuid>::new());
        }

        #[test]
        fn the_order_of_events_does_not_matter(values in proptest::collection::vec((0..5_u128, 1..50_i64), 0..8)) {
            let last: std::collections::BTreeMap<_, _> = values.iter().copied().collect();
            let credit = values.iter().fold(Credit::default(), |credit, (order, value)| credit.with_order(id(*order), *value));
            let again = last.iter().rev().fold(Credit::default(), |credit, (order, value)| credit.with_order(id(*order), *value));
            prop_assert_eq!(credit, again);
        }

        #[test]
        fn no_input_panics(debt in any::<i64>(), overdue in any::<i64>(), a in any::<i64>(), b in any::<i64>()) {
            let credit = Credit { booked_debt_minor: debt, overdue_minor: overdue, ..Credit::default() };
            let credit = held(credit.with_order(id(1), a).with_payment(id(2), b), 3, a, b);
            let _ = (releasable(&credit, |_| Some(limit(b))), credit.advance_minor(a), credit.admit(id(1), b, limit(a)));
        }
    }
}
