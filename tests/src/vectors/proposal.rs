//! What a phone proposes: an order, a copy of an order, and what to offer for a line that can't be had in full.

use prost::Message;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::{
    Agreement, Audience, MustSellItem, MustSellList, NewOrderLine, OrderLine, Outlet, Packaging, Price, PriceBreak,
    PriceList, Product, Promotion, ShownPromotion,
};
use roundsman_sync::trade::alternatives::{Alternative, Delivery, Successor, Wish, alternatives};
use roundsman_sync::trade::copy::{LeftOut, Offer, copy};
use roundsman_sync::trade::delivery::LocalTime;
use roundsman_sync::trade::must_sell::minimums;
use roundsman_sync::trade::price::List;
use roundsman_sync::trade::promotion::Buyer;
use roundsman_sync::trade::recommend::{Bought, Bound, Goods, Period, recommend};
use roundsman_sync::trade::step::Products;
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, hex, id, id_hex, naive, naive_proposal, promotion, wide};

const ABOUT: &str = "Three things, by `of`. \"recommend\": what an outlet has bought, the products and must-sell lists that the \
                     device knows, what is free, the day of the order, the day from which on all orders are known, and the days \
                     to cover; expected are the lines to propose, each with its reasons. \"copy\": lines to copy as serialized \
                     OrderLine messages, each with the id of its copy, and what the device sells from; expected are serialized \
                     NewOrderLine messages, what was replaced by the id of the new line, and what is left out by the old id. \
                     \"alternatives\": a product, its packaging and quantity, what is free of it and of its successor, and when \
                     it would be delivered; expected is what to offer.";
/// So many of each are drawn.
const DRAWN: u64 = 60;
/// A Monday.
const TODAY: i32 = 20_787;
const LIST: u128 = 90;
const OUTLET: u128 = 91;
const AGREEMENT: u128 = 92;

/// A case of the recommended order.
pub(super) struct Recommending {
    pub(super) products: Vec<(Uuid, Product)>,
    pub(super) must_sell: Vec<MustSellList>,
    pub(super) outlet: Outlet,
    pub(super) bought: Vec<Purchase>,
    pub(super) free: Vec<(Uuid, i64)>,
    pub(super) period: Period,
}

/// What was bought.
pub(super) struct Purchase {
    pub(super) day: i32,
    pub(super) product_id: Uuid,
    pub(super) packaging_code: String,
    pub(super) quantity_milli: i64,
}

/// A case of a copy.
pub(super) struct Copying {
    pub(super) products: Vec<(Uuid, Product)>,
    pub(super) prices: Vec<(Uuid, i64, Price)>,
    pub(super) list: (Uuid, PriceList),
    pub(super) promotions: Vec<(Uuid, i64, Promotion)>,
    pub(super) lines: Vec<(Uuid, OrderLine)>,
    pub(super) day: i32,
}

/// A case of a line that can't be had in full.
pub(super) struct Missing {
    pub(super) product: Product,
    pub(super) packaging_code: String,
    pub(super) quantity_milli: i64,
    pub(super) free_milli: i64,
    pub(super) successor: Option<(Uuid, Product, Option<i64>)>,
    pub(super) agreement: Agreement,
    pub(super) order_day: i32,
    pub(super) wanted_day: i32,
    pub(super) now: LocalTime,
}

pub(super) fn family() -> Family {
    let mut cases = Vec::new();
    for seed in 1..=DRAWN {
        cases.push(recommending(&format!("an order, {seed}"), &drawn_history(seed)));
        cases.push(copying(&format!("a copy, {seed}"), &drawn_copy(seed)));
        cases.push(missing(&format!("alternatives, {seed}"), &drawn_wish(seed)));
    }
    Family { name: "proposal", about: ABOUT, cases }
}

fn bytes(number: u128) -> Vec<u8> {
    id(number).as_bytes().to_vec()
}

