//! Prices: which one is in force, and whether the one that a rep saw still counts.

use roundsman_proto::trade::Price;
use uuid::Uuid;

/// For so long after a price changed the old one is honoured, where an agreement says nothing, in microseconds: 24 hours.
pub const GRACE_US: i64 = 24 * 3_600 * 1_000_000;

/// A price record, as the server knows it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its id.
    pub id: Uuid,
    /// The version that wrote it last.
    pub version: i64,
    /// When that was, in microseconds since the Unix epoch.
    pub changed_at_us: i64,
    /// What it says.
    pub price: &'a Price,
    /// What it said at the version that the device held, if the server still knows.
    pub before: Option<&'a Price>,
}

/// The price that a rep saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The record from which it came; `None`: from none.
    pub price_id: Option<Uuid>,
    /// The version of that record on the device.
    pub version: i64,
    /// The price of one whole base unit, in minor units.
    pub price_minor: i64,
}

/// When, for how much and how the price was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// The line's quantity, in thousandths of the base unit.
    pub quantity_milli: i64,
    /// The order's day.
    pub day: i32,
    /// When the order was captured, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
    /// The agreement's grace, in microseconds.
    pub grace_us: i64,
}

/// Whether a shown price counts. The price that is in force now comes along; `None`: the list has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is in force.
    InForce,
    /// It is no longer in force, and honoured.
    Honoured(Option<i64>),
    /// It does not count before somebody agrees.
    Held(Option<i64>),
}

/// Whether a price is valid on a day; both ends belong to its range.
#[must_use]
pub fn valid(price: &Price, day: i32) -> bool {
    (price.valid_from_day == 0 || price.valid_from_day <= day) && (price.valid_to_day == 0 || day <= price.valid_to_day)
}

/// The price of one whole base unit at a quantity: of the break with the greatest minimum not above it. `None`: there is
/// no price for so little.
#[must_use]
pub fn at_quantity(price: &Price, quantity_milli: i64) -> Option<i64> {
    let reached = price.breaks.iter().filter(|step| step.min_quantity_milli <= quantity_milli);
    reached.max_by_key(|step| step.min_quantity_milli).map(|step| step.price_minor)
}

/// Which of a product's prices in a list is in force on a day (C6): of those valid the one that begins last, and of
/// several that begin on the same day the one with the greatest id. The price may still have no break for a quantity.
pub fn in_force<'a>(prices: impl IntoIterator<Item = (Uuid, &'a Price)>, day: i32) -> Option<(Uuid, &'a Price)> {
    let valid = prices.into_iter().filter(|(_, price)| valid(price, day));
    valid.max_by_key(|(id, price)| (price.valid_from_day, *id))
}

