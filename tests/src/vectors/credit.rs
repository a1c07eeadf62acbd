//! What a customer owes, what a payment pays of it, and how old it is.

use prost::Message;
use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::{
    CollectPayment, DueItem, Order, OrderStatus, Payment, PaymentAllocation, PaymentMethod, PaymentShare, Receivable,
};
use roundsman_sync::trade::capture::Capture;
use roundsman_sync::trade::credit::{Credit, CreditTerms, HeldOrder, releasable};
use roundsman_sync::trade::debt::{self, Debts};
use roundsman_sync::trade::payment::{self, Owing};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, hex, id, id_hex, naive_credit, wide};

const ABOUT: &str = "What a customer owes in one currency. `of` says what is asked. `exposure`: of all receivables, orders and \
                     payments of the customer, as serialized messages of roundsman.trade.v1, orders with their record ids; \
                     expected are the credit exposure, and whether a value fits under a limit (null: there is none). \
                     `allocation`: of the same, and a serialized CollectPayment; expected are what is an advance, and which \
                     documents are paid. `aging`: of a serialized Receivable on a day; expected is how much is not due, 1 to 7 \
                     days overdue, 8 to 14, 15 to 30, 31 to 60, more than 60, and of no known day. `release`: of an exposure, an \
                     overdue sum and orders that wait for credit, oldest first; expected are those that are released, and \
                     whether there are more. The expected values were worked out unit by unit by code of its own, which shares \
                     nothing with the server's.";
/// So many cases of each kind are drawn beside those that show one thing each.
const DRAWN: u64 = 120;

const CUSTOMER: u128 = 31;
const CURRENCY: &str = "EUR";
const DAY: i32 = 20_000;

/// All that is known of a customer's debt.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) receivables: Vec<Receivable>,
    pub(super) orders: Vec<(Uuid, Order)>,
    pub(super) payments: Vec<Payment>,
}

/// An order that waits for credit.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) order_id: Uuid,
    pub(super) value_minor: i64,
    pub(super) limit_minor: Option<i64>,
    pub(super) overdue_ban: bool,
}

pub(super) fn family() -> Family {
    let mut cases = exposures();
    cases.extend(allocations());
    cases.extend(ages());
    cases.extend(releases());
    Family { name: "credit", about: ABOUT, cases }
}

impl Ledger {
    fn credit(&self) -> Credit {
        let credit = self
            .receivables
            .iter()
            .try_fold(Credit::default(), |credit, receivable| credit.with_receivable(None, receivable));
        let credit = self
            .orders
            .iter()
            .try_fold(credit.expect("small sums"), |credit, (id, order)| credit.with_order(*id, None, order));
        let credit = self
            .payments
            .iter()
            .try_fold(credit.expect("small sums"), |credit, payment| credit.with_payment(None, payment));
        credit.expect("small sums")
    }

    fn written(&self) -> Value {
        let documents = |documents: Vec<Vec<u8>>| documents.into_iter().map(hex).collect::<Vec<_>>();
        let order =
            |(id, order): &(Uuid, Order)| json!({ "record_id": id_hex(*id), "document": hex(order.encode_to_vec()) });
        json!({
            "receivables": documents(self.receivables.iter().map(Message::encode_to_vec).collect()),
            "orders": self.orders.iter().map(order).collect::<Vec<_>>(),
            "payments": documents(self.payments.iter().map(Message::encode_to_vec).collect()),
        })
    }
}

fn due(number: &str, due_day: i32, amount_minor: i64) -> DueItem {
    DueItem { document_number: number.to_owned(), due_day, amount_minor, ..DueItem::default() }
}

fn of_order(order: u128, item: DueItem) -> DueItem {
    DueItem { order_id: id(order).as_bytes().to_vec(), ..item }
}

fn books(debt_minor: i64, due_items: Vec<DueItem>) -> Receivable {
    let customer_id = id(CUSTOMER).as_bytes().to_vec();
    Receivable { customer_id, currency: CURRENCY.to_owned(), debt_minor, due_items, ..Receivable::default() }
}

fn order(number: u128, status: OrderStatus, value_minor: i64, booked: bool) -> (Uuid, Order) {
    let customer_id = id(CUSTOMER).as_bytes().to_vec();
    (id(number), Order { customer_id, status: status.into(), value_minor, booked, ..Order::default() })
}