fn drawn_product(dice: &mut Dice) -> Product {
    let all = [("box", 12_000), ("pack", 6_000), ("half", 500), ("pallet", 48_000)];
    let packagings = all.into_iter().filter(|_| dice.one_in(2)).map(|(code, coefficient_milli)| Packaging {
        code: code.to_owned(),
        coefficient_milli,
        ..Packaging::default()
    });
    let packagings = packagings.collect();
    let group_path = if dice.one_in(2) { vec!["Drinks".to_owned()] } else { Vec::new() };
    Product { packagings, group_path, multiple_milli: dice.of(&[0, 0, 250, 8_000]), ..Product::default() }
}

/// Products 1 to 5, of which some are withdrawn; successors may be unknown, or lead in a circle.
fn drawn_products(dice: &mut Dice) -> Vec<(Uuid, Product)> {
    let mut product = |number: u128| {
        let withdrawn = dice.one_in(3);
        let next = if dice.one_in(4) { 9 } else { number % 5 + 1 };
        let successor_id = if dice.one_in(3) { Vec::new() } else { bytes(next) };
        (id(number), Product { withdrawn, successor_id, ..drawn_product(dice) })
    };
    (1..=5).map(&mut product).collect()
}

fn drawn_history(seed: u64) -> Recommending {
    let mut dice = Dice(seed);
    let products = drawn_products(&mut dice);
    let day = |dice: &mut Dice| TODAY - 40 + i32::try_from(dice.small(43)).expect("small");
    let bought = (0..dice.below(12))
        .map(|_| Purchase {
            day: day(&mut dice),
            product_id: id(1 + u128::from(dice.below(6))),
            packaging_code: dice.of(&["", "box", "pack", "half"]).to_owned(),
            quantity_milli: 500 * (1 + dice.small(60)),
        })
        .collect();
    let list = |dice: &mut Dice| MustSellList {
        name: "Shelf".to_owned(),
        valid_from_day: dice.of(&[0, 0, TODAY, TODAY + 1]),
        valid_to_day: dice.of(&[0, 0, TODAY + 1, TODAY, TODAY - 1]),
        audience: dice
            .of(&[None, Some("key"), Some("kiosk")])
            .map(|label| Audience { outlet_labels: vec![label.to_owned()], ..Audience::default() }),
        items: (1..=5)
            .filter_map(|number| {
                let quantity_milli = 1_000 * (1 + dice.small(20));
                dice.one_in(2).then(|| MustSellItem { product_id: bytes(number), quantity_milli })
            })
            .collect(),
    };
    let must_sell = (0..2).map(|_| list(&mut dice)).collect();
    let free = (1..=5).filter_map(|number| {
        let free_milli = 500 * dice.small(80) - 1_000;
        dice.one_in(2).then(|| (id(number), free_milli))
    });
    let free = free.collect();
    let outlet = Outlet { labels: vec!["key".to_owned()], ..Outlet::default() };
    let cover_days = i32::try_from(dice.small(20)).expect("small");
    let period = Period { day: TODAY, known_from_day: TODAY - 30, cover_days };
    Recommending { products, must_sell, outlet, bought, free, period }
}

fn buyer(outlet: &Outlet, day: i32) -> Buyer<'_> {
    static AGREEMENT_ID: std::sync::LazyLock<Uuid> = std::sync::LazyLock::new(|| id(AGREEMENT));
    Buyer { outlet_id: id(OUTLET), outlet, agreement_id: AGREEMENT_ID.as_bytes(), currency: "EUR", day }
}

fn known(products: &[(Uuid, Product)]) -> Products<'_> {
    products.iter().map(|(id, product)| (*id, product)).collect()
}

fn records<M: Message>(records: &[(Uuid, M)]) -> Vec<Value> {
    records.iter().map(|(id, record)| written(*id, record)).collect()
}

fn written(id: Uuid, record: &impl Message) -> Value {
    json!({ "record_id": id_hex(id), "document": hex(record.encode_to_vec()) })
}

