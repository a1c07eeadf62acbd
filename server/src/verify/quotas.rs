//! How scarce goods are shared out, and what orders have taken of each share.

use std::collections::BTreeMap;

use roundsman_sync::trade::quota::{Quota, Quotas};
use uuid::Uuid;

use super::facts::{Facts, QuotaFacts};
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `quotas{}`. Which quotas that are long over have left it is history.
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
}

fn check_quota(
    facts: &Facts,
    (goods, id, quota): ((Uuid, Uuid), Uuid, &Quota),
    right: &QuotaFacts,
    (name, report): (&str, &mut Report),
) {
    if (quota.from_day, quota.to_day) != right.days || quota.return_at_us != right.return_at_us {
        report.find(format!("{name} has {id} at other times than its record"));
    }
    let mut expected: BTreeMap<Vec<u8>, (i64, i64)> =
        right.shares.iter().map(|(holder, quantity_milli)| (holder.clone(), (*quantity_milli, 0))).collect();
    for ((_, _, holder), used_milli) in facts.used.iter().filter(|((of, quota, _), _)| (*of, *quota) == (goods, id)) {
        expected.entry(holder.clone()).or_default().1 = *used_milli;
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
