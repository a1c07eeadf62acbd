//! The assortment of the demonstration: a wholesaler of food, drinks and hygiene goods that does not exist.
//!
//! Everything follows from a seed and a day: no clock, no I/O, and only integers, so that the same catalogue comes out
//! on every machine. Names are made of generic words; prices, weights and stock are invented.
//!
//! - **Popularity** follows the law of Zipf and Mandelbrot: the article of rank `r` is asked for in proportion to
//!   `1 / (r + 20)`, exponent 1. Of 2,000 articles the first tenth gets 52 % of the requests, the first fifth 66 %; in
//!   money, since prices differ too, about 75 and 86 %, near the usual "20 % make 80 %". Without the shift the first
//!   article alone would be an eighth of all requests; with it, it is a hundredth.
//! - **VAT** is what Finland takes in 2026, as far as it matters here: food and soft drinks 13.5 %, everything else
//!   25.5 %. Alcohol, deposits on bottles and the other rates are left out.
//! - **Prices** are net, of one packaging, in euro cents. List A is for retail, list B for hotels, restaurants and
//!   cafés, who pay more for a piece and get more for quantity. Rows of one (list, article) pair end on the same day:
//!   most never, [`PRICE_CHANGE_PERCENT`] of 100 on the next 15th, with a follow-up from the 16th.
//! - **Withdrawn** is one article in a hundred; each has a successor of the same group that is not withdrawn itself.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::{Datelike as _, NaiveDate};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How many articles a catalogue has.
pub const ARTICLES: usize = 2_000;
/// How many of them are withdrawn, each with a successor.
pub const WITHDRAWN_ARTICLES: usize = ARTICLES / 100;
/// The currency of every price.
pub const CURRENCY: &str = "EUR";
/// VAT on food and drinks, in basis points (Finland from 2026; an assumption of the demo).
pub const VAT_FOOD_BP: i32 = 1_350;
/// VAT on all other goods, in basis points (Finland from September 2024; an assumption of the demo).
pub const VAT_GENERAL_BP: i32 = 2_550;
/// Of 100 (article, list) pairs, this many change their price in the middle of a month.
pub const PRICE_CHANGE_PERCENT: u32 = 8;
/// Of every price it is known that it was in force at least this many days before today.
pub const PRICE_HISTORY_DAYS: i32 = 60;
/// One base unit, in thousandths: quantities and coefficients are counted so.
pub const ONE_UNIT_MILLI: i64 = 1_000;

/// The numerator of the popularity weights; large enough that the last of 2,000 ranks still differ.
const POPULARITY_SCALE: u64 = 10_000_000;
/// The shift of the law of Zipf and Mandelbrot.
const POPULARITY_SHIFT: u64 = 20;
/// What all outlets of the demo together take in a week, in base units; only stock levels go by it.
const WEEKLY_DEMAND_UNITS: u64 = 120_000;
/// From days since 1970-01-01 to chrono's days since 0000-12-31.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;

/// All goods, and what is known of them. Places are indexes: `articles[3].group` is one into `groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Top groups first, then the groups below them, which hold the articles.
    pub groups: Vec<Group>,
    /// By group, then by name within what belongs together.
    pub articles: Vec<Article>,
    /// By list, article, packaging, quantity break and first day.
    pub prices: Vec<Price>,
    /// The warehouses.
    pub warehouses: Vec<Warehouse>,
    /// By warehouse and article; an article that a warehouse never holds has no row there.
    pub stock: Vec<Stock>,
}

/// A product group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `G01` and so on.
    pub code: String,
    /// The name in English.
    pub name: &'static str,
    /// The group above; `None` for a top group.
    pub parent: Option<usize>,
}

/// In what an article is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BaseUnit {
    /// By the piece.
    Piece,
    /// By weight.
    Kilogram,
}

/// One article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// `A00001` and so on.
    pub code: String,
    /// Unique in the catalogue.
    pub name: String,
    /// The group that holds it, always one of the lower level.
    pub group: usize,
    /// In what its quantities are counted.
    pub base_unit: BaseUnit,
    /// The base unit itself first, then the larger ones.
    pub packagings: Vec<Packaging>,
    /// Gross weight of one base unit, in grams.
    pub weight_grams: i64,
    /// Value added tax, in basis points.
    pub vat_bp: i32,
    /// An ordered quantity is a multiple of this, in thousandths of the base unit.
    pub minimum_multiple_milli: i64,
    /// What the wholesaler pays for one base unit, net, in minor units; no price is below it.
    pub purchase_minor: i64,
    /// How often it is asked for, compared with the others: the weight of its rank.
    pub popularity: u64,
    /// Set if it is no longer sold, or will not be.
    pub withdrawal: Option<Withdrawal>,
}

/// The end of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// The first day on which it is not sold, in days since 1970-01-01.
    pub from_day: i32,
    /// The article that replaces it.
    pub successor: usize,
}

/// A way in which an article is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaging {
    /// Such as `piece` or `carton of 12`.
    pub name: String,
    /// How much one holds, in thousandths of the base unit.
    pub coefficient_milli: i64,
    /// EAN-13 numbers of the range for use within a company, 20 to 29. The first is the current one.
    pub barcodes: Vec<String>,
}

/// A price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PriceList {
    /// For shops.
    Retail,
    /// For hotels, restaurants and cafés.
    Horeca,
}

impl PriceList {
    /// Both lists.
    pub const ALL: [Self; 2] = [Self::Retail, Self::Horeca];

