//! Four weeks of visits and orders before today: the demonstration's past, made by a model.
//!
//! Figures are assumptions of the demo, chosen so that its ratios look like those of a real distributor; they
//! describe no real business. Pure, in integers only: the same seed, city and catalogue give the same past on every
//! machine.
//!
//! - **Visits.** Every visit that the routes ask for has one outcome, by chance and by the outlet's class:
//!
//!   | of 1,000 planned visits | A | B | C |
//!   | --- | --- | --- | --- |
//!   | productive (with an order) | 720 | 620 | 500 |
//!   | unproductive | 180 | 270 | 370 |
//!   | skipped by the representative | 60 | 60 | 70 |
//!   | missed | 40 | 50 | 60 |
//!
//!   Nothing begins after 18:00: what is left of a longer route is missed. On one day in four a representative visits
//!   one more outlet of the territory, unplanned, at the end of the route.
//! - **Time.** A day begins between 8:30 and 8:50. A visit takes 10 to 20 minutes in an A outlet, 8 to 15 in B and 5
//!   to 10 in C; the way to the next one a minute for every 60 metres, and one to three minutes more. Of 100
//!   check-ins, 97 are within 40 metres of the outlet, the others 200 to 900 metres away.
//! - **Assortment.** An outlet buys from a range of its own: 60 articles for A, 35 for B, 15 for C, drawn by
//!   popularity and by what outlets of its type need ([`need_percent`]). Nine lines in ten come from the range, the
//!   tenth is tried anew.
//! - **Basket.** 8 to 18 different articles for A, 4 to 10 for B, 2 to 5 for C, drawn from the range by the square
//!   root of popularity (it decided the range before); more until the agreed minimum sum is reached. An article that
//!   is no longer sold on that day is replaced by its successor.
//! - **Quantity.** Hotels, restaurants and cafés take whole cartons in four lines of five, A and B shops in three of
//!   five, C shops in one of five: from one to one more than the weekly potential in units of [`EUROS_PER_CARTON`].
//!   Else 2 to 6 times the minimum multiple.
//! - **Telephone.** Besides, each outlet orders by telephone on one working day in 150.
//! - **Delivery** is on the first delivery day of the agreement after the order.

use std::collections::{BTreeMap, BTreeSet};

use rand::distr::uniform::SampleUniform;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::catalogue::{Article, Catalogue, PriceList, basis_points};
use super::city::{City, Class, Outlet, OutletKind, WORKING_DAYS, weekday};

/// How many days the past has; it ends yesterday.
pub const HISTORY_DAYS: i32 = 28;
/// No order has more lines than this.
pub const MAX_LINES: usize = 40;

/// An outlet takes up to one carton of an article, and one more for every so many euros of weekly potential.
pub const EUROS_PER_CARTON: i64 = 700;

/// The stream of ChaCha that visits are drawn from; each outlet's baskets have one of their own, counted from
/// [`FIRST_BUYER_STREAM`].
const VISIT_STREAM: u64 = 2;
const FIRST_BUYER_STREAM: u64 = 1_000;

/// The past: visits and orders, by day, territory and time; telephone orders come last on their day. Places are
/// indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Every planned visit, and the unplanned ones that took place.
    pub visits: Vec<PastVisit>,
    /// Every order.
    pub orders: Vec<PastOrder>,
}

/// A visit that was planned, or took place, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastVisit {
    /// The outlet.
    pub outlet: usize,
    /// The day, in days since 1970-01-01.
    pub day: i32,
    /// Its place on the day's route, from 1; `None` for an unplanned visit.
    pub planned_place: Option<u32>,
    /// What became of it.
    pub outcome: VisitOutcome,
    /// When and where it took place; `None` if it did not.
    pub stay: Option<Stay>,
}

/// The facts of a visit that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Check-in, in minutes after the outlet's local midnight.
    pub start_minute: i32,
    /// From check-in to check-out.
    pub minutes: i32,
    /// From the outlet to where the check-in was made.
    pub check_in_distance_metres: i64,
}

/// What became of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitOutcome {
    /// It took place and brought this order.
    Productive {
        /// The order.
        order: usize,
    },
    /// It took place and brought none.
    Unproductive(NoOrderReason),
    /// The representative left it out and said why.
    Skipped(SkipReason),
    /// It was not made by the end of the day.
    Missed,
}

