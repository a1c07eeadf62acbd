//! Which price is in force.

use prost::Message as _;
use roundsman_proto::trade::{Price, PriceBreak, PriceList};
use roundsman_sync::trade::price::{List, Wanted, quote};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, hex, id, id_hex, naive, wide};

const ABOUT: &str = "All prices of a product in a list and in its base, as serialized roundsman.trade.v1.Price messages with \
                     their record ids; the list, as a serialized roundsman.trade.v1.PriceList with its record id; a day, a \
                     packaging and a quantity in thousandths of the base unit. Expected are the record that is in force, and \
                     the price that it gives, with the quantity for which that is; null where there is none.";
/// So many offers are drawn beside those that show one thing each.
const DRAWN: u64 = 80;

const LIST: u128 = 70;
const BASE: u128 = 71;
const ELSEWHERE: u128 = 72;

pub(super) fn family() -> Family {
    let always = price(&[(0, 100)], 0, 0);
    let spring = price(&[(0, 90)], 10, 20);
    let week = price(&[(0, 80)], 10, 15);
    let steps = price(&[(1_000, 100), (24_000, 80), (10_000, 90)], 0, 0);
    let dozen = Price { packaging_code: "dozen".to_owned(), per_milli: 12_000, ..price(&[(0, 1_000)], 0, 0) };
    let based = of(BASE, price(&[(0, 999), (10_000, 875)], 0, 0));
    let elsewhere = of(ELSEWHERE, always.clone());
    let all = [(1, &always), (2, &spring), (3, &week)];
    let turned = [(3, &always), (2, &spring), (1, &week)];
    let plain = PriceList::default();
    let marked = |markup_bp, round_to_minor| PriceList {
        base_list_id: id(BASE).as_bytes().to_vec(),
        markup_bp,
        round_to_minor,
        ..PriceList::default()
    };
    let on = |day, quantity_milli| Wanted { quantity_milli, packaging_code: "", day };
    let packed = |packaging_code| Wanted { packaging_code, ..on(10, 24_000) };
    let mut cases = vec![
        case("no price", &[], &plain, on(10, 1_000)),
        case("without days", &[(1, &always)], &plain, on(10, 1_000)),
        case("before the first day", &[(2, &spring)], &plain, on(9, 1_000)),
        case("on the first day", &[(2, &spring)], &plain, on(10, 1_000)),
        case("on the last day", &[(2, &spring)], &plain, on(20, 1_000)),
        case("behind the last day", &[(2, &spring)], &plain, on(21, 1_000)),
        case("the one that begins last", &all, &plain, on(16, 1_000)),
        case("of two that begin on one day the one with the greatest id", &all, &plain, on(12, 1_000)),
        case("of two that begin on one day, also if it is the longer one", &turned, &plain, on(12, 1_000)),
        case("below the first break", &[(1, &steps)], &plain, on(10, 999)),
        case("at the first break", &[(1, &steps)], &plain, on(10, 1_000)),
        case("breaks need no order", &[(1, &steps)], &plain, on(10, 23_999)),
        case("at the greatest break", &[(1, &steps)], &plain, on(10, 24_000)),
        case("another list's", &[(1, &elsewhere)], &plain, on(10, 1_000)),
        case("for the packaging", &[(1, &dozen), (2, &spring)], &plain, packed("dozen")),
        case("for another packaging", &[(1, &dozen), (2, &spring)], &plain, packed("box")),
        case("for the base unit", &[(1, &dozen)], &plain, packed("")),
        case("computed", &[(1, &based)], &marked(1_500, 0), on(10, 1_000)),
        case("computed from a break", &[(1, &based)], &marked(1_500, 0), on(10, 10_000)),
        case("computed and rounded to tens", &[(1, &based)], &marked(1_500, 10), on(10, 10_000)),
        case("computed with something off", &[(1, &based)], &marked(-1_234, 5), on(10, 1_000)),
        case("its own before the base's", &[(1, &always), (2, &based)], &marked(1_500, 0), on(10, 1_000)),
        case("the base's where its own has ended", &[(1, &spring), (2, &based)], &marked(0, 0), on(21, 1_000)),
        case("a base that is none", &[(1, &based)], &plain, on(10, 1_000)),
    ];
    cases.extend((1..=DRAWN).map(drawn));
    Family { name: "price", about: ABOUT, cases }
}

