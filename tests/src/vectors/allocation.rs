//! What of an order is confirmed when there is not enough.

use std::collections::BTreeMap;

use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{
    Agreement, NewOrderLine, Order, OrderStatus, Outlet, Price, PriceBreak, PriceList, Product, QuotaHolder,
    ShortageRule, SubmitOrder,
};
use roundsman_sync::trade::capture::{Capture, Editor};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::order::{Decision, Goods, Setting, Terms, decide_submit, hold};
use roundsman_sync::trade::price::{GRACE_US, Known, List};
use roundsman_sync::trade::quota::{Quota, Quotas, Share};
use roundsman_sync::trade::stock::Available;
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, id, id_hex, naive_allocation, sharing, wide};

const ABOUT: &str = "Goods with what lies there and what is promised to others (null: the stock is not known, and not checked), \
                     the successor of a product (null: none), the step in which it is sold, its price from a least \
                     quantity on, and the shares of a quota in force with what is used of each, `own`: that of the \
                     rep who takes the order (empty: no quota); an agreement's rule for shortages; and the lines of a new order. Expected are what holds \
                     the order (empty: it is confirmed), its lines with those of substitutes at their end, each with whether it counts in the own share, and what is \
                     promised of each product afterwards. All quantities are thousandths of the base unit. The expected \
                     values were worked out piece by piece by code of its own. A case with `wanted_milli` is \
                     another: so much is free when a product is shared out in such steps, and orders want so much each, \
                     the one that was submitted first first; expected is what each gets.";
/// So many orders are drawn beside those that show one thing each.
const DRAWN: u64 = 300;
const TEA: u128 = 11;
const SUGAR: u128 = 12;
const CUP: u128 = 13;
const REP: u128 = 53;
const LIST: u128 = 60;
const AGREEMENT: u128 = 61;
const TODAY: i32 = 20_000;
const RULES: [ShortageRule; 4] =
    [ShortageRule::ConfirmPart, ShortageRule::BackOrder, ShortageRule::ShipComplete, ShortageRule::Substitute];

/// A product, and its stock.
#[derive(Clone, Debug)]
pub(super) struct Ware {
    pub(super) product: u128,
    /// What lies there, and what of it is promised to others.
    pub(super) stock: Option<(i64, i64)>,
    pub(super) withdrawn: bool,
    pub(super) successor: Option<u128>,
    pub(super) multiple_milli: i64,
    pub(super) price_minor: i64,
    /// From which quantity on it has a price.
    pub(super) price_from_milli: i64,
    /// How it is shared out.
    pub(super) shares: Vec<Part>,
}

/// A share of it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// It is that of the rep who takes the order.
    pub(super) own: bool,
    pub(super) quantity_milli: i64,
    pub(super) used_milli: i64,
}

/// Lines that are ordered where there may not be enough.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) rule: ShortageRule,
    pub(super) wares: Vec<Ware>,
    /// Line, product and quantity.
    pub(super) lines: Vec<(u128, u128, i64)>,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allocation {
    pub(super) holds: Vec<&'static str>,
    pub(super) lines: Vec<AllocatedLine>,
    /// What is promised of each product that has a stock, by the products.
    pub(super) reserved: BTreeMap<u128, i64>,
}

/// A line of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AllocatedLine {
    pub(super) product: u128,
    pub(super) confirmed_milli: i64,
    pub(super) reserved_milli: i64,
    pub(super) difference: &'static str,
    pub(super) price_minor: i64,
    pub(super) in_own_share: bool,
    /// The line that it replaces a part of.
    pub(super) instead_of: Option<u128>,
}

pub(super) fn family() -> Family {
    let mut cases: Vec<Case> = shown().into_iter().map(|(name, wish)| case(name, &wish)).collect();
    for seed in 1..=DRAWN {
        cases.push(case(&format!("drawn {seed}"), &drawn(&mut Dice(seed))));
    }
    cases.extend(sharing::cases());
    Family { name: "allocation", about: ABOUT, cases }
}

fn ware(product: u128, stock: Option<(i64, i64)>) -> Ware {
    Ware {
        product,
        stock,
        withdrawn: false,
        successor: None,
        multiple_milli: 0,
        price_minor: 100,
        price_from_milli: 0,
        shares: Vec::new(),
    }
}