/// Why a visit brought no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoOrderReason {
    /// There is enough on the shelf.
    EnoughStock,
    /// Nobody who decides was there.
    NobodyToDecide,
    /// The outlet was closed.
    Closed,
    /// There was no money to pay with.
    NoMoney,
}

/// Why a visit was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The day was too short.
    NoTime,
    /// The outlet asked not to come.
    AskedNotToCome,
    /// Nobody could get there.
    NoAccess,
}

/// An order that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastOrder {
    /// For which outlet.
    pub outlet: usize,
    /// When it was taken, in days since 1970-01-01; the day that its prices go by.
    pub day: i32,
    /// When it is delivered; may be today or later.
    pub delivery_day: i32,
    /// The visit that brought it; `None` for an order by telephone.
    pub visit: Option<usize>,
    /// At least one.
    pub lines: Vec<PastLine>,
}

impl PastOrder {
    /// The sum without VAT, in minor units.
    #[must_use]
    pub fn net_minor(&self) -> i64 {
        self.lines.iter().map(|line| line.net_minor).sum()
    }

    /// The sum of VAT, in minor units.
    #[must_use]
    pub fn vat_minor(&self) -> i64 {
        self.lines.iter().map(|line| line.vat_minor).sum()
    }
}

/// A line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastLine {
    /// The article, once in an order.
    pub article: usize,
    /// The packaging, an index into those of the article.
    pub packaging: usize,
    /// In thousandths of the base unit.
    pub quantity_milli: i64,
    /// The price that was used, an index into those of the catalogue.
    pub price: usize,
    /// Price times quantity, rounded half away from zero, in minor units.
    pub net_minor: i64,
    /// VAT on it, rounded likewise.
    pub vat_minor: i64,
}

impl History {
    /// The past of a city that buys from a catalogue, as of `today_day` (days since 1970-01-01).
    #[must_use]
    pub fn generate(seed: u64, today_day: i32, city: &City, catalogue: &Catalogue) -> Self {
        let mut past = Past::new(seed, city, catalogue);
        for day in (today_day - HISTORY_DAYS..today_day).filter(|&day| weekday(day) < WORKING_DAYS) {
            for territory in 0..city.territories.len() {
                past.play_route(territory, day);
            }
            past.take_telephone_orders(day);
        }
        Self { visits: past.visits, orders: past.orders }
    }
}

/// How much outlets of a type need of the six top groups of the catalogue, in per cent of what popularity alone says:
/// drinks, dairy, fresh food, dry goods, bakery and frozen food, hygiene.
#[must_use]
pub fn need_percent(kind: OutletKind) -> [u64; 6] {
    match kind {
        OutletKind::Supermarket | OutletKind::DepartmentStore | OutletKind::Convenience => {
            [100, 100, 100, 100, 100, 100]
        }
        OutletKind::Restaurant => [60, 120, 180, 110, 60, 70],
        OutletKind::FastFood => [100, 60, 100, 90, 160, 100],
        OutletKind::Cafe => [160, 160, 30, 60, 180, 70],
        OutletKind::Hotel | OutletKind::Hostel => [110, 110, 70, 60, 110, 140],
        OutletKind::Bar | OutletKind::Pub | OutletKind::Nightclub => [200, 20, 20, 120, 50, 90],
        OutletKind::Kiosk => [200, 60, 5, 150, 120, 40],
        OutletKind::Alcohol => [200, 20, 5, 120, 10, 80],
        OutletKind::Bakery => [80, 180, 20, 150, 80, 80],
        OutletKind::Deli => [100, 130, 120, 150, 60, 60],
        OutletKind::Pharmacy => [60, 10, 0, 60, 0, 250],
        OutletKind::Beauty => [80, 15, 0, 20, 0, 300],
        OutletKind::Shop => [120, 20, 0, 40, 5, 200],
    }
}

/// What differs between the classes; see the module's model.
struct Habits {
    productive_permille: u32,
    unproductive_permille: u32,
    skipped_permille: u32,
    minutes: (i32, i32),
    range: usize,
    lines: (usize, usize),
}

