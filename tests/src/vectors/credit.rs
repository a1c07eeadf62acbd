//! What a customer owes, what a payment pays of it, and how old it is.

use prost::Message;
use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::{
    CollectPayment, Contract, DueItem, GoodsReturn, Order, OrderStatus, Payment, PaymentAllocation, PaymentMethod,
    PaymentShare, Receivable, ReturnState,
};
use roundsman_sync::trade::capture::Capture;
use roundsman_sync::trade::contract::{Standing, standing};
use roundsman_sync::trade::credit::{Account, Credit, CreditTerms, HeldOrder, releasable};
use roundsman_sync::trade::debt::{self, Debts};
use roundsman_sync::trade::payment::{self, Owing};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, hex, id, id_hex, naive_credit, wide};

const ABOUT: &str = "What a customer owes in one currency. `of` says what is asked. `exposure`: of all receivables, orders, \
                     payments and returns of the customer, as serialized messages of roundsman.trade.v1, orders with their record ids; \
                     expected are the credit exposure, and whether a value fits under a limit (null: there is none). \
                     `allocation`: of the same, and a serialized CollectPayment; expected are what is an advance, and which \
                     documents are paid. `aging`: of a serialized Receivable on a day; expected is how much is not due, 1 to 7 \
                     days overdue, 8 to 14, 15 to 30, 31 to 60, more than 60, and of no known day. `release`: of an exposure, an \
                     overdue sum and orders that wait for credit, oldest first; expected are those that are released, and \
                     whether there are more. `contract`: of the customer's contracts in the order's currency with their record ids, \
                     the contract that the order has already or that was named, its agreement and its day; expected is \
                     `standing`, free, under or expired, and the contract. `contract exposure`: of a ledger with contracts, of \
                     which the documents name some; expected is the exposure under one. The expected values were worked out unit by unit by code of its own, which shares \
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
    pub(super) returns: Vec<GoodsReturn>,
    pub(super) contracts: Vec<(Uuid, Contract)>,
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
    cases.extend(contracts());
    Family { name: "credit", about: ABOUT, cases }
}

impl Ledger {
    fn credit(&self) -> Credit {
        let credit = self
            .contracts
            .iter()
            .try_fold(Credit::default(), |credit, (id, contract)| credit.with_contract(*id, contract))
            .expect("not many");
        let credit =
            self.receivables.iter().try_fold(credit, |credit, receivable| credit.with_receivable(None, receivable));
        let credit = self
            .orders
            .iter()
            .try_fold(credit.expect("small sums"), |credit, (id, order)| credit.with_order(*id, None, order));
        let credit = self
            .payments
            .iter()
            .try_fold(credit.expect("small sums"), |credit, payment| credit.with_payment(None, payment));
        let credit =
            self.returns.iter().try_fold(credit.expect("small sums"), |credit, back| credit.with_return(None, back));
        credit.expect("small sums")
    }

    fn written(&self) -> Value {
        let documents = |documents: Vec<Vec<u8>>| documents.into_iter().map(hex).collect::<Vec<_>>();
        let order =
            |(id, order): &(Uuid, Order)| json!({ "record_id": id_hex(*id), "document": hex(order.encode_to_vec()) });
        let mut written = json!({
            "receivables": documents(self.receivables.iter().map(Message::encode_to_vec).collect()),
            "orders": self.orders.iter().map(order).collect::<Vec<_>>(),
            "payments": documents(self.payments.iter().map(Message::encode_to_vec).collect()),
        });
        if !self.returns.is_empty() {
            written["returns"] = documents(self.returns.iter().map(Message::encode_to_vec).collect()).into();
        }
        if !self.contracts.is_empty() {
            written["contracts"] = written_contracts(&self.contracts);
        }
        written
    }
}

fn written_contracts(contracts: &[(Uuid, Contract)]) -> Value {
    let contract = |(id, contract): &(Uuid, Contract)| json!({ "record_id": id_hex(*id), "document": hex(contract.encode_to_vec()) });
    contracts.iter().map(contract).collect()
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
        contract_id: Vec::new(),
        trip_id: Vec::new(),
    }
}

