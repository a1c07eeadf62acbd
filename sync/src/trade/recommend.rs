//! What an outlet will need until the next delivery, from what it has bought: the order that an app proposes, with the numbers
//! that explain it. A proposal only; nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::Product;
use uuid::Uuid;

use super::check::QUANTITY_MILLI;
use super::money::{divide, saturated};
use super::step::{self, Products};

/// A line of an order that the outlet has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought<'a> {
    /// The order's day.
    pub day: i32,
    /// The product.
    pub product_id: Uuid,
    /// The packaging, by its code; empty: the base unit.
    pub packaging_code: &'a str,
    /// What was delivered, or while nothing was, what is confirmed; in thousandths of the base unit.
    pub quantity_milli: i64,
}

/// For which time an order is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The day of the order.
    pub day: i32,
    /// From this day on all orders of the outlet are known.
    pub known_from_day: i32,
    /// So many days the goods are to last: until what the next visit orders has come.
    pub cover_days: i32,
}

/// What bounds a proposed quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What the outlet sells.
    Demand,
    /// The must-sell list: it wants more than the outlet sells.
    MustSell,
    /// Stock: there is not as much as is needed.
    Stock,
}

/// Why so much of a product is proposed. Quantities are in thousandths of the base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasons {
    /// What the outlet has bought of it, and of what it replaces, on the observed days.
    pub bought_milli: i64,
    /// So many days were observed: from the first known order of the outlet to the day before this one. 0: no order is known.
    pub observed_days: i32,
    /// `bought_milli` a day, rounded half up; to be shown.
    pub average_milli: i64,
    /// So many days the goods are to last.
    pub cover_days: i32,
    /// The last day on which it was bought, this one and coming ones included. 0: never.
    pub last_day: i32,
    /// What was bought on that day.
    pub last_milli: i64,
    /// What should be left of that, if the outlet sells as much every day; rounded down, and at least nothing.
    pub left_milli: i64,
    /// What the must-sell lists want. 0: nothing.
    pub must_sell_milli: i64,
    /// What is needed: what sells in the days to cover, rounded up, or what the must-sell lists want if that is more; less what is
    /// left.
    pub needed_milli: i64,
    /// In such steps it is ordered.
    pub step_milli: i64,
    /// What is free. `None`: nobody knows.
    pub free_milli: Option<i64>,
    /// What bounds the quantity.
    pub bound: Bound,
}

/// A proposed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommended {
    /// The product.
    pub product_id: Uuid,
    /// The packaging in which it was bought last, if it still exists; empty: the base unit.
    pub packaging_code: String,
    /// What is needed, rounded up to a whole step; or as many whole steps as are free. May be 0 then.
    pub quantity_milli: i64,
    /// Why.
    pub reasons: Reasons,
}

/// What the device knows, beside what was bought.
#[derive(Clone, Copy, Debug)]
pub struct Goods<'a> {
    /// The products.
    pub products: &'a Products<'a>,
    /// What the outlet is to have at least ([`super::must_sell::minimums`]).
    pub must_sell: &'a BTreeMap<Uuid, i64>,
    /// What is free, by product, as far as the device knows.
    pub free: &'a BTreeMap<Uuid, i64>,
}

/// What was bought of one product.
#[derive(Default)]
struct Past<'a> {
    bought: i128,
    last_day: i32,
    last: i128,
    packaging_code: &'a str,
}