fn held<M: Message>(records: &[(Uuid, i64, M)]) -> Vec<Value> {
    let one = |(id, version, record): &(Uuid, i64, M)| json!({ "record_id": id_hex(*id), "version": wide(version), "document": hex(record.encode_to_vec()) });
    records.iter().map(one).collect()
}

fn is_proposed(name: &str, case: &Recommending, expected: &[naive_proposal::Line]) {
    let bought: Vec<Bought<'_>> = case
        .bought
        .iter()
        .map(|Purchase { day, product_id, packaging_code, quantity_milli }| Bought {
            day: *day,
            product_id: *product_id,
            packaging_code,
            quantity_milli: *quantity_milli,
        })
        .collect();
    let must_sell = minimums(&case.must_sell, &buyer(&case.outlet, case.period.day));
    let free = case.free.iter().copied().collect();
    let products = known(&case.products);
    let found = recommend(&bought, Goods { products: &products, must_sell: &must_sell, free: &free }, case.period);
    let short = found.into_iter().map(|line| {
        let reasons = line.reasons;
        let bound = match reasons.bound {
            Bound::Demand => "demand",
            Bound::MustSell => "must_sell",
            Bound::Stock => "stock",
        };
        assert_eq!(
            (reasons.free_milli, reasons.cover_days),
            (free.get(&line.product_id).copied(), case.period.cover_days)
        );
        let numbers = [
            reasons.bought_milli,
            reasons.observed_days.into(),
            reasons.average_milli,
            reasons.last_day.into(),
            reasons.last_milli,
            reasons.left_milli,
            reasons.must_sell_milli,
            reasons.needed_milli,
            reasons.step_milli,
        ];
        (line.product_id, line.packaging_code, line.quantity_milli, numbers, bound)
    });
    assert_eq!(short.collect::<Vec<_>>(), expected, "{name}");
}

fn recommending(name: &str, case: &Recommending) -> Case {
    let expected = naive_proposal::recommend(case);
    is_proposed(name, case, &expected);
    let purchase = |bought: &Purchase| {
        json!({
            "day": bought.day,
            "product_id": id_hex(bought.product_id),
            "packaging_code": bought.packaging_code,
            "quantity_milli": wide(bought.quantity_milli),
        })
    };
    let free = |(product, free): &(Uuid, i64)| json!({ "product_id": id_hex(*product), "free_milli": wide(free) });
    let input = json!({
        "of": "recommend",
        "products": records(&case.products),
        "must_sell": case.must_sell.iter().map(|list| hex(list.encode_to_vec())).collect::<Vec<_>>(),
        "outlet_id": id_hex(id(OUTLET)),
        "outlet": hex(case.outlet.encode_to_vec()),
        "agreement_id": id_hex(id(AGREEMENT)),
        "bought": case.bought.iter().map(purchase).collect::<Vec<_>>(),
        "free": case.free.iter().map(free).collect::<Vec<_>>(),
        "day": case.period.day,
        "known_from_day": case.period.known_from_day,
        "cover_days": case.period.cover_days,
    });
    let line = |(product, code, quantity, numbers, bound): naive_proposal::Line| {
        let [bought, observed, average, last_day, last, left, must_sell, needed, step] = numbers;
        json!({
            "product_id": id_hex(product),
            "packaging_code": code,
            "quantity_milli": wide(quantity),
            "bought_milli": wide(bought),
            "observed_days": observed,
            "average_milli": wide(average),
            "last_day": last_day,
            "last_milli": wide(last),
            "left_milli": wide(left),
            "must_sell_milli": wide(must_sell),
            "needed_milli": wide(needed),
            "step_milli": wide(step),
            "bound": bound,
        })
    };
    Case::new(name, input, json!({ "lines": expected.into_iter().map(line).collect::<Vec<_>>() }))
}