fn exposures() -> Vec<Case> {
    use OrderStatus::{Cancelled, Closed, Confirmed, Refused, Released, Submitted};
    let all = |status| order(1, status, 300, false);
    let debt = || vec![books(500, Vec::new())];
    let ledger = |orders, payments| Ledger { receivables: debt(), orders, payments, ..Ledger::default() };
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
    for (name, state, booked, exposure_minor) in [
        ("goods that came back", ReturnState::Received, false, 300),
        ("what came back is in the debt", ReturnState::Received, true, 500),
        ("goods that are to come back", ReturnState::Announced, false, 500),
        ("goods that do not come back", ReturnState::Cancelled, false, 500),
    ] {
        let back = GoodsReturn { value_minor: 200, state: state.into(), booked, ..GoodsReturn::default() };
        let ledger = Ledger { returns: vec![back], ..ledger(Vec::new(), Vec::new()) };
        cases.push(exposure(name, &ledger, (0, Some(exposure_minor))));
    }
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
    let found = (i128::from(credit.exposure_minor()), credit.all.admit(value_minor, terms).is_ok());
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
    Ledger { receivables, orders: orders.into(), payments, ..Ledger::default() }
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
    let under = naive_credit::paid_under(ledger, command);
    let taken = payment::decide_collect(None, order, id(2), id(3), command, owing, &Capture::default());
    let taken = taken.expect("it is taken").payment;
    assert_eq!((&taken.allocations, taken.advance_minor), (&expected, advance), "{name}: {ledger:?} {command:?}");
    assert_eq!(taken.contract_id, under, "{name}: {ledger:?} {command:?}");
    let written = expected.iter().map(|part| {
        json!({
            "document_number": part.document_number,
            "order_id": hex(&part.order_id),
            "due_day": part.due_day,
            "amount_minor": wide(part.amount_minor),
        })
    });
    let input = json!({ "of": "allocation", "ledger": ledger.written(), "command": hex(command.encode_to_vec()) });
    let mut expected = json!({ "advance_minor": wide(advance), "allocations": written.collect::<Vec<_>>() });
    if !ledger.contracts.is_empty() {
        expected["contract_id"] = json!(hex(under));
    }
    Case::new(name, input, expected)
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
        contract_id: Vec::new(),
    };
    let credit = Credit {
        all: Account { booked_debt_minor: exposure_minor, overdue_minor, ..Account::default() },
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

/// The contracts of a customer, three of which documents may name.
const CONTRACTS: [u128; 3] = [41, 42, 43];

fn contract(days: (i32, i32), agreements: &[u128], closed: bool) -> Contract {
    Contract {
        number: "1/26".to_owned(),
        customer_id: id(CUSTOMER).as_bytes().to_vec(),
        currency: CURRENCY.to_owned(),
        valid_from_day: days.0,
        valid_to_day: days.1,
        agreement_ids: agreements.iter().map(|agreement| id(*agreement).as_bytes().to_vec()).collect(),
        closed,
        ..Contract::default()
    }
}

/// Under which contract an order is, and what is owed and paid under contracts.
fn contracts() -> Vec<Case> {
    let of =
        |contracts: &[Contract]| -> Vec<(Uuid, Contract)> { (50..).map(id).zip(contracts.iter().cloned()).collect() };
    let open = || contract((0, 0), &[], false);
    let spring = || contract((10, 20), &[], false);
    let mut cases = vec![
        stands("without contracts", &[], None, 15),
        stands("one without days", &of(&[open()]), None, 15),
        stands("the one that begins last", &of(&[contract((12, 0), &[], false), spring(), open()]), None, 15),
        stands("two that begin on one day", &of(&[spring(), spring()]), None, 20),
        stands("the last day", &of(&[spring()]), None, 20),
        stands("the day after", &of(&[spring()]), None, 21),
        stands("the day before", &of(&[spring()]), None, 9),
        stands("a closed one", &of(&[contract((0, 0), &[], true)]), None, 15),
        stands("a closed one beside an older one", &of(&[contract((14, 0), &[], true), spring()]), None, 15),
        stands("another agreement's", &of(&[contract((0, 0), &[8], false)]), None, 15),
        stands("one of several agreements", &of(&[contract((0, 0), &[8, 7], false)]), None, 15),
        stands("the one that was named", &of(&[open(), spring()]), Some(50), 15),
        stands("the named one has expired", &of(&[spring(), open()]), Some(50), 21),
        stands("the named one is for another agreement", &of(&[contract((0, 0), &[8], false), open()]), Some(50), 15),
        stands("the named one is unknown", &of(&[open()]), Some(60), 15),
    ];
    cases.extend((1..=DRAWN / 2).map(|seed| {
        let mut dice = Dice(4_000 + seed);
        let day = |dice: &mut Dice| if dice.one_in(3) { 0 } else { 10 + i32::try_from(dice.small(12)).expect("small") };
        let drawn: Vec<Contract> = (0..dice.below(5))
            .map(|_| {
                let from = day(&mut dice);
                let to = day(&mut dice);
                let agreements: &[u128] = dice.of(&[&[], &[7], &[8], &[7, 8]]);
                contract((from, if to == 0 { 0 } else { to.max(from) }), agreements, dice.one_in(6))
            })
            .collect();
        let own = dice.of(&[None, None, Some(50), Some(52)]);
        let day = 10 + i32::try_from(dice.small(14)).expect("small");
        stands(&format!("contract drawn, {seed}"), &of(&drawn), own, day)
    }));
    cases.extend((1..=DRAWN / 2).map(|seed| {
        let mut dice = Dice(5_000 + seed);
        let ledger = under_contracts(&mut dice);
        let one = dice.of(&CONTRACTS);
        contract_exposure(&format!("contract exposure drawn, {seed}"), &ledger, id(one))
    }));
    cases.extend((1..=DRAWN).map(|seed| {
        let mut dice = Dice(6_000 + seed);
        let ledger = under_contracts(&mut dice);
        let named = dice.of(&[None, Some(CONTRACTS[0]), Some(CONTRACTS[1]), Some(99)]);
        let contract_id = named.map(|named| id(named).as_bytes().to_vec()).unwrap_or_default();
        let command = CollectPayment { contract_id, ..wished(&mut dice) };
        allocation(&format!("allocation under contracts drawn, {seed}"), &ledger, &command)
    }));
    cases
}

/// A debt that was drawn, some of which is owed and paid under contracts.
fn under_contracts(dice: &mut Dice) -> Ledger {
    let mut ledger = drawn(dice);
    let some = |dice: &mut Dice| {
        let contract = dice.of(&[None, Some(CONTRACTS[0]), Some(CONTRACTS[1]), Some(CONTRACTS[2])]);
        contract.map(|contract| id(contract).as_bytes().to_vec()).unwrap_or_default()
    };
    ledger.contracts = CONTRACTS.map(|number| (id(number), contract((0, 0), &[], false))).to_vec();
    ledger.receivables.iter_mut().for_each(|receivable| receivable.contract_id = some(dice));
    ledger.orders.iter_mut().for_each(|(_, order)| order.contract_id = some(dice));
    ledger.payments.iter_mut().for_each(|payment| payment.contract_id = some(dice));
    ledger
}

fn stands(name: &str, contracts: &[(Uuid, Contract)], own: Option<u128>, day: i32) -> Case {
    let (own, agreement) = (own.map(id), id(7));
    let expected = naive_credit::standing(contracts, own, agreement, day);
    let own_id = own.map(|own| own.as_bytes().to_vec()).unwrap_or_default();
    let known = contracts.iter().map(|(id, contract)| (*id, contract));
    let found = match standing(known, &own_id, agreement.as_bytes(), day) {
        Standing::Free => ("free", None),
        Standing::Under(contract) => ("under", Some(contract)),
        Standing::Expired(contract) => {
            let expired = contracts.iter().find(|(_, known)| std::ptr::eq(known, contract));
            ("expired", expired.map(|(id, _)| *id))
        }
    };
    assert_eq!(found, expected, "{name}: {contracts:?}");
    let input = json!({
        "of": "contract",
        "contracts": written_contracts(contracts),
        "own_contract_id": own.map_or_else(|| hex(Vec::<u8>::new()), id_hex),
        "agreement_id": id_hex(agreement),
        "order_day": day,
    });
    let contract_id = expected.1.map_or_else(|| hex(Vec::<u8>::new()), id_hex);
    Case::new(name, input, json!({ "standing": expected.0, "contract_id": contract_id }))
}

fn contract_exposure(name: &str, ledger: &Ledger, contract: Uuid) -> Case {
    let only = naive_credit::only(ledger, contract);
    let expected = naive_credit::exposure(&only);
    let credit = ledger.credit();
    let known = credit.contract(contract.as_bytes()).expect("it is one of them");
    assert_eq!(i128::from(known.account.exposure_minor()), expected, "{name}: {ledger:?}");
    let input = json!({ "of": "contract exposure", "ledger": ledger.written(), "contract_id": id_hex(contract) });
    Case::new(name, input, json!({ "exposure_minor": wide(expected) }))
}