    /// The letter by which the wholesaler calls it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Retail => "A",
            Self::Horeca => "B",
        }
    }

    /// The name in English.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retail => "Retail",
            Self::Horeca => "Hotels, restaurants, cafés",
        }
    }

    /// The selling price of a base unit, in per cent of the purchase price.
    fn markup_percent(self) -> RangeInclusive<i64> {
        match self {
            Self::Retail => 118..=132,
            Self::Horeca => 124..=142,
        }
    }

    /// The quantity breaks that an article may have: from how many cartons, at what discount in basis points, and of
    /// how many articles in a hundred.
    fn breaks(self) -> &'static [(i64, i64, u32)] {
        match self {
            Self::Retail => &[(5, 300, 35)],
            Self::Horeca => &[(3, 400, 50), (10, 700, 20)],
        }
    }
}

/// A price of a list, without VAT. Of the rows in force, the one with the largest quantity break that the quantity
/// reaches is the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The list it belongs to.
    pub list: PriceList,
    /// The article.
    pub article: usize,
    /// The packaging, an index into those of the article.
    pub packaging: usize,
    /// The quantity break: for at least this much, in thousandths of the base unit; 0 for any quantity.
    pub from_quantity_milli: i64,
    /// Of one packaging, in minor units.
    pub amount_minor: i64,
    /// The first day, in days since 1970-01-01.
    pub valid_from_day: i32,
    /// The last day; `None`: until further notice.
    pub valid_to_day: Option<i32>,
}

impl Price {
    /// Whether it is in force on a day.
    #[must_use]
    pub fn is_valid_on(&self, day: i32) -> bool {
        self.valid_from_day <= day && self.valid_to_day.is_none_or(|last| day <= last)
    }
}

/// A warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warehouse {
    /// `W1` and so on.
    pub code: &'static str,
    /// The name in English.
    pub name: &'static str,
}

/// What a warehouse holds of an article; nothing is reserved yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// The warehouse.
    pub warehouse: usize,
    /// The article.
    pub article: usize,
    /// On hand, in thousandths of the base unit.
    pub on_hand_milli: i64,
    /// What is on its way.
    pub expected: Option<Expected>,
}

/// A delivery on its way to a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// In thousandths of the base unit.
    pub quantity_milli: i64,
    /// When it arrives, in days since 1970-01-01.
    pub day: i32,
}

impl Catalogue {
    /// The catalogue of a seed, as it stands on `today_day` (days since 1970-01-01).
    #[must_use]
    pub fn generate(seed: u64, today_day: i32) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut articles = articles(rng);
        rank(&mut articles, rng);
        withdraw(&mut articles, today_day, rng);
        let prices = prices(&articles, today_day, rng);
        let stock = stock(&articles, today_day, rng);
        Self { groups: groups(), articles, prices, warehouses: WAREHOUSES.to_vec(), stock }
    }

    /// The price of a quantity, as an index into `prices`; `None` if the list has none in force on that day.
    #[must_use]
    pub fn price_on(
        &self,
        list: PriceList,
        article: usize,
        packaging: usize,
        quantity_milli: i64,
        day: i32,
    ) -> Option<usize> {
        let wanted = (list, article, packaging);
        let first = self.prices.partition_point(|p| (p.list, p.article, p.packaging) < wanted);
        let rows = self.prices.iter().enumerate().skip(first);
        rows.take_while(|(_, p)| (p.list, p.article, p.packaging) == wanted)
            .filter(|(_, p)| p.from_quantity_milli <= quantity_milli && p.is_valid_on(day))
            .max_by_key(|(_, p)| p.from_quantity_milli)
            .map(|(index, _)| index)
    }

    /// What is sold on a day when somebody asks for an article: itself, or its successor.
    #[must_use]
    pub fn sold_on(&self, article: usize, day: i32) -> usize {
        let withdrawal = self.articles[article].withdrawal;
        withdrawal.filter(|end| end.from_day <= day).map_or(article, |end| end.successor)
    }
}

