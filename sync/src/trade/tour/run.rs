//! The runs of all vans while they are searched for: what a place costs where, in constant time.

use super::field::{DEPOT, Field};
use super::reason::reason;
use super::{Call, Cost, Plan, Reason, Tour, Unplanned};

/// What no run has is on this one.
const NOWHERE: usize = usize::MAX;

/// What a van does, with what must be known to insert a place somewhere.
#[derive(Clone, Debug)]
pub(super) struct Run {
    van: usize,
    /// The places, without the depot.
    pub(super) places: Vec<usize>,
    /// When the van leaves each.
    leaves: Vec<i64>,
    /// When it must be at each, so that it can make the rest.
    latest: Vec<i64>,
    weight: i64,
    volume: i64,
    metres: i64,
}

/// Where a place could be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// What it adds, in metres.
    pub(super) metres: i64,
    /// Before this one of the run's places.
    pub(super) at: usize,
}

impl Run {
    fn empty(van: usize) -> Self {
        Self { van, places: Vec::new(), leaves: Vec::new(), latest: Vec::new(), weight: 0, volume: 0, metres: 0 }
    }

    fn holds(&self, field: &Field<'_>, place: usize) -> bool {
        let van = &field.problem.vans[self.van];
        field.weight(place) <= van.max_weight_g.saturating_sub(self.weight)
            && field.volume(place) <= van.max_volume_cm3.saturating_sub(self.volume)
    }

    fn neighbours(&self, at: usize) -> (usize, usize) {
        let before = if at == 0 { DEPOT } else { self.places[at - 1] };
        (before, self.places.get(at).copied().unwrap_or(DEPOT))
    }

    /// The cheapest slot for a place that adds less than `below` metres; `skips` leaves slots out.
    pub(super) fn slot(
        &self,
        field: &Field<'_>,
        place: usize,
        below: i64,
        mut skips: impl FnMut() -> bool,
    ) -> Option<Slot> {
        if !self.holds(field, place) {
            return None;
        }
        let fixed = if self.places.is_empty() { field.fixed(self.van) } else { 0 };
        let mut best: Option<Slot> = None;
        for at in 0..=self.places.len() {
            let (before, after) = self.neighbours(at);
            let metres = field.metres(before, place) + field.metres(place, after) - field.metres(before, after) + fixed;
            let limit = best.map_or(below, |best| best.metres);
            if metres < limit && !skips() && self.is_in_time(field, place, at) {
                best = Some(Slot { metres, at });
            }
        }
        best
    }

    fn is_in_time(&self, field: &Field<'_>, place: usize, at: usize) -> bool {
        let (before, after) = self.neighbours(at);
        let leaves = if at == 0 { field.starts(self.van) } else { self.leaves[at - 1] };
        let Some(begins) = field.begins(place, leaves + field.seconds(self.van, before, place)) else { return false };
        let latest = self.latest.get(at).copied().unwrap_or_else(|| field.ends(self.van));
        begins + field.service(place) + field.seconds(self.van, place, after) <= latest
    }

    /// Computes anew what the places say. `false`: they can't all be made in time, or are too much.
    fn refresh(&mut self, field: &Field<'_>) -> bool {
        let van = &field.problem.vans[self.van];
        (self.weight, self.volume, self.metres) = (0, 0, 0);
        self.leaves.clear();
        let (mut before, mut now) = (DEPOT, field.starts(self.van));
        for place in self.places.iter().copied() {
            self.weight = self.weight.saturating_add(field.weight(place));
            self.volume = self.volume.saturating_add(field.volume(place));
            self.metres += field.metres(before, place);
            let Some(begins) = field.begins(place, now + field.seconds(self.van, before, place)) else { return false };
            now = begins + field.service(place);
            self.leaves.push(now);
            before = place;
        }
        self.metres += field.metres(before, DEPOT);
        let ends = field.ends(self.van);
        if !self.places.is_empty() {
            self.metres += field.fixed(self.van);
            if now + field.seconds(self.van, before, DEPOT) > ends
                || self.weight > van.max_weight_g
                || self.volume > van.max_volume_cm3
            {
                return false;
            }
        }
        self.latest.clear();
        self.latest.resize(self.places.len(), 0);
        let (mut after, mut by) = (DEPOT, ends);
        for (latest, place) in self.latest.iter_mut().zip(&self.places).rev() {
            let leave = by - field.seconds(self.van, *place, after) - field.service(*place);
            let Some(begins) = field.latest(*place, leave) else { return false };
            (*latest, after, by) = (begins, *place, begins);
        }
        true
    }
}

/// All runs, and the places that are on none but could be.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) runs: Vec<Run>,
    pub(super) absent: Vec<usize>,
    /// Of each place, the van.
    vans: Vec<usize>,
}

