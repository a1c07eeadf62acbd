//! What a line of an order costs.

use roundsman_sync::trade::check::MONEY_MINOR;
use roundsman_sync::trade::money::{Rate, line};
use serde_json::json;

use super::{Case, Family, wide};

const ABOUT: &str = "The quantity of a line in thousandths of the base unit, the price of one base unit in minor units, the \
                     discount and the tax in basis points. Expected are the line's amount, tax included, and the tax in it; \
                     or that a number is out of range.";

pub(super) fn family() -> Family {
    let rate = |price_minor, discount_bp, vat_bp, vat_included| Rate { price_minor, discount_bp, vat_bp, vat_included };
    let plain = |price_minor| rate(price_minor, 0, 0, true);
    let cases = [
        ("a whole unit", 1_000, plain(999)),
        ("less than half a unit of money", 499, plain(1)),
        ("half a unit of money is rounded up", 500, plain(1)),
        ("and down where goods are given back", -500, plain(1)),
        ("a half that follows a whole", 1_500, plain(1)),
        ("tax that is contained", 1_000, rate(1_200, 0, 2_000, true)),
        ("tax that is added", 1_000, rate(1_200, 0, 2_000, false)),
        ("a discount before tax that is added", 2_500, rate(999, 500, 2_000, false)),
        ("a discount before tax that is contained", 3_000, rate(333, 333, 2_000, true)),
        ("everything is given", 1_000, rate(1_200, 10_000, 2_000, false)),
        ("everything is tax", 1_000, rate(1_200, 0, 10_000, true)),
        ("a return mirrors a sale", -2_500, rate(999, 500, 2_000, false)),
        ("beyond 53 bits on the way", 987_654_321, rate(987_654_321, 1_234, 2_345, false)),
        ("the largest sum", 1_000, plain(MONEY_MINOR)),
        ("more than the largest sum", 1_000, plain(MONEY_MINOR + 1)),
        ("more than the largest sum by its tax", 1_000, rate(MONEY_MINOR, 0, 1, false)),
        ("more than 64 bits", i64::MAX, plain(i64::MAX)),
        ("a negative discount", 1_000, rate(100, -1, 0, true)),
        ("a discount of more than all", 1_000, rate(100, 10_001, 0, true)),
        ("a negative tax", 1_000, rate(100, 0, -1, true)),
        ("a tax of more than all", 1_000, rate(100, 0, 10_001, true)),
    ];
    Family { name: "money", about: ABOUT, cases: cases.into_iter().map(case).collect() }
}

fn case((name, quantity_milli, rate): (&str, i64, Rate)) -> Case {
    let input = json!({
        "quantity_milli": wide(quantity_milli),
        "price_minor": wide(rate.price_minor),
        "discount_bp": rate.discount_bp,
        "vat_bp": rate.vat_bp,
        "vat_included": rate.vat_included,
    });
    let expected = match line(quantity_milli, rate) {
        Ok(sum) => json!({ "amount_minor": wide(sum.amount_minor), "vat_minor": wide(sum.vat_minor) }),
        Err(_) => json!({ "refused": "out_of_range" }),
    };
    Case::new(name, input, expected)
}
