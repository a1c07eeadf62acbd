//! How scarce goods are shared out, and what orders have taken of each share.

use std::collections::BTreeMap;

use roundsman_sync::trade::quota::{Quota, Quotas};
use uuid::Uuid;

use super::facts::{Facts, QuotaFacts};
use super::{Derived, Report};
use crate::internal::{AllocationCalendar, AllocationDue, Internal as _};

/// Compares `quotas{}` and `allocations{}`. Which quotas that are long over have left is history.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut unknown: BTreeMap<&str, &Quotas> = derived.quotas.iter().collect();
    for (goods, of_goods) in &facts.quotas {
        let name = Quotas::name(goods);
        let Some(quotas) = unknown.remove(name.as_str()) else {
            report.find(format!("{name} is not there, and there are {} quotas", of_goods.len()));
            continue;
        };
        for quota in &quotas.quotas {
            let id = Uuid::from_slice(&quota.quota_id).unwrap_or_default();
            match of_goods.get(&id) {
                Some(facts_of) => check_quota(facts, (*goods, id, quota), facts_of, (&name, report)),
                None => report.find(format!("{name} has {id}, which is no quota of these goods")),
            }
        }
    }
    for name in unknown.keys() {
        report.find(format!("{name} is of goods without quotas"));
    }
    let mut calendar = AllocationCalendar::default();
    for goods in facts.quotas.keys() {
        calendar.note(*goods, derived.quotas.of(goods).next_moment(), 0);
    }
    let expected = BTreeMap::from([(AllocationCalendar::name(&()), calendar)]);
    derived.allocations.compare(&expected, report, |stored, right| {
        let moments = |calendar: &AllocationCalendar| {
            let moment = |due: &AllocationDue| (due.warehouse_id.clone(), due.product_id.clone(), due.at_us);
            calendar.entries.iter().map(moment).collect::<Vec<_>>()
        };
        let (stored, right) = (moments(stored), moments(right));
        // Who was asked last is history.
        (stored != right).then(|| format!("has {stored:?}, and by the quotas it is {right:?}"))
    });
}

fn check_quota(
    facts: &Facts,
    (goods, id, quota): ((Uuid, Uuid), Uuid, &Quota),
    right: &QuotaFacts,
    (name, report): (&str, &mut Report),
) {
    let moments = (quota.return_at_us, quota.share_out_at_us);
    if (quota.from_day, quota.to_day) != right.days || moments != (right.return_at_us, right.share_out_at_us) {
        report.find(format!("{name} has {id} at other times than its record"));
    }
    let mut expected: BTreeMap<Vec<u8>, (i64, i64)> =
        right.shares.iter().map(|(holder, quantity_milli)| (holder.clone(), (*quantity_milli, 0))).collect();
    for ((_, _, holder), used_milli) in facts.used.iter().filter(|((of, quota, _), _)| (*of, *quota) == (goods, id)) {
        expected.entry(holder.clone()).or_default().1 = *used_milli;
    }
    let of_orders = quota.shares.iter().filter(|share| share.order().is_some());
    let given_milli = of_orders.clone().fold(0_i64, |sum, share| sum.saturating_add(share.quantity_milli));
    if given_milli > quota.shared_out.map_or(0, |shared_out| shared_out.free_milli.max(0)) {
        report.find(format!(
            "{name} gives orders {given_milli} of {id}, and there was not so much: {:?}",
            quota.shared_out
        ));
    }
    for share in of_orders {
        let holder = share.holder.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default();
        expected.entry(holder).or_default().0 = share.quantity_milli;
    }
    expected.retain(|_, sums| *sums != (0, 0));
    let stored: BTreeMap<Vec<u8>, (i64, i64)> = quota
        .shares
        .iter()
        .map(|share| {
            let holder = share.holder.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default();
            (holder, (share.quantity_milli, share.used_milli))
        })
        .collect();
    if stored != expected || stored.len() != quota.shares.len() {
        let says = |shares: &BTreeMap<Vec<u8>, (i64, i64)>| format!("{:?}", shares.values().collect::<Vec<_>>());
        report.find(format!(
            "{name} counts shares of {id} as {}, and by the orders they are {}",
            says(&stored),
            says(&expected)
        ));
    }
}