/// The EAN-13 number that begins with these twelve digits. The check digit makes the sum of all digits, every second
/// one taken three times, a multiple of ten (GS1 General Specifications, standard check digit calculation).
///
/// # Panics
///
/// If the number has more than twelve digits.
#[must_use]
pub fn ean13(first_twelve: u64) -> String {
    let digits = format!("{first_twelve:012}");
    assert_eq!(digits.len(), 12, "an EAN-13 number is made of twelve digits and a check digit");
    let sum: u32 = digits.bytes().zip([1, 3].into_iter().cycle()).map(|(d, w)| u32::from(d - b'0') * w).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// `part` of `amount` by basis points of a whole, rounded half away from zero.
pub(super) fn basis_points(amount: i64, bp: i64) -> i64 {
    (amount * bp + 5_000 * amount.signum()) / 10_000
}

fn chance(rng: &mut ChaCha8Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn groups() -> Vec<Group> {
    let names = TOP_GROUPS.iter().map(|&name| (name, None));
    let names = names.chain(LEAVES.iter().map(|leaf| (leaf.name, Some(leaf.top))));
    let numbered = names.enumerate();
    numbered.map(|(index, (name, parent))| Group { code: format!("G{:02}", index + 1), name, parent }).collect()
}

/// A name that the tables below allow, with all that is needed to make an article of it.
struct Candidate {
    leaf: usize,
    family: &'static Family,
    kind_percent: i64,
    name: String,
    grams: i64,
}

/// Every combination of kind, variant and size.
fn candidates(rng: &mut ChaCha8Rng) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (leaf, family) in LEAVES.iter().enumerate().flat_map(|(i, l)| l.families.iter().map(move |f| (i, f))) {
        for kind in family.kinds.split(", ") {
            let kind_percent = rng.random_range(80..=125);
            for variant in family.variants.split(", ") {
                found.extend(family.sizes.iter().map(|&(size, grams)| {
                    let name = format!("{variant} {kind} {size}").trim_end().to_owned();
                    Candidate { leaf, family, kind_percent, name, grams }
                }));
            }
        }
    }
    found
}

/// The articles without popularity and withdrawals: [`ARTICLES`] of the candidates, in the candidates' order.
fn articles(rng: &mut ChaCha8Rng) -> Vec<Article> {
    let candidates = candidates(rng);
    let mut chosen: Vec<usize> = (0..candidates.len()).collect();
    chosen.shuffle(rng);
    chosen.truncate(ARTICLES);
    chosen.sort_unstable();
    let numbered = (1_u64..).zip(chosen.iter().map(|&index| &candidates[index]));
    numbered.map(|(number, candidate)| article(number, candidate, rng)).collect()
}

fn article(number: u64, candidate: &Candidate, rng: &mut ChaCha8Rng) -> Article {
    let &Candidate { leaf, family, kind_percent, ref name, grams } = candidate;
    // The larger the cheaper, by weight.
    let size_percent = match grams {
        ..=120 => 135,
        121..=400 => 110,
        401..=1_200 => 100,
        1_201..=3_000 => 90,
        _ => 80,
    };
    let per_kilogram = rng.random_range(family.cents_per_kg.clone()) * kind_percent * size_percent / 10_000;
    let base_unit = if family.weighed { BaseUnit::Kilogram } else { BaseUnit::Piece };
    let packagings = packagings(number, base_unit, grams, rng);
    let whole_carton = packagings[1].coefficient_milli;
    let minimum_multiple_milli = match base_unit {
        _ if chance(rng, 15) => whole_carton,
        BaseUnit::Piece => ONE_UNIT_MILLI,
        BaseUnit::Kilogram => ONE_UNIT_MILLI / 2,
    };
    Article {
        code: format!("A{number:05}"),
        name: name.clone(),
        group: TOP_GROUPS.len() + leaf,
        base_unit,
        packagings,
        weight_grams: grams + grams / 20, // 5 % for what it is packed in
        vat_bp: LEAVES[leaf].vat_bp,
        minimum_multiple_milli,
        purchase_minor: (per_kilogram * grams / 1_000).max(10),
        popularity: 0,
        withdrawal: None,
    }
}

/// The base unit and one larger packaging. The second digit of a barcode says what carries it: 0 and 2 a piece (2 an
/// older label), 1 a carton, 3 a weighed article, 4 a case of it.
fn packagings(number: u64, base_unit: BaseUnit, grams: i64, rng: &mut ChaCha8Rng) -> Vec<Packaging> {
    let barcode = |kind: u64| ean13((20 + kind) * 10_000_000_000 + number);
    match base_unit {
        BaseUnit::Piece => {
            let count = pick(rng, carton_sizes(grams));
            let mut barcodes = vec![barcode(0)];
            if chance(rng, 10) {
                barcodes.push(barcode(2));
            }
            vec![
                Packaging { name: "piece".to_owned(), coefficient_milli: ONE_UNIT_MILLI, barcodes },
                Packaging {
                    name: format!("carton of {count}"),
                    coefficient_milli: count * ONE_UNIT_MILLI,
                    barcodes: vec![barcode(1)],
                },
            ]
        }
        BaseUnit::Kilogram => {
            let count = pick(rng, &[3, 5, 10]);
            vec![
                Packaging { name: "kg".to_owned(), coefficient_milli: ONE_UNIT_MILLI, barcodes: vec![barcode(3)] },
                Packaging {
                    name: format!("case of {count} kg"),
                    coefficient_milli: count * ONE_UNIT_MILLI,
                    barcodes: vec![barcode(4)],
                },
            ]
        }
    }
}

/// How many pieces a carton may hold, so that somebody can carry it.
fn carton_sizes(grams: i64) -> &'static [i64] {
    match grams {
        ..=120 => &[20, 24, 30],
        121..=400 => &[12, 15, 20],
        401..=1_200 => &[6, 8, 10, 12],
        1_201..=3_000 => &[4, 6],
        _ => &[2],
    }
}

/// Give every article its rank, and the weight of it: the first is drawn from all, the next from those left, and so on,
/// each as likely as the appeal of its group says.
fn rank(articles: &mut [Article], rng: &mut ChaCha8Rng) {
    let appeal = |article: &Article| LEAVES[article.group - TOP_GROUPS.len()].appeal;
    let mut left: Vec<(usize, u64)> = articles.iter().map(appeal).enumerate().collect();
    let mut total: u64 = left.iter().map(|&(_, appeal)| appeal).sum();
    for rank in 1.. {
        if left.is_empty() {
            break;
        }
        let mut ticket = rng.random_range(0..total);
        let drawn = left.iter().position(|&(_, appeal)| {
            let found = ticket < appeal;
            ticket = ticket.saturating_sub(appeal);
            found
        });
        let (index, appeal) = left.swap_remove(drawn.unwrap_or_default());
        total -= appeal;
        articles[index].popularity = POPULARITY_SCALE / (rank + POPULARITY_SHIFT);
    }
}

