//! What happens to scarce goods by the clock: a product is shared out, in proportion, among the orders that wait for it; what is
//! left of shares is returned; a quota ends. Each time those who wait are asked again.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{HoldReason, Order, OrderLine, OrderStatus, QuotaHolder, StockQuota};
use uuid::Uuid;

use super::check;
use super::order::hold;
use super::quota::{DAY_US, Quota, Quotas, Share};
use super::rejection::Rejection;
use super::waiting::WaitingOrder;

/// So many orders have a part when a product is shared out: those that were submitted first. The others take of what is left.
pub const SHARING: usize = 5_000;
const HOUR_US: i64 = 3_600 * 1_000_000;
/// A day ends so long before it ends in UTC where it ends first on earth, and so long after it where it ends last.
const FIRST_END_US: i64 = 14 * HOUR_US;
const LAST_END_US: i64 = 12 * HOUR_US;

/// How a product was shared out.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SharedOut {
    /// When, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub at_us: i64,
    /// What was free, in thousandths of the base unit.
    #[prost(sint64, tag = "2")]
    pub free_milli: i64,
    /// What was wanted, in thousandths of the base unit.
    #[prost(sint64, tag = "3")]
    pub wanted_milli: i64,
    /// By so many orders.
    #[prost(sint64, tag = "4")]
    pub orders: i64,
    /// Not all of these orders are decided again yet.
    #[prost(bool, tag = "5")]
    pub going_on: bool,
}

/// The internal record `demand{warehouse, product}`: the orders that wait until a product is shared out, the one that was submitted
/// first first.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Demand {
    /// The orders.
    #[prost(message, repeated, tag = "1")]
    pub orders: Vec<OrderDemand>,
}

/// What an order wants of a product that is to be shared out.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OrderDemand {
    /// The order, as it waits.
    #[prost(message, required, tag = "1")]
    pub order: WaitingOrder,
    /// How much, beyond what is set aside for it already, in thousandths of the base unit.
    #[prost(sint64, tag = "2")]
    pub quantity_milli: i64,
}

impl Demand {
    /// With what an order wants now; 0: it does not wait any more.
    #[must_use]
    pub fn with(mut self, order: WaitingOrder, quantity_milli: i64) -> Self {
        self.orders.retain(|known| known.order.order_id != order.order_id);
        if quantity_milli > 0 {
            let place = self.orders.partition_point(|known| known.order < order);
            self.orders.insert(place, OrderDemand { order, quantity_milli });
        }
        self
    }
}

/// What an order wants of the products for which it waits until they are shared out, by warehouse and product, beyond what is set
/// aside for it already, in thousandths of the base unit.
#[must_use]
pub fn demands(order: &Order) -> BTreeMap<(Uuid, Uuid), i64> {
    let mut demands = BTreeMap::new();
    let waits = if order.status() == OrderStatus::Submitted { hold::open(order, HoldReason::Allocation) } else { None };
    let (Some(hold), Ok(warehouse)) = (waits, Uuid::from_slice(&order.warehouse_id)) else { return demands };
    for line in order.lines.iter().filter(|line| hold.line_ids.contains(&line.line_id)) {
        let Ok(product) = Uuid::from_slice(&line.product_id) else { continue };
        let wanted_milli: &mut i64 = demands.entry((warehouse, product)).or_default();
        *wanted_milli = wanted_milli.saturating_add(line.ordered_milli.saturating_sub(line.reserved_milli).max(0));
    }
    demands
}

/// Of which goods an order has, or will have, a share of its own: by warehouse and product.
#[must_use]
pub fn own_shares(order: &Order) -> BTreeSet<(Uuid, Uuid)> {
    let mut goods: BTreeSet<(Uuid, Uuid)> = demands(order).into_keys().collect();
    let is_own = |line: &&OrderLine| {
        let holder =
            line.quota.as_ref().and_then(|quota| quota.holder.as_ref()).and_then(|holder| holder.holder.as_ref());
        matches!(holder, Some(Holder::OrderId(_)))
    };
    if let Ok(warehouse) = Uuid::from_slice(&order.warehouse_id) {
        let products = order.lines.iter().filter(is_own).filter_map(|line| Uuid::from_slice(&line.product_id).ok());
        goods.extend(products.map(|product| (warehouse, product)));
    }
    goods
}