/// Orders that show one thing each.
fn shown() -> Vec<(&'static str, Wish)> {
    let tea = |stock| vec![ware(TEA, stock)];
    let replaced = |left, successor: Ware| vec![Ware { successor: Some(CUP), ..ware(TEA, Some((left, 0))) }, successor];
    let cup = |left| ware(CUP, Some((left, 0)));
    let wish = |rule, wares, lines: &[(u128, u128, i64)]| Wish { rule, wares, lines: lines.to_vec() };
    let two = [(1, TEA, 3_000), (2, TEA, 4_000)];
    let [part, later, complete, instead] = RULES;
    let shared = |parts: &[(bool, i64, i64)]| {
        let part = |(own, quantity_milli, used_milli): &(bool, i64, i64)| Part {
            own: *own,
            quantity_milli: *quantity_milli,
            used_milli: *used_milli,
        };
        vec![Ware { shares: parts.iter().map(part).collect(), ..ware(TEA, Some((9_000, 0))) }]
    };
    let cases = [
        ("the own share, and what nobody claims", wish(part, shared(&[(true, 4_000, 0), (false, 4_000, 0)]), &two)),
        ("without a share what nobody claims", wish(part, shared(&[(false, 4_000, 0), (false, 4_000, 3_000)]), &two)),
        ("the own share is used up", wish(part, shared(&[(true, 4_000, 4_000), (false, 9_000, 0)]), &two)),
        (
            "others have taken more than their share",
            wish(part, shared(&[(true, 1_000, 0), (false, 2_000, 5_000)]), &two),
        ),
        ("more is shared out than lies there", wish(part, shared(&[(true, 6_000, 0), (false, 6_000, 0)]), &two)),
        ("what the own share lacks follows", wish(later, shared(&[(true, 4_000, 0), (false, 9_000, 0)]), &two)),
        ("for the own share the order waits", wish(complete, shared(&[(true, 4_000, 0), (false, 9_000, 0)]), &two)),
        ("enough", wish(part, tea(Some((9_000, 2_000))), &two)),
        ("a stock that nobody knows", wish(complete, tea(None), &two)),
        ("the rest is dropped", wish(part, tea(Some((9_000, 4_000))), &two)),
        ("without a rule the rest is dropped", wish(ShortageRule::Unspecified, tea(Some((5_000, 0))), &two)),
        ("more is promised than lies there", wish(part, tea(Some((1_000, 4_000))), &two)),
        ("the rest follows", wish(later, tea(Some((9_000, 4_000))), &two)),
        ("the order waits", wish(complete, tea(Some((9_000, 4_000))), &two)),
        ("a part of a piece", wish(part, tea(Some((3_500, 0))), &two)),
        ("the successor steps in", wish(instead, replaced(5_000, cup(9_000)), &two)),
        ("in whole steps only", wish(instead, replaced(5_000, Ware { multiple_milli: 1_500, ..cup(9_000) }), &two)),
        ("a dearer one costs no more", wish(instead, replaced(0, Ware { price_minor: 150, ..cup(9_000) }), &two)),
        ("a cheaper one costs less", wish(instead, replaced(0, Ware { price_minor: 70, ..cup(9_000) }), &two)),
        (
            "a successor without a price",
            wish(instead, replaced(0, Ware { price_from_milli: 9_000, ..cup(9_000) }), &two),
        ),
        (
            "what has no price is left for others",
            wish(instead, replaced(0, Ware { price_from_milli: 3_500, ..cup(5_000) }), &two),
        ),
        (
            "those who ordered the successor come first",
            wish(instead, replaced(0, cup(5_000)), &[(1, TEA, 4_000), (2, CUP, 3_000)]),
        ),
        (
            "a withdrawn successor",
            wish(instead, replaced(0, Ware { withdrawn: true, ..cup(5_000) }), &[(1, TEA, 4_000)]),
        ),
        (
            "what is withdrawn does not follow",
            wish(later, vec![Ware { withdrawn: true, ..ware(TEA, Some((1_000, 0))) }], &two),
        ),
    ];
    cases.into()
}

