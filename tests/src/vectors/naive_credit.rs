//! The arithmetic of debts once more, as simply as it can be said, and sharing nothing with the code that is tested: money
//! goes unit by unit. What the vectors expect comes from here.

use std::collections::BTreeSet;

use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::{CollectPayment, Contract, DueItem, Order, OrderStatus, Payment, Receivable, ReturnState};
use uuid::Uuid;

use super::credit::{Held, Ledger};

/// What is still to be paid of a document, and what the payment at hand pays of it.
pub(super) struct Open {
    pub(super) item: DueItem,
    contract: Vec<u8>,
    left: i64,
    pub(super) paid: i64,
}

/// Booked debt, and orders that are not in it, less payments and goods that came back that are not in it.
pub(super) fn exposure(ledger: &Ledger) -> i128 {
    let mut sum = 0;
    for receivable in &ledger.receivables {
        sum += i128::from(receivable.debt_minor);
    }
    for (_, order) in &ledger.orders {
        sum += i128::from(to_come(order));
    }
    for payment in &ledger.payments {
        if !payment.booked {
            sum -= i128::from(payment.amount_minor);
        }
    }
    for back in &ledger.returns {
        if back.state() == ReturnState::Received && !back.booked {
            sum -= i128::from(back.value_minor);
        }
    }
    sum
}

fn to_come(order: &Order) -> i64 {
    let agreed = [OrderStatus::Confirmed, OrderStatus::Released, OrderStatus::Closed].contains(&order.status());
    if agreed && !order.booked { order.value_minor } else { 0 }
}

/// What a payment pays of which document, and what of it is an advance.
pub(super) fn allocation(ledger: &Ledger, command: &CollectPayment) -> (Vec<Open>, i64) {
    let mut advance = 0;
    for unit in 1..=command.amount_minor {
        if i128::from(unit) > exposure(ledger) {
            advance += 1;
        }
    }
    let mut open = open(ledger);
    let mut left = command.amount_minor - advance;
    for share in &command.shares {
        for _ in 0..share.amount_minor {
            let chosen = |item: &DueItem| match &share.document {
                Some(Document::DocumentNumber(number)) => item.document_number == *number,
                Some(Document::OrderId(order)) => item.order_id == *order,
                None => false,
            };
            if left > 0 && pay(&mut open, chosen) {
                left -= 1;
            }
        }
    }
    let order = ledger.orders.iter().find(|(id, _)| command.order_id == id.as_bytes());
    if let Some((_, order)) = order {
        while left > 0 && pay(&mut open, |item| item.order_id == command.order_id) {
            left -= 1;
        }
        left -= to_come(order).min(left);
    }
    let under = paid_under(ledger, command);
    while left > 0 && !under.is_empty() && pay_of(&mut open, |open| open.contract == under) {
        left -= 1;
    }
    while left > 0 && pay_of(&mut open, |open| under.is_empty() || open.contract.is_empty()) {
        left -= 1;
    }
    (open.into_iter().filter(|open| open.paid > 0).collect(), advance)
}

/// One unit for the first document that will have it.
fn pay(open: &mut [Open], which: impl Fn(&DueItem) -> bool) -> bool {
    pay_of(open, |open| which(&open.item))
}

fn pay_of(open: &mut [Open], which: impl Fn(&Open) -> bool) -> bool {
    for document in open {
        if document.left > 0 && which(document) {
            document.left -= 1;
            document.paid += 1;
            return true;
        }
    }
    false
}

/// The contract under which a payment counts: the named one, else its order's, else that of all documents that were chosen.
pub(super) fn paid_under(ledger: &Ledger, command: &CollectPayment) -> Vec<u8> {
    let known = |contract: &[u8]| ledger.contracts.iter().any(|(id, _)| id.as_bytes() == contract);
    if known(&command.contract_id) {
        return command.contract_id.clone();
    }
    for (id, order) in &ledger.orders {
        if command.order_id == id.as_bytes() && known(&order.contract_id) {
            return order.contract_id.clone();
        }
    }
    let mut of_chosen = BTreeSet::new();
    for open in open(ledger).iter().filter(|open| open.left > 0) {
        for share in &command.shares {
            let chosen = match &share.document {
                Some(Document::DocumentNumber(number)) => open.item.document_number == *number,
                Some(Document::OrderId(order)) => open.item.order_id == *order,
                None => false,
            };
            if chosen {
                of_chosen.insert(open.contract.clone());
            }
        }
    }
    let only = if of_chosen.len() == 1 { of_chosen.pop_first() } else { None };
    only.unwrap_or_default()
}

