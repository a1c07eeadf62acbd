//! The city of the demonstration: real places, invented trade.
//!
//! Outlets are those of central Helsinki in OpenStreetMap (`server/data/README.md` says how they were taken; ©
//! OpenStreetMap contributors, ODbL 1.0). Names, addresses and positions are real. **Everything else is made up from
//! a seed and says nothing about the businesses**: who owns what, what they buy, their class, their terms, their
//! credit.
//!
//! - **Potential**: what an outlet is expected to buy in a week: a figure for its type, 60 to 140 % of it by chance,
//!   and a tenth more in a chain.
//! - **Class** is the usual ABC by potential: from the largest down, A are the outlets that together make up to 80 % of
//!   all potential, B those up to 95 %, C the rest.
//! - **Customers**: outlets of one name (whatever the case of its letters) belong to one legal entity.
//! - **Territories** come from recursive bisection: the outlets are sorted from west to east or from south to north,
//!   whichever makes the boxes around the two parts smaller in outline, and cut in proportion to the number of
//!   territories on either side, until each part is one territory.
//! - **Visits**: A twice a week (Monday and Thursday, or Tuesday and Friday), B once a week, C in three weeks out of
//!   four. Along its longer side a territory is split into neighbourhoods for Monday, Thursday,
//!   Wednesday, Tuesday and Friday, so that a day stays in one part and days are about equally long.
//! - **Routes**: nearest neighbour, then 2-opt (Croes 1958) for an open path, until no exchange makes it shorter.
//!
//! Pure, and in integers only: the same seed gives the same city on every machine.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use thiserror::Error;

use super::catalogue::PriceList;

/// The outlets of central Helsinki: CSV after RFC 4180, columns as in `server/data/README.md`.
pub const HELSINKI_OUTLETS_CSV: &str = include_str!("../../data/helsinki-outlets.csv");
/// The weeks of a visit cycle.
pub const CYCLE_WEEKS: i32 = 4;
/// The days of a week on which outlets are visited: Monday to Friday.
pub const WORKING_DAYS: u8 = 5;

/// No credit limit is below it, except the tight ones.
const LEAST_USUAL_LIMIT_MINOR: i64 = 30_000;
/// Which of ChaCha's streams the city draws from, so that one seed serves all parts of the demo.
const STREAM: u64 = 1;
/// The city of outlets whose address does not name one.
const DEFAULT_CITY: &str = "Helsinki";
/// A degree of latitude in centimetres, on a sphere of 6,371,008.8 m (the mean radius R₁ of GRS 80).
const LATITUDE_DEGREE_CM: i64 = 11_119_508;
/// A degree of longitude in centimetres at 60.1716° north, the middle of the extract: the above times its cosine.
const LONGITUDE_DEGREE_CM: i64 = 5_530_888;
/// Positions are integers of this part of a degree.
const UNITS_PER_DEGREE: i64 = 10_000_000;

/// Why there is no city.
#[derive(Debug, Error)]
pub enum CityError {
    /// The list of outlets is no CSV file, or lacks a column.
    #[error("the list of outlets cannot be read")]
    Csv(#[from] csv::Error),
    /// A field does not hold what its column promises.
    #[error("outlet {osm_id}: {column} is {value:?}")]
    Field {
        /// The outlet.
        osm_id: String,
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// There are no territories, or fewer outlets than territories.
    #[error("{outlets} outlets cannot make {territories} territories")]
    Territories {
        /// How many outlets there are.
        outlets: usize,
        /// How many territories were asked for.
        territories: usize,
    },
}

/// Outlets, who owns them, and who goes there when. Places are indexes into the vectors here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct City {
    /// In the order of the file.
    pub outlets: Vec<Outlet>,
    /// By their first outlet.
    pub customers: Vec<Customer>,
    /// One for each customer, in the same order.
    pub agreements: Vec<Agreement>,
    /// The areas of the representatives.
    pub territories: Vec<Territory>,
    /// One for each territory and working day, in that order.
    pub routes: Vec<DayRoute>,
}

/// A point on the earth, in units of 10⁻⁷ degrees (WGS 84), about a centimetre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// North of the equator.
    pub latitude_e7: i64,
    /// East of Greenwich.
    pub longitude_e7: i64,
}

impl Position {
    /// The distance in whole metres, rounded, by equirectangular projection: good around the city only.
    #[must_use]
    pub fn distance_metres(self, other: Self) -> i64 {
        let (x, y) = (self.x_cm() - other.x_cm(), self.y_cm() - other.y_cm());
        ((x * x + y * y).isqrt() + 50) / 100
    }

    fn x_cm(self) -> i64 {
        self.longitude_e7 * LONGITUDE_DEGREE_CM / UNITS_PER_DEGREE
    }

    fn y_cm(self) -> i64 {
        self.latitude_e7 * LATITUDE_DEGREE_CM / UNITS_PER_DEGREE
    }
}