/// What an order that is still to be served has ordered of a product in a warehouse, in thousandths of the base unit.
#[must_use]
pub fn ordered(order: &Order, (warehouse, product): (Uuid, Uuid)) -> i64 {
    match order.status() {
        OrderStatus::Submitted | OrderStatus::Confirmed | OrderStatus::Released
            if order.warehouse_id == warehouse.as_bytes() =>
        {
            let lines = order.lines.iter().filter(|line| line.product_id == product.as_bytes());
            lines.fold(0, |sum, line| sum.saturating_add(line.ordered_milli))
        }
        OrderStatus::Submitted | OrderStatus::Confirmed | OrderStatus::Released => 0,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Closed => 0,
        OrderStatus::Cancelled | OrderStatus::Refused => 0,
    }
}

/// Shares out what is free among those who want `wanted_milli` each, the one who came first first; says what each gets. All in
/// thousandths of the base unit.
///
/// Where all suffices, each gets all. Else each gets the whole steps of what it wants × what is free in whole steps ÷ what all want,
/// and the steps that are left go one by one to the largest remainders, of equal ones to who came first. Nobody gets more than it
/// wants.
#[must_use]
pub fn share_out(free_milli: i64, step_milli: i64, wanted_milli: &[i64]) -> Vec<i64> {
    let wanted: Vec<i128> = wanted_milli.iter().map(|wanted| i128::from(*wanted.max(&0))).collect();
    let (all, free, step) = (wanted.iter().sum::<i128>(), i128::from(free_milli.max(0)), i128::from(step_milli.max(1)));
    if all <= free {
        return wanted_milli.iter().map(|wanted| (*wanted).max(0)).collect();
    }
    let steps = free / step;
    let mut parts: Vec<i128> = wanted.iter().map(|wanted| steps * wanted / all).collect();
    let mut left = steps - parts.iter().sum::<i128>();
    let mut by_remainder: Vec<(i128, usize)> =
        wanted.iter().enumerate().map(|(index, wanted)| (-(steps * wanted % all), index)).collect();
    by_remainder.sort_unstable();
    for (_, index) in by_remainder {
        if left > 0 && parts[index] < wanted[index] / step {
            parts[index] += 1;
            left -= 1;
        }
    }
    // Not above what is wanted, which is an i64.
    parts.iter().map(|part| i64::try_from(part * step).unwrap_or(i64::MAX)).collect()
}

impl Quota {
    /// Whether orders wait until it is shared out.
    #[must_use]
    pub fn is_to_be_shared_out(&self) -> bool {
        self.share_out_at_us != 0 && self.shared_out.is_none()
    }

    /// Whether it was shared out, and not all who had waited are decided again.
    #[must_use]
    pub fn is_being_shared_out(&self) -> bool {
        self.shared_out.is_some_and(|shared_out| shared_out.going_on)
    }

    /// The first moment after another one at which what it claims is free again; `None`: there is none any more. Its last day ends
    /// at another moment in each territory: each hour in which it may is one.
    fn returns_after(&self, after_us: i64) -> Option<i64> {
        let end_us = i64::from(self.to_day).saturating_add(1).saturating_mul(DAY_US);
        let (first_us, last_us) = (end_us - FIRST_END_US, end_us + LAST_END_US);
        let next_us = first_us.max((after_us.div_euclid(HOUR_US) + 1) * HOUR_US);
        let ends_us = (self.to_day != 0 && next_us <= last_us).then_some(next_us);
        match self.return_at_us {
            0 => ends_us,
            returned if returned > after_us => Some(ends_us.map_or(returned, |ends| ends.min(returned))),
            _ => None,
        }
    }
}

