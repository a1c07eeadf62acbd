//! Scarce goods that are shared out: how much of what is free an order may take, and in whose share it counts.

use prost::Message;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{
    LineDifference, LineQuota, Order, OrderLine, OrderStatus, QuotaEntry, QuotaHolder, Reason, StockQuota,
};
use uuid::Uuid;

use super::allocation::{self, SharedOut};
use super::check;
use super::order::fulfil::on_its_way;
use super::rejection::Rejection;

/// The largest number of shares of one quota.
pub const SHARES: usize = 500;
/// So many quotas of one product in one warehouse are known beside each other.
pub const QUOTAS: usize = 20;
/// For so many days after its end a quota is still known, for orders that give back.
const LATE_DAYS: i32 = 45;
/// A day, in microseconds.
pub(super) const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// The internal record `quotas{warehouse, product}`: the quotas, of which none are in force at the same time, with what
/// orders have taken of each share.
#[derive(Clone, PartialEq, Message)]
pub struct Quotas {
    /// In the order in which they were set first.
    #[prost(message, repeated, tag = "1")]
    pub quotas: Vec<Quota>,
    /// When those who wait were asked last because of a moment of a quota, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub asked_at_us: i64,
    /// Since this moment those who wait are to be asked because a quota has changed, in microseconds since the Unix epoch; 0: they
    /// are not.
    #[prost(sint64, tag = "3")]
    pub ask_at_us: i64,
}

/// A quota, as orders are decided by it.
#[derive(Clone, PartialEq, Message)]
pub struct Quota {
    /// The record; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub quota_id: Vec<u8>,
    /// The first day; 0: no beginning.
    #[prost(sint32, tag = "2")]
    pub from_day: i32,
    /// The last day; 0: no end.
    #[prost(sint32, tag = "3")]
    pub to_day: i32,
    /// From this moment on it no longer binds, in microseconds since the Unix epoch; 0: not before its end.
    #[prost(sint64, tag = "4")]
    pub return_at_us: i64,
    /// The shares, and those that are no more, but were taken from.
    #[prost(message, repeated, tag = "5")]
    pub shares: Vec<Share>,
    /// At this moment it is shared out among the orders that wait, in microseconds since the Unix epoch; 0: it is not.
    #[prost(sint64, tag = "6")]
    pub share_out_at_us: i64,
    /// How it was; missing: it was not yet.
    #[prost(message, optional, tag = "7")]
    pub shared_out: Option<SharedOut>,
}

/// Somebody's share.
#[derive(Clone, PartialEq, Message)]
pub struct Share {
    /// Whose.
    #[prost(message, optional, tag = "1")]
    pub holder: Option<QuotaHolder>,
    /// How much, in thousandths of the base unit.
    #[prost(sint64, tag = "2")]
    pub quantity_milli: i64,
    /// What orders count for in it. More than the share, where they got of what nobody claimed.
    #[prost(sint64, tag = "3")]
    pub used_milli: i64,
}

/// Who takes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The order.
    pub order_id: &'a [u8],
    /// The rep who took the order; empty: the office.
    pub rep_id: &'a [u8],
    /// The territory of the order's outlet.
    pub territory_id: &'a [u8],
    /// The outlet's labels.
    pub labels: &'a [String],
    /// The day of the decision, in the territory's calendar.
    pub day: i32,
    /// The moment of the decision, in microseconds since the Unix epoch.
    pub now_us: i64,
}

/// What an order may take of a product that is shared out.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowance {
    /// At most so much, in thousandths of the base unit.
    pub most_milli: i64,
    /// In which share it counts; `None`: in none.
    pub share: Option<LineQuota>,
    /// It is shared out at this moment, in microseconds since the Unix epoch, and until then nobody takes of it; `None`: it is not,
    /// or was.
    pub share_out_at_us: Option<i64>,
}

/// What an order counts for in a share.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The warehouse.
    pub warehouse: Uuid,
    /// The product.
    pub product: Uuid,
    /// The share.
    pub share: LineQuota,
    /// How much, in thousandths of the base unit.
    pub quantity_milli: i64,
}