fn drawn(dice: &mut Dice) -> Wish {
    let products = [TEA, SUGAR, CUP];
    let quantity = |dice: &mut Dice, most: u64| dice.small(most) * 250;
    let wares = products.map(|product| {
        let on_hand = quantity(dice, 60);
        let reserved = if dice.one_in(2) { quantity(dice, 30) } else { 0 };
        let others: Vec<u128> = products.into_iter().filter(|other| *other != product).collect();
        Ware {
            product,
            stock: (!dice.one_in(8)).then_some((on_hand, reserved)),
            withdrawn: dice.one_in(12),
            successor: dice.one_in(2).then(|| dice.of(&others)),
            multiple_milli: dice.of(&[0, 0, 500, 1_000, 3_000]),
            price_minor: 50 + dice.small(100),
            price_from_milli: 0,
            shares: if dice.one_in(3) { shares(dice) } else { Vec::new() },
        }
    });
    let mut lines = Vec::new();
    for line in 1..=1 + u128::from(dice.below(5)) {
        lines.push((line, dice.of(&products), 250 + quantity(dice, 30)));
    }
    let mut wares = wares.to_vec();
    for ware in &mut wares {
        // What is ordered by itself has a price for any quantity: without one the price would hold it.
        if lines.iter().all(|(_, product, _)| *product != ware.product) && dice.one_in(3) {
            ware.price_from_milli = quantity(dice, 20);
        }
    }
    Wish { rule: dice.of(&RULES), wares, lines }
}

/// One's own now and then, and those of others.
fn shares(dice: &mut Dice) -> Vec<Part> {
    let mut parts = Vec::new();
    for number in 0..=dice.below(3) {
        let quantity_milli = 250 + dice.small(24) * 250;
        let used_milli = if dice.one_in(2) { dice.small(28) * 250 } else { 0 };
        parts.push(Part { own: number == 0 && !dice.one_in(4), quantity_milli, used_milli });
    }
    parts
}

fn case(name: &str, wish: &Wish) -> Case {
    let expected = naive_allocation::allocate(wish);
    assert_eq!(by_the_code(wish), expected, "{name}: {wish:?}");
    let goods: Vec<Value> = wish.wares.iter().map(written).collect();
    let lines: Vec<Value> = wish
        .lines
        .iter()
        .map(|(line, product, quantity)| {
            json!({
                "line_id": id_hex(id(*line)),
                "product_id": id_hex(id(*product)),
                "quantity_milli": wide(quantity),
            })
        })
        .collect();
    let given: Vec<Value> = expected
        .lines
        .iter()
        .map(|line| {
            json!({
                "product_id": id_hex(id(line.product)),
                "confirmed_milli": wide(line.confirmed_milli),
                "reserved_milli": wide(line.reserved_milli),
                "difference": line.difference,
                "price_minor": wide(line.price_minor),
                "in_own_share": line.in_own_share,
                "substitutes_line_id": line.instead_of.map(|line| id_hex(id(line))),
            })
        })
        .collect();
    let reserved: BTreeMap<String, Value> =
        expected.reserved.iter().map(|(product, milli)| (hex::encode(id(*product).as_bytes()), wide(milli))).collect();
    Case::new(
        name,
        json!({ "goods": goods, "shortage_rule": wish.rule.as_str_name(), "lines": lines }),
        json!({ "holds": expected.holds, "lines": given, "reserved_milli": reserved }),
    )
}

fn written(ware: &Ware) -> Value {
    let share = |part: &Part| {
        json!({
            "own": part.own,
            "quantity_milli": wide(part.quantity_milli),
            "used_milli": wide(part.used_milli),
        })
    };
    let shares: Vec<Value> = ware.shares.iter().map(share).collect();
    json!({
        "product_id": id_hex(id(ware.product)),
        "on_hand_milli": ware.stock.map(|stock| wide(stock.0)),
        "reserved_milli": ware.stock.map(|stock| wide(stock.1)),
        "withdrawn": ware.withdrawn,
        "successor_id": ware.successor.map(|successor| id_hex(id(successor))),
        "multiple_milli": wide(ware.multiple_milli),
        "price_minor": wide(ware.price_minor),
        "price_from_milli": wide(ware.price_from_milli),
        "shares": shares,
    })
}

fn bytes(number: u128) -> Vec<u8> {
    id(number).as_bytes().to_vec()
}

/// The price record of a product.
fn price_id(product: u128) -> u128 {
    product + 100
}

fn by_the_code(wish: &Wish) -> Allocation {
    let decision = decided(wish);
    let Decision { order, available, .. } = decision;
    let held = hold::open_reasons(&order);
    let status = if held.is_empty() { OrderStatus::Confirmed } else { OrderStatus::Submitted };
    assert_eq!(order.status(), status);
    let number =
        |wares: &[Ware], product: &[u8]| wares.iter().map(|ware| ware.product).find(|id| bytes(*id) == product);
    let lines = order.lines.iter().map(|line| AllocatedLine {
        product: number(&wish.wares, &line.product_id).expect("known"),
        confirmed_milli: line.confirmed_milli,
        reserved_milli: line.reserved_milli,
        difference: line.difference().as_str_name(),
        price_minor: line.price_minor,
        in_own_share: line.quota.is_some(),
        instead_of: wish.lines.iter().map(|line| line.0).find(|id| bytes(*id) == line.substitutes_line_id),
    });
    let reserved = wish.wares.iter().filter_map(|ware| {
        let (_, before) = ware.stock?;
        Some((ware.product, available.get(&id(ware.product)).map_or(before, |stock| stock.reserved_milli)))
    });
    Allocation {
        holds: held.iter().map(|reason| reason.as_str_name()).collect(),
        lines: lines.collect(),
        reserved: reserved.collect(),
    }
}