/// What an outlet is; the values of the file's column `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutletKind {
    /// Sells beer, wine or other drinks.
    Alcohol,
    /// A bakery or confectioner's.
    Bakery,
    /// A bar.
    Bar,
    /// Hairdressers, cosmetics, massage.
    Beauty,
    /// A café.
    Cafe,
    /// A convenience store.
    Convenience,
    /// Delicatessen, butcher's, tea and health food.
    Deli,
    /// A department or variety store.
    DepartmentStore,
    /// Fast food, and food courts.
    FastFood,
    /// A hostel.
    Hostel,
    /// A hotel.
    Hotel,
    /// A kiosk.
    Kiosk,
    /// A nightclub.
    Nightclub,
    /// A pharmacy.
    Pharmacy,
    /// A pub.
    Pub,
    /// A restaurant.
    Restaurant,
    /// Any other shop: it buys coffee, soap and paper for itself.
    Shop,
    /// A supermarket.
    Supermarket,
}

impl OutletKind {
    /// What it is called in English.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.facts().0
    }

    /// The list whose prices it pays.
    #[must_use]
    pub fn price_list(self) -> PriceList {
        self.facts().1
    }

    /// What one of it usually buys in a week, net, in minor units. An assumption of the demo.
    #[must_use]
    pub fn weekly_potential_minor(self) -> i64 {
        self.facts().2 * 100
    }

    /// Label, price list, weekly potential in euros.
    fn facts(self) -> (&'static str, PriceList, i64) {
        match self {
            Self::Alcohol => ("Drinks shop", PriceList::Retail, 250),
            Self::Bakery => ("Bakery", PriceList::Retail, 650),
            Self::Bar => ("Bar", PriceList::Horeca, 550),
            Self::Beauty => ("Salon", PriceList::Retail, 40),
            Self::Cafe => ("Café", PriceList::Horeca, 700),
            Self::Convenience => ("Convenience store", PriceList::Retail, 1_100),
            Self::Deli => ("Delicatessen", PriceList::Retail, 300),
            Self::DepartmentStore => ("Department store", PriceList::Retail, 1_800),
            Self::FastFood => ("Fast food restaurant", PriceList::Horeca, 1_200),
            Self::Hostel => ("Hostel", PriceList::Horeca, 350),
            Self::Hotel => ("Hotel", PriceList::Horeca, 2_400),
            Self::Kiosk => ("Kiosk", PriceList::Retail, 450),
            Self::Nightclub => ("Nightclub", PriceList::Horeca, 500),
            Self::Pharmacy => ("Pharmacy", PriceList::Retail, 80),
            Self::Pub => ("Pub", PriceList::Horeca, 450),
            Self::Restaurant => ("Restaurant", PriceList::Horeca, 1_500),
            Self::Shop => ("Shop", PriceList::Retail, 40),
            Self::Supermarket => ("Supermarket", PriceList::Retail, 3_000),
        }
    }
}

/// How important an outlet is; see the module's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Visited twice a week.
    A,
    /// Visited every week.
    B,
    /// Visited in three weeks out of four.
    C,
}

/// When an outlet is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VisitPattern {
    /// Bit 0 is Monday, bit 4 Friday.
    pub weekdays: u8,
    /// Bit 0 is the first week of the cycle, bit 3 the last.
    pub weeks: u8,
}

impl VisitPattern {
    /// Whether a visit is due on a day (days since 1970-01-01).
    #[must_use]
    pub fn is_due(self, day: i32) -> bool {
        self.weekdays >> weekday(day) & 1 == 1 && self.weeks >> cycle_week(day) & 1 == 1
    }
}

/// The day of the week, 0 for Monday. The first of January 1970 was a Thursday.
#[must_use]
pub fn weekday(day: i32) -> u8 {
    (day + 3).rem_euclid(7) as u8
}

/// The week of the visit cycle, 0 to 3. The week that holds the first of January 1970 was one of number 0.
#[must_use]
pub fn cycle_week(day: i32) -> u8 {
    (day + 3).div_euclid(7).rem_euclid(CYCLE_WEEKS) as u8
}

/// A place that is visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// `n` or `w` (node, way) and the number in OpenStreetMap.
    pub osm_id: String,
    /// Its name; where there is none, what it is and where.
    pub name: String,
    /// Whether the name is its own.
    pub is_named: bool,
    /// What it is.
    pub kind: OutletKind,
    /// May be empty.
    pub street: String,
    /// May be empty.
    pub house_number: String,
    /// Five digits, or empty.
    pub postcode: String,
    /// Never empty.
    pub city: String,
    /// Where it is.
    pub position: Position,
    /// In the syntax of OpenStreetMap's `opening_hours`; may be empty.
    pub opening_hours: String,
    /// What it is expected to buy in a week, net, in minor units.
    pub weekly_potential_minor: i64,
    /// By potential.
    pub class: Class,
    /// Who owns it.
    pub customer: usize,
    /// Whose area it is in.
    pub territory: usize,
    /// When it is visited.
    pub visits: VisitPattern,
}

