//! Prices: which one is in force, and whether the one that a rep saw still counts.

use roundsman_proto::trade::{Price, PriceBreak, PriceList};
use uuid::Uuid;

use super::check::WHOLE_BP;
use super::money::{self, UNIT_MILLI};

/// For so long after a price changed the old one is honoured, where an agreement says nothing, in microseconds: 24 hours.
pub const GRACE_US: i64 = 24 * 3_600 * 1_000_000;

/// A price list.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// Its id.
    pub id: Uuid,
    /// What it says.
    pub list: &'a PriceList,
    /// What it said before it changed last, if how it computes prices has ever changed, and when that was, in microseconds
    /// since the Unix epoch.
    pub before: Option<(&'a PriceList, i64)>,
}

impl<'a> List<'a> {
    /// A list of which only the present is known.
    #[must_use]
    pub fn new(id: Uuid, list: &'a PriceList) -> Self {
        Self { id, list, before: None }
    }
}

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
    /// The price.
    pub rate: UnitPrice,
}

/// A price for some quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPrice {
    /// In minor units.
    pub price_minor: i64,
    /// For how much, in thousandths of the base unit.
    pub per_milli: i64,
}

impl UnitPrice {
    /// The price of one whole base unit.
    #[must_use]
    pub fn of_unit(price_minor: i64) -> Self {
        Self { price_minor, per_milli: UNIT_MILLI }
    }

    /// Whether it is dearer than another one, exactly.
    #[must_use]
    pub fn is_above(self, other: Self) -> bool {
        let times = |price: i64, milli: i64| i128::from(price) * i128::from(milli);
        times(self.price_minor, other.per_milli) > times(other.price_minor, self.per_milli)
    }

    /// By how much it is dearer than another one, in basis points of that one; below 0 it is cheaper. `None`: the other one
    /// is for nothing, or for no quantity.
    #[must_use]
    pub fn above_bp(self, other: Self) -> Option<i64> {
        let own = i128::from(self.price_minor) * i128::from(other.per_milli);
        let others = i128::from(other.price_minor) * i128::from(self.per_milli);
        let more = own.checked_sub(others)?.checked_mul(i128::from(WHOLE_BP))?;
        (others > 0).then(|| money::saturated(money::divide(more, others)))
    }
}

/// What is bought, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The line's quantity, in thousandths of the base unit.
    pub quantity_milli: i64,
    /// The line's packaging, by its code; empty: the base unit.
    pub packaging_code: &'a str,
    /// The order's day.
    pub day: i32,
}

/// When the price was shown, and what is honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion<'a> {
    /// What is bought.
    pub wanted: Wanted<'a>,
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
    Honoured(Option<UnitPrice>),
    /// It does not count before somebody agrees.
    Held(Option<UnitPrice>),
}

/// A price that is in force, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The record.
    pub price_id: Uuid,
    /// The price that it gives.
    pub rate: UnitPrice,
    /// The quantity from which it counts, in thousandths of the base unit.
    pub min_quantity_milli: i64,
    /// The record is of the base list, and the list has computed this from it.
    pub computed: bool,
}

/// Whether a price is valid on a day; both ends belong to its range.
#[must_use]
pub fn valid(price: &Price, day: i32) -> bool {
    (price.valid_from_day == 0 || price.valid_from_day <= day) && (price.valid_to_day == 0 || day <= price.valid_to_day)
}

/// For how much a price is, in thousandths of the base unit.
#[must_use]
pub fn per(per_milli: i64) -> i64 {
    if per_milli == 0 { UNIT_MILLI } else { per_milli }
}

/// Whether two prices of one product in one list say two things of the same days and the same packaging.
#[must_use]
pub fn contradict(one: &Price, other: &Price) -> bool {
    let when = |price: &Price| (price.valid_from_day, price.valid_to_day);
    when(one) == when(other) && one.packaging_code == other.packaging_code
}

/// The break of a price that counts at a quantity: the one with the greatest minimum not above it. `None`: there is no
/// price for so little.
#[must_use]
pub fn at_quantity(price: &Price, quantity_milli: i64) -> Option<&PriceBreak> {
    let reached = price.breaks.iter().filter(|step| step.min_quantity_milli <= quantity_milli);
    reached.max_by_key(|step| step.min_quantity_milli)
}

