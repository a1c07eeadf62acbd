//! The first plan: each stop where it adds least, the one that would lose most by waiting first.

use std::cmp::Reverse;

use super::field::Field;
use super::run::{Slot, State};

/// Inserts what is absent, as far as it can be: by priority, then by how much worse the second-best van is. Who fits into
/// one van only goes before all of the same priority.
pub(super) fn by_regret(field: &Field<'_>, state: &mut State) {
    let slot = |state: &State, van: usize, place: usize| {
        if state.is_another(field, van) { None } else { state.runs[van].slot(field, place, i64::MAX, || false) }
    };
    let vans = 0..state.runs.len();
    let mut slots: Vec<Vec<Option<Slot>>> =
        state.absent.iter().map(|place| vans.clone().map(|van| slot(state, van, *place)).collect()).collect();
    loop {
        let hardest = state.absent.iter().zip(&slots).enumerate();
        let hardest = hardest.filter_map(|(index, (place, slots))| {
            let (best, regret) = best(slots)?;
            Some((index, best, (field.worth(*place), regret, Reverse(*place))))
        });
        let Some((index, van, _)) = hardest.max_by_key(|(_, _, key)| *key) else { return };
        let Some(Slot { at, .. }) = slots[index][van] else { return };
        let place = state.absent.swap_remove(index);
        slots.swap_remove(index);
        let was_empty = state.runs[van].places.is_empty();
        state.insert(field, van, at, place);
        for (place, slots) in state.absent.iter().zip(&mut slots) {
            for other in vans.clone() {
                // A van that comes into use makes room for a look at the next like it.
                if other == van || (was_empty && field.twins[other] == Some(van)) {
                    slots[other] = slot(state, other, *place);
                }
            }
        }
    }
}

/// The van with the cheapest slot, and how much more the second-best adds.
fn best(slots: &[Option<Slot>]) -> Option<(usize, i64)> {
    let open = || slots.iter().enumerate().filter_map(|(van, slot)| Some((slot.as_ref()?.metres, van)));
    let (metres, van) = open().min()?;
    let second = open().filter(|(_, other)| *other != van).map(|(metres, _)| metres).min();
    Some((van, second.map_or(i64::MAX, |second| second - metres)))
}