/// Whether the price that a rep saw counts (C5). `prices` are all of the product in the order's price list.
///
/// It counts when it is the one in force. Otherwise it is honoured when the device held it rightly (by the record's
/// version and, where the server still knows it, its content, it was the price for that day and quantity) and was
/// captured at most the grace after the first change that put it out of force. Changes before the version that the
/// device held excuse nothing: the device knew of them.
#[must_use]
pub fn judge(shown: &Shown, prices: &[Known<'_>], on: &Occasion) -> Judgement {
    let at = |price: &Price| at_quantity(price, on.quantity_milli);
    let force = in_force(prices.iter().map(|known| (known.id, known.price)), on.day);
    let current = force.and_then(|(_, price)| at(price));
    if current == Some(shown.price_minor) {
        return Judgement::InForce;
    }
    let Some(named) = prices.iter().find(|known| Some(known.id) == shown.price_id) else {
        return Judgement::Held(current);
    };
    let held_by_device = if named.version > shown.version { named.before } else { Some(named.price) };
    if held_by_device.is_some_and(|price| !valid(price, on.day) || at(price) != Some(shown.price_minor)) {
        return Judgement::Held(current);
    }
    let changes = prices.iter().filter(|known| known.id == named.id || Some(known.id) == force.map(|(id, _)| id));
    let unknown_to_device = changes.filter(|known| known.version > shown.version);
    match unknown_to_device.map(|known| known.changed_at_us).min() {
        Some(changed) if on.captured_at_us <= changed.saturating_add(on.grace_us) => Judgement::Honoured(current),
        Some(_) | None => Judgement::Held(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::PriceBreak;

    const HOUR_US: i64 = 3_600 * 1_000_000;
    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn price(breaks: &[(i64, i64)], from: i32, to: i32) -> Price {
        let breaks = breaks.iter().map(|(min_quantity_milli, price_minor)| PriceBreak {
            min_quantity_milli: *min_quantity_milli,
            price_minor: *price_minor,
        });
        Price { breaks: breaks.collect(), valid_from_day: from, valid_to_day: to, ..Price::default() }
    }

    fn known(id: Uuid, version: i64, changed_h: i64, price: &Price) -> Known<'_> {
        Known { id, version, changed_at_us: changed_h * HOUR_US, price, before: None }
    }

    fn shown(version: i64, price_minor: i64) -> Shown {
        Shown { price_id: Some(OLD), version, price_minor }
    }

    fn on(captured_h: i64) -> Occasion {
        Occasion { quantity_milli: 5_000, day: 100, captured_at_us: captured_h * HOUR_US, grace_us: GRACE_US }
    }

    #[test]
    fn the_greatest_break_that_is_reached_counts() {
        let price = price(&[(1_000, 100), (10_000, 90)], 0, 0);
        assert_eq!(at_quantity(&price, 999), None);
        assert_eq!(at_quantity(&price, 9_999), Some(100));
        assert_eq!(at_quantity(&price, 10_000), Some(90));
    }

    #[test]
    fn c06_the_orders_day_decides() {
        let (always, spring, again) = (price(&[(0, 1)], 0, 0), price(&[(0, 2)], 10, 20), price(&[(0, 3)], 10, 15));
        let prices = [(NEW, &always), (OLD, &spring), (NEW, &again)];
        let on = |day| in_force(prices, day).and_then(|(_, price)| at_quantity(price, 1));
        assert_eq!([on(9), on(10), on(15), on(16), on(20), on(21)], [1, 3, 3, 2, 2, 1].map(Some));
        assert_eq!(in_force([(OLD, &spring)], 9), None);
    }

    #[test]
    fn c05_a_price_in_force_counts_wherever_it_came_from() {
        let now = price(&[(0, 100)], 0, 0);
        let shown = Shown { price_id: None, version: 0, price_minor: 100 };
        assert_eq!(judge(&shown, &[known(OLD, 7, 0, &now)], &on(500)), Judgement::InForce);
    }

    #[test]
    fn c05_an_old_price_is_honoured_within_the_grace() {
        let now = price(&[(0, 110)], 0, 0);
        let prices = [known(OLD, 7, 48, &now)];
        assert_eq!(judge(&shown(5, 100), &prices, &on(40)), Judgement::Honoured(Some(110)), "captured before");
        assert_eq!(judge(&shown(5, 100), &prices, &on(72)), Judgement::Honoured(Some(110)));
        assert_eq!(judge(&shown(5, 100), &prices, &on(73)), Judgement::Held(Some(110)));
        assert_eq!(judge(&shown(7, 100), &prices, &on(40)), Judgement::Held(Some(110)), "the device knew");
        assert_eq!(judge(&Shown { price_id: None, ..shown(5, 100) }, &prices, &on(40)), Judgement::Held(Some(110)));
        let none = Occasion { grace_us: 0, ..on(49) };
        assert_eq!(judge(&shown(5, 100), &prices, &none), Judgement::Held(Some(110)));
    }

    #[test]
    fn c05_what_the_server_remembers_is_compared() {
        let (was, now) = (price(&[(0, 100)], 0, 0), price(&[(0, 110)], 0, 0));
        let prices = [Known { before: Some(&was), ..known(OLD, 7, 48, &now) }];
        assert_eq!(judge(&shown(5, 100), &prices, &on(40)), Judgement::Honoured(Some(110)));
        assert_eq!(judge(&shown(5, 99), &prices, &on(40)), Judgement::Held(Some(110)));
    }

    #[test]
    fn c05_a_new_record_changes_the_price_as_well() {
        let (was, now) = (price(&[(0, 100)], 0, 0), price(&[(0, 110)], 50, 0));
        let prices = [known(OLD, 5, 0, &was), known(NEW, 9, 48, &now)];
        assert_eq!(judge(&shown(5, 100), &prices, &on(72)), Judgement::Honoured(Some(110)));
        assert_eq!(judge(&shown(5, 100), &prices, &on(73)), Judgement::Held(Some(110)));
        assert_eq!(judge(&shown(5, 101), &prices, &on(72)), Judgement::Held(Some(110)), "never its price");
        let expired = price(&[(0, 100)], 0, 99);
        assert_eq!(judge(&shown(5, 100), &[known(OLD, 5, 0, &expired)], &on(1)), Judgement::Held(None));
    }

    proptest! {
        #[test]
        fn no_input_panics_and_what_is_in_force_never_depends_on_the_order(
            rows in proptest::collection::vec(any::<(u8, i64, i64, i32, i32, i64, i64)>(), 0..6),
            shown in any::<(u8, i64, i64)>(), on in any::<(i64, i32, i64, i64)>(),
        ) {
            let prices: Vec<Price> = rows.iter().map(|row| price(&[(row.1, row.2)], row.3, row.4)).collect();
            let mut known: Vec<Known<'_>> = rows.iter().zip(&prices).enumerate().map(|(index, (row, price))| Known {
                id: Uuid::from_u128(index as u128), version: row.5, changed_at_us: row.6, price, before: None,
            }).collect();
            let shown = Shown { price_id: Some(Uuid::from_u128(shown.0.into())), version: shown.1, price_minor: shown.2 };
            let on = Occasion { quantity_milli: on.0, day: on.1, captured_at_us: on.2, grace_us: on.3 };
            let first = judge(&shown, &known, &on);
            known.reverse();
            prop_assert_eq!(judge(&shown, &known, &on), first);
        }
    }
}