/// A legal entity that owns outlets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// `C0001` and so on.
    pub code: String,
    /// The name of its first outlet.
    pub name: String,
    /// At least one; several make a chain.
    pub outlets: Vec<usize>,
}

impl Customer {
    /// Whether it owns several outlets.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        self.outlets.len() > 1
    }
}

/// What happens when there is too little of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShortageRule {
    /// What is there is delivered, the rest dropped.
    ConfirmPart,
    /// The rest is delivered later.
    BackOrder,
    /// The successor is delivered.
    Substitute,
    /// The line is delivered whole or not at all.
    ShipComplete,
}

/// The terms of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// `AG0001` and so on.
    pub code: String,
    /// Whose terms these are.
    pub customer: usize,
    /// That of the type of its largest outlet.
    pub price_list: PriceList,
    /// In minor units: the potential of the payment term and a week more, half as much again, at least 300 euros, up to
    /// full 100; a third of that for three customers in a hundred, so that somebody meets the limit.
    pub credit_limit_minor: i64,
    /// 30 for a chain, else 21, 14 and 7 by class.
    pub payment_term_days: i32,
    /// The least net value of an order, in minor units: an eighth of the weekly potential, 30 to 300 euros.
    pub minimum_order_minor: i64,
    /// What a representative may give away, in basis points: nothing to a chain, else 500, 300 and 200 by class.
    pub manual_discount_limit_bp: i32,
    /// What happens when there is too little.
    pub shortage_rule: ShortageRule,
    /// How long after its end a price is still honoured: 72 for a chain, else 24, and 0 for one in twenty.
    pub price_grace_hours: i32,
    /// Bit 0 is Monday: every working day for A; Monday, Wednesday, Friday for B; Tuesday, Thursday for C.
    pub delivery_weekdays: u8,
}

/// The area of one representative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Territory {
    /// `T01` and so on.
    pub code: String,
    /// The street on which most of its outlets are; not unique.
    pub name: String,
    /// In the order of the file.
    pub outlets: Vec<usize>,
}

/// The order in which a territory's outlets are visited on a weekday. In a given week those are left out whose
/// [`VisitPattern`] does not name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRoute {
    /// The territory.
    pub territory: usize,
    /// 0 for Monday.
    pub weekday: u8,
    /// Outlets, first to last.
    pub stops: Vec<usize>,
}

impl City {
    /// Central Helsinki in so many territories.
    ///
    /// # Errors
    ///
    /// If `territories` is 0 or there are fewer outlets.
    pub fn helsinki(seed: u64, territories: usize) -> Result<Self, CityError> {
        Self::from_csv(HELSINKI_OUTLETS_CSV, seed, territories)
    }

    /// The city that a list of outlets and a seed make.
    ///
    /// # Errors
    ///
    /// If the list cannot be read, `territories` is 0, or there are fewer outlets.
    pub fn from_csv(csv: &str, seed: u64, territories: usize) -> Result<Self, CityError> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(STREAM);
        let mut outlets = read(csv)?;
        if territories == 0 || outlets.len() < territories {
            return Err(CityError::Territories { outlets: outlets.len(), territories });
        }
        let customers = customers(&mut outlets);
        classify(&mut outlets, &customers, rng);
        let agreements = agreements(&outlets, &customers, rng);
        let territories = divide(&mut outlets, territories);
        for territory in &territories {
            plan_visits(&mut outlets, territory);
        }
        let routes = routes(&outlets, &territories);
        Ok(Self { outlets, customers, agreements, territories, routes })
    }

    /// The outlets to visit in a territory on a day (days since 1970-01-01), in order; none at the week-end.
    pub fn due(&self, territory: usize, day: i32) -> impl Iterator<Item = usize> {
        let wanted = (territory, weekday(day));
        let route = self.routes.iter().find(move |r| (r.territory, r.weekday) == wanted);
        let stops = route.map_or(&[][..], |route| &route.stops);
        stops.iter().copied().filter(move |&outlet| self.outlets[outlet].visits.is_due(day))
    }

    /// The terms that hold for an outlet.
    #[must_use]
    pub fn agreement_of(&self, outlet: usize) -> &Agreement {
        &self.agreements[self.outlets[outlet].customer]
    }
}

/// A line of the file.
#[derive(Deserialize)]
struct Row {
    osm_id: String,
    name: String,
    r#type: OutletKind,
    street: String,
    house_number: String,
    postcode: String,
    city: String,
    latitude: String,
    longitude: String,
    opening_hours: String,
}

fn read(csv: &str) -> Result<Vec<Outlet>, CityError> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(|row| outlet(row?)).collect()
}