impl Share {
    /// The order whose own it is; `None`: it is somebody else's.
    #[must_use]
    pub fn order(&self) -> Option<Uuid> {
        match self.holder.as_ref().and_then(|holder| holder.holder.as_ref())? {
            Holder::OrderId(order) => Uuid::from_slice(order).ok(),
            Holder::RepId(_) | Holder::TerritoryId(_) | Holder::OutletLabel(_) => None,
        }
    }

    /// What is left of it, once so much is given back.
    fn left(&self, returned_milli: i64) -> i64 {
        let used = self.used_milli.saturating_sub(returned_milli);
        self.quantity_milli.saturating_sub(used).max(0)
    }
}

impl Quota {
    /// Nobody gets back what is not shared out yet.
    fn is_in_force(&self, day: i32, now_us: i64) -> bool {
        (self.from_day == 0 || self.from_day <= day)
            && (self.to_day == 0 || day <= self.to_day)
            && (self.return_at_us == 0 || now_us < self.return_at_us || self.is_to_be_shared_out())
    }

    /// The share in which an order counts: its own, else the rep's, else the territory's, else that of the first label.
    fn share_of(&self, claimant: &Claimant<'_>) -> Option<&Share> {
        let of = |is_whose: &dyn Fn(&Holder) -> bool| {
            let holder =
                |share: &&Share| share.holder.as_ref().and_then(|holder| holder.holder.as_ref()).is_some_and(is_whose);
            self.shares.iter().filter(|share| share.quantity_milli > 0).find(holder)
        };
        of(&|holder| matches!(holder, Holder::OrderId(order) if order == claimant.order_id))
            .or_else(|| of(&|holder| matches!(holder, Holder::RepId(rep) if rep == claimant.rep_id)))
            .or_else(|| of(&|holder| matches!(holder, Holder::TerritoryId(id) if id == claimant.territory_id)))
            .or_else(|| of(&|holder| matches!(holder, Holder::OutletLabel(label) if claimant.labels.contains(label))))
    }

    fn named(&self, share: &Share) -> LineQuota {
        LineQuota { quota_id: self.quota_id.clone(), holder: share.holder.clone() }
    }
}