/// The lines to propose, by product. What is no longer sold is proposed as its successor, and what is not needed not at all.
/// The order of `bought` does not matter, save that of lines of one product and day the last one's packaging counts.
#[must_use]
pub fn recommend(bought: &[Bought<'_>], goods: Goods<'_>, period: Period) -> Vec<Recommended> {
    let known = |bought: &&Bought<'_>| bought.day >= period.known_from_day && bought.quantity_milli > 0;
    let first_day = bought.iter().filter(known).map(|bought| bought.day).min();
    let observed_days = first_day.map_or(0, |first| period.day.saturating_sub(first).max(0));
    let mut past: BTreeMap<Uuid, Past<'_>> = BTreeMap::new();
    for bought in bought.iter().filter(known) {
        if let Some((product_id, _)) = step::sold(bought.product_id, goods.products) {
            past.entry(product_id).or_default().add(bought, period.day);
        }
    }
    let mut must_sell: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (product_id, quantity_milli) in goods.must_sell {
        if let Some((product_id, _)) = step::sold(*product_id, goods.products) {
            let least = must_sell.entry(product_id).or_default();
            *least = (*least).max(*quantity_milli);
        }
    }
    let named: BTreeSet<Uuid> = past.keys().chain(must_sell.keys()).copied().collect();
    let line = |product_id: Uuid| {
        let product = goods.products.get(&product_id)?;
        let none = Past::default();
        let past = past.get(&product_id).unwrap_or(&none);
        let least = must_sell.get(&product_id).copied().unwrap_or(0);
        propose((product_id, product), past, (least, goods.free.get(&product_id).copied()), (period, observed_days))
    };
    named.into_iter().filter_map(line).collect()
}

impl<'a> Past<'a> {
    fn add(&mut self, bought: &Bought<'a>, today: i32) {
        let quantity = i128::from(bought.quantity_milli);
        // What is bought today is sold later.
        if bought.day < today {
            self.bought += quantity;
        }
        if bought.day > self.last_day || self.last == 0 {
            (self.last_day, self.last) = (bought.day, 0);
        }
        if bought.day == self.last_day {
            self.last += quantity;
            self.packaging_code = bought.packaging_code;
        }
    }
}

fn propose(
    (product_id, product): (Uuid, &Product),
    past: &Past<'_>,
    (must_sell_milli, free_milli): (i64, Option<i64>),
    (period, observed_days): (Period, i32),
) -> Option<Recommended> {
    let days = i128::from(observed_days.max(1));
    let since = i128::from(period.day.saturating_sub(past.last_day).max(0));
    // What is left is rounded down and what sells rounded up, so that the shelf is rather full than empty.
    let left = (past.last - rounded_up(past.bought * since, days)).max(0);
    let demand = rounded_up(past.bought * i128::from(period.cover_days.max(0)), days);
    let needed = demand.max(must_sell_milli.into()) - left;
    if needed <= 0 {
        return None;
    }
    let packaging = step::packaging(product, past.packaging_code);
    let (needed_milli, step_milli) = (saturated(needed).min(QUANTITY_MILLI), step::of(product, packaging));
    let wanted = step::up(needed_milli, step_milli);
    let there = free_milli.map_or(wanted, |free| step::down(free, step_milli));
    let bound = match (there < wanted, demand < must_sell_milli.into()) {
        (true, _) => Bound::Stock,
        (false, true) => Bound::MustSell,
        (false, false) => Bound::Demand,
    };
    let reasons = Reasons {
        bought_milli: saturated(past.bought),
        observed_days,
        average_milli: saturated(divide(past.bought, days)),
        cover_days: period.cover_days,
        last_day: past.last_day,
        last_milli: saturated(past.last),
        left_milli: saturated(left),
        must_sell_milli,
        needed_milli,
        step_milli,
        free_milli,
        bound,
    };
    Some(Recommended {
        product_id,
        packaging_code: packaging.map(|packaging| packaging.code.clone()).unwrap_or_default(),
        quantity_milli: wanted.min(there),
        reasons,
    })
}

/// Divided and rounded up, of numbers not below 0.
fn rounded_up(numerator: i128, denominator: i128) -> i128 {
    (numerator + denominator - 1) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::Packaging;

    const TODAY: i32 = 20_000;
    const TEA: Uuid = Uuid::from_u128(1);
    const SUGAR: Uuid = Uuid::from_u128(2);

    fn bought(ago: i32, product_id: Uuid, units: i64) -> Bought<'static> {
        Bought { day: TODAY - ago, product_id, packaging_code: "box", quantity_milli: units * 1_000 }
    }

    fn period(cover_days: i32) -> Period {
        Period { day: TODAY, known_from_day: TODAY - 60, cover_days }
    }

    fn boxed(coefficient: i64) -> Product {
        let packaging =
            Packaging { code: "box".to_owned(), coefficient_milli: coefficient * 1_000, ..Packaging::default() };
        Product { packagings: vec![packaging], ..Product::default() }
    }

    fn lines(
        past: &[Bought<'_>],
        must_sell: &[(Uuid, i64)],
        free: &[(Uuid, i64)],
        cover_days: i32,
    ) -> Vec<Recommended> {
        let (tea, sugar) = (boxed(12), Product::default());
        let products = BTreeMap::from([(TEA, &tea), (SUGAR, &sugar)]);
        let must_sell = must_sell.iter().copied().collect();
        let free = free.iter().copied().collect();
        recommend(past, Goods { products: &products, must_sell: &must_sell, free: &free }, period(cover_days))
    }

    #[test]
    fn what_sells_until_the_next_delivery_is_proposed_in_whole_boxes() {
        // 70 in 28 days are 2.5 a day; the last 40 lasted for 16 of 20 days.
        let found = lines(&[bought(28, TEA, 30), bought(20, TEA, 40)], &[], &[], 14);
        let [line] = found.as_slice() else { panic!("one line: {found:?}") };
        assert_eq!((line.quantity_milli, line.packaging_code.as_str()), (36_000, "box"));
        let Reasons { bought_milli, observed_days, average_milli, needed_milli, left_milli, bound, .. } = line.reasons;
        assert_eq!((bought_milli, observed_days, average_milli), (70_000, 28, 2_500));
        assert_eq!((needed_milli, left_milli, bound), (35_000, 0, Bound::Demand));
    }

    #[test]
    fn what_is_left_of_the_last_order_is_not_proposed_again() {
        let past = [bought(20, SUGAR, 40), bought(5, SUGAR, 40)];
        // 4 a day: of the last 40 there should be 20.
        let found = lines(&past, &[], &[], 7);
        assert_eq!((found[0].quantity_milli, found[0].reasons.left_milli), (8_000, 20_000));
        assert!(lines(&past, &[], &[], 5).is_empty());
        let today = lines(&[past[0], past[1], bought(0, SUGAR, 8)], &[], &[], 7);
        assert_eq!(today[0].reasons.last_milli, 8_000, "what was ordered today is still all there");
    }

    #[test]
    fn a_must_sell_list_wants_what_nobody_has_bought() {
        let found = lines(&[bought(10, SUGAR, 1)], &[(TEA, 5_000), (SUGAR, 3_000)], &[], 10);
        let short = |line: &Recommended| (line.product_id, line.quantity_milli, line.reasons.bound);
        let expected = [(TEA, 5_000, Bound::MustSell), (SUGAR, 3_000, Bound::MustSell)];
        assert_eq!(found.iter().map(short).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_more_than_is_free_is_proposed() {
        let past = [bought(10, TEA, 30)];
        let of_free = |free| {
            let found = lines(&past, &[], &[(TEA, free)], 10);
            (found[0].quantity_milli, found[0].reasons.bound)
        };
        assert_eq!(of_free(36_000), (36_000, Bound::Demand));
        assert_eq!(of_free(35_000), (24_000, Bound::Stock));
        assert_eq!(of_free(-5_000), (0, Bound::Stock));
    }

    proptest! {
        #[test]
        fn a_proposal_lasts_and_is_no_more_than_a_step_too_much(
            past in proptest::collection::vec((0..60_i32, 1..500_i64), 1..12),
            cover_days in 0..60_i32,
        ) {
            let past: Vec<Bought<'_>> = past.iter().map(|(ago, units)| bought(*ago, TEA, *units)).collect();
            let turned: Vec<Bought<'_>> = past.iter().rev().copied().collect();
            let found = lines(&past, &[], &[], cover_days);
            prop_assert_eq!(&found, &lines(&turned, &[], &[], cover_days));
            for Recommended { quantity_milli, reasons, .. } in &found {
                let Reasons { bought_milli, observed_days, left_milli, step_milli, .. } = reasons;
                let days = i64::from((*observed_days).max(1));
                let lasting = (quantity_milli + left_milli) * days;
                let selling = bought_milli * i64::from(cover_days);
                prop_assert!(selling <= lasting && lasting <= selling + (step_milli + 1) * days);
            }
        }
    }
}
