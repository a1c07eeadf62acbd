//! Which price is in force.

use prost::Message as _;
use roundsman_proto::trade::{Price, PriceBreak};
use roundsman_sync::trade::price::{at_quantity, in_force};
use serde_json::{Value, json};

use super::{Case, Family, hex, id, id_hex, wide};

const ABOUT: &str = "All prices of a product in a list, as serialized roundsman.trade.v1.Price messages with their record \
                     ids, a day and a quantity in thousandths of the base unit. Expected are the record that is in force on \
                     the day, and the price of one base unit at the quantity; null where there is none.";

pub(super) fn family() -> Family {
    let always = price(&[(0, 100)], 0, 0);
    let spring = price(&[(0, 90)], 10, 20);
    let week = price(&[(0, 80)], 10, 15);
    let steps = price(&[(1_000, 100), (24_000, 80), (10_000, 90)], 0, 0);
    let all = [(1, &always), (2, &spring), (3, &week)];
    let turned = [(3, &always), (2, &spring), (1, &week)];
    let cases = vec![
        case("no price", &[], 10, 1_000),
        case("without days", &[(1, &always)], 10, 1_000),
        case("before the first day", &[(2, &spring)], 9, 1_000),
        case("on the first day", &[(2, &spring)], 10, 1_000),
        case("on the last day", &[(2, &spring)], 20, 1_000),
        case("behind the last day", &[(2, &spring)], 21, 1_000),
        case("the one that begins last", &all, 16, 1_000),
        case("of two that begin on one day the one with the greatest id", &all, 12, 1_000),
        case("of two that begin on one day, also if it is the longer one", &turned, 12, 1_000),
        case("below the first break", &[(1, &steps)], 10, 999),
        case("at the first break", &[(1, &steps)], 10, 1_000),
        case("breaks need no order", &[(1, &steps)], 10, 23_999),
        case("at the greatest break", &[(1, &steps)], 10, 24_000),
    ];
    Family { name: "price", about: ABOUT, cases }
}

fn price(breaks: &[(i64, i64)], valid_from_day: i32, valid_to_day: i32) -> Price {
    let breaks = breaks
        .iter()
        .map(|(min_quantity_milli, price_minor)| PriceBreak {
            min_quantity_milli: *min_quantity_milli,
            price_minor: *price_minor,
        })
        .collect();
    Price { breaks, valid_from_day, valid_to_day, ..Price::default() }
}

fn case(name: &str, prices: &[(u128, &Price)], day: i32, quantity_milli: i64) -> Case {
    let written = prices
        .iter()
        .map(|(number, price)| json!({ "record_id": id_hex(id(*number)), "document": hex(price.encode_to_vec()) }));
    let found = in_force(prices.iter().map(|(number, price)| (id(*number), *price)), day);
    let price_minor = found.and_then(|(_, price)| at_quantity(price, quantity_milli));
    Case::new(
        name,
        json!({ "prices": written.collect::<Vec<_>>(), "day": day, "quantity_milli": wide(quantity_milli) }),
        json!({
            "record_id": found.map_or(Value::Null, |(record, _)| id_hex(record)),
            "price_minor": price_minor.map_or(Value::Null, wide),
        }),
    )
}