impl Quotas {
    /// What of `free_milli` an order may take, once it gives back what these lines of it count for; `None`: no quota is in
    /// force, and it may take all. First its own share, and then what no share claims. While a product is being shared out, an order
    /// that has a share takes no more than that: the others may not have theirs yet.
    #[must_use]
    pub fn allow<'a>(
        &self,
        claimant: &Claimant<'_>,
        free_milli: i64,
        status: OrderStatus,
        returned: impl Iterator<Item = &'a OrderLine>,
    ) -> Option<Allowance> {
        let in_force = |quota: &&Quota| quota.is_in_force(claimant.day, claimant.now_us);
        // Whatever the day is by now, those who have waited have what they waited for.
        let quota = self.quotas.iter().find(|quota| quota.is_being_shared_out());
        let quota = quota.or_else(|| self.quotas.iter().find(in_force))?;
        if quota.is_to_be_shared_out() {
            return Some(Allowance { most_milli: 0, share: None, share_out_at_us: Some(quota.share_out_at_us) });
        }
        let returned: Vec<&OrderLine> = returned.collect();
        let left = |share: &Share| {
            let name = Some(quota.named(share));
            let lines = returned.iter().filter(|line| line.quota == name);
            share.left(lines.fold(0, |sum, line| sum.saturating_add(counted(line, status))))
        };
        let share = quota.share_of(claimant);
        let beyond_milli = match share.filter(|_| quota.is_being_shared_out()) {
            Some(share) => {
                let name = Some(quota.named(share));
                let had_before = returned.iter().filter(|line| line.quota != name);
                had_before.fold(0, |sum: i64, line| sum.saturating_add(line.reserved_milli))
            }
            None => {
                let claimed = quota.shares.iter().fold(0_i64, |sum, share| sum.saturating_add(left(share)));
                free_milli.saturating_sub(claimed).max(0)
            }
        };
        let most_milli = share.map_or(0, left).saturating_add(beyond_milli).min(free_milli).max(0);
        Some(Allowance { most_milli, share: share.map(|share| quota.named(share)), share_out_at_us: None })
    }

    /// Counts so much more in a share, or less. Of a quota that is no longer known nothing is counted.
    pub fn count(&mut self, share: &LineQuota, by_milli: i64) {
        let Some(quota) = self.quotas.iter_mut().find(|quota| quota.quota_id == share.quota_id) else { return };
        match quota.shares.iter_mut().find(|known| known.holder == share.holder) {
            Some(known) => known.used_milli = known.used_milli.saturating_add(by_milli),
            None => quota.shares.push(Share { holder: share.holder.clone(), quantity_milli: 0, used_milli: by_milli }),
        }
        quota.shares.retain(|share| share.quantity_milli != 0 || share.used_milli != 0);
    }

    /// Whether it is still known.
    #[must_use]
    pub fn knows(&self, id: Uuid) -> bool {
        self.quotas.iter().any(|quota| quota.quota_id == id.as_bytes())
    }

    /// Another quota that has some of the same days.
    #[must_use]
    pub fn beside(&self, id: Uuid, quota: &StockQuota) -> Option<Uuid> {
        let ends_before = |to_day: i32, from_day: i32| to_day != 0 && to_day < from_day;
        let meets = |other: &&Quota| {
            other.quota_id != id.as_bytes()
                && !ends_before(other.to_day, quota.valid_from_day)
                && !ends_before(quota.valid_to_day, other.from_day)
        };
        self.quotas.iter().find(meets).and_then(|other| Uuid::from_slice(&other.quota_id).ok())
    }

    /// Sets a quota, at a moment in microseconds since the Unix epoch; what was taken of its shares stays, and so do the shares of
    /// orders. Those that ended long before are forgotten.
    pub fn note(&mut self, id: Uuid, quota: &StockQuota, now_us: i64) {
        if self.quotas.is_empty() {
            self.asked_at_us = now_us;
        }
        let before = self.quotas.iter().position(|known| known.quota_id == id.as_bytes());
        let taken = before.map(|place| self.quotas[place].shares.clone()).unwrap_or_default();
        let shared_out = before.and_then(|place| self.quotas[place].shared_out);
        let share = |entry: &QuotaEntry| Share {
            holder: entry.holder.clone(),
            quantity_milli: entry.quantity_milli,
            used_milli: 0,
        };
        let mut noted = Quota {
            quota_id: id.as_bytes().to_vec(),
            from_day: quota.valid_from_day,
            to_day: quota.valid_to_day,
            return_at_us: quota.return_at_us,
            shares: quota.entries.iter().map(share).collect(),
            share_out_at_us: quota.share_out_at_us,
            shared_out,
        };
        for share in taken {
            match noted.shares.iter_mut().find(|known| known.holder == share.holder) {
                Some(known) => known.used_milli = share.used_milli,
                None if share.order().is_some() => noted.shares.push(share),
                None => noted.shares.push(Share { quantity_milli: 0, ..share }),
            }
        }
        noted.shares.retain(|share| share.quantity_milli != 0 || share.used_milli != 0);
        match before {
            Some(place) => self.quotas[place] = noted,
            None => self.quotas.push(noted),
        }
        let today = i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
        self.quotas.retain(|quota| quota.to_day == 0 || quota.to_day >= today.saturating_sub(LATE_DAYS));
    }
}