fn outlet(row: Row) -> Result<Outlet, CityError> {
    let coordinate = |column, value: &str, largest: i64| {
        let degrees = degrees_e7(value).filter(|degrees| degrees.abs() <= largest * UNITS_PER_DEGREE);
        let osm_id = row.osm_id.clone();
        degrees.ok_or_else(|| CityError::Field { osm_id, column, value: value.to_owned() })
    };
    let position = Position {
        latitude_e7: coordinate("latitude", &row.latitude, 90)?,
        longitude_e7: coordinate("longitude", &row.longitude, 180)?,
    };
    let is_named = !row.name.is_empty();
    let name = match (is_named, row.street.is_empty()) {
        (true, _) => row.name,
        (false, true) => format!("{} {}", row.r#type.label(), row.osm_id),
        (false, false) => format!("{}, {} {}", row.r#type.label(), row.street, row.house_number).trim_end().to_owned(),
    };
    Ok(Outlet {
        osm_id: row.osm_id,
        name,
        is_named,
        kind: row.r#type,
        street: row.street,
        house_number: row.house_number,
        postcode: row.postcode,
        city: if row.city.is_empty() { DEFAULT_CITY.to_owned() } else { row.city },
        position,
        opening_hours: row.opening_hours,
        // What follows from all outlets together is filled in below.
        weekly_potential_minor: 0,
        class: Class::C,
        customer: 0,
        territory: 0,
        visits: VisitPattern { weekdays: 0, weeks: 0 },
    })
}

/// A decimal number of degrees with up to seven decimals, without a detour by floating point.
fn degrees_e7(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plausible = (1..=3).contains(&whole.len()) && decimals.len() <= 7;
    if !plausible || !whole.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let units: i64 = format!("{whole}{decimals:0<7}").parse().ok()?;
    Some(sign * units)
}

/// Outlets of one name belong to one customer; one without a name stands alone.
fn customers(outlets: &mut [Outlet]) -> Vec<Customer> {
    let mut customers: Vec<Customer> = Vec::new();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for (index, outlet) in outlets.iter_mut().enumerate() {
        let known = outlet.is_named.then(|| *by_name.entry(outlet.name.to_lowercase()).or_insert(customers.len()));
        outlet.customer = known.unwrap_or(customers.len());
        if let Some(customer) = customers.get_mut(outlet.customer) {
            customer.outlets.push(index);
        } else {
            let code = format!("C{:04}", customers.len() + 1);
            customers.push(Customer { code, name: outlet.name.clone(), outlets: vec![index] });
        }
    }
    customers
}

/// Potential and class of every outlet.
fn classify(outlets: &mut [Outlet], customers: &[Customer], rng: &mut ChaCha8Rng) {
    for outlet in outlets.iter_mut() {
        let chain_percent = if customers[outlet.customer].is_chain() { 110 } else { 100 };
        let luck_percent = rng.random_range(60..=140);
        outlet.weekly_potential_minor = outlet.kind.weekly_potential_minor() * luck_percent * chain_percent / 10_000;
    }
    let mut order: Vec<usize> = (0..outlets.len()).collect();
    order.sort_unstable_by_key(|&index| (Reverse(outlets[index].weekly_potential_minor), index));
    let total: i64 = outlets.iter().map(|outlet| outlet.weekly_potential_minor).sum();
    let mut so_far = 0;
    for index in order {
        so_far += outlets[index].weekly_potential_minor;
        outlets[index].class = match so_far * 100 {
            part if part <= total * 80 => Class::A,
            part if part <= total * 95 => Class::B,
            _ => Class::C,
        };
    }
}

fn agreements(outlets: &[Outlet], customers: &[Customer], rng: &mut ChaCha8Rng) -> Vec<Agreement> {
    customers.iter().enumerate().map(|(index, customer)| agreement(index, customer, outlets, rng)).collect()
}

fn agreement(index: usize, customer: &Customer, outlets: &[Outlet], rng: &mut ChaCha8Rng) -> Agreement {
    let own = || customer.outlets.iter().map(|&outlet| &outlets[outlet]);
    let potential: i64 = own().map(|outlet| outlet.weekly_potential_minor).sum();
    let class = own().map(|outlet| outlet.class).min().unwrap_or(Class::C);
    let largest = own().max_by_key(|outlet| outlet.weekly_potential_minor);
    let chain = customer.is_chain();
    let (own_term, own_discount, delivery_weekdays) = match class {
        Class::A => (21, 500, 0b11111),
        Class::B => (14, 300, 0b10101),
        Class::C => (7, 200, 0b01010),
    };
    let payment_term_days = if chain { 30 } else { own_term };
    let usual_limit = (potential * i64::from(payment_term_days + 7) * 3 / (7 * 2)).max(LEAST_USUAL_LIMIT_MINOR);
    let limit = if rng.random_range(0..100) < 3 { usual_limit / 3 } else { usual_limit };
    let smallest_outlet = own().map(|outlet| outlet.weekly_potential_minor).min().unwrap_or_default();
    Agreement {
        code: format!("AG{:04}", index + 1),
        customer: index,
        price_list: largest.map_or(PriceList::Retail, |outlet| outlet.kind.price_list()),
        credit_limit_minor: (limit / 10_000 + 1) * 10_000,
        payment_term_days,
        minimum_order_minor: (smallest_outlet / 8 / 1_000 * 1_000).clamp(3_000, 30_000),
        manual_discount_limit_bp: if chain { 0 } else { own_discount },
        shortage_rule: match rng.random_range(0..100) {
            0..55 => ShortageRule::ConfirmPart,
            55..80 => ShortageRule::Substitute,
            80..92 => ShortageRule::BackOrder,
            _ => ShortageRule::ShipComplete,
        },
        price_grace_hours: match rng.random_range(0..100) {
            _ if chain => 72,
            0..10 => 0,
            _ => 24,
        },
        delivery_weekdays,
    }
}

type Coordinate = fn(Position) -> i64;

/// How far outlets lie apart along a coordinate, in centimetres.
fn extent(indexes: &[usize], outlets: &[Outlet], coordinate: Coordinate) -> i64 {
    let all = || indexes.iter().map(|&index| coordinate(outlets[index].position));
    all().max().unwrap_or_default() - all().min().unwrap_or_default()
}

fn sort_along(indexes: &mut [usize], outlets: &[Outlet], coordinate: Coordinate) {
    indexes.sort_unstable_by_key(|&index| (coordinate(outlets[index].position), index));
}

/// Cut the city into territories, and tell the outlets theirs.
fn divide(outlets: &mut [Outlet], count: usize) -> Vec<Territory> {
    let mut all: Vec<usize> = (0..outlets.len()).collect();
    let mut parts = Vec::with_capacity(count);
    bisect(&mut all, count, outlets, &mut parts);
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(number, indexes)| {
            for &index in &indexes {
                outlets[index].territory = number;
            }
            let name = commonest_street(&indexes, outlets).unwrap_or(DEFAULT_CITY).to_owned();
            Territory { code: format!("T{:02}", number + 1), name, outlets: indexes }
        })
        .collect()
}

fn bisect(indexes: &mut [usize], count: usize, outlets: &[Outlet], parts: &mut Vec<Vec<usize>>) {
    if count <= 1 {
        let mut part = indexes.to_vec();
        part.sort_unstable();
        parts.push(part);
        return;
    }
    let first_count = count / 2;
    let cut = indexes.len() * first_count / count;
    let outline = |coordinate: Coordinate| {
        let mut sorted = indexes.to_vec();
        sort_along(&mut sorted, outlets, coordinate);
        let half = |part: &[usize]| extent(part, outlets, Position::x_cm) + extent(part, outlets, Position::y_cm);
        half(&sorted[..cut]) + half(&sorted[cut..])
    };
    let by_x = outline(Position::x_cm) < outline(Position::y_cm);
    sort_along(indexes, outlets, if by_x { Position::x_cm } else { Position::y_cm });
    let (first, second) = indexes.split_at_mut(cut);
    bisect(first, first_count, outlets, parts);
    bisect(second, count - first_count, outlets, parts);
}

fn commonest_street<'a>(indexes: &[usize], outlets: &'a [Outlet]) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for street in indexes.iter().map(|&index| outlets[index].street.as_str()).filter(|s| !s.is_empty()) {
        *counts.entry(street).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(street, count)| (count, Reverse(street))).map(|(street, _)| street)
}

