//! What is wrong with a plan that somebody has made or changed.

use super::field::{DEPOT, Field};
use super::run::timetable;
use super::{Plan, Problem};

/// A limit that a plan breaks, by how much and where. Vans are counted from 0 in the problem's order, and so are stops;
/// `call` counts the stops of a tour from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The load up to this call, and so the van at the depot, is too heavy.
    #[error("van {van}: overweight by {by_g} g at stop {call}")]
    Overweight {
        /// Which van.
        van: usize,
        /// The first call that is too much.
        call: usize,
        /// By so many grams, with this call.
        by_g: i64,
    },
    /// The load up to this call doesn't fit.
    #[error("van {van}: too much by {by_cm3} cm³ at stop {call}")]
    Overfull {
        /// Which van.
        van: usize,
        /// The first call that is too much.
        call: usize,
        /// By so many cubic centimetres, with this call.
        by_cm3: i64,
    },
    /// The van is there when it doesn't open any more.
    #[error("van {van}: {by_s} s too late at stop {call}")]
    Late {
        /// Which van.
        van: usize,
        /// Which call.
        call: usize,
        /// By so many seconds after the last window.
        by_s: i64,
    },
    /// The stop is never open.
    #[error("van {van}: stop {call} is never open")]
    NeverOpen {
        /// Which van.
        van: usize,
        /// Which call.
        call: usize,
    },
    /// The van is back after its shift.
    #[error("van {van}: back {by_s} s too late")]
    LateBack {
        /// Which van.
        van: usize,
        /// By so many seconds.
        by_s: i64,
    },
    /// Times or distances of a tour are not those that its order gives.
    #[error("van {van}: times or distances are not those of its stops")]
    Timetable {
        /// Which van.
        van: usize,
    },
    /// There are not as many tours as vans.
    #[error("{tours} tours of {vans} vans")]
    Tours {
        /// So many tours.
        tours: usize,
        /// So many vans.
        vans: usize,
    },
    /// A stop is planned more than once, or both planned and not.
    #[error("stop {stop} is there more than once")]
    Repeated {
        /// Its index in the problem.
        stop: usize,
    },
    /// A stop is neither planned nor named as unplanned.
    #[error("stop {stop} is missing")]
    Missing {
        /// Its index in the problem.
        stop: usize,
    },
    /// There is no such stop.
    #[error("there is no stop {stop}")]
    Unknown {
        /// The index.
        stop: usize,
    },
}

/// All that is wrong; empty: the plan keeps every limit.
#[must_use]
pub fn check(plan: &Plan, problem: &Problem) -> Vec<Breach> {
    let field = Field::new(problem);
    let mut breaches = Vec::new();
    if plan.tours.len() != problem.vans.len() {
        breaches.push(Breach::Tours { tours: plan.tours.len(), vans: problem.vans.len() });
    }
    once(plan, problem, &mut breaches);
    let orders: Vec<Vec<usize>> =
        plan.tours.iter().map(|tour| tour.calls.iter().map(|call| call.stop).collect()).collect();
    let timed = timetable(&field, &orders);
    for (van, (tour, due)) in plan.tours.iter().zip(&timed.tours).enumerate() {
        if tour != due {
            breaches.push(Breach::Timetable { van });
        }
        loads(&field, van, &orders[van], &mut breaches);
        times(&field, van, &orders[van], &mut breaches);
    }
    breaches
}

/// Each stop is there once.
fn once(plan: &Plan, problem: &Problem, breaches: &mut Vec<Breach>) {
    let mut times = vec![0_u32; problem.stops.len()];
    let planned = plan.tours.iter().flat_map(|tour| tour.calls.iter().map(|call| call.stop));
    for stop in planned.chain(plan.unplanned.iter().map(|unplanned| unplanned.stop)) {
        match times.get_mut(stop) {
            Some(times) => *times = times.saturating_add(1),
            None => breaches.push(Breach::Unknown { stop }),
        }
    }
    breaches.extend(times.iter().enumerate().filter_map(|(stop, times)| match times {
        0 => Some(Breach::Missing { stop }),
        1 => None,
        _ => Some(Breach::Repeated { stop }),
    }));
}

/// The first call at which the van is too heavy, and at which it is too full.
fn loads(field: &Field<'_>, van: usize, stops: &[usize], breaches: &mut Vec<Breach>) {
    let places = || stops.iter().enumerate().filter_map(|(index, stop)| Some((index + 1, field.place(*stop)?)));
    let over = |limit: i64, of: &dyn Fn(usize) -> i64| {
        let mut load = 0_i64;
        places().find_map(|(call, place)| {
            load = load.saturating_add(of(place));
            (load > limit).then(|| (call, load - limit))
        })
    };
    let limits = &field.problem.vans[van];
    if let Some((call, by_g)) = over(limits.max_weight_g.max(0), &|place| field.weight(place)) {
        breaches.push(Breach::Overweight { van, call, by_g });
    }
    if let Some((call, by_cm3)) = over(limits.max_volume_cm3.max(0), &|place| field.volume(place)) {
        breaches.push(Breach::Overfull { van, call, by_cm3 });
    }
}

/// Who comes too late unloads all the same, as far as what follows is concerned.
fn times(field: &Field<'_>, van: usize, stops: &[usize], breaches: &mut Vec<Breach>) {
    let (mut before, mut now) = (DEPOT, field.starts(van));
    for (index, stop) in stops.iter().enumerate() {
        let Some(place) = field.place(*stop) else { continue };
        now += field.seconds(van, before, place);
        match (field.begins(place, now), field.closes(place)) {
            (Some(begins), _) => now = begins,
            (None, Some(closes)) => breaches.push(Breach::Late { van, call: index + 1, by_s: now - closes }),
            (None, None) => breaches.push(Breach::NeverOpen { van, call: index + 1 }),
        }
        now += field.service(place);
        before = place;
    }
    let back = now + field.seconds(van, before, DEPOT);
    if before != DEPOT && back > field.ends(van) {
        breaches.push(Breach::LateBack { van, by_s: back - field.ends(van) });
    }
}