fn habits(class: Class) -> Habits {
    match class {
        Class::A => Habits {
            productive_permille: 720,
            unproductive_permille: 180,
            skipped_permille: 60,
            minutes: (10, 20),
            range: 60,
            lines: (8, 18),
        },
        Class::B => Habits {
            productive_permille: 620,
            unproductive_permille: 270,
            skipped_permille: 60,
            minutes: (8, 15),
            range: 35,
            lines: (4, 10),
        },
        Class::C => Habits {
            productive_permille: 500,
            unproductive_permille: 370,
            skipped_permille: 70,
            minutes: (5, 10),
            range: 15,
            lines: (2, 5),
        },
    }
}

/// Of so many outlet days, one brings an order by telephone.
const DAYS_PER_TELEPHONE_ORDER: u32 = 150;
const WALK_METRES_PER_MINUTE: i64 = 60;
/// No visit begins later, in minutes after midnight.
const LAST_CHECK_IN_MINUTE: i32 = 18 * 60;
/// An urn is drawn from at most so often for a range or a basket; far more than any needs.
const MAX_DRAWS: usize = 2_000;

fn between<T: SampleUniform + PartialOrd>(rng: &mut ChaCha8Rng, (low, high): (T, T)) -> T {
    rng.random_range(low..=high)
}

/// One of these, each as likely as its weight says.
fn weighted<T: Copy>(rng: &mut ChaCha8Rng, choices: [(u32, T); 4]) -> T {
    let mut ticket = rng.random_range(0..choices.iter().map(|&(weight, _)| weight).sum());
    for (weight, choice) in choices {
        if ticket < weight {
            return choice;
        }
        ticket -= weight;
    }
    choices[0].1
}

/// Articles to draw from, each as likely as its weight says.
struct Urn {
    /// Article, and the sum of the weights up to and with its own.
    entries: Vec<(usize, u64)>,
}

impl Urn {
    fn new(weights: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut sum = 0;
        let entries = weights.filter(|&(_, weight)| weight > 0).map(|(article, weight)| {
            sum += weight;
            (article, sum)
        });
        Self { entries: entries.collect() }
    }

    /// All articles, as a type of outlets asks for them.
    fn of(kind: OutletKind, catalogue: &Catalogue) -> Self {
        let need = need_percent(kind);
        let weight = |article: &Article| {
            let top = catalogue.groups[article.group].parent.unwrap_or(article.group);
            article.popularity * need.get(top).copied().unwrap_or_default()
        };
        Self::new(catalogue.articles.iter().map(weight).enumerate())
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<usize> {
        let &(_, total) = self.entries.last()?;
        let ticket = rng.random_range(0..total);
        let place = self.entries.partition_point(|&(_, sum)| sum <= ticket);
        self.entries.get(place).map(|&(article, _)| article)
    }
}

/// An outlet that buys: what it usually takes, and its own randomness.
struct Buyer {
    range: Urn,
    rng: ChaCha8Rng,
}

impl Buyer {
    fn new(seed: u64, number: u64, outlet: &Outlet, catalogue: &Catalogue, all: &Urn) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(FIRST_BUYER_STREAM + number);
        let size = habits(outlet.class).range;
        let mut range = BTreeSet::new();
        for _ in 0..MAX_DRAWS {
            range.extend(all.draw(&mut rng));
            if range.len() == size {
                break;
            }
        }
        // Popularity decided already what is in the range; with its full weight here too, it would count twice.
        let weights = range.into_iter().map(|article| (article, catalogue.articles[article].popularity.isqrt()));
        Self { range: Urn::new(weights), rng }
    }
}

/// What becomes of a visit, before it is played.
#[derive(Clone, Copy)]
enum Fate {
    Productive,
    Unproductive,
    Skipped,
    Missed,
}

/// A representative on the way: the time, in minutes after midnight, and the last outlet.
struct Walk {
    day: i32,
    minute: i32,
    last: Option<usize>,
}

/// The past while it is made.
struct Past<'a> {
    city: &'a City,
    catalogue: &'a Catalogue,
    urns: BTreeMap<OutletKind, Urn>,
    buyers: Vec<Buyer>,
    rng: ChaCha8Rng,
    visits: Vec<PastVisit>,
    orders: Vec<PastOrder>,
}