/// The order of a territory's neighbourhoods along its longer side. The two days of an A outlet stand side by side.
const DAYS_ALONG: [u8; WORKING_DAYS as usize] = [0, 3, 2, 1, 4];
const EVERY_WEEK: u8 = 0b1111;

/// Weekdays and weeks of a territory's outlets; see the module's rule.
fn plan_visits(outlets: &mut [Outlet], territory: &Territory) {
    let mut along = territory.outlets.clone();
    let wide = extent(&along, outlets, Position::x_cm) > extent(&along, outlets, Position::y_cm);
    sort_along(&mut along, outlets, if wide { Position::x_cm } else { Position::y_cm });
    let (large, small): (Vec<usize>, Vec<usize>) = along.iter().partition(|&&i| outlets[i].class == Class::A);
    let visits_in_cycle = |class: Class| match class {
        Class::A => 8,
        Class::B => 4,
        Class::C => 3,
    };
    let total: usize = along.iter().map(|&index| visits_in_cycle(outlets[index].class)).sum();
    let mut load = [0; WORKING_DAYS as usize];
    for (place, &index) in large.iter().enumerate() {
        let days: [u8; 2] = if place * 2 < large.len() { [0, 3] } else { [1, 4] };
        outlets[index].visits = VisitPattern { weekdays: 1 << days[0] | 1 << days[1], weeks: EVERY_WEEK };
        days.iter().for_each(|&day| load[usize::from(day)] += 4);
    }
    let full = total.div_ceil(load.len());
    let mut days = DAYS_ALONG.into_iter().peekable();
    let mut left_out = (0..CYCLE_WEEKS).cycle();
    for index in small {
        while days.len() > 1 && days.peek().is_some_and(|&day| load[usize::from(day)] >= full) {
            days.next();
        }
        let day = days.peek().copied().unwrap_or(DAYS_ALONG[0]);
        let class = outlets[index].class;
        load[usize::from(day)] += visits_in_cycle(class);
        let weeks = match class {
            Class::C => EVERY_WEEK & !(1 << left_out.next().unwrap_or_default()),
            Class::A | Class::B => EVERY_WEEK,
        };
        outlets[index].visits = VisitPattern { weekdays: 1 << day, weeks };
    }
}