fn paid(amount_minor: i64, parts: &[&DueItem], booked: bool) -> Payment {
    let part = |item: &&DueItem| PaymentAllocation {
        document_number: item.document_number.clone(),
        order_id: item.order_id.clone(),
        due_day: item.due_day,
        amount_minor: item.amount_minor,
    };
    Payment { amount_minor, booked, allocations: parts.iter().map(part).collect(), ..Payment::default() }
}

fn share(number: &str, amount_minor: i64) -> PaymentShare {
    PaymentShare { document: Some(Document::DocumentNumber(number.to_owned())), amount_minor }
}

fn share_of_order(order: u128, amount_minor: i64) -> PaymentShare {
    PaymentShare { document: Some(Document::OrderId(id(order).as_bytes().to_vec())), amount_minor }
}

fn cash(amount_minor: i64, order: Option<u128>, shares: Vec<PaymentShare>) -> CollectPayment {
    CollectPayment {
        payment_id: id(1).as_bytes().to_vec(),
        outlet_id: id(2).as_bytes().to_vec(),
        customer_id: id(CUSTOMER).as_bytes().to_vec(),
        order_id: order.map(|order| id(order).as_bytes().to_vec()).unwrap_or_default(),
        amount_minor,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        receipt_number: String::new(),
        shares,
    }
}

fn exposures() -> Vec<Case> {
    use OrderStatus::{Cancelled, Closed, Confirmed, Refused, Released, Submitted};
    let all = |status| order(1, status, 300, false);
    let debt = || vec![books(500, Vec::new())];
    let ledger = |orders, payments| Ledger { receivables: debt(), orders, payments };
    let mut cases = vec![
        exposure("nothing", &Ledger::default(), (0, Some(0))),
        exposure("debt", &ledger(Vec::new(), Vec::new()), (100, Some(600))),
        exposure("debt, a unit too much", &ledger(Vec::new(), Vec::new()), (101, Some(600))),
        exposure("no limit", &ledger(Vec::new(), Vec::new()), (1_000_000, None)),
        exposure(
            "a booked order is in the debt",
            &ledger(vec![order(1, Closed, 300, true)], Vec::new()),
            (0, Some(500)),
        ),
        exposure("a booked payment is in the debt", &ledger(Vec::new(), vec![paid(200, &[], true)]), (0, Some(499))),
        exposure("a payment that is not", &ledger(Vec::new(), vec![paid(200, &[], false)]), (0, Some(299))),
        exposure("paid in advance", &ledger(Vec::new(), vec![paid(700, &[], false)]), (0, Some(-200))),
    ];
    for status in [Submitted, Confirmed, Released, Closed, Cancelled, Refused] {
        cases.push(exposure(status.as_str_name(), &ledger(vec![all(status)], Vec::new()), (0, Some(500))));
    }
    cases.extend((1..=DRAWN).map(|seed| {
        let mut dice = Dice(seed);
        let ledger = drawn(&mut dice);
        let limit = if dice.one_in(8) { None } else { Some(dice.small(900)) };
        exposure(&format!("exposure drawn, {seed}"), &ledger, (dice.small(300), limit))
    }));
    cases
}

fn exposure(name: &str, ledger: &Ledger, (value_minor, limit_minor): (i64, Option<i64>)) -> Case {
    let expected = naive_credit::exposure(ledger);
    let fits = limit_minor.is_none_or(|limit| expected + i128::from(value_minor) <= i128::from(limit));
    let (credit, terms) = (ledger.credit(), CreditTerms { limit_minor, overdue_ban: false });
    let found = (i128::from(credit.exposure_minor()), credit.admit(value_minor, terms).is_ok());
    assert_eq!(found, (expected, fits), "{name}: {ledger:?}");
    let limit = limit_minor.map_or(Value::Null, wide);
    let input =
        json!({ "of": "exposure", "ledger": ledger.written(), "value_minor": wide(value_minor), "limit_minor": limit });
    Case::new(name, input, json!({ "exposure_minor": wide(expected), "fits": fits }))
}

fn allocations() -> Vec<Case> {
    let mut cases = in_turn();
    cases.extend(as_wished());
    cases.extend(beside_others());
    cases.extend((1..=DRAWN).map(|seed| {
        let mut dice = Dice(1_000 + seed);
        let ledger = drawn(&mut dice);
        let command = wished(&mut dice);
        allocation(&format!("allocation drawn, {seed}"), &ledger, &command)
    }));
    cases
}

