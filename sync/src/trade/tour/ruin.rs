//! Improvement by ruin and recreation: strings of neighbouring stops are taken out of some tours and inserted anew.
//!
//! After Christiaens and Vanden Berghe, "Slack Induction by String Removals for Vehicle Routing Problems" (2020). What is a
//! little worse is sometimes kept, less and less so, to get out of dead ends; the best is what is returned.

use std::cmp::Reverse;

use super::field::{DEPOT, Field};
use super::random::Random;
use super::run::State;

/// So many stops are taken out in a round, on average.
const TAKEN: usize = 10;
/// Of one tour, at most so many.
const STRING: usize = 10;
/// One slot of so many isn't looked at: a little blindness finds what greed doesn't.
const BLIND: usize = 100;
/// How often what may be lost is halved, from the first round to the last.
const COOLINGS: u64 = 7;

/// The best of so many rounds.
pub(super) fn improve(field: &Field<'_>, mut state: State, rounds: u32, seed: u64) -> State {
    if field.places() == 1 || state.runs.is_empty() {
        return state;
    }
    let mut random = Random::new(seed);
    let near = neighbours(field);
    let mut cost = state.cost(field);
    let (mut best, mut least) = (state.clone(), cost);
    // Twice what a stop adds on average: found by trying.
    let heat = 2 * cost.metres / i64::try_from(field.places()).unwrap_or(i64::MAX);
    for round in 0..rounds {
        let mut next = state.clone();
        if !ruin(field, &mut next, &near, &mut random) {
            continue;
        }
        recreate(field, &mut next, &mut random);
        let cooled = heat >> (u64::from(round) * COOLINGS / u64::from(rounds));
        // How often a coin falls on one side is distributed as the losses of simulated annealing are.
        let allowed = cooled.saturating_mul(i64::from(random.bits().leading_zeros()));
        let new = next.cost(field);
        if new.missed < cost.missed || (new.missed == cost.missed && new.metres <= cost.metres.saturating_add(allowed))
        {
            (state, cost) = (next, new);
            if cost < least {
                (best, least) = (state.clone(), cost);
            }
        }
    }
    best
}

/// For each place the others, nearest first.
fn neighbours(field: &Field<'_>) -> Vec<Vec<usize>> {
    let sorted = |from: usize| {
        let mut others: Vec<usize> = (1..field.places()).collect();
        others.sort_by_key(|to| field.metres(from, *to));
        others
    };
    (0..field.places()).map(sorted).collect()
}

/// Takes strings out of some tours that pass near one place. `false`: what remains can't be made.
fn ruin(field: &Field<'_>, state: &mut State, near: &[Vec<usize>], random: &mut Random) -> bool {
    let used = state.runs.iter().filter(|run| !run.places.is_empty());
    let (tours, planned) = used.fold((0, 0), |(tours, planned), run| (tours + 1, planned + run.places.len()));
    if tours == 0 {
        return true;
    }
    let longest = STRING.min(planned.div_ceil(tours));
    let strings = 1 + random.below((4 * TAKEN / (1 + longest)).max(2) - 1);
    let seed = 1 + random.below(field.places() - 1);
    let mut ruined: Vec<usize> = Vec::with_capacity(strings);
    for place in near[seed].iter().copied() {
        if ruined.len() == strings {
            break;
        }
        let Some(van) = state.van(place).filter(|van| !ruined.contains(van)) else { continue };
        ruined.push(van);
        let places = &state.runs[van].places;
        let at = places.iter().position(|other| *other == place).unwrap_or_default();
        let count = places.len();
        let length = 1 + random.below(longest.min(count));
        // In half of the strings some in the middle stay.
        let spared = if length > 1 && random.below(2) == 0 { random.below(count - length + 1).min(length) } else { 0 };
        let span = length + spared;
        let (first, last) = ((at + 1).saturating_sub(span), at.min(count - span));
        let start = first + random.below(last - first + 1);
        let spare = start + 1 + random.below(length);
        let taken = |index: usize| (start..start + span).contains(&index) && !(spare..spare + spared).contains(&index);
        if !state.remove(field, van, taken) {
            return false;
        }
    }
    true
}

/// Inserts what is absent, each where it adds least, in an order that is drawn.
fn recreate(field: &Field<'_>, state: &mut State, random: &mut Random) {
    let mut absent = std::mem::take(&mut state.absent);
    // From an order that the search didn't make.
    absent.sort_unstable();
    for index in (1..absent.len()).rev() {
        absent.swap(index, random.below(index + 1));
    }
    match random.below(16) {
        0..4 => {}
        4..8 => absent.sort_by_key(|place| Reverse(field.weight(*place))),
        8..10 => absent.sort_by_key(|place| Reverse(field.metres(DEPOT, *place))),
        10 => absent.sort_by_key(|place| field.metres(DEPOT, *place)),
        11 | 12 => absent.sort_by_key(|place| {
            let (from, to) = field.open(*place);
            i64::from(to) - i64::from(from)
        }),
        13 => absent.sort_by_key(|place| field.open(*place).0),
        14 => absent.sort_by_key(|place| Reverse(field.open(*place).1)),
        _ => absent.sort_by_key(|place| Reverse(field.worth(*place))),
    }
    for place in absent {
        let mut best = None;
        for van in 0..state.runs.len() {
            if state.is_another(field, van) {
                continue;
            }
            let below = best.map_or(i64::MAX, |(metres, _, _)| metres);
            if let Some(slot) = state.runs[van].slot(field, place, below, || random.below(BLIND) == 0) {
                best = Some((slot.metres, van, slot.at));
            }
        }
        match best {
            Some((_, van, at)) => state.insert(field, van, at, place),
            None => state.absent.push(place),
        }
    }
}