impl<'a> Past<'a> {
    fn new(seed: u64, city: &'a City, catalogue: &'a Catalogue) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(VISIT_STREAM);
        let kinds: BTreeSet<OutletKind> = city.outlets.iter().map(|outlet| outlet.kind).collect();
        let urns: BTreeMap<_, _> = kinds.into_iter().map(|kind| (kind, Urn::of(kind, catalogue))).collect();
        let numbered = (0..).zip(&city.outlets);
        let buyers = numbered.map(|(number, o)| Buyer::new(seed, number, o, catalogue, &urns[&o.kind]));
        let buyers = buyers.collect();
        Self { city, catalogue, urns, buyers, rng, visits: Vec::new(), orders: Vec::new() }
    }

    /// A representative's day.
    fn play_route(&mut self, territory: usize, day: i32) {
        let mut walk = Walk { day, minute: between(&mut self.rng, (510, 530)), last: None };
        let due: Vec<usize> = self.city.due(territory, day).collect();
        for (place, &outlet) in (1..).zip(&due) {
            let of_class = habits(self.city.outlets[outlet].class);
            let happened = of_class.productive_permille + of_class.unproductive_permille;
            let fate = weighted(
                &mut self.rng,
                [
                    (of_class.productive_permille, Fate::Productive),
                    (of_class.unproductive_permille, Fate::Unproductive),
                    (of_class.skipped_permille, Fate::Skipped),
                    (1_000 - happened - of_class.skipped_permille, Fate::Missed),
                ],
            );
            let too_late = walk.minute > LAST_CHECK_IN_MINUTE;
            self.visit(&mut walk, outlet, Some(place), if too_late { Fate::Missed } else { fate });
        }
        if self.rng.random_range(0..4) == 0 && walk.minute <= LAST_CHECK_IN_MINUTE {
            let outlets = &self.city.territories[territory].outlets;
            let outlet = outlets[self.rng.random_range(0..outlets.len())];
            if !due.contains(&outlet) {
                let productive = self.rng.random_range(0..1_000) < 600;
                let fate = if productive { Fate::Productive } else { Fate::Unproductive };
                self.visit(&mut walk, outlet, None, fate);
            }
        }
    }

    fn visit(&mut self, walk: &mut Walk, outlet: usize, planned_place: Option<u32>, fate: Fate) {
        let took_place = matches!(fate, Fate::Productive | Fate::Unproductive);
        let stay = took_place.then(|| self.stay(walk, outlet));
        let outcome = match fate {
            Fate::Productive => self
                .take_order(outlet, walk.day, Some(self.visits.len()))
                .map_or(VisitOutcome::Unproductive(NoOrderReason::EnoughStock), |order| VisitOutcome::Productive {
                    order,
                }),
            Fate::Unproductive => VisitOutcome::Unproductive(weighted(
                &mut self.rng,
                [
                    (45, NoOrderReason::EnoughStock),
                    (30, NoOrderReason::NobodyToDecide),
                    (15, NoOrderReason::Closed),
                    (10, NoOrderReason::NoMoney),
                ],
            )),
            Fate::Skipped => VisitOutcome::Skipped(weighted(
                &mut self.rng,
                [
                    (50, SkipReason::NoTime),
                    (30, SkipReason::AskedNotToCome),
                    (20, SkipReason::NoAccess),
                    (0, SkipReason::NoTime),
                ],
            )),
            Fate::Missed => VisitOutcome::Missed,
        };
        self.visits.push(PastVisit { outlet, day: walk.day, planned_place, outcome, stay });
    }

    /// Walk to an outlet and spend the time of a visit there.
    fn stay(&mut self, walk: &mut Walk, outlet: usize) -> Stay {
        let there = &self.city.outlets[outlet];
        if let Some(last) = walk.last {
            let metres = self.city.outlets[last].position.distance_metres(there.position);
            let minutes = i32::try_from(metres / WALK_METRES_PER_MINUTE).unwrap_or(i32::MAX / 2);
            walk.minute += minutes + between(&mut self.rng, (1, 3));
        }
        let far = self.rng.random_range(0..100) < 3;
        let stay = Stay {
            start_minute: walk.minute,
            minutes: between(&mut self.rng, habits(there.class).minutes),
            check_in_distance_metres: between(&mut self.rng, if far { (200, 900) } else { (0, 40) }),
        };
        walk.minute += stay.minutes;
        walk.last = Some(outlet);
        stay
    }

    fn take_telephone_orders(&mut self, day: i32) {
        for outlet in 0..self.city.outlets.len() {
            if self.rng.random_range(0..DAYS_PER_TELEPHONE_ORDER) == 0 {
                self.take_order(outlet, day, None);
            }
        }
    }

    /// The new order's place; `None` if the outlet finds nothing to buy.
    fn take_order(&mut self, outlet: usize, day: i32, visit: Option<usize>) -> Option<usize> {
        let lines = self.basket(outlet, day);
        if lines.is_empty() {
            return None;
        }
        let delivery_days = self.city.agreement_of(outlet).delivery_weekdays;
        let mut following = day + 1..day + 8;
        let delivery_day = following.find(|&next| delivery_days >> weekday(next) & 1 == 1).unwrap_or(day + 1);
        self.orders.push(PastOrder { outlet, day, delivery_day, visit, lines });
        Some(self.orders.len() - 1)
    }

    fn basket(&mut self, outlet: usize, day: i32) -> Vec<PastLine> {
        let place = &self.city.outlets[outlet];
        let agreement = self.city.agreement_of(outlet);
        let Buyer { range, rng } = &mut self.buyers[outlet];
        let wanted = between(rng, habits(place.class).lines);
        let mut lines: Vec<PastLine> = Vec::new();
        let mut net_minor = 0;
        for _ in 0..MAX_DRAWS {
            let enough = lines.len() >= wanted && net_minor >= agreement.minimum_order_minor;
            if enough || lines.len() == MAX_LINES {
                break;
            }
            let urn = if rng.random_range(0..10) == 0 { &self.urns[&place.kind] } else { &*range };
            let Some(article) = urn.draw(rng).map(|asked_for| self.catalogue.sold_on(asked_for, day)) else {
                break;
            };
            if lines.iter().any(|line| line.article == article) {
                continue;
            }
            let line = line(self.catalogue, agreement.price_list, place, article, day, rng);
            net_minor += line.map_or(0, |line| line.net_minor);
            lines.extend(line);
        }
        lines
    }
}