fn drawn_copy(seed: u64) -> Copying {
    let mut dice = Dice(seed + 1_000);
    let products = drawn_products(&mut dice);
    let mut prices = Vec::new();
    for number in 1..=5_u128 {
        for part in 0..u128::from(dice.below(3)) {
            let price = Price {
                price_list_id: bytes(LIST),
                product_id: bytes(number),
                breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor: 1 + dice.small(500) }],
                valid_to_day: dice.of(&[0, 0, TODAY, TODAY - 1]),
                packaging_code: dice.of(&["", "", "box"]).to_owned(),
                per_milli: dice.of(&[0, 12_000]),
                ..Price::default()
            };
            prices.push((id(100 + 10 * number + part), 5 + dice.small(9), price));
        }
    }
    let promotion = |benefit| Promotion { currency: "EUR".to_owned(), benefit: Some(benefit), ..Promotion::default() };
    let percent = promotion(Benefit::PercentBp(1 + i32::try_from(dice.small(9_000)).expect("small")));
    let amount = Promotion {
        product_ids: vec![bytes(1), bytes(2)],
        valid_to_day: dice.of(&[0, TODAY - 1]),
        ..promotion(Benefit::AmountMinor(1 + dice.small(900)))
    };
    let promotions = vec![(id(200), 3, percent), (id(201), 4, amount)];
    let mut line = |number: u128| {
        let product = if dice.one_in(8) { 9 } else { 1 + u128::from(dice.below(5)) };
        let line = OrderLine {
            line_id: bytes(300 + number),
            product_id: bytes(product),
            packaging_code: dice.of(&["", "box", "pack", "half"]).to_owned(),
            ordered_milli: dice.of(&[0, 500, 1_000, 12_000, 24_000, 30_000]),
            discount_bp: 700,
            ..OrderLine::default()
        };
        (id(400 + number), line)
    };
    let lines = (0..6).map(&mut line).collect();
    Copying { products, prices, list: (id(LIST), PriceList::default()), promotions, lines, day: TODAY }
}

fn copying(name: &str, case: &Copying) -> Case {
    let outlet = Outlet::default();
    let (mut copies, mut left_out) = (Vec::new(), Vec::new());
    for (index, (line_id, old)) in case.lines.iter().enumerate() {
        match naive_proposal::copy(case, index) {
            Ok(copy) => copies.push((*line_id, copy)),
            Err(why) => left_out.push((old.line_id.clone(), why)),
        }
    }
    let seen = copies.iter().map(|(line_id, (_, product, _, _, quantity, _, minor, per))| promotion::OrderLine {
        line_id: *line_id,
        product_id: *product,
        group_path: case.products.iter().find(|(id, _)| id == product).expect("known").1.group_path.clone(),
        quantity_milli: *quantity,
        price_minor: i64::try_from(*minor).expect("small"),
        per_milli: *per,
    });
    let order = promotion::Order {
        outlet_id: id(OUTLET),
        outlet: outlet.clone(),
        agreement_id: id(AGREEMENT),
        currency: "EUR".to_owned(),
        day: case.day,
        lines: seen.collect(),
    };
    let plain: Vec<(Uuid, Promotion)> = case.promotions.iter().map(|(id, _, own)| (*id, own.clone())).collect();
    let off = naive::promotions(&plain, &order);
    let version = |id: Uuid, all: Vec<(Uuid, i64)>| all.into_iter().find(|(own, _)| *own == id).expect("known").1;
    let new_line = |((line_id, copy), parts): (&(Uuid, naive_proposal::Copy), Vec<(Uuid, i128)>)| {
        let (_, product, code, coefficient, quantity, price, minor, per) = copy;
        let shown = |(promotion, minor): (Uuid, i128)| ShownPromotion {
            promotion_id: promotion.as_bytes().to_vec(),
            promotion_version: version(promotion, case.promotions.iter().map(|(id, own, _)| (*id, *own)).collect()),
            discount_minor: i64::try_from(minor).expect("small"),
        };
        NewOrderLine {
            line_id: line_id.as_bytes().to_vec(),
            product_id: product.as_bytes().to_vec(),
            packaging_code: code.clone(),
            coefficient_milli: *coefficient,
            quantity_milli: *quantity,
            price_id: price.as_bytes().to_vec(),
            price_version: version(*price, case.prices.iter().map(|(id, own, _)| (*id, *own)).collect()),
            shown_price_minor: i64::try_from(*minor).expect("small"),
            price_per_milli: *per,
            promotions: parts.into_iter().map(shown).collect(),
            ..NewOrderLine::default()
        }
    };
    let expected: Vec<NewOrderLine> = copies.iter().zip(off).map(new_line).collect();
    let replaced: Vec<(Uuid, Uuid)> =
        copies.iter().filter(|(_, copy)| copy.0 != copy.1).map(|(line_id, copy)| (*line_id, copy.0)).collect();
    by_the_code(name, case, &outlet, (&expected, &replaced, &left_out));
    let pair = |(line_id, product): &(Uuid, Uuid)| json!([id_hex(*line_id), id_hex(*product)]);
    let output = json!({
        "lines": expected.iter().map(|line| hex(line.encode_to_vec())).collect::<Vec<_>>(),
        "replaced": replaced.iter().map(pair).collect::<Vec<_>>(),
        "left_out": left_out.iter().map(|(line_id, why)| json!([hex(line_id), why])).collect::<Vec<_>>(),
    });
    Case::new(name, copy_input(case, &outlet), output)
}