impl State {
    /// Nothing is planned yet.
    pub(super) fn empty(field: &Field<'_>) -> Self {
        let runs = (0..field.problem.vans.len()).map(Run::empty).collect();
        let absent = (1..field.places()).filter(|place| reason(field, *place) == Reason::VansFull).collect();
        Self { runs, absent, vans: vec![NOWHERE; field.places()] }
    }

    /// As this plan has it, without the tours that break a limit, and each place at most once.
    pub(super) fn of(field: &Field<'_>, plan: &Plan) -> Self {
        let mut state = Self::empty(field);
        for (van, tour) in plan.tours.iter().enumerate().take(state.runs.len()) {
            let places = tour.calls.iter().filter_map(|call| field.place(call.stop));
            let mut run = Run { places: places.collect(), ..Run::empty(van) };
            let mut once = run.places.clone();
            once.sort_unstable();
            once.dedup();
            let is_new = once.len() == run.places.len() && once.iter().all(|place| state.vans[*place] == NOWHERE);
            if is_new && run.refresh(field) {
                for place in once {
                    state.vans[place] = van;
                }
                state.runs[van] = run;
            }
        }
        let vans = &state.vans;
        state.absent.retain(|place| vans[*place] == NOWHERE);
        state
    }

    /// The van that has a place.
    pub(super) fn van(&self, place: usize) -> Option<usize> {
        Some(self.vans[place]).filter(|van| *van != NOWHERE)
    }

    /// An unused van that can do the same as an unused one before it needs no look.
    pub(super) fn is_another(&self, field: &Field<'_>, van: usize) -> bool {
        self.runs[van].places.is_empty() && field.twins[van].is_some_and(|twin| self.runs[twin].places.is_empty())
    }

    /// Puts an absent place into a slot of a run. The caller takes it from `absent`.
    pub(super) fn insert(&mut self, field: &Field<'_>, van: usize, at: usize, place: usize) {
        self.vans[place] = van;
        let run = &mut self.runs[van];
        run.places.insert(at, place);
        let is_sound = run.refresh(field);
        debug_assert!(is_sound, "a slot keeps all limits");
    }

    /// Takes places out of a run. `false`: what remains can't be made, as when a detour was quicker by a rounded second.
    pub(super) fn remove(&mut self, field: &Field<'_>, van: usize, taken: impl Fn(usize) -> bool) -> bool {
        let run = &mut self.runs[van];
        let (vans, absent) = (&mut self.vans, &mut self.absent);
        let mut index = 0;
        run.places.retain(|place| {
            let goes = taken(index);
            index += 1;
            if goes {
                vans[*place] = NOWHERE;
                absent.push(*place);
            }
            !goes
        });
        run.refresh(field)
    }

    /// What it costs, without what can't be planned at all.
    pub(super) fn cost(&self, field: &Field<'_>) -> Cost {
        Cost {
            missed: self.absent.iter().map(|place| field.worth(*place)).sum(),
            metres: self.runs.iter().map(|run| run.metres).sum(),
        }
    }

    /// As others see it.
    pub(super) fn plan(&self, field: &Field<'_>) -> Plan {
        let stops = |run: &Run| run.places.iter().map(|place| field.stops[*place]).collect();
        timetable(field, &self.runs.iter().map(stops).collect::<Vec<_>>())
    }
}

/// See [`super::timetable`].
pub(super) fn timetable(field: &Field<'_>, orders: &[Vec<usize>]) -> Plan {
    let mut is_planned = vec![false; field.places()];
    let mut tours = Vec::with_capacity(field.problem.vans.len());
    for van in 0..field.problem.vans.len() {
        let stops = orders.get(van).map(Vec::as_slice).unwrap_or_default();
        let places: Vec<usize> = stops.iter().filter_map(|stop| field.place(*stop)).collect();
        for place in &places {
            is_planned[*place] = true;
        }
        tours.push(tour(field, van, &places));
    }
    let out = (0..field.problem.stops.len()).filter(|stop| !is_planned[field.places[*stop]]);
    let unplanned = out.map(|stop| Unplanned { stop, reason: reason(field, field.places[stop]) }).collect();
    Plan { tours, unplanned }
}

/// One van's; who is late begins at once.
fn tour(field: &Field<'_>, van: usize, places: &[usize]) -> Tour {
    let starts = field.starts(van);
    let mut tour = Tour { leaves_s: starts, ..Tour::default() };
    let (mut before, mut now) = (DEPOT, starts);
    for place in places.iter().copied() {
        let arrives_s = now + field.seconds(van, before, place);
        let begins_s = field.begins(place, arrives_s).unwrap_or(arrives_s);
        if before == DEPOT {
            tour.leaves_s = begins_s - field.seconds(van, before, place);
        }
        now = begins_s + field.service(place);
        let distance_m = field.metres(before, place);
        tour.distance_m += distance_m;
        tour.calls.push(Call { stop: field.stops[place], begins_s, leaves_s: now, distance_m });
        before = place;
    }
    tour.distance_m += field.metres(before, DEPOT);
    tour.back_s = now + field.seconds(van, before, DEPOT);
    tour
}