fn decided(wish: &Wish) -> Decision {
    let agreement = Agreement {
        price_list_id: bytes(LIST),
        currency: "EUR".to_owned(),
        shortage_rule: wish.rule.into(),
        ..Agreement::default()
    };
    let list = PriceList { currency: "EUR".to_owned(), ..PriceList::default() };
    let outlet = Outlet { agreement_ids: vec![bytes(AGREEMENT)], customer_id: bytes(51), ..Outlet::default() };
    let rows: Vec<(Uuid, Product, Price)> = wish.wares.iter().map(records).collect();
    let quotas: Vec<Option<Quotas>> = wish.wares.iter().map(quotas).collect();
    let goods =
        rows.iter().zip(wish.wares.iter().zip(&quotas)).map(|((product_id, product, price), (ware, quotas))| {
            let known = Known { id: id(price_id(ware.product)), version: 1, changed_at_us: 0, price, before: None };
            let available =
                ware.stock.map(|(on_hand, reserved)| Available::default().counted(on_hand).reserving(0, reserved));
            (*product_id, Goods { product, prices: vec![known], available, quotas: quotas.as_ref() })
        });
    let lines = wish.lines.iter().map(|(line, product, quantity)| NewOrderLine {
        line_id: bytes(*line),
        product_id: bytes(*product),
        coefficient_milli: 1_000,
        quantity_milli: *quantity,
        price_id: bytes(price_id(*product)),
        price_version: 1,
        shown_price_minor: wish.wares.iter().find(|ware| ware.product == *product).expect("known").price_minor,
        price_per_milli: 1_000,
        ..NewOrderLine::default()
    });
    let command = SubmitOrder {
        order_id: bytes(1),
        outlet_id: bytes(50),
        agreement_id: bytes(AGREEMENT),
        currency: "EUR".to_owned(),
        lines: lines.collect(),
        ..SubmitOrder::default()
    };
    let terms = Terms { agreement: &agreement, price_list: List::new(id(LIST), &list), floor_list: None };
    let setting = Setting {
        order_id: id(1),
        outlet_id: id(50),
        outlet: &outlet,
        former_agreement_ids: &[],
        other: None,
        warehouse_id: Some(id(52)),
        terms: &[(id(AGREEMENT), terms)].into(),
        goods: &goods.collect(),
        promotions: &[],
        credit: &Credit::default(),
        capture: &Capture { business_day: TODAY, ..Capture::default() },
        price_grace_us: GRACE_US,
    };
    let none: [(Uuid, Order); 0] = [];
    decide_submit(None, None, Editor::Rep(id(REP)), &command, &none, &setting).expect("a good order")
}

/// How it is shared out: by reps, the first of whom takes the order.
fn quotas(ware: &Ware) -> Option<Quotas> {
    let share = |(number, part): (u128, &Part)| {
        let rep = if part.own { REP } else { REP + 1 + number };
        let holder = Some(QuotaHolder { holder: Some(Holder::RepId(bytes(rep))) });
        Share { holder, quantity_milli: part.quantity_milli, used_milli: part.used_milli }
    };
    let shares = (0..).zip(&ware.shares).map(share).collect();
    let quota = Quota { quota_id: bytes(ware.product + 200), shares, ..Quota::default() };
    (!ware.shares.is_empty()).then(|| Quotas { quotas: vec![quota], ..Quotas::default() })
}

/// The product and its price.
fn records(ware: &Ware) -> (Uuid, Product, Price) {
    let product = Product {
        withdrawn: ware.withdrawn,
        successor_id: ware.successor.map(bytes).unwrap_or_default(),
        multiple_milli: ware.multiple_milli,
        ..Product::default()
    };
    let price = Price {
        price_list_id: bytes(LIST),
        product_id: bytes(ware.product),
        breaks: vec![PriceBreak { min_quantity_milli: ware.price_from_milli, price_minor: ware.price_minor }],
        ..Price::default()
    };
    (id(ware.product), product, price)
}
