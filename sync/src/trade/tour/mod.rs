//! Tours: which van takes which stops, and in which order.
//!
//! Distances are estimates: along the great circle, made longer by a detour; a map of roads isn't needed. [`plan`] finds
//! tours, [`improve`] makes given ones better, [`weigh`] compares them, and [`check`] says what is wrong with tours that
//! somebody has made by hand. All of it depends on nothing but its arguments: the same ones give the same plan.

mod check;
mod field;
mod insert;
mod random;
mod reason;
mod ruin;
mod run;
#[cfg(test)]
mod tests;

use roundsman_proto::trade::GeoPoint;

pub use check::{Breach, check};
pub use field::Field;

/// Rounds of improvement that [`plan`] makes: about a second for 200 stops.
const ROUNDS: u32 = 30_000;

/// What is to be planned: the tours of a day from one depot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// Where all vans start and end.
    pub depot: GeoPoint,
    /// No van leaves before, in seconds since 00:00 of the day.
    pub departs_s: i32,
    /// How much longer roads are than the great circle, in basis points of it: 13,000 is 1.3 times. Less than 10,000 counts
    /// as 10,000.
    pub detour_bp: i32,
    /// The vans that may be used.
    pub vans: Vec<Van>,
    /// The stops to make.
    pub stops: Vec<Stop>,
}

/// A van, and when it can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Van {
    /// It carries so much, in grams.
    pub max_weight_g: i64,
    /// It holds so much, in cubic centimetres.
    pub max_volume_cm3: i64,
    /// The shift begins, in seconds since 00:00: it leaves then or later.
    pub from_s: i32,
    /// The shift ends: it is back then or earlier.
    pub to_s: i32,
    /// Metres that it makes in an hour, on average. Less than 1 counts as 1.
    pub speed_m_per_h: i32,
    /// That it is used at all counts like so many metres. Below 0 counts as 0.
    pub fixed_m: i32,
}

/// A stop: something to bring to somewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stop {
    /// Where.
    pub point: GeoPoint,
    /// When unloading may begin. Empty: at any time.
    pub windows: Vec<Window>,
    /// Unloading takes so many seconds. Below 0 counts as 0.
    pub service_s: i32,
    /// What is brought weighs so much, in grams. Below 0 counts as 0.
    pub weight_g: i64,
    /// What is brought takes so much room, in cubic centimetres. Below 0 counts as 0.
    pub volume_cm3: i64,
    /// If not all stops can be made, those with the smallest sum of priority + 1 stay out.
    pub priority: u16,
}

/// A span of a day, both ends included. One that ends before it begins is never open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Its begin, in seconds since 00:00.
    pub from_s: i32,
    /// Its end, in seconds since 00:00 of the same day; above 86,400 when it is after midnight.
    pub to_s: i32,
}

/// Tours for all vans, and what stays out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One for each van, in the order of [`Problem::vans`]. Without a call: the van isn't used.
    pub tours: Vec<Tour>,
    /// The stops that no tour has, by their index.
    pub unplanned: Vec<Unplanned>,
}

/// What a van does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tour {
    /// Its stops, in order.
    pub calls: Vec<Call>,
    /// It leaves the depot, in seconds since 00:00: as late as it can without being later at the first stop.
    pub leaves_s: i64,
    /// It is back, in seconds since 00:00.
    pub back_s: i64,
    /// It drives so many metres, with the way back.
    pub distance_m: i64,
}

/// A stop on a tour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its index in [`Problem::stops`].
    pub stop: usize,
    /// Unloading begins, in seconds since 00:00: after waiting, if the van is there before a window opens.
    pub begins_s: i64,
    /// The van leaves, in seconds since 00:00.
    pub leaves_s: i64,
    /// Metres from the stop before, or from the depot.
    pub distance_m: i64,
}

/// A stop that stays out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unplanned {
    /// Its index in [`Problem::stops`].
    pub stop: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a stop stays out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is heavier than what the strongest van carries.
    TooHeavy {
        /// By so many grams.
        by_g: i64,
    },
    /// It is larger than what the largest van holds, of those that can carry it.
    TooLarge {
        /// By so many cubic centimetres.
        by_cm3: i64,
    },
    /// No van that could carry it is there while it is open and back within its shift, even if it goes nowhere else.
    NoWindowReachable,
    /// Each van is full, or has no time left.
    VansFull,
}

/// What a plan costs. The smaller one is better: first less that stays out, then fewer metres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// The sum of priority + 1 of all stops that stay out.
    pub missed: i64,
    /// Metres driven, and what each used van counts.
    pub metres: i64,
}

/// Tours for the stops: each is inserted where it is cheapest, the one that would lose most by waiting first, and then improved.
#[must_use]
pub fn plan(problem: &Problem) -> Plan {
    improve(problem, &insert(problem), ROUNDS, 0)
}

/// Tours made by insertion only.
#[must_use]
pub fn insert(problem: &Problem) -> Plan {
    let field = Field::new(problem);
    let mut state = run::State::empty(&field);
    insert::by_regret(&field, &mut state);
    state.plan(&field)
}

/// A plan that is as good or better, after so many rounds that each take some neighbouring stops out and insert them anew.
/// Different seeds take different ways. Tours that break a limit are taken apart first.
#[must_use]
pub fn improve(problem: &Problem, plan: &Plan, rounds: u32, seed: u64) -> Plan {
    let field = Field::new(problem);
    let mut state = run::State::of(&field, plan);
    if !state.absent.is_empty() {
        insert::by_regret(&field, &mut state);
    }
    ruin::improve(&field, state, rounds, seed).plan(&field)
}

/// The plan with these stops for each van, in this order, whether or not it keeps the limits; who is on none is named with
/// a reason. Missing vans stay at the depot; indices of no stop or van are left out.
#[must_use]
pub fn timetable(problem: &Problem, orders: &[Vec<usize>]) -> Plan {
    let field = Field::new(problem);
    run::timetable(&field, orders)
}

/// What a plan costs, by its own distances.
#[must_use]
pub fn weigh(problem: &Problem, plan: &Plan) -> Cost {
    let used = problem.vans.iter().zip(&plan.tours).filter(|(_, tour)| !tour.calls.is_empty());
    let metres =
        used.fold(0, |sum: i64, (van, tour)| sum.saturating_add(tour.distance_m + i64::from(van.fixed_m.max(0))));
    let worth =
        |unplanned: &Unplanned| problem.stops.get(unplanned.stop).map_or(0, |stop| i64::from(stop.priority) + 1);
    Cost { missed: plan.unplanned.iter().map(worth).sum(), metres }
}