/// Which of a product's prices in a list is in force (C6). Of those that are valid on the day and for the packaging, of the
/// list or of its base: its own come first, then those for just this packaging, then the one that begins last, and of
/// several that begin on the same day the one with the greatest id. It may still have no break for a quantity.
pub fn in_force<'a>(
    prices: impl IntoIterator<Item = (Uuid, &'a Price)>,
    list: &List<'_>,
    wanted: &Wanted<'_>,
) -> Option<(Uuid, &'a Price)> {
    let fitting = prices.into_iter().filter(|(_, price)| fits(price, list, wanted));
    fitting.max_by_key(|(id, price)| (is_own(price, list), !price.packaging_code.is_empty(), price.valid_from_day, *id))
}

fn is_own(price: &Price, list: &List<'_>) -> bool {
    price.price_list_id == list.id.as_bytes()
}

fn fits(price: &Price, list: &List<'_>, wanted: &Wanted<'_>) -> bool {
    let of_list =
        is_own(price, list) || (!price.price_list_id.is_empty() && price.price_list_id == list.list.base_list_id);
    let packed = price.packaging_code.is_empty() || price.packaging_code == wanted.packaging_code;
    of_list && packed && valid(price, wanted.day)
}

/// What a price record gives in a list at a quantity. `None`: no price for so little, or one that is no price any more when
/// the list has computed its own from it.
#[must_use]
pub fn quoted(id: Uuid, price: &Price, list: &List<'_>, quantity_milli: i64) -> Option<Quote> {
    let step = at_quantity(price, quantity_milli)?;
    let computed = !is_own(price, list);
    let price_minor = if computed {
        money::marked_up(step.price_minor, list.list.markup_bp, list.list.round_to_minor).ok()?
    } else {
        step.price_minor
    };
    let rate = UnitPrice { price_minor, per_milli: per(price.per_milli) };
    Some(Quote { price_id: id, rate, min_quantity_milli: step.min_quantity_milli, computed })
}

/// What a product costs in a list. `prices` are all of the product, in the list and in its base.
pub fn quote<'a>(
    prices: impl IntoIterator<Item = (Uuid, &'a Price)>,
    list: &List<'_>,
    wanted: &Wanted<'_>,
) -> Option<Quote> {
    let (id, price) = in_force(prices, list, wanted)?;
    quoted(id, price, list, wanted.quantity_milli)
}

