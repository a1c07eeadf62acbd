//! What is promised of stock, and what customers owe and are about to owe.

use std::collections::BTreeMap;

use roundsman_sync::trade::allocation::{Demand, OrderDemand};
use roundsman_sync::trade::credit::{Account, Credit};
use roundsman_sync::trade::stock::{Available, coarse};
use roundsman_sync::trade::waiting::{Scarce, Waiting, WaitingOrder};
use uuid::Uuid;

use super::facts::{Awaited, Facts};
use super::internals::differing_ids;
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `available{}` and `credit{}`.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected: BTreeMap<String, Available> = derived
        .available
        .iter()
        .map(|(name, stored)| {
            (name.to_owned(), Available { reserved_milli: 0, waiting: 0, quotas: 0, picking_milli: 0, ..*stored })
        })
        .collect();
    for (key, reserved_milli) in &facts.reserved {
        expected.entry(Available::name(key)).or_default().reserved_milli = *reserved_milli;
    }
    for (key, picking_milli) in &facts.picking {
        expected.entry(Available::name(key)).or_default().picking_milli = *picking_milli;
    }
    for (awaited, orders) in &facts.waiting {
        if let Awaited::Goods(warehouse, product) = awaited {
            expected.entry(Available::name(&(*warehouse, *product))).or_default().waiting = orders.len() as i64;
        }
    }
    for goods in facts.quotas.keys() {
        let known = derived.quotas.of(goods).quotas.len();
        expected.entry(Available::name(goods)).or_default().quotas = known as i64;
    }
    derived.available.compare(&expected, report, |stored, right| {
        let says = |of: &Available| {
            let Available { reserved_milli, picking_milli, waiting, quotas, .. } = of;
            format!("{reserved_milli} thousandths promised, {picking_milli} picked, {waiting} waiting orders and {quotas} quotas")
        };
        Some(format!("says {}, and by the orders it is {}", says(stored), says(right)))
    });
    check_waiting(facts, derived, report);
    check_demand(facts, derived, report);
    for (record, (warehouse, product, (free_milli, quarantined_milli))) in &facts.free {
        let named = derived.stocks.of(product).at(*warehouse) == Some(*record);
        let available = derived.available.of(&(*warehouse, *product));
        let right = if available.exact { available.free_milli() } else { coarse(available.free_milli()) };
        if named && *free_milli != right {
            report.find(format!("the stock {record} tells devices of {free_milli}, and {right} are free"));
        }
        let right = available.quarantined_milli;
        if named && *quarantined_milli != right {
            report.find(format!("the stock {record} tells of {quarantined_milli} in quarantine, and it is {right}"));
        }
    }
    let mut expected = BTreeMap::new();
    for (debtor, credit) in &facts.credits {
        let mut credit = credit.clone();
        for waiting in [&mut credit.held, &mut credit.expired] {
            waiting.sort_by_key(|held| (held.submitted_at_us, held.order_id.clone()));
        }
        credit.contracts.sort_by_key(|known| known.contract_id.clone());
        for known in &mut credit.contracts {
            let account = facts.accounts.get(&(debtor.clone(), known.contract_id.clone()));
            known.account = account.copied().unwrap_or_default();
        }
        expected.insert(Credit::name(debtor), credit);
    }
    derived.credit.compare(&expected, report, |stored, right| Some(differing(stored, right)));
}

/// `demand{}`: who waits until something is shared out, and for how much.
fn check_demand(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected = BTreeMap::new();
    for (goods, orders) in &facts.demand {
        let of = |((submitted_at_us, order), quantity_milli): (&(i64, Uuid), &i64)| OrderDemand {
            order: WaitingOrder { submitted_at_us: *submitted_at_us, order_id: order.as_bytes().to_vec() },
            quantity_milli: *quantity_milli,
        };
        expected.insert(Demand::name(goods), Demand { orders: orders.iter().map(of).collect() });
    }
    derived.demand.compare(&expected, report, |stored, right| {
        let ids = |demand: &Demand| demand.orders.iter().map(|of| of.order.order_id.clone()).collect::<Vec<_>>();
        let other = || "has other quantities or moments than its orders".to_owned();
        differing_ids(&ids(stored), &ids(right)).or_else(|| Some(other()))
    });
}

/// `waiting{}`: who waits, in turn.
fn check_waiting(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected = BTreeMap::new();
    for (awaited, orders) in &facts.waiting {
        let scarce = match *awaited {
            Awaited::Goods(warehouse, product) => Scarce::Stock { warehouse, product },
            Awaited::Budget(promotion) => Scarce::Budget(promotion),
            Awaited::Terms(agreement) => Scarce::Terms(agreement),
            Awaited::Order(order) => Scarce::Order(order),
        };
        // Whose turn was last is history.
        let last = derived.waiting.of(&scarce).last;
        let entry = |(submitted_at_us, order): &(i64, Uuid)| WaitingOrder {
            submitted_at_us: *submitted_at_us,
            order_id: order.as_bytes().to_vec(),
        };
        expected.insert(Waiting::name(&scarce), Waiting { orders: orders.iter().map(entry).collect(), last });
    }
    derived.waiting.compare(&expected, report, |stored, right| {
        let ids = |waiting: &Waiting| waiting.orders.iter().map(|entry| entry.order_id.clone()).collect::<Vec<_>>();
        differing_ids(&ids(stored), &ids(right)).or_else(|| Some("has other moments than its orders".to_owned()))
    });
}

fn differing(stored: &Credit, right: &Credit) -> String {
    let mut words = wrong_sums(&stored.all, &right.all);
    let ids = |credit: &Credit| credit.contracts.iter().map(|known| known.contract_id.clone()).collect::<Vec<_>>();
    words.extend(differing_ids(&ids(stored), &ids(right)));
    for (known, right) in stored.contracts.iter().zip(&right.contracts).filter(|(known, right)| known != right) {
        let id = Uuid::from_slice(&known.contract_id).unwrap_or_default();
        if known.contract != right.contract {
            words.push(format!("says of the contract {id} what it does not say"));
        }
        words.extend(wrong_sums(&known.account, &right.account).iter().map(|sum| format!("under {id} {sum}")));
    }
    let lists = [("held", &stored.held, &right.held), ("expired", &stored.expired, &right.expired)];
    for (what, stored, right) in lists {
        if stored != right {
            words.push(format!("lists {} {what} orders, and others, or in another order, wait", stored.len()));
        }
    }
    words.join("; ")
}

fn wrong_sums(stored: &Account, right: &Account) -> Vec<String> {
    let sums = [
        ("a booked debt", stored.booked_debt_minor, right.booked_debt_minor),
        ("an overdue debt", stored.overdue_minor, right.overdue_minor),
        ("open orders", stored.orders_minor, right.orders_minor),
        ("open payments", stored.payments_minor, right.payments_minor),
        ("open returns", stored.returns_minor, right.returns_minor),
    ];
    let wrong = sums.iter().filter(|(_, stored, right)| stored != right);
    wrong.map(|(what, stored, right)| format!("counts {what} of {stored}, and they come to {right}")).collect()
}