/// A debt of just these documents, and these payments of it.
fn owing(due_items: Vec<DueItem>, payments: Vec<Payment>) -> Ledger {
    let debt = due_items.iter().map(|item| item.amount_minor).sum();
    Ledger { receivables: vec![books(debt, due_items)], payments, ..Ledger::default() }
}

fn three() -> Vec<DueItem> {
    vec![due("new", DAY + 5, 300), due("old", DAY - 9, 200), due("undated", 0, 400)]
}

/// Nothing is wished.
fn in_turn() -> Vec<Case> {
    let plain = owing(three(), Vec::new());
    let net = Ledger { receivables: vec![books(120, three())], ..Ledger::default() };
    let undetailed = Ledger { receivables: vec![books(1_000, three())], ..Ledger::default() };
    let two = Ledger {
        receivables: vec![books(70, vec![due("a", 7, 70)]), books(50, vec![due("b", 6, 20), due("c", 7, 30)])],
        ..Ledger::default()
    };
    let credit_note = owing(vec![due("a", 1, -50), due("b", 2, 80)], Vec::new());
    let case = |name, ledger, amount| allocation(name, ledger, &cash(amount, None, Vec::new()));
    vec![
        case("no debt", &Ledger::default(), 100),
        case("a part of the oldest", &plain, 150),
        case("the oldest and a part of the next", &plain, 350),
        case("what has no day comes last", &plain, 600),
        case("more than there is", &plain, 1_000),
        case("a credit note is not paid", &credit_note, 30),
        case("debt without documents", &undetailed, 990),
        case("documents of more than the debt", &net, 150),
        case("two receivables", &two, 80),
    ]
}

/// Documents were chosen, or the payment is for an order.
fn as_wished() -> Vec<Case> {
    let plain = owing(three(), Vec::new());
    let due_items = vec![due("old", 1, 100), of_order(9, due("its", 2, 100))];
    let orders = vec![order(9, OrderStatus::Confirmed, 50, false)];
    let with_order = Ledger { orders, ..owing(due_items, Vec::new()) };
    let chosen = |name, amount, shares| allocation(name, &plain, &cash(amount, None, shares));
    let for_order = |name, amount, shares| allocation(name, &with_order, &cash(amount, Some(9), shares));
    vec![
        chosen("chosen", 300, vec![share("undated", 250), share("new", 50)]),
        chosen("chosen in part", 300, vec![share("undated", 50)]),
        chosen("chosen beyond what is open", 450, vec![share("new", 450)]),
        chosen("chosen and unknown", 100, vec![share("gone", 100)]),
        allocation("chosen by order", &with_order, &cash(90, None, vec![share_of_order(9, 60)])),
        for_order("for an order", 90, Vec::new()),
        for_order("for an order with more to come", 140, Vec::new()),
        for_order("for an order and then the oldest", 180, Vec::new()),
        for_order("for an order and something else", 180, vec![share("old", 70)]),
    ]
}

/// Other payments have paid something that the books don't contain.
fn beside_others() -> Vec<Case> {
    let parts = || vec![due("in parts", 5, 10), due("between", 6, 10), due("in parts", 7, 10)];
    let nameless = || vec![due("", 5, 10), due("", 6, 10), of_order(9, due("", 7, 10))];
    let case = |name, due_items, other: &DueItem, booked, amount| {
        let ledger = owing(due_items, vec![paid(other.amount_minor, &[other], booked)]);
        allocation(name, &ledger, &cash(amount, None, Vec::new()))
    };
    vec![
        case("paid before", three(), &due("old", DAY - 9, 150), false, 100),
        case("paid before and booked", three(), &due("old", DAY - 9, 150), true, 100),
        case("paid before, another document", three(), &due("gone", 1, 150), false, 100),
        case("a number counts whatever the day", three(), &due("old", 3, 150), false, 100),
        case("in parts", parts(), &due("in parts", 7, 12), false, 15),
        case("by the day where there is no name", nameless(), &due("", 6, 4), false, 15),
        case("by the order where there is no number", nameless(), &of_order(9, due("", 3, 4)), false, 26),
    ]
}

/// A payment that was drawn.
fn wished(dice: &mut Dice) -> CollectPayment {
    let amount = 1 + dice.small(400);
    let mut shares = Vec::new();
    let mut left = amount;
    for number in ["a", "b", "c"] {
        let part = 1 + dice.small(150);
        if dice.one_in(3) && part <= left {
            shares.push(share(number, part));
            left -= part;
        }
    }
    if dice.one_in(4) && left > 0 {
        shares.push(share_of_order(dice.of(&[11, 12]), left));
    }
    cash(amount, dice.of(&[None, None, Some(11), Some(12), Some(99)]), shares)
}