fn copy_input(case: &Copying, outlet: &Outlet) -> Value {
    let lines = case
        .lines
        .iter()
        .map(|(line_id, line)| json!({ "line_id": id_hex(*line_id), "line": hex(line.encode_to_vec()) }));
    json!({
        "of": "copy",
        "products": records(&case.products),
        "prices": held(&case.prices),
        "list": written(case.list.0, &case.list.1),
        "promotions": held(&case.promotions),
        "lines": lines.collect::<Vec<_>>(),
        "outlet_id": id_hex(id(OUTLET)),
        "outlet": hex(outlet.encode_to_vec()),
        "agreement_id": id_hex(id(AGREEMENT)),
        "currency": "EUR",
        "day": case.day,
    })
}

/// New lines, products that were replaced by new lines, and old lines that are left out.
type Copies<'a> = (&'a [NewOrderLine], &'a [(Uuid, Uuid)], &'a [(Vec<u8>, &'a str)]);

fn by_the_code(name: &str, case: &Copying, outlet: &Outlet, (lines, replaced, left_out): Copies<'_>) {
    let products = known(&case.products);
    let prices: Vec<_> = case.prices.iter().map(|(id, version, price)| (*id, *version, price)).collect();
    let promotions: Vec<_> = case.promotions.iter().map(|(id, version, own)| (*id, *version, own)).collect();
    let list = List::new(case.list.0, &case.list.1);
    let offer = Offer { products: &products, prices: &prices, list, promotions: &promotions };
    let old: Vec<_> = case.lines.iter().map(|(id, line)| (*id, line)).collect();
    let found = copy(&old, &offer, &buyer(outlet, case.day));
    assert_eq!(found.lines, lines, "{name}");
    let replaced = replaced.iter().map(|(line_id, product)| (line_id.as_bytes().to_vec(), *product));
    assert_eq!(found.replaced, replaced.collect(), "{name}");
    let why = |why: LeftOut| match why {
        LeftOut::NotOrdered => "not_ordered",
        LeftOut::Unknown => "unknown",
        LeftOut::Withdrawn => "withdrawn",
        LeftOut::NoPrice => "no_price",
    };
    let words: Vec<_> = found.left_out.into_iter().map(|(line_id, reason)| (line_id, why(reason))).collect();
    assert_eq!(words, left_out, "{name}");
}

fn drawn_wish(seed: u64) -> Missing {
    let mut dice = Dice(seed + 2_000);
    let product = Product { withdrawn: dice.one_in(4), ..drawn_product(&mut dice) };
    let next = Product { withdrawn: dice.one_in(5), ..drawn_product(&mut dice) };
    let free = if dice.one_in(5) { None } else { Some(500 * dice.small(100) - 2_000) };
    let successor = (!dice.one_in(4)).then(|| (id(2), next, free));
    let weekdays = dice.of(&[0, 0, 4 + 32, 127]);
    let day = |dice: &mut Dice| i32::try_from(dice.small(5)).expect("small");
    let agreement = Agreement {
        delivery_weekdays: weekdays,
        cut_off_s: dice.of(&[0, 54_000]),
        delivery_lead_days: day(&mut dice) / 2,
        ..Agreement::default()
    };
    Missing {
        product,
        packaging_code: dice.of(&["", "box", "box", "pallet", "gone"]).to_owned(),
        quantity_milli: 1_000 * (1 + dice.small(60)),
        free_milli: 500 * dice.small(80) - 1_000,
        successor,
        agreement,
        order_day: TODAY + day(&mut dice) / 3,
        wanted_day: if dice.one_in(2) { 0 } else { TODAY + day(&mut dice) },
        now: LocalTime { day: TODAY, second: dice.of(&[36_000, 54_000]) },
    }
}

fn missing(name: &str, case: &Missing) -> Case {
    let wish = Wish {
        product: &case.product,
        packaging_code: &case.packaging_code,
        quantity_milli: case.quantity_milli,
        free_milli: case.free_milli,
    };
    let successor = case.successor.as_ref().map(|(product_id, product, free_milli)| Successor {
        product_id: *product_id,
        product,
        free_milli: *free_milli,
    });
    let delivery =
        Delivery { agreement: &case.agreement, order_day: case.order_day, wanted_day: case.wanted_day, now: case.now };
    let (packaging, instead, later) = naive_proposal::alternatives(case);
    let packaging = packaging.map(|(packaging_code, coefficient_milli, quantity_milli)| Alternative::Packaging {
        packaging_code,
        coefficient_milli,
        quantity_milli,
    });
    let instead = instead.map(|quantity_milli| Alternative::Successor { product_id: id(2), quantity_milli });
    let later = later.map(|day| Alternative::Later { day });
    let expected: Vec<Alternative> = [packaging, instead, later].into_iter().flatten().collect();
    assert_eq!(alternatives(&wish, successor.as_ref(), &delivery), expected, "{name}");
    let offered = |alternative: &Alternative| match alternative {
        Alternative::Packaging { packaging_code, coefficient_milli, quantity_milli } => json!({
            "kind": "packaging",
            "packaging_code": packaging_code,
            "coefficient_milli": wide(coefficient_milli),
            "quantity_milli": wide(quantity_milli),
        }),
        Alternative::Successor { product_id, quantity_milli } => {
            json!({ "kind": "successor", "product_id": id_hex(*product_id), "quantity_milli": wide(quantity_milli) })
        }
        Alternative::Later { day } => json!({ "kind": "later", "day": day }),
    };
    let next = case.successor.as_ref().map(|(product_id, product, free)| {
        json!({
            "record_id": id_hex(*product_id),
            "document": hex(product.encode_to_vec()),
            "free_milli": free.map(wide),
        })
    });
    let input = json!({
        "of": "alternatives",
        "product": hex(case.product.encode_to_vec()),
        "packaging_code": case.packaging_code,
        "quantity_milli": wide(case.quantity_milli),
        "free_milli": wide(case.free_milli),
        "successor": next,
        "agreement": hex(case.agreement.encode_to_vec()),
        "order_day": case.order_day,
        "wanted_day": case.wanted_day,
        "day": case.now.day,
        "second": case.now.second,
    });
    Case::new(name, input, json!({ "alternatives": expected.iter().map(offered).collect::<Vec<_>>() }))
}