impl Quotas {
    /// When those who wait are to be asked next because of the clock, in microseconds since the Unix epoch; `None`: never.
    #[must_use]
    pub fn next_moment(&self) -> Option<i64> {
        let unfinished = self.quotas.iter().filter(|quota| quota.is_to_be_shared_out() || quota.is_being_shared_out());
        let returns = self.quotas.iter().filter_map(|quota| quota.returns_after(self.asked_at_us));
        let asked = Some(self.ask_at_us).filter(|at_us| *at_us != 0);
        unfinished.map(|quota| quota.share_out_at_us).chain(returns).chain(asked).min()
    }

    /// Shares the product out, if that is due, in steps of so much: the shares of the quota are then those of the orders. Returns
    /// whether it did. Nothing begins before all orders are decided again that have waited for another quota.
    pub fn share_out(&mut self, demand: &Demand, (free_milli, step_milli): (i64, i64), now_us: i64) -> bool {
        if self.quotas.iter().any(Quota::is_being_shared_out) {
            return false;
        }
        let due = |quota: &&mut Quota| quota.is_to_be_shared_out() && quota.share_out_at_us <= now_us;
        let Some(quota) = self.quotas.iter_mut().filter(due).min_by_key(|quota| quota.share_out_at_us) else {
            return false;
        };
        let orders = &demand.orders[..demand.orders.len().min(SHARING)];
        let wanted: Vec<i64> = orders.iter().map(|order| order.quantity_milli).collect();
        let parts = share_out(free_milli, step_milli, &wanted);
        quota.shared_out = Some(SharedOut {
            at_us: now_us,
            free_milli,
            wanted_milli: wanted.iter().fold(0, |sum, wanted| sum.saturating_add(*wanted)),
            orders: i64::try_from(orders.len()).unwrap_or(i64::MAX),
            going_on: true,
        });
        let share = |(order, quantity_milli): (&OrderDemand, i64)| Share {
            holder: Some(QuotaHolder { holder: Some(Holder::OrderId(order.order.order_id.clone())) }),
            quantity_milli,
            used_milli: 0,
        };
        quota.shares.extend(orders.iter().zip(parts).filter(|(_, part)| *part > 0).map(share));
        true
    }

    /// All who wait were asked, at this moment, because of what was due since another one.
    pub fn asked(&mut self, now_us: i64, since_us: i64) {
        self.asked_at_us = now_us;
        if self.ask_at_us <= since_us {
            self.ask_at_us = 0;
        }
        for shared_out in self.quotas.iter_mut().filter_map(|quota| quota.shared_out.as_mut()) {
            shared_out.going_on = false;
        }
    }

    /// An order claims no more of its own share than it still orders; returns whether others may have more now.
    pub fn limit(&mut self, order: Uuid, ordered_milli: i64) -> bool {
        let mut gives = false;
        for quota in &mut self.quotas {
            for share in quota.shares.iter_mut().filter(|share| share.order() == Some(order)) {
                gives |= share.used_milli.max(ordered_milli) < share.quantity_milli;
                share.quantity_milli = share.quantity_milli.min(ordered_milli);
            }
            quota.shares.retain(|share| share.quantity_milli != 0 || share.used_milli != 0);
        }
        gives
    }
}