/// End [`WITHDRAWN_ARTICLES`] of the articles between three weeks ago and a week ahead.
fn withdraw(articles: &mut [Article], today_day: i32, rng: &mut ChaCha8Rng) {
    let mut order: Vec<usize> = (0..articles.len()).collect();
    order.shuffle(rng);
    let ended: BTreeSet<usize> = order.into_iter().take(WITHDRAWN_ARTICLES).collect();
    for &index in &ended {
        let from_day = today_day + rng.random_range(-21..=7);
        // Names that belong together stand together: the nearest one is the likeliest replacement.
        let others = (0..articles.len()).filter(|other| !ended.contains(other));
        let same_group = others.filter(|&other| articles[other].group == articles[index].group);
        let successor = same_group.min_by_key(|&other| other.abs_diff(index));
        articles[index].withdrawal = successor.map(|successor| Withdrawal { from_day, successor });
    }
}

/// The next 15th of a month after `day`.
fn next_mid_month(day: i32) -> i32 {
    let is_mid_month =
        |day: i32| NaiveDate::from_num_days_from_ce_opt(day + EPOCH_DAYS_FROM_CE).is_some_and(|date| date.day() == 15);
    (day + 1..=day + 31).find(|&day| is_mid_month(day)).unwrap_or(day + 31)
}

fn prices(articles: &[Article], today_day: i32, rng: &mut ChaCha8Rng) -> Vec<Price> {
    let change_day = next_mid_month(today_day);
    let mut rows = Vec::new();
    for list in PriceList::ALL {
        for (index, article) in articles.iter().enumerate() {
            let current = price_rows(list, index, article, today_day, rng);
            if chance(rng, PRICE_CHANGE_PERCENT) {
                let bp = rng.random_range(9_700..=10_800);
                rows.extend(current.iter().map(|&row| Price { valid_to_day: Some(change_day), ..row }));
                rows.extend(current.iter().map(|&row| Price {
                    amount_minor: basis_points(row.amount_minor, bp).max(floor_minor(article, row.packaging)),
                    valid_from_day: change_day + 1,
                    ..row
                }));
            } else {
                rows.extend(current);
            }
        }
    }
    rows.sort_by_key(|p| (p.list, p.article, p.packaging, p.from_quantity_milli, p.valid_from_day));
    rows
}

/// The prices of an article in one list: of the base unit, of the carton (4 % less), and for several cartons.
fn price_rows(list: PriceList, index: usize, article: &Article, today: i32, rng: &mut ChaCha8Rng) -> Vec<Price> {
    let markup = rng.random_range(list.markup_percent());
    let base = basis_points(article.purchase_minor, markup * 100).max(article.purchase_minor + 1);
    let valid_from_day = today - PRICE_HISTORY_DAYS - rng.random_range(0..200);
    let units = article.packagings[1].coefficient_milli / ONE_UNIT_MILLI;
    let carton_floor = floor_minor(article, 1);
    let row = |packaging, from_quantity_milli, amount_minor| Price {
        list,
        article: index,
        packaging,
        from_quantity_milli,
        amount_minor,
        valid_from_day,
        valid_to_day: None,
    };
    let carton = basis_points(base * units, 9_600).max(carton_floor);
    let mut rows = vec![row(0, 0, base), row(1, 0, carton)];
    for &(cartons, discount_bp, percent) in list.breaks() {
        if chance(rng, percent) {
            let amount = basis_points(carton, 10_000 - discount_bp).max(carton_floor);
            rows.push(row(1, cartons * units * ONE_UNIT_MILLI, amount));
        }
    }
    rows
}

/// What a packaging cost the wholesaler.
fn floor_minor(article: &Article, packaging: usize) -> i64 {
    article.purchase_minor * article.packagings[packaging].coefficient_milli / ONE_UNIT_MILLI
}

/// One to three weeks of demand, in whole cartons; four rows in a hundred are empty and wait for a delivery.
fn stock(articles: &[Article], today_day: i32, rng: &mut ChaCha8Rng) -> Vec<Stock> {
    let total: u64 = articles.iter().map(|a| a.popularity).sum();
    let mut popularities: Vec<u64> = articles.iter().map(|a| a.popularity).collect();
    popularities.sort_unstable();
    let median = popularities[popularities.len() / 2];
    let mut rows = Vec::new();
    for warehouse in 0..WAREHOUSES.len() {
        for (index, article) in articles.iter().enumerate() {
            // The small warehouse holds what is asked for more often.
            if warehouse > 0 && article.popularity < median {
                continue;
            }
            let carton = article.packagings[1].coefficient_milli;
            let weekly_units = WEEKLY_DEMAND_UNITS * article.popularity / total;
            let weekly_milli = i64::try_from(weekly_units).unwrap_or(i64::MAX / 10_000) * ONE_UNIT_MILLI;
            let wanted = weekly_milli * rng.random_range(100..=300) / 100 / if warehouse > 0 { 3 } else { 1 };
            let cartons = wanted / carton + rng.random_range(1..=3);
            let empty = chance(rng, 4);
            let on_hand_milli = if empty { 0 } else { cartons * carton };
            let on_its_way = (empty || chance(rng, 10)) && article.withdrawal.is_none();
            let day = today_day + rng.random_range(1..=6);
            let expected = on_its_way.then_some(Expected { quantity_milli: (cartons + 2) * carton, day });
            rows.push(Stock { warehouse, article: index, on_hand_milli, expected });
        }
    }
    rows
}