/// Whether the price that a rep saw counts (C5). `prices` are all of the product in the order's price list and its base.
///
/// It counts when it is the one in force. Otherwise it is honoured when the device held it rightly (by the record's
/// version and, where the server still knows it, its content, it was the price for that day and quantity) and was
/// captured at most the grace after the first change that put it out of force. Changes before the version that the
/// device held excuse nothing: the device knew of them. A list that has begun to compute its prices in another way is
/// honoured for the same time.
#[must_use]
pub fn judge(shown: &Shown, prices: &[Known<'_>], list: &List<'_>, on: &Occasion<'_>) -> Judgement {
    let now = judge_in(shown, prices, list, on);
    let Judgement::Held(current) = now else { return now };
    let Some((before, changed_at_us)) = list.before else { return now };
    if on.captured_at_us > changed_at_us.saturating_add(on.grace_us) {
        return now;
    }
    match judge_in(shown, prices, &List::new(list.id, before), on) {
        Judgement::InForce | Judgement::Honoured(_) => Judgement::Honoured(current),
        Judgement::Held(_) => now,
    }
}

fn judge_in(shown: &Shown, prices: &[Known<'_>], list: &List<'_>, on: &Occasion<'_>) -> Judgement {
    let at = |id: Uuid, price: &Price| quoted(id, price, list, on.wanted.quantity_milli).map(|quote| quote.rate);
    let force = in_force(prices.iter().map(|known| (known.id, known.price)), list, &on.wanted);
    let current = force.and_then(|(id, price)| at(id, price));
    if current == Some(shown.rate) {
        return Judgement::InForce;
    }
    let Some(named) = prices.iter().find(|known| Some(known.id) == shown.price_id) else {
        return Judgement::Held(current);
    };
    let held_by_device = if named.version > shown.version { named.before } else { Some(named.price) };
    let wrongly = |price: &Price| !fits(price, list, &on.wanted) || at(named.id, price) != Some(shown.rate);
    if held_by_device.is_some_and(wrongly) {
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

    const HOUR_US: i64 = 3_600 * 1_000_000;
    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);
    const LIST: Uuid = Uuid::from_u128(5);
    const BASE: Uuid = Uuid::from_u128(6);

    fn price(breaks: &[(i64, i64)], from: i32, to: i32) -> Price {
        let breaks = breaks.iter().map(|(min_quantity_milli, price_minor)| PriceBreak {
            min_quantity_milli: *min_quantity_milli,
            price_minor: *price_minor,
        });
        Price {
            price_list_id: LIST.as_bytes().to_vec(),
            breaks: breaks.collect(),
            valid_from_day: from,
            valid_to_day: to,
            ..Price::default()
        }
    }

    fn based(markup_bp: i32) -> PriceList {
        PriceList { base_list_id: BASE.as_bytes().to_vec(), markup_bp, ..PriceList::default() }
    }

    fn of_base(price: Price) -> Price {
        Price { price_list_id: BASE.as_bytes().to_vec(), ..price }
    }

    fn wanted(quantity_milli: i64, day: i32) -> Wanted<'static> {
        Wanted { quantity_milli, packaging_code: "", day }
    }

    fn quote_of(prices: &[(Uuid, &Price)], list: &PriceList, wanted: Wanted<'_>) -> Option<(Uuid, i64)> {
        let found = quote(prices.iter().copied(), &List::new(LIST, list), &wanted)?;
        Some((found.price_id, found.rate.price_minor))
    }

    fn judged(shown: &Shown, prices: &[Known<'_>], on: &Occasion<'_>) -> Judgement {
        judge(shown, prices, &List::new(LIST, &PriceList::default()), on)
    }

    fn honoured(price_minor: i64) -> Judgement {
        Judgement::Honoured(Some(UnitPrice::of_unit(price_minor)))
    }

    fn held(price_minor: i64) -> Judgement {
        Judgement::Held(Some(UnitPrice::of_unit(price_minor)))
    }

    fn known(id: Uuid, version: i64, changed_h: i64, price: &Price) -> Known<'_> {
        Known { id, version, changed_at_us: changed_h * HOUR_US, price, before: None }
    }

    fn shown(version: i64, price_minor: i64) -> Shown {
        Shown { price_id: Some(OLD), version, rate: UnitPrice::of_unit(price_minor) }
    }

    fn on(captured_h: i64) -> Occasion<'static> {
        Occasion { wanted: wanted(5_000, 100), captured_at_us: captured_h * HOUR_US, grace_us: GRACE_US }
    }

    #[test]
    fn the_greatest_break_that_is_reached_counts() {
        let price = price(&[(1_000, 100), (10_000, 90)], 0, 0);
        let at = |quantity_milli| at_quantity(&price, quantity_milli).map(|step| step.price_minor);
        assert_eq!([at(999), at(9_999), at(10_000)], [None, Some(100), Some(90)]);
    }

    #[test]
    fn c06_the_orders_day_decides() {
        let (always, spring, again) = (price(&[(0, 1)], 0, 0), price(&[(0, 2)], 10, 20), price(&[(0, 3)], 10, 15));
        let prices = [(NEW, &always), (OLD, &spring), (NEW, &again)];
        let on = |day| quote_of(&prices, &PriceList::default(), wanted(1, day)).map(|(_, price)| price);
        assert_eq!([on(9), on(10), on(15), on(16), on(20), on(21)], [1, 3, 3, 2, 2, 1].map(Some));
        assert_eq!(quote_of(&[(OLD, &spring)], &PriceList::default(), wanted(1, 9)), None);
    }

    #[test]
    fn c05_a_price_in_force_counts_wherever_it_came_from() {
        let now = price(&[(0, 100)], 0, 0);
        let shown = Shown { price_id: None, ..shown(0, 100) };
        assert_eq!(judged(&shown, &[known(OLD, 7, 0, &now)], &on(500)), Judgement::InForce);
    }

    #[test]
    fn c05_an_old_price_is_honoured_within_the_grace() {
        let now = price(&[(0, 110)], 0, 0);
        let prices = [known(OLD, 7, 48, &now)];
        assert_eq!(judged(&shown(5, 100), &prices, &on(40)), honoured(110), "captured before");
        assert_eq!(judged(&shown(5, 100), &prices, &on(72)), honoured(110));
        assert_eq!(judged(&shown(5, 100), &prices, &on(73)), held(110));
        assert_eq!(judged(&shown(7, 100), &prices, &on(40)), held(110), "the device knew");
        assert_eq!(judged(&Shown { price_id: None, ..shown(5, 100) }, &prices, &on(40)), held(110));
        let none = Occasion { grace_us: 0, ..on(49) };
        assert_eq!(judged(&shown(5, 100), &prices, &none), held(110));
    }

    #[test]
    fn c05_what_the_server_remembers_is_compared() {
        let (was, now) = (price(&[(0, 100)], 0, 0), price(&[(0, 110)], 0, 0));
        let prices = [Known { before: Some(&was), ..known(OLD, 7, 48, &now) }];
        assert_eq!(judged(&shown(5, 100), &prices, &on(40)), honoured(110));
        assert_eq!(judged(&shown(5, 99), &prices, &on(40)), held(110));
    }

    #[test]
    fn c05_a_new_record_changes_the_price_as_well() {
        let (was, now) = (price(&[(0, 100)], 0, 0), price(&[(0, 110)], 50, 0));
        let prices = [known(OLD, 5, 0, &was), known(NEW, 9, 48, &now)];
        assert_eq!(judged(&shown(5, 100), &prices, &on(72)), honoured(110));
        assert_eq!(judged(&shown(5, 100), &prices, &on(73)), held(110));
        assert_eq!(judged(&shown(5, 101), &prices, &on(72)), held(110), "never its price");
        let expired = price(&[(0, 100)], 0, 99);
        assert_eq!(judged(&shown(5, 100), &[known(OLD, 5, 0, &expired)], &on(1)), Judgement::Held(None));
    }

    #[test]
    fn a_price_for_the_packaging_comes_before_one_for_all() {
        let piece = price(&[(0, 100)], 50, 0);
        let dozen = Price { packaging_code: "dozen".to_owned(), per_milli: 12_000, ..price(&[(0, 1_000)], 0, 0) };
        let prices = [(OLD, &dozen), (NEW, &piece)];
        let in_packaging = |packaging_code| {
            let wanted = Wanted { packaging_code, ..wanted(24_000, 100) };
            quote(prices, &List::new(LIST, &PriceList::default()), &wanted).map(|found| found.rate)
        };
        assert_eq!(in_packaging("dozen"), Some(UnitPrice { price_minor: 1_000, per_milli: 12_000 }));
        assert_eq!(
            (in_packaging("box"), in_packaging("")),
            (Some(UnitPrice::of_unit(100)), Some(UnitPrice::of_unit(100)))
        );
    }

    #[test]
    fn a_list_computes_what_it_does_not_say_itself() {
        let base = of_base(price(&[(0, 1_000), (10_000, 909)], 90, 0));
        let own = price(&[(0, 1_111)], 0, 50);
        let prices = [(OLD, &own), (NEW, &base)];
        let list = PriceList { round_to_minor: 10, ..based(1_500) };
        assert_eq!(quote_of(&prices, &list, wanted(1, 100)), Some((NEW, 1_150)));
        assert_eq!(quote_of(&prices, &list, wanted(10_000, 100)), Some((NEW, 1_050)), "1045.35 to tens");
        assert_eq!(quote_of(&prices, &list, wanted(1, 50)), Some((OLD, 1_111)), "its own comes first");
        assert_eq!(quote_of(&prices, &PriceList::default(), wanted(1, 100)), None, "another list's price");
    }

    #[test]
    fn c05_a_list_that_computes_otherwise_is_honoured_within_the_grace() {
        let base = of_base(price(&[(0, 1_000)], 0, 0));
        let prices = [Known { id: OLD, version: 5, changed_at_us: 0, price: &base, before: None }];
        let (was, now) = (based(1_000), based(2_000));
        let list = List { before: Some((&was, 48 * HOUR_US)), ..List::new(LIST, &now) };
        assert_eq!(judge(&shown(5, 1_200), &prices, &list, &on(500)), Judgement::InForce);
        assert_eq!(judge(&shown(5, 1_100), &prices, &list, &on(72)), honoured(1_200));
        assert_eq!(judge(&shown(5, 1_100), &prices, &list, &on(73)), held(1_200));
        assert_eq!(judge(&shown(5, 1_150), &prices, &list, &on(72)), held(1_200), "never its price");
    }

    #[test]
    fn how_much_dearer_a_price_is_counts_for_what_it_is() {
        let dozen = |price_minor| UnitPrice { price_minor, per_milli: 12_000 };
        let above = |one: UnitPrice, other: UnitPrice| one.above_bp(other);
        assert_eq!(above(UnitPrice::of_unit(103), UnitPrice::of_unit(100)), Some(300));
        assert_eq!(above(UnitPrice::of_unit(2), UnitPrice::of_unit(3)), Some(-3_333));
        assert_eq!(above(dozen(1_200), UnitPrice::of_unit(100)), Some(0));
        assert_eq!(above(UnitPrice::of_unit(100), dozen(600)), Some(10_000));
        assert_eq!(above(UnitPrice::of_unit(1), UnitPrice::of_unit(0)), None);
        assert_eq!(above(UnitPrice::of_unit(i64::MAX), UnitPrice { price_minor: 1, per_milli: i64::MAX }), None);
    }

    #[test]
    fn two_prices_of_the_same_days_and_packaging_contradict_each_other() {
        let one = price(&[(0, 1)], 1, 2);
        assert!(contradict(&one, &price(&[(0, 2)], 1, 2)));
        assert!(!contradict(&one, &price(&[(0, 1)], 1, 3)));
        assert!(!contradict(&one, &Price { packaging_code: "box".to_owned(), ..one.clone() }));
    }

    proptest! {
        #[test]
        fn more_quantity_never_raises_the_price_where_breaks_descend(
            mut steps in proptest::collection::vec((0..100_000_i64, 0..1_000_000_i64), 1..6),
            (one, other) in (0..200_000_i64, 0..200_000_i64), markup_bp in -9_999..20_000, round_to_minor in 0..100_i64,
        ) {
            steps.sort_unstable();
            let mut prices: Vec<i64> = steps.iter().map(|(_, price)| *price).collect();
            prices.sort_unstable_by(|one, other| other.cmp(one));
            let breaks: Vec<(i64, i64)> = steps.iter().zip(prices).map(|((from, _), price)| (*from, price)).collect();
            let base = of_base(price(&breaks, 0, 0));
            let list = PriceList { round_to_minor, ..based(markup_bp) };
            let at = |quantity| quote_of(&[(OLD, &base)], &list, wanted(quantity, 1)).map(|(_, price)| price);
            if let Some(less) = at(one.min(other)) {
                prop_assert!(at(one.max(other)).expect("a break is reached") <= less);
            }
        }

        #[test]
        fn no_input_panics_and_what_is_in_force_never_depends_on_the_order(
            rows in proptest::collection::vec(any::<(u8, i64, i64, i32, i32, i64, i64)>(), 0..6),
            shown in any::<(u8, i64, i64)>(), on in any::<(i64, i32, i64, i64)>(),
        ) {
            let prices: Vec<Price> = rows.iter().map(|row| price(&[(row.1, row.2)], row.3, row.4)).collect();
            let mut known: Vec<Known<'_>> = rows.iter().zip(&prices).enumerate().map(|(index, (row, price))| Known {
                id: Uuid::from_u128(index as u128), version: row.5, changed_at_us: row.6, price, before: None,
            }).collect();
            let rate = UnitPrice::of_unit(shown.2);
            let shown = Shown { price_id: Some(Uuid::from_u128(shown.0.into())), version: shown.1, rate };
            let on = Occasion { wanted: wanted(on.0, on.1), captured_at_us: on.2, grace_us: on.3 };
            let first = judged(&shown, &known, &on);
            known.reverse();
            prop_assert_eq!(judged(&shown, &known, &on), first);
        }
    }
}
