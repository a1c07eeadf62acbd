//! What payments have allocated to documents, and what reps have collected and not handed in.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_sync::trade::debt::{Allocated, Debts};
use roundsman_sync::trade::hand_in::{CollectedCash, InHand, PAYMENTS};
use uuid::Uuid;

use super::facts::{CashFacts, Facts};
use super::internals::{differing_ids, list};
use super::{Derived, Report};
use crate::internal::Internal as _;

/// Compares `debts{}` and `in_hand{}`. In which order payments came to the server is history; which are still to be handed in
/// is not.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    check_debts(facts, derived, report);
    let handed_in = check_hand_ins(facts, report);
    check_in_hand(facts, derived, &handed_in, report);
}

fn check_debts(facts: &Facts, derived: &Derived, report: &mut Report) {
    let mut expected: BTreeMap<String, Debts> = BTreeMap::new();
    for (debtor, receivables) in &facts.debts {
        expected.entry(Debts::name(debtor)).or_default().receivables = list(receivables);
    }
    for (debtor, documents) in &facts.allocated {
        let entry = |((document_number, order_id, due_day), amount_minor): (&(String, Vec<u8>, i32), &i64)| Allocated {
            document_number: document_number.clone(),
            order_id: order_id.clone(),
            due_day: *due_day,
            amount_minor: *amount_minor,
        };
        expected.entry(Debts::name(debtor)).or_default().allocated = documents.iter().map(entry).collect();
    }
    derived.debts.compare(&expected, report, |stored, right| {
        let ids = differing_ids(&stored.receivables, &right.receivables);
        ids.or_else(|| {
            let sum = |debts: &Debts| debts.allocated.iter().map(|part| part.amount_minor).sum::<i64>();
            Some(format!("says that {} are allocated, and by the payments it is {}", sum(stored), sum(right)))
        })
    });
}

/// Each payment is in at most one hand-in, of its rep and currency, which expects what its payments come to. Returns those that are
/// in one.
fn check_hand_ins(facts: &Facts, report: &mut Report) -> BTreeSet<Uuid> {
    let mut handed_in = BTreeSet::new();
    for (id, hand_in) in &facts.hand_ins {
        let mut sum = 0_i64;
        for payment in &hand_in.payments {
            if !handed_in.insert(*payment) {
                report.find(format!("the payment {payment} was handed in twice, with {id} as well"));
            }
            match facts.cash.get(payment) {
                Some(cash) if (cash.rep, &cash.currency) == (hand_in.rep, &hand_in.currency) => {
                    sum = sum.saturating_add(cash.amount_minor);
                }
                _ => {
                    report.find(format!("the hand-in {id} covers {payment}, which is no cash of its rep and currency"))
                }
            }
        }
        if sum != hand_in.expected_minor {
            report.find(format!("the hand-in {id} expects {}, and its payments come to {sum}", hand_in.expected_minor));
        }
    }
    handed_in
}

fn check_in_hand(facts: &Facts, derived: &Derived, handed_in: &BTreeSet<Uuid>, report: &mut Report) {
    let mut expected: BTreeMap<(Uuid, String), BTreeMap<Uuid, &CashFacts>> = BTreeMap::new();
    for (id, cash) in facts.cash.iter().filter(|(id, _)| !handed_in.contains(id)) {
        expected.entry((cash.rep, cash.currency.clone())).or_default().insert(*id, cash);
    }
    // A rep who has handed in everything has to have nothing in hand.
    for hand_in in facts.hand_ins.values() {
        expected.entry((hand_in.rep, hand_in.currency.clone())).or_default();
    }
    let mut known = BTreeSet::new();
    for ((rep, currency), right) in expected {
        let page = |number: i32| (rep, currency.clone(), number);
        let front = derived.in_hand.of(&page(0));
        known.insert(InHand::name(&page(0)));
        let mut stored = front.payments.clone();
        for number in 1..=front.filled_pages {
            let full = derived.in_hand.of(&page(number));
            known.insert(InHand::name(&page(number)));
            let size = if number > front.handed_in_pages { PAYMENTS } else { 0 };
            if full.payments.len() != size {
                report.find(format!(
                    "{} has {} payments instead of {size}",
                    InHand::name(&page(number)),
                    full.payments.len()
                ));
            }
            stored.extend(full.payments);
        }
        let name = InHand::name(&page(0));
        let mut ids: Vec<Vec<u8>> = stored.iter().map(|cash| cash.payment_id.clone()).collect();
        ids.sort_unstable();
        if let Some(difference) = differing_ids(&ids, &list(&right.keys().copied().collect())) {
            report.find(format!("{name} {difference}"));
        }
        for cash in &stored {
            let of_payment = Uuid::from_slice(&cash.payment_id).ok().and_then(|id| right.get(&id));
            if of_payment.is_some_and(|right| !is_as_paid(cash, right)) {
                report.find(format!("{name} says otherwise of a payment than the payment does: {cash:?}"));
            }
        }
    }
    for (name, page) in derived.in_hand.iter().filter(|(name, _)| !known.contains(*name)) {
        if *page != InHand::default() {
            report.find(format!("{name} lists payments that nobody took in cash"));
        }
    }
}

fn is_as_paid(cash: &CollectedCash, payment: &CashFacts) -> bool {
    (cash.method(), cash.amount_minor) == (payment.method, payment.amount_minor)
}