/// A customer's debt that was drawn: documents with and without names, orders in and outside of the books, payments.
fn drawn(dice: &mut Dice) -> Ledger {
    let item = |dice: &mut Dice| {
        let day = if dice.one_in(5) { 0 } else { DAY - 20 + i32::try_from(dice.small(40)).expect("a small number") };
        let item = due(dice.of(&["a", "b", "c", "d", ""]), day, dice.small(160) - 10);
        if dice.one_in(3) { of_order(dice.of(&[11, 12]), item) } else { item }
    };
    let receivable = |dice: &mut Dice| {
        let due_items: Vec<DueItem> = (0..dice.below(6)).map(|_| item(dice)).collect();
        let detailed: i64 = due_items.iter().map(|item| item.amount_minor).sum();
        books(if dice.one_in(3) { dice.small(500) - 50 } else { detailed }, due_items)
    };
    let receivables: Vec<Receivable> = (0..1 + dice.below(2)).map(|_| receivable(dice)).collect();
    let statuses = [OrderStatus::Submitted, OrderStatus::Confirmed, OrderStatus::Closed, OrderStatus::Cancelled];
    let orders = [11, 12].map(|number| order(number, dice.of(&statuses), dice.small(200), dice.one_in(2)));
    let payment = |dice: &mut Dice| {
        let parts: Vec<DueItem> = (0..dice.below(3)).map(|_| item(dice)).filter(|item| item.amount_minor > 0).collect();
        let sum: i64 = parts.iter().map(|part| part.amount_minor).sum();
        paid(1 + sum + dice.small(20), &parts.iter().collect::<Vec<_>>(), dice.one_in(3))
    };
    let payments = (0..dice.below(3)).map(|_| payment(dice)).collect();
    Ledger { receivables, orders: orders.into(), payments }
}

fn allocation(name: &str, ledger: &Ledger, command: &CollectPayment) -> Case {
    let (open, advance) = naive_credit::allocation(ledger, command);
    let part = |open: naive_credit::Open| PaymentAllocation {
        document_number: open.item.document_number,
        order_id: open.item.order_id,
        due_day: open.item.due_day,
        amount_minor: open.paid,
    };
    let expected: Vec<PaymentAllocation> = open.into_iter().map(part).collect();
    let debts = ledger.payments.iter().fold(Debts::default(), |debts, payment| debts.with_payment(None, payment));
    let (credit, open) = (ledger.credit(), debts.open_items(&ledger.receivables));
    let owing = Owing { credit: &credit, open: &open };
    let order = ledger.orders.iter().find(|(id, _)| command.order_id == id.as_bytes()).map(|(_, order)| order);
    let taken = payment::decide_collect(None, order, id(2), id(3), command, owing, &Capture::default());
    let taken = taken.expect("it is taken").payment;
    assert_eq!((&taken.allocations, taken.advance_minor), (&expected, advance), "{name}: {ledger:?} {command:?}");
    let written = expected.iter().map(|part| {
        json!({
            "document_number": part.document_number,
            "order_id": hex(&part.order_id),
            "due_day": part.due_day,
            "amount_minor": wide(part.amount_minor),
        })
    });
    let input = json!({ "of": "allocation", "ledger": ledger.written(), "command": hex(command.encode_to_vec()) });
    Case::new(name, input, json!({ "advance_minor": wide(advance), "allocations": written.collect::<Vec<_>>() }))
}

fn ages() -> Vec<Case> {
    let mut cases = vec![
        aging("no documents", &books(70, Vec::new())),
        aging("more documents than debt", &books(70, vec![due("a", DAY - 1, 100)])),
        aging("a credit note", &books(70, vec![due("a", DAY - 1, 100), due("b", DAY - 1, -30)])),
        aging("a day that nobody knows", &books(70, vec![due("a", 0, 70)])),
    ];
    for overdue in [-1, 0, 1, 7, 8, 14, 15, 30, 31, 60, 61, 5_000] {
        cases.push(aging(&format!("overdue for {overdue} days"), &books(5, vec![due("a", DAY - overdue, 5)])));
    }
    cases.extend((1..=DRAWN / 2).map(|seed| {
        let mut dice = Dice(2_000 + seed);
        let item = |dice: &mut Dice| {
            let day = DAY + 10 - i32::try_from(dice.small(90)).expect("a small number");
            due("a", if dice.one_in(6) { 0 } else { day }, dice.small(1_000) - 100)
        };
        let due_items = (0..dice.below(9)).map(|_| item(&mut dice)).collect();
        aging(&format!("aging drawn, {seed}"), &books(dice.small(4_000) - 500, due_items))
    }));
    cases
}