fn price(breaks: &[(i64, i64)], valid_from_day: i32, valid_to_day: i32) -> Price {
    let breaks = breaks.iter().map(|(min_quantity_milli, price_minor)| PriceBreak {
        min_quantity_milli: *min_quantity_milli,
        price_minor: *price_minor,
    });
    of(LIST, Price { breaks: breaks.collect(), valid_from_day, valid_to_day, ..Price::default() })
}

fn of(list: u128, price: Price) -> Price {
    Price { price_list_id: id(list).as_bytes().to_vec(), ..price }
}

/// An offer that was drawn.
fn drawn(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let mut prices = Vec::new();
    for _ in 0..1 + dice.below(6) {
        let mut breaks = vec![(dice.small(3) * 1_000, dice.small(5_000))];
        for step in 0..dice.small(3) {
            breaks.push((4_000 + 5_000 * step, dice.small(5_000)));
        }
        let from = i32::try_from(dice.small(20)).expect("a small number");
        let drawn = Price {
            packaging_code: dice.of(&["", "", "dozen", "box"]).to_owned(),
            per_milli: dice.of(&[0, 0, 12_000, 500]),
            ..price(&breaks, from, if dice.one_in(2) { 0 } else { from + 5 })
        };
        prices.push(of(dice.of(&[LIST, BASE, BASE, ELSEWHERE]), drawn));
    }
    let list = PriceList {
        base_list_id: if dice.one_in(4) { Vec::new() } else { id(BASE).as_bytes().to_vec() },
        markup_bp: i32::try_from(dice.small(12_000)).expect("a small number") - 4_000,
        round_to_minor: dice.of(&[0, 0, 5, 100]),
        ..PriceList::default()
    };
    let packaging_code = dice.of(&["", "dozen", "box"]);
    let day = i32::try_from(dice.small(25)).expect("a small number");
    let wanted = Wanted { quantity_milli: 1 + dice.small(20_000), packaging_code, day };
    let numbered: Vec<(u128, &Price)> = (1..).zip(&prices).collect();
    case(&format!("drawn, {seed}"), &numbered, &list, wanted)
}

fn case(name: &str, prices: &[(u128, &Price)], list: &PriceList, wanted: Wanted<'_>) -> Case {
    let written = prices
        .iter()
        .map(|(number, price)| json!({ "record_id": id_hex(id(*number)), "document": hex(price.encode_to_vec()) }));
    let records: Vec<(Uuid, &Price)> = prices.iter().map(|(number, price)| (id(*number), *price)).collect();
    let Wanted { quantity_milli, packaging_code, day } = wanted;
    let expected = naive::price(&records, (id(LIST), list), (quantity_milli, packaging_code, day));
    let found = quote(records.iter().copied(), &List::new(id(LIST), list), &wanted);
    let found = found.map(|quote| (quote.price_id, i128::from(quote.rate.price_minor), quote.rate.per_milli));
    assert_eq!(found, expected, "{name}: {prices:?} {list:?} {wanted:?}");
    Case::new(
        name,
        json!({
            "prices": written.collect::<Vec<_>>(),
            "list_id": id_hex(id(LIST)),
            "list": hex(list.encode_to_vec()),
            "day": day,
            "packaging_code": packaging_code,
            "quantity_milli": wide(quantity_milli),
        }),
        match expected {
            Some((record, price_minor, per_milli)) => json!({
                "record_id": id_hex(record),
                "price_minor": wide(price_minor),
                "per_milli": wide(per_milli),
            }),
            None => json!({ "record_id": Value::Null, "price_minor": Value::Null, "per_milli": Value::Null }),
        },
    )
}