/// A line of a basket; `None` if the article has no price on that day.
fn line(
    catalogue: &Catalogue,
    list: PriceList,
    buyer: &Outlet,
    article: usize,
    day: i32,
    rng: &mut ChaCha8Rng,
) -> Option<PastLine> {
    let sold = &catalogue.articles[article];
    let fifths_in_cartons = match (list, buyer.class) {
        (PriceList::Horeca, _) => 4,
        (PriceList::Retail, Class::A | Class::B) => 3,
        (PriceList::Retail, Class::C) => 1,
    };
    let carton = sold.packagings[1].coefficient_milli;
    let only_cartons = sold.minimum_multiple_milli == carton;
    let (packaging, quantity_milli) = if rng.random_range(0..5) < fifths_in_cartons || only_cartons {
        let most = 1 + buyer.weekly_potential_minor / (EUROS_PER_CARTON * 100);
        (1, rng.random_range(1..=most) * carton)
    } else {
        (0, rng.random_range(2..=6) * sold.minimum_multiple_milli)
    };
    let price = catalogue.price_on(list, article, packaging, quantity_milli, day)?;
    let per_packaging = catalogue.prices[price].amount_minor;
    let net_minor = divide_rounding(per_packaging * quantity_milli, sold.packagings[packaging].coefficient_milli);
    let vat_minor = basis_points(net_minor, i64::from(sold.vat_bp));
    Some(PastLine { article, packaging, quantity_milli, price, net_minor, vat_minor })
}