fn aging(name: &str, receivable: &Receivable) -> Case {
    let expected = naive_credit::aging(receivable, DAY);
    let found = debt::aging(receivable, DAY).map(|(_, sum)| i128::from(sum));
    assert_eq!(found.as_slice(), expected, "{name}: {receivable:?}");
    let input = json!({ "of": "aging", "receivable": hex(receivable.encode_to_vec()), "day": DAY });
    Case::new(name, input, json!({ "sums_minor": expected.into_iter().map(wide).collect::<Vec<_>>() }))
}

fn releases() -> Vec<Case> {
    let waits = |number: u128, value_minor, limit_minor| Held {
        order_id: id(number),
        value_minor,
        limit_minor,
        overdue_ban: false,
    };
    let many: Vec<Held> = (1..=101).map(|number| waits(number, 1, Some(1_000))).collect();
    let banned = Held { overdue_ban: true, ..waits(2, 10, None) };
    let mut cases = vec![
        release("nobody waits", (50, 0), &[]),
        release("all fit", (50, 0), &[waits(1, 30, Some(100)), waits(2, 20, Some(100))]),
        release("the second is a unit too much", (50, 0), &[waits(1, 30, Some(100)), waits(2, 21, Some(100))]),
        release("a smaller one does not pass", (50, 0), &[waits(1, 60, Some(100)), waits(2, 20, Some(100))]),
        release(
            "each by its own limit",
            (50, 0),
            &[waits(1, 60, None), waits(2, 20, Some(130)), waits(3, 1, Some(130))],
        ),
        release("overdue debt bans one", (50, 1), &[waits(1, 60, None), banned.clone(), waits(3, 1, None)]),
        release("a ban without overdue debt", (50, 0), &[waits(1, 60, None), banned, waits(3, 1, None)]),
        release("a hundred at once", (0, 0), &many),
    ];
    cases.extend((1..=DRAWN / 2).map(|seed| {
        let mut dice = Dice(3_000 + seed);
        let held: Vec<Held> = (1..=u128::from(dice.below(7)))
            .map(|number| Held {
                overdue_ban: dice.one_in(5),
                ..waits(number, dice.small(80), if dice.one_in(5) { None } else { Some(100 + dice.small(150)) })
            })
            .collect();
        let overdue = if dice.one_in(2) { 5 } else { 0 };
        release(&format!("release drawn, {seed}"), (dice.small(150) - 20, overdue), &held)
    }));
    cases
}

fn release(name: &str, (exposure_minor, overdue_minor): (i64, i64), held: &[Held]) -> Case {
    let expected = naive_credit::released(exposure_minor.into(), overdue_minor, held);
    let entry = |order: &Held| HeldOrder {
        order_id: order.order_id.as_bytes().to_vec(),
        submitted_at_us: 0,
        value_minor: order.value_minor,
        // Each has an agreement of its own.
        agreement_id: order.order_id.as_bytes().to_vec(),
    };
    let credit = Credit {
        booked_debt_minor: exposure_minor,
        overdue_minor,
        held: held.iter().map(entry).collect(),
        ..Credit::default()
    };
    let terms = |agreement: Uuid| {
        let order = held.iter().find(|order| order.order_id == agreement)?;
        Some(CreditTerms { limit_minor: order.limit_minor, overdue_ban: order.overdue_ban })
    };
    let found = releasable(&credit, terms);
    assert_eq!((&found.orders, found.more), (&expected.0, expected.1), "{name}: {held:?}");
    let written = |order: &Held| {
        json!({
            "order_id": id_hex(order.order_id),
            "value_minor": wide(order.value_minor),
            "limit_minor": order.limit_minor.map_or(Value::Null, wide),
            "overdue_ban": order.overdue_ban,
        })
    };
    let input = json!({
        "of": "release",
        "exposure_minor": wide(exposure_minor),
        "overdue_minor": wide(overdue_minor),
        "held": held.iter().map(written).collect::<Vec<_>>(),
    });
    let orders: Vec<Value> = expected.0.into_iter().map(id_hex).collect();
    Case::new(name, input, json!({ "orders": orders, "more": expected.1 }))
}