/// The form of a quota.
///
/// # Errors
/// For its form; `REASON_REPEATED_ID` when a holder has two shares.
pub fn form(quota: &StockQuota) -> Result<(), Rejection> {
    check::optional_day(quota.valid_from_day, "valid_from_day")?;
    check::optional_day(quota.valid_to_day, "valid_to_day")?;
    if quota.valid_to_day != 0 && quota.valid_to_day < quota.valid_from_day {
        return Err(check::out_of_range("valid_to_day"));
    }
    check::range(quota.return_at_us, 0..=i64::MAX, "return_at_us")?;
    allocation::form(quota)?;
    check::count(quota.entries.len(), SHARES, "entries")?;
    let mut seen: Vec<&Holder> = Vec::with_capacity(quota.entries.len());
    for (index, entry) in quota.entries.iter().enumerate() {
        let at = check::at("entries", index);
        check::quantity(entry.quantity_milli, "quantity_milli").map_err(&at)?;
        let holder = entry.holder.as_ref().and_then(|holder| holder.holder.as_ref());
        let holder = holder.ok_or_else(|| at(check::missing("holder")))?;
        match holder {
            Holder::RepId(id) => check::id(id, "rep_id").map(drop),
            Holder::TerritoryId(id) => check::id(id, "territory_id").map(drop),
            Holder::OutletLabel(label) => check::required_text(label, check::NAME_CHARS, "outlet_label"),
            Holder::OrderId(_) => Err(check::out_of_range("order_id")),
        }
        .map_err(&at)?;
        if seen.contains(&holder) {
            return Err(at(Rejection::new(Reason::RepeatedId).field("holder")));
        }
        seen.push(holder);
    }
    Ok(())
}

/// What a line counts for in its share: what is confirmed; of a back-order, and while the order is held, what is set aside or has
/// gone to the customer.
fn counted(line: &OrderLine, status: OrderStatus) -> i64 {
    let is_part = line.difference() == LineDifference::BackOrdered;
    match status {
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed if !is_part => line.confirmed_milli,
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Submitted => {
            line.reserved_milli.saturating_add(line.delivered_milli).saturating_add(on_its_way(line))
        }
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => 0,
        OrderStatus::Unspecified | OrderStatus::Draft => 0,
    }
}