fn routes(outlets: &[Outlet], territories: &[Territory]) -> Vec<DayRoute> {
    let pairs = (0..territories.len()).flat_map(|t| (0..WORKING_DAYS).map(move |day| (t, day)));
    pairs
        .map(|(territory, weekday)| {
            let all = territories[territory].outlets.iter().copied();
            let stops = all.filter(|&index| outlets[index].visits.weekdays >> weekday & 1 == 1).collect();
            DayRoute { territory, weekday, stops: shortened(nearest_neighbours(stops, outlets), outlets) }
        })
        .collect()
}

/// From the northernmost stop always on to the nearest one that is left.
fn nearest_neighbours(mut left: Vec<usize>, outlets: &[Outlet]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::with_capacity(left.len());
    while let Some(place) = (0..left.len()).min_by_key(|&place| {
        let position = outlets[left[place]].position;
        let cost =
            path.last().map_or(-position.latitude_e7, |&last: &usize| outlets[last].position.distance_metres(position));
        (cost, left[place])
    }) {
        path.push(left.swap_remove(place));
    }
    path
}

/// 2-opt: turn round any stretch whose turning makes the path shorter, until there is none. Both ends are free. Ends,
/// because every turn shortens a whole number of metres.
fn shortened(mut path: Vec<usize>, outlets: &[Outlet]) -> Vec<usize> {
    let distance = |a: usize, b: usize| outlets[a].position.distance_metres(outlets[b].position);
    let mut improved = true;
    while improved {
        improved = false;
        for first in 0..path.len() {
            for last in first + 1..path.len() {
                let before = first.checked_sub(1).map(|place| path[place]);
                let after = path.get(last + 1).copied();
                let joint = |outside: Option<usize>, end: usize| outside.map_or(0, |o| distance(o, path[end]));
                let now = joint(before, first) + joint(after, last);
                let turned = joint(before, last) + joint(after, first);
                if turned < now {
                    path[first..=last].reverse();
                    improved = true;
                }
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::catalogue::digest;
    use super::*;

    const TERRITORIES: usize = 10;

    fn city() -> City {
        City::helsinki(1, TERRITORIES).expect("the list that is built in")
    }

    fn length(path: &[usize], outlets: &[Outlet]) -> i64 {
        path.windows(2).map(|p| outlets[p[0]].position.distance_metres(outlets[p[1]].position)).sum()
    }

    #[test]
    fn a_seed_gives_the_same_city_on_every_machine() {
        assert_eq!(digest(&city()), 13_051_518_564_586_533_883);
        let other = City::helsinki(2, TERRITORIES).expect("the list that is built in");
        assert_ne!(other.agreements, city().agreements);
    }

    #[test]
    fn the_list_has_what_its_description_promises() {
        let city = city();
        let count = |f: fn(&Outlet) -> bool| city.outlets.iter().filter(|o| f(o)).count();
        assert_eq!(city.outlets.len(), 979);
        assert_eq!(count(|o| o.is_named), 944);
        assert_eq!(count(|o| !o.street.is_empty()), 724);
        assert_eq!(count(|o| !o.opening_hours.is_empty()), 474);
        assert_eq!(count(|o| o.kind == OutletKind::Restaurant), 214);
        assert_eq!(count(|o| o.city.is_empty() || o.name.is_empty()), 0);
        let ids: BTreeSet<_> = city.outlets.iter().map(|o| &o.osm_id).collect();
        assert_eq!(ids.len(), city.outlets.len());
    }

    #[test]
    fn an_outlet_without_a_name_is_called_by_what_it_is() {
        let csv = "osm_id,name,type,street,house_number,postcode,city,latitude,longitude,opening_hours\r\n\
            n1,,kiosk,Main Street,7,,,60.1,24.9,\r\n\
            n2,,fast_food,Main Street,,,,60.1,24.9,\r\n\
            n3,,cafe,,,,,60.1,24.9,\r\n\
            n4,\"Pots, \"\"Pans\"\"\",shop,,,,,60.1,24.9,\r\n";
        let city = City::from_csv(csv, 1, 1).expect("a good list");
        let names: Vec<_> = city.outlets.iter().map(|o| o.name.as_str()).collect();
        let expected = ["Kiosk, Main Street 7", "Fast food restaurant, Main Street", "Café n3", "Pots, \"Pans\""];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_bad_list_is_refused() {
        let head = "osm_id,name,type,street,house_number,postcode,city,latitude,longitude,opening_hours\n";
        let with = |line: &str| City::from_csv(&format!("{head}{line}"), 1, 1);
        assert!(with("n1,,kiosk,,,,,60.1,24.9,").is_ok());
        assert!(matches!(with("n1,,castle,,,,,60.1,24.9,"), Err(CityError::Csv(_))));
        assert!(matches!(with("n1,,kiosk,,,,,60.1"), Err(CityError::Csv(_))));
        for wrong in ["", "-", "north", "90.1", "6e1", "60.12345678", "60.-1", "+60", "1234"] {
            let refused = with(&format!("n1,,kiosk,,,,,{wrong},24.9,"));
            assert!(matches!(refused, Err(CityError::Field { column: "latitude", .. })), "{wrong}");
        }
        assert!(matches!(with(""), Err(CityError::Territories { outlets: 0, territories: 1 })));
        assert!(matches!(City::helsinki(1, 0), Err(CityError::Territories { .. })));
        assert!(matches!(City::helsinki(1, 980), Err(CityError::Territories { .. })));
    }

    #[test]
    fn degrees_are_read_exactly() {
        assert_eq!(degrees_e7("60.1771570"), Some(601_771_570));
        assert_eq!(degrees_e7("-0.05"), Some(-500_000));
        assert_eq!(degrees_e7("24"), Some(240_000_000));
    }

    #[test]
    fn distances_agree_with_the_sphere() {
        let senate_square = Position { latitude_e7: 601_694_600, longitude_e7: 249_523_900 };
        let station = Position { latitude_e7: 601_718_700, longitude_e7: 249_414_300 };
        // Great circle on the same sphere: 662.7 m.
        assert_eq!(senate_square.distance_metres(station), 663);
        assert_eq!(station.distance_metres(senate_square), 663);
        assert_eq!(station.distance_metres(station), 0);
    }

    #[test]
    fn the_calendar_is_that_of_the_world() {
        // 20 November 2026 is a Friday.
        assert_eq!((weekday(20_777), weekday(20_780), weekday(0), weekday(-1)), (4, 0, 3, 2));
        assert_eq!(cycle_week(20_780), (cycle_week(20_777) + 1) % 4);
        assert_eq!(cycle_week(20_777), cycle_week(20_777 + 28));
    }

    #[test]
    fn outlets_of_one_name_have_one_owner() {
        let city = city();
        let chain = city.customers.iter().find(|c| c.name == "R-Kioski").expect("it is in the list");
        assert_eq!(chain.outlets.len(), 7, "whatever the case of the letters");
        let owned: Vec<usize> = city.customers.iter().flat_map(|c| c.outlets.iter().copied()).collect();
        let different: BTreeSet<_> = owned.iter().collect();
        assert_eq!((owned.len(), different.len()), (979, 979), "every outlet has one owner");
        for (index, customer) in city.customers.iter().enumerate() {
            assert!(customer.outlets.iter().all(|&outlet| city.outlets[outlet].customer == index));
            assert!(customer.outlets.len() == 1 || customer.outlets.iter().all(|&o| city.outlets[o].is_named));
        }
    }

    #[test]
    fn classes_follow_the_potential() {
        let city = city();
        let total: i64 = city.outlets.iter().map(|o| o.weekly_potential_minor).sum();
        let of = |class| city.outlets.iter().filter(move |o| o.class == class);
        let share = |class| 100 * of(class).map(|o| o.weekly_potential_minor).sum::<i64>() / total;
        assert_eq!((share(Class::A), share(Class::B)), (79, 14));
        let smallest_a = of(Class::A).map(|o| o.weekly_potential_minor).min();
        assert!(smallest_a >= of(Class::B).map(|o| o.weekly_potential_minor).max());
        assert!(
            of(Class::B).map(|o| o.weekly_potential_minor).min()
                >= of(Class::C).map(|o| o.weekly_potential_minor).max()
        );
    }

    #[test]
    fn territories_are_balanced_and_every_outlet_is_in_one() {
        for count in [1, 2, 3, 7, 10, 16, 25] {
            let city = City::helsinki(1, count).expect("the list that is built in");
            assert_eq!(city.territories.len(), count);
            let mut seen = BTreeSet::new();
            for (index, territory) in city.territories.iter().enumerate() {
                let size = territory.outlets.len() * count * 100;
                assert!((979 * 85..979 * 115).contains(&size), "{} of {count}", territory.outlets.len());
                assert!(territory.outlets.iter().all(|&o| city.outlets[o].territory == index && seen.insert(o)));
            }
            assert_eq!(seen.len(), 979);
        }
    }

    #[test]
    fn territories_are_compact_and_do_not_overlap() {
        let city = city();
        let sides = |indexes: &[usize]| {
            let side = |coordinate| extent(indexes, &city.outlets, coordinate) / 100;
            (side(Position::x_cm), side(Position::y_cm))
        };
        let (width, height) = sides(&(0..979).collect::<Vec<_>>());
        let parts = city.territories.iter().map(|territory| sides(&territory.outlets));
        assert!(parts.clone().map(|(x, y)| x * y).sum::<i64>() <= width * height);
        // As many squares, tiled over the whole area, would have this outline.
        let squares = 2 * (width * height * 10).isqrt();
        let outline = parts.map(|(x, y)| x + y).sum::<i64>();
        assert!(outline < squares, "{outline} m, squares {squares} m");
    }

    #[test]
    fn every_outlet_is_visited_as_often_as_its_class_says() {
        let city = city();
        for (index, outlet) in city.outlets.iter().enumerate() {
            let expected = match outlet.class {
                Class::A => (2, 4),
                Class::B => (1, 4),
                Class::C => (1, 3),
            };
            assert_eq!((outlet.visits.weekdays.count_ones(), outlet.visits.weeks.count_ones()), expected);
            assert_eq!(outlet.visits.weeks & !0b1111, 0);
            let visited = |day: &i32| city.due(outlet.territory, *day).any(|due| due == index);
            let visits: Vec<i32> = (20_000..20_028).filter(visited).collect();
            let in_cycle = match outlet.class {
                Class::A => 8,
                Class::B => 4,
                Class::C => 3,
            };
            assert_eq!(visits.len(), in_cycle);
            if outlet.class == Class::A {
                assert!(visits.windows(2).all(|pair| pair[1] - pair[0] >= 3));
            }
        }
    }

    #[test]
    fn every_outlet_is_on_the_routes_of_its_days_only() {
        let city = city();
        assert_eq!(city.routes.len(), TERRITORIES * usize::from(WORKING_DAYS));
        let mut weekdays = vec![0_u8; city.outlets.len()];
        for route in &city.routes {
            for &stop in &route.stops {
                assert_eq!(city.outlets[stop].territory, route.territory);
                assert_eq!(weekdays[stop] >> route.weekday & 1, 0, "once a day");
                weekdays[stop] |= 1 << route.weekday;
            }
        }
        assert!(city.outlets.iter().zip(weekdays).all(|(outlet, days)| outlet.visits.weekdays == days));
    }

    #[test]
    fn the_days_of_a_territory_are_about_equally_long() {
        let city = city();
        for territory in 0..TERRITORIES {
            let visits = |day: i32| city.due(territory, day).count();
            let days: Vec<usize> = (20_000..20_028).filter(|&day| weekday(day) < WORKING_DAYS).map(visits).collect();
            let mean = days.iter().sum::<usize>() / days.len();
            assert!(days.iter().all(|&count| count.abs_diff(mean) <= mean / 4 + 2), "{days:?}");
        }
    }

    #[test]
    fn no_turn_makes_a_route_shorter() {
        let city = city();
        for route in &city.routes {
            let now = length(&route.stops, &city.outlets);
            let mut by_number = route.stops.clone();
            by_number.sort_unstable();
            let greedy = nearest_neighbours(by_number, &city.outlets);
            assert!(now <= length(&greedy, &city.outlets));
            for first in 0..route.stops.len() {
                for last in first..route.stops.len() {
                    let mut turned = route.stops.clone();
                    turned[first..=last].reverse();
                    assert!(length(&turned, &city.outlets) >= now);
                }
            }
        }
    }

    #[test]
    fn terms_are_those_of_the_customer() {
        let city = city();
        assert_eq!(city.agreements.len(), city.customers.len());
        for (index, agreement) in city.agreements.iter().enumerate() {
            assert_eq!(agreement.customer, index);
            assert!(agreement.credit_limit_minor > 0 && agreement.credit_limit_minor % 10_000 == 0);
            assert!((3_000..=30_000).contains(&agreement.minimum_order_minor));
            let chain = city.customers[index].is_chain();
            assert_eq!(agreement.payment_term_days == 30, chain);
            assert_eq!(agreement.manual_discount_limit_bp == 0, chain);
            assert_eq!(agreement.price_grace_hours == 72, chain);
        }
        let hotel = city.outlets.iter().position(|o| o.kind == OutletKind::Hotel).expect("there are hotels");
        assert_eq!(city.agreement_of(hotel).price_list, PriceList::Horeca);
    }
}
