//! The problem as the search sees it: distances and times between all places, in an order that doesn't depend on the input's.

use std::cmp::Reverse;

use super::{Problem, Stop, Van, Window};
use crate::trade::geo::distance_m;

/// The longest leg, in metres and in seconds: far beyond any day, and sums of them fit.
const MOST: i64 = i32::MAX as i64;
/// The place of the depot; the stops follow.
pub(super) const DEPOT: usize = 0;

/// Distances and times between the depot (place 0) and the stops (from 1).
#[derive(Debug)]
pub struct Field<'p> {
    pub(super) problem: &'p Problem,
    /// The stop of each place, as an index of the problem's; that of the depot isn't used.
    pub(super) stops: Vec<usize>,
    /// The place of each of the problem's stops.
    pub(super) places: Vec<usize>,
    windows: Vec<Vec<Window>>,
    metres: Vec<i64>,
    /// For each speed, the seconds from place to place.
    seconds: Vec<Vec<i64>>,
    /// Of each van, the index of its speed.
    paces: Vec<usize>,
    /// Of each van, the one before it that can do the same.
    pub(super) twins: Vec<Option<usize>>,
}

impl<'p> Field<'p> {
    /// Measures all distances.
    #[must_use]
    pub fn new(problem: &'p Problem) -> Self {
        let mut order: Vec<usize> = (0..problem.stops.len()).collect();
        order.sort_by_cached_key(|index| key(&problem.stops[*index]));
        let mut places = vec![0; order.len()];
        for (place, stop) in order.iter().enumerate() {
            places[*stop] = place + 1;
        }
        let stops: Vec<usize> = std::iter::once(0).chain(order).collect();
        let metres = metres(problem, &stops);
        let mut speeds: Vec<i64> = problem.vans.iter().map(speed).collect();
        speeds.sort_unstable();
        speeds.dedup();
        let pace = |van| speeds.binary_search(&speed(van)).unwrap_or_default();
        let paces = problem.vans.iter().map(pace).collect();
        let seconds = |speed: &i64| metres.iter().map(|metres| rounded_up(metres * 3_600, *speed).min(MOST)).collect();
        let seconds = speeds.iter().map(seconds).collect();
        let twin = |index: usize| problem.vans[..index].iter().rposition(|van| *van == problem.vans[index]);
        let twins = (0..problem.vans.len()).map(twin).collect();
        let windows = std::iter::once(Vec::new()).chain(stops[1..].iter().map(|stop| open(&problem.stops[*stop])));
        let windows = windows.collect();
        Self { problem, stops, places, windows, metres, seconds, paces, twins }
    }

    /// How many places there are, with the depot.
    #[must_use]
    pub fn places(&self) -> usize {
        self.stops.len()
    }

    /// The place of a stop, which is given by its index in the problem.
    #[must_use]
    pub fn place(&self, stop: usize) -> Option<usize> {
        self.places.get(stop).copied()
    }

    /// Metres from place to place; both exist.
    #[must_use]
    pub fn metres(&self, from: usize, to: usize) -> i64 {
        self.metres[from * self.places() + to]
    }

    /// Seconds from place to place, as this van drives; all exist.
    #[must_use]
    pub fn seconds(&self, van: usize, from: usize, to: usize) -> i64 {
        self.seconds[self.paces[van]][from * self.places() + to]
    }

    pub(super) fn stop(&self, place: usize) -> &Stop {
        &self.problem.stops[self.stops[place]]
    }

    pub(super) fn service(&self, place: usize) -> i64 {
        i64::from(self.stop(place).service_s.max(0))
    }

    pub(super) fn weight(&self, place: usize) -> i64 {
        self.stop(place).weight_g.max(0)
    }

    pub(super) fn volume(&self, place: usize) -> i64 {
        self.stop(place).volume_cm3.max(0)
    }

    pub(super) fn worth(&self, place: usize) -> i64 {
        i64::from(self.stop(place).priority) + 1
    }

    pub(super) fn starts(&self, van: usize) -> i64 {
        i64::from(self.problem.departs_s.max(self.problem.vans[van].from_s))
    }

    pub(super) fn ends(&self, van: usize) -> i64 {
        i64::from(self.problem.vans[van].to_s)
    }

    /// Metres that a van counts if it is used.
    pub(super) fn fixed(&self, van: usize) -> i64 {
        i64::from(self.problem.vans[van].fixed_m.max(0))
    }

    /// When unloading begins for who arrives then; `None`: it doesn't open any more.
    pub(super) fn begins(&self, place: usize, arrives: i64) -> Option<i64> {
        if self.stop(place).windows.is_empty() {
            return Some(arrives);
        }
        let window = self.windows[place].iter().find(|window| i64::from(window.to_s) >= arrives)?;
        Some(arrives.max(i64::from(window.from_s)))
    }

    /// The latest moment up to this one when unloading may begin; `None`: it was not open before.
    pub(super) fn latest(&self, place: usize, by: i64) -> Option<i64> {
        if self.stop(place).windows.is_empty() {
            return Some(by);
        }
        let window = self.windows[place].iter().rfind(|window| i64::from(window.from_s) <= by)?;
        Some(by.min(i64::from(window.to_s)))
    }

    /// When unloading may begin at the latest, whoever comes; `None`: never.
    pub(super) fn closes(&self, place: usize) -> Option<i64> {
        self.windows[place].last().map(|window| i64::from(window.to_s))
    }

    /// When it may begin at the earliest and at the latest, as far as windows say.
    pub(super) fn open(&self, place: usize) -> (i32, i32) {
        let windows = &self.windows[place];
        windows.first().zip(windows.last()).map_or((i32::MIN, i32::MAX), |(first, last)| (first.from_s, last.to_s))
    }
}

/// Windows that can be open, in order, and none within another: so ends are in order, too.
fn open(stop: &Stop) -> Vec<Window> {
    let mut windows: Vec<Window> = stop.windows.iter().copied().filter(|window| window.from_s <= window.to_s).collect();
    windows.sort_unstable_by_key(|window| (window.from_s, Reverse(window.to_s)));
    let mut kept: Vec<Window> = Vec::with_capacity(windows.len());
    for window in windows {
        if kept.last().is_none_or(|last| last.to_s < window.to_s) {
            kept.push(window);
        }
    }
    kept
}

fn speed(van: &Van) -> i64 {
    i64::from(van.speed_m_per_h.max(1))
}

fn metres(problem: &Problem, stops: &[usize]) -> Vec<i64> {
    let point = |place: usize| if place == DEPOT { &problem.depot } else { &problem.stops[stops[place]].point };
    let detour = i64::from(problem.detour_bp.max(10_000));
    let count = stops.len();
    let mut metres = vec![0; count * count];
    for from in 0..count {
        for to in 0..from {
            let distance = i64::from(distance_m(point(from), point(to)));
            let distance = rounded_up(distance * detour, 10_000).min(MOST);
            metres[from * count + to] = distance;
            metres[to * count + from] = distance;
        }
    }
    metres
}

/// Stops with the same key are the same to the search.
fn key(stop: &Stop) -> impl Ord + use<> {
    let Stop { point, windows, service_s, weight_g, volume_cm3, priority } = stop;
    (point.latitude_e7, point.longitude_e7, windows.clone(), *service_s, *weight_g, *volume_cm3, *priority)
}

fn rounded_up(value: i64, by: i64) -> i64 {
    (value + by - 1) / by
}