/// What of a ledger is under a contract.
pub(super) fn only(ledger: &Ledger, contract: Uuid) -> Ledger {
    let mut only = ledger.clone();
    only.receivables.retain(|receivable| receivable.contract_id == contract.as_bytes());
    only.orders.retain(|(_, order)| order.contract_id == contract.as_bytes());
    only.payments.retain(|payment| payment.contract_id == contract.as_bytes());
    only.returns.retain(|back| back.contract_id == contract.as_bytes());
    only
}

/// How an order stands to contracts: "free", "under" one, or one has "expired".
pub(super) fn standing(
    contracts: &[(Uuid, Contract)],
    own: Option<Uuid>,
    agreement: Uuid,
    day: i32,
) -> (&'static str, Option<Uuid>) {
    let mut covering = Vec::new();
    for (id, contract) in contracts {
        if contract.agreement_ids.is_empty() || contract.agreement_ids.contains(&agreement.as_bytes().to_vec()) {
            covering.push((contract.valid_from_day, *id, contract));
        }
    }
    if covering.iter().any(|(_, id, _)| Some(*id) == own) {
        covering.retain(|(_, id, _)| Some(*id) == own);
    }
    covering.sort_by_key(|(from, id, _)| (*from, *id));
    for (from, id, contract) in covering.iter().rev() {
        let ended = contract.valid_to_day != 0 && contract.valid_to_day < day;
        if *from <= day && !ended && !contract.closed {
            return ("under", Some(*id));
        }
    }
    match covering.last() {
        Some((_, id, _)) => ("expired", Some(*id)),
        None => ("free", None),
    }
}

/// The documents with what is left of them, the oldest first.
fn open(ledger: &Ledger) -> Vec<Open> {
    let mut open: Vec<Open> = Vec::new();
    let mut days: Vec<i32> = Vec::new();
    for receivable in &ledger.receivables {
        days.extend(receivable.due_items.iter().map(|item| item.due_day));
    }
    days.sort_unstable();
    days.dedup();
    // Nobody knows when what is due on day 0 is due.
    days.retain(|day| *day != 0);
    days.push(0);
    for day in days {
        for receivable in &ledger.receivables {
            for item in receivable.due_items.iter().filter(|item| item.due_day == day) {
                let contract = receivable.contract_id.clone();
                open.push(Open { item: item.clone(), contract, left: item.amount_minor, paid: 0 });
            }
        }
    }
    for payment in ledger.payments.iter().filter(|payment| !payment.booked) {
        take_off(&mut open, payment);
    }
    open
}

fn take_off(open: &mut [Open], payment: &Payment) {
    for part in &payment.allocations {
        for _ in 0..part.amount_minor {
            let same = |item: &DueItem| {
                if !part.document_number.is_empty() || !item.document_number.is_empty() {
                    return part.document_number == item.document_number;
                }
                if !part.order_id.is_empty() || !item.order_id.is_empty() {
                    return part.order_id == item.order_id;
                }
                part.due_day == item.due_day
            };
            if let Some(document) = open.iter_mut().find(|document| document.left > 0 && same(&document.item)) {
                document.left -= 1;
            }
        }
    }
}

/// How old a debt is: not due, overdue for so many days, and what nobody knows.
pub(super) fn aging(receivable: &Receivable, day: i32) -> Vec<i128> {
    let spans = [(i32::MIN, 0), (1, 7), (8, 14), (15, 30), (31, 60), (61, i32::MAX)];
    let mut sums: Vec<i128> = Vec::new();
    for (from, to) in spans {
        let mut sum = 0;
        for item in receivable.due_items.iter().filter(|item| item.due_day != 0) {
            let overdue = day - item.due_day;
            if from <= overdue && overdue <= to {
                sum += i128::from(item.amount_minor);
            }
        }
        sums.push(sum);
    }
    let known: i128 = sums.iter().sum();
    sums.push(i128::from(receivable.debt_minor) - known);
    sums
}

/// Which of the held orders are released, and whether there are more that fit.
pub(super) fn released(exposure: i128, overdue: i64, held: &[Held]) -> (Vec<Uuid>, bool) {
    let mut released = Vec::new();
    let mut sum = exposure;
    for order in held {
        sum += i128::from(order.value_minor);
        let over = order.limit_minor.is_some_and(|limit| sum > i128::from(limit));
        if over || (order.overdue_ban && overdue > 0) {
            break;
        }
        if released.len() == 100 {
            return (released, true);
        }
        released.push(order.order_id);
    }
    (released, false)
}
