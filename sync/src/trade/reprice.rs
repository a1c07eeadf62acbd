//! Other prices from a day on: each price that runs on that day ends the day before, and another one begins. Prices that
//! begin on that day or later stay as they are, so that the same rule applied again finds nothing to do.

use roundsman_proto::trade::{Price, PriceBreak};
use uuid::Uuid;

use super::check::{self, WHOLE_BP, out_of_range};
use super::money::marked_up;
use super::price::{contradict, valid};
use super::rejection::Rejection;

/// The largest raise, in basis points: ten times the price on top.
const RAISE_BP: i32 = 100_000;

/// How a price changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// By how much.
    pub by: By,
    /// To a multiple of how much it is rounded, half away from zero, in minor units; 0: 1.
    pub round_to_minor: i64,
}

/// By how much a price changes; below 0 it is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A share of it, in basis points.
    Share(i32),
    /// So many minor units.
    Amount(i64),
}

impl Rule {
    /// The new price for an old one, both in minor units and never below 0.
    ///
    /// # Errors
    /// `REASON_OUT_OF_RANGE` when the rule is none, or gives a price below 0 or above the largest sum.
    pub fn price(&self, old_minor: i64) -> Result<i64, Rejection> {
        check::money(self.round_to_minor, "round_to_minor")?;
        match self.by {
            By::Share(share_bp) => {
                check::range(share_bp, -WHOLE_BP..=RAISE_BP, "percent")?;
                marked_up(old_minor, share_bp, self.round_to_minor)
            }
            By::Amount(amount_minor) => {
                let new_minor = old_minor.checked_add(amount_minor).ok_or_else(|| out_of_range("amount"))?;
                check::money(new_minor, "price_minor")?;
                marked_up(new_minor, 0, self.round_to_minor)
            }
        }
    }

    /// What a price says when all its breaks have changed.
    ///
    /// # Errors
    /// Those of [`Rule::price`].
    pub fn changed(&self, price: &Price) -> Result<Price, Rejection> {
        let step = |step: &PriceBreak| Ok(PriceBreak { price_minor: self.price(step.price_minor)?, ..*step });
        let breaks: Result<Vec<PriceBreak>, Rejection> = price.breaks.iter().map(step).collect();
        Ok(Price { breaks: breaks?, ..price.clone() })
    }
}

/// What becomes of a price.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The price as it is; `None`: there is none yet.
    pub before: Option<(Uuid, Price)>,
    /// What it will say, if it ends; `None`: it does not, and `price` takes its place.
    pub ended: Option<Price>,
    /// The new price.
    pub price: Price,
}

/// What changes from a day on when the prices that run on it change by a rule. `prices` are those of one product in one list
/// for one packaging. On each day before it the same price is in force as without, and on each day from it on the changed
/// one of what was.
///
/// # Errors
/// Those of [`Rule::price`].
pub fn by_rule(prices: &[(Uuid, Price)], day: i32, rule: &Rule) -> Result<Vec<Change>, Rejection> {
    let mut changes = Vec::new();
    for (id, price, begins) in running(prices, day).filter(|(_, price, _)| price.valid_from_day < day) {
        changes.extend(change(id, price, begins, rule.changed(price)?));
    }
    Ok(changes)
}

/// What changes from a day on when it is known what the prices are to be from then on: `wanted`, of which the days don't
/// matter. Its list, product and packaging are those of `prices`.
#[must_use]
pub fn to_price(prices: &[(Uuid, Price)], day: i32, wanted: &Price) -> Vec<Change> {
    let new = |price: &Price| Price { breaks: wanted.breaks.clone(), per_milli: wanted.per_milli, ..price.clone() };
    let mut changes: Vec<Change> =
        running(prices, day).filter_map(|(id, price, begins)| change(id, price, begins, new(price))).collect();
    if !prices.iter().any(|(_, price)| valid(price, day)) {
        let price = Price { valid_from_day: day, valid_to_day: 0, ..wanted.clone() };
        changes.push(Change { before: None, ended: None, price });
    }
    changes
}

/// Of these changes, a price that would say of the same days what another one says: the server refuses it
/// (`REASON_PRICE_CONFLICT`).
#[must_use]
pub fn contradicted(prices: &[(Uuid, Price)], changes: &[Change]) -> Option<Uuid> {
    let id = |change: &Change| change.before.as_ref().map(|(id, _)| *id);
    let untouched = prices.iter().filter(|(other, _)| !changes.iter().any(|change| id(change) == Some(*other)));
    let after: Vec<&Price> = untouched
        .map(|(_, price)| price)
        .chain(changes.iter().flat_map(|change| change.ended.iter().chain([&change.price])))
        .collect();
    let clash = |price: &Price| after.iter().filter(|other| contradict(other, price)).count() > 1;
    let clashes = |change: &&Change| clash(&change.price) || change.ended.as_ref().is_some_and(clash);
    changes.iter().find(clashes).map(|change| id(change).unwrap_or_default())
}