/// A quotient of what is not negative, halves rounded up.
fn divide_rounding(dividend: i64, divisor: i64) -> i64 {
    (dividend + divisor / 2) / divisor
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{VAT_FOOD_BP, VAT_GENERAL_BP, digest};
    use super::*;

    /// 20 November 2026, a Friday.
    const TODAY: i32 = 20_777;

    struct World {
        city: City,
        catalogue: Catalogue,
        history: History,
    }

    fn world(seed: u64) -> World {
        let city = City::helsinki(seed, 10).expect("the list that is built in");
        let catalogue = Catalogue::generate(seed, TODAY);
        let history = History::generate(seed, TODAY, &city, &catalogue);
        World { city, catalogue, history }
    }

    #[test]
    fn a_seed_gives_the_same_past_on_every_machine() {
        assert_eq!(digest(&world(1).history), 9_097_223_687_179_920_024);
        assert_ne!(world(2).history, world(1).history);
    }

    #[test]
    fn every_planned_visit_is_there_once_and_in_order() {
        let World { city, history, .. } = world(1);
        for territory in 0..city.territories.len() {
            for day in TODAY - HISTORY_DAYS..TODAY {
                let of_day = |v: &&PastVisit| v.day == day && city.outlets[v.outlet].territory == territory;
                let visits: Vec<_> = history.visits.iter().filter(of_day).collect();
                let planned = visits.iter().filter(|v| v.planned_place.is_some());
                assert!(planned.clone().map(|v| v.outlet).eq(city.due(territory, day)));
                assert!(planned.zip(1..).all(|(v, place)| v.planned_place == Some(place)));
                let stays: Vec<Stay> = visits.iter().filter_map(|v| v.stay).collect();
                assert!(stays.windows(2).all(|s| s[0].start_minute + s[0].minutes < s[1].start_minute));
                assert!(stays.iter().all(|s| (510..20 * 60).contains(&s.start_minute)), "a day ends by 20:00");
            }
        }
        let unplanned = history.visits.iter().filter(|v| v.planned_place.is_none()).count();
        assert!((20..=50).contains(&unplanned), "{unplanned} of 200 days");
    }

    #[test]
    fn a_route_that_is_too_long_is_not_finished() {
        let city = City::helsinki(1, 1).expect("the list that is built in");
        let history = History::generate(1, TODAY, &city, &Catalogue::generate(1, TODAY));
        let stays = history.visits.iter().filter_map(|visit| visit.stay);
        let last = stays.map(|stay| stay.start_minute).max().expect("some visits are made");
        assert!((LAST_CHECK_IN_MINUTE - 30..LAST_CHECK_IN_MINUTE + 60).contains(&last), "{last}");
        let missed = history.visits.iter().filter(|visit| visit.outcome == VisitOutcome::Missed).count();
        assert!(missed * 2 > history.visits.len());
    }

    #[test]
    fn outcomes_are_as_likely_as_the_model_says() {
        let World { city, history, .. } = world(1);
        for class in [Class::A, Class::B, Class::C] {
            let of_class = |v: &&PastVisit| v.planned_place.is_some() && city.outlets[v.outlet].class == class;
            let visits: Vec<_> = history.visits.iter().filter(of_class).collect();
            let permille = |f: fn(VisitOutcome) -> bool| {
                u32::try_from(1_000 * visits.iter().filter(|v| f(v.outcome)).count() / visits.len()).expect("small")
            };
            let near = |found: u32, expected: u32| assert!(found.abs_diff(expected) < 50, "{found}, {expected}");
            near(permille(|o| matches!(o, VisitOutcome::Productive { .. })), habits(class).productive_permille);
            near(permille(|o| matches!(o, VisitOutcome::Unproductive(_))), habits(class).unproductive_permille);
            near(permille(|o| matches!(o, VisitOutcome::Skipped(_))), habits(class).skipped_permille);
        }
    }

    #[test]
    fn a_visit_took_place_or_says_why_not_and_knows_its_order() {
        let World { history, .. } = world(1);
        for (index, visit) in history.visits.iter().enumerate() {
            match visit.outcome {
                VisitOutcome::Productive { order } => {
                    let order = &history.orders[order];
                    assert_eq!((order.visit, order.outlet, order.day), (Some(index), visit.outlet, visit.day));
                    assert!(visit.stay.is_some());
                }
                VisitOutcome::Unproductive(_) => assert!(visit.stay.is_some()),
                VisitOutcome::Skipped(_) | VisitOutcome::Missed => assert_eq!(visit.stay, None),
            }
        }
        let by_visit = history.orders.iter().filter(|o| o.visit.is_some()).count();
        let productive = history.visits.iter().filter(|v| matches!(v.outcome, VisitOutcome::Productive { .. })).count();
        assert_eq!(by_visit, productive);
        let by_telephone = history.orders.len() - by_visit;
        assert!((90..=175).contains(&by_telephone), "{by_telephone} of 979 × 20 ÷ 150");
    }

    #[test]
    fn orders_keep_to_the_terms() {
        let World { city, catalogue, history } = world(1);
        for order in &history.orders {
            let agreement = city.agreement_of(order.outlet);
            assert!((TODAY - HISTORY_DAYS..TODAY).contains(&order.day));
            assert!((order.day + 1..=order.day + 5).contains(&order.delivery_day));
            assert_eq!(agreement.delivery_weekdays >> weekday(order.delivery_day) & 1, 1);
            assert!((1..=MAX_LINES).contains(&order.lines.len()));
            assert!(order.net_minor() >= agreement.minimum_order_minor || order.lines.len() == MAX_LINES);
            let articles: BTreeSet<_> = order.lines.iter().map(|line| line.article).collect();
            assert_eq!(articles.len(), order.lines.len(), "an article once in an order");
            for line in &order.lines {
                let price = &catalogue.prices[line.price];
                assert_eq!((price.article, price.packaging), (line.article, line.packaging));
                assert_eq!(price.list, agreement.price_list);
                assert!(price.is_valid_on(order.day) && price.from_quantity_milli <= line.quantity_milli);
                let article = &catalogue.articles[line.article];
                assert_eq!(line.quantity_milli % article.minimum_multiple_milli, 0);
                assert!(article.withdrawal.is_none_or(|end| order.day < end.from_day), "still sold");
                assert!(line.net_minor > 0);
            }
        }
    }

    #[test]
    fn vat_is_rounded_per_line() {
        let World { catalogue, history, .. } = world(1);
        for line in history.orders.iter().flat_map(|order| &order.lines) {
            let vat = match catalogue.articles[line.article].vat_bp {
                VAT_FOOD_BP => (line.net_minor * 135 + 500) / 1_000,
                VAT_GENERAL_BP => (line.net_minor * 255 + 500) / 1_000,
                other => unreachable!("{other} is no rate of the demo"),
            };
            assert_eq!(line.vat_minor, vat);
        }
        let order = &history.orders[0];
        assert_eq!(order.vat_minor(), order.lines.iter().map(|line| line.vat_minor).sum::<i64>());
    }

    #[test]
    fn halves_of_a_price_are_rounded_up() {
        assert_eq!((divide_rounding(1, 2), divide_rounding(1_499, 1_000), divide_rounding(6, 3)), (1, 1, 2));
    }

    #[test]
    fn few_articles_make_most_of_the_turnover() {
        let World { catalogue, history, .. } = world(1);
        let mut turnover = vec![0; catalogue.articles.len()];
        for line in history.orders.iter().flat_map(|order| &order.lines) {
            turnover[line.article] += line.net_minor;
        }
        turnover.sort_unstable_by_key(|&sum| std::cmp::Reverse(sum));
        let first_tenth: i64 = turnover[..turnover.len() / 10].iter().sum();
        let share = 100 * first_tenth / turnover.iter().sum::<i64>();
        assert!((50..90).contains(&share), "{share} %");
    }

    #[test]
    fn an_outlet_buys_much_the_same_again() {
        let World { city, history, .. } = world(1);
        let regular = city.outlets.iter().position(|o| o.class == Class::A).expect("there are A outlets");
        let bought = history.orders.iter().filter(|order| order.outlet == regular);
        let articles: Vec<usize> = bought.flat_map(|order| &order.lines).map(|line| line.article).collect();
        let different: BTreeSet<_> = articles.iter().collect();
        assert!(different.len() * 2 < articles.len() * 3 / 2, "{} of {}", different.len(), articles.len());
    }

    #[test]
    fn outlets_buy_what_their_type_needs() {
        let World { city, catalogue, history } = world(1);
        for order in &history.orders {
            let need = need_percent(city.outlets[order.outlet].kind);
            for line in &order.lines {
                let group = catalogue.articles[line.article].group;
                let top = catalogue.groups[group].parent.expect("articles are in lower groups");
                assert_ne!(need[top], 0);
            }
        }
    }
}