const WAREHOUSES: [Warehouse; 2] =
    [Warehouse { code: "W1", name: "Main warehouse" }, Warehouse { code: "W2", name: "City warehouse" }];

/// The groups that hold no articles themselves.
const TOP_GROUPS: [&str; 6] =
    ["Drinks", "Dairy and eggs", "Fresh food", "Dry goods", "Bakery and frozen food", "Hygiene and supplies"];
const DRINKS: usize = 0;
const DAIRY: usize = 1;
const FRESH: usize = 2;
const DRY: usize = 3;
const BAKERY: usize = 4;
const HYGIENE: usize = 5;

/// A group of the lower level, and what it holds.
struct Leaf {
    name: &'static str,
    top: usize,
    vat_bp: i32,
    /// How much its articles are favoured in the ranking, compared with others.
    appeal: u64,
    families: &'static [Family],
}

/// Articles that combine freely: each kind in each variant in each size.
struct Family {
    kinds: &'static str,
    variants: &'static str,
    sizes: &'static [Size],
    weighed: bool,
    /// What the wholesaler pays for a kilogram (or litre), in cents.
    cents_per_kg: RangeInclusive<i64>,
}

/// What the name says, and the content in grams (a litre counts as a kilogram).
type Size = (&'static str, i64);

const fn leaf(name: &'static str, top: usize, vat_bp: i32, appeal: u64, families: &'static [Family]) -> Leaf {
    Leaf { name, top, vat_bp, appeal, families }
}

const fn pieces(kinds: &'static str, variants: &'static str, sizes: &'static [Size], low: i64, high: i64) -> Family {
    Family { kinds, variants, sizes, weighed: false, cents_per_kg: low..=high }
}

const fn weighed(kinds: &'static str, variants: &'static str, sizes: &'static [Size], low: i64, high: i64) -> Family {
    Family { kinds, variants, sizes, weighed: true, cents_per_kg: low..=high }
}

const LOOSE: &[Size] = &[("", 1_000)];
const FRESH_OR_FROZEN: &[Size] = &[("fresh", 1_000), ("frozen", 1_000)];
const BAGS: &[Size] = &[("250 g", 250), ("500 g", 500), ("1 kg", 1_000)];
const LARGE_BAGS: &[Size] = &[("500 g", 500), ("1 kg", 1_000), ("5 kg", 5_000)];
const SACKS: &[Size] = &[("1 kg", 1_000), ("2 kg", 2_000), ("10 kg", 10_000)];
const PACKS: &[Size] = &[("150 g", 150), ("500 g", 500), ("1 kg", 1_000)];
const SNACKS: &[Size] = &[("50 g", 50), ("200 g", 200)];
const TINS: &[Size] = &[("200 g", 200), ("400 g", 400), ("2.5 kg", 2_500)];
const BOTTLES: &[Size] = &[("330 ml", 330), ("500 ml", 500), ("1.5 l", 1_500)];
const JUICE_PACKS: &[Size] = &[("250 ml", 250), ("1 l", 1_000), ("2 l", 2_000)];
const CREAM_PACKS: &[Size] = &[("200 ml", 200), ("1 l", 1_000), ("10 l", 10_000)];
const CANISTERS: &[Size] = &[("500 ml", 500), ("1 l", 1_000), ("5 l", 5_000)];
const DISPENSERS: &[Size] = &[("300 ml", 300), ("1 l", 1_000), ("5 l", 5_000)];
const ICE_TUBS: &[Size] = &[("100 ml", 60), ("1 l", 550), ("5 l", 2_750)];

#[rustfmt::skip] // a table
const LEAVES: [Leaf; 18] = [
    leaf("Coffee and tea", DRINKS, VAT_FOOD_BP, 250, &[
        pieces("filter coffee, coffee beans, espresso beans, instant coffee",
            "Light roast, Medium roast, Dark roast, Extra dark roast, Organic, Decaffeinated, House blend",
            BAGS, 800, 1_600),
        pieces("black tea, green tea, herbal tea, rooibos tea", "Pure, Lemon, Mint, Ginger, Forest berry, Organic",
            &[("20 bags", 40), ("100 bags", 200)], 2_500, 5_000),
    ]),
    leaf("Water and soft drinks", DRINKS, VAT_FOOD_BP, 200, &[
        pieces("mineral water, spring water", "Still, Lightly sparkling, Sparkling, Lemon, Raspberry, Pear",
            BOTTLES, 50, 110),
        pieces("soda, sugar-free soda, iced tea, energy drink, sports drink",
            "Orange, Lemon, Peach, Berry, Apple, Tropical", BOTTLES, 90, 220),
    ]),
    leaf("Juices", DRINKS, VAT_FOOD_BP, 100, &[
        pieces("juice, nectar, smoothie, juice concentrate",
            "Orange, Apple, Pineapple, Blackcurrant, Cranberry, Multivitamin, Grape, Mango", JUICE_PACKS, 110, 320),
    ]),
    leaf("Milk, cream and eggs", DAIRY, VAT_FOOD_BP, 250, &[
        pieces("milk, cream, cooking cream, sour cream, buttermilk", "Organic, Lactose-free, Low-fat, Full-fat",
            CREAM_PACKS, 90, 380),
        pieces("oat drink, soy drink, almond drink", "Plain, Barista, Vanilla, Chocolate",
            &[("250 ml", 250), ("1 l", 1_000)], 120, 220),
        pieces("butter, vegetable spread", "Salted, Unsalted, Organic, Lactose-free",
            &[("250 g", 250), ("500 g", 500), ("2 kg", 2_000)], 450, 900),
        pieces("eggs", "Free-range, Barn, Organic", &[("6 pcs", 360), ("10 pcs", 600), ("30 pcs", 1_800)], 220, 420),
    ]),
    leaf("Cheese", DAIRY, VAT_FOOD_BP, 120, &[
        pieces("gouda, edam, emmental, cheddar, mozzarella, cream cheese, salad cheese, goat cheese",
            "Sliced, Grated, Block of, Lactose-free", PACKS, 600, 1_200),
    ]),
    leaf("Yoghurt and desserts", DAIRY, VAT_FOOD_BP, 80, &[
        pieces("yoghurt, quark, drinking yoghurt, pudding",
            "Natural, Strawberry, Blueberry, Vanilla, Peach, Raspberry, Chocolate", PACKS, 180, 420),
    ]),
    leaf("Meat and poultry", FRESH, VAT_FOOD_BP, 120, &[
        weighed("beef, pork, lamb, chicken, turkey, reindeer",
            "Minced, Diced, Sliced, Boneless, Marinated, Smoked, Cured, Roasted", FRESH_OR_FROZEN, 550, 1_600),
        pieces("ham, salami, sausage, meatballs", "Smoked, Peppered, Mild, Garlic, Herb",
            &[("150 g", 150), ("300 g", 300), ("1 kg", 1_000)], 600, 1_300),
    ]),
    leaf("Fish", FRESH, VAT_FOOD_BP, 70, &[
        weighed("salmon, rainbow trout, whitefish, herring, cod, pike-perch, tuna, shrimps",
            "Filleted, Smoked, Gravad, Marinated, Portioned", FRESH_OR_FROZEN, 800, 2_200),
    ]),
    leaf("Vegetables and fruit", FRESH, VAT_FOOD_BP, 250, &[
        weighed("potatoes, carrots, onions, tomatoes, cucumbers, lettuce, peppers, cabbage",
            "Class I, Class II, Domestic, Organic", LOOSE, 80, 300),
        weighed("apples, bananas, oranges, lemons, pears, grapes", "Class I, Class II, Ripe, Organic", LOOSE, 120, 380),
    ]),
    leaf("Flour, grains and pasta", DRY, VAT_FOOD_BP, 80, &[
        pieces("wheat flour, rye flour, barley flour, semolina, oat flakes", "Fine, Coarse, Wholemeal, Organic",
            SACKS, 60, 180),
        pieces("spaghetti, penne, fusilli, macaroni, lasagne sheets, noodles", "Durum, Wholemeal, Egg, Gluten-free",
            LARGE_BAGS, 130, 380),
        pieces("rice", "Long-grain, Basmati, Jasmine, Risotto, Wholegrain", LARGE_BAGS, 150, 350),
    ]),
    leaf("Oils, sauces and spices", DRY, VAT_FOOD_BP, 70, &[
        pieces("olive oil, rapeseed oil, sunflower oil, sesame oil", "Refined, Cold-pressed, Organic, Frying",
            CANISTERS, 250, 900),
        pieces("ketchup, mustard, mayonnaise, dressing, barbecue sauce, soy sauce, chilli sauce",
            "Mild, Hot, Classic, Sugar-reduced", DISPENSERS, 200, 480),
        pieces("black pepper, white pepper, paprika, oregano, basil, cinnamon, curry, garlic powder",
            "Ground, Coarse, Organic", &[("30 g", 30), ("500 g", 500)], 1_200, 2_800),
    ]),
    leaf("Canned food", DRY, VAT_FOOD_BP, 60, &[
        pieces("tomatoes, beans, chickpeas, sweetcorn, peas, olives, pineapple, peaches, tuna, mushrooms",
            "Canned, Organic canned, Low-salt canned", TINS, 180, 480),
    ]),
    leaf("Sweets and snacks", DRY, VAT_FOOD_BP, 130, &[
        pieces("chocolate, wine gums, liquorice, mints, biscuits, muesli bars",
            "Classic, Mixed, Soft, Sugar-free, Organic, Festive", SNACKS, 600, 1_300),
        pieces("crisps, nut mix, popcorn", "Salted, Lightly salted, Sweet, Spicy, Cheese, Organic", SNACKS, 600, 1_100),
    ]),
    leaf("Bread and pastry", BAKERY, VAT_FOOD_BP, 180, &[
        pieces("rye bread, toast, baguettes, buns, flatbread, crispbread", "Wholemeal, Oat, Seeded, Gluten-free",
            &[("300 g", 300), ("600 g", 600), ("2 kg", 2_000)], 220, 520),
        pieces("croissants, cinnamon rolls, doughnuts, muffins, cheesecake, apple pie, rice pasties",
            "Plain, Ready-baked, Vegan, Mini", &[("100 g", 100), ("1 kg", 1_000)], 450, 950),
    ]),
    leaf("Frozen food and ice cream", BAKERY, VAT_FOOD_BP, 90, &[
        pieces("peas, broccoli, spinach, sweetcorn, vegetable mix, berries, chips, potato wedges",
            "Frozen, Organic frozen", &[("500 g", 500), ("1 kg", 1_000), ("2.5 kg", 2_500)], 130, 380),
        pieces("ice cream, sorbet, frozen yoghurt", "Vanilla, Chocolate, Strawberry, Liquorice, Mango, Pear",
            ICE_TUBS, 400, 900),
        pieces("pizza, lasagne, soup, vegetable patties, fish fingers", "Frozen, Frozen vegan, Frozen spicy",
            &[("350 g", 350), ("1 kg", 1_000)], 350, 750),
    ]),
    leaf("Paper and tableware", HYGIENE, VAT_GENERAL_BP, 200, &[
        pieces("toilet paper, kitchen towels, hand towels, napkins, wiping rolls", "White, Recycled, Soft, Three-ply",
            &[("4 pack", 480), ("8 pack", 960), ("24 pack", 2_880)], 200, 380),
        pieces("paper cups, plates, cup lids, cutlery sets, take-away boxes, straws, baking paper",
            "White, Brown, Compostable", &[("50 pcs", 400), ("250 pcs", 2_000), ("500 pcs", 4_000)], 350, 800),
        pieces("bin bags, carrier bags, freezer bags", "Strong, Recycled, Compostable",
            &[("10 l roll", 200), ("30 l roll", 500), ("100 l roll", 1_500)], 250, 500),
    ]),
    leaf("Cleaning", HYGIENE, VAT_GENERAL_BP, 90, &[
        pieces("washing-up liquid, dishwasher detergent, rinse aid, floor cleaner, glass cleaner, descaler, \
            degreaser, surface disinfectant, laundry detergent", "Unscented, Lemon, Concentrated, Eco",
            CANISTERS, 180, 480),
        pieces("mop heads, sponges, cleaning cloths, brushes", "Grey, Yellow, Blue, Red",
            &[("1 pc", 80), ("10 pcs", 800)], 900, 1_900),
    ]),
    leaf("Hand and body care", HYGIENE, VAT_GENERAL_BP, 90, &[
        pieces("hand soap, shower gel, shampoo, conditioner, hand cream, hand sanitiser",
            "Unscented, Aloe, Oat, Fresh, Citrus", DISPENSERS, 300, 750),
    ]),
];

/// FNV-1a of what `Debug` prints: the same on every machine, which the standard hasher does not promise.
#[cfg(test)]
pub(super) fn digest(value: &impl std::fmt::Debug) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{value:?}").bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    /// 20 November 2026.
    const TODAY: i32 = 20_777;

    fn catalogue() -> Catalogue {
        Catalogue::generate(1, TODAY)
    }

    #[test]
    fn a_seed_gives_the_same_catalogue_on_every_machine() {
        assert_eq!(digest(&catalogue()), 8_859_706_248_313_736_752);
        assert_ne!(Catalogue::generate(2, TODAY).articles, catalogue().articles);
    }

    #[test]
    fn it_has_the_promised_size() {
        let catalogue = catalogue();
        assert_eq!(catalogue.groups.len(), 24);
        assert_eq!(catalogue.articles.len(), ARTICLES);
        assert!((9_000..13_000).contains(&catalogue.prices.len()), "{} prices", catalogue.prices.len());
        let names: BTreeSet<_> = catalogue.articles.iter().map(|a| &a.name).collect();
        assert_eq!(names.len(), ARTICLES, "names are unique");
        let filled: BTreeSet<_> = catalogue.articles.iter().map(|a| a.group).collect();
        assert_eq!(filled.len(), LEAVES.len(), "every lower group has articles");
        assert!(filled.iter().all(|&group| catalogue.groups[group].parent.is_some()));
    }

    #[test]
    fn ean13_numbers_of_the_standard() {
        assert_eq!(ean13(629_104_150_021), "6291041500213"); // the example of GS1's page on check digits
        assert_eq!(ean13(400_638_133_393), "4006381333931"); // the example of most books
        assert_eq!(ean13(200_000_000_000), "2000000000008");
    }

    #[test]
    fn barcodes_are_unique_and_of_the_range_within_a_company() {
        let catalogue = catalogue();
        let packagings = catalogue.articles.iter().flat_map(|a| &a.packagings);
        let barcodes: Vec<_> = packagings.flat_map(|p| &p.barcodes).collect();
        let different: BTreeSet<_> = barcodes.iter().collect();
        assert_eq!(different.len(), barcodes.len());
        for barcode in barcodes {
            let first_twelve: u64 = barcode[..12].parse().expect("digits");
            assert_eq!(*barcode, ean13(first_twelve));
            assert!(("20".."30").contains(&&barcode[..2]), "{barcode}");
        }
    }

    #[test]
    fn a_tenth_of_the_articles_makes_most_of_the_turnover() {
        let catalogue = catalogue();
        let share_of_first_tenth = |mut shares: Vec<u64>| {
            shares.sort_unstable_by_key(|&share| Reverse(share));
            1_000 * shares[..ARTICLES / 10].iter().sum::<u64>() / shares.iter().sum::<u64>()
        };
        let requests = catalogue.articles.iter().map(|a| a.popularity).collect();
        assert_eq!(share_of_first_tenth(requests), 517, "per mille of the requests");
        let turnover = catalogue.articles.iter().map(|a| a.popularity * a.purchase_minor.unsigned_abs());
        let share = share_of_first_tenth(turnover.collect());
        assert!((500..900).contains(&share), "{share} per mille of the turnover");
    }

    #[test]
    fn one_article_in_a_hundred_has_a_successor_that_is_sold() {
        for seed in 0..20 {
            let articles = Catalogue::generate(seed, TODAY).articles;
            let mut withdrawn = 0;
            for (article, end) in articles.iter().filter_map(|a| a.withdrawal.map(|end| (a, end))) {
                withdrawn += 1;
                let successor = &articles[end.successor];
                assert_eq!((successor.group, successor.withdrawal), (article.group, None));
            }
            assert_eq!(withdrawn, WITHDRAWN_ARTICLES);
        }
    }

    #[test]
    fn a_withdrawn_article_is_replaced_from_that_day_on() {
        let catalogue = catalogue();
        let index = catalogue.articles.iter().position(|a| a.withdrawal.is_some()).expect("some are withdrawn");
        let end = catalogue.articles[index].withdrawal.expect("this one is");
        assert_eq!(catalogue.sold_on(index, end.from_day - 1), index);
        assert_eq!(catalogue.sold_on(index, end.from_day), end.successor);
    }

    #[test]
    fn quantities_and_coefficients_fit_together() {
        for article in &catalogue().articles {
            assert_eq!(article.packagings[0].coefficient_milli, ONE_UNIT_MILLI);
            assert!(article.packagings[1].coefficient_milli > ONE_UNIT_MILLI);
            let whole_cartons = article.packagings[1].coefficient_milli % article.minimum_multiple_milli;
            assert_eq!(whole_cartons, 0, "{} can be ordered by the carton", article.name);
            let carton_grams = article.weight_grams * article.packagings[1].coefficient_milli / ONE_UNIT_MILLI;
            assert!(carton_grams <= 25_000, "{}: {carton_grams} g are too much to carry", article.name);
        }
    }

    #[test]
    fn every_article_has_one_price_on_every_day_in_both_lists() {
        let catalogue = catalogue();
        for day in [TODAY - PRICE_HISTORY_DAYS, TODAY - 1, TODAY, TODAY + 25, TODAY + 26, TODAY + 365] {
            for (list, article) in PriceList::ALL.into_iter().flat_map(|l| (0..ARTICLES).map(move |a| (l, a))) {
                let valid = |p: &&Price| (p.list, p.article) == (list, article) && p.is_valid_on(day);
                for packaging in 0..2 {
                    let price = catalogue.price_on(list, article, packaging, ONE_UNIT_MILLI, day);
                    let price = &catalogue.prices[price.expect("a price")];
                    assert!(valid(&price) && price.packaging == packaging);
                }
            }
        }
    }

    #[test]
    fn some_prices_end_in_the_middle_of_a_month_and_go_on_the_day_after() {
        let catalogue = catalogue();
        let ends: Vec<_> = catalogue.prices.iter().filter(|p| p.valid_to_day.is_some()).collect();
        assert!(ends.len() > catalogue.prices.len() / 20, "{} of {}", ends.len(), catalogue.prices.len());
        for price in ends {
            assert_eq!(price.valid_to_day, Some(20_802), "15 December 2026");
            let follow_up = |p: &&Price| {
                (p.list, p.article, p.packaging, p.from_quantity_milli, p.valid_from_day)
                    == (price.list, price.article, price.packaging, price.from_quantity_milli, 20_803)
            };
            assert_eq!(catalogue.prices.iter().filter(follow_up).count(), 1);
        }
    }

    #[test]
    fn larger_quantities_cost_less_and_nothing_is_sold_at_a_loss() {
        let catalogue = catalogue();
        for price in &catalogue.prices {
            let article = &catalogue.articles[price.article];
            assert!(price.amount_minor >= floor_minor(article, price.packaging), "{}", article.name);
        }
        for pair in catalogue.prices.windows(2) {
            let of = |p: &Price| (p.list, p.article, p.packaging, p.valid_from_day);
            if of(&pair[0]) == of(&pair[1]) {
                assert!(pair[0].from_quantity_milli < pair[1].from_quantity_milli);
                assert!(pair[0].amount_minor >= pair[1].amount_minor);
            }
        }
    }

    #[test]
    fn the_largest_break_that_is_reached_gives_the_price() {
        let catalogue = catalogue();
        let with_break = |p: &&Price| p.from_quantity_milli > 0 && p.is_valid_on(TODAY);
        let price = catalogue.prices.iter().find(with_break).expect("some have breaks");
        let found = |quantity| {
            let index = catalogue.price_on(price.list, price.article, price.packaging, quantity, TODAY);
            catalogue.prices[index.expect("a price")].from_quantity_milli
        };
        assert_eq!(found(price.from_quantity_milli), price.from_quantity_milli);
        assert_eq!(found(price.from_quantity_milli - 1), 0);
    }

    #[test]
    fn stock_is_in_whole_cartons_and_what_is_empty_is_on_its_way() {
        let catalogue = catalogue();
        let count = |warehouse| catalogue.stock.iter().filter(|s| s.warehouse == warehouse).count();
        assert_eq!((count(0), count(1)), (ARTICLES, ARTICLES / 2));
        for row in &catalogue.stock {
            let article = &catalogue.articles[row.article];
            assert_eq!(row.on_hand_milli % article.packagings[1].coefficient_milli, 0);
            assert!(row.on_hand_milli > 0 || row.expected.is_some() || article.withdrawal.is_some());
            assert!(row.expected.is_none_or(|e| e.day > TODAY && e.quantity_milli > 0));
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(basis_points(1, 5_000), 1);
        assert_eq!(basis_points(-1, 5_000), -1);
        assert_eq!(basis_points(1_001, 9_600), 961);
        assert_eq!(basis_points(1, 4_999), 0);
    }
}