/// The form of what happens to a quota by the clock.
///
/// # Errors
/// For its form.
pub(super) fn form(quota: &StockQuota) -> Result<(), Rejection> {
    check::range(quota.share_out_at_us, 0..=i64::MAX, "share_out_at_us")?;
    if quota.share_out_at_us == 0 {
        return Ok(());
    }
    if !quota.entries.is_empty() {
        return Err(check::out_of_range("entries"));
    }
    if quota.return_at_us != 0 && quota.return_at_us <= quota.share_out_at_us {
        return Err(check::out_of_range("return_at_us"));
    }
    let end_us = i64::from(quota.valid_to_day).saturating_add(1).saturating_mul(DAY_US).saturating_add(LAST_END_US);
    if quota.valid_to_day != 0 && quota.share_out_at_us > end_us {
        return Err(check::out_of_range("share_out_at_us"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roundsman_proto::trade::{Hold, LineQuota};

    use super::super::quota::Claimant;
    use super::*;

    const QUOTA: Uuid = Uuid::from_u128(1);
    const WAREHOUSE: Uuid = Uuid::from_u128(2);
    const TEA: Uuid = Uuid::from_u128(3);
    const TODAY: i32 = 20_000;
    const MIDNIGHT_US: i64 = TODAY as i64 * DAY_US;

    fn entry(number: u128, submitted_at_us: i64) -> WaitingOrder {
        WaitingOrder::new(Uuid::from_u128(number), &Order { submitted_at_us, ..Order::default() })
    }

    /// Orders 1, 2 … that want so much each, the first one first.
    fn demand(wanted: &[i64]) -> Demand {
        let numbers = 1..=i64::try_from(wanted.len()).expect("a few");
        let of = |demand: Demand, (number, wanted): (i64, &i64)| demand.with(entry(number as u128, number), *wanted);
        numbers.zip(wanted).fold(Demand::default(), of)
    }

    fn quotas(quota: &StockQuota) -> Quotas {
        let mut quotas = Quotas::default();
        quotas.note(QUOTA, quota, MIDNIGHT_US);
        quotas
    }

    /// What an order may take.
    fn allowed(quotas: &Quotas, order: u128, free_milli: i64, (day, now_us): (i32, i64)) -> Option<i64> {
        let order_id = Uuid::from_u128(order);
        let (rep_id, territory_id, labels) = (&[][..], &[][..], &[][..]);
        let claimant = Claimant { order_id: order_id.as_bytes(), rep_id, territory_id, labels, day, now_us };
        let allowance = quotas.allow(&claimant, free_milli, OrderStatus::Submitted, std::iter::empty());
        allowance.map(|allowance| allowance.most_milli)
    }

    fn share_of(order: u128) -> LineQuota {
        let holder = Holder::OrderId(Uuid::from_u128(order).as_bytes().to_vec());
        LineQuota { quota_id: QUOTA.as_bytes().to_vec(), holder: Some(QuotaHolder { holder: Some(holder) }) }
    }

    #[test]
    fn c11_goods_are_shared_out_in_proportion_in_whole_steps() {
        assert_eq!(share_out(10, 1, &[4, 5]), [4, 5], "all suffices");
        assert_eq!(share_out(10, 1, &[10, 20]), [3, 7], "the largest remainder");
        assert_eq!(share_out(5, 1, &[4, 4]), [3, 2], "of equal ones who came first");
        assert_eq!(share_out(25, 10, &[30, 30]), [10, 10], "what is no whole step is left");
        assert_eq!(share_out(35, 10, &[19, 19]), [10, 10], "nobody gets a part of a step");
        assert_eq!(share_out(-5, 1, &[4]), [0]);
        assert_eq!(share_out(i64::MAX, 1, &[i64::MAX, i64::MAX]), [i64::MAX / 2 + 1, i64::MAX / 2]);
        assert_eq!(share_out(10, 1, &[]), Vec::<i64>::new());
    }

    #[test]
    fn c11_orders_wait_until_the_product_is_shared_out_and_then_have_shares() {
        let quota =
            StockQuota { share_out_at_us: MIDNIGHT_US + 50, return_at_us: MIDNIGHT_US + 90, ..StockQuota::default() };
        let mut quotas = quotas(&quota);
        let at = |us: i64| (TODAY, MIDNIGHT_US + us);
        assert_eq!(quotas.next_moment(), Some(MIDNIGHT_US + 50));
        assert_eq!(allowed(&quotas, 1, 10, at(0)), Some(0));
        let demand = demand(&[4, 12, 0]);
        assert!(!quotas.share_out(&demand, (10, 1), MIDNIGHT_US + 49));
        assert!(quotas.share_out(&demand, (10, 1), MIDNIGHT_US + 95), "the server was away");
        assert!(!quotas.share_out(&demand, (10, 1), MIDNIGHT_US + 95), "once");
        let each = |quotas: &Quotas, free, us| [1, 2, 3].map(|order| allowed(quotas, order, free, at(us)));
        assert_eq!(each(&quotas, 11, 95), [Some(3), Some(7), Some(1)], "nothing is returned before all have theirs");
        assert_eq!(quotas.next_moment(), Some(MIDNIGHT_US + 50), "that goes on");
        quotas.count(&share_of(2), 7);
        quotas.asked(MIDNIGHT_US + 60, MIDNIGHT_US + 60);
        assert_eq!(each(&quotas, 5, 60), [Some(5), Some(2), Some(2)], "what no share claims is anybody's");
        assert_eq!(quotas.next_moment(), Some(MIDNIGHT_US + 90));
        assert_eq!(allowed(&quotas, 3, 5, at(90)), None, "returned");
        quotas.asked(MIDNIGHT_US + 90, MIDNIGHT_US + 90);
        assert_eq!(quotas.next_moment(), None);
    }

    #[test]
    fn a_share_is_never_more_than_the_order_still_wants() {
        let mut quotas = quotas(&StockQuota { share_out_at_us: 1, ..StockQuota::default() });
        assert!(quotas.share_out(&demand(&[6, 6]), (6, 1), MIDNIGHT_US));
        quotas.asked(MIDNIGHT_US, MIDNIGHT_US);
        let first = Uuid::from_u128(1);
        assert!(!quotas.limit(first, 3), "as much as it has");
        assert!(quotas.limit(first, 2));
        assert_eq!(allowed(&quotas, 9, 6, (TODAY, MIDNIGHT_US)), Some(1));
        quotas.count(&share_of(1), 2);
        assert!(!quotas.limit(first, 0), "it has taken it");
        quotas.count(&share_of(1), -2);
        assert_eq!(allowed(&quotas, 9, 6, (TODAY, MIDNIGHT_US)), Some(3), "called off, it is nobody's");
    }

    #[test]
    fn what_is_shared_out_stays_so_when_the_quota_changes() {
        let quota = StockQuota { share_out_at_us: 1, ..StockQuota::default() };
        let mut quotas = quotas(&quota);
        assert!(quotas.share_out(&demand(&[6, 6]), (6, 1), MIDNIGHT_US));
        quotas.note(QUOTA, &StockQuota { return_at_us: MIDNIGHT_US + 9, ..quota }, MIDNIGHT_US);
        assert_eq!(allowed(&quotas, 1, 6, (TODAY, MIDNIGHT_US)), Some(3));
    }

    #[test]
    fn a_last_day_ends_hour_by_hour_around_the_earth() {
        let quota = StockQuota { valid_to_day: TODAY, ..StockQuota::default() };
        let mut quotas = quotas(&quota);
        let mut moments = Vec::new();
        while let Some(at_us) = quotas.next_moment() {
            moments.push((at_us - MIDNIGHT_US) / HOUR_US);
            quotas.asked(at_us, at_us);
        }
        assert_eq!(moments, (10..=36).collect::<Vec<_>>());
        let mut late = Quotas { asked_at_us: MIDNIGHT_US + 20 * HOUR_US + 1, ..quotas.clone() };
        assert_eq!(late.next_moment(), Some(MIDNIGHT_US + 21 * HOUR_US));
        late.note(QUOTA, &StockQuota { return_at_us: MIDNIGHT_US, ..quota }, MIDNIGHT_US);
        assert_eq!(late.next_moment(), None, "it was returned before");
        late.ask_at_us = MIDNIGHT_US;
        late.asked(MIDNIGHT_US + 1, MIDNIGHT_US - 1);
        assert_eq!(late.next_moment(), Some(MIDNIGHT_US), "some were asked before it changed");
        late.asked(MIDNIGHT_US + 2, MIDNIGHT_US);
        assert_eq!(late.next_moment(), None);
    }

    #[test]
    fn an_order_wants_what_it_has_not() {
        let line = |number: u8, ordered_milli, reserved_milli| OrderLine {
            line_id: vec![number; 16],
            product_id: TEA.as_bytes().to_vec(),
            ordered_milli,
            reserved_milli,
            ..OrderLine::default()
        };
        let hold =
            Hold { reason: HoldReason::Allocation.into(), line_ids: vec![vec![1; 16], vec![2; 16]], ..Hold::default() };
        let order = Order {
            warehouse_id: WAREHOUSE.as_bytes().to_vec(),
            status: OrderStatus::Submitted.into(),
            holds: vec![hold],
            lines: vec![line(1, 5, 2), line(2, 4, 0), line(3, 7, 0)],
            ..Order::default()
        };
        let goods = (WAREHOUSE, TEA);
        assert_eq!(demands(&order), [(goods, 7)].into());
        assert_eq!((own_shares(&order), ordered(&order, goods), ordered(&order, (TEA, TEA))), ([goods].into(), 16, 0));
        let mut confirmed = Order { status: OrderStatus::Confirmed.into(), ..order };
        assert_eq!((demands(&confirmed), own_shares(&confirmed)), ([].into(), [].into()));
        confirmed.lines[0].quota = Some(share_of(1));
        assert_eq!(own_shares(&confirmed), [goods].into());
        confirmed.set_status(OrderStatus::Cancelled);
        assert_eq!(ordered(&confirmed, goods), 0);
        let waiting = demand(&[4, 5]).with(entry(2, 2), 7).with(entry(1, 1), 0).with(entry(3, 0), 1);
        let ids = waiting.orders.iter().map(|order| (order.order.submitted_at_us, order.quantity_milli));
        assert_eq!(ids.collect::<Vec<_>>(), [(0, 1), (2, 7)]);
    }

    #[test]
    fn a_quota_that_is_shared_out_at_a_moment_has_no_entries() {
        let quota = |share_out_at_us, return_at_us, entries: &[i64]| {
            let entry = |quantity_milli: &i64| roundsman_proto::trade::QuotaEntry {
                holder: None,
                quantity_milli: *quantity_milli,
            };
            let entries = entries.iter().map(entry).collect();
            form(&StockQuota { share_out_at_us, return_at_us, entries, ..StockQuota::default() })
                .map_err(|refused| refused.field)
        };
        assert_eq!((quota(5, 0, &[]), quota(5, 6, &[]), quota(0, 5, &[1])), (Ok(()), Ok(()), Ok(())));
        assert_eq!(quota(5, 0, &[1]), Err("entries".to_owned()));
        assert_eq!(quota(5, 5, &[]), Err("return_at_us".to_owned()));
        assert_eq!(quota(-1, 0, &[]), Err("share_out_at_us".to_owned()));
        let by_its_end = |share_out_at_us| StockQuota { share_out_at_us, valid_to_day: TODAY, ..StockQuota::default() };
        let end_us = MIDNIGHT_US + DAY_US + LAST_END_US;
        assert_eq!((form(&by_its_end(end_us)).is_ok(), form(&by_its_end(end_us + 1)).is_ok()), (true, false));
    }

    proptest! {
        #[test]
        fn nobody_is_wronged(
            free in -10..500_i64,
            step in 1..12_i64,
            wanted in proptest::collection::vec(0..90_i64, 0..12),
        ) {
            let parts = share_out(free, step, &wanted);
            let (given, all): (i64, i64) = (parts.iter().sum(), wanted.iter().sum());
            prop_assert!(given <= free.max(0));
            prop_assert!(all > free || parts == wanted, "all is enough for all");
            // More goods never give less in all; a single order may lose a step to another, as with all largest remainders.
            prop_assert!(share_out(free + 1, step, &wanted).iter().sum::<i64>() >= given);
            for (index, (part, wants)) in parts.iter().zip(&wanted).enumerate() {
                prop_assert!((0..=*wants).contains(part));
                prop_assert!(all <= free || part % step == 0);
                let exact = free.max(0) / step * step * wants;
                prop_assert!(all <= free || (part * all - exact).abs() < step * all, "less than a step beside the exact part");
                for (other, wants_too) in parts.iter().zip(&wanted).skip(index + 1) {
                    prop_assert!(wants < wants_too || part >= other, "who wants more, or came first, never gets less");
                    prop_assert!(wants_too <= wants || other >= part);
                }
            }
        }

        #[test]
        fn nothing_is_left_that_somebody_could_have(free in 0..500_i64, wanted in proptest::collection::vec(0..90_i64, 1..12)) {
            let given: i64 = share_out(free, 1, &wanted).iter().sum();
            prop_assert_eq!(given, free.min(wanted.iter().sum()));
        }
    }
}