/// What an order counts for, by its lines.
#[must_use]
pub fn taken(order: &Order) -> Vec<Taken> {
    let Ok(warehouse) = Uuid::from_slice(&order.warehouse_id) else { return Vec::new() };
    let taken = |line: &OrderLine| {
        let product = Uuid::from_slice(&line.product_id).ok()?;
        let (share, quantity_milli) = (line.quota.clone()?, counted(line, order.status()));
        (quantity_milli != 0).then_some(Taken { warehouse, product, share, quantity_milli })
    };
    order.lines.iter().filter_map(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUOTA: Uuid = Uuid::from_u128(1);
    const ANNA: Uuid = Uuid::from_u128(2);
    const NORTH: Uuid = Uuid::from_u128(3);
    const TODAY: i32 = 20_000;
    const NOW_US: i64 = TODAY as i64 * DAY_US;
    const ORDER: Uuid = Uuid::from_u128(9);

    fn rep(id: Uuid) -> QuotaHolder {
        QuotaHolder { holder: Some(Holder::RepId(id.as_bytes().to_vec())) }
    }

    fn territory(id: Uuid) -> QuotaHolder {
        QuotaHolder { holder: Some(Holder::TerritoryId(id.as_bytes().to_vec())) }
    }

    fn label(label: &str) -> QuotaHolder {
        QuotaHolder { holder: Some(Holder::OutletLabel(label.to_owned())) }
    }

    fn quota(entries: &[(QuotaHolder, i64)]) -> StockQuota {
        let entry = |(holder, quantity_milli): &(QuotaHolder, i64)| QuotaEntry {
            holder: Some(holder.clone()),
            quantity_milli: *quantity_milli,
        };
        StockQuota {
            valid_from_day: TODAY,
            valid_to_day: TODAY + 7,
            return_at_us: 1_000,
            entries: entries.iter().map(entry).collect(),
            ..StockQuota::default()
        }
    }

    fn quotas(entries: &[(QuotaHolder, i64)]) -> Quotas {
        let mut quotas = Quotas::default();
        quotas.note(QUOTA, &quota(entries), NOW_US);
        quotas
    }

    fn named(holder: QuotaHolder) -> LineQuota {
        LineQuota { quota_id: QUOTA.as_bytes().to_vec(), holder: Some(holder) }
    }

    /// What somebody may take, and in which share.
    fn allowed(quotas: &Quotas, who: (Uuid, Uuid, &str), free_milli: i64) -> Option<(i64, Option<QuotaHolder>)> {
        at(quotas, who, free_milli, (TODAY, 0))
    }

    fn at(
        quotas: &Quotas,
        (rep, territory, label): (Uuid, Uuid, &str),
        free_milli: i64,
        (day, now_us): (i32, i64),
    ) -> Option<(i64, Option<QuotaHolder>)> {
        let claimant = Claimant {
            order_id: ORDER.as_bytes(),
            rep_id: rep.as_bytes(),
            territory_id: territory.as_bytes(),
            labels: &[label.to_owned()],
            day,
            now_us,
        };
        let allowance = quotas.allow(&claimant, free_milli, OrderStatus::Confirmed, std::iter::empty())?;
        Some((allowance.most_milli, allowance.share.and_then(|share| share.holder)))
    }

    #[test]
    fn an_order_takes_its_own_share_and_what_nobody_claims() {
        let mut quotas = quotas(&[(rep(ANNA), 4), (territory(NORTH), 3), (label("pharmacy"), 2)]);
        let other = Uuid::nil();
        assert_eq!(allowed(&quotas, (ANNA, NORTH, "pharmacy"), 10), Some((5, Some(rep(ANNA)))));
        assert_eq!(allowed(&quotas, (other, NORTH, "pharmacy"), 10), Some((4, Some(territory(NORTH)))));
        assert_eq!(allowed(&quotas, (other, other, "pharmacy"), 10), Some((3, Some(label("pharmacy")))));
        assert_eq!(allowed(&quotas, (other, other, ""), 10), Some((1, None)));
        assert_eq!(allowed(&quotas, (other, other, ""), 9), Some((0, None)));
        assert_eq!(allowed(&quotas, (ANNA, other, ""), 3), Some((3, Some(rep(ANNA)))), "no more than there is");
        assert_eq!(allowed(&quotas, (ANNA, other, ""), -3), Some((0, Some(rep(ANNA)))));
        quotas.count(&named(rep(ANNA)), 5);
        assert_eq!(allowed(&quotas, (ANNA, other, ""), 5), Some((0, Some(rep(ANNA)))), "used up");
        quotas.count(&named(rep(ANNA)), -2);
        assert_eq!(allowed(&quotas, (ANNA, other, ""), 7), Some((2, Some(rep(ANNA)))), "given back");
    }

    #[test]
    fn what_is_not_used_is_free_for_all_from_the_cut_off_on() {
        let quotas = quotas(&[(rep(ANNA), 4)]);
        let other = (Uuid::nil(), NORTH, "");
        assert_eq!(at(&quotas, other, 10, (TODAY, 999)), Some((6, None)));
        assert_eq!(at(&quotas, other, 10, (TODAY, 1_000)), None);
        assert_eq!(at(&quotas, other, 10, (TODAY - 1, 0)), None);
        assert_eq!(at(&quotas, other, 10, (TODAY + 7, 0)), Some((6, None)));
        assert_eq!(at(&quotas, other, 10, (TODAY + 8, 0)), None);
    }

    #[test]
    fn what_was_taken_of_a_share_stays_known_when_the_quota_changes() {
        let mut quotas = quotas(&[(rep(ANNA), 4)]);
        quotas.count(&named(rep(ANNA)), 3);
        quotas.note(QUOTA, &quota(&[(territory(NORTH), 9)]), NOW_US);
        assert_eq!(allowed(&quotas, (ANNA, Uuid::nil(), ""), 10), Some((1, None)), "it has no share any more");
        quotas.note(QUOTA, &quota(&[(rep(ANNA), 5)]), NOW_US);
        assert_eq!(allowed(&quotas, (ANNA, Uuid::nil(), ""), 2), Some((2, Some(rep(ANNA)))));
        let later = StockQuota { valid_from_day: TODAY + 60, valid_to_day: TODAY + 61, ..quota(&[]) };
        quotas.note(ANNA, &later, NOW_US + 60 * DAY_US);
        assert!(!quotas.knows(QUOTA) && quotas.knows(ANNA), "that is long over");
        quotas.count(&named(rep(ANNA)), -3);
        assert!(!quotas.knows(QUOTA));
    }

    #[test]
    fn two_quotas_do_not_have_the_same_days() {
        let quotas = quotas(&[]);
        let days = |valid_from_day, valid_to_day| StockQuota { valid_from_day, valid_to_day, ..StockQuota::default() };
        let beside = |id, from, to| quotas.beside(id, &days(from, to));
        assert_eq!(beside(ANNA, TODAY + 7, TODAY + 9), Some(QUOTA));
        assert_eq!(beside(ANNA, 0, TODAY), Some(QUOTA));
        assert_eq!(beside(ANNA, 0, 0), Some(QUOTA));
        assert_eq!(beside(QUOTA, 0, 0), None, "it is itself");
        assert_eq!((beside(ANNA, TODAY + 8, 0), beside(ANNA, 0, TODAY - 1)), (None, None));
    }

    #[test]
    fn an_order_counts_for_what_it_keeps() {
        let line = OrderLine {
            product_id: NORTH.as_bytes().to_vec(),
            confirmed_milli: 5,
            reserved_milli: 3,
            quota: Some(named(rep(ANNA))),
            ..OrderLine::default()
        };
        let late = OrderLine { difference: LineDifference::BackOrdered.into(), ..line.clone() };
        let of = |status: OrderStatus, line: &OrderLine| {
            let order = Order {
                warehouse_id: QUOTA.as_bytes().to_vec(),
                status: status.into(),
                lines: vec![line.clone(), OrderLine { quota: None, ..line.clone() }],
                ..Order::default()
            };
            taken(&order).iter().map(|taken| taken.quantity_milli).collect::<Vec<_>>()
        };
        assert_eq!((of(OrderStatus::Confirmed, &line), of(OrderStatus::Closed, &line)), (vec![5], vec![5]));
        assert_eq!((of(OrderStatus::Confirmed, &late), of(OrderStatus::Submitted, &line)), (vec![3], vec![3]));
        assert_eq!(of(OrderStatus::Cancelled, &line), Vec::<i64>::new());
    }

    #[test]
    fn a_quota_has_one_share_for_each_holder() {
        assert_eq!(form(&quota(&[(rep(ANNA), 4), (rep(NORTH), 4), (territory(ANNA), 1)])), Ok(()));
        let refused = |quota: &StockQuota| form(quota).expect_err("refused").field;
        assert_eq!(refused(&quota(&[(rep(ANNA), 4), (rep(ANNA), 4)])), "holder");
        assert_eq!(refused(&quota(&[(QuotaHolder::default(), 4)])), "holder");
        assert_eq!(refused(&quota(&[(rep(ANNA), 0)])), "quantity_milli");
        assert_eq!(refused(&quota(&[(label(" "), 1)])), "outlet_label");
        assert_eq!(refused(&StockQuota { valid_to_day: TODAY - 1, ..quota(&[]) }), "valid_to_day");
    }

    proptest! {
        #[test]
        fn whoever_comes_first_takes_nothing_of_the_others_shares(
            on_hand in 0..100_i64,
            shares in proptest::array::uniform3(1..40_i64),
            orders in proptest::collection::vec((0..4_usize, 0..60_i64), 0..12),
        ) {
            let ids = [4, 5, 6, 7].map(Uuid::from_u128);
            let entries: Vec<_> = ids.iter().zip(shares).map(|(id, share)| (rep(*id), share)).collect();
            let mut quotas = quotas(&entries);
            let (mut free, mut got) = (on_hand, [0_i64; 4]);
            for (who, wanted) in orders {
                let (most, share) = allowed(&quotas, (ids[who], Uuid::nil(), ""), free).expect("in force");
                prop_assert_eq!(share, (who < 3).then(|| rep(ids[who])));
                let given = wanted.min(most);
                got[who] += given;
                free -= given;
                if who < 3 {
                    quotas.count(&named(rep(ids[who])), given);
                }
                prop_assert!(free >= 0);
                // As far as there was enough for all shares, there still is.
                let claimed: i64 = (0..3).map(|one| (shares[one] - got[one]).max(0)).sum();
                prop_assert!(shares.iter().sum::<i64>() > on_hand || claimed <= free);
            }
        }
    }
}