fn change(id: Uuid, price: &Price, begins: i32, new: Price) -> Option<Change> {
    if new == *price {
        return None;
    }
    let before = Some((id, price.clone()));
    if price.valid_from_day >= begins {
        return Some(Change { before, ended: None, price: new });
    }
    let ended = Price { valid_to_day: begins - 1, ..price.clone() };
    Some(Change { before, ended: Some(ended), price: Price { valid_from_day: begins, ..new } })
}

/// The prices that have begun by a day and are in force on it or a later one, each with the first such day. Until then
/// others stand before it, which have begun later.
fn running(prices: &[(Uuid, Price)], day: i32) -> impl Iterator<Item = (Uuid, &Price, i32)> {
    prices.iter().filter(move |(_, price)| price.valid_from_day <= day).filter_map(move |(id, price)| {
        let rank = |id: Uuid, price: &Price| (price.valid_from_day, id);
        let mut first = day;
        while valid(price, first) {
            let before = prices
                .iter()
                .find(|(other_id, other)| rank(*other_id, other) > rank(*id, price) && valid(other, first));
            match before {
                None => return Some((*id, price, first)),
                Some((_, other)) if other.valid_to_day == 0 => return None,
                Some((_, other)) => first = other.valid_to_day.saturating_add(1),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::super::price::{List, Wanted, in_force};
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::PriceList;

    const LIST: Uuid = Uuid::from_u128(5);

    fn price(price_minor: i64, from: i32, to: i32) -> Price {
        Price {
            price_list_id: LIST.as_bytes().to_vec(),
            breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
            valid_from_day: from,
            valid_to_day: to,
            ..Price::default()
        }
    }

    fn numbered(prices: &[Price]) -> Vec<(Uuid, Price)> {
        (1..).map(Uuid::from_u128).zip(prices.iter().cloned()).collect()
    }

    fn percent(percent_bp: i32) -> Rule {
        Rule { by: By::Share(percent_bp), round_to_minor: 0 }
    }

    fn applied(prices: &[(Uuid, Price)], changes: &[Change]) -> Vec<(Uuid, Price)> {
        let mut after = prices.to_vec();
        for (number, change) in (1_000..).zip(changes) {
            let old = change.before.as_ref().and_then(|(id, _)| after.iter().position(|(other, _)| other == id));
            match (old, &change.ended) {
                (Some(old), Some(ended)) => {
                    after[old].1 = ended.clone();
                    after.push((Uuid::from_u128(number), change.price.clone()));
                }
                (Some(old), None) => after[old].1 = change.price.clone(),
                (None, _) => after.push((Uuid::from_u128(number), change.price.clone())),
            }
        }
        after
    }

    fn on(prices: &[(Uuid, Price)], day: i32) -> Option<(i32, i64)> {
        let list = PriceList::default();
        let wanted = Wanted { quantity_milli: 1, packaging_code: "", day };
        let (_, price) = in_force(prices.iter().map(|(id, price)| (*id, price)), &List::new(LIST, &list), &wanted)?;
        Some((price.valid_from_day, price.breaks[0].price_minor))
    }

    fn by(rule: Rule, prices: &[i64]) -> Vec<Option<i64>> {
        prices.iter().map(|price| rule.price(*price).ok()).collect()
    }

    #[test]
    fn a_price_changes_by_a_share_or_an_amount_and_is_rounded_half_away_from_zero() {
        assert_eq!(by(percent(350), &[1_000, 100, 0]), [Some(1_035), Some(104), Some(0)]);
        assert_eq!(by(percent(-1_000), &[1_005]), [Some(905)], "904.5");
        let tens = Rule { round_to_minor: 10, ..percent(350) };
        assert_eq!(by(tens, &[1_000, 999]), [Some(1_040), Some(1_030)], "1035 and 1033.965");
        let amount = |amount_minor| Rule { by: By::Amount(amount_minor), round_to_minor: 5 };
        assert_eq!(by(amount(13), &[100, 0]), [Some(115), Some(15)], "113 and 13, to fives");
        assert_eq!(by(amount(-100), &[100, 99]), [Some(0), None], "never below 0");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let amount = |amount_minor| Rule { by: By::Amount(amount_minor), round_to_minor: 0 };
        assert_eq!(by(percent(10), &[check::MONEY_MINOR, i64::MAX]), [None, None]);
        assert_eq!(by(amount(1), &[check::MONEY_MINOR, i64::MAX]), [None, None]);
        assert_eq!(by(amount(i64::MAX), &[1]), [None]);
        assert_eq!(by(percent(-WHOLE_BP), &[100]), [Some(0)]);
        assert_eq!((by(percent(-WHOLE_BP - 1), &[100]), by(percent(RAISE_BP + 1), &[0])), (vec![None], vec![None]));
        assert_eq!(by(Rule { round_to_minor: -1, ..percent(1) }, &[100]), [None]);
    }

    #[test]
    fn the_old_price_ends_the_day_before_the_new_one_begins() {
        let prices = numbered(&[price(100, 0, 0), price(80, 25, 28), price(70, 1, 9)]);
        let changes = by_rule(&prices, 20, &percent(1_000)).expect("in range");
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.ended.clone(), change.price.clone()), (Some(price(100, 0, 19)), price(110, 20, 0)));
        let after = applied(&prices, &changes);
        assert_eq!([19, 20, 26, 29].map(|day| on(&after, day).map(|found| found.1)), [100, 110, 80, 110].map(Some));
        assert_eq!(by_rule(&after, 20, &percent(1_000)), Ok(Vec::new()), "once is enough");
        assert_eq!(by_rule(&prices, 20, &percent(10)), Ok(Vec::new()), "100.1 is 100");
    }

    #[test]
    fn a_price_behind_another_one_begins_when_that_one_has_ended() {
        let prices = numbered(&[price(100, 1, 30), price(80, 5, 24), price(60, 2, 22)]);
        let changes = by_rule(&prices, 20, &percent(1_000)).expect("in range");
        let news: Vec<Price> = changes.iter().map(|change| change.price.clone()).collect();
        assert_eq!(news, [price(110, 25, 30), price(88, 20, 24)], "the third is never in force");
    }

    #[test]
    fn what_a_price_is_to_be_is_set_from_that_day_on_and_once() {
        let prices = numbered(&[price(100, 0, 0), price(80, 25, 28)]);
        let changes = to_price(&prices, 20, &price(95, 7, 7));
        let after = applied(&prices, &changes);
        assert_eq!([19, 20, 26, 29].map(|day| on(&after, day).map(|found| found.1)), [100, 95, 80, 95].map(Some));
        assert_eq!(to_price(&after, 20, &price(95, 0, 0)), []);
        let again = to_price(&after, 20, &price(96, 0, 0));
        assert_eq!((again.len(), &again[0].ended, &again[0].price), (1, &None, &price(96, 20, 0)), "in its place");
        let [first] = &to_price(&[], 20, &price(95, 7, 7))[..] else { panic!("one") };
        assert_eq!((&first.before, &first.price), (&None, &price(95, 20, 0)));
    }

    #[test]
    fn c06_what_would_contradict_another_price_is_found() {
        let prices = numbered(&[price(100, 1, 19), price(90, 1, 0)]);
        let changes = by_rule(&prices, 20, &percent(1_000)).expect("in range");
        assert_eq!(contradicted(&prices, &changes), Some(Uuid::from_u128(2)));
        assert_eq!(contradicted(&prices[1..], &changes), None);
    }

    proptest! {
        #[test]
        fn c06_before_the_day_nothing_changes_and_from_it_on_everything_that_has_begun(
            rows in proptest::collection::vec((0..30_i32, 0..30_i32, 0..10_000_i64), 0..7), day in 2..30_i32, bp in 1..9_000_i32,
        ) {
            let rows: Vec<Price> = rows
                .iter()
                .filter(|(from, to, _)| *to == 0 || from <= to)
                .map(|(from, to, minor)| price(*minor, *from, *to))
                .collect();
            let prices = numbered(&rows);
            let rule = percent(bp);
            let changes = by_rule(&prices, day, &rule).expect("in range");
            let after = applied(&prices, &changes);
            for today in 1..40 {
                let (was, is) = (on(&prices, today), on(&after, today));
                let expected = match was {
                    Some((from, minor)) if today >= day && from < day => Some(rule.price(minor).expect("in range")),
                    was => was.map(|(_, minor)| minor),
                };
                prop_assert_eq!(is.map(|(_, minor)| minor), expected, "on day {} of {:?}", today, after);
            }
            prop_assert_eq!(by_rule(&after, day, &rule), Ok(Vec::new()));
            let new: Vec<&Price> = changes.iter().map(|change| &change.price).collect();
            let known = after.iter().filter(|(_, other)| new.iter().any(|price| contradict(price, other))).count();
            prop_assert_eq!(known, new.len(), "a new price contradicts none");
        }

        #[test]
        fn no_input_panics(old in any::<i64>(), share in any::<i32>(), amount in any::<i64>(), step in any::<i64>()) {
            for by in [By::Share(share), By::Amount(amount)] {
                let new = Rule { by, round_to_minor: step }.price(old);
                prop_assert!(new.is_err() || new.is_ok_and(|new| (0..=check::MONEY_MINOR).contains(&new)));
            }
        }
    }
}
