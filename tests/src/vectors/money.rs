//! What a line of an order costs.

use roundsman_sync::trade::check::MONEY_MINOR;
use roundsman_sync::trade::money::{Rate, Sum, UNIT_MILLI, line};
use serde_json::json;

use super::dice::Dice;
use super::{Case, Family, naive, wide};

const ABOUT: &str = "The quantity of a line in thousandths of the base unit, the price in minor units and for how many \
                     thousandths it is, what promotions take off, the discount and the tax in basis points. Expected are the \
                     line's amount, tax included, and the tax in it; or that a number is out of range.";
/// So many lines are drawn beside those that show one thing each.
const DRAWN: u64 = 60;

pub(super) fn family() -> Family {
    let rate = |price_minor, discount_bp, vat_bp, vat_included| Rate {
        price_minor,
        per_milli: UNIT_MILLI,
        promotions_minor: 0,
        discount_bp,
        vat_bp,
        vat_included,
    };
    let dozen = |price_minor| Rate { per_milli: 12_000, ..rate(price_minor, 0, 0, true) };
    let promoted = |promotions_minor, discount_bp| Rate { promotions_minor, ..rate(999, discount_bp, 2_000, false) };
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
        ("seven of a dozen", 7_000, dozen(1_000)),
        ("a whole dozen", 12_000, dozen(1_000)),
        ("a price for nothing", 1_000, Rate { per_milli: 0, ..plain(1) }),
        ("a promotion", 2_500, promoted(500, 0)),
        ("a promotion before a discount", 2_500, promoted(500, 333)),
        ("a promotion that takes all", 1_000, promoted(999, 0)),
        ("a promotion that takes more than all", 1_000, promoted(1_000, 0)),
        ("a promotion of nothing", 0, promoted(1, 0)),
        ("a promotion that is given back", -2_500, promoted(-500, 333)),
    ];
    let mut all: Vec<Case> = cases.into_iter().map(|(name, quantity, rate)| case(name, quantity, rate)).collect();
    for seed in 1..=DRAWN {
        let mut dice = Dice(seed);
        let bp = |dice: &mut Dice| i32::try_from(dice.small(10_001)).expect("a small number");
        let drawn = Rate {
            price_minor: dice.small(100_000),
            per_milli: if dice.one_in(2) { UNIT_MILLI } else { 1 + dice.small(24_000) },
            promotions_minor: if dice.one_in(2) { 0 } else { dice.small(50_000) },
            discount_bp: if dice.one_in(2) { 0 } else { bp(&mut dice) },
            vat_bp: bp(&mut dice),
            vat_included: dice.one_in(2),
        };
        all.push(case(&format!("drawn, {seed}"), dice.small(50_000), drawn));
    }
    Family { name: "money", about: ABOUT, cases: all }
}

fn case(name: &str, quantity_milli: i64, rate: Rate) -> Case {
    let input = json!({
        "quantity_milli": wide(quantity_milli),
        "price_minor": wide(rate.price_minor),
        "per_milli": wide(rate.per_milli),
        "promotions_minor": wide(rate.promotions_minor),
        "discount_bp": rate.discount_bp,
        "vat_bp": rate.vat_bp,
        "vat_included": rate.vat_included,
    });
    let expected = match line(quantity_milli, rate) {
        Ok(Sum { amount_minor, vat_minor }) => {
            let (amount, vat) = naive::line(quantity_milli, &rate);
            assert_eq!((i128::from(amount_minor), i128::from(vat_minor)), (amount, vat), "{name}");
            json!({ "amount_minor": wide(amount), "vat_minor": wide(vat) })
        }
        Err(_) => json!({ "refused": "out_of_range" }),
    };
    Case::new(name, input, expected)
}
